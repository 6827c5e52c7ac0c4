//! `cargo xtask bench macros`: what checked statements cost the compiler, with sqlx in offline
//! mode beside it.
//!
//! Each side is a package of its own with as many queries as asked for, outside of this workspace;
//! the compiler's own report says how long it expanded macros, and how long it took in all.
#![expect(clippy::print_stdout, reason = "a command-line program")]
#![expect(
    clippy::disallowed_methods,
    reason = "writes the packages that it measures"
)]

use std::{
    fmt::Write as _,
    fs, io,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{Error, Result, workspace_root};

/// How many tables the schema has, and how many columns each.
const TABLES: usize = 20;
const COLUMNS: usize = 10;

/// How often each package is compiled; the quickest counts.
const RUNS: usize = 3;

/// Measures packages of `queries` queries; with sqlx beside them where asked for.
///
/// # Errors
/// Where a package does not compile.
pub fn run(queries: usize, with_sqlx: bool) -> Result<()> {
    println!("checking {queries} queries over {TABLES} tables, in ms per query:");
    for (what, profile) in [
        ("macros not optimised (cargo's default)", ""),
        (
            "macros optimised (build-override)",
            "[profile.dev.build-override]\nopt-level = 3\n",
        ),
    ] {
        println!("{what}");
        print(
            queries,
            "query!",
            &measure("ours", queries, profile, &write_ours)?,
        );
        if with_sqlx {
            print(
                queries,
                "sqlx offline",
                &measure("sqlx", queries, profile, &write_sqlx)?,
            );
        }
    }
    Ok(())
}

fn print(queries: usize, name: &str, of: &Measured) {
    let Measured {
        clean,
        packages: [without, with],
    } = of;
    let per_query = |seconds: f64| seconds * 1000.0 / queries as f64;
    println!(
        "  {name:12}  expansion {:.3}  whole check {:.3}; \
         the first check, with all that it depends on: {:.1} s",
        per_query(with.expansion - without.expansion),
        per_query(with.whole - without.whole),
        clean.as_secs_f64()
    );
}

/// What was measured of one side.
struct Measured {
    /// The first check of a package, from an empty directory of build products.
    clean: Duration,
    /// Of the package with one query, and of that with all.
    packages: [Times; 2],
}

/// How long the compiler took, in seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// For expanding macros.
    expansion: f64,
    whole: f64,
}

type Writer = dyn Fn(&Path, usize, &str) -> Result<()>;

/// A package with one query, and one with as many more as asked for.
fn measure(name: &str, queries: usize, profile: &str, write: &Writer) -> Result<Measured> {
    let directory = workspace_root().join("target/bench-macros").join(name);
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::File {
                path: directory,
                source: error,
            });
        }
        _ => {}
    }
    write(&directory, 1, profile)?;
    let start = Instant::now();
    times(&directory)?;
    let clean = start.elapsed();
    let mut packages = [Times {
        expansion: f64::INFINITY,
        whole: f64::INFINITY,
    }; 2];
    for _ in 0..RUNS {
        for (best, count) in packages.iter_mut().zip([1, queries + 1]) {
            write(&directory, count, profile)?;
            let now = times(&directory)?;
            best.expansion = best.expansion.min(now.expansion);
            best.whole = best.whole.min(now.whole);
        }
    }
    Ok(Measured { clean, packages })
}

/// Has the package checked.
fn times(directory: &Path) -> Result<Times> {
    let output = Command::new("cargo")
        .args([
            "rustc",
            "--lib",
            "--profile",
            "check",
            "--quiet",
            "--",
            "-Ztime-passes",
        ])
        .current_dir(directory)
        // Only this lets a stable compiler report its passes; what the package depends on is
        // compiled as by everybody.
        .env("RUSTC_BOOTSTRAP", "measured")
        .env("SQLX_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", directory.join("target"))
        .output()
        .map_err(|source| Error::Start {
            program: "cargo".into(),
            source,
        })?;
    let report = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Error::Unexpected(report.into_owned()));
    }
    Ok(Times {
        expansion: seconds(&report, "macro_expand_crate")?,
        whole: seconds(&report, "total")?,
    })
}

/// What the compiler says of a pass: `time:   0.012; rss:   40MB ->   45MB (   +5MB)  name`.
fn seconds(report: &str, pass: &str) -> Result<f64> {
    report
        .lines()
        .find(|line| line.split_whitespace().next_back() == Some(pass))
        .and_then(|line| {
            let time = line.split("time:").nth(1)?.split(';').next()?;
            time.trim().parse().ok()
        })
        .ok_or_else(|| Error::Unexpected(format!("the compiler reports no {pass}")))
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text));
    written.map_err(|source| Error::File {
        path: path.to_path_buf(),
        source,
    })
}

fn manifest(dependencies: &str, profile: &str) -> String {
    format!(
        "[workspace]\n[package]\nname = \"measured\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [dependencies]\n{dependencies}\n{profile}"
    )
}

/// The statement of a number: no two are the same.
fn statement(number: usize, parameter: &str) -> String {
    let table = number % TABLES;
    let column = number % (COLUMNS - 1) + 1;
    format!(
        "SELECT t.id, t.c{column}, count(*) AS n FROM t{table} t JOIN t{} u ON u.id = t.c1 \
         WHERE t.id > {number} AND u.c2 = {parameter} GROUP BY t.id, t.c{column}",
        (table + 1) % TABLES
    )
}

fn write_ours(directory: &Path, queries: usize, profile: &str) -> Result<()> {
    let query = workspace_root().join("crates/query");
    let dependency = format!("rustling-query = {{ path = {query:?} }}");
    write_file(
        &directory.join("Cargo.toml"),
        &manifest(&dependency, profile),
    )?;
    let mut schema = String::new();
    for table in 0..TABLES {
        let columns: Vec<String> = (1..COLUMNS).map(|at| format!("c{at} int")).collect();
        let _ = writeln!(
            schema,
            "CREATE TABLE t{table} (id int PRIMARY KEY, {});",
            columns.join(", ")
        );
    }
    write_file(&directory.join("migrations/1_tables.sql"), &schema)?;
    let mut source = "use rustling_query::{Database, Result, query};\n".to_owned();
    for number in 0..queries {
        let _ = writeln!(
            source,
            "pub fn f{number}(db: &Database, value: i32) -> Result<usize> {{ \
             Ok(query!(db, \"{}\").fetch_all()?.len()) }}",
            statement(number, "{value}")
        );
    }
    write_file(&directory.join("src/lib.rs"), &source)
}

fn write_sqlx(directory: &Path, queries: usize, profile: &str) -> Result<()> {
    let dependency = "sqlx = { version = \"0.9\", default-features = false, \
                      features = [\"postgres\", \"macros\", \"runtime-tokio\"] }";
    write_file(
        &directory.join("Cargo.toml"),
        &manifest(dependency, profile),
    )?;
    let mut source = "use sqlx::{PgPool, query};\n".to_owned();
    let cache = directory.join(".sqlx");
    let statements: Vec<String> = (0..queries).map(|number| statement(number, "$1")).collect();
    let hashes = sha256(&directory.join("statements"), &statements)?;
    for (number, (sql, hash)) in statements.iter().zip(hashes).enumerate() {
        let _ = writeln!(
            source,
            "pub async fn f{number}(db: &PgPool, value: i32) -> sqlx::Result<usize> {{ \
             Ok(query!(\"{sql}\", value).fetch_all(db).await?.len()) }}"
        );
        let column = number % (COLUMNS - 1) + 1;
        let described = format!(
            "{{\"db_name\": \"PostgreSQL\", \"query\": \"{sql}\", \"describe\": {{\"columns\": [\
             {{\"ordinal\": 0, \"name\": \"id\", \"type_info\": \"Int4\"}},\
             {{\"ordinal\": 1, \"name\": \"c{column}\", \"type_info\": \"Int4\"}},\
             {{\"ordinal\": 2, \"name\": \"n\", \"type_info\": \"Int8\"}}],\
             \"parameters\": {{\"Left\": [\"Int4\"]}}, \"nullable\": [false, true, null]}}, \
             \"hash\": \"{hash}\"}}"
        );
        write_file(&cache.join(format!("query-{hash}.json")), &described)?;
    }
    write_file(&directory.join("src/lib.rs"), &source)
}

/// The names under which sqlx keeps what it knows of statements.
fn sha256(scratch: &Path, texts: &[String]) -> Result<Vec<String>> {
    let mut command = Command::new("sha256sum");
    for (at, text) in texts.iter().enumerate() {
        let file = scratch.join(at.to_string());
        write_file(&file, text)?;
        command.arg(file);
    }
    let output = command.output().map_err(|source| Error::Start {
        program: "sha256sum".into(),
        source,
    })?;
    let hashes: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    if hashes.len() != texts.len() {
        return Err(Error::Unexpected("sha256sum gives no sums".into()));
    }
    Ok(hashes)
}
