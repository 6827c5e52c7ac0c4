//! Scans of system relations.

use crate::{
    Result, Value,
    executor::{ExecContext, Operator, RowBuffer, passes},
    planner::physical::SystemScanNode,
};

/// Gives the rows of a system relation, made when it was opened.
pub(crate) struct SystemScan {
    rows: std::vec::IntoIter<RowBuffer>,
}

impl SystemScan {
    /// Makes the rows that the scan's filter lets through.
    pub(crate) fn open(node: &SystemScanNode, context: &ExecContext) -> Result<SystemScan> {
        let view = context.session.system_view()?;
        let key = match &node.key {
            None => None,
            Some(key) => Some(key.compiled.eval(&[], &context.eval())?),
        };
        let mut rows = Vec::new();
        if key.as_ref().is_none_or(|key| !key.is_null()) {
            (node.relation.rows)(&view, key.as_ref(), &mut |mut row: Vec<Value>| {
                context.check()?;
                let wanted = node
                    .ordinals
                    .iter()
                    .map(|ordinal| row.get_mut(*ordinal).map(std::mem::take))
                    .map(Option::unwrap_or_default)
                    .collect::<Vec<Value>>();
                if passes(&node.filter, &wanted, context)? {
                    rows.push(wanted);
                }
                Ok(())
            })?;
        }
        Ok(SystemScan {
            rows: rows.into_iter(),
        })
    }
}

impl Operator for SystemScan {
    fn next(&mut self, _: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        match self.rows.next() {
            Some(next) => {
                *row = next;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}
