//! `cargo xtask demo`: what the database is for, in one command. It builds `rustling`, loads the
//! flights that left New York City in 2013 (five CSV files) and answers five questions about
//! them, showing each command as a person would type it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

use std::path::Path;

use crate::{Error, Result, command, line, run as run_command, workspace_root};

const DATABASE: &str = "target/nycflights13.db";

/// Table names; each has its file in `tests/data/nycflights13`.
const TABLES: [&str; 5] = ["airlines", "airports", "planes", "weather", "flights"];

/// Questions with the SQL that answers them.
const QUESTIONS: [(&str, &str); 5] = [
    (
        "Which airlines fly most from New York, and how late do they arrive on average?",
        "SELECT a.name AS airline, count(*) AS flights, round(avg(f.arr_delay), 1) AS minutes_late \
         FROM flights f JOIN airlines a ON f.carrier = a.carrier \
         GROUP BY a.name ORDER BY flights DESC LIMIT 5",
    ),
    (
        "When should one leave to be on time?",
        "SELECT hour, count(*) AS flights, round(avg(dep_delay), 1) AS minutes_late \
         FROM flights WHERE dep_delay IS NOT NULL GROUP BY hour ORDER BY minutes_late LIMIT 5",
    ),
    (
        "Does bad visibility delay departures?",
        "SELECT CASE WHEN w.visib < 1 THEN 'below 1 mile' WHEN w.visib < 5 THEN '1 to 5 miles' \
         ELSE '5 miles and more' END AS visibility, count(*) AS flights, \
         round(avg(f.dep_delay), 1) AS minutes_late \
         FROM flights f JOIN weather w ON f.origin = w.origin AND f.time_hour = w.time_hour \
         WHERE f.dep_delay IS NOT NULL GROUP BY 1 ORDER BY minutes_late DESC",
    ),
    (
        "Which aircraft carry the most passengers' seats across the country?",
        "SELECT p.manufacturer, p.model, count(*) AS flights, sum(p.seats) AS seats, \
         min(p.year) AS oldest \
         FROM flights f JOIN planes p ON f.tailnum = p.tailnum \
         GROUP BY p.manufacturer, p.model ORDER BY seats DESC LIMIT 5",
    ),
    (
        "Where do flights arrive furthest ahead of their delay at departure?",
        "SELECT ap.name AS destination, count(*) AS flights, \
         round(avg(f.dep_delay - f.arr_delay), 1) AS minutes_made_up \
         FROM flights f JOIN airports ap ON f.dest = ap.faa \
         WHERE f.arr_delay IS NOT NULL GROUP BY ap.name HAVING count(*) >= 365 \
         ORDER BY minutes_made_up DESC LIMIT 5",
    ),
];

/// Loads the data into a new database and answers the questions.
///
/// # Errors
/// Where the build, a load or a query fails.
pub fn run() -> Result<()> {
    run_command(&mut command(
        "cargo",
        &["build", "--release", "--package", "rustling-cli"],
    ))?;
    let database = workspace_root().join(DATABASE);
    if database.exists() {
        std::fs::remove_dir_all(&database).map_err(|source| Error::File {
            path: database.clone(),
            source,
        })?;
    }
    let binary = Path::new("target/release/rustling");
    let binary = binary.to_string_lossy();
    for table in TABLES {
        let file = format!("tests/data/nycflights13/{table}.csv.zst");
        show_and_run(
            &binary,
            &["load", &file, "--table", table, "--db", DATABASE],
        )?;
    }
    for (question, sql) in QUESTIONS {
        println!("\n{question}\n");
        show_and_run(&binary, &["query", sql, "--db", DATABASE])?;
    }
    println!("\nAsk your own: {binary} {DATABASE} opens the shell on it.");
    Ok(())
}

fn show_and_run(binary: &str, arguments: &[&str]) -> Result<()> {
    let mut command = command(binary, arguments);
    eprintln!("$ {}", line(&command));
    run_command(&mut command)
}
