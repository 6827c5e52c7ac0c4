//! Where the records of COPY's text and csv formats end, in data that arrives in pieces.
//!
//! Lines end with LF, CRLF or CR: the first one says which, and a line that ends otherwise is
//! refused, as PostgreSQL does, because it shows that the data is not what it seems to be.

use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};

use super::fields::{Fields, Kind};
use crate::{
    Error, Result, SqlState,
    bound::{CopyFormat, CopyOptions},
};

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Lf,
    CrLf,
    Cr,
}

/// A record: its bytes are those up to `end`; the next one begins at `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) end: usize,
    pub(super) next: usize,
    /// How many lines it takes.
    pub(super) lines: u64,
    /// Whether it is the mark of the data's end.
    pub(super) is_mark: bool,
}

/// Finds records and takes them apart.
pub(super) struct Records {
    options: CopyOptions,
    line_end: Option<LineEnd>,
    /// How far the record at hand has been looked through.
    seen: usize,
    /// The record at hand has quotes: what is known of it so far.
    quoted: Option<QuotedRecord>,
}

/// A record with quotes, as far as it has come.
struct QuotedRecord {
    reader: Box<Reader>,
    /// Where the field at hand begins.
    field: usize,
    /// Where its text begins in the side buffer.
    text: usize,
}

fn bad(message: &str) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

impl Records {
    pub(super) fn new(options: CopyOptions) -> Records {
        Records {
            options,
            line_end: None,
            seen: 0,
            quoted: None,
        }
    }

    fn is_csv(&self) -> bool {
        self.options.format == CopyFormat::Csv
    }

    /// The record that begins `data`, with its fields; `None`: it has not come whole. `is_end`:
    /// nothing comes behind `data`. Between calls `data` may grow, but begins as before until a
    /// record was given.
    ///
    /// # Errors
    /// 22P04 for data that is not in the format.
    pub(super) fn next(
        &mut self,
        data: &[u8],
        is_end: bool,
        fields: &mut Fields,
    ) -> Result<Option<Record>> {
        if data.is_empty() {
            return Ok(None);
        }
        let found = match self.quoted.take() {
            Some(quoted) => self.quoted_record(quoted, data, is_end, fields)?,
            None => self.line(data, is_end, fields)?,
        };
        if found.is_some() {
            self.seen = 0;
        }
        Ok(found)
    }

    fn line(&mut self, data: &[u8], is_end: bool, fields: &mut Fields) -> Result<Option<Record>> {
        let is_csv = self.is_csv();
        let special = if is_csv { self.options.quote } else { b'\\' };
        let mut escaped = false;
        if !is_csv && self.seen > 0 {
            // Resumed: whether there was a backslash before is not remembered.
            escaped = memchr::memchr(b'\\', data.get(..self.seen).unwrap_or_default()).is_some();
        }
        let (end, next) = loop {
            let rest = data.get(self.seen..).unwrap_or_default();
            let Some(skip) = memchr::memchr3(b'\n', b'\r', special, rest) else {
                if is_end {
                    break (data.len(), data.len());
                }
                self.seen = data.len();
                return Ok(None);
            };
            let at = self.seen + skip;
            let after = data.get(at + 1).copied();
            match data.get(at) {
                Some(b'\n') => match self.line_end {
                    None | Some(LineEnd::Lf) => {
                        self.line_end = Some(LineEnd::Lf);
                        break (at, at + 1);
                    }
                    Some(LineEnd::Cr | LineEnd::CrLf) => return Err(self.stray("newline", "\\n")),
                },
                Some(b'\r') => match (self.line_end, after) {
                    (None | Some(LineEnd::CrLf), Some(b'\n')) => {
                        self.line_end = Some(LineEnd::CrLf);
                        break (at, at + 2);
                    }
                    (None | Some(LineEnd::CrLf), None) if !is_end => {
                        self.seen = at;
                        return Ok(None);
                    }
                    (None | Some(LineEnd::Cr), _) => {
                        self.line_end = Some(LineEnd::Cr);
                        break (at, at + 1);
                    }
                    _ => return Err(self.stray("carriage return", "\\r")),
                },
                _ if is_csv => {
                    fields.clear();
                    let quoted = QuotedRecord {
                        reader: Box::new(self.reader()),
                        field: 0,
                        text: 0,
                    };
                    self.seen = 0;
                    return self.quoted_record(quoted, data, is_end, fields);
                }
                // The character behind a backslash ends nothing.
                _ if after.is_some() => {
                    escaped = true;
                    self.seen = at + 2;
                }
                _ if is_end => {
                    escaped = true;
                    break (data.len(), data.len());
                }
                _ => {
                    self.seen = at;
                    return Ok(None);
                }
            }
        };
        let line = data.get(..end).unwrap_or_default();
        let is_mark = line == b"\\.";
        fields.clear();
        if !is_mark {
            let (delimiter, null) = (self.options.delimiter, self.options.null.as_bytes());
            if escaped {
                fields.unescape(line, delimiter, null)?;
            } else {
                fields.divide(line, delimiter, null);
            }
        }
        Ok(Some(Record {
            end,
            next,
            lines: 1,
            is_mark,
        }))
    }

    fn stray(&self, what: &str, escape: &str) -> Error {
        if self.is_csv() {
            bad(&format!("unquoted {what} found in data"))
                .hint(format!("Use quoted CSV field to represent {what}."))
        } else {
            bad(&format!("literal {what} found in data"))
                .hint(format!("Use \"{escape}\" to represent {what}."))
        }
    }

    fn reader(&self) -> Reader {
        let options = &self.options;
        let mut builder = ReaderBuilder::new();
        builder
            .delimiter(options.delimiter)
            .quote(options.quote)
            .terminator(Terminator::Any(match self.line_end {
                Some(LineEnd::Cr) => b'\r',
                _ => b'\n',
            }));
        if options.escape == options.quote {
            builder.double_quote(true);
        } else {
            builder.double_quote(false).escape(Some(options.escape));
        }
        builder.build()
    }

    /// Goes on with a record that has quotes in it.
    fn quoted_record(
        &mut self,
        mut quoted: QuotedRecord,
        data: &[u8],
        is_end: bool,
        fields: &mut Fields,
    ) -> Result<Option<Record>> {
        loop {
            let rest = data.get(self.seen..).unwrap_or_default();
            if rest.is_empty() && !is_end {
                self.quoted = Some(quoted);
                return Ok(None);
            }
            let side = fields.side();
            let start = side.len();
            // A field's text is never longer than what is read of it.
            side.resize(start + rest.len().clamp(1, 64 << 10), 0);
            let place = side.get_mut(start..).unwrap_or_default();
            let (result, read, written) = quoted.reader.read_field(rest, place);
            side.truncate(start + written);
            self.seen += read;
            let is_last = match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => continue,
                ReadFieldResult::Field { record_end } => record_end,
                ReadFieldResult::End => true,
            };
            let at_end_of_data = rest.is_empty();
            let stop = if at_end_of_data {
                self.seen
            } else {
                self.seen - 1
            };
            let raw = data.get(quoted.field..stop).unwrap_or_default();
            self.finish_field(&quoted, raw, is_last, at_end_of_data, fields)?;
            quoted.field = self.seen;
            quoted.text = fields.side().len();
            if is_last {
                let mut end = stop;
                if self.line_end != Some(LineEnd::Cr) {
                    let crlf = data
                        .get(..end)
                        .is_some_and(|record| record.ends_with(b"\r"));
                    if self.line_end.is_none() && !at_end_of_data {
                        self.line_end = Some(if crlf { LineEnd::CrLf } else { LineEnd::Lf });
                    }
                    if crlf {
                        end -= 1;
                    }
                }
                let record = data.get(..end).unwrap_or_default();
                return Ok(Some(Record {
                    end,
                    next: self.seen,
                    lines: 1 + memchr::memchr_iter(b'\n', record).count() as u64,
                    is_mark: false,
                }));
            }
        }
    }

    /// Notes a field whose text lies in the side buffer from `quoted.text` on; `raw` is how it
    /// stands in the data.
    fn finish_field(
        &self,
        quoted: &QuotedRecord,
        raw: &[u8],
        is_last: bool,
        at_end_of_data: bool,
        fields: &mut Fields,
    ) -> Result<()> {
        let (quote, escape) = (self.options.quote, self.options.escape);
        // Before LF a CR belongs to the line's end.
        let ends_line = is_last && !at_end_of_data && self.line_end != Some(LineEnd::Cr);
        let raw = match raw.strip_suffix(b"\r") {
            Some(shorter) if ends_line => {
                let side = fields.side();
                if side.len() > quoted.text {
                    side.pop();
                }
                shorter
            }
            _ => raw,
        };
        if raw.first() == Some(&quote) {
            let side = fields.side();
            if (at_end_of_data || escape != quote) && !is_closed(raw, quote, escape) {
                return Err(bad("unterminated CSV quoted field"));
            }
            if escape == quote {
                let count = |bytes: &[u8]| memchr::memchr_iter(quote, bytes).count();
                let text = side.get(quoted.text..).unwrap_or_default();
                if count(raw) != 2 + 2 * count(text) {
                    return Err(
                        bad("a CSV field goes on with quotes after its closing quote")
                            .hint("Double the quotes inside a field."),
                    );
                }
            } else {
                // The library drops the escape before any character, PostgreSQL only before a
                // quote or another escape.
                side.truncate(quoted.text);
                unquote(raw, quote, escape, side);
            }
            let end = side.len();
            fields.push(quoted.text, end, Kind::Quoted);
            return Ok(());
        }
        if memchr::memchr(quote, raw).is_some() {
            return Err(
                bad("a CSV field has a quote in its middle, but does not begin with one")
                    .hint("Put the whole field in quotes, and double the quotes inside it."),
            );
        }
        if memchr::memchr(b'\r', raw).is_some() {
            return Err(self.stray("carriage return", "\\r"));
        }
        let end = fields.side().len();
        let is_null = raw == self.options.null.as_bytes();
        fields.push(
            quoted.text,
            end,
            if is_null { Kind::Null } else { Kind::Side },
        );
        Ok(())
    }
}

/// Whether the quotes of a field that begins with one are closed.
fn is_closed(raw: &[u8], quote: u8, escape: u8) -> bool {
    let mut inside = false;
    let mut bytes = raw.iter().peekable();
    while let Some(byte) = bytes.next() {
        if inside && *byte == escape && escape != quote {
            if bytes
                .peek()
                .is_some_and(|next| **next == quote || **next == escape)
            {
                bytes.next();
            }
        } else if *byte == quote {
            inside = !inside;
        }
    }
    !inside
}

/// The text of a field in quotes whose escape is another character.
fn unquote(raw: &[u8], quote: u8, escape: u8, out: &mut Vec<u8>) {
    let mut inside = false;
    let mut bytes = raw.iter().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(next) if inside && *byte == escape && (**next == quote || **next == escape) => {
                out.push(**next);
                bytes.next();
            }
            _ if *byte == quote => inside = !inside,
            _ => out.push(*byte),
        }
    }
}
