//! Running queries.

use std::sync::Arc;

use rustling_txn::Transaction;

use crate::{
    Result, Value,
    engine::{
        prepared::QueryAction, rows::Rows, session::Session, transaction_state::transaction_options,
    },
    executor::{self, ExecContext, Measurements, RowBuffer, SharedTables, StatementRandom},
    planner::physical::{InitKind, InitPlan},
};

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
            memory: self
                .memory
                .as_ref()
                .unwrap_or_else(|| inner.manager.store().memory())
                .clone(),
            buffers: Vec::new(),
            measurements,
        }
    }

    /// A transaction for a statement that reads: the open block's, with its statement begun,
    /// or a new one.
    pub(super) fn read_transaction(&mut self) -> Result<Arc<Transaction>> {
        self.statement_transaction(false)
    }

    /// As [`Session::read_transaction`]; one that `locks` rows may do so.
    pub(super) fn statement_transaction(&mut self, locks: bool) -> Result<Arc<Transaction>> {
        match &mut self.open {
            Some(open) => {
                open.begin_statement();
                Ok(Arc::clone(&open.transaction))
            }
            None => {
                let read_only = !locks || self.settings.read_only;
                let options =
                    transaction_options(&self.settings, self.settings.isolation, read_only);
                let transaction = Arc::new(self.database.inner.begin(options)?);
                self.cancel.reset(Some(transaction.cancel_handle()));
                self.note_transaction(&transaction);
                Ok(transaction)
            }
        }
    }

    /// Starts a query.
    pub(super) fn run_query(&mut self, query: &QueryAction, params: Vec<Value>) -> Result<Rows> {
        let tracks_reads = self.open.is_none()
            && self.settings.isolation == crate::bound::IsolationLevel::Serializable;
        if let (Some(point), false) = (&query.point, tracks_reads) {
            return self.run_point(query, point, &params);
        }
        let transaction = self.statement_transaction(query.plan.locks_rows())?;
        let mut context = self.exec_context(transaction, params, None);
        run_init_plans(&query.plan.init, &mut context)?;
        let operator = executor::build(&query.plan.root, &context, None)?;
        let failed = self.open.as_ref().map(|open| Arc::clone(&open.failed));
        Ok(Rows::running(
            Arc::clone(&query.columns),
            operator,
            context,
            failed,
        ))
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
