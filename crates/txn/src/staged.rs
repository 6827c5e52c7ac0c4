//! Where the entries of a load are until it ends.
//!
//! As long as their keys ascend they wait in memory. When there are too many for that they go past
//! the log, one after the other, into the pages of a packed tree or into tables
//! ([`rustling_storage::Store::ingest`]), which costs a checkpoint and logs nothing. A load that
//! is small, or whose keys do not ascend, is logged; every load is where the log is kept for
//! restoring from ([`rustling_storage::Store::keeps_log`]).

use std::mem;

use rustling_storage::{
    Batch, Direction, Durability, EngineKind, KeyRange, KeyspaceId, KeyspaceOptions, Reservation,
    Result, Store, staging,
};

use crate::spill::StagingBatch;

/// Entries this small need no reservation.
const UNRESERVED_BYTES: usize = 16 << 10;
/// Reservations grow in steps of this.
const RESERVATION_STEP: usize = 256 << 10;
/// Bytes of memory for where an entry ends.
const PLACE: usize = size_of::<(usize, usize)>();
/// Entries are copied in pieces of about this size.
const PIECE_BYTES: usize = 256 << 10;

/// Key and value.
type Entry = (Vec<u8>, Vec<u8>);

/// Entries in the order of their keys: keys and staged values one after the other.
#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Where each key and its value end.
    ends: Vec<(usize, usize)>,
    reservation: Option<Reservation>,
}

impl Gathered {
    fn of(entries: &[Entry]) -> Gathered {
        let mut gathered = Gathered::default();
        gathered.bytes.reserve_exact(size_of_all(entries));
        entries
            .iter()
            .for_each(|(key, value)| gathered.push(key, value));
        gathered
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        staging::append_put(value, &mut self.bytes);
        self.ends.push((key_end, self.bytes.len()));
    }

    /// Key and staged value of the entry at a place.
    fn entry(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let (key_end, end) = *self.ends.get(at)?;
        let before = at.checked_sub(1).and_then(|before| self.ends.get(before));
        let start = before.map_or(0, |(_, end)| *end);
        Some((&self.bytes[start..key_end], &self.bytes[key_end..end]))
    }

    fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.ends.len()).filter_map(|at| self.entry(at))
    }

    fn last_key(&self) -> Option<&[u8]> {
        let last = self.ends.len().checked_sub(1)?;
        self.entry(last).map(|(key, _)| key)
    }

    fn contains(&self, key: &[u8]) -> bool {
        let compare = |at: usize| self.entry(at).map(|(found, _)| found.cmp(key));
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            match compare(middle) {
                Some(std::cmp::Ordering::Less) => from = middle + 1,
                Some(std::cmp::Ordering::Equal) => return true,
                Some(std::cmp::Ordering::Greater) | None => to = middle,
            }
        }
        false
    }

    /// Takes entries that come behind all others, if that leaves no more than `most` bytes and
    /// there is memory for them.
    fn take(&mut self, store: &Store, entries: &[Entry], most: usize) -> bool {
        let more = size_of_all(entries);
        let wanted = self.bytes.len() + more + (self.ends.len() + entries.len()) * PLACE;
        if self.bytes.len() + more > most || !self.make_room(store, wanted) {
            return false;
        }
        let reserved = self.reservation.as_ref().map_or(0, Reservation::bytes);
        let free = self.bytes.capacity() - self.bytes.len();
        if free < more {
            let wanted = more.max(reserved.saturating_sub(self.bytes.len()));
            self.bytes.reserve_exact(wanted);
        }
        entries
            .iter()
            .for_each(|(key, value)| self.push(key, value));
        true
    }

    fn make_room(&mut self, store: &Store, wanted: usize) -> bool {
        let reserved = self.reservation.as_ref().map_or(0, Reservation::bytes);
        let Some(missing) = wanted
            .checked_sub(reserved + UNRESERVED_BYTES)
            .filter(|missing| *missing > 0)
        else {
            return true;
        };
        let missing = missing.max(RESERVATION_STEP);
        let grown = match &mut self.reservation {
            Some(reservation) => reservation.grow(missing),
            none => store
                .memory()
                .reserve(missing, "a load's entries")
                .map(|reservation| *none = Some(reservation)),
        };
        grown.is_ok()
    }

    fn ingest(&self, store: &Store, staging: KeyspaceId) -> Result<()> {
        let entries: Vec<(&[u8], &[u8])> = self.entries().collect();
        store.ingest(staging, &entries)
    }

    fn log(&self, store: &Store, staging: KeyspaceId) -> Result<()> {
        let mut batch = StagingBatch::new(store, staging);
        for (key, staged) in self.entries() {
            batch.push(key.to_vec(), staging::decode(staged))?;
        }
        batch.flush()
    }
}

/// Bytes that entries take in [`Gathered`], their places aside.
fn size_of_all(entries: &[Entry]) -> usize {
    let sizes = entries
        .iter()
        .map(|(key, value)| key.len() + value.len() + 1);
    sizes.sum()
}

/// How the next entries go.
#[derive(Debug)]
enum Way {
    /// All keys so far ascend.
    Memory(Gathered),
    /// They do, and are in the last staging keyspace, past the log.
    PastTheLog {
        last_key: Vec<u8>,
    },
    Log,
}

/// The entries of a load.
#[derive(Debug)]
pub(crate) struct Staged {
    store: Store,
    /// How the keyspace is stored that they are for.
    target: KeyspaceOptions,
    way: Way,
    /// Those that hold entries, the oldest first, with the engine of each.
    keyspaces: Vec<(KeyspaceId, EngineKind)>,
    /// Why some of the entries are not there.
    failed: Option<crate::Error>,
}

impl Staged {
    /// No entry yet.
    pub(crate) fn new(store: &Store, target: KeyspaceOptions) -> Staged {
        Staged {
            store: store.clone(),
            target,
            way: Way::Memory(Gathered::default()),
            keyspaces: Vec::new(),
            failed: None,
        }
    }

    /// Says that entries could not be staged: the load can only be given up.
    pub(crate) fn fail(&mut self, error: &crate::Error) {
        self.failed.get_or_insert_with(|| error.clone());
    }

    /// Fails as staging entries has failed before.
    pub(crate) fn check(&self) -> crate::Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// The staging keyspaces there are, the oldest first.
    pub(crate) fn keyspaces(&self) -> Vec<KeyspaceId> {
        self.keyspaces.iter().map(|(id, _)| *id).collect()
    }

    /// Takes entries. Where they must be logged, which others may do beside, answers where.
    /// `is_untouched` says whether nothing lies below the load: neither in its keyspace nor among
    /// what the transaction has written.
    pub(crate) fn take(
        &mut self,
        entries: &[Entry],
        most_in_memory: usize,
        is_untouched: impl FnOnce() -> crate::Result<bool>,
    ) -> crate::Result<Option<KeyspaceId>> {
        if !self.come_behind(entries) {
            self.go_by_log()?;
        }
        match &mut self.way {
            Way::Memory(gathered) => {
                if !gathered.take(&self.store, entries, most_in_memory) {
                    if self.store.keeps_log() {
                        self.go_by_log()?;
                        return Ok(self.keyspaces.last().map(|(id, _)| *id));
                    }
                    let engine = self.engine_of_run(is_untouched()?);
                    self.go_past_log(engine)?;
                    self.ingest(entries)?;
                }
                Ok(None)
            }
            Way::PastTheLog { .. } => {
                self.ingest(entries)?;
                Ok(None)
            }
            Way::Log => Ok(self.keyspaces.last().map(|(id, _)| *id)),
        }
    }

    /// Whether all keys go on ascending.
    fn come_behind(&self, entries: &[Entry]) -> bool {
        let last = match &self.way {
            Way::Memory(gathered) => gathered.last_key(),
            Way::PastTheLog { last_key } => Some(last_key.as_slice()),
            Way::Log => return true,
        };
        let first = entries.first().map(|(key, _)| key.as_slice());
        (first.is_none() || last < first) && entries.is_sorted_by(|a, b| a.0 < b.0)
    }

    /// How a run is stored. A hybrid keyspace that is empty takes a packed tree for its base.
    fn engine_of_run(&self, is_untouched: bool) -> EngineKind {
        match self.target.engine {
            EngineKind::Hybrid if is_untouched => EngineKind::BTree,
            engine => engine,
        }
    }

    fn create(&mut self, engine: EngineKind) -> Result<KeyspaceId> {
        let id = self.store.allocate_keyspace_id();
        let mut batch = Batch::new();
        let staging = true;
        batch.create_keyspace(id, KeyspaceOptions { engine, staging });
        self.store.commit(&batch, Durability::None)?;
        self.keyspaces.push((id, engine));
        Ok(id)
    }

    /// Moves what is in memory past the log.
    fn go_past_log(&mut self, engine: EngineKind) -> Result<()> {
        let id = self.create(engine)?;
        let last_key = Vec::new();
        let way = mem::replace(&mut self.way, Way::PastTheLog { last_key });
        if let (Way::Memory(gathered), Way::PastTheLog { last_key }) = (way, &mut self.way) {
            gathered.ingest(&self.store, id)?;
            last_key.extend_from_slice(gathered.last_key().unwrap_or_default());
        }
        Ok(())
    }

    fn ingest(&mut self, entries: &[Entry]) -> Result<()> {
        if let (Some((id, _)), Some((key, _)), Way::PastTheLog { last_key }) =
            (self.keyspaces.last(), entries.last(), &mut self.way)
        {
            Gathered::of(entries).ingest(&self.store, *id)?;
            last_key.clear();
            last_key.extend_from_slice(key);
        }
        Ok(())
    }

    /// Has what is there, and what comes, in the log or sealed.
    fn go_by_log(&mut self) -> Result<()> {
        let way = mem::replace(&mut self.way, Way::Log);
        self.settle(way)?;
        let engine = self.target.engine;
        if self
            .keyspaces
            .last()
            .is_none_or(|(_, last)| *last != engine)
        {
            self.create(engine)?;
        }
        Ok(())
    }

    fn settle(&mut self, way: Way) -> Result<()> {
        match way {
            Way::Memory(gathered) if gathered.ends.is_empty() => Ok(()),
            Way::Memory(gathered) => {
                let id = self.create(self.target.engine)?;
                gathered.log(&self.store, id)
            }
            Way::PastTheLog { .. } | Way::Log => self.seal(),
        }
    }

    fn seal(&self) -> Result<()> {
        let mut all = self.keyspaces.iter();
        all.try_for_each(|(id, _)| self.store.seal(*id))
    }

    /// Has all entries be in staging keyspaces, where they can be read.
    pub(crate) fn end(&mut self) -> Result<()> {
        let way = mem::replace(&mut self.way, Way::Log);
        self.settle(way)
    }

    /// Copies the run that was staged for an empty keyspace, if there is one, to a staging keyspace
    /// whose contents can lie above others. Gives the void one.
    pub(crate) fn move_above(&mut self) -> Result<Option<KeyspaceId>> {
        let engine = self.target.engine;
        let is_other = |(_, kind): &(KeyspaceId, EngineKind)| *kind != engine;
        let Some(at) = self.keyspaces.iter().position(is_other) else {
            return Ok(None);
        };
        let into = self.create(engine)?;
        let from = self.keyspaces[at].0;
        self.copy(from, into)?;
        self.keyspaces.pop();
        self.keyspaces[at] = (into, engine);
        Ok(Some(from))
    }

    fn copy(&self, from: KeyspaceId, into: KeyspaceId) -> Result<()> {
        let snapshot = self.store.snapshot();
        let mut cursor = snapshot.scan(from, KeyRange::all(), Direction::Forward)?;
        let mut piece = Gathered::default();
        while let Some((key, staged)) = cursor.next()? {
            if let Some(value) = staging::decode(staged) {
                piece.push(key, value);
            }
            if piece.bytes.len() >= PIECE_BYTES {
                piece.ingest(&self.store, into)?;
                piece = Gathered::default();
            }
        }
        piece.ingest(&self.store, into)?;
        self.store.seal(into)
    }

    /// Whether `key` is among the entries in memory; `None` where they are in staging keyspaces,
    /// which can be asked then.
    pub(crate) fn is_in_memory(&self, key: &[u8]) -> Result<Option<bool>> {
        match &self.way {
            Way::Memory(gathered) => Ok(Some(gathered.contains(key))),
            Way::PastTheLog { last_key } if last_key == key => Ok(Some(true)),
            Way::PastTheLog { .. } => self.seal().map(|()| None),
            Way::Log => Ok(None),
        }
    }
}
