//! EXPLAIN and EXPLAIN ANALYZE.

use std::sync::Arc;

use crate::{
    DataType, Error, Result, SqlState, Value,
    engine::{
        change::{ChangeAction, ChangeKind},
        error::txn_error,
        prepared::{Action, Planned, Prepared},
        query::{changed_meanwhile, run_init_plans},
        rows::{ResultColumn, Rows},
        session::Session,
        table::TableHandle,
        transaction_state::transaction_options,
    },
    executor::{self, ExecContext, Measurements, RowBuffer},
    planner::explain::{Explained, Run},
};

/// The line above the plan of a data-changing statement.
fn heading(change: &ChangeAction) -> String {
    let what = match change.kind {
        ChangeKind::Insert(_) => "Insert",
        ChangeKind::Merge { .. } => "Merge",
        ChangeKind::Update { .. } => "Update",
        ChangeKind::Delete { .. } => "Delete",
    };
    format!("{what} on {}", change.table.table.name)
}

/// The column of EXPLAIN.
pub(super) fn plan_column(json: bool) -> ResultColumn {
    ResultColumn {
        name: "QUERY PLAN".to_owned(),
        data_type: if json { DataType::Json } else { DataType::Text },
        nullable: false,
    }
}

/// The rows that show a plan.
fn shown(plan: &Explained, json: bool) -> Rows {
    if !json {
        return Rows::text("QUERY PLAN", plan.text());
    }
    Rows::fixed(
        vec![plan_column(true)],
        vec![vec![Value::Json(plan.json().as_str().into())]],
    )
}

impl Session {
    /// Prints the plan of `action`, after running it where `analyze`, in JSON where `json`.
    pub(super) fn run_explain(
        &mut self,
        prepared: &Arc<Prepared>,
        (analyze, json): (bool, bool),
        planned: &Planned,
        action: &Action,
        params: Vec<Value>,
    ) -> Result<Rows> {
        let (plan, head) = match action {
            Action::Query(query) => (&query.plan, None),
            Action::Change(change) => (&change.source, Some(heading(change))),
            Action::With { .. } => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "EXPLAIN of a statement whose WITH changes rows is not supported",
                )
                .hint("Explain its parts one by one."));
            }
            Action::Explain { .. } | Action::CopyTo(_) | Action::Utility(_) => {
                return Ok(Rows::text("QUERY PLAN", ["Utility statement".to_owned()]));
            }
        };
        if !analyze {
            return Ok(shown(&Explained::new(plan, head, None), json));
        }
        // How long planning takes is measured by doing it again.
        let env = self.database.env().clone();
        let start = env.now();
        let fresh = Prepared::from_ast(Arc::clone(&prepared.sql), prepared.ast.clone());
        fresh.plan(&self.catalog(), self.plan_options())?;
        let planning = env.now().saturating_sub(start);
        let measurements = Arc::new(Measurements::new(plan.nodes));
        let start = env.now();
        match action {
            Action::Change(change) => {
                self.analyze_change(planned, action, &change.table, params, &measurements)?;
            }
            _ => {
                let transaction = self
                    .query_transaction(planned)?
                    .ok_or_else(changed_meanwhile)?;
                let mut context =
                    self.exec_context(transaction, params, Some(Arc::clone(&measurements)));
                run_init_plans(&plan.init, &mut context)?;
                let mut operator = executor::build(&plan.root, &context, None)?;
                let mut row = RowBuffer::new();
                while operator.next(&context, &mut row)? {}
            }
        }
        let run = Run {
            measurements: &measurements,
            planning,
            execution: env.now().saturating_sub(start),
            peak_memory: self.database.store().memory().peak(),
        };
        Ok(shown(&Explained::new(plan, head, Some(&run)), json))
    }

    fn analyze_change(
        &mut self,
        planned: &Planned,
        action: &Action,
        table: &TableHandle,
        params: Vec<Value>,
        measurements: &Arc<Measurements>,
    ) -> Result<()> {
        let mut transaction = match &self.open {
            Some(open) => Arc::clone(&open.transaction),
            None => {
                let options = transaction_options(
                    &self.settings,
                    self.settings.isolation,
                    self.settings.read_only,
                );
                Arc::new(self.database.inner.begin(options)?)
            }
        };
        let locked = self.lock_for_writing(&transaction, table)?;
        if !locked || !executor::lock_tables(&transaction, &planned.row_locks)? {
            return Err(changed_meanwhile());
        }
        if self.open.is_some() {
            drop(transaction);
            transaction = self.read_transaction()?;
        } else {
            transaction.begin_statement();
        }
        if !self.fits_snapshot(planned) {
            return Err(changed_meanwhile());
        }
        let mut context = self.exec_context(transaction, params, Some(Arc::clone(measurements)));
        self.run_action(action, &mut context)?;
        if self.open.is_none() {
            super::foreign_keys::before_commit(self, &mut context)?;
        }
        let ExecContext { transaction, .. } = context;
        if self.open.is_none()
            && let Ok(transaction) = Arc::try_unwrap(transaction)
        {
            transaction.commit().map_err(txn_error)?;
        }
        Ok(())
    }
}
