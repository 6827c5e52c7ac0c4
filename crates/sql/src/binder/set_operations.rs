//! UNION, INTERSECT, EXCEPT.

use super::{
    Binder, coerce, internal,
    query::{BoundQuery, output_expr},
};
use crate::{
    ast::{QueryBody, SetOperator},
    bound::{
        ColumnId, Expr, ExprKind, FrameBound, FrameExclusion, JoinKind, LogicalPlan, OutputColumn,
        WindowCall, WindowFrame, WindowFunction,
    },
    error::{Error, Result, SqlState},
    span::Span,
    types::{CastContext, DataType},
};

/// How many set operations of different kinds may follow each other: each is a level of the plan.
const MAX_STEPS: usize = 100;

impl<'a> Binder<'a> {
    pub(super) fn set_operation(
        &mut self,
        first: &'a QueryBody,
        rest: &'a [(SetOperator, bool, QueryBody)],
        span: Span,
    ) -> Result<BoundQuery> {
        let mut left = self.body(first, span)?;
        let mut index = 0;
        let mut steps = 0;
        while let Some((operator, all, _)) = rest.get(index) {
            steps += 1;
            if steps > MAX_STEPS {
                return Err(Error::new(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    format!("statement too complex: more than {MAX_STEPS} changes between set operations"),
                )
                .at(span));
            }
            // Operations of one kind are one step with many inputs.
            let length = rest[index..]
                .iter()
                .take_while(|(other, other_all, _)| (other, other_all) == (operator, all))
                .count();
            let mut inputs = vec![left];
            for (_, _, body) in &rest[index..index + length] {
                inputs.push(self.body(body, span)?);
            }
            index += length;
            let word = match operator {
                SetOperator::Union => "UNION",
                SetOperator::Intersect => "INTERSECT",
                SetOperator::Except => "EXCEPT",
            };
            let inputs = self.aligned(inputs, word, span)?;
            left = match (operator, all) {
                (SetOperator::Union, true) => self.union_all(inputs)?,
                (SetOperator::Union, false) => {
                    let BoundQuery { plan, columns } = self.union_all(inputs)?;
                    BoundQuery {
                        plan: LogicalPlan::Distinct {
                            input: Box::new(plan),
                            on: None,
                        },
                        columns,
                    }
                }
                (SetOperator::Intersect, _) => {
                    self.match_all(inputs, JoinKind::Semi, *all, span)?
                }
                (SetOperator::Except, _) => self.match_all(inputs, JoinKind::Anti, *all, span)?,
            };
        }
        Ok(left)
    }

    /// Brings the inputs to the same number and types of columns.
    fn aligned(
        &mut self,
        inputs: Vec<BoundQuery>,
        word: &str,
        span: Span,
    ) -> Result<Vec<BoundQuery>> {
        let width = inputs.first().map_or(0, |input| input.columns.len());
        for input in &inputs {
            if input.columns.len() != width {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!(
                        "the queries of {word} must give as many columns each: one gives {width}, another {}",
                        input.columns.len()
                    ),
                )
                .at(span));
            }
        }
        let mut types = Vec::with_capacity(width);
        for index in 0..width {
            let of_inputs = inputs.iter().map(|input| input.columns[index].data_type);
            types.push(
                super::common_type(of_inputs)
                    .map_err(|(left, right)| coerce::no_common_type(word, left, right, span))?,
            );
        }
        inputs
            .into_iter()
            .map(|input| self.coerce_columns(input, &types, CastContext::Implicit, span))
            .collect()
    }

    fn union_all(&mut self, inputs: Vec<BoundQuery>) -> Result<BoundQuery> {
        let first: Vec<(String, DataType)> = inputs
            .first()
            .map(|input| {
                input
                    .columns
                    .iter()
                    .map(|column| (column.name.clone(), column.data_type))
                    .collect()
            })
            .unwrap_or_default();
        let mut columns = Vec::with_capacity(first.len());
        let mut mapping: Vec<(ColumnId, Vec<ColumnId>, DataType)> = Vec::with_capacity(first.len());
        for (index, (name, data_type)) in first.into_iter().enumerate() {
            let id = self.column_id();
            columns.push(OutputColumn {
                id,
                name,
                data_type,
                nullable: inputs.iter().any(|input| input.columns[index].nullable),
            });
            let ids = inputs.iter().map(|input| input.columns[index].id).collect();
            mapping.push((id, ids, data_type));
        }
        Ok(BoundQuery {
            plan: LogicalPlan::UnionAll {
                inputs: inputs.into_iter().map(|input| input.plan).collect(),
                columns: mapping,
            },
            columns,
        })
    }

    /// INTERSECT and EXCEPT: rows of the first input with or without an equal row (NULLs equal)
    /// in each of the others. With ALL the copies of a row are numbered, and the number must be
    /// equal too.
    fn match_all(
        &mut self,
        inputs: Vec<BoundQuery>,
        kind: JoinKind,
        all: bool,
        span: Span,
    ) -> Result<BoundQuery> {
        let mut inputs = inputs.into_iter();
        let Some(first) = inputs.next() else {
            return Err(internal("a set operation without inputs", span));
        };
        let mut columns = first.columns;
        let mut plan = if all {
            first.plan
        } else {
            LogicalPlan::Distinct {
                input: Box::new(first.plan),
                on: None,
            }
        };
        for input in inputs {
            let mut pairs: Vec<(Expr, Expr)> = columns
                .iter()
                .zip(&input.columns)
                .map(|(left, right)| (output_expr(left, span), output_expr(right, span)))
                .collect();
            let mut right = input.plan;
            if all {
                let left_number;
                let right_number;
                (plan, left_number) = self.numbered(plan, &columns, span);
                (right, right_number) = self.numbered(right, &input.columns, span);
                pairs.push((left_number, right_number));
            }
            let on = pairs
                .into_iter()
                .map(|(left, right)| {
                    super::expr::boolean(
                        ExprKind::IsDistinct {
                            left: Box::new(left),
                            right: Box::new(right),
                            negated: true,
                        },
                        false,
                        span,
                    )
                })
                .collect();
            if kind == JoinKind::Semi {
                for (left, right) in columns.iter_mut().zip(&input.columns) {
                    left.nullable &= right.nullable;
                }
            }
            plan = LogicalPlan::Join {
                kind,
                left: Box::new(plan),
                right: Box::new(right),
                on,
            };
            if all {
                let items = columns
                    .iter_mut()
                    .map(|column| {
                        let value = output_expr(column, span);
                        column.id = self.column_id();
                        (column.id, value)
                    })
                    .collect();
                plan = LogicalPlan::Project {
                    input: Box::new(plan),
                    items,
                };
            }
        }
        Ok(BoundQuery { plan, columns })
    }

    /// Numbers equal rows.
    fn numbered(
        &mut self,
        plan: LogicalPlan,
        columns: &[OutputColumn],
        span: Span,
    ) -> (LogicalPlan, Expr) {
        let id = self.column_id();
        let call = WindowCall {
            function: WindowFunction::RowNumber,
            arguments: Vec::new(),
            filter: None,
            frame: WindowFrame {
                start: FrameBound::Unbounded,
                end: FrameBound::Peers,
                exclusion: FrameExclusion::None,
            },
            data_type: DataType::Int8,
        };
        let plan = LogicalPlan::Window {
            input: Box::new(plan),
            partition: columns
                .iter()
                .map(|column| output_expr(column, span))
                .collect(),
            order: Vec::new(),
            calls: vec![(id, call)],
        };
        let number = Expr {
            kind: ExprKind::Column(id),
            data_type: DataType::Int8,
            nullable: false,
            span,
        };
        (plan, number)
    }
}
