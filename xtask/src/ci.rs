//! `cargo xtask ci`: everything that must be green before a change lands, fastest first.
#![expect(
    clippy::print_stderr,
    reason = "a command-line program reports its progress"
)]

use std::{path::Path, process::Command};

use crate::{
    Error, Result, apart, build_once, command, conformance, gates, run as run_command, tidy,
    workspace_root,
};

/// Runs every check; with `all` also those of what hardly ever breaks and takes minutes to compile.
///
/// # Errors
/// At the first that fails.
pub fn run(all: bool) -> Result<()> {
    build_once();
    step("format");
    run_command(&mut command("cargo", &["fmt", "--all", "--check"]))?;
    step("tidy");
    tidy::run(&workspace_root())?;
    step("clippy");
    run_command(&mut command(
        "cargo",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "rustling-tests/gates",
            "--",
            "--deny",
            "warnings",
        ],
    ))?;
    step("documentation");
    let mut documentation = command(
        "cargo",
        &[
            "doc",
            "--workspace",
            "--no-deps",
            "--features",
            "rustling-tests/gates",
            "--document-private-items",
            // What needs the tests' dependencies gives all others the features that they have
            // in the tests, so that they are checked once for clippy and for this.
            "--lib",
            "--bin",
            "rustling",
            "--examples",
        ],
    );
    documentation.env(
        "RUSTDOCFLAGS",
        "--deny warnings --allow rustdoc::private_intra_doc_links",
    );
    reuse_what_clippy_checked(&mut documentation)?;
    run_command(&mut documentation)?;
    step("tests");
    if has_nextest() {
        run_command(&mut command(
            "cargo",
            &[
                "nextest",
                "run",
                "--workspace",
                "--features",
                "rustling-tests/gates",
                "--filterset",
                // The gates come below; whether the tree is tidy was the second step.
                "not binary(/^gate_/) and not test(the_tree_is_tidy)",
            ],
        ))?;
    } else {
        run_command(&mut command(
            "cargo",
            &[
                "test",
                "--workspace",
                "--features",
                "rustling-tests/gates",
                "--lib",
                "--bins",
                "--tests",
            ],
        ))?;
    }
    step("documentation tests");
    run_command(&mut command(
        "cargo",
        // With the features of the tests, so that nothing is built again without them.
        &[
            "test",
            "--workspace",
            "--features",
            "rustling-tests/gates",
            "--doc",
        ],
    ))?;
    step("schedules");
    // The storage and the transaction layer are built again, with a scheduler in the place of their
    // locks, and nothing above them is.
    run_command(&mut command(
        "cargo",
        &[
            "test",
            "--workspace",
            "--features",
            "rustling-tests/gates,rustling-txn/shuttle",
            "--test",
            "schedules",
            "--test",
            "interleavings",
        ],
    ))?;
    step("what is built apart");
    apart::check_features()?;
    apart::check_fuzz()?;
    if all {
        apart::check_benches()?;
    }
    step("gates, quick");
    gates::run_quick()?;
    step("conformance, quick");
    conformance::ratchet()?;
    step("all green");
    Ok(())
}

/// Lets cargo find the crates that `cargo clippy -- --deny warnings` has checked, by naming the
/// compiler and its arguments as that does. Where clippy does otherwise one day, they are checked
/// again and nothing else is different.
fn reuse_what_clippy_checked(command: &mut Command) -> Result<()> {
    let found = crate::command("rustc", &["--print", "sysroot"])
        .output()
        .map_err(|source| Error::Start {
            program: "rustc".to_owned(),
            source,
        })?;
    let sysroot = String::from_utf8_lossy(&found.stdout);
    let driver = Path::new(sysroot.trim()).join("bin/clippy-driver");
    if driver.exists() {
        command.env("RUSTC_WORKSPACE_WRAPPER", driver);
        command.env(
            "CLIPPY_ARGS",
            "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__",
        );
    }
    Ok(())
}

fn has_nextest() -> bool {
    command("cargo", &["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn step(name: &str) {
    eprintln!("\n== {name}");
}
