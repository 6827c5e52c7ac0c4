//! Columns of `numeric`, in one of two forms.
//!
//! *Fixed*: a `Decimal128` array, where all values of the array have the same number of fraction
//! digits and fit 128 bits. Tables that declare a scale give nothing else, and sums, differences
//! and products of such columns stay so. *Opaque*: a `BinaryView` array of scale (u16) and
//! digits, both big-endian, where every value has a scale of its own. The array itself says
//! which form it has, so that the arrays of one column may differ from batch to batch;
//! [`unify`] brings them together. A value shows the same scale in either form: the one that
//! row mode would show.

use std::{cmp::Ordering, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array,
    builder::BinaryViewBuilder,
    cast::AsArray,
    types::{Decimal128Type, Int64Type},
};
use arrow_buffer::{BooleanBuffer, NullBuffer, NullBufferBuilder, ScalarBuffer};
use arrow_schema::DataType as ArrowType;
use num_traits::ToPrimitive;
use smallvec::SmallVec;

use crate::{
    DataType, Decimal, Result, Value,
    bound::BinaryOp,
    encoding::{ValueRef, corrupt},
};

/// The digits that `Decimal128` has room for, and its largest scale.
const DIGITS: u8 = 38;

/// The Arrow type of the fixed form with `scale` fraction digits.
pub(crate) fn fixed_type(scale: u16) -> ArrowType {
    ArrowType::Decimal128(DIGITS, scale as i8)
}

/// The array and its scale where it has the fixed form.
#[inline]
pub(crate) fn fixed(array: &dyn Array) -> Option<(&Decimal128Array, u16)> {
    let numbers = array.as_primitive_opt::<Decimal128Type>()?;
    Some((numbers, u16::try_from(numbers.scale()).ok()?))
}

/// Row `at`, which is not NULL.
#[inline]
pub(crate) fn value(array: &dyn Array, at: usize) -> Result<Decimal> {
    match fixed(array) {
        Some((numbers, scale)) => Ok(Decimal::from_i128(numbers.value(at), scale)),
        None => parse(array.as_binary_view().value(at)),
    }
}

/// The number that the bytes of the opaque form stand for.
fn parse(bytes: &[u8]) -> Result<Decimal> {
    let Some((scale, digits)) = bytes.split_first_chunk::<2>() else {
        return Err(corrupt("a numeric value has no scale"));
    };
    let value = ValueRef::Decimal {
        scale: u16::from_be_bytes(*scale),
        digits,
    };
    match value.to_value(DataType::Decimal(None))? {
        Value::Decimal(number) => Ok(number),
        _ => Err(corrupt("a numeric value is out of range")),
    }
}

/// The bytes of the opaque form.
fn bytes(number: &Decimal) -> SmallVec<[u8; 24]> {
    let mut bytes = SmallVec::new();
    bytes.extend_from_slice(&number.scale().to_be_bytes());
    match number.small_parts() {
        Some((digits, _)) => bytes.extend_from_slice(&digits.to_be_bytes()),
        None => bytes.extend_from_slice(&number.digits().to_signed_bytes_be()),
    }
    bytes
}

/// A big-endian two's complement number of at most 16 bytes.
#[inline]
fn integer(digits: &[u8]) -> Option<i128> {
    let first = *digits.first()?;
    let sign = if first & 0x80 == 0 { 0 } else { 0xff };
    if digits.len() <= 8 {
        let mut whole = [sign; 8];
        whole[8 - digits.len()..].copy_from_slice(digits);
        return Some(i128::from(i64::from_be_bytes(whole)));
    }
    let mut whole = [sign; 16];
    let free = whole.len().checked_sub(digits.len())?;
    whole[free..].copy_from_slice(digits);
    Some(i128::from_be_bytes(whole))
}

/// Builds a column: in the fixed form for as long as the values allow.
#[derive(Default)]
pub(crate) struct DecimalBuilder {
    digits: Vec<i128>,
    valid: Option<NullBufferBuilder>,
    scale: Option<u16>,
    opaque: Option<BinaryViewBuilder>,
}

impl DecimalBuilder {
    /// `rows` are expected.
    pub(crate) fn with_capacity(rows: usize) -> DecimalBuilder {
        DecimalBuilder {
            digits: Vec::with_capacity(rows),
            ..DecimalBuilder::default()
        }
    }

    /// Appends NULL.
    pub(crate) fn append_null(&mut self) {
        match &mut self.opaque {
            Some(opaque) => opaque.append_null(),
            None => {
                let before = self.digits.len();
                self.valid
                    .get_or_insert_with(|| {
                        let mut valid = NullBufferBuilder::new(before + 1);
                        valid.append_n_non_nulls(before);
                        valid
                    })
                    .append_null();
                self.digits.push(0);
            }
        }
    }

    /// Appends `digits × 10^-scale`, where `digits` is a big-endian two's complement number.
    #[inline]
    pub(crate) fn append_ref(&mut self, scale: u16, digits: &[u8]) {
        if let (None, Some(number)) = (&self.opaque, integer(digits))
            && self.append_fixed(number, scale)
        {
            return;
        }
        let mut bytes: SmallVec<[u8; 24]> = SmallVec::new();
        bytes.extend_from_slice(&scale.to_be_bytes());
        bytes.extend_from_slice(digits);
        self.opaque().append_value(&bytes);
    }

    /// Appends a number.
    pub(crate) fn append(&mut self, number: &Decimal) {
        let digits = match number.small_parts() {
            Some((digits, _)) => Some(i128::from(digits)),
            None => number.digits().to_i128(),
        };
        if let (None, Some(digits)) = (&self.opaque, digits)
            && self.append_fixed(digits, number.scale())
        {
            return;
        }
        let bytes = bytes(number);
        self.opaque().append_value(&bytes);
    }

    #[inline]
    fn append_fixed(&mut self, digits: i128, scale: u16) -> bool {
        if self.scale != Some(scale) {
            if self.scale.is_some() || scale > u16::from(DIGITS) {
                return false;
            }
            self.scale = Some(scale);
        }
        self.digits.push(digits);
        if let Some(valid) = &mut self.valid {
            valid.append_non_null();
        }
        true
    }

    /// Changes to the opaque form.
    #[cold]
    fn opaque(&mut self) -> &mut BinaryViewBuilder {
        if self.opaque.is_none() {
            let so_far = self.finish();
            let mut opaque = BinaryViewBuilder::with_capacity(so_far.len() * 2);
            append_opaque(&so_far, &mut opaque);
            self.opaque = Some(opaque);
        }
        self.opaque.get_or_insert_default()
    }

    /// The array; the builder is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        if let Some(mut opaque) = self.opaque.take() {
            return Arc::new(opaque.finish());
        }
        let nulls = self.valid.take().and_then(|mut valid| valid.finish());
        let digits = std::mem::take(&mut self.digits);
        let scale = self.scale.take().unwrap_or_default();
        array(digits, nulls, scale)
    }
}

fn array(digits: Vec<i128>, nulls: Option<NullBuffer>, scale: u16) -> ArrayRef {
    let numbers = Decimal128Array::new(ScalarBuffer::from(digits), nulls);
    Arc::new(numbers.with_data_type(fixed_type(scale)))
}

fn append_opaque(array: &ArrayRef, to: &mut BinaryViewBuilder) {
    if let Some((numbers, scale)) = fixed(array) {
        for number in numbers {
            match number {
                None => to.append_null(),
                Some(digits) => to.append_value(bytes(&Decimal::from_i128(digits, scale))),
            }
        }
    }
}

/// Arrays of one column in one form, as concatenating them needs it. Arrays of other types than
/// numeric stay as they are.
pub(crate) fn unify(arrays: Vec<ArrayRef>) -> Vec<ArrayRef> {
    let alike = |arrays: &[ArrayRef]| {
        arrays
            .windows(2)
            .all(|pair| pair[0].data_type() == pair[1].data_type())
    };
    if alike(&arrays) {
        return arrays;
    }
    // What has no value at all has any scale.
    let of_values = |array: &&ArrayRef| array.null_count() < array.len();
    let mut scales = arrays.iter().filter(of_values).map(|array| fixed(array));
    let first = scales.next();
    let common = match first {
        None => Some(0),
        Some(Some((_, scale))) => scales
            .all(|other| other.is_some_and(|(_, other)| other == scale))
            .then_some(scale),
        Some(None) => None,
    };
    arrays
        .into_iter()
        .map(|array| match (fixed(&array), common) {
            (Some((_, scale)), Some(common)) if scale == common => array,
            (_, Some(common)) if array.null_count() == array.len() => {
                arrow_array::new_null_array(&fixed_type(common), array.len())
            }
            (Some(_), _) => {
                let mut opaque = BinaryViewBuilder::with_capacity(array.len());
                append_opaque(&array, &mut opaque);
                Arc::new(opaque.finish())
            }
            (None, _) => array,
        })
        .collect()
}

/// `rows` times `number`.
pub(crate) fn constant(number: &Decimal, rows: usize) -> ArrayRef {
    let mut builder = DecimalBuilder::with_capacity(1);
    builder.append(number);
    let one = builder.finish();
    match fixed(&one) {
        Some((numbers, scale)) => array(vec![numbers.value(0); rows], None, scale),
        None => {
            let mut opaque = BinaryViewBuilder::with_capacity(rows);
            for _ in 0..rows {
                opaque.append_value(bytes(number));
            }
            Arc::new(opaque.finish())
        }
    }
}

/// Integers as numbers without fraction digits.
pub(crate) fn from_integers(values: &ArrayRef) -> Option<ArrayRef> {
    let values = values.as_primitive_opt::<Int64Type>()?;
    let digits = values.values().iter().map(|number| i128::from(*number));
    Some(array(digits.collect(), values.nulls().cloned(), 0))
}

fn power(exponent: u16) -> Option<i128> {
    10_i128.checked_pow(u32::from(exponent))
}

/// Whether all numbers fit 64 bits: the product of two of them fits 128.
fn are_narrow(numbers: &[i128]) -> bool {
    numbers
        .iter()
        .all(|number| i128::from(*number as i64) == *number)
}

/// `left op right` in the fixed form; `None` where an operand is opaque or a result is too large
/// for it.
pub(crate) fn arithmetic(op: BinaryOp, left: &ArrayRef, right: &ArrayRef) -> Option<ArrayRef> {
    let ((a, a_scale), (b, b_scale)) = (fixed(left)?, fixed(right)?);
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let (a, b) = (a.values(), b.values());
    let pairs = || a.iter().zip(b.iter());
    if op == BinaryOp::Multiply {
        let scale = a_scale + b_scale;
        if scale > u16::from(DIGITS) {
            return None;
        }
        let digits: Vec<i128> = if are_narrow(a) && are_narrow(b) {
            pairs()
                .map(|(a, b)| i128::from(*a as i64) * i128::from(*b as i64))
                .collect()
        } else {
            pairs()
                .map(|(a, b)| a.checked_mul(*b))
                .collect::<Option<_>>()?
        };
        return Some(array(digits, nulls, scale));
    }
    let scale = a_scale.max(b_scale);
    let (by_a, by_b) = (power(scale - a_scale)?, power(scale - b_scale)?);
    let combine = |one: i128, other: i128| match op {
        BinaryOp::Add => one.checked_add(other),
        BinaryOp::Subtract => one.checked_sub(other),
        _ => None,
    };
    let digits: Option<Vec<i128>> = if by_a == 1 && by_b == 1 {
        pairs().map(|(a, b)| combine(*a, *b)).collect()
    } else {
        pairs()
            .map(|(a, b)| combine(a.checked_mul(by_a)?, b.checked_mul(by_b)?))
            .collect()
    };
    Some(array(digits?, nulls, scale))
}

/// One side of a comparison: an array, or one value for all rows.
pub(crate) struct Side {
    pub(crate) array: ArrayRef,
    pub(crate) is_scalar: bool,
}

impl Side {
    #[inline]
    fn row(&self, at: usize) -> usize {
        if self.is_scalar { 0 } else { at }
    }

    fn nulls(&self, rows: usize) -> Option<NullBuffer> {
        if !self.is_scalar {
            return self.array.nulls().cloned();
        }
        (self.array.null_count() > 0).then(|| NullBuffer::new_null(rows))
    }

    /// The digits at a larger scale.
    fn at_scale(&self, scale: u16) -> Option<Vec<i128>> {
        let (numbers, own) = fixed(&self.array)?;
        let factor = power(scale.checked_sub(own)?)?;
        if factor == 1 {
            return Some(numbers.values().to_vec());
        }
        numbers
            .values()
            .iter()
            .map(|number| number.checked_mul(factor))
            .collect()
    }
}

/// Whether each of `rows` comparisons holds.
pub(crate) fn compare(
    left: &Side,
    right: &Side,
    rows: usize,
    holds: impl Fn(Ordering) -> bool,
) -> Result<ArrayRef> {
    let nulls = NullBuffer::union(left.nulls(rows).as_ref(), right.nulls(rows).as_ref());
    let truth = match compare_fixed(left, right, rows, &holds) {
        Some(truth) => truth,
        None => {
            let mut truth = Vec::with_capacity(rows);
            for at in 0..rows {
                truth.push(
                    nulls.as_ref().is_none_or(|nulls| nulls.is_valid(at))
                        && holds(
                            value(&left.array, left.row(at))?
                                .cmp(&value(&right.array, right.row(at))?),
                        ),
                );
            }
            truth.into()
        }
    };
    Ok(Arc::new(BooleanArray::new(truth, nulls)))
}

fn compare_fixed(
    left: &Side,
    right: &Side,
    rows: usize,
    holds: &impl Fn(Ordering) -> bool,
) -> Option<BooleanBuffer> {
    let ((_, left_scale), (_, right_scale)) = (fixed(&left.array)?, fixed(&right.array)?);
    let scale = left_scale.max(right_scale);
    let (a, b) = (left.at_scale(scale)?, right.at_scale(scale)?);
    Some(match (left.is_scalar, right.is_scalar) {
        (_, true) => {
            let b = *b.first()?;
            let row = |at: usize| if left.is_scalar { 0 } else { at };
            BooleanBuffer::collect_bool(rows, |at| holds(a[row(at)].cmp(&b)))
        }
        (true, false) => {
            let a = *a.first()?;
            BooleanBuffer::collect_bool(rows, |at| holds(a.cmp(&b[at])))
        }
        (false, false) => BooleanBuffer::collect_bool(rows, |at| holds(a[at].cmp(&b[at]))),
    })
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;

    use super::*;

    fn column(texts: &[Option<&str>]) -> ArrayRef {
        let mut builder = DecimalBuilder::with_capacity(texts.len());
        for text in texts {
            match text {
                None => builder.append_null(),
                Some(text) => builder.append(&text.parse().unwrap()),
            }
        }
        builder.finish()
    }

    fn texts(array: &ArrayRef) -> Vec<Option<String>> {
        (0..array.len())
            .map(|at| (!array.is_null(at)).then(|| value(array, at).unwrap().to_string()))
            .collect()
    }

    const WIDE: &str = "12345678901234567890123456789012345678901234567890.5";

    #[test]
    fn values_show_the_scale_they_came_with() {
        for (given, is_fixed) in [
            (vec![Some("1.50"), None, Some("-0.01")], true),
            (vec![None, Some("1.5"), Some("2.25"), None], false),
            (vec![Some("7"), Some(WIDE)], false),
            (vec![Some("-170141183460469231731687303715884105728")], true),
            (vec![None, None], true),
        ] {
            let array = column(&given);
            assert_eq!(fixed(&array).is_some(), is_fixed, "{given:?}");
            let given: Vec<_> = given.into_iter().map(|of| of.map(str::to_owned)).collect();
            assert_eq!(texts(&array), given);
        }
    }

    #[test]
    fn arrays_of_one_column_come_together() {
        let parts = [
            column(&[Some("1.5"), None]),
            column(&[None]),
            column(&[Some("2.25")]),
            column(&[Some(WIDE)]),
        ];
        for (chosen, is_fixed) in [(0..2, true), (1..3, true), (0..3, false), (0..4, false)] {
            let expected: Vec<_> = parts[chosen.clone()].iter().flat_map(texts).collect();
            let unified = unify(parts[chosen].to_vec());
            assert!(unified.iter().all(|part| fixed(part).is_some() == is_fixed));
            let parts: Vec<&dyn Array> = unified.iter().map(AsRef::as_ref).collect();
            let whole = arrow_select::concat::concat(&parts).unwrap();
            assert_eq!(texts(&whole), expected);
        }
    }

    #[test]
    fn arithmetic_and_comparisons_equal_those_of_single_numbers() {
        let numbers = ["0", "-1.5", "99.99", "0.0001", "9223372036854775808", WIDE];
        for a in numbers {
            for b in numbers {
                let (left, right) = (column(&[Some(a), None]), column(&[Some(b), Some(b)]));
                let (a, b): (Decimal, Decimal) = (a.parse().unwrap(), b.parse().unwrap());
                for (op, expected) in [
                    (BinaryOp::Add, a.checked_add(&b)),
                    (BinaryOp::Subtract, a.checked_sub(&b)),
                    (BinaryOp::Multiply, a.checked_mul(&b)),
                ] {
                    if let Some(result) = arithmetic(op, &left, &right) {
                        let expected = Some(expected.unwrap().to_string());
                        assert_eq!(texts(&result), [expected, None]);
                    }
                }
                for (left_scalar, right_scalar) in
                    [(false, false), (true, false), (false, true), (true, true)]
                {
                    let side = |array: &ArrayRef, is_scalar| Side {
                        array: if is_scalar {
                            array.slice(0, 1)
                        } else {
                            Arc::clone(array)
                        },
                        is_scalar,
                    };
                    let (left, right) = (side(&left, left_scalar), side(&right, right_scalar));
                    let truth = compare(&left, &right, 2, Ordering::is_lt).unwrap();
                    assert_eq!(truth.as_boolean().value(0), a < b, "{a} < {b}");
                    assert_eq!(truth.is_null(1), !left_scalar);
                }
            }
        }
    }

    #[test]
    fn stored_digits_are_read_at_every_length() {
        for number in [0_i128, -1, 127, -128, i128::from(i64::MIN), i128::MAX] {
            let bytes = BigInt::from(number).to_signed_bytes_be();
            assert_eq!(integer(&bytes), Some(number));
        }
        assert_eq!(integer(&[0; 17]), None);
        assert_eq!(integer(&[]), None);
    }
}
