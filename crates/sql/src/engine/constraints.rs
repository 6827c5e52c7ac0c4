//! NOT NULL, CHECK and key violations, worded as PostgreSQL words them.

use std::sync::Arc;

use crate::{
    Error, Result, SqlState, Value,
    catalog::{Table, access::Privileges},
    encoding::row::row_number_key,
    engine::table::{IndexHandle, TableHandle},
    eval::EvalContext,
};

/// How many characters of a value an error's DETAIL shows.
const SHOWN: usize = 64;

impl TableHandle {
    /// Fills the generated columns of `row` in and checks it.
    pub(crate) fn complete_row(&self, row: &mut [Value], eval: &EvalContext<'_>) -> Result<()> {
        // They do not depend on one another: the order does not matter.
        for (ordinal, expr) in &self.generated {
            let value = expr.eval(row, eval)?;
            if let Some(place) = row.get_mut(*ordinal) {
                *place = value;
            }
        }
        self.check_row(row, eval)
    }

    /// Fails where `row` breaks a NOT NULL or CHECK constraint.
    pub(crate) fn check_row(&self, row: &[Value], eval: &EvalContext<'_>) -> Result<()> {
        if row.len() != self.table.columns.len() {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                format!(
                    "a row of {} columns for table \"{}\" of {}",
                    row.len(),
                    self.table.name,
                    self.table.columns.len()
                ),
            ));
        }
        for (column, value) in self.table.columns.iter().zip(row) {
            if column.not_null && matches!(value, Value::Null) {
                let error = Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!(
                        "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                        column.name, self.table.name
                    ),
                )
                .of_table(&self.table.schema, &self.table.name)
                .of_column(&column.name);
                return Err(self.with_row(error, row, eval));
            }
        }
        for (name, check) in &self.checks {
            // A check that is NULL holds.
            if check.eval_predicate(row, eval)? == Some(false) {
                let error = Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "new row for relation \"{}\" violates check constraint \"{name}\"",
                        self.table.name
                    ),
                )
                .of_table(&self.table.schema, &self.table.name)
                .of_constraint(name);
                return Err(self.with_row(error, row, eval));
            }
        }
        for check in &self.partition_checks {
            if !check.holds(row, eval)? {
                let error = Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "new row for relation \"{}\" violates partition constraint",
                        self.table.name
                    ),
                )
                .of_table(&self.table.schema, &self.table.name);
                return Err(self.with_row(error, row, eval));
            }
        }
        Ok(())
    }

    /// The error of a row that was refused, with as much of the row in its DETAIL as the session's
    /// role may read.
    #[cold]
    pub(crate) fn with_row(&self, error: Error, row: &[Value], eval: &EvalContext<'_>) -> Error {
        match self.shown_row(row, eval) {
            Some(detail) => error.detail(detail),
            None => error,
        }
    }

    /// `None` where the role may read none of it.
    fn shown_row(&self, row: &[Value], eval: &EvalContext<'_>) -> Option<String> {
        let view = eval.session.system_view().ok()?;
        let rights = view.catalog.access.rights(view.reader);
        // What may be read of a table may be read of those that are made of it.
        let mut tables = vec![Arc::clone(&self.table)];
        let mut at = 0;
        while let Some(table) = tables.get(at).cloned() {
            at += 1;
            for parent in table
                .parents
                .iter()
                .filter_map(|id| view.catalog.handle(*id))
            {
                if !tables.iter().any(|known| known.id == parent.table.id) {
                    tables.push(Arc::clone(&parent.table));
                }
            }
        }
        let may_read = |table: &Table, name: &str| {
            let column = table.column(name).and_then(|at| table.columns.get(at));
            column.is_some_and(|column| {
                rights.on_columns(table.id, Privileges::SELECT, &[column.number])
            })
        };
        let (names, values): (Vec<&str>, Vec<String>) = self
            .table
            .columns
            .iter()
            .zip(row)
            .filter(|(column, _)| tables.iter().any(|table| may_read(table, &column.name)))
            .map(|(column, value)| (column.name.as_str(), shown(value)))
            .unzip();
        let values = values.join(", ");
        if names.is_empty() {
            None
        } else if names.len() == self.table.columns.len() {
            Some(format!("Failing row contains ({values})."))
        } else {
            let names = names.join(", ");
            Some(format!("Failing row contains ({names}) = ({values})."))
        }
    }

    /// The error of a row whose primary key is there already.
    #[cold]
    pub(crate) fn primary_key_exists(&self, row: &[Value]) -> Error {
        let names = self
            .table
            .primary_key
            .iter()
            .filter_map(|ordinal| self.table.columns.get(*ordinal))
            .map(|column| column.name.clone())
            .collect::<Vec<_>>();
        self.key_exists(
            &self.primary_key_name(),
            &names,
            &self.table.primary_key,
            row,
        )
    }

    /// The error of a row whose key in a unique index is there already.
    #[cold]
    pub(crate) fn index_key_exists(&self, index: &IndexHandle, row: &[Value]) -> Error {
        self.key_exists(&index.name, &index.key_names, &index.ordinals, row)
    }

    fn key_exists(
        &self,
        constraint: &str,
        names: &[String],
        ordinals: &[usize],
        row: &[Value],
    ) -> Error {
        let values: Vec<String> = ordinals
            .iter()
            .filter_map(|ordinal| row.get(*ordinal))
            .map(shown)
            .collect();
        Error::new(
            SqlState::UNIQUE_VIOLATION,
            format!("duplicate key value violates unique constraint \"{constraint}\""),
        )
        .of_table(&self.table.schema, &self.table.name)
        .of_constraint(constraint)
        .detail(format!(
            "Key ({})=({}) already exists.",
            names.join(", "),
            values.join(", ")
        ))
    }
}

/// The key of the row with this number, where a table has no primary key.
pub(crate) fn hidden_key(number: u64) -> Vec<u8> {
    row_number_key(number).to_vec()
}

pub(crate) fn shown(value: &Value) -> String {
    if matches!(value, Value::Null) {
        return "null".to_owned();
    }
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
