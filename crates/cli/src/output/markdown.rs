//! Markdown tables (GitHub's).

use std::io::{self, Write};

use rustling_sql::Value;

use super::{Column, RowWriter, text};

/// Writes a Markdown table.
pub(super) struct MarkdownWriter<'a> {
    out: &'a mut dyn Write,
}

impl<'a> MarkdownWriter<'a> {
    pub(super) fn new(
        columns: Vec<Column>,
        out: &'a mut dyn Write,
    ) -> io::Result<MarkdownWriter<'a>> {
        let mut writer = MarkdownWriter { out };
        writer.line(columns.iter().map(|column| column.name.clone()))?;
        for column in &columns {
            writer.out.write_all(if column.is_right_aligned() {
                b"|---:"
            } else {
                b"|---"
            })?;
        }
        writer.out.write_all(b"|\n")?;
        Ok(writer)
    }

    fn line(&mut self, cells: impl Iterator<Item = String>) -> io::Result<()> {
        for cell in cells {
            let cell = cell
                .replace('\\', "\\\\")
                .replace('|', "\\|")
                .replace("\r\n", "<br>")
                .replace('\n', "<br>");
            write!(self.out, "| {cell} ")?;
        }
        self.out.write_all(b"|\n")
    }
}

impl RowWriter for MarkdownWriter<'_> {
    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        self.line(values.iter().map(text))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
