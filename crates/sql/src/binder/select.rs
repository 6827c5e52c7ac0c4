//! SELECT: select list, WHERE, GROUP BY, HAVING, DISTINCT and ORDER BY.

use super::{
    Binder, Place,
    expr::{column_expr, with_hint},
    from::conjuncts,
    grouping::Grouping,
    query::{BoundQuery, output_expr, output_reference, sort_key},
    scope::Scope,
    suggest,
};
use crate::{
    ast::{
        self, CurrentValue, Distinct, ExprKind as A, OrderItem, Select, SelectItem, TrimSide,
        TypeName, TypeNameKind,
    },
    bound::{Expr, LogicalPlan, OutputColumn, SortKey},
    error::{Error, Result, SqlState},
    span::Span,
    types::DataType,
};

/// A select item before its expression is bound: stars are spread out.
pub(super) enum Item<'a> {
    Ast(&'a ast::Expr, String),
    Bound(Expr, String),
}

/// What to order by or, without an item of ORDER BY, to tell apart by.
enum Order<'a> {
    /// A result column.
    Output(usize, Option<&'a OrderItem>),
    /// An expression over the input.
    Input(Expr, Option<&'a OrderItem>),
}

impl Order<'_> {
    fn input_mut(&mut self) -> Option<&mut Expr> {
        match self {
            Order::Output(..) => None,
            Order::Input(expr, _) => Some(expr),
        }
    }

    fn is_same(&self, other: &Order<'_>) -> bool {
        match (self, other) {
            (Order::Output(left, _), Order::Output(right, _)) => left == right,
            (Order::Input(left, _), Order::Input(right, _)) => left.is_same(right),
            _ => false,
        }
    }

    fn item_span(&self) -> Option<Span> {
        match self {
            Order::Output(_, item) | Order::Input(_, item) => item.map(|item| item.expr.span),
        }
    }
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
        self.select.named_windows = &select.windows;
        self.check_windows(&select.windows)?;
        if let Some(group_by) = &select.group_by {
            self.select.grouping = self.group_by(group_by, &items)?;
        }
        let grouping = &self.select.grouping;
        self.select.grouped = !grouping.exprs.is_empty()
            && grouping
                .sets
                .as_ref()
                .is_none_or(|sets| sets.sets.iter().all(|set| !set.is_empty()));
        let mut bound: Vec<(Expr, String)> = Vec::with_capacity(items.len());
        for item in items {
            bound.push(match item {
                Item::Ast(expr, name) => (self.expr(expr)?, name),
                Item::Bound(expr, name) => (expr, name),
            });
        }
        let mut having = match &select.having {
            Some(having) => conjuncts(
                self.in_place(Place::Having, |binder| binder.condition(having, "HAVING"))?,
            ),
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
        let same = |left: usize, right: usize| bound[left].0.is_same(&bound[right].0);
        let mut orders = Vec::with_capacity(order_by.len());
        for item in order_by {
            orders.push(match output_reference(&item.expr, &columns, same)? {
                Some(index) => Order::Output(index, Some(item)),
                None => {
                    let expr = self.expr(&item.expr)?;
                    let expr = self.settle(expr);
                    match bound.iter().position(|(known, _)| known.is_same(&expr)) {
                        Some(index) => Order::Output(index, Some(item)),
                        None => Order::Input(expr, Some(item)),
                    }
                }
            });
        }
        let mut distinct_on = match &select.distinct {
            Some(Distinct::On(keys)) => Some(self.distinct_on(keys, &columns, &bound, &orders)?),
            _ => None,
        };
        let mut columns = columns;
        if select.group_by.is_some()
            || !self.select.aggregates.is_empty()
            || !having.is_empty()
            || select.having.is_some()
        {
            self.refuse_locked_aggregates()?;
            let mut above: Vec<&mut Expr> = bound.iter_mut().map(|(expr, _)| expr).collect();
            above.extend(&mut having);
            above.extend(orders.iter_mut().filter_map(Order::input_mut));
            above.extend(
                distinct_on
                    .iter_mut()
                    .flatten()
                    .filter_map(Order::input_mut),
            );
            plan = self.aggregated(plan, above)?;
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
        if !self.select.windows.is_empty() {
            plan = self.windowed(plan);
        }
        if !self.select.series.is_empty() {
            plan = self.with_series(plan);
        }
        let mut projected: Vec<_> = columns
            .iter()
            .map(|column| column.id)
            .zip(bound.into_iter().map(|(expr, _)| expr))
            .collect();
        let mut sort = Vec::with_capacity(orders.len());
        let mut hidden = false;
        let rows_distinct = matches!(select.distinct, Some(Distinct::Rows));
        for order in orders {
            sort.push(match order {
                Order::Output(_, None) | Order::Input(_, None) => continue,
                Order::Output(index, Some(item)) => {
                    sort_key(item, output_expr(&columns[index], item.expr.span))
                }
                Order::Input(expr, Some(item)) => {
                    if rows_distinct {
                        return Err(Error::new(
                            SqlState::INVALID_COLUMN_REFERENCE,
                            "with SELECT DISTINCT, what ORDER BY names must be in the select list",
                        )
                        .at(expr.span));
                    }
                    hidden = true;
                    let column = self.hidden_column(&expr);
                    let key: SortKey = sort_key(item, output_expr(&column, expr.span));
                    projected.push((column.id, expr));
                    key
                }
            });
        }
        projected.extend(self.lock_columns(select.span));
        self.add_row_key(&plan, &mut projected, &mut columns, select.span);
        let mut on = Vec::new();
        for key in distinct_on.iter_mut().flatten() {
            on.push(match key {
                Order::Output(index, _) => columns[*index].id,
                Order::Input(expr, _) => {
                    let known = projected.iter().find(|(_, known)| known.is_same(expr));
                    match known {
                        Some((id, _)) => *id,
                        None => {
                            hidden = true;
                            let column = self.hidden_column(expr);
                            projected.push((column.id, expr.clone()));
                            column.id
                        }
                    }
                }
            });
        }
        plan = LogicalPlan::Project {
            input: Box::new(plan),
            items: projected,
        };
        if rows_distinct {
            plan = LogicalPlan::Distinct {
                input: Box::new(plan),
                on: None,
            };
        }
        if !sort.is_empty() {
            plan = LogicalPlan::Sort {
                input: Box::new(plan),
                keys: sort,
            };
        }
        if distinct_on.is_some() {
            // Of each group the first row in the order stays.
            plan = LogicalPlan::Distinct {
                input: Box::new(plan),
                on: Some(on),
            };
        }
        Ok((BoundQuery { plan, columns }, hidden))
    }

    fn hidden_column(&mut self, expr: &Expr) -> OutputColumn {
        OutputColumn {
            id: self.column_id(),
            name: String::new(),
            data_type: expr.data_type,
            nullable: expr.nullable,
        }
    }

    /// The keys of DISTINCT ON. ORDER BY must begin with them, so that it says which row stays.
    fn distinct_on(
        &mut self,
        keys: &'a [ast::Expr],
        columns: &[OutputColumn],
        items: &[(Expr, String)],
        orders: &[Order<'a>],
    ) -> Result<Vec<Order<'a>>> {
        let mut bound: Vec<Order<'a>> = Vec::with_capacity(keys.len());
        for key in keys {
            let same = |left: usize, right: usize| items[left].0.is_same(&items[right].0);
            let order = match output_reference(key, columns, same)? {
                Some(index) => Order::Output(index, None),
                None => {
                    let expr = self.expr(key)?;
                    let expr = self.settle(expr);
                    match items.iter().position(|(known, _)| known.is_same(&expr)) {
                        Some(index) => Order::Output(index, None),
                        None => Order::Input(expr, None),
                    }
                }
            };
            if !bound.iter().any(|known| known.is_same(&order)) {
                bound.push(order);
            }
        }
        let leading = &orders[..orders.len().min(bound.len())];
        if let Some(stray) = leading
            .iter()
            .find(|order| !bound.iter().any(|key| key.is_same(order)))
        {
            let span = stray.item_span().unwrap_or_default();
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
            )
            .at(span)
            .hint("Let ORDER BY begin with the expressions of DISTINCT ON."));
        }
        Ok(bound)
    }

    /// Puts an aggregation on the plan and rewrites what stands above it.
    fn aggregated(&mut self, plan: LogicalPlan, above: Vec<&mut Expr>) -> Result<LogicalPlan> {
        let scope = self.scope();
        let calls = std::mem::take(&mut self.select.aggregates);
        let keys = std::mem::take(&mut self.select.grouping);
        let mut windows = std::mem::take(&mut self.select.windows);
        let mut series = std::mem::take(&mut self.select.series);
        let named = keys
            .exprs
            .into_iter()
            .map(|key| (self.column_id(), key))
            .collect();
        let mut grouping = Grouping {
            keys: named,
            aggregates: calls.iter().map(|call| call.id).collect(),
            scope: &scope,
            has_dependents: keys.sets.is_none(),
        };
        let of_windows = windows.iter_mut().flat_map(|window| window.exprs_mut());
        let of_series = series.iter_mut().flat_map(|call| &mut call.arguments);
        for expr in above.into_iter().chain(of_windows).chain(of_series) {
            grouping.rewrite(self, expr)?;
        }
        self.select.windows = windows;
        self.select.series = series;
        Ok(LogicalPlan::Aggregate {
            input: Box::new(plan),
            keys: grouping.keys,
            aggregates: calls.into_iter().map(|call| (call.id, call.call)).collect(),
            sets: keys.sets,
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
                        self.access.read(column.id);
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
                    let shown = relation.columns.iter().filter(|column| !column.is_hidden());
                    for column in shown {
                        self.access.read(column.id);
                        result.push(Item::Bound(
                            column_expr(column, name.span),
                            column.name.clone(),
                        ));
                    }
                }
                SelectItem::RenamedWildcard {
                    star,
                    columns,
                    span: place,
                } => {
                    let first = result.len();
                    result.extend(self.spread(std::slice::from_ref(&**star), *place)?);
                    if result.len() - first != columns.len() {
                        return Err(Error::new(
                            SqlState::SYNTAX_ERROR,
                            format!(
                                "{star} stands for {} columns, but {} names are given",
                                result.len() - first,
                                columns.len()
                            ),
                        )
                        .at(*place));
                    }
                    for (item, column) in result[first..].iter_mut().zip(columns) {
                        if let Item::Bound(_, name) = item {
                            name.clone_from(&column.name);
                        }
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
        A::Array(_) | A::ArrayQuery(_) => fixed("array"),
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
