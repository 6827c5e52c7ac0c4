//! `cargo xtask fuzz`: feeds everything that reads bytes with inputs that a fuzzer makes, one target
//! after the other, and keeps those that reach code which no kept one reaches. Needs cargo-fuzz and a
//! nightly toolchain.
//!
//! The fuzzer goes on where it stopped: what it finds is in `target/fuzz/corpus`. Of that, what is worth
//! keeping joins `fuzz/corpus`, whose files the tests replay: small ones, and so many at most.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line program that looks after files of the repository"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use cargo_metadata::MetadataCommand;

use crate::{Error, Result, command, read, workspace_root};

/// The largest input that is tried, in bytes: nothing here reads more in one piece.
const LONGEST: u64 = 4096;

/// What `cargo xtask fuzz` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Which targets: all where none is named.
    pub targets: Vec<String>,
    /// How long each target is fed, in minutes.
    #[arg(long, default_value_t = 10)]
    pub minutes: u64,
    /// How many inputs a target's corpus has at most; those that are there already stay.
    #[arg(long, default_value_t = 200)]
    pub keep: usize,
}

/// A target and what it takes to build it.
#[derive(Debug)]
struct Target {
    name: String,
    features: Vec<String>,
}

/// What came of feeding a target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    executions: u64,
    new_inputs: u64,
}

/// Feeds the targets, reports, and adds to the corpus.
///
/// # Errors
/// Where cargo-fuzz does not run, or an input does harm.
pub fn run(options: &Options) -> Result<()> {
    let targets = chosen(targets()?, &options.targets)?;
    let mut harmful = 0;
    println!(
        "{:<24} {:>14} {:>12} {:>8} {:>8}",
        "target", "executions", "new inputs", "kept", "crashes"
    );
    for target in &targets {
        let places = Places::of(target)?;
        let before = files(&places.crashes)?.len();
        let goes_on = feed(target, &places, options.minutes)?;
        let crashes: Vec<PathBuf> = files(&places.crashes)?;
        let found = crashes.len().saturating_sub(before);
        let figures = figures(&read(&places.log)?);
        if !goes_on && found == 0 {
            return Err(Error::Unexpected(format!(
                "{} did not run: see {}",
                target.name,
                places.log.display()
            )));
        }
        let kept = keep(target, &places, options.keep)?;
        println!(
            "{:<24} {:>14} {:>12} {:>8} {:>8}",
            target.name, figures.executions, figures.new_inputs, kept, found
        );
        harmful += found;
        if found > 0 {
            eprintln!(
                "  {} does harm: see {}, and feed it again with\n  {}",
                target.name,
                places.log.display(),
                again(target, &crashes)
            );
        }
    }
    match harmful {
        0 => Ok(()),
        _ => Err(Error::Unexpected(format!("{harmful} inputs do harm"))),
    }
}

/// Every target, as the fuzz workspace's manifest lists them.
fn targets() -> Result<Vec<Target>> {
    let metadata = MetadataCommand::new()
        .manifest_path(workspace_root().join("fuzz/Cargo.toml"))
        .no_deps()
        .exec()?;
    let all = metadata.packages.into_iter().flat_map(|one| one.targets);
    let mut targets: Vec<Target> = all
        .map(|target| Target {
            name: target.name,
            features: target.required_features,
        })
        .collect();
    // Those that are built together come one after the other.
    targets.sort_by(|a, b| (&a.features, &a.name).cmp(&(&b.features, &b.name)));
    Ok(targets)
}

fn chosen(mut targets: Vec<Target>, names: &[String]) -> Result<Vec<Target>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| targets.iter().all(|target| target.name != **name))
    {
        let known: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        return Err(Error::Unexpected(format!(
            "there is no target {unknown}, but there are {}",
            known.join(", ")
        )));
    }
    targets.retain(|target| names.is_empty() || names.contains(&target.name));
    Ok(targets)
}

/// Where a target's files are.
#[derive(Debug)]
struct Places {
    /// Inputs that the tests replay.
    corpus: PathBuf,
    /// All that the fuzzer has found worth going on from.
    found: PathBuf,
    /// What of that reaches more than the corpus does.
    merged: PathBuf,
    crashes: PathBuf,
    log: PathBuf,
}

impl Places {
    fn of(target: &Target) -> Result<Places> {
        let root = workspace_root();
        let work = root.join("target/fuzz");
        let places = Places {
            corpus: root.join("fuzz/corpus").join(&target.name),
            found: work.join("corpus").join(&target.name),
            merged: work.join("merged").join(&target.name),
            crashes: work.join("crashes").join(&target.name),
            log: work.join(format!("{}.log", target.name)),
        };
        if places.merged.exists() {
            fs::remove_dir_all(&places.merged).map_err(at(&places.merged))?;
        }
        for directory in [
            &places.corpus,
            &places.found,
            &places.merged,
            &places.crashes,
        ] {
            fs::create_dir_all(directory).map_err(at(directory))?;
        }
        Ok(places)
    }
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> Error + '_ {
    |source| Error::File {
        path: path.to_path_buf(),
        source,
    }
}

/// What cargo-fuzz is told of every target.
fn arguments(target: &Target) -> Vec<String> {
    let features = target.features.join(",");
    // Without a sanitizer: there is nothing unsafe in what is fed, and it would be slower.
    let mut arguments: Vec<String> = ["+nightly", "fuzz", "run", "--sanitizer", "none"]
        .map(str::to_owned)
        .into();
    arguments
        .extend(["--fuzz-dir", "fuzz", "--target-dir", "target/fuzz/build"].map(str::to_owned));
    if !features.is_empty() {
        arguments.extend(["--features".to_owned(), features]);
    }
    arguments.push(target.name.clone());
    arguments
}

/// Runs the fuzzer; false where it stopped at an input.
fn fuzz(target: &Target, log: &Path, directories: &[&Path], flags: &[String]) -> Result<bool> {
    let file = fs::File::create(log).map_err(at(log))?;
    let mut cargo = command("cargo", &[]);
    cargo
        .args(arguments(target))
        .args(directories)
        .arg("--")
        .arg(format!("-max_len={LONGEST}"))
        .args(flags)
        .stdout(Stdio::null())
        .stderr(file);
    let status = cargo.status().map_err(|source| Error::Start {
        program: "cargo fuzz".to_owned(),
        source,
    })?;
    Ok(status.success())
}

fn feed(target: &Target, places: &Places, minutes: u64) -> Result<bool> {
    let flags = [
        format!("-max_total_time={}", minutes * 60),
        "-print_final_stats=1".to_owned(),
        "-timeout=60".to_owned(),
        format!("-artifact_prefix={}/", places.crashes.display()),
    ];
    fuzz(
        target,
        &places.log,
        &[&places.found, &places.corpus],
        &flags,
    )
}

/// Adds to the corpus what reaches more than it does, the smallest inputs first. Answers how many
/// have been added.
fn keep(target: &Target, places: &Places, most: usize) -> Result<usize> {
    let log = places.log.with_extension("merge.log");
    // The first directory is what is there; only what reaches more is copied to it.
    for path in files(&places.corpus)? {
        copy_into(&places.merged, &path)?;
    }
    let known = files(&places.merged)?.len();
    let crashes = format!("-artifact_prefix={}/", places.crashes.display());
    let directories: [&Path; 2] = [&places.merged, &places.found];
    if !fuzz(
        target,
        &log,
        &directories,
        &["-merge=1".to_owned(), crashes],
    )? {
        return Err(Error::Unexpected(format!(
            "what {} has found cannot be merged: see {}",
            target.name,
            log.display()
        )));
    }
    let mut more = Vec::new();
    for path in files(&places.merged)? {
        let is_known = path
            .file_name()
            .is_some_and(|name| places.corpus.join(name).exists());
        if !is_known {
            let size = fs::metadata(&path).map_err(at(&path))?.len();
            more.push((size, path));
        }
    }
    more.sort();
    more.truncate(most.saturating_sub(known));
    for (_, path) in &more {
        copy_into(&places.corpus, path)?;
    }
    Ok(more.len())
}

fn copy_into(directory: &Path, path: &Path) -> Result<()> {
    if let Some(name) = path.file_name() {
        fs::copy(path, directory.join(name)).map_err(at(path))?;
    }
    Ok(())
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).map_err(at(directory))?;
    let mut files = Vec::new();
    for entry in entries {
        files.push(entry.map_err(at(directory))?.path());
    }
    files.sort();
    Ok(files)
}

/// The command that feeds the newest of these inputs alone.
fn again(target: &Target, crashes: &[PathBuf]) -> String {
    let newest = crashes
        .iter()
        .max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok());
    let mut line = format!("cargo {}", arguments(target).join(" "));
    if let Some(newest) = newest {
        line.push_str(&format!(" {}", newest.display()));
    }
    line
}

/// The fuzzer's own account, from the end of what it prints.
fn figures(log: &str) -> Figures {
    let figure = |name: &str| {
        let line = log.lines().rev().find_map(|line| line.strip_prefix(name));
        line.and_then(|figure| figure.trim().parse().ok())
            .unwrap_or(0)
    };
    Figures {
        executions: figure("stat::number_of_executed_units:"),
        new_inputs: figure("stat::new_units_added:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_read() {
        let log = "INFO: Running\n#2 INITED\n\
            stat::number_of_executed_units: 81234\n\
            stat::average_exec_per_sec:     812\n\
            stat::new_units_added:          17\n";
        let expected = Figures {
            executions: 81234,
            new_inputs: 17,
        };
        assert_eq!(figures(log), expected);
        assert_eq!(figures("killed"), Figures::default());
    }

    /// Each target has a corpus, and each corpus a target; an unknown name is refused.
    #[test]
    fn targets_and_corpora_belong_together() {
        let mut names: Vec<String> = targets().unwrap().into_iter().map(|one| one.name).collect();
        names.sort();
        let corpora = files(&workspace_root().join("fuzz/corpus")).unwrap();
        let corpora: Vec<String> = corpora
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        assert_eq!(names, corpora);
        assert!(chosen(targets().unwrap(), &["nothing".to_owned()]).is_err());
        let some = chosen(targets().unwrap(), &["pages".to_owned()]).unwrap();
        assert_eq!(some.len(), 1);
    }
}
