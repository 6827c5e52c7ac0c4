//! `cargo xtask tidy`: house rules that no compiler checks. Each rule is a module that returns
//! findings; `xtask/tests/tidy.rs` runs them all as a test.
#![expect(
    clippy::print_stderr,
    reason = "a command-line program reports its findings"
)]

mod docs;
mod layers;
mod sources;

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, Result};

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, relative to the workspace.
    pub file: PathBuf,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// Every finding in the workspace at `root`.
///
/// # Errors
/// Where the tree cannot be read.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let files = tracked_files(root)?;
    let mut findings = layers::check(root)?;
    findings.extend(docs::check(root, &files)?);
    findings.extend(sources::check(root, &files)?);
    Ok(findings)
}

/// Prints every finding.
///
/// # Errors
/// [`Error::Untidy`] where there is any.
pub fn run(root: &Path) -> Result<()> {
    let findings = check(root)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Error::Untidy(findings.len()))
    }
}

/// The files of the tree that git tracks or would track, relative to `root`.
fn tracked_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut command = Command::new("git");
    command
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root);
    let output = command.output().map_err(|source| Error::Start {
        program: "git".into(),
        source,
    })?;
    if !output.status.success() {
        return Err(Error::Failed {
            command: crate::line(&command),
            status: output.status.to_string(),
        });
    }
    let mut files: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(PathBuf::from)
        .filter(|file| root.join(file).is_file())
        .collect();
    files.sort();
    Ok(files)
}
