//! Random tables with random indexes: whatever way rows are found, they are those that reading
//! everything finds. `RUSTLING_MODEL_RUNS` sets how many tables are made.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use quickcheck::{Arbitrary, Gen, QuickCheck};
use rustling_sql::{Database, Error, Session, Value};

/// The columns of the table, each with values to fill it and to compare it with.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("a", "int", &["0", "1", "2", "3", "4", "5"]),
    ("b", "int", &["-1", "0", "1", "2", "3"]),
    ("c", "text", &["''", "'a'", "'ab'", "'b'", "'B'", "'bc'"]),
    ("d", "numeric(6,1)", &["0.0", "1.0", "1.5", "2.0", "-3.5"]),
    ("e", "boolean", &["true", "false"]),
    ("f", "bigint", &["0", "1", "5000000000", "-7", "3"]),
    ("g", "char(3)", &["'x'", "'xy'", "'y'", "'xyz'"]),
    ("h", "smallint NOT NULL", &["0", "1", "2", "3"]),
];

/// Numbers that an integer column is compared with, though they are none of its own.
const NUMBERS: &[&str] = &[
    "2.5",
    "1.0",
    "-0.5",
    "3::bigint",
    "9000000000",
    "-9000000000",
    "99999999999999999999",
    "(1 + 1)",
];

/// What indexes compute, with values to compare it with.
const COMPUTED: &[(&str, &[&str])] = &[
    ("lower(c)", &["'a'", "'b'", "'ab'"]),
    ("(a + b)", &["1", "2", "3", "6"]),
    ("(f % 3)", &["0", "1", "2"]),
    ("(coalesce(b, a))", &["0", "1", "3"]),
];

/// What partial indexes are about.
const PARTS: &[&str] = &[
    "e",
    "NOT e",
    "a > 1",
    "a > 1 AND b IS NOT NULL",
    "c IS NOT NULL",
    "a IN (1, 2, 3)",
    "b = 1 OR b = 2",
    "lower(c) = 'b'",
    "d <> 1.5",
    "h < 2",
];

const COMPARISONS: &[&str] = &["=", "=", "=", "<", "<=", ">", ">=", "<>"];

fn pick<'a, T>(g: &mut Gen, of: &'a [T]) -> &'a T {
    g.choose(of).unwrap()
}

fn below(g: &mut Gen, limit: usize) -> usize {
    usize::arbitrary(g) % limit
}

/// A statement in the making: its parameters are put in by number.
struct Text {
    /// Types and values of parameters.
    parameters: Vec<(String, String)>,
    /// Whether there may be parameters.
    takes: bool,
}

impl Text {
    /// A value of a type: as it is, or as a parameter.
    fn value(&mut self, g: &mut Gen, value: &str, data_type: &str) -> String {
        if !self.takes || below(g, 3) > 0 {
            return value.to_owned();
        }
        let value = if below(g, 8) == 0 { "NULL" } else { value };
        self.parameters
            .push((data_type.to_owned(), value.to_owned()));
        format!("${}", self.parameters.len())
    }

    /// A value that `column` is compared with.
    fn constant(&mut self, g: &mut Gen, column: usize) -> String {
        let (_, data_type, values) = COLUMNS[column];
        let data_type = data_type.trim_end_matches(" NOT NULL");
        if matches!(data_type, "int" | "bigint" | "smallint") && below(g, 5) == 0 {
            let number = *pick(g, NUMBERS);
            let wide = if number.contains('.') || number.len() > 15 {
                "numeric"
            } else {
                "bigint"
            };
            return self.value(g, number, wide);
        }
        if below(g, 15) == 0 {
            return "NULL".to_owned();
        }
        let value = *pick(g, values);
        self.value(g, value, data_type)
    }

    fn list(&mut self, g: &mut Gen, column: usize) -> String {
        let length = if below(g, 12) == 0 {
            40
        } else {
            1 + below(g, 4)
        };
        let list: Vec<String> = (0..length).map(|_| self.constant(g, column)).collect();
        list.join(", ")
    }

    /// An array of a column's values.
    fn array(&mut self, g: &mut Gen, column: usize) -> String {
        let (_, data_type, values) = COLUMNS[column];
        let data_type = match data_type.trim_end_matches(" NOT NULL") {
            "int" | "smallint" if below(g, 3) == 0 => "bigint",
            other => other,
        };
        let length = below(g, 5);
        let elements: Vec<String> = (0..length)
            .map(|_| match below(g, 6) {
                0 => "NULL".to_owned(),
                _ => (*pick(g, values)).to_owned(),
            })
            .collect();
        let array = format!("ARRAY[{}]::{data_type}[]", elements.join(", "));
        match below(g, 9) {
            0 => format!("NULL::{data_type}[]"),
            _ => self.value(g, &array, &format!("{data_type}[]")),
        }
    }

    /// A condition on columns of `t`.
    fn condition(&mut self, g: &mut Gen, t: &str, depth: usize) -> String {
        if depth > 0 && below(g, 2) == 0 {
            let word = if below(g, 2) == 0 { " AND " } else { " OR " };
            let operands: Vec<String> = (0..2 + below(g, 2))
                .map(|_| self.condition(g, t, depth - 1))
                .collect();
            return format!("({})", operands.join(word));
        }
        let at = below(g, COLUMNS.len());
        let column = format!("{t}.{}", COLUMNS[at].0);
        match below(g, 15) {
            0..=3 => {
                let comparison = *pick(g, COMPARISONS);
                format!("{column} {comparison} {}", self.constant(g, at))
            }
            4 => format!("{} {} {column}", self.constant(g, at), pick(g, COMPARISONS)),
            5 | 6 => format!("{column} IN ({})", self.list(g, at)),
            7 => {
                // There are no arrays of char(n).
                let at = if COLUMNS[at].0 == "g" { 0 } else { at };
                format!("{t}.{} = ANY ({})", COLUMNS[at].0, self.array(g, at))
            }
            8 => {
                let (low, high) = (self.constant(g, at), self.constant(g, at));
                format!("{column} BETWEEN {low} AND {high}")
            }
            9 => format!(
                "{column} IS {}NULL",
                if below(g, 2) == 0 { "" } else { "NOT " }
            ),
            10 => {
                let (expr, values) = *pick(g, COMPUTED);
                let expr = expr.replace("a + b", &format!("{t}.a + {t}.b"));
                let expr = expr.replace("(c)", &format!("({t}.c)"));
                let expr = expr.replace("(f", &format!("({t}.f"));
                let expr = expr.replace("(b, a)", &format!("({t}.b, {t}.a)"));
                let comparison = *pick(g, COMPARISONS);
                format!("{expr} {comparison} {}", pick(g, values))
            }
            11 => {
                let pattern = ["'a%'", "'b_'", "'%b'", "''", "'B%'"][below(g, 5)];
                format!("{t}.c LIKE {pattern}")
            }
            12 => format!("{}{t}.e", if below(g, 2) == 0 { "" } else { "NOT " }),
            13 => {
                let columns = [[0, 1, 7], [1, 0, 5], [5, 0, 7]][below(g, 3)];
                let columns = &columns[..2 + below(g, 2)];
                let left: Vec<String> = columns
                    .iter()
                    .map(|at| format!("{t}.{}", COLUMNS[*at].0))
                    .collect();
                let right: Vec<String> = columns.iter().map(|at| self.constant(g, *at)).collect();
                let comparison = *pick(g, COMPARISONS);
                format!("({}) {comparison} ({})", left.join(", "), right.join(", "))
            }
            _ => {
                let pairs: Vec<String> = (0..1 + below(g, 3))
                    .map(|_| format!("({}, {})", self.constant(g, 0), self.constant(g, 1)))
                    .collect();
                format!("({t}.a, {t}.b) IN ({})", pairs.join(", "))
            }
        }
    }
}

/// A statement, and how what it does is compared.
#[derive(Clone, Debug)]
struct Check {
    sql: String,
    /// Types and values of its parameters.
    parameters: Vec<(String, String)>,
    /// Whether the order of its rows counts.
    ordered: bool,
    /// It changes rows: what the table holds then is compared.
    changes: bool,
    executor: &'static str,
}

/// A table with indexes, and statements about it.
#[derive(Clone, Debug)]
struct Case {
    table: String,
    rows: Vec<String>,
    indexes: Vec<String>,
    analyzed: bool,
    checks: Vec<Check>,
}

fn order(g: &mut Gen, t: &str) -> Vec<String> {
    let keys = 1 + below(g, 3);
    (0..keys)
        .map(|_| {
            let key = match below(g, 6) {
                0 => format!("lower({t}.c)"),
                _ => format!("{t}.{}", pick(g, COLUMNS).0),
            };
            let direction = ["", "", " DESC"][below(g, 3)];
            let nulls = ["", "", " NULLS FIRST", " NULLS LAST"][below(g, 4)];
            format!("{key}{direction}{nulls}")
        })
        .collect()
}

impl Arbitrary for Check {
    fn arbitrary(g: &mut Gen) -> Check {
        let mut text = Text {
            parameters: Vec::new(),
            takes: below(g, 3) == 0,
        };
        let kind = below(g, 12);
        let depth = below(g, 4);
        let condition = match kind {
            // Without condition, for the sake of the order alone.
            0 | 1 if depth == 0 => "true".to_owned(),
            _ => text.condition(g, "t", depth),
        };
        let (mut ordered, mut changes) = (false, false);
        let limit = match below(g, 3) {
            0 => String::new(),
            1 => format!(" LIMIT {}", below(g, 8)),
            _ => format!(" LIMIT {} OFFSET {}", below(g, 8), below(g, 4)),
        };
        let sql = match kind {
            0 | 1 => {
                ordered = true;
                // Of equal rows the key decides, so that there is one order.
                let keys = order(g, "t").join(", ");
                let direction = if below(g, 2) == 0 { "" } else { " DESC" };
                let lock = if below(g, 4) == 0 { " FOR UPDATE" } else { "" };
                format!(
                    "SELECT * FROM t WHERE {condition} ORDER BY {keys}, id{direction}{limit}{lock}"
                )
            }
            2 => {
                // What the order is by is in order, whatever becomes of equal rows.
                ordered = true;
                let keys: Vec<String> = order(g, "t");
                let columns: Vec<&str> = keys
                    .iter()
                    .map(|key| key.split(' ').next().unwrap())
                    .collect();
                format!(
                    "SELECT {} FROM t WHERE {condition} ORDER BY {}{limit}",
                    columns.join(", "),
                    keys.join(", ")
                )
            }
            3 => {
                let extremes: Vec<String> = (0..1 + below(g, 2))
                    .map(|_| {
                        let function = if below(g, 2) == 0 { "min" } else { "max" };
                        let column = ["a", "b", "c", "d", "f", "h", "lower(c)"][below(g, 7)];
                        format!("{function}({column})")
                    })
                    .collect();
                let filter = match below(g, 2) {
                    0 => String::new(),
                    _ => format!(" WHERE {condition}"),
                };
                format!("SELECT {} FROM t{filter}", extremes.join(", "))
            }
            4 => {
                changes = true;
                let set = [
                    "a = a + 1",
                    "b = NULL",
                    "c = 'b', a = b",
                    "e = NOT e",
                    "id = id + 100",
                ];
                format!(
                    "UPDATE t SET {} WHERE {condition}",
                    set[below(g, set.len())]
                )
            }
            5 => {
                changes = true;
                format!("DELETE FROM t WHERE {condition}")
            }
            6 => {
                let of = text.condition(g, "y", 1);
                let kind = ["JOIN", "LEFT JOIN"][below(g, 2)];
                let on = [
                    "y.a = t.b",
                    "y.b = t.a AND y.h = t.h",
                    "lower(y.c) = t.c",
                    "y.f = t.a",
                ][below(g, 4)];
                format!("SELECT t.id, y.id FROM t {kind} t y ON {on} AND {of} WHERE {condition}")
            }
            7 => {
                let on = [
                    "y.a = t.b OR y.b = t.a",
                    "y.a IN (t.a, t.b, 3)",
                    "(y.a, y.b) > (t.b, t.h)",
                    "y.f = ANY (ARRAY[t.a, t.h])",
                ];
                let on = on[below(g, on.len())];
                format!(
                    "SELECT t.id, (SELECT count(*) FROM t y WHERE {on}) FROM t WHERE {condition}"
                )
            }
            8 => format!("SELECT count(*), sum(a), min(c) FROM t WHERE {condition}"),
            9 => format!("SELECT id FROM t WHERE {condition} FOR UPDATE"),
            10 => {
                let columns: Vec<&str> = (0..1 + below(g, 3)).map(|_| pick(g, COLUMNS).0).collect();
                format!("SELECT {} FROM t WHERE {condition}", columns.join(", "))
            }
            _ => format!("SELECT * FROM t WHERE {condition}"),
        };
        Check {
            sql,
            parameters: text.parameters,
            ordered,
            changes,
            executor: ["auto", "row", "vector"][below(g, 3)],
        }
    }
}

fn index(g: &mut Gen, number: usize) -> String {
    let mut keys: Vec<String> = (0..1 + below(g, 3))
        .map(|_| {
            let key = match below(g, 5) {
                0 => pick(g, COMPUTED).0.to_owned(),
                _ => pick(g, COLUMNS).0.to_owned(),
            };
            let direction = if below(g, 3) == 0 { " DESC" } else { "" };
            let nulls = ["", "", " NULLS FIRST", " NULLS LAST"][below(g, 4)];
            format!("{key}{direction}{nulls}")
        })
        .collect();
    // With the table's key a unique one never gets in the way.
    let unique = below(g, 4) == 0;
    if unique {
        keys.push("id".to_owned());
    }
    let part = match below(g, 4) {
        0 => format!(" WHERE {}", pick(g, PARTS)),
        _ => String::new(),
    };
    let unique = if unique { "UNIQUE " } else { "" };
    format!(
        "CREATE {unique}INDEX i{number} ON t ({}){part}",
        keys.join(", ")
    )
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Case {
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|(name, of, _)| format!("{name} {of}"))
            .collect();
        let (first, last) = match below(g, 4) {
            0 => ("id int", ""),
            1 => ("id int UNIQUE", ""),
            2 => ("id int", ", PRIMARY KEY (h, id)"),
            _ => ("id int PRIMARY KEY", ""),
        };
        let rows = (0..below(g, 60))
            .map(|id| {
                let mut values = vec![id.to_string()];
                for (_, data_type, literals) in COLUMNS {
                    let is_null = !data_type.ends_with("NOT NULL") && below(g, 6) == 0;
                    values.push(if is_null {
                        "NULL".to_owned()
                    } else {
                        (*pick(g, literals)).to_owned()
                    });
                }
                format!("({})", values.join(", "))
            })
            .collect();
        Case {
            table: format!("CREATE TABLE t ({first}, {}{last})", columns.join(", ")),
            rows,
            indexes: (0..1 + below(g, 5))
                .map(|number| index(g, number))
                .collect(),
            analyzed: below(g, 4) == 0,
            checks: (0..12).map(|_| Check::arbitrary(g)).collect(),
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Case>> {
        let mut smaller = Vec::new();
        if self.checks.len() > 1 {
            for check in &self.checks {
                smaller.push(Case {
                    checks: vec![check.clone()],
                    ..self.clone()
                });
            }
        }
        for at in 0..self.indexes.len() {
            let mut case = self.clone();
            case.indexes.remove(at);
            smaller.push(case);
        }
        if self.rows.len() > 4 {
            let half = self.rows.len() / 2;
            for rows in [&self.rows[..half], &self.rows[half..]] {
                smaller.push(Case {
                    rows: rows.to_vec(),
                    ..self.clone()
                });
            }
        } else {
            for at in 0..self.rows.len() {
                let mut case = self.clone();
                case.rows.remove(at);
                smaller.push(case);
            }
        }
        Box::new(smaller.into_iter())
    }
}

/// What plans were seen to do.
static SEEN: Mutex<BTreeMap<&str, usize>> = Mutex::new(BTreeMap::new());

/// What some have to be seen doing for the test to mean something.
const WAYS: &[&str] = &["Index Scan", "Key Scan", "Index Union", " IN (", " OR "];

fn rows_of(session: &mut Session, sql: &str) -> Result<Vec<Vec<Value>>, Error> {
    session.query(sql, ())?.values()
}

fn sorted(mut rows: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

/// What a statement does: its rows, or those of the table after it; or its error.
fn outcome(session: &mut Session, check: &Check, sql: &str) -> Result<Vec<Vec<Value>>, String> {
    let done = if check.changes {
        session.execute("BEGIN", ()).unwrap();
        let changed = session.execute(sql, ());
        let rows = changed.and_then(|count| {
            let mut rows = sorted(rows_of(session, "SELECT * FROM t")?);
            rows.push(vec![Value::Int8(count as i64)]);
            // What indexes say of it now.
            rows.extend(sorted(rows_of(
                session,
                "SELECT id FROM t WHERE a = 2 OR b IN (1, 2)",
            )?));
            Ok(rows)
        });
        session.execute("ROLLBACK", ()).unwrap();
        rows
    } else {
        rows_of(session, sql)
    };
    let rows = done.map_err(|error| error.state().0.to_owned())?;
    Ok(if check.ordered || check.changes {
        rows
    } else {
        sorted(rows)
    })
}

fn agrees(case: Case) -> bool {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session.execute(&case.table, ()).unwrap();
    if !case.rows.is_empty() {
        let sql = format!("INSERT INTO t VALUES {}", case.rows.join(", "));
        session.execute(&sql, ()).unwrap();
    }
    for index in &case.indexes {
        session.execute(index, ()).unwrap();
    }
    if case.analyzed {
        session.execute("ANALYZE t", ()).unwrap();
    }
    for check in &case.checks {
        // Without rules every condition is looked at row by row.
        session.execute("SET optimizer = off", ()).unwrap();
        session.execute("SET executor = row", ()).unwrap();
        let mut literal = check.sql.clone();
        for (at, (data_type, value)) in check.parameters.iter().enumerate().rev() {
            let value = format!("({value})::{data_type}");
            literal = literal.replace(&format!("${}", at + 1), &value);
        }
        let expected = outcome(&mut session, check, &literal);
        session.execute("SET optimizer = on", ()).unwrap();
        session
            .execute(&format!("SET executor = {}", check.executor), ())
            .unwrap();
        let mut sql = check.sql.clone();
        let mut prepared = Ok(());
        if !check.parameters.is_empty() {
            let of = |which: fn(&(String, String)) -> String| {
                let of: Vec<String> = check.parameters.iter().map(which).collect();
                of.join(", ")
            };
            let types = of(|(data_type, _)| data_type.clone());
            let values = of(|(_, value)| value.clone());
            session.execute("DEALLOCATE ALL", ()).unwrap();
            let prepare = format!("PREPARE p ({types}) AS {}", check.sql);
            prepared = session.execute(&prepare, ()).map(|_| ());
            sql = format!("EXECUTE p ({values})");
        }
        let found = match prepared {
            Ok(()) => outcome(&mut session, check, &sql),
            Err(error) => Err(error.state().0.to_owned()),
        };
        let plan: Vec<String> = match rows_of(&mut session, &format!("EXPLAIN {sql}")) {
            Ok(lines) => lines.iter().map(|line| line[0].to_string()).collect(),
            Err(error) => vec![error.to_string()],
        };
        let plan = plan.join("\n");
        assert_eq!(found, expected, "{sql}\n{literal}\n{plan}");
        let conditions = ["Index Cond", "Key Cond", "Recheck Cond"];
        let reached: Vec<&str> = plan
            .lines()
            .filter(|line| {
                line.contains("Scan")
                    || line.contains("Index Union")
                    || line.contains("Lookup")
                    || conditions.iter().any(|of| line.contains(of))
            })
            .collect();
        let reached = reached.join("\n");
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        for way in WAYS {
            *seen.entry(*way).or_default() += usize::from(reached.contains(way));
        }
    }
    true
}

#[test]
fn whatever_way_rows_are_found_they_are_the_same() {
    let runs = std::env::var("RUSTLING_MODEL_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(60);
    QuickCheck::new()
        .tests(runs)
        .quickcheck(agrees as fn(Case) -> bool);
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    for way in WAYS {
        assert!(
            seen.get(way).is_some_and(|times| *times > 0),
            "{way}: {seen:?}"
        );
    }
}
