//! The shell: statements and commands from a terminal or a pipe.

mod complete;
mod editor;
mod highlight;
mod input;
mod meta;

use std::{
    io::{self, BufRead, BufReader, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rustling_sql::{CancelToken, Database, Session};

use self::{
    complete::Names,
    editor::{LineEditor, Typed},
    input::{Input, InputReader},
};
use crate::{
    error::{Error, Result, output},
    output::Format,
    run::{Output, run},
    terminal,
};

/// A shell on one database.
pub(crate) struct Shell {
    session: Session,
    format: Format,
    timing: bool,
    expanded: bool,
    interactive: bool,
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

impl Shell {
    /// A shell on `database`.
    pub(crate) fn new(database: &Database, path: &Path, format: Format) -> Shell {
        let session = database.session();
        Shell {
            session,
            format,
            timing: false,
            expanded: false,
            interactive: io::stdin().is_terminal() && io::stdout().is_terminal(),
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
        cancel_on_interrupt(self.session.cancel_token());
        if self.interactive {
            return self.run_terminal();
        }
        self.run_stream(io::stdin().lock())?;
        if self.failures > 0 {
            Err(Error::Script(self.failures))
        } else {
            Ok(())
        }
    }

    fn run_terminal(&mut self) -> Result<()> {
        let message = format!(
            "rustling {}, database {}. Type .help for help.\n",
            env!("CARGO_PKG_VERSION"),
            self.path.display()
        );
        io::stderr().write_all(message.as_bytes()).map_err(output)?;
        let unusable = |error: rustyline::error::ReadlineError| Error::Io {
            action: "cannot use the terminal",
            source: io::Error::other(error),
        };
        let mut editor = LineEditor::new(history_file()).map_err(unusable)?;
        loop {
            editor.set_names(self.names());
            let prompt = match (
                self.session.in_transaction(),
                self.session.transaction_failed(),
            ) {
                (_, true) => "rustling!> ",
                (true, _) => "rustling*> ",
                _ => "rustling> ",
            };
            match editor.read(prompt).map_err(unusable)? {
                Typed::End => break,
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
        let started = self.session.database().env().now();
        let result = match input {
            Input::Command(command) => self.command(command, data),
            Input::Sql(sql) => self.sql(sql, data).map(|()| Flow::Continue),
        };
        match result {
            Ok(flow) => {
                if self.timing && matches!(input, Input::Sql(_)) {
                    let elapsed = self.session.database().env().now().saturating_sub(started);
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
        run(&mut self.session, sql, data, &mut to)
    }

    /// What completion offers.
    fn names(&self) -> Names {
        let tables = self.session.database().tables();
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
fn cancel_on_interrupt(token: CancelToken) {
    static CURRENT: Mutex<Option<Arc<CancelToken>>> = Mutex::new(None);
    let first = match CURRENT.lock() {
        Ok(mut current) => current.replace(Arc::new(token)).is_none(),
        Err(_) => return,
    };
    if first {
        // Without a handler Ctrl-C ends the process, which loses nothing that was acknowledged.
        let _ = ctrlc::set_handler(|| {
            if let Ok(current) = CURRENT.lock()
                && let Some(token) = &*current
            {
                token.cancel();
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
