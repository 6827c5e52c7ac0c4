//! Function calls.

use super::{Binder, expr::with_hint, literal, suggest, unsupported, window::is_window_function};
use crate::{
    ast::FunctionCall,
    bound::{BinaryOp, Expr, ExprKind, ScalarFunction},
    error::{Error, Result, SqlState},
    functions::{self, Nullability, Resolution},
    span::Span,
    types::{CastContext, DataType, Value},
};

impl<'a> Binder<'a> {
    /// A call in ordinary syntax.
    pub(super) fn call(&mut self, call: &'a FunctionCall, span: Span) -> Result<Expr> {
        let name = call.name.last().name.as_str();
        match call.name.parts.as_slice() {
            [_] => {}
            [schema, _] if schema.name == "pg_catalog" => {}
            [schema, _] => {
                return Err(Error::new(
                    SqlState("3F000"),
                    format!("schema \"{}\" has no functions", schema.name),
                )
                .at(schema.span));
            }
            _ => return Err(unsupported("names of other databases are", call.name.span)),
        }
        self.access.call(name);
        if let Some(over) = &call.over {
            return self.window_call(call, over, span);
        }
        if is_window_function(name) && call.within_group.is_empty() {
            return Err(Error::new(
                SqlState("42809"),
                format!("window function {name} requires an OVER clause"),
            )
            .at(span));
        }
        if functions::is_table_function(name) {
            return self.series_in_select(call, span);
        }
        if name == "grouping" {
            return self.grouping_call(call, span);
        }
        if functions::aggregate_names().any(|aggregate| aggregate == name)
            || !call.within_group.is_empty() && functions::hypothetical(name).is_some()
        {
            return self.aggregate(call, span);
        }
        if call.star
            || call.distinct
            || call.filter.is_some()
            || !call.order_by.is_empty()
            || !call.within_group.is_empty()
        {
            if self.is_function(name) {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!(
                        "{name} is no aggregate: *, DISTINCT, ORDER BY and FILTER do not go with it"
                    ),
                )
                .at(span));
            }
            return Err(undefined(call, &[], span));
        }
        match name {
            "coalesce" | "greatest" | "least" | "nullif" => return self.conditional(call, span),
            "make_interval" => return self.make_interval(call, span),
            _ => {}
        }
        if let Some(argument) = call
            .arguments
            .iter()
            .find(|argument| argument.name.is_some())
        {
            return Err(unsupported(
                "named arguments of this function are",
                argument.value.span,
            ));
        }
        if functions::OF_ENUMS.contains(&name) {
            return self
                .enum_function(call, span)?
                .map_err(|types| undefined(call, &types, span));
        }
        let arguments = self.arguments(call)?;
        let arguments = self.name_objects(name, arguments)?;
        // A type's name as a function is a cast (PostgreSQL 10.3, step 3).
        if let ([_], true, Some(to)) = (
            arguments.as_slice(),
            functions::overloads(name).is_empty(),
            super::type_names::known(name),
        ) {
            let mut arguments = arguments;
            return match arguments.pop() {
                Some(argument) => self.coerce(argument, to, CastContext::Explicit),
                None => Err(undefined(call, &[], span)),
            };
        }
        self.resolved(name, arguments, span)
            .map_err(|missing| match missing {
                Missing::Error(error) => error,
                Missing::Types(types) => undefined(call, &types, span),
            })
    }

    /// A call of a function that special syntax stands for.
    pub(super) fn named_call(
        &mut self,
        name: &str,
        arguments: Vec<Expr>,
        span: Span,
    ) -> Result<Expr> {
        self.resolved(name, arguments, span)
            .map_err(|missing| match missing {
                Missing::Error(error) => error,
                Missing::Types(types) => {
                    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
                    Error::new(
                        SqlState::UNDEFINED_FUNCTION,
                        format!(
                            "{name} does not take arguments of types ({})",
                            types.join(", ")
                        ),
                    )
                    .at(span)
                    .hint(takes(name))
                }
            })
    }

    fn is_function(&self, name: &str) -> bool {
        functions::CONDITIONAL.contains(&name)
            || functions::OF_ENUMS.contains(&name)
            || !functions::overloads(name).is_empty()
    }

    fn resolved(&mut self, name: &str, arguments: Vec<Expr>, span: Span) -> Result<Expr, Missing> {
        let types: Vec<DataType> = arguments
            .iter()
            .map(|argument| argument.data_type)
            .collect();
        let overloads = functions::overloads(name);
        let (signature, wanted, returns) = match functions::resolve(&overloads, &types) {
            Resolution::One(signature, wanted, returns) => (signature, wanted, returns),
            Resolution::None => return Err(Missing::Types(types)),
            Resolution::Ambiguous => {
                return Err(Missing::Error(
                    Error::new(
                        SqlState("42725"),
                        format!("the call of {name} is not unique: several overloads take it"),
                    )
                    .at(span)
                    .hint("Say the types of the arguments with CAST."),
                ));
            }
        };
        let mut converted = Vec::with_capacity(arguments.len());
        for (argument, wanted) in arguments.into_iter().zip(wanted) {
            converted.push(match wanted {
                Some(wanted) => self
                    .coerce(argument, wanted, CastContext::Implicit)
                    .map_err(Missing::Error)?,
                None => argument,
            });
        }
        let nullable = match signature.nullability {
            Nullability::Strict => converted.iter().any(|argument| argument.nullable),
            Nullability::Never => false,
            Nullability::Always => true,
            Nullability::First => converted.first().is_some_and(|argument| argument.nullable),
        };
        Ok(Expr {
            kind: ExprKind::Function(signature.function, converted),
            data_type: returns,
            nullable,
            span,
        })
    }

    /// What is written between the parentheses of a call.
    pub(super) fn arguments(&mut self, call: &'a FunctionCall) -> Result<Vec<Expr>> {
        call.arguments
            .iter()
            .map(|argument| self.expr(&argument.value))
            .collect()
    }

    /// COALESCE, NULLIF, GREATEST, LEAST.
    fn conditional(&mut self, call: &'a FunctionCall, span: Span) -> Result<Expr> {
        let name = call.name.last().name.as_str();
        let arguments = self.arguments(call)?;
        let wrong = |count: &str| {
            Error::new(SqlState::SYNTAX_ERROR, format!("{name} takes {count}")).at(span)
        };
        let (function, nullable, arguments, data_type) = match name {
            "nullif" => {
                let Ok([left, right]) = <[Expr; 2]>::try_from(arguments) else {
                    return Err(wrong("two arguments"));
                };
                let data_type = match left.data_type {
                    DataType::Unknown => DataType::Text,
                    other => other,
                };
                let original = left.clone();
                let (left, right) = self.comparable("=", left, right, span)?;
                if left.data_type != data_type
                    && left.data_type != DataType::Unknown
                    && !left.is_same(&original)
                    && original.data_type != DataType::Unknown
                {
                    // The value keeps its type, whatever the comparison needs.
                    let equal = self.comparison(BinaryOp::Equal, left, right, span, span)?;
                    let null = literal::constant(Value::Null, data_type, span);
                    return Ok(Expr {
                        kind: ExprKind::Case {
                            branches: vec![(equal, null)],
                            otherwise: Some(Box::new(original)),
                        },
                        data_type,
                        nullable: true,
                        span,
                    });
                }
                let data_type = left.data_type;
                (ScalarFunction::NullIf, true, vec![left, right], data_type)
            }
            _ => {
                if arguments.is_empty() {
                    return Err(wrong("at least one argument"));
                }
                let function = match name {
                    "coalesce" => ScalarFunction::Coalesce,
                    "greatest" => ScalarFunction::Greatest,
                    _ => ScalarFunction::Least,
                };
                let arguments = self.unified(arguments, &name.to_uppercase())?;
                let nullable = arguments.iter().all(|argument| argument.nullable);
                let data_type = arguments
                    .first()
                    .map_or(DataType::Text, |argument| argument.data_type);
                (function, nullable, arguments, data_type)
            }
        };
        Ok(Expr {
            kind: ExprKind::Function(function, arguments),
            data_type,
            nullable,
            span,
        })
    }

    /// make_interval takes its arguments by place or name, all of them optional.
    fn make_interval(&mut self, call: &'a FunctionCall, span: Span) -> Result<Expr> {
        let mut values: [Option<Expr>; 7] = Default::default();
        for (position, argument) in call.arguments.iter().enumerate() {
            let index = match &argument.name {
                Some(name) => functions::MAKE_INTERVAL
                    .iter()
                    .position(|known| *known == name.name)
                    .ok_or_else(|| {
                        with_hint(
                            Error::new(
                                SqlState::UNDEFINED_FUNCTION,
                                format!("make_interval has no argument \"{}\"", name.name),
                            )
                            .at(name.span),
                            suggest::did_you_mean(&name.name, functions::MAKE_INTERVAL),
                        )
                    })?,
                None => position,
            };
            let value = self.expr(&argument.value)?;
            match values.get_mut(index) {
                Some(slot @ None) => *slot = Some(value),
                Some(Some(_)) => {
                    return Err(
                        Error::new(SqlState::SYNTAX_ERROR, "an argument is given twice")
                            .at(argument.value.span),
                    );
                }
                None => return Err(undefined(call, &[], span)),
            }
        }
        let arguments = values
            .into_iter()
            .enumerate()
            .map(|(index, value)| {
                value.unwrap_or_else(|| {
                    if index == 6 {
                        literal::constant(Value::Float8(0.0), DataType::Float8, span)
                    } else {
                        literal::constant(Value::Int4(0), DataType::Int4, span)
                    }
                })
            })
            .collect();
        self.named_call("make_interval", arguments, span)
    }
}

/// Why a call has no overload.
enum Missing {
    /// Another error.
    Error(Error),
    /// None takes these types.
    Types(Vec<DataType>),
}

/// What a function takes, for a hint.
fn takes(name: &str) -> String {
    let forms: Vec<String> = functions::overloads(name)
        .iter()
        .take(4)
        .map(|signature| {
            let parameters: Vec<String> = signature
                .parameters
                .iter()
                .map(|parameter| match parameter {
                    functions::Parameter::Type(data_type) => data_type.to_string(),
                    functions::Parameter::Any => "any".to_owned(),
                    functions::Parameter::AnyArray => "anyarray".to_owned(),
                    functions::Parameter::AnyElement => "anyelement".to_owned(),
                })
                .collect();
            format!("{name}({})", parameters.join(", "))
        })
        .collect();
    format!("There is {}.", forms.join(", "))
}

fn undefined(call: &FunctionCall, types: &[DataType], span: Span) -> Error {
    let name = call.name.last().name.as_str();
    let shown: Vec<String> = types.iter().map(ToString::to_string).collect();
    let error = Error::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {name}({}) does not exist", shown.join(", ")),
    )
    .at(Span {
        start: call.name.span.start,
        end: span.end,
    });
    if !functions::overloads(name).is_empty() {
        return error.hint(takes(name));
    }
    if functions::OF_ENUMS.contains(&name) {
        return error.hint("It takes values of one enumerated type.");
    }
    match name {
        "rollup" | "cube" | "grouping" => unsupported("ROLLUP, CUBE and GROUPING are", span),
        "row_number" | "rank" | "dense_rank" | "lag" | "lead" | "ntile" | "first_value"
        | "last_value" | "nth_value" | "percent_rank" | "cume_dist" => {
            unsupported("window functions are", span)
        }
        "ifnull" | "nvl" => error.hint("Did you mean \"coalesce\"?"),
        "len" => error.hint("Did you mean \"length\"?"),
        "getdate" | "sysdate" => error.hint("Did you mean \"now\"?"),
        "datepart" => error.hint("Did you mean \"date_part\"?"),
        "group_concat" => error.hint("Did you mean \"string_agg\"?"),
        _ => with_hint(error, suggest::did_you_mean(name, functions::names())),
    }
}
