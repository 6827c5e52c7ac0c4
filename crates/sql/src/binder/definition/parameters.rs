//! Storage parameters, `WITH (fillfactor = 90)`: PostgreSQL's names and bounds.
//!
//! They are checked, kept and shown. Those that steer what this storage does not have (pages that
//! are filled only in part, a background vacuum with costs) change nothing.

use crate::{
    ast::{AlterAction, StorageParameter},
    error::{Error, Result, SqlState},
    span::Span,
};

/// What parameters are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A table.
    Table,
    /// An index.
    Index,
    /// A view.
    View,
}

/// Which values a parameter takes.
#[derive(Clone, Copy, Debug)]
enum Values {
    Truth,
    Integer(i64, i64),
    Number(f64, f64),
    Word(&'static [&'static str]),
}

const MAX: i64 = i32::MAX as i64;

/// Parameters of tables. Those from [`TOAST`] on may also stand behind `toast.`.
const TABLE: &[(&str, Values)] = &[
    ("fillfactor", Values::Integer(10, 100)),
    ("toast_tuple_target", Values::Integer(128, 8160)),
    ("parallel_workers", Values::Integer(0, 1024)),
    ("user_catalog_table", Values::Truth),
    ("autovacuum_analyze_threshold", Values::Integer(0, MAX)),
    (
        "autovacuum_analyze_scale_factor",
        Values::Number(0.0, 100.0),
    ),
    ("autovacuum_enabled", Values::Truth),
    ("autovacuum_vacuum_threshold", Values::Integer(0, MAX)),
    ("autovacuum_vacuum_scale_factor", Values::Number(0.0, 100.0)),
    (
        "autovacuum_vacuum_insert_threshold",
        Values::Integer(-1, MAX),
    ),
    (
        "autovacuum_vacuum_insert_scale_factor",
        Values::Number(0.0, 100.0),
    ),
    ("autovacuum_vacuum_cost_delay", Values::Number(0.0, 100.0)),
    ("autovacuum_vacuum_cost_limit", Values::Integer(1, 10_000)),
    (
        "autovacuum_freeze_min_age",
        Values::Integer(0, 1_000_000_000),
    ),
    (
        "autovacuum_freeze_max_age",
        Values::Integer(100_000, 2_000_000_000),
    ),
    (
        "autovacuum_freeze_table_age",
        Values::Integer(0, 2_000_000_000),
    ),
    (
        "autovacuum_multixact_freeze_min_age",
        Values::Integer(0, 1_000_000_000),
    ),
    (
        "autovacuum_multixact_freeze_max_age",
        Values::Integer(10_000, 2_000_000_000),
    ),
    (
        "autovacuum_multixact_freeze_table_age",
        Values::Integer(0, 2_000_000_000),
    ),
    ("log_autovacuum_min_duration", Values::Integer(-1, MAX)),
    (
        "vacuum_index_cleanup",
        Values::Word(&["auto", "on", "off", "true", "false"]),
    ),
    ("vacuum_truncate", Values::Truth),
];

/// Where the parameters begin that `toast.` takes too.
const TOAST: usize = 6;

/// Parameters of B+ tree indexes.
const INDEX: &[(&str, Values)] = &[
    ("fillfactor", Values::Integer(10, 100)),
    ("deduplicate_items", Values::Truth),
];

/// Parameters of views.
const VIEW: &[(&str, Values)] = &[
    ("check_option", Values::Word(&["local", "cascaded"])),
    ("security_barrier", Values::Truth),
    ("security_invoker", Values::Truth),
];

/// Whether a parameter with that value is on.
pub(super) fn is_on(value: &str) -> bool {
    matches!(
        value.to_ascii_lowercase().as_str(),
        "true" | "on" | "yes" | "1"
    )
}

fn error(message: String, span: Span) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(span)
}

/// The full name of a parameter, and which values it takes.
fn known(target: Target, parameter: &StorageParameter) -> Result<(String, Values)> {
    let span = parameter.name.span;
    let name = parameter.name.last().name.as_str();
    let (list, prefix) = match (target, parameter.name.qualifier()) {
        (Target::Table, None) => (TABLE, ""),
        (Target::Index, None) => (INDEX, ""),
        (Target::View, None) => (VIEW, ""),
        (Target::Table, Some(of)) if of.name == "toast" => (&TABLE[TOAST..], "toast."),
        (_, Some(of)) => {
            return Err(error(
                format!("unrecognized parameter namespace \"{}\"", of.name),
                of.span,
            ));
        }
    };
    match list.iter().find(|(known, _)| *known == name) {
        Some((known, values)) => Ok((format!("{prefix}{known}"), *values)),
        None => {
            let unknown = error(format!("unrecognized parameter \"{name}\""), span);
            let hint = match (target, name) {
                (Target::Table, "engine" | "storage" | "storage_engine") => Some(
                    "A table's storage is chosen with USING, before WITH: \
                     CREATE TABLE t (...) USING lsm."
                        .to_owned(),
                ),
                _ => crate::binder::did_you_mean(name, list.iter().map(|(known, _)| *known)),
            };
            Err(crate::binder::expr::with_hint(unknown, hint))
        }
    }
}

fn out_of_bounds(name: &str, text: &str, bounds: [String; 2], span: Span) -> Error {
    let [least, most] = bounds;
    error(
        format!("value {text} out of bounds for option \"{name}\""),
        span,
    )
    .detail(format!(
        "Valid values are between \"{least}\" and \"{most}\"."
    ))
}

/// The value as it is kept.
fn value(name: &str, values: Values, parameter: &StorageParameter) -> Result<String> {
    let span = parameter.name.span;
    let text = parameter.value.as_deref().unwrap_or("true");
    let invalid = |kind: &str| {
        error(
            format!("invalid value for {kind} option \"{name}\": {text}"),
            span,
        )
    };
    match values {
        Values::Truth => match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "1" | "false" | "off" | "no" | "0" => {}
            _ => return Err(invalid("boolean")),
        },
        Values::Integer(least, most) => {
            let number: i64 = text.parse().map_err(|_| invalid("integer"))?;
            if !(least..=most).contains(&number) {
                let bounds = [least.to_string(), most.to_string()];
                return Err(out_of_bounds(name, text, bounds, span));
            }
        }
        Values::Number(least, most) => {
            let number: f64 = text.parse().map_err(|_| invalid("floating point"))?;
            if !(least..=most).contains(&number) {
                let bounds = [least.to_string(), most.to_string()];
                return Err(out_of_bounds(name, text, bounds, span));
            }
        }
        Values::Word(words) => {
            if !words.contains(&text.to_ascii_lowercase().as_str()) {
                return Err(invalid("enum").detail(format!(
                    "Valid values are {}.",
                    words
                        .iter()
                        .take(3)
                        .map(|word| format!("\"{word}\""))
                        .collect::<Vec<_>>()
                        .join(", ")
                )));
            }
        }
    }
    Ok(text.to_owned())
}

/// The parameters of a definition, checked.
pub(super) fn checked(
    target: Target,
    parameters: &[StorageParameter],
) -> Result<Vec<(String, String)>> {
    let mut kept: Vec<(String, String)> = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        if target == Target::Table && is_oids(parameter)? {
            continue;
        }
        let (name, values) = known(target, parameter)?;
        if kept.iter().any(|(other, _)| *other == name) {
            return Err(error(
                format!("parameter \"{name}\" specified more than once"),
                parameter.name.span,
            ));
        }
        let value = value(&name, values, parameter)?;
        kept.push((name, value));
    }
    Ok(kept)
}

/// Whether it is `oids`, which older dumps set to false.
fn is_oids(parameter: &StorageParameter) -> Result<bool> {
    if parameter.name.parts.len() != 1 || parameter.name.last().name != "oids" {
        return Ok(false);
    }
    match parameter.value.as_deref() {
        Some("false" | "off" | "no" | "0") => Ok(true),
        _ => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "tables declared WITH OIDS are not supported",
        )
        .at(parameter.name.span)),
    }
}

/// ALTER … SET (…) and RESET (…).
pub(super) fn change(
    target: Target,
    kept: &mut Vec<(String, String)>,
    action: &AlterAction,
) -> Result<()> {
    match action {
        AlterAction::SetParameters(parameters) => {
            for (name, value) in checked(target, parameters)? {
                kept.retain(|(other, _)| *other != name);
                kept.push((name, value));
            }
        }
        AlterAction::ResetParameters(parameters) => {
            for parameter in parameters {
                if parameter.value.is_some() {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "RESET must not include values for parameters",
                    )
                    .at(parameter.name.span));
                }
                let (name, _) = known(target, parameter)?;
                kept.retain(|(other, _)| *other != name);
            }
        }
        _ => {}
    }
    Ok(())
}
