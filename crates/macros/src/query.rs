//! `query!` and its relatives.

use std::{borrow::Cow, str::FromStr};

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use rustling_sql::template::{Branch, BranchHead, Checked, Piece, Template};
use syn::Expr;

use crate::{
    files,
    input::{QueryInput, lends},
    messages,
    record::{Field, field, fields, identifier},
    rust_types, schema,
    tokens::Tokens,
    values,
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
    match QueryInput::read(input, form) {
        Ok(input) => {
            let span = input.written.span();
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
    let mut sql = Cow::Borrowed(input.sql.as_str());
    let mut tracked = TokenStream::new();
    let mut file = None;
    if form == Form::File {
        let path = files::package_directory()?.join(&*sql);
        sql = Cow::Owned(files::read(&path)?);
        tracked = schema::track([path.as_path()].into_iter());
        file = Some(path.display().to_string());
    }
    let (loaded, tracking) = schema::load(&schema::locate(input.migrations.as_deref())?)?;
    let code = statement_code(input, form, &loaded, &sql, file.as_deref());
    let (mut code, lent) = code.map_err(|message| in_file(file.as_deref(), &message))?;
    if !tracking.is_empty() || !tracked.is_empty() {
        code = quote! {
            {
                #tracking
                #tracked
                #code
            }
        };
    }
    Ok(match lent {
        Some(Lent { values, names }) => quote! { match #values { #names => #code } },
        None => code,
    })
}

/// A database that only lives as long as the expression that it is the value of, and the statement,
/// which comes first: what a `match` looks at lives as long as the whole of what the macro stands
/// in, `query!(pool.get()?, "…").fetch_all()?`, and not only within the macro.
struct Lent {
    values: TokenStream,
    /// What they are called where the statement is run.
    names: TokenStream,
}

/// A message of a statement, with the file that it stands in.
pub(crate) fn in_file(file: Option<&str>, message: &str) -> String {
    match file {
        Some(file) => format!("in {file}:\n{message}"),
        None => message.to_owned(),
    }
}

/// What runs the statement, and what it runs on where that must be lent from around it.
fn statement_code(
    input: &QueryInput,
    form: Form,
    loaded: &schema::Loaded,
    sql: &str,
    file: Option<&str>,
) -> Result<(TokenStream, Option<Lent>), String> {
    let template = Template::parse(sql).map_err(|error| render(&error, sql))?;
    let checked = template
        .check(&loaded.schema)
        .map_err(|error| render(&messages::advised(error, loaded, &template, sql), sql))?;
    let code = Code {
        runtime: &input.runtime,
        template: &template,
        checked: &checked,
        sql,
        file,
        span: input.written.span(),
    };
    // What is no database is pointed at itself.
    let place = Span::call_site().located_at(input.place);
    let (mut database, mut statement) = (input.database.clone(), code.statement()?);
    let mut lent = None;
    if lends(&database) {
        let statement_name = code.name();
        let name = Ident::new("database", Span::mixed_site().located_at(input.place));
        let values: TokenStream = statement.into();
        lent = Some(Lent {
            values: quote! { (#values, #database) },
            names: quote! { (#statement_name, ref mut #name) },
        });
        statement = Tokens::default();
        statement.push(statement_name);
        database = name.into_token_stream();
    }
    let mut call = Tokens::default();
    call.group(Delimiter::Parenthesis, database, place)
        .push(Ident::new("borrow_connection", place))
        .within(Delimiter::Bracket, statement);
    if let Some(message) = messages::ordered_by_value(&template, sql) {
        return Err(message);
    }
    let name = match form {
        Form::Execute => {
            if !checked.columns.is_empty() {
                return Err("the statement gives rows, which execute! would drop\n\
                     HINT:  Use query!, query_as! or query_scalar!."
                    .to_owned());
            }
            "__execute"
        }
        _ if checked.columns.is_empty() => {
            return Err("the statement gives no rows\n\
                 HINT:  Use execute!, or give rows back with RETURNING."
                .to_owned());
        }
        Form::Scalar => {
            let field = scalar(&checked, code.span)?;
            field.write(&mut call, code.runtime, 0);
            "__scalar"
        }
        Form::Record | Form::File => {
            code.record(&mut call, &fields(&checked.columns, code.span)?);
            "__record"
        }
        Form::As => {
            code.rows(&mut call, &fields(&checked.columns, code.span)?, &input.row);
            "__rows"
        }
    };
    let mut tokens = Tokens::default();
    code.call(&mut tokens, name, call);
    Ok((tokens.into(), lent))
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
    runtime: &'a TokenTree,
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
    /// Calls a macro of the runtime crate.
    fn call(&self, tokens: &mut Tokens, name: &str, input: Tokens) {
        tokens
            .push(self.runtime.clone())
            .path(&[name])
            .mark('!')
            .within(Delimiter::Parenthesis, input);
    }

    /// The text with its values.
    fn statement(&self) -> Result<Tokens, String> {
        let mut tokens = Tokens::default();
        if self.template.is_fixed() {
            let variant = self.template.variant(&[]);
            let mut call = Tokens::default();
            call.text(&variant.sql);
            for at in &variant.parameters {
                call.within(Delimiter::Bracket, self.parameter(*at)?);
            }
            self.call(&mut tokens, "__statement", call);
            return Ok(tokens);
        }
        let name = self.name();
        let mut block = Tokens::default();
        block.word("let").word("mut").push(name.clone()).mark('=');
        block.push(self.runtime.clone());
        block.path(&["Statement", "empty"]);
        block.within(Delimiter::Parenthesis, Tokens::default());
        block.mark(';');
        self.pieces(&mut block, &self.template.pieces)?;
        block.push(name);
        tokens.within(Delimiter::Brace, block);
        Ok(tokens)
    }

    /// The statement that is put together, which what stands in braces does not see.
    fn name(&self) -> Ident {
        Ident::new("statement", Span::mixed_site())
    }

    fn pieces(&self, tokens: &mut Tokens, of: &[Piece]) -> Result<(), String> {
        for piece in of {
            let mut value = Tokens::default();
            let method = match piece {
                Piece::Text { sql, .. } => {
                    value.text(sql);
                    "push_text"
                }
                Piece::Parameter(at) => {
                    self.call(&mut value, "__parameter", self.parameter(*at)?);
                    "push_value"
                }
                Piece::Branch(branch) => {
                    self.branch(tokens, branch)?;
                    continue;
                }
            };
            tokens.push(self.name()).mark('.').word(method);
            tokens.within(Delimiter::Parenthesis, value).mark(';');
        }
        Ok(())
    }

    fn branch(&self, tokens: &mut Tokens, branch: &Branch) -> Result<(), String> {
        let mut blocks = Vec::with_capacity(branch.alternatives.len());
        for of in &branch.alternatives {
            let mut block = Tokens::default();
            self.pieces(&mut block, of)?;
            blocks.push(block);
        }
        match &branch.head {
            BranchHead::If(conditions) => {
                let mut blocks = blocks.into_iter();
                for (condition, block) in conditions.iter().zip(blocks.by_ref()) {
                    tokens.word("if");
                    tokens.all(self.condition(condition)?);
                    tokens.within(Delimiter::Brace, block).word("else");
                }
                tokens.within(Delimiter::Brace, blocks.next().unwrap_or_default());
            }
            BranchHead::Match { value, patterns } => {
                let value = self.valid(value, |of| quote! { match #of {} })?;
                tokens.word("match").all(value);
                let mut arms = Tokens::default();
                for (pattern, block) in patterns.iter().zip(blocks) {
                    arms.all(self.valid(pattern, |of| quote! { match () { #of => {} } })?);
                    arms.arrow().within(Delimiter::Brace, block);
                }
                tokens.within(Delimiter::Brace, arms);
            }
        }
        Ok(())
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

    /// What decides an `if`.
    fn condition(&self, text: &str) -> Result<TokenStream, String> {
        match values::condition(text, self.span) {
            Some(plain) => Ok(plain.into()),
            None => self.valid(text, |of| quote! { if #of {} }),
        }
    }

    /// A parameter's value, to be checked against its type: `"message" Marker, &(value)`.
    fn parameter(&self, at: usize) -> Result<Tokens, String> {
        let parameter = &self.template.parameters[at];
        let text = &parameter.expression;
        let value = match values::value(text, self.span) {
            Some(plain) => plain.into(),
            None => self.valid(text, Clone::clone)?,
        };
        let data_type = self.checked.parameters[at];
        let mut tokens = Tokens::default();
        tokens.text(&messages::parameter(
            parameter, data_type, self.sql, self.file,
        ));
        rust_types::write_marker(&mut tokens, self.runtime, data_type);
        tokens.mark(',').mark_at('&', self.span);
        tokens.group(Delimiter::Parenthesis, value, self.span);
        Ok(tokens)
    }

    /// Rows of a struct made for them.
    fn record(&self, call: &mut Tokens, fields: &[Field]) {
        let mut derives = Tokens::default();
        // What types of the caller's can do is not known. More derives would double what the
        // compiler does for a statement, and `query_as!` takes structs that have them.
        if fields.iter().all(|field| field.of_caller.is_none()) {
            let mut names = Tokens::default();
            names.word("Debug");
            let mut derive = Tokens::default();
            derive.word("derive").within(Delimiter::Parenthesis, names);
            derives.mark('#').within(Delimiter::Bracket, derive);
        }
        call.within(Delimiter::Bracket, derives);
        for (at, field) in fields.iter().enumerate() {
            call.push(field.name.clone());
            field.write(call, self.runtime, at);
        }
    }

    /// Rows of a struct of the caller's.
    fn rows(&self, call: &mut Tokens, fields: &[Field], row: &TokenStream) {
        call.within(Delimiter::Bracket, {
            let mut name = Tokens::default();
            name.all(row.clone());
            name
        });
        // What a type leaves open follows from the columns.
        let open = leaves_open(row.clone());
        let words = messages::words(self.sql);
        // A value that does not fit is pointed at where the SQL stands.
        let value = Ident::new("value", Span::mixed_site().located_at(self.span));
        for (at, field) in fields.iter().enumerate() {
            call.push(field.name.clone());
            // What the caller called a type may be known only where the statement stands.
            if open || field.of_caller.is_some() {
                call.word("__open_field").push(value.clone()).text("");
            } else {
                let fitted = if field.nullable {
                    "__nullable_field"
                } else {
                    "__field"
                };
                call.word(fitted).push(value.clone());
                call.text(&messages::column(field, self.sql, &words));
            }
            field.write(call, self.runtime, at);
        }
    }
}

/// A text as tokens that stand where the SQL stands, so that they see the caller's variables.
pub(crate) fn spanned(text: &str, span: Span) -> Result<TokenStream, String> {
    let tokens = TokenStream::from_str(text).map_err(|error| error.to_string())?;
    Ok(respan(tokens, span))
}

/// Tokens as if they stood there.
pub(crate) fn respan(tokens: TokenStream, span: Span) -> TokenStream {
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

/// The only column of a result.
fn scalar(checked: &Checked, span: Span) -> Result<Field, String> {
    let [column] = checked.columns.as_slice() else {
        return Err(format!(
            "the query gives {} columns, query_scalar! takes one\n\
             HINT:  Use query!.",
            checked.columns.len()
        ));
    };
    let mut column = column.clone();
    // Only what is said of it counts, not its name.
    let name = column.name.split([':', '!', '?']).next();
    if identifier(name.unwrap_or_default().trim(), span).is_none() {
        column.name = "value".to_owned();
    }
    field(&column, 0, span)
}
