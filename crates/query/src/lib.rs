//! SQL that the compiler checks.
//!
//! [`query!`] reads the package's migrations with the database's own parser and binder while the
//! program is compiled: no database runs, nothing is cached. What is wrong with the statement is
//! said with the engine's words; what is right has exact types, NULL included.
//!
//! ```
//! use rustling_query::{Database, execute, query, query_scalar};
//!
//! # fn main() -> rustling_query::Result<()> {
//! let db = Database::in_memory()?;
//! # db.execute_script(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/migrations/0001_shop.sql")))?;
//! let name = "Ada";
//! execute!(db, "INSERT INTO customer (name, email) VALUES ({name}, NULL)")?;
//!
//! let id = 1;
//! let customer = query!(db, "SELECT name, email FROM customer WHERE id = {id}").fetch_one()?;
//! let _: String = customer.name;          // NOT NULL
//! let _: Option<String> = customer.email; // may be NULL
//! let count: i64 = query_scalar!(db, "SELECT count(*) FROM customer").fetch_one()?;
//! assert_eq!(count, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Where the schema comes from
//! From the `*.sql` files of the directory `migrations` beside `Cargo.toml`, in the order of the
//! numbers that their names begin with; or from `schema.sql`; or from where the manifest says:
//!
//! ```toml
//! [package.metadata.rustling]
//! migrations = "db/migrations"
//! ```
//!
//! A last argument `migrations = "path"` says so for one statement. A changed file compiles the
//! package anew. A *new* file does once a changed one does, or at once with a `build.rs` that
//! prints `cargo:rerun-if-changed=migrations`.
//!
//! # What it costs the compiler
//! Cargo does not optimise macros unless told so. In the `Cargo.toml` of your workspace:
//!
//! ```toml
//! [profile.dev.build-override]
//! opt-level = 3 # each statement is checked about three times as fast
//! ```
//!
//! # What stands in braces
//! `{expr}` is a bound parameter whose type is checked; `IN ({list})` takes all elements of a
//! list. Branches make statements of parts, each checked:
//!
//! ```
//! # use rustling_query::{Database, query};
//! # fn main() -> rustling_query::Result<()> {
//! # let db = Database::in_memory()?;
//! # db.execute_script(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/migrations/0001_shop.sql")))?;
//! # enum Order { Name, Newest }
//! # let (name, order, ids, limit) = (Some("Ada"), Order::Newest, vec![1, 2], Some(10));
//! let rows = query!(
//!     db,
//!     "SELECT id, name FROM customer
//!      WHERE id IN ({ids}) {if let Some(name) = name { AND name = {name} }}
//!      ORDER BY {match order { Order::Name => { name }, Order::Newest => { id DESC } }}
//!      LIMIT {limit}"
//! )
//! .fetch_all()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a column's name may say
//! `AS "total!"`: never NULL, whatever the inference says (a NULL is an error then);
//! `AS "total?"`: maybe NULL; `AS "role: Role"`: read as `Role`, which implements [`FromValue`].
//!
//! # Rows as structs
//! [`QueryBuilder`](derive@QueryBuilder) makes a struct stand for the rows of a table: found by
//! each field, queried with typed conditions, inserted, changed, deleted, joined in batches; and
//! fails to compile where struct and migrations disagree. Its methods take what they run on last,
//! which [decides](Runs) whether a result or a future comes back.
//!
//! # Migrations
//! [`migrate!`] embeds the migrations in the program; [`Database::migrate`] applies them.
//!
//! # Where statements run
//! On a [`Database`], a [`Session`], the [`SqlTransaction`] of `Database::transaction`, or a
//! [`Connection`] that stands for any of them.
//!
//! | feature | adds |
//! |---|---|
//! | `async` | `AsyncDatabase`, `AsyncTransaction`, `AsyncConnection`: the same macros and methods give futures, for any runtime |
//! | `postgres` | statements run on a `postgres::Client` or its transaction too, over the network |
//! | `tokio-postgres` | the same for `tokio_postgres`, with futures |
//! | `serde` | `JsonOf`: values that serde knows as JSON columns |

#[cfg(feature = "async")]
mod asynchronous;
mod borrowing;
mod connection;
#[cfg(feature = "serde")]
mod json;
mod macros;
#[cfg(any(feature = "postgres", feature = "tokio-postgres"))]
mod network;
mod parameter;
mod query;
pub mod sql_type;
mod statement;
pub mod table;

pub use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
};
pub use rustling_macros::QueryBuilder;
pub use rustling_sql::{
    Database, Decimal, Error, FromValue, Interval, Result, Row, Session, SqlState, SqlTransaction,
    ToValue, Value,
    bound::{IsolationLevel, TransactionModes},
    migrations::{Migration, Migrations},
    types::Json,
};
pub use uuid::Uuid;

#[cfg(feature = "async")]
pub use crate::asynchronous::{
    AsyncConnection, AsyncDatabase, AsyncResult, AsyncStream, AsyncTransaction,
};
#[cfg(feature = "serde")]
pub use crate::json::JsonOf;
pub use crate::{
    connection::{Connect, ConnectMut, Connection, UntypedRows},
    parameter::Parameter,
    query::{Query, Stream},
    statement::Statement,
    table::Runs,
};

/// What the macros' code calls. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use rustling_macros::{execute, migrate, query, query_as, query_file, query_scalar};

    /// What no field is.
    #[derive(Debug)]
    pub struct Nothing;

    pub use crate::{
        borrowing::{BorrowShared, BorrowUnique},
        query::{Execute, column},
        table::{are_labels, is_column},
    };
}
