//! CREATE INDEX.

use std::sync::Arc;

use super::{
    MAX_KEY_COLUMNS,
    constraints::too_many_keys,
    must_be_table,
    names::limited,
    parameters::{self, Target},
    relation_exists,
    row_expressions::refuse_subqueries,
};
use crate::{
    ast::{self, ExprKind as A},
    binder::{Binder, data::table_column, unsupported},
    bound::{BoundStatement, CreateIndex, Definition},
    catalog::{Index, IndexColumn, IndexId, Table},
    error::{Error, Result, SqlState},
};

impl<'a> Binder<'a> {
    pub(in crate::binder) fn create_index(
        &mut self,
        create: &'a ast::CreateIndex,
    ) -> Result<BoundStatement> {
        let table = self.table(&create.table)?;
        must_be_table(&table, create.table.span)?;
        if let Some(method) = &create.method {
            match method.name.as_str() {
                "btree" => {}
                "hash" | "bitmap" => {
                    return Err(unsupported(
                        &format!("the index method {} is", method.name),
                        method.span,
                    )
                    .hint("Leave USING out: a B+ tree answers the same questions."));
                }
                other => {
                    return Err(Error::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("access method \"{other}\" does not exist"),
                    )
                    .at(method.span)
                    .hint("Leave USING out for a B+ tree."));
                }
            }
        }
        let mut index = Index {
            id: IndexId(0),
            name: String::new(),
            columns: Vec::with_capacity(create.elements.len()),
            expressions: Vec::new(),
            predicate: None,
            included: Vec::new(),
            unique: create.unique,
            constraint: false,
            parameters: parameters::checked(Target::Index, &create.parameters)?,
            keyspace: 0,
        };
        let mut parts: Vec<String> = Vec::new();
        for element in &create.elements {
            if let Some(class) = &element.operator_class {
                return Err(unsupported(
                    &format!("the operator class {} is", class.name),
                    class.span,
                ));
            }
            let (ordinal, part) = self.index_key(&table, &mut index, &element.order.expr)?;
            parts.push(part);
            index.columns.push(IndexColumn {
                ordinal,
                descending: element.order.descending,
                nulls_first: element
                    .order
                    .nulls_first
                    .unwrap_or(element.order.descending),
            });
        }
        if index.columns.len() > MAX_KEY_COLUMNS {
            return Err(too_many_keys(index.columns.len(), create.table.span));
        }
        for name in &create.included {
            index.included.push(table_column(&table, name)?);
        }
        if let Some(predicate) = &create.predicate {
            let bound = self.row_condition(&table, predicate, "index predicates")?;
            immutable(
                &bound,
                "functions in index predicate must be marked IMMUTABLE",
            )?;
            index.predicate = Some((self.kept_text(predicate)?, bound));
        }
        index.name = match &create.name {
            Some(name) => name.name.clone(),
            None => self.free_index_name(&table, &parts)?,
        };
        let taken = self.relation_exists(&table.schema, &index.name)?;
        if taken && !create.if_not_exists {
            let span = create
                .name
                .as_ref()
                .map_or(create.table.span, |name| name.span);
            return Err(relation_exists(&index.name, span)
                .hint("Choose another name, or write CREATE INDEX IF NOT EXISTS."));
        }
        let mut children = Vec::new();
        if table.partitioning.is_some() && !taken {
            let mut new = (*table).clone();
            new.indexes.push(index.clone());
            super::partition::keys_cover_partitioning(&new, create.table.span)?;
            let object = ast::ObjectKind::Index;
            children = self.children_of(object, &new, &table, create.table.span)?;
        }
        Ok(BoundStatement::Definition(Box::new(
            Definition::CreateIndex(CreateIndex {
                children,
                table,
                index,
                exists: taken,
            }),
        )))
    }

    /// A key of the index: the ordinal that it has, and what it adds to the index's name.
    fn index_key(
        &mut self,
        table: &Arc<Table>,
        index: &mut Index,
        expr: &'a ast::Expr,
    ) -> Result<(usize, String)> {
        if let A::Column(name) = &expr.kind
            && let [only] = name.parts.as_slice()
        {
            return Ok((table_column(table, only)?, only.name.clone()));
        }
        let bound = self.row_expression(table, expr, "index expressions")?;
        refuse_subqueries(&bound, "index expression")?;
        immutable(
            &bound,
            "functions in index expression must be marked IMMUTABLE",
        )?;
        let part = match &expr.kind {
            A::Function(call) => call.name.last().name.clone(),
            _ => "expr".to_owned(),
        };
        index.expressions.push((self.kept_text(expr)?, bound));
        Ok((table.columns.len() + index.expressions.len() - 1, part))
    }

    /// `table_column_idx`, with a number where that is taken.
    fn free_index_name(&self, table: &Table, parts: &[String]) -> Result<String> {
        let stem = format!("{}_{}", table.name, parts.join("_"));
        let mut number = 0;
        loop {
            let name = limited(&stem, "idx", number);
            if !self.relation_exists(&table.schema, &name)? {
                return Ok(name);
            }
            number += 1;
        }
    }
}

/// What an index keeps must not depend on anything but the row.
fn immutable(expr: &crate::bound::Expr, message: &str) -> Result<()> {
    if crate::binder::is_changeable(expr) {
        return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).at(expr.span));
    }
    Ok(())
}
