//! What a database has that its migrations do not make, and the other way round.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::TABLE;
use crate::{
    catalog::{
        CatalogReader, CheckOption, Column, Deferral, ForeignKey, Index, IndexColumn,
        PartitionBound, RangeEnd, ReferentialAction, Sequence, SequenceId, Table, TableId,
        TableStorage,
        named_type::{NamedType, NamedTypeKind},
    },
    error::Result,
    types::Value,
};

/// Compares two catalogs; a line for each difference: tables, views, columns, keys, constraints,
/// indexes, types and sequences. Neither the table of migrations nor what is temporary counts, nor
/// do comments, privileges and the rows.
///
/// # Errors
/// Where a catalog cannot be read.
pub fn drift(expected: &dyn CatalogReader, found: &dyn CatalogReader) -> Result<Vec<String>> {
    let (expected, found) = (objects(expected)?, objects(found)?);
    let mut lines = Vec::new();
    for (key, object) in &expected {
        match found.get(key) {
            None => lines.push(format!("{key} is missing")),
            Some(other) => compare(key.name(), object, other, &mut lines),
        }
    }
    for key in found.keys() {
        if !expected.contains_key(key) {
            lines.push(format!("{key} comes from no migration"));
        }
    }
    Ok(lines)
}

/// An object by its name and what it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(String, &'static str);

impl Key {
    fn name(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.1, self.0)
    }
}

/// The part that says which rows a partition holds.
const BOUND: &str = "rows";

/// What an object is made of, part by part: what the part is, and how SQL says it.
type Parts = Vec<(&'static str, String)>;

fn objects(catalog: &dyn CatalogReader) -> Result<BTreeMap<Key, Parts>> {
    let mut objects = BTreeMap::new();
    let is_own = |schema: &str| !schema.starts_with("pg_");
    let tables = catalog.tables()?;
    let names: HashMap<TableId, &Table> = tables.iter().map(|of| (of.id, &**of)).collect();
    for table in &tables {
        if table.name == TABLE || !is_own(&table.schema) {
            continue;
        }
        let kind = if table.view().is_some() {
            "view"
        } else {
            "table"
        };
        let key = Key(full_name(&table.schema, &table.name), kind);
        objects.insert(key, parts_of_table(catalog, &names, table));
    }
    for of in catalog.named_types() {
        if is_own(&of.schema) {
            let key = Key(full_name(&of.schema, &of.name), "type");
            objects.insert(key, parts_of_type(&of));
        }
    }
    let identities: HashSet<SequenceId> = tables
        .iter()
        .flat_map(|table| &table.columns)
        .filter_map(|column| column.identity.map(|of| of.sequence))
        .collect();
    for of in catalog.sequences() {
        // Those of identity columns are told with them.
        if is_own(&of.schema) && !identities.contains(&of.id) {
            let key = Key(full_name(&of.schema, &of.name), "sequence");
            let definition = options(&of) + &owner(&names, &of);
            objects.insert(key, vec![("definition", definition)]);
        }
    }
    Ok(objects)
}

fn full_name(schema: &str, name: &str) -> String {
    format!("{schema}.{name}")
}

fn compare(name: &str, expected: &Parts, found: &Parts, lines: &mut Vec<String>) {
    let mut kinds: Vec<&str> = Vec::new();
    for (kind, _) in expected.iter().chain(found) {
        if !kinds.contains(kind) {
            kinds.push(kind);
        }
    }
    for kind in kinds {
        // A bound that only a running database can compute is not known before. Whether there is
        // one at all follows from the parents.
        let is_in = |of: &Parts| of.iter().any(|part| part.0 == kind);
        if kind == BOUND && !(is_in(expected) && is_in(found)) {
            continue;
        }
        let mut differ = |of: &Parts, other: &Parts, how: &str| {
            for part in of.iter().filter(|part| part.0 == kind) {
                if !other.contains(part) {
                    lines.push(format!("{name}: {kind} {} {how}", part.1));
                }
            }
        };
        differ(expected, found, "is missing");
        differ(found, expected, "comes from no migration");
    }
}

fn parts_of_table(
    catalog: &dyn CatalogReader,
    tables: &HashMap<TableId, &Table>,
    table: &Table,
) -> Parts {
    let mut parts = Parts::new();
    if let Some(view) = table.view() {
        let check = match view.check_option {
            None => "",
            Some(CheckOption::Local) => " WITH LOCAL CHECK OPTION",
            Some(CheckOption::Cascaded) => " WITH CHECK OPTION",
        };
        parts.push(("query", format!("{}{check}", view.text)));
    }
    for column in &table.columns {
        parts.push(("column", column_text(catalog, column)));
    }
    if !table.primary_key.is_empty() {
        let name = table.primary_key_name.clone();
        let name = name.unwrap_or_else(|| format!("{}_pkey", table.name));
        let columns = names(table, table.primary_key.iter().copied());
        parts.push(("primary key", format!("{name} {columns}")));
    }
    for check in &table.checks {
        parts.push(("check", format!("{} ({})", check.name, check.text)));
    }
    for key in &table.foreign_keys {
        parts.push(("foreign key", foreign_key(tables, table, key)));
    }
    for index in &table.indexes {
        parts.push(("index", index_text(table, index)));
    }
    for parent in table.parents.iter().filter_map(|id| tables.get(id)) {
        parts.push(("parent", full_name(&parent.schema, &parent.name)));
    }
    if let Some(bound) = &table.partition_bound {
        parts.push((BOUND, bound_text(bound)));
    }
    if let Some(partitioning) = &table.partitioning {
        let keys: Vec<&str> = partitioning.keys.iter().map(|(key, _)| &**key).collect();
        let strategy = partitioning.strategy.name();
        parts.push(("partitioning", format!("{strategy} ({})", keys.join(", "))));
    }
    if table.storage != TableStorage::default() {
        parts.push(("storage", table.storage.name().to_owned()));
    }
    for (name, value) in &table.parameters {
        parts.push(("parameter", format!("{name} = {value}")));
    }
    parts
}

fn column_text(catalog: &dyn CatalogReader, column: &Column) -> String {
    let named = column
        .named_type
        .and_then(|id| catalog.named_type_by_id(id))
        .filter(|named| !named.is_type_of(column.data_type));
    let data_type = match named {
        Some(named) if named.schema == "public" => named.name.clone(),
        Some(named) => full_name(&named.schema, &named.name),
        None => column.data_type.to_string(),
    };
    let mut text = format!("{} {data_type}", column.name);
    if column.not_null {
        text += " NOT NULL";
    }
    if let Some((default, _)) = &column.default {
        text += &format!(" DEFAULT {default}");
    }
    if let Some(identity) = column.identity {
        let when = if identity.always {
            "ALWAYS"
        } else {
            "BY DEFAULT"
        };
        text += &format!(" GENERATED {when} AS IDENTITY");
        if let Some(of) = catalog.sequence_by_id(identity.sequence) {
            text += &format!(" ({})", options(&of));
        }
    }
    if let Some((expression, _)) = &column.generated {
        text += &format!(" GENERATED ALWAYS AS ({expression})");
    }
    text
}

fn bound_text(bound: &PartitionBound) -> String {
    let value = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        other => format!("'{other}'"),
    };
    let ends = |ends: &[RangeEnd]| -> String {
        let ends: Vec<String> = ends
            .iter()
            .map(|end| match end {
                RangeEnd::Min => "MINVALUE".to_owned(),
                RangeEnd::Value(of) => value(of),
                RangeEnd::Max => "MAXVALUE".to_owned(),
            })
            .collect();
        ends.join(", ")
    };
    match bound {
        PartitionBound::Default => "DEFAULT".to_owned(),
        PartitionBound::List(values) => {
            let mut values: Vec<String> = values.iter().map(value).collect();
            // Neither their order nor how often one is named means anything.
            values.sort_unstable();
            values.dedup();
            format!("IN ({})", values.join(", "))
        }
        PartitionBound::Range { from, to } => format!("FROM ({}) TO ({})", ends(from), ends(to)),
        PartitionBound::Hash { modulus, remainder } => {
            format!("WITH (MODULUS {modulus}, REMAINDER {remainder})")
        }
    }
}

fn names(table: &Table, ordinals: impl Iterator<Item = usize>) -> String {
    let names: Vec<&str> = ordinals
        .map(|ordinal| table.columns.get(ordinal).map_or("?", |of| &of.name))
        .collect();
    format!("({})", names.join(", "))
}

fn foreign_key(tables: &HashMap<TableId, &Table>, table: &Table, key: &ForeignKey) -> String {
    let columns = names(table, key.columns.iter().copied());
    let mut text = format!("{} {columns}", key.name);
    if let Some(parent) = tables.get(&key.parent) {
        let referred = key
            .parent_columns
            .iter()
            .map(|number| parent.ordinal(*number));
        let referred = names(parent, referred.map(|at| at.unwrap_or(usize::MAX)));
        let parent = full_name(&parent.schema, &parent.name);
        text += &format!(" REFERENCES {parent} {referred}");
    }
    if key.match_full {
        text += " MATCH FULL";
    }
    for (when, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
        let action = match action {
            ReferentialAction::NoAction => continue,
            ReferentialAction::Restrict => "RESTRICT",
            ReferentialAction::Cascade => "CASCADE",
            ReferentialAction::SetNull => "SET NULL",
            ReferentialAction::SetDefault => "SET DEFAULT",
        };
        text += &format!(" ON {when} {action}");
    }
    if !key.set_columns.is_empty() && key.set_columns != key.columns {
        text += &format!(" {}", names(table, key.set_columns.iter().copied()));
    }
    match key.deferral {
        Deferral::Never => {}
        Deferral::Immediate => text += " DEFERRABLE",
        Deferral::Deferred => text += " DEFERRABLE INITIALLY DEFERRED",
    }
    text
}

fn index_text(table: &Table, index: &Index) -> String {
    let column = |column: &IndexColumn| {
        let name = match table.columns.get(column.ordinal) {
            Some(of) => of.name.clone(),
            None => {
                let at = column.ordinal - table.columns.len();
                let text = index.expressions.get(at).map_or("?", |(text, _)| text);
                format!("({text})")
            }
        };
        let order = match (column.descending, column.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        format!("{name}{order}")
    };
    let columns: Vec<String> = index.columns.iter().map(column).collect();
    let unique = match (index.constraint, index.unique) {
        (true, _) => "UNIQUE constraint ",
        (false, true) => "unique ",
        (false, false) => "",
    };
    let mut text = format!("{unique}{} ({})", index.name, columns.join(", "));
    if !index.included.is_empty() {
        let included = names(table, index.included.iter().copied());
        text += &format!(" INCLUDE {included}");
    }
    if let Some((predicate, _)) = &index.predicate {
        text += &format!(" WHERE {predicate}");
    }
    for (name, value) in &index.parameters {
        text += &format!(" WITH {name} = {value}");
    }
    text
}

fn parts_of_type(of: &NamedType) -> Parts {
    match &of.kind {
        NamedTypeKind::Shell => Parts::new(),
        NamedTypeKind::Distinct(base) => vec![("values", base.to_string())],
        NamedTypeKind::Enum(of) => {
            let labels: Vec<String> = of
                .labels()
                .map(|label| format!("'{}'", label.name()))
                .collect();
            // In one part, as their order counts.
            vec![("values", format!("({})", labels.join(", ")))]
        }
        NamedTypeKind::Domain(domain) => {
            let mut values = domain.base.to_string();
            if domain.not_null {
                values += " NOT NULL";
            }
            if let Some(default) = &domain.default {
                values += &format!(" DEFAULT {default}");
            }
            let mut parts = vec![("values", values)];
            for (name, check) in &domain.checks {
                parts.push(("check", format!("{name} ({check})")));
            }
            parts
        }
    }
}

fn options(of: &Sequence) -> String {
    let cycle = if of.cycle { " CYCLE" } else { "" };
    format!(
        "AS {} START {} INCREMENT {} MINVALUE {} MAXVALUE {} CACHE {}{cycle}",
        of.data_type, of.start, of.increment, of.min, of.max, of.cache
    )
}

/// The column that a sequence belongs to.
fn owner(tables: &HashMap<TableId, &Table>, of: &Sequence) -> String {
    let Some((table, number)) = of.owner else {
        return String::new();
    };
    let Some(table) = tables.get(&table) else {
        return String::new();
    };
    let ordinal = table.ordinal(number);
    let column = ordinal.and_then(|at| table.columns.get(at));
    let column = column.map_or("?", |column| &column.name);
    format!(
        " OWNED BY {}.{column}",
        full_name(&table.schema, &table.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    fn of(script: &str) -> Schema {
        let mut schema = Schema::default();
        schema.apply(script).unwrap();
        schema
    }

    #[test]
    fn every_difference_is_a_line() {
        let expected = of(
            "CREATE TABLE a (id int PRIMARY KEY, x text NOT NULL); CREATE TABLE b (y int);
             CREATE INDEX i ON a (x)",
        );
        assert!(drift(&expected, &expected).unwrap().is_empty());
        let found =
            of("CREATE TABLE a (id int PRIMARY KEY, x text, z int); CREATE TABLE c (y int)");
        assert_eq!(
            drift(&expected, &found).unwrap(),
            [
                "public.a: column x text NOT NULL is missing",
                "public.a: column x text comes from no migration",
                "public.a: column z integer comes from no migration",
                "public.a: index i (x) is missing",
                "table public.b is missing",
                "table public.c comes from no migration",
            ]
        );
    }

    /// What differs in one word from what another script makes is told, whatever it is.
    #[test]
    fn no_part_of_a_definition_is_passed_over() {
        let base = "CREATE TYPE mood AS ENUM ('sad', 'ok');
            CREATE DOMAIN price AS numeric CHECK (VALUE > 0);
            CREATE SCHEMA apart; CREATE TYPE apart.mood AS ENUM ('sad', 'ok');
            CREATE DOMAIN apart.price AS numeric CHECK (VALUE > 0);
            CREATE SEQUENCE s START 5;
            CREATE TABLE p (id int CONSTRAINT pk PRIMARY KEY, other int UNIQUE);
            CREATE SEQUENCE owned INCREMENT 3 OWNED BY p.other;
            CREATE TABLE parts (k int) PARTITION BY RANGE (k);
            CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (10);
            CREATE TABLE lists (k text) PARTITION BY LIST (k);
            CREATE TABLE list PARTITION OF lists FOR VALUES IN ('a', 'b');
            CREATE TABLE c (id int GENERATED ALWAYS AS IDENTITY (START 7), n int DEFAULT 1, m mood,
                cost price, d int GENERATED ALWAYS AS (n + 1) STORED,
                p int REFERENCES p (id) ON DELETE CASCADE, CHECK (n > 0));
            CREATE INDEX i ON c (n DESC, (n + 1)) WHERE n > 2;
            CREATE VIEW v AS SELECT id FROM p WHERE id > 0;";
        let expected = of(base);
        assert!(drift(&expected, &of(base)).unwrap().is_empty());
        for (from, to) in [
            ("('sad', 'ok')", "('ok', 'sad')"),
            ("VALUE > 0", "VALUE > 1"),
            ("START 5", "START 6"),
            ("START 7", "START 8"),
            ("INCREMENT 3", "INCREMENT 4"),
            ("OWNED BY p.other", "OWNED BY p.id"),
            (" OWNED BY p.other", ""),
            ("CONSTRAINT pk ", ""),
            ("FROM (1) TO (10)", "FROM (1) TO (11)"),
            ("IN ('a', 'b')", "IN ('a', 'c')"),
            ("m mood", "m apart.mood"),
            ("cost price", "cost apart.price"),
            ("other int UNIQUE", "other int"),
            (
                "GENERATED ALWAYS AS IDENTITY",
                "GENERATED BY DEFAULT AS IDENTITY",
            ),
            ("DEFAULT 1", "DEFAULT 2"),
            ("m mood", "m text"),
            ("cost price", "cost numeric"),
            ("(n + 1) STORED", "(n + 2) STORED"),
            ("REFERENCES p (id)", "REFERENCES p (other)"),
            ("ON DELETE CASCADE", "ON DELETE SET NULL"),
            ("CHECK (n > 0)", "CHECK (n > 1)"),
            ("n DESC", "n"),
            ("(n + 1))", "(n + 3))"),
            ("WHERE n > 2", "WHERE n > 3"),
            ("WHERE id > 0", "WHERE id > 1"),
        ] {
            assert!(base.contains(from), "{from}");
            let found = of(&base.replacen(from, to, 1));
            let lines = drift(&expected, &found).unwrap();
            assert!(!lines.is_empty(), "{to}");
        }
    }
}
