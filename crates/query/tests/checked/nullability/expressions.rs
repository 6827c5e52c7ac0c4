//! Random expressions: those of each kind, of values, columns, functions, subqueries and CASE.

use super::{Column, Kind, Queries};

impl Queries {
    pub(super) fn literal(&mut self, kind: Kind) -> String {
        let of: &[&str] = match kind {
            Kind::Int => &["0", "1", "2", "3", "NULL::int"],
            Kind::Text => &["'a'", "'b'", "''", "NULL::text"],
            Kind::Bool => &["true", "false", "NULL::boolean"],
            Kind::Number => &["0.5", "2.0", "-1.25", "NULL::numeric"],
            Kind::Moment => &[
                "timestamp '2024-02-29 12:30'",
                "timestamp 'infinity'",
                "NULL::timestamp",
            ],
            Kind::Json => &[
                "'{\"a\": null, \"n\": 1}'::jsonb",
                "'[1, null]'::jsonb",
                "'null'::jsonb",
                "NULL::jsonb",
            ],
            Kind::List => &[
                "ARRAY[1, NULL]",
                "'{}'::int[]",
                "ARRAY[2, 3]",
                "NULL::int[]",
            ],
        };
        self.pick(of).to_owned()
    }

    pub(super) fn column(&mut self, kind: Kind, given: &[Column]) -> Option<String> {
        let fitting: Vec<&Column> = given.iter().filter(|column| column.kind == kind).collect();
        if fitting.is_empty() {
            return None;
        }
        Some(fitting[self.random.usize(..fitting.len())].sql.clone())
    }

    pub(super) fn leaf(&mut self, kind: Kind, given: &[Column]) -> String {
        match self.column(kind, given) {
            Some(column) if !self.one_in(4) => column,
            _ => self.literal(kind),
        }
    }

    /// An expression; `queries`: how deep subqueries may stand in it.
    pub(super) fn expr(
        &mut self,
        kind: Kind,
        depth: usize,
        given: &[Column],
        queries: usize,
    ) -> String {
        if depth == 0 || self.one_in(4) {
            return self.leaf(kind, given);
        }
        let d = depth - 1;
        match self.random.usize(..7) {
            0 => {
                let one = self.expr(kind, d, given, queries);
                let other = self.expr(kind, d, given, queries);
                let function = match kind {
                    Kind::Json | Kind::List => self.pick(&["coalesce", "nullif"]),
                    _ => self.pick(&["coalesce", "coalesce", "nullif", "greatest", "least"]),
                };
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
            Kind::Number => self.number_expr(d, given, queries),
            Kind::Moment => self.moment_expr(d, given, queries),
            Kind::Json => self.json_expr(d, given, queries),
            Kind::List => self.list_expr(d, given, queries),
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
        if self.one_in(3) {
            let value = self.expr(kind, 1, &inner, 0);
            return format!("(SELECT {value} FROM {from} WHERE {condition} LIMIT 1)");
        }
        let value = self.aggregate(kind, &inner);
        format!("(SELECT {value} FROM {from} WHERE {condition})")
    }

    fn int_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let one = self.expr(Kind::Int, d, given, queries);
        match self.random.usize(..13) {
            0 => format!("abs({one})"),
            11 => {
                let other = self.expr(Kind::Int, d, given, queries);
                let operator = self.pick(&["/", "%"]);
                format!("({one} {operator} nullif({other}, 0))")
            }
            12 => {
                let from = self.expr(Kind::Moment, d, given, queries);
                let to = self.literal(Kind::Moment);
                format!("(({from})::date - ({to})::date)")
            }
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
            5 => {
                let moment = self.expr(Kind::Moment, d, given, queries);
                let field = self.pick(&["day", "month", "hour", "dow"]);
                format!("extract({field} from {moment})::int")
            }
            6 => {
                let list = self.expr(Kind::List, d, given, queries);
                self.pick(&[
                    format!("cardinality({list})"),
                    format!("array_length({list}, 1)"),
                    format!("array_position({list}, {one})"),
                    format!("num_nulls({list}, {one})"),
                    format!("({list})[1]"),
                    format!("({list})[{one}]"),
                ])
            }
            7 => {
                let json = self.leaf(Kind::Json, given);
                format!("({json} ->> 'n')::int")
            }
            _ => {
                let other = self.expr(Kind::Int, d, given, queries);
                let operator = self.pick(&["+", "-", "*", "&", "|"]);
                format!("({one} {operator} {other})")
            }
        }
    }

    fn number_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let one = self.expr(Kind::Number, d, given, queries);
        match self.random.usize(..9) {
            0 => {
                let int = self.expr(Kind::Int, d, given, queries);
                format!("({int})::numeric")
            }
            7 => {
                let other = self.expr(Kind::Number, d, given, queries);
                format!("({one} / nullif({other}, 0))")
            }
            8 => self.pick(&[
                format!("power(abs({one}), 2)"),
                format!("width_bucket({one}, 0, 10, 5)::numeric"),
                format!("sign({one})"),
                format!("min_scale({one})::numeric"),
            ]),
            1 => format!("round({one}, 1)"),
            2 => format!("sqrt(abs({one}))"),
            3 => {
                let moment = self.expr(Kind::Moment, d, given, queries);
                format!("extract(minute from {moment})")
            }
            4 => format!("scale({one})::numeric"),
            5 => format!("trunc({one})"),
            _ => {
                let other = self.expr(Kind::Number, d, given, queries);
                let operator = self.pick(&["+", "-", "*"]);
                format!("({one} {operator} {other})")
            }
        }
    }

    fn moment_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let one = self.expr(Kind::Moment, d, given, queries);
        let int = self.leaf(Kind::Int, given);
        self.pick(&[
            format!("({one} - {int} * interval '1 hour')"),
            format!("date_bin('1 hour', {one}, timestamp '2020-01-01')"),
            format!("(to_timestamp({int}) AT TIME ZONE 'UTC')"),
            format!("date_trunc('day', {one})"),
            format!("({one} + interval '1 day')"),
            format!("({one})::date::timestamp"),
            format!("(({one} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')"),
            "make_timestamp(2024, 1, 2, 3, 4, 5.5)".to_owned(),
        ])
    }

    fn json_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let one = self.expr(Kind::Json, d, given, queries);
        let kind = self.kind();
        let any = self.expr(kind, d, given, queries);
        match self.random.usize(..7) {
            0 => format!("jsonb_build_object('a', {any})"),
            1 => format!("jsonb_build_array({one}, {any})"),
            2 => format!("to_jsonb({any})"),
            3 => format!("({one} -> 'a')"),
            4 => format!("({one} -> 0)"),
            5 => format!("({one} #> ARRAY['a', 'b'])"),
            _ => {
                let other = self.expr(Kind::Json, d, given, queries);
                format!("({one} || {other})")
            }
        }
    }

    fn list_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let one = self.expr(Kind::List, d, given, queries);
        let int = self.expr(Kind::Int, d, given, queries);
        match self.random.usize(..8) {
            0 => format!("ARRAY[{int}, 2]"),
            6 => self.pick(&[
                format!("array_prepend({int}, {one})"),
                format!("array_replace({one}, {int}, 2)"),
                format!("array_positions({one}, {int})"),
                format!("trim_array({one}, 0)"),
                format!("array_cat({one}, ARRAY[{int}])"),
            ]),
            7 if queries > 0 => {
                let (from, inner) = self.table();
                let value = self.expr(Kind::Int, 1, &inner, 0);
                format!("ARRAY(SELECT {value} FROM {from})")
            }
            1 => format!("array_append({one}, {int})"),
            2 => format!("({one})[1:2]"),
            3 => format!("array_remove({one}, {int})"),
            4 => format!("({one} || {int})"),
            _ => {
                let other = self.expr(Kind::List, d, given, queries);
                format!("({one} || {other})")
            }
        }
    }

    fn text_expr(&mut self, d: usize, given: &[Column], queries: usize) -> String {
        let one = self.expr(Kind::Text, d, given, queries);
        match self.random.usize(..18) {
            0 => format!("concat({one}, 'x')"),
            15 => {
                let from = self.expr(Kind::Moment, d, given, queries);
                let to = self.literal(Kind::Moment);
                self.pick(&[
                    format!("({from} - {to})::text"),
                    format!("age({from}, {to})::text"),
                    format!("date_part('hour', {from})::text"),
                ])
            }
            16 => self.pick(&[
                format!("overlay({one} placing 'x' from 1)"),
                format!("repeat({one}, 2)"),
                format!("btrim({one}, 'a')"),
                format!("encode(convert_to({one}, 'UTF8'), 'hex')"),
                format!("array_to_string(string_to_array({one}, 'a', ''), {one})"),
                format!("regexp_match({one}, 'a(b)?')::text"),
                format!("regexp_substr({one}, 'b')"),
                format!("quote_ident({one})"),
                format!("to_hex(ascii({one}))"),
            ]),
            17 => {
                let json = self.expr(Kind::Json, d, given, queries);
                self.pick(&[
                    format!("jsonb_pretty({json})"),
                    format!("jsonb_array_length(jsonb_build_array({json}))::text"),
                    format!("jsonb_strip_nulls({json})::text"),
                    format!("jsonb_extract_path_text({json}, 'a')"),
                ])
            }
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
            8 => {
                let moment = self.expr(Kind::Moment, d, given, queries);
                self.pick(&[
                    format!("to_char({moment}, 'YYYY-MM')"),
                    format!("({moment})::time::text"),
                ])
            }
            9 => {
                let json = self.expr(Kind::Json, d, given, queries);
                self.pick(&[
                    format!("({json} ->> 'a')"),
                    format!("jsonb_typeof({json})"),
                    format!("({json} #>> ARRAY['a'])"),
                ])
            }
            10 => {
                let list = self.expr(Kind::List, d, given, queries);
                format!("array_to_string({list}, ',')")
            }
            11 => {
                let kind = self.kind();
                let any = self.expr(kind, d, given, queries);
                format!("({any})::text")
            }
            12 => self.pick(&[
                format!("lpad({one}, 3, '*')"),
                format!("left({one}, 1)"),
                format!("translate({one}, 'a', 'b')"),
                format!("quote_nullable({one})"),
                format!("quote_literal({one})"),
                format!("format('%s-%s', {one}, 1)"),
                format!("format({one}, 1)"),
                format!("regexp_replace({one}, 'a', 'b')"),
            ]),
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
        match self.random.usize(..18) {
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
                let operator = match kind {
                    Kind::Json => self.pick(&["IN", "NOT IN", "= ANY"]),
                    _ => self.pick(&["IN", "NOT IN", "= ANY", "< ALL", ">= ANY"]),
                };
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
            12 => {
                let int = self.expr(Kind::Int, d, given, queries);
                let list = self.expr(Kind::List, d, given, queries);
                let operator = self.pick(&["= ANY", "<> ALL", "< ALL", "> ANY"]);
                format!("({int} {operator} ({list}))")
            }
            13 => {
                let json = self.expr(Kind::Json, d, given, queries);
                let part = self.expr(Kind::Json, d, given, queries);
                self.pick(&[format!("({json} @> {part})"), format!("({json} ? 'a')")])
            }
            14 => {
                let moment = self.expr(Kind::Moment, d, given, queries);
                format!("isfinite({moment})")
            }
            15 => {
                let text = self.expr(Kind::Text, d, given, queries);
                self.pick(&[
                    format!("({text} ~ 'a')"),
                    format!("({text} SIMILAR TO 'a%')"),
                    format!("starts_with({text}, 'a')"),
                ])
            }
            16 => {
                let operator = match kind {
                    Kind::Json => self.pick(&["=", "<>"]),
                    _ => self.pick(&["=", "<>", "<", ">="]),
                };
                format!("(({one}, {left}) {operator} ({other}, {right}))")
            }
            _ => {
                let operator = match kind {
                    Kind::Json => self.pick(&["=", "<>"]),
                    _ => self.pick(&["=", "<>", "<", "<=", ">", ">="]),
                };
                format!("({one} {operator} {other})")
            }
        }
    }

    pub(super) fn aggregate(&mut self, kind: Kind, given: &[Column]) -> String {
        let value = self.expr(kind, 1, given, 0);
        let filter = if self.one_in(4) {
            format!(" FILTER (WHERE {})", self.expr(Kind::Bool, 1, given, 0))
        } else {
            String::new()
        };
        match kind {
            Kind::Int => match self.random.usize(..6) {
                0 => format!("(count(*){filter})::int"),
                1 => format!("(count({value}){filter})::int"),
                2 => format!("(sum({value}){filter})::int"),
                3 => format!("cardinality(array_agg({value}){filter})"),
                4 => format!("(count(DISTINCT {value}){filter})::int"),
                _ => format!("max({value}){filter}"),
            },
            Kind::Text => match self.random.usize(..4) {
                0 => format!("string_agg({value}, ','){filter}"),
                1 => format!("(var_samp(length({value})){filter})::text"),
                2 => {
                    let between = self.expr(Kind::Text, 1, given, 0);
                    format!("string_agg({value}, {between}){filter}")
                }
                _ => format!("min({value}){filter}"),
            },
            Kind::Bool => self.pick(&[
                format!("bool_and({value}){filter}"),
                format!("every({value}){filter}"),
                format!("bool_or({value}){filter}"),
            ]),
            Kind::Number => self.pick(&[
                format!("avg({value}){filter}"),
                format!("sum({value}){filter}"),
                format!("min({value}){filter}"),
                format!("var_pop({value}){filter}"),
                format!("stddev({value}){filter}::numeric"),
                format!("regr_count({value}, {value}){filter}::numeric"),
                format!("corr({value}, {value}){filter}::numeric"),
                format!(
                    "percentile_cont(0.5) WITHIN GROUP (ORDER BY {value}::float8){filter}::numeric"
                ),
                format!("rank(1) WITHIN GROUP (ORDER BY {value}){filter}::numeric"),
                format!("percentile_disc(0.5) WITHIN GROUP (ORDER BY {value}){filter}"),
            ]),
            Kind::Moment => self.pick(&[
                format!("max({value}){filter}"),
                format!("mode() WITHIN GROUP (ORDER BY {value}){filter}"),
            ]),
            Kind::Json => self.pick(&[
                format!("jsonb_agg({value}){filter}"),
                format!("jsonb_object_agg('k', {value}){filter}"),
            ]),
            Kind::List => {
                let int = self.expr(Kind::Int, 1, given, 0);
                let distinct = self.pick(&["", "DISTINCT "]);
                format!("array_agg({distinct}{int}){filter}")
            }
        }
    }
}
