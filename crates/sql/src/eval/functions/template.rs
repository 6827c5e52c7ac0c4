//! The templates of `to_char`, `to_date` and `to_timestamp`.

/// One item of a date template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Text as it stands.
    Literal(String),
    /// A pattern with its modifiers.
    Field {
        field: Field,
        /// `FM`: no padding.
        fill: bool,
        /// `TH` and `th`.
        ordinal: Option<Case>,
    },
}

/// How letters are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Title,
    Lower,
}

/// The patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Hour12,
    Hour24,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    /// `FF1`–`FF6`
    Fraction(u32),
    SecondOfDay,
    /// `AM`, `PM`; with periods `A.M.`
    Meridiem {
        case: Case,
        periods: bool,
    },
    Era {
        case: Case,
        periods: bool,
    },
    /// `Y,YYY`
    YearComma,
    /// So many last digits.
    Year(u32),
    IsoYear(u32),
    MonthName(Case),
    MonthShort(Case),
    Month,
    DayName(Case),
    DayShort(Case),
    DayOfYear,
    IsoDayOfYear,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    WeekOfMonth,
    WeekOfYear,
    IsoWeek,
    Century,
    Julian,
    Quarter,
    RomanMonth(Case),
    Zone(Case),
    ZoneHours,
    ZoneMinutes,
    Offset,
}

/// The patterns by their text; the longest that fits wins, so longer ones stand first.
const PATTERNS: &[(&str, Field)] = &[
    ("Y,YYY", Field::YearComma),
    ("y,yyy", Field::YearComma),
    ("MONTH", Field::MonthName(Case::Upper)),
    ("Month", Field::MonthName(Case::Title)),
    ("month", Field::MonthName(Case::Lower)),
    ("SSSSS", Field::SecondOfDay),
    ("sssss", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("ssss", Field::SecondOfDay),
    ("HH24", Field::Hour24),
    ("hh24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("hh12", Field::Hour12),
    (
        "A.M.",
        Field::Meridiem {
            case: Case::Upper,
            periods: true,
        },
    ),
    (
        "P.M.",
        Field::Meridiem {
            case: Case::Upper,
            periods: true,
        },
    ),
    (
        "a.m.",
        Field::Meridiem {
            case: Case::Lower,
            periods: true,
        },
    ),
    (
        "p.m.",
        Field::Meridiem {
            case: Case::Lower,
            periods: true,
        },
    ),
    (
        "B.C.",
        Field::Era {
            case: Case::Upper,
            periods: true,
        },
    ),
    (
        "A.D.",
        Field::Era {
            case: Case::Upper,
            periods: true,
        },
    ),
    (
        "b.c.",
        Field::Era {
            case: Case::Lower,
            periods: true,
        },
    ),
    (
        "a.d.",
        Field::Era {
            case: Case::Lower,
            periods: true,
        },
    ),
    ("YYYY", Field::Year(4)),
    ("yyyy", Field::Year(4)),
    ("IYYY", Field::IsoYear(4)),
    ("iyyy", Field::IsoYear(4)),
    ("IDDD", Field::IsoDayOfYear),
    ("iddd", Field::IsoDayOfYear),
    ("MON", Field::MonthShort(Case::Upper)),
    ("Mon", Field::MonthShort(Case::Title)),
    ("mon", Field::MonthShort(Case::Lower)),
    ("DAY", Field::DayName(Case::Upper)),
    ("Day", Field::DayName(Case::Title)),
    ("day", Field::DayName(Case::Lower)),
    ("DDD", Field::DayOfYear),
    ("ddd", Field::DayOfYear),
    ("YYY", Field::Year(3)),
    ("yyy", Field::Year(3)),
    ("IYY", Field::IsoYear(3)),
    ("iyy", Field::IsoYear(3)),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("ff1", Field::Fraction(1)),
    ("ff2", Field::Fraction(2)),
    ("ff3", Field::Fraction(3)),
    ("ff4", Field::Fraction(4)),
    ("ff5", Field::Fraction(5)),
    ("ff6", Field::Fraction(6)),
    ("TZH", Field::ZoneHours),
    ("tzh", Field::ZoneHours),
    ("TZM", Field::ZoneMinutes),
    ("tzm", Field::ZoneMinutes),
    ("HH", Field::Hour12),
    ("hh", Field::Hour12),
    ("MI", Field::Minute),
    ("mi", Field::Minute),
    ("SS", Field::Second),
    ("ss", Field::Second),
    ("MS", Field::Millisecond),
    ("ms", Field::Millisecond),
    ("US", Field::Microsecond),
    ("us", Field::Microsecond),
    (
        "AM",
        Field::Meridiem {
            case: Case::Upper,
            periods: false,
        },
    ),
    (
        "PM",
        Field::Meridiem {
            case: Case::Upper,
            periods: false,
        },
    ),
    (
        "am",
        Field::Meridiem {
            case: Case::Lower,
            periods: false,
        },
    ),
    (
        "pm",
        Field::Meridiem {
            case: Case::Lower,
            periods: false,
        },
    ),
    (
        "BC",
        Field::Era {
            case: Case::Upper,
            periods: false,
        },
    ),
    (
        "AD",
        Field::Era {
            case: Case::Upper,
            periods: false,
        },
    ),
    (
        "bc",
        Field::Era {
            case: Case::Lower,
            periods: false,
        },
    ),
    (
        "ad",
        Field::Era {
            case: Case::Lower,
            periods: false,
        },
    ),
    ("YY", Field::Year(2)),
    ("yy", Field::Year(2)),
    ("IY", Field::IsoYear(2)),
    ("iy", Field::IsoYear(2)),
    ("MM", Field::Month),
    ("mm", Field::Month),
    ("DY", Field::DayShort(Case::Upper)),
    ("Dy", Field::DayShort(Case::Title)),
    ("dy", Field::DayShort(Case::Lower)),
    ("DD", Field::Day),
    ("dd", Field::Day),
    ("ID", Field::IsoDayOfWeek),
    ("id", Field::IsoDayOfWeek),
    ("WW", Field::WeekOfYear),
    ("ww", Field::WeekOfYear),
    ("IW", Field::IsoWeek),
    ("iw", Field::IsoWeek),
    ("CC", Field::Century),
    ("cc", Field::Century),
    ("RM", Field::RomanMonth(Case::Upper)),
    ("rm", Field::RomanMonth(Case::Lower)),
    ("TZ", Field::Zone(Case::Upper)),
    ("tz", Field::Zone(Case::Lower)),
    ("OF", Field::Offset),
    ("of", Field::Offset),
    ("Y", Field::Year(1)),
    ("y", Field::Year(1)),
    ("I", Field::IsoYear(1)),
    ("i", Field::IsoYear(1)),
    ("D", Field::DayOfWeek),
    ("d", Field::DayOfWeek),
    ("W", Field::WeekOfMonth),
    ("w", Field::WeekOfMonth),
    ("J", Field::Julian),
    ("j", Field::Julian),
    ("Q", Field::Quarter),
    ("q", Field::Quarter),
];

/// Takes a template apart.
pub(super) fn parse(template: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut rest = template;
    let push_literal = |items: &mut Vec<Item>, text: &str| match items.last_mut() {
        Some(Item::Literal(literal)) => literal.push_str(text),
        _ => items.push(Item::Literal(text.to_owned())),
    };
    let mut fill = false;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut characters = quoted.char_indices();
            let mut text = String::new();
            let mut end = quoted.len();
            while let Some((at, character)) = characters.next() {
                match character {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
                    other => text.push(other),
                }
            }
            push_literal(&mut items, &text);
            rest = &quoted[end..];
            continue;
        }
        if let Some(escaped) = rest.strip_prefix("\\\"") {
            push_literal(&mut items, "\"");
            rest = escaped;
            continue;
        }
        if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            fill = true;
            rest = after;
            continue;
        }
        if let Some(after) = ["FX", "fx", "TM", "tm"]
            .iter()
            .find_map(|modifier| rest.strip_prefix(modifier))
        {
            rest = after;
            continue;
        }
        let found = PATTERNS
            .iter()
            .find_map(|(text, field)| Some((*field, rest.strip_prefix(text)?)));
        let Some((field, after)) = found else {
            let (literal, after) = rest.split_at(first.len_utf8());
            push_literal(&mut items, literal);
            rest = after;
            continue;
        };
        rest = after;
        let mut ordinal = None;
        for (suffix, case) in [("TH", Case::Upper), ("th", Case::Lower)] {
            if ordinal.is_none()
                && let Some(after) = rest.strip_prefix(suffix)
            {
                ordinal = Some(case);
                rest = after;
            }
        }
        items.push(Item::Field {
            field,
            fill,
            ordinal,
        });
        fill = false;
    }
    items
}
