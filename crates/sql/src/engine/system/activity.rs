//! What the engine is doing: transactions, locks, waits, memory, statistics.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustling_storage::{EngineKind, KeyspaceEstimate, KeyspaceId, StoreStatistics};
use rustling_txn::{LockInfo, LockResource, TransactionInfo};

use crate::{
    Value,
    catalog::{
        TableKind,
        access::{Privileges, RoleId},
    },
    engine::{
        served_activity::ActivityState,
        statement_statistics::{Figures, Numbers},
        system::{
            SystemView,
            relations::{Part, Relation},
            texts,
        },
    },
    planner::statistics::{ColumnStatistics, TableStatistics},
    types::{Interval, TextStyle},
};

/// A count, as SQL has it.
pub(crate) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A time, as SQL has it.
pub(crate) fn interval(time: Duration) -> Value {
    Value::Interval(Interval {
        micros: i64::try_from(time.as_micros()).unwrap_or(i64::MAX),
        ..Interval::default()
    })
}

/// The store's figures.
pub(crate) fn store(view: &SystemView) -> StoreStatistics {
    view.inner.manager.store().stats()
}

/// A transaction that runs.
pub(crate) struct Transaction {
    pub(crate) info: TransactionInfo,
    /// Microseconds since 1970.
    pub(crate) began: i64,
    /// Whether the reader may know which rows it locks.
    shows_rows: bool,
}

/// A lock's resource in words; the key of a row, which has values of it, only where `shows_rows`.
fn resource(resource: &LockResource, shows_rows: bool) -> String {
    match resource {
        LockResource::Row(keyspace, _) if !shows_rows => format!("a key of keyspace {keyspace}"),
        resource => resource.to_string(),
    }
}

/// The transactions whose rows the reader may know: a superuser those of everybody, others those
/// of sessions that are served to roles of theirs.
fn shows_rows_of(view: &SystemView) -> impl Fn(u64) -> bool + use<> {
    let rights = view.catalog.access.rights(view.reader);
    let superuser = rights.superuser;
    let own: Vec<u64> = view
        .inner
        .served
        .all()
        .iter()
        .filter(|activity| rights.has_role(activity.role.0))
        .map(|activity| activity.transaction())
        .collect();
    move |transaction| superuser || own.contains(&transaction)
}

fn as_process(number: u64) -> i32 {
    i32::try_from(number % (1 << 31)).unwrap_or(0)
}

impl Transaction {
    pub(crate) fn number(&self) -> i32 {
        as_process(self.info.id.0)
    }

    pub(crate) fn isolation(&self) -> String {
        format!("{:?}", self.info.isolation)
            .chars()
            .flat_map(|c| {
                let space = c.is_uppercase().then_some(' ');
                space.into_iter().chain(c.to_lowercase())
            })
            .collect::<String>()
            .trim_start()
            .to_owned()
    }

    /// What it waits for.
    pub(crate) fn waits_for(&self) -> Option<String> {
        let waits_for = self.info.waits_for.as_ref()?;
        Some(resource(waits_for, self.shows_rows))
    }

    /// The wait that it is in.
    pub(crate) fn wait(&self) -> Option<&'static str> {
        self.info.waits_for.as_ref().map(|resource| match resource {
            LockResource::Table(_) => "lock.table",
            LockResource::Row(..) => "lock.row",
        })
    }
}

/// A session, as `pg_stat_activity` shows it.
pub(crate) struct ShownSession {
    pub(crate) number: i32,
    pub(crate) role: (RoleId, String),
    pub(crate) client: Option<SocketAddr>,
    pub(crate) connected: Option<i64>,
    /// Its transaction, while there is one.
    pub(crate) transaction: Option<Transaction>,
    /// What it does; `None` where the reader may not know.
    pub(crate) state: Option<ActivityState>,
}

impl ShownSession {
    pub(crate) fn query(&self) -> &str {
        match &self.state {
            Some(state) => state.shown_query(),
            None => "<insufficient privilege>",
        }
    }

    pub(crate) fn application(&self) -> &str {
        self.state
            .as_ref()
            .map_or("", |state| state.application.as_str())
    }

    /// The wait that it is in.
    pub(crate) fn wait(&self) -> Option<&'static str> {
        self.transaction
            .as_ref()
            .filter(|_| self.state.is_some())?
            .wait()
    }

    pub(crate) fn transaction_start(&self) -> Option<i64> {
        let transaction = self.transaction.as_ref().filter(|_| self.state.is_some())?;
        Some(transaction.began)
    }
}

/// A moment that may be unknown.
pub(crate) fn moment(micros: Option<i64>) -> Value {
    micros.map_or(Value::Null, Value::TimestampTz)
}

/// The sessions that are served, and the transactions of the program itself.
pub(crate) fn sessions(view: &SystemView) -> Vec<ShownSession> {
    let rights = view.catalog.access.rights(view.reader);
    let mut transactions = transactions(view);
    let mut all = Vec::new();
    for activity in view.inner.served.all() {
        let at = transactions
            .iter()
            .position(|transaction| transaction.info.id.0 == activity.transaction());
        all.push(ShownSession {
            number: activity.number,
            role: activity.role.clone(),
            client: activity.client,
            connected: Some(activity.connected),
            transaction: at.map(|at| transactions.swap_remove(at)),
            state: rights.has_role(activity.role.0).then(|| activity.state()),
        });
    }
    for transaction in transactions {
        all.push(ShownSession {
            number: transaction.number(),
            role: (RoleId::SUPERUSER, view.owner().to_owned()),
            client: None,
            connected: None,
            state: rights.superuser.then(|| ActivityState {
                name: "active",
                application: String::new(),
                query: "".into(),
                query_start: None,
                changed: transaction.began,
            }),
            transaction: Some(transaction),
        });
    }
    all
}

/// What statements have cost, for `pg_stat_statements`: who may not see everything sees nothing.
pub(crate) fn statements(view: &SystemView) -> Vec<(Arc<Figures>, Numbers)> {
    if !view.catalog.access.rights(view.reader).superuser {
        return Vec::new();
    }
    let all = view.inner.statements.all();
    all.into_iter()
        .map(|figures| {
            let numbers = figures.numbers();
            (figures, numbers)
        })
        .collect()
}

/// The transactions that run.
pub(crate) fn transactions(view: &SystemView) -> Vec<Transaction> {
    let now = view.inner.env.wall_clock();
    let shows_rows = shows_rows_of(view);
    view.inner
        .manager
        .active()
        .into_iter()
        .map(|info| Transaction {
            began: now.saturating_sub(i64::try_from(info.age.as_micros()).unwrap_or(i64::MAX)),
            shows_rows: shows_rows(info.id.0),
            info,
        })
        .collect()
}

/// A lock that is held or waited for.
pub(crate) struct Lock {
    pub(crate) info: LockInfo,
    /// The number of the table or index.
    pub(crate) relation: Option<u32>,
    pub(crate) schema: Option<String>,
    pub(crate) table: Option<String>,
    /// Whether the reader may know which row it is on.
    shows_rows: bool,
}

impl Lock {
    /// What it is on.
    pub(crate) fn resource(&self) -> String {
        resource(&self.info.resource, self.shows_rows)
    }

    pub(crate) fn number(&self) -> i32 {
        as_process(self.info.transaction.0)
    }

    /// `locktype`
    pub(crate) fn kind(&self) -> &'static str {
        match self.info.resource {
            LockResource::Table(_) => "relation",
            LockResource::Row(..) => "tuple",
        }
    }

    /// The mode in words.
    pub(crate) fn mode(&self) -> String {
        format!("{:?}Lock", self.info.mode)
    }
}

/// The relation that a keyspace holds.
fn relation_of(relations: &[Relation], keyspace: KeyspaceId) -> Option<&Relation> {
    relations
        .iter()
        .find(|relation| relation.keyspace() == Some(keyspace.0))
}

/// The locks that are held or waited for.
pub(crate) fn locks(view: &SystemView) -> Vec<Lock> {
    let relations = view.relations(None);
    let shows_rows = shows_rows_of(view);
    view.inner
        .manager
        .locks()
        .into_iter()
        .map(|info| {
            let keyspace = match &info.resource {
                LockResource::Table(keyspace) | LockResource::Row(keyspace, _) => *keyspace,
            };
            let relation = relation_of(&relations, keyspace);
            Lock {
                relation: relation.map(|relation| relation.oid),
                schema: relation.map(|relation| relation.schema().to_owned()),
                table: relation.map(|relation| relation.name().into_owned()),
                shows_rows: shows_rows(info.transaction.0),
                info,
            }
        })
        .collect()
}

/// What is known of a stored table.
pub(crate) struct TableFigures {
    /// About how many rows it has now.
    pub(crate) rows: Option<i64>,
    /// Rows when it was analysed.
    pub(crate) analyzed: Option<i64>,
    pub(crate) storage: &'static str,
    pub(crate) depth: Option<i32>,
    pub(crate) version: i32,
}

/// The stored tables; where `all`, the system's relations too.
pub(crate) fn tables(view: &SystemView, all: bool) -> Vec<(Relation, TableFigures)> {
    view.relations(None)
        .into_iter()
        .filter_map(|relation| {
            let figures = match &relation.part {
                Part::Table(handle) if matches!(handle.table.kind, TableKind::Table) => {
                    let estimate = estimate(view, handle.keyspace);
                    TableFigures {
                        rows: view.catalog.rows_of(handle).map(count),
                        analyzed: handle.statistics.as_ref().map(|known| count(known.rows)),
                        storage: handle.table.storage.name(),
                        depth: estimate.map(|known| known.depth as i32),
                        version: i32::try_from(handle.table.version).unwrap_or(i32::MAX),
                    }
                }
                Part::System(_) if all && relation.kind() == 'r' => TableFigures {
                    rows: None,
                    analyzed: None,
                    storage: "system",
                    depth: None,
                    version: 1,
                },
                _ => return None,
            };
            Some((relation, figures))
        })
        .collect()
}

/// The size of a keyspace.
pub(crate) fn estimate(view: &SystemView, keyspace: KeyspaceId) -> Option<KeyspaceEstimate> {
    let store = view.catalog.store()?;
    store.keyspace_estimate(keyspace).ok()
}

/// About how many bytes the database takes.
pub(crate) fn database_bytes(view: &SystemView) -> u64 {
    let statistics = store(view);
    statistics.pages.file_bytes + statistics.tables.table_bytes
}

/// What ANALYZE has found out about a column.
pub(crate) struct ColumnFigures {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) column: String,
    /// Rows of the table.
    pub(crate) rows: u64,
    pub(crate) statistics: ColumnStatistics,
}

impl ColumnFigures {
    pub(crate) fn common_values(&self) -> Value {
        texts(
            self.statistics
                .common
                .iter()
                .map(|(value, _)| value.to_text(&TextStyle::DEFAULT)),
        )
    }

    pub(crate) fn histogram(&self) -> Value {
        texts(
            self.statistics
                .histogram
                .iter()
                .map(|value| value.to_text(&TextStyle::DEFAULT)),
        )
    }
}

/// What ANALYZE has found out about the columns of tables that the reader may read: it shows their
/// values.
pub(crate) fn column_statistics(view: &SystemView) -> Vec<ColumnFigures> {
    let rights = view.catalog.access.rights(view.reader);
    let mut all = Vec::new();
    for handle in view.catalog.handles() {
        let Some(statistics) = &handle.statistics else {
            continue;
        };
        let TableStatistics { rows, columns, .. } = &**statistics;
        for (column, figures) in handle.table.columns.iter().zip(columns) {
            if !rights.on_columns(handle.table.id, Privileges::SELECT, &[column.number]) {
                continue;
            }
            all.push(ColumnFigures {
                schema: handle.table.schema.clone(),
                table: handle.table.name.clone(),
                column: column.name.clone(),
                rows: *rows,
                statistics: figures.clone(),
            });
        }
    }
    all
}

/// What transactions have done since the database was opened.
pub(crate) fn transaction_totals(view: &SystemView) -> Vec<(&'static str, i64)> {
    let statistics = view.inner.manager.stats();
    vec![
        ("active", size(statistics.active)),
        ("begun", count(statistics.begun)),
        ("committed", count(statistics.committed)),
        ("rolled_back", count(statistics.rolled_back)),
        ("retried", count(statistics.retried)),
        ("write_conflicts", count(statistics.write_conflicts)),
        ("deadlocks", count(statistics.deadlocks)),
        ("lock_timeouts", count(statistics.lock_timeouts)),
        ("spilled_bytes", count(statistics.spilled_bytes)),
        (
            "serialization_failures",
            count(statistics.serialization_failures),
        ),
        ("safe_snapshots", count(statistics.safe_snapshots)),
        (
            "tracked_transactions",
            size(statistics.tracked_transactions),
        ),
        ("tracked_bytes", size(statistics.tracked_bytes)),
        ("locks", size(statistics.locks)),
    ]
}

/// Where the memory is.
pub(crate) fn memory(view: &SystemView) -> Vec<(&'static str, i64)> {
    let statistics = store(view);
    let budget = view.inner.manager.store().memory().clone();
    vec![
        ("limit", size(statistics.memory_limit)),
        ("used", size(statistics.memory_used)),
        ("peak", size(budget.peak())),
        ("cached_pages", size(statistics.pages.cached_bytes)),
        ("dirty_pages", size(statistics.pages.dirty_bytes)),
        ("memtables", size(statistics.tables.memtable_bytes)),
        ("cached_blocks", size(statistics.tables.cached_bytes)),
        ("cache_limit", size(statistics.caches.limit)),
        ("cache_share_of_pages", size(statistics.caches.page_share)),
        ("maps", size(statistics.caches.fixed_bytes)),
    ]
}

/// How far the log is ahead of the pages.
pub(crate) fn checkpoints(view: &SystemView) -> Vec<(&'static str, i64)> {
    let statistics = store(view);
    vec![
        ("published_lsn", count(statistics.published.0)),
        ("durable_lsn", count(statistics.durable.0)),
        ("checkpoint_lsn", count(statistics.checkpointed.0)),
        ("watermark_lsn", count(statistics.watermark.0)),
        ("wal_to_replay_bytes", count(statistics.wal_lag_bytes)),
        ("wal_written_bytes", count(statistics.wal_bytes)),
        ("wal_segments", size(statistics.wal_segments)),
        ("checkpoints", count(statistics.pages.checkpoints)),
        ("pages_written", count(statistics.pages.checkpoint_writes)),
        ("data_file_bytes", count(statistics.pages.file_bytes)),
        ("data_file_free_bytes", count(statistics.pages.free_bytes)),
        ("snapshots", size(statistics.pins.pins)),
    ]
}

/// The tables of LSM trees.
pub(crate) fn lsm(view: &SystemView) -> Vec<(&'static str, i64)> {
    let statistics = store(view);
    let (tables, caches) = (statistics.tables, statistics.caches);
    vec![
        ("tables", size(tables.tables)),
        ("table_bytes", count(tables.table_bytes)),
        ("memtable_bytes", size(tables.memtable_bytes)),
        ("flushes", count(tables.flushes)),
        ("flushed_bytes", count(tables.flushed_bytes)),
        ("compactions", count(tables.compactions)),
        ("moves", count(tables.moves)),
        ("compaction_read_bytes", count(tables.compaction_read_bytes)),
        (
            "compaction_written_bytes",
            count(tables.compaction_written_bytes),
        ),
        ("reads_spared_by_filters", count(tables.filtered)),
        ("block_cache_hits", count(tables.cache_hits)),
        ("block_cache_misses", count(tables.cache_misses)),
        ("cache_boundary_moves", count(caches.moves)),
    ]
}

/// A keyspace.
pub(crate) struct Keyspace {
    pub(crate) id: i64,
    pub(crate) engine: &'static str,
    pub(crate) schema: Option<String>,
    pub(crate) relation: Option<String>,
    pub(crate) estimate: KeyspaceEstimate,
}

/// Every keyspace, with the relation that it holds.
pub(crate) fn keyspaces(view: &SystemView) -> Vec<Keyspace> {
    let relations = view.relations(None);
    view.inner
        .manager
        .store()
        .keyspaces()
        .into_iter()
        .map(|(id, options)| {
            let relation = relation_of(&relations, id);
            Keyspace {
                id: i64::from(id.0),
                engine: match options.engine {
                    EngineKind::BTree => "btree",
                    EngineKind::Lsm => "lsm",
                    EngineKind::Hybrid => "hybrid",
                    _ => "unknown",
                },
                schema: relation.map(|relation| relation.schema().to_owned()),
                relation: relation.map(|relation| relation.name().into_owned()),
                estimate: estimate(view, id).unwrap_or_default(),
            }
        })
        .collect()
}
