//! A transaction as a closure sees it.

use crate::{
    Result,
    bound::TransactionModes,
    engine::{
        Params,
        rows::Rows,
        session::{Session, StatementResult},
    },
};

/// An open transaction, as [`Database::transaction`](crate::Database::transaction) gives it to
/// its closure. Dropping it rolls it back.
#[derive(Debug)]
pub struct SqlTransaction {
    session: Session,
}

impl SqlTransaction {
    pub(crate) fn begin(mut session: Session, modes: TransactionModes) -> Result<SqlTransaction> {
        session.begin_with(modes)?;
        Ok(SqlTransaction { session })
    }

    pub(crate) fn commit(&mut self) -> Result<()> {
        self.session.commit()
    }

    /// Runs a statement; gives the number of rows affected.
    ///
    /// # Errors
    /// What the statement fails with.
    pub fn execute(&mut self, sql: &str, params: impl Params) -> Result<u64> {
        self.session.execute(sql, params)
    }

    /// Runs a query. Its rows must be read or dropped before the closure ends.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn query(&mut self, sql: &str, params: impl Params) -> Result<Rows> {
        self.session.query(sql, params)
    }

    /// Runs any statement but those that end the transaction.
    ///
    /// # Errors
    /// What the statement fails with.
    pub fn run(&mut self, sql: &str, params: impl Params) -> Result<StatementResult> {
        self.session.run(sql, params)
    }
}
