//! The embedded database: opening, sessions, statements, transactions.
//!
//! - [`database`]: [`Database`], what programs hold.
//! - [`session`]: [`Session`], a connection with its transaction and settings.
//! - [`prepared`] and [`plan_cache`]: statements parsed and planned once.
//! - [`point_read`]: one row by its key, without ceremony.
//! - [`query`], [`dml`], [`change`], [`ddl`], [`analyze`]: running them.
//! - [`access`]: who may do what.
//! - [`foreign_keys`]: what must hold between tables.
//! - [`transactions`], [`transaction_state`]: transaction blocks.
//! - [`notifications`]: LISTEN and NOTIFY.
//! - [`served`], [`served_activity`], [`statement_statistics`]: for whoever serves sessions.
//! - [`sequences`], [`temporary`]: numbers without transactions, tables of a session.
//! - [`sampled_statistics`]: what the planner knows of tables that ANALYZE has not seen.
//! - [`partitions`]: which partition a row belongs to.
//! - [`rows`], [`result`]: what queries and other statements give.
//! - [`migrate`]: schemas brought up to date, step by step.
//! - [`bulk`]: loading many rows; [`copy`]: COPY.
//! - [`table`], [`index_entry`], [`mod@write`], [`constraints`], [`key_range`], [`key_set`],
//!   [`row_numbers`]: access to tables.
//! - [`catalog`]: definitions of tables, stored and in memory.

mod access;
mod analyze;
mod bulk;
pub(crate) mod cancel;
pub(crate) mod catalog;
mod change;
mod constraints;
mod copy;
mod cursors;
mod database;
mod ddl;
mod describe;
mod dml;
pub(crate) mod error;
mod explain;
mod foreign_keys;
pub(crate) mod index_entry;
pub(crate) mod key_range;
pub(crate) mod key_set;
#[cfg(test)]
mod key_set_tests;
mod migrate;
mod notice;
mod notifications;
mod params;
pub(crate) mod partitions;
mod plan_cache;
mod point_read;
mod prepared;
mod query;
mod result;
mod row_numbers;
mod rows;
mod sampled_statistics;
mod sequences;
mod served;
mod served_activity;
mod session;
mod session_settings;
mod settings;
mod sql_transaction;
mod statement_statistics;
pub(crate) mod system;
pub(crate) mod table;
mod temporary;
#[cfg(test)]
mod tests;
mod transaction_state;
mod transactions;
mod write;

pub use bulk::{BulkLoader, BulkOptions, RefusedRow};
pub use cancel::CancelToken;
pub use copy::{CopyIn, CopyOut, FileAccess};
pub use database::{Database, DatabaseOptions};
pub use describe::StatementDescription;
pub use notice::{Notice, NoticeSeverity};
pub use notifications::{Notification, NotificationWaker};
pub use params::Params;
pub use prepared::Statement;
pub use rows::{FromRow, ResultColumn, Row, RowIndex, Rows};
pub use session::{Session, StatementResult};
pub use sql_transaction::SqlTransaction;
