//! DROP TYPE, DROP DOMAIN, with what uses a type.

use std::sync::Arc;

use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState,
    ast::Statement,
    binder::{
        BindOptions, bind,
        type_users::{TypeUser, users_of},
    },
    bound::BoundStatement,
    catalog::named_type::NamedType,
    engine::{
        notice::Notice,
        session::{Session, StatementResult},
    },
};

impl Session {
    pub(super) fn drop_types(
        &mut self,
        transaction: &Transaction,
        types: &[Arc<NamedType>],
        missing: &[String],
        cascade: bool,
        domain: bool,
    ) -> Result<StatementResult> {
        let mut notices = missing
            .iter()
            .map(|name| Notice::new(format!("type \"{name}\" does not exist, skipping")))
            .collect();
        for of in types {
            self.drop_type(transaction, of, types, cascade, &mut notices)?;
        }
        let tag = if domain { "DROP DOMAIN" } else { "DROP TYPE" };
        Ok(StatementResult::noted(tag, notices))
    }

    /// Drops a type; `dropped`: those that are dropped with it anyway.
    pub(super) fn drop_type(
        &mut self,
        transaction: &Transaction,
        of: &Arc<NamedType>,
        dropped: &[Arc<NamedType>],
        cascade: bool,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let catalog = self.catalog();
        let still_there = catalog.named_types().any(|known| known.id == of.id);
        if !still_there {
            // It went with another one.
            return Ok(());
        }
        let users = users_of(&catalog.with_public(), of)?;
        let others: Vec<String> = users
            .iter()
            .filter(|user| !user.is_among(dropped))
            .map(TypeUser::name)
            .collect();
        if !others.is_empty() && !cascade {
            let lines: Vec<String> = others
                .iter()
                .map(|user| format!("{user} depends on type {}", of.name))
                .collect();
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS,
                format!(
                    "cannot drop type {} because other objects depend on it",
                    of.name
                ),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        super::drop::note_cascade(others.into_iter(), notices);
        for user in users {
            match &user {
                TypeUser::Type(other) if user.is_among(dropped) => {
                    self.drop_type(transaction, other, dropped, cascade, notices)?;
                }
                user => {
                    let catalog = self.reload_catalog(transaction)?;
                    if let Some(statement) = user.dropping(&catalog.with_public())? {
                        self.run_within(transaction, &statement)?;
                    }
                }
            }
        }
        let catalog = self.reload_catalog(transaction)?;
        if let Some(user) = users_of(&catalog.with_public(), of)?.first() {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                format!("{} still needs type {}", user.name(), of.name),
            ));
        }
        self.database
            .inner
            .catalog_store
            .delete_type(transaction, of.id)?;
        self.reload_catalog(transaction)?;
        Ok(())
    }

    /// Runs a definition as a part of another one. What it says was said with that one.
    fn run_within(&mut self, transaction: &Transaction, statement: &Statement) -> Result<()> {
        let catalog = self.catalog();
        let path = Arc::clone(&self.settings.search_path);
        let bound = bind(
            statement,
            &catalog.with_path(&path),
            &BindOptions::default(),
        )?;
        match bound.statement {
            BoundStatement::Definition(definition) => {
                self.change(transaction, *definition).map(|_| ())
            }
            _ => Err(Error::new(SqlState::INTERNAL_ERROR, "not a definition")),
        }
    }
}
