//! What the inference says of types and NULLs, against what the engine gives: random queries over
//! random rows with many NULLs.
//!
//! Ten thousand queries are run, or as many as `RUSTLING_QUERIES` says; `RUSTLING_SEED` says where
//! they start.

mod expressions;
mod queries;

use fastrand::Rng;
use rustling_sql::{
    DataType, Database, Value,
    schema::Schema,
    template::{CheckedColumn, Template},
};

const TABLES: &str = "
    CREATE TABLE t (id int NOT NULL, a int, b int NOT NULL, s text, u text NOT NULL, f boolean,
        n numeric, m timestamp NOT NULL DEFAULT 'infinity', j jsonb);
    CREATE TABLE v (id int PRIMARY KEY, a int, s text NOT NULL, f boolean NOT NULL,
        n numeric NOT NULL, m timestamp, l int[]);
    CREATE TABLE w (id int, b int NOT NULL, u text, j jsonb NOT NULL, l int[] NOT NULL);
    CREATE VIEW tv AS SELECT t.id, t.b, v.s, count(*) AS n
        FROM t LEFT JOIN v ON v.id = t.a GROUP BY t.id, t.b, v.s;";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Bool,
    Number,
    Moment,
    Json,
    List,
}

#[derive(Clone, Debug)]
struct Column {
    sql: String,
    kind: Kind,
}

type Columns = Vec<Column>;

struct Queries {
    random: Rng,
    names: usize,
}

fn columns(alias: &str, of: &[(&str, Kind)]) -> Columns {
    of.iter()
        .map(|(name, kind)| Column {
            sql: format!("{alias}.{name}"),
            kind: *kind,
        })
        .collect()
}

impl Queries {
    fn one_in(&mut self, of: usize) -> bool {
        self.random.usize(..of) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.random.usize(..of.len())].clone()
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("r{}", self.names)
    }

    fn kind(&mut self) -> Kind {
        self.pick(&[
            Kind::Int,
            Kind::Int,
            Kind::Text,
            Kind::Text,
            Kind::Bool,
            Kind::Bool,
            Kind::Number,
            Kind::Moment,
            Kind::Json,
            Kind::List,
        ])
    }

    /// Rows for every table, many of them with NULLs; sometimes none.
    fn rows(&mut self) -> String {
        let mut script = "DELETE FROM t; DELETE FROM v; DELETE FROM w;".to_owned();
        let int = |random: &mut Rng| match random.usize(..5) {
            0 | 1 => "NULL".to_owned(),
            number => number.to_string(),
        };
        fn one<'a>(random: &mut Rng, of: &[&'a str]) -> &'a str {
            of[random.usize(..of.len())]
        }
        let text = |random: &mut Rng| one(random, &["NULL", "NULL", "'a'", "'ab'", "''"]);
        let truth = |random: &mut Rng| one(random, &["NULL", "true", "false"]);
        let number = |random: &mut Rng| one(random, &["NULL", "0", "1.5", "-2.25"]);
        let moment = [
            "'2024-02-29 12:30'",
            "'infinity'",
            "'-infinity'",
            "'1999-12-31'",
        ];
        let json = [
            "'{\"a\": null, \"n\": 1}'",
            "'[1, null]'",
            "'null'",
            "'{\"a\": \"x\"}'",
        ];
        let list = ["'{}'", "'{1,NULL}'", "'{2,3}'", "'{NULL}'"];
        let maybe = |random: &mut Rng, of: &[&str]| {
            if random.usize(..3) == 0 {
                "NULL".to_owned()
            } else {
                one(random, of).to_owned()
            }
        };
        for at in 0..self.pick(&[0, 1, 3, 5]) {
            let random = &mut self.random;
            script += &format!(
                "INSERT INTO t VALUES ({at}, {}, {at}, {}, 'u', {}, {}, {}, {});",
                int(random),
                text(random),
                truth(random),
                number(random),
                one(random, &moment),
                maybe(random, &json),
            );
        }
        for at in 0..self.pick(&[0, 1, 3, 4]) {
            let random = &mut self.random;
            script += &format!(
                "INSERT INTO v VALUES ({at}, {}, 'ab', {}, {at}.5, {}, {});",
                int(random),
                random.bool(),
                maybe(random, &moment),
                maybe(random, &list),
            );
        }
        for at in 0..self.pick(&[0, 1, 3]) {
            let random = &mut self.random;
            script += &format!(
                "INSERT INTO w VALUES ({}, {at}, {}, {}, {});",
                int(random),
                text(random),
                one(random, &json),
                one(random, &list),
            );
        }
        script
    }
}

fn fits(value: &Value, data_type: DataType) -> bool {
    match value.data_type() {
        None => true,
        Some(found) if found.is_string() => data_type.is_string() || data_type == DataType::Unknown,
        Some(DataType::Decimal(_)) => matches!(data_type, DataType::Decimal(_)),
        Some(DataType::Array(found)) => match (value, data_type) {
            // Without elements an array does not say of what it is.
            (Value::Array(array), DataType::Array(_))
                if array.values().iter().all(Value::is_null) =>
            {
                true
            }
            (_, DataType::Array(of)) => {
                let (found, of) = (found.data_type(), of.data_type());
                found == of || (found.is_string() && of.is_string())
            }
            _ => false,
        },
        Some(found) => found == data_type,
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// In how many tests the queries are run, so that all processors take part.
const PARTS: u64 = 8;

/// What came of the queries.
#[derive(Debug, Default)]
struct Outcome {
    /// Those that ran, and those that failed when they did.
    run: u64,
    failed: u64,
    rows: u64,
    nulls: u64,
    /// Columns that were called never NULL.
    never: u64,
    /// Columns of results with rows that were called nullable; those in which no NULL came, be it
    /// by chance or because the inference is too careful.
    nullable: u64,
    without_null: u64,
}

impl Outcome {
    /// Takes the rows of a query; fails where the inference was wrong.
    fn take(&mut self, sql: &str, columns: &[CheckedColumn], rows: &[Vec<Value>]) {
        self.run += 1;
        self.rows += rows.len() as u64;
        self.never += columns.iter().filter(|of| !of.nullable).count() as u64;
        for row in rows {
            assert_eq!(row.len(), columns.len(), "{sql}");
        }
        for (at, column) in columns.iter().enumerate() {
            let (name, data_type) = (&column.name, column.data_type);
            let values = || rows.iter().filter_map(|row| row.get(at));
            let nulls = values().filter(|value| value.is_null()).count() as u64;
            assert!(column.nullable || nulls == 0, "{sql}\n{name} is NULL");
            for value in values() {
                assert!(
                    fits(value, data_type),
                    "{sql}\n{name} is {value:?}, not {data_type}"
                );
            }
            self.nulls += nulls;
            if column.nullable && !rows.is_empty() {
                self.nullable += 1;
                self.without_null += u64::from(nulls == 0);
            }
        }
    }

    /// A test in which most fails, nothing is NULL, or everything may be, would prove nothing.
    #[expect(
        clippy::print_stdout,
        reason = "how much is inferred with too much caution is to be seen"
    )]
    fn check(&self, count: u64) {
        println!("{self:?}");
        assert!(self.run >= 2 * self.failed, "too many queries fail");
        assert!(
            self.never > count / 4 && self.nulls > count,
            "too little is or can be NULL"
        );
    }
}

/// Runs one part of the queries.
#[expect(clippy::print_stdout, reason = "a failed run is repeated by its seed")]
fn run(part: u64) {
    let seed = from_environment("RUSTLING_SEED", 1) * PARTS + part;
    let count = from_environment("RUSTLING_QUERIES", 10_000).div_ceil(PARTS);
    println!("seed {seed}");
    let mut queries = Queries {
        random: Rng::with_seed(seed),
        names: 0,
    };
    let mut schema = Schema::default();
    schema.apply(TABLES).unwrap();
    let db = Database::in_memory().unwrap();
    db.execute_script(TABLES).unwrap();
    let mut session = db.session();
    let mut outcome = Outcome::default();
    while outcome.run < count {
        if (outcome.run + outcome.failed).is_multiple_of(25) {
            let rows = queries.rows();
            db.execute_script(&rows).unwrap();
        }
        let changes = queries.one_in(12);
        let sql = if changes {
            queries.change()
        } else {
            let kinds = [queries.kind(), queries.kind(), queries.kind()];
            queries.query(2, &kinds, &[])
        };
        let checked = Template::parse(&sql).and_then(|template| template.check(&schema));
        if changes {
            session.execute("BEGIN", ()).unwrap();
        }
        let given = session.query(&sql, ()).and_then(|rows| rows.values());
        if changes {
            session.execute("ROLLBACK", ()).unwrap();
        }
        match (checked, given) {
            (Ok(checked), Ok(rows)) => outcome.take(&sql, &checked.columns, &rows),
            (Err(error), Ok(_)) => panic!("{sql}\nruns but is refused: {}", error.render(&sql)),
            // What overflows, or is not supported, fails in both or when it runs.
            (_, Err(error)) => {
                outcome.failed += 1;
                assert!(
                    outcome.failed < count / 2 + 100,
                    "most queries fail: {sql}\n{}",
                    error.render(&sql)
                );
            }
        }
    }
    outcome.check(count);
}

/// Each part is a test of its own.
mod nothing_is_wrongly_never_null {
    macro_rules! parts {
        ($($name:ident = $part:literal),*) => { $(
            #[test]
            fn $name() {
                super::run($part);
            }
        )* };
    }

    parts!(a = 0, b = 1, c = 2, d = 3, e = 4, f = 5, g = 6, h = 7);
}
