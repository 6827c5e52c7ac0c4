//! Definitions that need not be made again: a catalog is read anew after every change of it, and
//! hardly any of its records is another one than before.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::{
    Result,
    catalog::Table,
    engine::catalog::{
        convert::table_of,
        named_types::{AskedTypes, NamedTypes},
        record::{NamedTypeRecord, TableRecord},
    },
};

/// How many definitions of tables that a catalog no longer has may stay, beside as many as it has.
const SPARE: usize = 64;

/// The tables that records were last turned into, by id.
///
/// What a record's texts mean (views are parsed, defaults and conditions bound) depends on the
/// record alone and on the named types that it mentions, so an equal record is the same table, as
/// long as these stay the same.
#[derive(Debug, Default)]
pub(crate) struct KnownTables {
    tables: Mutex<HashMap<u32, KnownTable>>,
    types: Mutex<Arc<NamedTypes>>,
}

#[derive(Debug)]
struct KnownTable {
    record: TableRecord,
    /// The types that it was made with; `None`: it needs none.
    types: Option<Arc<NamedTypes>>,
    table: Arc<Table>,
}

impl KnownTables {
    /// The named types that these records hold.
    pub(crate) fn types_of(&self, records: Vec<NamedTypeRecord>) -> Result<Arc<NamedTypes>> {
        let types = NamedTypes::new(records)?;
        let mut known = self.types.lock();
        if **known != types {
            *known = Arc::new(types);
        }
        Ok(Arc::clone(&known))
    }

    /// The table that a record holds, in a catalog that has `types`.
    pub(crate) fn table_of(
        &self,
        record: TableRecord,
        types: &Arc<NamedTypes>,
    ) -> Result<Arc<Table>> {
        if let Some(known) = self.tables.lock().get(&record.id)
            && known.record == record
            && (known.types.as_ref()).is_none_or(|used| Arc::ptr_eq(used, types) || used == types)
        {
            return Ok(Arc::clone(&known.table));
        }
        let asked = AskedTypes::new(types);
        let table = Arc::new(table_of(record.clone(), &asked)?);
        let made = KnownTable {
            types: asked.were_asked().then(|| Arc::clone(types)),
            table: Arc::clone(&table),
            record,
        };
        self.tables.lock().insert(made.record.id, made);
        Ok(table)
    }

    /// Forgets tables that are not in a catalog, where they have become many.
    pub(crate) fn forget_others(&self, count: usize, has: impl Fn(u32) -> bool) {
        let mut tables = self.tables.lock();
        if tables.len() > 2 * count + SPARE {
            tables.retain(|id, _| has(*id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::catalog::record::ViewRecord;

    fn view(id: u32, text: &str) -> TableRecord {
        TableRecord {
            id,
            schema: "public".to_owned(),
            name: "v".to_owned(),
            view: Some(ViewRecord {
                text: text.to_owned(),
                ..ViewRecord::default()
            }),
            ..TableRecord::default()
        }
    }

    #[test]
    fn an_equal_record_is_the_same_table() {
        let known = KnownTables::default();
        let types = Arc::default();
        let first = known.table_of(view(1, "SELECT 1"), &types).unwrap();
        let again = known.table_of(view(1, "SELECT 1"), &types).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let changed = known.table_of(view(1, "SELECT 2"), &types).unwrap();
        assert_eq!(changed.view().unwrap().text, "SELECT 2");
        assert!(known.table_of(view(1, "SELECT FROM FROM"), &types).is_err());
        assert!(Arc::ptr_eq(
            &changed,
            &known.table_of(view(1, "SELECT 2"), &types).unwrap()
        ));
    }

    #[test]
    fn what_a_catalog_no_longer_has_is_forgotten() {
        let known = KnownTables::default();
        let types = Arc::default();
        for id in 0..200 {
            known.table_of(view(id, "SELECT 1"), &types).unwrap();
        }
        known.forget_others(100, |id| id < 100);
        assert_eq!(known.tables.lock().len(), 200);
        known.forget_others(10, |id| id < 10);
        assert_eq!(known.tables.lock().len(), 10);
    }
}
