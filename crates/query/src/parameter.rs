//! Rust values as SQL parameters of a type.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use rustling_sql::{
    Decimal, Interval, Value,
    types::{Array as ArrayValue, Json as JsonValue},
};
use uuid::Uuid;

use crate::sql_type::{
    Array, BigInt, Boolean, Bytea, Date, DoublePrecision, Integer, Interval as SqlInterval, Json,
    Jsonb, Numeric, Real, SmallInt, Text, Time, Timestamp, TimestampTz, TinyInt, Uuid as SqlUuid,
};

/// A Rust type whose values can be those of a parameter of the SQL type `T`: nothing is cut or
/// rounded on the way. `Option` makes NULL of `None`.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` does not fit the SQL type `{T}`",
    label = "of the type `{Self}`, where SQL has `{T}`",
    note = "convert the value first, for example with `i32::try_from(value)`; a list is a `Vec`, slice or array of values that fit"
)]
pub trait Parameter<T> {
    /// The value.
    fn value(&self) -> Value;
}

macro_rules! convert {
    ($($sql:ty: $($rust:ty => |$value:ident| $make:expr),+;)*) => { $($(
        impl Parameter<$sql> for $rust {
            fn value(&self) -> Value {
                let $value = self;
                $make
            }
        }
    )+)* };
}

convert! {
    Boolean: bool => |v| Value::Boolean(*v);
    TinyInt: i8 => |v| Value::Int1(*v);
    SmallInt: i8 => |v| Value::Int2((*v).into()), u8 => |v| Value::Int2((*v).into()),
        i16 => |v| Value::Int2(*v);
    Integer: i8 => |v| Value::Int4((*v).into()), u8 => |v| Value::Int4((*v).into()),
        i16 => |v| Value::Int4((*v).into()), u16 => |v| Value::Int4((*v).into()),
        i32 => |v| Value::Int4(*v);
    BigInt: i8 => |v| Value::Int8((*v).into()), u8 => |v| Value::Int8((*v).into()),
        i16 => |v| Value::Int8((*v).into()), u16 => |v| Value::Int8((*v).into()),
        i32 => |v| Value::Int8((*v).into()), u32 => |v| Value::Int8((*v).into()),
        i64 => |v| Value::Int8(*v);
    Real: f32 => |v| Value::Float4(*v);
    DoublePrecision: f32 => |v| Value::Float8((*v).into()), f64 => |v| Value::Float8(*v),
        i32 => |v| Value::Float8((*v).into());
    Numeric: Decimal => |v| Value::Decimal(v.clone()),
        i16 => |v| Value::Decimal(i64::from(*v).into()),
        i32 => |v| Value::Decimal(i64::from(*v).into()),
        i64 => |v| Value::Decimal((*v).into()),
        u32 => |v| Value::Decimal(i64::from(*v).into()),
        u64 => |v| Value::Decimal(i128::from(*v).into());
    Text: str => |v| Value::from(v), String => |v| Value::from(v.as_str()),
        char => |v| Value::from(v.encode_utf8(&mut [0; 4]) as &str);
    Bytea: [u8] => |v| Value::from(v), Vec<u8> => |v| Value::from(v.as_slice());
    Date: jiff::civil::Date => |v| Value::from(*v);
    Time: jiff::civil::Time => |v| Value::from(*v);
    Timestamp: jiff::civil::DateTime => |v| Value::from(*v);
    TimestampTz: jiff::Timestamp => |v| Value::from(*v),
        jiff::Zoned => |v| Value::from(v.timestamp());
    SqlInterval: Interval => |v| Value::Interval(*v);
    SqlUuid: Uuid => |v| Value::Uuid(*v);
    Json: JsonValue => |v| Value::Json(v.to_string().into());
    Jsonb: JsonValue => |v| Value::Jsonb(Box::new(v.clone()));
}

impl<const N: usize> Parameter<Bytea> for [u8; N] {
    fn value(&self) -> Value {
        Value::from(self.as_slice())
    }
}

impl<T, V: Parameter<T>> Parameter<T> for Option<V> {
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Parameter::value)
    }
}

impl<T, V: Parameter<T>> Parameter<Array<T>> for [V] {
    fn value(&self) -> Value {
        let values = self.iter().map(Parameter::value).collect();
        Value::Array(Box::new(ArrayValue::new(values)))
    }
}

impl<T, V: Parameter<T>> Parameter<Array<T>> for Vec<V> {
    fn value(&self) -> Value {
        self.as_slice().value()
    }
}

impl<T, V: Parameter<T>, const N: usize> Parameter<Array<T>> for [V; N] {
    fn value(&self) -> Value {
        self.as_slice().value()
    }
}

macro_rules! through {
    ($($pointer:ty),*) => { $(
        impl<T, V: Parameter<T> + ?Sized> Parameter<T> for $pointer {
            fn value(&self) -> Value {
                (**self).value()
            }
        }
    )* };
}

through! { &V, &mut V, Box<V>, Rc<V>, Arc<V> }

impl<T, V: Parameter<T> + ToOwned + ?Sized> Parameter<T> for Cow<'_, V> {
    fn value(&self) -> Value {
        (**self).value()
    }
}
