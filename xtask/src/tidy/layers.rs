//! Crate dependencies run one way only: `cli → server, etl → sql → txn → storage`, and
//! `sql → grammar`.

use std::{collections::BTreeSet, path::Path};

use cargo_metadata::{DependencyKind, MetadataCommand};

use super::Finding;
use crate::{Result, command};

/// Every layer from the bottom up, with the layers below that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("rustling-storage", &[]),
    ("rustling-txn", &["rustling-storage"]),
    ("rustling-grammar", &[]),
    (
        "rustling-sql",
        &["rustling-grammar", "rustling-txn", "rustling-storage"],
    ),
    ("rustling-macros", &["rustling-sql"]),
    ("rustling-query", &["rustling-macros", "rustling-sql"]),
    (
        "rustling-etl",
        &["rustling-sql", "rustling-txn", "rustling-storage"],
    ),
    (
        "rustling-server",
        &["rustling-sql", "rustling-txn", "rustling-storage"],
    ),
    (
        "rustling-cli",
        &[
            "rustling-server",
            "rustling-etl",
            "rustling-sql",
            "rustling-txn",
            "rustling-storage",
        ],
    ),
];

/// What only proves: a normal dependency on the store's face, used by others in tests alone.
const TESTKIT: &str = "rustling-testkit";

/// Packages that stand on top of everything and that nothing may use.
const ROOF: &[&str] = &[
    "rustling-tests",
    "rustling-integration",
    "rustling-conformance",
    "rustling-benches",
    "notes",
    "xtask",
];

/// Crates that the language half of `rustling-sql` must not pull in.
const NOT_IN_LANGUAGE: &[&str] = &[
    "rustling-storage",
    "rustling-txn",
    "rayon",
    "arrow-array",
    "tokio",
    "parking_lot",
];

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let own: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let manifest = package.manifest_path.as_std_path();
        let file = manifest
            .strip_prefix(root)
            .unwrap_or(manifest)
            .to_path_buf();
        let mut report = |message: String| {
            findings.push(Finding {
                file: file.clone(),
                line: 0,
                message,
            })
        };
        let allowed = match LAYERS.iter().find(|(layer, _)| *layer == name) {
            Some((_, allowed)) => *allowed,
            None if name == TESTKIT => &["rustling-storage"],
            None if ROOF.contains(&name) => continue,
            None => {
                report(format!(
                    "package {name} has no place in the layers: give it one in xtask/src/tidy/layers.rs"
                ));
                continue;
            }
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| own.contains(dependency.name.as_str()))
        {
            let target = dependency.name.as_str();
            let in_tests_only = dependency.kind == DependencyKind::Development;
            // Itself in tests: with features that users choose.
            let in_tests = in_tests_only && (target == TESTKIT || target == name);
            let fine = allowed.contains(&target) || in_tests;
            if !fine {
                report(format!(
                    "{name} may not depend on {target}: arrows run cli → server, etl → sql → txn → storage"
                ));
            }
        }
    }
    findings.extend(language_alone(
        root,
        &["rustling-sql", "--no-default-features"],
        "without its feature `engine` the crate",
    )?);
    findings.extend(language_alone(
        root,
        &["rustling-macros"],
        "the crate of the macros",
    )?);
    Ok(findings)
}

/// The language half of `rustling-sql` touches no file and starts no thread, and the macros stand
/// on it alone.
fn language_alone(root: &Path, package: &[&str], what: &str) -> Result<Option<Finding>> {
    let mut arguments = vec!["tree", "--package"];
    arguments.extend(package);
    arguments.extend(["--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let mut tree = command("cargo", &arguments);
    let output = tree
        .current_dir(root)
        .output()
        .map_err(|source| crate::Error::Start {
            program: "cargo".into(),
            source,
        })?;
    if !output.status.success() {
        return Err(crate::Error::Failed {
            command: crate::line(&tree),
            status: output.status.to_string(),
        });
    }
    let listing = String::from_utf8_lossy(&output.stdout);
    let found: BTreeSet<&str> = listing
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| NOT_IN_LANGUAGE.contains(name))
        .collect();
    Ok((!found.is_empty()).then(|| Finding {
        file: "Cargo.toml".into(),
        line: 0,
        message: format!("{what} pulls in {found:?}"),
    }))
}
