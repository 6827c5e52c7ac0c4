//! Which columns of a result can be NULL: an inference over bound plans, for those who must know
//! before the statement runs.
//!
//! It never says "never NULL" of a column in which a NULL may come: whatever it does not know
//! counts as nullable. Beyond what the binder notes of single expressions it knows
//!
//! - what a condition that was true, or was not, says of its columns (WHERE, ON, HAVING, CASE),
//! - that one column of an outer join's optional side that is not NULL vouches for the whole side,
//! - which aggregates have rows to work on, and which subqueries always give a row,
//! - what WITH queries (recursive ones included), set operations and RETURNING give on.
//!
//! ```
//! use rustling_sql::{BindOptions, bind, nullability, parse_statement, schema::Schema};
//!
//! let mut schema = Schema::default();
//! schema.apply("CREATE TABLE city (name text NOT NULL, mayor text)")?;
//! let statement = parse_statement(
//!     "SELECT name, mayor, coalesce(mayor, '-'), lower(mayor) FROM city",
//! )?;
//! let bound = bind(&statement, &schema, &BindOptions::default())?;
//! assert_eq!(nullability::of_columns(&bound.statement), [false, true, false, true]);
//! # Ok::<(), rustling_sql::Error>(())
//! ```

mod expr;
mod facts;
mod functions;
mod plan;

use std::collections::HashMap;

use crate::bound::{BoundStatement, Change, SharedId};
use facts::Facts;

/// Whether each column of a statement's result can be NULL, in order; empty where it gives no
/// rows, or rows that only the engine knows.
#[must_use]
pub fn of_columns(statement: &BoundStatement) -> Vec<bool> {
    Inference::default().statement(statement)
}

/// What is known of the statement's parts while it is walked.
#[derive(Default)]
struct Inference {
    /// What holds of the rows of WITH queries in sight.
    shared: HashMap<SharedId, Facts>,
    /// Of the rows put aside in a buffer: whether each column is never NULL.
    buffers: HashMap<usize, Vec<bool>>,
}

impl Inference {
    fn statement(&mut self, statement: &BoundStatement) -> Vec<bool> {
        match statement {
            BoundStatement::Query { plan, columns } => {
                let facts = self.plan(plan, &Facts::default());
                columns
                    .iter()
                    .map(|column| !facts.is_known(column.id))
                    .collect()
            }
            BoundStatement::Change(change) => self.change(change),
            BoundStatement::With { changes, statement } => {
                for (slot, change) in changes {
                    let given = self.change(change);
                    self.buffers
                        .insert(*slot, given.into_iter().map(|nullable| !nullable).collect());
                }
                self.statement(statement)
            }
            _ => Vec::new(),
        }
    }

    /// RETURNING reads the changed rows, which keep what their table demands.
    fn change(&mut self, change: &Change) -> Vec<bool> {
        let Some(returning) = &change.returning else {
            return Vec::new();
        };
        let mut rows: Vec<bool> = change
            .table
            .columns
            .iter()
            .map(|column| column.not_null)
            .collect();
        rows.resize(rows.len() + returning.others.len(), false);
        self.buffers.insert(returning.slot, rows);
        let facts = self.plan(&returning.plan, &Facts::default());
        returning
            .columns
            .iter()
            .map(|column| !facts.is_known(column.id))
            .collect()
    }
}
