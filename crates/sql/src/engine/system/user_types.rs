//! Types that users have made: domains, distinct types, enumerated types, and the row types of
//! tables.

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
    types::{EnumType, FIRST_USER_OID},
};

/// A label of an enumerated type, as `pg_enum` lists it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelRow {
    pub(crate) oid: u32,
    /// The number of its type.
    pub(crate) of: u32,
    /// Its place among the labels, from 1.
    pub(crate) order: f32,
    pub(crate) name: &'static str,
}

/// The number of a named type.
pub(super) fn oid_of(named: &NamedType) -> u32 {
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
        let enums = self.catalog.named_types().filter_map(|of| of.as_enum());
        rows.extend(
            enums
                .filter(|of| wanted(of.array_oid()))
                .map(|of| self.enum_array_row(of)),
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
            NamedTypeKind::Enum(of) => {
                return TypeRow {
                    kind: 'e',
                    category: 'E',
                    size: columns::size(base),
                    by_value: columns::by_value(base),
                    alignment: columns::alignment(base),
                    storage: columns::storage(base),
                    array: of.array_oid(),
                    ..row
                };
            }
            NamedTypeKind::Shell | NamedTypeKind::Distinct(_) => (false, None),
        };
        TypeRow {
            kind: 'd',
            category: match base {
                DataType::Array(_) => 'A',
                DataType::Enum(_) => 'E',
                base => base.entry().map_or('U', |entry| entry.category),
            },
            size: columns::size(base),
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

    fn enum_array_row(&self, of: EnumType) -> TypeRow {
        let data_type = DataType::Enum(of).array().unwrap_or(DataType::Unknown);
        TypeRow {
            schema: self.schema_oid(of.schema()),
            owner: self.catalog.access.of(&ObjectId::Type(of.id())).owner.0,
            category: 'A',
            element: of.oid(),
            alignment: columns::alignment(data_type),
            ..TypeRow::of_user(of.array_oid(), &format!("_{}", of.name()), data_type)
        }
    }

    /// Every label of every enumerated type.
    pub(crate) fn enum_labels(&self) -> Vec<LabelRow> {
        let enums = self.catalog.named_types().filter_map(|of| of.as_enum());
        enums
            .flat_map(|of| {
                let labels = of.labels().enumerate();
                labels.map(move |(at, label)| LabelRow {
                    oid: FIRST_USER_OID + label.id(),
                    of: of.oid(),
                    order: (at + 1) as f32,
                    name: label.name(),
                })
            })
            .collect()
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
            None if self.enum_of_arrays(oid).is_some() => {
                let of = self.enum_of_arrays(oid)?;
                Some(format!("{}[]", self.user_type_name(of.oid())?))
            }
            None => {
                let relation = self.relation(oid)?;
                Some(self.relation_name(relation.schema(), &relation.name()))
            }
        }
    }

    /// The enumerated type whose arrays have that number.
    fn enum_of_arrays(&self, oid: u32) -> Option<EnumType> {
        let mut enums = self.catalog.named_types().filter_map(|of| of.as_enum());
        enums.find(|of| of.array_oid() == oid)
    }

    /// Whether a type's name alone finds it: those that are part of the system always do.
    pub(crate) fn is_type_visible(&self, oid: u32) -> bool {
        let named = self.named_type(oid);
        let named = named.map(|named| (named.schema.as_str(), named.name.as_str()));
        let of_arrays = self.enum_of_arrays(oid);
        match named.or(of_arrays.map(|of| (of.schema(), of.name()))) {
            // Types that every database has are found first.
            Some((_, name)) if crate::binder::is_built_in_type(name) => false,
            Some((schema, _)) => self.searched(true).iter().any(|known| known == schema),
            None => match self.relation(oid).filter(|_| oid >= FIRST_USER_OID) {
                Some(relation) => self.is_relation_visible(relation.schema(), &relation.name()),
                None => true,
            },
        }
    }
}
