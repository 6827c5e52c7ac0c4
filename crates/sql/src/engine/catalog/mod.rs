//! The catalog: definitions of tables, kept in an ordinary keyspace.
//!
//! - [`record`]: the stored form, protobuf messages; [`convert`] makes them of definitions and
//!   back, [`statistics`] of what ANALYZE finds out.
//! - [`definitions`]: the tables made of records, kept for the next version.
//! - [`named_types`]: the types that users have named, which the others are made with.
//! - [`store`]: reading and writing them through a transaction, so that DDL is transactional.
//! - [`access`]: roles, owners and grants.
//! - [`snapshot`]: the whole catalog in memory, one immutable version; what statements plan by.

pub(crate) mod access;
pub(crate) mod convert;
pub(crate) mod definitions;
pub(crate) mod named_types;
mod partition_records;
pub(crate) mod record;
pub(crate) mod snapshot;
pub(crate) mod statistics;
pub(crate) mod store;

pub(crate) use snapshot::CatalogSnapshot;
pub(crate) use store::CatalogStore;
