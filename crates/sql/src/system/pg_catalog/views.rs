//! PostgreSQL's views on tables, views, indexes and sequences by name.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    engine::system::{definitions, relations},
};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_tables 12020;
        for class in |view| view.relations(None).into_iter().filter(|class| matches!(class.kind(), 'r' | 'p'));
        schemaname: Name = class.schema(),
        tablename: Name = &*class.name(),
        tableowner: Name = view.owner_name(&class),
        tablespace: Name = Value::Null,
        hasindexes: Bool = class.has_index(),
        hasrules: Bool = false,
        hastriggers: Bool = class.has_triggers(),
        rowsecurity: Bool = false,
    },
    relation! {
        pg_views 12021;
        for (class, text) in |view| view.views();
        schemaname: Name = class.schema(),
        viewname: Name = &*class.name(),
        viewowner: Name = view.owner_name(&class),
        definition: Text = text,
    },
    relation! {
        pg_matviews 12022;
        schemaname: Name,
        matviewname: Name,
        matviewowner: Name,
        tablespace: Name,
        hasindexes: Bool,
        ispopulated: Bool,
        definition: Text,
    },
    relation! {
        pg_indexes 12023;
        for (class, _, table) in |view| relations::indexes_with_tables(&view.indexes());
        schemaname: Name = class.schema(),
        tablename: Name = table.name.as_str(),
        indexname: Name = &*class.name(),
        tablespace: Name = Value::Null,
        indexdef: Text = definitions::index(view, class, false),
    },
    relation! {
        pg_sequences 12024;
        for sequence in |view| view.sequences();
        schemaname: Name = sequence.schema.as_str(),
        sequencename: Name = sequence.name.as_str(),
        sequenceowner: Name = view.sequence_owner(sequence.id),
        data_type: RegType = relations::type_reference(sequence.data_type),
        start_value: Int8 = sequence.start,
        min_value: Int8 = sequence.min,
        max_value: Int8 = sequence.max,
        increment_by: Int8 = sequence.increment,
        cycle: Bool = sequence.cycle,
        cache_size: Int8 = sequence.cache,
        last_value: Int8 = view.last_value(&sequence)?,
    },
    relation! {
        pg_rules 12025;
        schemaname: Name,
        tablename: Name,
        rulename: Name,
        definition: Text,
    },
    relation! {
        pg_policies 12026;
        schemaname: Name,
        tablename: Name,
        policyname: Name,
        permissive: Text,
        roles: NameArray,
        cmd: Text,
        qual: Text,
        with_check: Text,
    },
];
