//! Cutting what is typed or piped in into commands of the shell and SQL statements.

use std::io::{self, BufRead};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A command of the shell, beginning with `\` or `.`.
    Command(String),
    /// One or more SQL statements.
    Sql(String),
}

/// Whether `text` is a command line of the shell.
pub(super) fn is_command(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('\\')
        || text.starts_with('.') && !text[1..].starts_with(|c: char| c.is_ascii_digit())
}

/// Whether what has been typed can be run, or more lines must follow.
pub(super) fn is_complete(text: &str) -> bool {
    text.trim().is_empty() || is_command(text) || rustling_sql::parser::statement_is_complete(text)
}

/// Reads commands and statements from a stream, each as soon as it is whole.
pub(super) struct InputReader<R> {
    reader: R,
    pending: String,
}

impl<R: BufRead> InputReader<R> {
    /// Reads from `reader`.
    pub(super) fn new(reader: R) -> InputReader<R> {
        InputReader {
            reader,
            pending: String::new(),
        }
    }

    /// The stream behind what was read last: COPY's data stands there.
    pub(super) fn data(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The next thing to do; `None` at the end.
    ///
    /// # Errors
    /// Where the stream cannot be read, or is not UTF-8.
    pub(super) fn next(&mut self) -> io::Result<Option<Input>> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                let rest = std::mem::take(&mut self.pending);
                return Ok(if rest.trim().is_empty() {
                    None
                } else {
                    Some(Input::Sql(rest))
                });
            }
            if self.pending.trim().is_empty() {
                if is_command(&line) {
                    return Ok(Some(Input::Command(line.trim().to_string())));
                }
                self.pending.clear();
            }
            self.pending.push_str(&line);
            // Only a line with a semicolon can end a statement.
            if line.contains(';') && rustling_sql::parser::statement_is_complete(&self.pending) {
                return Ok(Some(Input::Sql(std::mem::take(&mut self.pending))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, InputReader, is_command};

    fn inputs(text: &str) -> Vec<Input> {
        let mut reader = InputReader::new(text.as_bytes());
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    #[test]
    fn statements_may_take_several_lines_and_the_last_needs_no_semicolon() {
        assert_eq!(
            inputs("SELECT\n1;\n\\d t\nSELECT ';\n';\nSELECT 2"),
            [
                Input::Sql("SELECT\n1;\n".into()),
                Input::Command("\\d t".into()),
                Input::Sql("SELECT ';\n';\n".into()),
                Input::Sql("SELECT 2".into()),
            ]
        );
    }

    #[test]
    fn a_number_is_no_command() {
        assert!(is_command(".help") && is_command(" \\d") && !is_command(".5"));
    }
}
