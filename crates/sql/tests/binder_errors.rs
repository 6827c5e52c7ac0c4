//! What people read when a statement is wrong: golden scripts.

use rustling_sql::{BindOptions, bind, parse};
use rustling_testkit::golden;

use crate::language::{Catalog, TABLES};

#[test]
fn errors_read_well() {
    let catalog = Catalog::of(TABLES);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/errors.golden");
    golden::run(path, |sql| {
        let bound = parse(sql).and_then(|statements| {
            statements.iter().try_for_each(|statement| {
                bind(statement, &catalog, &BindOptions::default()).map(drop)
            })
        });
        match bound {
            Ok(()) => "bound without an error".to_owned(),
            Err(error) => format!("{} {}", error.state().0, error.render(sql)),
        }
    });
}

#[test]
fn double_quotes_are_strings_where_asked() {
    let catalog = Catalog::of(TABLES);
    let sql = "SELECT value FROM kv WHERE key = \"abc\"";
    let statement = &parse(sql).unwrap()[0];
    assert!(bind(statement, &catalog, &BindOptions::default()).is_err());
    let options = BindOptions {
        double_quoted_strings: true,
        ..BindOptions::default()
    };
    assert!(bind(statement, &catalog, &options).is_ok());
}

#[test]
fn deep_statements_bind_or_say_that_they_are_too_deep() {
    let catalog = Catalog::of(TABLES);
    let levels = rustling_sql::parser::MAX_NESTING - 2;
    for (open, close, times) in [
        ("(", ")", levels),
        ("(SELECT ", ")", levels),
        ("abs(", ")", levels),
        ("CASE WHEN true THEN ", " END", levels),
        ("- ", "", 100),
        ("", "::int", 100),
        ("", " + 1", 10_000),
        ("", " || 'a'", 10_000),
        ("", ", 1", 1_000),
    ] {
        let sql = format!("SELECT {}1{}", open.repeat(times), close.repeat(times));
        let bound =
            parse(&sql).and_then(|parsed| bind(&parsed[0], &catalog, &BindOptions::default()));
        if let Err(error) = bound {
            assert_eq!(error.state().0, "54001", "{open}: {error}");
        }
    }
}
