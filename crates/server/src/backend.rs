//! What the server sends, written straight into the output buffer.

use bytes::{BufMut, BytesMut};
use rustling_sql::{
    Error, Notice, NoticeSeverity, Result, ResultColumn, SqlState, Value, types::TextStyle,
};

use crate::{
    frontend::ProtocolError,
    values::{Format, wire_type, write_value},
};

/// Where the session stands, as ReadyForQuery says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// No transaction block.
    Idle,
    /// In one.
    InTransaction,
    /// In one that has failed.
    Failed,
}

/// Bytes that a message with data may have: as many as PostgreSQL builds and its clients take.
const MAX_MESSAGE: usize = 0x3fff_ffff;

/// Writes a message: its kind, its length, and the body that `body` writes.
fn message<R>(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut) -> R) -> R {
    out.put_u8(kind);
    let start = out.len();
    out.put_i32(0);
    let result = body(out);
    // Bodies of any length are written by `bounded`; others are far below what the length can say.
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    result
}

/// Writes a message of at most `limit` bytes.
///
/// # Errors
/// Where its body cannot be written or is longer; what was written of the message is taken back.
fn bounded<R>(
    out: &mut BytesMut,
    kind: u8,
    limit: usize,
    body: impl FnOnce(&mut BytesMut) -> Result<R>,
) -> Result<R> {
    let start = out.len();
    let result = message(out, kind, body).and_then(|result| {
        within(out.len() - start, limit)?;
        Ok(result)
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Fails where a message of so many bytes is too long.
fn within(length: usize, limit: usize) -> Result<()> {
    if length <= limit {
        return Ok(());
    }
    Err(Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "a row is too long for a message of the protocol",
    )
    .detail(format!("A message has at most {limit} bytes."))
    .hint("Ask for fewer columns, or for parts of the long values."))
}

/// Text with its terminating zero. A zero inside would end it early: it is left out.
fn text(out: &mut BytesMut, text: &str) {
    for part in text.split('\0') {
        out.put_slice(part.as_bytes());
    }
    out.put_u8(0);
}

fn empty(out: &mut BytesMut, kind: u8) {
    message(out, kind, |_| {});
}

/// The count of a list; lists are limited to it long before.
fn count(out: &mut BytesMut, items: usize) {
    out.put_u16(u16::try_from(items).unwrap_or(u16::MAX));
}

/// The client is let in.
pub(crate) fn authentication_ok(out: &mut BytesMut) {
    message(out, b'R', |out| out.put_i32(0));
}

/// The mechanisms to choose from.
pub(crate) fn sasl(out: &mut BytesMut, mechanisms: &[String]) {
    message(out, b'R', |out| {
        out.put_i32(10);
        for mechanism in mechanisms {
            text(out, mechanism);
        }
        out.put_u8(0);
    });
}

/// A step of the exchange (11), or its last (12).
pub(crate) fn sasl_data(out: &mut BytesMut, last: bool, data: &str) {
    message(out, b'R', |out| {
        out.put_i32(if last { 12 } else { 11 });
        out.put_slice(data.as_bytes());
    });
}

/// A setting that clients follow.
pub(crate) fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        text(out, name);
        text(out, value);
    });
}

/// What a request to cancel must name.
pub(crate) fn backend_key(out: &mut BytesMut, process: u32, secret: &[u8]) {
    message(out, b'K', |out| {
        out.put_u32(process);
        out.put_slice(secret);
    });
}

/// The newest minor version of the protocol that is spoken here, and options not known here.
pub(crate) fn negotiate_version(out: &mut BytesMut, minor: u32, unknown: &[String]) {
    message(out, b'v', |out| {
        out.put_u32(minor);
        out.put_u32(u32::try_from(unknown.len()).unwrap_or(u32::MAX));
        for option in unknown {
            text(out, option);
        }
    });
}

/// The next query may come.
pub(crate) fn ready(out: &mut BytesMut, status: Status) {
    message(out, b'Z', |out| {
        out.put_u8(match status {
            Status::Idle => b'I',
            Status::InTransaction => b'T',
            Status::Failed => b'E',
        });
    });
}

/// Parse is done.
pub(crate) fn parse_complete(out: &mut BytesMut) {
    empty(out, b'1');
}

/// Bind is done.
pub(crate) fn bind_complete(out: &mut BytesMut) {
    empty(out, b'2');
}

/// Close is done.
pub(crate) fn close_complete(out: &mut BytesMut) {
    empty(out, b'3');
}

/// The statement gives no rows.
pub(crate) fn no_data(out: &mut BytesMut) {
    empty(out, b'n');
}

/// There was no statement.
pub(crate) fn empty_query(out: &mut BytesMut) {
    empty(out, b'I');
}

/// The portal has more rows.
pub(crate) fn portal_suspended(out: &mut BytesMut) {
    empty(out, b's');
}

/// A statement is done.
pub(crate) fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| text(out, tag));
}

/// The types of a statement's parameters.
pub(crate) fn parameter_description(out: &mut BytesMut, types: &[u32]) {
    message(out, b't', |out| {
        count(out, types.len());
        for oid in types {
            out.put_u32(*oid);
        }
    });
}

/// The columns of a result.
pub(crate) fn row_description(
    out: &mut BytesMut,
    columns: &[ResultColumn],
    format: impl Fn(usize) -> Result<Format>,
) -> Result<()> {
    let formats: Vec<Format> = (0..columns.len()).map(format).collect::<Result<_>>()?;
    message(out, b'T', |out| {
        count(out, columns.len());
        for (column, format) in columns.iter().zip(formats) {
            let wire = wire_type(column.data_type);
            text(out, &column.name);
            // The table and column that it comes from, which results do not keep: unknown.
            out.put_i32(0);
            out.put_i16(0);
            out.put_u32(wire.oid);
            out.put_i16(wire.size);
            out.put_i32(wire.modifier);
            out.put_i16(format.code());
        }
    });
    Ok(())
}

/// A row.
///
/// # Errors
/// Where a value cannot be written, and 54000 where the row is too long for a message; what was
/// written of the row is taken back.
pub(crate) fn data_row(
    out: &mut BytesMut,
    row: &[Value],
    columns: &[ResultColumn],
    formats: &[Format],
    style: &TextStyle,
) -> Result<()> {
    data_row_within(out, row, columns, formats, style, MAX_MESSAGE)
}

fn data_row_within(
    out: &mut BytesMut,
    row: &[Value],
    columns: &[ResultColumn],
    formats: &[Format],
    style: &TextStyle,
    limit: usize,
) -> Result<()> {
    let start = out.len();
    bounded(out, b'D', limit, |out| {
        count(out, row.len());
        row.iter()
            .zip(columns)
            .zip(formats)
            .try_for_each(|((value, column), format)| {
                write_value(out, value, column.data_type, *format, style)?;
                // What is too long already need not be written to its end.
                within(out.len() - start, limit)
            })
    })
}

/// COPY begins: `kind` G for data from the client, H for data to it.
pub(crate) fn copy_response(out: &mut BytesMut, kind: u8, binary: bool, columns: usize) {
    message(out, kind, |out| {
        out.put_u8(u8::from(binary));
        count(out, columns);
        for _ in 0..columns {
            out.put_u16(u16::from(binary));
        }
    });
}

/// A part of COPY's data.
///
/// # Errors
/// As `body`, and 54000 where the part is too long for a message; nothing of it is left then.
pub(crate) fn copy_data<R>(
    out: &mut BytesMut,
    body: impl FnOnce(&mut BytesMut) -> Result<R>,
) -> Result<R> {
    bounded(out, b'd', MAX_MESSAGE, body)
}

/// A message of another session.
pub(crate) fn notification(out: &mut BytesMut, process: i32, channel: &str, payload: &str) {
    message(out, b'A', |out| {
        out.put_i32(process);
        text(out, channel);
        text(out, payload);
    });
}

/// The end of COPY's data.
pub(crate) fn copy_done(out: &mut BytesMut) {
    empty(out, b'c');
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
    /// Probably not what was meant.
    Warning,
    /// Something to know.
    Notice,
}

/// An error or notice.
pub(crate) fn report(
    out: &mut BytesMut,
    severity: Severity,
    error: &Error,
    statement: Option<&str>,
) {
    let (kind, name) = match severity {
        Severity::Error => (b'E', "ERROR"),
        Severity::Fatal => (b'E', "FATAL"),
        Severity::Warning => (b'N', "WARNING"),
        Severity::Notice => (b'N', "NOTICE"),
    };
    message(out, kind, |out| {
        let mut field = |code: u8, value: &str| {
            out.put_u8(code);
            text(out, value);
        };
        field(b'S', name);
        field(b'V', name);
        field(b'C', error.state().0);
        field(b'M', error.message());
        if let Some(detail) = error.detail_text() {
            field(b'D', detail);
        }
        if let Some(hint) = error.hint_text() {
            field(b'H', hint);
        }
        if let Some(context) = error.context_text() {
            field(b'W', context);
        }
        let object = error.object();
        for (kind, name) in [
            (b's', &object.schema),
            (b't', &object.table),
            (b'c', &object.column),
            (b'n', &object.constraint),
        ] {
            if let Some(name) = name {
                field(kind, name);
            }
        }
        // Positions count characters, from 1.
        let before = error
            .span()
            .zip(statement)
            .and_then(|(span, statement)| statement.get(..span.start));
        if let Some(before) = before {
            field(b'P', &(before.chars().count() + 1).to_string());
        }
        out.put_u8(0);
    });
}

/// A notice of the engine's.
pub(crate) fn notice(out: &mut BytesMut, notice: &Notice) {
    let severity = match notice.severity() {
        NoticeSeverity::Warning => Severity::Warning,
        _ => Severity::Notice,
    };
    let note = Error::new(notice.state(), notice.message());
    report(out, severity, &note, None);
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Error {
        Error::new(rustling_sql::SqlState(error.state), error.message)
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};
    use rustling_sql::{DataType, Error, ResultColumn, Span, SqlState, Value, types::TextStyle};

    use super::{Severity, Status, bounded, command_complete, data_row_within, ready, report};
    use crate::values::Format;

    #[test]
    fn messages_have_their_length() {
        let mut out = BytesMut::new();
        ready(&mut out, Status::Failed);
        command_complete(&mut out, "SEL\0ECT 1");
        assert_eq!(&out[..], b"Z\0\0\0\x05EC\0\0\0\x0dSELECT 1\0");
    }

    /// Whoever is told a length that is not the message's own takes what follows for messages.
    #[test]
    fn messages_that_are_too_long_leave_nothing_behind() {
        let value = Value::Text("x".repeat(60).as_str().into());
        let row = [value.clone(), value.clone(), value];
        let columns = ["a", "b", "c"].map(|name| ResultColumn {
            name: name.to_owned(),
            data_type: DataType::Text,
            nullable: false,
        });
        let formats = [Format::Text; 3];
        // The kind, the length, the count, and three values behind their lengths.
        let whole = 1 + 4 + 2 + 3 * (4 + 60);
        let mut out = BytesMut::from(&b"before"[..]);
        let write = |out: &mut BytesMut, limit| {
            data_row_within(out, &row, &columns, &formats, &TextStyle::DEFAULT, limit)
        };
        for limit in [10, 100, whole - 1] {
            let error = write(&mut out, limit).unwrap_err();
            assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
            assert_eq!(&out[..], b"before");
            let error = bounded(&mut out, b'd', limit, |out| {
                out.put_bytes(b'x', limit);
                Ok(true)
            });
            assert_eq!(error.unwrap_err().state(), SqlState("54000"));
            assert_eq!(&out[..], b"before");
        }
        write(&mut out, whole).unwrap();
        assert_eq!(out.len(), b"before".len() + whole);
    }

    #[test]
    fn positions_count_characters() {
        let mut out = BytesMut::new();
        let error = Error::new(SqlState::UNDEFINED_COLUMN, "no x").at(Span { start: 12, end: 13 });
        report(&mut out, Severity::Error, &error, Some("SELECT 'üß', x"));
        let fields = String::from_utf8_lossy(&out).into_owned();
        assert!(fields.contains("\0P11\0"), "{fields:?}");
    }
}
