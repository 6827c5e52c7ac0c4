//! The shell: statements and commands from a terminal or a pipe.

mod complete;
mod editor;
mod highlight;
mod input;
mod meta;

use std::{
    io::{self, BufRead, BufReader, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustling_storage::Env;

use self::{
    complete::Names,
    editor::{LineEditor, Typed},
    input::{Input, InputReader},
};
use crate::{
    connection::Connection,
    error::{Error, Result, output},
    output::Format,
    run::Output,
    signals::EndSignals,
    terminal,
};

/// A shell on one database.
pub(crate) struct Shell<'a> {
    connection: &'a mut Connection,
    env: Env,
    format: Format,
    timing: bool,
    expanded: bool,
    /// Signals that end it; `None`: it is not interactive.
    signals: Option<&'a EndSignals>,
    /// Statements and commands that failed.
    failures: u64,
    /// Where the database lies.
    path: PathBuf,
    /// Files being read by `\i`, outermost first.
    files: Vec<PathBuf>,
}

/// Whether the shell goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Continue,
    Quit,
}

impl<'a> Shell<'a> {
    /// Whether a shell would talk with somebody at a terminal.
    pub(crate) fn is_interactive() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// A shell on the database at `path`; at a terminal, `signals` can end it.
    pub(crate) fn new(
        connection: &'a mut Connection,
        path: &Path,
        format: Format,
        signals: Option<&'a EndSignals>,
    ) -> Shell<'a> {
        Shell {
            connection,
            env: Env::system(),
            format,
            timing: false,
            expanded: false,
            signals,
            failures: 0,
            files: Vec::new(),
            path: path.into(),
        }
    }

    /// Runs until the input ends.
    ///
    /// # Errors
    /// Where the input cannot be read or the output not written; from a pipe also where a
    /// statement failed.
    pub(crate) fn run(&mut self) -> Result<()> {
        if let Some(signals) = self.signals {
            cancel_on_interrupt(self.connection.canceller());
            signals.heed();
            let result = self.run_terminal(signals);
            signals.leave();
            return result;
        }
        // What comes from a pipe is a program: whoever interrupts it does not want the rest of it.
        // Without a handler the process ends, which loses nothing that was acknowledged.
        self.run_stream(io::stdin().lock())?;
        if self.failures > 0 {
            Err(Error::Script(self.failures))
        } else {
            Ok(())
        }
    }

    fn run_terminal(&mut self, signals: &EndSignals) -> Result<()> {
        let attached = match self.connection {
            Connection::Own(_) => String::new(),
            Connection::Attached(remote) => {
                format!(" held by another process ({})", remote.socket().display())
            }
        };
        let message = format!(
            "rustling {}, database {}{attached}. Type .help for help.\n",
            env!("CARGO_PKG_VERSION"),
            self.path.display()
        );
        io::stderr().write_all(message.as_bytes()).map_err(output)?;
        let unusable = |error: rustyline::error::ReadlineError| Error::Io {
            action: "cannot use the terminal",
            source: io::Error::other(error),
        };
        let mut editor = LineEditor::new(history_file()).map_err(unusable)?;
        while !signals.asked() {
            editor.set_names(self.names());
            let prompt = match self.connection.transaction() {
                (_, true) => "rustling!> ",
                (true, _) => "rustling*> ",
                _ => "rustling> ",
            };
            match editor.read(prompt).map_err(unusable)? {
                Typed::End => break,
                _ if signals.asked() => break,
                Typed::Cancelled => {}
                Typed::Text(text) if text.trim().is_empty() => {}
                Typed::Text(text) => {
                    let input = if input::is_command(&text) {
                        Input::Command(text.trim().into())
                    } else {
                        Input::Sql(text)
                    };
                    if self.handle(&input, &mut io::stdin().lock())? == Flow::Quit {
                        break;
                    }
                }
            }
        }
        editor.save();
        Ok(())
    }

    /// Runs what a stream holds.
    fn run_stream(&mut self, stream: impl io::Read) -> Result<Flow> {
        let mut reader = InputReader::new(BufReader::new(stream));
        loop {
            let next = reader.next().map_err(|source| Error::Io {
                action: "cannot read the input",
                source,
            })?;
            match next {
                None => return Ok(Flow::Continue),
                Some(input) => {
                    if self.handle(&input, reader.data())? == Flow::Quit {
                        return Ok(Flow::Quit);
                    }
                }
            }
        }
    }

    /// Does one thing and reports its failure; only a lost output ends the shell.
    fn handle(&mut self, input: &Input, data: &mut dyn BufRead) -> Result<Flow> {
        let started = self.env.now();
        let result = match input {
            Input::Command(command) => self.command(command, data),
            Input::Sql(sql) => self.sql(sql, data).map(|()| Flow::Continue),
        };
        match result {
            Ok(flow) => {
                if self.timing && matches!(input, Input::Sql(_)) {
                    let elapsed = self.env.now().saturating_sub(started);
                    let line = format!("Time: {:.3} ms\n", elapsed.as_secs_f64() * 1e3);
                    io::stderr().write_all(line.as_bytes()).map_err(output)?;
                }
                Ok(flow)
            }
            Err(error @ Error::Io { .. }) => Err(error),
            Err(error) => {
                self.failures += 1;
                io::stderr()
                    .write_all(format!("{}\n", error.render()).as_bytes())
                    .map_err(output)?;
                Ok(Flow::Continue)
            }
        }
    }

    fn sql(&mut self, sql: &str, data: &mut dyn BufRead) -> Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut to = Output {
            out: &mut out,
            messages: &mut io::stderr(),
            format: self.format,
            width: terminal::width(),
            expanded: self.expanded,
            tags: true,
        };
        self.connection.run(sql, data, &mut to)
    }

    /// What completion offers.
    fn names(&mut self) -> Names {
        let session = match &mut *self.connection {
            Connection::Own(session) => session,
            Connection::Attached(remote) => {
                // Nothing may run in a transaction that has failed: no names then.
                let rows = remote
                    .fetch(
                        "SELECT table_name, column_name FROM information_schema.columns \
                         WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'sys') \
                         ORDER BY table_schema, table_name, ordinal_position",
                        &[],
                    )
                    .unwrap_or_default()
                    .rows;
                let mut tables: Vec<(String, Vec<String>)> = Vec::new();
                for row in rows {
                    if let [Some(table), Some(column)] = row.as_slice() {
                        match tables.last_mut().filter(|(last, _)| last == table) {
                            Some((_, columns)) => columns.push(column.clone()),
                            None => tables.push((table.clone(), vec![column.clone()])),
                        }
                    }
                }
                return Names { tables };
            }
        };
        let tables = session.database().tables();
        Names {
            tables: tables
                .iter()
                .map(|table| {
                    (
                        table.name.clone(),
                        table
                            .columns
                            .iter()
                            .map(|column| column.name.clone())
                            .collect(),
                    )
                })
                .collect(),
        }
    }
}

/// Ctrl-C ends the statement that runs, not the shell.
fn cancel_on_interrupt(canceller: Box<dyn Fn() + Send + Sync>) {
    static CURRENT: Mutex<Option<Box<dyn Fn() + Send + Sync>>> = Mutex::new(None);
    let first = match CURRENT.lock() {
        Ok(mut current) => current.replace(canceller).is_none(),
        Err(_) => return,
    };
    if first {
        // Without a handler Ctrl-C ends the process, which loses nothing that was acknowledged.
        let _ = ctrlc::set_handler(|| {
            if let Ok(current) = CURRENT.lock()
                && let Some(cancel) = &*current
            {
                cancel();
            }
        });
    }
}

/// Where the history is kept: `$RUSTLING_HISTORY`, else in the user's state directory.
fn history_file() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("RUSTLING_HISTORY") {
        return (!file.is_empty()).then(|| file.into());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    Some(home.join(".rustling_history"))
}
