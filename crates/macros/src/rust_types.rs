//! The Rust types that stand for SQL types.

use proc_macro2::TokenStream;
use quote::quote;
use rustling_sql::DataType;

/// The type that a column of this type is read as.
pub(crate) fn column_type(runtime: &TokenStream, data_type: DataType) -> TokenStream {
    match data_type.of_values() {
        DataType::Boolean => quote! { ::core::primitive::bool },
        DataType::Int1 => quote! { ::core::primitive::i8 },
        DataType::Int2 => quote! { ::core::primitive::i16 },
        DataType::Int4 => quote! { ::core::primitive::i32 },
        DataType::Int8 => quote! { ::core::primitive::i64 },
        DataType::Float4 => quote! { ::core::primitive::f32 },
        DataType::Float8 => quote! { ::core::primitive::f64 },
        DataType::Decimal(_) => quote! { #runtime::Decimal },
        DataType::Bytea => quote! { ::std::vec::Vec<::core::primitive::u8> },
        DataType::Date => quote! { #runtime::Date },
        DataType::Time => quote! { #runtime::Time },
        DataType::Timestamp => quote! { #runtime::DateTime },
        DataType::TimestampTz => quote! { #runtime::Timestamp },
        DataType::Interval => quote! { #runtime::Interval },
        DataType::Uuid => quote! { #runtime::Uuid },
        DataType::Json | DataType::Jsonb => quote! { #runtime::Json },
        DataType::Array(element) => {
            let element = column_type(runtime, element.data_type());
            quote! { ::std::vec::Vec<::core::option::Option<#element>> }
        }
        _ => quote! { ::std::string::String },
    }
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
    let name = match data_type.of_values() {
        DataType::Boolean => quote! { Boolean },
        DataType::Int1 => quote! { TinyInt },
        DataType::Int2 => quote! { SmallInt },
        DataType::Int4 => quote! { Integer },
        DataType::Int8 => quote! { BigInt },
        DataType::Float4 => quote! { Real },
        DataType::Float8 => quote! { DoublePrecision },
        DataType::Decimal(_) => quote! { Numeric },
        DataType::Bytea => quote! { Bytea },
        DataType::Date => quote! { Date },
        DataType::Time => quote! { Time },
        DataType::Timestamp => quote! { Timestamp },
        DataType::TimestampTz => quote! { TimestampTz },
        DataType::Interval => quote! { Interval },
        DataType::Uuid => quote! { Uuid },
        DataType::Json => quote! { Json },
        DataType::Jsonb => quote! { Jsonb },
        DataType::Array(element) => {
            let element = marker(runtime, element.data_type());
            return quote! { #runtime::sql_type::Array<#element> };
        }
        _ => quote! { Text },
    };
    quote! { #runtime::sql_type::#name }
}
