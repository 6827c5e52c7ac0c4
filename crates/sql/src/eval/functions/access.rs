//! `has_table_privilege` and its like.

use super::{Function, mismatch};
use crate::{
    Result, SqlState,
    bound::ScalarFunction as F,
    eval::{EvalContext, PrivilegeOn},
    system::oids,
    types::{DataType as T, Value},
};

pub(super) fn resolve(function: F, types: &[T]) -> Option<Function> {
    if function == F::HasDatabasePrivilege && types.contains(&T::Oid) {
        return Some(of_numbered_database);
    }
    if !types.iter().all(|of| of.is_string()) {
        return None;
    }
    Some(match function {
        F::HasTablePrivilege => |values, context| ask(values, context, table),
        F::HasAnyColumnPrivilege => |values, context| ask(values, context, any_column),
        F::HasSequencePrivilege => |values, context| ask(values, context, sequence),
        F::HasSchemaPrivilege => |values, context| ask(values, context, schema),
        F::HasDatabasePrivilege => |values, context| ask(values, context, database),
        F::HasFunctionPrivilege => |values, context| ask(values, context, routine),
        F::HasRole => |values, context| ask(values, context, role),
        F::HasColumnPrivilege => of_column,
        _ => return None,
    })
}

fn table(name: &str) -> PrivilegeOn<'_> {
    PrivilegeOn::Table(name)
}

fn any_column(name: &str) -> PrivilegeOn<'_> {
    PrivilegeOn::AnyColumn(name)
}

fn sequence(name: &str) -> PrivilegeOn<'_> {
    PrivilegeOn::Sequence(name)
}

fn schema(name: &str) -> PrivilegeOn<'_> {
    PrivilegeOn::Schema(name)
}

fn database(name: &str) -> PrivilegeOn<'_> {
    PrivilegeOn::Database(name)
}

fn routine(name: &str) -> PrivilegeOn<'_> {
    PrivilegeOn::Function(name)
}

fn role(name: &str) -> PrivilegeOn<'_> {
    PrivilegeOn::Role(name)
}

/// `(object, privilege)` or `(role, object, privilege)`.
fn ask(
    values: &[Value],
    context: &EvalContext<'_>,
    on: for<'a> fn(&'a str) -> PrivilegeOn<'a>,
) -> Result<Value> {
    let (role, object, privileges) = match values {
        [Value::Text(object), Value::Text(privileges)] => (None, object, privileges),
        [
            Value::Text(role),
            Value::Text(object),
            Value::Text(privileges),
        ] => (Some(role.as_str()), object, privileges),
        _ => return Err(mismatch(values)),
    };
    let access = &context.session.access;
    answer(object, access.has_privilege(role, on(object), privileges))
}

/// `has_database_privilege` of a database by its number: NULL where there is none.
fn of_numbered_database(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let mut values = values.to_vec();
    for value in &mut values {
        if let Value::Oid(oid) = value {
            if *oid != oids::DATABASE {
                return Ok(Value::Null);
            }
            *value = Value::from(context.session.system_view()?.database());
        }
    }
    ask(&values, context, database)
}

/// What PostgreSQL answers: of an object that was given by its number and is not there, NULL.
fn answer(object: &str, result: Result<bool>) -> Result<Value> {
    let states = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_OBJECT,
        SqlState("3F000"),
        SqlState("42602"),
    ];
    match result {
        Ok(truth) => Ok(Value::Boolean(truth)),
        Err(error)
            if states.contains(&error.state())
                && object.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Ok(Value::Null)
        }
        Err(error) => Err(error),
    }
}

/// `(table, column, privilege)` or `(role, table, column, privilege)`.
fn of_column(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let (role, rest) = match values {
        [Value::Text(role), rest @ ..] if rest.len() == 3 => (Some(role.as_str()), rest),
        rest => (None, rest),
    };
    let [
        Value::Text(table),
        Value::Text(column),
        Value::Text(privileges),
    ] = rest
    else {
        return Err(mismatch(values));
    };
    let access = &context.session.access;
    let on = PrivilegeOn::Column(table, column);
    answer(table, access.has_privilege(role, on, privileges))
}
