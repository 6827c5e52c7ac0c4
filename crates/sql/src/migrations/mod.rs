//! Migrations: the steps that make a schema, in order, each once.
//!
//! A migration is a file `0003_add_email.sql`, or two, `0003_add_email.up.sql` and
//! `0003_add_email.down.sql`, where the step can be taken back. The number orders them; what was
//! applied is kept in the table `rustling_migrations` with the checksum of its text.
//!
//! `Database::migrate` applies them; `drift` compares what they make with what a database has.

#[cfg(feature = "engine")]
mod drift;

use std::{borrow::Cow, collections::BTreeMap};

use md5::{Digest, Md5};

use crate::{
    ast::StatementKind,
    error::{Error, Result, SqlState},
    parser,
    schema::Schema,
};

#[cfg(feature = "engine")]
pub use drift::drift;

/// The table that says which migrations were applied.
pub const TABLE: &str = "rustling_migrations";

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What its file is called behind the number.
    pub name: Cow<'static, str>,
    /// The script that takes the step.
    pub up: Cow<'static, str>,
    /// The script that takes it back.
    pub down: Option<Cow<'static, str>>,
}

impl Migration {
    /// What tells whether the text has changed: line ends do not count.
    #[must_use]
    pub fn checksum(&self) -> String {
        let digest = Md5::digest(self.up.replace("\r\n", "\n"));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Fails where the script could not run in a transaction of the runner's.
    ///
    /// # Errors
    /// 42601 and the like where it cannot be parsed; 2D000 where it begins or ends transactions.
    pub fn check_script(script: &str) -> Result<()> {
        for statement in parser::parse(script)? {
            if matches!(statement.kind, StatementKind::Transaction(_)) {
                return Err(Error::new(
                    SqlState("2D000"),
                    "a migration runs in a transaction of its own and cannot end it",
                )
                .at(statement.span)
                .hint("Leave out BEGIN and COMMIT."));
            }
        }
        Ok(())
    }
}

/// Migrations in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrations(Cow<'static, [Migration]>);

impl Migrations {
    /// Migrations that are known to be in order: those of `migrate!()`.
    #[must_use]
    pub const fn of(migrations: &'static [Migration]) -> Migrations {
        Migrations(Cow::Borrowed(migrations))
    }

    /// The migrations of these files, each with its name and text. Other files than `*.sql` do
    /// not count.
    ///
    /// ```
    /// use rustling_sql::migrations::Migrations;
    ///
    /// let migrations = Migrations::from_files([
    ///     ("0002_email.sql", "ALTER TABLE users ADD COLUMN email text"),
    ///     ("0001_users.up.sql", "CREATE TABLE users (id int)"),
    ///     ("0001_users.down.sql", "DROP TABLE users"),
    /// ])?;
    /// let names: Vec<_> = migrations.iter().map(|migration| &*migration.name).collect();
    /// assert_eq!(names, ["users", "email"]);
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// 42602 for a name without a number or with another's, and for a way down without one up.
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Migrations> {
        let mut found: BTreeMap<i64, (String, Option<String>, Option<String>)> = BTreeMap::new();
        for (file, text) in files {
            let Some(stem) = file.strip_suffix(".sql") else {
                continue;
            };
            let (stem, is_down) = match stem.strip_suffix(".down") {
                Some(stem) => (stem, true),
                None => (stem.strip_suffix(".up").unwrap_or(stem), false),
            };
            let digits = stem
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(stem.len());
            let Ok(version) = stem[..digits].parse::<i64>() else {
                let what = if digits == 0 {
                    "does not begin with a number"
                } else {
                    "begins with too large a number"
                };
                return Err(misnamed(file, what).hint("Call it 0001_what_it_does.sql."));
            };
            let name = stem[digits..]
                .trim_start_matches(['_', '-', '.'])
                .to_owned();
            let entry = found
                .entry(version)
                .or_insert_with(|| (name.clone(), None, None));
            let place = if is_down { &mut entry.2 } else { &mut entry.1 };
            if entry.0 != name || place.is_some() {
                let what = format!("has the number of another, \"{}\"", entry.0);
                return Err(misnamed(file, &what).hint("Give it the next number."));
            }
            *place = Some(text.to_owned());
        }
        let mut migrations = Vec::with_capacity(found.len());
        for (version, (name, up, down)) in found {
            let Some(up) = up else {
                let file = format!("{version}_{name}");
                return Err(misnamed(&file, "has only a way down")
                    .hint("Write the way up into a file of its name that ends in .up.sql."));
            };
            migrations.push(Migration {
                version,
                name: name.into(),
                up: up.into(),
                down: down.map(Cow::Owned),
            });
        }
        Ok(Migrations(migrations.into()))
    }

    /// In order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Migration> {
        self.0.iter()
    }

    /// Of that number.
    #[must_use]
    pub fn get(&self, version: i64) -> Option<&Migration> {
        self.0.iter().find(|migration| migration.version == version)
    }

    /// The schema that those up to a version make.
    ///
    /// # Errors
    /// What a migration fails with.
    pub fn schema(&self, through: i64) -> Result<Schema> {
        let mut schema = Schema::default();
        for migration in self.0.iter().take_while(|of| of.version <= through) {
            schema.apply(&migration.up)?;
        }
        Ok(schema)
    }
}

/// How a migration stands in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Applied, with the text that it has.
    Applied,
    /// Not applied yet.
    Pending,
    /// Applied, with another text.
    Changed,
    /// Applied, and not among the migrations.
    Unknown,
}

/// A migration's state in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: State,
}

fn misnamed(file: &str, what: &str) -> Error {
    Error::new(
        SqlState("42602"),
        format!("the migration \"{file}\" {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let fails = |files: &[(&str, &str)]| {
            let error = Migrations::from_files(files.iter().copied()).unwrap_err();
            assert_eq!(error.state(), SqlState("42602"), "{files:?}");
        };
        fails(&[("users.sql", "")]);
        fails(&[("1_a.sql", ""), ("01_b.sql", "")]);
        fails(&[("1_a.sql", ""), ("1_a.up.sql", "")]);
        fails(&[("1_a.down.sql", "")]);
        fails(&[("99999999999999999999_a.sql", "")]);
        let read = Migrations::from_files([("README.md", ""), ("7-x.sql", "SELECT 1")]).unwrap();
        assert_eq!(read.get(7).unwrap().name, "x");
    }

    #[test]
    fn line_ends_do_not_change_the_checksum() {
        let of = |text: &'static str| {
            let migrations = Migrations::from_files([("1.sql", text)]).unwrap();
            migrations.get(1).unwrap().checksum()
        };
        assert_eq!(of("SELECT\n1"), of("SELECT\r\n1"));
        assert_ne!(of("SELECT 1"), of("SELECT 2"));
    }

    #[test]
    fn transactions_are_the_runners() {
        let error = Migration::check_script("CREATE TABLE t (x int); COMMIT").unwrap_err();
        assert_eq!(error.span().map(|span| span.start), Some(24));
        Migration::check_script("CREATE TABLE t (x int)").unwrap();
    }
}
