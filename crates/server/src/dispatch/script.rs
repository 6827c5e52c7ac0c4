//! The simple protocol: a text of statements, run one after the other.

use std::{sync::Arc, vec};

use rustling_sql::{Error, Result, Span, StatementResult, split_statements};

use super::{
    Control, Dispatcher, control_of,
    copy::Asker,
    result::{Sending, Sent, write_done},
    watch::class_of,
};
use crate::{
    backend::{self, Severity},
    values::Format,
};

/// Statements still to be run.
pub(super) struct Script {
    text: String,
    statements: vec::IntoIter<Span>,
    /// The statement whose rows are being sent, with where it begins.
    sending: Option<(Sending, usize)>,
}

impl Script {
    /// Its text, of which errors tell the place.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Dispatcher {
    /// A simple query. Several statements in one text are one transaction, as they are in
    /// PostgreSQL, unless they begin or end transactions themselves.
    pub(super) fn query(&mut self, text: String) {
        // The unnamed statement and portal end with the next simple query.
        self.portals.remove("");
        self.statements.remove("");
        let spans = match split_statements(&text) {
            Ok(spans) => spans,
            Err(error) => return self.end_script(Some((&error, text.as_str()))),
        };
        let body = |span: &Span| text.get(span.start..span.end).unwrap_or_default();
        let spans: Vec<Span> = spans
            .into_iter()
            .filter(|span| !body(span).trim().is_empty())
            .collect();
        if spans.is_empty() {
            backend::empty_query(&mut self.out);
            return self.end_script(None);
        }
        let wraps = spans.len() > 1
            && !self.session.in_transaction()
            && spans
                .iter()
                .all(|span| control_of(body(span)) == Control::None);
        if wraps {
            if let Err(error) = self.session.begin() {
                return self.end_script(Some((&error, "")));
            }
            self.implicit = true;
        }
        self.script = Some(Script {
            text,
            statements: spans.into_iter(),
            sending: None,
        });
    }

    /// Goes on with the script until there is enough output or it ends.
    pub(super) fn continue_script(&mut self) {
        let Some(mut script) = self.script.take() else {
            return;
        };
        match self.step(&mut script) {
            Ok(true) => self.script = Some(script),
            Ok(false) => {
                drop(script.sending.take());
                self.end_script(None);
            }
            Err(error) => {
                drop(script.sending.take());
                self.end_script(Some((&error, &script.text)));
            }
        }
    }

    /// One statement, or a portion of its rows; `false`: there is nothing more to do.
    fn step(&mut self, script: &mut Script) -> Result<bool> {
        if let Some((sending, start)) = &mut script.sending {
            let start = *start;
            let sent = sending
                .send(&mut None, &mut self.out)
                .map_err(|error| error.shifted(start))?;
            if sent != Sent::Enough {
                backend::command_complete(&mut self.out, &sending.tag());
                let rows = sending.sent();
                script.sending = None;
                if let Some(running) = self.running.take() {
                    self.watched(running, rows, false);
                }
            }
            return Ok(true);
        }
        let Some(span) = script.statements.next() else {
            return Ok(false);
        };
        let sql = script.text.get(span.start..span.end).unwrap_or_default();
        let statement = self
            .session
            .statement(sql)
            .map_err(|error| error.shifted(span.start))?;
        if !self.portals.is_empty() && control_of(sql) == Control::Ends {
            // Rows on their way would keep the transaction from ending.
            self.portals.clear();
        }
        let text: Arc<str> = sql.into();
        self.running = Some(self.watch(&text, class_of(sql), &statement));
        let result = self
            .session
            .run_statement(&statement, ())
            .map_err(|error| error.shifted(span.start))?;
        match result {
            StatementResult::Rows(rows) => {
                let formats = vec![Format::Text; rows.columns().len()];
                let sending = Sending::new(rows, formats, self.session.text_style());
                sending.describe(&mut self.out)?;
                script.sending = Some((sending, span.start));
            }
            StatementResult::CopyIn(copy) => {
                self.begin_copy_in(copy, Asker::Script(span.start));
            }
            StatementResult::CopyOut(copy) => {
                self.begin_copy_out(copy, Asker::Script(span.start));
            }
            done @ StatementResult::Done { .. } => {
                write_done(&done, &mut self.out);
                if let (StatementResult::Done { affected, .. }, Some(running)) =
                    (done, self.running.take())
                {
                    self.watched(running, affected, false);
                }
            }
        }
        Ok(true)
    }

    /// The end of a simple query, after an error (with the text that it points into) or not.
    pub(super) fn end_script(&mut self, error: Option<(&Error, &str)>) {
        if let Some(running) = self.running.take() {
            self.watched(running, 0, error.is_some());
        }
        if let Some((error, text)) = error {
            self.session.fail_transaction();
            backend::report(&mut self.out, Severity::Error, error, Some(text));
        }
        if let Err(error) = self.end_implicit() {
            backend::report(&mut self.out, Severity::Error, &error, None);
        }
        self.ready();
    }
}
