//! Every kind of statement, tried by every kind of role.

use crate::{Database, Session, SqlState, StatementResult};

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

fn as_role(db: &Database, role: &str) -> Session {
    let mut session = db.session();
    session.act_as(role).unwrap();
    session
}

fn refused(db: &Database, role: &str, sql: &str) -> String {
    let (state, message) = try_as(db, role, sql).expect_err(sql);
    assert_eq!(state, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}: {message}");
    message
}

fn texts(session: &mut Session, sql: &str) -> Vec<String> {
    let rows: Vec<(String,)> = session.query(sql, ()).unwrap().read_all().unwrap();
    rows.into_iter().map(|(text,)| text).collect()
}

#[test]
fn a_table_is_made_only_of_those_that_one_owns() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE ROLE ann; CREATE SCHEMA annes AUTHORIZATION ann;
         CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO ann;
         CREATE TABLE app.plain (n int);
         CREATE TABLE app.parts (n int) PARTITION BY LIST (n);
         CREATE TABLE annes.mine (n int);
         CREATE TABLE annes.own (n int) PARTITION BY LIST (n);
         ALTER TABLE annes.mine OWNER TO ann;
         ALTER TABLE annes.own OWNER TO ann;
         GRANT SELECT, INSERT ON app.plain, app.parts TO ann;",
    )
    .unwrap();
    let inherits = "CREATE TABLE annes.x () INHERITS (app.plain)";
    for (sql, table) in [
        (inherits, "plain"),
        (
            "CREATE TABLE annes.x PARTITION OF app.parts FOR VALUES IN (1)",
            "parts",
        ),
        ("ALTER TABLE annes.mine INHERIT app.plain", "plain"),
        (
            "ALTER TABLE app.parts ATTACH PARTITION annes.mine FOR VALUES IN (1)",
            "parts",
        ),
        (
            "ALTER TABLE annes.own ATTACH PARTITION app.plain FOR VALUES IN (1)",
            "plain",
        ),
    ] {
        let message = refused(&db, "ann", sql);
        assert_eq!(message, format!("must be owner of table {table}"), "{sql}");
    }
    db.execute_script("ALTER TABLE app.plain OWNER TO ann; ALTER TABLE app.parts OWNER TO ann")
        .unwrap();
    for sql in [
        inherits,
        "CREATE TABLE annes.x PARTITION OF app.parts FOR VALUES IN (1)",
        "ALTER TABLE annes.mine INHERIT app.plain",
        "ALTER TABLE annes.own ATTACH PARTITION annes.mine FOR VALUES IN (1)",
    ] {
        try_as(&db, "ann", sql).expect(sql);
    }
    db.execute("REVOKE USAGE ON SCHEMA app FROM ann", ())
        .unwrap();
    assert_eq!(
        refused(&db, "ann", inherits),
        "permission denied for schema app"
    );
}

#[test]
fn truncate_cascade_asks_for_each_table() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE ROLE ann; CREATE TABLE parent (id int PRIMARY KEY);
         CREATE TABLE child (id int PRIMARY KEY REFERENCES parent);
         CREATE TABLE grandchild (id int REFERENCES child);
         GRANT TRUNCATE ON parent, child TO ann;",
    )
    .unwrap();
    let sql = "TRUNCATE parent CASCADE";
    assert_eq!(
        refused(&db, "ann", sql),
        "permission denied for table grandchild"
    );
    db.execute("GRANT TRUNCATE ON grandchild TO ann", ())
        .unwrap();
    try_as(&db, "ann", sql).unwrap();
}

#[test]
fn upkeep_is_for_owners() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE ROLE ann; CREATE TABLE theirs (n int); CREATE TABLE mine (n int);
         ALTER TABLE mine OWNER TO ann;
         INSERT INTO theirs VALUES (1); INSERT INTO mine VALUES (1);",
    )
    .unwrap();
    assert_eq!(
        refused(&db, "ann", "CHECKPOINT"),
        "must be superuser to do CHECKPOINT"
    );
    let mut ann = as_role(&db, "ann");
    let warned = |session: &mut Session, sql: &str| match session.run(sql, ()).unwrap() {
        StatementResult::Done { notices, .. } => notices.len(),
        other => unreachable!("{other:?}"),
    };
    let checkpoints = || db.store().stats().pages.checkpoints;
    let before = checkpoints();
    assert_eq!(warned(&mut ann, "VACUUM ANALYZE theirs"), 1);
    assert_eq!(checkpoints(), before);
    ann.run("ANALYZE", ()).unwrap();
    assert_eq!(db.estimated_rows("theirs"), None);
    assert_eq!(db.estimated_rows("mine"), Some(1));
    ann.run("INSERT INTO mine VALUES (2)", ()).unwrap();
    assert_eq!(warned(&mut ann, "VACUUM ANALYZE"), 1);
    assert_eq!(db.estimated_rows("theirs"), None);
    assert_eq!(db.estimated_rows("mine"), Some(2));
    let mut admin = db.session();
    assert_eq!(warned(&mut admin, "VACUUM ANALYZE public.theirs"), 0);
    assert_eq!(db.estimated_rows("theirs"), Some(1));
    db.execute("CHECKPOINT", ()).unwrap();
}

#[test]
fn system_views_show_no_values_that_one_may_not_read() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE ROLE ann; CREATE ROLE carl LOGIN;
         CREATE TABLE theirs (name text PRIMARY KEY, a int, b int);
         INSERT INTO theirs VALUES ('secret', 1, 2), ('other', 3, 4);
         ANALYZE; GRANT SELECT (a) ON theirs TO ann;
         GRANT SELECT, UPDATE ON theirs TO carl;
         CREATE SEQUENCE s; SELECT nextval('s');",
    )
    .unwrap();
    let mut admin = db.session();
    let mut ann = as_role(&db, "ann");
    let statistics = "SELECT attname FROM pg_stats WHERE tablename = 'theirs' ORDER BY 1";
    let own = "SELECT column_name FROM sys.statistics WHERE table_name = 'theirs' ORDER BY 1";
    for sql in [statistics, own] {
        assert_eq!(texts(&mut admin, sql), ["a", "b", "name"]);
        assert_eq!(texts(&mut ann, sql), ["a"]);
    }

    let last = "SELECT coalesce(max(last_value)::text, 'none') FROM pg_sequences
                UNION ALL SELECT coalesce(pg_sequence_last_value('s'::regclass)::text, 'none')";
    assert_eq!(texts(&mut admin, last), ["1", "1"]);
    assert_eq!(texts(&mut ann, last), ["none", "none"]);
    db.execute("GRANT USAGE ON SEQUENCE s TO ann", ()).unwrap();
    assert_eq!(texts(&mut ann, last), ["1", "1"]);

    let mut carl = db.session();
    carl.log_in("carl").unwrap();
    carl.announce(None);
    carl.begin().unwrap();
    carl.execute("UPDATE theirs SET a = 5 WHERE name = 'secret'", ())
        .unwrap();
    let locks = "SELECT resource FROM sys.locks WHERE kind = 'tuple'";
    for session in [&mut admin, &mut carl] {
        let shown = texts(session, locks);
        assert!(!shown.is_empty());
        assert!(
            shown.iter().all(|lock| lock.contains("secret")),
            "{shown:?}"
        );
    }
    let hidden = texts(&mut ann, locks);
    assert!(!hidden.is_empty());
    let bare = |lock: &String| lock.starts_with("a key of keyspace ");
    assert!(hidden.iter().all(bare), "{hidden:?}");
    carl.rollback().unwrap();
}

#[test]
fn a_refused_row_shows_what_one_may_read() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE ROLE ann; CREATE ROLE bob; CREATE ROLE carl;
         CREATE TABLE t (a int CHECK (a > 0), b text NOT NULL);
         INSERT INTO t VALUES (1, 'secret');
         GRANT UPDATE (a) ON t TO ann, bob; GRANT SELECT (a) ON t TO bob;
         GRANT SELECT, UPDATE ON t TO carl;
         CREATE TABLE parts (a int CHECK (a > 0), b text) PARTITION BY LIST (b);
         CREATE TABLE part PARTITION OF parts FOR VALUES IN ('secret');
         INSERT INTO parts VALUES (1, 'secret');
         GRANT SELECT, UPDATE ON parts TO carl;",
    )
    .unwrap();
    let detail = |role: &str, sql: &str| {
        let error = as_role(&db, role).execute(sql, ()).unwrap_err();
        assert_eq!(error.state(), SqlState::CHECK_VIOLATION, "{error}");
        error.detail_text().map(str::to_owned)
    };
    let sql = "UPDATE t SET a = -1";
    let whole = Some("Failing row contains (-1, secret).".to_owned());
    assert_eq!(detail("ann", sql), None);
    assert_eq!(
        detail("bob", sql).as_deref(),
        Some("Failing row contains (a) = (-1).")
    );
    assert_eq!(detail("carl", sql), whole);
    assert_eq!(detail("rustling", sql), whole);
    // Whoever may read a table may read what it is made of.
    assert_eq!(detail("carl", "UPDATE parts SET a = -1"), whole);
}

#[test]
fn what_an_invokers_view_reads_is_asked_of_the_invoker() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE ROLE ann; CREATE ROLE bob; CREATE SCHEMA annes AUTHORIZATION ann;
         GRANT USAGE ON SCHEMA annes TO bob;
         CREATE TABLE base (n int);
         CREATE VIEW lower_view WITH (security_invoker = true) AS SELECT n FROM base;
         GRANT SELECT ON base, lower_view TO ann;
         SET ROLE ann;
         CREATE VIEW annes.upper_view AS SELECT n FROM lower_view;
         GRANT SELECT ON annes.upper_view TO bob;",
    )
    .unwrap();
    let sql = "SELECT n FROM annes.upper_view";
    try_as(&db, "ann", sql).unwrap();
    assert_eq!(refused(&db, "bob", sql), "permission denied for table base");
    db.execute_script("GRANT SELECT ON base TO bob; REVOKE SELECT ON base FROM ann")
        .unwrap();
    try_as(&db, "bob", sql).unwrap();
    refused(&db, "ann", sql);
    // The view itself is read by the one around it.
    db.execute("REVOKE SELECT ON lower_view FROM ann", ())
        .unwrap();
    assert_eq!(
        refused(&db, "bob", sql),
        "permission denied for view lower_view"
    );
}

#[test]
fn an_owner_may_create_in_the_schema() {
    let db = database();
    db.execute_script("CREATE ROLE heir; GRANT heir TO owner")
        .unwrap();
    let statements = [
        "ALTER TABLE app.t OWNER TO heir",
        "ALTER VIEW app.v OWNER TO heir",
        "ALTER SEQUENCE app.s OWNER TO heir",
    ];
    for sql in statements {
        assert_eq!(
            refused(&db, "owner", sql),
            "permission denied for schema app"
        );
    }
    db.execute("GRANT CREATE ON SCHEMA app TO heir", ())
        .unwrap();
    for sql in statements {
        try_as(&db, "owner", sql).unwrap();
    }
}

#[test]
fn who_is_refused_keeps_nobody_waiting() {
    let db = database();
    let mut nobody = as_role(&db, "nobody");
    nobody.begin().unwrap();
    assert!(nobody.execute("DROP TABLE app.t", ()).is_err());
    let mut admin = db.session();
    admin.execute("SET lock_timeout = '100ms'", ()).unwrap();
    admin.execute("CREATE TABLE more (n int)", ()).unwrap();
    nobody.rollback().unwrap();
}

#[test]
fn a_role_has_as_many_sessions_as_it_may_have() {
    let db = Database::in_memory().unwrap();
    db.execute("CREATE ROLE ann LOGIN CONNECTION LIMIT 1", ())
        .unwrap();
    let mut first = db.session();
    first.log_in("ann").unwrap();
    first.log_in("ann").unwrap();
    let mut second = db.session();
    let error = second.log_in("ann").unwrap_err();
    assert_eq!(error.state(), SqlState("53300"));
    drop(first);
    second.log_in("ann").unwrap();
    db.execute("ALTER ROLE ann CONNECTION LIMIT -1", ())
        .unwrap();
    db.session().log_in("ann").unwrap();
    db.execute("ALTER ROLE ann CONNECTION LIMIT 1 SUPERUSER", ())
        .unwrap();
    db.session().log_in("ann").unwrap();
}

#[test]
fn a_type_that_is_so_already_asks_for_its_owner() {
    let db = Database::in_memory().unwrap();
    db.execute_script("CREATE ROLE ann; CREATE TYPE mood AS ENUM ('sad')")
        .unwrap();
    let sql = "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad'";
    assert_eq!(refused(&db, "ann", sql), "must be owner of type mood");
    db.execute(sql, ()).unwrap();
}
