//! Schemas, tables, views, columns, sequences, domains.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{Value, engine::system::standard};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        information_schema_catalog_name 12200;
        for name in |view| [view.database()];
        catalog_name: Name = name,
    },
    relation! {
        schemata 12201;
        for schema in |view| view.schemas();
        catalog_name: Name = view.database(),
        schema_name: Name = schema.name.as_str(),
        schema_owner: Name = view.role_name(view.owner_of_schema(&schema.name)).unwrap_or_default(),
        default_character_set_catalog: Name = Value::Null,
        default_character_set_schema: Name = Value::Null,
        default_character_set_name: Name = Value::Null,
        sql_path: Text = Value::Null,
    },
    relation! {
        tables 12202;
        for class in |view| standard::tables(view);
        table_catalog: Name = view.database(),
        table_schema: Name = class.schema(),
        table_name: Name = &*class.name(),
        table_type: Text = standard::table_type(&class),
        self_referencing_column_name: Name = Value::Null,
        reference_generation: Text = Value::Null,
        user_defined_type_catalog: Name = Value::Null,
        user_defined_type_schema: Name = Value::Null,
        user_defined_type_name: Name = Value::Null,
        is_insertable_into: Text = standard::yes(standard::is_table(&class)),
        is_typed: Text = "NO",
        commit_action: Text = Value::Null,
    },
    relation! {
        views 12203;
        for (class, text) in |view| view.views();
        table_catalog: Name = view.database(),
        table_schema: Name = class.schema(),
        table_name: Name = &*class.name(),
        view_definition: Text = text,
        check_option: Text = standard::check_option(&class),
        is_updatable: Text = "NO",
        is_insertable_into: Text = "NO",
        is_trigger_updatable: Text = "NO",
        is_trigger_deletable: Text = "NO",
        is_trigger_insertable_into: Text = "NO",
    },
    relation! {
        columns 12204;
        for column in |view| view.table_columns();
        table_catalog: Name = view.database(),
        table_schema: Name = column.relation.schema(),
        table_name: Name = &*column.relation.name(),
        column_name: Name = column.name.as_str(),
        ordinal_position: Int4 = column.place,
        column_default: Text = standard::default(&column),
        is_nullable: Text = standard::yes(!column.not_null),
        data_type: Text = standard::type_name(column.data_type),
        character_maximum_length: Int4 = standard::character_length(column.data_type),
        character_octet_length: Int4 = standard::octet_length(column.data_type),
        numeric_precision: Int4 = standard::numeric_precision(column.data_type),
        numeric_precision_radix: Int4 = standard::numeric_radix(column.data_type),
        numeric_scale: Int4 = standard::numeric_scale(column.data_type),
        datetime_precision: Int4 = standard::time_precision(column.data_type),
        interval_type: Text = Value::Null,
        interval_precision: Int4 = Value::Null,
        character_set_catalog: Name = Value::Null,
        character_set_schema: Name = Value::Null,
        character_set_name: Name = Value::Null,
        collation_catalog: Name = Value::Null,
        collation_schema: Name = Value::Null,
        collation_name: Name = Value::Null,
        domain_catalog: Name = Value::Null,
        domain_schema: Name = Value::Null,
        domain_name: Name = Value::Null,
        udt_catalog: Name = view.database(),
        udt_schema: Name = standard::type_schema(column.data_type),
        udt_name: Name = standard::type_entry_name(column.data_type),
        scope_catalog: Name = Value::Null,
        scope_schema: Name = Value::Null,
        scope_name: Name = Value::Null,
        maximum_cardinality: Int4 = Value::Null,
        dtd_identifier: Name = column.place.to_string(),
        is_self_referencing: Text = "NO",
        is_identity: Text = standard::yes(column.identity() != '\0'),
        identity_generation: Text = standard::identity_generation(&column),
        identity_start: Text = standard::identity(view, &column).map(|of| of.start.to_string()),
        identity_increment: Text = standard::identity(view, &column).map(|of| of.increment.to_string()),
        identity_maximum: Text = standard::identity(view, &column).map(|of| of.max.to_string()),
        identity_minimum: Text = standard::identity(view, &column).map(|of| of.min.to_string()),
        identity_cycle: Text = standard::yes(standard::identity(view, &column).is_some_and(|of| of.cycle)),
        is_generated: Text = if column.generated() == '\0' { "NEVER" } else { "ALWAYS" },
        generation_expression: Text = standard::generation(&column),
        is_updatable: Text = standard::yes(standard::is_table(&column.relation)),
    },
    relation! {
        sequences 12205;
        for sequence in |view| standard::free_sequences(view);
        sequence_catalog: Name = view.database(),
        sequence_schema: Name = sequence.schema.as_str(),
        sequence_name: Name = sequence.name.as_str(),
        data_type: Text = standard::type_name(sequence.data_type),
        numeric_precision: Int4 = standard::numeric_precision(sequence.data_type),
        numeric_precision_radix: Int4 = standard::numeric_radix(sequence.data_type),
        numeric_scale: Int4 = standard::numeric_scale(sequence.data_type),
        start_value: Text = sequence.start.to_string(),
        minimum_value: Text = sequence.min.to_string(),
        maximum_value: Text = sequence.max.to_string(),
        increment: Text = sequence.increment.to_string(),
        cycle_option: Text = standard::yes(sequence.cycle),
    },
    relation! {
        element_types 12206;
        for (column, element) in |view| standard::array_columns(view);
        object_catalog: Name = view.database(),
        object_schema: Name = column.relation.schema(),
        object_name: Name = &*column.relation.name(),
        object_type: Text = "TABLE",
        collection_type_identifier: Name = column.place.to_string(),
        data_type: Text = standard::type_name(element),
        udt_catalog: Name = view.database(),
        udt_schema: Name = standard::type_schema(element),
        udt_name: Name = standard::type_entry_name(element),
        dtd_identifier: Name = format!("a{}", column.place),
    },
    relation! {
        view_table_usage 12207;
        for (class, used) in |view| standard::view_usage(view);
        view_catalog: Name = view.database(),
        view_schema: Name = class.schema(),
        view_name: Name = &*class.name(),
        table_catalog: Name = view.database(),
        table_schema: Name = used.schema(),
        table_name: Name = &*used.name(),
    },
    relation! {
        domains 12208;
        domain_catalog: Name,
        domain_schema: Name,
        domain_name: Name,
        data_type: Text,
        character_maximum_length: Int4,
        character_octet_length: Int4,
        character_set_catalog: Name,
        character_set_schema: Name,
        character_set_name: Name,
        collation_catalog: Name,
        collation_schema: Name,
        collation_name: Name,
        numeric_precision: Int4,
        numeric_precision_radix: Int4,
        numeric_scale: Int4,
        datetime_precision: Int4,
        interval_type: Text,
        interval_precision: Int4,
        domain_default: Text,
        udt_catalog: Name,
        udt_schema: Name,
        udt_name: Name,
        scope_catalog: Name,
        scope_schema: Name,
        scope_name: Name,
        maximum_cardinality: Int4,
        dtd_identifier: Name,
    },
    relation! {
        domain_constraints 12209;
        constraint_catalog: Name,
        constraint_schema: Name,
        constraint_name: Name,
        domain_catalog: Name,
        domain_schema: Name,
        domain_name: Name,
        is_deferrable: Text,
        initially_deferred: Text,
    },
    relation! {
        triggers 12210;
        trigger_catalog: Name,
        trigger_schema: Name,
        trigger_name: Name,
        event_manipulation: Text,
        event_object_catalog: Name,
        event_object_schema: Name,
        event_object_table: Name,
        action_order: Int4,
        action_condition: Text,
        action_statement: Text,
        action_orientation: Text,
        action_timing: Text,
        action_reference_old_table: Name,
        action_reference_new_table: Name,
        action_reference_old_row: Name,
        action_reference_new_row: Name,
        created: TimestampTz,
    },
    relation! {
        character_sets 12211;
        for name in |view| [view.database()];
        character_set_catalog: Name = Value::Null,
        character_set_schema: Name = Value::Null,
        character_set_name: Name = "UTF8",
        character_repertoire: Name = "UCS",
        form_of_use: Name = "UTF8",
        default_collate_catalog: Name = name,
        default_collate_schema: Name = "pg_catalog",
        default_collate_name: Name = "C",
    },
    relation! {
        collations 12212;
        for name in |_| ["default", "C", "POSIX"];
        collation_catalog: Name = Value::Null,
        collation_schema: Name = "pg_catalog",
        collation_name: Name = name,
        pad_attribute: Text = "NO PAD",
    },
];
