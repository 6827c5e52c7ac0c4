//! Reads wanted columns out of stored rows.

use crate::{
    DataType, Interval, Result, Value,
    encoding::{
        TableCodec, ValueRef, corrupt, key,
        row::{
            SECONDS_BASE, Storage, StoredValue, TAG_LEN8, TAG_LEN32, TAG_NULL, read_varint,
            unzigzag,
        },
    },
};

/// Reads the wanted columns of a table's rows. Made once per statement, used for every row.
#[derive(Clone, Debug)]
pub(crate) struct RowDecoder {
    codec: std::sync::Arc<TableCodec>,
    /// For every key column the slot its value goes to; empty where none is wanted from the key.
    key_slots: Vec<Option<usize>>,
    /// One plan per format, the current one last.
    plans: Vec<FormatPlan>,
    /// The types of the slots.
    types: Vec<DataType>,
}

#[derive(Clone, Debug)]
struct FormatPlan {
    version: u64,
    /// Stored columns up to the last wanted one: how it is written, and its slot if wanted.
    steps: Vec<(Storage, Option<usize>)>,
    /// Bytes of tags.
    tag_bytes: usize,
    /// Slots of the wanted columns that this format does not have, each with the value that
    /// stands for it (none: NULL).
    missing: Vec<(usize, Option<StoredValue>)>,
}

impl RowDecoder {
    /// A decoder that gives the columns `wanted` (table ordinals); slot `i` is `wanted[i]`.
    pub(crate) fn new(codec: std::sync::Arc<TableCodec>, wanted: &[usize]) -> RowDecoder {
        let slot_of = |ordinal: usize| wanted.iter().position(|column| *column == ordinal);
        let from_key = |ordinal: usize| {
            codec.key_columns.contains(&ordinal)
                && codec
                    .types
                    .get(ordinal)
                    .is_some_and(|of| key::is_exact(*of))
        };
        let mut key_slots: Vec<Option<usize>> = codec
            .key_columns
            .iter()
            .map(|ordinal| slot_of(*ordinal).filter(|_| from_key(*ordinal)))
            .collect();
        while key_slots.last() == Some(&None) {
            key_slots.pop();
        }
        let plans = codec
            .formats
            .iter()
            .map(|format| {
                let mut steps: Vec<(Storage, Option<usize>)> = format
                    .columns
                    .iter()
                    .map(|column| (column.storage, column.ordinal.and_then(slot_of)))
                    .collect();
                while steps.last().is_some_and(|(_, slot)| slot.is_none()) {
                    steps.pop();
                }
                let missing = (0..wanted.len())
                    .filter(|slot| {
                        !steps.iter().any(|(_, of)| *of == Some(*slot))
                            && !key_slots.contains(&Some(*slot))
                    })
                    .map(|slot| {
                        let value = codec
                            .before
                            .iter()
                            .find(|(ordinal, _)| wanted.get(slot) == Some(ordinal))
                            .map(|(_, value)| value.clone());
                        (slot, value)
                    })
                    .collect();
                FormatPlan {
                    version: u64::from(format.version),
                    steps,
                    tag_bytes: format.columns.len().div_ceil(2),
                    missing,
                }
            })
            .collect();
        let types = wanted
            .iter()
            .map(|ordinal| {
                codec
                    .types
                    .get(*ordinal)
                    .copied()
                    .unwrap_or(DataType::Unknown)
            })
            .collect();
        RowDecoder {
            codec,
            key_slots,
            plans,
            types,
        }
    }

    /// The types of the columns given.
    pub(crate) fn types(&self) -> &[DataType] {
        &self.types
    }

    /// Gives every wanted column of a row to `sink`, each slot once, in no set order.
    ///
    /// `scratch` is working memory, kept by the caller so that it is allocated once.
    pub(crate) fn decode(
        &self,
        row_key: &[u8],
        row: &[u8],
        scratch: &mut Vec<u8>,
        mut sink: impl FnMut(usize, ValueRef<'_>) -> Result<()>,
    ) -> Result<()> {
        if let (false, Some(layout)) = (self.key_slots.is_empty(), &self.codec.key) {
            layout.decode(row_key, &self.key_slots, scratch, &mut sink)?;
        }
        let mut at = 0;
        let version = read_varint(row, &mut at).ok_or_else(|| corrupt("a row is empty"))?;
        let plan = self
            .plans
            .iter()
            .rev()
            .find(|plan| plan.version == version)
            .ok_or_else(|| corrupt("a row names an unknown format version"))?;
        for (slot, value) in &plan.missing {
            let value = match value {
                None => ValueRef::Null,
                Some(of) => read_value(of.storage, of.tag, &of.data, &mut 0)
                    .ok_or_else(|| corrupt("a default of a column in the catalog"))?,
            };
            sink(*slot, value)?;
        }
        if plan.steps.is_empty() {
            return Ok(());
        }
        let tags = row
            .get(at..at + plan.tag_bytes)
            .ok_or_else(|| corrupt("a row ends within its tags"))?;
        at += plan.tag_bytes;
        let short = || corrupt("a row ends early");
        for (index, (storage, slot)) in plan.steps.iter().enumerate() {
            let tag = tags[index / 2] >> (index % 2 * 4) & 15;
            match slot {
                Some(slot) => {
                    let value = read_value(*storage, tag, row, &mut at).ok_or_else(short)?;
                    sink(*slot, value)?;
                }
                None => skip_value(*storage, tag, row, &mut at).ok_or_else(short)?,
            }
        }
        Ok(())
    }

    /// Decodes a row into values: `row[i]` becomes wanted column `i`.
    pub(crate) fn decode_values(
        &self,
        row_key: &[u8],
        stored: &[u8],
        scratch: &mut Vec<u8>,
        row: &mut [Value],
    ) -> Result<()> {
        self.decode(row_key, stored, scratch, |slot, value| {
            if let (Some(place), Some(data_type)) = (row.get_mut(slot), self.types.get(slot)) {
                *place = value.to_value(*data_type)?;
            }
            Ok(())
        })
    }
}

/// The length of a variable-length value's data, with its prefix read.
#[inline]
fn bytes_len(tag: u8, row: &[u8], at: &mut usize) -> Option<usize> {
    match tag {
        TAG_LEN8 => {
            let len = *row.get(*at)?;
            *at += 1;
            Some(usize::from(len))
        }
        TAG_LEN32 => {
            let len: [u8; 4] = row.get(*at..*at + 4)?.try_into().ok()?;
            *at += 4;
            Some(u32::from_le_bytes(len) as usize)
        }
        len => Some(usize::from(len)),
    }
}

#[inline]
fn read_bytes<'a>(tag: u8, row: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let len = bytes_len(tag, row, at)?;
    let bytes = row.get(*at..)?.get(..len)?;
    *at += len;
    Some(bytes)
}

/// Reads `len` (at most 8) bytes as a little-endian two's complement number.
#[inline]
fn read_integer(len: u8, row: &[u8], at: &mut usize) -> Option<i64> {
    let len = usize::from(len);
    if len == 0 {
        return Some(0);
    }
    if len > 8 {
        return None;
    }
    let rest = row.get(*at..)?;
    let raw = match rest.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => {
            let mut chunk = [0; 8];
            chunk.get_mut(..len)?.copy_from_slice(rest.get(..len)?);
            u64::from_le_bytes(chunk)
        }
    };
    *at += len;
    let unused = 64 - 8 * len;
    Some(((raw << unused) as i64) >> unused)
}

#[inline]
fn skip_value(storage: Storage, tag: u8, row: &[u8], at: &mut usize) -> Option<()> {
    if tag == TAG_NULL {
        return Some(());
    }
    *at += match storage {
        Storage::Boolean => 0,
        Storage::Integer => usize::from(tag),
        Storage::Micros => usize::from(if tag > SECONDS_BASE {
            tag - SECONDS_BASE
        } else {
            tag
        }),
        Storage::Float4 => usize::from(if tag == 8 { 4 } else { tag }),
        Storage::Float8 => usize::from(tag),
        Storage::Bytes | Storage::Decimal | Storage::Interval => bytes_len(tag, row, at)?,
        Storage::Uuid => 16,
    };
    Some(())
}

#[inline]
pub(crate) fn read_value<'a>(
    storage: Storage,
    tag: u8,
    row: &'a [u8],
    at: &mut usize,
) -> Option<ValueRef<'a>> {
    if tag == TAG_NULL {
        return Some(ValueRef::Null);
    }
    Some(match storage {
        Storage::Boolean => ValueRef::Boolean(tag == 1),
        Storage::Integer => ValueRef::Integer(read_integer(tag, row, at)?),
        Storage::Micros if tag > SECONDS_BASE => {
            let seconds = read_integer(tag - SECONDS_BASE, row, at)?;
            ValueRef::Integer(seconds.checked_mul(1_000_000)?)
        }
        Storage::Micros => ValueRef::Integer(read_integer(tag, row, at)?),
        Storage::Float4 if tag == 8 => {
            let bytes = row.get(*at..)?.first_chunk()?;
            *at += 4;
            ValueRef::Float4(f32::from_le_bytes(*bytes))
        }
        Storage::Float4 => ValueRef::Float4(read_integer(tag, row, at)? as f32),
        Storage::Float8 if tag == 8 => {
            let bytes = row.get(*at..)?.first_chunk()?;
            *at += 8;
            ValueRef::Float8(f64::from_le_bytes(*bytes))
        }
        Storage::Float8 => ValueRef::Float8(read_integer(tag, row, at)? as f64),
        Storage::Bytes => ValueRef::Bytes(read_bytes(tag, row, at)?),
        Storage::Decimal => {
            let bytes = read_bytes(tag, row, at)?;
            let mut digits = 0;
            let scale = read_varint(bytes, &mut digits)?.try_into().ok()?;
            ValueRef::Decimal {
                scale,
                digits: bytes.get(digits..)?,
            }
        }
        Storage::Interval => {
            let bytes = read_bytes(tag, row, at)?;
            let mut field = 0;
            let mut next = || Some(unzigzag(read_varint(bytes, &mut field)?));
            ValueRef::Interval(Interval {
                months: next()?.try_into().ok()?,
                days: next()?.try_into().ok()?,
                micros: next()?,
            })
        }
        Storage::Uuid => {
            let bytes = row.get(*at..)?.first_chunk()?;
            *at += 16;
            ValueRef::Uuid(u128::from_be_bytes(*bytes))
        }
    })
}
