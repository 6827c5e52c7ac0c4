//! Roles and grants in the catalog: their stored form, and what of it a statement asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use prost::Message;

use crate::{
    Result,
    catalog::{
        ColumnNumber, SequenceId, TableId,
        access::{Access, Grant, Membership, ObjectId, Privileges, Role, RoleId},
    },
    encoding::corrupt,
};

/// A role.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RoleRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(bool, tag = "3")]
    pub(crate) superuser: bool,
    #[prost(bool, tag = "4")]
    pub(crate) inherit: bool,
    #[prost(bool, tag = "5")]
    pub(crate) create_role: bool,
    #[prost(bool, tag = "6")]
    pub(crate) create_database: bool,
    #[prost(bool, tag = "7")]
    pub(crate) login: bool,
    #[prost(bool, tag = "8")]
    pub(crate) replication: bool,
    #[prost(bool, tag = "9")]
    pub(crate) bypass_row_security: bool,
    #[prost(sint32, tag = "10")]
    pub(crate) connection_limit: i32,
    /// A SCRAM-SHA-256 verifier.
    #[prost(string, optional, tag = "11")]
    pub(crate) verifier: Option<String>,
    /// Microseconds since 1970 UTC.
    #[prost(sint64, optional, tag = "12")]
    pub(crate) valid_until: Option<i64>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) member_of: Vec<MembershipRecord>,
}

/// A role's membership in another.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct MembershipRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) role: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) grantor: u32,
    #[prost(bool, tag = "3")]
    pub(crate) admin: bool,
}

/// The owner of an object, and the grants on it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AccessRecord {
    /// The kind of object: 0 table, 1 sequence, 2 schema, 3 the database, 4 type, 5 routine.
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    /// The object's number.
    #[prost(uint32, tag = "2")]
    pub(crate) id: u32,
    /// A routine's name.
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(uint32, tag = "4")]
    pub(crate) owner: u32,
    /// Whether there are grants other than the default ones: then those in `grants`.
    #[prost(bool, tag = "5")]
    pub(crate) has_grants: bool,
    #[prost(message, repeated, tag = "6")]
    pub(crate) grants: Vec<GrantRecord>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) columns: Vec<ColumnAccessRecord>,
}

/// Grants on a column.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ColumnAccessRecord {
    #[prost(uint32, tag = "1")]
    pub(crate) column: u32,
    #[prost(message, repeated, tag = "2")]
    pub(crate) grants: Vec<GrantRecord>,
}

/// A grant. Privileges are a set of bits: SELECT is the lowest, then INSERT, UPDATE, DELETE,
/// TRUNCATE, REFERENCES, TRIGGER, UNDER, EXECUTE, USAGE, CREATE, TEMPORARY, CONNECT.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct GrantRecord {
    /// 0: PUBLIC.
    #[prost(uint32, tag = "1")]
    pub(crate) grantee: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) grantor: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) privileges: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) grantable: u32,
}

/// The kind and number (or name) that a record has for an object.
pub(crate) fn parts(object: &ObjectId) -> (u32, u32, &str) {
    match object {
        ObjectId::Table(id) => (0, id.0, ""),
        ObjectId::Sequence(id) => (1, id.0, ""),
        ObjectId::Schema(id) => (2, *id, ""),
        ObjectId::Database => (3, 0, ""),
        ObjectId::Type(id) => (4, *id, ""),
        ObjectId::Routine(name) => (5, 0, name),
    }
}

fn grant_records(grants: &[Grant]) -> Vec<GrantRecord> {
    grants
        .iter()
        .map(|grant| GrantRecord {
            grantee: grant.grantee.map_or(0, |role| role.0),
            grantor: grant.grantor.0,
            privileges: grant.privileges.bits(),
            grantable: grant.grantable.bits(),
        })
        .collect()
}

fn grants_of(records: Vec<GrantRecord>) -> Vec<Grant> {
    records
        .into_iter()
        .map(|record| Grant {
            grantee: (record.grantee != 0).then_some(RoleId(record.grantee)),
            grantor: RoleId(record.grantor),
            privileges: Privileges::from_bits(record.privileges),
            grantable: Privileges::from_bits(record.grantable),
        })
        .collect()
}

impl From<&Role> for RoleRecord {
    fn from(role: &Role) -> RoleRecord {
        RoleRecord {
            id: role.id.0,
            name: role.name.clone(),
            superuser: role.superuser,
            inherit: role.inherit,
            create_role: role.create_role,
            create_database: role.create_database,
            login: role.login,
            replication: role.replication,
            bypass_row_security: role.bypass_row_security,
            connection_limit: role.connection_limit,
            verifier: role.verifier.clone(),
            valid_until: role.valid_until,
            member_of: role
                .member_of
                .iter()
                .map(|of| MembershipRecord {
                    role: of.role.0,
                    grantor: of.grantor.0,
                    admin: of.admin,
                })
                .collect(),
        }
    }
}

fn role_of(record: RoleRecord) -> Role {
    Role {
        id: RoleId(record.id),
        name: record.name,
        superuser: record.superuser,
        inherit: record.inherit,
        create_role: record.create_role,
        create_database: record.create_database,
        login: record.login,
        replication: record.replication,
        bypass_row_security: record.bypass_row_security,
        connection_limit: record.connection_limit,
        verifier: record.verifier,
        valid_until: record.valid_until,
        member_of: record
            .member_of
            .into_iter()
            .map(|of| Membership {
                role: RoleId(of.role),
                grantor: RoleId(of.grantor),
                admin: of.admin,
            })
            .collect(),
    }
}

/// The record of an object's owner and grants.
pub(crate) fn access_record(object: &ObjectId, access: &Access) -> AccessRecord {
    let (kind, id, name) = parts(object);
    AccessRecord {
        kind,
        id,
        name: name.to_owned(),
        owner: access.owner.0,
        has_grants: access.grants.is_some(),
        grants: grant_records(access.grants.as_deref().unwrap_or_default()),
        columns: access
            .columns
            .iter()
            .map(|(column, grants)| ColumnAccessRecord {
                column: column.0,
                grants: grant_records(grants),
            })
            .collect(),
    }
}

fn access_of(record: AccessRecord) -> Result<(ObjectId, Access)> {
    let object = match record.kind {
        0 => ObjectId::Table(TableId(record.id)),
        1 => ObjectId::Sequence(SequenceId(record.id)),
        2 => ObjectId::Schema(record.id),
        3 => ObjectId::Database,
        4 => ObjectId::Type(record.id),
        5 => ObjectId::Routine(record.name),
        _ => return Err(corrupt("the kind of an object in the catalog")),
    };
    let access = Access {
        owner: RoleId(record.owner),
        grants: record.has_grants.then(|| grants_of(record.grants)),
        columns: record
            .columns
            .into_iter()
            .map(|of| (ColumnNumber(of.column), grants_of(of.grants)))
            .collect(),
    };
    Ok((object, access))
}

/// Every role and grant at one moment.
#[derive(Debug)]
pub(crate) struct AccessCatalog {
    roles: BTreeMap<RoleId, Arc<Role>>,
    by_name: BTreeMap<String, RoleId>,
    objects: HashMap<ObjectId, Access>,
    /// For each role itself and all whose privileges it has.
    inherits: HashMap<RoleId, BTreeSet<RoleId>>,
    /// For each role itself and all that it is a member of, whether it inherits or not.
    belongs: HashMap<RoleId, BTreeSet<RoleId>>,
    /// Whether anything is said about routines.
    pub(crate) has_routines: bool,
}

impl AccessCatalog {
    pub(crate) fn new(roles: Vec<RoleRecord>, objects: Vec<AccessRecord>) -> Result<AccessCatalog> {
        let first = Role::first();
        let mut catalog = AccessCatalog {
            roles: BTreeMap::from([(first.id, Arc::new(first))]),
            by_name: BTreeMap::new(),
            objects: HashMap::new(),
            inherits: HashMap::new(),
            belongs: HashMap::new(),
            has_routines: false,
        };
        for record in roles {
            let role = role_of(record);
            catalog.roles.insert(role.id, Arc::new(role));
        }
        for role in catalog.roles.values() {
            catalog.by_name.insert(role.name.clone(), role.id);
            let closure = |inherited_only| closure(&catalog.roles, role.id, inherited_only);
            catalog.inherits.insert(role.id, closure(true));
            catalog.belongs.insert(role.id, closure(false));
        }
        for record in objects {
            let (object, access) = access_of(record)?;
            catalog.has_routines |= matches!(object, ObjectId::Routine(_));
            catalog.objects.insert(object, access);
        }
        Ok(catalog)
    }

    /// A role by id.
    pub(crate) fn role(&self, id: RoleId) -> Option<&Arc<Role>> {
        self.roles.get(&id)
    }

    /// A role by name.
    pub(crate) fn role_named(&self, name: &str) -> Option<&Arc<Role>> {
        self.role(*self.by_name.get(name)?)
    }

    /// Every role, by name.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.by_name.values().filter_map(|id| self.roles.get(id))
    }

    /// What a role is called, also after it is gone.
    pub(crate) fn name_of(&self, id: RoleId) -> String {
        self.role(id)
            .map_or_else(|| format!("role {}", id.0), |role| role.name.clone())
    }

    /// The owner and grants of an object.
    pub(crate) fn of(&self, object: &ObjectId) -> Access {
        self.objects.get(object).cloned().unwrap_or_default()
    }

    /// Every object about which something is said.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&ObjectId, &Access)> {
        self.objects.iter()
    }

    /// Whether `role` is `other` or a member of it, directly or by way of others.
    pub(crate) fn is_member(&self, role: RoleId, other: RoleId) -> bool {
        self.belongs
            .get(&role)
            .is_some_and(|all| all.contains(&other))
    }

    /// What a role may do.
    pub(crate) fn rights(&self, role: RoleId) -> Rights<'_> {
        Rights {
            catalog: self,
            role,
            superuser: self.role(role).is_some_and(|role| role.superuser),
            with: self.inherits.get(&role),
        }
    }
}

/// The role itself and those that it belongs to.
fn closure(
    roles: &BTreeMap<RoleId, Arc<Role>>,
    role: RoleId,
    inherited_only: bool,
) -> BTreeSet<RoleId> {
    let mut found = BTreeSet::from([role]);
    let mut open = vec![role];
    while let Some(next) = open.pop() {
        let Some(role) = roles.get(&next) else {
            continue;
        };
        if inherited_only && !role.inherit {
            continue;
        }
        for of in &role.member_of {
            if found.insert(of.role) {
                open.push(of.role);
            }
        }
    }
    found
}

/// What one role may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights<'a> {
    pub(crate) catalog: &'a AccessCatalog,
    pub(crate) role: RoleId,
    /// Whether it may do everything.
    pub(crate) superuser: bool,
    with: Option<&'a BTreeSet<RoleId>>,
}

impl Rights<'_> {
    /// Whether it has the privileges of a role.
    pub(crate) fn has_role(&self, role: RoleId) -> bool {
        self.superuser || self.with.is_some_and(|with| with.contains(&role))
    }

    /// Whether it may do what only the owner may.
    pub(crate) fn owns(&self, object: &ObjectId) -> bool {
        self.superuser || self.has_role(self.owner(object))
    }

    fn owner(&self, object: &ObjectId) -> RoleId {
        self.catalog
            .objects
            .get(object)
            .map_or(RoleId::SUPERUSER, |access| access.owner)
    }

    fn sum(&self, grants: &[Grant], of: impl Fn(&Grant) -> Privileges) -> Privileges {
        grants
            .iter()
            .filter(|grant| grant.grantee.is_none_or(|role| self.has_role(role)))
            .fold(Privileges::NONE, |all, grant| all.with(of(grant)))
    }

    /// The privileges that it has on the object as a whole.
    pub(crate) fn privileges(&self, object: &ObjectId) -> Privileges {
        if self.superuser {
            return object.possible();
        }
        let of = |grants: &[Grant]| self.sum(grants, |grant| grant.privileges);
        match self.catalog.objects.get(object) {
            Some(Access {
                grants: Some(grants),
                ..
            }) => of(grants),
            other => {
                let owner = other.map_or(RoleId::SUPERUSER, |access| access.owner);
                of(&object.default_grants(owner))
            }
        }
    }

    /// The privileges that it may grant on.
    pub(crate) fn grantable(&self, object: &ObjectId) -> Privileges {
        if self.owns(object) {
            return object.possible();
        }
        match self.catalog.objects.get(object) {
            Some(Access {
                grants: Some(grants),
                ..
            }) => self.sum(grants, |grant| grant.grantable),
            _ => Privileges::NONE,
        }
    }

    /// Whether it has a privilege on a table, or on each of these columns (none: on any).
    pub(crate) fn on_columns(
        &self,
        table: TableId,
        privilege: Privileges,
        columns: &[ColumnNumber],
    ) -> bool {
        let object = ObjectId::Table(table);
        if self.privileges(&object).contains(privilege) {
            return true;
        }
        let Some(access) = self.catalog.objects.get(&object) else {
            return false;
        };
        let has = |grants: &[Grant]| {
            self.sum(grants, |grant| grant.privileges)
                .contains(privilege)
        };
        if columns.is_empty() {
            return access.columns.values().any(|grants| has(grants));
        }
        columns
            .iter()
            .all(|column| access.columns.get(column).is_some_and(|grants| has(grants)))
    }

    /// The privileges that it may grant on for a column.
    pub(crate) fn grantable_on_column(&self, table: TableId, column: ColumnNumber) -> Privileges {
        let object = ObjectId::Table(table);
        let of_table = self.grantable(&object);
        let of_column = self
            .catalog
            .objects
            .get(&object)
            .and_then(|access| access.columns.get(&column))
            .map_or(Privileges::NONE, |grants| {
                self.sum(grants, |grant| grant.grantable)
            });
        of_table.with(of_column)
    }
}
