//! Scans: of a table, of a part of it by key, of an index.

use std::sync::Arc;

use rustling_storage::{Direction, KeyRange};
use rustling_txn::TransactionCursor;

use crate::{
    Result, Value,
    encoding::KeyLayout,
    engine::{error::txn_error, key_range},
    executor::{ExecContext, Operator, RowBuffer, Substitute, passes},
    planner::physical::{AccessPath, KeyCondition, ScanNode},
};

/// How many rows pass between two looks at the cancel token.
const CHECK_EVERY: u32 = 128;

/// The key range that `condition` stands for. The values may refer to columns of `outer`.
/// `None`: no row can match.
pub(crate) fn key_range_of(
    layout: Option<&KeyLayout>,
    condition: &KeyCondition,
    outer: &[Value],
    context: &ExecContext,
) -> Result<Option<KeyRange>> {
    let Some(layout) = layout.filter(|_| !condition.is_all()) else {
        return Ok(Some(KeyRange::all()));
    };
    let eval = context.eval();
    let mut equal = Vec::with_capacity(condition.equal.len());
    for value in &condition.equal {
        equal.push(value.compiled.eval(outer, &eval)?);
    }
    let bound = |bound: &Option<crate::planner::physical::KeyBound>| -> Result<_> {
        bound
            .as_ref()
            .map(|bound| Ok((bound.value.compiled.eval(outer, &eval)?, bound.inclusive)))
            .transpose()
    };
    let lower = bound(&condition.lower)?;
    let upper = bound(&condition.upper)?;
    key_range::key_range(layout, &equal, lower.as_ref(), upper.as_ref())
}

/// A scan at work.
pub(crate) struct Scan {
    node: Arc<ScanNode>,
    source: Source,
    scratch: Vec<u8>,
    row_key: Vec<u8>,
    rows: u32,
}

enum Source {
    /// Nothing (more) to come.
    Empty,
    /// One row by its whole key.
    Point(Vec<u8>),
    /// Rows in key order.
    Table(TransactionCursor),
    /// Index entries in key order, each leading to a row.
    Index(TransactionCursor),
    /// One index entry by its whole unique key.
    UniquePoint(Vec<u8>),
}

impl Scan {
    /// Opens a scan. The values of its key condition may refer to columns of `outer`.
    pub(crate) fn open(
        node: &Arc<ScanNode>,
        outer: &[Value],
        context: &ExecContext,
    ) -> Result<Scan> {
        let direction = if node.backward {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let (keyspace, layout, unique) = match node.path {
            AccessPath::Table => (node.table.keyspace, node.table.codec.key.as_ref(), true),
            AccessPath::Index(index) => {
                let index = node.table.index(index)?;
                (index.keyspace, Some(&index.layout), index.unique)
            }
        };
        let range = key_range_of(layout, &node.condition, outer, context)?;
        let point = unique
            && layout.is_some_and(|layout| layout.columns().len() == node.condition.equal.len());
        let source = match (range, node.path) {
            (None, _) => Source::Empty,
            (Some(range), path) if point => match (key_range::first_key(range), path) {
                (None, _) => Source::Empty,
                (Some(key), AccessPath::Table) => Source::Point(key),
                (Some(key), AccessPath::Index(_)) => Source::UniquePoint(key),
            },
            (Some(range), path) => {
                let cursor = context
                    .transaction
                    .scan(keyspace, range, direction)
                    .map_err(txn_error)?;
                match path {
                    AccessPath::Table => Source::Table(cursor),
                    AccessPath::Index(_) => Source::Index(cursor),
                }
            }
        };
        Ok(Scan {
            node: Arc::clone(node),
            source,
            scratch: Vec::new(),
            row_key: Vec::new(),
            rows: 0,
        })
    }

    /// Fetches the row whose key is in `self.row_key`.
    fn fetch(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let (node, key, scratch) = (&self.node, &self.row_key, &mut self.scratch);
        row.resize(node.width(), Value::Null);
        let found = context
            .transaction
            .get_with(node.table.keyspace, key, |stored| {
                node.decoder.decode_values(key, stored, scratch, row)
            })
            .map_err(txn_error)?;
        match found {
            None => Ok(false),
            Some(decoded) => {
                decoded?;
                if node.row_key.is_some() {
                    row[node.ordinals.len()] = Value::Bytea(key.clone());
                }
                Ok(true)
            }
        }
    }
}

impl Operator for Scan {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        loop {
            self.rows += 1;
            if self.rows.is_multiple_of(CHECK_EVERY) {
                context.check()?;
            }
            let found = match &mut self.source {
                Source::Empty => return Ok(false),
                Source::Point(key) => {
                    self.row_key = std::mem::take(key);
                    self.source = Source::Empty;
                    self.fetch(context, row)?
                }
                Source::UniquePoint(key) => {
                    let key = std::mem::take(key);
                    self.source = Source::Empty;
                    let AccessPath::Index(index) = self.node.path else {
                        return Ok(false);
                    };
                    let index = self.node.table.index(index)?;
                    match context
                        .transaction
                        .get(index.keyspace, &key)
                        .map_err(txn_error)?
                    {
                        None => false,
                        Some(row_key) => match &self.node.entries {
                            Some(entries) => {
                                row.resize(self.node.width(), Value::Null);
                                let (table, scratch) = (&self.node.table, &mut self.scratch);
                                entries.decode(table, &key, &row_key, scratch, row)?;
                                true
                            }
                            None => {
                                self.row_key = row_key;
                                self.fetch(context, row)?
                            }
                        },
                    }
                }
                Source::Table(cursor) => {
                    let Some((key, stored)) = cursor.next().map_err(txn_error)? else {
                        return Ok(false);
                    };
                    let node = &self.node;
                    row.resize(node.width(), Value::Null);
                    node.decoder
                        .decode_values(key, stored, &mut self.scratch, row)?;
                    if node.row_key.is_some() {
                        row[node.ordinals.len()] = Value::Bytea(key.to_vec());
                    }
                    true
                }
                Source::Index(cursor) => {
                    let Some((key, value)) = cursor.next().map_err(txn_error)? else {
                        return Ok(false);
                    };
                    if let Some(entries) = &self.node.entries {
                        row.resize(self.node.width(), Value::Null);
                        let (table, scratch) = (&self.node.table, &mut self.scratch);
                        entries.decode(table, key, value, scratch, row)?;
                        if passes(&self.node.filter, row, context)? {
                            return Ok(true);
                        }
                        continue;
                    }
                    let AccessPath::Index(index) = self.node.path else {
                        return Ok(false);
                    };
                    let row_key = self.node.table.index(index)?.row_key(key, value)?;
                    self.row_key.clear();
                    self.row_key.extend_from_slice(row_key);
                    self.fetch(context, row)?
                }
            };
            if found && passes(&self.node.filter, row, context)? {
                return Ok(true);
            }
        }
    }
}

/// A given row in the place of a scan, seen if it passes the scan's conditions.
pub(crate) struct SubstitutedScan {
    node: Arc<ScanNode>,
    row: Option<Substitute>,
}

impl SubstitutedScan {
    /// A scan that gives `row` at most.
    pub(crate) fn new(node: Arc<ScanNode>, row: Substitute) -> SubstitutedScan {
        SubstitutedScan {
            node,
            row: Some(row),
        }
    }
}

impl Operator for SubstitutedScan {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let Some(given) = self.row.take() else {
            return Ok(false);
        };
        let Some(stored) = given.row else {
            return Ok(false);
        };
        let node = &self.node;
        row.resize(node.width(), Value::Null);
        node.decoder
            .decode_values(&given.key, &stored, &mut Vec::new(), row)?;
        if node.row_key.is_some() {
            row[node.ordinals.len()] = Value::Bytea(given.key);
        }
        Ok(passes(&node.condition_exprs, row, context)? && passes(&node.filter, row, context)?)
    }
}
