//! COPY's binary format: a signature, rows of values behind their lengths, a mark of the end
//! (PostgreSQL's manual, COPY, File Formats).

use bytes::{BufMut, BytesMut};

use crate::{Error, Result, SqlState};

/// What the data begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Flags of features that a reader must know; the format has none today that would matter here.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// Stands where a row has the number of its values.
const END: i16 = -1;

fn bad(message: impl Into<String>) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

/// Where the reading of the format stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BinaryState {
    /// Before the header.
    Header,
    /// Between rows.
    Rows,
    /// Behind the mark of the end.
    Ended,
}

/// Reads a header; gives its length, `None` where it has not come whole.
///
/// # Errors
/// 22P04 where it is none.
pub(super) fn read_header(data: &[u8]) -> Result<Option<usize>> {
    let begins = SIGNATURE.len().min(data.len());
    if data.get(..begins) != SIGNATURE.get(..begins) {
        return Err(bad("COPY file signature not recognized"));
    }
    let mut reader = Reader {
        data,
        at: SIGNATURE.len(),
    };
    let (Some(flags), Some(extension)) = (reader.u32(), reader.u32()) else {
        return Ok(None);
    };
    if flags & CRITICAL_FLAGS != 0 {
        return Err(bad("unrecognized critical flags in COPY file header"));
    }
    let length = usize::try_from(extension)
        .ok()
        .filter(|length| i32::try_from(*length).is_ok())
        .ok_or_else(|| bad("invalid COPY file header (wrong length)"))?;
    let end = reader.at + length;
    Ok((end <= data.len()).then_some(end))
}

/// A row, or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BinaryRow {
    /// It has not come whole.
    Partial,
    /// The data is over; so many bytes said so.
    End(usize),
    /// A row of so many bytes.
    Row(usize),
}

/// Reads a row: where each value stands in `data`, `None` for NULL.
///
/// # Errors
/// 22P04 where it has another number of values than `count`, or impossible lengths.
pub(super) fn read_row(
    data: &[u8],
    count: usize,
    places: &mut Vec<Option<(usize, usize)>>,
) -> Result<BinaryRow> {
    places.clear();
    let mut reader = Reader { data, at: 0 };
    let Some(found) = reader.i16() else {
        return Ok(BinaryRow::Partial);
    };
    if found == END {
        return Ok(BinaryRow::End(reader.at));
    }
    if usize::try_from(found).ok() != Some(count) {
        return Err(bad(format!("row field count is {found}, expected {count}")));
    }
    for _ in 0..count {
        let Some(length) = reader.u32() else {
            return Ok(BinaryRow::Partial);
        };
        let length = length.cast_signed();
        if length == -1 {
            places.push(None);
            continue;
        }
        let Ok(length) = usize::try_from(length) else {
            return Err(bad("invalid field size"));
        };
        let start = reader.at;
        let end = start + length;
        if end > data.len() {
            return Ok(BinaryRow::Partial);
        }
        reader.at = end;
        places.push(Some((start, end)));
    }
    Ok(BinaryRow::Row(reader.at))
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn i16(&mut self) -> Option<i16> {
        let bytes = self.data.get(self.at..)?.first_chunk::<2>()?;
        self.at += 2;
        Some(i16::from_be_bytes(*bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.data.get(self.at..)?.first_chunk::<4>()?;
        self.at += 4;
        Some(u32::from_be_bytes(*bytes))
    }
}

/// Writes the header.
pub(super) fn write_header(out: &mut BytesMut) {
    out.put_slice(SIGNATURE);
    out.put_u32(0);
    out.put_u32(0);
}

/// Writes the mark of the end.
pub(super) fn write_end(out: &mut BytesMut) {
    out.put_i16(END);
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{BinaryRow, read_header, read_row, write_header};

    #[test]
    fn headers_are_read_once_they_are_whole() {
        let mut out = BytesMut::new();
        write_header(&mut out);
        assert_eq!(out.len(), 19);
        for end in 0..out.len() {
            assert_eq!(read_header(&out[..end]).unwrap(), None, "{end}");
        }
        assert_eq!(read_header(&out).unwrap(), Some(19));
        assert!(read_header(b"PGCOPX").is_err());
        out[11] = 0x80;
        assert!(read_header(&out).is_err());
        out[11] = 0;
        out[15] = 0xff;
        assert!(read_header(&out).is_err());
    }

    #[test]
    fn rows_are_read_once_they_are_whole() {
        let row = [0, 2, 0, 0, 0, 1, 65, 255, 255, 255, 255];
        let mut places = Vec::new();
        for end in 0..row.len() {
            assert_eq!(
                read_row(&row[..end], 2, &mut places).unwrap(),
                BinaryRow::Partial
            );
        }
        assert_eq!(read_row(&row, 2, &mut places).unwrap(), BinaryRow::Row(11));
        assert_eq!(places, [Some((6, 7)), None]);
        assert!(read_row(&row, 3, &mut places).is_err());
        assert!(read_row(&[0, 1, 0x80, 0, 0, 0], 1, &mut places).is_err());
        assert_eq!(
            read_row(&[255, 255], 2, &mut places).unwrap(),
            BinaryRow::End(2)
        );
    }
}
