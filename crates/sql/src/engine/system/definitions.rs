//! Definitions as SQL text, in the form that PostgreSQL gives them.

use crate::{
    catalog::{Deferral, IndexColumn, ReferentialAction, Table},
    engine::system::{
        SystemView,
        constraints::{Constraint, ConstraintKind, action_words},
        names::{qualified, quoted},
        relations::{IndexParts, Part, Relation},
    },
};

fn list(names: &[String]) -> String {
    names
        .iter()
        .map(|name| quoted(name))
        .collect::<Vec<_>>()
        .join(", ")
}

/// An expression in parentheses, unless it stands in some already.
pub(super) fn enclosed(text: &str) -> String {
    if is_enclosed(text) {
        text.to_owned()
    } else {
        format!("({text})")
    }
}

/// Whether the first parenthesis closes at the end.
fn is_enclosed(text: &str) -> bool {
    if !text.starts_with('(') {
        return false;
    }
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1 == text.len();
                }
            }
            _ => {}
        }
    }
    false
}

/// `pg_get_constraintdef`
pub(crate) fn constraint(view: &SystemView, constraint: &Constraint, pretty: bool) -> String {
    let columns = || list(&constraint.column_names());
    let mut text = match constraint.kind {
        ConstraintKind::PrimaryKey => format!("PRIMARY KEY ({})", columns()),
        ConstraintKind::Unique(at) => {
            let table = &constraint.handle.table;
            let mut text = format!("UNIQUE ({})", columns());
            if let Some(index) = table.indexes.get(at)
                && !index.included.is_empty()
            {
                let included: Vec<String> = index
                    .included
                    .iter()
                    .filter_map(|ordinal| table.columns.get(*ordinal))
                    .map(|column| column.name.clone())
                    .collect();
                text.push_str(&format!(" INCLUDE ({})", list(&included)));
            }
            text
        }
        ConstraintKind::Check(_) => {
            let condition = enclosed(constraint.check().map_or("", |check| check.text.as_str()));
            if pretty {
                format!("CHECK {condition}")
            } else {
                format!("CHECK ({condition})")
            }
        }
        ConstraintKind::ForeignKey(_) => foreign_key(view, constraint),
    };
    match constraint.deferral() {
        Deferral::Never => {}
        Deferral::Immediate => text.push_str(" DEFERRABLE"),
        Deferral::Deferred => text.push_str(" DEFERRABLE INITIALLY DEFERRED"),
    }
    if !constraint.validated() {
        text.push_str(" NOT VALID");
    }
    text
}

fn foreign_key(view: &SystemView, constraint: &Constraint) -> String {
    let Some(reference) = constraint.reference(view) else {
        return String::new();
    };
    let parent = reference.parent.as_ref().map_or_else(
        || "???".to_owned(),
        |parent| view.relation_name(&parent.table.schema, &parent.table.name),
    );
    let key = reference.key;
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {parent}({})",
        list(&constraint.column_names()),
        list(&reference.parent_columns())
    );
    if key.match_full {
        text.push_str(" MATCH FULL");
    }
    if key.on_update != ReferentialAction::NoAction {
        text.push_str(&format!(" ON UPDATE {}", action_words(key.on_update)));
    }
    if key.on_delete != ReferentialAction::NoAction {
        text.push_str(&format!(" ON DELETE {}", action_words(key.on_delete)));
        let table = &constraint.handle.table;
        let set: Vec<String> = key
            .set_columns
            .iter()
            .filter_map(|ordinal| table.columns.get(*ordinal))
            .map(|column| column.name.clone())
            .collect();
        if !set.is_empty() && set.len() < key.columns.len() {
            text.push_str(&format!(" ({})", list(&set)));
        }
    }
    text
}

/// One column of an index, with its order where `ordered`.
fn index_column(
    table: &Table,
    index: &IndexParts<'_>,
    column: &IndexColumn,
    ordered: bool,
) -> String {
    let mut text = match table.columns.get(column.ordinal) {
        Some(of) => quoted(&of.name),
        None => {
            let expression = index
                .expressions
                .get(column.ordinal - table.columns.len())
                .map_or("", |(text, _)| text.as_str());
            // A call needs no parentheses around it.
            let is_call = expression.ends_with(')')
                && expression.split('(').next().is_some_and(|name| {
                    !name.is_empty()
                        && name
                            .chars()
                            .all(|c| c.is_alphanumeric() || c == '_' || c == '.')
                });
            if is_call {
                expression.to_owned()
            } else {
                enclosed(expression)
            }
        }
    };
    if ordered {
        match (column.descending, column.nulls_first) {
            (false, false) => {}
            (false, true) => text.push_str(" NULLS FIRST"),
            (true, true) => text.push_str(" DESC"),
            (true, false) => text.push_str(" DESC NULLS LAST"),
        }
    }
    text
}

/// `pg_get_indexdef`
pub(crate) fn index(view: &SystemView, relation: &Relation, pretty: bool) -> Option<String> {
    let index = relation.index()?;
    let table = relation.table()?;
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|column| index_column(table, &index, column, true))
        .collect();
    let on = if pretty {
        view.relation_name(&table.schema, &table.name)
    } else {
        qualified(&table.schema, &table.name)
    };
    let mut text = format!(
        "CREATE {}INDEX {} ON {on} USING btree ({})",
        if index.unique { "UNIQUE " } else { "" },
        quoted(&relation.name()),
        columns.join(", ")
    );
    if !index.included.is_empty() {
        let included: Vec<String> = index
            .included
            .iter()
            .filter_map(|ordinal| table.columns.get(*ordinal))
            .map(|column| column.name.clone())
            .collect();
        text.push_str(&format!(" INCLUDE ({})", list(&included)));
    }
    if !index.parameters.is_empty() {
        let parameters: Vec<String> = index
            .parameters
            .iter()
            .map(|(name, value)| format!("{name}='{value}'"))
            .collect();
        text.push_str(&format!(" WITH ({})", parameters.join(", ")));
    }
    if let Some(predicate) = index.predicate {
        text.push_str(&format!(
            " WHERE {}",
            if pretty {
                predicate.to_owned()
            } else {
                enclosed(predicate)
            }
        ));
    }
    Some(text)
}

/// `pg_get_indexdef` of one column, counted from 1.
pub(crate) fn index_part(relation: &Relation, at: usize) -> Option<String> {
    let index = relation.index()?;
    let table = relation.table()?;
    let at = at.checked_sub(1)?;
    match index.columns.get(at) {
        Some(column) => Some(index_column(table, &index, column, false)),
        None => {
            let ordinal = index.included.get(at - index.columns.len())?;
            Some(quoted(&table.columns.get(*ordinal)?.name))
        }
    }
}

/// `pg_get_viewdef`
pub(crate) fn view(relation: &Relation) -> Option<String> {
    let Part::Table(handle) = &relation.part else {
        return None;
    };
    let of = handle.table.view()?;
    Some(format!("{};", super::query_text::query(&of.query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parentheses_are_not_doubled() {
        assert_eq!(enclosed("a > 0"), "(a > 0)");
        assert_eq!(enclosed("(a > 0)"), "(a > 0)");
        assert_eq!(enclosed("(a) > (0)"), "((a) > (0))");
        assert_eq!(enclosed("(a = ')(')"), "(a = ')(')");
    }
}
