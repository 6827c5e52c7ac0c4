//! How a table's rows are reached: whole, by key, through an index.

use std::sync::Arc;

use crate::{
    DataType, Result, Value,
    bound::{BinaryOp, ColumnId, Expr, ExprKind, ScanColumn},
    encoding::{KeyColumn, RowDecoder},
    engine::{index_entry::EntryDecoder, table::TableHandle},
    planner::{
        cost::Estimator,
        expr_tools::{column, is_comparison, is_stable_constant, literal, mirrored},
        physical::{
            AccessPath, Estimate, KeyBound, KeyCondition, PlanColumn, PlannedExpr, ScanNode,
        },
    },
};

/// Cost of finding a place in a tree.
pub(crate) const SEEK: f64 = 3.0;
/// Cost of reading the next row in order.
pub(crate) const NEXT_ROW: f64 = 1.0;
/// Cost of reading an index entry and fetching its row.
pub(crate) const FETCH: f64 = 4.0;

/// A conjunct that compares a table column with something.
pub(crate) struct KeyTest {
    /// Which conjunct, by its position.
    pub(crate) conjunct: usize,
    /// The column's ordinal.
    pub(crate) ordinal: usize,
    /// The comparison, the column on its left.
    pub(crate) op: BinaryOp,
    /// What it is compared with, of the column's type.
    pub(crate) value: Expr,
}

/// What a scan has to give.
pub(crate) struct Wanted {
    ordinals: Vec<usize>,
    /// Whether the rows' keys are wanted too.
    row_key: bool,
}

impl Wanted {
    /// These columns, and the row's key where `row_key`.
    pub(crate) fn new(columns: &[ScanColumn], row_key: bool) -> Wanted {
        Wanted {
            ordinals: columns.iter().map(|column| column.ordinal).collect(),
            row_key,
        }
    }

    /// What reads it out of the entries of the index at position `at`, if these hold it.
    pub(crate) fn entries(&self, table: &TableHandle, at: usize) -> Option<EntryDecoder> {
        if self.row_key {
            return None;
        }
        EntryDecoder::new(table, at, &self.ordinals)
    }

    /// As [`Wanted::entries`], for a path.
    pub(crate) fn entries_of(&self, table: &TableHandle, path: AccessPath) -> Option<EntryDecoder> {
        match path {
            AccessPath::Table => None,
            AccessPath::Index(at) => self.entries(table, at),
        }
    }
}

/// How a path would be used.
pub(crate) struct PathMatch {
    /// The path.
    pub(crate) path: AccessPath,
    /// The tests of the equalities, by key column.
    pub(crate) equal: Vec<usize>,
    /// The test of the lower end.
    pub(crate) lower: Option<usize>,
    /// The test of the upper end.
    pub(crate) upper: Option<usize>,
    /// Rows that the path gives.
    pub(crate) rows: f64,
    /// Its cost.
    pub(crate) cost: f64,
}

/// The column behind `expr`, looking through conversions that keep order and equality.
fn column_behind(expr: &Expr) -> Option<(ColumnId, DataType)> {
    match &expr.kind {
        ExprKind::Column(id) => Some((*id, expr.data_type)),
        ExprKind::Cast(operand) => {
            let (id, from) = column_behind(operand)?;
            let keeps = from.is_integer() && expr.data_type.is_integer()
                || matches!(from, DataType::Text | DataType::Varchar(_))
                    && matches!(expr.data_type, DataType::Text | DataType::Varchar(None));
            keeps.then_some((id, from))
        }
        _ => None,
    }
}

/// `value` as one of the column's type, where comparing stays the same.
fn as_column_type(value: &Expr, of: DataType) -> Option<Expr> {
    if value.data_type == of
        || value.data_type.is_string() && of.is_string() && !matches!(of, DataType::Char(_))
    {
        return Some(value.clone());
    }
    // numeric(10,2) and numeric have one key form.
    if matches!(
        (value.data_type, of),
        (DataType::Decimal(_), DataType::Decimal(_))
    ) {
        return Some(value.clone());
    }
    if !of.is_integer() {
        return None;
    }
    let ExprKind::Literal(number) = &value.kind else {
        return match &value.kind {
            // int4 column against int8: a widened value of the column's own type.
            ExprKind::Cast(operand) if operand.data_type == of => Some((**operand).clone()),
            _ => None,
        };
    };
    let number = number.as_integer()?;
    let narrow = match of {
        DataType::Int1 => Value::Int1(number.try_into().ok()?),
        DataType::Int2 => Value::Int2(number.try_into().ok()?),
        DataType::Int4 => Value::Int4(number.try_into().ok()?),
        DataType::Int8 => Value::Int8(number),
        _ => return None,
    };
    Some(literal(narrow, of))
}

/// The tests among `conjuncts` that compare a column of `columns` with something for which
/// `is_value` holds.
pub(crate) fn key_tests(
    conjuncts: &[Expr],
    columns: &[ScanColumn],
    is_value: &dyn Fn(&Expr) -> bool,
) -> Vec<KeyTest> {
    let ordinal_of = |id: ColumnId| {
        columns
            .iter()
            .find(|column| column.id == id)
            .map(|column| column.ordinal)
    };
    let mut tests = Vec::new();
    for (conjunct, expr) in conjuncts.iter().enumerate() {
        let ExprKind::Binary(op, left, right) = &expr.kind else {
            continue;
        };
        if !is_comparison(*op) || *op == BinaryOp::NotEqual {
            continue;
        }
        for (side, op, other) in [(left, *op, right), (right, mirrored(*op), left)] {
            let Some((id, data_type)) = column_behind(side) else {
                continue;
            };
            let (Some(ordinal), true) = (ordinal_of(id), is_value(other)) else {
                continue;
            };
            if let Some(value) = as_column_type(other, data_type) {
                tests.push(KeyTest {
                    conjunct,
                    ordinal,
                    op,
                    value,
                });
                break;
            }
        }
    }
    tests
}

/// The key columns of a path: ordinal and form.
pub(crate) fn path_columns(table: &TableHandle, path: AccessPath) -> Vec<(usize, KeyColumn)> {
    match path {
        AccessPath::Table => match &table.codec.key {
            Some(layout) => table
                .codec
                .key_columns
                .iter()
                .copied()
                .zip(layout.columns().iter().copied())
                .collect(),
            None => Vec::new(),
        },
        AccessPath::Index(at) => match table.indexes.get(at) {
            // A partial index does not lead to all rows.
            Some(index) if index.predicate.is_none() => index
                .ordinals
                .iter()
                .copied()
                .zip(index.layout.columns().iter().copied())
                .collect(),
            _ => Vec::new(),
        },
    }
}

/// Matches `tests` with every path of `table` that they narrow; the cheapest comes first.
pub(crate) fn match_paths(
    table: &TableHandle,
    tests: &[KeyTest],
    table_rows: f64,
    selectivity: &dyn Fn(usize) -> f64,
    wanted: &Wanted,
) -> Vec<PathMatch> {
    let paths =
        std::iter::once(AccessPath::Table).chain((0..table.indexes.len()).map(AccessPath::Index));
    let mut matches = Vec::new();
    for path in paths {
        let columns = path_columns(table, path);
        let mut found = PathMatch {
            path,
            equal: Vec::new(),
            lower: None,
            upper: None,
            rows: table_rows,
            cost: 0.0,
        };
        for (ordinal, _) in &columns {
            let find = |ops: &[BinaryOp]| {
                tests
                    .iter()
                    .position(|test| test.ordinal == *ordinal && ops.contains(&test.op))
            };
            if let Some(test) = find(&[BinaryOp::Equal]) {
                found.equal.push(test);
                continue;
            }
            found.lower = find(&[BinaryOp::Greater, BinaryOp::GreaterOrEqual]);
            found.upper = find(&[BinaryOp::Less, BinaryOp::LessOrEqual]);
            break;
        }
        let used: Vec<usize> = found
            .equal
            .iter()
            .copied()
            .chain(found.lower)
            .chain(found.upper)
            .collect();
        if used.is_empty() {
            continue;
        }
        let unique = match path {
            AccessPath::Table => true,
            AccessPath::Index(at) => table.indexes.get(at).is_some_and(|index| index.unique),
        };
        found.rows = if unique && found.equal.len() == columns.len() {
            1.0
        } else {
            let part: f64 = used
                .iter()
                .map(|test| selectivity(tests[*test].conjunct))
                .product();
            (table_rows * part).max(1.0)
        };
        found.cost = SEEK
            + found.rows
                * match path {
                    AccessPath::Index(at) if wanted.entries(table, at).is_none() => FETCH,
                    _ => NEXT_ROW,
                };
        matches.push(found);
    }
    matches.sort_by(|a, b| {
        a.cost
            .total_cmp(&b.cost)
            .then(b.equal.len().cmp(&a.equal.len()))
    });
    matches
}

/// The key condition that a match stands for, its values compiled over `outer`.
pub(crate) fn condition_of(
    found: &PathMatch,
    tests: &[KeyTest],
    outer: &[PlanColumn],
) -> Result<KeyCondition> {
    let value = |test: usize| PlannedExpr::new(tests[test].value.clone(), outer);
    let bound = |test: Option<usize>| -> Result<Option<KeyBound>> {
        test.map(|test| {
            Ok(KeyBound {
                value: value(test)?,
                inclusive: matches!(
                    tests[test].op,
                    BinaryOp::GreaterOrEqual | BinaryOp::LessOrEqual
                ),
            })
        })
        .transpose()
    };
    Ok(KeyCondition {
        equal: found
            .equal
            .iter()
            .map(|test| value(*test))
            .collect::<Result<_>>()?,
        lower: bound(found.lower)?,
        upper: bound(found.upper)?,
    })
}

/// For `column LIKE 'abc%'`: `column >= 'abc'` and `column < 'abd'`, to narrow a scan by. The
/// LIKE itself must still be checked.
fn like_bounds(conjunct: &Expr) -> Option<[Expr; 2]> {
    let ExprKind::Like {
        operand,
        pattern,
        escape: None,
        case_insensitive: false,
        negated: false,
    } = &conjunct.kind
    else {
        return None;
    };
    let (id, data_type) = column_behind(operand)?;
    if !matches!(data_type, DataType::Text | DataType::Varchar(_)) {
        return None;
    }
    let ExprKind::Literal(Value::Text(pattern)) = &pattern.kind else {
        return None;
    };
    let end = pattern.find(['%', '_', '\\'])?;
    let prefix = pattern.get(..end).filter(|prefix| !prefix.is_empty())?;
    // The next prefix: the last character counted up, where that is a character.
    let (last_at, last) = prefix.char_indices().next_back()?;
    let next = char::from_u32(u32::from(last) + 1)?;
    let mut above = prefix.get(..last_at)?.to_owned();
    above.push(next);
    let compare = |op, text: &str| Expr {
        kind: ExprKind::Binary(
            op,
            Box::new(column(id, data_type, true)),
            Box::new(literal(Value::Text(text.into()), data_type)),
        ),
        data_type: DataType::Boolean,
        nullable: true,
        span: conjunct.span,
    };
    Some([
        compare(BinaryOp::GreaterOrEqual, prefix),
        compare(BinaryOp::Less, &above),
    ])
}

/// Chooses how to scan a table under `filter`; gives the scan and its estimate.
pub(crate) fn plan_scan(
    table: Arc<TableHandle>,
    columns: &[ScanColumn],
    row_key: Option<ColumnId>,
    filter: Vec<Expr>,
    estimator: &Estimator<'_>,
    plan_columns: &[PlanColumn],
) -> Result<(ScanNode, Estimate)> {
    let table_rows = estimator.table_rows(table.table.id);
    let own = filter.len();
    let mut conjuncts = filter;
    let derived: Vec<Expr> = conjuncts.iter().filter_map(like_bounds).flatten().collect();
    conjuncts.extend(derived);
    let tests = key_tests(&conjuncts, columns, &is_stable_constant);
    let selectivity = |conjunct: usize| {
        conjuncts
            .get(conjunct)
            .map_or(1.0, |expr| estimator.selectivity(expr))
    };
    let full_cost = table_rows * NEXT_ROW;
    let wanted = Wanted::new(columns, row_key.is_some());
    let best = match_paths(&table, &tests, table_rows, &selectivity, &wanted)
        .into_iter()
        .next()
        .filter(|found| found.path == AccessPath::Table || found.cost < full_cost);
    let rows = (table_rows * estimator.all(&conjuncts[..own])).max(1.0);
    let (path, condition, used, estimate) = match &best {
        Some(found) => {
            let used: Vec<usize> = found
                .equal
                .iter()
                .copied()
                .chain(found.lower)
                .chain(found.upper)
                .map(|test| tests[test].conjunct)
                .collect();
            (
                found.path,
                condition_of(found, &tests, &[])?,
                used,
                Estimate {
                    rows: rows.min(found.rows),
                    cost: found.cost,
                },
            )
        }
        None => (
            AccessPath::Table,
            KeyCondition::default(),
            Vec::new(),
            Estimate {
                rows,
                cost: full_cost,
            },
        ),
    };
    let (mut condition_exprs, mut rest) = (Vec::new(), Vec::new());
    for (at, conjunct) in conjuncts.into_iter().enumerate() {
        if used.contains(&at) {
            condition_exprs.push(conjunct);
        } else if at < own {
            rest.push(conjunct);
        }
    }
    let node = ScanNode {
        decoder: RowDecoder::new(Arc::clone(&table.codec), &wanted.ordinals),
        entries: wanted.entries_of(&table, path),
        table,
        ordinals: wanted.ordinals,
        row_key,
        path,
        condition,
        condition_exprs: PlannedExpr::all(condition_exprs, plan_columns)?,
        filter: PlannedExpr::all(rest, plan_columns)?,
        backward: false,
    };
    Ok((node, estimate))
}
