//! Expressions.

use super::{
    Binder, MAX_EXPRESSION_DEPTH, Place, coerce, internal, literal, operators::negate, suggest,
    unsupported,
};
use crate::{
    ast::{
        self, BinaryOperator, ComparisonOperator, ExprKind as A, LikeKind, ObjectName,
        UnaryOperator,
    },
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
            A::Function(call) => self.call(call, span),
            A::Subquery(query) => self.scalar_subquery(query, span),
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

    /// Left-associative operators: the first operand stands deepest.
    fn chain(
        &mut self,
        first: &'a ast::Expr,
        rest: &'a [(BinaryOperator, Span, ast::Expr)],
    ) -> Result<Expr> {
        if rest.len() > 2
            && rest
                .iter()
                .all(|(operator, ..)| *operator == BinaryOperator::Other("||"))
        {
            return self.concat_chain(first, rest);
        }
        if let [(BinaryOperator::Overlaps, _, second)] = rest
            && let (A::Row(first), A::Row(second)) = (&first.kind, &second.kind)
        {
            return self.overlaps(first, second, rest[0].1);
        }
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let mut left = self.at_depth(length, first.span, |binder| binder.expr(first))?;
        for (operator, operator_span, right) in rest {
            let right = self.expr(right)?;
            let span = Span {
                start: left.span.start,
                end: right.span.end,
            };
            left = self.binary(*operator, left, right, span, *operator_span)?;
        }
        Ok(left)
    }

    pub(super) fn binary(
        &mut self,
        operator: BinaryOperator,
        left: Expr,
        right: Expr,
        span: Span,
        operator_span: Span,
    ) -> Result<Expr> {
        let operator = match operator {
            BinaryOperator::Comparison(operator) => {
                return self.comparison(comparison(operator), left, right, span, operator_span);
            }
            BinaryOperator::Add => BinaryOp::Add,
            BinaryOperator::Subtract if left.data_type == DataType::Jsonb => {
                return self.function_operator("-", left, right, span, operator_span);
            }
            BinaryOperator::Subtract => BinaryOp::Subtract,
            BinaryOperator::Multiply => BinaryOp::Multiply,
            BinaryOperator::Divide => BinaryOp::Divide,
            BinaryOperator::Modulo => BinaryOp::Modulo,
            BinaryOperator::Power => BinaryOp::Power,
            BinaryOperator::Overlaps => return Err(super::special::no_periods(operator_span)),
            BinaryOperator::Other(symbol) => match symbol {
                "||" if [left.data_type, right.data_type]
                    .iter()
                    .any(|of| matches!(of, DataType::Array(_) | DataType::Jsonb)) =>
                {
                    return self.function_operator(symbol, left, right, span, operator_span);
                }
                "?" | "?|" | "?&" | "->" | "->>" | "#>" | "#>>" | "#-" | "@>" | "<@" | "&&" => {
                    return self.function_operator(symbol, left, right, span, operator_span);
                }
                "||" => BinaryOp::Concat,
                "&" => BinaryOp::BitAnd,
                "|" => BinaryOp::BitOr,
                "#" => BinaryOp::BitXor,
                "<<" => BinaryOp::ShiftLeft,
                ">>" => BinaryOp::ShiftRight,
                "~" | "~*" | "!~" | "!~*" => return self.regular(symbol, left, right, span),
                "~~" | "~~*" | "!~~" | "!~~*" => {
                    let operand = self.text_operand(symbol, left)?;
                    let pattern = self.text_operand(symbol, right)?;
                    return Ok(boolean(
                        ExprKind::Like {
                            case_insensitive: symbol.ends_with('*'),
                            negated: symbol.starts_with('!'),
                            escape: None,
                            operand: Box::new(operand.clone()),
                            pattern: Box::new(pattern.clone()),
                        },
                        operand.nullable || pattern.nullable,
                        span,
                    ));
                }
                _ => return self.function_operator(symbol, left, right, span, operator_span),
            },
        };
        self.arithmetic(operator, left, right, span, operator_span)
    }

    fn compare(
        &mut self,
        operator: ComparisonOperator,
        operator_span: Span,
        left: &'a ast::Expr,
        right: &'a ast::Expr,
        span: Span,
    ) -> Result<Expr> {
        if let (A::Row(left), A::Row(right)) = (&left.kind, &right.kind) {
            return self.compare_rows(operator, operator_span, left, right, span);
        }
        let left = self.expr(left)?;
        let right = self.expr(right)?;
        self.comparison(comparison(operator), left, right, span, operator_span)
    }

    /// `(a, b) = (c, d)` and the like: rows compare from left to right (SQL-92 8.2).
    fn compare_rows(
        &mut self,
        operator: ComparisonOperator,
        operator_span: Span,
        left: &'a [ast::Expr],
        right: &'a [ast::Expr],
        span: Span,
    ) -> Result<Expr> {
        if left.len() != right.len() || left.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "rows of {} and {} values cannot be compared",
                    left.len(),
                    right.len()
                ),
            )
            .at(span));
        }
        let (step, last) = match operator {
            ComparisonOperator::Equal | ComparisonOperator::NotEqual => {
                let each = comparison(operator);
                let mut parts = Vec::with_capacity(left.len());
                for (left, right) in left.iter().zip(right) {
                    let (left, right) = (self.expr(left)?, self.expr(right)?);
                    parts.push(self.comparison(each, left, right, span, operator_span)?);
                }
                return Ok(if operator == ComparisonOperator::Equal {
                    conjunction(parts, span)
                } else {
                    disjunction(parts, span)
                });
            }
            ComparisonOperator::Less => (BinaryOp::Less, BinaryOp::Less),
            ComparisonOperator::LessOrEqual => (BinaryOp::Less, BinaryOp::LessOrEqual),
            ComparisonOperator::Greater => (BinaryOp::Greater, BinaryOp::Greater),
            ComparisonOperator::GreaterOrEqual => (BinaryOp::Greater, BinaryOp::GreaterOrEqual),
        };
        // a < c OR (a = c AND (b < d OR …)), from the last pair outwards.
        let mut result: Option<Expr> = None;
        for (left, right) in left.iter().zip(right).rev() {
            let (left, right) = (self.expr(left)?, self.expr(right)?);
            result = Some(match result {
                None => self.comparison(last, left, right, span, operator_span)?,
                Some(rest) => {
                    let equal = self.comparison(
                        BinaryOp::Equal,
                        left.clone(),
                        right.clone(),
                        span,
                        operator_span,
                    )?;
                    let before = self.comparison(step, left, right, span, operator_span)?;
                    disjunction(vec![before, conjunction(vec![equal, rest], span)], span)
                }
            });
        }
        result.ok_or_else(|| internal("an empty row", span))
    }

    fn row_is_null(&mut self, items: &'a [ast::Expr], negated: bool, span: Span) -> Result<Expr> {
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            let operand = self.expr(item)?;
            let operand = self.settle(operand);
            parts.push(boolean(
                ExprKind::IsNull {
                    operand: Box::new(operand),
                    negated,
                },
                false,
                span,
            ));
        }
        if parts.is_empty() {
            return Ok(literal::constant(
                Value::Boolean(true),
                DataType::Boolean,
                span,
            ));
        }
        Ok(conjunction(parts, span))
    }

    fn between(
        &mut self,
        operand: &'a ast::Expr,
        low: &'a ast::Expr,
        high: &'a ast::Expr,
        symmetric: bool,
        span: Span,
    ) -> Result<Expr> {
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
        if let A::Row(row) = &operand.kind {
            let mut parts = Vec::with_capacity(list.len());
            for item in list {
                let A::Row(other) = &item.kind else {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        "expected a row of as many values",
                    )
                    .at(item.span));
                };
                parts.push(self.compare_rows(ComparisonOperator::Equal, span, row, other, span)?);
            }
            let any = disjunction(parts, span);
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
                    let value = self.expr(condition)?;
                    let place = value.span;
                    self.comparison(BinaryOp::Equal, operand.clone(), value, place, place)?
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

    // ---- columns ------------------------------------------------------------------------------

    /// A column by its name, qualified or not.
    pub(super) fn column(&mut self, name: &'a ObjectName) -> Result<Expr> {
        let ident = name.last();
        let (schema, table) = match name.parts.as_slice() {
            [_] => (None, None),
            [table, _] => (None, Some(table)),
            [schema, table, _] => (Some(schema), Some(table)),
            _ => return Err(unsupported("names of other databases are", name.span)),
        };
        let Some(scope) = self.scopes.last() else {
            return self.no_columns_here(name);
        };
        if let Some(table) = table {
            let schema = schema.map(|schema| schema.name.as_str());
            let relations = scope.relation(&table.name, schema);
            return match relations.as_slice() {
                [] => self.missing_relation(name, &table.name, table.span),
                [relation] => match relation
                    .columns
                    .iter()
                    .filter(|column| column.name == ident.name)
                    .collect::<Vec<_>>()
                    .as_slice()
                {
                    [column] => Ok(column_expr(column, name.span)),
                    [] => {
                        let hint = suggest::did_you_mean(
                            &ident.name,
                            relation.columns.iter().map(|column| column.name.as_str()),
                        );
                        Err(with_hint(
                            Error::new(
                                SqlState::UNDEFINED_COLUMN,
                                format!("column {}.{} does not exist", table.name, ident.name),
                            )
                            .at(ident.span),
                            hint,
                        ))
                    }
                    _ => Err(ambiguous(&ident.name, name.span)),
                },
                _ => Err(Error::new(
                    SqlState("42P09"),
                    format!("table reference \"{}\" is ambiguous", table.name),
                )
                .at(table.span)),
            };
        }
        let mut found = scope
            .columns
            .iter()
            .filter(|column| column.name == ident.name);
        match (found.next(), found.next()) {
            (Some(column), None) => Ok(column_expr(column, name.span)),
            (Some(_), Some(_)) => {
                let tables: Vec<&str> = scope
                    .relations
                    .iter()
                    .filter(|relation| {
                        relation
                            .columns
                            .iter()
                            .any(|column| column.name == ident.name)
                    })
                    .map(|relation| relation.name.as_str())
                    .collect();
                let error = ambiguous(&ident.name, name.span);
                Err(match tables.first() {
                    Some(first) => error.hint(format!(
                        "Say which table's it is, for example {first}.{} (there is one in {}).",
                        ident.name,
                        tables.join(" and ")
                    )),
                    None => error,
                })
            }
            _ => self.missing_column(name),
        }
    }

    fn no_columns_here(&self, name: &ObjectName) -> Result<Expr> {
        let ident = name.last();
        if ident.quoted && name.parts.len() == 1 && self.options.double_quoted_strings {
            return Ok(literal::string(&ident.name, name.span));
        }
        Err(quotes_hint(
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", ident.name),
            )
            .at(name.span),
            name,
        ))
    }

    fn missing_relation(&self, name: &ObjectName, table: &str, span: Span) -> Result<Expr> {
        let outer = self.scopes.iter().rev().skip(1);
        if outer
            .clone()
            .any(|scope| !scope.relation(table, None).is_empty())
        {
            return Err(correlated(name));
        }
        let Some(scope) = self.scopes.last() else {
            return Err(internal("no scope", span));
        };
        // The table is there under an alias: SQL wants the alias then.
        let aliased = scope.relations.iter().find(|relation| {
            relation.name != table
                && relation
                    .table
                    .as_ref()
                    .is_some_and(|base| base.name == table)
        });
        let error = Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("there is no table \"{table}\" in this FROM clause"),
        )
        .at(span);
        let hint = match aliased {
            Some(relation) => Some(format!(
                "The table has the alias \"{}\" here: use that.",
                relation.name
            )),
            None => suggest::did_you_mean(
                table,
                scope
                    .relations
                    .iter()
                    .map(|relation| relation.name.as_str()),
            ),
        };
        Err(with_hint(error, hint))
    }

    fn missing_column(&self, name: &ObjectName) -> Result<Expr> {
        let ident = name.last();
        let outer = self.scopes.iter().rev().skip(1);
        if outer
            .clone()
            .any(|scope| scope.columns.iter().any(|column| column.name == ident.name))
        {
            return Err(correlated(name));
        }
        if ident.quoted && self.options.double_quoted_strings {
            return Ok(literal::string(&ident.name, name.span));
        }
        let Some(scope) = self.scopes.last() else {
            return Err(internal("no scope", name.span));
        };
        if scope
            .relations
            .iter()
            .any(|relation| relation.name == ident.name)
        {
            return Err(unsupported("a whole row as a value is", name.span)
                .hint(format!("For its columns write {}.*", ident.name)));
        }
        let mut error = Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{}\" does not exist", ident.name),
        )
        .at(name.span);
        let nearest = suggest::nearest(
            &ident.name,
            scope.columns.iter().map(|column| column.name.as_str()),
        );
        error = match nearest {
            Some(nearest) if ident.quoted => error.hint(format!(
                "Did you mean \"{nearest}\"? Double quotes make a name; a string stands in single quotes: {}",
                single_quoted(&ident.name)
            )),
            Some(nearest) => error.hint(format!("Did you mean \"{nearest}\"?")),
            None => quotes_hint(error, name),
        };
        Err(error)
    }

    /// Whether aggregates may stand here, and if not, why.
    pub(super) fn aggregate_allowed(&self, span: Span) -> Result<()> {
        match self.place {
            Place::Output => Ok(()),
            Place::Aggregate => Err(Error::new(
                SqlState::GROUPING_ERROR,
                "aggregate calls cannot be nested",
            )
            .at(span)
            .hint("Compute the inner one in a subquery in FROM.")),
            Place::Clause(clause) => {
                let error = Error::new(
                    SqlState::GROUPING_ERROR,
                    format!("aggregates are not allowed in {clause}"),
                )
                .at(span);
                Err(if clause == "WHERE" {
                    error.hint("Conditions on groups go into HAVING.")
                } else {
                    error
                })
            }
        }
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

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Someone may have meant a string.
fn quotes_hint(error: Error, name: &ObjectName) -> Error {
    let ident = name.last();
    if ident.quoted && name.parts.len() == 1 {
        error.hint(format!(
            "Double quotes make a name; a string stands in single quotes: {}",
            single_quoted(&ident.name)
        ))
    } else {
        error
    }
}

pub(super) fn ambiguous(name: &str, span: Span) -> Error {
    Error::new(
        SqlState::AMBIGUOUS_COLUMN,
        format!("column reference \"{name}\" is ambiguous"),
    )
    .at(span)
}

fn correlated(name: &ObjectName) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!(
            "correlated subqueries are not supported yet: {name} is a column of the outer query"
        ),
    )
    .at(name.span)
    .hint("Write the subquery as a join.")
}
