//! What is known of the terminal.

use std::io::{self, IsTerminal};

use unicode_width::UnicodeWidthStr;

/// The terminal's width in columns; `None` where standard output is none.
#[must_use]
pub(crate) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size()
        .map(|(width, _)| usize::from(width.0))
        .filter(|width| *width > 0)
}

/// Columns that messages on standard error may take; 100 where it is no terminal.
#[must_use]
pub(crate) fn message_width() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(100, |(width, _)| usize::from(width.0))
}

/// `text` broken between words into lines of at most `width` columns, each behind `indent` and
/// ended. A longer word has a line of its own.
#[must_use]
pub(crate) fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut wrapped = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let columns = word.width();
        if used > 0 && used + 1 + columns <= width {
            wrapped.push(' ');
            used += 1 + columns;
        } else {
            if used > 0 {
                wrapped.push('\n');
            }
            wrapped.push_str(indent);
            used = indent.width() + columns;
        }
        wrapped.push_str(word);
    }
    if used > 0 {
        wrapped.push('\n');
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrap("", 10, "  "), "");
        assert_eq!(wrap("one two three", 9, "  "), "  one two\n  three\n");
        assert_eq!(wrap("a twelve-letters b", 8, ""), "a\ntwelve-letters\nb\n");
        assert_eq!(wrap("漢字 漢字", 8, ""), "漢字\n漢字\n");
    }
}
