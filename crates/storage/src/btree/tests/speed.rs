//! Figures of the tree alone, in memory. Run with
//! `cargo nextest run --cargo-profile release -p rustling-storage --run-ignored only --no-capture tree_speed`.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;

use super::{BTree, TreeEntry};
use crate::{
    cursor::SnapshotCursor,
    env::Env,
    lsn::Lsn,
    page::{PageSize, PageStore},
    store::{Direction, KeyRange},
};

const BATCH: usize = 1000;

struct Meter(Env);

/// Processor time of this thread: what other work on the machine takes does not count.
fn cpu_time() -> Option<Duration> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    schedstat
        .split_whitespace()
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

impl Meter {
    fn measure<R>(&self, what: &str, rows: usize, run: impl FnOnce() -> R) -> R {
        let (begin, cpu_begin) = (self.0.clock.now(), cpu_time());
        let result = run();
        let wall = self.0.clock.now() - begin;
        let cpu = cpu_time()
            .zip(cpu_begin)
            .map_or(wall, |(end, begin)| end - begin);
        let [wall, cpu] = [wall, cpu].map(|took| rows as f64 / took.as_secs_f64());
        println!(
            "{what:32} {wall:>10.0} rows/s, {cpu:>10.0} rows/s of CPU ({:.1} ns)",
            1e9 / cpu
        );
        result
    }
}

fn fill(tree: &BTree, keys: &[[u8; 16]], value: &[u8]) {
    for (lsn, batch) in keys.chunks(BATCH).enumerate() {
        let mut sorted = batch.to_vec();
        sorted.sort_unstable();
        let entries: Vec<TreeEntry<'_>> = sorted
            .iter()
            .map(|key| TreeEntry {
                key,
                value: Some(value),
            })
            .collect();
        tree.apply(&entries, Lsn(lsn as u64 + 1), Lsn(lsn as u64))
            .unwrap();
    }
}

#[test]
#[ignore = "prints figures; run by hand: cargo test --release -p rustling-storage tree_speed -- --ignored --nocapture"]
fn tree_speed() {
    let rows: usize = std::env::var("RUSTLING_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(5_000_000);
    let meter = Meter(Env::system());
    let mut rng = Rng::with_seed(1);
    let value = [b'v'; 100];
    let random: Vec<[u8; 16]> = (0..rows).map(|_| rng.u128(..).to_be_bytes()).collect();
    let cache = rows * 300 + (64 << 20);

    for (name, sorted) in [("ascending", true), ("random", false)] {
        let pages = PageStore::for_test(PageSize::Kib8, cache);
        let tree = BTree::create(Arc::clone(&pages)).unwrap();
        let mut keys = random.clone();
        if sorted {
            keys.sort_unstable();
        }
        meter.measure(&format!("insert, {name}, 1000 a batch"), rows, || {
            fill(&tree, &keys, &value);
        });
        let estimate = tree.estimate().unwrap();
        let bytes = pages.allocated_pages().len() * 8192;
        println!(
            "{:32} {estimate:?}, {:.3} bytes/byte",
            "",
            bytes as f64 / (rows * 116) as f64
        );
        let mut probes = random.clone();
        rng.shuffle(&mut probes);
        for _ in 0..2 {
            meter.measure("get, random", rows, || {
                let mut found = 0;
                for key in &probes {
                    let len = tree.get(key, Lsn::MAX, |_, value| value.map_or(0, <[u8]>::len));
                    found += len.unwrap().unwrap();
                }
                assert_eq!(found, rows * 100);
            });
        }
        for direction in [Direction::Forward, Direction::Backward] {
            meter.measure(&format!("scan, {direction:?}"), rows, || {
                let cursor = tree.cursor(KeyRange::all(), direction);
                let mut cursor = SnapshotCursor::new(cursor, Lsn::MAX);
                let mut found = 0;
                while let Some((key, value)) = cursor.next_entry().unwrap() {
                    found += key.len() + value.len();
                }
                assert_eq!(found, rows * 116);
            });
        }
    }
}
