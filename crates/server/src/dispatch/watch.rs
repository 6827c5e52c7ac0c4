//! What statements take: their time for the server's figures, and the slow ones for the log.

use std::{sync::Arc, time::Duration};

use rustling_sql::Statement;

use super::{Dispatcher, first_word};
use crate::metrics::Class;

/// Bytes of a statement's text that `pg_stat_activity` shows.
const SHOWN_BYTES: usize = 16 << 10;

/// A statement that runs.
pub(super) struct Watched {
    text: Arc<str>,
    class: Class,
    statement: Statement,
    began: Duration,
}

/// What kind a statement is.
pub(super) fn class_of(text: &str) -> Class {
    Class::of_word(match first_word(text) {
        // A query in parentheses.
        "" => "select",
        word => word,
    })
}

/// The text as far as it is shown: a session keeps that for as long as it rests.
fn shown(text: &Arc<str>) -> Arc<str> {
    if text.len() <= SHOWN_BYTES {
        return Arc::clone(text);
    }
    let end = text.floor_char_boundary(SHOWN_BYTES);
    text.get(..end).unwrap_or_default().into()
}

impl Dispatcher {
    /// A statement begins.
    pub(super) fn watch(&self, text: &Arc<str>, class: Class, statement: &Statement) -> Watched {
        self.session.statement_begins(&shown(text));
        Watched {
            text: Arc::clone(text),
            class,
            statement: statement.clone(),
            began: self.session.database().env().now(),
        }
    }

    /// A statement has ended, after so many rows.
    pub(super) fn watched(&self, watched: Watched, rows: u64, failed: bool) {
        let now = self.session.database().env().now();
        let took = now.saturating_sub(watched.began);
        self.shared
            .metrics
            .statement(watched.class, took, now, rows, failed);
        if !failed {
            self.session
                .record_statement(&watched.statement, took, rows);
        }
        let limit = self.shared.options.slow_statement;
        if limit.is_some_and(|limit| took >= limit) {
            tracing::warn!(
                target: "rustling::slow",
                session = self.process,
                user = self.session.session_user(),
                class = watched.class.name(),
                milliseconds = took.as_secs_f64() * 1e3,
                rows,
                failed,
                statement = &*watched.text,
                "slow statement"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{SHOWN_BYTES, shown};

    #[test]
    fn no_more_of_a_text_is_kept_than_is_shown() {
        let short: Arc<str> = "SELECT 1".into();
        assert!(Arc::ptr_eq(&short, &shown(&short)));
        let long: Arc<str> = format!("x{}", "ü".repeat(SHOWN_BYTES)).into();
        let kept = shown(&long);
        assert_eq!(kept.len(), SHOWN_BYTES - 1);
        assert!(long.starts_with(&*kept));
    }
}
