//! DROP.

use std::sync::Arc;

use crate::{
    ast::{self, ObjectKind, ObjectName},
    binder::{Binder, expr::with_hint, suggest},
    bound::{BoundStatement, Definition, Drop},
    catalog::{Table, TableKind},
    error::{Error, Result, SqlState},
};

/// What a table of this kind is called.
fn noun(table: &Table) -> (&'static str, &'static str) {
    match table.kind {
        TableKind::View(_) => ("a view", "DROP VIEW"),
        _ => ("a table", "DROP TABLE"),
    }
}

impl<'a> Binder<'a> {
    pub(in crate::binder) fn drop_object(&mut self, drop: &'a ast::Drop) -> Result<BoundStatement> {
        let mut bound = Drop {
            kind: drop.kind,
            tables: Vec::new(),
            indexes: Vec::new(),
            sequences: Vec::new(),
            schemas: Vec::new(),
            missing: Vec::new(),
            cascade: drop.cascade,
        };
        for name in &drop.names {
            let found = match drop.kind {
                ObjectKind::Table | ObjectKind::View => self.dropped_table(&mut bound, name)?,
                ObjectKind::Index => self.dropped_index(&mut bound, name)?,
                ObjectKind::Sequence => self.dropped_sequence(&mut bound, name)?,
                ObjectKind::Schema => {
                    let schema = &name.last().name;
                    let known = self.catalog.has_schema(schema);
                    if known && !bound.schemas.contains(schema) {
                        bound.schemas.push(schema.clone());
                    }
                    known
                }
            };
            if found {
                continue;
            }
            if !drop.if_exists {
                return Err(self.missing(drop.kind, name));
            }
            bound.missing.push(name.to_string());
        }
        Ok(BoundStatement::Definition(Box::new(Definition::Drop(
            bound,
        ))))
    }

    fn missing(&self, kind: ObjectKind, name: &ObjectName) -> Error {
        let (state, what) = match kind {
            ObjectKind::Schema => (SqlState("3F000"), "schema"),
            ObjectKind::Index => (SqlState::UNDEFINED_OBJECT, "index"),
            other => (SqlState::UNDEFINED_TABLE, other.noun()),
        };
        let tables = self.catalog.tables().unwrap_or_default();
        let hint = match kind {
            ObjectKind::Table | ObjectKind::View => suggest::did_you_mean(
                &name.last().name,
                tables.iter().map(|table| table.name.as_str()),
            ),
            ObjectKind::Index => suggest::did_you_mean(
                &name.last().name,
                tables
                    .iter()
                    .flat_map(|table| &table.indexes)
                    .map(|index| index.name.as_str()),
            ),
            _ => None,
        };
        with_hint(
            Error::new(state, format!("{what} \"{name}\" does not exist")).at(name.span),
            hint,
        )
    }

    /// The error for a name that belongs to something else.
    fn other_kind(&self, kind: ObjectKind, name: &ObjectName) -> Result<Option<Error>> {
        let schema = name.qualifier().map(|schema| schema.name.as_str());
        let ident = &name.last().name;
        let other = if let Some(table) = self.catalog.table(schema, ident)? {
            if let TableKind::System(_) = table.kind {
                let error = crate::binder::data::system_catalog(&table, name.span);
                return Ok(Some(error));
            }
            Some(noun(&table))
        } else if self.catalog.sequence(schema, ident)?.is_some() {
            Some(("a sequence", "DROP SEQUENCE"))
        } else if self.catalog.table_of_index(schema, ident)?.is_some() {
            Some(("an index", "DROP INDEX"))
        } else {
            None
        };
        Ok(other.map(|(what, instead)| {
            Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{ident}\" is not {}", article(kind)),
            )
            .at(name.span)
            .detail(format!("It is {what}."))
            .hint(format!("Use {instead} to remove {what}."))
        }))
    }

    fn dropped_table(&mut self, drop: &mut Drop, name: &ObjectName) -> Result<bool> {
        let schema = name.qualifier().map(|schema| schema.name.as_str());
        let found = self.catalog.table(schema, &name.last().name)?;
        let fits = |table: &Arc<Table>| {
            matches!(
                (&table.kind, drop.kind),
                (TableKind::Table, ObjectKind::Table) | (TableKind::View(_), ObjectKind::View)
            )
        };
        match found {
            Some(table) if fits(&table) => {
                if !drop.tables.iter().any(|known| known.id == table.id) {
                    drop.tables.push(table);
                }
                Ok(true)
            }
            _ => match self.other_kind(drop.kind, name)? {
                Some(error) => Err(error),
                None => Ok(false),
            },
        }
    }

    fn dropped_index(&mut self, drop: &mut Drop, name: &ObjectName) -> Result<bool> {
        let schema = name.qualifier().map(|schema| schema.name.as_str());
        let ident = name.last();
        let Some(table) = self.catalog.table_of_index(schema, &ident.name)? else {
            return match self.other_kind(drop.kind, name)? {
                Some(error) => Err(error),
                None => Ok(false),
            };
        };
        let constraint = table.primary_key_name.as_deref() == Some(ident.name.as_str())
            || table
                .indexes
                .iter()
                .any(|index| index.constraint && index.name == ident.name);
        if constraint {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!(
                    "cannot drop index {} because constraint {} on table {} requires it",
                    ident.name, ident.name, table.name
                ),
            )
            .at(name.span)
            .hint(format!(
                "You can drop constraint {} on table {} instead.",
                ident.name, table.name
            )));
        }
        drop.indexes.push((table, ident.name.clone()));
        Ok(true)
    }

    fn dropped_sequence(&mut self, drop: &mut Drop, name: &ObjectName) -> Result<bool> {
        let schema = name.qualifier().map(|schema| schema.name.as_str());
        match self.catalog.sequence(schema, &name.last().name)? {
            Some(sequence) => {
                if !drop.sequences.contains(&sequence) {
                    drop.sequences.push(sequence);
                }
                Ok(true)
            }
            None => match self.other_kind(drop.kind, name)? {
                Some(error) => Err(error),
                None => Ok(false),
            },
        }
    }
}

fn article(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Table => "a table",
        ObjectKind::View => "a view",
        ObjectKind::Index => "an index",
        ObjectKind::Sequence => "a sequence",
        ObjectKind::Schema => "a schema",
    }
}
