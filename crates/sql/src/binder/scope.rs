//! What names mean inside a SELECT.

use std::sync::Arc;

use crate::{
    bound::ColumnId,
    catalog::{Column, Table},
    types::DataType,
};

/// A column that an expression may name.
#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    pub(super) name: String,
    pub(super) id: ColumnId,
    pub(super) data_type: DataType,
    pub(super) nullable: bool,
}

/// The hidden column that holds the number of a row's table; no column of a user's has that name.
pub(super) const TABLE_OID: &str = "\0tableoid";

impl ScopeColumn {
    /// Whether no name leads to it, nor does `*`.
    pub(super) fn is_hidden(&self) -> bool {
        self.name == TABLE_OID
    }
}

/// A table, subquery or join under a name.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) name: String,
    /// The schema, where the relation is a table without an alias.
    pub(super) schema: Option<String>,
    pub(super) columns: Vec<ScopeColumn>,
    /// The base table, for primary keys.
    pub(super) table: Option<Arc<Table>>,
}

/// The relations of a FROM clause.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) relations: Vec<Relation>,
    /// The columns that stand without a qualifier, in the order of `*`: USING and NATURAL merge
    /// two into one.
    pub(super) columns: Vec<ScopeColumn>,
}

impl Scope {
    /// Over a row of a table: column `i` is [`ColumnId`] `i`.
    pub(super) fn of_row(table: &Table, nullable: impl Fn(&Column) -> bool) -> Scope {
        let columns = table
            .columns
            .iter()
            .enumerate()
            .map(|(ordinal, column)| ScopeColumn {
                name: column.name.clone(),
                id: ColumnId(ordinal as u32),
                data_type: column.data_type.of_values(),
                nullable: nullable(column),
            })
            .collect();
        let mut scope = Scope::default();
        scope.add_relation(&table.name, Some(&table.schema), columns, None);
        scope
    }

    /// Adds a relation; its columns become visible.
    pub(super) fn add_relation(
        &mut self,
        name: &str,
        schema: Option<&str>,
        columns: Vec<ScopeColumn>,
        table: Option<Arc<Table>>,
    ) {
        self.columns.extend(columns.iter().cloned());
        self.relations.push(Relation {
            name: name.to_owned(),
            schema: schema.map(str::to_owned),
            columns,
            table,
        });
    }

    /// Puts two scopes side by side.
    pub(super) fn join(mut self, other: Scope) -> Scope {
        self.relations.extend(other.relations);
        self.columns.extend(other.columns);
        self
    }

    /// Every column can be NULL: the scope is on the inner side of an outer join.
    pub(super) fn make_nullable(&mut self) {
        let columns = self
            .relations
            .iter_mut()
            .flat_map(|relation| &mut relation.columns)
            .chain(&mut self.columns);
        for column in columns {
            column.nullable = true;
        }
    }

    /// The relation of that name.
    pub(super) fn relation(&self, name: &str, schema: Option<&str>) -> Vec<&Relation> {
        self.relations
            .iter()
            .filter(|relation| {
                relation.name == name
                    && schema.is_none_or(|schema| relation.schema.as_deref() == Some(schema))
            })
            .collect()
    }

    /// All columns by id, the merged ones included.
    pub(super) fn column_by_id(&self, id: ColumnId) -> Option<(Option<&Relation>, &ScopeColumn)> {
        self.relations
            .iter()
            .find_map(|relation| {
                relation
                    .columns
                    .iter()
                    .find(|column| column.id == id)
                    .map(|column| (Some(relation), column))
            })
            .or_else(|| {
                self.columns
                    .iter()
                    .find(|column| column.id == id)
                    .map(|column| (None, column))
            })
    }

    /// Gives the columns other ids, as a projection on top does.
    pub(super) fn rename(&mut self, new_id: impl Fn(ColumnId) -> ColumnId) {
        let columns = self
            .relations
            .iter_mut()
            .flat_map(|relation| &mut relation.columns)
            .chain(&mut self.columns);
        for column in columns {
            column.id = new_id(column.id);
        }
    }
}
