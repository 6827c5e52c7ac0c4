//! SET, EXPLAIN, ANALYZE.

use super::{Binder, data::table_column, unsupported};
use crate::{
    ast::{self, Ident, ObjectName, SetScope, SettingValue},
    bound::{BoundStatement, Explain},
    error::{Error, Result, SqlState},
    types::Value,
};

/// `SET name = value`: a number as bigint or double precision, a word or string as text, a list
/// as text with commas.
pub(super) fn set(
    scope: SetScope,
    name: &ObjectName,
    values: Option<&[SettingValue]>,
) -> Result<BoundStatement> {
    let value = match values {
        None => None,
        Some([SettingValue::Number(text)]) => Some(match text.parse::<i64>() {
            Ok(number) => Value::Int8(number),
            Err(_) => Value::Float8(text.parse().map_err(|_| {
                Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "the number is out of range",
                )
                .at(name.span)
            })?),
        }),
        Some(values) => {
            let words: Vec<String> = values
                .iter()
                .map(|value| match value {
                    SettingValue::Number(text) | SettingValue::String(text) => text.clone(),
                    SettingValue::Word(word) => word.name.clone(),
                })
                .collect();
            Some(Value::Text(words.join(", ").into()))
        }
    };
    Ok(BoundStatement::Set {
        local: scope == SetScope::Local,
        reset: scope == SetScope::Reset,
        name: name.to_string(),
        value,
    })
}

impl<'a> Binder<'a> {
    pub(super) fn explain(&mut self, explain: &'a ast::Explain) -> Result<BoundStatement> {
        let mut json = false;
        for (name, value) in &explain.options {
            let on = !matches!(value.as_deref(), Some("off" | "false" | "0"));
            match (name.name.as_str(), value.as_deref()) {
                ("format", Some("text")) => json = false,
                ("format", Some("json")) => json = true,
                ("format", _) => {
                    return Err(unsupported(
                        "EXPLAIN in another format than text and json is",
                        name.span,
                    ));
                }
                // What these would add or leave out is no part of the output.
                ("costs" | "timing" | "summary" | "buffers" | "wal" | "settings" | "memory", _) => {
                }
                ("generic_plan" | "serialize", _) if on => {
                    return Err(unsupported(
                        &format!("EXPLAIN's option {} is", name.name),
                        name.span,
                    ));
                }
                ("generic_plan" | "serialize", _) => {}
                _ => {
                    return Err(super::expr::with_hint(
                        Error::new(
                            SqlState::SYNTAX_ERROR,
                            format!("EXPLAIN knows no option \"{}\"", name.name),
                        )
                        .at(name.span),
                        super::suggest::did_you_mean(
                            &name.name,
                            [
                                "analyze", "verbose", "costs", "timing", "summary", "buffers",
                                "format",
                            ],
                        ),
                    ));
                }
            }
        }
        let statement = self.statement(&explain.statement)?;
        Ok(BoundStatement::Explain(Explain {
            analyze: explain.analyze,
            json,
            statement: Box::new(statement),
        }))
    }

    pub(super) fn analyze(
        &mut self,
        tables: &'a [(ObjectName, Vec<Ident>)],
    ) -> Result<BoundStatement> {
        let mut bound = Vec::with_capacity(tables.len());
        for (name, columns) in tables {
            let table = self.table(name)?;
            for column in columns {
                table_column(&table, column)?;
            }
            bound.push(table);
        }
        Ok(BoundStatement::Analyze { tables: bound })
    }
}
