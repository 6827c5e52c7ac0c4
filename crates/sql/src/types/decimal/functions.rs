//! Roots, exponentials, logarithms and powers of decimals.
//!
//! They are computed on integers scaled by a power of ten ("fixed point") with guard digits, and
//! rounded once at the end to the scale PostgreSQL would show: enough for 16 significant digits.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::{
    Decimal, MAX_SCALE,
    arithmetic::{MAX_DISPLAY_SCALE, MIN_SIGNIFICANT_DIGITS, division_by_zero},
    overflow, power_of_ten,
};
use crate::{Error, Result, SqlState};

/// SQLSTATE 2201E, invalid_argument_for_logarithm.
const INVALID_LOGARITHM: SqlState = SqlState("2201E");
/// SQLSTATE 2201F, invalid_argument_for_power_function.
const INVALID_POWER: SqlState = SqlState("2201F");

pub(crate) fn negative_root() -> Error {
    Error::new(
        INVALID_POWER,
        "cannot take square root of a negative number",
    )
}

pub(crate) fn logarithm_of_zero() -> Error {
    Error::new(INVALID_LOGARITHM, "cannot take logarithm of zero")
}

pub(crate) fn logarithm_of_negative() -> Error {
    Error::new(
        INVALID_LOGARITHM,
        "cannot take logarithm of a negative number",
    )
}

pub(crate) fn zero_to_negative_power() -> Error {
    Error::new(
        INVALID_POWER,
        "zero raised to a negative power is undefined",
    )
}

pub(crate) fn negative_to_fraction() -> Error {
    Error::new(
        INVALID_POWER,
        "a negative number raised to a non-integer power yields a complex result",
    )
}

/// The scale of a result whose first digit stands at `10^weight`.
fn result_scale(weight: i64, at_least: u16) -> u16 {
    (MIN_SIGNIFICANT_DIGITS - weight)
        .max(i64::from(at_least))
        .clamp(0, MAX_DISPLAY_SCALE) as u16
}

/// The number as an integer of units of `10^-places`, cut.
fn to_fixed(number: &Decimal, places: u32) -> BigInt {
    let scale = u32::from(number.scale());
    if places >= scale {
        number.digits().as_ref() * power_of_ten(places - scale)
    } else {
        number.digits().as_ref() / power_of_ten(scale - places)
    }
}

fn from_fixed(number: BigInt, places: u32, scale: u16) -> Result<Decimal> {
    let excess = places.saturating_sub(u32::from(MAX_SCALE));
    let number = if excess > 0 {
        number / power_of_ten(excess)
    } else {
        number
    };
    Ok(Decimal::from_parts(number, i64::from(places - excess))?.round(i32::from(scale)))
}

/// Bits behind the binary point that hold `places` decimal places, with some to spare.
fn bits_for(places: u32) -> u64 {
    u64::from(places) * 3_322 / 1_000 + 32
}

/// Decimal fixed point into binary.
fn to_binary(number: &BigInt, places: u32, bits: u64) -> BigInt {
    (number << bits) / power_of_ten(places)
}

/// Binary fixed point into decimal.
fn to_decimal_places(number: &BigInt, places: u32, bits: u64) -> BigInt {
    (number * power_of_ten(places)) >> bits
}

/// `e^x` in binary fixed point of `bits` bits: halve `x` some times, add up the Taylor series of
/// what is left, and square as often. About as many halvings as terms make the least work: the
/// root of the number of bits.
fn exp_binary(x: &BigInt, bits: u64) -> BigInt {
    let whole_bits = x.bits().saturating_sub(bits);
    let halvings = whole_bits + bits.isqrt() + 4;
    // Each squaring doubles the error.
    let guard = halvings + 16;
    let precision = bits + guard;
    let small = (x << guard) >> halvings;
    let mut sum = BigInt::one() << precision;
    let mut term = sum.clone();
    for index in 1_u32.. {
        term = ((&term * &small) >> precision) / index;
        // Shifting rounds down: a negative term ends at -1.
        if term.is_zero() || term == BigInt::from(-1) {
            break;
        }
        sum += &term;
    }
    for _ in 0..halvings {
        sum = (&sum * &sum) >> precision;
    }
    sum >> guard
}

/// `e^x` in fixed point.
fn exp_fixed(x: &BigInt, places: u32) -> BigInt {
    let bits = bits_for(places);
    to_decimal_places(&exp_binary(&to_binary(x, places, bits), bits), places, bits)
}

/// `ln(x)` of a positive number, in fixed point: `x = m · 2^k` with `m` near 1.
fn ln_fixed(number: &Decimal, places: u32) -> BigInt {
    let bits = bits_for(places);
    let digits = number.digits();
    let denominator = power_of_ten(u32::from(number.scale()));
    let shift =
        i64::try_from(digits.bits()).unwrap_or(0) - i64::try_from(denominator.bits()).unwrap_or(0);
    let (mut top, mut bottom) = (digits.into_owned(), denominator);
    if shift > 0 {
        bottom <<= shift.unsigned_abs();
    } else {
        top <<= shift.unsigned_abs();
    }
    let mantissa = (top << bits) / bottom;
    let two = BigInt::from(2) << bits;
    let logarithm = ln_binary(&mantissa, bits) + ln_binary(&two, bits) * shift;
    to_decimal_places(&logarithm, places, bits)
}

/// `ln(m)` of a number between a half and two, in binary fixed point. Halley's iteration
/// `y + 2 (m - e^y) / (m + e^y)` triples the good bits, so precision grows with them.
fn ln_binary(mantissa: &BigInt, bits: u64) -> BigInt {
    let mut precision = 48.min(bits);
    let head =
        (mantissa >> (bits - precision)).to_f64().unwrap_or(1.0) / (1_u64 << precision) as f64;
    let mut logarithm = BigInt::from((head.ln() * (1_u64 << precision) as f64) as i64);
    // Of the start about 40 bits are good.
    let mut good = 40;
    loop {
        let next = (good * 3).min(bits + 8);
        let target = next.min(bits);
        logarithm = (logarithm << target) >> precision;
        precision = target;
        let argument = mantissa >> (bits - precision);
        let power = exp_binary(&logarithm, precision);
        let correction = ((&argument - &power) << (precision + 1)) / (&argument + &power);
        logarithm += correction;
        if next > bits {
            return logarithm;
        }
        // The last bits of each step are rounding's.
        good = next - 6;
    }
}

/// The exponent of ten of `ln(number)`, estimated.
fn ln_weight(number: &Decimal) -> i64 {
    let minus_one = number.checked_sub(&Decimal::ONE).unwrap_or(Decimal::ONE);
    let near_one = minus_one
        .leading_exponent()
        .is_none_or(|exponent| exponent < -1)
        || minus_one.abs() == Decimal::from_i128(1, 1);
    if near_one {
        return minus_one.leading_exponent().unwrap_or(0);
    }
    approximate_ln(number).abs().log10() as i64
}

/// `ln(number)` to float precision, whatever the size of the number.
fn approximate_ln(number: &Decimal) -> f64 {
    let exponent = number.leading_exponent().unwrap_or(0);
    let drop = exponent + i64::from(number.scale()) - 15;
    let digits = number.digits();
    let head = if drop > 0 {
        digits.as_ref() / power_of_ten(drop as u32)
    } else {
        digits.as_ref() * power_of_ten(drop.unsigned_abs() as u32)
    };
    head.abs().to_f64().unwrap_or(1.0).ln() + (exponent - 15) as f64 * std::f64::consts::LN_10
}

impl Decimal {
    /// The square root.
    ///
    /// # Errors
    /// 2201F of a negative number.
    pub fn sqrt(&self) -> Result<Decimal> {
        let weight = self.leading_exponent().unwrap_or(0).div_euclid(4);
        // The weight of the root, from the first base-10000 digit's.
        let root_weight = if weight >= 0 {
            weight * 2 + 1
        } else {
            1 - (1 - weight * 4) / 2
        };
        self.sqrt_to_scale(result_scale(root_weight, self.scale()))
    }

    /// The square root, rounded to `scale` fraction digits.
    ///
    /// # Errors
    /// 2201F of a negative number.
    pub fn sqrt_to_scale(&self, scale: u16) -> Result<Decimal> {
        if self.is_negative() {
            return Err(negative_root());
        }
        // One digit more than shown; that it is cut and not rounded cannot turn a half.
        let places = u32::from(scale) + 1;
        let root = to_fixed(self, places * 2).sqrt();
        from_fixed(root, places, scale)
    }

    /// `e` to this power.
    ///
    /// # Errors
    /// 22003 where the result is beyond the format.
    pub fn exp(&self) -> Result<Decimal> {
        let estimate = self
            .to_f64()
            .unwrap_or(if self.is_negative() { -1e9 } else { 1e9 });
        let weight = (estimate * std::f64::consts::LOG10_E).clamp(-2_000.0, 2_000.0) as i64;
        self.exp_to_scale(result_scale(weight, self.scale()))
    }

    fn exp_to_scale(&self, scale: u16) -> Result<Decimal> {
        let estimate = self
            .to_f64()
            .unwrap_or(if self.is_negative() { -1e9 } else { 1e9 });
        if estimate.abs() >= 6_000.0 {
            return if estimate > 0.0 {
                Err(overflow())
            } else {
                Decimal::from_i64(0, scale)
            };
        }
        // Squaring back doubles the relative error each time: digits for the result's integer
        // part, for the halvings, and some to spare.
        let integer_digits = (estimate.max(0.0) * std::f64::consts::LOG10_E) as u32 + 1;
        let places = u32::from(scale) + integer_digits + 16;
        let fixed = exp_fixed(&to_fixed(self, places), places);
        from_fixed(fixed, places, scale)
    }

    /// The natural logarithm.
    ///
    /// # Errors
    /// 2201E of zero or a negative number.
    pub fn ln(&self) -> Result<Decimal> {
        self.check_logarithm()?;
        let scale = result_scale(ln_weight(self), self.scale());
        self.ln_to_scale(scale)
    }

    fn ln_to_scale(&self, scale: u16) -> Result<Decimal> {
        let places = u32::from(scale) + 16;
        from_fixed(ln_fixed(self, places), places, scale)
    }

    fn check_logarithm(&self) -> Result<()> {
        match self.signum() {
            0 => Err(logarithm_of_zero()),
            -1 => Err(logarithm_of_negative()),
            _ => Ok(()),
        }
    }

    /// The logarithm to `base`.
    ///
    /// # Errors
    /// 2201E where either is zero or negative; 22012 where `base` is 1.
    pub fn log(&self, base: &Decimal) -> Result<Decimal> {
        base.check_logarithm()?;
        self.check_logarithm()?;
        if *base == Decimal::ONE {
            return Err(division_by_zero());
        }
        let weight = ln_weight(self) - ln_weight(base);
        let scale = result_scale(weight, self.scale().max(base.scale()));
        let spare = (ln_weight(base).min(0).unsigned_abs() * 2) as u32;
        let places = u32::from(scale) + 24 + spare;
        let quotient = ln_fixed(self, places) * power_of_ten(places) / ln_fixed(base, places);
        from_fixed(quotient, places, scale)
    }

    /// This number to the power of `exponent`.
    ///
    /// # Errors
    /// 2201F for zero to a negative power and for a negative number to a fraction; 22003 where
    /// the result is beyond the format.
    pub fn power(&self, exponent: &Decimal) -> Result<Decimal> {
        let integer = exponent.trunc(0) == *exponent;
        let at_least = self.scale().max(exponent.scale());
        if self.is_zero() {
            if exponent.is_negative() {
                return Err(zero_to_negative_power());
            }
            let scale = result_scale(0, at_least);
            return Decimal::from_parts(
                if exponent.is_zero() {
                    power_of_ten(u32::from(scale))
                } else {
                    BigInt::zero()
                },
                i64::from(scale),
            );
        }
        if self.is_negative() && !integer {
            return Err(negative_to_fraction());
        }
        let odd = integer && {
            let whole = exponent.trunc(0);
            (whole.digits().as_ref() % 2_u32) != BigInt::zero()
        };
        let magnitude = self.abs();
        let log10 = approximate_ln(&magnitude)
            * std::f64::consts::LOG10_E
            * exponent.to_f64().unwrap_or(if exponent.is_negative() {
                -1e300
            } else {
                1e300
            });
        let log10 = if magnitude == Decimal::ONE {
            0.0
        } else {
            log10
        };
        if log10 > 131_072.0 {
            return Err(overflow());
        }
        let whole_exponent = exponent.round_to_i64().filter(|_| integer);
        let scale = match whole_exponent {
            Some(whole) if i32::try_from(whole).is_ok() => result_scale(0, self.scale()),
            _ => result_scale(log10.clamp(-2_000.0, 131_072.0) as i64, at_least),
        };
        if log10 < -(f64::from(scale) + 2.0) {
            return Decimal::from_i64(0, scale);
        }
        let result = match whole_exponent {
            Some(whole) => power_by_squaring(&magnitude, whole, scale, log10)?,
            None if integer => {
                // Beyond 64 bits only 1 and numbers next to it stay in range; the logarithm
                // below needs all its digits.
                magnitude.power_by_logarithm(exponent, scale, log10)?
            }
            None => magnitude.power_by_logarithm(exponent, scale, log10)?,
        };
        Ok(if self.is_negative() && odd {
            result.negated()
        } else {
            result
        })
    }

    fn power_by_logarithm(&self, exponent: &Decimal, scale: u16, log10: f64) -> Result<Decimal> {
        // ln needs as many more digits as the product has before the decimal point.
        let exponent_digits = exponent.leading_exponent().unwrap_or(0).max(0) as u32 + 1;
        let integer_digits = log10.max(0.0) as u32 + 1;
        let places = u32::from(scale) + integer_digits + exponent_digits + 24;
        let exponent_places = u32::from(exponent.scale());
        let product =
            ln_fixed(self, places) * exponent.digits().as_ref() / power_of_ten(exponent_places);
        from_fixed(exp_fixed(&product, places), places, scale)
    }

    /// The greatest common divisor, with the larger scale.
    ///
    /// # Errors
    /// 22003 beyond the format.
    pub fn gcd(&self, other: &Decimal) -> Result<Decimal> {
        let scale = self.scale().max(other.scale());
        let aligned = |number: &Decimal| {
            number.digits().abs() * power_of_ten(u32::from(scale - number.scale()))
        };
        Decimal::from_parts(
            common_divisor(aligned(self), aligned(other)),
            i64::from(scale),
        )
    }

    /// The least common multiple, with the larger scale.
    ///
    /// # Errors
    /// 22003 beyond the format.
    pub fn lcm(&self, other: &Decimal) -> Result<Decimal> {
        let scale = self.scale().max(other.scale());
        if self.is_zero() || other.is_zero() {
            return Decimal::from_i64(0, scale);
        }
        let divisor = self.gcd(other)?;
        let product = self.checked_div_truncated(&divisor)?.checked_mul(other)?;
        Ok(product.abs().round(i32::from(scale)))
    }
}

/// The greatest common divisor of two numbers that are not negative. Of large ones the leading bits
/// tell the quotients of many steps, which are then taken at once (Lehmer; Knuth, "The Art of
/// Computer Programming", 4.5.2, algorithm L).
fn common_divisor(left: BigInt, right: BigInt) -> BigInt {
    const LEADING_BITS: u64 = 62;
    let (mut large, mut small) = if left < right {
        (right, left)
    } else {
        (left, right)
    };
    while !small.is_zero() {
        let (mut a, mut b, mut c, mut d) = (1_i64, 0_i64, 0_i64, 1_i64);
        if small.bits() > LEADING_BITS {
            let shift = large.bits() - LEADING_BITS;
            let leading = |number: &BigInt| (number >> shift).to_i64().unwrap_or(0);
            let (mut x, mut y) = (leading(&large), leading(&small));
            while y + c != 0 && y + d != 0 {
                let quotient = (x + a) / (y + c);
                if quotient != (x + b) / (y + d) {
                    break;
                }
                (a, c) = (c, a - quotient * c);
                (b, d) = (d, b - quotient * d);
                (x, y) = (y, x - quotient * y);
            }
        }
        (large, small) = if b == 0 {
            let rest = large % &small;
            (small, rest)
        } else {
            (&large * a + &small * b, &large * c + &small * d)
        };
    }
    large
}

/// `base^exponent` for an integer exponent. Digits beyond what the result can show are dropped
/// on the way, so that time and memory follow the result's size.
fn power_by_squaring(base: &Decimal, exponent: i64, scale: u16, log10: f64) -> Result<Decimal> {
    let significant = i64::from(scale) + log10.max(0.0) as i64 + 30;
    // A float of arbitrary precision: digits × 10^-places.
    let cut = |digits: BigInt, places: i64| {
        let excess = super::count_digits(&digits) - significant;
        if excess > 0 {
            (digits / power_of_ten(excess as u32), places - excess)
        } else {
            (digits, places)
        }
    };
    let mut remaining = exponent.unsigned_abs();
    let mut square = cut(base.digits().into_owned(), i64::from(base.scale()));
    let mut product = (BigInt::one(), 0_i64);
    while remaining > 0 {
        if remaining & 1 == 1 {
            product = cut(&product.0 * &square.0, product.1.saturating_add(square.1));
        }
        remaining >>= 1;
        if remaining > 0 {
            square = cut(&square.0 * &square.0, square.1.saturating_mul(2));
        }
    }
    let (digits, places) = product;
    let (digits, places) = if exponent < 0 {
        let shift = significant + super::count_digits(&digits);
        (
            power_of_ten(shift as u32) / digits,
            shift.saturating_sub(places),
        )
    } else {
        (digits, places)
    };
    let excess = places - i64::from(MAX_SCALE);
    if excess > 0 {
        let excess = u32::try_from(excess).map_err(|_| overflow())?;
        if i64::from(excess) > super::count_digits(&digits) {
            return Decimal::from_i64(0, scale);
        }
        return Ok(
            Decimal::from_parts(digits / power_of_ten(excess), i64::from(MAX_SCALE))?
                .round(i32::from(scale)),
        );
    }
    let result = Decimal::from_parts(digits, places)?;
    Ok(result.round(i32::from(scale)))
}

#[cfg(test)]
mod tests {
    use num_bigint::Sign;
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn common_divisors_are_those_of_euclid(left: Vec<u8>, right: Vec<u8>, common: Vec<u8>) -> bool {
            let number = |bytes: &[u8]| BigInt::from_bytes_be(Sign::Plus, bytes);
            let common = number(&common);
            let (mut left, mut right) = (number(&left) * &common, number(&right) * &common);
            let found = common_divisor(left.clone(), right.clone());
            while !right.is_zero() {
                (left, right) = (right.clone(), left % right);
            }
            found == left
        }
    }

    /// Two successive numbers of Fibonacci, which take the most steps: here 100000, each of numbers
    /// of 20000 digits.
    #[test]
    fn long_numbers_have_common_divisors_in_time() {
        let (mut before, mut number) = (BigInt::one(), BigInt::one());
        for _ in 0..100_000 {
            (before, number) = (number.clone(), before + number);
        }
        let decimal = |digits: BigInt| Decimal::from_parts(digits * 6, 1).expect("a number");
        let divisor = decimal(before).gcd(&decimal(number)).expect("a divisor");
        assert_eq!(divisor.to_string(), "0.6");
    }
}
