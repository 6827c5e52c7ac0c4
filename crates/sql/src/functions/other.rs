//! The session and the rest.

use super::{Signature, table};

pub(super) const SIGNATURES: &[Signature] = table! {
    "gen_random_uuid" GenRandomUuid () -> Uuid;
    "version" Version () -> Text;
    "nextval" NextValue (Text) -> Int8;
    "currval" CurrentSequenceValue (Text) -> Int8;
    "lastval" LastSequenceValue () -> Int8;
    "setval" SetSequenceValue (Text, Int8) -> Int8;
    "setval" SetSequenceValue (Text, Int8, Boolean) -> Int8;
    "current_database" CurrentDatabase () -> Text;
    "current_schema" CurrentSchema () -> Text;
    "num_nulls" NumNulls (;Any) -> Int4 Never;
    "num_nonnulls" NumNonNulls (;Any) -> Int4 Never;
    "pg_typeof" TypeOf (Any) -> Text Never;
};
