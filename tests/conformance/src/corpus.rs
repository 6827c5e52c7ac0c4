//! Where the corpora are, and reading them: beside this crate, the large ones compressed.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// The folder of a corpus.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Reads a text file, decompressing `.zst`.
///
/// # Errors
/// Where it cannot be read or is not UTF-8.
pub fn read(path: &Path) -> Result<String> {
    let failed = |source| Error::File {
        path: path.into(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::Decoder::new(file)
            .and_then(|mut decoder| decoder.read_to_string(&mut text))
            .map_err(failed)?;
    } else {
        std::io::BufReader::new(file)
            .read_to_string(&mut text)
            .map_err(failed)?;
    }
    Ok(text)
}

/// The files below `folder` whose names end with `suffix`, in the order of their paths.
///
/// # Errors
/// Where a folder cannot be read.
pub fn files(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |source| Error::File {
            path: folder.clone(),
            source,
        };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
