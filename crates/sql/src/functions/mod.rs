//! The signatures of functions: names, parameter types, result types, nullability. They are
//! PostgreSQL's; what the functions compute stands in the engine's evaluator.

mod access;
mod aggregates;
mod arrays;
mod date_time;
mod json;
mod numeric;
mod other;
mod resolve;
mod strings;
mod system;
mod tables;

use crate::{bound::ScalarFunction, types::DataType};

pub use aggregates::{AggregateError, aggregate, aggregate_names, hypothetical, is_ordered_set};
pub(crate) use resolve::{Resolution, resolve};
pub use tables::{is_table_function, table_function, table_function_column};

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A value of that type; lengths and precisions do not matter.
    Type(DataType),
    /// A value of any type.
    Any,
    /// An array; of several, and of [`Parameter::AnyElement`], the elements have one type.
    AnyArray,
    /// A value of the type of the arrays' elements.
    AnyElement,
}

/// The type of a function's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// That type.
    Type(DataType),
    /// The type of the arrays.
    AnyArray,
    /// The type of the arrays' elements.
    AnyElement,
}

/// Whether a function's value can be NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nullability {
    /// Only if an argument is NULL.
    Strict,
    /// Never.
    Never,
    /// Whatever the arguments.
    Always,
    /// If the first argument is NULL.
    First,
}

/// One overload of a function.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Its name in SQL.
    pub name: &'static str,
    /// Which function.
    pub function: ScalarFunction,
    /// What it takes.
    pub parameters: &'static [Parameter],
    /// Whether the last parameter may be repeated.
    pub variadic: bool,
    /// What it gives.
    pub returns: Returns,
    /// Whether that can be NULL.
    pub nullability: Nullability,
}

/// Lists overloads: `"name" Function (parameter types) -> result [nullability];`. A type after
/// `;` may be repeated, and must be given once at least.
macro_rules! table {
    ($($name:literal $function:ident ($($parameter:ident),* $(; $variadic:ident)?) -> $returns:ident $($nullability:ident)?;)*) => {
        &[$(
            $crate::functions::Signature {
                name: $name,
                function: $crate::bound::ScalarFunction::$function,
                parameters: &[
                    $($crate::functions::parameter!($parameter),)*
                    $($crate::functions::parameter!($variadic),)?
                ],
                variadic: $crate::functions::is_given!($($variadic)?),
                returns: $crate::functions::returns!($returns),
                nullability: $crate::functions::nullability!($($nullability)?),
            },
        )*]
    };
}

macro_rules! is_given {
    () => {
        false
    };
    ($name:ident) => {
        true
    };
}

macro_rules! parameter {
    (Any) => {
        $crate::functions::Parameter::Any
    };
    (AnyArray) => {
        $crate::functions::Parameter::AnyArray
    };
    (AnyElement) => {
        $crate::functions::Parameter::AnyElement
    };
    ($name:ident) => {
        $crate::functions::Parameter::Type($crate::functions::data_type!($name))
    };
}

macro_rules! returns {
    (AnyArray) => {
        $crate::functions::Returns::AnyArray
    };
    (AnyElement) => {
        $crate::functions::Returns::AnyElement
    };
    ($name:ident) => {
        $crate::functions::Returns::Type($crate::functions::data_type!($name))
    };
}

macro_rules! data_type {
    (TextArray) => {
        $crate::types::DataType::Array($crate::types::ElementType::TEXT)
    };
    (Int4Array) => {
        $crate::types::DataType::Array($crate::types::ElementType::INT4)
    };
    (Decimal) => {
        $crate::types::DataType::Decimal(None)
    };
    ($name:ident) => {
        $crate::types::DataType::$name
    };
}

macro_rules! nullability {
    () => {
        $crate::functions::Nullability::Strict
    };
    ($name:ident) => {
        $crate::functions::Nullability::$name
    };
}

use {data_type, is_given, nullability, parameter, returns, table};

/// Every overload, group by group.
fn groups() -> [&'static [Signature]; 8] {
    [
        numeric::SIGNATURES,
        strings::SIGNATURES,
        date_time::SIGNATURES,
        other::SIGNATURES,
        access::SIGNATURES,
        arrays::SIGNATURES,
        json::SIGNATURES,
        system::SIGNATURES,
    ]
}

/// Every overload of every scalar function with ordinary call syntax.
pub fn signatures() -> impl Iterator<Item = &'static Signature> {
    groups().into_iter().flatten()
}

/// The overloads of that name.
pub fn overloads(name: &str) -> Vec<&'static Signature> {
    signatures()
        .filter(|signature| signature.name == name)
        .collect()
}

/// Functions with rules of their own: any number of arguments, of one type.
pub const CONDITIONAL: [&str; 4] = ["coalesce", "nullif", "greatest", "least"];

/// Functions whose values follow from the enumerated type of their arguments.
pub const OF_ENUMS: [&str; 3] = ["enum_first", "enum_last", "enum_range"];

/// The names of all functions, aggregates included, for suggestions and completion.
pub fn names() -> impl Iterator<Item = &'static str> {
    let mut previous = "";
    signatures()
        .map(|signature| signature.name)
        .filter(move |name| std::mem::replace(&mut previous, name) != *name)
        .chain(CONDITIONAL)
        .chain(OF_ENUMS)
        .chain(aggregate_names())
}

/// Names of the arguments that may be given as `name => value`, with their defaults' absence.
pub(crate) const MAKE_INTERVAL: [&str; 7] =
    ["years", "months", "weeks", "days", "hours", "mins", "secs"];
