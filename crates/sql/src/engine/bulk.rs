//! Loading many rows at once.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustling_storage::Durability;
use rustling_txn::{BulkWriter, Error as TxnError, Transaction, TransactionOptions};

use crate::{
    DataType, Error, Result, SqlState, Value,
    binder::did_you_mean,
    catalog::Table,
    encoding::row::row_number_key,
    engine::{
        database::Database,
        error::txn_error,
        foreign_keys,
        session::Session,
        table::{IndexHandle, TableHandle},
    },
    eval::{CompiledExpr, EvalContext},
    executor::ExecContext,
};

/// How rows are loaded.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BulkOptions {
    /// When the commit answers.
    pub durability: Durability,
}

/// Loads rows into a table, from any number of threads, in bounded memory, all or nothing.
///
/// Rows are checked like those of INSERT: types, NOT NULL, CHECK and keys. They show to others
/// with the commit; dropping the loader instead of finishing it leaves nothing. Others cannot
/// write to the table meanwhile.
///
/// ```
/// use rustling_sql::{BulkOptions, Database, Value};
///
/// let db = Database::in_memory()?;
/// db.execute("CREATE TABLE t (id int PRIMARY KEY, name text)", ())?;
/// let loader = db.bulk_loader("t", BulkOptions::default())?;
/// let row = |id: i32| vec![Value::Int4(id), Value::Text(format!("number {id}").into())];
/// loader.append((0..1000).map(row).collect())?;
/// assert_eq!(loader.finish()?, 1000);
/// # Ok::<(), rustling_sql::Error>(())
/// ```
#[derive(Debug)]
pub struct BulkLoader {
    // Writers first: they are dropped before the transaction that they belong to.
    rows: BulkWriter,
    indexes: Vec<BulkWriter>,
    table: Arc<TableHandle>,
    database: Database,
    context: ExecContext,
    count: AtomicU64,
    /// Whether finishing commits: the transaction is the loader's own.
    own: bool,
    /// The session whose tables the rows refer to; `None`: references are known to hold.
    references: Option<Session>,
}

/// A row that its table refused.
#[derive(Clone, Debug)]
pub struct RefusedRow {
    /// Its place among the rows given.
    pub place: usize,
    /// The row.
    pub row: Vec<Value>,
    /// Why.
    pub error: Error,
}

/// An error of a load, with the place of the row that it is about.
pub(super) struct PlacedError {
    /// Counted from 0; `None`: it is about none.
    pub(super) place: Option<usize>,
    /// What is wrong.
    pub(super) error: Error,
}

impl From<Error> for PlacedError {
    fn from(error: Error) -> PlacedError {
        PlacedError { place: None, error }
    }
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Database {
    /// Begins to load rows into a table, in a transaction of its own.
    ///
    /// # Errors
    /// 42P01 where there is no such table; lock errors.
    pub fn bulk_loader(&self, table: &str, options: BulkOptions) -> Result<BulkLoader> {
        loop {
            let handle = find(&self.catalog(), table)?;
            let transaction = self.inner.begin(TransactionOptions {
                durability: options.durability,
                ..TransactionOptions::default()
            })?;
            let session = self.session();
            let context = session.exec_context(Arc::new(transaction), Vec::new(), None);
            let mut loader = BulkLoader::new(self.clone(), Arc::clone(&handle), context, true)?;
            loader.references = Some(session);
            let newest = self.catalog().handle(handle.table.id);
            if newest.is_some_and(|newest| newest.table.version == handle.table.version) {
                return Ok(loader);
            }
        }
    }
}

impl Session {
    /// Begins to load rows into a table, within the open transaction block. Finish the loader
    /// before ending the block.
    ///
    /// # Errors
    /// 25P01 where no transaction block is open; 42P01 where there is no such table; lock
    /// errors.
    pub fn bulk_loader(&mut self, table: &str) -> Result<BulkLoader> {
        if self.transaction_failed() {
            return Err(super::session::must_roll_back());
        }
        if !self.in_transaction() {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "a bulk load in a session needs a transaction block",
            )
            .hint("Begin one, or use Database::bulk_loader."));
        }
        let handle = self.table_named(table)?;
        stored(&handle)?;
        let transaction = self.read_transaction()?;
        if !self.lock_for_writing(&transaction, &handle)? {
            return Err(Error::new(
                SqlState::SERIALIZATION_FAILURE,
                format!("table \"{table}\" was changed by a concurrent transaction"),
            ));
        }
        let context = self.exec_context(transaction, Vec::new(), None);
        let mut loader = BulkLoader::new(self.database().clone(), handle, context, false)?;
        loader.references = Some(Session::one_shot(self.database().clone()));
        Ok(loader)
    }
}

/// A table by name.
///
/// # Errors
/// 42P01, with the nearest name.
pub(super) fn find(
    catalog: &crate::engine::catalog::CatalogSnapshot,
    table: &str,
) -> Result<Arc<TableHandle>> {
    let found = catalog.find(None, table).ok_or_else(|| {
        let error = Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{table}\" does not exist"),
        );
        let names = catalog.handles().map(|handle| handle.table.name.as_str());
        match did_you_mean(table, names) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })?;
    stored(&found)?;
    Ok(found)
}

impl Session {
    /// The table of that name, looked up along the search path.
    pub(super) fn table_named(&self, name: &str) -> Result<Arc<TableHandle>> {
        let catalog = self.catalog();
        let parts = crate::parser::parse_name(name)?;
        let found = match parts.as_slice() {
            [name] => self
                .settings
                .search_path
                .iter()
                .find_map(|schema| catalog.find(Some(schema), name)),
            [schema, name] => catalog.find(Some(schema), name),
            _ => None,
        };
        found.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{name}\" does not exist"),
            )
        })
    }
}

/// Fails for a view and a partitioned table, which have no rows of their own.
pub(super) fn stored(table: &TableHandle) -> Result<()> {
    if table.table.partitioning.is_some() {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "loading does not divide rows among the partitions of \"{}\"",
                table.table.name
            ),
        )
        .hint("Load into its partitions, or into another table and INSERT … SELECT from there."));
    }
    if table.table.view().is_none() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{}\" is a view, not a table", table.table.name),
    ))
}

/// Whether a value may stand in a column of this type.
fn fits(value: &Value, data_type: DataType) -> bool {
    matches!(
        (value, data_type.of_values()),
        (Value::Null, _)
            | (Value::Boolean(_), DataType::Boolean)
            | (Value::Int1(_), DataType::Int1)
            | (Value::Int2(_), DataType::Int2)
            | (Value::Int4(_), DataType::Int4)
            | (Value::Int8(_), DataType::Int8)
            | (Value::Float4(_), DataType::Float4)
            | (Value::Float8(_), DataType::Float8)
            | (Value::Decimal(_), DataType::Decimal(_))
            | (
                Value::Text(_),
                DataType::Text
                    | DataType::Varchar(_)
                    | DataType::Char(_)
                    | DataType::Name
                    | DataType::InternalChar
            )
            | (Value::Bytea(_), DataType::Bytea)
            | (Value::Date(_), DataType::Date)
            | (Value::Time(_), DataType::Time)
            | (Value::TimeTz(_), DataType::TimeTz)
            | (Value::Timestamp(_), DataType::Timestamp)
            | (Value::TimestampTz(_), DataType::TimestampTz)
            | (Value::Interval(_), DataType::Interval)
            | (Value::Uuid(_), DataType::Uuid)
            | (Value::Json(_), DataType::Json)
            | (Value::Jsonb(_), DataType::Jsonb)
            | (
                Value::Array(_),
                DataType::Array(_) | DataType::Int2Vector | DataType::OidVector
            )
            | (Value::Oid(_), DataType::Oid)
    ) || matches!((value, data_type), (Value::Enum(value), DataType::Enum(of)) if value.enum_type() == of)
}

impl BulkLoader {
    /// A loader of `table` in the context's transaction.
    pub(super) fn new(
        database: Database,
        table: Arc<TableHandle>,
        context: ExecContext,
        own: bool,
    ) -> Result<BulkLoader> {
        let transaction = &context.transaction;
        let rows = transaction.bulk_writer(table.keyspace).map_err(txn_error)?;
        let indexes = table
            .indexes
            .iter()
            .map(|index| transaction.bulk_writer(index.keyspace).map_err(txn_error))
            .collect::<Result<_>>()?;
        if own {
            transaction.begin_statement();
        }
        Ok(BulkLoader {
            rows,
            indexes,
            table,
            database,
            context,
            count: AtomicU64::new(0),
            own,
            references: None,
        })
    }

    /// The table that is loaded: its columns say what rows must look like.
    #[must_use]
    pub fn table(&self) -> &Arc<Table> {
        &self.table.table
    }

    /// Rows appended so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds rows, each with a value for every column of the table, of the column's type.
    /// Batches of a few thousand rows are fastest.
    ///
    /// # Errors
    /// 42804 and constraint violations, for the first row that has one; 23505 where a key is
    /// there already. Part of the rows may be written then: drop the loader.
    pub fn append(&self, rows: Vec<Vec<Value>>) -> Result<()> {
        self.append_placed(rows).map_err(|placed| placed.error)
    }

    /// As [`BulkLoader::append`]; errors come with the place of the row that they are about.
    pub(super) fn append_placed(&self, mut rows: Vec<Vec<Value>>) -> Result<(), PlacedError> {
        for (place, row) in rows.iter_mut().enumerate() {
            self.check(row).map_err(|error| PlacedError {
                place: Some(place),
                error,
            })?;
        }
        self.write(&rows)
    }

    /// Writes rows that have been checked.
    fn write(&self, rows: &[Vec<Value>]) -> Result<(), PlacedError> {
        self.context.check()?;
        let keyed = self.table.codec.key.is_some();
        let first = if keyed {
            0
        } else {
            self.table.row_numbers.allocate(
                self.database.store(),
                self.table.keyspace,
                rows.len() as u64,
            )?
        };
        let mut entries: Entries = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let mut key = Vec::with_capacity(16);
            if keyed {
                self.table.codec.encode_key(row, &mut key)?;
            } else {
                key.extend_from_slice(&row_number_key(first + at as u64));
            }
            let mut stored = Vec::with_capacity(64);
            self.table.codec.encode_row(row, &mut stored)?;
            entries.push((key, stored));
        }
        let mut index_entries = Vec::with_capacity(self.table.indexes.len());
        for index in &self.table.indexes {
            index_entries.push(encode_entries(index, rows, &entries, &self.context.eval())?);
        }
        if keyed {
            entries.sort_unstable();
            check_batch(&entries).map_err(|key| self.duplicate_row(rows, &key))?;
            match self.rows.insert(&entries) {
                Ok(()) => {}
                Err(TxnError::KeyExists { key, .. }) => return Err(self.duplicate_row(rows, &key)),
                Err(error) => return Err(txn_error(error).into()),
            }
        } else {
            self.rows.write(&entries).map_err(txn_error)?;
        }
        for ((index, writer), (unique, plain)) in self
            .table
            .indexes
            .iter()
            .zip(&self.indexes)
            .zip(index_entries)
        {
            let duplicate = |key: &[u8]| self.duplicate_entry(index, rows, key);
            check_batch(&unique).map_err(|key| duplicate(&key))?;
            if !unique.is_empty() {
                match writer.insert(&unique) {
                    Ok(()) => {}
                    Err(TxnError::KeyExists { key, .. }) => return Err(duplicate(&key)),
                    Err(error) => return Err(txn_error(error).into()),
                }
            }
            if !plain.is_empty() {
                writer.write(&plain).map_err(txn_error)?;
            }
        }
        self.count.fetch_add(rows.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// As [`BulkLoader::append`], but leaves rows out that the table refuses: gives each with its
    /// place in `rows` and the error. Calls must not run beside others on the same loader.
    ///
    /// # Errors
    /// What has nothing to do with a single row: drop the loader then.
    pub fn append_valid(&self, rows: Vec<Vec<Value>>) -> Result<Vec<RefusedRow>> {
        let mut valid = Vec::with_capacity(rows.len());
        let mut refused = Vec::new();
        // Unique keys of the rows taken so far, per index; the rows' own keys come last.
        let mut taken = vec![HashSet::new(); self.table.indexes.len() + 1];
        for (place, mut row) in rows.into_iter().enumerate() {
            match self
                .check(&mut row)
                .and_then(|()| self.check_keys(&row, &mut taken))
            {
                Ok(()) => valid.push(row),
                Err(error)
                    if error.state().0.starts_with("23")
                        || error.state() == SqlState::DATATYPE_MISMATCH =>
                {
                    refused.push(RefusedRow { place, row, error });
                }
                Err(error) => return Err(error),
            }
        }
        self.append(valid)?;
        Ok(refused)
    }

    /// Checks a row against its types and constraints, keys left out.
    fn check(&self, row: &mut [Value]) -> Result<()> {
        self.table.complete_row(row, &self.context.eval())?;
        for (column, value) in self.table.table.columns.iter().zip(row) {
            if !fits(value, column.data_type) {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {} but the value is {value}",
                        column.name, column.data_type
                    ),
                )
                .hint("Convert it first with Value::cast or Value::parse."));
            }
        }
        Ok(())
    }

    /// Checks that no key of the row is there or among `taken`, and takes them.
    fn check_keys(&self, row: &[Value], taken: &mut [HashSet<Vec<u8>>]) -> Result<()> {
        let mut keys: Vec<(usize, Vec<u8>)> = Vec::new();
        if self.table.codec.key.is_some() {
            let mut key = Vec::with_capacity(16);
            self.table.codec.encode_key(row, &mut key)?;
            let place = self.indexes.len();
            if taken.get(place).is_some_and(|taken| taken.contains(&key))
                || self.rows.contains(&key).map_err(txn_error)?
            {
                return Err(self.table.primary_key_exists(row));
            }
            keys.push((place, key));
        }
        for (place, (index, writer)) in self.table.indexes.iter().zip(&self.indexes).enumerate() {
            let Some(keyed) = index.keyed(row, &self.context.eval())? else {
                continue;
            };
            if !index.is_unique_for(&keyed) {
                continue;
            }
            let mut key = Vec::with_capacity(24);
            index.entry(&keyed, &[], &mut key)?;
            if taken.get(place).is_some_and(|taken| taken.contains(&key))
                || writer.contains(&key).map_err(txn_error)?
            {
                return Err(self.table.index_key_exists(index, &keyed));
            }
            keys.push((place, key));
        }
        for (place, key) in keys {
            if let Some(taken) = taken.get_mut(place) {
                taken.insert(key);
            }
        }
        Ok(())
    }

    /// What each column holds where nothing is given: its default, or NULL.
    ///
    /// # Errors
    /// What the evaluation of a default fails with.
    pub fn default_row(&self) -> Result<Vec<Value>> {
        let eval = self.context.eval();
        let columns = &self.table.table.columns;
        columns
            .iter()
            .map(|column| match &column.default {
                Some((_, default)) => CompiledExpr::compile(default, &|_| None)?.eval(&[], &eval),
                None => Ok(Value::Null),
            })
            .collect()
    }

    #[cold]
    fn duplicate_row(&self, rows: &[Vec<Value>], key: &[u8]) -> PlacedError {
        let of = |row: &&Vec<Value>| {
            let mut own = Vec::new();
            self.table.codec.encode_key(row, &mut own).is_ok() && own == key
        };
        let place = rows.iter().position(|row| of(&row));
        let row = place.and_then(|place| rows.get(place));
        PlacedError {
            place,
            error: self
                .table
                .primary_key_exists(row.map_or(&[], Vec::as_slice)),
        }
    }

    #[cold]
    fn duplicate_entry(&self, index: &IndexHandle, rows: &[Vec<Value>], key: &[u8]) -> PlacedError {
        let eval = self.context.eval();
        let found = rows.iter().enumerate().find_map(|(place, row)| {
            let keyed = index.keyed(row, &eval).ok()??;
            let mut own = Vec::new();
            index.entry(&keyed, &[], &mut own).ok()?;
            (own == key).then_some((place, keyed))
        });
        let keyed = found.as_ref().map_or(&[][..], |(_, keyed)| keyed);
        PlacedError {
            place: found.as_ref().map(|(place, _)| *place),
            error: self.table.index_key_exists(index, keyed),
        }
    }

    /// Ends the load: the rows become part of the session's transaction, or, where the loader
    /// has its own, are committed. Gives their number.
    ///
    /// # Errors
    /// What the commit fails with; nothing is loaded then.
    pub fn finish(self) -> Result<u64> {
        let BulkLoader {
            rows,
            indexes,
            context,
            count,
            own,
            table,
            references,
            ..
        } = self;
        rows.finish().map_err(txn_error)?;
        for index in indexes {
            index.finish().map_err(txn_error)?;
        }
        if let Some(session) = &references {
            foreign_keys::validate_all(session, &table, &context)?;
        }
        let ExecContext { transaction, .. } = context;
        if own {
            let transaction: Transaction = Arc::try_unwrap(transaction).map_err(|_| {
                Error::new(
                    SqlState::INTERNAL_ERROR,
                    "a finished load still uses its transaction",
                )
            })?;
            transaction.commit().map_err(txn_error)?;
        }
        Ok(count.into_inner())
    }
}

/// The entries of an index for these rows: those whose key must be unique, and the others.
fn encode_entries(
    index: &IndexHandle,
    rows: &[Vec<Value>],
    stored: &Entries,
    eval: &EvalContext<'_>,
) -> Result<(Entries, Entries)> {
    let (mut unique, mut plain) = (Vec::new(), Vec::new());
    for (row, (row_key, _)) in rows.iter().zip(stored) {
        let Some(keyed) = index.keyed(row, eval)? else {
            continue;
        };
        let mut key = Vec::with_capacity(24);
        let value = index.entry(&keyed, row_key, &mut key)?.to_vec();
        if index.is_unique_for(&keyed) {
            unique.push((key, value));
        } else {
            plain.push((key, value));
        }
    }
    unique.sort_unstable();
    plain.sort_unstable();
    Ok((unique, plain))
}

/// Fails with the first key that two of these sorted entries share.
fn check_batch(entries: &Entries) -> Result<(), Vec<u8>> {
    match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(pair[0].0.clone()),
        None => Ok(()),
    }
}
