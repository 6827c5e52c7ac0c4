//! SELECT: select list, WHERE, GROUP BY, HAVING, DISTINCT and ORDER BY.

use super::{
    Binder, Place,
    aggregate::Grouping,
    expr::{column_expr, with_hint},
    from::conjuncts,
    query::{BoundQuery, output_expr, output_reference, position, sort_key},
    scope::Scope,
    suggest, unsupported,
};
use crate::{
    ast::{
        self, CurrentValue, Distinct, ExprKind as A, ObjectName, OrderItem, Select, SelectItem,
        TrimSide, TypeName, TypeNameKind,
    },
    bound::{Expr, LogicalPlan, OutputColumn, SortKey},
    error::{Error, Result, SqlState},
    span::Span,
    types::DataType,
};

/// A select item before its expression is bound: stars are spread out.
enum Item<'a> {
    Ast(&'a ast::Expr, String),
    Bound(Expr, String),
}

/// An ORDER BY item.
enum Order<'a> {
    /// A result column.
    Output(usize, &'a OrderItem),
    /// An expression over the input.
    Input(Expr, &'a OrderItem),
}

impl<'a> Binder<'a> {
    /// Binds SELECT with the ORDER BY behind it. True: the plan has columns beyond the result's,
    /// which were needed to sort by.
    pub(super) fn select(
        &mut self,
        select: &'a Select,
        order_by: &'a [OrderItem],
    ) -> Result<(BoundQuery, bool)> {
        if let Some(into) = &select.into {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "SELECT ... INTO is not allowed here",
            )
            .at(into.span)
            .hint("Only the outermost SELECT of a statement makes a table."));
        }
        let (plan, scope) = self.bind_from(&select.from)?;
        self.scopes.push(scope);
        let result = self.select_over(select, order_by, plan);
        self.scopes.pop();
        result
    }

    fn scope(&self) -> Scope {
        self.scopes.last().cloned().unwrap_or_default()
    }

    pub(super) fn select_over(
        &mut self,
        select: &'a Select,
        order_by: &'a [OrderItem],
        mut plan: LogicalPlan,
    ) -> Result<(BoundQuery, bool)> {
        if let Some(filter) = &select.filter {
            let condition = self.in_place(Place::Clause("WHERE"), |binder| {
                binder.condition(filter, "WHERE")
            })?;
            plan = LogicalPlan::Filter {
                input: Box::new(plan),
                predicates: conjuncts(condition),
            };
        }
        let items = self.spread(&select.items, select.span)?;
        let keys = match &select.group_by {
            Some(keys) => self.group_keys(keys, &items)?,
            None => Vec::new(),
        };
        self.grouped = !keys.is_empty();
        let mut bound: Vec<(Expr, String)> = Vec::with_capacity(items.len());
        for item in items {
            bound.push(match item {
                Item::Ast(expr, name) => (self.expr(expr)?, name),
                Item::Bound(expr, name) => (expr, name),
            });
        }
        let mut having = match &select.having {
            Some(having) => conjuncts(self.condition(having, "HAVING")?),
            None => Vec::new(),
        };
        let columns: Vec<OutputColumn> = bound
            .iter()
            .map(|(expr, name)| OutputColumn {
                id: self.column_id(),
                name: name.clone(),
                data_type: expr.data_type,
                nullable: expr.nullable,
            })
            .collect();
        let mut orders = Vec::with_capacity(order_by.len());
        for item in order_by {
            orders.push(match output_reference(&item.expr, &columns)? {
                Some(index) => Order::Output(index, item),
                None => {
                    let expr = self.expr(&item.expr)?;
                    let expr = self.settle(expr);
                    match bound.iter().position(|(known, _)| known.is_same(&expr)) {
                        Some(index) => Order::Output(index, item),
                        None => Order::Input(expr, item),
                    }
                }
            });
        }
        if let Some(Distinct::On(keys)) = &select.distinct {
            let span = keys.first().map_or(select.span, |key| key.span);
            return Err(unsupported("DISTINCT ON is", span).hint("Write GROUP BY with min or max."));
        }
        let mut columns = columns;
        if select.group_by.is_some()
            || !self.aggregates.is_empty()
            || !having.is_empty()
            || select.having.is_some()
        {
            self.refuse_locked_aggregates()?;
            plan = self.aggregated(plan, keys, &mut bound, &mut having, &mut orders)?;
            for (column, (expr, _)) in columns.iter_mut().zip(&bound) {
                column.nullable = expr.nullable;
            }
            if !having.is_empty() {
                plan = LogicalPlan::Filter {
                    input: Box::new(plan),
                    predicates: having,
                };
            }
        }
        let mut projected: Vec<_> = columns
            .iter()
            .map(|column| column.id)
            .zip(bound.into_iter().map(|(expr, _)| expr))
            .collect();
        let mut sort = Vec::with_capacity(orders.len());
        let mut hidden = false;
        for order in orders {
            sort.push(match order {
                Order::Output(index, item) => {
                    sort_key(item, output_expr(&columns[index], item.expr.span))
                }
                Order::Input(expr, item) => {
                    if select.distinct.is_some() {
                        return Err(Error::new(
                            SqlState::INVALID_COLUMN_REFERENCE,
                            "with SELECT DISTINCT, what ORDER BY names must be in the select list",
                        )
                        .at(expr.span));
                    }
                    hidden = true;
                    let column = OutputColumn {
                        id: self.column_id(),
                        name: String::new(),
                        data_type: expr.data_type,
                        nullable: expr.nullable,
                    };
                    let key: SortKey = sort_key(item, output_expr(&column, expr.span));
                    projected.push((column.id, expr));
                    key
                }
            });
        }
        projected.extend(self.lock_columns(select.span));
        plan = LogicalPlan::Project {
            input: Box::new(plan),
            items: projected,
        };
        if select.distinct.is_some() {
            plan = LogicalPlan::Distinct {
                input: Box::new(plan),
            };
        }
        if !sort.is_empty() {
            plan = LogicalPlan::Sort {
                input: Box::new(plan),
                keys: sort,
            };
        }
        Ok((BoundQuery { plan, columns }, hidden))
    }

    /// Puts an aggregation on the plan and rewrites what stands above it.
    fn aggregated(
        &mut self,
        plan: LogicalPlan,
        keys: Vec<Expr>,
        items: &mut [(Expr, String)],
        having: &mut [Expr],
        orders: &mut [Order<'_>],
    ) -> Result<LogicalPlan> {
        let scope = self.scope();
        let calls = std::mem::take(&mut self.aggregates);
        let mut named: Vec<(crate::bound::ColumnId, Expr)> = Vec::with_capacity(keys.len());
        for key in keys {
            if !named.iter().any(|(_, known)| known.is_same(&key)) {
                named.push((self.column_id(), key));
            }
        }
        let mut grouping = Grouping {
            keys: named,
            aggregates: calls.iter().map(|call| call.id).collect(),
            scope: &scope,
        };
        for (expr, _) in items {
            grouping.rewrite(self, expr)?;
        }
        for expr in having {
            grouping.rewrite(self, expr)?;
        }
        for order in orders {
            if let Order::Input(expr, _) = order {
                grouping.rewrite(self, expr)?;
            }
        }
        Ok(LogicalPlan::Aggregate {
            input: Box::new(plan),
            keys: grouping.keys,
            aggregates: calls.into_iter().map(|call| (call.id, call.call)).collect(),
        })
    }

    /// Spreads stars and names the columns.
    fn spread(&self, items: &'a [SelectItem], span: Span) -> Result<Vec<Item<'a>>> {
        let empty = Scope::default();
        let scope = self.scopes.last().unwrap_or(&empty);
        let mut result = Vec::with_capacity(items.len());
        for item in items {
            match item {
                SelectItem::Wildcard(place) => {
                    if scope.relations.is_empty() {
                        return Err(Error::new(
                            SqlState::SYNTAX_ERROR,
                            "SELECT * wants tables to select from",
                        )
                        .at(*place)
                        .hint("Add FROM and a table."));
                    }
                    for column in &scope.columns {
                        result.push(Item::Bound(
                            column_expr(column, *place),
                            column.name.clone(),
                        ));
                    }
                }
                SelectItem::QualifiedWildcard(name) => {
                    let schema = name.qualifier().map(|schema| schema.name.as_str());
                    let table = &name.last().name;
                    let relations = scope.relation(table, schema);
                    let Some(relation) = relations.first() else {
                        return Err(with_hint(
                            Error::new(
                                SqlState::UNDEFINED_TABLE,
                                format!("there is no table \"{name}\" in this FROM clause"),
                            )
                            .at(name.span),
                            suggest::did_you_mean(
                                table,
                                scope
                                    .relations
                                    .iter()
                                    .map(|relation| relation.name.as_str()),
                            ),
                        ));
                    };
                    for column in &relation.columns {
                        result.push(Item::Bound(
                            column_expr(column, name.span),
                            column.name.clone(),
                        ));
                    }
                }
                SelectItem::Expr { expr, alias } => {
                    let name = match alias {
                        Some(alias) => alias.name.clone(),
                        None => column_name(expr).unwrap_or_else(|| "?column?".to_owned()),
                    };
                    result.push(Item::Ast(expr, name));
                }
            }
        }
        // PostgreSQL's MaxTupleAttributeNumber.
        const MOST: usize = 1664;
        if result.len() > MOST {
            return Err(Error::new(
                SqlState::TOO_MANY_COLUMNS,
                format!(
                    "a select list has at most {MOST} columns, this one has {}",
                    result.len()
                ),
            )
            .at(span));
        }
        Ok(result)
    }

    /// GROUP BY: expressions, names of the input's or (failing that) the result's columns,
    /// positions.
    fn group_keys(&mut self, keys: &'a [ast::Expr], items: &[Item<'a>]) -> Result<Vec<Expr>> {
        let mut bound = Vec::with_capacity(keys.len());
        for key in keys {
            let chosen: Option<&Item<'a>> = match &key.kind {
                A::Number(text) => Some(&items[position(text, items.len(), "GROUP BY", key.span)?]),
                A::Column(name) if name.parts.len() == 1 && !self.is_input_column(name) => {
                    let ident = &name.last().name;
                    let mut found = items.iter().filter(|item| match item {
                        Item::Ast(_, name) | Item::Bound(_, name) => name == ident,
                    });
                    match (found.next(), found.next()) {
                        (Some(only), None) => Some(only),
                        (Some(_), Some(_)) => {
                            return Err(super::expr::ambiguous(ident, key.span));
                        }
                        _ => None,
                    }
                }
                _ => None,
            };
            let expr = match chosen {
                Some(Item::Bound(expr, _)) => expr.clone(),
                Some(Item::Ast(expr, _)) => {
                    self.in_place(Place::Clause("GROUP BY"), |binder| binder.expr(expr))?
                }
                None => self.in_place(Place::Clause("GROUP BY"), |binder| binder.expr(key))?,
            };
            bound.push(expr);
        }
        Ok(bound)
    }

    fn is_input_column(&self, name: &ObjectName) -> bool {
        self.scopes.last().is_some_and(|scope| {
            scope
                .columns
                .iter()
                .any(|column| column.name == name.last().name)
        })
    }
}

/// The name of a result column without an alias (PostgreSQL's FigureColname).
fn column_name(expr: &ast::Expr) -> Option<String> {
    let fixed = |name: &str| Some(name.to_owned());
    match &expr.kind {
        A::Column(name) => Some(name.last().name.clone()),
        A::Function(call) => Some(call.name.last().name.clone()),
        A::Cast {
            operand, data_type, ..
        } => column_name(operand).or_else(|| type_name(data_type)),
        A::TypedString { data_type, .. } => type_name(data_type),
        A::Boolean(_) => fixed("bool"),
        A::Case { otherwise, .. } => otherwise
            .as_ref()
            .and_then(|otherwise| column_name(otherwise))
            .or_else(|| fixed("case")),
        A::Collate { operand, .. } | A::Subscript { operand, .. } => column_name(operand),
        A::Extract { .. } => fixed("extract"),
        A::Substring { .. } | A::SubstringSimilar { .. } => fixed("substring"),
        A::Trim { side, .. } => fixed(match side {
            TrimSide::Both => "btrim",
            TrimSide::Leading => "ltrim",
            TrimSide::Trailing => "rtrim",
        }),
        A::Position { .. } => fixed("position"),
        A::Overlay { .. } => fixed("overlay"),
        A::AtTimeZone { .. } => fixed("timezone"),
        A::Current { value, .. } => fixed(match value {
            CurrentValue::Date => "current_date",
            CurrentValue::Time => "current_time",
            CurrentValue::Timestamp => "current_timestamp",
            CurrentValue::LocalTime => "localtime",
            CurrentValue::LocalTimestamp => "localtimestamp",
            CurrentValue::User => "current_user",
            CurrentValue::SessionUser => "session_user",
            CurrentValue::Catalog => "current_catalog",
            CurrentValue::Schema => "current_schema",
        }),
        A::Exists(_) => fixed("exists"),
        A::Row(_) => fixed("row"),
        A::Array(_) => fixed("array"),
        A::Subquery(query) => match &query.body {
            ast::QueryBody::Select(select) => match select.items.as_slice() {
                [SelectItem::Expr { expr, alias }] => match alias {
                    Some(alias) => Some(alias.name.clone()),
                    None => column_name(expr),
                },
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn type_name(data_type: &TypeName) -> Option<String> {
    Some(match &data_type.kind {
        TypeNameKind::Named { name, .. } => match super::type_names::known(&name.last().name) {
            Some(DataType::Boolean) => "bool".to_owned(),
            Some(DataType::Int2) => "int2".to_owned(),
            Some(DataType::Int4) => "int4".to_owned(),
            Some(DataType::Int8) => "int8".to_owned(),
            Some(DataType::Float4) => "float4".to_owned(),
            Some(DataType::Float8) => "float8".to_owned(),
            Some(DataType::Decimal(_)) => "numeric".to_owned(),
            Some(DataType::Varchar(_)) => "varchar".to_owned(),
            Some(DataType::Char(_)) => "bpchar".to_owned(),
            _ => name.last().name.clone(),
        },
        TypeNameKind::WithTimeZone { timestamp, .. } => {
            if *timestamp { "timestamptz" } else { "timetz" }.to_owned()
        }
        TypeNameKind::Interval { .. } => "interval".to_owned(),
    })
}
