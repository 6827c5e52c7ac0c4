//! What the standard's views say, in its words.

use std::sync::Arc;

use crate::{
    DataType,
    catalog::{CheckOption, Deferral, ForeignKey, Sequence},
    engine::system::{
        SystemView,
        columns::ColumnEntry,
        constraints::{Constraint, ConstraintKind},
        objects,
        relations::{Part, Relation},
    },
    types::{EnumType, RoundedTime},
};

/// The standard's truth values.
pub(crate) fn yes(truth: bool) -> &'static str {
    if truth { "YES" } else { "NO" }
}

/// Tables and views.
pub(crate) fn tables(view: &SystemView) -> Vec<Relation> {
    view.relations(None)
        .into_iter()
        .filter(|relation| matches!(relation.kind(), 'r' | 'p' | 'v'))
        .collect()
}

/// Whether it is a user's table.
pub(crate) fn is_table(relation: &Relation) -> bool {
    matches!(relation.part, Part::Table(_)) && matches!(relation.kind(), 'r' | 'p')
}

pub(crate) fn table_type(relation: &Relation) -> &'static str {
    match (relation.kind(), relation.persistence()) {
        ('v', _) => "VIEW",
        (_, 't') => "LOCAL TEMPORARY",
        _ => "BASE TABLE",
    }
}

pub(crate) fn check_option(relation: &Relation) -> &'static str {
    let Part::Table(handle) = &relation.part else {
        return "NONE";
    };
    match handle.table.view().and_then(|view| view.check_option) {
        None => "NONE",
        Some(CheckOption::Local) => "LOCAL",
        Some(CheckOption::Cascaded) => "CASCADED",
    }
}

/// The type's name without lengths, in the standard's words.
pub(crate) fn type_name(data_type: DataType) -> String {
    match data_type {
        DataType::Array(_) => "ARRAY".to_owned(),
        DataType::Enum(_) => "USER-DEFINED".to_owned(),
        DataType::Varchar(_) => DataType::Varchar(None).to_string(),
        DataType::Decimal(_) => DataType::Decimal(None).to_string(),
        DataType::Char(_) => "character".to_owned(),
        other => other.of_values().to_string(),
    }
}

/// The type's name in `pg_type`.
pub(crate) fn type_entry_name(data_type: DataType) -> String {
    let name = match data_type.enum_type() {
        Some(of) => of.name(),
        None => data_type.entry().map_or("unknown", |entry| entry.name),
    };
    match data_type {
        DataType::Array(_) => format!("_{name}"),
        _ => name.to_owned(),
    }
}

/// The schema of the type.
pub(crate) fn type_schema(data_type: DataType) -> &'static str {
    data_type.enum_type().map_or("pg_catalog", EnumType::schema)
}

pub(crate) fn character_length(data_type: DataType) -> Option<i32> {
    match data_type {
        DataType::Varchar(Some(length)) | DataType::Char(length) => i32::try_from(length).ok(),
        _ => None,
    }
}

/// Bytes that a string takes at most: four for a character, 1 GiB without a limit.
pub(crate) fn octet_length(data_type: DataType) -> Option<i32> {
    match data_type {
        DataType::Varchar(Some(length)) | DataType::Char(length) => {
            i32::try_from(length).ok()?.checked_mul(4)
        }
        DataType::Text | DataType::Varchar(None) => Some(1 << 30),
        _ => None,
    }
}

pub(crate) fn numeric_precision(data_type: DataType) -> Option<i32> {
    match data_type {
        DataType::Int1 => Some(8),
        DataType::Int2 => Some(16),
        DataType::Int4 => Some(32),
        DataType::Int8 => Some(64),
        DataType::Float4 => Some(24),
        DataType::Float8 => Some(53),
        DataType::Decimal(Some((precision, _))) => Some(i32::from(precision)),
        _ => None,
    }
}

pub(crate) fn numeric_radix(data_type: DataType) -> Option<i32> {
    match data_type {
        DataType::Decimal(_) => Some(10),
        other => other.is_numeric().then_some(2),
    }
}

pub(crate) fn numeric_scale(data_type: DataType) -> Option<i32> {
    match data_type {
        DataType::Decimal(Some((_, scale))) => Some(i32::from(scale)),
        other => other.is_integer().then_some(0),
    }
}

pub(crate) fn time_precision(data_type: DataType) -> Option<i32> {
    match data_type {
        DataType::Date => Some(0),
        DataType::Time
        | DataType::TimeTz
        | DataType::Timestamp
        | DataType::TimestampTz
        | DataType::Interval => Some(6),
        DataType::Rounded(
            RoundedTime::Time
            | RoundedTime::TimeTz
            | RoundedTime::Timestamp
            | RoundedTime::TimestampTz
            | RoundedTime::Interval,
            digits,
        ) => Some(i32::from(digits)),
        _ => None,
    }
}

/// A column's default; what computes a generated column is none.
pub(crate) fn default(column: &ColumnEntry) -> Option<&str> {
    column.default().filter(|_| column.generated() == '\0')
}

pub(crate) fn generation(column: &ColumnEntry) -> Option<&str> {
    column.default().filter(|_| column.generated() != '\0')
}

pub(crate) fn identity_generation(column: &ColumnEntry) -> Option<&'static str> {
    match column.identity() {
        'a' => Some("ALWAYS"),
        'd' => Some("BY DEFAULT"),
        _ => None,
    }
}

/// The sequence of an identity column.
pub(crate) fn identity(view: &SystemView, column: &ColumnEntry) -> Option<Arc<Sequence>> {
    let identity = column.of_table.as_ref()?.identity?;
    view.catalog.sequence_by_id(identity.sequence)
}

/// The sequences that are not part of identity columns.
pub(crate) fn free_sequences(view: &SystemView) -> Vec<Arc<Sequence>> {
    let of_identities: Vec<_> = view
        .catalog
        .handles()
        .flat_map(|handle| &handle.table.columns)
        .filter_map(|column| column.identity.map(|identity| identity.sequence))
        .collect();
    view.sequences()
        .into_iter()
        .filter(|sequence| !of_identities.contains(&sequence.id))
        .collect()
}

/// Columns that are arrays, with the type of their elements.
pub(crate) fn array_columns(view: &SystemView) -> Vec<(ColumnEntry, DataType)> {
    view.table_columns()
        .into_iter()
        .filter_map(|column| match column.data_type {
            DataType::Array(element) => Some((column, element.data_type())),
            _ => None,
        })
        .collect()
}

/// Views, each with a table or view that it reads.
pub(crate) fn view_usage(view: &SystemView) -> Vec<(Relation, Relation)> {
    let mut usage = Vec::new();
    for relation in view.tables() {
        let Some(of) = relation.table().and_then(|table| table.view()) else {
            continue;
        };
        for id in &of.reads {
            if let Some(used) = view.relation(id.oid()) {
                usage.push((relation.clone(), used));
            }
        }
    }
    usage
}

/// A constraint as the standard counts them: NOT NULL is one.
pub(crate) struct StandardConstraint {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) words: &'static str,
    pub(crate) deferral: Deferral,
}

fn not_nulls(view: &SystemView) -> Vec<(Relation, ColumnEntry, String)> {
    let mut all = Vec::new();
    for relation in view.tables() {
        for column in relation.columns() {
            if column.not_null {
                // PostgreSQL's names for what has none.
                let name = format!(
                    "{}_{}_{}_not_null",
                    view.schema_oid(relation.schema()),
                    relation.oid,
                    column.number
                );
                all.push((relation.clone(), column, name));
            }
        }
    }
    all
}

/// Every constraint.
pub(crate) fn constraints(view: &SystemView) -> Vec<StandardConstraint> {
    let mut all: Vec<StandardConstraint> = view
        .constraints(None)
        .into_iter()
        .map(|constraint| StandardConstraint {
            schema: constraint.schema().to_owned(),
            table: constraint.table_name().to_owned(),
            name: constraint.name(),
            words: constraint.words(),
            deferral: constraint.deferral(),
        })
        .collect();
    for (relation, _, name) in not_nulls(view) {
        all.push(StandardConstraint {
            schema: relation.schema().to_owned(),
            table: relation.name().into_owned(),
            name,
            words: "CHECK",
            deferral: Deferral::Never,
        });
    }
    all
}

/// The columns of keys: constraint, column, its place, and its place in the key referred to.
pub(crate) fn key_columns(view: &SystemView) -> Vec<(Constraint, String, i32, Option<i32>)> {
    let mut all = Vec::new();
    for constraint in view.constraints(None) {
        if let ConstraintKind::Check(_) = constraint.kind {
            continue;
        }
        let referred: Vec<String> = constraint
            .reference(view)
            .map(|reference| reference.parent_columns())
            .unwrap_or_default();
        let unique: Vec<String> = constraint
            .reference(view)
            .and_then(|reference| reference.unique(view))
            .map(|unique| unique.column_names())
            .unwrap_or_default();
        for (at, column) in constraint.column_names().into_iter().enumerate() {
            let place = |at: usize| i32::try_from(at + 1).unwrap_or(i32::MAX);
            let in_unique = referred
                .get(at)
                .and_then(|name| unique.iter().position(|of| of == name))
                .map(place);
            all.push((constraint.clone(), column, place(at), in_unique));
        }
    }
    all
}

/// Foreign keys, each with the key that it refers to.
pub(crate) fn references(view: &SystemView) -> Vec<(Constraint, ForeignKey, Option<Constraint>)> {
    view.constraints(None)
        .into_iter()
        .filter_map(|constraint| {
            let reference = constraint.reference(view)?;
            let (key, unique) = (reference.key.clone(), reference.unique(view));
            Some((constraint, key, unique))
        })
        .collect()
}

/// CHECK constraints: schema, name and condition.
pub(crate) fn checks(view: &SystemView) -> Vec<(String, String, String)> {
    let mut all: Vec<(String, String, String)> = view
        .constraints(None)
        .into_iter()
        .filter_map(|constraint| {
            let check = constraint.check()?;
            let text = format!("({})", check.text);
            Some((constraint.schema().to_owned(), check.name.clone(), text))
        })
        .collect();
    for (relation, column, name) in not_nulls(view) {
        let text = format!("{} IS NOT NULL", column.name);
        all.push((relation.schema().to_owned(), name, text));
    }
    all
}

/// The columns that constraints are on; of foreign keys, those that they refer to.
pub(crate) fn constraint_columns(view: &SystemView) -> Vec<(Constraint, String, String, String)> {
    let mut all = Vec::new();
    for constraint in view.constraints(None) {
        let (schema, table, columns) = match constraint.reference(view) {
            Some(reference) => match &reference.parent {
                Some(parent) => (
                    parent.table.schema.clone(),
                    parent.table.name.clone(),
                    reference.parent_columns(),
                ),
                None => continue,
            },
            None => (
                constraint.schema().to_owned(),
                constraint.table_name().to_owned(),
                constraint.column_names(),
            ),
        };
        for column in columns {
            all.push((constraint.clone(), schema.clone(), table.clone(), column));
        }
    }
    all
}

/// The tables that constraints are on; of foreign keys, those that they refer to.
pub(crate) fn constraint_tables(view: &SystemView) -> Vec<(Constraint, String, String)> {
    view.constraints(None)
        .into_iter()
        .filter(|constraint| !matches!(constraint.kind, ConstraintKind::Check(_)))
        .map(|constraint| {
            let parent = constraint
                .reference(view)
                .and_then(|reference| reference.parent)
                .map(|parent| (parent.table.schema.clone(), parent.table.name.clone()));
            let (schema, table) = parent.unwrap_or_else(|| {
                (
                    constraint.schema().to_owned(),
                    constraint.table_name().to_owned(),
                )
            });
            (constraint, schema, table)
        })
        .collect()
}

/// The arguments of functions.
pub(crate) fn parameters() -> Vec<(&'static objects::Function, i32, u32)> {
    objects::functions()
        .flat_map(|function| {
            function
                .arguments
                .iter()
                .enumerate()
                .map(move |(at, argument)| {
                    (
                        function,
                        i32::try_from(at + 1).unwrap_or(i32::MAX),
                        *argument,
                    )
                })
        })
        .collect()
}

/// What the standard asks an implementation to say of itself.
pub(crate) fn implementation() -> Vec<(&'static str, &'static str, Option<i32>, Option<String>)> {
    let text = |text: &str| Some(text.to_owned());
    vec![
        ("17", "DBMS NAME", None, text("RustlingDB")),
        ("18", "DBMS VERSION", None, text(env!("CARGO_PKG_VERSION"))),
        ("23", "CURSOR COMMIT BEHAVIOR", Some(1), None),
        ("26", "DEFAULT TRANSACTION ISOLATION", Some(2), None),
        ("28", "IDENTIFIER CASE", Some(3), None),
        ("46", "TRANSACTION CAPABLE", Some(2), None),
        ("85", "NULL COLLATION", Some(0), None),
        ("94", "SPECIAL CHARACTERS", None, text("_$")),
    ]
}

/// Limits, as the standard names them; 0: there is none.
pub(crate) const SIZING: [(i32, &str, i32); 8] = [
    (34, "MAXIMUM CATALOG NAME LENGTH", 63),
    (30, "MAXIMUM COLUMN NAME LENGTH", 63),
    (97, "MAXIMUM COLUMNS IN GROUP BY", 0),
    (99, "MAXIMUM COLUMNS IN ORDER BY", 0),
    (100, "MAXIMUM COLUMNS IN SELECT", 0),
    (101, "MAXIMUM COLUMNS IN TABLE", 1600),
    (32, "MAXIMUM SCHEMA NAME LENGTH", 63),
    (35, "MAXIMUM TABLE NAME LENGTH", 63),
];
