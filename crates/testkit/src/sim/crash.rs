//! What a crash leaves behind.
//!
//! A process crash keeps the page cache: everything written is there, nothing more of it is
//! durable than before. A power failure keeps what was synced, and of the rest what the
//! [`CrashPolicy`] says. The limits of the fault model:
//!
//! - Synced bytes and names survive whole. A write that was in flight damages neither the bytes
//!   next to it nor those that it writes as they were (the "power-safe overwrite" that disk
//!   makers promise, and what a sector written whole or not at all amounts to).
//! - Writes that touch one sector reach it in order, as in a page cache: the sector holds some
//!   prefix of them. Different sectors, files and names are independent of one another, except
//!   under the policies that keep a global order.
//! - The length of a file may be older or newer than its data; a hole reads as zeros.
//! - One change of a name is atomic, changes that share a name reach the directory in order,
//!   changes of different names in any.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{
    content::Content,
    directory::{DirectoryNode, Entries},
    disk::{Disk, Node, NodeId, ROOT},
    file::{Change, FileNode, apply},
};

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CrashKind {
    /// The process: handles and locks are gone, the page cache stays.
    Process,
    /// The machine: only what is durable stays, and what the policy grants.
    Power,
}

/// What a power failure does to changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CrashPolicy {
    /// Nothing of them is kept.
    DropAll,
    /// All of them are kept.
    KeepAll,
    /// Each sector holds a random prefix of the writes to it; lengths and names likewise.
    Subset,
    /// Whole writes are kept or lost, in any order: a later one may be there without an
    /// earlier one.
    Reorder,
    /// All changes up to a random one are kept, that one is torn at sector boundaries, the
    /// later ones are lost.
    Tear,
    /// As [`CrashPolicy::Tear`], with zeros where the torn write did not arrive, and the length
    /// as if it had.
    Zeroed,
    /// As [`CrashPolicy::Tear`], with random bytes where the torn write did not arrive.
    Garbage,
    /// All data is kept; created, renamed and removed names are lost at random.
    LoseNames,
    /// All names are kept; all data is lost, so that new files are empty.
    LoseData,
}

impl CrashPolicy {
    /// Every policy.
    pub const ALL: [CrashPolicy; 9] = [
        CrashPolicy::DropAll,
        CrashPolicy::KeepAll,
        CrashPolicy::Subset,
        CrashPolicy::Reorder,
        CrashPolicy::Tear,
        CrashPolicy::Zeroed,
        CrashPolicy::Garbage,
        CrashPolicy::LoseNames,
        CrashPolicy::LoseData,
    ];
}

/// One crash, fully determined: the same disk and the same crash give the same image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crash {
    /// What dies.
    pub kind: CrashKind,
    /// What happens to unsynced changes. Without effect on a process crash.
    pub policy: CrashPolicy,
    /// Bytes that reach the medium together: 512 or 4096.
    pub sector: u32,
    /// Seed of the random choices.
    pub seed: u64,
}

impl Crash {
    /// The process is killed.
    #[must_use]
    pub fn process() -> Crash {
        Crash {
            kind: CrashKind::Process,
            policy: CrashPolicy::KeepAll,
            sector: 512,
            seed: 0,
        }
    }

    /// The power fails; sectors have 512 bytes.
    #[must_use]
    pub fn power(policy: CrashPolicy, seed: u64) -> Crash {
        Crash {
            kind: CrashKind::Power,
            policy,
            sector: 512,
            seed,
        }
    }

    /// The same with another sector size.
    ///
    /// # Panics
    /// Where `bytes` is zero.
    #[must_use]
    pub fn with_sector(self, bytes: u32) -> Crash {
        assert!(bytes > 0, "a sector holds at least a byte");
        Crash {
            sector: bytes,
            ..self
        }
    }
}

/// The last operation that the policies with a global order keep, and how it is torn.
#[derive(Clone, Copy)]
struct Cut {
    sequence: u64,
    /// Whether the torn write's length counts as arrived.
    keep_length: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Lost,
    Kept,
    Zeroed,
    Garbage,
}

impl Disk {
    /// The disk after a crash.
    pub(crate) fn crash(&self, crash: &Crash) -> Disk {
        match crash.kind {
            CrashKind::Process => self.clone(),
            CrashKind::Power => self.power_failure(crash),
        }
    }

    fn power_failure(&self, crash: &Crash) -> Disk {
        let mut rng = fastrand::Rng::with_seed(crash.seed ^ 0x5eed_c4a5_4ed0_d15c);
        let cut = match crash.policy {
            CrashPolicy::Tear | CrashPolicy::Zeroed | CrashPolicy::Garbage => {
                Some(self.choose_cut(crash.policy, &mut rng))
            }
            _ => None,
        };
        let mut survivor = Disk {
            nodes: BTreeMap::new(),
            next: self.next,
        };
        let mut open = vec![ROOT];
        while let Some(id) = open.pop() {
            let node = match self.nodes.get(&id) {
                Some(Node::File(file))
                    if file.pending.is_empty()
                        && !file.diverged
                        && file.reserved <= file.durable.len() =>
                {
                    Node::File(file.clone())
                }
                Some(Node::File(file)) => {
                    let content = settle_file(file, crash, cut, &mut rng);
                    Node::File(Arc::new(FileNode::settled(content, file.reserved)))
                }
                Some(Node::Directory(directory)) => {
                    let entries = settle_names(directory, crash, cut);
                    open.extend(
                        entries
                            .values()
                            .filter(|child| !survivor.nodes.contains_key(child)),
                    );
                    Node::Directory(Arc::new(DirectoryNode::settled(entries)))
                }
                None => continue,
            };
            survivor.nodes.insert(id, node);
        }
        survivor
    }

    /// Picks the change at which the machine stopped: any pending one, often one of the last.
    fn choose_cut(&self, policy: CrashPolicy, rng: &mut fastrand::Rng) -> Cut {
        let mut sequences: Vec<u64> = Vec::new();
        for node in self.nodes.values() {
            match node {
                Node::File(file) => {
                    sequences.extend(file.pending.iter().map(|pending| pending.sequence))
                }
                Node::Directory(directory) => {
                    sequences.extend(directory.pending.iter().map(|pending| pending.sequence))
                }
            }
        }
        sequences.sort_unstable();
        let count = sequences.len();
        let index = if rng.bool() {
            rng.usize(..count.max(1))
        } else {
            count.saturating_sub(1 + rng.usize(..4))
        };
        Cut {
            sequence: sequences.get(index).copied().unwrap_or(0),
            keep_length: policy == CrashPolicy::Zeroed || rng.bool(),
        }
    }
}

fn settle_file(
    file: &FileNode,
    crash: &Crash,
    cut: Option<Cut>,
    rng: &mut fastrand::Rng,
) -> Content {
    match crash.policy {
        CrashPolicy::DropAll | CrashPolicy::LoseData => file.durable.clone(),
        CrashPolicy::KeepAll | CrashPolicy::LoseNames => {
            let mut content = file.durable.clone();
            file.pending
                .iter()
                .for_each(|pending| apply(&mut content, &pending.change));
            content
        }
        CrashPolicy::Subset | CrashPolicy::Reorder => settle_sectors(file, crash, rng),
        CrashPolicy::Tear | CrashPolicy::Zeroed | CrashPolicy::Garbage => match cut {
            Some(cut) => settle_torn(file, crash, cut, rng),
            None => file.durable.clone(),
        },
    }
}

/// The parts of a write, each within one sector: (sector, start, end) with positions in the file.
fn fragments(offset: u64, len: usize, sector: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    let end = offset + len as u64;
    (offset / sector..end.div_ceil(sector)).map(move |index| {
        (
            index,
            offset.max(index * sector),
            end.min((index + 1) * sector),
        )
    })
}

/// A number of kept changes out of `count`: none, all or something between, a third each.
fn prefix_of(count: usize, rng: &mut fastrand::Rng) -> usize {
    match rng.u8(..3) {
        0 => 0,
        1 => count,
        _ => rng.usize(..=count),
    }
}

fn settle_sectors(file: &FileNode, crash: &Crash, rng: &mut fastrand::Rng) -> Content {
    let sector = u64::from(crash.sector);
    // How many of the writes to each sector arrived.
    let mut arrived: BTreeMap<u64, usize> = BTreeMap::new();
    let mut touched: BTreeMap<u64, usize> = BTreeMap::new();
    for pending in &file.pending {
        let Change::Write { offset, data } = &pending.change else {
            continue;
        };
        let kept = rng.bool();
        for (index, ..) in fragments(*offset, data.len(), sector) {
            let count = touched.entry(index).or_default();
            *count += 1;
            if kept {
                arrived.insert(index, *count);
            }
        }
    }
    if crash.policy == CrashPolicy::Subset {
        arrived = touched
            .iter()
            .map(|(index, count)| (*index, prefix_of(*count, rng)))
            .collect();
    }
    let length = settle_length(file, rng);
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    let mut content = file.durable.clone();
    for (position, pending) in file.pending.iter().enumerate() {
        match &pending.change {
            Change::Write { offset, data } => {
                for (index, start, end) in fragments(*offset, data.len(), sector) {
                    let count = seen.entry(index).or_default();
                    *count += 1;
                    if *count <= arrived.get(&index).copied().unwrap_or(0) {
                        content.write(
                            start,
                            &data[(start - offset) as usize..(end - offset) as usize],
                        );
                    }
                }
            }
            Change::Shrink { .. } if position < length.changes => {
                apply(&mut content, &pending.change)
            }
            Change::Shrink { .. } | Change::Grow { .. } => {}
        }
    }
    content.set_len(length.len);
    content
}

struct SettledLength {
    /// How many of the file's pending changes the length has seen.
    changes: usize,
    len: u64,
}

/// The length after some prefix of the changes to it.
fn settle_length(file: &FileNode, rng: &mut fastrand::Rng) -> SettledLength {
    let changes = prefix_of(file.pending.len(), rng);
    let len = file.pending[..changes]
        .iter()
        .fold(file.durable.len(), |len, pending| {
            next_len(len, &pending.change)
        });
    SettledLength { changes, len }
}

fn next_len(len: u64, change: &Change) -> u64 {
    match change {
        Change::Write { offset, data } => len.max(offset + data.len() as u64),
        Change::Grow { len: to } => len.max(*to),
        Change::Shrink { len: to } => len.min(*to),
    }
}

fn settle_torn(file: &FileNode, crash: &Crash, cut: Cut, rng: &mut fastrand::Rng) -> Content {
    let mut content = file.durable.clone();
    for pending in &file.pending {
        if pending.sequence < cut.sequence {
            apply(&mut content, &pending.change);
            continue;
        }
        if pending.sequence > cut.sequence {
            break;
        }
        let Change::Write { offset, data } = &pending.change else {
            if rng.bool() {
                apply(&mut content, &pending.change);
            }
            continue;
        };
        let missing = match crash.policy {
            CrashPolicy::Zeroed => Fate::Zeroed,
            CrashPolicy::Garbage => Fate::Garbage,
            _ => Fate::Lost,
        };
        let parts: Vec<_> = fragments(*offset, data.len(), u64::from(crash.sector)).collect();
        // The head arrived, or the tail, or any sectors.
        let split = rng.usize(..=parts.len());
        let style = rng.u8(..3);
        for (number, (_, start, end)) in parts.iter().enumerate() {
            let kept = match style {
                0 => number < split,
                1 => number >= split,
                _ => rng.bool(),
            };
            let range = (start - offset) as usize..(end - offset) as usize;
            match if kept { Fate::Kept } else { missing } {
                Fate::Kept => content.write(*start, &data[range]),
                Fate::Zeroed | Fate::Garbage => {
                    // What the write does not change is not damaged by it.
                    let mut bytes = data[range.clone()].to_vec();
                    let mut old = vec![0; bytes.len()];
                    let known = content.read(&mut old, *start);
                    for (position, byte) in bytes.iter_mut().enumerate() {
                        if position >= known || *byte != old[position] {
                            *byte = if missing == Fate::Garbage {
                                rng.u8(..)
                            } else {
                                0
                            };
                        }
                    }
                    content.write(*start, &bytes);
                }
                Fate::Lost => {}
            }
        }
        if cut.keep_length {
            content.set_len(next_len(content.len(), &pending.change));
        }
    }
    content
}

fn settle_names(directory: &DirectoryNode, crash: &Crash, cut: Option<Cut>) -> Entries {
    let mut entries = directory.durable.clone();
    // Changes that lost one name lose every later change of it too.
    let mut lost = HashSet::new();
    for pending in &directory.pending {
        let wanted = match crash.policy {
            CrashPolicy::DropAll => false,
            CrashPolicy::KeepAll | CrashPolicy::LoseData => true,
            // Decided by the operation alone, so that the two halves of a move agree.
            CrashPolicy::Subset | CrashPolicy::Reorder | CrashPolicy::LoseNames => {
                fastrand::Rng::with_seed(
                    crash.seed ^ pending.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                )
                .bool()
            }
            CrashPolicy::Tear | CrashPolicy::Zeroed | CrashPolicy::Garbage => {
                cut.is_some_and(|cut| {
                    pending.sequence < cut.sequence
                        || (pending.sequence == cut.sequence && cut.keep_length)
                })
            }
        };
        if wanted && !pending.change.names().any(|name| lost.contains(name)) {
            pending.change.apply(&mut entries);
        } else {
            lost.extend(pending.change.names().cloned());
        }
    }
    entries
}

/// Whether two disks hold the same durable files and names.
pub(crate) fn same_medium(a: &Disk, b: &Disk) -> bool {
    fn same(a: &Disk, b: &Disk, at: (NodeId, NodeId)) -> bool {
        match (a.nodes.get(&at.0), b.nodes.get(&at.1)) {
            (Some(Node::File(x)), Some(Node::File(y))) => {
                Arc::ptr_eq(x, y) || x.durable == y.durable
            }
            (Some(Node::Directory(x)), Some(Node::Directory(y))) => {
                x.durable.len() == y.durable.len()
                    && x.durable
                        .iter()
                        .zip(&y.durable)
                        .all(|((p, i), (q, j))| p == q && same(a, b, (*i, *j)))
            }
            (None, None) => true,
            _ => false,
        }
    }
    same(a, b, (ROOT, ROOT))
}
