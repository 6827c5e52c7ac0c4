//! FOR UPDATE and its like: which rows a SELECT locks.

use std::sync::Arc;

use super::{Binder, expr::column_expr, query::BoundQuery, scope::ScopeColumn, unsupported};
use crate::{
    ast::{LockingClause, Query, QueryBody, Select, TableAlias},
    bound::{ColumnId, Expr, LogicalPlan, RowLock},
    catalog::{Table, access::Privileges},
    error::{Error, Result, SqlState},
    span::Span,
    types::DataType,
};

/// The locking clauses of the SELECT being bound, and what they have found to lock.
pub(super) struct Locking<'a> {
    clauses: &'a [LockingClause],
    locks: Vec<RowLock>,
    /// The names that FROM has given, as far as they can be locked.
    lockable: Vec<String>,
}

impl<'a> Binder<'a> {
    /// Binds a SELECT with the locking clauses behind it. True: the plan has columns beyond the
    /// result's.
    pub(super) fn locking_select(
        &mut self,
        query: &'a Query,
        select: &'a Select,
    ) -> Result<(BoundQuery, bool)> {
        let Some(first) = query.locking.first() else {
            return self.select(select, &query.order_by);
        };
        let word = if select.distinct.is_some() {
            Some("DISTINCT clause")
        } else if select.group_by.is_some() {
            Some("GROUP BY clause")
        } else if select.having.is_some() {
            Some("HAVING clause")
        } else {
            None
        };
        if let Some(word) = word {
            return Err(not_allowed(first, word));
        }
        self.locking = Some(Locking {
            clauses: &query.locking,
            locks: Vec::new(),
            lockable: Vec::new(),
        });
        let result = self.select(select, &query.order_by);
        let locking = self.locking.take();
        let (mut bound, hidden) = result?;
        let Some(Locking {
            locks, lockable, ..
        }) = locking
        else {
            return Ok((bound, hidden));
        };
        for name in query.locking.iter().flat_map(|clause| &clause.of) {
            if !lockable.contains(&name.name) {
                return Err(Error::new(
                    SqlState::UNDEFINED_TABLE,
                    format!(
                        "relation \"{}\" in {} clause not found in FROM clause",
                        name.name, first.strength
                    ),
                )
                .at(name.span));
            }
        }
        if locks.is_empty() {
            return Ok((bound, hidden));
        }
        bound.plan = LogicalPlan::LockRows {
            input: Box::new(bound.plan),
            locks,
        };
        Ok((bound, true))
    }

    /// Refuses locking clauses where there are no rows of tables to lock.
    pub(super) fn refuse_locking(&self, query: &Query) -> Result<()> {
        match (&query.body, query.locking.first()) {
            (QueryBody::Select(_), _) | (_, None) => Ok(()),
            (QueryBody::Values(_), Some(clause)) => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{} cannot be applied to VALUES", clause.strength),
            )
            .at(clause.span)),
            (QueryBody::SetOperation { .. }, Some(clause)) => {
                Err(not_allowed(clause, "UNION/INTERSECT/EXCEPT"))
            }
            (_, Some(clause)) => Err(unsupported(
                "locking rows of TABLE or of a query is",
                clause.span,
            )
            .hint("Write SELECT * FROM it, with the locking clause behind.")),
        }
    }

    /// Whether (and how) the rows of a table in FROM are to be locked: then the column of their
    /// keys, which the scan must give.
    pub(super) fn lock_target(
        &mut self,
        table: &Arc<Table>,
        alias: Option<&TableAlias>,
    ) -> Option<ColumnId> {
        let id = self.column_id();
        let locking = self.locking.as_mut()?;
        let name = alias.map_or(&table.name, |alias| &alias.name.name);
        locking.lockable.push(name.clone());
        let concerns = |clause: &&LockingClause| {
            clause.of.is_empty() || clause.of.iter().any(|of| of.name == *name)
        };
        // Of several the strongest, and the most impatient, as PostgreSQL has it.
        let clauses = locking.clauses.iter().filter(concerns);
        let strength = clauses.clone().map(|clause| clause.strength).max()?;
        let wait = clauses.map(|clause| clause.wait).max()?;
        locking.locks.push(RowLock {
            table: Arc::clone(table),
            row_key: id,
            strength,
            wait,
        });
        self.note_need(table, Privileges::UPDATE, Some(&[]));
        Some(id)
    }

    /// Refuses to lock the rows of something in FROM that is no table.
    pub(super) fn refuse_lock_of_query(
        &self,
        alias: Option<&TableAlias>,
        span: Span,
    ) -> Result<()> {
        let Some(locking) = &self.locking else {
            return Ok(());
        };
        let name = alias.map(|alias| &alias.name.name);
        let concerned = locking.clauses.iter().any(|clause| {
            clause.of.is_empty() || clause.of.iter().any(|of| Some(&of.name) == name)
        });
        if concerned {
            return Err(unsupported("locking the rows of a subquery is", span)
                .hint("Write the locking clause in the subquery."));
        }
        Ok(())
    }

    /// The columns of row keys that the SELECT being bound needs for its locks.
    pub(super) fn lock_columns(&self, span: Span) -> Vec<(ColumnId, Expr)> {
        let locks = self.locking.iter().flat_map(|locking| &locking.locks);
        locks
            .map(|lock| {
                let column = ScopeColumn {
                    name: String::new(),
                    id: lock.row_key,
                    data_type: DataType::Bytea,
                    nullable: true,
                };
                (lock.row_key, column_expr(&column, span))
            })
            .collect()
    }

    /// Refuses locking clauses of a SELECT that aggregates.
    pub(super) fn refuse_locked_aggregates(&self) -> Result<()> {
        match self
            .locking
            .as_ref()
            .and_then(|locking| locking.clauses.first())
        {
            Some(clause) => Err(not_allowed(clause, "aggregate functions")),
            None => Ok(()),
        }
    }
}

fn not_allowed(clause: &LockingClause, with: &str) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{} is not allowed with {with}", clause.strength),
    )
    .at(clause.span)
}
