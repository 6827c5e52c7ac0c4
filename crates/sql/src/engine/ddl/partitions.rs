//! Partitions that come and go: what they hold, and that the rows that are there fit.

use std::sync::Arc;

use rustling_storage::{Direction, KeyRange};
use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState, Value,
    bound::Expr,
    catalog::{PartitionBound, RangeEnd, Table, TableId, compare_ends},
    encoding::RowDecoder,
    engine::{
        error::txn_error,
        partitions::{Routing, moved},
        session::Session,
        table::TableHandle,
    },
    eval::CompiledExpr,
    types::GroupKey,
};

impl Session {
    /// Computes which rows a partition holds, and checks that no other partition of its parent
    /// holds some of them.
    pub(super) fn settle_bound(
        &mut self,
        transaction: &Transaction,
        table: &mut Table,
        bound: PartitionBound<Expr>,
    ) -> Result<()> {
        let bound = self.computed(bound)?;
        let Some(parent) = table
            .parents
            .first()
            .and_then(|parent| self.catalog().handle(*parent))
        else {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "a partition without a parent",
            ));
        };
        if let PartitionBound::Range { from, to } = &bound
            && compare_ends(from, to) != std::cmp::Ordering::Less
        {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!(
                    "empty range bound specified for partition \"{}\"",
                    table.name
                ),
            ));
        }
        let siblings: Vec<Arc<Table>> = self
            .catalog()
            .children(parent.table.id)
            .into_iter()
            .filter(|sibling| sibling.id != table.id)
            .collect();
        if let PartitionBound::Hash { modulus, .. } = &bound {
            for sibling in &siblings {
                let Some(PartitionBound::Hash { modulus: other, .. }) = &sibling.partition_bound
                else {
                    continue;
                };
                let (least, greatest) = (modulus.min(other), modulus.max(other));
                if greatest % least != 0 {
                    return Err(Error::new(
                        SqlState::INVALID_OBJECT_DEFINITION,
                        "every hash partition modulus must be a factor of the next larger modulus",
                    )
                    .detail(format!(
                        "The new modulus {modulus} does not go with {other}, the modulus of partition \"{}\".",
                        sibling.name
                    )));
                }
            }
        }
        let overlapped = siblings.iter().find(|sibling| {
            sibling
                .partition_bound
                .as_ref()
                .is_some_and(|other| other.overlaps(&bound))
        });
        if let Some(sibling) = overlapped {
            let message = if bound == PartitionBound::Default {
                format!(
                    "partition \"{}\" conflicts with existing default partition \"{}\"",
                    table.name, sibling.name
                )
            } else {
                format!(
                    "partition \"{}\" would overlap partition \"{}\"",
                    table.name, sibling.name
                )
            };
            return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
        }
        table.partition_bound = Some(bound);
        let mut all = siblings;
        all.push(Arc::new(table.clone()));
        let Some(routing) = Routing::new(&parent.table, &all)? else {
            return Ok(());
        };
        let default = all.iter().find(|sibling| {
            sibling.id != table.id && sibling.partition_bound == Some(PartitionBound::Default)
        });
        if let Some(default) = default {
            let stays = |found: Option<TableId>| found == Some(default.id);
            if !self.all_rows_belong(transaction, &parent.table, default, &routing, &stays)? {
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "updated partition constraint for default partition \"{}\" would be violated by some row",
                        default.name
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Fails where a table that becomes a partition holds rows that do not belong to it.
    pub(super) fn check_attached(
        &mut self,
        transaction: &Transaction,
        table: &Arc<Table>,
    ) -> Result<()> {
        let catalog = self.catalog();
        let Some(parent) = table.parents.first().and_then(|id| catalog.handle(*id)) else {
            return Ok(());
        };
        let mut all = catalog.children(parent.table.id);
        if !all.iter().any(|known| known.id == table.id) {
            all.push(Arc::clone(table));
        }
        let Some(routing) = Routing::new(&parent.table, &all)? else {
            return Ok(());
        };
        let belongs = |found: Option<TableId>| found == Some(table.id);
        if self.all_rows_belong(transaction, &parent.table, table, &routing, &belongs)? {
            return Ok(());
        }
        Err(Error::new(
            SqlState::CHECK_VIOLATION,
            format!(
                "partition constraint of relation \"{}\" is violated by some row",
                table.name
            ),
        ))
    }

    /// Whether the routing of `parent` sends every row of a table, and of its partitions, where
    /// it is wanted.
    fn all_rows_belong(
        &mut self,
        transaction: &Transaction,
        parent: &Table,
        table: &Arc<Table>,
        routing: &Routing,
        wanted: &dyn Fn(Option<TableId>) -> bool,
    ) -> Result<bool> {
        let catalog = self.catalog();
        let context = self.exec_context(self.open_transaction_handle()?, Vec::new(), None);
        let mut waiting = vec![table.id];
        while let Some(id) = waiting.pop() {
            let Some(handle) = catalog.handle(id) else {
                continue;
            };
            let handle = self.lock_table(transaction, &Arc::clone(&handle.table))?;
            waiting.extend(&handle.children);
            if handle.table.partitioning.is_some() {
                continue;
            }
            self.must_see_all_rows(&handle, "attaching a partition")?;
            let Some(places) = parent.columns_in(&handle.table) else {
                continue;
            };
            let mut count = 0u32;
            let mut rows = RowWalk::new(transaction, &handle)?;
            while let Some(row) = rows.next()? {
                count = count.wrapping_add(1);
                if count.is_multiple_of(128) {
                    context.check()?;
                }
                if !wanted(routing.find(&moved(row, &places), &context.eval())?) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn computed(&self, bound: PartitionBound<Expr>) -> Result<PartitionBound> {
        let context = self.exec_context(self.open_transaction_handle()?, Vec::new(), None);
        let value = |expr: &Expr| -> Result<Value> {
            CompiledExpr::compile(expr, &|_| None)?.eval(&[], &context.eval())
        };
        let ends = |ends: Vec<RangeEnd<Expr>>| -> Result<Vec<RangeEnd>> {
            ends.iter()
                .map(|end| match end {
                    RangeEnd::Min => Ok(RangeEnd::Min),
                    RangeEnd::Max => Ok(RangeEnd::Max),
                    RangeEnd::Value(expr) => match value(expr)? {
                        Value::Null => Err(Error::new(
                            SqlState::INVALID_OBJECT_DEFINITION,
                            "cannot specify NULL in range bound",
                        )
                        .at(expr.span)),
                        value => Ok(RangeEnd::Value(value)),
                    },
                })
                .collect()
        };
        Ok(match bound {
            PartitionBound::Default => PartitionBound::Default,
            PartitionBound::List(values) => {
                let mut distinct: Vec<Value> = Vec::with_capacity(values.len());
                for expr in &values {
                    let value = value(expr)?;
                    let known = distinct
                        .iter()
                        .any(|known| GroupKey(known.clone()) == GroupKey(value.clone()));
                    if !known {
                        distinct.push(value);
                    }
                }
                PartitionBound::List(distinct)
            }
            PartitionBound::Range { from, to } => PartitionBound::Range {
                from: ends(from)?,
                to: ends(to)?,
            },
            PartitionBound::Hash { modulus, remainder } => {
                PartitionBound::Hash { modulus, remainder }
            }
        })
    }
}

/// The rows of a table, one after the other.
struct RowWalk {
    cursor: rustling_txn::TransactionCursor,
    decoder: RowDecoder,
    row: Vec<Value>,
    scratch: Vec<u8>,
}

impl RowWalk {
    fn new(transaction: &Transaction, handle: &TableHandle) -> Result<RowWalk> {
        let all: Vec<usize> = (0..handle.table.columns.len()).collect();
        Ok(RowWalk {
            cursor: transaction
                .scan(handle.keyspace, KeyRange::all(), Direction::Forward)
                .map_err(txn_error)?,
            decoder: RowDecoder::new(Arc::clone(&handle.codec), &all),
            row: vec![Value::Null; all.len()],
            scratch: Vec::new(),
        })
    }

    fn next(&mut self) -> Result<Option<&[Value]>> {
        let Some((key, stored)) = self.cursor.next().map_err(txn_error)? else {
            return Ok(None);
        };
        self.decoder
            .decode_values(key, stored, &mut self.scratch, &mut self.row)?;
        Ok(Some(&self.row))
    }
}
