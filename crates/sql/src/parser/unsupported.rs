//! Statements that are known but not there yet: a typed answer instead of a syntax error.

use super::{Scanner, Token};
use crate::{
    error::{Error, SqlState},
    span::Span,
};

/// First words of statements, with the feature's name. `*` stands for any word.
const STATEMENTS: &[(&[&str], &str)] = &[
    (&["alter", "*"], "ALTER"),
    (&["create", "materialized", "view"], "materialized views"),
    (&["create", "function"], "functions (CREATE FUNCTION)"),
    (&["create", "procedure"], "procedures (CREATE PROCEDURE)"),
    (&["create", "aggregate"], "aggregates (CREATE AGGREGATE)"),
    (&["create", "operator"], "operators (CREATE OPERATOR)"),
    (&["create", "trigger"], "triggers (CREATE TRIGGER)"),
    (&["create", "type"], "types (CREATE TYPE)"),
    (&["create", "domain"], "domains (CREATE DOMAIN)"),
    (&["create", "database"], "CREATE DATABASE"),
    (&["create", "extension"], "extensions (CREATE EXTENSION)"),
    (&["create", "rule"], "rules (CREATE RULE)"),
    (&["create", "policy"], "row security (CREATE POLICY)"),
    (&["create", "collation"], "collations (CREATE COLLATION)"),
    (&["create", "cast"], "casts (CREATE CAST)"),
    (
        &["create", "statistics"],
        "extended statistics (CREATE STATISTICS)",
    ),
    (&["create", "tablespace"], "tablespaces (CREATE TABLESPACE)"),
    (&["create", "foreign"], "foreign data (CREATE FOREIGN)"),
    (&["create", "server"], "foreign data (CREATE SERVER)"),
    (
        &["create", "publication"],
        "replication (CREATE PUBLICATION)",
    ),
    (
        &["create", "subscription"],
        "replication (CREATE SUBSCRIPTION)",
    ),
    (&["create", "language"], "languages (CREATE LANGUAGE)"),
    (
        &["create", "event"],
        "event triggers (CREATE EVENT TRIGGER)",
    ),
    (&["create", "or", "replace", "*"], "CREATE OR REPLACE"),
    (&["create", "recursive"], "recursive views"),
    (&["create", "temp", "*"], "temporary objects (CREATE TEMP)"),
    (
        &["create", "temporary", "*"],
        "temporary objects (CREATE TEMPORARY)",
    ),
    (&["reindex"], "REINDEX"),
    (&["cluster"], "CLUSTER"),
    (&["comment"], "COMMENT"),
    (&["call"], "procedures (CALL)"),
    (&["do"], "anonymous blocks (DO)"),
    (&["refresh"], "materialized views (REFRESH)"),
    (&["import"], "foreign data (IMPORT)"),
    (&["security"], "security labels"),
    (&["load"], "LOAD"),
];

/// Objects that DROP knows but nothing makes yet.
const DROPPED: [&str; 17] = [
    "materialized",
    "function",
    "procedure",
    "aggregate",
    "operator",
    "trigger",
    "type",
    "domain",
    "database",
    "extension",
    "rule",
    "policy",
    "collation",
    "cast",
    "statistics",
    "tablespace",
    "language",
];

/// Whether a statement about a type is of a form that is there, so that what is wrong with it is
/// its syntax.
fn is_type_that_is_there(sql: &str, piece: Span, words: &[(String, Span)]) -> bool {
    let [(first, _), (second, at), ..] = words else {
        return false;
    };
    let forms: &[&str] = match (first.as_str(), second.as_str()) {
        ("create", "type") => &["enum"],
        ("alter", "type") => &["value", "to", "schema"],
        _ => return false,
    };
    let mut scanner = Scanner::new(sql, at.end);
    let mut found = false;
    while let Ok(Some((token, span))) = scanner.next_token() {
        if span.end > piece.end {
            break;
        }
        let word = sql[span.start..span.end].to_ascii_lowercase();
        match token {
            Token::Word if word == "attribute" => return false,
            Token::Word if forms.contains(&word.as_str()) => found = true,
            _ => {}
        }
    }
    found
}

/// The answer to a statement that did not parse, where its first words tell which it is.
pub(super) fn statement(sql: &str, piece: Span) -> Option<Error> {
    let mut scanner = Scanner::new(sql, piece.start);
    let mut words: Vec<(String, Span)> = Vec::new();
    while words.len() < 4 {
        match scanner.next_token() {
            Ok(Some((Token::Word, span))) if span.end <= piece.end => {
                words.push((sql[span.start..span.end].to_ascii_lowercase(), span));
            }
            _ => break,
        }
    }
    let (first, first_span) = words.first()?;
    let error = |feature: &str, count: usize| {
        let end = words
            .get(count.saturating_sub(1))
            .map_or(first_span.end, |(_, span)| span.end);
        Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("not supported yet: {feature}"),
        )
        .at(Span {
            start: first_span.start,
            end,
        })
    };
    if first == "drop" {
        let (what, _) = words.get(1)?;
        return DROPPED
            .contains(&what.as_str())
            .then(|| error(&format!("DROP {}", what.to_ascii_uppercase()), 2));
    }
    if is_type_that_is_there(sql, piece, &words) {
        return None;
    }
    STATEMENTS
        .iter()
        .find(|(pattern, _)| {
            pattern.len() <= words.len()
                && pattern
                    .iter()
                    .zip(&words)
                    .all(|(wanted, (word, _))| *wanted == "*" || wanted == word)
        })
        .filter(|(pattern, _)| {
            // CREATE TEMP TABLE parses; what is wrong with it is something else.
            pattern.last() != Some(&"*")
                || words
                    .get(pattern.len() - 1)
                    .is_none_or(|(word, _)| pattern[0] != "create" || word != "table")
        })
        .map(|(pattern, feature)| match *pattern {
            ["alter", _] => error(
                &format!(
                    "ALTER {}",
                    words
                        .get(1)
                        .map_or_else(String::new, |(word, _)| word.to_ascii_uppercase())
                ),
                2,
            ),
            _ => error(feature, pattern.len()),
        })
}
