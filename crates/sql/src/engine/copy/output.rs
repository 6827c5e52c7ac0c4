//! COPY TO: rows of a query in, bytes out.

use std::{fmt::Write as _, io};

use bytes::{BufMut, BytesMut};

use crate::{
    Error, Result, SqlState, Value, binary as binary_values,
    bound::{CopyFormat, CopyHeader, CopyOptions},
    engine::{
        copy::{
            binary::{write_end, write_header},
            charset::{Charset, charset, encode},
        },
        rows::Rows,
    },
    types::TextStyle,
};

/// A COPY TO whose data is taken as it is computed. Dropping it ends it.
///
/// ```
/// use rustling_sql::{Database, StatementResult};
///
/// let mut session = Database::in_memory()?.session();
/// let copy = session.run("COPY (VALUES (1, 'one'), (2, NULL)) TO STDOUT (FORMAT csv)", ())?;
/// let StatementResult::CopyOut(copy) = copy else {
///     unreachable!("COPY TO STDOUT gives its data");
/// };
/// let mut out = Vec::new();
/// assert_eq!(copy.write_to(&mut out)?, 2);
/// assert_eq!(out, b"1,one\n2,\n");
/// # Ok::<(), rustling_sql::Error>(())
/// ```
pub struct CopyOut {
    rows: Rows,
    options: CopyOptions,
    charset: Option<Charset>,
    style: TextStyle,
    row: Vec<Value>,
    /// A line before it is put into another encoding.
    line: BytesMut,
    count: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Rows,
    Ended,
}

impl std::fmt::Debug for CopyOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyOut")
            .field("rows", &self.rows)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl CopyOut {
    /// The rows in the format of `options`.
    pub(super) fn new(rows: Rows, options: CopyOptions, style: TextStyle) -> Result<CopyOut> {
        let charset = match &options.encoding {
            Some(name) if options.format != CopyFormat::Binary => charset(name)?,
            _ => None,
        };
        Ok(CopyOut {
            rows,
            options,
            charset,
            style,
            row: Vec::new(),
            line: BytesMut::new(),
            count: 0,
            state: State::Start,
        })
    }

    /// How many columns the data has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.rows.columns().len()
    }

    /// Whether the data is in the binary format.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.options.format == CopyFormat::Binary
    }

    /// Rows given so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Appends the next part of the data to `out`: a row, or what stands before and after the
    /// rows; `false`: there is nothing more.
    ///
    /// # Errors
    /// What the query fails with; 22P05 for a character that the encoding does not have.
    pub fn next_part(&mut self, out: &mut BytesMut) -> Result<bool> {
        loop {
            match self.state {
                State::Start => {
                    self.state = State::Rows;
                    if self.is_binary() {
                        write_header(out);
                        return Ok(true);
                    }
                    if self.options.header != CopyHeader::None {
                        self.in_charset(out, |copy, line| {
                            copy.write_names(line);
                            Ok(())
                        })?;
                        return Ok(true);
                    }
                }
                State::Rows => {
                    if self.rows.next_into(&mut self.row)? {
                        self.count += 1;
                        if self.is_binary() {
                            self.write_binary(out)?;
                        } else {
                            self.in_charset(out, CopyOut::write_line)?;
                        }
                        return Ok(true);
                    }
                    self.state = State::Ended;
                    if self.is_binary() {
                        write_end(out);
                        return Ok(true);
                    }
                }
                State::Ended => return Ok(false),
            }
        }
    }

    /// Writes all of the data; gives the number of rows.
    ///
    /// # Errors
    /// As [`CopyOut::next_part`]; 58030 where `writer` fails.
    pub fn write_to(mut self, writer: &mut dyn io::Write) -> Result<u64> {
        self.pieces(64 << 10, |piece| {
            writer.write_all(piece).map_err(|error| {
                Error::new(
                    SqlState::IO_ERROR,
                    format!("could not write the copied data: {error}"),
                )
            })
        })
    }

    /// Gives the data in pieces of about `size` bytes.
    pub(super) fn pieces(
        &mut self,
        size: usize,
        mut put: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        let mut out = BytesMut::with_capacity(size);
        while self.next_part(&mut out)? {
            if out.len() >= size {
                put(&out)?;
                out.clear();
            }
        }
        put(&out)?;
        Ok(self.count)
    }

    /// Has `write` write a line, and appends it in the encoding that is wanted.
    fn in_charset(
        &mut self,
        out: &mut BytesMut,
        write: impl FnOnce(&CopyOut, &mut BytesMut) -> Result<()>,
    ) -> Result<()> {
        let Some(charset) = self.charset else {
            return write(self, out);
        };
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        write(self, &mut line)?;
        let text = std::str::from_utf8(&line).map_err(|error| {
            Error::new(
                SqlState::INTERNAL_ERROR,
                format!("a line of text is not UTF-8: {error}"),
            )
        })?;
        let mut encoded = Vec::with_capacity(text.len());
        encode(charset, text, &mut encoded)?;
        out.put_slice(&encoded);
        self.line = line;
        Ok(())
    }

    fn write_binary(&self, out: &mut BytesMut) -> Result<()> {
        out.put_i16(i16::try_from(self.row.len()).map_err(|_| too_long("a row"))?);
        for (value, column) in self.row.iter().zip(self.rows.columns()) {
            if value.is_null() {
                out.put_i32(-1);
                continue;
            }
            let start = out.len();
            out.put_i32(0);
            binary_values::write_as(out, value, column.data_type)?;
            let length = i32::try_from(out.len() - start - 4).map_err(|_| too_long("a value"))?;
            if let Some(place) = out.get_mut(start..start + 4) {
                place.copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(())
    }

    fn write_names(&self, out: &mut BytesMut) {
        for (at, column) in self.rows.columns().iter().enumerate() {
            if at > 0 {
                out.put_u8(self.options.delimiter);
            }
            let start = out.len();
            out.put_slice(column.name.as_bytes());
            self.protect(out, start, false, self.rows.columns().len() == 1);
        }
        out.put_u8(b'\n');
    }

    fn write_line(&self, out: &mut BytesMut) -> Result<()> {
        let alone = self.row.len() == 1;
        for (at, value) in self.row.iter().enumerate() {
            if at > 0 {
                out.put_u8(self.options.delimiter);
            }
            if value.is_null() {
                out.put_slice(self.options.null.as_bytes());
                continue;
            }
            let start = out.len();
            match value {
                Value::Text(text) => out.put_slice(text.as_bytes()),
                value => write!(out, "{}", value.display_in(&self.style))
                    .map_err(|_| too_long("a value"))?,
            }
            let forced = self.options.force_quote.get(at).copied().unwrap_or(false);
            self.protect(out, start, forced, alone);
        }
        out.put_u8(b'\n');
        Ok(())
    }

    /// Puts what `out` holds from `start` on into quotes, or backslashes before what needs them.
    fn protect(&self, out: &mut BytesMut, start: usize, forced: bool, alone: bool) {
        let text = out.get(start..).unwrap_or_default();
        if self.options.format == CopyFormat::Csv {
            let (delimiter, quote, escape) = (
                self.options.delimiter,
                self.options.quote,
                self.options.escape,
            );
            let special = |byte: &u8| {
                *byte == delimiter || *byte == quote || *byte == b'\n' || *byte == b'\r'
            };
            let needed = forced
                || text == self.options.null.as_bytes()
                || text.iter().any(special)
                // Alone on a line this would be the end of the data.
                || (alone && text == b"\\.");
            if !needed {
                return;
            }
            let text = text.to_vec();
            out.truncate(start);
            out.put_u8(quote);
            for byte in text {
                if byte == quote || byte == escape {
                    out.put_u8(escape);
                }
                out.put_u8(byte);
            }
            out.put_u8(quote);
            return;
        }
        let delimiter = self.options.delimiter;
        let code = |byte: u8| match byte {
            8 => Some(b'b'),
            12 => Some(b'f'),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            11 => Some(b'v'),
            b'\\' => Some(b'\\'),
            byte if byte == delimiter => Some(byte),
            _ => None,
        };
        let Some(first) = text.iter().position(|byte| code(*byte).is_some()) else {
            return;
        };
        let text = text.get(first..).unwrap_or_default().to_vec();
        out.truncate(start + first);
        for byte in text {
            match code(byte) {
                // A tab that is the delimiter is written as its escape too.
                Some(code) => {
                    out.put_u8(b'\\');
                    out.put_u8(code);
                }
                None => out.put_u8(byte),
            }
        }
    }
}

fn too_long(what: &str) -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("{what} is too long to be copied"),
    )
}
