//! What stands in the parentheses of the macros.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{
    Expr, Ident, LitStr, Token, Type,
    parse::{Parse, ParseStream},
};

/// The path of the runtime crate, as the wrapping `macro_rules!` passes it: `$crate`.
pub(crate) struct RuntimePath(pub(crate) TokenStream);

impl Parse for RuntimePath {
    fn parse(input: ParseStream<'_>) -> syn::Result<RuntimePath> {
        let path: TokenTree = input.parse()?;
        input.parse::<Token![;]>()?;
        Ok(RuntimePath(path.into()))
    }
}

/// `runtime; db, [Type,] "sql" [, migrations = "path"]`.
pub(crate) struct QueryInput {
    pub(crate) runtime: TokenStream,
    pub(crate) database: Expr,
    pub(crate) row: Option<Type>,
    pub(crate) sql: LitStr,
    pub(crate) migrations: Option<LitStr>,
}

impl QueryInput {
    /// Parses; `with_type`: a type stands before the SQL.
    pub(crate) fn parse(input: ParseStream<'_>, with_type: bool) -> syn::Result<QueryInput> {
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
            let row = input.parse()?;
            input.parse::<Token![,]>()?;
            Some(row)
        } else {
            None
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
                    migrations = Some(input.parse()?);
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
            database,
            row,
            sql,
            migrations,
        })
    }
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
    pub(crate) runtime: TokenStream,
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
