//! What the operators of a running statement share.

use std::{sync::Arc, time::Duration};

use rustling_storage::{Env, MemoryBudget, Randomness, Reservation};
use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState, Value,
    engine::{cancel::CancelToken, error::storage_error},
    eval::{EvalContext, RandomSource, SessionInfo},
    executor::{Measurements, SharedTables, spill::SpillSpace},
};

/// What a running statement works with.
#[derive(Clone, Debug)]
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
    /// Where rows go that do not fit into memory; `None`: the database has no files.
    pub(crate) spill: Option<Arc<SpillSpace>>,
    /// The rows kept of WITH queries.
    pub(crate) shared: SharedTables,
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

    /// Where rows go that do not fit into memory.
    pub(crate) fn spill_space(&self) -> Result<&SpillSpace> {
        self.spill.as_deref().ok_or_else(|| {
            Error::new(
                SqlState::OUT_OF_MEMORY,
                "the memory budget is used up, and a database in memory has no files to turn to",
            )
        })
    }

    /// Gives a parameter its value. Those that have none yet are NULL.
    pub(crate) fn set_parameter(&mut self, parameter: usize, value: Value) {
        if self.parameters.len() <= parameter {
            self.parameters.resize(parameter + 1, Value::Null);
        }
        if let Some(place) = self.parameters.get_mut(parameter) {
            *place = value;
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
    /// One operator that can use files takes at most this part of the budget.
    const OPERATORS: usize = 8;

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
        let used = self.used + bytes;
        if used > self.reservation.bytes() {
            let more = (used - self.reservation.bytes()).max(MemoryMeter::STEP);
            self.reservation.grow(more).map_err(storage_error)?;
        }
        self.used = used;
        Ok(())
    }

    /// Counts `bytes` more, unless that is more than one operator may hold or than there is:
    /// then rows should go into temporary files. Without files, and where nothing is held yet,
    /// as [`MemoryMeter::grow`].
    #[inline]
    pub(crate) fn try_grow(&mut self, bytes: usize, context: &ExecContext) -> Result<bool> {
        if self.used == 0 || context.spill.is_none() {
            return self.grow(bytes).map(|()| true);
        }
        let share = (context.memory.limit() / MemoryMeter::OPERATORS).max(MemoryMeter::STEP);
        if self.used + bytes > share {
            return Ok(false);
        }
        match self.grow(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.state() == SqlState::OUT_OF_MEMORY => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives back everything.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.reservation.shrink(self.reservation.bytes());
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
