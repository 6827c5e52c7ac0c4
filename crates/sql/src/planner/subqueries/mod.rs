//! Takes subqueries out of expressions.
//!
//! - A scalar subquery, and `EXISTS`, without reference to the outer query: evaluated once
//!   before the statement, its value a parameter of it.
//! - Every other subquery becomes the right side of a join with the rows of the node it stands
//!   in: a semi or anti join where it is a condition of its own, a mark, exists or single join
//!   where its value is used, evaluated only where it is asked for if it can fail ([`guarded`]).
//!   Conditions in an `EXISTS` that read the outer query alone become
//!   conditions beside it first ([`lifted`]).
//! - Where the right side refers to the left, [`decorrelate`] takes the references out if it can
//!   (after Galindo-Legaria and Joshi, "Orthogonal Optimization of Subqueries and Aggregation",
//!   2001). What is left is an [`LogicalPlan::Apply`]: the right side is evaluated for each
//!   distinct combination of the values that it reads.
//!
//! LATERAL items of FROM are such joins from the beginning.

mod decorrelate;
mod guarded;
mod lifted;
mod unread;

use std::collections::{HashMap, HashSet};

use crate::{
    DataType, Error, Result, SqlState,
    bound::{
        BinaryOp, ColumnId, Expr, ExprKind, JoinKind, LogicalPlan, SharedId, UnaryOp,
        plan_walk::for_each_expr_deep, row_comparison,
    },
    planner::{
        expr_tools::{collect_columns, column, has_subquery, literal, split_conjuncts},
        physical::InitKind,
        plan_tools::{filtered, for_each_expr_mut, inputs_mut, output, output_ids, take},
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
    /// Whether references to the outer query are taken out of subqueries.
    decorrelates: bool,
    /// Whether a subquery became a join that reads more than the rows asked for, so that
    /// evaluating it for each row may be cheaper.
    pub(crate) has_alternative: bool,
    /// In the order in which they must run.
    pub(crate) extracted: Vec<Extracted>,
}

impl Extractor {
    /// For a statement with `parameters` parameters of its own.
    pub(crate) fn new(plan: &mut LogicalPlan, parameters: usize, decorrelates: bool) -> Extractor {
        Extractor {
            next_parameter: parameters,
            next_column: max_column(plan) + 1,
            decorrelates,
            has_alternative: false,
            extracted: Vec::new(),
        }
    }

    /// Another column id for the statement.
    fn fresh_column(&mut self) -> ColumnId {
        self.next_column += 1;
        ColumnId(self.next_column)
    }

    fn fresh_parameter(&mut self) -> usize {
        self.next_parameter += 1;
        self.next_parameter - 1
    }

    /// Replaces every subquery in the plan of a whole statement, of which `wanted` is read, and
    /// settles its lateral joins.
    pub(crate) fn extract_all(
        &mut self,
        plan: &mut LogicalPlan,
        wanted: &[ColumnId],
    ) -> Result<()> {
        unread::drop_unread(plan, Some(&wanted.iter().copied().collect()));
        self.extract(plan)
    }

    /// Replaces every subquery in `plan`, and settles its lateral joins.
    fn extract(&mut self, plan: &mut LogicalPlan) -> Result<()> {
        for input in inputs_mut(plan) {
            self.extract(input)?;
        }
        if matches!(plan, LogicalPlan::Apply { .. }) {
            return self.lateral(plan);
        }
        let mut any = false;
        for_each_expr_mut(plan, |expr| any |= has_subquery(expr));
        if !any {
            return Ok(());
        }
        match plan {
            LogicalPlan::Filter { .. } => self.extract_filter(plan),
            LogicalPlan::Join {
                kind: JoinKind::Inner,
                on,
                ..
            } => {
                // The condition of an inner join is as good as a filter above it.
                let predicates = std::mem::take(on);
                let join = take(plan);
                *plan = filtered(join, predicates);
                self.extract_filter(plan)
            }
            LogicalPlan::Join {
                kind: JoinKind::Left | JoinKind::Right,
                ..
            } => self.outer_join(plan),
            LogicalPlan::Values { .. } => self.extract_values(plan),
            LogicalPlan::Project { .. }
            | LogicalPlan::Aggregate { .. }
            | LogicalPlan::Window { .. }
            | LogicalPlan::Sort { .. } => {
                let mut source = match inputs_mut(plan).into_iter().next() {
                    Some(input) => take(input),
                    None => return Ok(()),
                };
                let mut failure = None;
                for_each_expr_mut(plan, |expr| {
                    if failure.is_none() {
                        failure = self.replace(expr, Some(&mut source), &[]).err();
                    }
                });
                if let Some(input) = inputs_mut(plan).into_iter().next() {
                    *input = source;
                }
                failure.map_or(Ok(()), Err)
            }
            _ => {
                let mut failure = None;
                for_each_expr_mut(plan, |expr| {
                    if failure.is_none() {
                        failure = self.replace(expr, None, &[]).err();
                    }
                });
                failure.map_or(Ok(()), Err)
            }
        }
    }

    fn extract_filter(&mut self, plan: &mut LogicalPlan) -> Result<()> {
        let LogicalPlan::Filter { input, predicates } = plan else {
            return Ok(());
        };
        let mut conjuncts = Vec::new();
        for predicate in std::mem::take(predicates) {
            split_conjuncts(predicate, &mut conjuncts);
        }
        let mut source = take(input);
        let mut kept = Vec::new();
        for conjunct in conjuncts {
            self.condition(conjunct, &mut source, &mut kept)?;
        }
        *plan = filtered(source, kept);
        Ok(())
    }

    /// An outer join with a subquery in its condition: the condition becomes a filter of the
    /// inner side, which then reads the outer one.
    fn outer_join(&mut self, plan: &mut LogicalPlan) -> Result<()> {
        let LogicalPlan::Join {
            kind,
            left,
            right,
            on,
        } = plan
        else {
            return Ok(());
        };
        let (mut left, mut right) = (take(left), take(right));
        if *kind == JoinKind::Right {
            std::mem::swap(&mut left, &mut right);
        }
        let mut right = filtered(right, std::mem::take(on));
        self.extract_filter(&mut right)?;
        self.attach(&mut left, JoinKind::Left, right, Vec::new());
        *plan = left;
        Ok(())
    }

    /// A lateral join of FROM.
    fn lateral(&mut self, plan: &mut LogicalPlan) -> Result<()> {
        let LogicalPlan::Apply {
            kind,
            left,
            right,
            on,
            bindings,
        } = plan
        else {
            return Ok(());
        };
        if !bindings.is_empty() {
            return Ok(());
        }
        let (kind, mut source, mut right) = (*kind, take(left), take(right));
        let mut on = std::mem::take(on);
        let mut above = Vec::new();
        if on.iter().any(has_subquery) {
            if kind == JoinKind::Inner {
                above = std::mem::take(&mut on);
            } else {
                right = filtered(right, std::mem::take(&mut on));
                self.extract_filter(&mut right)?;
            }
        }
        self.attach(&mut source, kind, right, on);
        *plan = filtered(source, above);
        self.extract_filter(plan)
    }

    /// Literal rows with subqueries in them: each row a projection of its own.
    fn extract_values(&mut self, plan: &mut LogicalPlan) -> Result<()> {
        let LogicalPlan::Values { columns, rows } = plan else {
            return Ok(());
        };
        let columns = std::mem::take(columns);
        let mut inputs = Vec::with_capacity(rows.len());
        let mut ids: Vec<Vec<ColumnId>> = vec![Vec::new(); columns.len()];
        for row in std::mem::take(rows) {
            let mut items = Vec::with_capacity(row.len());
            for (expr, ids) in row.into_iter().zip(&mut ids) {
                let id = self.fresh_column();
                ids.push(id);
                items.push((id, expr));
            }
            let mut project = LogicalPlan::Project {
                input: Box::new(LogicalPlan::one_row()),
                items,
            };
            self.extract(&mut project)?;
            inputs.push(project);
        }
        *plan = LogicalPlan::UnionAll {
            inputs,
            columns: columns
                .into_iter()
                .zip(ids)
                .map(|((id, data_type), ids)| (id, ids, data_type))
                .collect(),
        };
        Ok(())
    }

    /// Settles a conjunct of a filter over `source`; what is left of it is added to `kept`.
    fn condition(
        &mut self,
        mut conjunct: Expr,
        source: &mut LogicalPlan,
        kept: &mut Vec<Expr>,
    ) -> Result<()> {
        // NOT EXISTS may come as NOT (EXISTS …), NOT IN as NOT (… IN …).
        if let ExprKind::Unary(UnaryOp::Not, operand) = &mut conjunct.kind
            && let ExprKind::Exists { negated, .. } | ExprKind::InSubquery { negated, .. } =
                &mut operand.kind
        {
            *negated = !*negated;
            conjunct = std::mem::replace(&mut **operand, null());
        }
        let span = conjunct.span;
        match conjunct.kind {
            ExprKind::Exists { subquery, negated } => {
                let mut subquery = existence(*subquery);
                if negated {
                    self.settle_conditions_of_outer(&mut subquery, source, &[])?;
                } else {
                    for condition in lifted::conditions_of_outer(&mut subquery) {
                        self.condition(condition, source, kept)?;
                    }
                }
                self.extract(&mut subquery)?;
                if runs_once(&subquery) {
                    let exists = self.init(InitKind::Exists, subquery, DataType::Boolean, span);
                    kept.push(if negated { not(exists) } else { exists });
                } else {
                    let kind = if negated {
                        JoinKind::Anti
                    } else {
                        JoinKind::Semi
                    };
                    self.attach(source, kind, subquery, Vec::new());
                }
            }
            ExprKind::InSubquery {
                mut operands,
                operator,
                subquery,
                negated: false,
            } => {
                let mut subquery = *subquery;
                self.extract(&mut subquery)?;
                for operand in &mut operands {
                    self.replace(operand, Some(source), &[])?;
                }
                let mut on = Vec::new();
                split_conjuncts(comparison(operands, operator, &subquery, span), &mut on);
                self.attach(source, JoinKind::Semi, subquery, on);
            }
            _ => {
                self.replace(&mut conjunct, Some(source), &[])?;
                kept.push(conjunct);
            }
        }
        Ok(())
    }

    /// In an `EXISTS` that is no condition of its own, the conditions about the outer query alone stay
    /// where they are, but what their subqueries say becomes a column of the `source`'s rows.
    fn settle_conditions_of_outer(
        &mut self,
        subquery: &mut LogicalPlan,
        source: &mut LogicalPlan,
        guard: &[Expr],
    ) -> Result<()> {
        let mut conditions = lifted::conditions_of_outer(subquery);
        for condition in &mut conditions {
            self.replace(condition, Some(source), guard)?;
        }
        *subquery = filtered(take(subquery), conditions);
        Ok(())
    }

    /// Replaces the subqueries within `expr`; those that are not the same for all rows need the
    /// `source` of the rows. The expression is evaluated where all of `guard` is true.
    fn replace(
        &mut self,
        expr: &mut Expr,
        mut source: Option<&mut LogicalPlan>,
        guard: &[Expr],
    ) -> Result<()> {
        if !has_subquery(expr) {
            return Ok(());
        }
        self.replace_operands(expr, source.as_deref_mut(), guard)?;
        let span = expr.span;
        let Some(subquery) = expr.subquery_mut() else {
            return Ok(());
        };
        let mut subquery = take(subquery);
        if matches!(expr.kind, ExprKind::Exists { .. }) {
            subquery = existence(subquery);
            if let Some(source) = source.as_deref_mut() {
                self.settle_conditions_of_outer(&mut subquery, source, guard)?;
            }
        }
        self.extract(&mut subquery)?;
        let once = runs_once(&subquery);
        let value = match &mut expr.kind {
            ExprKind::ScalarSubquery(_) if once => {
                self.init(InitKind::Scalar, subquery, expr.data_type, span)
            }
            ExprKind::ScalarSubquery(_) => {
                let Some((id, data_type)) = output(&subquery).first().copied() else {
                    return Err(internal("a scalar subquery without column"));
                };
                let source = source.ok_or_else(|| misplaced(span))?;
                let subquery = guarded::guarded(subquery, guard);
                self.attach(source, JoinKind::Single, subquery, Vec::new());
                column(id, data_type, true)
            }
            ExprKind::Exists { negated, .. } => {
                let negated = *negated;
                let exists = if once {
                    self.init(InitKind::Exists, subquery, DataType::Boolean, span)
                } else {
                    let source = source.ok_or_else(|| misplaced(span))?;
                    let mark = self.fresh_column();
                    self.attach(source, JoinKind::Exists(mark), subquery, Vec::new());
                    column(mark, DataType::Boolean, false)
                };
                if negated { not(exists) } else { exists }
            }
            ExprKind::InSubquery {
                operands,
                operator,
                negated,
                ..
            } => {
                let negated = *negated;
                let source = source.ok_or_else(|| misplaced(span))?;
                let mark = self.fresh_column();
                let on = vec![comparison(
                    std::mem::take(operands),
                    *operator,
                    &subquery,
                    span,
                )];
                self.attach(source, JoinKind::Mark(mark), subquery, on);
                let found = column(mark, DataType::Boolean, true);
                if negated { not(found) } else { found }
            }
            _ => return Ok(()),
        };
        *expr = Expr { span, ..value };
        Ok(())
    }

    /// Joins `source` with what `right` gives for each of its rows.
    fn attach(
        &mut self,
        source: &mut LogicalPlan,
        kind: JoinKind,
        right: LogicalPlan,
        on: Vec<Expr>,
    ) {
        let given = output_ids(source);
        let mut read: Vec<ColumnId> = free_columns(&right)
            .into_iter()
            .filter(|id| given.contains(id))
            .collect();
        if read.is_empty() {
            join(source, kind, right, on);
            return;
        }
        let (right, on) = if self.decorrelates {
            match self.decorrelate(source, kind, right, on) {
                Ok(()) => return,
                Err(back) => *back,
            }
        } else {
            (right, on)
        };
        read.sort_unstable();
        let types: HashMap<ColumnId, DataType> = output(source).into_iter().collect();
        let bindings: Vec<(usize, Expr)> = read
            .iter()
            .map(|id| {
                let data_type = types.get(id).copied().unwrap_or(DataType::Unknown);
                (self.fresh_parameter(), column(*id, data_type, true))
            })
            .collect();
        let parameters: HashMap<ColumnId, usize> = read
            .into_iter()
            .zip(bindings.iter().map(|(parameter, _)| *parameter))
            .collect();
        let mut right = right;
        bind(&mut right, &parameters);
        *source = LogicalPlan::Apply {
            kind,
            left: Box::new(take(source)),
            right: Box::new(right),
            on,
            bindings,
        };
    }

    /// Has `plan` run before the statement; gives the parameter that its value becomes.
    fn init(&mut self, kind: InitKind, plan: LogicalPlan, data_type: DataType, span: Span) -> Expr {
        let parameter = self.fresh_parameter();
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

fn null() -> Expr {
    literal(crate::Value::Null, DataType::Unknown)
}

fn not(operand: Expr) -> Expr {
    Expr {
        data_type: DataType::Boolean,
        nullable: operand.nullable,
        span: operand.span,
        kind: ExprKind::Unary(UnaryOp::Not, Box::new(operand)),
    }
}

fn internal(what: &str) -> Error {
    Error::new(SqlState::INTERNAL_ERROR, format!("internal error: {what}"))
}

fn misplaced(span: Span) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "a subquery that depends on the row is not supported here",
    )
    .at(span)
    .hint("Move it to the WHERE clause or to a subquery in FROM.")
}

/// `operands operator (the columns of right)`.
fn comparison(operands: Vec<Expr>, operator: BinaryOp, right: &LogicalPlan, span: Span) -> Expr {
    let pairs = operands
        .into_iter()
        .zip(output(right))
        .map(|(operand, (id, data_type))| (operand, column(id, data_type, true)))
        .collect();
    row_comparison(operator, pairs, span)
}

/// Leaves out of a subquery of EXISTS what does not decide whether it has a row.
fn existence(plan: LogicalPlan) -> LogicalPlan {
    use crate::Value;
    match plan {
        LogicalPlan::Project { input, .. }
        | LogicalPlan::Distinct { input, .. }
        | LogicalPlan::Window { input, .. }
        | LogicalPlan::Sort { input, .. } => existence(*input),
        LogicalPlan::Limit {
            input,
            limit,
            offset: None,
        } if limit.as_ref().is_none_or(
            |limit| matches!(limit.kind, ExprKind::Literal(Value::Int8(count)) if count > 0),
        ) =>
        {
            existence(*input)
        }
        // Without keys there is a row for whatever rows, and for none.
        LogicalPlan::Aggregate {
            keys, sets: None, ..
        } if keys.is_empty() => LogicalPlan::one_row(),
        other => other,
    }
}

fn join(source: &mut LogicalPlan, kind: JoinKind, right: LogicalPlan, on: Vec<Expr>) {
    *source = LogicalPlan::Join {
        kind,
        left: Box::new(take(source)),
        right: Box::new(right),
        on,
    };
}

/// Puts parameters in the place of columns.
fn bind(plan: &mut LogicalPlan, parameters: &HashMap<ColumnId, usize>) {
    fn in_expr(expr: &mut Expr, parameters: &HashMap<ColumnId, usize>) {
        if let ExprKind::Column(id) = expr.kind
            && let Some(parameter) = parameters.get(&id)
        {
            expr.kind = ExprKind::Parameter(*parameter);
        }
        for operand in expr.operands_mut() {
            in_expr(operand, parameters);
        }
    }
    for_each_expr_deep(plan, &mut |expr| in_expr(expr, parameters));
}

/// The columns that a plan makes itself.
fn made_columns(plan: &mut LogicalPlan, made: &mut HashSet<ColumnId>) {
    made.extend(output(plan).into_iter().map(|(id, _)| id));
    for input in inputs_mut(plan) {
        made_columns(input, made);
    }
}

/// The columns that a plan reads but no part of it makes: references to an outer query.
fn free_columns(plan: &LogicalPlan) -> HashSet<ColumnId> {
    let mut plan = plan.clone();
    let (mut read, mut made) = (HashSet::new(), HashSet::new());
    made_columns(&mut plan, &mut made);
    for_each_expr_deep(&mut plan, &mut |expr| collect_columns(expr, &mut read));
    read.retain(|id| !made.contains(id));
    read
}

/// Whether a subquery can be evaluated before the statement: it refers to nothing around it, no
/// columns and no WITH queries.
fn runs_once(plan: &LogicalPlan) -> bool {
    fn walk(plan: &mut LogicalPlan, read: &mut HashSet<SharedId>, made: &mut HashSet<SharedId>) {
        match plan {
            LogicalPlan::SharedScan { id, .. } => {
                read.insert(*id);
            }
            LogicalPlan::With { id, .. } | LogicalPlan::Recursive { id, .. } => {
                made.insert(*id);
            }
            _ => {}
        }
        for input in inputs_mut(plan) {
            walk(input, read, made);
        }
    }
    let (mut read, mut made) = (HashSet::new(), HashSet::new());
    walk(&mut plan.clone(), &mut read, &mut made);
    read.is_subset(&made) && free_columns(plan).is_empty()
}

/// The greatest column id in a plan and its subqueries.
pub(crate) fn max_column(plan: &mut LogicalPlan) -> u32 {
    fn in_expr(expr: &mut Expr, max: &mut u32) {
        if let ExprKind::Column(id) = expr.kind {
            *max = (*max).max(id.0);
        }
        if let Some(subquery) = expr.subquery_mut() {
            *max = (*max).max(max_column(subquery));
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
