//! The catalog in memory: one immutable version of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use rustling_storage::{KeyspaceId, Store};

use crate::{
    DataType, Result,
    catalog::{
        CatalogReader, PartitionBound, Sequence, SequenceId, Table, TableId, compare_ends,
        named_type::{NamedType, TypeId},
    },
    engine::{
        catalog::{
            access::AccessCatalog,
            convert::sequence_of,
            definitions::KnownTables,
            named_types::NamedTypes,
            statistics::statistics_of,
            store::{CatalogRecords, CommentKey},
        },
        partitions::{PartitionCheck, Routing},
        row_numbers::RowNumbers,
        sampled_statistics::SampledStatistics,
        table::TableHandle,
        temporary::PREFIX,
    },
    planner::statistics::TableStatistics,
    system,
    types::{FIRST_USER_OID, GroupKey},
};

/// The schema that tables are in where none is named.
pub(crate) const PUBLIC: &str = "public";

/// Every definition at one moment.
#[derive(Debug)]
pub(crate) struct CatalogSnapshot {
    /// Tells versions apart: no two snapshots of a process share it.
    pub(crate) generation: u64,
    by_id: HashMap<TableId, Arc<TableHandle>>,
    by_name: BTreeMap<(String, String), TableId>,
    /// Indexes, those of primary keys included.
    by_index: HashMap<(String, String), TableId>,
    sequences: HashMap<SequenceId, Arc<Sequence>>,
    sequences_by_name: BTreeMap<(String, String), SequenceId>,
    /// Schemas by name, with their ids.
    schemas: BTreeMap<String, u32>,
    /// Domains, distinct types and enumerated types.
    types: Arc<NamedTypes>,
    /// Roles, owners and grants.
    pub(crate) access: AccessCatalog,
    /// The keyspace of the sequences' states.
    pub(crate) sequence_states: Option<KeyspaceId>,
    comments: HashMap<CommentKey, String>,
    public_only: Vec<String>,
    /// Tells how large keyspaces are.
    store: Option<Store>,
    /// Statistics of tables that have outgrown those stored.
    sampled: Arc<SampledStatistics>,
}

impl CatalogSnapshot {
    /// The snapshot of these records, made of `known` tables where they are in it unchanged.
    /// `row_numbers` gives the allocator of a keyspace.
    pub(crate) fn new(
        generation: u64,
        records: CatalogRecords,
        known: &KnownTables,
        row_numbers: &dyn Fn(u32) -> Arc<RowNumbers>,
    ) -> Result<CatalogSnapshot> {
        let mut snapshot = CatalogSnapshot {
            generation,
            by_id: HashMap::new(),
            by_name: BTreeMap::new(),
            by_index: HashMap::new(),
            sequences: HashMap::new(),
            sequences_by_name: BTreeMap::new(),
            schemas: BTreeMap::from([(PUBLIC.to_owned(), 0)]),
            types: known.types_of(records.types)?,
            access: AccessCatalog::new(records.roles, records.access)?,
            sequence_states: records.sequence_states,
            comments: records
                .comments
                .into_iter()
                .map(|of| ((of.class, of.object, of.column), of.text))
                .collect(),
            public_only: vec![PUBLIC.to_owned()],
            store: None,
            sampled: Arc::default(),
        };
        let mut handles: BTreeMap<TableId, TableHandle> = BTreeMap::new();
        for (record, statistics) in records.tables {
            let numbers = row_numbers(record.keyspace);
            let table = known.table_of(record, &snapshot.types)?;
            let statistics =
                statistics.map(|statistics| Arc::new(statistics_of(&table, &statistics)));
            let schema = &table.schema;
            snapshot
                .by_name
                .insert((schema.clone(), table.name.clone()), table.id);
            let indexes = table.indexes.iter().map(|index| &index.name);
            for name in indexes.chain(&table.primary_key_name) {
                snapshot
                    .by_index
                    .insert((schema.clone(), name.clone()), table.id);
            }
            let handle = TableHandle::new(Arc::clone(&table), numbers, statistics)?;
            handles.insert(table.id, handle);
        }
        known.forget_others(handles.len(), |id| handles.contains_key(&TableId(id)));
        let mut references = Vec::new();
        for handle in handles.values() {
            for (at, key) in handle.table.foreign_keys.iter().enumerate() {
                references.push((key.parent, (handle.table.id, at)));
            }
        }
        for (parent, reference) in references {
            if let Some(parent) = handles.get_mut(&parent) {
                parent.referenced_by.push(reference);
            }
        }
        arrange_families(&mut handles)?;
        snapshot.by_id = handles
            .into_iter()
            .map(|(id, handle)| (id, Arc::new(handle)))
            .collect();
        for record in records.sequences {
            let sequence = sequence_of(record)?;
            snapshot.sequences_by_name.insert(
                (sequence.schema.clone(), sequence.name.clone()),
                sequence.id,
            );
            snapshot.sequences.insert(sequence.id, Arc::new(sequence));
        }
        for record in records.schemas {
            snapshot.schemas.insert(record.name, record.id);
        }
        Ok(snapshot)
    }

    /// Has the snapshot tell the tables' sizes as `store` knows them, and what is to be known of
    /// their values where ANALYZE has not seen them.
    pub(crate) fn with_sizes(
        mut self,
        store: Store,
        sampled: Arc<SampledStatistics>,
    ) -> CatalogSnapshot {
        self.store = Some(store);
        self.sampled = sampled;
        self
    }

    /// What is known of the values of a table that has about `rows` rows now.
    pub(crate) fn statistics_of(
        &self,
        handle: &TableHandle,
        rows: Option<u64>,
    ) -> Option<Arc<TableStatistics>> {
        match (&self.store, rows) {
            (Some(store), Some(rows)) => self.sampled.of(handle, rows, store),
            _ => handle.statistics.clone(),
        }
    }

    /// About how many rows a table has now.
    pub(crate) fn rows_of(&self, handle: &TableHandle) -> Option<u64> {
        let estimate = self.store.as_ref()?.keyspace_estimate(handle.keyspace);
        estimate.ok().map(|estimate| estimate.entries)
    }

    /// A table by id.
    pub(crate) fn handle(&self, id: TableId) -> Option<Arc<TableHandle>> {
        self.by_id.get(&id).cloned()
    }

    /// The tables made of a table, directly.
    pub(crate) fn children(&self, id: TableId) -> Vec<Arc<Table>> {
        let Some(handle) = self.by_id.get(&id) else {
            return Vec::new();
        };
        handle
            .children
            .iter()
            .filter_map(|child| Some(Arc::clone(&self.by_id.get(child)?.table)))
            .collect()
    }

    /// A table by name; without a schema, the one in `public`.
    pub(crate) fn find(&self, schema: Option<&str>, name: &str) -> Option<Arc<TableHandle>> {
        let key = (schema.unwrap_or(PUBLIC).to_owned(), name.to_owned());
        self.handle(*self.by_name.get(&key)?)
    }

    /// Every table, by name.
    pub(crate) fn handles(&self) -> impl Iterator<Item = &Arc<TableHandle>> {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }

    /// A sequence by id.
    pub(crate) fn sequence_by_id(&self, id: SequenceId) -> Option<Arc<Sequence>> {
        self.sequences.get(&id).cloned()
    }

    /// A sequence by name.
    pub(crate) fn find_sequence(&self, schema: &str, name: &str) -> Option<Arc<Sequence>> {
        let key = (schema.to_owned(), name.to_owned());
        self.sequence_by_id(*self.sequences_by_name.get(&key)?)
    }

    /// Every sequence, by name.
    pub(crate) fn all_sequences(&self) -> impl Iterator<Item = &Arc<Sequence>> {
        self.sequences_by_name
            .values()
            .filter_map(|id| self.sequences.get(id))
    }

    /// Every named type, by name.
    pub(crate) fn named_types(&self) -> impl Iterator<Item = &Arc<NamedType>> {
        self.types.all()
    }

    /// The type of the values of what a user has made with that number in `pg_type`: an
    /// enumerated type, the type of its arrays, a domain or distinct type.
    pub(crate) fn user_type(&self, oid: u32) -> Option<DataType> {
        let id = oid.checked_sub(FIRST_USER_OID)?;
        if let Some(named) = self.types.by_id(TypeId(id)) {
            return named.base();
        }
        let mut enums = self.named_types().filter_map(|named| named.as_enum());
        enums
            .find(|of| of.array_id() == id)
            .and_then(|of| DataType::Enum(of).array())
    }

    /// The type as it is now: enumerated types change.
    pub(crate) fn newest_type(&self, data_type: DataType) -> DataType {
        data_type
            .enum_type()
            .and_then(|of| self.types.by_id(TypeId(of.id()))?.as_enum())
            .map_or(data_type, |of| data_type.with_definition(of))
    }

    /// Every schema with its id.
    pub(crate) fn all_schemas(&self) -> impl Iterator<Item = (&str, u32)> {
        self.schemas.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// The comment on an object.
    pub(crate) fn comment(&self, key: CommentKey) -> Option<&str> {
        self.comments.get(&key).map(String::as_str)
    }

    /// Every comment with what it is on.
    pub(crate) fn all_comments(&self) -> impl Iterator<Item = (CommentKey, &str)> {
        self.comments
            .iter()
            .map(|(key, text)| (*key, text.as_str()))
    }

    /// The store that the tables are in.
    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The id of a schema.
    pub(crate) fn schema_id(&self, name: &str) -> Option<u32> {
        self.schemas.get(name).copied()
    }

    /// Every schema with its id.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, u32)> {
        self.schemas.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// Whether a table, index or sequence of that name is in a schema.
    pub(crate) fn has_relation(&self, schema: &str, name: &str) -> bool {
        self.find(Some(schema), name).is_some()
            || self.with_index(schema, name).is_some()
            || self.find_sequence(schema, name).is_some()
    }

    /// The views that read one of `ids`, those that read such views included.
    pub(crate) fn views_over(&self, ids: &[TableId]) -> Vec<Arc<TableHandle>> {
        let mut known: BTreeSet<TableId> = ids.iter().copied().collect();
        let mut found = Vec::new();
        loop {
            let before = found.len();
            for handle in self.handles() {
                if known.contains(&handle.table.id) {
                    continue;
                }
                let Some(view) = handle.table.view() else {
                    continue;
                };
                if view.reads.iter().any(|id| known.contains(id)) {
                    known.insert(handle.table.id);
                    found.push(Arc::clone(handle));
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    /// The table that has an index of that name in a schema.
    fn with_index(&self, schema: &str, name: &str) -> Option<Arc<Table>> {
        let key = (schema.to_owned(), name.to_owned());
        let id = self.by_index.get(&key)?;
        Some(Arc::clone(&self.by_id.get(id)?.table))
    }

    /// The catalog as a session with this search path sees it.
    pub(crate) fn with_path<'a>(&'a self, path: &'a [String]) -> SessionCatalog<'a> {
        SessionCatalog {
            snapshot: self,
            path,
        }
    }

    /// The catalog as kept SQL sees it: names alone are those of `public`.
    pub(crate) fn with_public(&self) -> SessionCatalog<'_> {
        self.with_path(&self.public_only)
    }
}

/// Tells tables of those made of them, and partitions of what their rows must be.
fn arrange_families(handles: &mut BTreeMap<TableId, TableHandle>) -> Result<()> {
    let mut children: BTreeMap<TableId, Vec<Arc<Table>>> = BTreeMap::new();
    for handle in handles.values() {
        for parent in &handle.table.parents {
            let known = children.entry(*parent).or_default();
            known.push(Arc::clone(&handle.table));
        }
    }
    if children.is_empty() {
        return Ok(());
    }
    for (id, made) in &mut children {
        made.sort_by(|left, right| in_bound_order(left, right));
        if let Some(parent) = handles.get_mut(id) {
            parent.children = made.iter().map(|table| table.id).collect();
            parent.routing = Routing::new(&parent.table, made)?.map(Arc::new);
        }
    }
    let mut checks: Vec<(TableId, Vec<PartitionCheck>)> = Vec::new();
    for handle in handles.values() {
        let mut found = Vec::new();
        let mut at = &handle.table;
        while let (true, [parent]) = (at.is_partition(), at.parents.as_slice()) {
            let Some(above) = handles.get(parent) else {
                break;
            };
            let places = above.table.columns_in(&handle.table);
            if let (Some(routing), Some(columns)) = (&above.routing, places) {
                found.push(PartitionCheck {
                    routing: Arc::clone(routing),
                    columns: columns.into(),
                    through: at.id,
                });
            }
            at = &above.table;
        }
        if !found.is_empty() {
            checks.push((handle.table.id, found));
        }
    }
    for (id, found) in checks {
        if let Some(handle) = handles.get_mut(&id) {
            handle.partition_checks = found;
        }
    }
    Ok(())
}

/// Partitions in the order of what they hold, the default one last; others as they were made.
fn in_bound_order(left: &Table, right: &Table) -> std::cmp::Ordering {
    let rank = |table: &Table| match &table.partition_bound {
        Some(PartitionBound::Default) => 1,
        _ => 0,
    };
    let by_bound = match (&left.partition_bound, &right.partition_bound) {
        (
            Some(PartitionBound::Range { from, .. }),
            Some(PartitionBound::Range { from: other, .. }),
        ) => compare_ends(from, other),
        (Some(PartitionBound::List(values)), Some(PartitionBound::List(others))) => {
            let least = |values: &[crate::Value]| values.iter().cloned().map(GroupKey).min();
            least(values).cmp(&least(others))
        }
        (
            Some(PartitionBound::Hash { modulus, remainder }),
            Some(PartitionBound::Hash {
                modulus: other_modulus,
                remainder: other_remainder,
            }),
        ) => (modulus, remainder).cmp(&(other_modulus, other_remainder)),
        _ => std::cmp::Ordering::Equal,
    };
    rank(left)
        .cmp(&rank(right))
        .then(by_bound)
        .then(left.id.cmp(&right.id))
}

/// A catalog in which unqualified names are looked up along a search path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionCatalog<'a> {
    snapshot: &'a CatalogSnapshot,
    path: &'a [String],
}

impl SessionCatalog<'_> {
    /// What `find` gives for the first schema in which it finds something.
    fn along<T>(&self, schema: Option<&str>, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        match schema {
            Some(schema) => find(schema),
            None => system::searched(self.path).find_map(find),
        }
    }
}

impl CatalogReader for SessionCatalog<'_> {
    fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(self.along(schema, |schema| {
            if let Some(table) = system::table(schema, name) {
                return Some(table);
            }
            let handle = self.snapshot.find(Some(schema), name)?;
            Some(Arc::clone(&handle.table))
        }))
    }

    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        Ok(self
            .snapshot
            .handles()
            .map(|handle| Arc::clone(&handle.table))
            .collect())
    }

    fn table_of_index(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(self.along(schema, |schema| self.snapshot.with_index(schema, name)))
    }

    fn children(&self, id: TableId) -> Vec<Arc<Table>> {
        self.snapshot.children(id)
    }

    fn table_by_id(&self, id: TableId) -> Option<Arc<Table>> {
        if let Some(table) = system::table_by_id(id) {
            return Some(table);
        }
        let handle = self.snapshot.handle(id)?;
        Some(Arc::clone(&handle.table))
    }

    fn sequence(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Sequence>>> {
        Ok(self.along(schema, |schema| self.snapshot.find_sequence(schema, name)))
    }

    fn sequence_by_id(&self, id: SequenceId) -> Option<Arc<Sequence>> {
        self.snapshot.sequence_by_id(id)
    }

    fn sequences(&self) -> Vec<Arc<Sequence>> {
        self.snapshot.all_sequences().cloned().collect()
    }

    fn named_type(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<NamedType>>> {
        Ok(self.along(schema, |schema| self.snapshot.types.named(schema, name)))
    }

    fn named_types(&self) -> Vec<Arc<NamedType>> {
        self.snapshot.types.all().cloned().collect()
    }

    fn named_type_by_id(&self, id: TypeId) -> Option<Arc<NamedType>> {
        self.snapshot.types.by_id(id)
    }

    fn current_schema(&self) -> Option<&str> {
        self.path
            .iter()
            .map(String::as_str)
            .find(|schema| self.has_schema(schema) && !schema.starts_with(PREFIX))
    }

    fn temporary_schema(&self) -> Option<&str> {
        self.path
            .iter()
            .map(String::as_str)
            .find(|schema| schema.starts_with(PREFIX))
    }

    fn has_schema(&self, name: &str) -> bool {
        self.snapshot.schemas.contains_key(name)
            || self.temporary_schema() == Some(name)
            || system::is_schema(name)
    }

    fn search_path(&self) -> Vec<String> {
        self.path.to_vec()
    }
}

impl CatalogReader for CatalogSnapshot {
    fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        self.with_public().table(schema, name)
    }

    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        self.with_public().tables()
    }

    fn table_of_index(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        self.with_public().table_of_index(schema, name)
    }

    fn named_type(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<NamedType>>> {
        self.with_public().named_type(schema, name)
    }

    fn named_type_by_id(&self, id: TypeId) -> Option<Arc<NamedType>> {
        self.types.by_id(id)
    }
}
