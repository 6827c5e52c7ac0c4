//! Statements about roles and privileges.

use std::fmt::{self, Display, Formatter};

use super::{list, separated, string};
use crate::ast::{
    AccessStatement, AllKind, GrantPrivileges, GrantRoles, GrantTarget, NamedPrivilege, RoleOption,
    RoleSpec, RoutineName,
};

impl Display for RoleSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            RoleSpec::Named(name) => write!(f, "{name}"),
            RoleSpec::Current(_) => f.write_str("CURRENT_USER"),
            RoleSpec::Session(_) => f.write_str("SESSION_USER"),
        }
    }
}

fn flag(f: &mut Formatter<'_>, on: bool, word: &str) -> fmt::Result {
    write!(f, "{}{word}", if on { "" } else { "NO" })
}

impl Display for RoleOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let roles = |f: &mut Formatter<'_>, words: &str, roles: &[RoleSpec]| {
            f.write_str(words)?;
            separated(f, roles, ", ")
        };
        match self {
            RoleOption::Superuser(on) => flag(f, *on, "SUPERUSER"),
            RoleOption::CreateRole(on) => flag(f, *on, "CREATEROLE"),
            RoleOption::CreateDatabase(on) => flag(f, *on, "CREATEDB"),
            RoleOption::Inherit(on) => flag(f, *on, "INHERIT"),
            RoleOption::Login(on) => flag(f, *on, "LOGIN"),
            RoleOption::Replication(on) => flag(f, *on, "REPLICATION"),
            RoleOption::BypassRowSecurity(on) => flag(f, *on, "BYPASSRLS"),
            RoleOption::ConnectionLimit(limit, _) => write!(f, "CONNECTION LIMIT {limit}"),
            RoleOption::Password(None) => f.write_str("PASSWORD NULL"),
            RoleOption::Password(Some(password)) => {
                f.write_str("PASSWORD ")?;
                string(f, password)
            }
            RoleOption::ValidUntil(time, _) => {
                f.write_str("VALID UNTIL ")?;
                string(f, time)
            }
            RoleOption::In(of) => roles(f, "IN ROLE ", of),
            RoleOption::Members(of) => roles(f, "ROLE ", of),
            RoleOption::Admins(of) => roles(f, "ADMIN ", of),
        }
    }
}

fn options(f: &mut Formatter<'_>, options: &[RoleOption]) -> fmt::Result {
    for option in options {
        write!(f, " {option}")?;
    }
    Ok(())
}

impl Display for AccessStatement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            AccessStatement::CreateRole {
                word,
                name,
                options: of,
            } => {
                write!(f, "CREATE {} {name}", word.keyword())?;
                options(f, of)
            }
            AccessStatement::AlterRole { role, options: of } => {
                write!(f, "ALTER ROLE {role}")?;
                options(f, of)
            }
            AccessStatement::RenameRole { name, to } => {
                write!(f, "ALTER ROLE {name} RENAME TO {to}")
            }
            AccessStatement::DropRole { names, if_exists } => {
                f.write_str(if *if_exists {
                    "DROP ROLE IF EXISTS "
                } else {
                    "DROP ROLE "
                })?;
                separated(f, names, ", ")
            }
            AccessStatement::Privileges(grant) => write!(f, "{grant}"),
            AccessStatement::Roles(grant) => write!(f, "{grant}"),
            AccessStatement::Owner {
                object,
                if_exists,
                name,
                to,
            } => {
                let if_exists = if *if_exists { "IF EXISTS " } else { "" };
                let keyword = object.keyword();
                write!(f, "ALTER {keyword} {if_exists}{name} OWNER TO {to}")
            }
            AccessStatement::ReassignOwned { from, to } => {
                f.write_str("REASSIGN OWNED BY ")?;
                separated(f, from, ", ")?;
                write!(f, " TO {to}")
            }
            AccessStatement::DropOwned { roles, cascade } => {
                f.write_str("DROP OWNED BY ")?;
                separated(f, roles, ", ")?;
                f.write_str(if *cascade { " CASCADE" } else { "" })
            }
        }
    }
}

impl Display for NamedPrivilege {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.name.to_ascii_uppercase())?;
        if self.columns.is_empty() {
            return Ok(());
        }
        f.write_str(" ")?;
        list(f, &self.columns)
    }
}

impl Display for RoutineName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(arguments) = &self.arguments {
            f.write_str(" ")?;
            list(f, arguments)?;
        }
        match &self.of_type {
            Some(of_type) => write!(f, " FOR {of_type}"),
            None => Ok(()),
        }
    }
}

impl Display for GrantTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            GrantTarget::Tables(names) => {
                f.write_str("TABLE ")?;
                separated(f, names, ", ")
            }
            GrantTarget::Sequences(names) => {
                f.write_str("SEQUENCE ")?;
                separated(f, names, ", ")
            }
            GrantTarget::Schemas(names) => {
                f.write_str("SCHEMA ")?;
                separated(f, names, ", ")
            }
            GrantTarget::Databases(names) => {
                f.write_str("DATABASE ")?;
                separated(f, names, ", ")
            }
            GrantTarget::Types(names) => {
                f.write_str("TYPE ")?;
                separated(f, names, ", ")
            }
            GrantTarget::Domains(names) => {
                f.write_str("DOMAIN ")?;
                separated(f, names, ", ")
            }
            GrantTarget::Routines(kind, names) => {
                f.write_str(if kind.specific { "SPECIFIC " } else { "" })?;
                write!(f, "{} ", kind.word)?;
                separated(f, names, ", ")
            }
            GrantTarget::AllIn(kind, schemas) => {
                let what = match kind {
                    AllKind::Tables => "TABLES",
                    AllKind::Sequences => "SEQUENCES",
                    AllKind::Routines => "ROUTINES",
                };
                write!(f, "ALL {what} IN SCHEMA ")?;
                separated(f, schemas, ", ")
            }
            GrantTarget::Other { kind, name } => write!(f, "{kind} {name}"),
        }
    }
}

fn granted_by(f: &mut Formatter<'_>, role: Option<&RoleSpec>) -> fmt::Result {
    match role {
        Some(role) => write!(f, " GRANTED BY {role}"),
        None => Ok(()),
    }
}

impl Display for GrantPrivileges {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.revoke, self.grant_option) {
            (false, _) => "GRANT ",
            (true, false) => "REVOKE ",
            (true, true) => "REVOKE GRANT OPTION FOR ",
        })?;
        if self.privileges.is_empty() {
            f.write_str("ALL PRIVILEGES")?;
            if !self.all_columns.is_empty() {
                f.write_str(" ")?;
                list(f, &self.all_columns)?;
            }
        }
        separated(f, &self.privileges, ", ")?;
        write!(f, " ON {}", self.target)?;
        f.write_str(if self.revoke { " FROM " } else { " TO " })?;
        separated(f, &self.grantees, ", ")?;
        if self.grant_option && !self.revoke {
            f.write_str(" WITH GRANT OPTION")?;
        }
        granted_by(f, self.granted_by.as_ref())?;
        f.write_str(if self.cascade { " CASCADE" } else { "" })
    }
}

impl Display for GrantRoles {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.revoke, self.admin_option) {
            (false, _) => "GRANT ",
            (true, false) => "REVOKE ",
            (true, true) => "REVOKE ADMIN OPTION FOR ",
        })?;
        separated(f, &self.roles, ", ")?;
        f.write_str(if self.revoke { " FROM " } else { " TO " })?;
        separated(f, &self.members, ", ")?;
        if self.admin_option && !self.revoke {
            f.write_str(" WITH ADMIN OPTION")?;
        }
        granted_by(f, self.granted_by.as_ref())?;
        f.write_str(if self.cascade { " CASCADE" } else { "" })
    }
}
