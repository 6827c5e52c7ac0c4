//! The branches of a bank: a keyspace of each engine, so that nearly every transaction is across
//! engines.

use rustling_storage::{KeyspaceId, Store};
use rustling_txn::{Error, Transaction};

use super::options::{ENGINES, of_engine};

/// Keyspaces that share the entries of a bank among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branches([KeyspaceId; ENGINES.len()]);

impl Branches {
    /// Opens the branches in a transaction.
    ///
    /// # Errors
    /// Those of creating keyspaces.
    pub fn found(transaction: &Transaction) -> Result<Branches, Error> {
        let mut ids = [KeyspaceId(u32::MAX); ENGINES.len()];
        for (id, engine) in ids.iter_mut().zip(ENGINES) {
            *id = transaction.create_keyspace(of_engine(engine))?;
        }
        Ok(Branches(ids))
    }

    /// The branches of a bank that has been founded.
    #[must_use]
    pub fn of(store: &Store) -> Option<Branches> {
        let all = store.keyspaces();
        let find = |engine| {
            let found = all
                .iter()
                .find(|(_, options)| !options.staging && options.engine == engine);
            found.map(|(id, _)| *id)
        };
        let mut ids = [KeyspaceId(u32::MAX); ENGINES.len()];
        for (id, engine) in ids.iter_mut().zip(ENGINES) {
            *id = find(engine)?;
        }
        Some(Branches(ids))
    }

    /// Branches that do not exist.
    #[must_use]
    pub fn nowhere() -> Branches {
        Branches([KeyspaceId(u32::MAX); ENGINES.len()])
    }

    /// Where a key is.
    #[must_use]
    pub fn keyspace(&self, key: &[u8]) -> KeyspaceId {
        let last = key.last().copied().unwrap_or(0);
        self.0[usize::from(last) % self.0.len()]
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [KeyspaceId; ENGINES.len()] {
        self.0
    }
}
