//! Names that are made for constraints, indexes and sequences.

use crate::{
    ast::Ident,
    catalog::Table,
    error::{Error, Result, SqlState},
};

/// Names of a table's constraints.
pub(super) struct Names {
    pub(super) table: String,
    taken: Vec<String>,
}

impl Names {
    /// The names that a table's constraints have.
    pub(super) fn of(table: &Table) -> Names {
        let checks = table.checks.iter().map(|check| &check.name);
        let keys = table.foreign_keys.iter().map(|key| &key.name);
        let indexes = table.indexes.iter().map(|index| &index.name);
        Names {
            table: table.name.clone(),
            taken: checks
                .chain(keys)
                .chain(indexes)
                .chain(&table.primary_key_name)
                .cloned()
                .collect(),
        }
    }

    /// Takes a name that the user gave.
    pub(super) fn take(&mut self, name: &Ident) -> Result<()> {
        if self.taken.contains(&name.name) {
            return Err(Error::new(
                SqlState("42710"),
                format!(
                    "constraint \"{}\" for relation \"{}\" already exists",
                    name.name, self.table
                ),
            )
            .at(name.span));
        }
        self.taken.push(name.name.clone());
        Ok(())
    }

    /// Takes a name that comes with what is taken over.
    pub(super) fn note(&mut self, name: &str) {
        if !self.taken.iter().any(|taken| taken == name) {
            self.taken.push(name.to_owned());
        }
    }

    /// A name like `wanted`, with a number where that is taken.
    pub(super) fn make_from(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 0;
        while self.taken.contains(&name) {
            number += 1;
            name = format!("{wanted}{number}");
        }
        self.taken.push(name.clone());
        name
    }

    /// Makes a name as PostgreSQL does: `table_columns_suffix`, then with a number.
    pub(super) fn make(&mut self, columns: &[&str], suffix: &str) -> String {
        let mut stem = self.table.clone();
        for column in columns {
            stem.push('_');
            stem.push_str(column);
        }
        let mut number = 0;
        loop {
            let name = limited(&stem, suffix, number);
            if !self.taken.contains(&name) {
                self.taken.push(name.clone());
                return name;
            }
            number += 1;
        }
    }
}

/// `stem_suffix` or `stem_suffixN` in 63 bytes.
pub(super) fn limited(stem: &str, suffix: &str, number: usize) -> String {
    let tail = if number == 0 {
        format!("_{suffix}")
    } else {
        format!("_{suffix}{number}")
    };
    let mut end = stem.len().min(63usize.saturating_sub(tail.len()));
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{tail}", &stem[..end])
}
