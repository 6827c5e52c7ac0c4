//! Between partitioning and its stored form.

use crate::{
    DataType, Result, Value,
    catalog::{PartitionBound, PartitionStrategy, Partitioning, RangeEnd, Table},
    encoding::corrupt,
    engine::catalog::{
        convert::value_of,
        named_types::AskedTypes,
        record::{BoundValueRecord, PartitionBoundRecord, PartitioningRecord},
        statistics::value_codec,
    },
};

/// The record of PARTITION BY.
pub(super) fn partitioning_record(partitioning: &Partitioning) -> PartitioningRecord {
    PartitioningRecord {
        strategy: PartitionStrategy::ALL
            .iter()
            .position(|of| *of == partitioning.strategy)
            .unwrap_or(0) as u32,
        keys: partitioning
            .keys
            .iter()
            .map(|(text, _)| text.clone())
            .collect(),
    }
}

/// The partitioning that a record holds, its keys bound over the table's columns.
pub(super) fn partitioning_of(
    record: PartitioningRecord,
    table: &Table,
    types: &AskedTypes<'_>,
) -> Result<Partitioning> {
    Ok(Partitioning {
        strategy: PartitionStrategy::ALL
            .get(record.strategy as usize)
            .copied()
            .ok_or_else(|| corrupt("the partitioning of a table in the catalog"))?,
        keys: record
            .keys
            .into_iter()
            .map(|text| {
                let expr = crate::binder::bind_expression(&text, table, types)?;
                Ok((text, expr))
            })
            .collect::<Result<_>>()?,
    })
}

/// The record of a partition's bound.
pub(super) fn bound_record(bound: &PartitionBound) -> Result<PartitionBoundRecord> {
    let mut record = PartitionBoundRecord::default();
    match bound {
        PartitionBound::Default => {}
        PartitionBound::List(values) => {
            record.kind = 1;
            record.values = values.iter().map(value_record).collect::<Result<_>>()?;
        }
        PartitionBound::Range { from, to } => {
            record.kind = 2;
            record.values = from
                .iter()
                .chain(to)
                .map(|end| match end {
                    RangeEnd::Value(value) => value_record(value),
                    RangeEnd::Min => Ok(marker(2)),
                    RangeEnd::Max => Ok(marker(3)),
                })
                .collect::<Result<_>>()?;
        }
        PartitionBound::Hash { modulus, remainder } => {
            record.kind = 3;
            record.modulus = *modulus;
            record.remainder = *remainder;
        }
    }
    Ok(record)
}

fn marker(kind: u32) -> BoundValueRecord {
    BoundValueRecord {
        kind,
        ..BoundValueRecord::default()
    }
}

fn value_record(value: &Value) -> Result<BoundValueRecord> {
    let Some(data_type) = value.data_type() else {
        return Ok(marker(1));
    };
    let mut stored = Vec::new();
    value_codec(data_type).encode_row(std::slice::from_ref(value), &mut stored)?;
    Ok(BoundValueRecord {
        kind: 0,
        data_type: Some(data_type.into()),
        value: stored,
    })
}

/// The bound that a record holds.
pub(super) fn bound_of(
    record: PartitionBoundRecord,
    types: &AskedTypes<'_>,
) -> Result<PartitionBound> {
    let bad = || corrupt("the bound of a partition in the catalog");
    Ok(match record.kind {
        0 => PartitionBound::Default,
        1 => PartitionBound::List(
            record
                .values
                .into_iter()
                .map(|value| match end_of(value, types)? {
                    RangeEnd::Value(value) => Ok(value),
                    _ => Err(bad()),
                })
                .collect::<Result<_>>()?,
        ),
        2 => {
            let mut from = record
                .values
                .into_iter()
                .map(|value| end_of(value, types))
                .collect::<Result<Vec<_>>>()?;
            if from.len() % 2 != 0 {
                return Err(bad());
            }
            let to = from.split_off(from.len() / 2);
            PartitionBound::Range { from, to }
        }
        3 if record.modulus > record.remainder => PartitionBound::Hash {
            modulus: record.modulus,
            remainder: record.remainder,
        },
        _ => return Err(bad()),
    })
}

fn end_of(record: BoundValueRecord, types: &AskedTypes<'_>) -> Result<RangeEnd> {
    Ok(match record.kind {
        1 => RangeEnd::Value(Value::Null),
        2 => RangeEnd::Min,
        3 => RangeEnd::Max,
        _ => {
            let data_type = record
                .data_type
                .map_or(Ok(DataType::Unknown), |of| types.data_type(of))?;
            RangeEnd::Value(value_of(data_type, &record.value)?)
        }
    })
}
