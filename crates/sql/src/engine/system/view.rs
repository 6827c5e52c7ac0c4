//! The system catalog as a session sees it at one moment.

use std::sync::Arc;

use crate::{
    Result,
    catalog::{
        Sequence,
        access::{ObjectId, Privileges, RoleId},
    },
    engine::{
        catalog::{CatalogSnapshot, store::CommentKey},
        database::Inner,
        settings::Settings,
        system::{definitions, relations::Relation},
        temporary::PREFIX,
    },
    system::{self, oids},
    types::FIRST_USER_OID,
};

/// The system catalog as a session sees it at one moment.
#[derive(Clone)]
pub(crate) struct SystemView {
    pub(crate) inner: Arc<Inner>,
    pub(crate) catalog: Arc<CatalogSnapshot>,
    /// The search path as it is set.
    pub(crate) path: Arc<Vec<String>>,
    pub(crate) settings: Arc<Settings>,
    /// Who looks at it.
    pub(crate) reader: RoleId,
}

/// A schema.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    pub(crate) oid: u32,
    pub(crate) name: String,
}

impl SystemView {
    /// The database's name.
    pub(crate) fn database(&self) -> &str {
        &self.inner.info.database
    }

    /// Every schema.
    pub(crate) fn schemas(&self) -> Vec<Schema> {
        let mut schemas: Vec<Schema> = system::SCHEMAS
            .iter()
            .map(|(name, oid)| Schema {
                oid: *oid,
                name: (*name).to_owned(),
            })
            .collect();
        for (name, id) in self.catalog.all_schemas() {
            schemas.push(Schema {
                oid: schema_oid(id),
                name: name.to_owned(),
            });
        }
        for (at, name) in self.temporary_schemas().into_iter().enumerate() {
            schemas.push(Schema {
                oid: temporary_oid(&name).unwrap_or(at as u32),
                name,
            });
        }
        schemas
    }

    /// Schemas of sessions' temporary objects, those that hold some.
    fn temporary_schemas(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .catalog
            .handles()
            .map(|handle| handle.table.schema.as_str())
            .chain(self.catalog.all_sequences().map(|of| of.schema.as_str()))
            .filter(|schema| schema.starts_with(PREFIX))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The number of a schema; 0 where there is none.
    pub(crate) fn schema_oid(&self, name: &str) -> u32 {
        if let Some((_, oid)) = system::SCHEMAS.iter().find(|(known, _)| *known == name) {
            return *oid;
        }
        match self.catalog.schema_id(name) {
            Some(id) => schema_oid(id),
            None => temporary_oid(name).unwrap_or(0),
        }
    }

    /// The schemas in which names are looked up; those that PostgreSQL adds by itself only where
    /// `implicit`.
    pub(crate) fn searched(&self, implicit: bool) -> Vec<String> {
        let exists =
            |name: &&str| self.schema_oid(name) != 0 && (implicit || !name.starts_with(PREFIX));
        if implicit {
            system::searched(&self.path)
                .filter(exists)
                .map(str::to_owned)
                .collect()
        } else {
            self.path
                .iter()
                .map(String::as_str)
                .filter(exists)
                .map(str::to_owned)
                .collect()
        }
    }

    /// The name of the role that owns what nobody else does.
    pub(crate) fn owner(&self) -> String {
        self.role_name(oids::OWNER).unwrap_or_default()
    }

    /// The schema of the session's temporary objects.
    pub(crate) fn temporary_schema(&self) -> Option<&str> {
        self.path
            .iter()
            .map(String::as_str)
            .find(|schema| schema.starts_with(PREFIX))
    }

    /// Views of users, with their queries.
    pub(crate) fn views(&self) -> Vec<(Relation, String)> {
        self.tables()
            .into_iter()
            .filter_map(|relation| {
                let text = definitions::view(&relation)?;
                Some((relation, text))
            })
            .collect()
    }

    /// Where a sequence stands: the last number and whether it was given out. `None` of one that
    /// is not committed yet.
    fn sequence_state(&self, sequence: &Sequence) -> Result<Option<(i64, bool)>> {
        let committed = self.inner.catalog();
        let known = committed
            .sequence_by_id(sequence.id)
            .is_some_and(|known| known.state == sequence.state);
        match committed.sequence_states {
            Some(keyspace) if known => self.inner.sequence_value(sequence, keyspace).map(Some),
            _ => Ok(None),
        }
    }

    /// The number that a sequence has given out last, where the reader may know it.
    pub(crate) fn last_value(&self, sequence: &Sequence) -> Result<Option<i64>> {
        let rights = self.catalog.access.rights(self.reader);
        let held = rights.privileges(&ObjectId::Sequence(sequence.id));
        let telling = Privileges::SELECT.with(Privileges::USAGE);
        if held.and(telling).is_empty() {
            return Ok(None);
        }
        let state = self.sequence_state(sequence)?;
        Ok(state.and_then(|(last, called)| called.then_some(last)))
    }

    /// Comments on what is in the database.
    pub(crate) fn object_comments(&self) -> impl Iterator<Item = (CommentKey, &str)> {
        self.catalog
            .all_comments()
            .filter(|((class, ..), _)| !is_shared(*class))
    }

    /// Comments on what databases share: databases themselves, roles.
    pub(crate) fn shared_comments(&self) -> impl Iterator<Item = (CommentKey, &str)> {
        self.catalog
            .all_comments()
            .filter(|((class, ..), _)| is_shared(*class))
    }

    /// The comment on an object, or on a column of it.
    pub(crate) fn comment(&self, class: u32, object: u32, column: u32) -> Option<&str> {
        self.catalog.comment((class, object, column))
    }
}

/// Whether the catalog of that number lists what databases share.
fn is_shared(class: u32) -> bool {
    matches!(class, oids::PG_DATABASE | oids::PG_AUTHID)
}

/// The number of a schema by its id.
fn schema_oid(id: u32) -> u32 {
    match id {
        0 => oids::PUBLIC_SCHEMA,
        id => FIRST_USER_OID + id,
    }
}

/// The number of a schema of temporary objects: they have no id, and go with their session.
fn temporary_oid(name: &str) -> Option<u32> {
    let number: u32 = name.strip_prefix(PREFIX)?.parse().ok()?;
    Some(0xe000_0000 | number)
}
