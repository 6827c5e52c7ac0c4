//! `cargo xtask ci`: everything that must be green before a change lands, fastest first.
#![expect(
    clippy::print_stderr,
    reason = "a command-line program reports its progress"
)]

use crate::{
    Result, build_once, command, conformance,
    gates::{self, Gate, Mode},
    run as run_command, tidy, workspace_root,
};

/// Runs every check.
///
/// # Errors
/// At the first that fails.
pub fn run() -> Result<()> {
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
    run_command(
        command(
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
        )
        .env(
            "RUSTDOCFLAGS",
            "--deny warnings --allow rustdoc::private_intra_doc_links",
        ),
    )?;
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
            &["test", "--workspace", "--lib", "--bins", "--tests"],
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
    step("schedules of transactions");
    run_command(&mut command(
        "cargo",
        &[
            "test",
            "--workspace",
            "--features",
            "rustling-tests/gates,rustling-txn/shuttle",
            "--test",
            "interleavings",
        ],
    ))?;
    step("gates, quick");
    gates::run_all(&Gate::ALL, Mode::Quick)?;
    step("conformance, quick");
    conformance::ratchet()?;
    step("all green");
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
