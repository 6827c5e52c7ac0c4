//! Applying migrations.

use crate::{
    Database, Error, Result, Session, SqlState, Value,
    migrations::{Migration, Migrations, State, Status, TABLE, drift},
};

/// How often the table of migrations is looked for while another runner makes it.
const ATTEMPTS: u32 = 8;

/// Below every migration.
const NOTHING: i64 = i64::MIN;

/// A row of the table.
struct Applied {
    version: i64,
    name: String,
    checksum: String,
}

impl Database {
    /// Applies the migrations that have not been applied yet, each in a transaction of its own;
    /// gives their numbers. Of several programs that do so at once one applies each.
    ///
    /// ```
    /// use rustling_sql::{Database, migrations::Migrations};
    ///
    /// let migrations = Migrations::from_files([("1_users.sql", "CREATE TABLE users (id int)")])?;
    /// let db = Database::in_memory()?;
    /// assert_eq!(db.migrate(&migrations)?, [1]);
    /// assert_eq!(db.migrate(&migrations)?, []);
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// What a migration fails with: it leaves nothing behind, those before it stay. 55000 where
    /// an applied migration has changed, is not among these, or one before it was not applied.
    pub fn migrate(&self, migrations: &Migrations) -> Result<Vec<i64>> {
        for migration in migrations.iter() {
            Migration::check_script(&migration.up)
                .map_err(|error| named(error, migration, &migration.up))?;
        }
        let mut session = self.session();
        make_table(&mut session)?;
        let mut done = Vec::new();
        loop {
            let step = in_turn(&mut session, |session, applied| {
                let Some(next) = next(migrations, applied)? else {
                    return Ok(None);
                };
                session
                    .execute_script(&next.up)
                    .map_err(|error| named(error, next, &next.up))?;
                session.execute(
                    &format!("INSERT INTO {TABLE} (version, name, checksum) VALUES ($1, $2, $3)"),
                    (next.version, next.name.as_ref(), next.checksum()),
                )?;
                Ok(Some(next.version))
            })?;
            match step {
                Some(version) => done.push(version),
                None => return Ok(done),
            }
        }
    }

    /// Takes back the last `count` migrations, the newest first; gives their numbers.
    ///
    /// # Errors
    /// What a script fails with; 55000 where a migration has no way down.
    pub fn migrate_down(&self, migrations: &Migrations, count: usize) -> Result<Vec<i64>> {
        let mut session = self.session();
        make_table(&mut session)?;
        let mut done = Vec::new();
        while done.len() < count {
            let step = in_turn(&mut session, |session, applied| {
                let Some(last) = applied.last() else {
                    return Ok(None);
                };
                let migration = migrations
                    .get(last.version)
                    .ok_or_else(|| refused(format!("{} is not among the migrations", of(last))))?;
                let down = migration.down.as_deref().ok_or_else(|| {
                    refused(format!("{} has no way down", of(last))).hint(
                        "Write one into a file of its name that ends in .down.sql, or a migration \
                         that undoes it.",
                    )
                })?;
                Migration::check_script(down).map_err(|error| named(error, migration, down))?;
                session
                    .execute_script(down)
                    .map_err(|error| named(error, migration, down))?;
                session.execute(
                    &format!("DELETE FROM {TABLE} WHERE version = $1"),
                    (last.version,),
                )?;
                Ok(Some(last.version))
            })?;
            match step {
                Some(version) => done.push(version),
                None => break,
            }
        }
        Ok(done)
    }

    /// How each migration stands, applied ones that are not among these included.
    ///
    /// # Errors
    /// Where the table of migrations cannot be read.
    pub fn migration_status(&self, migrations: &Migrations) -> Result<Vec<Status>> {
        let applied = self.applied_migrations()?;
        let mut all: Vec<Status> = migrations
            .iter()
            .map(|migration| Status {
                version: migration.version,
                name: migration.name.to_string(),
                state: match applied.iter().find(|row| row.version == migration.version) {
                    None => State::Pending,
                    Some(row) if row.checksum == migration.checksum() => State::Applied,
                    Some(_) => State::Changed,
                },
            })
            .collect();
        all.extend(
            applied
                .into_iter()
                .filter(|row| migrations.get(row.version).is_none())
                .map(|row| Status {
                    version: row.version,
                    name: row.name,
                    state: State::Unknown,
                }),
        );
        all.sort_by_key(|status| status.version);
        Ok(all)
    }

    /// What the database has that its applied migrations do not make, and the other way round: a
    /// line for each difference.
    ///
    /// # Errors
    /// Where the table of migrations cannot be read, or a migration fails.
    pub fn migration_drift(&self, migrations: &Migrations) -> Result<Vec<String>> {
        let last = self
            .applied_migrations()?
            .last()
            .map_or(NOTHING, |row| row.version);
        drift(&migrations.schema(last)?, &self.catalog().with_public())
    }

    fn applied_migrations(&self) -> Result<Vec<Applied>> {
        match applied(&mut self.session()) {
            Err(error) if error.state() == SqlState::UNDEFINED_TABLE => Ok(Vec::new()),
            result => result,
        }
    }
}

/// Runs `step` in a transaction in which nobody else migrates, with what has been applied.
fn in_turn<R>(
    session: &mut Session,
    step: impl FnOnce(&mut Session, &[Applied]) -> Result<R>,
) -> Result<R> {
    session.execute("BEGIN ISOLATION LEVEL READ COMMITTED", ())?;
    let result = session
        .execute(&format!("LOCK TABLE {TABLE} IN EXCLUSIVE MODE"), ())
        .and_then(|_| applied(session))
        .and_then(|applied| step(session, &applied));
    match result {
        Ok(given) => {
            session.commit()?;
            Ok(given)
        }
        Err(error) => {
            // The first error is the one that tells something.
            let _ = session.rollback();
            Err(error)
        }
    }
}

fn make_table(session: &mut Session) -> Result<()> {
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (version bigint PRIMARY KEY, name text NOT NULL, \
         checksum text NOT NULL, applied_at timestamp with time zone NOT NULL DEFAULT now())"
    );
    let mut attempt = 0;
    loop {
        match session.execute(&sql, ()) {
            Ok(_) => return Ok(()),
            // Another runner has just made it.
            Err(error)
                if attempt < ATTEMPTS
                    && (error.is_retryable() || error.state() == SqlState::DUPLICATE_TABLE) =>
            {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn applied(session: &mut Session) -> Result<Vec<Applied>> {
    let sql = format!("SELECT version, name, checksum FROM {TABLE} ORDER BY version");
    let rows: Vec<(i64, String, String)> = session.query(&sql, Vec::<Value>::new())?.read_all()?;
    Ok(rows
        .into_iter()
        .map(|(version, name, checksum)| Applied {
            version,
            name,
            checksum,
        })
        .collect())
}

/// The first migration that has not been applied, where all before it have.
fn next<'m>(migrations: &'m Migrations, applied: &[Applied]) -> Result<Option<&'m Migration>> {
    for row in applied {
        let Some(migration) = migrations.get(row.version) else {
            return Err(refused(format!("{} is not among the migrations", of(row)))
                .hint("The database was migrated by a newer program: use that one."));
        };
        if migration.checksum() != row.checksum {
            return Err(
                refused(format!("{} was changed after it was applied", of(row))).hint(
                    "Put the file back as it was, and write what is new into a new migration.",
                ),
            );
        }
    }
    let last = applied.last().map_or(NOTHING, |row| row.version);
    let Some(next) = migrations
        .iter()
        .find(|migration| applied.iter().all(|row| row.version != migration.version))
    else {
        return Ok(None);
    };
    if next.version < last {
        return Err(refused(format!(
            "migration {} ({}) comes before {last}, which was applied already",
            next.version, next.name
        ))
        .hint("Give it the next number."));
    }
    Ok(Some(next))
}

fn of(row: &Applied) -> String {
    format!("migration {} ({})", row.version, row.name)
}

fn refused(message: String) -> Error {
    Error::new(SqlState::NOT_IN_PREREQUISITE_STATE, message)
}

/// The error with the migration that it comes from, and the place in it.
fn named(error: Error, migration: &Migration, script: &str) -> Error {
    let shown = error.render(script);
    error.detail(format!(
        "In migration {} ({}):\n{}",
        migration.version,
        migration.name,
        shown.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrations(files: &[(&str, &str)]) -> Migrations {
        Migrations::from_files(files.iter().copied()).unwrap()
    }

    const FIRST: (&str, &str) = ("1_a.up.sql", "CREATE TABLE a (id int PRIMARY KEY)");
    const FIRST_DOWN: (&str, &str) = ("1_a.down.sql", "DROP TABLE a");
    const SECOND: (&str, &str) = (
        "2_b.sql",
        "ALTER TABLE a ADD COLUMN b text; CREATE TABLE b ()",
    );

    #[test]
    fn each_is_applied_once_and_taken_back() {
        let db = Database::in_memory().unwrap();
        let all = migrations(&[FIRST, FIRST_DOWN, SECOND]);
        assert_eq!(db.migrate(&migrations(&[FIRST, FIRST_DOWN])).unwrap(), [1]);
        let states = |of: &Migrations| -> Vec<State> {
            let status = db.migration_status(of).unwrap();
            status.into_iter().map(|status| status.state).collect()
        };
        assert_eq!(states(&all), [State::Applied, State::Pending]);
        assert_eq!(db.migrate(&all).unwrap(), [2]);
        assert_eq!(
            states(&migrations(&[FIRST])),
            [State::Applied, State::Unknown]
        );
        assert!(db.migration_drift(&all).unwrap().is_empty());
        let error = db.migrate_down(&all, 1).unwrap_err();
        assert!(error.message().contains("has no way down"));
        let both = [
            SECOND.0.replace(".sql", ".up.sql"),
            SECOND.0.replace(".sql", ".down.sql"),
        ];
        let all = migrations(&[
            FIRST,
            FIRST_DOWN,
            (&both[0], SECOND.1),
            (&both[1], "DROP TABLE b; ALTER TABLE a DROP COLUMN b"),
        ]);
        assert_eq!(db.migrate_down(&all, 5).unwrap(), [2, 1]);
        assert_eq!(states(&all), [State::Pending, State::Pending]);
        assert_eq!(db.migrate(&all).unwrap(), [1, 2]);
    }

    #[test]
    fn a_failing_one_leaves_nothing_behind() {
        let db = Database::in_memory().unwrap();
        let wrong = migrations(&[
            FIRST,
            ("2_b.sql", "CREATE TABLE b (); SELECT nothing FROM a"),
        ]);
        let error = db.migrate(&wrong).unwrap_err();
        assert_eq!(error.state(), SqlState::UNDEFINED_COLUMN);
        assert!(error.detail_text().unwrap().contains("In migration 2 (b):"));
        assert!(db.query("SELECT * FROM b", ()).is_err());
        assert_eq!(db.migrate(&migrations(&[FIRST, SECOND])).unwrap(), [2]);
    }

    #[test]
    fn what_has_changed_is_refused() {
        let db = Database::in_memory().unwrap();
        db.migrate(&migrations(&[FIRST, SECOND])).unwrap();
        let says = |files: &[(&str, &str)], what: &str| {
            let error = db.migrate(&migrations(files)).unwrap_err();
            assert!(error.message().contains(what), "{error}");
            assert!(error.hint_text().is_some());
        };
        says(
            &[(FIRST.0, "CREATE TABLE a (id bigint)"), SECOND],
            "was changed after",
        );
        says(&[FIRST], "is not among");
        says(&[FIRST, SECOND, ("0_z.sql", "SELECT 1")], "comes before 2");
        db.execute("ALTER TABLE a ADD COLUMN stray int", ())
            .unwrap();
        assert_eq!(
            db.migration_drift(&migrations(&[FIRST, SECOND])).unwrap(),
            ["public.a: column stray integer comes from no migration"]
        );
    }

    #[test]
    fn what_migrations_make_is_no_drift() {
        let db = Database::in_memory().unwrap();
        let all = migrations(&[
            (
                "1_types.sql",
                "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('sad', 'ok');
                 ALTER TYPE s.mood ADD VALUE 'fine' BEFORE 'ok';
                 CREATE DOMAIN price AS numeric(8, 2) DEFAULT 1 NOT NULL CHECK (VALUE > 0);
                 CREATE TYPE weight AS int; CREATE SEQUENCE numbers INCREMENT 2 CYCLE",
            ),
            (
                "2_tables.sql",
                "CREATE TABLE parent (id serial PRIMARY KEY, code varchar(8) UNIQUE, kind s.mood);
                 CREATE TABLE child (
                     id bigint GENERATED BY DEFAULT AS IDENTITY,
                     n int DEFAULT nextval('numbers') CHECK (n <> 0), cost price, heavy weight,
                     double int GENERATED ALWAYS AS (n * 2) STORED,
                     parent int REFERENCES parent ON DELETE CASCADE DEFERRABLE,
                     moods s.mood[] DEFAULT ARRAY['ok'::s.mood]
                 );
                 CREATE UNIQUE INDEX ON child (lower(n::text) DESC, n) INCLUDE (cost) WHERE n > 0;
                 CREATE VIEW seen AS SELECT id, kind FROM parent WHERE kind > 'sad'
                     WITH CHECK OPTION",
            ),
            (
                "3_families.sql",
                "CREATE TABLE event (at date, what text NOT NULL) PARTITION BY RANGE (at);
                 CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
                 CREATE INDEX event_what ON event (what);
                 CREATE TABLE grandchild (extra text) INHERITS (parent);
                 CREATE TABLE log (line text) USING lsm",
            ),
            (
                "4_changes.sql",
                "ALTER TABLE child RENAME COLUMN n TO number;
                 ALTER TABLE parent ALTER COLUMN code SET NOT NULL, ADD COLUMN more text[];
                 ALTER TABLE child ADD CONSTRAINT heavy CHECK (heavy > 0) NOT VALID;
                 ALTER TABLE child RENAME TO offspring; DROP TABLE log",
            ),
        ]);
        assert_eq!(db.migrate(&all).unwrap(), [1, 2, 3, 4]);
        db.execute("CREATE TEMPORARY TABLE passing (x int)", ())
            .unwrap();
        assert_eq!(db.migration_drift(&all).unwrap(), Vec::<String>::new());
        for (change, line) in [
            (
                "ALTER TYPE s.mood ADD VALUE 'odd'",
                "s.mood: values ('sad', 'fine', 'ok') is missing",
            ),
            (
                "CREATE SEQUENCE stray",
                "sequence public.stray comes from no migration",
            ),
            (
                "CREATE OR REPLACE VIEW seen AS SELECT id, kind FROM parent",
                "public.seen: query ",
            ),
        ] {
            db.execute(change, ()).unwrap();
            let lines = db.migration_drift(&all).unwrap();
            assert!(
                lines.iter().any(|found| found.starts_with(line)),
                "{change}: {lines:#?}"
            );
        }
    }

    #[test]
    fn of_several_runners_one_applies_each() {
        let db = Database::in_memory().unwrap();
        let all = migrations(&[FIRST, SECOND, ("3_c.sql", "CREATE TABLE c (x int)")]);
        let mut done: Vec<i64> = std::thread::scope(|scope| {
            let runners: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| db.migrate(&all).unwrap()))
                .collect();
            runners
                .into_iter()
                .flat_map(|runner| runner.join().unwrap())
                .collect()
        });
        done.sort_unstable();
        assert_eq!(done, [1, 2, 3]);
    }
}
