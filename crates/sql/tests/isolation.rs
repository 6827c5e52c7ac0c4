//! Golden scripts of several sessions at once: see `isolation/*.golden`, and `sessions` of the test
//! kit for their form. The server's tests run the same over connections.

use std::path::Path;

use rustling_sql::{Database, Error, StatementResult, Value};
use rustling_testkit::{golden, sessions::Sessions};

fn show_error(error: &Error) -> String {
    format!("ERROR {}: {error}", error.state().0)
}

fn show(result: Result<StatementResult, Error>) -> String {
    let rows = match result {
        Err(error) => return show_error(&error),
        Ok(StatementResult::Done { tag, .. }) => return tag,
        Ok(StatementResult::Rows(rows)) => rows,
        Ok(other) => return format!("{other:?}"),
    };
    let mut shown = Vec::new();
    for row in rows {
        match row {
            Ok(row) => {
                let values: Vec<String> = row.values().iter().map(Value::to_string).collect();
                shown.push(format!("({})", values.join(", ")));
            }
            Err(error) => return show_error(&error),
        }
    }
    if shown.is_empty() {
        "no rows".to_owned()
    } else {
        shown.join(" ")
    }
}

fn runner(_: &Path) -> impl FnMut(&str) -> String + use<> {
    let database = Database::in_memory().expect("a database in memory opens");
    let opened = database.clone();
    let begin = move || {
        let mut session = opened.session();
        Box::new(move |statement: &str| show(session.run(statement, ())))
            as Box<dyn FnMut(&str) -> String + Send>
    };
    let waiting = move || {
        let active = database.transaction_manager().active();
        let waits = active.iter().filter(|of| of.waits_for.is_some());
        waits.count()
    };
    let mut sessions = Sessions::new(begin, waiting);
    move |input| sessions.run(input)
}

#[test]
fn isolation() {
    golden::run_dir(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/isolation"),
        runner,
    );
}
