//! Opening the database that a command works on.

use std::path::Path;

use rustling_sql::{Database, DatabaseOptions, SqlState};
use rustling_storage::{Codec, StoreOptions, TableReads};

use crate::{
    args::Common,
    attach::Remote,
    config::Config,
    connection::Opened,
    error::{Error, Result},
};

/// Whether a command may make a new database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make it.
    Create,
    /// Say so.
    Refuse,
}

/// Opens the database at `path`, or attaches to the process that holds it.
///
/// # Errors
/// Where it is not there (and may not be made), damaged or not permitted, or in use by a process
/// that does not serve it.
pub(crate) fn open_or_attach(path: &Path, common: &Common, missing: Missing) -> Result<Opened> {
    match open_files(path, common, missing) {
        Err(Error::Database(error)) if error.state() == IN_USE => {
            Ok(Opened::Attached(Box::new(Remote::attach(path)?)))
        }
        opened => opened.map(Opened::Own),
    }
}

/// Another process holds the database.
const IN_USE: SqlState = SqlState("55006");

/// What the configuration says of the store; what nobody has set stays as it is.
fn store_options(config: &Config, options: &mut StoreOptions) -> Result<()> {
    let set = |name: &str| config.is_set(name).then(|| config.number(name));
    let time = |name: &str| config.time(name).filter(|_| config.is_set(name));
    if let Some(bytes) = set("memory.limit") {
        options.memory_budget = bytes;
    }
    if let Some(bytes) = set("storage.page_size") {
        options.page_size = match bytes {
            4096 | 8192 | 16384 => bytes as u32,
            other => {
                return Err(Error::Usage {
                    message: format!("storage.page_size: pages of {other} bytes there are none"),
                    hint: "4KiB, 8KiB or 16KiB".into(),
                });
            }
        };
    }
    let word = |name: &str| config.text(name).filter(|_| config.is_set(name));
    match word("storage.compression") {
        Some("lz4") => options.codec = Codec::Lz4,
        Some("zstd") => options.codec = Codec::Zstd { level: 3 },
        Some(_) => options.codec = Codec::None,
        None => {}
    }
    match word("storage.table_reads") {
        Some("mapped") => options.table_reads = TableReads::Mapped,
        Some(_) => options.table_reads = TableReads::Positional,
        None => {}
    }
    if config.is_set("storage.direct_io") {
        options.direct_io = config.truth("storage.direct_io");
    }
    if config.is_set("storage.huge_pages") {
        options.huge_pages = config.truth("storage.huge_pages");
    }
    if let Some(bytes) = set("wal.segment") {
        options.wal_segment_bytes = bytes as u64;
    }
    if let Some(count) = set("wal.kept_segments") {
        options.wal_kept_segments = count;
    }
    if config.is_set("wal.io_uring") {
        options.wal_io_uring = config.truth("wal.io_uring");
    }
    if let Some(bytes) = set("wal.compress_above") {
        options.wal_compress_above = bytes;
    }
    if let Some(after) = time("wal.async_flush") {
        options.async_flush_interval = after;
    }
    if let Some(bytes) = set("checkpoint.wal") {
        options.checkpoint_wal_bytes = bytes as u64;
    }
    if let Some(interval) = time("checkpoint.interval") {
        options.checkpoint_interval = interval;
    }
    Ok(())
}

/// Opens the database at `path` for a command that needs its files.
///
/// # Errors
/// Where it is not there (and may not be made), in use, damaged or not permitted.
pub(crate) fn open(path: &Path, common: &Common, missing: Missing) -> Result<Database> {
    open_files(path, common, missing).map_err(|error| match error {
        Error::Database(error) if error.state() == IN_USE => Error::Usage {
            message: format!(
                "{} is in use by another process, and this command needs its files",
                path.display()
            ),
            hint: "end that process first, or have it do the work: rustling query and the shell \
                   attach to a process that serves its database, and SQL has COPY for data, \
                   CREATE ROLE for users and the schema sys for statistics"
                .into(),
        },
        other => other,
    })
}

fn open_files(path: &Path, common: &Common, missing: Missing) -> Result<Database> {
    let config = Config::read(path, common, None)?;
    let mut options = DatabaseOptions::default();
    options.store.create = missing == Missing::Create;
    store_options(&config, &mut options.store)?;
    if missing == Missing::Refuse {
        let exists = options
            .env
            .vfs
            .exists(path)
            .map_err(|source| rustling_storage::Error::io("look for", path, source))?;
        if !exists {
            return Err(Error::NoDatabase(path.display().to_string()));
        }
    }
    Database::open_with(path, options).map_err(Error::Database)
}
