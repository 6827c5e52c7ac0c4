//! Operands: literals, names, calls, and the forms with syntax of their own.

use super::{
    Builder, Node, broken, check_depth, child, children, expr::Built, has, join, literal,
    syntax_error,
};
use crate::{
    ast::{
        Argument, CastStyle, CurrentValue, Expr, ExprKind, FunctionCall, Ident, ObjectName, Query,
        TrimSide, TypeName, TypeNameKind,
    },
    error::Result,
    parser::grammar::Rule,
};

/// What stands in a pair of parentheses.
pub(super) enum Parenthesised {
    /// A query, with the depth of what holds it.
    Query(Box<Query>, u32),
    /// Expressions.
    List(Vec<Built>),
}

impl Builder<'_> {
    pub(super) fn primary(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let leaf = |kind| Built::above(Expr { kind, span }, 0);
        match node.as_rule() {
            Rule::number => leaf(ExprKind::Number(literal::number(self.text_at(span)))),
            Rule::string => leaf(ExprKind::String(self.string(node)?)),
            Rule::null_literal => leaf(ExprKind::Null),
            Rule::true_literal => leaf(ExprKind::Boolean(true)),
            Rule::false_literal => leaf(ExprKind::Boolean(false)),
            Rule::default_value => leaf(ExprKind::Default),
            Rule::parameter => {
                let number = self
                    .text_at(span)
                    .get(1..)
                    .and_then(|digits| digits.parse().ok());
                match number {
                    Some(number @ 1..=65_535) => leaf(ExprKind::Parameter(number)),
                    _ => Err(syntax_error("parameters are $1 to $65535", span)),
                }
            }
            Rule::named_parameter => leaf(ExprKind::NamedParameter(
                self.text(&node)
                    .trim_start_matches(':')
                    .to_ascii_lowercase(),
            )),
            Rule::current_value => self.current_value(node),
            Rule::parenthesised => match self.parenthesised(node)? {
                Parenthesised::Query(query, depth) => Ok(Built {
                    closed: true,
                    ..Built::above(
                        Expr {
                            kind: ExprKind::Subquery(query),
                            span,
                        },
                        depth,
                    )?
                }),
                Parenthesised::List(mut list) => match list.len() {
                    0 => Err(syntax_error("expected an expression, found \")\"", span)),
                    1 => Ok(Built {
                        closed: true,
                        ..list.pop().ok_or_else(|| broken("an operand"))?
                    }),
                    _ => {
                        let (list, depth) = unzip(list);
                        Built::above(
                            Expr {
                                kind: ExprKind::Row(list),
                                span,
                            },
                            depth,
                        )
                    }
                },
            },
            Rule::case_expression => self.case(node),
            Rule::cast_expression => {
                let mut operand = None;
                let mut data_type = None;
                for part in children(node) {
                    match part.as_rule() {
                        Rule::type_name => data_type = Some(self.type_name(part)?),
                        _ => operand = Some(self.built(part)?),
                    }
                }
                let operand = operand.ok_or_else(|| broken("CAST's operand"))?;
                let kind = ExprKind::Cast {
                    operand: Box::new(operand.expr),
                    data_type: data_type.ok_or_else(|| broken("CAST's type"))?,
                    style: CastStyle::Cast,
                };
                Built::above(Expr { kind, span }, operand.depth)
            }
            Rule::exists_expression => {
                match self.parenthesised(child(node, "EXISTS's subquery")?)? {
                    Parenthesised::Query(query, depth) => Built::above(
                        Expr {
                            kind: ExprKind::Exists(query),
                            span,
                        },
                        depth,
                    ),
                    Parenthesised::List(mut list) => match list.pop() {
                        Some(Built {
                            expr:
                                Expr {
                                    kind: ExprKind::Subquery(query),
                                    ..
                                },
                            depth,
                            ..
                        }) if list.is_empty() => Built::above(
                            Expr {
                                kind: ExprKind::Exists(query),
                                span,
                            },
                            depth,
                        ),
                        _ => Err(syntax_error("EXISTS wants a subquery", span)
                            .hint("For example EXISTS (SELECT 1 FROM …).")),
                    },
                }
            }
            Rule::row_expression => {
                let (list, depth) = unzip(self.built_list(node)?);
                Built::above(
                    Expr {
                        kind: ExprKind::Row(list),
                        span,
                    },
                    depth,
                )
            }
            Rule::array_expression => {
                if has(&node, Rule::parenthesised) {
                    let list = children(node)
                        .find(|part| part.as_rule() == Rule::parenthesised)
                        .ok_or_else(|| broken("ARRAY's subquery"))?;
                    let (query, depth) = match self.parenthesised(list)? {
                        Parenthesised::Query(query, depth) => (query, depth),
                        Parenthesised::List(mut list) => match list.pop() {
                            Some(Built {
                                expr:
                                    Expr {
                                        kind: ExprKind::Subquery(query),
                                        ..
                                    },
                                depth,
                                ..
                            }) if list.is_empty() => (query, depth),
                            _ => return Err(syntax_error("ARRAY(…) wants a subquery", span)),
                        },
                    };
                    let kind = ExprKind::ArrayQuery(query);
                    return Built::above(Expr { kind, span }, depth);
                }
                self.array(node)
            }
            Rule::extract_expression => {
                let mut field = None;
                let mut source = None;
                for part in children(node) {
                    let place = self.span(&part);
                    match part.as_rule() {
                        Rule::label => field = Some(self.ident(part)?),
                        Rule::string => {
                            field = Some(Ident {
                                name: self.string(part)?.to_ascii_lowercase(),
                                quoted: false,
                                span: place,
                            });
                        }
                        _ => source = Some(self.built(part)?),
                    }
                }
                let source = source.ok_or_else(|| broken("EXTRACT's source"))?;
                let kind = ExprKind::Extract {
                    field: field.ok_or_else(|| broken("EXTRACT's field"))?,
                    source: Box::new(source.expr),
                };
                Built::above(Expr { kind, span }, source.depth)
            }
            Rule::position_expression => {
                let mut operands = Operands::default();
                for part in children(node) {
                    operands.push(self.built(part)?);
                }
                let kind = ExprKind::Position {
                    needle: operands.take()?,
                    text: operands.take()?,
                };
                Built::above(Expr { kind, span }, operands.depth)
            }
            Rule::substring_expression => self.substring(node),
            Rule::overlay_expression => self.overlay(node),
            Rule::trim_expression => self.trim(node),
            Rule::interval_literal => {
                let mut fields = None;
                let mut precision = None;
                let mut text = String::new();
                for part in children(node) {
                    match part.as_rule() {
                        Rule::string => text = self.string(part)?,
                        Rule::precision => precision = Some(self.precision(part)?),
                        _ => (fields, precision) = self.interval_fields(part)?,
                    }
                }
                leaf(ExprKind::TypedString {
                    data_type: TypeName {
                        kind: TypeNameKind::Interval { fields, precision },
                        dimensions: 0,
                        span,
                    },
                    text,
                })
            }
            Rule::typed_literal => {
                let mut data_type = None;
                let mut text = String::new();
                for part in children(node) {
                    match part.as_rule() {
                        Rule::long_type => data_type = Some(self.long_type(part)?),
                        _ => text = self.string(part)?,
                    }
                }
                leaf(ExprKind::TypedString {
                    data_type: data_type.ok_or_else(|| broken("a literal's type"))?,
                    text,
                })
            }
            Rule::name_primary => self.name_primary(node),
            _ => Err(syntax_error("expected an expression", span)),
        }
    }

    /// What stands in parentheses; a subquery that goes on is put together here.
    pub(super) fn parenthesised(&self, node: Node<'_>) -> Result<Parenthesised> {
        let span = self.span(&node);
        let mut list: Vec<Built> = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::query => {
                    let (query, depth) = self.measured(|| self.query(part))?;
                    let depth = depth.saturating_add(1);
                    check_depth(depth, span)?;
                    return Ok(Parenthesised::Query(Box::new(query), depth));
                }
                Rule::query_tail => {
                    let place = self.span(&part);
                    let first = list.pop();
                    let Some(Built {
                        expr:
                            Expr {
                                kind: ExprKind::Subquery(query),
                                span: first_span,
                            },
                        depth,
                        ..
                    }) = first
                    else {
                        return Err(syntax_error(
                            format!(
                                "expected a closing parenthesis, found {}",
                                self.text(&part)
                                    .split_whitespace()
                                    .next()
                                    .unwrap_or_default()
                            ),
                            place,
                        ));
                    };
                    let whole = join(first_span, place);
                    let (query, below) =
                        self.measured(|| self.query_with_tail(*query, part, whole))?;
                    let depth = depth.max(below).saturating_add(1);
                    check_depth(depth, span)?;
                    return Ok(Parenthesised::Query(Box::new(query), depth));
                }
                _ => list.push(self.built(part)?),
            }
        }
        Ok(Parenthesised::List(list))
    }

    fn built_list(&self, node: Node<'_>) -> Result<Vec<Built>> {
        children(node).map(|part| self.built(part)).collect()
    }

    fn current_value(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let mut value = CurrentValue::Date;
        let mut precision = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::current_value_name => {
                    value = match self.text(&part).to_ascii_lowercase().as_str() {
                        "current_time" => CurrentValue::Time,
                        "current_timestamp" => CurrentValue::Timestamp,
                        "localtime" => CurrentValue::LocalTime,
                        "localtimestamp" => CurrentValue::LocalTimestamp,
                        "session_user" => CurrentValue::SessionUser,
                        "current_user" | "current_role" | "user" => CurrentValue::User,
                        "current_catalog" => CurrentValue::Catalog,
                        "current_schema" => CurrentValue::Schema,
                        _ => CurrentValue::Date,
                    };
                }
                _ => precision = self.text(&part).parse().ok(),
            }
        }
        if precision.is_some()
            && !matches!(
                value,
                CurrentValue::Time
                    | CurrentValue::Timestamp
                    | CurrentValue::LocalTime
                    | CurrentValue::LocalTimestamp
            )
        {
            return Err(syntax_error("no precision is possible here", span));
        }
        Built::above(
            Expr {
                kind: ExprKind::Current { value, precision },
                span,
            },
            0,
        )
    }

    fn case(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let mut depth = 0;
        let mut one = |node: Node<'_>| -> Result<Expr> {
            let built = self.built(node)?;
            depth = depth.max(built.depth);
            Ok(built.expr)
        };
        let mut operand = None;
        let mut branches = Vec::new();
        let mut otherwise = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::case_operand => operand = Some(one(child(part, "CASE's operand")?)?),
                Rule::case_else => otherwise = Some(one(child(part, "ELSE's value")?)?),
                _ => {
                    let mut pair = children(part);
                    let (Some(values), Some(result)) = (pair.next(), pair.next()) else {
                        return Err(broken("CASE's branch"));
                    };
                    let place = self.span(&values);
                    let mut values = children(values).map(&mut one).collect::<Result<Vec<_>>>()?;
                    let condition = match (values.len(), values.pop()) {
                        (1, Some(only)) => only,
                        (_, Some(_)) if operand.is_none() => {
                            return Err(syntax_error(
                                "CASE without a value takes one condition after WHEN",
                                place,
                            )
                            .hint("Join conditions with OR."));
                        }
                        (_, Some(last)) => {
                            values.push(last);
                            Expr {
                                kind: ExprKind::WhenValues(values),
                                span: place,
                            }
                        }
                        (_, None) => return Err(broken("CASE's value")),
                    };
                    branches.push((condition, one(result)?));
                }
            }
        }
        let kind = ExprKind::Case {
            operand: operand.map(Box::new),
            branches,
            otherwise: otherwise.map(Box::new),
        };
        Built::above(Expr { kind, span }, depth)
    }

    /// An `array_expression` or `array_row`.
    fn array(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let items = children(node)
            .map(|item| match item.as_rule() {
                Rule::array_row => self.array(item),
                _ => self.built(item),
            })
            .collect::<Result<Vec<_>>>()?;
        let (list, depth) = unzip(items);
        Built::above(
            Expr {
                kind: ExprKind::Array(list),
                span,
            },
            depth,
        )
    }

    fn substring(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let name_span = crate::span::Span {
            start: span.start,
            end: span.start + "substring".len(),
        };
        let mut operands = Operands::default();
        let mut start = None;
        let mut count = None;
        let mut similar = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::from_argument => {
                    start = Some(operands.note(self.built(child(part, "FROM")?)?));
                }
                Rule::for_argument => {
                    count = Some(operands.note(self.built(child(part, "FOR")?)?));
                }
                Rule::similar_argument => {
                    let mut pair = children(part);
                    let (Some(pattern), Some(escape)) = (pair.next(), pair.next()) else {
                        return Err(broken("SIMILAR's operands"));
                    };
                    similar = Some((
                        operands.note(self.built(pattern)?),
                        operands.note(self.built(escape)?),
                    ));
                }
                _ => operands.push(self.built(part)?),
            }
        }
        let kind = if let Some((pattern, escape)) = similar {
            ExprKind::SubstringSimilar {
                text: operands.take()?,
                pattern,
                escape,
            }
        } else if start.is_some() || count.is_some() {
            ExprKind::Substring {
                text: operands.take()?,
                start,
                count,
            }
        } else {
            operands.plain_call("substring", name_span)
        };
        Built::above(Expr { kind, span }, operands.depth)
    }

    fn overlay(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let name_span = crate::span::Span {
            start: span.start,
            end: span.start + "overlay".len(),
        };
        let mut operands = Operands::default();
        let mut start = None;
        let mut count = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::from_argument => {
                    start = Some(operands.note(self.built(child(part, "FROM")?)?));
                }
                Rule::for_argument => {
                    count = Some(operands.note(self.built(child(part, "FOR")?)?));
                }
                _ => operands.push(self.built(part)?),
            }
        }
        let kind = match start {
            Some(start) => ExprKind::Overlay {
                text: operands.take()?,
                replacement: operands.take()?,
                start,
                count,
            },
            None => operands.plain_call("overlay", name_span),
        };
        Built::above(Expr { kind, span }, operands.depth)
    }

    /// TRIM in all its forms; `TRIM(a, b)` and `TRIM(FROM a, b)` are `TRIM(b FROM a)`.
    fn trim(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let mut side = TrimSide::Both;
        let mut before = Operands::default();
        let mut after = Operands::default();
        let mut from = false;
        for part in children(node) {
            match part.as_rule() {
                Rule::trim_side => {
                    side = if has(&part, Rule::kw_leading) {
                        TrimSide::Leading
                    } else if has(&part, Rule::kw_trailing) {
                        TrimSide::Trailing
                    } else {
                        TrimSide::Both
                    };
                }
                Rule::from_arguments => {
                    from = true;
                    for argument in children(part) {
                        after.push(self.built(argument)?);
                    }
                }
                _ => before.push(self.built(part)?),
            }
        }
        let depth = before.depth.max(after.depth);
        let wrong = || syntax_error("TRIM wants a text and, if you like, what to remove", span);
        let (characters, text) = match (from, before.list.len(), after.list.len()) {
            (true, 1, 1) => (Some(before.take()?), after.take()?),
            (true, 0, 1) => (None, after.take()?),
            (true, 0, 2) => {
                let text = after.take()?;
                (Some(after.take()?), text)
            }
            (false, 1, 0) => (None, before.take()?),
            (false, 2, 0) => {
                let text = before.take()?;
                (Some(before.take()?), text)
            }
            _ => return Err(wrong()),
        };
        let kind = ExprKind::Trim {
            side,
            characters,
            text,
        };
        Built::above(Expr { kind, span }, depth)
    }

    /// A column, a call, or `typename 'text'`.
    fn name_primary(&self, node: Node<'_>) -> Result<Built> {
        let span = self.span(&node);
        let mut name = None;
        let mut call = None;
        let mut text = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => name = Some(self.object_name(part)?),
                Rule::function_keyword => {
                    let place = self.span(&part);
                    name = Some(ObjectName {
                        parts: vec![Ident {
                            name: self.text(&part).to_ascii_lowercase(),
                            quoted: false,
                            span: place,
                        }],
                        span: place,
                    });
                }
                Rule::call => call = Some(part),
                _ => text = Some(self.string(part)?),
            }
        }
        let name = name.ok_or_else(|| broken("a name"))?;
        match (call, text) {
            (None, None) => {
                let kind = ExprKind::Column(name);
                Built::above(Expr { kind, span }, 0)
            }
            (None, Some(text)) => {
                let data_type = TypeName {
                    span: name.span,
                    kind: TypeNameKind::Named {
                        name,
                        arguments: Vec::new(),
                    },
                    dimensions: 0,
                };
                Built::above(
                    Expr {
                        kind: ExprKind::TypedString { data_type, text },
                        span,
                    },
                    0,
                )
            }
            (Some(call), Some(text)) => {
                let (call, _) = self.call(name, call)?;
                let wrong = || syntax_error("expected an operator, found a string", span);
                let arguments = call
                    .arguments
                    .iter()
                    .map(|argument| match &argument.value.kind {
                        ExprKind::Number(digits) => digits.parse().map_err(|_| wrong()),
                        _ => Err(wrong()),
                    })
                    .collect::<Result<Vec<i64>>>()?;
                let data_type = TypeName {
                    span: call.name.span,
                    kind: TypeNameKind::Named {
                        name: call.name,
                        arguments,
                    },
                    dimensions: 0,
                };
                Built::above(
                    Expr {
                        kind: ExprKind::TypedString { data_type, text },
                        span,
                    },
                    0,
                )
            }
            (Some(call), None) => {
                let (call, depth) = self.call(name, call)?;
                Built::above(
                    Expr {
                        kind: ExprKind::Function(Box::new(call)),
                        span,
                    },
                    depth,
                )
            }
        }
    }

    /// A `call` or `table_function` (whose name is stepped over): the call and its depth.
    pub(super) fn call(&self, name: ObjectName, node: Node<'_>) -> Result<(FunctionCall, u32)> {
        let mut call = FunctionCall {
            name,
            star: false,
            distinct: false,
            arguments: Vec::new(),
            order_by: Vec::new(),
            within_group: Vec::new(),
            filter: None,
            over: None,
        };
        let mut depth = 0;
        for part in children(node) {
            match part.as_rule() {
                Rule::star_argument => call.star = true,
                Rule::distinct_word => call.distinct = true,
                Rule::argument => {
                    let mut name = None;
                    for piece in children(part) {
                        match piece.as_rule() {
                            Rule::argument_name => {
                                name = Some(self.ident(child(piece, "an argument's name")?)?);
                            }
                            _ => {
                                let value = self.built(piece)?;
                                depth = depth.max(value.depth);
                                call.arguments.push(Argument {
                                    name: name.take(),
                                    value: value.expr,
                                });
                            }
                        }
                    }
                }
                Rule::order_by => {
                    let (order_by, below) = self.measured(|| self.order_by(part))?;
                    depth = depth.max(below);
                    call.order_by = order_by;
                }
                Rule::filter => {
                    let filter = self.built(child(part, "FILTER's condition")?)?;
                    depth = depth.max(filter.depth);
                    call.filter = Some(Box::new(filter.expr));
                }
                Rule::within_group => {
                    let order_by = child(part, "WITHIN GROUP's order")?;
                    let (order_by, below) = self.measured(|| self.order_by(order_by))?;
                    depth = depth.max(below);
                    call.within_group = order_by;
                }
                Rule::over => {
                    let (over, below) = self.measured(|| self.over(part))?;
                    depth = depth.max(below);
                    call.over = Some(Box::new(over));
                }
                _ => {}
            }
        }
        Ok((call, depth))
    }
}

/// Operands in order, with the greatest depth among them.
#[derive(Default)]
struct Operands {
    list: std::collections::VecDeque<Expr>,
    depth: u32,
}

impl Operands {
    fn push(&mut self, built: Built) {
        self.depth = self.depth.max(built.depth);
        self.list.push_back(built.expr);
    }

    fn note(&mut self, built: Built) -> Box<Expr> {
        self.depth = self.depth.max(built.depth);
        Box::new(built.expr)
    }

    fn take(&mut self) -> Result<Box<Expr>> {
        self.list
            .pop_front()
            .map(Box::new)
            .ok_or_else(|| broken("an operand"))
    }

    /// The operands as the arguments of an ordinary call.
    fn plain_call(&mut self, name: &str, span: crate::span::Span) -> ExprKind {
        ExprKind::Function(Box::new(FunctionCall {
            name: ObjectName {
                parts: vec![Ident {
                    name: name.to_owned(),
                    quoted: false,
                    span,
                }],
                span,
            },
            star: false,
            distinct: false,
            arguments: self
                .list
                .drain(..)
                .map(|value| Argument { name: None, value })
                .collect(),
            order_by: Vec::new(),
            within_group: Vec::new(),
            filter: None,
            over: None,
        }))
    }
}

fn unzip(list: Vec<Built>) -> (Vec<Expr>, u32) {
    let depth = list.iter().map(|built| built.depth).max().unwrap_or(0);
    (list.into_iter().map(|built| built.expr).collect(), depth)
}
