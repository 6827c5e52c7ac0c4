//! Leaves out partitions that hold no row which the conditions could be true of.

use std::cmp::Ordering;

use crate::{
    Result, Value,
    bound::{BinaryOp, ColumnId, Expr, ExprKind, LogicalPlan, ScanColumn},
    catalog::{PartitionBound, RangeEnd},
    engine::{partitions::PartitionCheck, table::TableHandle},
    planner::{
        plan_tools::inputs_mut,
        rules::{Rule, RuleContext},
    },
    types::DataType,
};

/// Compares the conditions that have come down to the scans of partitions with what these hold.
pub(super) struct PrunePartitions;

impl Rule for PrunePartitions {
    fn name(&self) -> &'static str {
        "prune_partitions"
    }

    fn apply(&self, plan: &mut LogicalPlan, context: &RuleContext<'_>) -> Result<bool> {
        prune(plan, context)
    }
}

fn prune(plan: &mut LogicalPlan, context: &RuleContext<'_>) -> Result<bool> {
    let mut changed = false;
    for input in inputs_mut(plan) {
        changed |= prune(input, context)?;
    }
    match plan {
        LogicalPlan::Scan {
            table,
            columns,
            row_key,
            filter,
        } if table.is_partition() && !filter.is_empty() => {
            let Some(handle) = (context.tables)(table.id) else {
                return Ok(changed);
            };
            if !may_hold(&handle, columns, filter)? {
                let mut ids: Vec<(ColumnId, DataType)> = columns
                    .iter()
                    .filter_map(|column| {
                        let of = table.columns.get(column.ordinal)?;
                        Some((column.id, of.data_type.of_values()))
                    })
                    .collect();
                ids.extend(row_key.map(|id| (id, DataType::Bytea)));
                *plan = nothing(ids);
                return Ok(true);
            }
        }
        LogicalPlan::UnionAll { inputs, columns } if inputs.iter().any(is_nothing) => {
            let kept: Vec<bool> = inputs.iter().map(|input| !is_nothing(input)).collect();
            if !kept.contains(&true) {
                let ids = columns
                    .iter()
                    .map(|(id, _, data_type)| (*id, *data_type))
                    .collect();
                *plan = nothing(ids);
                return Ok(true);
            }
            let mut keep = kept.iter();
            inputs.retain(|_| keep.next().copied().unwrap_or(true));
            for (_, ids, _) in columns.iter_mut() {
                let mut keep = kept.iter();
                ids.retain(|_| keep.next().copied().unwrap_or(true));
            }
            return Ok(true);
        }
        _ => {}
    }
    Ok(changed)
}

fn nothing(columns: Vec<(ColumnId, DataType)>) -> LogicalPlan {
    LogicalPlan::Values {
        columns,
        rows: Vec::new(),
    }
}

fn is_nothing(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Values { rows, .. } => rows.is_empty(),
        LogicalPlan::Project { input, .. } | LogicalPlan::Filter { input, .. } => is_nothing(input),
        _ => false,
    }
}

/// `column op constant`.
struct Fact<'e> {
    column: ColumnId,
    operator: BinaryOp,
    value: &'e Value,
}

fn fact(predicate: &Expr) -> Option<Fact<'_>> {
    let ExprKind::Binary(operator, left, right) = &predicate.kind else {
        return None;
    };
    let (column, value, operator) = match (&left.kind, &right.kind) {
        (ExprKind::Column(id), ExprKind::Literal(value)) => (*id, value, *operator),
        (ExprKind::Literal(value), ExprKind::Column(id)) => {
            let flipped = match operator {
                BinaryOp::Less => BinaryOp::Greater,
                BinaryOp::LessOrEqual => BinaryOp::GreaterOrEqual,
                BinaryOp::Greater => BinaryOp::Less,
                BinaryOp::GreaterOrEqual => BinaryOp::LessOrEqual,
                other => *other,
            };
            (*id, value, flipped)
        }
        _ => return None,
    };
    (!value.is_null()).then_some(Fact {
        column,
        operator,
        value,
    })
}

/// Whether a partition may hold rows that satisfy the conditions.
fn may_hold(handle: &TableHandle, columns: &[ScanColumn], filter: &[Expr]) -> Result<bool> {
    let facts: Vec<Fact<'_>> = filter.iter().filter_map(fact).collect();
    for check in &handle.partition_checks {
        if !satisfiable(check, columns, &facts)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn satisfiable(check: &PartitionCheck, columns: &[ScanColumn], facts: &[Fact<'_>]) -> Result<bool> {
    let routing = &check.routing;
    // The facts about each key of the table above, of values of the key's own type.
    let about = |at: usize| -> Vec<&Fact<'_>> {
        let Some((Some(ordinal), data_type)) = routing.key_column(at) else {
            return Vec::new();
        };
        let Some(place) = check.columns.get(ordinal) else {
            return Vec::new();
        };
        let Some(column) = columns.iter().find(|column| column.ordinal == *place) else {
            return Vec::new();
        };
        facts
            .iter()
            .filter(|fact| {
                fact.column == column.id
                    && fact.value.data_type().is_some_and(|of| {
                        of == data_type
                            || (of == DataType::Text && matches!(data_type, DataType::Varchar(_)))
                    })
            })
            .collect()
    };
    let mut key = Vec::new();
    for at in 0..routing.key_count() {
        let equal = about(at)
            .into_iter()
            .find(|fact| fact.operator == BinaryOp::Equal);
        match equal {
            Some(fact) => key.push(fact.value.clone()),
            None => break,
        }
    }
    if key.len() == routing.key_count() {
        return Ok(routing.find_key(&key)? == Some(check.through));
    }
    let first = about(0);
    Ok(match routing.bound_of(check.through) {
        Some(PartitionBound::Range { from, to }) => first.iter().all(|fact| {
            let below = |end: &RangeEnd| match end {
                RangeEnd::Value(end) => Some(fact.value.compare(end)),
                RangeEnd::Min | RangeEnd::Max => None,
            };
            let from = from.first().and_then(below);
            let to = to.first().and_then(below);
            // With more keys, rows at the upper end's first key may be inside.
            let alone = routing.key_count() == 1;
            let above_end = to == Some(Ordering::Greater) || (alone && to == Some(Ordering::Equal));
            match fact.operator {
                BinaryOp::Equal => from != Some(Ordering::Less) && !above_end,
                BinaryOp::Less => !matches!(from, Some(Ordering::Less | Ordering::Equal)),
                BinaryOp::LessOrEqual => from != Some(Ordering::Less),
                BinaryOp::GreaterOrEqual => !above_end,
                BinaryOp::Greater => !matches!(to, Some(Ordering::Greater | Ordering::Equal)),
                _ => true,
            }
        }),
        Some(PartitionBound::List(values)) => values.iter().any(|value| {
            first.iter().all(|fact| {
                let order = value.compare(fact.value);
                match fact.operator {
                    _ if value.is_null() => false,
                    BinaryOp::Equal => order == Ordering::Equal,
                    BinaryOp::NotEqual => order != Ordering::Equal,
                    BinaryOp::Less => order == Ordering::Less,
                    BinaryOp::LessOrEqual => order != Ordering::Greater,
                    BinaryOp::Greater => order == Ordering::Greater,
                    BinaryOp::GreaterOrEqual => order != Ordering::Less,
                    _ => true,
                }
            })
        }),
        _ => true,
    })
}
