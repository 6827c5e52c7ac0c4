//! ALTER TABLE, by comparing the old definition with the new one: what rows and indexes need
//! follows from that. Adding or dropping a column rewrites nothing; changing a type or the
//! primary key does.

use std::sync::Arc;

use rustling_storage::{Direction, KeyRange, KeyspaceId};
use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState, Value,
    bound::{AlterTable, Expr},
    catalog::{ColumnNumber, ForeignKey, IndexId, Table, TableId},
    encoding::RowDecoder,
    engine::{
        bulk::BulkLoader,
        catalog::convert::sequence_record,
        error::txn_error,
        foreign_keys,
        notice::Notice,
        row_numbers::RowNumbers,
        session::{Session, StatementResult},
        table::{TableHandle, row_position},
    },
    eval::CompiledExpr,
    executor::ExecContext,
};

use super::{drop_keyspaces, engine_of, new_keyspace};

/// How many rows are rewritten at once.
const BATCH: usize = 1024;

impl Session {
    pub(super) fn alter_table(
        &mut self,
        transaction: &Transaction,
        alter: AlterTable,
    ) -> Result<StatementResult> {
        let tag = if alter.only_storage {
            "ALTER TABLE".to_owned()
        } else {
            format!("ALTER {}", alter.object.keyword())
        };
        let (name, cascade) = (alter.new.name.clone(), alter.cascade);
        let (mut changed, mut notices) = (Vec::new(), Vec::new());
        self.alter_family(transaction, alter, &mut changed, &mut notices)?;
        // A view over a family reads all of it, so that all of it has its new form before.
        self.settle_views(transaction, &changed, &name, cascade, &mut notices)?;
        Ok(StatementResult::noted(tag, notices))
    }

    /// Alters a table and those made of it; adds them to `changed`.
    fn alter_family(
        &mut self,
        transaction: &Transaction,
        alter: AlterTable,
        changed: &mut Vec<TableId>,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let AlterTable {
            object: _,
            old,
            mut new,
            mut values,
            sequences,
            dropped_sequences,
            cascade,
            notices: own,
            only_storage,
            bound,
            children,
        } = alter;
        notices.extend(own.into_iter().map(Notice::new));
        if only_storage {
            // Nobody else has to wait.
            move_to_engine(transaction, &old, &new)?;
            return self.put_table(transaction, &new);
        }
        let handle = self.lock_table(transaction, &old)?;
        let is_table = old.view().is_none();
        for (ordinal, definition) in sequences {
            self.column_sequence(
                transaction,
                &mut new,
                ordinal,
                definition.sequence,
                definition.identity,
            )?;
            let column = &new.columns[ordinal];
            // Rows that are there get numbers as well, where the column is new.
            if definition.identity.is_some() && old.ordinal(column.number).is_none() {
                values.push((column.number, crate::binder::default_value(&new, ordinal)));
            }
            self.reload_catalog(transaction)?;
        }
        for key in &mut new.foreign_keys {
            if key.parent == TableId::ITSELF {
                key.parent = new.id;
            }
        }
        let attached = bound.is_some();
        if let Some(bound) = bound {
            self.settle_bound(transaction, &mut new, bound)?;
            self.check_attached(transaction, &Arc::new(new.clone()))?;
        }
        if is_table {
            self.change_storage(transaction, &handle, &mut new, &values)?;
            move_to_engine(transaction, &old, &new)?;
        }
        self.put_table(transaction, &new)?;
        let same_columns = old.columns.len() == new.columns.len()
            && old
                .columns
                .iter()
                .zip(&new.columns)
                .all(|(old, new)| old.number == new.number && old.data_type == new.data_type);
        if !same_columns {
            self.forget_statistics(transaction, new.id)?;
        }
        for id in dropped_sequences {
            self.database
                .inner
                .catalog_store
                .delete_sequence(transaction, id)?;
        }
        self.drop_owned_of_lost_columns(transaction, &old, &new)?;
        self.follow_owner(transaction, &old, &new)?;
        self.reload_catalog(transaction)?;
        self.settle_parents(transaction, &old, &new)?;
        self.check_new_keys(transaction, &old, &new)?;
        self.settle_children(transaction, &new, cascade, notices)?;
        changed.push(new.id);
        if attached || old.parents != new.parents {
            for parent in old.parents.iter().chain(&new.parents) {
                self.touch(transaction, *parent)?;
            }
        }
        for child in children {
            self.alter_family(transaction, child, changed, notices)?;
            self.reload_catalog(transaction)?;
        }
        Ok(())
    }

    /// Brings rows and indexes into the form of the new definition.
    fn change_storage(
        &mut self,
        transaction: &Transaction,
        handle: &Arc<TableHandle>,
        new: &mut Table,
        values: &[(ColumnNumber, Expr)],
    ) -> Result<()> {
        let old = &handle.table;
        let key_of = |table: &Table| -> Vec<ColumnNumber> {
            table
                .primary_key
                .iter()
                .filter_map(|ordinal| table.columns.get(*ordinal))
                .map(|column| column.number)
                .collect()
        };
        for ordinal in 0..new.columns.len() {
            let column = &new.columns[ordinal];
            let added = old.ordinal(column.number).is_none();
            let valued = values.iter().any(|(number, _)| *number == column.number);
            if added
                && !valued
                && let Some((_, default)) = &column.default
            {
                let context = self.exec_context(self.open_transaction_handle()?, Vec::new(), None);
                let value =
                    CompiledExpr::compile(default, &|_| None)?.eval(&[], &context.eval())?;
                new.columns[ordinal].before = value;
            }
        }
        for at in 0..new.indexes.len() {
            if new.indexes[at].id == IndexId(0) {
                let name = self.free_name(new, &new.indexes[at].name)?;
                let index = &mut new.indexes[at];
                index.name = name;
                index.id = IndexId(self.allocate_id(transaction)?);
                index.keyspace = new_keyspace(transaction, new.storage)?;
            }
        }
        let rewrite = !values.is_empty() || key_of(old) != key_of(new);
        if rewrite {
            self.must_see_all_rows(handle, "ALTER TABLE that rewrites the table")?;
            return self.rewrite(transaction, handle, new, values);
        }
        for index in &old.indexes {
            if !new.indexes.iter().any(|kept| kept.id == index.id) {
                transaction
                    .drop_keyspace(KeyspaceId(index.keyspace))
                    .map_err(txn_error)?;
            }
        }
        let added: Vec<_> = new
            .indexes
            .iter()
            .filter(|index| !old.indexes.iter().any(|known| known.id == index.id))
            .cloned()
            .collect();
        let altered =
            TableHandle::new(Arc::new(new.clone()), Arc::clone(&handle.row_numbers), None)?;
        let altered = Arc::new(altered);
        self.check_rows(transaction, old, &altered)?;
        if !added.is_empty() {
            self.must_see_all_rows(handle, "adding an index")?;
        }
        for index in &added {
            self.fill_index(transaction, &altered, index)?;
        }
        Ok(())
    }

    /// Writes every row anew, into new keyspaces.
    fn rewrite(
        &mut self,
        transaction: &Transaction,
        handle: &Arc<TableHandle>,
        new: &mut Table,
        values: &[(ColumnNumber, Expr)],
    ) -> Result<()> {
        let old = Arc::clone(&handle.table);
        new.keyspace = new_keyspace(transaction, new.storage)?;
        for index in &mut new.indexes {
            index.keyspace = new_keyspace(transaction, new.storage)?;
        }
        new.row_versions.clear();
        for column in &mut new.columns {
            column.before = match old.ordinal(column.number) {
                Some(_) => Value::Null,
                None => std::mem::replace(&mut column.before, Value::Null),
            };
        }
        new.new_row_version();
        // Where each column's value comes from.
        enum From {
            Old(usize),
            Computed(CompiledExpr),
            Fixed(Value),
        }
        let mut sources = Vec::with_capacity(new.columns.len());
        for column in &mut new.columns {
            let value = values.iter().find(|(number, _)| *number == column.number);
            sources.push(match (value, old.ordinal(column.number)) {
                // Generated columns are filled in when the row is written.
                _ if column.generated.is_some() => From::Fixed(Value::Null),
                (Some((_, value)), _) => {
                    From::Computed(CompiledExpr::compile(value, &row_position)?)
                }
                (None, Some(ordinal)) => From::Old(ordinal),
                (None, None) => From::Fixed(std::mem::replace(&mut column.before, Value::Null)),
            });
        }
        let target = Arc::new(TableHandle::new(
            Arc::new(new.clone()),
            Arc::new(RowNumbers::new()),
            None,
        )?);
        let context = self.exec_context(self.open_transaction_handle()?, Vec::new(), None);
        let loader = BulkLoader::new(
            self.database.clone(),
            Arc::clone(&target),
            self.exec_context(self.open_transaction_handle()?, Vec::new(), None),
            false,
        )?;
        let all: Vec<usize> = (0..old.columns.len()).collect();
        let decoder = RowDecoder::new(Arc::clone(&handle.codec), &all);
        let mut cursor = transaction
            .scan(handle.keyspace, KeyRange::all(), Direction::Forward)
            .map_err(txn_error)?;
        let mut row = vec![Value::Null; old.columns.len()];
        let mut scratch = Vec::new();
        let mut batch = Vec::with_capacity(BATCH);
        while let Some((key, stored)) = cursor.next().map_err(txn_error)? {
            decoder.decode_values(key, stored, &mut scratch, &mut row)?;
            let mut made = Vec::with_capacity(sources.len());
            for source in &sources {
                made.push(match source {
                    From::Old(ordinal) => row.get(*ordinal).cloned().unwrap_or(Value::Null),
                    From::Computed(value) => value.eval(&row, &context.eval())?,
                    From::Fixed(value) => value.clone(),
                });
            }
            self.check_made(new, &old, &made)?;
            batch.push(made);
            if batch.len() >= BATCH {
                context.check()?;
                loader
                    .append(std::mem::take(&mut batch))
                    .map_err(|error| of_all_rows(error, new))?;
            }
        }
        loader
            .append(batch)
            .map_err(|error| of_all_rows(error, new))?;
        drop(cursor);
        loader.finish()?;
        drop_keyspaces(transaction, &old)?;
        Ok(())
    }

    /// NULLs in a column that takes none any more are told of the column, not of a row.
    fn check_made(&self, new: &Table, old: &Table, row: &[Value]) -> Result<()> {
        for (column, value) in new.columns.iter().zip(row) {
            if column.not_null && column.generated.is_none() && matches!(value, Value::Null) {
                let _ = old;
                return Err(contains_nulls(&column.name, &new.name));
            }
        }
        Ok(())
    }

    /// Checks the rows that are there against what is new in the definition.
    fn check_rows(
        &mut self,
        transaction: &Transaction,
        old: &Table,
        altered: &Arc<TableHandle>,
    ) -> Result<()> {
        let new = &altered.table;
        let not_null: Vec<usize> = new
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| {
                let before = old.ordinal(column.number);
                column.not_null && before.is_none_or(|ordinal| !old.columns[ordinal].not_null)
            })
            .map(|(ordinal, _)| ordinal)
            .collect();
        let checks: Vec<usize> = new
            .checks
            .iter()
            .enumerate()
            .filter(|(_, check)| {
                let before = old.checks.iter().find(|of| of.name == check.name);
                check.validated && before.is_none_or(|of| !of.validated)
            })
            .map(|(at, _)| at)
            .collect();
        if not_null.is_empty() && checks.is_empty() {
            return Ok(());
        }
        self.must_see_all_rows(altered, "adding a constraint")?;
        let context = self.exec_context(self.open_transaction_handle()?, Vec::new(), None);
        let all: Vec<usize> = (0..new.columns.len()).collect();
        let decoder = RowDecoder::new(Arc::clone(&altered.codec), &all);
        let mut cursor = transaction
            .scan(altered.keyspace, KeyRange::all(), Direction::Forward)
            .map_err(txn_error)?;
        let mut row = vec![Value::Null; new.columns.len()];
        let mut scratch = Vec::new();
        let mut count = 0u32;
        while let Some((key, stored)) = cursor.next().map_err(txn_error)? {
            count = count.wrapping_add(1);
            if count.is_multiple_of(128) {
                context.check()?;
            }
            decoder.decode_values(key, stored, &mut scratch, &mut row)?;
            for ordinal in &not_null {
                if matches!(row.get(*ordinal), None | Some(Value::Null)) {
                    return Err(contains_nulls(&new.columns[*ordinal].name, &new.name));
                }
            }
            for at in &checks {
                let Some((name, check)) = altered.checks.get(*at) else {
                    continue;
                };
                if check.eval_predicate(&row, &context.eval())? == Some(false) {
                    return Err(violated_by_some_row(name, &new.name));
                }
            }
        }
        Ok(())
    }

    /// The tables that foreign keys lead to know of them: when keys come or go, statements on
    /// those tables are planned again.
    fn settle_parents(
        &mut self,
        transaction: &Transaction,
        old: &Table,
        new: &Table,
    ) -> Result<()> {
        let missing = |of: &[ForeignKey], key: &ForeignKey| {
            !of.iter().any(|other| {
                other.name == key.name && other.parent == key.parent && other.columns == key.columns
            })
        };
        let gone = old
            .foreign_keys
            .iter()
            .filter(|key| missing(&new.foreign_keys, key));
        let come = new
            .foreign_keys
            .iter()
            .filter(|key| missing(&old.foreign_keys, key));
        let mut parents: Vec<TableId> = gone
            .chain(come)
            .map(|key| key.parent)
            .filter(|parent| *parent != new.id)
            .collect();
        parents.sort_unstable();
        parents.dedup();
        for parent in parents {
            self.touch(transaction, parent)?;
        }
        Ok(())
    }

    /// Checks the rows against foreign keys that are new, or newly to be valid.
    fn check_new_keys(
        &mut self,
        transaction: &Transaction,
        old: &Table,
        new: &Table,
    ) -> Result<()> {
        for key in &new.foreign_keys {
            let before = old.foreign_keys.iter().find(|of| of.name == key.name);
            if !key.validated || before.is_some_and(|of| of.validated) {
                continue;
            }
            let catalog = self.catalog();
            let (Some(child), Some(parent)) = (catalog.handle(new.id), catalog.handle(key.parent))
            else {
                continue;
            };
            self.lock_table(transaction, &parent.table)?;
            self.must_see_all_rows(&child, "adding a foreign key")?;
            let context: ExecContext =
                self.exec_context(self.open_transaction_handle()?, Vec::new(), None);
            foreign_keys::validate(&child, key, &parent, &context)?;
        }
        Ok(())
    }

    /// Foreign keys of other tables need a unique key of this one.
    fn settle_children(
        &mut self,
        transaction: &Transaction,
        new: &Table,
        cascade: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let Some(handle) = self.catalog().handle(new.id) else {
            return Ok(());
        };
        for (child, at) in handle.referenced_by.clone() {
            let Some(child) = self.catalog().handle(child) else {
                continue;
            };
            let Some(key) = child.table.foreign_keys.get(at) else {
                continue;
            };
            if new.has_unique_key(&key.parent_columns) {
                continue;
            }
            if !cascade {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS,
                    format!(
                        "cannot drop a key or column of table {} because other objects depend on it",
                        new.name
                    ),
                )
                .detail(format!(
                    "constraint {} on table {} depends on it",
                    key.name, child.table.name
                ))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
            }
            notices.push(Notice::new(format!(
                "drop cascades to constraint {} on table {}",
                key.name, child.table.name
            )));
            let name = key.name.clone();
            let child = self.lock_table(transaction, &Arc::clone(&child.table))?;
            let mut table = Table::clone(&child.table);
            table.foreign_keys.retain(|key| key.name != name);
            table.version += 1;
            self.put_table(transaction, &table)?;
            self.reload_catalog(transaction)?;
        }
        Ok(())
    }

    /// Sequences that belong to columns that are gone, go as well.
    fn drop_owned_of_lost_columns(
        &mut self,
        transaction: &Transaction,
        old: &Table,
        new: &Table,
    ) -> Result<()> {
        let lost: Vec<ColumnNumber> = old
            .columns
            .iter()
            .map(|column| column.number)
            .filter(|number| new.ordinal(*number).is_none())
            .collect();
        let owned: Vec<_> = self
            .catalog()
            .all_sequences()
            .filter(|sequence| {
                sequence
                    .owner
                    .is_some_and(|(table, column)| table == old.id && lost.contains(&column))
            })
            .map(|sequence| sequence.id)
            .collect();
        for id in owned {
            self.database
                .inner
                .catalog_store
                .delete_sequence(transaction, id)?;
        }
        Ok(())
    }

    /// Sequences of a table's columns stay in its schema.
    fn follow_owner(&mut self, transaction: &Transaction, old: &Table, new: &Table) -> Result<()> {
        if old.schema == new.schema {
            return Ok(());
        }
        let owned: Vec<_> = self
            .catalog()
            .all_sequences()
            .filter(|sequence| sequence.owner.is_some_and(|(table, _)| table == old.id))
            .cloned()
            .collect();
        for sequence in owned {
            let mut sequence = (*sequence).clone();
            sequence.schema.clone_from(&new.schema);
            self.database
                .inner
                .catalog_store
                .put_sequence(transaction, &sequence_record(&sequence))?;
        }
        Ok(())
    }
}

/// What one row breaks, all rows were to keep: the error speaks of the table.
fn of_all_rows(error: Error, table: &Table) -> Error {
    if error.state() != SqlState::CHECK_VIOLATION {
        return error;
    }
    let name = table
        .checks
        .iter()
        .map(|check| &check.name)
        .find(|name| error.message().contains(&format!("\"{name}\"")));
    match name {
        Some(name) => violated_by_some_row(name, &table.name),
        None => error,
    }
}

#[cold]
fn contains_nulls(column: &str, table: &str) -> Error {
    Error::new(
        SqlState::NOT_NULL_VIOLATION,
        format!("column \"{column}\" of relation \"{table}\" contains null values"),
    )
    .of_column(column)
}

#[cold]
fn violated_by_some_row(check: &str, table: &str) -> Error {
    Error::new(
        SqlState::CHECK_VIOLATION,
        format!("check constraint \"{check}\" of relation \"{table}\" is violated by some row"),
    )
    .of_constraint(check)
}

/// Gives rows and indexes that stay where they are the engine of the new definition. They are
/// copied while others read and write them.
fn move_to_engine(transaction: &Transaction, old: &Table, new: &Table) -> Result<()> {
    if old.storage == new.storage {
        return Ok(());
    }
    let keyspaces = |table: &Table| -> Vec<u32> {
        let indexes = table.indexes.iter().map(|index| index.keyspace);
        indexes.chain([table.keyspace]).collect()
    };
    let before = keyspaces(old);
    for keyspace in keyspaces(new) {
        if before.contains(&keyspace) {
            transaction
                .set_engine(KeyspaceId(keyspace), engine_of(new.storage))
                .map_err(txn_error)?;
        }
    }
    Ok(())
}
