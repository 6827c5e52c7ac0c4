//! The grammar of a CSV record (RFC 4180, with any delimiter and quote): where records end, and
//! which fields they hold.
//!
//! A quote is special only at the start of a field; inside a quoted field a doubled quote stands
//! for itself; after the closing quote only a delimiter or the end of the line may follow. Lines
//! end with LF, CRLF or CR LF mixed. Two walkers share this grammar: [`Splitter`] finds record
//! ends fast and in order, [`Fields`] takes one record apart. A property test holds them, and the
//! `csv` crate, to the same answers.

/// The characters that give a file its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields; `None`: nothing is quoted.
    pub quote: Option<u8>,
}

impl Default for Dialect {
    fn default() -> Dialect {
        Dialect {
            delimiter: b',',
            quote: Some(b'"'),
        }
    }
}

/// Where a walk through a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

/// Finds record ends in a stream that arrives in blocks.
#[derive(Clone, Debug)]
pub(crate) struct Splitter {
    dialect: Dialect,
}

/// What [`Splitter::last_record_end`] finds in a block that starts at a record's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Bytes up to and including the last line end that ends a record.
    pub(crate) length: usize,
    /// Records that end there or before, blank lines not counted.
    pub(crate) records: u64,
    /// Line ends in those bytes.
    pub(crate) lines: u64,
    /// Where the field begins that is still inside quotes at the block's end.
    pub(crate) open_quote: Option<usize>,
}

impl Splitter {
    pub(crate) fn new(dialect: Dialect) -> Splitter {
        Splitter { dialect }
    }

    /// How much of `block`, which starts at a record's start, is whole records.
    pub(crate) fn last_record_end(&self, block: &[u8]) -> Split {
        match self.dialect.quote {
            Some(quote) if memchr::memchr(quote, block).is_some() => self.walk(block, quote),
            _ => Self::without_quotes(block),
        }
    }

    fn without_quotes(block: &[u8]) -> Split {
        let (mut length, mut records, mut lines) = (0, 0, 0);
        for end in memchr::memchr_iter(b'\n', block) {
            records += u64::from(!is_blank(&block[length..end]));
            lines += 1;
            length = end + 1;
        }
        Split {
            length,
            records,
            lines,
            open_quote: None,
        }
    }

    fn walk(&self, block: &[u8], quote: u8) -> Split {
        let mut state = State::FieldStart;
        let mut split = Split {
            length: 0,
            records: 0,
            lines: 0,
            open_quote: None,
        };
        let mut pending_lines = 0;
        let mut opened = 0;
        let mut at = 0;
        while let Some(&byte) = block.get(at) {
            match state {
                State::Quoted => match memchr::memchr2(quote, b'\n', &block[at..]) {
                    Some(skip) => {
                        at += skip;
                        if block[at] == quote {
                            state = State::QuoteInQuoted;
                        } else {
                            pending_lines += 1;
                        }
                    }
                    None => break,
                },
                _ if byte == b'\n' => {
                    pending_lines += 1;
                    split.records += u64::from(!is_blank(&block[split.length..at]));
                    split.lines += pending_lines;
                    pending_lines = 0;
                    split.length = at + 1;
                    state = State::FieldStart;
                }
                _ if byte == self.dialect.delimiter => state = State::FieldStart,
                State::FieldStart if byte == quote => {
                    opened = at;
                    state = State::Quoted;
                }
                State::QuoteInQuoted if byte == quote => state = State::Quoted,
                State::FieldStart | State::Plain | State::QuoteInQuoted => state = State::Plain,
            }
            at += 1;
        }
        if state == State::Quoted {
            split.open_quote = Some(opened);
        }
        split
    }
}

/// Whether a line (without its LF) has nothing on it: blank lines are no records.
fn is_blank(line: &[u8]) -> bool {
    matches!(line, [] | [b'\r'])
}

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    start: usize,
    end: usize,
    /// Whether it stood in quotes: a quoted field is never NULL.
    pub(crate) quoted: bool,
    /// Whether its text was copied to the side buffer, because doubled quotes had to be undone.
    copied: bool,
}

/// What is wrong with a record's quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The quote that opens this field (counted from 0) is never closed.
    UnclosedQuote(usize),
    /// Text follows the closing quote of this field.
    TextAfterQuote(usize),
}

/// The fields of one record at a time; buffers are kept between records.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    fields: Vec<Field>,
    side: Vec<u8>,
}

impl Fields {
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field and its text, which lies in `block` (the one given to [`Fields::read`]) or here.
    pub(crate) fn get<'a>(&'a self, block: &'a [u8], index: usize) -> Option<(&'a [u8], bool)> {
        let field = self.fields.get(index)?;
        let source = if field.copied { &self.side } else { block };
        Some((source.get(field.start..field.end)?, field.quoted))
    }

    /// Reads the record that starts at `start` of `block`. Gives where the next one starts, and
    /// the record's line ends; with a malformed record, the place after its end all the same, so
    /// that reading can go on.
    pub(crate) fn read(&mut self, block: &[u8], start: usize, dialect: Dialect) -> Record {
        self.fields.clear();
        self.side.clear();
        let mut record = Record {
            next: block.len(),
            lines: 0,
            malformed: None,
        };
        let mut at = start;
        loop {
            let quoted = dialect
                .quote
                .is_some_and(|quote| block.get(at) == Some(&quote));
            let end = if quoted {
                self.quoted_field(block, at, dialect, &mut record)
            } else {
                Self::plain_end(block, at, dialect.delimiter)
            };
            let last = end >= block.len() || block[end] == b'\n';
            if !quoted {
                let text_end = if last && end > at && block[end - 1] == b'\r' {
                    end - 1
                } else {
                    end
                };
                self.fields.push(Field {
                    start: at,
                    end: text_end,
                    quoted: false,
                    copied: false,
                });
            }
            if last {
                if end < block.len() {
                    record.lines += 1;
                    record.next = end + 1;
                }
                return record;
            }
            at = end + 1;
        }
    }

    fn plain_end(block: &[u8], at: usize, delimiter: u8) -> usize {
        memchr::memchr2(delimiter, b'\n', &block[at..]).map_or(block.len(), |skip| at + skip)
    }

    /// Reads the quoted field whose opening quote is at `at`; gives where its delimiter or line
    /// end stands.
    fn quoted_field(
        &mut self,
        block: &[u8],
        at: usize,
        dialect: Dialect,
        record: &mut Record,
    ) -> usize {
        let quote = block[at];
        let index = self.fields.len();
        let side_start = self.side.len();
        let mut piece = at + 1;
        let mut copied = false;
        loop {
            let Some(close) = memchr::memchr(quote, &block[piece..]).map(|skip| piece + skip)
            else {
                record.lines += count_lines(&block[piece..]);
                record
                    .malformed
                    .get_or_insert(Malformed::UnclosedQuote(index));
                self.fields.push(Field {
                    start: piece,
                    end: block.len(),
                    quoted: true,
                    copied: false,
                });
                return block.len();
            };
            record.lines += count_lines(&block[piece..close]);
            if block.get(close + 1) == Some(&quote) {
                self.side.extend_from_slice(&block[piece..=close]);
                copied = true;
                piece = close + 2;
                continue;
            }
            let field = if copied {
                self.side.extend_from_slice(&block[piece..close]);
                Field {
                    start: side_start,
                    end: self.side.len(),
                    quoted: true,
                    copied: true,
                }
            } else {
                Field {
                    start: piece,
                    end: close,
                    quoted: true,
                    copied: false,
                }
            };
            self.fields.push(field);
            let end = Self::plain_end(block, close + 1, dialect.delimiter);
            if !matches!(&block[close + 1..end], [] | [b'\r']) {
                record
                    .malformed
                    .get_or_insert(Malformed::TextAfterQuote(index));
            }
            return end;
        }
    }
}

fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// What [`Fields::read`] says beside the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Where the next record starts.
    pub(crate) next: usize,
    /// Line ends in this one.
    pub(crate) lines: u64,
    /// What is wrong with it.
    pub(crate) malformed: Option<Malformed>,
}

#[cfg(test)]
mod tests {
    use quickcheck::{QuickCheck, TestResult};

    use super::{Dialect, Fields, Malformed, Splitter, is_blank};

    fn records(text: &[u8]) -> Vec<Vec<String>> {
        let mut fields = Fields::default();
        let mut records = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let record = fields.read(text, at, Dialect::default());
            let line_end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |skip| at + skip);
            if !is_blank(&text[at..line_end]) {
                let all = (0..fields.len()).map(|i| fields.get(text, i).unwrap().0);
                records.push(
                    all.map(|field| String::from_utf8_lossy(field).into_owned())
                        .collect(),
                );
            }
            at = record.next;
        }
        records
    }

    #[test]
    fn fields_are_taken_apart() {
        assert_eq!(
            records(b"a,b\r\n\"x, \"\"y\"\"\n\",\n\n,\"\"\nlast"),
            [
                vec!["a", "b"],
                vec!["x, \"y\"\n", ""],
                vec!["", ""],
                vec!["last"]
            ]
        );
    }

    #[test]
    fn malformed_quotes_are_found_and_reading_goes_on() {
        let mut fields = Fields::default();
        let text = b"1,\"a\"b,2\n3,\"open\n4";
        let first = fields.read(text, 0, Dialect::default());
        assert_eq!(first.malformed, Some(Malformed::TextAfterQuote(1)));
        let second = fields.read(text, first.next, Dialect::default());
        assert_eq!(
            (second.malformed, second.next),
            (Some(Malformed::UnclosedQuote(1)), text.len())
        );
    }

    #[test]
    fn an_open_quote_is_no_record_end() {
        let splitter = Splitter::new(Dialect::default());
        let split = splitter.last_record_end(b"a,b\n\"c\nd");
        assert_eq!(
            (split.length, split.records, split.lines, split.open_quote),
            (4, 1, 1, Some(4))
        );
    }

    /// Text made of the characters that matter.
    fn text_of(choices: &[u8]) -> Vec<u8> {
        choices
            .iter()
            .map(|choice| b"ab,\"\n,\"\r"[usize::from(*choice) % 8])
            .collect()
    }

    #[test]
    fn splitter_and_fields_agree_on_record_ends() {
        fn property(choices: Vec<u8>) -> bool {
            let text = text_of(&choices);
            let split = Splitter::new(Dialect::default()).last_record_end(&text);
            let mut fields = Fields::default();
            let (mut at, mut lines, mut count) = (0, 0, 0);
            while at < split.length {
                let record = fields.read(&text[..split.length], at, Dialect::default());
                let blank = is_blank(&text[at..record.next - 1]);
                count += u64::from(!blank);
                lines += record.lines;
                at = record.next;
            }
            at == split.length && lines == split.lines && count == split.records
        }
        QuickCheck::new()
            .tests(20_000)
            .quickcheck(property as fn(Vec<u8>) -> bool);
    }

    #[test]
    fn well_formed_text_reads_as_with_the_csv_crate() {
        fn property(table: Vec<Vec<String>>) -> TestResult {
            let mut writer = csv::WriterBuilder::new()
                .flexible(true)
                .from_writer(Vec::new());
            for row in &table {
                if row.is_empty()
                    || row
                        .iter()
                        .all(|field| field.chars().all(char::is_whitespace))
                {
                    return TestResult::discard();
                }
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            TestResult::from_bool(records(&text) == table)
        }
        QuickCheck::new()
            .rng(quickcheck::Gen::new(8))
            .tests(500)
            .quickcheck(property as fn(Vec<Vec<String>>) -> TestResult);
    }
}
