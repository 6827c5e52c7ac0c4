//! Both executors over the same random tables: they must agree to the last byte, order
//! included. Batches are of a few rows, so that every edge between two occurs.

use std::sync::atomic::{AtomicUsize, Ordering};

use quickcheck::{Gen, QuickCheck};

use super::{Limits, TEST_LIMITS};
use crate::{Database, Result, Session, Value};

/// Every type; values are few, so that groups, duplicates and matches are many.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("b", "boolean", &["true", "false"]),
    ("i1", "int1", &["-128", "0", "1", "127"]),
    ("i2", "smallint", &["-3", "0", "7", "32767"]),
    ("i4", "integer", &["-1", "0", "1", "2", "3", "2147483647"]),
    (
        "i8",
        "bigint",
        &["-5", "0", "1", "2", "9223372036854775807"],
    ),
    ("f4", "real", &["0", "-0.0", "1.5", "'NaN'", "'Infinity'"]),
    (
        "f8",
        "double precision",
        &["0", "'-0'", "1.5", "2", "'NaN'", "-1e10"],
    ),
    (
        "n",
        "numeric",
        &["0", "1", "1.0", "1.50", "-2.5", "12345678901234567890.123"],
    ),
    (
        "n2",
        "numeric(10,2)",
        &["0.00", "1.10", "-99.99", "1234567.89"],
    ),
    (
        "x",
        "text",
        &["''", "'a'", "'ab'", "'b%'", "'a rather long piece of text'"],
    ),
    ("c", "char(4)", &["'a'", "'ab'", "'b'", "'abcd'"]),
    (
        "d",
        "date",
        &["'1970-01-01'", "'2013-02-28'", "'0001-01-01'", "'infinity'"],
    ),
    ("t", "time", &["'00:00'", "'24:00:00'", "'12:34:56.789'"]),
    (
        "ts",
        "timestamp",
        &[
            "'2013-01-01 05:00'",
            "'2013-01-01 05:00:00.5'",
            "'1969-12-31'",
        ],
    ),
    (
        "tz",
        "timestamptz",
        &["'2013-01-01 05:00+00'", "'2013-07-01 05:00+02'"],
    ),
    (
        "iv",
        "interval",
        &["'1 day'", "'24 hours'", "'1 mon'", "'30 days'", "'-1 us'"],
    ),
    (
        "u",
        "uuid",
        &[
            "'00000000-0000-0000-0000-000000000001'",
            "'ffffffff-0000-0000-0000-000000000000'",
        ],
    ),
    ("y", "bytea", &["'\\x'", "'\\x00ff'", "'\\x6162'"]),
];

fn pick<'a, T>(g: &mut Gen, of: &'a [T]) -> &'a T {
    g.choose(of).expect("a choice among some")
}

/// A constant, quoted, so that a sign does not end up outside of the conversion.
fn constant(g: &mut Gen, literals: &[&str], data_type: &str) -> String {
    let literal: &&str = pick(g, literals);
    format!("'{}'::{data_type}", literal.trim_matches('\''))
}

fn below(g: &mut Gen, limit: usize) -> usize {
    let all: Vec<usize> = (0..limit).collect();
    *pick(g, &all)
}

fn create(session: &mut Session, g: &mut Gen, name: &str, rows: usize) {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, data_type, _)| format!("{name} {data_type}"))
        .collect();
    // With a key and without: rows are found in two ways.
    let key = if below(g, 2) == 0 { " PRIMARY KEY" } else { "" };
    session
        .execute(
            &format!("CREATE TABLE {name} (k int{key}, {})", columns.join(", ")),
            (),
        )
        .expect("a table");
    let nulls = 1 + below(g, 5);
    let all: Vec<String> = (0..rows)
        .map(|row| {
            let mut values = vec![row.to_string()];
            for (_, data_type, literals) in COLUMNS {
                let literal = if below(g, nulls + 1) == 0 {
                    "NULL".to_owned()
                } else {
                    constant(g, literals, data_type)
                };
                values.push(literal);
            }
            format!("({})", values.join(", "))
        })
        .collect();
    if !all.is_empty() {
        session
            .execute(&format!("INSERT INTO {name} VALUES {}", all.join(", ")), ())
            .expect("rows");
    }
}

const NUMBERS: &[usize] = &[1, 2, 3, 4, 5, 6, 7, 8];

/// An expression of the type of column `of`; `table` is the alias to take columns from.
fn expr(g: &mut Gen, table: &str, of: usize, depth: usize) -> String {
    let (name, data_type, literals) = COLUMNS[of];
    let leaf = |g: &mut Gen| match below(g, 5) {
        0 => constant(g, literals, data_type),
        _ => format!("{table}.{name}"),
    };
    if depth == 0 {
        return leaf(g);
    }
    let sub = |g: &mut Gen| expr(g, table, of, depth - 1);
    match below(g, 8) {
        0 => {
            let (a, b) = (sub(g), sub(g));
            let condition = condition(g, table, depth - 1);
            format!("CASE WHEN {condition} THEN {a} ELSE {b} END")
        }
        1 => {
            let condition = condition(g, table, depth - 1);
            format!("CASE WHEN {condition} THEN {} END", sub(g))
        }
        2 => format!("coalesce({}, {})", sub(g), sub(g)),
        3 => format!("nullif({}, {})", sub(g), sub(g)),
        4 if NUMBERS.contains(&of) => {
            let op = pick(g, &["+", "-", "*", "/"]);
            format!("({} {op} {})", sub(g), sub(g))
        }
        5 if matches!(of, 3 | 4 | 6 | 7) => {
            let from = 1 + below(g, 4);
            let inner = expr(g, table, from, depth - 1);
            match of {
                3 => format!("({inner}::bigint % 3::bigint)::integer"),
                _ => format!("{inner}::{data_type}"),
            }
        }
        5 if of == 9 => {
            let function = pick(g, &["upper", "reverse", "trim"]);
            format!("{function}({})", sub(g))
        }
        6 if of == 7 => format!("extract(year from {table}.ts)"),
        6 if of == 13 => format!("date_trunc('day', {table}.ts)"),
        6 if of == 3 => format!("length({table}.x)"),
        _ => leaf(g),
    }
}

fn condition(g: &mut Gen, table: &str, depth: usize) -> String {
    let of = below(g, COLUMNS.len());
    let (_, data_type, literals) = COLUMNS[of];
    let inner = depth.saturating_sub(1);
    match below(g, if depth == 0 { 5 } else { 10 }) {
        0 | 1 => {
            let op = pick(g, &["=", "<>", "<", "<=", ">", ">="]);
            let (a, b) = (expr(g, table, of, inner), expr(g, table, of, inner));
            format!("{a} {op} {b}")
        }
        2 => {
            let not = pick(g, &["", "NOT "]);
            format!("{} IS {not}NULL", expr(g, table, of, inner))
        }
        3 => {
            let not = pick(g, &["", "NOT "]);
            let mut list: Vec<String> = (0..1 + below(g, 10))
                .map(|_| constant(g, literals, data_type))
                .collect();
            if below(g, 3) == 0 {
                list.push("NULL".to_owned());
            }
            format!("{table}.{} {not}IN ({})", COLUMNS[of].0, list.join(", "))
        }
        4 => {
            let not = pick(g, &["", "NOT "]);
            let pattern = pick(g, &["a%", "%b%", "_", "b\\%", "%"]);
            format!("{table}.x {not}LIKE '{pattern}'")
        }
        5 | 6 => {
            let op = pick(g, &["AND", "OR"]);
            let parts: Vec<String> = (0..2 + below(g, 2))
                .map(|_| condition(g, table, inner))
                .collect();
            format!("({})", parts.join(&format!(" {op} ")))
        }
        7 => format!("NOT ({})", condition(g, table, inner)),
        8 => {
            let truth = pick(g, &["TRUE", "NOT TRUE", "FALSE", "UNKNOWN", "NOT UNKNOWN"]);
            format!("({}) IS {truth}", condition(g, table, inner))
        }
        _ => {
            let (a, b) = (expr(g, table, of, inner), expr(g, table, of, inner));
            format!("{a} IS DISTINCT FROM {b}")
        }
    }
}

fn aggregate(g: &mut Gen, table: &str) -> String {
    let distinct = pick(g, &["", "", "DISTINCT "]);
    let of = below(g, COLUMNS.len());
    let argument = format!("{table}.{}", COLUMNS[of].0);
    let call = match below(g, 8) {
        0 => "count(*)".to_owned(),
        1 => format!("count({distinct}{argument})"),
        2 | 3 => {
            let function = pick(g, &["min", "max"]);
            let of = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14][below(g, 13)];
            format!("{function}({table}.{})", COLUMNS[of - 1].0)
        }
        4 | 5 => {
            // Sums of these floats are exact, in whatever order.
            let function = pick(g, &["sum", "avg"]);
            let column = pick(g, &["i1", "i2", "i4", "i8", "n", "n2", "f8", "f4", "iv"]);
            if *column == "iv" && below(g, 2) == 0 {
                format!("sum({table}.iv)")
            } else {
                format!("{function}({distinct}{table}.{column})")
            }
        }
        6 => {
            let function = pick(g, &["stddev", "stddev_pop", "var_pop", "variance"]);
            let column = pick(g, &["i1", "i2", "i4", "n2"]);
            format!("{function}({table}.{column})")
        }
        _ => match below(g, 3) {
            0 => format!("bool_and({table}.b)"),
            1 => format!("bool_or({table}.b)"),
            _ => format!("string_agg({distinct}{table}.x, ',')"),
        },
    };
    if below(g, 4) == 0 {
        format!("{call} FILTER (WHERE {})", condition(g, table, 0))
    } else {
        call
    }
}

fn order(g: &mut Gen, keys: usize) -> String {
    let keys: Vec<String> = (1..=keys)
        .map(|at| {
            let direction = pick(g, &["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            format!("{at}{direction}")
        })
        .collect();
    keys.join(", ")
}

fn query(g: &mut Gen) -> String {
    let depth = below(g, 3);
    let columns = |g: &mut Gen, table: &str, count: usize| -> String {
        let columns: Vec<String> = (0..count)
            .map(|_| {
                let of = below(g, COLUMNS.len());
                expr(g, table, of, depth)
            })
            .collect();
        columns.join(", ")
    };
    let plain = |g: &mut Gen, table: &str, count: usize| -> String {
        let columns: Vec<String> = (0..count)
            .map(|_| format!("{table}.{}", COLUMNS[below(g, COLUMNS.len())].0))
            .collect();
        columns.join(", ")
    };
    match below(g, 9) {
        0 => format!(
            "SELECT a.k, {} FROM a WHERE {}",
            columns(g, "a", 2),
            condition(g, "a", depth)
        ),
        1 => {
            let keys = 1 + below(g, 3);
            let group: Vec<String> = (1..=keys).map(|at| at.to_string()).collect();
            format!(
                "SELECT {}, {}, {} FROM a GROUP BY {}",
                plain(g, "a", keys),
                aggregate(g, "a"),
                aggregate(g, "a"),
                group.join(", "),
            )
        }
        2 => format!(
            "SELECT {}, {} FROM a WHERE {}",
            aggregate(g, "a"),
            aggregate(g, "a"),
            condition(g, "a", 1)
        ),
        3 | 4 => {
            let kind = pick(g, &["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
            let equals = pick(g, &["=", "=", "IS NOT DISTINCT FROM"]);
            let key = COLUMNS[below(g, COLUMNS.len())].0;
            let more = match below(g, 3) {
                0 => format!(" AND a.{0} = b.{0}", COLUMNS[below(g, COLUMNS.len())].0),
                1 => " AND a.k < b.k".to_owned(),
                _ => String::new(),
            };
            format!(
                "SELECT a.k, b.k, a.{key}, b.x FROM a {kind} b ON a.{key} {equals} b.{key}{more}"
            )
        }
        5 => {
            let key = COLUMNS[below(g, COLUMNS.len())].0;
            let not = pick(g, &["", "NOT "]);
            let equals = pick(g, &["=", "IS NOT DISTINCT FROM"]);
            match below(g, 4) {
                0 => format!("SELECT k FROM a WHERE {key} {not}IN (SELECT {key} FROM b)"),
                1 => format!(
                    "SELECT k FROM a WHERE {not}EXISTS (SELECT 1 FROM b WHERE b.{key} {equals} a.{key})"
                ),
                2 => {
                    let operator = pick(g, &["EXCEPT", "INTERSECT", "EXCEPT ALL", "INTERSECT ALL"]);
                    let other = COLUMNS[below(g, COLUMNS.len())].0;
                    format!("SELECT {key}, {other} FROM a {operator} SELECT {key}, {other} FROM b")
                }
                _ => format!("SELECT k, {key} {not}IN (SELECT {key} FROM b WHERE k > 2) FROM a"),
            }
        }
        6 => {
            let keys = 1 + below(g, 3);
            let limit = match below(g, 3) {
                0 => String::new(),
                1 => format!(" LIMIT {}", below(g, 12)),
                _ => format!(" LIMIT {} OFFSET {}", below(g, 12), below(g, 9)),
            };
            let order = order(g, keys);
            format!(
                "SELECT {}, k FROM a ORDER BY {order}{limit}",
                plain(g, "a", keys)
            )
        }
        7 => {
            let keys = 1 + below(g, 2);
            format!("SELECT DISTINCT {} FROM a", plain(g, "a", keys))
        }
        _ => {
            let column = COLUMNS[below(g, COLUMNS.len())].0;
            format!(
                "SELECT {column}, k FROM a UNION ALL SELECT {column}, -k FROM b LIMIT {} OFFSET {}",
                below(g, 40),
                below(g, 10)
            )
        }
    }
}

fn run(session: &mut Session, executor: &str, sql: &str) -> Result<Vec<Vec<Value>>> {
    session.execute(&format!("SET executor = {executor}"), ())?;
    session.query(sql, ())?.values()
}

/// Queries that gave rows, and those that failed.
static GAVE: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicUsize = AtomicUsize::new(0);

/// Rows as text. The two zeros are equal, so of both either may be the smallest; and where a query
/// shows one of several values (a group's key, an extreme), any of those equal to it, `1` for `1.0`.
fn shown(rows: &[Vec<Value>], sql: &str) -> String {
    let chooses = [
        "GROUP BY",
        "DISTINCT",
        "EXCEPT",
        "INTERSECT",
        "min(",
        "max(",
    ]
    .iter()
    .any(|one_of_many| sql.contains(one_of_many));
    let same_for_equals = |value: &Value| match value {
        Value::Decimal(number) if chooses => Value::Decimal(number.normalized()),
        other => other.clone(),
    };
    let rows: Vec<Vec<Value>> = rows
        .iter()
        .map(|row| row.iter().map(same_for_equals).collect())
        .collect();
    format!("{rows:?}").replace("(-0.0)", "(0.0)")
}

fn agree(session: &mut Session, sql: &str) -> bool {
    let rows = run(session, "row", sql);
    let vectors = run(session, "vector", sql);
    match &rows {
        Ok(rows) if !rows.is_empty() => GAVE.fetch_add(1, Ordering::Relaxed),
        Ok(_) => 0,
        Err(_) => FAILED.fetch_add(1, Ordering::Relaxed),
    };
    let same = match (&rows, &vectors) {
        (Ok(rows), Ok(vectors)) => shown(rows, sql) == shown(vectors, sql),
        (Err(rows), Err(vectors)) => {
            rows.state() != crate::SqlState::INTERNAL_ERROR
                && vectors.state() != crate::SqlState::INTERNAL_ERROR
        }
        _ => false,
    };
    if !same {
        let plan = session.query(&format!("EXPLAIN {sql}"), ());
        let plan: Vec<String> = plan
            .and_then(|plan| plan.read_all::<(String,)>())
            .map(|lines| lines.into_iter().map(|(line,)| line).collect())
            .unwrap_or_default();
        println!(
            "{sql}\n{}\nrow:    {rows:?}\nvector: {vectors:?}",
            plan.join("\n")
        );
    }
    same
}

#[test]
fn both_executors_give_the_same() {
    fn property(seed: u64) -> bool {
        let mut g = Gen::from_size_and_seed(50, seed);
        let g = &mut g;
        let db = Database::in_memory().expect("a database");
        let mut session = db.session();
        let (many, some) = (below(g, 60), below(g, 20));
        create(&mut session, g, "a", many);
        create(&mut session, g, "b", some);
        let mut right = true;
        for _ in 0..25 {
            TEST_LIMITS.set(Some(Limits {
                batch_rows: 1 + below(g, 7),
                threads: 1 + below(g, 3),
            }));
            let sql = query(g);
            right &= agree(&mut session, &sql);
        }
        TEST_LIMITS.set(None);
        right
    }
    let tests = std::env::var("RUSTLING_LONG_TESTS").map_or(30, |_| 3000);
    QuickCheck::new()
        .tests(tests)
        .quickcheck(property as fn(u64) -> bool);
    let (gave, failed) = (GAVE.load(Ordering::Relaxed), FAILED.load(Ordering::Relaxed));
    assert!(
        gave > failed * 3,
        "too many of the queries fail: {failed}, against {gave} with rows"
    );
}

/// Neither executor looks at the right operand where the left one is NULL.
#[test]
fn what_would_fail_beside_null_does_not() {
    let db = Database::in_memory().expect("a database");
    db.execute_script("CREATE TABLE a (n int1, i int1); INSERT INTO a VALUES (NULL, 127), (2, 1);")
        .expect("a table");
    let mut session = db.session();
    for (sql, fails) in [
        ("SELECT n = (i + i) FROM a", false),
        ("SELECT n + (i + i) FROM a", false),
        ("SELECT i FROM a WHERE n < i * 2", false),
        ("SELECT (i + i) = n FROM a", true),
        ("SELECT i = (i + i) FROM a", true),
    ] {
        assert!(agree(&mut session, sql));
        assert_eq!(run(&mut session, "vector", sql).is_err(), fails, "{sql}");
    }
}

/// What is stored of a column that is converted on its way, where a plain column, a limited string
/// type, a numeric or time of fewer digits, a domain or an enumerated type takes it.
const ASSIGNMENTS: &[(&str, &str)] = &[
    ("text", "x"),
    ("varchar(5)", "x"),
    ("char(4)", "x"),
    ("varchar(12)", "i"),
    ("char(12)", "n"),
    ("varchar(40)", "ts"),
    ("varchar(5)", "m"),
    ("text", "m"),
    ("bigint", "i"),
    ("smallint", "i"),
    ("real", "f"),
    ("integer", "n"),
    ("numeric(6,2)", "n"),
    ("numeric(6,1)", "i"),
    ("numeric(8,2)", "f"),
    ("timestamp(0)", "ts"),
    ("timestamptz(1)", "tz"),
    ("time(2)", "t"),
    ("interval(1)", "iv"),
    ("date", "ts"),
    ("word", "x"),
    ("cents", "n"),
    ("mood", "m"),
];

#[test]
fn both_executors_store_the_same() {
    let db = Database::in_memory().expect("a database");
    db.execute_script(
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
         CREATE DOMAIN word AS varchar(5) CHECK (VALUE <> 'never');
         CREATE DOMAIN cents AS numeric(8, 2);
         CREATE TABLE a (k int PRIMARY KEY, i int, x text, n numeric, f float8, ts timestamp,
                         tz timestamptz, t time, iv interval, m mood);
         INSERT INTO a (k) VALUES (0);",
    )
    .expect("a table");
    let mut session = db.session();
    for k in 1..=20 {
        session
            .execute(
                &format!(
                    "INSERT INTO a VALUES ({k}, {k}, 'x{k}', {k}.005, {k}.125,
                     '2024-01-02 03:04:{k:02}.678901', '2024-01-02 03:04:{k:02}.678901+00',
                     '03:04:{k:02}.678901', '1 day {k}.678901 s', 'ok')"
                ),
                (),
            )
            .expect("a row");
    }
    TEST_LIMITS.set(Some(Limits {
        batch_rows: 3,
        threads: 1,
    }));
    for (at, (data_type, column)) in ASSIGNMENTS.iter().enumerate() {
        let mut stored = Vec::new();
        for executor in ["row", "vector"] {
            let table = format!("{executor}_{at}");
            for sql in [
                format!("CREATE TABLE {table} (k int, v {data_type})"),
                format!("SET executor = {executor}"),
                format!("INSERT INTO {table} SELECT k, {column} FROM a"),
            ] {
                session.execute(&sql, ()).expect(&sql);
            }
            let sql = format!("SELECT k, v FROM {table} ORDER BY k");
            stored.push(run(&mut session, "row", &sql).expect(&sql));
        }
        let values = stored[0].iter().filter(|row| !row[1].is_null()).count();
        assert_eq!(values, 20, "{column} as {data_type}");
        assert_eq!(stored[0], stored[1], "{column} as {data_type}");
    }
    TEST_LIMITS.set(None);
}
