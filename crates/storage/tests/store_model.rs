//! The store against a model: random commits, snapshots, checkpoints, reopenings and kills.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    path::Path,
};

use quickcheck::{Arbitrary, Gen, QuickCheck};
use rustling_storage::{
    Batch, Codec, Direction, Durability, EngineChange, EngineKind, Env, Error, EvictionPolicyKind,
    KeyRange, KeyspaceId, KeyspaceOptions, Lsn, MemoryVfs, Snapshot, Store, StoreOptions, check,
    staging,
};

const DIR: &str = "/store";

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;
type State = BTreeMap<KeyspaceId, Contents>;

/// One step of a run. Numbers are reduced to what exists.
#[derive(Clone, Debug)]
enum Action {
    Commit {
        writes: Vec<(u8, u16, Option<u16>)>,
        durability: u8,
    },
    Create,
    Drop(u8),
    /// Loads entries through a staging keyspace and merges them.
    Load {
        into: u8,
        entries: Vec<(u16, Option<u16>)>,
        and_put: Option<u16>,
    },
    /// Leaves a staging keyspace behind.
    Abandon,
    /// Begins to change a keyspace's engine.
    BeginChange {
        keyspace: u8,
        engine: u8,
    },
    /// Switches to the new engine, or gives it up.
    EndChange {
        which: u8,
        give_up: bool,
        and_put: Option<u16>,
    },
    Snapshot,
    Forget(u8),
    Scan {
        keyspace: u8,
        from: u16,
        to: u16,
        seek: Option<u16>,
        backward: bool,
    },
    Flush,
    Checkpoint,
    Reopen,
    Close,
    Kill,
    Refused,
}

impl Arbitrary for Action {
    fn arbitrary(g: &mut Gen) -> Action {
        match u8::arbitrary(g) % 32 {
            0 => Action::Create,
            1 => Action::Drop(u8::arbitrary(g)),
            2 | 3 => Action::Load {
                into: u8::arbitrary(g),
                entries: Vec::arbitrary(g),
                and_put: Option::arbitrary(g),
            },
            4 => Action::Abandon,
            5..=7 => Action::Snapshot,
            8 | 9 => Action::Forget(u8::arbitrary(g)),
            10..=12 => Action::Scan {
                keyspace: u8::arbitrary(g),
                from: u16::arbitrary(g),
                to: u16::arbitrary(g),
                seek: Option::arbitrary(g),
                backward: bool::arbitrary(g),
            },
            13 => Action::Flush,
            14 => Action::Checkpoint,
            15 => Action::Reopen,
            16 => Action::Close,
            17 => Action::Kill,
            18 => Action::Refused,
            19 | 20 => Action::BeginChange {
                keyspace: u8::arbitrary(g),
                engine: u8::arbitrary(g),
            },
            21 | 22 => Action::EndChange {
                which: u8::arbitrary(g),
                give_up: u8::arbitrary(g).is_multiple_of(4),
                and_put: Option::arbitrary(g),
            },
            _ => Action::Commit {
                writes: Vec::arbitrary(g),
                durability: u8::arbitrary(g),
            },
        }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Action>> {
        match self.clone() {
            Action::Commit { writes, durability } => Box::new(
                writes
                    .shrink()
                    .map(move |writes| Action::Commit { writes, durability }),
            ),
            Action::Load {
                into,
                entries,
                and_put,
            } => Box::new(entries.shrink().map(move |entries| Action::Load {
                into,
                entries,
                and_put,
            })),
            _ => Box::new(std::iter::empty()),
        }
    }
}

fn key(number: u16) -> Vec<u8> {
    // Few distinct keys, so that versions pile up; some of them long.
    let number = number % 300;
    let mut key = format!("key{number:05}").into_bytes();
    if number.is_multiple_of(17) {
        key.extend(vec![b'x'; usize::from(number) * 30]);
    }
    key
}

fn value(number: u16) -> Vec<u8> {
    let len = if number.is_multiple_of(50) {
        usize::from(number)
    } else {
        usize::from(number % 200)
    };
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

const ENGINES: [EngineKind; 3] = [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid];

/// Every engine in turn.
fn kind(id: KeyspaceId) -> KeyspaceOptions {
    KeyspaceOptions {
        engine: ENGINES[id.0 as usize % ENGINES.len()],
        ..KeyspaceOptions::default()
    }
}

fn options(seed: u64) -> StoreOptions {
    StoreOptions {
        page_size: 4096,
        memory_budget: 1 << 20,
        wal_segment_bytes: 16 << 10,
        wal_compress_above: 1000,
        background: seed % 4 == 3,
        checkpoint_wal_bytes: 20 << 10,
        codec: if seed.is_multiple_of(2) {
            Codec::None
        } else {
            Codec::Lz4
        },
        eviction: EvictionPolicyKind::Random { seed },
        ..StoreOptions::default()
    }
}

struct Run {
    vfs: MemoryVfs,
    options: StoreOptions,
    store: Store,
    /// What every commit has left, by LSN; the first entry belongs to `base`.
    history: BTreeMap<Lsn, State>,
    snapshots: Vec<(Snapshot, State)>,
    changes: Vec<(EngineChange, EngineKind)>,
    is_memory: bool,
}

impl Run {
    fn start(seed: u64, is_memory: bool) -> Run {
        let vfs = MemoryVfs::new();
        let options = options(seed);
        let store = if is_memory {
            Store::in_memory(options.clone()).unwrap()
        } else {
            Store::open(Env::with_vfs(vfs.clone()), Path::new(DIR), options.clone()).unwrap()
        };
        let history = BTreeMap::from([(Lsn::ZERO, State::new())]);
        Run {
            vfs,
            options,
            store,
            history,
            snapshots: Vec::new(),
            changes: Vec::new(),
            is_memory,
        }
    }

    fn state(&self) -> State {
        self.history.values().next_back().unwrap().clone()
    }

    fn commit(&mut self, batch: &Batch, state: State, durability: Durability) {
        let before = *self.history.keys().next_back().unwrap();
        let lsn = self.store.commit(batch, durability).unwrap();
        if batch.is_empty() {
            assert_eq!(lsn, before);
            return;
        }
        assert_eq!(lsn, before.next());
        assert_eq!(self.store.published_lsn(), lsn);
        if durability == Durability::Sync {
            assert!(self.store.durable_lsn() >= lsn);
        }
        self.history.insert(lsn, state);
    }

    fn pick(&self, state: &State, index: u8) -> Option<KeyspaceId> {
        let count = state.len().max(1);
        state.keys().nth(usize::from(index) % count).copied()
    }

    fn run(&mut self, action: Action) {
        let mut state = self.state();
        let mut batch = Batch::new();
        match action {
            Action::Commit { writes, durability } => {
                for (keyspace, at, to) in writes {
                    let Some(keyspace) = self.pick(&state, keyspace) else {
                        continue;
                    };
                    let contents = state.get_mut(&keyspace).unwrap();
                    match to {
                        Some(to) => {
                            batch.put(keyspace, key(at), value(to));
                            contents.insert(key(at), value(to));
                        }
                        None => {
                            batch.delete(keyspace, key(at));
                            contents.remove(&key(at));
                        }
                    }
                }
                let all = [Durability::Sync, Durability::Async, Durability::None];
                let durability = all[usize::from(durability) % 3];
                self.commit(&batch, state, durability);
            }
            Action::Create => {
                let id = self.store.allocate_keyspace_id();
                batch.create_keyspace(id, kind(id));
                batch.put(id, *b"first", *b"entry");
                state.insert(id, Contents::from([(b"first".to_vec(), b"entry".to_vec())]));
                self.commit(&batch, state, Durability::Sync);
            }
            Action::Drop(index) => {
                let Some(id) = self.pick(&state, index) else {
                    return;
                };
                batch.drop_keyspace(id);
                state.remove(&id);
                self.commit(&batch, state, Durability::Async);
                assert!(!self.store.contains_keyspace(id));
            }
            Action::Load {
                into,
                entries,
                and_put,
            } => self.load(into, &entries, and_put),
            Action::Abandon => {
                let id = self.store.allocate_keyspace_id();
                batch.create_keyspace(
                    id,
                    KeyspaceOptions {
                        staging: true,
                        ..kind(id)
                    },
                );
                batch.put(id, *b"lost", staging::encode_put(b"work"));
                self.commit(&batch, state, Durability::Sync);
                // Not part of the state: nobody may see it after the next opening.
            }
            Action::Snapshot => {
                let snapshot = self.store.snapshot();
                assert_eq!(snapshot.lsn(), self.store.published_lsn());
                self.snapshots.push((snapshot, state));
            }
            Action::Forget(index) => {
                if !self.snapshots.is_empty() {
                    let index = usize::from(index) % self.snapshots.len();
                    self.snapshots.swap_remove(index);
                }
            }
            Action::Scan {
                keyspace,
                from,
                to,
                seek,
                backward,
            } => {
                let all = self
                    .snapshots
                    .iter()
                    .map(|(snapshot, state)| (snapshot.clone(), state));
                for (snapshot, state) in all.chain([(self.store.snapshot(), &self.state())]) {
                    if let Some(id) = self.pick(state, keyspace) {
                        scan(&snapshot, id, &state[&id], (from, to), seek, backward);
                    }
                }
            }
            Action::Flush => {
                assert_eq!(self.store.flush().unwrap(), self.store.published_lsn());
            }
            Action::Checkpoint => {
                assert_eq!(self.store.checkpoint().unwrap(), self.store.published_lsn());
                self.store.vacuum().unwrap();
            }
            Action::Reopen | Action::Close | Action::Kill if self.is_memory => {}
            Action::Reopen => {
                self.snapshots.clear();
                while let Some((change, _)) = self.changes.pop() {
                    self.give_up(change);
                }
                let last = self.store.published_lsn();
                self.reopen(|_, vfs| vfs.clone(), last);
            }
            Action::Close => {
                self.snapshots.clear();
                let last = self.store.published_lsn();
                let changes = std::mem::take(&mut self.changes);
                let close = |store: Store, vfs: &MemoryVfs| {
                    store.close().unwrap();
                    drop(changes);
                    vfs.clone()
                };
                self.reopen(close, last);
            }
            Action::Kill => {
                self.snapshots.clear();
                let durable = self.store.durable_lsn();
                let changes = std::mem::take(&mut self.changes);
                self.reopen(|_, vfs| vfs.fork(), durable);
                drop(changes);
            }
            Action::Refused => self.refused(),
            Action::BeginChange { keyspace, engine } => {
                let Some(id) = self.pick(&state, keyspace) else {
                    return;
                };
                let engine = ENGINES[usize::from(engine) % ENGINES.len()];
                let under_way = self.changes.iter().any(|(one, _)| one.keyspace() == id);
                match self.store.change_engine(id, engine) {
                    Ok(change) => {
                        assert!(!under_way);
                        self.changes.push((change, engine));
                        self.note_commit();
                    }
                    Err(Error::EngineChanging(of)) => assert!(under_way && of == id),
                    Err(error) => panic!("{error}"),
                }
            }
            Action::EndChange {
                which,
                give_up,
                and_put,
            } => {
                if self.changes.is_empty() {
                    return;
                }
                let which = usize::from(which) % self.changes.len();
                let (change, engine) = self.changes.swap_remove(which);
                let id = change.keyspace();
                if give_up {
                    return self.give_up(change);
                }
                if let Some(number) = and_put {
                    batch.put(id, key(number), *b"switched");
                }
                change.finish(&mut batch);
                if let Some(contents) = state.get_mut(&id) {
                    if let Some(number) = and_put {
                        contents.insert(key(number), b"switched".to_vec());
                    }
                    self.commit(&batch, state, Durability::Sync);
                    let listed = self.store.keyspaces();
                    let (_, options) = listed.iter().find(|(one, _)| *one == id).unwrap();
                    assert_eq!((options.engine, options.staging), (engine, false));
                } else {
                    let refused = self.store.commit(&batch, Durability::Sync);
                    assert!(matches!(refused, Err(Error::UnknownKeyspace(one)) if one == id));
                }
            }
        }
    }

    /// Notes a commit that has changed nothing visible.
    fn note_commit(&mut self) {
        let before = *self.history.keys().next_back().unwrap();
        assert_eq!(self.store.published_lsn(), before.next());
        let state = self.state();
        self.history.insert(before.next(), state);
    }

    fn give_up(&mut self, change: EngineChange) {
        let exists = self.state().contains_key(&change.keyspace());
        drop(change);
        if exists {
            self.note_commit();
        }
    }

    fn load(&mut self, into: u8, entries: &[(u16, Option<u16>)], and_put: Option<u16>) {
        let mut state = self.state();
        let Some(into) = self.pick(&state, into) else {
            return;
        };
        let from = self.store.allocate_keyspace_id();
        let mut batch = Batch::new();
        batch.create_keyspace(
            from,
            KeyspaceOptions {
                staging: true,
                ..kind(from)
            },
        );
        self.commit(&batch, state.clone(), Durability::None);
        // A fresh target, half of the time.
        let into = if entries.len().is_multiple_of(2) {
            into
        } else {
            self.store.allocate_keyspace_id()
        };
        let contents = state.entry(into).or_default();
        for piece in entries.chunks(7) {
            let mut batch = Batch::new();
            for (at, to) in piece {
                let staged = match to {
                    Some(to) => staging::encode_put(&value(*to)),
                    None => staging::encode_delete(),
                };
                batch.put(from, key(*at), staged);
            }
            let unchanged = self.state();
            self.commit(&batch, unchanged, Durability::None);
        }
        for (at, to) in entries {
            match to {
                Some(to) => contents.insert(key(*at), value(*to)),
                None => contents.remove(&key(*at)),
            };
        }
        let mut batch = Batch::new();
        if entries.len() % 2 == 1 {
            batch.create_keyspace(into, kind(into));
        }
        if let Some(number) = and_put.filter(|number| number % 2 == 0) {
            // Before the merge: the merge's entry of the same key wins.
            batch.put(into, key(number), *b"early");
            let merged = entries.iter().any(|(at, _)| key(*at) == key(number));
            if !merged {
                contents.insert(key(number), b"early".to_vec());
            }
        }
        batch.merge(from, into);
        if let Some(number) = and_put.filter(|number| number % 2 == 1) {
            batch.put(into, key(number), *b"late");
            contents.insert(key(number), b"late".to_vec());
        }
        self.commit(&batch, state, Durability::Sync);
        assert!(!self.store.contains_keyspace(from));
    }

    fn reopen(&mut self, end: impl FnOnce(Store, &MemoryVfs) -> MemoryVfs, durable: Lsn) {
        let idle = Store::in_memory(options(0)).unwrap();
        let store = std::mem::replace(&mut self.store, idle);
        self.vfs = {
            let vfs = self.vfs.clone();
            end(store, &vfs)
        };
        let report = check(&Env::with_vfs(self.vfs.clone()), Path::new(DIR)).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let read_only = StoreOptions {
            read_only: true,
            ..self.options.clone()
        };
        let env = || Env::with_vfs(self.vfs.clone());
        let reader = Store::open(env(), Path::new(DIR), read_only).unwrap();
        let seen = reader.published_lsn();
        drop(reader);
        self.store = Store::open(env(), Path::new(DIR), self.options.clone()).unwrap();
        let last = self.store.published_lsn();
        assert_eq!(seen, last);
        assert!(
            last >= durable,
            "{last} of {durable} durable commits are left"
        );
        assert_eq!(self.store.durable_lsn(), last);
        self.history.retain(|lsn, _| *lsn <= last);
        assert_eq!(self.history.keys().next_back(), Some(&last));
        let listed: Vec<KeyspaceId> = self
            .store
            .keyspaces()
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(listed, self.state().keys().copied().collect::<Vec<_>>());
    }

    /// Commits that are refused change nothing.
    fn refused(&self) {
        let state = self.state();
        let unknown = KeyspaceId(1_000_000);
        let mut batch = Batch::new();
        let fresh = self.store.allocate_keyspace_id();
        batch.create_keyspace(fresh, KeyspaceOptions::default());
        batch.put(fresh, *b"a", *b"b");
        batch.put(unknown, *b"a", *b"b");
        let refused = self.store.commit(&batch, Durability::Sync);
        assert!(matches!(refused, Err(Error::UnknownKeyspace(id)) if id == unknown));
        assert!(!self.store.contains_keyspace(fresh));
        if let Some(id) = state.keys().next() {
            let mut batch = Batch::new();
            batch.create_keyspace(*id, KeyspaceOptions::default());
            let refused = self.store.commit(&batch, Durability::Sync);
            assert!(matches!(refused, Err(Error::KeyspaceExists(_))));
            let mut batch = Batch::new();
            batch.put(*id, vec![0; 1 << 16], Vec::new());
            let refused = self.store.commit(&batch, Durability::Sync);
            assert!(matches!(refused, Err(Error::TooLarge { what: "key", .. })));
        }
        assert_eq!(
            self.store.published_lsn(),
            *self.history.keys().next_back().unwrap()
        );
    }

    fn check_all(&self) {
        let now = (self.store.snapshot(), self.state());
        for (snapshot, state) in self.snapshots.iter().chain([&now]) {
            for (id, contents) in state {
                scan(snapshot, *id, contents, (0, 0), None, false);
                for number in 0..300 {
                    let key = key(number);
                    assert_eq!(
                        snapshot.get(*id, &key).unwrap().as_ref(),
                        contents.get(&key)
                    );
                }
            }
        }
        assert!(self.store.watermark() <= now.0.lsn());
        let report = self.store.verify().unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

/// Compares a scan with the model. An empty range of numbers means all keys.
fn scan(
    snapshot: &Snapshot,
    id: KeyspaceId,
    contents: &Contents,
    (from, to): (u16, u16),
    seek: Option<u16>,
    backward: bool,
) {
    let range = match from % 300 < to % 300 {
        true => KeyRange {
            start: Bound::Included(key(from)),
            end: Bound::Excluded(key(to)),
        },
        false => KeyRange::all(),
    };
    let direction = if backward {
        Direction::Backward
    } else {
        Direction::Forward
    };
    let mut expected: Vec<_> = contents
        .range((range.start.clone(), range.end.clone()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if backward {
        expected.reverse();
    }
    let mut cursor = snapshot.scan(id, range, direction).unwrap();
    if let Some(number) = seek {
        let sought = key(number);
        cursor.next().unwrap();
        cursor.seek(&sought).unwrap();
        expected.retain(|(key, _)| {
            if backward {
                *key <= sought
            } else {
                *key >= sought
            }
        });
    }
    let mut found = Vec::new();
    // Steps and visits take turns, and each goes on where the other has ended.
    while let Some((key, value)) = cursor.next().unwrap() {
        found.push((key.to_vec(), value.to_vec()));
        let until = found.len() + usize::from(to % 7);
        if found.len() < until {
            let end = cursor.visit(|key, value| {
                found.push((key.to_vec(), value.to_vec()));
                match found.len() < until {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            });
            assert_eq!(end.unwrap().is_break(), found.len() == until);
        }
    }
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
}

fn behaves_like_the_model(seed: u64, actions: Vec<Action>, is_memory: bool) -> bool {
    let mut run = Run::start(seed, is_memory);
    run.run(Action::Create);
    for action in actions {
        run.run(action);
    }
    run.check_all();
    run.run(Action::Kill);
    run.check_all();
    true
}

fn property(seed: u64, actions: Vec<Action>) -> bool {
    behaves_like_the_model(seed, actions, false)
}

fn property_in_memory(seed: u64, actions: Vec<Action>) -> bool {
    behaves_like_the_model(seed, actions, true)
}

/// Runs per property: more where the environment asks for it.
fn runs() -> u64 {
    std::env::var("RUSTLING_MODEL_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(60)
}

#[test]
fn a_store_behaves_like_a_map() {
    QuickCheck::new()
        .tests(runs())
        .quickcheck(property as fn(u64, Vec<Action>) -> bool);
}

#[test]
fn a_store_in_memory_behaves_like_a_map() {
    QuickCheck::new()
        .tests(runs() / 3)
        .quickcheck(property_in_memory as fn(u64, Vec<Action>) -> bool);
}
