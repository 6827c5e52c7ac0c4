//! Running queries.

use std::sync::Arc;

use rustling_storage::MemoryBudget;
use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState, Value,
    engine::{
        prepared::{Action, Planned, Prepared, QueryAction},
        rows::Rows,
        session::Session,
        transaction_state::transaction_options,
    },
    executor::{self, ExecContext, Measurements, RowBuffer, SharedTables, StatementRandom},
    planner::physical::{InitKind, InitPlan},
};

/// How often a statement is planned anew because its tables change under it.
const REPLANS: u32 = 8;

/// What came of starting a query.
pub(super) enum Started {
    /// Its rows.
    Rows(Rows),
    /// A table that it reads has been defined anew since it was planned. These are its parameters.
    Stale(Vec<Value>),
}

/// A statement's tables were changed too often while it was planned, or since its transaction
/// took its snapshot.
pub(super) fn changed_meanwhile() -> Error {
    Error::new(
        SqlState::SERIALIZATION_FAILURE,
        "a table of the statement was changed by a concurrent transaction",
    )
    .hint("Run the transaction again.")
}

impl Session {
    /// What a statement in `transaction` runs with.
    pub(super) fn exec_context(
        &self,
        transaction: Arc<Transaction>,
        parameters: Vec<Value>,
        measurements: Option<Arc<Measurements>>,
    ) -> ExecContext {
        let inner = &self.database.inner;
        let transaction_time = match &self.open {
            Some(open) => open.time,
            None => inner.env.wall_clock(),
        };
        ExecContext {
            transaction,
            parameters,
            session: Arc::clone(&self.info),
            transaction_time,
            random: StatementRandom(Arc::clone(&inner.env.random)),
            cancel: self.cancel.clone(),
            deadline: self.deadline(),
            env: inner.env.clone(),
            spill: inner.spill.clone(),
            shared: SharedTables::default(),
            memory: self.memory_budget().clone(),
            buffers: Vec::new(),
            measurements,
        }
    }

    /// The memory that its statements may use.
    pub(super) fn memory_budget(&self) -> &MemoryBudget {
        let shared = self.database.inner.manager.store().memory();
        self.memory.as_ref().unwrap_or(shared)
    }

    /// A transaction for a statement that reads: the open block's, with its statement begun,
    /// or a new one.
    pub(super) fn read_transaction(&mut self) -> Result<Arc<Transaction>> {
        match &mut self.open {
            Some(open) => {
                open.begin_statement();
                Ok(Arc::clone(&open.transaction))
            }
            None => self.own_transaction(true),
        }
    }

    /// A transaction for one statement.
    pub(super) fn own_transaction(&mut self, read_only: bool) -> Result<Arc<Transaction>> {
        let read_only = read_only || self.settings.read_only;
        let options = transaction_options(&self.settings, self.settings.isolation, read_only);
        let transaction = Arc::new(self.database.inner.begin(options)?);
        self.cancel.reset(Some(transaction.cancel_handle()));
        self.note_transaction(&transaction);
        Ok(transaction)
    }

    /// The transaction for a query, with its statement begun; `None`: the plan is stale. The
    /// definitions of tables whose rows the query locks stay from then on.
    pub(super) fn query_transaction(
        &mut self,
        planned: &Planned,
    ) -> Result<Option<Arc<Transaction>>> {
        let locks = &planned.row_locks;
        let transaction = match &self.open {
            Some(open) => Arc::clone(&open.transaction),
            None => self.own_transaction(locks.is_empty())?,
        };
        if !executor::lock_tables(&transaction, locks)? {
            return Ok(None);
        }
        let transaction = match self.open {
            Some(_) => {
                drop(transaction);
                self.read_transaction()?
            }
            None => {
                transaction.begin_statement();
                transaction
            }
        };
        if self.fits_snapshot(planned) {
            return Ok(Some(transaction));
        }
        drop(transaction);
        if let Some(open) = &self.open {
            open.end_statement();
        }
        Ok(None)
    }

    /// Whether a plan is good for the snapshot of the statement that has just begun.
    pub(super) fn fits_snapshot(&self, planned: &Planned) -> bool {
        let inner = &self.database.inner;
        match &self.open {
            Some(open) => open.fits(planned, inner),
            None => planned.fits(inner),
        }
    }

    /// Notes that a statement has to be planned anew since its tables have changed; fails where
    /// it is given up.
    pub(super) fn note_stale(&self, replans: &mut u32) -> Result<()> {
        if self.keeps_snapshot() || *replans >= REPLANS {
            return Err(changed_meanwhile());
        }
        *replans += 1;
        Ok(())
    }

    /// Starts a query, or the one whose rows COPY takes.
    pub(super) fn run_query(
        &mut self,
        prepared: &Prepared,
        planned: Arc<Planned>,
        params: Vec<Value>,
    ) -> Result<Rows> {
        let (mut planned, mut params) = (planned, params);
        let mut replans = 0;
        loop {
            let Action::Query(query) = planned.action.inner() else {
                return Err(Error::new(
                    SqlState::INTERNAL_ERROR,
                    "the statement is no query",
                ));
            };
            params = match self.start_query(&planned, query, params)? {
                Started::Rows(rows) => return Ok(rows),
                Started::Stale(params) => params,
            };
            self.note_stale(&mut replans)?;
            (planned, params) = self.planned(prepared, params)?;
        }
    }

    /// Starts a query as it is planned.
    pub(super) fn start_query(
        &mut self,
        planned: &Planned,
        query: &QueryAction,
        params: Vec<Value>,
    ) -> Result<Started> {
        let tracks_reads = self.open.is_none()
            && self.settings.isolation == crate::bound::IsolationLevel::Serializable;
        if let (Some(point), false) = (&query.point, tracks_reads) {
            let rows = self.run_point(planned, query, point, &params)?;
            return Ok(rows.map_or_else(|| Started::Stale(params), Started::Rows));
        }
        let Some(transaction) = self.query_transaction(planned)? else {
            return Ok(Started::Stale(params));
        };
        let mut context = self.exec_context(transaction, params, None);
        run_init_plans(&query.plan.init, &mut context)?;
        let operator = executor::build(&query.plan.root, &context, None)?;
        let failed = self.open.as_ref().map(|open| Arc::clone(&open.failed));
        Ok(Started::Rows(Rows::running(
            Arc::clone(&query.columns),
            operator,
            context,
            failed,
        )))
    }
}

/// Evaluates the subqueries that are evaluated once; their values become parameters.
pub(super) fn run_init_plans(init: &[InitPlan], context: &mut ExecContext) -> Result<()> {
    for subquery in init {
        let value = {
            let mut operator = executor::build(&subquery.plan, context, None)?;
            let mut row = RowBuffer::new();
            let found = operator.next(context, &mut row)?;
            match subquery.kind {
                InitKind::Exists => Value::Boolean(found),
                InitKind::Scalar if !found => Value::Null,
                InitKind::Scalar => {
                    let value = row.first().cloned().unwrap_or(Value::Null);
                    if operator.next(context, &mut row)? {
                        return Err(executor::more_than_one_row());
                    }
                    value
                }
            }
        };
        context.set_parameter(subquery.parameter, value);
    }
    Ok(())
}
