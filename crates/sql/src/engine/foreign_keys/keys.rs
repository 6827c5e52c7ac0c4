//! Referring and referred keys.
//!
//! Both sides are compared in the parent's types, by their order-preserving encoding: what SQL
//! takes for equal has one encoding.

use std::sync::Arc;

use rustling_storage::{Direction, KeyRange, KeyspaceId};

use crate::{
    DataType, Result, Value,
    catalog::{ForeignKey, TableId},
    encoding::{KeyColumn, KeyLayout, RowDecoder},
    engine::{error::txn_error, key_range, session::Session, table::TableHandle},
    executor::ExecContext,
    types::CastContext,
};

use super::{Written, foreign_key};

/// Keys of one foreign key's parent that are gone.
pub(super) struct LostParents {
    pub(super) parent: Arc<TableHandle>,
    pub(super) child: TableId,
    pub(super) key: ForeignKey,
    pub(super) lost: Vec<Lost>,
}

/// A key that is gone.
pub(super) struct Lost {
    /// Its values.
    pub(super) old: Vec<Value>,
    /// The values that replaced it; `None`: the row was deleted.
    pub(super) new: Option<Vec<Value>>,
}

impl LostParents {
    pub(super) fn is_empty(&self) -> bool {
        self.lost.is_empty()
    }
}

/// The types of the referred columns.
pub(super) fn parent_types(parent: &TableHandle, key: &ForeignKey) -> Vec<DataType> {
    key.parent_columns
        .iter()
        .filter_map(|number| parent.table.ordinal(*number))
        .filter_map(|ordinal| parent.table.columns.get(ordinal))
        .map(|column| column.data_type)
        .collect()
}

/// The referred columns of a parent's row.
fn parent_values(parent: &TableHandle, key: &ForeignKey, row: &[Value]) -> Vec<Value> {
    key.parent_columns
        .iter()
        .filter_map(|number| parent.table.ordinal(*number))
        .map(|ordinal| row.get(ordinal).cloned().unwrap_or(Value::Null))
        .collect()
}

/// The referring columns of a child's row.
pub(super) fn child_values(key: &ForeignKey, row: &[Value]) -> Vec<Value> {
    key.columns
        .iter()
        .map(|ordinal| row.get(*ordinal).cloned().unwrap_or(Value::Null))
        .collect()
}

/// `value` as one of type `to`, where that type has an equal one.
fn converted(value: &Value, to: DataType) -> Option<Value> {
    let from = value.data_type()?;
    if from == to {
        return Some(value.clone());
    }
    if let (Value::Enum(value), DataType::Enum(to)) = (value, to)
        && value.enum_type().id() == to.id()
    {
        return value.in_definition(to).map(Value::Enum);
    }
    let there = value.clone().cast(to, CastContext::Assignment).ok()?;
    // A number that is rounded, or a string that is cut, is another value.
    let back = there.clone().cast(from, CastContext::Assignment).ok()?;
    (back == *value).then_some(there)
}

/// `value` for a column of type `to` that follows it.
///
/// # Errors
/// Where that type has no such value.
pub(super) fn followed(value: Value, to: DataType) -> Result<Value> {
    if let (Value::Enum(of), DataType::Enum(to)) = (&value, to)
        && let Some(there) = of.in_definition(to)
    {
        return Ok(Value::Enum(there));
    }
    value.cast(to, CastContext::Assignment)
}

/// The encoding of a key in the parent's types; `None`: a value is NULL, or the type has no such
/// value.
pub(super) fn encoded(values: &[Value], types: &[DataType]) -> Result<Option<Vec<u8>>> {
    let mut cast = Vec::with_capacity(values.len());
    for (value, data_type) in values.iter().zip(types) {
        if matches!(value, Value::Null) {
            return Ok(None);
        }
        match converted(value, *data_type) {
            Some(value) => cast.push(value),
            None => return Ok(None),
        }
    }
    let layout = KeyLayout::index(types.iter().copied().map(KeyColumn::ascending).collect());
    let mut key = Vec::with_capacity(24);
    layout.encode(cast.iter(), &mut key)?;
    Ok(Some(key))
}

/// The keys of `parent` that the writes have removed, as far as the foreign key `at` of `child`
/// leads to them.
pub(super) fn lost_parents(
    session: &Session,
    parent: &Arc<TableHandle>,
    child: TableId,
    at: usize,
    written: &[Written],
) -> Result<LostParents> {
    let mut result = LostParents {
        parent: Arc::clone(parent),
        child,
        key: ForeignKey::default(),
        lost: Vec::new(),
    };
    let Some(child) = session.newest_table(child) else {
        return Ok(result);
    };
    result.key = foreign_key(&child, at)?.clone();
    let types = parent_types(parent, &result.key);
    for row in written {
        let Some(old) = &row.old else { continue };
        let old = parent_values(parent, &result.key, old);
        let Some(old_key) = encoded(&old, &types)? else {
            continue;
        };
        let new = row
            .new
            .as_ref()
            .map(|new| parent_values(parent, &result.key, new));
        if let Some(new) = &new
            && encoded(new, &types)?.as_ref() == Some(&old_key)
        {
            continue;
        }
        result.lost.push(Lost { old, new });
    }
    Ok(result)
}

/// Where the parent with these key values is looked for: its row, or its entry in a unique index.
pub(super) fn parent_place(
    parent: &TableHandle,
    key: &ForeignKey,
    values: &[Value],
) -> Result<Option<(KeyspaceId, Vec<u8>)>> {
    let mut row = vec![Value::Null; parent.table.columns.len()];
    let mut ordinals = Vec::with_capacity(values.len());
    for (number, value) in key.parent_columns.iter().zip(values) {
        let Some(ordinal) = parent.table.ordinal(*number) else {
            return Ok(None);
        };
        let Some(column) = parent.table.columns.get(ordinal) else {
            return Ok(None);
        };
        let Some(value) = converted(value, column.data_type) else {
            return Ok(None);
        };
        ordinals.push(ordinal);
        if let Some(place) = row.get_mut(ordinal) {
            *place = value;
        }
    }
    ordinals.sort_unstable();
    let same = |wanted: &[usize]| {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        wanted == ordinals
    };
    let mut place = Vec::with_capacity(24);
    if same(&parent.table.primary_key) {
        parent.codec.encode_key(&row, &mut place)?;
        return Ok(Some((parent.keyspace, place)));
    }
    let unique = parent
        .indexes
        .iter()
        .find(|index| index.unique && index.is_plain() && same(&index.ordinals));
    match unique {
        None => Ok(None),
        Some(index) => {
            index.entry(&row, &[], &mut place)?;
            Ok(Some((index.keyspace, place)))
        }
    }
}

/// A row of the child, with its key.
pub(super) type ChildRow = (Vec<u8>, Vec<Value>);

/// How the rows of a child that refer to certain keys are found.
pub(super) struct ChildSearch<'a> {
    pub(super) child: &'a TableHandle,
    pub(super) key: &'a ForeignKey,
    pub(super) types: Vec<DataType>,
    decoder: RowDecoder,
}

impl<'a> ChildSearch<'a> {
    pub(super) fn new(
        child: &'a TableHandle,
        key: &'a ForeignKey,
        parent: &TableHandle,
    ) -> ChildSearch<'a> {
        let all: Vec<usize> = (0..child.table.columns.len()).collect();
        ChildSearch {
            child,
            key,
            types: parent_types(parent, key),
            decoder: RowDecoder::new(Arc::clone(&child.codec), &all),
        }
    }

    /// A stored row, decoded.
    pub(super) fn decode(&self, key: &[u8], stored: &[u8]) -> Result<Vec<Value>> {
        let mut row = vec![Value::Null; self.child.table.columns.len()];
        self.decoder
            .decode_values(key, stored, &mut Vec::new(), &mut row)?;
        Ok(row)
    }

    /// Whether a row refers to the key.
    pub(super) fn refers(&self, row: &[Value], to: &[u8]) -> Result<bool> {
        let values = child_values(self.key, row);
        Ok(encoded(&values, &self.types)?.as_deref() == Some(to))
    }

    /// The access path whose first columns are the referring ones, with their order.
    fn path(&self) -> Option<(KeyspaceId, &KeyLayout, Vec<usize>, Option<usize>)> {
        let leads = |ordinals: &[usize]| {
            let first = ordinals.get(..self.key.columns.len())?;
            self.key
                .columns
                .iter()
                .all(|ordinal| first.contains(ordinal))
                .then(|| first.to_vec())
        };
        if let (Some(order), Some(layout)) = (
            leads(&self.child.table.primary_key),
            self.child.codec.key.as_ref(),
        ) {
            return Some((self.child.keyspace, layout, order, None));
        }
        self.child
            .indexes
            .iter()
            .enumerate()
            .find_map(|(at, index)| {
                if !index.is_plain() {
                    return None;
                }
                let order = leads(&index.ordinals)?;
                Some((index.keyspace, &index.layout, order, Some(at)))
            })
    }

    /// The rows that refer to one of `keys` (values, in the order of the foreign key), as
    /// `transaction` sees them: through an index where there is one, else in one walk.
    pub(super) fn rows(
        &self,
        keys: &[&[Value]],
        transaction: &rustling_txn::Transaction,
        context: &ExecContext,
    ) -> Result<Vec<ChildRow>> {
        let mut found = Vec::new();
        let Some((keyspace, layout, order, index)) = self.path() else {
            let mut wanted = hashbrown::HashSet::new();
            for values in keys {
                wanted.extend(encoded(values, &self.types)?);
            }
            let mut cursor = transaction
                .scan(self.child.keyspace, KeyRange::all(), Direction::Forward)
                .map_err(txn_error)?;
            let mut count = 0u32;
            while let Some((key, stored)) = cursor.next().map_err(txn_error)? {
                count = count.wrapping_add(1);
                if count.is_multiple_of(128) {
                    context.check()?;
                }
                let row = self.decode(key, stored)?;
                let values = child_values(self.key, &row);
                if encoded(&values, &self.types)?.is_some_and(|key| wanted.contains(&key)) {
                    found.push((key.to_vec(), row));
                }
            }
            return Ok(found);
        };
        for values in keys {
            context.check()?;
            let mut equal = Vec::with_capacity(order.len());
            for ordinal in &order {
                let place = self.key.columns.iter().position(|of| of == ordinal);
                let value = place.and_then(|place| values.get(place));
                let column = self.child.table.columns.get(*ordinal);
                if let (Some(value), Some(column)) = (value, column)
                    && let Some(value) = converted(value, column.data_type)
                {
                    equal.push(value);
                }
            }
            // A value that the child's type does not have refers to nothing.
            if equal.len() != order.len() {
                continue;
            }
            let Some(range) = key_range::key_range(layout, &equal, None, None)? else {
                continue;
            };
            let Some(to) = encoded(values, &self.types)? else {
                continue;
            };
            let mut row_keys = Vec::new();
            let mut cursor = transaction
                .scan(keyspace, range, Direction::Forward)
                .map_err(txn_error)?;
            while let Some((key, value)) = cursor.next().map_err(txn_error)? {
                let row_key = match index {
                    None => key,
                    Some(at) => self.child.index(at)?.row_key(key, value)?,
                };
                row_keys.push(row_key.to_vec());
            }
            drop(cursor);
            for key in row_keys {
                let stored = transaction
                    .get(self.child.keyspace, &key)
                    .map_err(txn_error)?;
                if let Some(stored) = stored {
                    let row = self.decode(&key, &stored)?;
                    if self.refers(&row, &to)? {
                        found.push((key, row));
                    }
                }
            }
        }
        Ok(found)
    }
}
