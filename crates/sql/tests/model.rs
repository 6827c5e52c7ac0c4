//! Random rows and statements against a table kept as a plain vector.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::collections::BTreeMap;

use quickcheck::{Arbitrary, Gen, QuickCheck};
use rustling_sql::{Database, Session, SqlState, Value};

/// A statement of the model.
#[derive(Clone, Debug)]
enum Step {
    Insert(i32, Option<i32>, Option<i32>),
    /// `SET b = b + by WHERE a <comparison> value`.
    Update(&'static str, i32, i32),
    /// `SET id = id + by WHERE a = value`.
    Move(i32, i32),
    Delete(&'static str, i32),
    Begin,
    Commit,
    Rollback,
    /// The query of this number, with a value.
    Query(u8, i32),
    CreateIndex(u8),
}

const COMPARISONS: &[&str] = &["=", "<", "<=", ">", ">="];

fn small(g: &mut Gen) -> i32 {
    i32::from(u8::arbitrary(g) % 12)
}

fn maybe(g: &mut Gen) -> Option<i32> {
    (u8::arbitrary(g) % 5 != 0).then(|| small(g))
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Step {
        let comparison = COMPARISONS[usize::from(u8::arbitrary(g)) % COMPARISONS.len()];
        match u8::arbitrary(g) % 16 {
            0..=5 => Step::Insert(small(g), maybe(g), maybe(g)),
            6 => Step::Update(comparison, small(g), small(g)),
            7 => Step::Move(small(g), small(g)),
            8 => Step::Delete(comparison, small(g)),
            9 => Step::Begin,
            10 => Step::Commit,
            11 => Step::Rollback,
            12 => Step::CreateIndex(u8::arbitrary(g) % 3),
            _ => Step::Query(u8::arbitrary(g) % 8, small(g)),
        }
    }
}

type Rows = BTreeMap<i32, (Option<i32>, Option<i32>)>;

fn matches(value: Option<i32>, comparison: &str, with: i32) -> bool {
    value.is_some_and(|value| match comparison {
        "=" => value == with,
        "<" => value < with,
        "<=" => value <= with,
        ">" => value > with,
        _ => value >= with,
    })
}

fn int(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int8)
}

/// The query of a number, and what it must give (sorted).
fn query(number: u8, with: i32, rows: &Rows) -> (String, Vec<Vec<Value>>) {
    let wide = |value: Option<i32>| int(value.map(i64::from));
    let a = |of: &(Option<i32>, Option<i32>)| of.0;
    let mut expected: Vec<Vec<Value>> = Vec::new();
    let sql = match number {
        0 => {
            expected = rows
                .iter()
                .filter(|(id, _)| **id == with)
                .map(|(id, row)| vec![int(Some(i64::from(*id))), wide(row.0)])
                .collect();
            format!("SELECT id::bigint, a::bigint FROM t WHERE id = {with}")
        }
        1 => {
            expected = rows
                .iter()
                .filter(|(_, row)| matches(a(row), ">=", with))
                .map(|(id, _)| vec![int(Some(i64::from(*id)))])
                .collect();
            format!("SELECT id::bigint FROM t WHERE a >= {with}")
        }
        2 => {
            let mut groups: BTreeMap<Option<i32>, (i64, Option<i64>)> = BTreeMap::new();
            for row in rows.values() {
                let group = groups.entry(row.0).or_default();
                group.0 += 1;
                if let Some(b) = row.1 {
                    *group.1.get_or_insert(0) += i64::from(b);
                }
            }
            expected = groups
                .into_iter()
                .map(|(a, (count, sum))| vec![wide(a), int(Some(count)), int(sum)])
                .collect();
            "SELECT a::bigint, count(*), sum(b) FROM t GROUP BY a".to_owned()
        }
        3 => {
            for (left, row) in rows {
                for (right, other) in rows {
                    if row.0.is_some() && row.0 == other.1 {
                        expected.push(vec![
                            int(Some(i64::from(*left))),
                            int(Some(i64::from(*right))),
                        ]);
                    }
                }
            }
            "SELECT x.id::bigint, y.id::bigint FROM t x JOIN t y ON x.a = y.b".to_owned()
        }
        4 => {
            for (left, row) in rows {
                let found: Vec<i32> = rows
                    .iter()
                    .filter(|(_, other)| row.0.is_some() && other.1 == row.0)
                    .map(|(id, _)| *id)
                    .collect();
                if found.is_empty() {
                    expected.push(vec![int(Some(i64::from(*left))), Value::Null]);
                }
                expected.extend(
                    found
                        .into_iter()
                        .map(|id| vec![int(Some(i64::from(*left))), int(Some(i64::from(id)))]),
                );
            }
            "SELECT x.id::bigint, y.id::bigint FROM t x LEFT JOIN t y ON y.b = x.a".to_owned()
        }
        5 => {
            expected = rows
                .iter()
                .filter(|(_, row)| {
                    row.0
                        .is_some_and(|a| rows.values().any(|other| other.1 == Some(a)))
                })
                .map(|(id, _)| vec![int(Some(i64::from(*id)))])
                .collect();
            "SELECT id::bigint FROM t WHERE a IN (SELECT b FROM t)".to_owned()
        }
        6 => {
            let has_null = rows.values().any(|row| row.1.is_none());
            expected = rows
                .iter()
                .filter(|(_, row)| {
                    !has_null
                        && row
                            .0
                            .is_some_and(|a| !rows.values().any(|other| other.1 == Some(a)))
                })
                .map(|(id, _)| vec![int(Some(i64::from(*id)))])
                .collect();
            "SELECT id::bigint FROM t WHERE a NOT IN (SELECT b FROM t)".to_owned()
        }
        _ => {
            expected = rows
                .keys()
                .rev()
                .skip(1)
                .take(3)
                .map(|id| vec![int(Some(i64::from(*id)))])
                .collect();
            "SELECT id::bigint FROM t ORDER BY id DESC LIMIT 3 OFFSET 1".to_owned()
        }
    };
    (sql, expected)
}

fn sorted(mut rows: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

fn sql_value(value: Option<i32>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| value.to_string())
}

/// Runs a statement of the model; an error must be a key that exists, or a failed block.
fn change(session: &mut Session, sql: &str) -> Option<u64> {
    match session.execute(sql, ()) {
        Ok(count) => Some(count),
        Err(error) => {
            let state = error.state();
            assert!(
                [
                    SqlState::UNIQUE_VIOLATION,
                    SqlState::IN_FAILED_SQL_TRANSACTION
                ]
                .contains(&state),
                "{sql}: {error}"
            );
            None
        }
    }
}

fn agrees(steps: Vec<Step>) -> bool {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session
        .execute("CREATE TABLE t (id int PRIMARY KEY, a int, b int)", ())
        .unwrap();
    let mut rows = Rows::new();
    // What rolls back, and whether the block has failed.
    let mut block: Option<(Rows, bool)> = None;
    for step in steps {
        let failed = block.as_ref().is_some_and(|(_, failed)| *failed);
        let mut next = rows.clone();
        let changed = match &step {
            Step::Insert(id, a, b) => {
                let exists = next.insert(*id, (*a, *b)).is_some();
                let sql = format!(
                    "INSERT INTO t VALUES ({id}, {}, {})",
                    sql_value(*a),
                    sql_value(*b)
                );
                let done = change(&mut session, &sql);
                assert_eq!(done.is_some(), !exists && !failed, "{sql}");
                done
            }
            Step::Update(comparison, with, by) => {
                let mut count = 0;
                for row in next
                    .values_mut()
                    .filter(|row| matches(row.0, comparison, *with))
                {
                    row.1 = row.1.map(|b| b + by);
                    count += 1;
                }
                let sql = format!("UPDATE t SET b = b + {by} WHERE a {comparison} {with}");
                let done = change(&mut session, &sql);
                assert!(failed || done == Some(count), "{sql}: {done:?} {count}");
                done
            }
            Step::Move(with, by) => {
                let (moving, mut staying): (Rows, Rows) =
                    next.into_iter().partition(|(_, row)| row.0 == Some(*with));
                let mut clash = false;
                for (id, row) in moving {
                    clash |= staying.insert(id + by, row).is_some();
                }
                next = staying;
                let sql = format!("UPDATE t SET id = id + {by} WHERE a = {with}");
                let done = change(&mut session, &sql);
                assert_eq!(done.is_some(), !clash && !failed, "{sql}");
                done
            }
            Step::Delete(comparison, with) => {
                let before = next.len();
                next.retain(|_, row| !matches(row.0, comparison, *with));
                let count = (before - next.len()) as u64;
                let sql = format!("DELETE FROM t WHERE a {comparison} {with}");
                let done = change(&mut session, &sql);
                assert!(failed || done == Some(count), "{sql}");
                done
            }
            Step::Begin => {
                if block.is_none() {
                    session.execute("BEGIN", ()).unwrap();
                    block = Some((rows.clone(), false));
                }
                continue;
            }
            Step::Commit | Step::Rollback => {
                if let Some((before, failed)) = block.take() {
                    let commit = matches!(step, Step::Commit);
                    session
                        .execute(if commit { "COMMIT" } else { "ROLLBACK" }, ())
                        .unwrap();
                    if !commit || failed {
                        rows = before;
                    }
                }
                continue;
            }
            Step::CreateIndex(number) => {
                if !failed {
                    let columns = ["a", "b DESC", "a, b"][usize::from(*number)];
                    let sql = format!("CREATE INDEX IF NOT EXISTS i{number} ON t ({columns})");
                    session.execute(&sql, ()).unwrap();
                }
                continue;
            }
            Step::Query(number, with) => {
                if !failed {
                    let (sql, expected) = query(*number, *with, &rows);
                    let found = session.query(&sql, ()).unwrap().values().unwrap();
                    assert_eq!(sorted(found), sorted(expected), "{sql} of {rows:?}");
                }
                continue;
            }
        };
        match (changed, &mut block) {
            (Some(_), _) => rows = next,
            (None, Some((_, failed))) => *failed = true,
            (None, None) => {}
        }
    }
    true
}

#[test]
fn statements_agree_with_the_model() {
    let runs = std::env::var("RUSTLING_MODEL_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(60);
    QuickCheck::new()
        .tests(runs)
        .quickcheck(agrees as fn(Vec<Step>) -> bool);
}
