//! Rows out of index entries alone, where these hold every column that is wanted.

use crate::{
    DataType, Result, Value,
    encoding::{ValueRef, key::is_exact},
    engine::table::TableHandle,
};

/// Reads columns out of the entries of an index: of the index's own columns, and of those of the
/// primary key, which every entry leads to.
#[derive(Clone, Debug)]
pub(crate) struct EntryDecoder {
    index: usize,
    /// For the columns of the index's key, and of the row's, the place of the value.
    of_index: Vec<Option<usize>>,
    of_row_key: Vec<Option<usize>>,
    types: Vec<DataType>,
}

impl EntryDecoder {
    /// A decoder for the columns `wanted` (table ordinals) of the index at position `index`; `None`
    /// where its entries do not hold them all.
    pub(crate) fn new(table: &TableHandle, index: usize, wanted: &[usize]) -> Option<EntryDecoder> {
        let handle = table.indexes.get(index)?;
        let slots = |ordinals: &[usize], taken: &mut Vec<usize>| -> Vec<Option<usize>> {
            let slot_of = |ordinal: &usize| {
                let exact = table
                    .codec
                    .types
                    .get(*ordinal)
                    .is_some_and(|of| is_exact(*of));
                let slot = wanted.iter().position(|column| column == ordinal)?;
                (exact && !taken.contains(&slot)).then(|| {
                    taken.push(slot);
                    slot
                })
            };
            ordinals.iter().map(slot_of).collect()
        };
        let mut taken = Vec::with_capacity(wanted.len());
        let of_index = slots(&handle.ordinals, &mut taken);
        let of_row_key = match table.codec.key {
            Some(_) => slots(&table.codec.key_columns, &mut taken),
            None => Vec::new(),
        };
        if taken.len() < wanted.len() {
            return None;
        }
        let types = wanted
            .iter()
            .filter_map(|ordinal| table.codec.types.get(*ordinal));
        Some(EntryDecoder {
            index,
            of_index,
            of_row_key,
            types: types.copied().collect(),
        })
    }

    /// Decodes an entry: `row[i]` becomes wanted column `i`.
    pub(crate) fn decode(
        &self,
        table: &TableHandle,
        key: &[u8],
        value: &[u8],
        scratch: &mut Vec<u8>,
        row: &mut [Value],
    ) -> Result<()> {
        let index = table.index(self.index)?;
        let mut sink = |slot: usize, value: ValueRef<'_>| {
            if let (Some(place), Some(data_type)) = (row.get_mut(slot), self.types.get(slot)) {
                *place = value.to_value(*data_type)?;
            }
            Ok(())
        };
        index
            .layout
            .decode(key, &self.of_index, scratch, &mut sink)?;
        if let Some(layout) = &table.codec.key
            && self.of_row_key.iter().any(Option::is_some)
        {
            let row_key = index.row_key(key, value)?;
            layout.decode(row_key, &self.of_row_key, scratch, &mut sink)?;
        }
        Ok(())
    }
}
