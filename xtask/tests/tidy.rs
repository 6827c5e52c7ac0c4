//! The house rules hold: `cargo xtask tidy` as a test.

#[test]
fn the_tree_is_tidy() {
    let findings = xtask::tidy::check(&xtask::workspace_root()).expect("the tree can be read");
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}
