//! One record of COPY's text or csv format, taken apart.

use crate::{Error, Result, SqlState};

/// The fields of one record at a time; buffers are kept between records.
#[derive(Debug, Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
    /// The text of fields that do not stand in the record as they are to be read.
    side: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    start: usize,
    end: usize,
    kind: Kind,
}

/// Where a field's text is, and what it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In the record.
    Plain,
    /// In the side buffer.
    Side,
    /// In the side buffer, and it stood in quotes.
    Quoted,
    /// It is NULL.
    Null,
}

impl Fields {
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(super) fn clear(&mut self) {
        self.fields.clear();
        self.side.clear();
    }

    /// A field's text (`None`: NULL) and whether it stood in quotes. `record` is the one that
    /// the fields were taken from.
    pub(super) fn get<'a>(
        &'a self,
        record: &'a [u8],
        at: usize,
    ) -> Option<(Option<&'a [u8]>, bool)> {
        let field = self.fields.get(at)?;
        let source = match field.kind {
            Kind::Null => return Some((None, false)),
            Kind::Plain => record,
            Kind::Side | Kind::Quoted => &self.side,
        };
        let text = source.get(field.start..field.end)?;
        Some((Some(text), field.kind == Kind::Quoted))
    }

    pub(super) fn push(&mut self, start: usize, end: usize, kind: Kind) {
        self.fields.push(Field { start, end, kind });
    }

    /// The side buffer, to be appended to before a field is pushed.
    pub(super) fn side(&mut self) -> &mut Vec<u8> {
        &mut self.side
    }

    /// Divides a record at its delimiters, which stand for nothing else in it.
    pub(super) fn divide(&mut self, record: &[u8], delimiter: u8, null: &[u8]) {
        let mut start = 0;
        for end in memchr::memchr_iter(delimiter, record).chain([record.len()]) {
            let kind = match record.get(start..end) {
                Some(field) if field == null => Kind::Null,
                _ => Kind::Plain,
            };
            self.push(start, end, kind);
            start = end + 1;
        }
    }

    /// Takes a line of text format apart that has backslashes in it.
    ///
    /// # Errors
    /// 22P04 for a mark of the end where the data does not end.
    pub(super) fn unescape(&mut self, line: &[u8], delimiter: u8, null: &[u8]) -> Result<()> {
        let mut start = 0;
        loop {
            // An escaped delimiter belongs to the field.
            let mut end = start;
            let mut escaped = false;
            while let Some(skip) = line
                .get(end..)
                .and_then(|rest| memchr::memchr2(delimiter, b'\\', rest))
            {
                end += skip;
                if line.get(end) == Some(&delimiter) {
                    break;
                }
                escaped = true;
                end = (end + 2).min(line.len());
            }
            let is_last = line.get(end) != Some(&delimiter) || end >= line.len();
            if is_last {
                end = line.len();
            }
            let raw = line.get(start..end).unwrap_or_default();
            if raw == null {
                self.push(start, end, Kind::Null);
            } else if escaped {
                let from = self.side.len();
                unescape(raw, &mut self.side)?;
                self.push(from, self.side.len(), Kind::Side);
            } else {
                self.push(start, end, Kind::Plain);
            }
            if is_last {
                return Ok(());
            }
            start = end + 1;
        }
    }
}

/// Undoes the backslashes of a field of text format (PostgreSQL's manual, COPY).
fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(code) = bytes.next() else {
            out.push(b'\\');
            break;
        };
        out.push(match code {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => {
                let mut number = u32::from(code - b'0');
                for _ in 0..2 {
                    match bytes.peek() {
                        Some(digit @ b'0'..=b'7') => {
                            number = number * 8 + u32::from(digit - b'0');
                            bytes.next();
                        }
                        _ => break,
                    }
                }
                // PostgreSQL keeps the low eight bits.
                (number & 0xff) as u8
            }
            b'x' => {
                let mut number = None;
                for _ in 0..2 {
                    match bytes
                        .peek()
                        .and_then(|digit| char::from(*digit).to_digit(16))
                    {
                        Some(digit) => {
                            number = Some(number.unwrap_or(0) * 16 + digit);
                            bytes.next();
                        }
                        None => break,
                    }
                }
                number.map_or(b'x', |number| (number & 0xff) as u8)
            }
            b'.' => {
                return Err(Error::new(
                    SqlState::BAD_COPY_FILE_FORMAT,
                    "end-of-copy marker corrupt",
                ));
            }
            other => other,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Fields;

    fn fields(line: &[u8], delimiter: u8) -> Vec<Option<Vec<u8>>> {
        let mut fields = Fields::default();
        fields.unescape(line, delimiter, b"\\N").unwrap();
        (0..fields.len())
            .map(|at| fields.get(line, at).unwrap().0.map(<[u8]>::to_vec))
            .collect()
    }

    #[test]
    fn backslashes_are_undone() {
        let text = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(
            fields(b"a\\tb\t\\N\t\\\\N\t", b'\t'),
            [text(b"a\tb"), None, text(b"\\N"), text(b"")]
        );
        assert_eq!(
            fields(b"\\x41\\x4g\\101\\1012\\x\\q\\,,\\", b','),
            [text(b"A\x04gAA2xq,"), text(b"\\")]
        );
        assert_eq!(fields(b"a\\\nb", b','), [text(b"a\nb")]);
    }

    #[test]
    fn plain_lines_give_the_same_either_way() {
        let line = b"1,two,,\\N";
        let mut divided = Fields::default();
        divided.divide(line, b',', b"\\N");
        let divided: Vec<_> = (0..divided.len())
            .map(|at| divided.get(line, at).unwrap().0.map(<[u8]>::to_vec))
            .collect();
        assert_eq!(divided, fields(line, b','));
    }
}
