//! From numbers to names, and what is in sight.

use std::sync::Arc;

use compact_str::CompactString;

use crate::{
    DataType, Value,
    catalog::{
        SequenceId,
        access::{Membership, ObjectId, Role, RoleId},
    },
    engine::system::{
        SystemView, objects,
        relations::{Part, Relation},
    },
    system::oids,
    types::{ObjectClass, ObjectReference},
};

pub(crate) use crate::parser::quoted;

/// A name in its schema.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quoted(schema), quoted(name))
}

/// A type's name, with the length or precision that the modifier stands for.
pub(crate) fn type_name(oid: u32, modifier: Option<i32>) -> Option<String> {
    let data_type = DataType::from_oid(oid)?;
    let shown = match (data_type, modifier) {
        // Without a modifier it is any length.
        (DataType::Char(_), None | Some(-1)) => {
            return Some(match modifier {
                None => "character".to_owned(),
                Some(_) => "bpchar".to_owned(),
            });
        }
        (of, Some(modifier)) => of.with_modifier(modifier).to_string(),
        (of, None) => of.to_string(),
    };
    Some(shown)
}

/// A value of a `reg…` type.
pub(crate) fn reference_named(oid: u32, name: impl Into<CompactString>) -> Value {
    Value::Object(Box::new(ObjectReference {
        oid,
        name: name.into(),
    }))
}

impl SystemView {
    /// Whether a relation of that name in that schema is the one that its name alone finds.
    pub(crate) fn is_relation_visible(&self, schema: &str, name: &str) -> bool {
        self.searched(true)
            .iter()
            .find(|searched| self.has_relation(searched, name))
            .is_some_and(|first| first == schema)
    }

    fn has_relation(&self, schema: &str, name: &str) -> bool {
        crate::system::table(schema, name).is_some() || self.catalog.has_relation(schema, name)
    }

    /// A relation's name, with its schema where the name alone finds another or none.
    pub(crate) fn relation_name(&self, schema: &str, name: &str) -> String {
        if self.is_relation_visible(schema, name) {
            quoted(name)
        } else {
            qualified(schema, name)
        }
    }

    /// The name of an object, as its `reg…` type writes it; `None`: there is none of that number.
    pub(crate) fn object_name(&self, class: ObjectClass, oid: u32) -> Option<String> {
        Some(match class {
            ObjectClass::Relation => {
                let relation = self.relation(oid)?;
                self.relation_name(relation.schema(), &relation.name())
            }
            ObjectClass::Type => match type_name(oid, None) {
                Some(name) => name,
                None => self.user_type_name(oid)?,
            },
            ObjectClass::Schema => {
                let schemas = self.schemas();
                quoted(&schemas.iter().find(|schema| schema.oid == oid)?.name)
            }
            ObjectClass::Role => quoted(&self.role_name(oid)?),
            ObjectClass::Function => objects::function(oid)?.name.to_owned(),
            ObjectClass::FunctionWithArguments => {
                let function = objects::function(oid)?;
                format!("{}({})", function.name, function.argument_types().join(","))
            }
            ObjectClass::Collation => match oid {
                oids::DEFAULT_COLLATION => "\"default\"".to_owned(),
                oids::C_COLLATION => "\"C\"".to_owned(),
                _ => return None,
            },
            ObjectClass::Operator => objects::operator(oid)?.to_owned(),
        })
    }

    /// A value of a `reg…` type. A number that no object has is written as itself.
    pub(crate) fn reference(&self, class: ObjectClass, oid: u32) -> Value {
        let name = match oid {
            0 => CompactString::const_new("-"),
            oid => self
                .object_name(class, oid)
                .map_or_else(|| oid.to_string().into(), CompactString::from),
        };
        reference_named(oid, name)
    }

    /// The name of a role.
    pub(crate) fn role_name(&self, oid: u32) -> Option<String> {
        let role = self.catalog.access.role(RoleId(oid))?;
        Some(role.name.clone())
    }

    /// Every role.
    pub(crate) fn roles(&self) -> Vec<Arc<Role>> {
        self.catalog.access.roles().cloned().collect()
    }

    /// Every role that may log in.
    pub(crate) fn users(&self) -> Vec<Arc<Role>> {
        let roles = self.catalog.access.roles();
        roles.filter(|role| role.login).cloned().collect()
    }

    /// Who is a member of which role.
    pub(crate) fn memberships(&self) -> Vec<(RoleId, Membership)> {
        self.catalog
            .access
            .roles()
            .flat_map(|role| role.member_of.iter().map(|of| (role.id, *of)))
            .collect()
    }

    /// The number of the role that owns a relation.
    pub(crate) fn owner_of(&self, relation: &Relation) -> u32 {
        let object = match &relation.part {
            Part::Table(handle) | Part::Index(handle, _) => ObjectId::Table(handle.table.id),
            Part::Sequence(sequence) => ObjectId::Sequence(sequence.id),
            Part::System(_) => return oids::OWNER,
        };
        self.catalog.access.of(&object).owner.0
    }

    /// The name of the role that owns a relation.
    pub(crate) fn owner_name(&self, relation: &Relation) -> String {
        self.role_name(self.owner_of(relation)).unwrap_or_default()
    }

    /// The name of the role that owns a sequence.
    pub(crate) fn sequence_owner(&self, id: SequenceId) -> String {
        let owner = self.catalog.access.of(&ObjectId::Sequence(id)).owner;
        self.role_name(owner.0).unwrap_or_default()
    }

    /// The number of the role that owns a schema.
    pub(crate) fn owner_of_schema(&self, name: &str) -> u32 {
        let id = self.catalog.schema_id(name);
        id.map_or(oids::OWNER, |id| {
            self.catalog.access.of(&ObjectId::Schema(id)).owner.0
        })
    }
}
