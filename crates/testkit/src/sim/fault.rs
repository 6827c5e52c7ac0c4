//! Faults to inject: which, when, where, and how often they struck.

use std::{collections::BTreeMap, path::Path};

/// A fault of the disk, the system or the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Whatever the operation is, it fails with an input/output error. Counted as the specific
    /// fault that fits.
    IoError,
    /// A read fails.
    ReadError,
    /// A write, length change or reservation fails without effect.
    WriteError,
    /// A sync fails; what was pending stays pending.
    SyncError,
    /// A sync fails and the pages count as clean: a later sync succeeds without writing them.
    SyncErrorThenClean,
    /// Syncing a directory fails.
    DirectorySyncError,
    /// Opening, listing, creating, renaming, removing or locking fails. A failed rename or
    /// removal happened nevertheless half of the time.
    MetadataError,
    /// There is no space left.
    NoSpace,
    /// A read gives less than asked for.
    ShortRead,
    /// A write takes less than offered.
    ShortWrite,
    /// A read or write is interrupted before it did anything.
    Interrupted,
    /// A write fails after some of its sectors were written.
    TornWrite,
    /// A sector reads as zeros, now and later.
    ZeroedSector,
    /// A bit flips: in what is read (this once) or in what is written (for good).
    BitFlip,
    /// A read gives another sector's bytes.
    MisdirectedRead,
    /// A write lands on another sector of the file.
    MisdirectedWrite,
    /// A write is reported done and never happens.
    LostWrite,
    /// A read gives what the medium held before the last sync.
    StaleRead,
    /// The file loses its end.
    Truncation,
    /// The file gains random bytes at its end.
    GarbageExtension,
    /// A rename happens, but no sync makes it durable.
    RenameLoss,
    /// A removal happens, but no sync makes it durable.
    UnlinkLoss,
    /// The operation takes up to a minute.
    Hang,
    /// The wall clock jumps by up to a day, forward or back.
    ClockJump,
    /// The process dies before the operation; every later one fails.
    Kill,
}

impl Fault {
    /// Every fault but the generic [`Fault::IoError`].
    pub const ALL: [Fault; 24] = [
        Fault::ReadError,
        Fault::WriteError,
        Fault::SyncError,
        Fault::SyncErrorThenClean,
        Fault::DirectorySyncError,
        Fault::MetadataError,
        Fault::NoSpace,
        Fault::ShortRead,
        Fault::ShortWrite,
        Fault::Interrupted,
        Fault::TornWrite,
        Fault::ZeroedSector,
        Fault::BitFlip,
        Fault::MisdirectedRead,
        Fault::MisdirectedWrite,
        Fault::LostWrite,
        Fault::StaleRead,
        Fault::Truncation,
        Fault::GarbageExtension,
        Fault::RenameLoss,
        Fault::UnlinkLoss,
        Fault::Hang,
        Fault::ClockJump,
        Fault::Kill,
    ];

    /// The fault as it strikes an operation of this kind, or `None` where it cannot.
    pub(crate) fn on(self, operation: OperationKind) -> Option<Fault> {
        use OperationKind as Op;
        let strikes = match self {
            Fault::IoError => {
                return Some(match operation {
                    Op::Read | Op::Len => Fault::ReadError,
                    Op::Write | Op::SetLen | Op::Allocate => Fault::WriteError,
                    Op::SyncData | Op::SyncAll => Fault::SyncError,
                    Op::SyncDirectory => Fault::DirectorySyncError,
                    Op::Open
                    | Op::Create
                    | Op::Exists
                    | Op::ReadDirectory
                    | Op::CreateDirectory
                    | Op::Rename
                    | Op::Remove
                    | Op::Lock => Fault::MetadataError,
                });
            }
            Fault::ReadError => matches!(operation, Op::Read | Op::Len),
            Fault::WriteError => matches!(operation, Op::Write | Op::SetLen | Op::Allocate),
            Fault::SyncError | Fault::SyncErrorThenClean => {
                matches!(operation, Op::SyncData | Op::SyncAll)
            }
            Fault::DirectorySyncError => operation == Op::SyncDirectory,
            Fault::MetadataError => matches!(
                operation,
                Op::Open
                    | Op::Create
                    | Op::Exists
                    | Op::ReadDirectory
                    | Op::CreateDirectory
                    | Op::Rename
                    | Op::Remove
                    | Op::Lock
            ),
            Fault::NoSpace => matches!(
                operation,
                Op::Write | Op::Allocate | Op::Create | Op::CreateDirectory
            ),
            Fault::ShortRead | Fault::ZeroedSector | Fault::MisdirectedRead | Fault::StaleRead => {
                operation == Op::Read
            }
            Fault::ShortWrite | Fault::TornWrite | Fault::MisdirectedWrite | Fault::LostWrite => {
                operation == Op::Write
            }
            Fault::Interrupted | Fault::BitFlip => matches!(operation, Op::Read | Op::Write),
            Fault::Truncation | Fault::GarbageExtension => {
                matches!(operation, Op::Read | Op::Write | Op::Len)
            }
            Fault::RenameLoss => operation == Op::Rename,
            Fault::UnlinkLoss => operation == Op::Remove,
            Fault::Hang | Fault::ClockJump | Fault::Kill => true,
        };
        strikes.then_some(self)
    }
}

/// The kind of a file-system operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// Opening a file that exists.
    Open,
    /// Creating a file.
    Create,
    /// Asking whether a path exists.
    Exists,
    /// Listing a directory.
    ReadDirectory,
    /// Creating directories.
    CreateDirectory,
    /// Renaming.
    Rename,
    /// Removing a file.
    Remove,
    /// Making names durable.
    SyncDirectory,
    /// Locking.
    Lock,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Asking for the length.
    Len,
    /// Changing the length.
    SetLen,
    /// Reserving space.
    Allocate,
    /// Making bytes durable.
    SyncData,
    /// Making bytes and length durable.
    SyncAll,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    At(u64),
    From(u64),
    Chance(f64),
}

#[derive(Clone, Debug)]
struct Rule {
    fault: Fault,
    when: When,
    path_part: Option<String>,
    kind: Option<OperationKind>,
}

/// Which faults strike when. Rules are asked in the order in which they were added; the first
/// that fits an operation strikes it.
///
/// ```
/// use rustling_testkit::sim::{Fault, FaultPlan};
///
/// let plan = FaultPlan::new(7)
///     .at(120, Fault::IoError)
///     .chance(0.01, Fault::ShortWrite).on_path("wal/");
/// ```
#[derive(Clone, Debug)]
pub struct FaultPlan {
    rules: Vec<Rule>,
    rng: fastrand::Rng,
}

impl FaultPlan {
    /// A plan without faults. The seed decides rules of chance and the faults' details.
    #[must_use]
    pub fn new(seed: u64) -> FaultPlan {
        FaultPlan {
            rules: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    fn rule(mut self, when: When, fault: Fault) -> FaultPlan {
        self.rules.push(Rule {
            fault,
            when,
            path_part: None,
            kind: None,
        });
        self
    }

    /// The fault strikes the operation of this index, if it can.
    #[must_use]
    pub fn at(self, index: u64, fault: Fault) -> FaultPlan {
        self.rule(When::At(index), fault)
    }

    /// The fault strikes every operation from this index on that it can strike.
    #[must_use]
    pub fn from(self, index: u64, fault: Fault) -> FaultPlan {
        self.rule(When::From(index), fault)
    }

    /// The fault strikes each operation that it can strike with this probability.
    #[must_use]
    pub fn chance(self, probability: f64, fault: Fault) -> FaultPlan {
        self.rule(When::Chance(probability), fault)
    }

    /// Limits the rule added last to paths that contain `part`.
    #[must_use]
    pub fn on_path(mut self, part: &str) -> FaultPlan {
        if let Some(rule) = self.rules.last_mut() {
            rule.path_part = Some(part.to_owned());
        }
        self
    }

    /// Limits the rule added last to operations of one kind.
    #[must_use]
    pub fn on_kind(mut self, kind: OperationKind) -> FaultPlan {
        if let Some(rule) = self.rules.last_mut() {
            rule.kind = Some(kind);
        }
        self
    }

    pub(crate) fn strike(&mut self, index: u64, kind: OperationKind, path: &Path) -> Option<Fault> {
        let rng = &mut self.rng;
        self.rules.iter().find_map(|rule| {
            let due = match rule.when {
                When::At(at) => at == index,
                When::From(from) => index >= from,
                When::Chance(probability) => rng.f64() < probability,
            };
            let here = rule.kind.is_none_or(|wanted| wanted == kind)
                && rule
                    .path_part
                    .as_deref()
                    .is_none_or(|part| path.to_string_lossy().contains(part));
            if due && here {
                rule.fault.on(kind)
            } else {
                None
            }
        })
    }

    pub(crate) fn rng(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }
}

/// How often each fault struck.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    counts: BTreeMap<Fault, u64>,
}

impl FaultCounts {
    /// How often this fault struck.
    #[must_use]
    pub fn of(&self, fault: Fault) -> u64 {
        self.counts.get(&fault).copied().unwrap_or(0)
    }

    /// How often any fault struck.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &FaultCounts) {
        for (fault, count) in &other.counts {
            *self.counts.entry(*fault).or_default() += count;
        }
    }

    /// The faults that struck, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> {
        self.counts.iter().map(|(fault, count)| (*fault, *count))
    }

    pub(crate) fn count(&mut self, fault: Fault) {
        *self.counts.entry(fault).or_default() += 1;
    }
}
