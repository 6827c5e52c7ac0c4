//! Statements about roles and privileges.

use super::{Ident, ObjectKind, ObjectName, TypeName};
use crate::span::Span;

/// A statement about roles and privileges that changes the catalog.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AccessStatement {
    /// CREATE ROLE, CREATE USER, CREATE GROUP.
    CreateRole {
        /// The word it was made with.
        word: RoleWord,
        /// Its name.
        name: Ident,
        /// What it is to be like.
        options: Vec<RoleOption>,
    },
    /// ALTER ROLE.
    AlterRole {
        /// Which.
        role: RoleSpec,
        /// What it is to be like.
        options: Vec<RoleOption>,
    },
    /// ALTER ROLE … RENAME TO.
    RenameRole {
        /// Which.
        name: Ident,
        /// The new name.
        to: Ident,
    },
    /// DROP ROLE.
    DropRole {
        /// Which.
        names: Vec<RoleSpec>,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// GRANT and REVOKE of privileges.
    Privileges(Box<GrantPrivileges>),
    /// GRANT and REVOKE of roles.
    Roles(GrantRoles),
    /// ALTER … OWNER TO.
    Owner {
        /// What kind of thing.
        object: OwnedKind,
        /// IF EXISTS.
        if_exists: bool,
        /// Its name.
        name: ObjectName,
        /// The new owner.
        to: RoleSpec,
    },
    /// REASSIGN OWNED.
    ReassignOwned {
        /// The owners now.
        from: Vec<RoleSpec>,
        /// The owner to be.
        to: RoleSpec,
    },
    /// DROP OWNED.
    DropOwned {
        /// Whose.
        roles: Vec<RoleSpec>,
        /// CASCADE.
        cascade: bool,
    },
}

/// The words for a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum RoleWord {
    Role,
    User,
    Group,
}

impl RoleWord {
    /// In capitals.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            RoleWord::Role => "ROLE",
            RoleWord::User => "USER",
            RoleWord::Group => "GROUP",
        }
    }
}

/// A role as a statement names it.
#[derive(Clone, Debug)]
pub enum RoleSpec {
    /// By its name; the unquoted word `public` stands for everybody where that is possible.
    Named(Ident),
    /// CURRENT_USER, CURRENT_ROLE.
    Current(Span),
    /// SESSION_USER.
    Session(Span),
}

impl RoleSpec {
    /// Where it stands.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            RoleSpec::Named(name) => name.span,
            RoleSpec::Current(span) | RoleSpec::Session(span) => *span,
        }
    }

    /// Whether it is the word PUBLIC.
    #[must_use]
    pub fn is_public(&self) -> bool {
        matches!(self, RoleSpec::Named(name) if name.name == "public" && !name.quoted)
    }
}

/// An option of CREATE ROLE and ALTER ROLE.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum RoleOption {
    Superuser(bool),
    CreateRole(bool),
    CreateDatabase(bool),
    Inherit(bool),
    Login(bool),
    Replication(bool),
    BypassRowSecurity(bool),
    ConnectionLimit(i64, Span),
    /// `None`: PASSWORD NULL.
    Password(Option<String>),
    ValidUntil(String, Span),
    /// IN ROLE: the new role becomes a member of these.
    In(Vec<RoleSpec>),
    /// ROLE, USER: these become members of the new role.
    Members(Vec<RoleSpec>),
    /// ADMIN: so do these, WITH ADMIN OPTION.
    Admins(Vec<RoleSpec>),
}

/// GRANT or REVOKE of privileges.
#[derive(Clone, Debug)]
pub struct GrantPrivileges {
    /// REVOKE, not GRANT.
    pub revoke: bool,
    /// WITH GRANT OPTION; GRANT OPTION FOR.
    pub grant_option: bool,
    /// Which; none: ALL.
    pub privileges: Vec<NamedPrivilege>,
    /// The columns of ALL (columns).
    pub all_columns: Vec<Ident>,
    /// On what.
    pub target: GrantTarget,
    /// To or from whom.
    pub grantees: Vec<RoleSpec>,
    /// GRANTED BY.
    pub granted_by: Option<RoleSpec>,
    /// CASCADE.
    pub cascade: bool,
}

/// A privilege as written.
#[derive(Clone, Debug)]
pub struct NamedPrivilege {
    /// Its name.
    pub name: Ident,
    /// On which columns; none: the whole.
    pub columns: Vec<Ident>,
}

/// What privileges are granted on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GrantTarget {
    /// Tables and views, perhaps sequences: `[TABLE] name, …`.
    Tables(Vec<ObjectName>),
    /// SEQUENCE.
    Sequences(Vec<ObjectName>),
    /// SCHEMA.
    Schemas(Vec<Ident>),
    /// DATABASE.
    Databases(Vec<Ident>),
    /// TYPE.
    Types(Vec<ObjectName>),
    /// DOMAIN.
    Domains(Vec<ObjectName>),
    /// Routines.
    Routines(RoutineKind, Vec<RoutineName>),
    /// ALL … IN SCHEMA.
    AllIn(AllKind, Vec<Ident>),
    /// Something that is not there: COLLATION, CHARACTER SET, TRANSLATION, LANGUAGE …
    Other {
        /// What it is called, in capitals.
        kind: &'static str,
        /// Which.
        name: ObjectName,
    },
}

/// The words for a routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub struct RoutineKind {
    /// FUNCTION, PROCEDURE, ROUTINE, [INSTANCE | STATIC | CONSTRUCTOR] METHOD.
    pub word: &'static str,
    pub specific: bool,
}

/// A routine as GRANT names it.
#[derive(Clone, Debug)]
pub struct RoutineName {
    /// Its name.
    pub name: ObjectName,
    /// The types of its arguments, where given.
    pub arguments: Option<Vec<TypeName>>,
    /// FOR: the type that a method belongs to.
    pub of_type: Option<ObjectName>,
}

/// What ALL … IN SCHEMA means all of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum AllKind {
    Tables,
    Sequences,
    Routines,
}

/// GRANT or REVOKE of roles.
#[derive(Clone, Debug)]
pub struct GrantRoles {
    /// REVOKE, not GRANT.
    pub revoke: bool,
    /// WITH ADMIN OPTION; ADMIN OPTION FOR.
    pub admin_option: bool,
    /// Which roles.
    pub roles: Vec<Ident>,
    /// To or from whom.
    pub members: Vec<RoleSpec>,
    /// GRANTED BY.
    pub granted_by: Option<RoleSpec>,
    /// CASCADE.
    pub cascade: bool,
}

/// Things whose owner ALTER … OWNER TO changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum OwnedKind {
    Relation(ObjectKind),
    Database,
    Type,
    Domain,
}

impl OwnedKind {
    /// Its keyword, in capitals.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            OwnedKind::Relation(kind) => kind.keyword(),
            OwnedKind::Database => "DATABASE",
            OwnedKind::Type => "TYPE",
            OwnedKind::Domain => "DOMAIN",
        }
    }
}
