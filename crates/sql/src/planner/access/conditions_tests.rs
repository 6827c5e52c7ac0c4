//! What conditions say of the columns of a key.

use crate::{
    DataType,
    bound::Expr,
    catalog::{CatalogReader, Column, ColumnNumber, Table, TableId},
    encoding::KeyColumn,
    eval::fold_constants,
    planner::{
        access::{
            conditions::{KeyTest, TestKind, formula},
            key::{PathColumn, PathKey},
        },
        expr_text::Names,
        expr_tools::is_stable_constant,
        physical::AccessPath,
    },
};

struct NoTypes;

impl CatalogReader for NoTypes {}

/// A table of columns of several types; column `i` has the id `i`.
fn table() -> Table {
    let mut table = Table::new(TableId(1), "public".into(), "t".into(), 1);
    let columns = [
        ("a", DataType::Int4),
        ("b", DataType::Int4),
        ("c", DataType::Int4),
        ("s", DataType::Text),
        ("v", DataType::Varchar(Some(9))),
        ("p", DataType::Char(3)),
        ("f", DataType::Boolean),
        ("l", DataType::Int8),
        ("n", DataType::Decimal(None)),
    ];
    for (at, (name, data_type)) in columns.into_iter().enumerate() {
        let number = ColumnNumber(at as u32 + 1);
        table
            .columns
            .push(Column::new(number, name.into(), data_type));
    }
    table
}

/// An expression over the columns of [`table`].
pub(super) fn expr(text: &str) -> Expr {
    let bound = crate::binder::bind_expression(text, &table(), &NoTypes).unwrap();
    fold_constants(bound).unwrap()
}

fn key(columns: &[&str]) -> PathKey {
    let column = |text: &&str| {
        let expr = expr(text);
        PathColumn {
            form: KeyColumn::ascending(expr.data_type),
            expr: Some(expr),
            not_null: false,
        }
    };
    PathKey {
        path: AccessPath::Table,
        columns: columns.iter().map(column).collect(),
        is_unique: false,
        predicate: None,
    }
}

fn shown(test: &KeyTest<'_>) -> String {
    let names = Names::default();
    let place = test.place;
    match &test.kind {
        TestKind::Compare(op, value) => format!("{place} {} {}", op.symbol(), names.text(value)),
        TestKind::List(list) => format!("{place} in {}", names.list(*list, " ")),
        TestKind::Elements(array) => format!("{place} among {}", names.text(array)),
        TestKind::Null => format!("{place} null"),
        TestKind::Present => format!("{place} present"),
    }
}

/// The alternatives of a condition, and `…` where it says more than they do.
fn said(condition: &str, columns: &[&str]) -> String {
    let condition = expr(condition);
    let Some(formula) = formula(&condition, &key(columns), &is_stable_constant) else {
        return "nothing".into();
    };
    let alternatives: Vec<String> = formula
        .alternatives
        .iter()
        .map(|tests| {
            tests
                .iter()
                .map(|test| shown(test))
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect();
    let more = if formula.exact { "" } else { " …" };
    format!("{}{more}", alternatives.join(" | "))
}

#[test]
fn comparisons_of_a_column_with_a_value() {
    let key = ["a", "b"];
    for (condition, expected) in [
        ("a = 1", "0 = 1"),
        ("1 < b", "1 > 1"),
        ("a <> 1", "nothing"),
        ("a = b", "nothing"),
        ("a = 1 + 1", "0 = 2"),
        ("a + 1 = 2", "nothing"),
        ("a = $1", "0 = $1"),
        ("a = random()", "nothing"),
        ("a IS NULL", "0 null"),
        ("b IS NOT NULL", "1 present"),
        ("NOT a = 1", "nothing"),
        ("a BETWEEN 1 AND 3", "0 >= 1, 0 <= 3"),
        ("a = 1 AND c = 2", "0 = 1 …"),
        ("c = 1 AND c = 2", "nothing"),
    ] {
        assert_eq!(said(condition, &key), expected, "{condition}");
    }
}

#[test]
fn lists_and_arrays() {
    let key = ["a", "s", "p"];
    for (condition, expected) in [
        ("a IN (1, 2)", "0 in 1 2"),
        ("a IN (1, NULL, $1)", "0 in 1 NULL $1"),
        ("a IN (1, b)", "nothing"),
        ("a NOT IN (1, 2)", "nothing"),
        ("a = ANY ($1)", "0 among $1"),
        ("a = ANY (ARRAY[1, $1])", "0 = 1 | 0 = $1"),
        (
            "a = ANY (ARRAY[1, $1] || 2)",
            "0 among array_append(ARRAY[1, $1], 2)",
        ),
        ("a = ANY ($1::bigint[])", "0 among $1"),
        ("a = ANY ('{1,2}')", "0 in 1 2"),
        ("a <> ANY ($1)", "nothing"),
        ("a = ALL ($1)", "nothing"),
        ("s IN ('x', 'y')", "1 in 'x' 'y'"),
        ("p IN ('x', 'y')", "2 in 'x' 'y'"),
    ] {
        assert_eq!(said(condition, &key), expected, "{condition}");
    }
}

#[test]
fn values_of_other_types() {
    let key = ["a", "l", "n", "v", "p"];
    for (condition, expected) in [
        ("a = 5000000000", "0 = 5000000000"),
        ("a = 2.0", "0 = 2"),
        ("a > 2.5", "0 > 2.5"),
        ("a = $1::bigint", "0 = $1"),
        ("a < $1::numeric", "0 < $1"),
        ("a = 1.5::float8", "nothing"),
        ("l = $1::int", "1 = $1::bigint"),
        ("n = 5", "2 = 5"),
        ("v = 'x'", "3 = 'x'"),
        ("v = $1", "3 = $1"),
        ("p = 'x'", "4 = 'x'"),
        ("p = $1", "4 = $1"),
        // Conversion takes the blanks away from the column, not from the value.
        ("p = 'x'::text", "nothing"),
    ] {
        assert_eq!(said(condition, &key), expected, "{condition}");
    }
}

#[test]
fn alternatives() {
    let key = ["a", "b"];
    for (condition, expected) in [
        ("a = 1 OR a = 7 OR a > 9", "0 = 1 | 0 = 7 | 0 > 9"),
        ("a = 1 OR c = 1", "nothing"),
        ("a = 1 OR (a = 2 AND c = 1)", "0 = 1 | 0 = 2 …"),
        (
            "(a = 1 OR a = 2) AND (b = 3 OR b = 4)",
            "0 = 1, 1 = 3 | 0 = 1, 1 = 4 | 0 = 2, 1 = 3 | 0 = 2, 1 = 4",
        ),
        ("a = 1 OR f", "nothing"),
        ("a = 1 OR a IS NULL", "0 = 1 | 0 null"),
        ("a = 1 OR NULL OR a = NULL", "0 = 1 | 0 = NULL"),
        ("a = 1 OR $1", "nothing"),
    ] {
        assert_eq!(said(condition, &key), expected, "{condition}");
    }
}

#[test]
fn comparisons_of_rows() {
    let key = ["a", "b"];
    for (condition, expected) in [
        ("(a, b) = (1, 2)", "0 = 1, 1 = 2"),
        ("(a, b) > (1, 2)", "0 > 1 | 0 = 1, 1 > 2"),
        ("(a, b) >= (1, 2)", "0 > 1 | 0 = 1, 1 >= 2"),
        ("(a, b) < ($1, $2)", "0 < $1 | 0 = $1, 1 < $2"),
        ("(a, b) IN ((1, 2), (3, 4))", "0 = 1, 1 = 2 | 0 = 3, 1 = 4"),
        (
            "(a, b, c) > (1, 2, 3)",
            "0 > 1 | 0 = 1, 1 > 2 | 0 = 1, 1 = 2 …",
        ),
        ("(a, c) > (1, 2)", "0 > 1 | 0 = 1 …"),
        ("(c, a) > (1, 2)", "nothing"),
    ] {
        assert_eq!(said(condition, &key), expected, "{condition}");
    }
}

#[test]
fn prefixes_of_patterns() {
    let key = ["s"];
    for (condition, expected) in [
        ("s LIKE 'ab%'", "0 >= 'ab', 0 < 'ac' …"),
        ("s LIKE '%ab'", "nothing"),
        ("s ILIKE 'ab%'", "nothing"),
        ("s NOT LIKE 'ab%'", "nothing"),
        ("s LIKE 'ab%' OR s = 'x'", "0 >= 'ab', 0 < 'ac' | 0 = 'x' …"),
    ] {
        assert_eq!(said(condition, &key), expected, "{condition}");
    }
}

#[test]
fn computed_keys() {
    let key = ["lower(s)", "a + 1"];
    for (condition, expected) in [
        ("lower(s) = $1", "0 = $1"),
        ("lower(v) = $1", "nothing"),
        ("s = 'x'", "nothing"),
        ("a + 1 > 5", "1 > 5"),
        ("1 + a > 5", "nothing"),
        ("lower(s) LIKE 'x%'", "0 >= 'x', 0 < 'y' …"),
        ("lower(s) IN ('x', 'y')", "0 in 'x' 'y'"),
    ] {
        assert_eq!(said(condition, &key), expected, "{condition}");
    }
}

#[test]
fn more_alternatives_than_can_be_looked_at_say_nothing() {
    let many = |column: &str| {
        let tests: Vec<String> = (0..200)
            .map(|number| format!("{column} = {number}"))
            .collect();
        format!("({})", tests.join(" OR "))
    };
    let both = format!("{} AND {}", many("a"), many("b"));
    assert!(said(&both, &["a", "b"]).ends_with('…'));
}
