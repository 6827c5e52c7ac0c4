//! MERGE (SQL:2016 part 2, section 14.12) and TRUNCATE.

use std::sync::Arc;

use super::{
    Binder, Place,
    data::{default_of, generated_value},
    expr::column_expr,
    from::{conjuncts, distinct_names},
    literal,
    scope::{Scope, ScopeColumn},
};
use crate::{
    ast::{self, Merge},
    bound::{
        BoundStatement, Change, ChangeKind, ColumnId, Definition, Expr, ExprKind, JoinKind,
        LogicalPlan, MergeAction, Truncate,
    },
    catalog::{Table, access::Privileges},
    error::{Error, Result, SqlState},
    span::Span,
    types::{DataType, Value},
};

impl<'a> Binder<'a> {
    pub(super) fn merge_rows(&mut self, merge: &'a Merge) -> Result<BoundStatement> {
        let change = self.within(merge.with.as_ref(), |binder| binder.merge_here(merge))?;
        Ok(BoundStatement::Change(Box::new(change)))
    }

    /// The source's rows, each with the row of the table that matches it (or NULLs), the number
    /// of the action to take, and the values of every action. A value is only computed where its
    /// action is chosen.
    fn merge_here(&mut self, merge: &'a Merge) -> Result<Change> {
        let table = self.changed_table(&merge.table)?;
        if self.family_with_rows(&table, merge.table.span)?.is_some() {
            return Err(super::unsupported(
                "MERGE into a table that others are made of is",
                merge.table.span,
            )
            .hint("Merge into its partitions."));
        }
        let row_key = self.column_id();
        let (target, columns) = self.scan(&table, Some(row_key), merge.table.span)?;
        let ids: Vec<ColumnId> = columns.iter().map(|column| column.id).collect();
        self.note_readable(&table, ids.clone(), false);
        let target_scope = self.target_scope(&table, merge.alias.as_ref(), &ids);
        let (source, source_scope) = self.bind_from(std::slice::from_ref(&merge.source))?;
        distinct_names(&target_scope, &source_scope, merge.source.span)?;
        let both = target_scope.join(source_scope.clone());
        let on = self.over(both.clone(), |binder| binder.condition(&merge.on, "ON"))?;
        let joined = LogicalPlan::Join {
            kind: JoinKind::Left,
            left: Box::new(source),
            right: Box::new(target),
            on: conjuncts(on),
        };
        let key = ScopeColumn {
            name: String::new(),
            id: row_key,
            data_type: DataType::Bytea,
            nullable: true,
        };
        // First the number of the action …
        let mut branches = Vec::with_capacity(merge.clauses.len());
        for (place, clause) in merge.clauses.iter().enumerate() {
            let matched = Expr {
                kind: ExprKind::IsNull {
                    operand: Box::new(column_expr(&key, clause.span)),
                    negated: clause.matched,
                },
                data_type: DataType::Boolean,
                nullable: false,
                span: clause.span,
            };
            let condition = match &clause.condition {
                None => matched,
                Some(condition) => {
                    let scope = if clause.matched { &both } else { &source_scope };
                    let bound = self.over(scope.clone(), |binder| {
                        binder.condition(condition, "WHEN … AND")
                    })?;
                    case(
                        vec![(matched, bound)],
                        literal::constant(Value::Boolean(false), DataType::Boolean, clause.span),
                    )
                }
            };
            branches.push((condition, number(place, clause.span)));
        }
        let span = merge.table.span;
        let choice = self.column_id();
        let nothing = literal::constant(Value::Null, DataType::Int4, span);
        let mut items: Vec<(ColumnId, Expr)> = both
            .relations
            .iter()
            .flat_map(|relation| &relation.columns)
            .chain(&both.columns)
            .chain([&key])
            .map(|column| (column.id, column_expr(column, span)))
            .collect();
        items.sort_by_key(|(id, _)| *id);
        items.dedup_by_key(|(id, _)| *id);
        items.push((choice, case(branches, nothing)));
        let chosen = LogicalPlan::Project {
            input: Box::new(joined),
            items: items.clone(),
        };
        // … and over it the values of each.
        let chosen_column = ScopeColumn {
            name: String::new(),
            id: choice,
            data_type: DataType::Int4,
            nullable: true,
        };
        let mut given: Vec<(ColumnId, Expr)> = items
            .into_iter()
            .map(|(id, expr)| {
                let column = ScopeColumn {
                    name: String::new(),
                    id,
                    data_type: expr.data_type,
                    nullable: true,
                };
                (id, column_expr(&column, span))
            })
            .collect();
        let mut actions = Vec::with_capacity(merge.clauses.len());
        for (place, clause) in merge.clauses.iter().enumerate() {
            let taken =
                |binder: &mut Binder<'a>, value: Expr, given: &mut Vec<(ColumnId, Expr)>| {
                    let is_chosen = binder.comparison(
                        crate::bound::BinaryOp::Equal,
                        column_expr(&chosen_column, clause.span),
                        number(place, clause.span),
                        clause.span,
                        clause.span,
                    )?;
                    let otherwise = literal::constant(Value::Null, value.data_type, clause.span);
                    let id = binder.column_id();
                    given.push((id, case(vec![(is_chosen, value)], otherwise)));
                    Ok::<ColumnId, crate::Error>(id)
                };
            actions.push(match &clause.action {
                ast::MergeAction::Nothing => MergeAction::Nothing,
                ast::MergeAction::Delete => {
                    self.note_need(&table, Privileges::DELETE, None);
                    MergeAction::Delete
                }
                ast::MergeAction::Update(list) => {
                    let assignments =
                        self.over(both.clone(), |binder| binder.assignments(&table, list))?;
                    self.note_updated(&table, &assignments);
                    let mut values = Vec::with_capacity(assignments.len());
                    for assignment in assignments {
                        let id = taken(self, assignment.value, &mut given)?;
                        values.push((assignment.ordinal, id));
                    }
                    MergeAction::Update(values)
                }
                ast::MergeAction::Insert {
                    columns,
                    overriding,
                    values,
                } => {
                    let row = self.merged_row(
                        &table,
                        columns.as_deref(),
                        *overriding,
                        values.as_deref(),
                        source_scope.clone(),
                        clause.span,
                    )?;
                    let mut ids = Vec::with_capacity(row.len());
                    for value in row {
                        ids.push(taken(self, value, &mut given)?);
                    }
                    MergeAction::Insert(ids)
                }
            });
        }
        for (clause, action) in merge.clauses.iter().zip(&actions) {
            let needs_row = matches!(action, MergeAction::Update(_) | MergeAction::Delete);
            let needs_none = matches!(action, MergeAction::Insert(_));
            if (needs_row && !clause.matched) || (needs_none && clause.matched) {
                return Err(crate::Error::new(
                    crate::SqlState::SYNTAX_ERROR,
                    "INSERT goes with WHEN NOT MATCHED, UPDATE and DELETE with WHEN MATCHED",
                )
                .at(clause.span));
            }
        }
        Ok(Change {
            table,
            source: LogicalPlan::Project {
                input: Box::new(chosen),
                items: given,
            },
            kind: ChangeKind::Merge {
                row_key,
                columns: ids,
                choice,
                actions,
            },
            returning: None,
            family: None,
            checks: Vec::new(),
        })
    }

    /// The row that INSERT of MERGE adds.
    fn merged_row(
        &mut self,
        table: &Arc<Table>,
        columns: Option<&'a [ast::Ident]>,
        overriding: Option<ast::Overriding>,
        values: Option<&'a [ast::Expr]>,
        scope: Scope,
        span: Span,
    ) -> Result<Vec<Expr>> {
        let Some(values) = values else {
            let all: Vec<usize> = (0..table.columns.len()).collect();
            self.note_need(table, Privileges::INSERT, Some(&all));
            return Ok((0..table.columns.len())
                .map(|ordinal| default_of(table, ordinal, span))
                .collect());
        };
        let targets = self.targets(table, columns, overriding)?;
        self.note_need(table, Privileges::INSERT, Some(&targets.ordinals));
        if let Some(ordinal) = targets
            .ordinals
            .iter()
            .find(|ordinal| targets.named && table.columns[**ordinal].generated.is_some())
        {
            return Err(generated_value(
                table,
                *ordinal,
                "insert a non-DEFAULT value into",
                span,
            ));
        }
        self.over(scope, |binder| {
            binder.inserted_row(table, &targets, values, span)
        })
    }

    /// Binds with another scope on top.
    pub(super) fn over<T>(
        &mut self,
        scope: Scope,
        bind: impl FnOnce(&mut Binder<'a>) -> Result<T>,
    ) -> Result<T> {
        self.scopes.push(scope);
        let result = self.in_place(Place::Clause("MERGE"), bind);
        self.scopes.pop();
        result
    }

    pub(super) fn truncate(&mut self, truncate: &'a ast::Truncate) -> Result<BoundStatement> {
        let mut tables: Vec<Arc<Table>> = Vec::with_capacity(truncate.tables.len());
        for (name, only) in &truncate.tables {
            let table = self.changed_table(name)?;
            self.note_need(&table, Privileges::TRUNCATE, None);
            if *only && table.partitioning.is_some() {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "cannot truncate only a partitioned table",
                )
                .at(name.span)
                .hint("Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly."));
            }
            let family = if *only {
                vec![table]
            } else {
                self.family(&table, name.span)?
            };
            for table in family {
                if !tables.iter().any(|known| known.id == table.id) {
                    tables.push(table);
                }
            }
        }
        Ok(BoundStatement::Definition(Box::new(Definition::Truncate(
            Truncate {
                tables,
                restart_identity: truncate.restart_identity,
                cascade: truncate.cascade,
            },
        ))))
    }
}

fn number(place: usize, span: Span) -> Expr {
    literal::constant(Value::Int4(place as i32), DataType::Int4, span)
}

fn case(branches: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
    Expr {
        data_type: otherwise.data_type,
        nullable: true,
        span: otherwise.span,
        kind: ExprKind::Case {
            branches,
            otherwise: Some(Box::new(otherwise)),
        },
    }
}
