//! Connections of the crate `tokio-postgres` (feature `tokio-postgres`).

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustling_sql::{Result, ResultColumn, Row};
use tokio_postgres::{RowStream, types::BorrowToSql};

use super::{
    AsyncConnection,
    connection::{Incoming, Kind, Network, Promise},
};
use crate::{
    Connect, Statement,
    network::{Parameter, columns, failed, row},
};

macro_rules! connections {
    ($($client:ty),*) => { $(
        impl Network for $client {
            fn query(&self, statement: Statement) -> Promise<'_, Incoming> {
                Box::pin(async move {
                    let (text, parameters) = on_wire(statement);
                    match self.query_raw(&*text, parameters).await {
                        Ok(rows) => Ok(Box::pin(Rows {
                            rows: Box::pin(rows),
                            columns: None,
                        }) as Incoming),
                        Err(error) => Err(failed(error, &text)),
                    }
                })
            }

            fn execute(&self, statement: Statement) -> Promise<'_, u64> {
                Box::pin(async move {
                    let (text, parameters) = on_wire(statement);
                    self.execute_raw(&*text, parameters)
                        .await
                        .map_err(|error| failed(error, &text))
                })
            }
        }

        impl Connect for $client {
            type Connection<'a>
                = AsyncConnection<'a>
            where
                Self: 'a;

            fn as_connection(&self) -> AsyncConnection<'_> {
                AsyncConnection(Kind::Network(self))
            }
        }
    )* };
}

connections! { tokio_postgres::Client, tokio_postgres::Transaction<'_> }

type Text = std::borrow::Cow<'static, str>;

fn on_wire(
    statement: Statement,
) -> (
    Text,
    impl ExactSizeIterator<Item = impl BorrowToSql + Send> + Send,
) {
    let (text, values) = statement.into_parts();
    (text, values.into_iter().map(Parameter))
}

/// Rows as they arrive.
struct Rows {
    rows: Pin<Box<RowStream>>,
    /// Known with the first row.
    columns: Option<Arc<[ResultColumn]>>,
}

impl futures_core::Stream for Rows {
    type Item = Result<Row>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Row>>> {
        let found = ready!(self.rows.as_mut().poll_next(context));
        Poll::Ready(found.map(|found| {
            let found = found.map_err(|error| failed(error, ""))?;
            let columns = self.columns.get_or_insert_with(|| columns(found.columns()));
            row(columns, &found)
        }))
    }
}
