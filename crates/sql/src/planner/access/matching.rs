//! Which part of a path satisfies conditions, and what reading it costs.

use std::{collections::HashSet, rc::Rc};

use crate::{
    DataType, Result, Value,
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction},
    engine::table::TableHandle,
    planner::{
        access::{
            Wanted,
            conditions::{Alternative, Formula, KeyTest, TestKind, formula},
            implication::implies,
            key::{PathKey, key_value},
        },
        cost::Estimator,
        cost_model::Access,
        physical::{
            AccessPath, KeyAlternative, KeyBound, KeyCondition, KeyValues, PlanColumn, PlannedExpr,
        },
        statistics::default,
    },
};

/// What one alternative asks of a key.
#[derive(Debug, Default)]
struct Part<'e> {
    /// The tests of the columns that equal something, from the first column on.
    equal: Vec<Rc<KeyTest<'e>>>,
    /// The test of the lower end of the column after those.
    lower: Option<Rc<KeyTest<'e>>>,
    /// The test of its upper end.
    upper: Option<Rc<KeyTest<'e>>>,
    /// The test that it is not NULL.
    present: Option<Rc<KeyTest<'e>>>,
}

/// How a path would be used.
#[derive(Debug)]
pub(crate) struct PathMatch<'e> {
    /// The path.
    pub(crate) path: AccessPath,
    /// The conditions, by position, that all rows read satisfy.
    pub(crate) covered: Vec<usize>,
    /// What the key says of the rows, for EXPLAIN.
    pub(crate) shown: Vec<Expr>,
    /// Which rows have keys, if not all.
    pub(crate) predicate: Option<Expr>,
    /// Rows that the path gives.
    pub(crate) rows: f64,
    /// Its cost.
    pub(crate) cost: f64,
    /// Entries from the first that is read to the last.
    between: f64,
    /// Alternatives; none: the whole path.
    parts: Vec<Part<'e>>,
    /// The conditions that take part.
    narrowing: Vec<usize>,
}

impl PathMatch<'_> {
    /// How many key columns equal a value.
    pub(crate) fn equal(&self) -> usize {
        self.parts
            .iter()
            .map(|part| part.equal.len())
            .min()
            .unwrap_or(0)
    }

    /// The first key column that may equal one of several values.
    fn first_list(&self) -> Option<usize> {
        let is_list =
            |test: &Rc<KeyTest<'_>>| matches!(test.kind, TestKind::List(_) | TestKind::Elements(_));
        let first = |part: &Part<'_>| part.equal.iter().position(is_list);
        self.parts.iter().filter_map(first).min()
    }

    /// Whether less than the whole path is read.
    pub(crate) fn is_narrow(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether one of the conditions that `test` names says which part is read.
    pub(crate) fn rests_on(&self, test: impl Fn(usize) -> bool) -> bool {
        self.narrowing.iter().any(|at| test(*at))
    }

    /// The key condition, its values compiled over `outer`.
    pub(crate) fn condition(&self, outer: &[PlanColumn]) -> Result<KeyCondition> {
        Ok(KeyCondition {
            alternatives: self
                .parts
                .iter()
                .map(|part| part.alternative(outer))
                .collect::<Result<_>>()?,
            between: self.between,
        })
    }
}

impl Part<'_> {
    fn tests(&self) -> impl Iterator<Item = &Rc<KeyTest<'_>>> {
        let ends = self.lower.iter().chain(&self.upper);
        // That it is not NULL is said by an end as well.
        let present = self
            .present
            .iter()
            .filter(|_| self.lower.is_none() && self.upper.is_none());
        self.equal
            .iter()
            .map(|test| test as &Rc<KeyTest<'_>>)
            .chain(ends)
            .chain(present)
    }

    /// In how many places of the key its rows stand.
    fn ranges(&self) -> f64 {
        self.equal.iter().map(|test| values(test)).product()
    }

    fn alternative(&self, outer: &[PlanColumn]) -> Result<KeyAlternative> {
        let bound = |test: &Option<Rc<KeyTest<'_>>>| -> Result<Option<KeyBound>> {
            let Some(test) = test else { return Ok(None) };
            let TestKind::Compare(op, value) = &test.kind else {
                return Ok(None);
            };
            Ok(Some(KeyBound {
                value: PlannedExpr::new(value.clone(), outer)?,
                inclusive: matches!(op, BinaryOp::GreaterOrEqual | BinaryOp::LessOrEqual),
            }))
        };
        let equal = self.equal.iter().map(|test| {
            Ok(match &test.kind {
                TestKind::Compare(_, value) => {
                    KeyValues::One(PlannedExpr::new(value.clone(), outer)?)
                }
                TestKind::List(list) => {
                    let mut values = Vec::with_capacity(list.len());
                    for value in *list {
                        let value =
                            key_value(value, test.data_type).unwrap_or_else(|| value.clone());
                        values.push(PlannedExpr::new(value, outer)?);
                    }
                    KeyValues::List(values)
                }
                TestKind::Elements(array) => {
                    KeyValues::Elements(PlannedExpr::new((*array).clone(), outer)?)
                }
                TestKind::Null | TestKind::Present => KeyValues::Null,
            })
        });
        Ok(KeyAlternative {
            equal: equal.collect::<Result<_>>()?,
            lower: bound(&self.lower)?,
            upper: bound(&self.upper)?,
            present: self.present.is_some(),
        })
    }
}

/// How many values a column may equal by a test.
fn values(test: &KeyTest<'_>) -> f64 {
    match &test.kind {
        TestKind::List(list) => list.len() as f64,
        TestKind::Elements(array) => elements(array),
        _ => 1.0,
    }
}

/// About how many elements an array has.
pub(crate) fn elements(array: &Expr) -> f64 {
    match &array.kind {
        ExprKind::Literal(Value::Array(array)) => array.values().len() as f64,
        ExprKind::Literal(Value::Null) => 0.0,
        ExprKind::Function(ScalarFunction::ArrayBuild, items)
            if items.iter().all(|item| !is_array(item.data_type)) =>
        {
            items.len() as f64
        }
        ExprKind::Cast(operand) => elements(operand),
        _ => default::ELEMENTS,
    }
}

fn is_array(data_type: DataType) -> bool {
    data_type.element().is_some()
}

/// What matching is about: conditions, and what is wanted of the rows.
pub(crate) struct Matcher<'a> {
    /// What is known of numbers of rows.
    pub(crate) estimator: &'a Estimator<'a>,
    /// Rows of the table.
    pub(crate) table_rows: f64,
    /// What the rows are to give.
    pub(crate) wanted: &'a Wanted,
    /// What columns may be compared with.
    pub(crate) is_value: &'a dyn Fn(&Expr) -> bool,
}

/// A test within an alternative, and the condition that it comes from.
type Placed<'e> = (usize, Rc<KeyTest<'e>>);

impl Matcher<'_> {
    /// How `key`'s path leads best to the rows that satisfy all of `conditions`; `None`: it leads not
    /// to all of them.
    pub(crate) fn match_path<'e>(
        &self,
        table: &TableHandle,
        key: &PathKey,
        conditions: &'e [Expr],
    ) -> Option<PathMatch<'e>> {
        if let Some(predicate) = &key.predicate {
            let known: Vec<&Expr> = conditions.iter().collect();
            if !implies(&known, predicate) {
                return None;
            }
        }
        let formulas: Vec<Option<Formula<'e>>> = conditions
            .iter()
            .map(|condition| formula(condition, key, self.is_value))
            .collect();
        let mut whole = self.match_columns(table, key, conditions, &formulas, key.columns.len());
        // A list on the first column keeps alternatives out that may lead to fewer rows, as in
        // `a IN (1, 2) AND (a, b) > (1, 7)`.
        let is_left_out = |(at, formula): (usize, &Option<Formula<'_>>)| {
            formula.as_ref().is_some_and(Formula::is_choice) && !whole.rests_on(|used| used == at)
        };
        if whole.first_list() == Some(0) && formulas.iter().enumerate().any(is_left_out) {
            let without: Vec<Option<Formula<'e>>> = formulas
                .iter()
                .map(|formula| formula.clone().filter(|formula| !formula.is_list()))
                .collect();
            let other = self.match_columns(table, key, conditions, &without, key.columns.len());
            if other.is_narrow() && other.cost < whole.cost {
                whole = other;
            }
        }
        // A long list behind other columns may be better looked at row by row.
        let Some(list) = whole.first_list().filter(|place| *place > 0) else {
            return Some(whole);
        };
        let shorter = self.match_columns(table, key, conditions, &formulas, list);
        let is_better = shorter.is_narrow() && shorter.cost < whole.cost;
        Some(if is_better { shorter } else { whole })
    }

    /// As [`Matcher::match_path`], by no more than the first `columns` of the key.
    fn match_columns<'e>(
        &self,
        table: &TableHandle,
        key: &PathKey,
        conditions: &'e [Expr],
        formulas: &[Option<Formula<'e>>],
        columns: usize,
    ) -> PathMatch<'e> {
        let (alternatives, used) = combine(formulas, columns);
        let mut parts = Vec::with_capacity(alternatives.len());
        // Of each condition, the tests that each alternative makes use of.
        let mut taken: Vec<Vec<Vec<Rc<KeyTest<'e>>>>> = vec![Vec::new(); conditions.len()];
        let mut complete = used.clone();
        for alternative in &alternatives {
            let (part, consumed) = take_part(alternative, columns);
            for (at, taken) in taken.iter_mut().enumerate() {
                let own = || {
                    let tests = alternative.iter().zip(&consumed);
                    tests.filter(move |((condition, _), _)| *condition == at)
                };
                if let Some(complete) = complete.get_mut(at) {
                    *complete &= own().all(|(_, consumed)| *consumed);
                }
                let tests = own().filter(|(_, consumed)| **consumed);
                taken.push(tests.map(|((_, test), _)| Rc::clone(test)).collect());
            }
            parts.push(part);
        }
        if parts.iter().any(|part| part.tests().next().is_none()) {
            parts.clear();
        }
        let (mut covered, mut shown, mut narrowing) = (Vec::new(), Vec::new(), Vec::new());
        for (at, condition) in conditions.iter().enumerate() {
            let Some(Some(formula)) = formulas.get(at) else {
                continue;
            };
            let tests = taken.get(at).map_or(&[][..], Vec::as_slice);
            if parts.is_empty() || tests.iter().any(Vec::is_empty) {
                continue;
            }
            narrowing.push(at);
            if formula.exact && complete.get(at) == Some(&true) {
                covered.push(at);
                shown.push(condition.clone());
            } else {
                shown.extend(said(tests));
            }
        }
        let mut found = PathMatch {
            path: key.path,
            covered,
            shown,
            predicate: key.predicate.clone(),
            rows: 0.0,
            cost: 0.0,
            between: 0.0,
            parts,
            narrowing,
        };
        self.estimate(&mut found, key, table);
        found
    }

    fn estimate(&self, found: &mut PathMatch<'_>, key: &PathKey, table: &TableHandle) {
        let predicate: Vec<&Expr> = key.predicate.iter().collect();
        let of_predicate = |predicate: &Expr| self.estimator.selectivity(predicate);
        let all = (self.table_rows * key.predicate.as_ref().map_or(1.0, of_predicate)).max(1.0);
        let part_of = |tests: &mut dyn Iterator<Item = &Rc<KeyTest<'_>>>| -> f64 {
            tests
                // What the predicate says already makes no fewer rows.
                .filter(|test| predicate.is_empty() || !implies(&predicate, &test.expr))
                .map(|test| self.estimator.selectivity(&test.expr))
                .product()
        };
        let rows_of = |part: &Part<'_>| -> f64 {
            let equals_null = part
                .equal
                .iter()
                .any(|test| matches!(test.kind, TestKind::Null));
            let names_rows = key.is_unique && part.equal.len() == key.columns.len() && !equals_null;
            if names_rows {
                part.ranges().min(all)
            } else {
                all * part_of(&mut part.tests())
            }
        };
        found.rows = match found.parts.as_slice() {
            [] => all,
            [only] => rows_of(only).max(1.0),
            several => {
                let missed: f64 = several
                    .iter()
                    .map(|part| 1.0 - (rows_of(part) / all).min(1.0))
                    .product();
                (all * (1.0 - missed)).max(1.0)
            }
        };
        found.between = match found.parts.as_slice() {
            [only] => {
                let single = |test: &&Rc<KeyTest<'_>>| {
                    matches!(test.kind, TestKind::Compare(..) | TestKind::Null)
                };
                let mut leading = only.equal.iter().take_while(single);
                (all * part_of(&mut leading)).max(found.rows)
            }
            _ => all,
        };
        let ranges: f64 = found.parts.iter().map(Part::ranges).sum();
        found.cost = Access {
            ranges: ranges.max(1.0),
            rows: found.rows,
            between: found.between,
            fetches: self.wanted.fetches(table, key.path),
        }
        .cost();
    }
}

/// The alternatives that all formulas together leave, each test with the condition it comes from, and
/// which conditions are among them. A condition whose alternatives make the part that is read no
/// smaller is left out.
fn combine<'e>(
    formulas: &[Option<Formula<'e>>],
    columns: usize,
) -> (Vec<Vec<Placed<'e>>>, Vec<bool>) {
    let place = |at: usize, alternative: &Alternative<'e>| -> Vec<Placed<'e>> {
        alternative
            .iter()
            .map(|test| (at, Rc::clone(test)))
            .collect()
    };
    let mut used = vec![false; formulas.len()];
    let mut plain: Vec<Placed<'e>> = Vec::new();
    let known = || {
        formulas
            .iter()
            .enumerate()
            .filter_map(|(at, of)| Some((at, of.as_ref()?)))
    };
    for (at, formula) in known() {
        if let [only] = formula.alternatives.as_slice() {
            plain.extend(place(at, only));
            used[at] = true;
        }
    }
    let mut alternatives = vec![plain];
    for (at, formula) in known() {
        if used[at] || formula.alternatives.is_empty() {
            continue;
        }
        let Some(count) = alternatives.len().checked_mul(formula.alternatives.len()) else {
            continue;
        };
        if alternatives.len() > 1 && count > super::conditions::MAX_ALTERNATIVES {
            continue;
        }
        let mut both = Vec::with_capacity(count);
        for one in &alternatives {
            for other in &formula.alternatives {
                both.push([one.clone(), place(at, other)].concat());
            }
        }
        let narrows = both.iter().all(|alternative| {
            let (_, consumed) = take_part(alternative, columns);
            let mut tests = alternative.iter().zip(consumed);
            tests.any(|((condition, _), consumed)| consumed && *condition == at)
        });
        if narrows {
            alternatives = both;
            used[at] = true;
        }
    }
    (alternatives, used)
}

/// What an alternative asks of the columns of a key from the first on, and which of its tests that
/// takes account of.
fn take_part<'e>(alternative: &[Placed<'e>], columns: usize) -> (Part<'e>, Vec<bool>) {
    let mut part = Part::default();
    let mut consumed = vec![false; alternative.len()];
    for place in 0..columns {
        let find = |wanted: &dyn Fn(&TestKind<'e>) -> bool| {
            alternative
                .iter()
                .position(|(_, test)| test.place == place && wanted(&test.kind))
        };
        let take = |at: Option<usize>, consumed: &mut Vec<bool>| -> Option<Rc<KeyTest<'e>>> {
            let at = at?;
            consumed[at] = true;
            Some(Rc::clone(&alternative.get(at)?.1))
        };
        let present = find(&|kind| matches!(kind, TestKind::Present));
        let compares = |ops: [BinaryOp; 2]| {
            find(&|kind| matches!(kind, TestKind::Compare(op, _) if ops.contains(op)))
        };
        let equal = compares([BinaryOp::Equal; 2])
            .or_else(|| find(&|kind| matches!(kind, TestKind::List(_) | TestKind::Elements(_))));
        if let Some(test) = take(equal, &mut consumed) {
            take(present, &mut consumed);
            part.equal.push(test);
            continue;
        }
        if let Some(test) = take(find(&|kind| matches!(kind, TestKind::Null)), &mut consumed) {
            part.equal.push(test);
            continue;
        }
        let lower = compares([BinaryOp::Greater, BinaryOp::GreaterOrEqual]);
        let upper = compares([BinaryOp::Less, BinaryOp::LessOrEqual]);
        part.lower = take(lower, &mut consumed);
        part.upper = take(upper, &mut consumed);
        part.present = take(present, &mut consumed);
        break;
    }
    (part, consumed)
}

/// What the tests of a condition say, by alternative.
fn said(alternatives: &[Vec<Rc<KeyTest<'_>>>]) -> Vec<Expr> {
    // The alternatives of other conditions repeat those of this one. There may be very many.
    let mut seen = HashSet::new();
    let mut different: Vec<&[Rc<KeyTest<'_>>]> = Vec::new();
    for tests in alternatives {
        let identity: Vec<_> = tests.iter().map(Rc::as_ptr).collect();
        if seen.insert(identity) {
            different.push(tests);
        }
    }
    let exprs = |tests: &[Rc<KeyTest<'_>>]| -> Vec<Expr> {
        tests
            .iter()
            .map(|test| test.expr.clone().into_owned())
            .collect()
    };
    if let [only] = different.as_slice() {
        return exprs(only);
    }
    let condition = |kind| Expr {
        kind,
        data_type: DataType::Boolean,
        nullable: true,
        span: crate::Span::default(),
    };
    let mut operands = Vec::with_capacity(different.len());
    for tests in different {
        let mut tests = exprs(tests);
        operands.push(match tests.len() {
            1 => tests.remove(0),
            _ => condition(ExprKind::And(tests)),
        });
    }
    vec![condition(ExprKind::Or(operands))]
}
