//! Functions on the system catalog and the session (PostgreSQL 9.26, 9.27).

use super::{Parameter, Returns, Signature};
use crate::{
    bound::{ScalarFunction, SystemFunction},
    types::{DataType, ElementType, ObjectClass},
};

/// Lists overloads: `"name" Function (parameter types) -> result nullability;`.
macro_rules! system {
    ($($name:literal $function:ident ($($parameter:ident),*) -> $returns:ident $nullability:ident;)*) => {
        &[$(Signature {
            name: $name,
            function: ScalarFunction::System(SystemFunction::$function),
            parameters: &[$(Parameter::Type(type_of!($parameter)),)*],
            variadic: false,
            returns: Returns::Type(type_of!($returns)),
            nullability: super::Nullability::$nullability,
        },)*]
    };
}

macro_rules! type_of {
    (RegClass) => {
        DataType::Object(ObjectClass::Relation)
    };
    (RegType) => {
        DataType::Object(ObjectClass::Type)
    };
    (RegProc) => {
        DataType::Object(ObjectClass::Function)
    };
    (RegNamespace) => {
        DataType::Object(ObjectClass::Schema)
    };
    (RegRole) => {
        DataType::Object(ObjectClass::Role)
    };
    (NameArray) => {
        DataType::Array(ElementType::NAME)
    };
    (Int4Array) => {
        DataType::Array(ElementType::INT4)
    };
    (Decimal) => {
        DataType::Decimal(None)
    };
    ($type:ident) => {
        DataType::$type
    };
}

pub(super) const SIGNATURES: &[Signature] = system! {
    "format_type" FormatType (Oid, Int4) -> Text Always;
    "pg_get_expr" Expression (Text, Oid) -> Text Always;
    "pg_get_expr" Expression (Text, Oid, Boolean) -> Text Always;
    "pg_get_constraintdef" ConstraintDefinition (Oid) -> Text Always;
    "pg_get_constraintdef" ConstraintDefinition (Oid, Boolean) -> Text Always;
    "pg_get_indexdef" IndexDefinition (Oid) -> Text Always;
    "pg_get_indexdef" IndexDefinition (Oid, Int4, Boolean) -> Text Always;
    "pg_get_viewdef" ViewDefinition (Oid) -> Text Always;
    "pg_get_viewdef" ViewDefinition (Oid, Boolean) -> Text Always;
    "pg_get_viewdef" ViewDefinition (Oid, Int4) -> Text Always;
    "pg_get_viewdef" ViewDefinition (RegClass) -> Text Always;
    "pg_get_viewdef" ViewDefinition (RegClass, Boolean) -> Text Always;
    "pg_get_ruledef" RuleDefinition (Oid) -> Text Always;
    "pg_get_ruledef" RuleDefinition (Oid, Boolean) -> Text Always;
    "pg_get_triggerdef" NoDefinition (Oid) -> Text Always;
    "pg_get_triggerdef" NoDefinition (Oid, Boolean) -> Text Always;
    "pg_get_statisticsobjdef" NoDefinition (Oid) -> Text Always;
    "pg_get_statisticsobjdef_columns" NoDefinition (Oid) -> Text Always;
    "pg_get_partkeydef" PartitionKey (Oid) -> Text Always;
    "pg_get_partition_constraintdef" NoDefinition (Oid) -> Text Always;
    "pg_get_function_sqlbody" NoDefinition (Oid) -> Text Always;
    "pg_get_functiondef" NoDefinition (Oid) -> Text Always;
    "pg_get_function_arg_default" NoDefinition (Oid, Int4) -> Text Always;
    "pg_get_function_arguments" FunctionArguments (Oid) -> Text Always;
    "pg_get_function_identity_arguments" FunctionArguments (Oid) -> Text Always;
    "pg_get_function_result" FunctionResult (Oid) -> Text Always;
    "pg_get_serial_sequence" SerialSequence (Text, Text) -> Text Always;
    "pg_get_userbyid" UserById (Oid) -> Name Always;
    "pg_encoding_to_char" EncodingName (Int4) -> Name Always;
    "pg_char_to_encoding" EncodingNumber (Name) -> Int4 Always;
    "getdatabaseencoding" ClientEncoding () -> Name Never;
    "pg_client_encoding" ClientEncoding () -> Name Never;
    "pg_table_is_visible" RelationIsVisible (Oid) -> Boolean Always;
    "pg_type_is_visible" TypeIsVisible (Oid) -> Boolean Always;
    "pg_function_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_operator_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_opclass_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_opfamily_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_collation_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_conversion_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_statistics_obj_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_ts_config_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_ts_dict_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_ts_parser_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "pg_ts_template_is_visible" ObjectIsVisible (Oid) -> Boolean Always;
    "obj_description" ObjectDescription (Oid) -> Text Always;
    "obj_description" ObjectDescription (Oid, Name) -> Text Always;
    "col_description" ColumnDescription (Oid, Int4) -> Text Always;
    "shobj_description" ObjectDescription (Oid, Name) -> Text Always;
    "current_schemas" CurrentSchemas (Boolean) -> NameArray Strict;
    "pg_relation_size" RelationSize (RegClass) -> Int8 Always;
    "pg_relation_size" RelationSize (RegClass, Text) -> Int8 Always;
    "pg_table_size" RelationSize (RegClass) -> Int8 Always;
    "pg_indexes_size" IndexesSize (RegClass) -> Int8 Always;
    "pg_total_relation_size" TotalRelationSize (RegClass) -> Int8 Always;
    "pg_database_size" DatabaseSize (Name) -> Int8 Always;
    "pg_database_size" DatabaseSize (Oid) -> Int8 Always;
    "pg_tablespace_size" DatabaseSize (Name) -> Int8 Always;
    "pg_tablespace_size" DatabaseSize (Oid) -> Int8 Always;
    "pg_tablespace_location" TablespaceLocation (Oid) -> Text Strict;
    "pg_size_pretty" SizePretty (Int8) -> Text Strict;
    "pg_size_pretty" SizePretty (Decimal) -> Text Strict;
    "pg_relation_filenode" RelationFile (RegClass) -> Oid Always;
    "pg_relation_is_publishable" RelationIsStored (RegClass) -> Boolean Always;
    "pg_relation_is_updatable" RelationIsUpdatable (RegClass, Boolean) -> Int4 Always;
    "pg_column_is_updatable" ColumnIsUpdatable (RegClass, Int2, Boolean) -> Boolean Always;
    "pg_sequence_last_value" SequenceLastValue (RegClass) -> Int8 Always;
    "pg_postmaster_start_time" StartTime () -> TimestampTz Never;
    "pg_conf_load_time" StartTime () -> TimestampTz Never;
    "pg_backend_pid" BackendPid () -> Int4 Never;
    "pg_cancel_backend" CancelBackend (Int4) -> Boolean Strict;
    "pg_terminate_backend" TerminateBackend (Int4) -> Boolean Strict;
    "pg_is_in_recovery" IsInRecovery () -> Boolean Never;
    "pg_is_wal_replay_paused" IsInRecovery () -> Boolean Never;
    "pg_is_other_temp_schema" IsOtherTemporarySchema (Oid) -> Boolean Always;
    "pg_my_temp_schema" MyTemporarySchema () -> Oid Never;
    "txid_current" TransactionNumber () -> Int8 Never;
    "txid_current_if_assigned" TransactionNumber () -> Int8 Never;
    "pg_current_xact_id" TransactionNumber () -> Int8 Never;
    "current_setting" CurrentSetting (Text) -> Text Always;
    "current_setting" CurrentSetting (Text, Boolean) -> Text Always;
    "set_config" SetConfig (Text, Text, Boolean) -> Text Always;
    "pg_notify" Notify (Text, Text) -> Text Never;
    "inet_server_addr" NoAddress () -> Text Always;
    "inet_client_addr" NoAddress () -> Text Always;
    "inet_server_port" NoPort () -> Int4 Always;
    "inet_client_port" NoPort () -> Int4 Always;
    "to_regclass" FindRelation (Text) -> RegClass Always;
    "to_regtype" FindType (Text) -> RegType Always;
    "to_regproc" FindFunction (Text) -> RegProc Always;
    "to_regnamespace" FindSchema (Text) -> RegNamespace Always;
    "to_regrole" FindRole (Text) -> RegRole Always;
    "pg_blocking_pids" BlockingPids (Int4) -> Int4Array Strict;
    "pg_index_column_has_property" IndexColumnProperty (RegClass, Int4, Text) -> Boolean Always;
    "row_security_active" RowSecurityActive (Oid) -> Boolean Strict;
    "row_security_active" RowSecurityActive (Text) -> Boolean Strict;
};
