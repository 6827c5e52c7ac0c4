//! Windows: `OVER (PARTITION BY … ORDER BY … frame)`.

use super::{Expr, Ident, OrderItem};
use crate::span::Span;

/// What stands after OVER.
#[derive(Clone, Debug)]
pub enum Over {
    /// A window of the WINDOW clause.
    Name(Ident),
    /// A window defined here.
    Window(Box<WindowDefinition>),
}

/// A window.
#[derive(Clone, Debug)]
pub struct WindowDefinition {
    /// The window of the WINDOW clause that it goes on from.
    pub base: Option<Ident>,
    /// PARTITION BY.
    pub partition_by: Vec<Expr>,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// The frame, where one is given.
    pub frame: Option<Frame>,
    /// Where.
    pub span: Span,
}

/// Which rows around the current one count.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What its bounds count.
    pub unit: FrameUnit,
    /// Where it starts.
    pub start: FrameBound,
    /// Where it ends; without BETWEEN at the current row.
    pub end: Option<FrameBound>,
    /// EXCLUDE.
    pub exclusion: FrameExclusion,
    /// Where.
    pub span: Span,
}

/// What the bounds of a frame count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum FrameUnit {
    Rows,
    Range,
    Groups,
}

/// An end of a frame.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

/// Rows of the frame that do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameExclusion {
    /// EXCLUDE NO OTHERS.
    None,
    /// EXCLUDE CURRENT ROW.
    CurrentRow,
    /// EXCLUDE GROUP: the row and its peers.
    Group,
    /// EXCLUDE TIES: its peers, not itself.
    Ties,
}
