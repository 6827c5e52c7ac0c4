//! Functions that give rows (PostgreSQL 9.25).

use super::AggregateError;
use crate::{
    bound::TableFunction,
    types::{DataType, ObjectClass},
};

/// Whether the function of that name gives rows.
#[must_use]
pub fn is_table_function(name: &str) -> bool {
    matches!(
        name,
        "generate_series" | "generate_subscripts" | "pg_partition_ancestors" | "unnest"
    )
}

/// The name of such a function's column, where it is not the function's.
#[must_use]
pub fn table_function_column(name: &str) -> Option<&'static str> {
    (name == "pg_partition_ancestors").then_some("relid")
}

/// The function of that name for arguments of these types: the types that the arguments must be
/// converted to, and the type of its column.
///
/// # Errors
/// [`AggregateError`].
pub fn table_function(
    name: &str,
    arguments: &[DataType],
) -> Result<(TableFunction, Vec<DataType>, DataType), AggregateError> {
    use DataType as T;
    if !is_table_function(name) {
        return Err(AggregateError::Unknown);
    }
    if name == "unnest" {
        return match arguments {
            [array] => match array.element() {
                Some(element) => Ok((TableFunction::Unnest, vec![*array], element)),
                None => Err(AggregateError::NoOverload),
            },
            _ => Err(AggregateError::NoOverload),
        };
    }
    if name == "generate_subscripts" {
        return match arguments {
            [array, _] if array.element().is_some() => {
                Ok((TableFunction::Subscripts, vec![*array, T::Int4], T::Int4))
            }
            [array, _, _] if array.element().is_some() => Ok((
                TableFunction::Subscripts,
                vec![*array, T::Int4, T::Boolean],
                T::Int4,
            )),
            _ => Err(AggregateError::NoOverload),
        };
    }
    if name == "pg_partition_ancestors" {
        let relation = T::Object(ObjectClass::Relation);
        return match arguments {
            [_] => Ok((TableFunction::PartitionAncestors, vec![relation], relation)),
            _ => Err(AggregateError::NoOverload),
        };
    }
    let (ends, all) = match arguments {
        [_, _] | [_, _, _] => (&arguments[..2], arguments),
        _ => return Err(AggregateError::NoOverload),
    };
    let of = |test: &dyn Fn(&DataType) -> bool, among: &[DataType]| {
        among
            .iter()
            .all(|data_type| test(data_type) || *data_type == T::Unknown)
    };
    let integer = |data_type: &DataType| data_type.is_integer();
    let exact = |data_type: &DataType| data_type.is_integer() || matches!(data_type, T::Decimal(_));
    let time = |data_type: &DataType| matches!(data_type, T::Date | T::Timestamp | T::TimestampTz);
    let data_type = if of(&integer, all) {
        if all.contains(&T::Int8) {
            T::Int8
        } else {
            T::Int4
        }
    } else if of(&exact, all) {
        T::Decimal(None)
    } else if arguments.len() == 3
        && of(&time, ends)
        && matches!(arguments[2], T::Interval | T::Unknown)
    {
        let local = ends
            .iter()
            .all(|of| matches!(of, T::Timestamp | T::Unknown));
        let data_type = if local { T::Timestamp } else { T::TimestampTz };
        let wanted = vec![data_type, data_type, T::Interval];
        return Ok((TableFunction::GenerateSeries, wanted, data_type));
    } else {
        return Err(AggregateError::NoOverload);
    };
    let wanted = vec![data_type; arguments.len()];
    Ok((TableFunction::GenerateSeries, wanted, data_type))
}
