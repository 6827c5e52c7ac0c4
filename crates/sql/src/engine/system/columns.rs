//! Columns of relations, as `pg_attribute` and `information_schema.columns` list them.

use crate::{
    DataType, Value,
    catalog::Column,
    engine::system::{
        SystemView,
        relations::{Part, Relation},
    },
};

/// A column of a relation.
#[derive(Clone, Debug)]
pub(crate) struct ColumnEntry {
    /// The relation.
    pub(crate) relation: Relation,
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    /// Its number within the relation.
    pub(crate) number: i16,
    /// Its place among the columns there are, from 1.
    pub(crate) place: i32,
    pub(crate) not_null: bool,
    /// Of a table's own column.
    pub(crate) of_table: Option<Column>,
}

impl ColumnEntry {
    fn new(relation: &Relation, place: usize, name: String, data_type: DataType) -> ColumnEntry {
        ColumnEntry {
            relation: relation.clone(),
            name,
            data_type,
            number: i16::try_from(place + 1).unwrap_or(i16::MAX),
            place: i32::try_from(place + 1).unwrap_or(i32::MAX),
            not_null: false,
            of_table: None,
        }
    }

    /// Whether it has a default or is computed.
    pub(crate) fn has_default(&self) -> bool {
        self.default().is_some()
    }

    /// Its default or what computes it, as SQL text.
    pub(crate) fn default(&self) -> Option<&str> {
        let column = self.of_table.as_ref()?;
        let (text, _) = column.default.as_ref().or(column.generated.as_ref())?;
        Some(text)
    }

    /// `attidentity`
    pub(crate) fn identity(&self) -> char {
        match self.of_table.as_ref().and_then(|column| column.identity) {
            None => '\0',
            Some(identity) if identity.always => 'a',
            Some(_) => 'd',
        }
    }

    /// `attgenerated`
    pub(crate) fn generated(&self) -> char {
        match &self.of_table {
            Some(column) if column.generated.is_some() => 's',
            _ => '\0',
        }
    }

    /// The number of its collation; 0: values have none.
    pub(crate) fn collation(&self) -> u32 {
        collation(self.data_type)
    }

    /// `attlen`
    pub(crate) fn size(&self) -> i16 {
        size(self.data_type)
    }

    /// Dimensions it was declared with.
    pub(crate) fn dimensions(&self) -> i32 {
        i32::from(matches!(self.data_type, DataType::Array(_)))
    }
}

/// The number of a type's collation; 0: values have none.
pub(crate) fn collation(data_type: DataType) -> u32 {
    use crate::system::oids;
    let of = data_type.element().unwrap_or(data_type);
    match of {
        DataType::Name => oids::C_COLLATION,
        DataType::Text | DataType::Varchar(_) | DataType::Char(_) => oids::DEFAULT_COLLATION,
        _ => 0,
    }
}

/// Bytes that values of a type take in PostgreSQL (`typlen`); -1: they vary.
pub(crate) fn size(data_type: DataType) -> i16 {
    match data_type {
        DataType::Array(_) => -1,
        DataType::Enum(_) => 4,
        of => of.entry().map_or(-1, |entry| entry.size),
    }
}

/// How values of a type are aligned on PostgreSQL's pages (`typalign`).
pub(crate) fn alignment(data_type: DataType) -> char {
    match data_type {
        DataType::Boolean | DataType::InternalChar | DataType::Name | DataType::Uuid => 'c',
        DataType::Int1 => 'c',
        DataType::Int2 => 's',
        DataType::Int8
        | DataType::Float8
        | DataType::Time
        | DataType::TimeTz
        | DataType::Timestamp
        | DataType::TimestampTz
        | DataType::Interval
        | DataType::Rounded(..) => 'd',
        DataType::Unknown => 'c',
        _ => 'i',
    }
}

/// Whether values of a type are passed as they are (`typbyval`).
pub(crate) fn by_value(data_type: DataType) -> bool {
    matches!(size(data_type), 1 | 2 | 4 | 8)
}

/// `typstorage`
pub(crate) fn storage(data_type: DataType) -> char {
    match data_type {
        DataType::Array(_) => 'x',
        DataType::Decimal(_) => 'm',
        DataType::Int2Vector | DataType::OidVector => 'p',
        _ if size(data_type) == -1 => 'x',
        _ => 'p',
    }
}

impl Relation {
    /// Its columns.
    pub(crate) fn columns(&self) -> Vec<ColumnEntry> {
        match &self.part {
            Part::Table(handle) => handle
                .table
                .columns
                .iter()
                .enumerate()
                .map(|(place, column)| ColumnEntry {
                    number: i16::try_from(column.number.0).unwrap_or(i16::MAX),
                    not_null: column.not_null,
                    of_table: Some(column.clone()),
                    ..ColumnEntry::new(self, place, column.name.clone(), column.data_type)
                })
                .collect(),
            Part::System(table) => table
                .columns
                .iter()
                .enumerate()
                .map(|(place, column)| {
                    ColumnEntry::new(self, place, column.name.clone(), column.data_type)
                })
                .collect(),
            Part::Index(handle, _) => self
                .index()
                .map(|index| index.columns_of(&handle.table))
                .unwrap_or_default()
                .into_iter()
                .enumerate()
                .map(|(place, (name, data_type))| ColumnEntry::new(self, place, name, data_type))
                .collect(),
            Part::Sequence(_) => [
                ("last_value", DataType::Int8),
                ("log_cnt", DataType::Int8),
                ("is_called", DataType::Boolean),
            ]
            .into_iter()
            .enumerate()
            .map(|(place, (name, data_type))| ColumnEntry {
                not_null: true,
                ..ColumnEntry::new(self, place, name.to_owned(), data_type)
            })
            .collect(),
        }
    }
}

impl SystemView {
    /// The columns of all relations, or of the one with that number.
    pub(crate) fn columns(&self, only: Option<&Value>) -> Vec<ColumnEntry> {
        self.relations(only)
            .iter()
            .flat_map(Relation::columns)
            .collect()
    }

    /// The columns of tables and views of users and of the standard's views.
    pub(crate) fn table_columns(&self) -> Vec<ColumnEntry> {
        self.relations(None)
            .iter()
            .filter(|relation| matches!(relation.kind(), 'r' | 'p' | 'v'))
            .flat_map(Relation::columns)
            .collect()
    }
}
