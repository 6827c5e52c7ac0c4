//! The index union: rows that one of several index scans leads to, each once.

use std::{sync::Arc, vec};

use crate::{
    Error, Result, SqlState, Value,
    engine::error::txn_error,
    executor::{ExecContext, MemoryMeter, Operator, RowBuffer, Scan, passes},
    planner::physical::ScanNode,
};

/// How many keys pass between two looks at the cancel token.
const CHECK_EVERY: usize = 128;

/// Collects the keys of rows, then reads the rows in the order of their keys. Where memory does not
/// hold the keys, it reads the table instead.
pub(crate) struct IndexUnion {
    branches: Vec<Box<dyn Operator>>,
    fetch: Arc<ScanNode>,
    state: State,
    memory: MemoryMeter,
}

enum State {
    /// The keys are still to be collected.
    New,
    /// The rows of these keys are to be read.
    Fetching(vec::IntoIter<Vec<u8>>),
    /// The whole table is read.
    Reading(Box<Scan>),
}

impl IndexUnion {
    /// The rows whose keys `branches` give, read as `fetch` says.
    pub(crate) fn new(
        branches: Vec<Box<dyn Operator>>,
        fetch: Arc<ScanNode>,
        context: &ExecContext,
    ) -> Result<IndexUnion> {
        Ok(IndexUnion {
            branches,
            fetch,
            state: State::New,
            memory: MemoryMeter::new(context, "keys of rows")?,
        })
    }

    /// The keys, in the order in which the rows are given; `None`: they are too many.
    fn collect(&mut self, context: &ExecContext) -> Result<Option<Vec<Vec<u8>>>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut row = RowBuffer::new();
        for branch in &mut self.branches {
            while branch.next(context, &mut row)? {
                if keys.len().is_multiple_of(CHECK_EVERY) {
                    context.check()?;
                }
                let Some(Value::Bytea(key)) = row.pop() else {
                    return Err(Error::new(
                        SqlState::INTERNAL_ERROR,
                        "a branch of an index union gives no keys",
                    ));
                };
                let bytes = size_of::<Vec<u8>>() + key.len();
                match self.memory.try_grow(bytes, context) {
                    Ok(true) => keys.push(key),
                    Ok(false) => return Ok(None),
                    Err(error) if error.state() == SqlState::OUT_OF_MEMORY => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        if self.fetch.backward {
            keys.reverse();
        }
        Ok(Some(keys))
    }

    fn begin(&mut self, context: &ExecContext) -> Result<State> {
        let keys = self.collect(context)?;
        self.branches.clear();
        Ok(match keys {
            Some(keys) => State::Fetching(keys.into_iter()),
            None => {
                self.memory.clear();
                State::Reading(Box::new(Scan::open_checking(&self.fetch, context)?))
            }
        })
    }
}

impl Operator for IndexUnion {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        loop {
            match &mut self.state {
                State::New => self.state = self.begin(context)?,
                State::Reading(scan) => return scan.next(context, row),
                State::Fetching(keys) => {
                    let Some(key) = keys.next() else {
                        return Ok(false);
                    };
                    if keys.len().is_multiple_of(CHECK_EVERY) {
                        context.check()?;
                    }
                    let node = &self.fetch;
                    row.resize(node.width(), Value::Null);
                    let found = context
                        .transaction
                        .get_with(node.table.keyspace, &key, |stored| {
                            node.decoder
                                .decode_values(&key, stored, &mut Vec::new(), row)
                        })
                        .map_err(txn_error)?;
                    let Some(decoded) = found else { continue };
                    decoded?;
                    if node.row_key.is_some() {
                        row[node.ordinals.len()] = Value::Bytea(key);
                    }
                    if passes(&node.implied, row, context)? && passes(&node.filter, row, context)? {
                        return Ok(true);
                    }
                }
            }
        }
    }
}
