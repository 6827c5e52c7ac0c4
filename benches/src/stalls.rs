//! The longest that a writer is held up at full load, and what it waited for.

use std::{
    collections::HashMap,
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use rustling_storage::Store;

use crate::{
    engines::{Engine, Result, Rustling, Settings},
    keys::{key, value},
    workloads::{Size, random_batch},
};

/// The longest that a writer was held up.
pub const LONGEST_STALL: &str = "stall of a writer, longest, ms";
/// Operations that took longest, kept for the report.
const LONGEST: usize = 5;

/// An operation that took long.
struct Stall {
    took: Duration,
    /// Since the load began.
    at: Duration,
    /// The longest named wait that was counted meanwhile.
    wait: Option<(&'static str, Duration)>,
}

/// The longest waits of a store as of the last look, by name.
type Waits = HashMap<&'static str, Duration>;

fn waits(store: &Store) -> Waits {
    let all = store.waits().snapshot().into_iter();
    all.map(|wait| (wait.name, wait.total)).collect()
}

/// The wait that took most since `before`.
fn longest_since(before: &Waits, store: &Store) -> Option<(&'static str, Duration)> {
    let now = waits(store).into_iter();
    let waited = now.map(|(name, total)| {
        let known = before.get(name).copied().unwrap_or_default();
        (name, total.saturating_sub(known))
    });
    // It goes on beside everything, and no writer waits for it.
    let writers = waited.filter(|(name, waited)| *name != "commit.async" && !waited.is_zero());
    writers.max_by_key(|(_, waited)| *waited)
}

/// Two threads write for as long as `size` says, one in batches and one row by row. `report` takes
/// figures, `note` says what the longest operations waited for.
pub fn measure(
    name: &str,
    path: &Path,
    settings: Settings,
    size: Size,
    report: &mut dyn FnMut(&str, f64),
    note: &mut dyn FnMut(&str),
) -> Result<()> {
    let engine = Rustling::named(name, path, settings)?;
    let mut random = fastrand::Rng::with_seed(5);
    engine.load(&mut (0..size.rows).map(|number| (key(number), value(&mut random))))?;
    let start = Instant::now();
    let longest: Mutex<Vec<Stall>> = Mutex::default();
    let watch = |write: &dyn Fn(&mut fastrand::Rng) -> Result<u64>, seed: u64| -> Result<u64> {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut rows, mut least) = (0, Duration::from_millis(1));
        while start.elapsed() < size.time {
            // Cheap beside what it is to catch: a batch, or sixteen commits.
            let before = waits(engine.store());
            for _ in 0..16 {
                let began = Instant::now();
                rows += write(&mut random)?;
                let took = began.elapsed();
                if took < least {
                    continue;
                }
                let stall = Stall {
                    took,
                    at: began - start,
                    wait: longest_since(&before, engine.store()),
                };
                let mut all = longest.lock().map_err(|_| "a thread panicked")?;
                all.push(stall);
                all.sort_by_key(|stall| std::cmp::Reverse(stall.took));
                all.truncate(LONGEST);
                if let Some(last) = all.get(LONGEST - 1) {
                    least = least.max(last.took);
                }
            }
        }
        Ok(rows)
    };
    let batches = |random: &mut fastrand::Rng| {
        let batch = random_batch(random, size.rows);
        engine.write(&batch)?;
        Ok(batch.len() as u64)
    };
    let single = |random: &mut fastrand::Rng| {
        engine.write(&[(key(random.u64(..size.rows)), value(random))])?;
        Ok(1)
    };
    let rows = std::thread::scope(|scope| {
        let other = scope.spawn(|| watch(&single, 7));
        let rows = watch(&batches, 6)?;
        other
            .join()
            .map_err(|_| "a thread panicked")?
            .map(|more| rows + more)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    report("rows written at full load", rows as f64 / seconds);
    let longest = longest.into_inner().map_err(|_| "a thread panicked")?;
    let worst = longest.first().map_or(Duration::ZERO, |stall| stall.took);
    report(LONGEST_STALL, worst.as_secs_f64() * 1e3);
    for stall in &longest {
        let waited = match stall.wait {
            Some((wait, waited)) => format!("{wait} ({:.0} ms)", waited.as_secs_f64() * 1e3),
            None => "no named wait".into(),
        };
        note(&format!(
            "a writer took {:.0} ms after {:.1} s: {waited}",
            stall.took.as_secs_f64() * 1e3,
            stall.at.as_secs_f64()
        ));
    }
    let waits = engine.store().waits().snapshot();
    for wait in waits.iter().filter(|wait| wait.count > 0) {
        note(&format!(
            "{}: {} times, {:.1} s in all, {:.0} ms at most",
            wait.name,
            wait.count,
            wait.total.as_secs_f64(),
            wait.max.as_secs_f64() * 1e3
        ));
    }
    Ok(())
}
