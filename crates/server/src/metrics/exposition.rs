//! Prometheus' text format.

use std::{
    fmt::{Display, Write as _},
    sync::atomic::Ordering,
    time::Duration,
};

use rustling_sql::Database;

use super::{Class, Metrics};

/// Bounds of the buckets, in microseconds.
const BOUNDS: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000,
    10_000_000,
];

/// Text being written; writing to a string cannot fail.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP rustling_{name} {help}");
        let _ = writeln!(self.0, "# TYPE rustling_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "rustling_{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }
}

/// Everything there is to tell, `now` since the clock began and with so many connections.
pub(super) fn text(
    metrics: &Metrics,
    database: &Database,
    connections: usize,
    now: Duration,
) -> String {
    let mut to = Text(String::with_capacity(16 << 10));
    statements(&mut to, metrics, now);
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    to.single(
        "connections",
        "gauge",
        "Connections at the moment.",
        connections,
    );
    to.head(
        "connections_total",
        "counter",
        "Connections by how they began.",
    );
    for (how, counter) in [
        ("accepted", &metrics.accepted),
        ("too_many", &metrics.turned_away),
        ("refused", &metrics.refused),
        ("cancel", &metrics.cancels),
    ] {
        to.line("connections_total", &[("how", how)], load(counter));
    }
    transactions(&mut to, database);
    storage(&mut to, database);
    to.0
}

fn statements(to: &mut Text, metrics: &Metrics, now: Duration) {
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let name = "statement_duration_seconds";
    to.head(name, "histogram", "Time of statements by kind.");
    for class in Class::ALL {
        let latencies = &metrics.class(class).latencies;
        for micros in BOUNDS {
            let limit = Duration::from_micros(micros);
            to.line(
                "statement_duration_seconds_bucket",
                &[
                    ("class", class.name()),
                    ("le", &limit.as_secs_f64().to_string()),
                ],
                latencies.within(limit),
            );
        }
        let labels = [("class", class.name())];
        to.line(
            "statement_duration_seconds_bucket",
            &[("class", class.name()), ("le", "+Inf")],
            latencies.count(),
        );
        to.line(
            "statement_duration_seconds_sum",
            &labels,
            latencies.seconds(),
        );
        to.line(
            "statement_duration_seconds_count",
            &labels,
            latencies.count(),
        );
    }
    let name = "statement_latency_seconds";
    to.head(
        name,
        "gauge",
        "Quantiles of the time of the last minutes' statements by kind.",
    );
    for class in Class::ALL {
        for (part, quantile) in [(0.5, "0.5"), (0.95, "0.95"), (0.99, "0.99")] {
            if let Some(seconds) = metrics.class(class).latencies.quantile(part, now) {
                to.line(
                    name,
                    &[("class", class.name()), ("quantile", quantile)],
                    seconds,
                );
            }
        }
    }
    to.head(
        "statements_failed_total",
        "counter",
        "Statements that failed, by kind.",
    );
    for class in Class::ALL {
        to.line(
            "statements_failed_total",
            &[("class", class.name())],
            load(&metrics.class(class).failed),
        );
    }
    to.head(
        "statement_rows_total",
        "counter",
        "Rows that statements gave or changed, by kind.",
    );
    for class in Class::ALL {
        to.line(
            "statement_rows_total",
            &[("class", class.name())],
            load(&metrics.class(class).rows),
        );
    }
}

fn transactions(to: &mut Text, database: &Database) {
    let totals = database.transaction_manager().stats();
    to.single(
        "transactions_active",
        "gauge",
        "Transactions that run.",
        totals.active,
    );
    to.single("locks", "gauge", "Locks that are held.", totals.locks);
    to.head(
        "transactions_total",
        "counter",
        "Transactions by how they ended.",
    );
    for (how, value) in [
        ("committed", totals.committed),
        ("rolled_back", totals.rolled_back),
    ] {
        to.line("transactions_total", &[("how", how)], value);
    }
    to.head(
        "conflicts_total",
        "counter",
        "Transactions that had to give way, by why.",
    );
    for (why, value) in [
        ("write_conflict", totals.write_conflicts),
        ("deadlock", totals.deadlocks),
        ("lock_timeout", totals.lock_timeouts),
        ("serialization", totals.serialization_failures),
    ] {
        to.line("conflicts_total", &[("why", why)], value);
    }
}

fn storage(to: &mut Text, database: &Database) {
    let stats = database.store().stats();
    for (name, kind, help, value) in [
        (
            "wal_written_bytes_total",
            "counter",
            "Bytes of the log.",
            stats.wal_bytes,
        ),
        (
            "wal_to_replay_bytes",
            "gauge",
            "Bytes of the log that a restart would replay.",
            stats.wal_lag_bytes,
        ),
        (
            "wal_durable_lsn",
            "gauge",
            "The end of the log on disk.",
            stats.durable.0,
        ),
        (
            "wal_published_lsn",
            "gauge",
            "The newest commit that readers see.",
            stats.published.0,
        ),
        (
            "page_reads_hit_total",
            "counter",
            "Pages found in the cache.",
            stats.pages.hits,
        ),
        (
            "page_reads_missed_total",
            "counter",
            "Pages read from disk.",
            stats.pages.misses,
        ),
        (
            "checkpoints_total",
            "counter",
            "Checkpoints.",
            stats.pages.checkpoints,
        ),
        (
            "checkpoint_pages_written_total",
            "counter",
            "Pages that checkpoints wrote.",
            stats.pages.checkpoint_writes,
        ),
        (
            "page_file_bytes",
            "gauge",
            "Bytes of the page file.",
            stats.pages.file_bytes,
        ),
        (
            "page_file_free_bytes",
            "gauge",
            "Bytes in the page file that hold nothing.",
            stats.pages.free_bytes,
        ),
        (
            "lsm_table_bytes",
            "gauge",
            "Bytes of the tables of LSM trees.",
            stats.tables.table_bytes,
        ),
        (
            "lsm_flushes_total",
            "counter",
            "Memtables that were written.",
            stats.tables.flushes,
        ),
        (
            "lsm_compactions_total",
            "counter",
            "Compactions.",
            stats.tables.compactions,
        ),
        (
            "lsm_compaction_read_bytes_total",
            "counter",
            "Bytes that compactions read.",
            stats.tables.compaction_read_bytes,
        ),
        (
            "lsm_compaction_written_bytes_total",
            "counter",
            "Bytes that compactions wrote.",
            stats.tables.compaction_written_bytes,
        ),
        (
            "memory_used_bytes",
            "gauge",
            "Bytes of the memory budget in use.",
            stats.memory_used as u64,
        ),
        (
            "memory_limit_bytes",
            "gauge",
            "The memory budget.",
            stats.memory_limit as u64,
        ),
        (
            "page_cache_bytes",
            "gauge",
            "Bytes of cached pages.",
            stats.pages.cached_bytes as u64,
        ),
        (
            "dirty_page_bytes",
            "gauge",
            "Bytes of changed pages.",
            stats.pages.dirty_bytes as u64,
        ),
        (
            "memtable_bytes",
            "gauge",
            "Bytes of memtables.",
            stats.tables.memtable_bytes as u64,
        ),
    ] {
        to.single(name, kind, help, value);
    }
    to.single(
        "page_cache_hit_ratio",
        "gauge",
        "Part of the pages that were found in the cache.",
        stats.pages.hit_ratio(),
    );
    to.head("waits_total", "counter", "Waits by name.");
    for wait in &stats.waits {
        to.line("waits_total", &[("wait", wait.name)], wait.count);
    }
    to.head("wait_seconds_total", "counter", "Time of waits by name.");
    for wait in &stats.waits {
        to.line(
            "wait_seconds_total",
            &[("wait", wait.name)],
            wait.total.as_secs_f64(),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustling_sql::Database;

    use super::{Class, Metrics, text};

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = Metrics::default();
        let now = Duration::from_secs(1);
        metrics.statement(Class::Select, Duration::from_micros(120), now, 3, false);
        metrics.statement(Class::Insert, Duration::from_secs(2), now, 0, true);
        let text = text(&metrics, &Database::in_memory().unwrap(), 2, now);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("rustling_"), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        for line in [
            "rustling_connections 2",
            "rustling_statement_duration_seconds_bucket{class=\"select\",le=\"0.00025\"} 1",
            "rustling_statement_duration_seconds_bucket{class=\"select\",le=\"0.0001\"} 0",
            "rustling_statements_failed_total{class=\"insert\"} 1",
            "rustling_statement_rows_total{class=\"select\"} 3",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
    }
}
