//! Reading one row by its whole primary key: the shortest way through the engine.
//!
//! Such a query needs no operators, and outside a transaction block no transaction either: one
//! look at one key sees one commit, which is what READ COMMITTED to SNAPSHOT promise of a
//! statement that is a transaction of its own. Whether a plan has this form is decided when it
//! is made.

use std::sync::Arc;

use rustling_storage::KeyspaceId;
use smallvec::SmallVec;

use crate::{
    DataType, Result, Value,
    bound::{ColumnId, Expr, ExprKind},
    encoding::RowDecoder,
    engine::{
        error::{storage_error, txn_error},
        prepared::{Planned, QueryAction},
        rows::Rows,
        session::Session,
        table::TableHandle,
    },
    executor::RowBuffer,
    planner::physical::{AccessPath, KeyValues, PhysicalNode, PhysicalPlan, QueryPlan},
};

/// Longer keys are encoded on the heap.
const KEY_BYTES: usize = 64;

/// A query for columns of the one row that has a certain primary key.
#[derive(Debug)]
pub(crate) struct PointRead {
    table: Arc<TableHandle>,
    /// What the key's columns equal: parameters and literals of their types.
    key: Vec<KeyPart>,
    /// Reads the columns of the result, in order.
    decoder: RowDecoder,
    width: usize,
}

#[derive(Debug)]
enum KeyPart {
    Parameter(usize),
    Literal(Value),
}

impl PointRead {
    /// The point read that `plan` is, if it is one.
    pub(crate) fn of(plan: &QueryPlan) -> Option<PointRead> {
        if !plan.init.is_empty() {
            return None;
        }
        let (scan, columns) = scan_below(&plan.root)?;
        let PhysicalNode::Scan(node) = &scan.node else {
            return None;
        };
        let layout = node.table.codec.key.as_ref()?;
        let [only] = node.condition.alternatives.as_slice() else {
            return None;
        };
        let is_point = node.path == AccessPath::Table
            && layout.columns().len() == only.equal.len()
            && node.filter.is_empty()
            && node.row_key.is_none();
        if !is_point {
            return None;
        }
        let mut ordinals = Vec::with_capacity(columns.len());
        for id in columns {
            let at = scan.columns.iter().position(|column| column.id == id)?;
            let ordinal = *node.ordinals.get(at)?;
            if ordinals.contains(&ordinal) {
                return None;
            }
            ordinals.push(ordinal);
        }
        let columns = layout.columns().iter();
        let key = only.equal.iter().zip(columns).map(|(values, column)| {
            let KeyValues::One(value) = values else {
                return None;
            };
            part(&value.expr, column.data_type.of_values())
        });
        Some(PointRead {
            key: key.collect::<Option<_>>()?,
            decoder: RowDecoder::new(Arc::clone(&node.table.codec), &ordinals),
            width: ordinals.len(),
            table: Arc::clone(&node.table),
        })
    }

    /// Reads the row, if there is one, through `get`, which runs a closure on the value of a key.
    #[inline]
    fn read(
        &self,
        parameters: &[Value],
        get: impl FnOnce(
            KeyspaceId,
            &[u8],
            &mut dyn FnMut(&[u8]) -> Result<()>,
        ) -> Result<Option<Result<()>>>,
    ) -> Result<Option<RowBuffer>> {
        let Some(layout) = &self.table.codec.key else {
            return Ok(None);
        };
        let mut values: SmallVec<[&Value; 4]> = SmallVec::new();
        for part in &self.key {
            let value = match part {
                KeyPart::Parameter(at) => parameters.get(*at).unwrap_or(&Value::Null),
                KeyPart::Literal(value) => value,
            };
            if value.is_null() {
                return Ok(None);
            }
            values.push(value);
        }
        let mut key = Vec::with_capacity(KEY_BYTES);
        layout.encode(values, &mut key)?;
        let mut row = vec![Value::Null; self.width];
        let mut decode = |stored: &[u8]| {
            self.decoder
                .decode_values(&key, stored, &mut Vec::new(), &mut row)
        };
        match get(self.table.keyspace, &key, &mut decode)? {
            None => Ok(None),
            Some(decoded) => decoded.map(|()| Some(row)),
        }
    }
}

/// The scan that gives all that `plan` gives, and the columns that `plan` gives of it.
fn scan_below(plan: &PhysicalPlan) -> Option<(&PhysicalPlan, Vec<ColumnId>)> {
    match &plan.node {
        PhysicalNode::Scan(_) => {
            let columns = plan.columns.iter().map(|column| column.id);
            Some((plan, columns.collect()))
        }
        PhysicalNode::Project { input, items } => {
            let columns = items.iter().map(|item| match item.expr.kind {
                ExprKind::Column(id) => Some(id),
                _ => None,
            });
            Some((input, columns.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

/// The value of a key column of type `of`.
fn part(expr: &Expr, of: DataType) -> Option<KeyPart> {
    // What is of another type must first be looked for among the column's values.
    if of.is_integer() && expr.data_type != of {
        return None;
    }
    match &expr.kind {
        ExprKind::Parameter(at) => Some(KeyPart::Parameter(*at)),
        ExprKind::Literal(value) => Some(KeyPart::Literal(value.clone())),
        _ => None,
    }
}

impl super::database::Database {
    /// Runs a point read that is a transaction of its own; `None`: its plan is stale.
    #[inline]
    pub(super) fn read_point(
        &self,
        planned: &Planned,
        query: &QueryAction,
        point: &PointRead,
        parameters: &[Value],
    ) -> Result<Option<Rows>> {
        let snapshot = self.store().snapshot_ref();
        if !planned.fits(&self.inner) {
            return Ok(None);
        }
        let row = point.read(parameters, |keyspace, key, read| {
            snapshot
                .get_with(keyspace, key, read)
                .map_err(storage_error)
        })?;
        Ok(Some(Rows::one(Arc::clone(&query.columns), row)))
    }
}

impl Session {
    /// Runs a point read; `None`: its plan is stale.
    pub(super) fn run_point(
        &mut self,
        planned: &Planned,
        query: &QueryAction,
        point: &PointRead,
        parameters: &[Value],
    ) -> Result<Option<Rows>> {
        let Some(open) = &mut self.open else {
            return self.database.read_point(planned, query, point, parameters);
        };
        open.begin_statement();
        if !open.fits(planned, &self.database.inner) {
            open.end_statement();
            return Ok(None);
        }
        let row = point.read(parameters, |keyspace, key, read| {
            open.transaction
                .get_with(keyspace, key, read)
                .map_err(txn_error)
        });
        open.end_statement();
        Ok(Some(Rows::one(Arc::clone(&query.columns), row?)))
    }
}
