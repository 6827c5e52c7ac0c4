//! The query macros: what they give, on what they run, what they make of branches and lists.

use rustling_query::{
    Connect, ConnectMut, Connection, Database, Date, DateTime, Decimal, FromValue, Interval, Json,
    Result, SqlState, Time, Timestamp, Uuid, Value, execute, query, query_as, query_file,
    query_scalar,
};

pub(crate) fn shop() -> Database {
    let db = Database::in_memory().unwrap();
    for script in [
        include_str!("../migrations/0001_shop.sql"),
        include_str!("../migrations/0002_every_type.sql"),
    ] {
        db.execute_script(script).unwrap();
    }
    for (name, email) in [
        ("Ada", Some("ada@example.org")),
        ("Grace", None),
        ("Alan", None),
    ] {
        execute!(
            db,
            "INSERT INTO customer (name, email) VALUES ({name}, {email})"
        )
        .unwrap();
    }
    for (customer, total) in [(1, 10), (1, 32), (2, 7)] {
        execute!(
            db,
            "INSERT INTO orders (customer_id, total) VALUES ({customer}, {total})"
        )
        .unwrap();
    }
    db
}

#[test]
fn rows_are_structs_of_exact_types() {
    let db = shop();
    let id = 1;
    let row = query!(
        db,
        "SELECT id, name, email, born, since FROM customer WHERE id = {id}"
    )
    .fetch_one()
    .unwrap();
    let (id, name, email): (i32, String, Option<String>) = (row.id, row.name, row.email);
    let (born, _since): (Option<Date>, Timestamp) = (row.born, row.since);
    assert_eq!(
        (id, name.as_str(), email.as_deref()),
        (1, "Ada", Some("ada@example.org"))
    );
    assert_eq!(born, None);
}

#[test]
fn every_type_goes_in_and_out() {
    let db = shop();
    let (boolean, smallint, bigint) = (true, 2_i16, 3_i64);
    let (real, double, numeric) = (1.5_f32, 2.5, "12.50".parse::<Decimal>().unwrap());
    let (text, bytes) = ("ab", vec![1_u8, 2]);
    let (time, moment) = (
        Time::constant(1, 2, 3, 0),
        DateTime::constant(2024, 5, 6, 7, 8, 9, 0),
    );
    let interval = Interval {
        months: 1,
        days: 2,
        micros: 3,
    };
    let uuid = Uuid::from_u128(7);
    let json = Json::parse("{\"a\": 1}").unwrap();
    let list = [1, 2];
    execute!(
        db,
        "INSERT INTO every_type VALUES (1, {boolean}, {smallint}, {bigint}, {real}, {double},
             {&numeric}, {text}, {&bytes}, {time}, {moment}, {interval}, {uuid}, {&json}, {list})"
    )
    .unwrap();
    let row = query!(db, "SELECT * FROM every_type").fetch_one().unwrap();
    assert_eq!(row.a_boolean, Some(boolean));
    assert_eq!(row.a_smallint, Some(smallint));
    assert_eq!(row.a_bigint, Some(bigint));
    assert_eq!(row.a_real, Some(real));
    assert_eq!(row.a_double, Some(double));
    assert_eq!(row.a_numeric, Some(numeric));
    assert_eq!(row.a_char.as_deref(), Some("ab "));
    assert_eq!(row.a_bytea, Some(bytes));
    assert_eq!(row.a_time, Some(time));
    assert_eq!(row.a_timestamp, Some(moment));
    assert_eq!(row.an_interval, Some(interval));
    assert_eq!(row.a_uuid, Some(uuid));
    assert_eq!(row.a_json, Some(json));
    assert_eq!(row.some_integers, [Some(1), Some(2)]);
}

#[test]
fn null_follows_the_query() {
    let db = shop();
    let rows = query!(
        db,
        "SELECT c.name, o.id, coalesce(o.note, '-') AS note, s.spent
         FROM customer c LEFT JOIN orders o ON o.customer_id = c.id
         LEFT JOIN spending s ON s.customer_id = c.id
         WHERE s.orders > 1 ORDER BY o.id"
    )
    .fetch_all()
    .unwrap();
    let first: (&str, Option<i64>, &str) = (&rows[0].name, rows[0].id, &rows[0].note);
    assert_eq!(first, ("Ada", Some(1), "-"));
    // The condition on s.orders vouches for its side of the join.
    let spent: &Decimal = &rows[0].spent;
    assert_eq!(spent.to_string(), "42.00");
    let newest: Option<i64> = query_scalar!(db, "SELECT max(id) FROM orders")
        .fetch_one()
        .unwrap();
    assert_eq!(newest, Some(3));
    let per_customer: Vec<i64> = query_scalar!(
        db,
        "SELECT max(id) FROM orders GROUP BY customer_id ORDER BY 1"
    )
    .fetch_all()
    .unwrap();
    assert_eq!(per_customer, [2, 3]);
}

#[derive(Debug, PartialEq)]
struct Customer<E> {
    name: String,
    email: E,
}

#[test]
fn rows_fill_structs_of_the_caller() {
    let db = shop();
    let all = query_as!(
        db,
        Customer<_>,
        "SELECT email, name FROM customer ORDER BY id"
    )
    .fetch_all()
    .unwrap();
    assert_eq!(
        all[1],
        Customer {
            name: "Grace".into(),
            email: None
        }
    );
}

#[derive(Debug, PartialEq)]
struct Initial(char);

impl FromValue for Initial {
    fn from_value(value: &Value) -> Result<Initial> {
        Ok(Initial(
            String::from_value(value)?.chars().next().unwrap_or('?'),
        ))
    }
}

#[test]
fn column_names_say_more() {
    let db = shop();
    let row = query!(
        db,
        r#"SELECT name AS "name: Initial", max(id) AS "id!", name AS "maybe?", 1 AS "type"
           FROM customer GROUP BY name ORDER BY name LIMIT 1"#
    )
    .fetch_one()
    .unwrap();
    assert_eq!(row.name, Initial('A'));
    let _: (i32, Option<String>, i32) = (row.id, row.maybe, row.r#type);
    let error = query_scalar!(db, r#"SELECT email AS "email!" FROM customer WHERE id = 2"#)
        .fetch_one()
        .unwrap_err();
    assert_eq!(error.state(), SqlState::DATATYPE_MISMATCH);
}

#[test]
fn fetches_one_some_or_all() {
    let db = shop();
    let missing = query!(db, "SELECT name FROM customer WHERE id = {9}");
    assert_eq!(
        missing.statement().text(),
        "SELECT name FROM customer WHERE id = $1"
    );
    assert!(missing.fetch_optional().unwrap().is_none());
    let error = query!(db, "SELECT name FROM customer WHERE id = {9}")
        .fetch_one()
        .unwrap_err();
    assert_eq!(error.state(), SqlState("02000"));
    let mut names = query_scalar!(db, "SELECT name FROM customer ORDER BY id")
        .stream()
        .unwrap();
    assert_eq!(names.next().unwrap().unwrap(), "Ada");
    assert_eq!(names.count(), 2);
    let row = query_file!(db, "tests/checked/newest.sql")
        .fetch_one()
        .unwrap();
    assert_eq!((row.name.as_str(), row.id), ("Alan", 3));
}

fn rename(on: &mut Connection<'_>, id: i32, name: &str) -> Result<u64> {
    execute!(on, "UPDATE customer SET name = {name} WHERE id = {id}")
}

#[test]
fn runs_on_everything_that_runs_statements() {
    let db = shop();
    let shared = std::sync::Arc::new(db.clone());
    assert_eq!(
        query_scalar!(shared, "SELECT count(*) FROM customer")
            .fetch_one()
            .unwrap(),
        3
    );
    rename(&mut db.as_connection(), 1, "A").unwrap();
    let mut session = db.session();
    execute!(session, "UPDATE customer SET name = 'B' WHERE id = 2").unwrap();
    rename(&mut session.as_connection(), 3, "C").unwrap();
    let result: Result<()> = db.transaction(|tx| {
        execute!(tx, "DELETE FROM orders")?;
        rename(&mut tx.as_connection(), 1, "X")?;
        let name = query_scalar!(tx, "SELECT name FROM customer WHERE id = 1").fetch_one()?;
        assert_eq!(name, "X");
        Err(rustling_query::Error::new(SqlState("P0001"), "undo"))
    });
    assert!(result.is_err());
    let names = query_scalar!(db, "SELECT name FROM customer ORDER BY id")
        .fetch_all()
        .unwrap();
    assert_eq!(names, ["A", "B", "C"]);
    let id = query_scalar!(db, "INSERT INTO customer (name) VALUES ('D') RETURNING id")
        .fetch_one()
        .unwrap();
    let _: i32 = id;
}

enum Order {
    Name,
    Newest,
}

fn search(
    db: &Database,
    name: Option<&str>,
    ids: &[i32],
    order: &Order,
    limit: Option<i64>,
) -> Vec<String> {
    query_scalar!(
        db,
        "SELECT name FROM customer WHERE id IN ({ids})
         {if let Some(name) = name { AND name LIKE {name} } else if ids.is_empty() { OR true }}
         ORDER BY {match order { Order::Name => { name }, Order::Newest => { id DESC } }}
         LIMIT {limit}"
    )
    .fetch_all()
    .unwrap()
}

#[test]
fn branches_lists_and_limits_are_optional() {
    let db = shop();
    assert_eq!(
        search(&db, None, &[1, 3], &Order::Name, None),
        ["Ada", "Alan"]
    );
    assert_eq!(
        search(&db, None, &[], &Order::Newest, Some(2)),
        ["Alan", "Grace"]
    );
    assert_eq!(
        search(&db, Some("G%"), &[1, 2, 3], &Order::Name, Some(5)),
        ["Grace"]
    );
    let ids = vec![1, 2];
    let others = query_scalar!(db, "SELECT name FROM customer WHERE id NOT IN ({ids})")
        .fetch_all()
        .unwrap();
    assert_eq!(others, ["Alan"]);
}

#[test]
fn values_are_never_text() {
    let db = shop();
    let name = "x'; DROP TABLE orders; --";
    execute!(db, "INSERT INTO customer (name) VALUES ({name})").unwrap();
    let found = query_scalar!(db, "SELECT name FROM customer WHERE name = {name}").fetch_one();
    assert_eq!(found.unwrap(), name);
}
