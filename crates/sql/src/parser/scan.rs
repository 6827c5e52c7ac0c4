//! One pass over the characters before parsing: splits a script into statements, bounds nesting
//! (so that no later recursion can exhaust the stack), and finds quotes and comments that are
//! never closed, whose position the grammar could not tell.

use crate::{
    error::{Error, Result, SqlState},
    parser::MAX_NESTING,
    span::Span,
};

/// One statement of a script.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// From its first token to its last.
    pub(crate) span: Span,
    /// The innermost parenthesis or bracket that is not closed.
    pub(crate) unclosed: Option<usize>,
    /// The first closing one without an opening one.
    pub(crate) unopened: Option<usize>,
    /// Whether a semicolon ends it.
    pub(crate) terminated: bool,
}

/// A lexical unit, as coarse as the scan needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Keyword or unquoted name.
    Word,
    /// Anything in quotes.
    Quoted,
    /// A number or parameter.
    Number,
    /// One other character.
    Symbol(u8),
}

/// Walks over the tokens of a text.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner at `position`, which must be a token's or a gap's start.
    pub(crate) fn new(text: &'a str, position: usize) -> Scanner<'a> {
        Scanner { text, position }
    }

    fn byte(&self, offset: usize) -> Option<u8> {
        self.text.as_bytes().get(self.position + offset).copied()
    }

    /// Steps over white space and comments.
    fn skip_gap(&mut self) -> Result<()> {
        loop {
            match self.byte(0) {
                Some(b' ' | b'\n' | b'\t' | b'\r' | 0x0c | 0x0b) => self.position += 1,
                Some(b'-') if self.byte(1) == Some(b'-') => {
                    let rest = &self.text.as_bytes()[self.position..];
                    self.position += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                Some(b'/') if self.byte(1) == Some(b'*') => self.skip_block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_block_comment(&mut self) -> Result<()> {
        let start = self.position;
        let mut depth = 0usize;
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    if depth > MAX_NESTING {
                        return Err(too_deep(self.position, "comments"));
                    }
                    self.position += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.position += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.position += 1,
                (None, _) => {
                    return Err(unterminated("comment", start, start + 2)
                        .hint("Close the comment with \"*/\"."));
                }
            }
        }
    }

    /// The next token with its place; `None` at the end.
    pub(crate) fn next_token(&mut self) -> Result<Option<(Token, Span)>> {
        self.skip_gap()?;
        let start = self.position;
        let Some(byte) = self.byte(0) else {
            return Ok(None);
        };
        let token = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
                self.skip_word();
                let word = &self.text[start..self.position];
                match self.byte(0) {
                    Some(b'\'') if word.eq_ignore_ascii_case("e") => {
                        self.skip_quotes(b'\'', true, start)?;
                        Token::Quoted
                    }
                    Some(b'\'') if word.len() == 1 && "nNbBxX".contains(word) => {
                        self.skip_quotes(b'\'', false, start)?;
                        Token::Quoted
                    }
                    Some(b'&') if word.eq_ignore_ascii_case("u") => match self.byte(1) {
                        Some(quote @ (b'\'' | b'"')) => {
                            self.position += 1;
                            self.skip_quotes(quote, false, start)?;
                            Token::Quoted
                        }
                        _ => Token::Word,
                    },
                    _ => Token::Word,
                }
            }
            b'0'..=b'9' => {
                self.skip_word();
                if self.byte(0) == Some(b'.') && self.byte(1).is_some_and(|b| b.is_ascii_digit()) {
                    self.position += 1;
                    self.skip_word();
                }
                Token::Number
            }
            b'\'' | b'"' => {
                self.skip_quotes(byte, false, start)?;
                Token::Quoted
            }
            b'$' => self.dollar(start)?,
            _ => {
                self.position += 1;
                Token::Symbol(byte)
            }
        };
        Ok(Some((
            token,
            Span {
                start,
                end: self.position,
            },
        )))
    }

    fn skip_word(&mut self) {
        while let Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' | b'$' | 0x80..) =
            self.byte(0)
        {
            self.position += 1;
        }
    }

    /// Steps over a quoted text that begins at the current position.
    fn skip_quotes(&mut self, quote: u8, backslash: bool, start: usize) -> Result<()> {
        self.position += 1;
        loop {
            match self.byte(0) {
                Some(byte) if byte == quote => {
                    self.position += 1;
                    if self.byte(0) != Some(quote) {
                        return Ok(());
                    }
                    self.position += 1;
                }
                Some(b'\\') if backslash => self.position += 2,
                Some(_) => self.position += 1,
                None => {
                    self.position = self.text.len();
                    return Err(if quote == b'"' {
                        unterminated("quoted name", start, start + 1)
                            .hint("Close the name with a double quote.")
                    } else {
                        unterminated("string", start, start + 1).hint(
                            "Close the string with a single quote; write a quote inside it twice.",
                        )
                    });
                }
            }
        }
    }

    /// A parameter, a dollar-quoted string, or a lone dollar sign.
    fn dollar(&mut self, start: usize) -> Result<Token> {
        self.position += 1;
        if let Some(b'0'..=b'9') = self.byte(0) {
            self.skip_word();
            return Ok(Token::Number);
        }
        while let Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' | 0x80..) = self.byte(0) {
            self.position += 1;
        }
        if self.byte(0) != Some(b'$') {
            self.position = start + 1;
            return Ok(Token::Symbol(b'$'));
        }
        self.position += 1;
        let tag = &self.text.as_bytes()[start..self.position];
        match memchr::memmem::find(&self.text.as_bytes()[self.position..], tag) {
            Some(offset) => {
                self.position += offset + tag.len();
                Ok(Token::Quoted)
            }
            None => {
                let end = self.position;
                self.position = self.text.len();
                Err(
                    unterminated("dollar-quoted string", start, end).hint(format!(
                        "Close the string with \"{}\".",
                        &self.text[start..end]
                    )),
                )
            }
        }
    }
}

fn unterminated(what: &str, start: usize, end: usize) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("unterminated {what}")).at(Span { start, end })
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

/// Splits a script at its semicolons. Empty statements are left out.
///
/// # Errors
/// Unterminated strings, names and comments; nesting deeper than [`MAX_NESTING`].
pub(crate) fn split(sql: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut scanner = Scanner::new(sql, 0);
    let mut current: Option<Piece> = None;
    // What is open: parentheses, brackets and CASE, with their places.
    let mut open: Vec<(u8, usize)> = Vec::new();
    let mut after_dot = false;
    while let Some((token, span)) = scanner.next_token()? {
        if token == Token::Symbol(b';') {
            if let Some(mut piece) = current.take() {
                piece.terminated = true;
                finish(&mut piece, &mut open);
                pieces.push(piece);
            }
            after_dot = false;
            continue;
        }
        let piece = current.get_or_insert(Piece {
            span,
            unclosed: None,
            unopened: None,
            terminated: false,
        });
        piece.span.end = span.end;
        match token {
            Token::Symbol(opening @ (b'(' | b'[')) => open.push((opening, span.start)),
            Token::Symbol(closing @ (b')' | b']')) => {
                let opening = if closing == b')' { b'(' } else { b'[' };
                match open.iter().rposition(|(kind, _)| *kind == opening) {
                    Some(index) => open.truncate(index),
                    None => {
                        piece.unopened.get_or_insert(span.start);
                    }
                }
            }
            Token::Word if !after_dot => {
                let word = &sql[span.start..span.end];
                if word.eq_ignore_ascii_case("case") {
                    open.push((b'C', span.start));
                } else if word.eq_ignore_ascii_case("end")
                    && open.last().is_some_and(|(kind, _)| *kind == b'C')
                {
                    open.pop();
                }
            }
            _ => {}
        }
        if open.len() > MAX_NESTING {
            return Err(too_deep(span.start, "parentheses"));
        }
        after_dot = token == Token::Symbol(b'.');
    }
    if let Some(mut piece) = current {
        finish(&mut piece, &mut open);
        pieces.push(piece);
    }
    Ok(pieces)
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
    Ok(split(sql)?.into_iter().map(|piece| piece.span).collect())
}

/// Whether a shell may run the text: every statement in it ends in a semicolon, and no quote,
/// comment or parenthesis is open. Text that is wrong in another way counts as complete, so that
/// running it shows the error.
#[must_use]
pub fn statement_is_complete(sql: &str) -> bool {
    match split(sql) {
        Ok(pieces) => pieces
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
        for opening in [
            "(",
            "[",
            "case when ",
            "/*",
            "case when (select 1 as end) = ",
        ] {
            let error = split(&opening.repeat(100_000)).unwrap_err();
            assert_eq!(error.state(), SqlState::STATEMENT_TOO_COMPLEX, "{opening}");
        }
        assert!(split(&"(1)".repeat(10_000)).is_ok());
        assert!(split(&"case when 1 then 2 end ".repeat(10_000)).is_ok());
    }
}
