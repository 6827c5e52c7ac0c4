//! Figures, for people: run with `--ignored --nocapture` in release mode. Nothing is asserted.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    env::Env,
    lsn::Lsn,
    page::{PageId, PageSize, PageStore, PageStoreOptions},
    poison::Poison,
};

/// Prints the time that one of `count` runs of `body` takes.
fn time(env: &Env, what: &str, count: u64, mut body: impl FnMut(u64)) -> Duration {
    let start = env.now();
    for run in 0..count {
        body(run);
    }
    let each = (env.now() - start).as_nanos() as f64 / count as f64;
    println!("{what}: {each:.1} ns");
    Duration::from_nanos(each as u64)
}

fn options(cache_bytes: usize) -> PageStoreOptions {
    PageStoreOptions {
        cache_bytes,
        ..PageStoreOptions::default()
    }
}

#[test]
#[ignore = "prints figures; run by hand: cargo test --release -p rustling-storage page::tests::measure -- --ignored --nocapture"]
fn measure() {
    let env = Env::system();
    let store = PageStore::for_test(PageSize::Kib8, 256 << 20);
    let ids: Vec<PageId> = (0..10_000)
        .map(|_| store.allocate().unwrap().id())
        .collect();
    let id = |run: u64| ids[(run.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % ids.len()];
    let bare = parking_lot::RwLock::new(7u64);
    time(&env, "a bare latch, for comparison", 20_000_000, |_| {
        std::hint::black_box(bare.try_read().map(|guard| *guard));
    });
    time(&env, "read, one cached page", 20_000_000, |_| {
        std::hint::black_box(store.read(ids[0]).unwrap()[0]);
    });
    time(&env, "read, 10,000 cached pages", 20_000_000, |run| {
        std::hint::black_box(store.read(id(run)).unwrap()[0]);
    });
    time(&env, "write, 10,000 dirty pages", 10_000_000, |run| {
        store.write(id(run)).unwrap()[0] = 1;
    });
    let checkpoint = |store: &PageStore| {
        let frozen = store.freeze(Lsn(1), vec![0; 500]).unwrap();
        store.write_checkpoint(frozen).unwrap();
    };
    time(
        &env,
        "freeze and write 10,000 pages to memory, per page",
        1,
        |_| checkpoint(&store),
    );
    time(&env, "write, first change in an epoch", 10_000, |run| {
        store.write(ids[run as usize]).unwrap()[0] = 1;
    });
    let small = PageStore::for_test(PageSize::Kib8, 8 << 20);
    let ids: Vec<PageId> = (0..10_000)
        .map(|_| small.allocate().unwrap().id())
        .collect();
    checkpoint(&small);
    let id = |run: u64| ids[(run.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % ids.len()];
    time(
        &env,
        "read, a tenth of 10,000 pages cached, memory file",
        200_000,
        |run| {
            std::hint::black_box(small.read(id(run)).unwrap()[0]);
        },
    );
    time(
        &env,
        "write, a tenth of 10,000 pages cached, memory file",
        200_000,
        |run| {
            small.write(id(run)).unwrap()[0] = 1;
        },
    );
    println!("{:?}", small.stats());

    let memory = Env::in_memory();
    for (name, env) in [("memory", &memory), ("system", &env)] {
        let dir = tempfile::tempdir().unwrap();
        env.vfs.create_dir_all(dir.path()).unwrap();
        let poison = || Arc::new(Poison::new());
        let mut count = 0;
        let sub = |run: u64| dir.path().join(run.to_string());
        time(env, &format!("{name}: create"), 200, |run| {
            env.vfs.create_dir_all(&sub(run)).unwrap();
            let store = PageStore::create(env, &sub(run), options(64 << 20), poison()).unwrap();
            count += store.stats().pages;
        });
        let at = |run: u64| -> PageStore {
            PageStore::open(env, &sub(run), options(64 << 20), poison(), false)
                .unwrap()
                .0
        };
        time(
            env,
            &format!("{name}: open, allocate, first checkpoint"),
            200,
            |run| {
                let store = at(run);
                store.allocate().unwrap();
                checkpoint(&store);
            },
        );
        time(env, &format!("{name}: open"), 200, |run| drop(at(run)));
        let big = at(0);
        for _ in 0..20_000 {
            big.allocate().unwrap();
        }
        time(env, &format!("{name}: checkpoint of 160 MB"), 1, |_| {
            checkpoint(&big)
        });
        time(env, &format!("{name}: checkpoint of one page"), 50, |_| {
            big.write(PageId(77)).unwrap()[0] += 1;
            checkpoint(&big);
        });
        drop(big);
        time(env, &format!("{name}: open with 20,000 pages"), 20, |_| {
            drop(at(0))
        });
    }
    assert!(!Path::new("/test").exists());
}
