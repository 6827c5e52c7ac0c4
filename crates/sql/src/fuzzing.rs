//! What the fuzz targets (`fuzz/`) feed with arbitrary bytes: keys and rows as they are stored,
//! the text of statements, and statements that run.
//!
//! Each function takes any bytes and must come back: what makes no sense is an error value. The
//! inputs that the fuzzer has found worth keeping are in `fuzz/corpus` and run as ordinary tests
//! too.

use std::time::Duration;

use rustling_storage::StoreOptions;

use crate::{Database, encoding, parse, split_statements};

/// Keys of columns of types that the input names.
pub fn keys(data: &[u8]) {
    encoding::fuzzing::keys(data);
}

/// Rows of tables whose types the input names.
pub fn rows(data: &[u8]) {
    encoding::fuzzing::rows(data);
}

/// Statements: what parses prints, and what is printed parses to the same.
pub fn parser(data: &[u8]) {
    let sql = String::from_utf8_lossy(data);
    match parse(&sql) {
        Err(error) => {
            assert!(!error.message().is_empty());
            let _ = error.render(&sql);
        }
        Ok(statements) => {
            for statement in &statements {
                let printed = statement.to_string();
                let again = parse(&printed);
                assert!(again.is_ok(), "{sql}\n{printed}\n{again:?}");
                let again = again.unwrap_or_default();
                let texts: Vec<String> = again.iter().map(ToString::to_string).collect();
                assert_eq!(texts, [printed], "{sql}");
            }
        }
    }
}

/// Statements that run, one after the other, in a small database. None of them may end with an
/// error that speaks of a fault within.
pub fn statements(data: &[u8]) {
    const TABLES: &str =
        "CREATE TABLE t (a int PRIMARY KEY, b text, c numeric, d timestamp, e float8[]);
        CREATE TABLE u (a int REFERENCES t, b text NOT NULL DEFAULT 'x', UNIQUE (b)) USING lsm;
        CREATE INDEX ON t (b, c DESC);
        INSERT INTO t VALUES (1, 'one', 1.5, '2020-01-01', '{1,2}'), (2, NULL, NULL, NULL, NULL),
            (3, 'three', -0.5, 'infinity', '{}');
        INSERT INTO u VALUES (1, 'y'), (NULL, 'z');
        SET statement_timeout = '300ms'";
    let options = StoreOptions {
        memory_budget: 16 << 20,
        quiet_interval: Duration::from_secs(3600),
        ..StoreOptions::default()
    };
    let database = Database::in_memory_with(options);
    assert!(database.is_ok(), "{database:?}");
    let Ok(database) = database else { return };
    let mut session = database.session();
    let made = session.execute_script(TABLES);
    assert!(made.is_ok(), "{made:?}");
    let sql = String::from_utf8_lossy(data);
    for span in split_statements(&sql)
        .unwrap_or_default()
        .into_iter()
        .take(8)
    {
        let statement = sql.get(span.start..span.end).unwrap_or_default();
        let result = session.run(statement, ());
        let read = result.and_then(|result| match result {
            crate::StatementResult::Rows(rows) => {
                for row in rows.take(1000) {
                    row?;
                }
                Ok(())
            }
            _ => Ok(()),
        });
        if let Err(error) = read {
            assert_ne!(error.state().0, "XX000", "{statement}\n{error}");
            let _ = error.render(statement);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[expect(clippy::disallowed_methods, reason = "the corpus is in the repository")]
    fn replay(target: &str, run: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let mut count = 0;
        for entry in std::fs::read_dir(corpus.join(target)).unwrap() {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{target} has no corpus");
        run(&[]);
    }

    #[test]
    fn the_corpus_does_no_harm() {
        replay("keys", super::keys);
        replay("rows", super::rows);
        replay("parser", super::parser);
        replay("statements", super::statements);
    }
}
