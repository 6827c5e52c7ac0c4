//! The macros of `rustling-query`, which is where they are documented and used from.
//!
//! What a statement means (its parameters, its columns and which of them can be NULL) is decided
//! by `rustling_sql`'s language half: its parser, binder, [`rustling_sql::schema`],
//! [`rustling_sql::template`] and [`rustling_sql::nullability`]. Here tokens come in and go out.

mod derive;
mod files;
mod input;
mod messages;
mod migrations;
mod query;
mod record;
mod rust_types;
mod schema;
mod tokens;
mod values;

use proc_macro::TokenStream;

/// `query!(db, "…")`: a query whose rows are a struct made for it.
#[proc_macro]
pub fn query(input: TokenStream) -> TokenStream {
    query::expand(input.into(), query::Form::Record).into()
}

/// `query_as!(db, Type, "…")`: a query whose rows are a struct of the caller's.
#[proc_macro]
pub fn query_as(input: TokenStream) -> TokenStream {
    query::expand(input.into(), query::Form::As).into()
}

/// `query_scalar!(db, "…")`: a query of one column.
#[proc_macro]
pub fn query_scalar(input: TokenStream) -> TokenStream {
    query::expand(input.into(), query::Form::Scalar).into()
}

/// `query_file!(db, "path.sql")`: `query!` with the SQL in a file.
#[proc_macro]
pub fn query_file(input: TokenStream) -> TokenStream {
    query::expand(input.into(), query::Form::File).into()
}

/// `execute!(db, "…")`: runs a statement that gives no rows.
#[proc_macro]
pub fn execute(input: TokenStream) -> TokenStream {
    query::expand(input.into(), query::Form::Execute).into()
}

/// `migrate!()`: the migrations, embedded in the program.
#[proc_macro]
pub fn migrate(input: TokenStream) -> TokenStream {
    migrations::expand(input.into()).into()
}

/// `#[derive(QueryBuilder)]`: a table's rows as a struct.
#[proc_macro_derive(QueryBuilder, attributes(query_builder, belongs_to, has_many))]
pub fn derive_query_builder(input: TokenStream) -> TokenStream {
    derive::expand(input.into()).into()
}
