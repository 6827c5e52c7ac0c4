//! Files of COPY: who may reach which, reading and writing them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustling_storage::{OpenMode, Vfs, VfsFile};

use crate::{Error, Result, SqlState};

/// Bytes read or written at once.
const BLOCK: usize = 256 << 10;

/// Which files the statements of a session may read and write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileAccess {
    /// Those that the process may: the session belongs to the program, or to a superuser.
    #[default]
    All,
    /// Those in these directories and below. None named: no files at all. Symbolic links do not
    /// lead out.
    Beneath(Vec<PathBuf>),
}

/// What the session's user wants with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

fn refused(purpose: Purpose) -> Error {
    let (role, verb) = match purpose {
        Purpose::Read => ("pg_read_server_files", "from"),
        Purpose::Write => ("pg_write_server_files", "to"),
    };
    Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("must be superuser or have privileges of the {role} role to COPY {verb} a file"),
    )
    .hint("Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.")
}

fn failed(action: &str, path: &Path, error: &io::Error) -> Error {
    let state = match error.kind() {
        io::ErrorKind::NotFound => SqlState("58P01"),
        io::ErrorKind::PermissionDenied => SqlState::INSUFFICIENT_PRIVILEGE,
        io::ErrorKind::InvalidInput => SqlState("42602"),
        io::ErrorKind::IsADirectory => SqlState::WRONG_OBJECT_TYPE,
        io::ErrorKind::StorageFull => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    Error::new(
        state,
        format!("could not {action} file \"{}\": {error}", path.display()),
    )
}

impl FileAccess {
    fn open(
        &self,
        vfs: &dyn Vfs,
        path: &Path,
        purpose: Purpose,
        mode: OpenMode,
    ) -> Result<io::Result<Arc<dyn VfsFile>>> {
        let directories = match self {
            FileAccess::All => return Ok(vfs.open(path, mode)),
            FileAccess::Beneath(directories) => directories,
        };
        let (directory, below) = directories
            .iter()
            .find_map(|directory| Some((directory, path.strip_prefix(directory).ok()?)))
            .ok_or_else(|| refused(purpose))?;
        match vfs.open_beneath(directory, below, mode) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(refused(purpose)),
            opened => Ok(opened),
        }
    }

    /// Opens a file to be read.
    ///
    /// # Errors
    /// 42501 where the session may not, 58P01 where there is none, or whatever the system says.
    pub(super) fn read(&self, vfs: &dyn Vfs, path: &str) -> Result<FileReader> {
        let path = Path::new(path);
        let file = self
            .open(vfs, path, Purpose::Read, OpenMode::ReadOnly)?
            .map_err(|error| failed("open", path, &error))?;
        Ok(FileReader {
            path: path.to_owned(),
            file,
            at: 0,
        })
    }

    /// Opens a file to be written, emptied where there is one.
    ///
    /// # Errors
    /// As [`FileAccess::read`].
    pub(super) fn write(&self, vfs: &dyn Vfs, path: &str) -> Result<FileWriter> {
        let path = Path::new(path);
        let new = self.open(vfs, path, Purpose::Write, OpenMode::CreateNew)?;
        let file = match new {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self
                .open(vfs, path, Purpose::Write, OpenMode::ReadWrite)?
                .and_then(|file| file.set_len(0).map(|()| file)),
            opened => opened,
        };
        Ok(FileWriter {
            path: path.to_owned(),
            file: file.map_err(|error| failed("open", path, &error))?,
            at: 0,
        })
    }
}

/// Reads a file from its beginning.
pub(super) struct FileReader {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    at: u64,
}

impl FileReader {
    /// Makes `block` the next bytes; empty at the end.
    pub(super) fn next(&mut self, block: &mut Vec<u8>) -> Result<()> {
        block.resize(BLOCK, 0);
        loop {
            match self.file.read_at(block, self.at) {
                Ok(count) => {
                    block.truncate(count);
                    self.at += count as u64;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read from", &self.path, &error)),
            }
        }
    }
}

/// Writes a file from its beginning.
pub(super) struct FileWriter {
    path: PathBuf,
    file: Arc<dyn VfsFile>,
    at: u64,
}

impl FileWriter {
    /// How many bytes make a good piece for [`FileWriter::put`].
    pub(super) const PIECE: usize = BLOCK;

    /// Writes the next bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all_at(bytes, self.at)
            .map_err(|error| failed("write to", &self.path, &error))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Makes the file durable.
    pub(super) fn finish(self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|error| failed("write to", &self.path, &error))
    }
}
