//! CREATE TABLE from a struct.

use super::{Table, key_columns};

/// The CREATE TABLE statement of a struct, for tests and for programs without migrations.
#[must_use]
pub fn create_table<R: Table>() -> String {
    let mut lines: Vec<String> = Vec::new();
    let keys: Vec<usize> = key_columns::<R>().collect();
    for (at, column) in R::COLUMNS.iter().enumerate() {
        let mut line = format!("    {} {}", column.name, column.sql_type);
        if let Some(expression) = column.expression {
            line += &format!(" GENERATED ALWAYS AS ({expression}) STORED");
        } else if column.generated {
            line += " GENERATED ALWAYS AS IDENTITY";
        }
        if keys == [at] {
            line += " PRIMARY KEY";
        } else if !column.nullable {
            line += " NOT NULL";
        }
        if column.unique {
            line += " UNIQUE";
        }
        if let Some(default) = column.default {
            line += &format!(" DEFAULT {default}");
        }
        lines.push(line);
    }
    if keys.len() > 1 {
        let names: Vec<&str> = keys.iter().map(|at| R::COLUMNS[*at].name).collect();
        lines.push(format!("    PRIMARY KEY ({})", names.join(", ")));
    }
    format!("CREATE TABLE {} (\n{}\n)", R::NAME, lines.join(",\n"))
}
