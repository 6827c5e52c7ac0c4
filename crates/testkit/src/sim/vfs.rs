//! [`SimVfs`]: the simulated disk as a [`Vfs`].

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use rustling_storage::{OpenMode, Vfs, VfsFile, VfsLock};

use super::{
    crash::Crash,
    disk::{Disk, Effect, Node, NodeId, components},
    env::SimClock,
    fault::{Fault, FaultCounts, FaultPlan, OperationKind},
    handle::{SimFile, SimLock},
    image::DiskImage,
    recording::Recording,
    state::{EINTR, EIO, ENOSPC, Held, Inner, os},
};

/// Simulated time that one operation takes, and one sync.
const OPERATION_TIME: Duration = Duration::from_micros(10);
const SYNC_TIME: Duration = Duration::from_millis(1);

/// A simulated disk. Clones share it.
///
/// Every operation has an index, counted from zero; a failed one counts too. The index is what
/// faults are scheduled by and crashes are told apart by.
#[derive(Clone, Debug)]
pub struct SimVfs {
    pub(super) inner: Arc<Mutex<Inner>>,
    clock: Arc<SimClock>,
    pub(super) process: u64,
}

impl SimVfs {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> SimVfs {
        SimVfs::from_disk(Disk::new(), seed)
    }

    /// A disk in the state of an image.
    #[must_use]
    pub fn from_image(image: &DiskImage, seed: u64) -> SimVfs {
        SimVfs::from_disk(image.disk.clone(), seed)
    }

    fn from_disk(disk: Disk, seed: u64) -> SimVfs {
        let inner = Inner {
            disk,
            operations: 0,
            trace: 0,
            recording: None,
            faults: FaultPlan::new(seed),
            counts: FaultCounts::default(),
            capacity: None,
            process: 0,
            killed: false,
            locks: BTreeMap::new(),
            handles: BTreeMap::new(),
        };
        SimVfs {
            inner: Arc::new(Mutex::new(inner)),
            clock: Arc::default(),
            process: 0,
        }
    }

    /// The clock that the operations move.
    #[must_use]
    pub fn clock(&self) -> &Arc<SimClock> {
        &self.clock
    }

    /// The state now.
    #[must_use]
    pub fn image(&self) -> DiskImage {
        DiskImage {
            disk: self.inner.lock().disk.clone(),
        }
    }

    /// What a crash at this moment leaves. The disk itself goes on.
    #[must_use]
    pub fn crash(&self, crash: &Crash) -> DiskImage {
        self.image().crash(crash)
    }

    /// The number of operations so far, which is the index of the next.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.inner.lock().operations
    }

    /// A hash over all operations so far, their arguments and results. Two runs of the same
    /// seed that differ in it are not deterministic.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.inner.lock().trace
    }

    /// Replaces the plan of faults.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.inner.lock().faults = plan;
    }

    /// How often each fault struck.
    #[must_use]
    pub fn fault_counts(&self) -> FaultCounts {
        self.inner.lock().counts.clone()
    }

    /// Limits the disk to this many bytes, in blocks of 4 KiB; beyond, there is no space left.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.inner.lock().capacity = bytes;
    }

    /// Bytes of space in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.inner.lock().disk.used()
    }

    /// Begins a recording; one that runs is dropped.
    pub fn start_recording(&self) {
        let mut inner = self.inner.lock();
        inner.recording = Some(Recording::new(&inner.disk, inner.operations));
    }

    /// Ends the recording and returns it.
    #[must_use]
    pub fn stop_recording(&self) -> Option<Recording> {
        let mut inner = self.inner.lock();
        let end = inner.operations;
        inner
            .recording
            .take()
            .map(|recording| recording.finish(end))
    }

    /// Ends the process that uses the disk: all handles and locks, of this and its clones, are
    /// dead. The answer is the same disk, page cache included, for the next process.
    #[must_use]
    pub fn restart_process(&self) -> SimVfs {
        let mut inner = self.inner.lock();
        inner.process += 1;
        inner.killed = false;
        inner.locks.clear();
        inner.handles.clear();
        SimVfs {
            inner: self.inner.clone(),
            clock: self.clock.clone(),
            process: inner.process,
        }
    }

    /// Runs one operation: counts it, lets faults strike, and notes it in the trace.
    pub(super) fn operation<T>(
        &self,
        kind: OperationKind,
        path: &Path,
        arguments: (u64, u64),
        body: impl FnOnce(&mut Inner, u64, Option<Fault>) -> io::Result<T>,
        result_word: impl FnOnce(&T) -> u64,
    ) -> io::Result<T> {
        let mut inner = self.inner.lock();
        if inner.killed || inner.process != self.process {
            return Err(io::Error::other("the simulated process was killed"));
        }
        let index = inner.operations;
        inner.operations += 1;
        self.clock.advance(match kind {
            OperationKind::SyncData | OperationKind::SyncAll | OperationKind::SyncDirectory => {
                SYNC_TIME
            }
            _ => OPERATION_TIME,
        });
        let mut fault = inner.faults.strike(index, kind, path);
        if let Some(fault) = fault {
            inner.counts.count(fault);
        }
        match fault {
            Some(Fault::Kill) => {
                inner.killed = true;
                return Err(io::Error::other("the simulated process was killed"));
            }
            Some(Fault::Hang) => {
                let millis = inner.faults.rng().u64(100..60_000);
                self.clock.advance(Duration::from_millis(millis));
                fault = None;
            }
            Some(Fault::ClockJump) => {
                self.clock
                    .jump_wall_clock(inner.faults.rng().i64(-86_400_000_000..86_400_000_000));
                fault = None;
            }
            _ => {}
        }
        let result = match fault {
            Some(Fault::NoSpace) => Err(os(ENOSPC)),
            Some(
                Fault::ReadError | Fault::WriteError | Fault::SyncError | Fault::DirectorySyncError,
            ) => Err(os(EIO)),
            Some(Fault::Interrupted) => Err(os(EINTR)),
            Some(Fault::MetadataError)
                if !matches!(kind, OperationKind::Rename | OperationKind::Remove) =>
            {
                Err(os(EIO))
            }
            other => body(&mut inner, index, other),
        };
        let mut hasher = foldhash::fast::FixedState::with_seed(inner.trace).build_hasher();
        hasher.write_u8(kind as u8);
        hasher.write(path.as_os_str().as_encoded_bytes());
        hasher.write_u64(arguments.0);
        hasher.write_u64(arguments.1);
        match &result {
            Ok(value) => hasher.write_u64(result_word(value)),
            Err(error) => hasher.write_i32(error.raw_os_error().unwrap_or(-1)),
        }
        inner.trace = hasher.finish();
        result
    }
}

impl Vfs for SimVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let kind = if mode == OpenMode::CreateNew {
            OperationKind::Create
        } else {
            OperationKind::Open
        };
        let node = self.operation(
            kind,
            path,
            (mode as u64, 0),
            |inner, index, _| {
                let node = if mode == OpenMode::CreateNew {
                    let (directory, name) = inner.disk.resolve_parent(path)?;
                    if inner.disk.directory(directory)?.live.contains_key(&name) {
                        return Err(io::ErrorKind::AlreadyExists.into());
                    }
                    inner.check_space(4096)?;
                    inner.create(index, directory, name, false)
                } else {
                    inner.disk.resolve(path)?
                };
                inner.disk.file(node)?;
                *inner.handles.entry(node).or_default() += 1;
                Ok(node)
            },
            |node| node.0,
        )?;
        Ok(Arc::new(SimFile {
            vfs: self.clone(),
            node,
            path: path.to_owned(),
            writable: mode != OpenMode::ReadOnly,
        }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.operation(
            OperationKind::Exists,
            path,
            (0, 0),
            |inner, _, _| match inner.disk.resolve(path) {
                Ok(_) => Ok(true),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    Ok(false)
                }
                Err(error) => Err(error),
            },
            |exists| u64::from(*exists),
        )
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.operation(
            OperationKind::ReadDirectory,
            path,
            (0, 0),
            |inner, _, _| {
                let directory = inner.disk.directory(inner.disk.resolve(path)?)?;
                Ok(directory.live.keys().map(PathBuf::from).collect::<Vec<_>>())
            },
            |names| names.len() as u64,
        )
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.operation(
            OperationKind::CreateDirectory,
            path,
            (0, 0),
            |inner, index, _| {
                let mut at = super::disk::ROOT;
                for name in components(path)? {
                    at = match inner.disk.directory(at)?.live.get(name) {
                        Some(node) => *node,
                        None => {
                            inner.check_space(4096)?;
                            inner.create(index, at, name.to_owned(), true)
                        }
                    };
                }
                inner.disk.directory(at).map(|_| ())
            },
            |()| 0,
        )
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operation(
            OperationKind::Rename,
            to,
            (0, 0),
            |inner, index, fault| {
                let (from_directory, from_name) = inner.disk.resolve_parent(from)?;
                let (to_directory, to_name) = inner.disk.resolve_parent(to)?;
                let node = *inner
                    .disk
                    .directory(from_directory)?
                    .live
                    .get(&from_name)
                    .ok_or(io::ErrorKind::NotFound)?;
                let replaced = inner
                    .disk
                    .directory(to_directory)?
                    .live
                    .get(&to_name)
                    .copied();
                if replaced == Some(node) {
                    return Ok(());
                }
                let is_directory =
                    |id: &NodeId| matches!(inner.disk.nodes.get(id), Some(Node::Directory(_)));
                if replaced.as_ref().is_some_and(is_directory) {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                if fault == Some(Fault::MetadataError) && inner.faults.rng().bool() {
                    return Err(os(EIO));
                }
                let effect = Effect::Rename {
                    from: (from_directory, from_name),
                    to: (to_directory, to_name),
                    node,
                };
                inner.effect(index, effect);
                if fault == Some(Fault::RenameLoss) {
                    inner.effect(
                        index,
                        Effect::LoseNewestName {
                            directory: to_directory,
                        },
                    );
                    if from_directory != to_directory {
                        inner.effect(
                            index,
                            Effect::LoseNewestName {
                                directory: from_directory,
                            },
                        );
                    }
                }
                if fault == Some(Fault::MetadataError) {
                    Err(os(EIO))
                } else {
                    Ok(())
                }
            },
            |()| 0,
        )
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.operation(
            OperationKind::Remove,
            path,
            (0, 0),
            |inner, index, fault| {
                let (directory, name) = inner.disk.resolve_parent(path)?;
                let node = *inner
                    .disk
                    .directory(directory)?
                    .live
                    .get(&name)
                    .ok_or(io::ErrorKind::NotFound)?;
                inner.disk.file(node)?;
                if fault == Some(Fault::MetadataError) && inner.faults.rng().bool() {
                    return Err(os(EIO));
                }
                inner.effect(index, Effect::Unlink { directory, name });
                if fault == Some(Fault::UnlinkLoss) {
                    inner.effect(index, Effect::LoseNewestName { directory });
                }
                if fault == Some(Fault::MetadataError) {
                    Err(os(EIO))
                } else {
                    Ok(())
                }
            },
            |()| 0,
        )
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.operation(
            OperationKind::SyncDirectory,
            path,
            (0, 0),
            |inner, index, _| {
                let directory = inner.disk.resolve(path)?;
                let before: Vec<NodeId> = inner
                    .disk
                    .directory(directory)?
                    .durable
                    .values()
                    .copied()
                    .collect();
                let created: Vec<NodeId> = inner.disk.nodes.keys().copied().collect();
                inner.effect(index, Effect::SyncDirectory { directory });
                for node in before.into_iter().chain(created) {
                    if node != super::disk::ROOT {
                        inner.collect(index, node);
                    }
                }
                Ok(())
            },
            |()| 0,
        )
    }

    fn lock(&self, path: &Path, exclusive: bool) -> io::Result<Box<dyn VfsLock>> {
        let node = self.operation(
            OperationKind::Lock,
            path,
            (u64::from(exclusive), 0),
            |inner, index, _| {
                let (directory, name) = inner.disk.resolve_parent(path)?;
                let node = match inner.disk.directory(directory)?.live.get(&name) {
                    Some(node) => *node,
                    None => inner.create(index, directory, name, false),
                };
                inner.disk.file(node)?;
                let held = match (inner.locks.get(&node), exclusive) {
                    (None, true) => Held::Exclusive,
                    (None, false) => Held::Shared(1),
                    (Some(Held::Shared(count)), false) => Held::Shared(count + 1),
                    _ => return Err(io::ErrorKind::WouldBlock.into()),
                };
                inner.locks.insert(node, held);
                *inner.handles.entry(node).or_default() += 1;
                Ok(node)
            },
            |node| node.0,
        )?;
        Ok(Box::new(SimLock {
            vfs: self.clone(),
            node,
        }))
    }
}
