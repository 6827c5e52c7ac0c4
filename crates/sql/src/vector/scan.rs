//! Reading tables into batches.
//!
//! One cursor serves all workers: under its lock a worker copies the bytes of some thousand
//! rows, then decodes them on its own. So the table is read in one order, whatever the number
//! of threads, and each holds one chunk of bytes at most.

use std::sync::Arc;

use parking_lot::Mutex;
use rustling_storage::Direction;
use rustling_txn::TransactionCursor;

use crate::{
    DataType, Result,
    encoding::ValueRef,
    engine::error::txn_error,
    executor::{ExecContext, key_range_of},
    planner::physical::{PlanColumn, ScanNode},
    vector::{
        batch::Batch,
        convert::ColumnBuilder,
        expr::{self, VectorExpr},
    },
};

/// A chunk of stored rows.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Its number in the order of the scan.
    pub(crate) number: u64,
    bytes: Vec<u8>,
    /// Where each row's key and value end.
    ends: Vec<(usize, usize)>,
    scratch: Vec<u8>,
}

impl Chunk {
    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Chunks end early at this many bytes.
const CHUNK_BYTES: usize = 4 << 20;

/// A table being scanned.
pub(crate) struct ScanSource {
    node: Arc<ScanNode>,
    /// `None`: no row can match, or all have been read.
    cursor: Mutex<(Option<TransactionCursor>, u64)>,
    filter: Vec<VectorExpr>,
}

impl ScanSource {
    /// Opens a scan of the table itself. It sees the table as it is now.
    pub(crate) fn open(
        node: &Arc<ScanNode>,
        columns: &[PlanColumn],
        context: &ExecContext,
    ) -> Result<ScanSource> {
        let direction = if node.backward {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let layout = node.table.codec.key.as_ref();
        let cursor = match key_range_of(layout, &node.condition, &[], context)? {
            Some(range) => Some(
                context
                    .transaction
                    .scan(node.table.keyspace, range, direction)
                    .map_err(txn_error)?,
            ),
            None => None,
        };
        Ok(ScanSource {
            node: Arc::clone(node),
            cursor: Mutex::new((cursor, 0)),
            filter: VectorExpr::all(node.filter.iter().map(|of| &of.expr), columns)?,
        })
    }

    /// Makes `chunk` the next rows, at most `rows` of them; `false`: there are none.
    pub(crate) fn fill(&self, chunk: &mut Chunk, rows: usize) -> Result<bool> {
        chunk.bytes.clear();
        chunk.ends.clear();
        let mut guard = self.cursor.lock();
        let (cursor, number) = &mut *guard;
        let Some(open) = cursor else {
            return Ok(false);
        };
        while chunk.ends.len() < rows && chunk.bytes.len() < CHUNK_BYTES {
            match open.next().map_err(txn_error)? {
                Some((key, value)) => {
                    chunk.bytes.extend_from_slice(key);
                    let key_end = chunk.bytes.len();
                    chunk.bytes.extend_from_slice(value);
                    chunk.ends.push((key_end, chunk.bytes.len()));
                }
                None => {
                    *cursor = None;
                    break;
                }
            }
        }
        chunk.number = *number;
        *number += 1;
        Ok(!chunk.ends.is_empty())
    }

    /// The rows of `chunk` that pass the scan's filter.
    pub(crate) fn decode(&self, chunk: &mut Chunk, context: &ExecContext) -> Result<Batch> {
        let rows = chunk.ends.len();
        let decoder = &self.node.decoder;
        let mut builders: Vec<ColumnBuilder> = decoder
            .types()
            .iter()
            .map(|data_type| ColumnBuilder::new(*data_type, rows))
            .collect();
        let mut keys = self
            .node
            .row_key
            .map(|_| ColumnBuilder::new(DataType::Bytea, rows));
        let mut begin = 0;
        for (key_end, end) in &chunk.ends {
            let key = &chunk.bytes[begin..*key_end];
            let value = &chunk.bytes[*key_end..*end];
            begin = *end;
            decoder.decode(key, value, &mut chunk.scratch, |slot, value| match builders
                .get_mut(slot)
            {
                Some(builder) => builder.append_ref(value),
                None => Ok(()),
            })?;
            if let Some(keys) = &mut keys {
                keys.append_ref(ValueRef::Bytes(key))?;
            }
        }
        let batch = Batch {
            columns: builders
                .iter_mut()
                .chain(&mut keys)
                .map(ColumnBuilder::finish)
                .collect(),
            rows,
        };
        expr::filter(&self.filter, batch, context)
    }
}
