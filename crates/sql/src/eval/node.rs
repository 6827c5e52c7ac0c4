//! The compiled tree and its interpreter.

use std::{cmp::Ordering, ops::Deref};

use hashbrown::HashSet;
use smallvec::SmallVec;

use super::{
    EvalContext,
    arithmetic::{Binary, Unary},
    functions::Function,
    internal,
    like::{LikePattern, escape_character},
    regular::RegexNode,
};
use crate::{
    Result, Span,
    types::{CastContext, DataType, GroupKey, Value},
};

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    #[inline]
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// How two values of a type compare: `char(n)` ignores trailing blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collation {
    Plain,
    BlankPadded,
}

impl Collation {
    pub(super) fn of(data_type: DataType) -> Collation {
        match data_type {
            DataType::Char(_) => Collation::BlankPadded,
            _ => Collation::Plain,
        }
    }

    #[inline]
    pub(super) fn compare(self, left: &Value, right: &Value) -> Ordering {
        match (self, left, right) {
            (Collation::BlankPadded, Value::Text(left), Value::Text(right)) => {
                let trim = |text: &str| text.trim_end_matches(' ').len();
                left.as_bytes()[..trim(left)].cmp(&right.as_bytes()[..trim(right)])
            }
            _ => left.compare(right),
        }
    }
}

/// The set of a long `IN` list of constants.
pub(super) type ValueSet = HashSet<GroupKey, foldhash::fast::RandomState>;

/// A compiled expression.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value),
    Column(usize),
    Parameter(usize),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<(Node, Node)>),
    Not(Box<Node>),
    Compare(Comparison, Collation, Box<(Node, Node)>),
    And(Vec<Node>),
    Or(Vec<Node>),
    IsNull {
        operand: Box<Node>,
        negated: bool,
    },
    IsTruth {
        operand: Box<Node>,
        value: Option<bool>,
        negated: bool,
    },
    IsDistinct {
        operands: Box<(Node, Node)>,
        collation: Collation,
        negated: bool,
    },
    InList {
        operand: Box<Node>,
        list: Vec<Node>,
        collation: Collation,
        negated: bool,
    },
    /// `IN` over constants; whether NULL is among them stands apart.
    InSet {
        operand: Box<Node>,
        set: ValueSet,
        has_null: bool,
        negated: bool,
    },
    /// `LIKE` with a constant pattern.
    LikeConstant {
        operand: Box<Node>,
        pattern: LikePattern,
        negated: bool,
    },
    Like {
        operands: Box<(Node, Node)>,
        escape: Option<Box<Node>>,
        case_insensitive: bool,
        negated: bool,
    },
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Cast {
        operand: Box<Node>,
        to: DataType,
        context: CastContext,
        span: Span,
    },
    /// `char(n)` on its way to another string type: without its trailing blanks.
    TrimBlanks(Box<Node>),
    Coalesce(Vec<Node>),
    NullIf(Collation, Box<(Node, Node)>),
    /// `greatest` and `least`, which skip NULLs.
    Extreme {
        operands: Vec<Node>,
        collation: Collation,
        greatest: bool,
    },
    /// A function; where strict, any NULL argument makes NULL without a call.
    Call {
        function: Function,
        strict: bool,
        arguments: Vec<Node>,
    },
    Regex(Box<RegexNode>),
    /// A known type's name (`pg_typeof`).
    TypeName(Value),
}

/// A value that is borrowed where it stands in the row or the expression.
pub(super) enum Datum<'a> {
    Borrowed(&'a Value),
    Owned(Value),
}

impl Deref for Datum<'_> {
    type Target = Value;

    #[inline]
    fn deref(&self) -> &Value {
        match self {
            Datum::Borrowed(value) => value,
            Datum::Owned(value) => value,
        }
    }
}

#[cold]
fn not_boolean(value: &Value) -> crate::Error {
    internal(format!("a condition is of type {:?}", value.data_type()))
}

fn truth_value(truth: Option<bool>) -> Value {
    truth.map_or(Value::Null, Value::Boolean)
}

impl Node {
    #[inline]
    pub(super) fn datum<'a>(
        &'a self,
        row: &'a [Value],
        context: &EvalContext<'a>,
    ) -> Result<Datum<'a>> {
        match self {
            Node::Column(position) => row
                .get(*position)
                .map(Datum::Borrowed)
                .ok_or_else(|| internal("a row has fewer columns than its expression")),
            Node::Constant(value) | Node::TypeName(value) => Ok(Datum::Borrowed(value)),
            Node::Parameter(number) => {
                let parameters: &'a [Value] = context.parameters;
                parameters.get(*number).map(Datum::Borrowed).ok_or_else(|| {
                    crate::Error::new(
                        crate::SqlState::UNDEFINED_PARAMETER,
                        format!("there is no value for parameter ${}", number + 1),
                    )
                })
            }
            _ => self.eval(row, context).map(Datum::Owned),
        }
    }

    pub(super) fn eval(&self, row: &[Value], context: &EvalContext<'_>) -> Result<Value> {
        match self {
            Node::Constant(_) | Node::Column(_) | Node::Parameter(_) | Node::TypeName(_) => {
                Ok(match self.datum(row, context)? {
                    Datum::Borrowed(value) => value.clone(),
                    Datum::Owned(value) => value,
                })
            }
            Node::Unary(function, operand) => {
                let value = operand.datum(row, context)?;
                if value.is_null() {
                    return Ok(Value::Null);
                }
                function(&value)
            }
            Node::Binary(function, operands) => {
                let left = operands.0.datum(row, context)?;
                if left.is_null() {
                    return Ok(Value::Null);
                }
                let right = operands.1.datum(row, context)?;
                if right.is_null() {
                    return Ok(Value::Null);
                }
                function(&left, &right)
            }
            Node::Case {
                branches,
                otherwise,
            } => {
                for (condition, result) in branches {
                    if condition.truth(row, context)? == Some(true) {
                        return result.eval(row, context);
                    }
                }
                match otherwise {
                    Some(result) => result.eval(row, context),
                    None => Ok(Value::Null),
                }
            }
            Node::Cast {
                operand,
                to,
                context: cast_context,
                span,
            } => operand
                .eval(row, context)?
                .cast_in(*to, *cast_context, &context.conversion())
                .map_err(|error| error.at(*span)),
            Node::TrimBlanks(operand) => Ok(match operand.eval(row, context)? {
                Value::Text(mut text) => {
                    text.truncate(text.trim_end_matches(' ').len());
                    Value::Text(text)
                }
                other => other,
            }),
            Node::Coalesce(operands) => {
                for operand in operands {
                    let value = operand.eval(row, context)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            Node::NullIf(collation, operands) => {
                let left = operands.0.eval(row, context)?;
                if left.is_null() {
                    return Ok(left);
                }
                let right = operands.1.datum(row, context)?;
                if !right.is_null() && collation.compare(&left, &right).is_eq() {
                    return Ok(Value::Null);
                }
                Ok(left)
            }
            Node::Extreme {
                operands,
                collation,
                greatest,
            } => {
                let mut extreme = Value::Null;
                for operand in operands {
                    let value = operand.eval(row, context)?;
                    if value.is_null() {
                        continue;
                    }
                    let ordering = collation.compare(&value, &extreme);
                    if extreme.is_null()
                        || (*greatest && ordering.is_gt())
                        || (!*greatest && ordering.is_lt())
                    {
                        extreme = value;
                    }
                }
                Ok(extreme)
            }
            Node::Call {
                function,
                strict,
                arguments,
            } => {
                let mut values: SmallVec<[Value; 4]> = SmallVec::with_capacity(arguments.len());
                for argument in arguments {
                    let value = argument.eval(row, context)?;
                    if *strict && value.is_null() {
                        return Ok(Value::Null);
                    }
                    values.push(value);
                }
                function(&values, context)
            }
            Node::Regex(regex) => regex.eval(row, context),
            _ => self.truth(row, context).map(truth_value),
        }
    }

    /// The value of a condition; `None`: unknown.
    pub(super) fn truth(&self, row: &[Value], context: &EvalContext<'_>) -> Result<Option<bool>> {
        match self {
            Node::Compare(comparison, collation, operands) => {
                let left = operands.0.datum(row, context)?;
                if left.is_null() {
                    return Ok(None);
                }
                let right = operands.1.datum(row, context)?;
                if right.is_null() {
                    return Ok(None);
                }
                Ok(Some(comparison.holds(collation.compare(&left, &right))))
            }
            Node::And(operands) => {
                let mut unknown = false;
                for operand in operands {
                    match operand.truth(row, context)? {
                        Some(true) => {}
                        Some(false) => return Ok(Some(false)),
                        None => unknown = true,
                    }
                }
                Ok((!unknown).then_some(true))
            }
            Node::Or(operands) => {
                let mut unknown = false;
                for operand in operands {
                    match operand.truth(row, context)? {
                        Some(false) => {}
                        Some(true) => return Ok(Some(true)),
                        None => unknown = true,
                    }
                }
                Ok((!unknown).then_some(false))
            }
            Node::Not(operand) => Ok(operand.truth(row, context)?.map(|truth| !truth)),
            Node::IsNull { operand, negated } => {
                Ok(Some(operand.datum(row, context)?.is_null() != *negated))
            }
            Node::IsTruth {
                operand,
                value,
                negated,
            } => Ok(Some((operand.truth(row, context)? == *value) != *negated)),
            Node::IsDistinct {
                operands,
                collation,
                negated,
            } => {
                let left = operands.0.datum(row, context)?;
                let right = operands.1.datum(row, context)?;
                let distinct = match (left.is_null(), right.is_null()) {
                    (false, false) => collation.compare(&left, &right).is_ne(),
                    (left, right) => left != right,
                };
                Ok(Some(distinct != *negated))
            }
            Node::InList {
                operand,
                list,
                collation,
                negated,
            } => {
                let value = operand.datum(row, context)?;
                if value.is_null() {
                    return Ok(None);
                }
                let mut unknown = false;
                for candidate in list {
                    let candidate = candidate.datum(row, context)?;
                    if candidate.is_null() {
                        unknown = true;
                    } else if collation.compare(&value, &candidate).is_eq() {
                        return Ok(Some(!*negated));
                    }
                }
                Ok(if unknown { None } else { Some(*negated) })
            }
            Node::InSet {
                operand,
                set,
                has_null,
                negated,
            } => {
                let value = operand.eval(row, context)?;
                if value.is_null() {
                    return Ok(None);
                }
                if set.contains(&GroupKey(value)) {
                    Ok(Some(!*negated))
                } else if *has_null {
                    Ok(None)
                } else {
                    Ok(Some(*negated))
                }
            }
            Node::LikeConstant {
                operand,
                pattern,
                negated,
            } => match &*operand.datum(row, context)? {
                Value::Null => Ok(None),
                Value::Text(text) => Ok(Some(pattern.matches(text) != *negated)),
                other => Err(internal(format!("LIKE over {:?}", other.data_type()))),
            },
            Node::Like {
                operands,
                escape,
                case_insensitive,
                negated,
            } => {
                let text = operands.0.datum(row, context)?;
                let pattern = operands.1.datum(row, context)?;
                let escape = match escape {
                    Some(escape) => Some(escape.datum(row, context)?),
                    None => None,
                };
                if text.is_null()
                    || pattern.is_null()
                    || escape.as_ref().is_some_and(|escape| escape.is_null())
                {
                    return Ok(None);
                }
                let escape = match &escape {
                    Some(escape) => escape_character(escape.as_text().unwrap_or(""))?,
                    None => Some('\\'),
                };
                match (&*text, &*pattern) {
                    (Value::Text(text), Value::Text(pattern)) => {
                        let pattern = LikePattern::new(pattern, escape, *case_insensitive)?;
                        Ok(Some(pattern.matches(text) != *negated))
                    }
                    _ => Err(internal("LIKE over other than text")),
                }
            }
            _ => match &*self.datum(row, context)? {
                Value::Boolean(truth) => Ok(Some(*truth)),
                Value::Null => Ok(None),
                other => Err(not_boolean(other)),
            },
        }
    }
}
