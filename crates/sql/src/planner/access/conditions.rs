//! What conditions say of the columns of a key.
//!
//! A condition becomes a [`Formula`]: alternatives, each a list of tests of key columns. A row
//! comparison `(a, b) > (1, 2)`, which comes as `a > 1 OR (a = 1 AND b > 2)`, has two alternatives;
//! `IN` and `= ANY` are one test with several values.

use std::{borrow::Cow, rc::Rc};

use crate::{
    DataType, Value,
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction},
    engine::key_set::fits,
    planner::{
        access::key::{PathKey, key_value},
        expr_tools::{is_comparison, is_stable_constant, literal, mirrored},
    },
};

/// More alternatives are not looked at.
pub(super) const MAX_ALTERNATIVES: usize = 1 << 14;

/// What is asked of a key column.
#[derive(Clone, Debug)]
pub(crate) enum TestKind<'e> {
    /// How it compares with a value, the column on the left.
    Compare(BinaryOp, Expr),
    /// It equals one of these.
    List(&'e [Expr]),
    /// It equals an element of this array.
    Elements(&'e Expr),
    /// It is NULL.
    Null,
    /// It is not NULL.
    Present,
}

/// A test of a key column.
#[derive(Clone, Debug)]
pub(crate) struct KeyTest<'e> {
    /// Which column, by its place in the key.
    pub(crate) place: usize,
    /// The type of its values.
    pub(crate) data_type: DataType,
    /// What is asked of it.
    pub(crate) kind: TestKind<'e>,
    /// The same as a condition.
    pub(crate) expr: Cow<'e, Expr>,
}

/// Tests that must all hold.
pub(super) type Alternative<'e> = Vec<Rc<KeyTest<'e>>>;

/// Alternatives, one of which must hold.
#[derive(Clone, Debug)]
pub(super) struct Formula<'e> {
    pub(super) alternatives: Vec<Alternative<'e>>,
    /// Whether it says all that the condition says; otherwise it only follows from it.
    pub(super) exact: bool,
}

impl<'e> Formula<'e> {
    fn of(test: KeyTest<'e>) -> Formula<'e> {
        Formula {
            alternatives: vec![vec![Rc::new(test)]],
            exact: true,
        }
    }

    /// Whether it leaves several alternatives.
    pub(super) fn is_choice(&self) -> bool {
        self.alternatives.len() > 1
    }

    /// Whether it says only that a column equals one of several values.
    pub(super) fn is_list(&self) -> bool {
        let is_list =
            |test: &Rc<KeyTest<'_>>| matches!(test.kind, TestKind::List(_) | TestKind::Elements(_));
        matches!(self.alternatives.as_slice(), [only] if only.iter().all(is_list))
    }
}

/// What `condition` says of the columns of `key`, where `is_value` tells what their values may be
/// compared with; `None`: nothing.
pub(super) fn formula<'e>(
    condition: &'e Expr,
    key: &PathKey,
    is_value: &dyn Fn(&Expr) -> bool,
) -> Option<Formula<'e>> {
    let test = |place, data_type, kind| {
        Formula::of(KeyTest {
            place,
            data_type,
            kind,
            expr: Cow::Borrowed(condition),
        })
    };
    match &condition.kind {
        ExprKind::Binary(op, left, right) => {
            let (place, data_type, op, value) = comparison(*op, left, right, key, is_value)?;
            Some(test(place, data_type, TestKind::Compare(op, value)))
        }
        ExprKind::InList {
            operand,
            list,
            negated: false,
        } => {
            let (place, data_type) = key.behind(operand)?;
            let usable = |value: &Expr| is_value(value) && fits(value.data_type, data_type);
            let usable = list.iter().all(usable);
            usable.then(|| test(place, data_type, TestKind::List(list)))
        }
        ExprKind::Function(ScalarFunction::ArrayAny, arguments) => {
            let (operand, array) = equals_element(arguments)?;
            let (place, data_type) = key.behind(operand)?;
            let element = array.data_type.element()?;
            // Elements are compared as they are, with their trailing blanks.
            let usable = is_value(array)
                && fits(element, data_type)
                && !matches!(data_type, DataType::Char(_));
            usable.then(|| test(place, data_type, TestKind::Elements(array)))
        }
        ExprKind::IsNull { operand, negated } => {
            let (place, data_type) = key.behind(operand)?;
            let kind = if *negated {
                TestKind::Present
            } else {
                TestKind::Null
            };
            Some(test(place, data_type, kind))
        }
        ExprKind::Like { .. } => prefix(condition, key),
        ExprKind::And(operands) => {
            let mut all = Formula {
                alternatives: vec![Vec::new()],
                exact: true,
            };
            for operand in operands {
                match formula(operand, key, is_value) {
                    None => all.exact = false,
                    Some(next) => match product(&all.alternatives, &next.alternatives) {
                        None => all.exact = false,
                        Some(both) => {
                            all.alternatives = both;
                            all.exact &= next.exact;
                        }
                    },
                }
            }
            let says = all.alternatives.iter().any(|tests| !tests.is_empty());
            says.then_some(all)
        }
        ExprKind::Or(operands) => {
            let mut any = Formula {
                alternatives: Vec::new(),
                exact: true,
            };
            for operand in operands {
                // What is never true is no alternative.
                if let ExprKind::Literal(Value::Null | Value::Boolean(false)) = operand.kind {
                    continue;
                }
                let next = formula(operand, key, is_value)?;
                any.alternatives.extend(next.alternatives);
                any.exact &= next.exact;
                if any.alternatives.len() > MAX_ALTERNATIVES {
                    return None;
                }
            }
            (!any.alternatives.is_empty()).then_some(any)
        }
        _ => None,
    }
}

/// Every alternative of one with every alternative of the other; `None`: they are too many.
pub(super) fn product<'e>(
    one: &[Alternative<'e>],
    other: &[Alternative<'e>],
) -> Option<Vec<Alternative<'e>>> {
    let count = one.len().checked_mul(other.len())?;
    // What does not branch multiplies nothing.
    if count > MAX_ALTERNATIVES && one.len() > 1 && other.len() > 1 {
        return None;
    }
    let mut both = Vec::with_capacity(count);
    for one in one {
        for other in other {
            both.push(one.iter().chain(other).cloned().collect());
        }
    }
    Some(both)
}

/// The key column of a comparison, the type of its values, the operator with the column on its left,
/// and what the column is compared with.
fn comparison(
    op: BinaryOp,
    left: &Expr,
    right: &Expr,
    key: &PathKey,
    is_value: &dyn Fn(&Expr) -> bool,
) -> Option<(usize, DataType, BinaryOp, Expr)> {
    if !is_comparison(op) || op == BinaryOp::NotEqual {
        return None;
    }
    [(left, op, right), (right, mirrored(op), left)]
        .into_iter()
        .find_map(|(side, op, other)| {
            let (place, data_type) = key.behind(side)?;
            if !is_value(other) {
                return None;
            }
            Some((place, data_type, op, key_value(other, data_type)?))
        })
}

/// What one of `conditions` says that `column` equals, as a value of its type.
pub(crate) fn equal_value(conditions: &[Expr], column: &Expr) -> Option<Expr> {
    let key = PathKey::of_column(column.clone());
    conditions.iter().find_map(|condition| {
        let found = formula(condition, &key, &is_stable_constant)?;
        let [only] = found.alternatives.as_slice() else {
            return None;
        };
        only.iter().find_map(|test| match &test.kind {
            TestKind::Compare(BinaryOp::Equal, value)
                if !column.data_type.is_integer() || value.data_type == column.data_type =>
            {
                Some(value.clone())
            }
            _ => None,
        })
    })
}

/// Of the arguments of `array_any`: what is to equal an element of which array.
pub(crate) fn equals_element(arguments: &[Expr]) -> Option<(&Expr, &Expr)> {
    let [symbol, operand, array] = arguments else {
        return None;
    };
    match &symbol.kind {
        ExprKind::Literal(Value::Text(symbol)) if symbol == "=" => Some((operand, array)),
        _ => None,
    }
}

/// For `column LIKE 'abc%'`: `column >= 'abc'` and `column < 'abd'`, which follow from it.
fn prefix<'e>(condition: &'e Expr, key: &PathKey) -> Option<Formula<'e>> {
    let ExprKind::Like {
        operand,
        pattern,
        escape: None,
        case_insensitive: false,
        negated: false,
    } = &condition.kind
    else {
        return None;
    };
    let (place, data_type) = key.behind(operand)?;
    if !matches!(data_type, DataType::Text | DataType::Varchar(_)) {
        return None;
    }
    let ExprKind::Literal(Value::Text(pattern)) = &pattern.kind else {
        return None;
    };
    let end = pattern.find(['%', '_', '\\'])?;
    let prefix = pattern.get(..end).filter(|prefix| !prefix.is_empty())?;
    // The next prefix: the last character counted up, where that is a character.
    let (last_at, last) = prefix.char_indices().next_back()?;
    let next = char::from_u32(u32::from(last) + 1)?;
    let mut above = prefix.get(..last_at)?.to_owned();
    above.push(next);
    let column = key.columns.get(place)?.expr.as_ref()?;
    let test = |op, text: &str| {
        let value = literal(Value::Text(text.into()), data_type);
        let expr = Expr {
            kind: ExprKind::Binary(op, Box::new(column.clone()), Box::new(value.clone())),
            data_type: DataType::Boolean,
            nullable: true,
            span: condition.span,
        };
        Rc::new(KeyTest {
            place,
            data_type,
            kind: TestKind::Compare(op, value),
            expr: Cow::Owned(expr),
        })
    };
    Some(Formula {
        alternatives: vec![vec![
            test(BinaryOp::GreaterOrEqual, prefix),
            test(BinaryOp::Less, &above),
        ]],
        exact: false,
    })
}
