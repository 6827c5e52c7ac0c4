//! FROM: tables, subqueries, joins.

use super::{Builder, Node, broken, check_depth, child, children, has, join, syntax_error};
use crate::{
    ast::{JoinConstraint, JoinOperator, Query, TableAlias, TableRef, TableRefKind},
    error::Result,
    parser::grammar::Rule,
    span::Span,
};

/// A join that may still wait for its ON or USING.
struct Pending {
    operator: JoinOperator,
    natural: bool,
    span: Span,
}

impl Builder<'_> {
    /// The `from_item`s among the node's children.
    pub(super) fn table_refs(&self, node: Node<'_>) -> Result<Vec<TableRef>> {
        children(node).map(|item| self.table_ref(item)).collect()
    }

    /// A `from_item`: joins bind to the left, and each ON or USING closes the nearest join that
    /// has none yet, so `a JOIN b JOIN c ON … ON …` nests to the right.
    fn table_ref(&self, node: Node<'_>) -> Result<TableRef> {
        let span = self.span(&node);
        let mut joins = 0u32;
        let (table, depth) = self.measured(|| {
            let mut tables: Vec<TableRef> = Vec::new();
            let mut waiting: Vec<Pending> = Vec::new();
            for part in children(node) {
                let place = self.span(&part);
                match part.as_rule() {
                    Rule::join => {
                        joins = joins.saturating_add(1);
                        check_depth(joins, place)?;
                        waiting.push(self.join(part));
                    }
                    Rule::join_on | Rule::join_using => {
                        let constraint = if part.as_rule() == Rule::join_on {
                            JoinConstraint::On(self.expression(child(part, "ON's condition")?)?)
                        } else {
                            let mut columns = Vec::new();
                            let mut alias = None;
                            for piece in children(part) {
                                match piece.as_rule() {
                                    Rule::column_names => columns = self.column_names(piece)?,
                                    _ => alias = Some(self.ident(piece)?),
                                }
                            }
                            JoinConstraint::Using(columns, alias)
                        };
                        let pending = waiting.pop().ok_or_else(|| {
                            syntax_error("ON and USING belong behind a JOIN", place)
                        })?;
                        reduce(&mut tables, &pending, constraint)?;
                    }
                    _ => {
                        tables.push(self.table_primary(part)?);
                        // CROSS and NATURAL joins are whole at once.
                        if let Some(last) = waiting.last()
                            && (last.natural || last.operator == JoinOperator::Cross)
                            && let Some(pending) = waiting.pop()
                        {
                            let constraint = if pending.natural {
                                JoinConstraint::Natural
                            } else {
                                JoinConstraint::None
                            };
                            reduce(&mut tables, &pending, constraint)?;
                        }
                    }
                }
            }
            if let Some(pending) = waiting.pop() {
                let end = tables.last().map_or(pending.span, |table| table.span);
                return Err(syntax_error(
                    "the JOIN has no condition: expected ON or USING",
                    Span {
                        start: pending.span.start,
                        end: end.end,
                    },
                )
                .hint("For every pair of rows write CROSS JOIN."));
            }
            tables.pop().ok_or_else(|| broken("a table"))
        })?;
        self.note(depth.saturating_add(joins), span)?;
        Ok(table)
    }

    fn join(&self, node: Node<'_>) -> Pending {
        let span = self.span(&node);
        let mut operator = JoinOperator::Inner;
        let mut natural = false;
        for part in children(node) {
            match part.as_rule() {
                Rule::cross_word => operator = JoinOperator::Cross,
                Rule::natural_word => natural = true,
                _ if has(&part, Rule::left_word) => operator = JoinOperator::Left,
                _ if has(&part, Rule::right_word) => operator = JoinOperator::Right,
                _ if has(&part, Rule::full_word) => operator = JoinOperator::Full,
                _ => {}
            }
        }
        Pending {
            operator,
            natural,
            span,
        }
    }

    pub(super) fn table_primary(&self, node: Node<'_>) -> Result<TableRef> {
        let span = self.span(&node);
        let mut lateral = None;
        let mut table = None;
        let mut alias = None;
        for part in children(node) {
            let place = self.span(&part);
            match part.as_rule() {
                Rule::lateral_word => lateral = Some(place),
                Rule::table_name => {
                    let only = has(&part, Rule::only_word);
                    let name = children(part)
                        .find(|piece| piece.as_rule() == Rule::qualified_name)
                        .ok_or_else(|| broken("a table's name"))?;
                    table = Some(TableRefKind::Table {
                        name: self.object_name(name)?,
                        only,
                    });
                }
                Rule::table_function => {
                    let name = self.object_name(child(part.clone(), "a function's name")?)?;
                    let ordinality = has(&part, Rule::ordinality);
                    let (call, depth) = self.call(name, part)?;
                    self.note(depth, place)?;
                    table = Some(TableRefKind::Function {
                        call: Box::new(call),
                        ordinality,
                        lateral: lateral.is_some(),
                    });
                }
                Rule::parenthesised_table => {
                    let inner = self.nested(place, 1, || self.parenthesised_table(part))?;
                    table = Some(match inner {
                        Inner::Query(query) => TableRefKind::Query {
                            query,
                            lateral: lateral.is_some(),
                        },
                        // ((SELECT …) AS x) and (a AS x): the alias inside counts.
                        Inner::Table(inner) => {
                            alias = inner.alias;
                            inner.kind
                        }
                    });
                }
                _ => {
                    let mut name = None;
                    let mut columns = Vec::new();
                    for piece in children(part) {
                        match piece.as_rule() {
                            Rule::name => name = Some(self.ident(piece)?),
                            _ => columns = self.column_names(piece)?,
                        }
                    }
                    if alias.is_some() {
                        return Err(syntax_error("the table has an alias already", place));
                    }
                    alias = Some(TableAlias {
                        name: name.ok_or_else(|| broken("an alias"))?,
                        columns,
                    });
                }
            }
        }
        let kind = table.ok_or_else(|| broken("a FROM item"))?;
        if let Some(place) = lateral
            && matches!(kind, TableRefKind::Table { .. } | TableRefKind::Join { .. })
        {
            return Err(syntax_error(
                "LATERAL goes before a subquery or a function",
                place,
            ));
        }
        Ok(TableRef { kind, alias, span })
    }

    fn parenthesised_table(&self, node: Node<'_>) -> Result<Inner> {
        let span = self.span(&node);
        let mut table = None;
        for part in children(node) {
            let place = self.span(&part);
            match part.as_rule() {
                Rule::query => return Ok(Inner::Query(Box::new(self.query(part)?))),
                Rule::query_tail => {
                    let Some(TableRef {
                        kind:
                            TableRefKind::Query {
                                query,
                                lateral: false,
                            },
                        alias: None,
                        ..
                    }) = table
                    else {
                        return Err(syntax_error(
                            "expected a closing parenthesis or a join",
                            place,
                        ));
                    };
                    return Ok(Inner::Query(Box::new(
                        self.query_with_tail(*query, part, span)?,
                    )));
                }
                _ => table = Some(self.table_ref(part)?),
            }
        }
        let table = table.ok_or_else(|| broken("a table in parentheses"))?;
        if let TableRefKind::Table { name, .. } = &table.kind
            && table.alias.is_none()
        {
            // PostgreSQL allows joins in parentheses, not lone tables.
            return Err(syntax_error(
                "a single table stands without parentheses",
                name.span,
            ));
        }
        Ok(Inner::Table(Box::new(table)))
    }
}

/// What a pair of parentheses in FROM holds.
enum Inner {
    Query(Box<Query>),
    Table(Box<TableRef>),
}

/// Makes a join of the last two tables.
fn reduce(tables: &mut Vec<TableRef>, pending: &Pending, constraint: JoinConstraint) -> Result<()> {
    let (Some(right), Some(left)) = (tables.pop(), tables.pop()) else {
        return Err(broken("a join's side"));
    };
    let span = join(left.span, right.span);
    tables.push(TableRef {
        kind: TableRefKind::Join {
            operator: pending.operator,
            left: Box::new(left),
            right: Box::new(right),
            constraint,
        },
        alias: None,
        span,
    });
    Ok(())
}
