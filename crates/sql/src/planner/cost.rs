//! Estimates: how many rows a plan gives.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use crate::{
    Value,
    bound::{
        BinaryOp, ColumnId, Expr, ExprKind, JoinKind, LogicalPlan, ScalarFunction, SharedId,
        UnaryOp,
    },
    catalog::TableId,
    planner::{
        PlanContext,
        access::{equals_element, matching::elements},
        build::SERIES,
        expr_tools::is_comparison,
        plan_tools::inputs_mut,
        statistics::{ColumnStatistics, TableStatistics, default},
    },
};

/// How often the step of a recursive query is expected to run.
pub(crate) const RECURSIONS: f64 = 10.0;

/// Estimates rows from statistics.
pub(crate) struct Estimator<'a> {
    context: PlanContext<'a>,
    /// What is known of the tables asked for so far.
    known: RefCell<HashMap<TableId, Option<Arc<TableStatistics>>>>,
    /// Rows of the tables asked for so far.
    sizes: RefCell<HashMap<TableId, f64>>,
    /// Which table column a column id of a scan is.
    origins: HashMap<ColumnId, (TableId, usize)>,
    /// Rows of the WITH queries.
    shared: HashMap<SharedId, f64>,
}

impl<'a> Estimator<'a> {
    /// An estimator for `plan`.
    pub(crate) fn new(plan: &mut LogicalPlan, context: PlanContext<'a>) -> Estimator<'a> {
        let mut origins = HashMap::new();
        collect_origins(plan, &mut origins);
        let mut estimator = Estimator {
            context,
            known: RefCell::default(),
            sizes: RefCell::default(),
            origins,
            shared: HashMap::new(),
        };
        estimator.collect_shared(plan);
        estimator
    }

    fn collect_shared(&mut self, plan: &mut LogicalPlan) {
        match plan {
            LogicalPlan::With {
                id,
                definition,
                input,
                ..
            } => {
                self.collect_shared(definition);
                let rows = self.rows(definition);
                self.shared.insert(*id, rows);
                self.collect_shared(input);
            }
            LogicalPlan::Recursive { id, base, step, .. } => {
                self.collect_shared(base);
                let rows = self.rows(base);
                self.shared.insert(*id, rows);
                self.collect_shared(step);
            }
            _ => {
                for input in inputs_mut(plan) {
                    self.collect_shared(input);
                }
            }
        }
    }

    /// Whether the rules rewrite the plan, and its ways to rows are chosen among others.
    pub(crate) fn optimizes(&self) -> bool {
        self.context.optimizer
    }

    fn statistics(&self, table: TableId) -> Option<Arc<TableStatistics>> {
        if let Some(known) = self.known.borrow().get(&table) {
            return known.clone();
        }
        let found =
            (self.context.tables)(table).and_then(|handle| (self.context.statistics)(&handle));
        self.known.borrow_mut().insert(table, found.clone());
        found
    }

    /// Rows of a table.
    pub(crate) fn table_rows(&self, table: TableId) -> f64 {
        if let Some(rows) = self.sizes.borrow().get(&table) {
            return *rows;
        }
        let rows = match (self.context.tables)(table) {
            None => default::ROWS,
            Some(handle) => {
                let live = (self.context.rows)(&handle).map(|rows| rows as f64);
                let counted = handle.statistics.as_ref().map(|known| known.rows as f64);
                match (counted, live) {
                    // The size now is a rough one: it counts where the table has changed much.
                    (Some(counted), Some(live)) if live > 2.0 * counted || 2.0 * live < counted => {
                        live
                    }
                    (Some(counted), _) => counted,
                    // A table may be about to grow: plans live longer than a load.
                    (None, Some(live)) => live.max(default::ROWS),
                    (None, None) => default::ROWS,
                }
            }
        }
        .max(1.0);
        self.sizes.borrow_mut().insert(table, rows);
        rows
    }

    /// Distinct values of a column.
    fn column_distinct(&self, id: ColumnId) -> f64 {
        if let Some(known) = self.with_column(id, |column| column.distinct.max(1.0)) {
            return known;
        }
        match self.origins.get(&id) {
            Some((table, ordinal)) if self.is_unique(*table, *ordinal) => self.table_rows(*table),
            _ => default::DISTINCT,
        }
    }

    /// Whether a column alone is a key of its table.
    fn is_unique(&self, table: TableId, ordinal: usize) -> bool {
        (self.context.tables)(table).is_some_and(|handle| {
            handle.table.primary_key == [ordinal]
                || handle.indexes.iter().any(|index| {
                    index.unique
                        && index.predicate.is_none()
                        && index.ordinals.as_slice() == [ordinal]
                })
        })
    }

    fn with_column<R>(&self, id: ColumnId, read: impl FnOnce(&ColumnStatistics) -> R) -> Option<R> {
        let (table, ordinal) = self.origins.get(&id)?;
        let statistics = self.statistics(*table)?;
        statistics.columns.get(*ordinal).map(read)
    }

    /// Distinct values of an expression among `rows` rows.
    pub(crate) fn distinct(&self, expr: &Expr, rows: f64) -> f64 {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Parameter(_) => 1.0,
            ExprKind::Column(id) => self.column_distinct(*id).min(rows),
            ExprKind::Cast(operand) => self.distinct(operand, rows),
            _ => default::DISTINCT.min(rows),
        }
        .max(1.0)
    }

    /// The part of the rows for which `expr` is true.
    pub(crate) fn selectivity(&self, expr: &Expr) -> f64 {
        let selectivity = match &expr.kind {
            ExprKind::Literal(Value::Boolean(truth)) => f64::from(u8::from(*truth)),
            ExprKind::Column(id) => self.truth(*id, true),
            ExprKind::And(operands) => self.all(operands),
            ExprKind::Or(operands) => {
                1.0 - operands
                    .iter()
                    .map(|operand| 1.0 - self.selectivity(operand))
                    .product::<f64>()
            }
            ExprKind::Unary(UnaryOp::Not, operand) => match operand.kind {
                ExprKind::Column(id) => self.truth(id, false),
                _ => 1.0 - self.selectivity(operand),
            },
            ExprKind::Binary(op, left, right) if is_comparison(*op) => {
                self.comparison(*op, left, right)
            }
            ExprKind::IsDistinct {
                left,
                right,
                negated,
            } => {
                let same = self.comparison(BinaryOp::Equal, left, right);
                if *negated { same } else { 1.0 - same }
            }
            ExprKind::IsNull { operand, negated } => {
                let null = match operand.kind {
                    ExprKind::Column(id) => self
                        .with_column(id, |column| column.null_fraction)
                        .unwrap_or(default::NULL),
                    _ => default::NULL,
                };
                if *negated { 1.0 - null } else { null }
            }
            ExprKind::InList {
                operand,
                list,
                negated,
            } => {
                let sum: f64 = list
                    .iter()
                    .map(|value| self.comparison(BinaryOp::Equal, operand, value))
                    .sum();
                let sum = sum.min(1.0);
                if *negated { 1.0 - sum } else { sum }
            }
            ExprKind::Function(ScalarFunction::ArrayAny, arguments) => {
                match equals_element(arguments) {
                    Some((operand, array)) => {
                        let each = self.comparison(BinaryOp::Equal, operand, array);
                        (each * elements(array)).min(1.0)
                    }
                    None => default::CONDITION,
                }
            }
            ExprKind::Like { negated, .. } => {
                if *negated {
                    1.0 - default::MATCH
                } else {
                    default::MATCH
                }
            }
            _ => default::CONDITION,
        };
        selectivity.clamp(0.0, 1.0)
    }

    /// The part of the rows in which a boolean column has that value.
    fn truth(&self, column: ColumnId, value: bool) -> f64 {
        let equal = |of: &ColumnStatistics| of.equal(Some(&Value::Boolean(value)));
        self.with_column(column, equal)
            .unwrap_or(default::CONDITION)
    }

    /// The part of the rows for which all of `conjuncts` are true, taken as independent.
    pub(crate) fn all(&self, conjuncts: &[Expr]) -> f64 {
        conjuncts
            .iter()
            .map(|conjunct| self.selectivity(conjunct))
            .product()
    }

    fn comparison(&self, op: BinaryOp, left: &Expr, right: &Expr) -> f64 {
        let (column, op, other) = match (&left.kind, &right.kind) {
            (ExprKind::Column(left), ExprKind::Column(right)) => {
                let distinct = self
                    .column_distinct(*left)
                    .max(self.column_distinct(*right));
                let equal = 1.0 / distinct.max(1.0);
                return match op {
                    BinaryOp::Equal => equal,
                    BinaryOp::NotEqual => 1.0 - equal,
                    _ => default::RANGE,
                };
            }
            (ExprKind::Column(id), _) => (*id, op, right),
            (_, ExprKind::Column(id)) => (*id, crate::planner::expr_tools::mirrored(op), left),
            _ => {
                return match op {
                    BinaryOp::Equal => default::EQUAL,
                    BinaryOp::NotEqual => 1.0 - default::EQUAL,
                    _ => default::RANGE,
                };
            }
        };
        let value = match &other.kind {
            ExprKind::Literal(Value::Null) => return 0.0,
            ExprKind::Literal(value) => Some(value),
            _ => None,
        };
        let known = self.with_column(column, |statistics| {
            let present = 1.0 - statistics.null_fraction;
            match (op, value) {
                (BinaryOp::Equal, value) => statistics.equal(value),
                (BinaryOp::NotEqual, value) => present - statistics.equal(value),
                (BinaryOp::Less, Some(value)) => statistics.below(value, false),
                (BinaryOp::LessOrEqual, Some(value)) => statistics.below(value, true),
                (BinaryOp::Greater, Some(value)) => present - statistics.below(value, true),
                (BinaryOp::GreaterOrEqual, Some(value)) => present - statistics.below(value, false),
                _ => present * default::RANGE,
            }
        });
        known.unwrap_or(match op {
            BinaryOp::Equal => default::EQUAL.min(1.0 / self.column_distinct(column)),
            BinaryOp::NotEqual => 1.0 - default::EQUAL,
            _ => default::RANGE,
        })
    }

    /// Rows of a join of inputs with these row counts.
    pub(crate) fn join_rows(&self, kind: JoinKind, left: f64, right: f64, on: &[Expr]) -> f64 {
        let matches = left * right * self.all(on);
        match kind {
            JoinKind::Inner => matches.max(1.0),
            JoinKind::Left => matches.max(left),
            JoinKind::Right => matches.max(right),
            JoinKind::Full => matches.max(left).max(right),
            JoinKind::Semi => (left * 0.5).max(1.0).min(matches.max(1.0)),
            JoinKind::Anti => (left * 0.5).max(1.0),
            JoinKind::Mark(_) | JoinKind::Exists(_) | JoinKind::Single => left,
        }
    }

    /// Rows that `plan` gives.
    pub(crate) fn rows(&self, plan: &LogicalPlan) -> f64 {
        match plan {
            LogicalPlan::Scan { table, filter, .. } => {
                (self.table_rows(table.id) * self.all(filter)).max(1.0)
            }
            LogicalPlan::Values { rows, .. } => rows.len() as f64,
            LogicalPlan::Buffered { .. } => super::build::BUFFERED_ROWS,
            LogicalPlan::TableFunctions { .. } => SERIES,
            LogicalPlan::With { input, .. } => self.rows(input),
            LogicalPlan::SharedScan { id, .. } => {
                self.shared.get(id).copied().unwrap_or(default::ROWS)
            }
            LogicalPlan::Recursive { base, step, .. } => {
                self.rows(base) + RECURSIONS * self.rows(step)
            }
            LogicalPlan::Filter { input, predicates } => {
                (self.rows(input) * self.all(predicates)).max(1.0)
            }
            LogicalPlan::Project { input, .. }
            | LogicalPlan::Window { input, .. }
            | LogicalPlan::LockRows { input, .. }
            | LogicalPlan::Sort { input, .. } => self.rows(input),
            LogicalPlan::Join {
                kind,
                left,
                right,
                on,
            }
            | LogicalPlan::Apply {
                kind,
                left,
                right,
                on,
                ..
            } => self.join_rows(*kind, self.rows(left), self.rows(right), on),
            LogicalPlan::Aggregate { input, keys, .. } => {
                let rows = self.rows(input);
                self.groups(keys.iter().map(|(_, expr)| expr), rows)
            }
            LogicalPlan::Distinct { input, .. } => (self.rows(input) * 0.5).max(1.0),
            LogicalPlan::Limit { input, limit, .. } => {
                let rows = self.rows(input);
                match limit.as_ref().map(|limit| &limit.kind) {
                    Some(ExprKind::Literal(Value::Int8(limit))) => rows.min((*limit).max(0) as f64),
                    Some(_) => (rows * 0.1).max(1.0),
                    None => rows,
                }
            }
            LogicalPlan::UnionAll { inputs, .. } => {
                inputs.iter().map(|input| self.rows(input)).sum()
            }
        }
    }

    /// Groups among `rows` rows.
    pub(crate) fn groups<'e>(&self, keys: impl Iterator<Item = &'e Expr>, rows: f64) -> f64 {
        keys.map(|key| self.distinct(key, rows))
            .product::<f64>()
            .min(rows)
            .max(1.0)
    }
}

fn collect_origins(plan: &mut LogicalPlan, origins: &mut HashMap<ColumnId, (TableId, usize)>) {
    if let LogicalPlan::Scan { table, columns, .. } = plan {
        origins.extend(
            columns
                .iter()
                .map(|column| (column.id, (table.id, column.ordinal))),
        );
    }
    for input in inputs_mut(plan) {
        collect_origins(input, origins);
    }
}
