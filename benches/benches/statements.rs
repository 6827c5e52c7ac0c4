//! What common statements cost on a table in memory.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rustling_sql::{BulkOptions, Database, StatementResult, Value};

const ROWS: i32 = 200_000;
/// Coprime to [`ROWS`]: adding it again and again visits every row.
const STEP: i32 = 7_919;

fn row(id: i32) -> Vec<Value> {
    vec![
        Value::Int4(id),
        Value::Int4(id % 100),
        Value::Text(format!("number {id}").into()),
    ]
}

fn empty() -> Database {
    let database = Database::in_memory().expect("a database in memory opens");
    database
        .execute("CREATE TABLE t (id int PRIMARY KEY, v int, name text)", ())
        .expect("the table is valid");
    database
}

fn load(database: &Database) {
    let loader = database
        .bulk_loader("t", BulkOptions::default())
        .expect("the table is there");
    for first in (0..ROWS).step_by(4096) {
        loader
            .append((first..ROWS.min(first + 4096)).map(row).collect())
            .expect("the rows fit");
    }
    loader.finish().expect("the rows are kept");
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.sample_size(10);
    group.bench_function("bulk", |bencher| {
        bencher.iter_batched(
            empty,
            |database| {
                load(&database);
                database
            },
            BatchSize::PerIteration,
        );
    });
}

fn single_rows(criterion: &mut Criterion) {
    let database = empty();
    load(&database);
    let mut group = criterion.benchmark_group("one row");
    let get = database
        .prepare("SELECT name FROM t WHERE id = $1")
        .expect("the statement is valid");
    let mut values = Vec::new();
    let mut at = 0;
    group.bench_function("point SELECT, prepared", |bencher| {
        bencher.iter(|| {
            at = (at + STEP) % ROWS;
            let mut found = get.query((at,)).expect("the query runs");
            assert!(found.next_into(&mut values).expect("the row is readable"));
        });
    });
    let mut session = database.session();
    session.begin().expect("a transaction begins");
    group.bench_function("point SELECT, prepared, in a transaction", |bencher| {
        bencher.iter(|| {
            at = (at + STEP) % ROWS;
            let Ok(StatementResult::Rows(mut found)) = session.run_statement(&get, (at,)) else {
                panic!("a query gives rows");
            };
            assert!(found.next_into(&mut values).expect("the row is readable"));
        });
    });
    session.rollback().expect("the transaction ends");
    let update = database
        .prepare("UPDATE t SET v = v + 1 WHERE id = $1")
        .expect("the statement is valid");
    group.bench_function("UPDATE, prepared", |bencher| {
        bencher.iter(|| {
            at = (at + STEP) % ROWS;
            update.execute((at,)).expect("the row changes")
        });
    });
    let insert = database
        .prepare("INSERT INTO t VALUES ($1, $2, $3)")
        .expect("the statement is valid");
    let mut id = ROWS;
    group.bench_function("INSERT, prepared", |bencher| {
        bencher.iter(|| {
            id += 1;
            insert.execute((id, 1, "inserted")).expect("the row is new")
        });
    });
}

fn many_rows(criterion: &mut Criterion) {
    let database = empty();
    load(&database);
    let mut group = criterion.benchmark_group("many rows");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.sample_size(20);
    for sql in [
        "SELECT count(*) FROM t",
        "SELECT sum(v) FROM t WHERE v < 50",
        "SELECT v, count(*), max(name) FROM t GROUP BY v",
        "SELECT a.id FROM t a JOIN t b ON a.id = b.id WHERE b.v = 7",
        "SELECT name FROM t ORDER BY name LIMIT 10",
    ] {
        group.bench_function(sql, |bencher| {
            bencher.iter(|| {
                let rows = database.query(sql, ()).expect("the query runs");
                rows.values().expect("its rows come").len()
            });
        });
    }
}

criterion_group!(benches, loading, single_rows, many_rows);
criterion_main!(benches);
