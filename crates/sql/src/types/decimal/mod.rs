//! Exact decimal numbers: PostgreSQL's `numeric`.
//!
//! A number is an integer of digits and a scale: `digits × 10^-scale`. The scale is also the
//! number of fraction digits shown, so `1.0` and `1.00` are equal but print differently. Digits
//! that fit 64 bits live inside the value; only longer ones are on the heap.
//!
//! `NaN` and the infinities of PostgreSQL 14 and later are not values of this type: reading one
//! is a typed error.

mod arithmetic;

#[cfg(feature = "engine")]
pub(crate) use arithmetic::division_by_zero;
pub(crate) mod functions;
mod text;

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
};

use bigdecimal::BigDecimal;
use num_bigint::{BigInt, Sign};
use num_traits::{Signed, ToPrimitive, Zero};

use crate::{Result, SqlState, error::Error};

/// The most fraction digits a number can have.
pub(crate) const MAX_SCALE: u16 = 16_383;
/// The most digits a number can have before its decimal point.
pub(crate) const MAX_INTEGER_DIGITS: i64 = 131_072;

/// An exact decimal number with a display scale.
#[derive(Clone, Debug)]
pub struct Decimal(Repr);

/// Invariant: `Big` only where the digits do not fit an `i64`; the scale is at most [`MAX_SCALE`].
#[derive(Clone, Debug)]
enum Repr {
    Small { digits: i64, scale: u16 },
    Big(Box<Big>),
}

#[derive(Clone, Debug)]
struct Big {
    digits: BigInt,
    scale: u16,
}

pub(crate) fn overflow() -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value overflows numeric format",
    )
}

/// 10 to the `exponent`.
pub(crate) fn power_of_ten(exponent: u32) -> BigInt {
    if exponent <= 38 {
        BigInt::from(10_i128.pow(exponent))
    } else {
        num_traits::pow(BigInt::from(10), exponent as usize)
    }
}

/// How many decimal digits `number` has; 0 for 0.
pub(crate) fn count_digits(number: &BigInt) -> i64 {
    if number.is_zero() {
        return 0;
    }
    if let Some(small) = number.magnitude().to_u128() {
        return i64::from(small.ilog10()) + 1;
    }
    // digits = floor(log10(n)) + 1; log10 is estimated from the bits and then corrected.
    let bits = number.bits();
    let estimate = ((bits - 1) as f64 * std::f64::consts::LOG10_2) as u32;
    let next = power_of_ten(estimate + 1);
    if number.magnitude() >= next.magnitude() {
        i64::from(estimate) + 2
    } else {
        i64::from(estimate) + 1
    }
}

impl Decimal {
    /// Zero, without fraction digits.
    pub const ZERO: Decimal = Decimal(Repr::Small {
        digits: 0,
        scale: 0,
    });
    /// One, without fraction digits.
    pub const ONE: Decimal = Decimal(Repr::Small {
        digits: 1,
        scale: 0,
    });

    /// `digits × 10^-scale`.
    ///
    /// # Errors
    /// 22003 where the number is beyond the format: more than 131,072 digits before the decimal
    /// point or 16,383 after it.
    pub fn from_parts(digits: BigInt, scale: i64) -> Result<Decimal> {
        if scale > i64::from(MAX_SCALE) {
            return Err(overflow());
        }
        if scale < 0 {
            if digits.is_zero() {
                return Ok(Decimal::ZERO);
            }
            if scale < -MAX_INTEGER_DIGITS || count_digits(&digits) - scale > MAX_INTEGER_DIGITS {
                return Err(overflow());
            }
            let digits = digits * power_of_ten(scale.unsigned_abs() as u32);
            return Ok(Decimal::canonical(digits, 0));
        }
        // 3.3 bits per digit: a cheap test before the exact one.
        if digits.bits() as i64 > MAX_INTEGER_DIGITS * 3
            && count_digits(&digits) - scale > MAX_INTEGER_DIGITS
        {
            return Err(overflow());
        }
        Ok(Decimal::canonical(digits, scale as u16))
    }

    fn canonical(digits: BigInt, scale: u16) -> Decimal {
        match digits.to_i64() {
            Some(digits) => Decimal(Repr::Small { digits, scale }),
            None => Decimal(Repr::Big(Box::new(Big { digits, scale }))),
        }
    }

    pub(crate) fn from_i128(digits: i128, scale: u16) -> Decimal {
        match i64::try_from(digits) {
            Ok(digits) => Decimal(Repr::Small { digits, scale }),
            Err(_) => Decimal(Repr::Big(Box::new(Big {
                digits: BigInt::from(digits),
                scale,
            }))),
        }
    }

    /// `digits × 10^-scale` of a 64-bit integer.
    ///
    /// # Errors
    /// 22003 where `scale` is above 16,383.
    pub fn from_i64(digits: i64, scale: u16) -> Result<Decimal> {
        if scale > MAX_SCALE {
            return Err(overflow());
        }
        Ok(Decimal(Repr::Small { digits, scale }))
    }

    /// The digits and the scale.
    #[must_use]
    pub fn to_parts(&self) -> (BigInt, u16) {
        match &self.0 {
            Repr::Small { digits, scale } => (BigInt::from(*digits), *scale),
            Repr::Big(big) => (big.digits.clone(), big.scale),
        }
    }

    /// The digits and the scale, where the digits fit 64 bits (and always then): the way
    /// without allocation.
    #[must_use]
    pub fn small_parts(&self) -> Option<(i64, u16)> {
        match &self.0 {
            Repr::Small { digits, scale } => Some((*digits, *scale)),
            Repr::Big(_) => None,
        }
    }

    pub(crate) fn digits(&self) -> std::borrow::Cow<'_, BigInt> {
        match &self.0 {
            Repr::Small { digits, .. } => std::borrow::Cow::Owned(BigInt::from(*digits)),
            Repr::Big(big) => std::borrow::Cow::Borrowed(&big.digits),
        }
    }

    /// The number of fraction digits shown.
    #[must_use]
    pub fn scale(&self) -> u16 {
        match &self.0 {
            Repr::Small { scale, .. } => *scale,
            Repr::Big(big) => big.scale,
        }
    }

    /// The exponent of ten of the first digit that is not 0; `None` for 0.
    #[must_use]
    pub fn leading_exponent(&self) -> Option<i64> {
        if self.is_zero() {
            return None;
        }
        let count = match &self.0 {
            Repr::Small { digits, .. } => i64::from(digits.unsigned_abs().ilog10()) + 1,
            Repr::Big(big) => count_digits(&big.digits),
        };
        Some(count - 1 - i64::from(self.scale()))
    }

    /// Whether it is 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Small { digits: 0, .. })
    }

    /// Whether it is below 0.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        match &self.0 {
            Repr::Small { digits, .. } => *digits < 0,
            Repr::Big(big) => big.digits.sign() == Sign::Minus,
        }
    }

    /// -1, 0 or 1.
    #[must_use]
    pub fn signum(&self) -> i32 {
        match &self.0 {
            Repr::Small { digits, .. } => digits.signum() as i32,
            Repr::Big(big) => {
                if big.digits.is_negative() {
                    -1
                } else {
                    1
                }
            }
        }
    }

    /// The same number without trailing zeros in its fraction.
    #[must_use]
    pub fn normalized(&self) -> Decimal {
        match &self.0 {
            Repr::Small { digits, scale } => {
                let (digits, scale) = strip_zeros(*digits, *scale);
                Decimal(Repr::Small { digits, scale })
            }
            Repr::Big(big) => {
                let mut digits = big.digits.clone();
                let mut scale = big.scale;
                let ten = BigInt::from(10);
                while scale > 0 {
                    if digits.to_i64().is_some() {
                        return Decimal::canonical(digits, scale).normalized();
                    }
                    let quotient = &digits / &ten;
                    if &quotient * &ten != digits {
                        break;
                    }
                    digits = quotient;
                    scale -= 1;
                }
                Decimal::canonical(digits, scale)
            }
        }
    }

    /// As the `bigdecimal` crate's type.
    #[must_use]
    pub fn to_big_decimal(&self) -> BigDecimal {
        let (digits, scale) = self.to_parts();
        BigDecimal::from_bigint(digits, i64::from(scale))
    }

    /// As a 128-bit integer of units of `10^-scale`, where it is one exactly: what Arrow's
    /// `Decimal128` arrays hold.
    #[must_use]
    pub fn to_i128_at_scale(&self, scale: u16) -> Option<i128> {
        let own = self.scale();
        if scale >= own {
            let factor = 10_i128.checked_pow(u32::from(scale - own))?;
            match &self.0 {
                Repr::Small { digits, .. } => i128::from(*digits).checked_mul(factor),
                Repr::Big(big) => big.digits.to_i128()?.checked_mul(factor),
            }
        } else {
            let divisor = power_of_ten(u32::from(own - scale));
            let digits = self.digits();
            let quotient = digits.as_ref() / &divisor;
            (&quotient * &divisor == *digits.as_ref())
                .then(|| quotient.to_i128())
                .flatten()
        }
    }
}

/// `digits × 10^-scale` without trailing zeros in the fraction.
fn strip_zeros(mut digits: i64, mut scale: u16) -> (i64, u16) {
    if digits == 0 {
        return (0, 0);
    }
    while scale > 0 && digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    (digits, scale)
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Decimal {
        Decimal(Repr::Small {
            digits: number,
            scale: 0,
        })
    }
}

impl From<i128> for Decimal {
    fn from(number: i128) -> Decimal {
        Decimal::from_i128(number, 0)
    }
}

impl TryFrom<&BigDecimal> for Decimal {
    type Error = Error;

    fn try_from(number: &BigDecimal) -> Result<Decimal> {
        let (digits, scale) = number.as_bigint_and_exponent();
        Decimal::from_parts(digits, scale)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        if let (Some((a, a_scale)), Some((b, b_scale))) = (self.small_parts(), other.small_parts())
        {
            if a_scale == b_scale {
                return a.cmp(&b);
            }
            if a_scale.abs_diff(b_scale) <= 18 {
                let scaled = |digits: i64, by: u16| i128::from(digits) * 10_i128.pow(u32::from(by));
                return if a_scale < b_scale {
                    scaled(a, b_scale - a_scale).cmp(&i128::from(b))
                } else {
                    i128::from(a).cmp(&scaled(b, a_scale - b_scale))
                };
            }
        }
        let by_sign = self.signum().cmp(&other.signum());
        if by_sign != Ordering::Equal || self.is_zero() {
            return by_sign;
        }
        let by_magnitude = self.leading_exponent().cmp(&other.leading_exponent());
        if by_magnitude != Ordering::Equal {
            return if self.is_negative() {
                by_magnitude.reverse()
            } else {
                by_magnitude
            };
        }
        let (a, a_scale) = (self.digits(), self.scale());
        let (b, b_scale) = (other.digits(), other.scale());
        match a_scale.cmp(&b_scale) {
            Ordering::Equal => a.cmp(&b),
            Ordering::Less => {
                (a.as_ref() * power_of_ten(u32::from(b_scale - a_scale))).cmp(b.as_ref())
            }
            Ordering::Greater => a
                .as_ref()
                .cmp(&(b.as_ref() * power_of_ten(u32::from(a_scale - b_scale)))),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Repr::Small { digits, scale } => strip_zeros(*digits, *scale).hash(state),
            Repr::Big(_) => {
                let normal = self.normalized();
                match &normal.0 {
                    Repr::Small { digits, scale } => (*digits, *scale).hash(state),
                    Repr::Big(big) => {
                        big.digits.hash(state);
                        big.scale.hash(state);
                    }
                }
            }
        }
    }
}
