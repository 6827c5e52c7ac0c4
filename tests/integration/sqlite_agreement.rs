//! Random queries over small tables with many NULLs: every executor, with and without the
//! optimizer's rules, must give what SQLite gives.
//!
//! `RUSTLING_QUERIES` sets how many queries are run, `RUSTLING_SEED` where they start.

use fastrand::Rng;
use rustling_sql::{Database, Session, Value};

/// A table under an alias: its integer columns and whether it has the text column `s`.
#[derive(Clone)]
struct Relation {
    alias: String,
    integers: Vec<&'static str>,
    has_text: bool,
}

struct Queries {
    random: Rng,
    aliases: usize,
}

const TABLES: [(&str, &[&str]); 2] = [("t", &["id", "a", "b"]), ("u", &["id", "a", "c"])];

impl Queries {
    fn one_in(&mut self, of: usize) -> bool {
        self.random.usize(..of) == 0
    }

    fn pick<'x>(&mut self, of: &[&'x str]) -> &'x str {
        of[self.random.usize(..of.len())]
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("r{}", self.aliases)
    }

    fn base_table(&mut self) -> (String, Relation) {
        let (name, columns) = TABLES[self.random.usize(..TABLES.len())];
        let alias = self.alias();
        let relation = Relation {
            alias: alias.clone(),
            integers: columns.to_vec(),
            has_text: true,
        };
        (format!("{name} {alias}"), relation)
    }

    /// An item of FROM with what it offers.
    fn item(&mut self, depth: usize, outer: &[Relation]) -> (String, Vec<Relation>) {
        if depth > 0 && self.one_in(4) {
            let alias = self.alias();
            let query = self.columns_query(depth - 1, &[], &["x", "y"]);
            let relation = Relation {
                alias: alias.clone(),
                integers: vec!["x", "y"],
                has_text: false,
            };
            return (format!("({query}) {alias}"), vec![relation]);
        }
        if depth > 0 && self.one_in(2) {
            let (left, mut relations) = self.item(depth - 1, outer);
            let (right, relation) = self.base_table();
            let kind = self.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
            let from_left = relations[self.random.usize(..relations.len())].clone();
            let (one, other) = (
                self.column(std::slice::from_ref(&from_left)),
                self.column(std::slice::from_ref(&relation)),
            );
            relations.push(relation);
            // SQLite's full join wants an equality; so does ours for speed.
            let mut on = format!("{one} = {other}");
            if kind != "FULL JOIN" && kind != "RIGHT JOIN" && self.one_in(3) {
                let mut scope = relations.clone();
                scope.extend_from_slice(outer);
                on = format!("{on} AND {}", self.predicate(depth - 1, &scope));
            }
            return (format!("{left} {kind} {right} ON {on}"), relations);
        }
        let (text, relation) = self.base_table();
        (text, vec![relation])
    }

    fn column(&mut self, scope: &[Relation]) -> String {
        let relation = &scope[self.random.usize(..scope.len())];
        let column = relation.integers[self.random.usize(..relation.integers.len())];
        format!("{}.{column}", relation.alias)
    }

    fn text_column(&mut self, scope: &[Relation]) -> Option<String> {
        let with_text: Vec<&Relation> = scope.iter().filter(|of| of.has_text).collect();
        if with_text.is_empty() {
            return None;
        }
        Some(format!(
            "{}.s",
            with_text[self.random.usize(..with_text.len())].alias
        ))
    }

    /// An integer.
    fn value(&mut self, depth: usize, scope: &[Relation]) -> String {
        if depth == 0 {
            return if self.one_in(4) {
                self.random.u8(..6).to_string()
            } else {
                self.column(scope)
            };
        }
        match self.random.u8(..9) {
            0..=3 => self.column(scope),
            4 => self.random.u8(..6).to_string(),
            5 => {
                let operator = self.pick(&["+", "-"]);
                let (left, right) = (self.value(depth - 1, scope), self.value(depth - 1, scope));
                format!("({left} {operator} {right})")
            }
            6 => {
                let (left, right) = (self.value(depth - 1, scope), self.value(depth - 1, scope));
                format!("coalesce({left}, {right})")
            }
            7 => {
                let condition = self.predicate(depth - 1, scope);
                let (left, right) = (self.value(depth - 1, scope), self.value(depth - 1, scope));
                format!("CASE WHEN {condition} THEN {left} ELSE {right} END")
            }
            _ => self.scalar_subquery(depth - 1, scope),
        }
    }

    fn scalar_subquery(&mut self, depth: usize, scope: &[Relation]) -> String {
        let (from, inner) = self.item(depth.min(1), scope);
        let argument = self.column(&inner);
        let function = self.pick(&["min", "max", "sum", "count"]);
        let distinct = if self.one_in(4) { "DISTINCT " } else { "" };
        let filter = self.subquery_filter(depth, &inner, scope);
        format!("(SELECT {function}({distinct}{argument}) FROM {from}{filter})")
    }

    /// A WHERE that often compares a column of the subquery with one around it.
    fn subquery_filter(&mut self, depth: usize, inner: &[Relation], outer: &[Relation]) -> String {
        let mut parts = Vec::new();
        if !self.one_in(4) {
            let operator = self.pick(&["=", "=", "=", "<", "<>"]);
            let (left, right) = (self.column(inner), self.column(outer));
            parts.push(format!("{left} {operator} {right}"));
        }
        if self.one_in(2) {
            let mut scope = inner.to_vec();
            scope.extend_from_slice(outer);
            parts.push(self.predicate(depth, &scope));
        }
        if parts.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", parts.join(" AND "))
    }

    fn predicate(&mut self, depth: usize, scope: &[Relation]) -> String {
        let comparison = |queries: &mut Queries, depth: usize| {
            let operator = queries.pick(&["=", "<>", "<", "<=", ">", ">="]);
            let (left, right) = (queries.value(depth, scope), queries.value(depth, scope));
            format!("{left} {operator} {right}")
        };
        if depth == 0 {
            return comparison(self, 0);
        }
        match self.random.u8(..12) {
            0..=2 => comparison(self, depth - 1),
            3 => {
                let not = self.pick(&["", "NOT "]);
                format!("{} IS {not}NULL", self.value(depth - 1, scope))
            }
            4 => {
                let (left, right) = (
                    self.predicate(depth - 1, scope),
                    self.predicate(depth - 1, scope),
                );
                format!("({left} AND {right})")
            }
            5 => {
                let (left, right) = (
                    self.predicate(depth - 1, scope),
                    self.predicate(depth - 1, scope),
                );
                format!("({left} OR {right})")
            }
            6 => format!("NOT ({})", self.predicate(depth - 1, scope)),
            7 => {
                let not = self.pick(&["", "NOT "]);
                let value = self.value(depth - 1, scope);
                format!("{value} {not}IN (1, 3, NULL, 4)")
            }
            8 | 9 => {
                let not = self.pick(&["", "NOT "]);
                let (from, inner) = self.item(0, scope);
                let filter = self.subquery_filter(depth - 1, &inner, scope);
                format!("{not}EXISTS (SELECT 1 FROM {from}{filter})")
            }
            10 => {
                let not = self.pick(&["", "NOT "]);
                let value = self.value(depth - 1, scope);
                let (from, inner) = self.item(0, scope);
                let column = self.column(&inner);
                let filter = if self.one_in(2) {
                    self.subquery_filter(depth - 1, &inner, scope)
                } else {
                    String::new()
                };
                format!("{value} {not}IN (SELECT {column} FROM {from}{filter})")
            }
            _ => match self.text_column(scope) {
                Some(column) => {
                    let pattern = self.pick(&["'a%'", "'%b'", "'_'", "'%'"]);
                    format!("{column} LIKE {pattern}")
                }
                None => comparison(self, depth - 1),
            },
        }
    }

    /// A query whose columns have these names.
    fn columns_query(&mut self, depth: usize, outer: &[Relation], names: &[&str]) -> String {
        if depth > 0 && self.one_in(5) {
            let operator = self.pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
            let left = self.select(depth - 1, outer, names);
            let right = self.select(depth - 1, outer, names);
            return format!("{left} {operator} {right}");
        }
        self.select(depth, outer, names)
    }

    fn select(&mut self, depth: usize, outer: &[Relation], names: &[&str]) -> String {
        let (from, relations) = self.item(depth, outer);
        let mut scope = relations.clone();
        scope.extend_from_slice(outer);
        let filter = if self.one_in(3) {
            String::new()
        } else {
            format!(" WHERE {}", self.predicate(depth, &scope))
        };
        let listed = |items: Vec<String>| {
            let named: Vec<String> = items
                .iter()
                .zip(names)
                .map(|(item, name)| format!("{item} AS {name}"))
                .collect();
            named.join(", ")
        };
        match self.random.u8(..8) {
            0 | 1 => {
                let key = self.column(&relations);
                let mut items = vec![key.clone()];
                while items.len() < names.len() {
                    let function = self.pick(&["count", "min", "max", "sum"]);
                    let distinct = if self.one_in(5) { "DISTINCT " } else { "" };
                    items.push(format!("{function}({distinct}{})", self.column(&relations)));
                }
                let having = if self.one_in(3) {
                    format!(" HAVING count(*) > {}", self.random.u8(..3))
                } else {
                    String::new()
                };
                format!(
                    "SELECT {} FROM {from}{filter} GROUP BY {key}{having}",
                    listed(items)
                )
            }
            2 => {
                let window = self.window(&relations);
                let mut items = vec![self.column(&relations)];
                while items.len() < names.len() {
                    let argument = self.column(&relations);
                    let call = match self.random.u8(..6) {
                        0 => "row_number()".to_owned(),
                        1 => "rank()".to_owned(),
                        2 => format!("lag({argument})"),
                        3 => format!("first_value({argument})"),
                        4 => format!("count({argument})"),
                        _ => format!("sum({argument})"),
                    };
                    items.push(format!("{call} OVER ({window})"));
                }
                format!("SELECT {} FROM {from}{filter}", listed(items))
            }
            _ => {
                let distinct = if self.one_in(5) { "DISTINCT " } else { "" };
                let items = names.iter().map(|_| self.value(depth, &scope)).collect();
                format!("SELECT {distinct}{} FROM {from}{filter}", listed(items))
            }
        }
    }

    /// A window whose order leaves nothing open: all keys of all relations.
    fn window(&mut self, relations: &[Relation]) -> String {
        let partition = if self.one_in(2) {
            format!("PARTITION BY {} ", self.column(relations))
        } else {
            String::new()
        };
        let keys: Vec<String> = relations
            .iter()
            .flat_map(|of| {
                of.integers
                    .iter()
                    .map(|column| format!("{}.{column}", of.alias))
            })
            .map(|key| format!("{key} NULLS FIRST"))
            .collect();
        let frame = match self.random.u8(..5) {
            0 => " ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING",
            1 => " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES",
            2 => " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW",
            _ => "",
        };
        format!("{partition}ORDER BY {}{frame}", keys.join(", "))
    }

    fn statement(&mut self) -> String {
        let query = self.columns_query(2, &[], &["x", "y", "z"]);
        match self.random.u8(..6) {
            0 => {
                let shared = self.columns_query(1, &[], &["x", "y"]);
                let (one, other) = (self.alias(), self.alias());
                format!(
                    "WITH w AS ({shared}) SELECT {one}.x, {other}.y FROM w {one} JOIN w {other} ON {one}.x = {other}.x"
                )
            }
            1 => format!("SELECT count(*), sum(x), min(y), max(z) FROM ({query}) q"),
            _ => query,
        }
    }
}

fn fill(random: &mut Rng) -> Vec<String> {
    let mut statements = vec![
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int, s text)".to_owned(),
        "CREATE TABLE u (id int PRIMARY KEY, a int, c int, s text)".to_owned(),
        "CREATE INDEX u_a ON u (a)".to_owned(),
    ];
    for table in ["t", "u"] {
        for id in 0..random.u8(4..12) {
            let mut value = || match random.u8(..4) {
                0 => "NULL".to_owned(),
                _ => random.u8(..6).to_string(),
            };
            let (a, b) = (value(), value());
            let text = ["'a'", "'ab'", "'b'", "NULL"][random.usize(..4)];
            statements.push(format!(
                "INSERT INTO {table} VALUES ({id}, {a}, {b}, {text})"
            ));
        }
    }
    statements
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Boolean(truth) => u8::from(*truth).to_string(),
        value => value.to_string(),
    }
}

fn ours(session: &mut Session, sql: &str) -> Result<Vec<Vec<String>>, rustling_sql::Error> {
    let mut rows = Vec::new();
    for row in session.query(sql, ())? {
        rows.push(row?.values().iter().map(shown).collect::<Vec<_>>());
    }
    rows.sort();
    Ok(rows)
}

fn sqlites(connection: &rusqlite::Connection, sql: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = Vec::new();
    let mut found = statement.query(())?;
    while let Some(row) = found.next()? {
        let values = (0..columns)
            .map(|at| {
                Ok(match row.get_ref(at)? {
                    rusqlite::types::ValueRef::Null => "NULL".to_owned(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => number.to_string(),
                    rusqlite::types::ValueRef::Text(text) => {
                        String::from_utf8_lossy(text).into_owned()
                    }
                    rusqlite::types::ValueRef::Blob(_) => "blob".to_owned(),
                })
            })
            .collect::<rusqlite::Result<Vec<String>>>()?;
        rows.push(values);
    }
    rows.sort();
    Ok(rows)
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

#[test]
fn random_queries_agree_with_sqlite() {
    let seed = number("RUSTLING_SEED", 1);
    let count = number("RUSTLING_QUERIES", 150);
    let mut queries = Queries {
        random: Rng::with_seed(seed),
        aliases: 0,
    };
    let mut refused = 0;
    for round in 0..count.div_ceil(25) {
        let database = Database::in_memory().expect("a database");
        let connection = rusqlite::Connection::open_in_memory().expect("a database");
        let mut session = database.session();
        for sql in fill(&mut Rng::with_seed(seed ^ round << 32)) {
            session.execute(&sql, ()).expect(&sql);
            connection.execute(&sql, ()).expect(&sql);
        }
        for _ in 0..25 {
            let sql = queries.statement();
            // What SQLite refuses (subqueries nested too deep, say) proves nothing.
            let Ok(expected) = sqlites(&connection, &sql) else {
                refused += 1;
                continue;
            };
            for (executor, optimizer) in [("row", "on"), ("vector", "on"), ("row", "off")] {
                session
                    .execute(&format!("SET executor = {executor}"), ())
                    .expect("a setting");
                session
                    .execute(&format!("SET optimizer = {optimizer}"), ())
                    .expect("a setting");
                let found = ours(&mut session, &sql).expect(&sql);
                assert_eq!(
                    found, expected,
                    "executor {executor}, optimizer {optimizer}, seed {seed}, round {round}: {sql}"
                );
            }
        }
    }
    assert!(refused < count, "SQLite refused all queries");
}

/// A query without WHERE, and a predicate for it.
struct Partitioned {
    from: String,
    items: String,
    predicate: String,
}

impl Queries {
    fn partitioned(&mut self) -> Partitioned {
        let (from, scope) = self.item(2, &[]);
        let items: Vec<String> = (0..3).map(|_| self.value(1, &scope)).collect();
        Partitioned {
            from,
            items: items.join(", "),
            predicate: self.predicate(2, &scope),
        }
    }
}

/// Two oracles that need no other database. Every row is one for which a predicate is true, false
/// or unknown (TLP: Rigger and Su, "Finding bugs in database systems via query partitioning",
/// 2020). And as many rows pass a filter as there are for which its predicate, computed where no
/// rule can move it, is true (NoREC: Rigger and Su, "Detecting optimization bugs in database
/// engines via non-optimizing reference engine construction", 2020).
#[test]
fn predicates_divide_the_rows_in_three() {
    let seed = number("RUSTLING_SEED", 1);
    let count = number("RUSTLING_QUERIES", 100);
    let mut queries = Queries {
        random: Rng::with_seed(seed),
        aliases: 0,
    };
    for round in 0..count.div_ceil(25) {
        let database = Database::in_memory().expect("a database");
        let mut session = database.session();
        for sql in fill(&mut Rng::with_seed(seed ^ round << 32)) {
            session.execute(&sql, ()).expect(&sql);
        }
        for _ in 0..25 {
            let Partitioned {
                from,
                items,
                predicate,
            } = queries.partitioned();
            for executor in ["row", "vector"] {
                session.set("executor", executor).expect("a setting");
                let mut run = |sql: &str| ours(&mut session, sql).expect(sql);
                let whole = run(&format!("SELECT {items} FROM {from}"));
                let parts = [
                    predicate.clone(),
                    format!("NOT ({predicate})"),
                    format!("({predicate}) IS NULL"),
                ];
                let parts =
                    parts.map(|part| run(&format!("SELECT {items} FROM {from} WHERE {part}")));
                let passing = parts[0].len();
                let mut together = parts.concat();
                together.sort();
                assert_eq!(
                    together, whole,
                    "executor {executor}, seed {seed}: SELECT {items} FROM {from} by {predicate}"
                );
                let counted = format!(
                    "SELECT coalesce(sum(CASE WHEN {predicate} THEN 1 ELSE 0 END), 0) FROM {from}"
                );
                assert_eq!(
                    run(&counted),
                    [[passing.to_string()]],
                    "executor {executor}, seed {seed}: rows of {from} for which {predicate}"
                );
            }
        }
    }
}
