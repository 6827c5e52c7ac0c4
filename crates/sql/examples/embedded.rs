//! A database in ten lines: `cargo run -p rustling-sql --example embedded`.

use rustling_sql::{Database, Result};

#[expect(clippy::print_stdout, reason = "an example shows its results")]
fn main() -> Result<()> {
    let db = Database::in_memory()?;
    db.execute(
        "CREATE TABLE city (name text PRIMARY KEY, country text, people bigint)",
        (),
    )?;
    let insert = db.prepare("INSERT INTO city VALUES ($1, $2, $3)")?;
    for city in [
        ("Lima", "Peru", 10_092_000_i64),
        ("Cusco", "Peru", 428_450),
        ("Quito", "Ecuador", 2_011_388),
    ] {
        insert.execute(city)?;
    }
    for row in db.query(
        "SELECT country, sum(people) FROM city GROUP BY country ORDER BY 2 DESC",
        (),
    )? {
        let (country, people): (String, i64) = row?.read()?;
        println!("{country}: {people}");
    }
    Ok(())
}
