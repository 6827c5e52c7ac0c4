//! Figures of the database itself: throughput, latency, checkpoint, recovery, memory, load.
//! Nothing timed is asserted; `cargo xtask bench performance` prints them from an optimised build.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test speaks to the real world, and fails by panicking"
)]

use std::{
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustling_etl::{LoadOptions, load};
use rustling_integration::{data_file, load_table};
use rustling_sql::{Database, DatabaseOptions};

/// Rows of the table that reads and writes go to: few in a debug build, which only has to show
/// that the measurements run.
const ROWS: i32 = if cfg!(debug_assertions) {
    2_000
} else {
    200_000
};

/// Set for the child process that writes until it is killed.
const CHILD: &str = "RUSTLING_PERFORMANCE_CHILD";

fn report(what: &str, figure: String) {
    println!("{what:<58}{figure:>24}");
}

fn per_second(count: u64, elapsed: Duration) -> String {
    format!("{:.0} /s", count as f64 / elapsed.as_secs_f64())
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    format!("{:.0} / {:.0} / {:.0} µs", at(0.5), at(0.95), at(0.99))
}

/// Bytes of the process in memory, now and at most.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next())
            .and_then(|kib| kib.parse::<u64>().ok())
    };
    match (field("VmRSS:"), field("VmHWM:")) {
        (Some(now), Some(peak)) => format!("{} / {} MiB", now / 1024, peak / 1024),
        _ => "not known here".into(),
    }
}

/// A file with the first `rows` of the flights, made in `directory`.
fn flights_until(rows: usize, directory: &Path) -> PathBuf {
    let path = directory.join("flights.csv");
    let compressed = std::fs::File::open(data_file("flights")).unwrap();
    let lines = BufReader::new(zstd::Decoder::new(compressed).unwrap()).lines();
    let mut file = BufWriter::new(std::fs::File::create(&path).unwrap());
    for line in lines.take(rows + 1) {
        writeln!(file, "{}", line.unwrap()).unwrap();
    }
    file.flush().unwrap();
    path
}

#[test]
fn figures() {
    if let Some(directory) = std::env::var_os(CHILD) {
        write_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("a.db")).unwrap();

    let started = Instant::now();
    let loaded = if cfg!(debug_assertions) {
        let beginning = flights_until(20_000, directory.path());
        let options = LoadOptions {
            table: "flights".into(),
            ..LoadOptions::default()
        };
        load(&db, &beginning, &options, &()).unwrap().rows
    } else {
        load_table(&db, "flights").unwrap().rows
    };
    report("load of flights.csv", per_second(loaded, started.elapsed()));

    for (what, sql) in [
        (
            "group all flights by one key",
            "SELECT carrier, count(*), avg(arr_delay) FROM flights GROUP BY carrier",
        ),
        (
            "filter and count",
            "SELECT count(*) FROM flights WHERE distance > 1000 AND dep_delay > 30",
        ),
        (
            "first 10 of an order",
            "SELECT flight, arr_delay FROM flights ORDER BY arr_delay DESC NULLS LAST LIMIT 10",
        ),
    ] {
        for executor in ["row", "vector"] {
            let mut session = db.session();
            session.set("executor", executor).unwrap();
            session.query(sql, ()).unwrap().values().unwrap();
            let started = Instant::now();
            session.query(sql, ()).unwrap().values().unwrap();
            report(
                &format!("{what}, {executor} executor"),
                format!("{:.1} ms", started.elapsed().as_secs_f64() * 1e3),
            );
        }
    }

    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, name text, amount bigint)",
        (),
    )
    .unwrap();
    let started = Instant::now();
    db.transaction(|tx| {
        for id in 0..ROWS {
            tx.execute(
                "INSERT INTO t VALUES ($1, $2, 0)",
                (id, format!("row {id}")),
            )?;
        }
        Ok(())
    })
    .unwrap();
    report(
        "rows inserted in one transaction",
        per_second(ROWS as u64, started.elapsed()),
    );

    let mut random = fastrand::Rng::with_seed(1);
    let reads = ROWS as u64;
    let select = db.prepare("SELECT name FROM t WHERE id = $1").unwrap();
    let mut times = Vec::with_capacity(reads as usize);
    for _ in 0..reads {
        let id = random.i32(0..ROWS);
        let started = Instant::now();
        assert!(select.query((id,)).unwrap().next().is_some());
        times.push(started.elapsed());
    }
    report(
        "prepared point SELECT",
        per_second(reads, times.iter().sum()),
    );
    report("  latency p50 / p95 / p99", percentiles(times));

    let commits = if cfg!(debug_assertions) { 50 } else { 2_000 };
    let update = db
        .prepare("UPDATE t SET amount = amount + 1 WHERE id = $1")
        .unwrap();
    let mut times = Vec::with_capacity(commits);
    for _ in 0..commits {
        let started = Instant::now();
        update.execute((random.i32(0..ROWS),)).unwrap();
        times.push(started.elapsed());
    }
    report(
        "durable UPDATE by key, 1 thread",
        per_second(commits as u64, times.iter().sum()),
    );
    report("  latency p50 / p95 / p99", percentiles(times));

    let started = Instant::now();
    std::thread::scope(|scope| {
        for seed in 0..8 {
            let db = db.clone();
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let update = db
                    .prepare("UPDATE t SET amount = amount + 1 WHERE id = $1")
                    .unwrap();
                for _ in 0..commits / 4 {
                    update.execute((random.i32(0..ROWS),)).unwrap();
                }
            });
        }
    });
    report(
        "durable UPDATE by key, 8 threads",
        per_second(commits as u64 * 2, started.elapsed()),
    );

    let started = Instant::now();
    db.checkpoint().unwrap();
    report(
        "checkpoint",
        format!("{:.0} ms", started.elapsed().as_secs_f64() * 1e3),
    );
    report("memory of the process, now / at most", memory());
    let stats = db.store().stats();
    report(
        "page cache hits",
        format!("{:.2} %", stats.pages.hit_ratio() * 100.0),
    );
    db.close().unwrap();

    recovery(directory.path());
}

/// Kills a process at full write load and opens what it leaves.
fn recovery(directory: &Path) {
    let path = directory.join("killed.db");
    let (mut worst, mut opening) = (Duration::ZERO, None);
    for _ in 0..if cfg!(debug_assertions) { 1 } else { 5 } {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["figures", "--exact", "--nocapture", "--test-threads", "1"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs(if cfg!(debug_assertions) {
            1
        } else {
            4
        }));
        child.kill().unwrap();
        child.wait().unwrap();
        let started = Instant::now();
        let db = Database::open(&path).unwrap();
        let opened = started.elapsed();
        if opened >= worst {
            (worst, opening) = (opened, Some(db.store().stats().opening));
        }
        let counts: Vec<(i64,)> = db
            .query("SELECT count(*) FROM t", ())
            .unwrap()
            .read_all()
            .unwrap();
        assert!(counts[0].0 >= 0);
    }
    report(
        "open after kill -9 at full write load, worst",
        format!("{:.0} ms", worst.as_secs_f64() * 1e3),
    );
    let Some(opening) = opening else { return };
    for (what, time) in [
        ("  page table", opening.page_table),
        ("  engines", opening.engines),
        ("  reading the log", opening.reading_log),
        ("  applying it", opening.applying_log),
        ("  settling", opening.settling),
        (
            "  the rest: catalog and statistics",
            worst.saturating_sub(opening.total),
        ),
    ] {
        report(what, format!("{:.1} ms", time.as_secs_f64() * 1e3));
    }
    report(
        "  replayed",
        format!(
            "{} entries, {:.1} MiB",
            opening.replayed_operations,
            opening.replayed_bytes as f64 / f64::from(1 << 20)
        ),
    );
}

fn write_until_killed(path: &Path) -> ! {
    let db = Database::open_with(path, DatabaseOptions::default()).unwrap();
    db.execute(
        "CREATE TABLE IF NOT EXISTS t (id bigint PRIMARY KEY, filler text)",
        (),
    )
    .unwrap();
    let first: Vec<(i64,)> = db
        .query("SELECT coalesce(max(id), 0) FROM t", ())
        .unwrap()
        .read_all()
        .unwrap();
    let mut id = first[0].0;
    let insert = "INSERT INTO t VALUES ($1, $2)";
    loop {
        db.transaction(|tx| {
            for next in id + 1..=id + 500 {
                tx.execute(insert, (next, "x".repeat(100)))?;
            }
            Ok(())
        })
        .unwrap();
        id += 500;
    }
}
