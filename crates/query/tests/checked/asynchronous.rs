//! The same macros with futures.

use std::future::Future;

use futures_lite::{StreamExt, future::block_on};
use rustling_query::{
    AsyncConnection, AsyncDatabase, Connect, IsolationLevel, Result, SqlState, TransactionModes,
    execute, migrate, query, query_as, query_scalar,
};

/// Runs on this thread, which no runtime has.
pub(super) fn with_shop<F: Future<Output = Result<()>>>(work: impl FnOnce(AsyncDatabase) -> F) {
    let run = async {
        let db = AsyncDatabase::in_memory()?;
        db.migrate(&migrate!()).await?;
        execute!(
            db,
            "INSERT INTO customer (name, email) VALUES ('Ada', 'ada@example.org'), ('Grace', NULL)"
        )
        .await?;
        work(db).await
    };
    block_on(run).unwrap();
}

async fn count(db: AsyncConnection<'_>) -> Result<i64> {
    query_scalar!(db, "SELECT count(*) FROM customer")
        .fetch_one()
        .await
}

#[test]
fn fetches_one_some_or_all() {
    with_shop(|db| async move {
        let name = "Ada".to_owned();
        let row = query!(db, "SELECT id, email FROM customer WHERE name = {&name}")
            .fetch_one()
            .await?;
        let found: (i32, Option<&str>) = (row.id, row.email.as_deref());
        assert_eq!(found, (1, Some("ada@example.org")));
        let none = query!(db, "SELECT id FROM customer WHERE id = {9}");
        assert!(none.fetch_optional().await?.is_none());
        let error = query!(db, "SELECT id FROM customer WHERE id = {9}")
            .fetch_one()
            .await
            .unwrap_err();
        assert_eq!(error.state(), SqlState("02000"));
        struct Named {
            name: String,
        }
        let all = query_as!(db, Named, "SELECT name FROM customer ORDER BY id")
            .fetch_all()
            .await?;
        let names: Vec<&str> = all.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["Ada", "Grace"]);
        Ok(())
    });
}

#[test]
fn rows_stream_as_they_are_asked_for() {
    with_shop(|db| async move {
        // Far more than would fit into memory, were they not computed on demand.
        let mut rows = query_scalar!(
            db,
            "SELECT n FROM generate_series(1, 1000000000000) AS s(n)"
        )
        .stream()
        .await?;
        assert_eq!(rows.next().await.unwrap()?, 1);
        assert_eq!(rows.next().await.unwrap()?, 2);
        drop(rows);
        let mut rows = query_scalar!(db, "SELECT n FROM generate_series(1, 1000) AS s(n)")
            .stream()
            .await?;
        let sum = rows.try_fold(0i64, |sum, n| Ok(sum + i64::from(n))).await?;
        assert_eq!(sum, 500_500);
        let mut failing =
            query_scalar!(db, "SELECT 6 / (2 - n) FROM generate_series(1, 2) AS s(n)")
                .stream()
                .await?;
        assert_eq!(failing.next().await.unwrap()?, 6);
        let error = failing.next().await.unwrap().unwrap_err();
        assert_eq!(error.state(), SqlState::DIVISION_BY_ZERO);
        Ok(())
    });
}

#[test]
fn transactions_are_committed_or_never_were() {
    with_shop(|db| async move {
        let tx = db.begin().await?;
        let changed = execute!(tx, "DELETE FROM customer WHERE name = 'Ada'").await?;
        assert_eq!(changed, 1);
        assert_eq!(count(tx.as_connection()).await?, 1);
        assert_eq!(count(db.as_connection()).await?, 2);
        drop(tx);
        assert_eq!(count(db.as_connection()).await?, 2);

        let tx = db.begin().await?;
        execute!(tx, "DELETE FROM customer").await?;
        tx.rollback().await?;
        assert_eq!(count(db.as_connection()).await?, 2);

        let tx = db.begin().await?;
        execute!(tx, "DELETE FROM customer").await?;
        tx.commit().await?;
        assert_eq!(count(db.as_connection()).await?, 0);

        let tx = db.begin().await?;
        let twice = execute!(
            tx,
            "INSERT INTO customer (name, email) VALUES ('A', 'a'), ('B', 'a')"
        );
        assert_eq!(twice.await.unwrap_err().state(), SqlState::UNIQUE_VIOLATION);
        assert!(tx.commit().await.is_err(), "it has failed before");
        Ok(())
    });
}

#[test]
fn what_got_in_the_way_is_tried_again() {
    with_shop(|db| async move {
        execute!(db, "INSERT INTO orders (customer_id, total) VALUES (1, 0)").await?;
        let increments = (0..8).map(|_| {
            let db = db.clone();
            std::thread::spawn(move || {
                let serializable = TransactionModes {
                    isolation: Some(IsolationLevel::Serializable),
                    ..TransactionModes::default()
                };
                block_on(db.transaction_with(serializable, |tx| {
                    // What is read decides what is written: none of it may be old.
                    let count =
                        query_scalar!(tx, "SELECT total::bigint FROM orders").fetch_one()?;
                    let next = count + 1;
                    execute!(tx, "UPDATE orders SET total = {next}")
                }))
            })
        });
        for increment in increments.collect::<Vec<_>>() {
            assert_eq!(increment.join().unwrap()?, 1);
        }
        let total = query_scalar!(db, "SELECT total FROM orders")
            .fetch_one()
            .await?;
        assert_eq!(total.to_string(), "8.00");
        Ok(())
    });
}

#[test]
fn futures_may_move_between_threads() {
    fn movable<T: Send>(of: T) -> T {
        of
    }
    with_shop(|db| async move {
        let id = 1;
        let one = movable(query!(db, "SELECT name FROM customer WHERE id = {id}").fetch_one());
        assert_eq!(one.await?.name, "Ada");
        movable(execute!(db, "DELETE FROM customer WHERE id = {id}")).await?;
        movable(db.begin()).await?;
        Ok(())
    });
}
