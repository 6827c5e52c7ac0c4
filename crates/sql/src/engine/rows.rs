//! What queries give.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    DataType, Error, Result, SqlState, Value,
    executor::{ExecContext, Operator, RowBuffer},
    types::FromValue,
};

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    /// Its name; not necessarily unique.
    pub name: String,
    /// Its type.
    pub data_type: DataType,
    /// Whether it can be NULL.
    pub nullable: bool,
}

/// The rows of a query, computed as they are asked for. Dropping them ends the query.
///
/// Rows of a session's open transaction keep it from being ended: read or drop them first.
///
/// ```
/// use rustling_sql::Database;
///
/// let db = Database::in_memory()?;
/// let mut rows = db.query("SELECT 1 AS one, 'two' AS two", ())?;
/// assert_eq!(rows.columns()[1].name, "two");
/// let (one, two): (i32, String) = rows.next().unwrap()?.read()?;
/// assert_eq!((one, two.as_str()), (1, "two"));
/// # Ok::<(), rustling_sql::Error>(())
/// ```
pub struct Rows {
    columns: Arc<[ResultColumn]>,
    /// The command tag, where it is not SELECT's.
    tag: Option<String>,
    source: Source,
}

enum Source {
    Fixed(std::vec::IntoIter<Vec<Value>>),
    One(RowBuffer),
    Running(Box<Running>),
    Ended,
}

struct Running {
    /// `None` only while it is dropped.
    operator: Option<Box<dyn Operator>>,
    context: ExecContext,
    /// Set where an error must fail the transaction that the query belongs to.
    failed: Option<Arc<AtomicBool>>,
    /// Whether it is set here.
    fails: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Operators may hold the transaction too.
        self.operator = None;
        // A READ COMMITTED transaction gives its snapshot back between statements, but not
        // while another result of it is being read.
        if self.failed.is_some() && Arc::strong_count(&self.context.transaction) == 2 {
            self.context.transaction.end_statement();
        }
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl Rows {
    /// Rows that are there already.
    pub(crate) fn fixed(columns: Vec<ResultColumn>, rows: Vec<Vec<Value>>) -> Rows {
        Rows {
            columns: columns.into(),
            tag: None,
            source: Source::Fixed(rows.into_iter()),
        }
    }

    /// One row, if there is one, that is there already.
    pub(crate) fn one(columns: Arc<[ResultColumn]>, row: Option<RowBuffer>) -> Rows {
        Rows {
            columns,
            tag: None,
            source: row.map_or(Source::Ended, Source::One),
        }
    }

    /// One text column of rows that are there already.
    pub(crate) fn text(name: &str, lines: impl IntoIterator<Item = String>) -> Rows {
        Rows::fixed(
            vec![ResultColumn {
                name: name.to_owned(),
                data_type: DataType::Text,
                nullable: false,
            }],
            lines
                .into_iter()
                .map(|line| vec![Value::Text(line.into())])
                .collect(),
        )
    }

    /// The rows of a running query.
    pub(crate) fn running(
        columns: Arc<[ResultColumn]>,
        operator: Box<dyn Operator>,
        context: ExecContext,
        failed: Option<Arc<AtomicBool>>,
    ) -> Rows {
        Rows {
            columns,
            tag: None,
            source: Source::Running(Box::new(Running {
                operator: Some(operator),
                context,
                failed,
                fails: true,
            })),
        }
    }

    /// Leaves it to whoever reads the rows whether what is wrong with one of them fails the
    /// transaction.
    pub(super) fn without_failing(mut self) -> Rows {
        if let Source::Running(running) = &mut self.source {
            running.fails = false;
        }
        self
    }

    /// The rows of a statement with that command tag.
    pub(crate) fn with_tag(mut self, tag: String) -> Rows {
        self.tag = Some(tag);
        self
    }

    /// PostgreSQL's command tag where the rows are those of another statement than a query:
    /// `INSERT 0 3` with RETURNING.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The columns of every row.
    #[must_use]
    pub fn columns(&self) -> &[ResultColumn] {
        &self.columns
    }

    /// Makes `row` the next row's values, without allocating for a row of its own; `false`:
    /// there is none.
    ///
    /// # Errors
    /// What the query fails with; there are no more rows then.
    pub fn next_into(&mut self, row: &mut Vec<Value>) -> Result<bool> {
        match &mut self.source {
            Source::Fixed(rows) => match rows.next() {
                Some(next) => {
                    *row = next;
                    Ok(true)
                }
                None => Ok(false),
            },
            Source::One(next) => {
                *row = std::mem::take(next);
                self.source = Source::Ended;
                Ok(true)
            }
            Source::Running(running) => {
                let more = match &mut running.operator {
                    Some(operator) => operator.next(&running.context, row),
                    None => Ok(false),
                };
                if running.fails
                    && let (Err(_), Some(failed)) = (&more, &running.failed)
                {
                    failed.store(true, Ordering::Relaxed);
                }
                if !matches!(more, Ok(true)) {
                    self.source = Source::Ended;
                }
                more
            }
            Source::Ended => Ok(false),
        }
    }

    /// Up to `count` rows at once; empty at the end.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn next_batch(&mut self, count: usize) -> Result<Vec<Vec<Value>>> {
        let mut batch = Vec::new();
        while batch.len() < count {
            let mut row = RowBuffer::with_capacity(self.columns.len());
            if !self.next_into(&mut row)? {
                break;
            }
            batch.push(row);
        }
        Ok(batch)
    }

    /// Reads every row into a Rust value: a tuple, or whatever implements [`FromRow`].
    ///
    /// # Errors
    /// What the query fails with; where a row does not fit `T`.
    pub fn read_all<T: FromRow>(self) -> Result<Vec<T>> {
        self.map(|row| row?.read()).collect()
    }

    /// Every row's values.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn values(mut self) -> Result<Vec<Vec<Value>>> {
        self.next_batch(usize::MAX)
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Result<Row>> {
        let mut values = Vec::with_capacity(self.columns.len());
        match self.next_into(&mut values) {
            Ok(true) => Some(Ok(Row {
                columns: Arc::clone(&self.columns),
                values,
            })),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// One row of a result.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Arc<[ResultColumn]>,
    values: Vec<Value>,
}

impl Row {
    /// A row from elsewhere than a query of this process: one value for each column.
    #[must_use]
    pub fn new(columns: Arc<[ResultColumn]>, values: Vec<Value>) -> Row {
        Row { columns, values }
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[ResultColumn] {
        &self.columns
    }

    /// The values, in the order of the columns.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values on their own.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// The value of a column, by position (from 0) or name.
    ///
    /// # Errors
    /// Where there is no such column, or its value does not fit `T`.
    pub fn get<T: FromValue>(&self, column: impl RowIndex) -> Result<T> {
        let position = column.position(&self.columns)?;
        let value = self
            .values
            .get(position)
            .ok_or_else(|| no_column(&position.to_string(), &self.columns))?;
        T::from_value(value).map_err(|error| {
            error.detail(format!(
                "Column {} is called \"{}\".",
                position + 1,
                self.columns.get(position).map_or("", |column| &column.name)
            ))
        })
    }

    /// The whole row as a Rust value: a tuple, or whatever implements [`FromRow`].
    ///
    /// # Errors
    /// Where the row does not fit `T`.
    pub fn read<T: FromRow>(&self) -> Result<T> {
        T::from_row(self)
    }
}

fn no_column(name: &str, columns: &[ResultColumn]) -> Error {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("the result has no column {name}"),
    )
    .detail(format!("It has: {}.", names.join(", ")))
}

/// What names a column of a row: its position from 0, or its name.
pub trait RowIndex {
    /// The position.
    ///
    /// # Errors
    /// Where there is no such column.
    fn position(&self, columns: &[ResultColumn]) -> Result<usize>;
}

impl RowIndex for usize {
    fn position(&self, columns: &[ResultColumn]) -> Result<usize> {
        if *self < columns.len() {
            Ok(*self)
        } else {
            Err(no_column(&self.to_string(), columns))
        }
    }
}

impl RowIndex for &str {
    fn position(&self, columns: &[ResultColumn]) -> Result<usize> {
        columns
            .iter()
            .position(|column| column.name == *self)
            .ok_or_else(|| no_column(&format!("\"{self}\""), columns))
    }
}

/// A Rust value that a row can be read into. Implemented for tuples.
pub trait FromRow: Sized {
    /// Reads the row.
    ///
    /// # Errors
    /// Where it does not fit.
    fn from_row(row: &Row) -> Result<Self>;
}

macro_rules! tuples {
    ($($count:literal: $($name:ident)+;)*) => { $(
        impl<$($name: FromValue),+> FromRow for ($($name,)+) {
            fn from_row(row: &Row) -> Result<Self> {
                if row.values.len() != $count {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "a row of {} columns cannot be read into a tuple of {}",
                            row.values.len(),
                            $count
                        ),
                    ));
                }
                let mut at = 0..;
                Ok(($(row.get::<$name>(at.next().unwrap_or_default())?,)+))
            }
        }
    )* };
}

tuples! {
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E F;
    7: A B C D E F G;
    8: A B C D E F G H;
    9: A B C D E F G H I;
    10: A B C D E F G H I J;
    11: A B C D E F G H I J K;
    12: A B C D E F G H I J K L;
}
