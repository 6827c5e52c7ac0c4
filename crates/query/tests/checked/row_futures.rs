//! The methods of `#[derive(QueryBuilder)]` with futures.

use std::{borrow::Cow, rc::Rc};

use futures_lite::{StreamExt, future::poll_once};
use rustling_query::{
    AsyncConnection, Connect, Database, Decimal, QueryBuilder, Result, Runs, SqlState, execute,
    migrate, query_scalar,
};

use super::asynchronous::with_shop;

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[has_many(Order, foreign_key = "customer_id")]
struct Customer {
    id: i32,
    name: String,
    email: Option<String>,
}

#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[query_builder(table = "orders")]
struct Order {
    id: i64,
    #[belongs_to(Customer)]
    customer_id: i32,
    total: Decimal,
}

/// A row that borrows, and stays on its thread.
#[derive(Debug, QueryBuilder)]
#[query_builder(table = "customer")]
struct Person<'a> {
    id: i32,
    name: Cow<'a, str>,
    #[query_builder(skip)]
    seen: Rc<()>,
}

/// Whose key may be NULL.
#[derive(Clone, Debug, PartialEq, QueryBuilder)]
#[query_builder(unchecked)]
#[has_many(Part, foreign_key = "whole", name = "parts")]
struct Part {
    id: Option<i32>,
    #[belongs_to(Part, name = "owner")]
    whole: Option<i32>,
}

fn customer(name: &str, email: Option<&str>) -> Customer {
    Customer {
        id: 0,
        name: name.into(),
        email: email.map(Into::into),
    }
}

/// More rows than one INSERT takes; of the address of the first and the last there may be only one
/// where `alike`.
fn many(alike: bool) -> Vec<Customer> {
    let mut rows: Vec<Customer> = (0..3000)
        .map(|at| customer(&format!("c{at:04}"), Some(&format!("{at}@example.org"))))
        .collect();
    if alike {
        rows[2999].email = rows[0].email.clone();
    }
    rows
}

/// Every method, where there are two customers.
async fn every_method(db: AsyncConnection<'_>) -> Result<()> {
    let mut alan = customer("Alan", Some("alan@example.org"))
        .insert(db)
        .await?;
    assert_eq!(Customer::find_by_id(alan.id, db).await?, Some(alan.clone()));
    assert_eq!(Customer::find_by_name("Alan", db).await?, [alan.clone()]);
    assert_eq!(Customer::find_by_id(99, db).await?, None);
    alan.name = "Turing".into();
    assert!(alan.update(db).await?);
    let upserted = customer("Alan", alan.email.as_deref()).upsert(db).await?;
    assert_eq!((upserted.id, upserted.name.as_str()), (alan.id, "Alan"));

    let named = || Customer::query().order_by(Customer::name().asc());
    let all = named().fetch_all(db).await?;
    let names: Vec<&str> = all.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["Ada", "Alan", "Grace"]);
    assert_eq!(named().fetch_one(db).await?, all[0]);
    let last = named().after(Some(&all[1])).fetch_optional(db).await?;
    assert_eq!(last.as_ref(), Some(&all[2]));
    assert_eq!(named().limit(2).count(db).await?, 2);
    let mut rows = named().stream(db).await?;
    assert_eq!(rows.next().await.unwrap()?, all[0]);
    assert_eq!(rows.try_next().await?, Some(all[1].clone()));
    drop(rows);

    let order = |of: &Customer, total: i64| Order {
        id: 0,
        customer_id: of.id,
        total: total.into(),
    };
    let orders = [order(&all[0], 1), order(&all[2], 2), order(&all[0], 3)];
    assert_eq!(Order::insert_all(&orders, db).await?, 3);
    let of_each = Customer::load_orders(&all, db).await?;
    let counts: Vec<usize> = of_each.iter().map(Vec::len).collect();
    assert_eq!(counts, [2, 0, 1]);
    assert_eq!(all[0].orders(db).await?, of_each[0]);
    assert_eq!(of_each[2][0].customer(db).await?.as_ref(), Some(&all[2]));
    let owners = Order::load_customer(&of_each[0], db).await?;
    assert_eq!(owners, [Some(all[0].clone()), Some(all[0].clone())]);

    let of_ada = || Order::query().filter(Order::customer_id().eq(all[0].id));
    let none = of_ada().filter(Order::total().gt(9)).fetch_one(db).await;
    assert_eq!(none.unwrap_err().state(), SqlState("02000"));
    let raised = of_ada().set(Order::total(), 7).execute(db).await?;
    assert_eq!(raised, 2);
    assert_eq!(
        Order::find_by_total(Decimal::from(7i64), db).await?.len(),
        2
    );
    assert_eq!(of_ada().delete(db).await?, 2);
    assert_eq!(Order::query().delete(db).await?, 1);
    assert!(alan.delete(db).await?);
    assert!(!alan.delete(db).await?);
    assert!(!alan.update(db).await?);
    Ok(())
}

#[test]
fn every_method_gives_a_future() {
    with_shop(|db| async move {
        every_method(db.as_connection()).await?;
        let tx = db.begin().await?;
        every_method(tx.as_connection()).await?;
        tx.commit().await
    });
}

#[test]
fn transactions_have_rows_of_their_own() {
    with_shop(|db| async move {
        let tx = db.begin().await?;
        let alan = customer("Alan", None).insert(&tx).await?;
        assert_eq!(Customer::query().count(&tx).await?, 3);
        assert_eq!(Customer::find_by_id(alan.id, &db).await?, None);
        drop(tx);
        assert_eq!(Customer::query().count(&db).await?, 2);
        let tx = db.begin().await?;
        customer("Alan", None).insert(&tx).await?;
        tx.commit().await?;
        assert_eq!(Customer::query().count(&db).await?, 3);
        Ok(())
    });
}

#[test]
fn a_function_may_give_results_or_futures() {
    fn named<On: Runs>(name: &str, on: On) -> On::Output<Vec<Customer>> {
        Customer::find_by_name(name, on)
    }
    with_shop(|db| async move {
        let found = named("Ada", &db).await?;
        assert_eq!(named("Ada", db.database())?, found);
        assert_eq!(named("Ada", &db.as_connection()).await?, found);
        Ok(())
    });
}

#[test]
fn futures_borrow_the_connection_alone() {
    with_shop(|db| async move {
        let added = {
            let row = customer("Alan", None);
            row.insert(&db)
        };
        let deleted = {
            let last = Customer::find_by_name("Ada", &db).await?.remove(0);
            Customer::query().after(Some(&last)).delete(&db)
        };
        assert_eq!(added.await?.name, "Alan");
        assert_eq!(deleted.await?, 2);
        Ok(())
    });
}

#[test]
fn rows_may_borrow_and_stay_on_their_thread() {
    with_shop(|db| async move {
        let name = "Alan".to_owned();
        let person = Person {
            id: 0,
            name: Cow::Borrowed(&name),
            seen: Rc::default(),
        };
        let person = person.insert(&db).await?;
        assert_eq!((person.id, &*person.name), (3, "Alan"));
        let mut people = Person::query()
            .order_by(Person::id().desc())
            .stream(&db)
            .await?;
        let first = people.try_next().await?.unwrap();
        assert_eq!(
            (first.name, Rc::strong_count(&first.seen)),
            (person.name, 1)
        );
        Ok(())
    });
}

#[test]
fn what_cannot_run_fails_when_it_is_waited_for() {
    with_shop(|db| async move {
        let limited = Customer::query().limit(1);
        let deleted = limited.delete(&db);
        assert_eq!(
            deleted.await.unwrap_err().state(),
            SqlState::FEATURE_NOT_SUPPORTED
        );
        let null = customer("x", None);
        let behind = || {
            Customer::query()
                .order_by(Customer::email().asc())
                .after(Some(&null))
        };
        let states = [
            behind().fetch_all(&db).await.unwrap_err().state(),
            behind().stream(&db).await.unwrap_err().state(),
            behind().count(&db).await.unwrap_err().state(),
        ];
        assert_eq!(states, [SqlState::INVALID_PARAMETER_VALUE; 3]);
        assert_eq!(Customer::query().count(&db).await?, 2);
        Ok(())
    });
}

#[test]
fn relations_lead_nowhere_from_null() {
    with_shop(|db| async move {
        // Nor is there a table.
        let part = Part {
            id: None,
            whole: None,
        };
        assert_eq!(part.owner(&db).await?, None);
        assert_eq!(part.parts(&db).await?, []);
        let both = [part.clone(), part];
        assert_eq!(Part::load_owner(&both, &db).await?, [None, None]);
        assert_eq!(Part::load_parts(&both, &db).await?, [[], []]);
        Ok(())
    });
}

#[test]
fn many_rows_stay_as_far_as_they_came_unless_a_transaction_holds_them() {
    // The same where it waits, and where a future does.
    let waiting = Database::in_memory().unwrap();
    waiting.migrate(&migrate!()).unwrap();
    let error = Customer::insert_all(&many(true), &waiting).unwrap_err();
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    let came = Customer::query().count(&waiting).unwrap();
    assert!(came > 0 && came < 3000, "{came}");
    with_shop(|db| async move {
        execute!(db, "DELETE FROM customer").await?;
        let error = Customer::insert_all(&many(true), &db).await.unwrap_err();
        assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
        assert_eq!(Customer::query().count(&db).await?, came);
        execute!(db, "DELETE FROM customer").await?;

        let tx = db.begin().await?;
        let error = Customer::insert_all(&many(true), &tx).await.unwrap_err();
        assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
        assert!(tx.commit().await.is_err(), "it has failed before");
        assert_eq!(Customer::query().count(&db).await?, 0);

        assert_eq!(Customer::insert_all(&many(false), &db).await?, 3000);
        assert_eq!(Customer::insert_all(&[], &db).await?, 0);
        assert_eq!(Customer::query().count(&db).await?, 3000);
        Ok(())
    });
}

#[test]
fn nothing_runs_before_it_is_polled() {
    with_shop(|db| async move {
        drop(Customer::query().delete(&db));
        drop(customer("Alan", None).insert(&db));
        assert_eq!(Customer::query().count(&db).await?, 2);
        Ok(())
    });
}

#[test]
fn a_dropped_future_leaves_its_connection_usable() {
    with_shop(|db| async move {
        execute!(db, "DELETE FROM customer").await?;
        for round in 0..40 {
            let tx = db.begin().await?;
            // Dropped somewhere: before it began, while it runs, or when it is done.
            let rows = many(false);
            let mut inserting = Customer::insert_all(&rows, &tx);
            let _ = poll_once(&mut inserting).await;
            drop(inserting);
            // All of its statements have run, or none.
            let count = Customer::query().count(&tx).await?;
            assert!([0, 3000].contains(&count), "{count}");
            if round % 2 == 0 {
                tx.rollback().await?;
            } else {
                customer("Ada", None).insert(&tx).await?;
                Customer::query().delete(&tx).await?;
                tx.commit().await?;
            }
            assert_eq!(Customer::query().count(&db).await?, 0);
        }
        Ok(())
    });
}

#[test]
fn what_was_dropped_does_not_outlive_its_transaction() {
    with_shop(|db| async move {
        for _ in 0..40 {
            let tx = db.begin().await?;
            let mut inserting = [
                customer("Alan", None).insert(&tx),
                customer("Alan", None).insert(&tx),
                customer("Alan", None).insert(&tx),
            ];
            for future in &mut inserting {
                let _ = poll_once(future).await;
            }
            drop(inserting);
            tx.rollback().await?;
            assert_eq!(Customer::query().count(&db).await?, 2);
        }
        Ok(())
    });
}

#[test]
fn dropped_rows_do_not_keep_a_transaction_from_its_end() {
    with_shop(|db| async move {
        Customer::insert_all(&many(false), &db).await?;
        for round in 1..=40 {
            let tx = db.begin().await?;
            execute!(tx, "UPDATE customer SET born = '1815-12-10' WHERE id = 1").await?;
            let mut rows = Customer::query().stream(&tx).await?;
            rows.next().await.unwrap()?;
            let mut more = query_scalar!(
                tx,
                "SELECT n FROM generate_series(1, 1000000000000) AS s(n) WHERE n % 10000 = 0"
            )
            .stream()
            .await?;
            assert_eq!(more.next().await.unwrap()?, 10000);
            let mut opening = Box::pin(Customer::query().stream(&tx));
            let _ = poll_once(&mut opening).await;
            let mut fetching = Customer::query().fetch_all(&tx);
            let _ = poll_once(&mut fetching).await;
            drop((rows, more, opening, fetching));
            if round % 2 == 0 {
                tx.commit().await?;
            } else {
                tx.rollback().await?;
            }
        }
        // A stream that somebody has still does.
        let tx = db.begin().await?;
        let mut rows = Customer::query().stream(&tx).await?;
        rows.next().await.unwrap()?;
        let error = tx.commit().await.unwrap_err();
        assert_eq!(error.state(), SqlState("55006"));
        drop(rows);
        assert_eq!(Customer::query().count(&db).await?, 3002);
        Ok(())
    });
}
