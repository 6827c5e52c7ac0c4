//! The workloads, each of which answers figures by name.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    engines::{Engine, KEY_BYTES, Key, Result, SCANNED, VALUE_BYTES, Value},
    keys::{Zipfian, key, value},
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Rows loaded.
    pub rows: u64,
    /// How long each workload runs.
    pub time: Duration,
}

/// Rows of a batch.
const BATCH: usize = 1000;

/// Of so many rows in order, one is read to begin with: no page or block of any engine is as long.
const TOUCHED: usize = 16;
/// Reads go on before they are measured until they are not by so much faster than they were, and for
/// no more rounds than this.
const FASTER: f64 = 1.03;
const MOST_ROUNDS: usize = 20;

// Names of figures, which the bars in `bars.rs` speak of too; where there are several of a kind,
// with the number of threads.

/// All rows in order into an empty engine.
pub const LOAD: &str = "load, sorted";
/// Rows in no order into an empty engine.
pub const INSERTS: &str = "insert, random batches of 1,000, rows";
/// Reads of one row.
pub const GETS: [(u64, &str); 2] = [(1, "get, random, 1 thread"), (2, "get, random, 2 threads")];
/// Reads of [`SCANNED`] rows.
pub const SCANS: [(u64, &str); 2] = [(1, "scan of 100, 1 thread"), (2, "scan of 100, 2 threads")];
/// A read of all rows.
pub const FULL_SCAN: &str = "full scan, rows";
/// Writes of one row that are answered before it is durable.
pub const ASYNC_PUTS: [(u64, &str); 2] = [
    (1, "put, asynchronous, 1 thread"),
    (2, "put, asynchronous, 2 threads"),
];
/// Writes of one row that are answered when it is durable.
pub const DURABLE_PUTS: [(u64, &str); 2] = [
    (1, "put, durable, 1 thread"),
    (8, "put, durable, 8 threads"),
];
/// Half reads, half writes.
pub const YCSB_A: &str = "YCSB A";
/// Reads, and a twentieth writes.
pub const YCSB_B: &str = "YCSB B";
/// Reads.
pub const YCSB_C: &str = "YCSB C";
/// Reads of what was inserted last, and a twentieth inserts.
pub const YCSB_D: &str = "YCSB D";
/// Scans, and a twentieth inserts.
pub const YCSB_E: &str = "YCSB E";
/// Half reads, half reads and writes of what was read.
pub const YCSB_F: &str = "YCSB F";
/// Bytes on the disk for each byte of the rows, after [`LOAD`].
pub const DISK_LOADED: &str = "disk after load / logical";
/// The same after half as many overwrites as there are rows.
pub const DISK_OVERWRITTEN: &str = "disk after overwrites / logical";
/// The most memory that the process had resident.
pub const PEAK_MEMORY: &str = "peak memory, MiB";

impl Size {
    /// Bytes of keys and values of all rows.
    pub fn logical_bytes(&self) -> f64 {
        self.rows as f64 * (KEY_BYTES + VALUE_BYTES) as f64
    }
}

/// Measures everything on an empty engine in `path`. `report` takes a figure's name and value.
pub fn all(
    engine: &dyn Engine,
    path: &Path,
    size: Size,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let logical = size.logical_bytes();
    let mut random = fastrand::Rng::with_seed(1);
    let start = Instant::now();
    engine.load(&mut (0..size.rows).map(|number| (key(number), value(&mut random))))?;
    report(LOAD, size.rows as f64 / start.elapsed().as_secs_f64());
    engine.settle()?;
    report(DISK_LOADED, disk_bytes(path)? / logical);

    let rows = size.rows;
    let get = |random: &mut fastrand::Rng| found(engine.get(&key(random.u64(..rows)))?);
    let scan =
        |random: &mut fastrand::Rng| engine.scan(&key(random.u64(..rows)), SCANNED).map(|_| ());
    for number in (0..rows).step_by(TOUCHED) {
        found(engine.get(&key(number))?)?;
    }
    warm_up(size.time, get)?;
    for (threads, name) in GETS {
        report(name, rate(threads, size.time, get)?);
    }
    warm_up(size.time, scan)?;
    for (threads, name) in SCANS {
        report(name, rate(threads, size.time, scan)?);
    }
    let start = Instant::now();
    let scanned = engine.scan(&key(0), usize::MAX)?;
    if scanned as u64 != rows {
        return Err(format!("{scanned} rows were scanned where {rows} were loaded").into());
    }
    report(FULL_SCAN, scanned as f64 / start.elapsed().as_secs_f64());
    ycsb(engine, size, report)?;
    for (threads, name) in ASYNC_PUTS {
        let puts = rate(threads, size.time, |random| {
            engine.put_async(&key(random.u64(..rows)), &value(random))
        })?;
        report(name, puts);
    }
    for (threads, name) in DURABLE_PUTS {
        let puts = rate(threads, size.time, |random| {
            engine.put_durable(&key(random.u64(..rows)), &value(random))
        })?;
        report(name, puts);
    }
    let overwritten = rows / 2;
    for _ in 0..overwritten / BATCH as u64 {
        engine.write(&random_batch(&mut random, rows))?;
    }
    engine.settle()?;
    let inserted = engine.scan(&key(rows), usize::MAX)? as f64;
    let logical = logical + inserted * (KEY_BYTES + VALUE_BYTES) as f64;
    report(DISK_OVERWRITTEN, disk_bytes(path)? / logical);
    report(PEAK_MEMORY, peak_memory()?);
    Ok(())
}

/// Inserts rows in random order, in batches, into an empty engine.
pub fn random_inserts(
    engine: &dyn Engine,
    path: &Path,
    size: Size,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    // Two fifths as many rows as are loaded in order: every number once, in a random order.
    let rows = (size.rows * 2 / 5).max(BATCH as u64);
    let mut random = fastrand::Rng::with_seed(2);
    let mut numbers: Vec<u64> = (0..rows).collect();
    random.shuffle(&mut numbers);
    let start = Instant::now();
    for some in numbers.chunks(BATCH) {
        let batch: Vec<(Key, Value)> = some
            .iter()
            .map(|number| (key(*number), value(&mut random)))
            .collect();
        engine.write(&batch)?;
    }
    report(INSERTS, rows as f64 / start.elapsed().as_secs_f64());
    engine.settle()?;
    let logical = rows as f64 * (KEY_BYTES + VALUE_BYTES) as f64;
    report(
        "disk after random inserts / logical",
        disk_bytes(path)? / logical,
    );
    Ok(())
}

/// Overwrites rows in random batches until the process is killed.
pub fn write_for_ever(engine: &dyn Engine, rows: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(3);
    loop {
        engine.write(&random_batch(&mut random, rows))?;
    }
}

/// Random rows of the first `rows`, in a batch.
pub fn random_batch(random: &mut fastrand::Rng, rows: u64) -> Vec<(Key, Value)> {
    (0..BATCH)
        .map(|_| (key(random.u64(..rows)), value(random)))
        .collect()
}

/// Whether a row that must be there is, whole.
pub fn found(found: Option<usize>) -> Result<()> {
    match found {
        Some(VALUE_BYTES) => Ok(()),
        other => Err(format!("a row's value has length {other:?}").into()),
    }
}

/// The six core workloads of YCSB with two threads and zipfian keys (Cooper et al.,
/// "Benchmarking cloud serving systems with YCSB", 2010), without waiting for the disk.
fn ycsb(engine: &dyn Engine, size: Size, report: &mut dyn FnMut(&str, f64)) -> Result<()> {
    let rows = size.rows;
    let draw = Zipfian::new(rows);
    let next = AtomicU64::new(rows);
    let read = |random: &mut fastrand::Rng| found(engine.get(&key(draw.scattered(random)))?);
    let update =
        |random: &mut fastrand::Rng| engine.write(&[(key(draw.scattered(random)), value(random))]);
    let insert = |random: &mut fastrand::Rng| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        engine.write(&[(key(number), value(random))])
    };
    type Work<'a> = &'a (dyn Fn(&mut fastrand::Rng) -> Result<()> + Sync);
    let mixed = |share: f64, usual: Work<'_>, other: Work<'_>| {
        rate(2, size.time, |random| match random.f64() < share {
            true => usual(random),
            false => other(random),
        })
    };
    report(YCSB_C, rate(2, size.time, read)?);
    report(YCSB_B, mixed(0.95, &read, &update)?);
    let latest = |random: &mut fastrand::Rng| {
        let newest = next.load(Ordering::Relaxed) - 1;
        let number = newest.saturating_sub(draw.rank(random));
        match engine.get(&key(number))? {
            // The other thread has taken the number, but not written it yet.
            None if number >= rows => Ok(()),
            other => found(other),
        }
    };
    report(YCSB_D, mixed(0.95, &latest, &insert)?);
    let scan = |random: &mut fastrand::Rng| {
        let count = random.usize(1..=SCANNED);
        engine.scan(&key(draw.scattered(random)), count).map(|_| ())
    };
    report(YCSB_E, mixed(0.95, &scan, &insert)?);
    report(YCSB_A, mixed(0.5, &read, &update)?);
    let modify =
        |random: &mut fastrand::Rng| engine.modify(&key(draw.scattered(random)), &value(random));
    report(YCSB_F, mixed(0.5, &read, &modify)?);
    Ok(())
}

/// Repeats `operation` until that gets no faster, as caches hold what they can by then.
fn warm_up(
    time: Duration,
    operation: impl Fn(&mut fastrand::Rng) -> Result<()> + Sync,
) -> Result<()> {
    let mut best = 0.0;
    for _ in 0..MOST_ROUNDS {
        let now = rate(1, time / 4, &operation)?;
        if now < best * FASTER {
            break;
        }
        best = now;
    }
    Ok(())
}

/// Operations per second of `threads` threads that each repeat `operation`, with other random numbers
/// in each call.
pub fn rate(
    threads: u64,
    time: Duration,
    operation: impl Fn(&mut fastrand::Rng) -> Result<()> + Sync,
) -> Result<f64> {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let seeds = CALLS.fetch_add(1, Ordering::Relaxed) << 16;
    let total = AtomicU64::new(0);
    let failed = Mutex::new(None);
    let start = Instant::now();
    let end = start + time;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (total, failed, operation) = (&total, &failed, &operation);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seeds + thread + 10);
                let mut count = 0_u64;
                while !count.is_multiple_of(16) || Instant::now() < end {
                    if let Err(error) = operation(&mut random) {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.get_or_insert(error);
                        break;
                    }
                    count += 1;
                }
                total.fetch_add(count, Ordering::Relaxed);
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    Ok(total.into_inner() as f64 / start.elapsed().as_secs_f64())
}

/// Bytes that the files below `path` take on the disk.
pub fn disk_bytes(path: &Path) -> Result<f64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0.0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            bytes += disk_bytes(&entry.path())?;
        } else {
            bytes += metadata.blocks() as f64 * 512.0;
        }
    }
    Ok(bytes)
}

/// The most memory that this process has had resident, in MiB. For a memory-mapped engine that
/// counts the parts of the file that were looked at.
pub fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| {
        let rest = line.strip_prefix("VmHWM:")?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    });
    peak.map(|kib| kib / 1024.0)
        .ok_or_else(|| "the system does not say how much memory was used".into())
}
