//! Rust in braces that is plain to see without a parser of Rust, as nearly all of it is: variables
//! and their fields. All else goes to a parser, which says what is wrong with it too.

use proc_macro2::{Delimiter, Ident, Span};

use crate::{record::KEYWORDS, tokens::Tokens};

/// A value such as `name`, `user.name` or `&self.name`; `None` where it is another.
pub(crate) fn value(text: &str, span: Span) -> Option<Tokens> {
    let (referenced, path) = match text.strip_prefix('&') {
        Some(path) => (true, path),
        None => (false, text),
    };
    let mut tokens = Tokens::default();
    if referenced {
        tokens.mark_at('&', span);
    }
    for (at, name) in path.split('.').enumerate() {
        if at > 0 {
            tokens.mark_at('.', span);
        }
        let begins_with_self = at == 0 && name == "self";
        if !is_name(name) && !begins_with_self {
            return None;
        }
        tokens.push(Ident::new(name, span));
    }
    Some(tokens)
}

/// A condition such as `wanted` or `let Some(name) = user.name`; `None` where it is another.
pub(crate) fn condition(text: &str, span: Span) -> Option<Tokens> {
    let Some(rest) = text.strip_prefix("let Some(") else {
        return value(text, span);
    };
    let (name, of) = rest.split_once(") = ")?;
    if !is_name(name) {
        return None;
    }
    let mut inner = Tokens::default();
    inner.push(Ident::new(name, span));
    let mut tokens = Tokens::default();
    tokens
        .push(Ident::new("let", span))
        .push(Ident::new("Some", span))
        .group(Delimiter::Parenthesis, inner, span)
        .mark_at('=', span);
    tokens.append(value(of, span)?);
    Some(tokens)
}

/// Whether a text is a name as it stands.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let starts = |byte: u8| byte == b'_' || byte.is_ascii_alphabetic();
    bytes.next().is_some_and(starts)
        && bytes.all(|byte| starts(byte) || byte.is_ascii_digit())
        && !matches!(text, "_" | "self" | "Self" | "super" | "crate")
        && !KEYWORDS.contains(&text)
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;

    use super::*;

    fn written(tokens: Option<Tokens>) -> Option<String> {
        tokens.map(|tokens| TokenStream::from(tokens).to_string())
    }

    #[test]
    fn variables_and_fields_are_plain() {
        let value = |text| written(value(text, Span::call_site()));
        for (text, tokens) in [
            ("name", "name"),
            ("_a1", "_a1"),
            ("&name", "& name"),
            ("self.user.name", "self . user . name"),
        ] {
            assert_eq!(value(text).as_deref(), Some(tokens));
        }
        for text in [
            "", "_", "&", "1", "a.", ".a", "a.1", "a b", "a.await", "type", "r#a", "a()", "&&a",
            "a.self", "ä", "a :: b", "'a", "true",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn conditions_are_values_and_patterns_of_some() {
        let condition = |text| written(condition(text, Span::call_site()));
        assert_eq!(condition("a.b").as_deref(), Some("a . b"));
        assert_eq!(
            condition("let Some(name) = &self.name").as_deref(),
            Some("let Some (name) = & self . name")
        );
        for text in [
            "let Some(_) = a",
            "let Some(a, b) = c",
            "let Some(a) = ",
            "let Some(a) = b && c",
            "let None = a",
            "a == b",
        ] {
            assert_eq!(condition(text), None, "{text}");
        }
    }
}
