//! Running SQL text and writing what it gives.

use std::io::Write;

use rustling_sql::{Session, StatementResult, parser::split_statements};

use crate::{
    error::{Error, Result, output},
    output::{Column, Format, Layout, RowWriter, TableWriter, writer},
};

/// Where results go, and how they look.
pub(crate) struct Output<'a> {
    /// Rows.
    pub(crate) out: &'a mut dyn Write,
    /// Notices, and in formats for programs the tags of statements without rows.
    pub(crate) messages: &'a mut dyn Write,
    /// The format of rows.
    pub(crate) format: Format,
    /// The terminal's width, where it is one.
    pub(crate) width: Option<usize>,
    /// Tables as one record per row.
    pub(crate) expanded: bool,
    /// Whether statements without rows say what they did.
    pub(crate) tags: bool,
}

/// Runs each statement of `sql` and writes what it gives.
///
/// # Errors
/// At the first statement that fails; those before it are done.
pub(crate) fn run(session: &mut Session, sql: &str, to: &mut Output<'_>) -> Result<()> {
    for span in split_statements(sql).map_err(|error| Error::sql(error, sql))? {
        let statement = sql.get(span.start..span.end).unwrap_or_default();
        if statement.trim().is_empty() {
            continue;
        }
        run_one(session, statement, to)?;
    }
    Ok(())
}

fn run_one(session: &mut Session, statement: &str, to: &mut Output<'_>) -> Result<()> {
    let result = session
        .run(statement, ())
        .map_err(|error| Error::sql(error, statement))?;
    write_result(result, to).map_err(|error| match error {
        Error::Database(error) => Error::sql(error, statement),
        other => other,
    })
}

/// Writes what a statement gives.
///
/// # Errors
/// Where the query fails on the way, or the output cannot be written.
pub(crate) fn write_result(result: StatementResult, to: &mut Output<'_>) -> Result<()> {
    let mut rows = match result {
        StatementResult::Rows(rows) => rows,
        StatementResult::Done { tag, notices, .. } => {
            for notice in notices {
                writeln!(to.messages, "NOTICE:  {notice}").map_err(output)?;
            }
            if to.tags {
                // In formats for programs the output holds rows and nothing else.
                let tags = if to.format == Format::Table {
                    &mut *to.out
                } else {
                    &mut *to.messages
                };
                writeln!(tags, "{tag}").map_err(output)?;
            }
            return to.out.flush().map_err(output);
        }
    };
    let columns: Vec<Column> = rows
        .columns()
        .iter()
        .map(|column| Column {
            name: column.name.clone(),
            data_type: column.data_type,
        })
        .collect();
    if let [plan] = columns.as_slice()
        && plan.name == "QUERY PLAN"
        && to.format == Format::Table
    {
        // A plan is a drawing, not a table.
        let mut row = Vec::new();
        while rows.next_into(&mut row).map_err(Error::Database)? {
            for line in &row {
                writeln!(to.out, "{line}").map_err(output)?;
            }
        }
        return to.out.flush().map_err(output);
    }
    let mut writer: Box<dyn RowWriter> = if to.format == Format::Table {
        Box::new(TableWriter::new(
            columns,
            to.out,
            Layout {
                width: to.width,
                expanded: to.expanded,
            },
        ))
    } else {
        writer(to.format, columns, to.out, to.width).map_err(output)?
    };
    let mut row = Vec::new();
    while rows.next_into(&mut row).map_err(Error::Database)? {
        writer.row(&row).map_err(output)?;
    }
    writer.finish().map_err(output)
}
