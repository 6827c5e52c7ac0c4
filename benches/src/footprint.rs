//! How much memory many rows take while they are read, written and scanned.

use std::path::Path;

use crate::{
    engines::{Engine, Result, SCANNED},
    keys::{key, value},
    workloads::{
        GETS, PEAK_MEMORY, SCANS, Size, disk_bytes, found, peak_memory, random_batch, rate,
    },
};

/// Loads rows, reads, overwrites and scans them for a while each, and reports what that took.
pub fn measure(
    engine: &dyn Engine,
    path: &Path,
    size: Size,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let rows = size.rows;
    let mut random = fastrand::Rng::with_seed(8);
    engine.load(&mut (0..rows).map(|number| (key(number), value(&mut random))))?;
    report("peak memory after the load, MiB", peak_memory()?);
    let [_, (threads, name)] = GETS;
    let gets = rate(threads, size.time, |random| {
        found(engine.get(&key(random.u64(..rows)))?)
    })?;
    report(name, gets);
    let [_, (threads, name)] = SCANS;
    let scans = rate(threads, size.time, |random| {
        engine.scan(&key(random.u64(..rows)), SCANNED).map(|_| ())
    })?;
    report(name, scans);
    let batches = rate(2, size.time, |random| {
        engine.write(&random_batch(random, rows))
    })?;
    report(
        "overwrites in batches of 1,000, 2 threads, rows",
        batches * 1e3,
    );
    let scanned = engine.scan(&key(0), usize::MAX)?;
    if scanned as u64 != rows {
        return Err(format!("{scanned} rows were scanned where {rows} were loaded").into());
    }
    engine.settle()?;
    report(PEAK_MEMORY, peak_memory()?);
    let logical = size.logical_bytes();
    report("disk / logical", disk_bytes(path)? / logical);
    Ok(())
}
