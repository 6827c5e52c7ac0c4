//! Errors as text for people: the message, the line with a caret under the place, detail, hint.

use unicode_width::UnicodeWidthChar;

use crate::{Error, Span};

/// The widest excerpt of a line, in terminal columns.
const MAX_WIDTH: usize = 72;

impl Error {
    /// The error as psql shows it, with the line of `sql` that it points into:
    ///
    /// ```
    /// let sql = "SELECT 1\nFORM t";
    /// let error = rustling_sql::parse(sql).unwrap_err();
    /// assert_eq!(
    ///     error.render(sql),
    ///     "ERROR:  syntax error: unexpected \"t\"\n\
    ///      LINE 2: FORM t\n\
    ///      \x20            ^\n\
    ///      HINT:  Did you mean FROM instead of \"FORM\"?\n"
    /// );
    /// ```
    ///
    /// Lines end in `\n`. A long line is cut around the place; the caret stands right whatever
    /// the width of the characters before it.
    #[must_use]
    pub fn render(&self, sql: &str) -> String {
        let mut text = format!("ERROR:  {}\n", self.message());
        // Without the statement there is no place to show.
        if let Some(span) = self.span().filter(|_| !sql.is_empty()) {
            excerpt(&mut text, sql, span);
        }
        if let Some(detail) = self.detail_text() {
            text.push_str(&format!("DETAIL:  {detail}\n"));
        }
        if let Some(hint) = self.hint_text() {
            text.push_str(&format!("HINT:  {hint}\n"));
        }
        if let Some(context) = self.context_text() {
            text.push_str(&format!("CONTEXT:  {context}\n"));
        }
        text
    }
}

/// What a terminal shows for a character, and how wide.
fn shown(character: char) -> (char, usize) {
    match character {
        '\t' => (' ', 1),
        c if c.is_control() => ('\u{fffd}', 1),
        c => (c, c.width().unwrap_or(0)),
    }
}

/// Adds the line and the caret.
fn excerpt(text: &mut String, sql: &str, span: Span) {
    let mut start = span.start.min(sql.len());
    while !sql.is_char_boundary(start) {
        start -= 1;
    }
    let number = memchr::memchr_iter(b'\n', &sql.as_bytes()[..start]).count() + 1;
    let line_start = sql[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = sql[start..].find('\n').map_or(sql.len(), |at| start + at);
    let (from, to, before) = window(sql, start, line_start, line_end);
    let mut line = format!("LINE {number}: ");
    if from > line_start {
        line.push('…');
    }
    // Each of these is one column wide.
    let indent = line.chars().count() + before;
    let part = sql[from..to].trim_end_matches('\r');
    let marked = sql.get(start..span.end.min(to).max(start));
    let carets = if is_plain(part) {
        line.push_str(part);
        marked.map_or(0, str::len)
    } else {
        line.extend(part.chars().map(|c| shown(c).0));
        marked.map_or(0, |part| part.chars().map(|c| shown(c).1).sum())
    };
    if to < line_end {
        line.push('…');
    }
    text.push_str(line.trim_end());
    text.push('\n');
    text.push_str(&" ".repeat(indent));
    text.push_str(&"^".repeat(carets.clamp(1, MAX_WIDTH)));
    text.push('\n');
}

/// Whether a text is shown as it is, each of its bytes one column wide.
fn is_plain(text: &str) -> bool {
    // A loop over bytes is what costs least where nothing is optimised, as in macros.
    for byte in text.as_bytes() {
        if !matches!(byte, b' '..=b'~') {
            return false;
        }
    }
    true
}

/// Which part of a line is shown, and how wide what stands in it before `start` is.
fn window(sql: &str, start: usize, line_start: usize, line_end: usize) -> (usize, usize, usize) {
    // Where each byte is one column wide, as nearly everywhere, nothing needs to be measured.
    let before = (start - line_start).min(MAX_WIDTH / 3);
    let after = (line_end - start).min(MAX_WIDTH - before);
    let (mut from, to) = (start - before, start + after);
    if to == line_end {
        from -= (from - line_start).min(MAX_WIDTH - before - after);
    }
    if sql.get(from..to).is_some_and(is_plain) {
        return (from, to, start - from);
    }
    // Cut around the place: a third of the room before it.
    let (mut from, mut before) = (start, 0);
    let mut from_all = start;
    for (offset, character) in sql[line_start..start].char_indices().rev() {
        let width = shown(character).1;
        if before + width > MAX_WIDTH / 3 {
            break;
        }
        before += width;
        from = line_start + offset;
        from_all = from;
    }
    let (mut to, mut after) = (start, 0);
    for (offset, character) in sql[start..line_end].char_indices() {
        let width = shown(character).1;
        if before + after + width > MAX_WIDTH {
            break;
        }
        after += width;
        to = start + offset + character.len_utf8();
    }
    // Room that is left behind goes to the front.
    if to == line_end {
        for (offset, character) in sql[line_start..from_all].char_indices().rev() {
            let width = shown(character).1;
            if before + after + width > MAX_WIDTH {
                break;
            }
            before += width;
            from = line_start + offset;
        }
    }
    (from, to, before)
}

#[cfg(test)]
mod tests {
    use crate::{Error, Span, SqlState};

    fn at(sql: &str, word: &str) -> String {
        let start = sql.find(word).unwrap();
        Error::new(SqlState::SYNTAX_ERROR, "no")
            .at(Span {
                start,
                end: start + word.len(),
            })
            .render(sql)
    }

    #[test]
    fn carets_stand_under_wide_characters() {
        assert_eq!(
            at("SELECT '日本' x\r\nFROM", "x"),
            "ERROR:  no\nLINE 1: SELECT '日本' x\n                      ^\n"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let sql = format!("SELECT {} wrong {}", "a, ".repeat(100), "b".repeat(100));
        let text = at(&sql, "wrong");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].chars().count() < 90, "{text}");
        let caret = lines[2].find('^').unwrap();
        let column = lines[1]
            .char_indices()
            .position(|(at, _)| lines[1][at..].starts_with("wrong"));
        assert_eq!(column, Some(caret), "{text}");
    }

    #[test]
    fn any_span_renders() {
        let sql = "é\n日";
        for start in 0..10 {
            for end in 0..10 {
                let error = Error::new(SqlState::SYNTAX_ERROR, "no").at(Span { start, end });
                assert!(error.render(sql).starts_with("ERROR:  no\nLINE "));
            }
        }
    }
}
