//! Statements that nobody would write: the parser and the binder answer, they never panic, and
//! what parses prints back.

use fastrand::Rng;
use rustling_sql::{BindOptions, bind, parse};

use crate::language::{Catalog, TABLES};

/// Words that statements of this dialect are made of.
const WORDS: &str = "SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT OFFSET UNION ALL INTERSECT EXCEPT \
    DISTINCT AS ON USING JOIN LEFT RIGHT FULL CROSS NATURAL INNER VALUES INSERT INTO UPDATE SET DELETE \
    CREATE TABLE INDEX UNIQUE PRIMARY KEY NOT NULL DEFAULT CHECK CASE WHEN THEN ELSE END AND OR IN \
    BETWEEN LIKE ILIKE ESCAPE IS TRUE FALSE EXISTS ANY CAST EXTRACT SUBSTRING TRIM FOR POSITION \
    OVERLAY PLACING INTERVAL DATE TIMESTAMP WITH RECURSIVE EXPLAIN ANALYZE BEGIN COMMIT flights \
    airlines kv pair carrier id key value dest day fare a b t count sum max abs lower coalesce \
    int text numeric ( ) ( ) ( ) , , , . ; * + - / % ^ = <> < > <= >= || :: ~ [ ] : $1 $2 $9 :name \
    1 2.5 1e3 .5 0xff 'x' '1' '2020-01-01' \"id\" \"x\" E'\\n' $$q$$ U&'\\0041' -- /* */ NULLS FIRST LAST \
    é 日本 ' \" $ $x$";

#[expect(clippy::panic, reason = "a test helper")]
fn check(catalog: &Catalog, sql: &str) {
    match parse(sql) {
        Err(error) => {
            assert!(!error.message().is_empty());
            let _ = error.render(sql);
        }
        Ok(statements) => {
            for statement in &statements {
                let printed = statement.to_string();
                let again = parse(&printed)
                    .unwrap_or_else(|error| panic!("{sql}\n{printed}\n{}", error.render(&printed)));
                assert_eq!(again.len(), 1, "{sql}\n{printed}");
                assert_eq!(again[0].to_string(), printed, "{sql}");
                match bind(statement, catalog, &BindOptions::default()) {
                    Ok(_) => {}
                    Err(error) => {
                        assert_ne!(error.state().0, "XX000", "{sql}\n{error}");
                        let _ = error.render(sql);
                    }
                }
            }
        }
    }
}

fn rounds() -> usize {
    std::env::var("RUSTLING_FUZZ_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(400)
}

#[test]
fn token_soup_never_panics() {
    let catalog = Catalog::of(TABLES);
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    for seed in 0..rounds() as u64 {
        let mut rng = Rng::with_seed(seed);
        let length = rng.usize(1..25);
        let mut sql = String::from(if rng.bool() { "SELECT " } else { "" });
        for _ in 0..length {
            sql.push_str(words[rng.usize(..words.len())]);
            if rng.u8(..8) > 0 {
                sql.push(' ');
            }
        }
        check(&catalog, &sql);
    }
}

#[test]
fn mutated_statements_never_panic() {
    let catalog = Catalog::of(TABLES);
    let corpus: Vec<&str> = include_str!("parser_statements.sql")
        .split(";\n")
        .chain(include_str!("golden/errors.golden").lines())
        .filter(|sql| !sql.trim().is_empty())
        .collect();
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    for seed in 0..rounds() as u64 {
        let mut rng = Rng::with_seed(seed ^ 0x5eed);
        let mut characters: Vec<char> = corpus[rng.usize(..corpus.len())].chars().collect();
        for _ in 0..rng.usize(1..4) {
            if characters.is_empty() {
                break;
            }
            let at = rng.usize(..characters.len());
            match rng.u8(..4) {
                0 => {
                    characters.remove(at);
                }
                1 => {
                    let word: Vec<char> = words[rng.usize(..words.len())].chars().collect();
                    characters.splice(at..at, word);
                }
                2 => characters.truncate(at),
                _ => {
                    let end = (at + rng.usize(1..20)).min(characters.len());
                    let part: Vec<char> = characters[at..end].to_vec();
                    let to = rng.usize(..characters.len());
                    characters.splice(to..to, part);
                }
            }
        }
        check(&catalog, &characters.into_iter().collect::<String>());
    }
}

#[test]
fn random_bytes_never_panic() {
    let catalog = Catalog::of(TABLES);
    for seed in 0..rounds() as u64 {
        let mut rng = Rng::with_seed(seed);
        let bytes: Vec<u8> = (0..rng.usize(..60)).map(|_| rng.u8(..)).collect();
        check(&catalog, &String::from_utf8_lossy(&bytes));
    }
}
