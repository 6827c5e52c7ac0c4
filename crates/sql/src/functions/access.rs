//! Privileges.

use super::{Signature, table};

pub(super) const SIGNATURES: &[Signature] = table! {
    "has_table_privilege" HasTablePrivilege (Text, Text) -> Boolean;
    "has_table_privilege" HasTablePrivilege (Text, Text, Text) -> Boolean;
    "has_column_privilege" HasColumnPrivilege (Text, Text, Text) -> Boolean;
    "has_column_privilege" HasColumnPrivilege (Text, Text, Text, Text) -> Boolean;
    "has_any_column_privilege" HasAnyColumnPrivilege (Text, Text) -> Boolean;
    "has_any_column_privilege" HasAnyColumnPrivilege (Text, Text, Text) -> Boolean;
    "has_sequence_privilege" HasSequencePrivilege (Text, Text) -> Boolean;
    "has_sequence_privilege" HasSequencePrivilege (Text, Text, Text) -> Boolean;
    "has_schema_privilege" HasSchemaPrivilege (Text, Text) -> Boolean;
    "has_schema_privilege" HasSchemaPrivilege (Text, Text, Text) -> Boolean;
    "has_database_privilege" HasDatabasePrivilege (Text, Text) -> Boolean;
    "has_database_privilege" HasDatabasePrivilege (Text, Text, Text) -> Boolean;
    "has_database_privilege" HasDatabasePrivilege (Oid, Text) -> Boolean;
    "has_database_privilege" HasDatabasePrivilege (Text, Oid, Text) -> Boolean;
    "has_function_privilege" HasFunctionPrivilege (Text, Text) -> Boolean;
    "has_function_privilege" HasFunctionPrivilege (Text, Text, Text) -> Boolean;
    "pg_has_role" HasRole (Text, Text) -> Boolean;
    "pg_has_role" HasRole (Text, Text, Text) -> Boolean;
};
