//! The files that the compiler reads with us: manifests, migrations, SQL.

use std::{
    cell::LazyCell,
    env, fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::SystemTime,
};

/// A file with what tells whether it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

/// Whether files are taken to stay as they were read first: in the compiler's own processes, which
/// end with the package. Hundreds of statements would ask the system for them hundreds of times.
/// Processes that live on, as those of editors do, see every change.
pub(crate) fn stay_as_read() -> bool {
    static STAY: LazyLock<bool> = LazyLock::new(|| {
        let program = env::current_exe().ok();
        let name = program.as_deref().and_then(Path::file_stem);
        name.is_some_and(|name| {
            ["rustc", "clippy-driver", "rustdoc"]
                .iter()
                .any(|compiler| name == *compiler)
        })
    });
    *STAY
}

/// The directory of the package that is being compiled.
pub(crate) fn package_directory() -> Result<PathBuf, String> {
    env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .ok_or_else(|| "CARGO_MANIFEST_DIR is not set: compile with cargo".to_owned())
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Whether there is a file or directory.
pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

/// A file, or the `*.sql` files of a directory in their order: those that make the
/// schema, not what takes it back (`*.down.sql`).
pub(crate) fn schema_files(path: &Path) -> io::Result<Vec<Stamp>> {
    let mut stamps = sql_files(path)?;
    stamps.retain(|stamp| {
        let name = stamp.path.file_name().unwrap_or_default();
        !name.to_string_lossy().ends_with(".down.sql")
    });
    Ok(stamps)
}

/// A file, or all `*.sql` files of a directory: in the order of the numbers that their names begin
/// with, as migrations are applied; behind these the others by name.
pub(crate) fn sql_files(path: &Path) -> io::Result<Vec<Stamp>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![stamp(path.to_owned())?]);
    }
    let mut stamps = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            stamps.push(stamp(path)?);
        }
    }
    stamps.sort_by_cached_key(|stamp| (number(&stamp.path), stamp.path.clone()));
    Ok(stamps)
}

/// The number that a file's name begins with; the largest of all where there is none.
fn number(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digits = name
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(name.len());
    name[..digits].parse().unwrap_or(u64::MAX)
}

fn stamp(path: PathBuf) -> io::Result<Stamp> {
    let metadata = fs::metadata(&path)?;
    Ok(Stamp {
        length: metadata.len(),
        modified: metadata.modified().ok(),
        path,
    })
}

/// What the package's manifest says that concerns us.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manifest {
    /// `[package.metadata.rustling] migrations = "…"`.
    pub(crate) migrations: Option<String>,
    /// The name under which the package depends on `rustling-query`, where not its own.
    pub(crate) renamed: Option<String>,
}

/// The package that users depend on.
const PACKAGE: &str = "rustling-query";

/// The name under which a package depends on ours, where not its own. What stands in
/// `[dependencies]` counts before what only its tests or one target has.
fn renamed(manifest: &toml::Table, directory: &Path) -> Option<String> {
    let of_targets = manifest.get("target").and_then(toml::Value::as_table);
    let targets = of_targets.into_iter().flat_map(toml::Table::values);
    let mut sections = std::iter::once(manifest)
        .chain(targets.filter_map(toml::Value::as_table))
        .flat_map(|of| [of.get("dependencies"), of.get("dev-dependencies")])
        .filter_map(|section| section?.as_table());
    let is_ours = |dependency: &toml::Value| {
        dependency.get("package").and_then(toml::Value::as_str) == Some(PACKAGE)
    };
    let is_inherited = |dependency: &toml::Value| {
        dependency.get("workspace").and_then(toml::Value::as_bool) == Some(true)
    };
    // Read only where something is inherited.
    let of_workspace = LazyCell::new(|| dependencies_of_workspace(directory));
    let is_ours_there = |name: &str| {
        let of_workspace = LazyCell::force(&of_workspace).as_ref();
        of_workspace
            .and_then(|of| of.get(name))
            .is_some_and(is_ours)
    };
    let name = sections.find_map(|section| {
        if section.contains_key(PACKAGE) {
            return Some(PACKAGE);
        }
        let own = section.iter().find(|(_, of)| is_ours(of));
        let found = own.or_else(|| {
            section
                .iter()
                .find(|(name, of)| is_inherited(of) && is_ours_there(name))
        });
        found.map(|(name, _)| name.as_str())
    })?;
    (name != PACKAGE).then(|| name.replace('-', "_"))
}

/// The dependencies that the packages of the workspace around a package may inherit.
fn dependencies_of_workspace(directory: &Path) -> Option<toml::Table> {
    // The first workspace upwards is the package's.
    let workspace = directory.ancestors().find_map(|directory| {
        let text = fs::read_to_string(directory.join("Cargo.toml")).ok()?;
        let mut table = text.parse::<toml::Table>().ok()?;
        table.remove("workspace")
    })?;
    workspace.get("dependencies")?.as_table().cloned()
}

/// Reads the manifest of a package; what cannot be read says nothing.
pub(crate) fn manifest(directory: &Path) -> Manifest {
    let Ok(text) = fs::read_to_string(directory.join("Cargo.toml")) else {
        return Manifest::default();
    };
    let Ok(table) = text.parse::<toml::Table>() else {
        return Manifest::default();
    };
    let migrations = ["package", "metadata", "rustling", "migrations"]
        .iter()
        .try_fold(&toml::Value::Table(table.clone()), |value, key| {
            value.get(key)
        })
        .and_then(|value| value.as_str().map(str::to_owned));
    let renamed = renamed(&table, directory);
    Manifest {
        migrations,
        renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This process is none that ends with the package that it compiles.
    #[test]
    fn other_programs_than_the_compiler_see_changes() {
        assert!(!stay_as_read());
    }

    /// What only the tests have does not say what the package itself is compiled with.
    #[test]
    fn the_name_in_dependencies_counts_first() {
        let name = |manifest: &str| {
            let manifest: toml::Table = manifest.parse().unwrap();
            renamed(&manifest, Path::new("/"))
        };
        let plain = "[dev-dependencies]\nrustling-query = \"1\"\n";
        let other = "db-layer = { package = \"rustling-query\", version = \"1\" }\n";
        let found = name(&format!("[dependencies]\n{other}{plain}"));
        assert_eq!(found.as_deref(), Some("db_layer"));
        let of_target = format!("[target.'cfg(unix)'.dependencies]\n{other}");
        assert_eq!(name(&format!("{plain}{of_target}")), None);
        assert_eq!(name(&of_target).as_deref(), Some("db_layer"));
        assert_eq!(name("[dependencies]\nserde = \"1\"\n"), None);
    }

    #[test]
    fn ten_comes_after_two() {
        let mut names = ["10_c.sql", "later.sql", "0001_a.sql", "2_b.sql"];
        names.sort_by_key(|name| (number(Path::new(name)), *name));
        assert_eq!(names, ["0001_a.sql", "2_b.sql", "10_c.sql", "later.sql"]);
    }
}
