//! tokio-postgres and sqlx: rows, prepared statements, transactions, COPY, errors, cancel.

use std::{env, error::Error, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt};
use sqlx::{Connection, Executor, Row};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn check(holds: bool, what: &str) -> Result {
    if holds { Ok(()) } else { Err(what.into()) }
}

const SLOW: &str = "SELECT count(*) FROM generate_series(1, 30000) a, generate_series(1, 30000) b";

async fn tokio_postgres_client() -> Result {
    let mut config = tokio_postgres::Config::new();
    config
        .host(variable("PGHOST"))
        .port(variable("PGPORT").parse()?)
        .user(variable("PGUSER"))
        .password(variable("PGPASSWORD"))
        .dbname("gate");
    let (mut client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute(
            "DROP TABLE IF EXISTS tokio_t; \
             CREATE TABLE tokio_t (id int PRIMARY KEY, name text, tags text[], amount float8)",
        )
        .await?;
    let insert = client
        .prepare("INSERT INTO tokio_t VALUES ($1, $2, $3, $4)")
        .await?;
    for id in 0..100_i32 {
        let tags = vec!["a".to_owned(), format!("b {id}")];
        client
            .execute(
                &insert,
                &[&id, &format!("name {id}"), &tags, &f64::from(id)],
            )
            .await?;
    }
    // Pipelined: the second is sent before the first is answered.
    let select = client
        .prepare("SELECT name, tags FROM tokio_t WHERE id = $1")
        .await?;
    let (one, two) = futures_util::future::try_join(
        client.query_one(&select, &[&7_i32]),
        client.query_one(&select, &[&8_i32]),
    )
    .await?;
    check(one.get::<_, &str>(0) == "name 7", "row 7")?;
    check(two.get::<_, Vec<String>>(1) == ["a", "b 8"], "row 8")?;
    let transaction = client.transaction().await?;
    transaction.execute("DELETE FROM tokio_t", &[]).await?;
    transaction.rollback().await?;
    let transaction = client.transaction().await?;
    let portal = transaction
        .bind("SELECT id FROM tokio_t ORDER BY id", &[])
        .await?;
    check(
        transaction.query_portal(&portal, 30).await?.len() == 30,
        "a portion",
    )?;
    check(
        transaction.query_portal(&portal, 0).await?.len() == 70,
        "the rest",
    )?;
    transaction.commit().await?;
    let mut sink = pin!(
        client
            .copy_in::<_, Bytes>("COPY tokio_t (id, name) FROM STDIN")
            .await?
    );
    sink.send(Bytes::from_static(b"1000\tcopied\n1001\t\\N\n"))
        .await?;
    check(sink.finish().await? == 2, "COPY FROM")?;
    let stream = client
        .copy_out("COPY (SELECT id, name FROM tokio_t WHERE id >= 1000 ORDER BY id) TO STDOUT")
        .await?;
    let parts: Vec<Bytes> = pin!(stream).try_collect().await?;
    check(parts.concat() == b"1000\tcopied\n1001\t\\N\n", "COPY TO")?;
    let error = client
        .execute("INSERT INTO tokio_t (id) VALUES (1)", &[])
        .await
        .err()
        .ok_or("the duplicate was taken")?;
    check(
        error.code().is_some_and(|code| code.code() == "23505"),
        "SQLSTATE of a duplicate",
    )?;
    let token = client.cancel_token();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(token.cancel_query(tokio_postgres::NoTls).await);
    });
    let error = client.query(SLOW, &[]).await.err().ok_or("not cancelled")?;
    check(
        error.code().is_some_and(|code| code.code() == "57014"),
        "SQLSTATE of a cancel",
    )?;
    client.query_one("SELECT 1", &[]).await?;
    Ok(())
}

async fn sqlx_client() -> Result {
    let options = sqlx::postgres::PgConnectOptions::new()
        .host(&variable("PGHOST"))
        .port(variable("PGPORT").parse()?)
        .username(&variable("PGUSER"))
        .password(&variable("PGPASSWORD"))
        .database("gate")
        .ssl_mode(sqlx::postgres::PgSslMode::Prefer);
    let mut connection = sqlx::PgConnection::connect_with(&options).await?;
    connection.execute("DROP TABLE IF EXISTS sqlx_t").await?;
    connection
        .execute("CREATE TABLE sqlx_t (id bigint PRIMARY KEY, name text NOT NULL, done bool)")
        .await?;
    for id in 0..20_i64 {
        sqlx::query("INSERT INTO sqlx_t VALUES ($1, $2, $3)")
            .bind(id)
            .bind(format!("name {id}"))
            .bind(id % 2 == 0)
            .execute(&mut connection)
            .await?;
    }
    let rows = sqlx::query("SELECT id, name, done FROM sqlx_t WHERE id = ANY($1) ORDER BY id")
        .bind(vec![3_i64, 4])
        .fetch_all(&mut connection)
        .await?;
    check(
        rows.len() == 2 && rows[1].get::<bool, _>("done"),
        "rows of a list",
    )?;
    let described = connection
        .describe("SELECT id, name FROM sqlx_t WHERE id = $1")
        .await?;
    check(described.columns.len() == 2, "a description")?;
    let mut transaction = connection.begin().await?;
    sqlx::query("UPDATE sqlx_t SET name = 'changed'")
        .execute(&mut *transaction)
        .await?;
    transaction.rollback().await?;
    let name: String = sqlx::query_scalar("SELECT name FROM sqlx_t WHERE id = 1")
        .fetch_one(&mut connection)
        .await?;
    check(name == "name 1", "what was rolled back")?;
    let mut copy = connection
        .copy_in_raw("COPY sqlx_t (id, name) FROM STDIN (FORMAT csv)")
        .await?;
    copy.send(&b"100,copied\n"[..]).await?;
    check(copy.finish().await? == 1, "COPY FROM")?;
    let error = sqlx::query("INSERT INTO sqlx_t VALUES (1, 'again')")
        .execute(&mut connection)
        .await
        .err()
        .ok_or("the duplicate was taken")?;
    let code = error.as_database_error().and_then(|error| error.code());
    check(
        code.is_some_and(|code| code == "23505"),
        "SQLSTATE of a duplicate",
    )?;
    sqlx::query("SET statement_timeout = 300")
        .execute(&mut connection)
        .await?;
    let error = sqlx::query(SLOW).fetch_all(&mut connection).await.err();
    let error = error.ok_or("it did not time out")?;
    let code = error.as_database_error().and_then(|error| error.code());
    check(
        code.is_some_and(|code| code == "57014"),
        "SQLSTATE of a time-out",
    )?;
    connection.close().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result {
    match env::args().nth(1).as_deref() {
        Some("tokio-postgres") => tokio_postgres_client().await?,
        Some("sqlx") => sqlx_client().await?,
        _ => return Err("tokio-postgres or sqlx?".into()),
    }
    println!("{}", env::args().nth(1).unwrap_or_default());
    Ok(())
}
