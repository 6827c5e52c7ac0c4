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

mod statements;

use std::{
    fs, io,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{Error, Result, workspace_root};
use statements::{ROW, Statement, TABLES, schema, statement};

/// How often each package is compiled; the quickest counts.
const RUNS: usize = 3;

/// Measures packages of `queries` queries; with sqlx beside them where asked for.
///
/// # Errors
/// Where a package does not compile.
pub fn run(queries: usize, with_sqlx: bool) -> Result<()> {
    println!(
        "checking {queries} queries over {TABLES} tables: milliseconds per query that the compiler \
         takes for expanding macros and for the whole check, and seconds for the first check with \
         all that it depends on"
    );
    for (what, profile) in [
        ("macros not optimised (cargo's default)", ""),
        (
            "macros optimised (build-override)",
            "[profile.dev.build-override]\nopt-level = 3\n",
        ),
    ] {
        println!(
            "{what:44} {:>9}  {:>11}  {:>11}",
            "expansion", "whole check", "first check"
        );
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
        "  {name:42} {:>6.3} ms  {:>8.3} ms  {:>9.1} s",
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

fn write_ours(directory: &Path, queries: usize, profile: &str) -> Result<()> {
    let query = workspace_root().join("crates/query");
    let dependency = format!("rustling-query = {{ path = {query:?} }}");
    write_file(
        &directory.join("Cargo.toml"),
        &manifest(&dependency, profile),
    )?;
    write_file(&directory.join("migrations/1_tables.sql"), &schema())?;
    let mut source =
        "use rustling_query::{Database, Result, execute, query, query_as, query_scalar};\n"
            .to_owned();
    source += ROW;
    for number in 0..queries {
        source += &statement(number).as_ours(number);
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
    let mut source = "use sqlx::{PgPool, query, query_as, query_scalar};\n".to_owned();
    source += ROW;
    let cache = directory.join(".sqlx");
    let statements: Vec<Statement> = (0..queries).map(statement).collect();
    let texts: Vec<&str> = statements.iter().map(|of| of.theirs.as_str()).collect();
    let hashes = sha256(&directory.join("statements"), &texts)?;
    for (number, (statement, hash)) in statements.iter().zip(hashes).enumerate() {
        source += &statement.as_theirs(number);
        write_file(
            &cache.join(format!("query-{hash}.json")),
            &statement.described(&hash),
        )?;
    }
    write_file(&directory.join("src/lib.rs"), &source)
}

/// The names under which sqlx keeps what it knows of statements.
fn sha256(scratch: &Path, texts: &[&str]) -> Result<Vec<String>> {
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
