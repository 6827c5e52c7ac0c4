//! [`Vfs`] on the operating system's files.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::vfs_direct::DirectFile;
use crate::{
    vfs::{OpenMode, Vfs, VfsFile, VfsLock},
    vfs_mapped::MappedFile,
};

/// The operating system's file system.
///
/// Files are opened close-on-exec. [`VfsFile::sync_data`] is `fdatasync` (on Apple systems
/// `F_FULLFSYNC`), [`VfsFile::allocate`] is `fallocate` where there is one, and
/// [`Vfs::lock`] is an advisory lock on the whole file (`flock`). Windows cannot flush a
/// directory: names there are as durable as its journal makes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

impl OsVfs {
    /// The operating system's file system.
    #[must_use]
    pub fn new() -> OsVfs {
        OsVfs
    }

    pub(crate) fn open_file(path: &Path, mode: OpenMode) -> io::Result<OsFile> {
        let mut options = options(mode != OpenMode::ReadOnly);
        options.create_new(mode == OpenMode::CreateNew);
        Ok(OsFile {
            file: open_with(&options, path)?,
        })
    }
}

/// An open file of the operating system.
#[derive(Debug)]
pub(crate) struct OsFile {
    file: File,
}

#[cfg(all(feature = "io_uring", target_os = "linux"))]
impl OsFile {
    /// A file that is open.
    #[cfg(test)]
    pub(crate) fn new(file: File) -> OsFile {
        OsFile { file }
    }

    /// The system's handle.
    pub(crate) fn handle(&self) -> &File {
        &self.file
    }
}

#[derive(Debug)]
struct OsLock {
    /// Closing the file releases its lock.
    _file: File,
}

impl VfsLock for OsLock {}

#[expect(
    clippy::disallowed_methods,
    reason = "this module is what everything else goes through"
)]
fn open_with(options: &OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this module is what everything else goes through"
)]
fn options(write: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(write);
    options
}

impl Vfs for OsVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(OsVfs::open_file(path, mode)?))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn open_direct(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        use rustix::{
            fs::{Mode, OFlags},
            io::Errno,
        };
        let cached = OsVfs::open_file(path, mode)?;
        let access = match mode {
            OpenMode::ReadOnly => OFlags::RDONLY,
            OpenMode::ReadWrite | OpenMode::CreateNew => OFlags::RDWR,
        };
        let flags = access | OFlags::DIRECT | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(blocks) => DirectFile::new(blocks.into(), Box::new(cached)),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
            Err(error) => Err(error.into()),
        };
        if opened.is_err() && mode == OpenMode::CreateNew {
            self.remove_file(path)?;
        }
        Ok(Arc::new(opened?))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn open_direct(&self, _path: &Path, _mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(all(feature = "io_uring", target_os = "linux"))]
    fn with_io_uring(&self) -> io::Result<Option<Arc<dyn Vfs>>> {
        Ok(Some(Arc::new(crate::vfs_uring::UringVfs::new(*self)?)))
    }

    #[cfg(not(all(feature = "io_uring", target_os = "linux")))]
    fn with_io_uring(&self) -> io::Result<Option<Arc<dyn Vfs>>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open_mapped(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        let file = OsVfs::open_file(path, OpenMode::ReadOnly)?;
        Ok(Arc::new(MappedFile::new(file, |file| &file.file)?))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn open_beneath(
        &self,
        directory: &Path,
        relative: &Path,
        mode: OpenMode,
    ) -> io::Result<Arc<dyn VfsFile>> {
        use rustix::fs::{Mode, OFlags, ResolveFlags};

        if !crate::vfs::is_plain(relative) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let directory = open_with(&options(false), directory)?;
        let flags = OFlags::CLOEXEC
            | match mode {
                OpenMode::ReadOnly => OFlags::RDONLY,
                OpenMode::ReadWrite => OFlags::RDWR,
                OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            };
        // Rights for all, as far as the process's mask lets them through.
        let rights = if mode == OpenMode::CreateNew {
            Mode::from_raw_mode(0o666)
        } else {
            Mode::empty()
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&directory, relative, flags, rights, resolve) {
            Ok(file) => Ok(Arc::new(OsFile { file: file.into() })),
            // Something on the way leads out.
            Err(rustix::io::Errno::XDEV | rustix::io::Errno::LOOP) => {
                Err(io::ErrorKind::PermissionDenied.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn open_beneath(
        &self,
        _directory: &Path,
        _relative: &Path,
        _mode: OpenMode,
    ) -> io::Result<Arc<dyn VfsFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(PathBuf::from(entry?.file_name()));
        }
        names.sort();
        Ok(names)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this module is what everything else goes through"
    )]
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this module is what everything else goes through"
    )]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this module is what everything else goes through"
    )]
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    #[cfg(not(windows))]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        // The parent of a relative name is the empty path.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        open_with(&options(false), path)?.sync_all()
    }

    #[cfg(windows)]
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, exclusive: bool) -> io::Result<Box<dyn VfsLock>> {
        // A shared lock must also work where nothing may be written.
        let existing = if exclusive {
            None
        } else {
            open_with(&options(false), path).ok()
        };
        let file = match existing {
            Some(file) => file,
            None => open_with(options(true).create(true).truncate(false), path)?,
        };
        let locked = if exclusive {
            file.try_lock()
        } else {
            file.try_lock_shared()
        };
        match locked {
            Ok(()) => Ok(Box::new(OsLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl VfsFile for OsFile {
    #[cfg(unix)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buf, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&self.file, buf, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.file, buf, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_write(&self.file, buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn will_need(&self, offset: u64, len: u64) {
        use rustix::fs::{Advice, fadvise};
        let len = std::num::NonZero::new(len);
        let _ = fadvise(&self.file, offset, len, Advice::WillNeed);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::{
            fs::{FallocateFlags, fallocate},
            io::Errno,
        };
        if len == 0 {
            return Ok(());
        }
        loop {
            match fallocate(&self.file, FallocateFlags::empty(), 0, len) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return write_zeros_to(self, len),
                Err(error) => return Err(error.into()),
            }
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn allocate(&self, len: u64) -> io::Result<()> {
        write_zeros_to(self, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Reserves space the portable way: by writing zeros from the file's end up to `len`.
fn write_zeros_to(file: &OsFile, len: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut at = file.len()?;
    while at < len {
        let step = (len - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..step as usize], at)?;
        at += step;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs_memory::MemoryVfs;

    /// The behaviour that both file systems promise.
    fn conforms(vfs: &dyn Vfs, root: &Path) {
        let dir = root.join("a/b");
        vfs.create_dir_all(&dir).unwrap();
        vfs.create_dir_all(&dir).unwrap();
        let path = dir.join("one");
        assert_eq!(
            vfs.open(&path, OpenMode::ReadOnly).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let file = vfs.open(&path, OpenMode::CreateNew).unwrap();
        assert_eq!(
            vfs.open(&path, OpenMode::CreateNew).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        file.write_all_at(b"world", 100_000).unwrap();
        file.write_all_at(b"hello", 0).unwrap();
        assert_eq!(file.len().unwrap(), 100_005);
        let mut buf = [7; 10];
        file.read_exact_at(&mut buf, 99_995).unwrap();
        assert_eq!(&buf, b"\0\0\0\0\0world");
        assert_eq!(file.read_at(&mut buf, 100_005).unwrap(), 0);
        assert_eq!(file.read_at(&mut buf, 100_003).unwrap(), 2);
        file.set_len(3).unwrap();
        file.set_len(8).unwrap();
        file.read_exact_at(&mut buf[..8], 0).unwrap();
        assert_eq!(&buf[..8], b"hel\0\0\0\0\0");
        file.allocate(300_000).unwrap();
        assert_eq!(file.len().unwrap(), 300_000);
        file.allocate(10).unwrap();
        assert_eq!(file.len().unwrap(), 300_000);
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        file.write_synced_at(b"and flushed", 299_995).unwrap();
        file.write_synced_at(b"", 0).unwrap();
        assert_eq!(file.len().unwrap(), 300_006);
        let mut flushed = [0; 11];
        file.read_exact_at(&mut flushed, 299_995).unwrap();
        assert_eq!(&flushed, b"and flushed");
        file.set_len(300_000).unwrap();
        vfs.sync_dir(&dir).unwrap();
        assert!(
            vfs.open(&path, OpenMode::ReadOnly)
                .unwrap()
                .write_at(b"x", 0)
                .is_err()
        );
        assert!(
            vfs.open(&path, OpenMode::ReadOnly)
                .unwrap()
                .write_synced_at(b"x", 0)
                .is_err()
        );

        let two = dir.join("two");
        vfs.open(&two, OpenMode::CreateNew)
            .unwrap()
            .write_all_at(b"2", 0)
            .unwrap();
        assert_eq!(
            vfs.read_dir(&dir).unwrap(),
            [PathBuf::from("one"), PathBuf::from("two")]
        );
        vfs.rename(&two, &path).unwrap();
        assert_eq!(vfs.read_dir(&dir).unwrap(), [PathBuf::from("one")]);
        assert_eq!(
            vfs.open(&path, OpenMode::ReadOnly).unwrap().len().unwrap(),
            1
        );
        assert_eq!(
            file.len().unwrap(),
            300_000,
            "an open file outlives its name"
        );
        vfs.remove_file(&path).unwrap();
        assert!(!vfs.exists(&path).unwrap());
        assert!(vfs.exists(&dir).unwrap());
        assert_eq!(
            vfs.remove_file(&path).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(
            vfs.read_dir(&root.join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(vfs.read_dir(root).unwrap(), [PathBuf::from("a")]);
        let orphan = vfs
            .open(&root.join("none/file"), OpenMode::CreateNew)
            .unwrap_err();
        assert_eq!(orphan.kind(), io::ErrorKind::NotFound);

        let lock = dir.join("lock");
        let held = vfs.lock(&lock, true).unwrap();
        assert_eq!(
            vfs.lock(&lock, true).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        assert_eq!(
            vfs.lock(&lock, false).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(held);
        let shared = vfs.lock(&lock, false).unwrap();
        let second = vfs.lock(&lock, false).unwrap();
        assert_eq!(
            vfs.lock(&lock, true).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop((shared, second));
        vfs.lock(&lock, true).unwrap();
    }

    #[test]
    fn operating_system_conforms() {
        let dir = tempfile::tempdir().unwrap();
        conforms(&OsVfs, dir.path());
    }

    #[cfg(all(feature = "io_uring", target_os = "linux"))]
    #[test]
    fn operating_system_with_a_ring_conforms() {
        let dir = tempfile::tempdir().unwrap();
        if let Some(vfs) = crate::vfs_uring::tests::ring_or_refusal() {
            conforms(&vfs, dir.path());
        }
    }

    #[test]
    fn memory_conforms() {
        let vfs = MemoryVfs::new();
        vfs.create_dir_all(Path::new("/root")).unwrap();
        conforms(&vfs, Path::new("/root"));
    }
}
