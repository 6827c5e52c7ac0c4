//! Opening and holding a database.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use rustling_storage::{Env, Store, StoreOptions, Vfs};
use rustling_txn::{Backoff, Transaction, TransactionManager, TransactionOptions};

use crate::{
    Error, Result, SqlState,
    bound::TransactionModes,
    catalog::Table,
    engine::{
        Params,
        catalog::{CatalogSnapshot, CatalogStore, definitions::KnownTables, store::CatalogRecords},
        error::{storage_error, txn_error},
        notifications::Channels,
        plan_cache::PlanCache,
        prepared::{Prepared, Statement},
        row_numbers::RowNumbers,
        rows::Rows,
        sampled_statistics::SampledStatistics,
        sequences::{DrawnSequences, SessionSequences},
        served_activity::ServedSessions,
        session::{Session, StatementResult},
        settings::Settings,
        sql_transaction::SqlTransaction,
        statement_statistics::StatementStatistics,
        system::SessionSystem,
        temporary,
    },
    eval::SessionInfo,
    executor::spill::SpillSpace,
};

/// The directory for temporary files, in the database's own.
const TEMPORARY: &str = "temporary";

/// How often a closure or statement that had to give way is run before its error is handed on.
const ATTEMPTS: u32 = 32;

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// Of the store: whether to create it, whether to open it read-only, page size, memory.
    pub store: StoreOptions,
    /// Files, time, randomness and threads.
    pub env: Env,
}

impl Default for DatabaseOptions {
    fn default() -> DatabaseOptions {
        DatabaseOptions {
            store: StoreOptions::default(),
            env: Env::system(),
        }
    }
}

/// An open database. Clones share it; threads may too.
///
/// ```
/// use rustling_sql::Database;
///
/// let db = Database::in_memory()?;
/// db.execute("CREATE TABLE city (name text PRIMARY KEY, population bigint)", ())?;
/// db.execute("INSERT INTO city VALUES ($1, $2)", ("Lima", 10_000_000_i64))?;
/// for row in db.query("SELECT name, population FROM city", ())? {
///     let (name, population): (String, i64) = row?.read()?;
///     assert_eq!((name.as_str(), population), ("Lima", 10_000_000));
/// }
/// # Ok::<(), rustling_sql::Error>(())
/// ```
#[derive(Clone)]
pub struct Database {
    pub(crate) inner: Arc<Inner>,
}

/// What the clones of a database share.
pub(crate) struct Inner {
    pub(crate) manager: TransactionManager,
    pub(crate) env: Env,
    /// Where COPY finds its files: with a database in memory too, those of the system.
    pub(crate) files: Arc<dyn Vfs>,
    /// Where operators put rows that do not fit into memory.
    pub(crate) spill: Option<Arc<SpillSpace>>,
    pub(crate) catalog_store: CatalogStore,
    /// The newest committed catalog. A commit that changes it holds the lock for writing from
    /// before the commit until the new version is here: whoever gets a table's lock after the
    /// commit and then reads this sees the change.
    catalog: RwLock<Arc<CatalogSnapshot>>,
    /// The generation of the newest committed catalog; [`BEING_CHANGED`] from before a commit that
    /// changes it until the new version is here. Who finds here, after taking a snapshot, the
    /// generation of the catalog that it had before has the catalog of that snapshot.
    newest_generation: AtomicU64,
    /// What versions of the catalog have in common.
    known_tables: KnownTables,
    generations: AtomicU64,
    row_numbers: Mutex<HashMap<u32, Arc<RowNumbers>>>,
    /// The sessions that are served to clients.
    pub(crate) served: ServedSessions,
    /// What statements have cost.
    pub(crate) statements: StatementStatistics,
    /// Who listens to what.
    pub(crate) channels: Channels,
    pub(crate) plans: PlanCache,
    sampled: Arc<SampledStatistics>,
    directory: Option<PathBuf>,
    pub(crate) info: Arc<SessionInfo>,
    /// The sequences in use.
    pub(crate) sequences: DrawnSequences,
    /// The sequences, for statements that each are a session of their own.
    pub(crate) shared_sequences: Arc<SessionSequences>,
    /// When the database was opened: microseconds since 1970 UTC.
    pub(crate) started: i64,
    /// The search path of new sessions.
    pub(crate) default_path: Arc<Vec<String>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("catalog_generation", &self.catalog().generation)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the database in a directory, creating it where there is none.
    ///
    /// # Errors
    /// Where the directory cannot be read or written, holds something else, or is in use by
    /// another process (55006).
    pub fn open(path: impl AsRef<Path>) -> Result<Database> {
        Database::open_with(path, DatabaseOptions::default())
    }

    /// As [`Database::open`], with options.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_with(path: impl AsRef<Path>, options: DatabaseOptions) -> Result<Database> {
        let path = path.as_ref();
        let read_only = options.store.read_only;
        let store = Store::open(options.env.clone(), path, options.store).map_err(storage_error)?;
        let name = path.file_stem().map_or_else(
            || "rustling".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        // Who only reads writes no files.
        let spill = if read_only {
            None
        } else {
            let vfs = Arc::clone(&options.env.vfs);
            Some(Arc::new(SpillSpace::open(vfs, &path.join(TEMPORARY))?))
        };
        let files = Arc::clone(&options.env.vfs);
        Database::build(
            store,
            options.env,
            name,
            Some(path.to_owned()),
            spill,
            files,
        )
    }

    /// A database that lives and dies with this process.
    ///
    /// # Errors
    /// Where memory or threads are refused.
    pub fn in_memory() -> Result<Database> {
        Database::in_memory_with(StoreOptions::default())
    }

    /// As [`Database::in_memory`], with options.
    ///
    /// # Errors
    /// As [`Database::in_memory`].
    pub fn in_memory_with(options: StoreOptions) -> Result<Database> {
        let store = Store::in_memory(options).map_err(storage_error)?;
        let files = Arc::clone(&Env::system().vfs);
        Database::build(
            store,
            Env::in_memory(),
            "memory".to_owned(),
            None,
            None,
            files,
        )
    }

    /// A database over a store that is open already.
    ///
    /// # Errors
    /// Where the store holds something other than an SQL database.
    pub fn from_store(store: Store, env: Env, name: String) -> Result<Database> {
        let files = Arc::clone(&env.vfs);
        Database::build(store, env, name, None, None, files)
    }

    fn build(
        store: Store,
        env: Env,
        name: String,
        directory: Option<PathBuf>,
        spill: Option<Arc<SpillSpace>>,
        files: Arc<dyn Vfs>,
    ) -> Result<Database> {
        let manager = TransactionManager::new(store, env.clone());
        let catalog_store = CatalogStore::open(&manager)?;
        let empty = CatalogSnapshot::new(
            0,
            CatalogRecords::default(),
            &KnownTables::default(),
            &|_| Arc::new(RowNumbers::new()),
        )?;
        let started = env.wall_clock();
        let inner = Arc::new_cyclic(|weak| {
            let shared_sequences = Arc::new(SessionSequences::shared(Weak::clone(weak)));
            Inner {
                manager,
                files,
                env,
                spill,
                catalog_store,
                catalog: RwLock::new(Arc::new(empty)),
                newest_generation: AtomicU64::new(BEING_CHANGED),
                known_tables: KnownTables::default(),
                generations: AtomicU64::new(1),
                row_numbers: Mutex::default(),
                served: ServedSessions::default(),
                statements: StatementStatistics::default(),
                channels: Channels::default(),
                plans: PlanCache::default(),
                sampled: Arc::default(),
                directory,
                info: Arc::new(SessionInfo {
                    database: name,
                    system: Some(Arc::new(SessionSystem::shared(Arc::clone(
                        &shared_sequences,
                    )))),
                    access: Arc::clone(&shared_sequences) as _,
                    sequences: Arc::clone(&shared_sequences) as _,
                    ..SessionInfo::default()
                }),
                sequences: DrawnSequences::default(),
                shared_sequences,
                started,
                default_path: Arc::clone(&Settings::default().search_path),
            }
        });
        let database = Database { inner };
        let transaction = database.inner.begin(read_only())?;
        let catalog = database.inner.load_catalog(&transaction)?;
        database
            .inner
            .publish(&mut database.inner.catalog.write(), catalog);
        drop(transaction);
        // What sessions had of their own ended with the process that they were in.
        match temporary::drop_all(&database, None) {
            // Who only reads finds them again, and leaves them alone.
            Err(error) if error.state() == SqlState::READ_ONLY_SQL_TRANSACTION => {}
            result => result?,
        }
        Ok(database)
    }

    /// Runs a statement in a transaction of its own; gives the number of rows affected.
    ///
    /// # Errors
    /// What the statement fails with.
    pub fn execute(&self, sql: &str, params: impl Params) -> Result<u64> {
        self.one_shot().execute(sql, params)
    }

    /// A session for one statement.
    pub(crate) fn one_shot(&self) -> Session {
        Session::one_shot(self.clone())
    }

    /// Runs a query in a transaction of its own.
    ///
    /// # Errors
    /// What the query fails with; later errors come with the rows.
    pub fn query(&self, sql: &str, params: impl Params) -> Result<Rows> {
        self.one_shot().query(sql, params)
    }

    /// Runs statements separated by semicolons, each in a transaction of its own unless they
    /// say BEGIN; gives every result.
    ///
    /// # Errors
    /// What the first failing statement fails with; those before it are done.
    pub fn execute_script(&self, sql: &str) -> Result<Vec<StatementResult>> {
        self.session().execute_script(sql)
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// What is wrong with the statement.
    pub fn prepare(&self, sql: &str) -> Result<Statement> {
        Statement::new(self.clone(), self.prepared(sql)?)
    }

    /// The statement of that text, parsed now or before.
    pub(crate) fn prepared(&self, sql: &str) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.inner.plans.get(sql) {
            return Ok(prepared);
        }
        let prepared = Arc::new(Prepared::new(sql)?);
        self.inner.plans.insert(sql, Arc::clone(&prepared));
        Ok(prepared)
    }

    /// As [`Database::prepared`], where the types of parameters are said beforehand.
    pub(crate) fn prepared_with(
        &self,
        sql: &str,
        types: &[crate::DataType],
    ) -> Result<Arc<Prepared>> {
        if types.iter().all(|of| *of == crate::DataType::Unknown) {
            return self.prepared(sql);
        }
        // No statement has a NUL in it.
        let key = format!("{sql}\0{types:?}");
        if let Some(prepared) = self.inner.plans.get(&key) {
            return Ok(prepared);
        }
        let prepared = Arc::new(Prepared::new(sql)?.with_types(types.to_vec()));
        self.inner.plans.insert(&key, Arc::clone(&prepared));
        Ok(prepared)
    }

    /// A session: a transaction and settings of its own.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::new(self.clone())
    }

    /// Runs `body` in a transaction and commits it. Where it must give way to another
    /// transaction (SQLSTATE 40001, 40P01) everything is rolled back and `body` runs again, so
    /// it must do nothing outside that may not happen twice.
    ///
    /// ```
    /// use rustling_sql::Database;
    ///
    /// let db = Database::in_memory()?;
    /// db.execute("CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL)", ())?;
    /// db.execute("INSERT INTO account VALUES (1, 100), (2, 0)", ())?;
    /// db.transaction(|tx| {
    ///     tx.execute("UPDATE account SET balance = balance - 30 WHERE id = 1", ())?;
    ///     tx.execute("UPDATE account SET balance = balance + 30 WHERE id = 2", ())?;
    ///     Ok(())
    /// })?;
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `body` or the commit fails with in the end.
    pub fn transaction<R>(&self, body: impl FnMut(&mut SqlTransaction) -> Result<R>) -> Result<R> {
        self.transaction_with(TransactionModes::default(), body)
    }

    /// As [`Database::transaction`], at another isolation level or read-only.
    ///
    /// ```
    /// use rustling_sql::{Database, bound::{IsolationLevel, TransactionModes}};
    ///
    /// let db = Database::in_memory()?;
    /// db.execute("CREATE TABLE on_call (doctor text PRIMARY KEY)", ())?;
    /// db.execute("INSERT INTO on_call VALUES ('ada'), ('grace')", ())?;
    /// let serializable = TransactionModes {
    ///     isolation: Some(IsolationLevel::Serializable),
    ///     ..TransactionModes::default()
    /// };
    /// // Somebody stays on call, however many leave at once.
    /// db.transaction_with(serializable, |tx| {
    ///     let left: Vec<(i64,)> = tx.query("SELECT count(*) FROM on_call", ())?.read_all()?;
    ///     if left[0].0 > 1 {
    ///         tx.execute("DELETE FROM on_call WHERE doctor = 'ada'", ())?;
    ///     }
    ///     Ok(())
    /// })?;
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `body` or the commit fails with in the end.
    pub fn transaction_with<R>(
        &self,
        modes: TransactionModes,
        mut body: impl FnMut(&mut SqlTransaction) -> Result<R>,
    ) -> Result<R> {
        let mut backoff = Backoff::new(&self.inner.env, ATTEMPTS);
        loop {
            let mut transaction = SqlTransaction::begin(self.session(), modes)?;
            let result = body(&mut transaction).and_then(|result| {
                transaction.commit()?;
                Ok(result)
            });
            // Its locks are not held while it waits for its next attempt.
            drop(transaction);
            match result {
                Err(error) if error.is_retryable() && backoff.pause() => {}
                result => return result,
            }
        }
    }

    /// Every table, by name.
    #[must_use]
    pub fn tables(&self) -> Vec<Arc<Table>> {
        self.catalog()
            .handles()
            .map(|handle| Arc::clone(&handle.table))
            .collect()
    }

    /// A table by name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.catalog()
            .find(None, name)
            .map(|handle| Arc::clone(&handle.table))
    }

    /// Rows of a table as ANALYZE last counted them; `None` where it never did.
    #[must_use]
    pub fn estimated_rows(&self, name: &str) -> Option<u64> {
        let handle = self.catalog().find(None, name)?;
        handle.statistics.as_ref().map(|statistics| statistics.rows)
    }

    /// The name of the database: that of its directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.info.database
    }

    /// The directory that the database lies in; `None` in memory, and over a store that was
    /// opened elsewhere.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.inner.directory.as_deref()
    }

    /// The transactions underneath.
    #[must_use]
    pub fn transaction_manager(&self) -> &TransactionManager {
        &self.inner.manager
    }

    /// The store underneath.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.inner.manager.store()
    }

    /// Time, randomness, files and threads.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.inner.env
    }

    /// Writes everything committed to its place, so that the log can be short.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn checkpoint(&self) -> Result<()> {
        self.store().checkpoint().map_err(storage_error)?;
        Ok(())
    }

    /// Closes the database, after a checkpoint. Other clones fail from then on.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn close(self) -> Result<()> {
        self.inner.store_sequences()?;
        self.store().clone().close().map_err(storage_error)
    }

    /// The newest committed catalog.
    pub(crate) fn catalog(&self) -> Arc<CatalogSnapshot> {
        self.inner.catalog()
    }
}

/// No catalog's generation: a new version is being committed.
const BEING_CHANGED: u64 = u64::MAX;

/// Options of a transaction that only reads.
pub(crate) fn read_only() -> TransactionOptions {
    TransactionOptions {
        read_only: true,
        ..TransactionOptions::default()
    }
}

impl Inner {
    /// The newest committed catalog.
    #[inline]
    pub(crate) fn catalog(&self) -> Arc<CatalogSnapshot> {
        Arc::clone(&self.catalog.read())
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self, options: TransactionOptions) -> Result<Transaction> {
        self.manager.begin(options).map_err(txn_error)
    }

    /// Pauses between attempts at something that had to give way.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(&self.env, ATTEMPTS)
    }

    /// The catalog as a transaction sees it.
    pub(crate) fn load_catalog(&self, transaction: &Transaction) -> Result<Arc<CatalogSnapshot>> {
        let records = self.catalog_store.load(transaction)?;
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let numbers = |keyspace: u32| {
            let mut all = self.row_numbers.lock();
            Arc::clone(
                all.entry(keyspace)
                    .or_insert_with(|| Arc::new(RowNumbers::new())),
            )
        };
        let snapshot = CatalogSnapshot::new(generation, records, &self.known_tables, &numbers)?;
        let store = self.manager.store().clone();
        Ok(Arc::new(
            snapshot.with_sizes(store, Arc::clone(&self.sampled)),
        ))
    }

    /// Commits a transaction that has changed the catalog, and makes the change the newest
    /// catalog before anybody can act on the old one.
    pub(crate) fn commit_catalog(&self, transaction: Transaction) -> Result<()> {
        let mut catalog = self.catalog.write();
        self.newest_generation
            .store(BEING_CHANGED, Ordering::SeqCst);
        let newest = transaction.commit().map_err(txn_error).and_then(|_| {
            let read_back = self
                .begin(read_only())
                .and_then(|reader| self.load_catalog(&reader));
            read_back.map_err(|error| {
                Error::new(
                    SqlState::INTERNAL_ERROR,
                    format!(
                        "the change is committed, but the catalog cannot be read back: {error}"
                    ),
                )
                .hint("Close the database and open it again.")
            })
        });
        let (newest, result) = match newest {
            Ok(newest) => (newest, Ok(())),
            Err(error) => (Arc::clone(&catalog), Err(error)),
        };
        self.publish(&mut catalog, newest);
        result
    }

    /// Makes a version of the catalog the newest one.
    fn publish(&self, catalog: &mut Arc<CatalogSnapshot>, newest: Arc<CatalogSnapshot>) {
        let generation = newest.generation;
        *catalog = newest;
        self.newest_generation.store(generation, Ordering::SeqCst);
    }

    /// Whether the newest committed catalog is the one of that generation: whoever took it, and
    /// then a snapshot, and then finds this, has the catalog of the snapshot.
    #[inline]
    pub(crate) fn is_newest(&self, generation: u64) -> bool {
        self.newest_generation.load(Ordering::Acquire) == generation
    }
}
