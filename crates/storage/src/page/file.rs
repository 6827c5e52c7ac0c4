//! The data file: every read, write, growth and sync of it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    image::{self, Location, Owner},
    superblock::{COPIES, COPY_SIZE, REGION, Superblock},
    waits::NamedWaits,
};
use crate::{
    durability,
    env::Env,
    error::{Error, Result},
    poison::Poison,
    vfs::{OpenMode, Vfs, VfsFile},
};

/// The data file's name in the store's directory.
pub(super) const FILE_NAME: &str = "data.rdb";
/// Its name until it is whole.
const NEW_FILE_NAME: &str = "data.rdb.new";

/// The open data file. The first write or sync that fails poisons the store.
#[derive(Debug)]
pub(super) struct PageFile {
    vfs: Arc<dyn Vfs>,
    file: Arc<dyn VfsFile>,
    path: PathBuf,
    poison: Arc<Poison>,
    /// Whether the file may have become longer since its last full sync.
    grown: AtomicBool,
    waits: NamedWaits,
}

fn open(env: &Env, path: &Path, mode: OpenMode, direct: bool) -> io::Result<Arc<dyn VfsFile>> {
    if direct {
        env.vfs.open_direct(path, mode)
    } else {
        env.vfs.open(path, mode)
    }
}

/// Checks that a page is one direct transfer or more.
fn check_block(block: usize, page_size: usize) -> Result<()> {
    if page_size.is_multiple_of(block) {
        return Ok(());
    }
    let reason = format!(
        "transfers past the system's cache are of {block} bytes here, and pages have {page_size}"
    );
    Err(Error::Unavailable {
        option: "direct_io",
        source: Arc::new(io::Error::new(io::ErrorKind::Unsupported, reason)),
        hint: "make a store with pages of that many bytes (page_size), or leave the option off",
    })
}

impl PageFile {
    /// Makes the file with `superblock` in all copies. It gets its name once it is durable, so
    /// that there is never half a store.
    pub(super) fn create(
        env: &Env,
        dir: &Path,
        superblock: &Superblock,
        direct: bool,
        poison: Arc<Poison>,
    ) -> Result<PageFile> {
        let path = dir.join(FILE_NAME);
        let new = dir.join(NEW_FILE_NAME);
        let failed = |source| Error::io("create", &path, source);
        if env.vfs.exists(&path).map_err(failed)? {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        if env.vfs.exists(&new).map_err(failed)? {
            env.vfs.remove_file(&new).map_err(failed)?;
        }
        let file = open(env, &new, OpenMode::CreateNew, direct).map_err(failed)?;
        check_block(file.transfer_block(), superblock.page_size as usize)
            .inspect_err(|_| drop(env.vfs.remove_file(&new)))?;
        file.allocate(REGION as u64).map_err(failed)?;
        let region: Vec<u8> = (0..COPIES)
            .flat_map(|copy| superblock.encode(copy))
            .collect();
        file.write_all_at(&region, 0).map_err(failed)?;
        durability::sync_all(&*file, &new, &poison)?;
        env.vfs.rename(&new, &path).map_err(failed)?;
        durability::sync_parent(&*env.vfs, &path, &poison)?;
        Ok(PageFile {
            vfs: Arc::clone(&env.vfs),
            file,
            path,
            poison,
            grown: AtomicBool::new(false),
            waits: NamedWaits::default(),
        })
    }

    /// Opens the file.
    pub(super) fn open(
        env: &Env,
        dir: &Path,
        direct: bool,
        poison: Arc<Poison>,
        read_only: bool,
    ) -> Result<PageFile> {
        let path = dir.join(FILE_NAME);
        let mode = if read_only {
            OpenMode::ReadOnly
        } else {
            OpenMode::ReadWrite
        };
        let file = open(env, &path, mode, direct).map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                Error::NotFound { path: dir.into() }
            } else {
                Error::io("open", &path, source)
            }
        })?;
        Ok(PageFile {
            vfs: Arc::clone(&env.vfs),
            file,
            path,
            poison,
            grown: AtomicBool::new(true),
            waits: NamedWaits::default(),
        })
    }

    /// Checks that pages of `page_size` bytes can be transferred in the way that the file was opened.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) fn check_page_size(&self, page_size: usize) -> Result<()> {
        check_block(self.file.transfer_block(), page_size)
    }

    /// The file's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The poison shared with the rest of the store.
    pub(super) fn poison(&self) -> &Poison {
        &self.poison
    }

    /// As [`PageFile::poison`], to keep.
    pub(super) fn shared_poison(&self) -> &Arc<Poison> {
        &self.poison
    }

    /// Where waits around its pages are counted.
    pub(super) fn waits(&self) -> &NamedWaits {
        &self.waits
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> Result<u64> {
        self.file
            .len()
            .map_err(|source| Error::io("read the length of", &self.path, source))
    }

    /// The superblock copies, or as many bytes of them as there are.
    pub(super) fn read_superblock_region(&self) -> Result<Vec<u8>> {
        let mut region = vec![0; REGION];
        let mut filled = 0;
        while filled < region.len() {
            match self.file.read_at(&mut region[filled..], filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::io("read", &self.path, source)),
            }
        }
        region.truncate(filled);
        Ok(region)
    }

    /// Reads the slot at `location` into `slot`, which has its length, checks the image and
    /// answers its codec and stored length.
    pub(super) fn read_image(
        &self,
        location: &Location,
        owner: Owner,
        salt: u64,
        slot: &mut [u8],
    ) -> Result<(u8, usize)> {
        let corrupt = |reason: &str| {
            let what = format!("{:?} {}: {reason}", owner.kind, owner.id);
            Error::corrupt(&self.path, location.offset(), what)
        };
        self.file
            .read_exact_at(slot, location.offset())
            .map_err(|source| {
                if source.kind() == io::ErrorKind::UnexpectedEof {
                    corrupt("the file ends before")
                } else {
                    Error::io("read", &self.path, source)
                }
            })?;
        image::check(slot, location, owner, salt).map_err(corrupt)
    }

    /// As [`PageFile::read_image`], into a payload of `payload.len()` bytes.
    pub(super) fn read_payload(
        &self,
        location: &Location,
        owner: Owner,
        salt: u64,
        payload: &mut [u8],
    ) -> Result<()> {
        let mut slot = vec![0; location.len()];
        let (codec, stored) = self.read_image(location, owner, salt, &mut slot)?;
        let stored = slot.get(image::IMAGE_HEADER..image::IMAGE_HEADER + stored);
        image::unpack(codec, stored.unwrap_or_default(), payload).map_err(|reason| {
            Error::corrupt(
                &self.path,
                location.offset(),
                format!("page {}: {reason}", owner.id),
            )
        })
    }

    /// Says that these bytes will be read soon.
    pub(super) fn will_need(&self, offset: u64, len: u64) {
        self.file.will_need(offset, len);
    }

    /// Writes `bytes` at `offset`.
    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.poison.check()?;
        durability::write(&*self.file, &self.path, bytes, offset, &self.poison)
    }

    /// Makes the file `len` bytes long with room for all of them on the disk. That there is no
    /// room poisons nothing, as nothing has been written.
    pub(super) fn grow(&self, len: u64) -> Result<()> {
        self.poison.check()?;
        let grown = self
            .waits
            .time(|waits| &waits.grow, || self.file.allocate(len));
        // After the growth and before anything is written there: the next sync must see it.
        self.grown.store(true, Ordering::Release);
        grown.map_err(|source| {
            let error = Error::io("grow", &self.path, source);
            if !error.is_disk_full() {
                self.poison.set(error.to_string());
            }
            error
        })
    }

    /// Cuts the file off at `len`, where it is longer. Nothing depends on whether that works.
    pub(super) fn cut(&self, len: u64) {
        if !self.poison.is_poisoned() && self.file.len().is_ok_and(|now| now > len) {
            let _ = self.file.set_len(len);
        }
    }

    /// Makes everything written durable, and the length where it may have changed.
    pub(super) fn sync(&self) -> Result<()> {
        self.poison.check()?;
        let sync = match self.grown.swap(false, Ordering::AcqRel) {
            true => durability::sync_all,
            false => durability::sync_data,
        };
        sync(&*self.file, &self.path, &self.poison)
    }

    /// Makes the file's name durable, which it may not be where creation was interrupted.
    pub(super) fn sync_name(&self) -> Result<()> {
        self.poison.check()?;
        durability::sync_parent(&*self.vfs, &self.path, &self.poison)
    }

    /// Makes `superblock` the file's state: two copies, a sync, the other two, a sync. `first`
    /// names copies that hold nothing of worth, which are the first to be overwritten.
    pub(super) fn write_superblock(&self, superblock: &Superblock, first: &[usize]) -> Result<()> {
        let mut order: Vec<usize> = first.to_vec();
        order.extend((0..COPIES).filter(|copy| !first.contains(copy)));
        for pair in order.chunks(COPIES / 2) {
            for copy in pair {
                self.write(&superblock.encode(*copy), (copy * COPY_SIZE) as u64)?;
            }
            self.sync()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_below_a_transfer_are_refused_with_its_size() {
        for (block, page_size) in [(1, 1024), (4096, 4096), (4096, 16384), (16384, 16384)] {
            check_block(block, page_size).unwrap();
        }
        let refused = check_block(16384, 8192).unwrap_err();
        assert!(matches!(
            refused,
            Error::Unavailable {
                option: "direct_io",
                ..
            }
        ));
        let text = refused.to_string();
        assert!(
            text.contains("of 16384 bytes") && text.contains("page_size"),
            "{text}"
        );
    }
}
