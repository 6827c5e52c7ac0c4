//! SQLite through rusqlite, with a write-ahead log: a connection per client, statements prepared
//! once.

use std::path::{Path, PathBuf};

use rusqlite::{
    Connection, ErrorCode, Statement, ToSql,
    types::{ToSqlOutput, ValueRef},
};

use super::client::{Cell, Client, Durability, Failure, Result, Row, SqlDatabase, StatementId};

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => Failure::GiveWay,
            _ => Failure::Other(Box::new(error)),
        }
    }
}

/// A database file.
pub struct Sqlite {
    path: PathBuf,
    memory: usize,
}

impl Sqlite {
    /// Opens or creates the database.
    pub fn open(path: &Path, memory: usize) -> Result<Sqlite> {
        std::fs::create_dir_all(path).map_err(|error| Failure::Other(error.into()))?;
        Ok(Sqlite {
            path: path.join("rows.sqlite"),
            memory,
        })
    }

    fn connect(&self, synchronous: &str) -> Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; \
             PRAGMA cache_size = -{}; PRAGMA mmap_size = {}; PRAGMA busy_timeout = 60000;",
            self.memory / 2 / 1024,
            self.memory / 2,
        ))?;
        Ok(connection)
    }
}

impl SqlDatabase for Sqlite {
    fn client(&self, durability: Durability) -> Result<Box<dyn Client>> {
        let connection = self.connect(match durability {
            Durability::Full => "FULL",
            Durability::Relaxed => "NORMAL",
        })?;
        // Statements borrow their connection, and both live until the process ends.
        let connection: &'static Connection = Box::leak(Box::new(connection));
        let statements = ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"]
            .into_iter()
            .map(|sql| connection.prepare(sql))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Box::new(Prepared {
            connection,
            statements,
        }))
    }

    fn settle(&self) -> Result<()> {
        let connection = self.connect("FULL")?;
        connection.execute_batch("ANALYZE")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

const BEGIN: StatementId = 0;
const COMMIT: StatementId = 1;
const ROLLBACK: StatementId = 2;

struct Prepared {
    connection: &'static Connection,
    statements: Vec<Statement<'static>>,
}

impl Prepared {
    fn statement(&mut self, id: StatementId) -> Result<&mut Statement<'static>> {
        self.statements
            .get_mut(id)
            .ok_or_else(|| Failure::text("a statement was not prepared"))
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Cell::Null => ValueRef::Null,
            Cell::Int(number) => ValueRef::Integer(*number),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl Row for rusqlite::Row<'_> {
    fn int(&self, at: usize) -> i64 {
        match self.get_ref(at) {
            Ok(ValueRef::Integer(number)) => number,
            _ => 0,
        }
    }

    fn text(&self, at: usize) -> &str {
        match self.get_ref(at) {
            Ok(ValueRef::Text(text)) => std::str::from_utf8(text).unwrap_or_default(),
            _ => "",
        }
    }
}

impl Client for Prepared {
    fn prepare(&mut self, sql: &str) -> Result<StatementId> {
        // A transaction that writes has the whole database to itself.
        let sql = sql.replace('$', "?").replace(" FOR UPDATE", "");
        self.statements.push(self.connection.prepare(&sql)?);
        Ok(self.statements.len() - 1)
    }

    fn query(
        &mut self,
        statement: StatementId,
        parameters: &[Cell<'_>],
        read: &mut dyn FnMut(&dyn Row),
    ) -> Result<()> {
        let mut rows = self
            .statement(statement)?
            .query(rusqlite::params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            read(row);
        }
        Ok(())
    }

    fn once(&mut self, sql: &str, read: &mut dyn FnMut(&dyn Row)) -> Result<()> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            read(row);
        }
        Ok(())
    }

    fn execute(&mut self, statement: StatementId, parameters: &[Cell<'_>]) -> Result<u64> {
        let changed = self
            .statement(statement)?
            .execute(rusqlite::params_from_iter(parameters))?;
        Ok(changed as u64)
    }

    fn begin(&mut self) -> Result<()> {
        self.execute(BEGIN, &[]).map(|_| ())
    }

    fn commit(&mut self) -> Result<()> {
        self.execute(COMMIT, &[]).map(|_| ())
    }

    fn rollback(&mut self) -> Result<()> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.execute(ROLLBACK, &[]).map(|_| ())
    }
}
