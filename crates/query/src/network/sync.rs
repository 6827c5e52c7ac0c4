//! Connections of the crate `postgres`, which wait for their answers.

use std::fmt;

use postgres::{GenericClient, types::ToSql};
use rustling_sql::{Result, Row, Value};

use super::{Parameter, columns, failed, row};

/// A client or a transaction of it.
pub(crate) trait Client {
    /// All rows of a query.
    fn rows(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>>;

    /// Runs a statement; the number of rows affected.
    fn run(&mut self, sql: &str, values: Vec<Value>) -> Result<u64>;
}

impl fmt::Debug for dyn Client + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl<C: GenericClient> Client for C {
    fn rows(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let parameters: Vec<Parameter> = values.into_iter().map(Parameter).collect();
        let found = self
            .query(sql, &borrowed(&parameters))
            .map_err(|error| failed(error, sql))?;
        let Some(first) = found.first() else {
            return Ok(Vec::new());
        };
        let columns = columns(first.columns());
        found.iter().map(|found| row(&columns, found)).collect()
    }

    fn run(&mut self, sql: &str, values: Vec<Value>) -> Result<u64> {
        let parameters: Vec<Parameter> = values.into_iter().map(Parameter).collect();
        self.execute(sql, &borrowed(&parameters))
            .map_err(|error| failed(error, sql))
    }
}

fn borrowed(parameters: &[Parameter]) -> Vec<&(dyn ToSql + Sync)> {
    parameters
        .iter()
        .map(|parameter| parameter as &(dyn ToSql + Sync))
        .collect()
}
