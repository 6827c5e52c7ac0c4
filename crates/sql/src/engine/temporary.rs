//! Temporary objects: they are in a schema of the session's own, and go with it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::{
    Result,
    bound::{BoundStatement, Definition, Drop, OnCommit, Truncate},
    catalog::{CatalogReader, Table, TableId},
    engine::{database::Database, session::Session},
};

/// How the schemas of temporary objects begin.
pub(crate) const PREFIX: &str = "pg_temp_";

/// What a session has of its own.
#[derive(Debug, Default)]
pub(crate) struct Temporary {
    /// The schema, once it is needed.
    pub(crate) schema: Option<String>,
    /// Tables that this session has made, with what a commit does to them.
    pub(crate) tables: Vec<(TableId, OnCommit)>,
}

/// Names sessions' schemas apart within a process.
static NEXT: AtomicU32 = AtomicU32::new(1);

impl Session {
    /// Gives the session a schema for temporary objects, first on its search path.
    pub(super) fn own_temporary_schema(&mut self) {
        if self.temporary.schema.is_some() {
            return;
        }
        let schema = format!("{PREFIX}{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.temporary.schema = Some(schema);
        self.settle_search_path();
    }

    /// Puts the schema of temporary objects first on the search path.
    pub(super) fn settle_search_path(&mut self) {
        let Some(schema) = &self.temporary.schema else {
            return;
        };
        if self.settings.search_path.first() != Some(schema) {
            let mut path = vec![schema.clone()];
            path.extend(self.settings.search_path.iter().cloned());
            self.settings.search_path = Arc::new(path);
        }
        self.own_sequences();
        self.sequences
            .set_search_path(Arc::clone(&self.settings.search_path));
    }

    /// ON COMMIT of the temporary tables: rows go, or the tables themselves.
    pub(super) fn settle_temporary(&mut self) -> Result<()> {
        let on_commit = |wanted: OnCommit, tables: &[(TableId, OnCommit)]| -> Vec<TableId> {
            tables
                .iter()
                .filter(|(_, of)| *of == wanted)
                .map(|(id, _)| *id)
                .collect()
        };
        let dropped = on_commit(OnCommit::Drop, &self.temporary.tables);
        let emptied = on_commit(OnCommit::DeleteRows, &self.temporary.tables);
        let known = |catalog: &dyn CatalogReader, ids: &[TableId]| -> Vec<Arc<Table>> {
            ids.iter()
                .filter_map(|id| catalog.table_by_id(*id))
                .collect()
        };
        if !dropped.is_empty() {
            self.define(|catalog| Ok((drop_statement(known(catalog, &dropped)), None)))?;
            self.temporary
                .tables
                .retain(|(id, _)| !dropped.contains(id));
        }
        if !emptied.is_empty() {
            self.define(|catalog| {
                let truncate = Definition::Truncate(Truncate {
                    tables: known(catalog, &emptied),
                    restart_identity: false,
                    cascade: true,
                });
                Ok((BoundStatement::Definition(Box::new(truncate)), None))
            })?;
        }
        Ok(())
    }

    /// Whether a commit has anything to do with temporary tables.
    pub(super) fn has_on_commit(&self) -> bool {
        self.temporary
            .tables
            .iter()
            .any(|(_, on_commit)| *on_commit != OnCommit::PreserveRows)
    }
}

impl std::ops::Drop for Session {
    fn drop(&mut self) {
        let Some(schema) = self.temporary.schema.take() else {
            return;
        };
        self.open = None;
        // What cannot be dropped now goes when the database is opened next.
        let _ = drop_all(&self.database, Some(&schema));
    }
}

/// Drops every table of a temporary schema, or (`None`) of all of them: nobody else reads them.
pub(crate) fn drop_all(database: &Database, schema: Option<&str>) -> Result<()> {
    let tables: Vec<Arc<Table>> = database
        .catalog()
        .handles()
        .filter(|handle| match schema {
            Some(schema) => handle.table.schema == schema,
            None => handle.table.schema.starts_with(PREFIX),
        })
        .map(|handle| Arc::clone(&handle.table))
        .collect();
    if tables.is_empty() {
        return Ok(());
    }
    let mut session = Session::new(database.clone());
    session.define(|catalog| {
        let tables = tables
            .iter()
            .filter_map(|table| catalog.table_by_id(table.id))
            .collect();
        Ok((drop_statement(tables), None))
    })?;
    Ok(())
}

fn drop_statement(tables: Vec<Arc<Table>>) -> BoundStatement {
    BoundStatement::Definition(Box::new(Definition::Drop(Drop {
        kind: crate::ast::ObjectKind::Table,
        tables,
        indexes: Vec::new(),
        sequences: Vec::new(),
        schemas: Vec::new(),
        missing: Vec::new(),
        cascade: true,
    })))
}
