//! The store as the crash harness sees it.
//!
//! Scripts speak of tables by small numbers. The first keyspace of a store is its catalog: it
//! maps the number of each table to the keyspace that holds it, and every commit that creates
//! or drops a table changes the catalog too, so that atomicity across keyspaces is checked.
//! Visible contents are the tables (key: the number) and their entries (key: the number, a slash,
//! the key).

use std::{collections::BTreeMap, path::Path};

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, Env, Error, KeyRange, KeyspaceId, KeyspaceOptions,
    MemoryBudget, Snapshot, Store, StoreOptions, staging,
};
use rustling_testkit::harness::{Model, Outcome, Subject};

use super::options::{ENGINES, of_engine};

/// Where the store lies on the simulated disk. Neither directory exists beforehand.
pub const DIRECTORY: &str = "/srv/store";

/// A change within a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Creates a table, in place of one that is there.
    Create {
        /// Its number.
        table: u8,
    },
    /// Drops a table that is there.
    Drop {
        /// Its number.
        table: u8,
    },
    /// Sets a key.
    Put {
        /// The table's number.
        table: u8,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a key.
    Delete {
        /// The table's number.
        table: u8,
        /// The key.
        key: Vec<u8>,
    },
}

/// A step of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Changes that commit together.
    Commit {
        /// The changes, in order.
        changes: Vec<Change>,
        /// When the commit answers.
        durability: Durability,
    },
    /// A load: entries (or deletions) go to a staging keyspace, and one last commit merges it into
    /// a table.
    Load {
        /// The table's number.
        table: u8,
        /// Key and value, or no value for a deletion; in order of key.
        entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
        /// How many of them go there at a time.
        chunk: usize,
        /// Whether they go there past the log, as sorted runs do, and not in commits of their own.
        /// None of them is a deletion then.
        ingested: bool,
    },
    /// Another engine for a table that is there.
    SetEngine {
        /// The table's number.
        table: u8,
        /// Its engine from now on.
        engine: EngineKind,
    },
    /// A checkpoint.
    Checkpoint,
    /// Giving room back: pruning, packing, shrinking the file, and checkpoints between.
    Vacuum,
}

/// The store under test.
#[derive(Clone, Debug)]
pub struct StoreSubject {
    /// How it is opened.
    pub options: StoreOptions,
}

/// What a table is created as: every engine in turn, so that most commits are across engines.
fn engine_of(table: u8) -> KeyspaceOptions {
    of_engine(ENGINES[usize::from(table) % ENGINES.len()])
}

/// A store that is open.
#[derive(Debug)]
pub struct OpenStore {
    /// The store.
    pub store: Store,
    catalog: KeyspaceId,
    /// Whether a commit has ended with an unknown outcome.
    broken: bool,
}

fn words(error: &Error) -> String {
    error.to_string()
}

impl OpenStore {
    fn tables(&self, snapshot: &Snapshot) -> Result<BTreeMap<u8, KeyspaceId>, Error> {
        let mut tables = BTreeMap::new();
        let mut cursor = snapshot.scan(self.catalog, KeyRange::all(), Direction::Forward)?;
        while let Some((key, value)) = cursor.next()? {
            if let ([table], Ok(id)) = (key, <[u8; 4]>::try_from(value)) {
                tables.insert(*table, KeyspaceId(u32::from_le_bytes(id)));
            }
        }
        Ok(tables)
    }

    fn commit(&mut self, changes: &[Change], durability: Durability) -> Result<(), Error> {
        let mut tables = self.tables(&self.store.snapshot())?;
        let mut batch = Batch::new();
        let of = |tables: &BTreeMap<u8, KeyspaceId>, table: &u8| {
            tables.get(table).copied().unwrap_or(KeyspaceId(u32::MAX))
        };
        for change in changes {
            match change {
                Change::Create { table } => {
                    if let Some(id) = tables.remove(table) {
                        batch.drop_keyspace(id);
                    }
                    let id = self.store.allocate_keyspace_id();
                    batch.create_keyspace(id, engine_of(*table));
                    batch.put(self.catalog, [*table], id.0.to_le_bytes());
                    tables.insert(*table, id);
                }
                Change::Drop { table } => {
                    batch.drop_keyspace(of(&tables, table));
                    batch.delete(self.catalog, [*table]);
                    tables.remove(table);
                }
                Change::Put { table, key, value } => {
                    batch.put(of(&tables, table), key.clone(), value.clone())
                }
                Change::Delete { table, key } => batch.delete(of(&tables, table), key.clone()),
            }
        }
        self.store.commit(&batch, durability).map(|_| ())
    }

    fn table(&self, table: u8) -> Result<KeyspaceId, Error> {
        let tables = self.tables(&self.store.snapshot())?;
        Ok(tables.get(&table).copied().unwrap_or(KeyspaceId(u32::MAX)))
    }

    fn load(
        &mut self,
        table: u8,
        entries: &[(Vec<u8>, Option<Vec<u8>>)],
        chunk: usize,
        ingested: bool,
    ) -> Result<(), Error> {
        let into = self.table(table)?;
        // Staged in the engine that the table has by now.
        let options = self
            .store
            .keyspaces()
            .into_iter()
            .find(|(id, _)| *id == into)
            .map(|(_, options)| options);
        let from = self.store.allocate_keyspace_id();
        let mut batch = Batch::new();
        batch.create_keyspace(
            from,
            KeyspaceOptions {
                staging: true,
                ..options.unwrap_or_default()
            },
        );
        self.store.commit(&batch, Durability::None)?;
        let loaded = self.stage(from, entries, chunk, ingested).and_then(|()| {
            let mut batch = Batch::new();
            batch.merge(from, into);
            self.store.commit(&batch, Durability::Sync)
        });
        if loaded.is_err() {
            let mut batch = Batch::new();
            batch.drop_keyspace(from);
            // Where the store takes no commits any more, opening it drops what was staged.
            let _ = self.store.commit(&batch, Durability::None);
        }
        loaded.map(|_| ())
    }

    fn stage(
        &self,
        from: KeyspaceId,
        entries: &[(Vec<u8>, Option<Vec<u8>>)],
        chunk: usize,
        ingested: bool,
    ) -> Result<(), Error> {
        for part in entries.chunks(chunk.max(1)) {
            let staged = part.iter().map(|(key, value)| {
                let value = value.as_deref();
                let value = value.map_or_else(staging::encode_delete, staging::encode_put);
                (key, value)
            });
            if ingested {
                let staged: Vec<_> = staged.collect();
                let run: Vec<(&[u8], &[u8])> = staged
                    .iter()
                    .map(|(key, value)| (&key[..], &value[..]))
                    .collect();
                self.store.ingest(from, &run)?;
            } else {
                let mut batch = Batch::new();
                staged.for_each(|(key, value)| batch.put(from, key.clone(), value));
                self.store.commit(&batch, Durability::None)?;
            }
        }
        Ok(())
    }

    /// What an error of a commit means for the oracle.
    fn refusal(&mut self, error: &Error) -> Outcome {
        let text = words(error);
        if self.broken {
            return Outcome::Failed(text);
        }
        if is_refusal(error) {
            Outcome::Failed(text)
        } else {
            self.broken = true;
            Outcome::Unknown(text)
        }
    }
}

/// Whether nothing has happened, and the store goes on.
fn is_refusal(error: &Error) -> bool {
    match error {
        Error::TooLarge { .. }
        | Error::UnknownKeyspace(_)
        | Error::KeyspaceExists(_)
        | Error::OutOfMemory { .. }
        | Error::InvalidOption(_)
        | Error::ReadOnly
        | Error::Corrupt { .. } => true,
        // Where there is no space the commit is refused before anything of it is written.
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    }
}

/// The key of a table's entry among the visible contents.
fn entry_key(table: u8, key: &[u8]) -> Vec<u8> {
    [&[table, b'/'][..], key].concat()
}

/// Applies a change to a model of the visible contents.
fn apply(change: &Change, model: &mut Model) {
    match change {
        Change::Create { table } => {
            model.retain(|key, _| key[0] != *table);
            model.insert(vec![*table], Vec::new());
        }
        Change::Drop { table } => model.retain(|key, _| key[0] != *table),
        Change::Put { table, key, value } => {
            model.insert(entry_key(*table, key), value.clone());
        }
        Change::Delete { table, key } => {
            model.remove(&entry_key(*table, key));
        }
    }
}

impl Subject for StoreSubject {
    type Step = Step;
    type Instance = OpenStore;

    fn open(&self, env: Env) -> Result<OpenStore, String> {
        let store = Store::open(env, Path::new(DIRECTORY), self.options.clone())
            .map_err(|error| words(&error))?;
        let first = store
            .keyspaces()
            .into_iter()
            .filter(|(_, options)| !options.staging)
            .map(|(id, _)| id)
            .min();
        let catalog = match first {
            Some(id) => id,
            None => {
                let id = store.allocate_keyspace_id();
                let mut batch = Batch::new();
                batch.create_keyspace(id, KeyspaceOptions::default());
                store
                    .commit(&batch, Durability::Sync)
                    .map_err(|error| words(&error))?;
                id
            }
        };
        Ok(OpenStore {
            store,
            catalog,
            broken: false,
        })
    }

    fn run(&self, open: &mut OpenStore, step: &Step) -> Outcome {
        let (result, done) = match step {
            Step::Commit {
                changes,
                durability,
            } => {
                let done = if *durability == Durability::Sync {
                    Outcome::Durable
                } else {
                    Outcome::Volatile
                };
                (open.commit(changes, *durability), done)
            }
            Step::Load {
                table,
                entries,
                chunk,
                ingested,
            } => (
                open.load(*table, entries, *chunk, *ingested),
                Outcome::Durable,
            ),
            Step::SetEngine { table, engine } => {
                let changed = open
                    .table(*table)
                    .and_then(|id| open.store.set_engine(id, *engine));
                (changed.map(|_| ()), Outcome::Flushed)
            }
            Step::Checkpoint => (open.store.checkpoint().map(|_| ()), Outcome::Flushed),
            Step::Vacuum => (open.store.vacuum(), Outcome::Flushed),
        };
        match result {
            Ok(()) => done,
            // None of these changes data, whatever becomes of it.
            Err(error)
                if matches!(
                    step,
                    Step::Checkpoint | Step::Vacuum | Step::SetEngine { .. }
                ) =>
            {
                open.broken |= !is_refusal(&error);
                Outcome::Failed(words(&error))
            }
            Err(error) => open.refusal(&error),
        }
    }

    fn effect(&self, step: &Step, model: &mut Model) {
        match step {
            Step::Commit { changes, .. } => changes.iter().for_each(|change| apply(change, model)),
            Step::Load { table, entries, .. } => {
                for (key, value) in entries {
                    let key = entry_key(*table, key);
                    match value {
                        Some(value) => {
                            model.insert(key, value.clone());
                        }
                        None => {
                            model.remove(&key);
                        }
                    }
                }
            }
            Step::Checkpoint | Step::Vacuum | Step::SetEngine { .. } => {}
        }
    }

    fn contents(
        &self,
        open: &OpenStore,
        visit: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), String> {
        let snapshot = open.store.snapshot();
        let mut read = || -> Result<(), Error> {
            for (table, id) in open.tables(&snapshot)? {
                visit(&[table], &[]);
                let mut cursor = snapshot.scan(id, KeyRange::all(), Direction::Forward)?;
                let mut previous: Option<Vec<u8>> = None;
                while let Some((key, value)) = cursor.next()? {
                    if previous.as_deref().is_some_and(|previous| previous >= key) {
                        return Err(Error::InvalidOption(format!(
                            "a scan gave {previous:02x?} before {key:02x?}"
                        )));
                    }
                    visit(&entry_key(table, key), value);
                    previous = Some(key.to_vec());
                }
            }
            Ok(())
        };
        read().map_err(|error| words(&error))
    }

    fn verify(&self, open: &OpenStore) -> Result<(), String> {
        let report = open.store.verify().map_err(|error| words(&error))?;
        if let Some(finding) = report.findings.first() {
            return Err(format!(
                "{} findings, the first: {finding:?}",
                report.findings.len()
            ));
        }
        let snapshot = open.store.snapshot();
        let tables = open.tables(&snapshot).map_err(|error| words(&error))?;
        let mut known: Vec<KeyspaceId> = tables.values().copied().chain([open.catalog]).collect();
        known.sort_unstable();
        let mut held: Vec<KeyspaceId> = open
            .store
            .keyspaces()
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        held.sort_unstable();
        if known != held {
            return Err(format!(
                "the catalog names keyspaces {known:?}, the store holds {held:?}"
            ));
        }
        tables
            .values()
            .try_for_each(|id| agree(&snapshot, *id).map_err(|error| words(&error))?)
    }

    fn close(&self, open: OpenStore) -> Result<(), String> {
        open.store.close().map_err(|error| words(&error))
    }

    fn memory<'a>(&self, open: &'a OpenStore) -> Option<&'a MemoryBudget> {
        Some(open.store.memory())
    }

    fn probe(&self) -> Step {
        // The table is not among those of the scripts.
        Step::Commit {
            changes: vec![
                Change::Create { table: 255 },
                Change::Put {
                    table: 255,
                    key: b"probe".to_vec(),
                    value: vec![7; 3000],
                },
            ],
            durability: Durability::Sync,
        }
    }
}

/// Whether scans both ways and point reads of a keyspace agree.
fn agree(snapshot: &Snapshot, id: KeyspaceId) -> Result<Result<(), String>, Error> {
    let mut forward = Vec::new();
    let mut cursor = snapshot.scan(id, KeyRange::all(), Direction::Forward)?;
    while let Some((key, value)) = cursor.next()? {
        forward.push((key.to_vec(), value.to_vec()));
    }
    let mut backward = Vec::new();
    let mut cursor = snapshot.scan(id, KeyRange::all(), Direction::Backward)?;
    while let Some((key, value)) = cursor.next()? {
        backward.push((key.to_vec(), value.to_vec()));
    }
    backward.reverse();
    if forward != backward {
        return Ok(Err(format!(
            "keyspace {id}: {} entries forward, {} backward, not the same",
            forward.len(),
            backward.len()
        )));
    }
    for (key, value) in forward.iter().step_by(7) {
        if snapshot.get(id, key)?.as_ref() != Some(value) {
            return Ok(Err(format!(
                "keyspace {id}: a scan finds {key:02x?}, a point read something else"
            )));
        }
    }
    Ok(Ok(()))
}
