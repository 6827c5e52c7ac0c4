//! System relations: `pg_catalog`, `information_schema` and `sys`.
//!
//! Each is one declaration (`relation!`): its name, its number in `pg_class`, and for every
//! column the type and how a row has its value. Rows are made of the catalog and the engine's
//! state when the relation is read. The declarations are here so that the language half can bind
//! against them; what rows are made from is the engine's.

mod information_schema;
pub(crate) mod oids;
mod pg_catalog;
mod relation;
mod sys;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use crate::catalog::{Column, ColumnNumber, Table, TableId, TableKind};

#[cfg(feature = "engine")]
pub(crate) use relation::cell;
pub use relation::{SystemColumn, SystemRelation};

/// The schema of PostgreSQL's system catalog.
pub const PG_CATALOG: &str = "pg_catalog";

/// The standard's schema of views on the catalog.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// The schema of this engine's own views.
pub const SYS: &str = "sys";

/// The schemas of system relations, with their numbers in `pg_namespace`.
pub const SCHEMAS: [(&str, u32); 3] = [
    (PG_CATALOG, oids::PG_CATALOG_SCHEMA),
    (INFORMATION_SCHEMA, oids::INFORMATION_SCHEMA),
    (SYS, oids::SYS_SCHEMA),
];

/// Every system relation with its schema.
pub(crate) fn relations() -> impl Iterator<Item = (&'static str, &'static SystemRelation)> {
    let in_schema = |schema, lists: &'static [&'static [SystemRelation]]| {
        lists
            .iter()
            .flat_map(|list| list.iter())
            .map(move |relation| (schema, relation))
    };
    in_schema(PG_CATALOG, pg_catalog::RELATIONS)
        .chain(in_schema(INFORMATION_SCHEMA, information_schema::RELATIONS))
        .chain(in_schema(SYS, sys::RELATIONS))
}

/// The relations as tables.
struct Tables {
    by_name: HashMap<&'static str, HashMap<&'static str, Arc<Table>>>,
    by_id: HashMap<TableId, Arc<Table>>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables {
        by_name: HashMap::new(),
        by_id: HashMap::new(),
    };
    for (schema, relation) in relations() {
        let table = Arc::new(as_table(schema, relation));
        tables.by_id.insert(table.id, Arc::clone(&table));
        let of_schema = tables.by_name.entry(schema).or_default();
        of_schema.insert(relation.name, table);
    }
    tables
});

fn as_table(schema: &str, relation: &'static SystemRelation) -> Table {
    let id = TableId(TableId::SYSTEM | relation.oid);
    let mut table = Table::new(id, schema.to_owned(), relation.name.to_owned(), 0);
    table.kind = TableKind::System(relation);
    table.columns = relation
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let number = ColumnNumber(at as u32 + 1);
            Column::new(number, column.name.to_owned(), column.data_type)
        })
        .collect();
    table.next_column = table.columns.len() as u32 + 1;
    table
}

/// Whether the schema is one of system relations.
#[must_use]
pub fn is_schema(name: &str) -> bool {
    SCHEMAS.iter().any(|(schema, _)| *schema == name)
}

/// The system relation of that name.
#[must_use]
pub fn table(schema: &str, name: &str) -> Option<Arc<Table>> {
    // Every table of a statement is looked up here first, and few are the system's.
    if !is_schema(schema) || schema == PG_CATALOG && !name.starts_with("pg_") {
        return None;
    }
    TABLES.by_name.get(schema)?.get(name).cloned()
}

/// The system relation of that id.
#[must_use]
pub fn table_by_id(id: TableId) -> Option<Arc<Table>> {
    if id.0 < TableId::SYSTEM {
        return None;
    }
    TABLES.by_id.get(&id).cloned()
}

/// The schemas in which names without a schema are looked up: PostgreSQL's catalog first, unless
/// the path says where it stands.
#[cfg(feature = "engine")]
pub(crate) fn searched(path: &[String]) -> impl Iterator<Item = &str> {
    let named = path.iter().any(|schema| schema == PG_CATALOG);
    let temporary = path
        .iter()
        .take_while(|schema| schema.starts_with("pg_temp_"))
        .count();
    let (before, after) = path.split_at(temporary);
    before
        .iter()
        .map(String::as_str)
        .chain((!named).then_some(PG_CATALOG))
        .chain(after.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_and_numbers_are_unique() {
        let mut names = HashSet::new();
        let mut numbers = HashSet::new();
        for (schema, relation) in relations() {
            assert!(names.insert((schema, relation.name)), "{}", relation.name);
            assert!(numbers.insert(relation.oid), "{}", relation.name);
            let found = table(schema, relation.name).map(|table| table.id);
            assert_eq!(found, Some(as_table(schema, relation).id));
            assert!(relation.oid < crate::types::FIRST_USER_OID);
            let mut columns = HashSet::new();
            for column in relation.columns {
                assert!(columns.insert(column.name), "{}", column.name);
            }
            if let Some(key) = relation.key {
                assert!(columns.contains(key), "{}.{key}", relation.name);
            }
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn the_system_catalog_is_searched_first_unless_the_path_names_it() {
        let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let plain: Vec<String> = path(&["public", "other"]);
        let found: Vec<&str> = searched(&plain).collect();
        assert_eq!(found, ["pg_catalog", "public", "other"]);
        let named: Vec<String> = path(&["public", "pg_catalog"]);
        let found: Vec<&str> = searched(&named).collect();
        assert_eq!(found, ["public", "pg_catalog"]);
        let temporary: Vec<String> = path(&["pg_temp_1", "public"]);
        let found: Vec<&str> = searched(&temporary).collect();
        assert_eq!(found, ["pg_temp_1", "pg_catalog", "public"]);
    }
}
