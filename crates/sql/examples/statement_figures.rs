//! Prints what common operations cost, in memory:
//! `cargo run --release -p rustling-sql --example statement_figures [ROWS]`.

use std::time::Duration;

use rustling_sql::{BulkOptions, Database, Result, StatementResult, Value};

#[expect(clippy::print_stdout, reason = "it prints measurements")]
fn main() -> Result<()> {
    let rows: i32 = std::env::args()
        .nth(1)
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(200_000);
    let db = Database::in_memory()?;
    let env = db.env().clone();
    let each = |what: &str, count: i32, took: Duration| {
        println!(
            "{what:<44} {:>10.0} ns each ({count} times)",
            took.as_nanos() as f64 / f64::from(count)
        );
    };
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v int, name text)", ())?;

    let row = |id: i32| {
        vec![
            Value::Int4(id),
            Value::Int4(id % 100),
            Value::Text(format!("number {id}").into()),
        ]
    };
    let start = env.now();
    let loader = db.bulk_loader("t", BulkOptions::default())?;
    for first in (0..rows).step_by(4096) {
        loader.append((first..rows.min(first + 4096)).map(row).collect())?;
    }
    loader.finish()?;
    each("bulk load, per row", rows, env.now() - start);

    let get = db.prepare("SELECT name FROM t WHERE id = $1")?;
    let mut values = Vec::new();
    let mut at = 0;
    for round in 0..2 {
        let start = env.now();
        for _ in 0..rows {
            at = (at + 7_919) % rows;
            let mut found = get.query((at,))?;
            if !found.next_into(&mut values)? {
                println!("row {at} is missing");
            }
        }
        if round == 1 {
            each(
                "point SELECT by primary key, prepared",
                rows,
                env.now() - start,
            );
        }
    }

    let start = env.now();
    let mut session = db.session();
    session.begin()?;
    for _ in 0..rows {
        at = (at + 7_919) % rows;
        // Rows are fetched when they are asked for: a result that is not read measures nothing.
        if let StatementResult::Rows(mut found) = session.run_statement(&get, (at,))?
            && !found.next_into(&mut values)?
        {
            println!("row {at} is missing");
        }
    }
    session.rollback()?;
    each("the same within one transaction", rows, env.now() - start);

    let start = env.now();
    let insert = db.prepare("INSERT INTO t VALUES ($1, $2, $3)")?;
    let inserts = rows.min(20_000);
    for id in rows..rows + inserts {
        insert.execute((id, 1, "inserted"))?;
    }
    each(
        "INSERT of one row, prepared, own commit",
        inserts,
        env.now() - start,
    );

    for sql in [
        "SELECT count(*) FROM t",
        "SELECT sum(v) FROM t WHERE v < 50",
        "SELECT v, count(*), max(name) FROM t GROUP BY v",
        "SELECT a.id FROM t a JOIN t b ON a.id = b.id WHERE b.v = 7",
        "SELECT name FROM t ORDER BY name LIMIT 10",
    ] {
        let start = env.now();
        let found = db.query(sql, ())?.values()?.len();
        let took = env.now() - start;
        println!(
            "{sql:<60} {:>8.1} ms, {found} rows",
            took.as_secs_f64() * 1e3
        );
    }
    Ok(())
}
