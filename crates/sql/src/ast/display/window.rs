//! Windows.

use std::fmt::{self, Display, Formatter};

use super::separated;
use crate::ast::{Frame, FrameBound, FrameExclusion, FrameUnit, Over, WindowDefinition};

impl Display for Over {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Over::Name(name) => write!(f, "{name}"),
            Over::Window(window) => write!(f, "({window})"),
        }
    }
}

impl Display for WindowDefinition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        if let Some(base) = &self.base {
            write!(f, "{base}")?;
            gap = " ";
        }
        if !self.partition_by.is_empty() {
            write!(f, "{gap}PARTITION BY ")?;
            separated(f, &self.partition_by, ", ")?;
            gap = " ";
        }
        if !self.order_by.is_empty() {
            write!(f, "{gap}ORDER BY ")?;
            separated(f, &self.order_by, ", ")?;
            gap = " ";
        }
        if let Some(frame) = &self.frame {
            write!(f, "{gap}{frame}")?;
        }
        Ok(())
    }
}

impl Display for Frame {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.unit {
            FrameUnit::Rows => "ROWS ",
            FrameUnit::Range => "RANGE ",
            FrameUnit::Groups => "GROUPS ",
        })?;
        match &self.end {
            None => write!(f, "{}", self.start)?,
            Some(end) => write!(f, "BETWEEN {} AND {end}", self.start)?,
        }
        f.write_str(match self.exclusion {
            FrameExclusion::None => "",
            FrameExclusion::CurrentRow => " EXCLUDE CURRENT ROW",
            FrameExclusion::Group => " EXCLUDE GROUP",
            FrameExclusion::Ties => " EXCLUDE TIES",
        })
    }
}

impl Display for FrameBound {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            FrameBound::UnboundedPreceding => f.write_str("UNBOUNDED PRECEDING"),
            FrameBound::Preceding(offset) => write!(f, "({offset}) PRECEDING"),
            FrameBound::CurrentRow => f.write_str("CURRENT ROW"),
            FrameBound::Following(offset) => write!(f, "({offset}) FOLLOWING"),
            FrameBound::UnboundedFollowing => f.write_str("UNBOUNDED FOLLOWING"),
        }
    }
}
