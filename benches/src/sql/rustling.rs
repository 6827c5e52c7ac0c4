//! RustlingDB, embedded: a session per client, statements prepared once.

use std::path::Path;

use rustling_sql::{Database, DatabaseOptions, Error, Session, Statement, StatementResult, Value};

use super::client::{Cell, Client, Durability, Failure, Result, Row, SqlDatabase, StatementId};

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        if error.is_retryable() {
            Failure::GiveWay
        } else {
            Failure::Other(Box::new(error))
        }
    }
}

/// A database.
pub struct Rustling(Database);

impl Rustling {
    /// Opens or creates the database.
    pub fn open(path: &Path, memory: usize) -> Result<Rustling> {
        let mut options = DatabaseOptions::default();
        options.store.memory_budget = memory;
        Ok(Rustling(Database::open_with(path, options)?))
    }
}

impl SqlDatabase for Rustling {
    fn client(&self, durability: Durability) -> Result<Box<dyn Client>> {
        let mut session = self.0.session();
        session.set(
            "durability",
            match durability {
                Durability::Full => "sync",
                Durability::Relaxed => "async",
            },
        )?;
        Ok(Box::new(Connection {
            session,
            statements: Vec::new(),
            row: Vec::new(),
        }))
    }

    fn settle(&self) -> Result<()> {
        self.0.session().analyze(None)?;
        Ok(self.0.checkpoint()?)
    }
}

struct Connection {
    session: Session,
    statements: Vec<Statement>,
    row: Vec<Value>,
}

impl Connection {
    fn run(&mut self, statement: StatementId, parameters: &[Cell<'_>]) -> Result<StatementResult> {
        let statement = self
            .statements
            .get(statement)
            .ok_or_else(|| Failure::text("a statement was not prepared"))?;
        let values: Vec<Value> = parameters
            .iter()
            .map(|cell| match cell {
                Cell::Null => Value::Null,
                Cell::Int(number) => Value::Int8(*number),
                Cell::Text(text) => Value::Text((*text).into()),
            })
            .collect();
        Ok(self.session.run_statement(statement, values)?)
    }
}

impl Row for Vec<Value> {
    fn int(&self, at: usize) -> i64 {
        match self.get(at) {
            Some(Value::Int8(number)) => *number,
            Some(Value::Int4(number)) => i64::from(*number),
            Some(Value::Decimal(number)) => number.to_string().parse().unwrap_or_default(),
            _ => 0,
        }
    }

    fn text(&self, at: usize) -> &str {
        match self.get(at) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }
}

impl Client for Connection {
    fn prepare(&mut self, sql: &str) -> Result<StatementId> {
        self.statements.push(self.session.prepare(sql)?);
        Ok(self.statements.len() - 1)
    }

    fn query(
        &mut self,
        statement: StatementId,
        parameters: &[Cell<'_>],
        read: &mut dyn FnMut(&dyn Row),
    ) -> Result<()> {
        let StatementResult::Rows(mut rows) = self.run(statement, parameters)? else {
            return Err(Failure::text("a query gave no rows"));
        };
        while rows.next_into(&mut self.row)? {
            read(&self.row);
        }
        Ok(())
    }

    fn once(&mut self, sql: &str, read: &mut dyn FnMut(&dyn Row)) -> Result<()> {
        let mut rows = self.session.query(sql, ())?;
        while rows.next_into(&mut self.row)? {
            read(&self.row);
        }
        Ok(())
    }

    fn execute(&mut self, statement: StatementId, parameters: &[Cell<'_>]) -> Result<u64> {
        match self.run(statement, parameters)? {
            StatementResult::Done { affected, .. } => Ok(affected),
            StatementResult::Rows(_) | StatementResult::CopyIn(_) | StatementResult::CopyOut(_) => {
                Err(Failure::text("a change gave or took rows"))
            }
        }
    }

    fn begin(&mut self) -> Result<()> {
        Ok(self.session.begin()?)
    }

    fn commit(&mut self) -> Result<()> {
        Ok(self.session.commit()?)
    }

    fn rollback(&mut self) -> Result<()> {
        Ok(self.session.rollback()?)
    }
}
