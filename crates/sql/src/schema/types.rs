//! ALTER TYPE: tables follow the type that their columns are of.

use std::sync::Arc;

use super::Schema;
use crate::{
    binder::{
        kept::{self, Relabelling},
        rebind, stored_expression,
        type_users::check_renaming,
    },
    bound::TypeChange,
    catalog::{
        Table,
        named_type::{NamedType, NamedTypeKind},
    },
    error::Result,
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
        let changed = match change {
            TypeChange::AddValue { label, place } => {
                let old = of.expect_enum()?;
                let labels = old.with_label(0, label, &place)?;
                NamedType::of_enum(old.with_labels(labels))
            }
            TypeChange::RenameValue { from, to } => {
                let old = of.expect_enum()?;
                let relabelling = Relabelling {
                    of: old,
                    from: &from,
                    to: &to,
                };
                for table in &mut tables {
                    relabelling.in_table(table, self)?;
                }
                for named in &mut types {
                    relabelling.in_domain(named, self)?;
                }
                let labels = old.with_renamed(&from, &to)?;
                NamedType::of_enum(old.with_labels(labels))
            }
            TypeChange::Rename { schema, name } => {
                check_renaming(self, of)?;
                let to = (schema.as_str(), name.as_str());
                for table in &mut tables {
                    kept::rename_in_table(table, of.id, to, self)?;
                }
                for named in &mut types {
                    kept::rename_in_domain(named, of.id, to, self)?;
                }
                of.renamed(schema, name)
            }
            TypeChange::Nothing { .. } => return Ok(()),
        };
        for named in types {
            self.types.insert(named.id, Arc::new(named));
        }
        if let Some(definition) = changed.as_enum() {
            self.follow_definition(&mut tables, definition);
        }
        self.types.insert(changed.id, Arc::new(changed));
        self.bind_again(tables)
    }

    /// Makes tables and types be of that definition of an enumerated type.
    fn follow_definition(&mut self, tables: &mut [Table], definition: EnumType) {
        let follow = |data_type: &mut DataType| *data_type = data_type.with_definition(definition);
        for table in tables {
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
        for named in self.types.values_mut() {
            let named = Arc::make_mut(named);
            match &mut named.kind {
                NamedTypeKind::Distinct(base) => follow(base),
                NamedTypeKind::Domain(domain) => follow(&mut domain.base),
                NamedTypeKind::Shell | NamedTypeKind::Enum(_) => {}
            }
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
