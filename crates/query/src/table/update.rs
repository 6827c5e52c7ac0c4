//! UPDATE put together from typed parts.

use std::{fmt, iter};

use rustling_sql::{Result, Value};

use super::{Column, Condition, Field, Runs, Table, select::push_filter};
use crate::{Parameter, Statement};

/// Sets columns of the rows that a filter finds.
#[must_use = "an update runs when it is executed"]
pub struct Update<R> {
    /// Which rows, or why there can be none.
    filter: Result<Option<Condition<R>>>,
    values: Vec<(usize, Value)>,
}

impl<R> fmt::Debug for Update<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("filter", &self.filter)
            .field("values", &self.values)
            .finish()
    }
}

impl<R: Table> Update<R> {
    pub(super) fn new(filter: Result<Option<Condition<R>>>) -> Update<R> {
        Update {
            filter,
            values: Vec::new(),
        }
    }

    /// Sets one more column.
    pub fn set<F: Field>(
        mut self,
        column: Column<R, F>,
        value: impl Parameter<F::Sql>,
    ) -> Update<R> {
        self.values.push((column.position(), value.value()));
        self
    }

    /// Runs it; gives the number of rows changed.
    ///
    /// # Errors
    /// What the statement fails with.
    pub fn execute<On: Runs>(self, on: On) -> On::Output<u64> {
        on.run_statements(iter::once(self.statement()), |affected| affected)
    }

    fn statement(self) -> Result<Statement> {
        let filter = self.filter?;
        let mut statement = Statement::empty();
        statement.push_text("UPDATE ");
        statement.push_text(R::NAME);
        for (at, (column, value)) in self.values.into_iter().enumerate() {
            statement.push_text(if at == 0 { " SET " } else { ", " });
            statement.push_text(R::COLUMNS[column].name);
            statement.push_text(" = ");
            statement.push_value(value);
        }
        push_filter(&mut statement, filter);
        Ok(statement)
    }
}
