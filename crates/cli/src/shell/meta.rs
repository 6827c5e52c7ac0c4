//! The shell's own commands.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::ValueEnum;
use rustling_sql::{DataType, Value, catalog::Table};
use rustling_storage::OpenMode;

use super::{Flow, Shell};
use crate::{
    connection::Connection,
    error::{Error, Result, output},
    output::{Column, Format, Layout, RowWriter, TableWriter},
    run::Output,
    terminal,
};

/// What an attached shell asks the catalog that it has not at hand.
const LIST_TABLES: &str = "SELECT t.table_schema AS schema, t.table_name AS table, \
        count(c.column_name) AS columns \
     FROM information_schema.tables t \
     LEFT JOIN information_schema.columns c USING (table_schema, table_name) \
     WHERE t.table_schema NOT IN ('pg_catalog', 'information_schema', 'sys') \
     GROUP BY t.table_schema, t.table_name ORDER BY t.table_schema, t.table_name";
const DESCRIBE_COLUMNS: &str = "SELECT column_name AS column, data_type AS type, \
        CASE is_nullable WHEN 'NO' THEN 'not null' ELSE '' END AS nullable, \
        column_default AS default \
     FROM information_schema.columns WHERE table_name = $1 ORDER BY table_schema, ordinal_position";
const DESCRIBE_INDEXES: &str = "SELECT indexname AS index, indexdef AS definition FROM pg_indexes WHERE tablename = $1 ORDER BY indexname";

/// How deep `\i` may nest.
const MAX_NESTED_FILES: usize = 16;

const HELP: &str = "\
\\copy T FROM 'F'  copy between a table and a file, as COPY does
\\d                list tables
\\d TABLE          show a table's columns, keys and indexes
\\i FILE           run the statements of a file
\\timing           turn the time of each statement on or off
\\x                turn records instead of tables on or off
\\q                leave (also Ctrl-D)
.format NAME      table, csv, json or markdown
.help             this list
.tables           list tables

A statement ends with a semicolon and may take several lines. Ctrl-C ends a statement that runs.
";

impl Shell<'_> {
    /// Runs a command.
    pub(super) fn command(&mut self, line: &str, data: &mut dyn BufRead) -> Result<Flow> {
        let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = argument.trim().trim_end_matches(';').trim();
        match name.trim_end_matches(';') {
            "\\q" | ".quit" | ".exit" => return Ok(Flow::Quit),
            "\\?" | "\\h" | ".help" => self.print(HELP)?,
            // The shell and the database are on one machine: their files are the same.
            "\\copy" => self.sql(line.trim_start_matches('\\'), data)?,
            "\\d" | "\\dt" | ".tables" | ".schema" if argument.is_empty() => self.list_tables()?,
            "\\d" | ".schema" => self.describe(argument)?,
            "\\timing" | ".timing" => {
                self.timing = toggle(argument, self.timing)?;
                self.note(if self.timing {
                    "Timing is on.\n"
                } else {
                    "Timing is off.\n"
                })?;
            }
            "\\x" => {
                self.expanded = toggle(argument, self.expanded)?;
                self.note(if self.expanded {
                    "Records are on.\n"
                } else {
                    "Records are off.\n"
                })?;
            }
            ".format" => {
                self.format = Format::from_str(argument, true).map_err(|_| Error::Usage {
                    message: format!("there is no format {argument:?}"),
                    hint: "table, csv, json or markdown".into(),
                })?;
            }
            "\\i" | ".read" => return self.run_file(argument),
            unknown => {
                return Err(Error::Usage {
                    message: format!("there is no command {unknown}"),
                    hint: match nearest(unknown) {
                        Some(near) => format!("did you mean {near}? .help lists all"),
                        None => ".help lists all; a statement ends with a semicolon".into(),
                    },
                });
            }
        }
        Ok(Flow::Continue)
    }

    fn print(&self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(output)
    }

    /// Says something that is no result.
    fn note(&self, text: &str) -> Result<()> {
        io::stderr().write_all(text.as_bytes()).map_err(output)
    }

    fn run_file(&mut self, file: &str) -> Result<Flow> {
        if file.is_empty() {
            return Err(Error::Usage {
                message: "\\i needs a file".into(),
                hint: "\\i schema.sql".into(),
            });
        }
        if self.files.len() >= MAX_NESTED_FILES {
            return Err(Error::Usage {
                message: format!("{file}: files are nested too deeply"),
                hint: format!("\\i may nest {MAX_NESTED_FILES} deep: does a file read itself?"),
            });
        }
        let path = PathBuf::from(file.trim_matches('\''));
        let vfs = Arc::clone(&self.env.vfs);
        let read = || -> io::Result<Vec<u8>> {
            let handle = vfs.open(&path, OpenMode::ReadOnly)?;
            let length = usize::try_from(handle.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
            let mut bytes = vec![0; length];
            handle.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| rustling_storage::Error::io("read", &path, source))?;
        self.files.push(path);
        let flow = self.run_stream(bytes.as_slice());
        self.files.pop();
        flow
    }

    fn list_tables(&mut self) -> Result<()> {
        let session = match &mut *self.connection {
            Connection::Own(session) => session,
            Connection::Attached(_) => return self.show(LIST_TABLES, &[]),
        };
        let database = session.database().clone();
        let tables = database.tables();
        let rows = tables.iter().map(|table| {
            let rows = database.estimated_rows(&table.name);
            vec![
                Value::Text(table.schema.as_str().into()),
                Value::Text(table.name.as_str().into()),
                Value::Int8(table.columns.len() as i64),
                rows.map_or(Value::Null, |rows| {
                    Value::Int8(i64::try_from(rows).unwrap_or(i64::MAX))
                }),
            ]
        });
        self.table(
            &[
                ("schema", DataType::Text),
                ("table", DataType::Text),
                ("columns", DataType::Int8),
                ("rows (about)", DataType::Int8),
            ],
            rows,
        )
    }

    fn describe(&mut self, name: &str) -> Result<()> {
        let folded = match name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'))
        {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => name.to_lowercase(),
        };
        let database = match &*self.connection {
            Connection::Own(session) => session.database().clone(),
            Connection::Attached(_) => {
                self.show(DESCRIBE_COLUMNS, &[&folded])?;
                return self.show(DESCRIBE_INDEXES, &[&folded]);
            }
        };
        let Some(table) = database.table(&folded) else {
            let near = nearest_of(
                &folded,
                database.tables().iter().map(|table| table.name.clone()),
            );
            return Err(Error::Usage {
                message: format!("there is no table {name:?}"),
                hint: match near {
                    Some(near) => format!("did you mean {near}? \\d lists all"),
                    None => "\\d lists all".into(),
                },
            });
        };
        let rows = table.columns.iter().map(|column| {
            vec![
                Value::Text(column.name.as_str().into()),
                Value::Text(column.data_type.to_string().into()),
                Value::Text(if column.not_null { "not null" } else { "" }.into()),
                column
                    .default
                    .as_ref()
                    .map_or(Value::Null, |(text, _)| Value::Text(text.as_str().into())),
            ]
        });
        let (schema, name) = (&table.schema, &table.name);
        let storage = table.storage.name();
        self.print(&format!("Table {schema}.{name}, stored as {storage}\n"))?;
        self.table(
            &[
                ("column", DataType::Text),
                ("type", DataType::Text),
                ("nullable", DataType::Text),
                ("default", DataType::Text),
            ],
            rows,
        )?;
        self.print(&constraints(&table))
    }

    /// Shows what a query gives, as a table.
    fn show(&mut self, sql: &str, parameters: &[&str]) -> Result<()> {
        let mut out = io::stdout().lock();
        let mut to = Output {
            out: &mut out,
            messages: &mut io::stderr(),
            format: Format::Table,
            width: terminal::width(),
            expanded: false,
            tags: true,
        };
        self.connection.write(sql, parameters, &mut to)
    }

    fn table(
        &self,
        columns: &[(&str, DataType)],
        rows: impl Iterator<Item = Vec<Value>>,
    ) -> Result<()> {
        let columns = columns
            .iter()
            .map(|(name, data_type)| Column {
                name: (*name).into(),
                data_type: *data_type,
            })
            .collect();
        let mut out = io::stdout().lock();
        let layout = Layout {
            width: terminal::width(),
            expanded: false,
        };
        let mut table = TableWriter::new(columns, &mut out, layout);
        for row in rows {
            table.row(&row).map_err(output)?;
        }
        table.finish().map_err(output)
    }
}

/// The keys, checks and indexes of a table, a line each.
fn constraints(table: &Table) -> String {
    let column_names = |ordinals: &mut dyn Iterator<Item = usize>| {
        let names: Vec<&str> = ordinals
            .filter_map(|ordinal| table.columns.get(ordinal))
            .map(|column| column.name.as_str())
            .collect();
        names.join(", ")
    };
    let mut lines = String::new();
    if !table.primary_key.is_empty() {
        let columns = column_names(&mut table.primary_key.iter().copied());
        lines.push_str(&format!("Primary key: ({columns})\n"));
    }
    for index in &table.indexes {
        let kind = if index.unique {
            "Unique index"
        } else {
            "Index"
        };
        let columns = column_names(&mut index.columns.iter().map(|column| column.ordinal));
        lines.push_str(&format!("{kind} {}: ({columns})\n", index.name));
    }
    for check in &table.checks {
        lines.push_str(&format!("Check {}: {}\n", check.name, check.text));
    }
    lines
}

fn toggle(argument: &str, now: bool) -> Result<bool> {
    match argument {
        "" => Ok(!now),
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(Error::Usage {
            message: format!("{other:?} is neither on nor off"),
            hint: "on, off, or nothing to switch".into(),
        }),
    }
}

fn nearest(command: &str) -> Option<String> {
    nearest_of(
        command,
        super::complete::META_COMMANDS
            .iter()
            .map(ToString::to_string),
    )
}

/// The name most like `name`, where one is alike at all.
fn nearest_of(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(name, &candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
