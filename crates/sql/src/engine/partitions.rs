//! Which partition a row belongs to.

use std::{cmp::Ordering, sync::Arc};

use hashbrown::HashMap;

use crate::{
    DataType, Error, Result, SqlState, Value,
    bound::ExprKind,
    catalog::{PartitionBound, PartitionStrategy, RangeEnd, Table, TableId, compare_ends},
    encoding::key::{KeyColumn, KeyLayout},
    engine::{constraints::shown, table::row_position},
    eval::{CompiledExpr, EvalContext},
    types::GroupKey,
};

/// The partitions of one table, arranged for looking them up by key.
#[derive(Debug)]
pub(crate) struct Routing {
    table: String,
    key_texts: Vec<String>,
    keys: Vec<CompiledExpr>,
    /// For each key its column's ordinal, where it is one, and its type.
    key_columns: Vec<(Option<usize>, DataType)>,
    bounds: HashMap<TableId, PartitionBound>,
    layout: KeyLayout,
    default: Option<TableId>,
    lookup: Lookup,
}

/// How a key finds its partition.
#[derive(Debug)]
enum Lookup {
    /// By value.
    List(HashMap<GroupKey, TableId>),
    /// Ranges in order, without overlap.
    Range(Vec<Range>),
    /// By remainder.
    Hash(Vec<(u32, u32, TableId)>),
}

#[derive(Debug)]
struct Range {
    from: Vec<RangeEnd>,
    to: Vec<RangeEnd>,
    id: TableId,
}

impl Routing {
    /// The routing of `table` to these partitions; `None` where it is not partitioned.
    pub(crate) fn new(table: &Table, partitions: &[Arc<Table>]) -> Result<Option<Routing>> {
        let Some(partitioning) = &table.partitioning else {
            return Ok(None);
        };
        let mut default = None;
        let mut lookup = match partitioning.strategy {
            PartitionStrategy::List => Lookup::List(HashMap::new()),
            PartitionStrategy::Range => Lookup::Range(Vec::new()),
            PartitionStrategy::Hash => Lookup::Hash(Vec::new()),
        };
        for partition in partitions {
            let id = partition.id;
            match (&partition.partition_bound, &mut lookup) {
                (Some(PartitionBound::Default), _) => default = Some(id),
                (Some(PartitionBound::List(values)), Lookup::List(known)) => {
                    known.extend(values.iter().map(|value| (GroupKey(value.clone()), id)));
                }
                (Some(PartitionBound::Range { from, to }), Lookup::Range(ranges)) => {
                    ranges.push(Range {
                        from: from.clone(),
                        to: to.clone(),
                        id,
                    });
                }
                (Some(PartitionBound::Hash { modulus, remainder }), Lookup::Hash(parts)) => {
                    parts.push((*modulus, *remainder, id));
                }
                _ => {}
            }
        }
        if let Lookup::Range(ranges) = &mut lookup {
            ranges.sort_by(|left, right| compare_ends(&left.from, &right.from));
        }
        Ok(Some(Routing {
            table: table.name.clone(),
            key_texts: partitioning
                .keys
                .iter()
                .map(|(text, _)| text.clone())
                .collect(),
            keys: partitioning
                .keys
                .iter()
                .map(|(_, expr)| CompiledExpr::compile(expr, &row_position))
                .collect::<Result<_>>()?,
            key_columns: partitioning
                .keys
                .iter()
                .map(|(_, expr)| match expr.kind {
                    ExprKind::Column(id) => (Some(id.0 as usize), expr.data_type),
                    _ => (None, expr.data_type),
                })
                .collect(),
            bounds: partitions
                .iter()
                .filter_map(|partition| Some((partition.id, partition.partition_bound.clone()?)))
                .collect(),
            layout: KeyLayout::index(
                partitioning
                    .types()
                    .map(|data_type| KeyColumn {
                        nullable: true,
                        ..KeyColumn::ascending(data_type)
                    })
                    .collect(),
            ),
            default,
            lookup,
        }))
    }

    /// The partition that a row of the partitioned table belongs to.
    pub(crate) fn find(&self, row: &[Value], eval: &EvalContext<'_>) -> Result<Option<TableId>> {
        self.find_key(&self.key(row, eval)?)
    }

    /// How many keys there are.
    pub(crate) fn key_count(&self) -> usize {
        self.key_columns.len()
    }

    /// The column of a key (by ordinal), where it is one, and the key's type.
    pub(crate) fn key_column(&self, at: usize) -> Option<(Option<usize>, DataType)> {
        self.key_columns.get(at).copied()
    }

    /// Which rows a partition holds.
    pub(crate) fn bound_of(&self, partition: TableId) -> Option<&PartitionBound> {
        self.bounds.get(&partition)
    }

    /// The partition that rows with this key belong to.
    pub(crate) fn find_key(&self, key: &[Value]) -> Result<Option<TableId>> {
        let found = match &self.lookup {
            Lookup::List(known) => key
                .first()
                .and_then(|value| known.get(&GroupKey(value.clone())).copied()),
            Lookup::Range(ranges) => {
                if key.iter().any(Value::is_null) {
                    None
                } else {
                    let ends: Vec<RangeEnd> = key.iter().cloned().map(RangeEnd::Value).collect();
                    // The last one that begins at or below the key.
                    let after = ranges.partition_point(|range| {
                        compare_ends(&range.from, &ends) != Ordering::Greater
                    });
                    after
                        .checked_sub(1)
                        .and_then(|at| ranges.get(at))
                        .filter(|range| compare_ends(&ends, &range.to) == Ordering::Less)
                        .map(|range| range.id)
                }
            }
            Lookup::Hash(parts) => {
                let hash = self.hash(key)?;
                parts
                    .iter()
                    .find(|(modulus, remainder, _)| {
                        hash % u64::from(*modulus) == u64::from(*remainder)
                    })
                    .map(|(_, _, id)| *id)
            }
        };
        Ok(found.or(self.default))
    }

    /// As [`Routing::find`]; a row that belongs to no partition is an error.
    pub(crate) fn route(&self, row: &[Value], eval: &EvalContext<'_>) -> Result<TableId> {
        if let Some(found) = self.find(row, eval)? {
            return Ok(found);
        }
        let values: Vec<String> = self.key(row, eval)?.iter().map(shown).collect();
        Err(Error::new(
            SqlState::CHECK_VIOLATION,
            format!("no partition of relation \"{}\" found for row", self.table),
        )
        .detail(format!(
            "Partition key of the failing row contains ({}) = ({}).",
            self.key_texts.join(", "),
            values.join(", ")
        )))
    }

    fn key(&self, row: &[Value], eval: &EvalContext<'_>) -> Result<Vec<Value>> {
        self.keys.iter().map(|key| key.eval(row, eval)).collect()
    }

    fn hash(&self, key: &[Value]) -> Result<u64> {
        let mut encoded = Vec::with_capacity(32);
        self.layout.encode(key, &mut encoded)?;
        Ok(partition_hash(&encoded))
    }
}

/// The hash that rows are spread over partitions by. It is part of the format: rows lie where it
/// has put them. FNV-1a over the key as indexes encode it, with the finisher of SplitMix64, so
/// that small moduli see all of its bits.
fn partition_hash(encoded: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in encoded {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// That a partition holds no rows but its own: one for each table above it.
#[derive(Clone, Debug)]
pub(crate) struct PartitionCheck {
    /// The partitions of the table above.
    pub(crate) routing: Arc<Routing>,
    /// Where that table's columns stand in the partition.
    pub(crate) columns: Arc<[usize]>,
    /// The partition of that table which this one is, or is part of.
    pub(crate) through: TableId,
}

impl PartitionCheck {
    /// Whether the row belongs here.
    pub(crate) fn holds(&self, row: &[Value], eval: &EvalContext<'_>) -> Result<bool> {
        let above = moved(row, &self.columns);
        Ok(self.routing.find(&above, eval)? == Some(self.through))
    }
}

/// The row with the values at these places.
pub(crate) fn moved(row: &[Value], places: &[usize]) -> Vec<Value> {
    places
        .iter()
        .map(|place| row.get(*place).cloned().unwrap_or(Value::Null))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(partition_hash(b""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(partition_hash(b"retldb"), 0x5176_388a_cf77_6205);
    }
}
