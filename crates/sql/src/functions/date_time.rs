//! Functions on dates and times (PostgreSQL 9.8, 9.9). Fields of an infinite moment are NULL, so
//! what takes a field is always nullable.

use super::{Signature, table};

pub(super) const SIGNATURES: &[Signature] = table! {
    "extract" Extract (Text, Date) -> Decimal Always;
    "extract" Extract (Text, Time) -> Decimal;
    "extract" Extract (Text, Timestamp) -> Decimal Always;
    "extract" Extract (Text, TimestampTz) -> Decimal Always;
    "extract" Extract (Text, Interval) -> Decimal;
    "date_part" DatePart (Text, Date) -> Float8 Always;
    "date_part" DatePart (Text, Time) -> Float8;
    "date_part" DatePart (Text, Timestamp) -> Float8 Always;
    "date_part" DatePart (Text, TimestampTz) -> Float8 Always;
    "date_part" DatePart (Text, Interval) -> Float8;
    "date_trunc" DateTrunc (Text, Timestamp) -> Timestamp;
    "date_trunc" DateTrunc (Text, TimestampTz) -> TimestampTz;
    "date_trunc" DateTrunc (Text, Interval) -> Interval;
    "age" Age (Timestamp) -> Interval;
    "age" Age (TimestampTz) -> Interval;
    "age" Age (Timestamp, Timestamp) -> Interval;
    "age" Age (TimestampTz, TimestampTz) -> Interval;
    "now" Now () -> TimestampTz;
    "transaction_timestamp" Now () -> TimestampTz;
    "make_date" MakeDate (Int4, Int4, Int4) -> Date;
    "make_time" MakeTime (Int4, Int4, Float8) -> Time;
    "make_timestamp" MakeTimestamp (Int4, Int4, Int4, Int4, Int4, Float8) -> Timestamp;
    "make_interval" MakeInterval (Int4, Int4, Int4, Int4, Int4, Int4, Float8) -> Interval;
    "to_timestamp" ToTimestamp (Float8) -> TimestampTz;
    "to_timestamp" ToTimestamp (Text, Text) -> TimestampTz;
    "timezone" AtTimeZone (Text, Timestamp) -> TimestampTz;
    "timezone" AtTimeZone (Text, TimestampTz) -> Timestamp;
    "timezone" AtTimeZone (Interval, Timestamp) -> TimestampTz;
    "timezone" AtTimeZone (Interval, TimestampTz) -> Timestamp;
    "justify_hours" JustifyHours (Interval) -> Interval;
    "justify_days" JustifyDays (Interval) -> Interval;
    "justify_interval" JustifyInterval (Interval) -> Interval;
    "to_char" ToChar (Timestamp, Text) -> Text;
    "to_char" ToChar (TimestampTz, Text) -> Text;
    "to_char" ToChar (Interval, Text) -> Text;
    "to_char" ToChar (Int4, Text) -> Text;
    "to_char" ToChar (Int8, Text) -> Text;
    "to_char" ToChar (Decimal, Text) -> Text;
    "to_char" ToChar (Float8, Text) -> Text;
    "to_date" ToDate (Text, Text) -> Date;
    "to_number" ToNumber (Text, Text) -> Decimal;
};
