//! A catalog in memory for tests of the binder, filled by CREATE statements.
#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a module that test crates share"
)]

use std::sync::Arc;

use rustling_sql::{
    BindOptions, Result, bind,
    bound::{BoundStatement, Definition},
    catalog::{CatalogReader, Table, TableId},
    parse,
};

/// Tables by name.
#[derive(Default)]
pub struct Catalog {
    tables: Vec<Arc<Table>>,
}

impl CatalogReader for Catalog {
    fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(self
            .tables
            .iter()
            .find(|table| table.name == name && schema.is_none_or(|schema| schema == table.schema))
            .cloned())
    }

    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        Ok(self.tables.clone())
    }

    fn table_of_index(&self, _: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(self
            .tables
            .iter()
            .find(|table| table.indexes.iter().any(|index| index.name == name))
            .cloned())
    }
}

impl Catalog {
    /// A catalog with the tables that a script creates.
    pub fn of(script: &str) -> Catalog {
        let mut catalog = Catalog::default();
        for statement in parse(script).unwrap() {
            let bound = bind(&statement, &catalog, &BindOptions::default()).unwrap();
            catalog.apply(bound.statement);
        }
        catalog
    }

    fn apply(&mut self, statement: BoundStatement) {
        let id = self.tables.len() as u32;
        match statement {
            BoundStatement::Definition(definition) => match *definition {
                Definition::CreateTable(create) => self.tables.push(Arc::new(Table {
                    id: TableId(id),
                    ..create.table
                })),
                other => panic!("cannot apply {other:?}"),
            },
            other => panic!("cannot apply {other:?}"),
        }
    }
}

/// The tables that the scripts speak of.
pub const TABLES: &str = "
    CREATE TABLE flights (id int PRIMARY KEY, carrier varchar(2) NOT NULL, origin char(3),
        dest text, dep_delay float8, distance int8, day date, dep_time timestamp, seen timestamptz,
        cancelled boolean DEFAULT false, fare numeric(8, 2) CHECK (fare > 0));
    CREATE TABLE airlines (carrier varchar(2) PRIMARY KEY, name text NOT NULL UNIQUE);
    CREATE TABLE kv (key text PRIMARY KEY, value text);
    CREATE TABLE pair (a int, b int, small int2, tiny int1, u uuid, t time, i interval, y bytea)";
