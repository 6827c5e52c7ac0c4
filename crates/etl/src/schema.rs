//! Which field of the file goes to which column, under which name and type.

use rustling_sql::ast::TypeName;

use crate::error::{Error, Result};

/// A column as the user describes it.
#[derive(Clone, Debug)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Its type; `None`: found out.
    pub type_name: Option<TypeName>,
    /// Whether it is the primary key.
    pub primary_key: bool,
}

/// Names for the columns of a new table, from a header: lower case, with anything but letters,
/// digits and underscores turned into underscores, so that they need no quotes in SQL. An empty
/// name becomes `columnN`; a name that comes twice gets a number.
pub(crate) fn column_names(header: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    let mut taken = std::collections::HashSet::new();
    for (index, given) in header.iter().enumerate() {
        let mut name = String::with_capacity(given.len());
        for character in given.trim().chars() {
            if character.is_alphanumeric() || character == '_' {
                name.extend(character.to_lowercase());
            } else if !name.is_empty() && !name.ends_with('_') {
                name.push('_');
            }
        }
        let mut name = name.trim_end_matches('_').to_string();
        if name.is_empty() {
            name = format!("column{}", index + 1);
        } else if name.starts_with(|c: char| c.is_numeric()) {
            name.insert(0, '_');
        }
        let base = name.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{base}_{number}");
        }
        names.push(name);
    }
    names
}

/// Where each field of a record goes in an existing table: `targets[i]` is the ordinal of the
/// column for field `i`. `header`: the file's names, or `None` where it has none and the fields
/// come in table order.
pub(crate) fn match_columns(
    table: &[String],
    header: Option<&[String]>,
    fields: usize,
) -> Result<Vec<usize>> {
    let Some(header) = header else {
        if fields != table.len() {
            return Err(Error::Schema {
                message: format!("the file has {fields} columns, the table {}", table.len()),
                hint: "without a header the fields come in table order; --schema names the file's columns".into(),
            });
        }
        return Ok((0..fields).collect());
    };
    let normal = column_names(header);
    let mut targets = Vec::with_capacity(header.len());
    for (given, name) in header.iter().zip(&normal) {
        let target = table
            .iter()
            .position(|column| column.eq_ignore_ascii_case(given.trim()) || column == name);
        match target {
            Some(target) if targets.contains(&target) => {
                return Err(Error::Schema {
                    message: format!("the file has the column {given:?} twice"),
                    hint: "name the columns with --schema".into(),
                });
            }
            Some(target) => targets.push(target),
            None => {
                return Err(Error::Schema {
                    message: format!("the table has no column {given:?}, which the file has"),
                    hint: format!(
                        "its columns are {}; --schema names the file's columns, --header false takes the first line as a row",
                        table.join(", ")
                    ),
                });
            }
        }
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::{column_names, match_columns};

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_need_no_quotes_in_sql() {
        let given = owned(&[
            "Id",
            "Departure Delay (min)",
            "",
            "id",
            "2nd",
            "  x-y  ",
            "été",
        ]);
        assert_eq!(
            column_names(&given),
            [
                "id",
                "departure_delay_min",
                "column3",
                "id_2",
                "_2nd",
                "x_y",
                "été"
            ]
        );
    }

    #[test]
    fn a_header_is_matched_by_name_in_any_order() {
        let table = owned(&["id", "name", "born"]);
        assert_eq!(
            match_columns(&table, Some(&owned(&["Name", "ID"])), 2).unwrap(),
            [1, 0]
        );
        assert_eq!(match_columns(&table, None, 3).unwrap(), [0, 1, 2]);
        assert!(match_columns(&table, None, 2).is_err());
        assert!(match_columns(&table, Some(&owned(&["nane"])), 1).is_err());
        assert!(match_columns(&table, Some(&owned(&["id", "id"])), 2).is_err());
    }
}
