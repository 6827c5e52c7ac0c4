//! Prints what it costs to parse statements, and to prepare (parse, bind, plan) them anew:
//! `cargo run --release -p rustling-sql --example planning_figures [ROUNDS]`.

use rustling_sql::{Database, Result};

const TPCH: &str = include_str!("../../../tests/data/tpch/queries.sql");

const SCHEMA: &str = "
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name text, r_comment text);
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name text, n_regionkey int, n_comment text);
CREATE TABLE supplier (s_suppkey int PRIMARY KEY, s_name text, s_address text, s_nationkey int,
  s_phone text, s_acctbal numeric(15,2), s_comment text);
CREATE TABLE part (p_partkey int PRIMARY KEY, p_name text, p_mfgr text, p_brand text, p_type text,
  p_size int, p_container text, p_retailprice numeric(15,2), p_comment text);
CREATE TABLE partsupp (ps_partkey int, ps_suppkey int, ps_availqty int, ps_supplycost numeric(15,2),
  ps_comment text, PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE customer (c_custkey int PRIMARY KEY, c_name text, c_address text, c_nationkey int,
  c_phone text, c_acctbal numeric(15,2), c_mktsegment text, c_comment text);
CREATE TABLE orders (o_orderkey int PRIMARY KEY, o_custkey int, o_orderstatus text,
  o_totalprice numeric(15,2), o_orderdate date, o_orderpriority text, o_clerk text,
  o_shippriority int, o_comment text);
CREATE TABLE lineitem (l_orderkey int, l_partkey int, l_suppkey int, l_linenumber int,
  l_quantity numeric(15,2), l_extendedprice numeric(15,2), l_discount numeric(15,2),
  l_tax numeric(15,2), l_returnflag text, l_linestatus text, l_shipdate date, l_commitdate date,
  l_receiptdate date, l_shipinstruct text, l_shipmode text, l_comment text,
  PRIMARY KEY (l_orderkey, l_linenumber));
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

#[expect(clippy::print_stdout, reason = "it prints measurements")]
fn main() -> Result<()> {
    let rounds: u32 = std::env::args()
        .nth(1)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(500);
    let db = Database::in_memory()?;
    let env = db.env().clone();
    db.execute_script(SCHEMA)?;
    let session = db.session();
    let nested = format!("SELECT {}1{}", "(".repeat(25), ")".repeat(25));
    let list = format!(
        "SELECT {}",
        ["aid + 1 * 2"; 200].join(", ") + " FROM pgbench_accounts"
    );
    let mut texts: Vec<(String, String)> = [
        ("literal", "SELECT 1"),
        ("point", "SELECT abalance FROM pgbench_accounts WHERE aid = 4711"),
        ("update", "UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = 4711"),
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
    for (index, span) in rustling_sql::split_statements(TPCH)?
        .into_iter()
        .enumerate()
    {
        // As the tests do it: EXTRACT in the place of year(…).
        let text = TPCH[span.start..span.end].replace("year(", "date_part('year', ");
        texts.push((format!("TPC-H {}", index + 1), text));
    }
    println!(
        "{:<12} {:>6} {:>12} {:>12}",
        "text", "bytes", "us to parse", "us to prepare"
    );
    for (name, text) in &texts {
        let start = env.now();
        for _ in 0..rounds {
            rustling_sql::parse_statement(text)?;
        }
        let parse = env.now() - start;
        let start = env.now();
        for round in 0..rounds {
            // Another text each time, which no cache knows.
            session.prepare(&format!("{text} --{round}"))?;
        }
        let prepare = env.now() - start;
        let each = |took: std::time::Duration| took.as_secs_f64() * 1e6 / f64::from(rounds);
        println!(
            "{name:<12} {:>6} {:>12.1} {:>12.1}",
            text.len(),
            each(parse),
            each(prepare)
        );
    }
    Ok(())
}
