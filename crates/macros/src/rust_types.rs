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
