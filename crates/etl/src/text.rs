//! Quick readers of the plain spellings that data files use: integers, ISO dates and times.
//!
//! They serve twice: inference asks them what a field can be, and loading asks them for the value.
//! A spelling that they do not know is not an error: the caller falls back to the full input
//! syntax of SQL, or to text.

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// An integer without blanks, plus sign or leading zeros (a number with leading zeros is a code:
/// reading it as a number would lose them).
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    // Summed as a negative number, whose range is the larger one.
    let mut value = 0_i64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value
            .checked_mul(10)?
            .checked_sub(i64::from(digit - b'0'))?;
    }
    if negative {
        Some(value)
    } else {
        value.checked_neg()
    }
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// Digits only, within 64 bits.
    Integer(i64),
    /// Digits and a point, few enough for a binary float to give them back.
    Float,
    /// Digits, perhaps a point, too many for a binary float.
    Decimal,
    /// With an exponent.
    Exponent,
}

/// Most significant decimal digits that a 64-bit float gives back for certain, and the two that
/// shortest printing of such floats adds.
const FLOAT_DIGITS: usize = 17;

/// How the number is written, if it is one. Numbers with leading zeros or a plus sign are codes.
pub(crate) fn number(text: &[u8]) -> Option<Number> {
    if let Some(value) = integer(text) {
        return Some(Number::Integer(value));
    }
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &mantissa[..0]),
    };
    let digits_only = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    let leading_zero = whole.len() > 1 && whole[0] == b'0';
    if whole.len() + fraction.len() == 0
        || !digits_only(whole)
        || !digits_only(fraction)
        || leading_zero
    {
        return None;
    }
    if let Some(exponent) = exponent {
        let digits = exponent
            .strip_prefix(b"-")
            .or(exponent.strip_prefix(b"+"))
            .unwrap_or(exponent);
        let fits = !digits.is_empty() && digits.len() <= 3 && digits_only(digits);
        let finite = fits
            && std::str::from_utf8(text)
                .ok()?
                .parse::<f64>()
                .is_ok_and(f64::is_finite);
        return finite.then_some(Number::Exponent);
    }
    let significant = whole
        .iter()
        .chain(fraction)
        .skip_while(|digit| **digit == b'0')
        .count();
    Some(if significant <= FLOAT_DIGITS {
        Number::Float
    } else {
        Number::Decimal
    })
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else {
        return None;
    };
    let year = i64::from(two(*y0, *y1)?) * 100 + i64::from(two(*y2, *y3)?);
    let (month, day) = (two(*m0, *m1)?, two(*d0, *d1)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || !(1..=last).contains(&day) {
        return None;
    }
    // Days from civil: years begin in March, so that the leap day is the last of its year.
    let (month, day) = (i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    i32::try_from(days).ok()
}

/// Microseconds since midnight of `HH:MM[:SS[.ffffff]]`.
pub(crate) fn time(text: &[u8]) -> Option<i64> {
    let (h, m, rest) = match text {
        [h0, h1, b':', m0, m1, rest @ ..] => (two(*h0, *h1)?, two(*m0, *m1)?, rest),
        _ => return None,
    };
    let (s, micros) = match rest {
        [] => (0, 0),
        [b':', s0, s1, rest @ ..] => (two(*s0, *s1)?, fraction(rest)?),
        _ => return None,
    };
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    Some(((i64::from(h) * 60 + i64::from(m)) * 60 + i64::from(s)) * MICROS_PER_SECOND + micros)
}

/// `.f` to `.ffffff` as microseconds; nothing: 0.
fn fraction(text: &[u8]) -> Option<i64> {
    let digits = match text {
        [] => return Some(0),
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => digits,
        _ => return None,
    };
    let mut value = 0;
    for index in 0..6 {
        let digit = digits.get(index).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some(value)
}

/// A timestamp: microseconds since 1970-01-01 00:00:00 (UTC where a zone was given), and whether
/// one was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) micros: i64,
    pub(crate) zoned: bool,
}

/// `YYYY-MM-DD`, then `T` or a blank, a time, and perhaps `Z` or `±HH[:MM]`.
pub(crate) fn timestamp(text: &[u8]) -> Option<Timestamp> {
    let days = date(text.get(..10)?)?;
    let rest = match text.get(10..)? {
        [b'T' | b't' | b' ', rest @ ..] => rest,
        _ => return None,
    };
    let zone_at = rest
        .iter()
        .position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'));
    let (clock, zone) = rest.split_at(zone_at.unwrap_or(rest.len()));
    let local = i64::from(days) * MICROS_PER_DAY + time(clock)?;
    let offset_minutes = match zone {
        [] => {
            return Some(Timestamp {
                micros: local,
                zoned: false,
            });
        }
        [b'Z' | b'z'] => 0,
        [sign, h0, h1] => signed(*sign, two(*h0, *h1)?, 0)?,
        [sign, h0, h1, b':', m0, m1] | [sign, h0, h1, m0, m1] => {
            signed(*sign, two(*h0, *h1)?, two(*m0, *m1)?)?
        }
        _ => return None,
    };
    Some(Timestamp {
        micros: local - offset_minutes * 60 * MICROS_PER_SECOND,
        zoned: true,
    })
}

fn signed(sign: u8, hours: u8, minutes: u8) -> Option<i64> {
    let total = i64::from(hours) * 60 + i64::from(minutes);
    // PostgreSQL's bound on zone offsets.
    if minutes > 59 || total > 15 * 60 + 59 {
        return None;
    }
    match sign {
        b'+' => Some(total),
        b'-' => Some(-total),
        _ => None,
    }
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// `true` or `false`, in any case.
pub(crate) fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// Whether the text is a UUID in its canonical form.
pub(crate) fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_reach_both_ends_of_their_range() {
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(integer(value.to_string().as_bytes()), Some(value));
        }
        for text in [
            "",
            "-",
            "+1",
            "007",
            "-01",
            "1a",
            " 1",
            "9223372036854775808",
            "-9223372036854775809",
        ] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_told_by_how_they_are_written() {
        let check = |text: &str, expected| assert_eq!(number(text.as_bytes()), expected, "{text}");
        check("12", Some(Number::Integer(12)));
        check("-0.5", Some(Number::Float));
        check(".5", Some(Number::Float));
        check("10.357019999999999", Some(Number::Float));
        check("123456789012345678.9", Some(Number::Decimal));
        check("99999999999999999999", Some(Number::Decimal));
        check("1e5", Some(Number::Exponent));
        check("1.5E-3", Some(Number::Exponent));
        for text in [
            "1e999", "00.5", "1.2.3", ".", "e5", "1e", "NaN", "inf", "+1.5", "1,5",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn dates_are_checked_against_the_calendar() {
        assert_eq!(date(b"1970-01-01"), Some(0));
        assert_eq!(date(b"2000-02-29"), Some(11_016));
        assert_eq!(date(b"1969-12-31"), Some(-1));
        assert_eq!(date(b"0001-01-01"), Some(-719_162));
        for text in [
            "2013-02-29",
            "1900-02-29",
            "2013-13-01",
            "2013-00-01",
            "2013-1-01",
            "0000-01-01",
            "20130101",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = date(b"1900-01-01").unwrap();
        for year in 1900..2300 {
            for month in 1..=12 {
                for day in 1..=31 {
                    if let Some(days) = date(format!("{year:04}-{month:02}-{day:02}").as_bytes()) {
                        assert_eq!(days, expected, "{year}-{month}-{day}");
                        expected += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn timestamps_know_their_zone() {
        let check = |text: &str, micros, zoned| {
            assert_eq!(
                timestamp(text.as_bytes()),
                Some(Timestamp { micros, zoned }),
                "{text}"
            );
        };
        check("1970-01-01T00:00:01Z", 1_000_000, true);
        check("1970-01-01 00:01", 60_000_000, false);
        check("1970-01-01 01:00:00.25+01", 250_000, true);
        check("1970-01-01T00:00:00-00:30", 1_800_000_000, true);
        for text in [
            "1970-01-01",
            "1970-01-01T24:00:00",
            "1970-01-01T00:00:00+16",
            "1970-01-01T1:00",
            "1970-01-01T00:00:00.",
        ] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
    }
}
