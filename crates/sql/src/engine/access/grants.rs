//! GRANT and REVOKE of privileges.

use rustling_txn::Transaction;

use super::{denied, noun};
use crate::{
    Error, Result, SqlState,
    ast::{
        AccessStatement, AllKind, GrantPrivileges, GrantTarget, Ident, ObjectName, RoutineKind,
        RoutineName,
    },
    catalog::{
        CatalogReader, ColumnNumber, Table, TableId,
        access::{
            Access, Grant, ObjectId, Privileges, RoleId, add_grant, is_circular, remove_grant,
        },
    },
    engine::{
        catalog::{CatalogSnapshot, access::Rights},
        notice::Notice,
        session::{Session, StatementResult},
    },
    functions,
    span::Span,
};

/// 0LP01
const INVALID_GRANT_OPERATION: SqlState = SqlState("0LP01");

/// What is granted or revoked on one object.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) object: ObjectId,
    pub(super) name: String,
    /// What it is called in messages.
    pub(super) noun: &'static str,
    pub(super) span: Span,
}

/// The privileges of a statement, resolved for a kind of object.
#[derive(Debug, Default)]
struct Wanted {
    /// Those on the object as a whole.
    whole: Privileges,
    /// Those on columns.
    columns: Vec<(Ident, Privileges)>,
    /// Whether it said ALL: what cannot be granted is left out then.
    all: bool,
}

/// Who grants or loses what, on a list of grants.
struct Change<'s> {
    revoke: bool,
    option: bool,
    cascade: bool,
    grantees: &'s [Option<RoleId>],
    owner: RoleId,
    grantor: RoleId,
}

impl Change<'_> {
    /// Does it to a list of grants.
    fn apply(
        &self,
        grants: &mut Vec<Grant>,
        privileges: Privileges,
        catalog: &CatalogSnapshot,
    ) -> Result<()> {
        for grantee in self.grantees {
            if self.revoke {
                remove_grant(
                    grants,
                    self.owner,
                    *grantee,
                    self.grantor,
                    privileges,
                    self.option,
                    self.cascade,
                )
                .map_err(|other| {
                    let other = other.map_or_else(
                        || "PUBLIC".to_owned(),
                        |role| format!("role {}", catalog.access.name_of(role)),
                    );
                    Error::new(SqlState::DEPENDENT_OBJECTS, "dependent privileges exist")
                        .detail(format!("They were granted on to {other}."))
                        .hint("Use CASCADE to revoke them too.")
                })?;
                continue;
            }
            let option = match grantee {
                None if self.option => {
                    return Err(Error::new(
                        INVALID_GRANT_OPERATION,
                        "grant options can only be granted to roles",
                    ));
                }
                Some(grantee) if self.option => {
                    if is_circular(grants, self.owner, *grantee, self.grantor, privileges) {
                        return Err(Error::new(
                            INVALID_GRANT_OPERATION,
                            "grant options cannot be granted back to your own grantor",
                        ));
                    }
                    privileges
                }
                _ => Privileges::NONE,
            };
            add_grant(
                grants,
                Grant {
                    grantee: *grantee,
                    grantor: self.grantor,
                    privileges,
                    grantable: option,
                },
            );
        }
        Ok(())
    }
}

impl Session {
    /// Runs a statement about roles and privileges.
    pub(crate) fn change_access(
        &mut self,
        transaction: &Transaction,
        statement: &AccessStatement,
    ) -> Result<StatementResult> {
        match statement {
            AccessStatement::CreateRole {
                word,
                name,
                options,
            } => self.create_role(transaction, *word, name, options),
            AccessStatement::AlterRole { role, options } => {
                self.alter_role(transaction, role, options)
            }
            AccessStatement::RenameRole { name, to } => self.rename_role(transaction, name, to),
            AccessStatement::DropRole { names, if_exists } => {
                self.drop_roles(transaction, names, *if_exists)
            }
            AccessStatement::Privileges(grant) => self.grant_privileges(transaction, grant),
            AccessStatement::Roles(grant) => self.grant_roles(transaction, grant),
            AccessStatement::Owner {
                object,
                if_exists,
                name,
                to,
            } => self.change_owner(transaction, *object, *if_exists, name, to),
            AccessStatement::ReassignOwned { from, to } => {
                self.reassign_owned(transaction, from, to)
            }
            AccessStatement::DropOwned { roles, cascade } => {
                self.drop_owned(transaction, roles, *cascade)
            }
        }
    }

    pub(super) fn put_access(
        &self,
        transaction: &Transaction,
        object: &ObjectId,
        access: &Access,
    ) -> Result<()> {
        let store = self.database.inner.catalog_store;
        store.put_access(transaction, object, access)
    }

    fn grant_privileges(
        &mut self,
        transaction: &Transaction,
        grant: &GrantPrivileges,
    ) -> Result<StatementResult> {
        let catalog = self.catalog();
        let rights = self.rights(&catalog);
        let grantees = grant
            .grantees
            .iter()
            .map(|spec| {
                if spec.is_public() {
                    return Ok(None);
                }
                Ok(Some(self.role_of(&catalog, spec)?.id))
            })
            .collect::<Result<Vec<_>>>()?;
        let as_role = self.grantor(&catalog, &rights, grant.granted_by.as_ref())?;
        let mut notices = Vec::new();
        let mut targets = self.targets(&catalog, grant, &mut notices)?;
        targets.sort_by(|a, b| a.object.cmp(&b.object));
        targets.dedup_by(|a, b| a.object == b.object);
        for target in targets {
            let wanted = wanted(grant, &target)?;
            let mut access = catalog.access.of(&target.object);
            // A superuser, and whoever has the owner's privileges, grants as the owner.
            let acts = catalog.access.rights(as_role);
            let grantor = if acts.has_role(access.owner) && grant.granted_by.is_none() {
                access.owner
            } else {
                as_role
            };
            let change = Change {
                revoke: grant.revoke,
                option: grant.grant_option,
                cascade: grant.cascade,
                grantees: &grantees,
                owner: access.owner,
                grantor,
            };
            let mut short = false;
            let mut any = false;
            if !wanted.whole.is_empty() {
                let usable = wanted.whole.and(acts.grantable(&target.object));
                if usable.is_empty() && rights.privileges(&target.object).is_empty() {
                    return Err(denied(target.noun, &target.name).at(target.span));
                }
                short |= usable != wanted.whole && !wanted.all;
                any |= !usable.is_empty();
                if !usable.is_empty() {
                    let mut grants = access.grants(&target.object);
                    change.apply(&mut grants, usable, &catalog)?;
                    access.grants = Some(grants);
                    if grant.revoke && matches!(target.object, ObjectId::Table(_)) {
                        // What is revoked of a table is revoked of its columns.
                        let of_columns = usable.and(Privileges::OF_COLUMNS);
                        for grants in access.columns.values_mut() {
                            change.apply(grants, of_columns, &catalog)?;
                        }
                    }
                }
            }
            if let ObjectId::Table(id) = target.object {
                for (column, privileges) in &wanted.columns {
                    let number = column_number(&catalog, id, column)?;
                    let usable = privileges.and(acts.grantable_on_column(id, number));
                    if usable.is_empty() && !rights.on_columns(id, *privileges, &[number]) {
                        return Err(denied(target.noun, &target.name).at(target.span));
                    }
                    short |= usable != *privileges;
                    any |= !usable.is_empty();
                    if !usable.is_empty() {
                        let grants = access.columns.entry(number).or_default();
                        change.apply(grants, usable, &catalog)?;
                    }
                }
                access.columns.retain(|_, grants| !grants.is_empty());
            }
            if short || !any {
                let amount = if any { "not all" } else { "no" };
                let what = if grant.revoke {
                    "could be revoked"
                } else {
                    "were granted"
                };
                let name = &target.name;
                notices.push(Notice::warning(format!(
                    "{amount} privileges {what} for \"{name}\""
                )));
            }
            self.put_access(transaction, &target.object, &access)?;
        }
        let tag = if grant.revoke { "REVOKE" } else { "GRANT" };
        Ok(StatementResult::noted(tag, notices))
    }

    /// The objects that a GRANT or REVOKE is about.
    fn targets(
        &self,
        catalog: &CatalogSnapshot,
        grant: &GrantPrivileges,
        notices: &mut Vec<Notice>,
    ) -> Result<Vec<Target>> {
        let path = self.settings.search_path.clone();
        let reader = catalog.with_path(&path);
        let rights = self.rights(catalog);
        let mut targets = Vec::new();
        match &grant.target {
            GrantTarget::Tables(names) => {
                for name in names {
                    targets.push(self.relation(catalog, &reader, &rights, name, true)?);
                }
            }
            GrantTarget::Sequences(names) => {
                for name in names {
                    targets.push(self.relation(catalog, &reader, &rights, name, false)?);
                }
            }
            GrantTarget::Schemas(names) => {
                for name in names {
                    targets.push(Target {
                        object: schema_named(catalog, name)?,
                        name: name.name.clone(),
                        noun: "schema",
                        span: name.span,
                    });
                }
            }
            GrantTarget::Databases(names) => {
                for name in names {
                    if name.name != self.database().name() {
                        return Err(Error::new(
                            SqlState("3D000"),
                            format!("database \"{}\" does not exist", name.name),
                        )
                        .at(name.span)
                        .hint(format!(
                            "There is one database, \"{}\".",
                            self.database().name()
                        )));
                    }
                    targets.push(Target {
                        object: ObjectId::Database,
                        name: name.name.clone(),
                        noun: "database",
                        span: name.span,
                    });
                }
            }
            GrantTarget::Routines(kind, names) => {
                for routine in names {
                    targets.push(routine_target(*kind, routine, notices)?);
                }
            }
            GrantTarget::AllIn(kind, schemas) => {
                for schema in schemas {
                    schema_named(catalog, schema)?;
                    all_in(catalog, *kind, schema, &mut targets);
                }
            }
            GrantTarget::Types(names) | GrantTarget::Domains(names) => {
                for name in names {
                    targets.push(type_target(&reader, name)?);
                }
            }
            GrantTarget::Other { kind, name } => {
                return Err(undefined(
                    &kind.to_ascii_lowercase(),
                    name.to_string(),
                    name.span,
                ));
            }
        }
        Ok(targets)
    }

    /// A table, view or sequence by name.
    pub(super) fn relation(
        &self,
        catalog: &CatalogSnapshot,
        reader: &dyn CatalogReader,
        rights: &Rights<'_>,
        name: &ObjectName,
        tables: bool,
    ) -> Result<Target> {
        let schema = name.qualifier().map(|schema| schema.name.as_str());
        let ident = &name.last().name;
        if tables && let Some(table) = reader.table(schema, ident)? {
            self.may_use_schema(catalog, rights, &table.schema)?;
            return Ok(Target {
                object: ObjectId::Table(table.id),
                name: table.name.clone(),
                noun: noun(&table),
                span: name.span,
            });
        }
        if let Some(sequence) = reader.sequence(schema, ident)? {
            self.may_use_schema(catalog, rights, &sequence.schema)?;
            return Ok(Target {
                object: ObjectId::Sequence(sequence.id),
                name: sequence.name.clone(),
                noun: "sequence",
                span: name.span,
            });
        }
        if !tables && reader.table(schema, ident)?.is_some() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a sequence"),
            )
            .at(name.span));
        }
        Err(Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        )
        .at(name.span))
    }
}

/// The privileges that a statement names, for one kind of object.
fn wanted(grant: &GrantPrivileges, target: &Target) -> Result<Wanted> {
    let possible = target.object.possible();
    let mut wanted = Wanted::default();
    if grant.privileges.is_empty() {
        wanted.all = true;
        if grant.all_columns.is_empty() {
            wanted.whole = possible;
        }
        for column in &grant.all_columns {
            wanted
                .columns
                .push((column.clone(), Privileges::OF_COLUMNS));
        }
    }
    for privilege in &grant.privileges {
        let name = &privilege.name;
        let bits = Privileges::named(&name.name).ok_or_else(|| {
            Error::new(
                SqlState::SYNTAX_ERROR,
                format!("unrecognized privilege type \"{}\"", name.name),
            )
            .at(name.span)
        })?;
        let upper = name.name.to_ascii_uppercase();
        if !privilege.columns.is_empty() {
            if !Privileges::OF_COLUMNS.contains(bits) {
                return Err(Error::new(
                    INVALID_GRANT_OPERATION,
                    format!("invalid privilege type {upper} for column"),
                )
                .at(name.span));
            }
            for column in &privilege.columns {
                wanted.columns.push((column.clone(), bits));
            }
            continue;
        }
        if !possible.contains(bits) {
            return Err(Error::new(
                INVALID_GRANT_OPERATION,
                format!(
                    "invalid privilege type {upper} for {}",
                    target.object.noun()
                ),
            )
            .at(name.span));
        }
        wanted.whole = wanted.whole.with(bits);
    }
    if !wanted.columns.is_empty() && !matches!(target.object, ObjectId::Table(_)) {
        return Err(Error::new(
            INVALID_GRANT_OPERATION,
            "column privileges are only valid for relations",
        )
        .at(target.span));
    }
    Ok(wanted)
}

pub(super) fn type_target(reader: &dyn CatalogReader, name: &ObjectName) -> Result<Target> {
    let schema = name.qualifier().map(|schema| schema.name.as_str());
    match reader.named_type(schema, &name.last().name)? {
        Some(of) => Ok(Target {
            object: ObjectId::Type(of.id.0),
            name: of.name.clone(),
            noun: "type",
            span: name.span,
        }),
        None => Err(undefined("type", name.to_string(), name.span)),
    }
}

/// A routine as GRANT names it. There may be none of that name: its privileges are kept by name
/// until there is one.
fn routine_target(
    kind: RoutineKind,
    routine: &RoutineName,
    notices: &mut Vec<Notice>,
) -> Result<Target> {
    let name = &routine.name.last().name;
    let word = kind.word.to_ascii_lowercase();
    let method = kind.word.ends_with("METHOD");
    let known = !kind.specific
        && !method
        && routine.of_type.is_none()
        && (!functions::overloads(name).is_empty()
            || functions::aggregate_names().any(|known| known == name)
            || functions::is_table_function(name));
    if !known {
        // With its arguments' types, one certain routine is meant.
        if routine.arguments.is_some() {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("{word} {routine} does not exist"),
            )
            .at(routine.name.span));
        }
        notices.push(Notice::new(format!(
            "{word} \"{name}\" does not exist yet; its privileges are kept by name"
        )));
    }
    let key = match &routine.of_type {
        _ if kind.specific => format!("specific {name}"),
        Some(of_type) => format!("{of_type}.{name}"),
        None if method => format!("method {name}"),
        None => name.clone(),
    };
    Ok(Target {
        object: ObjectId::Routine(key),
        name: name.clone(),
        noun: "function",
        span: routine.name.span,
    })
}

pub(super) fn undefined(what: &str, name: String, span: Span) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("{what} \"{name}\" does not exist"),
    )
    .at(span)
}

pub(super) fn schema_named(catalog: &CatalogSnapshot, name: &Ident) -> Result<ObjectId> {
    let id = catalog.schema_id(&name.name).ok_or_else(|| {
        Error::new(
            SqlState("3F000"),
            format!("schema \"{}\" does not exist", name.name),
        )
        .at(name.span)
    })?;
    Ok(ObjectId::Schema(id))
}

fn column_number(catalog: &CatalogSnapshot, table: TableId, name: &Ident) -> Result<ColumnNumber> {
    let handle = catalog.handle(table);
    let column = handle.as_ref().and_then(|handle| {
        let table: &Table = &handle.table;
        let ordinal = table.column(&name.name)?;
        table.columns.get(ordinal)
    });
    column.map(|column| column.number).ok_or_else(|| {
        let table = handle.as_ref().map_or("", |handle| &handle.table.name);
        Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!(
                "column \"{}\" of relation \"{table}\" does not exist",
                name.name
            ),
        )
        .at(name.span)
    })
}

/// Everything of a kind in a schema.
fn all_in(catalog: &CatalogSnapshot, kind: AllKind, schema: &Ident, targets: &mut Vec<Target>) {
    match kind {
        AllKind::Tables => targets.extend(
            catalog
                .handles()
                .filter(|handle| handle.table.schema == schema.name)
                .map(|handle| Target {
                    object: ObjectId::Table(handle.table.id),
                    name: handle.table.name.clone(),
                    noun: noun(&handle.table),
                    span: schema.span,
                }),
        ),
        AllKind::Sequences => targets.extend(
            catalog
                .all_sequences()
                .filter(|sequence| sequence.schema == schema.name)
                .map(|sequence| Target {
                    object: ObjectId::Sequence(sequence.id),
                    name: sequence.name.clone(),
                    noun: "sequence",
                    span: schema.span,
                }),
        ),
        // There are no routines of schemas.
        AllKind::Routines => {}
    }
}
