//! The stored form of a table's statistics.

use std::sync::Arc;

use crate::{
    DataType, Result, Value,
    catalog::Table,
    encoding::{RowDecoder, TableCodec},
    engine::catalog::record::{ColumnStatisticsRecord, StatisticsRecord},
    planner::statistics::{ColumnStatistics, TableStatistics},
};

/// A codec for single values of a type.
pub(super) fn value_codec(data_type: DataType) -> Arc<TableCodec> {
    Arc::new(TableCodec::from_types(vec![data_type], &[]))
}

/// The record of statistics.
pub(crate) fn statistics_record(
    table: &Table,
    statistics: &TableStatistics,
) -> Result<StatisticsRecord> {
    let columns = table
        .columns
        .iter()
        .zip(&statistics.columns)
        .map(|(column, of)| {
            let codec = value_codec(column.data_type);
            let encode = |value: &Value| -> Result<Vec<u8>> {
                let mut bytes = Vec::new();
                codec.encode_row(std::slice::from_ref(value), &mut bytes)?;
                Ok(bytes)
            };
            Ok(ColumnStatisticsRecord {
                null_fraction: of.null_fraction,
                distinct: of.distinct,
                common_values: of
                    .common
                    .iter()
                    .map(|(value, _)| encode(value))
                    .collect::<Result<_>>()?,
                common_fractions: of.common.iter().map(|(_, fraction)| *fraction).collect(),
                histogram: of.histogram.iter().map(encode).collect::<Result<_>>()?,
            })
        })
        .collect::<Result<_>>()?;
    Ok(StatisticsRecord {
        rows: statistics.rows,
        bytes: statistics.bytes,
        columns,
    })
}

/// The statistics that a record holds, less values that cannot be read.
pub(super) fn statistics_of(table: &Table, record: &StatisticsRecord) -> TableStatistics {
    let columns = table
        .columns
        .iter()
        .zip(&record.columns)
        .map(|(column, of)| {
            let decoder = RowDecoder::new(value_codec(column.data_type), &[0]);
            let decode = |bytes: &Vec<u8>| -> Result<Value> {
                let mut row = [Value::Null];
                decoder.decode_values(&[], bytes, &mut Vec::new(), &mut row)?;
                let [value] = row;
                Ok(value)
            };
            let common: Result<_> = of
                .common_values
                .iter()
                .zip(&of.common_fractions)
                .map(|(value, fraction)| Ok((decode(value)?, *fraction)))
                .collect();
            let histogram: Result<_> = of.histogram.iter().map(decode).collect();
            ColumnStatistics {
                null_fraction: of.null_fraction,
                distinct: of.distinct,
                // Without these plans may be worse, and answers are the same.
                common: common.unwrap_or_default(),
                histogram: histogram.unwrap_or_default(),
            }
        })
        .collect();
    TableStatistics {
        rows: record.rows,
        bytes: record.bytes,
        columns,
    }
}
