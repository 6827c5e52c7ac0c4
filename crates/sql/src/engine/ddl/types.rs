//! Domains, distinct types and enumerated types: making and changing them.

use std::sync::Arc;

use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState,
    binder::kept::{self, Relabelling},
    bound::TypeChange,
    catalog::{
        Table, TableKind,
        access::ObjectId,
        named_type::{NamedType, NamedTypeKind, TypeId},
    },
    engine::{
        catalog::{CatalogSnapshot, convert::named_type_record},
        session::{Session, StatementResult},
        table::TableHandle,
    },
    types::{EnumLabel, EnumType},
};

impl Session {
    pub(super) fn create_type(
        &mut self,
        transaction: &Transaction,
        mut definition: NamedType,
        tag: &str,
    ) -> Result<StatementResult> {
        let is_new = definition.id == TypeId(0);
        if is_new {
            definition.id = TypeId(self.allocate_id(transaction)?);
        }
        self.put_type(transaction, &definition)?;
        if is_new {
            self.note_owner(transaction, &ObjectId::Type(definition.id.0))?;
        }
        Ok(StatementResult::done(tag))
    }

    pub(super) fn create_enum(
        &mut self,
        transaction: &Transaction,
        shell: TypeId,
        (schema, name): (String, String),
        labels: Vec<EnumLabel>,
    ) -> Result<StatementResult> {
        let id = match shell {
            TypeId(0) => self.allocate_id(transaction)?,
            TypeId(id) => id,
        };
        let array = self.allocate_id(transaction)?;
        let labels = labels
            .into_iter()
            .map(|label| {
                let id = self.allocate_id(transaction)?;
                Ok(EnumLabel::new(
                    id,
                    label.name().to_owned(),
                    label.position(),
                ))
            })
            .collect::<Result<_>>()?;
        let made = NamedType::of_enum(EnumType::new(id, array, schema, name, labels));
        self.put_type(transaction, &made)?;
        if shell == TypeId(0) {
            self.note_owner(transaction, &ObjectId::Type(id))?;
        }
        Ok(StatementResult::done("CREATE TYPE"))
    }

    pub(super) fn alter_named_type(
        &mut self,
        transaction: &Transaction,
        of: &NamedType,
        change: TypeChange,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let changed = match change {
            TypeChange::AddValue { label, place } => {
                let old = enum_of(of)?;
                // Who writes now has read the labels; who waits for a row that is being written
                // must know them when it comes, and plans anew for the table's new version.
                for handle in columns_of(&catalog, of).map(|(handle, _)| handle) {
                    let table = Table::clone(&handle.table);
                    self.put_rewritten(transaction, handle, table)?;
                }
                let id = self.allocate_id(transaction)?;
                let labels = old.with_label(id, label, &place)?;
                relabelled(old, labels)
            }
            TypeChange::RenameValue { from, to } => {
                let old = enum_of(of)?;
                let labels = old.with_renamed(&from, &to)?;
                let relabelling = Relabelling {
                    of: old,
                    from: &from,
                    to: &to,
                };
                self.relabel_kept(transaction, &catalog, &relabelling)?;
                relabelled(old, labels)
            }
            TypeChange::Rename { schema, name } => {
                self.rename_kept(transaction, &catalog, of, (&schema, &name))?;
                match of.as_enum() {
                    Some(old) => NamedType::of_enum(EnumType::new(
                        old.id(),
                        old.array_id(),
                        schema,
                        name,
                        old.labels().to_vec(),
                    )),
                    None => NamedType {
                        schema,
                        name,
                        ..of.clone()
                    },
                }
            }
        };
        self.put_type(transaction, &changed)?;
        Ok(StatementResult::done("ALTER TYPE"))
    }

    pub(super) fn put_type(&self, transaction: &Transaction, of: &NamedType) -> Result<()> {
        let store = self.database.inner.catalog_store;
        store.put_type(transaction, &named_type_record(of))
    }

    /// Writes the new name of a label into all SQL that the catalog keeps.
    fn relabel_kept(
        &mut self,
        transaction: &Transaction,
        catalog: &CatalogSnapshot,
        relabelling: &Relabelling<'_>,
    ) -> Result<()> {
        for handle in catalog.handles() {
            let mut table = Table::clone(&handle.table);
            let whole = Table::clone(&table);
            let mut changed = false;
            for (text, to) in kept::kept_texts(&mut table) {
                let before = text.clone();
                relabelling.in_expression(text, &whole, to, catalog)?;
                changed |= *text != before;
            }
            if let TableKind::View(view) = &mut table.kind {
                let before = view.text.clone();
                let path = view.search_path.clone();
                relabelling.in_view(view, &catalog.with_path(&path))?;
                changed |= view.text != before;
            }
            if changed {
                self.put_rewritten(transaction, handle, table)?;
            }
        }
        for of in catalog.named_types() {
            let mut of = NamedType::clone(of);
            let before = of.clone();
            if let NamedTypeKind::Domain(domain) = &mut of.kind {
                let whole = kept::domain_table(domain);
                let base = domain.base;
                for (text, is_default) in kept::domain_texts(domain) {
                    let to = is_default.then_some(base);
                    relabelling.in_expression(text, &whole, to, catalog)?;
                }
            }
            if of != before {
                self.put_type(transaction, &of)?;
            }
        }
        Ok(())
    }

    /// Writes the new name of a type into all SQL that the catalog keeps.
    fn rename_kept(
        &mut self,
        transaction: &Transaction,
        catalog: &CatalogSnapshot,
        of: &NamedType,
        to: (&str, &str),
    ) -> Result<()> {
        if let Some(view) = super::type_users::views_of(catalog, of).first() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "renaming type {} is not supported yet while a view names it",
                    of.name
                ),
            )
            .detail(format!("view {} names it", view.table.name))
            .hint("Drop the view first, and make it again with the new name."));
        }
        for handle in catalog.handles() {
            let mut table = Table::clone(&handle.table);
            let mut changed = false;
            for (text, _) in kept::kept_texts(&mut table) {
                changed |= kept::rename_type(text, of.id, to, catalog)?;
            }
            if changed {
                self.put_rewritten(transaction, handle, table)?;
            }
        }
        for named in catalog.named_types() {
            let mut named = NamedType::clone(named);
            let mut changed = false;
            if let NamedTypeKind::Domain(domain) = &mut named.kind {
                for (text, _) in kept::domain_texts(domain) {
                    changed |= kept::rename_type(text, of.id, to, catalog)?;
                }
            }
            if changed {
                self.put_type(transaction, &named)?;
            }
        }
        Ok(())
    }

    /// Keeps a table whose texts say the same as before in other words.
    fn put_rewritten(
        &mut self,
        transaction: &Transaction,
        handle: &TableHandle,
        mut table: Table,
    ) -> Result<()> {
        self.lock_table(transaction, &Arc::clone(&handle.table))?;
        table.version += 1;
        self.put_table(transaction, &table)
    }
}

fn enum_of(of: &NamedType) -> Result<EnumType> {
    of.as_enum().ok_or_else(|| {
        Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not an enum", of.name),
        )
    })
}

fn relabelled(old: EnumType, labels: Vec<EnumLabel>) -> NamedType {
    NamedType::of_enum(EnumType::new(
        old.id(),
        old.array_id(),
        old.schema().to_owned(),
        old.name().to_owned(),
        labels,
    ))
}

/// The tables with columns of a type, each with the ordinals of these.
pub(super) fn columns_of<'a>(
    catalog: &'a CatalogSnapshot,
    of: &'a NamedType,
) -> impl Iterator<Item = (&'a Arc<TableHandle>, Vec<usize>)> {
    catalog.handles().filter_map(|handle| {
        let columns: Vec<usize> = handle
            .table
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| {
                column.named_type == Some(of.id) || of.is_type_of(column.data_type)
            })
            .map(|(ordinal, _)| ordinal)
            .collect();
        (!columns.is_empty()).then_some((handle, columns))
    })
}
