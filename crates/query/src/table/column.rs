//! Columns with their types.

use std::{fmt, marker::PhantomData};

use rustling_sql::Value;

use super::{Condition, Field, Table, condition::Part};
use crate::{Parameter, sql_type};

/// A column of the table of `R`, with values of type `F`.
pub struct Column<R, F> {
    at: usize,
    types: PhantomData<fn() -> (R, F)>,
}

impl<R, F> Clone for Column<R, F> {
    fn clone(&self) -> Column<R, F> {
        *self
    }
}

impl<R, F> Copy for Column<R, F> {}

impl<R: Table, F> fmt::Debug for Column<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Column").field(&self.name()).finish()
    }
}

/// A column to order by.
pub struct Order<R> {
    pub(super) column: usize,
    pub(super) descending: bool,
    row: PhantomData<fn() -> R>,
}

impl<R> Clone for Order<R> {
    fn clone(&self) -> Order<R> {
        *self
    }
}

impl<R> Copy for Order<R> {}

impl<R> fmt::Debug for Order<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("column", &self.column)
            .field("descending", &self.descending)
            .finish()
    }
}

impl<R> Order<R> {
    pub(super) fn by(column: usize, descending: bool) -> Order<R> {
        Order {
            column,
            descending,
            row: PhantomData,
        }
    }
}

/// Ascending.
impl<R, F> From<Column<R, F>> for Order<R> {
    fn from(column: Column<R, F>) -> Order<R> {
        Order::by(column.at, false)
    }
}

/// What rows are ordered by: a column, or an [`Order`] of one.
#[diagnostic::on_unimplemented(
    message = "rows of `{R}` are ordered by a column of theirs, not by `{Self}`",
    note = "write the column: order_by(User::name().asc()), or .desc(); an order that the reader chooses is a `match` of these"
)]
pub trait OrderOf<R> {
    /// The order.
    fn order(self) -> Order<R>;
}

#[diagnostic::do_not_recommend]
impl<R, T: Into<Order<R>>> OrderOf<R> for T {
    fn order(self) -> Order<R> {
        self.into()
    }
}

impl<R, F> Column<R, F> {
    /// The column at a position of [`Table::COLUMNS`].
    #[doc(hidden)]
    #[must_use]
    pub const fn at(at: usize) -> Column<R, F> {
        Column {
            at,
            types: PhantomData,
        }
    }
}

impl<R: Table, F: Field> Column<R, F> {
    pub(super) fn position(self) -> usize {
        self.at
    }

    fn compare(self, operator: &'static str, value: &dyn Parameter<F::Sql>) -> Condition<R> {
        Condition::of(vec![
            Part::Text(self.name()),
            Part::Text(operator),
            Part::Value(value.value()),
        ])
    }

    fn test(self, what: &'static str) -> Condition<R> {
        Condition::of(vec![Part::Text(self.name()), Part::Text(what)])
    }

    /// Equal; to `None`: NULL.
    pub fn eq(self, value: impl Parameter<F::Sql>) -> Condition<R> {
        match value.value() {
            Value::Null => self.is_null(),
            _ => self.compare(" = ", &value),
        }
    }

    /// Not equal; to `None`: not NULL.
    pub fn ne(self, value: impl Parameter<F::Sql>) -> Condition<R> {
        match value.value() {
            Value::Null => self.is_not_null(),
            _ => self.compare(" <> ", &value),
        }
    }

    /// Less.
    pub fn lt(self, value: impl Parameter<F::Sql>) -> Condition<R> {
        self.compare(" < ", &value)
    }

    /// Less or equal.
    pub fn le(self, value: impl Parameter<F::Sql>) -> Condition<R> {
        self.compare(" <= ", &value)
    }

    /// Greater.
    pub fn gt(self, value: impl Parameter<F::Sql>) -> Condition<R> {
        self.compare(" > ", &value)
    }

    /// Greater or equal.
    pub fn ge(self, value: impl Parameter<F::Sql>) -> Condition<R> {
        self.compare(" >= ", &value)
    }

    /// Between two values, both included.
    pub fn between(
        self,
        low: impl Parameter<F::Sql>,
        high: impl Parameter<F::Sql>,
    ) -> Condition<R> {
        self.ge(low).and(self.le(high))
    }

    /// One of the list.
    pub fn is_in(self, list: impl Parameter<sql_type::Array<F::Sql>>) -> Condition<R> {
        self.in_values(" = ANY (", list.value())
    }

    /// None of the list.
    pub fn is_not_in(self, list: impl Parameter<sql_type::Array<F::Sql>>) -> Condition<R> {
        self.in_values(" <> ALL (", list.value())
    }

    fn in_values(self, operator: &'static str, list: Value) -> Condition<R> {
        Condition::of(vec![
            Part::Text(self.name()),
            Part::Text(operator),
            Part::Value(list),
            Part::Text(")"),
        ])
    }

    /// NULL.
    #[must_use]
    pub fn is_null(self) -> Condition<R> {
        self.test(" IS NULL")
    }

    /// Not NULL.
    #[must_use]
    pub fn is_not_null(self) -> Condition<R> {
        self.test(" IS NOT NULL")
    }

    /// In ascending order.
    #[must_use]
    pub fn asc(self) -> Order<R> {
        Order::by(self.at, false)
    }

    /// In descending order.
    #[must_use]
    pub fn desc(self) -> Order<R> {
        Order::by(self.at, true)
    }
}

impl<R: Table, F> Column<R, F> {
    /// Its name as SQL writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        R::COLUMNS[self.at].name
    }
}

impl<R: Table, F: Field<Sql = sql_type::Text>> Column<R, F> {
    /// `LIKE`: `%` stands for any text, `_` for any character.
    pub fn like(self, pattern: impl Parameter<sql_type::Text>) -> Condition<R> {
        self.compare(" LIKE ", &pattern)
    }

    /// `ILIKE`: as [`Column::like`], upper and lower case alike.
    pub fn ilike(self, pattern: impl Parameter<sql_type::Text>) -> Condition<R> {
        self.compare(" ILIKE ", &pattern)
    }
}
