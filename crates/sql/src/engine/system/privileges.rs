//! What is granted, as the catalog shows it.

use crate::{
    catalog::access::{Grant, ObjectId, Privileges, RoleId},
    engine::system::{
        SystemView,
        columns::ColumnEntry,
        names::quoted,
        relations::{Part, Relation},
        standard,
    },
};

/// A privilege that a role has been granted, as `information_schema` lists it.
pub(crate) struct Granted {
    pub(crate) grantor: String,
    pub(crate) grantee: String,
    pub(crate) privilege: &'static str,
    /// Whether it may be granted on.
    pub(crate) grantable: bool,
}

impl Relation {
    fn access_object(&self) -> Option<ObjectId> {
        match &self.part {
            Part::Table(handle) => Some(ObjectId::Table(handle.table.id)),
            Part::Sequence(sequence) => Some(ObjectId::Sequence(sequence.id)),
            Part::Index(..) | Part::System(_) => None,
        }
    }

    /// `relacl`
    pub(crate) fn access_list(&self, view: &SystemView) -> Option<Vec<String>> {
        view.access_list(&self.access_object()?)
    }
}

impl ColumnEntry {
    /// `attacl`
    pub(crate) fn access_list(&self, view: &SystemView) -> Option<Vec<String>> {
        let access = view.catalog.access.of(&self.relation.access_object()?);
        let grants = access.columns.get(&self.of_table.as_ref()?.number)?;
        (!grants.is_empty()).then(|| view.access_items(grants))
    }
}

impl SystemView {
    /// The grants on a schema.
    pub(crate) fn schema_access_list(&self, schema: &str) -> Option<Vec<String>> {
        self.access_list(&ObjectId::Schema(self.catalog.schema_id(schema)?))
    }

    /// The grants on an object, as `aclitem`s; `None`: nothing was granted or revoked yet.
    pub(crate) fn access_list(&self, object: &ObjectId) -> Option<Vec<String>> {
        let access = self.catalog.access.of(object);
        access.grants.as_ref()?;
        Some(self.access_items(&access.grants(object)))
    }

    fn access_items(&self, grants: &[Grant]) -> Vec<String> {
        let name = |role: RoleId| quoted(&self.catalog.access.name_of(role));
        grants
            .iter()
            .map(|grant| {
                let mut item = grant.grantee.map(name).unwrap_or_default();
                item.push('=');
                // PostgreSQL has no letter for the standard's UNDER.
                for (privilege, letter, _) in grant.privileges.without(Privileges::UNDER).each() {
                    item.push(letter);
                    if grant.grantable.contains(privilege) {
                        item.push('*');
                    }
                }
                item.push('/');
                item + &name(grant.grantor)
            })
            .collect()
    }

    /// The grants that the reader may know of, privilege by privilege: those by or to a role that
    /// it has, and to everybody.
    fn granted(&self, owner: RoleId, grants: &[Grant]) -> Vec<Granted> {
        let access = &self.catalog.access;
        let rights = access.rights(self.reader);
        let mut all = Vec::new();
        for grant in grants {
            let known = rights.has_role(grant.grantor)
                || grant.grantee.is_none_or(|grantee| rights.has_role(grantee));
            if !known {
                continue;
            }
            for (privilege, _, name) in grant.privileges.without(Privileges::UNDER).each() {
                all.push(Granted {
                    grantor: access.name_of(grant.grantor),
                    grantee: grant
                        .grantee
                        .map_or_else(|| "PUBLIC".to_owned(), |grantee| access.name_of(grantee)),
                    privilege: name,
                    grantable: grant.grantee == Some(owner) || grant.grantable.contains(privilege),
                });
            }
        }
        all
    }
}

/// What PostgreSQL's own tables let everybody do.
fn of_system(view: &SystemView) -> Granted {
    Granted {
        grantor: view.owner(),
        grantee: "PUBLIC".to_owned(),
        privilege: "SELECT",
        grantable: false,
    }
}

/// What roles may do with tables and views.
pub(crate) fn table_privileges(view: &SystemView) -> Vec<(Relation, Granted)> {
    let mut all = Vec::new();
    for relation in standard::tables(view) {
        match relation.access_object() {
            None => all.push((relation, of_system(view))),
            Some(object) => {
                let access = view.catalog.access.of(&object);
                for granted in view.granted(access.owner, &access.grants(&object)) {
                    all.push((relation.clone(), granted));
                }
            }
        }
    }
    all
}

/// What roles may do with columns: what they may do with all of a table's, and what is granted on
/// single ones.
pub(crate) fn column_privileges(view: &SystemView) -> Vec<(ColumnEntry, Granted)> {
    let mut all = Vec::new();
    for column in view.table_columns() {
        let Some(object) = column.relation.access_object() else {
            all.push((column, of_system(view)));
            continue;
        };
        let access = view.catalog.access.of(&object);
        let mut grants = access.grants(&object);
        for grant in &mut grants {
            grant.privileges = grant.privileges.and(Privileges::OF_COLUMNS);
        }
        let number = column.of_table.as_ref().map(|of| of.number);
        if let Some(single) = number.and_then(|number| access.columns.get(&number)) {
            for grant in single {
                crate::catalog::access::add_grant(&mut grants, *grant);
            }
        }
        for granted in view.granted(access.owner, &grants) {
            all.push((column.clone(), granted));
        }
    }
    all
}
