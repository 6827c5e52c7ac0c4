//! A database that another process holds: its statements go through the Unix socket that lies in
//! the database's directory while somebody serves it there.

mod answers;
mod connect;

use std::{
    io::{self, BufRead, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use bytes::BytesMut;
use postgres_protocol::{
    IsNull,
    message::{backend::Message, frontend},
};
use rustling_sql::{SqlState, split_statements};

use crate::{
    copy_data::CopyData,
    error::{Error, Result, input, output},
    output::{Column, Format},
    run::{Output, row_writer, say_copied, say_done},
};
use answers::{read_columns, read_error, read_texts, read_values};

/// Bytes read at a time.
const BLOCK: usize = 64 << 10;

/// A connection to the process that holds a database.
#[derive(Debug)]
pub(crate) struct Remote {
    socket: PathBuf,
    stream: UnixStream,
    input: BytesMut,
    out: BytesMut,
    /// What a request to cancel must name.
    key: (i32, i32),
    /// As ReadyForQuery says it: `I`, `T` or `E`.
    status: u8,
}

/// What a statement gave.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// Its rows as text.
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// How many rows it gave or changed.
    pub(crate) affected: u64,
}

/// Where answers go.
enum Sink<'a, 'o> {
    /// They are written as they come.
    Written(&'a mut Output<'o>),
    /// They are kept.
    Kept(Fetched),
}

impl Sink<'_, '_> {
    fn take(&mut self, message: &Message) -> Result<()> {
        match (self, message) {
            (Sink::Written(to), Message::NoticeResponse(body)) => {
                let (notice, _) = read_error(body.fields(), "");
                writeln!(to.messages, "NOTICE:  {}", notice.message()).map_err(output)
            }
            (Sink::Written(to), Message::CopyData(body)) => {
                to.out.write_all(body.data()).map_err(output)
            }
            (Sink::Written(to), Message::CommandComplete(body)) => {
                let tag = body.tag().map_err(lost)?;
                match tag
                    .strip_prefix("COPY ")
                    .and_then(|count| count.parse().ok())
                {
                    Some(count) => say_copied(count, to),
                    // The rows of a query speak for themselves.
                    None if tag.starts_with("SELECT ") || tag.starts_with("FETCH ") => Ok(()),
                    None if tag == "EXPLAIN" || tag == "SHOW" => Ok(()),
                    None => say_done(tag, to),
                }
            }
            (Sink::Kept(fetched), Message::CommandComplete(body)) => {
                let tag = body.tag().map_err(lost)?;
                let count = tag.rsplit(' ').next().and_then(|count| count.parse().ok());
                fetched.affected = count.unwrap_or_default();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn lost(source: io::Error) -> Error {
    Error::Io {
        action: "the process that holds the database does not answer",
        source,
    }
}

impl Remote {
    /// Connects to whoever serves the database in `directory`.
    ///
    /// # Errors
    /// Where nobody does, or does not let us in.
    pub(crate) fn attach(directory: &Path) -> Result<Remote> {
        connect::attach(directory)
    }

    /// Where the other end listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether a transaction block is open, and whether it has failed.
    pub(crate) fn transaction(&self) -> (bool, bool) {
        (self.status != b'I', self.status == b'E')
    }

    /// What ends the statement that runs.
    pub(crate) fn canceller(&self) -> impl Fn() + Send + Sync + 'static {
        let (socket, (process, secret)) = (self.socket.clone(), self.key);
        move || {
            let mut message = BytesMut::new();
            frontend::cancel_request(process, secret, &mut message);
            // Nobody is told whether it could be cancelled.
            drop(UnixStream::connect(&socket).and_then(|mut stream| stream.write_all(&message)));
        }
    }

    fn send(&mut self) -> Result<()> {
        let sent = self.stream.write_all(&self.out).map_err(lost);
        self.out.clear();
        sent
    }

    fn receive(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.input).map_err(lost)? {
                return Ok(message);
            }
            let before = self.input.len();
            self.input.resize(before + BLOCK, 0);
            let room = self.input.get_mut(before..).unwrap_or_default();
            let read = self.stream.read(room);
            self.input.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(error)),
            }
        }
    }

    /// Runs each statement of `sql` and writes what it gives; COPY FROM STDIN takes its data from
    /// `data`.
    ///
    /// # Errors
    /// At the first statement that fails; those before it are done.
    pub(crate) fn run(
        &mut self,
        sql: &str,
        data: &mut dyn BufRead,
        to: &mut Output<'_>,
    ) -> Result<()> {
        for span in split_statements(sql).map_err(|error| Error::sql(error, sql))? {
            let statement = sql.get(span.start..span.end).unwrap_or_default();
            if statement.trim().is_empty() {
                continue;
            }
            frontend::query(statement, &mut self.out).map_err(input)?;
            self.send()?;
            self.answers(statement, Some(data), &mut Sink::Written(to))?;
        }
        Ok(())
    }

    /// Runs one statement with parameters and writes what it gives.
    ///
    /// # Errors
    /// What the statement fails with.
    pub(crate) fn write(
        &mut self,
        sql: &str,
        parameters: &[&str],
        to: &mut Output<'_>,
    ) -> Result<()> {
        self.ask(sql, parameters)?;
        self.answers(sql, None, &mut Sink::Written(to))
    }

    /// Runs one statement with parameters; its rows, and how many rows it gave or changed.
    ///
    /// # Errors
    /// What the statement fails with.
    pub(crate) fn fetch(&mut self, sql: &str, parameters: &[&str]) -> Result<Fetched> {
        self.ask(sql, parameters)?;
        let mut sink = Sink::Kept(Fetched::default());
        self.answers(sql, None, &mut sink)?;
        Ok(match sink {
            Sink::Kept(fetched) => fetched,
            Sink::Written(_) => Fetched::default(),
        })
    }

    fn ask(&mut self, sql: &str, parameters: &[&str]) -> Result<()> {
        let out = &mut self.out;
        let sent = frontend::parse("", sql, [], out).and_then(|()| {
            frontend::bind(
                "",
                "",
                [],
                parameters,
                |text, out| {
                    out.extend_from_slice(text.as_bytes());
                    Ok(IsNull::No)
                },
                [],
                out,
            )
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            frontend::describe(b'P', "", out)?;
            frontend::execute("", 0, out)
        });
        sent.map_err(input)?;
        frontend::sync(&mut self.out);
        self.send()
    }

    /// Reads what comes up to the next ReadyForQuery. The first error counts; whoever cannot write
    /// goes on reading, so that the next statement's answers are its own.
    fn answers(
        &mut self,
        statement: &str,
        mut data: Option<&mut dyn BufRead>,
        sink: &mut Sink<'_, '_>,
    ) -> Result<()> {
        let mut failed = None;
        let mut next = None;
        loop {
            let message = match next.take() {
                Some(message) => message,
                None => self.receive()?,
            };
            match message {
                Message::ReadyForQuery(body) => {
                    self.status = body.status();
                    return failed.map_or(Ok(()), Err);
                }
                Message::ErrorResponse(body) => {
                    let (error, fatal) = read_error(body.fields(), statement);
                    let error = Error::sql(error, statement);
                    if fatal {
                        return Err(error);
                    }
                    failed.get_or_insert(error);
                }
                Message::CopyInResponse(body) => match data.as_deref_mut() {
                    Some(data) => self.send_copy(data, body.format() != 0)?,
                    None => {
                        frontend::copy_fail("there is no data", &mut self.out).map_err(input)?;
                        self.send()?;
                    }
                },
                Message::RowDescription(body) => {
                    let columns = read_columns(&body)?;
                    let (message, result) = match sink {
                        Sink::Written(to) => self.write_rows(columns, to)?,
                        Sink::Kept(fetched) => (self.keep_rows(fetched)?, Ok(())),
                    };
                    next = Some(message);
                    failed = failed.or(result.err());
                }
                other => {
                    if let Err(error) = sink.take(&other) {
                        failed.get_or_insert(error);
                    }
                }
            }
        }
    }

    /// Writes rows as they come; the message behind them, and whether they could be written.
    fn write_rows(
        &mut self,
        columns: Vec<Column>,
        to: &mut Output<'_>,
    ) -> Result<(Message, Result<()>)> {
        let mut result = Ok(());
        if let [plan] = columns.as_slice()
            && plan.name == "QUERY PLAN"
            && to.format == Format::Table
        {
            // A plan is a drawing, not a table.
            loop {
                match self.receive()? {
                    Message::DataRow(row) if result.is_ok() => {
                        let line = read_texts(&row)?.into_iter().flatten().next();
                        result = writeln!(to.out, "{}", line.unwrap_or_default()).map_err(output);
                    }
                    Message::DataRow(_) => {}
                    other => return Ok((other, result)),
                }
            }
        }
        let mut writer = row_writer(columns.clone(), to)?;
        loop {
            match self.receive()? {
                Message::DataRow(row) if result.is_ok() => {
                    let values = read_values(&row, &columns)?;
                    result = writer.row(&values).map_err(output);
                }
                Message::DataRow(_) => {}
                other => {
                    if !matches!(other, Message::ErrorResponse(_)) && result.is_ok() {
                        result = writer.finish().map_err(output);
                    }
                    return Ok((other, result));
                }
            }
        }
    }

    fn keep_rows(&mut self, fetched: &mut Fetched) -> Result<Message> {
        loop {
            match self.receive()? {
                Message::DataRow(row) => fetched.rows.push(read_texts(&row)?),
                other => return Ok(other),
            }
        }
    }

    /// Sends COPY's data.
    fn send_copy(&mut self, data: &mut dyn BufRead, binary: bool) -> Result<()> {
        let mut data = CopyData::new(data, binary);
        while let Some(block) = data.next()? {
            let part = frontend::CopyData::new(block).map_err(input)?;
            part.write(&mut self.out);
            self.send()?;
        }
        frontend::copy_done(&mut self.out);
        self.send()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.out.clear();
        frontend::terminate(&mut self.out);
        // The other end may be gone already.
        drop(self.stream.write_all(&self.out));
    }
}

/// A SQLSTATE that came over the wire.
fn state_named(code: &str) -> SqlState {
    use std::{collections::BTreeSet, sync::Mutex};
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let Ok(mut known) = KNOWN.lock() else {
        return SqlState::INTERNAL_ERROR;
    };
    if let Some(known) = known.get(code) {
        return SqlState(known);
    }
    // There are a few hundred of them, of five letters each.
    if code.len() != 5 || known.len() >= 1000 {
        return SqlState::INTERNAL_ERROR;
    }
    let code: &'static str = String::leak(code.to_owned());
    known.insert(code);
    SqlState(code)
}
