//! `to_char` and `to_number` with numeric templates.

use crate::{Error, Result, SqlState, types::Decimal};

/// A numeric template taken apart.
#[derive(Debug, Default)]
struct Template {
    items: Vec<Item>,
    /// Digit places before and after the decimal point.
    whole: usize,
    fraction: usize,
    /// Digit places before the first `0`, which begins the zeros; `None`: there is none.
    first_zero: Option<usize>,
    fill: bool,
    shift: i32,
    exponent: bool,
    sign: Sign,
    roman: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sign {
    /// A minus or a blank before the number.
    #[default]
    Leading,
    /// `S` before or after the digits.
    AnchoredStart,
    AnchoredEnd,
    /// `MI`: a minus or a blank in its place.
    Minus,
    /// `SG`: a plus or a minus in its place.
    Both,
    /// `PR`: negative numbers in angle brackets.
    Brackets,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Digit,
    Zero,
    Point,
    Group,
    Minus,
    Plus,
    SignBoth,
    Anchored,
    Currency,
    Ordinal(bool),
    Literal(String),
}

fn syntax(message: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn parse(text: &str) -> Result<Template> {
    let mut template = Template::default();
    let mut rest = text;
    let mut after_point = false;
    let mut shifting = false;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            template.items.push(Item::Literal(quoted[..end].to_owned()));
            rest = quoted.get(end + 1..).unwrap_or("");
            continue;
        }
        let two = rest.get(..2).unwrap_or("").to_ascii_uppercase();
        let four = rest.get(..4).unwrap_or("");
        if four.eq_ignore_ascii_case("EEEE") {
            template.exponent = true;
            rest = &rest[4..];
            continue;
        }
        let known = match two.as_str() {
            "FM" => {
                template.fill = true;
                true
            }
            "MI" => {
                template.sign = Sign::Minus;
                template.items.push(Item::Minus);
                true
            }
            "PL" => {
                // A plus of its own; the number keeps its sign.
                template.items.push(Item::Plus);
                true
            }
            "SG" => {
                template.sign = Sign::Both;
                template.items.push(Item::SignBoth);
                true
            }
            "PR" => {
                template.sign = Sign::Brackets;
                true
            }
            "RN" => {
                template.roman = true;
                true
            }
            "TH" => {
                template.items.push(Item::Ordinal(rest.starts_with('T')));
                true
            }
            _ => false,
        };
        if known {
            rest = &rest[2..];
            continue;
        }
        match first.to_ascii_uppercase() {
            '9' | '0' => {
                if first == '0' && !after_point && template.first_zero.is_none() {
                    template.first_zero = Some(template.whole);
                }
                if shifting {
                    template.shift += 1;
                }
                if after_point {
                    template.fraction += 1;
                } else {
                    template.whole += 1;
                }
                template.items.push(if first == '0' {
                    Item::Zero
                } else {
                    Item::Digit
                });
            }
            '.' | 'D' => {
                if after_point {
                    return Err(syntax("multiple decimal points"));
                }
                if shifting {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                after_point = true;
                template.items.push(Item::Point);
            }
            ',' | 'G' => template.items.push(Item::Group),
            'V' => {
                if after_point {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                shifting = true;
            }
            'S' => {
                template.sign = if template.whole + template.fraction == 0 {
                    Sign::AnchoredStart
                } else {
                    Sign::AnchoredEnd
                };
                template.items.push(Item::Anchored);
            }
            // Blanks for zero: what `9` does anyway.
            'B' => {}
            'L' => template.items.push(Item::Currency),
            _ => template.items.push(Item::Literal(first.to_string())),
        }
        rest = &rest[first.len_utf8()..];
    }
    if template.whole + template.fraction > 1_000 {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "a numeric template has too many digits",
        ));
    }
    Ok(template)
}

/// The text of a number by a template.
pub(super) fn format(number: &Decimal, text: &str) -> Result<String> {
    let template = parse(text)?;
    if template.roman {
        return Ok(roman(number, template.fill));
    }
    if template.exponent {
        return Ok(scientific(number, &template));
    }
    let shifted = if template.shift > 0 {
        number.checked_mul(&Decimal::from(
            10_i64.checked_pow(template.shift as u32).ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "a numeric template shifts too far",
                )
            })?,
        ))?
    } else {
        number.clone()
    };
    let rounded = shifted.round(template.fraction as i32);
    let negative = rounded.is_negative();
    let magnitude = rounded.abs().to_string();
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((&magnitude, ""));
    let whole = if whole == "0" { "" } else { whole };
    let fits = whole.len().max(1) <= template.whole;
    // One character per digit place.
    let whole_digits: Vec<char> = if fits {
        let blanks = template.whole - whole.len();
        std::iter::repeat_n(' ', blanks)
            .chain(whole.chars())
            .collect()
    } else {
        vec!['#'; template.whole]
    };
    let fraction_digits: Vec<char> = if fits {
        fraction.chars().collect()
    } else {
        vec!['#'; template.fraction]
    };
    let zeros_from = template.first_zero.unwrap_or(usize::MAX);
    // A 9 in the fraction keeps its zeros, unless FM asks to drop trailing ones.
    let last_zero_place = template
        .items
        .iter()
        .filter(|item| matches!(item, Item::Digit | Item::Zero))
        .skip(template.whole)
        .enumerate()
        .filter(|(_, item)| **item == Item::Zero)
        .map(|(index, _)| index + 1)
        .last()
        .unwrap_or(0);
    let significant_fraction = fraction.trim_end_matches('0').len();
    let shown_fraction = if template.fill && fits {
        significant_fraction.max(last_zero_place)
    } else {
        template.fraction
    };
    Ok(Writer {
        template: &template,
        negative,
        whole_digits,
        fraction_digits,
        zeros_from,
        shown_fraction,
        integer: fits.then(|| rounded.trunc(0)),
    }
    .write())
}

struct Writer<'a> {
    template: &'a Template,
    negative: bool,
    whole_digits: Vec<char>,
    fraction_digits: Vec<char>,
    zeros_from: usize,
    shown_fraction: usize,
    /// For the ordinal suffix; `None` where it does not fit the template.
    integer: Option<Decimal>,
}

impl Writer<'_> {
    fn write(&self) -> String {
        let fill = self.template.fill;
        let mut out = String::new();
        let (mut place, mut fraction_place) = (0, 0);
        let mut after_point = false;
        // The sign stands directly before the first digit shown.
        let mut sign_written = !matches!(
            self.template.sign,
            Sign::Leading | Sign::AnchoredStart | Sign::Brackets
        );
        let sign = match (self.template.sign, self.negative) {
            (Sign::Leading, true) | (Sign::AnchoredStart, true) => "-",
            (Sign::AnchoredStart, false) => "+",
            (Sign::Brackets, true) => "<",
            (_, false) if !fill => " ",
            _ => "",
        };
        let first_shown = self
            .whole_digits
            .iter()
            .position(|digit| *digit != ' ')
            .unwrap_or(self.template.whole)
            .min(self.zeros_from);
        for item in &self.template.items {
            match item {
                Item::Digit | Item::Zero if !after_point => {
                    if place == first_shown && !sign_written {
                        out.push_str(sign);
                        sign_written = true;
                    }
                    match self.whole_digits.get(place) {
                        Some(' ') | None if place >= self.zeros_from => out.push('0'),
                        Some(' ') | None => {
                            // Without digits after the point, a lone zero is shown.
                            let last = place + 1 == self.template.whole;
                            if last && self.template.fraction == 0 {
                                if !sign_written {
                                    out.push_str(sign);
                                    sign_written = true;
                                }
                                out.push('0');
                            } else if !fill {
                                out.push(' ');
                            }
                        }
                        Some(digit) => out.push(*digit),
                    }
                    place += 1;
                }
                Item::Digit | Item::Zero => {
                    if fraction_place < self.shown_fraction {
                        out.push(
                            self.fraction_digits
                                .get(fraction_place)
                                .copied()
                                .unwrap_or('0'),
                        );
                    }
                    fraction_place += 1;
                }
                Item::Point => {
                    if !sign_written {
                        out.push_str(sign);
                        sign_written = true;
                    }
                    after_point = true;
                    if fill && self.shown_fraction == 0 && first_shown >= self.template.whole {
                        out.push('0');
                    }
                    out.push('.');
                }
                Item::Group => {
                    if place > first_shown {
                        out.push(',');
                    } else if !fill {
                        out.push(' ');
                    }
                }
                Item::Minus => {
                    if self.negative {
                        out.push('-');
                    } else if !fill {
                        out.push(' ');
                    }
                }
                Item::Plus => {
                    if !self.negative {
                        out.push('+');
                    } else if !fill {
                        out.push(' ');
                    }
                }
                Item::SignBoth => out.push(if self.negative { '-' } else { '+' }),
                Item::Anchored => {
                    if self.template.sign == Sign::AnchoredEnd {
                        out.push(if self.negative { '-' } else { '+' });
                    }
                }
                Item::Currency => out.push_str(if fill { "" } else { " " }),
                Item::Ordinal(upper) => {
                    if let Some(integer) = &self.integer
                        && !self.negative
                        && self.template.fraction == 0
                    {
                        out.push_str(&ordinal(integer, *upper));
                    }
                }
                Item::Literal(text) => out.push_str(text),
            }
        }
        if self.template.sign == Sign::Brackets {
            out.push_str(match (self.negative, fill) {
                (true, _) => ">",
                (false, true) => "",
                (false, false) => " ",
            });
        }
        out
    }
}

fn ordinal(number: &Decimal, upper: bool) -> String {
    let number = number.round_to_i64().unwrap_or(0).unsigned_abs();
    let suffix = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    if upper {
        suffix.to_uppercase()
    } else {
        suffix.to_owned()
    }
}

fn scientific(number: &Decimal, template: &Template) -> String {
    let exponent = number.leading_exponent().unwrap_or(0);
    let places = template.fraction as i64;
    let rounded = number.round(i32::try_from(places - exponent).unwrap_or(i32::MAX));
    let exponent = rounded.leading_exponent().unwrap_or(0);
    let (digits, _) = rounded.abs().to_parts();
    let mut digits = digits.to_string();
    while (digits.len() as i64) < places + 1 {
        digits.push('0');
    }
    let (first, rest) = digits.split_at(1);
    let fraction = rest.get(..template.fraction).unwrap_or(rest);
    let sign = match (number.is_negative(), template.fill) {
        (true, _) => "-",
        (false, true) => "",
        (false, false) => " ",
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let exponent_sign = if exponent < 0 { '-' } else { '+' };
    format!(
        "{sign}{first}{point}{fraction}e{exponent_sign}{:02}",
        exponent.unsigned_abs()
    )
}

fn roman(number: &Decimal, fill: bool) -> String {
    const NUMERALS: [(i64, &str); 13] = [
        (1_000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let Some(mut rest) = number
        .round_to_i64()
        .filter(|rest| (1..=3_999).contains(rest))
    else {
        return "#".repeat(15);
    };
    let mut out = String::new();
    for (value, numeral) in NUMERALS {
        while rest >= value {
            out.push_str(numeral);
            rest -= value;
        }
    }
    if fill { out } else { format!("{out:>15}") }
}

/// `to_number`: the digits, sign and point of `text` where the template has places for them.
pub(super) fn read(text: &str, template: &str) -> Result<Decimal> {
    let template = parse(template)?;
    if template.roman || template.exponent {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "\"RN\" and \"EEEE\" are not supported for input",
        ));
    }
    let mut negative = text.contains('-') || (text.contains('<') && text.contains('>'));
    let mut digits = String::new();
    let mut point_seen = false;
    let (mut whole, mut fraction) = (0, 0);
    for character in text.chars() {
        match character {
            '0'..='9' if !point_seen && whole < template.whole => {
                digits.push(character);
                whole += 1;
            }
            '0'..='9' if point_seen && fraction < template.fraction => {
                digits.push(character);
                fraction += 1;
            }
            '0'..='9' => break,
            '.' if !point_seen && template.items.contains(&Item::Point) => {
                digits.push('.');
                point_seen = true;
            }
            _ => {}
        }
    }
    if digits.trim_start_matches('.').is_empty() {
        return Err(Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type numeric: \" \"",
        ));
    }
    let number: Decimal = digits.parse()?;
    if number.is_zero() {
        negative = false;
    }
    let number = if template.shift > 0 {
        let divisor = Decimal::from_parts(1.into(), i64::from(template.shift))?;
        number.checked_mul(&divisor)?
    } else {
        number
    };
    Ok(if negative { number.negated() } else { number })
}
