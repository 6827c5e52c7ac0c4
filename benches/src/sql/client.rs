//! One small interface over the SQL databases that are measured.

use std::{error::Error, fmt, path::Path};

use super::{rustling::Rustling, sqlite::Sqlite};

/// What a measurement answers.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why something failed.
#[derive(Debug)]
pub enum Failure {
    /// The transaction must give way to another and may be run again.
    GiveWay,
    /// Anything else ends the run.
    Other(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A failure of the measurement itself.
    pub fn text(text: impl Into<String>) -> Failure {
        Failure::Other(text.into().into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::GiveWay => f.write_str("a transaction had to give way and was not run again"),
            Failure::Other(error) => error.fmt(f),
        }
    }
}

impl Error for Failure {}

/// When a commit answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk.
    Full,
    /// When it is in the log, which reaches the disk later.
    Relaxed,
}

impl Durability {
    /// Both, with the names that tables give them.
    pub const ALL: [(Durability, &'static str); 2] = [
        (Durability::Full, "fsync"),
        (Durability::Relaxed, "no fsync"),
    ];
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// A number.
    Int(i64),
    /// A string.
    Text(&'a str),
}

/// A row of a result, to be read in place.
pub trait Row {
    /// The number in column `at`; NULL is 0.
    fn int(&self, at: usize) -> i64;
    /// The string in column `at`; NULL is empty.
    fn text(&self, at: usize) -> &str;
}

/// The number of a prepared statement.
pub type StatementId = usize;

/// A connection, used by one thread.
pub trait Client {
    /// Prepares a statement whose parameters are `$1`, `$2` …
    fn prepare(&mut self, sql: &str) -> Result<StatementId>;

    /// Runs a query and gives each row to `read`.
    fn query(
        &mut self,
        statement: StatementId,
        parameters: &[Cell<'_>],
        read: &mut dyn FnMut(&dyn Row),
    ) -> Result<()>;

    /// Runs a query that is not prepared.
    fn once(&mut self, sql: &str, read: &mut dyn FnMut(&dyn Row)) -> Result<()>;

    /// Runs a change; how many rows it changed.
    fn execute(&mut self, statement: StatementId, parameters: &[Cell<'_>]) -> Result<u64>;

    /// Begins a transaction that is going to write.
    fn begin(&mut self) -> Result<()>;

    /// Commits it.
    fn commit(&mut self) -> Result<()>;

    /// Rolls it back.
    fn rollback(&mut self) -> Result<()>;
}

impl dyn Client + '_ {
    /// Runs statements without parameters, separated by semicolons.
    pub fn script(&mut self, sql: &str) -> Result<()> {
        for statement in sql.split(';').map(str::trim).filter(|sql| !sql.is_empty()) {
            let statement = self.prepare(statement)?;
            self.execute(statement, &[])?;
        }
        Ok(())
    }

    /// The first row's first number.
    pub fn number(&mut self, statement: StatementId, parameters: &[Cell<'_>]) -> Result<i64> {
        let mut found = None;
        self.query(statement, parameters, &mut |row| {
            found.get_or_insert(row.int(0));
        })?;
        found.ok_or_else(|| Failure::text("a query gave no row"))
    }
}

/// A database that is measured.
pub trait SqlDatabase: Send + Sync {
    /// Connects.
    fn client(&self, durability: Durability) -> Result<Box<dyn Client>>;

    /// Makes everything durable, its statistics included, and lets background work end.
    fn settle(&self) -> Result<()>;
}

/// Names of the databases, ours first.
pub const NAMES: [&str; 2] = ["rustling", "sqlite"];

/// Opens or creates the database called `name` in the directory `path`.
pub fn open(name: &str, path: &Path, memory: usize) -> Result<Box<dyn SqlDatabase>> {
    Ok(match name {
        "rustling" => Box::new(Rustling::open(path, memory)?),
        "sqlite" => Box::new(Sqlite::open(path, memory)?),
        other => {
            return Err(Failure::text(format!(
                "there is no database called {other}"
            )));
        }
    })
}
