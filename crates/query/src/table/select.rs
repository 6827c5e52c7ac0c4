//! Queries put together from typed parts.

use std::fmt;

use rustling_sql::{Error, Result, SqlState};

use super::{Column, Condition, Field, Order, Table, Update, condition::Part, key_columns};
use crate::{Connection, Parameter, Query, Statement};

/// A query over the rows of one table.
///
/// ```
/// use rustling_query::{Database, QueryBuilder};
///
/// #[derive(Debug, QueryBuilder)]
/// #[query_builder(table = "customer")]
/// struct Customer {
///     id: i32,
///     name: String,
///     email: Option<String>,
/// }
///
/// # fn main() -> rustling_query::Result<()> {
/// let db = Database::in_memory()?;
/// # db.execute_script(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/migrations/0001_shop.sql")))?;
/// let reachable = Customer::query()
///     .filter(Customer::name().like("A%").and(Customer::email().is_not_null()))
///     .order_by(Customer::name().asc())
///     .limit(10)
///     .fetch_all(&db)?;
/// # assert!(reachable.is_empty());
/// # Ok(())
/// # }
/// ```
#[must_use = "a query runs when its rows are fetched"]
pub struct Select<R> {
    filter: Option<Condition<R>>,
    order: Vec<Order<R>>,
    limit: Option<i64>,
    offset: Option<i64>,
    failed: Option<Error>,
}

impl<R> fmt::Debug for Select<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("filter", &self.filter)
            .field("order", &self.order)
            .field("limit", &self.limit)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl<R: Table> Default for Select<R> {
    fn default() -> Select<R> {
        Select {
            filter: None,
            order: Vec::new(),
            limit: None,
            offset: None,
            failed: None,
        }
    }
}

impl<R: Table> Select<R> {
    /// Only rows for which the condition is true, beside earlier ones.
    pub fn filter(mut self, condition: Condition<R>) -> Select<R> {
        self.filter = Some(match self.filter.take() {
            Some(before) => before.and(condition),
            None => condition,
        });
        self
    }

    /// In this order; a second one decides between equals.
    pub fn order_by(mut self, order: Order<R>) -> Select<R> {
        self.order.push(order);
        self
    }

    /// At most so many rows.
    pub fn limit(mut self, limit: i64) -> Select<R> {
        self.limit = Some(limit);
        self
    }

    /// Without so many rows at the front. To page through many rows, [`Select::after`] is quicker
    /// and neither skips nor repeats rows when others come or go.
    pub fn offset(mut self, offset: i64) -> Select<R> {
        self.offset = Some(offset);
        self
    }

    /// Only the rows behind `last` in the order so far, which the primary key completes: the next
    /// page. `None`: from the start.
    ///
    /// The columns of the order must not be NULL in `last`, which is an error when the query runs,
    /// and rows that have a NULL there are not behind anything.
    pub fn after(mut self, last: Option<&R>) -> Select<R> {
        for key in key_columns::<R>() {
            if !self.order.iter().any(|order| order.column == key) {
                self.order.push(Order::by(key, false));
            }
        }
        let Some(last) = last else {
            return self;
        };
        let mut behind: Option<Condition<R>> = None;
        for order in self.order.iter().rev() {
            let name = R::COLUMNS[order.column].name;
            let value = last.value(order.column);
            if value.is_null() {
                self.failed = Some(
                    Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("rows cannot be found after a NULL in column {name}"),
                    )
                    .hint("Order by columns that are NOT NULL."),
                );
                return self;
            }
            let compare = |operator| {
                Condition::of(vec![
                    Part::Text(name),
                    Part::Text(operator),
                    Part::Value(value.clone()),
                ])
            };
            let beyond = compare(if order.descending { " < " } else { " > " });
            behind = Some(match behind {
                None => beyond,
                Some(rest) => beyond.or(compare(" = ").and(rest)),
            });
        }
        match behind {
            Some(condition) => self.filter(condition),
            None => {
                self.failed = Some(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("the rows of {} have no primary key to page by", R::NAME),
                ));
                self
            }
        }
    }

    /// The statement.
    #[must_use]
    pub fn statement(self) -> Statement {
        let mut statement = Statement::empty();
        statement.push_text("SELECT ");
        super::rows::push_names::<R>(&mut statement, |_| true);
        statement.push_text(" FROM ");
        statement.push_text(R::NAME);
        push_filter(&mut statement, self.filter);
        for (at, order) in self.order.iter().enumerate() {
            statement.push_text(if at == 0 { " ORDER BY " } else { ", " });
            statement.push_text(R::COLUMNS[order.column].name);
            if order.descending {
                statement.push_text(" DESC");
            }
        }
        for (word, count) in [(" LIMIT ", self.limit), (" OFFSET ", self.offset)] {
            if let Some(count) = count {
                statement.push_text(word);
                statement.push_value(count.into());
            }
        }
        statement
    }

    fn query<'c>(mut self, on: impl Into<Connection<'c>>) -> Result<Query<Connection<'c>, R>> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(Query::new(on.into(), self.statement(), R::from_row)),
        }
    }

    /// All rows.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn fetch_all<'c>(self, on: impl Into<Connection<'c>>) -> Result<Vec<R>> {
        self.query(on)?.fetch_all()
    }

    /// The first row, where there is one.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn fetch_optional<'c>(self, on: impl Into<Connection<'c>>) -> Result<Option<R>> {
        self.limit(1).query(on)?.fetch_optional()
    }

    /// The first row.
    ///
    /// # Errors
    /// What the query fails with; no_data (02000) where there is no row.
    pub fn fetch_one<'c>(self, on: impl Into<Connection<'c>>) -> Result<R> {
        self.limit(1).query(on)?.fetch_one()
    }

    /// The rows as they come.
    ///
    /// # Errors
    /// What the query fails with; later errors come with the rows.
    pub fn stream<'c>(self, on: impl Into<Connection<'c>>) -> Result<crate::Stream<R>> {
        self.query(on)?.stream()
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn count<'c>(self, on: impl Into<Connection<'c>>) -> Result<i64> {
        let mut statement = Statement::empty();
        statement.push_text("SELECT count(*) FROM ");
        statement.push_text(R::NAME);
        push_filter(&mut statement, self.filter);
        Query::new(on.into(), statement, |row| row.get(0)).fetch_one()
    }

    /// Deletes the rows of the filter; order and limit do not count. Gives their number.
    ///
    /// # Errors
    /// What the statement fails with.
    pub fn delete<'c>(self, on: impl Into<Connection<'c>>) -> Result<u64> {
        let mut statement = Statement::empty();
        statement.push_text("DELETE FROM ");
        statement.push_text(R::NAME);
        push_filter(&mut statement, self.filter);
        crate::query::execute(on.into(), statement)
    }

    /// Sets a column of the rows of the filter.
    pub fn set<F: Field>(self, column: Column<R, F>, value: impl Parameter<F::Sql>) -> Update<R> {
        Update::new(self.filter).set(column, value)
    }
}

pub(super) fn push_filter<R>(statement: &mut Statement, filter: Option<Condition<R>>) {
    if let Some(filter) = filter {
        statement.push_text(" WHERE ");
        filter.write(statement);
    }
}
