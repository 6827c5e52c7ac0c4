//! JSON: an array with an object per row, an object a line.

use std::io::{self, Write};

use rustling_sql::Value;

use super::{Column, RowWriter};

/// Writes an array of objects.
pub(super) struct JsonWriter<'a> {
    columns: Vec<Column>,
    out: &'a mut dyn Write,
    rows: u64,
}

impl<'a> JsonWriter<'a> {
    pub(super) fn new(columns: Vec<Column>, out: &'a mut dyn Write) -> io::Result<JsonWriter<'a>> {
        out.write_all(b"[")?;
        Ok(JsonWriter {
            columns,
            out,
            rows: 0,
        })
    }
}

impl RowWriter for JsonWriter<'_> {
    fn row(&mut self, values: &[Value]) -> io::Result<()> {
        self.out
            .write_all(if self.rows == 0 { b"\n{" } else { b",\n{" })?;
        self.rows += 1;
        for (index, (column, value)) in self.columns.iter().zip(values).enumerate() {
            if index > 0 {
                self.out.write_all(b",")?;
            }
            serde_json::to_writer(&mut *self.out, &column.name)?;
            self.out.write_all(b":")?;
            serde_json::to_writer(&mut *self.out, &json(value))?;
        }
        self.out.write_all(b"}")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out
            .write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?;
        self.out.flush()
    }
}

/// A value as JSON. Numbers that JSON readers would round (`numeric`) and special floats are
/// strings, as in PostgreSQL's drivers.
fn json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Boolean(b) => Json::Bool(*b),
        Value::Int1(n) => Json::from(*n),
        Value::Int2(n) => Json::from(*n),
        Value::Int4(n) => Json::from(*n),
        Value::Int8(n) => Json::from(*n),
        Value::Float8(n) if n.is_finite() => Json::from(*n),
        value @ Value::Float4(n) if n.is_finite() => {
            // The shortest decimal that names the 32-bit float, not its 64-bit expansion.
            value
                .to_string()
                .parse::<f64>()
                .map_or_else(|_| Json::from(value.to_string()), Json::from)
        }
        other => Json::String(other.to_string()),
    }
}
