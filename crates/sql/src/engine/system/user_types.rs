//! Types that users have made: domains, distinct types, and the row types of tables.

use std::sync::Arc;

use super::{
    SystemView, columns,
    names::{qualified, quoted},
    type_rows::{TypeRow, system_types},
};
use crate::{
    DataType, Value,
    catalog::{
        access::ObjectId,
        named_type::{NamedType, NamedTypeKind},
    },
    types::FIRST_USER_OID,
};

/// The number of a named type.
fn oid_of(named: &NamedType) -> u32 {
    FIRST_USER_OID + named.id.0
}

impl SystemView {
    /// Every type, or the one with that number.
    pub(crate) fn types(&self, only: Option<&Value>) -> Vec<TypeRow> {
        let mut rows = system_types(only);
        let only = only.and_then(Value::as_integer);
        let wanted = |oid: u32| only.is_none_or(|only| only == i64::from(oid));
        let named = self.catalog.named_types();
        rows.extend(
            named
                .filter(|named| wanted(oid_of(named)))
                .map(|named| self.named_row(named)),
        );
        for relation in self.tables() {
            if wanted(relation.oid) {
                rows.push(TypeRow {
                    schema: self.schema_oid(relation.schema()),
                    owner: self.owner_of(&relation),
                    relation: relation.oid,
                    kind: 'c',
                    category: 'C',
                    ..TypeRow::of_user(relation.oid, &relation.name(), DataType::Unknown)
                });
            }
        }
        rows
    }

    fn named_row(&self, named: &NamedType) -> TypeRow {
        let base = named.base();
        let row = TypeRow {
            schema: self.schema_oid(&named.schema),
            owner: self.catalog.access.of(&ObjectId::Type(named.id.0)).owner.0,
            ..TypeRow::of_user(
                oid_of(named),
                &named.name,
                base.unwrap_or(DataType::Unknown),
            )
        };
        let Some(base) = base else {
            return TypeRow {
                kind: 'p',
                category: 'P',
                defined: false,
                ..row
            };
        };
        let (not_null, default) = match &named.kind {
            NamedTypeKind::Domain(domain) => (domain.not_null, domain.default.clone()),
            NamedTypeKind::Shell | NamedTypeKind::Distinct(_) => (false, None),
        };
        TypeRow {
            kind: 'd',
            category: match base {
                DataType::Array(_) => 'A',
                base => base.entry().map_or('U', |entry| entry.category),
            },
            size: match base {
                DataType::Array(_) => -1,
                base => base.entry().map_or(-1, |entry| entry.size),
            },
            by_value: columns::by_value(base),
            alignment: columns::alignment(base),
            storage: columns::storage(base),
            collation: columns::collation(base),
            base: base.oid(),
            modifier: base.modifier(),
            not_null,
            default,
            ..row
        }
    }

    fn named_type(&self, oid: u32) -> Option<&Arc<NamedType>> {
        self.catalog
            .named_types()
            .find(|named| oid_of(named) == oid)
    }

    /// The name of a type that a user has made, as `format_type` writes it.
    pub(crate) fn user_type_name(&self, oid: u32) -> Option<String> {
        if oid < FIRST_USER_OID {
            return None;
        }
        match self.named_type(oid) {
            Some(named) if self.is_type_visible(oid) => Some(quoted(&named.name)),
            Some(named) => Some(qualified(&named.schema, &named.name)),
            None => {
                let relation = self.relation(oid)?;
                Some(self.relation_name(relation.schema(), &relation.name()))
            }
        }
    }

    /// Whether a type's name alone finds it: those that are part of the system always do.
    pub(crate) fn is_type_visible(&self, oid: u32) -> bool {
        match self.named_type(oid) {
            Some(named) => self.searched(true).contains(&named.schema),
            None => match self.relation(oid).filter(|_| oid >= FIRST_USER_OID) {
                Some(relation) => self.is_relation_visible(relation.schema(), &relation.name()),
                None => true,
            },
        }
    }
}
