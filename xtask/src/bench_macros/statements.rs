//! The statements that are measured: what programs write, in the proportions in which they do so,
//! each for both sides.

use std::fmt::Write as _;

/// How many tables the schema has.
pub(super) const TABLES: usize = 20;

/// The columns of each table as SQL defines them.
const COLUMNS: &str = "id int PRIMARY KEY, parent int NOT NULL, name text NOT NULL, note text, \
                       amount bigint NOT NULL, score float8, active boolean NOT NULL, c7 int, \
                       c8 int, c9 text";

/// Rows of a struct of the program's, on both sides.
pub(super) const ROW: &str = "pub struct Named { pub id: i32, pub name: String, \
                              pub note: Option<String>, pub amount: i64 }\n";

/// What the rows of a statement become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A struct made for the statement.
    Record,
    /// [`ROW`].
    As,
    /// The value of the only column.
    Scalar,
    /// There are none.
    Execute,
}

/// A column of a result, as sqlx keeps it: name, type, whether it can be NULL.
type Column = (&'static str, &'static str, Option<bool>);

/// A statement for both sides.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) form: Form,
    /// What the function around it takes beside the database.
    pub(super) takes: &'static str,
    /// Its text with values in braces.
    pub(super) ours: String,
    /// Its text with numbered parameters.
    pub(super) theirs: String,
    /// The values of those.
    pub(super) values: &'static [&'static str],
    /// Their types.
    pub(super) parameters: &'static [&'static str],
    pub(super) columns: &'static [Column],
}

const NEVER: Option<bool> = Some(false);
const MAYBE: Option<bool> = Some(true);
/// Of what is computed, PostgreSQL does not say.
const UNSAID: Option<bool> = None;

/// The statement of a number: no two are the same.
pub(super) fn statement(number: usize) -> Statement {
    let table = number % TABLES;
    let other = (table + 1) % TABLES;
    // As `{name}` for the one side and as `$1` for the other.
    let both = |text: String, values: &[&str]| {
        let mut numbered = text.clone();
        for (at, value) in values.iter().enumerate() {
            numbered = numbered.replace(&format!("{{{value}}}"), &format!("${}", at + 1));
        }
        (text, numbered)
    };
    let (form, takes, values, parameters, columns, (ours, theirs)): (
        _,
        _,
        &[&str],
        &[&str],
        &[Column],
        _,
    ) = match number % 10 {
        // A row by its key.
        0 | 1 => (
            Form::Record,
            "id: i32",
            &["id"],
            &["Int4"],
            &[
                ("id", "Int4", NEVER),
                ("name", "Text", NEVER),
                ("note", "Text", MAYBE),
                ("score", "Float8", MAYBE),
            ],
            both(
                format!(
                    "SELECT id, name, note, score FROM t{table} WHERE id = {{id}} AND c7 <> {number}"
                ),
                &["id"],
            ),
        ),
        // A page of a list.
        2 => (
            Form::As,
            "parent: i32, limit: i64",
            &["parent", "limit"],
            &["Int4", "Int8"],
            &[
                ("id", "Int4", NEVER),
                ("name", "Text", NEVER),
                ("note", "Text", MAYBE),
                ("amount", "Int8", NEVER),
            ],
            both(
                format!(
                    "SELECT id, name, note, amount FROM t{table} \
                     WHERE parent = {{parent}} AND active AND c8 > {number} \
                     ORDER BY name LIMIT {{limit}}"
                ),
                &["parent", "limit"],
            ),
        ),
        // A join.
        3 => (
            Form::Record,
            "name: &str",
            &["name"],
            &["Text"],
            &[
                ("id", "Int4", NEVER),
                ("name", "Text", NEVER),
                ("above", "Text", MAYBE),
            ],
            both(
                format!(
                    "SELECT a.id, a.name, b.name AS above FROM t{table} a \
                     LEFT JOIN t{other} b ON b.id = a.parent \
                     WHERE a.name = {{name}} AND a.c7 > {number}"
                ),
                &["name"],
            ),
        ),
        // Groups of a join.
        4 => (
            Form::Record,
            "value: i32",
            &["value"],
            &["Int4"],
            &[
                ("id", "Int4", NEVER),
                ("name", "Text", NEVER),
                ("n", "Int8", UNSAID),
                ("best", "Int8", UNSAID),
            ],
            both(
                format!(
                    "SELECT a.id, a.name, count(*) AS n, max(b.amount) AS best FROM t{table} a \
                     JOIN t{other} b ON b.parent = a.id \
                     WHERE b.c8 = {{value}} AND a.id > {number} \
                     GROUP BY a.id, a.name HAVING count(*) > 1 ORDER BY n DESC"
                ),
                &["value"],
            ),
        ),
        // A count.
        5 => (
            Form::Scalar,
            "parent: i32",
            &["parent"],
            &["Int4"],
            &[("count", "Int8", UNSAID)],
            both(
                format!(
                    "SELECT count(*) FROM t{table} WHERE parent = {{parent}} AND c7 = {number}"
                ),
                &["parent"],
            ),
        ),
        6 => (
            Form::Execute,
            "id: i32, name: &str, note: Option<&str>, amount: i64",
            &["id", "name", "note", "amount"],
            &["Int4", "Text", "Text", "Int8"],
            &[],
            both(
                format!(
                    "INSERT INTO t{table} (id, parent, name, note, amount, active, c7) \
                     VALUES ({{id}}, 1, {{name}}, {{note}}, {{amount}}, true, {number})"
                ),
                &["id", "name", "note", "amount"],
            ),
        ),
        7 => (
            Form::Execute,
            "score: f64, id: i32",
            &["score", "id"],
            &["Float8", "Int4"],
            &[],
            both(
                format!(
                    "UPDATE t{table} SET score = {{score}}, amount = amount + {number} \
                     WHERE id = {{id}}"
                ),
                &["score", "id"],
            ),
        ),
        // A condition that is there or not, which sqlx has only as SQL of its own.
        8 => (
            Form::Record,
            "parent: Option<i32>",
            &["parent"],
            &["Int4"],
            &[("id", "Int4", NEVER), ("name", "Text", NEVER)],
            (
                format!(
                    "SELECT id, name FROM t{table} WHERE c7 = {number} \
                     {{if let Some(parent) = parent {{ AND parent = {{parent}} }}}} ORDER BY id"
                ),
                format!(
                    "SELECT id, name FROM t{table} WHERE c7 = {number} \
                     AND ($1::int4 IS NULL OR parent = $1) ORDER BY id"
                ),
            ),
        ),
        // The rows of several keys.
        _ => (
            Form::Record,
            "ids: &[i32]",
            &["ids"],
            &["Int4Array"],
            &[
                ("id", "Int4", NEVER),
                ("name", "Text", NEVER),
                ("active", "Bool", NEVER),
            ],
            (
                format!(
                    "SELECT id, name, active FROM t{table} WHERE id IN ({{ids}}) AND c8 < {number}"
                ),
                format!(
                    "SELECT id, name, active FROM t{table} WHERE id = ANY($1) AND c8 < {number}"
                ),
            ),
        ),
    };
    Statement {
        form,
        takes,
        ours,
        theirs,
        values,
        parameters,
        columns,
    }
}

/// The schema's definition.
pub(super) fn schema() -> String {
    (0..TABLES).fold(String::new(), |mut schema, table| {
        let _ = writeln!(schema, "CREATE TABLE t{table} ({COLUMNS});");
        schema
    })
}

impl Statement {
    /// A function that runs it with our macros.
    pub(super) fn as_ours(&self, number: usize) -> String {
        let Statement {
            form, takes, ours, ..
        } = self;
        let body = match form {
            Form::Record => format!("Ok(query!(db, \"{ours}\").fetch_all()?.len())"),
            Form::As => format!("Ok(query_as!(db, Named, \"{ours}\").fetch_all()?.len())"),
            Form::Scalar => format!("Ok(query_scalar!(db, \"{ours}\").fetch_all()?.len())"),
            Form::Execute => format!("Ok(execute!(db, \"{ours}\")? as usize)"),
        };
        format!("pub fn f{number}(db: &Database, {takes}) -> Result<usize> {{ {body} }}\n")
    }

    /// A function that runs it with sqlx's.
    pub(super) fn as_theirs(&self, number: usize) -> String {
        let Statement {
            form,
            takes,
            theirs,
            values,
            ..
        } = self;
        let values = values.join(", ");
        let body = match form {
            Form::Record => {
                format!("Ok(query!(\"{theirs}\", {values}).fetch_all(db).await?.len())")
            }
            Form::As => {
                format!("Ok(query_as!(Named, \"{theirs}\", {values}).fetch_all(db).await?.len())")
            }
            Form::Scalar => {
                format!("Ok(query_scalar!(\"{theirs}\", {values}).fetch_all(db).await?.len())")
            }
            Form::Execute => format!(
                "Ok(query!(\"{theirs}\", {values}).execute(db).await?.rows_affected() as usize)"
            ),
        };
        format!(
            "pub async fn f{number}(db: &PgPool, {takes}) -> sqlx::Result<usize> {{ {body} }}\n"
        )
    }

    /// What sqlx keeps of it in offline mode, as JSON.
    pub(super) fn described(&self, hash: &str) -> String {
        let Statement {
            theirs,
            parameters,
            columns,
            ..
        } = self;
        let list = |parts: Vec<String>| parts.join(", ");
        let described = columns.iter().enumerate().map(|(at, (name, kind, _))| {
            format!("{{\"ordinal\": {at}, \"name\": \"{name}\", \"type_info\": \"{kind}\"}}")
        });
        let nullable = columns.iter().map(|(.., nullable)| match nullable {
            Some(nullable) => nullable.to_string(),
            None => "null".to_owned(),
        });
        let parameters = parameters.iter().map(|kind| format!("\"{kind}\""));
        format!(
            "{{\"db_name\": \"PostgreSQL\", \"query\": \"{theirs}\", \"describe\": {{\
             \"columns\": [{}], \"parameters\": {{\"Left\": [{}]}}, \"nullable\": [{}]}}, \
             \"hash\": \"{hash}\"}}",
            list(described.collect()),
            list(parameters.collect()),
            list(nullable.collect()),
        )
    }
}
