//! Checked SQL over the network: the statements that run on a database of the same process run on
//! connections to a server, and give the same.
#![allow(
    clippy::unwrap_used,
    reason = "a test speaks to the real world, and fails by panicking"
)]

mod network_rows;

use postgres::NoTls;
use rustling_query::{
    AsyncConnection, AsyncDatabase, Connect, ConnectMut, Connection, Database, Date, DateTime,
    Decimal, Interval, JsonOf, QueryBuilder, Result, SqlState, Time, Timestamp, Uuid, execute,
    migrate, query, query_as, query_file, query_scalar,
};
use rustling_server::{Server, ServerOptions};
use rustling_sql::ast::RoleOption::{Login, Superuser};

/// A server over a database with the migrations' tables.
fn server() -> (Server, Database) {
    let database = Database::in_memory().unwrap();
    database.migrate(&migrate!()).unwrap();
    database
        .set_role("ann", &[Login(true), Superuser(true)])
        .unwrap();
    let options = ServerOptions::new()
        .listen_on("127.0.0.1:0".parse().unwrap())
        .trusting();
    (Server::start(database.clone(), options).unwrap(), database)
}

fn address(server: &Server) -> String {
    let address = server.addresses()[0];
    format!(
        "host={} port={} user=ann dbname=ann",
        address.ip(),
        address.port()
    )
}

fn connect(server: &Server) -> postgres::Client {
    postgres::Client::connect(&address(server), NoTls).unwrap()
}

/// A row of every type, written and read.
fn every_type(db: &mut Connection<'_>) -> Result<()> {
    let number: Decimal = "-12345678901234567890.0625".parse()?;
    let date = Date::constant(1815, 12, 10);
    let time = Time::constant(23, 59, 59, 999_999_000);
    let moment = DateTime::from_parts(date, time);
    let instant: Timestamp = "2024-02-29T12:00:00.5Z".parse().unwrap();
    let interval = Interval {
        months: 14,
        days: -3,
        micros: 1_500_000,
    };
    let uuid: Uuid = "8c5f1b3e-9d3c-4b0e-8a55-0d8a8f0ac1fe".parse().unwrap();
    let list = vec![Some(1), None, Some(-3)];
    let text = r#"a "quoted", {braced} \ and ü"#;
    let bytes = [0u8, 255, b'\\'];
    let (flag, small, large, real, double) = (true, -7i16, i64::MIN, 1.5f32, -1e300f64);
    execute!(
        db,
        "INSERT INTO every_type VALUES (1, {flag}, {small}, {large}, {real}, {double}, {number},
             'ab', {bytes}, {time}, {moment}, {interval}, {uuid}, {JsonOf(text)}, {list})"
    )?;
    execute!(
        db,
        "INSERT INTO every_type (id, some_integers) VALUES (2, ARRAY[]::int[])"
    )?;
    let row = query!(db, "SELECT * FROM every_type WHERE id = 1").fetch_one()?;
    assert_eq!(row.a_boolean, Some(flag));
    assert_eq!(row.a_smallint, Some(small));
    assert_eq!(row.a_bigint, Some(large));
    assert_eq!(row.a_real, Some(real));
    assert_eq!(row.a_double, Some(double));
    assert_eq!(row.a_numeric, Some(number));
    assert_eq!(row.a_char.as_deref(), Some("ab "));
    assert_eq!(row.a_bytea.as_deref(), Some(bytes.as_slice()));
    assert_eq!(row.a_time, Some(time));
    assert_eq!(row.a_timestamp, Some(moment));
    assert_eq!(row.an_interval, Some(interval));
    assert_eq!(row.a_uuid, Some(uuid));
    assert_eq!(row.some_integers, list);
    let json = query_scalar!(
        db,
        r#"SELECT a_json AS "a_json!: JsonOf<String>" FROM every_type WHERE id = 1"#
    );
    assert_eq!(json.fetch_one()?.0, text);
    let found = query!(
        db,
        "SELECT {date}::date AS date, {instant}::timestamptz AS instant,
                ARRAY[{text}, NULL] AS texts, '[1, null]'::jsonb AS json"
    )
    .fetch_one()?;
    assert_eq!((found.date, found.instant), (Some(date), Some(instant)));
    assert_eq!(found.texts, [Some(text.to_owned()), None]);
    assert_eq!(found.json.to_string(), "[1, null]");
    let empty = query!(
        db,
        "SELECT a_json, a_uuid, some_integers FROM every_type WHERE id = 2"
    )
    .fetch_one()?;
    assert!(empty.a_json.is_none() && empty.a_uuid.is_none() && empty.some_integers.is_empty());
    assert_eq!(execute!(db, "DELETE FROM every_type")?, 2);
    Ok(())
}

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
struct Customer {
    id: i32,
    name: String,
    email: Option<String>,
}

/// A row of the caller's.
struct Named {
    name: String,
}

/// Every macro, and every way to fetch.
fn every_form(db: &mut Connection<'_>) -> Result<()> {
    execute!(db, "DELETE FROM customer")?;
    let (name, other) = ("Ada", "Grace");
    let added = execute!(db, "INSERT INTO customer (name) VALUES ({name}), ({other})")?;
    assert_eq!(added, 2);
    let one = query!(db, "SELECT name FROM customer WHERE name = {name}");
    assert_eq!(one.fetch_one()?.name, name);
    let none = query!(db, "SELECT id FROM customer WHERE name = 'Eve'");
    assert!(none.fetch_optional()?.is_none());
    let all = query_as!(db, Named, "SELECT name FROM customer ORDER BY name").fetch_all()?;
    assert_eq!((&*all[0].name, &*all[1].name), (name, other));
    let rows = query_as!(db, Named, "SELECT name FROM customer").stream()?;
    assert_eq!(rows.collect::<Result<Vec<_>>>()?.len(), 2);
    let names = query_scalar!(db, "SELECT name FROM customer ORDER BY name DESC").stream()?;
    assert_eq!(names.collect::<Result<Vec<_>>>()?, [other, name]);
    let found = query_scalar!(db, "SELECT name FROM customer WHERE name = {other}");
    assert_eq!(found.fetch_optional()?.as_deref(), Some(other));
    let newest = query_file!(db, "../../crates/query/tests/checked/newest.sql");
    assert_eq!(newest.fetch_one()?.name, other);
    Ok(())
}

/// The same in futures.
async fn every_form_in_futures(db: AsyncConnection<'_>) -> Result<()> {
    execute!(db, "DELETE FROM customer").await?;
    let (name, other) = ("Ada", "Grace");
    let added = execute!(db, "INSERT INTO customer (name) VALUES ({name}), ({other})");
    assert_eq!(added.await?, 2);
    let one = query!(db, "SELECT name FROM customer WHERE name = {name}");
    assert_eq!(one.fetch_one().await?.name, name);
    let none = query!(db, "SELECT id FROM customer WHERE name = 'Eve'");
    assert!(none.fetch_optional().await?.is_none());
    let all = query_as!(db, Named, "SELECT name FROM customer ORDER BY name");
    let all = all.fetch_all().await?;
    assert_eq!((&*all[0].name, &*all[1].name), (name, other));
    let mut rows = query_as!(db, Named, "SELECT name FROM customer ORDER BY name")
        .stream()
        .await?;
    for expected in [name, other] {
        let row = rows.next().await.transpose()?;
        assert_eq!(row.map(|row| row.name).as_deref(), Some(expected));
    }
    assert!(rows.next().await.is_none());
    let found = query_scalar!(db, "SELECT name FROM customer WHERE name = {other}");
    assert_eq!(found.fetch_optional().await?.as_deref(), Some(other));
    let newest = query_file!(db, "../../crates/query/tests/checked/newest.sql");
    assert_eq!(newest.fetch_one().await?.name, other);
    Ok(())
}

#[test]
fn every_macro_and_fetch_runs_on_everything() {
    let (server, database) = server();
    every_form(&mut database.as_connection()).unwrap();
    every_form(&mut database.session().as_connection()).unwrap();
    database
        .transaction(|tx| every_form(&mut tx.as_connection()))
        .unwrap();
    let mut client = connect(&server);
    every_form(&mut client.as_connection()).unwrap();
    every_form(&mut client.transaction().unwrap().as_connection()).unwrap();
    let address = address(&server);
    let in_futures = async {
        let database = AsyncDatabase::from(database);
        every_form_in_futures(database.as_connection()).await?;
        let transaction = database.begin().await?;
        every_form_in_futures(transaction.as_connection()).await?;
        transaction.commit().await?;
        let (mut client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
        let task = tokio::spawn(connection);
        every_form_in_futures(client.as_connection()).await?;
        let transaction = client.transaction().await.unwrap();
        every_form_in_futures(transaction.as_connection()).await?;
        transaction.commit().await.unwrap();
        drop(client);
        task.await.unwrap().unwrap();
        Ok::<(), rustling_query::Error>(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(in_futures).unwrap();
}

#[test]
fn every_type_is_the_same_here_and_there() {
    let (server, database) = server();
    every_type(&mut database.as_connection()).unwrap();
    let mut client = connect(&server);
    every_type(&mut client.as_connection()).unwrap();
    let mut transaction = client.transaction().unwrap();
    every_type(&mut transaction.as_connection()).unwrap();
}

#[test]
fn statements_rows_and_errors_come_over_the_wire() {
    let (server, database) = server();
    let mut client = connect(&server);
    let names = ["Ada", "Grace", "Alan"];
    for name in names {
        execute!(client, "INSERT INTO customer (name) VALUES ({name})").unwrap();
    }
    let ids = vec![1, 3];
    let order = false;
    let found = query_scalar!(
        client,
        "SELECT name FROM customer WHERE id IN ({ids})
         ORDER BY {if order { id } else { id DESC }} LIMIT {Some(5)}"
    )
    .stream()
    .unwrap()
    .collect::<Result<Vec<_>>>()
    .unwrap();
    assert_eq!(found, ["Alan", "Ada"]);

    let mut transaction = client.transaction().unwrap();
    let mut ada = Customer::find_by_id(1, &mut transaction).unwrap().unwrap();
    ada.email = Some("ada@example.org".into());
    assert!(ada.update(&mut transaction).unwrap());
    transaction.commit().unwrap();
    assert_eq!(Customer::find_by_name("Ada", &database).unwrap(), [ada]);

    let email = "ada@example.org";
    let error = execute!(
        client,
        "INSERT INTO customer (name, email) VALUES ('Eve', {email})"
    )
    .unwrap_err();
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    assert!(error.detail_text().is_some(), "{error:?}");
    let error = client
        .as_connection()
        .query("SELECT nam FROM customer", Vec::new());
    let error = error.unwrap_err();
    assert_eq!(error.state(), SqlState::UNDEFINED_COLUMN);
    assert_eq!(error.span().unwrap().start, 7);
    assert!(error.hint_text().unwrap().contains("name"), "{error:?}");

    server.shutdown(std::time::Duration::ZERO);
    let error = query_scalar!(client, "SELECT name FROM customer")
        .fetch_all()
        .unwrap_err();
    let class = &error.state().0[..2];
    assert!(class == "08" || class == "57", "{error:?}");
}

#[test]
fn futures_come_over_the_wire() {
    // The server has a runtime of its own, which must not end inside of another.
    let (server, _database) = server();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(statements_wait_for_the_wire(&address(&server)));
}

async fn statements_wait_for_the_wire(address: &str) {
    let (mut client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
    let task = tokio::spawn(connection);
    let name = "Ada";
    let changed = execute!(
        client,
        "INSERT INTO customer (name) VALUES ({name}), ('Grace')"
    );
    assert_eq!(changed.await.unwrap(), 2);
    let row = query!(client, "SELECT id, email FROM customer WHERE name = {name}")
        .fetch_one()
        .await
        .unwrap();
    assert_eq!((row.id, row.email), (1, None));
    let transaction = client.transaction().await.unwrap();
    execute!(transaction, "DELETE FROM customer").await.unwrap();
    let left = query_scalar!(transaction, "SELECT count(*) FROM customer").fetch_one();
    assert_eq!(left.await.unwrap(), 0);
    transaction.rollback().await.unwrap();
    let mut stream = query_scalar!(client, "SELECT name FROM customer ORDER BY id")
        .stream()
        .await
        .unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "Ada");
    assert_eq!(stream.next().await.unwrap().unwrap(), "Grace");
    assert!(stream.next().await.is_none());
    let none = query!(client, "SELECT id FROM customer WHERE id = {9}").fetch_one();
    assert_eq!(none.await.unwrap_err().state(), SqlState("02000"));
    drop(client);
    task.await.unwrap().unwrap();
}
