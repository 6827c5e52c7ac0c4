//! Constraints and what they are on.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    catalog::Deferral,
    engine::system::{constraints::action_words, standard},
};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        table_constraints 12220;
        for of in |view| standard::constraints(view);
        constraint_catalog: Name = view.database(),
        constraint_schema: Name = of.schema.as_str(),
        constraint_name: Name = of.name.as_str(),
        table_catalog: Name = view.database(),
        table_schema: Name = of.schema.as_str(),
        table_name: Name = of.table.as_str(),
        constraint_type: Text = of.words,
        is_deferrable: Text = standard::yes(of.deferral != Deferral::Never),
        initially_deferred: Text = standard::yes(of.deferral == Deferral::Deferred),
        enforced: Text = "YES",
        nulls_distinct: Text = (of.words == "UNIQUE").then_some("YES"),
    },
    relation! {
        key_column_usage 12221;
        for (of, column, place, unique) in |view| standard::key_columns(view);
        constraint_catalog: Name = view.database(),
        constraint_schema: Name = of.schema(),
        constraint_name: Name = of.name(),
        table_catalog: Name = view.database(),
        table_schema: Name = of.schema(),
        table_name: Name = of.table_name(),
        column_name: Name = column,
        ordinal_position: Int4 = place,
        position_in_unique_constraint: Int4 = unique,
    },
    relation! {
        referential_constraints 12222;
        for (of, key, unique) in |view| standard::references(view);
        constraint_catalog: Name = view.database(),
        constraint_schema: Name = of.schema(),
        constraint_name: Name = of.name(),
        unique_constraint_catalog: Name = unique.as_ref().map(|_| view.database()),
        unique_constraint_schema: Name = unique.as_ref().map(|unique| unique.schema()),
        unique_constraint_name: Name = unique.as_ref().map(|unique| unique.name()),
        match_option: Text = if key.match_full { "FULL" } else { "NONE" },
        update_rule: Text = action_words(key.on_update),
        delete_rule: Text = action_words(key.on_delete),
    },
    relation! {
        check_constraints 12223;
        for (schema, name, text) in |view| standard::checks(view);
        constraint_catalog: Name = view.database(),
        constraint_schema: Name = schema,
        constraint_name: Name = name,
        check_clause: Text = text,
    },
    relation! {
        constraint_column_usage 12224;
        for (of, schema, table, column) in |view| standard::constraint_columns(view);
        table_catalog: Name = view.database(),
        table_schema: Name = schema,
        table_name: Name = table,
        column_name: Name = column,
        constraint_catalog: Name = view.database(),
        constraint_schema: Name = of.schema(),
        constraint_name: Name = of.name(),
    },
    relation! {
        constraint_table_usage 12225;
        for (of, schema, table) in |view| standard::constraint_tables(view);
        table_catalog: Name = view.database(),
        table_schema: Name = schema,
        table_name: Name = table,
        constraint_catalog: Name = view.database(),
        constraint_schema: Name = of.schema(),
        constraint_name: Name = of.name(),
    },
];
