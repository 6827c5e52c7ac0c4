//! What holds of the rows that plans give.

use super::{
    Inference,
    expr::strict_columns,
    facts::Facts,
    functions::{AggregateRule, aggregate_rule},
};
use crate::{
    bound::{
        AggregateCall, ColumnId, ColumnIds, Expr, ExprKind, FrameBound, FrameExclusion,
        GroupingSets, JoinKind, LogicalPlan, SharedId, TableFunction, WindowCall, WindowFunction,
        plan_walk::output,
    },
    span::Span,
    types::{DataType, Value},
};

/// In rows of more columns than this no column vouches for others.
const MAX_VOUCHING: usize = 100;

impl Inference {
    /// What holds of the plan's rows, where `outer` holds of the row around it.
    pub(super) fn plan(&mut self, plan: &LogicalPlan, outer: &Facts) -> Facts {
        match plan {
            LogicalPlan::Scan {
                table,
                columns,
                row_key,
                filter,
            } => {
                let mut facts = outer.clone();
                facts.learn(columns.iter().filter_map(|column| {
                    let not_null = table.columns.get(column.ordinal)?.not_null;
                    not_null.then_some(column.id)
                }));
                facts.learn(*row_key);
                self.learn_true(filter, &mut facts);
                facts
            }
            LogicalPlan::Values { columns, rows } => {
                let mut facts = outer.clone();
                for (at, (id, _)) in columns.iter().enumerate() {
                    let values = rows.iter().map(|row| row.get(at));
                    if values
                        .into_iter()
                        .all(|value| value.is_some_and(|value| self.never_null(value, outer)))
                    {
                        facts.learn([*id]);
                    }
                }
                facts
            }
            LogicalPlan::Buffered { slot, columns } => {
                let mut facts = outer.clone();
                if let Some(known) = self.buffers.get(slot) {
                    facts.learn(
                        columns
                            .iter()
                            .zip(known)
                            .filter(|(_, known)| **known)
                            .map(|((id, _), _)| *id),
                    );
                }
                facts
            }
            LogicalPlan::TableFunctions { calls, ordinality } => {
                let mut facts = outer.clone();
                facts.learn(*ordinality);
                // Side by side, the shorter ones end in NULLs.
                if let [call] = calls.as_slice() {
                    let known = match call.function {
                        TableFunction::GenerateSeries => true,
                        TableFunction::Scalar => call
                            .arguments
                            .iter()
                            .all(|argument| self.never_null(argument, outer)),
                        _ => false,
                    };
                    if known {
                        facts.learn([call.id]);
                    }
                }
                facts
            }
            LogicalPlan::With {
                id,
                definition,
                input,
                ..
            } => {
                let facts = self.plan(definition, outer);
                self.shared.insert(*id, facts);
                self.plan(input, outer)
            }
            LogicalPlan::SharedScan { id, columns, .. } => {
                let items: Vec<(ColumnId, Expr)> = columns
                    .iter()
                    .map(|(own, source, data_type)| (*own, column(*source, *data_type)))
                    .collect();
                match self.shared.get(id).cloned() {
                    Some(facts) => self.computed(&items, &facts, outer),
                    None => outer.clone(),
                }
            }
            LogicalPlan::Recursive {
                id,
                base,
                step,
                columns,
                ..
            } => self.recursive(*id, base, step, columns, outer),
            LogicalPlan::Filter { input, predicates } => {
                let mut facts = self.plan(input, outer);
                self.learn_true(predicates, &mut facts);
                facts
            }
            LogicalPlan::Project { input, items } => {
                let facts = self.plan(input, outer);
                self.computed(items, &facts, outer)
            }
            LogicalPlan::Join {
                kind,
                left,
                right,
                on,
            } => {
                let left_facts = self.plan(left, outer);
                let right_facts = self.plan(right, outer);
                self.join(*kind, (left, left_facts), (right, right_facts), on, outer)
            }
            LogicalPlan::Apply {
                kind,
                left,
                right,
                on,
                ..
            } => {
                let left_facts = self.plan(left, outer);
                let right_facts = self.plan(right, &left_facts);
                self.join(*kind, (left, left_facts), (right, right_facts), on, outer)
            }
            LogicalPlan::Aggregate {
                input,
                keys,
                aggregates,
                sets,
            } => self.aggregate(input, keys, aggregates, sets.as_ref(), outer),
            LogicalPlan::Window { input, calls, .. } => {
                let mut facts = self.plan(input, outer);
                let known: Vec<ColumnId> = calls
                    .iter()
                    .filter(|(_, call)| self.window_never_null(call, &facts))
                    .map(|(id, _)| *id)
                    .collect();
                facts.learn(known);
                facts
            }
            LogicalPlan::Distinct { input, .. }
            | LogicalPlan::Sort { input, .. }
            | LogicalPlan::LockRows { input, .. }
            | LogicalPlan::Limit { input, .. } => self.plan(input, outer),
            LogicalPlan::UnionAll { inputs, columns } => {
                let given: Vec<Facts> =
                    inputs.iter().map(|input| self.plan(input, outer)).collect();
                let mut facts = outer.clone();
                facts.learn(columns.iter().filter_map(|(id, sources, _)| {
                    let everywhere = sources.len() == given.len()
                        && given
                            .iter()
                            .zip(sources)
                            .all(|(facts, source)| facts.is_known(*source));
                    everywhere.then_some(*id)
                }));
                facts
            }
        }
    }

    fn learn_true(&mut self, conditions: &[Expr], facts: &mut Facts) {
        for condition in conditions {
            let columns = self.when_true(condition, facts);
            facts.learn(columns);
        }
    }

    /// What holds of columns computed from rows of which `facts` hold.
    fn computed(&mut self, items: &[(ColumnId, Expr)], facts: &Facts, outer: &Facts) -> Facts {
        let mut given = outer.clone();
        let mut open = Vec::new();
        for (id, expr) in items {
            if self.never_null(expr, facts) {
                given.learn([*id]);
            } else {
                open.push((*id, expr));
            }
        }
        if open.len() > MAX_VOUCHING {
            return given;
        }
        for (id, expr) in &open {
            let mut strict = ColumnIds::default();
            strict_columns(expr, &mut strict);
            if strict.is_empty() {
                continue;
            }
            let there = facts.with(strict);
            let implied = open
                .iter()
                .filter(|(other, value)| other != id && self.never_null(value, &there))
                .map(|(other, _)| *other)
                .collect();
            given.vouch(ColumnIds::from_iter([*id]), implied);
        }
        given
    }

    fn join(
        &mut self,
        kind: JoinKind,
        (left, left_facts): (&LogicalPlan, Facts),
        (right, right_facts): (&LogicalPlan, Facts),
        on: &[Expr],
        outer: &Facts,
    ) -> Facts {
        let mut both = left_facts.clone();
        both.merge(right_facts.clone());
        self.learn_true(on, &mut both);
        match kind {
            JoinKind::Inner => both,
            JoinKind::Semi => {
                let of_left = given_by(left);
                let mut facts = left_facts;
                facts.learn(
                    both.known()
                        .iter()
                        .copied()
                        .filter(|column| of_left.contains(column)),
                );
                facts
            }
            JoinKind::Left => {
                let mut facts = left_facts;
                facts.merge_optional(right_facts);
                facts.vouch(given_by(right), both.known().clone());
                facts
            }
            JoinKind::Right => {
                let mut facts = right_facts;
                facts.merge_optional(left_facts);
                facts.vouch(given_by(left), both.known().clone());
                facts
            }
            JoinKind::Full => {
                let mut facts = outer.clone();
                let (of_left, of_right) = (left_facts.known().clone(), right_facts.known().clone());
                facts.merge_optional(left_facts);
                facts.merge_optional(right_facts);
                facts.vouch(given_by(left), of_left.clone());
                facts.vouch(given_by(right), of_right.clone());
                facts.one_of(of_left, of_right);
                facts
            }
            JoinKind::Anti | JoinKind::Mark(_) | JoinKind::Single => left_facts,
            JoinKind::Exists(id) => left_facts.with([id]),
        }
    }

    fn aggregate(
        &mut self,
        input: &LogicalPlan,
        keys: &[(ColumnId, Expr)],
        aggregates: &[(ColumnId, AggregateCall)],
        sets: Option<&GroupingSets>,
        outer: &Facts,
    ) -> Facts {
        let facts = self.plan(input, outer);
        let mut given = match sets {
            None => self.computed(keys, &facts, outer),
            Some(sets) => {
                let mut given = outer.clone();
                for (at, (id, key)) in keys.iter().enumerate() {
                    let in_all = sets.sets.iter().all(|set| set.contains(&at));
                    if in_all && self.never_null(key, &facts) {
                        given.learn([*id]);
                    }
                }
                given.learn([sets.id]);
                given
            }
        };
        let no_empty_group = match sets {
            None => !keys.is_empty(),
            Some(sets) => sets.sets.iter().all(|set| !set.is_empty()),
        } || Inference::gives_a_row(input);
        for (id, call) in aggregates {
            if self.aggregate_never_null(call, no_empty_group && call.filter.is_none(), &facts) {
                given.learn([*id]);
            }
        }
        given
    }

    /// Whether an aggregate gives no NULL; `has_rows`: it always has a row to work on.
    fn aggregate_never_null(
        &mut self,
        call: &AggregateCall,
        has_rows: bool,
        facts: &Facts,
    ) -> bool {
        match aggregate_rule(call.function) {
            AggregateRule::Count => true,
            AggregateRule::Never => has_rows,
            AggregateRule::Arguments => {
                has_rows
                    && call
                        .arguments
                        .iter()
                        .all(|argument| self.never_null(argument, facts))
            }
            AggregateRule::Unknown => false,
        }
    }

    fn window_never_null(&mut self, call: &WindowCall, facts: &Facts) -> bool {
        match &call.function {
            WindowFunction::RowNumber
            | WindowFunction::Rank
            | WindowFunction::DenseRank
            | WindowFunction::PercentRank
            | WindowFunction::CumeDist => true,
            WindowFunction::Ntile => call
                .arguments
                .iter()
                .all(|argument| self.never_null(argument, facts)),
            WindowFunction::Lag | WindowFunction::Lead => {
                call.arguments.len() == 3
                    && call
                        .arguments
                        .iter()
                        .all(|argument| self.never_null(argument, facts))
            }
            WindowFunction::Aggregate(aggregate) => {
                // The arguments stand with the window's call.
                let aggregate = AggregateCall {
                    arguments: call.arguments.clone(),
                    ..(**aggregate).clone()
                };
                let has_rows =
                    call.filter.is_none() && aggregate.filter.is_none() && holds_own_row(call);
                self.aggregate_never_null(&aggregate, has_rows, facts)
            }
            _ => false,
        }
    }

    /// The base's rows and what the step makes of them, over and over: a column is never NULL
    /// where neither the base nor, under that assumption, the step makes it so.
    fn recursive(
        &mut self,
        id: SharedId,
        base: &LogicalPlan,
        step: &LogicalPlan,
        columns: &[(ColumnId, ColumnId, ColumnId, DataType)],
        outer: &Facts,
    ) -> Facts {
        let base = self.plan(base, outer);
        let mut assumed: ColumnIds = columns
            .iter()
            .filter(|(_, of_base, _, _)| base.is_known(*of_base))
            .map(|(own, ..)| *own)
            .collect();
        loop {
            self.shared.insert(id, outer.with(assumed.iter().copied()));
            let step = self.plan(step, outer);
            let before = assumed.len();
            assumed.retain(|own| {
                columns
                    .iter()
                    .any(|(column, _, of_step, _)| column == own && step.is_known(*of_step))
            });
            if assumed.len() == before {
                return outer.with(assumed);
            }
        }
    }

    /// Whether the plan gives at least one row, whatever the tables hold.
    pub(super) fn gives_a_row(plan: &LogicalPlan) -> bool {
        match plan {
            LogicalPlan::Values { rows, .. } => !rows.is_empty(),
            LogicalPlan::Aggregate { keys, sets, .. } => match sets {
                None => keys.is_empty(),
                Some(sets) => sets.sets.iter().any(Vec::is_empty),
            },
            LogicalPlan::Project { input, .. }
            | LogicalPlan::Sort { input, .. }
            | LogicalPlan::Window { input, .. }
            | LogicalPlan::Distinct { input, .. }
            | LogicalPlan::With { input, .. } => Inference::gives_a_row(input),
            LogicalPlan::Join {
                kind: JoinKind::Left,
                left,
                ..
            } => Inference::gives_a_row(left),
            LogicalPlan::Limit {
                input,
                limit,
                offset: None,
            } => {
                let some = match limit.as_ref().map(|limit| &limit.kind) {
                    None => true,
                    Some(ExprKind::Literal(Value::Int8(count))) => *count > 0,
                    Some(_) => false,
                };
                some && Inference::gives_a_row(input)
            }
            LogicalPlan::UnionAll { inputs, .. } => inputs.iter().any(Inference::gives_a_row),
            _ => false,
        }
    }
}

/// The columns that a plan gives.
fn given_by(plan: &LogicalPlan) -> ColumnIds {
    output(plan).into_iter().map(|(id, _)| id).collect()
}

/// Whether the frame of every row has that row in it.
fn holds_own_row(call: &WindowCall) -> bool {
    let frame = &call.frame;
    let open = |bound: &FrameBound| {
        matches!(
            bound,
            FrameBound::Unbounded | FrameBound::Row | FrameBound::Peers
        )
    };
    frame.exclusion == FrameExclusion::None && open(&frame.start) && open(&frame.end)
}

fn column(id: ColumnId, data_type: DataType) -> Expr {
    Expr {
        kind: ExprKind::Column(id),
        data_type,
        nullable: true,
        span: Span::default(),
    }
}
