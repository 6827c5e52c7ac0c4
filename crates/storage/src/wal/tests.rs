//! The log against everything that can happen to it: truncation, flipped bits, torn and
//! reordered writes, leftovers of interrupted recoveries, and many committers at once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use quickcheck::{TestResult, quickcheck};

use super::{
    buffer::{LogBuffer, Run},
    format::{FIRST_RECORD, MAX_PAYLOAD, RECORD_HEADER},
    segment::Segment,
    *,
};
use crate::{
    batch::Batch,
    durability::Durability,
    env::Env,
    error::{Error, Result},
    lsn::{KeyspaceId, Lsn},
    memory::MemoryBudget,
    poison::Poison,
    sequencer::Sequencer,
    vfs::{OpenMode, Vfs},
    vfs_memory::MemoryVfs,
    waits::Waits,
};

const STORE: StoreId = [7; 16];
const DIR: &str = "/wal";

fn options() -> WalOptions {
    WalOptions {
        segment_bytes: MIN_SEGMENT,
        ..WalOptions::default()
    }
}

/// A log, with the place where a checkpoint would let its replay begin.
struct Log {
    /// Where it is, if in memory.
    vfs: MemoryVfs,
    env: Env,
    dir: PathBuf,
    waits: Waits,
    wal: Wal,
    start: (WalPosition, Lsn),
}

fn encoded(key: &[u8], value: &[u8]) -> EncodedBatch {
    let mut batch = Batch::new();
    batch.put(KeyspaceId(1), key, value);
    let mut encoded = EncodedBatch::default();
    encoded
        .encode(
            &batch,
            4096,
            &Compressibility::default(),
            &MemoryBudget::new(1 << 30),
        )
        .unwrap();
    encoded
}

impl Log {
    fn create() -> Log {
        let vfs = MemoryVfs::new();
        vfs.create_dir_all(Path::new(DIR)).unwrap();
        let log = Log::create_in(Env::with_vfs(vfs.clone()), Path::new(DIR));
        Log { vfs, ..log }
    }

    fn create_in(env: Env, dir: &Path) -> Log {
        let waits = Waits::new(Arc::clone(&env.clock));
        let wal = Wal::create(&env, dir, STORE, &options(), &Arc::default(), &waits).unwrap();
        let (lsn, position) = wal.position();
        Log {
            vfs: MemoryVfs::new(),
            env,
            dir: dir.to_path_buf(),
            waits,
            wal,
            start: (position, lsn),
        }
    }

    fn commit(&self, value: &[u8]) -> Lsn {
        self.wal.append(&mut encoded(b"key", value)).unwrap()
    }

    /// What is read back from `vfs`: the commits above the start, or the error.
    fn read(&self, vfs: &MemoryVfs) -> Result<(Tail, Vec<Vec<u8>>)> {
        self.read_in(&Env::with_vfs(vfs.clone()))
    }

    /// What is read back from where the log is.
    fn read_back(&self) -> Result<(Tail, Vec<Vec<u8>>)> {
        self.read_in(&self.env)
    }

    fn read_in(&self, env: &Env) -> Result<(Tail, Vec<Vec<u8>>)> {
        let mut values = Vec::new();
        let mut replay = |lsn: Lsn, payload: &[u8]| {
            let mut reader = BatchReader::new(payload);
            while let Some(operation) = reader.next().unwrap() {
                match operation {
                    LoggedOperation::Put {
                        keyspace,
                        key,
                        value,
                    } => {
                        assert_eq!((keyspace, key), (KeyspaceId(1), &b"key"[..]));
                        values.push(value.to_vec());
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(lsn.0 - self.start.1.0, values.len() as u64);
            Ok(())
        };
        let tail = read(env, &self.dir, STORE, self.start, false, &mut replay)?;
        assert_eq!(tail.lsn.0 - self.start.1.0, values.len() as u64);
        Ok((tail, values))
    }

    /// Reads what is there, as after a crash, and goes on writing behind it.
    fn reopen(self) -> Log {
        let (tail, _) = self.read_back().unwrap();
        tail.settle(&Poison::new()).unwrap();
        let poison = Arc::default();
        let wal = Wal::resume(
            &self.env,
            &self.dir,
            STORE,
            &options(),
            &poison,
            &self.waits,
            tail,
        );
        wal.unlink_unreferenced();
        Log { wal, ..self }
    }
}

fn files(vfs: &MemoryVfs) -> Vec<PathBuf> {
    vfs.read_dir(Path::new(DIR))
        .unwrap()
        .into_iter()
        .map(|name| Path::new(DIR).join(name))
        .collect()
}

fn bytes(vfs: &MemoryVfs, path: &Path) -> Vec<u8> {
    let file = vfs.open(path, OpenMode::ReadOnly).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn overwrite(vfs: &MemoryVfs, path: &Path, bytes: &[u8], offset: u64) {
    vfs.open(path, OpenMode::ReadWrite)
        .unwrap()
        .write_all_at(bytes, offset)
        .unwrap();
}

/// End of the used part of a file.
fn used(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}

/// A log on the system's files, flushed by way of a ring; `None` where the kernel refuses one.
#[cfg(all(feature = "io_uring", target_os = "linux"))]
fn with_ring() -> Option<(tempfile::TempDir, Log)> {
    let vfs = crate::vfs_uring::tests::ring_or_refusal()?;
    let dir = tempfile::tempdir().unwrap();
    let log = Log::create_in(Env::with_vfs(vfs), dir.path());
    Some((dir, log))
}

#[test]
fn what_was_flushed_is_read() {
    flushed_is_read(Log::create(), 40);
}

#[cfg(all(feature = "io_uring", target_os = "linux"))]
#[test]
fn what_was_flushed_by_a_ring_is_read() {
    if let Some((_dir, log)) = with_ring() {
        flushed_is_read(log, 10);
    }
}

fn flushed_is_read(mut log: Log, rounds: usize) {
    let mut random = fastrand::Rng::with_seed(3);
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for round in 0..rounds {
        for _ in 0..random.usize(..20) {
            let len = match random.u8(..20) {
                0 => random.usize(..3 * MAX_PAYLOAD),
                1..4 => random.usize(..20_000),
                _ => random.usize(..200),
            };
            let compressible = random.bool();
            let value: Vec<u8> = (0..len)
                .map(|_| {
                    if compressible {
                        random.u8(..2)
                    } else {
                        random.u8(..)
                    }
                })
                .collect();
            log.commit(&value);
            expected.push(value);
            if random.bool() {
                let durable = log.wal.flush().unwrap();
                assert_eq!(durable.0 - log.start.1.0, expected.len() as u64);
            }
        }
        log.wal.flush().unwrap();
        let (tail, values) = log.read_back().unwrap();
        assert_eq!(values, expected);
        assert_eq!(tail.position, log.wal.position().1);
        if round % 3 == 0 {
            log = log.reopen();
        }
        if round % 7 == 6 {
            // A checkpoint: replay begins here from now on.
            let (lsn, position) = log.wal.position();
            log.start = (position, lsn);
            log.wal.retire_before(&position);
            log.wal.remove_retired(|| true);
            expected.clear();
            let (tail, values) = log.read_back().unwrap();
            assert_eq!((tail.lsn, values.len()), (lsn, 0));
        }
    }
    assert!(log.wal.segment_count() < 40);
}

/// A log over two segments in which every commit was flushed by itself.
fn flushed_one_by_one() -> (Log, Vec<Vec<u8>>) {
    let log = Log::create();
    let values: Vec<Vec<u8>> = (0..30_u8)
        .map(|index| vec![index; usize::from(index) * 45])
        .collect();
    for value in &values {
        log.commit(value);
        log.wal.flush().unwrap();
    }
    assert_eq!(files(&log.vfs).len(), 2);
    (log, values)
}

#[test]
fn every_truncation_is_found() {
    let (log, _) = flushed_one_by_one();
    for path in files(&log.vfs) {
        let len = bytes(&log.vfs, &path).len();
        let cuts = (0..len).step_by(97).chain(len - 40..len);
        for cut in cuts {
            let vfs = log.vfs.fork();
            vfs.open(&path, OpenMode::ReadWrite)
                .unwrap()
                .set_len(cut as u64)
                .unwrap();
            let answer = log.read(&vfs).map(|(tail, _)| tail.lsn);
            assert!(
                matches!(answer, Err(Error::Corrupt { .. })),
                "{path:?} cut to {cut}: {answer:?}"
            );
        }
        let vfs = log.vfs.fork();
        vfs.remove_file(&path).unwrap();
        assert!(
            matches!(log.read(&vfs), Err(Error::Corrupt { .. })),
            "{path:?} removed"
        );
    }
}

#[test]
fn every_flipped_bit_is_found_or_harmless() {
    let every_bit = std::env::var_os("RUSTLING_EVERY_BIT").is_some();
    let (log, values) = flushed_one_by_one();
    for path in files(&log.vfs) {
        let image = bytes(&log.vfs, &path);
        let last_record = used(&image).saturating_sub(46 * 29 + 40);
        let mut random = fastrand::Rng::with_seed(1);
        for at in (0..image.len()).filter(|at| *at < used(&image) + 64 || at % 61 == 0) {
            // All bits where structure is dense, one elsewhere.
            let all = at < 64
                || every_bit
                    && image[at.saturating_sub(8)..(at + 8).min(image.len())]
                        .windows(2)
                        .any(|w| w[0] != w[1]);
            let bits = if all {
                0..8
            } else {
                let bit = random.u32(..8);
                bit..bit + 1
            };
            for bit in bits {
                let vfs = log.vfs.fork();
                overwrite(&vfs, &path, &[image[at] ^ (1 << bit)], at as u64);
                match log.read(&vfs) {
                    Err(Error::Corrupt { .. } | Error::Version { .. }) => {}
                    Err(other) => panic!("{path:?} {at}.{bit}: {other}"),
                    Ok((_, read)) if read == values => {}
                    Ok((_, read)) => {
                        // Damage to the very last batch looks like a torn tail.
                        assert_eq!(read, values[..values.len() - 1], "{path:?} {at}.{bit}");
                        assert!(at >= last_record, "{path:?} {at}.{bit}");
                    }
                }
            }
        }
    }
}

/// Of a group that was written and not synced, any sectors may be there and any missing.
#[test]
fn torn_and_reordered_tails_end_the_log() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let log = Log::create();
        let mut values = Vec::new();
        let mut commit = |random: &mut fastrand::Rng| {
            let value = vec![random.u8(..); random.usize(..900)];
            log.commit(&value);
            values.push(value);
        };
        for _ in 0..random.usize(1..8) {
            commit(&mut random);
        }
        log.wal.flush().unwrap();
        let before = log.vfs.fork();
        let durable = log.wal.durable().0 as usize;
        for _ in 0..random.usize(1..12) {
            commit(&mut random);
        }
        log.wal.flush().unwrap();
        let torn = log.vfs.fork();
        let sector = if random.bool() { 512 } else { 4096 };
        let newest = files(&torn).len() - 1;
        for (index, path) in files(&torn).into_iter().enumerate() {
            // A segment is synced before its successor is written: only the newest can be torn,
            // unless nothing of the newest arrived.
            if index < newest {
                continue;
            }
            let new = bytes(&torn, &path);
            let old = if before.exists(&path).unwrap() {
                bytes(&before, &path)
            } else {
                vec![0; new.len()]
            };
            let header = FIRST_RECORD as usize;
            for at in (header..new.len()).step_by(sector) {
                if random.bool() {
                    overwrite(&torn, &path, &old[at..at + sector], at as u64);
                }
            }
        }
        let log = Log { vfs: torn, ..log };
        let (_, read) = log.read(&log.vfs).unwrap();
        assert!(
            read.len() >= durable,
            "seed {seed}: {} of {durable}",
            read.len()
        );
        assert_eq!(read, values[..read.len()], "seed {seed}");
        // Going on after the torn tail, and being interrupted, changes nothing of that.
        let env = Env::with_vfs(log.vfs.clone());
        let log = Log { env, ..log }.reopen();
        assert_eq!(log.read(&log.vfs).unwrap().1, read, "seed {seed}");
        let lsn = log.commit(b"next");
        assert_eq!(lsn.0 as usize, read.len() + 1);
        log.wal.flush().unwrap();
        let mut longer = read.clone();
        longer.push(b"next".to_vec());
        assert_eq!(log.read(&log.vfs).unwrap().1, longer, "seed {seed}");
        let log = log.reopen();
        log.commit(b"last");
        log.wal.flush().unwrap();
        longer.push(b"last".to_vec());
        assert_eq!(log.read(&log.vfs).unwrap().1, longer, "seed {seed}");
    }
}

#[test]
fn a_hole_before_proof_of_durability_is_corruption() {
    let log = Log::create();
    log.commit(&[1; 100]);
    log.wal.flush().unwrap();
    let path = &files(&log.vfs)[0];
    let hole = log.wal.position().1.offset;
    log.commit(&[2; 3000]);
    log.wal.flush().unwrap();
    let end = log.wal.position().1.offset;
    log.commit(&[3; 100]);
    log.wal.flush().unwrap();
    overwrite(&log.vfs, path, &vec![0; (end - hole) as usize], hole);
    match log.read(&log.vfs) {
        Err(Error::Corrupt { offset, reason, .. }) => {
            assert_eq!(offset, hole);
            assert!(reason.contains("commit 2 was durable"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_leaves_the_log_usable() {
    let log = Log::create();
    log.vfs.set_limit(log.vfs.used());
    let mut count = 0;
    let error = loop {
        match log.wal.append(&mut encoded(b"key", &[1; 1000])) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(log.wal.flush().unwrap(), Lsn(count));
    log.commit(b"a small one still fits");
    log.vfs.set_limit(u64::MAX);
    log.commit(&[2; 10_000]);
    log.wal.flush().unwrap();
    assert_eq!(log.read(&log.vfs).unwrap().1.len() as u64, count + 2);
}

#[test]
fn a_batch_over_its_memory_is_refused() {
    let mut batch = Batch::new();
    for _ in 0..3 {
        let noise: Vec<u8> = (0..2 << 20).map(|_| fastrand::u8(..)).collect();
        batch.put(KeyspaceId(1), Vec::new(), noise);
    }
    let budget = MemoryBudget::new(1 << 20);
    let refused =
        EncodedBatch::default().encode(&batch, 4096, &Compressibility::default(), &budget);
    assert!(matches!(refused, Err(Error::OutOfMemory { .. })));
    assert_eq!(budget.used(), 0);
}

/// A number, and bytes behind it that follow from it and do not compress.
fn numbered(number: u64, len: usize) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    let mut random = fastrand::Rng::with_seed(number);
    value.resize_with(len, || random.u8(..));
    value
}

/// What a large batch was encoded to is what is written; small ones are gathered.
#[test]
fn large_batches_are_not_copied() {
    let env = Env::in_memory();
    env.vfs.create_dir_all(Path::new(DIR)).unwrap();
    let poison = Poison::new();
    let segment = Segment::create(&env, Path::new(DIR), (1, 1 << 20), STORE, false, &poison);
    let segment = Arc::new(segment.unwrap());
    let chain = segment.header_crc;
    let mut buffer = LogBuffer::new(Lsn::ZERO, chain, segment, FIRST_RECORD, false);
    let small = || encoded(b"key", b"value");
    let mut large = encoded(b"key", &numbered(1, 100_000));
    let place = large.records().as_ptr();
    buffer.push_batch(&mut small(), 0);
    buffer.push_batch(&mut small(), 0);
    assert_eq!(buffer.push_batch(&mut large, 0), Lsn(3));
    assert!(large.records().is_empty());
    buffer.push_batch(&mut small(), 0);
    let pending = buffer.take();
    assert_eq!((pending.last, buffer.bytes()), (4, 0));
    let runs = &pending.runs;
    let lens: Vec<usize> = runs.iter().map(|run| run.bytes.len()).collect();
    let record = small().records().len();
    assert_eq!(lens[0], 2 * record);
    assert_eq!(lens[2], record);
    assert!(lens[1] > 100_000 + RECORD_HEADER);
    assert_eq!(runs[1].bytes.as_ptr(), place);
    let mut end = FIRST_RECORD;
    for run in runs {
        assert_eq!(run.offset, end);
        end += run.bytes.len() as u64;
    }
    assert_eq!(buffer.offset(), end);
    // The next large batch is given a buffer in exchange.
    let buffers = pending.runs.into_iter().map(Run::into_buffer);
    buffer.give_back(buffers);
    let mut large = encoded(b"key", &numbered(2, 20_000));
    buffer.push_batch(&mut large, 0);
    let mut batch = Batch::new();
    batch.put(KeyspaceId(1), *b"key", numbered(3, 20));
    let (budget, compressing) = (MemoryBudget::new(0), Compressibility::default());
    large.encode(&batch, 4096, &compressing, &budget).unwrap();
    assert_eq!(buffer.push_batch(&mut large, 0), Lsn(6));
    assert_eq!(buffer.take().runs.len(), 2);
}

/// A batch keeps the memory that it has reserved until it is written.
#[test]
fn a_batch_that_waits_to_be_written_has_its_memory_reserved() {
    let log = Log::create();
    let budget = MemoryBudget::new(64 << 20);
    let mut batch = Batch::new();
    for number in 0..10 {
        batch.put(KeyspaceId(1), *b"key", numbered(number, 200_000));
    }
    let mut encoded = EncodedBatch::default();
    let compressing = Compressibility::default();
    encoded.encode(&batch, 4096, &compressing, &budget).unwrap();
    assert!(budget.used() >= 2_000_000);
    let poison = Poison::new();
    let size = 4 << 20;
    let segment = Segment::create(&log.env, Path::new(DIR), (9, size), STORE, false, &poison);
    let segment = Arc::new(segment.unwrap());
    let mut buffer = LogBuffer::new(Lsn::ZERO, 0, segment, FIRST_RECORD, false);
    buffer.push_batch(&mut encoded, 0);
    encoded.release();
    let pending = buffer.take();
    assert!(budget.used() >= 2_000_000);
    let buffers = pending.runs.into_iter().map(Run::into_buffer);
    buffer.give_back(buffers);
    assert_eq!(budget.used(), 0);
}

/// Committers of all durabilities at once: every acknowledged commit is published, the durable
/// ones are durable, LSNs have no gaps, and the log holds each exactly once.
#[test]
fn many_committers_share_flushes() {
    const THREADS: u64 = 8;
    const COMMITS: u64 = 200;
    let mut logs: Vec<(Option<tempfile::TempDir>, Log)> = vec![(None, Log::create())];
    #[cfg(all(feature = "io_uring", target_os = "linux"))]
    logs.extend(with_ring().map(|(dir, log)| (Some(dir), log)));
    for (_dir, mut log) in logs {
        // What the log writes is the sequencer's; what is read afterwards begins where it began.
        let elsewhere = Log::create().wal;
        let wal = std::mem::replace(&mut log.wal, elsewhere);
        let sequencer = Sequencer::new(Some(wal), Lsn::ZERO, Arc::default(), &log.waits);
        let highest = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (sequencer, highest) = (&sequencer, &highest);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(thread);
                    for index in 0..COMMITS {
                        let durability = match random.u8(..4) {
                            0 => Durability::Async,
                            1 => Durability::None,
                            _ => Durability::Sync,
                        };
                        // Most are copied to the log's buffer, some become parts of it.
                        let len = match random.u8(..10) {
                            0 => random.usize(8..40_000),
                            _ => 8,
                        };
                        let value = numbered(thread * COMMITS + index, len);
                        let ticket = sequencer.begin(&mut encoded(b"key", &value)).unwrap();
                        if random.u8(..10) == 0 {
                            std::thread::yield_now();
                        }
                        let lsn = ticket.applied(durability).unwrap();
                        assert!(sequencer.published() >= lsn);
                        if durability == Durability::Sync {
                            assert!(sequencer.durable() >= lsn);
                        }
                        highest.fetch_max(lsn.0, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        let total = THREADS * COMMITS;
        assert_eq!(highest.into_inner(), total);
        assert_eq!(sequencer.published(), Lsn(total));
        assert_eq!(sequencer.flush().unwrap(), Lsn(total));
        let (_, values) = log.read_back().unwrap();
        let mut seen = BTreeMap::new();
        for value in values {
            let number = u64::from_le_bytes(*value.first_chunk().unwrap());
            assert!(value == numbered(number, value.len()), "{number}");
            *seen.entry(number).or_insert(0) += 1;
        }
        assert_eq!(seen, (0..total).map(|value| (value, 1)).collect());
    }
}

#[test]
fn a_commit_that_is_given_up_stops_the_store() {
    let sequencer = Sequencer::new(
        None,
        Lsn::ZERO,
        Arc::default(),
        &Waits::new(Env::in_memory().clock),
    );
    let first = sequencer.begin(&mut encoded(b"key", b"")).unwrap();
    std::thread::scope(|scope| {
        let later = scope.spawn(|| {
            sequencer
                .begin(&mut encoded(b"key", b""))
                .unwrap()
                .applied(Durability::Sync)
        });
        while sequencer.last() < Lsn(2) {
            std::thread::yield_now();
        }
        Env::in_memory().sleep(Duration::from_millis(5));
        drop(first);
        assert!(matches!(later.join().unwrap(), Err(Error::Poisoned { .. })));
    });
    assert_eq!(sequencer.published(), Lsn::ZERO);
    assert!(sequencer.begin(&mut encoded(b"key", b"")).is_err());
}

quickcheck! {
    /// No bytes in a segment's place make the reader panic, hang or invent commits.
    fn any_segment_is_an_answer(noise: Vec<u8>, at: u16) -> TestResult {
        let log = Log::create();
        log.commit(b"one");
        log.wal.flush().unwrap();
        let path = &files(&log.vfs)[0];
        let at = u64::from(at) % (MIN_SEGMENT - noise.len() as u64);
        overwrite(&log.vfs, path, &noise, at);
        match log.read(&log.vfs) {
            Ok((_, values)) => TestResult::from_bool(values.is_empty() || values == [b"one"]),
            Err(Error::Corrupt { .. } | Error::Version { .. }) => TestResult::passed(),
            Err(_) => TestResult::failed(),
        }
    }
}
