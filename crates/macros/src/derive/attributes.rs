//! `#[query_builder(key = "value", flag)]`.

use std::collections::BTreeMap;

use syn::{Attribute, Ident, LitStr, Token, ext::IdentExt};

/// What a type may say.
pub(super) const ON_TYPE: [&str; 5] = ["table", "schema", "crate", "migrations", "unchecked"];
/// What a field may say.
pub(super) const ON_FIELD: [&str; 8] = [
    "column",
    "primary_key",
    "unique",
    "generated",
    "default",
    "json",
    "sql_type",
    "skip",
];
/// What a variant may say.
pub(super) const ON_VARIANT: [&str; 1] = ["name"];

/// The options of one item by name; a flag has no text.
#[derive(Default)]
pub(super) struct Attributes(BTreeMap<String, (Ident, Option<LitStr>)>);

impl Attributes {
    /// Reads the options, which must be among `known`.
    pub(super) fn read(attributes: &[Attribute], known: &[&str]) -> syn::Result<Attributes> {
        let mut read = Attributes::default();
        for attribute in attributes {
            if !attribute.path().is_ident("query_builder") {
                continue;
            }
            attribute.parse_args_with(|input: syn::parse::ParseStream<'_>| {
                while !input.is_empty() {
                    let name = input.call(Ident::parse_any)?;
                    if !known.contains(&name.to_string().as_str()) {
                        return Err(syn::Error::new_spanned(
                            &name,
                            format!("unknown option `{name}`; there are: {}", known.join(", ")),
                        ));
                    }
                    let text = if input.peek(Token![=]) {
                        input.parse::<Token![=]>()?;
                        Some(input.parse()?)
                    } else {
                        None
                    };
                    let twice = read
                        .0
                        .insert(name.to_string(), (name.clone(), text))
                        .is_some();
                    if twice {
                        return Err(syn::Error::new_spanned(
                            &name,
                            format!("`{name}` stands twice"),
                        ));
                    }
                    if !input.is_empty() {
                        input.parse::<Token![,]>()?;
                    }
                }
                Ok(())
            })?;
        }
        for (name, (ident, text)) in &read.0 {
            let is_flag = matches!(
                name.as_str(),
                "primary_key" | "unique" | "generated" | "json" | "skip" | "unchecked"
            );
            if is_flag && text.is_some() {
                return Err(syn::Error::new_spanned(
                    ident,
                    format!("`{name}` takes no value"),
                ));
            }
            if !is_flag && text.is_none() {
                return Err(syn::Error::new_spanned(
                    ident,
                    format!("`{name}` needs a value: {name} = \"…\""),
                ));
            }
        }
        Ok(read)
    }

    /// Whether a flag is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The text of an option.
    pub(super) fn text(&self, name: &str) -> Option<&LitStr> {
        self.0.get(name)?.1.as_ref()
    }

    /// Where an option stands.
    pub(super) fn place(&self, name: &str) -> Option<&Ident> {
        self.0.get(name).map(|(ident, _)| ident)
    }
}
