//! CREATE TABLE and TRUNCATE.

use std::sync::Arc;

use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState,
    bound::{ColumnId, CreateTable, LogicalPlan, OnCommit, Truncate},
    catalog::{Identity, IndexId, Sequence, Table, TableId, access::ObjectId},
    engine::table::TableHandle,
    engine::{
        change::{ChangeAction, ChangeKind, apply::apply},
        notice::Notice,
        session::{Session, StatementResult},
    },
    planner::{PlanContext, plan_query},
};

use super::{drop_keyspaces, new_keyspace};

impl Session {
    pub(super) fn create_table(
        &mut self,
        transaction: &Transaction,
        definition: CreateTable,
    ) -> Result<StatementResult> {
        let CreateTable {
            mut table,
            bound,
            temporary,
            exists,
            sequences,
            source,
            tag,
        } = definition;
        if exists {
            return Ok(StatementResult::noted(
                "CREATE TABLE",
                vec![Notice::new(format!(
                    "relation \"{}\" already exists, skipping",
                    table.name
                ))],
            ));
        }
        table.id = TableId(self.allocate_id(transaction)?);
        table.keyspace = new_keyspace(transaction, table.storage)?;
        for at in 0..table.indexes.len() {
            let name = self.free_name(&table, &table.indexes[at].name)?;
            let index = &mut table.indexes[at];
            index.name = name;
            index.id = IndexId(self.allocate_id(transaction)?);
            index.keyspace = new_keyspace(transaction, table.storage)?;
        }
        for (ordinal, definition) in sequences {
            self.column_sequence(
                transaction,
                &mut table,
                ordinal,
                definition.sequence,
                definition.identity,
            )?;
        }
        let id = table.id;
        let mut parents = Vec::new();
        for key in &mut table.foreign_keys {
            if key.parent == TableId::ITSELF {
                key.parent = id;
            } else if !parents.contains(&key.parent) {
                parents.push(key.parent);
            }
        }
        if let Some(on_commit) = temporary {
            self.note_temporary(id, on_commit);
        }
        if let Some(bound) = bound {
            self.settle_bound(transaction, &mut table, bound)?;
        }
        parents.extend_from_slice(&table.parents);
        self.put_table(transaction, &table)?;
        self.note_owner(transaction, &ObjectId::Table(id))?;
        for parent in parents {
            self.touch(transaction, parent)?;
        }
        let Some((source, columns)) = source else {
            return Ok(StatementResult::done(tag));
        };
        self.reload_catalog(transaction)?;
        let affected = self.fill(id, source, &columns)?;
        Ok(StatementResult::Done {
            tag: format!("SELECT {affected}"),
            affected,
            notices: Vec::new(),
        })
    }

    /// A name like `wanted` that no relation of the table's schema has.
    pub(super) fn free_name(&self, table: &Table, wanted: &str) -> Result<String> {
        let catalog = self.catalog();
        let taken = |name: &str| {
            name == table.name
                || catalog.has_relation(&table.schema, name)
                || table
                    .indexes
                    .iter()
                    .any(|index| index.id != IndexId(0) && index.name == name)
        };
        let mut name = wanted.to_owned();
        let mut number = 0;
        while taken(&name) {
            number += 1;
            name = format!("{wanted}{number}");
        }
        Ok(name)
    }

    /// Makes the sequence of a column.
    pub(super) fn column_sequence(
        &mut self,
        transaction: &Transaction,
        table: &mut Table,
        ordinal: usize,
        mut sequence: Sequence,
        identity: Option<bool>,
    ) -> Result<()> {
        let Some(column) = table.columns.get_mut(ordinal) else {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "a sequence belongs to no column",
            ));
        };
        sequence.owner = Some((table.id, column.number));
        let id = self.new_sequence(transaction, &mut sequence)?;
        if let Some(always) = identity {
            column.identity = Some(Identity {
                always,
                sequence: id,
            });
        }
        Ok(())
    }

    /// Inserts the rows of a query into a table that this transaction has made.
    fn fill(&mut self, id: TableId, source: LogicalPlan, columns: &[ColumnId]) -> Result<u64> {
        let catalog = self.catalog();
        let tables = |id| catalog.handle(id);
        let rows = |handle: &TableHandle| catalog.rows_of(handle);
        let statistics = |handle: &TableHandle| catalog.statistics_of(handle, rows(handle));
        let context = PlanContext {
            tables: &tables,
            rows: &rows,
            statistics: &statistics,
            parameters: 0,
            executor: self.settings.executor,
            optimizer: self.settings.optimizer,
        };
        let change = ChangeAction {
            table: catalog.handle(id).ok_or_else(|| {
                Error::new(
                    SqlState::INTERNAL_ERROR,
                    "the new table is not in the catalog",
                )
            })?,
            source: plan_query(source, columns, &context)?,
            reads_itself: false,
            kind: ChangeKind::Insert(None),
            returning: None,
            family: None,
            partitions: None,
            checks: Vec::new(),
        };
        let transaction = self.read_transaction()?;
        let mut context = self.exec_context(transaction, Vec::new(), None);
        Ok(apply(self, &change, &mut context)?.affected)
    }

    pub(super) fn truncate(
        &mut self,
        transaction: &Transaction,
        truncate: Truncate,
    ) -> Result<StatementResult> {
        let mut tables = truncate.tables;
        let mut notices = Vec::new();
        let mut at = 0;
        while let Some(table) = tables.get(at) {
            at += 1;
            let Some(handle) = self.catalog().handle(table.id) else {
                continue;
            };
            for (child, _) in &handle.referenced_by {
                if tables.iter().any(|known| known.id == *child) {
                    continue;
                }
                let Some(child) = self.catalog().handle(*child) else {
                    continue;
                };
                if !truncate.cascade {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cannot truncate a table referenced in a foreign key constraint",
                    )
                    .detail(format!(
                        "Table \"{}\" references \"{}\".",
                        child.table.name, handle.table.name
                    ))
                    .hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        child.table.name
                    )));
                }
                notices.push(Notice::new(format!(
                    "truncate cascades to table \"{}\"",
                    child.table.name
                )));
                tables.push(Arc::clone(&child.table));
            }
        }
        for table in &tables {
            self.empty(transaction, table, truncate.restart_identity)?;
        }
        Ok(StatementResult::noted("TRUNCATE TABLE", notices))
    }

    /// Gives a table new keyspaces with nothing in them.
    pub(super) fn empty(
        &mut self,
        transaction: &Transaction,
        table: &Table,
        restart_identity: bool,
    ) -> Result<()> {
        let handle = self.lock_table(transaction, table)?;
        let mut table = Table::clone(&handle.table);
        drop_keyspaces(transaction, &table)?;
        table.version += 1;
        table.keyspace = new_keyspace(transaction, table.storage)?;
        for index in &mut table.indexes {
            index.keyspace = new_keyspace(transaction, table.storage)?;
        }
        self.put_table(transaction, &table)?;
        self.forget_statistics(transaction, table.id)?;
        if restart_identity {
            let owned: Vec<Arc<Sequence>> = self
                .catalog()
                .all_sequences()
                .filter(|sequence| sequence.owner.is_some_and(|(owner, _)| owner == table.id))
                .cloned()
                .collect();
            for sequence in owned {
                self.restart_sequence(transaction, &sequence, sequence.start)?;
            }
        }
        Ok(())
    }

    pub(super) fn forget_statistics(&self, transaction: &Transaction, id: TableId) -> Result<()> {
        self.database
            .inner
            .catalog_store
            .delete_statistics(transaction, id)
    }

    /// Remembers a temporary table of this session.
    fn note_temporary(&mut self, id: TableId, on_commit: OnCommit) {
        self.temporary.tables.push((id, on_commit));
    }
}
