//! SQL types and values, shared by the language half and the executors.
//!
//! [`Value::parse`] reads PostgreSQL's input syntax of every type, `Display` (or
//! [`Value::display_in`] for a session's styles) writes its output, [`Value::cast`]
//! converts, [`Value::compare`] orders, and [`GroupKey`] hashes.

mod array;
pub mod calendar;
mod cast;
mod compare;
mod convert;
mod convert_nested;
mod convert_time;
mod data_type;
pub(crate) mod date_time_input;
pub(crate) mod decimal;
mod display;
mod element;
mod enum_labels;
mod enum_position;
mod enum_type;
mod enum_value;
pub(crate) mod input;
mod interval;
mod interval_display;
mod json;
mod object;
mod oid;
mod style;
mod time_tz;
mod time_zone;
mod value;

#[cfg(feature = "engine")]
pub(crate) use array::{ARRAY_SUBSCRIPT_ERROR, too_many_dimensions};
pub use array::{Array, Dimension, MAX_DIMENSIONS, MAX_ELEMENTS};
#[cfg(feature = "engine")]
pub(crate) use cast::date_timestamp;
pub use cast::{CastContext, Conversion};
pub use compare::{GroupKey, compare_floats, compare_sort_keys};
pub use convert::{FromValue, ToValue};
pub use data_type::{DataType, TypeCategory};
pub use decimal::Decimal;
pub use display::ValueDisplay;
#[cfg(feature = "engine")]
pub(crate) use display::write_hex;
#[cfg(feature = "engine")]
pub(crate) use element::ENUM_ELEMENT;
pub use element::{ElementType, RoundedTime};
pub use enum_labels::{EnumLabel, EnumPlace, new_enum_labels};
pub use enum_type::EnumType;
pub use enum_value::EnumValue;
pub use json::Json;
#[cfg(feature = "engine")]
pub(crate) use json::{index as json_index, raw_json, write_string as write_json_string};
pub use object::{ObjectClass, ObjectReference};
pub use oid::{FIRST_USER_OID, TYPES, TypeEntry};
pub(crate) use style::cast_depends_on_session;
pub use style::{DateLayout, DateOrder, DateStyle, IntervalStyle, TextStyle};
pub use time_tz::TimeTz;
pub use time_zone::TimeZone;
pub use value::{Interval, Value};

/// Takes from `rest` what it begins with, as far as its bytes, which are ASCII, are accepted.
pub(crate) fn take_while<'a>(rest: &mut &'a str, accept: impl Fn(u8) -> bool) -> &'a str {
    let end = rest
        .bytes()
        .position(|byte| !accept(byte))
        .unwrap_or(rest.len());
    let (taken, behind) = rest.split_at(end);
    *rest = behind;
    taken
}

/// The beginning of a text that an error message quotes: messages stay readable whatever the
/// input's size.
pub(crate) fn excerpt(text: &str) -> std::borrow::Cow<'_, str> {
    const LIMIT: usize = 200;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
