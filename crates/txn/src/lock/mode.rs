//! Lock modes, and the one place that says which conflict.
//!
//! Tables are locked in the hierarchical modes of Gray and Reuter ("Transaction Processing",
//! 1992, section 7.8), rows in share, update and exclusive mode. On rows, the two modes of
//! intention say that what hangs on the row's key is concerned, not the row: KEY SHARE is IS, NO
//! KEY UPDATE is SIX, and among rows they conflict as PostgreSQL's row locks do (its chapter
//! 13.3.2):
//!
//! ```text
//!          IS   IX   S    U    SIX  X
//!   IS     ·    ·    ·    ·    ·    conflict
//!   IX     ·    ·    conflict ……………………
//!   S      ·    c    ·    ·    c    c
//!   U      ·    c    ·    c    c    c
//!   SIX    ·    c    c    c    c    c
//!   X      c    c    c    c    c    c
//! ```

/// How strongly a row is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// The row and its key shall stay (`FOR KEY SHARE`): only [`LockMode::Exclusive`] is in
    /// its way. What a reference to the row needs.
    KeyShare,
    /// The row shall not change (`FOR SHARE`). Any number of holders, and one of
    /// [`LockMode::Update`] beside them.
    Share,
    /// The row is being changed, but not its key (`FOR NO KEY UPDATE`). One holder, with any
    /// number of [`LockMode::KeyShare`] beside. Enough to write the row.
    NoKeyUpdate,
    /// The row is about to be changed: one holder, readers in [`LockMode::Share`] may stay.
    /// Two transactions that both read and then write a row cannot deadlock over it.
    Update,
    /// The row is being changed, or nobody else shall lock it (`FOR UPDATE`). One holder.
    Exclusive,
}

/// How strongly a table is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableLockMode {
    /// Some rows are locked in share mode.
    IntentionShared,
    /// Some rows are locked in update or exclusive mode.
    IntentionExclusive,
    /// No row shall change.
    Shared,
    /// No row shall change but by the holder, who locks those rows exclusively.
    SharedIntentionExclusive,
    /// Nobody else locks the table or a row of it.
    Exclusive,
}

/// Any mode of any lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Intention shared.
    IntentionShared,
    /// Intention exclusive.
    IntentionExclusive,
    /// Share.
    Shared,
    /// Update.
    Update,
    /// Shared and intention exclusive.
    SharedIntentionExclusive,
    /// Exclusive.
    Exclusive,
}

use Mode::{
    Exclusive, IntentionExclusive, IntentionShared, Shared, SharedIntentionExclusive, Update,
};

/// Every mode, weakest first: no mode covers a later one.
const ALL: [Mode; 6] = [
    IntentionShared,
    IntentionExclusive,
    Shared,
    Update,
    SharedIntentionExclusive,
    Exclusive,
];

/// A set of modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModeSet(u8);

impl ModeSet {
    pub(crate) const EMPTY: ModeSet = ModeSet(0);

    pub(crate) const fn with(self, mode: Mode) -> ModeSet {
        ModeSet(self.0 | 1 << mode as u8)
    }

    pub(crate) const fn contains(self, mode: Mode) -> bool {
        self.0 & (1 << mode as u8) != 0
    }

    const fn union(self, other: ModeSet) -> ModeSet {
        ModeSet(self.0 | other.0)
    }

    const fn covers(self, other: ModeSet) -> bool {
        self.0 & other.0 == other.0
    }

    const fn intersects(self, other: ModeSet) -> bool {
        self.0 & other.0 != 0
    }
}

impl Mode {
    /// The conflict matrix: the modes that another transaction may not hold beside this one.
    const fn conflicts(self) -> ModeSet {
        let none = ModeSet::EMPTY;
        match self {
            IntentionShared => none.with(Exclusive),
            IntentionExclusive => none
                .with(Shared)
                .with(Update)
                .with(SharedIntentionExclusive)
                .with(Exclusive),
            Shared => none
                .with(IntentionExclusive)
                .with(SharedIntentionExclusive)
                .with(Exclusive),
            Update => none
                .with(IntentionExclusive)
                .with(Update)
                .with(SharedIntentionExclusive)
                .with(Exclusive),
            SharedIntentionExclusive => IntentionExclusive.conflicts().union(Shared.conflicts()),
            Exclusive => SharedIntentionExclusive.conflicts().with(IntentionShared),
        }
    }

    /// Whether two transactions may not hold these modes at once.
    pub(crate) const fn conflicts_with(self, other: Mode) -> bool {
        self.conflicts().contains(other)
    }

    /// Whether this mode conflicts with any of `held`.
    pub(crate) const fn conflicts_with_any(self, held: ModeSet) -> bool {
        self.conflicts().intersects(held)
    }

    /// Whether holding this mode makes asking for `other` unnecessary.
    pub(crate) const fn covers(self, other: Mode) -> bool {
        self.conflicts().covers(other.conflicts())
    }

    /// The weakest mode that covers both: what a holder of one needs who asks for the other.
    pub(crate) fn join(self, other: Mode) -> Mode {
        let wanted = self.conflicts().union(other.conflicts());
        ALL.into_iter()
            .find(|mode| mode.conflicts().covers(wanted))
            .unwrap_or(Exclusive)
    }

    /// The table lock that a row lock of this mode announces itself with.
    pub(crate) const fn intention(self) -> Mode {
        match self {
            IntentionShared | Shared => IntentionShared,
            IntentionExclusive | Update | SharedIntentionExclusive | Exclusive => {
                IntentionExclusive
            }
        }
    }

    /// Whether a table lock of this mode makes row locks of mode `row` unnecessary.
    pub(crate) const fn covers_rows(self, row: Mode) -> bool {
        match self {
            Exclusive => true,
            Shared | SharedIntentionExclusive => matches!(row, Shared | IntentionShared),
            IntentionShared | IntentionExclusive | Update => false,
        }
    }
}

impl From<LockMode> for Mode {
    fn from(mode: LockMode) -> Mode {
        match mode {
            LockMode::KeyShare => IntentionShared,
            LockMode::Share => Shared,
            LockMode::NoKeyUpdate => SharedIntentionExclusive,
            LockMode::Update => Update,
            LockMode::Exclusive => Exclusive,
        }
    }
}

impl From<TableLockMode> for Mode {
    fn from(mode: TableLockMode) -> Mode {
        match mode {
            TableLockMode::IntentionShared => IntentionShared,
            TableLockMode::IntentionExclusive => IntentionExclusive,
            TableLockMode::Shared => Shared,
            TableLockMode::SharedIntentionExclusive => SharedIntentionExclusive,
            TableLockMode::Exclusive => Exclusive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line per mode, in the order of [`ALL`]; `c` conflicts.
    const MATRIX: [&str; 6] = [".....c", "..cccc", ".c..cc", ".c.ccc", ".ccccc", "cccccc"];

    #[test]
    fn the_matrix_is_the_published_one_and_symmetric() {
        for (row, line) in ALL.into_iter().zip(MATRIX) {
            for (column, cell) in ALL.into_iter().zip(line.chars()) {
                assert_eq!(
                    row.conflicts_with(column),
                    cell == 'c',
                    "{row:?} {column:?}"
                );
                assert_eq!(
                    row.conflicts_with(column),
                    column.conflicts_with(row),
                    "{row:?} {column:?}"
                );
            }
        }
    }

    /// PostgreSQL 15, table 13.3.
    #[test]
    fn row_modes_conflict_as_those_of_postgresql() {
        use LockMode::{Exclusive, KeyShare, NoKeyUpdate, Share};
        let modes = [KeyShare, Share, NoKeyUpdate, Exclusive].map(Mode::from);
        for (row, line) in modes.into_iter().zip(["...c", "..cc", ".ccc", "cccc"]) {
            for (column, cell) in modes.into_iter().zip(line.chars()) {
                assert_eq!(
                    row.conflicts_with(column),
                    cell == 'c',
                    "{row:?} {column:?}"
                );
            }
        }
    }

    #[test]
    fn join_is_the_least_cover() {
        for a in ALL {
            for b in ALL {
                let join = a.join(b);
                assert!(join.covers(a) && join.covers(b), "{a:?} {b:?}");
                assert_eq!(join, b.join(a));
                for other in ALL {
                    if other.covers(a) && other.covers(b) {
                        assert!(other.covers(join), "{a:?} {b:?} {other:?} below {join:?}");
                    }
                }
            }
        }
        assert_eq!(Shared.join(IntentionExclusive), SharedIntentionExclusive);
        assert_eq!(Shared.join(Update), Update);
    }
}
