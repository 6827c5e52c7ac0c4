//! How rows are written: one writer per format, all behind [`RowWriter`].

mod csv;
mod json;
mod markdown;
mod table;

use std::io::{self, Write};

use rustling_sql::{DataType, Value};

pub(crate) use table::{Layout, TableWriter};

/// A format for rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns set for people.
    #[default]
    Table,
    /// A header line, then a line per row (RFC 4180).
    Csv,
    /// An array with an object per row.
    Json,
    /// A Markdown table.
    Markdown,
}

/// A result column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    pub(crate) data_type: DataType,
}

impl Column {
    /// Whether its values stand on the right.
    fn is_right_aligned(&self) -> bool {
        self.data_type.is_numeric()
    }
}

/// Writes the rows of one result.
pub(crate) trait RowWriter {
    /// Writes one row.
    ///
    /// # Errors
    /// Where the output cannot be written.
    fn row(&mut self, values: &[Value]) -> io::Result<()>;

    /// Writes what follows the last row, and flushes.
    ///
    /// # Errors
    /// Where the output cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// The writer for `format` on `out`; tables are set to fit `width` columns (none: any width).
///
/// # Errors
/// Where the header cannot be written.
pub(crate) fn writer<'a>(
    format: Format,
    columns: Vec<Column>,
    out: &'a mut dyn Write,
    width: Option<usize>,
) -> io::Result<Box<dyn RowWriter + 'a>> {
    Ok(match format {
        Format::Table => Box::new(TableWriter::new(
            columns,
            out,
            Layout {
                width,
                ..Layout::default()
            },
        )),
        Format::Csv => Box::new(csv::CsvWriter::new(&columns, out)?),
        Format::Json => Box::new(json::JsonWriter::new(columns, out)?),
        Format::Markdown => Box::new(markdown::MarkdownWriter::new(columns, out)?),
    })
}

/// A value as text; NULL is the empty string.
fn text(value: &Value) -> String {
    if matches!(value, Value::Null) {
        String::new()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Format, writer};
    use rustling_sql::{DataType, Value};

    fn check(format: Format, expected: &str) {
        let columns = vec![
            Column {
                name: "id".into(),
                data_type: DataType::Int4,
            },
            Column {
                name: "name".into(),
                data_type: DataType::Text,
            },
        ];
        let mut out = Vec::new();
        let mut rows = writer(format, columns, &mut out, None).unwrap();
        rows.row(&[Value::Int4(1), Value::Text("a|b, \"c\"\nd".into())])
            .unwrap();
        rows.row(&[Value::Int4(20), Value::Null]).unwrap();
        rows.finish().unwrap();
        drop(rows);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn csv_quotes_what_needs_it_and_tells_null_from_empty() {
        check(Format::Csv, "id,name\n1,\"a|b, \"\"c\"\"\nd\"\n20,\n");
    }

    #[test]
    fn json_is_typed() {
        check(
            Format::Json,
            "[\n{\"id\":1,\"name\":\"a|b, \\\"c\\\"\\nd\"},\n{\"id\":20,\"name\":null}\n]\n",
        );
    }

    #[test]
    fn markdown_escapes_bars_and_line_ends() {
        check(
            Format::Markdown,
            "| id | name |\n|---:|---|\n| 1 | a\\|b, \"c\"<br>d |\n| 20 |  |\n",
        );
    }

    #[test]
    fn tables_align_numbers_right_and_show_control_characters() {
        check(
            Format::Table,
            " id │ name       \n────┼────────────\n  1 │ a|b, \"c\"↵d \n 20 │            \n(2 rows)\n",
        );
    }
}
