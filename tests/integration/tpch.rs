//! TPC-H: the 22 queries over generated data must give what SQLite gives.
//!
//! `RUSTLING_TPCH_SF` sets the scale factor; `cargo xtask bench tpch` runs this optimised, with
//! larger data, and shows the times of both, and, where `RUSTLING_TPCH_RIVALS` names a Python that
//! has their modules, of DuckDB and DataFusion too.
#![expect(clippy::disallowed_methods, reason = "measures with the real clock")]

use std::{
    collections::{HashMap, HashSet},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustling_sql::{BulkOptions, Database, Session, Value, types::Decimal};
use tpchgen::{
    distribution::Distributions,
    generators::{
        CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
        PartSuppGenerator, RegionGenerator, SupplierGenerator,
    },
    text::TextPool,
};

const QUERIES: &str = include_str!("../data/tpch/queries.sql");
const RIVALS: &str = include_str!("../data/tpch/rivals.py");

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Int,
    Money,
    Date,
    Text,
}

use Kind::{Date, Int, Money, Text};

/// A table: its columns, and how many of the first are its primary key.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    key: &'static str,
}

const TABLES: [Table; 8] = [
    Table {
        name: "region",
        columns: &[("r_regionkey", Int), ("r_name", Text), ("r_comment", Text)],
        key: "r_regionkey",
    },
    Table {
        name: "nation",
        columns: &[
            ("n_nationkey", Int),
            ("n_name", Text),
            ("n_regionkey", Int),
            ("n_comment", Text),
        ],
        key: "n_nationkey",
    },
    Table {
        name: "supplier",
        columns: &[
            ("s_suppkey", Int),
            ("s_name", Text),
            ("s_address", Text),
            ("s_nationkey", Int),
            ("s_phone", Text),
            ("s_acctbal", Money),
            ("s_comment", Text),
        ],
        key: "s_suppkey",
    },
    Table {
        name: "part",
        columns: &[
            ("p_partkey", Int),
            ("p_name", Text),
            ("p_mfgr", Text),
            ("p_brand", Text),
            ("p_type", Text),
            ("p_size", Int),
            ("p_container", Text),
            ("p_retailprice", Money),
            ("p_comment", Text),
        ],
        key: "p_partkey",
    },
    Table {
        name: "partsupp",
        columns: &[
            ("ps_partkey", Int),
            ("ps_suppkey", Int),
            ("ps_availqty", Int),
            ("ps_supplycost", Money),
            ("ps_comment", Text),
        ],
        key: "ps_partkey, ps_suppkey",
    },
    Table {
        name: "customer",
        columns: &[
            ("c_custkey", Int),
            ("c_name", Text),
            ("c_address", Text),
            ("c_nationkey", Int),
            ("c_phone", Text),
            ("c_acctbal", Money),
            ("c_mktsegment", Text),
            ("c_comment", Text),
        ],
        key: "c_custkey",
    },
    Table {
        name: "orders",
        columns: &[
            ("o_orderkey", Int),
            ("o_custkey", Int),
            ("o_orderstatus", Text),
            ("o_totalprice", Money),
            ("o_orderdate", Date),
            ("o_orderpriority", Text),
            ("o_clerk", Text),
            ("o_shippriority", Int),
            ("o_comment", Text),
        ],
        key: "o_orderkey",
    },
    Table {
        name: "lineitem",
        columns: &[
            ("l_orderkey", Int),
            ("l_partkey", Int),
            ("l_suppkey", Int),
            ("l_linenumber", Int),
            ("l_quantity", Money),
            ("l_extendedprice", Money),
            ("l_discount", Money),
            ("l_tax", Money),
            ("l_returnflag", Text),
            ("l_linestatus", Text),
            ("l_shipdate", Date),
            ("l_commitdate", Date),
            ("l_receiptdate", Date),
            ("l_shipinstruct", Text),
            ("l_shipmode", Text),
            ("l_comment", Text),
        ],
        key: "l_orderkey, l_linenumber",
    },
];

/// Calls `take` with every row of a table, its fields as text.
fn generate(table: &str, scale: f64, pool: &TextPool, mut take: impl FnMut(Vec<String>)) {
    let mut line = |row: &dyn std::fmt::Display| {
        let text = row.to_string();
        let fields = text.strip_suffix('|').unwrap_or(&text);
        take(fields.split('|').map(str::to_owned).collect());
    };
    let words = Distributions::static_default();
    match table {
        "region" => RegionGenerator::new_with_distributions_and_text_pool(words, pool)
            .iter()
            .for_each(|row| line(&row)),
        "nation" => NationGenerator::new_with_distributions_and_text_pool(words, pool)
            .iter()
            .for_each(|row| line(&row)),
        "supplier" => {
            SupplierGenerator::new_with_distributions_and_text_pool(scale, 1, 1, words, pool)
                .iter()
                .for_each(|row| line(&row));
        }
        "part" => PartGenerator::new_with_distributions_and_text_pool(scale, 1, 1, words, pool)
            .iter()
            .for_each(|row| line(&row)),
        "partsupp" => PartSuppGenerator::new_with_text_pool(scale, 1, 1, pool)
            .iter()
            .for_each(|row| line(&row)),
        "customer" => {
            CustomerGenerator::new_with_distributions_and_text_pool(scale, 1, 1, words, pool)
                .iter()
                .for_each(|row| line(&row));
        }
        "orders" => OrderGenerator::new_with_distributions_and_text_pool(scale, 1, 1, words, pool)
            .iter()
            .for_each(|row| line(&row)),
        _ => LineItemGenerator::new_with_distributions_and_text_pool(scale, 1, 1, words, pool)
            .iter()
            .for_each(|row| line(&row)),
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar (year-month-day).
fn days(text: &str) -> i32 {
    let mut parts = text
        .split('-')
        .map(|part| part.parse::<i32>().expect("a date"));
    let mut next = || parts.next().expect("a date");
    let (year, month, day) = (next(), next(), next());
    // Years that begin with March put the leap day last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let century = year.div_euclid(400);
    let of_century = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    century * 146_097 + of_century * 365 + of_century / 4 - of_century / 100 + of_year - 719_468
}

fn value(kind: Kind, text: &str) -> Value {
    match kind {
        Int => Value::Int4(text.parse().expect("an integer")),
        Money => Value::Decimal(text.parse::<Decimal>().expect("a number")),
        Date => Value::Date(days(text)),
        Text => Value::Text(text.into()),
    }
}

/// Loads both databases, and writes the tables into text files in `files`, if wanted.
fn load(
    session: &Session,
    connection: &mut rusqlite::Connection,
    scale: f64,
    files: Option<&Path>,
) {
    let database = session.database();
    // The generator's own pool of text takes 300 MB: comments are cut out of it.
    let pool = TextPool::new(4 << 20, Distributions::static_default());
    for table in &TABLES {
        let columns = |type_of: &dyn Fn(Kind) -> &'static str| {
            let columns: Vec<String> = table
                .columns
                .iter()
                .map(|(name, kind)| format!("{name} {} NOT NULL", type_of(*kind)))
                .collect();
            columns.join(", ")
        };
        let create = |columns: String| {
            format!(
                "CREATE TABLE {} ({columns}, PRIMARY KEY ({}))",
                table.name, table.key
            )
        };
        let type_of = |kind: Kind| match kind {
            Int => "integer",
            Money => "numeric(15, 2)",
            Date => "date",
            Text => "text",
        };
        let ours = columns(&type_of);
        let mut file = files.map(|directory| {
            let types = table
                .columns
                .iter()
                .map(|(name, kind)| format!("{name} {}\n", type_of(*kind)));
            let path = directory.join(format!("{}.columns", table.name));
            std::fs::write(path, types.collect::<String>()).expect("a file");
            let path = directory.join(format!("{}.csv", table.name));
            std::io::BufWriter::new(std::fs::File::create(path).expect("a file"))
        });
        let theirs = columns(&|kind| match kind {
            Int => "integer",
            Money => "real",
            Date | Text => "text",
        });
        database.execute(&create(ours), ()).expect("a table");
        connection.execute(&create(theirs), ()).expect("a table");
        let loader = database
            .bulk_loader(table.name, BulkOptions::default())
            .expect("a loader");
        let transaction = connection.transaction().expect("a transaction");
        let places = vec!["?"; table.columns.len()].join(", ");
        let mut batch = Vec::new();
        {
            let mut insert = transaction
                .prepare(&format!("INSERT INTO {} VALUES ({places})", table.name))
                .expect("a statement");
            let mut pairs = HashSet::new();
            generate(table.name, scale, &pool, |fields| {
                // With few suppliers the generator gives a part the same one twice.
                let pair = fields.iter().take(2).cloned().collect::<Vec<_>>();
                if table.name == "partsupp" && !pairs.insert(pair) {
                    return;
                }
                if let Some(file) = &mut file {
                    writeln!(file, "{}", fields.join("|")).expect("a line");
                }
                insert
                    .execute(rusqlite::params_from_iter(&fields))
                    .expect("a row");
                batch.push(
                    table
                        .columns
                        .iter()
                        .zip(&fields)
                        .map(|((_, kind), field)| value(*kind, field))
                        .collect(),
                );
                if batch.len() == 2000 {
                    loader.append(std::mem::take(&mut batch)).expect("rows");
                }
            });
        }
        loader.append(batch).expect("rows");
        loader.finish().expect("a load");
        transaction.commit().expect("a load");
    }
}

/// Replaces `year(x)` by what `with` makes of `x`.
fn with_years(sql: &str, with: impl Fn(&str) -> String) -> String {
    let mut result = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("year(") {
        let (argument, behind) = after.split_once(')').expect("an argument");
        result.push_str(before);
        result.push_str(&with(argument));
        rest = behind;
    }
    result + rest
}

fn in_our_words(sql: &str) -> String {
    with_years(sql, |column| format!("extract(year FROM {column})"))
}

fn ours(session: &mut Session, sql: &str) -> Vec<Vec<String>> {
    let sql = in_our_words(sql);
    session
        .query(&sql, ())
        .and_then(|rows| {
            rows.map(|row| {
                let row = row?;
                Ok(row
                    .values()
                    .iter()
                    .map(|value| match value {
                        Value::Null => String::new(),
                        value => value.to_string(),
                    })
                    .collect())
            })
            .collect()
        })
        .expect(&sql)
}

fn theirs(connection: &rusqlite::Connection, sql: &str) -> Vec<Vec<String>> {
    use rusqlite::types::ValueRef;
    let sql = with_years(sql, |column| {
        format!("CAST(strftime('%Y', {column}) AS integer)")
    });
    let mut statement = connection.prepare(&sql).expect(&sql);
    let columns = statement.column_count();
    let mut rows = statement.query(()).expect(&sql);
    let mut result = Vec::new();
    while let Some(row) = rows.next().expect(&sql) {
        let shown = (0..columns).map(|at| match row.get_ref(at).expect("a column") {
            ValueRef::Null => String::new(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(text) | ValueRef::Blob(text) => {
                String::from_utf8_lossy(text).into_owned()
            }
        });
        result.push(shown.collect());
    }
    result
}

/// Milliseconds by engine and query of what is installed of other engines.
fn rivals(python: &str, directory: &Path) -> Vec<(String, HashMap<usize, f64>)> {
    let script = directory.join("rivals.py");
    std::fs::write(&script, RIVALS).expect("a file");
    std::fs::write(directory.join("queries.sql"), QUERIES).expect("a file");
    let output = Command::new(python)
        .args([&script, directory])
        .stderr(Stdio::inherit())
        .output()
        .expect(python);
    assert!(output.status.success(), "{python} {}", output.status);
    let mut engines: Vec<(String, HashMap<usize, f64>)> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut fields = line.split('\t');
        let mut next = || fields.next().expect("a field");
        let (engine, query, time) = (next(), next(), next());
        if engines.last().is_none_or(|(name, _)| name != engine) {
            engines.push((engine.to_owned(), HashMap::new()));
        }
        if let Some((_, times)) = engines.last_mut() {
            times.insert(
                query.parse().expect("a number"),
                time.parse().expect("a time"),
            );
        }
    }
    engines
}

/// Whether two values are the same, numbers up to what adding floats loses.
fn agree(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => {
            (left - right).abs() <= 1e-6 * left.abs().max(right.abs()).max(1.0)
        }
        _ => false,
    }
}

#[test]
fn queries_agree_with_sqlite() {
    let setting = std::env::var("RUSTLING_TPCH_SF").ok();
    let scale: f64 = setting.as_deref().map_or(0.002, |text| {
        text.parse().expect("RUSTLING_TPCH_SF is a number")
    });
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::open(directory.path()).expect("a database");
    let mut session = database.session();
    let mut connection =
        rusqlite::Connection::open(directory.path().join("sqlite.db")).expect("a database");
    let python = std::env::var("RUSTLING_TPCH_RIVALS").ok();
    let files = python.as_ref().map(|_| directory.path());
    load(&session, &mut connection, scale, files);
    let rivals = python.map_or_else(Vec::new, |python| rivals(&python, directory.path()));
    for table in &TABLES {
        session
            .execute(&format!("ANALYZE {}", table.name), ())
            .expect("statistics");
    }
    connection.execute("ANALYZE", ()).expect("statistics");
    let mut totals = (Duration::ZERO, Duration::ZERO);
    let mut logarithms = 0.0;
    let text: String = QUERIES
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect::<Vec<_>>()
        .join("\n");
    let queries: Vec<&str> = text
        .split(';')
        .map(str::trim)
        .filter(|sql| !sql.is_empty())
        .collect();
    assert_eq!(queries.len(), 22);
    for (at, sql) in queries.iter().enumerate() {
        let start = Instant::now();
        session.prepare(&in_our_words(sql)).expect("a plan");
        let planned = start.elapsed();
        let found = ours(&mut session, sql);
        let ours_took = start.elapsed();
        let start = Instant::now();
        let expected = theirs(&connection, sql);
        let theirs_took = start.elapsed();
        totals.0 += ours_took;
        totals.1 += theirs_took;
        logarithms += (theirs_took.as_secs_f64() / ours_took.as_secs_f64().max(1e-9)).ln();
        if setting.is_some() {
            let others: String = rivals
                .iter()
                .filter_map(|(name, times)| {
                    Some(format!("   {name} {:>8.1} ms", times.get(&(at + 1))?))
                })
                .collect();
            println!(
                "Q{:<3} {:>10.1} ms   planned in {:>6.2} ms   SQLite {:>10.1} ms{others}   {} rows",
                at + 1,
                ours_took.as_secs_f64() * 1000.0,
                planned.as_secs_f64() * 1000.0,
                theirs_took.as_secs_f64() * 1000.0,
                found.len()
            );
        }
        let same = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(left, right)| {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| agree(left, right))
            });
        assert!(same, "query {}: {found:?} is not {expected:?}", at + 1);
    }
    if setting.is_some() {
        println!(
            "all {:>10.1} ms   SQLite {:>10.1} ms   geometric mean {:.2} times as fast",
            totals.0.as_secs_f64() * 1000.0,
            totals.1.as_secs_f64() * 1000.0,
            (logarithms / queries.len() as f64).exp()
        );
        for (name, times) in &rivals {
            let logarithms: f64 = times.values().map(|time| time.ln()).sum();
            println!(
                "{name}: all {:>10.1} ms   geometric mean {:.1} ms",
                times.values().sum::<f64>(),
                (logarithms / times.len().max(1) as f64).exp()
            );
        }
    }
}
