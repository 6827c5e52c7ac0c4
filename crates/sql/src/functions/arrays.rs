//! Functions on arrays (PostgreSQL 9.19).

use super::{Signature, table};

pub(super) const SIGNATURES: &[Signature] = table! {
    "array_append" ArrayAppend (AnyArray, AnyElement) -> AnyArray Never;
    "array_prepend" ArrayPrepend (AnyElement, AnyArray) -> AnyArray Never;
    "array_cat" ArrayCat (AnyArray, AnyArray) -> AnyArray Always;
    "array_length" ArrayLength (AnyArray, Int4) -> Int4 Always;
    "array_lower" ArrayLower (AnyArray, Int4) -> Int4 Always;
    "array_upper" ArrayUpper (AnyArray, Int4) -> Int4 Always;
    "array_ndims" ArrayNdims (AnyArray) -> Int4 Always;
    "array_dims" ArrayDims (AnyArray) -> Text Always;
    "cardinality" Cardinality (AnyArray) -> Int4;
    "array_position" ArrayPosition (AnyArray, AnyElement) -> Int4 Always;
    "array_position" ArrayPosition (AnyArray, AnyElement, Int4) -> Int4 Always;
    "array_positions" ArrayPositions (AnyArray, AnyElement) -> Int4Array Always;
    "array_remove" ArrayRemove (AnyArray, AnyElement) -> AnyArray Always;
    "array_replace" ArrayReplace (AnyArray, AnyElement, AnyElement) -> AnyArray Always;
    "array_to_string" ArrayToString (AnyArray, Text) -> Text;
    "array_to_string" ArrayToString (AnyArray, Text, Text) -> Text Always;
    "string_to_array" StringToArray (Text, Text) -> TextArray Always;
    "string_to_array" StringToArray (Text, Text, Text) -> TextArray Always;
    "array_fill" ArrayFill (AnyElement, Int4Array) -> AnyArray Always;
    "array_fill" ArrayFill (AnyElement, Int4Array, Int4Array) -> AnyArray Always;
    "trim_array" TrimArray (AnyArray, Int4) -> AnyArray;
    "arraycontains" ArrayContains (AnyArray, AnyArray) -> Boolean;
    "arraycontained" ArrayContained (AnyArray, AnyArray) -> Boolean;
    "arrayoverlap" ArrayOverlap (AnyArray, AnyArray) -> Boolean;
};
