//! `#[query_builder(key = "value", flag)]`.

use std::collections::BTreeMap;

use syn::{Attribute, Ident, LitStr, Meta, Token, ext::IdentExt, parse::ParseStream, token};

/// What a struct may say.
pub(super) const ON_STRUCT: [&str; 5] = ["table", "schema", "crate", "migrations", "unchecked"];
/// What an enum may say.
pub(super) const ON_ENUM: [&str; 5] = ["type", "schema", "crate", "migrations", "unchecked"];
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

/// How an option is written.
fn example(name: &str) -> String {
    let value = match name {
        "table" => "customers",
        "schema" => "shop",
        "crate" => "::rustling_query",
        "migrations" => "db/migrations",
        "type" => "mood",
        "column" => "email",
        "default" => "now()",
        "sql_type" => "varchar(40)",
        "name" => "very_high",
        _ => return format!("#[query_builder({name})]"),
    };
    format!("#[query_builder({name} = \"{value}\")]")
}

fn is_flag(name: &str) -> bool {
    matches!(
        name,
        "primary_key" | "unique" | "generated" | "json" | "skip" | "unchecked"
    )
}

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
            let example = example(known[0]);
            let Meta::List(list) = &attribute.meta else {
                return Err(syn::Error::new_spanned(
                    attribute,
                    format!("options stand in parentheses: {example}"),
                ));
            };
            list.parse_args_with(|input: ParseStream<'_>| {
                while !input.is_empty() {
                    read.option(input, known, &example)?;
                }
                Ok(())
            })?;
        }
        for (name, (ident, text)) in &read.0 {
            let message = match (is_flag(name), text) {
                (true, Some(_)) => {
                    format!("`{name}` takes no value: {}", example(name))
                }
                (false, None) => {
                    format!("`{name}` needs a value: {}", example(name))
                }
                _ => continue,
            };
            return Err(syn::Error::new_spanned(ident, message));
        }
        if read.has("skip")
            && let Some((other, (ident, _))) = read.0.iter().find(|(name, _)| *name != "skip")
        {
            return Err(syn::Error::new_spanned(
                ident,
                format!("a field with `skip` is no column: leave out `{other}`, or `skip`"),
            ));
        }
        Ok(read)
    }

    /// Reads an option and the comma behind it.
    fn option(&mut self, input: ParseStream<'_>, known: &[&str], of_any: &str) -> syn::Result<()> {
        let name = input.call(Ident::parse_any).map_err(|error| {
            syn::Error::new(error.span(), format!("an option has a name: {of_any}"))
        })?;
        let text = name.to_string();
        if !known.contains(&text.as_str()) {
            let message = match text.as_str() {
                "table" if known == ON_ENUM => {
                    "an enum is a column, not a table: rows are structs. The enumerated type that \
                     it stands for is said with #[query_builder(type = \"mood\")]"
                        .to_owned()
                }
                _ => format!("unknown option `{name}`; there are: {}", known.join(", ")),
            };
            return Err(syn::Error::new_spanned(&name, message));
        }
        let of_this = example(&text);
        let misplaced = |at: proc_macro2::Span| {
            let form = if is_flag(&text) {
                format!("`{text}` takes no value")
            } else {
                format!("`{text}` takes a string literal")
            };
            syn::Error::new(at, format!("{form}: {of_this}"))
        };
        let value: Option<LitStr> = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Some(input.parse().map_err(|error| misplaced(error.span()))?)
        } else {
            None
        };
        if !input.is_empty() && !input.peek(Token![,]) {
            let is_value = input.peek(token::Paren) || input.peek(Token![:]);
            return Err(if is_value && value.is_none() {
                misplaced(input.span())
            } else {
                input.error(format!("a comma is missing behind `{text}`"))
            });
        }
        input.parse::<Option<Token![,]>>()?;
        if self.0.insert(text, (name.clone(), value)).is_some() {
            return Err(syn::Error::new_spanned(
                &name,
                format!("`{name}` stands twice: leave out one of the two"),
            ));
        }
        Ok(())
    }

    /// Whether a flag is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The text of an option.
    pub(super) fn text(&self, name: &str) -> Option<&LitStr> {
        self.0.get(name)?.1.as_ref()
    }
}
