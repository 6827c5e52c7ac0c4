//! The line editor: history, completion, colours, and statements over several lines.

use std::{borrow::Cow, path::PathBuf};

use rustyline::{
    Config, Context, Editor, Helper, Hinter,
    completion::Completer,
    error::{ReadlineError, Signal},
    highlight::{CmdKind, Highlighter},
    history::DefaultHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};

use super::{
    complete::{Names, complete},
    highlight::colored,
    input::is_complete,
};

/// What the user did at the prompt.
pub(super) enum Typed {
    /// One command, or one or more whole statements.
    Text(String),
    /// Ctrl-C, or its signal: what was typed is forgotten.
    Cancelled,
    /// Ctrl-D.
    End,
}

/// The line editor with its history.
pub(super) struct LineEditor {
    editor: Editor<SqlHelper, DefaultHistory>,
    history: Option<PathBuf>,
}

impl LineEditor {
    /// An editor on the terminal.
    ///
    /// # Errors
    /// Where the terminal cannot be used.
    pub(super) fn new(history: Option<PathBuf>) -> Result<LineEditor, ReadlineError> {
        let config = Config::builder()
            .history_ignore_space(true)
            .history_ignore_dups(true)?
            .auto_add_history(true)
            .completion_type(rustyline::CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(SqlHelper {
            names: Names::default(),
        }));
        if let Some(history) = &history {
            // A missing history is an empty one.
            let _ = editor.load_history(history);
        }
        Ok(LineEditor { editor, history })
    }

    /// What completion offers from now on.
    pub(super) fn set_names(&mut self, names: Names) {
        if let Some(helper) = self.editor.helper_mut() {
            helper.names = names;
        }
    }

    /// Reads until a command or whole statement has been typed.
    ///
    /// # Errors
    /// Where the terminal cannot be read.
    pub(super) fn read(&mut self, prompt: &str) -> Result<Typed, ReadlineError> {
        match self.editor.readline(prompt) {
            Ok(text) => Ok(Typed::Text(text)),
            Err(ReadlineError::Interrupted | ReadlineError::Signal(Signal::Interrupt)) => {
                Ok(Typed::Cancelled)
            }
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(error),
        }
    }

    /// Writes the history down.
    pub(super) fn save(&mut self) {
        if let Some(history) = &self.history {
            // The session's work is done; a history that cannot be kept is no failure of it.
            let _ = self.editor.save_history(history);
        }
    }
}

#[derive(Helper, Hinter)]
struct SqlHelper {
    names: Names,
}

impl Completer for SqlHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(line, pos, &self.names))
    }
}

impl Highlighter for SqlHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned(colored(line))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(format!("\x1b[1m{prompt}\x1b[0m"))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

impl Validator for SqlHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let done = is_complete(context.input());
        Ok(if done {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}
