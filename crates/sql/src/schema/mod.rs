//! A schema without a database: what a series of statements makes of the catalog.
//!
//! A [`Schema`] reads the statements of migrations with the real parser and binder and keeps the
//! definitions that follow, so that other statements can be checked against them. It holds no
//! rows: statements that only read or change rows are checked and otherwise passed over.

mod drop;
mod types;

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    ast::{RoleSpec, Statement, StatementKind},
    binder::{BindOptions, bind},
    bound::{
        AlterTable, BoundStatement, CreateIndex, CreateSchema, CreateTable, CreateView, Definition,
        Expr, ExprKind, SequenceDefinition,
    },
    catalog::{
        CatalogReader, Identity, IndexId, PartitionBound, RangeEnd, Sequence, SequenceId, Table,
        TableId,
        named_type::{NamedType, TypeId},
    },
    error::{Error, Result, SqlState},
    parser, system,
    types::{EnumType, Value},
};

/// The schema that there is from the start.
const PUBLIC: &str = "public";

/// Tables, views, indexes, sequences and schemas by definition alone.
///
/// ```
/// use rustling_sql::{catalog::CatalogReader, schema::Schema};
///
/// let mut schema = Schema::default();
/// schema.apply("CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL)")?;
/// schema.apply("ALTER TABLE users ADD COLUMN email text UNIQUE")?;
/// let users = schema.table(None, "users")?.expect("the table is there");
/// assert_eq!(users.columns.len(), 3);
/// # Ok::<(), rustling_sql::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schema {
    tables: BTreeMap<TableId, Arc<Table>>,
    sequences: BTreeMap<SequenceId, Arc<Sequence>>,
    types: BTreeMap<TypeId, Arc<NamedType>>,
    schemas: Vec<String>,
    next_id: u32,
}

impl Default for Schema {
    fn default() -> Schema {
        Schema {
            tables: BTreeMap::new(),
            sequences: BTreeMap::new(),
            types: BTreeMap::new(),
            schemas: vec![PUBLIC.to_owned()],
            next_id: 1,
        }
    }
}

impl Schema {
    /// Applies a script, statement by statement.
    ///
    /// # Errors
    /// What the first wrong statement fails with when a database is asked to run it, its place in
    /// `script` included; those before it are applied. 0A000 for statements whose effect on later
    /// ones cannot be followed without a database.
    pub fn apply(&mut self, script: &str) -> Result<()> {
        for statement in parser::parse(script)? {
            let span = statement.span;
            self.apply_statement(&statement)
                .map_err(|error| error.at(span))?;
        }
        Ok(())
    }

    fn apply_statement(&mut self, statement: &Statement) -> Result<()> {
        if matches!(statement.kind, StatementKind::Session(_)) {
            return Ok(());
        }
        match bind(statement, self, &BindOptions::default())?.statement {
            BoundStatement::Definition(definition) => self.define(*definition),
            BoundStatement::Set { name, .. } if name == "search_path" => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "SET search_path is not followed in migrations",
            )
            .hint("Write the schema in front of the names.")),
            _ => Ok(()),
        }
    }

    fn define(&mut self, definition: Definition) -> Result<()> {
        match definition {
            Definition::CreateTable(create) => self.create_table(create),
            Definition::CreateIndex(create) => self.create_index(create),
            Definition::CreateView(create) => self.create_view(create),
            Definition::CreateSequence { sequence, exists } => {
                if !exists {
                    self.add_sequence(sequence);
                }
                Ok(())
            }
            Definition::CreateSchema(create) => self.create_schema(create),
            Definition::AlterTable(alter) => self.alter_tables(alter),
            Definition::AlterSequence { sequence, .. } => {
                self.sequences.insert(sequence.id, Arc::new(sequence));
                Ok(())
            }
            Definition::CreateType { mut definition, .. } => {
                if definition.id == TypeId(0) {
                    definition.id = TypeId(self.allocate());
                }
                self.types.insert(definition.id, Arc::new(definition));
                Ok(())
            }
            Definition::CreateEnum {
                id,
                schema,
                name,
                labels,
            } => {
                let id = match id {
                    TypeId(0) => self.allocate(),
                    TypeId(shell) => shell,
                };
                let array = self.allocate();
                let made = NamedType::of_enum(EnumType::new(id, array, schema, name, labels));
                self.types.insert(made.id, Arc::new(made));
                Ok(())
            }
            Definition::AlterType { of, change } => self.alter_type(&of, change),
            Definition::DropTypes { types, cascade, .. } => self.drop_types(&types, cascade),
            Definition::Drop(drop) => self.drop_objects(drop),
            // Neither comments nor privileges change what a statement means.
            Definition::Nothing { .. }
            | Definition::Truncate(_)
            | Definition::Comment(_)
            | Definition::Access(_) => Ok(()),
        }
    }

    fn create_schema(&mut self, create: CreateSchema) -> Result<()> {
        let refused = |what: &str| {
            Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{what} is not followed in migrations"),
            )
        };
        if !create.elements.is_empty() {
            return Err(refused("CREATE SCHEMA with what is in it").hint(
                "Make the schema, then its tables, with the schema in front of their names.",
            ));
        }
        let name = match (create.name, create.owner) {
            (Some(name), _) => name,
            (None, Some(RoleSpec::Named(owner))) => owner.name,
            _ => {
                return Err(refused("a schema named like the role that makes it")
                    .hint("Write the schema's name."));
            }
        };
        if !self.schemas.contains(&name) {
            self.schemas.push(name);
        }
        Ok(())
    }

    /// ALTER TABLE, and what follows for the tables made of it and for views.
    fn alter_tables(&mut self, alter: AlterTable) -> Result<()> {
        let (name, cascade) = (alter.new.name.clone(), alter.cascade);
        let mut changed = Vec::new();
        self.alter_family(alter, &mut changed)?;
        // A view over a family reads all of it, so that all of it has its new form before.
        changed
            .into_iter()
            .try_for_each(|id| self.settle_views(id, &name, cascade))
    }

    /// As deep as partitions are nested.
    fn alter_family(&mut self, mut alter: AlterTable, changed: &mut Vec<TableId>) -> Result<()> {
        let children = std::mem::take(&mut alter.children);
        changed.push(alter.new.id);
        self.alter_table(alter)?;
        children
            .into_iter()
            .try_for_each(|child| self.alter_family(child, changed))
    }

    fn create_table(&mut self, create: CreateTable) -> Result<()> {
        let CreateTable {
            mut table,
            bound,
            exists,
            sequences,
            ..
        } = create;
        if exists {
            return Ok(());
        }
        let id = TableId(self.allocate());
        table.id = id;
        table.partition_bound = bound.and_then(constant_bound);
        self.settle(&mut table, sequences);
        self.tables.insert(id, Arc::new(table));
        Ok(())
    }

    fn create_index(&mut self, create: CreateIndex) -> Result<()> {
        if create.exists {
            return Ok(());
        }
        let mut table = self.newest(&create.table)?;
        table.indexes.push(create.index);
        self.settle(&mut table, Vec::new());
        self.tables.insert(table.id, Arc::new(table));
        create
            .children
            .into_iter()
            .try_for_each(|child| self.alter_tables(child))
    }

    fn create_view(&mut self, create: CreateView) -> Result<()> {
        let mut table = create.table;
        table.id = match create.replaced {
            Some(replaced) => replaced.id,
            None => TableId(self.allocate()),
        };
        self.tables.insert(table.id, Arc::new(table));
        Ok(())
    }

    fn alter_table(&mut self, alter: AlterTable) -> Result<()> {
        let AlterTable {
            old,
            mut new,
            sequences,
            dropped_sequences,
            cascade,
            bound,
            ..
        } = alter;
        if let Some(bound) = bound {
            new.partition_bound = constant_bound(bound);
        }
        self.settle(&mut new, sequences);
        for id in dropped_sequences {
            self.sequences.remove(&id);
        }
        self.follow_owner(&old, &new);
        let new = Arc::new(new);
        self.tables.insert(new.id, Arc::clone(&new));
        self.settle_children(&new, cascade)
    }

    /// Gives what is new in a table its ids and names, and its columns their sequences.
    fn settle(&mut self, table: &mut Table, sequences: Vec<(usize, SequenceDefinition)>) {
        for key in &mut table.foreign_keys {
            if key.parent == TableId::ITSELF {
                key.parent = table.id;
            }
        }
        for at in 0..table.indexes.len() {
            if table.indexes[at].id == IndexId(0) {
                let name = self.free_name(table, &table.indexes[at].name);
                table.indexes[at].name = name;
                table.indexes[at].id = IndexId(self.allocate());
            }
        }
        for (ordinal, definition) in sequences {
            let Some(number) = table.columns.get(ordinal).map(|column| column.number) else {
                continue;
            };
            let mut sequence = definition.sequence;
            sequence.owner = Some((table.id, number));
            let id = self.add_sequence(sequence);
            if let Some(always) = definition.identity {
                table.columns[ordinal].identity = Some(Identity {
                    always,
                    sequence: id,
                });
            }
        }
    }

    /// Sequences of a table's columns live in its schema and go with their columns.
    fn follow_owner(&mut self, old: &Table, new: &Table) {
        let mut lost = Vec::new();
        for (id, sequence) in &mut self.sequences {
            match sequence.owner {
                Some((owner, column)) if owner == old.id => {
                    if new.ordinal(column).is_none() {
                        lost.push(*id);
                    } else if sequence.schema != new.schema {
                        Arc::make_mut(sequence).schema.clone_from(&new.schema);
                    }
                }
                _ => {}
            }
        }
        for id in lost {
            self.sequences.remove(&id);
        }
    }

    fn add_sequence(&mut self, mut sequence: Sequence) -> SequenceId {
        let id = SequenceId(self.allocate());
        sequence.id = id;
        self.sequences.insert(id, Arc::new(sequence));
        id
    }

    fn allocate(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// The definition as it is now, to be changed.
    fn newest(&self, table: &Table) -> Result<Table> {
        self.tables
            .get(&table.id)
            .map(|table| Table::clone(table))
            .ok_or_else(|| {
                Error::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{}\" does not exist", table.name),
                )
            })
    }

    /// A name like `wanted` that no relation of the table's schema has.
    fn free_name(&self, table: &Table, wanted: &str) -> String {
        let taken = |name: &str| {
            let in_table = table
                .indexes
                .iter()
                .any(|index| index.id != IndexId(0) && index.name == name);
            name == table.name || in_table || self.has_relation(&table.schema, name)
        };
        if !taken(wanted) {
            return wanted.to_owned();
        }
        let mut number = 1u32;
        loop {
            let name = format!("{wanted}{number}");
            if !taken(&name) {
                return name;
            }
            number += 1;
        }
    }

    fn has_relation(&self, schema: &str, name: &str) -> bool {
        self.in_schema(schema)
            .any(|table| table.name == name || has_index(table, name))
            || self
                .sequences
                .values()
                .any(|sequence| sequence.schema == schema && sequence.name == name)
    }

    fn in_schema<'a>(&'a self, schema: &'a str) -> impl Iterator<Item = &'a Arc<Table>> {
        self.tables
            .values()
            .filter(move |table| table.schema == schema)
    }
}

/// What a bound's values are; `None` where only a running database can tell.
fn constant_bound(bound: PartitionBound<Expr>) -> Option<PartitionBound> {
    let ends = |ends: Vec<RangeEnd<Expr>>| -> Option<Vec<RangeEnd>> {
        ends.into_iter()
            .map(|end| match end {
                RangeEnd::Min => Some(RangeEnd::Min),
                RangeEnd::Max => Some(RangeEnd::Max),
                RangeEnd::Value(of) => constant(of).map(RangeEnd::Value),
            })
            .collect()
    };
    Some(match bound {
        PartitionBound::Default => PartitionBound::Default,
        PartitionBound::List(values) => {
            let values: Option<Vec<Value>> = values.into_iter().map(constant).collect();
            PartitionBound::List(values?)
        }
        PartitionBound::Range { from, to } => PartitionBound::Range {
            from: ends(from)?,
            to: ends(to)?,
        },
        PartitionBound::Hash { modulus, remainder } => PartitionBound::Hash { modulus, remainder },
    })
}

fn constant(expr: Expr) -> Option<Value> {
    #[cfg(feature = "engine")]
    let expr = crate::eval::fold_constants(expr).ok()?;
    match expr.kind {
        ExprKind::Literal(value) => Some(value),
        _ => None,
    }
}

fn has_index(table: &Table, name: &str) -> bool {
    table.primary_key_name.as_deref() == Some(name)
        || table.indexes.iter().any(|index| index.name == name)
}

impl CatalogReader for Schema {
    fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        let named = |schema: &str| {
            system::table(schema, name).or_else(|| {
                self.in_schema(schema)
                    .find(|table| table.name == name)
                    .cloned()
            })
        };
        Ok(match schema {
            Some(schema) => named(schema),
            // PostgreSQL looks into the system's schema first.
            None => named("pg_catalog").or_else(|| named(PUBLIC)),
        })
    }

    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        Ok(self.tables.values().cloned().collect())
    }

    fn table_of_index(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(self
            .in_schema(schema.unwrap_or(PUBLIC))
            .find(|table| has_index(table, name))
            .cloned())
    }

    fn children(&self, id: TableId) -> Vec<Arc<Table>> {
        self.tables
            .values()
            .filter(|table| table.parents.contains(&id))
            .cloned()
            .collect()
    }

    fn table_by_id(&self, id: TableId) -> Option<Arc<Table>> {
        system::table_by_id(id).or_else(|| self.tables.get(&id).cloned())
    }

    fn sequence_by_id(&self, id: SequenceId) -> Option<Arc<Sequence>> {
        self.sequences.get(&id).cloned()
    }

    fn sequence(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Sequence>>> {
        let schema = schema.unwrap_or(PUBLIC);
        Ok(self
            .sequences
            .values()
            .find(|sequence| sequence.schema == schema && sequence.name == name)
            .cloned())
    }

    fn sequences(&self) -> Vec<Arc<Sequence>> {
        self.sequences.values().cloned().collect()
    }

    fn named_type(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<NamedType>>> {
        let schema = schema.unwrap_or(PUBLIC);
        Ok(self
            .types
            .values()
            .find(|of| of.schema == schema && of.name == name)
            .cloned())
    }

    fn named_types(&self) -> Vec<Arc<NamedType>> {
        self.types.values().cloned().collect()
    }

    fn named_type_by_id(&self, id: TypeId) -> Option<Arc<NamedType>> {
        self.types.get(&id).cloned()
    }

    fn has_schema(&self, name: &str) -> bool {
        system::is_schema(name) || self.schemas.iter().any(|schema| schema == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(script: &str) -> Result<Schema> {
        let mut schema = Schema::default();
        schema.apply(script)?;
        Ok(schema)
    }

    fn columns(schema: &Schema, table: &str) -> Vec<String> {
        let table = schema.table(None, table).unwrap().unwrap();
        table
            .columns
            .iter()
            .map(|column| {
                let null = if column.not_null { " not null" } else { "" };
                format!("{} {}{null}", column.name, column.data_type)
            })
            .collect()
    }

    #[test]
    fn tables_follow_their_enumerated_types() {
        let mut schema = applied(
            "CREATE TYPE mood AS ENUM ('sad', 'ok');
             CREATE TABLE a (m mood DEFAULT 'ok', ms mood[], CHECK (m > 'sad'::mood));
             CREATE VIEW v AS SELECT m FROM a WHERE m = 'ok';
             CREATE DOMAIN cheer AS mood DEFAULT 'ok' CHECK (VALUE > 'sad'::mood);
             ALTER TYPE mood ADD VALUE 'happy';
             ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';
             ALTER TYPE mood RENAME TO humour;",
        )
        .unwrap();
        assert_eq!(columns(&schema, "a"), ["m humour", "ms humour[]"]);
        let table = schema.table(None, "a").unwrap().unwrap();
        assert_eq!(table.checks[0].text, "m > 'sad'::\"humour\"");
        let (default, _) = table.columns[0].default.as_ref().unwrap();
        assert_eq!(default, "'fine'");
        schema
            .apply("SELECT m = 'happy' FROM v; SELECT enum_first(m) FROM a;")
            .unwrap();
        assert!(schema.apply("SELECT m = 'ok' FROM v").is_err());
        assert!(schema.apply("DROP TYPE humour").is_err());
        schema
            .apply("DROP VIEW v; CREATE TABLE b (c cheer); DROP TABLE a")
            .unwrap();
        assert_eq!(columns(&schema, "b"), ["c humour"]);
        let table = schema.table(None, "b").unwrap().unwrap();
        assert_eq!(table.checks[0].text, "\"c\" > 'sad'::\"humour\"");
        let (default, _) = table.columns[0].default.as_ref().unwrap();
        assert_eq!(default, "'fine'");
        schema.apply("DROP TABLE b").unwrap();
        assert!(schema.apply("DROP TYPE humour").is_err());
        schema.apply("DROP DOMAIN cheer; DROP TYPE humour").unwrap();
    }

    #[test]
    fn types_go_with_what_needs_them() {
        let mut schema = applied(
            "CREATE TYPE e AS ENUM ('a', 'b');
             CREATE DOMAIN d AS e;
             CREATE TABLE t (id int, e e, d d, n text CHECK (n::e > 'a'), m text DEFAULT 'a'::e::text);
             CREATE INDEX i ON t (id) WHERE 'a'::e IS NOT NULL;
             CREATE VIEW v AS SELECT 'a'::e AS e;",
        )
        .unwrap();
        for refused in [
            "DROP TYPE e",
            "DROP TYPE e, d",
            "ALTER TYPE e RENAME TO f",
            "DROP TYPE int4",
        ] {
            assert!(schema.apply(refused).is_err(), "{refused}");
        }
        schema.apply("DROP TYPE e CASCADE").unwrap();
        assert_eq!(columns(&schema, "t"), ["id integer", "n text", "m text"]);
        let table = schema.table(None, "t").unwrap().unwrap();
        assert!(table.checks.is_empty() && table.indexes.is_empty());
        assert!(table.columns[2].default.is_none());
        assert!(schema.table(None, "v").unwrap().is_none());
        assert!(schema.named_types().is_empty());
        schema
            .apply(
                "CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS e; DROP TYPE e, d;
                 CREATE SCHEMA s; CREATE TYPE s.a AS ENUM ('a'); CREATE DOMAIN s.b AS s.a;
                 CREATE TABLE outside (x s.b, y s.a, z int);
                 DROP SCHEMA s CASCADE;",
            )
            .unwrap();
        assert_eq!(columns(&schema, "outside"), ["z integer"]);
        assert!(schema.named_types().is_empty());
        schema
            .apply(
                "CREATE TYPE e AS ENUM ('a'); CREATE TABLE f (e e DEFAULT 'a'::e);
                 ALTER TYPE e RENAME TO text; CREATE TABLE g (e public.text)",
            )
            .unwrap();
        let table = schema.table(None, "f").unwrap().unwrap();
        let (default, _) = table.columns[0].default.as_ref().unwrap();
        assert_eq!(default, "'a'::\"public\".\"text\"");
    }

    #[test]
    fn statements_build_on_each_other() {
        let schema = applied(
            "CREATE TABLE a (id serial PRIMARY KEY, b text);
             ALTER TABLE a ADD COLUMN c int NOT NULL DEFAULT 1;
             ALTER TABLE a ALTER COLUMN b SET NOT NULL, ALTER COLUMN c TYPE bigint;
             ALTER TABLE a RENAME COLUMN b TO name;
             CREATE VIEW v AS SELECT name, c FROM a;
             INSERT INTO a (name) VALUES ('x');",
        )
        .unwrap();
        assert_eq!(
            columns(&schema, "a"),
            [
                "id integer not null",
                "name text not null",
                "c bigint not null"
            ]
        );
        assert_eq!(columns(&schema, "v").len(), 2);
        assert!(schema.sequence(None, "a_id_seq").unwrap().is_some());
    }

    #[test]
    fn errors_point_into_the_script() {
        let error = applied("CREATE TABLE a (id int); SELECT nam FROM a").unwrap_err();
        assert_eq!(error.state(), SqlState::UNDEFINED_COLUMN);
        assert_eq!(error.span().map(|span| span.start), Some(32));
    }

    #[test]
    fn what_others_need_is_not_dropped() {
        let base = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a);
                    CREATE VIEW v AS SELECT * FROM b;";
        let fails = |script: &str| {
            let error = applied(&format!("{base}{script}")).unwrap_err();
            assert_eq!(error.state(), SqlState::DEPENDENT_OBJECTS, "{script}");
        };
        fails("DROP TABLE a");
        fails("DROP TABLE b");
        fails("ALTER TABLE a DROP CONSTRAINT a_pkey");
        fails("ALTER TABLE b DROP COLUMN a");
        let schema = applied(&format!(
            "{base} DROP TABLE a CASCADE; DROP VIEW v; DROP TABLE b"
        ));
        assert_eq!(schema.unwrap().tables().unwrap().len(), 0);
        let schema = applied(&format!("{base} DROP TABLE a, b CASCADE"));
        assert_eq!(schema.unwrap().tables().unwrap().len(), 0);
    }

    #[test]
    fn owned_sequences_go_with_their_tables() {
        let schema = applied("CREATE TABLE a (id serial); DROP TABLE a").unwrap();
        assert!(schema.sequence(None, "a_id_seq").unwrap().is_none());
        let schema = applied("CREATE TABLE a (id serial, x int); ALTER TABLE a DROP COLUMN id");
        assert!(
            schema
                .unwrap()
                .sequence(None, "a_id_seq")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn schemas_hold_tables() {
        let schema = applied(
            "CREATE SCHEMA s; CREATE TABLE s.t (x int); CREATE TABLE IF NOT EXISTS s.t (y text)",
        )
        .unwrap();
        assert!(schema.table(Some("s"), "t").unwrap().is_some());
        assert!(schema.table(None, "t").unwrap().is_none());
        let error =
            applied("CREATE SCHEMA s; CREATE TABLE s.t (x int); DROP SCHEMA s").unwrap_err();
        assert_eq!(error.state(), SqlState::DEPENDENT_OBJECTS);
        applied("CREATE SCHEMA s; CREATE TABLE s.t (x int); DROP SCHEMA s CASCADE").unwrap();
    }
}
