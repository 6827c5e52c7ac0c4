//! Functions on the system catalog and the session.

use std::cmp::Ordering;

use crate::{
    Error, Result, SqlState, Value,
    bound::SystemFunction as F,
    engine::system::{
        SystemView, activity, definitions, names, objects,
        relations::{Part, Relation},
    },
    eval::EvalContext,
    system::oids,
    types::{Array, ObjectClass},
};

type Function = fn(&[Value], &EvalContext<'_>) -> Result<Value>;

/// How a function is computed.
pub(crate) fn resolve(function: F) -> Function {
    match function {
        F::Reference(ObjectClass::Relation) => reference::<0>,
        F::Reference(ObjectClass::Type) => reference::<1>,
        F::Reference(ObjectClass::Function) => reference::<2>,
        F::Reference(ObjectClass::FunctionWithArguments) => reference::<3>,
        F::Reference(ObjectClass::Schema) => reference::<4>,
        F::Reference(ObjectClass::Role) => reference::<5>,
        F::Reference(ObjectClass::Operator) => reference::<6>,
        F::Reference(ObjectClass::Collation) => reference::<7>,
        F::FindRelation => find::<0>,
        F::FindType => find::<1>,
        F::FindFunction => find::<2>,
        F::FindSchema => find::<4>,
        F::FindRole => find::<5>,
        F::FormatType => format_type,
        F::Expression => |values, _| Ok(values.first().cloned().unwrap_or(Value::Null)),
        F::ConstraintDefinition => constraint_definition,
        F::IndexDefinition => index_definition,
        F::ViewDefinition => view_definition,
        F::RuleDefinition => rule_definition,
        F::PartitionKey => |values, context| {
            let view = context.session.system_view()?;
            let relation = relation_of(values, &view);
            Ok(or_null(
                relation.and_then(|relation| relation.partition_key()),
            ))
        },
        F::NoDefinition => |_, _| Ok(Value::Null),
        F::FunctionArguments => |values, _| {
            Ok(function_of(values).map_or(Value::Null, |of| Value::from(of.shown_arguments())))
        },
        F::FunctionResult => |values, _| {
            Ok(function_of(values).map_or(Value::Null, |of| Value::from(of.shown_result())))
        },
        F::SerialSequence => serial_sequence,
        F::UserById => user_by_id,
        F::EncodingName => encoding_name,
        F::EncodingNumber => encoding_number,
        F::ClientEncoding => |_, _| Ok(Value::from("UTF8")),
        F::RelationIsVisible => relation_is_visible,
        F::ObjectIsVisible => object_is_visible,
        F::TypeIsVisible => type_is_visible,
        F::ObjectDescription => object_description,
        F::ColumnDescription => column_description,
        F::CurrentSchemas => current_schemas,
        F::RelationSize => relation_size,
        F::IndexesSize => indexes_size,
        F::TotalRelationSize => total_relation_size,
        F::DatabaseSize => database_size,
        F::TablespaceLocation => |_, _| Ok(Value::from("")),
        F::SizePretty => size_pretty,
        F::RelationFile => relation_file,
        F::RelationIsStored => relation_is_stored,
        F::RelationIsUpdatable => relation_is_updatable,
        F::ColumnIsUpdatable => column_is_updatable,
        F::SequenceLastValue => sequence_last_value,
        F::StartTime => |_, context| {
            Ok(Value::TimestampTz(
                context.session.system_view()?.inner.started,
            ))
        },
        F::BackendPid => |_, context| Ok(Value::Int4(context.session.backend)),
        F::CancelBackend => |values, context| end_backend(values, context, false),
        F::TerminateBackend => |values, context| end_backend(values, context, true),
        F::IsInRecovery => |_, _| Ok(Value::Boolean(false)),
        F::IsOtherTemporarySchema => is_other_temporary_schema,
        F::MyTemporarySchema => my_temporary_schema,
        F::TransactionNumber => transaction_number,
        F::CurrentSetting => current_setting,
        F::SetConfig => set_config,
        // Sessions do not know the sockets that they are served through.
        F::NoAddress | F::NoPort => |_, _| Ok(Value::Null),
        F::BlockingPids => |_, _| Ok(Value::Array(Box::new(Array::new(Vec::new())))),
        F::IndexColumnProperty => index_column_property,
        F::Notify => notify,
        F::RowSecurityActive => |_, _| Ok(Value::Boolean(false)),
    }
}

/// `pg_cancel_backend` and `pg_terminate_backend`: false where there is no such session.
fn end_backend(values: &[Value], context: &EvalContext<'_>, terminate: bool) -> Result<Value> {
    let view = context.session.system_view()?;
    let number = values.first().and_then(Value::as_integer);
    let Some(session) = number.and_then(|number| view.inner.served.numbered(number)) else {
        return Ok(Value::Boolean(false));
    };
    let access = &view.catalog.access;
    let rights = access.rights(view.reader);
    let (role, _) = session.role;
    let denied = |message: &str| Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message);
    if access.rights(role).superuser && !rights.superuser {
        return Err(denied(if terminate {
            "must be a superuser to terminate superuser process"
        } else {
            "must be a superuser to cancel superuser query"
        }));
    }
    let signals = access
        .role_named("pg_signal_backend")
        .is_some_and(|known| rights.has_role(known.id));
    if !rights.has_role(role) && !signals {
        return Err(denied(if terminate {
            "must be a member of the role whose process is being terminated or member of \
             pg_signal_backend"
        } else {
            "must be a member of the role whose query is being canceled or member of \
             pg_signal_backend"
        }));
    }
    if terminate {
        session.terminate();
    } else {
        session.cancel();
    }
    Ok(Value::Boolean(true))
}

/// `pg_notify`
fn notify(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    if let Some(system) = &context.session.system {
        let channel = text(values.first()).unwrap_or_default();
        let payload = text(values.get(1)).unwrap_or_default();
        system.notify(context.session.backend, channel, payload)?;
    }
    Ok(Value::from(""))
}

/// The number that an argument is or names.
fn number(value: Option<&Value>) -> Option<u32> {
    u32::try_from(value?.as_integer()?).ok()
}

fn text(value: Option<&Value>) -> Option<&str> {
    value?.as_text()
}

fn is_null(values: &[Value]) -> bool {
    values.iter().any(Value::is_null)
}

fn or_null(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::from)
}

/// The class at that place of [`ObjectClass::ALL`].
fn class<const AT: usize>() -> ObjectClass {
    ObjectClass::ALL
        .get(AT)
        .copied()
        .unwrap_or(ObjectClass::Relation)
}

/// `'name'::regclass`, `oid::regclass`.
fn reference<const CLASS: usize>(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let class = class::<CLASS>();
    let view = || context.session.system_view();
    match values {
        [Value::Null] => Ok(Value::Null),
        [Value::Text(name)] => {
            let view = view()?;
            Ok(view.reference(class, view.lookup(class, name)?))
        }
        [value] => match value.as_integer() {
            Some(number) => {
                let number = u32::try_from(number).map_err(|_| {
                    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "OID out of range")
                })?;
                Ok(view()?.reference(class, number))
            }
            None => Err(Error::new(
                SqlState::CANNOT_COERCE,
                format!("cannot cast this value to {}", class.type_name()),
            )),
        },
        _ => Ok(Value::Null),
    }
}

/// `to_regclass`: NULL where there is no such object.
fn find<const CLASS: usize>(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let class = class::<CLASS>();
    let Some(name) = text(values.first()) else {
        return Ok(Value::Null);
    };
    let view = context.session.system_view()?;
    Ok(match view.find(class, name.trim())? {
        Some(oid) => view.reference(class, oid),
        None => Value::Null,
    })
}

fn format_type(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some(oid) = number(values.first()) else {
        return Ok(Value::Null);
    };
    let modifier = values
        .get(1)
        .and_then(Value::as_integer)
        .and_then(|modifier| i32::try_from(modifier).ok());
    Ok(Value::from(match oid {
        0 => "-".to_owned(),
        oid => match names::type_name(oid, modifier) {
            Some(name) => name,
            None => {
                let named = context.session.system_view()?.user_type_name(oid);
                named.unwrap_or_else(|| objects::shown_type(oid))
            }
        },
    }))
}

fn relation_of(values: &[Value], view: &SystemView) -> Option<Relation> {
    view.relation(number(values.first())?)
}

fn constraint_definition(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some(oid) = number(values.first()) else {
        return Ok(Value::Null);
    };
    let view = context.session.system_view()?;
    let pretty = values.get(1).and_then(Value::as_bool).unwrap_or(false);
    Ok(or_null(view.constraint(oid).map(|constraint| {
        definitions::constraint(&view, &constraint, pretty)
    })))
}

fn index_definition(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    if is_null(values) {
        return Ok(Value::Null);
    }
    let view = context.session.system_view()?;
    let Some(relation) = relation_of(values, &view) else {
        return Ok(Value::Null);
    };
    let column = values.get(1).and_then(Value::as_integer).unwrap_or(0);
    let pretty = values.get(2).and_then(Value::as_bool).unwrap_or(false);
    Ok(or_null(match usize::try_from(column) {
        Ok(0) => definitions::index(&view, &relation, pretty),
        Ok(at) => definitions::index_part(&relation, at),
        Err(_) => None,
    }))
}

fn view_definition(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    Ok(or_null(
        relation_of(values, &view).and_then(|relation| definitions::view(&relation)),
    ))
}

/// The rule of a view: its number is the view's.
fn rule_definition(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    Ok(or_null(relation_of(values, &view).and_then(|relation| {
        let query = definitions::view(&relation)?;
        let name = view.relation_name(relation.schema(), &relation.name());
        Some(format!(
            "CREATE RULE \"_RETURN\" AS\n    ON SELECT TO {name} DO INSTEAD {}",
            query.trim_start()
        ))
    })))
}

fn function_of(values: &[Value]) -> Option<&'static objects::Function> {
    objects::function(number(values.first())?)
}

fn serial_sequence(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let (Some(table), Some(column)) = (text(values.first()), text(values.get(1))) else {
        return Ok(Value::Null);
    };
    let view = context.session.system_view()?;
    let oid = view.lookup(ObjectClass::Relation, table)?;
    let Some(Relation {
        part: Part::Table(handle),
        ..
    }) = view.relation(oid)
    else {
        return Ok(Value::Null);
    };
    let Some(ordinal) = handle.table.column(column) else {
        return Err(Error::new(
            SqlState("42703"),
            format!(
                "column \"{column}\" of relation \"{}\" does not exist",
                handle.table.name
            ),
        ));
    };
    let number = handle
        .table
        .columns
        .get(ordinal)
        .map(|column| column.number);
    let owned = view.sequences().into_iter().find(|sequence| {
        sequence
            .owner
            .is_some_and(|(owner, of)| owner == handle.table.id && Some(of) == number)
    });
    Ok(or_null(owned.map(|sequence| {
        names::qualified(&sequence.schema, &sequence.name)
    })))
}

fn user_by_id(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some(oid) = number(values.first()) else {
        return Ok(Value::Null);
    };
    let view = context.session.system_view()?;
    Ok(Value::from(
        view.role_name(oid)
            .unwrap_or_else(|| format!("unknown (OID={oid})")),
    ))
}

/// PostgreSQL's numbers of encodings; text here is UTF-8.
const ENCODINGS: [(i32, &str); 3] = [(0, "SQL_ASCII"), (6, "UTF8"), (8, "LATIN1")];

fn encoding_name(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let Some(number) = values.first().and_then(Value::as_integer) else {
        return Ok(Value::Null);
    };
    let name = ENCODINGS
        .iter()
        .find(|(known, _)| i64::from(*known) == number)
        .map_or("", |(_, name)| *name);
    Ok(Value::from(name))
}

fn encoding_number(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let Some(name) = text(values.first()) else {
        return Ok(Value::Null);
    };
    let plain = |text: &str| text.replace(['-', '_'], "").to_ascii_uppercase();
    let number = ENCODINGS
        .iter()
        .find(|(_, known)| plain(known) == plain(name))
        .map_or(-1, |(number, _)| *number);
    Ok(Value::Int4(number))
}

fn relation_is_visible(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    Ok(relation_of(values, &view).map_or(Value::Null, |relation| {
        Value::Boolean(view.is_relation_visible(relation.schema(), &relation.name()))
    }))
}

fn type_is_visible(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some(oid) = number(values.first()) else {
        return Ok(Value::Null);
    };
    let view = context.session.system_view()?;
    Ok(Value::Boolean(view.is_type_visible(oid)))
}

/// Functions and operators are all in `pg_catalog`, which is always searched.
fn object_is_visible(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    Ok(number(values.first()).map_or(Value::Null, |_| Value::Boolean(true)))
}

fn object_description(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some(oid) = number(values.first()) else {
        return Ok(Value::Null);
    };
    let view = context.session.system_view()?;
    let comment = match text(values.get(1)) {
        Some(class) => view
            .find_relation(Some("pg_catalog"), class)
            .and_then(|class| view.comment(class, oid, 0)),
        None => [oids::PG_CLASS, oids::PG_NAMESPACE, oids::PG_CONSTRAINT]
            .into_iter()
            .find_map(|class| view.comment(class, oid, 0)),
    };
    Ok(or_null(comment.map(str::to_owned)))
}

fn column_description(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let (Some(table), Some(column)) = (number(values.first()), number(values.get(1))) else {
        return Ok(Value::Null);
    };
    let view = context.session.system_view()?;
    Ok(or_null(
        view.comment(oids::PG_CLASS, table, column)
            .filter(|_| column != 0)
            .map(str::to_owned),
    ))
}

fn current_schemas(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let implicit = values.first().and_then(Value::as_bool).unwrap_or(false);
    let view = context.session.system_view()?;
    Ok(super::name_array(view.searched(implicit)))
}

fn bytes(bytes: u64) -> Value {
    Value::Int8(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn relation_size(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    Ok(relation_of(values, &view).map_or(Value::Null, |relation| {
        // A fork beside the rows themselves: there is none.
        match text(values.get(1)) {
            None | Some("main") => bytes(relation.bytes(&view)),
            Some(_) => bytes(0),
        }
    }))
}

fn size_of_indexes(view: &SystemView, oid: u32) -> u64 {
    view.indexes()
        .iter()
        .filter(|index| index.table().is_some_and(|table| table.id.oid() == oid))
        .map(|index| index.bytes(view))
        .sum()
}

fn indexes_size(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    Ok(relation_of(values, &view).map_or(Value::Null, |relation| {
        bytes(size_of_indexes(&view, relation.oid))
    }))
}

fn total_relation_size(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    Ok(relation_of(values, &view).map_or(Value::Null, |relation| {
        bytes(relation.bytes(&view) + size_of_indexes(&view, relation.oid))
    }))
}

impl SystemView {
    /// About how many bytes the database takes.
    pub(crate) fn database_bytes(&self) -> u64 {
        activity::database_bytes(self)
    }
}

fn database_size(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    match values.first() {
        None | Some(Value::Null) => Ok(Value::Null),
        Some(Value::Text(name)) if name != view.database() && name != "pg_default" => {
            Err(Error::new(
                SqlState("3D000"),
                format!("database \"{name}\" does not exist"),
            ))
        }
        Some(_) => Ok(bytes(view.database_bytes())),
    }
}

/// A size in the largest unit in which it is at least ten, as PostgreSQL rounds it.
fn size_pretty(values: &[Value], _: &EvalContext<'_>) -> Result<Value> {
    let size = match values.first() {
        Some(Value::Int8(size)) => *size,
        Some(Value::Decimal(size)) => match size.round_to_i64() {
            Some(size) => size,
            None => {
                return Err(Error::new(
                    SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    "the size is out of range",
                ));
            }
        },
        _ => return Ok(Value::Null),
    };
    Ok(Value::from(pretty(size)))
}

pub(crate) fn pretty(size: i64) -> String {
    const LIMIT: u64 = 10 * 1024;
    let sign = if size.cmp(&0) == Ordering::Less {
        "-"
    } else {
        ""
    };
    let mut amount = size.unsigned_abs();
    if amount < LIMIT {
        return format!("{sign}{amount} bytes");
    }
    // Halves are rounded: one binary digit more is kept until the unit is found.
    amount >>= 9;
    for unit in ["kB", "MB", "GB", "TB"] {
        if amount < 2 * LIMIT - 1 {
            return format!("{sign}{} {unit}", amount.div_ceil(2));
        }
        amount >>= 10;
    }
    format!("{sign}{} PB", amount.div_ceil(2))
}

fn relation_file(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    Ok(relation_of(values, &view)
        .map(|relation| relation.file())
        .filter(|file| *file != 0)
        .map_or(Value::Null, Value::Oid))
}

fn relation_is_stored(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    Ok(relation_of(values, &view).map_or(Value::Null, |relation| {
        Value::Boolean(matches!(relation.part, Part::Table(_)) && relation.kind() == 'r')
    }))
}

/// Rows of tables can be inserted, updated and deleted; those of views and of the system's
/// relations cannot.
fn relation_is_updatable(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    const INSERT_UPDATE_DELETE: i32 = 1 << 3 | 1 << 2 | 1 << 4;
    let view = context.session.system_view()?;
    Ok(relation_of(values, &view).map_or(Value::Null, |relation| {
        let table = matches!(relation.part, Part::Table(_)) && matches!(relation.kind(), 'r' | 'p');
        Value::Int4(if table { INSERT_UPDATE_DELETE } else { 0 })
    }))
}

fn column_is_updatable(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    relation_is_stored(values.get(..1).unwrap_or_default(), context)
}

fn sequence_last_value(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    let Some(Relation {
        part: Part::Sequence(sequence),
        ..
    }) = relation_of(values, &view)
    else {
        return Ok(Value::Null);
    };
    let last = view.last_value(&sequence)?;
    Ok(last.map_or(Value::Null, Value::Int8))
}

fn is_other_temporary_schema(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some(oid) = number(values.first()) else {
        return Ok(Value::Null);
    };
    let view = context.session.system_view()?;
    let own = view
        .temporary_schema()
        .map_or(0, |name| view.schema_oid(name));
    let temporary = view.schemas().iter().any(|schema| {
        schema.oid == oid && schema.name.starts_with(crate::engine::temporary::PREFIX)
    });
    Ok(Value::Boolean(temporary && oid != own))
}

fn my_temporary_schema(_: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    let own = view
        .temporary_schema()
        .map_or(0, |name| view.schema_oid(name));
    Ok(Value::Oid(own))
}

/// The number of the newest commit: what is done now comes after it.
fn transaction_number(_: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    let newest = view.inner.manager.store().published_lsn();
    Ok(bytes(newest.0))
}

fn current_setting(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some(name) = text(values.first()) else {
        return Ok(Value::Null);
    };
    let missing_ok = values.get(1).and_then(Value::as_bool).unwrap_or(false);
    match context.session.system_view()?.settings.show(name) {
        Ok(value) => Ok(Value::from(value)),
        Err(_) if missing_ok => Ok(Value::Null),
        Err(error) => Err(error),
    }
}

fn set_config(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let Some(name) = text(values.first()) else {
        return Err(Error::new(
            SqlState("22004"),
            "the name of a setting must not be null",
        ));
    };
    let value = text(values.get(1)).unwrap_or_default();
    let local = values.get(2).and_then(Value::as_bool).unwrap_or(false);
    match &context.session.system {
        Some(system) => Ok(Value::from(system.change(name, value, local)?)),
        None => Ok(Value::Null),
    }
}

/// What the columns of B+ tree indexes can do.
fn index_column_property(values: &[Value], context: &EvalContext<'_>) -> Result<Value> {
    let view = context.session.system_view()?;
    let (Some(relation), Some(column), Some(property)) = (
        relation_of(values, &view),
        number(values.get(1)).and_then(|at| at.checked_sub(1)),
        text(values.get(2)),
    ) else {
        return Ok(Value::Null);
    };
    let Some(index) = relation.index() else {
        return Ok(Value::Null);
    };
    let Some(column) = index.columns.get(column as usize) else {
        return Ok(Value::Null);
    };
    Ok(match property {
        "asc" => Value::Boolean(!column.descending),
        "desc" => Value::Boolean(column.descending),
        "nulls_first" => Value::Boolean(column.nulls_first),
        "nulls_last" => Value::Boolean(!column.nulls_first),
        "orderable" | "returnable" | "search_array" | "search_nulls" => Value::Boolean(true),
        "distance_orderable" => Value::Boolean(false),
        _ => Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_postgresql_rounds_them() {
        for (size, shown) in [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (1_048_576, "1024 kB"),
            (10_485_247, "10239 kB"),
            (10_485_760, "10 MB"),
            (-1_000_000, "-977 kB"),
            (i64::MAX, "8192 PB"),
        ] {
            assert_eq!(pretty(size), shown, "{size}");
        }
    }
}
