//! What the engine is doing, and what is known of tables' contents.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    engine::system::{Oid, activity, float4s, relations},
    system::oids,
};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_stat_activity 12040;
        for session in |view| activity::sessions(view);
        datid: Oid = Oid(oids::DATABASE),
        datname: Name = view.database(),
        pid: Int4 = session.number,
        leader_pid: Int4 = Value::Null,
        usesysid: Oid = Oid(session.role.0.0),
        usename: Name = session.role.1.as_str(),
        application_name: Text = session.application(),
        client_addr: Text = session.client.map(|client| client.ip().to_string()),
        client_hostname: Text = Value::Null,
        client_port: Int4 = session.client.map(|client| i32::from(client.port())),
        backend_start: TimestampTz = activity::moment(session.connected),
        xact_start: TimestampTz = activity::moment(session.transaction_start()),
        query_start: TimestampTz = activity::moment(session.state.as_ref().and_then(|state| state.query_start)),
        state_change: TimestampTz = activity::moment(session.state.as_ref().map(|state| state.changed)),
        wait_event_type: Text = session.wait().map(|_| "Lock"),
        wait_event: Text = session.wait(),
        state: Text = session.state.as_ref().map(|state| state.name),
        backend_xid: Xid = Value::Null,
        backend_xmin: Xid = Value::Null,
        query_id: Int8 = Value::Null,
        query: Text = session.query(),
        backend_type: Text = "client backend",
    },
    relation! {
        pg_locks 12041;
        for lock in |view| activity::locks(view);
        locktype: Text = lock.kind(),
        database: Oid = Oid(oids::DATABASE),
        relation: Oid = lock.relation.map(Oid),
        page: Int4 = Value::Null,
        tuple: Int2 = Value::Null,
        virtualxid: Text = Value::Null,
        transactionid: Xid = Value::Null,
        classid: Oid = Value::Null,
        objid: Oid = Value::Null,
        objsubid: Int2 = Value::Null,
        virtualtransaction: Text = lock.info.transaction.0.to_string(),
        pid: Int4 = lock.number(),
        mode: Text = lock.mode(),
        granted: Bool = lock.info.granted,
        fastpath: Bool = false,
        waitstart: TimestampTz = Value::Null,
    },
    relation! {
        pg_stat_database 12042;
        for statistics in |view| [view.inner.manager.stats()];
        datid: Oid = Oid(oids::DATABASE),
        datname: Name = view.database(),
        numbackends: Int4 = statistics.active as i32,
        xact_commit: Int8 = activity::count(statistics.committed),
        xact_rollback: Int8 = activity::count(statistics.rolled_back),
        blks_read: Int8 = activity::count(activity::store(view).pages.misses),
        blks_hit: Int8 = activity::count(activity::store(view).pages.hits),
        tup_returned: Int8 = Value::Null,
        tup_fetched: Int8 = Value::Null,
        tup_inserted: Int8 = Value::Null,
        tup_updated: Int8 = Value::Null,
        tup_deleted: Int8 = Value::Null,
        conflicts: Int8 = activity::count(statistics.write_conflicts),
        temp_files: Int8 = Value::Null,
        temp_bytes: Int8 = activity::count(statistics.spilled_bytes),
        deadlocks: Int8 = activity::count(statistics.deadlocks),
        stats_reset: TimestampTz = Value::TimestampTz(view.inner.started),
    },
    relation! {
        pg_stat_all_tables 12043;
        for (class, table) in |view| activity::tables(view, true);
        relid: Oid = Oid(class.oid),
        schemaname: Name = class.schema(),
        relname: Name = &*class.name(),
        seq_scan: Int8 = Value::Null,
        idx_scan: Int8 = Value::Null,
        n_live_tup: Int8 = table.rows,
        n_dead_tup: Int8 = Value::Null,
        n_mod_since_analyze: Int8 = Value::Null,
        last_vacuum: TimestampTz = Value::Null,
        last_autovacuum: TimestampTz = Value::Null,
        last_analyze: TimestampTz = Value::Null,
        last_autoanalyze: TimestampTz = Value::Null,
    },
    relation! {
        pg_stat_user_tables 12044;
        for (class, table) in |view| activity::tables(view, false);
        relid: Oid = Oid(class.oid),
        schemaname: Name = class.schema(),
        relname: Name = &*class.name(),
        seq_scan: Int8 = Value::Null,
        idx_scan: Int8 = Value::Null,
        n_live_tup: Int8 = table.rows,
        n_dead_tup: Int8 = Value::Null,
        n_mod_since_analyze: Int8 = Value::Null,
        last_vacuum: TimestampTz = Value::Null,
        last_autovacuum: TimestampTz = Value::Null,
        last_analyze: TimestampTz = Value::Null,
        last_autoanalyze: TimestampTz = Value::Null,
    },
    relation! {
        pg_stat_user_indexes 12045;
        for (class, _, table) in |view| relations::indexes_with_tables(&view.indexes());
        relid: Oid = Oid(relations::oid_of(table)),
        indexrelid: Oid = Oid(class.oid),
        schemaname: Name = class.schema(),
        relname: Name = table.name.as_str(),
        indexrelname: Name = &*class.name(),
        idx_scan: Int8 = Value::Null,
        idx_tup_read: Int8 = Value::Null,
        idx_tup_fetch: Int8 = Value::Null,
    },
    relation! {
        pg_stats 12046;
        for of in |view| activity::column_statistics(view);
        schemaname: Name = of.schema.as_str(),
        tablename: Name = of.table.as_str(),
        attname: Name = of.column.as_str(),
        inherited: Bool = false,
        null_frac: Float4 = of.statistics.null_fraction as f32,
        avg_width: Int4 = Value::Null,
        n_distinct: Float4 = of.statistics.distinct as f32,
        most_common_vals: TextArray = of.common_values(),
        most_common_freqs: Float4Array = float4s(of.statistics.common.iter().map(|(_, part)| *part as f32)),
        histogram_bounds: TextArray = of.histogram(),
        correlation: Float4 = Value::Null,
        most_common_elems: TextArray = Value::Null,
        most_common_elem_freqs: Float4Array = Value::Null,
        elem_count_histogram: Float4Array = Value::Null,
    },
    relation! {
        pg_stat_bgwriter 12047;
        for statistics in |view| [activity::store(view)];
        checkpoints_timed: Int8 = activity::count(statistics.pages.checkpoints),
        checkpoints_req: Int8 = 0_i64,
        buffers_checkpoint: Int8 = activity::count(statistics.pages.checkpoint_writes),
        buffers_clean: Int8 = 0_i64,
        maxwritten_clean: Int8 = 0_i64,
        buffers_backend: Int8 = activity::count(statistics.pages.eviction_writes),
        buffers_backend_fsync: Int8 = 0_i64,
        buffers_alloc: Int8 = activity::count(statistics.pages.misses),
        stats_reset: TimestampTz = Value::TimestampTz(view.inner.started),
    },
    relation! {
        pg_stat_statements 12051;
        for (statement, numbers) in |view| activity::statements(view);
        userid: Oid = Value::Null,
        dbid: Oid = Oid(oids::DATABASE),
        toplevel: Bool = true,
        queryid: Int8 = statement.id(),
        query: Text = &*statement.text,
        calls: Int8 = activity::count(numbers.calls),
        total_exec_time: Float8 = numbers.total,
        min_exec_time: Float8 = numbers.shortest,
        max_exec_time: Float8 = numbers.longest,
        mean_exec_time: Float8 = numbers.mean(),
        stddev_exec_time: Float8 = numbers.deviation(),
        rows: Int8 = activity::count(numbers.rows),
    },
    relation! {
        pg_stat_ssl 12048;
        pid: Int4,
        ssl: Bool,
        version: Text,
        cipher: Text,
        bits: Int4,
        client_dn: Text,
        client_serial: Decimal,
        issuer_dn: Text,
    },
    relation! {
        pg_stat_gssapi 12049;
        pid: Int4,
        gss_authenticated: Bool,
        principal: Text,
        encrypted: Bool,
    },
    relation! {
        pg_stat_replication 12050;
        pid: Int4,
        usesysid: Oid,
        usename: Name,
        application_name: Text,
        client_addr: Text,
        client_hostname: Text,
        client_port: Int4,
        backend_start: TimestampTz,
        backend_xmin: Xid,
        state: Text,
        sent_lsn: Text,
        write_lsn: Text,
        flush_lsn: Text,
        replay_lsn: Text,
        sync_priority: Int4,
        sync_state: Text,
    },
];
