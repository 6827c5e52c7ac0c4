//! The macros by name: each hands its input to the compiler's half with the path of this crate,
//! whatever that is called in the package that depends on it.

/// A query whose rows are a struct made for it: `query!(db, "SELECT …")`.
///
/// Gives a [`Query`](crate::Query). The struct has a public field for each column.
#[macro_export]
macro_rules! query {
    ($($input:tt)*) => { $crate::__private::query!($crate; $($input)*) };
}

/// A query whose rows are a struct of yours: `query_as!(db, User, "SELECT …")`.
///
/// Each column fills the field of its name, whose type must be the column's: a column that can
/// be NULL needs an `Option`, and one that is never NULL may have one.
#[macro_export]
macro_rules! query_as {
    ($($input:tt)*) => { $crate::__private::query_as!($crate; $($input)*) };
}

/// A query of one column: `query_scalar!(db, "SELECT count(*) FROM users")`.
#[macro_export]
macro_rules! query_scalar {
    ($($input:tt)*) => { $crate::__private::query_scalar!($crate; $($input)*) };
}

/// As [`query!`](crate::query!), with the SQL in a file: `query_file!(db, "src/report.sql")`. The
/// path starts at the directory of `Cargo.toml`.
#[macro_export]
macro_rules! query_file {
    ($($input:tt)*) => { $crate::__private::query_file!($crate; $($input)*) };
}

/// Runs a statement that gives no rows: `execute!(db, "DELETE FROM users WHERE id = {id}")?`.
///
/// Gives the number of rows affected, as a `Result`.
#[macro_export]
macro_rules! execute {
    ($($input:tt)*) => { $crate::__private::execute!($crate; $($input)*) };
}

/// The package's migrations, embedded in the program: `db.migrate(&migrate!())?`.
///
/// They are read from where [`query!`](crate::query!) reads the schema, or from
/// `migrate!("path")`. Gives [`Migrations`](crate::Migrations).
#[macro_export]
macro_rules! migrate {
    ($($input:tt)*) => { $crate::__private::migrate!($crate; $($input)*) };
}
