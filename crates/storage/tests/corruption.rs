//! Every flipped bit and every truncation of a small store's files is detected or harmless:
//! never a panic, and never a wrong answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::{Path, PathBuf};

use rustling_storage::{
    Batch, Codec, Direction, Durability, EngineKind, Env, Error, KeyRange, KeyspaceId, MemoryVfs,
    OpenMode, Store, StoreOptions, Vfs, check,
};

use crate::common::{create_keyspace, of};

const DIR: &str = "/store";
/// Entries that were there before the checkpoint, and after it.
const OLD: u32 = 120;
const NEW: u32 = 40;

fn options() -> StoreOptions {
    StoreOptions {
        page_size: 4096,
        memory_budget: 512 << 10,
        wal_segment_bytes: 16 << 10,
        codec: Codec::Lz4,
        background: false,
        ..StoreOptions::default()
    }
}

fn open(vfs: &MemoryVfs) -> Result<Store, Error> {
    Store::open(Env::with_vfs(vfs.clone()), Path::new(DIR), options())
}

fn build(engine: EngineKind) -> (MemoryVfs, KeyspaceId) {
    let vfs = MemoryVfs::new();
    let store = open(&vfs).unwrap();
    let id = create_keyspace(&store, of(engine));
    for number in 0..OLD + NEW {
        let mut batch = Batch::new();
        batch.put(id, number.to_be_bytes(), vec![number as u8; 60]);
        store.commit(&batch, Durability::Sync).unwrap();
        if number == OLD - 1 {
            store.checkpoint().unwrap();
        }
    }
    drop(store);
    (vfs, id)
}

/// Reads everything: the number of entries, if all of them are right.
fn read(vfs: &MemoryVfs, id: KeyspaceId) -> Result<u32, Error> {
    let store = open(vfs)?;
    let mut cursor = store
        .snapshot()
        .scan(id, KeyRange::all(), Direction::Forward)?;
    let mut count = 0_u32;
    while let Some((key, value)) = cursor.next()? {
        assert_eq!(key, count.to_be_bytes());
        assert_eq!(value, [count as u8; 60]);
        count += 1;
    }
    Ok(count)
}

fn files(vfs: &MemoryVfs) -> Vec<PathBuf> {
    let dir = Path::new(DIR);
    let within = |name: &str| {
        let dir = dir.join(name);
        let names = vfs.read_dir(&dir).unwrap_or_default();
        names.into_iter().map(move |name| dir.join(name))
    };
    let all = within("wal").chain(within("tables"));
    all.chain([dir.join("data.rdb")]).collect()
}

fn content(vfs: &MemoryVfs, path: &Path) -> Vec<u8> {
    let file = vfs.open(path, OpenMode::ReadOnly).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// What may come of damage: an error that says so, or the right content. The last commit alone
/// may be missing, where the damage is in its record.
fn check_damaged(vfs: &MemoryVfs, id: KeyspaceId, what: &str) -> &'static str {
    let answer = read(vfs, id);
    // The offline check never panics either, and finds whatever opening finds.
    let report = check(&Env::with_vfs(vfs.fork()), Path::new(DIR));
    match answer {
        Ok(count) if count == OLD + NEW => "harmless",
        Ok(count) => {
            assert_eq!(count, OLD + NEW - 1, "{what}");
            "last commit"
        }
        Err(Error::Corrupt { .. } | Error::Version { .. }) => {
            let clean = report.is_ok_and(|report| report.is_clean());
            assert!(!clean, "{what}: the check finds nothing");
            "detected"
        }
        Err(other) => panic!("{what}: {other}"),
    }
}

/// Takes every n-th place; a gate sets it to 1.
fn stride() -> usize {
    std::env::var("RUSTLING_CORRUPTION_STRIDE")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(23)
}

#[test]
fn flipped_bits_are_detected_or_harmless() {
    flip_bits(EngineKind::BTree);
}

#[test]
fn flipped_bits_of_tables_are_detected_or_harmless() {
    flip_bits(EngineKind::Lsm);
}

fn flip_bits(engine: EngineKind) {
    let (vfs, id) = build(engine);
    assert_eq!(read(&vfs.fork(), id).unwrap(), OLD + NEW);
    let mut random = fastrand::Rng::with_seed(5);
    let mut outcomes = std::collections::BTreeMap::new();
    for path in files(&vfs) {
        let bytes = content(&vfs, &path);
        let mut at = 0;
        while at < bytes.len() {
            let bits = if stride() == 1 {
                0..8
            } else {
                let bit = random.u32(..8);
                bit..bit + 1
            };
            for bit in bits {
                let copy = vfs.fork();
                let file = copy.open(&path, OpenMode::ReadWrite).unwrap();
                file.write_all_at(&[bytes[at] ^ (1 << bit)], at as u64)
                    .unwrap();
                let outcome = check_damaged(&copy, id, &format!("{} {at}.{bit}", path.display()));
                *outcomes.entry(outcome).or_insert(0) += 1;
            }
            // Long runs of zeros are all alike.
            let dense = bytes[at.saturating_sub(64)..(at + 64).min(bytes.len())]
                .iter()
                .any(|b| *b != 0);
            at += if stride() == 1 {
                1
            } else if dense {
                random.usize(1..2 * stride())
            } else {
                701
            };
        }
    }
    assert!(outcomes["detected"] > 100, "{outcomes:?}");
    assert!(
        outcomes
            .get("last commit")
            .is_none_or(|count| *count * 20 < outcomes["detected"]),
        "{outcomes:?}"
    );
}

#[test]
fn truncations_are_detected_or_harmless() {
    truncate(EngineKind::BTree);
}

#[test]
fn truncations_of_tables_are_detected_or_harmless() {
    truncate(EngineKind::Lsm);
}

fn truncate(engine: EngineKind) {
    let (vfs, id) = build(engine);
    for path in files(&vfs) {
        let len = content(&vfs, &path).len();
        let mut at = 0;
        while at < len {
            let copy = vfs.fork();
            copy.open(&path, OpenMode::ReadWrite)
                .unwrap()
                .set_len(at as u64)
                .unwrap();
            let outcome = check_damaged(&copy, id, &format!("{} cut to {at}", path.display()));
            assert_ne!(outcome, "last commit", "{} cut to {at}", path.display());
            at += if stride() == 1 { 1 } else { 16 * stride() + 1 };
        }
        let copy = vfs.fork();
        copy.remove_file(&path).unwrap();
        match read(&copy, id) {
            Err(Error::Corrupt { .. }) => {}
            other => panic!("{} removed: {other:?}", path.display()),
        }
    }
}
