//! Expressions.

use super::{
    Binder, MAX_EXPRESSION_DEPTH, coerce, internal, literal, operators::negate, unsupported,
};
use crate::{
    ast::{self, ComparisonOperator, ExprKind as A, LikeKind, UnaryOperator},
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction, UnaryOp},
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType, Value},
};

impl<'a> Binder<'a> {
    /// Binds an expression. Its type may still be unknown: a string literal, NULL, a parameter.
    pub(super) fn expr(&mut self, expr: &'a ast::Expr) -> Result<Expr> {
        self.at_depth(1, expr.span, |binder| binder.expr_here(expr))
    }

    /// Binds with the depth counted that much greater.
    pub(super) fn at_depth<T>(
        &mut self,
        levels: u32,
        span: Span,
        bind: impl FnOnce(&mut Binder<'a>) -> Result<T>,
    ) -> Result<T> {
        let outer = self.depth;
        self.depth = self.depth.saturating_add(levels);
        if self.depth > MAX_EXPRESSION_DEPTH {
            self.depth = outer;
            return Err(Error::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!(
                    "statement too complex: an expression is nested more than {MAX_EXPRESSION_DEPTH} levels deep"
                ),
            )
            .at(span)
            .hint("Every operator of a chain such as a + b + c is one level: split the expression."));
        }
        let result = bind(self);
        self.depth = outer;
        result
    }

    fn expr_here(&mut self, expr: &'a ast::Expr) -> Result<Expr> {
        let span = expr.span;
        match &expr.kind {
            A::Null => Ok(literal::constant(Value::Null, DataType::Unknown, span)),
            A::Boolean(value) => Ok(literal::constant(
                Value::Boolean(*value),
                DataType::Boolean,
                span,
            )),
            A::Number(text) => literal::number(text, false, span),
            A::String(text) => Ok(literal::string(text, span)),
            A::TypedString { data_type, text } => {
                let to = self.data_type(data_type, true)?;
                match to {
                    DataType::Interval => literal::interval(text, data_type, span),
                    _ => literal::typed(text, to, CastContext::Explicit, span),
                }
            }
            A::Parameter(number) => self.parameter(number - 1, span),
            A::NamedParameter(name) => {
                let index = self.parameter_names.iter().position(|known| known == name);
                let index = index.unwrap_or_else(|| {
                    self.parameter_names.push(name.clone());
                    self.parameter_names.len() - 1
                });
                self.parameter(index, span)
            }
            A::Default => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "DEFAULT may only stand alone as a value of INSERT or UPDATE",
            )
            .at(span)),
            A::Column(name) => self.column(name),
            A::Unary { operator, operand } => self.unary_operator(*operator, operand, span),
            A::Chain { first, rest } => self.chain(first, rest),
            A::And(operands) => {
                let operands = self.conditions(operands, "AND")?;
                Ok(conjunction(operands, span))
            }
            A::Or(operands) => {
                let operands = self.conditions(operands, "OR")?;
                Ok(Expr {
                    nullable: operands.iter().any(|operand| operand.nullable),
                    kind: ExprKind::Or(operands),
                    data_type: DataType::Boolean,
                    span,
                })
            }
            A::Comparison {
                operator,
                operator_span,
                left,
                right,
            } => self.compare(*operator, *operator_span, left, right, span),
            A::IsNull { operand, negated } => {
                if let A::Row(items) = &operand.kind {
                    return self.row_is_null(items, *negated, span);
                }
                let operand = self.expr(operand)?;
                let operand = self.settle(operand);
                Ok(boolean(
                    ExprKind::IsNull {
                        operand: Box::new(operand),
                        negated: *negated,
                    },
                    false,
                    span,
                ))
            }
            A::IsTruth {
                operand,
                value,
                negated,
            } => {
                let operand = self.condition(operand, "IS TRUE, IS FALSE and IS UNKNOWN")?;
                Ok(boolean(
                    ExprKind::IsTruth {
                        operand: Box::new(operand),
                        value: *value,
                        negated: *negated,
                    },
                    false,
                    span,
                ))
            }
            A::IsDistinct {
                left,
                right,
                negated,
            } => {
                if matches!(left.kind, A::Row(_)) || matches!(right.kind, A::Row(_)) {
                    return self.distinct_rows(left, right, *negated, span);
                }
                let left = self.expr(left)?;
                let right = self.expr(right)?;
                let (left, right) = self.comparable("=", left, right, span)?;
                Ok(boolean(
                    ExprKind::IsDistinct {
                        left: Box::new(left),
                        right: Box::new(right),
                        negated: *negated,
                    },
                    false,
                    span,
                ))
            }
            A::Between {
                operand,
                low,
                high,
                symmetric,
                negated,
            } => {
                let between = self.between(operand, low, high, *symmetric, span)?;
                Ok(if *negated { negate(between) } else { between })
            }
            A::InList {
                operand,
                list,
                negated,
            } => self.in_list(operand, list, *negated, span),
            A::InQuery {
                operand,
                query,
                negated,
            } => self.in_query(operand, query, *negated, span),
            A::Like {
                kind,
                operand,
                pattern,
                escape,
                negated,
            } => self.like(*kind, operand, pattern, escape.as_deref(), *negated, span),
            A::Quantified {
                left,
                operator,
                all,
                right,
            } => self.quantified(left, *operator, *all, right, span),
            A::Case {
                operand,
                branches,
                otherwise,
            } => self.case(operand.as_deref(), branches, otherwise.as_deref(), span),
            A::Cast {
                operand, data_type, ..
            } => {
                let to = self.data_type(data_type, false)?;
                let operand = self.expr(operand)?;
                let mut cast = self.coerce(operand, to, CastContext::Explicit)?;
                cast.span = span;
                Ok(cast)
            }
            A::CurrentOf(_) => Err(internal("CURRENT OF stands outside of WHERE", span)),
            A::WhenValues(_) => Err(internal("a list of values stands outside of CASE", span)),
            A::Function(call) => self.call(call, span),
            A::Subquery(query) => self.scalar_subquery(query, span),
            A::ArrayQuery(query) => self.array_subquery(query, span),
            A::Exists(query) => self.exists(query, span),
            A::Row(_) => Err(unsupported("row values outside of comparisons are", span)),
            A::Array(items) => self.array(items, span),
            A::Subscript { .. } => self.subscript(expr),
            A::Collate { operand, collation } => {
                let operand = self.expr(operand)?;
                match collation.last().name.as_str() {
                    "C" | "POSIX" | "default" | "ucs_basic" => Ok(operand),
                    name => Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!("the collation \"{name}\" is not supported yet"),
                    )
                    .at(collation.span)
                    .hint("Strings are ordered by their code points: collation \"C\".")),
                }
            }
            A::Extract { .. }
            | A::Substring { .. }
            | A::SubstringSimilar { .. }
            | A::Trim { .. }
            | A::Position { .. }
            | A::Overlay { .. }
            | A::Current { .. }
            | A::AtTimeZone { .. } => self.special(expr),
        }
    }

    fn parameter(&mut self, index: usize, span: Span) -> Result<Expr> {
        while self.parameters.len() <= index {
            self.parameters.push(DataType::Unknown);
            self.parameter_spans.push(span);
        }
        if self.parameter_spans[index] == Span::default() {
            self.parameter_spans[index] = span;
        }
        Ok(Expr {
            kind: ExprKind::Parameter(index),
            data_type: self.parameters[index],
            nullable: true,
            span,
        })
    }

    /// An expression that must be boolean.
    pub(super) fn condition(&mut self, expr: &'a ast::Expr, what: &str) -> Result<Expr> {
        let bound = self.expr(expr)?;
        self.boolean_operand(bound, what)
    }

    pub(super) fn boolean_operand(&mut self, bound: Expr, what: &str) -> Result<Expr> {
        match bound.data_type {
            DataType::Boolean => Ok(bound),
            DataType::Unknown => self.coerce(bound, DataType::Boolean, CastContext::Implicit),
            other => {
                let error = Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("the argument of {what} must be boolean, not {other}"),
                )
                .at(bound.span);
                Err(if other.is_numeric() {
                    error.hint("Compare it, for example with <> 0.")
                } else {
                    error
                })
            }
        }
    }

    fn conditions(&mut self, operands: &'a [ast::Expr], what: &str) -> Result<Vec<Expr>> {
        operands
            .iter()
            .map(|operand| self.condition(operand, what))
            .collect()
    }

    fn unary_operator(
        &mut self,
        operator: UnaryOperator,
        operand: &'a ast::Expr,
        span: Span,
    ) -> Result<Expr> {
        if operator == UnaryOperator::Minus
            && let A::Number(text) = &operand.kind
        {
            return literal::number(text, true, span);
        }
        if operator == UnaryOperator::Not {
            return Ok(Expr {
                span,
                ..negate(self.condition(operand, "NOT")?)
            });
        }
        let operand = self.expr(operand)?;
        match operator {
            UnaryOperator::Minus => self.unary(UnaryOp::Negate, operand, span),
            UnaryOperator::BitNot => self.unary(UnaryOp::BitNot, operand, span),
            UnaryOperator::Plus => {
                let operand = if operand.data_type == DataType::Unknown {
                    self.coerce(operand, DataType::Float8, CastContext::Implicit)?
                } else {
                    operand
                };
                if operand.data_type.is_numeric() {
                    Ok(operand)
                } else {
                    Err(Error::new(
                        SqlState::UNDEFINED_FUNCTION,
                        format!("operator does not exist: + {}", operand.data_type),
                    )
                    .at(span))
                }
            }
            UnaryOperator::SquareRoot => self.named_call("sqrt", vec![operand], span),
            UnaryOperator::CubeRoot => self.named_call("cbrt", vec![operand], span),
            UnaryOperator::Absolute => self.named_call("abs", vec![operand], span),
            UnaryOperator::Not => Err(internal("NOT", span)),
        }
    }

    fn between(
        &mut self,
        operand: &'a ast::Expr,
        low: &'a ast::Expr,
        high: &'a ast::Expr,
        symmetric: bool,
        span: Span,
    ) -> Result<Expr> {
        if let Some(between) = self.row_between(operand, low, high, symmetric, span)? {
            return Ok(between);
        }
        let operand = self.expr(operand)?;
        let low = self.expr(low)?;
        let high = self.expr(high)?;
        let mut within = |low: Expr, high: Expr| -> Result<Expr> {
            let from =
                self.comparison(BinaryOp::GreaterOrEqual, operand.clone(), low, span, span)?;
            let to = self.comparison(BinaryOp::LessOrEqual, operand.clone(), high, span, span)?;
            Ok(conjunction(vec![from, to], span))
        };
        if symmetric {
            let forward = within(low.clone(), high.clone())?;
            let backward = within(high, low)?;
            return Ok(disjunction(vec![forward, backward], span));
        }
        within(low, high)
    }

    fn in_list(
        &mut self,
        operand: &'a ast::Expr,
        list: &'a [ast::Expr],
        negated: bool,
        span: Span,
    ) -> Result<Expr> {
        if matches!(operand.kind, A::Row(_)) {
            let any = self.row_in_list(operand, list, span)?;
            return Ok(if negated { negate(any) } else { any });
        }
        let operand = self.expr(operand)?;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push(self.expr(item)?);
        }
        // Where constants fit into the operand's type, the operand stays as it is.
        let mut fitted = Vec::with_capacity(items.len());
        let mut operand_kept = true;
        for item in &items {
            let (left, right) = self.comparable("=", operand.clone(), item.clone(), item.span)?;
            operand_kept &=
                left.is_same(&operand) && right.data_type == operand_type(&operand, &right);
            fitted.push(right);
        }
        let (operand, list) = if operand_kept && operand.data_type != DataType::Unknown {
            (operand, fitted)
        } else {
            let mut all = vec![operand];
            all.extend(items);
            let mut all = self.unified(all, "IN")?;
            let operand = all.remove(0);
            (operand, all)
        };
        let nullable = operand.nullable || list.iter().any(|item| item.nullable);
        Ok(boolean(
            ExprKind::InList {
                operand: Box::new(operand),
                list,
                negated,
            },
            nullable,
            span,
        ))
    }

    fn like(
        &mut self,
        kind: LikeKind,
        operand: &'a ast::Expr,
        pattern: &'a ast::Expr,
        escape: Option<&'a ast::Expr>,
        negated: bool,
        span: Span,
    ) -> Result<Expr> {
        let word = match kind {
            LikeKind::Like => "LIKE",
            LikeKind::Ilike => "ILIKE",
            LikeKind::Similar => "SIMILAR TO",
        };
        let operand = self.expr(operand)?;
        let operand = self.text_operand(word, operand)?;
        let pattern = self.expr(pattern)?;
        let pattern = self.text_operand(word, pattern)?;
        let escape = match escape {
            Some(escape) => {
                let escape = self.expr(escape)?;
                Some(self.text_operand("ESCAPE", escape)?)
            }
            None => None,
        };
        let nullable = operand.nullable
            || pattern.nullable
            || escape.as_ref().is_some_and(|escape| escape.nullable);
        if kind == LikeKind::Similar {
            let arguments = [operand, pattern].into_iter().chain(escape).collect();
            let similar = boolean(
                ExprKind::Function(ScalarFunction::SimilarTo, arguments),
                nullable,
                span,
            );
            return Ok(if negated { negate(similar) } else { similar });
        }
        Ok(boolean(
            ExprKind::Like {
                operand: Box::new(operand),
                pattern: Box::new(pattern),
                escape: escape.map(Box::new),
                case_insensitive: kind == LikeKind::Ilike,
                negated,
            },
            nullable,
            span,
        ))
    }

    fn case(
        &mut self,
        operand: Option<&'a ast::Expr>,
        branches: &'a [(ast::Expr, ast::Expr)],
        otherwise: Option<&'a ast::Expr>,
        span: Span,
    ) -> Result<Expr> {
        let operand = match operand {
            Some(operand) => {
                let bound = self.expr(operand)?;
                Some(self.settle(bound))
            }
            None => None,
        };
        let mut conditions = Vec::with_capacity(branches.len());
        let mut results = Vec::with_capacity(branches.len() + 1);
        for (condition, result) in branches {
            conditions.push(match &operand {
                Some(operand) => {
                    let values = match &condition.kind {
                        A::WhenValues(values) => values.as_slice(),
                        _ => std::slice::from_ref(condition),
                    };
                    let mut tests = Vec::with_capacity(values.len());
                    for value in values {
                        let value = self.expr(value)?;
                        let place = value.span;
                        tests.push(self.comparison(
                            BinaryOp::Equal,
                            operand.clone(),
                            value,
                            place,
                            place,
                        )?);
                    }
                    any_of(tests, condition.span)
                }
                None => self.condition(condition, "CASE WHEN")?,
            });
            results.push(self.expr(result)?);
        }
        if let Some(otherwise) = otherwise {
            results.push(self.expr(otherwise)?);
        }
        let mut results = self.unified(results, "CASE")?;
        let data_type = results
            .first()
            .map_or(DataType::Text, |result| result.data_type);
        let nullable = otherwise.is_none() || results.iter().any(|result| result.nullable);
        let otherwise = match otherwise {
            Some(_) => results.pop().map(Box::new),
            None => None,
        };
        Ok(Expr {
            kind: ExprKind::Case {
                branches: conditions.into_iter().zip(results).collect(),
                otherwise,
            },
            data_type,
            nullable,
            span,
        })
    }
}

/// The type in which an item of IN compares with the operand without a conversion of it.
fn operand_type(operand: &Expr, item: &Expr) -> DataType {
    if coerce::base(operand.data_type) == coerce::base(item.data_type)
        || (operand.data_type.is_string() && item.data_type.is_string())
    {
        item.data_type
    } else {
        operand.data_type
    }
}

/// Whether one of these conditions holds.
fn any_of(mut tests: Vec<Expr>, span: Span) -> Expr {
    match (tests.len(), tests.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            tests.extend(last);
            Expr {
                data_type: DataType::Boolean,
                nullable: tests.iter().any(|test| test.nullable),
                kind: ExprKind::Or(tests),
                span,
            }
        }
    }
}

pub(super) fn column_expr(column: &super::ScopeColumn, span: Span) -> Expr {
    Expr {
        kind: ExprKind::Column(column.id),
        data_type: column.data_type,
        nullable: column.nullable,
        span,
    }
}

pub(super) fn boolean(kind: ExprKind, nullable: bool, span: Span) -> Expr {
    Expr {
        kind,
        data_type: DataType::Boolean,
        nullable,
        span,
    }
}

/// The conjunction of one or more conditions.
pub(super) fn conjunction(mut parts: Vec<Expr>, span: Span) -> Expr {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    let nullable = parts.iter().any(|part| part.nullable);
    boolean(ExprKind::And(parts), nullable, span)
}

pub(super) fn disjunction(mut parts: Vec<Expr>, span: Span) -> Expr {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    let nullable = parts.iter().any(|part| part.nullable);
    boolean(ExprKind::Or(parts), nullable, span)
}

pub(super) fn comparison(operator: ComparisonOperator) -> BinaryOp {
    match operator {
        ComparisonOperator::Equal => BinaryOp::Equal,
        ComparisonOperator::NotEqual => BinaryOp::NotEqual,
        ComparisonOperator::Less => BinaryOp::Less,
        ComparisonOperator::LessOrEqual => BinaryOp::LessOrEqual,
        ComparisonOperator::Greater => BinaryOp::Greater,
        ComparisonOperator::GreaterOrEqual => BinaryOp::GreaterOrEqual,
    }
}

pub(super) fn with_hint(error: Error, hint: Option<String>) -> Error {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
