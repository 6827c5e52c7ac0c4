//! A query in several lines, laid out as PostgreSQL lays out views.

use std::fmt::{Display, Write as _};

use crate::ast::{Query, QueryBody, Select, TableRef, TableRefKind};

/// The query in several lines.
pub(crate) fn query(query: &Query) -> String {
    let mut text = String::new();
    write_query(&mut text, query);
    text
}

fn push(text: &mut String, what: impl Display) {
    // Writing into a string does not fail.
    let _ = write!(text, "{what}");
}

fn list<T: Display>(items: &[T], separator: &str) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(separator)
}

fn write_query(text: &mut String, query: &Query) {
    if let Some(with) = &query.with {
        push(text, format_args!(" {with}\n"));
    }
    write_body(text, &query.body);
    if !query.order_by.is_empty() {
        push(
            text,
            format_args!("\n  ORDER BY {}", list(&query.order_by, ", ")),
        );
    }
    if let Some(offset) = &query.offset {
        push(text, format_args!("\n OFFSET {offset}"));
    }
    if let Some(limit) = &query.limit {
        if query.with_ties {
            push(
                text,
                format_args!("\n FETCH FIRST ({limit}) ROWS WITH TIES"),
            );
        } else {
            push(text, format_args!("\n LIMIT {limit}"));
        }
    }
    for clause in &query.locking {
        push(text, format_args!("\n {clause}"));
    }
}

fn write_body(text: &mut String, body: &QueryBody) {
    match body {
        QueryBody::Select(select) => write_select(text, select),
        QueryBody::SetOperation { first, rest } => {
            write_body(text, first);
            for (operator, all, operand) in rest {
                let all = if *all { " ALL" } else { "" };
                push(text, format_args!("\n{operator}{all}\n"));
                write_body(text, operand);
            }
        }
        QueryBody::Query(inner) => {
            text.push('(');
            write_query(text, inner);
            text.push(')');
        }
        QueryBody::Values(_) | QueryBody::Table(_) => push(text, format_args!(" {body}")),
    }
}

fn write_select(text: &mut String, select: &Select) {
    text.push_str(" SELECT ");
    match &select.distinct {
        None => {}
        Some(crate::ast::Distinct::Rows) => text.push_str("DISTINCT "),
        Some(crate::ast::Distinct::On(keys)) => {
            push(text, format_args!("DISTINCT ON ({}) ", list(keys, ", ")));
        }
    }
    text.push_str(&list(&select.items, ",\n    "));
    for (at, item) in select.from.iter().enumerate() {
        text.push_str(if at == 0 { "\n   FROM " } else { ",\n    " });
        write_from(text, item);
    }
    if let Some(filter) = &select.filter {
        push(text, format_args!("\n  WHERE {filter}"));
    }
    if let Some(group_by) = &select.group_by {
        let distinct = if group_by.distinct { "DISTINCT " } else { "" };
        push(
            text,
            format_args!("\n  GROUP BY {distinct}{}", list(&group_by.items, ", ")),
        );
    }
    if let Some(having) = &select.having {
        push(text, format_args!("\n HAVING {having}"));
    }
    for (at, (name, window)) in select.windows.iter().enumerate() {
        text.push_str(if at == 0 { "\n  WINDOW " } else { ", " });
        push(text, format_args!("{name} AS ({window})"));
    }
}

/// Joins stand below one another.
fn write_from(text: &mut String, item: &TableRef) {
    let TableRefKind::Join { left, .. } = &item.kind else {
        return push(text, item);
    };
    if item.alias.is_some() {
        return push(text, item);
    }
    write_from(text, left);
    // What the join adds to its left side, as it prints itself.
    let whole = item.to_string();
    let rest = whole
        .strip_prefix(left.to_string().as_str())
        .unwrap_or(&whole)
        .trim_start();
    push(text, format_args!("\n     {rest}"));
}
