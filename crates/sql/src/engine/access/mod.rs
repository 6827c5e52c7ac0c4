//! Who may do what: what a statement needs, against what the session's role may do.
//!
//! - here: whom a session acts as, and queries and changes of rows.
//! - [`api`]: roles without SQL text.
//! - [`definitions`]: statements that change the catalog.
//! - [`roles`]: CREATE, ALTER and DROP ROLE, GRANT and REVOKE of roles.
//! - [`grants`]: GRANT and REVOKE of privileges.
//! - [`owners`]: ALTER … OWNER TO, REASSIGN OWNED, DROP OWNED.
//! - [`inquiry`]: `has_table_privilege` and its like.
//! - [`password`]: what is kept of a password.

mod api;
mod definitions;
mod grants;
mod inquiry;
mod owners;
mod password;
mod roles;
#[cfg(test)]
mod tests;

use std::sync::{Arc, atomic::Ordering};

use crate::{
    Error, Result, SqlState,
    ast::{RoleSpec, SetScope},
    bound::{AccessCheck, Needed},
    catalog::{
        Table,
        access::{ObjectId, Privileges, Role, RoleId},
    },
    engine::{
        catalog::{CatalogSnapshot, access::Rights},
        prepared::Planned,
        session::{Session, StatementResult},
        temporary::PREFIX,
    },
    eval::SessionInfo,
};

/// Whom a session acts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    /// Who has connected.
    pub(crate) authenticated: RoleId,
    /// `session_user`: who has connected, unless a superuser has changed it.
    pub(crate) session: RoleId,
    /// What SET ROLE says; `None`: NONE.
    pub(crate) role: Option<RoleId>,
}

impl Default for Authorization {
    fn default() -> Authorization {
        Authorization::of(RoleId::SUPERUSER)
    }
}

impl Authorization {
    pub(crate) fn of(role: RoleId) -> Authorization {
        Authorization {
            authenticated: role,
            session: role,
            role: None,
        }
    }

    /// `current_user`.
    pub(crate) fn current(&self) -> RoleId {
        self.role.unwrap_or(self.session)
    }
}

/// 42501.
#[cold]
pub(crate) fn denied(what: &str, name: &str) -> Error {
    Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("permission denied for {what} {name}"),
    )
}

/// 42501, for what only an owner may do.
#[cold]
pub(super) fn not_owner(what: &str, name: &str) -> Error {
    Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("must be owner of {what} {name}"),
    )
}

#[cold]
fn no_role(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("role \"{name}\" does not exist"),
    )
}

/// What a table is called in messages.
pub(crate) fn noun(table: &Table) -> &'static str {
    if table.view().is_some() {
        "view"
    } else {
        "table"
    }
}

impl Session {
    /// What the current role may do.
    pub(crate) fn rights<'c>(&self, catalog: &'c CatalogSnapshot) -> Rights<'c> {
        catalog.access.rights(self.authorization.current())
    }

    /// Fails where the session's role may not run a planned statement.
    pub(crate) fn authorize(&self, catalog: &CatalogSnapshot, planned: &Planned) -> Result<()> {
        let role = self.authorization.current();
        // A plan is of one version of the catalog, so what was allowed once stays so.
        if planned.allowed.load(Ordering::Relaxed) == role.0 {
            return Ok(());
        }
        self.authorize_needed(catalog, &planned.needed)?;
        planned.allowed.store(role.0, Ordering::Relaxed);
        Ok(())
    }

    /// Fails where the session's role lacks one of these rights.
    pub(crate) fn authorize_needed(
        &self,
        catalog: &CatalogSnapshot,
        needed: &Needed,
    ) -> Result<()> {
        let rights = self.rights(catalog);
        for check in &needed.tables {
            let through = check.through.map(|view| {
                let owner = catalog.access.of(&ObjectId::Table(view)).owner;
                catalog.access.rights(owner)
            });
            let rights = through.unwrap_or(rights);
            if !rights.superuser {
                self.check_table(catalog, &rights, check)?;
            }
        }
        for id in &needed.types {
            let object = ObjectId::Type(id.0);
            if !rights.privileges(&object).contains(Privileges::USAGE) {
                return Err(denied("type", &self.object_name(catalog, &object)));
            }
        }
        if rights.superuser || !catalog.access.has_routines {
            return Ok(());
        }
        for name in &needed.functions {
            let object = ObjectId::Routine(name.clone());
            if !rights.privileges(&object).contains(Privileges::EXECUTE) {
                return Err(denied("function", name));
            }
        }
        Ok(())
    }

    fn check_table(
        &self,
        catalog: &CatalogSnapshot,
        rights: &Rights<'_>,
        check: &AccessCheck,
    ) -> Result<()> {
        let table = &check.table;
        // The system's own views are for everybody to read.
        if matches!(table.kind, crate::catalog::TableKind::System(_))
            && check.privilege == Privileges::SELECT
        {
            return Ok(());
        }
        self.may_use_schema(catalog, rights, &table.schema)?;
        let columns = check.columns.as_deref();
        let allowed = match columns {
            Some(columns) => rights.on_columns(table.id, check.privilege, columns),
            // Of several, one will do: LOCK TABLE asks so.
            None => !rights
                .privileges(&ObjectId::Table(table.id))
                .and(check.privilege)
                .is_empty(),
        };
        if allowed {
            Ok(())
        } else {
            Err(denied(noun(table), &table.name))
        }
    }

    /// Fails where a role may not look into a schema.
    pub(crate) fn may_use_schema(
        &self,
        catalog: &CatalogSnapshot,
        rights: &Rights<'_>,
        schema: &str,
    ) -> Result<()> {
        self.on_schema(catalog, rights, schema, Privileges::USAGE)
    }

    fn on_schema(
        &self,
        catalog: &CatalogSnapshot,
        rights: &Rights<'_>,
        schema: &str,
        privilege: Privileges,
    ) -> Result<()> {
        if rights.superuser || self.temporary.schema.as_deref() == Some(schema) {
            return Ok(());
        }
        let allowed = match catalog.schema_id(schema) {
            Some(id) => rights.privileges(&ObjectId::Schema(id)).contains(privilege),
            // The system's own.
            None => privilege == Privileges::USAGE && !schema.starts_with(PREFIX),
        };
        if allowed {
            Ok(())
        } else {
            Err(denied("schema", schema))
        }
    }

    /// Whether the current role may have a table vacuumed, or analyzed without naming it: who owns
    /// it or the database may.
    pub(crate) fn may_maintain(&self, catalog: &CatalogSnapshot, table: &Table) -> bool {
        let rights = self.rights(catalog);
        rights.owns(&ObjectId::Table(table.id)) || rights.owns(&ObjectId::Database)
    }

    /// Makes `name` the session's user: what it may not do it cannot. Embedded sessions begin as
    /// the superuser that every database has.
    ///
    /// ```
    /// use rustling_sql::Database;
    ///
    /// let db = Database::in_memory()?;
    /// db.execute("CREATE TABLE secret (n int)", ())?;
    /// db.execute("CREATE ROLE ann LOGIN", ())?;
    /// let mut session = db.session();
    /// session.act_as("ann")?;
    /// assert!(session.query("SELECT n FROM secret", ()).is_err());
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    ///
    /// # Errors
    /// 42704 where there is no such role.
    pub fn act_as(&mut self, name: &str) -> Result<()> {
        let catalog = self.catalog();
        let role = catalog
            .access
            .role_named(name)
            .ok_or_else(|| no_role(name))?;
        self.authorization = Authorization::of(role.id);
        self.authorization_changed();
        Ok(())
    }

    /// What follows from acting as somebody else.
    pub(crate) fn authorization_changed(&mut self) {
        let catalog = self.catalog();
        self.info = Arc::new(SessionInfo {
            user: catalog.access.name_of(self.authorization.current()),
            session_user: catalog.access.name_of(self.authorization.session),
            ..SessionInfo::clone(&self.info)
        });
        self.own_sequences();
        self.sequences.set_role(self.authorization.current());
        // Whoever shows settings to clients shows the role with them.
        self.settings_version += 1;
    }

    /// The role that a statement names.
    pub(crate) fn role_of(&self, catalog: &CatalogSnapshot, role: &RoleSpec) -> Result<Arc<Role>> {
        let by_id = |id: RoleId| {
            let found = catalog.access.role(id).cloned();
            found.ok_or_else(|| no_role(&catalog.access.name_of(id)).at(role.span()))
        };
        match role {
            RoleSpec::Current(_) => by_id(self.authorization.current()),
            RoleSpec::Session(_) => by_id(self.authorization.session),
            RoleSpec::Named(name) => catalog
                .access
                .role_named(&name.name)
                .cloned()
                .ok_or_else(|| no_role(&name.name).at(name.span)),
        }
    }

    /// SET ROLE, SET SESSION AUTHORIZATION and their RESET.
    pub(crate) fn set_role(
        &mut self,
        scope: SetScope,
        authorization: bool,
        role: Option<&RoleSpec>,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let mut changed = self.authorization;
        match (authorization, role) {
            (true, None) => changed = Authorization::of(changed.authenticated),
            (true, Some(spec)) => {
                let role = self.role_of(&catalog, spec)?;
                let real = catalog.access.rights(changed.authenticated);
                if role.id != changed.authenticated && !real.superuser {
                    return Err(Error::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        format!(
                            "permission denied to set session authorization \"{}\"",
                            role.name
                        ),
                    )
                    .at(spec.span()));
                }
                changed.session = role.id;
                changed.role = None;
            }
            (false, None) => changed.role = None,
            (false, Some(spec)) => {
                let role = self.role_of(&catalog, spec)?;
                let session = catalog.access.rights(changed.session);
                if !session.superuser && !catalog.access.is_member(changed.session, role.id) {
                    return Err(Error::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        format!("permission denied to set role \"{}\"", role.name),
                    )
                    .at(spec.span()));
                }
                changed.role = Some(role.id);
            }
        }
        self.change_authorization(changed, scope == SetScope::Local);
        Ok(StatementResult::done(match scope {
            SetScope::Reset => "RESET",
            SetScope::Session | SetScope::Local => "SET",
        }))
    }
}
