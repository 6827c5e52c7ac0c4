//! Replaying the log above a checkpoint.
//!
//! Nobody reads while the log is replayed, and no snapshot survives a restart. So of all the
//! versions that a key has in the log only the newest matters, and it may carry the LSN of any
//! later commit: entries are gathered over many commits and go to their trees in key order,
//! touching every page once, as one commit in the name of the last of them. A structural change
//! ends a run of gathered entries.

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc};

use super::plan::{Plan, Trees};
use crate::{
    btree::{MAX_KEY, MAX_VALUE, TreeEntry},
    env::Env,
    error::{Error, Result},
    keyspace::Keyspace,
    lsn::{KeyspaceId, Lsn},
    manifest::Manifest,
    wal::{self, BatchReader, LoggedOperation, Tail},
};

/// Bytes of log that are gathered before they are applied.
const GATHERED_BYTES: usize = 16 << 20;

/// Applies the log above the checkpoint at `checkpoint`.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Version`], [`Error::Io`].
pub(super) fn replay(
    env: &Env,
    log_dir: &Path,
    manifest: &Manifest,
    checkpoint: Lsn,
    read_only: bool,
    trees: &Trees,
) -> Result<Tail> {
    let mut replay = Replay {
        trees,
        bytes: Vec::new(),
        gathered: BTreeMap::new(),
        last: checkpoint,
    };
    let start = (manifest.replay_from, checkpoint);
    let named = |lsn: Lsn, error: Replayed| match error {
        Replayed::Nonsense(reason) => {
            let reason = format!("commit {lsn} in the log cannot be replayed: {reason}");
            Error::corrupt(log_dir, 0, reason)
        }
        Replayed::Failed(error) => error,
    };
    let mut apply = |lsn: Lsn, payload: &[u8]| {
        replay
            .commit(lsn, payload)
            .map_err(|error| named(lsn, error))
    };
    let tail = wal::read(env, log_dir, manifest.store, start, read_only, &mut apply)?;
    replay
        .apply_gathered()
        .map_err(|error| named(tail.lsn, error))?;
    Ok(tail)
}

/// Why a commit could not be replayed.
enum Replayed {
    /// What is logged makes no sense.
    Nonsense(String),
    Failed(Error),
}

impl From<Error> for Replayed {
    fn from(error: Error) -> Replayed {
        match error {
            Error::UnknownKeyspace(_)
            | Error::KeyspaceExists(_)
            | Error::InvalidOption(_)
            | Error::TooLarge { .. } => Replayed::Nonsense(error.to_string()),
            other => Replayed::Failed(other),
        }
    }
}

/// Where key and value of a gathered entry are; no value is a deletion.
struct Gathered {
    key: Range<usize>,
    value: Option<Range<usize>>,
}

struct Replay<'a> {
    trees: &'a Trees,
    /// Payloads of the gathered commits.
    bytes: Vec<u8>,
    gathered: BTreeMap<KeyspaceId, (Arc<Keyspace>, Vec<Gathered>)>,
    last: Lsn,
}

impl Replay<'_> {
    fn commit(&mut self, lsn: Lsn, payload: &[u8]) -> Result<(), Replayed> {
        let mut reader = BatchReader::new(payload);
        let mut is_structural = false;
        while let Some(operation) = reader
            .next()
            .map_err(|reason| Replayed::Nonsense(reason.into()))?
        {
            is_structural |= !matches!(
                operation,
                LoggedOperation::Put { .. } | LoggedOperation::Delete { .. }
            );
        }
        if is_structural {
            self.apply_gathered()?;
            self.structural(lsn, payload)?;
        } else {
            self.gather(payload)?;
        }
        self.last = lsn;
        if self.bytes.len() >= GATHERED_BYTES {
            self.apply_gathered()
        } else {
            Ok(())
        }
    }

    fn structural(&self, lsn: Lsn, payload: &[u8]) -> Result<(), Replayed> {
        let mut reader = BatchReader::new(payload);
        // The payload has been read to its end before.
        let mut plan = Plan::replay(self.trees, || Ok(reader.next().unwrap_or_default()))?;
        plan.change_catalog(self.trees, lsn);
        // The watermark stays below the commit: a deletion must be there until the commit is
        // applied, and keep its earlier steps out.
        Ok(plan.apply(lsn, Lsn(lsn.0.saturating_sub(1)))?)
    }

    fn gather(&mut self, payload: &[u8]) -> Result<(), Replayed> {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        let start = payload.as_ptr().addr();
        let place = |bytes: &[u8]| {
            let at = base + (bytes.as_ptr().addr() - start);
            at..at + bytes.len()
        };
        let mut reader = BatchReader::new(payload);
        while let Some(operation) = reader.next().unwrap_or_default() {
            let (id, key, value) = match operation {
                LoggedOperation::Put {
                    keyspace,
                    key,
                    value,
                } => (keyspace, key, Some(value)),
                LoggedOperation::Delete { keyspace, key } => (keyspace, key, None),
                _ => continue,
            };
            if key.len() > MAX_KEY || value.is_some_and(|value| value.len() > MAX_VALUE) {
                return Err(Replayed::Nonsense("a key or value is too long".into()));
            }
            let entry = Gathered {
                key: place(key),
                value: value.map(place),
            };
            match self.gathered.get_mut(&id) {
                Some((_, entries)) => entries.push(entry),
                None => {
                    let keyspace = self.trees.catalog.find_current(id);
                    let keyspace = keyspace.ok_or(Error::UnknownKeyspace(id))?;
                    self.gathered.insert(id, (keyspace, vec![entry]));
                }
            }
        }
        Ok(())
    }

    fn apply_gathered(&mut self) -> Result<(), Replayed> {
        for (_, (keyspace, mut entries)) in std::mem::take(&mut self.gathered) {
            let key = |entry: &Gathered| &self.bytes[entry.key.clone()];
            entries.sort_by(|a, b| key(a).cmp(key(b)));
            entries.dedup_by(|later, earlier| {
                let same = key(later) == key(earlier);
                if same {
                    std::mem::swap(later, earlier);
                }
                same
            });
            let entries: Vec<TreeEntry<'_>> = entries
                .iter()
                .map(|entry| TreeEntry {
                    key: key(entry),
                    value: entry.value.clone().map(|value| &self.bytes[value]),
                })
                .collect();
            keyspace.tree.apply(&entries, self.last, self.last)?;
        }
        self.bytes.clear();
        Ok(())
    }
}
