//! What several of these tests do to begin with.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
};

use rustling_storage::{
    Batch, Durability, EngineKind, KeyspaceId, KeyspaceOptions, MemoryVfs, OpenMode, Store, Vfs,
    VfsFile, VfsLock,
};

/// Every engine.
pub(crate) const ENGINES: [EngineKind; 3] =
    [EngineKind::BTree, EngineKind::Lsm, EngineKind::Hybrid];

/// The options of an ordinary keyspace of that engine.
pub(crate) fn of(engine: EngineKind) -> KeyspaceOptions {
    KeyspaceOptions {
        engine,
        ..KeyspaceOptions::default()
    }
}

/// The options of a staging keyspace of that engine.
pub(crate) fn staged(engine: EngineKind) -> KeyspaceOptions {
    KeyspaceOptions {
        engine,
        staging: true,
    }
}

/// Creates a keyspace, durably.
pub(crate) fn create_keyspace(store: &Store, options: KeyspaceOptions) -> KeyspaceId {
    let id = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(id, options);
    store.commit(&batch, Durability::Sync).unwrap();
    id
}

/// Waits until `done`, yielding: for "the other thread is there by now".
pub(crate) fn until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

/// What [`HookedVfs`] holds up or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Open,
    Read,
    Write,
    Sync,
    SyncDirectory,
}

#[derive(Debug, Default)]
struct Orders {
    held: Option<(Operation, &'static str)>,
    waiting: usize,
    refused: Option<(Operation, &'static str, i32)>,
    counted: Option<(Operation, &'static str)>,
    count: usize,
}

/// Files in memory. Operations of a kind, on paths with a part, wait until the test lets them go
/// on, or fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct HookedVfs {
    files: MemoryVfs,
    orders: Arc<(Mutex<Orders>, Condvar)>,
}

impl HookedVfs {
    /// Holds operations up until [`HookedVfs::release`].
    pub(crate) fn hold(&self, operation: Operation, part: &'static str) {
        self.orders.0.lock().unwrap().held = Some((operation, part));
    }

    /// Waits until an operation is held up.
    pub(crate) fn until_held(&self) {
        until(|| self.is_held());
    }

    /// Whether an operation is held up.
    pub(crate) fn is_held(&self) -> bool {
        self.orders.0.lock().unwrap().waiting > 0
    }

    pub(crate) fn release(&self) {
        self.orders.0.lock().unwrap().held = None;
        self.orders.1.notify_all();
    }

    /// Has operations fail with that error of the system from now on, those too that are held up.
    pub(crate) fn refuse(&self, refused: Option<(Operation, &'static str, i32)>) {
        self.orders.0.lock().unwrap().refused = refused;
    }

    /// Counts operations from now on.
    pub(crate) fn count(&self, operation: Operation, part: &'static str) {
        let mut orders = self.orders.0.lock().unwrap();
        orders.counted = Some((operation, part));
        orders.count = 0;
    }

    /// How many there have been.
    pub(crate) fn counted(&self) -> usize {
        self.orders.0.lock().unwrap().count
    }

    fn meet(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let concerns = |wanted: Operation, part: &str| {
            wanted == operation && path.to_string_lossy().contains(part)
        };
        let (orders, released) = &*self.orders;
        let mut orders = orders.lock().unwrap();
        orders.waiting += 1;
        if orders
            .counted
            .is_some_and(|(counted, part)| concerns(counted, part))
        {
            orders.count += 1;
        }
        while orders.held.is_some_and(|(held, part)| concerns(held, part)) {
            orders = released.wait(orders).unwrap();
        }
        orders.waiting -= 1;
        match orders.refused {
            Some((refused, part, error)) if concerns(refused, part) => {
                Err(io::Error::from_raw_os_error(error))
            }
            _ => Ok(()),
        }
    }
}

impl Vfs for HookedVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let operation = match mode {
            OpenMode::CreateNew => Operation::Create,
            OpenMode::ReadOnly | OpenMode::ReadWrite => Operation::Open,
        };
        self.meet(operation, path)?;
        Ok(Arc::new(HookedFile {
            file: self.files.open(path, mode)?,
            path: path.to_path_buf(),
            vfs: self.clone(),
        }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.files.exists(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.read_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.files.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.meet(Operation::SyncDirectory, path)?;
        self.files.sync_dir(path)
    }

    fn lock(&self, path: &Path, exclusive: bool) -> io::Result<Box<dyn VfsLock>> {
        self.files.lock(path, exclusive)
    }
}

#[derive(Debug)]
struct HookedFile {
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    vfs: HookedVfs,
}

impl VfsFile for HookedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.vfs.meet(Operation::Read, &self.path)?;
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.vfs.meet(Operation::Write, &self.path)?;
        self.file.write_at(buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.vfs.meet(Operation::Sync, &self.path)?;
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.vfs.meet(Operation::Sync, &self.path)?;
        self.file.sync_all()
    }
}
