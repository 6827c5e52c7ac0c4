//! The server's log: lines of text or JSON, written by a thread of its own.

use std::path::Path;

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::{filter::LevelFilter, fmt};

use crate::{
    config::Config,
    error::{Error, Result},
};

/// Begins to log as the configuration says; what is waiting is written when the guard is dropped.
///
/// # Errors
/// Where the file cannot be written, or something else logs already.
pub(crate) fn begin(config: &Config) -> Result<Option<WorkerGuard>> {
    let level = match config.text("log.level") {
        Some("error") => LevelFilter::ERROR,
        Some("warn") => LevelFilter::WARN,
        Some("debug") => LevelFilter::DEBUG,
        Some("trace") => LevelFilter::TRACE,
        Some("info") => LevelFilter::INFO,
        _ => return Ok(None),
    };
    let (writer, guard): (NonBlocking, WorkerGuard) = match config.path("log.file") {
        None => tracing_appender::non_blocking(std::io::stderr()),
        Some(path) => {
            let directory = path.parent().unwrap_or(Path::new("."));
            let name = path.file_name().unwrap_or_default();
            let file = tracing_appender::rolling::Builder::new()
                .rotation(tracing_appender::rolling::Rotation::NEVER)
                .filename_prefix(name.to_string_lossy())
                .build(directory)
                .map_err(|error| Error::Usage {
                    message: format!("cannot log to {}: {error}", path.display()),
                    hint: "log.file names a file that can be written".into(),
                })?;
            tracing_appender::non_blocking(file)
        }
    };
    let builder = fmt::Subscriber::builder()
        .with_max_level(level)
        .with_writer(writer)
        .with_ansi(false);
    let begun = if config.text("log.format") == Some("json") {
        tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())
    } else {
        tracing::subscriber::set_global_default(builder.finish())
    };
    begun.map_err(|error| Error::Usage {
        message: format!("cannot log: {error}"),
        hint: "something in this process logs already".into(),
    })?;
    Ok(Some(guard))
}
