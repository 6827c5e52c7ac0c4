//! The Rust types that stand for SQL types.

use proc_macro2::{TokenStream, TokenTree};
use quote::{format_ident, quote};
use rustling_sql::DataType;

use crate::tokens::Tokens;

/// Writes the type that a column of this type is read as.
pub(crate) fn write_column_type(tokens: &mut Tokens, runtime: &TokenTree, data_type: DataType) {
    let primitive = match data_type.of_values() {
        DataType::Boolean => "bool",
        DataType::Int1 => "i8",
        DataType::Int2 => "i16",
        DataType::Int4 => "i32",
        DataType::Int8 => "i64",
        DataType::Float4 => "f32",
        DataType::Float8 => "f64",
        DataType::Bytea => {
            tokens.path(&["std", "vec", "Vec"]).mark('<');
            tokens.path(&["core", "primitive", "u8"]).mark('>');
            return;
        }
        DataType::Array(element) => {
            tokens.path(&["std", "vec", "Vec"]).mark('<');
            tokens.path(&["core", "option", "Option"]).mark('<');
            write_column_type(tokens, runtime, element.data_type());
            tokens.mark('>').mark('>');
            return;
        }
        DataType::Decimal(_)
        | DataType::Date
        | DataType::Time
        | DataType::Timestamp
        | DataType::TimestampTz
        | DataType::Interval
        | DataType::Uuid
        | DataType::Json
        | DataType::Jsonb => {
            let name = column_type_name(data_type);
            tokens.push(runtime.clone()).path(&[&name]);
            return;
        }
        _ => {
            tokens.path(&["std", "string", "String"]);
            return;
        }
    };
    tokens.path(&["core", "primitive", primitive]);
}

/// What a column of the type must be converted to, where no Rust type stands for its own.
pub(crate) fn readable(data_type: DataType) -> Option<&'static str> {
    match data_type.of_values() {
        DataType::Oid => Some("bigint"),
        DataType::TimeTz | DataType::Object(_) | DataType::Int2Vector | DataType::OidVector => {
            Some("text")
        }
        DataType::Array(element) => readable(element.data_type()).map(|_| "text"),
        _ => None,
    }
}

/// The name of that type, to be shown.
pub(crate) fn column_type_name(data_type: DataType) -> String {
    match data_type.of_values() {
        DataType::Boolean => "bool",
        DataType::Int1 => "i8",
        DataType::Int2 => "i16",
        DataType::Int4 => "i32",
        DataType::Int8 => "i64",
        DataType::Float4 => "f32",
        DataType::Float8 => "f64",
        DataType::Decimal(_) => "Decimal",
        DataType::Bytea => "Vec<u8>",
        DataType::Date => "Date",
        DataType::Time => "Time",
        DataType::Timestamp => "DateTime",
        DataType::TimestampTz => "Timestamp",
        DataType::Interval => "Interval",
        DataType::Uuid => "Uuid",
        DataType::Json | DataType::Jsonb => "Json",
        DataType::Array(element) => {
            return format!("Vec<Option<{}>>", column_type_name(element.data_type()));
        }
        _ => "String",
    }
    .to_owned()
}

/// What fits a parameter of the type, to be shown.
pub(crate) fn fitting(data_type: DataType) -> String {
    match data_type.of_values() {
        DataType::Int2 => "i16, i8 or u8",
        DataType::Int4 => "i32 or a smaller integer (u16, i16, …)",
        DataType::Int8 => "i64 or a smaller integer (u32, i32, …)",
        DataType::Float8 => "f64, f32 or i32",
        DataType::Decimal(_) => "Decimal or an integer (i64, u64, i32, …)",
        DataType::Bytea => "Vec<u8> or &[u8]",
        DataType::Timestamp => "DateTime (jiff::civil)",
        DataType::Date => "Date (jiff::civil)",
        DataType::Time => "Time (jiff::civil)",
        DataType::TimestampTz => "Timestamp or Zoned (jiff)",
        DataType::Json | DataType::Jsonb => "Json, or JsonOf(&value) of what serde knows",
        DataType::Array(element) => {
            let element = fitting(element.data_type());
            return format!("a Vec, slice or array of {element}");
        }
        DataType::Boolean
        | DataType::Int1
        | DataType::Float4
        | DataType::Interval
        | DataType::Uuid => return column_type_name(data_type),
        _ => "&str or String",
    }
    .to_owned()
}

/// The marker of the type that a parameter has.
pub(crate) fn marker(runtime: &TokenStream, data_type: DataType) -> TokenStream {
    let name = format_ident!("{}", marker_name(data_type));
    let marker = quote! { #runtime::sql_type::#name };
    match data_type.of_values() {
        DataType::Array(_) => quote! { #runtime::sql_type::Array<#marker> },
        _ => marker,
    }
}

/// Writes the marker of the type that a parameter or a column has.
pub(crate) fn write_marker(tokens: &mut Tokens, runtime: &TokenTree, data_type: DataType) {
    let is_array = matches!(data_type.of_values(), DataType::Array(_));
    if is_array {
        tokens.push(runtime.clone()).path(&["sql_type", "Array"]);
        tokens.mark('<');
    }
    let name = marker_name(data_type);
    tokens.push(runtime.clone()).path(&["sql_type", name]);
    if is_array {
        tokens.mark('>');
    }
}

/// The marker's name; of arrays that of their elements.
fn marker_name(data_type: DataType) -> &'static str {
    match data_type.of_values() {
        DataType::Boolean => "Boolean",
        DataType::Int1 => "TinyInt",
        DataType::Int2 => "SmallInt",
        DataType::Int4 => "Integer",
        DataType::Int8 => "BigInt",
        DataType::Float4 => "Real",
        DataType::Float8 => "DoublePrecision",
        DataType::Decimal(_) => "Numeric",
        DataType::Bytea => "Bytea",
        DataType::Date => "Date",
        DataType::Time => "Time",
        DataType::Timestamp => "Timestamp",
        DataType::TimestampTz => "TimestampTz",
        DataType::Interval => "Interval",
        DataType::Uuid => "Uuid",
        DataType::Json => "Json",
        DataType::Jsonb => "Jsonb",
        DataType::Array(element) => marker_name(element.data_type()),
        _ => "Text",
    }
}
