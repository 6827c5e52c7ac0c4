//! Templates against a catalog.

use super::{Template, Variant, changes};
use crate::{
    binder::{BindOptions, bind},
    bound::{BoundStatement, OutputColumn},
    catalog::CatalogReader,
    error::{Error, Result, SqlState},
    nullability, parser,
    types::DataType,
};

/// What a template takes and gives, the same in all its variants.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The types of the template's parameters; of lists that of the array.
    pub parameters: Vec<DataType>,
    /// The columns of the result; empty where it gives no rows.
    pub columns: Vec<CheckedColumn>,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether it can be NULL, in any variant.
    pub nullable: bool,
}

impl Template {
    /// Binds the template's statement, or enough of its variants to vouch for all.
    ///
    /// ```
    /// use rustling_sql::{DataType, schema::Schema, template::Template};
    ///
    /// let mut schema = Schema::default();
    /// schema.apply("CREATE TABLE users (id int PRIMARY KEY, name text)")?;
    /// let checked = Template::parse("SELECT name FROM users WHERE id = {id}")?.check(&schema)?;
    /// assert_eq!(checked.parameters, [DataType::Int4]);
    /// assert!(checked.columns[0].nullable);
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// What a variant fails with, its place in the template's text; 42804 where variants give
    /// different columns or want different types of a parameter; 0A000 for statements whose rows
    /// are only known to the engine.
    pub fn check(&self, catalog: &dyn CatalogReader) -> Result<Checked> {
        let mut parameters: Vec<Option<DataType>> = vec![None; self.parameters.len()];
        let mut columns: Option<Vec<CheckedColumn>> = None;
        for choices in self.choices() {
            let variant = self.variant(&choices);
            let (types, given) = check_variant(&variant, catalog)?;
            for (at, data_type) in variant.parameters.iter().zip(types) {
                let known = parameters[*at].get_or_insert(data_type);
                if *known != data_type {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "the parameter is {known} in one variant and {data_type} in another"
                        ),
                    )
                    .at(self.parameters[*at].span)
                    .hint("Say which with a cast: {expr}::integer."));
                }
            }
            match &mut columns {
                None => columns = Some(given),
                Some(columns) => merge_columns(columns, &given)?,
            }
        }
        Ok(Checked {
            // A parameter of no variant stands in a branch that is never taken.
            parameters: parameters
                .into_iter()
                .map(|data_type| data_type.unwrap_or(DataType::Text))
                .collect(),
            columns: columns.unwrap_or_default(),
        })
    }

    /// The variants that are checked.
    fn choices(&self) -> Vec<Vec<usize>> {
        let last: Vec<usize> = self
            .alternatives
            .iter()
            .map(|count| count.saturating_sub(1))
            .collect();
        let mut all = vec![last.clone()];
        if self.is_fixed() {
            return all;
        }
        all.push(vec![0; self.alternatives.len()]);
        let mut seen = all.clone();
        self.vary(&self.pieces, &last, &mut |choices| {
            if !seen.contains(&choices) {
                seen.push(choices.clone());
                all.push(choices);
            }
        });
        all
    }

    /// One variant for each alternative, under the alternatives that it stands in.
    fn vary(&self, pieces: &[super::Piece], around: &[usize], give: &mut dyn FnMut(Vec<usize>)) {
        for piece in pieces {
            let super::Piece::Branch(branch) = piece else {
                continue;
            };
            for (at, inner) in branch.alternatives.iter().enumerate() {
                let mut choices = around.to_vec();
                choices[branch.number] = at;
                give(choices.clone());
                self.vary(inner, &choices, give);
            }
        }
    }
}

fn check_variant(
    variant: &Variant,
    catalog: &dyn CatalogReader,
) -> Result<(Vec<DataType>, Vec<CheckedColumn>)> {
    let bound = parser::parse_statement(&variant.sql)
        .and_then(|statement| {
            let bound = bind(&statement, catalog, &BindOptions::default())?;
            changes::check(&bound.statement, &statement, catalog)?;
            Ok(bound)
        })
        .map_err(|error| error.moved(|span| variant.place(span)))?;
    if bound.parameters.len() != variant.parameters.len() {
        return Err(Error::new(
            SqlState::UNDEFINED_PARAMETER,
            "the statement has parameters that are not in braces",
        )
        .hint("Write each as a Rust expression in braces: {user_id}."));
    }
    let nullable = nullability::of_columns(&bound.statement);
    let columns = output_columns(&bound.statement)?
        .iter()
        .zip(nullable)
        .map(|(column, nullable)| CheckedColumn {
            name: column.name.clone(),
            data_type: match column.data_type {
                DataType::Unknown => DataType::Text,
                other => other.of_values(),
            },
            nullable,
        })
        .collect();
    Ok((bound.parameters, columns))
}

fn output_columns(statement: &BoundStatement) -> Result<&[OutputColumn]> {
    match statement {
        BoundStatement::Query { columns, .. } => Ok(columns),
        BoundStatement::Change(change) => Ok(change
            .returning
            .as_ref()
            .map_or(&[], |returning| &returning.columns)),
        BoundStatement::With { statement, .. } => output_columns(statement),
        BoundStatement::Explain(_) | BoundStatement::Show { .. } => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "what EXPLAIN and SHOW give is only known when they run",
        )
        .hint("Run the statement without checking it: Database::query.")),
        _ => Ok(&[]),
    }
}

fn merge_columns(columns: &mut [CheckedColumn], given: &[CheckedColumn]) -> Result<()> {
    let same = columns.len() == given.len()
        && columns
            .iter()
            .zip(given)
            .all(|(one, other)| one.name == other.name && one.data_type == other.data_type);
    if !same {
        let list = |columns: &[CheckedColumn]| {
            let parts: Vec<String> = columns
                .iter()
                .map(|column| format!("{} {}", column.name, column.data_type))
                .collect();
            format!("({})", parts.join(", "))
        };
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            "the variants give different columns",
        )
        .detail(format!("{} and {}", list(columns), list(given)))
        .hint("Give the columns the same names and types in every branch."));
    }
    for (column, other) in columns.iter_mut().zip(given) {
        column.nullable |= other.nullable;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    fn checked(text: &str) -> Result<Checked> {
        let mut schema = Schema::default();
        schema.apply("CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, age smallint)")?;
        Template::parse(text)?.check(&schema)
    }

    #[test]
    fn every_branch_is_checked() {
        let text = "SELECT name FROM t WHERE true {if let Some(x) = x { AND age = {x}}} \
                    {if y { AND nam = {z}}}";
        let error = checked(text).unwrap_err();
        let span = error.span().unwrap();
        assert_eq!(&text[span.start..span.end], "nam");
        let text = "SELECT name FROM t {if a { {if b { WHERE id = {x} } else { WERE 1 } } }}";
        assert!(checked(text).is_err());
    }

    #[test]
    fn lists_have_array_types() {
        let checked = checked("SELECT name FROM t WHERE age IN ({ages}) LIMIT {n}").unwrap();
        assert_eq!(checked.parameters[0], DataType::Int2.array().unwrap());
        assert_eq!(checked.parameters[1], DataType::Int8);
    }

    #[test]
    fn variants_give_the_same_columns() {
        let error = checked("SELECT {if a {name} else {id}} FROM t").unwrap_err();
        assert_eq!(error.state(), SqlState::DATATYPE_MISMATCH);
        let checked = checked("SELECT {if a {name} else {NULL::text AS name}} FROM t").unwrap();
        assert!(checked.columns[0].nullable);
    }

    #[test]
    fn what_could_never_be_stored_is_refused() {
        for (text, place) in [
            ("INSERT INTO t (id) VALUES (1)", "VALUES (1)"),
            ("INSERT INTO t VALUES (1, 'a', 2), (2, NULL, 3)", "NULL"),
            (
                "INSERT INTO t (name) SELECT name FROM t",
                "SELECT name FROM t",
            ),
            ("INSERT INTO t DEFAULT VALUES", "t"),
            ("INSERT INTO t SELECT 1, NULL", "SELECT 1, NULL"),
            ("UPDATE t SET name = DEFAULT", "DEFAULT"),
            ("UPDATE t SET age = NULL, name = NULL::text", "NULL::text"),
            (
                "INSERT INTO t VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET name = NULL",
                "NULL",
            ),
            (
                "WITH gone AS (INSERT INTO t (id) VALUES ({x}) RETURNING id) SELECT id FROM gone",
                "VALUES ({x})",
            ),
        ] {
            let error = checked(text).unwrap_err();
            assert_eq!(error.state(), SqlState::NOT_NULL_VIOLATION, "{text}");
            let span = error.span().unwrap();
            assert_eq!(&text[span.start..span.end], place);
        }
        for text in [
            "INSERT INTO t (id, name) VALUES (1, {name})",
            "INSERT INTO t SELECT 1, 'a', NULL",
            "UPDATE t SET name = nullif(name, 'a'), age = NULL",
            "MERGE INTO t USING (VALUES (1, NULL)) AS s (n, a) ON id = n
             WHEN MATCHED THEN UPDATE SET name = nullif(name, 'a'), age = NULL
             WHEN NOT MATCHED THEN INSERT (id, name) VALUES (n, {name})",
        ] {
            assert!(checked(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn why_nothing_is_stored_is_told_by_what_is_written() {
        let mut schema = Schema::default();
        schema
            .apply(
                "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL,
                     other text NOT NULL DEFAULT NULL)",
            )
            .unwrap();
        for (text, reason) in [
            ("UPDATE t SET name = DEFAULT", "which DEFAULT stands for"),
            (
                "INSERT INTO t VALUES (1, 'a', 'b') ON CONFLICT (id) DO UPDATE SET other = DEFAULT",
                "has the default NULL, which DEFAULT stands for",
            ),
            (
                "INSERT INTO t VALUES (1, DEFAULT, 'b')",
                "which DEFAULT stands for",
            ),
            (
                "INSERT INTO t (id, other) VALUES (1, 'b')",
                "has no default, and INSERT gives it no value",
            ),
            (
                "INSERT INTO t (id, name) VALUES (1, 'a')",
                "has the default NULL, and INSERT gives it no value",
            ),
            ("INSERT INTO t SELECT 1, NULL, 'b'", "NULL is stored in it"),
            (
                "MERGE INTO t USING (VALUES (1)) AS s (n) ON id = n
                 WHEN MATCHED THEN UPDATE SET name = NULL",
                "NULL is stored in it",
            ),
            (
                "MERGE INTO t USING (VALUES (1)) AS s (n) ON id = n
                 WHEN MATCHED AND n > 1 THEN DELETE
                 WHEN MATCHED THEN UPDATE SET name = 'a', other = DEFAULT",
                "has the default NULL, which DEFAULT stands for",
            ),
            (
                "MERGE INTO t USING (VALUES (1)) AS s (n) ON id = n
                 WHEN NOT MATCHED THEN INSERT VALUES (n, NULL, 'b')",
                "NULL is stored in it",
            ),
            (
                "MERGE INTO t USING (VALUES (1)) AS s (n) ON id = n
                 WHEN NOT MATCHED THEN INSERT (id, other) VALUES (n, 'b')",
                "has no default, and INSERT gives it no value",
            ),
            (
                "MERGE INTO t USING (VALUES (1)) AS s (n) ON id = n
                 WHEN NOT MATCHED THEN INSERT (id, name, other) VALUES (n, DEFAULT, 'b')",
                "has no default, which DEFAULT stands for",
            ),
            (
                "WITH gone AS (DELETE FROM t RETURNING id)
                 MERGE INTO t USING gone AS s ON t.id = s.id
                 WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
                "and INSERT gives it no value",
            ),
            (
                "UPDATE t SET (id, name) = (SELECT 1, NULL)",
                "NULL is stored in it",
            ),
        ] {
            let error = Template::parse(text).unwrap().check(&schema).unwrap_err();
            assert_eq!(error.state(), SqlState::NOT_NULL_VIOLATION, "{text}");
            assert!(error.message().ends_with(reason), "{text}: {error}");
            assert!(error.span().unwrap().start >= "UPDATE ".len(), "{text}");
        }
    }

    #[test]
    fn as_many_variants_as_alternatives() {
        let text = format!("SELECT 1 WHERE true {}", "{if a { AND true }}".repeat(50));
        assert_eq!(Template::parse(&text).unwrap().choices().len(), 52);
    }
}
