//! Arbitrary keys and rows.

use std::sync::Arc;

use super::{
    RowDecoder, TableCodec,
    key::{KeyColumn, KeyLayout, is_exact},
};
use crate::{DataType, Value};

const TYPES: [DataType; 19] = [
    DataType::Boolean,
    DataType::Int1,
    DataType::Int2,
    DataType::Int4,
    DataType::Int8,
    DataType::Float4,
    DataType::Float8,
    DataType::Decimal(None),
    DataType::Text,
    DataType::Bytea,
    DataType::Date,
    DataType::Time,
    DataType::TimeTz,
    DataType::Timestamp,
    DataType::TimestampTz,
    DataType::Interval,
    DataType::Uuid,
    DataType::Json,
    DataType::Jsonb,
];

/// Takes up to four types, and what else each of their bytes says.
fn take_types(data: &mut &[u8]) -> Vec<(DataType, u8)> {
    let count = data.split_off_first().map_or(0, |count| count % 4 + 1);
    (0..count)
        .filter_map(|_| {
            let byte = *data.split_off_first()?;
            let number = usize::from(byte >> 3) % TYPES.len();
            Some((TYPES[number], byte & 7))
        })
        .collect()
}

/// The input as a key of an index and of a table.
pub(crate) fn keys(mut data: &[u8]) {
    let types = take_types(&mut data);
    let columns: Vec<KeyColumn> = types
        .iter()
        .map(|(data_type, flags)| KeyColumn {
            data_type: *data_type,
            descending: flags & 1 != 0,
            nulls_first: flags & 2 != 0,
            nullable: flags & 4 != 0,
        })
        .collect();
    check_key(&KeyLayout::index(columns), data);
    let types = types.into_iter().map(|(data_type, _)| data_type);
    check_key(&KeyLayout::primary(types), data);
}

fn decode(layout: &KeyLayout, key: &[u8]) -> crate::Result<Vec<Value>> {
    let wanted: Vec<Option<usize>> = layout
        .columns()
        .iter()
        .enumerate()
        .map(|(at, column)| is_exact(column.data_type).then_some(at))
        .collect();
    let mut values = vec![Value::Null; wanted.len()];
    layout.decode(key, &wanted, &mut Vec::new(), &mut |at, value| {
        values[at] = value.to_value(layout.columns()[at].data_type)?;
        Ok(())
    })?;
    Ok(values)
}

/// What decodes is encoded to what decodes to the same.
fn check_key(layout: &KeyLayout, key: &[u8]) {
    let _ = layout.suffix(key);
    let Ok(values) = decode(layout, key) else {
        return;
    };
    let mut columns = layout.columns().iter();
    if !columns.all(|column| is_exact(column.data_type)) {
        return;
    }
    let mut again = Vec::new();
    let encoded = layout.encode(&values, &mut again);
    assert!(encoded.is_ok(), "{values:?}: {encoded:?}");
    let decoded = decode(layout, &again);
    assert_eq!(format!("{decoded:?}"), format!("Ok({values:?})"));
}

/// The input as a row, with a key before it.
pub(crate) fn rows(mut data: &[u8]) {
    let types = take_types(&mut data);
    let primary: Vec<usize> = (0..types.len())
        .filter(|at| types[*at].1 & 1 != 0)
        .collect();
    let types: Vec<DataType> = types.into_iter().map(|(data_type, _)| data_type).collect();
    let codec = Arc::new(TableCodec::from_types(types.clone(), &primary));
    let key_len = data.split_off_first().map_or(0, |len| usize::from(*len));
    let (key, row) = data.split_at(key_len.min(data.len()));
    let wanted: Vec<usize> = (0..types.len()).collect();
    let decoder = RowDecoder::new(Arc::clone(&codec), &wanted);
    let decode = |key: &[u8], row: &[u8]| {
        let mut values = vec![Value::Null; types.len()];
        decoder.decode_values(key, row, &mut Vec::new(), &mut values)?;
        Ok::<_, crate::Error>(values)
    };
    let Ok(values) = decode(key, row) else { return };
    let (mut key, mut row) = (Vec::new(), Vec::new());
    let encoded = codec
        .encode_key(&values, &mut key)
        .and_then(|()| codec.encode_row(&values, &mut row));
    // A key column cannot be NULL, which a damaged row may say.
    if encoded.is_ok() {
        assert_eq!(
            format!("{:?}", decode(&key, &row)),
            format!("Ok({values:?})")
        );
    }
}
