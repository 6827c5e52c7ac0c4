//! A chunk's records as rows of values, and the records that are none.

use rustling_sql::{DataType, Value};

use crate::{
    chunk::Chunk,
    convert::Converter,
    error::{BadRow, Reason},
    record::{Dialect, Fields, Malformed},
};

/// What to make of records.
#[derive(Clone, Debug)]
pub(crate) struct RowReader {
    pub(crate) dialect: Dialect,
    pub(crate) converter: Converter,
    /// For each field of a record: the column's ordinal in the table, its name and type.
    pub(crate) fields: Vec<(usize, String, DataType)>,
    /// The table's columns, those that the file lacks included.
    pub(crate) defaults: Vec<Value>,
}

/// One row, and where it stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The record's number in the file, from 0.
    pub(crate) record: u64,
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    /// Its values in table order.
    pub(crate) values: Vec<Value>,
}

impl RowReader {
    /// Visits the chunk's records. `skip_first` leaves out the file's first record, its header.
    /// The text of a bad record comes with its reason.
    pub(crate) fn read<E>(
        &self,
        chunk: &Chunk,
        skip_first: bool,
        mut visit: impl FnMut(Result<Row, (BadRow, &[u8])>) -> Result<(), E>,
    ) -> Result<(), E> {
        let text = &chunk.text;
        let is_utf8 = std::str::from_utf8(text).is_ok();
        let mut fields = Fields::default();
        let (mut at, mut line, mut number) = (0, chunk.first_line, chunk.first_record);
        while at < text.len() {
            let record = fields.read(text, at, self.dialect);
            let (start, first_line) = (at, line);
            at = record.next;
            line += record.lines;
            if fields.len() == 1 && fields.get(text, 0) == Some((b"", false)) {
                continue;
            }
            let this = number;
            number += 1;
            if this == 0 && skip_first {
                continue;
            }
            let raw = &text[start..record.next];
            let checked = if is_utf8 { Ok(()) } else { check_utf8(raw) };
            let values = checked.and_then(|()| self.values(&fields, text, record.malformed));
            visit(match values {
                Ok(values) => Ok(Row {
                    record: this,
                    line: first_line,
                    values,
                }),
                Err((column, reason)) => Err((
                    BadRow {
                        line: first_line,
                        column,
                        reason,
                    },
                    raw,
                )),
            })?;
        }
        Ok(())
    }

    fn values(
        &self,
        fields: &Fields,
        text: &[u8],
        malformed: Option<Malformed>,
    ) -> Result<Vec<Value>, (Option<String>, Reason)> {
        let name = |index: usize| self.fields.get(index).map(|(_, name, _)| name.clone());
        match malformed {
            Some(Malformed::UnclosedQuote(index)) => {
                return Err((name(index), Reason::UnclosedQuote));
            }
            Some(Malformed::TextAfterQuote(index)) => {
                return Err((name(index), Reason::TextAfterQuote));
            }
            None => {}
        }
        if fields.len() != self.fields.len() {
            return Err((
                None,
                Reason::FieldCount {
                    found: fields.len(),
                    expected: self.fields.len(),
                },
            ));
        }
        let mut values = self.defaults.clone();
        for (index, (ordinal, name, data_type)) in self.fields.iter().enumerate() {
            let Some((field, quoted)) = fields.get(text, index) else {
                continue;
            };
            let value = self
                .converter
                .value(field, quoted, *data_type)
                .map_err(|reason| (Some(name.clone()), reason))?;
            if let Some(place) = values.get_mut(*ordinal) {
                *place = value;
            }
        }
        Ok(values)
    }
}

fn check_utf8(record: &[u8]) -> Result<(), (Option<String>, Reason)> {
    match std::str::from_utf8(record) {
        Ok(_) => Ok(()),
        Err(error) => Err((None, Reason::NotUtf8(error.valid_up_to() + 1))),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rustling_sql::{DataType, Value};

    use super::RowReader;
    use crate::{chunk::Chunk, convert::Converter, record::Dialect};

    fn check(text: &[u8], expected: &[&str]) {
        let reader = RowReader {
            dialect: Dialect::default(),
            converter: Converter::new(&["NA".into(), String::new()]),
            fields: vec![
                (1, "n".into(), DataType::Int4),
                (0, "t".into(), DataType::Text),
            ],
            defaults: vec![Value::Null, Value::Null],
        };
        let chunk = Chunk {
            first_record: 0,
            first_line: 1,
            records: 0,
            text: text.to_vec(),
        };
        let mut found = Vec::new();
        let done: Result<(), Infallible> = reader.read(&chunk, true, |row| {
            found.push(match row {
                Ok(row) => format!("{}@{} {:?}", row.record, row.line, row.values),
                Err((bad, raw)) => format!("{bad} <{}>", String::from_utf8_lossy(raw).trim_end()),
            });
            Ok(())
        });
        let Ok(()) = done;
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_and_bad_rows_come_in_order_with_their_lines() {
        check(
            b"n,t\n1,a\n\nNA,\"b\nc\"\nx,d\n2\n3,\"e\"f\n4,\xff\n5,\"open\n",
            &[
                "1@2 [Text(\"a\"), Int4(1)]",
                "2@4 [Text(\"b\\nc\"), Null]",
                "line 6, column n: invalid input syntax for type integer: \"x\" <x,d>",
                "line 7: 1 field where 2 are expected <2>",
                "line 8, column t: text follows a closing quote <3,\"e\"f>",
                "line 9: byte 3 of the row is not valid UTF-8 <4,\u{fffd}>",
                "line 10, column t: a quoted field is not closed before the end of the file <5,\"open>",
            ],
        );
    }
}
