//! Writers that count in a real store until they are killed, and the check afterwards.
//!
//! Writer `w` commits number 1, 2, 3, … in order. Commit `n` sets its counter to `n` and slot
//! `n % SLOTS` to `n`, in one batch. So the counter alone tells what every slot must hold, and
//! the log of acknowledgements tells what the counter must be at least.

use std::{collections::BTreeMap, ops::Range, path::Path};

use rustling_storage::{
    Batch, Durability, Env, Error, KeyspaceId, KeyspaceOptions, Store, StoreOptions,
};

use super::{children::AckLog, options::for_threads};

/// Writers at a time.
pub const WRITERS: u32 = 3;
/// Where the superblocks lie in the page file.
pub const SUPERBLOCK_BYTES: Range<u64> = 0..16_384;

const SLOTS: u64 = 40;

fn counter_key(who: u32) -> Vec<u8> {
    [&b"counter "[..], &who.to_be_bytes()].concat()
}

fn slot_key(who: u32, slot: u64) -> Vec<u8> {
    [&b"slot "[..], &who.to_be_bytes(), &slot.to_be_bytes()].concat()
}

fn slot_value(who: u32, number: u64) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(
        8 + ((number * 37 + u64::from(who)) % 300) as usize,
        number as u8,
    );
    value
}

fn number_in(value: &[u8]) -> u64 {
    value
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn keyspace(store: &Store) -> Result<KeyspaceId, Error> {
    if let Some((id, _)) = store.keyspaces().first() {
        return Ok(*id);
    }
    let id = store.allocate_keyspace_id();
    let mut batch = Batch::new();
    batch.create_keyspace(id, KeyspaceOptions::default());
    store.commit(&batch, Durability::Sync)?;
    Ok(id)
}

/// Every other store flushes its log by `io_uring`, where the system lets it.
fn open(env: &Env, directory: &Path, seed: u64) -> Result<Store, Error> {
    let by_ring = StoreOptions {
        wal_io_uring: cfg!(target_os = "linux") && seed.is_multiple_of(2),
        ..for_threads(seed)
    };
    match Store::open(env.clone(), directory, by_ring) {
        Err(Error::Unavailable {
            option: "wal_io_uring",
            ..
        }) => Store::open(env.clone(), directory, for_threads(seed)),
        opened => opened,
    }
}

/// Opens the store and writes with several threads, for ever.
///
/// # Panics
/// On any error: the parent reports what the child said.
#[expect(clippy::panic, reason = "a child has nobody else to tell")]
pub fn write_until_killed(directory: &Path, seed: u64) {
    let env = Env::system();
    let run = || -> Result<(), String> {
        let store = open(&env, directory, seed).map_err(|error| error.to_string())?;
        let id = keyspace(&store).map_err(|error| error.to_string())?;
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|who| {
                    scope.spawn({
                        let (env, store) = (&env, &store);
                        move || write(env, store, directory, id, who)
                    })
                })
                .collect();
            writers
                .into_iter()
                .try_for_each(|writer| writer.join().map_err(|_| "a writer panicked".to_owned())?)
        })
    };
    if let Err(reason) = run() {
        panic!("{reason}");
    }
}

fn write(
    env: &Env,
    store: &Store,
    directory: &Path,
    id: KeyspaceId,
    who: u32,
) -> Result<(), String> {
    let mut acks = AckLog::open(env, directory, who).map_err(|error| error.to_string())?;
    let start = store
        .snapshot()
        .get(id, &counter_key(who))
        .map_err(|error| error.to_string())?;
    let mut number = start.as_deref().map_or(0, number_in);
    // What was in doubt when the last process died has been read now, and stays.
    acks.note(number).map_err(|error| error.to_string())?;
    loop {
        number += 1;
        let mut batch = Batch::new();
        batch.put(id, slot_key(who, number % SLOTS), slot_value(who, number));
        batch.put(id, counter_key(who), number.to_le_bytes());
        store
            .commit(&batch, Durability::Sync)
            .map_err(|error| error.to_string())?;
        acks.note(number).map_err(|error| error.to_string())?;
    }
}

/// Opens the store after its writers were killed and compares it with what was acknowledged.
/// The answer is the number of commits that it holds.
///
/// # Errors
/// In words: what was lost, or is there in part.
pub fn check(env: &Env, directory: &Path, acked: &BTreeMap<u32, u64>) -> Result<u64, String> {
    let words = |error: Error| error.to_string();
    let store = Store::open(env.clone(), directory, for_threads(0)).map_err(words)?;
    let report = store.verify().map_err(words)?;
    if let Some(finding) = report.findings.first() {
        return Err(format!(
            "{} findings, the first: {finding:?}",
            report.findings.len()
        ));
    }
    let snapshot = store.snapshot();
    let Some((id, _)) = store.keyspaces().first().copied() else {
        let lost: u64 = acked.values().sum();
        return if lost == 0 {
            Ok(0)
        } else {
            Err(format!(
                "the store is empty; {lost} commits were acknowledged"
            ))
        };
    };
    let mut commits = 0;
    for who in 0..WRITERS {
        let counter = snapshot
            .get(id, &counter_key(who))
            .map_err(words)?
            .as_deref()
            .map_or(0, number_in);
        let promised = acked.get(&who).copied().unwrap_or(0);
        if counter < promised || counter > promised + 1 {
            return Err(format!(
                "writer {who} counted to {counter}, {promised} were acknowledged"
            ));
        }
        for slot in 0..SLOTS {
            // The newest commit up to the counter that went to this slot.
            let newest = (counter + SLOTS - slot) / SLOTS * SLOTS + slot;
            let newest = newest.checked_sub(SLOTS).filter(|number| *number > 0);
            let found = snapshot.get(id, &slot_key(who, slot)).map_err(words)?;
            if found != newest.map(|number| slot_value(who, number)) {
                return Err(format!(
                    "writer {who} counted to {counter}, slot {slot} holds {:?} instead of {newest:?}",
                    found.as_deref().map(number_in)
                ));
            }
        }
        commits += counter;
    }
    drop(snapshot);
    store.close().map_err(words)?;
    Ok(commits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_commit_of_a_slot_is_known() {
        for counter in 0..200u64 {
            for slot in 0..SLOTS {
                let newest = (counter + SLOTS - slot) / SLOTS * SLOTS + slot;
                let newest = newest.checked_sub(SLOTS).filter(|number| *number > 0);
                assert_eq!(
                    newest,
                    (1..=counter).rev().find(|number| number % SLOTS == slot),
                    "{counter} {slot}"
                );
            }
        }
    }
}
