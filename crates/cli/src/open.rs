//! Opening the database that a command works on.

use std::path::Path;

use rustling_sql::{Database, DatabaseOptions};

use crate::{
    args::Common,
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

/// Opens the database at `path`.
///
/// # Errors
/// Where it is not there (and may not be made), in use, damaged or not permitted.
pub(crate) fn open(path: &Path, common: &Common, missing: Missing) -> Result<Database> {
    let mut options = DatabaseOptions::default();
    options.store.create = missing == Missing::Create;
    if let Some(memory) = common.memory {
        options.store.memory_budget = memory;
    }
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
