//! What one commit changes: puts, deletes and keyspace changes, applied whole or not at all.

use crate::{
    engine::{EngineKind, KeyspaceOptions},
    lsn::KeyspaceId,
};

/// One change of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sets `key` to `value`.
    Put {
        /// Where.
        keyspace: KeyspaceId,
        /// The key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// Removes `key`; removing what is not there is no error.
    Delete {
        /// Where.
        keyspace: KeyspaceId,
        /// The key.
        key: Vec<u8>,
    },
    /// Creates a keyspace under an id from [`crate::Store::allocate_keyspace_id`].
    CreateKeyspace {
        /// Its id.
        keyspace: KeyspaceId,
        /// How it is stored.
        options: KeyspaceOptions,
    },
    /// Drops a keyspace; its space returns once no snapshot sees it.
    DropKeyspace {
        /// Its id.
        keyspace: KeyspaceId,
    },
    /// Moves everything of the staging keyspace `from` into `into`, as if each entry had been
    /// put (or, where [`crate::staging`] marks it so, deleted) by this commit, and drops
    /// `from`. One small log record, whatever the amount of data.
    Merge {
        /// A keyspace created with [`KeyspaceOptions::staging`].
        from: KeyspaceId,
        /// Where its entries go.
        into: KeyspaceId,
    },
    /// Begins to change how a keyspace is stored: from this commit on, what is written to it
    /// goes to its replacement too. [`crate::Store::change_engine`] makes such commits; dropping
    /// the replacement ends it.
    CreateReplacement {
        /// The replacement's id, from [`crate::Store::allocate_keyspace_id`].
        replacement: KeyspaceId,
        /// The keyspace.
        keyspace: KeyspaceId,
        /// How it will be stored.
        engine: EngineKind,
    },
    /// Puts a keyspace's replacement, which [`crate::Store::change_engine`] has filled, in its
    /// place. One small log record. Snapshots from before go on reading what was there.
    Replace {
        /// The keyspace.
        keyspace: KeyspaceId,
        /// Its replacement.
        replacement: KeyspaceId,
    },
}

/// An ordered list of changes that commit together. Later changes to a key win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    operations: Vec<Operation>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets `key` to `value`.
    pub fn put(
        &mut self,
        keyspace: KeyspaceId,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) {
        let (key, value) = (key.into(), value.into());
        self.bytes += key.len() + value.len();
        self.operations.push(Operation::Put {
            keyspace,
            key,
            value,
        });
    }

    /// Removes `key`.
    pub fn delete(&mut self, keyspace: KeyspaceId, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.bytes += key.len();
        self.operations.push(Operation::Delete { keyspace, key });
    }

    /// Creates a keyspace.
    pub fn create_keyspace(&mut self, keyspace: KeyspaceId, options: KeyspaceOptions) {
        self.operations
            .push(Operation::CreateKeyspace { keyspace, options });
    }

    /// Drops a keyspace.
    pub fn drop_keyspace(&mut self, keyspace: KeyspaceId) {
        self.operations.push(Operation::DropKeyspace { keyspace });
    }

    /// Moves a staging keyspace's entries into another keyspace.
    pub fn merge(&mut self, from: KeyspaceId, into: KeyspaceId) {
        self.operations.push(Operation::Merge { from, into });
    }

    pub(crate) fn create_replacement(
        &mut self,
        replacement: KeyspaceId,
        keyspace: KeyspaceId,
        engine: EngineKind,
    ) {
        self.operations.push(Operation::CreateReplacement {
            replacement,
            keyspace,
            engine,
        });
    }

    pub(crate) fn replace(&mut self, keyspace: KeyspaceId, replacement: KeyspaceId) {
        self.operations.push(Operation::Replace {
            keyspace,
            replacement,
        });
    }

    /// The changes, in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.bytes
    }
}
