//! Many rows, many threads, little memory, no space: the database answers, and keeps its data.
//!
//! The amounts fit a debug build; `RUSTLING_STRESS=full` runs millions of rows.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test speaks to the real world, and fails by panicking"
)]

use std::{path::Path, thread};

use rustling_integration::rows;
use rustling_sql::{BulkOptions, Database, DatabaseOptions, SqlState, Value};
use rustling_storage::StoreOptions;
use rustling_testkit::sim::SimEnv;

fn is_full() -> bool {
    std::env::var("RUSTLING_STRESS").is_ok_and(|mode| mode == "full")
}

/// Loads `count` rows of a number, a text and a remainder into a new table `t`.
fn fill(db: &Database, count: i64) {
    db.execute(
        "CREATE TABLE t (id bigint PRIMARY KEY, name text, part int)",
        (),
    )
    .unwrap();
    let loader = db.bulk_loader("t", BulkOptions::default()).unwrap();
    let row = |id: i64| {
        vec![
            Value::Int8(id),
            Value::Text(format!("row number {id}").into()),
            Value::Int4((id % 10) as i32),
        ]
    };
    for start in (0..count).step_by(5_000) {
        loader
            .append((start..count.min(start + 5_000)).map(row).collect())
            .unwrap();
    }
    assert_eq!(loader.finish().unwrap(), count as u64);
}

#[test]
fn many_rows_are_counted_grouped_and_found() {
    let count = if is_full() { 3_000_000 } else { 60_000 };
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("a.db")).unwrap();
    fill(&db, count);
    assert_eq!(
        rows::<(i64,)>(&db, "SELECT count(*) FROM t").unwrap(),
        [(count,)]
    );
    let parts: Vec<(i32, i64)> = rows(
        &db,
        "SELECT part, count(*) FROM t GROUP BY part ORDER BY part",
    )
    .unwrap();
    assert_eq!(
        parts,
        (0..10).map(|part| (part, count / 10)).collect::<Vec<_>>()
    );
    db.execute("CREATE INDEX t_name ON t (name)", ()).unwrap();
    let found: Vec<(i64,)> = rows(&db, "SELECT id FROM t WHERE name = 'row number 4711'").unwrap();
    assert_eq!(found, [(4711,)]);
    assert_eq!(
        db.execute("DELETE FROM t WHERE part < 5", ()).unwrap(),
        count as u64 / 2
    );
    assert_eq!(
        rows::<(i64,)>(&db, "SELECT count(*) FROM t").unwrap(),
        [(count / 2,)]
    );
    assert!(db.store().verify().unwrap().is_clean());
}

#[test]
fn readers_and_writers_share_a_small_cache() {
    let directory = tempfile::tempdir().unwrap();
    let store = StoreOptions {
        memory_budget: 8 << 20,
        ..StoreOptions::default()
    };
    let options = DatabaseOptions {
        store,
        ..DatabaseOptions::default()
    };
    let db = Database::open_with(directory.path().join("a.db"), options).unwrap();
    let count = if is_full() { 1_000_000 } else { 40_000 };
    fill(&db, count);
    let rounds = if is_full() { 5_000 } else { 150 };
    thread::scope(|scope| {
        for seed in 0..3 {
            let (writer, reader) = (db.clone(), db.clone());
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in 0..rounds {
                    let id = random.i64(0..count);
                    writer
                        .execute("UPDATE t SET name = 'changed ' || id WHERE id = $1", (id,))
                        .unwrap();
                }
            });
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed + 100);
                for _ in 0..rounds {
                    let id = random.i64(0..count);
                    let found: Vec<(i64, String)> = reader
                        .query("SELECT id, name FROM t WHERE id = $1", (id,))
                        .unwrap()
                        .read_all()
                        .unwrap();
                    assert_eq!(found.len(), 1);
                    assert!(
                        [format!("row number {id}"), format!("changed {id}")].contains(&found[0].1)
                    );
                }
            });
        }
    });
    assert_eq!(
        rows::<(i64,)>(&db, "SELECT count(*) FROM t").unwrap(),
        [(count,)]
    );
    assert!(db.store().verify().unwrap().is_clean());
}

#[test]
fn more_rows_than_memory_holds_are_changed_by_one_statement() {
    let store = StoreOptions {
        memory_budget: 8 << 20,
        ..StoreOptions::default()
    };
    let options = DatabaseOptions {
        store,
        ..DatabaseOptions::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open_with(directory.path().join("a.db"), options).unwrap();
    fill(&db, 60_000);
    let changed = db.execute("UPDATE t SET name = name || '!'", ()).unwrap();
    assert_eq!(changed, 60_000);
    let removed = db.execute("DELETE FROM t WHERE part < 5", ()).unwrap();
    assert_eq!(removed, 30_000);
    assert_eq!(
        rows::<(i64, i64)>(
            &db,
            "SELECT count(*), count(*) FILTER (WHERE name LIKE '%!') FROM t"
        )
        .unwrap(),
        [(30_000, 30_000)]
    );
    assert!(db.store().verify().unwrap().is_clean());
}

#[test]
fn a_statement_beyond_the_memory_budget_fails_cleanly_or_finishes() {
    let store = StoreOptions {
        memory_budget: 8 << 20,
        ..StoreOptions::default()
    };
    let db = Database::in_memory_with(store).unwrap();
    fill(&db, 40_000);
    // Every pair of rows would take gigabytes.
    let query = "SELECT count(*) FROM (SELECT DISTINCT a.name, b.name AS other FROM t a, t b WHERE a.part = b.part LIMIT 3000000) x";
    match db.query(query, ()).and_then(|rows| rows.values()) {
        Ok(rows) => assert_eq!(rows.len(), 1),
        Err(error) => assert_eq!(error.state(), SqlState::OUT_OF_MEMORY, "{error}"),
    }
    // The database goes on.
    assert_eq!(
        rows::<(i64,)>(&db, "SELECT count(*) FROM t").unwrap(),
        [(40_000,)]
    );
}

#[test]
fn a_full_disk_refuses_writes_keeps_reads_and_loses_nothing() {
    let world = SimEnv::new(3);
    let open = |world: &SimEnv| {
        let mut options = DatabaseOptions {
            env: world.env(),
            ..DatabaseOptions::default()
        };
        options.store.background = false;
        Database::open_with(Path::new("/db"), options).unwrap()
    };
    let db = open(&world);
    db.execute("CREATE TABLE t (id int PRIMARY KEY, filler text)", ())
        .unwrap();
    world.vfs.set_capacity(Some(world.vfs.used() + (1 << 20)));
    let mut stored = 0;
    let error = loop {
        match db.execute(
            "INSERT INTO t VALUES ($1, $2)",
            (stored, "x".repeat(20_000)),
        ) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000, "the disk never fills");
    };
    assert!(
        matches!(error.state(), SqlState::DISK_FULL | SqlState::IO_ERROR),
        "{error:?}"
    );
    assert_eq!(
        rows::<(i64,)>(&db, "SELECT count(*) FROM t").unwrap(),
        [(i64::from(stored),)]
    );
    drop(db);
    world.vfs.set_capacity(None);
    let db = open(&world);
    let found: Vec<(i64,)> = rows(&db, "SELECT count(*) FROM t").unwrap();
    // The statement that failed is there whole, or not at all.
    assert!(
        (i64::from(stored)..=i64::from(stored) + 1).contains(&found[0].0),
        "{found:?} of {stored}"
    );
    db.execute("INSERT INTO t VALUES (-1, '')", ()).unwrap();
    assert!(db.store().verify().unwrap().is_clean());
}
