//! What clients send, decoded.
//!
//! The decoders are total: a message of any bytes is taken or refused, never read beyond its
//! own frame, and lengths inside it are believed only as far as the frame goes. (Message formats:
//! PostgreSQL's manual, chapter 55.7.)

use bytes::{Buf, Bytes, BytesMut};

/// Why a message was refused: SQLSTATE 08P01 unless `state` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolError {
    /// The SQLSTATE.
    pub(crate) state: &'static str,
    /// What is wrong.
    pub(crate) message: String,
}

impl ProtocolError {
    /// A protocol violation.
    pub(crate) fn new(message: impl Into<String>) -> ProtocolError {
        ProtocolError {
            state: "08P01",
            message: message.into(),
        }
    }
}

/// What Describe and Close name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A prepared statement.
    Statement(String),
    /// A portal.
    Portal(String),
}

/// A message after startup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frontend {
    /// Statements to run at once.
    Query(String),
    /// A statement to prepare.
    Parse {
        /// Its name; empty for the unnamed one.
        name: String,
        /// Its text.
        query: String,
        /// OIDs of the types of parameters; 0: to be found out.
        types: Vec<u32>,
    },
    /// A prepared statement to be given parameters.
    Bind {
        /// The portal to make.
        portal: String,
        /// The statement.
        statement: String,
        /// 0 text, 1 binary; none: all text, one: for all.
        parameter_formats: Vec<i16>,
        /// The values.
        parameters: Vec<Option<Bytes>>,
        /// As `parameter_formats`, of the result's columns.
        result_formats: Vec<i16>,
    },
    /// What does it take and give?
    Describe(Target),
    /// A portal to run.
    Execute {
        /// Its name.
        portal: String,
        /// Rows to send at most; 0: all.
        max_rows: u32,
    },
    /// A statement or portal to forget.
    Close(Target),
    /// Send what there is.
    Flush,
    /// The end of a series.
    Sync,
    /// The end.
    Terminate,
    /// A part of COPY's data.
    CopyData(Bytes),
    /// COPY's data is complete.
    CopyDone,
    /// COPY's data cannot be had.
    CopyFail(String),
    /// A password or an answer of its kind.
    Password(Bytes),
}

/// Takes a whole message off the front of `input`: its kind and body.
///
/// # Errors
/// Where its length is impossible or above `limit` bytes.
pub(crate) fn take_frame(
    input: &mut BytesMut,
    limit: usize,
) -> Result<Option<(u8, Bytes)>, ProtocolError> {
    let Some((kind, length)) = peek_frame(input) else {
        return Ok(None);
    };
    // The length counts itself, but not the kind.
    let Some(body) = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_sub(4))
    else {
        return Err(ProtocolError::new(format!(
            "invalid message length {length}"
        )));
    };
    if body > limit {
        return Err(ProtocolError {
            state: "54000",
            message: format!("a message of {body} bytes is longer than the limit of {limit}"),
        });
    }
    if input.len() < 5 + body {
        return Ok(None);
    }
    input.advance(5);
    Ok(Some((kind, input.split_to(body).freeze())))
}

/// The kind of the next message, where it has come that far, and what it says its length is.
pub(crate) fn peek_frame(input: &[u8]) -> Option<(u8, i32)> {
    let (kind, rest) = input.split_first()?;
    let length = rest.first_chunk::<4>()?;
    Some((*kind, i32::from_be_bytes(*length)))
}

/// Whether clients send messages of that kind once they are known.
pub(crate) fn is_kind(kind: u8) -> bool {
    b"QPBDECHSXdcfp".contains(&kind)
}

/// Decodes a message.
///
/// # Errors
/// Where it is none.
pub(crate) fn decode(kind: u8, body: Bytes) -> Result<Frontend, ProtocolError> {
    let mut reader = Reader { rest: body };
    let message = match kind {
        b'Q' => Frontend::Query(reader.text()?),
        b'P' => Frontend::Parse {
            name: reader.text()?,
            query: reader.text()?,
            types: reader.list(4, Reader::u32)?,
        },
        b'B' => Frontend::Bind {
            portal: reader.text()?,
            statement: reader.text()?,
            parameter_formats: reader.list(2, Reader::i16)?,
            parameters: reader.list(4, Reader::value)?,
            result_formats: reader.list(2, Reader::i16)?,
        },
        b'D' => Frontend::Describe(reader.target()?),
        b'E' => Frontend::Execute {
            portal: reader.text()?,
            // A negative number asks for all rows, as 0 does.
            max_rows: u32::try_from(reader.u32()?.cast_signed()).unwrap_or(0),
        },
        b'C' => Frontend::Close(reader.target()?),
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'X' => Frontend::Terminate,
        b'd' => Frontend::CopyData(reader.all()),
        b'c' => Frontend::CopyDone,
        b'f' => Frontend::CopyFail(reader.text()?),
        b'p' => Frontend::Password(reader.all()),
        other => {
            return Err(ProtocolError::new(format!("invalid message type {other}")));
        }
    };
    if reader.rest.is_empty() {
        Ok(message)
    } else {
        Err(ProtocolError::new(format!(
            "{} bytes too many in a message of type {:?}",
            reader.rest.len(),
            char::from(kind)
        )))
    }
}

/// Reads the fields of one message.
pub(crate) struct Reader {
    rest: Bytes,
}

fn short() -> ProtocolError {
    ProtocolError::new("a message ends too early")
}

impl Reader {
    /// A reader of `body`.
    pub(crate) fn new(body: Bytes) -> Reader {
        Reader { rest: body }
    }

    /// Whether everything is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Text up to its terminating zero.
    pub(crate) fn text(&mut self) -> Result<String, ProtocolError> {
        let end = self
            .rest
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(short)?;
        let bytes = self.rest.split_to(end);
        self.rest.advance(1);
        String::from_utf8(bytes.into()).map_err(|error| ProtocolError {
            state: "22021",
            message: format!(
                "invalid byte sequence for encoding \"UTF8\": {}",
                error.utf8_error()
            ),
        })
    }

    fn i16(&mut self) -> Result<i16, ProtocolError> {
        self.rest.try_get_i16().map_err(|_| short())
    }

    /// A 32-bit number.
    pub(crate) fn u32(&mut self) -> Result<u32, ProtocolError> {
        self.rest.try_get_u32().map_err(|_| short())
    }

    /// A 16-bit count and so many items of at least `size` bytes each.
    fn list<T>(
        &mut self,
        size: usize,
        item: impl Fn(&mut Reader) -> Result<T, ProtocolError>,
    ) -> Result<Vec<T>, ProtocolError> {
        let count = usize::from(self.i16()?.cast_unsigned());
        if count.saturating_mul(size) > self.rest.len() {
            return Err(short());
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// A value behind its length; length -1: NULL.
    fn value(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        let length = self.u32()?.cast_signed();
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length)
            .map_err(|_| ProtocolError::new(format!("invalid length {length} of a parameter")))?;
        self.take(length).map(Some)
    }

    /// So many bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, ProtocolError> {
        if length > self.rest.len() {
            return Err(short());
        }
        Ok(self.rest.split_to(length))
    }

    /// Everything that is left.
    pub(crate) fn all(&mut self) -> Bytes {
        self.rest.split_to(self.rest.len())
    }

    fn target(&mut self) -> Result<Target, ProtocolError> {
        let kind = self.rest.try_get_u8().map_err(|_| short())?;
        let name = self.text()?;
        match kind {
            b'S' => Ok(Target::Statement(name)),
            b'P' => Ok(Target::Portal(name)),
            other => Err(ProtocolError::new(format!(
                "there is neither a statement nor a portal of kind {other}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes, BytesMut};

    use super::{Frontend, Target, decode, take_frame};

    fn body(build: impl Fn(&mut BytesMut)) -> Bytes {
        let mut bytes = BytesMut::new();
        build(&mut bytes);
        bytes.freeze()
    }

    fn bind() -> Bytes {
        body(|bytes| {
            bytes.put_slice(b"p\0s\0");
            bytes.put_slice(&[0, 1, 0, 1]);
            bytes.put_slice(&[0, 2, 0, 0, 0, 2, 7, 8, 255, 255, 255, 255]);
            bytes.put_slice(&[0, 0]);
        })
    }

    #[test]
    fn whole_messages_are_read() {
        assert_eq!(
            decode(b'Q', Bytes::from_static(b"SELECT 1\0")),
            Ok(Frontend::Query("SELECT 1".into()))
        );
        assert_eq!(
            decode(b'B', bind()),
            Ok(Frontend::Bind {
                portal: "p".into(),
                statement: "s".into(),
                parameter_formats: vec![1],
                parameters: vec![Some(Bytes::from_static(&[7, 8])), None],
                result_formats: vec![],
            })
        );
        assert_eq!(
            decode(b'D', Bytes::from_static(b"Sx\0")),
            Ok(Frontend::Describe(Target::Statement("x".into())))
        );
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_taken_or_refused() {
        let message = bind();
        for end in 0..message.len() {
            assert!(decode(b'B', message.slice(..end)).is_err(), "cut at {end}");
        }
        for at in 0..message.len() {
            for value in [0, 1, 127, 128, 255] {
                let mut changed = message.to_vec();
                changed[at] = value;
                for kind in 0..=255 {
                    // Any answer but a panic will do.
                    drop(decode(kind, changed.clone().into()));
                }
            }
        }
    }

    #[test]
    fn text_that_is_not_unicode_is_refused() {
        let error = decode(b'Q', Bytes::from_static(b"SELECT '\xff'\0")).unwrap_err();
        assert_eq!(error.state, "22021");
    }

    #[test]
    fn frames_are_taken_when_they_are_whole() {
        let mut input = BytesMut::from(&b"S\0\0\0\x04Q\0\0\0\x06a"[..]);
        assert_eq!(take_frame(&mut input, 100), Ok(Some((b'S', Bytes::new()))));
        assert_eq!(take_frame(&mut input, 100), Ok(None));
        input.put_u8(0);
        assert_eq!(
            take_frame(&mut input, 100),
            Ok(Some((b'Q', Bytes::from_static(b"a\0"))))
        );
        for wrong in [&b"Q\0\0\0\x03"[..], b"Q\x80\0\0\0", b"Q\x7f\0\0\0"] {
            assert!(
                take_frame(&mut BytesMut::from(wrong), 100).is_err(),
                "{wrong:?}"
            );
        }
    }
}
