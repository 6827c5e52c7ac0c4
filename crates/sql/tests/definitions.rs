//! Definitions outlive the process, and hold against sessions at once.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::thread;

use rustling_sql::{Database, SqlState};

fn one<T: rustling_sql::FromValue>(db: &Database, sql: &str) -> T {
    let row = db.query(sql, ()).unwrap().next().unwrap().unwrap();
    row.get(0).unwrap()
}

fn state(db: &Database, sql: &str) -> SqlState {
    db.execute(sql, ()).unwrap_err().state()
}

#[test]
fn definitions_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("definitions");
    let db = Database::open(&path).unwrap();
    db.execute_script(
        "CREATE SCHEMA app;
         CREATE TABLE app.parent (id serial PRIMARY KEY, code text UNIQUE);
         CREATE TABLE child (id int PRIMARY KEY,
             p int REFERENCES app.parent ON DELETE CASCADE,
             n bigint GENERATED ALWAYS AS IDENTITY,
             doubled int GENERATED ALWAYS AS (id * 2) STORED);
         INSERT INTO app.parent (code) VALUES ('a'), ('b');
         INSERT INTO child (id, p) VALUES (1, 1), (2, 2);
         ALTER TABLE child ADD COLUMN late text DEFAULT 'early bird';
         ALTER TABLE child ADD COLUMN gone int DEFAULT 1;
         INSERT INTO child (id, p, late) VALUES (3, 2, 'x');
         ALTER TABLE child DROP COLUMN gone;
         CREATE VIEW pairs AS SELECT c.id, code FROM child c JOIN app.parent p ON p.id = c.p;
         CREATE UNIQUE INDEX lower_code ON app.parent (lower(code)) WHERE id > 0;
         CREATE TEMP TABLE fleeting (x int);",
    )
    .unwrap();
    db.close().unwrap();

    let db = Database::open(&path).unwrap();
    assert_eq!(
        one::<String>(&db, "SELECT late FROM child WHERE id = 1"),
        "early bird"
    );
    assert_eq!(one::<i32>(&db, "SELECT doubled FROM child WHERE id = 3"), 6);
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM pairs"), 3);
    assert_eq!(
        one::<i32>(
            &db,
            "INSERT INTO app.parent (code) VALUES ('c') RETURNING id"
        ),
        3,
        "a clean end skips no number"
    );
    assert_eq!(
        one::<i64>(&db, "INSERT INTO child (id, p) VALUES (4, 3) RETURNING n"),
        4
    );
    assert_eq!(
        state(&db, "INSERT INTO child (id, p) VALUES (5, 99)"),
        SqlState::FOREIGN_KEY_VIOLATION
    );
    assert_eq!(
        state(&db, "INSERT INTO app.parent (code) VALUES ('A')"),
        SqlState::UNIQUE_VIOLATION
    );
    assert_eq!(
        state(&db, "SELECT * FROM fleeting"),
        SqlState::UNDEFINED_TABLE
    );
    db.execute("DELETE FROM app.parent WHERE id = 2", ())
        .unwrap();
    assert_eq!(one::<i64>(&db, "SELECT count(*) FROM child"), 2);
    assert_eq!(state(&db, "DROP TABLE child"), SqlState::DEPENDENT_OBJECTS);
    db.execute("DROP TABLE child CASCADE", ()).unwrap();
    db.close().unwrap();

    let db = Database::open(&path).unwrap();
    assert_eq!(state(&db, "SELECT * FROM pairs"), SqlState::UNDEFINED_TABLE);
}

#[test]
fn a_view_has_no_rows_to_load_lock_or_count() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE TABLE t (x int); CREATE VIEW v AS SELECT x FROM t; ANALYZE v; ANALYZE;",
    )
    .unwrap();
    let refused = SqlState::WRONG_OBJECT_TYPE;
    let load = db.bulk_loader("v", rustling_sql::BulkOptions::default());
    assert_eq!(load.unwrap_err().state(), refused);
    assert_eq!(state(&db, "TRUNCATE v"), refused);
    assert_eq!(state(&db, "CREATE INDEX ON v (x)"), refused);
    let mut session = db.session();
    session.run("BEGIN", ()).unwrap();
    assert_eq!(session.bulk_loader("v").unwrap_err().state(), refused);
    let error = session.run("LOCK TABLE v", ()).unwrap_err();
    assert_eq!(error.state(), refused);
}

#[test]
fn upserts_of_one_key_are_not_lost() {
    let db = Database::in_memory().unwrap();
    db.execute("CREATE TABLE hits (page text PRIMARY KEY, n bigint)", ())
        .unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for at in 0..40 {
                    let page = if at % 2 == 0 { "home" } else { "about" };
                    db.execute(
                        "INSERT INTO hits VALUES ($1, 1)
                         ON CONFLICT (page) DO UPDATE SET n = hits.n + excluded.n",
                        (page,),
                    )
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(one::<String>(&db, "SELECT sum(n)::text FROM hits"), "160");
}

#[test]
fn no_row_is_left_without_its_parent() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE TABLE parent (id int PRIMARY KEY);
         CREATE TABLE child (id int, p int REFERENCES parent);",
    )
    .unwrap();
    thread::scope(|scope| {
        for worker in 0..4 {
            let db = &db;
            scope.spawn(move || {
                for at in 0..40 {
                    let id = at % 5;
                    // What the others have done just now decides which of these fail.
                    let sql = match (at + worker) % 4 {
                        0 => format!("INSERT INTO parent VALUES ({id}) ON CONFLICT DO NOTHING"),
                        1 => format!("DELETE FROM parent WHERE id = {id}"),
                        2 => format!("DELETE FROM child WHERE p = {id}"),
                        _ => format!("INSERT INTO child VALUES ({at}, {id})"),
                    };
                    if let Err(error) = db.execute(&sql, ()) {
                        assert_eq!(error.state(), SqlState::FOREIGN_KEY_VIOLATION, "{error}");
                    }
                }
            });
        }
    });
    let orphans =
        "SELECT count(*) FROM child c LEFT JOIN parent p ON p.id = c.p WHERE p.id IS NULL";
    assert_eq!(one::<i64>(&db, orphans), 0);
}

/// A transaction that keeps its snapshot does not define on what others have changed since.
#[test]
fn definitions_need_the_newest_catalog() {
    let (table, key) = (
        "CREATE TABLE child (p int REFERENCES parent)",
        "ALTER TABLE other ADD FOREIGN KEY (id) REFERENCES parent",
    );
    for definition in [table, key] {
        for level in ["REPEATABLE READ", "SERIALIZABLE"] {
            let db = Database::in_memory().unwrap();
            db.execute_script(
                "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE other (id int);",
            )
            .unwrap();
            let mut late = db.session();
            late.execute_script(&format!(
                "BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM other"
            ))
            .unwrap();
            db.execute("DROP TABLE parent", ()).unwrap();
            let refused = late.run(definition, ()).map(|_| ()).unwrap_err();
            assert!(refused.is_retryable(), "{level}: {refused}");
            late.run("ROLLBACK", ()).unwrap();
            let refused = late.run(definition, ()).map(|_| ()).unwrap_err();
            assert_eq!(refused.state(), SqlState::UNDEFINED_TABLE);
        }
    }
}

/// In PostgreSQL every table and view has a type of its name.
#[test]
fn types_and_relations_have_names_of_their_own() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE TABLE t (n int); CREATE TYPE mood AS ENUM ('a'); CREATE VIEW v AS SELECT 1 AS n;
         CREATE SCHEMA s; CREATE TYPE s.t AS ENUM ('a')",
    )
    .unwrap();
    for sql in [
        "CREATE TYPE t AS ENUM ('x')",
        "CREATE DOMAIN v AS int",
        "CREATE TABLE mood (n int)",
        "CREATE TABLE IF NOT EXISTS mood (n int)",
        "CREATE VIEW mood AS SELECT 1 AS n",
        "ALTER TABLE t RENAME TO mood",
        "ALTER TYPE mood RENAME TO t",
        "ALTER TABLE t SET SCHEMA s",
        "ALTER TYPE s.t SET SCHEMA public",
    ] {
        assert_eq!(state(&db, sql), SqlState("42710"), "{sql}");
    }
    db.execute_script(
        "CREATE TABLE IF NOT EXISTS t (n int); DROP TYPE mood; CREATE TABLE mood (n int)",
    )
    .unwrap();
}

/// What goes with a session and what stays are not made of each other.
#[test]
fn temporary_tables_are_no_kin_of_permanent_ones() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session
        .execute_script(
            "CREATE TABLE t (n int); CREATE TABLE p (n int) PARTITION BY LIST (n);
             CREATE TEMP TABLE tt (n int); CREATE TEMP TABLE tp (n int) PARTITION BY LIST (n)",
        )
        .unwrap();
    for (sql, state) in [
        ("CREATE TABLE x () INHERITS (tt)", "42809"),
        ("CREATE TEMP TABLE x () INHERITS (t)", "0A000"),
        ("ALTER TABLE t INHERIT tt", "42809"),
        ("ALTER TABLE tt INHERIT t", "0A000"),
        (
            "CREATE TEMP TABLE x PARTITION OF p FOR VALUES IN (1)",
            "42809",
        ),
        ("CREATE TABLE x PARTITION OF tp FOR VALUES IN (1)", "42809"),
        (
            "ALTER TABLE p ATTACH PARTITION tt FOR VALUES IN (1)",
            "42809",
        ),
        (
            "ALTER TABLE tp ATTACH PARTITION t FOR VALUES IN (1)",
            "42809",
        ),
    ] {
        let error = session.execute(sql, ()).unwrap_err();
        assert_eq!(error.state(), SqlState(state), "{sql}: {error}");
    }
    session
        .execute_script(
            "CREATE TEMP TABLE heir () INHERITS (tt);
             CREATE TEMP TABLE part PARTITION OF tp FOR VALUES IN (1)",
        )
        .unwrap();
}
