//! `put`, `get`, `delete`, `scan`: a key-value table is an SQL table with the columns `key` and
//! `value`, so both faces see the same data.

use rustling_sql::{
    SqlState,
    ast::{ObjectName, QueryBody, StatementKind, TableRefKind},
    parser::parse_statement,
};

use crate::{
    connection::Connection,
    error::{Error, Result},
    run::Output,
};

/// What `scan` gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanRange {
    /// Only keys that begin so.
    pub(crate) prefix: Option<String>,
    /// Only keys from here on.
    pub(crate) from: Option<String>,
    /// Only keys before this one.
    pub(crate) to: Option<String>,
    /// At most so many.
    pub(crate) limit: Option<u64>,
    /// Last key first.
    pub(crate) reverse: bool,
}

/// A key-value table.
pub(crate) struct KeyValue<'a> {
    connection: &'a mut Connection,
    table: &'a str,
}

impl<'a> KeyValue<'a> {
    /// The key-value table of that name.
    #[must_use]
    pub(crate) fn new(connection: &'a mut Connection, table: &'a str) -> KeyValue<'a> {
        KeyValue { connection, table }
    }

    /// Makes the table where it is missing.
    ///
    /// # Errors
    /// Where the database refuses.
    pub(crate) fn create(&mut self) -> Result<()> {
        let sql =
            self.statement("CREATE TABLE IF NOT EXISTS kv (key text PRIMARY KEY, value text)")?;
        self.connection.execute(&sql, &[]).map(|_| ())
    }

    /// Sets a key.
    ///
    /// # Errors
    /// Where the database refuses.
    pub(crate) fn put(&mut self, key: &str, value: &str) -> Result<()> {
        let update = self.statement("UPDATE kv SET value = $2 WHERE key = $1")?;
        let insert = self.statement("INSERT INTO kv (key, value) VALUES ($1, $2)")?;
        loop {
            if self.connection.execute(&update, &[key, value])? > 0 {
                return Ok(());
            }
            match self.connection.execute(&insert, &[key, value]) {
                // Another writer made the key between our two statements: it can be updated now.
                Err(Error::Sql { error, .. }) if error.state() == SqlState::UNIQUE_VIOLATION => {}
                done => return done.map(|_| ()),
            }
        }
    }

    /// A key's value: no key, or perhaps NULL.
    ///
    /// # Errors
    /// Where the database refuses.
    pub(crate) fn get(&mut self, key: &str) -> Result<Option<Option<String>>> {
        let sql = self.statement("SELECT value FROM kv WHERE key = $1")?;
        let rows = self.connection.fetch(&sql, &[key])?;
        Ok(rows.into_iter().flatten().next())
    }

    /// Removes a key; whether it was there.
    ///
    /// # Errors
    /// Where the database refuses.
    pub(crate) fn delete(&mut self, key: &str) -> Result<bool> {
        let sql = self.statement("DELETE FROM kv WHERE key = $1")?;
        Ok(self.connection.execute(&sql, &[key])? > 0)
    }

    /// Writes keys and values in key order.
    ///
    /// # Errors
    /// Where the database refuses, or the output cannot be written.
    pub(crate) fn scan(&mut self, range: &ScanRange, to: &mut Output<'_>) -> Result<()> {
        let prefix = range.prefix.as_deref().unwrap_or_default();
        let from = range.from.as_deref().unwrap_or_default().max(prefix);
        let end = match (range.to.clone(), prefix_end(prefix)) {
            (Some(to), Some(end)) => Some(to.min(end)),
            (to, end) => to.or(end),
        };
        let limit = range
            .limit
            .map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
            .to_string();
        let sql = match (&end, range.reverse) {
            (Some(_), false) => {
                "SELECT key, value FROM kv WHERE key >= $1 AND key < $3 ORDER BY key LIMIT $2"
            }
            (Some(_), true) => {
                "SELECT key, value FROM kv WHERE key >= $1 AND key < $3 ORDER BY key DESC LIMIT $2"
            }
            (None, false) => "SELECT key, value FROM kv WHERE key >= $1 ORDER BY key LIMIT $2",
            (None, true) => "SELECT key, value FROM kv WHERE key >= $1 ORDER BY key DESC LIMIT $2",
        };
        let sql = self.statement(sql)?;
        match end {
            Some(end) => self.connection.write(&sql, &[from, &limit, &end], to),
            None => self.connection.write(&sql, &[from, &limit], to),
        }
    }

    /// A statement about the table `kv`, made one about this table: the name is put into the
    /// syntax tree, so whatever it holds stays a name.
    fn statement(&self, template: &str) -> Result<String> {
        let failed = |error| Error::sql(error, template);
        let mut statement = parse_statement(template).map_err(failed)?;
        match table_name(&mut statement.kind).and_then(|name| name.parts.last_mut()) {
            Some(name) => {
                self.table.clone_into(&mut name.name);
                // Folded like a name that is typed without quotes.
                name.quoted = self.table != self.table.to_lowercase();
            }
            None => {
                return Err(failed(rustling_sql::Error::new(
                    SqlState::INTERNAL_ERROR,
                    "the template names no table",
                )));
            }
        }
        Ok(statement.to_string())
    }
}

fn table_name(statement: &mut StatementKind) -> Option<&mut ObjectName> {
    match statement {
        StatementKind::Insert(insert) => Some(&mut insert.table),
        StatementKind::Update(update) => Some(&mut update.table),
        StatementKind::Delete(delete) => Some(&mut delete.table),
        StatementKind::CreateTable(create) => Some(&mut create.name),
        StatementKind::Query(query) => match &mut query.body {
            QueryBody::Select(select) => match &mut select.from.first_mut()?.kind {
                TableRefKind::Table { name, .. } => Some(name),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The least text above every text that begins with `prefix`.
fn prefix_end(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Past the last character before the surrogates comes the first after them.
        let next = if last == '\u{d7ff}' {
            Some('\u{e000}')
        } else {
            char::from_u32(last as u32 + 1)
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rustling_sql::Database;

    use super::{KeyValue, ScanRange, prefix_end};
    use crate::{connection::Connection, output::Format, run::Output};

    fn scanned(pairs: &mut KeyValue<'_>, range: &ScanRange) -> String {
        let mut out = Vec::new();
        let mut to = Output {
            out: &mut out,
            messages: &mut std::io::sink(),
            format: Format::Csv,
            width: None,
            expanded: false,
            tags: false,
        };
        pairs.scan(range, &mut to).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_prefix_ends_before_the_next_text() {
        assert_eq!(prefix_end("ab").as_deref(), Some("ac"));
        assert_eq!(prefix_end("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(prefix_end("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(prefix_end(""), None);
    }

    #[test]
    fn both_faces_see_the_same_data() {
        let db = Database::in_memory().unwrap();
        // A name that would be another statement if it were pasted into one.
        let mut connection = Connection::Own(Box::new(db.session()));
        for table in ["kv", "Odd\"; DROP TABLE kv; --"] {
            let mut pairs = KeyValue::new(&mut connection, table);
            pairs.create().unwrap();
            pairs.put("user:1", "Ada").unwrap();
            pairs.put("user:1", "Grace").unwrap();
            pairs.put("user:2", "Edsger").unwrap();
            pairs.put("z", "").unwrap();
            assert_eq!(pairs.get("user:1").unwrap(), Some(Some("Grace".into())));
            let range = ScanRange {
                prefix: Some("user:".into()),
                reverse: true,
                ..ScanRange::default()
            };
            assert_eq!(
                scanned(&mut pairs, &range),
                "key,value\nuser:2,Edsger\nuser:1,Grace\n"
            );
            assert!(pairs.delete("z").unwrap() && !pairs.delete("z").unwrap());
            assert_eq!(pairs.get("z").unwrap(), None);
        }
        let rows: Vec<(i64,)> = db
            .query("SELECT count(*) FROM kv", ())
            .unwrap()
            .read_all()
            .unwrap();
        assert_eq!(rows, [(2,)]);
    }
}
