//! A disk that forgets what was not synced, for crash tests of the page store alone.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::vfs::{OpenMode, Vfs, VfsFile, VfsLock};

/// Bytes that reach the disk whole or not at all.
const SECTOR: usize = 512;

/// What a crash makes of the writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// None has arrived.
    Drop,
    /// All have arrived.
    Keep,
    /// Some have.
    Subset,
    /// Some have, in any order.
    Reorder,
    /// Some sectors of some have, in any order.
    Tear,
}

pub(super) const FATES: [Fate; 5] = [
    Fate::Drop,
    Fate::Keep,
    Fate::Subset,
    Fate::Reorder,
    Fate::Tear,
];

#[derive(Clone, Debug)]
enum Pending {
    Write(usize, Vec<u8>),
    Len(usize),
}

#[derive(Clone, Debug, Default)]
struct Contents {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<Contents>,
    durable_names: BTreeMap<PathBuf, usize>,
    names: BTreeMap<PathBuf, usize>,
    operations: u64,
    /// The operation with which the power goes.
    crash_at: Option<u64>,
    /// Whether the next sync fails.
    fail_sync: bool,
}

/// The disk; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct CrashDisk {
    state: Arc<Mutex<State>>,
    after_sync: Arc<AfterSync>,
}

/// In how many syncs from now something is to happen, and what.
type Planned = (u32, Box<dyn FnOnce() + Send>);

/// What is to happen right after a sync.
#[derive(Default)]
struct AfterSync(Mutex<Option<Planned>>);

impl fmt::Debug for AfterSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AfterSync")
    }
}

impl AfterSync {
    /// A sync has ended.
    fn run(&self) {
        let due = {
            let mut planned = self.0.lock();
            match planned.as_mut() {
                Some((left, _)) if *left > 1 => {
                    *left -= 1;
                    None
                }
                _ => planned.take(),
            }
        };
        if let Some((_, what)) = due {
            what();
        }
    }
}

fn apply(bytes: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Write(at, data) => {
            if bytes.len() < at + data.len() {
                bytes.resize(at + data.len(), 0);
            }
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
        Pending::Len(len) => bytes.resize(*len, 0),
    }
}

impl State {
    /// Counts an operation that changes something; an error from the crash on.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        self.alive()
    }

    fn alive(&self) -> io::Result<()> {
        match self.crash_at {
            Some(at) if self.operations >= at => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }
}

impl CrashDisk {
    /// Lets the power go with that operation, counted from now.
    pub(super) fn crash_at(&self, operation: u64) {
        let mut state = self.state.lock();
        state.crash_at = Some(state.operations + operation);
    }

    /// Operations so far.
    pub(super) fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// Has something happen right after the sync that is the `count`th from now.
    pub(super) fn after_syncs(&self, count: u32, what: impl FnOnce() + Send + 'static) {
        *self.after_sync.0.lock() = Some((count, Box::new(what)));
    }

    /// Makes the next sync fail, with what was to be synced lost.
    pub(super) fn fail_next_sync(&self) {
        self.state.lock().fail_sync = true;
    }

    /// Flips a bit of a file.
    pub(super) fn flip(&self, path: &Path, bit: usize) {
        let mut state = self.state.lock();
        let file = state.names[path];
        state.files[file].current[bit / 8] ^= 1 << (bit % 8);
    }

    /// Cuts a file.
    pub(super) fn truncate(&self, path: &Path, len: usize) {
        let mut state = self.state.lock();
        let file = state.names[path];
        state.files[file].current.truncate(len);
    }

    /// What a file holds.
    pub(super) fn bytes(&self, path: &Path) -> Vec<u8> {
        let state = self.state.lock();
        state.files[state.names[path]].current.clone()
    }

    /// Replaces what a file holds.
    pub(super) fn set_bytes(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state.lock();
        let file = state.names[path];
        state.files[file].current = bytes.to_vec();
    }

    /// The same disk with its power back on, and nothing lost: what a new process sees where
    /// only the old one has died.
    pub(super) fn reboot_process(&self) -> CrashDisk {
        let mut state = self.state.lock().clone();
        state.crash_at = None;
        CrashDisk {
            state: Arc::new(Mutex::new(state)),
            ..CrashDisk::default()
        }
    }

    /// The disk as it may be after the power came back.
    pub(super) fn after_crash(&self, fate: Fate, seed: u64) -> CrashDisk {
        let state = self.state.lock();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut after = State::default();
        for file in &state.files {
            let mut writes: Vec<Pending> = file.pending.clone();
            match fate {
                Fate::Drop => writes.clear(),
                Fate::Keep => {}
                Fate::Subset => writes.retain(|_| random.bool()),
                Fate::Reorder => {
                    writes.retain(|_| random.bool());
                    random.shuffle(&mut writes);
                }
                Fate::Tear => {
                    writes = writes.into_iter().flat_map(sectors).collect();
                    writes.retain(|_| random.bool());
                    random.shuffle(&mut writes);
                }
            }
            let mut bytes = file.durable.clone();
            for write in &writes {
                apply(&mut bytes, write);
            }
            let contents = Contents {
                durable: bytes.clone(),
                current: bytes,
                pending: Vec::new(),
            };
            after.files.push(contents);
        }
        let keep = match fate {
            Fate::Drop => false,
            Fate::Keep => true,
            _ => random.bool(),
        };
        let names = if keep {
            &state.names
        } else {
            &state.durable_names
        };
        (after.names, after.durable_names) = (names.clone(), names.clone());
        CrashDisk {
            state: Arc::new(Mutex::new(after)),
            ..CrashDisk::default()
        }
    }
}

fn sectors(write: Pending) -> Vec<Pending> {
    match write {
        Pending::Write(at, data) => {
            assert!(at.is_multiple_of(SECTOR), "writes are aligned to sectors");
            let parts = data.chunks(SECTOR).enumerate();
            parts
                .map(|(i, part)| Pending::Write(at + i * SECTOR, part.to_vec()))
                .collect()
        }
        len @ Pending::Len(_) => vec![len],
    }
}

#[derive(Debug)]
struct CrashFile {
    state: Arc<Mutex<State>>,
    after_sync: Arc<AfterSync>,
    file: usize,
}

impl CrashFile {
    fn change(&self, pending: Pending) -> io::Result<()> {
        let mut state = self.state.lock();
        state.alive()?;
        let file = &mut state.files[self.file];
        apply(&mut file.current, &pending);
        file.pending.push(pending);
        state.step()
    }

    fn sync(&self, with_len: bool) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step()?;
        let fail = std::mem::take(&mut state.fail_sync);
        let file = &mut state.files[self.file];
        if fail {
            // As Linux does it: the pages are clean now, and never written.
            file.pending.clear();
            return Err(io::Error::other("sync failed"));
        }
        if with_len {
            file.durable.clone_from(&file.current);
            file.pending.clear();
        } else {
            let len = file.durable.len();
            file.durable.copy_from_slice(&file.current[..len]);
            file.pending.retain(|pending| match pending {
                Pending::Write(at, data) => at + data.len() > len,
                Pending::Len(_) => true,
            });
        }
        Ok(())
    }
}

impl VfsFile for CrashFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state.lock();
        state.alive()?;
        let bytes = &state.files[self.file].current;
        let from = bytes.get(offset as usize..).unwrap_or_default();
        let n = from.len().min(buf.len());
        buf[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.change(Pending::Write(offset as usize, buf.to_vec()))?;
        Ok(buf.len())
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.state.lock();
        state.alive()?;
        Ok(state.files[self.file].current.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Pending::Len(len as usize))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.len()? < len {
            self.set_len(len)
        } else {
            Ok(())
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(false)?;
        self.after_sync.run();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(true)?;
        self.after_sync.run();
        Ok(())
    }
}

#[derive(Debug)]
struct NoLock;

impl VfsLock for NoLock {}

impl Vfs for CrashDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let mut state = self.state.lock();
        state.alive()?;
        let file = match (state.names.get(path).copied(), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), _) => file,
            (None, OpenMode::CreateNew) => {
                let file = state.files.len();
                state.files.push(Contents::default());
                state.names.insert(path.into(), file);
                state.step()?;
                file
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(CrashFile {
            state: Arc::clone(&self.state),
            after_sync: Arc::clone(&self.after_sync),
            file,
        }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state.lock().names.contains_key(path))
    }

    fn read_dir(&self, _path: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.alive()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), file);
        state.step()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.alive()?;
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.step()
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.step()?;
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn lock(&self, _path: &Path, _exclusive: bool) -> io::Result<Box<dyn VfsLock>> {
        Ok(Box::new(NoLock))
    }
}
