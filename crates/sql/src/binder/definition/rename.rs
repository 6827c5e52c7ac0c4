//! Other names for what a definition names, in the SQL that it keeps as well.

use crate::{
    ast::{self, Ident},
    catalog::Table,
    error::Result,
};

/// A name as it is to be written into kept SQL.
pub(super) fn requoted(name: &Ident) -> Ident {
    Ident {
        quoted: true,
        ..name.clone()
    }
}

/// Changes the names in the SQL that the definition keeps.
pub(super) fn rename_in_expressions(
    table: &mut Table,
    rename: &dyn Fn(&mut [Ident]),
) -> Result<()> {
    let change = |text: &mut String| -> Result<()> {
        let mut tree = crate::parser::parse_expression(text)?;
        ast::walk_expr_mut(&mut tree, &mut |expr| {
            if let ast::ExprKind::Column(name) = &mut expr.kind {
                rename(&mut name.parts);
            }
        });
        *text = tree.to_string();
        Ok(())
    };
    for check in &mut table.checks {
        change(&mut check.text)?;
    }
    for column in &mut table.columns {
        if let Some((text, _)) = &mut column.generated {
            change(text)?;
        }
    }
    for index in &mut table.indexes {
        for (text, _) in &mut index.expressions {
            change(text)?;
        }
        if let Some((text, _)) = &mut index.predicate {
            change(text)?;
        }
    }
    for (text, _) in table.partitioning.iter_mut().flat_map(|of| &mut of.keys) {
        change(text)?;
    }
    Ok(())
}

/// Renames a constraint or index; `false`: there is none of that name.
pub(super) fn rename_constraint(table: &mut Table, from: &str, to: &Ident) -> bool {
    let names = table
        .checks
        .iter_mut()
        .map(|check| &mut check.name)
        .chain(table.foreign_keys.iter_mut().map(|key| &mut key.name))
        .chain(table.indexes.iter_mut().map(|index| &mut index.name))
        .chain(table.primary_key_name.as_mut());
    let mut found = false;
    for name in names.filter(|name| *name == from) {
        name.clone_from(&to.name);
        found = true;
    }
    found
}
