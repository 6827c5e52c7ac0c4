//! `migrate!`: the migrations as part of the program.

use std::path::PathBuf;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use rustling_sql::migrations::{Migration, Migrations};

use crate::{files, input::MigrateInput, query::compile_error, schema};

/// What `migrate!` becomes: code, or an error that points at its path.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    match syn::parse2::<MigrateInput>(input) {
        Ok(input) => {
            let span = input
                .path
                .as_ref()
                .map_or_else(Span::call_site, syn::LitStr::span);
            embed(&input).unwrap_or_else(|message| compile_error(span, &message))
        }
        Err(error) => error.into_compile_error(),
    }
}

fn embed(input: &MigrateInput) -> Result<TokenStream, String> {
    let explicit = input.path.as_ref().map(syn::LitStr::value);
    let path = schema::locate(explicit.as_deref())?;
    // That every statement of them fits is checked here, not when the program starts.
    let (_, tracking) = schema::load(&path)?;
    let mut files = Vec::new();
    for stamp in files::sql_files(&path).map_err(|error| error.to_string())? {
        let name = stamp.path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let text = files::read(&stamp.path)?;
        Migration::check_script(&text)
            .map_err(|error| format!("in {name}:\n{}", crate::query::render(&error, &text)))?;
        files.push((name, text, stamp.path));
    }
    let read = Migrations::from_files(files.iter().map(|(name, text, _)| (&**name, &**text)));
    let migrations = read.map_err(|error| crate::query::render(&error, ""))?;
    let runtime = &input.runtime;
    // Each file once, so that of equal ones each is included.
    let mut left: Vec<&(String, String, PathBuf)> = files.iter().collect();
    let mut text = |wanted: &str| {
        let file = left.iter().position(|(_, text, _)| text == wanted);
        let file = file.map(|at| left.remove(at));
        // Including the file has the compiler come back when it changes.
        match file.and_then(|(_, _, path)| path.to_str()) {
            Some(path) => quote! { ::std::borrow::Cow::Borrowed(::core::include_str!(#path)) },
            None => quote! { ::std::borrow::Cow::Borrowed(#wanted) },
        }
    };
    let steps = migrations.iter().map(|migration| {
        let Migration {
            version,
            name,
            up,
            down,
        } = migration;
        let up = text(up);
        let down = match down {
            Some(down) => {
                let down = text(down);
                quote! { ::core::option::Option::Some(#down) }
            }
            None => quote! { ::core::option::Option::None },
        };
        quote! {
            #runtime::Migration {
                version: #version,
                name: ::std::borrow::Cow::Borrowed(#name),
                up: #up,
                down: #down,
            }
        }
    });
    Ok(quote! {
        {
            #tracking
            static __MIGRATIONS: &[#runtime::Migration] = &[#(#steps),*];
            #runtime::Migrations::of(__MIGRATIONS)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_files_are_tracked_each() {
        let of = "../query/tests/compile/twice";
        let code = expand(quote! { runtime; #of }).to_string();
        for name in ["1_item.up.sql", "1_item.down.sql", "2_again.sql"] {
            let included = code
                .split("include_str !")
                .filter(|part| part.trim_start().starts_with('(') && part.contains(name))
                .count();
            assert_eq!(included, 1, "{name} in {code}");
        }
        // The first to load the schema tells the compiler of its files.
        assert_eq!(code.matches("include_bytes !").count(), 2, "{code}");
    }
}
