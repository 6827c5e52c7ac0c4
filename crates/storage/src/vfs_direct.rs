//! Files whose bytes pass by the system's cache (`O_DIRECT`), on Linux.
//!
//! The system takes such transfers only where memory, offset and length are multiples of the
//! device's blocks. So bytes go by way of an aligned buffer; a read fetches the whole blocks that it
//! touches, and a write that is not of whole blocks goes through the system's cache, which Linux
//! keeps in step: it writes cached bytes out before it reads them directly, and forgets them after
//! a direct write.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt};

use parking_lot::Mutex;
use rustix::{
    fs::{AtFlags, StatxFlags, fstatvfs, statx},
    io::Errno,
};

use crate::vfs::VfsFile;

/// Offsets, lengths and memory are multiples of this, also where a device would take less: smaller
/// transfers cost a device of larger blocks two.
const BLOCK: usize = 4096;
/// Bytes transferred at a time at most; what is longer takes several calls.
const LONGEST: usize = 1 << 20;
/// Bytes of a buffer that a thread keeps for its next transfer, which most often is of one page.
const KEPT_BY_THREAD: usize = 64 << 10;
/// Larger buffers that are kept for whoever needs one next.
const KEPT_BY_ALL: usize = 2;
/// The largest block that is believed of a file system that does not say what direct transfers
/// need: those of networks name the bytes that they like to send.
const LARGEST_GUESS: usize = 16 << 10;

thread_local! {
    /// The memory of the aligned buffer, so that a transfer allocates none.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// As [`BUFFER`], for long transfers: so that not every thread that ever had one holds its memory.
static LARGE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A file that is open twice: for whole blocks, and for everything else.
#[derive(Debug)]
pub(crate) struct DirectFile {
    blocks: File,
    cached: Box<dyn VfsFile>,
    /// What offsets, lengths and memory are multiples of.
    block: usize,
}

/// Runs `transfer` on an aligned buffer of `len` bytes, a multiple of `block`.
fn with_buffer<R>(len: usize, block: usize, transfer: impl FnOnce(&mut [u8]) -> R) -> R {
    let needed = len + block;
    let is_large = needed > KEPT_BY_THREAD;
    let mut memory = match is_large {
        true => LARGE.lock().pop().unwrap_or_default(),
        false => BUFFER.take(),
    };
    if memory.len() < needed {
        memory.resize(needed, 0);
    }
    let start = memory.as_ptr().align_offset(block);
    let done = transfer(&mut memory[start..start + len]);
    if is_large {
        let mut large = LARGE.lock();
        if large.len() < KEPT_BY_ALL {
            large.push(memory);
        }
    } else {
        BUFFER.set(memory);
    }
    done
}

/// What offsets, lengths and memory of direct transfers of `file` must be multiples of.
///
/// # Errors
/// `Unsupported` where the file takes none, and whatever the system answers.
fn block_of(file: &File) -> io::Result<usize> {
    let said = match statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) {
        Ok(found) if found.stx_mask & StatxFlags::DIOALIGN.bits() != 0 => {
            Some(found.stx_dio_mem_align.max(found.stx_dio_offset_align) as usize)
        }
        // Linux before 6.1, a filter of system calls that knows no such question, or a file system
        // that does not say.
        Ok(_) | Err(Errno::NOSYS | Errno::PERM) => None,
        Err(error) => return Err(error.into()),
    };
    let block = match said {
        Some(0) => return Err(io::ErrorKind::Unsupported.into()),
        Some(block) => block,
        None => usize::try_from(fstatvfs(file)?.f_bsize)
            .ok()
            .filter(|block| block.is_power_of_two() && *block <= LARGEST_GUESS)
            .unwrap_or(BLOCK),
    };
    if !block.is_power_of_two() || block > LONGEST {
        return Err(io::ErrorKind::Unsupported.into());
    }
    Ok(block.max(BLOCK))
}

impl DirectFile {
    /// A file that was opened as `blocks` with `O_DIRECT`, and without as `cached`.
    ///
    /// # Errors
    /// `Unsupported` where it takes no direct transfers after all, and whatever the system answers.
    pub(crate) fn new(blocks: File, cached: Box<dyn VfsFile>) -> io::Result<DirectFile> {
        Ok(DirectFile {
            block: block_of(&blocks)?,
            blocks,
            cached,
        })
    }
}

impl VfsFile for DirectFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let before = (offset % self.block as u64) as usize;
        let start = offset - before as u64;
        let wanted = buf.len().min(LONGEST - before);
        let len = (before + wanted).next_multiple_of(self.block);
        with_buffer(len, self.block, |blocks| {
            let read = self.blocks.read_at(blocks, start)?;
            let found = blocks.get(before..read).unwrap_or_default();
            let count = found.len().min(wanted);
            buf[..count].copy_from_slice(&found[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let len = buf.len().min(LONGEST);
        let len = len - len % self.block;
        let before = (offset % self.block as u64) as usize;
        if len == 0 || before != 0 {
            // Up to where whole blocks begin, if they do.
            let to_block = self.block - before;
            return self
                .cached
                .write_at(&buf[..buf.len().min(to_block)], offset);
        }
        with_buffer(len, self.block, |blocks| {
            blocks.copy_from_slice(&buf[..len]);
            self.blocks.write_at(blocks, offset)
        })
    }

    fn transfer_block(&self) -> usize {
        self.block
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
    use std::{os::unix::fs::OpenOptionsExt, path::Path};

    use rustix::fs::OFlags;

    use super::*;
    use crate::{
        vfs::{OpenMode, Vfs},
        vfs_os::OsVfs,
    };

    /// The same bytes as a vector has, however transfers lie to the blocks.
    #[test]
    fn transfers_of_any_place_and_length() {
        let dir = tempfile::tempdir().unwrap();
        for block in [BLOCK, 16 << 10, 64 << 10] {
            let Some(mut file) = open(&dir.path().join(block.to_string())) else {
                return;
            };
            assert!(file.block.is_power_of_two() && file.block >= BLOCK);
            file.block = file.block.max(block);
            any_transfers(&file);
        }
        // However many threads there were, little stays.
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let path = dir.path().join(format!("thread {thread}"));
                scope.spawn(move || any_transfers(&open(&path).unwrap()));
            }
        });
        assert!(LARGE.lock().len() <= KEPT_BY_ALL);
        assert!(BUFFER.take().len() <= KEPT_BY_THREAD);
    }

    fn any_transfers(file: &DirectFile) {
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
    #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
    fn open(path: &Path) -> Option<DirectFile> {
        let cached = OsVfs::open_file(path, OpenMode::CreateNew).unwrap();
        match OsVfs.open_direct(path, OpenMode::ReadWrite) {
            Ok(file) => assert!(file.transfer_block() >= BLOCK),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return None,
            Err(error) => panic!("{error}"),
        }
        let blocks = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::DIRECT.bits() as i32)
            .open(path)
            .unwrap();
        Some(DirectFile::new(blocks, Box::new(cached)).unwrap())
    }
}
