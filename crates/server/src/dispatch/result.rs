//! A result on its way to the client.

use bytes::BytesMut;
use rustling_sql::{Result, Rows, StatementResult, Value, types::TextStyle};

use super::ENOUGH_OUTPUT;
use crate::{backend, values::Format};

/// Rows being sent.
pub(super) struct Sending {
    rows: Rows,
    formats: Vec<Format>,
    style: TextStyle,
    sent: u64,
    row: Vec<Value>,
}

/// How far a result has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// There is enough output for now.
    Enough,
    /// As many rows as were asked for; there may be more.
    Limit,
    /// Everything.
    All,
}

impl Sending {
    /// Rows to be sent in these formats.
    pub(super) fn new(rows: Rows, formats: Vec<Format>, style: TextStyle) -> Sending {
        Sending {
            rows,
            formats,
            style,
            sent: 0,
            row: Vec::new(),
        }
    }

    /// The rows' columns.
    pub(super) fn describe(&self, out: &mut BytesMut) -> Result<()> {
        backend::row_description(out, self.rows.columns(), |at| {
            Ok(self.formats.get(at).copied().unwrap_or(Format::Text))
        })
    }

    /// Sends rows until there is enough output, or `limit` of them are sent, counting it down.
    pub(super) fn send(&mut self, limit: &mut Option<u64>, out: &mut BytesMut) -> Result<Sent> {
        while out.len() < ENOUGH_OUTPUT {
            if *limit == Some(0) {
                return Ok(Sent::Limit);
            }
            if !self.rows.next_into(&mut self.row)? {
                return Ok(Sent::All);
            }
            let columns = self.rows.columns();
            backend::data_row(out, &self.row, columns, &self.formats, &self.style)?;
            self.sent += 1;
            if let Some(limit) = limit {
                *limit -= 1;
            }
        }
        Ok(Sent::Enough)
    }

    /// Rows sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The tag of the statement once all its rows are sent.
    pub(super) fn tag(&self) -> String {
        match self.rows.tag() {
            Some(tag) => tag.to_owned(),
            None => format!("SELECT {}", self.sent),
        }
    }
}

/// Writes what a statement without rows answers.
pub(super) fn write_done(result: &StatementResult, out: &mut BytesMut) {
    if let StatementResult::Done { tag, notices, .. } = result {
        for note in notices {
            backend::notice(out, note);
        }
        backend::command_complete(out, tag);
    }
}
