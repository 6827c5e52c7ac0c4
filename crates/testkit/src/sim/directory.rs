//! One simulated directory: the names a reader sees, the names the medium holds, and the
//! changes between them.

use std::{collections::BTreeMap, ffi::OsString};

use super::disk::NodeId;

/// Names and what they stand for.
pub(crate) type Entries = BTreeMap<OsString, NodeId>;

/// A change of names that the medium does not hold yet. Each is atomic.
#[derive(Clone, Debug)]
pub(crate) struct PendingName {
    /// Index of the operation that made the change.
    pub(crate) sequence: u64,
    pub(crate) change: NameChange,
}

#[derive(Clone, Debug)]
pub(crate) enum NameChange {
    Link {
        name: OsString,
        node: NodeId,
    },
    Unlink {
        name: OsString,
    },
    Rename {
        from: OsString,
        to: OsString,
        node: NodeId,
    },
}

impl NameChange {
    /// The names it touches.
    pub(crate) fn names(&self) -> impl Iterator<Item = &OsString> {
        let (first, second) = match self {
            NameChange::Link { name, .. } | NameChange::Unlink { name } => (name, None),
            NameChange::Rename { from, to, .. } => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }

    pub(crate) fn apply(&self, entries: &mut Entries) {
        match self {
            NameChange::Link { name, node } => {
                entries.insert(name.clone(), *node);
            }
            NameChange::Unlink { name } => {
                entries.remove(name);
            }
            NameChange::Rename { from, to, node } => {
                entries.remove(from);
                entries.insert(to.clone(), *node);
            }
        }
    }
}

/// A directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct DirectoryNode {
    pub(crate) live: Entries,
    pub(crate) durable: Entries,
    pub(crate) pending: Vec<PendingName>,
}

impl DirectoryNode {
    pub(crate) fn settled(entries: Entries) -> DirectoryNode {
        DirectoryNode {
            live: entries.clone(),
            durable: entries,
            pending: Vec::new(),
        }
    }

    pub(crate) fn change(&mut self, sequence: u64, change: NameChange) {
        change.apply(&mut self.live);
        self.pending.push(PendingName { sequence, change });
    }

    /// Every name change so far becomes durable.
    pub(crate) fn sync(&mut self) {
        for pending in self.pending.drain(..) {
            pending.change.apply(&mut self.durable);
        }
    }

    /// The newest change is forgotten by the medium: no sync will make it durable.
    pub(crate) fn lose_newest(&mut self) {
        self.pending.pop();
    }
}
