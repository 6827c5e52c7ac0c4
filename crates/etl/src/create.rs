//! The CREATE TABLE statement of a load, built as a syntax tree: names stay names whatever they
//! hold.

use rustling_sql::{
    DataType, Error as SqlError, SqlState,
    ast::{
        ColumnConstraint, ColumnConstraintKind, ColumnDefinition, CreateTable, ExprKind, Ident,
        ObjectName, Span, Statement, StatementKind, TableBody, TableElement, TypeName,
    },
    catalog::Deferral,
    parser::parse_expression,
};

use crate::{
    error::{Error, Result},
    schema::ColumnSpec,
};

/// Reads column descriptions as they are written on a command line: `name` or `name:type`. The
/// pair `KEY VALUE` describes a key-value table: two text columns, the first the primary key.
///
/// # Errors
/// [`Error::Schema`] for an empty name, [`Error::Sql`] for a type that there is not.
pub fn parse_schema(columns: &[String]) -> Result<Option<Vec<ColumnSpec>>> {
    if columns.is_empty() {
        return Ok(None);
    }
    if is_key_value(columns) {
        let text = || type_name("text").map(Some);
        return Ok(Some(vec![
            ColumnSpec {
                name: "key".into(),
                type_name: text()?,
                primary_key: true,
            },
            ColumnSpec {
                name: "value".into(),
                type_name: text()?,
                primary_key: false,
            },
        ]));
    }
    let specs = columns.iter().map(|column| {
        let (name, type_name_text) = match column.split_once(':') {
            Some((name, text)) => (name, Some(text)),
            None => (column.as_str(), None),
        };
        if name.trim().is_empty() {
            return Err(Error::Schema {
                message: format!("the column {column:?} has no name"),
                hint: "--schema takes names, each perhaps with a type: --schema id:bigint name born:date".into(),
            });
        }
        Ok(ColumnSpec {
            name: name.trim().to_string(),
            type_name: type_name_text.map(type_name).transpose()?,
            primary_key: false,
        })
    });
    specs.collect::<Result<Vec<_>>>().map(Some)
}

fn is_key_value(columns: &[String]) -> bool {
    matches!(columns, [key, value] if key.eq_ignore_ascii_case("key") && value.eq_ignore_ascii_case("value"))
}

/// A type from its SQL text.
fn type_name(text: &str) -> Result<TypeName> {
    let unknown = || {
        SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{text}\" does not exist"),
        )
    };
    // A type stands nowhere alone, so it is read as the target of a cast. Text that is more than
    // a type makes another expression, or another operand of the cast, and is refused.
    let cast = parse_expression(&format!("NULL::{text}")).map_err(|_| unknown())?;
    match cast.kind {
        ExprKind::Cast {
            operand, data_type, ..
        } if matches!(operand.kind, ExprKind::Null) => Ok(data_type),
        _ => Err(unknown().into()),
    }
}

/// The statement that makes `table` with these columns.
pub(crate) fn create_table(table: &str, columns: &[(ColumnSpec, DataType)]) -> Result<String> {
    let ident = |name: &str| Ident {
        name: name.to_string(),
        quoted: true,
        span: Span::default(),
    };
    let columns = columns
        .iter()
        .map(|(spec, inferred)| {
            let data_type = match &spec.type_name {
                Some(type_name) => type_name.clone(),
                None => type_name(&inferred.to_string())?,
            };
            let primary_key = ColumnConstraint {
                name: None,
                kind: ColumnConstraintKind::PrimaryKey,
                deferral: Deferral::default(),
                span: Span::default(),
            };
            Ok(TableElement::Column(ColumnDefinition {
                name: ident(&spec.name),
                data_type,
                constraints: if spec.primary_key {
                    vec![primary_key]
                } else {
                    Vec::new()
                },
                span: Span::default(),
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    let statement = Statement {
        kind: StatementKind::CreateTable(Box::new(CreateTable {
            temporary: None,
            name: ObjectName {
                parts: vec![ident(table)],
                span: Span::default(),
            },
            if_not_exists: false,
            parameters: Vec::new(),
            inherits: Vec::new(),
            partition_by: None,
            partition_of: None,
            method: None,
            body: TableBody::Definitions {
                elements: columns,
                constraints: Vec::new(),
            },
        })),
        span: Span::default(),
    };
    Ok(statement.to_string())
}

#[cfg(test)]
mod tests {
    use rustling_sql::DataType;

    use super::{create_table, parse_schema};
    use crate::schema::ColumnSpec;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn types_are_read_and_nothing_else() {
        let specs = parse_schema(&owned(&["id:bigint", "name", "price:numeric(10,2)"]))
            .unwrap()
            .unwrap();
        assert!(
            specs[0].type_name.is_some()
                && specs[1].type_name.is_none()
                && specs[2].type_name.is_some()
        );
        for bad in ["id:bigint + 1", "id:nonsense'", "id:int, 2", ":int", "id:"] {
            assert!(parse_schema(&owned(&[bad])).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_value_table_has_a_key() {
        let specs = parse_schema(&owned(&["KEY", "VALUE"])).unwrap().unwrap();
        assert_eq!(
            (specs[0].name.as_str(), specs[0].primary_key),
            ("key", true)
        );
    }

    #[test]
    fn names_stay_names() {
        let column = |name: &str| ColumnSpec {
            name: name.into(),
            type_name: None,
            primary_key: false,
        };
        let columns = [
            (column("a\"; DROP"), DataType::Int4),
            (column("select"), DataType::TimestampTz),
        ];
        let sql = create_table("odd \"table\"", &columns).unwrap();
        let again = rustling_sql::parser::parse_statement(&sql).unwrap();
        assert_eq!(again.to_string(), sql);
        assert!(sql.contains("\"odd \"\"table\"\"\""), "{sql}");
    }
}
