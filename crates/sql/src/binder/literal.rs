//! Literals: numbers by their size, strings by the type their context wants.

use compact_str::CompactString;

use crate::{
    ast::{IntervalField, TypeName, TypeNameKind},
    bound::{Expr, ExprKind},
    catalog::TableId,
    error::{Error, Result, SqlState},
    span::Span,
    types::{
        CastContext, Conversion, DataType, DateOrder, DateStyle, Decimal, Interval, IntervalStyle,
        TextStyle, TimeZone, Value,
    },
};

/// A constant.
pub(super) fn constant(value: Value, data_type: DataType, span: Span) -> Expr {
    Expr {
        nullable: value.is_null(),
        kind: ExprKind::Literal(value),
        data_type,
        span,
    }
}

/// A number: integer, bigint or numeric, the first that holds it.
pub(super) fn number(text: &str, negative: bool, span: Span) -> Result<Expr> {
    let signed;
    let text = if negative {
        signed = format!("-{text}");
        &signed
    } else {
        text
    };
    if let Ok(number) = text.parse::<i64>() {
        return Ok(match i32::try_from(number) {
            Ok(small) => constant(Value::Int4(small), DataType::Int4, span),
            Err(_) => constant(Value::Int8(number), DataType::Int8, span),
        });
    }
    let number: Decimal = text.parse().map_err(|_| {
        Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "the number is out of range",
        )
        .at(span)
    })?;
    Ok(constant(
        Value::Decimal(number),
        DataType::Decimal(None),
        span,
    ))
}

/// A string whose type its context decides.
pub(super) fn string(text: &str, span: Span) -> Expr {
    constant(
        Value::Text(CompactString::new(text)),
        DataType::Unknown,
        span,
    )
}

/// A string as a value of a type. What depends on the session's clock or time zone is left to be
/// converted when the statement runs.
pub(super) fn typed(text: &str, to: DataType, context: CastContext, span: Span) -> Result<Expr> {
    let later = || {
        let text = constant(Value::Text(CompactString::new(text)), DataType::Text, span);
        Expr {
            kind: ExprKind::Cast(Box::new(text)),
            data_type: to,
            nullable: false,
            span,
        }
    };
    let parsed = match to {
        DataType::Varchar(Some(_)) | DataType::Char(_) => {
            Value::Text(CompactString::new(text)).cast(to, context)
        }
        DataType::Date | DataType::Time | DataType::Timestamp | DataType::TimestampTz
            if names_the_clock(text) =>
        {
            return Ok(later());
        }
        // Without a zone the session's counts.
        DataType::TimeTz => return Ok(later()),
        DataType::Date | DataType::Timestamp | DataType::TimestampTz | DataType::Interval => {
            match same_in_every_session(text, to) {
                Some(parsed) => parsed,
                None => return Ok(later()),
            }
        }
        _ => Value::parse(text, to),
    };
    parsed
        .map(|value| constant(value, to, span))
        .map_err(|error| error.at(span))
}

/// The value that the text has whatever the session's styles and time zone; `None` where it
/// depends on them.
fn same_in_every_session(text: &str, to: DataType) -> Option<Result<Value>> {
    let parse = |style: &TextStyle| Value::parse_in(text, to, &Conversion { style, now: None });
    let here = parse(&TextStyle::DEFAULT);
    let ordered = |order| TextStyle {
        date: DateStyle {
            order,
            ..DateStyle::default()
        },
        ..TextStyle::DEFAULT
    };
    let elsewhere: &[TextStyle] = match to {
        DataType::Interval if text.trim_start().starts_with('-') => &[TextStyle {
            interval: IntervalStyle::SqlStandard,
            ..TextStyle::DEFAULT
        }],
        DataType::Interval => &[],
        _ => &[
            ordered(DateOrder::Dmy),
            ordered(DateOrder::Ymd),
            TextStyle {
                time_zone: TimeZone::fixed(3600).unwrap_or_default(),
                ..TextStyle::DEFAULT
            },
        ],
    };
    elsewhere
        .iter()
        .all(|style| match (&here, parse(style)) {
            (Ok(here), Ok(there)) => *here == there,
            (Err(_), Err(_)) => true,
            _ => false,
        })
        .then_some(here)
}

/// Whether the text is a moment relative to now.
fn names_the_clock(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["now", "today", "tomorrow", "yesterday"]
        .iter()
        .any(|word| lower.contains(word))
}

/// `INTERVAL 'text' fields`: a bare number counts the last field; smaller fields are cut off.
pub(super) fn interval(text: &str, type_name: &TypeName, span: Span) -> Result<Expr> {
    let TypeNameKind::Interval { fields, precision } = &type_name.kind else {
        return typed(text, DataType::Interval, CastContext::Explicit, span);
    };
    let with_units;
    let text = match fields {
        Some((first, last)) => {
            with_units = in_fields(text.trim(), *first, *last);
            &with_units
        }
        None => text,
    };
    let mut expr = typed(text, DataType::Interval, CastContext::Explicit, span)?;
    if let ExprKind::Literal(Value::Interval(value)) = &mut expr.kind {
        if let Some((_, last)) = fields {
            *value = cut(*value, *last);
        }
        if let Some(precision) = precision.filter(|precision| *precision < 6) {
            let unit = 10i64.pow(6 - precision);
            let half = unit / 2 * value.micros.signum();
            value.micros = value.micros.saturating_add(half) / unit * unit;
        }
    }
    Ok(expr)
}

/// The text of an interval with units where its fields say what bare numbers count: the last one
/// its last field, one before it days. Two bare numbers are days and hours and nothing else.
fn in_fields(text: &str, first: IntervalField, last: IntervalField) -> String {
    let is_number = |token: &str| {
        let digits = token.strip_prefix(['-', '+']).unwrap_or(token);
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let mut tokens: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let Some((end, before)) = tokens.split_last_mut() else {
        return text.to_owned();
    };
    let before_last = before.last_mut();
    let number_before = before_last.filter(|token| is_number(token));
    let two_numbers = number_before.is_some() && is_number(end);
    if two_numbers && (first, last) != (IntervalField::Day, IntervalField::Hour) {
        return text.to_owned();
    }
    if is_number(end) {
        end.push_str(&format!(" {}", last.to_string().to_lowercase()));
    } else if (first, last) == (IntervalField::Minute, IntervalField::Second)
        && end.matches(':').count() == 1
    {
        // '1:30' MINUTE TO SECOND has no hours.
        let sign = usize::from(end.starts_with(['-', '+']));
        end.insert_str(sign, "0:");
    } else {
        return text.to_owned();
    }
    if let Some(token) = number_before {
        token.push_str(" day");
    }
    tokens.join(" ")
}

/// Cuts off what is smaller than a field.
fn cut(interval: Interval, last: IntervalField) -> Interval {
    const SECOND: i64 = 1_000_000;
    let Interval {
        months,
        days,
        micros,
    } = interval;
    let (months, days, micros) = match last {
        IntervalField::Year => (months / 12 * 12, 0, 0),
        IntervalField::Month => (months, 0, 0),
        IntervalField::Day => (months, days, 0),
        IntervalField::Hour => (months, days, micros / (3600 * SECOND) * (3600 * SECOND)),
        IntervalField::Minute => (months, days, micros / (60 * SECOND) * (60 * SECOND)),
        IntervalField::Second => (months, days, micros),
    };
    Interval {
        months,
        days,
        micros,
    }
}

/// The number of a table in `pg_class`.
pub(super) fn table_oid(table: TableId, span: Span) -> Expr {
    constant(Value::Oid(table.oid()), DataType::Oid, span)
}
