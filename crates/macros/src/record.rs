//! Columns of results as fields of structs.

use proc_macro2::{Ident, Literal, Span, TokenStream, TokenTree};
use quote::ToTokens;
use rustling_sql::{DataType, template::CheckedColumn};
use syn::{Type, ext::IdentExt, parse::Parser};

use crate::{
    rust_types::{readable, write_column_type, write_marker},
    tokens::Tokens,
};

/// A column as a field.
pub(crate) struct Field {
    pub(crate) name: Ident,
    /// Its SQL type.
    pub(crate) sql_type: DataType,
    /// Whether it is an `Option`.
    pub(crate) nullable: bool,
    /// The type that the column's name says.
    pub(crate) of_caller: Option<TokenStream>,
}

impl Field {
    /// Writes `0 Type, Marker;`: where the column is and as what it is read.
    pub(crate) fn write(&self, tokens: &mut Tokens, runtime: &TokenTree, at: usize) {
        tokens.push(Literal::usize_unsuffixed(at));
        if self.nullable {
            tokens.path(&["core", "option", "Option"]).mark('<');
        }
        match &self.of_caller {
            Some(data_type) => tokens.all(data_type.clone()),
            None => write_column_type(tokens, runtime, self.sql_type),
        }
        if self.nullable {
            tokens.mark('>');
        }
        tokens.mark(',');
        write_marker(tokens, runtime, self.sql_type);
        tokens.mark(';');
    }
}

/// The fields of a result's columns.
///
/// A column's name may say more than a name: `AS "name!"` never NULL, `AS "name?"` maybe NULL,
/// `AS "name: Type"` read as that type.
pub(crate) fn fields(columns: &[CheckedColumn], span: Span) -> Result<Vec<Field>, String> {
    let mut fields: Vec<Field> = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let field = field(column, at, span)?;
        if fields.iter().any(|other| other.name == field.name) {
            return Err(format!(
                "two columns are called \"{}\"\n\
                 HINT:  Give one another name: … AS other_name.",
                field.name.unraw()
            ));
        }
        fields.push(field);
    }
    Ok(fields)
}

/// The field of a column at a position.
pub(crate) fn field(column: &CheckedColumn, at: usize, span: Span) -> Result<Field, String> {
    let (name, of_caller) = match column.name.split_once(':') {
        Some((name, data_type)) => (name.trim(), Some(data_type.trim())),
        None => (column.name.as_str(), None),
    };
    let (name, nullable) = if let Some(name) = name.strip_suffix('!') {
        (name, false)
    } else if let Some(name) = name.strip_suffix('?') {
        (name, true)
    } else {
        (name, column.nullable)
    };
    let name = identifier(name, span).ok_or_else(|| {
        format!(
            "column {} is called \"{}\", which cannot be a field's name\n\
             HINT:  Give it one: … AS name.",
            at + 1,
            column.name
        )
    })?;
    let of_caller = match of_caller {
        None => {
            if let Some(readable) = readable(column.data_type) {
                return Err(format!(
                    "column \"{name}\" is {}, which no Rust type stands for\n\
                     HINT:  Convert it: …::{readable} AS {name}.",
                    column.data_type,
                    name = name.unraw(),
                ));
            }
            None
        }
        Some(text) => {
            let wrong = |_| {
                format!(
                    "\"{text}\" is no type\n\
                     HINT:  Behind the colon in a column's name stands the Rust type that it is read \
                     as: AS \"{}: Json\".",
                    name.unraw()
                )
            };
            let tokens = crate::query::spanned(text, span).map_err(wrong)?;
            let parse = |input: syn::parse::ParseStream<'_>| input.parse::<Type>();
            let parsed = parse
                .parse2(tokens)
                .map_err(|error| wrong(error.to_string()))?;
            Some(parsed.into_token_stream())
        }
    };
    Ok(Field {
        name,
        sql_type: column.data_type,
        nullable,
        of_caller,
    })
}

/// What is a name only when it is written raw, in some edition at least.
pub(crate) const KEYWORDS: [&str; 48] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// A name as a field's name: keywords raw.
pub(crate) fn identifier(name: &str, span: Span) -> Option<Ident> {
    let mut chars = name.chars();
    let first = chars.next()?;
    let fine = (first == '_' || first.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
        && !matches!(name, "_" | "self" | "Self" | "super" | "crate");
    if !fine {
        return None;
    }
    if KEYWORDS.contains(&name) {
        return Some(Ident::new_raw(name, span));
    }
    // What of other scripts may stand in a name, only the compiler knows.
    (name.is_ascii() || syn::parse_str::<Ident>(name).is_ok()).then(|| Ident::new(name, span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers_or_none() {
        let identifier = |name| identifier(name, Span::call_site()).map(|ident| ident.to_string());
        for name in ["id", "_x", "a1", "größe", "名前", "union"] {
            assert_eq!(identifier(name).as_deref(), Some(name));
        }
        for name in KEYWORDS {
            assert_eq!(identifier(name), Some(format!("r#{name}")));
        }
        for name in ["", "_", "1a", "a b", "m²", "Ⓐ", "x½", "self", "crate"] {
            assert_eq!(identifier(name), None, "{name}");
        }
    }
}
