//! Enums as columns, of text or of an enumerated type: each variant by its name.

use proc_macro2::TokenStream;
use quote::quote;
use rustling_sql::types::EnumType;
use syn::{DataEnum, DeriveInput, Fields, Ident, Variant, ext::IdentExt};

use super::{
    agreement,
    attributes::{Attributes, ON_ENUM, ON_VARIANT},
    relations, runtime, snake_case,
};

pub(super) fn expand(input: &DeriveInput, of: &DataEnum) -> syn::Result<TokenStream> {
    relations::misplaced(
        &input.attrs,
        "has_many",
        "on the struct of the rows, not on an enum",
    )?;
    let attributes = Attributes::read(&input.attrs, &ON_ENUM)?;
    let runtime = runtime(&attributes)?;
    let mut names: Vec<String> = Vec::new();
    let mut variants = Vec::new();
    for variant in &of.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(syn::Error::new_spanned(
                variant,
                "a variant of a column holds nothing beside its name: write it without fields. A \
                 field of a row with more in it is JSON: #[query_builder(json)]",
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
                format!(
                    "two variants are called \"{name}\": give one another name, \
                     #[query_builder(name = \"…\")]"
                ),
            ));
        }
        names.push(name);
        variants.push(variant);
    }
    if variants.is_empty() {
        return Err(syn::Error::new_spanned(
            &input.ident,
            "an enum without variants has no values: add one",
        ));
    }
    let ident = &input.ident;
    let (of, tracking) = agreement::enum_of(&attributes, ident)?;
    // The rest stands as it is, so that nothing else is missed because of it.
    let agreed = of.map_or(Ok(()), |of| agree(of, ident, &variants, &names));
    let wrong = agreed.err().map(syn::Error::into_compile_error);
    // Columns have nothing to hold against what says that it is unchecked.
    let labels = (!attributes.has("unchecked")).then(|| {
        quote! { const LABELS: &'static [&'static str] = &[#(#names),*]; }
    });
    let variants = variants.iter().map(|variant| &variant.ident);
    let variants: Vec<&Ident> = variants.collect();
    let of_all = names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let expected = format!("is none of {of_all}");
    Ok(quote! {
        #wrong
        #tracking
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
            #labels
        }
    })
}

/// Fails where the enumerated type has no label for a variant, or no variant stands for a label.
fn agree(of: EnumType, ident: &Ident, variants: &[&Variant], names: &[String]) -> syn::Result<()> {
    let labels: Vec<&str> = of.labels().map(|label| label.name()).collect();
    let mut errors: Vec<syn::Error> = Vec::new();
    for (variant, name) in variants.iter().zip(names) {
        let Err(unknown) = of.parse(name) else {
            continue;
        };
        let meant = match unknown.hint_text() {
            Some(hint) if hint.starts_with("Did you mean") => format!("{hint} "),
            _ => String::new(),
        };
        errors.push(syn::Error::new_spanned(
            variant,
            format!(
                "the enumerated type {of} has no value \"{name}\"\n\
                 HINT:  {meant}Its values are {}. Say which it is with #[query_builder(name = \"…\")], \
                 or add it in a migration: ALTER TYPE {of} ADD VALUE '{}'.",
                labels.join(", "),
                name.replace('\'', "''"),
            ),
        ));
    }
    let missing: Vec<&str> = labels
        .into_iter()
        .filter(|label| !names.iter().any(|name| name == label))
        .collect();
    if !missing.is_empty() {
        let listed = missing
            .iter()
            .map(|label| format!("\"{label}\""))
            .collect::<Vec<_>>()
            .join(", ");
        errors.push(syn::Error::new_spanned(
            ident,
            format!(
                "no variant stands for {listed} of the enumerated type {of}, so that a row with it \
                 could not be read\n\
                 HINT:  Add {}, or say which type it is with #[query_builder(type = \"…\")]; for a \
                 column of text, #[query_builder(unchecked)].",
                missing
                    .iter()
                    .map(|label| variant_of(label))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        ));
    }
    errors
        .into_iter()
        .reduce(|mut all, error| {
            all.combine(error);
            all
        })
        .map_or(Ok(()), Err)
}

/// A variant as it is written for a label.
fn variant_of(label: &str) -> String {
    let mut name = String::new();
    for word in label.split(|c: char| !c.is_alphanumeric()) {
        let mut chars = word.chars();
        name.extend(chars.next().into_iter().flat_map(char::to_uppercase));
        name.extend(chars);
    }
    if snake_case(&name) == label && syn::parse_str::<Ident>(&name).is_ok() {
        return format!("`{name}`");
    }
    let ident =
        syn::parse_str::<Ident>(&name).map_or_else(|_| "Name".to_owned(), |of| of.to_string());
    format!("`#[query_builder(name = {label:?})] {ident}`")
}
