//! Roles, owners and privileges: who may do what.
//!
//! Every object has an owner and a list of grants. An object without a list of its own has the
//! [default](ObjectId::default_grants) of its kind. What a role may do is what is granted to it,
//! to PUBLIC and to the roles that it inherits from; superusers may do everything.

use std::{collections::BTreeMap, fmt};

use super::{ColumnNumber, SequenceId, TableId};

/// Names a role for ever; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleId(pub u32);

impl RoleId {
    /// The superuser that every database has, whom embedded sessions act as (PostgreSQL's
    /// bootstrap superuser, by its number).
    pub const SUPERUSER: RoleId = RoleId(10);
}

/// What the superuser that every database has is called at first.
pub const SUPERUSER_NAME: &str = "rustling";

/// Rounds of the key derivation for new passwords. (RFC 7677 asks for 4,096 at least; OWASP's
/// advice of 2023 is far above, but the client pays too.)
pub const PASSWORD_ITERATIONS: u32 = 15_000;

/// A role: a user, or a group of roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its name.
    pub name: String,
    /// Whether nothing is forbidden to it.
    pub superuser: bool,
    /// Whether it has the privileges of the roles that it is a member of, without SET ROLE.
    pub inherit: bool,
    /// Whether it may create, change and drop roles.
    pub create_role: bool,
    /// Whether it may create databases.
    pub create_database: bool,
    /// Whether sessions may begin as it.
    pub login: bool,
    /// Whether it may replicate.
    pub replication: bool,
    /// Whether policies of tables do not bind it.
    pub bypass_row_security: bool,
    /// How many sessions it may have at once; negative: any number.
    pub connection_limit: i32,
    /// What its password is checked with: a SCRAM-SHA-256 verifier in PostgreSQL's form.
    pub verifier: Option<String>,
    /// When its password ends, in microseconds since 1970 UTC.
    pub valid_until: Option<i64>,
    /// The roles that it is a member of.
    pub member_of: Vec<Membership>,
}

impl Role {
    /// A role that may do nothing and belongs to none.
    #[must_use]
    pub fn new(id: RoleId, name: &str) -> Role {
        Role {
            id,
            name: name.to_owned(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_database: false,
            login: false,
            replication: false,
            bypass_row_security: false,
            connection_limit: -1,
            verifier: None,
            valid_until: None,
            member_of: Vec::new(),
        }
    }

    /// The superuser that every database has, as it is at first.
    #[must_use]
    pub fn first() -> Role {
        Role {
            superuser: true,
            create_role: true,
            create_database: true,
            login: true,
            replication: true,
            bypass_row_security: true,
            ..Role::new(RoleId::SUPERUSER, SUPERUSER_NAME)
        }
    }
}

/// A role's membership in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// In which role.
    pub role: RoleId,
    /// Who granted it.
    pub grantor: RoleId,
    /// WITH ADMIN OPTION: whether it may be granted on.
    pub admin: bool,
}

/// A set of privileges.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Privileges(u16);

/// The privileges with their letters in PostgreSQL's access lists and their names in SQL.
const NAMES: [(Privileges, char, &str); 13] = [
    (Privileges::INSERT, 'a', "INSERT"),
    (Privileges::SELECT, 'r', "SELECT"),
    (Privileges::UPDATE, 'w', "UPDATE"),
    (Privileges::DELETE, 'd', "DELETE"),
    (Privileges::TRUNCATE, 'D', "TRUNCATE"),
    (Privileges::REFERENCES, 'x', "REFERENCES"),
    (Privileges::TRIGGER, 't', "TRIGGER"),
    (Privileges::UNDER, 'u', "UNDER"),
    (Privileges::EXECUTE, 'X', "EXECUTE"),
    (Privileges::USAGE, 'U', "USAGE"),
    (Privileges::CREATE, 'C', "CREATE"),
    (Privileges::TEMPORARY, 'T', "TEMPORARY"),
    (Privileges::CONNECT, 'c', "CONNECT"),
];

impl Privileges {
    /// None.
    pub const NONE: Privileges = Privileges(0);
    /// To read rows.
    pub const SELECT: Privileges = Privileges(1);
    /// To add rows.
    pub const INSERT: Privileges = Privileges(1 << 1);
    /// To change rows.
    pub const UPDATE: Privileges = Privileges(1 << 2);
    /// To remove rows.
    pub const DELETE: Privileges = Privileges(1 << 3);
    /// To empty a table.
    pub const TRUNCATE: Privileges = Privileges(1 << 4);
    /// To refer to a table by a foreign key.
    pub const REFERENCES: Privileges = Privileges(1 << 5);
    /// To put triggers on a table. There are none yet, so nothing asks for it.
    pub const TRIGGER: Privileges = Privileges(1 << 6);
    /// The standard's, to make subtables of a table. There are none, so nothing asks for it.
    pub const UNDER: Privileges = Privileges(1 << 7);
    /// To call a routine.
    pub const EXECUTE: Privileges = Privileges(1 << 8);
    /// To use a schema, a sequence or a type.
    pub const USAGE: Privileges = Privileges(1 << 9);
    /// To make something in a schema or database.
    pub const CREATE: Privileges = Privileges(1 << 10);
    /// To make temporary tables.
    pub const TEMPORARY: Privileges = Privileges(1 << 11);
    /// To connect.
    pub const CONNECT: Privileges = Privileges(1 << 12);
    /// What can be granted on single columns.
    pub const OF_COLUMNS: Privileges = Privileges(1 | 1 << 1 | 1 << 2 | 1 << 5);

    /// Those in either.
    #[must_use]
    pub const fn with(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn and(self, other: Privileges) -> Privileges {
        Privileges(self.0 & other.0)
    }

    /// Those of this that are not in the other.
    #[must_use]
    pub const fn without(self, other: Privileges) -> Privileges {
        Privileges(self.0 & !other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of the other are in this.
    #[must_use]
    pub const fn contains(self, other: Privileges) -> bool {
        self.0 & other.0 == other.0
    }

    /// The privilege of that name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Privileges> {
        if name.eq_ignore_ascii_case("temp") {
            return Some(Privileges::TEMPORARY);
        }
        NAMES
            .iter()
            .find(|(_, _, known)| known.eq_ignore_ascii_case(name))
            .map(|(privilege, _, _)| *privilege)
    }

    /// The privileges in it, one by one, with their letters and names.
    pub fn each(self) -> impl Iterator<Item = (Privileges, char, &'static str)> {
        NAMES
            .into_iter()
            .filter(move |(privilege, _, _)| self.contains(*privilege))
    }

    /// As a number that is kept.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// Of a number that was kept; bits that mean nothing are dropped.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Privileges {
        Privileges((bits & 0x1fff) as u16)
    }
}

impl fmt::Debug for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.each().map(|(_, _, name)| name))
            .finish()
    }
}

/// What one role has granted to another, or to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// To whom; `None`: PUBLIC.
    pub grantee: Option<RoleId>,
    /// By whom.
    pub grantor: RoleId,
    /// What.
    pub privileges: Privileges,
    /// Those of them that may be granted on.
    pub grantable: Privileges,
}

/// Something that has an owner and grants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    /// A table or view.
    Table(TableId),
    /// A sequence.
    Sequence(SequenceId),
    /// A schema by its number; 0 is `public`.
    Schema(u32),
    /// The database.
    Database,
    /// A type or domain by its number.
    Type(u32),
    /// A routine by its name. Grants may be there before the routine is, and bind built-in
    /// functions too.
    Routine(String),
}

impl ObjectId {
    /// The privileges that there are on such an object.
    #[must_use]
    pub fn possible(&self) -> Privileges {
        match self {
            ObjectId::Table(_) => Privileges::OF_COLUMNS
                .with(Privileges::DELETE)
                .with(Privileges::TRUNCATE)
                .with(Privileges::TRIGGER)
                .with(Privileges::UNDER),
            ObjectId::Sequence(_) => Privileges::USAGE
                .with(Privileges::SELECT)
                .with(Privileges::UPDATE),
            ObjectId::Schema(_) => Privileges::USAGE.with(Privileges::CREATE),
            ObjectId::Database => Privileges::CREATE
                .with(Privileges::TEMPORARY)
                .with(Privileges::CONNECT),
            ObjectId::Type(_) => Privileges::USAGE,
            ObjectId::Routine(_) => Privileges::EXECUTE,
        }
    }

    /// What PUBLIC may do unless it is taken away.
    fn of_public(&self) -> Privileges {
        match self {
            ObjectId::Schema(0) | ObjectId::Type(_) => Privileges::USAGE,
            ObjectId::Database => Privileges::TEMPORARY.with(Privileges::CONNECT),
            ObjectId::Routine(_) => Privileges::EXECUTE,
            ObjectId::Table(_) | ObjectId::Sequence(_) | ObjectId::Schema(_) => Privileges::NONE,
        }
    }

    /// The grants on such an object before anything is granted or revoked: the owner may do
    /// everything, PUBLIC what [`Access::grants`] says.
    #[must_use]
    pub fn default_grants(&self, owner: RoleId) -> Vec<Grant> {
        let of_public = self.of_public();
        let mut grants = Vec::new();
        if !of_public.is_empty() {
            grants.push(Grant {
                grantee: None,
                grantor: owner,
                privileges: of_public,
                grantable: Privileges::NONE,
            });
        }
        grants.push(Grant {
            grantee: Some(owner),
            grantor: owner,
            privileges: self.possible(),
            grantable: Privileges::NONE,
        });
        grants
    }

    /// What it is called in messages.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self {
            ObjectId::Table(_) => "table",
            ObjectId::Sequence(_) => "sequence",
            ObjectId::Schema(_) => "schema",
            ObjectId::Database => "database",
            ObjectId::Type(_) => "type",
            ObjectId::Routine(_) => "function",
        }
    }
}

/// Who owns an object, and what is granted on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The owner.
    pub owner: RoleId,
    /// The grants; `None`: the default ones.
    pub grants: Option<Vec<Grant>>,
    /// Grants on single columns.
    pub columns: BTreeMap<ColumnNumber, Vec<Grant>>,
}

impl Default for Access {
    fn default() -> Access {
        Access::of(RoleId::SUPERUSER)
    }
}

impl Access {
    /// That of a new object.
    #[must_use]
    pub fn of(owner: RoleId) -> Access {
        Access {
            owner,
            grants: None,
            columns: BTreeMap::new(),
        }
    }

    /// The grants in force on the object as a whole.
    #[must_use]
    pub fn grants(&self, object: &ObjectId) -> Vec<Grant> {
        match &self.grants {
            Some(grants) => grants.clone(),
            None => object.default_grants(self.owner),
        }
    }

    /// Whether a role has any part in it, as owner, grantor or grantee.
    #[must_use]
    pub fn names(&self, role: RoleId) -> bool {
        let named = |grant: &Grant| grant.grantee == Some(role) || grant.grantor == role;
        self.owner == role
            || self.grants.iter().flatten().any(named)
            || self.columns.values().flatten().any(named)
    }
}

/// Adds what `grant` says to a list.
pub fn add_grant(grants: &mut Vec<Grant>, grant: Grant) {
    let known = grants
        .iter_mut()
        .find(|known| known.grantee == grant.grantee && known.grantor == grant.grantor);
    match known {
        Some(known) => {
            known.privileges = known.privileges.with(grant.privileges);
            known.grantable = known.grantable.with(grant.grantable);
        }
        None => grants.push(grant),
    }
}

/// Takes privileges that `grantor` has granted away from `grantee`, or only the option to grant
/// them on. What the grantee has granted on without having the option any more goes too, where
/// `cascade`.
///
/// # Errors
/// Where something would have to go too, and may not: a role that it was granted to.
pub fn remove_grant(
    grants: &mut Vec<Grant>,
    owner: RoleId,
    grantee: Option<RoleId>,
    grantor: RoleId,
    privileges: Privileges,
    option_only: bool,
    cascade: bool,
) -> Result<(), Option<RoleId>> {
    let Some(known) = grants
        .iter_mut()
        .find(|known| known.grantee == grantee && known.grantor == grantor)
    else {
        return Ok(());
    };
    known.grantable = known.grantable.without(privileges);
    if !option_only {
        known.privileges = known.privileges.without(privileges);
    }
    grants.retain(|grant| !grant.privileges.is_empty());
    // The owner may always grant.
    let Some(grantee) = grantee.filter(|grantee| *grantee != owner) else {
        return Ok(());
    };
    let still = grants
        .iter()
        .filter(|grant| grant.grantee == Some(grantee))
        .fold(Privileges::NONE, |all, grant| all.with(grant.grantable));
    let lost = privileges.without(still);
    let dependent: Vec<Grant> = grants
        .iter()
        .filter(|grant| grant.grantor == grantee && !grant.privileges.and(lost).is_empty())
        .copied()
        .collect();
    if let (Some(first), false) = (dependent.first(), cascade) {
        return Err(first.grantee);
    }
    for grant in dependent {
        let gone = grant.privileges.and(lost);
        remove_grant(grants, owner, grant.grantee, grantee, gone, false, true)?;
    }
    Ok(())
}

/// Whether the right of `grantor` to grant these privileges on comes from `grantee` alone: to
/// give the option back would make two roles uphold each other.
#[must_use]
pub fn is_circular(
    grants: &[Grant],
    owner: RoleId,
    grantee: RoleId,
    grantor: RoleId,
    privileges: Privileges,
) -> bool {
    if grantor == owner {
        return false;
    }
    if grantee == owner {
        return true;
    }
    let mut without: Vec<Grant> = grants.to_vec();
    let given: Vec<Grant> = grants
        .iter()
        .filter(|grant| grant.grantee == Some(grantee))
        .copied()
        .collect();
    for grant in given {
        // With CASCADE nothing is refused.
        let _ = remove_grant(
            &mut without,
            owner,
            grant.grantee,
            grant.grantor,
            privileges,
            false,
            true,
        );
    }
    !without
        .iter()
        .filter(|grant| grant.grantee == Some(grantor))
        .fold(Privileges::NONE, |all, grant| all.with(grant.grantable))
        .contains(privileges)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: RoleId = RoleId(1);
    const ANN: RoleId = RoleId(2);
    const BOB: RoleId = RoleId(3);

    fn grant(grantee: RoleId, grantor: RoleId, option: bool) -> Grant {
        Grant {
            grantee: Some(grantee),
            grantor,
            privileges: Privileges::SELECT,
            grantable: if option {
                Privileges::SELECT
            } else {
                Privileges::NONE
            },
        }
    }

    #[test]
    fn what_was_granted_on_goes_with_the_option() {
        let mut grants = vec![grant(ANN, OWNER, true), grant(BOB, ANN, false)];
        let select = Privileges::SELECT;
        let before = grants.clone();
        let refused = remove_grant(&mut grants, OWNER, Some(ANN), OWNER, select, false, false);
        assert_eq!(refused, Err(Some(BOB)));
        grants = before;
        remove_grant(&mut grants, OWNER, Some(ANN), OWNER, select, true, true).unwrap();
        assert_eq!(grants, [grant(ANN, OWNER, false)]);
    }

    #[test]
    fn a_second_grantor_keeps_the_option() {
        let mut grants = vec![
            grant(ANN, OWNER, true),
            grant(ANN, BOB, true),
            grant(BOB, ANN, false),
        ];
        let select = Privileges::SELECT;
        remove_grant(&mut grants, OWNER, Some(ANN), OWNER, select, false, false).unwrap();
        assert_eq!(grants, [grant(ANN, BOB, true), grant(BOB, ANN, false)]);
    }

    #[test]
    fn circles_of_grants_end() {
        let mut grants = vec![
            grant(ANN, OWNER, true),
            grant(BOB, ANN, true),
            grant(ANN, BOB, true),
        ];
        let select = Privileges::SELECT;
        remove_grant(&mut grants, OWNER, Some(BOB), ANN, select, false, true).unwrap();
        assert_eq!(grants, [grant(ANN, OWNER, true)]);
    }

    #[test]
    fn an_option_is_not_given_back() {
        let grants = [grant(ANN, OWNER, true), grant(BOB, ANN, true)];
        let select = Privileges::SELECT;
        assert!(is_circular(&grants, OWNER, ANN, BOB, select));
        assert!(!is_circular(&grants, OWNER, BOB, ANN, select));
        assert!(!is_circular(&grants, OWNER, BOB, OWNER, select));
    }

    #[test]
    fn names_and_bits_agree() {
        for (privilege, _, name) in Privileges::from_bits(u32::MAX).each() {
            assert_eq!(Privileges::named(&name.to_lowercase()), Some(privilege));
            assert_eq!(Privileges::from_bits(privilege.bits()), privilege);
        }
    }
}
