//! Definitions that need not be made again: a catalog is read anew after every change of it, and
//! hardly any of its records is another one than before.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::{
    Result,
    catalog::Table,
    engine::catalog::{convert::table_of, record::TableRecord},
};

/// How many definitions of tables that a catalog no longer has may stay, beside as many as it has.
const SPARE: usize = 64;

/// The tables that records were last turned into, by id.
///
/// What a record's texts mean (views are parsed, defaults and conditions bound) depends on the
/// record alone, so an equal record is the same table.
#[derive(Debug, Default)]
pub(crate) struct KnownTables {
    tables: Mutex<HashMap<u32, (TableRecord, Arc<Table>)>>,
}

impl KnownTables {
    /// The table that a record holds.
    pub(crate) fn table_of(&self, record: TableRecord) -> Result<Arc<Table>> {
        if let Some((known, table)) = self.tables.lock().get(&record.id)
            && *known == record
        {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(table_of(record.clone())?);
        let made = (record, Arc::clone(&table));
        self.tables.lock().insert(made.0.id, made);
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
        let first = known.table_of(view(1, "SELECT 1")).unwrap();
        let again = known.table_of(view(1, "SELECT 1")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let changed = known.table_of(view(1, "SELECT 2")).unwrap();
        assert_eq!(changed.view().unwrap().text, "SELECT 2");
        assert!(known.table_of(view(1, "SELECT FROM FROM")).is_err());
        assert!(Arc::ptr_eq(
            &changed,
            &known.table_of(view(1, "SELECT 2")).unwrap()
        ));
    }

    #[test]
    fn what_a_catalog_no_longer_has_is_forgotten() {
        let known = KnownTables::default();
        for id in 0..200 {
            known.table_of(view(id, "SELECT 1")).unwrap();
        }
        known.forget_others(100, |id| id < 100);
        assert_eq!(known.tables.lock().len(), 200);
        known.forget_others(10, |id| id < 10);
        assert_eq!(known.tables.lock().len(), 10);
    }
}
