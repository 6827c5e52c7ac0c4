//! Takes subqueries out of expressions.
//!
//! - A scalar subquery, and `EXISTS`, without reference to the outer query: evaluated once
//!   before the statement, its value a parameter of it.
//! - `x IN (subquery)` as a condition of WHERE: a semi join.
//! - `IN (subquery)` elsewhere, and `NOT IN`: a mark join, whose column takes its place.
//! - `[NOT] EXISTS (subquery)` as a condition, with references to the outer query in the
//!   subquery's WHERE: a semi or anti join.

use std::collections::HashSet;

use crate::{
    DataType, Error, Result, SqlState,
    bound::{BinaryOp, ColumnId, Expr, ExprKind, JoinKind, LogicalPlan, UnaryOp},
    planner::{
        expr_tools::{collect_columns, column, has_subquery, split_conjuncts},
        physical::InitKind,
        plan_tools::{
            filtered, for_each_expr_mut, inputs_mut, output, output_ids, placeholder, take,
        },
    },
    span::Span,
};

/// A subquery that runs once, before the statement.
pub(crate) struct Extracted {
    /// The parameter that its value becomes.
    pub(crate) parameter: usize,
    /// What its value is.
    pub(crate) kind: InitKind,
    /// The subquery.
    pub(crate) plan: LogicalPlan,
}

/// Takes the subqueries out of a statement's plan.
pub(crate) struct Extractor {
    next_parameter: usize,
    next_column: u32,
    /// In the order in which they must run.
    pub(crate) extracted: Vec<Extracted>,
}

impl Extractor {
    /// For a statement with `parameters` parameters of its own.
    pub(crate) fn new(plan: &mut LogicalPlan, parameters: usize) -> Extractor {
        Extractor {
            next_parameter: parameters,
            next_column: max_column(plan) + 1,
            extracted: Vec::new(),
        }
    }

    /// Another column id for the statement.
    fn fresh_column(&mut self) -> ColumnId {
        self.next_column += 1;
        ColumnId(self.next_column)
    }

    /// Replaces every subquery in `plan`.
    pub(crate) fn extract(&mut self, plan: &mut LogicalPlan) -> Result<()> {
        for input in inputs_mut(plan) {
            self.extract(input)?;
        }
        let mut any = false;
        for_each_expr_mut(plan, |expr| any |= has_subquery(expr));
        if !any {
            return Ok(());
        }
        match plan {
            LogicalPlan::Filter { input, predicates } => {
                let mut conjuncts = Vec::new();
                for predicate in std::mem::take(predicates) {
                    split_conjuncts(predicate, &mut conjuncts);
                }
                let mut source = take(input);
                let mut kept = Vec::new();
                for conjunct in conjuncts {
                    if let Some(predicate) = self.condition(conjunct, &mut source)? {
                        kept.push(predicate);
                    }
                }
                *plan = filtered(source, kept);
            }
            LogicalPlan::Project { input, .. }
            | LogicalPlan::Aggregate { input, .. }
            | LogicalPlan::Sort { input, .. } => {
                let mut source = take(input);
                let mut failure = None;
                for_each_expr_mut(plan, |expr| {
                    if failure.is_none() {
                        failure = self.replace(expr, Some(&mut source)).err();
                    }
                });
                if let Some(error) = failure {
                    return Err(error);
                }
                match plan {
                    LogicalPlan::Project { input, .. }
                    | LogicalPlan::Aggregate { input, .. }
                    | LogicalPlan::Sort { input, .. } => **input = source,
                    _ => {}
                }
            }
            LogicalPlan::Join {
                kind: JoinKind::Inner,
                on,
                ..
            } => {
                // The condition of an inner join is as good as a filter above it.
                let predicates = std::mem::take(on);
                let join = take(plan);
                *plan = LogicalPlan::Filter {
                    input: Box::new(join),
                    predicates,
                };
                // The join itself holds no subquery any more.
                return self.extract_filter(plan);
            }
            _ => {
                let mut failure = None;
                for_each_expr_mut(plan, |expr| {
                    if failure.is_none() {
                        failure = self.replace(expr, None).err();
                    }
                });
                if let Some(error) = failure {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn extract_filter(&mut self, plan: &mut LogicalPlan) -> Result<()> {
        let LogicalPlan::Filter { input, predicates } = plan else {
            return Ok(());
        };
        let mut source = take(input);
        let mut kept = Vec::new();
        for predicate in std::mem::take(predicates) {
            if let Some(predicate) = self.condition(predicate, &mut source)? {
                kept.push(predicate);
            }
        }
        *plan = filtered(source, kept);
        Ok(())
    }

    /// Settles a conjunct of a filter over `source`; gives what is left of it.
    fn condition(&mut self, mut conjunct: Expr, source: &mut LogicalPlan) -> Result<Option<Expr>> {
        let span = conjunct.span;
        // NOT EXISTS may come as NOT (EXISTS …).
        if let ExprKind::Unary(UnaryOp::Not, operand) = &mut conjunct.kind
            && let ExprKind::Exists { negated, .. } = &mut operand.kind
        {
            *negated = !*negated;
            let exists = std::mem::replace(&mut **operand, placeholder_expr());
            conjunct = exists;
        }
        match conjunct.kind {
            ExprKind::Exists { subquery, negated } => {
                let mut subquery = *subquery;
                self.extract(&mut subquery)?;
                if free_columns(&subquery).is_empty() {
                    let exists = self.init(InitKind::Exists, subquery, DataType::Boolean, span);
                    return Ok(Some(if negated { not(exists) } else { exists }));
                }
                let mut on = Vec::new();
                let outer = output_ids(source);
                let right = pull_up(subquery, &mut on, span)?;
                check_correlation(&right, &on, &outer, span)?;
                let kind = if negated {
                    JoinKind::Anti
                } else {
                    JoinKind::Semi
                };
                join(source, kind, right, on);
                Ok(None)
            }
            ExprKind::InSubquery {
                operand,
                subquery,
                negated: false,
            } => {
                let (mut operand, mut subquery) = (*operand, *subquery);
                self.extract(&mut subquery)?;
                self.replace(&mut operand, Some(source))?;
                let mut on = Vec::new();
                let right = if free_columns(&subquery).is_empty() {
                    subquery
                } else {
                    pull_up_keeping_output(subquery, &mut on, span)?
                };
                check_correlation(&right, &on, &output_ids(source), span)?;
                on.push(equals(operand, &right, span)?);
                join(source, JoinKind::Semi, right, on);
                Ok(None)
            }
            _ => {
                self.replace(&mut conjunct, Some(source))?;
                Ok(Some(conjunct))
            }
        }
    }

    /// Replaces the subqueries within `expr`; IN needs the `source` of its rows.
    fn replace(&mut self, expr: &mut Expr, mut source: Option<&mut LogicalPlan>) -> Result<()> {
        for operand in expr.operands_mut() {
            self.replace(operand, source.as_deref_mut())?;
        }
        let span = expr.span;
        match &mut expr.kind {
            ExprKind::ScalarSubquery(subquery) => {
                let mut subquery = take(subquery);
                self.extract(&mut subquery)?;
                uncorrelated(&subquery, span)?;
                *expr = self.init(InitKind::Scalar, subquery, expr.data_type, span);
            }
            ExprKind::Exists { subquery, negated } => {
                let negated = *negated;
                let mut subquery = take(subquery);
                self.extract(&mut subquery)?;
                uncorrelated(&subquery, span)?;
                let exists = self.init(InitKind::Exists, subquery, DataType::Boolean, span);
                *expr = if negated { not(exists) } else { exists };
            }
            ExprKind::InSubquery {
                operand,
                subquery,
                negated,
            } => {
                let Some(source) = source else {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "IN (subquery) is not supported here",
                    )
                    .at(span)
                    .hint("Move it to the WHERE clause."));
                };
                let negated = *negated;
                let operand = std::mem::replace(&mut **operand, placeholder_expr());
                let mut subquery = take(subquery);
                self.extract(&mut subquery)?;
                uncorrelated(&subquery, span)?;
                let mark = self.fresh_column();
                let on = vec![equals(operand, &subquery, span)?];
                join(source, JoinKind::Mark(mark), subquery, on);
                let mut found = column(mark, DataType::Boolean, true);
                found.span = span;
                *expr = if negated { not(found) } else { found };
            }
            _ => {}
        }
        Ok(())
    }

    /// Has `plan` run before the statement; gives the parameter that its value becomes.
    fn init(&mut self, kind: InitKind, plan: LogicalPlan, data_type: DataType, span: Span) -> Expr {
        let parameter = self.next_parameter;
        self.next_parameter += 1;
        self.extracted.push(Extracted {
            parameter,
            kind,
            plan,
        });
        Expr {
            kind: ExprKind::Parameter(parameter),
            data_type,
            nullable: kind == InitKind::Scalar,
            span,
        }
    }
}

fn placeholder_expr() -> Expr {
    crate::planner::expr_tools::literal(crate::Value::Null, DataType::Unknown)
}

fn not(operand: Expr) -> Expr {
    Expr {
        data_type: DataType::Boolean,
        nullable: operand.nullable,
        span: operand.span,
        kind: ExprKind::Unary(UnaryOp::Not, Box::new(operand)),
    }
}

/// `operand = the only column of right`.
fn equals(operand: Expr, right: &LogicalPlan, span: Span) -> Result<Expr> {
    let columns = output(right);
    let Some((id, data_type)) = columns.first().copied() else {
        return Err(Error::new(
            SqlState::INTERNAL_ERROR,
            "a subquery of IN without column",
        ));
    };
    Ok(Expr {
        data_type: DataType::Boolean,
        nullable: true,
        span,
        kind: ExprKind::Binary(
            BinaryOp::Equal,
            Box::new(operand),
            Box::new(column(id, data_type, true)),
        ),
    })
}

fn join(source: &mut LogicalPlan, kind: JoinKind, right: LogicalPlan, on: Vec<Expr>) {
    let left = std::mem::replace(source, placeholder());
    *source = LogicalPlan::Join {
        kind,
        left: Box::new(left),
        right: Box::new(right),
        on,
    };
}

/// The columns that a plan reads but no part of it makes: references to an outer query.
fn free_columns(plan: &LogicalPlan) -> HashSet<ColumnId> {
    fn walk(plan: &mut LogicalPlan, read: &mut HashSet<ColumnId>, made: &mut HashSet<ColumnId>) {
        made.extend(output(plan).into_iter().map(|(id, _)| id));
        for_each_expr_mut(plan, |expr| collect_columns(expr, read));
        for input in inputs_mut(plan) {
            walk(input, read, made);
        }
    }
    let (mut read, mut made) = (HashSet::new(), HashSet::new());
    walk(&mut plan.clone(), &mut read, &mut made);
    read.retain(|id| !made.contains(id));
    read
}

fn correlated(span: Span) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "this kind of subquery cannot refer to columns of the outer query",
    )
    .at(span)
    .hint("Write it as a join, or as EXISTS with the references in its WHERE clause.")
}

fn uncorrelated(plan: &LogicalPlan, span: Span) -> Result<()> {
    if free_columns(plan).is_empty() {
        Ok(())
    } else {
        Err(correlated(span))
    }
}

/// What is left in `right` must stand on its own, and `on` must read only the two sides.
fn check_correlation(
    right: &LogicalPlan,
    on: &[Expr],
    outer: &HashSet<ColumnId>,
    span: Span,
) -> Result<()> {
    uncorrelated(right, span)?;
    let inner = output_ids(right);
    let mut read = HashSet::new();
    on.iter().for_each(|expr| collect_columns(expr, &mut read));
    if read
        .iter()
        .all(|id| outer.contains(id) || inner.contains(id))
    {
        Ok(())
    } else {
        Err(correlated(span))
    }
}

/// Takes the conjuncts with outer references out of a subquery of EXISTS, whose output does
/// not matter: projections are dropped so that the conjuncts find their columns.
fn pull_up(plan: LogicalPlan, on: &mut Vec<Expr>, span: Span) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Project { input, items } => {
            if items.iter().any(|(_, expr)| has_subquery(expr)) {
                return Err(correlated(span));
            }
            pull_up(*input, on, span)
        }
        LogicalPlan::Distinct { input } | LogicalPlan::Sort { input, .. } => {
            pull_up(*input, on, span)
        }
        LogicalPlan::Filter { input, predicates } => {
            let input = pull_up_filters(*input, on);
            let kept = split_correlated(&input, predicates, on);
            Ok(filtered(input, kept))
        }
        other => Ok(other),
    }
}

fn pull_up_filters(plan: LogicalPlan, on: &mut Vec<Expr>) -> LogicalPlan {
    match plan {
        LogicalPlan::Filter { input, predicates } => {
            let input = pull_up_filters(*input, on);
            let kept = split_correlated(&input, predicates, on);
            filtered(input, kept)
        }
        other => other,
    }
}

/// Moves those of `predicates` that read more than `input` gives to `on`.
fn split_correlated(input: &LogicalPlan, predicates: Vec<Expr>, on: &mut Vec<Expr>) -> Vec<Expr> {
    let own = output_ids(input);
    let mut kept = Vec::new();
    for predicate in predicates {
        let mut conjuncts = Vec::new();
        split_conjuncts(predicate, &mut conjuncts);
        for conjunct in conjuncts {
            let mut read = HashSet::new();
            collect_columns(&conjunct, &mut read);
            if read.is_subset(&own) {
                kept.push(conjunct)
            } else {
                on.push(conjunct)
            }
        }
    }
    kept
}

/// As [`pull_up`], for a subquery of IN: its projection stays, widened by the columns that the
/// conjuncts read.
fn pull_up_keeping_output(
    plan: LogicalPlan,
    on: &mut Vec<Expr>,
    span: Span,
) -> Result<LogicalPlan> {
    let LogicalPlan::Project { input, mut items } = plan else {
        return pull_up(plan, on, span);
    };
    let input = pull_up(*input, on, span)?;
    let mut read = HashSet::new();
    on.iter().for_each(|expr| collect_columns(expr, &mut read));
    for (id, data_type) in output(&input) {
        if read.contains(&id) {
            items.push((id, column(id, data_type, true)));
        }
    }
    Ok(LogicalPlan::Project {
        input: Box::new(input),
        items,
    })
}

/// The greatest column id in a plan and its subqueries.
pub(crate) fn max_column(plan: &mut LogicalPlan) -> u32 {
    fn in_expr(expr: &mut Expr, max: &mut u32) {
        match &mut expr.kind {
            ExprKind::Column(id) => *max = (*max).max(id.0),
            ExprKind::ScalarSubquery(subquery)
            | ExprKind::InSubquery { subquery, .. }
            | ExprKind::Exists { subquery, .. } => *max = (*max).max(max_column(subquery)),
            _ => {}
        }
        for operand in expr.operands_mut() {
            in_expr(operand, max);
        }
    }
    let mut max = output(plan).iter().map(|(id, _)| id.0).max().unwrap_or(0);
    for_each_expr_mut(plan, |expr| in_expr(expr, &mut max));
    for input in inputs_mut(plan) {
        max = max.max(max_column(input));
    }
    max
}
