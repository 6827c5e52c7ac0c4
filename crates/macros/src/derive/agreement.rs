//! Whether a struct and the migrations agree.

use std::sync::Arc;

use proc_macro2::TokenStream;
use rustling_sql::{
    BindOptions, bind,
    bound::{Expr, ExprKind, ScalarFunction},
    catalog::{CatalogReader, Column, Table},
    parse_statement,
    schema::Schema,
    types::EnumType,
};
use syn::{Ident, ext::IdentExt};

use super::{attributes::Attributes, table::Field};
use crate::{rust_types, schema};

/// The table of the struct in the migrations, and what makes the compiler come back when they
/// change. `None`: the package has no migrations, or the struct says that none makes its table.
pub(super) fn table_of(
    attributes: &Attributes,
    schema_name: Option<&str>,
    name: &str,
    place: &dyn quote::ToTokens,
) -> syn::Result<Option<(Arc<Table>, TokenStream)>> {
    let wrong = |message: String| syn::Error::new_spanned(place, message);
    if attributes.has("unchecked") {
        return Ok(None);
    }
    let explicit = attributes.text("migrations").map(syn::LitStr::value);
    let Ok(path) = schema::locate(explicit.as_deref()) else {
        return Ok(None);
    };
    let (loaded, tracking) = schema::load(&path).map_err(wrong)?;
    let found = loaded
        .schema
        .table(schema_name, name)
        .map_err(|error| wrong(error.message().to_owned()))?;
    match found {
        Some(table) => Ok(Some((table, tracking))),
        None => {
            let reference = match schema_name {
                Some(schema) => format!("{}.{}", super::sql_name(schema), super::sql_name(name)),
                None => super::sql_name(name),
            };
            Err(wrong(missing_table(&loaded.schema, &reference)))
        }
    }
}

/// The enumerated type in the migrations that an enum stands for: the one that it names, or one of
/// its own name. `None`: there is none, so that it is text. With it comes what makes the compiler
/// look again when they change.
pub(super) fn enum_of(
    attributes: &Attributes,
    ident: &Ident,
) -> syn::Result<(Option<EnumType>, TokenStream)> {
    let unknown = (None, TokenStream::new());
    if attributes.has("unchecked") {
        return Ok(unknown);
    }
    let said = attributes.text("type");
    let place: &dyn quote::ToTokens = match said {
        Some(text) => text,
        None => ident,
    };
    let wrong = |message: String| syn::Error::new_spanned(place, message);
    let explicit = attributes.text("migrations").map(syn::LitStr::value);
    let of_schema = attributes.text("schema").map(syn::LitStr::value);
    let says_where = said.is_some() || of_schema.is_some();
    let Ok(path) = schema::locate(explicit.as_deref()) else {
        return Ok(unknown);
    };
    let (loaded, tracking) = match schema::load(&path) {
        Ok(loaded) => loaded,
        // An enum may be of text, beside migrations of another program's.
        Err(_) if !says_where && explicit.is_none() => return Ok(unknown),
        Err(message) => return Err(wrong(message)),
    };
    let name = match said {
        Some(text) => text.value(),
        None => super::snake_case(&ident.unraw().to_string()),
    };
    let found = loaded
        .schema
        .named_type(of_schema.as_deref(), &name)
        .map_err(|error| wrong(error.message().to_owned()))?;
    match found.and_then(|named| named.as_enum()) {
        Some(of) => Ok((Some(of), tracking)),
        None if !says_where => Ok((None, tracking)),
        None => {
            let all = loaded.schema.named_types();
            let enums: Vec<String> = all
                .iter()
                .filter_map(|named| named.as_enum())
                .map(|of| of.to_string())
                .collect();
            let there_are = if enums.is_empty() {
                format!("Make one: CREATE TYPE {name} AS ENUM (…) in a migration.")
            } else {
                format!("There are: {}.", enums.join(", "))
            };
            Err(wrong(format!(
                "there is no enumerated type \"{name}\"\nHINT:  {there_are}"
            )))
        }
    }
}

/// What the binder says of a table that is not there.
fn missing_table(schema: &Schema, reference: &str) -> String {
    let sql = format!("SELECT * FROM {reference}");
    let error = parse_statement(&sql)
        .and_then(|statement| bind(&statement, schema, &BindOptions::default()))
        .err();
    let Some(error) = error else {
        return format!("there is no table {reference}");
    };
    // A name in quotes is shown in quotes of its own.
    let mut message = error.message().replace("\"\"", "\"");
    let hint = error
        .hint_text()
        .unwrap_or("Say which table the rows are of: #[query_builder(table = \"name\")].");
    message += &format!("\nHINT:  {hint}");
    message
}

/// Whether the fields have the whole primary key.
pub(super) fn has_key(table: &Table, fields: &[Field<'_>]) -> bool {
    let is_field = |at: &usize| {
        fields
            .iter()
            .any(|field| table.column(&field.column) == Some(*at))
    };
    table.primary_key.iter().all(is_field)
}

/// The column of a field, of a type that can be read.
pub(super) fn column_of<'t>(table: &'t Table, field: &Field<'_>) -> syn::Result<&'t Column> {
    if let Some(at) = table.column(&field.column) {
        let column = &table.columns[at];
        if let Some(readable) = rust_types::readable(column.data_type) {
            return Err(syn::Error::new_spanned(
                field.ident,
                format!(
                    "column \"{0}\" is {1}, which no Rust type stands for\n\
                     HINT:  Leave the field out, and read the column with query!: \
                     {0}::{readable} AS {0}.",
                    column.name, column.data_type
                ),
            ));
        }
        return Ok(column);
    }
    let names: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    Err(syn::Error::new_spanned(
        field.ident,
        format!(
            "column \"{}\" of relation \"{}\" does not exist\n\
             HINT:  It has: {}. Say which with #[query_builder(column = \"name\")].",
            field.column,
            table.name,
            names.join(", ")
        ),
    ))
}

/// Whether the database makes the column's values.
pub(super) fn is_generated(column: &Column) -> bool {
    column.identity.is_some()
        || column.generated.is_some()
        || column
            .default
            .as_ref()
            .is_some_and(|(_, default)| draws_a_number(default))
}

fn draws_a_number(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Function(ScalarFunction::NextValue, _) => true,
        ExprKind::Cast(operand) | ExprKind::AssignmentCast(operand) => draws_a_number(operand),
        _ => false,
    }
}

/// Whether a column is unique by itself.
pub(super) fn is_unique(table: &Table, column: &Column) -> bool {
    table.has_unique_key(&[column.number])
}

/// Columns that insert must give a value, which the struct does not have.
pub(super) fn lacking(table: &Table, fields: &[Field<'_>]) -> Option<String> {
    let column = table.columns.iter().find(|column| {
        column.not_null
            && column.default.is_none()
            && !is_generated(column)
            && !fields.iter().any(|field| field.column == column.name)
    })?;
    Some(format!(
        "column \"{}\" of relation \"{}\" is NOT NULL and has no default, and the struct has no \
         field for it, so that no row could be inserted\n\
         HINT:  Add a field `{}`.",
        column.name, table.name, column.name
    ))
}
