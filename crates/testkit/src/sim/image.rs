//! A frozen state of a simulated disk: taken from a running one or left by a crash. Tests look
//! into it, damage it, and start new worlds from it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    crash::{Crash, same_medium},
    disk::{Disk, Effect, NodeId},
};

/// The state of a disk. Cloning it costs a reference count per file.
#[derive(Clone, Debug)]
pub struct DiskImage {
    pub(crate) disk: Disk,
}

impl DiskImage {
    /// What the crash leaves of it.
    #[must_use]
    pub fn crash(&self, crash: &Crash) -> DiskImage {
        DiskImage {
            disk: self.disk.crash(crash),
        }
    }

    /// Whether both hold the same durable files and names. Cheap where they share blocks.
    #[must_use]
    pub fn same_medium(&self, other: &DiskImage) -> bool {
        same_medium(&self.disk, &other.disk)
    }

    /// Whether readers of both see the same files and names.
    #[must_use]
    pub fn same_cache(&self, other: &DiskImage) -> bool {
        let (files, others) = (self.disk.files(), other.disk.files());
        files.len() == others.len()
            && files
                .iter()
                .zip(&others)
                .all(|((path, id), (other_path, other_id))| {
                    path == other_path
                        && match (self.disk.file(*id), other.disk.file(*other_id)) {
                            (Ok(file), Ok(other)) => file.live == other.live,
                            _ => false,
                        }
                })
    }

    /// Paths and lengths of all files that a reader sees, in order of path.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let len = |id: NodeId| self.disk.file(id).map_or(0, |file| file.live.len());
        self.disk
            .files()
            .into_iter()
            .map(|(path, id)| (path, len(id)))
            .collect()
    }

    /// The bytes that a reader sees.
    ///
    /// # Errors
    /// `NotFound` and its kin.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.disk.file(self.disk.resolve(path)?)?.live.to_vec())
    }

    /// Number of changes that are not durable.
    #[must_use]
    pub fn pending_changes(&self) -> usize {
        use super::disk::Node;
        self.disk
            .nodes
            .values()
            .map(|node| match node {
                Node::File(file) => file.pending.len(),
                Node::Directory(directory) => directory.pending.len(),
            })
            .sum()
    }

    fn damage(&mut self, path: &Path, effect: impl FnOnce(NodeId) -> Effect) -> io::Result<()> {
        let id = self.disk.resolve(path)?;
        self.disk.file(id)?;
        self.disk.apply(0, &effect(id));
        Ok(())
    }

    /// Flips one bit at rest: bit `bit % 8` of byte `bit / 8`.
    ///
    /// # Errors
    /// `NotFound` and its kin; `InvalidInput` past the end of the file.
    pub fn flip_bit(&mut self, path: &Path, bit: u64) -> io::Result<()> {
        let offset = bit / 8;
        let mut byte = [0];
        if self
            .disk
            .file(self.disk.resolve(path)?)?
            .live
            .read(&mut byte, offset)
            == 0
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        byte[0] ^= 1 << (bit % 8);
        self.overwrite(path, offset, &byte)
    }

    /// Puts other bytes at rest, extending the file where needed.
    ///
    /// # Errors
    /// `NotFound` and its kin.
    pub fn overwrite(&mut self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.damage(path, |file| Effect::Damage {
            file,
            offset,
            data: Arc::from(bytes),
        })
    }

    /// Cuts or extends (with zeros) a file at rest.
    ///
    /// # Errors
    /// `NotFound` and its kin.
    pub fn set_len(&mut self, path: &Path, len: u64) -> io::Result<()> {
        self.damage(path, |file| Effect::DamageLen { file, len })
    }

    /// Removes a file, durably.
    ///
    /// # Errors
    /// `NotFound` and its kin.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.disk.resolve_parent(path)?;
        if !self.disk.directory(directory)?.live.contains_key(&name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.disk.apply(0, &Effect::Unlink { directory, name });
        self.disk.apply(0, &Effect::SyncDirectory { directory });
        Ok(())
    }
}
