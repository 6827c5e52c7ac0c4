//! Aggregate functions (PostgreSQL 9.21).

use crate::{
    bound::{AggregateFunction, HypotheticalMeasure, RegressionMeasure},
    types::DataType,
};

/// Why an aggregate cannot take its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateError {
    /// No aggregate has that name.
    Unknown,
    /// There is no overload for these arguments.
    NoOverload,
}

const NAMES: [(&str, AggregateFunction); 38] = [
    ("array_agg", AggregateFunction::ArrayAgg),
    ("avg", AggregateFunction::Avg),
    ("bit_and", AggregateFunction::BitAnd),
    ("bit_or", AggregateFunction::BitOr),
    ("bit_xor", AggregateFunction::BitXor),
    ("bool_and", AggregateFunction::BoolAnd),
    ("bool_or", AggregateFunction::BoolOr),
    (
        "corr",
        AggregateFunction::Regression(RegressionMeasure::Correlation),
    ),
    ("count", AggregateFunction::Count),
    (
        "covar_pop",
        AggregateFunction::Regression(RegressionMeasure::CovariancePopulation),
    ),
    (
        "covar_samp",
        AggregateFunction::Regression(RegressionMeasure::CovarianceSample),
    ),
    ("every", AggregateFunction::BoolAnd),
    ("json_agg", AggregateFunction::JsonAgg),
    ("json_object_agg", AggregateFunction::JsonObjectAgg),
    ("jsonb_agg", AggregateFunction::JsonbAgg),
    ("jsonb_object_agg", AggregateFunction::JsonbObjectAgg),
    ("max", AggregateFunction::Max),
    ("min", AggregateFunction::Min),
    ("mode", AggregateFunction::Mode),
    ("percentile_cont", AggregateFunction::PercentileCont),
    ("percentile_disc", AggregateFunction::PercentileDisc),
    (
        "regr_avgx",
        AggregateFunction::Regression(RegressionMeasure::AverageX),
    ),
    (
        "regr_avgy",
        AggregateFunction::Regression(RegressionMeasure::AverageY),
    ),
    (
        "regr_count",
        AggregateFunction::Regression(RegressionMeasure::Count),
    ),
    (
        "regr_intercept",
        AggregateFunction::Regression(RegressionMeasure::Intercept),
    ),
    (
        "regr_r2",
        AggregateFunction::Regression(RegressionMeasure::Determination),
    ),
    (
        "regr_slope",
        AggregateFunction::Regression(RegressionMeasure::Slope),
    ),
    (
        "regr_sxx",
        AggregateFunction::Regression(RegressionMeasure::SumXx),
    ),
    (
        "regr_sxy",
        AggregateFunction::Regression(RegressionMeasure::SumXy),
    ),
    (
        "regr_syy",
        AggregateFunction::Regression(RegressionMeasure::SumYy),
    ),
    ("stddev", AggregateFunction::StddevSamp),
    ("stddev_pop", AggregateFunction::StddevPop),
    ("stddev_samp", AggregateFunction::StddevSamp),
    ("string_agg", AggregateFunction::StringAgg),
    ("sum", AggregateFunction::Sum),
    ("var_pop", AggregateFunction::VarPop),
    ("var_samp", AggregateFunction::VarSamp),
    ("variance", AggregateFunction::VarSamp),
];

/// The names of aggregates.
pub fn aggregate_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// Whether the aggregate of that name takes its values by WITHIN GROUP (ORDER BY …).
#[must_use]
pub fn is_ordered_set(name: &str) -> bool {
    matches!(name, "mode" | "percentile_cont" | "percentile_disc")
}

/// The aggregate of that name that takes a hypothetical row beside its values by WITHIN GROUP
/// (ORDER BY …). Without that it is a window function.
#[must_use]
pub fn hypothetical(name: &str) -> Option<HypotheticalMeasure> {
    Some(match name {
        "rank" => HypotheticalMeasure::Rank,
        "dense_rank" => HypotheticalMeasure::DenseRank,
        "percent_rank" => HypotheticalMeasure::PercentRank,
        "cume_dist" => HypotheticalMeasure::CumulativeDistribution,
        _ => return None,
    })
}

/// The aggregate of that name for arguments of these types: the types that the arguments must
/// be converted to, and the type of its value.
///
/// # Errors
/// [`AggregateError`].
pub fn aggregate(
    name: &str,
    arguments: &[DataType],
) -> Result<(AggregateFunction, Vec<DataType>, DataType), AggregateError> {
    use DataType as T;
    let (_, function) = NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or(AggregateError::Unknown)?;
    let (parameters, returns) = match (function, arguments) {
        (AggregateFunction::Count, [argument]) => {
            let taken = match argument {
                T::Unknown => T::Text,
                other => *other,
            };
            (vec![taken], T::Int8)
        }
        (AggregateFunction::Min | AggregateFunction::Max, [argument]) => match argument {
            T::Unknown | T::Text | T::Varchar(_) => (vec![T::Text], T::Text),
            T::Boolean | T::Json | T::Jsonb => return Err(AggregateError::NoOverload),
            T::Decimal(_) => (vec![T::Decimal(None)], T::Decimal(None)),
            other => (vec![*other], *other),
        },
        (AggregateFunction::Sum, [argument]) => match argument {
            T::Int1 | T::Int2 | T::Int4 => (vec![*argument], T::Int8),
            T::Int8 => (vec![T::Int8], T::Decimal(None)),
            T::Decimal(_) => (vec![T::Decimal(None)], T::Decimal(None)),
            T::Float4 | T::Float8 | T::Interval => (vec![*argument], *argument),
            T::Time => (vec![T::Interval], T::Interval),
            T::Unknown => (vec![T::Float8], T::Float8),
            _ => return Err(AggregateError::NoOverload),
        },
        (AggregateFunction::Avg, [argument]) => match argument {
            T::Int1 | T::Int2 | T::Int4 | T::Int8 => (vec![*argument], T::Decimal(None)),
            T::Decimal(_) => (vec![T::Decimal(None)], T::Decimal(None)),
            T::Float4 | T::Float8 => (vec![*argument], T::Float8),
            T::Interval | T::Time => (vec![T::Interval], T::Interval),
            T::Unknown => (vec![T::Float8], T::Float8),
            _ => return Err(AggregateError::NoOverload),
        },
        (AggregateFunction::ArrayAgg, [argument]) => {
            let taken = match argument {
                T::Unknown => T::Text,
                other => other.of_values(),
            };
            let array = match taken {
                T::Array(_) => taken,
                _ => taken.array().ok_or(AggregateError::NoOverload)?,
            };
            (vec![taken], array)
        }
        (AggregateFunction::JsonAgg | AggregateFunction::JsonbAgg, [argument]) => {
            let taken = match argument {
                T::Unknown => T::Text,
                other => *other,
            };
            let returns = if *function == AggregateFunction::JsonAgg {
                T::Json
            } else {
                T::Jsonb
            };
            (vec![taken], returns)
        }
        (AggregateFunction::JsonObjectAgg | AggregateFunction::JsonbObjectAgg, [key, value]) => {
            let known = |argument: &T| match argument {
                T::Unknown => T::Text,
                other => *other,
            };
            let returns = if *function == AggregateFunction::JsonObjectAgg {
                T::Json
            } else {
                T::Jsonb
            };
            (vec![known(key), known(value)], returns)
        }
        (
            AggregateFunction::BitAnd | AggregateFunction::BitOr | AggregateFunction::BitXor,
            [argument],
        ) if argument.is_integer() => (vec![*argument], *argument),
        (AggregateFunction::BoolAnd | AggregateFunction::BoolOr, [T::Boolean | T::Unknown]) => {
            (vec![T::Boolean], T::Boolean)
        }
        (AggregateFunction::StringAgg, [text, separator]) => {
            if (*text, *separator) == (T::Bytea, T::Bytea)
                || (*text, *separator) == (T::Bytea, T::Unknown)
            {
                (vec![T::Bytea, T::Bytea], T::Bytea)
            } else if [text, separator]
                .iter()
                .all(|argument| argument.is_string() || **argument == T::Unknown)
            {
                (vec![T::Text, T::Text], T::Text)
            } else {
                return Err(AggregateError::NoOverload);
            }
        }
        (
            AggregateFunction::StddevPop
            | AggregateFunction::StddevSamp
            | AggregateFunction::VarPop
            | AggregateFunction::VarSamp,
            [argument],
        ) => match argument {
            T::Int1 | T::Int2 | T::Int4 | T::Int8 => (vec![*argument], T::Decimal(None)),
            T::Decimal(_) => (vec![T::Decimal(None)], T::Decimal(None)),
            T::Float4 | T::Float8 => (vec![*argument], T::Float8),
            T::Unknown => (vec![T::Float8], T::Float8),
            _ => return Err(AggregateError::NoOverload),
        },
        (AggregateFunction::Regression(measure), [y, x])
            if [y, x]
                .iter()
                .all(|argument| argument.is_numeric() || **argument == T::Unknown) =>
        {
            let returns = match measure {
                RegressionMeasure::Count => T::Int8,
                _ => T::Float8,
            };
            (vec![T::Float8, T::Float8], returns)
        }
        _ => return Err(AggregateError::NoOverload),
    };
    Ok((*function, parameters, returns))
}
