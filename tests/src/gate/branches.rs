//! The branches of a bank: some keyspaces, mostly one of each engine, so that nearly every
//! transaction is across engines.

use rustling_storage::{EngineKind, KeyspaceId, Store};
use rustling_txn::{Error, Transaction};

use super::options::{ENGINES, of_engine};

/// How many there are.
const COUNT: usize = ENGINES.len();

/// Keyspaces that share the entries of a bank among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branches([KeyspaceId; COUNT]);

impl Branches {
    /// Opens branches with these engines in a transaction.
    ///
    /// # Errors
    /// Those of creating keyspaces.
    pub fn found(
        transaction: &Transaction,
        engines: [EngineKind; COUNT],
    ) -> Result<Branches, Error> {
        let mut ids = [KeyspaceId(u32::MAX); COUNT];
        for (id, engine) in ids.iter_mut().zip(engines) {
            *id = transaction.create_keyspace(of_engine(engine))?;
        }
        Ok(Branches(ids))
    }

    /// The branches of a bank that has been founded, whatever their engines are by now.
    #[must_use]
    pub fn of(store: &Store) -> Option<Branches> {
        let all = store.keyspaces().into_iter();
        let mut ids: Vec<KeyspaceId> = all
            .filter(|(_, options)| !options.staging)
            .map(|(id, _)| id)
            .collect();
        ids.sort_unstable();
        ids.try_into().ok().map(Branches)
    }

    /// Branches that do not exist.
    #[must_use]
    pub fn nowhere() -> Branches {
        Branches([KeyspaceId(u32::MAX); COUNT])
    }

    /// Where a key is.
    #[must_use]
    pub fn keyspace(&self, key: &[u8]) -> KeyspaceId {
        let last = key.last().copied().unwrap_or(0);
        self.0[usize::from(last) % self.0.len()]
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> [KeyspaceId; COUNT] {
        self.0
    }
}
