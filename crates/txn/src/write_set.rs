//! What a transaction has written and not yet committed: ordered, private, undoable.
//!
//! Newest first, a key's own value is in the memory table of its keyspace, or in a *layer*: a
//! staging keyspace of the store that holds what has spilled or was bulk-loaded. A savepoint
//! is two lengths, that of the undo log and that of the list of layers; rolling back to it pops
//! the first and cuts the second.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use rustling_storage::{
    Batch, Direction, EngineChange, EngineKind, Error as StorageError, KeyRange, KeyspaceId,
    KeyspaceOptions, Result, Snapshot, staging,
};

use crate::spill::Portion;

/// Bytes that an entry costs beside its key and value: tree node, vectors' headers.
const ENTRY_OVERHEAD: usize = 80;

/// The changes of one keyspace that are in memory; `None` deletes.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Debug, Default)]
struct Table {
    changes: Changes,
    /// Set where this transaction creates the keyspace.
    created: Option<KeyspaceOptions>,
    /// Set where this transaction drops the keyspace.
    dropped: bool,
    /// Set where this transaction gives the keyspace another engine.
    engine_change: Option<Arc<EngineChange>>,
}

/// Changes of a keyspace that are in the store already, aside.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Where they belong.
    pub(crate) keyspace: KeyspaceId,
    /// Where they are.
    pub(crate) staging: KeyspaceId,
    /// A snapshot that sees them all.
    pub(crate) snapshot: Snapshot,
    /// Bytes moved into it; of a bulk load, the most there are.
    pub(crate) bytes: u64,
}

#[derive(Debug)]
enum Undo {
    Change {
        keyspace: KeyspaceId,
        key: Vec<u8>,
        previous: Option<Option<Vec<u8>>>,
    },
    Created(KeyspaceId),
    Dropped(KeyspaceId),
    EngineChanged {
        keyspace: KeyspaceId,
        created: Option<KeyspaceOptions>,
    },
}

/// A point to return to.
#[derive(Clone, Copy, Debug)]
struct Mark {
    id: u64,
    undo: usize,
    layers: usize,
}

/// What a lookup among the own changes answers; `F` is handed back unless it was used.
pub(crate) enum Lookup<R, F> {
    /// The own value, read; `None` where the key was deleted.
    Own(Option<R>),
    /// Nothing of the key has been written here.
    Unwritten(F),
    /// Nothing has, and the keyspace is new: nobody else has written it either.
    Nowhere,
}

/// The own changes of a transaction.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    tables: BTreeMap<KeyspaceId, Table>,
    layers: Vec<Layer>,
    undo: Vec<Undo>,
    savepoints: Vec<Mark>,
    bytes: usize,
}

/// What a commit consists of.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The changes.
    pub(crate) batch: Batch,
    /// Layers that the batch does not use up.
    pub(crate) unused: Vec<Layer>,
    /// To be kept until the batch is committed.
    pub(crate) engine_changes: Vec<Arc<EngineChange>>,
}

/// Bytes that a change of `key` adds at most.
pub(crate) fn change_cost(key: &[u8], value: Option<&[u8]>) -> usize {
    cost(key, value) + key.len() + ENTRY_OVERHEAD
}

fn cost(key: &[u8], value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len) + ENTRY_OVERHEAD
}

impl WriteSet {
    /// Bytes of memory in use, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether part of the changes is in the store already.
    pub(crate) fn is_spilled(&self) -> bool {
        !self.layers.is_empty()
    }

    /// Whether this transaction creates `keyspace`.
    pub(crate) fn creates(&self, keyspace: KeyspaceId) -> bool {
        self.tables
            .get(&keyspace)
            .is_some_and(|table| table.created.is_some())
    }

    /// Fails where this transaction has dropped `keyspace`.
    pub(crate) fn check_not_dropped(&self, keyspace: KeyspaceId) -> Result<()> {
        match self.tables.get(&keyspace) {
            Some(table) if table.dropped => Err(StorageError::UnknownKeyspace(keyspace)),
            _ => Ok(()),
        }
    }

    /// Runs `read` on the own value of a key.
    pub(crate) fn get_with<R, F: FnOnce(&[u8]) -> R>(
        &self,
        keyspace: KeyspaceId,
        key: &[u8],
        read: F,
    ) -> Result<Lookup<R, F>> {
        let table = self.tables.get(&keyspace);
        if let Some(table) = table {
            if table.dropped {
                return Err(StorageError::UnknownKeyspace(keyspace));
            }
            if let Some(own) = table.changes.get(key) {
                return Ok(Lookup::Own(own.as_deref().map(read)));
            }
        }
        let mut read = Some(read);
        for layer in self.layers_of(keyspace) {
            let found = layer.snapshot.get_with(layer.staging, key, |staged| {
                staging::decode(staged).and_then(|value| read.take().map(|read| read(value)))
            })?;
            if let Some(own) = found {
                return Ok(Lookup::Own(own));
            }
        }
        Ok(match read {
            Some(_) if table.is_some_and(|table| table.created.is_some()) => Lookup::Nowhere,
            Some(read) => Lookup::Unwritten(read),
            None => Lookup::Own(None),
        })
    }

    /// The layers that hold changes of `keyspace`, newest first.
    pub(crate) fn layers_of(&self, keyspace: KeyspaceId) -> impl Iterator<Item = &Layer> {
        self.layers
            .iter()
            .rev()
            .filter(move |layer| layer.keyspace == keyspace)
    }

    /// Whether memory holds changes of `keyspace`.
    pub(crate) fn has_changes(&self, keyspace: KeyspaceId) -> bool {
        self.tables
            .get(&keyspace)
            .is_some_and(|table| !table.changes.is_empty())
    }

    /// Shows the changes in memory of `keyspace` within `range`, in order, until `visit` is
    /// false.
    pub(crate) fn visit(
        &self,
        keyspace: KeyspaceId,
        range: &KeyRange,
        direction: Direction,
        mut visit: impl FnMut(&[u8], Option<&[u8]>) -> bool,
    ) {
        let Some(table) = self.tables.get(&keyspace) else {
            return;
        };
        if is_empty_range(range) {
            return;
        }
        let bounds = (as_slice(&range.start), as_slice(&range.end));
        let mut changes = table.changes.range::<[u8], _>(bounds);
        let mut next = || match direction {
            Direction::Forward => changes.next(),
            Direction::Backward => changes.next_back(),
        };
        while let Some((key, value)) = next() {
            if !visit(key, value.as_deref()) {
                return;
            }
        }
    }

    /// Sets (or with `None` deletes) a key.
    pub(crate) fn change(&mut self, keyspace: KeyspaceId, key: &[u8], value: Option<Vec<u8>>) {
        self.bytes += cost(key, value.as_deref());
        let changes = &mut self.tables.entry(keyspace).or_default().changes;
        let previous = match changes.get_mut(key) {
            Some(slot) => Some(std::mem::replace(slot, value)),
            None => {
                changes.insert(key.to_vec(), value);
                None
            }
        };
        if self.savepoints.is_empty() {
            if let Some(previous) = previous {
                self.bytes -= cost(key, previous.as_deref());
            }
        } else {
            self.bytes += key.len() + ENTRY_OVERHEAD;
            self.undo.push(Undo::Change {
                keyspace,
                key: key.to_vec(),
                previous,
            });
        }
    }

    /// Notes that the transaction creates a keyspace.
    pub(crate) fn create(&mut self, keyspace: KeyspaceId, options: KeyspaceOptions) {
        self.tables.entry(keyspace).or_default().created = Some(options);
        self.log(Undo::Created(keyspace));
    }

    /// Notes that the transaction drops a keyspace.
    pub(crate) fn drop_keyspace(&mut self, keyspace: KeyspaceId) {
        self.tables.entry(keyspace).or_default().dropped = true;
        self.log(Undo::Dropped(keyspace));
    }

    /// Notes that a keyspace that the transaction creates has another engine.
    pub(crate) fn set_engine(&mut self, keyspace: KeyspaceId, engine: EngineKind) {
        let table = self.tables.entry(keyspace).or_default();
        let created = table.created;
        if let Some(options) = &mut table.created {
            options.engine = engine;
        }
        self.log(Undo::EngineChanged { keyspace, created });
    }

    /// Notes that the transaction gives a keyspace that was there before another engine.
    pub(crate) fn change_engine(&mut self, change: EngineChange) {
        let keyspace = change.keyspace();
        self.tables.entry(keyspace).or_default().engine_change = Some(Arc::new(change));
        let created = None;
        self.log(Undo::EngineChanged { keyspace, created });
    }

    fn log(&mut self, undo: Undo) {
        if !self.savepoints.is_empty() {
            self.undo.push(undo);
        }
    }

    /// Adds a layer above everything written so far.
    pub(crate) fn push_layer(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// How `keyspace` will be stored, where this transaction creates it.
    pub(crate) fn created_options(&self, keyspace: KeyspaceId) -> Option<KeyspaceOptions> {
        self.tables.get(&keyspace).and_then(|table| table.created)
    }

    /// Takes all changes out of memory, in portions: those before the oldest savepoint, those
    /// between it and the next, and so on; the last holds those after the newest.
    ///
    /// What the undo log holds of changes is used up: from here on each savepoint finds its
    /// state in the layers that the portions before it go to.
    pub(crate) fn drain_by_savepoint(&mut self) -> Vec<Portion> {
        let mut portions = Vec::new();
        let mut kept = Vec::new();
        for at in (0..self.savepoints.len()).rev() {
            let mark = self.savepoints[at].undo;
            let mut portion = Portion::new();
            for undo in self.undo.split_off(mark).into_iter().rev() {
                match undo {
                    Undo::Change {
                        keyspace,
                        key,
                        previous,
                    } => {
                        let changes = &mut self.tables.entry(keyspace).or_default().changes;
                        let newer = match previous {
                            None => changes.remove(&key),
                            Some(previous) => changes.insert(key.clone(), previous),
                        };
                        if let Some(newer) = newer {
                            // Undone from the newest back: the first seen is the portion's last.
                            portion
                                .entry(keyspace)
                                .or_default()
                                .entry(key)
                                .or_insert(newer);
                        }
                    }
                    undo => kept.push((at, undo)),
                }
            }
            portions.push(portion);
        }
        let mut first = Portion::new();
        for (keyspace, table) in &mut self.tables {
            if !table.changes.is_empty() {
                first.insert(*keyspace, std::mem::take(&mut table.changes));
            }
        }
        portions.push(first);
        portions.reverse();
        self.bytes = 0;
        // `kept` runs from the newest back; each savepoint keeps what came after it.
        for (at, mark) in self.savepoints.iter_mut().enumerate() {
            mark.undo = self.undo.len();
            while kept.last().is_some_and(|(of, _)| *of == at) {
                self.undo.extend(kept.pop().map(|(_, undo)| undo));
            }
        }
        portions
    }

    /// The layer that the changes of `keyspace` after savepoint number `savepoint` (0: before
    /// all) may be added to: the topmost of the keyspace, where no savepoint relies on it.
    pub(crate) fn open_layer(
        &mut self,
        portion: usize,
        keyspace: KeyspaceId,
    ) -> Option<&mut Layer> {
        let from = portion
            .checked_sub(1)
            .and_then(|at| self.savepoints.get(at))
            .map_or(0, |mark| mark.layers);
        self.layers
            .get_mut(from..)?
            .iter_mut()
            .rev()
            .find(|layer| layer.keyspace == keyspace)
    }

    /// The layers of one keyspace that had better be one, the oldest first, by their places:
    /// more than `most` of which no savepoint relies on one without the others, and none of
    /// them bulk-loaded. Every read looks into every layer.
    pub(crate) fn scattered(&self, most: usize) -> Option<Vec<usize>> {
        // From one savepoint's layers to the next one's: rolling back takes or leaves them all.
        let ends = self.savepoints.iter().map(|mark| mark.layers);
        let mut from = 0;
        for end in ends.chain([self.layers.len()]) {
            let mut places: BTreeMap<KeyspaceId, Vec<usize>> = BTreeMap::new();
            for (at, layer) in self.layers.iter().enumerate().take(end).skip(from) {
                let places = places.entry(layer.keyspace).or_default();
                if layer.bytes == u64::MAX {
                    places.clear();
                } else {
                    places.push(at);
                }
            }
            if let Some(found) = places.into_values().find(|places| places.len() > most) {
                return Some(found);
            }
            from = end;
        }
        None
    }

    /// The layer at a place.
    pub(crate) fn layer_mut(&mut self, at: usize) -> Option<&mut Layer> {
        self.layers.get_mut(at)
    }

    /// Takes the layer at a place out, whose changes are in another one between the same
    /// savepoints.
    pub(crate) fn remove_layer(&mut self, at: usize) -> Layer {
        for mark in self.savepoints.iter_mut().filter(|mark| mark.layers > at) {
            mark.layers -= 1;
        }
        self.layers.remove(at)
    }

    /// Notes that portion number `portion` is in layers: the savepoints after it rely on them.
    /// (A layer is added with memory empty only. So where a portion holds anything, no layer
    /// is younger than the savepoints after it, and all of these rely on all layers.)
    pub(crate) fn end_portion(&mut self, portion: usize) {
        let layers = self.layers.len();
        for mark in self.savepoints.iter_mut().skip(portion) {
            mark.layers = layers;
        }
    }

    /// Marks the present state as `id`.
    pub(crate) fn savepoint(&mut self, id: u64) {
        self.savepoints.push(Mark {
            id,
            undo: self.undo.len(),
            layers: self.layers.len(),
        });
    }

    /// Forgets savepoint `id` and those after it, and keeps their changes.
    pub(crate) fn release(&mut self, id: u64) {
        if let Some(at) = self.savepoints.iter().position(|mark| mark.id == id) {
            self.savepoints.truncate(at);
        }
        if self.savepoints.is_empty() {
            for undo in std::mem::take(&mut self.undo) {
                self.bytes -= undo.bytes();
            }
        }
    }

    /// Returns to savepoint `id`, which stays; hands out the layers that are void now. `None`
    /// where there is no such savepoint.
    pub(crate) fn rollback_to(&mut self, id: u64) -> Option<Vec<Layer>> {
        let at = self.savepoints.iter().position(|mark| mark.id == id)?;
        let mark = *self.savepoints.get(at)?;
        self.savepoints.truncate(at + 1);
        while self.undo.len() > mark.undo {
            if let Some(undo) = self.undo.pop() {
                self.undo(undo);
            }
        }
        Some(self.layers.split_off(mark.layers))
    }

    fn undo(&mut self, undo: Undo) {
        self.bytes -= undo.bytes();
        match undo {
            Undo::Change {
                keyspace,
                key,
                previous,
            } => {
                let changes = &mut self.tables.entry(keyspace).or_default().changes;
                let undone = match previous {
                    None => changes.remove(&key),
                    Some(previous) => {
                        self.bytes += cost(&key, previous.as_deref());
                        changes.insert(key.clone(), previous)
                    }
                };
                if let Some(undone) = undone {
                    self.bytes -= cost(&key, undone.as_deref());
                }
            }
            Undo::Created(keyspace) => {
                self.tables.remove(&keyspace);
            }
            Undo::Dropped(keyspace) => {
                if let Some(table) = self.tables.get_mut(&keyspace) {
                    table.dropped = false;
                }
            }
            Undo::EngineChanged { keyspace, created } => {
                if let Some(table) = self.tables.get_mut(&keyspace) {
                    table.engine_change = None;
                    table.created = created;
                }
            }
        }
    }

    /// Everything in the order in which it must be applied.
    pub(crate) fn into_batch(self) -> Prepared {
        let WriteSet { tables, layers, .. } = self;
        let mut batch = Batch::new();
        for (keyspace, table) in &tables {
            if let (Some(options), false) = (table.created, table.dropped) {
                batch.create_keyspace(*keyspace, options);
            }
        }
        let mut unused = Vec::new();
        let mut engine_changes = Vec::new();
        for layer in layers {
            if tables
                .get(&layer.keyspace)
                .is_some_and(|table| table.dropped)
            {
                unused.push(layer);
            } else {
                batch.merge(layer.staging, layer.keyspace);
            }
        }
        for (keyspace, table) in tables {
            if table.dropped {
                if table.created.is_none() {
                    batch.drop_keyspace(keyspace);
                }
                continue;
            }
            for (key, value) in table.changes {
                match value {
                    Some(value) => batch.put(keyspace, key, value),
                    None => batch.delete(keyspace, key),
                }
            }
            if let Some(change) = table.engine_change {
                change.finish(&mut batch);
                engine_changes.push(change);
            }
        }
        Prepared {
            batch,
            unused,
            engine_changes,
        }
    }

    /// The staging keyspaces that a rollback leaves behind.
    pub(crate) fn into_layers(self) -> Vec<Layer> {
        self.layers
    }
}

impl Undo {
    /// Bytes counted while the record is kept (the replaced value is counted since it was
    /// written).
    fn bytes(&self) -> usize {
        match self {
            Undo::Change { key, previous, .. } => {
                key.len()
                    + ENTRY_OVERHEAD
                    + previous
                        .as_ref()
                        .map_or(0, |previous| cost(key, previous.as_deref()))
            }
            Undo::Created(_) | Undo::Dropped(_) | Undo::EngineChanged { .. } => 0,
        }
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Whether no key can lie in `range` (`BTreeMap::range` panics on some of these).
pub(crate) fn is_empty_range(range: &KeyRange) -> bool {
    match (&range.start, &range.end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
    }
}
