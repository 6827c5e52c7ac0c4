//! ALTER TYPE: tables follow the type that their columns are of.

use std::sync::Arc;

use super::Schema;
use crate::{
    binder::{
        kept::{self, Relabelling},
        rebind, stored_expression,
    },
    bound::TypeChange,
    catalog::{
        Table, TableKind,
        named_type::{Domain, NamedType, NamedTypeKind},
    },
    error::{Error, Result, SqlState},
    types::{DataType, EnumType},
};

impl Schema {
    pub(super) fn alter_type(&mut self, of: &NamedType, change: TypeChange) -> Result<()> {
        let mut tables: Vec<Table> = self
            .tables
            .values()
            .map(|table| Table::clone(table))
            .collect();
        let mut types: Vec<NamedType> = self
            .types
            .values()
            .map(|named| NamedType::clone(named))
            .collect();
        let changed = match (change, of.as_enum()) {
            (TypeChange::AddValue { label, place }, Some(old)) => {
                let labels = old.with_label(0, label, &place)?;
                old.with_labels(labels)
            }
            (TypeChange::RenameValue { from, to }, Some(old)) => {
                let relabelling = Relabelling {
                    of: old,
                    from: &from,
                    to: &to,
                };
                for table in &mut tables {
                    let whole = table.clone();
                    for (text, to) in kept::kept_texts(table) {
                        relabelling.in_expression(text, &whole, to, self)?;
                    }
                    if let TableKind::View(view) = &mut table.kind {
                        relabelling.in_view(view, self)?;
                        let statement = crate::parser::parse_statement(&view.text)?;
                        if let crate::ast::StatementKind::Query(query) = statement.kind {
                            view.query = Arc::from(query);
                        }
                    }
                }
                for domain in types.iter_mut().filter_map(as_domain) {
                    let whole = kept::domain_table(domain);
                    let base = domain.base;
                    for (text, to) in kept::domain_texts(domain) {
                        let to = to.then_some(base);
                        relabelling.in_expression(text, &whole, to, self)?;
                    }
                }
                let labels = old.with_renamed(&from, &to)?;
                old.with_labels(labels)
            }
            (TypeChange::Rename { schema, name }, as_enum) => {
                for table in &mut tables {
                    for (text, _) in kept::kept_texts(table) {
                        kept::rename_type(text, of.id, (&schema, &name), self)?;
                    }
                }
                for domain in types.iter_mut().filter_map(as_domain) {
                    for (text, _) in kept::domain_texts(domain) {
                        kept::rename_type(text, of.id, (&schema, &name), self)?;
                    }
                }
                self.keep_types(types);
                types = Vec::new();
                match as_enum {
                    Some(old) => EnumType::new(
                        old.id(),
                        old.array_id(),
                        schema,
                        name,
                        old.labels().to_vec(),
                    ),
                    None => {
                        let renamed = NamedType {
                            schema,
                            name,
                            ..of.clone()
                        };
                        self.types.insert(of.id, Arc::new(renamed));
                        return self.bind_again(tables);
                    }
                }
            }
            _ => {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not an enum", of.name),
                ));
            }
        };
        let follow = |data_type: &mut DataType| *data_type = data_type.with_definition(changed);
        for table in &mut tables {
            for column in &mut table.columns {
                follow(&mut column.data_type);
                let expressions = column.default.iter_mut().chain(&mut column.generated);
                expressions.for_each(|(_, expr)| follow(&mut expr.data_type));
            }
            for index in &mut table.indexes {
                let expressions = index.expressions.iter_mut();
                expressions.for_each(|(_, expr)| follow(&mut expr.data_type));
            }
            for (_, expr) in table.partitioning.iter_mut().flat_map(|of| &mut of.keys) {
                follow(&mut expr.data_type);
            }
            let versions = table.row_versions.iter_mut();
            for (_, data_type) in versions.flat_map(|version| &mut version.columns) {
                follow(data_type);
            }
        }
        self.keep_types(types);
        for named in self.types.values_mut() {
            let named = Arc::make_mut(named);
            match &mut named.kind {
                NamedTypeKind::Distinct(base) => follow(base),
                NamedTypeKind::Domain(domain) => follow(&mut domain.base),
                NamedTypeKind::Shell | NamedTypeKind::Enum(_) => {}
            }
        }
        let changed = NamedType::of_enum(changed);
        self.types.insert(changed.id, Arc::new(changed));
        self.bind_again(tables)
    }

    fn keep_types(&mut self, types: Vec<NamedType>) {
        for named in types {
            self.types.insert(named.id, Arc::new(named));
        }
    }

    /// Keeps the tables with their expressions bound to the types as they are now.
    fn bind_again(&mut self, tables: Vec<Table>) -> Result<()> {
        for mut table in tables {
            rebind(&mut table, self)?;
            let whole = table.clone();
            for column in &mut table.columns {
                if let Some((text, expr)) = &mut column.default {
                    *expr = stored_expression(text, &whole, column.data_type, self)?;
                }
            }
            self.tables.insert(table.id, Arc::new(table));
        }
        Ok(())
    }
}

fn as_domain(named: &mut NamedType) -> Option<&mut Domain> {
    match &mut named.kind {
        NamedTypeKind::Domain(domain) => Some(domain),
        _ => None,
    }
}
