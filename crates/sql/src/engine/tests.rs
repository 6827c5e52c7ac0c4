//! The engine below the language: statements bound by hand.

use std::sync::Arc;

use super::{
    BulkOptions, Database, Session, StatementResult,
    prepared::{Action, PlanOptions, plan_bound},
    query::{Started, changed_meanwhile},
};
use crate::{
    DataType, Result, SqlState, Value,
    binder::Bound,
    bound::{
        AggregateCall, AggregateFunction, BinaryOp, BoundStatement, Change, ChangeKind, ColumnId,
        Expr, ExprKind, JoinKind, LogicalPlan, OutputColumn, ScanColumn, SortKey,
    },
    catalog::Table,
    planner::{
        choose_executor::ExecutorSetting,
        expr_tools::{column, literal},
    },
};

fn options() -> PlanOptions {
    PlanOptions {
        search_path: Arc::new(vec!["public".to_owned()]),
        executor: ExecutorSetting::Auto,
        double_quoted_strings: false,
        optimizer: true,
    }
}

fn int(number: i32) -> Value {
    Value::Int4(number)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// A table `(id int PRIMARY KEY, v int, s text UNIQUE)`, or without keys.
fn create(session: &mut Session, name: &str, keyed: bool) {
    let create = if keyed {
        format!("CREATE TABLE {name} (id int PRIMARY KEY, v int, s text UNIQUE)")
    } else {
        format!("CREATE TABLE {name} (id int, v int, s text)")
    };
    session.run(&create, ()).expect("the table is created");
}

fn table(session: &Session, name: &str) -> Arc<Table> {
    session.database().table(name).expect("the table exists")
}

fn run(session: &mut Session, statement: BoundStatement) -> Result<Vec<Vec<Value>>> {
    let catalog = session.catalog();
    let bound = Bound {
        statement,
        parameters: Vec::new(),
        parameter_names: Vec::new(),
        needed: Default::default(),
    };
    let planned = Arc::new(plan_bound(bound, &catalog, options())?);
    match &planned.action {
        Action::Query(query) => match session.start_query(&planned, query, Vec::new())? {
            Started::Rows(rows) => rows.values(),
            Started::Stale(_) => Err(changed_meanwhile()),
        },
        Action::Change(_) => session
            .change_once(&planned, Vec::new())
            .map(|_| Vec::new()),
        _ => Ok(Vec::new()),
    }
}

fn insert(session: &mut Session, name: &str, rows: Vec<Vec<Value>>) -> Result<()> {
    let table = table(session, name);
    let columns: Vec<(ColumnId, DataType)> = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| (ColumnId(at as u32), column.data_type))
        .collect();
    let rows = rows
        .into_iter()
        .map(|row| {
            row.into_iter()
                .zip(&columns)
                .map(|(v, (_, of))| literal(v, *of))
                .collect()
        })
        .collect();
    let ids = columns.iter().map(|(id, _)| *id).collect();
    let change = Change {
        table,
        source: LogicalPlan::Values { columns, rows },
        kind: ChangeKind::Insert {
            columns: ids,
            on_conflict: None,
        },
        returning: None,
        family: None,
        checks: Vec::new(),
    };
    run(session, BoundStatement::Change(Box::new(change))).map(|_| ())
}

fn scan(session: &Session, name: &str, first: u32) -> LogicalPlan {
    let table = table(session, name);
    LogicalPlan::Scan {
        columns: (0..3)
            .map(|ordinal| ScanColumn {
                ordinal,
                id: ColumnId(first + ordinal as u32),
            })
            .collect(),
        table,
        row_key: None,
        filter: Vec::new(),
    }
}

fn int_column(id: u32) -> Expr {
    column(ColumnId(id), DataType::Int4, true)
}

fn compare(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr {
        kind: ExprKind::Binary(op, Box::new(left), Box::new(right)),
        data_type: DataType::Boolean,
        nullable: true,
        span: Default::default(),
    }
}

fn query(plan: LogicalPlan, ids: &[u32]) -> BoundStatement {
    let types: std::collections::HashMap<ColumnId, DataType> =
        crate::planner::output(&plan).into_iter().collect();
    let columns = ids
        .iter()
        .map(|id| OutputColumn {
            id: ColumnId(*id),
            name: format!("c{id}"),
            data_type: types[&ColumnId(*id)],
            nullable: true,
        })
        .collect();
    BoundStatement::Query { plan, columns }
}

fn sorted(input: LogicalPlan, id: u32) -> LogicalPlan {
    let key = SortKey {
        expr: int_column(id),
        descending: false,
        nulls_first: false,
    };
    LogicalPlan::Sort {
        input: Box::new(input),
        keys: vec![key],
    }
}

fn people(keyed: bool) -> Session {
    let mut session = Database::in_memory().unwrap().session();
    create(&mut session, "a", keyed);
    let rows = (1..=100)
        .map(|id| {
            vec![
                int(id),
                if id % 10 == 0 {
                    Value::Null
                } else {
                    int(id % 7)
                },
                text(&format!("s{id}")),
            ]
        })
        .collect();
    insert(&mut session, "a", rows).unwrap();
    session
}

#[test]
fn rows_are_found_by_key_range_and_scan() {
    for keyed in [true, false] {
        let mut session = people(keyed);
        for (op, expected) in [
            (BinaryOp::Equal, 42..=42),
            (BinaryOp::Less, 1..=41),
            (BinaryOp::LessOrEqual, 1..=42),
            (BinaryOp::Greater, 43..=100),
            (BinaryOp::GreaterOrEqual, 42..=100),
        ] {
            let condition = compare(op, int_column(0), literal(int(42), DataType::Int4));
            let plan = LogicalPlan::Filter {
                input: Box::new(scan(&session, "a", 0)),
                predicates: vec![condition],
            };
            let rows = run(&mut session, query(sorted(plan, 0), &[0])).unwrap();
            let expected: Vec<Vec<Value>> = expected.map(|id| vec![int(id)]).collect();
            assert_eq!(rows, expected, "{op:?} keyed {keyed}");
        }
    }
}

#[test]
fn joins_of_every_kind_agree_with_the_definition() {
    let mut session = people(true);
    create(&mut session, "b", false);
    let rows = (0..10)
        .map(|v| {
            vec![
                int(v),
                if v == 4 { Value::Null } else { int(v % 5) },
                text("b"),
            ]
        })
        .collect();
    insert(&mut session, "b", rows).unwrap();
    let value = |row: &[Value]| row[1].as_integer();
    let plan = scan(&session, "a", 0);
    let left: Vec<Vec<Value>> = run(&mut session, query(plan, &[0, 1])).unwrap();
    let plan = scan(&session, "b", 10);
    let right: Vec<Vec<Value>> = run(&mut session, query(plan, &[10, 11])).unwrap();
    for kind in [
        JoinKind::Inner,
        JoinKind::Left,
        JoinKind::Right,
        JoinKind::Full,
        JoinKind::Semi,
        JoinKind::Anti,
    ] {
        for op in [BinaryOp::Equal, BinaryOp::Less] {
            let matches = |l: &[Value], r: &[Value]| match (value(l), value(r)) {
                (Some(l), Some(r)) => {
                    if op == BinaryOp::Equal {
                        l == r
                    } else {
                        l < r
                    }
                }
                _ => false,
            };
            let one_sided = matches!(kind, JoinKind::Semi | JoinKind::Anti);
            let nulls = vec![Value::Null; 2];
            let mut expected = Vec::new();
            for l in &left {
                let found: Vec<&Vec<Value>> = right.iter().filter(|r| matches(l, r)).collect();
                match kind {
                    JoinKind::Semi if !found.is_empty() => expected.push(l.clone()),
                    JoinKind::Anti if found.is_empty() => expected.push(l.clone()),
                    JoinKind::Left | JoinKind::Full if found.is_empty() => {
                        expected.push([&l[..], &nulls].concat())
                    }
                    _ => {}
                }
                if !one_sided {
                    expected.extend(found.iter().map(|r| [&l[..], &r[..]].concat()));
                }
            }
            if matches!(kind, JoinKind::Right | JoinKind::Full) {
                for r in &right {
                    if !left.iter().any(|l| matches(l, r)) {
                        expected.push([&nulls, &r[..]].concat());
                    }
                }
            }
            let plan = LogicalPlan::Join {
                kind,
                left: Box::new(scan(&session, "a", 0)),
                right: Box::new(scan(&session, "b", 10)),
                on: vec![compare(op, int_column(1), int_column(11))],
            };
            let ids: &[u32] = if one_sided { &[0, 1] } else { &[0, 1, 10, 11] };
            let mut rows = run(&mut session, query(plan, ids)).unwrap();
            let order = |row: &Vec<Value>| format!("{row:?}");
            rows.sort_by_key(order);
            expected.sort_by_key(order);
            assert_eq!(rows, expected, "{kind:?} {op:?}");
        }
    }
}

#[test]
fn groups_and_totals() {
    let mut session = people(true);
    let call = |function, arguments: Vec<Expr>, data_type| AggregateCall {
        function,
        arguments,
        distinct: false,
        filter: None,
        order_by: Vec::new(),
        data_type,
    };
    let plan = LogicalPlan::Aggregate {
        input: Box::new(scan(&session, "a", 0)),
        keys: vec![(ColumnId(20), int_column(1))],
        aggregates: vec![
            (
                ColumnId(21),
                call(AggregateFunction::CountStar, Vec::new(), DataType::Int8),
            ),
            (
                ColumnId(22),
                call(AggregateFunction::Sum, vec![int_column(0)], DataType::Int8),
            ),
        ],
        sets: None,
    };
    let rows = run(&mut session, query(sorted(plan, 20), &[20, 21, 22])).unwrap();
    assert_eq!(rows.len(), 8);
    let total: i64 = rows.iter().filter_map(|row| row[2].as_integer()).sum();
    assert_eq!(total, 5050);
    assert_eq!(rows[7], [Value::Null, Value::Int8(10), Value::Int8(550)]);
}

#[test]
fn a_key_is_taken_once() {
    let mut session = people(true);
    let error = insert(&mut session, "a", vec![vec![int(5), int(1), text("new")]]).unwrap_err();
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    assert_eq!(error.detail_text(), Some("Key (id)=(5) already exists."));
    let error = insert(&mut session, "a", vec![vec![int(500), int(1), text("s7")]]).unwrap_err();
    assert_eq!(
        error.message(),
        "duplicate key value violates unique constraint \"a_s_key\""
    );
    // Nothing of the failed statements stays.
    let plan = scan(&session, "a", 0);
    let rows = run(&mut session, query(plan, &[0])).unwrap();
    assert_eq!(rows.len(), 100);
}

#[test]
fn bulk_loads_are_whole_or_nothing() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    create(&mut session, "a", true);
    let rows = |ids: std::ops::Range<i32>| -> Vec<Vec<Value>> {
        ids.map(|id| vec![int(id), int(id), text(&format!("s{id}"))])
            .collect()
    };
    let loader = db.bulk_loader("a", BulkOptions::default()).unwrap();
    std::thread::scope(|scope| {
        for part in 0..4 {
            let loader = &loader;
            scope.spawn(move || loader.append(rows(part * 500..part * 500 + 500)).unwrap());
        }
    });
    assert_eq!(loader.finish().unwrap(), 2000);
    let count = |session: &mut Session| {
        run(session, query(scan(session, "a", 0), &[0]))
            .unwrap()
            .len()
    };
    assert_eq!(count(&mut session), 2000);
    let loader = db.bulk_loader("a", BulkOptions::default()).unwrap();
    loader.append(rows(2000..2100)).unwrap();
    let error = loader.append(rows(1999..2001)).unwrap_err();
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    assert_eq!(error.detail_text(), Some("Key (id)=(1999) already exists."));
    drop(loader);
    assert_eq!(count(&mut session), 2000);
    let loader = db.bulk_loader("a", BulkOptions::default()).unwrap();
    let error = loader
        .append(vec![vec![text("x"), int(1), Value::Null]])
        .unwrap_err();
    assert_eq!(error.state(), SqlState::DATATYPE_MISMATCH);
    let error = loader
        .append(vec![vec![Value::Null, int(1), Value::Null]])
        .unwrap_err();
    assert_eq!(error.state(), SqlState::NOT_NULL_VIOLATION);
}

#[test]
fn definitions_roll_back() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session.begin().unwrap();
    create_in_block(&mut session);
    assert!(session.catalog().find(None, "a").is_some());
    assert!(db.table("a").is_none());
    session.rollback().unwrap();
    assert!(db.table("a").is_none());
    create(&mut session, "a", true);
    assert!(db.table("a").is_some());
}

fn create_in_block(session: &mut Session) {
    create(session, "a", true);
}

#[test]
fn results_say_what_was_done() {
    match StatementResult::done("X") {
        StatementResult::Done { tag, affected, .. } => {
            assert_eq!((tag.as_str(), affected), ("X", 0))
        }
        other => panic!("{other:?}"),
    }
}

fn shown(session: &mut Session, setting: &str) -> String {
    let rows = session.query(&format!("SHOW {setting}"), ()).unwrap();
    rows.read_all::<(String,)>().unwrap()[0].0.clone()
}

#[test]
fn reset_all_goes_back_to_what_the_session_began_with() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session.set_default("statement_timeout", "5s").unwrap();
    session.set_default("application_name", "app").unwrap();
    let settings = ["statement_timeout", "application_name", "lock_timeout"];
    let all = |session: &mut Session| settings.map(|setting| shown(session, setting));
    let first = all(&mut session);
    assert_eq!(first, ["5s", "app", "0"]);
    let change = "SET statement_timeout = 0; SET application_name = 'x'; SET lock_timeout = '1s'";
    for reset in ["RESET ALL", "DISCARD ALL", "BEGIN; RESET ALL; COMMIT"] {
        session.execute_script(change).unwrap();
        session.execute_script(reset).unwrap();
        assert_eq!(all(&mut session), first, "{reset}");
        session
            .execute_script("SET statement_timeout = 0; RESET statement_timeout")
            .unwrap();
        assert_eq!(all(&mut session), first, "{reset}");
    }
    session.execute_script(change).unwrap();
    session.execute_script("BEGIN; RESET ALL").unwrap();
    assert_eq!(all(&mut session), first);
    session.rollback().unwrap();
    assert_eq!(all(&mut session), ["0", "x", "1s"]);
}

#[test]
fn a_block_that_cannot_end_yet_goes_on() {
    let mut session = people(true);
    session
        .execute_script(
            "BEGIN; SET application_name = 'kept'; DECLARE c CURSOR FOR SELECT id FROM a;
             INSERT INTO a VALUES (1000, 1, 'new')",
        )
        .unwrap();
    let mut rows = session.query("SELECT v FROM a", ()).unwrap();
    assert!(rows.next().is_some());
    for end in ["COMMIT", "ROLLBACK"] {
        let error = session.run(end, ()).unwrap_err();
        assert_eq!(error.state(), SqlState("55006"));
        assert!(session.in_transaction() && !session.transaction_failed());
        let fetched = session.query("FETCH c", ()).unwrap().values().unwrap();
        assert_eq!(fetched.len(), 1);
        assert_eq!(shown(&mut session, "application_name"), "kept");
    }
    drop(rows);
    session.run("COMMIT", ()).unwrap();
    assert_eq!(shown(&mut session, "application_name"), "kept");
    let found = session.query("SELECT v FROM a WHERE id = 1000", ());
    assert_eq!(found.unwrap().values().unwrap(), [vec![int(1)]]);
}

#[test]
fn cursors_and_prepared_statements_are_bounded() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session.limit_memory(1 << 20);
    let declare = |name: &str, rows: u32| {
        format!(
            "DECLARE {name} CURSOR WITH HOLD FOR \
             SELECT repeat('x', 1000) FROM generate_series(1, {rows})"
        )
    };
    session.execute(&declare("small", 100), ()).unwrap();
    let error = session.execute(&declare("large", 10_000), ()).unwrap_err();
    assert_eq!(error.state(), SqlState::OUT_OF_MEMORY);

    let statement = session.statement("SELECT 1").unwrap();
    for number in 0..16 << 10 {
        assert!(session.keep_statement(&format!("p{number}"), &statement));
    }
    let error = session.run("PREPARE more AS SELECT 2", ()).unwrap_err();
    assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    session.run("DEALLOCATE p0", ()).unwrap();
    session.run("PREPARE more AS SELECT 2", ()).unwrap();
}
