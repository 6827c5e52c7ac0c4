//! Queries put together from typed parts.

use std::{fmt, iter};

use rustling_sql::{Error, Result, SqlState, Value};

use super::{
    Column, Condition, Field, Order, OrderOf, Runs, Table, Update, condition::Part, key_columns,
    runs::Fetch,
};
use crate::{Parameter, Statement, query::no_row};

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
    page: Option<Page>,
}

/// Which page of rows is wanted.
#[derive(Debug)]
enum Page {
    First,
    /// The one behind a row: the values of its columns.
    Behind(Vec<Value>),
}

impl<R> fmt::Debug for Select<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select")
            .field("filter", &self.filter)
            .field("order", &self.order)
            .field("limit", &self.limit)
            .field("offset", &self.offset)
            .field("page", &self.page)
            .finish()
    }
}

impl<R: Table> Default for Select<R> {
    fn default() -> Select<R> {
        Select {
            filter: None,
            order: Vec::new(),
            limit: None,
            offset: None,
            page: None,
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

    /// In this order, a column alone in ascending order; a second one decides between equals.
    pub fn order_by(mut self, order: impl OrderOf<R>) -> Select<R> {
        self.order.push(order.order());
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

    /// Only the rows behind `last` in the order, which the primary key completes: the next page.
    /// `None`: from the start. It does not matter whether [`Select::order_by`] stands before it or
    /// behind; a second one takes the place of the first.
    ///
    /// The columns of the order must not be NULL in `last`, and there must be an order or a primary
    /// key: what is run fails otherwise. Rows that have a NULL there are not behind anything.
    pub fn after(mut self, last: Option<&R>) -> Select<R> {
        self.page = Some(match last {
            None => Page::First,
            Some(last) => Page::Behind((0..R::COLUMNS.len()).map(|at| last.value(at)).collect()),
        });
        self
    }

    /// What [`Select::after`] stands for: the whole order, and a condition beside the others.
    fn paged(mut self) -> Result<Select<R>> {
        let Some(page) = self.page.take() else {
            return Ok(self);
        };
        for key in key_columns::<R>() {
            if !self.order.iter().any(|order| order.column == key) {
                self.order.push(Order::by(key, false));
            }
        }
        if self.order.is_empty() {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("the rows of {} have no primary key to page by", R::NAME),
            )
            .hint("Order them by columns that tell them apart."));
        }
        let Page::Behind(last) = page else {
            return Ok(self);
        };
        let mut behind: Option<Condition<R>> = None;
        for order in self.order.iter().rev() {
            let name = R::COLUMNS[order.column].name;
            let value = &last[order.column];
            if value.is_null() {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("rows cannot be found after a NULL in column {name}"),
                )
                .hint("Order by columns that are NOT NULL."));
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
        Ok(match behind {
            Some(condition) => self.filter(condition),
            None => self,
        })
    }

    /// The filter of a statement that changes all rows it finds.
    fn changed_rows(self, statement: &str) -> Result<Option<Condition<R>>> {
        if self.limit.is_some() || self.offset.is_some() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{statement} has neither limit nor offset"),
            )
            .hint("Fetch the rows first, and filter by their keys."));
        }
        Ok(self.paged()?.filter)
    }

    /// The statement.
    ///
    /// # Errors
    /// Where [`Select::after`] cannot be answered.
    pub fn statement(self) -> Result<Statement> {
        let of = self.paged()?;
        let mut statement = Statement::empty();
        statement.push_text("SELECT ");
        super::rows::push_names::<R>(&mut statement, |_| true);
        statement.push_text(" FROM ");
        statement.push_text(R::NAME);
        push_filter(&mut statement, of.filter);
        for (at, order) in of.order.iter().enumerate() {
            statement.push_text(if at == 0 { " ORDER BY " } else { ", " });
            statement.push_text(R::COLUMNS[order.column].name);
            if order.descending {
                statement.push_text(" DESC");
            }
        }
        push_limits(&mut statement, of.limit, of.offset);
        Ok(statement)
    }

    /// No more than the first row.
    pub(super) fn first(self) -> Select<R> {
        let limit = self.limit.map_or(1, |limit| limit.min(1));
        self.limit(limit)
    }

    /// All rows.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn fetch_all<On: Runs>(self, on: On) -> On::Output<Vec<R>> {
        on.run_query(Fetch::all(self.statement()))
    }

    /// The first row, where there is one.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn fetch_optional<On: Runs>(self, on: On) -> On::Output<Option<R>> {
        on.run_query(Fetch::optional(self.first().statement()))
    }

    /// The first row.
    ///
    /// # Errors
    /// What the query fails with; no_data (02000) where there is no row.
    pub fn fetch_one<On: Runs>(self, on: On) -> On::Output<R> {
        on.run_query(Fetch::one(self.first().statement()))
    }

    /// The rows as they come.
    ///
    /// # Errors
    /// What the query fails with; later errors come with the rows.
    pub fn stream<On: Runs>(self, on: On) -> On::Output<On::Stream<R>> {
        on.run_stream(self.statement())
    }

    /// How many rows there are, within limit and offset where those are given.
    ///
    /// # Errors
    /// What the query fails with.
    pub fn count<On: Runs>(self, on: On) -> On::Output<i64> {
        on.run_query(Fetch::new(self.count_statement(), |rows, _| {
            rows.next().ok_or_else(no_row)??.get(0)
        }))
    }

    fn count_statement(self) -> Result<Statement> {
        let of = self.paged()?;
        let is_limited = of.limit.is_some() || of.offset.is_some();
        let mut statement = Statement::empty();
        statement.push_text(if is_limited {
            "SELECT count(*) FROM (SELECT 1 AS counted FROM "
        } else {
            "SELECT count(*) FROM "
        });
        statement.push_text(R::NAME);
        push_filter(&mut statement, of.filter);
        if is_limited {
            push_limits(&mut statement, of.limit, of.offset);
            statement.push_text(") AS counted_rows");
        }
        Ok(statement)
    }

    /// Deletes the rows of the filter, and only those that [`Select::after`] leaves; their order
    /// does not matter. Gives their number.
    ///
    /// # Errors
    /// What the statement fails with; feature_not_supported (0A000) where a limit or an offset is
    /// given.
    pub fn delete<On: Runs>(self, on: On) -> On::Output<u64> {
        on.run_statements(iter::once(self.delete_statement()), |deleted| deleted)
    }

    fn delete_statement(self) -> Result<Statement> {
        let filter = self.changed_rows("DELETE")?;
        let mut statement = Statement::empty();
        statement.push_text("DELETE FROM ");
        statement.push_text(R::NAME);
        push_filter(&mut statement, filter);
        Ok(statement)
    }

    /// Sets a column of the rows of the filter, and only of those that [`Select::after`] leaves;
    /// their order does not matter. With a limit or an offset the update fails (0A000).
    pub fn set<F: Field>(self, column: Column<R, F>, value: impl Parameter<F::Sql>) -> Update<R> {
        Update::new(self.changed_rows("UPDATE")).set(column, value)
    }
}

pub(super) fn push_filter<R>(statement: &mut Statement, filter: Option<Condition<R>>) {
    if let Some(filter) = filter {
        statement.push_text(" WHERE ");
        filter.write(statement);
    }
}

fn push_limits(statement: &mut Statement, limit: Option<i64>, offset: Option<i64>) {
    for (word, count) in [(" LIMIT ", limit), (" OFFSET ", offset)] {
        if let Some(count) = count {
            statement.push_text(word);
            statement.push_value(count.into());
        }
    }
}
