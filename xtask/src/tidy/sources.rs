//! Rules for source files: a doc comment on every module, banned calls only where they belong,
//! no stray debug output, no ignored tests without a reason, no overlong rooms.

use std::{
    panic::resume_unwind,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, ExprCall, ExprMacro, ItemFn, ItemMod, Macro, StmtMacro,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::Finding;
use crate::{Result, read};

/// No file may be longer than this, in lines. Lower it when the longest file shrinks.
const LONGEST_FILE: usize = 790;

/// The modules that are the door to the operating system (files, clocks, threads, randomness),
/// the macros' reading of the sources being compiled, the golden-script runner, which reads the
/// tests themselves, and the simulation that stands in for the system.
const DOORS: &[&str] = &[
    "crates/macros/src/files.rs",
    "crates/storage/src/env.rs",
    "crates/storage/src/env_system.rs",
    "crates/storage/src/vfs_os.rs",
    "crates/testkit/src/golden.rs",
    "crates/testkit/src/harness/parallel.rs",
    "crates/testkit/src/sim/env.rs",
];

/// Folders whose code talks to the world on its own behalf: developer tasks, tests, examples.
const OUTSIDE: &[&str] = &["xtask/", "benches/", "tests/", "examples/"];

/// Paths (their last two segments) that production code may call only through `Vfs` and `Env`.
const BANNED: &[(&str, &str, &str)] = &[
    ("fs", "*", "Vfs"),
    ("File", "open", "Vfs::open"),
    ("File", "create", "Vfs::open"),
    ("File", "options", "Vfs::open"),
    ("OpenOptions", "new", "Vfs::open"),
    ("Instant", "now", "Env's clock"),
    ("SystemTime", "now", "Env's clock"),
    ("thread", "spawn", "Env's spawner"),
    ("thread", "sleep", "Env's clock"),
    ("thread", "scope", "Env's spawner or rayon"),
    ("fastrand", "u64", "Env's randomness"),
    ("fastrand", "u32", "Env's randomness"),
    ("fastrand", "usize", "Env's randomness"),
    ("Rng", "new", "Env's randomness"),
];

pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let sources: Vec<&PathBuf> = files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = sources.len().div_ceil(threads).max(1);
    let shares: Vec<Result<Vec<Finding>>> = std::thread::scope(|scope| {
        let checks: Vec<_> = sources
            .chunks(share)
            .map(|share| scope.spawn(|| check_files(root, share)))
            .collect();
        checks
            .into_iter()
            .map(|check| check.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let mut findings = Vec::new();
    for share in shares {
        findings.extend(share?);
    }
    Ok(findings)
}

fn check_files(root: &Path, files: &[&PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in files {
        let text = read(&root.join(file))?;
        findings.extend(check_file(file, &text));
    }
    Ok(findings)
}

fn check_file(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        findings.push(Finding {
            file: file.into(),
            line: 0,
            message: format!("{lines} lines; at most {LONGEST_FILE}: split it by idea"),
        });
    }
    let parsed = match syn::parse_file(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            findings.push(Finding {
                file: file.into(),
                line: error.span().start().line,
                message: error.to_string(),
            });
            return findings;
        }
    };
    if !parsed.attrs.iter().any(is_doc) {
        findings.push(Finding {
            file: file.into(),
            line: 1,
            message: "has no module doc comment (`//!`)".into(),
        });
    }
    let path = file.to_string_lossy();
    let is_test_file =
        path.contains("/tests/") || path.contains("/examples/") || path.contains("/benches/");
    let free = DOORS.contains(&&*path)
        || is_test_file
        || OUTSIDE.iter().any(|folder| path.starts_with(folder));
    let mut visitor = Calls {
        file,
        findings: &mut findings,
        banned: !free,
        test_depth: 0,
    };
    visitor.visit_file(&parsed);
    findings
}

fn is_doc(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc")
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|ident| ident == "test"))
    })
}

struct Calls<'a> {
    file: &'a Path,
    findings: &'a mut Vec<Finding>,
    banned: bool,
    test_depth: usize,
}

impl Calls<'_> {
    fn report(&mut self, span: proc_macro2::Span, message: String) {
        self.findings.push(Finding {
            file: self.file.into(),
            line: span.start().line,
            message,
        });
    }

    fn check_macro(&mut self, found: &Macro) {
        let name = found
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default();
        if matches!(name.as_str(), "dbg" | "todo" | "unimplemented") {
            self.report(found.span(), format!("{name}! does not belong in the tree"));
        }
    }
}

impl<'ast> Visit<'ast> for Calls<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let test = usize::from(is_test(&item.attrs));
        self.test_depth += test;
        visit::visit_item_mod(self, item);
        self.test_depth -= test;
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        for attribute in &item.attrs {
            let ignored_without_reason = attribute.path().is_ident("ignore")
                && !matches!(attribute.meta, syn::Meta::NameValue(_));
            if ignored_without_reason {
                self.report(
                    attribute.span(),
                    "an ignored test says who runs it and when: #[ignore = \"…\"]".into(),
                );
            }
        }
        let test = usize::from(is_test(&item.attrs));
        self.test_depth += test;
        visit::visit_item_fn(self, item);
        self.test_depth -= test;
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if self.banned
            && self.test_depth == 0
            && let syn::Expr::Path(path) = &*call.func
        {
            let names: Vec<String> = path
                .path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect();
            if let [.., module, name] = names.as_slice()
                && let Some((_, _, instead)) = BANNED
                    .iter()
                    .find(|(m, n, _)| m == module && (*n == "*" || n == name))
            {
                self.report(
                    call.span(),
                    format!("{module}::{name} is banned here: use {instead}"),
                );
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_macro(&mut self, expression: &'ast ExprMacro) {
        self.check_macro(&expression.mac);
    }

    fn visit_stmt_macro(&mut self, statement: &'ast StmtMacro) {
        self.check_macro(&statement.mac);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::check_file;

    fn check(text: &str) -> Vec<String> {
        check_file(Path::new("crates/storage/src/x.rs"), text)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_clean_file_has_no_findings() {
        assert!(check("//! A module.\nfn f() {}\n").is_empty());
    }

    #[test]
    fn a_module_without_a_doc_comment_is_found() {
        assert_eq!(
            check("fn f() {}"),
            ["crates/storage/src/x.rs:1: has no module doc comment (`//!`)"]
        );
    }

    #[test]
    fn banned_calls_are_found_outside_tests() {
        let found = check(
            "//! M.\nfn f() { std::fs::read(\"x\"); Instant::now(); std::thread::sleep(d); }",
        );
        assert_eq!(found.len(), 3, "{found:?}");
        let in_tests =
            check("//! M.\n#[cfg(test)]\nmod tests { fn f() { std::fs::read(\"x\"); } }");
        assert!(in_tests.is_empty(), "{in_tests:?}");
    }

    #[test]
    fn debug_macros_are_found_everywhere() {
        assert_eq!(check("//! M.\nfn f() { dbg!(1); }").len(), 1);
        assert_eq!(
            check("//! M.\n#[cfg(test)]\nmod tests { fn f() { todo!(); } }").len(),
            1
        );
    }

    #[test]
    fn an_ignored_test_needs_a_reason() {
        assert_eq!(check("//! M.\n#[test]\n#[ignore]\nfn f() {}").len(), 1);
        assert!(
            check("//! M.\n#[test]\n#[ignore = \"run by cargo xtask bench\"]\nfn f() {}")
                .is_empty()
        );
    }
}
