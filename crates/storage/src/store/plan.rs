//! A batch worked out: which trees get which entries, and how the catalog changes. Everything
//! that can be refused is refused here, before the commit has an LSN.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    catalog::Catalog,
    engine::{Engine, Media},
    sort::sort_last_wins,
};
use crate::{
    batch::Operation,
    btree::{MAX_KEY, MAX_VALUE, TreeEntry},
    cursor::{DecidedKey, VersionCursor},
    engine::EngineKind,
    error::{Error, Result},
    keyspace::Keyspace,
    lsm::LsmTree,
    lsn::{KeyspaceId, Lsn},
    page::PageStore,
    pins::Watermark,
    poison::Poison,
    staging,
    store::range::{Direction, KeyRange},
    wal::{ENTRY_WORK, LoggedOperation},
};

/// Entries of a merge that go to the tree in one piece: about this many bytes.
const MERGE_BYTES: usize = 256 << 10;

/// What plans are made for and applied to.
#[derive(Debug)]
pub(crate) struct Trees {
    pub(crate) media: Media,
    pub(crate) catalog: Catalog,
    pub(crate) poison: Arc<Poison>,
}

/// What to do, in order.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    steps: SmallVec<[Step<'a>; 1]>,
    changes: Vec<Change>,
    /// Keyspaces that the batch itself creates, replaces or drops (`None`).
    overlay: Vec<(KeyspaceId, Option<Arc<Keyspace>>)>,
    /// Writes before this step are older than a structural change.
    open_from: usize,
    /// Bytes and entries that go to pages directly.
    bytes: usize,
    entries: usize,
    /// Entries that are about to be added to one keyspace, as far as is known.
    coming: usize,
    /// Work of replaying the plan that its log records do not show.
    moved_work: u64,
    /// Whether the operations have been logged: nothing that was accepted then can be refused now.
    is_logged: bool,
}

#[derive(Debug)]
enum Step<'a> {
    /// Entries of one keyspace.
    Write {
        keyspace: Arc<Keyspace>,
        entries: SmallVec<[TreeEntry<'a>; 2]>,
    },
    /// Every entry of a staging keyspace goes to another one.
    Move {
        from: Arc<Keyspace>,
        into: Arc<Keyspace>,
    },
}

/// A change of the catalog, made with the commit's LSN.
#[derive(Debug)]
enum Change {
    Create(Arc<Keyspace>),
    Drop(Arc<Keyspace>),
    /// `new` takes the place of the empty `old` with the engine of `from`.
    Adopt {
        old: Arc<Keyspace>,
        from: Arc<Keyspace>,
        new: Arc<Keyspace>,
    },
    /// `new` is `old` with another replacement, or without one.
    Exchange {
        old: Arc<Keyspace>,
        new: Arc<Keyspace>,
    },
    /// `new` takes the place of `old` with the engine of its replacement.
    Replace {
        old: Arc<Keyspace>,
        replacement: Arc<Keyspace>,
        new: Arc<Keyspace>,
    },
    /// `into` takes over the contents of `from`, which is dropped by another change.
    Attach {
        from: Arc<Keyspace>,
        into: Arc<Keyspace>,
    },
}

impl Operation {
    /// The operation with its bytes borrowed.
    fn borrowed(&self) -> LoggedOperation<'_> {
        match self {
            Operation::Put {
                keyspace,
                key,
                value,
            } => LoggedOperation::Put {
                keyspace: *keyspace,
                key,
                value,
            },
            Operation::Delete { keyspace, key } => LoggedOperation::Delete {
                keyspace: *keyspace,
                key,
            },
            Operation::CreateKeyspace { keyspace, options } => LoggedOperation::Create {
                keyspace: *keyspace,
                options: *options,
            },
            Operation::DropKeyspace { keyspace } => LoggedOperation::Drop {
                keyspace: *keyspace,
            },
            Operation::Merge { from, into } => LoggedOperation::Merge {
                from: *from,
                into: *into,
            },
            Operation::CreateReplacement {
                replacement,
                keyspace,
                engine,
            } => LoggedOperation::CreateReplacement {
                replacement: *replacement,
                keyspace: *keyspace,
                engine: *engine,
            },
            Operation::Replace {
                keyspace,
                replacement,
            } => LoggedOperation::Replace {
                keyspace: *keyspace,
                replacement: *replacement,
            },
        }
    }

    /// The keyspace that it puts or deletes an entry of.
    fn entry_of(&self) -> Option<KeyspaceId> {
        match self {
            Operation::Put { keyspace, .. } | Operation::Delete { keyspace, .. } => Some(*keyspace),
            Operation::CreateKeyspace { .. }
            | Operation::DropKeyspace { .. }
            | Operation::Merge { .. }
            | Operation::CreateReplacement { .. }
            | Operation::Replace { .. } => None,
        }
    }

    /// Whether it changes which keyspaces there are.
    pub(crate) fn is_structural(&self) -> bool {
        self.entry_of().is_none()
    }
}

impl<'a> Plan<'a> {
    /// Works out the operations of a commit.
    ///
    /// # Errors
    /// [`Error::UnknownKeyspace`], [`Error::KeyspaceExists`], [`Error::EngineChanging`],
    /// [`Error::TooLarge`], [`Error::InvalidOption`]; [`Error::Io`] where the disk is full.
    pub(crate) fn of(trees: &Trees, operations: &'a [Operation]) -> Result<Plan<'a>> {
        let mut plan = Plan::empty();
        // Entries come keyspace by keyspace, and in large batches there are many of each.
        let planned = operations
            .chunk_by(|one, next| one.entry_of() == next.entry_of())
            .try_for_each(|run| {
                plan.coming = run.len();
                run.iter()
                    .try_for_each(|operation| plan.add(trees, operation.borrowed()))
            });
        plan.check(trees, planned)
    }

    fn empty() -> Plan<'a> {
        Plan {
            steps: SmallVec::new(),
            changes: Vec::new(),
            overlay: Vec::new(),
            open_from: 0,
            bytes: 0,
            entries: 0,
            coming: 0,
            moved_work: 0,
            is_logged: false,
        }
    }

    /// Gives back what the plan has made where it cannot be carried out.
    fn check(self, trees: &Trees, planned: Result<()>) -> Result<Plan<'a>> {
        match planned {
            Ok(()) => Ok(self),
            Err(error) => {
                self.abandon(trees);
                Err(error)
            }
        }
    }

    /// Works out the operations of a logged commit.
    pub(crate) fn replay(
        trees: &Trees,
        mut next: impl FnMut() -> Result<Option<LoggedOperation<'a>>>,
    ) -> Result<Plan<'a>> {
        let mut plan = Plan::empty();
        plan.is_logged = true;
        let mut add_all = || {
            while let Some(operation) = next()? {
                plan.add(trees, operation)?;
            }
            Ok(())
        };
        let planned = add_all();
        plan.check(trees, planned)
    }

    /// Frees the engines of keyspaces that will not come to be.
    pub(crate) fn abandon(self, trees: &Trees) {
        drop(self.steps);
        drop(self.overlay);
        // A batch may drop again what it creates: the other changes let go of it first.
        let created: Vec<Arc<Keyspace>> = self
            .changes
            .into_iter()
            .filter_map(|change| match change {
                Change::Create(keyspace) => Some(keyspace),
                Change::Drop(_)
                | Change::Adopt { .. }
                | Change::Attach { .. }
                | Change::Exchange { .. }
                | Change::Replace { .. } => None,
            })
            .collect();
        for keyspace in created {
            let engine =
                Arc::into_inner(keyspace).and_then(|keyspace| Arc::into_inner(keyspace.engine));
            if let Some(Err(error)) = engine.map(Engine::destroy) {
                trees.poison.set(error.to_string());
            }
        }
    }

    fn add(&mut self, trees: &Trees, operation: LoggedOperation<'a>) -> Result<()> {
        match operation {
            LoggedOperation::Put {
                keyspace,
                key,
                value,
            } => {
                check_len("value", value.len(), MAX_VALUE)?;
                self.write(
                    &trees.catalog,
                    keyspace,
                    TreeEntry {
                        key,
                        value: Some(value),
                    },
                )
            }
            LoggedOperation::Delete { keyspace, key } => {
                self.write(&trees.catalog, keyspace, TreeEntry { key, value: None })
            }
            LoggedOperation::Create {
                keyspace: id,
                options,
            } => {
                self.check_new(&trees.catalog, id)?;
                let engine = Arc::new(Engine::create(&trees.media, options.engine_kind())?);
                let keyspace = Arc::new(Keyspace::new(id, options, engine));
                self.changes.push(Change::Create(Arc::clone(&keyspace)));
                self.set(id, Some(keyspace));
                Ok(())
            }
            LoggedOperation::Drop { keyspace: id } => self.drop_keyspace(&trees.catalog, id),
            LoggedOperation::Merge { from, into } => self.merge(trees, from, into),
            LoggedOperation::CreateReplacement {
                replacement,
                keyspace,
                engine,
            } => self.create_replacement(trees, replacement, keyspace, engine),
            LoggedOperation::Replace {
                keyspace,
                replacement,
            } => self.replace(&trees.catalog, keyspace, replacement),
        }
    }

    fn check_new(&self, catalog: &Catalog, id: KeyspaceId) -> Result<()> {
        let planned = self.overlay.iter().any(|(known, _)| *known == id);
        match planned || catalog.read().contains_key(&id) {
            true => Err(Error::KeyspaceExists(id)),
            false => Ok(()),
        }
    }

    /// Drops a keyspace, and its replacement; a replacement's keyspace goes on without.
    fn drop_keyspace(&mut self, catalog: &Catalog, id: KeyspaceId) -> Result<()> {
        let keyspace = self.find(catalog, id)?;
        if let Some(replaced) = keyspace.replaces {
            let old = self.find(catalog, replaced)?;
            self.exchange(old, None);
        }
        if let Some(replacement) = &keyspace.replacement {
            self.changes.push(Change::Drop(Arc::clone(replacement)));
            self.set(replacement.id, None);
        }
        self.changes.push(Change::Drop(keyspace));
        self.set(id, None);
        Ok(())
    }

    fn create_replacement(
        &mut self,
        trees: &Trees,
        id: KeyspaceId,
        of: KeyspaceId,
        kind: EngineKind,
    ) -> Result<()> {
        self.check_new(&trees.catalog, id)?;
        let old = self.find(&trees.catalog, of)?;
        if old.options.staging {
            let reason = format!("{of} is a staging keyspace, whose engine does not change");
            return Err(Error::InvalidOption(reason));
        }
        if old.replacement.is_some() {
            return Err(Error::EngineChanging(of));
        }
        let engine = Arc::new(Engine::create_replacement(&trees.media, kind)?);
        let replacement = Arc::new(Keyspace::replacement_of(of, id, kind, engine));
        self.changes.push(Change::Create(Arc::clone(&replacement)));
        self.set(id, Some(Arc::clone(&replacement)));
        self.exchange(old, Some(replacement));
        Ok(())
    }

    fn exchange(&mut self, old: Arc<Keyspace>, replacement: Option<Arc<Keyspace>>) {
        let new = Arc::new(old.with_replacement(replacement));
        self.set(new.id, Some(Arc::clone(&new)));
        self.changes.push(Change::Exchange { old, new });
    }

    fn replace(&mut self, catalog: &Catalog, id: KeyspaceId, by: KeyspaceId) -> Result<()> {
        let old = self.find(catalog, id)?;
        let replacement = self.find(catalog, by)?;
        let prepared = old.replacement.as_ref();
        if !prepared.is_some_and(|prepared| Arc::ptr_eq(prepared, &replacement)) {
            let reason = format!("{by} is no replacement of {id}");
            return Err(Error::InvalidOption(reason));
        }
        let new = Arc::new(old.with_engine_of(&replacement));
        self.set(by, None);
        self.set(id, Some(Arc::clone(&new)));
        self.changes.push(Change::Replace {
            old,
            replacement,
            new,
        });
        Ok(())
    }

    fn merge(&mut self, trees: &Trees, from_id: KeyspaceId, into_id: KeyspaceId) -> Result<()> {
        let from = self.find(&trees.catalog, from_id)?;
        let into = self.find(&trees.catalog, into_id)?;
        if !from.options.staging || from.replaces.is_some() || into.options.staging {
            return Err(Error::InvalidOption(format!(
                "cannot merge {from_id} into {into_id}: the first must be a staging keyspace, the second not"
            )));
        }
        self.changes.push(Change::Drop(Arc::clone(&from)));
        self.set(from_id, None);
        // Entries that this batch writes to either are not in the trees yet.
        let untouched = !self
            .steps
            .iter()
            .any(|step| step.touches(from_id) || step.touches(into_id));
        if let Some(replacement) = &into.replacement {
            // It has to be written twice, and can only be given away once.
            let replacement = Arc::clone(replacement);
            let from = Arc::clone(&from);
            self.check_movable(trees, &from, &replacement, into_id)?;
            self.steps.push(Step::Move {
                from,
                into: replacement,
            });
        }
        let untouched = untouched && into.replacement.is_none();
        if untouched && into.engine.can_attach(&from.engine) {
            self.changes.push(Change::Attach { from, into });
        } else if let Some(engine) = self.adopted(trees, &from, &into, untouched)? {
            let new = Arc::new(Keyspace::new(into_id, into.options, engine));
            self.changes.push(Change::Adopt {
                old: into,
                from,
                new: Arc::clone(&new),
            });
            self.set(into_id, Some(new));
        } else {
            self.check_movable(trees, &from, &into, into_id)?;
            let work = from.engine.estimate()?.entries * ENTRY_WORK;
            self.moved_work += bytes_of(trees, &from)? + work;
            self.steps.push(Step::Move { from, into });
        }
        self.open_from = self.steps.len();
        Ok(())
    }

    /// Fails where moving entries would fill a memtable far beyond its measure: it ends when all of
    /// them are there. What was staged for the engine that keyspace `id` has needs no moving.
    fn check_movable(
        &self,
        trees: &Trees,
        from: &Keyspace,
        into: &Keyspace,
        id: KeyspaceId,
    ) -> Result<()> {
        if self.is_logged || into.engine.lsm().is_none() {
            return Ok(());
        }
        match bytes_of(trees, from)? > trees.media.tables.memtable_limit() as u64 {
            true => Err(Error::EngineChanging(id)),
            false => Ok(()),
        }
    }

    /// The engine that `into` gets where it can adopt that of `from`.
    fn adopted(
        &self,
        trees: &Trees,
        from: &Keyspace,
        into: &Arc<Keyspace>,
        untouched: bool,
    ) -> Result<Option<Arc<Engine>>> {
        // What the batch attaches is not there yet either.
        let mut changes = self.changes.iter();
        let attaches = changes.any(
            |change| matches!(change, Change::Attach { into: other, .. } if Arc::ptr_eq(other, into)),
        );
        if !untouched || attaches {
            return Ok(None);
        }
        into.engine.adopt(&from.engine, &trees.media)
    }

    fn set(&mut self, id: KeyspaceId, keyspace: Option<Arc<Keyspace>>) {
        self.overlay.retain(|(known, _)| *known != id);
        self.overlay.push((id, keyspace));
        self.open_from = self.steps.len();
    }

    fn find(&self, catalog: &Catalog, id: KeyspaceId) -> Result<Arc<Keyspace>> {
        let keyspace = match self.overlay.iter().find(|(known, _)| *known == id) {
            Some((_, keyspace)) => keyspace.clone(),
            None => catalog.find_current(id),
        };
        keyspace.ok_or(Error::UnknownKeyspace(id))
    }

    fn write(&mut self, catalog: &Catalog, id: KeyspaceId, entry: TreeEntry<'a>) -> Result<()> {
        check_len("key", entry.key.len(), MAX_KEY)?;
        let bytes = entry.key.len() + entry.value.map_or(0, <[u8]>::len);
        let coming = std::mem::take(&mut self.coming);
        let open = self.steps.get_mut(self.open_from..).unwrap_or_default();
        // Batches come keyspace by keyspace: the newest step is mostly the right one.
        for step in open.iter_mut().rev() {
            if let Step::Write { keyspace, entries } = step
                && keyspace.id == id
            {
                entries.reserve(coming);
                entries.push(entry);
                let pages = keyspace.page_writers();
                self.bytes += pages * bytes;
                self.entries += pages;
                return Ok(());
            }
        }
        let keyspace = self.find(catalog, id)?;
        let pages = keyspace.page_writers();
        self.bytes += pages * bytes;
        self.entries += pages;
        let mut entries = SmallVec::with_capacity(coming);
        entries.push(entry);
        self.steps.push(Step::Write { keyspace, entries });
        Ok(())
    }

    /// A bound on the pages that the plan changes.
    pub(crate) fn page_bound(&self, pages: &PageStore) -> usize {
        let written = 2 * self.bytes / pages.payload_size();
        let steps = self.steps.iter().filter(|step| step.writes_pages()).count();
        written + self.entries + 4 * steps
    }

    /// How much replaying the plan is beside what its log records show, roughly, in the measure
    /// of [`crate::wal::EncodedBatch::replay_work`]: moving what is staged takes a few bytes of
    /// log.
    pub(crate) fn moved_work(&self) -> u64 {
        self.moved_work
    }

    /// Changes the catalog in the name of commit `lsn`. The caller holds the barrier alone, and
    /// the catalog's change lock.
    pub(crate) fn change_catalog(&mut self, trees: &Trees, lsn: Lsn) {
        self.overlay.clear();
        if self.changes.is_empty() {
            return;
        }
        let changes = std::mem::take(&mut self.changes);
        let mut garbage = Vec::new();
        let mut gone = Vec::new();
        trees.catalog.update(|map| {
            for change in changes {
                match change {
                    Change::Create(keyspace) => {
                        trees.catalog.spend_id(keyspace.id);
                        keyspace.set_created(lsn);
                        map.insert(keyspace.id, keyspace.into());
                    }
                    Change::Drop(keyspace) => {
                        keyspace.set_dropped(lsn);
                        gone.push(Arc::clone(&keyspace.engine));
                        garbage.push((lsn, keyspace));
                    }
                    Change::Exchange { old, new } => {
                        new.inherit(&old);
                        map.insert(new.id, new.into());
                        garbage.push((lsn, old));
                    }
                    Change::Replace {
                        old,
                        replacement,
                        new,
                    } => {
                        new.take_place_of(&old, lsn);
                        map.insert(new.id, new.into());
                        gone.push(Arc::clone(&old.engine));
                        garbage.push((lsn, old));
                        replacement.set_dropped(lsn);
                        garbage.push((lsn, replacement));
                    }
                    Change::Attach { from, into } => into.engine.attach(&from.engine, lsn),
                    Change::Adopt { old, from, new } => {
                        drop(from);
                        new.inherit(&old);
                        new.set_adopted(lsn);
                        map.insert(new.id, new.into());
                        garbage.push((lsn, old));
                    }
                }
            }
        });
        // Only now, when it is known which of them have given away what they hold.
        gone.iter()
            .filter_map(|engine| engine.lsm())
            .for_each(LsmTree::count_out_memtables);
        trees.catalog.garbage.lock().append(&mut garbage);
    }

    /// Applies the entries in the name of commit `lsn`.
    ///
    /// The first version of a key that a tree gets at an LSN stays, so the last step goes first.
    /// `watermark` must be below `lsn`.
    pub(crate) fn apply(self, lsn: Lsn, watermark: Watermark<'_>) -> Result<()> {
        for step in self.steps.into_iter().rev() {
            match step {
                Step::Write {
                    keyspace,
                    mut entries,
                } => {
                    sort_last_wins(&mut entries);
                    keyspace.apply(&entries, lsn, watermark)?;
                }
                Step::Move { from, into } => move_entries(&from, &into, lsn, watermark)?,
            }
        }
        Ok(())
    }
}

impl Step<'_> {
    fn writes_pages(&self) -> bool {
        match self {
            Step::Write { keyspace, .. } => keyspace.page_writers() > 0,
            Step::Move { into, .. } => into.engine.writes_pages(),
        }
    }

    fn touches(&self, id: KeyspaceId) -> bool {
        match self {
            Step::Write { keyspace, .. } => keyspace.id == id,
            Step::Move { from, into } => from.id == id || into.id == id,
        }
    }
}

fn check_len(what: &'static str, len: usize, limit: usize) -> Result<()> {
    if len > limit {
        Err(Error::TooLarge { what, len, limit })
    } else {
        Ok(())
    }
}

/// Bytes that a keyspace holds, roughly.
fn bytes_of(trees: &Trees, keyspace: &Keyspace) -> Result<u64> {
    let pages = keyspace.engine.estimate()?.leaf_pages;
    Ok(pages * trees.media.pages.payload_size() as u64)
}

/// Writes what a staging keyspace holds to another one.
fn move_entries(
    from: &Keyspace,
    into: &Keyspace,
    lsn: Lsn,
    watermark: Watermark<'_>,
) -> Result<()> {
    let mut cursor = from.engine.cursor(KeyRange::all(), Direction::Forward);
    let mut decided = DecidedKey::default();
    // Keys and staged values one after the other, and where each key and value ends.
    let mut bytes: Vec<u8> = Vec::new();
    let mut ends: Vec<(usize, usize)> = Vec::new();
    let mut more = true;
    while more {
        bytes.clear();
        ends.clear();
        more = loop {
            if bytes.len() >= MERGE_BYTES {
                break true;
            }
            if !cursor.advance_visible(Lsn::MAX, &mut decided)? {
                break false;
            }
            let version = cursor.version();
            bytes.extend_from_slice(version.key);
            let key_end = bytes.len();
            bytes.extend_from_slice(version.value.unwrap_or_default());
            ends.push((key_end, bytes.len()));
        };
        let mut start = 0;
        let entries: Vec<TreeEntry<'_>> = ends
            .iter()
            .map(|(key_end, end)| {
                let key = &bytes[start..*key_end];
                start = *end;
                TreeEntry {
                    key,
                    value: staging::decode(&bytes[*key_end..*end]),
                }
            })
            .collect();
        into.engine.apply(&entries, lsn, watermark)?;
    }
    Ok(())
}
