//! Types as `pg_type` lists them, and what else is known of them.

use crate::{
    DataType, Value,
    binder::can_cast,
    engine::system::{columns, names::reference_named, objects},
    system::oids,
    types::{CastContext, ElementType, TYPES, TypeEntry},
};

/// A type as `pg_type` lists it.
#[derive(Clone, Debug)]
pub(crate) struct TypeRow {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) size: i16,
    pub(crate) by_value: bool,
    /// `typtype`: `b`ase, `c`omposite, `d`omain, `e`numerated, `p`seudo.
    pub(crate) kind: char,
    pub(crate) category: char,
    pub(crate) preferred: bool,
    /// The type of an array's elements.
    pub(crate) element: u32,
    /// The type of its arrays.
    pub(crate) array: u32,
    pub(crate) alignment: char,
    pub(crate) storage: char,
    pub(crate) collation: u32,
    /// The number of its schema.
    pub(crate) schema: u32,
    pub(crate) owner: u32,
    /// The table whose rows it is of.
    pub(crate) relation: u32,
    /// What it is a domain over, and with which length or precision.
    pub(crate) base: u32,
    pub(crate) modifier: i32,
    pub(crate) not_null: bool,
    pub(crate) default: Option<String>,
    /// Whether it is more than a name.
    pub(crate) defined: bool,
    /// The type that it is, or whose arrays it is of.
    pub(super) of: DataType,
}

impl TypeRow {
    /// A row of which little is known yet: of a type that a user has made.
    pub(crate) fn of_user(oid: u32, name: &str, of: DataType) -> TypeRow {
        TypeRow {
            oid,
            name: name.to_owned(),
            size: -1,
            by_value: false,
            kind: 'b',
            category: 'U',
            preferred: false,
            element: 0,
            array: 0,
            alignment: 'd',
            storage: 'x',
            collation: 0,
            schema: oids::PG_CATALOG_SCHEMA,
            owner: oids::OWNER,
            relation: 0,
            base: 0,
            modifier: -1,
            not_null: false,
            default: None,
            defined: true,
            of,
        }
    }
}

fn base_row(entry: &TypeEntry) -> TypeRow {
    let of = entry.data_type;
    TypeRow {
        size: entry.size,
        by_value: columns::by_value(of),
        kind: if of == DataType::Unknown { 'p' } else { 'b' },
        category: entry.category,
        preferred: matches!(
            of,
            DataType::Boolean
                | DataType::Float8
                | DataType::Text
                | DataType::TimestampTz
                | DataType::Interval
                | DataType::Oid
        ),
        element: match of {
            DataType::Int2Vector | DataType::OidVector => of.element().map_or(0, DataType::oid),
            _ => 0,
        },
        array: entry.array,
        alignment: columns::alignment(of),
        storage: columns::storage(of),
        collation: columns::collation(of),
        ..TypeRow::of_user(entry.oid, entry.name, of)
    }
}

/// Every type that is part of the system, or the one with that number.
pub(crate) fn system_types(only: Option<&Value>) -> Vec<TypeRow> {
    let only = only.and_then(Value::as_integer);
    let wanted = |oid: u32| only.is_none_or(|only| only == i64::from(oid));
    let mut rows = Vec::new();
    for entry in TYPES {
        if wanted(entry.oid) {
            rows.push(base_row(entry));
        }
        let array = DataType::from_oid(entry.array).filter(|of| matches!(of, DataType::Array(_)));
        if let Some(array) = array
            && wanted(entry.array)
        {
            rows.push(TypeRow {
                category: 'A',
                element: entry.oid,
                alignment: if columns::alignment(entry.data_type) == 'd' {
                    'd'
                } else {
                    'i'
                },
                collation: columns::collation(entry.data_type),
                ..TypeRow::of_user(entry.array, &format!("_{}", entry.name), array)
            });
        }
    }
    for (oid, name) in objects::PSEUDO_TYPES {
        if wanted(oid) {
            rows.push(TypeRow {
                size: 4,
                by_value: true,
                kind: 'p',
                category: 'P',
                alignment: 'i',
                storage: 'p',
                ..TypeRow::of_user(oid, name, DataType::Unknown)
            });
        }
    }
    rows
}

/// No function.
pub(crate) fn none() -> Value {
    reference_named(0, "-")
}

/// The function's name.
pub(crate) fn function(function: &objects::Function) -> Value {
    reference_named(function.oid, function.name)
}

/// The functions that read and write a type's values are part of the type: they have PostgreSQL's
/// names, by which clients tell arrays from others, and no entry in `pg_proc`.
pub(crate) fn input(of: &TypeRow, suffix: &str) -> Value {
    let stem = match of.of {
        _ if of.kind == 'c' => "record_".to_owned(),
        _ if of.kind == 'd' => "domain_".to_owned(),
        DataType::Enum(_) => "enum_".to_owned(),
        DataType::Array(_) => "array_".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Date
        | DataType::Time
        | DataType::Timestamp
        | DataType::TimestampTz
        | DataType::Interval
        | DataType::Decimal(_)
        | DataType::Uuid
        | DataType::Json
        | DataType::Jsonb => format!("{}_", of.name),
        _ => of.name.clone(),
    };
    let name = format!("{stem}{suffix}");
    reference_named(objects::number(&name, &[]), name)
}

/// The number of the function of that name that reads or writes a type's values.
pub(crate) fn input_named(name: &str) -> Option<u32> {
    let is_one = system_types(None).iter().any(|of| {
        ["in", "out", "recv", "send"]
            .into_iter()
            .any(|suffix| matches!(input(of, suffix), Value::Object(found) if found.name == name))
    });
    is_one.then(|| objects::number(name, &[]))
}

/// What subscripts of a type's values do.
pub(crate) fn subscripting(of: &TypeRow) -> Value {
    match of.of {
        DataType::Array(_) => reference_named(6179, "array_subscript_handler"),
        DataType::Int2Vector | DataType::OidVector => {
            reference_named(6180, "raw_array_subscript_handler")
        }
        DataType::Jsonb => reference_named(6098, "jsonb_subscript_handler"),
        _ => none(),
    }
}

/// The types that can be keys of indexes.
pub(crate) fn indexable() -> impl Iterator<Item = &'static TypeEntry> {
    TYPES
        .iter()
        .filter(|entry| !matches!(entry.data_type, DataType::Unknown | DataType::Json))
}

/// The number of the operator class that orders a type.
pub(crate) fn operator_class(data_type: DataType) -> u32 {
    9000 + data_type.entry().map_or(0, |entry| entry.oid)
}

/// Conversions between types: from, to, and where they happen by themselves.
pub(crate) fn casts() -> Vec<(u32, u32, char)> {
    let mut casts = Vec::new();
    for from in TYPES {
        for to in TYPES {
            let (source, target) = (from.data_type, to.data_type);
            if source == target
                || source == DataType::Unknown
                || target == DataType::Unknown
                || ElementType::of(source).is_none()
                || ElementType::of(target).is_none()
            {
                continue;
            }
            let context = [
                (CastContext::Implicit, 'i'),
                (CastContext::Assignment, 'a'),
                (CastContext::Explicit, 'e'),
            ]
            .into_iter()
            .find(|(context, _)| can_cast(source, target, *context));
            // Text is read and written by every type's own functions.
            let by_text = source.is_string() != target.is_string();
            if let Some((_, letter)) = context
                && !by_text
            {
                casts.push((from.oid, to.oid, letter));
            }
        }
    }
    casts
}
