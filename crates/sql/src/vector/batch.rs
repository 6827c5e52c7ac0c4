//! Batches: some rows, column by column.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::{concat::concat, filter::FilterBuilder, take::take};

use crate::{
    Error, Result, SqlState,
    planner::physical::PlanColumn,
    vector::{convert::empty_array, decimal},
};

/// Rows as Arrow arrays of one length. A batch may have no column and still have rows.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// The columns, in the order of the node that gives the batch.
    pub(crate) columns: Vec<ArrayRef>,
    /// How many rows there are.
    pub(crate) rows: usize,
}

/// What an Arrow kernel refuses: only a bug of ours makes it.
#[cold]
pub(crate) fn arrow_error(error: ArrowError) -> Error {
    Error::new(
        SqlState::INTERNAL_ERROR,
        format!("a vector kernel failed: {error}"),
    )
}

impl Batch {
    /// No rows of these columns.
    pub(crate) fn empty(columns: &[PlanColumn]) -> Batch {
        Batch {
            columns: columns
                .iter()
                .map(|column| empty_array(column.data_type))
                .collect(),
            rows: 0,
        }
    }

    /// The rows where `mask` is true.
    pub(crate) fn filter(&self, mask: &BooleanArray) -> Result<Batch> {
        let chosen = mask.true_count();
        if chosen == self.rows {
            return Ok(self.clone());
        }
        let mut filter = FilterBuilder::new(mask);
        if self.columns.len() > 1 {
            filter = filter.optimize();
        }
        let filter = filter.build();
        Ok(Batch {
            columns: self
                .columns
                .iter()
                .map(|column| filter.filter(column).map_err(arrow_error))
                .collect::<Result<_>>()?,
            rows: chosen,
        })
    }

    /// The rows at `indices`; a NULL index makes a row of NULLs.
    pub(crate) fn take(&self, indices: &UInt32Array) -> Result<Batch> {
        Ok(Batch {
            columns: self
                .columns
                .iter()
                .map(|column| take(column, indices, None).map_err(arrow_error))
                .collect::<Result<_>>()?,
            rows: indices.len(),
        })
    }

    /// `len` rows from `offset` on, without copying.
    pub(crate) fn slice(&self, offset: usize, len: usize) -> Batch {
        Batch {
            columns: self
                .columns
                .iter()
                .map(|column| column.slice(offset, len))
                .collect(),
            rows: len,
        }
    }

    /// All rows of `batches` (which have `columns`) in one.
    pub(crate) fn concat(columns: &[PlanColumn], batches: &[Batch]) -> Result<Batch> {
        match batches {
            [] => Ok(Batch::empty(columns)),
            [only] => Ok(only.clone()),
            _ => Ok(Batch {
                columns: (0..columns.len())
                    .map(|at| {
                        let parts = batches.iter().filter_map(|batch| batch.columns.get(at));
                        let parts = decimal::unify(parts.map(Arc::clone).collect());
                        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                        concat(&parts).map_err(arrow_error)
                    })
                    .collect::<Result<_>>()?,
                rows: batches.iter().map(|batch| batch.rows).sum(),
            }),
        }
    }

    /// About how many bytes it takes. Text that a filter has left out but that still stands in
    /// a shared buffer counts too.
    pub(crate) fn bytes(&self) -> usize {
        self.columns
            .iter()
            .map(|column| column.get_array_memory_size())
            .sum()
    }
}
