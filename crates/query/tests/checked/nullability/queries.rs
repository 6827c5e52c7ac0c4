//! Random queries: joins, grouping sets, windows, set operations, WITH, and changes that give rows
//! back.

use super::{Column, Columns, Kind, Queries, columns};

impl Queries {
    /// A table with its columns.
    pub(super) fn table(&mut self) -> (String, Columns) {
        use Kind::{Bool, Int, Json, List, Moment, Number, Text};

        let alias = self.name();
        let (name, of): (&str, &[(&str, Kind)]) = match self.random.usize(..4) {
            0 => (
                "t",
                &[
                    ("id", Int),
                    ("a", Int),
                    ("b", Int),
                    ("s", Text),
                    ("u", Text),
                    ("f", Bool),
                    ("n", Number),
                    ("m", Moment),
                    ("j", Json),
                ],
            ),
            1 => (
                "v",
                &[
                    ("id", Int),
                    ("a", Int),
                    ("s", Text),
                    ("f", Bool),
                    ("n", Number),
                    ("m", Moment),
                    ("l", List),
                ],
            ),
            2 => (
                "w",
                &[
                    ("id", Int),
                    ("b", Int),
                    ("u", Text),
                    ("j", Json),
                    ("l", List),
                ],
            ),
            _ => ("tv", &[("id", Int), ("b", Int), ("s", Text)]),
        };
        (format!("{name} {alias}"), columns(&alias, of))
    }

    fn item(&mut self, depth: usize) -> (String, Columns) {
        if depth == 0 || !self.one_in(3) {
            return self.table();
        }
        let alias = self.name();
        match self.random.usize(..10) {
            7 => (
                format!("ROWS FROM (generate_series(1, 3), generate_series(1, 2)) {alias}(x, y)"),
                columns(&alias, &[("x", Kind::Int), ("y", Kind::Int)]),
            ),
            8 => {
                let json = self.literal(Kind::Json);
                (
                    format!("jsonb_array_elements(jsonb_build_array({json}, 1)) {alias}(j)"),
                    columns(&alias, &[("j", Kind::Json)]),
                )
            }
            9 => {
                let join = self.pick(&["NATURAL JOIN", "NATURAL LEFT JOIN", "NATURAL FULL JOIN"]);
                (
                    format!(
                        "(SELECT id, b AS x FROM (SELECT id, b FROM t) one \
                         {join} (SELECT id, u FROM w) other) {alias}"
                    ),
                    columns(&alias, &[("id", Kind::Int), ("x", Kind::Int)]),
                )
            }
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
            2 => {
                let list = self.literal(Kind::List);
                (
                    format!("unnest({list}) WITH ORDINALITY {alias}(x, n)"),
                    columns(&alias, &[("x", Kind::Int), ("n", Kind::Int)]),
                )
            }
            3 => {
                let join = self.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
                (
                    format!(
                        "(SELECT id, one.a AS x, one.m AS y, other.s AS z, other.l AS l \
                         FROM t one {join} v other USING (id)) {alias}"
                    ),
                    columns(
                        &alias,
                        &[
                            ("id", Kind::Int),
                            ("x", Kind::Int),
                            ("y", Kind::Moment),
                            ("z", Kind::Text),
                            ("l", Kind::List),
                        ],
                    ),
                )
            }
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
        if depth > 0 && self.one_in(6) {
            let kinds = [self.kind(), self.kind(), self.kind()];
            let (alias, join) = (self.name(), self.pick(&["JOIN", "LEFT JOIN"]));
            let query = self.query(depth - 1, &kinds, &given);
            let shape = [("c0", kinds[0]), ("c1", kinds[1]), ("c2", kinds[2])];
            given.extend(columns(&alias, &shape));
            let on = self.expr(Kind::Bool, 1, &given, 0);
            sql = format!("{sql} {join} LATERAL ({query}) {alias} ON {on}");
        }
        (sql, given)
    }

    /// A query with columns c0, c1, … of these kinds, over `given` of queries around it.
    pub(super) fn query(&mut self, depth: usize, kinds: &[Kind], given: &[Column]) -> String {
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
        let distinct = self.pick(&["", "", "", "DISTINCT ", "DISTINCT ON (1) "]);
        let queries = depth.min(1);
        let items: Vec<String> = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| {
                let value = if self.one_in(6) && distinct != "DISTINCT " {
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
                self.pick(&[
                    format!("lag({value}, 1, {default}) {over}"),
                    format!("lead({value}) {over}"),
                ])
            }
            (Kind::Int, 3) => self.pick(&[
                format!("(ntile(2) {over})::int"),
                format!("(rank() {over})::int"),
                format!("(percent_rank() {over})::int"),
                format!("(sum({value}) FILTER (WHERE {value} > 0) {over})::int"),
            ]),
            (Kind::Json | Kind::List, 0 | 1) => format!("nth_value({value}, 1) {over}"),
            (Kind::Json | Kind::List, _) => format!("last_value({value}) {over}"),
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
                format!(" GROUP BY CUBE ({list})"),
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
    pub(super) fn change(&mut self) -> String {
        let t = [
            ("a", Kind::Int),
            ("b", Kind::Int),
            ("s", Kind::Text),
            ("u", Kind::Text),
            ("f", Kind::Bool),
            ("n", Kind::Number),
            ("m", Kind::Moment),
            ("j", Kind::Json),
        ];
        let v = [
            ("a", Kind::Int),
            ("s", Kind::Text),
            ("n", Kind::Number),
            ("m", Kind::Moment),
            ("l", Kind::List),
        ];
        let given = columns("t", &t);
        let condition = self.expr(Kind::Bool, 1, &given, 0);
        let value = self.expr(Kind::Int, 2, &given, 0);
        let returning = self.returning("t", &given);
        match self.random.usize(..8) {
            7 => {
                let mut both = given;
                both.extend(columns("v", &v));
                let condition = self.expr(Kind::Bool, 1, &both, 0);
                let returning = self.returning("t", &both);
                format!(
                    "MERGE INTO t USING v ON t.id = v.id \
                     WHEN MATCHED AND {condition} THEN UPDATE SET a = v.a \
                     WHEN MATCHED THEN DELETE \
                     WHEN NOT MATCHED THEN INSERT (id, b, u) VALUES (v.id, 1, v.s) {returning}"
                )
            }
            0 => format!("UPDATE t SET a = {value} WHERE {condition} {returning}"),
            1 => format!("DELETE FROM t WHERE {condition} {returning}"),
            2 => {
                let name = self.name();
                let kind = self.kind();
                let item = self.expr(kind, 2, &given, 0);
                format!(
                    "WITH {name} AS (DELETE FROM t WHERE {condition} RETURNING t.*, {item}) \
                     SELECT * FROM {name}"
                )
            }
            3 => {
                format!("INSERT INTO t (id, a, b, u) SELECT id, a, 1, s FROM v WHERE f {returning}")
            }
            4 => {
                let mut both = given;
                both.extend(columns("v", &v));
                both.extend(columns("w", &[("id", Kind::Int), ("u", Kind::Text)]));
                let condition = self.expr(Kind::Bool, 1, &both, 0);
                let returning = self.returning("t", &both);
                format!(
                    "UPDATE t SET s = w.u FROM v LEFT JOIN w ON w.b = v.id \
                     WHERE t.id = v.id AND {condition} {returning}"
                )
            }
            5 => {
                let mut both = given;
                both.extend(columns("v", &v));
                let condition = self.expr(Kind::Bool, 1, &both, 0);
                let returning = self.returning("v", &both);
                format!("DELETE FROM t USING v WHERE t.a = v.a AND {condition} {returning}")
            }
            _ => {
                let given = columns("v", &v);
                let value = self.expr(Kind::Int, 1, &given, 0);
                let returning = self.returning("v", &given);
                format!(
                    "INSERT INTO v (id, s, f, n) VALUES (1, 'x', true, 0) \
                     ON CONFLICT (id) DO UPDATE SET a = {value} {returning}"
                )
            }
        }
    }

    fn returning(&mut self, table: &str, given: &[Column]) -> String {
        let kinds = [self.kind(), self.kind()];
        let items = kinds.map(|kind| self.expr(kind, 2, given, 0));
        format!("RETURNING {table}.*, {}, {}", items[0], items[1])
    }
}
