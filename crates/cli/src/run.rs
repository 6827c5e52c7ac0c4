//! Running SQL text and writing what it gives.

use std::io::{BufRead, Write};

use rustling_sql::{CopyIn, Session, StatementResult, parser::split_statements};

use crate::{
    copy_data::CopyData,
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

/// Runs each statement of `sql` and writes what it gives. COPY FROM STDIN takes its data from
/// `data`, up to a line `\.` or the end.
///
/// # Errors
/// At the first statement that fails; those before it are done.
pub(crate) fn run(
    session: &mut Session,
    sql: &str,
    data: &mut dyn BufRead,
    to: &mut Output<'_>,
) -> Result<()> {
    for span in split_statements(sql).map_err(|error| Error::sql(error, sql))? {
        let statement = sql.get(span.start..span.end).unwrap_or_default();
        if statement.trim().is_empty() {
            continue;
        }
        run_one(session, statement, data, to)?;
    }
    Ok(())
}

fn run_one(
    session: &mut Session,
    statement: &str,
    data: &mut dyn BufRead,
    to: &mut Output<'_>,
) -> Result<()> {
    let result = session
        .run(statement, ())
        .map_err(|error| Error::sql(error, statement))?;
    let written = match result {
        StatementResult::CopyIn(copy) => copy_in(session, *copy, data, to),
        result => write_result(result, to),
    };
    written.map_err(|error| match error {
        Error::Database(error) => Error::sql(error, statement),
        other => other,
    })
}

/// Feeds a COPY FROM STDIN.
fn copy_in(
    session: &mut Session,
    mut copy: CopyIn,
    data: &mut dyn BufRead,
    to: &mut Output<'_>,
) -> Result<()> {
    let mut data = CopyData::new(data, copy.is_binary());
    while let Some(block) = data.next()? {
        if let Err(error) = copy.write(session, block) {
            data.pass_over()?;
            return Err(Error::Database(error));
        }
    }
    let count = copy.finish(session).map_err(Error::Database)?;
    say_copied(count, to)
}

/// Says how many rows COPY has moved.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn say_copied(count: u64, to: &mut Output<'_>) -> Result<()> {
    if to.tags {
        writeln!(to.messages, "COPY {count}").map_err(output)?;
    }
    to.out.flush().map_err(output)
}

/// Says what a statement without rows did.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn say_done(tag: &str, to: &mut Output<'_>) -> Result<()> {
    if to.tags {
        // In formats for programs the output holds rows and nothing else.
        let tags = if to.format == Format::Table {
            &mut *to.out
        } else {
            &mut *to.messages
        };
        writeln!(tags, "{tag}").map_err(output)?;
    }
    to.out.flush().map_err(output)
}

/// A writer for rows in the output's format.
///
/// # Errors
/// Where their header cannot be written.
pub(crate) fn row_writer<'w>(
    columns: Vec<Column>,
    to: &'w mut Output<'_>,
) -> Result<Box<dyn RowWriter + 'w>> {
    if to.format == Format::Table {
        let layout = Layout {
            width: to.width,
            expanded: to.expanded,
        };
        return Ok(Box::new(TableWriter::new(columns, to.out, layout)));
    }
    writer(to.format, columns, to.out, to.width).map_err(output)
}

/// Writes what a statement gives.
///
/// # Errors
/// Where the query fails on the way, or the output cannot be written.
pub(crate) fn write_result(result: StatementResult, to: &mut Output<'_>) -> Result<()> {
    let mut rows = match result {
        StatementResult::Rows(rows) => rows,
        StatementResult::CopyOut(copy) => {
            let count = copy.write_to(to.out).map_err(Error::Database)?;
            return say_copied(count, to);
        }
        StatementResult::CopyIn(_) => {
            return Err(Error::Usage {
                message: "COPY FROM STDIN needs data, and there is none here".into(),
                hint: "use rustling query or the shell, or name a file".into(),
            });
        }
        StatementResult::Done { tag, notices, .. } => {
            for notice in notices {
                writeln!(to.messages, "{notice}").map_err(output)?;
            }
            return say_done(&tag, to);
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
    let mut writer = row_writer(columns, to)?;
    let mut row = Vec::new();
    while rows.next_into(&mut row).map_err(Error::Database)? {
        writer.row(&row).map_err(output)?;
    }
    writer.finish().map_err(output)
}
