//! What a database has that its migrations do not make, and the other way round.

use std::{collections::BTreeMap, sync::Arc};

use super::TABLE;
use crate::{
    catalog::{CatalogReader, Index, Table},
    error::Result,
};

/// Compares two catalogs; a line for each difference: tables, views, columns, keys, constraints
/// and indexes. The table of migrations does not count.
///
/// # Errors
/// Where a catalog cannot be read.
pub fn drift(expected: &dyn CatalogReader, found: &dyn CatalogReader) -> Result<Vec<String>> {
    let (expected, found) = (by_name(expected)?, by_name(found)?);
    let mut lines = Vec::new();
    for (name, table) in &expected {
        match found.get(name) {
            None => lines.push(format!("{} {name} is missing", kind(table))),
            Some(other) => compare(name, table, other, &mut lines),
        }
    }
    for (name, table) in &found {
        if !expected.contains_key(name) {
            lines.push(format!("{} {name} comes from no migration", kind(table)));
        }
    }
    Ok(lines)
}

fn by_name(catalog: &dyn CatalogReader) -> Result<BTreeMap<String, Arc<Table>>> {
    Ok(catalog
        .tables()?
        .into_iter()
        .filter(|table| table.name != TABLE && !table.schema.starts_with("pg_"))
        .map(|table| (format!("{}.{}", table.schema, table.name), table))
        .collect())
}

fn kind(table: &Table) -> &'static str {
    if table.view().is_some() {
        "view"
    } else {
        "table"
    }
}

fn compare(name: &str, expected: &Table, found: &Table, lines: &mut Vec<String>) {
    let mut items = |what: &str, expected: Vec<String>, found: Vec<String>| {
        for item in expected.iter().filter(|item| !found.contains(item)) {
            lines.push(format!("{name}: {what} {item} is missing"));
        }
        for item in found.iter().filter(|item| !expected.contains(item)) {
            lines.push(format!("{name}: {what} {item} comes from no migration"));
        }
    };
    items("column", columns(expected), columns(found));
    items("primary key", key(expected), key(found));
    items("check", checks(expected), checks(found));
    items("foreign key", foreign_keys(expected), foreign_keys(found));
    items("index", indexes(expected), indexes(found));
}

fn columns(table: &Table) -> Vec<String> {
    table
        .columns
        .iter()
        .map(|column| {
            let null = if column.not_null { " NOT NULL" } else { "" };
            let default = column
                .default
                .as_ref()
                .map_or_else(String::new, |(text, _)| format!(" DEFAULT {text}"));
            format!("{} {}{null}{default}", column.name, column.data_type)
        })
        .collect()
}

fn names(table: &Table, ordinals: impl Iterator<Item = usize>) -> String {
    let names: Vec<&str> = ordinals
        .map(|ordinal| {
            table
                .columns
                .get(ordinal)
                .map_or("(expression)", |of| &of.name)
        })
        .collect();
    format!("({})", names.join(", "))
}

fn key(table: &Table) -> Vec<String> {
    if table.primary_key.is_empty() {
        return Vec::new();
    }
    vec![names(table, table.primary_key.iter().copied())]
}

fn checks(table: &Table) -> Vec<String> {
    table
        .checks
        .iter()
        .map(|check| format!("{} ({})", check.name, check.text))
        .collect()
}

fn foreign_keys(table: &Table) -> Vec<String> {
    table
        .foreign_keys
        .iter()
        .map(|key| format!("{} {}", key.name, names(table, key.columns.iter().copied())))
        .collect()
}

fn indexes(table: &Table) -> Vec<String> {
    let shown = |index: &Index| {
        let unique = if index.unique { "unique " } else { "" };
        let columns = names(table, index.columns.iter().map(|column| column.ordinal));
        format!("{unique}{} {columns}", index.name)
    };
    table.indexes.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn every_difference_is_a_line() {
        let of = |script: &str| {
            let mut schema = Schema::default();
            schema.apply(script).unwrap();
            schema
        };
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
}
