//! Checks that wait for the end of the transaction, and SET CONSTRAINTS.

use std::collections::HashMap;

use crate::{
    Result, SqlState,
    catalog::{Deferral, TableId},
    engine::{
        notice::Notice,
        session::{Session, StatementResult},
    },
    executor::ExecContext,
};

use super::checks::{self, Check};

/// What a transaction has said about its constraints, and which checks wait.
///
/// A check that waits looks again at everything when it is made, so what is rolled back to a
/// savepoint need not be taken out.
#[derive(Debug, Default)]
pub(crate) struct ConstraintModes {
    /// SET CONSTRAINTS ALL: whether they wait.
    pub(crate) all: Option<bool>,
    /// SET CONSTRAINTS name.
    pub(crate) named: HashMap<(TableId, String), bool>,
    /// The checks, oldest first.
    pub(super) queue: Vec<Check>,
}

impl ConstraintModes {
    /// Whether no check waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// SET CONSTRAINTS ALL overrides what was said of single ones.
    pub(crate) fn set_all(&mut self, deferred: bool) {
        self.named.clear();
        self.all = Some(deferred);
    }
}

/// Whether the check waits.
pub(super) fn is_deferred(session: &Session, check: &Check) -> Result<bool> {
    let Some(table) = session.newest_table(check.table) else {
        return Ok(false);
    };
    let key = table
        .table
        .foreign_keys
        .iter()
        .find(|key| key.name == check.constraint);
    let modes = &session.constraints;
    Ok(match key.map(|key| key.deferral) {
        None | Some(Deferral::Never) => false,
        Some(deferral) => modes
            .named
            .get(&(check.table, check.constraint.clone()))
            .copied()
            .or(modes.all)
            .unwrap_or(deferral == Deferral::Deferred),
    })
}

/// Makes the checks that have waited, before the transaction of `context` commits.
pub(crate) fn before_commit(session: &mut Session, context: &mut ExecContext) -> Result<()> {
    let modes = std::mem::take(&mut session.constraints);
    for check in &modes.queue {
        context.check()?;
        checks::run(session, check, context)?;
    }
    Ok(())
}

/// Makes those checks that need not wait any more.
fn run_immediate(session: &mut Session, context: &mut ExecContext) -> Result<()> {
    let queue = std::mem::take(&mut session.constraints.queue);
    let mut waiting = Vec::new();
    for check in queue {
        if is_deferred(session, &check)? {
            waiting.push(check);
        } else {
            checks::run(session, &check, context)?;
        }
    }
    session.constraints.queue = waiting;
    Ok(())
}

impl Session {
    /// SET CONSTRAINTS.
    pub(in crate::engine) fn set_constraints(
        &mut self,
        constraints: &[(TableId, String)],
        all: bool,
        deferred: bool,
    ) -> Result<StatementResult> {
        if !self.in_transaction() {
            return Ok(StatementResult::noted(
                "SET CONSTRAINTS",
                vec![
                    Notice::warning("SET CONSTRAINTS can only be used in transaction blocks")
                        .with_state(SqlState::NO_ACTIVE_SQL_TRANSACTION),
                ],
            ));
        }
        if all {
            self.constraints.set_all(deferred);
        }
        for constraint in constraints {
            self.constraints.named.insert(constraint.clone(), deferred);
        }
        if !deferred {
            let transaction = self.read_transaction()?;
            let mut context = self.exec_context(transaction, Vec::new(), None);
            run_immediate(self, &mut context)?;
        }
        Ok(StatementResult::done("SET CONSTRAINTS"))
    }
}
