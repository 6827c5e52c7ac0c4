//! Statements over PostgreSQL's wire protocol: values as parameters, rows as values.

mod error;
mod sql_states;
#[cfg(feature = "postgres")]
mod sync;
mod values;

pub(crate) use error::failed;
#[cfg(feature = "postgres")]
pub(crate) use sync::Client;
pub(crate) use values::{Parameter, columns, row};
