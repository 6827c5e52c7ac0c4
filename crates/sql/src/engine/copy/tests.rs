//! COPY as programs use it: in pieces, in bulk, through files.

use std::{fmt::Write as _, os::unix::fs::symlink};

use rustling_storage::{Env, Store, StoreOptions};

use super::FileAccess;
use crate::{Database, Result, Session, StatementResult};

fn database() -> Database {
    Database::in_memory().unwrap()
}

fn feed(session: &mut Session, sql: &str, pieces: &[&[u8]]) -> Result<u64> {
    let StatementResult::CopyIn(mut copy) = session.run(sql, ())? else {
        panic!("{sql} waits for no data");
    };
    for piece in pieces {
        copy.write(session, piece)?;
    }
    copy.finish(session)
}

fn dump(session: &mut Session, sql: &str) -> Vec<u8> {
    let mut out = Vec::new();
    session.copy_out(sql, &mut out).unwrap();
    out
}

#[test]
fn data_may_come_in_any_pieces() {
    let db = database();
    let mut session = db.session();
    session.run("CREATE TABLE t (a text, b text)", ()).unwrap();
    let cases: [(&str, &[u8]); 4] = [
        (
            "COPY t FROM STDIN",
            b"a\\tb\tc\\\\\r\n\\N\t\xc3\xbc\r\n\\.\r\nrest",
        ),
        (
            "COPY t FROM STDIN (FORMAT csv)",
            b"\"a\"\"\r\nb\",c\r\n,\"\"\r\n\"x\",\"y\"",
        ),
        (
            "COPY t FROM STDIN (FORMAT csv, ESCAPE '\\')",
            b"\"a\\\"b\\c\",\"\\\\\"\nplain,\n",
        ),
        (
            "COPY t FROM STDIN (FORMAT binary)",
            b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x01x\0\x02\0\0\0\x01a\xff\xff\xff\xff\xff\xff",
        ),
    ];
    for (sql, data) in cases {
        session.run("TRUNCATE t", ()).unwrap();
        let whole = feed(&mut session, sql, &[data]).unwrap();
        let expected = dump(&mut session, "COPY t TO STDOUT");
        assert!(whole > 0 && !expected.is_empty());
        for at in 0..data.len() {
            session.run("TRUNCATE t", ()).unwrap();
            let (one, other) = data.split_at(at);
            assert_eq!(feed(&mut session, sql, &[one, other]).unwrap(), whole);
            assert_eq!(
                dump(&mut session, "COPY t TO STDOUT"),
                expected,
                "{sql} {at}"
            );
        }
        session.run("TRUNCATE t", ()).unwrap();
        let bytes: Vec<&[u8]> = data.chunks(1).collect();
        feed(&mut session, sql, &bytes).unwrap();
        assert_eq!(dump(&mut session, "COPY t TO STDOUT"), expected, "{sql}");
    }
}

#[test]
fn every_type_comes_back_in_every_format() {
    let db = database();
    let mut session = db.session();
    session
        .execute_script(
            "CREATE TABLE t (a boolean, b smallint, c int, d bigint, e real, f double precision,
                 g numeric(9, 2), h text, i varchar(9), j char(4), k bytea, l date, m time,
                 n timestamp, o timestamptz, p interval, q uuid, r json, s jsonb, u int[]);
             INSERT INTO t VALUES (true, -1, 2, 3, 1.5, -2.5e100, 12.34, E'tab\t\\\\ \"q\", \n',
                 'v', 'c', '\\x00ff', '2020-02-29', '12:34:56.789', 'infinity',
                 '2020-01-01 00:00+02', '1 mon -2 days 03:00', '8c5f1b3e-9d3c-4b0e-8a55-0d8a8f0ac1fe',
                 '{\"a\": 1}', '[1, null]', '{1,NULL,3}');
             INSERT INTO t (h) VALUES ('');
             CREATE TABLE u (LIKE t)",
        )
        .unwrap();
    let expected = dump(&mut session, "COPY t TO STDOUT");
    for options in [
        "FORMAT text",
        "FORMAT csv",
        "FORMAT binary",
        "FORMAT csv, DELIMITER '-', QUOTE '1', ESCAPE '2'",
    ] {
        session.run("TRUNCATE u", ()).unwrap();
        let data = dump(&mut session, &format!("COPY t TO STDOUT ({options})"));
        let sql = format!("COPY u FROM STDIN ({options})");
        assert_eq!(
            session.copy_in(&sql, data.as_slice()).unwrap(),
            2,
            "{options}"
        );
        assert_eq!(
            String::from_utf8_lossy(&dump(&mut session, "COPY u TO STDOUT")),
            String::from_utf8_lossy(&expected),
            "{options}"
        );
        for end in (0..data.len()).step_by(7) {
            // Cut data is refused or is fewer rows, never a panic.
            drop(session.copy_in(&sql, data.get(..end).unwrap_or_default()));
        }
    }
}

fn lines(from: i32, to: i32) -> String {
    let mut text = String::new();
    for n in from..to {
        writeln!(text, "{n}\tnumber {n}").unwrap();
    }
    text
}

#[test]
fn a_large_copy_is_whole_or_nothing_with_others_at_work() {
    let db = database();
    db.execute("CREATE TABLE t (n int PRIMARY KEY, name text UNIQUE)", ())
        .unwrap();
    let count = |db: &Database| -> i64 {
        let rows: Vec<(i64,)> = db
            .query("SELECT count(*) FROM t", ())
            .unwrap()
            .read_all()
            .unwrap();
        rows[0].0
    };
    // Alone on the table: the way of bulk loads.
    db.copy_in("COPY t FROM STDIN", lines(0, 10_000).as_bytes())
        .unwrap();
    assert_eq!(count(&db), 10_000);
    // Beside another writer: the way of INSERT. Neither waits for the other.
    let mut other = db.session();
    other.run("BEGIN", ()).unwrap();
    other.run("INSERT INTO t VALUES (-1, 'x')", ()).unwrap();
    db.copy_in("COPY t FROM STDIN", lines(10_000, 20_000).as_bytes())
        .unwrap();
    assert_eq!(count(&db), 20_000);
    other.run("COMMIT", ()).unwrap();
    // A duplicate at the very end leaves nothing, and says where it stands.
    let mut data = lines(20_000, 30_000);
    data.push_str("5\tagain\n");
    let error = db
        .copy_in("COPY t FROM STDIN", data.as_bytes())
        .unwrap_err();
    assert_eq!(error.state().0, "23505");
    assert_eq!(error.context_text(), Some("COPY t, line 10001"));
    assert_eq!(count(&db), 20_001);
    // In a block it ends with the block.
    let mut session = db.session();
    session.run("BEGIN", ()).unwrap();
    session
        .copy_in("COPY t FROM STDIN", lines(20_000, 30_000).as_bytes())
        .unwrap();
    session.run("DELETE FROM t WHERE n < 20000", ()).unwrap();
    assert_eq!(
        dump(&mut session, "COPY t TO STDOUT")
            .iter()
            .filter(|b| **b == b'\n')
            .count(),
        10_000
    );
    session.run("ROLLBACK", ()).unwrap();
    assert_eq!(count(&db), 20_001);
    // Given up half-way, it leaves nothing either.
    let StatementResult::CopyIn(mut copy) = session.run("COPY t FROM STDIN", ()).unwrap() else {
        panic!("no data is waited for");
    };
    copy.write(&mut session, lines(20_000, 30_000).as_bytes())
        .unwrap();
    let error = copy.fail(&mut session, "no more");
    assert_eq!(error.message(), "COPY from stdin failed: no more");
    assert_eq!(count(&db), 20_001);
}

#[test]
fn files_are_those_of_the_database() {
    let store = Store::in_memory(StoreOptions::default()).unwrap();
    let db = Database::from_store(store, Env::in_memory(), "m".into()).unwrap();
    let mut session = db.session();
    session
        .execute_script(
            "CREATE TABLE t (n int, name text);
             INSERT INTO t SELECT n, 'naïve ' || n FROM generate_series(1, 1000) AS g (n);
             CREATE TABLE u (LIKE t)",
        )
        .unwrap();
    for options in [
        "",
        "(FORMAT csv, HEADER)",
        "(FORMAT binary)",
        "(ENCODING 'LATIN1')",
    ] {
        session.run("TRUNCATE u", ()).unwrap();
        let sql = format!("COPY t TO '/data' {options}");
        assert_eq!(session.execute(&sql, ()).unwrap(), 1000);
        let sql = format!("COPY u FROM '/data' {options}");
        assert_eq!(session.execute(&sql, ()).unwrap(), 1000, "{options}");
        assert_eq!(
            dump(&mut session, "COPY u TO STDOUT"),
            dump(&mut session, "COPY t TO STDOUT")
        );
    }
    let error = session.execute("COPY t FROM '/no'", ()).unwrap_err();
    assert_eq!(error.state().0, "58P01");
    session.set_file_access(FileAccess::Beneath(Vec::new()));
    for sql in ["COPY t FROM '/data'", "COPY t TO '/data'"] {
        assert_eq!(session.execute(sql, ()).unwrap_err().state().0, "42501");
    }
}

#[test]
fn nothing_leads_out_of_the_directories_that_are_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let allowed = directory.path().join("allowed");
    let outside = directory.path().join("outside");
    let db = database();
    let mut session = db.session();
    for (path, text) in [(&allowed, "1\n"), (&outside, "2\n")] {
        Env::system().vfs.create_dir_all(path).unwrap();
        let file = path.join("file");
        let sql = format!("COPY (SELECT '{}') TO '{}'", text.trim(), file.display());
        session.execute(&sql, ()).unwrap();
    }
    Env::system()
        .vfs
        .create_dir_all(&allowed.join("below"))
        .unwrap();
    symlink(outside.join("file"), allowed.join("link")).unwrap();
    symlink("../outside", allowed.join("up")).unwrap();
    symlink("/proc/self/fd", allowed.join("proc")).unwrap();
    symlink("file", allowed.join("inside")).unwrap();
    session.run("CREATE TABLE t (line text)", ()).unwrap();
    session.set_file_access(FileAccess::Beneath(vec![allowed.clone()]));
    let base = allowed.display();
    for good in ["file", "inside", "below/../file"] {
        // PostgreSQL normalises paths; here `..` is refused wherever it leads.
        let result = session.execute(&format!("COPY t FROM '{base}/{good}'"), ());
        assert_eq!(result.is_ok(), !good.contains(".."), "{good}: {result:?}");
    }
    let bad = [
        "link",
        "up/file",
        "../outside/file",
        "below/../../outside/file",
        "proc/0",
        "",
        "/",
        ".",
        "..",
        "link/",
        "./../outside/file",
    ];
    for path in bad {
        for sql in [
            format!("COPY t FROM '{base}/{path}'"),
            format!("COPY t TO '{base}/{path}'"),
        ] {
            assert!(session.execute(&sql, ()).is_err(), "{sql}");
        }
    }
    for path in [
        outside.join("file").display().to_string(),
        "/etc/passwd".into(),
        "/proc/self/environ".into(),
        "file".into(),
        format!("{base}x/file"),
        format!("file://{base}/file"),
    ] {
        let sql = format!("COPY t FROM '{path}'");
        let error = session.execute(&sql, ()).unwrap_err();
        assert_eq!(error.state().0, "42501", "{sql}");
    }
    // What lies outside is as it was, and nothing of it was read.
    session.set_file_access(FileAccess::All);
    session
        .execute(
            &format!("COPY t FROM '{}'", outside.join("file").display()),
            (),
        )
        .unwrap();
    let rows: Vec<(String,)> = session
        .query("SELECT line FROM t WHERE line = '2'", ())
        .unwrap()
        .read_all()
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert!(session.execute("COPY t TO '/proc/self/mem'", ()).is_err());
}
