//! COPY's data as it stands in the input, behind the statement.

use std::io::BufRead;

use crate::error::{Result, input};

/// Bytes that are passed on at once; a line is not taken apart.
const BLOCK: usize = 64 << 10;

/// Reads COPY's data in blocks: text up to a line `\.` or the end, binary data up to the end.
pub(crate) struct CopyData<'d> {
    data: &'d mut dyn BufRead,
    binary: bool,
    block: Vec<u8>,
    ended: bool,
}

impl<'d> CopyData<'d> {
    /// The data that stands next in the input.
    pub(crate) fn new(data: &'d mut dyn BufRead, binary: bool) -> CopyData<'d> {
        CopyData {
            data,
            binary,
            block: Vec::with_capacity(BLOCK),
            ended: false,
        }
    }

    /// The next block; `None` after the last.
    ///
    /// # Errors
    /// Where the input cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>> {
        self.block.clear();
        while !self.ended && self.block.len() < BLOCK {
            let before = self.block.len();
            let count = if self.binary {
                let ready = self.data.fill_buf().map_err(input)?;
                self.block.extend_from_slice(ready);
                let count = ready.len();
                self.data.consume(count);
                count
            } else {
                let read = self.data.read_until(b'\n', &mut self.block);
                read.map_err(input)?
            };
            let line = self.block.get(before..).unwrap_or_default();
            let is_mark = !self.binary && matches!(line, b"\\." | b"\\.\n" | b"\\.\r\n");
            if is_mark {
                self.block.truncate(before);
            }
            self.ended = count == 0 || is_mark;
        }
        Ok((!self.block.is_empty()).then_some(self.block.as_slice()))
    }

    /// Passes over the rest, which must not be taken for statements.
    ///
    /// # Errors
    /// Where the input cannot be read.
    pub(crate) fn pass_over(mut self) -> Result<()> {
        while self.next()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::{BLOCK, CopyData};

    fn blocks(text: &[u8], binary: bool) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut reader = BufReader::with_capacity(7, text);
        let mut data = CopyData::new(&mut reader, binary);
        let mut blocks = Vec::new();
        while let Some(block) = data.next().unwrap() {
            blocks.push(block.to_vec());
        }
        let mut rest = Vec::new();
        reader.read_until(0, &mut rest).unwrap();
        (blocks, rest)
    }

    #[test]
    fn text_ends_with_its_mark_and_the_rest_is_left() {
        for (text, data, rest) in [
            ("1\ta\n2\tb\n\\.\nSELECT 1", "1\ta\n2\tb\n", "SELECT 1"),
            ("1\n\\.\r\nmore\n", "1\n", "more\n"),
            ("1\n\\.", "1\n", ""),
            ("no newline", "no newline", ""),
            ("\\.\nSELECT 1", "", "SELECT 1"),
            ("a\\.\n\\.x\n\\.\n", "a\\.\n\\.x\n", ""),
            ("", "", ""),
        ] {
            let (blocks, left) = blocks(text.as_bytes(), false);
            assert_eq!(blocks.concat(), data.as_bytes(), "{text:?}");
            assert_eq!(left, rest.as_bytes(), "{text:?}");
            assert!(blocks.iter().all(|block| !block.is_empty()));
        }
    }

    #[test]
    fn binary_data_ends_with_the_input() {
        let (blocks, rest) = blocks(b"a\n\\.\nb", true);
        assert_eq!(blocks.concat(), b"a\n\\.\nb");
        assert!(rest.is_empty());
    }

    #[test]
    fn lines_are_gathered_into_blocks() {
        let text = "0123456789\n".repeat(3 * BLOCK / 11);
        let (blocks, _) = blocks(text.as_bytes(), false);
        assert_eq!(blocks.concat(), text.as_bytes());
        assert_eq!(blocks.len(), 3);
        assert!(blocks.iter().all(|block| block.ends_with(b"\n")));
    }
}
