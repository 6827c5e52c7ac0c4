//! Functions with syntax of their own.

use super::{Binder, internal, literal, unsupported};
use crate::{
    ast::{self, CurrentValue, ExprKind as A, TrimSide},
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction},
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType, RoundedTime, Value},
};

/// The fields of EXTRACT.
const FIELDS: [&str; 67] = [
    "c",
    "cent",
    "centuries",
    "century",
    "d",
    "day",
    "days",
    "dec",
    "decade",
    "decades",
    "decs",
    "dow",
    "doy",
    "epoch",
    "h",
    "hour",
    "hours",
    "hr",
    "hrs",
    "isodow",
    "isoyear",
    "j",
    "jd",
    "julian",
    "m",
    "microsecond",
    "microseconds",
    "mil",
    "millennia",
    "millennium",
    "millisecond",
    "milliseconds",
    "mils",
    "min",
    "mins",
    "minute",
    "minutes",
    "mon",
    "mons",
    "month",
    "months",
    "ms",
    "msec",
    "msecs",
    "qtr",
    "quarter",
    "s",
    "sec",
    "second",
    "seconds",
    "secs",
    "timezone",
    "timezone_h",
    "timezone_hour",
    "timezone_m",
    "timezone_minute",
    "us",
    "usec",
    "usecs",
    "w",
    "week",
    "weeks",
    "y",
    "year",
    "years",
    "yr",
    "yrs",
];

/// OVERLAPS without periods beside it.
pub(super) fn no_periods(span: Span) -> Error {
    Error::new(
        SqlState::SYNTAX_ERROR,
        "OVERLAPS compares two periods: rows of a begin and an end or a length",
    )
    .at(span)
    .hint("For example (DATE '2024-01-01', DATE '2024-02-01') OVERLAPS (a, b).")
}

impl<'a> Binder<'a> {
    /// `(a, b) OVERLAPS (c, d)`.
    pub(super) fn overlaps(
        &mut self,
        first: &'a [ast::Expr],
        second: &'a [ast::Expr],
        span: Span,
    ) -> Result<Expr> {
        let mut arguments = Vec::with_capacity(4);
        for period in [first, second] {
            let [start, end] = period else {
                return Err(no_periods(span));
            };
            let start = self.expr(start)?;
            let mut end = self.expr(end)?;
            if end.data_type == DataType::Interval {
                end = self.arithmetic(BinaryOp::Add, start.clone(), end, span, span)?;
            }
            arguments.push(start);
            arguments.push(end);
        }
        self.named_call("overlaps", arguments, span)
    }

    pub(super) fn special(&mut self, expr: &'a ast::Expr) -> Result<Expr> {
        let span = expr.span;
        match &expr.kind {
            A::Extract { field, source } => {
                let source = self.expr(source)?;
                if !FIELDS.contains(&field.name.as_str()) {
                    let error = Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("EXTRACT knows no field \"{}\"", field.name),
                    )
                    .at(field.span);
                    return Err(super::expr::with_hint(
                        error,
                        super::suggest::did_you_mean(&field.name, FIELDS),
                    ));
                }
                let field = text(&field.name, field.span);
                self.named_call("extract", vec![field, source], span)
            }
            A::Substring {
                text: subject,
                start,
                count,
            } => {
                let subject = self.expr(subject)?;
                let start = match start {
                    Some(start) => self.expr(start)?,
                    None => literal::constant(Value::Int4(1), DataType::Int4, span),
                };
                let mut arguments = vec![subject, start];
                if let Some(count) = count {
                    arguments.push(self.expr(count)?);
                }
                self.named_call("substring", arguments, span)
            }
            A::SubstringSimilar { .. } => Err(unsupported("SUBSTRING … SIMILAR is", span)
                .hint("Use a regular expression: substring(text FROM pattern).")),
            A::Trim {
                side,
                characters,
                text: subject,
            } => {
                let mut arguments = vec![self.expr(subject)?];
                if let Some(characters) = characters {
                    arguments.push(self.expr(characters)?);
                }
                let name = match side {
                    TrimSide::Both => "btrim",
                    TrimSide::Leading => "ltrim",
                    TrimSide::Trailing => "rtrim",
                };
                self.named_call(name, arguments, span)
            }
            A::Position {
                needle,
                text: subject,
            } => {
                let needle = self.expr(needle)?;
                let subject = self.expr(subject)?;
                self.named_call("position", vec![subject, needle], span)
            }
            A::Overlay {
                text: subject,
                replacement,
                start,
                count,
            } => {
                let mut arguments = vec![
                    self.expr(subject)?,
                    self.expr(replacement)?,
                    self.expr(start)?,
                ];
                if let Some(count) = count {
                    arguments.push(self.expr(count)?);
                }
                self.named_call("overlay", arguments, span)
            }
            A::AtTimeZone { operand, zone } => {
                let operand = self.expr(operand)?;
                let zone = self.expr(zone)?;
                self.named_call("timezone", vec![zone, operand], span)
            }
            A::Current { value, precision } => {
                let now = current(*value, span);
                let rounded = match (precision, now.data_type) {
                    (Some(digits @ 0..=5), DataType::TimestampTz) => {
                        DataType::Rounded(RoundedTime::TimestampTz, *digits as u8)
                    }
                    (Some(digits @ 0..=5), DataType::Timestamp) => {
                        DataType::Rounded(RoundedTime::Timestamp, *digits as u8)
                    }
                    (Some(digits @ 0..=5), DataType::Time) => {
                        DataType::Rounded(RoundedTime::Time, *digits as u8)
                    }
                    (Some(digits @ 0..=5), DataType::TimeTz) => {
                        DataType::Rounded(RoundedTime::TimeTz, *digits as u8)
                    }
                    (_, data_type) => data_type,
                };
                self.coerce(now, rounded, CastContext::Explicit)
            }
            _ => Err(internal("no special syntax", span)),
        }
    }
}

fn text(value: &str, span: Span) -> Expr {
    literal::constant(Value::Text(value.into()), DataType::Text, span)
}

/// CURRENT_DATE and the like. The clock gives microseconds; six digits change nothing.
fn current(value: CurrentValue, span: Span) -> Expr {
    let (function, data_type) = match value {
        CurrentValue::Date => (ScalarFunction::CurrentDate, DataType::Date),
        CurrentValue::Time => (ScalarFunction::CurrentTime, DataType::TimeTz),
        CurrentValue::Timestamp => (ScalarFunction::CurrentTimestamp, DataType::TimestampTz),
        CurrentValue::LocalTime => (ScalarFunction::LocalTime, DataType::Time),
        CurrentValue::LocalTimestamp => (ScalarFunction::LocalTimestamp, DataType::Timestamp),
        CurrentValue::User => (ScalarFunction::CurrentUser, DataType::Text),
        CurrentValue::SessionUser => (ScalarFunction::SessionUser, DataType::Text),
        CurrentValue::Catalog => (ScalarFunction::CurrentDatabase, DataType::Text),
        CurrentValue::Schema => (ScalarFunction::CurrentSchema, DataType::Text),
    };
    Expr {
        kind: ExprKind::Function(function, Vec::new()),
        data_type,
        nullable: false,
        span,
    }
}
