//! `rustling migrate`: the steps that make a schema, from files into the database.

use std::path::{Path, PathBuf};

use rustling_sql::{
    Database,
    migrations::{Migrations, State},
};
use rustling_storage::{Env, OpenMode};

use crate::{
    args::{Common, Migrate},
    commands::{print, with_database, with_new_database},
    error::{Error, Result},
};

/// The largest file that is read as a migration.
const MAX_FILE: u64 = 64 << 20;

/// Runs `rustling migrate …`.
///
/// # Errors
/// Where the files cannot be read, a migration fails or the database differs.
pub(crate) fn migrate(path: &Path, common: &Common, dir: &Path, command: &Migrate) -> Result<()> {
    let env = Env::system();
    match command {
        Migrate::New { name, reversible } => new(&env, dir, name, *reversible),
        Migrate::Up => {
            let migrations = read(&env, dir)?;
            with_new_database(path, common, |database| up(database, &migrations))
        }
        Migrate::Down { count } => {
            let migrations = read(&env, dir)?;
            with_database(path, common, |database| {
                let done = database
                    .migrate_down(&migrations, *count)
                    .map_err(Error::Database)?;
                report(&migrations, "took back", &done)
            })
        }
        Migrate::Status => {
            let migrations = read(&env, dir)?;
            with_database(path, common, |database| status(database, &migrations))
        }
        Migrate::Check => {
            let migrations = read(&env, dir)?;
            with_database(path, common, |database| check(database, &migrations))
        }
    }
}

fn up(database: &Database, migrations: &Migrations) -> Result<()> {
    let done = database.migrate(migrations).map_err(Error::Database)?;
    report(migrations, "applied", &done)
}

fn report(migrations: &Migrations, what: &str, done: &[i64]) -> Result<()> {
    let mut text = String::new();
    for version in done {
        let name = migrations.get(*version).map_or("", |of| &of.name);
        text += &format!("{what} {version} {name}\n");
    }
    if done.is_empty() {
        text = "nothing to do\n".into();
    }
    print(&text)
}

fn word(state: State) -> &'static str {
    match state {
        State::Applied => "applied",
        State::Pending => "pending",
        State::Changed => "changed after it was applied",
        State::Unknown => "applied, but there is no such file",
    }
}

fn status(database: &Database, migrations: &Migrations) -> Result<()> {
    let all = database
        .migration_status(migrations)
        .map_err(Error::Database)?;
    let lines: String = all
        .iter()
        .map(|of| format!("{:>6}  {}: {}\n", of.version, of.name, word(of.state)))
        .collect();
    print(&lines)
}

/// Fails where the database is not what the migrations make.
fn check(database: &Database, migrations: &Migrations) -> Result<()> {
    let all = database
        .migration_status(migrations)
        .map_err(Error::Database)?;
    let mut problems: Vec<String> = all
        .iter()
        .filter(|of| of.state != State::Applied)
        .map(|of| format!("migration {} ({}): {}", of.version, of.name, word(of.state)))
        .collect();
    problems.extend(
        database
            .migration_drift(migrations)
            .map_err(Error::Database)?,
    );
    if problems.is_empty() {
        return print("the database is what the migrations make\n");
    }
    print(&format!("{}\n", problems.join("\n")))?;
    Err(Error::Drifted(problems.len()))
}

fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { action, source }
}

/// The migrations in a directory.
fn read(env: &Env, dir: &Path) -> Result<Migrations> {
    let names = names(env, dir)?.ok_or_else(|| Error::Usage {
        message: format!("there is no directory {}", dir.display()),
        hint: "rustling migrate new NAME makes the first migration; --dir names another directory"
            .into(),
    })?;
    let mut files = Vec::new();
    for name in names {
        let unreadable = |source: std::io::Error| Error::Usage {
            message: format!("cannot read {name}: {source}"),
            hint: "every file in the directory whose name ends in .sql is a migration".into(),
        };
        let file = env
            .vfs
            .open(&dir.join(&name), OpenMode::ReadOnly)
            .map_err(unreadable)?;
        let length = file.len().map_err(unreadable)?;
        if length > MAX_FILE {
            return Err(Error::Usage {
                message: format!("{name} is larger than {MAX_FILE} bytes"),
                hint: "load large data with rustling load".into(),
            });
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::Usage {
            message: format!("{name} is not UTF-8"),
            hint: "save it as UTF-8".into(),
        })?;
        files.push((name, text));
    }
    Migrations::from_files(files.iter().map(|(name, text)| (&**name, &**text)))
        .map_err(Error::Database)
}

/// The names of the SQL files in a directory, where there is one.
fn names(env: &Env, dir: &Path) -> Result<Option<Vec<String>>> {
    if !env
        .vfs
        .exists(dir)
        .map_err(io("cannot look for the directory"))?
    {
        return Ok(None);
    }
    let paths = env
        .vfs
        .read_dir(dir)
        .map_err(io("cannot list the directory"))?;
    Ok(Some(
        paths
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .filter(|name| name.ends_with(".sql"))
            .map(str::to_owned)
            .collect(),
    ))
}

/// Makes the file of the next migration.
fn new(env: &Env, dir: &Path, name: &str, reversible: bool) -> Result<()> {
    let plain: String = name
        .trim()
        .chars()
        .map(|c| {
            if c.is_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    if plain.trim_matches('_').is_empty() {
        return Err(Error::Usage {
            message: format!("{name:?} is no name"),
            hint: "say what the migration does: rustling migrate new add_email".into(),
        });
    }
    env.vfs
        .create_dir_all(dir)
        .map_err(io("cannot make the directory"))?;
    let last = names(env, dir)?
        .unwrap_or_default()
        .iter()
        .filter_map(|name| {
            name.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        })
        .max()
        .unwrap_or(0i64);
    let next = last.checked_add(1).ok_or_else(|| Error::Usage {
        message: format!("there is no number after {last}"),
        hint: "give the migrations smaller numbers".into(),
    })?;
    let endings: &[&str] = if reversible {
        &["up.sql", "down.sql"]
    } else {
        &["sql"]
    };
    let mut made = String::new();
    for ending in endings {
        let path: PathBuf = dir.join(format!("{next:04}_{plain}.{ending}"));
        let file = env
            .vfs
            .open(&path, OpenMode::CreateNew)
            .map_err(io("cannot make the file"))?;
        let text = format!("-- {}\n", name.trim());
        file.write_all_at(text.as_bytes(), 0)
            .and_then(|()| file.sync_all())
            .map_err(io("cannot write the file"))?;
        made += &format!("{}\n", path.display());
    }
    print(&made)
}
