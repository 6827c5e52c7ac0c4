//! The protocol by which pages come into frames, change, are frozen and leave, in every
//! interleaving of a few threads. This is a model: the steps are those of
//! `crates/storage/src/page/{store,residency,checkpoint}.rs`, with numbers for pages and a word
//! for the disk. What it must show: nobody sees a torn, stale or foreign page, no change is
//! lost, a frozen image is written exactly as it was frozen, and every slot is either referred
//! to or free.
//!
//! The code itself runs under schedules in `crates/storage/tests/schedules/pages.rs`, where a page
//! that is evicted between two steps of a checkpoint is one of very many things that may happen. The
//! model stays because it has nothing but those steps, in every order.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use loom::{
    model::Builder,
    sync::{
        Arc, Mutex, RwLock, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

mod walking;

/// The current epoch; what was changed before the freeze belongs to the one before.
const CURRENT: usize = 2;
const FROZEN: usize = 1;

/// A slot on disk with what it holds.
type Slot = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    InMemory,
    Written(Slot),
}

#[derive(Debug, Default)]
struct Shard {
    current: Option<Change>,
    frozen: Option<Change>,
    aside: Option<u32>,
    durable: Option<Slot>,
}

#[derive(Debug)]
struct Page {
    /// Frame plus one, or 0.
    frame: AtomicUsize,
    shard: Mutex<Shard>,
}

#[derive(Debug, Default)]
struct Body {
    page: Option<usize>,
    value: u32,
}

#[derive(Debug)]
struct Frame {
    latch: RwLock<Body>,
    dirty: AtomicUsize,
}

#[derive(Debug)]
struct Store {
    pages: Vec<Page>,
    frames: Vec<Frame>,
    empty: Mutex<Vec<usize>>,
    /// Slots taken and not released.
    slots: AtomicUsize,
}

impl Store {
    /// A store whose pages are durable with the values given, over so many frames.
    fn new(values: &[u32], frames: usize) -> Store {
        let page = |value: &u32| Page {
            frame: AtomicUsize::new(0),
            shard: Mutex::new(Shard {
                durable: Some(*value),
                ..Shard::default()
            }),
        };
        let frame = |_| Frame {
            latch: RwLock::new(Body::default()),
            dirty: AtomicUsize::new(0),
        };
        Store {
            pages: values.iter().map(page).collect(),
            frames: (0..frames).map(frame).collect(),
            empty: Mutex::new((0..frames).collect()),
            slots: AtomicUsize::new(values.len()),
        }
    }

    fn cached(&self, id: usize) -> Option<usize> {
        self.pages[id].frame.load(Ordering::Acquire).checked_sub(1)
    }

    fn newest(&self, id: usize) -> Slot {
        let shard = self.pages[id].shard.lock().unwrap();
        match shard.current.or(shard.frozen) {
            Some(Change::Written(slot)) => slot,
            Some(Change::InMemory) => panic!("page {id} is neither in memory nor on disk"),
            None => shard.durable.expect("the page exists"),
        }
    }

    /// Reads a page: its value.
    fn read(&self, id: usize) -> u32 {
        loop {
            if let Some(index) = self.cached(id) {
                // Whether the latch cannot be had or the page has gone: look again.
                if let Ok(body) = self.frames[index].latch.try_read()
                    && body.page == Some(id)
                {
                    return body.value;
                }
            } else if let Some((_, body)) = self.bring_in(id) {
                return body.value;
            }
            thread::yield_now();
        }
    }

    /// Adds to a page.
    fn add(&self, id: usize, more: u32) {
        let (index, mut body) = loop {
            if let Some(index) = self.cached(id) {
                if let Ok(body) = self.frames[index].latch.try_write()
                    && body.page == Some(id)
                {
                    break (index, body);
                }
            } else if let Some(held) = self.bring_in(id) {
                break held;
            }
            thread::yield_now();
        };
        let frame = &self.frames[index];
        if frame.dirty.load(Ordering::Relaxed) != CURRENT {
            let mut shard = self.pages[id].shard.lock().unwrap();
            if frame.dirty.load(Ordering::Relaxed) == FROZEN {
                assert_eq!(shard.aside.replace(body.value), None);
            }
            if let Some(Change::Written(_)) = shard.current.replace(Change::InMemory) {
                self.release();
            }
            frame.dirty.store(CURRENT, Ordering::Relaxed);
        }
        body.value += more;
    }

    fn release(&self) {
        self.slots.fetch_sub(1, Ordering::Relaxed);
    }

    fn bring_in(&self, id: usize) -> Option<(usize, RwLockWriteGuard<'_, Body>)> {
        let taken = self.empty.lock().unwrap().pop();
        let Some(index) = taken else {
            for index in 0..self.frames.len() {
                self.evict(index);
            }
            return None;
        };
        let mut body = self.frames[index].latch.write().unwrap();
        let claimed = self.pages[id].frame.compare_exchange(
            0,
            index + 1,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if claimed.is_err() {
            drop(body);
            self.empty.lock().unwrap().push(index);
            return None;
        }
        body.value = self.newest(id);
        body.page = Some(id);
        Some((index, body))
    }

    fn evict(&self, index: usize) {
        let frame = &self.frames[index];
        let Ok(mut body) = frame.latch.try_write() else {
            return;
        };
        let Some(id) = body.page else { return };
        let dirty = frame.dirty.load(Ordering::Relaxed);
        if dirty != 0 {
            self.slots.fetch_add(1, Ordering::Relaxed);
            self.install(id, dirty, body.value);
        }
        self.pages[id].frame.store(0, Ordering::Release);
        body.page = None;
        drop(body);
        self.empty.lock().unwrap().push(index);
    }

    fn install(&self, id: usize, epoch: usize, slot: Slot) {
        let mut shard = self.pages[id].shard.lock().unwrap();
        let change = if epoch == CURRENT {
            &mut shard.current
        } else {
            &mut shard.frozen
        };
        if *change != Some(Change::InMemory) {
            return self.release();
        }
        *change = Some(Change::Written(slot));
        if epoch != CURRENT && shard.aside.take().is_some() {
            return;
        }
        if let Some(index) = self.cached(id) {
            let dirty = &self.frames[index].dirty;
            let _ = dirty.compare_exchange(epoch, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Writes a frozen page, as the checkpoint does: copy, write, install.
    fn write_frozen(&self, id: usize) {
        let value = loop {
            {
                let shard = self.pages[id].shard.lock().unwrap();
                if shard.frozen != Some(Change::InMemory) {
                    return;
                }
                if let Some(value) = shard.aside {
                    break value;
                }
            }
            if let Some(index) = self.cached(id)
                && let Ok(body) = self.frames[index].latch.try_read()
                && body.page == Some(id)
                && self.frames[index].dirty.load(Ordering::Relaxed) == FROZEN
            {
                break body.value;
            }
            thread::yield_now();
        };
        self.slots.fetch_add(1, Ordering::Relaxed);
        self.install(id, FROZEN, value);
    }

    /// Changes a page and freezes the change, before any other thread runs.
    fn change_and_freeze(&self, id: usize, more: u32) {
        self.add(id, more);
        let index = self.cached(id).unwrap();
        self.frames[index].dirty.store(FROZEN, Ordering::Relaxed);
        let mut shard = self.pages[id].shard.lock().unwrap();
        shard.frozen = shard.current.take();
    }

    /// No slot is lost, and none is counted twice.
    fn check_slots(&self) {
        let mut used = 0;
        for page in &self.pages {
            let shard = page.shard.lock().unwrap();
            used += usize::from(shard.durable.is_some());
            for change in [shard.current, shard.frozen] {
                used += usize::from(matches!(change, Some(Change::Written(_))));
            }
        }
        assert_eq!(used, self.slots.load(Ordering::Relaxed));
    }
}

/// Every interleaving with at most that many preemptions.
fn explore(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(body);
}

#[test]
fn two_pages_take_turns_in_one_frame() {
    explore(2, || {
        let store = Arc::new(Store::new(&[10, 20], 1));
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.add(0, 1))
        };
        assert_eq!(store.read(1), 20);
        assert!([10, 11].contains(&store.read(0)));
        writer.join().unwrap();
        assert_eq!(store.read(0), 11);
        assert_eq!(store.read(1), 20);
        store.check_slots();
    });
}

#[test]
fn two_writers_of_one_page_lose_nothing() {
    explore(2, || {
        let store = Arc::new(Store::new(&[10, 20], 2));
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.add(0, 1))
        };
        let evictor = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                store.evict(0);
                store.evict(1);
            })
        };
        store.add(0, 2);
        writer.join().unwrap();
        evictor.join().unwrap();
        assert_eq!(store.read(0), 13);
        store.check_slots();
    });
}

#[test]
fn a_frozen_page_is_written_as_it_was_frozen() {
    explore(2, || {
        let store = Arc::new(Store::new(&[10], 2));
        store.change_and_freeze(0, 1);
        let writer = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.add(0, 5))
        };
        let evictor = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                store.evict(0);
                store.evict(1);
            })
        };
        store.write_frozen(0);
        writer.join().unwrap();
        evictor.join().unwrap();
        {
            let shard = store.pages[0].shard.lock().unwrap();
            assert_eq!(shard.frozen, Some(Change::Written(11)));
            assert_eq!(shard.aside, None);
        }
        assert_eq!(store.read(0), 16);
        store.check_slots();
    });
}

/// The model can fail: a page that leaves its frame before its image is installed is lost.
#[test]
#[should_panic]
fn eviction_before_the_image_is_installed_is_caught() {
    explore(2, || {
        let store = Arc::new(Store::new(&[10], 1));
        store.add(0, 1);
        let evictor = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let frame = &store.frames[0];
                let Ok(mut body) = frame.latch.try_write() else {
                    return;
                };
                let Some(id) = body.page.take() else { return };
                store.pages[id].frame.store(0, Ordering::Release);
                let value = body.value;
                drop(body);
                store.empty.lock().unwrap().push(0);
                store.slots.fetch_add(1, Ordering::Relaxed);
                store.install(id, CURRENT, value);
            })
        };
        assert_eq!(store.read(0), 11);
        evictor.join().unwrap();
    });
}
