//! The lookup join: for every left row, the rows of a table by key.

use std::sync::Arc;

use crate::{
    Result, Value,
    bound::JoinKind,
    executor::{ExecContext, Operator, RowBuffer, Scan, more_than_one_row, passes},
    planner::physical::{PlannedExpr, ScanNode},
};

/// Joins by reading the right rows through the table's key or an index of it.
pub(crate) struct LookupJoin {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right: Arc<ScanNode>,
    on: Arc<[PlannedExpr]>,
    /// The left row, then the right row it is being joined with.
    pair: RowBuffer,
    left_width: usize,
    found_row: RowBuffer,
    scan: Option<Scan>,
    found: bool,
}

impl LookupJoin {
    /// Joins `left` with the rows of `right`.
    pub(crate) fn new(
        kind: JoinKind,
        left: Box<dyn Operator>,
        right: Arc<ScanNode>,
        on: Arc<[PlannedExpr]>,
    ) -> LookupJoin {
        LookupJoin {
            kind,
            left,
            right,
            on,
            pair: RowBuffer::new(),
            left_width: 0,
            found_row: RowBuffer::new(),
            scan: None,
            found: false,
        }
    }
}

impl Operator for LookupJoin {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        loop {
            let Some(scan) = &mut self.scan else {
                if !self.left.next(context, &mut self.pair)? {
                    return Ok(false);
                }
                context.check()?;
                self.left_width = self.pair.len();
                self.scan = Some(Scan::open(&self.right, &self.pair, context)?);
                self.found = false;
                continue;
            };
            let more = scan.next(context, &mut self.found_row)?;
            self.pair.truncate(self.left_width);
            if more {
                self.pair.append(&mut self.found_row);
                if !passes(&self.on, &self.pair, context)? {
                    continue;
                }
                if self.found && self.kind == JoinKind::Single {
                    return Err(more_than_one_row());
                }
                self.found = true;
                match self.kind {
                    JoinKind::Exists(_) => {
                        self.pair.truncate(self.left_width);
                        self.pair.push(Value::Boolean(true));
                        self.scan = None;
                        std::mem::swap(row, &mut self.pair);
                        return Ok(true);
                    }
                    JoinKind::Semi => {
                        self.pair.truncate(self.left_width);
                        self.scan = None;
                        std::mem::swap(row, &mut self.pair);
                        return Ok(true);
                    }
                    JoinKind::Anti => {
                        self.scan = None;
                        continue;
                    }
                    // Given once it is clear that there is no second one.
                    JoinKind::Single => {
                        row.clone_from(&self.pair);
                        continue;
                    }
                    _ => {
                        row.clone_from(&self.pair);
                        return Ok(true);
                    }
                }
            }
            self.scan = None;
            if self.found {
                if self.kind == JoinKind::Single {
                    return Ok(true);
                }
                continue;
            }
            match self.kind {
                JoinKind::Exists(_) => self.pair.push(Value::Boolean(false)),
                JoinKind::Left | JoinKind::Single => self
                    .pair
                    .resize(self.left_width + self.right.width(), Value::Null),
                JoinKind::Anti => {}
                _ => continue,
            }
            std::mem::swap(row, &mut self.pair);
            return Ok(true);
        }
    }
}
