//! Comma-separated values (RFC 4180): NULL is an empty field, an empty string a quoted one.

use std::io::{self, Write};

use rustling_sql::Value;

use super::{Column, RowWriter};

/// Writes a header line, then a line per row.
pub(super) struct CsvWriter<'a> {
    out: &'a mut dyn Write,
}

impl<'a> CsvWriter<'a> {
    pub(super) fn new(columns: &[Column], out: &'a mut dyn Write) -> io::Result<CsvWriter<'a>> {
        let mut writer = CsvWriter { out };
        for (index, column) in columns.iter().enumerate() {
            writer.field(index, &column.name)?;
        }
        writer.out.write_all(b"\n")?;
        Ok(writer)
    }

    fn field(&mut self, index: usize, text: &str) -> io::Result<()> {
        if index > 0 {
            self.out.write_all(b",")?;
        }
        if text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
            write!(self.out, "\"{}\"", text.replace('"', "\"\""))
        } else {
            self.out.write_all(text.as_bytes())
        }
    }
}

impl RowWriter for CsvWriter<'_> {
    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        for (index, value) in values.iter().enumerate() {
            match value {
                Value::Null if index > 0 => self.out.write_all(b",")?,
                Value::Null => {}
                value => self.field(index, &value.to_string())?,
            }
        }
        self.out.write_all(b"\n")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
