//! Decimal numbers from and to text and floats.

use std::{fmt, str::FromStr};

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::{Decimal, MAX_INTEGER_DIGITS, MAX_SCALE, Repr, overflow};
use crate::{Error, Result, SqlState};

fn invalid(text: &str) -> Error {
    Error::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!(
            "invalid input syntax for type numeric: \"{}\"",
            crate::types::excerpt(text)
        ),
    )
}

impl FromStr for Decimal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Decimal> {
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
        let (negative, rest) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        if ["nan", "inf", "infinity"]
            .iter()
            .any(|word| rest.eq_ignore_ascii_case(word))
        {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("numeric \"{trimmed}\" is not supported"),
            )
            .hint("double precision has NaN and infinities."));
        }
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (
                &rest[..at],
                parse_exponent(&rest[at + 1..]).ok_or_else(|| invalid(text))?,
            ),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction)
        {
            return Err(invalid(text));
        }
        // The size is judged before a digit is converted, so that no text can ask for more
        // memory than a number may have.
        let significant_whole = whole.trim_start_matches('0');
        let scale = i64::try_from(fraction.len()).map_err(|_| overflow())? - exponent;
        if scale > i64::from(MAX_SCALE) {
            return Err(overflow());
        }
        let digit_count = if significant_whole.is_empty() {
            fraction.trim_start_matches('0').len()
        } else {
            significant_whole.len() + fraction.len()
        } as i64;
        if digit_count == 0 {
            return Decimal::from_i64(0, scale.max(0) as u16);
        }
        if digit_count - scale > MAX_INTEGER_DIGITS {
            return Err(overflow());
        }
        if digit_count <= 18 && scale >= 0 {
            let magnitude = significant_whole
                .bytes()
                .chain(fraction.bytes())
                .fold(0_i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
            return Decimal::from_i64(if negative { -magnitude } else { magnitude }, scale as u16);
        }
        let mut digits = String::with_capacity(digit_count as usize + 1);
        if negative {
            digits.push('-');
        }
        digits.push_str(significant_whole);
        digits.push_str(fraction);
        let digits = BigInt::from_str(&digits).map_err(|_| invalid(text))?;
        Decimal::from_parts(digits, scale)
    }
}

/// An exponent, bounded so that sums with it cannot overflow; `None`: not a number.
fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.bytes().fold(0_i64, |sum, byte| {
        (sum * 10 + i64::from(byte - b'0')).min(1 << 40)
    });
    Some(if negative { -magnitude } else { magnitude })
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Small { digits, scale: 0 } => write!(f, "{digits}"),
            Repr::Small { digits, scale } if *scale <= 18 => {
                let unit = 10_u64.pow(u32::from(*scale));
                let magnitude = digits.unsigned_abs();
                write!(
                    f,
                    "{}{}.{:0width$}",
                    if *digits < 0 { "-" } else { "" },
                    magnitude / unit,
                    magnitude % unit,
                    width = usize::from(*scale)
                )
            }
            _ => {
                let digits = self.digits();
                let text = digits.magnitude().to_string();
                let scale = usize::from(self.scale());
                if self.is_negative() {
                    f.write_str("-")?;
                }
                if scale == 0 {
                    f.write_str(&text)
                } else if text.len() > scale {
                    let (whole, fraction) = text.split_at(text.len() - scale);
                    write!(f, "{whole}.{fraction}")
                } else {
                    write!(f, "0.{text:0>scale$}")
                }
            }
        }
    }
}

impl Decimal {
    /// The nearest `double precision`.
    ///
    /// # Errors
    /// 22003 where it is beyond the type's range.
    pub fn to_f64(&self) -> Result<f64> {
        if let Some((digits, scale)) = self.small_parts()
            && digits.unsigned_abs() <= 1 << 53
            && scale <= 22
        {
            // Both operands are exact, so the quotient is correctly rounded.
            return Ok(digits as f64 / 10_f64.powi(i32::from(scale)));
        }
        let number = self.to_string().parse::<f64>().unwrap_or(f64::INFINITY);
        if number.is_infinite() {
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "\"{}\" is out of range for type double precision",
                    crate::types::excerpt(&self.to_string())
                ),
            ));
        }
        Ok(number)
    }

    /// The decimal that shows the first 15 digits of `number`, as PostgreSQL converts.
    ///
    /// # Errors
    /// 0A000 for NaN and the infinities.
    pub fn from_f64(number: f64) -> Result<Decimal> {
        Decimal::from_float_digits(number, 15)
    }

    /// The decimal that shows the first 6 digits of `number`, as PostgreSQL converts.
    ///
    /// # Errors
    /// 0A000 for NaN and the infinities.
    pub fn from_f32(number: f32) -> Result<Decimal> {
        Decimal::from_float_digits(f64::from(number), 6)
    }

    fn from_float_digits(number: f64, significant: usize) -> Result<Decimal> {
        if !number.is_finite() {
            let name = if number.is_nan() { "NaN" } else { "infinity" };
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot convert {name} to numeric"),
            ));
        }
        let text = format!("{number:.*e}", significant - 1);
        let decimal = Decimal::from_str(&text)?;
        // As `%.15g`: no trailing zeros in the fraction.
        Ok(decimal.normalized())
    }

    /// The nearest integer, halves away from zero; `None` where it does not fit.
    #[must_use]
    pub fn round_to_i64(&self) -> Option<i64> {
        match self.small_parts() {
            Some((digits, 0)) => Some(digits),
            _ => self.round(0).digits().to_i64(),
        }
    }
}
