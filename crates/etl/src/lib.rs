//! Loading CSV files into RustlingDB: in parallel, in bounded memory, all or nothing.
//!
//! - [`load()`] does it all: it finds out the file's dialect and header, infers types from the
//!   whole file, makes the table and fills it in one transaction.
//! - `source` makes text of bytes (gzip, zstd, byte-order marks, encodings), `chunk` cuts it
//!   into whole records, `record` takes those apart, `convert` makes values of fields.
//! - `infer` and [`dialect`](DialectOptions) decide what nobody has said.
//! - [`Error`] says which line and column, why, and what to do; rows that do not fit can be left
//!   out or written to a rejects file ([`OnError`]).
//!
//! ```
//! use rustling_etl::{LoadOptions, load};
//! use rustling_sql::Database;
//!
//! let db = Database::in_memory()?;
//! let file = std::env::temp_dir().join(format!("rustling-etl-example-{}.csv", std::process::id()));
//! std::fs::write(&file, "city,population\nLima,10092000\nOslo,NA\n")?;
//!
//! let options = LoadOptions { table: "city".into(), ..LoadOptions::default() };
//! let report = load(&db, &file, &options, &())?;
//! assert_eq!(report.rows, 2);
//! let known: Vec<(String, i32)> =
//!     db.query("SELECT city, population FROM city WHERE population IS NOT NULL", ())?.read_all()?;
//! assert_eq!(known, [("Lima".to_string(), 10_092_000)]);
//! # std::fs::remove_file(file)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunk;
mod convert;
mod create;
mod dialect;
mod error;
mod infer;
mod load;
mod record;
mod rejects;
mod rows;
mod schema;
mod source;
mod text;

pub use crate::{
    create::parse_schema,
    dialect::DialectOptions,
    error::{BadRow, Error, Reason, Result},
    load::{LoadOptions, LoadReport, OnError, Phase, Progress, load},
    record::Dialect,
    schema::ColumnSpec,
};
