//! What statements have cost, for `pg_stat_statements`: statements that differ only in their
//! literals are one.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{
    engine::{prepared::Statement, session::Session},
    parser::{Scanner, Token},
};

/// Statements that are remembered; beyond, those that ran least are forgotten.
const MAX_STATEMENTS: usize = 5_000;
/// Bytes of a statement's text that are kept.
const MAX_TEXT: usize = 4 << 10;

/// The statements of a database.
#[derive(Debug, Default)]
pub(crate) struct StatementStatistics {
    entries: Mutex<HashMap<Arc<str>, Arc<Figures>>>,
}

/// What a statement has cost.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Its text, with numbers for literals.
    pub(crate) text: Arc<str>,
    numbers: Mutex<Numbers>,
}

/// The figures at one moment; times in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) calls: u64,
    pub(crate) rows: u64,
    pub(crate) total: f64,
    pub(crate) shortest: f64,
    pub(crate) longest: f64,
    /// Of Welford's method: the sum of squared differences from the mean.
    squares: f64,
}

impl Numbers {
    fn add(&mut self, elapsed: f64, rows: u64) {
        let mean = self.mean();
        self.shortest = if self.calls == 0 {
            elapsed
        } else {
            self.shortest.min(elapsed)
        };
        self.longest = self.longest.max(elapsed);
        self.calls += 1;
        self.rows += rows;
        self.total += elapsed;
        self.squares += (elapsed - mean) * (elapsed - self.mean());
    }

    pub(crate) fn mean(&self) -> f64 {
        if self.calls == 0 {
            0.0
        } else {
            self.total / self.calls as f64
        }
    }

    pub(crate) fn deviation(&self) -> f64 {
        if self.calls == 0 {
            0.0
        } else {
            (self.squares / self.calls as f64).sqrt()
        }
    }
}

impl Figures {
    pub(crate) fn numbers(&self) -> Numbers {
        *self.numbers.lock()
    }

    /// `queryid`: the same for the same text in every process.
    pub(crate) fn id(&self) -> i64 {
        // FNV-1a.
        let hash = self
            .text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        hash.cast_signed()
    }
}

impl StatementStatistics {
    /// Every statement.
    pub(crate) fn all(&self) -> Vec<Arc<Figures>> {
        self.entries.lock().values().cloned().collect()
    }

    fn of(&self, sql: &str) -> Arc<Figures> {
        let text = normalized(sql);
        let mut entries = self.entries.lock();
        if let Some(figures) = entries.get(text.as_str()) {
            return Arc::clone(figures);
        }
        if entries.len() >= MAX_STATEMENTS {
            let mut calls: Vec<u64> = entries
                .values()
                .map(|figures| figures.numbers.lock().calls)
                .collect();
            calls.sort_unstable();
            let limit = calls.get(MAX_STATEMENTS / 20).copied().unwrap_or_default();
            entries.retain(|_, figures| figures.numbers.lock().calls > limit);
        }
        let text: Arc<str> = text.into();
        let figures = Arc::new(Figures {
            text: Arc::clone(&text),
            numbers: Mutex::default(),
        });
        entries.insert(text, Arc::clone(&figures));
        figures
    }
}

/// The text with `$n` for its literals, numbered behind its own parameters.
fn normalized(sql: &str) -> String {
    let tokens = || {
        let mut scanner = Scanner::new(sql, 0);
        std::iter::from_fn(move || scanner.next_token().ok().flatten())
    };
    let text_of = |start: usize, end: usize| sql.get(start..end).unwrap_or_default();
    let mut next = tokens()
        .filter(|(token, _)| *token == Token::Number)
        .filter_map(|(_, span)| {
            text_of(span.start, span.end)
                .strip_prefix('$')?
                .parse()
                .ok()
        })
        .max()
        .unwrap_or(0_u32);
    let mut text = String::with_capacity(sql.len().min(MAX_TEXT));
    let mut copied = 0;
    for (token, span) in tokens() {
        let word = text_of(span.start, span.end);
        let is_literal = match token {
            Token::Number => !word.starts_with('$'),
            Token::Quoted => word.contains('\'') && !word.starts_with('"') || word.starts_with('$'),
            Token::Word | Token::Symbol(_) => false,
        };
        if is_literal {
            next = next.saturating_add(1);
            text.push_str(text_of(copied, span.start));
            text.push_str(&format!("${next}"));
            copied = span.end;
        }
        if text.len() > MAX_TEXT {
            break;
        }
    }
    if text.len() <= MAX_TEXT {
        text.push_str(text_of(copied, sql.len()));
    }
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Where a prepared statement keeps its figures, once it has some.
pub(crate) type FiguresCell = OnceLock<Arc<Figures>>;

impl Session {
    /// Counts a run of a statement, which took so long and gave or changed so many rows, in
    /// `pg_stat_statements`.
    pub fn record_statement(&self, statement: &Statement, elapsed: Duration, rows: u64) {
        let prepared = statement.prepared();
        let figures = prepared
            .figures
            .get_or_init(|| self.database.inner.statements.of(&prepared.sql));
        figures
            .numbers
            .lock()
            .add(elapsed.as_secs_f64() * 1e3, rows);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::normalized;
    use crate::Database;

    #[test]
    fn literals_become_parameters() {
        for (sql, expected) in [
            ("SELECT 1", "SELECT $1"),
            (
                "SELECT a1, \"b 2\" FROM t WHERE x = $1 AND y = 'it''s' AND z > -1.5",
                "SELECT a1, \"b 2\" FROM t WHERE x = $1 AND y = $2 AND z > -$3",
            ),
            ("SELECT E'a\\'b', $$c$$", "SELECT $1, $2"),
            ("ALTER ROLE a PASSWORD 'secret'", "ALTER ROLE a PASSWORD $1"),
        ] {
            assert_eq!(normalized(sql), expected);
        }
    }

    #[test]
    fn runs_are_counted() {
        let db = Database::in_memory().unwrap();
        let session = db.session();
        for (n, time) in [(1, 10), (2, 20), (3, 30)] {
            let statement = session.statement(&format!("SELECT {n} + 0")).unwrap();
            session.record_statement(&statement, Duration::from_millis(time), 1);
        }
        let rows: Vec<(String, i64, f64, f64, f64, f64, i64)> = db
            .query(
                "SELECT query, calls, total_exec_time, min_exec_time, max_exec_time, \
                        round(stddev_exec_time::numeric, 2)::float8, rows \
                 FROM pg_stat_statements",
                (),
            )
            .unwrap()
            .read_all()
            .unwrap();
        let expected = ("SELECT $1 + $2".to_owned(), 3, 60.0, 10.0, 30.0, 8.16, 3);
        assert_eq!(rows, [expected]);
    }
}
