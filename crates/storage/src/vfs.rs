//! The one door to files: a narrow trait that the operating system, memory and the
//! simulated disk of `rustling-testkit` implement alike.
//!
//! Rules every implementation keeps:
//!
//! - Reads and writes are positional and may be short; [`VfsFile::read_exact_at`] and
//!   [`VfsFile::write_all_at`] loop over them.
//! - Written bytes are durable after [`VfsFile::sync_data`] returns, not before. A length
//!   change needs [`VfsFile::sync_all`].
//! - A created, renamed or removed name is durable after [`Vfs::sync_dir`] on its parent.
//! - A failed sync says nothing about what reached the disk. It is never retried.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How [`Vfs::open`] opens a file. Every file is opened for positional reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file must exist; writes fail.
    ReadOnly,
    /// The file must exist; reads and writes.
    ReadWrite,
    /// The file must not exist: it is created, for reads and writes.
    CreateNew,
}

/// A file system as seen by the store.
pub trait Vfs: Send + Sync + std::fmt::Debug {
    /// Opens or creates the file at `path`.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, `PermissionDenied` and whatever the system answers.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>>;

    /// Opens a file that is not written any more, for reads through a map of it in memory, where
    /// the system has such maps.
    ///
    /// What is here does for file systems that are in memory already.
    ///
    /// # Errors
    /// As [`Vfs::open`].
    fn open_mapped(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        self.open(path, OpenMode::ReadOnly)
    }

    /// As [`Vfs::open`], of a file in `directory` or below: `relative` does not lead out of it,
    /// neither by `..` nor by symbolic links, also where others change the directory meanwhile.
    ///
    /// What is here does for file systems without links; others must do better.
    ///
    /// # Errors
    /// `PermissionDenied` where it leads out, `Unsupported` where the system cannot tell, and
    /// as [`Vfs::open`].
    fn open_beneath(
        &self,
        directory: &Path,
        relative: &Path,
        mode: OpenMode,
    ) -> io::Result<Arc<dyn VfsFile>> {
        if !is_plain(relative) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.open(&directory.join(relative), mode)
    }

    /// As [`Vfs::open`], of a file whose bytes come and go past the system's cache, where the system
    /// has one and can do without.
    ///
    /// What is here does for file systems without a cache.
    ///
    /// # Errors
    /// `Unsupported` where the file's file system cannot, and as [`Vfs::open`].
    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        self.open(path, mode)
    }

    /// The same files, of which [`VfsFile::write_synced_at`] is one system call, by `io_uring`.
    /// `None` where nothing is gained.
    ///
    /// What is here does for file systems that make no system calls.
    ///
    /// # Errors
    /// `Unsupported`, `PermissionDenied`, `OutOfMemory` and whatever the system answers where it has
    /// no `io_uring`, or not for this process.
    fn with_io_uring(&self) -> io::Result<Option<Arc<dyn Vfs>>> {
        Ok(None)
    }

    /// Whether a file or directory of that name exists.
    ///
    /// # Errors
    /// Anything but "not found".
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// The names (not paths) in a directory, sorted.
    ///
    /// # Errors
    /// `NotFound` or `NotADirectory`, and whatever the system answers.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates a directory and its missing parents; it may exist already.
    ///
    /// # Errors
    /// `PermissionDenied`, `NotADirectory` and whatever the system answers.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Atomically replaces `to` by `from`.
    ///
    /// # Errors
    /// Whatever the system answers; the outcome is then unknown.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` and whatever the system answers.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// Whatever the system answers; what is durable is then unknown.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes an exclusive (or shared) advisory lock on the file at `path`, which is created
    /// when missing. Dropping the guard, or the end of the process, releases it.
    ///
    /// # Errors
    /// `WouldBlock` when another holder excludes this one.
    fn lock(&self, path: &Path, exclusive: bool) -> io::Result<Box<dyn VfsLock>>;
}

/// Whether a relative path goes nowhere but down.
pub(crate) fn is_plain(relative: &Path) -> bool {
    let mut components = relative.components().peekable();
    components.peek().is_some()
        && components.all(|component| matches!(component, std::path::Component::Normal(_)))
}

/// A held directory lock; dropping it releases the lock.
pub trait VfsLock: Send + Sync + std::fmt::Debug {}

/// An open file. All methods take `&self`: positions are explicit.
pub trait VfsFile: Send + Sync + std::fmt::Debug {
    /// Reads at `offset`, perhaps less than asked for; 0 at or past the end.
    ///
    /// # Errors
    /// Whatever the system answers. `Interrupted` may be retried.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at `offset`, perhaps less than asked for, extending the file as needed.
    ///
    /// # Errors
    /// Whatever the system answers. `Interrupted` may be retried.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// What offsets and lengths must be multiples of, so that bytes come and go past the system's
    /// cache; others go by way of it. 1 where that does not matter.
    fn transfer_block(&self) -> usize {
        1
    }

    /// Says that these bytes will be read soon, so that the system may begin to. A hint: nothing
    /// depends on what becomes of it.
    fn will_need(&self, _offset: u64, _len: u64) {}

    /// The file's length in bytes.
    ///
    /// # Errors
    /// Whatever the system answers.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file is empty.
    ///
    /// # Errors
    /// As [`VfsFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Truncates or extends (with zeros) to `len` bytes.
    ///
    /// # Errors
    /// `StorageFull` and whatever the system answers.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves space so that later writes below `len` cannot fail for want of it, extending
    /// the file with zeros to `len` where it is shorter.
    ///
    /// # Errors
    /// `StorageFull` and whatever the system answers.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes written bytes (within the synced length) durable.
    ///
    /// # Errors
    /// The outcome is then unknown: the caller poisons the store.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes written bytes and the length durable.
    ///
    /// # Errors
    /// As [`VfsFile::sync_data`].
    fn sync_all(&self) -> io::Result<()>;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file ends before.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    /// `WriteZero` where the system accepts no byte, and whatever it answers.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    buf = &buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes all of `buf` at `offset`, and then makes written bytes durable: as
    /// [`VfsFile::write_all_at`] and [`VfsFile::sync_data`], for files that do both at once.
    ///
    /// # Errors
    /// Those of both. As after a failed sync, what is durable is unknown then.
    fn write_synced_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(buf, offset)?;
        self.sync_data()
    }
}
