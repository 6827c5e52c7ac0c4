//! An embedded SQL database: PostgreSQL's dialect over transactional, durable storage.
//!
//! A [`Database`] is a directory (or lives in memory). Statements run on it directly, each in a
//! transaction of its own; in a closure given to [`Database::transaction`], which is tried again
//! where it has to give way; or in a [`Session`], which has transaction blocks and settings.
//!
//! ```
//! # #[cfg(feature = "engine")]
//! # fn main() -> rustling_sql::Result<()> {
//! use rustling_sql::Database;
//!
//! let db = Database::in_memory()?;
//! db.execute("CREATE TABLE book (title text PRIMARY KEY, year int CHECK (year > 0))", ())?;
//! db.execute("INSERT INTO book VALUES ($1, $2)", ("Middlemarch", 1871))?;
//! let old: Vec<(String,)> =
//!     db.query("SELECT title FROM book WHERE year < $1", (1900,))?.read_all()?;
//! assert_eq!(old, [("Middlemarch".to_owned(),)]);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "engine"))]
//! # fn main() {}
//! ```
//!
//! What a statement goes through, a room each:
//!
//! | step                    | room                                                          |
//! |-------------------------|---------------------------------------------------------------|
//! | text → syntax tree      | [`parser`], [`ast`]                                           |
//! | → names and types       | [`binder`], [`bound`], [`functions`], [`catalog`], [`system`], [`types`] |
//! | checked by the compiler | [`migrations`], [`schema`], [`template`], [`nullability`]     |
//! | → physical plan         | `planner`: rewrite rules, statistics, access paths            |
//! | → rows                  | `executor`, with [`eval`] for expressions                     |
//! | rows ↔ bytes            | `encoding`                                                    |
//! | sessions, DDL, DML, API | `engine`                                                      |
//!
//! Without the default feature `engine` only the language is there (the first three rows): it
//! touches no file and starts no thread.

pub mod ast;
#[cfg(feature = "engine")]
pub mod binary;
pub mod binder;
pub mod bound;
pub mod catalog;
mod diagnostics;
#[cfg(feature = "engine")]
pub(crate) mod encoding;
#[cfg(feature = "engine")]
mod engine;
pub mod error;
#[cfg(feature = "engine")]
pub mod eval;
#[cfg(feature = "engine")]
pub(crate) mod executor;
pub mod functions;
#[cfg(all(any(test, fuzzing), feature = "engine"))]
pub mod fuzzing;
pub mod migrations;
pub mod nullability;
pub mod parser;
#[cfg(feature = "engine")]
pub(crate) mod planner;
pub mod schema;
pub mod span;
pub mod system;
pub mod template;
pub mod types;
#[cfg(feature = "engine")]
pub(crate) mod vector;

#[cfg(feature = "engine")]
pub use crate::engine::{
    BulkLoader, BulkOptions, CancelToken, CopyIn, CopyOut, Database, DatabaseOptions, FileAccess,
    FromRow, Notice, NoticeSeverity, Notification, NotificationWaker, Params, RefusedRow,
    ResultColumn, Row, RowIndex, Rows, Session, SqlTransaction, Statement, StatementDescription,
    StatementResult,
};
pub use crate::{
    binder::{BindOptions, Bound, bind, bind_expression},
    error::{Error, Result, SqlState},
    parser::{parse, parse_expression, parse_statement, split_statements, statement_is_complete},
    span::Span,
    types::{DataType, Decimal, FromValue, Interval, ToValue, Value},
};
