//! Expressions over batches.
//!
//! A [`VectorExpr`] mirrors the bound expression. Where a form has a kernel, it runs on whole
//! arrays; anything else goes row by row through the row executor's [`CompiledExpr`], so every
//! expression works. A kernel that meets an error (overflow, division by zero) gives up, and
//! the row evaluator then raises exactly the error that row mode would.
//!
//! Operands that can fail are evaluated only for the rows that need them: AND, OR, CASE and
//! COALESCE narrow the batch to those rows first.

mod arithmetic;
mod compare;
mod in_list;
mod logic;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, cast::AsArray};

use crate::{
    DataType, Result, Value,
    bound::{BinaryOp, ColumnId, Expr, ExprKind, ScalarFunction, UnaryOp},
    eval::{CompiledExpr, LikePattern},
    executor::ExecContext,
    planner::physical::PlanColumn,
    vector::{
        batch::Batch,
        convert::{ColumnBuilder, value_at},
        decimal,
    },
};

/// An expression ready to be evaluated over batches.
#[derive(Debug)]
pub(crate) struct VectorExpr {
    kind: Kind,
    data_type: DataType,
    /// Whether evaluating it for a row that needs no value could raise an error.
    fallible: bool,
    row: RowForm,
}

/// The expression as the row executor has it.
#[derive(Debug)]
struct RowForm {
    compiled: CompiledExpr,
    /// The input columns that it reads, with their types.
    reads: Vec<(usize, DataType)>,
    width: usize,
}

#[derive(Debug)]
enum Kind {
    Column(usize),
    Constant(Value),
    Parameter(usize),
    Compare(BinaryOp, Box<(VectorExpr, VectorExpr)>),
    Arithmetic(BinaryOp, Box<(VectorExpr, VectorExpr)>),
    Widen(Box<VectorExpr>),
    Same(Box<VectorExpr>),
    And(Vec<VectorExpr>),
    Or(Vec<VectorExpr>),
    Not(Box<VectorExpr>),
    IsNull(Box<VectorExpr>, bool),
    IsTruth(Box<VectorExpr>, Option<bool>, bool),
    InList(Box<VectorExpr>, in_list::ConstantSet, bool),
    Like(Box<VectorExpr>, LikePattern, bool),
    Case {
        branches: Vec<(VectorExpr, VectorExpr)>,
        otherwise: Option<Box<VectorExpr>>,
    },
    Coalesce(Vec<VectorExpr>),
    Rows,
}

/// The columns that the row evaluator reads, each once. It walks with [`Expr::operands`], which
/// names every form of expression: one that were passed over would read NULL for its columns.
fn collect_columns(expr: &Expr, found: &mut Vec<ColumnId>) {
    expr.visit(&mut |part| {
        if let ExprKind::Column(id) = &part.kind
            && !found.contains(id)
        {
            found.push(*id);
        }
        true
    });
}

impl VectorExpr {
    /// Compiles `expr` over batches of `columns`.
    pub(crate) fn new(expr: &Expr, columns: &[PlanColumn]) -> Result<VectorExpr> {
        let position = |id: ColumnId| columns.iter().position(|column| column.id == id);
        let mut ids = Vec::new();
        collect_columns(expr, &mut ids);
        let row = RowForm {
            compiled: CompiledExpr::compile(expr, &position)?,
            reads: ids
                .into_iter()
                .filter_map(position)
                .map(|at| (at, columns[at].data_type))
                .collect(),
            width: columns.len(),
        };
        let kind = VectorExpr::kind(expr, columns)?;
        let fallible = match &kind {
            Kind::Column(_) | Kind::Constant(_) | Kind::Parameter(_) => false,
            Kind::Arithmetic(..) | Kind::Rows => true,
            Kind::Compare(_, pair) => pair.0.fallible || pair.1.fallible,
            Kind::And(operands) | Kind::Or(operands) | Kind::Coalesce(operands) => {
                operands.iter().any(|operand| operand.fallible)
            }
            Kind::Widen(operand)
            | Kind::Same(operand)
            | Kind::Not(operand)
            | Kind::IsNull(operand, _)
            | Kind::IsTruth(operand, ..)
            | Kind::InList(operand, ..)
            | Kind::Like(operand, ..) => operand.fallible,
            Kind::Case {
                branches,
                otherwise,
            } => {
                branches
                    .iter()
                    .any(|(condition, result)| condition.fallible || result.fallible)
                    || otherwise.as_ref().is_some_and(|result| result.fallible)
            }
        };
        Ok(VectorExpr {
            kind,
            data_type: expr.data_type,
            fallible,
            row,
        })
    }

    /// Compiles each of `exprs`.
    pub(crate) fn all<'a>(
        exprs: impl IntoIterator<Item = &'a Expr>,
        columns: &[PlanColumn],
    ) -> Result<Vec<VectorExpr>> {
        exprs
            .into_iter()
            .map(|expr| VectorExpr::new(expr, columns))
            .collect()
    }

    fn kind(expr: &Expr, columns: &[PlanColumn]) -> Result<Kind> {
        let child = |expr: &Expr| VectorExpr::new(expr, columns);
        let boxed = |expr: &Expr| child(expr).map(Box::new);
        Ok(match &expr.kind {
            ExprKind::Column(id) => {
                match columns
                    .iter()
                    .position(|column| column.id == *id && column.data_type == expr.data_type)
                {
                    Some(at) => Kind::Column(at),
                    None => Kind::Rows,
                }
            }
            ExprKind::Literal(value) => Kind::Constant(value.clone()),
            ExprKind::Parameter(at) => Kind::Parameter(*at),
            ExprKind::Unary(UnaryOp::Not, operand) => Kind::Not(boxed(operand)?),
            ExprKind::Binary(op, left, right)
                if compare::has_kernel(*op, left.data_type, right.data_type) =>
            {
                Kind::Compare(*op, Box::new((child(left)?, child(right)?)))
            }
            ExprKind::Binary(op, left, right)
                if arithmetic::has_kernel(*op, left.data_type, right.data_type, expr.data_type) =>
            {
                Kind::Arithmetic(*op, Box::new((child(left)?, child(right)?)))
            }
            ExprKind::And(operands) => Kind::And(VectorExpr::all(operands, columns)?),
            ExprKind::Or(operands) => Kind::Or(VectorExpr::all(operands, columns)?),
            ExprKind::IsNull { operand, negated } => Kind::IsNull(boxed(operand)?, *negated),
            ExprKind::IsTruth {
                operand,
                value,
                negated,
            } if operand.data_type == DataType::Boolean => {
                Kind::IsTruth(boxed(operand)?, *value, *negated)
            }
            ExprKind::InList {
                operand,
                list,
                negated,
            } => match in_list::ConstantSet::new(operand.data_type, list) {
                Some(set) => Kind::InList(boxed(operand)?, set, *negated),
                None => Kind::Rows,
            },
            ExprKind::Like {
                operand,
                pattern,
                escape: None,
                case_insensitive,
                negated,
            } if matches!(operand.data_type, DataType::Text | DataType::Varchar(_)) => {
                match &pattern.kind {
                    ExprKind::Literal(Value::Text(text)) => {
                        match LikePattern::new(text, Some('\\'), *case_insensitive) {
                            Ok(pattern) => Kind::Like(boxed(operand)?, pattern, *negated),
                            Err(_) => Kind::Rows,
                        }
                    }
                    _ => Kind::Rows,
                }
            }
            ExprKind::Case {
                branches,
                otherwise,
            } => {
                let results = branches
                    .iter()
                    .map(|(_, result)| result)
                    .chain(otherwise.as_deref());
                if !same_arrays(expr, results) {
                    return Ok(Kind::Rows);
                }
                Kind::Case {
                    branches: branches
                        .iter()
                        .map(|(condition, result)| Ok((child(condition)?, child(result)?)))
                        .collect::<Result<_>>()?,
                    otherwise: otherwise.as_deref().map(boxed).transpose()?,
                }
            }
            ExprKind::Cast(operand) => {
                if operand.data_type == expr.data_type || keeps_values(operand, expr) {
                    Kind::Same(boxed(operand)?)
                } else if arithmetic::widens(operand.data_type, expr.data_type) {
                    Kind::Widen(boxed(operand)?)
                } else {
                    Kind::Rows
                }
            }
            ExprKind::Function(ScalarFunction::Coalesce, arguments)
                if same_arrays(expr, arguments) =>
            {
                Kind::Coalesce(VectorExpr::all(arguments, columns)?)
            }
            _ => Kind::Rows,
        })
    }

    /// The input column that it gives as it is, or as a wider integer.
    pub(crate) fn column(&self) -> Option<usize> {
        match &self.kind {
            Kind::Column(at) => Some(*at),
            Kind::Same(operand) => operand.column(),
            Kind::Widen(operand) if self.data_type.is_integer() => operand.column(),
            _ => None,
        }
    }

    /// The type of its values.
    pub(crate) fn data_type(&self) -> DataType {
        self.data_type
    }

    /// Its value for every row of `batch`.
    pub(crate) fn eval(&self, batch: &Batch, context: &ExecContext) -> Result<ArrayRef> {
        let array = match &self.kind {
            Kind::Column(at) => batch.columns.get(*at).map(Arc::clone),
            Kind::Constant(value) => Some(constant(value, self.data_type, batch.rows)?),
            Kind::Parameter(at) => match context.parameters.get(*at) {
                Some(value) => Some(constant(value, self.data_type, batch.rows)?),
                None => None,
            },
            Kind::Compare(op, pair) => unless_right_fails(
                pair,
                compare::compare(*op, &pair.0, &pair.1, batch, context),
            )?,
            Kind::Arithmetic(op, pair) => {
                let left = pair.0.eval(batch, context)?;
                match unless_right_fails(pair, pair.1.eval(batch, context).map(Some))? {
                    Some(right) => arithmetic::arithmetic(*op, &left, &right, self.data_type),
                    None => None,
                }
            }
            Kind::Widen(operand) => {
                let values = operand.eval(batch, context)?;
                arithmetic::widen(&values, operand.data_type, self.data_type)
            }
            Kind::Same(operand) => Some(operand.eval(batch, context)?),
            Kind::And(operands) => Some(logic::junction(operands, false, batch, context)?),
            Kind::Or(operands) => Some(logic::junction(operands, true, batch, context)?),
            Kind::Not(operand) => Some(logic::not(&operand.eval(batch, context)?)?),
            Kind::IsNull(operand, negated) => {
                Some(logic::is_null(&operand.eval(batch, context)?, *negated)?)
            }
            Kind::IsTruth(operand, value, negated) => Some(logic::is_truth(
                &operand.eval(batch, context)?,
                *value,
                *negated,
            )),
            Kind::InList(operand, set, negated) => {
                Some(set.contains(&operand.eval(batch, context)?, *negated))
            }
            Kind::Like(operand, pattern, negated) => {
                let text = operand.eval(batch, context)?;
                let text = text.as_string_view();
                Some(Arc::new(BooleanArray::new(
                    arrow_buffer::BooleanBuffer::collect_bool(text.len(), |at| {
                        !text.is_null(at) && pattern.matches(text.value(at)) != *negated
                    }),
                    text.nulls().cloned(),
                )) as ArrayRef)
            }
            Kind::Case {
                branches,
                otherwise,
            } => Some(logic::case(
                branches,
                otherwise.as_deref(),
                self.data_type,
                batch,
                context,
            )?),
            Kind::Coalesce(operands) => {
                Some(logic::coalesce(operands, self.data_type, batch, context)?)
            }
            Kind::Rows => None,
        };
        match array {
            Some(array) => Ok(array),
            None => self.eval_rows(batch, context),
        }
    }

    /// The rows of `batch` for which it is true. It must be boolean.
    pub(crate) fn truth(&self, batch: &Batch, context: &ExecContext) -> Result<BooleanArray> {
        let array = self.eval(batch, context)?;
        match array.as_boolean_opt() {
            Some(truth) => Ok(truth.clone()),
            // A bare NULL has no type: nothing is true.
            None => Ok(BooleanArray::new_null(batch.rows)),
        }
    }

    /// Row by row, as row mode does it.
    fn eval_rows(&self, batch: &Batch, context: &ExecContext) -> Result<ArrayRef> {
        let mut builder = ColumnBuilder::new(self.data_type, batch.rows);
        let eval = context.eval();
        let mut row = vec![Value::Null; self.row.width];
        for at in 0..batch.rows {
            for (column, data_type) in &self.row.reads {
                if let (Some(place), Some(array)) =
                    (row.get_mut(*column), batch.columns.get(*column))
                {
                    *place = value_at(array, *data_type, at)?;
                }
            }
            builder.append(&self.row.compiled.eval(&row, &eval)?)?;
        }
        Ok(builder.finish())
    }
}

/// What came of two operands; `None`, which leaves it to the row evaluator, where that is an error
/// that the right one may have made: it does not count in rows whose left one is NULL.
fn unless_right_fails(
    pair: &(VectorExpr, VectorExpr),
    done: Result<Option<ArrayRef>>,
) -> Result<Option<ArrayRef>> {
    match done {
        Err(_) if pair.1.fallible => Ok(None),
        done => done,
    }
}

/// Keeps the rows of `batch` for which every predicate is true. A predicate that can fail is
/// evaluated only for rows that the earlier ones have let through.
pub(crate) fn filter(
    predicates: &[VectorExpr],
    mut batch: Batch,
    context: &ExecContext,
) -> Result<Batch> {
    for predicate in predicates {
        if batch.rows == 0 {
            break;
        }
        let truth = predicate.truth(&batch, context)?;
        batch = batch.filter(&truth)?;
    }
    Ok(batch)
}

/// Whether values of the operands stand in the same arrays as those of the whole.
fn same_arrays<'a>(whole: &Expr, parts: impl IntoIterator<Item = &'a Expr>) -> bool {
    use crate::vector::convert::arrow_type;
    parts.into_iter().all(|part| {
        arrow_type(part.data_type) == arrow_type(whole.data_type)
            && matches!(part.data_type, DataType::Decimal(_))
                == matches!(whole.data_type, DataType::Decimal(_))
            && matches!(part.data_type, DataType::Uuid) == matches!(whole.data_type, DataType::Uuid)
    })
}

/// A cast among string types, or numerics, that changes nothing.
fn keeps_values(from: &Expr, to: &Expr) -> bool {
    matches!(
        (from.data_type, to.data_type),
        (
            DataType::Text | DataType::Varchar(_),
            DataType::Text | DataType::Varchar(None)
        ) | (DataType::Decimal(_), DataType::Decimal(None))
    )
}

/// `rows` times the same value.
fn constant(value: &Value, data_type: DataType, rows: usize) -> Result<ArrayRef> {
    if let (DataType::Decimal(_), Value::Decimal(number)) = (data_type, value) {
        return Ok(decimal::constant(number, rows));
    }
    let mut builder = ColumnBuilder::new(data_type, rows);
    for _ in 0..rows {
        builder.append(value)?;
    }
    Ok(builder.finish())
}
