//! Comparisons.

use std::{cmp::Ordering, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, PrimitiveArray, Scalar,
    cast::AsArray,
    types::{ArrowPrimitiveType, Float32Type, Float64Type},
};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use arrow_ord::cmp;

use super::{Kind, VectorExpr, constant};
use crate::{
    DataType, Result,
    bound::BinaryOp,
    executor::ExecContext,
    types::compare_floats,
    vector::{
        batch::{Batch, arrow_error},
        convert::arrow_type,
        decimal,
    },
};

/// Whether arrays of this type compare as SQL compares the values.
pub(super) fn is_plain(data_type: DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int1
            | DataType::Int2
            | DataType::Int4
            | DataType::Int8
            | DataType::Text
            | DataType::Varchar(_)
            | DataType::Bytea
            | DataType::Date
            | DataType::Time
            | DataType::Timestamp
            | DataType::TimestampTz
            | DataType::Uuid
            | DataType::Enum(_)
    )
}

fn is_decimal(data_type: DataType) -> bool {
    matches!(data_type, DataType::Decimal(_))
}

/// Whether [`compare`] handles the operator over these types.
pub(super) fn has_kernel(op: BinaryOp, left: DataType, right: DataType) -> bool {
    matches!(
        op,
        BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessOrEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterOrEqual
    ) && arrow_type(left) == arrow_type(right)
        && ((is_plain(left) && is_plain(right))
            || (is_decimal(left) && is_decimal(right))
            || matches!(left, DataType::Float4 | DataType::Float8))
}

/// Compares; `None` where the row evaluator has to.
pub(super) fn compare(
    op: BinaryOp,
    left: &VectorExpr,
    right: &VectorExpr,
    batch: &Batch,
    context: &ExecContext,
) -> Result<Option<ArrayRef>> {
    match left.data_type {
        DataType::Float8 => {
            let (left, right) = (left.eval(batch, context)?, right.eval(batch, context)?);
            Ok(Some(floats::<Float64Type>(op, &left, &right, |number| {
                number
            })))
        }
        DataType::Float4 => {
            let (left, right) = (left.eval(batch, context)?, right.eval(batch, context)?);
            Ok(Some(floats::<Float32Type>(op, &left, &right, f64::from)))
        }
        DataType::Decimal(_) => {
            let left = datum(left, batch, context)?.into_decimals();
            let right = datum(right, batch, context)?.into_decimals();
            decimal::compare(&left, &right, batch.rows, |ordering| holds(op, ordering)).map(Some)
        }
        _ => {
            let left = datum(left, batch, context)?;
            let right = datum(right, batch, context)?;
            let (left, right) = match (left, right) {
                // Two scalars make a scalar; a column is wanted.
                (Side::Scalar(left), right) if matches!(right, Side::Scalar(_)) => (
                    Side::Array(constant_of(&left.into_inner(), batch.rows)?),
                    right,
                ),
                sides => sides,
            };
            let (left, right) = (left.as_datum(), right.as_datum());
            let truth = match op {
                BinaryOp::Equal => cmp::eq(left, right),
                BinaryOp::NotEqual => cmp::neq(left, right),
                BinaryOp::Less => cmp::lt(left, right),
                BinaryOp::LessOrEqual => cmp::lt_eq(left, right),
                BinaryOp::Greater => cmp::gt(left, right),
                BinaryOp::GreaterOrEqual => cmp::gt_eq(left, right),
                _ => return Ok(None),
            };
            Ok(Some(Arc::new(truth.map_err(arrow_error)?)))
        }
    }
}

enum Side {
    Array(ArrayRef),
    Scalar(Scalar<ArrayRef>),
}

impl Side {
    fn into_decimals(self) -> decimal::Side {
        match self {
            Side::Array(array) => decimal::Side {
                array,
                is_scalar: false,
            },
            Side::Scalar(scalar) => decimal::Side {
                array: scalar.into_inner(),
                is_scalar: true,
            },
        }
    }

    fn as_datum(&self) -> &dyn Datum {
        match self {
            Side::Array(array) => array,
            Side::Scalar(scalar) => scalar,
        }
    }
}

fn datum(expr: &VectorExpr, batch: &Batch, context: &ExecContext) -> Result<Side> {
    let value = match &expr.kind {
        Kind::Constant(value) => Some(value),
        Kind::Parameter(at) => context.parameters.get(*at),
        _ => None,
    };
    match value {
        Some(value) => Ok(Side::Scalar(Scalar::new(constant(
            value,
            expr.data_type,
            1,
        )?))),
        None => expr.eval(batch, context).map(Side::Array),
    }
}

fn constant_of(one: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let zeros = arrow_array::UInt32Array::from(vec![0; rows]);
    arrow_select::take::take(one, &zeros, None).map_err(arrow_error)
}

#[inline]
fn holds(op: BinaryOp, ordering: Ordering) -> bool {
    match op {
        BinaryOp::Equal => ordering.is_eq(),
        BinaryOp::NotEqual => ordering.is_ne(),
        BinaryOp::Less => ordering.is_lt(),
        BinaryOp::LessOrEqual => ordering.is_le(),
        BinaryOp::Greater => ordering.is_gt(),
        _ => ordering.is_ge(),
    }
}

/// SQL's order of floats: NaN is the largest and equals itself, -0 equals 0.
fn floats<T: ArrowPrimitiveType>(
    op: BinaryOp,
    left: &ArrayRef,
    right: &ArrayRef,
    wide: impl Fn(T::Native) -> f64,
) -> ArrayRef {
    let (left, right): (&PrimitiveArray<T>, &PrimitiveArray<T>) =
        (left.as_primitive(), right.as_primitive());
    let (a, b) = (left.values(), right.values());
    let truth = BooleanBuffer::collect_bool(left.len(), |at| {
        holds(op, compare_floats(wide(a[at]), wide(b[at])))
    });
    Arc::new(BooleanArray::new(
        truth,
        NullBuffer::union(left.nulls(), right.nulls()),
    ))
}
