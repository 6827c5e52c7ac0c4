//! What `has_table_privilege` and its like answer.

use super::no_role;
use crate::{
    Error, Result, SqlState,
    catalog::{
        CatalogReader, Table,
        access::{ObjectId, Privileges, RoleId},
    },
    engine::{
        catalog::{CatalogSnapshot, access::Rights},
        sequences::SessionSequences,
    },
    eval::{AccessSource, PrivilegeOn},
    system,
};

fn missing(what: &str, name: &str, state: SqlState) -> Error {
    Error::new(state, format!("{what} \"{name}\" does not exist"))
}

/// A privilege that was asked about, and whether the option to grant it on.
fn wanted(text: &str) -> Result<Vec<(Privileges, bool)>> {
    text.split(',')
        .map(|part| {
            let upper = part.trim().to_ascii_uppercase();
            let (name, option) = match upper.strip_suffix(" WITH GRANT OPTION") {
                Some(name) => (name.trim_end(), true),
                None => (upper.as_str(), false),
            };
            let privilege = Privileges::named(name).ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized privilege type: \"{}\"", part.trim()),
                )
            })?;
            Ok((privilege, option))
        })
        .collect()
}

/// Whether the rights hold one of the privileges on the object.
fn on_object(rights: &Rights<'_>, object: &ObjectId, text: &str) -> Result<bool> {
    let (held, grantable) = (rights.privileges(object), rights.grantable(object));
    for (privilege, option) in wanted(text)? {
        if !object.possible().contains(privilege) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized privilege type: \"{text}\""),
            ));
        }
        if held.contains(privilege) && (!option || grantable.contains(privilege)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The system's schemas may be used by everybody, and nobody makes anything in them.
fn on_system_schema(rights: &Rights<'_>, text: &str) -> Result<bool> {
    let mut any = false;
    for (privilege, option) in wanted(text)? {
        any |= rights.superuser || (privilege == Privileges::USAGE && !option);
    }
    Ok(any)
}

fn table_named(
    catalog: &CatalogSnapshot,
    path: &[String],
    name: &str,
) -> Result<std::sync::Arc<Table>> {
    let parts = crate::parser::parse_name(name)?;
    let reader = catalog.with_path(path);
    let found = match parts.as_slice() {
        [table] => reader.table(None, table)?,
        [schema, table] => reader.table(Some(schema), table)?,
        _ => None,
    };
    found.ok_or_else(|| missing("relation", name, SqlState::UNDEFINED_TABLE))
}

/// Whether a role is a member of another, has its privileges, or may grant it on.
fn on_role(
    catalog: &CatalogSnapshot,
    rights: &Rights<'_>,
    other: RoleId,
    text: &str,
) -> Result<bool> {
    let access = &catalog.access;
    for part in text.split(',') {
        let upper = part.trim().to_ascii_uppercase();
        let holds = match upper.as_str() {
            "USAGE" => rights.has_role(other),
            "MEMBER" => rights.superuser || access.is_member(rights.role, other),
            "USAGE WITH GRANT OPTION"
            | "USAGE WITH ADMIN OPTION"
            | "MEMBER WITH GRANT OPTION"
            | "MEMBER WITH ADMIN OPTION" => {
                rights.superuser
                    || access.roles().any(|role| {
                        access.is_member(rights.role, role.id)
                            && role.member_of.iter().any(|of| of.role == other && of.admin)
                    })
            }
            _ => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized privilege type: \"{}\"", part.trim()),
                ));
            }
        };
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

impl AccessSource for SessionSequences {
    fn has_privilege(
        &self,
        role: Option<&str>,
        on: PrivilegeOn<'_>,
        privileges: &str,
    ) -> Result<bool> {
        let (_, catalog, path) = self.surroundings()?;
        let current = self.role();
        let named = |name: &str| {
            let found = catalog.access.role_named(name).map(|role| role.id);
            found.ok_or_else(|| no_role(name))
        };
        let role = role.map_or(Ok(current), named)?;
        let rights = catalog.access.rights(role);
        let object = match on {
            PrivilegeOn::Role(name) => return on_role(&catalog, &rights, named(name)?, privileges),
            PrivilegeOn::Table(name) => ObjectId::Table(table_named(&catalog, &path, name)?.id),
            PrivilegeOn::Column(table, column) => {
                let table = table_named(&catalog, &path, table)?;
                let column = table
                    .column(column)
                    .and_then(|ordinal| table.columns.get(ordinal))
                    .ok_or_else(|| missing("column", column, SqlState::UNDEFINED_COLUMN))?;
                let number = column.number;
                for (privilege, option) in wanted(privileges)? {
                    let grantable = rights.grantable_on_column(table.id, number);
                    if rights.on_columns(table.id, privilege, &[number])
                        && (!option || grantable.contains(privilege))
                    {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            PrivilegeOn::AnyColumn(table) => {
                let table = table_named(&catalog, &path, table)?;
                for (privilege, option) in wanted(privileges)? {
                    let holds = rights.on_columns(table.id, privilege, &[]);
                    let grants = !option
                        || table.columns.iter().any(|column| {
                            rights
                                .grantable_on_column(table.id, column.number)
                                .contains(privilege)
                        });
                    if holds && grants {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            PrivilegeOn::Sequence(name) => {
                let parts = crate::parser::parse_name(name)?;
                let reader = catalog.with_path(&path);
                let found = match parts.as_slice() {
                    [sequence] => reader.sequence(None, sequence)?,
                    [schema, sequence] => reader.sequence(Some(schema), sequence)?,
                    _ => None,
                };
                let found =
                    found.ok_or_else(|| missing("relation", name, SqlState::UNDEFINED_TABLE))?;
                ObjectId::Sequence(found.id)
            }
            PrivilegeOn::Schema(name) => match catalog.schema_id(name) {
                Some(id) => ObjectId::Schema(id),
                None if system::is_schema(name) => {
                    return on_system_schema(&rights, privileges);
                }
                None => return Err(missing("schema", name, SqlState("3F000"))),
            },
            PrivilegeOn::Database(name) => {
                if name != self.database_name()? {
                    return Err(missing("database", name, SqlState("3D000")));
                }
                ObjectId::Database
            }
            PrivilegeOn::Function(name) => {
                let plain = name.split('(').next().unwrap_or(name).trim();
                ObjectId::Routine(plain.to_ascii_lowercase())
            }
        };
        on_object(&rights, &object, privileges)
    }
}
