//! NOT NULL, CHECK and key violations, worded as PostgreSQL words them.

use crate::{
    Error, Result, SqlState, Value,
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
                return Err(Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!(
                        "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                        column.name, self.table.name
                    ),
                )
                .of_table(&self.table.schema, &self.table.name)
                .of_column(&column.name)
                .detail(failing_row(row)));
            }
        }
        for (name, check) in &self.checks {
            // A check that is NULL holds.
            if check.eval_predicate(row, eval)? == Some(false) {
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "new row for relation \"{}\" violates check constraint \"{name}\"",
                        self.table.name
                    ),
                )
                .of_table(&self.table.schema, &self.table.name)
                .of_constraint(name)
                .detail(failing_row(row)));
            }
        }
        for check in &self.partition_checks {
            if !check.holds(row, eval)? {
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "new row for relation \"{}\" violates partition constraint",
                        self.table.name
                    ),
                )
                .of_table(&self.table.schema, &self.table.name)
                .detail(failing_row(row)));
            }
        }
        Ok(())
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

pub(crate) fn failing_row(row: &[Value]) -> String {
    let values: Vec<String> = row.iter().map(shown).collect();
    format!("Failing row contains ({}).", values.join(", "))
}
