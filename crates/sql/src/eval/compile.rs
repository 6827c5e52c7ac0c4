//! From bound expressions to the compiled tree.

use super::{
    EvalContext,
    arithmetic::{resolve_binary, resolve_unary},
    date_arithmetic, functions, internal,
    like::{LikePattern, escape_character},
    node::{Collation, Comparison, Node, ValueSet},
    regular::RegexNode,
};
use crate::{
    Result, SqlState,
    bound::{BinaryOp, ColumnId, Expr, ExprKind, ScalarFunction, UnaryOp},
    error::Error,
    types::{CastContext, DataType, GroupKey, Value},
};

/// `IN` lists of constants from this length on are looked up in a hash set.
const SET_LENGTH: usize = 8;

/// An expression ready to be evaluated over rows. Immutable; threads may share it.
#[derive(Debug)]
pub struct CompiledExpr {
    root: Node,
}

impl CompiledExpr {
    /// Compiles `expr`; `position` tells where in a row a column stands.
    ///
    /// # Errors
    /// XX000 for a column without a position and for a subquery, which the planner replaces
    /// beforehand; 42883 for an operator or function that is not defined for its operands.
    pub fn compile(
        expr: &Expr,
        position: &dyn Fn(ColumnId) -> Option<usize>,
    ) -> Result<CompiledExpr> {
        let compiler = Compiler { position };
        Ok(CompiledExpr {
            root: compiler.node(expr)?,
        })
    }

    /// The value for a row.
    ///
    /// # Errors
    /// What the expression's operators and functions raise.
    #[inline]
    pub fn eval(&self, row: &[Value], context: &EvalContext<'_>) -> Result<Value> {
        self.root.eval(row, context)
    }

    /// The truth of a condition for a row; `None`: unknown.
    ///
    /// # Errors
    /// As [`CompiledExpr::eval`].
    #[inline]
    pub fn eval_predicate(&self, row: &[Value], context: &EvalContext<'_>) -> Result<Option<bool>> {
        self.root.truth(row, context)
    }
}

struct Compiler<'a> {
    position: &'a dyn Fn(ColumnId) -> Option<usize>,
}

fn comparison(op: BinaryOp) -> Option<Comparison> {
    Some(match op {
        BinaryOp::Equal => Comparison::Equal,
        BinaryOp::NotEqual => Comparison::NotEqual,
        BinaryOp::Less => Comparison::Less,
        BinaryOp::LessOrEqual => Comparison::LessOrEqual,
        BinaryOp::Greater => Comparison::Greater,
        BinaryOp::GreaterOrEqual => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn literal(expr: &Expr) -> Option<&Value> {
    match &expr.kind {
        ExprKind::Literal(value) => Some(value),
        _ => None,
    }
}

/// How operands compare: where all that have a type are `char(n)`, without trailing blanks.
fn collation<'a>(operands: impl IntoIterator<Item = &'a Expr>) -> Collation {
    let padded = operands
        .into_iter()
        .any(|operand| Collation::of(operand.data_type) == Collation::BlankPadded);
    if padded {
        Collation::BlankPadded
    } else {
        Collation::Plain
    }
}

impl Compiler<'_> {
    fn nodes(&self, exprs: &[Expr]) -> Result<Vec<Node>> {
        exprs.iter().map(|expr| self.node(expr)).collect()
    }

    fn boxed(&self, expr: &Expr) -> Result<Box<Node>> {
        self.node(expr).map(Box::new)
    }

    fn pair(&self, left: &Expr, right: &Expr) -> Result<Box<(Node, Node)>> {
        Ok(Box::new((self.node(left)?, self.node(right)?)))
    }

    fn node(&self, expr: &Expr) -> Result<Node> {
        Ok(match &expr.kind {
            ExprKind::Literal(value) => Node::Constant(value.clone()),
            ExprKind::Column(id) => match (self.position)(*id) {
                Some(position) => Node::Column(position),
                None => {
                    return Err(
                        internal(format!("column {} is not in the row", id.0)).at(expr.span)
                    );
                }
            },
            ExprKind::Parameter(number) => Node::Parameter(*number),
            ExprKind::Unary(UnaryOp::Not, operand) => Node::Not(self.boxed(operand)?),
            ExprKind::Unary(op, operand) => Node::Unary(
                resolve_unary(*op, operand.data_type).map_err(|error| error.at(expr.span))?,
                self.boxed(operand)?,
            ),
            ExprKind::Binary(op, left, right) => self.binary(expr, *op, left, right)?,
            ExprKind::And(operands) => Node::And(self.nodes(operands)?),
            ExprKind::Or(operands) => Node::Or(self.nodes(operands)?),
            ExprKind::IsNull { operand, negated } => Node::IsNull {
                operand: self.boxed(operand)?,
                negated: *negated,
            },
            ExprKind::IsTruth {
                operand,
                value,
                negated,
            } => Node::IsTruth {
                operand: self.boxed(operand)?,
                value: *value,
                negated: *negated,
            },
            ExprKind::IsDistinct {
                left,
                right,
                negated,
            } => Node::IsDistinct {
                operands: self.pair(left, right)?,
                collation: collation([&**left, &**right]),
                negated: *negated,
            },
            ExprKind::InList {
                operand,
                list,
                negated,
            } => self.in_list(operand, list, *negated)?,
            ExprKind::Like {
                operand,
                pattern,
                escape,
                case_insensitive,
                negated,
            } => self.like(
                operand,
                pattern,
                escape.as_deref(),
                *case_insensitive,
                *negated,
            )?,
            ExprKind::Case {
                branches,
                otherwise,
            } => Node::Case {
                branches: branches
                    .iter()
                    .map(|(condition, result)| Ok((self.node(condition)?, self.node(result)?)))
                    .collect::<Result<_>>()?,
                otherwise: match otherwise {
                    Some(result) => Some(self.boxed(result)?),
                    None => None,
                },
            },
            ExprKind::Cast(operand) => self.cast(expr, operand, CastContext::Explicit)?,
            ExprKind::AssignmentCast(operand) => {
                self.cast(expr, operand, CastContext::Assignment)?
            }
            ExprKind::Function(function, arguments) => self
                .function(*function, arguments)
                .map_err(|error| error.at(expr.span))?,
            ExprKind::ScalarSubquery(_) | ExprKind::InSubquery { .. } | ExprKind::Exists { .. } => {
                return Err(internal("a subquery reached the evaluator").at(expr.span));
            }
        })
    }

    fn binary(&self, expr: &Expr, op: BinaryOp, left: &Expr, right: &Expr) -> Result<Node> {
        if let Some(comparison) = comparison(op) {
            return Ok(Node::Compare(
                comparison,
                collation([left, right]),
                self.pair(left, right)?,
            ));
        }
        if let Some(function) = date_arithmetic::resolve_zoned(op, left.data_type, right.data_type)
        {
            return Ok(Node::Call {
                function,
                strict: true,
                arguments: vec![self.node(left)?, self.node(right)?],
            });
        }
        let function = resolve_binary(op, left.data_type, right.data_type)
            .map_err(|error| error.at(expr.span))?;
        if op == BinaryOp::Concat {
            let operands = (self.text_argument(left)?, self.text_argument(right)?);
            return Ok(Node::Binary(function, Box::new(operands)));
        }
        Ok(Node::Binary(function, self.pair(left, right)?))
    }

    /// An operand of a string function: `char(n)` comes without its padding.
    fn text_argument(&self, expr: &Expr) -> Result<Node> {
        let node = self.node(expr)?;
        Ok(match expr.data_type {
            DataType::Char(_) => Node::TrimBlanks(Box::new(node)),
            _ => node,
        })
    }

    fn cast(&self, expr: &Expr, operand: &Expr, context: CastContext) -> Result<Node> {
        let (from, to) = (operand.data_type, expr.data_type);
        if from == to {
            return self.node(operand);
        }
        let operand = if matches!(to, DataType::Char(_)) {
            self.boxed(operand)?
        } else {
            Box::new(self.text_argument(operand)?)
        };
        Ok(match to {
            // A longer or unlimited string type takes the value as it is.
            DataType::Text | DataType::Varchar(None) if from.is_string() => *operand,
            _ => Node::Cast {
                operand,
                to,
                context,
                span: expr.span,
            },
        })
    }

    fn in_list(&self, operand: &Expr, list: &[Expr], negated: bool) -> Result<Node> {
        let collation = collation(std::iter::once(operand).chain(list));
        let constants: Option<Vec<&Value>> = list.iter().map(literal).collect();
        match constants {
            Some(constants) if constants.len() >= SET_LENGTH && collation == Collation::Plain => {
                let has_null = constants.iter().any(|value| value.is_null());
                let set: ValueSet = constants
                    .into_iter()
                    .filter(|value| !value.is_null())
                    .map(|value| GroupKey(value.clone()))
                    .collect();
                Ok(Node::InSet {
                    operand: self.boxed(operand)?,
                    set,
                    has_null,
                    negated,
                })
            }
            _ => Ok(Node::InList {
                operand: self.boxed(operand)?,
                list: self.nodes(list)?,
                collation,
                negated,
            }),
        }
    }

    fn like(
        &self,
        operand: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        case_insensitive: bool,
        negated: bool,
    ) -> Result<Node> {
        let constant_escape = match escape {
            None => Some(Some('\\')),
            // A wrong escape string fails where, and if, it is evaluated.
            Some(escape) => literal(escape)
                .and_then(Value::as_text)
                .and_then(|text| escape_character(text).ok()),
        };
        if let (Some(Value::Text(text)), Some(escape)) = (literal(pattern), constant_escape)
            && let Ok(pattern) = LikePattern::new(text, escape, case_insensitive)
        {
            return Ok(Node::LikeConstant {
                operand: self.boxed(operand)?,
                pattern,
                negated,
            });
        }
        Ok(Node::Like {
            operands: self.pair(operand, pattern)?,
            escape: match escape {
                Some(escape) => Some(self.boxed(escape)?),
                None => None,
            },
            case_insensitive,
            negated,
        })
    }

    fn function(&self, function: ScalarFunction, arguments: &[Expr]) -> Result<Node> {
        match (function, arguments) {
            (ScalarFunction::Coalesce, _) => Ok(Node::Coalesce(self.nodes(arguments)?)),
            (ScalarFunction::NullIf, [left, right]) => Ok(Node::NullIf(
                collation([left, right]),
                self.pair(left, right)?,
            )),
            (ScalarFunction::Greatest | ScalarFunction::Least, _) => Ok(Node::Extreme {
                operands: self.nodes(arguments)?,
                collation: collation(arguments),
                greatest: function == ScalarFunction::Greatest,
            }),
            (ScalarFunction::TypeOf, [argument]) => Ok(Node::TypeName(Value::from(
                without_limits(argument.data_type).to_string().as_str(),
            ))),
            (
                ScalarFunction::RegexpReplace
                | ScalarFunction::RegexpLike
                | ScalarFunction::SimilarTo,
                _,
            ) if arguments.len() >= 2
                && arguments.iter().all(|argument| {
                    argument.data_type.is_string() || argument.data_type == DataType::Unknown
                }) =>
            {
                let nodes = arguments
                    .iter()
                    .map(|argument| self.text_argument(argument))
                    .collect::<Result<Vec<Node>>>()?;
                let pattern = arguments.get(1).and_then(literal).and_then(Value::as_text);
                let flags = match (function, arguments.get(2), arguments.get(3)) {
                    (ScalarFunction::RegexpReplace, _, flags)
                    | (ScalarFunction::RegexpLike, flags, _) => match flags {
                        None => Some(""),
                        Some(flags) => literal(flags).and_then(Value::as_text),
                    },
                    (_, None, _) => Some("\\"),
                    (_, Some(escape), _) => literal(escape).and_then(Value::as_text),
                };
                RegexNode::new(function, nodes, pattern.zip(flags))
                    .map(|node| Node::Regex(Box::new(node)))
            }
            _ => {
                let types: Vec<DataType> = arguments
                    .iter()
                    .map(|argument| argument.data_type)
                    .collect();
                let resolved = functions::resolve(function, &types).ok_or_else(|| {
                    let list: Vec<String> = types.iter().map(DataType::to_string).collect();
                    Error::new(
                        SqlState::UNDEFINED_FUNCTION,
                        format!("function {function:?}({}) does not exist", list.join(", ")),
                    )
                })?;
                let arguments = arguments
                    .iter()
                    .map(|argument| {
                        if function == ScalarFunction::OctetLength {
                            self.node(argument)
                        } else {
                            self.text_argument(argument)
                        }
                    })
                    .collect::<Result<_>>()?;
                Ok(Node::Call {
                    function: resolved.function,
                    strict: resolved.strict,
                    arguments,
                })
            }
        }
    }
}

/// The type as `pg_typeof` names it.
fn without_limits(data_type: DataType) -> DataType {
    match data_type {
        DataType::Decimal(_) => DataType::Decimal(None),
        DataType::Varchar(_) => DataType::Varchar(None),
        other => other,
    }
}
