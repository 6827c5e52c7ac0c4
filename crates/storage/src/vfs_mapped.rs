//! Files that are read through a map of them in memory.
//!
//! A read is then a copy and no system call. In exchange the system alone decides what stays in
//! memory, and what it cannot read any more, or what another program cuts off, ends the process
//! (`SIGBUS`) instead of failing. Each open file is a map of its own, and Linux bounds how many a
//! process has (`vm.max_map_count`): one more answers `OutOfMemory`.

use std::{fs::File, io};

#[cfg(unix)]
use memmap2::Advice;
use memmap2::Mmap;

use crate::vfs::VfsFile;

/// Bytes of a read from which it pays to have the system fetch all of them at once.
const LONG: usize = 64 << 10;

/// A file that is not written any more.
#[derive(Debug)]
pub(crate) struct MappedFile<F> {
    map: Mmap,
    file: F,
}

impl<F: VfsFile> MappedFile<F> {
    /// Maps a file that is open for reading.
    pub(crate) fn new(file: F, handle: impl FnOnce(&F) -> &File) -> io::Result<MappedFile<F>> {
        // SAFETY: the bytes must not change while they are borrowed. Only tables are opened this way:
        // they are written once, under a name that is never used again, and only then opened, in a
        // directory that is locked against other processes of this database. Nothing borrows them
        // for longer than it takes to copy them, and every copy is held against its checksum. The
        // lock is advisory: whoever writes into the directory by other means breaks the promise,
        // and where he shortens a table, this process ends.
        #[expect(unsafe_code, reason = "mapping a file is, by its nature")]
        let map = unsafe { Mmap::map(handle(&file))? };
        // Most reads are of one block somewhere, and what lies around it is of no use.
        #[cfg(unix)]
        map.advise(Advice::Random)?;
        Ok(MappedFile { map, file })
    }
}

impl<F: VfsFile> VfsFile for MappedFile<F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let found = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.map.get(offset..))
            .unwrap_or_default();
        let count = found.len().min(buf.len());
        if count >= LONG {
            self.will_need(offset, count as u64);
        }
        buf[..count].copy_from_slice(&found[..count]);
        Ok(count)
    }

    fn will_need(&self, offset: u64, len: u64) {
        #[cfg(unix)]
        if let (Ok(offset), Ok(len)) = (usize::try_from(offset), usize::try_from(len)) {
            let len = len.min(self.map.len().saturating_sub(offset));
            let _ = self.map.advise_range(Advice::WillNeed, offset, len);
        }
        #[cfg(not(unix))]
        let _ = (offset, len);
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.map.len() as u64)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
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
}

#[cfg(test)]
mod tests {
    use crate::{
        vfs::{OpenMode, Vfs},
        vfs_os::OsVfs,
    };

    #[test]
    fn reads_are_those_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..20_000_u32).map(|at| ((at * at) >> 3) as u8).collect();
        let written = OsVfs.open(&path, OpenMode::CreateNew).unwrap();
        written.write_all_at(&bytes, 0).unwrap();
        let mapped = OsVfs.open_mapped(&path).unwrap();
        assert_eq!(mapped.len().unwrap(), 20_000);
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..500 {
            let offset = random.usize(..21_000);
            let mut ours = vec![0; random.usize(..9_000)];
            mapped.will_need(offset as u64, ours.len() as u64);
            let read = mapped.read_at(&mut ours, offset as u64).unwrap();
            let expected = bytes.get(offset..).unwrap_or_default();
            assert_eq!(read, expected.len().min(ours.len()));
            assert_eq!(ours[..read], expected[..read]);
        }
        assert_eq!(mapped.read_at(&mut [0], u64::MAX).unwrap(), 0);
        assert!(mapped.write_at(b"x", 0).is_err());
        assert!(mapped.set_len(0).is_err());
    }

    #[test]
    fn an_empty_file_is_empty_and_a_missing_one_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let missing = OsVfs.open_mapped(&path).unwrap_err();
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
        OsVfs.open(&path, OpenMode::CreateNew).unwrap();
        let mapped = OsVfs.open_mapped(&path).unwrap();
        assert!(mapped.is_empty().unwrap());
        assert_eq!(mapped.read_at(&mut [0], 0).unwrap(), 0);
    }
}
