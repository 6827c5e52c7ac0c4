//! Numbers of objects that are always there.

/// The schema `pg_catalog`.
pub(crate) const PG_CATALOG_SCHEMA: u32 = 11;
/// The schema `information_schema`.
pub(crate) const INFORMATION_SCHEMA: u32 = 13_000;
/// The schema `sys`.
pub(crate) const SYS_SCHEMA: u32 = 13_001;

#[cfg(feature = "engine")]
pub(crate) use engine::*;

/// What only rows need.
#[cfg(feature = "engine")]
mod engine {
    /// `pg_class`, as the class of a comment or dependency.
    pub(crate) const PG_CLASS: u32 = 1259;
    /// `pg_namespace`.
    pub(crate) const PG_NAMESPACE: u32 = 2615;
    /// `pg_constraint`.
    pub(crate) const PG_CONSTRAINT: u32 = 2606;
    /// `pg_database`.
    pub(crate) const PG_DATABASE: u32 = 1262;
    /// `pg_attrdef`.
    pub(crate) const PG_ATTRDEF: u32 = 2604;
    /// `pg_rewrite`.
    pub(crate) const PG_REWRITE: u32 = 2618;
    /// `pg_authid`.
    pub(crate) const PG_AUTHID: u32 = 1260;
    /// The schema `public`.
    pub(crate) const PUBLIC_SCHEMA: u32 = 2200;
    /// The role that owns what nobody else does.
    pub(crate) const OWNER: u32 = 10;
    /// The database.
    pub(crate) const DATABASE: u32 = 5;
    /// The tablespace of the database.
    pub(crate) const DEFAULT_TABLESPACE: u32 = 1663;
    /// The tablespace of what databases share.
    pub(crate) const GLOBAL_TABLESPACE: u32 = 1664;
    /// The language of functions that are part of the program.
    pub(crate) const INTERNAL_LANGUAGE: u32 = 12;
    /// The access method `heap`, PostgreSQL's default: tables in B+ trees.
    pub(crate) const HEAP: u32 = 2;
    /// The access method `lsm`.
    pub(crate) const LSM: u32 = 8020;
    /// The access method `hybrid`.
    pub(crate) const HYBRID: u32 = 8021;
    /// The access method of indexes.
    pub(crate) const BTREE_INDEX: u32 = 403;
    /// The collation `default`.
    pub(crate) const DEFAULT_COLLATION: u32 = 100;
    /// The collation `C`.
    pub(crate) const C_COLLATION: u32 = 950;
}
