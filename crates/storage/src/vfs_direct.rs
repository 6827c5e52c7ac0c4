//! Files whose bytes pass by the system's cache (`O_DIRECT`), on Linux.
//!
//! The system takes such transfers only where memory, offset and length are multiples of the
//! device's blocks. So bytes go by way of an aligned buffer; a read fetches the whole blocks that it
//! touches, and a write that is not of whole blocks goes through the system's cache, which Linux
//! keeps in step: it writes cached bytes out before it reads them directly, and forgets them after
//! a direct write.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt};

use crate::vfs::VfsFile;

/// Offsets, lengths and memory are multiples of this: the blocks of all usual devices are.
const BLOCK: usize = 4096;
/// Bytes transferred at a time at most; what is longer takes several calls.
const LONGEST: usize = 1 << 20;

thread_local! {
    /// The memory of the aligned buffer, so that a transfer allocates none.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A file that is open twice: for whole blocks, and for everything else.
#[derive(Debug)]
pub(crate) struct DirectFile {
    blocks: File,
    cached: Box<dyn VfsFile>,
}

/// Runs `transfer` on an aligned buffer of `len` bytes, a multiple of [`BLOCK`].
fn with_buffer<R>(len: usize, transfer: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut memory = BUFFER.take();
    if memory.len() < len + BLOCK {
        memory.resize(len + BLOCK, 0);
    }
    let start = memory.as_ptr().align_offset(BLOCK);
    let done = transfer(&mut memory[start..start + len]);
    BUFFER.set(memory);
    done
}

impl DirectFile {
    /// A file that was opened as `blocks` with `O_DIRECT`, and without as `cached`.
    pub(crate) fn new(blocks: File, cached: Box<dyn VfsFile>) -> DirectFile {
        DirectFile { blocks, cached }
    }
}

fn is_whole(number: u64) -> bool {
    number.is_multiple_of(BLOCK as u64)
}

impl VfsFile for DirectFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = offset - offset % BLOCK as u64;
        let before = (offset - start) as usize;
        let wanted = buf.len().min(LONGEST - before);
        let len = (before + wanted).next_multiple_of(BLOCK);
        with_buffer(len, |blocks| {
            let read = self.blocks.read_at(blocks, start)?;
            let found = blocks.get(before..read).unwrap_or_default();
            let count = found.len().min(wanted);
            buf[..count].copy_from_slice(&found[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let len = buf.len().min(LONGEST);
        let len = len - len % BLOCK;
        if len == 0 || !is_whole(offset) {
            // Up to where whole blocks begin, if they do.
            let to_block = (BLOCK as u64 - offset % BLOCK as u64) as usize;
            return self
                .cached
                .write_at(&buf[..buf.len().min(to_block)], offset);
        }
        with_buffer(len, |blocks| {
            blocks.copy_from_slice(&buf[..len]);
            self.blocks.write_at(blocks, offset)
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.cached.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.cached.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.cached.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        // Of the file, whichever way its bytes have come.
        self.cached.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.cached.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{
        vfs::{OpenMode, Vfs, VfsFile},
        vfs_os::OsVfs,
    };

    /// The same bytes as a vector has, however transfers lie to the blocks.
    #[test]
    fn transfers_of_any_place_and_length() {
        let dir = tempfile::tempdir().unwrap();
        let file = open(dir.path());
        let Some(file) = file else { return };
        let mut random = fastrand::Rng::with_seed(4);
        let mut model: Vec<u8> = Vec::new();
        for round in 0..400 {
            let offset = match random.u8(..3) {
                0 => random.usize(..40_000),
                1 => random.usize(..10) * 4096,
                _ => model.len(),
            };
            let len = match random.u8(..3) {
                0 => random.usize(..9_000),
                1 => random.usize(..3) * 4096,
                _ => random.usize(..2 << 20) / (1 + random.usize(..500)),
            };
            if random.bool() {
                let bytes: Vec<u8> = (0..len).map(|at| (round + at) as u8).collect();
                model.resize(model.len().max(offset + len), 0);
                model[offset..offset + len].copy_from_slice(&bytes);
                file.write_all_at(&bytes, offset as u64).unwrap();
            } else {
                let mut bytes = vec![0xee; len];
                let expected = model.get(offset..offset + len);
                let read = file.read_exact_at(&mut bytes, offset as u64);
                match expected {
                    Some(expected) => assert!(bytes == expected && read.is_ok(), "{offset} {len}"),
                    None => assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof),
                }
            }
            assert_eq!(file.len().unwrap(), model.len() as u64);
        }
        file.sync_data().unwrap();
    }

    /// `None` where the file system has no direct transfers.
    fn open(dir: &Path) -> Option<std::sync::Arc<dyn VfsFile>> {
        match OsVfs.open_direct(&dir.join("file"), OpenMode::CreateNew) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => None,
            Err(error) => panic!("{error}"),
        }
    }
}
