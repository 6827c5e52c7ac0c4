//! UNION ALL.

use std::collections::VecDeque;

use crate::{
    Result,
    executor::{ExecContext, Operator, RowBuffer},
};

/// Gives the rows of its inputs, one input after the other.
pub(crate) struct UnionAll {
    inputs: VecDeque<(Box<dyn Operator>, Vec<usize>)>,
    buffer: RowBuffer,
}

impl UnionAll {
    /// The inputs, each with the positions of its columns in the order given.
    pub(crate) fn new(inputs: Vec<(Box<dyn Operator>, Vec<usize>)>) -> UnionAll {
        UnionAll {
            inputs: inputs.into(),
            buffer: RowBuffer::new(),
        }
    }
}

impl Operator for UnionAll {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        while let Some((input, positions)) = self.inputs.front_mut() {
            if input.next(context, &mut self.buffer)? {
                row.clear();
                row.extend(
                    positions
                        .iter()
                        .map(|position| self.buffer[*position].clone()),
                );
                return Ok(true);
            }
            self.inputs.pop_front();
        }
        Ok(false)
    }
}
