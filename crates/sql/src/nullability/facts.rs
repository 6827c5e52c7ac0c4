//! What is known of the rows that a plan gives.

use crate::bound::{ColumnId, ColumnIds};

/// What holds of every row that a plan gives.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Columns that are never NULL.
    known: ColumnIds,
    /// What one more column that is not NULL would tell.
    vouchers: Vec<Voucher>,
    /// Of two sets of columns, all of one are not NULL: the sides of a FULL JOIN.
    either: Vec<(ColumnIds, ColumnIds)>,
}

/// Where any of the witnesses is not NULL, none of the implied columns is.
#[derive(Clone, Debug)]
struct Voucher {
    witnesses: ColumnIds,
    implied: ColumnIds,
}

impl Facts {
    pub(super) fn is_known(&self, column: ColumnId) -> bool {
        self.known.contains(&column)
    }

    /// The columns that are never NULL.
    pub(super) fn known(&self) -> &ColumnIds {
        &self.known
    }

    /// Adds columns that are never NULL, and whatever follows.
    pub(super) fn learn(&mut self, columns: impl IntoIterator<Item = ColumnId>) {
        let mut new: Vec<ColumnId> = columns.into_iter().collect();
        while let Some(column) = new.pop() {
            if !self.known.insert(column) {
                continue;
            }
            for voucher in &self.vouchers {
                if voucher.witnesses.contains(&column) {
                    new.extend(voucher.implied.difference(&self.known));
                }
            }
        }
    }

    /// As these facts with more columns known.
    pub(super) fn with(&self, columns: impl IntoIterator<Item = ColumnId>) -> Facts {
        let mut facts = self.clone();
        facts.learn(columns);
        facts
    }

    /// Adds that any of `witnesses` vouches for all of `implied`.
    pub(super) fn vouch(&mut self, witnesses: ColumnIds, implied: ColumnIds) {
        if witnesses.iter().any(|column| self.known.contains(column)) {
            self.learn(implied);
        } else if !witnesses.is_empty() && !implied.is_empty() {
            self.vouchers.push(Voucher { witnesses, implied });
        }
    }

    /// Adds that of one of the two sets no column is NULL.
    pub(super) fn one_of(&mut self, left: ColumnIds, right: ColumnIds) {
        self.either.push((left, right));
    }

    /// The worlds of which one is the case; at least one.
    pub(super) fn worlds(&self) -> impl Iterator<Item = (Facts, Facts)> {
        self.either.iter().map(|(left, right)| {
            (
                self.with(left.iter().copied()),
                self.with(right.iter().copied()),
            )
        })
    }

    /// Adds everything that `other` knows.
    pub(super) fn merge(&mut self, other: Facts) {
        let Facts {
            known,
            vouchers,
            either,
        } = other;
        self.keep_conditions(vouchers, either);
        self.learn(known);
    }

    /// Adds what `other` knows of rows that may be missing: only what follows from a column
    /// that is there.
    pub(super) fn merge_optional(&mut self, other: Facts) {
        self.keep_conditions(other.vouchers, Vec::new());
    }

    fn keep_conditions(&mut self, vouchers: Vec<Voucher>, either: Vec<(ColumnIds, ColumnIds)>) {
        for voucher in vouchers {
            self.vouch(voucher.witnesses, voucher.implied);
        }
        self.either.extend(either);
    }
}
