//! Three-valued logic, and forms that evaluate an operand only where it is needed.

use std::sync::Arc;

use arrow_arith::boolean;
use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array, cast::AsArray, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_select::{interleave::interleave, take::take};

use super::VectorExpr;
use crate::{
    DataType, Result,
    executor::ExecContext,
    vector::{
        batch::{Batch, arrow_error},
        convert::{arrow_type, empty_array},
        decimal,
    },
};

/// `values`, which belong to the rows where `mask` is true, at the places of those rows; NULL
/// elsewhere.
fn scatter(values: &BooleanArray, mask: &BooleanBuffer) -> Result<BooleanArray> {
    let mut next = 0;
    let places: UInt32Array = mask
        .iter()
        .map(|chosen| {
            chosen.then(|| {
                next += 1;
                next - 1
            })
        })
        .collect();
    let spread = take(values, &places, None).map_err(arrow_error)?;
    Ok(spread.as_boolean().clone())
}

/// AND (`deciding` false) or OR (`deciding` true): a deciding operand settles its row, and
/// operands that can fail are not evaluated for settled rows.
pub(super) fn junction(
    operands: &[VectorExpr],
    deciding: bool,
    batch: &Batch,
    context: &ExecContext,
) -> Result<ArrayRef> {
    let combine = |left: &BooleanArray, right: &BooleanArray| {
        if deciding {
            boolean::or_kleene(left, right)
        } else {
            boolean::and_kleene(left, right)
        }
        .map_err(arrow_error)
    };
    let mut result: Option<BooleanArray> = None;
    for operand in operands {
        let Some(so_far) = &result else {
            result = Some(operand.truth(batch, context)?);
            continue;
        };
        let truth = if operand.fallible {
            let open = BooleanBuffer::collect_bool(batch.rows, |at| {
                so_far.is_null(at) || so_far.value(at) != deciding
            });
            match open.count_set_bits() {
                0 => break,
                all if all == batch.rows => operand.truth(batch, context)?,
                _ => {
                    let some = batch.filter(&BooleanArray::new(open.clone(), None))?;
                    scatter(&operand.truth(&some, context)?, &open)?
                }
            }
        } else {
            operand.truth(batch, context)?
        };
        result = Some(combine(so_far, &truth)?);
    }
    Ok(Arc::new(result.unwrap_or_else(|| {
        BooleanArray::new(BooleanBuffer::collect_bool(batch.rows, |_| !deciding), None)
    })))
}

/// NOT.
pub(super) fn not(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(match values.as_boolean_opt() {
        Some(values) => Arc::new(boolean::not(values).map_err(arrow_error)?),
        None => new_null_array(&arrow_type(DataType::Boolean), values.len()),
    })
}

/// `IS [NOT] NULL`.
pub(super) fn is_null(values: &ArrayRef, negated: bool) -> Result<ArrayRef> {
    let truth = if negated {
        boolean::is_not_null(values)
    } else {
        boolean::is_null(values)
    };
    Ok(Arc::new(truth.map_err(arrow_error)?))
}

/// `IS [NOT] TRUE / FALSE / UNKNOWN`.
pub(super) fn is_truth(values: &ArrayRef, value: Option<bool>, negated: bool) -> ArrayRef {
    let values = values.as_boolean();
    let truth = BooleanBuffer::collect_bool(values.len(), |at| {
        let is = (!values.is_null(at)).then(|| values.value(at));
        (is == value) != negated
    });
    Arc::new(BooleanArray::new(truth, None))
}

/// Puts together a column of values that were computed for parts of a batch.
struct Pieces {
    arrays: Vec<ArrayRef>,
    /// For every row the piece and the place in it. Piece 0 is one NULL.
    places: Vec<(usize, usize)>,
    /// The rows that have no value yet.
    open: Vec<u32>,
}

impl Pieces {
    fn new(data_type: DataType, rows: usize) -> Pieces {
        Pieces {
            arrays: vec![new_null_array(&arrow_type(data_type), 1)],
            places: vec![(0, 0); rows],
            open: (0..rows as u32).collect(),
        }
    }

    /// The open rows of `batch`.
    fn rest(&self, batch: &Batch) -> Result<Batch> {
        if self.open.len() == batch.rows {
            return Ok(batch.clone());
        }
        batch.take(&UInt32Array::from(self.open.clone()))
    }

    /// Settles the open rows that `chosen` names by their position among the open rows, with
    /// the values of `piece`, one after the other.
    fn settle(&mut self, piece: ArrayRef, chosen: &BooleanBuffer) {
        let number = self.arrays.len();
        self.arrays.push(piece);
        let mut next = 0;
        let mut at = 0;
        let places = &mut self.places;
        self.open.retain(|row| {
            let settled = chosen.value(at);
            at += 1;
            if settled {
                places[*row as usize] = (number, next);
                next += 1;
            }
            !settled
        });
    }

    fn finish(self, data_type: DataType) -> Result<ArrayRef> {
        if self.places.is_empty() {
            return Ok(empty_array(data_type));
        }
        let arrays = decimal::unify(self.arrays);
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        interleave(&arrays, &self.places).map_err(arrow_error)
    }
}

/// CASE.
pub(super) fn case(
    branches: &[(VectorExpr, VectorExpr)],
    otherwise: Option<&VectorExpr>,
    data_type: DataType,
    batch: &Batch,
    context: &ExecContext,
) -> Result<ArrayRef> {
    let mut pieces = Pieces::new(data_type, batch.rows);
    for (condition, result) in branches {
        if pieces.open.is_empty() {
            break;
        }
        let rest = pieces.rest(batch)?;
        let truth = condition.truth(&rest, context)?;
        let chosen = match truth.nulls() {
            None => truth.values().clone(),
            Some(nulls) => truth.values() & nulls.inner(),
        };
        if chosen.count_set_bits() == 0 {
            continue;
        }
        let mask = BooleanArray::new(chosen.clone(), None);
        let values = result.eval(&rest.filter(&mask)?, context)?;
        pieces.settle(values, &chosen);
    }
    if let Some(result) = otherwise
        && !pieces.open.is_empty()
    {
        let rest = pieces.rest(batch)?;
        let values = result.eval(&rest, context)?;
        let all = BooleanBuffer::new_set(rest.rows);
        pieces.settle(values, &all);
    }
    pieces.finish(data_type)
}

/// COALESCE.
pub(super) fn coalesce(
    operands: &[VectorExpr],
    data_type: DataType,
    batch: &Batch,
    context: &ExecContext,
) -> Result<ArrayRef> {
    let mut pieces = Pieces::new(data_type, batch.rows);
    for (at, operand) in operands.iter().enumerate() {
        if pieces.open.is_empty() {
            break;
        }
        let values = operand.eval(&pieces.rest(batch)?, context)?;
        if at == 0 && values.null_count() == 0 {
            return Ok(values);
        }
        let chosen = match values.nulls() {
            None => BooleanBuffer::new_set(values.len()),
            Some(nulls) => nulls.inner().clone(),
        };
        let mask = BooleanArray::new(chosen.clone(), None);
        let values = arrow_select::filter::filter(&values, &mask).map_err(arrow_error)?;
        pieces.settle(values, &chosen);
    }
    pieces.finish(data_type)
}
