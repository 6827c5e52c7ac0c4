//! Arithmetic and conversions between numbers.
//!
//! A kernel answers `None` where a row raises an error: the row evaluator then says which.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, PrimitiveArray,
    cast::AsArray,
    types::{
        ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    },
};
use arrow_buffer::NullBuffer;

use crate::{DataType, bound::BinaryOp, vector::decimal};

/// Whether [`arithmetic`] handles the operator over these types.
pub(super) fn has_kernel(op: BinaryOp, left: DataType, right: DataType, result: DataType) -> bool {
    if [left, right, result]
        .iter()
        .all(|of| matches!(of, DataType::Decimal(_)))
    {
        return matches!(op, BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply);
    }
    if left != right || left != result {
        return false;
    }
    match op {
        BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide => {
            left.is_integer() || matches!(left, DataType::Float4 | DataType::Float8)
        }
        BinaryOp::Modulo => left.is_integer(),
        _ => false,
    }
}

/// Computes `left op right`.
pub(super) fn arithmetic(
    op: BinaryOp,
    left: &ArrayRef,
    right: &ArrayRef,
    data_type: DataType,
) -> Option<ArrayRef> {
    macro_rules! integers {
        ($type:ty, $native:ty) => {
            match op {
                BinaryOp::Add => binary::<$type>(left, right, <$native>::checked_add),
                BinaryOp::Subtract => binary::<$type>(left, right, <$native>::checked_sub),
                BinaryOp::Multiply => binary::<$type>(left, right, <$native>::checked_mul),
                BinaryOp::Divide => binary::<$type>(left, right, <$native>::checked_div),
                BinaryOp::Modulo => {
                    binary::<$type>(left, right, |a, b| (b != 0).then(|| a.wrapping_rem(b)))
                }
                _ => None,
            }
        };
    }
    // Overflow, and underflow to zero, are errors; infinite operands are not.
    macro_rules! floats {
        ($type:ty, $native:ty) => {{
            let sum = |a: $native, b: $native, result: $native| {
                (result.is_finite() || !a.is_finite() || !b.is_finite()).then_some(result)
            };
            match op {
                BinaryOp::Add => binary::<$type>(left, right, |a, b| sum(a, b, a + b)),
                BinaryOp::Subtract => binary::<$type>(left, right, |a, b| sum(a, b, a - b)),
                BinaryOp::Multiply => binary::<$type>(left, right, |a, b| {
                    let result = a * b;
                    sum(a, b, result).filter(|_| result != 0.0 || a == 0.0 || b == 0.0)
                }),
                BinaryOp::Divide => binary::<$type>(left, right, |a, b| {
                    let result = a / b;
                    sum(a, b, result).filter(|_| b != 0.0 && (result != 0.0 || a == 0.0))
                }),
                _ => None,
            }
        }};
    }
    match data_type {
        DataType::Int1 => integers!(Int8Type, i8),
        DataType::Int2 => integers!(Int16Type, i16),
        DataType::Int4 => integers!(Int32Type, i32),
        DataType::Int8 => integers!(Int64Type, i64),
        DataType::Float4 => floats!(Float32Type, f32),
        DataType::Float8 => floats!(Float64Type, f64),
        DataType::Decimal(_) => decimal::arithmetic(op, left, right),
        _ => None,
    }
}

fn binary<T: ArrowPrimitiveType>(
    left: &ArrayRef,
    right: &ArrayRef,
    op: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Option<ArrayRef> {
    let (left, right): (&PrimitiveArray<T>, &PrimitiveArray<T>) =
        (left.as_primitive_opt()?, right.as_primitive_opt()?);
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    let pairs = left.values().iter().zip(right.values());
    let values: Option<Vec<T::Native>> = match &nulls {
        None => pairs.map(|(a, b)| op(*a, *b)).collect(),
        Some(nulls) => pairs
            .zip(nulls)
            .map(|((a, b), valid)| {
                if valid {
                    op(*a, *b)
                } else {
                    Some(T::Native::default())
                }
            })
            .collect(),
    };
    Some(Arc::new(PrimitiveArray::<T>::new(values?.into(), nulls)))
}

/// Whether [`widen`] converts between these types.
pub(super) fn widens(from: DataType, to: DataType) -> bool {
    use DataType as T;
    matches!(
        (from, to),
        (
            T::Int1,
            T::Int2 | T::Int4 | T::Int8 | T::Float4 | T::Float8 | T::Decimal(None)
        ) | (
            T::Int2,
            T::Int4 | T::Int8 | T::Float4 | T::Float8 | T::Decimal(None)
        ) | (T::Int4, T::Int8 | T::Float4 | T::Float8 | T::Decimal(None))
            | (T::Int8, T::Float4 | T::Float8 | T::Decimal(None))
            | (T::Float4, T::Float8)
    )
}

fn map<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    values: &ArrayRef,
    convert: impl Fn(A::Native) -> B::Native,
) -> Option<ArrayRef> {
    let values: &PrimitiveArray<A> = values.as_primitive_opt()?;
    Some(Arc::new(values.unary::<_, B>(convert)))
}

/// Converts numbers to a type that holds (or, for floats, rounds) them all.
pub(super) fn widen(values: &ArrayRef, from: DataType, to: DataType) -> Option<ArrayRef> {
    use DataType as T;
    macro_rules! from_integer {
        ($type:ty, $native:ty) => {
            match to {
                T::Int2 => map::<$type, Int16Type>(values, |value| value as i16),
                T::Int4 => map::<$type, Int32Type>(values, |value| value as i32),
                T::Int8 => map::<$type, Int64Type>(values, |value| value as i64),
                T::Float4 => map::<$type, Float32Type>(values, |value| value as f32),
                T::Float8 => map::<$type, Float64Type>(values, |value| value as f64),
                T::Decimal(None) => {
                    decimal::from_integers(&map::<$type, Int64Type>(values, |value| value as i64)?)
                }
                _ => None,
            }
        };
    }
    if !widens(from, to) {
        return None;
    }
    match from {
        T::Int1 => from_integer!(Int8Type, i8),
        T::Int2 => from_integer!(Int16Type, i16),
        T::Int4 => from_integer!(Int32Type, i32),
        T::Int8 => from_integer!(Int64Type, i64),
        T::Float4 => map::<Float32Type, Float64Type>(values, f64::from),
        _ => None,
    }
}
