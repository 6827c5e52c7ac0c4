//! Text to template.

use super::{Branch, BranchHead, Parameter, Piece, Template};
use crate::{
    error::{Error, Result, SqlState},
    parser::{Scanner, Token},
    span::Span,
};

/// How deep branches may stand in branches.
const MAX_BRANCH_DEPTH: usize = 16;

impl Template {
    /// Reads a template.
    ///
    /// ```
    /// use rustling_sql::template::Template;
    ///
    /// let template = Template::parse("SELECT name FROM users WHERE id = {user.id}")?;
    /// assert_eq!(template.variant(&[]).sql, "SELECT name FROM users WHERE id = $1");
    /// assert_eq!(template.parameters[0].expression, "user.id");
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// 42601 where quotes, comments or braces are not closed, and for parameters that would not
    /// be parameters: `$1`, and braces in quotes.
    pub fn parse(text: &str) -> Result<Template> {
        let mut reader = Reader {
            text,
            template: Template {
                pieces: Vec::new(),
                parameters: Vec::new(),
                alternatives: Vec::new(),
            },
        };
        let (pieces, end) = reader.pieces(0, 0)?;
        if end < text.len() {
            return Err(wrong(
                "a closing brace without an opening one",
                end,
                end + 1,
            ));
        }
        reader.template.pieces = pieces;
        Ok(reader.template)
    }
}

struct Reader<'a> {
    text: &'a str,
    template: Template,
}

impl Reader<'_> {
    /// Pieces up to the end or the brace that closes them; gives its position.
    fn pieces(&mut self, from: usize, depth: usize) -> Result<(Vec<Piece>, usize)> {
        let mut pieces = Vec::new();
        let mut scanner = Scanner::new(self.text, from);
        // Where the text begins that is in no piece yet, and the last two tokens.
        let mut text_start = from;
        let mut before: [Option<(Token, Span)>; 3] = [None, None, None];
        loop {
            let Some((token, span)) = scanner.next_token()? else {
                self.push_text(&mut pieces, text_start, self.text.len());
                return Ok((pieces, self.text.len()));
            };
            match token {
                Token::Symbol(b'}') => {
                    self.push_text(&mut pieces, text_start, span.start);
                    return Ok((pieces, span.start));
                }
                Token::Symbol(b'{') => {
                    let (piece, end) = self.braces(span.start, depth)?;
                    let list = self.list_around(&piece, &before, end)?;
                    match list {
                        Some((start, operator, after)) => {
                            self.push_text(&mut pieces, text_start, start);
                            let place = Span { start, end: after };
                            pieces.push(Piece::Text {
                                sql: format!("{operator} ("),
                                span: place,
                                verbatim: false,
                            });
                            if let Piece::Parameter(at) = piece {
                                self.template.parameters[at].list = true;
                            }
                            pieces.push(piece);
                            pieces.push(Piece::Text {
                                sql: ")".to_owned(),
                                span: place,
                                verbatim: false,
                            });
                            text_start = after;
                        }
                        None => {
                            self.push_text(&mut pieces, text_start, span.start);
                            pieces.push(piece);
                            text_start = end;
                        }
                    }
                    scanner = Scanner::new(self.text, text_start);
                    before = [None, None, None];
                    continue;
                }
                Token::Number if self.text[span.start..span.end].starts_with('$') => {
                    return Err(wrong("a numbered parameter", span.start, span.end)
                        .hint("Write the value's Rust expression in braces: {user_id}."));
                }
                Token::Quoted => self.check_quoted(span)?,
                _ => {}
            }
            before = [before[1], before[2], Some((token, span))];
        }
    }

    fn push_text(&self, pieces: &mut Vec<Piece>, start: usize, end: usize) {
        if start < end {
            pieces.push(Piece::Text {
                sql: self.text[start..end].to_owned(),
                span: Span { start, end },
                verbatim: true,
            });
        }
    }

    /// Braces in quotes are text; whoever writes just a name there means something else.
    fn check_quoted(&self, span: Span) -> Result<()> {
        let quoted = &self.text[span.start..span.end];
        let inner = quoted
            .strip_prefix("'{")
            .and_then(|rest| rest.strip_suffix("}'"));
        let is_name = |text: &str| {
            let mut parts = text.split('.');
            parts.all(|part| {
                let mut chars = part.chars();
                chars
                    .next()
                    .is_some_and(|c| c == '_' || c.is_ascii_lowercase())
                    && chars.all(|c| c == '_' || c.is_ascii_alphanumeric())
            })
        };
        match inner {
            Some(name) if is_name(name) => Err(wrong(
                &format!("{{{name}}} in quotes, where it is text and no parameter"),
                span.start,
                span.end,
            )
            .hint(format!(
                "Leave out the quotes: {{{name}}}. For an array of one text write ARRAY['{name}']."
            ))),
            _ => Ok(()),
        }
    }

    /// Where a parameter is all that stands in the parentheses of IN: where that begins, the
    /// operator that it becomes, and where it ends.
    fn list_around(
        &self,
        piece: &Piece,
        before: &[Option<(Token, Span)>; 3],
        end: usize,
    ) -> Result<Option<(usize, &'static str, usize)>> {
        let (Piece::Parameter(_), [not, Some((_, word)), Some((Token::Symbol(b'('), _))]) =
            (piece, before)
        else {
            return Ok(None);
        };
        if !self.is_word(*word, "in") {
            return Ok(None);
        }
        let Some((Token::Symbol(b')'), close)) = Scanner::new(self.text, end).next_token()? else {
            return Ok(None);
        };
        Ok(Some(match not {
            Some((Token::Word, not)) if self.is_word(*not, "not") => {
                (not.start, "<> ALL", close.end)
            }
            _ => (word.start, "= ANY", close.end),
        }))
    }

    fn is_word(&self, span: Span, word: &str) -> bool {
        self.text[span.start..span.end].eq_ignore_ascii_case(word)
    }

    /// What stands in the braces that open at `open`; gives the position behind them.
    fn braces(&mut self, open: usize, depth: usize) -> Result<(Piece, usize)> {
        if depth >= MAX_BRANCH_DEPTH {
            return Err(wrong("branches nested too deep", open, open + 1));
        }
        let inner = open + 1;
        let start = self.skip_space(inner);
        if self.keyword_at(start, "if") {
            return self.if_branch(open, start, depth);
        }
        if self.keyword_at(start, "match") {
            return self.match_branch(open, start, depth);
        }
        let close = self.rust_until(inner, open, |rest| rest.starts_with(b"}"))?;
        let expression = self.text[inner..close].trim();
        if expression.is_empty() {
            return Err(wrong("braces without an expression", open, close + 1)
                .hint("Write the value's Rust expression in them: {user_id}."));
        }
        self.template.parameters.push(Parameter {
            expression: expression.to_owned(),
            span: Span {
                start: open,
                end: close + 1,
            },
            list: false,
        });
        let at = self.template.parameters.len() - 1;
        Ok((Piece::Parameter(at), close + 1))
    }

    fn if_branch(&mut self, open: usize, start: usize, depth: usize) -> Result<(Piece, usize)> {
        let number = self.new_branch();
        let mut conditions = Vec::new();
        let mut alternatives = Vec::new();
        let mut position = start;
        loop {
            // At `if`.
            let from = position + 2;
            let brace = self.rust_until(from, open, |rest| rest.starts_with(b"{"))?;
            conditions.push(self.rust_part(from, brace, "a condition")?);
            let (pieces, close) = self.block(brace, depth)?;
            alternatives.push(pieces);
            position = self.skip_space(close + 1);
            if !self.keyword_at(position, "else") {
                alternatives.push(Vec::new());
                break;
            }
            position = self.skip_space(position + 4);
            if self.keyword_at(position, "if") {
                continue;
            }
            if self.text.as_bytes().get(position) != Some(&b'{') {
                return Err(wrong("else without braces", position, position + 1));
            }
            let (pieces, close) = self.block(position, depth)?;
            alternatives.push(pieces);
            position = self.skip_space(close + 1);
            break;
        }
        let end = self.closing(position, open)?;
        self.template.alternatives[number] = alternatives.len();
        let branch = Branch {
            number,
            head: BranchHead::If(conditions),
            alternatives,
        };
        Ok((Piece::Branch(branch), end))
    }

    fn match_branch(&mut self, open: usize, start: usize, depth: usize) -> Result<(Piece, usize)> {
        let number = self.new_branch();
        let from = start + 5;
        let brace = self.rust_until(from, open, |rest| rest.starts_with(b"{"))?;
        let value = self.rust_part(from, brace, "a value")?;
        let (mut patterns, mut alternatives) = (Vec::new(), Vec::new());
        let mut position = self.skip_space(brace + 1);
        while self.text.as_bytes().get(position) != Some(&b'}') {
            let arrow = self
                .rust_until(position, open, |rest| rest.starts_with(b"=>"))
                .map_err(|_| {
                    wrong("an arm without \"=>\"", position, position + 1)
                        .hint("Write {match value { pattern => { sql }, … }}.")
                })?;
            patterns.push(self.rust_part(position, arrow, "a pattern")?);
            let brace = self.skip_space(arrow + 2);
            if self.text.as_bytes().get(brace) != Some(&b'{') {
                return Err(wrong("an arm without braces", arrow, arrow + 2)
                    .hint("Write {match value { pattern => { sql }, … }}."));
            }
            let (pieces, close) = self.block(brace, depth)?;
            alternatives.push(pieces);
            position = self.skip_space(close + 1);
            if self.text.as_bytes().get(position) == Some(&b',') {
                position = self.skip_space(position + 1);
            }
        }
        if alternatives.is_empty() {
            return Err(wrong("match without arms", open, position));
        }
        let end = self.closing(self.skip_space(position + 1), open)?;
        self.template.alternatives[number] = alternatives.len();
        let branch = Branch {
            number,
            head: BranchHead::Match { value, patterns },
            alternatives,
        };
        Ok((Piece::Branch(branch), end))
    }

    fn new_branch(&mut self) -> usize {
        self.template.alternatives.push(0);
        self.template.alternatives.len() - 1
    }

    /// SQL in braces, with spaces around; gives the position of the closing one.
    fn block(&mut self, brace: usize, depth: usize) -> Result<(Vec<Piece>, usize)> {
        let (mut pieces, close) = self.pieces(brace + 1, depth + 1)?;
        if close >= self.text.len() {
            return Err(wrong(
                "an opening brace without a closing one",
                brace,
                brace + 1,
            ));
        }
        let space = |at: usize| Piece::Text {
            sql: " ".to_owned(),
            span: Span {
                start: at,
                end: at + 1,
            },
            verbatim: false,
        };
        pieces.insert(0, space(brace));
        pieces.push(space(close));
        Ok((pieces, close))
    }

    fn closing(&self, position: usize, open: usize) -> Result<usize> {
        match self.text.as_bytes().get(position) {
            Some(b'}') => Ok(position + 1),
            Some(_) => Err(wrong("text behind a branch", position, position + 1)
                .hint("Close the branch with a second brace.")),
            None => Err(unclosed(open)),
        }
    }

    fn rust_part(&self, from: usize, to: usize, what: &str) -> Result<String> {
        let part = self.text[from..to].trim();
        if part.is_empty() {
            return Err(wrong(&format!("a branch without {what}"), from, to + 1));
        }
        Ok(part.to_owned())
    }

    fn skip_space(&self, from: usize) -> usize {
        let rest = &self.text[from.min(self.text.len())..];
        from + (rest.len() - rest.trim_start().len())
    }

    fn keyword_at(&self, position: usize, keyword: &str) -> bool {
        self.text.get(position..).is_some_and(|rest| {
            rest.strip_prefix(keyword)
                .is_some_and(|rest| !rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()))
        })
    }

    /// The position of the first byte outside of Rust's brackets, quotes and comments from which
    /// the rest is wanted.
    fn rust_until(&self, from: usize, open: usize, wanted: fn(&[u8]) -> bool) -> Result<usize> {
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        let mut at = from;
        while let Some(byte) = bytes.get(at).copied() {
            if depth == 0 && wanted(&bytes[at..]) {
                return Ok(at);
            }
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' if depth == 0 => break,
                b')' | b']' | b'}' => depth -= 1,
                b'"' => at = end_of_string(bytes, at),
                b'\'' => at = end_of_char(bytes, at),
                b'/' => at = end_of_comment(bytes, at),
                _ => {}
            }
            at += 1;
        }
        Err(unclosed(open))
    }
}

/// The position of the last byte of the string opened at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    if let Some(marks) = marks_of_raw_string(&bytes[..at]) {
        let rest = &bytes[at + 1..];
        let close = rest
            .windows(marks + 1)
            .position(|part| part[0] == b'"' && part[1..].iter().all(|byte| *byte == b'#'));
        return close.map_or(bytes.len(), |offset| at + 1 + offset + marks);
    }
    at += 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// How many `#` stand before the quote of a raw string; `None`: what is before a quote makes its
/// string no raw one.
fn marks_of_raw_string(before: &[u8]) -> Option<usize> {
    let marks = before
        .iter()
        .rev()
        .take_while(|byte| **byte == b'#')
        .count();
    let prefix = before[..before.len() - marks].strip_suffix(b"r")?;
    let prefix = match prefix {
        [rest @ .., b'b' | b'c'] => rest,
        _ => prefix,
    };
    let in_word = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let is_name = prefix.last().is_some_and(in_word);
    (!is_name).then_some(marks)
}

/// The position of the quote that closes the character opened at `at`, or `at` for a lifetime.
fn end_of_char(bytes: &[u8], at: usize) -> usize {
    let length = match bytes.get(at + 1) {
        Some(b'\\') => {
            let rest = bytes.get(at + 3..).unwrap_or_default();
            let close = rest.iter().position(|byte| *byte == b'\'');
            return close.map_or(bytes.len(), |offset| at + 3 + offset);
        }
        None | Some(b'\'') => return at,
        Some(0..0x80) => 1,
        Some(0x80..0xe0) => 2,
        Some(0xe0..0xf0) => 3,
        Some(0xf0..) => 4,
    };
    let close = at + 1 + length;
    if bytes.get(close) == Some(&b'\'') {
        close
    } else {
        at
    }
}

/// The position of the last byte of the comment opened at `at`, or `at` where none is.
fn end_of_comment(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let line = rest.iter().position(|byte| *byte == b'\n');
        return line.map_or(bytes.len(), |offset| at + offset);
    }
    if !rest.starts_with(b"/*") {
        return at;
    }
    // Rust's comments stand in each other.
    let (mut depth, mut inner) = (1usize, at + 2);
    while depth > 0 && inner < bytes.len() {
        if bytes[inner..].starts_with(b"/*") {
            depth += 1;
            inner += 2;
        } else if bytes[inner..].starts_with(b"*/") {
            depth -= 1;
            inner += 2;
        } else {
            inner += 1;
        }
    }
    inner - 1
}

fn wrong(what: &str, start: usize, end: usize) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("syntax error: {what}")).at(Span { start, end })
}

fn unclosed(open: usize) -> Error {
    wrong("an opening brace without a closing one", open, open + 1)
        .hint("What stands in braces is a Rust expression: {user_id}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str, choices: &[usize]) -> String {
        Template::parse(text).unwrap().variant(choices).sql
    }

    fn fails(text: &str, message: &str) {
        let error = Template::parse(text).unwrap_err();
        assert!(error.message().contains(message), "{text}: {error}");
        assert!(error.span().is_some(), "{text}");
    }

    #[test]
    fn expressions_are_parameters() {
        let text = "SELECT {a.b(\"}\")}, {x['}'.len()]} FROM t WHERE c = '{\"a\": 1}' -- {no}";
        let template = Template::parse(text).unwrap();
        let variant = template.variant(&[]);
        assert_eq!(
            variant.sql,
            "SELECT $1, $2 FROM t WHERE c = '{\"a\": 1}' -- {no}"
        );
        let expressions: Vec<&str> = template
            .parameters
            .iter()
            .map(|parameter| parameter.expression.as_str())
            .collect();
        assert_eq!(expressions, ["a.b(\"}\")", "x['}'.len()]"]);
    }

    #[test]
    fn rust_in_braces_ends_where_rust_says() {
        let cases = [
            r#"r"\""#,
            r###"r#"a"}"#.len()"###,
            r##"br#""}"#"##,
            r##"cr"}""##,
            r#"f(r, "}")"#,
            "a /* } \" /* ' */ } */",
            "a // }\n + b",
            "a / b",
            "f::<'a>('}')",
            "f::<'a, 'b>(\"}\")",
            "x['ü'.len()..'\u{1f600}'.len()]",
            "'日'",
            "'\\''",
        ];
        for expression in cases {
            let text = format!("SELECT {{{expression}}}, {{match {expression} {{ _ => {{1}} }}}}");
            let template = Template::parse(&text).unwrap();
            assert_eq!(template.parameters[0].expression, expression);
            assert_eq!(template.alternatives, [1], "{expression}");
        }
        let text = "SELECT {match a { \"=>\" if f(|x| { x => 1 }) /* => { */ => {1}, _ => {2} }}";
        assert_eq!(sql(text, &[0]).replace(' ', ""), "SELECT1");
        fails("SELECT {a // }", "without a closing one");
        fails("SELECT {a /* /* } */", "without a closing one");
        fails("SELECT {r#\"}\"", "without a closing one");
        fails("SELECT {match a { b }}", "an arm without");
    }

    #[test]
    fn lists_are_one_parameter() {
        assert_eq!(
            sql("SELECT 1 WHERE a IN ({x})", &[]),
            "SELECT 1 WHERE a = ANY ($1)"
        );
        assert_eq!(
            sql("SELECT 1 WHERE a not in ( {x} ) AND b", &[]),
            "SELECT 1 WHERE a <> ALL ($1) AND b"
        );
        assert_eq!(sql("SELECT a IN ({x}, {y})", &[]), "SELECT a IN ($1, $2)");
    }

    #[test]
    fn branches_choose() {
        let text = "SELECT a FROM t WHERE true{if let Some(x) = x { AND a = {x}}} \
                    ORDER BY {match o { O::A => {a}, O::B if y => {b, {z} DESC} }}";
        let squeeze = |choices: &[usize]| {
            sql(text, choices)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            squeeze(&[0, 0]),
            "SELECT a FROM t WHERE true AND a = $1 ORDER BY a"
        );
        assert_eq!(
            squeeze(&[1, 1]),
            "SELECT a FROM t WHERE true ORDER BY b, $1 DESC"
        );
        let text = "SELECT {if a {1} else if b {2} else {3}}";
        assert_eq!(sql(text, &[2]).replace(' ', ""), "SELECT3");
        assert_eq!(Template::parse(text).unwrap().alternatives, [3]);
    }

    #[test]
    fn mistakes_have_places() {
        fails("SELECT {a", "without a closing one");
        fails("SELECT a}", "without an opening one");
        fails("SELECT {}", "without an expression");
        fails("SELECT $1", "numbered parameter");
        fails("SELECT '{name}'", "in quotes");
        fails("SELECT {if a {1} b}", "behind a branch");
        fails("SELECT {match a { A => 1 }}", "without braces");
        fails("SELECT {match a { }}", "without arms");
        fails("SELECT 'a", "unterminated string");
        fails(&format!("SELECT {}", "{if a {".repeat(40)), "too deep");
    }

    #[test]
    fn no_beginning_of_a_template_panics() {
        let text = "SELECT {a['\\'']}, {'ü'}, \"x\" FROM t WHERE a IN ({\"\\\"\"}) \
                    {if let 'b' = c { AND {d} } else if e { OR true } else { }} \
                    {match f { '\\n' => { {g} }, Some('h') if i => { 'j' }, _ => { /* k */ } }} -- l";
        assert!(Template::parse(text).is_ok());
        for (end, _) in text.char_indices() {
            if let Err(error) = Template::parse(&text[..end]) {
                let _ = error.render(&text[..end]);
            }
        }
    }

    #[test]
    fn places_lead_back() {
        let text = "SELECT {some.value}, nam";
        let variant = Template::parse(text).unwrap().variant(&[]);
        let start = variant.sql.find("nam").unwrap();
        let place = variant.place(Span {
            start,
            end: start + 3,
        });
        assert_eq!(&text[place.start..place.end], "nam");
        let place = variant.place(Span { start: 7, end: 9 });
        assert_eq!(&text[place.start..place.end], "{some.value}");
        // As long as what it becomes, which it is not.
        let variant = Template::parse("SELECT a IN({x})").unwrap().variant(&[]);
        let start = variant.sql.find("ANY").unwrap();
        let place = variant.place(Span {
            start,
            end: start + 3,
        });
        assert_eq!((place.start, place.end), (9, 16));
    }
}
