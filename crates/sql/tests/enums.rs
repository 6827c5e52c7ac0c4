//! Enumerated types: what is stored of them outlives the process, and is in the order of the
//! labels wherever labels were added, in both executors.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::thread;

use quickcheck::{Gen, QuickCheck};
use rustling_sql::{Database, FromValue, Session, SqlState, StatementResult, Value};

use crate::concurrency::until_it_waits;

fn all<T: FromValue>(session: &mut Session, sql: &str) -> Vec<T> {
    let StatementResult::Rows(rows) = session.run(sql, ()).unwrap() else {
        unreachable!("{sql} gives rows")
    };
    rows.map(|row| row.unwrap().get(0).unwrap()).collect()
}

fn state(session: &mut Session, sql: &str) -> SqlState {
    session.run(sql, ()).map(|_| ()).unwrap_err().state()
}

#[test]
fn types_and_their_values_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("enums");
    let db = Database::open(&path).unwrap();
    db.execute_script(
        "CREATE SCHEMA s;
         CREATE TYPE s.mood AS ENUM ('sad', 'ok', 'happy');
         CREATE DOMAIN cheer AS s.mood DEFAULT 'happy' CHECK (VALUE > 'sad');
         SET search_path = s, public;
         CREATE TABLE t (id int PRIMARY KEY, m mood DEFAULT 'ok', ms mood[], c cheer,
             CHECK (m <> 'sad'::mood OR id > 1));
         CREATE TABLE k (m mood PRIMARY KEY);
         CREATE INDEX ON t (m DESC);
         INSERT INTO t VALUES (1, DEFAULT, '{sad,NULL,happy}'), (2, 'sad', NULL), (3, 'happy', '{}');
         INSERT INTO k VALUES ('happy'), ('ok');
         ALTER TYPE mood ADD VALUE 'awful' BEFORE 'sad';
         ALTER TYPE mood RENAME VALUE 'ok' TO 'so so';
         INSERT INTO t VALUES (4, 'awful', '{awful}');
         INSERT INTO k VALUES ('awful');
         CREATE VIEW low AS SELECT id FROM t WHERE m < 'so so';
         ALTER TABLE t ADD COLUMN late mood DEFAULT 'awful';
         CREATE TYPE gone AS ENUM ('x');
         ALTER TABLE t ADD COLUMN gone gone DEFAULT 'x';
         DROP TYPE gone CASCADE;
         ANALYZE;",
    )
    .unwrap();
    db.close().unwrap();

    for _ in 0..2 {
        let db = Database::open(&path).unwrap();
        let mut session = db.session();
        let moods: Vec<String> = all(&mut session, "SELECT m FROM s.t ORDER BY m");
        assert_eq!(moods, ["awful", "sad", "so so", "happy"]);
        let keys: Vec<String> = all(&mut session, "SELECT m FROM s.k ORDER BY m DESC");
        assert_eq!(keys, ["happy", "so so", "awful"]);
        let arrays: Vec<Option<String>> = all(&mut session, "SELECT ms::text FROM s.t ORDER BY id");
        assert_eq!(
            arrays,
            [
                Some("{sad,NULL,happy}".to_owned()),
                None,
                Some("{}".to_owned()),
                Some("{awful}".to_owned())
            ]
        );
        let late: Vec<String> = all(&mut session, "SELECT late FROM s.t WHERE id = 1");
        assert_eq!(late, ["awful"]);
        let cheer: Vec<String> = all(&mut session, "SELECT c FROM s.t WHERE id = 1");
        assert_eq!(cheer, ["happy"]);
        let low: Vec<i32> = all(&mut session, "SELECT id FROM s.low ORDER BY id");
        assert_eq!(low, [2, 4]);
        session.run("INSERT INTO s.t (id) VALUES (5)", ()).unwrap();
        let given: Vec<String> = all(&mut session, "DELETE FROM s.t WHERE id = 5 RETURNING m");
        assert_eq!(given, ["so so"]);
        assert_eq!(
            state(&mut session, "INSERT INTO s.t VALUES (1, 'sad')"),
            SqlState::CHECK_VIOLATION
        );
        assert_eq!(
            state(&mut session, "DROP TYPE s.mood"),
            SqlState::DEPENDENT_OBJECTS
        );
        drop(session);
        db.close().unwrap();
    }
}

/// Adds labels at random places and rows with them, and asks for the rows in order.
fn stays_in_order(places: &[u16]) -> bool {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session
        .execute_script(
            "CREATE TYPE e AS ENUM ('a', 'b', 'c');
             CREATE TABLE k (e e PRIMARY KEY, n int);
             CREATE TABLE i (e e, n int);
             CREATE INDEX i_up ON i (e);
             CREATE INDEX i_down ON i (e DESC NULLS FIRST, n);",
        )
        .unwrap();
    let mut labels: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    let insert = |session: &mut Session, label: &str, n: usize| {
        for table in ["k", "i"] {
            let sql = format!("INSERT INTO {table} VALUES ($1, $2)");
            session.run(&sql, (label, n as i32)).unwrap();
        }
    };
    for (n, label) in labels.iter().enumerate() {
        insert(&mut session, label, n);
    }
    for (n, place) in places.iter().enumerate() {
        let at = usize::from(*place) % (labels.len() + 1);
        let label = format!("l{n}");
        let place = match labels.get(at) {
            None => String::new(),
            Some(next) if at == 0 || place % 2 == 0 => format!(" BEFORE '{next}'"),
            Some(_) => format!(" AFTER '{}'", labels[at - 1]),
        };
        session
            .run(&format!("ALTER TYPE e ADD VALUE '{label}'{place}"), ())
            .unwrap();
        labels.insert(at, label.clone());
        insert(&mut session, &label, n + 3);
    }
    let mut down = labels.clone();
    down.reverse();
    let middle = &labels[labels.len() / 2];
    let from_middle = &labels[labels.len() / 2..];
    ["row", "vector"].into_iter().all(|executor| {
        session
            .run(&format!("SET executor = {executor}"), ())
            .unwrap();
        let mut ask = |sql: &str| -> Vec<String> { all(&mut session, sql) };
        ["k", "i"].into_iter().all(|table| {
            ask(&format!("SELECT e FROM {table} ORDER BY e")) == labels
                && ask(&format!("SELECT e FROM {table} ORDER BY e DESC")) == down
                && ask(&format!(
                    "SELECT e FROM {table} WHERE e >= '{middle}' ORDER BY e"
                )) == from_middle
                && ask(&format!("SELECT e FROM {table} ORDER BY e LIMIT 2")) == labels[..2]
                && ask(&format!("SELECT min(e) FROM {table}")) == labels[..1]
                && ask(&format!("SELECT max(e) FROM {table}")) == down[..1]
                && ask(&format!(
                    "SELECT e FROM {table} GROUP BY e HAVING count(*) = 1 ORDER BY e"
                )) == labels
                && ask(&format!(
                    "SELECT a.e FROM {table} a JOIN k b USING (e) ORDER BY 1"
                )) == labels
        })
    })
}

#[test]
fn rows_are_in_the_order_of_labels_added_anywhere() {
    fn property(places: Vec<u16>) -> bool {
        stays_in_order(&places[..places.len().min(24)])
    }
    QuickCheck::new()
        .rng(Gen::new(24))
        .tests(12)
        .quickcheck(property as fn(Vec<u16>) -> bool);
    // Always before the last, always behind the first.
    assert!(stays_in_order(
        &(0..30).map(|n| 2 + n).collect::<Vec<u16>>()
    ));
    assert!(stays_in_order(&[1; 30]));
}

#[test]
fn a_writer_that_waits_for_a_row_knows_the_labels_it_comes_to_hold() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE TYPE e AS ENUM ('a', 'b');
         CREATE TABLE t (id int PRIMARY KEY, e e);
         INSERT INTO t VALUES (1, 'a');",
    )
    .unwrap();
    let mut first = db.session();
    first.run("BEGIN", ()).unwrap();
    first.run("UPDATE t SET e = 'b' WHERE id = 1", ()).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| db.execute("UPDATE t SET id = id + 1 WHERE e >= 'a'", ()));
        let altering = scope.spawn(|| db.execute("ALTER TYPE e ADD VALUE 'aa' BEFORE 'b'", ()));
        first.run("COMMIT", ()).unwrap();
        waiting.join().unwrap().unwrap();
        altering.join().unwrap().unwrap();
    });
    let mut session = db.session();
    session.run("INSERT INTO t VALUES (5, 'aa')", ()).unwrap();
    let found: Vec<String> = all(&mut session, "SELECT e FROM t ORDER BY e");
    assert_eq!(found, ["aa", "b"]);
}

#[test]
fn values_are_read_as_text_and_given_as_text() {
    let db = Database::in_memory().unwrap();
    db.execute_script("CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE t (e e, es e[]);")
        .unwrap();
    db.execute("INSERT INTO t VALUES ($1, $2)", ("b", "{a,b}"))
        .unwrap();
    let row = db
        .query("SELECT e, es FROM t WHERE e = $1", ("b",))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(row.get::<String>(0).unwrap(), "b");
    let value: Value = row.get(0).unwrap();
    assert_eq!(value.as_label(), Some("b"));
    // A value of the type is a parameter as well, also once the type has more labels.
    db.execute("ALTER TYPE e ADD VALUE 'c' BEFORE 'a'", ())
        .unwrap();
    let found = db
        .query("SELECT e::text FROM t WHERE e = $1", (value,))
        .unwrap()
        .count();
    assert_eq!(found, 1);
    let error = db.execute("INSERT INTO t VALUES ($1)", ("d",)).unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_TEXT_REPRESENTATION);
}

/// What a transaction that keeps its snapshot would define on what has changed since.
#[test]
fn definitions_need_the_newest_catalog() {
    for (change, definition) in [
        ("DROP TYPE e", "CREATE TABLE x (e e)"),
        ("DROP TYPE e", "ALTER TABLE t ADD e e"),
        (
            "ALTER TYPE e RENAME VALUE 'a' TO 'c'",
            "CREATE TABLE x (e e DEFAULT 'a')",
        ),
        (
            "ALTER TYPE e RENAME TO f",
            "CREATE TABLE x (n text CHECK (n::e > 'a'))",
        ),
        ("DROP TABLE p", "CREATE TABLE x (p int REFERENCES p)"),
    ] {
        for level in ["REPEATABLE READ", "SERIALIZABLE"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("definitions");
            let db = Database::open(&path).unwrap();
            db.execute_script(
                "CREATE TYPE e AS ENUM ('a', 'b');
                 CREATE TABLE p (id int PRIMARY KEY);
                 CREATE TABLE t (id int);",
            )
            .unwrap();
            let mut late = db.session();
            late.execute_script(&format!(
                "BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM t"
            ))
            .unwrap();
            db.execute(change, ()).unwrap();
            let refused = late.run(definition, ()).map(|_| ()).unwrap_err();
            assert!(refused.is_retryable(), "{change}, {definition}: {refused}");
            drop(late);
            // The next definition, and the next opening, read the catalog.
            db.execute("CREATE TABLE y (id int)", ()).unwrap();
            db.close().unwrap();
            Database::open(&path).unwrap();
        }
    }
}

#[test]
fn a_writer_that_waits_for_a_table_plans_with_its_new_labels() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE TYPE e AS ENUM ('a', 'b');
         CREATE TABLE t (id int PRIMARY KEY, e e);
         INSERT INTO t VALUES (1, 'a');",
    )
    .unwrap();
    let mut first = db.session();
    first
        .execute_script(
            "BEGIN;
             ALTER TYPE e ADD VALUE 'aa' BEFORE 'b';
             INSERT INTO t VALUES (5, 'aa');",
        )
        .unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| db.execute("UPDATE t SET id = id + 10 WHERE e >= 'a'", ()));
        until_it_waits(&db, &waiting);
        first.run("COMMIT", ()).unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), 2);
    });
}

#[test]
fn nothing_is_stored_that_hangs_on_what_labels_are_called() {
    let db = Database::in_memory().unwrap();
    db.execute_script("CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE t (e e, x text);")
        .unwrap();
    let mut session = db.session();
    for refused in [
        "CREATE INDEX ON t ((e::text))",
        "CREATE INDEX ON t ((x::e))",
        "CREATE INDEX ON t ((concat(e, 'x')))",
        "CREATE INDEX ON t ((e || 'x'))",
        "CREATE INDEX ON t ((format('%s', e)))",
        "CREATE INDEX ON t ((quote_nullable(e)))",
        "CREATE INDEX ON t ((e = enum_last(e)))",
        "CREATE INDEX ON t (x) WHERE e::text = x",
        "CREATE TABLE g (e e, y text GENERATED ALWAYS AS (e::text) STORED)",
        "CREATE TABLE g (x text, y e GENERATED ALWAYS AS (x::e) STORED)",
        "CREATE TABLE g (x text, y e GENERATED ALWAYS AS (x) STORED)",
        "CREATE TABLE g (x text) PARTITION BY LIST ((x::e))",
    ] {
        let result = session.run(refused, ()).map(|_| ());
        assert!(result.is_err(), "{refused}");
    }
    // What names a label is kept with it.
    session
        .execute_script(
            "CREATE INDEX ON t ((e = 'a'));
             CREATE INDEX ON t (x) WHERE e > 'a';
             CREATE TABLE g (e e, y bool GENERATED ALWAYS AS (e = 'b') STORED);",
        )
        .unwrap();
}

#[test]
fn a_value_of_another_database_is_its_label() {
    let [one, other] = [["sad", "ok"], ["red", "green"]].map(|labels| {
        let db = Database::in_memory().unwrap();
        let [low, high] = labels;
        db.execute_script(&format!(
            "CREATE TYPE e AS ENUM ('{low}', '{high}'); CREATE TABLE t (e e); \
             INSERT INTO t VALUES ('{low}')"
        ))
        .unwrap();
        db
    });
    let row = one.query("SELECT e FROM t", ()).unwrap().next().unwrap();
    let value: Value = row.unwrap().get(0).unwrap();
    let error = other
        .execute("INSERT INTO t VALUES ($1)", (value,))
        .unwrap_err();
    assert_eq!(error.state(), SqlState::INVALID_TEXT_REPRESENTATION);
}

/// Runs `statement` while another transaction, which has done `changes`, keeps it waiting; gives
/// what it answers once that one is committed.
fn after_waiting(changes: &str, statement: &str) -> rustling_sql::Result<u64> {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE TYPE e AS ENUM ('a', 'b');
         CREATE TABLE t (id int PRIMARY KEY, e e);
         INSERT INTO t VALUES (1, 'a');
         CREATE TABLE other (id int PRIMARY KEY, e text);",
    )
    .unwrap();
    let mut first = db.session();
    first.execute_script(&format!("BEGIN; {changes}")).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| db.execute(statement, ()));
        until_it_waits(&db, &waiting);
        assert!(!waiting.is_finished(), "{statement} waits");
        first.run("COMMIT", ()).unwrap();
        waiting.join().unwrap()
    })
}

/// What it reads, and not only what it changes, may be defined anew while a statement waits.
#[test]
fn a_statement_that_has_waited_reads_tables_as_they_are_defined_then() {
    let lock = "LOCK TABLE other IN EXCLUSIVE MODE;";
    for change in [
        "ALTER TYPE e ADD VALUE 'aa' BEFORE 'b'; INSERT INTO t VALUES (2, 'aa'); \
         UPDATE t SET e = 'aa' WHERE id = 1",
        "ALTER TABLE t ADD COLUMN n int DEFAULT 7; INSERT INTO t VALUES (2, 'b', 8); \
         UPDATE t SET n = 9 WHERE id = 1",
    ] {
        for (before, statement) in [
            (lock, "INSERT INTO other SELECT id, e::text FROM t"),
            (
                lock,
                "WITH new AS (INSERT INTO other SELECT id, e::text FROM t RETURNING *) \
              SELECT count(*) FROM t, new WHERE new.id = t.id AND t.e >= 'a' GROUP BY t.id",
            ),
            ("", "SELECT e FROM t FOR UPDATE"),
            (
                "",
                "INSERT INTO other SELECT id, e::text FROM t ORDER BY e FOR UPDATE",
            ),
            (
                "",
                "SELECT t.*, other.id FROM t LEFT JOIN other USING (id) FOR SHARE OF t",
            ),
        ] {
            let changes = format!("{before} {change}");
            let rows = after_waiting(&changes, statement);
            assert_eq!(rows.unwrap(), 2, "{change}: {statement}");
        }
    }
}

/// Readers lock nothing, so a definition can change between their plan and their snapshot.
#[test]
fn no_reader_meets_rows_that_its_plan_does_not_know() {
    let db = Database::in_memory().unwrap();
    db.execute_script(
        "CREATE TYPE e AS ENUM ('l');
         CREATE TABLE t (id int PRIMARY KEY, e e);
         INSERT INTO t VALUES (0, 'l');",
    )
    .unwrap();
    let point = db.prepare("SELECT * FROM t WHERE id = $1").unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let is_done = || done.load(std::sync::atomic::Ordering::Relaxed);
    thread::scope(|scope| {
        let joined = scope.spawn(|| {
            let mut most = 0;
            while !is_done() {
                let sql = "SELECT x.*, y.e FROM t x JOIN t y USING (id) WHERE x.e >= 'l'";
                let rows = db.query(sql, ()).unwrap().map(Result::unwrap).count();
                assert!(rows >= most);
                most = rows;
            }
        });
        let one = scope.spawn(|| {
            while !is_done() {
                for row in point.query((0,)).unwrap() {
                    row.unwrap();
                }
            }
        });
        let in_blocks = scope.spawn(|| {
            let mut session = db.session();
            for level in ["READ COMMITTED", "REPEATABLE READ"].iter().cycle() {
                let begin = format!("BEGIN ISOLATION LEVEL {level}");
                session.run(&begin, ()).unwrap();
                let many: Vec<i64> = all(&mut session, "SELECT count(e) FROM t");
                let last: Vec<String> = all(&mut session, "SELECT e FROM t ORDER BY id");
                if *level == "REPEATABLE READ" {
                    assert_eq!(many, [last.len() as i64]);
                }
                session.run("COMMIT", ()).unwrap();
                if is_done() {
                    break;
                }
            }
        });
        let mut writer = db.session();
        for n in 1..60 {
            let change = match n % 3 {
                0 => format!("ALTER TABLE t ADD COLUMN c{n} int DEFAULT {n}"),
                _ => format!("ALTER TYPE e ADD VALUE 'l{n}'"),
            };
            let label = if n % 3 == 0 {
                "l".to_owned()
            } else {
                format!("l{n}")
            };
            writer
                .execute_script(&format!(
                    "BEGIN; {change}; INSERT INTO t (id, e) VALUES ({n}, '{label}'); \
                     UPDATE t SET e = '{label}' WHERE id = 0; COMMIT;"
                ))
                .unwrap();
            if joined.is_finished() || one.is_finished() || in_blocks.is_finished() {
                break;
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn types_go_with_what_needs_them_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dropped");
    let db = Database::open(&path).unwrap();
    let mut session = db.session();
    session
        .execute_script(
            "CREATE TYPE e AS ENUM ('a', 'b');
             CREATE DOMAIN d AS e;
             CREATE TABLE parent (n text CHECK (n::e > 'a'), g bool GENERATED ALWAYS AS (n = 'x') STORED);
             CREATE TABLE a_child (o int) INHERITS (parent);
             CREATE TABLE of_domain (n text CHECK (n::d IS NOT NULL));",
        )
        .unwrap();
    // The check is on the domain alone, which is dropped as well, but without CASCADE.
    assert_eq!(
        state(&mut session, "DROP TYPE e, d"),
        SqlState::DEPENDENT_OBJECTS
    );
    session.run("DROP TYPE e, d CASCADE", ()).unwrap();
    session
        .execute_script(
            "INSERT INTO a_child (n, o) VALUES ('a', 1); INSERT INTO of_domain VALUES ('z');",
        )
        .unwrap();
    // In the order of what needs what.
    session
        .execute_script(
            "CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS e; DROP TYPE e, d;
             CREATE TYPE e AS ENUM ('a'); CREATE DOMAIN d AS e; DROP TYPE d, e;
             CREATE SCHEMA s; CREATE TYPE s.a AS ENUM ('a'); CREATE DOMAIN s.b AS s.a;
             CREATE TABLE outside (x s.b, y s.a, z int);
             DROP SCHEMA s CASCADE;",
        )
        .unwrap();
    let columns: Vec<String> = all(
        &mut session,
        "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'outside'",
    );
    assert_eq!(columns, ["z"]);
    drop(session);
    db.close().unwrap();
    Database::open(&path).unwrap();
}

#[test]
fn a_type_may_be_called_like_one_that_every_database_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("named");
    let db = Database::open(&path).unwrap();
    db.execute_script(
        "CREATE TYPE e AS ENUM ('a', 'b');
         CREATE SCHEMA s;
         CREATE TYPE s.json AS ENUM ('x');
         CREATE TABLE t (id int, e e DEFAULT 'a'::e CHECK (e <> 'b'::e), j s.json DEFAULT 'x'::s.json);
         ALTER TYPE e RENAME TO text;
         ALTER TYPE s.json SET SCHEMA public;
         INSERT INTO t (id) VALUES (1);",
    )
    .unwrap();
    db.close().unwrap();
    let db = Database::open(&path).unwrap();
    let mut session = db.session();
    assert_eq!(
        state(&mut session, "INSERT INTO t VALUES (2, 'b')"),
        SqlState::CHECK_VIOLATION
    );
    session.run("INSERT INTO t (id) VALUES (3)", ()).unwrap();
    let types: Vec<String> = all(
        &mut session,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
         WHERE attrelid = 't'::regclass AND attnum > 1 ORDER BY attnum",
    );
    assert_eq!(types, ["public.text", "public.json"]);
    session
        .run("ALTER TYPE public.text ADD VALUE 'c'", ())
        .unwrap();
    session.run("DROP TYPE public.text CASCADE", ()).unwrap();
    drop(session);
    db.close().unwrap();
    Database::open(&path).unwrap();
}

#[test]
fn labels_are_renamed_whatever_else_does_not_fit_any_more() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session
        .execute_script(
            "CREATE TYPE e AS ENUM ('a', 'b');
             CREATE TABLE t (id int, e e);
             CREATE TABLE u (n int);
             INSERT INTO t VALUES (1, 'a');
             CREATE VIEW fits AS SELECT id FROM t WHERE e = 'a';
             CREATE SCHEMA s;
             SET search_path = s, public;
             CREATE VIEW public.unfit AS SELECT n FROM u;
             CREATE TABLE s.u (m int);
             SET search_path = public;",
        )
        .unwrap();
    assert!(session.run("SELECT * FROM unfit", ()).is_err());
    session
        .run("ALTER TYPE e RENAME VALUE 'a' TO 'z'", ())
        .unwrap();
    let found: Vec<i32> = all(&mut session, "SELECT id FROM fits");
    assert_eq!(found, [1]);
    session.run("DROP TYPE e CASCADE", ()).unwrap();
}

#[test]
fn what_refers_to_a_renamed_label_is_found() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session
        .execute_script(
            "CREATE TYPE e AS ENUM ('sad', 'ok');
             CREATE TABLE p (e e PRIMARY KEY);
             CREATE TABLE c (e e REFERENCES p DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO p VALUES ('ok');
             INSERT INTO c VALUES ('ok');
             BEGIN;
             DELETE FROM p;
             ALTER TYPE e RENAME VALUE 'ok' TO 'fine';",
        )
        .unwrap();
    assert_eq!(
        state(&mut session, "COMMIT"),
        SqlState::FOREIGN_KEY_VIOLATION
    );
    let found: Vec<String> = all(&mut session, "SELECT e::text FROM p JOIN c USING (e)");
    assert_eq!(found, ["ok"]);
}

#[test]
fn strings_beside_labels_stay_in_views() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    session
        .execute_script(
            "CREATE TYPE mood AS ENUM ('sad', 'ok');
             CREATE TABLE t (name text, m mood);
             INSERT INTO t VALUES ('ok', 'ok');
             CREATE VIEW v AS
                 SELECT enum_range(CASE WHEN name = 'ok' THEN m END, NULL)::text AS r FROM t;
             ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';",
        )
        .unwrap();
    let found: Vec<String> = all(&mut session, "SELECT r FROM v");
    assert_eq!(found, ["{fine}"]);
}

/// A result that is still being read keeps the snapshot of a READ COMMITTED transaction: what it
/// defines then would undo what others have defined since.
#[test]
fn definitions_of_others_are_not_undone() {
    let db = Database::in_memory().unwrap();
    let mut session = db.session();
    let mut other = db.session();
    session
        .execute_script(
            "CREATE TYPE e AS ENUM ('a', 'b');
             CREATE TABLE t (e e);
             INSERT INTO t VALUES ('a'), ('b');
             BEGIN;",
        )
        .unwrap();
    let StatementResult::Rows(mut open) = session.run("SELECT e FROM t", ()).unwrap() else {
        unreachable!("SELECT gives rows")
    };
    open.next().unwrap().unwrap();
    other
        .execute_script("ALTER TYPE e ADD VALUE 'c'; INSERT INTO t VALUES ('c');")
        .unwrap();
    assert_eq!(
        state(&mut session, "ALTER TYPE e ADD VALUE 'd'"),
        SqlState::SERIALIZATION_FAILURE
    );
    drop(open);
    session
        .execute_script("ROLLBACK; BEGIN; ALTER TYPE e ADD VALUE 'd'; COMMIT;")
        .unwrap();
    let found: Vec<String> = all(&mut session, "SELECT e::text FROM t ORDER BY e");
    assert_eq!(found, ["a", "b", "c"]);
}

/// A statement that waits does not write labels that are not the type's any more.
#[test]
fn plans_do_not_outlive_labels() {
    let lock = "LOCK TABLE other IN EXCLUSIVE MODE; ALTER TYPE e RENAME VALUE 'a' TO 'z'";
    // The condition fails where the label was that of the older plan.
    let written = "INSERT INTO other SELECT CASE WHEN e::text = 'z' THEN id END, e::text FROM t";
    assert_eq!(after_waiting(lock, written).unwrap(), 1);
}
