//! What is known of the terminal.

use std::io::{self, IsTerminal};

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
