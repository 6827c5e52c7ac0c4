//! The main job, end to end: load, ask, crash, recover, ask again.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test speaks to the real world, and fails by panicking"
)]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustling_integration::{TABLES, data_file, load_table, rows};
use rustling_sql::{Database, DatabaseOptions, Value};
use rustling_testkit::sim::{Crash, CrashPolicy, SimEnv};

/// CSV load → query → verify, with answers compared to those of SQLite on the same data.
#[test]
fn the_flights_of_new_york_answer_as_in_another_database() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("flights.db")).unwrap();
    for (table, expected_rows, expected_columns) in TABLES {
        let report = load_table(&db, table).unwrap();
        assert_eq!(
            (report.rows, report.columns.len()),
            (expected_rows, expected_columns),
            "{table}"
        );
        assert_eq!(report.rejected, 0, "{table}");
    }
    let type_of = |table: &str, column: &str| {
        let table = db.table(table).unwrap();
        table.columns[table.column(column).unwrap()]
            .data_type
            .to_string()
    };
    assert_eq!(
        type_of("planes", "speed"),
        "integer",
        "its first values are NA"
    );
    assert!(type_of("flights", "time_hour").starts_with("timestamp"));
    assert_eq!(
        rows::<(i64,)>(&db, "SELECT count(*) FROM flights WHERE carrier = 'UA'").unwrap(),
        [(58_665,)]
    );
    let mean: Vec<(f64,)> = rows(
        &db,
        "SELECT CAST(avg(arr_delay) AS double precision) FROM flights WHERE arr_delay IS NOT NULL",
    )
    .unwrap();
    assert_eq!(format!("{:.3}", mean[0].0), "6.895");

    let sqlite = sqlite_with_the_same_data();
    for sql in [
        "SELECT a.name, count(*), sum(f.distance), min(f.air_time), max(p.seats) \
         FROM flights f JOIN planes p ON f.tailnum = p.tailnum JOIN airlines a ON f.carrier = a.carrier \
         GROUP BY a.name ORDER BY a.name",
        "SELECT f.origin, f.month, count(*), sum(f.dep_delay), count(f.dep_delay) FROM flights f \
         GROUP BY f.origin, f.month ORDER BY f.origin, f.month",
        "SELECT p.manufacturer, p.engines, count(*) FROM planes p WHERE p.year >= 2000 \
         GROUP BY p.manufacturer, p.engines HAVING count(*) > 10 ORDER BY 3 DESC, 1, 2",
        "SELECT f.tailnum, f.flight, f.arr_delay FROM flights f WHERE f.arr_delay > 600 \
         ORDER BY f.arr_delay DESC, f.tailnum, f.flight LIMIT 50",
        "SELECT ap.name, count(*) FROM airports ap LEFT JOIN flights f ON f.dest = ap.faa AND f.month = 7 \
         WHERE ap.alt > 5000 GROUP BY ap.name ORDER BY 2 DESC, 1 LIMIT 40",
        "SELECT count(*) FROM flights WHERE dest NOT IN (SELECT faa FROM airports)",
        "SELECT DISTINCT origin, dest FROM flights WHERE distance BETWEEN 2000 AND 2500 ORDER BY origin, dest",
    ] {
        let ours = texts(&db, sql);
        let theirs = sqlite_texts(&sqlite, sql);
        assert!(
            !ours.is_empty() && ours == theirs,
            "{sql}\n{ours:?}\n{theirs:?}"
        );
    }
    for executor in ["row", "vector"] {
        let mut session = db.session();
        session.set("executor", executor).unwrap();
        let sum: Vec<(i64,)> = session
            .query("SELECT sum(distance) FROM flights WHERE arr_delay > 0", ())
            .unwrap()
            .read_all()
            .unwrap();
        assert_eq!(
            sum,
            rows(&db, "SELECT sum(distance) FROM flights WHERE arr_delay > 0").unwrap(),
            "{executor}"
        );
    }
    let report = db.store().verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// Every row as text, numbers in their shortest form.
fn texts(db: &Database, sql: &str) -> Vec<Vec<String>> {
    let rows = db
        .query(sql, ())
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .values()
        .unwrap();
    let text = |value: Value| {
        if value.is_null() {
            "NULL".to_string()
        } else {
            value.to_string()
        }
    };
    rows.into_iter()
        .map(|row| row.into_iter().map(text).collect())
        .collect()
}

fn sqlite_texts(db: &rusqlite::Connection, sql: &str) -> Vec<Vec<String>> {
    let mut statement = db.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| {
                Ok(match row.get_ref(column)? {
                    rusqlite::types::ValueRef::Null => "NULL".into(),
                    rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                    rusqlite::types::ValueRef::Real(n) => n.to_string(),
                    rusqlite::types::ValueRef::Text(text) => {
                        String::from_utf8_lossy(text).into_owned()
                    }
                    rusqlite::types::ValueRef::Blob(_) => "blob".into(),
                })
            })
            .collect()
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn sqlite_with_the_same_data() -> rusqlite::Connection {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    for (table, ..) in TABLES {
        let compressed = std::fs::read(data_file(table)).unwrap();
        let text = String::from_utf8(zstd::decode_all(compressed.as_slice()).unwrap()).unwrap();
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap().split(',').collect();
        // NUMERIC affinity turns numbers into numbers and leaves the rest as text.
        let columns: Vec<String> = header
            .iter()
            .map(|name| format!("\"{name}\" NUMERIC"))
            .collect();
        db.execute_batch(&format!(
            "BEGIN; CREATE TABLE {table} ({})",
            columns.join(",")
        ))
        .unwrap();
        let marks = vec!["?"; header.len()].join(",");
        let mut insert = db
            .prepare(&format!("INSERT INTO {table} VALUES ({marks})"))
            .unwrap();
        for line in lines {
            let fields = split(line);
            let values = fields
                .iter()
                .map(|field| if field == "NA" { None } else { Some(field) });
            insert.execute(rusqlite::params_from_iter(values)).unwrap();
        }
        drop(insert);
        db.execute_batch("COMMIT").unwrap();
    }
    db
}

/// The fields of a line; the sample data has quotes but no line ends within them.
fn split(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}

/// Insert → checkpoint → query, in this and in the next process life.
#[test]
fn what_is_inserted_is_there_after_a_checkpoint_and_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    let db = Database::open(&path).unwrap();
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, born date)",
        (),
    )
    .unwrap();
    db.execute("CREATE INDEX t_name ON t (name)", ()).unwrap();
    for id in 0..500 {
        db.execute(
            "INSERT INTO t VALUES ($1, $2, DATE '2000-01-01' + $1)",
            (id, format!("name {:03}", id % 50)),
        )
        .unwrap();
        if id == 250 {
            db.checkpoint().unwrap();
        }
    }
    let check = |db: &Database| {
        let found: Vec<(i64, i32)> = rows(
            db,
            "SELECT count(*), max(id) FROM t WHERE name = 'name 007'",
        )
        .unwrap();
        assert_eq!(found, [(10, 457)]);
        let found: Vec<(i32, String)> =
            rows(db, "SELECT id, CAST(born AS text) FROM t WHERE id = 31").unwrap();
        assert_eq!(found, [(31, "2000-02-01".into())]);
    };
    check(&db);
    // Dropped without closing: the log has it all.
    drop(db);
    let db = Database::open(&path).unwrap();
    check(&db);
    db.close().unwrap();
    check(&Database::open(&path).unwrap());
}

/// Crash → recovery → query, at the SQL level: a power failure at any operation leaves whole
/// transactions, and all that were acknowledged.
#[test]
fn a_power_failure_leaves_whole_transactions() {
    let open = |world: &SimEnv| {
        let mut options = DatabaseOptions {
            env: world.env(),
            ..DatabaseOptions::default()
        };
        options.store.background = false;
        Database::open_with("/db", options).unwrap()
    };
    let world = SimEnv::new(7);
    let db = open(&world);
    db.execute(
        "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0))",
        (),
    )
    .unwrap();
    db.execute("INSERT INTO account VALUES (1, 1000), (2, 0)", ())
        .unwrap();
    let mut images = Vec::new();
    for amount in 1..=20 {
        db.transaction(|tx| {
            tx.execute(
                "UPDATE account SET balance = balance - $1 WHERE id = 1",
                (amount,),
            )?;
            tx.execute(
                "UPDATE account SET balance = balance + $1 WHERE id = 2",
                (amount,),
            )?;
            Ok(())
        })
        .unwrap();
        let moved: i32 = (1..=amount).sum();
        for policy in [
            CrashPolicy::DropAll,
            CrashPolicy::KeepAll,
            CrashPolicy::Subset,
        ] {
            images.push((moved, world.vfs.crash(&Crash::power(policy, amount as u64))));
        }
    }
    drop(db);
    for (moved, image) in images {
        let db = open(&SimEnv::from_image(&image, 7));
        let found: Vec<(i32,)> = rows(&db, "SELECT balance FROM account ORDER BY id").unwrap();
        assert_eq!(found[0].0 + found[1].0, 1000, "money was made or lost");
        assert!(found[1].0 >= moved, "an acknowledged transfer was lost");
        assert!(db.store().verify().unwrap().is_clean());
    }
}

/// Concurrent operations → verify: transfers between accounts keep their sum at every moment.
#[test]
fn concurrent_transfers_keep_the_sum() {
    const ACCOUNTS: i32 = 10;
    let db = Database::in_memory().unwrap();
    db.execute(
        "CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL)",
        (),
    )
    .unwrap();
    for id in 0..ACCOUNTS {
        db.execute("INSERT INTO account VALUES ($1, 100)", (id,))
            .unwrap();
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u64)
            .map(|seed| {
                let db = db.clone();
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    for _ in 0..200 {
                        let (from, to) = (random.i32(0..ACCOUNTS), random.i32(0..ACCOUNTS));
                        db.transaction(|tx| {
                            tx.execute(
                                "UPDATE account SET balance = balance - 1 WHERE id = $1",
                                (from,),
                            )?;
                            tx.execute(
                                "UPDATE account SET balance = balance + 1 WHERE id = $1",
                                (to,),
                            )?;
                            Ok(())
                        })
                        .unwrap();
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let sum: Vec<(i64,)> =
                    rows(&db, "SELECT CAST(sum(balance) AS bigint) FROM account").unwrap();
                assert_eq!(sum, [(i64::from(ACCOUNTS) * 100,)]);
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(db.store().verify().unwrap().is_clean());
}
