//! Colours for SQL while it is typed. A scanner of its own, because what is being typed is
//! rarely a whole statement.

use std::fmt::Write;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word of the language.
    Keyword,
    /// Another word, quoted or not.
    Identifier,
    /// A string constant, finished or not.
    String,
    /// A number.
    Number,
    /// A comment, finished or not.
    Comment,
    /// White space, operators, punctuation.
    Other,
}

/// Keywords to colour and complete, in upper case, sorted.
pub(super) const KEYWORDS: &[&str] = &[
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BEGIN",
    "BETWEEN",
    "BIGINT",
    "BOOLEAN",
    "BY",
    "BYTEA",
    "CASE",
    "CAST",
    "CHAR",
    "CHECK",
    "CHECKPOINT",
    "COLUMN",
    "COMMIT",
    "CONFLICT",
    "CONSTRAINT",
    "CREATE",
    "CROSS",
    "DATE",
    "DECIMAL",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DO",
    "DOUBLE",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FETCH",
    "FIRST",
    "FOR",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IF",
    "ILIKE",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTEGER",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "LAST",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NOTHING",
    "NULL",
    "NULLS",
    "NUMERIC",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "PRECISION",
    "PRIMARY",
    "REAL",
    "RELEASE",
    "RIGHT",
    "ROLLBACK",
    "ROWS",
    "SAVEPOINT",
    "SELECT",
    "SET",
    "SHOW",
    "SMALLINT",
    "TABLE",
    "TEXT",
    "THEN",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "TO",
    "TRANSACTION",
    "TRUE",
    "TRUNCATE",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USING",
    "UUID",
    "VALUES",
    "VARCHAR",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Whether `word` is a keyword, in any case.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS
        .binary_search(&word.to_ascii_uppercase().as_str())
        .is_ok()
}

/// Cuts `sql` into tokens that cover it without gaps.
pub(super) fn scan(sql: &str) -> Vec<(Token, &str)> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '\'' => (Token::String, quoted(rest, '\'')),
            '"' => (Token::Identifier, quoted(rest, '"')),
            '-' if rest.starts_with("--") => {
                (Token::Comment, rest.find('\n').unwrap_or(rest.len()))
            }
            '/' if rest.starts_with("/*") => (
                Token::Comment,
                rest.find("*/").map_or(rest.len(), |at| at + 2),
            ),
            first if first.is_ascii_digit() => (
                Token::Number,
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                    .unwrap_or(rest.len()),
            ),
            first if first.is_alphabetic() || first == '_' => {
                let length = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                let word = &rest[..length];
                (
                    if is_keyword(word) {
                        Token::Keyword
                    } else {
                        Token::Identifier
                    },
                    length,
                )
            }
            first => (Token::Other, first.len_utf8()),
        };
        let (piece, after) = rest.split_at(length);
        tokens.push((token, piece));
        rest = after;
    }
    tokens
}

/// The length of a quoted piece at the start of `text`; a doubled quote stands for itself.
fn quoted(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

/// The text with ANSI colours.
pub(super) fn colored(sql: &str) -> String {
    let mut colored = String::with_capacity(sql.len() * 2);
    for (token, piece) in scan(sql) {
        let color = match token {
            Token::Keyword => "1;34",
            Token::String => "32",
            Token::Number => "36",
            Token::Comment => "2",
            Token::Identifier | Token::Other => {
                colored.push_str(piece);
                continue;
            }
        };
        // Writing to a string cannot fail.
        let _ = write!(colored, "\x1b[{color}m{piece}\x1b[0m");
    }
    colored
}

#[cfg(test)]
mod tests {
    use super::{KEYWORDS, Token, scan};

    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn tokens_cover_the_text() {
        for sql in [
            "",
            "SELECT 'it''s' -- x",
            "/* open",
            "'open",
            "a.b = 1e5;\n\u{1F980}\"q\"",
            "--",
            "\"\"\"",
        ] {
            let pieces: String = scan(sql).into_iter().map(|(_, piece)| piece).collect();
            assert_eq!(pieces, sql);
        }
    }

    #[test]
    fn tokens_are_told_apart() {
        let tokens: Vec<_> = scan("select x1, 'a''b', 12.5 --c")
            .into_iter()
            .filter(|(t, _)| *t != Token::Other)
            .collect();
        assert_eq!(
            tokens,
            [
                (Token::Keyword, "select"),
                (Token::Identifier, "x1"),
                (Token::String, "'a''b'"),
                (Token::Number, "12.5"),
                (Token::Comment, "--c"),
            ]
        );
    }
}
