//! What stands in the parentheses of the macros.

use proc_macro2::{Literal, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Expr, Ident, Lit, LitStr, PathArguments, Token, Type,
    parse::{Parse, ParseStream, Parser},
    spanned::Spanned,
};

/// The path of the runtime crate, as the wrapping `macro_rules!` passes it: `$crate`.
pub(crate) struct RuntimePath(pub(crate) TokenTree);

impl Parse for RuntimePath {
    fn parse(input: ParseStream<'_>) -> syn::Result<RuntimePath> {
        let path: TokenTree = input.parse()?;
        input.parse::<Token![;]>()?;
        Ok(RuntimePath(path))
    }
}

/// `runtime; db, [Type,] "sql" [, migrations = "path"]`.
pub(crate) struct QueryInput {
    pub(crate) runtime: TokenTree,
    pub(crate) database: TokenStream,
    /// Where that stands.
    pub(crate) place: Span,
    /// The type, as it stands in a struct literal: `Page::<User>`.
    pub(crate) row: TokenStream,
    /// The SQL as it is written.
    pub(crate) written: Literal,
    pub(crate) sql: String,
    pub(crate) migrations: Option<String>,
}

impl QueryInput {
    /// Reads; `with_type`: a type stands before the SQL.
    pub(crate) fn read(input: TokenStream, with_type: bool) -> syn::Result<QueryInput> {
        let tokens: Vec<TokenTree> = input.into_iter().collect();
        if let Some(plain) = QueryInput::plain(&tokens, with_type) {
            return Ok(plain);
        }
        let parse = |input: ParseStream<'_>| QueryInput::parse(input, with_type);
        parse.parse2(tokens.into_iter().collect())
    }

    /// What is plain to see without a parser of Rust, as nearly every call is. `None` where only
    /// one can tell what is meant, or what is wrong.
    fn plain(tokens: &[TokenTree], with_type: bool) -> Option<QueryInput> {
        let [runtime, semicolon, tokens @ ..] = tokens else {
            return None;
        };
        let tokens = match tokens {
            [tokens @ .., last] if is_mark(last, ',') => tokens,
            _ => tokens,
        };
        let [before @ .., comma, TokenTree::Literal(written)] = tokens else {
            return None;
        };
        if !is_mark(semicolon, ';') || !is_mark(comma, ',') {
            return None;
        }
        let mut parts = before.split(|token| is_mark(token, ','));
        let database = parts.next()?;
        let row = if with_type { parts.next()? } else { &[] };
        let is_path =
            |token: &TokenTree| matches!(token, TokenTree::Ident(_)) || is_mark(token, ':');
        if parts.next().is_some()
            || database.is_empty()
            || database.iter().any(is_text)
            || row.is_empty() == with_type
            || !row.iter().all(is_path)
        {
            return None;
        }
        Some(QueryInput {
            runtime: runtime.clone(),
            place: database[0].span(),
            database: database.iter().cloned().collect(),
            row: row.iter().cloned().collect(),
            sql: text(written)?,
            written: written.clone(),
            migrations: None,
        })
    }

    /// Parses.
    fn parse(input: ParseStream<'_>, with_type: bool) -> syn::Result<QueryInput> {
        let RuntimePath(runtime) = input.parse()?;
        let usage = if with_type {
            "write query_as!(db, Type, \"SELECT …\")"
        } else {
            "write the database first, then the SQL: query!(db, \"SELECT …\")"
        };
        if input.is_empty() || input.peek(LitStr) {
            return Err(syn::Error::new(
                place(input),
                format!("the database is missing: {usage}"),
            ));
        }
        let database: Expr = input.parse()?;
        if input.is_empty() {
            return Err(syn::Error::new_spanned(
                &database,
                format!("the SQL is missing: {usage}"),
            ));
        }
        input.parse::<Token![,]>()?;
        let row = if with_type {
            if input.peek(LitStr) {
                return Err(syn::Error::new(
                    place(input),
                    format!("the type is missing: {usage}"),
                ));
            }
            let row: Type = input.parse()?;
            input.parse::<Token![,]>()?;
            literal_path(row)
        } else {
            TokenStream::new()
        };
        if !input.peek(LitStr) {
            return Err(syn::Error::new(
                place(input),
                format!("the SQL must be a string literal, so that it can be checked: {usage}"),
            ));
        }
        let sql: LitStr = input.parse()?;
        let mut migrations = None;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
            if !input.is_empty() {
                if input.peek(Ident) && input.peek2(Token![=]) {
                    let key: Ident = input.parse()?;
                    if key != "migrations" {
                        return Err(syn::Error::new_spanned(
                            &key,
                            format!("unknown option `{key}`: there is `migrations = \"path\"`"),
                        ));
                    }
                    input.parse::<Token![=]>()?;
                    migrations = Some(input.parse::<LitStr>()?.value());
                    input.parse::<Option<Token![,]>>()?;
                }
                if !input.is_empty() {
                    return Err(syn::Error::new(
                        place(input),
                        "values stand in the SQL itself, in braces: WHERE id = {user_id}",
                    ));
                }
            }
        }
        Ok(QueryInput {
            runtime,
            place: database.span(),
            database: database.into_token_stream(),
            row,
            sql: sql.value(),
            written: sql.token(),
            migrations,
        })
    }
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn is_text(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Literal(literal) if text(literal).is_some())
}

/// The text that a string stands for; `None` for other literals.
fn text(literal: &Literal) -> Option<String> {
    let written = literal.to_string();
    let inner = match written.strip_prefix('r') {
        Some(raw) => {
            let marks = raw.bytes().take_while(|byte| *byte == b'#').count();
            raw.get(marks..raw.len().saturating_sub(marks))
        }
        None => Some(written.as_str()).filter(|text| !text.contains('\\')),
    };
    let inner = inner.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    if let Some(inner) = inner.filter(|text| !text.contains('\r')) {
        return Some(inner.to_owned());
    }
    match Lit::new(literal.clone()) {
        Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

/// A type as it stands in a struct literal.
fn literal_path(mut row: Type) -> TokenStream {
    // What another macro has handed on stands in a group that is not seen.
    while let Type::Group(group) = row {
        row = *group.elem;
    }
    if let Type::Path(path) = &mut row {
        for segment in &mut path.path.segments {
            if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                arguments.colon2_token = Some(Default::default());
            }
        }
    }
    row.into_token_stream()
}

/// Where the next token is; at the end, the macro's call.
fn place(input: ParseStream<'_>) -> Span {
    if input.is_empty() {
        Span::call_site()
    } else {
        input.span()
    }
}

/// `runtime; ["path"]`, of `migrate!`.
pub(crate) struct MigrateInput {
    pub(crate) runtime: TokenTree,
    pub(crate) path: Option<LitStr>,
}

impl Parse for MigrateInput {
    fn parse(input: ParseStream<'_>) -> syn::Result<MigrateInput> {
        let RuntimePath(runtime) = input.parse()?;
        let path = if input.is_empty() {
            None
        } else {
            Some(input.parse()?)
        };
        input.parse::<Option<Token![,]>>()?;
        Ok(MigrateInput { runtime, path })
    }
}
