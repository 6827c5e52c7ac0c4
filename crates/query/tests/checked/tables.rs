//! `#[derive(QueryBuilder)]`: rows found, written, ordered, paged and joined.

use std::{borrow::Cow, collections::BTreeMap};

use rustling_query::{
    Database, Date, Decimal, QueryBuilder, Result, SqlState, Timestamp, migrate,
    table::{Field, Table},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[has_many(Order, foreign_key = "customer_id")]
struct Customer {
    id: i32,
    name: String,
    #[query_builder(column = "email")]
    address: Option<String>,
    born: Option<Date>,
    #[query_builder(default = "now()")]
    since: Timestamp,
    #[query_builder(skip)]
    seen: u32,
}

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[query_builder(table = "orders")]
struct Order {
    id: i64,
    #[belongs_to(Customer)]
    customer_id: i32,
    total: Decimal,
    note: Option<String>,
    tags: Option<Vec<Option<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, QueryBuilder)]
enum Level {
    Low,
    VeryHigh,
    #[query_builder(name = "none")]
    Nothing,
}

/// A table that no migration makes.
#[derive(Debug, PartialEq, QueryBuilder)]
#[query_builder(table = "task", unchecked)]
struct Task<'a, T: Field> {
    #[query_builder(primary_key)]
    project: i32,
    #[query_builder(primary_key)]
    number: i32,
    title: Cow<'a, str>,
    #[query_builder(unique)]
    code: T,
    level: Level,
    r#type: Option<i16>,
}

/// What an order's column `extra` holds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct Gift {
    to: String,
    wrapped: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[query_builder(table = "orders")]
struct GiftOrder {
    id: i64,
    customer_id: i32,
    total: Decimal,
    #[query_builder(json)]
    extra: Option<Gift>,
}

/// JSON of any type in a table of its own.
#[derive(Debug, PartialEq, QueryBuilder)]
#[query_builder(unchecked)]
struct Setting<T: Serialize + DeserializeOwned> {
    id: i32,
    #[query_builder(json)]
    value: T,
}

/// A table of the migrations through a struct with parameters.
#[derive(Debug, QueryBuilder)]
#[query_builder(table = "customer")]
struct Contact<'a, E: Field> {
    id: i32,
    name: Cow<'a, str>,
    email: E,
}

fn shop() -> Database {
    let db = Database::in_memory().unwrap();
    db.migrate(&migrate!()).unwrap();
    db
}

fn customer(name: &str, address: Option<&str>) -> Customer {
    Customer {
        id: 0,
        name: name.into(),
        address: address.map(Into::into),
        born: None,
        since: Timestamp::UNIX_EPOCH,
        seen: 7,
    }
}

fn order(customer_id: i32, total: i64) -> Order {
    Order {
        id: 0,
        customer_id,
        total: total.into(),
        note: None,
        tags: Some(vec![Some("new".into()), None]),
    }
}

#[test]
fn a_row_is_written_found_changed_and_deleted() {
    let db = shop();
    let mut ada = customer("Ada", Some("ada@example.org"))
        .insert(&db)
        .unwrap();
    assert_eq!((ada.id, ada.seen), (1, 0));
    assert!(ada.since > Timestamp::UNIX_EPOCH);
    assert_eq!(Customer::find_by_id(1, &db).unwrap().as_ref(), Some(&ada));
    assert_eq!(
        Customer::find_by_address("ada@example.org", &db).unwrap(),
        Some(ada.clone())
    );
    assert_eq!(Customer::find_by_name("Ada", &db).unwrap(), [ada.clone()]);
    ada.born = Some(Date::constant(1815, 12, 10));
    assert!(ada.update(&db).unwrap());
    assert_eq!(Customer::find_by_born(ada.born, &db).unwrap().len(), 1);
    assert!(ada.delete(&db).unwrap());
    assert!(!ada.delete(&db).unwrap());
    assert!(!ada.update(&db).unwrap());
    assert_eq!(Customer::find_by_born(None::<Date>, &db).unwrap(), []);
}

#[test]
fn upsert_writes_over_the_row_with_the_key() {
    let db = shop();
    let first = customer("Ada", Some("a@b")).upsert(&db).unwrap();
    let second = customer("Lovelace", Some("a@b")).upsert(&db).unwrap();
    assert_eq!((second.id, second.name.as_str()), (first.id, "Lovelace"));
    assert_eq!(Customer::query().count(&db).unwrap(), 1);
}

#[test]
fn queries_are_put_together() {
    let db = shop();
    let rows: Vec<Customer> = (0..2000)
        .map(|at| customer(&format!("c{at:04}"), None))
        .collect();
    assert_eq!(Customer::insert_all(&rows, &db).unwrap(), 2000);
    assert_eq!(Customer::insert_all(&[], &db).unwrap(), 0);
    let found = Customer::query()
        .filter(Customer::name().like("c00%").and(Customer::id().gt(95)))
        .filter(
            !Customer::name()
                .eq("c0098")
                .or(Customer::address().is_not_null()),
        )
        .order_by(Customer::name().desc())
        .limit(3)
        .offset(1)
        .fetch_all(&db)
        .unwrap();
    let names: Vec<&str> = found.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["c0097", "c0096", "c0095"]);
    let statement = Customer::query()
        .filter(Customer::id().between(1, 2))
        .statement();
    assert_eq!(
        statement.text(),
        "SELECT id, name, email, born, since FROM customer WHERE (id >= $1 AND id <= $2)"
    );
    let some = Customer::query().filter(Customer::id().is_in([1, 2, 5000]));
    assert_eq!(some.fetch_all(&db).unwrap().len(), 2);
    let changed = Customer::query()
        .filter(Customer::id().le(10))
        .set(Customer::name(), "x")
        .set(Customer::address(), None::<String>)
        .execute(&db)
        .unwrap();
    assert_eq!(changed, 10);
    let deleted = Customer::query()
        .filter(Customer::name().eq("x"))
        .delete(&db)
        .unwrap();
    assert_eq!(deleted, 10);
    let none = Customer::query()
        .filter(Customer::id().eq(1))
        .fetch_one(&db)
        .unwrap_err();
    assert_eq!(none.state(), SqlState("02000"));
}

#[test]
fn pages_follow_the_order() {
    let db = shop();
    let rows: Vec<Customer> = (0..25)
        .map(|at| customer(["b", "a"][at % 2], None))
        .collect();
    Customer::insert_all(&rows, &db).unwrap();
    let mut seen: Vec<(String, i32)> = Vec::new();
    let mut last: Option<Customer> = None;
    loop {
        let page = Customer::query()
            .order_by(Customer::name().desc())
            .after(last.as_ref())
            .limit(4)
            .fetch_all(&db)
            .unwrap();
        let Some(end) = page.last().cloned() else {
            break;
        };
        seen.extend(page.into_iter().map(|row| (row.name, row.id)));
        last = Some(end);
    }
    let mut expected = seen.clone();
    expected.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    assert_eq!((seen.len(), &seen), (25, &expected));
    let page = Customer::query()
        .order_by(Customer::born().asc())
        .after(last.as_ref());
    assert_eq!(
        page.fetch_all(&db).unwrap_err().state(),
        SqlState::INVALID_PARAMETER_VALUE
    );
}

#[test]
fn relations_load_in_batches() {
    let db = shop();
    let ada = customer("Ada", None).insert(&db).unwrap();
    let alan = customer("Alan", None).insert(&db).unwrap();
    let grace = customer("Grace", None).insert(&db).unwrap();
    for (of, total) in [(&ada, 1), (&grace, 2), (&ada, 3)] {
        order(of.id, total).insert(&db).unwrap();
    }
    let customers = [ada.clone(), alan, grace.clone()];
    let orders = Customer::load_orders(&customers, &db).unwrap();
    let counts: Vec<usize> = orders.iter().map(Vec::len).collect();
    assert_eq!(counts, [2, 0, 1]);
    assert_eq!(ada.orders(&db).unwrap(), orders[0]);
    let all = Order::query()
        .order_by(Order::id().asc())
        .fetch_all(&db)
        .unwrap();
    assert_eq!(all[1].customer(&db).unwrap(), Some(grace.clone()));
    let of_orders = Order::load_customer(&all, &db).unwrap();
    assert_eq!(of_orders, [Some(ada.clone()), Some(grace), Some(ada)]);
    assert_eq!(all[0].tags, Some(vec![Some("new".into()), None]));
}

#[test]
fn structs_make_tables_of_their_own() {
    type Text<'a> = Task<'a, String>;
    assert_eq!(
        Text::create_table(),
        "CREATE TABLE task (\n    project integer NOT NULL,\n    number integer NOT NULL,\n    \
         title text NOT NULL,\n    code text NOT NULL UNIQUE,\n    level text NOT NULL,\n    \
         type smallint,\n    PRIMARY KEY (project, number)\n)"
    );
    let db = Database::in_memory().unwrap();
    db.execute(&Text::create_table(), ()).unwrap();
    let title = "write".to_owned();
    let task = Task {
        project: 1,
        number: 2,
        title: Cow::Borrowed(&title),
        code: "c".to_owned(),
        level: Level::VeryHigh,
        r#type: None,
    };
    assert_eq!(task.insert(&db).unwrap(), task);
    assert_eq!(task.upsert(&db).unwrap(), task);
    let found = Text::find_by_code("c", &db).unwrap().unwrap();
    assert_eq!(found.level.sql_name(), "very_high");
    assert_eq!(Text::find_by_level(Level::Nothing, &db).unwrap().len(), 0);
    assert!(Text::COLUMNS[3].unique);
    db.execute("UPDATE task SET level = 'strange'", ()).unwrap();
    let error = Text::find_by_project(1, &db).unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_TEXT_REPRESENTATION);
    assert_eq!(Level::Low.sql_name(), "low");
}

#[test]
fn everything_runs_in_transactions() {
    let db = shop();
    let result: Result<()> = db.transaction(|tx| {
        let ada = customer("Ada", None).insert(&mut *tx)?;
        order(ada.id, 5).insert(&mut *tx)?;
        assert_eq!(ada.orders(&mut *tx)?.len(), 1);
        Err(rustling_query::Error::new(SqlState("P0001"), "undo"))
    });
    assert!(result.is_err());
    assert_eq!(Customer::query().count(&db).unwrap(), 0);
}

#[test]
fn fields_may_be_json() {
    let db = shop();
    customer("Ada", None).insert(&db).unwrap();
    let mut order = GiftOrder {
        id: 0,
        customer_id: 1,
        total: 5i64.into(),
        extra: Some(Gift {
            to: "Grace".into(),
            wrapped: None,
        }),
    };
    let inserted = order.insert(&db).unwrap();
    assert_eq!(inserted.extra, order.extra);
    order.id = inserted.id;
    order.extra = None;
    assert!(order.update(&db).unwrap());
    assert_eq!(GiftOrder::find_by_id(order.id, &db).unwrap(), Some(order));
    let without = GiftOrder::query().filter(GiftOrder::extra().is_null());
    assert_eq!(without.count(&db).unwrap(), 1);
    db.execute("UPDATE orders SET extra = '{\"to\": 1}'", ())
        .unwrap();
    let error = GiftOrder::query().fetch_all(&db).unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_TEXT_REPRESENTATION);
    assert!(error.message().contains("Gift"), "{error}");
}

#[test]
fn json_may_be_of_any_type() {
    type Lists = Setting<BTreeMap<String, Vec<i32>>>;
    let db = Database::in_memory().unwrap();
    assert!(Lists::create_table().contains("value jsonb NOT NULL"));
    db.execute(&Lists::create_table(), ()).unwrap();
    let value = BTreeMap::from([("a".to_owned(), vec![1, 2]), ("b".to_owned(), Vec::new())]);
    let setting = Setting { id: 1, value };
    assert_eq!(setting.insert(&db).unwrap(), setting);
    // What JSON cannot say is refused, not written as something else.
    let strange = Setting {
        id: 2,
        value: BTreeMap::from([(vec![1], 1)]),
    };
    let error = strange.insert(&db).unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_TEXT_REPRESENTATION);
    let error = Setting::<Vec<String>>::find_by_id(1, &db).unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_TEXT_REPRESENTATION);
}

#[test]
fn structs_with_parameters_stand_for_tables_of_migrations() {
    let db = shop();
    customer("Ada", Some("a@b")).insert(&db).unwrap();
    let found = Contact::<'_, Option<String>>::find_by_name("Ada", &db).unwrap();
    assert_eq!(found[0].email.as_deref(), Some("a@b"));
    assert_eq!((found[0].id, &*found[0].name), (1, "Ada"));
}

#[test]
fn rows_stream() {
    let db = shop();
    let rows: Vec<Customer> = (0..10).map(|at| customer(&at.to_string(), None)).collect();
    Customer::insert_all(&rows, &db).unwrap();
    let mut names = Customer::query()
        .order_by(Customer::id().asc())
        .stream(&db)
        .unwrap()
        .map(|row| row.unwrap().name);
    assert_eq!(names.next().unwrap(), "0");
    assert_eq!(names.count(), 9);
}
