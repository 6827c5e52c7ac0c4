//! Paths that the documents name exist, and every format document names its owner.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::{Result, read};

/// First components of the paths in the tree; a path in a document starts with one of them.
const ROOTS: &[&str] = &[
    "crates/", "tests/", "docs/", "xtask/", "benches/", ".ci/", ".cargo/",
];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
    {
        let text = read(&root.join(file))?;
        let parent = file.parent().unwrap_or(Path::new(""));
        for (index, line) in text.lines().enumerate() {
            for path in paths(line) {
                let found = root.join(&path).exists() || root.join(parent).join(&path).exists();
                if !found {
                    findings.push(Finding {
                        file: file.clone(),
                        line: index + 1,
                        message: format!("names {path}, which does not exist"),
                    });
                }
            }
        }
        let is_format = file.starts_with("docs/formats")
            && file.file_name().is_some_and(|name| name != "README.md");
        if is_format && !text.contains("`crates/") {
            findings.push(Finding {
                file: file.clone(),
                line: 0,
                message: "a format document names its owner module as `crates/…`".into(),
            });
        }
    }
    Ok(findings)
}

/// The paths that a line names: in back quotes, or as the target of a link.
fn paths(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, quoted) in line.split('`').enumerate() {
        let is_path = !quoted.contains(|c: char| c.is_whitespace() || "<>*{}…$".contains(c));
        if index % 2 == 1 && is_path && ROOTS.iter().any(|prefix| quoted.starts_with(prefix)) {
            found.push(quoted.trim_end_matches(['/', '.']).to_string());
        }
    }
    let mut rest = line;
    while let Some(start) = rest.find("](") {
        rest = &rest[start + 2..];
        let Some(end) = rest.find(')') else { break };
        let target = rest[..end].split('#').next().unwrap_or_default();
        let is_local =
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        if is_local {
            found.push(target.to_string());
        }
        rest = &rest[end..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::paths;

    #[test]
    fn finds_quoted_paths_and_links() {
        assert_eq!(
            paths(
                "see `crates/storage/src/lib.rs`, [formats](formats/wal.md#head) and `cargo xtask ci`"
            ),
            ["crates/storage/src/lib.rs", "formats/wal.md"]
        );
    }

    #[test]
    fn leaves_patterns_and_addresses_alone() {
        assert!(paths("`crates/*/src` and [home](https://example.org)").is_empty());
    }
}
