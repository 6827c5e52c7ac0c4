//! The types that users have named, as the catalog keeps them.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    DataType, Result,
    catalog::{
        CatalogReader,
        named_type::{NamedType, NamedTypeKind, TypeId},
    },
    encoding::corrupt,
    engine::catalog::{
        convert::named_type_of,
        record::{ARRAY_OF_ENUM, ENUM_TYPE, NamedTypeRecord, TypeRecord},
        snapshot::PUBLIC,
    },
    types::EnumType,
};

/// Every named type of a catalog.
#[derive(Debug, Default)]
pub(crate) struct NamedTypes {
    by_name: BTreeMap<(String, String), Arc<NamedType>>,
    by_id: HashMap<TypeId, Arc<NamedType>>,
    records: Vec<NamedTypeRecord>,
}

/// Equal records are equal types.
impl PartialEq for NamedTypes {
    fn eq(&self, other: &NamedTypes) -> bool {
        self.records == other.records
    }
}

impl NamedTypes {
    /// The types that these records hold.
    pub(crate) fn new(records: Vec<NamedTypeRecord>) -> Result<NamedTypes> {
        let mut types = NamedTypes {
            records,
            ..NamedTypes::default()
        };
        // What others are made of goes first.
        let (enums, others): (Vec<_>, Vec<_>) = types
            .records
            .iter()
            .cloned()
            .partition(NamedTypeRecord::is_enum);
        for record in enums.into_iter().chain(others) {
            let of = Arc::new(named_type_of(record, &types)?);
            let key = (of.schema.clone(), of.name.clone());
            types.by_id.insert(of.id, Arc::clone(&of));
            types.by_name.insert(key, of);
        }
        Ok(types)
    }

    /// Every one, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<NamedType>> {
        self.by_name.values()
    }

    /// The one of that name in a schema.
    pub(crate) fn named(&self, schema: &str, name: &str) -> Option<Arc<NamedType>> {
        let key = (schema.to_owned(), name.to_owned());
        self.by_name.get(&key).cloned()
    }

    /// The one with that id.
    pub(crate) fn by_id(&self, id: TypeId) -> Option<Arc<NamedType>> {
        self.by_id.get(&id).cloned()
    }

    fn enum_type(&self, id: u32) -> Option<EnumType> {
        match self.by_id.get(&TypeId(id))?.kind {
            NamedTypeKind::Enum(of) => Some(of),
            _ => None,
        }
    }

    /// The type that a record names.
    pub(super) fn data_type(&self, record: TypeRecord) -> Result<DataType> {
        let of_enum = || {
            record
                .size
                .and_then(|id| self.enum_type(id))
                .map(DataType::Enum)
                .ok_or_else(|| corrupt("a column's enumerated type in the catalog"))
        };
        match record.kind {
            ENUM_TYPE => of_enum(),
            ARRAY_OF_ENUM => of_enum()?
                .array()
                .ok_or_else(|| corrupt("a column's type in the catalog")),
            _ => record.built_in(),
        }
    }
}

/// The types as what is kept of a table asks for them: whether it does decides whether the table
/// is another one when they change.
#[derive(Debug)]
pub(super) struct AskedTypes<'a> {
    types: &'a NamedTypes,
    asked: Cell<bool>,
}

impl<'a> AskedTypes<'a> {
    pub(super) fn new(types: &'a NamedTypes) -> AskedTypes<'a> {
        AskedTypes {
            types,
            asked: Cell::new(false),
        }
    }

    /// Whether anything was asked.
    pub(super) fn were_asked(&self) -> bool {
        self.asked.get()
    }

    /// The type that a record names.
    pub(super) fn data_type(&self, record: TypeRecord) -> Result<DataType> {
        if matches!(record.kind, ENUM_TYPE | ARRAY_OF_ENUM) {
            self.asked.set(true);
        }
        self.types.data_type(record)
    }

    /// As [`AskedTypes::data_type`], of a column that may be gone together with its type: of that
    /// one, what counts is how it was stored.
    pub(super) fn stored_type(&self, record: TypeRecord) -> Result<DataType> {
        match record.kind {
            ENUM_TYPE | ARRAY_OF_ENUM => Ok(self.data_type(record).unwrap_or(DataType::Bytea)),
            _ => record.built_in(),
        }
    }
}

/// What names in kept SQL mean: types in `public` stand there by their names alone.
impl CatalogReader for AskedTypes<'_> {
    fn named_type(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<NamedType>>> {
        self.asked.set(true);
        Ok(self.types.named(schema.unwrap_or(PUBLIC), name))
    }

    fn named_type_by_id(&self, id: TypeId) -> Option<Arc<NamedType>> {
        self.asked.set(true);
        self.types.by_id(id)
    }
}
