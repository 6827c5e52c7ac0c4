//! When bytes count as durable: every flush of the log and of directories, and the one order in
//! which durable things replace each other.
//!
//! - A new file is flushed, then its directory, and only then does anything refer to it.
//! - A checkpoint goes **data → superblock → log truncation**: the page store flushes the pages,
//!   then the superblock that names them; the log segments that it makes superfluous are
//!   unlinked last, and nothing depends on that unlink being durable.
//! - A failed write or flush is never tried again. It poisons the store, because the system may
//!   have dropped the bytes and will still answer "done" the next time.

use std::path::Path;

use crate::{
    env::Env,
    error::{Error, Result},
    page::{FrozenCheckpoint, PageStore},
    poison::Poison,
    vfs::{Vfs, VfsFile},
};

/// When a commit answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// After its log record is on disk. Nothing acknowledged is ever lost.
    #[default]
    Sync,
    /// At once; the log is flushed within [`crate::StoreOptions::async_flush_interval`].
    Async,
    /// At once; durable with the next flush or checkpoint for any reason.
    None,
}

/// Makes the written bytes of `file` durable.
pub(crate) fn sync_data(file: &dyn VfsFile, path: &Path, poison: &Poison) -> Result<()> {
    poison.guard(
        file.sync_data()
            .map_err(|error| Error::io("flush", path, error)),
    )
}

/// Makes the written bytes and the length of `file` durable.
pub(crate) fn sync_all(file: &dyn VfsFile, path: &Path, poison: &Poison) -> Result<()> {
    poison.guard(
        file.sync_all()
            .map_err(|error| Error::io("flush", path, error)),
    )
}

/// Makes a new file's bytes, length and name durable. Only then may anything refer to it.
pub(crate) fn sync_new_file(
    vfs: &dyn Vfs,
    file: &dyn VfsFile,
    path: &Path,
    poison: &Poison,
) -> Result<()> {
    sync_all(file, path, poison)?;
    sync_parent(vfs, path, poison)
}

/// Makes the name of `path` durable. Where there are too many open files it is not, and nothing
/// else has happened; any other failure poisons.
pub(crate) fn sync_parent(vfs: &dyn Vfs, path: &Path, poison: &Poison) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let synced = vfs
        .sync_dir(parent)
        .map_err(|error| Error::io("flush", parent, error));
    match synced {
        // The directory could not even be opened: no flush has been tried, so none has failed, and
        // trying it later is as good.
        Err(error) if error.is_out_of_files() => Err(error),
        synced => poison.guard(synced),
    }
}

/// Writes `bytes` at `offset`. A failure poisons: part of them may have been written.
pub(crate) fn write(
    file: &dyn VfsFile,
    path: &Path,
    bytes: &[u8],
    offset: u64,
    poison: &Poison,
) -> Result<()> {
    poison.guard(
        file.write_all_at(bytes, offset)
            .map_err(|error| Error::io("write", path, error)),
    )
}

/// Writes `bytes` at `offset` and makes them and what was written before durable. A failure
/// poisons.
pub(crate) fn write_synced(
    file: &dyn VfsFile,
    path: &Path,
    bytes: &[u8],
    offset: u64,
    poison: &Poison,
) -> Result<()> {
    poison.guard(
        file.write_synced_at(bytes, offset)
            .map_err(|error| Error::io("write and flush", path, error)),
    )
}

/// Makes `frozen` the durable checkpoint, and then removes what it makes superfluous.
pub(crate) fn install_checkpoint(
    pages: &PageStore,
    frozen: FrozenCheckpoint,
    unlink_superfluous: impl FnOnce(),
) -> Result<()> {
    pages.write_checkpoint(frozen)?;
    unlink_superfluous();
    Ok(())
}

/// Removes a file that nothing refers to any more. Answers whether it is gone: a file that
/// stays takes space and does no other harm.
pub(crate) fn unlink(env: &Env, path: &Path) -> bool {
    match env.vfs.remove_file(path) {
        Ok(()) => true,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
