//! `query!` and its relatives.

use std::str::FromStr;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use rustling_sql::template::{Branch, BranchHead, Checked, Piece, Template};
use syn::{Expr, PathArguments, Type, parse::Parser, spanned::Spanned};

use crate::{
    files,
    input::QueryInput,
    messages,
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
    let mut sql = input.sql.value();
    let mut tracked = TokenStream::new();
    let mut file = None;
    if form == Form::File {
        let path = files::package_directory()?.join(&sql);
        sql = files::read(&path)?;
        tracked = schema::track([path.as_path()].into_iter());
        file = Some(path.display().to_string());
    }
    let explicit = input.migrations.as_ref().map(syn::LitStr::value);
    let (loaded, tracking) = schema::load(&schema::locate(explicit.as_deref())?)?;
    let code = statement_code(input, form, &loaded, &sql, file.as_deref());
    let code = code.map_err(|message| in_file(file.as_deref(), &message))?;
    Ok(quote! {
        {
            #tracking
            #tracked
            #code
        }
    })
}

/// A message of a statement, with the file that it stands in.
pub(crate) fn in_file(file: Option<&str>, message: &str) -> String {
    match file {
        Some(file) => format!("in {file}:\n{message}"),
        None => message.to_owned(),
    }
}

/// The statement and what runs it.
fn statement_code(
    input: &QueryInput,
    form: Form,
    loaded: &schema::Loaded,
    sql: &str,
    file: Option<&str>,
) -> Result<TokenStream, String> {
    let runtime = &input.runtime;
    let span = input.sql.span();
    let template = Template::parse(sql).map_err(|error| render(&error, sql))?;
    let checked = template
        .check(&loaded.schema)
        .map_err(|error| render(&messages::advised(error, loaded, &template, sql), sql))?;
    let code = Code {
        runtime,
        template: &template,
        checked: &checked,
        sql,
        file,
        span,
    };
    let statement = code.statement()?;
    if let Some(message) = messages::ordered_by_value(&template, sql) {
        return Err(message);
    }
    let database = &input.database;
    // What is no database is pointed at itself.
    let place = Span::call_site().located_at(database.span());
    let borrowed = quote_spanned! { place => (#database).as_connection() };
    let connection = quote! {
        {
            #[allow(unused_imports)]
            use #runtime::{Connect as _, ConnectMut as _};
            #borrowed
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
            // What a type leaves open follows from the columns.
            let open = row.as_ref().is_some_and(|row| leaves_open(row.clone()));
            let reads = fields.iter().enumerate().map(|(at, field)| {
                let name = &field.name;
                let value = if open {
                    field.read(runtime, at)
                } else {
                    code.fitted(at, field)
                };
                quote! { #name: #value }
            });
            quote! {
                #runtime::Query::new(#connection, __statement, |__row| {
                    ::core::result::Result::Ok(#row { #(#reads),* })
                })
            }
        }
    };
    Ok(quote! {
        #statement
        #rows
    })
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

/// Whether `_` stands in a type.
fn leaves_open(row: TokenStream) -> bool {
    row.into_iter().any(|token| match token {
        TokenTree::Ident(name) => name == "_",
        TokenTree::Punct(mark) => mark.as_char() == '_',
        TokenTree::Group(group) => leaves_open(group.stream()),
        TokenTree::Literal(_) => false,
    })
}

/// What the code of one statement is made of.
struct Code<'a> {
    runtime: &'a TokenStream,
    template: &'a Template,
    checked: &'a Checked,
    /// The template's text.
    sql: &'a str,
    /// The file that it was read from.
    file: Option<&'a str>,
    /// Where it stands.
    span: Span,
}

impl Code<'_> {
    /// `let __statement = …`, the text with its values.
    fn statement(&self) -> Result<TokenStream, String> {
        let runtime = self.runtime;
        if self.template.is_fixed() {
            let variant = self.template.variant(&[]);
            let text = &variant.sql;
            let values = variant
                .parameters
                .iter()
                .map(|at| self.parameter(*at))
                .collect::<Result<Vec<_>, _>>()?;
            // Quicker to check than what `vec!` becomes.
            let values = if values.is_empty() {
                quote! { ::std::vec::Vec::new() }
            } else {
                quote! { ::std::vec::Vec::from([#(#values),*]) }
            };
            return Ok(quote! {
                let __statement = #runtime::Statement::fixed(#text, #values);
            });
        }
        let writes = self.pieces(&self.template.pieces)?;
        Ok(quote! {
            let mut __statement = #runtime::Statement::empty();
            #writes
        })
    }

    fn pieces(&self, of: &[Piece]) -> Result<TokenStream, String> {
        let mut writes = TokenStream::new();
        for piece in of {
            writes.extend(match piece {
                Piece::Text { sql, .. } => quote! { __statement.push_text(#sql); },
                Piece::Parameter(at) => {
                    let value = self.parameter(*at)?;
                    quote! { __statement.push_value(#value); }
                }
                Piece::Branch(branch) => self.branch(branch)?,
            });
        }
        Ok(writes)
    }

    fn branch(&self, branch: &Branch) -> Result<TokenStream, String> {
        let blocks = branch
            .alternatives
            .iter()
            .map(|of| self.pieces(of))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(match &branch.head {
            BranchHead::If(conditions) => {
                let mut code = TokenStream::new();
                for (condition, block) in conditions.iter().zip(&blocks) {
                    let condition = self.valid(condition, |of| quote! { if #of {} })?;
                    code.extend(quote! { if #condition { #block } else });
                }
                let last = blocks.last();
                quote! { #code { #last } }
            }
            BranchHead::Match { value, patterns } => {
                let value = self.valid(value, |of| quote! { match #of {} })?;
                let patterns = patterns
                    .iter()
                    .map(|pattern| self.valid(pattern, |of| quote! { match () { #of => {} } }))
                    .collect::<Result<Vec<_>, _>>()?;
                quote! { match #value { #(#patterns => { #blocks })* } }
            }
        })
    }

    /// Rust between the braces of a branch, as tokens.
    fn rust(&self, text: &str) -> Result<TokenStream, String> {
        spanned(text, self.span).map_err(|error| messages::not_rust(text, &error, self.sql))
    }

    /// Rust that makes an expression of what `around` puts around it.
    fn valid(
        &self,
        text: &str,
        around: impl FnOnce(&TokenStream) -> TokenStream,
    ) -> Result<TokenStream, String> {
        let tokens = self.rust(text)?;
        syn::parse2::<Expr>(around(&tokens))
            .map_err(|error| messages::not_rust(text, &error.to_string(), self.sql))?;
        Ok(tokens)
    }

    /// A parameter's value, checked against its type.
    fn parameter(&self, at: usize) -> Result<TokenStream, String> {
        let (runtime, span) = (self.runtime, self.span);
        let text = &self.template.parameters[at].expression;
        let tokens = self.valid(text, Clone::clone)?;
        let marker = rust_types::marker(runtime, self.checked.parameters[at]);
        let message = messages::parameter(
            &self.template.parameters[at],
            self.checked.parameters[at],
            self.sql,
            self.file,
        );
        let fits = format_ident!("__Parameter{}", at + 1);
        let value = quote_spanned! { span => &(#tokens) };
        Ok(quote! { #runtime::__parameter!(#fits, #message, #marker, #value) })
    }

    /// A column's value for a field of a struct of the caller's: of the column's type, or an
    /// `Option` of it where the column is never NULL.
    fn fitted(&self, at: usize, field: &Field) -> TokenStream {
        let value = field.read(self.runtime, at);
        // What the caller called a type may be known only where the statement stands.
        if field.of_caller {
            return value;
        }
        let data_type = &field.data_type;
        let message = messages::column(field, self.sql);
        let fits = format_ident!("__Column{}", at + 1);
        let span = self.span;
        let value = quote_spanned! { span => { #value } };
        let runtime = self.runtime;
        if field.nullable {
            quote! { #runtime::__nullable_field!(#fits, #message, #data_type, #value) }
        } else {
            quote! { #runtime::__field!(#fits, #message, #data_type, #value) }
        }
    }
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
    // What types of the caller's can do is not known. More derives would double what the compiler
    // does for a statement, and `query_as!` takes structs that have them.
    let derives = if fields.iter().any(|field| field.of_caller) {
        TokenStream::new()
    } else {
        quote! { #[derive(Debug)] }
    };
    // What the caller wrote stands outside of the block, and does not see the struct.
    quote! {
        #runtime::Query::new(#connection, __statement, {
            /// A row.
            #derives
            #[allow(dead_code, non_snake_case, missing_docs, clippy::all)]
            pub struct Record { #(pub #names: #types),* }
            |__row| ::core::result::Result::Ok(Record { #reads })
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
