//! Replaying the log above a checkpoint.
//!
//! Nobody reads while the log is replayed, and no snapshot survives a restart. So of all the
//! versions that a key has in the log only the newest matters, and it may carry the LSN of any
//! later commit: entries are gathered over many commits and go to their engines in key order,
//! touching every page once, as one commit in the name of the last of them. A structural change
//! ends a run of gathered entries.

use std::{path::Path, sync::Arc, time::Duration};

use super::{
    gathered::{Gathered, GatheredEntry},
    plan::{Plan, Trees},
};
use crate::{
    btree::{MAX_KEY, MAX_VALUE},
    env::Env,
    error::{Error, Result},
    keyspace::Keyspace,
    lsn::{KeyspaceId, Lsn},
    manifest::Manifest,
    wal::{self, BatchReader, ENTRY_WORK, LoggedOperation, Tail},
};

/// How a log is replayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplayOptions {
    /// Whether files are opened for reading only.
    pub(super) read_only: bool,
    /// Threads that apply entries, the calling one included.
    pub(super) threads: usize,
    /// Bytes of log that are gathered before they are applied.
    pub(super) gathered_bytes: usize,
}

/// What has been replayed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReplayCounts {
    pub(super) commits: u64,
    /// Operations of them.
    pub(super) operations: u64,
    /// Their bytes, decompressed.
    pub(super) bytes: u64,
    /// Work that these do not show; see [`Plan::moved_work`].
    pub(super) moved_work: u64,
    /// The time that applying them took; the rest went to reading the log.
    pub(super) applying: Duration,
}

impl ReplayCounts {
    /// The measure that [`wal::EncodedBatch::replay_work`] is in.
    pub(super) fn work(&self) -> u64 {
        self.bytes + self.operations * ENTRY_WORK + self.moved_work
    }
}

/// Applies the log above the checkpoint at `checkpoint`.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Version`], [`Error::Io`].
pub(super) fn replay(
    env: &Env,
    log_dir: &Path,
    manifest: &Manifest,
    checkpoint: Lsn,
    options: ReplayOptions,
    trees: &Trees,
) -> Result<(Tail, ReplayCounts)> {
    let mut replay = Replay {
        env,
        trees,
        options,
        gathered: Gathered::default(),
        last: checkpoint,
        counts: ReplayCounts::default(),
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
    let store = manifest.store;
    let tail = wal::read(env, log_dir, store, start, options.read_only, &mut apply)?;
    replay.apply_gathered()?;
    Ok((tail, replay.counts))
}

/// Replays `payloads` as consecutive commits, until one makes no sense.
///
/// # Errors
/// As [`replay`].
#[cfg(any(test, fuzzing))]
pub(super) fn replay_payloads(env: &Env, trees: &Trees, payloads: &[&[u8]]) -> Result<()> {
    let mut replay = Replay {
        env,
        trees,
        options: ReplayOptions {
            read_only: false,
            threads: 1,
            gathered_bytes: 64,
        },
        gathered: Gathered::default(),
        last: Lsn::ZERO,
        counts: ReplayCounts::default(),
    };
    let mut lsn = Lsn::ZERO;
    let mut all = || -> Result<(), Replayed> {
        for payload in payloads {
            lsn = lsn.next();
            replay.commit(lsn, payload)?;
        }
        Ok(replay.apply_gathered()?)
    };
    all().map_err(|error| match error {
        Replayed::Nonsense(reason) => Error::InvalidOption(reason),
        Replayed::Failed(error) => error,
    })
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
            | Error::EngineChanging(_)
            | Error::InvalidOption(_)
            | Error::TooLarge { .. } => Replayed::Nonsense(error.to_string()),
            other => Replayed::Failed(other),
        }
    }
}

struct Replay<'a> {
    env: &'a Env,
    trees: &'a Trees,
    options: ReplayOptions,
    gathered: Gathered,
    last: Lsn,
    counts: ReplayCounts,
}

impl Replay<'_> {
    fn commit(&mut self, lsn: Lsn, payload: &[u8]) -> Result<(), Replayed> {
        self.counts.commits += 1;
        self.counts.bytes += payload.len() as u64;
        if !self.gather(payload)? {
            self.apply_gathered()?;
            let start = self.env.now();
            self.structural(lsn, payload)?;
            self.counts.applying += self.env.now().saturating_sub(start);
        }
        self.last = lsn;
        if self.gathered.bytes() >= self.options.gathered_bytes {
            self.apply_gathered()?;
        }
        Ok(())
    }

    fn structural(&mut self, lsn: Lsn, payload: &[u8]) -> Result<(), Replayed> {
        let mut reader = BatchReader::new(payload);
        // The payload has been read to its end before.
        let mut plan = Plan::replay(self.trees, || Ok(reader.next().unwrap_or_default()))?;
        self.counts.moved_work += plan.moved_work();
        plan.change_catalog(self.trees, lsn);
        // The watermark stays below the commit: a deletion must be there until the commit is
        // applied, and keep its earlier steps out.
        Ok(plan.apply(lsn, Lsn(lsn.0.saturating_sub(1)).into())?)
    }

    /// Gathers the entries of a commit; false, and nothing gathered, where it is a structural
    /// change. The payload has been read to its end then, too.
    fn gather(&mut self, payload: &[u8]) -> Result<bool, Replayed> {
        let nonsense = |reason: &str| Replayed::Nonsense(reason.into());
        let mark = self.gathered.mark();
        let base = self.gathered.append(payload);
        let start = payload.as_ptr().addr();
        let place = |bytes: &[u8]| base + (bytes.as_ptr().addr() - start);
        let mut reader = BatchReader::new(payload);
        let mut is_structural = false;
        while let Some(operation) = reader.next().map_err(nonsense)? {
            self.counts.operations += 1;
            let (id, key, value) = match operation {
                _ if is_structural => continue,
                LoggedOperation::Put {
                    keyspace,
                    key,
                    value,
                } => (keyspace, key, Some(value)),
                LoggedOperation::Delete { keyspace, key } => (keyspace, key, None),
                _ => {
                    is_structural = true;
                    continue;
                }
            };
            if key.len() > MAX_KEY || value.is_some_and(|value| value.len() > MAX_VALUE) {
                return Err(nonsense("a key or value is too long"));
            }
            let Some(keyspace) = self.keyspace(id) else {
                // A structural change further on may explain it, and is checked as a whole.
                is_structural = true;
                continue;
            };
            let value = value.map(|value| (place(value), value.len()));
            self.gathered
                .push(GatheredEntry::new(keyspace, key, place(key), value));
        }
        if is_structural {
            self.gathered.rewind(mark);
        }
        Ok(!is_structural)
    }

    /// The number that entries of keyspace `id` are gathered under.
    fn keyspace(&mut self, id: KeyspaceId) -> Option<u32> {
        let find = || -> Option<Arc<Keyspace>> { self.trees.catalog.find_current(id) };
        self.gathered.keyspace(id, find)
    }

    fn apply_gathered(&mut self) -> Result<()> {
        let gathered = std::mem::take(&mut self.gathered);
        let start = self.env.now();
        let applied = gathered.apply(
            self.env,
            &self.trees.poison,
            self.last,
            self.options.threads,
        );
        self.counts.applying += self.env.now().saturating_sub(start);
        applied
    }
}
