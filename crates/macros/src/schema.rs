//! The schema that the package's migrations make.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use proc_macro2::TokenStream;
use quote::quote;
use rustling_sql::schema::Schema;

use crate::files::{self, Manifest, Stamp};

/// A schema with the files that it comes from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) schema: Schema,
    pub(crate) files: Vec<Stamp>,
}

impl Loaded {
    /// Where it comes from, to be shown.
    pub(crate) fn place(&self) -> String {
        let path = match self.files.as_slice() {
            [only] => only.path.as_path(),
            [first, ..] => first.path.parent().unwrap_or(&first.path),
            [] => Path::new(DIRECTORY),
        };
        let mut place = path.display().to_string();
        // Whoever has both may take the other for what counts.
        let directory = self.files.first().and_then(|file| file.path.parent());
        if let Some(directory) = directory.filter(|of| of.ends_with(DIRECTORY))
            && files::exists(&directory.with_file_name(FILE))
        {
            place += &format!("; {FILE} beside that directory is not read");
        }
        place
    }
}

/// Where migrations are, unless the manifest says otherwise.
const DIRECTORY: &str = "migrations";
/// What makes the schema where there is no such directory.
const FILE: &str = "schema.sql";

/// The schemas that were loaded in this run of the compiler, by path.
static SCHEMAS: OnceLock<Mutex<HashMap<PathBuf, Entry>>> = OnceLock::new();

struct Entry {
    loaded: Arc<Loaded>,
    /// Whether some expansion has told the compiler of the files.
    tracked: bool,
}

impl Entry {
    /// What tells the compiler of the files; nothing where it has been told.
    fn tracking(&mut self) -> TokenStream {
        if std::mem::replace(&mut self.tracked, true) {
            return TokenStream::new();
        }
        track(self.loaded.files.iter().map(|stamp| stamp.path.as_path()))
    }
}

/// Where the migrations of the package are: at `explicit`, or where its manifest says, or in
/// `migrations` or `schema.sql`.
pub(crate) fn locate(explicit: Option<&str>) -> Result<PathBuf, String> {
    let directory = files::package_directory()?;
    if let Some(path) = explicit {
        return Ok(directory.join(path));
    }
    if !files::stay_as_read() {
        return locate_in(&directory);
    }
    // Such a process compiles one package.
    static LOCATED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    LOCATED.get_or_init(|| locate_in(&directory)).clone()
}

/// Where the migrations of a package are when nothing but the package says so.
fn locate_in(directory: &Path) -> Result<PathBuf, String> {
    let Manifest { migrations, .. } = cached_manifest(directory);
    if let Some(path) = migrations {
        return Ok(directory.join(path));
    }
    let found = [DIRECTORY, FILE]
        .iter()
        .map(|name| directory.join(name))
        .find(|path| files::exists(path));
    found.ok_or_else(|| {
        format!(
            "there are no migrations in {}\n\
             HINT:  Put the CREATE TABLE statements into migrations/0001_start.sql or schema.sql \
             beside Cargo.toml, or say where they are in Cargo.toml:\n\
             \x20      [package.metadata.rustling]\n\
             \x20      migrations = \"path\"",
            directory.display()
        )
    })
}

/// The manifest, read once.
pub(crate) fn cached_manifest(directory: &Path) -> Manifest {
    static MANIFESTS: OnceLock<Mutex<HashMap<PathBuf, Manifest>>> = OnceLock::new();
    let mut manifests = MANIFESTS
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    manifests
        .entry(directory.to_owned())
        .or_insert_with(|| files::manifest(directory))
        .clone()
}

/// The schema at a path, and what makes the compiler come back when its files change.
///
/// The first expansion of a run tells the compiler of the files, once for all: with hundreds of
/// statements and migrations it would otherwise be told so many thousand times.
pub(crate) fn load(path: &Path) -> Result<(Arc<Loaded>, TokenStream), String> {
    let mut schemas = SCHEMAS
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if files::stay_as_read()
        && let Some(entry) = schemas.get_mut(path)
    {
        return Ok((Arc::clone(&entry.loaded), entry.tracking()));
    }
    let stamps = files::schema_files(path).map_err(|error| {
        format!(
            "cannot read the migrations in {}: {error}\n\
             HINT:  Paths are relative to the directory of Cargo.toml.",
            path.display()
        )
    })?;
    if stamps.is_empty() {
        return Err(format!(
            "there is no .sql file in {}\n\
             HINT:  Put the CREATE TABLE statements into a file such as 0001_start.sql there.",
            path.display()
        ));
    }
    let current = schemas
        .get(path)
        .filter(|entry| entry.loaded.files == stamps)
        .map(|entry| Arc::clone(&entry.loaded));
    let loaded = match current {
        Some(loaded) => loaded,
        None => {
            let mut schema = Schema::default();
            for stamp in &stamps {
                let text = files::read(&stamp.path)?;
                schema.apply(&text).map_err(|error| {
                    let shown = crate::query::render(&error, &text);
                    format!("in {}:\n{shown}", stamp.path.display())
                })?;
            }
            let loaded = Arc::new(Loaded {
                schema,
                files: stamps,
            });
            let entry = Entry {
                loaded: Arc::clone(&loaded),
                tracked: false,
            };
            schemas.insert(path.to_owned(), entry);
            loaded
        }
    };
    let tracking = schemas.get_mut(path).map(Entry::tracking);
    Ok((loaded, tracking.unwrap_or_default()))
}

/// Has the compiler run again when one of the files changes.
pub(crate) fn track<'a>(paths: impl Iterator<Item = &'a Path>) -> TokenStream {
    let includes = paths.filter_map(|path| {
        let path = path.to_str()?;
        Some(quote! { const _: &[u8] = ::core::include_bytes!(#path); })
    });
    quote! { #(#includes)* }
}
