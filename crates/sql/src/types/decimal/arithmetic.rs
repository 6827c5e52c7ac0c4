//! The four operations, remainder and rounding, with PostgreSQL's result scales.

use num_bigint::BigInt;
use num_traits::{Signed, Zero};

use super::{Decimal, MAX_INTEGER_DIGITS, MAX_SCALE, Repr, power_of_ten};
use crate::{Error, Result, SqlState};

/// Results that have to be cut show at least so many significant digits.
pub(super) const MIN_SIGNIFICANT_DIGITS: i64 = 16;
/// Results that have to be cut show no more fraction digits than this.
pub(super) const MAX_DISPLAY_SCALE: i64 = 1_000;

pub(crate) fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// `numerator / denominator`, rounded half away from zero. The denominator is not 0.
fn divide_rounded(numerator: &BigInt, denominator: &BigInt) -> BigInt {
    let quotient = numerator / denominator;
    let remainder = numerator - &quotient * denominator;
    if (remainder.abs() << 1_u32) >= denominator.abs() {
        if numerator.is_negative() == denominator.is_negative() {
            quotient + 1
        } else {
            quotient - 1
        }
    } else {
        quotient
    }
}

fn divide_rounded_i128(numerator: i128, denominator: i128) -> Option<i128> {
    let quotient = numerator.checked_div(denominator)?;
    let remainder = numerator.checked_rem(denominator)?;
    let twice = remainder.unsigned_abs().checked_mul(2)?;
    Some(if twice >= denominator.unsigned_abs() {
        if (numerator < 0) == (denominator < 0) {
            quotient.checked_add(1)?
        } else {
            quotient.checked_sub(1)?
        }
    } else {
        quotient
    })
}

/// `10^exponent` where it fits.
fn small_power(exponent: u16) -> Option<i128> {
    10_i128.checked_pow(u32::from(exponent))
}

impl Decimal {
    fn combine(
        &self,
        other: &Decimal,
        small: impl Fn(i128, i128) -> Option<i128>,
        big: impl Fn(BigInt, BigInt) -> BigInt,
    ) -> Result<Decimal> {
        let scale = self.scale().max(other.scale());
        let (by_left, by_right) = (scale - self.scale(), scale - other.scale());
        if let (Some((left, _)), Some((right, _))) = (self.small_parts(), other.small_parts())
            && by_left <= 18
            && by_right <= 18
            && let (Some(left_factor), Some(right_factor)) =
                (small_power(by_left), small_power(by_right))
            && let Some(digits) = small(
                i128::from(left) * left_factor,
                i128::from(right) * right_factor,
            )
        {
            return Ok(Decimal::from_i128(digits, scale));
        }
        let scaled = |number: &Decimal, by: u16| {
            let digits = number.digits().into_owned();
            if by == 0 {
                digits
            } else {
                digits * power_of_ten(u32::from(by))
            }
        };
        Decimal::from_parts(
            big(scaled(self, by_left), scaled(other, by_right)),
            i64::from(scale),
        )
    }

    /// The sum; the scale is the larger one.
    ///
    /// # Errors
    /// 22003 beyond the format, as all arithmetic here.
    pub fn checked_add(&self, other: &Decimal) -> Result<Decimal> {
        self.combine(other, |a, b| a.checked_add(b), |a, b| a + b)
    }

    /// The difference; the scale is the larger one.
    ///
    /// # Errors
    /// 22003 beyond the format.
    pub fn checked_sub(&self, other: &Decimal) -> Result<Decimal> {
        self.combine(other, |a, b| a.checked_sub(b), |a, b| a - b)
    }

    /// The product; the scale is the sum of both.
    ///
    /// # Errors
    /// 22003 beyond the format.
    pub fn checked_mul(&self, other: &Decimal) -> Result<Decimal> {
        let scale = i64::from(self.scale()) + i64::from(other.scale());
        if let (Some((left, _)), Some((right, _))) = (self.small_parts(), other.small_parts())
            && scale <= i64::from(MAX_SCALE)
        {
            return Ok(Decimal::from_i128(
                i128::from(left) * i128::from(right),
                scale as u16,
            ));
        }
        let digits = self.digits().as_ref() * other.digits().as_ref();
        if scale > i64::from(MAX_SCALE) {
            let drop = power_of_ten((scale - i64::from(MAX_SCALE)) as u32);
            return Decimal::from_parts(divide_rounded(&digits, &drop), i64::from(MAX_SCALE));
        }
        Decimal::from_parts(digits, scale)
    }

    /// The quotient, rounded to the scale that [`Decimal::division_scale`] selects.
    ///
    /// # Errors
    /// 22012 where `other` is 0; 22003 beyond the format.
    pub fn checked_div(&self, other: &Decimal) -> Result<Decimal> {
        self.div_to_scale(other, self.division_scale(other))
    }

    /// The fraction digits a quotient shows: enough for 16 significant digits, and not fewer
    /// than either operand has. Estimated from the operands' first base-10000 digits.
    #[must_use]
    pub fn division_scale(&self, other: &Decimal) -> u16 {
        let (left_weight, left_first) = self.base_10000_head();
        let (right_weight, right_first) = other.base_10000_head();
        let mut weight = left_weight - right_weight;
        if left_first <= right_first {
            weight -= 1;
        }
        (MIN_SIGNIFICANT_DIGITS - weight * 4)
            .max(i64::from(self.scale()))
            .max(i64::from(other.scale()))
            .clamp(0, MAX_DISPLAY_SCALE) as u16
    }

    /// The weight (exponent of 10000) and value of the first base-10000 digit.
    pub(super) fn base_10000_head(&self) -> (i64, i64) {
        let Some(exponent) = self.leading_exponent() else {
            return (0, 0);
        };
        let weight = exponent.div_euclid(4);
        // The digits that stand at or above 10000^weight.
        let drop = weight * 4 + i64::from(self.scale());
        let digits = self.digits();
        let head = if drop >= 0 {
            digits.as_ref() / power_of_ten(drop as u32)
        } else {
            digits.as_ref() * power_of_ten(drop.unsigned_abs() as u32)
        };
        (
            weight,
            num_traits::ToPrimitive::to_i64(&head.abs()).unwrap_or(9_999),
        )
    }

    /// The quotient, rounded half away from zero to `scale` fraction digits.
    ///
    /// # Errors
    /// 22012 where `other` is 0; 22003 beyond the format.
    pub fn div_to_scale(&self, other: &Decimal, scale: u16) -> Result<Decimal> {
        if other.is_zero() {
            return Err(division_by_zero());
        }
        let shift = i64::from(scale) + i64::from(other.scale()) - i64::from(self.scale());
        if let (Some((left, _)), Some((right, _))) = (self.small_parts(), other.small_parts())
            && (0..=38).contains(&shift)
            && let Some(numerator) =
                small_power(shift as u16).and_then(|power| power.checked_mul(i128::from(left)))
            && let Some(quotient) = divide_rounded_i128(numerator, i128::from(right))
        {
            return Ok(Decimal::from_i128(quotient, scale));
        }
        let (left, right) = (self.digits(), other.digits());
        let power = power_of_ten(shift.unsigned_abs() as u32);
        let quotient = if shift >= 0 {
            divide_rounded(&(left.as_ref() * power), right.as_ref())
        } else {
            divide_rounded(left.as_ref(), &(right.as_ref() * power))
        };
        Decimal::from_parts(quotient, i64::from(scale))
    }

    /// The quotient without its fraction (`div`).
    ///
    /// # Errors
    /// 22012 where `other` is 0; 22003 beyond the format.
    pub fn checked_div_truncated(&self, other: &Decimal) -> Result<Decimal> {
        if other.is_zero() {
            return Err(division_by_zero());
        }
        let shift = i64::from(other.scale()) - i64::from(self.scale());
        let (left, right) = (self.digits(), other.digits());
        let power = power_of_ten(shift.unsigned_abs() as u32);
        let quotient = if shift >= 0 {
            (left.as_ref() * power) / right.as_ref()
        } else {
            left.as_ref() / (right.as_ref() * power)
        };
        Decimal::from_parts(quotient, 0)
    }

    /// The remainder of a division truncated towards zero; it has the sign of the dividend.
    ///
    /// # Errors
    /// 22012 where `other` is 0.
    pub fn checked_rem(&self, other: &Decimal) -> Result<Decimal> {
        if other.is_zero() {
            return Err(division_by_zero());
        }
        self.combine(other, |a, b| a.checked_rem(b), |a, b| a % b)
    }

    /// The negation.
    #[must_use]
    pub fn negated(&self) -> Decimal {
        match &self.0 {
            Repr::Small { digits, scale } => Decimal::from_i128(-i128::from(*digits), *scale),
            Repr::Big(big) => Decimal::canonical(-&big.digits, big.scale),
        }
    }

    /// The absolute value.
    #[must_use]
    pub fn abs(&self) -> Decimal {
        if self.is_negative() {
            self.negated()
        } else {
            self.clone()
        }
    }

    /// Rounded to `places` fraction digits, halves away from zero; negative places round before
    /// the decimal point.
    #[must_use]
    pub fn round(&self, places: i32) -> Decimal {
        self.cut(places, divide_rounded, |digits, unit| {
            divide_rounded_i128(digits, unit)
        })
    }

    /// Cut to `places` fraction digits.
    #[must_use]
    pub fn trunc(&self, places: i32) -> Decimal {
        self.cut(places, |digits, unit| digits / unit, i128::checked_div)
    }

    /// The largest integer not above it.
    #[must_use]
    pub fn floor(&self) -> Decimal {
        let cut = self.trunc(0);
        if self.is_negative() && &cut != self {
            cut.checked_sub(&Decimal::ONE).unwrap_or(cut)
        } else {
            cut
        }
    }

    /// The smallest integer not below it.
    #[must_use]
    pub fn ceil(&self) -> Decimal {
        self.negated().floor().negated()
    }

    fn cut(
        &self,
        places: i32,
        big: impl Fn(&BigInt, &BigInt) -> BigInt,
        small: impl Fn(i128, i128) -> Option<i128>,
    ) -> Decimal {
        let places = i64::from(places).clamp(-MAX_INTEGER_DIGITS - 1, i64::from(MAX_SCALE));
        let scale = i64::from(self.scale());
        let drop = scale - places;
        if drop < 0 {
            // More fraction digits: they are zeros.
            return self.with_scale(places as u16);
        }
        if drop == 0 {
            return self.clone();
        }
        let shown = places.max(0) as u16;
        if self
            .leading_exponent()
            .is_none_or(|exponent| exponent + 1 < -places)
        {
            return Decimal(Repr::Small {
                digits: 0,
                scale: shown,
            });
        }
        if let Some((digits, _)) = self.small_parts()
            && drop <= 38
            && let Some(unit) = small_power(drop as u16)
            && let Some(quotient) = small(i128::from(digits), unit)
            && let Some(digits) = small_power(places.min(0).unsigned_abs() as u16)
                .and_then(|power| power.checked_mul(quotient))
        {
            return Decimal::from_i128(digits, shown);
        }
        let mut quotient = big(self.digits().as_ref(), &power_of_ten(drop as u32));
        if places < 0 && !quotient.is_zero() {
            quotient *= power_of_ten(places.unsigned_abs() as u32);
        }
        Decimal::canonical(quotient, shown)
    }

    /// The same number shown with `scale` fraction digits, which must not be fewer than it has.
    fn with_scale(&self, scale: u16) -> Decimal {
        let by = u32::from(scale.saturating_sub(self.scale()));
        if by <= 18
            && let Some((digits, _)) = self.small_parts()
        {
            return Decimal::from_i128(i128::from(digits) * 10_i128.pow(by), scale);
        }
        Decimal::canonical(self.digits().as_ref() * power_of_ten(by), scale)
    }

    /// The number as a value of `numeric(precision, scale)`.
    ///
    /// # Errors
    /// 22003 where it has too many digits before the decimal point.
    pub fn with_precision(&self, precision: u16, scale: i16) -> Result<Decimal> {
        let rounded = self.round(i32::from(scale));
        let integer_digits = i64::from(precision) - i64::from(scale);
        if rounded
            .leading_exponent()
            .is_some_and(|exponent| exponent >= integer_digits)
        {
            let bound = match integer_digits {
                0 => "1".to_owned(),
                digits => format!("10^{digits}"),
            };
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "numeric field overflow",
            )
            .detail(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute \
                 value less than {bound}."
            )));
        }
        Ok(rounded)
    }
}
