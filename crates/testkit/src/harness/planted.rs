//! Planted defects: a file system that skips what a careless program would forget. A harness
//! that does not notice them proves nothing.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use rustling_storage::{OpenMode, Vfs, VfsFile, VfsLock};

/// What is left out. Paths of files match where they contain the given text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Syncs of the file do nothing.
    SkipSync {
        /// Text in the file's path.
        path: String,
        /// Only syncs after which everything written since the last one lies in this range of
        /// the file, such as its header.
        within: Option<Range<u64>>,
        /// Only syncs after which something written since the last one lies outside of it.
        outside: Option<Range<u64>>,
        /// Only `sync_data`; `sync_all` works.
        data_only: bool,
    },
    /// Syncs of the directory do nothing.
    SkipSyncDirectory {
        /// The directory's path, or the last parts of it.
        path: String,
    },
    /// Every so many writes to the file, one does nothing.
    DropWrite {
        /// Text in the file's path.
        path: String,
        /// Every how many writes.
        every: u64,
    },
}

/// A file system with a [`Defect`].
#[derive(Debug)]
pub struct DefectiveVfs {
    inner: Arc<dyn Vfs>,
    defect: Arc<Defect>,
    /// How often the defect struck.
    struck: Arc<AtomicU64>,
}

impl DefectiveVfs {
    /// `inner` with a defect.
    #[must_use]
    pub fn new(inner: Arc<dyn Vfs>, defect: Defect) -> DefectiveVfs {
        DefectiveVfs {
            inner,
            defect: Arc::new(defect),
            struck: Arc::default(),
        }
    }

    /// How often the defect struck.
    #[must_use]
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }
}

fn matches(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

impl Vfs for DefectiveVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(DefectiveFile {
            inner: self.inner.open(path, mode)?,
            path: path.to_owned(),
            defect: self.defect.clone(),
            struck: self.struck.clone(),
            unsynced: Mutex::new(Vec::new()),
            writes: AtomicU64::new(0),
        }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.read_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        match &*self.defect {
            Defect::SkipSyncDirectory { path: part } if path.ends_with(part) => {
                self.struck.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            _ => self.inner.sync_dir(path),
        }
    }

    fn lock(&self, path: &Path, exclusive: bool) -> io::Result<Box<dyn VfsLock>> {
        self.inner.lock(path, exclusive)
    }
}

#[derive(Debug)]
struct DefectiveFile {
    inner: Arc<dyn VfsFile>,
    path: PathBuf,
    defect: Arc<Defect>,
    struck: Arc<AtomicU64>,
    unsynced: Mutex<Vec<Range<u64>>>,
    writes: AtomicU64,
}

impl DefectiveFile {
    fn skips_sync(&self, is_data: bool) -> bool {
        let written = std::mem::take(&mut *self.unsynced.lock());
        let Defect::SkipSync {
            path,
            within,
            outside,
            data_only,
        } = &*self.defect
        else {
            return false;
        };
        let lies_in = |range: &Range<u64>, part: &Range<u64>| {
            range.start <= part.start && part.end <= range.end
        };
        let skips = (is_data || !data_only)
            && matches(&self.path, path)
            && within.as_ref().is_none_or(|range| {
                !written.is_empty() && written.iter().all(|part| lies_in(range, part))
            })
            && outside
                .as_ref()
                .is_none_or(|range| written.iter().any(|part| !lies_in(range, part)));
        if skips {
            self.struck.fetch_add(1, Ordering::Relaxed);
        }
        skips
    }
}

impl VfsFile for DefectiveFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        if let Defect::DropWrite { path, every } = &*self.defect
            && matches(&self.path, path)
            && self.writes.fetch_add(1, Ordering::Relaxed) % every == every - 1
        {
            self.struck.fetch_add(1, Ordering::Relaxed);
            return Ok(buf.len());
        }
        let count = self.inner.write_at(buf, offset)?;
        self.unsynced.lock().push(offset..offset + count as u64);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.skips_sync(true) {
            Ok(())
        } else {
            self.inner.sync_data()
        }
    }

    fn sync_all(&self) -> io::Result<()> {
        if self.skips_sync(false) {
            Ok(())
        } else {
            self.inner.sync_all()
        }
    }
}
