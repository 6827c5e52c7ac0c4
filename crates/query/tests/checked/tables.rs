//! `#[derive(QueryBuilder)]`: rows found, written, ordered, paged and joined.

use std::{borrow::Cow, collections::BTreeMap};

use rustling_query::{
    Database, Date, Decimal, QueryBuilder, Result, SqlState, Timestamp, migrate, query_scalar,
    table::{self, Field, Table},
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

/// Columns of a table, and no key.
#[derive(Debug, PartialEq, QueryBuilder)]
#[query_builder(table = "orders", unchecked)]
struct Line {
    note: Option<String>,
    total: Decimal,
}

/// A table in a schema, with a key of two columns, an enumerated type and a computed column.
#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[query_builder(schema = "depot", table = "part", migrations = "tests/compile/typed")]
#[query_builder(crate = "rustling_query")]
struct Part {
    project: i32,
    number: i32,
    urgency: Level,
    price: Decimal,
    doubled: Option<Decimal>,
}

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[query_builder(unchecked)]
#[has_many(Thing<'a>, foreign_key = "made_by", name = "products")]
struct Kind<'a> {
    #[query_builder(generated)]
    id: Option<i32>,
    #[query_builder(unique)]
    code: Option<i32>,
    #[query_builder(sql_type = "varchar(20)")]
    name: Cow<'a, str>,
}

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[query_builder(unchecked)]
struct Thing<'a> {
    #[query_builder(generated)]
    id: i32,
    #[belongs_to(Kind<'a>, key = "code")]
    type_id: Option<i32>,
    #[belongs_to(Kind<'a>, name = "maker")]
    made_by: Option<i32>,
    title: Cow<'a, str>,
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
        .statement()
        .unwrap();
    assert_eq!(
        statement.text(),
        "SELECT id, name, email, born, since FROM customer WHERE (id >= $1 AND id <= $2)"
    );
    let some = Customer::query().filter(Customer::id().is_in([1, 2, 5000]));
    assert_eq!(some.fetch_all(&db).unwrap().len(), 2);
    let others = Customer::query()
        .filter(Customer::id().lt(8).and(Customer::id().ne(3)))
        .filter(Customer::id().is_not_in([1, 2]))
        .filter(Customer::name().ilike("C000%"))
        .order_by(Customer::id().asc());
    let others = others.fetch_all(&db).unwrap();
    let others: Vec<i32> = others.iter().map(|row| row.id).collect();
    assert_eq!(others, [4, 5, 6, 7]);
    let limited = || Customer::query().filter(Customer::id().gt(1900)).offset(95);
    assert_eq!(limited().count(&db).unwrap(), 5);
    assert_eq!(limited().limit(2).count(&db).unwrap(), 2);
    assert_eq!(limited().limit(0).fetch_optional(&db).unwrap(), None);
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
            .after(last.as_ref())
            .order_by(Customer::name().desc())
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
fn after_may_stand_anywhere() {
    let last = customer("b", None);
    let statements = [
        Customer::query()
            .order_by(Customer::name().desc())
            .after(Some(&last)),
        Customer::query()
            .after(Some(&last))
            .order_by(Customer::name().desc()),
    ];
    for statement in statements {
        assert_eq!(
            statement.statement().unwrap().text(),
            "SELECT id, name, email, born, since FROM customer \
             WHERE (name < $1 OR (name = $2 AND id > $3)) ORDER BY name DESC, id"
        );
    }
}

#[test]
fn what_cannot_be_found_changes_nothing() {
    let db = shop();
    let rows = ["a", "b", "c"].map(|name| customer(name, None));
    Customer::insert_all(&rows, &db).unwrap();
    for total in [1, 2] {
        order(1, total).insert(&db).unwrap();
    }
    let last = Customer::find_by_id(2, &db).unwrap();
    let line = Line {
        note: None,
        total: 1i64.into(),
    };
    let behind_null = || {
        Customer::query()
            .after(last.as_ref())
            .order_by(Customer::born().asc())
    };
    let without_key = || Line::query().after(Some(&line));
    for error in [
        behind_null().delete(&db).unwrap_err(),
        behind_null()
            .set(Customer::name(), "x")
            .set(Customer::born(), None::<Date>)
            .execute(&db)
            .unwrap_err(),
        behind_null().count(&db).unwrap_err(),
        behind_null().fetch_optional(&db).unwrap_err(),
        behind_null().statement().unwrap_err(),
        without_key().delete(&db).unwrap_err(),
        without_key()
            .set(Line::note(), "x")
            .execute(&db)
            .unwrap_err(),
        without_key().count(&db).unwrap_err(),
        table::delete(&line, &db).unwrap_err(),
        table::update(&line, &db).unwrap_err(),
    ] {
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE, "{error}");
    }
    for error in [
        Customer::query().limit(1).delete(&db).unwrap_err(),
        Customer::query().offset(1).delete(&db).unwrap_err(),
        Customer::query()
            .limit(1)
            .set(Customer::name(), "x")
            .execute(&db)
            .unwrap_err(),
    ] {
        assert_eq!(error.state(), SqlState::FEATURE_NOT_SUPPORTED, "{error}");
    }
    let unchanged = Customer::query().filter(Customer::name().ne("x"));
    assert_eq!(unchanged.count(&db).unwrap(), 3);
    let unchanged = Line::query().filter(Line::note().is_null());
    assert_eq!(unchanged.count(&db).unwrap(), 2);
    // What can be found is changed, and nothing else.
    let behind = || Customer::query().after(last.as_ref());
    assert_eq!(behind().count(&db).unwrap(), 1);
    let changed = behind().set(Customer::name(), "x").execute(&db);
    assert_eq!(changed.unwrap(), 1);
    assert_eq!(behind().delete(&db).unwrap(), 1);
    assert_eq!(Customer::query().count(&db).unwrap(), 2);
}

#[test]
fn relations_have_names_and_lead_nowhere_from_null() {
    let db = Database::in_memory().unwrap();
    assert!(Kind::create_table().contains("name varchar(20) NOT NULL"));
    for table in [Kind::create_table(), Thing::create_table()] {
        assert!(table.contains("id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY"));
        db.execute(&table, ()).unwrap();
    }
    let kind = |code| Kind {
        id: None,
        code,
        name: "kind".into(),
    };
    let thing = |type_id, made_by| Thing {
        id: 0,
        type_id,
        made_by,
        title: "thing".into(),
    };
    let first = kind(None).insert(&db).unwrap();
    let second = kind(Some(7)).insert(&db).unwrap();
    let loose = thing(None, None).insert(&db).unwrap();
    let tied = thing(Some(7), first.id).insert(&db).unwrap();
    assert_eq!(loose.r#type(&db).unwrap(), None);
    assert_eq!(loose.maker(&db).unwrap(), None);
    assert_eq!(tied.r#type(&db).unwrap(), Some(second.clone()));
    assert_eq!(tied.maker(&db).unwrap(), Some(first.clone()));
    let things = [loose, tied.clone()];
    let kinds = Thing::load_type(&things, &db).unwrap();
    assert_eq!(kinds, [None, Some(second)]);
    assert_eq!(first.products(&db).unwrap(), [tied]);
    assert_eq!(kind(None).products(&db).unwrap(), []);
}

#[test]
fn tables_have_schemas_types_and_keys_of_their_own() {
    let db = Database::in_memory().unwrap();
    db.migrate(&migrate!("tests/compile/typed")).unwrap();
    let part = |urgency, price: i64| Part {
        project: 1,
        number: 0,
        urgency,
        price: price.into(),
        doubled: None,
    };
    let mut low = part(Level::Low, 2).insert(&db).unwrap();
    let high = part(Level::VeryHigh, 3).insert(&db).unwrap();
    assert_eq!((low.number, high.number), (1, 2));
    assert_eq!(low.doubled.as_ref().unwrap().to_string(), "4.00");
    // Part of a key is not unique.
    let both: Vec<Part> = Part::find_by_project(1, &db).unwrap();
    assert_eq!(both.len(), 2);
    let urgent = Part::find_by_urgency(Level::VeryHigh, &db).unwrap();
    assert_eq!(urgent, std::slice::from_ref(&high));
    low.urgency = Level::Nothing;
    assert!(low.update(&db).unwrap());
    let numbers = query_scalar!(
        db,
        "SELECT number FROM depot.part WHERE urgency <> {Level::VeryHigh}",
        migrations = "tests/compile/typed"
    );
    assert_eq!(numbers.fetch_all().unwrap(), [1]);
    let levels = query_scalar!(
        db,
        r#"SELECT urgency AS "urgency: Level" FROM depot.part ORDER BY number"#,
        migrations = "tests/compile/typed"
    );
    assert_eq!(
        levels.fetch_all().unwrap(),
        [Level::Nothing, Level::VeryHigh]
    );
    assert!(high.delete(&db).unwrap());
    assert_eq!(Part::query().count(&db).unwrap(), 1);
    // Without migrations the struct makes a table that does the same.
    let db = Database::in_memory().unwrap();
    db.execute("CREATE SCHEMA depot", ()).unwrap();
    db.execute(&Part::create_table(), ()).unwrap();
    let low = part(Level::Low, 5).insert(&db).unwrap();
    assert_eq!(low.doubled, Some(10i64.into()));
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
    let of_project: Vec<Task<'_, String>> = Text::find_by_project(1, &db).unwrap();
    assert_eq!(of_project, [task]);
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
