//! Files of the operating system whose write-and-flush is one system call, by `io_uring`, on Linux.
//!
//! What a log waits for is a write and the flush after it. Here both go to the kernel together, as
//! requests of which the second is *linked* to the first: it begins when the first has ended well,
//! and is cancelled where the first fails or writes less than it was to. A single request gains
//! nothing by a ring, so everything else is the usual system call.
//!
//! Nothing counts as flushed unless the flush was linked to the write of the last byte and both
//! have succeeded, or the flush was a system call of its own after it.

mod ring;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rustix::io::Errno;

use self::ring::{LONGEST, Linked, Ring};
use crate::{
    vfs::{OpenMode, Vfs, VfsFile, VfsLock},
    vfs_os::{OsFile, OsVfs},
};

/// The ring that files share, until it fails: then they do without.
type SharedRing = Arc<Mutex<Option<Ring>>>;

/// The operating system's file system with a ring.
#[derive(Clone, Debug)]
pub(crate) struct UringVfs {
    os: OsVfs,
    ring: SharedRing,
}

impl UringVfs {
    /// The system's files, with a ring that has been tried.
    ///
    /// # Errors
    /// What the kernel answers where it refuses a ring: `Unsupported` (`ENOSYS`, or one that is too
    /// old), `PermissionDenied`, `OutOfMemory`, or that there are too many files.
    pub(crate) fn new(os: OsVfs) -> io::Result<UringVfs> {
        Ok(UringVfs {
            os,
            ring: Arc::new(Mutex::new(Some(Ring::new()?))),
        })
    }
}

impl Vfs for UringVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(UringFile {
            file: OsVfs::open_file(path, mode)?,
            ring: Arc::clone(&self.ring),
        }))
    }

    fn open_mapped(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        self.os.open_mapped(path)
    }

    fn open_beneath(
        &self,
        directory: &Path,
        relative: &Path,
        mode: OpenMode,
    ) -> io::Result<Arc<dyn VfsFile>> {
        self.os.open_beneath(directory, relative, mode)
    }

    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        self.os.open_direct(path, mode)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.os.exists(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.os.read_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.os.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.os.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.os.remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.os.sync_dir(path)
    }

    fn lock(&self, path: &Path, exclusive: bool) -> io::Result<Box<dyn VfsLock>> {
        self.os.lock(path, exclusive)
    }
}

/// A file whose write-and-flush goes by way of the ring.
#[derive(Debug)]
struct UringFile {
    file: OsFile,
    ring: SharedRing,
}

impl VfsFile for UringFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
    }

    fn will_need(&self, offset: u64, len: u64) {
        self.file.will_need(offset, len);
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
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn write_synced_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut chain = |bytes: &[u8], offset: u64| {
            let mut shared = self.ring.lock();
            let ring = shared.as_mut()?;
            let linked = ring.write_and_sync(self.file.handle(), bytes, offset);
            if ring.is_spoilt() {
                *shared = None;
            }
            linked.ok()
        };
        write_synced(&self.file, buf, offset, &mut chain)
    }
}

/// What is to be done after a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The bytes are written and durable.
    Durable,
    /// The bytes are written; the flush did not run.
    Written,
    /// So many of the bytes are written, and there was no flush that proves anything.
    Short(usize),
    /// Nothing is written, because the kernel had no room for requests.
    Refused,
}

/// What a chain that was to write `len` bytes comes to.
///
/// # Errors
/// Where the write failed, or the flush: what is durable is then unknown.
fn step(linked: Linked, len: usize) -> io::Result<Step> {
    const CANCELLED: i32 = -Errno::CANCELED.raw_os_error();
    const INTERRUPTED: i32 = -Errno::INTR.raw_os_error();
    const AGAIN: i32 = -Errno::AGAIN.raw_os_error();
    let failed = |answer: i32| Err(io::Error::from_raw_os_error(-answer));
    // A flush that has failed counts, whatever became of the write: it will not fail again.
    // One that was cancelled although all was written, whoever answered that, has failed as well.
    let is_whole = linked
        .written
        .is_some_and(|count| count >= 0 && count as usize >= len);
    let synced = match linked.synced {
        Some(CANCELLED) if is_whole => return failed(CANCELLED),
        None | Some(CANCELLED | INTERRUPTED) => false,
        Some(answer) if answer < 0 => return failed(answer),
        Some(_) => linked.chained,
    };
    match linked.written {
        None | Some(CANCELLED | AGAIN) => Ok(Step::Refused),
        Some(INTERRUPTED) => Ok(Step::Short(0)),
        Some(answer) if answer < 0 => failed(answer),
        Some(0) => Err(io::ErrorKind::WriteZero.into()),
        Some(count) if (count as usize) < len => Ok(Step::Short(count as usize)),
        Some(_) if synced => Ok(Step::Durable),
        Some(_) => Ok(Step::Written),
    }
}

/// Writes all of `buf` at `offset` of `file` and makes it durable, by way of `chain`, which answers
/// `None` where there is no ring or it takes nothing.
fn write_synced(
    file: &dyn VfsFile,
    mut buf: &[u8],
    mut offset: u64,
    chain: &mut dyn FnMut(&[u8], u64) -> Option<Linked>,
) -> io::Result<()> {
    while !buf.is_empty() {
        let len = buf.len().min(LONGEST);
        let step = match chain(&buf[..len], offset) {
            Some(linked) => step(linked, len)?,
            None => Step::Refused,
        };
        let count = match step {
            Step::Durable if len == buf.len() => return Ok(()),
            Step::Durable | Step::Written => len,
            Step::Short(count) => count,
            Step::Refused => {
                file.write_all_at(buf, offset)?;
                buf.len()
            }
        };
        buf = &buf[count..];
        offset += count as u64;
    }
    file.sync_data()
}

#[cfg(test)]
pub(crate) mod tests;
