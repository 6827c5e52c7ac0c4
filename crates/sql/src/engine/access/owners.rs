//! Owners: ALTER … OWNER TO, REASSIGN OWNED, DROP OWNED.

use rustling_txn::Transaction;

use super::{
    grants::{Target, schema_named, type_target},
    not_owner,
};
use crate::{
    Error, Result, SqlState,
    ast::{ObjectKind, ObjectName, OwnedKind, RoleSpec},
    bound::Drop,
    catalog::access::{Access, Grant, ObjectId, Privileges, RoleId, add_grant, remove_grant},
    engine::{
        catalog::CatalogSnapshot,
        notice::Notice,
        session::{Session, StatementResult},
    },
};

impl Session {
    pub(super) fn change_owner(
        &mut self,
        transaction: &Transaction,
        object: OwnedKind,
        if_exists: bool,
        name: &ObjectName,
        to: &RoleSpec,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        let tag = format!("ALTER {}", object.keyword());
        let target = match self.owned(&catalog, object, name) {
            Ok(target) => target,
            Err(error) if if_exists && is_missing(&error) => {
                let notice = Notice::new(format!("{}, skipping", error.message()));
                return Ok(StatementResult::noted(tag, vec![notice]));
            }
            Err(error) => return Err(error),
        };
        if !rights.owns(&target.object) {
            return Err(not_owner(target.noun, &target.name).at(name.span));
        }
        let owner = self.role_of(&catalog, to)?;
        let may = rights.superuser
            || catalog.access.is_member(rights.role, owner.id)
            || owner.id == rights.role;
        if !may {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("must be member of role \"{}\"", owner.name),
            )
            .at(to.span()));
        }
        if !rights.superuser && catalog.access.of(&target.object).owner != owner.id {
            self.may_have_in_schema(&catalog, &target, owner.id)?;
        }
        // Sequences go with the table whose columns they belong to.
        let mut objects = vec![target.object.clone()];
        if let ObjectId::Table(table) = target.object {
            objects.extend(
                catalog
                    .all_sequences()
                    .filter(|sequence| sequence.owner.is_some_and(|(of, _)| of == table))
                    .map(|sequence| ObjectId::Sequence(sequence.id)),
            );
        }
        for object in objects {
            let mut access = catalog.access.of(&object);
            hand_over(&mut access, owner.id);
            self.put_access(transaction, &object, &access)?;
        }
        Ok(StatementResult::done(tag))
    }

    /// Fails where a role may not make anything in the schema of what it is to own.
    fn may_have_in_schema(
        &self,
        catalog: &CatalogSnapshot,
        target: &Target,
        owner: RoleId,
    ) -> Result<()> {
        let schema = match &target.object {
            ObjectId::Table(id) => catalog.handle(*id).map(|of| of.table.schema.clone()),
            ObjectId::Sequence(id) => catalog.sequence_by_id(*id).map(|of| of.schema.clone()),
            ObjectId::Type(id) => catalog
                .named_types()
                .find(|of| of.id.0 == *id)
                .map(|of| of.schema.clone()),
            ObjectId::Schema(_) | ObjectId::Database | ObjectId::Routine(_) => None,
        };
        match schema {
            Some(schema) => {
                let rights = catalog.access.rights(owner);
                self.on_schema(catalog, &rights, &schema, Privileges::CREATE)
            }
            None => Ok(()),
        }
    }

    /// What ALTER … OWNER TO names.
    fn owned(
        &self,
        catalog: &CatalogSnapshot,
        object: OwnedKind,
        name: &ObjectName,
    ) -> Result<Target> {
        let path = self.settings.search_path.clone();
        let reader = catalog.with_path(&path);
        let rights = self.rights(catalog);
        let last = name.last();
        match object {
            OwnedKind::Relation(ObjectKind::Schema) => Ok(Target {
                object: schema_named(catalog, last)?,
                name: last.name.clone(),
                noun: "schema",
                span: name.span,
            }),
            OwnedKind::Relation(ObjectKind::Sequence) => {
                self.relation(catalog, &reader, &rights, name, false)
            }
            OwnedKind::Relation(_) => self.relation(catalog, &reader, &rights, name, true),
            OwnedKind::Database => Ok(Target {
                object: ObjectId::Database,
                name: last.name.clone(),
                noun: "database",
                span: name.span,
            }),
            OwnedKind::Type | OwnedKind::Domain => type_target(&reader, name),
        }
    }

    pub(super) fn reassign_owned(
        &mut self,
        transaction: &Transaction,
        from: &[RoleSpec],
        to: &RoleSpec,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        let owner = self.role_of(&catalog, to)?;
        for spec in from {
            let role = self.role_of(&catalog, spec)?;
            if role.id == RoleId::SUPERUSER {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS,
                    format!(
                        "cannot reassign ownership of objects owned by role {} because they are required by the database system",
                        role.name
                    ),
                )
                .at(spec.span()));
            }
            if !rights.has_role(role.id) || !rights.has_role(owner.id) {
                return Err(Error::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    "permission denied to reassign objects",
                )
                .at(spec.span()));
            }
            for (object, access) in catalog.access.objects() {
                if access.owner == role.id {
                    let mut access = access.clone();
                    hand_over(&mut access, owner.id);
                    self.put_access(transaction, object, &access)?;
                }
            }
        }
        Ok(StatementResult::done("REASSIGN OWNED"))
    }

    pub(super) fn drop_owned(
        &mut self,
        transaction: &Transaction,
        roles: &[RoleSpec],
        cascade: bool,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        let mut notices = Vec::new();
        for spec in roles {
            let role = self.role_of(&catalog, spec)?;
            if role.id == RoleId::SUPERUSER || !rights.has_role(role.id) {
                return Err(Error::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    "permission denied to drop objects",
                )
                .at(spec.span()));
            }
            let mut tables = Vec::new();
            let mut sequences = Vec::new();
            let mut schemas = Vec::new();
            for (object, access) in catalog.access.objects() {
                if access.owner != role.id {
                    if access.names(role.id) {
                        let mut access = access.clone();
                        forget(&mut access, object, role.id);
                        self.put_access(transaction, object, &access)?;
                    }
                    continue;
                }
                match object {
                    ObjectId::Table(id) => tables.extend(catalog.handle(*id)),
                    ObjectId::Sequence(id) => sequences.extend(
                        catalog
                            .sequence_by_id(*id)
                            .filter(|sequence| sequence.owner.is_none()),
                    ),
                    ObjectId::Schema(_) => schemas.push(self.object_name(&catalog, object)),
                    ObjectId::Database | ObjectId::Type(_) | ObjectId::Routine(_) => {}
                }
            }
            let nothing = || Drop {
                kind: ObjectKind::Table,
                tables: Vec::new(),
                indexes: Vec::new(),
                sequences: Vec::new(),
                schemas: Vec::new(),
                missing: Vec::new(),
                cascade,
            };
            let (views, tables): (Vec<_>, Vec<_>) = tables
                .into_iter()
                .map(|handle| std::sync::Arc::clone(&handle.table))
                .partition(|table| table.view().is_some());
            for (kind, tables) in [(ObjectKind::View, views), (ObjectKind::Table, tables)] {
                let dropped = Drop {
                    kind,
                    tables,
                    ..nothing()
                };
                self.drop_listed(transaction, dropped, &mut notices)?;
            }
            let dropped = Drop {
                kind: ObjectKind::Sequence,
                sequences,
                ..nothing()
            };
            self.drop_listed(transaction, dropped, &mut notices)?;
            let dropped = Drop {
                kind: ObjectKind::Schema,
                schemas,
                ..nothing()
            };
            self.drop_listed(transaction, dropped, &mut notices)?;
        }
        Ok(StatementResult::noted("DROP OWNED", notices))
    }

    fn drop_listed(
        &mut self,
        transaction: &Transaction,
        drop: Drop,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        if let StatementResult::Done { notices: more, .. } = self.drop_objects(transaction, drop)? {
            notices.extend(more);
        }
        self.reload_catalog(transaction)?;
        Ok(())
    }
}

/// Makes another role the owner: it grants what the owner before granted, and has what that had.
fn hand_over(access: &mut Access, to: RoleId) {
    let from = std::mem::replace(&mut access.owner, to);
    let renamed = |grants: &mut Vec<Grant>| {
        let old = std::mem::take(grants);
        for mut grant in old {
            if grant.grantor == from {
                grant.grantor = to;
            }
            if grant.grantee == Some(from) {
                grant.grantee = Some(to);
            }
            add_grant(grants, grant);
        }
    };
    access.grants.iter_mut().for_each(renamed);
    access.columns.values_mut().for_each(renamed);
}

/// Takes away what was granted to a role, with what it has granted on.
fn forget(access: &mut Access, object: &ObjectId, role: RoleId) {
    let owner = access.owner;
    let clean = |grants: &mut Vec<Grant>| {
        let given: Vec<Grant> = grants
            .iter()
            .filter(|grant| grant.grantee == Some(role))
            .copied()
            .collect();
        for grant in given {
            // With CASCADE nothing is in the way.
            let _ = remove_grant(
                grants,
                owner,
                grant.grantee,
                grant.grantor,
                grant.privileges,
                false,
                true,
            );
        }
        grants.retain(|grant| grant.grantor != role);
    };
    if access.grants.is_some() {
        let mut grants = access.grants(object);
        clean(&mut grants);
        access.grants = Some(grants);
    }
    access.columns.values_mut().for_each(clean);
    access.columns.retain(|_, grants| !grants.is_empty());
}

fn is_missing(error: &Error) -> bool {
    [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_OBJECT,
        SqlState("3F000"),
    ]
    .contains(&error.state())
}
