//! A server as its operator and the sessions around a session see it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::wire;
use fallible_iterator::FallibleIterator;
use postgres::{Client, Config, NoTls, error::SqlState};
use rustling_server::{Rules, Serve, Server, ServerOptions};
use rustling_sql::{
    Database,
    ast::RoleOption::{Login, Password, Superuser},
};

fn database() -> Database {
    let database = Database::in_memory().unwrap();
    for (name, superuser) in [("ann", true), ("bob", false)] {
        let options = [
            Login(true),
            Superuser(superuser),
            Password(Some("secret".into())),
        ];
        database.set_role(name, &options).unwrap();
    }
    database
}

fn options() -> ServerOptions {
    ServerOptions::new().listen_on("127.0.0.1:0".parse().unwrap())
}

fn connect(server: &Server, user: &str) -> Result<Client, postgres::Error> {
    Config::new()
        .host("127.0.0.1")
        .port(server.addresses()[0].port())
        .user(user)
        .password("secret")
        .dbname("gate")
        .connect(NoTls)
}

fn client(server: &Server, user: &str) -> Client {
    connect(server, user).unwrap()
}

#[test]
fn a_running_program_serves_its_live_database() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("live.db")).unwrap();
    database.execute("CREATE TABLE t (n int)", ()).unwrap();
    let ann = [
        Login(true),
        Superuser(true),
        Password(Some("secret".into())),
    ];
    database.set_role("ann", &ann).unwrap();
    let server = database.serve("127.0.0.1:0").unwrap();
    assert!(server.socket().unwrap().exists());
    let mut client = client(&server, "ann");
    database.execute("INSERT INTO t VALUES (1)", ()).unwrap();
    client.execute("INSERT INTO t VALUES (2)", &[]).unwrap();
    let sum: i64 = client
        .query_one("SELECT sum(n) FROM t", &[])
        .unwrap()
        .get(0);
    assert_eq!(sum, 3);
    let rows: Vec<(i64,)> = database
        .query("SELECT count(*) FROM t", ())
        .unwrap()
        .read_all()
        .unwrap();
    assert_eq!(rows, [(2,)]);
    let socket = server.socket().unwrap().to_owned();
    drop(server);
    assert!(!socket.exists());
    database.execute("INSERT INTO t VALUES (3)", ()).unwrap();
    database.close().unwrap();
}

#[test]
fn sessions_notify_each_other_through_the_program_too() {
    let database = database();
    let server = Server::start(database.clone(), options()).unwrap();
    let mut listener = client(&server, "ann");
    let mut sender = client(&server, "bob");
    listener.batch_execute("LISTEN news").unwrap();
    sender.batch_execute("BEGIN; NOTIFY news, 'one'").unwrap();
    sender
        .execute("SELECT pg_notify('news', $1)", &[&"two"])
        .unwrap();
    database
        .execute("NOTIFY news, 'from the program'", ())
        .unwrap();
    sender.batch_execute("COMMIT").unwrap();
    let mut notifications = listener.notifications();
    let mut waiting = notifications.timeout_iter(Duration::from_secs(20));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let news = waiting.next().unwrap().expect("a message is missing");
        assert_eq!(news.channel(), "news");
        seen.push(news.payload().to_owned());
    }
    assert_eq!(seen, ["from the program", "one", "two"]);
}

#[test]
fn who_is_no_superuser_is_told_so() {
    let server = Server::start(database(), options().trusting()).unwrap();
    for (user, expected) in [("ann", "on"), ("bob", "off"), ("nobody", "on")] {
        let mut stream = TcpStream::connect(server.addresses()[0]).unwrap();
        let mut startup = bytes::BytesMut::new();
        postgres_protocol::message::frontend::startup_message([("user", user)], &mut startup)
            .unwrap();
        stream.write_all(&startup).unwrap();
        let mut answer = Vec::new();
        while !answer.windows(6).any(|part| part == b"Z\0\0\0\x05I") {
            let mut part = [0; 1024];
            let count = stream.read(&mut part).unwrap();
            assert!(count > 0);
            answer.extend_from_slice(&part[..count]);
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        let told = format!("is_superuser\0{expected}\0");
        assert!(text.contains(&told), "{user}: {text:?}");
    }
}

#[test]
fn rules_decide_who_may_come_from_where() {
    let mut with_rules = options();
    let rules = "host all bob 127.0.0.1/32 reject\nhost gate all 127.0.0.0/8 scram-sha-256\n";
    with_rules.rules = Some(Rules::parse("rules", rules).unwrap());
    let server = Server::start(database(), with_rules).unwrap();
    client(&server, "ann");
    for user in ["bob", "eve"] {
        let error = connect(&server, user).map(drop).unwrap_err();
        let state = error.code().unwrap().clone();
        let expected = if user == "bob" {
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        } else {
            SqlState::INVALID_PASSWORD
        };
        assert_eq!(state, expected, "{user}");
    }
    let error = Config::new()
        .host("127.0.0.1")
        .port(server.addresses()[0].port())
        .user("ann")
        .password("secret")
        .dbname("other")
        .connect(NoTls)
        .map(drop)
        .unwrap_err();
    let message = error.as_db_error().unwrap().message().to_owned();
    assert!(
        message.contains("no rule lets this connection in"),
        "{message}"
    );
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn figures_are_read_over_http() {
    let mut with_metrics = options();
    with_metrics.metrics = Some("127.0.0.1:0".parse().unwrap());
    let server = Server::start(database(), with_metrics).unwrap();
    let mut client = client(&server, "ann");
    client.batch_execute("CREATE TABLE t (n int)").unwrap();
    for n in 0..10_i32 {
        client.execute("INSERT INTO t VALUES ($1)", &[&n]).unwrap();
    }
    client.query("SELECT n FROM t", &[]).unwrap();
    client.query("SELECT 1 / (n - n) FROM t", &[]).unwrap_err();
    let address = server.metrics_address().unwrap();
    let text = get(address, "/metrics");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    for line in [
        "rustling_connections 1",
        "rustling_statement_duration_seconds_count{class=\"insert\"} 10",
        "rustling_statement_rows_total{class=\"insert\"} 10",
        "rustling_statement_duration_seconds_count{class=\"definition\"} 1",
        "rustling_statements_failed_total{class=\"select\"} 1",
        "rustling_statement_rows_total{class=\"select\"} 10",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(get(address, "/health").ends_with("serving\n"));
    assert!(get(address, "/elsewhere").starts_with("HTTP/1.1 404"));
    let row = client
        .query_one(
            "SELECT calls, rows FROM pg_stat_statements WHERE query LIKE 'INSERT INTO t %'",
            &[],
        )
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (10, 10));
}

#[test]
fn sessions_are_shown_with_what_they_do() {
    let server = Server::start(database(), options()).unwrap();
    let mut ann = client(&server, "ann");
    let mut bob = client(&server, "bob");
    bob.batch_execute("BEGIN").unwrap();
    bob.query("SELECT 7", &[]).unwrap();
    let row = ann
        .query_one(
            "SELECT state, query, client_addr, usename::text FROM pg_stat_activity \
             WHERE usename = 'bob'",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "idle in transaction");
    assert_eq!(row.get::<_, String>(1), "SELECT 7");
    assert_eq!(row.get::<_, String>(2), "127.0.0.1");
    let row = ann
        .query_one(
            "SELECT state, query FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            &[],
        )
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "active");
    assert!(row.get::<_, String>(1).contains("pg_backend_pid"));
}

#[test]
fn limits_end_statements_transactions_and_greed() {
    let mut limited = options();
    limited.limits.statement_time = Duration::from_millis(200);
    limited.limits.idle_transaction_time = Duration::from_millis(300);
    limited.limits.session_memory = 4 << 20;
    let server = Server::start(database(), limited).unwrap();
    let mut first = client(&server, "ann");
    let state = |error: postgres::Error| error.code().cloned();
    let slow = "SELECT count(*) FROM generate_series(1, 3000) a, generate_series(1, 3000) b, \
                generate_series(1, 3000) c";
    assert_eq!(
        state(first.query(slow, &[]).unwrap_err()),
        Some(SqlState::QUERY_CANCELED)
    );
    first.batch_execute("SET statement_timeout = 0").unwrap();
    let greedy = "SELECT repeat('x', 500) || n FROM generate_series(1, 100000) n ORDER BY 1 DESC";
    assert_eq!(
        state(first.query(greedy, &[]).unwrap_err()),
        Some(SqlState::OUT_OF_MEMORY)
    );
    first.query_one("SELECT 1", &[]).unwrap();
    first.batch_execute("BEGIN").unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while server.connections() > 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(first.query_one("SELECT 1", &[]).is_err());
    client(&server, "ann").query_one("SELECT 1", &[]).unwrap();
}

#[test]
fn arrays_and_json_travel_as_themselves() {
    let server = Server::start(database(), options()).unwrap();
    let mut client = client(&server, "ann");
    let row = client
        .query_one(
            "SELECT ARRAY[1, NULL, 3], ARRAY['a', 'b,c']::text[], $1::int8[], $2::text[]",
            &[&vec![5_i64, 6], &vec!["x", "y z"]],
        )
        .unwrap();
    assert_eq!(row.get::<_, Vec<Option<i32>>>(0), [Some(1), None, Some(3)]);
    assert_eq!(row.get::<_, Vec<String>>(1), ["a", "b,c"]);
    assert_eq!(row.get::<_, Vec<i64>>(2), [5, 6]);
    assert_eq!(row.get::<_, Vec<String>>(3), ["x", "y z"]);
    let statement = client
        .prepare("SELECT '{\"a\": 1}'::jsonb, '[2]'::json")
        .unwrap();
    let types: Vec<&str> = statement
        .columns()
        .iter()
        .map(|column| column.type_().name())
        .collect();
    assert_eq!(types, ["jsonb", "json"]);
    client.query_one(&statement, &[]).unwrap();
}

fn query(stream: &mut TcpStream, sql: &str) -> Vec<u8> {
    let body = [sql.as_bytes(), b"\0"].concat();
    stream.write_all(&wire::message(b'Q', &body)).unwrap();
    wire::read_ready(stream)
}

/// Whether there are `count` connections before long.
fn comes_down_to(server: &Server, count: usize) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while server.connections() > count {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// A session's temporary tables go under the lock of the catalog: nobody but their own session
/// waits for that.
#[test]
fn sessions_that_go_hold_up_nobody() {
    let mut narrow = options().trusting();
    narrow.threads = 1;
    let server = Server::start(database(), narrow).unwrap();
    let mut leaving: Vec<TcpStream> = (0..4).map(|_| wire::session(&server)).collect();
    for stream in &mut leaving {
        let answer = query(stream, "CREATE TEMP TABLE mine (n int)");
        assert_eq!(wire::kinds(&answer), "CZ");
    }
    let mut holder = wire::session(&server);
    query(&mut holder, "BEGIN; CREATE TABLE held (n int)");
    // They rest by now, on no thread of their own.
    thread::sleep(Duration::from_millis(500));
    drop(leaving);
    thread::sleep(Duration::from_millis(200));
    let mut other = wire::session(&server);
    assert_eq!(wire::kinds(&query(&mut other, "SELECT 1")), "TDCZ");
    query(&mut holder, "ROLLBACK");
    assert!(comes_down_to(&server, 2));
    let answer = query(
        &mut other,
        "SELECT 'left: ' || count(*) FROM pg_class WHERE relname = 'mine'",
    );
    assert!(wire::contains(&answer, "left: 0"), "{answer:?}");
}

/// Rows on their way hold a transaction and its locks, which the end of their own session needs.
#[test]
fn a_session_that_goes_waits_not_for_itself() {
    let server = Server::start(database(), options().trusting()).unwrap();
    let mut leaving = wire::session(&server);
    query(
        &mut leaving,
        "CREATE TABLE t (n int); INSERT INTO t SELECT n FROM generate_series(1, 100) n",
    );
    query(&mut leaving, "CREATE TEMP TABLE mine (n int)");
    query(&mut leaving, "BEGIN; CREATE TABLE held (n int)");
    let half_read = [
        wire::message(b'P', b"\0SELECT n FROM t\0\0\0"),
        wire::message(b'B', b"half\0\0\0\0\0\0\0\0"),
        wire::message(b'E', b"half\0\0\0\0\x01"),
        wire::message(b'S', b""),
    ];
    leaving.write_all(&half_read.concat()).unwrap();
    assert_eq!(wire::kinds(&wire::read_ready(&mut leaving)), "12DsZ");
    drop(leaving);
    let mut other = wire::session(&server);
    query(&mut other, "SET lock_timeout = '15s'");
    let answer = query(&mut other, "CREATE TABLE free (n int)");
    assert_eq!(wire::kinds(&answer), "CZ", "{answer:?}");
    assert!(comes_down_to(&server, 1));
}

#[test]
fn a_client_that_does_not_read_is_ended_all_the_same() {
    let server = Server::start(database(), options().trusting()).unwrap();
    let mut deaf = wire::session(&server);
    let much = b"SELECT repeat('x', 1000) FROM generate_series(1, 1000000)\0";
    deaf.write_all(&wire::message(b'Q', much)).unwrap();
    // There is soon no room for more of it.
    thread::sleep(Duration::from_secs(3));
    let mut other = wire::session(&server);
    let answer = query(
        &mut other,
        "SELECT 'ended: ' || count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE state = 'active' AND pid <> pg_backend_pid()",
    );
    assert!(wire::contains(&answer, "ended: 1"), "{answer:?}");
    assert!(comes_down_to(&server, 1));
    drop(deaf);
}

#[test]
fn a_shutdown_lets_copies_finish() {
    let database = database();
    database.execute("CREATE TABLE t (n int)", ()).unwrap();
    let server = Server::start(database.clone(), options().trusting()).unwrap();
    let idle = wire::session(&server);
    let mut stream = wire::session(&server);
    let copy = wire::message(b'Q', b"COPY t FROM STDIN\0");
    stream.write_all(&copy).unwrap();
    let mut begun = [0];
    stream.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"G");
    stream.write_all(&wire::message(b'd', b"1\n")).unwrap();
    let ending = thread::spawn(move || server.shutdown(Duration::from_secs(20)));
    // Others are told to go by then.
    assert!(wire::contains(&wire::drain(idle), "57P01"));
    thread::sleep(Duration::from_millis(500));
    stream.write_all(&wire::message(b'd', b"2\n")).unwrap();
    stream.write_all(&wire::message(b'c', b"")).unwrap();
    let answer = wire::drain(stream);
    assert!(wire::contains(&answer, "COPY 2"), "{answer:?}");
    ending.join().unwrap();
    let rows = database.query("SELECT count(*) FROM t", ()).unwrap();
    assert_eq!(rows.read_all::<(i64,)>().unwrap(), [(2,)]);
}

#[test]
fn a_copy_may_rest_no_longer_than_a_transaction() {
    let mut limited = options().trusting();
    limited.limits.idle_transaction_time = Duration::from_millis(300);
    let server = Server::start(database(), limited).unwrap();
    let mut stream = wire::session(&server);
    query(&mut stream, "CREATE TABLE t (n int)");
    let copy = wire::message(b'Q', b"COPY t FROM STDIN\0");
    stream.write_all(&copy).unwrap();
    let answer = wire::drain(stream);
    assert!(wire::contains(&answer, "25P03"), "{answer:?}");
}

#[test]
fn the_last_places_are_kept_for_superusers() {
    // Whoever they are is not proven: that takes long where the machine is busy.
    let mut few = options().trusting();
    few.limits.connections = 10;
    few.limits.reserved_connections = 1;
    let server = Server::start(database(), few).unwrap();
    let held: Vec<Client> = (0..9).map(|_| client(&server, "bob")).collect();
    let refused = |user: &str| {
        let error = connect(&server, user).map(drop).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
        error.as_db_error().unwrap().message().to_owned()
    };
    assert!(refused("bob").contains("reserved for superusers"));
    assert!(comes_down_to(&server, 9));
    let ann = client(&server, "ann");
    assert!(refused("ann").contains("too many clients"));
    drop((held, ann));
}

#[test]
fn a_server_opens_as_many_files_as_it_needs() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const FEW: u64 = 1000;
    let lower = Rlimit {
        current: Some(FEW),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, lower).unwrap();
    let mut many = options();
    many.limits.connections = 2000;
    let _server = Server::start(database(), many).unwrap();
    let limit = getrlimit(Resource::Nofile);
    let possible = limit.maximum.is_none_or(|most| most >= 2 * 2000);
    let raised = |of: u64| of > 2000 && of < 2 * 2000;
    assert!(!possible || limit.current.is_some_and(raised), "{limit:?}");
}

/// The system asks clients that say nothing whether they are still there.
#[cfg(target_os = "linux")]
#[test]
fn clients_that_have_gone_without_a_word_are_found_out() {
    let server = Server::start(database(), options()).unwrap();
    let silent = TcpStream::connect(server.addresses()[0]).unwrap();
    while server.connections() == 0 {
        thread::sleep(Duration::from_millis(2));
    }
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let ends = (
        port(server.addresses()[0]),
        port(silent.local_addr().unwrap()),
    );
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let timer = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&ends.0) && fields.get(2)?.ends_with(&ends.1);
        is_it.then(|| fields[5].to_owned())
    });
    // Timer 2 is the one that keeps connections alive.
    assert!(timer.unwrap().starts_with("02:"), "{table}");
}

#[test]
fn stalled_connections_keep_nobody_from_the_figures() {
    let mut with_metrics = options();
    with_metrics.metrics = Some("127.0.0.1:0".parse().unwrap());
    let server = Server::start(database(), with_metrics).unwrap();
    let address = server.metrics_address().unwrap();
    let stalled: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /met").unwrap();
            stream
        })
        .collect();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("serving\n"), "{answer}");
    drop(stalled);
}

/// A program's own runtime waits for the server's threads no less than other code does.
#[test]
fn a_server_ends_inside_an_asynchronous_program() {
    for flavour in ["one thread", "many"] {
        let mut builder = match flavour {
            "one thread" => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder.enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let database = Database::open(directory.path().join("a.db")).unwrap();
            for within in [None, Some(Duration::from_secs(1))] {
                let server = database.serve_locally().unwrap();
                let socket = server.socket().unwrap().to_path_buf();
                let mut held = std::os::unix::net::UnixStream::connect(&socket).unwrap();
                match within {
                    None => drop(server),
                    Some(grace) => server.shutdown(grace),
                }
                // It has ended when that is done: nobody is served any more.
                assert!(!socket.exists(), "{flavour}");
                let mut rest = Vec::new();
                let _ = held.read_to_end(&mut rest);
            }
            // Where it could not even begin, that is an error and no more.
            let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let options = ServerOptions::new()
                .listen_on(taken.local_addr().unwrap())
                .trusting();
            let error = Server::start(database.clone(), options).unwrap_err();
            assert!(error.to_string().contains("listen"), "{error}");
            database.close().unwrap();
        });
    }
}
