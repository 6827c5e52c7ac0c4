//! `query!` and its relatives.

use std::str::FromStr;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use rustling_sql::{
    SqlState,
    template::{Branch, BranchHead, Checked, Piece, Template},
};
use syn::{Expr, PathArguments, Type, parse::Parser};

use crate::{
    files,
    input::QueryInput,
    record::{Field, fields},
    rust_types, schema,
};

/// The macro that is expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Record,
    As,
    Scalar,
    File,
    Execute,
}

/// What a macro's call becomes: code, or an error that points at the SQL.
pub(crate) fn expand(input: TokenStream, form: Form) -> TokenStream {
    let parse = |input: syn::parse::ParseStream<'_>| QueryInput::parse(input, form == Form::As);
    match parse.parse2(input) {
        Ok(input) => {
            let span = input.sql.span();
            expand_query(&input, form).unwrap_or_else(|message| compile_error(span, &message))
        }
        Err(error) => error.into_compile_error(),
    }
}

/// An error at a place; its lines are shown as they are.
pub(crate) fn compile_error(span: Span, message: &str) -> TokenStream {
    let message = message.trim_end();
    quote_spanned! { span => ::core::compile_error!(#message) }
}

/// An error of the engine as the engine shows it, without the word that the compiler says itself.
pub(crate) fn render(error: &rustling_sql::Error, text: &str) -> String {
    let shown = error.render(text);
    shown
        .strip_prefix("ERROR:  ")
        .map_or_else(|| shown.clone(), str::to_owned)
}

fn expand_query(input: &QueryInput, form: Form) -> Result<TokenStream, String> {
    let runtime = &input.runtime;
    let span = input.sql.span();
    let mut sql = input.sql.value();
    let mut tracked = TokenStream::new();
    if form == Form::File {
        let path = files::package_directory()?.join(&sql);
        sql = files::read(&path)?;
        tracked = schema::track([path.as_path()].into_iter());
    }
    let explicit = input.migrations.as_ref().map(syn::LitStr::value);
    let (loaded, tracking) = schema::load(&schema::locate(explicit.as_deref())?)?;
    let template = Template::parse(&sql).map_err(|error| render(&error, &sql))?;
    let checked = template
        .check(&loaded.schema)
        .map_err(|error| render(&advised(error, &loaded), &sql))?;
    let statement = statement(runtime, &template, &checked, span)?;
    let database = &input.database;
    let connection = quote! {
        {
            #[allow(unused_imports)]
            use #runtime::{Connect as _, ConnectMut as _};
            (#database).as_connection()
        }
    };
    let rows = match form {
        Form::Execute => {
            if !checked.columns.is_empty() {
                return Err("the statement gives rows, which execute! would drop\n\
                     HINT:  Use query!, query_as! or query_scalar!."
                    .to_owned());
            }
            quote! {
                #runtime::__private::Execute::execute_statement(#connection, __statement)
            }
        }
        _ if checked.columns.is_empty() => {
            return Err("the statement gives no rows\n\
                 HINT:  Use execute!, or give rows back with RETURNING."
                .to_owned());
        }
        Form::Scalar => scalar(runtime, &checked, &connection, span)?,
        Form::Record | Form::File => {
            let fields = fields(runtime, &checked.columns, span)?;
            record(runtime, &fields, &connection)
        }
        Form::As => {
            let fields = fields(runtime, &checked.columns, span)?;
            let row = input.row.as_ref().map(literal_path);
            let reads = reads(runtime, &fields);
            quote! {
                #runtime::Query::new(#connection, __statement, |__row| {
                    ::core::result::Result::Ok(#row { #reads })
                })
            }
        }
    };
    Ok(quote! {
        {
            #tracking
            #tracked
            #statement
            #rows
        }
    })
}

/// An error with what to do about it here, where that is not what the engine would say.
fn advised(error: rustling_sql::Error, loaded: &schema::Loaded) -> rustling_sql::Error {
    match (error.state(), error.hint_text()) {
        (SqlState::UNDEFINED_TABLE, None) if error.message().starts_with("relation") => {
            error.hint(format!("The tables are those of {}.", loaded.place()))
        }
        (_, Some(hint)) if hint.starts_with("Parameters are written $1") => {
            error.hint("Write the value's Rust expression in braces: {user_id}.")
        }
        _ => error,
    }
}

/// A type as it stands in a struct literal: `Page::<User>`.
fn literal_path(row: &Type) -> TokenStream {
    let mut row = row.clone();
    if let Type::Path(path) = &mut row {
        for segment in &mut path.path.segments {
            if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                arguments.colon2_token = Some(Default::default());
            }
        }
    }
    quote! { #row }
}

/// `let __statement = …`, the text with its values.
fn statement(
    runtime: &TokenStream,
    template: &Template,
    checked: &Checked,
    span: Span,
) -> Result<TokenStream, String> {
    if template.is_fixed() {
        let variant = template.variant(&[]);
        let text = &variant.sql;
        let values = variant
            .parameters
            .iter()
            .map(|at| parameter(runtime, template, checked, *at, span))
            .collect::<Result<Vec<_>, _>>()?;
        return Ok(quote! {
            let __statement = #runtime::Statement::fixed(#text, ::std::vec![#(#values),*]);
        });
    }
    let writes = pieces(runtime, template, checked, &template.pieces, span)?;
    Ok(quote! {
        let mut __statement = #runtime::Statement::empty();
        #writes
    })
}

fn pieces(
    runtime: &TokenStream,
    template: &Template,
    checked: &Checked,
    of: &[Piece],
    span: Span,
) -> Result<TokenStream, String> {
    let mut writes = TokenStream::new();
    for piece in of {
        writes.extend(match piece {
            Piece::Text { sql, .. } => quote! { __statement.push_text(#sql); },
            Piece::Parameter(at) => {
                let value = parameter(runtime, template, checked, *at, span)?;
                quote! { __statement.push_value(#value); }
            }
            Piece::Branch(branch) => branch_of(runtime, template, checked, branch, span)?,
        });
    }
    Ok(writes)
}

fn branch_of(
    runtime: &TokenStream,
    template: &Template,
    checked: &Checked,
    branch: &Branch,
    span: Span,
) -> Result<TokenStream, String> {
    let blocks = branch
        .alternatives
        .iter()
        .map(|of| pieces(runtime, template, checked, of, span))
        .collect::<Result<Vec<_>, _>>()?;
    let rust = |text: &str| spanned(text, span).map_err(|error| not_rust(text, &error));
    Ok(match &branch.head {
        BranchHead::If(conditions) => {
            let mut code = TokenStream::new();
            for (condition, block) in conditions.iter().zip(&blocks) {
                let condition = rust(condition)?;
                code.extend(quote! { if #condition { #block } else });
            }
            let last = blocks.last();
            quote! { #code { #last } }
        }
        BranchHead::Match { value, patterns } => {
            let value = rust(value)?;
            let patterns = patterns
                .iter()
                .map(|pattern| rust(pattern))
                .collect::<Result<Vec<_>, _>>()?;
            quote! { match #value { #(#patterns => { #blocks })* } }
        }
    })
}

/// A parameter's value, checked against its type.
fn parameter(
    runtime: &TokenStream,
    template: &Template,
    checked: &Checked,
    at: usize,
    span: Span,
) -> Result<TokenStream, String> {
    let text = &template.parameters[at].expression;
    let tokens = spanned(text, span).map_err(|error| not_rust(text, &error))?;
    syn::parse2::<Expr>(tokens.clone()).map_err(|error| not_rust(text, &error.to_string()))?;
    let marker = rust_types::marker(runtime, checked.parameters[at]);
    Ok(quote_spanned! { span =>
        #runtime::__private::parameter::<#marker, _>(&(#tokens))
    })
}

fn not_rust(text: &str, error: &str) -> String {
    format!(
        "\"{text}\" is no Rust expression: {error}\n\
         HINT:  What stands in braces is Rust; SQL's own text stands outside."
    )
}

/// A text as tokens that stand where the SQL stands, so that they see the caller's variables.
pub(crate) fn spanned(text: &str, span: Span) -> Result<TokenStream, String> {
    let tokens = TokenStream::from_str(text).map_err(|error| error.to_string())?;
    Ok(respan(tokens, span))
}

fn respan(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            if let TokenTree::Group(group) = &mut token {
                *group = Group::new(group.delimiter(), respan(group.stream(), span));
            }
            token.set_span(span);
            token
        })
        .collect()
}

fn reads(runtime: &TokenStream, fields: &[Field]) -> TokenStream {
    let reads = fields.iter().enumerate().map(|(at, field)| {
        let name = &field.name;
        let value = field.read(runtime, at);
        quote! { #name: #value }
    });
    quote! { #(#reads),* }
}

fn record(runtime: &TokenStream, fields: &[Field], connection: &TokenStream) -> TokenStream {
    let names: Vec<&Ident> = fields.iter().map(|field| &field.name).collect();
    let types = fields.iter().map(|field| &field.data_type);
    let reads = reads(runtime, fields);
    // What types of the caller's can do is not known.
    let derives = if fields.iter().any(|field| field.of_caller) {
        TokenStream::new()
    } else {
        quote! { #[derive(Clone, Debug, PartialEq)] }
    };
    quote! {
        /// A row.
        #derives
        #[allow(dead_code, non_snake_case, missing_docs, clippy::all)]
        pub struct Record { #(pub #names: #types),* }
        #runtime::Query::new(#connection, __statement, |__row| {
            ::core::result::Result::Ok(Record { #reads })
        })
    }
}

fn scalar(
    runtime: &TokenStream,
    checked: &Checked,
    connection: &TokenStream,
    span: Span,
) -> Result<TokenStream, String> {
    let [column] = checked.columns.as_slice() else {
        return Err(format!(
            "the query gives {} columns, query_scalar! takes one\n\
             HINT:  Use query!.",
            checked.columns.len()
        ));
    };
    let mut column = column.clone();
    // Only what is said of it counts, not its name.
    if crate::record::identifier(
        column
            .name
            .split([':', '!', '?'])
            .next()
            .unwrap_or_default()
            .trim(),
        span,
    )
    .is_none()
    {
        column.name = "value".to_owned();
    }
    let fields = fields(runtime, &[column], span)?;
    let values = fields.iter().map(|field| field.read(runtime, 0));
    Ok(quote! {
        #runtime::Query::new(#connection, __statement, |__row| {
            ::core::result::Result::Ok(#(#values)*)
        })
    })
}
