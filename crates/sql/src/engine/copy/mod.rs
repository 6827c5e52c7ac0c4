//! COPY between tables, files and whoever runs the statement.
//!
//! - [`input`]: COPY FROM, fed with bytes; [`records`], [`fields`] and [`mod@binary`] read its
//!   formats, [`sink`] writes the rows.
//! - [`output`]: COPY TO, which gives bytes.
//! - [`charset`]: encodings other than UTF-8.
//! - [`files`]: who may read and write which files.
//!
//! Neither direction holds more than one portion of the data in memory.

mod binary;
mod charset;
mod fields;
mod files;
mod input;
mod output;
mod records;
mod sink;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc};

use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState, Value,
    ast::CopyPlace,
    bound::{BoundStatement, CopyFrom},
    engine::{
        database::Database,
        prepared::{Action, CopyToAction, Planned, Prepared},
        query::changed_meanwhile,
        session::{Session, StatementResult},
        table::TableHandle,
        transaction_state::transaction_options,
    },
};

pub use files::FileAccess;
pub use input::CopyIn;
pub use output::CopyOut;

impl Session {
    /// Runs COPY … FROM STDIN with data from `reader`; gives the number of rows.
    ///
    /// ```
    /// use rustling_sql::Database;
    ///
    /// let mut session = Database::in_memory()?.session();
    /// session.run("CREATE TABLE t (n int, name text)", ())?;
    /// let data = "n,name\n1,one\n2,\n";
    /// let sql = "COPY t FROM STDIN (FORMAT csv, HEADER)";
    /// assert_eq!(session.copy_in(sql, data.as_bytes())?, 2);
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the statement fails with; 42601 where it takes no data; 58030 where `reader` fails.
    pub fn copy_in(&mut self, sql: &str, mut reader: impl io::Read) -> Result<u64> {
        let StatementResult::CopyIn(mut copy) = self.run(sql, ())? else {
            return Err(self.failing(Error::new(
                SqlState::SYNTAX_ERROR,
                "the statement takes no data: it is not COPY … FROM STDIN",
            )));
        };
        let mut block = vec![0; 64 << 10];
        loop {
            match reader.read(&mut block) {
                Ok(0) => return copy.finish(self),
                Ok(count) => copy.write(self, block.get(..count).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    drop(copy);
                    return Err(self.failing(Error::new(
                        SqlState::IO_ERROR,
                        format!("could not read the data to copy: {error}"),
                    )));
                }
            }
        }
    }

    /// Runs COPY … TO STDOUT and writes its data to `writer`; gives the number of rows.
    ///
    /// # Errors
    /// What the statement fails with; 42601 where it gives no data; 58030 where `writer` fails.
    pub fn copy_out(&mut self, sql: &str, mut writer: impl io::Write) -> Result<u64> {
        let StatementResult::CopyOut(copy) = self.run(sql, ())? else {
            return Err(self.failing(Error::new(
                SqlState::SYNTAX_ERROR,
                "the statement gives no data: it is not COPY … TO STDOUT",
            )));
        };
        let result = copy.write_to(&mut writer);
        result.map_err(|error| self.failing(error))
    }

    /// Says which files COPY may read and write in this session; all that the process may, until
    /// something else is said.
    pub fn set_file_access(&mut self, access: FileAccess) {
        self.files = access;
    }

    /// COPY … FROM.
    pub(super) fn run_copy_from(
        &mut self,
        prepared: &Arc<Prepared>,
        planned: Arc<Planned>,
    ) -> Result<StatementResult> {
        let (transaction, own) = self.copy_transaction()?;
        self.cancel.reset(Some(transaction.cancel_handle()));
        let mut planned = planned;
        let mut replans = 0;
        let (statement, table) = loop {
            let Action::Utility(BoundStatement::CopyFrom(statement)) = &planned.action else {
                return Err(Error::new(
                    SqlState::INTERNAL_ERROR,
                    "COPY has another plan",
                ));
            };
            let table = self.catalog().handle(statement.table.id);
            if let Some(table) = table
                && table.table.version == statement.table.version
                && self.lock_for_writing(&transaction, &table)?
            {
                break (CopyFrom::clone(statement), table);
            }
            if transaction.isolation().keeps_snapshot() {
                return Err(changed_meanwhile());
            }
            self.note_stale(&mut replans)?;
            (planned, _) = self.planned(prepared, Vec::new())?;
        };
        if statement.options.freeze {
            check_freeze(&transaction, &table)?;
        }
        let transaction = if own {
            transaction.begin_statement();
            transaction
        } else {
            drop(transaction);
            self.read_transaction()?
        };
        let context = self.exec_context(transaction, Vec::new(), None);
        let place = statement.place.clone();
        let mut copy = CopyIn::new(statement, table, context, own)?;
        match place {
            CopyPlace::Client => Ok(StatementResult::CopyIn(Box::new(copy))),
            CopyPlace::File(path) => {
                let mut file = self.files.read(&*self.database.inner.files, &path)?;
                let mut block = Vec::new();
                loop {
                    file.next(&mut block)?;
                    if block.is_empty() {
                        return Ok(CopyIn::done(copy.finish(self)?));
                    }
                    copy.write(self, &block)?;
                }
            }
            CopyPlace::Program(_) => Err(no_programs()),
        }
    }

    /// The open block's transaction, or one of its own (`true`).
    fn copy_transaction(&mut self) -> Result<(Arc<Transaction>, bool)> {
        let read_only = match &self.open {
            Some(open) => open.read_only,
            None => self.settings.read_only,
        };
        if read_only {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                "cannot execute COPY FROM in a read-only transaction",
            ));
        }
        if let Some(open) = &self.open {
            return Ok((Arc::clone(&open.transaction), false));
        }
        let options = transaction_options(&self.settings, self.settings.isolation, false);
        Ok((Arc::new(self.database.inner.begin(options)?), true))
    }

    /// COPY … TO.
    pub(super) fn run_copy_to(
        &mut self,
        prepared: &Arc<Prepared>,
        planned: &Arc<Planned>,
        copy: &CopyToAction,
        params: Vec<Value>,
    ) -> Result<StatementResult> {
        let rows = match &copy.action {
            Action::Query(_) => self.run_query(prepared, Arc::clone(planned), params)?,
            _ => self
                .run_change(prepared, Arc::clone(planned), params)?
                .into_rows()?,
        };
        let mut out = CopyOut::new(rows, copy.options.clone(), self.text_style())?;
        match &copy.place {
            CopyPlace::Client => Ok(StatementResult::CopyOut(Box::new(out))),
            CopyPlace::File(path) => {
                let mut file = self.files.write(&*self.database.inner.files, path)?;
                let count = out.pieces(files::FileWriter::PIECE, |piece| file.put(piece))?;
                file.finish()?;
                Ok(CopyIn::done(count))
            }
            CopyPlace::Program(_) => Err(no_programs()),
        }
    }
}

impl Database {
    /// As [`Session::copy_in`], in a transaction of its own.
    ///
    /// # Errors
    /// As [`Session::copy_in`].
    pub fn copy_in(&self, sql: &str, reader: impl io::Read) -> Result<u64> {
        self.one_shot().copy_in(sql, reader)
    }

    /// As [`Session::copy_out`], in a transaction of its own.
    ///
    /// # Errors
    /// As [`Session::copy_out`].
    pub fn copy_out(&self, sql: &str, writer: impl io::Write) -> Result<u64> {
        self.one_shot().copy_out(sql, writer)
    }
}

/// FREEZE is for tables that nobody else can see yet. (Nothing has to be done for it then.)
fn check_freeze(transaction: &Transaction, table: &TableHandle) -> Result<()> {
    if transaction
        .creates_keyspace(table.keyspace)
        .map_err(crate::engine::error::txn_error)?
    {
        return Ok(());
    }
    Err(Error::new(
        SqlState::NOT_IN_PREREQUISITE_STATE,
        "cannot perform COPY FREEZE because the table was not created or truncated in the current \
         subtransaction",
    ))
}

/// The binder has refused it already.
fn no_programs() -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "COPY to or from a program is not supported",
    )
}
