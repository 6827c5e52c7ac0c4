//! Domains and distinct types.

use std::sync::Arc;

use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState,
    catalog::{
        access::ObjectId,
        named_type::{NamedType, TypeId},
    },
    engine::{
        catalog::{CatalogSnapshot, convert::named_type_record},
        notice::Notice,
        session::{Session, StatementResult},
    },
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
        let store = self.database.inner.catalog_store;
        store.put_type(transaction, &named_type_record(&definition))?;
        if is_new {
            self.note_owner(transaction, &ObjectId::Type(definition.id.0))?;
        }
        Ok(StatementResult::done(tag))
    }

    pub(super) fn drop_types(
        &mut self,
        transaction: &Transaction,
        types: &[Arc<NamedType>],
        missing: &[String],
        cascade: bool,
        domain: bool,
    ) -> Result<StatementResult> {
        let notices = missing
            .iter()
            .map(|name| Notice::new(format!("type \"{name}\" does not exist, skipping")))
            .collect();
        let catalog = self.catalog();
        for of in types {
            let users = columns_of(&catalog, of.id);
            if !users.is_empty() && cascade {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "dropping the columns of type {} with it is not supported yet",
                        of.name
                    ),
                )
                .detail(users.join("\n"))
                .hint("Drop the columns, or change their type, first."));
            }
            if !users.is_empty() {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS,
                    format!(
                        "cannot drop type {} because other objects depend on it",
                        of.name
                    ),
                )
                .detail(users.join("\n")));
            }
            self.database
                .inner
                .catalog_store
                .delete_type(transaction, of.id)?;
        }
        let tag = if domain { "DROP DOMAIN" } else { "DROP TYPE" };
        Ok(StatementResult::noted(tag, notices))
    }
}

/// The columns that were declared with a type.
fn columns_of(catalog: &CatalogSnapshot, id: TypeId) -> Vec<String> {
    catalog
        .handles()
        .flat_map(|handle| {
            let table = &handle.table;
            table
                .columns
                .iter()
                .filter(|column| column.named_type == Some(id))
                .map(|column| format!("column {} of table {}", column.name, table.name))
        })
        .collect()
}
