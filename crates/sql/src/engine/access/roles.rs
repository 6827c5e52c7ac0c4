//! CREATE, ALTER and DROP ROLE, GRANT and REVOKE of roles.

use std::sync::Arc;

use rustling_txn::Transaction;

use super::{no_role, password};
use crate::{
    Error, Result, SqlState, Value,
    ast::{GrantRoles, Ident, RoleOption, RoleSpec, RoleWord},
    catalog::access::{Membership, ObjectId, Role, RoleId},
    engine::{
        catalog::{CatalogSnapshot, access::Rights},
        notice::Notice,
        session::{Session, StatementResult},
    },
    types::{Conversion, DataType},
};

const OBJECT_IN_USE: SqlState = SqlState("55006");

#[cold]
fn refused(message: impl Into<String>) -> Error {
    Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}

/// Fails for names that no role may have.
fn check_name(name: &Ident) -> Result<()> {
    let reserved = name.name.starts_with("pg_") || name.name == "public" || name.name == "none";
    if !reserved {
        return Ok(());
    }
    let error = Error::new(
        SqlState("42939"),
        format!("role name \"{}\" is reserved", name.name),
    )
    .at(name.span);
    Err(if name.name.starts_with("pg_") {
        error.detail("Role names starting with \"pg_\" are reserved.")
    } else {
        error
    })
}

/// Fails where the current role may not give a role such attributes.
fn may_set(rights: &Rights<'_>, options: &[RoleOption]) -> Result<()> {
    for option in options {
        let what = match option {
            RoleOption::Superuser(_) => "superuser",
            RoleOption::Replication(_) => "replication",
            RoleOption::BypassRowSecurity(_) => "bypassrls",
            _ => continue,
        };
        if !rights.superuser {
            return Err(refused(format!(
                "must be superuser to change the attribute {what} of roles"
            )));
        }
    }
    Ok(())
}

impl Session {
    /// Whether the current role may create and change roles.
    fn manages_roles(&self, rights: &Rights<'_>) -> bool {
        let role = rights.catalog.role(rights.role);
        rights.superuser || role.is_some_and(|role| role.create_role)
    }

    fn put_role(&self, transaction: &Transaction, role: &Role) -> Result<()> {
        self.database
            .inner
            .catalog_store
            .put_role(transaction, role)
    }

    pub(super) fn create_role(
        &mut self,
        transaction: &Transaction,
        word: RoleWord,
        name: &Ident,
        options: &[RoleOption],
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        if !self.manages_roles(&rights) {
            return Err(refused("permission denied to create role").at(name.span));
        }
        may_set(&rights, options)?;
        check_name(name)?;
        if catalog.access.role_named(&name.name).is_some() {
            return Err(Error::new(
                SqlState("42710"),
                format!("role \"{}\" already exists", name.name),
            )
            .at(name.span));
        }
        let id = RoleId(self.database.inner.catalog_store.allocate_id(transaction)?);
        // The first numbers are kept for roles that every database has.
        let id = RoleId(id.0 + FIRST_ROLE);
        let mut role = Role::new(id, &name.name);
        role.login = word == RoleWord::User;
        self.apply(&mut role, options)?;
        self.put_role(transaction, &role)?;
        self.join_roles(transaction, role.id, options)?;
        Ok(StatementResult::done("CREATE ROLE"))
    }

    /// Sets the attributes that options say.
    fn apply(&self, role: &mut Role, options: &[RoleOption]) -> Result<()> {
        let env = self.database.env();
        for option in options {
            match option {
                RoleOption::Superuser(on) => role.superuser = *on,
                RoleOption::CreateRole(on) => role.create_role = *on,
                RoleOption::CreateDatabase(on) => role.create_database = *on,
                RoleOption::Inherit(on) => role.inherit = *on,
                RoleOption::Login(on) => role.login = *on,
                RoleOption::Replication(on) => role.replication = *on,
                RoleOption::BypassRowSecurity(on) => role.bypass_row_security = *on,
                RoleOption::ConnectionLimit(limit, span) => {
                    role.connection_limit = i32::try_from(*limit)
                        .ok()
                        .filter(|limit| *limit >= -1)
                        .ok_or_else(|| {
                            Error::new(
                                SqlState::INVALID_PARAMETER_VALUE,
                                format!("invalid connection limit: {limit}"),
                            )
                            .at(*span)
                        })?;
                }
                RoleOption::Password(None) => role.verifier = None,
                RoleOption::Password(Some(password)) => {
                    role.verifier = Some(password::kept(password, env)?);
                }
                RoleOption::ValidUntil(text, span) => {
                    let conversion = Conversion {
                        style: &self.info.style,
                        now: Some(env.wall_clock()),
                    };
                    let time = Value::parse_in(text, DataType::TimestampTz, &conversion)
                        .map_err(|error| error.at(*span))?;
                    role.valid_until = match time {
                        Value::TimestampTz(i64::MAX) => None,
                        Value::TimestampTz(time) => Some(time),
                        _ => None,
                    };
                }
                RoleOption::In(_) | RoleOption::Members(_) | RoleOption::Admins(_) => {}
            }
        }
        Ok(())
    }

    /// IN ROLE, ROLE and ADMIN of a role.
    fn join_roles(
        &mut self,
        transaction: &Transaction,
        id: RoleId,
        options: &[RoleOption],
    ) -> Result<()> {
        for option in options {
            let (specs, admin) = match option {
                RoleOption::In(specs) | RoleOption::Members(specs) => (specs, false),
                RoleOption::Admins(specs) => (specs, true),
                _ => continue,
            };
            for spec in specs {
                // Each membership is seen by the next, so that none closes a circle.
                let catalog = self.reload_catalog(transaction)?;
                let rights = self.rights(&catalog);
                let other = self.role_of(&catalog, spec)?;
                let role = catalog
                    .access
                    .role(id)
                    .cloned()
                    .ok_or_else(|| no_role(&id.0.to_string()))?;
                let (group, member) = match option {
                    RoleOption::In(_) => (other, role),
                    _ => (role, other),
                };
                if matches!(option, RoleOption::In(_)) {
                    may_grant(&catalog, &rights, &group).map_err(|error| error.at(spec.span()))?;
                }
                if catalog.access.is_member(group.id, member.id) {
                    return Err(circular(&group, &member).at(spec.span()));
                }
                let mut member = Role::clone(&member);
                add_membership(&mut member, group.id, rights.role, admin);
                self.put_role(transaction, &member)?;
            }
        }
        Ok(())
    }

    pub(super) fn alter_role(
        &mut self,
        transaction: &Transaction,
        spec: &RoleSpec,
        options: &[RoleOption],
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        let mut role = Role::clone(&*self.role_of(&catalog, spec)?);
        let own_password = role.id == rights.role
            && options
                .iter()
                .all(|option| matches!(option, RoleOption::Password(_)));
        let may =
            rights.superuser || own_password || (self.manages_roles(&rights) && !role.superuser);
        if !may {
            return Err(
                refused(format!("permission denied to alter role \"{}\"", role.name))
                    .at(spec.span()),
            );
        }
        may_set(&rights, options)?;
        let keeps = role.id != RoleId::SUPERUSER
            || !options
                .iter()
                .any(|option| matches!(option, RoleOption::Superuser(false)));
        if !keeps {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("role \"{}\" must stay a superuser", role.name),
            )
            .at(spec.span()));
        }
        self.apply(&mut role, options)?;
        self.put_role(transaction, &role)?;
        self.join_roles(transaction, role.id, options)?;
        Ok(StatementResult::done("ALTER ROLE"))
    }

    pub(super) fn rename_role(
        &mut self,
        transaction: &Transaction,
        name: &Ident,
        to: &Ident,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        let role = catalog
            .access
            .role_named(&name.name)
            .ok_or_else(|| no_role(&name.name).at(name.span))?;
        if role.id == self.authorization.session {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "session user cannot be renamed",
            )
            .at(name.span));
        }
        if role.id == self.authorization.current() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "current user cannot be renamed",
            )
            .at(name.span));
        }
        if !self.manages_roles(&rights) || (role.superuser && !rights.superuser) {
            return Err(refused("permission denied to rename role").at(name.span));
        }
        check_name(to)?;
        if catalog.access.role_named(&to.name).is_some() {
            return Err(Error::new(
                SqlState("42710"),
                format!("role \"{}\" already exists", to.name),
            )
            .at(to.span));
        }
        let mut renamed = Role::clone(role);
        renamed.name.clone_from(&to.name);
        self.put_role(transaction, &renamed)?;
        Ok(StatementResult::done("ALTER ROLE"))
    }

    pub(super) fn drop_roles(
        &mut self,
        transaction: &Transaction,
        names: &[RoleSpec],
        if_exists: bool,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        if !self.manages_roles(&rights) {
            return Err(refused("permission denied to drop role"));
        }
        let mut notices = Vec::new();
        let mut dropped: Vec<Arc<Role>> = Vec::new();
        for spec in names {
            let role = match self.role_of(&catalog, spec) {
                Ok(role) => role,
                Err(_) if if_exists => {
                    notices.push(Notice::new(format!(
                        "role \"{spec}\" does not exist, skipping"
                    )));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if role.id == self.authorization.current() {
                return Err(
                    Error::new(OBJECT_IN_USE, "current user cannot be dropped").at(spec.span())
                );
            }
            if role.id == self.authorization.session || role.id == self.authorization.authenticated
            {
                return Err(
                    Error::new(OBJECT_IN_USE, "session user cannot be dropped").at(spec.span())
                );
            }
            if role.id == RoleId::SUPERUSER {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS,
                    format!(
                        "cannot drop role {} because it is required by the database system",
                        role.name
                    ),
                )
                .at(spec.span()));
            }
            if role.superuser && !rights.superuser {
                return Err(refused("must be superuser to drop superusers").at(spec.span()));
            }
            let uses = self.uses_of(&catalog, role.id);
            if !uses.is_empty() {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS,
                    format!(
                        "role \"{}\" cannot be dropped because some objects depend on it",
                        role.name
                    ),
                )
                .at(spec.span())
                .detail(uses.join("\n"))
                .hint("REASSIGN OWNED gives what it owns to another role, DROP OWNED takes its privileges away."));
            }
            dropped.push(role);
        }
        let gone = |id: RoleId| dropped.iter().any(|role| role.id == id);
        for role in catalog.access.roles() {
            if gone(role.id) {
                self.database
                    .inner
                    .catalog_store
                    .delete_role(transaction, role.id)?;
                continue;
            }
            if role.member_of.iter().any(|of| gone(of.role)) {
                let mut role = Role::clone(role);
                role.member_of.retain(|of| !gone(of.role));
                self.put_role(transaction, &role)?;
            }
        }
        Ok(StatementResult::noted("DROP ROLE", notices))
    }

    /// What keeps a role from being dropped.
    fn uses_of(&self, catalog: &CatalogSnapshot, role: RoleId) -> Vec<String> {
        let mut uses: Vec<String> = catalog
            .access
            .objects()
            .filter(|(_, access)| access.names(role))
            .map(|(object, access)| {
                let name = self.object_name(catalog, object);
                let noun = object.noun();
                if access.owner == role {
                    format!("owner of {noun} {name}")
                } else {
                    format!("privileges for {noun} {name}")
                }
            })
            .collect();
        uses.sort();
        uses
    }

    /// What an object is called.
    pub(super) fn object_name(&self, catalog: &CatalogSnapshot, object: &ObjectId) -> String {
        let found = match object {
            ObjectId::Table(id) => catalog.handle(*id).map(|handle| handle.table.name.clone()),
            ObjectId::Sequence(id) => catalog
                .sequence_by_id(*id)
                .map(|sequence| sequence.name.clone()),
            ObjectId::Schema(id) => catalog
                .schemas()
                .find(|(_, of)| of == id)
                .map(|(name, _)| name.to_owned()),
            ObjectId::Database => Some(self.database().name().to_owned()),
            ObjectId::Type(id) => catalog
                .named_types()
                .find(|of| of.id.0 == *id)
                .map(|of| of.name.clone()),
            ObjectId::Routine(name) => Some(name.clone()),
        };
        found.unwrap_or_default()
    }

    pub(super) fn grant_roles(
        &mut self,
        transaction: &Transaction,
        grant: &GrantRoles,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        let grantor = self.grantor(&catalog, &rights, grant.granted_by.as_ref())?;
        let mut notices = Vec::new();
        for spec in &grant.members {
            if spec.is_public() {
                return Err(no_role("public").at(spec.span()));
            }
            let before = self.role_of(&catalog, spec)?;
            let mut member = Role::clone(&before);
            for name in &grant.roles {
                let group = catalog
                    .access
                    .role_named(&name.name)
                    .ok_or_else(|| no_role(&name.name).at(name.span))?;
                may_grant(&catalog, &rights, group).map_err(|error| error.at(name.span))?;
                if grant.revoke {
                    revoke_membership(&mut member, group, grant.admin_option, &mut notices);
                    continue;
                }
                if catalog.access.is_member(group.id, member.id) {
                    return Err(circular(group, &member).at(spec.span()));
                }
                let known = member.member_of.iter().find(|of| of.role == group.id);
                if known.is_some_and(|known| known.admin || !grant.admin_option) {
                    notices.push(Notice::new(format!(
                        "role \"{}\" is already a member of role \"{}\"",
                        member.name, group.name
                    )));
                }
                add_membership(&mut member, group.id, grantor, grant.admin_option);
            }
            if member != *before {
                self.put_role(transaction, &member)?;
                // A member named twice is seen as it is by now.
                self.reload_catalog(transaction)?;
            }
        }
        let tag = if grant.revoke {
            "REVOKE ROLE"
        } else {
            "GRANT ROLE"
        };
        Ok(StatementResult::noted(tag, notices))
    }

    /// The role that GRANTED BY names, whom the current role must be able to act as.
    pub(super) fn grantor(
        &self,
        catalog: &CatalogSnapshot,
        rights: &Rights<'_>,
        granted_by: Option<&RoleSpec>,
    ) -> Result<RoleId> {
        let Some(spec) = granted_by else {
            return Ok(rights.role);
        };
        let role = self.role_of(catalog, spec)?;
        if rights.has_role(role.id) {
            return Ok(role.id);
        }
        Err(refused(format!(
            "permission denied to grant privileges as role \"{}\"",
            role.name
        ))
        .at(spec.span()))
    }
}

/// Below are the numbers of roles that every database has, as in PostgreSQL.
const FIRST_ROLE: u32 = 16_384;

fn circular(group: &Role, member: &Role) -> Error {
    Error::new(
        SqlState("0LP01"),
        format!(
            "role \"{}\" is a member of role \"{}\"",
            group.name, member.name
        ),
    )
}

/// Fails where the current role may not make others members of `group`.
fn may_grant(catalog: &CatalogSnapshot, rights: &Rights<'_>, group: &Role) -> Result<()> {
    if group.superuser {
        return if rights.superuser {
            Ok(())
        } else {
            Err(refused("must be superuser to alter superusers"))
        };
    }
    let manages = catalog
        .access
        .role(rights.role)
        .is_some_and(|role| role.create_role);
    let admin = catalog.access.roles().any(|role| {
        rights.has_role(role.id)
            && role
                .member_of
                .iter()
                .any(|of| of.role == group.id && of.admin)
    });
    if rights.superuser || manages || admin {
        return Ok(());
    }
    Err(refused(format!(
        "must have admin option on role \"{}\"",
        group.name
    )))
}

fn add_membership(member: &mut Role, role: RoleId, grantor: RoleId, admin: bool) {
    match member.member_of.iter_mut().find(|of| of.role == role) {
        Some(known) => known.admin |= admin,
        None => member.member_of.push(Membership {
            role,
            grantor,
            admin,
        }),
    }
}

fn revoke_membership(member: &mut Role, group: &Role, admin_only: bool, notices: &mut Vec<Notice>) {
    let Some(at) = member.member_of.iter().position(|of| of.role == group.id) else {
        notices.push(Notice::warning(format!(
            "role \"{}\" is not a member of role \"{}\"",
            member.name, group.name
        )));
        return;
    };
    if admin_only {
        if let Some(of) = member.member_of.get_mut(at) {
            of.admin = false;
        }
    } else {
        member.member_of.remove(at);
    }
}
