//! Sessions at once: what they may and may not see and do to one another.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::{
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rustling_sql::{
    Database, DatabaseOptions, Result, SqlState, Value,
    bound::{IsolationLevel, TransactionModes},
};

fn one<T: rustling_sql::FromValue>(db: &Database, sql: &str) -> T {
    let row = db.query(sql, ()).unwrap().next().unwrap().unwrap();
    row.get(0).unwrap()
}

/// Returns once a transaction of `db` waits for a lock, or `waiting` has ended without.
pub(crate) fn until_it_waits<T>(db: &Database, waiting: &thread::ScopedJoinHandle<'_, T>) {
    let waits = || {
        let active = db.transaction_manager().active();
        active.iter().any(|of| of.waits_for.is_some())
    };
    while !waits() && !waiting.is_finished() {
        thread::yield_now();
    }
}

#[test]
fn updates_of_one_row_are_not_lost() {
    let db = Database::in_memory().unwrap();
    db.execute("CREATE TABLE counter (id int PRIMARY KEY, n bigint)", ())
        .unwrap();
    db.execute("INSERT INTO counter VALUES (1, 0)", ()).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    db.execute("UPDATE counter SET n = n + 1 WHERE id = 1", ())
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(one::<i64>(&db, "SELECT n FROM counter"), 200);
}

#[test]
fn a_changed_row_is_checked_again() {
    let db = Database::in_memory().unwrap();
    db.execute("CREATE TABLE t (id int PRIMARY KEY, state text, n int)", ())
        .unwrap();
    db.execute("CREATE INDEX t_state ON t (state)", ()).unwrap();
    db.execute("INSERT INTO t VALUES (1, 'free', 0), (2, 'free', 0)", ())
        .unwrap();
    let mut first = db.session();
    first.run("BEGIN", ()).unwrap();
    first
        .run("UPDATE t SET state = 'taken', n = 10 WHERE id = 1", ())
        .unwrap();
    thread::scope(|scope| {
        // Sees both rows as free, waits for the first, and must not take it then.
        let second = scope.spawn(|| {
            db.execute("UPDATE t SET n = n + 1 WHERE state = 'free'", ())
                .unwrap()
        });
        until_it_waits(&db, &second);
        first.run("COMMIT", ()).unwrap();
        second.join().unwrap();
    });
    let rows: Vec<(i32, String, i32)> = db
        .query("SELECT id, state, n FROM t ORDER BY id", ())
        .unwrap()
        .read_all()
        .unwrap();
    assert_eq!(
        rows,
        [(1, "taken".to_owned(), 10), (2, "free".to_owned(), 1)]
    );
}

#[test]
fn of_equal_keys_one_is_inserted() {
    let db = Database::in_memory().unwrap();
    db.execute("CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)", ())
        .unwrap();
    let won = AtomicU64::new(0);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for worker in 0..4 {
            let (db, won, barrier) = (&db, &won, &barrier);
            scope.spawn(move || {
                for round in 0..50 {
                    barrier.wait();
                    let id = worker * 1000 + round;
                    match db.execute("INSERT INTO t VALUES ($1, $2)", (id, round)) {
                        Ok(_) => _ = won.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION, "{error}")
                        }
                    }
                }
            });
        }
    });
    assert_eq!(won.into_inner(), 50);
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM t"), 50);
}

#[test]
fn an_index_made_under_writes_misses_nothing() {
    let db = Database::in_memory().unwrap();
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", ())
        .unwrap();
    thread::scope(|scope| {
        for worker in 0..3 {
            let db = &db;
            scope.spawn(move || {
                for at in 0..100 {
                    let id = worker * 1000 + at;
                    db.execute("INSERT INTO t VALUES ($1, $2)", (id, at % 10))
                        .unwrap();
                    if at % 3 == 0 {
                        db.execute("UPDATE t SET v = v + 100 WHERE id = $1", (id,))
                            .unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..5 {
                db.execute("CREATE INDEX t_v ON t (v)", ()).unwrap();
                db.execute("DROP INDEX t_v", ()).unwrap();
            }
            db.execute("CREATE INDEX t_v ON t (v)", ()).unwrap();
        });
    });
    db.execute("ANALYZE t", ()).unwrap();
    let plan: Vec<(String,)> = db
        .query("EXPLAIN SELECT id FROM t WHERE v = 103", ())
        .unwrap()
        .read_all()
        .unwrap();
    assert!(
        plan.iter()
            .any(|(line,)| line.contains("Index Only Scan using t_v")),
        "{plan:?}"
    );
    for v in (0..10).chain(100..110) {
        let by_index = one::<i64>(&db, &format!("SELECT count(*) FROM t WHERE v = {v}"));
        let by_scan = one::<i64>(&db, &format!("SELECT count(*) FROM t WHERE v + 0 = {v}"));
        assert_eq!(by_index, by_scan, "v = {v}");
    }
}

#[test]
fn transfers_keep_the_sum() {
    let db = Database::in_memory().unwrap();
    db.execute(
        "CREATE TABLE account (id int PRIMARY KEY, balance bigint CHECK (balance >= 0))",
        (),
    )
    .unwrap();
    db.execute(
        "INSERT INTO account VALUES (0, 100), (1, 100), (2, 100)",
        (),
    )
    .unwrap();
    thread::scope(|scope| {
        for worker in 0..3_i32 {
            let db = &db;
            scope.spawn(move || {
                for round in 0..30_i32 {
                    let (from, to) = ((worker + round) % 3, (worker + 2 * round + 1) % 3);
                    let moved: Result<()> = db.transaction(|tx| {
                        tx.execute(
                            "UPDATE account SET balance = balance - 7 WHERE id = $1",
                            (from,),
                        )?;
                        tx.execute(
                            "UPDATE account SET balance = balance + 7 WHERE id = $1",
                            (to,),
                        )?;
                        Ok(())
                    });
                    if let Err(error) = moved {
                        assert_eq!(error.state(), SqlState::CHECK_VIOLATION, "{error}");
                    }
                }
            });
        }
        for _ in 0..50 {
            let sum: rustling_sql::Decimal = one(&db, "SELECT sum(balance) FROM account");
            assert_eq!(sum.to_string(), "300");
        }
    });
}

#[test]
fn cancelling_ends_a_statement() {
    let db = Database::in_memory().unwrap();
    db.execute("CREATE TABLE n (x int)", ()).unwrap();
    db.execute(
        "INSERT INTO n VALUES (1), (2), (3), (4), (5), (6), (7), (8)",
        (),
    )
    .unwrap();
    let mut session = db.session();
    let token = session.cancel_token();
    thread::scope(|scope| {
        let query = scope.spawn(move || {
            session.execute(
                "SELECT count(*) FROM n a, n b, n c, n d, n e, n f, n g, n h, n i WHERE a.x + b.x + c.x + d.x + e.x + f.x + g.x + h.x + i.x < 0",
                (),
            )
        });
        while !query.is_finished() {
            token.cancel();
            thread::yield_now();
        }
        assert_eq!(
            query.join().unwrap().unwrap_err().state(),
            SqlState::QUERY_CANCELED
        );
    });
}

#[test]
fn what_is_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    {
        let db = Database::open(&path).unwrap();
        db.execute(
            "CREATE TABLE t (id int PRIMARY KEY, d numeric(6,2) DEFAULT 1.5 CHECK (d > 0))",
            (),
        )
        .unwrap();
        db.execute("CREATE TABLE log (line text)", ()).unwrap();
        db.execute("CREATE INDEX t_d ON t (d)", ()).unwrap();
        db.execute("INSERT INTO t (id) VALUES (1), (2)", ())
            .unwrap();
        db.execute("INSERT INTO log VALUES ('a'), ('b')", ())
            .unwrap();
        db.execute("ANALYZE", ()).unwrap();
        db.close().unwrap();
    }
    let db = Database::open_with(&path, DatabaseOptions::default()).unwrap();
    db.execute("INSERT INTO t (id) VALUES (3)", ()).unwrap();
    db.execute("INSERT INTO log VALUES ('c')", ()).unwrap();
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM t WHERE d = 1.5"), 3);
    let lines: Vec<(String,)> = db
        .query("SELECT line FROM log", ())
        .unwrap()
        .read_all()
        .unwrap();
    assert_eq!(
        lines
            .iter()
            .map(|(line,)| line.as_str())
            .collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    let error = db.execute("INSERT INTO t VALUES (4, -1)", ()).unwrap_err();
    assert_eq!(error.state(), SqlState::CHECK_VIOLATION);
    assert_eq!(db.estimated_rows("t"), Some(2));
    assert_eq!(db.tables().len(), 2);
}

#[test]
fn an_open_result_keeps_its_transaction_open() {
    let db = Database::in_memory().unwrap();
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", ())
        .unwrap();
    db.execute("INSERT INTO t VALUES (1), (2)", ()).unwrap();
    let mut session = db.session();
    session.begin().unwrap();
    let mut rows = session.query("SELECT id FROM t", ()).unwrap();
    assert_eq!(rows.next().unwrap().unwrap().values(), [Value::Int4(1)]);
    session.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    let error = session.commit().unwrap_err();
    assert_eq!(error.state().0, "55006");
    drop(rows);
    session.commit().unwrap();
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM t"), 3);
}

/// On call are at least two, as the rule says, whatever the doctors do at once.
#[test]
fn serializable_keeps_a_rule_that_no_constraint_can_state() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE TABLE doctor (id int PRIMARY KEY, ward int, on_call boolean);
         CREATE INDEX doctor_ward ON doctor (ward);
         INSERT INTO doctor SELECT n, n % 2, true FROM (VALUES (1), (2), (3), (4), (5), (6)) v (n)",
    )
    .unwrap();
    let left = AtomicU64::new(0);
    thread::scope(|scope| {
        for who in 1..=6i32 {
            let (db, left) = (&db, &left);
            scope.spawn(move || {
                for round in 0..25 {
                    let serializable = TransactionModes {
                        isolation: Some(IsolationLevel::Serializable),
                        ..TransactionModes::default()
                    };
                    let result = db.transaction_with(serializable, |tx| {
                        let ward = who % 2;
                        let sql = "SELECT count(*) FROM doctor WHERE ward = $1 AND on_call";
                        let mut rows = tx.query(sql, (ward,))?;
                        let on_call: i64 = rows.next().expect("a count")?.get(0)?;
                        drop(rows);
                        assert!(on_call >= 2, "{on_call} on call in ward {ward}");
                        let leaves = round % 2 == 0 && on_call > 2;
                        tx.execute(
                            "UPDATE doctor SET on_call = $1 WHERE id = $2",
                            (!leaves, who),
                        )?;
                        Ok(leaves)
                    });
                    match result {
                        Ok(leaves) => drop(left.fetch_add(u64::from(leaves), Ordering::Relaxed)),
                        Err(error) => assert_eq!(error.state(), SqlState::SERIALIZATION_FAILURE),
                    }
                }
            });
        }
    });
    assert!(left.into_inner() > 0);
    for ward in 0..2 {
        let sql = format!("SELECT count(*) FROM doctor WHERE ward = {ward} AND on_call");
        assert!(one::<i64>(&db, &sql) >= 2);
    }
}
