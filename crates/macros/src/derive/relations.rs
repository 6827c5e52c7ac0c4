//! `#[belongs_to(Parent)]` on fields and `#[has_many(Child, foreign_key = "field")]` on structs.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, LitStr, Path, Token, ext::IdentExt, parse::ParseStream};

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
                "rows that others refer to need a primary key of one column",
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
                syn::Error::new_spanned(attribute, format!("no method can be called `{plural}`"))
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
        attribute.parse_args_with(|input: ParseStream<'_>| {
            let mut relation = Relation {
                of: input.parse()?,
                field: None,
                name: None,
            };
            while !input.is_empty() {
                input.parse::<Token![,]>()?;
                if input.is_empty() {
                    break;
                }
                let option: Ident = input.parse()?;
                input.parse::<Token![=]>()?;
                let text: LitStr = input.parse()?;
                let ident = text.parse()?;
                if option == field_option {
                    relation.field = Some(ident);
                } else if option == "name" {
                    relation.name = Some(ident);
                } else {
                    return Err(syn::Error::new_spanned(
                        &option,
                        format!("unknown option `{option}`; there are: {field_option}, name"),
                    ));
                }
            }
            Ok(relation)
        })
    }
}
