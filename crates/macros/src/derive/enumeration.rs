//! Enums as text columns: each variant by its name.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Fields, ext::IdentExt};

use super::{
    attributes::{Attributes, ON_VARIANT},
    runtime, snake_case,
};

pub(super) fn expand(
    input: &DeriveInput,
    of: &DataEnum,
    attributes: &Attributes,
) -> syn::Result<TokenStream> {
    let runtime = runtime(attributes)?;
    if let Some(table) = attributes.place("table") {
        return Err(syn::Error::new_spanned(
            table,
            "an enum is a column, not a table: rows are structs",
        ));
    }
    let mut names: Vec<String> = Vec::new();
    let mut variants = Vec::new();
    for variant in &of.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(syn::Error::new_spanned(
                variant,
                "a variant of a column holds nothing beside its name",
            ));
        }
        let options = Attributes::read(&variant.attrs, &ON_VARIANT)?;
        let name = options.text("name").map_or_else(
            || snake_case(&variant.ident.unraw().to_string()),
            syn::LitStr::value,
        );
        if names.contains(&name) {
            return Err(syn::Error::new_spanned(
                variant,
                format!("two variants are called \"{name}\""),
            ));
        }
        names.push(name);
        variants.push(&variant.ident);
    }
    if variants.is_empty() {
        return Err(syn::Error::new_spanned(
            &input.ident,
            "an enum without variants has no values",
        ));
    }
    let ident = &input.ident;
    let of_all = names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let expected = format!("is none of {of_all}");
    Ok(quote! {
        impl #ident {
            /// The name that SQL has for the value.
            #[must_use]
            pub const fn sql_name(&self) -> &'static str {
                match self { #(Self::#variants => #names),* }
            }
        }
        impl #runtime::FromValue for #ident {
            fn from_value(value: &#runtime::Value) -> #runtime::Result<Self> {
                let name = <::std::string::String as #runtime::FromValue>::from_value(value)?;
                match name.trim_end() {
                    #(#names => ::core::result::Result::Ok(Self::#variants),)*
                    _ => ::core::result::Result::Err(#runtime::Error::new(
                        #runtime::SqlState::INVALID_TEXT_REPRESENTATION,
                        ::std::format!("\"{}\" {}", name, #expected),
                    )),
                }
            }
        }
        impl #runtime::Parameter<#runtime::sql_type::Text> for #ident {
            fn value(&self) -> #runtime::Value {
                #runtime::Value::from(self.sql_name())
            }
        }
        impl #runtime::table::Field for #ident {
            type Sql = #runtime::sql_type::Text;
            const SQL_TYPE: &'static str = "text";
        }
    })
}
