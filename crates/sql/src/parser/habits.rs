//! What other dialects and languages write where SQL writes something else.

use super::{Scanner, Token};
use crate::span::Span;

/// What to write instead of what was found, where it is a habit from elsewhere. `expression`: a
/// value could have stood there.
pub(super) fn instead(sql: &str, (token, span): (Token, Span), expression: bool) -> Option<String> {
    let before = sql[..span.start].trim_end();
    let found = &sql[span.start..span.end];
    match token {
        Token::Symbol(b'[') if expression => Some(bracket(&sql[span.end..]).to_owned()),
        Token::Symbol(symbol) => symbol_instead(before, symbol, expression).map(str::to_owned),
        Token::Number if last_word(before).eq_ignore_ascii_case("TOP") => {
            Some(format!("Write LIMIT {found} at the end of the query."))
        }
        Token::Word => word_instead(sql, before, span),
        _ => None,
    }
}

/// What to write instead of a bracket where a value could stand: SQL Server has names in brackets,
/// other languages have lists. `behind`: what follows it.
fn bracket(behind: &str) -> &'static str {
    let inside = behind.split(']').next().unwrap_or_default();
    let is_name = inside.len() < behind.len()
        && inside.starts_with(|c: char| c == '_' || c.is_alphabetic())
        && inside
            .chars()
            .all(|c| c == '_' || c == ' ' || c.is_alphanumeric());
    if is_name {
        "Names with special characters stand in double quotes: \"name\"."
    } else {
        "An array is written ARRAY[…]."
    }
}

fn symbol_instead(before: &str, symbol: u8, expression: bool) -> Option<&'static str> {
    match symbol {
        b'`' => Some("Names with special characters stand in double quotes: \"name\"."),
        b'=' if before.ends_with('=') => Some("Equality is written with one =."),
        b'!' if expression => Some("Negation is written NOT."),
        b'&' | b'|' if expression => Some("Write AND and OR for conditions."),
        b'?' => Some("Parameters are written $1, $2, …"),
        b'%' if ["LIKE", "ILIKE"].contains(&&*last_word(before).to_ascii_uppercase()) => {
            Some("A pattern is a string, in single quotes: '%…%'.")
        }
        b')' if before.ends_with(',') => Some("Remove the comma before the parenthesis."),
        _ => None,
    }
}

fn word_instead(sql: &str, before: &str, span: Span) -> Option<String> {
    let word = sql[span.start..span.end].to_ascii_uppercase();
    if matches!(word.as_str(), "AUTO_INCREMENT" | "AUTOINCREMENT") {
        return Some("Numbers come from GENERATED ALWAYS AS IDENTITY.".to_owned());
    }
    let mut words = before.split_whitespace();
    let (insert, into, table, end) = (words.next(), words.next(), words.next(), words.next());
    let is = |found: Option<&str>, word: &str| {
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    };
    let (Some(table), None) = (table, end) else {
        return None;
    };
    if !is(insert, "INSERT") || !is(into, "INTO") {
        return None;
    }
    if word == "SET" {
        return Some(format!(
            "Write INSERT INTO {table} (column, …) VALUES (value, …)."
        ));
    }
    match Scanner::new(sql, span.end).next_token() {
        Ok(Some((Token::Word, next)))
            if sql[next.start..next.end].eq_ignore_ascii_case("VALUES") =>
        {
            let column = &sql[span.start..span.end];
            Some(format!("Columns stand in parentheses: {table} ({column})."))
        }
        _ => None,
    }
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| c != '_' && !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
}
