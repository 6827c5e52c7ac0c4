//! Sorts, aggregations, DISTINCT and joins of more than fits into the memory budget: they finish,
//! give what they give with enough memory, and leave no files behind.
#![expect(clippy::expect_used, reason = "a failing step fails the test")]

use std::path::Path;

use rustling_sql::{Database, DatabaseOptions, Session, SqlState, Value};

const ROWS: usize = 3_000;

fn database(directory: &Path, memory: usize) -> Database {
    let mut options = DatabaseOptions::default();
    options.store.memory_budget = memory;
    Database::open_with(directory, options).expect("a database")
}

fn fill(session: &mut Session) {
    session
        .execute(
            "CREATE TABLE t (id int PRIMARY KEY, k int, s text, n numeric)",
            (),
        )
        .expect("a table");
    let series = format!("generate_series(1, {ROWS})");
    session
        .execute(
            &format!(
                "INSERT INTO t SELECT i, CASE WHEN i % 11 <> 0 THEN i * 7919 % 907 END,
                 'value ' || (i * 31 % 1499) || repeat('x', 60), i * 0.25 FROM {series} i"
            ),
            (),
        )
        .expect("rows");
}

fn rows(session: &mut Session, sql: &str) -> Vec<Vec<Value>> {
    session
        .query(sql, ())
        .and_then(|rows| {
            rows.map(|row| row.map(|row| row.values().to_vec()))
                .collect()
        })
        .expect(sql)
}

const QUERIES: &[&str] = &[
    "SELECT id, s, n FROM t ORDER BY s, id",
    "SELECT id, k FROM t ORDER BY k DESC NULLS LAST, id",
    "SELECT s, count(*), sum(n), min(id) FROM t GROUP BY s ORDER BY s",
    "SELECT k, s, count(*) FROM t GROUP BY ROLLUP (s, k) ORDER BY s, k, 3",
    "SELECT count(*) FROM (SELECT DISTINCT s, k FROM t) d",
    "SELECT a.id, b.id FROM t a JOIN t b ON a.s = b.s AND a.id <= b.id ORDER BY 1, 2",
    "SELECT a.id, b.s FROM t a LEFT JOIN t b ON a.id = b.k + 300 ORDER BY 1, 2",
    "SELECT count(*), count(a.id), count(b.id) FROM t a FULL JOIN t b ON a.k = b.id + 1",
    "SELECT count(*) FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE b.k = a.id AND b.n > a.n)",
    "SELECT id, k NOT IN (SELECT k FROM t WHERE s > 'value 2') FROM t ORDER BY id LIMIT 50",
    "SELECT id, row_number() OVER (ORDER BY s, id) FROM t ORDER BY id",
];

#[test]
fn more_than_the_memory_budget() {
    let (small_directory, large_directory) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    );
    fill(&mut database(small_directory.path(), 256 << 20).session());
    let small = database(small_directory.path(), 2 << 20);
    let large = database(large_directory.path(), 256 << 20);
    let (mut small, mut large) = (small.session(), large.session());
    fill(&mut large);
    for executor in ["row", "vector"] {
        small
            .execute(&format!("SET executor = {executor}"), ())
            .expect("a setting");
        for sql in QUERIES {
            assert_eq!(
                rows(&mut small, sql),
                rows(&mut large, sql),
                "{executor}: {sql}"
            );
        }
    }
    let left: Vec<_> = std::fs::read_dir(small_directory.path().join("temporary"))
        .expect("rows were written to files")
        .collect();
    assert!(left.is_empty(), "files are left behind: {left:?}");
}

/// Values over frames that grow are made one after the other; those that are kept count.
#[test]
fn values_of_windows_within_the_memory_budget() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = database(directory.path(), 2 << 20);
    let mut session = database.session();
    let sql = |frame: &str| {
        format!(
            "SELECT sum(length(s)) FROM (SELECT string_agg(repeat('x', 100), '')
             OVER (ORDER BY g {frame}) AS s FROM generate_series(1, 1000) g) q"
        )
    };
    assert_eq!(
        rows(&mut session, &sql("")),
        vec![vec![Value::Int8(100 * 500_500)]]
    );
    let refused = session
        .query(&sql("ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"), ())
        .and_then(|rows| rows.collect::<Result<Vec<_>, _>>())
        .expect_err("50 MB of values");
    assert_eq!(refused.state(), SqlState::OUT_OF_MEMORY);
}
