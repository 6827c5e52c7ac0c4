//! The order-preserving form of `numeric`.
//!
//! ```text
//! zero      0x01
//! positive  0x02 exponent digits… 0x00
//! negative  0x00, then all that follows a positive number's sign, inverted
//! ```
//!
//! The number is `0.d₁d₂…` × 10^exponent with d₁ ≠ 0. Digits go in pairs, each pair a byte of
//! 1 to 100; trailing zeros are dropped, so equal numbers of different scale have one key. The
//! exponent is one byte `0x80 + e` within ±100, else `0x01` or `0xFE` and eight bytes.

use num_bigint::Sign;

use crate::Decimal;

const NEGATIVE: u8 = 0x00;
const ZERO: u8 = 0x01;
const POSITIVE: u8 = 0x02;

const SHORT_EXPONENT: i64 = 100;
const BIAS: i64 = 0x80;
const LONG_NEGATIVE: u8 = 0x01;
const LONG_POSITIVE: u8 = 0xfe;

/// Appends the key of `number`.
pub(crate) fn encode(number: &Decimal, out: &mut Vec<u8>) {
    let (digits, scale) = number.to_parts();
    let sign = digits.sign();
    if sign == Sign::NoSign {
        out.push(ZERO);
        return;
    }
    out.push(if sign == Sign::Minus {
        NEGATIVE
    } else {
        POSITIVE
    });
    let start = out.len();
    let mut digits = digits.magnitude().to_radix_be(10);
    let exponent = i64::try_from(digits.len())
        .unwrap_or(i64::MAX)
        .saturating_sub(i64::from(scale));
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if exponent.abs() <= SHORT_EXPONENT {
        out.push((BIAS + exponent) as u8);
    } else {
        out.push(if exponent < 0 {
            LONG_NEGATIVE
        } else {
            LONG_POSITIVE
        });
        out.extend_from_slice(&(exponent as u64 ^ 1 << 63).to_be_bytes());
    }
    for pair in digits.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        out.push(pair[0] * 10 + low + 1);
    }
    out.push(0);
    if sign == Sign::Minus {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// The length of the number at the start of `payload`, whose bits are inverted by `mask`.
pub(crate) fn len(payload: &[u8], mask: u8) -> Option<usize> {
    let inverted = match payload.first()? ^ mask {
        ZERO => return Some(1),
        POSITIVE => mask,
        NEGATIVE => !mask,
        _ => return None,
    };
    let digits = match payload.get(1)? ^ inverted {
        LONG_NEGATIVE | LONG_POSITIVE => 10,
        _ => 2,
    };
    let end = memchr::memchr(inverted, payload.get(digits..)?)?;
    Some(digits + end + 1)
}
