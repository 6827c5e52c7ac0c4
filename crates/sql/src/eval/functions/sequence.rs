//! `nextval`, `currval`, `lastval`, `setval`.

use super::{Function, function, mismatch};
use crate::{
    Result,
    bound::ScalarFunction as F,
    eval::{EvalContext, SequenceName},
    types::{DataType as T, Value},
};

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    let named = |of: &T| of.is_string() || *of == T::Int8;
    Some(match (function, types) {
        (F::NextValue, [of]) if named(of) => {
            function!(context, |name| Value::Int8(
                context.session.sequences.next(named_by(name)?)?
            ))
        }
        (F::CurrentSequenceValue, [of]) if named(of) => {
            function!(context, |name| Value::Int8(
                context.session.sequences.current(named_by(name)?)?
            ))
        }
        (F::LastSequenceValue, []) => {
            function!(context, || Value::Int8(context.session.sequences.last()?))
        }
        (F::SetSequenceValue, [of, T::Int8]) if named(of) => {
            function!(context, |name, Value::Int8(value)| Value::Int8(
                context
                    .session
                    .sequences
                    .set(named_by(name)?, *value, true)?
            ))
        }
        (F::SetSequenceValue, [of, T::Int8, T::Boolean]) if named(of) => {
            function!(
                context,
                |name, Value::Int8(value), Value::Boolean(called)| Value::Int8(
                    context
                        .session
                        .sequences
                        .set(named_by(name)?, *value, *called)?
                )
            )
        }
        _ => return None,
    })
}

fn named_by(name: &Value) -> Result<SequenceName<'_>> {
    match name {
        Value::Text(text) => Ok(SequenceName::Name(text)),
        Value::Int8(id) => Ok(SequenceName::Id(*id)),
        _ => Err(mismatch(std::slice::from_ref(name))),
    }
}
