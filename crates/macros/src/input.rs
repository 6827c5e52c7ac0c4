//! What stands in the parentheses of the macros.

use proc_macro2::{Delimiter, Literal, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Expr, Ident, Lit, LitStr, PathArguments, Token, Type,
    parse::{Parse, ParseStream, Parser},
    spanned::Spanned,
};

use crate::query::Form;

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
    /// Reads what stands in a macro.
    pub(crate) fn read(input: TokenStream, form: Form) -> syn::Result<QueryInput> {
        let tokens: Vec<TokenTree> = input.into_iter().collect();
        if let Some(plain) = QueryInput::plain(&tokens, form == Form::As) {
            return Ok(plain);
        }
        let parse = |input: ParseStream<'_>| QueryInput::parse(input, form);
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
            || matches!(database, [TokenTree::Literal(_)])
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
    fn parse(input: ParseStream<'_>, form: Form) -> syn::Result<QueryInput> {
        let RuntimePath(runtime) = input.parse()?;
        let (with_type, usage) = (form == Form::As, usage(form));
        if input.is_empty() || input.peek(LitStr) {
            return Err(wrong(input, "the database is missing", usage));
        }
        if input.peek(Lit) {
            let literal: Lit = input.parse()?;
            let written = literal.to_token_stream();
            let message = format!("`{written}` is no database: {usage}");
            return Err(syn::Error::new_spanned(&literal, message));
        }
        let start = place(input);
        let database: Expr = input.parse().map_err(|_| {
            let message = format!("what the statement runs on is no expression: {usage}");
            syn::Error::new(start, message)
        })?;
        if input.is_empty() {
            let what = match (with_type, form) {
                (true, _) => "the type and the SQL are",
                (_, Form::File) => "the path is",
                _ => "the SQL is",
            };
            return Err(syn::Error::new_spanned(
                &database,
                format!("{what} missing: {usage}"),
            ));
        }
        comma(input, "the database", usage)?;
        let row = if with_type {
            if input.is_empty() || input.peek(LitStr) {
                return Err(wrong(input, "the type is missing", usage));
            }
            let start = place(input);
            let row: Type = input.parse().map_err(|_| {
                let message = format!("what the rows become is no type: {usage}");
                syn::Error::new(start, message)
            })?;
            if input.is_empty() {
                return Err(wrong(input, "the SQL is missing", usage));
            }
            comma(input, "the type", usage)?;
            literal_path(row)
        } else {
            TokenStream::new()
        };
        if !input.peek(LitStr) {
            let message = match form {
                Form::File => "the path must be a string literal, so that the file can be checked",
                _ => "the SQL must be a string literal, so that it can be checked",
            };
            return Err(wrong(input, message, usage));
        }
        let sql: LitStr = input.parse()?;
        let migrations = QueryInput::options(input)?;
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

    /// What may stand behind the SQL: the path of the migrations.
    fn options(input: ParseStream<'_>) -> syn::Result<Option<String>> {
        let mut migrations = None;
        if input.is_empty() {
            return Ok(migrations);
        }
        if input.peek(LitStr) {
            return Err(syn::Error::new(
                place(input),
                "the SQL is one string: write the parts into one, which may have several lines",
            ));
        }
        if !input.peek(Token![,]) {
            return Err(syn::Error::new(place(input), VALUES));
        }
        input.parse::<Token![,]>()?;
        let is_migrations = |input: ParseStream<'_>| {
            let name = input.fork().parse::<Ident>();
            name.is_ok_and(|name| name == "migrations")
        };
        if input.peek(Ident) && (input.peek2(Token![=]) || is_migrations(input)) {
            let key: Ident = input.parse()?;
            if key != "migrations" {
                return Err(syn::Error::new_spanned(
                    &key,
                    format!(
                        "unknown option `{key}`: there is `migrations = \"path\"`. A value stands \
                         in the SQL itself, in braces: WHERE id = {{user_id}}"
                    ),
                ));
            }
            if !input.peek(Token![=]) {
                return Err(syn::Error::new_spanned(&key, PATH));
            }
            input.parse::<Token![=]>()?;
            if !input.peek(LitStr) {
                return Err(syn::Error::new(place(input), PATH));
            }
            migrations = Some(input.parse::<LitStr>()?.value());
            input.parse::<Option<Token![,]>>()?;
        }
        if !input.is_empty() {
            return Err(syn::Error::new(place(input), VALUES));
        }
        Ok(migrations)
    }
}

/// Where a value from Rust is written, not behind the SQL.
const VALUES: &str = "values stand in the SQL itself, in braces: WHERE id = {user_id}";
const PATH: &str =
    "`migrations` takes the path as a string literal: migrations = \"db/migrations\"";

/// How a macro is written.
fn usage(form: Form) -> &'static str {
    match form {
        Form::As => "write query_as!(db, Type, \"SELECT …\")",
        Form::Record => "write the database first, then the SQL: query!(db, \"SELECT …\")",
        Form::Scalar => {
            "write the database first, then the SQL: query_scalar!(db, \"SELECT count(*) …\")"
        }
        Form::Execute => "write the database first, then the SQL: execute!(db, \"DELETE …\")",
        Form::File => {
            "write the database first, then the path: query_file!(db, \"src/report.sql\")"
        }
    }
}

/// What is wrong at the next token.
fn wrong(input: ParseStream<'_>, message: &str, usage: &str) -> syn::Error {
    syn::Error::new(place(input), format!("{message}: {usage}"))
}

fn comma(input: ParseStream<'_>, behind: &str, usage: &str) -> syn::Result<()> {
    if !input.peek(Token![,]) {
        let message = format!("a comma is missing behind {behind}");
        return Err(wrong(input, &message, usage));
    }
    input.parse::<Token![,]>().map(drop)
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

/// Whether an expression makes a value, which nothing else keeps, rather than naming what is kept
/// somewhere: calls, and what `?` and `.await` give. Nothing may be moved out of what is named.
pub(crate) fn lends(expression: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = expression.clone().into_iter().collect();
    lends_all(&tokens)
}

fn lends_all(tokens: &[TokenTree]) -> bool {
    match tokens {
        // In parentheses, or handed on by another macro.
        [TokenTree::Group(group)] => {
            let is_around = matches!(group.delimiter(), Delimiter::Parenthesis | Delimiter::None);
            is_around && lends(&group.stream())
        }
        [first, TokenTree::Ident(word), rest @ ..] if is_mark(first, '&') && word == "mut" => {
            lends_all(rest)
        }
        [first, rest @ ..] if is_mark(first, '&') => lends_all(rest),
        [TokenTree::Punct(first), ..] if first.as_char() != ':' => false,
        [.., last] if is_mark(last, '?') => true,
        [.., dot, TokenTree::Ident(last)] => is_mark(dot, '.') && last == "await",
        [.., before, TokenTree::Group(arguments)] => {
            let is_called = match before {
                TokenTree::Ident(_) | TokenTree::Group(_) => true,
                TokenTree::Punct(mark) => mark.as_char() == '>',
                TokenTree::Literal(_) => false,
            };
            is_called && arguments.delimiter() == Delimiter::Parenthesis
        }
        _ => false,
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
        if input.is_empty() {
            let path = None;
            return Ok(MigrateInput { runtime, path });
        }
        if !input.peek(LitStr) {
            return Err(syn::Error::new(
                place(input),
                "migrate! takes the path of the migrations as a string literal, or nothing: \
                 migrate!(\"db/migrations\")",
            ));
        }
        let path = Some(input.parse()?);
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(syn::Error::new(
                place(input),
                "migrate! takes one path, of the directory with all migrations: \
                 migrate!(\"db/migrations\")",
            ));
        }
        Ok(MigrateInput { runtime, path })
    }
}

#[cfg(test)]
mod tests {
    use super::lends;

    #[test]
    fn calls_lend_and_names_do_not() {
        let lends = |text: &str| lends(&text.parse().expect("tokens"));
        for text in [
            "pool.get()?",
            "pool.get().await",
            "pool.get().await?",
            "shared.lock().unwrap()",
            "Database::in_memory()?",
            "::shop::database()",
            "open::<Session>()",
            "all[0].session()",
            "(pool.get()?)",
            "&pool.get()?",
            "&mut pool.get()?",
        ] {
            assert!(lends(text), "{text}");
        }
        for text in [
            "db",
            "self.db",
            "state.lock().unwrap().db",
            "&mut *tx",
            "&db",
            "*pool.get()?",
            "all[0]",
            "(db)",
            "database!()",
            "if a { b } else { c }",
            "await",
        ] {
            assert!(!lends(text), "{text}");
        }
    }
}
