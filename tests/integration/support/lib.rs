//! What the end-to-end tests share: the sample data and ways to load and ask.

use std::path::{Path, PathBuf};

use rustling_etl::{LoadOptions, LoadReport, load};
use rustling_sql::{Database, FromRow};

/// The tables of nycflights13, with their rows and columns.
pub const TABLES: [(&str, u64, usize); 5] = [
    ("airlines", 16, 2),
    ("airports", 1_458, 8),
    ("planes", 3_322, 9),
    ("weather", 26_115, 15),
    ("flights", 336_776, 19),
];

/// The file of a table of nycflights13.
#[must_use]
pub fn data_file(table: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new(".."));
    tests
        .join("data/nycflights13")
        .join(format!("{table}.csv.zst"))
}

/// Loads a table of nycflights13.
///
/// # Errors
/// What the load fails with.
pub fn load_table(db: &Database, table: &str) -> rustling_etl::Result<LoadReport> {
    let options = LoadOptions {
        table: table.into(),
        ..LoadOptions::default()
    };
    load(db, &data_file(table), &options, &())
}

/// All rows of a query.
///
/// # Errors
/// What the query fails with.
pub fn rows<T: FromRow>(db: &Database, sql: &str) -> rustling_sql::Result<Vec<T>> {
    db.query(sql, ())?.read_all()
}
