//! Functions, and what the standard asks of an implementation to say of itself.

use crate::system::{SystemRelation, relation::relation};
#[cfg(feature = "engine")]
use crate::{
    Value,
    engine::system::{objects, standard},
};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        routines 12240;
        for function in |view| objects::functions();
        specific_catalog: Name = view.database(),
        specific_schema: Name = "pg_catalog",
        specific_name: Name = format!("{}_{}", function.name, function.oid),
        routine_catalog: Name = view.database(),
        routine_schema: Name = "pg_catalog",
        routine_name: Name = function.name,
        routine_type: Text = "FUNCTION",
        data_type: Text = objects::shown_type(function.returns),
        type_udt_schema: Name = "pg_catalog",
        routine_body: Text = "EXTERNAL",
        routine_definition: Text = Value::Null,
        external_name: Text = function.name,
        external_language: Text = "INTERNAL",
        parameter_style: Text = "GENERAL",
        is_deterministic: Text = standard::yes(function.volatility == 'i'),
        sql_data_access: Text = "MODIFIES",
        is_null_call: Text = standard::yes(function.strict),
        schema_level_routine: Text = "YES",
        security_type: Text = "INVOKER",
    },
    relation! {
        parameters 12241;
        for (function, place, argument) in |_| standard::parameters();
        specific_schema: Name = "pg_catalog",
        specific_name: Name = format!("{}_{}", function.name, function.oid),
        ordinal_position: Int4 = place,
        parameter_mode: Text = "IN",
        is_result: Text = "NO",
        as_locator: Text = "NO",
        parameter_name: Name = Value::Null,
        data_type: Text = objects::shown_type(argument),
        parameter_default: Text = Value::Null,
    },
    relation! {
        sql_implementation_info 12242;
        for (id, name, number, text) in |_| standard::implementation();
        implementation_info_id: Text = id,
        implementation_info_name: Text = name,
        integer_value: Int4 = number,
        character_value: Text = text,
        comments: Text = Value::Null,
    },
    relation! {
        sql_sizing 12243;
        for (id, name, value) in |_| standard::SIZING;
        sizing_id: Int4 = id,
        sizing_name: Text = name,
        supported_value: Int4 = value,
        comments: Text = Value::Null,
    },
];
