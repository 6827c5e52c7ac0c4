//! One function per command.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    path::Path,
};

use rustling_etl::{DialectOptions, LoadOptions, LoadReport, OnError, load};
use rustling_sql::{
    Database, Span,
    ast::{Explain, Ident, ObjectName, Statement, StatementKind},
    parser::parse_statement,
};
use rustling_storage::Env;

use crate::{
    args::{self, Arguments, Command, Common},
    config::Config,
    connection::Connection,
    error::{Error, Result, output},
    kv::{KeyValue, ScanRange},
    migrate::migrate,
    numbers::{bytes, counted, group},
    open::{Missing, open, open_or_attach},
    progress::LoadBar,
    run::Output,
    serve::{serve, user},
    shell::Shell,
    signals::EndSignals,
    terminal,
};

/// Runs the command line.
///
/// # Errors
/// Where the command fails.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let path = arguments.path().to_path_buf();
    let Arguments {
        common, command, ..
    } = arguments;
    match command {
        None | Some(Command::Shell(_)) => {
            // Before the database has threads.
            let signals = if Shell::is_interactive() {
                Some(EndSignals::watch(&Env::system())?)
            } else {
                None
            };
            let opened = open_or_attach(&path, &common, Missing::Create)?;
            let result = opened.with(|connection| {
                Shell::new(connection, &path, common.format, signals.as_ref()).run()
            });
            if let Some(signals) = &signals {
                signals.end(&result);
            }
            result
        }
        Some(Command::Load(options)) => {
            let database = open(&path, &common, Missing::Create)?;
            let config = Config::read(&path, &common, None)?;
            let result = load_file(&database, &config, &options);
            finish(database, result)
        }
        Some(Command::Query { sql }) => with_connection(&path, &common, |connection| {
            let sql = if sql == "-" { standard_input()? } else { sql };
            run_text(connection, &common, &sql)
        }),
        Some(Command::Explain { sql, analyze }) => with_connection(&path, &common, |connection| {
            let text = explain(&sql, analyze)?;
            run_text(connection, &common, &text)
        }),
        Some(Command::Analyze { table }) => with_connection(&path, &common, |connection| {
            analyze(connection, table.as_deref())
        }),
        Some(Command::Put { key, value, target }) => {
            let opened = open_or_attach(&path, &common, Missing::Create)?;
            opened.with(|connection| {
                let mut pairs = KeyValue::new(connection, &target.table);
                pairs.create()?;
                pairs.put(&key, &value)
            })
        }
        Some(Command::Get { key, target }) => with_connection(&path, &common, |connection| {
            match KeyValue::new(connection, &target.table).get(&key)? {
                Some(value) => print(&format!("{}\n", value.unwrap_or_default())),
                None => Err(missing_key(&key, &target.table)),
            }
        }),
        Some(Command::Delete { key, target }) => with_connection(&path, &common, |connection| {
            match KeyValue::new(connection, &target.table).delete(&key)? {
                true => Ok(()),
                false => Err(missing_key(&key, &target.table)),
            }
        }),
        Some(Command::Scan {
            prefix,
            from,
            to,
            limit,
            reverse,
            target,
        }) => with_connection(&path, &common, |connection| {
            let range = ScanRange {
                prefix,
                from,
                to,
                limit,
                reverse,
            };
            to_standard_output(&common, |to| {
                KeyValue::new(connection, &target.table).scan(&range, to)
            })
        }),
        Some(command @ Command::Serve(_)) => {
            let config = Config::read(&path, &common, Some(&command))?;
            let database = open(&path, &common, Missing::Create)?;
            let result = serve(&database, &config);
            finish(database, result)
        }
        Some(Command::Config(_)) => print(&Config::read(&path, &common, None)?.shown()),
        Some(Command::User(command)) => {
            with_database(&path, &common, |database| user(database, &command))
        }
        Some(Command::Migrate { dir, command }) => migrate(&path, &common, &dir, &command),
        Some(Command::Check(_)) => check(&path),
        Some(Command::Stats(_)) => {
            with_database(&path, &common, |database| print(&stats(database)))
        }
    }
}

/// Runs `work` on a database that must be there.
pub(crate) fn with_database(
    path: &Path,
    common: &Common,
    work: impl FnOnce(&Database) -> Result<()>,
) -> Result<()> {
    with(Missing::Refuse, path, common, work)
}

/// Runs `work` in a session of a database that must be there, whoever holds it.
fn with_connection(
    path: &Path,
    common: &Common,
    work: impl FnOnce(&mut Connection) -> Result<()>,
) -> Result<()> {
    open_or_attach(path, common, Missing::Refuse)?.with(work)
}

/// Runs `work` on a database that is made where there is none.
pub(crate) fn with_new_database(
    path: &Path,
    common: &Common,
    work: impl FnOnce(&Database) -> Result<()>,
) -> Result<()> {
    with(Missing::Create, path, common, work)
}

fn with(
    missing: Missing,
    path: &Path,
    common: &Common,
    work: impl FnOnce(&Database) -> Result<()>,
) -> Result<()> {
    let database = open(path, common, missing)?;
    let result = work(&database);
    finish(database, result)
}

/// Closes the database; the first failure counts.
fn finish(database: Database, result: Result<()>) -> Result<()> {
    let closed = database.close().map_err(Error::Database);
    result.and(closed)
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|source| Error::Io {
            action: "cannot read the input",
            source,
        })?;
    Ok(text)
}

fn run_text(connection: &mut Connection, common: &Common, sql: &str) -> Result<()> {
    let mut data = io::stdin().lock();
    to_standard_output(common, |to| connection.run(sql, &mut data, to))
}

fn to_standard_output(
    common: &Common,
    work: impl FnOnce(&mut Output<'_>) -> Result<()>,
) -> Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    work(&mut Output {
        out: &mut out,
        messages: &mut io::stderr(),
        format: common.format,
        width: terminal::width(),
        expanded: false,
        tags: true,
    })?;
    out.flush().map_err(output)
}

pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(output)
}

fn missing_key(key: &str, table: &str) -> Error {
    Error::Usage {
        message: format!("there is no key {key:?} in {table}"),
        hint: "rustling scan lists keys; --table names another table".into(),
    }
}

/// The statement that explains `sql`.
fn explain(sql: &str, analyze: bool) -> Result<String> {
    let failed = |error| Error::sql(error, sql);
    let statement = parse_statement(sql).map_err(failed)?;
    let explain = match statement.kind {
        StatementKind::Explain(_) => statement,
        _ => Statement {
            span: statement.span,
            kind: StatementKind::Explain(Box::new(Explain {
                analyze,
                verbose: false,
                options: Vec::new(),
                statement,
            })),
        },
    };
    // The printed tree is what runs, so an error points into it and not into what was typed.
    Ok(explain.to_string())
}

/// A table's name as it is typed without quotes.
fn folded(name: &str) -> ObjectName {
    ObjectName {
        parts: vec![Ident {
            name: name.to_lowercase(),
            quoted: false,
            span: Span::default(),
        }],
        span: Span::default(),
    }
}

fn analyze(connection: &mut Connection, table: Option<&str>) -> Result<()> {
    match connection {
        Connection::Own(session) => session
            .analyze(table.map(str::to_lowercase).as_deref())
            .map_err(Error::Database)?,
        Connection::Attached(remote) => {
            let analyze = Statement {
                span: Span::default(),
                kind: StatementKind::Analyze {
                    tables: table
                        .map(|name| (folded(name), Vec::new()))
                        .into_iter()
                        .collect(),
                },
            };
            remote.fetch(&analyze.to_string(), &[])?;
        }
    }
    let what = table.unwrap_or("every table");
    io::stderr()
        .write_all(format!("Statistics of {what} are up to date.\n").as_bytes())
        .map_err(output)
}

fn load_file(database: &Database, config: &Config, arguments: &args::Load) -> Result<()> {
    let options = LoadOptions {
        table: arguments.table.clone(),
        schema: rustling_etl::parse_schema(&arguments.schema)?,
        dialect: DialectOptions {
            delimiter: arguments.delimiter,
            quote: arguments.quote,
            header: arguments.header,
        },
        nulls: if arguments.null.is_empty() {
            LoadOptions::default().nulls
        } else {
            arguments.null.clone()
        },
        encoding: arguments.encoding.clone(),
        on_error: match arguments.on_error {
            args::OnError::Abort => OnError::Abort,
            args::OnError::Skip => OnError::Skip,
            args::OnError::Rejects => OnError::Rejects(arguments.rejects.clone()),
        },
        parallel: arguments
            .parallel
            .unwrap_or_else(|| config.number("load.parallel")),
        batch_size: arguments
            .batch_size
            .unwrap_or_else(|| config.number("load.batch_size")),
        files: database.env().clone(),
    };
    let bar = LoadBar::new(&arguments.table);
    let started = database.env().now();
    let report = load(database, &arguments.file, &options, &bar);
    bar.clear();
    let report = report?;
    let elapsed = database.env().now().saturating_sub(started).as_secs_f64();
    let width = terminal::message_width();
    let text = describe_load(&arguments.table, &report, elapsed, width);
    io::stderr().write_all(text.as_bytes()).map_err(output)
}

fn describe_load(table: &str, report: &LoadReport, seconds: f64, width: usize) -> String {
    let mut text = String::new();
    let verb = if report.created {
        "created and loaded"
    } else {
        "loaded"
    };
    let per_second = if seconds > 0.0 {
        report.rows as f64 / seconds
    } else {
        0.0
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{table}: {verb} {}, {} in {seconds:.2} s ({} rows/s)",
        counted(report.rows, "row", "rows"),
        counted(report.columns.len() as u64, "column", "columns"),
        group(per_second as u64)
    );
    for note in &report.notes {
        text.push_str(&terminal::wrap(note, width, "  "));
    }
    text
}

fn check(path: &Path) -> Result<()> {
    let env = Env::system();
    if !env
        .vfs
        .exists(path)
        .map_err(|source| rustling_storage::Error::io("look for", path, source))?
    {
        return Err(Error::NoDatabase(path.display().to_string()));
    }
    let report = rustling_storage::check(&env, path)?;
    let mut text = String::new();
    for finding in &report.findings {
        let _ = writeln!(text, "{finding}");
    }
    let _ = writeln!(
        text,
        "{}, {}, {}, {}: {}",
        counted(report.pages, "page image", "page images"),
        counted(report.tree_pages, "tree page", "tree pages"),
        counted(report.tables, "sorted table", "sorted tables"),
        counted(report.versions, "version of keys", "versions of keys"),
        if report.is_clean() {
            "all sound"
        } else {
            "DAMAGED"
        }
    );
    print(&text)?;
    if report.is_clean() {
        Ok(())
    } else {
        Err(Error::Damaged(report.findings.len()))
    }
}

fn stats(database: &Database) -> String {
    let stats = database.store().stats();
    let mut lines: Vec<(String, String)> = vec![
        ("tables".into(), group(database.tables().len() as u64)),
        ("keyspaces".into(), group(stats.keyspaces as u64)),
        ("published LSN".into(), stats.published.to_string()),
        ("durable LSN".into(), stats.durable.to_string()),
        ("checkpointed LSN".into(), stats.checkpointed.to_string()),
        ("watermark LSN".into(), stats.watermark.to_string()),
        ("log on disk".into(), bytes(stats.wal_bytes)),
        ("log to replay".into(), bytes(stats.wal_lag_bytes)),
        ("page file".into(), bytes(stats.pages.file_bytes)),
        ("free in page file".into(), bytes(stats.pages.free_bytes)),
        ("pages".into(), group(stats.pages.pages)),
        ("page cache".into(), bytes(stats.pages.cached_bytes as u64)),
        ("in huge pages".into(), bytes(stats.pages.huge_bytes)),
        ("dirty pages".into(), bytes(stats.pages.dirty_bytes as u64)),
        (
            "cache hit ratio".into(),
            format!("{:.2} %", stats.pages.hit_ratio() * 100.0),
        ),
        ("checkpoints".into(), group(stats.pages.checkpoints)),
        (
            "LSM table files".into(),
            format!(
                "{}, {}",
                group(stats.tables.tables as u64),
                bytes(stats.tables.table_bytes)
            ),
        ),
        (
            "memtables".into(),
            bytes(stats.tables.memtable_bytes as u64),
        ),
        ("compactions".into(), group(stats.tables.compactions)),
        (
            "memory used".into(),
            format!(
                "{} of {}",
                bytes(stats.memory_used as u64),
                bytes(stats.memory_limit as u64)
            ),
        ),
    ];
    for wait in stats.waits.iter().filter(|wait| wait.count > 0) {
        lines.push((
            format!("wait {}", wait.name),
            format!(
                "{} times, {:.3} ms, longest {:.3} ms",
                group(wait.count),
                millis(wait.total),
                millis(wait.max)
            ),
        ));
    }
    let width = lines
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<width$}  {value}");
        text
    })
}

fn millis(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
