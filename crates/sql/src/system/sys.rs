//! This engine's own views.

use super::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    engine::system::{activity, activity::count, relations},
};

/// The relations.
pub(super) const RELATIONS: &[&[SystemRelation]] = &[OBJECTS, ENGINE];

/// What is stored.
const OBJECTS: &[SystemRelation] = &[
    relation! {
        tables 12100;
        for (class, table) in |view| activity::tables(view, false);
        schema_name: Name = class.schema(),
        table_name: Name = &*class.name(),
        table_id: Oid = Value::Oid(class.oid),
        storage: Text = table.storage,
        columns: Int4 = i32::from(class.width()),
        rows_estimated: Int8 = table.rows,
        rows_analyzed: Int8 = table.analyzed,
        bytes: Int8 = count(class.bytes(view)),
        keyspace: Int8 = class.keyspace().map(i64::from),
        depth: Int4 = table.depth,
        definition_version: Int4 = table.version,
    },
    relation! {
        indexes 12101;
        for (class, index, table) in |view| relations::indexes_with_tables(&view.indexes());
        schema_name: Name = class.schema(),
        table_name: Name = table.name.as_str(),
        index_name: Name = &*class.name(),
        index_id: Oid = Value::Oid(class.oid),
        is_primary_key: Bool = index.primary,
        is_unique: Bool = index.unique,
        is_constraint: Bool = index.constraint,
        key_columns: Int4 = index.columns.len() as i32,
        bytes: Int8 = count(class.bytes(view)),
        keyspace: Int8 = class.keyspace().map(i64::from),
        definition: Text = crate::engine::system::definitions::index(view, class, false),
    },
    relation! {
        statistics 12102;
        for of in |view| activity::column_statistics(view);
        schema_name: Name = of.schema.as_str(),
        table_name: Name = of.table.as_str(),
        column_name: Name = of.column.as_str(),
        rows_analyzed: Int8 = count(of.rows),
        null_fraction: Float8 = of.statistics.null_fraction,
        distinct_values: Float8 = of.statistics.distinct,
        most_common_values: TextArray = of.common_values(),
        histogram: TextArray = of.histogram(),
    },
];

/// What the engine is doing.
const ENGINE: &[SystemRelation] = &[
    relation! {
        waits 12110;
        for wait in |view| activity::store(view).waits;
        wait: Text = wait.name,
        count: Int8 = count(wait.count),
        total_time: Interval = activity::interval(wait.total),
        longest: Interval = activity::interval(wait.max),
    },
    relation! {
        transactions 12111;
        for transaction in |view| activity::transactions(view);
        transaction_id: Int8 = count(transaction.info.id.0),
        isolation: Text = transaction.isolation(),
        is_read_only: Bool = transaction.info.read_only,
        began_at: TimestampTz = Value::TimestampTz(transaction.began),
        age: Interval = activity::interval(transaction.info.age),
        changes: Int8 = count(transaction.info.writes),
        snapshot_lsn: Int8 = transaction.info.snapshot.map(|lsn| count(lsn.0)),
        waits_for: Text = transaction.waits_for(),
    },
    relation! {
        transaction_totals 12112;
        for total in |view| activity::transaction_totals(view);
        total: Text = total.0,
        value: Int8 = total.1,
    },
    relation! {
        locks 12113;
        for lock in |view| activity::locks(view);
        transaction_id: Int8 = count(lock.info.transaction.0),
        kind: Text = lock.kind(),
        schema_name: Name = lock.schema.as_deref(),
        table_name: Name = lock.table.as_deref(),
        resource: Text = lock.resource(),
        mode: Text = lock.mode(),
        is_granted: Bool = lock.info.granted,
    },
    relation! {
        settings 12114;
        for setting in |view| view.settings.listed()?;
        name: Text = setting.name,
        value: Text = setting.value.as_str(),
        default_value: Text = setting.default.as_str(),
        is_fixed: Bool = setting.fixed,
        has_effect: Bool = setting.has_effect,
        description: Text = setting.description,
    },
    relation! {
        memory 12115;
        for (name, bytes) in |view| activity::memory(view);
        part: Text = name,
        bytes: Int8 = bytes,
    },
    relation! {
        checkpoints 12116;
        for (name, value) in |view| activity::checkpoints(view);
        figure: Text = name,
        value: Int8 = value,
    },
    relation! {
        lsm 12117;
        for (name, value) in |view| activity::lsm(view);
        figure: Text = name,
        value: Int8 = value,
    },
    relation! {
        keyspaces 12118;
        for keyspace in |view| activity::keyspaces(view);
        keyspace: Int8 = keyspace.id,
        engine: Text = keyspace.engine,
        schema_name: Name = keyspace.schema.as_deref(),
        relation_name: Name = keyspace.relation.as_deref(),
        entries: Int8 = count(keyspace.estimate.entries),
        leaf_pages: Int8 = count(keyspace.estimate.leaf_pages),
        depth: Int4 = keyspace.estimate.depth as i32,
    },
];
