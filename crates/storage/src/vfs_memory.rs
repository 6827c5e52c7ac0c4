//! [`Vfs`] in memory: what an in-memory store evicts pages to, and the disk of quick tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    sync::{Mutex, RwLock},
    vfs::{OpenMode, Vfs, VfsFile, VfsLock},
};

/// Files are kept in blocks of this size; a block that was never written takes no memory.
const BLOCK: usize = 16 << 10;

/// A file system that lives and dies with the process. Clones share it.
///
/// There is no crash here, so syncing has nothing to do: the simulated disk of
/// `rustling-testkit` is the one that forgets what was not synced.
#[derive(Clone, Debug, Default)]
pub struct MemoryVfs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tree: Mutex<Tree>,
    space: Arc<Space>,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            tree: Mutex::default(),
            space: Arc::new(Space::new(u64::MAX)),
        }
    }
}

#[derive(Debug, Default)]
struct Tree {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Arc<Contents>>,
    /// Holders per locked file: `None` for an exclusive one, else the number of shared ones.
    locks: BTreeMap<PathBuf, Option<usize>>,
}

/// Bytes left on the "disk".
#[derive(Debug)]
struct Space {
    limit: AtomicU64,
    used: AtomicU64,
}

impl Space {
    fn new(limit: u64) -> Space {
        Space {
            limit: AtomicU64::new(limit),
            used: AtomicU64::new(0),
        }
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let limit = self.limit.load(Ordering::Relaxed);
        self.used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|total| *total <= limit)
            })
            .map(|_| ())
            .map_err(|_| io::ErrorKind::StorageFull.into())
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Contents {
    space: Arc<Space>,
    blocks: RwLock<Blocks>,
}

#[derive(Clone, Debug, Default)]
struct Blocks {
    len: u64,
    /// Bytes reserved by [`VfsFile::allocate`]: blocks below it have been paid for.
    reserved: usize,
    blocks: Vec<Option<Box<[u8]>>>,
}

impl Blocks {
    /// Blocks that count against the space of the disk.
    fn charged(&self) -> u64 {
        let beyond = self
            .blocks
            .iter()
            .skip(self.reserved)
            .filter(|block| block.is_some())
            .count();
        (self.reserved + beyond) as u64
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.space
            .give_back(self.blocks.get_mut().charged() * BLOCK as u64);
    }
}

impl MemoryVfs {
    /// An empty file system.
    #[must_use]
    pub fn new() -> MemoryVfs {
        MemoryVfs::default()
    }

    /// An empty file system that answers `StorageFull` beyond `bytes`.
    #[must_use]
    pub fn with_limit(bytes: u64) -> MemoryVfs {
        let vfs = MemoryVfs::default();
        vfs.set_limit(bytes);
        vfs
    }

    /// Changes the limit; what is stored stays.
    pub fn set_limit(&self, bytes: u64) {
        self.shared.space.limit.store(bytes, Ordering::Relaxed);
    }

    /// Bytes that files take up, in whole blocks.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.shared.space.used.load(Ordering::Relaxed)
    }

    /// A copy of all files as they are now, without locks: what the disk would hold if the
    /// process were killed at this moment.
    ///
    /// Each file is copied at a moment of its own, so a copy that is taken while others write
    /// may hold a later write and miss an earlier one to another file.
    #[must_use]
    pub fn fork(&self) -> MemoryVfs {
        let copy = MemoryVfs::with_limit(self.shared.space.limit.load(Ordering::Relaxed));
        let tree = self.shared.tree.lock();
        let mut into = copy.shared.tree.lock();
        into.directories.clone_from(&tree.directories);
        for (path, contents) in &tree.files {
            let blocks = contents.blocks.read().clone();
            copy.shared
                .space
                .used
                .fetch_add(blocks.charged() * BLOCK as u64, Ordering::Relaxed);
            let space = Arc::clone(&copy.shared.space);
            into.files.insert(
                path.clone(),
                Arc::new(Contents {
                    space,
                    blocks: RwLock::new(blocks),
                }),
            );
        }
        drop(into);
        copy
    }
}

/// `path` without `.` and `..`, so that a file has one name.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

impl Tree {
    fn is_dir(&self, path: &Path) -> bool {
        path.as_os_str().is_empty() || path == Path::new("/") || self.directories.contains(path)
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if !self.is_dir(parent) => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        }
    }
}

impl Vfs for MemoryVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        let path = normal(path);
        let mut tree = self.shared.tree.lock();
        if tree.is_dir(&path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let writable = mode != OpenMode::ReadOnly;
        let contents = match (tree.files.get(&path), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(contents), _) => Arc::clone(contents),
            (None, OpenMode::CreateNew) => {
                tree.check_parent(&path)?;
                let space = Arc::clone(&self.shared.space);
                let contents = Arc::new(Contents {
                    space,
                    blocks: RwLock::default(),
                });
                tree.files.insert(path, Arc::clone(&contents));
                contents
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(MemoryFile { contents, writable }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let path = normal(path);
        let tree = self.shared.tree.lock();
        Ok(tree.is_dir(&path) || tree.files.contains_key(&path))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let path = normal(path);
        let tree = self.shared.tree.lock();
        if !tree.is_dir(&path) {
            let file = tree.files.contains_key(&path);
            let kind = if file {
                io::ErrorKind::NotADirectory
            } else {
                io::ErrorKind::NotFound
            };
            return Err(kind.into());
        }
        let children: BTreeSet<&OsStr> = tree
            .files
            .keys()
            .chain(&tree.directories)
            .filter(|child| child.parent() == Some(&path))
            .filter_map(|child| child.file_name())
            .collect();
        Ok(children.into_iter().map(PathBuf::from).collect())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.shared.tree.lock();
        let path = normal(path);
        for directory in path.ancestors() {
            if tree.files.contains_key(directory) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        for directory in path.ancestors() {
            tree.directories.insert(directory.to_path_buf());
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        let mut tree = self.shared.tree.lock();
        tree.check_parent(&to)?;
        if tree.is_dir(&to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let contents = tree.files.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        tree.files.insert(to, contents);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let removed = self.shared.tree.lock().files.remove(&normal(path));
        removed
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match self.shared.tree.lock().is_dir(&normal(path)) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn lock(&self, path: &Path, exclusive: bool) -> io::Result<Box<dyn VfsLock>> {
        let path = normal(path);
        let mut tree = self.shared.tree.lock();
        tree.check_parent(&path)?;
        match (tree.locks.get_mut(&path), exclusive) {
            (Some(Some(holders)), false) => *holders += 1,
            (Some(_), _) => return Err(io::ErrorKind::WouldBlock.into()),
            (None, true) => {
                tree.locks.insert(path.clone(), None);
            }
            (None, false) => {
                tree.locks.insert(path.clone(), Some(1));
            }
        }
        // The lock is a file of the directory like any other.
        let space = Arc::clone(&self.shared.space);
        let empty = || {
            Arc::new(Contents {
                space,
                blocks: RwLock::default(),
            })
        };
        tree.files.entry(path.clone()).or_insert_with(empty);
        drop(tree);
        Ok(Box::new(MemoryLock {
            shared: Arc::clone(&self.shared),
            path,
        }))
    }
}

#[derive(Debug)]
struct MemoryLock {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl VfsLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut tree = self.shared.tree.lock();
        match tree.locks.get_mut(&self.path) {
            Some(Some(holders)) if *holders > 1 => *holders -= 1,
            _ => {
                tree.locks.remove(&self.path);
            }
        }
    }
}

#[derive(Debug)]
struct MemoryFile {
    contents: Arc<Contents>,
    writable: bool,
}

impl MemoryFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.writable {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

/// The block that holds `offset` and the position in it.
fn locate(offset: u64) -> io::Result<(usize, usize)> {
    let block = usize::try_from(offset / BLOCK as u64).map_err(|_| io::ErrorKind::FileTooLarge)?;
    Ok((block, (offset % BLOCK as u64) as usize))
}

impl VfsFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let contents = self.contents.blocks.read();
        let wanted = contents.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut done = 0;
        while done < wanted {
            let (block, at) = locate(offset + done as u64)?;
            let step = (BLOCK - at).min(wanted - done);
            let out = &mut buf[done..done + step];
            match contents.blocks.get(block) {
                Some(Some(bytes)) => out.copy_from_slice(&bytes[at..at + step]),
                _ => out.fill(0),
            }
            done += step;
        }
        Ok(done)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        let end = offset
            .checked_add(buf.len() as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut contents = self.contents.blocks.write();
        let mut done = 0;
        while done < buf.len() {
            let (block, at) = locate(offset + done as u64)?;
            let step = (BLOCK - at).min(buf.len() - done);
            let bytes = &buf[done..done + step];
            if contents.blocks.len() <= block {
                contents.blocks.resize(block + 1, None);
            }
            let paid = block < contents.reserved;
            match &mut contents.blocks[block] {
                Some(there) => there[at..at + step].copy_from_slice(bytes),
                None if bytes.iter().all(|byte| *byte == 0) => {}
                empty => {
                    if !paid && let Err(full) = self.contents.space.take(BLOCK as u64) {
                        if done == 0 {
                            return Err(full);
                        }
                        break;
                    }
                    let mut fresh = vec![0; BLOCK].into_boxed_slice();
                    fresh[at..at + step].copy_from_slice(bytes);
                    *empty = Some(fresh);
                }
            }
            done += step;
        }
        contents.len = contents.len.max(if done == buf.len() {
            end
        } else {
            offset + done as u64
        });
        Ok(done)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.blocks.read().len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut contents = self.contents.blocks.write();
        if len < contents.len {
            let before = contents.charged();
            let (block, at) = locate(len)?;
            let keep = block + usize::from(at > 0);
            contents.blocks.truncate(keep);
            contents.reserved = contents.reserved.min(keep);
            if at > 0
                && let Some(Some(last)) = contents.blocks.get_mut(block)
            {
                last[at..].fill(0);
            }
            self.contents
                .space
                .give_back((before - contents.charged()) * BLOCK as u64);
        }
        contents.len = len;
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut contents = self.contents.blocks.write();
        let (block, at) = locate(len)?;
        let wanted = block + usize::from(at > 0);
        if wanted > contents.reserved {
            let before = contents.charged();
            let held = contents.reserved;
            contents.reserved = wanted;
            if let Err(full) = self
                .contents
                .space
                .take((contents.charged() - before) * BLOCK as u64)
            {
                contents.reserved = held;
                return Err(full);
            }
        }
        contents.len = contents.len.max(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_kept_and_space_returns() {
        let vfs = MemoryVfs::with_limit(4 * BLOCK as u64);
        let file = vfs.open(Path::new("a"), OpenMode::CreateNew).unwrap();
        file.allocate(3 * BLOCK as u64).unwrap();
        assert_eq!(
            file.allocate(5 * BLOCK as u64).unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        file.write_all_at(&vec![1; 3 * BLOCK], 0).unwrap();
        assert_eq!(vfs.used(), 3 * BLOCK as u64);
        file.write_all_at(&[1], 3 * BLOCK as u64).unwrap();
        let full = file.write_all_at(&[1], 4 * BLOCK as u64).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        file.set_len(BLOCK as u64).unwrap();
        assert_eq!(vfs.used(), BLOCK as u64);
        drop(file);
        let copy = vfs.fork();
        vfs.remove_file(Path::new("a")).unwrap();
        assert_eq!(vfs.used(), 0);
        assert_eq!(copy.used(), BLOCK as u64);
        assert_eq!(
            copy.open(Path::new("a"), OpenMode::ReadOnly)
                .unwrap()
                .len()
                .unwrap(),
            BLOCK as u64
        );
    }
}
