//! Window function calls.

use super::{AggregateCall, Expr};
use crate::types::DataType;

/// The functions that only make sense over a window. All aggregates do too.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WindowFunction {
    /// Number of the row in its partition, from 1.
    RowNumber,
    /// Number of the first peer.
    Rank,
    /// Number of the peer group.
    DenseRank,
    /// `(rank - 1) / (rows - 1)`.
    PercentRank,
    /// Part of the partition's rows that are not behind the row's peers.
    CumeDist,
    /// Number of the bucket, of as many as the argument says.
    Ntile,
    /// The first argument's value so many rows (second argument) before; the third where there
    /// is no such row.
    Lag,
    /// As [`WindowFunction::Lag`], after.
    Lead,
    /// The argument's value in the frame's first row.
    FirstValue,
    /// The argument's value in the frame's last row.
    LastValue,
    /// The first argument's value in the frame's row of that number (second argument).
    NthValue,
    /// An aggregate over the frame. Its arguments are the call's.
    Aggregate(Box<AggregateCall>),
}

/// One call of a window function.
#[derive(Clone, Debug)]
pub struct WindowCall {
    /// Which.
    pub function: WindowFunction,
    /// Its arguments.
    pub arguments: Vec<Expr>,
    /// `FILTER (WHERE …)` of an aggregate.
    pub filter: Option<Expr>,
    /// Which rows count.
    pub frame: WindowFrame,
    /// The type of its value.
    pub data_type: DataType,
}

/// A frame.
#[derive(Clone, Debug)]
pub struct WindowFrame {
    /// Where it starts.
    pub start: FrameBound,
    /// Where it ends.
    pub end: FrameBound,
    /// Which rows of it do not count.
    pub exclusion: FrameExclusion,
}

/// An end of a frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FrameBound {
    /// At the partition's end: the start of a start, the end of an end.
    Unbounded,
    /// At the current row.
    Row,
    /// So many rows (int8, without columns) before it, or after it.
    Rows {
        /// How many.
        offset: Box<Expr>,
        /// After it.
        following: bool,
    },
    /// At the first or last peer of the current row.
    Peers,
    /// So many groups of peers (int8, without columns) before its own, or after it.
    Groups {
        /// How many.
        offset: Box<Expr>,
        /// After it.
        following: bool,
    },
    /// At the first or last row whose `key` is not beyond the current row's `target`. Where the
    /// current row's key is NULL: at its peers.
    Range {
        /// The distance, which must not be negative or NULL.
        offset: Box<Expr>,
        /// What a row is found by.
        key: Box<Expr>,
        /// Of the current row: `key` ± offset, of the same type.
        target: Box<Expr>,
        /// Keys descend.
        descending: bool,
    },
}

/// Rows of a frame that do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameExclusion {
    /// None.
    None,
    /// The current row.
    CurrentRow,
    /// The current row and its peers.
    Group,
    /// Its peers, not itself.
    Ties,
}

impl WindowCall {
    /// Every expression of the call.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let mut exprs: Vec<&mut Expr> = self.arguments.iter_mut().chain(&mut self.filter).collect();
        for bound in [&mut self.frame.start, &mut self.frame.end] {
            match bound {
                FrameBound::Unbounded | FrameBound::Row | FrameBound::Peers => {}
                FrameBound::Rows { offset, .. } | FrameBound::Groups { offset, .. } => {
                    exprs.push(offset);
                }
                FrameBound::Range {
                    offset,
                    key,
                    target,
                    ..
                } => exprs.extend([&mut **offset, &mut **key, &mut **target]),
            }
        }
        exprs
    }
}
