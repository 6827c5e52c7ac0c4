//! What the operators of a running statement share.

use std::{sync::Arc, time::Duration};

use rustling_storage::{Env, MemoryBudget, Randomness, Reservation};
use rustling_txn::Transaction;

use crate::{
    Result, Value,
    engine::{cancel::CancelToken, error::storage_error},
    eval::{EvalContext, RandomSource, SessionInfo},
    executor::Measurements,
};

/// What a running statement works with.
#[derive(Debug)]
pub(crate) struct ExecContext {
    /// The transaction, its statement begun.
    pub(crate) transaction: Arc<Transaction>,
    /// The statement's parameters, then the values of its subqueries.
    pub(crate) parameters: Vec<Value>,
    /// What functions like `current_user` tell.
    pub(crate) session: Arc<SessionInfo>,
    /// When the transaction began: microseconds since 1970 UTC.
    pub(crate) transaction_time: i64,
    /// What `random()` draws from.
    pub(crate) random: StatementRandom,
    /// Ends the statement from outside.
    pub(crate) cancel: CancelToken,
    /// When the statement is to end, on the clock of `env`.
    pub(crate) deadline: Option<Duration>,
    /// Time and randomness.
    pub(crate) env: Env,
    /// Where operators reserve their memory.
    pub(crate) memory: MemoryBudget,
    /// Rows that were put aside for the plan, by slot.
    pub(crate) buffers: Vec<Arc<Vec<Vec<Value>>>>,
    /// Where EXPLAIN ANALYZE collects.
    pub(crate) measurements: Option<Arc<Measurements>>,
}

/// Random bits from the environment.
#[derive(Clone, Debug)]
pub(crate) struct StatementRandom(pub(crate) Arc<dyn Randomness>);

impl RandomSource for StatementRandom {
    fn next_u64(&self) -> u64 {
        self.0.next_u64()
    }
}

impl ExecContext {
    /// What expressions are evaluated with.
    #[inline]
    pub(crate) fn eval(&self) -> EvalContext<'_> {
        EvalContext {
            parameters: &self.parameters,
            transaction_time: self.transaction_time,
            random: &self.random,
            session: &self.session,
        }
    }

    /// Puts rows aside for the plans that run from now on.
    pub(crate) fn put_aside(&mut self, slot: usize, rows: Vec<Vec<Value>>) {
        if self.buffers.len() <= slot {
            self.buffers.resize_with(slot + 1, Arc::default);
        }
        if let Some(place) = self.buffers.get_mut(slot) {
            *place = Arc::new(rows);
        }
    }

    /// Fails where the statement is to end. Operators call it every few rows.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        self.cancel.check()?;
        match self.deadline {
            Some(deadline) if self.env.now() >= deadline => Err(crate::engine::cancel::timed_out()),
            _ => Ok(()),
        }
    }
}

/// Reserves the memory of an operator in steps, so that a row costs no atomic operation.
#[derive(Debug)]
pub(crate) struct MemoryMeter {
    reservation: Reservation,
    used: usize,
}

impl MemoryMeter {
    const STEP: usize = 64 << 10;

    /// A meter for the memory of `purpose`.
    pub(crate) fn new(context: &ExecContext, purpose: &'static str) -> Result<MemoryMeter> {
        MemoryMeter::of(&context.memory, purpose)
    }

    /// As [`MemoryMeter::new`], outside a statement.
    pub(crate) fn of(memory: &MemoryBudget, purpose: &'static str) -> Result<MemoryMeter> {
        let reservation = memory.reserve(0, purpose).map_err(storage_error)?;
        Ok(MemoryMeter {
            reservation,
            used: 0,
        })
    }

    /// Counts `bytes` more.
    #[inline]
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        self.used += bytes;
        if self.used > self.reservation.bytes() {
            let more = (self.used - self.reservation.bytes()).max(MemoryMeter::STEP);
            self.reservation.grow(more).map_err(storage_error)?;
        }
        Ok(())
    }

    /// Counts `bytes` less. What is reserved stays reserved.
    #[inline]
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// About how many bytes a kept row takes.
pub(crate) fn row_bytes(row: &[Value]) -> usize {
    let heap: usize = row.iter().map(Value::heap_size).sum();
    size_of::<Vec<Value>>() + size_of_val(row) + heap
}
