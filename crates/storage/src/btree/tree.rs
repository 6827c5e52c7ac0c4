//! The tree's face: opening, point reads, and applying a batch.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    build::{self, Builder},
    cell::{CellValue, LeafEntry, value_stays_inline},
    key::{Place, Tail},
    layout::{self, NodeError, NodeResult, inline_key_limit},
    node::Node,
    overflow::{self, Chain, StoredTails},
    prune::{self, NOTHING_TO_PRUNE},
    rebuild::{self, LEAST_RUN},
};
use crate::{
    error::{Error, Result},
    lsn::Lsn,
    page::{PageId, PageMut, PageRef, PageStore},
    pins::Watermark,
    sync::{Mutex, MutexGuard},
};

/// One change of a batch for one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TreeEntry<'a> {
    /// The key, of at most [`layout::MAX_KEY`] bytes.
    pub(crate) key: &'a [u8],
    /// Its new value of at most [`layout::MAX_VALUE`] bytes, or `None` to delete it.
    pub(crate) value: Option<&'a [u8]>,
}

/// The pages of a tree, for reading. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct TreePages {
    pub(super) pages: Arc<PageStore>,
    pub(super) root: PageId,
}

/// Bytes of a leaf, from its beginning, that mostly hold header and slots.
const SLOTS_BYTES: usize = 512;

/// Loads the cache lines that a search in a leaf will need, all at once: searching waits for
/// one line after the other.
#[inline]
fn touch_slots(leaf: &[u8]) {
    const CACHE_LINE: usize = 64;
    for byte in leaf.iter().take(SLOTS_BYTES).step_by(CACHE_LINE) {
        std::hint::black_box(*byte);
    }
}

impl TreePages {
    pub(super) fn tails(&self) -> StoredTails<'_> {
        StoredTails(&self.pages)
    }

    /// Says of an error in which page it was found.
    #[cold]
    pub(super) fn locate(&self, id: PageId, error: NodeError) -> Error {
        match error {
            NodeError::Malformed(reason) => self.pages.corrupt_page(id, reason),
            NodeError::Full => self
                .pages
                .corrupt_page(id, "the cells do not fit their node"),
            NodeError::Store(error) => *error,
        }
    }

    /// The child of `node` (on page `id`) at `index`, held for reading.
    pub(super) fn read_child(
        &self,
        id: PageId,
        node: &Node<'_>,
        child: PageId,
    ) -> Result<PageRef<'_>> {
        let page = self.pages.read(child)?;
        // Levels fall with every step, so that no damage can make a descent endless.
        if page
            .get(1)
            .is_some_and(|level| level.checked_add(1) == Some(node.header.level))
        {
            Ok(page)
        } else {
            Err(self
                .pages
                .corrupt_page(child, format_args!("not the child of page {}", id.0)))
        }
    }

    /// The leaf that `place` belongs to; where `before`, the leaf of what is just before it.
    pub(super) fn descend(&self, place: Place<'_>, before: bool) -> Result<PageRef<'_>> {
        self.descend_past(place, before, |_, _| {})
    }

    /// As [`TreePages::descend`]; shows the node above the leaf, while it is held, and which of its
    /// children the leaf is. The root may be the leaf, and have no node above it.
    #[inline]
    pub(super) fn descend_past(
        &self,
        place: Place<'_>,
        before: bool,
        mut above: impl FnMut(&Node<'_>, usize),
    ) -> Result<PageRef<'_>> {
        let mut id = self.root;
        let mut page = self.pages.read(id)?;
        loop {
            let node = Node::parse(&page).map_err(|e| self.locate(id, e))?;
            if node.is_leaf() {
                return Ok(page);
            }
            let (index, child) = node
                .find_child(place, before, &self.tails())
                .and_then(|index| Ok((index, node.child(index)?)))
                .map_err(|e| self.locate(id, e))?;
            let is_leaf = node.header.level == 1;
            if is_leaf {
                above(&node, index);
            }
            let next = self.read_child(id, &node, child)?;
            if is_leaf {
                touch_slots(&next);
            }
            page = next;
            id = child;
        }
    }

    /// The last leaf of the tree.
    pub(super) fn descend_last(&self) -> Result<PageRef<'_>> {
        let mut id = self.root;
        let mut page = self.pages.read(id)?;
        loop {
            let node = Node::parse(&page).map_err(|e| self.locate(id, e))?;
            if node.is_leaf() {
                return Ok(page);
            }
            let child = node.child(node.count()).map_err(|e| self.locate(id, e))?;
            let next = self.read_child(id, &node, child)?;
            page = next;
            id = child;
        }
    }

    /// The leaf that `place` belongs to, held for writing.
    pub(super) fn descend_to_write(&self, place: Place<'_>) -> Result<PageMut<'_>> {
        loop {
            let mut id = self.root;
            let mut page = self.pages.read(id)?;
            loop {
                let node = Node::parse(&page).map_err(|e| self.locate(id, e))?;
                if node.is_leaf() {
                    // Only the root can be met here. It may grow while no latch is held.
                    drop(page);
                    let page = self.pages.write(id)?;
                    if page.get(1) == Some(&0) {
                        return Ok(page);
                    }
                    break;
                }
                let child = node
                    .find_child(place, false, &self.tails())
                    .and_then(|index| node.child(index))
                    .map_err(|e| self.locate(id, e))?;
                if node.header.level == 1 {
                    let leaf = self.pages.write(child)?;
                    touch_slots(&leaf);
                    Node::parse_leaf(&leaf).map_err(|e| self.locate(child, e))?;
                    return Ok(leaf);
                }
                let next = self.read_child(id, &node, child)?;
                page = next;
                id = child;
            }
        }
    }

    /// The newest version of `key` at or below `at`, tombstones included, passed to `read`
    /// with the leaf held.
    pub(super) fn get<R>(
        &self,
        key: &[u8],
        at: Lsn,
        read: impl FnOnce(Lsn, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        let mut place = Place::at(key, at);
        loop {
            let leaf = self.descend(place, false)?;
            let locate = |e| self.locate(leaf.id(), e);
            let node = Node::parse(&leaf).map_err(locate)?;
            let (index, same_key) = node.find(place, &self.tails()).map_err(locate)?;
            if same_key {
                let cell = node.leaf_cell(index).map_err(locate)?;
                return match cell.value {
                    CellValue::Tombstone => Ok(Some(read(cell.lsn, None))),
                    CellValue::Inline(value) => Ok(Some(read(cell.lsn, Some(value)))),
                    CellValue::Overflow { len, page } => {
                        let mut value = Vec::new();
                        overflow::load(&self.pages, Chain { page, len }, &mut value)?;
                        Ok(Some(read(cell.lsn, Some(&value))))
                    }
                };
            }
            if index < node.count() {
                return Ok(None);
            }
            // The versions of one key may go on in the next leaf.
            let version = match node.high().map_err(locate)? {
                Some(high)
                    if high.version != 0
                        && high
                            .compare_key(key, &self.tails())
                            .map_err(locate)?
                            .is_eq() =>
                {
                    high.version
                }
                _ => return Ok(None),
            };
            if version <= place.version {
                return Err(locate(NodeError::Malformed(
                    "the high fence is out of order",
                )));
            }
            place.version = version;
        }
    }
}

/// A B+ tree. All methods may be called from any number of threads.
#[derive(Debug)]
pub(crate) struct BTree {
    pub(super) tree: TreePages,
    /// Held by whoever changes the structure (see the module's rules).
    pub(super) structure: Mutex<()>,
    /// Entries written since the tree was opened.
    pub(super) written: AtomicU64,
    /// What `written` was when the last packing pass that came to its end began.
    pub(super) packed: AtomicU64,
}

/// The chains of an entry that is not yet in a leaf.
#[derive(Clone, Copy, Debug)]
struct Prepared {
    tail: Option<Chain>,
    value: Option<Chain>,
}

/// How often in a row an operation may change the tree's structure for one entry.
pub(super) const MAX_ATTEMPTS: usize = 64;

/// Fewer entries than this are no load.
const LEAST_LOAD: usize = 16;

/// Why filling a leaf ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    /// The next entry belongs to another leaf, or there is none.
    Done,
    /// The next entry needs so many bytes in a leaf without room for them.
    Full(usize),
    /// The next entry needs overflow chains.
    Chains,
}

impl BTree {
    /// Makes an empty tree.
    ///
    /// # Errors
    /// As [`PageStore::allocate`].
    pub(crate) fn create(pages: Arc<PageStore>) -> Result<BTree> {
        let size = pages.payload_size();
        if !(layout::MIN_PAYLOAD..=layout::MAX_PAYLOAD).contains(&size) {
            return Err(Error::InvalidOption(format!(
                "a tree cannot use pages of {size} bytes"
            )));
        }
        let mut page = pages.allocate()?;
        let root = page.id();
        let tree = TreePages {
            pages: Arc::clone(&pages),
            root,
        };
        Builder::leaf(&mut page, None, None, NOTHING_TO_PRUNE)
            .map_err(|e| tree.locate(root, e))?
            .finish();
        Ok(BTree {
            tree,
            structure: Mutex::new(()),
            written: AtomicU64::new(0),
            packed: AtomicU64::new(0),
        })
    }

    /// The tree whose root is on page `root`. Nothing is read yet.
    pub(crate) fn open(pages: Arc<PageStore>, root: PageId) -> BTree {
        BTree {
            tree: TreePages { pages, root },
            structure: Mutex::new(()),
            written: AtomicU64::new(0),
            packed: AtomicU64::new(0),
        }
    }

    /// The structure lock, waited for where somebody else has it.
    pub(super) fn lock_structure(&self) -> MutexGuard<'_, ()> {
        match self.structure.try_lock() {
            Some(held) => held,
            None => {
                let waits = self.tree.pages.waits();
                waits.time(|waits| &waits.structure, || self.structure.lock())
            }
        }
    }

    /// Where the root is, for the tree's whole life.
    pub(crate) fn root(&self) -> PageId {
        self.tree.root
    }

    /// Calls `read` with LSN and value (`None` for a tombstone) of the newest version of `key`
    /// at or below `at`, if there is one. A latch is held meanwhile: `read` must not use the
    /// store.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        at: Lsn,
        read: impl FnOnce(Lsn, Option<&[u8]>) -> R,
    ) -> Result<Option<R>> {
        self.tree.get(key, at, read)
    }

    /// Whether there is no version of anything.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(crate) fn is_empty(&self) -> Result<bool> {
        let mut cursor = self.cursor(
            crate::store::KeyRange::all(),
            crate::store::Direction::Forward,
        );
        Ok(!cursor.advance_to_any()?)
    }

    /// Adds a version at `lsn` of each entry's key. Entries ascend by key without repeats. A
    /// version that is there already is left as it is, so applying twice does no harm. Versions
    /// that no snapshot at or above `watermark` sees may be dropped on the way.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Corrupt`], [`Error::Io`], [`Error::Poisoned`]. The entries
    /// before the one that failed have been applied then.
    pub(crate) fn apply<'w>(
        &self,
        entries: &[TreeEntry<'_>],
        lsn: Lsn,
        watermark: impl Into<Watermark<'w>>,
    ) -> Result<()> {
        debug_assert!(
            entries.is_sorted_by(|a, b| a.key < b.key),
            "entries ascend by key"
        );
        let mut watermark = watermark.into();
        self.written
            .fetch_add(entries.len() as u64, Ordering::Relaxed);
        let mut prepared = None;
        let mut freed = Vec::new();
        let mut scratch = Vec::new();
        let mut next = 0;
        // No entry needs more splits than this, unless the tree is damaged.
        let mut attempts = 0;
        let result = loop {
            if next == entries.len() {
                break Ok(());
            }
            let before = next;
            let step = self.apply_some(
                entries,
                &mut next,
                (lsn, &mut watermark),
                &mut prepared,
                &mut freed,
                &mut scratch,
            );
            let collected = self.free_chains(&mut freed);
            if let Err(error) = step.and(collected) {
                break Err(error);
            }
            attempts = if next == before { attempts + 1 } else { 0 };
            if attempts > MAX_ATTEMPTS {
                break Err(self
                    .tree
                    .pages
                    .corrupt_page(self.tree.root, "splits make no room"));
            }
        };
        if let Some(prepared) = prepared {
            self.release(prepared, &mut freed);
            result.and(self.free_chains(&mut freed))
        } else {
            result
        }
    }

    /// Applies entries from `next` on to one leaf, making room where there is none.
    fn apply_some(
        &self,
        entries: &[TreeEntry<'_>],
        next: &mut usize,
        (lsn, watermark): (Lsn, &mut Watermark<'_>),
        prepared: &mut Option<Prepared>,
        freed: &mut Vec<Chain>,
        scratch: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(entry) = entries.get(*next) else {
            return Ok(());
        };
        if prepared.is_none() && self.needs_chains(entry) {
            *prepared = Some(self.prepare(entry)?);
        }
        let place = Place::at(entry.key, lsn);
        let mut leaf = self.tree.descend_to_write(place)?;
        let id = leaf.id();
        let mut filler = LeafFiller {
            tree: self,
            leaf: &mut leaf,
            lsn,
            watermark,
            freed,
            pruned: false,
            buried: false,
        };
        let filled = filler
            .put(entries, next, prepared, scratch)
            .and_then(|filled| filler.settle().map(|underfull| (filled, underfull)));
        drop(leaf);
        match filled.map_err(|e| self.tree.locate(id, e))? {
            (Filled::Full(needed), _) => {
                let pending = entries.get(*next..).unwrap_or_default();
                *next += self.split(pending, lsn, needed)?;
                Ok(())
            }
            (Filled::Done | Filled::Chains, true) => self.merge(place).map(|_| ()),
            (Filled::Done | Filled::Chains, false) => Ok(()),
        }
    }

    fn needs_chains(&self, entry: &TreeEntry<'_>) -> bool {
        let payload = self.tree.pages.payload_size();
        let value = entry.value.map_or(0, <[u8]>::len);
        entry.key.len() > inline_key_limit(payload)
            || !value_stays_inline(payload, entry.key.len(), value)
    }

    /// Writes the chains of an entry, before any latch is taken.
    fn prepare(&self, entry: &TreeEntry<'_>) -> Result<Prepared> {
        let pages = &self.tree.pages;
        let payload = pages.payload_size();
        if entry.key.len() > layout::MAX_KEY {
            let (len, limit) = (entry.key.len(), layout::MAX_KEY);
            return Err(Error::TooLarge {
                what: "key",
                len,
                limit,
            });
        }
        let value = entry.value.unwrap_or_default();
        if value.len() > layout::MAX_VALUE {
            let (len, limit) = (value.len(), layout::MAX_VALUE);
            return Err(Error::TooLarge {
                what: "value",
                len,
                limit,
            });
        }
        let mut prepared = Prepared {
            tail: None,
            value: None,
        };
        if let Some(rest) = entry
            .key
            .get(inline_key_limit(payload)..)
            .filter(|r| !r.is_empty())
        {
            prepared.tail = Some(overflow::write(pages, rest)?);
        }
        if !value_stays_inline(payload, entry.key.len(), value.len()) {
            match overflow::write(pages, value) {
                Ok(chain) => prepared.value = Some(chain),
                Err(error) => {
                    let mut freed = Vec::new();
                    self.release(prepared, &mut freed);
                    // The first error is the one to report.
                    let _ = self.free_chains(&mut freed);
                    return Err(error);
                }
            }
        }
        Ok(prepared)
    }

    fn release(&self, prepared: Prepared, freed: &mut Vec<Chain>) {
        freed.extend(prepared.tail.into_iter().chain(prepared.value));
    }

    /// Gives chains back. No latch may be held on the leaf that referred to them.
    pub(super) fn free_chains(&self, freed: &mut Vec<Chain>) -> Result<()> {
        for chain in freed.drain(..) {
            overflow::free(&self.tree.pages, chain)?;
        }
        Ok(())
    }
}

/// Puts entries into one leaf, held exclusively.
struct LeafFiller<'a, 'w> {
    tree: &'a BTree,
    leaf: &'a mut [u8],
    lsn: Lsn,
    watermark: &'a mut Watermark<'w>,
    freed: &'a mut Vec<Chain>,
    /// Whether anything was dropped.
    pruned: bool,
    /// Whether a tombstone was written.
    buried: bool,
}

impl LeafFiller<'_, '_> {
    /// Puts entries from `next` on into the leaf while they belong here, in the way that suits
    /// them; the first one does.
    fn put(
        &mut self,
        entries: &[TreeEntry<'_>],
        next: &mut usize,
        prepared: &mut Option<Prepared>,
        scratch: &mut Vec<u8>,
    ) -> NodeResult<Filled> {
        if prepared.is_none() {
            let rest = entries.get(*next..).unwrap_or_default();
            if self.is_loaded_with(rest)? {
                // Splitting at the end builds each leaf once.
                return Ok(Filled::Full(layout::MAX_PAYLOAD));
            }
            if self.merge(entries, next, scratch)? {
                return Ok(Filled::Done);
            }
        }
        self.fill(entries, next, prepared)
    }

    /// Whether this is the tree's last leaf, `rest` comes after what it holds, and is more than
    /// it takes.
    fn is_loaded_with(&self, rest: &[TreeEntry<'_>]) -> NodeResult<bool> {
        if rest.len() < LEAST_LOAD {
            return Ok(false);
        }
        let node = Node::parse_leaf(self.leaf)?;
        let Some(first) = rest
            .first()
            .filter(|_| node.high().is_ok_and(|high| high.is_none()))
        else {
            return Ok(false);
        };
        let (index, _) = node.find(Place::at(first.key, self.lsn), &self.tree.tree.tails())?;
        if index < node.count() || self.tree.needs_chains(first) {
            return Ok(false);
        }
        let mut room = node.header.total_free();
        for entry in rest {
            let size = entry.key.len() + entry.value.map_or(0, <[u8]>::len);
            match room.checked_sub(size) {
                Some(left) => room = left,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Merges the entries from `next` on that belong here into the leaf, where they are several
    /// and all of them fit; answers whether that was so.
    fn merge(
        &mut self,
        entries: &[TreeEntry<'_>],
        next: &mut usize,
        scratch: &mut Vec<u8>,
    ) -> NodeResult<bool> {
        let rest = entries.get(*next..).unwrap_or_default();
        if rest.len() < LEAST_RUN {
            return Ok(false);
        }
        let tails = self.tree.tree.tails();
        let node = Node::parse_leaf(self.leaf)?;
        // Mostly the next entries of a scattered batch belong to other leaves.
        if let (Some(high), Some(last)) = (node.high()?, rest.get(LEAST_RUN - 1))
            && high.compare_key(last.key, &tails)?.is_ge()
        {
            return Ok(false);
        }
        let needs_chains = |entry: &TreeEntry<'_>| self.tree.needs_chains(entry);
        let run = rebuild::run_in(&node, rest, self.lsn, needs_chains, &tails)?;
        let Some(run) = rest.get(..run).filter(|run| run.len() >= LEAST_RUN) else {
            return Ok(false);
        };
        // The leaf is made anew: what has become garbage with the last commits makes room too.
        let at = (self.lsn, self.watermark.exactly());
        let merged = rebuild::merge_run(self.leaf, run, at, &tails, scratch, self.freed)?;
        if let Some(dropped) = merged {
            self.pruned |= dropped;
            *next += run.len();
        }
        Ok(merged.is_some())
    }

    /// Inserts entries from `next` on while they belong here; the first one does.
    fn fill(
        &mut self,
        entries: &[TreeEntry<'_>],
        next: &mut usize,
        prepared: &mut Option<Prepared>,
    ) -> NodeResult<Filled> {
        let tails = self.tree.tree.tails();
        let mut first = true;
        while let Some(entry) = entries.get(*next) {
            let place = Place::at(entry.key, self.lsn);
            if !first {
                let high = Node::parse_leaf(self.leaf)?.high()?;
                if let Some(high) = high
                    && high.compare_place(place, &tails)?.is_ge()
                {
                    return Ok(Filled::Done);
                }
                if self.tree.needs_chains(entry) {
                    return Ok(Filled::Chains);
                }
            }
            first = false;
            if let Some(needed) = self.insert(entry, place, prepared)? {
                return Ok(Filled::Full(needed));
            }
            *next += 1;
        }
        Ok(Filled::Done)
    }

    /// Inserts one version; where there is no room, answers how many bytes it needs.
    fn insert(
        &mut self,
        entry: &TreeEntry<'_>,
        place: Place<'_>,
        prepared: &mut Option<Prepared>,
    ) -> NodeResult<Option<usize>> {
        let tails = self.tree.tree.tails();
        let inline_limit = inline_key_limit(self.leaf.len());
        loop {
            let node = Node::parse_leaf(self.leaf)?;
            let (index, older) = node.find(place, &tails)?;
            if older && node.leaf_cell(index)?.lsn == self.lsn {
                // Applied before: the log is being replayed.
                if let Some(prepared) = prepared.take() {
                    self.tree.release(prepared, self.freed);
                }
                return Ok(None);
            }
            let tail = prepared.and_then(|p| p.tail).map(|chain| Tail {
                total: entry.key.len(),
                page: chain.page,
            });
            let value = match (entry.value, prepared.and_then(|p| p.value)) {
                (None, _) => CellValue::Tombstone,
                (Some(_), Some(chain)) => CellValue::Overflow {
                    len: chain.len,
                    page: chain.page,
                },
                (Some(value), None) => CellValue::Inline(value),
            };
            let inline = entry.key.get(..inline_limit).unwrap_or(entry.key);
            let new = LeafEntry {
                inline,
                tail,
                lsn: self.lsn,
                value,
            };
            // The lowest watermark at which this version, or the one it is put before, goes.
            let mut prunable = node.header.extra;
            if older || value == CellValue::Tombstone {
                prunable = prunable.min(self.lsn.0);
            }
            if let Some(newer) = self.newer_version(&node, index, place)? {
                prunable = prunable.min(newer.0);
            }
            let (old_prunable, prefix_len) = (node.header.extra, node.header.prefix_len);
            if !build::insert_leaf(self.leaf, index, &new)? {
                // What the last commits have replaced may be all that spares a split.
                let watermark = self.watermark.exactly();
                let freed = prune::prune_leaf(self.leaf, watermark, &tails, self.freed)?;
                if freed {
                    self.pruned = true;
                    continue;
                }
                return Ok(Some(new.size(prefix_len)));
            }
            *prepared = None;
            self.buried |= value == CellValue::Tombstone;
            if prunable != old_prunable {
                build::set_prune_lsn(self.leaf, prunable)?;
            }
            let watermark = self.watermark.lately();
            if older && prunable <= watermark.0 {
                self.pruned |= prune::prune_key(self.leaf, place, watermark, &tails, self.freed)?;
            }
            return Ok(None);
        }
    }

    /// The LSN of the version just before slot `index`, where it is of the same key.
    fn newer_version(
        &self,
        node: &Node<'_>,
        index: usize,
        place: Place<'_>,
    ) -> NodeResult<Option<Lsn>> {
        let Some(before) = index.checked_sub(1) else {
            return Ok(None);
        };
        let probe = super::cell::ProbeKey::new(
            place.key,
            node.header.prefix_len,
            inline_key_limit(node.page().len()),
        );
        if node.head(before) != Some(probe.head.to_be_bytes()) {
            return Ok(None);
        }
        let cell = node.leaf_cell(before)?;
        let same = cell.key.compare(&probe, &self.tree.tree.tails())?.is_eq();
        Ok(same.then_some(cell.lsn))
    }

    /// Tidies the leaf before it is let go; answers whether it should be merged.
    fn settle(&mut self) -> NodeResult<bool> {
        if self.buried {
            let tails = self.tree.tree.tails();
            let watermark = self.watermark.lately();
            self.pruned |= prune::prune_leaf(self.leaf, watermark, &tails, self.freed)?;
        }
        Ok(self.pruned && super::merge::is_underfull(&Node::parse_leaf(self.leaf)?))
    }
}
