//! Arrays, and the operators that stand for functions on arrays and JSON.

use super::{Binder, coerce, literal, operators::no_operator};
use crate::{
    ast::{self, ExprKind as A},
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction},
    error::{Error, Result, SqlState},
    functions::{self, Resolution},
    span::Span,
    types::{CastContext, DataType, MAX_DIMENSIONS, Value},
};

/// The functions behind operators, in the order in which they are tried (PostgreSQL 9.16, 9.19).
const OPERATORS: &[(&str, &[&str])] = &[
    (
        "->",
        &[
            "jsonb_array_element",
            "json_array_element",
            "jsonb_object_field",
            "json_object_field",
        ],
    ),
    (
        "->>",
        &[
            "jsonb_array_element_text",
            "json_array_element_text",
            "jsonb_object_field_text",
            "json_object_field_text",
        ],
    ),
    ("@>", &["arraycontains", "jsonb_contains"]),
    ("<@", &["arraycontained", "jsonb_contained"]),
    ("&&", &["arrayoverlap"]),
    (
        "||",
        &["array_cat", "array_append", "array_prepend", "jsonb_concat"],
    ),
    ("-", &["jsonb_delete"]),
    ("#-", &["jsonb_delete_path"]),
    ("?", &["jsonb_exists"]),
    ("?|", &["jsonb_exists_any"]),
    ("?&", &["jsonb_exists_all"]),
];

impl<'a> Binder<'a> {
    /// `ARRAY[a, b]`.
    pub(super) fn array(&mut self, items: &'a [ast::Expr], span: Span) -> Result<Expr> {
        let items = items
            .iter()
            .map(|item| self.expr(item))
            .collect::<Result<Vec<_>>>()?;
        let items = self.unified(items, "ARRAY")?;
        let of = items
            .first()
            .map_or(DataType::Text, |item| item.data_type.of_values());
        let data_type = match of {
            DataType::Array(_) => of,
            _ => of
                .array()
                .ok_or_else(|| super::unsupported(&format!("arrays of {of} are"), span))?,
        };
        Ok(Expr {
            kind: ExprKind::Function(ScalarFunction::ArrayBuild, items),
            data_type,
            nullable: false,
            span,
        })
    }

    /// `array[1][2]`, `array[1:2]`, `json['key']`.
    pub(super) fn subscript(&mut self, expr: &'a ast::Expr) -> Result<Expr> {
        let span = expr.span;
        // The subscripts from the last to the first, and what they are applied to.
        let mut subscripts = Vec::new();
        let mut inner = expr;
        while let A::Subscript { operand, low, high } = &inner.kind {
            subscripts.push((low.as_deref(), high.as_ref()));
            inner = operand;
        }
        subscripts.reverse();
        let mut operand = self.expr(inner)?;
        if operand.data_type == DataType::Jsonb {
            for (low, high) in subscripts {
                let (Some(key), None) = (low, high) else {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        "jsonb subscript does not support slices",
                    )
                    .at(span));
                };
                let key = self.expr(key)?;
                operand = self.function_operator("->", operand, key, span, span)?;
            }
            return Ok(operand);
        }
        let Some(element) = operand.data_type.element() else {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    operand.data_type
                ),
            )
            .at(span));
        };
        if subscripts.len() > MAX_DIMENSIONS {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions ({}) exceeds the maximum allowed ({MAX_DIMENSIONS})",
                    subscripts.len()
                ),
            )
            .at(span));
        }
        let is_slice = subscripts.iter().any(|(_, high)| high.is_some());
        let data_type = if is_slice { operand.data_type } else { element };
        let bound = |number| literal::constant(Value::Int4(number), DataType::Int4, span);
        let mut arguments = vec![operand];
        for (low, high) in subscripts {
            match (is_slice, low, high) {
                (false, Some(low), _) => arguments.push(self.subscript_bound(low)?),
                // In a slice a single subscript is the upper bound.
                (true, Some(low), None) => {
                    arguments.push(bound(1));
                    arguments.push(self.subscript_bound(low)?);
                }
                (_, low, high) => {
                    arguments.push(match low {
                        Some(low) => self.subscript_bound(low)?,
                        None => bound(i32::MIN),
                    });
                    arguments.push(match high.and_then(Option::as_deref) {
                        Some(high) => self.subscript_bound(high)?,
                        None => bound(i32::MAX),
                    });
                }
            }
        }
        let function = if is_slice {
            ScalarFunction::ArraySlice
        } else {
            ScalarFunction::ArrayGet
        };
        Ok(Expr {
            kind: ExprKind::Function(function, arguments),
            data_type,
            nullable: true,
            span,
        })
    }

    fn subscript_bound(&mut self, bound: &'a ast::Expr) -> Result<Expr> {
        let bound = self.expr(bound)?;
        let found = bound.data_type;
        if !coerce::can_cast(found, DataType::Int4, CastContext::Assignment) {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "array subscript must have type integer",
            )
            .at(bound.span));
        }
        self.coerce(bound, DataType::Int4, CastContext::Assignment)
    }

    /// `left op ANY (array)`, `left op ALL (array)`.
    pub(super) fn any_element(
        &mut self,
        left: &'a ast::Expr,
        operator: BinaryOp,
        all: bool,
        array: &'a ast::Expr,
        span: Span,
    ) -> Result<Expr> {
        let left = self.expr(left)?;
        let array = self.expr(array)?;
        let of = match array.data_type {
            DataType::Unknown if left.data_type == DataType::Unknown => DataType::Text,
            DataType::Unknown => coerce::base(left.data_type),
            other => other.element().ok_or_else(|| {
                Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "op ANY/ALL (array) requires array on right side",
                )
                .at(array.span)
            })?,
        };
        // Stands for an element: no constant, whose value would do for the left side's type.
        let place = coerce::cast(
            literal::constant(Value::Null, DataType::Unknown, array.span),
            of,
        );
        let (left, element) = self.comparable(operator.symbol(), left, place, span)?;
        let wanted = element
            .data_type
            .array()
            .ok_or_else(|| no_operator(operator.symbol(), left.data_type, of, span))?;
        let array = self.coerce(array, wanted, CastContext::Explicit)?;
        // A list that is known serves an index.
        if let (BinaryOp::Equal, false, ExprKind::Literal(Value::Array(list))) =
            (operator, all, &array.kind)
            && !list.values().is_empty()
        {
            let list: Vec<Expr> = list
                .values()
                .iter()
                .map(|value| literal::constant(value.clone(), element.data_type, array.span))
                .collect();
            let nullable = left.nullable || list.iter().any(|item| item.nullable);
            return Ok(super::expr::boolean(
                ExprKind::InList {
                    operand: Box::new(left),
                    list,
                    negated: false,
                },
                nullable,
                span,
            ));
        }
        let symbol = literal::constant(Value::Text(operator.symbol().into()), DataType::Text, span);
        let function = if all {
            ScalarFunction::ArrayAll
        } else {
            ScalarFunction::ArrayAny
        };
        Ok(super::expr::boolean(
            ExprKind::Function(function, vec![symbol, left, array]),
            true,
            span,
        ))
    }

    /// An operator that stands for a function.
    pub(super) fn function_operator(
        &mut self,
        symbol: &str,
        left: Expr,
        right: Expr,
        span: Span,
        operator_span: Span,
    ) -> Result<Expr> {
        let types = [left.data_type, right.data_type];
        if matches!(symbol, "#>" | "#>>") {
            return self.path_operator(symbol, left, right, span, operator_span);
        }
        let names = OPERATORS
            .iter()
            .find(|(known, _)| *known == symbol)
            .map_or(&[][..], |(_, names)| *names);
        // An untyped literal is as the other operand wants it: an array beside arrays, JSON
        // beside JSON.
        let literal_is_array = |name: &str| {
            !(matches!(name, "array_append" | "array_prepend")
                && types.contains(&DataType::Unknown))
        };
        let integer = types[1].is_integer();
        let chosen = names.iter().copied().find(|name| {
            let positional = name.contains("array_element");
            let fits = !positional || integer;
            fits && literal_is_array(name)
                && matches!(
                    functions::resolve(&functions::overloads(name), &types),
                    Resolution::One(..)
                )
        });
        match chosen {
            Some(name) => self.named_call(name, vec![left, right], span),
            None => Err(no_operator(symbol, types[0], types[1], operator_span)),
        }
    }

    /// `json #> path`: a function of its own, whose path is one array.
    fn path_operator(
        &mut self,
        symbol: &str,
        left: Expr,
        right: Expr,
        span: Span,
        operator_span: Span,
    ) -> Result<Expr> {
        let types = [left.data_type, right.data_type];
        let wrong = || no_operator(symbol, types[0], types[1], operator_span);
        let of = match types[0] {
            DataType::Json | DataType::Jsonb => types[0],
            _ => return Err(wrong()),
        };
        let path = DataType::Text.array().ok_or_else(wrong)?;
        if !coerce::can_cast(types[1], path, CastContext::Implicit) {
            return Err(wrong());
        }
        let right = self.coerce(right, path, CastContext::Implicit)?;
        let (function, data_type) = if symbol == "#>>" {
            (ScalarFunction::JsonPathText, DataType::Text)
        } else {
            (ScalarFunction::JsonPath, of)
        };
        Ok(Expr {
            kind: ExprKind::Function(function, vec![left, right]),
            data_type,
            nullable: true,
            span,
        })
    }
}
