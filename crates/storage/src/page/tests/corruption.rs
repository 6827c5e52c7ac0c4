//! Every damaged byte of a small file is detected, or harmless.

use std::path::{Path, PathBuf};

use super::{DIR, Model, check_clean, create, disk::CrashDisk, fill, open, still_env, tiny};
use crate::{
    codec::Codec,
    env::Env,
    error::Error,
    lsn::Lsn,
    page::{
        PageId, PageStoreOptions,
        superblock::{self, COPIES, COPY_SIZE, REGION},
    },
    verify::VerifyReport,
};

fn path() -> PathBuf {
    Path::new(DIR).join("data.rdb")
}

/// A store with three checkpoints behind it; the file after the second and after the third.
fn small_store(options: PageStoreOptions) -> (CrashDisk, Model, Vec<u8>) {
    let disk = CrashDisk::default();
    let env = still_env(disk.clone());
    let store = create(&env, options).unwrap();
    let mut model = Model::new();
    let mut before = Vec::new();
    for round in 1..4u64 {
        for _ in 0..5 {
            let mut page = store.allocate().unwrap();
            let id = page.id();
            fill(&mut page, id, round);
            model.insert(id, round);
        }
        let changed = [PageId(1), PageId(round as u32 + 1)];
        for id in changed {
            fill(&mut store.write(id).unwrap(), id, round + 100);
            model.insert(id, round + 100);
        }
        before = disk.bytes(&path());
        store
            .write_checkpoint(store.freeze(Lsn(round), vec![9; 1500]).unwrap())
            .unwrap();
    }
    check_clean(&store);
    (disk, model, before)
}

/// What became of a damaged store.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    SomePages,
    Harmless,
}

/// Opens a damaged store: right answers and typed errors are allowed, nothing else.
fn examine(
    env: &Env,
    options: PageStoreOptions,
    model: &Model,
    what: &dyn Fn() -> String,
) -> Outcome {
    let (store, info) = match open(env, options) {
        Ok(opened) => opened,
        Err(Error::Corrupt { .. } | Error::Version { .. }) => return Outcome::Refused,
        Err(error) => panic!("{}: {error}", what()),
    };
    assert_eq!(info.lsn, Lsn(3), "{}", what());
    assert_eq!(info.metadata, vec![9; 1500], "{}", what());
    let ids: Vec<PageId> = model.keys().copied().collect();
    assert_eq!(store.allocated_pages(), ids, "{}", what());
    let mut expected = vec![0; store.payload_size()];
    let mut outcome = Outcome::Harmless;
    for (id, version) in model {
        fill(&mut expected, *id, *version);
        match store.read(*id) {
            Ok(page) => assert!(*page == *expected, "{}: page {id:?} is wrong", what()),
            Err(Error::Corrupt { .. }) => outcome = Outcome::SomePages,
            Err(error) => panic!("{}: {error}", what()),
        }
    }
    if outcome == Outcome::SomePages {
        let mut report = VerifyReport::default();
        store.verify(&mut report).unwrap();
        assert!(!report.is_clean(), "{}: verify found nothing", what());
    }
    outcome
}

#[test]
fn every_flipped_bit_is_detected_or_harmless() {
    let all = std::env::var_os("RUSTLING_EVERY_BIT").is_some();
    for codec in [Codec::None, Codec::Lz4] {
        let options = tiny(codec, 20);
        let (disk, model, _) = small_store(options);
        let env = still_env(disk.clone());
        let len = disk.bytes(&path()).len();
        let mut outcomes = [0; 3];
        for byte in 0..len {
            for bit in 0..8 {
                // Else one bit of every second byte.
                if !all && 2 * bit != byte % 16 {
                    continue;
                }
                disk.flip(&path(), byte * 8 + bit);
                let outcome = examine(&env, options, &model, &|| format!("{codec:?} {byte}.{bit}"));
                // One of four superblock copies may be lost.
                assert!(byte >= 4 * 4096 || outcome == Outcome::Harmless);
                outcomes[outcome as usize] += 1;
                disk.flip(&path(), byte * 8 + bit);
            }
        }
        let tried = |bytes: usize| if all { bytes * 8 } else { bytes / 2 };
        // Table and metadata fill at least three units; data pages fifteen, less if compressed.
        assert!(outcomes[0] >= tried(3 * 1024), "{outcomes:?}");
        assert!(outcomes[1] >= tried(10 * 1024), "{outcomes:?}");
        assert_eq!(outcomes.iter().sum::<usize>(), tried(len));
    }
}

#[test]
fn every_truncation_is_detected() {
    let options = tiny(Codec::None, 20);
    let (disk, model, _) = small_store(options);
    let env = still_env(disk.clone());
    let whole = disk.bytes(&path());
    for len in 0..whole.len() {
        disk.set_bytes(&path(), &whole);
        disk.truncate(&path(), len);
        let outcome = examine(&env, options, &model, &|| format!("cut to {len}"));
        assert_eq!(outcome, Outcome::Refused, "cut to {len}");
    }
    // What follows the end is nobody's.
    let mut longer = whole;
    longer.extend([0xAB; 5000]);
    disk.set_bytes(&path(), &longer);
    assert_eq!(
        examine(&env, options, &model, &|| "longer".into()),
        Outcome::Harmless
    );
}

#[test]
fn lost_and_misdirected_writes_are_detected_or_harmless() {
    let options = tiny(Codec::None, 20);
    let (disk, model, before) = small_store(options);
    let env = still_env(disk.clone());
    let whole = disk.bytes(&path());
    let units = whole.len() / 1024;
    let unit = |at: usize| at * 1024..(at + 1) * 1024;
    let mut outcomes = [0; 3];
    for at in 0..units {
        // The write of this unit was lost.
        let mut bytes = whole.clone();
        let old = before.get(unit(at)).map_or(vec![0; 1024], <[u8]>::to_vec);
        bytes[unit(at)].copy_from_slice(&old);
        disk.set_bytes(&path(), &bytes);
        outcomes[examine(&env, options, &model, &|| format!("lost unit {at}")) as usize] += 1;
        // It went elsewhere, or came from there.
        for other in 0..units {
            let mut bytes = whole.clone();
            bytes.copy_within(unit(other), at * 1024);
            disk.set_bytes(&path(), &bytes);
            let what = || format!("unit {other} over unit {at}");
            outcomes[examine(&env, options, &model, &what) as usize] += 1;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

#[test]
fn random_garbage_is_no_store() {
    let mut random = fastrand::Rng::with_seed(8);
    let disk = CrashDisk::default();
    let env = still_env(disk.clone());
    drop(create(&env, tiny(Codec::None, 20)).unwrap());
    for _ in 0..200 {
        let mut garbage = vec![0; random.usize(..40_000)];
        random.fill(&mut garbage);
        disk.set_bytes(&path(), &garbage);
        assert!(matches!(
            open(&env, tiny(Codec::None, 20)),
            Err(Error::Corrupt { .. })
        ));
    }
}

/// Checksums keep nobody from writing what he likes: memory is taken only for what is there.
#[test]
fn a_superblock_with_more_pages_than_the_file_can_list_is_refused() {
    let options = tiny(Codec::None, 20);
    let (disk, _, _) = small_store(options);
    let env = still_env(disk.clone());
    let mut bytes = disk.bytes(&path());
    for count in [1_000_000, u32::MAX] {
        let chosen = superblock::choose(&bytes[..REGION], &path()).unwrap();
        let mut superblock = chosen.superblock;
        superblock.page_count = count;
        for copy in 0..COPIES {
            let at = copy * COPY_SIZE;
            bytes[at..at + COPY_SIZE].copy_from_slice(&superblock.encode(copy));
        }
        disk.set_bytes(&path(), &bytes);
        match open(&env, options).map(drop) {
            Err(Error::Corrupt { reason, .. }) => assert!(reason.contains("larger than")),
            other => panic!("{other:?}"),
        }
    }
}
