//! `#[derive(QueryBuilder)]`: structs as rows of a table, enums as columns.

mod agreement;
mod attributes;
mod enumeration;
mod relations;
mod table;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Data, DeriveInput};

use crate::{files, schema};
use attributes::Attributes;

/// What a derive becomes: code, or errors that point at what is wrong.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let result = syn::parse2::<DeriveInput>(input).and_then(|input| {
        relations::misplaced(
            &input.attrs,
            "belongs_to",
            "on the field that leads to the other row: #[belongs_to(Customer)] customer_id: i32",
        )?;
        match &input.data {
            Data::Struct(of) => {
                let attributes = Attributes::read(&input.attrs, &attributes::ON_STRUCT)?;
                table::expand(&input, of, &attributes)
            }
            Data::Enum(of) => enumeration::expand(&input, of),
            Data::Union(of) => Err(syn::Error::new(
                of.union_token.span,
                "QueryBuilder is for structs (a table's rows) and enums (a column)",
            )),
        }
    });
    result.unwrap_or_else(syn::Error::into_compile_error)
}

/// The path of the runtime crate: as said, or by the name that the manifest gives it.
fn runtime(attributes: &Attributes) -> syn::Result<TokenStream> {
    if let Some(path) = attributes.text("crate") {
        let path: syn::Path = path.parse().map_err(|error: syn::Error| {
            let message = "`crate` takes the path of rustling-query: \
                           #[query_builder(crate = \"::rustling_query\")]";
            syn::Error::new(error.span(), message)
        })?;
        return Ok(quote! { #path });
    }
    let renamed = files::package_directory()
        .ok()
        .and_then(|directory| schema::cached_manifest(&directory).renamed);
    let name = renamed.unwrap_or_else(|| "rustling_query".to_owned());
    let name = Ident::new(&name, Span::call_site());
    Ok(quote! { ::#name })
}

/// `BlogPost` as `blog_post`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let mut previous_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && previous_lower {
            out.push('_');
        }
        previous_lower = c.is_lowercase() || c.is_ascii_digit();
        out.extend(c.to_lowercase());
    }
    out
}

/// A name as SQL writes it: in double quotes where it must be.
fn sql_name(name: &str) -> String {
    let quoted = || format!("\"{}\"", name.replace('"', "\"\""));
    let plain = name
        .chars()
        .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
        && !name.starts_with(|c: char| c.is_ascii_digit());
    // A keyword is a name only in quotes.
    let alone =
        plain && rustling_sql::parse_statement(&format!("SELECT {name} FROM {name}")).is_ok();
    if alone { name.to_owned() } else { quoted() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_become_names_of_tables() {
        assert_eq!(snake_case("BlogPost"), "blog_post");
        assert_eq!(snake_case("User"), "user");
        assert_eq!(snake_case("HTTPRequest2Log"), "httprequest2_log");
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        assert_eq!(sql_name("users"), "users");
        assert_eq!(sql_name("order"), "\"order\"");
        assert_eq!(sql_name("Mixed"), "\"Mixed\"");
        assert_eq!(sql_name("a\"b"), "\"a\"\"b\"");
    }
}
