//! Statements about transactions: BEGIN, COMMIT, savepoints, SET TRANSACTION.

use std::sync::Arc;

use crate::{
    Error, Result, SqlState,
    bound::{TransactionModes, TransactionStatement},
    engine::{
        notice::Notice,
        session::{Session, StatementResult, must_roll_back},
        transaction_state::OpenTransaction,
    },
};

const IN_PROGRESS: &str = "there is already a transaction in progress";

impl Session {
    /// Runs BEGIN, COMMIT and the like.
    pub(super) fn run_transaction_statement(
        &mut self,
        statement: TransactionStatement,
    ) -> Result<StatementResult> {
        let noted = |tag: &str, notice: &str| {
            let state = match notice {
                IN_PROGRESS => SqlState("25001"),
                _ => SqlState::NO_ACTIVE_SQL_TRANSACTION,
            };
            Ok(StatementResult::noted(
                tag,
                vec![Notice::warning(notice).with_state(state)],
            ))
        };
        let tag = match &statement {
            TransactionStatement::Start(_) => "START TRANSACTION",
            _ => "BEGIN",
        };
        match statement {
            TransactionStatement::Begin(modes) | TransactionStatement::Start(modes) => {
                if self.transaction_failed() {
                    return Err(must_roll_back());
                }
                if self.open.is_some() {
                    return noted(tag, IN_PROGRESS);
                }
                self.open_transaction(modes)?;
                Ok(StatementResult::done(tag))
            }
            TransactionStatement::Set(modes) => self
                .set_transaction(modes)
                .map_err(|error| self.failing(error)),
            TransactionStatement::SetSession(modes) => {
                if self.transaction_failed() {
                    return Err(must_roll_back());
                }
                self.settings.set_modes(modes);
                self.settings_version += 1;
                Ok(StatementResult::done("SET"))
            }
            TransactionStatement::Commit { chain: true } if self.open.is_none() => {
                Err(chain_outside("COMMIT AND CHAIN"))
            }
            TransactionStatement::Rollback { chain: true } if self.open.is_none() => {
                Err(chain_outside("ROLLBACK AND CHAIN"))
            }
            TransactionStatement::Commit { .. } if self.open.is_none() => {
                noted("COMMIT", "there is no transaction in progress")
            }
            TransactionStatement::Commit { chain } => {
                let failed = self.transaction_failed();
                self.end_and(!failed, chain)?;
                Ok(StatementResult::done(if failed {
                    "ROLLBACK"
                } else {
                    "COMMIT"
                }))
            }
            TransactionStatement::Rollback { .. } if self.open.is_none() => {
                noted("ROLLBACK", "there is no transaction in progress")
            }
            TransactionStatement::Rollback { chain } => {
                self.end_and(false, chain)?;
                Ok(StatementResult::done("ROLLBACK"))
            }
            TransactionStatement::Savepoint(name) => {
                if self.transaction_failed() {
                    return Err(must_roll_back());
                }
                if let Some(system) = self.own_system() {
                    system.outbox().mark(&name);
                }
                self.block("SAVEPOINT")?.savepoint(name);
                Ok(StatementResult::done("SAVEPOINT"))
            }
            TransactionStatement::RollbackTo(name) => {
                let inner = Arc::clone(&self.database.inner);
                let result = self
                    .block("ROLLBACK TO SAVEPOINT")?
                    .rollback_to(&name, &inner);
                result.map_err(|error| self.failing(error))?;
                if let Some(system) = self.own_system() {
                    system.outbox().rollback_to(&name);
                }
                self.rolled_back_to_savepoint();
                Ok(StatementResult::done("ROLLBACK"))
            }
            TransactionStatement::Release(name) => {
                if self.transaction_failed() {
                    return Err(must_roll_back());
                }
                let result = self.block("RELEASE SAVEPOINT")?.release(&name);
                result.map_err(|error| self.failing(error))?;
                self.released_savepoint();
                Ok(StatementResult::done("RELEASE"))
            }
        }
    }

    pub(super) fn block(&mut self, statement: &str) -> Result<&mut OpenTransaction> {
        self.open.as_deref_mut().ok_or_else(|| {
            Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{statement} can only be used in transaction blocks"),
            )
            .hint("Begin one with BEGIN.")
        })
    }

    fn set_transaction(&mut self, modes: TransactionModes) -> Result<StatementResult> {
        let Some(open) = &self.open else {
            return Ok(StatementResult::noted(
                "SET",
                vec![
                    Notice::warning("SET TRANSACTION can only be used in transaction blocks")
                        .with_state(SqlState::NO_ACTIVE_SQL_TRANSACTION),
                ],
            ));
        };
        if open.has_failed() {
            return Err(must_roll_back());
        }
        if open.used && modes.isolation.is_some_and(|level| level != open.isolation) {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION ISOLATION LEVEL must be called before any query",
            ));
        }
        // A transaction may be told to write no more at any time, but not to write again.
        if open.used && open.read_only && modes.read_only == Some(false) {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "transaction read-write mode must be set before any query",
            ));
        }
        if open.used
            && modes
                .deferrable
                .is_some_and(|wanted| wanted != open.deferrable)
        {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION [NOT] DEFERRABLE must be called before any query",
            ));
        }
        if !open.used {
            let modes = TransactionModes {
                isolation: modes.isolation.or(Some(open.isolation)),
                read_only: modes.read_only.or(Some(open.read_only)),
                deferrable: modes.deferrable.or(Some(open.deferrable)),
            };
            self.open_transaction(modes)?;
        } else if let (Some(read_only), Some(open)) = (modes.read_only, &mut self.open) {
            open.read_only = read_only;
        }
        Ok(StatementResult::done("SET"))
    }

    /// Ends the open block, and (AND CHAIN) begins another with its modes.
    fn end_and(&mut self, commit: bool, chain: bool) -> Result<()> {
        let modes = self
            .open
            .as_ref()
            .filter(|_| chain)
            .map(|open| open.modes());
        self.end(commit)?;
        match modes {
            Some(modes) => self.open_transaction(modes),
            None => Ok(()),
        }
    }
}

#[cold]
fn chain_outside(statement: &str) -> Error {
    Error::new(
        SqlState::NO_ACTIVE_SQL_TRANSACTION,
        format!("{statement} can only be used in transaction blocks"),
    )
}
