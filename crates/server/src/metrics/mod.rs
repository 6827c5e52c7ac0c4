//! What the server counts, and the text that Prometheus reads.

mod exposition;
mod histogram;
pub(crate) mod http;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

pub(crate) use histogram::Latencies;

/// What kind a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Select,
    Insert,
    Update,
    Delete,
    Copy,
    Transaction,
    Definition,
    Other,
}

impl Class {
    pub(crate) const ALL: [Class; 8] = [
        Class::Select,
        Class::Insert,
        Class::Update,
        Class::Delete,
        Class::Copy,
        Class::Transaction,
        Class::Definition,
        Class::Other,
    ];

    /// The kind of a statement by its first word.
    pub(crate) fn of_word(word: &str) -> Class {
        const WORDS: [(&str, Class); 31] = [
            ("select", Class::Select),
            ("with", Class::Select),
            ("values", Class::Select),
            ("table", Class::Select),
            ("fetch", Class::Select),
            ("execute", Class::Select),
            ("insert", Class::Insert),
            ("update", Class::Update),
            ("merge", Class::Update),
            ("delete", Class::Delete),
            ("copy", Class::Copy),
            ("begin", Class::Transaction),
            ("start", Class::Transaction),
            ("commit", Class::Transaction),
            ("end", Class::Transaction),
            ("rollback", Class::Transaction),
            ("abort", Class::Transaction),
            ("savepoint", Class::Transaction),
            ("release", Class::Transaction),
            ("create", Class::Definition),
            ("alter", Class::Definition),
            ("drop", Class::Definition),
            ("truncate", Class::Definition),
            ("comment", Class::Definition),
            ("grant", Class::Definition),
            ("revoke", Class::Definition),
            ("analyze", Class::Definition),
            ("analyse", Class::Definition),
            ("vacuum", Class::Definition),
            ("reindex", Class::Definition),
            ("reassign", Class::Definition),
        ];
        WORDS
            .iter()
            .find(|(known, _)| word.eq_ignore_ascii_case(known))
            .map_or(Class::Other, |(_, class)| *class)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Select => "select",
            Class::Insert => "insert",
            Class::Update => "update",
            Class::Delete => "delete",
            Class::Copy => "copy",
            Class::Transaction => "transaction",
            Class::Definition => "definition",
            Class::Other => "other",
        }
    }
}

/// A kind's figures.
#[derive(Debug, Default)]
pub(crate) struct ClassFigures {
    pub(crate) latencies: Latencies,
    pub(crate) failed: AtomicU64,
    pub(crate) rows: AtomicU64,
}

/// What a server counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    classes: [ClassFigures; Class::ALL.len()],
    /// Connections that were taken.
    pub(crate) accepted: AtomicU64,
    /// Connections that were turned away since there were too many.
    pub(crate) turned_away: AtomicU64,
    /// Clients that were not let in.
    pub(crate) refused: AtomicU64,
    /// Requests to cancel.
    pub(crate) cancels: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Metrics {
    pub(crate) fn class(&self, class: Class) -> &ClassFigures {
        &self.classes[class as usize]
    }

    /// A statement has ended.
    pub(crate) fn statement(
        &self,
        class: Class,
        latency: Duration,
        now: Duration,
        rows: u64,
        failed: bool,
    ) {
        let figures = self.class(class);
        figures.latencies.record(latency, now);
        figures.rows.fetch_add(rows, Ordering::Relaxed);
        if failed {
            count(&figures.failed);
        }
    }
}
