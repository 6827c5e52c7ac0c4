//! FROM: tables, WITH queries, subqueries, joins.

use std::sync::Arc;

use super::{
    Binder, MAX_RELATIONS, Place,
    columns::ambiguous,
    expr::{column_expr, with_hint},
    literal,
    scope::{Relation, Scope, ScopeColumn, TABLE_OID},
    suggest, unsupported,
};
use crate::{
    ast::{Ident, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableRef, TableRefKind},
    bound::{
        BinaryOp, ColumnId, Expr, ExprKind, JoinKind, LogicalPlan, ScalarFunction, ScanColumn,
    },
    catalog::{Table, TableKind},
    error::{Error, Result, SqlState},
    parser::quoted,
    span::Span,
    types::{CastContext, DataType},
};

impl<'a> Binder<'a> {
    /// A FROM clause; without items one row of no columns.
    pub(super) fn bind_from(&mut self, items: &'a [TableRef]) -> Result<(LogicalPlan, Scope)> {
        let outer = std::mem::take(&mut self.lateral);
        let result = self.bind_from_items(items);
        self.lateral = outer;
        result
    }

    fn bind_from_items(&mut self, items: &'a [TableRef]) -> Result<(LogicalPlan, Scope)> {
        let mut result: Option<(LogicalPlan, Scope)> = None;
        for item in items {
            let (plan, scope) = self.bind_from_item(item)?;
            if items.len() > 1 {
                self.lateral = std::mem::take(&mut self.lateral).join(scope.clone());
            }
            result = Some(match result {
                None => (plan, scope),
                Some((left, left_scope)) => {
                    distinct_names(&left_scope, &scope, item.span)?;
                    let join = joined(JoinKind::Inner, left, plan, Vec::new(), is_lateral(item));
                    (join, left_scope.join(scope))
                }
            });
        }
        Ok(result.unwrap_or_else(|| (LogicalPlan::one_row(), Scope::default())))
    }

    fn bind_from_item(&mut self, item: &'a TableRef) -> Result<(LogicalPlan, Scope)> {
        match &item.kind {
            TableRefKind::Table { name, only } => {
                if let [only] = name.parts.as_slice()
                    && let Some((plan, columns)) = self.common_table(only)?
                {
                    return relation(plan, &only.name, None, columns, None, item.alias.as_ref());
                }
                let table = self.table(name)?;
                let whole = !only && self.family_with_rows(&table, item.span)?.is_some();
                let row_key = if !matches!(table.kind, TableKind::Table) || whole {
                    self.refuse_lock_of_query(item.alias.as_ref(), item.span)?;
                    self.no_row_key();
                    None
                } else {
                    let locked = self.lock_target(&table, item.alias.as_ref());
                    self.row_key_target(locked)
                };
                let (plan, columns, table_oid) =
                    self.scan_all(&table, row_key, *only, item.span)?;
                self.note_read(&table, &columns);
                let (plan, mut scope) = relation(
                    plan,
                    &table.name.clone(),
                    Some(&table.schema.clone()),
                    columns,
                    Some(table),
                    item.alias.as_ref(),
                )?;
                if let (Some(id), [relation]) = (table_oid, scope.relations.as_mut_slice()) {
                    relation.columns.push(ScopeColumn {
                        name: TABLE_OID.to_owned(),
                        id,
                        data_type: DataType::Oid,
                        nullable: false,
                    });
                }
                Ok((plan, scope))
            }
            TableRefKind::Query { query, lateral } => {
                self.refuse_lock_of_query(item.alias.as_ref(), item.span)?;
                let bound = if *lateral {
                    self.scopes.push(self.lateral.clone());
                    // No aggregate of this query may stand in it.
                    let bound =
                        self.in_place(Place::Clause("FROM"), |binder| binder.settled_query(query));
                    self.scopes.pop();
                    bound?
                } else {
                    self.settled_query(query)?
                };
                let columns = bound.scope_columns();
                relation(bound.plan, "", None, columns, None, item.alias.as_ref())
            }
            TableRefKind::Function {
                call, ordinality, ..
            } => self.function_in_from(call, *ordinality, item),
            TableRefKind::Join {
                operator,
                left,
                right,
                constraint,
            } => {
                let (plan, scope) = self.join(*operator, left, right, constraint, item.span)?;
                match &item.alias {
                    None => Ok((plan, scope)),
                    Some(alias) => relation(
                        plan,
                        &alias.name.name,
                        None,
                        scope.columns,
                        None,
                        Some(alias),
                    ),
                }
            }
        }
    }

    /// Counts a relation that the statement reads.
    pub(super) fn count_relation(&mut self, span: Span) -> Result<()> {
        self.relations += 1;
        if self.relations > MAX_RELATIONS {
            return Err(Error::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!("statement too complex: it reads more than {MAX_RELATIONS} relations"),
            )
            .at(span)
            .hint("A WITH query counts each time it is used: keep results in a table."));
        }
        Ok(())
    }

    /// The table of that name.
    pub(super) fn table(&mut self, name: &ObjectName) -> Result<Arc<Table>> {
        self.count_relation(name.span)?;
        if name.parts.len() > 2 {
            return Err(unsupported("names of other databases are", name.span));
        }
        let schema = name.qualifier().map(|schema| schema.name.as_str());
        let ident = name.last();
        let found = self
            .catalog
            .table(schema, &ident.name)
            .map_err(|error| error.at(name.span))?;
        if let Some(table) = found {
            self.tables_read.push(table.id);
            return Ok(table);
        }
        let error = Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        )
        .at(name.span);
        let tables = self.catalog.tables().unwrap_or_default();
        let elsewhere = tables
            .iter()
            .find(|table| table.name == ident.name && !table.schema.starts_with("pg_"));
        let hint = match elsewhere {
            Some(table) => Some(format!(
                "Did you mean {}.{}?",
                quoted(&table.schema),
                quoted(&table.name)
            )),
            None => suggest::did_you_mean(
                &ident.name,
                tables
                    .iter()
                    .map(|table| table.name.as_str())
                    .chain(self.common_tables.iter().map(|table| table.name())),
            ),
        };
        let hint = hint.or_else(|| {
            (ident.quoted
                && tables
                    .iter()
                    .any(|table| table.name.eq_ignore_ascii_case(&ident.name)))
            .then(|| "Names in double quotes keep their case.".to_owned())
        });
        Err(with_hint(error, hint))
    }

    /// A scan of all columns of a table and (not ONLY) of those made of it; of a view, its query.
    /// Last the column with the number of each row's table, where that is wanted.
    pub(super) fn scan_all(
        &mut self,
        table: &Arc<Table>,
        row_key: Option<ColumnId>,
        only: bool,
        span: Span,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>, Option<ColumnId>)> {
        if !only && let Some(members) = self.family_with_rows(table, span)? {
            let (plan, columns, family) = self.scan_family(table, members, None, span)?;
            return Ok((plan, columns, family.table_oid));
        }
        let (plan, columns) = self.scan(table, row_key, span)?;
        if !self.options.table_oids || table.view().is_some() {
            return Ok((plan, columns, None));
        }
        let table_oid = self.column_id();
        let mut items: Vec<(ColumnId, Expr)> = columns
            .iter()
            .map(|column| (column.id, column_expr(column, span)))
            .collect();
        if let Some(id) = row_key {
            let key = ScopeColumn {
                name: String::new(),
                id,
                data_type: DataType::Bytea,
                nullable: true,
            };
            items.push((id, column_expr(&key, span)));
        }
        items.push((table_oid, literal::table_oid(table.id, span)));
        let plan = LogicalPlan::Project {
            input: Box::new(plan),
            items,
        };
        Ok((plan, columns, Some(table_oid)))
    }

    /// A scan of all columns of one table; of a view, its query.
    pub(super) fn scan(
        &mut self,
        table: &Arc<Table>,
        row_key: Option<ColumnId>,
        span: Span,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>)> {
        if let Some(view) = table.view() {
            return self.view(table, view, span);
        }
        let columns: Vec<ScopeColumn> = table
            .columns
            .iter()
            .map(|column| ScopeColumn {
                name: column.name.clone(),
                id: self.column_id(),
                data_type: column.data_type.of_values(),
                nullable: !column.not_null,
            })
            .collect();
        let plan = LogicalPlan::Scan {
            table: Arc::clone(table),
            columns: columns
                .iter()
                .enumerate()
                .map(|(ordinal, column)| ScanColumn {
                    ordinal,
                    id: column.id,
                })
                .collect(),
            row_key,
            filter: Vec::new(),
        };
        Ok((plan, columns))
    }

    fn join(
        &mut self,
        operator: JoinOperator,
        left: &'a TableRef,
        right: &'a TableRef,
        constraint: &'a JoinConstraint,
        span: Span,
    ) -> Result<(LogicalPlan, Scope)> {
        let (left_plan, mut left_scope) = self.bind_from_item(left)?;
        let lateral = is_lateral(right);
        let (right_plan, mut right_scope) = if lateral {
            if matches!(operator, JoinOperator::Right | JoinOperator::Full) {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "the right side of a RIGHT or FULL JOIN cannot be LATERAL",
                )
                .at(right.span)
                .hint("Exchange the sides and write LEFT JOIN."));
            }
            let outer = self.lateral.clone();
            self.lateral = std::mem::take(&mut self.lateral).join(left_scope.clone());
            let bound = self.bind_from_item(right);
            self.lateral = outer;
            bound?
        } else {
            self.bind_from_item(right)?
        };
        distinct_names(&left_scope, &right_scope, right.span)?;
        let kind = match operator {
            JoinOperator::Inner | JoinOperator::Cross => JoinKind::Inner,
            JoinOperator::Left => JoinKind::Left,
            JoinOperator::Right => JoinKind::Right,
            JoinOperator::Full => JoinKind::Full,
        };
        let mut on = Vec::new();
        let mut shared: Vec<(ScopeColumn, ScopeColumn)> = Vec::new();
        let mut using_alias = None;
        match constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(condition) => {
                let scope = left_scope.clone().join(right_scope.clone());
                self.scopes.push(scope);
                let bound = self.in_place(Place::Clause("JOIN conditions"), |binder| {
                    binder.condition(condition, "JOIN … ON")
                });
                self.scopes.pop();
                on = conjuncts(bound?);
            }
            JoinConstraint::Using(names, alias) => {
                using_alias = alias.as_ref();
                for name in names {
                    let left = one_named(&left_scope, name, "left")?;
                    let right = one_named(&right_scope, name, "right")?;
                    shared.push((left, right));
                }
            }
            JoinConstraint::Natural => {
                for column in &left_scope.columns {
                    let on_the_right = right_scope
                        .columns
                        .iter()
                        .any(|other| other.name == column.name);
                    if !on_the_right {
                        continue;
                    }
                    let name = Ident {
                        name: column.name.clone(),
                        quoted: false,
                        span,
                    };
                    let left = one_named(&left_scope, &name, "left")?;
                    let right = one_named(&right_scope, &name, "right")?;
                    shared.push((left, right));
                }
            }
        }
        for (left, right) in &shared {
            self.access.read(left.id);
            self.access.read(right.id);
            let left = column_expr(left, span);
            let right = column_expr(right, span);
            on.push(self.comparison(BinaryOp::Equal, left, right, span, span)?);
        }
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            left_scope.make_nullable();
        }
        if matches!(kind, JoinKind::Left | JoinKind::Full) {
            right_scope.make_nullable();
        }
        let plan = joined(kind, left_plan, right_plan, on, lateral);
        if shared.is_empty() {
            return Ok((plan, left_scope.join(right_scope)));
        }
        let (plan, mut scope) = self.merge(plan, kind, left_scope, right_scope, &shared, span)?;
        if let Some(alias) = using_alias {
            // The merged columns alone, which come first.
            let columns = scope.columns.iter().take(shared.len()).cloned().collect();
            if !scope.relation(&alias.name, None).is_empty() {
                return Err(Error::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("table name \"{}\" specified more than once", alias.name),
                )
                .at(alias.span));
            }
            scope.relations.push(Relation {
                name: alias.name.clone(),
                schema: None,
                columns,
                table: None,
            });
        }
        Ok((plan, scope))
    }

    /// Makes one column of each pair that USING or NATURAL names.
    fn merge(
        &mut self,
        plan: LogicalPlan,
        kind: JoinKind,
        left_scope: Scope,
        right_scope: Scope,
        shared: &[(ScopeColumn, ScopeColumn)],
        span: Span,
    ) -> Result<(LogicalPlan, Scope)> {
        let current = |scope: &Scope, column: &ScopeColumn| {
            scope
                .columns
                .iter()
                .find(|other| other.id == column.id)
                .cloned()
                .unwrap_or_else(|| column.clone())
        };
        let mut merged: Vec<(String, Expr)> = Vec::new();
        for (left, right) in shared {
            let left = column_expr(&current(&left_scope, left), span);
            let right_column = current(&right_scope, right);
            let right = column_expr(&right_column, span);
            let common = super::common_type([left.data_type, right.data_type])
                .map_err(|(a, b)| super::coerce::no_common_type("JOIN/USING", a, b, span))?;
            let value = match kind {
                JoinKind::Right => self.coerce(right, common, CastContext::Implicit)?,
                JoinKind::Full => {
                    let left = self.coerce(left, common, CastContext::Implicit)?;
                    let right = self.coerce(right, common, CastContext::Implicit)?;
                    let nullable = shared
                        .iter()
                        .any(|(left, right)| left.nullable || right.nullable);
                    Expr {
                        kind: ExprKind::Function(ScalarFunction::Coalesce, vec![left, right]),
                        data_type: common,
                        nullable,
                        span,
                    }
                }
                _ => self.coerce(left, common, CastContext::Implicit)?,
            };
            merged.push((right_column.name, value));
        }
        let is_shared = |id: ColumnId| {
            shared
                .iter()
                .any(|(left, right)| left.id == id || right.id == id)
        };
        let rest: Vec<ScopeColumn> = left_scope
            .columns
            .iter()
            .chain(&right_scope.columns)
            .filter(|column| !is_shared(column.id))
            .cloned()
            .collect();
        let mut scope = left_scope.join(right_scope);
        let computed = merged
            .iter()
            .any(|(_, value)| !matches!(value.kind, ExprKind::Column(_)));
        if !computed {
            scope.columns = merged
                .into_iter()
                .filter_map(|(name, value)| match value.kind {
                    ExprKind::Column(id) => Some(ScopeColumn {
                        name,
                        id,
                        data_type: value.data_type,
                        nullable: value.nullable,
                    }),
                    _ => None,
                })
                .chain(rest)
                .collect();
            return Ok((plan, scope));
        }
        // A projection that passes everything on and adds the merged columns.
        scope.columns = rest;
        let mut items: Vec<(ColumnId, Expr)> = Vec::new();
        let mut renamed: Vec<(ColumnId, ColumnId)> = Vec::new();
        let all: Vec<ScopeColumn> = scope
            .relations
            .iter()
            .flat_map(|relation| &relation.columns)
            .chain(&scope.columns)
            .cloned()
            .collect();
        for column in all {
            if renamed.iter().any(|(old, _)| *old == column.id) {
                continue;
            }
            let id = self.column_id();
            renamed.push((column.id, id));
            self.access.rename(id, column.id);
            items.push((id, column_expr(&column, span)));
        }
        scope.rename(|id| {
            renamed
                .iter()
                .find(|(old, _)| *old == id)
                .map_or(id, |(_, new)| *new)
        });
        let mut columns = Vec::with_capacity(merged.len() + scope.columns.len());
        for (name, value) in merged {
            let id = self.column_id();
            columns.push(ScopeColumn {
                name,
                id,
                data_type: value.data_type,
                nullable: value.nullable,
            });
            items.push((id, value));
        }
        columns.append(&mut scope.columns);
        scope.columns = columns;
        let plan = LogicalPlan::Project {
            input: Box::new(plan),
            items,
        };
        Ok((plan, scope))
    }
}

/// Whether the item holds what may name columns to its left.
fn is_lateral(item: &TableRef) -> bool {
    match &item.kind {
        TableRefKind::Table { .. } => false,
        TableRefKind::Query { lateral, .. } => *lateral,
        // Functions may without the word.
        TableRefKind::Function { .. } => true,
        TableRefKind::Join { left, right, .. } => is_lateral(left) || is_lateral(right),
    }
}

/// A join; with a lateral right side one that evaluates it for every row.
fn joined(
    kind: JoinKind,
    left: LogicalPlan,
    right: LogicalPlan,
    on: Vec<Expr>,
    lateral: bool,
) -> LogicalPlan {
    let (left, right) = (Box::new(left), Box::new(right));
    if lateral {
        LogicalPlan::Apply {
            kind,
            left,
            right,
            on,
            bindings: Vec::new(),
        }
    } else {
        LogicalPlan::Join {
            kind,
            left,
            right,
            on,
        }
    }
}

/// Splits a condition at its ANDs.
pub(super) fn conjuncts(condition: Expr) -> Vec<Expr> {
    match condition.kind {
        ExprKind::And(operands) => operands.into_iter().flat_map(conjuncts).collect(),
        _ => vec![condition],
    }
}

/// A plan as a relation under its alias or its own name.
pub(super) fn relation(
    plan: LogicalPlan,
    name: &str,
    schema: Option<&str>,
    mut columns: Vec<ScopeColumn>,
    table: Option<Arc<Table>>,
    alias: Option<&TableAlias>,
) -> Result<(LogicalPlan, Scope)> {
    let mut scope = Scope::default();
    match alias {
        None => scope.add_relation(name, schema, columns, table),
        Some(alias) => {
            if alias.columns.len() > columns.len() {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!(
                        "\"{}\" has {} columns, but {} names are given",
                        alias.name.name,
                        columns.len(),
                        alias.columns.len()
                    ),
                )
                .at(alias.name.span));
            }
            for (column, name) in columns.iter_mut().zip(&alias.columns) {
                column.name.clone_from(&name.name);
            }
            scope.add_relation(&alias.name.name, None, columns, table);
        }
    }
    Ok((plan, scope))
}

/// Two relations of one FROM clause must have different names.
pub(super) fn distinct_names(left: &Scope, right: &Scope, span: Span) -> Result<()> {
    for relation in &right.relations {
        let twice = left.relations.iter().any(|other| {
            other.name == relation.name
                && (other.schema == relation.schema
                    || other.schema.is_none()
                    || relation.schema.is_none())
        });
        if twice && !relation.name.is_empty() {
            return Err(Error::new(
                SqlState::DUPLICATE_ALIAS,
                format!("table name \"{}\" is given twice", relation.name),
            )
            .at(span)
            .hint("Give one of them an alias: FROM table AS other_name."));
        }
    }
    Ok(())
}

/// The one visible column of that name.
fn one_named(scope: &Scope, name: &Ident, side: &str) -> Result<ScopeColumn> {
    let mut found = scope
        .columns
        .iter()
        .filter(|column| column.name == name.name);
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(column.clone()),
        (Some(_), Some(_)) => Err(ambiguous(&name.name, name.span)),
        _ => Err(with_hint(
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{}\" in USING does not exist in the {side} table",
                    name.name
                ),
            )
            .at(name.span),
            suggest::did_you_mean(
                &name.name,
                scope.columns.iter().map(|column| column.name.as_str()),
            ),
        )),
    }
}
