//! COPY FROM: bytes in, rows into the table.

use std::sync::Arc;

use crate::{
    DataType, Error, Result, SqlState, Value, binary as binary_values,
    bound::{CopyFormat, CopyFrom, CopyHeader},
    engine::{
        copy::{
            binary::{BinaryRow, BinaryState, read_header, read_row},
            charset::{Decoding, charset},
            fields::Fields,
            records::Records,
            sink::{Sink, SinkError},
        },
        error::txn_error,
        foreign_keys,
        session::{Session, StatementResult},
        table::TableHandle,
    },
    eval::{CompiledExpr, EvalContext},
    executor::{ExecContext, MemoryMeter},
    types::{CastContext, Conversion},
};

/// How much of a line or value an error shows, in bytes.
const SHOWN: usize = 100;

/// A COPY FROM that waits for its data. Dropping it instead of finishing it leaves nothing of it
/// outside a transaction block; within one, fail the block then.
///
/// ```
/// use rustling_sql::{Database, StatementResult};
///
/// let mut session = Database::in_memory()?.session();
/// session.run("CREATE TABLE t (n int, name text)", ())?;
/// let StatementResult::CopyIn(mut copy) = session.run("COPY t FROM STDIN", ())? else {
///     unreachable!("COPY FROM STDIN waits for its data");
/// };
/// copy.write(&mut session, b"1\tone\n2\t")?;
/// copy.write(&mut session, b"two\n")?;
/// assert_eq!(copy.finish(&mut session)?, 2);
/// # Ok::<(), rustling_sql::Error>(())
/// ```
pub struct CopyIn {
    statement: CopyFrom,
    rows: RowMaker,
    sink: Sink,
    context: ExecContext,
    memory: MemoryMeter,
    /// Whether the transaction is its own.
    own: bool,
    decoding: Option<Decoding>,
    /// Data that is not yet rows.
    data: Vec<u8>,
    reading: Reading,
    /// The last line read, from 1.
    line: u64,
}

impl std::fmt::Debug for CopyIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyIn")
            .field("table", &self.statement.table.name)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

enum Reading {
    Lines {
        records: Box<Records>,
        fields: Fields,
        /// Whether the next record is the header.
        header: bool,
        /// Whether the mark of the end has come.
        ended: bool,
    },
    Binary {
        state: BinaryState,
        places: Vec<Option<(usize, usize)>>,
    },
}

/// Makes rows of the table from values of the copied columns.
struct RowMaker {
    table: Arc<TableHandle>,
    /// The copied columns: ordinal and type.
    columns: Vec<(usize, DataType)>,
    /// A row with what is always the same in the other columns.
    template: Vec<Value>,
    /// What is not: ordinal and value.
    computed: Vec<(usize, CompiledExpr)>,
    filter: Option<CompiledExpr>,
}

impl RowMaker {
    fn new(table: Arc<TableHandle>, statement: &CopyFrom) -> Result<RowMaker> {
        let position = |id: crate::bound::ColumnId| Some(id.0 as usize);
        let mut template = vec![Value::Null; table.table.columns.len()];
        let mut computed = Vec::new();
        for (ordinal, default) in &statement.defaults {
            match &default.kind {
                crate::bound::ExprKind::Literal(value) => {
                    if let Some(place) = template.get_mut(*ordinal) {
                        *place = value.clone();
                    }
                }
                _ => computed.push((*ordinal, CompiledExpr::compile(default, &position)?)),
            }
        }
        let columns = statement
            .columns
            .iter()
            .filter_map(|ordinal| Some((*ordinal, table.table.columns.get(*ordinal)?.data_type)))
            .collect();
        Ok(RowMaker {
            columns,
            template,
            computed,
            filter: match &statement.filter {
                Some(filter) => Some(CompiledExpr::compile(filter, &position)?),
                None => None,
            },
            table,
        })
    }

    /// Completes a row; whether it is to be kept.
    fn complete(&self, row: &mut [Value], eval: &EvalContext<'_>) -> Result<bool> {
        for (ordinal, expr) in &self.computed {
            let value = expr.eval(&[], eval)?;
            if let Some(place) = row.get_mut(*ordinal) {
                *place = value;
            }
        }
        match &self.filter {
            Some(filter) => Ok(filter.eval_predicate(row, eval)? == Some(true)),
            None => Ok(true),
        }
    }

    fn column_name(&self, at: usize) -> &str {
        let column = self
            .columns
            .get(at)
            .and_then(|(ordinal, _)| self.table.table.columns.get(*ordinal));
        column.map_or("", |column| column.name.as_str())
    }
}

/// Some of `text`, for an error.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().find(|(at, _)| *at >= SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into_owned(),
    }
}

impl CopyIn {
    /// A copy in the context's transaction, which is its own or the session's.
    pub(super) fn new(
        statement: CopyFrom,
        table: Arc<TableHandle>,
        context: ExecContext,
        own: bool,
    ) -> Result<CopyIn> {
        let options = &statement.options;
        let decoding = match &options.encoding {
            Some(name) if options.format != CopyFormat::Binary => charset(name)?.map(Decoding::new),
            _ => None,
        };
        let reading = match options.format {
            CopyFormat::Binary => Reading::Binary {
                state: BinaryState::Header,
                places: Vec::new(),
            },
            CopyFormat::Text | CopyFormat::Csv => Reading::Lines {
                records: Box::new(Records::new(options.clone())),
                fields: Fields::default(),
                header: options.header != CopyHeader::None,
                ended: false,
            },
        };
        Ok(CopyIn {
            rows: RowMaker::new(Arc::clone(&table), &statement)?,
            sink: Sink::new(table, &context)?,
            memory: MemoryMeter::new(&context, "COPY")?,
            statement,
            context,
            own,
            decoding,
            data: Vec::new(),
            reading,
            line: 0,
        })
    }

    /// How many columns the data has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.statement.columns.len()
    }

    /// Whether the data is in the binary format.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.statement.options.format == CopyFormat::Binary
    }

    /// Takes the next part of the data. `session` is the one that the statement ran in.
    ///
    /// # Errors
    /// What is wrong with the data, or what the table refuses, with its place in the data as the
    /// error's context. The copy is over then: drop it.
    pub fn write(&mut self, session: &mut Session, data: &[u8]) -> Result<()> {
        let result = self.take(session, data, false);
        result.map_err(|error| session.failing(error))
    }

    /// Ends the data; gives the number of rows copied.
    ///
    /// # Errors
    /// As [`CopyIn::write`], and what the commit fails with outside a transaction block.
    pub fn finish(mut self, session: &mut Session) -> Result<u64> {
        let result = self
            .take(session, &[], true)
            .and_then(|()| self.end(session));
        result.map_err(|error| session.failing(error))
    }

    /// Ends the copy because its data cannot be had.
    pub fn fail(self, session: &mut Session, reason: &str) -> Error {
        let error = Error::new(
            SqlState::QUERY_CANCELED,
            format!("COPY from stdin failed: {reason}"),
        )
        .context(format!(
            "COPY {}, line {}",
            self.statement.table.name,
            self.line + 1
        ));
        drop(self);
        session.failing(error)
    }

    /// What the statement answers once it is done.
    pub(super) fn done(count: u64) -> StatementResult {
        StatementResult::Done {
            tag: format!("COPY {count}"),
            affected: count,
            notices: Vec::new(),
        }
    }

    fn take(&mut self, session: &mut Session, data: &[u8], is_end: bool) -> Result<()> {
        self.context.check()?;
        let before = self.data.len();
        match &mut self.decoding {
            Some(decoding) => decoding
                .decode(data, is_end, &mut self.data)
                .map_err(|error| {
                    error.context(format!(
                        "COPY {}, line {}",
                        self.statement.table.name,
                        self.line + 1
                    ))
                })?,
            None => self.data.extend_from_slice(data),
        }
        self.memory.grow(self.data.len() - before)?;
        let mut start = 0;
        let data = std::mem::take(&mut self.data);
        let result = loop {
            let rest = data.get(start..).unwrap_or_default();
            match self.record(session, rest, is_end) {
                Ok(Some(used)) => start += used,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.data = data;
        self.data.drain(..start.min(self.data.len()));
        self.memory.shrink(start);
        result
    }

    /// Takes a record off the front of `data`: gives how many bytes it was; `None`: none has come
    /// whole.
    fn record(
        &mut self,
        session: &mut Session,
        data: &[u8],
        is_end: bool,
    ) -> Result<Option<usize>> {
        match &self.reading {
            Reading::Lines { .. } => self.text_record(session, data, is_end),
            Reading::Binary { .. } => self.binary_record(session, data, is_end),
        }
    }

    fn text_record(
        &mut self,
        session: &mut Session,
        data: &[u8],
        is_end: bool,
    ) -> Result<Option<usize>> {
        let Reading::Lines {
            records,
            fields,
            header,
            ended,
        } = &mut self.reading
        else {
            return Ok(None);
        };
        if *ended {
            // What stands behind the mark of the end does not count.
            return Ok((!data.is_empty()).then_some(data.len()));
        }
        let name = &self.statement.table.name;
        let line = self.line + 1;
        let found = records
            .next(data, is_end, fields)
            .map_err(|error| error.context(format!("COPY {name}, line {line}")))?;
        let Some(record) = found else {
            return Ok(None);
        };
        self.line += record.lines;
        let line = self.line;
        if record.is_mark {
            *ended = true;
            return Ok(Some(record.next));
        }
        let bytes = data.get(..record.end).unwrap_or_default();
        if std::mem::take(header) {
            if self.statement.options.header == CopyHeader::Match {
                check_header(&self.rows, fields, bytes, &self.statement.options.null)
                    .map_err(|error| error.context(format!("COPY {name}, line {line}")))?;
            }
            return Ok(Some(record.next));
        }
        let of_line =
            |error: Error| error.context(format!("COPY {name}, line {line}: \"{}\"", shown(bytes)));
        let eval = self.context.eval();
        let row =
            text_row(&self.rows, &self.statement, fields, bytes, &eval).map_err(
                |error| match error {
                    FieldError::Record(error) => of_line(error),
                    FieldError::Field(error, at, text) => {
                        let column = self.rows.column_name(at);
                        error.context(match text {
                            Some(text) => format!(
                                "COPY {name}, line {line}, column {column}: \"{}\"",
                                shown(text)
                            ),
                            None => {
                                format!("COPY {name}, line {line}, column {column}: null input")
                            }
                        })
                    }
                },
            )?;
        let Some(row) = row else {
            return Ok(Some(record.next));
        };
        let pushed = self.sink.push(row, line, session, &mut self.context);
        pushed.map_err(|error| with_line(error, name, Some((line, bytes))))?;
        Ok(Some(record.next))
    }

    fn binary_record(
        &mut self,
        session: &mut Session,
        data: &[u8],
        is_end: bool,
    ) -> Result<Option<usize>> {
        let Reading::Binary { state, places } = &mut self.reading else {
            return Ok(None);
        };
        let name = &self.statement.table.name;
        let line = self.line + 1;
        let here = |error: Error| error.context(format!("COPY {name}, line {line}"));
        let cut = || {
            here(Error::new(
                SqlState::BAD_COPY_FILE_FORMAT,
                "unexpected EOF in COPY data",
            ))
        };
        match state {
            BinaryState::Header => match read_header(data).map_err(here)? {
                Some(length) => {
                    *state = BinaryState::Rows;
                    Ok(Some(length))
                }
                None if is_end => Err(cut()),
                None => Ok(None),
            },
            BinaryState::Ended if data.is_empty() => Ok(None),
            BinaryState::Ended => Err(here(Error::new(
                SqlState::BAD_COPY_FILE_FORMAT,
                "received copy data after EOF marker",
            ))),
            BinaryState::Rows => {
                let length = match read_row(data, self.rows.columns.len(), places).map_err(here)? {
                    BinaryRow::Partial if is_end && !data.is_empty() => return Err(cut()),
                    BinaryRow::Partial => return Ok(None),
                    BinaryRow::End(length) => {
                        *state = BinaryState::Ended;
                        return Ok(Some(length));
                    }
                    BinaryRow::Row(length) => length,
                };
                self.line += 1;
                let mut row = self.rows.template.clone();
                let eval = self.context.eval();
                for (at, ((ordinal, data_type), place)) in
                    self.rows.columns.iter().zip(places.iter()).enumerate()
                {
                    let Some(bytes) = place.and_then(|(start, end)| data.get(start..end)) else {
                        continue;
                    };
                    let value = binary_values::read(bytes, *data_type)
                        .and_then(|value| assigned(value, *data_type, &eval.conversion()))
                        .map_err(|error| {
                            let column = self.rows.column_name(at);
                            error.context(format!("COPY {name}, line {line}, column {column}"))
                        })?;
                    if let Some(place) = row.get_mut(*ordinal) {
                        *place = value;
                    }
                }
                if self.rows.complete(&mut row, &eval).map_err(here)? {
                    let pushed = self.sink.push(row, line, session, &mut self.context);
                    pushed.map_err(|error| with_line(error, name, None))?;
                }
                Ok(Some(length))
            }
        }
    }

    fn end(self, session: &mut Session) -> Result<u64> {
        let CopyIn {
            statement,
            sink,
            mut context,
            own,
            ..
        } = self;
        let count = sink
            .finish(session, &mut context)
            .map_err(|error| with_line(error, &statement.table.name, None))?;
        if own {
            foreign_keys::before_commit(session, &mut context)?;
            let ExecContext { transaction, .. } = context;
            let transaction = Arc::try_unwrap(transaction).map_err(|_| {
                Error::new(
                    SqlState::INTERNAL_ERROR,
                    "a finished copy still uses its transaction",
                )
            })?;
            transaction.commit().map_err(txn_error)?;
        }
        Ok(count)
    }
}

/// Adds the line that a row came from; `last`: the newest line with its text.
fn with_line(error: SinkError, table: &str, last: Option<(u64, &[u8])>) -> Error {
    let SinkError { error, line } = error;
    match (line, last) {
        (Some(line), Some((newest, text))) if line == newest => {
            error.context(format!("COPY {table}, line {line}: \"{}\"", shown(text)))
        }
        (Some(line), _) => error.context(format!("COPY {table}, line {line}")),
        (None, _) => error,
    }
}

/// A value as one of a column's type, as an assignment has it.
fn assigned(value: Value, to: DataType, conversion: &Conversion<'_>) -> Result<Value> {
    match value {
        // Types without a binary form of their own travel as their text.
        Value::Text(text) if !to.is_string() => Value::parse_in(&text, to, conversion),
        value => value.cast_in(to, CastContext::Assignment, conversion),
    }
}

/// What is wrong with a record.
enum FieldError<'a> {
    /// The record as a whole.
    Record(Error),
    /// One field, with its place and text (`None`: NULL).
    Field(Error, usize, Option<&'a [u8]>),
}

fn not_utf8(error: std::str::Utf8Error) -> Error {
    Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {error}"),
    )
}

/// The row that a record makes; `None`: it is not to be kept.
fn text_row<'a>(
    rows: &RowMaker,
    statement: &CopyFrom,
    fields: &'a Fields,
    record: &'a [u8],
    eval: &EvalContext<'_>,
) -> Result<Option<Vec<Value>>, FieldError<'a>> {
    let options = &statement.options;
    let columns = &rows.columns;
    let bad =
        |message: String| FieldError::Record(Error::new(SqlState::BAD_COPY_FILE_FORMAT, message));
    // A line of a table without columns is one empty field.
    if fields.len() > columns.len() && !(columns.is_empty() && record.is_empty()) {
        return Err(bad("extra data after last expected column".to_owned()));
    }
    if memchr::memchr(0, record).is_some() {
        return Err(FieldError::Record(Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        )));
    }
    let conversion = eval.conversion();
    let mut row = rows.template.clone();
    for (at, (ordinal, data_type)) in columns.iter().enumerate() {
        let Some((field, quoted)) = fields.get(record, at) else {
            return Err(bad(format!(
                "missing data for column \"{}\"",
                rows.column_name(at)
            )));
        };
        let forced = |list: &[bool]| list.get(at).copied().unwrap_or(false);
        let text = match field {
            None if forced(&options.force_not_null) => options.null.as_bytes(),
            None => continue,
            Some(text)
                if quoted && text == options.null.as_bytes() && forced(&options.force_null) =>
            {
                continue;
            }
            Some(text) => text,
        };
        let failed = |error| FieldError::Field(error, at, field);
        let text = std::str::from_utf8(text).map_err(|error| failed(not_utf8(error)))?;
        let value = Value::parse_in(text, *data_type, &conversion).map_err(failed)?;
        if let Some(place) = row.get_mut(*ordinal) {
            *place = value;
        }
    }
    match rows.complete(&mut row, eval) {
        Ok(true) => Ok(Some(row)),
        Ok(false) => Ok(None),
        Err(error) => Err(FieldError::Record(error)),
    }
}

/// Whether the header names the copied columns.
fn check_header(rows: &RowMaker, fields: &Fields, record: &[u8], null: &str) -> Result<()> {
    let bad = |message: String| Err(Error::new(SqlState::BAD_COPY_FILE_FORMAT, message));
    let expected = rows.columns.len();
    if fields.len() != expected {
        return bad(format!(
            "wrong number of fields in header line: got {}, expected {expected}",
            fields.len()
        ));
    }
    for at in 0..expected {
        let name = rows.column_name(at);
        match fields.get(record, at) {
            Some((Some(found), _)) if found == name.as_bytes() => {}
            Some((None, _)) | None => {
                return bad(format!(
                    "column name mismatch in header line field {}: got null value (\"{null}\"), \
                     expected \"{name}\"",
                    at + 1
                ));
            }
            Some((Some(found), _)) => {
                return bad(format!(
                    "column name mismatch in header line field {}: got \"{}\", expected \
                     \"{name}\"",
                    at + 1,
                    shown(found)
                ));
            }
        }
    }
    Ok(())
}
