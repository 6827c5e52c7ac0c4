//! How a cursor goes to a leaf by its name alone, while the leaf may be merged away and its page become
//! another tree's: the steps are those of `crates/storage/src/btree/read_ahead.rs` and of
//! `crates/storage/src/page/{store,checkpoint}.rs`.

use loom::{
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::explore;

const MINE: u32 = 1;
const THEIRS: u32 = 2;

/// One page, and the node above it while it is a leaf of [`MINE`].
struct Store {
    /// Whether the node names the page as its leaf.
    node: RwLock<bool>,
    /// Whose leaf the page is, with the bounds that it had from the beginning.
    page: RwLock<Option<u32>>,
    epoch: AtomicUsize,
    /// Whether the page was given back in the current epoch, and in the frozen one.
    freed: Mutex<[bool; 2]>,
    /// Whether its id may be used again.
    is_free: Mutex<bool>,
}

impl Store {
    fn new() -> Store {
        Store {
            node: RwLock::new(true),
            page: RwLock::new(Some(MINE)),
            epoch: AtomicUsize::new(1),
            freed: Mutex::new([false; 2]),
            is_free: Mutex::new(false),
        }
    }

    fn merge_away(&self) {
        let mut node = self.node.write().unwrap();
        let mut page = self.page.write().unwrap();
        *node = false;
        *page = None;
        self.freed.lock().unwrap()[0] = true;
    }

    fn checkpoint(&self) {
        {
            let mut freed = self.freed.lock().unwrap();
            *freed = [false, freed[0]];
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let freed = std::mem::take(&mut self.freed.lock().unwrap()[1]);
        if freed {
            *self.is_free.lock().unwrap() = true;
        }
    }

    fn allocate(&self) {
        let is_free = std::mem::take(&mut *self.is_free.lock().unwrap());
        if is_free {
            *self.page.write().unwrap() = Some(THEIRS);
        }
    }

    /// When the node named the page, if it did.
    fn name(&self) -> Option<usize> {
        let node = self.node.read().unwrap();
        node.then(|| self.epoch.load(Ordering::Acquire))
    }

    /// Whose leaf a cursor takes for the one that was named.
    fn follow(&self, named: usize, looks_at_epoch: bool) -> Option<u32> {
        let page = self.page.try_read().ok()?;
        let owner = (*page)?;
        let same = !looks_at_epoch || self.epoch.load(Ordering::Acquire) == named;
        same.then_some(owner)
    }
}

fn walk(looks_at_epoch: bool) {
    explore(3, move || {
        let store = Arc::new(Store::new());
        let changer = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                store.merge_away();
                store.checkpoint();
                store.allocate();
            })
        };
        let other = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.allocate())
        };
        if let Some(named) = store.name()
            && let Some(owner) = store.follow(named, looks_at_epoch)
        {
            assert_eq!(owner, MINE);
        }
        changer.join().unwrap();
        other.join().unwrap();
        assert_eq!(store.name(), None);
    });
}

#[test]
fn a_named_leaf_is_never_another_trees() {
    walk(true);
}

/// The model can fail: the bounds alone do not tell whose leaf it is.
#[test]
#[should_panic]
fn a_name_without_its_time_is_caught() {
    walk(false);
}
