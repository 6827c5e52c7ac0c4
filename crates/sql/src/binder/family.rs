//! Reading a table together with the tables made of it: its partitions, and those that inherit
//! from it.

use std::sync::Arc;

use super::{Binder, MAX_RELATIONS, internal, literal, scope::ScopeColumn, unsupported};
use crate::{
    bound::{ColumnId, Expr, ExprKind, Family, FamilyMember, LogicalPlan},
    catalog::Table,
    error::Result,
    span::Span,
    types::{DataType, Value},
};

impl<'a> Binder<'a> {
    /// A table and all tables made of it, each once, parents before children.
    pub(super) fn family(&self, table: &Arc<Table>, span: Span) -> Result<Vec<Arc<Table>>> {
        let mut family = vec![Arc::clone(table)];
        let mut at = 0;
        while let Some(member) = family.get(at) {
            for child in self.catalog.children(member.id) {
                if !family.iter().any(|known| known.id == child.id) {
                    family.push(child);
                }
            }
            at += 1;
            if family.len() > MAX_RELATIONS {
                return Err(unsupported(
                    &format!("tables of more than {MAX_RELATIONS} others are"),
                    span,
                ));
            }
        }
        Ok(family)
    }

    /// The tables of a family that have rows; `None` where that is just the table itself.
    pub(super) fn family_with_rows(
        &self,
        table: &Arc<Table>,
        span: Span,
    ) -> Result<Option<Vec<Arc<Table>>>> {
        if table.view().is_some() {
            return Ok(None);
        }
        if table.partitioning.is_none() && self.catalog.children(table.id).is_empty() {
            return Ok(None);
        }
        let mut family = self.family(table, span)?;
        family.retain(|member| member.partitioning.is_none());
        Ok(Some(family))
    }

    /// All rows of a table and of those made of it, in the table's columns; beside them, for
    /// changing them, which member a row is of and its key there.
    pub(super) fn scan_family(
        &mut self,
        table: &Arc<Table>,
        members: Vec<Arc<Table>>,
        row_key: Option<ColumnId>,
        span: Span,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>, Family)> {
        let columns: Vec<ScopeColumn> = table
            .columns
            .iter()
            .map(|column| ScopeColumn {
                name: column.name.clone(),
                id: self.column_id(),
                data_type: column.data_type.of_values(),
                nullable: !column.not_null,
            })
            .collect();
        let member_id = self.column_id();
        let mut inputs = Vec::with_capacity(members.len());
        let table_oid = self.options.table_oids.then(|| self.column_id());
        let mut table_oids = Vec::new();
        let mut ids: Vec<Vec<ColumnId>> = vec![Vec::new(); columns.len() + 2];
        let mut family = Family {
            member: member_id,
            members: Vec::with_capacity(members.len()),
            table_oid,
        };
        for (place, member) in members.into_iter().enumerate() {
            self.count_relation(span)?;
            let Some(places) = table.columns_in(&member) else {
                return Err(internal("a table lacks a column of its parent", span));
            };
            let key = self.column_id();
            let (plan, scanned) = self.scan(&member, row_key.map(|_| key), span)?;
            for (column, place) in ids.iter_mut().zip(&places) {
                column.push(scanned[*place].id);
            }
            let mut plan = plan;
            if row_key.is_some() || table_oid.is_some() {
                let mut items: Vec<(ColumnId, Expr)> = places
                    .iter()
                    .map(|place| {
                        let column = &scanned[*place];
                        (column.id, column_of(column.id, column.data_type, span))
                    })
                    .collect();
                if table_oid.is_some() {
                    let id = self.column_id();
                    items.push((id, literal::table_oid(member.id, span)));
                    table_oids.push(id);
                }
                if row_key.is_some() {
                    let number = self.column_id();
                    items.push((key, column_of(key, DataType::Bytea, span)));
                    let constant = Value::Int4(i32::try_from(place).unwrap_or(i32::MAX));
                    items.push((number, literal::constant(constant, DataType::Int4, span)));
                    ids[columns.len()].push(key);
                    ids[columns.len() + 1].push(number);
                }
                plan = LogicalPlan::Project {
                    input: Box::new(plan),
                    items,
                };
            }
            inputs.push(plan);
            family.members.push(FamilyMember {
                table: member,
                row_key: key,
                columns: places,
            });
        }
        let mut union: Vec<(ColumnId, Vec<ColumnId>, DataType)> = columns
            .iter()
            .zip(&mut ids)
            .map(|(column, ids)| (column.id, std::mem::take(ids), column.data_type))
            .collect();
        if let Some(id) = table_oid {
            union.push((id, table_oids, DataType::Oid));
        }
        if let Some(row_key) = row_key {
            let width = columns.len();
            union.push((row_key, std::mem::take(&mut ids[width]), DataType::Bytea));
            union.push((
                member_id,
                std::mem::take(&mut ids[width + 1]),
                DataType::Int4,
            ));
        }
        let plan = if inputs.is_empty() {
            // A partitioned table without partitions.
            LogicalPlan::Values {
                columns: union
                    .into_iter()
                    .map(|(id, _, data_type)| (id, data_type))
                    .collect(),
                rows: Vec::new(),
            }
        } else {
            LogicalPlan::UnionAll {
                inputs,
                columns: union,
            }
        };
        Ok((plan, columns, family))
    }
}

fn column_of(id: ColumnId, data_type: DataType, span: Span) -> Expr {
    Expr {
        kind: ExprKind::Column(id),
        data_type,
        nullable: true,
        span,
    }
}
