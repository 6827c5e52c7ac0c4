//! Statements that were parsed and planned before.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::engine::prepared::Prepared;

/// How many statements are kept.
const CAPACITY: usize = 512;
/// Longer texts are not kept: they are bulk inserts, not statements that come again.
const LONGEST: usize = 8 << 10;

/// Statements by text. Full, it drops those that were not used since it was last full (a clock
/// with one hand and one bit).
#[derive(Debug, Default)]
pub(crate) struct PlanCache {
    statements: Mutex<HashMap<Box<str>, Entry>>,
}

#[derive(Debug)]
struct Entry {
    statement: Arc<Prepared>,
    used: bool,
}

impl PlanCache {
    /// The statement of that text.
    pub(crate) fn get(&self, sql: &str) -> Option<Arc<Prepared>> {
        let mut statements = self.statements.lock();
        let entry = statements.get_mut(sql)?;
        entry.used = true;
        Some(Arc::clone(&entry.statement))
    }

    /// Keeps a statement.
    pub(crate) fn insert(&self, sql: &str, statement: Arc<Prepared>) {
        if sql.len() > LONGEST {
            return;
        }
        let mut statements = self.statements.lock();
        if statements.len() >= CAPACITY {
            statements.retain(|_, entry| std::mem::take(&mut entry.used));
            if statements.len() >= CAPACITY {
                statements.clear();
            }
        }
        statements.insert(
            sql.into(),
            Entry {
                statement,
                used: false,
            },
        );
    }
}
