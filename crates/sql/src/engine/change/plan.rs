//! From a bound change to one that can run.

use std::sync::Arc;

use crate::{
    Error, Result, SqlState,
    bound::{self, Arbiter, Assignment, Change, ColumnId, Expr, LogicalPlan, OutputColumn},
    catalog::Table,
    engine::{
        catalog::CatalogSnapshot,
        change::{
            ArbiterKey, ChangeAction, ChangeKind, ConflictAction, MergeStep, ReturningAction,
            UpsertAction,
            family::{Member, Partitions},
        },
        rows::ResultColumn,
        table::{TableHandle, row_position},
    },
    eval::CompiledExpr,
    planner::{
        PlanContext, expr_tools, max_column, output,
        physical::{PhysicalNode, PhysicalPlan, QueryPlan},
        plan_query,
    },
};

/// Plans the parts of one statement. Values of subqueries are parameters after the statement's
/// own, numbered through all parts in the order in which they are planned and run.
pub(crate) struct StatementPlanner<'a> {
    catalog: &'a CatalogSnapshot,
    context: PlanContext<'a>,
}

impl<'a> StatementPlanner<'a> {
    /// A planner of a statement over `catalog`.
    pub(crate) fn new(
        catalog: &'a CatalogSnapshot,
        context: &PlanContext<'a>,
    ) -> StatementPlanner<'a> {
        StatementPlanner {
            catalog,
            context: *context,
        }
    }

    /// Plans a query, whose subqueries take the next parameters.
    pub(crate) fn query(&mut self, plan: LogicalPlan, wanted: &[ColumnId]) -> Result<QueryPlan> {
        let planned = plan_query(plan, wanted, &self.context)?;
        self.context.parameters += planned.init.len();
        Ok(planned)
    }

    /// Plans a change.
    pub(crate) fn change(&mut self, change: Change) -> Result<ChangeAction> {
        let Change {
            table,
            source,
            kind,
            returning,
            family,
            checks,
        } = change;
        let handle = handle_of(self.catalog, &table)?;
        let checks = checks
            .into_iter()
            .map(|(view, condition)| Ok((view, CompiledExpr::compile(&condition, &row_position)?)))
            .collect::<Result<Vec<_>>>()?;
        let member: Option<ColumnId> = family.as_ref().map(|family| family.member);
        let family = match family {
            None => None,
            Some(family) => Some(
                family
                    .members
                    .into_iter()
                    .map(|member| {
                        Ok(Arc::new(Member {
                            table: handle_of(self.catalog, &member.table)?,
                            columns: member.columns.into(),
                            row_key: Some(member.row_key),
                        }))
                    })
                    .collect::<Result<Vec<_>>>()?,
            ),
        };
        let partitions = match handle.table.partitioning {
            None => None,
            Some(_) => Some(Partitions::of(&handle, self.catalog)?),
        };
        let others: &[ColumnId] = returning
            .as_ref()
            .map_or(&[], |returning| returning.others.as_slice());
        let (source, kind) = match kind {
            bound::ChangeKind::Insert {
                columns,
                on_conflict,
            } => {
                let source = self.query(source, &columns)?;
                let conflict = match on_conflict {
                    None => None,
                    Some(conflict) => Some(Box::new(self.conflict(&handle, conflict)?)),
                };
                (source, ChangeKind::Insert(conflict))
            }
            bound::ChangeKind::Update {
                row_key,
                columns,
                assignments,
            } => {
                let mut wanted = with_key(&columns, row_key);
                wanted.extend(member);
                let source = with_assignments(source, &mut wanted, &assignments);
                wanted.extend_from_slice(others);
                let ordinals = assignments
                    .iter()
                    .map(|assignment| assignment.ordinal)
                    .collect();
                (
                    self.query(source, &wanted)?,
                    ChangeKind::Update { row_key, ordinals },
                )
            }
            bound::ChangeKind::Delete { row_key, columns } => {
                let mut wanted = with_key(&columns, row_key);
                wanted.extend(member);
                wanted.extend_from_slice(others);
                (self.query(source, &wanted)?, ChangeKind::Delete { row_key })
            }
            bound::ChangeKind::Merge {
                row_key,
                columns,
                choice,
                actions,
            } => {
                let mut wanted = with_key(&columns, row_key);
                wanted.push(choice);
                let steps = actions
                    .into_iter()
                    .map(|action| merge_step(action, &mut wanted))
                    .collect();
                (
                    self.query(source, &wanted)?,
                    ChangeKind::Merge { actions: steps },
                )
            }
        };
        let returning = match returning {
            None => None,
            Some(returning) => {
                let wanted: Vec<ColumnId> =
                    returning.columns.iter().map(|column| column.id).collect();
                let plan = self.query(returning.plan, &wanted)?;
                Some(ReturningAction {
                    slot: returning.slot,
                    others: returning.others.len(),
                    reads_tables: reads_tables(&plan.root),
                    plan,
                    columns: result_columns(returning.columns),
                })
            }
        };
        let reads_itself = !matches!(kind, ChangeKind::Insert(_))
            || reads(&source.root, &handle)
            || partitions.as_ref().is_some_and(|partitions| {
                partitions
                    .tables()
                    .any(|partition| reads(&source.root, partition))
            });
        Ok(ChangeAction {
            table: handle,
            reads_itself,
            source,
            kind,
            returning,
            family,
            partitions,
            checks,
        })
    }

    fn conflict(
        &mut self,
        handle: &TableHandle,
        conflict: bound::InsertConflict,
    ) -> Result<ConflictAction> {
        let position = |arbiter: Arbiter| match arbiter {
            Arbiter::PrimaryKey => Some(ArbiterKey::PrimaryKey),
            Arbiter::Index(id) => handle
                .table
                .indexes
                .iter()
                .position(|index| index.id == id)
                .map(ArbiterKey::Index),
        };
        let arbiters = match conflict.arbiters {
            Some(arbiters) => arbiters.into_iter().filter_map(position).collect(),
            None => {
                let primary =
                    (!handle.table.primary_key.is_empty()).then_some(ArbiterKey::PrimaryKey);
                let unique = handle.indexes.iter().enumerate();
                primary
                    .into_iter()
                    .chain(
                        unique
                            .filter(|(_, index)| index.unique)
                            .map(|(at, _)| ArbiterKey::Index(at)),
                    )
                    .collect()
            }
        };
        let update = match conflict.update {
            None => None,
            Some(update) => {
                let wanted: Vec<ColumnId> = update.values.iter().map(|(_, id)| *id).collect();
                Some(UpsertAction {
                    slot: update.slot,
                    plan: self.query(update.plan, &wanted)?,
                    ordinals: update.values.iter().map(|(ordinal, _)| *ordinal).collect(),
                })
            }
        };
        Ok(ConflictAction { arbiters, update })
    }
}

/// The result's columns as programs see them.
pub(crate) fn result_columns(columns: Vec<OutputColumn>) -> Arc<[ResultColumn]> {
    columns
        .into_iter()
        .map(|column| ResultColumn {
            name: column.name,
            data_type: column.data_type,
            nullable: column.nullable,
        })
        .collect()
}

fn merge_step(action: bound::MergeAction, wanted: &mut Vec<ColumnId>) -> MergeStep {
    match action {
        bound::MergeAction::Nothing => MergeStep::Nothing,
        bound::MergeAction::Delete => MergeStep::Delete,
        bound::MergeAction::Insert(values) => {
            let first = wanted.len();
            wanted.extend(values);
            MergeStep::Insert(first)
        }
        bound::MergeAction::Update(values) => MergeStep::Update(
            values
                .into_iter()
                .map(|(ordinal, id)| {
                    wanted.push(id);
                    (ordinal, wanted.len() - 1)
                })
                .collect(),
        ),
    }
}

fn with_key(columns: &[ColumnId], row_key: ColumnId) -> Vec<ColumnId> {
    columns.iter().copied().chain([row_key]).collect()
}

fn handle_of(catalog: &CatalogSnapshot, table: &Table) -> Result<Arc<TableHandle>> {
    catalog.handle(table.id).ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{}\" does not exist", table.name),
        )
    })
}

fn reads(plan: &PhysicalPlan, table: &TableHandle) -> bool {
    let here = match &plan.node {
        PhysicalNode::Scan(scan) => scan.table.keyspace == table.keyspace,
        PhysicalNode::LookupJoin { right, .. } => right.table.keyspace == table.keyspace,
        _ => false,
    };
    here || plan.inputs().into_iter().any(|input| reads(input, table))
}

/// Whether a plan reads any table.
fn reads_tables(plan: &PhysicalPlan) -> bool {
    let here = matches!(
        plan.node,
        PhysicalNode::Scan(_) | PhysicalNode::LookupJoin { .. } | PhysicalNode::SystemScan(_)
    );
    here || plan.inputs().into_iter().any(reads_tables)
}

/// `source` with the assigned values as further columns, which are added to `wanted`.
fn with_assignments(
    source: LogicalPlan,
    wanted: &mut Vec<ColumnId>,
    assignments: &[Assignment],
) -> LogicalPlan {
    let mut items: Vec<(ColumnId, Expr)> = output(&source)
        .into_iter()
        .map(|(id, data_type)| (id, expr_tools::column(id, data_type, true)))
        .collect();
    let first = items.len();
    items.extend(
        assignments
            .iter()
            .map(|assignment| (ColumnId(0), assignment.value.clone())),
    );
    let mut plan = LogicalPlan::Project {
        input: Box::new(source),
        items,
    };
    let mut next = max_column(&mut plan) + 1;
    if let LogicalPlan::Project { items, .. } = &mut plan {
        for (id, _) in items.iter_mut().skip(first) {
            *id = ColumnId(next);
            wanted.push(*id);
            next += 1;
        }
    }
    plan
}
