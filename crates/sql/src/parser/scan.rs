//! One pass over the characters before parsing: takes the script apart into tokens and statements,
//! bounds its nesting (so that no later recursion can exhaust the stack), and finds quotes and
//! comments that are never closed, whose position the grammar could not tell.

use std::ops::Range;

use crate::{
    error::{Error, Result, SqlState},
    parser::{
        MAX_NESTING,
        grammar::{Lexer, LexicalError, Tokens, Unterminated},
    },
    span::Span,
};

/// A script, taken apart.
#[derive(Debug)]
pub(crate) struct Script {
    /// The tokens of all statements, without the semicolons that end them.
    pub(crate) tokens: Tokens,
    /// The statements that are not empty.
    pub(crate) pieces: Vec<Piece>,
}

/// One statement of a script.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// From its first token to its last.
    pub(crate) span: Span,
    /// Which tokens of the script are its.
    pub(crate) tokens: Range<usize>,
    /// The innermost parenthesis or bracket that is not closed.
    pub(crate) unclosed: Option<usize>,
    /// The first closing one without an opening one.
    pub(crate) unopened: Option<usize>,
    /// Whether a semicolon ends it.
    pub(crate) terminated: bool,
}

/// A lexical unit, as coarse as those need it who read a text without parsing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Keyword or unquoted name.
    Word,
    /// Anything in quotes.
    Quoted,
    /// A number or parameter.
    Number,
    /// One other character, be it part of a longer operator.
    Symbol(u8),
}

/// Walks over the lexical units of a text.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
}

impl<'a> Scanner<'a> {
    /// A scanner at `position`, which must be a token's or a gap's start.
    pub(crate) fn new(text: &'a str, position: usize) -> Scanner<'a> {
        Scanner {
            text,
            lexer: Lexer::new(text, position),
        }
    }

    /// The next token with its place; `None` at the end.
    pub(crate) fn next_token(&mut self) -> Result<Option<(Token, Span)>> {
        let Some(token) = self
            .lexer
            .next_token()
            .map_err(|error| unterminated(self.text, error))?
        else {
            return Ok(None);
        };
        let mut end = token.end;
        let first = self.text.as_bytes().get(token.start).copied().unwrap_or(0);
        let unit = if token.is_word() {
            Token::Word
        } else if token.is_quoted() {
            Token::Quoted
        } else if token.is_number() || first.is_ascii_digit() {
            Token::Number
        } else {
            end = token.start + 1;
            self.lexer = Lexer::new(self.text, end);
            Token::Symbol(first)
        };
        Ok(Some((
            unit,
            Span {
                start: token.start,
                end,
            },
        )))
    }
}

fn unterminated(text: &str, error: LexicalError) -> Error {
    let LexicalError { what, start, end } = error;
    let hint = match what {
        Unterminated::Comment => "Close the comment with \"*/\".".to_owned(),
        Unterminated::Name => "Close the name with a double quote.".to_owned(),
        Unterminated::String => {
            "Close the string with a single quote; write a quote inside it twice.".to_owned()
        }
        Unterminated::DollarString => {
            format!(
                "Close the string with \"{}\".",
                text.get(start..end).unwrap_or("$$")
            )
        }
    };
    Error::new(SqlState::SYNTAX_ERROR, error.to_string())
        .at(Span { start, end })
        .hint(hint)
}

fn too_deep(position: usize, what: &str) -> Error {
    Error::new(
        SqlState::STATEMENT_TOO_COMPLEX,
        format!("statement too complex: {what} are nested more than {MAX_NESTING} deep"),
    )
    .at(Span {
        start: position,
        end: position + 1,
    })
    .hint("Split the statement, for example with a table for intermediate results.")
}

/// Takes a script apart. Empty statements are left out.
///
/// # Errors
/// Unterminated strings, names and comments; nesting deeper than [`MAX_NESTING`].
pub(crate) fn split(sql: &str) -> Result<Script> {
    let mut script = Script {
        tokens: Tokens::default(),
        pieces: Vec::new(),
    };
    let mut lexer = Lexer::new(sql, 0);
    let mut current: Option<Piece> = None;
    // What is open: parentheses, brackets and CASE, with their places.
    let mut open: Vec<(u8, usize)> = Vec::new();
    let mut after_dot = false;
    while let Some(token) = lexer
        .next_token()
        .map_err(|error| unterminated(sql, error))?
    {
        if token.is_semicolon() {
            if let Some(mut piece) = current.take() {
                piece.terminated = true;
                finish(&mut piece, &mut open);
                script.pieces.push(piece);
            }
            after_dot = false;
            continue;
        }
        let index = script.tokens.len();
        script.tokens.push(token);
        let piece = current.get_or_insert(Piece {
            span: Span {
                start: token.start,
                end: token.end,
            },
            tokens: index..index,
            unclosed: None,
            unopened: None,
            terminated: false,
        });
        piece.span.end = token.end;
        piece.tokens.end = index + 1;
        if token.is_word() {
            if !after_dot && token.is_case() {
                open.push((b'C', token.start));
            } else if !after_dot
                && token.is_end()
                && open.last().is_some_and(|(kind, _)| *kind == b'C')
            {
                open.pop();
            }
        } else if token.end == token.start + 1 {
            match sql.as_bytes()[token.start] {
                opening @ (b'(' | b'[') => open.push((opening, token.start)),
                closing @ (b')' | b']') => {
                    let opening = if closing == b')' { b'(' } else { b'[' };
                    match open.iter().rposition(|(kind, _)| *kind == opening) {
                        Some(index) => open.truncate(index),
                        None => {
                            piece.unopened.get_or_insert(token.start);
                        }
                    }
                }
                _ => {}
            }
        }
        if open.len() > MAX_NESTING {
            return Err(too_deep(token.start, "parentheses"));
        }
        after_dot = token.is_dot();
    }
    if let Some(mut piece) = current {
        finish(&mut piece, &mut open);
        script.pieces.push(piece);
    }
    Ok(script)
}

fn finish(piece: &mut Piece, open: &mut Vec<(u8, usize)>) {
    piece.unclosed = open
        .iter()
        .rev()
        .find(|(kind, _)| *kind != b'C')
        .map(|(_, position)| *position);
    open.clear();
}

/// The places of the statements in a script, without their semicolons.
///
/// # Errors
/// As [`super::parse`], for what can be seen without parsing: unterminated quotes and comments,
/// nesting too deep.
pub fn split_statements(sql: &str) -> Result<Vec<Span>> {
    Ok(split(sql)?
        .pieces
        .into_iter()
        .map(|piece| piece.span)
        .collect())
}

/// Whether a shell may run the text: every statement in it ends in a semicolon, and no quote,
/// comment or parenthesis is open. Text that is wrong in another way counts as complete, so that
/// running it shows the error.
#[must_use]
pub fn statement_is_complete(sql: &str) -> bool {
    match split(sql) {
        Ok(script) => script
            .pieces
            .last()
            .is_none_or(|piece| piece.terminated && piece.unclosed.is_none()),
        Err(error) => error.state() != SqlState::SYNTAX_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        split_statements(sql)
            .unwrap()
            .into_iter()
            .map(|span| &sql[span.start..span.end])
            .collect()
    }

    #[test]
    fn semicolons_inside_quotes_do_not_split() {
        assert_eq!(
            texts("a; ;b ';' /* ; /* ; */ */ \";\" -- ;\n c; $x$ ; $x$ d"),
            ["a", "b ';' /* ; /* ; */ */ \";\" -- ;\n c", "$x$ ; $x$ d"]
        );
        assert_eq!(texts("select E'\\';' ; b"), ["select E'\\';'", "b"]);
        assert_eq!(texts("select '\\'; b"), ["select '\\'", "b"]);
        assert_eq!(texts(" -- nothing"), Vec::<&str>::new());
    }

    #[test]
    fn completeness() {
        for complete in ["", "select 1;", "select 1; -- done", "select ')';", "a)b;"] {
            assert!(statement_is_complete(complete), "{complete}");
        }
        for open in [
            "select 1",
            "select '",
            "select (1;",
            "/* ;",
            "select $$;",
            "select \";",
        ] {
            assert!(!statement_is_complete(open), "{open}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        for opening in ["(", "[", "case when ", "case when (select 1 as end) = "] {
            let error = split(&opening.repeat(100_000)).unwrap_err();
            assert_eq!(error.state(), SqlState::STATEMENT_TOO_COMPLEX, "{opening}");
        }
        let comments = "/*".repeat(100_000) + &"*/".repeat(100_000);
        assert!(split(&comments).unwrap().pieces.is_empty());
        assert!(split(&"(1)".repeat(10_000)).is_ok());
        assert!(split(&"case when 1 then 2 end ".repeat(10_000)).is_ok());
    }
}
