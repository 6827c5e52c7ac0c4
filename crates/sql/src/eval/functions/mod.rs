//! The scalar functions, by argument types.

mod access;
mod array;
mod date_time;
mod extract;
pub(super) mod json;
mod numbers;
mod numeric;
mod other;
mod sequence;
mod string;
mod template;
mod text_format;
mod time_bins;
mod to_char;
mod to_date;
mod to_number;
mod trigonometry;

use super::EvalContext;
use crate::{
    Result,
    bound::ScalarFunction,
    types::{DataType, Value},
};

/// A function over its arguments' values.
pub(super) type Function = fn(&[Value], &EvalContext<'_>) -> Result<Value>;

/// A function chosen by its arguments' types.
pub(super) struct Resolved {
    pub(super) function: Function,
    /// Whether any NULL argument makes NULL without a call.
    pub(super) strict: bool,
}

/// The function for argument types; `None` where there is none.
pub(super) fn resolve(function: ScalarFunction, types: &[DataType]) -> Option<Resolved> {
    if let ScalarFunction::System(function) = function {
        return Some(Resolved {
            function: crate::engine::system::resolve(function),
            strict: false,
        });
    }
    // A NULL literal decides a strict function's value.
    let non_strict = matches!(function, ScalarFunction::Concat | ScalarFunction::ConcatWs)
        || array::sees_null(function)
        || json::sees_null(function)
        || text_format::sees_null(function)
        || time_bins::sees_null(function);
    if !non_strict && types.contains(&DataType::Unknown) {
        return Some(Resolved {
            function: |_, _| Ok(Value::Null),
            strict: true,
        });
    }
    let found = numeric::resolve(function, types)
        .or_else(|| string::resolve(function, types))
        .or_else(|| date_time::resolve(function, types))
        .or_else(|| sequence::resolve(function, types))
        .or_else(|| other::resolve(function, types))
        .or_else(|| access::resolve(function, types))
        .or_else(|| array::resolve(function, types))
        .or_else(|| json::resolve(function, types))
        .or_else(|| trigonometry::resolve(function, types))
        .or_else(|| numbers::resolve(function, types))
        .or_else(|| text_format::resolve(function, types))
        .or_else(|| time_bins::resolve(function, types))?;
    Some(Resolved {
        function: found,
        strict: !non_strict,
    })
}

/// The array of these elements; of arrays, one with a dimension more.
pub(super) fn array_of(values: &[Value]) -> Result<Value> {
    array::of_elements(values)
}

/// The values that reached a function are not of the types it was chosen for.
#[cold]
pub(super) fn mismatch(values: &[Value]) -> crate::Error {
    let types: Vec<_> = values.iter().map(Value::data_type).collect();
    super::internal(format!("a function got arguments of types {types:?}"))
}

/// Builds a function from a pattern over its arguments' values; the result is an expression that
/// may use `?`.
macro_rules! function {
    (|| $body:expr) => {{
        fn call(values: &[Value], _context: &EvalContext<'_>) -> Result<Value> {
            match values {
                [] => Ok($body),
                _ => Err($crate::eval::functions::mismatch(values)),
            }
        }
        call as Function
    }};
    ($context:ident, || $body:expr) => {{
        fn call(values: &[Value], $context: &EvalContext<'_>) -> Result<Value> {
            match values {
                [] => Ok($body),
                _ => Err($crate::eval::functions::mismatch(values)),
            }
        }
        call as Function
    }};
    (|$($pattern:pat_param),*| $body:expr) => {{
        fn call(values: &[Value], _context: &EvalContext<'_>) -> Result<Value> {
            match values {
                [$($pattern),*] => Ok($body),
                _ => Err($crate::eval::functions::mismatch(values)),
            }
        }
        call as Function
    }};
    ($context:ident, |$($pattern:pat_param),*| $body:expr) => {{
        fn call(values: &[Value], $context: &EvalContext<'_>) -> Result<Value> {
            match values {
                [$($pattern),*] => Ok($body),
                _ => Err($crate::eval::functions::mismatch(values)),
            }
        }
        call as Function
    }};
}
pub(super) use function;
