//! Programs that must compile and programs that must not, with what the compiler says of them:
//! golden scripts of function bodies in `tests/compile/`.
//!
//! All bodies of a script are compiled at once. Errors of macros keep the compiler from looking
//! for others, so bodies without errors are compiled again until no new ones turn up.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustling_testkit::golden::{self, Script};
use serde_json::Value as Json;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What every body may use.
const HEAD: &str = "#![allow(unused, clippy::all)]\n";

/// One line, so that line numbers can be told apart easily.
const OPEN: &str = "mod case { use rustling_query::*; use std::borrow::Cow; \
    fn body(db: &Database, session: &mut Session, tx: &mut SqlTransaction, id: i32, name: &str, \
    maybe: Option<i32>, ids: Vec<i32>) -> Result<()> {";
const CLOSE: &str = "; Ok(()) } }";

/// The newest library of that name beside the test.
fn library(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().unwrap();
    let prefix = format!("lib{name}-");
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(&prefix) && file.ends_with(".rlib")
        })
        .collect();
    found.sort_by_key(|path| fs::metadata(path).and_then(|of| of.modified()).ok());
    found.pop().expect("the library was built for this test")
}

/// A package that the compiler is told to compile for.
struct Package {
    name: &'static str,
    manifest: PathBuf,
    crate_name: &'static str,
}

impl Package {
    fn own() -> Package {
        Package {
            name: "own",
            manifest: ROOT.into(),
            crate_name: "rustling_query",
        }
    }

    fn other(name: &'static str, crate_name: &'static str) -> Package {
        Package {
            name,
            manifest: Path::new(ROOT).join("tests/compile").join(name),
            crate_name,
        }
    }

    /// The compiler, told to make that of a file, beside it.
    fn compiler(&self, file: &Path, made: &str) -> Command {
        let runtime = library("rustling_query");
        let mut compiler = Command::new(std::env::var("RUSTC").unwrap_or("rustc".into()));
        compiler
            .args(["--edition=2024", "--crate-type=lib"])
            .arg(format!("--emit={made}"))
            .args(["--error-format=json", "--crate-name=cases", "-o"])
            .arg(file.with_extension("rmeta"))
            .arg(format!(
                "--extern={}={}",
                self.crate_name,
                runtime.display()
            ))
            .arg("-L")
            .arg(format!(
                "dependency={}",
                runtime.parent().unwrap().display()
            ))
            .arg(file)
            .env("CARGO_MANIFEST_DIR", &self.manifest);
        compiler
    }

    /// Compiles the bodies; gives the messages for each that has any.
    fn messages(&self, bodies: &BTreeMap<usize, &str>) -> BTreeMap<usize, Vec<String>> {
        let mut source = HEAD.to_owned();
        let mut starts: Vec<(usize, usize)> = Vec::new();
        for (number, body) in bodies {
            starts.push((source.lines().count() + 1, *number));
            source += &OPEN
                .replace("mod case", &format!("mod case_{number}"))
                .replace("rustling_query", self.crate_name);
            source += &format!("\n{body}\n{CLOSE}\n");
        }
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let name = self.name.replace('/', "_");
        let file = directory.join(format!("{name}_{}.rs", std::process::id()));
        fs::write(&file, &source).unwrap();
        let output = self.compiler(&file, "metadata").output().unwrap();
        let mut messages: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            let Ok(diagnostic) = serde_json::from_str::<Json>(line) else {
                panic!("the compiler said {line}");
            };
            if diagnostic["level"] != "error" {
                continue;
            }
            let Some((line, text)) = self.shown(&diagnostic, &file) else {
                continue;
            };
            let case = starts.iter().rev().find(|(start, _)| *start <= line);
            let of_case = messages
                .entry(case.map_or(0, |(_, number)| *number))
                .or_default();
            if !of_case.contains(&text) {
                of_case.push(text);
            }
        }
        let _ = fs::remove_file(&file);
        let _ = fs::remove_file(file.with_extension("rmeta"));
        messages
    }

    /// The line in `file` that a diagnostic points at, and its text; `None` for the summary.
    fn shown(&self, diagnostic: &Json, file: &Path) -> Option<(usize, String)> {
        let spans = diagnostic["spans"].as_array()?;
        let primary = spans.iter().find(|span| span["is_primary"] == true)?;
        let mut place = primary;
        while place["file_name"].as_str().map(Path::new) != Some(file) {
            place = place.get("expansion")?.get("span")?;
        }
        let line = place["line_start"].as_u64()? as usize;
        let code = diagnostic["code"]["code"].as_str();
        let mut text = match code {
            Some(code) => format!("error[{code}]: "),
            None => "error: ".to_owned(),
        };
        text += diagnostic["message"].as_str().unwrap_or_default();
        if let Some(label) = primary["label"].as_str() {
            text += &format!("\n  = {label}");
        }
        let of_ours = |note: &&str| {
            let ours = [
                "braces",
                "the database comes first",
                "write the column",
                "a struct does with",
                "columns have types",
                "the type of the column",
                "runs on `&",
            ];
            ours.iter().any(|words| note.contains(words))
        };
        for child in diagnostic["children"].as_array().into_iter().flatten() {
            if let Some(note) = child["message"].as_str().filter(of_ours) {
                text += &format!("\n  = note: {note}");
            }
        }
        // Where a body stands among the others says nothing.
        let mut shown = String::new();
        for (at, part) in text.replace(ROOT, "$ROOT").split("case_").enumerate() {
            let rest = part.trim_start_matches(|c: char| at > 0 && c.is_ascii_digit());
            shown += rest.strip_prefix("::body::").unwrap_or(part);
        }
        Some((line, shown))
    }

    /// Checks a golden script; gives how many of its bodies compile, and how many do not.
    fn check(&self, script: &str) -> (usize, usize) {
        let path = Path::new(ROOT).join("tests/compile").join(script);
        let blocks = Script::parse(&fs::read_to_string(&path).unwrap())
            .unwrap()
            .blocks;
        let mut left: BTreeMap<usize, &str> = blocks
            .iter()
            .enumerate()
            .map(|(number, block)| (number, block.input.as_str()))
            .collect();
        let mut outputs: BTreeMap<&str, String> = BTreeMap::new();
        while !left.is_empty() {
            let messages = self.messages(&left);
            if messages.is_empty() {
                break;
            }
            for (number, of_case) in messages {
                let body = left.remove(&number).expect("errors are those of bodies");
                outputs.insert(body, of_case.join("\n"));
            }
        }
        let refused = outputs.len();
        let compile = left.len();
        golden::run(path, |body| {
            outputs
                .get(body)
                .cloned()
                .unwrap_or_else(|| "compiles".to_owned())
        });
        (compile, refused)
    }
}

#[test]
fn right_programs_compile() {
    let (compile, refused) = Package::own().check("accepted.golden");
    assert!(compile >= 60 && refused == 0, "{compile} and {refused}");
}

#[test]
fn wrong_programs_are_refused_with_what_to_do() {
    let (compile, refused) = Package::own().check("refused.golden");
    assert!(refused >= 80 && compile == 0, "{refused} and {compile}");
}

#[test]
fn methods_of_rows_run_on_what_runs_statements() {
    Package::own().check("connections.golden");
}

#[test]
fn the_crate_may_have_another_name() {
    Package::other("renamed", "checked_db").check("renamed.golden");
}

#[test]
fn the_name_may_be_that_of_the_workspace() {
    Package::other("inherited/member", "checked_db").check("inherited.golden");
}

#[test]
fn of_migrations_and_a_schema_the_migrations_count() {
    Package::other("both", "rustling_query").check("both.golden");
}

#[test]
fn packages_without_migrations_are_told_how_to_have_some() {
    Package::other("bare", "rustling_query").check("bare.golden");
}

#[test]
fn a_package_may_have_its_schema_in_one_file() {
    Package::other("single", "rustling_query").check("single.golden");
}

/// Whatever of a crate comes first, and needs the schema least, cargo learns of the migrations.
#[test]
fn what_is_compiled_depends_on_the_migrations() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for first in [
        "#[derive(rustling_query::QueryBuilder)] pub enum Text { One, Two }",
        "#[derive(rustling_query::QueryBuilder)] pub struct Customer { pub id: i32, pub name: String, pub email: Option<String> }",
        "pub fn first(db: &rustling_query::Database) { let _ = rustling_query::query!(db, \"SELECT id FROM customer\"); }",
    ] {
        let file = directory.join(format!("depends_{}.rs", std::process::id()));
        let rest = "pub fn rest(db: &rustling_query::Database) { let _ = rustling_query::query!(db, \"SELECT id FROM customer\"); }";
        fs::write(&file, format!("{first}\n{rest}\n")).unwrap();
        let output = Package::own().compiler(&file, "dep-info").output().unwrap();
        let made = file.with_extension("rmeta");
        let depends = fs::read_to_string(&made).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            depends.contains("/migrations/"),
            "{first}\n{depends}\n{said}"
        );
        let _ = fs::remove_file(&file);
        let _ = fs::remove_file(&made);
    }
}
