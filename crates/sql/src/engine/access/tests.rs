//! Every kind of statement, tried by every kind of role.

use crate::{Database, Session, SqlState};

/// Who tries.
const ROLES: [&str; 6] = ["owner", "member", "reader", "writer", "columns", "nobody"];

/// A database with a table of `owner`'s and what the roles may do about it.
fn database() -> Database {
    let db = Database::in_memory().unwrap();
    let mut admin = db.session();
    admin
        .execute_script(
            "CREATE ROLE owner LOGIN; CREATE ROLE member LOGIN IN ROLE owner;
             CREATE ROLE reader; CREATE ROLE writer; CREATE ROLE columns; CREATE ROLE nobody;
             CREATE SCHEMA app AUTHORIZATION owner;
             GRANT USAGE ON SCHEMA app TO PUBLIC;
             CREATE TABLE app.t (id int PRIMARY KEY, a int, b int);
             CREATE TABLE app.other (id int);
             INSERT INTO app.t VALUES (1, 10, 100);
             CREATE SEQUENCE app.s;
             CREATE VIEW app.v AS SELECT id, a FROM app.t;
             ALTER TABLE app.t OWNER TO owner;
             ALTER TABLE app.other OWNER TO owner;
             ALTER SEQUENCE app.s OWNER TO owner;
             ALTER VIEW app.v OWNER TO owner;
             GRANT SELECT ON app.t, app.other TO reader;
             GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON app.t TO writer;
             GRANT USAGE ON SEQUENCE app.s TO writer;
             GRANT SELECT ON app.v TO writer;
             GRANT SELECT (id, a), UPDATE (a), INSERT (id, a) ON app.t TO columns;",
        )
        .unwrap();
    db
}

fn try_as(db: &Database, role: &str, sql: &str) -> Result<(), (SqlState, String)> {
    let mut session: Session = db.session();
    session.act_as(role).unwrap();
    session.begin().unwrap();
    let result = session.execute_script(sql);
    session.rollback().unwrap();
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err((error.state(), error.message().to_owned())),
    }
}

#[test]
fn every_statement_by_every_role() {
    let db = database();
    // The statement, who may run it, and the object that others are told of.
    let cases: &[(&str, &[&str], &str)] = &[
        ("SELECT * FROM app.t", &["reader", "writer"], "table t"),
        ("TABLE app.t", &["reader", "writer"], "table t"),
        (
            "SELECT count(*) FROM app.t",
            &["reader", "writer", "columns"],
            "table t",
        ),
        (
            "SELECT a FROM app.t WHERE id = 1",
            &["reader", "writer", "columns"],
            "table t",
        ),
        (
            "SELECT a FROM app.t WHERE b = 1",
            &["reader", "writer"],
            "table t",
        ),
        (
            "SELECT a FROM app.t ORDER BY b",
            &["reader", "writer"],
            "table t",
        ),
        (
            "SELECT x.a FROM app.t x JOIN app.t y USING (b)",
            &["reader", "writer"],
            "table t",
        ),
        (
            "SELECT a FROM app.t NATURAL FULL JOIN (SELECT 1 AS b) z",
            &["reader", "writer"],
            "table t",
        ),
        (
            "SELECT 1 WHERE EXISTS (SELECT b FROM app.t)",
            &["reader", "writer"],
            "table t",
        ),
        (
            "WITH w AS (SELECT b FROM app.t) SELECT 1 FROM w",
            &["reader", "writer"],
            "table t",
        ),
        (
            "EXPLAIN SELECT b FROM app.t",
            &["reader", "writer"],
            "table t",
        ),
        (
            "PREPARE p AS SELECT b FROM app.t; EXECUTE p",
            &["reader", "writer"],
            "table t",
        ),
        (
            "DECLARE c CURSOR FOR SELECT b FROM app.t",
            &["reader", "writer"],
            "table t",
        ),
        (
            "SELECT a FROM app.t FOR UPDATE",
            &["writer", "columns"],
            "table t",
        ),
        ("SELECT * FROM app.v", &["writer"], "view v"),
        ("SELECT * FROM app.other", &["reader"], "table other"),
        ("INSERT INTO app.t VALUES (2, 2, 2)", &["writer"], "table t"),
        (
            "INSERT INTO app.t (id, a) VALUES (2, 2)",
            &["writer", "columns"],
            "table t",
        ),
        (
            "INSERT INTO app.t (id, a) VALUES (2, 2) RETURNING b",
            &["writer"],
            "table t",
        ),
        (
            "INSERT INTO app.t (id, a) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET a = 1",
            &["writer", "columns"],
            "table t",
        ),
        (
            "INSERT INTO app.t (id, a) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET b = 1",
            &["writer"],
            "table t",
        ),
        (
            "INSERT INTO app.other SELECT b FROM app.t",
            &[],
            "table other",
        ),
        ("UPDATE app.t SET a = 1", &["writer", "columns"], "table t"),
        ("UPDATE app.t SET a = b", &["writer"], "table t"),
        ("UPDATE app.t SET b = 1", &["writer"], "table t"),
        ("UPDATE app.t SET a = 1 RETURNING *", &["writer"], "table t"),
        (
            "WITH w AS (SELECT 1 AS n) UPDATE app.t SET a = n FROM w WHERE id = n",
            &["writer", "columns"],
            "table t",
        ),
        ("DELETE FROM app.t", &["writer"], "table t"),
        ("DELETE FROM app.t WHERE id = 1", &["writer"], "table t"),
        (
            "MERGE INTO app.t USING (SELECT 1 AS i) s ON id = i WHEN MATCHED THEN DELETE",
            &["writer"],
            "table t",
        ),
        (
            "MERGE INTO app.t USING (SELECT 1 AS i) s ON id = i WHEN MATCHED THEN UPDATE SET a = 1",
            &["writer", "columns"],
            "table t",
        ),
        ("TRUNCATE app.t", &["writer"], "table t"),
        ("LOCK TABLE app.t", &["writer"], "table t"),
        (
            "LOCK TABLE app.t IN ACCESS SHARE MODE",
            &["reader", "writer"],
            "table t",
        ),
        ("SELECT nextval('app.s')", &["writer"], "sequence s"),
        ("SELECT setval('app.s', 5)", &[], "sequence s"),
        (
            "CREATE TEMPORARY TABLE f (x int REFERENCES app.t)",
            &["writer"],
            "table t",
        ),
        (
            "CREATE TEMPORARY TABLE f (LIKE app.t)",
            &["reader", "writer", "columns"],
            "table t",
        ),
        (
            "CREATE TEMPORARY TABLE f AS SELECT b FROM app.t",
            &["reader", "writer"],
            "table t",
        ),
        ("CREATE TABLE app.n (x int)", &[], "schema app"),
        ("CREATE VIEW app.n AS SELECT 1 AS x", &[], "schema app"),
        ("CREATE SEQUENCE app.n", &[], "schema app"),
        ("CREATE INDEX ON app.t (a)", &[], "table t"),
        (
            "CREATE OR REPLACE VIEW app.v AS SELECT id, a FROM app.t",
            &[],
            "view v",
        ),
        ("ALTER TABLE app.t ADD COLUMN c int", &[], "table t"),
        ("ALTER TABLE app.other RENAME TO u", &[], "table other"),
        ("ALTER SEQUENCE app.s INCREMENT 2", &[], "sequence s"),
        ("ALTER SCHEMA app OWNER TO CURRENT_USER", &[], "schema app"),
        ("ALTER TABLE app.t OWNER TO CURRENT_USER", &[], "table t"),
        ("DROP TABLE app.t CASCADE", &[], "table t"),
        ("DROP VIEW app.v", &[], "view v"),
        ("DROP SEQUENCE app.s", &[], "sequence s"),
        ("DROP SCHEMA app CASCADE", &[], "schema app"),
        ("ANALYZE app.t", &[], "table t"),
        // Who has a privilege on it but may not grant is warned, and nothing is granted.
        (
            "GRANT DELETE ON app.other TO PUBLIC",
            &["reader"],
            "table other",
        ),
        (
            "GRANT USAGE ON SCHEMA app TO nobody",
            &["reader", "writer", "columns", "nobody"],
            "schema app",
        ),
    ];
    for (sql, allowed, object) in cases {
        for role in ROLES {
            let may = role == "owner" || role == "member" || allowed.contains(&role);
            match try_as(&db, role, sql) {
                Ok(()) => assert!(may, "{role} could: {sql}"),
                Err((state, message)) => {
                    assert!(!may, "{role} could not: {sql}: {message}");
                    assert_eq!(state, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}: {message}");
                    assert!(
                        message.ends_with(object)
                            || role == "nobody"
                            || role == "columns"
                            || role == "reader"
                            || role == "writer",
                        "{sql}: {message}"
                    );
                }
            }
        }
    }
}

#[test]
fn who_may_not_grant_grants_nothing() {
    let db = database();
    let mut session = db.session();
    session.act_as("reader").unwrap();
    for sql in [
        "GRANT DELETE ON app.other TO PUBLIC",
        "GRANT SELECT ON app.other TO nobody",
    ] {
        session.execute_script(sql).unwrap();
    }
    assert!(try_as(&db, "nobody", "DELETE FROM app.other").is_err());
    assert!(try_as(&db, "nobody", "SELECT id FROM app.other").is_err());
}

#[test]
fn nobody_manages_roles_or_the_database_without_the_right() {
    let db = database();
    for sql in [
        "CREATE ROLE x",
        "CREATE ROLE x SUPERUSER",
        "ALTER ROLE reader LOGIN",
        "ALTER ROLE owner SUPERUSER",
        "DROP ROLE reader",
        "ALTER ROLE reader RENAME TO x",
        "GRANT owner TO reader",
        "CREATE SCHEMA x",
        "CREATE TABLE public.x (n int)",
        "SET ROLE owner",
        "SET SESSION AUTHORIZATION owner",
        "SET SESSION AUTHORIZATION rustling",
        "REASSIGN OWNED BY owner TO nobody",
        "DROP OWNED BY owner",
    ] {
        let (state, message) = try_as(&db, "nobody", sql).expect_err(sql);
        assert_eq!(state, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}: {message}");
    }
    // What everybody may do.
    for sql in [
        "SELECT 1",
        "SET ROLE nobody",
        "RESET ROLE",
        "CREATE TEMPORARY TABLE x (n int); INSERT INTO x VALUES (1); TABLE x; DROP TABLE x",
        "ALTER ROLE nobody PASSWORD 'mine'",
    ] {
        try_as(&db, "nobody", sql).unwrap();
    }
}

#[test]
fn a_plan_that_one_role_may_run_is_not_run_by_another() {
    let db = database();
    let sql = "SELECT b FROM app.t";
    for _ in 0..2 {
        assert!(try_as(&db, "reader", sql).is_ok());
        assert!(try_as(&db, "nobody", sql).is_err());
    }
    db.execute("REVOKE SELECT ON app.t FROM reader", ())
        .unwrap();
    assert!(try_as(&db, "reader", sql).is_err());
}

#[test]
fn settings_do_not_make_a_superuser() {
    let db = database();
    let mut session = db.session();
    session.act_as("nobody").unwrap();
    for sql in [
        "RESET ALL",
        "DISCARD ALL",
        "RESET ROLE",
        "RESET SESSION AUTHORIZATION",
        "SET SESSION AUTHORIZATION DEFAULT",
        "BEGIN; SET ROLE NONE; COMMIT",
        "BEGIN; SET LOCAL ROLE nobody; ROLLBACK",
    ] {
        session.execute_script(sql).unwrap();
        let rows = session
            .query("SELECT current_user, session_user", ())
            .unwrap();
        let users: Vec<(String, String)> = rows.read_all().unwrap();
        assert_eq!(users, [("nobody".to_owned(), "nobody".to_owned())], "{sql}");
        assert!(session.query("SELECT b FROM app.t", ()).is_err(), "{sql}");
    }
}

#[test]
fn roles_live_in_the_database() {
    let env = rustling_storage::Env::in_memory();
    let options = || crate::DatabaseOptions {
        env: env.clone(),
        ..crate::DatabaseOptions::default()
    };
    {
        let db = Database::open_with("/db", options()).unwrap();
        db.execute_script(
            "CREATE ROLE ann PASSWORD 'secret'; CREATE TABLE t (a int, b int);
             GRANT SELECT (a) ON t TO ann",
        )
        .unwrap();
        db.close().unwrap();
    }
    let db = Database::open_with("/db", options()).unwrap();
    assert!(try_as(&db, "ann", "SELECT a FROM t").is_ok());
    assert!(try_as(&db, "ann", "SELECT b FROM t").is_err());
}
