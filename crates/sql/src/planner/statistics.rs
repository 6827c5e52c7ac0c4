//! What ANALYZE finds out about tables, and how many rows a condition keeps.

use std::cmp::Ordering;

use crate::Value;

/// Statistics of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableStatistics {
    /// Rows at the time of ANALYZE.
    pub(crate) rows: u64,
    /// Bytes of keys and rows.
    pub(crate) bytes: u64,
    /// By column ordinal.
    pub(crate) columns: Vec<ColumnStatistics>,
}

/// Statistics of a column.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnStatistics {
    /// The part of the rows where it is NULL.
    pub(crate) null_fraction: f64,
    /// How many distinct values there are.
    pub(crate) distinct: f64,
    /// The most common values, each with its part of all rows.
    pub(crate) common: Vec<(Value, f64)>,
    /// Values that divide the others into parts of equal size, ascending; the first is the
    /// least, the last the greatest.
    pub(crate) histogram: Vec<Value>,
}

/// Selectivities where nothing is known (PostgreSQL's, `selfuncs.h`).
pub(crate) mod default {
    /// `=` with an unknown number of distinct values.
    pub(crate) const EQUAL: f64 = 0.005;
    /// `<`, `>` and their like.
    pub(crate) const RANGE: f64 = 1.0 / 3.0;
    /// LIKE with a pattern.
    pub(crate) const MATCH: f64 = 0.01;
    /// IS NULL.
    pub(crate) const NULL: f64 = 0.005;
    /// Any other condition.
    pub(crate) const CONDITION: f64 = 0.5;
    /// Elements of an array that is not known.
    pub(crate) const ELEMENTS: f64 = 10.0;
    /// Rows of a table that was never analysed.
    pub(crate) const ROWS: f64 = 1000.0;
    /// Distinct values of a column that was never analysed.
    pub(crate) const DISTINCT: f64 = 200.0;
}

impl ColumnStatistics {
    /// The part of all rows whose value equals `value`, which is not NULL; `None`: some value,
    /// not known which.
    pub(crate) fn equal(&self, value: Option<&Value>) -> f64 {
        let known: f64 = self.common.iter().map(|(_, fraction)| fraction).sum();
        if let Some(value) = value
            && let Some((_, fraction)) = self
                .common
                .iter()
                .find(|(common, _)| common.compare(value) == Ordering::Equal)
        {
            return *fraction;
        }
        if value.is_none() {
            return (1.0 - self.null_fraction) / self.distinct.max(1.0);
        }
        let others = (self.distinct - self.common.len() as f64).max(1.0);
        ((1.0 - self.null_fraction - known) / others).clamp(0.0, 1.0)
    }

    /// The part of all rows whose value is below `value` (or equal, where `inclusive`).
    pub(crate) fn below(&self, value: &Value, inclusive: bool) -> f64 {
        let is_below = |other: &Value| match other.compare(value) {
            Ordering::Less => true,
            Ordering::Equal => inclusive,
            Ordering::Greater => false,
        };
        let mut fraction: f64 = self
            .common
            .iter()
            .filter(|(common, _)| is_below(common))
            .map(|(_, fraction)| fraction)
            .sum();
        let known: f64 = self.common.iter().map(|(_, fraction)| fraction).sum();
        let rest = (1.0 - self.null_fraction - known).max(0.0);
        if self.histogram.len() >= 2 {
            let position = self.histogram.partition_point(is_below);
            let parts = (self.histogram.len() - 1) as f64;
            let within = match (
                self.histogram.get(position.wrapping_sub(1)),
                self.histogram.get(position),
            ) {
                (Some(low), Some(high)) => interpolate(low, value, high),
                _ => 0.0,
            };
            fraction += rest * ((position as f64 - 1.0).max(0.0) + within).min(parts) / parts;
        } else {
            fraction += rest * default::RANGE;
        }
        fraction.clamp(0.0, 1.0)
    }
}

/// Where between `low` and `high` the value lies, from 0 to 1.
fn interpolate(low: &Value, value: &Value, high: &Value) -> f64 {
    let (Some(low), Some(value), Some(high)) = (number(low), number(value), number(high)) else {
        return 0.5;
    };
    if high <= low {
        return 0.5;
    }
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

fn number(value: &Value) -> Option<f64> {
    Some(match value {
        Value::Int1(number) => f64::from(*number),
        Value::Int2(number) => f64::from(*number),
        Value::Int4(number) | Value::Date(number) => f64::from(*number),
        Value::Int8(number)
        | Value::Time(number)
        | Value::Timestamp(number)
        | Value::TimestampTz(number) => *number as f64,
        Value::TimeTz(time) => time.utc_micros() as f64,
        Value::Float4(number) => f64::from(*number),
        Value::Float8(number) => *number,
        Value::Decimal(number) => number.to_f64().ok()?,
        _ => return None,
    })
}
