//! Queries: WITH, set operations, SELECT, VALUES and the clauses behind them.

use super::{Builder, Node, broken, child, children, has, syntax_error, unsupported};
use crate::{
    ast::{
        CommonTable, Distinct, Expr, ExprKind, GroupBy, GroupItem, LockingClause, OrderItem, Query,
        QueryBody, Select, SelectItem, SetOperator, Statement, StatementKind, With,
    },
    bound::{LockStrength, LockWaitPolicy},
    error::Result,
    parser::grammar::Rule,
    span::Span,
};

impl Builder<'_> {
    /// A `query`.
    pub(super) fn query(&self, node: Node<'_>) -> Result<Query> {
        let mut query = Query {
            with: None,
            body: QueryBody::Values(Vec::new()),
            order_by: Vec::new(),
            limit: None,
            with_ties: false,
            offset: None,
            locking: Vec::new(),
            span: self.span(&node),
        };
        let mut body = SetOperations::default();
        for part in children(node) {
            self.query_part(part, &mut query, &mut body)?;
        }
        query.body = body.finish()?;
        Ok(query)
    }

    /// A query in parentheses that goes on behind them.
    pub(super) fn query_with_tail(
        &self,
        first: Query,
        tail: Node<'_>,
        span: Span,
    ) -> Result<Query> {
        let mut query = Query {
            with: None,
            body: QueryBody::Values(Vec::new()),
            order_by: Vec::new(),
            limit: None,
            with_ties: false,
            offset: None,
            locking: Vec::new(),
            span,
        };
        let mut body = SetOperations::default();
        body.push(QueryBody::Query(Box::new(first)));
        for part in children(tail) {
            self.query_part(part, &mut query, &mut body)?;
        }
        query.body = body.finish()?;
        Ok(query)
    }

    fn query_part(
        &self,
        part: Node<'_>,
        query: &mut Query,
        body: &mut SetOperations,
    ) -> Result<()> {
        let span = self.span(&part);
        match part.as_rule() {
            Rule::with_clause => query.with = Some(self.with_clause(part)?),
            Rule::set_operator => {
                let operator = if has(&part, Rule::union_word) {
                    SetOperator::Union
                } else if has(&part, Rule::intersect_word) {
                    SetOperator::Intersect
                } else {
                    SetOperator::Except
                };
                body.operators.push((operator, has(&part, Rule::all_word)));
            }
            Rule::select => body.push(QueryBody::Select(Box::new(self.select(part)?))),
            Rule::values => {
                let rows = children(part)
                    .map(|row| self.expressions(row))
                    .collect::<Result<_>>()?;
                body.push(QueryBody::Values(rows));
            }
            Rule::table_query => {
                body.push(QueryBody::Table(self.object_name(child(part, "a table")?)?));
            }
            Rule::parenthesised_query => {
                let inner = child(part, "a query")?;
                let inner = self.nested(span, 1, || self.query(inner))?;
                body.push(QueryBody::Query(Box::new(inner)));
            }
            Rule::order_by => query.order_by = self.order_by(part)?,
            Rule::limit_clause => self.limit(child(part, "LIMIT")?, query)?,
            Rule::locking_clause => query.locking.extend(self.locking_clause(part)?),
            _ => {}
        }
        Ok(())
    }

    /// A locking clause; `None` for FOR READ ONLY, which locks nothing.
    fn locking_clause(&self, node: Node<'_>) -> Result<Option<LockingClause>> {
        let mut clause = LockingClause {
            strength: LockStrength::Update,
            of: Vec::new(),
            wait: LockWaitPolicy::Wait,
            span: self.span(&node),
        };
        for part in children(node) {
            match part.as_rule() {
                Rule::for_update => {}
                Rule::for_no_key_update => clause.strength = LockStrength::NoKeyUpdate,
                Rule::for_share => clause.strength = LockStrength::Share,
                Rule::for_key_share => clause.strength = LockStrength::KeyShare,
                Rule::for_read_only => return Ok(None),
                Rule::nowait => clause.wait = LockWaitPolicy::NoWait,
                Rule::skip_locked => clause.wait = LockWaitPolicy::SkipLocked,
                _ => clause.of.push(self.ident(part)?),
            }
        }
        Ok(Some(clause))
    }

    pub(super) fn with_clause(&self, node: Node<'_>) -> Result<With> {
        let mut with = With {
            recursive: false,
            tables: Vec::new(),
            span: self.span(&node),
        };
        for part in children(node) {
            if part.as_rule() == Rule::recursive_word {
                with.recursive = true;
                continue;
            }
            let mut name = None;
            let mut columns = Vec::new();
            let mut materialized = None;
            let mut statement = None;
            for piece in children(part) {
                let place = self.span(&piece);
                match piece.as_rule() {
                    Rule::name => name = Some(self.ident(piece)?),
                    Rule::column_names => columns = self.column_names(piece)?,
                    Rule::materialized => materialized = Some(!has(&piece, Rule::kw_not)),
                    _ => {
                        let kind = self.nested(place, 1, || self.data_statement(piece))?;
                        match kind {
                            StatementKind::Merge(_) => {
                                return Err(unsupported("MERGE inside WITH is", place));
                            }
                            StatementKind::CreateTable(_) => {
                                return Err(syntax_error(
                                    "SELECT … INTO cannot stand inside WITH",
                                    place,
                                ));
                            }
                            _ => {}
                        }
                        statement = Some(Box::new(Statement { kind, span: place }));
                    }
                }
            }
            with.tables.push(CommonTable {
                name: name.ok_or_else(|| broken("a WITH query's name"))?,
                columns,
                materialized,
                statement: statement.ok_or_else(|| broken("a WITH query"))?,
            });
        }
        Ok(with)
    }

    fn limit(&self, node: Node<'_>, query: &mut Query) -> Result<()> {
        let span = self.span(&node);
        let twice = |what: &str| syntax_error(format!("{what} is given twice"), span);
        match node.as_rule() {
            Rule::limit => {
                if query.limit.is_some() {
                    return Err(twice("LIMIT"));
                }
                for part in children(node) {
                    if part.as_rule() == Rule::limit_comma {
                        return Err(
                            syntax_error("LIMIT takes one number", self.span(&part)).hint(
                                "Write LIMIT count OFFSET start instead of LIMIT start, count.",
                            ),
                        );
                    }
                    query.limit = Some(self.expression(part)?);
                }
            }
            Rule::offset => {
                if query.offset.is_some() {
                    return Err(twice("OFFSET"));
                }
                query.offset = Some(self.expression(child(node, "OFFSET's count")?)?);
            }
            _ => {
                if query.limit.is_some() {
                    return Err(twice("FETCH FIRST"));
                }
                query.limit = Some(Expr {
                    kind: ExprKind::Number("1".to_owned()),
                    span,
                });
                for part in children(node) {
                    match part.as_rule() {
                        Rule::fetch_count => {
                            query.limit = Some(self.expression(child(part, "FETCH's count")?)?);
                        }
                        Rule::with_ties => query.with_ties = true,
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// An `order_by`.
    pub(super) fn order_by(&self, node: Node<'_>) -> Result<Vec<OrderItem>> {
        children(node).map(|item| self.order_item(item)).collect()
    }

    /// An `order_item`, or an index element of the same parts.
    pub(super) fn order_item(&self, node: Node<'_>) -> Result<OrderItem> {
        let mut expr = None;
        let mut descending = false;
        let mut nulls_first = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::expression => expr = Some(self.expression(part)?),
                Rule::descending => descending = true,
                Rule::nulls_order => nulls_first = Some(has(&part, Rule::nulls_first)),
                Rule::comparison_infix => match self.text(&part) {
                    "<" => {}
                    ">" => descending = true,
                    _ => {
                        return Err(syntax_error(
                            "ORDER BY … USING wants < or >",
                            self.span(&part),
                        ));
                    }
                },
                _ => {}
            }
        }
        Ok(OrderItem {
            expr: expr.ok_or_else(|| broken("what to order by"))?,
            descending,
            nulls_first,
        })
    }

    fn select(&self, node: Node<'_>) -> Result<Select> {
        let mut select = Select {
            distinct: None,
            items: Vec::new(),
            into: None,
            from: Vec::new(),
            filter: None,
            group_by: None,
            having: None,
            windows: Vec::new(),
            span: self.span(&node),
        };
        for part in children(node) {
            match part.as_rule() {
                Rule::quantifier if has(&part, Rule::distinct_word) => {
                    let on = self.expressions(part)?;
                    select.distinct = Some(if on.is_empty() {
                        Distinct::Rows
                    } else {
                        Distinct::On(on)
                    });
                }
                Rule::select_list => select.items = self.select_list(part)?,
                Rule::into_clause => {
                    select.into = Some(self.object_name(child(part, "INTO's table")?)?);
                }
                Rule::from_clause => select.from = self.table_refs(part)?,
                Rule::where_clause => {
                    select.filter = Some(self.expression(child(part, "a condition")?)?);
                }
                Rule::group_by => select.group_by = Some(self.group_by(part)?),
                Rule::having_clause => {
                    select.having = Some(self.expression(child(part, "a condition")?)?);
                }
                Rule::window_clause => select.windows = self.windows(part)?,
                _ => {}
            }
        }
        Ok(select)
    }

    fn group_by(&self, node: Node<'_>) -> Result<GroupBy> {
        let mut group_by = GroupBy {
            distinct: false,
            items: Vec::new(),
        };
        for part in children(node) {
            match part.as_rule() {
                Rule::distinct_word => group_by.distinct = true,
                _ => group_by.items.push(self.group_item(part)?),
            }
        }
        Ok(group_by)
    }

    fn group_item(&self, node: Node<'_>) -> Result<GroupItem> {
        let span = self.span(&node);
        let inner = child(node, "a grouping")?;
        Ok(match inner.as_rule() {
            Rule::expression => GroupItem::Expr(self.expression(inner)?),
            Rule::grouping_rollup => GroupItem::Rollup(self.expressions(inner)?),
            Rule::grouping_cube => GroupItem::Cube(self.expressions(inner)?),
            Rule::grouping_sets => GroupItem::Sets(self.nested(span, 1, || {
                children(inner).map(|item| self.group_item(item)).collect()
            })?),
            _ => GroupItem::Empty,
        })
    }

    /// A `select_list`.
    pub(super) fn select_list(&self, node: Node<'_>) -> Result<Vec<SelectItem>> {
        children(node)
            .map(|item| {
                let span = self.span(&item);
                let mut expr = None;
                let mut alias = None;
                let mut star = None;
                for part in children(item) {
                    match part.as_rule() {
                        Rule::wildcard => star = Some(SelectItem::Wildcard(self.span(&part))),
                        Rule::qualified_wildcard => {
                            star = Some(SelectItem::QualifiedWildcard(self.object_name(part)?));
                        }
                        Rule::star_columns => {
                            let columns = self.column_names(child(part, "names of columns")?)?;
                            let star = star.ok_or_else(|| broken("a star"))?;
                            return Ok(SelectItem::RenamedWildcard {
                                star: Box::new(star),
                                columns,
                                span,
                            });
                        }
                        Rule::alias => alias = Some(self.ident(child(part, "an alias")?)?),
                        _ => expr = Some(self.expression(part)?),
                    }
                }
                if let Some(star) = star {
                    return Ok(star);
                }
                Ok(SelectItem::Expr {
                    expr: expr.ok_or_else(|| broken("a select item"))?,
                    alias,
                })
            })
            .collect()
    }
}

/// Operands and operators of a chain of set operations as they stand.
#[derive(Default)]
struct SetOperations {
    operands: Vec<QueryBody>,
    operators: Vec<(SetOperator, bool)>,
}

impl SetOperations {
    fn push(&mut self, body: QueryBody) {
        self.operands.push(body);
    }

    /// Binds INTERSECT first, the others from left to right.
    fn finish(self) -> Result<QueryBody> {
        let mut operands = self.operands.into_iter();
        let mut first = operands.next().ok_or_else(|| broken("a query's body"))?;
        let mut rest: Vec<(SetOperator, bool, QueryBody)> = Vec::new();
        for ((operator, all), operand) in self.operators.into_iter().zip(operands) {
            if operator == SetOperator::Intersect {
                let left = rest.last_mut().map_or(&mut first, |(_, _, body)| body);
                let taken = std::mem::replace(left, QueryBody::Values(Vec::new()));
                *left = match taken {
                    QueryBody::SetOperation { first, mut rest }
                        if rest.first().is_some_and(|(operator, _, _)| {
                            *operator == SetOperator::Intersect
                        }) =>
                    {
                        rest.push((operator, all, operand));
                        QueryBody::SetOperation { first, rest }
                    }
                    other => QueryBody::SetOperation {
                        first: Box::new(other),
                        rest: vec![(operator, all, operand)],
                    },
                };
            } else {
                rest.push((operator, all, operand));
            }
        }
        Ok(if rest.is_empty() {
            first
        } else {
            QueryBody::SetOperation {
                first: Box::new(first),
                rest,
            }
        })
    }
}
