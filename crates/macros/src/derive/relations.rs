//! `#[belongs_to(Parent)]` on fields and `#[has_many(Child, foreign_key = "field")]` on structs.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, LitStr, Meta, Path, Token, ext::IdentExt, parse::ParseStream};

use super::{snake_case, table::Field};
use crate::record::identifier;

/// The methods of a field's `#[belongs_to(Parent)]`; `key = "field"` names what of the parent is
/// referred to, `name = "method"` the method.
pub(super) fn belongs_to(runtime: &TokenStream, field: &Field<'_>) -> syn::Result<TokenStream> {
    let mut methods = TokenStream::new();
    for attribute in field
        .attributes
        .iter()
        .filter(|of| of.path().is_ident("belongs_to"))
    {
        let relation = Relation::read(attribute, "key")?;
        let parent = &relation.of;
        let key = relation.field.unwrap_or_else(|| format_ident!("id"));
        let of_field = field.ident.unraw().to_string();
        let of_parent = of_field
            .strip_suffix("_id")
            .and_then(|name| identifier(name, field.ident.span()));
        let name = match relation.name {
            Some(name) => name,
            None => match of_parent {
                Some(name) => name,
                None => {
                    return Err(syn::Error::new_spanned(
                        attribute,
                        format!(
                            "the field is not called something_id: name the relation, \
                             #[belongs_to({}, name = \"…\")]",
                            quote! { #parent }
                        ),
                    ));
                }
            },
        };
        let load = format_ident!("load_{}", name);
        let ident = field.ident;
        let one = format!("The row that `{of_field}` leads to.");
        let all = format!("For each of the rows the one that `{of_field}` leads to, in one query.");
        methods.extend(quote! {
            #[doc = #one]
            ///
            /// # Errors
            /// What the query fails with.
            pub fn #name<__On: #runtime::Runs>(
                &self,
                on: __On,
            ) -> __On::Output<::core::option::Option<#parent>> {
                #runtime::table::parent(<#parent>::#key(), &self.#ident, on)
            }
            #[doc = #all]
            ///
            /// # Errors
            /// What the query fails with.
            pub fn #load<__On: #runtime::Runs>(
                rows: &[Self],
                on: __On,
            ) -> __On::Output<::std::vec::Vec<::core::option::Option<#parent>>>
            where
                #parent: ::core::clone::Clone,
            {
                let keys = rows
                    .iter()
                    .map(|row| #runtime::table::Field::to_sql(&row.#ident))
                    .collect();
                #runtime::table::parents(<#parent>::#key(), keys, on)
            }
        });
    }
    Ok(methods)
}

/// The methods of a struct's `#[has_many(Child, foreign_key = "field")]`.
pub(super) fn has_many(
    runtime: &TokenStream,
    attributes: &[Attribute],
    key: Option<&Ident>,
) -> syn::Result<TokenStream> {
    let mut methods = TokenStream::new();
    for attribute in attributes
        .iter()
        .filter(|of| of.path().is_ident("has_many"))
    {
        let relation = Relation::read(attribute, "foreign_key")?;
        let child = &relation.of;
        let Some(foreign_key) = relation.field else {
            return Err(syn::Error::new_spanned(
                attribute,
                format!(
                    "which of its fields refers to these rows? \
                     #[has_many({}, foreign_key = \"…_id\")]",
                    quote! { #child }
                ),
            ));
        };
        let Some(key) = key else {
            return Err(syn::Error::new_spanned(
                attribute,
                "rows that others refer to need a primary key of one column: give the struct the \
                 field of it",
            ));
        };
        let last = child
            .segments
            .last()
            .map(|segment| segment.ident.unraw().to_string());
        let plural = format!("{}s", snake_case(&last.unwrap_or_default()));
        let name = match relation.name {
            Some(name) => name,
            None => identifier(&plural, key.span()).ok_or_else(|| {
                syn::Error::new_spanned(
                    attribute,
                    format!("no method can be called `{plural}`: say how, name = \"…\""),
                )
            })?,
        };
        let load = format_ident!("load_{}", name);
        let one = format!("The rows whose `{foreign_key}` leads here.");
        let all =
            format!("For each of the rows those whose `{foreign_key}` leads there, in one query.");
        methods.extend(quote! {
            #[doc = #one]
            ///
            /// # Errors
            /// What the query fails with.
            pub fn #name<__On: #runtime::Runs>(
                &self,
                on: __On,
            ) -> __On::Output<::std::vec::Vec<#child>> {
                #runtime::table::children_of_one(<#child>::#foreign_key(), &self.#key, on)
            }
            #[doc = #all]
            ///
            /// # Errors
            /// What the query fails with.
            pub fn #load<__On: #runtime::Runs>(
                rows: &[Self],
                on: __On,
            ) -> __On::Output<::std::vec::Vec<::std::vec::Vec<#child>>> {
                let keys = rows
                    .iter()
                    .map(|row| #runtime::table::Field::to_sql(&row.#key))
                    .collect();
                #runtime::table::children(<#child>::#foreign_key(), keys, on)
            }
        });
    }
    Ok(methods)
}

struct Relation {
    of: Path,
    field: Option<Ident>,
    name: Option<Ident>,
}

impl Relation {
    fn read(attribute: &Attribute, field_option: &str) -> syn::Result<Relation> {
        let (kind, example) = match field_option {
            "key" => ("belongs_to", "#[belongs_to(Customer)]"),
            _ => (
                "has_many",
                "#[has_many(Order, foreign_key = \"customer_id\")]",
            ),
        };
        let Meta::List(list) = &attribute.meta else {
            return Err(syn::Error::new_spanned(
                attribute,
                format!("`{kind}` names the struct of the other rows: {example}"),
            ));
        };
        list.parse_args_with(|input: ParseStream<'_>| {
            let start = input.span();
            let of = input.parse().map_err(|_| {
                let message =
                    format!("the struct of the other rows comes first, without quotes: {example}");
                syn::Error::new(start, message)
            })?;
            let mut relation = Relation {
                of,
                field: None,
                name: None,
            };
            while !input.is_empty() {
                if !input.peek(Token![,]) {
                    return Err(input.error(format!("a comma is missing: {example}")));
                }
                input.parse::<Token![,]>()?;
                if input.is_empty() {
                    break;
                }
                relation.option(input, field_option, example)?;
            }
            Ok(relation)
        })
    }

    fn option(
        &mut self,
        input: ParseStream<'_>,
        field_option: &str,
        example: &str,
    ) -> syn::Result<()> {
        let start = input.span();
        let option: Ident = input.parse().map_err(|_| {
            let message =
                format!("an option has a name, {field_option} = \"…\" or name = \"…\": {example}");
            syn::Error::new(start, message)
        })?;
        if option != field_option && option != "name" {
            return Err(syn::Error::new_spanned(
                &option,
                format!("unknown option `{option}`; there are: {field_option}, name"),
            ));
        }
        let expected = || format!("`{option}` takes a name in quotes: {option} = \"customer_id\"");
        if !input.peek(Token![=]) {
            return Err(syn::Error::new_spanned(&option, expected()));
        }
        input.parse::<Token![=]>()?;
        let start = input.span();
        let text: LitStr = input
            .parse()
            .map_err(|_| syn::Error::new(start, expected()))?;
        let Some(ident) = identifier(&text.value(), text.span()) else {
            let message = format!("\"{}\" is no name of a field or method", text.value());
            return Err(syn::Error::new_spanned(&text, message));
        };
        let place = if option == "name" {
            &mut self.name
        } else {
            &mut self.field
        };
        if place.replace(ident).is_some() {
            return Err(syn::Error::new_spanned(
                &option,
                format!("`{option}` stands twice: leave out one of the two"),
            ));
        }
        Ok(())
    }
}

/// Relations where they say nothing.
pub(super) fn misplaced(attributes: &[Attribute], name: &str, rather: &str) -> syn::Result<()> {
    match attributes.iter().find(|of| of.path().is_ident(name)) {
        Some(attribute) => Err(syn::Error::new_spanned(
            attribute,
            format!("`{name}` stands {rather}"),
        )),
        None => Ok(()),
    }
}
