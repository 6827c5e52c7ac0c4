//! Domains, distinct types and enumerated types: making and changing them.

use std::sync::Arc;

use rustling_txn::Transaction;

use crate::{
    Result,
    binder::{
        kept::{self, Relabelling},
        type_users::check_renaming,
    },
    bound::TypeChange,
    catalog::{
        Table,
        access::ObjectId,
        named_type::{NamedType, TypeId},
    },
    engine::{
        catalog::{CatalogSnapshot, convert::named_type_record},
        notice::Notice,
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
                let old = of.expect_enum()?;
                // Who writes now has read the labels; who waits for a row that is being written
                // must know them when it comes, and plans anew for the table's new version.
                for handle in tables_with(&catalog, of) {
                    let table = Table::clone(&handle.table);
                    self.put_rewritten(transaction, table)?;
                }
                let id = self.allocate_id(transaction)?;
                let labels = old.with_label(id, label, &place)?;
                NamedType::of_enum(old.with_labels(labels))
            }
            TypeChange::RenameValue { from, to } => {
                let old = of.expect_enum()?;
                let labels = old.with_renamed(&from, &to)?;
                let relabelling = Relabelling {
                    of: old,
                    from: &from,
                    to: &to,
                };
                let reader = catalog.with_public();
                self.rewrite_kept(
                    transaction,
                    &catalog,
                    |table| relabelling.in_table(table, &reader),
                    |named| relabelling.in_domain(named, &reader),
                )?;
                NamedType::of_enum(old.with_labels(labels))
            }
            TypeChange::Rename { schema, name } => {
                let reader = catalog.with_public();
                check_renaming(&reader, of)?;
                let to = (schema.as_str(), name.as_str());
                self.rewrite_kept(
                    transaction,
                    &catalog,
                    |table| kept::rename_in_table(table, of.id, to, &reader),
                    |named| kept::rename_in_domain(named, of.id, to, &reader),
                )?;
                of.renamed(schema, name)
            }
            TypeChange::Nothing { notice } => {
                return Ok(StatementResult::noted(
                    "ALTER TYPE",
                    vec![Notice::new(notice)],
                ));
            }
        };
        self.put_type(transaction, &changed)?;
        Ok(StatementResult::done("ALTER TYPE"))
    }

    pub(super) fn put_type(&self, transaction: &Transaction, of: &NamedType) -> Result<()> {
        let store = self.database.inner.catalog_store;
        store.put_type(transaction, &named_type_record(of))
    }

    /// Rewrites the SQL that the catalog keeps of tables and of types; what says that it has changed
    /// something is kept anew.
    fn rewrite_kept(
        &mut self,
        transaction: &Transaction,
        catalog: &CatalogSnapshot,
        in_table: impl Fn(&mut Table) -> Result<bool>,
        in_type: impl Fn(&mut NamedType) -> Result<bool>,
    ) -> Result<()> {
        for handle in catalog.handles() {
            let mut table = Table::clone(&handle.table);
            if in_table(&mut table)? {
                self.put_rewritten(transaction, table)?;
            }
        }
        for named in catalog.named_types() {
            let mut named = NamedType::clone(named);
            if in_type(&mut named)? {
                self.put_type(transaction, &named)?;
            }
        }
        Ok(())
    }

    /// Keeps a table whose texts say the same as before in other words, or whose types do.
    fn put_rewritten(&mut self, transaction: &Transaction, mut table: Table) -> Result<()> {
        self.lock_table(transaction, &table)?;
        table.version += 1;
        self.put_table(transaction, &table)
    }
}

/// The tables with columns of a type.
fn tables_with<'a>(
    catalog: &'a CatalogSnapshot,
    of: &'a NamedType,
) -> impl Iterator<Item = &'a Arc<TableHandle>> {
    catalog.handles().filter(|handle| {
        let mut columns = handle.table.columns.iter();
        columns.any(|column| column.named_type == Some(of.id) || of.is_type_of(column.data_type))
    })
}
