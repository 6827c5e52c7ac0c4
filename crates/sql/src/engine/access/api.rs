//! Roles, as programs see and change them without SQL text.

use std::sync::Arc;

use super::{Authorization, denied};
use crate::{
    Error, Result, SqlState,
    ast::{AccessStatement, Ident, RoleOption, RoleSpec, RoleWord},
    bound::{BoundStatement, Definition, Needed},
    catalog::access::{ObjectId, Privileges, Role},
    engine::{
        database::Database,
        session::{Session, StatementResult},
    },
    span::Span,
};

/// A name as it is, not folded.
fn exactly(name: &str) -> Ident {
    Ident {
        name: name.to_owned(),
        quoted: true,
        span: Span::default(),
    }
}

impl Database {
    /// Every role, by name.
    #[must_use]
    pub fn roles(&self) -> Vec<Arc<Role>> {
        self.catalog().access.roles().cloned().collect()
    }

    /// A role by name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<Arc<Role>> {
        self.catalog().access.role_named(name).cloned()
    }

    /// Whether a role is another one or a member of it, directly or through others.
    #[must_use]
    pub fn is_member(&self, role: &str, of: &str) -> bool {
        let catalog = self.catalog();
        let named = |name| catalog.access.role_named(name).map(|role| role.id);
        match (named(role), named(of)) {
            (Some(role), Some(of)) => catalog.access.is_member(role, of),
            _ => false,
        }
    }

    /// Makes a role, or changes the one that there is: CREATE ROLE and ALTER ROLE.
    ///
    /// ```
    /// use rustling_sql::{Database, ast::RoleOption};
    ///
    /// let db = Database::in_memory()?;
    /// db.set_role("ann", &[RoleOption::Login(true), RoleOption::Password(Some("secret".into()))])?;
    /// assert!(db.role("ann").is_some_and(|ann| ann.login && !ann.superuser));
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the name is reserved, or the options say something that cannot be.
    pub fn set_role(&self, name: &str, options: &[RoleOption]) -> Result<()> {
        let options = options.to_vec();
        let statement = match self.role(name) {
            Some(_) => AccessStatement::AlterRole {
                role: RoleSpec::Named(exactly(name)),
                options,
            },
            None => AccessStatement::CreateRole {
                word: RoleWord::Role,
                name: exactly(name),
                options,
            },
        };
        self.session().run_access(statement)?;
        Ok(())
    }

    /// Drops a role: DROP ROLE.
    ///
    /// # Errors
    /// 42704 where there is no such role, 2BP01 where something depends on it.
    pub fn drop_role(&self, name: &str) -> Result<()> {
        self.session().run_access(AccessStatement::DropRole {
            names: vec![RoleSpec::Named(exactly(name))],
            if_exists: false,
        })?;
        Ok(())
    }
}

impl Session {
    fn run_access(&mut self, statement: AccessStatement) -> Result<StatementResult> {
        self.define(move |_| {
            let definition = Definition::Access(Box::new(statement.clone()));
            Ok((
                BoundStatement::Definition(Box::new(definition)),
                Some(Needed::default()),
            ))
        })
    }

    /// Makes a role that may log in the session's user, as a server does for a client.
    ///
    /// # Errors
    /// 28000 where there is no such role or it may not log in, 42501 where it may not connect to
    /// the database, 53300 where it has as many sessions as it may have.
    pub fn log_in(&mut self, name: &str) -> Result<()> {
        let catalog = self.catalog();
        let Some(role) = catalog.access.role_named(name) else {
            return Err(Error::new(
                SqlState("28000"),
                format!("role \"{name}\" does not exist"),
            ));
        };
        if !role.login {
            return Err(Error::new(
                SqlState("28000"),
                format!("role \"{name}\" is not permitted to log in"),
            ));
        }
        let rights = catalog.access.rights(role.id);
        if !rights
            .privileges(&ObjectId::Database)
            .contains(Privileges::CONNECT)
        {
            return Err(denied("database", self.database().name())
                .detail("User does not have CONNECT privilege."));
        }
        // Whoever may do everything may come in to put things right.
        let limit = if role.superuser {
            -1
        } else {
            role.connection_limit
        };
        // Who logs in anew gives the old place up.
        drop(self.login.take());
        let login = self.database.inner.served.log_in(role.id, limit);
        self.login = Some(login.ok_or_else(|| {
            Error::new(
                SqlState("53300"),
                format!("too many connections for role \"{}\"", role.name),
            )
        })?);
        self.authorization = Authorization::of(role.id);
        self.authorization_changed();
        Ok(())
    }
}
