//! What it costs to parse a statement, and to prepare (parse, bind, plan) it anew.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rustling_sql::{Database, Session, parse_statement, split_statements};

const TPCH: &str = include_str!("../../tests/data/tpch/queries.sql");
const TPCH_SCHEMA: &str = include_str!("../../tests/data/tpch/schema.sql");

const PGBENCH_SCHEMA: &str = "
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
";

/// A query with a bit of everything, as random tests make them.
const MIXED: &str = "SELECT DISTINCT a.aid + 1 AS x, coalesce(b.tbalance, -a.abalance, 0), \
  CASE WHEN a.bid IS NULL THEN 'none' WHEN a.bid BETWEEN 1 AND 10 THEN 'few' ELSE upper('many') END, \
  (SELECT max(h.delta) FROM pgbench_history AS h WHERE h.aid = a.aid) AS most, \
  CAST(a.abalance AS numeric(12, 2)) * 1.5, row_number() OVER (PARTITION BY a.bid ORDER BY a.aid DESC) \
  FROM pgbench_accounts AS a LEFT JOIN pgbench_tellers b ON a.bid = b.bid AND b.tid > 3 \
  WHERE (a.aid < 100 OR a.filler LIKE 'x%') AND a.bid IN (1, 2, 3) AND NOT a.aid = 7 \
  AND EXISTS (SELECT 1 FROM pgbench_history WHERE pgbench_history.aid = a.aid) \
  ORDER BY 1 DESC NULLS LAST, most LIMIT 10 OFFSET 2";

fn statements() -> Vec<(String, String)> {
    let nested = format!("SELECT {}1{}", "(".repeat(25), ")".repeat(25));
    let list = format!(
        "SELECT {} FROM pgbench_accounts",
        ["aid + 1 * 2"; 200].join(", ")
    );
    let mut texts: Vec<(String, String)> = [
        ("literal", "SELECT 1"),
        ("point", "SELECT abalance FROM pgbench_accounts WHERE aid = 4711"),
        (
            "update",
            "UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = 4711",
        ),
        (
            "insert",
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP)",
        ),
        ("begin", "BEGIN"),
        ("mixed", MIXED),
        ("nested", &nested),
        ("long list", &list),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .into();
    let spans = split_statements(TPCH).expect("the queries of TPC-H split");
    texts.extend(spans.into_iter().enumerate().map(|(index, span)| {
        // As the tests do it: PostgreSQL has no year(…).
        let text = TPCH[span.start..span.end].replace("year(", "date_part('year', ");
        (format!("TPC-H {:02}", index + 1), text)
    }));
    texts
}

fn session() -> Session {
    let database = Database::in_memory().expect("a database in memory opens");
    for schema in [PGBENCH_SCHEMA, TPCH_SCHEMA] {
        database
            .execute_script(schema)
            .expect("the schema is valid");
    }
    database.session()
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, text) in statements() {
        group.bench_function(name, |bencher| {
            bencher.iter(|| parse_statement(black_box(&text)));
        });
    }
}

fn prepare(criterion: &mut Criterion) {
    let session = session();
    let mut group = criterion.benchmark_group("prepare");
    let mut round = 0;
    for (name, text) in statements() {
        session.prepare(&text).expect("the statement is valid");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                // Another text each time, which no cache knows.
                round += 1;
                session.prepare(&format!("{text} --{round}"))
            });
        });
    }
}

criterion_group!(benches, parse, prepare);
criterion_main!(benches);
