//! Log segments as files: their names, how one comes to be, how one is opened.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::format::{
    FIRST_RECORD, FORMAT_VERSION, HeaderError, RECORD_HEADER, RecordHeader, SegmentHeader, StoreId,
};
use crate::{
    durability,
    env::Env,
    error::{Error, Result},
    poison::Poison,
    vfs::{OpenMode, VfsFile},
};

/// Zeros are written in pieces of this size.
const ZEROS: usize = 256 << 10;

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// What it says about itself.
    pub(crate) header: SegmentHeader,
    /// The header's checksum, which starts the chain of records.
    pub(crate) header_crc: u32,
    /// Its file.
    pub(crate) file: Arc<dyn VfsFile>,
    /// Its path, for errors.
    pub(crate) path: PathBuf,
}

/// The path of segment `sequence`.
pub(crate) fn path_of(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("{sequence:020}.wal"))
}

/// The sequence number in a segment's file name; `None` for other files.
fn sequence_of(name: &Path) -> Option<u64> {
    let digits = name.to_str()?.strip_suffix(".wal")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

/// The sequence numbers of the segments in `dir`, ascending.
pub(crate) fn list(env: &Env, dir: &Path) -> Result<Vec<u64>> {
    let names = env
        .vfs
        .read_dir(dir)
        .map_err(|error| Error::io("list", dir, error))?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    sequences.sort_unstable();
    Ok(sequences)
}

impl Segment {
    /// Makes an empty, durable segment of `size` bytes. Its space is reserved first; with
    /// `fill` it is also overwritten with zeros, because a first write into reserved space
    /// makes the file system's journal part of every flush.
    ///
    /// # Errors
    /// [`Error::Io`]. A full disk and too many open files leave nothing behind; any other failure
    /// poisons.
    pub(crate) fn create(
        env: &Env,
        dir: &Path,
        (sequence, size): (u64, u64),
        store: StoreId,
        fill: bool,
        poison: &Poison,
    ) -> Result<Segment> {
        poison.check()?;
        let path = path_of(dir, sequence);
        let header = SegmentHeader {
            sequence,
            salt: env.random.next_u64(),
            store,
            size,
            created: env.wall_clock(),
        };
        let (bytes, header_crc) = header.encode();
        let build = || -> io::Result<Arc<dyn VfsFile>> {
            let file = env.vfs.open(&path, OpenMode::CreateNew)?;
            file.allocate(size)?;
            if fill {
                let zeros = vec![0; ZEROS.min(size as usize)];
                let mut at = FIRST_RECORD;
                while at < size {
                    let step = (size - at).min(zeros.len() as u64);
                    file.write_all_at(&zeros[..step as usize], at)?;
                    at += step;
                }
            }
            let mut block = vec![0; FIRST_RECORD as usize];
            block[..bytes.len()].copy_from_slice(&bytes);
            file.write_all_at(&block, 0)?;
            Ok(file)
        };
        let file = build().map_err(|error| {
            let full = matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            );
            let error = Error::io("create", &path, error);
            durability::unlink(env, &path);
            // Too many open files are the answer to the attempt to make the file, which there is
            // none then.
            if !full && !error.is_out_of_files() {
                poison.set(error.to_string());
            }
            error
        })?;
        durability::sync_new_file(&*env.vfs, &*file, &path, poison).inspect_err(|error| {
            // Its name may not be durable, but nothing refers to it, and nothing will.
            if error.is_out_of_files() {
                durability::unlink(env, &path);
            }
        })?;
        Ok(Segment {
            header,
            header_crc,
            file,
            path,
        })
    }

    /// Opens segment `sequence` and checks its header and length.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Version`], [`Error::Io`].
    pub(crate) fn open(
        env: &Env,
        dir: &Path,
        sequence: u64,
        store: StoreId,
        read_only: bool,
    ) -> Result<Segment> {
        let path = path_of(dir, sequence);
        let mode = if read_only {
            OpenMode::ReadOnly
        } else {
            OpenMode::ReadWrite
        };
        let file = env
            .vfs
            .open(&path, mode)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::corrupt(&path, 0, "the log segment is missing"),
                _ => Error::io("open", &path, error),
            })?;
        let len = file
            .len()
            .map_err(|error| Error::io("measure", &path, error))?;
        let mut bytes = vec![0; len.min(FIRST_RECORD) as usize];
        file.read_exact_at(&mut bytes, 0)
            .map_err(|error| Error::io("read", &path, error))?;
        let (header, header_crc) = SegmentHeader::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged(reason) => Error::corrupt(&path, 0, reason),
            HeaderError::Version(found) => Error::Version {
                path: path.clone(),
                found,
                supported: FORMAT_VERSION,
            },
        })?;
        if header.sequence != sequence {
            return Err(Error::corrupt(
                &path,
                16,
                format!("this is log segment {}", header.sequence),
            ));
        }
        if header.store != store {
            return Err(Error::corrupt(
                &path,
                32,
                "the log segment belongs to another store",
            ));
        }
        if len < header.size {
            let reason = format!("the log segment is cut off: {len} of {} bytes", header.size);
            return Err(Error::corrupt(&path, len, reason));
        }
        Ok(Segment {
            header,
            header_crc,
            file,
            path,
        })
    }
}

/// The first segment in `dir`, of whichever store, that holds a record.
pub(crate) fn first_with_records(env: &Env, dir: &Path) -> Result<Option<PathBuf>> {
    for sequence in list(env, dir)? {
        let path = path_of(dir, sequence);
        let file = env.vfs.open(&path, OpenMode::ReadOnly);
        let file = file.map_err(|error| Error::io("open", &path, error))?;
        let len = file
            .len()
            .map_err(|error| Error::io("measure", &path, error))?;
        if len < FIRST_RECORD + RECORD_HEADER as u64 {
            continue;
        }
        let mut bytes = vec![0; FIRST_RECORD as usize + RECORD_HEADER];
        file.read_exact_at(&mut bytes, 0)
            .map_err(|error| Error::io("read", &path, error))?;
        let (head, record) = bytes.split_at(FIRST_RECORD as usize);
        if let Ok((header, _)) = SegmentHeader::decode(head)
            && RecordHeader::decode(record, header.salt, FIRST_RECORD).is_some()
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Removes all segments in `dir`.
pub(crate) fn remove_all(env: &Env, dir: &Path) -> Result<()> {
    for sequence in list(env, dir)? {
        let path = path_of(dir, sequence);
        env.vfs
            .remove_file(&path)
            .map_err(|error| Error::io("remove", &path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_numbers() {
        let dir = Path::new("wal");
        let path = path_of(dir, 42);
        assert_eq!(path, Path::new("wal/00000000000000000042.wal"));
        assert_eq!(sequence_of(Path::new("00000000000000000042.wal")), Some(42));
        for other in [
            "42.wal",
            "lock",
            "0000000000000000004x.wal",
            "99999999999999999999.wal",
        ] {
            assert_eq!(sequence_of(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        let vfs = crate::vfs_memory::MemoryVfs::with_limit(64 << 10);
        let env = Env::with_vfs(vfs.clone());
        let poison = Poison::new();
        env.vfs.create_dir_all(Path::new("wal")).unwrap();
        let create = |sequence, size| {
            Segment::create(
                &env,
                Path::new("wal"),
                (sequence, size),
                [1; 16],
                true,
                &poison,
            )
        };
        create(1, 32 << 10).unwrap();
        assert!(matches!(create(2, 64 << 10), Err(Error::Io { .. })));
        assert_eq!(list(&env, Path::new("wal")).unwrap(), [1]);
        create(2, 32 << 10).unwrap();
        let open = |sequence, store| Segment::open(&env, Path::new("wal"), sequence, store, true);
        assert_eq!(open(2, [1; 16]).unwrap().header.size, 32 << 10);
        assert!(matches!(open(2, [2; 16]), Err(Error::Corrupt { .. })));
        assert!(matches!(open(3, [1; 16]), Err(Error::Corrupt { .. })));
    }
}
