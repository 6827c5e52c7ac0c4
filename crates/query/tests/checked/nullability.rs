//! What the inference says of types and NULLs, against what the engine gives: random queries over
//! random rows with many NULLs.
//!
//! `RUSTLING_QUERIES` sets how many queries are run, `RUSTLING_SEED` where they start.

use fastrand::Rng;
use rustling_sql::{DataType, Database, Value, schema::Schema, template::Template};

const TABLES: &str = "
    CREATE TABLE t (id int NOT NULL, a int, b int NOT NULL, s text, u text NOT NULL, f boolean);
    CREATE TABLE v (id int PRIMARY KEY, a int, s text NOT NULL, f boolean NOT NULL);
    CREATE TABLE w (id int, b int NOT NULL, u text);
    CREATE VIEW tv AS SELECT t.id, t.b, v.s, count(*) AS n
        FROM t LEFT JOIN v ON v.id = t.a GROUP BY t.id, t.b, v.s;";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Bool,
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
        self.pick(&[Kind::Int, Kind::Text, Kind::Bool, Kind::Int])
    }

    fn table(&mut self) -> (String, Columns) {
        let alias = self.name();
        let (name, of): (&str, &[(&str, Kind)]) = match self.random.usize(..4) {
            0 => (
                "t",
                &[
                    ("id", Kind::Int),
                    ("a", Kind::Int),
                    ("b", Kind::Int),
                    ("s", Kind::Text),
                    ("u", Kind::Text),
                    ("f", Kind::Bool),
                ],
            ),
            1 => (
                "v",
                &[
                    ("id", Kind::Int),
                    ("a", Kind::Int),
                    ("s", Kind::Text),
                    ("f", Kind::Bool),
                ],
            ),
            2 => (
                "w",
                &[("id", Kind::Int), ("b", Kind::Int), ("u", Kind::Text)],
            ),
            _ => (
                "tv",
                &[("id", Kind::Int), ("b", Kind::Int), ("s", Kind::Text)],
            ),
        };
        (format!("{name} {alias}"), columns(&alias, of))
    }

    fn item(&mut self, depth: usize) -> (String, Columns) {
        if depth == 0 || !self.one_in(3) {
            return self.table();
        }
        let alias = self.name();
        match self.random.usize(..4) {
            0 => {
                let (first, second) = (self.literal(Kind::Int), self.literal(Kind::Int));
                let text = self.literal(Kind::Text);
                (
                    format!("(VALUES ({first}, {text}), ({second}, 'v')) {alias}(x, y)"),
                    columns(&alias, &[("x", Kind::Int), ("y", Kind::Text)]),
                )
            }
            1 => (
                format!("generate_series(1, 3) {alias}(x)"),
                columns(&alias, &[("x", Kind::Int)]),
            ),
            _ => {
                let kinds = [self.kind(), self.kind(), self.kind()];
                let query = self.query(depth - 1, &kinds, &[]);
                (
                    format!("({query}) {alias}"),
                    columns(
                        &alias,
                        &[("c0", kinds[0]), ("c1", kinds[1]), ("c2", kinds[2])],
                    ),
                )
            }
        }
    }

    fn from(&mut self, depth: usize) -> (String, Columns) {
        let (mut sql, mut given) = self.item(depth);
        for _ in 0..self.pick(&[0, 0, 1, 1, 2]) {
            let (other, more) = self.item(depth);
            let join = self.pick(&["JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
            given.extend(more);
            let on = self.expr(Kind::Bool, 1, &given, 0);
            // FULL JOIN wants conditions that can be merged or hashed.
            let on = if join == "FULL JOIN" {
                let left = self.column(Kind::Int, &given[..given.len() - 1]);
                let right = given.iter().rev().find(|column| column.kind == Kind::Int);
                match (left, right) {
                    (Some(left), Some(right)) if left != right.sql => {
                        format!("{left} = {}", right.sql)
                    }
                    _ => on,
                }
            } else {
                on
            };
            sql = format!("{sql} {join} {other} ON {on}");
        }
        (sql, given)
    }

    fn literal(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Int => self.pick(&["0", "1", "2", "3", "NULL::int"]).to_owned(),
            Kind::Text => self.pick(&["'a'", "'b'", "''", "NULL::text"]).to_owned(),
            Kind::Bool => self.pick(&["true", "false", "NULL::boolean"]).to_owned(),
        }
    }

    fn column(&mut self, kind: Kind, given: &[Column]) -> Option<String> {
        let fitting: Vec<&Column> = given.iter().filter(|column| column.kind == kind).collect();
        if fitting.is_empty() {
            return None;
        }
        Some(fitting[self.random.usize(..fitting.len())].sql.clone())
    }

    fn leaf(&mut self, kind: Kind, given: &[Column]) -> String {
        match self.column(kind, given) {
            Some(column) if !self.one_in(4) => column,
            _ => self.literal(kind),
        }
    }

    /// An expression; `queries`: how deep subqueries may stand in it.
    fn expr(&mut self, kind: Kind, depth: usize, given: &[Column], queries: usize) -> String {
        if depth == 0 || self.one_in(4) {
            return self.leaf(kind, given);
        }
        let d = depth - 1;
        match self.random.usize(..6) {
            0 => {
                let one = self.expr(kind, d, given, queries);
                let other = self.expr(kind, d, given, queries);
                let function = self.pick(&["coalesce", "coalesce", "nullif", "greatest", "least"]);
                return format!("{function}({one}, {other})");
            }
            1 => return self.case(kind, d, given, queries),
            2 if queries > 0 => return self.scalar_subquery(kind, given, queries - 1),
            _ => {}
        }
        match kind {
            Kind::Int => self.int_expr(d, given, queries),
            Kind::Text => self.text_expr(d, given, queries),
            Kind::Bool => self.bool_expr(d, given, queries),
        }
    }

    fn case(&mut self, kind: Kind, depth: usize, given: &[Column], queries: usize) -> String {
        let mut sql = "CASE".to_owned();
        for _ in 0..self.pick(&[1, 1, 2]) {
            let condition = self.expr(Kind::Bool, depth.max(1), given, queries);
            let result = self.expr(kind, depth, given, queries);
            sql += &format!(" WHEN {condition} THEN {result}");
        }
        if !self.one_in(4) {
            let otherwise = self.expr(kind, depth, given, queries);
            sql += &format!(" ELSE {otherwise}");
        }
        sql + " END"
    }

    fn scalar_subquery(&mut self, kind: Kind, given: &[Column], queries: usize) -> String {
        let (from, mut inner) = self.table();
        inner.extend(given.iter().cloned());
        let condition = self.expr(Kind::Bool, 1, &inner, queries);
        let value = self.expr(kind, 1, &inner, 0);
        let aggregate = match kind {
            Kind::Int => self.pick(&["max", "count", "min", "sum"]),
            Kind::Text => self.pick(&["max", "min"]),
            Kind::Bool => self.pick(&["bool_and", "bool_or"]),
        };
        let cast = if kind == Kind::Int { "::int" } else { "" };
        if self.one_in(3) {
            return format!("(SELECT {value} FROM {from} WHERE {condition} LIMIT 1)");
        }
        format!("(SELECT {aggregate}({value}){cast} FROM {from} WHERE {condition})")
    }

    fn int_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let one = self.expr(Kind::Int, d, given, queries);
        match self.random.usize(..6) {
            0 => format!("abs({one})"),
            1 => {
                let text = self.expr(Kind::Text, d, given, queries);
                let function = self.pick(&["length", "ascii", "octet_length", "bit_length"]);
                format!("{function}({text})")
            }
            2 => format!("mod({one}, 3)"),
            3 => format!("(- {one})"),
            4 => {
                let text = self.expr(Kind::Text, d, given, queries);
                format!("position('a' in {text})")
            }
            _ => {
                let other = self.expr(Kind::Int, d, given, queries);
                let operator = self.pick(&["+", "-", "*", "&", "|"]);
                format!("({one} {operator} {other})")
            }
        }
    }

    fn text_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let one = self.expr(Kind::Text, d, given, queries);
        match self.random.usize(..9) {
            0 => format!("concat({one}, 'x')"),
            1 => {
                let other = self.expr(Kind::Text, d, given, queries);
                format!("concat_ws({one}, {other}, 'y')")
            }
            2 => {
                let number = self.expr(Kind::Int, d, given, queries);
                format!("({number})::text")
            }
            3 => format!("substring({one} from 1 for 1)"),
            4 => format!("replace({one}, 'a', 'b')"),
            5 => format!("substring({one} from 'a(b)?')"),
            6 => {
                let function = self.pick(&["lower", "upper", "trim", "reverse", "md5", "initcap"]);
                format!("{function}({one})")
            }
            7 => format!("split_part({one}, 'a', 1)"),
            _ => {
                let other = self.expr(Kind::Text, d, given, queries);
                format!("({one} || {other})")
            }
        }
    }

    fn bool_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let kind = self.kind();
        let one = self.expr(kind, d, given, queries);
        let other = self.expr(kind, d, given, queries);
        let left = self.expr(Kind::Bool, d, given, queries);
        let right = self.expr(Kind::Bool, d, given, queries);
        match self.random.usize(..13) {
            0 => format!("({one} IS NULL)"),
            1 | 2 => format!("({one} IS NOT NULL)"),
            3 => format!("({left} AND {right})"),
            4 => format!("({left} OR {right})"),
            5 => format!("(NOT {left})"),
            6 => {
                let what = self.pick(&[
                    "TRUE",
                    "NOT TRUE",
                    "FALSE",
                    "NOT FALSE",
                    "UNKNOWN",
                    "NOT UNKNOWN",
                ]);
                format!("({left} IS {what})")
            }
            7 => {
                let not = self.pick(&["", "NOT "]);
                format!("({one} IS {not}DISTINCT FROM {other})")
            }
            8 => {
                let not = self.pick(&["", "NOT "]);
                let third = self.literal(kind);
                format!("({one} {not}IN ({other}, {third}))")
            }
            9 if queries > 0 => {
                let (from, mut inner) = self.table();
                inner.extend(given.iter().cloned());
                let value = self.expr(kind, 1, &inner, 0);
                let condition = self.expr(Kind::Bool, 1, &inner, 0);
                let operator = self.pick(&["IN", "NOT IN", "= ANY", "< ALL", ">= ANY"]);
                format!("({one} {operator} (SELECT {value} FROM {from} WHERE {condition}))")
            }
            10 if queries > 0 => {
                let (from, mut inner) = self.table();
                inner.extend(given.iter().cloned());
                let condition = self.expr(Kind::Bool, 1, &inner, 0);
                let not = self.pick(&["", "NOT "]);
                format!("({not}EXISTS (SELECT 1 FROM {from} WHERE {condition}))")
            }
            11 => {
                let (one, other) = (
                    self.expr(Kind::Text, d, given, queries),
                    self.expr(Kind::Text, d, given, queries),
                );
                let not = self.pick(&["", "NOT "]);
                format!("({one} {not}LIKE {other})")
            }
            _ => {
                let operator = self.pick(&["=", "<>", "<", "<=", ">", ">="]);
                format!("({one} {operator} {other})")
            }
        }
    }

    /// A query with columns c0, c1, … of these kinds, over `given` of queries around it.
    fn query(&mut self, depth: usize, kinds: &[Kind], given: &[Column]) -> String {
        if depth > 0 {
            match self.random.usize(..8) {
                0 => {
                    let left = self.query(depth - 1, kinds, given);
                    let right = self.query(depth - 1, kinds, given);
                    let operator =
                        self.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
                    return format!("({left}) {operator} ({right})");
                }
                1 => return self.with_query(depth, kinds),
                2 => return self.recursive_query(kinds),
                _ => {}
            }
        }
        if self.one_in(3) {
            return self.grouped_query(depth, kinds, given);
        }
        let (from, mut inner) = self.from(depth);
        inner.extend(given.iter().cloned());
        let distinct = self.pick(&["", "", "DISTINCT "]);
        let queries = depth.min(1);
        let items: Vec<String> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| {
                let value = if self.one_in(6) && distinct.is_empty() {
                    self.window(*kind, &inner)
                } else {
                    self.expr(*kind, 2, &inner, queries)
                };
                format!("{value} AS c{at}")
            })
            .collect();
        let condition = if self.one_in(3) {
            String::new()
        } else {
            format!(" WHERE {}", self.expr(Kind::Bool, 2, &inner, queries))
        };
        let tail = self.pick(&["", "", " ORDER BY 1", " LIMIT 3", " ORDER BY 1 OFFSET 1"]);
        format!(
            "SELECT {distinct}{} FROM {from}{condition}{tail}",
            items.join(", ")
        )
    }

    fn window(&mut self, kind: Kind, given: &[Column]) -> String {
        let value = self.expr(kind, 1, given, 0);
        let order = self.leaf(Kind::Int, given);
        let over = self.pick(&[
            format!("OVER (ORDER BY {order})"),
            format!("OVER (PARTITION BY {order})"),
            "OVER ()".to_owned(),
            format!("OVER (ORDER BY {order} ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING)"),
            format!("OVER (ORDER BY {order} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW)"),
        ]);
        match (kind, self.random.usize(..4)) {
            (Kind::Int, 0) => format!("(row_number() {over})::int"),
            (Kind::Int, 1) => format!("(count({value}) {over})::int"),
            (_, 2) => {
                let default = self.literal(kind);
                format!("lag({value}, 1, {default}) {over}")
            }
            (Kind::Bool, _) => format!("bool_or({value}) {over}"),
            (_, 3) => format!("first_value({value}) {over}"),
            _ => format!("max({value}) {over}"),
        }
    }

    fn grouped_query(&mut self, depth: usize, kinds: &[Kind], given: &[Column]) -> String {
        let (from, inner) = self.from(depth);
        let keys: Vec<Column> = {
            let wanted = self.pick(&[0, 1, 1, 2]);
            (0..wanted).map(|_| self.pick(&inner)).collect()
        };
        let mut keyed: Columns = keys.clone();
        keyed.extend(given.iter().cloned());
        let items: Vec<String> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| {
                let value = match self.column(*kind, &keyed) {
                    Some(key) if self.one_in(2) => key,
                    _ => self.aggregate(*kind, &inner),
                };
                format!("{value} AS c{at}")
            })
            .collect();
        let list: Vec<&str> = keys.iter().map(|key| key.sql.as_str()).collect();
        let list = list.join(", ");
        let group = if keys.is_empty() {
            String::new()
        } else {
            self.pick(&[
                format!(" GROUP BY {list}"),
                format!(" GROUP BY {list}"),
                format!(" GROUP BY ROLLUP ({list})"),
                format!(" GROUP BY GROUPING SETS (({list}), ())"),
            ])
        };
        let condition = self.expr(Kind::Bool, 1, &inner, 0);
        let having = if self.one_in(3) {
            let kind = self.kind();
            let of = self.aggregate(kind, &inner);
            format!(" HAVING {of} IS NOT NULL")
        } else {
            String::new()
        };
        format!(
            "SELECT {} FROM {from} WHERE {condition}{group}{having}",
            items.join(", ")
        )
    }

    fn aggregate(&mut self, kind: Kind, given: &[Column]) -> String {
        let value = self.expr(kind, 1, given, 0);
        let filter = if self.one_in(4) {
            format!(" FILTER (WHERE {})", self.expr(Kind::Bool, 1, given, 0))
        } else {
            String::new()
        };
        match kind {
            Kind::Int => match self.random.usize(..5) {
                0 => format!("(count(*){filter})::int"),
                1 => format!("(count({value}){filter})::int"),
                2 => format!("(sum({value}){filter})::int"),
                3 => format!("cardinality(array_agg({value}){filter})"),
                _ => format!("max({value}){filter}"),
            },
            Kind::Text => match self.random.usize(..3) {
                0 => format!("string_agg({value}, ','){filter}"),
                1 => format!("(var_samp(length({value})){filter})::text"),
                _ => format!("min({value}){filter}"),
            },
            Kind::Bool => format!("bool_and({value}){filter}"),
        }
    }

    fn with_query(&mut self, depth: usize, kinds: &[Kind]) -> String {
        let name = self.name();
        let inner = [self.kind(), self.kind(), self.kind()];
        let definition = self.query(depth - 1, &inner, &[]);
        let (one, other) = (self.name(), self.name());
        let shape = [("c0", inner[0]), ("c1", inner[1]), ("c2", inner[2])];
        let mut given = columns(&one, &shape);
        let join = self.pick(&["JOIN", "LEFT JOIN", "CROSS JOIN"]);
        let from = if self.one_in(2) {
            given.extend(columns(&other, &shape));
            let on = if join == "CROSS JOIN" {
                String::new()
            } else {
                format!(" ON {}", self.expr(Kind::Bool, 1, &given, 0))
            };
            format!("{name} {one} {join} {name} {other}{on}")
        } else {
            format!("{name} {one}")
        };
        let items: Vec<String> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| format!("{} AS c{at}", self.expr(*kind, 1, &given, 0)))
            .collect();
        let condition = self.expr(Kind::Bool, 1, &given, 0);
        format!(
            "WITH {name} AS ({definition}) SELECT {} FROM {from} WHERE {condition}",
            items.join(", ")
        )
    }

    fn recursive_query(&mut self, kinds: &[Kind]) -> String {
        let name = self.name();
        let first = self.literal(Kind::Int);
        let step_value = self.pick(&["x", "NULL::int", "nullif(x, 2)"]);
        let given = columns(
            &name,
            &[("n", Kind::Int), ("x", Kind::Int), ("y", Kind::Int)],
        );
        let items: Vec<String> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| format!("{} AS c{at}", self.expr(*kind, 1, &given, 0)))
            .collect();
        format!(
            "WITH RECURSIVE {name}(n, x, y) AS (SELECT 1, {first}, 2 UNION ALL \
             SELECT n + 1, {step_value}, x FROM {name} WHERE n < 4) SELECT {} FROM {name}",
            items.join(", ")
        )
    }

    /// A statement that changes rows and gives some back.
    fn change(&mut self) -> String {
        let condition = self.expr(
            Kind::Bool,
            1,
            &columns("t", &[("a", Kind::Int), ("s", Kind::Text)]),
            0,
        );
        let given = columns(
            "t",
            &[
                ("a", Kind::Int),
                ("b", Kind::Int),
                ("s", Kind::Text),
                ("u", Kind::Text),
            ],
        );
        let value = self.expr(Kind::Int, 2, &given, 0);
        let returned = [
            self.expr(Kind::Int, 2, &given, 0),
            self.expr(Kind::Text, 2, &given, 0),
        ];
        let returning = format!("RETURNING t.*, {}, {}", returned[0], returned[1]);
        match self.random.usize(..4) {
            0 => format!("UPDATE t SET a = {value} WHERE {condition} {returning}"),
            1 => format!("DELETE FROM t WHERE {condition} {returning}"),
            2 => format!("WITH d AS (DELETE FROM t WHERE {condition} {returning}) SELECT * FROM d"),
            _ => {
                format!("INSERT INTO t (id, a, b, u) SELECT id, a, 1, s FROM v WHERE f {returning}")
            }
        }
    }

    /// Rows for every table, many of them with NULLs; sometimes none.
    fn rows(&mut self) -> String {
        let mut script = "DELETE FROM t; DELETE FROM v; DELETE FROM w;".to_owned();
        let int = |random: &mut Rng| match random.usize(..5) {
            0 | 1 => "NULL".to_owned(),
            number => number.to_string(),
        };
        let text = |random: &mut Rng| ["NULL", "NULL", "'a'", "'ab'", "''"][random.usize(..5)];
        let truth = |random: &mut Rng| ["NULL", "true", "false"][random.usize(..3)];
        for at in 0..self.pick(&[0, 1, 3, 5]) {
            let random = &mut self.random;
            script += &format!(
                "INSERT INTO t VALUES ({at}, {}, {at}, {}, 'u', {});",
                int(random),
                text(random),
                truth(random)
            );
        }
        for at in 0..self.pick(&[0, 1, 3, 4]) {
            let random = &mut self.random;
            script += &format!(
                "INSERT INTO v VALUES ({at}, {}, 'ab', {});",
                int(random),
                random.bool()
            );
        }
        for at in 0..self.pick(&[0, 1, 3]) {
            let random = &mut self.random;
            script += &format!(
                "INSERT INTO w VALUES ({}, {at}, {});",
                int(random),
                text(random)
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
        Some(DataType::Array(_)) => matches!(data_type, DataType::Array(_)),
        Some(found) => found == data_type,
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn nothing_is_wrongly_never_null() {
    let count = from_environment("RUSTLING_QUERIES", 250);
    let mut queries = Queries {
        random: Rng::with_seed(from_environment("RUSTLING_SEED", 1)),
        names: 0,
    };
    let mut schema = Schema::default();
    schema.apply(TABLES).unwrap();
    let db = Database::in_memory().unwrap();
    db.execute_script(TABLES).unwrap();
    let mut session = db.session();
    let (mut run, mut failed, mut never, mut nulls) = (0u64, 0u64, 0u64, 0u64);
    while run < count {
        if (run + failed).is_multiple_of(25) {
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
        session.execute("BEGIN", ()).unwrap();
        let given = session.query(&sql, ()).and_then(|rows| rows.values());
        session.execute("ROLLBACK", ()).unwrap();
        let rows = match (&checked, given) {
            (Ok(_), Ok(rows)) => rows,
            // What overflows, or is not supported, fails in both or when it runs.
            (_, Err(_)) => {
                failed += 1;
                assert!(failed < count + 100, "most queries fail, the last: {sql}");
                continue;
            }
            (Err(error), Ok(_)) => panic!("{sql}\nruns but is refused: {}", error.render(&sql)),
        };
        run += 1;
        let checked = checked.unwrap();
        never += checked
            .columns
            .iter()
            .filter(|column| !column.nullable)
            .count() as u64;
        for row in rows {
            assert_eq!(row.len(), checked.columns.len(), "{sql}");
            for (value, column) in row.iter().zip(&checked.columns) {
                nulls += u64::from(value.is_null());
                assert!(
                    column.nullable || !value.is_null(),
                    "{sql}\n{} is NULL",
                    column.name
                );
                assert!(
                    fits(value, column.data_type),
                    "{sql}\n{} is {value:?}, not {}",
                    column.name,
                    column.data_type
                );
            }
        }
    }
    // A test in which nothing is NULL, or everything may be, would prove nothing.
    assert!(
        never > count / 4 && nulls > count,
        "{never} never NULL, {nulls} NULLs"
    );
}
