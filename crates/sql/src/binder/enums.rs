//! Functions on enumerated types (PostgreSQL 9.10). What they give follows from the type of their
//! arguments: they are constants, whatever the values.

use super::{Binder, literal};
use crate::{
    ast::FunctionCall,
    bound::{Expr, ExprKind, ScalarFunction},
    error::{Error, Result, SqlState},
    span::Span,
    types::{Array, CastContext, DataType, EnumType, Value},
};

impl<'a> Binder<'a> {
    /// `enum_first`, `enum_last`, `enum_range`; the arguments' types where they are no such call.
    pub(super) fn enum_function(
        &mut self,
        call: &'a FunctionCall,
        span: Span,
    ) -> Result<Result<Expr, Vec<DataType>>> {
        let name = call.name.last().name.as_str();
        let arguments = self.arguments(call)?;
        let types: Vec<DataType> = arguments
            .iter()
            .map(|argument| argument.data_type)
            .collect();
        let most = if name == "enum_range" { 2 } else { 1 };
        if types.is_empty() || types.len() > most {
            return Ok(Err(types));
        }
        let mut known = types.iter().filter(|of| **of != DataType::Unknown);
        let Some(of) = known.next() else {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "could not determine polymorphic type because input has type unknown",
            )
            .at(span)
            .hint(format!("Say the type: {name}(NULL::type).")));
        };
        let DataType::Enum(of) = *of else {
            return Ok(Err(types));
        };
        if self.place.is_stored() {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("{name} is not immutable: what it gives changes with type {of}"),
            )
            .at(span));
        }
        if known.any(|other| *other != DataType::Enum(of)) {
            return Ok(Err(types));
        }
        let data_type = DataType::Enum(of);
        if name != "enum_range" {
            let value = match name {
                "enum_first" => of.values().next(),
                _ => of.values().next_back(),
            };
            let value = value.ok_or_else(|| {
                Error::new(
                    SqlState::NOT_IN_PREREQUISITE_STATE,
                    format!("enum {of} contains no values"),
                )
                .at(span)
            })?;
            return Ok(Ok(literal::constant(value, data_type, Span::default())));
        }
        let Some(all) = all_values(of) else {
            return Ok(Err(types));
        };
        let Ok([low, high]) = <[Expr; 2]>::try_from(arguments) else {
            return Ok(Ok(all));
        };
        let low = self.place_among(low, &all, data_type, i32::MIN)?;
        let high = self.place_among(high, &all, data_type, i32::MAX)?;
        Ok(Ok(Expr {
            data_type: all.data_type,
            nullable: false,
            span,
            kind: ExprKind::Function(ScalarFunction::ArraySlice, vec![all, low, high]),
        }))
    }

    /// The place of a value among all; `open` where it is NULL.
    fn place_among(
        &mut self,
        value: Expr,
        all: &Expr,
        data_type: DataType,
        open: i32,
    ) -> Result<Expr> {
        let span = value.span;
        let value = self.coerce(value, data_type, CastContext::Implicit)?;
        let integer = |kind, nullable| Expr {
            kind,
            data_type: DataType::Int4,
            nullable,
            span,
        };
        let place = integer(
            ExprKind::Function(ScalarFunction::ArrayPosition, vec![all.clone(), value]),
            true,
        );
        let open = literal::constant(Value::Int4(open), DataType::Int4, span);
        Ok(integer(
            ExprKind::Function(ScalarFunction::Coalesce, vec![place, open]),
            false,
        ))
    }
}

/// An array of all values of a type. It stands nowhere in the text: a label that is renamed is not
/// looked for in the arguments of the call.
fn all_values(of: EnumType) -> Option<Expr> {
    let array = DataType::Enum(of).array()?;
    let values = Value::Array(Box::new(Array::new(of.values().collect())));
    Some(literal::constant(values, array, Span::default()))
}
