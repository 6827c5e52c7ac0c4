//! A driver of PostgreSQL's world, unmodified, against a server in this process.

use std::{
    error::Error as _,
    io::{Read as _, Write as _},
    time::Duration,
};

use bytes::BytesMut;
use postgres::{
    Client, Config, NoTls,
    error::{DbError, ErrorPosition, SqlState},
    types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked},
};
use rustling_server::{Server, ServerOptions};
use rustling_sql::{
    Database,
    ast::RoleOption::{Login, Password, Superuser},
};

struct Place {
    database: Database,
    server: Server,
}

impl Place {
    /// A server on a new database with the user ann, whose password is `secret`.
    fn new(script: &str) -> Place {
        let database = Database::in_memory().unwrap();
        database.execute_script(script).unwrap();
        let ann = [
            Login(true),
            Superuser(true),
            Password(Some("secret".into())),
        ];
        database.set_role("ann", &ann).unwrap();
        let options = ServerOptions::new().listen_on("127.0.0.1:0".parse().unwrap());
        Place {
            server: Server::start(database.clone(), options).unwrap(),
            database,
        }
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.server.addresses()[0].port())
            .user("ann")
            .password("secret")
            .dbname("test");
        config
    }

    fn client(&self) -> Client {
        self.config().connect(NoTls).unwrap()
    }
}

fn database_error(error: &postgres::Error) -> &DbError {
    error
        .as_db_error()
        .unwrap_or_else(|| panic!("{error}: {:?}", error.source()))
}

#[test]
fn the_right_password_is_let_in_and_others_are_not() {
    let place = Place::new("");
    let row = place
        .client()
        .query_one("SELECT current_user::text", &[])
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "ann");
    for (user, password) in [("ann", "guess"), ("nobody", "secret")] {
        let error = place
            .config()
            .user(user)
            .password(password)
            .connect(NoTls)
            .map(drop)
            .unwrap_err();
        let error = database_error(&error);
        assert_eq!(*error.code(), SqlState::INVALID_PASSWORD, "{user}");
        assert_eq!(
            error.message(),
            format!("password authentication failed for user \"{user}\"")
        );
    }
}

#[test]
fn values_go_both_ways_in_binary_form() {
    let place = Place::new("");
    let row = place
        .client()
        .query_one(
            "SELECT $1::bool, $2::smallint, $3::int, $4::bigint, $5::real, $6::double precision, \
             $7::text, $8::bytea, $9::int",
            &[
                &true,
                &-5i16,
                &7i32,
                &i64::MIN,
                &1.5f32,
                &-1e300f64,
                &"text ü",
                &&b"\x00\xff"[..],
                &None::<i32>,
            ],
        )
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, i16>(1), -5);
    assert_eq!(row.get::<_, i32>(2), 7);
    assert_eq!(row.get::<_, i64>(3), i64::MIN);
    assert_eq!(row.get::<_, f32>(4), 1.5);
    assert_eq!(row.get::<_, f64>(5), -1e300);
    assert_eq!(row.get::<_, &str>(6), "text ü");
    assert_eq!(row.get::<_, &[u8]>(7), b"\x00\xff");
    assert_eq!(row.get::<_, Option<i32>>(8), None);
}

#[test]
fn statements_are_prepared_once_and_run_often() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY, name text)");
    let mut client = place.client();
    let insert = client.prepare("INSERT INTO t VALUES ($1, $2)").unwrap();
    for id in 0..100 {
        let name = format!("row {id}");
        assert_eq!(client.execute(&insert, &[&id, &name]).unwrap(), 1);
    }
    let select = client.prepare("SELECT name FROM t WHERE id = $1").unwrap();
    assert_eq!(select.columns()[0].name(), "name");
    for id in [0, 42, 99] {
        let row = client.query_one(&select, &[&id]).unwrap();
        assert_eq!(row.get::<_, String>(0), format!("row {id}"));
    }
}

#[test]
fn what_a_statement_gives_back_is_known_before_it_runs() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY, name text)");
    let mut client = place.client();
    let row = client
        .query_one("INSERT INTO t VALUES (1, 'one') RETURNING name, id", &[])
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "one");
    assert_eq!(row.get::<_, i32>(1), 1);
    let row = client.query_one("SHOW server_encoding", &[]).unwrap();
    assert_eq!(row.get::<_, &str>(0), "UTF8");
    assert!(
        !client
            .query("EXPLAIN SELECT * FROM t", &[])
            .unwrap()
            .is_empty()
    );
    client
        .batch_execute("PREPARE p AS SELECT id FROM t")
        .unwrap();
    if let Err(error) = client.query("EXECUTE p", &[]) {
        assert_eq!(
            *database_error(&error).code(),
            SqlState::FEATURE_NOT_SUPPORTED
        );
    }
    client.query_one("SELECT 1", &[]).unwrap();
}

#[test]
fn transactions_commit_whole_or_not_at_all() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY)");
    let (mut one, mut other) = (place.client(), place.client());
    let count = |client: &mut Client| -> i64 {
        client
            .query_one("SELECT count(*) FROM t", &[])
            .unwrap()
            .get(0)
    };
    let mut block = one.transaction().unwrap();
    block.execute("INSERT INTO t VALUES (1)", &[]).unwrap();
    assert_eq!(count(&mut other), 0);
    block.commit().unwrap();
    assert_eq!(count(&mut other), 1);
    let mut block = one.transaction().unwrap();
    block.execute("INSERT INTO t VALUES (2)", &[]).unwrap();
    let error = block.execute("INSERT INTO t VALUES (1)", &[]).unwrap_err();
    assert_eq!(*database_error(&error).code(), SqlState::UNIQUE_VIOLATION);
    let error = block.batch_execute("INSERT INTO t VALUES (3)").unwrap_err();
    assert_eq!(
        *database_error(&error).code(),
        SqlState::IN_FAILED_SQL_TRANSACTION
    );
    block.rollback().unwrap();
    assert_eq!(count(&mut one), 1);
}

#[test]
fn a_simple_query_of_several_statements_is_one_transaction() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY)");
    let mut client = place.client();
    client
        .batch_execute("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)")
        .unwrap_err();
    client
        .batch_execute("INSERT INTO t VALUES (2); INSERT INTO t VALUES (3);")
        .unwrap();
    let ids: Vec<i32> = client
        .query("SELECT id FROM t ORDER BY id", &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(ids, [2, 3]);
    client
        .batch_execute("BEGIN; INSERT INTO t VALUES (4); COMMIT; INSERT INTO t VALUES (4)")
        .unwrap_err();
    let row = client.query_one("SELECT max(id) FROM t", &[]).unwrap();
    assert_eq!(row.get::<_, i32>(0), 4);
}

#[test]
fn a_portal_gives_its_rows_in_portions() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY)");
    let mut client = place.client();
    for id in 0..25 {
        client.execute("INSERT INTO t VALUES ($1)", &[&id]).unwrap();
    }
    let mut block = client.transaction().unwrap();
    let portal = block.bind("SELECT id FROM t ORDER BY id", &[]).unwrap();
    let mut ids: Vec<i32> = Vec::new();
    loop {
        let rows = block.query_portal(&portal, 10).unwrap();
        assert!(rows.len() <= 10);
        ids.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        if rows.len() < 10 {
            break;
        }
    }
    assert_eq!(ids, (0..25).collect::<Vec<_>>());
    block.commit().unwrap();
}

#[test]
fn a_transaction_ends_whatever_its_portals_have_left() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY)");
    let mut client = place.client();
    for id in 0..25 {
        client.execute("INSERT INTO t VALUES ($1)", &[&id]).unwrap();
    }
    for commits in [true, false] {
        let mut block = client.transaction().unwrap();
        block.execute("INSERT INTO t VALUES (100)", &[]).unwrap();
        let portal = block.bind("SELECT id FROM t ORDER BY id", &[]).unwrap();
        assert_eq!(block.query_portal(&portal, 10).unwrap().len(), 10);
        if commits {
            block.commit().unwrap();
        } else {
            block.rollback().unwrap();
        }
        drop(portal);
        let deleted = client.execute("DELETE FROM t WHERE id = 100", &[]);
        assert_eq!(deleted.unwrap(), u64::from(commits));
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    let place = Place::new("CREATE TABLE flights (carrier text)");
    let mut client = place.client();
    let error = client.query("SELECT carier FROM flights", &[]).unwrap_err();
    let error = database_error(&error);
    assert_eq!(*error.code(), SqlState::UNDEFINED_COLUMN);
    assert_eq!(error.position(), Some(&ErrorPosition::Original(8)));
    assert!(error.hint().unwrap().contains("carrier"), "{error:?}");
    let error = client
        .batch_execute("SELECT 1; SELECT * FROM fligts")
        .unwrap_err();
    assert_eq!(
        database_error(&error).position(),
        Some(&ErrorPosition::Original(25))
    );
    // The connection goes on.
    client.query_one("SELECT 1", &[]).unwrap();
}

#[test]
fn a_running_statement_is_cancelled_from_another_connection() {
    let place = Place::new(
        "CREATE TABLE t (id int PRIMARY KEY); \
         INSERT INTO t VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)",
    );
    let mut client = place.client();
    let token = client.cancel_token();
    let canceller = std::thread::spawn(move || {
        // A request that comes before the statement is for nobody: it comes again.
        for _ in 0..200 {
            if token.cancel_query(NoTls).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let error = client
        .query(
            "SELECT count(*) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j \
             WHERE a.id + b.id + c.id + d.id + e.id + f.id + g.id + h.id + i.id + j.id > 99",
            &[],
        )
        .unwrap_err();
    assert_eq!(*database_error(&error).code(), SqlState::QUERY_CANCELED);
    drop(place);
    canceller.join().unwrap();
}

#[test]
fn large_results_stream() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY, text text)");
    let mut client = place.client();
    for start in (0..5_000).step_by(500) {
        let rows: Vec<String> = (start..start + 500)
            .map(|id| format!("({id}, 'some text of row {id}')"))
            .collect();
        client
            .batch_execute(&format!("INSERT INTO t VALUES {}", rows.join(",")))
            .unwrap();
    }
    let rows = client.query("SELECT * FROM t ORDER BY id", &[]).unwrap();
    assert_eq!(rows.len(), 5_000);
    assert_eq!(rows[4_999].get::<_, &str>(1), "some text of row 4999");
}

#[test]
fn a_shutdown_lets_transactions_finish() {
    let place = Place::new("CREATE TABLE t (id int PRIMARY KEY)");
    let (mut busy, mut idle) = (place.client(), place.client());
    let mut block = busy.transaction().unwrap();
    block.execute("INSERT INTO t VALUES (1)", &[]).unwrap();
    let address = place.server.addresses()[0];
    let (database, server) = (place.database.clone(), place.server);
    let ending = std::thread::spawn(move || server.shutdown(Duration::from_secs(20)));
    // The idle session is told to go.
    while idle.query_one("SELECT 1", &[]).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    block.execute("INSERT INTO t VALUES (2)", &[]).unwrap();
    // The client hears at once that the commit is done and that the server ends: which one it
    // reports is its own affair.
    let _ = block.commit();
    ending.join().unwrap();
    let rows = database.query("SELECT count(*) FROM t", ()).unwrap();
    assert_eq!(rows.read_all::<(i64,)>().unwrap(), [(2,)]);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn what_is_broken_is_named() {
    let place = Place::new(
        "CREATE TABLE p (id int PRIMARY KEY);
         CREATE TABLE c (id int NOT NULL, of int CONSTRAINT parent REFERENCES p (id),
                         n int CONSTRAINT positive CHECK (n > 0), CONSTRAINT once UNIQUE (n));
         INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1, 1)",
    );
    let mut client = place.client();
    for (sql, table, column, constraint) in [
        ("INSERT INTO p VALUES (1)", Some("p"), None, Some("p_pkey")),
        ("INSERT INTO c (n) VALUES (2)", Some("c"), Some("id"), None),
        (
            "INSERT INTO c VALUES (1, 1, 0)",
            Some("c"),
            None,
            Some("positive"),
        ),
        (
            "INSERT INTO c VALUES (1, 1, 1)",
            Some("c"),
            None,
            Some("once"),
        ),
        (
            "INSERT INTO c VALUES (1, 2, 3)",
            Some("c"),
            None,
            Some("parent"),
        ),
        ("DELETE FROM p", None, None, Some("parent")),
        ("SELECT 1 / 0", None, None, None),
    ] {
        let error = client.batch_execute(sql).unwrap_err();
        let error = database_error(&error);
        assert_eq!(error.table(), table, "{sql}");
        assert_eq!(error.schema(), table.map(|_| "public"), "{sql}");
        assert_eq!(error.column(), column, "{sql}");
        assert_eq!(error.constraint(), constraint, "{sql}");
    }
}

#[test]
fn data_is_copied_both_ways() {
    let place = Place::new("CREATE TABLE t (n int PRIMARY KEY, name text)");
    let mut client = place.client();
    let mut writer = client.copy_in("COPY t FROM STDIN").unwrap();
    for n in 0..10_000 {
        writeln!(writer, "{n}\tnumber {n}").unwrap();
    }
    assert_eq!(writer.finish().unwrap(), 10_000);
    let mut text = String::new();
    client
        .copy_out("COPY (SELECT * FROM t WHERE n < 3 ORDER BY n) TO STDOUT (FORMAT csv, HEADER)")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "n,name\n0,number 0\n1,number 1\n2,number 2\n");
    // A part of many kilobytes comes whole.
    let mut bytes = Vec::new();
    client
        .copy_out("COPY t TO STDOUT (FORMAT binary)")
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert!(bytes.starts_with(b"PGCOPY\n\xff\r\n\0") && bytes.ends_with(b"\xff\xff"));

    // An error in the data, with its place; the session goes on.
    let mut writer = client.copy_in("COPY t FROM STDIN").unwrap();
    writer.write_all(b"10000\tgood\nx\tbad\n").unwrap();
    let error = writer.finish().unwrap_err();
    let error = database_error(&error);
    assert_eq!(error.code().code(), "22P02");
    assert_eq!(error.where_(), Some("COPY t, line 2, column n: \"x\""));
    // A writer that is dropped takes its data back.
    let mut writer = client.copy_in("COPY t FROM STDIN").unwrap();
    writer.write_all(b"10001\tgood\n").unwrap();
    drop(writer);
    let count = |client: &mut Client| -> i64 {
        client
            .query_one("SELECT count(*) FROM t", &[])
            .unwrap()
            .get(0)
    };
    assert_eq!(count(&mut client), 10_000);

    // Within a transaction.
    let mut transaction = client.transaction().unwrap();
    let mut writer = transaction.copy_in("COPY t FROM STDIN").unwrap();
    writer.write_all(b"10002\tgood\n").unwrap();
    writer.finish().unwrap();
    transaction.rollback().unwrap();
    assert_eq!(count(&mut client), 10_000);

    // By the simple protocol a COPY to the client works as well; one that fails on the way does
    // so in its place, and files are for others.
    let error = client
        .copy_out("COPY (SELECT 1 / (2 - n) FROM t WHERE n < 5 ORDER BY n) TO STDOUT")
        .and_then(|mut reader| {
            let mut text = String::new();
            let read = reader.read_to_string(&mut text).map(drop);
            Err::<(), postgres::Error>(
                *read
                    .unwrap_err()
                    .into_inner()
                    .unwrap()
                    .downcast::<postgres::Error>()
                    .unwrap(),
            )
        })
        .unwrap_err();
    assert_eq!(database_error(&error).code().code(), "22012");
    for sql in ["COPY t TO '/tmp/never'", "COPY t FROM '/etc/passwd'"] {
        let error = client.batch_execute(sql).unwrap_err();
        assert_eq!(database_error(&error).code().code(), "42501", "{sql}");
    }
    assert_eq!(count(&mut client), 10_000);
}

/// A label of an enumerated type: what a program's own type is to the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mood(String);

type AnyError = Box<dyn std::error::Error + Sync + Send>;

fn is_mood(of: &Type) -> bool {
    match of.kind() {
        Kind::Enum(labels) => of.name() == "mood" && labels.len() >= 3,
        Kind::Domain(base) => is_mood(base),
        _ => false,
    }
}

impl ToSql for Mood {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        is_mood(of)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Mood {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Mood, AnyError> {
        Ok(Mood(std::str::from_utf8(raw)?.to_owned()))
    }

    fn accepts(of: &Type) -> bool {
        is_mood(of)
    }
}

fn mood(label: &str) -> Mood {
    Mood(label.to_owned())
}

const MOODS: &str = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
     CREATE DOMAIN good AS mood CHECK (VALUE <> 'sad');
     CREATE TABLE people (id int PRIMARY KEY, now mood, past mood[], will good)";

#[test]
fn enumerated_types_go_both_ways_in_binary_form() {
    let place = Place::new(MOODS);
    let mut client = place.client();
    let insert = client
        .prepare("INSERT INTO people VALUES ($1, $2, $3, $4)")
        .unwrap();
    assert_eq!(
        *insert.params()[1].kind(),
        Kind::Enum(vec!["sad".into(), "ok".into(), "happy".into()])
    );
    assert_eq!(insert.params()[1].schema(), "public");
    let Kind::Array(element) = insert.params()[2].kind() else {
        panic!("{:?}", insert.params());
    };
    assert_eq!(element.oid(), insert.params()[1].oid());
    let past = vec![Some(mood("happy")), None, Some(mood("sad"))];
    client
        .execute(&insert, &[&1, &mood("ok"), &past, &mood("happy")])
        .unwrap();
    client
        .execute(
            &insert,
            &[&2, &None::<Mood>, &None::<Vec<Mood>>, &None::<Mood>],
        )
        .unwrap();
    let rows = client.query("SELECT * FROM people ORDER BY id", &[]);
    let rows = rows.unwrap();
    assert_eq!(rows[0].columns()[1].type_().name(), "mood");
    assert_eq!(rows[0].get::<_, Mood>(1), mood("ok"));
    assert_eq!(rows[0].get::<_, Vec<Option<Mood>>>(2), past);
    assert_eq!(rows[0].get::<_, Mood>(3), mood("happy"));
    assert_eq!(rows[1].get::<_, Option<Mood>>(1), None);
    assert_eq!(rows[1].get::<_, Option<Vec<Mood>>>(2), None);

    // Comparison is that of the labels' order, also where nothing but the parameter has a type.
    let row = client
        .query_one(
            "SELECT $1::mood < 'happy', array[$1, 'happy'], now = ANY ($2) FROM people WHERE now = $1",
            &[&mood("ok"), &vec![mood("sad"), mood("ok")]],
        )
        .unwrap();
    assert!(row.get::<_, bool>(0) && row.get::<_, bool>(2));
    assert_eq!(row.get::<_, Vec<Mood>>(1), [mood("ok"), mood("happy")]);

    let failure = |client: &mut Client, id: i32, now: &str, will: &str| {
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&id, &mood(now), &None::<Vec<Mood>>, &mood(will)];
        let error = client.execute(&insert, &parameters).unwrap_err();
        let error = database_error(&error);
        (error.code().code().to_owned(), error.message().to_owned())
    };
    let (code, message) = failure(&mut client, 3, "elated", "ok");
    assert_eq!(code, "22P02");
    assert_eq!(message, "invalid input value for enum mood: \"elated\"");
    assert_eq!(failure(&mut client, 3, "ok", "sad").0, "23514");
    // A statement that is prepared takes a label that comes later.
    place
        .database
        .execute("ALTER TYPE mood ADD VALUE 'elated' BEFORE 'happy'", ())
        .unwrap();
    client
        .execute(
            &insert,
            &[&3, &mood("elated"), &vec![mood("elated")], &mood("elated")],
        )
        .unwrap();
    let row = client
        .query_one(
            "SELECT now, past, now < 'happy' FROM people WHERE id = 3",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, Mood>(0), mood("elated"));
    assert_eq!(row.get::<_, Vec<Mood>>(1), [mood("elated")]);
    assert!(row.get::<_, bool>(2));
}

#[test]
fn enumerated_types_are_copied_in_binary_form() {
    let place = Place::new(MOODS);
    let mut client = place.client();
    client
        .batch_execute(
            "INSERT INTO people VALUES (1, 'ok', '{sad,NULL,happy}', 'happy'), (2, NULL, '{}', 'ok')",
        )
        .unwrap();
    let mut bytes = Vec::new();
    client
        .copy_out("COPY people TO STDOUT (FORMAT binary)")
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    client
        .batch_execute("CREATE TABLE others (LIKE people)")
        .unwrap();
    let copy = |client: &mut Client, bytes: &[u8]| {
        let mut writer = client.copy_in("COPY others FROM STDIN (FORMAT binary)")?;
        writer.write_all(bytes).unwrap();
        writer.finish()
    };
    assert_eq!(copy(&mut client, &bytes).unwrap(), 2);
    let row = client
        .query_one(
            "SELECT count(*) FROM (SELECT * FROM people EXCEPT SELECT * FROM others) d",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    let at = bytes.windows(2).position(|two| two == b"ok").unwrap();
    bytes[at] = b'a';
    let error = copy(&mut client, &bytes).unwrap_err();
    let error = database_error(&error);
    assert_eq!(error.code().code(), "22P02");
    assert_eq!(error.message(), "invalid input value for enum mood: \"ak\"");
    assert_eq!(error.where_(), Some("COPY others, line 1, column now"));
    bytes[at] = 0xff;
    let error = copy(&mut client, &bytes).unwrap_err();
    assert_eq!(database_error(&error).code().code(), "22021");
}

/// What drivers ask about a type whose number they do not know.
#[test]
fn drivers_find_enumerated_types_in_the_catalog() {
    let place = Place::new(MOODS);
    let mut client = place.client();
    let oid: u32 = client
        .query_one("SELECT 'mood'::regtype::oid", &[])
        .unwrap()
        .get(0);
    // sqlx
    let row = client
        .query_one(
            "SELECT oid::regtype::text, typtype, typcategory, typrelid, typelem, typbasetype \
             FROM pg_catalog.pg_type WHERE oid = $1",
            &[&oid],
        )
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "mood");
    assert_eq!(
        (row.get::<_, i8>(1), row.get::<_, i8>(2)),
        (b'e' as i8, b'E' as i8)
    );
    let labels = client
        .query(
            "SELECT enumlabel FROM pg_catalog.pg_enum WHERE enumtypid = $1 ORDER BY enumsortorder",
            &[&oid],
        )
        .unwrap();
    let labels: Vec<&str> = labels.iter().map(|row| row.get(0)).collect();
    assert_eq!(labels, ["sad", "ok", "happy"]);
    let row = client.query_one("SELECT $1::text::regtype::oid", &[&"mood"]);
    assert_eq!(row.unwrap().get::<_, u32>(0), oid);
    // psycopg
    let row = client
        .query_one(
            "SELECT name, oid, array_oid, array_agg(label) AS labels FROM ( \
                 SELECT t.typname AS name, t.oid AS oid, t.typarray AS array_oid, \
                        e.enumlabel AS label \
                 FROM pg_type t LEFT JOIN pg_enum e ON e.enumtypid = t.oid \
                 WHERE t.oid = to_regtype($1) ORDER BY e.enumsortorder \
             ) x GROUP BY name, oid, array_oid",
            &[&"mood"],
        )
        .unwrap();
    assert_eq!(row.get::<_, u32>(1), oid);
    let array: u32 = row.get(2);
    // JDBC
    let row = client
        .query_one(
            "SELECT typinput = 'pg_catalog.array_in'::regproc AS is_array, typtype, typname, \
                    pg_type.oid \
             FROM pg_catalog.pg_type \
             LEFT JOIN (SELECT ns.oid AS nspoid, ns.nspname, r.r \
                        FROM pg_namespace AS ns \
                        JOIN (SELECT s.r, (current_schemas(false))[s.r] AS nspname \
                              FROM generate_series(1, array_upper(current_schemas(false), 1)) \
                                   AS s(r)) AS r USING (nspname)) AS sp \
             ON sp.nspoid = typnamespace WHERE typname = $1 \
             ORDER BY sp.r, pg_type.oid DESC LIMIT 1",
            &[&"_mood"],
        )
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, u32>(3), array);
    let row = client
        .query_one(
            "SELECT e.oid, n.nspname = ANY (current_schemas(true)), n.nspname, e.typname \
             FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type e ON t.typelem = e.oid \
             JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE t.oid = $1",
            &[&array],
        )
        .unwrap();
    assert_eq!(row.get::<_, u32>(0), oid);
    assert!(row.get::<_, bool>(1));
    let row = client
        .query_one(
            "SELECT e.typdelim FROM pg_catalog.pg_type t, pg_catalog.pg_type e \
             WHERE t.oid = $1 AND t.typelem = e.oid",
            &[&array],
        )
        .unwrap();
    assert_eq!(row.get::<_, i8>(0), b',' as i8);
    // Npgsql, which reads how values are sent and received.
    let row = client
        .query_one(
            "SELECT typreceive::text, typlen FROM pg_type WHERE oid = $1",
            &[&oid],
        )
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "enum_recv");
    assert_eq!(row.get::<_, i16>(1), 4);
}
