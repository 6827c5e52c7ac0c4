//! Between definitions and their stored form.

use std::sync::Arc;

use crate::{
    DataType, Result, Value, ast,
    bound::Expr,
    catalog::{
        Check, CheckOption, Column, ColumnNumber, Deferral, ForeignKey, Identity, Index,
        IndexColumn, IndexId, ReferentialAction, RowVersion, Sequence, SequenceId, Table, TableId,
        TableKind, TableStorage, View,
        named_type::{Domain, NamedType, NamedTypeKind, TypeId},
    },
    encoding::{RowDecoder, corrupt},
    engine::catalog::{
        named_types::{AskedTypes, NamedTypes},
        partition_records::{bound_of, bound_record, partitioning_of, partitioning_record},
        record::{
            CheckRecord, ColumnRecord, ForeignKeyRecord, IndexColumnRecord, IndexRecord,
            LabelRecord, NamedTypeRecord, ParameterRecord, RowVersionRecord, SequenceRecord,
            TableRecord, TypeRecord, ViewRecord,
        },
        statistics::value_codec,
    },
    types::{EnumLabel, EnumType},
};

const ACTIONS: [ReferentialAction; 5] = [
    ReferentialAction::NoAction,
    ReferentialAction::Restrict,
    ReferentialAction::Cascade,
    ReferentialAction::SetNull,
    ReferentialAction::SetDefault,
];

const DEFERRALS: [Deferral; 3] = [Deferral::Never, Deferral::Immediate, Deferral::Deferred];

fn ordinals(numbers: &[u32]) -> Vec<usize> {
    numbers.iter().map(|number| *number as usize).collect()
}

fn numbers(ordinals: &[usize]) -> Vec<u32> {
    ordinals.iter().map(|ordinal| *ordinal as u32).collect()
}

fn parameters_of(records: Vec<ParameterRecord>) -> Vec<(String, String)> {
    records
        .into_iter()
        .map(|parameter| (parameter.name, parameter.value))
        .collect()
}

fn parameter_records(parameters: &[(String, String)]) -> Vec<ParameterRecord> {
    parameters
        .iter()
        .map(|(name, value)| ParameterRecord {
            name: name.clone(),
            value: value.clone(),
        })
        .collect()
}

/// The definition that a record holds, its expressions bound.
pub(super) fn table_of(record: TableRecord, types: &AskedTypes<'_>) -> Result<Table> {
    let mut table = Table::new(
        TableId(record.id),
        record.schema,
        record.name,
        record.keyspace,
    );
    table.version = record.version;
    table.parameters = parameters_of(record.parameters);
    table.storage = TableStorage::ALL
        .get(record.storage as usize)
        .copied()
        .ok_or_else(|| corrupt("the storage of a table in the catalog"))?;
    for (at, column) in record.columns.iter().enumerate() {
        // Before columns had numbers, they stood in the order of their numbers.
        let number = match column.number {
            0 => at as u32 + 1,
            number => number,
        };
        let data_type = column
            .data_type
            .map_or(Ok(DataType::Unknown), |of| types.data_type(of))?;
        table.columns.push(Column {
            not_null: column.not_null,
            identity: column.identity.map(|sequence| Identity {
                always: column.identity_always,
                sequence: SequenceId(sequence),
            }),
            before: value_of(data_type, &column.before)?,
            named_type: column.named_type.map(TypeId),
            default_oid: column.default_oid,
            ..Column::new(ColumnNumber(number), column.name.clone(), data_type)
        });
    }
    table.next_column = match record.next_column {
        0 => table.columns.len() as u32 + 1,
        next => next,
    };
    for version in &record.row_versions {
        table.row_versions.push(row_version_of(version, types)?);
    }
    if table.row_versions.is_empty() {
        table.new_row_version();
    }
    table.primary_key = ordinals(&record.primary_key);
    table.primary_key_name = record.primary_key_name;
    table.primary_key_oid = record.primary_key_oid;
    table.foreign_keys = record
        .foreign_keys
        .into_iter()
        .map(foreign_key_of)
        .collect::<Result<_>>()?;
    if let Some(view) = record.view {
        table.kind = TableKind::View(Box::new(view_of(view)?));
    }
    // Expressions are kept as text and bound again: they follow the language.
    for (at, column) in record.columns.into_iter().enumerate() {
        let data_type = table.columns[at].data_type;
        if let Some(text) = column.default {
            let expr = crate::binder::stored_expression(&text, &table, data_type, types)?;
            table.columns[at].default = Some((text, expr));
        }
        if let Some(text) = column.generated {
            let expr = crate::binder::stored_expression(&text, &table, data_type, types)?;
            table.columns[at].generated = Some((text, expr));
        }
    }
    for check in record.checks {
        let predicate = crate::binder::bind_expression(&check.text, &table, types)?;
        table.checks.push(Check {
            name: check.name,
            text: check.text,
            predicate,
            validated: !check.not_valid,
            oid: check.oid,
        });
    }
    for index in record.indexes {
        let index = index_of(index, &table, types)?;
        table.indexes.push(index);
    }
    table.parents = record.parents.into_iter().map(TableId).collect();
    table.partition_bound = record
        .partition_bound
        .map(|bound| bound_of(bound, types))
        .transpose()?;
    if let Some(partitioning) = record.partitioning {
        table.partitioning = Some(partitioning_of(partitioning, &table, types)?);
    }
    Ok(table)
}

/// A value kept as a one-column row.
pub(super) fn value_of(data_type: DataType, bytes: &[u8]) -> Result<Value> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let decoder = RowDecoder::new(value_codec(data_type), &[0]);
    let mut row = [Value::Null];
    decoder.decode_values(&[], bytes, &mut Vec::new(), &mut row)?;
    let [value] = row;
    Ok(value)
}

fn row_version_of(record: &RowVersionRecord, types: &AskedTypes<'_>) -> Result<RowVersion> {
    if record.columns.len() != record.types.len() {
        return Err(corrupt("a row format in the catalog"));
    }
    Ok(RowVersion {
        version: record.version,
        columns: record
            .columns
            .iter()
            .zip(&record.types)
            .map(|(number, of)| Ok((ColumnNumber(*number), types.stored_type(*of)?)))
            .collect::<Result<_>>()?,
    })
}

fn foreign_key_of(record: ForeignKeyRecord) -> Result<ForeignKey> {
    let bad = || corrupt("a foreign key in the catalog");
    let action = |number: u32| ACTIONS.get(number as usize).copied().ok_or_else(bad);
    Ok(ForeignKey {
        name: record.name,
        columns: ordinals(&record.columns),
        parent: TableId(record.parent),
        parent_columns: record
            .parent_columns
            .into_iter()
            .map(ColumnNumber)
            .collect(),
        on_delete: action(record.on_delete)?,
        on_update: action(record.on_update)?,
        set_columns: ordinals(&record.set_columns),
        match_full: record.match_full,
        deferral: DEFERRALS
            .get(record.deferral as usize)
            .copied()
            .ok_or_else(bad)?,
        validated: !record.not_valid,
        oid: record.oid,
    })
}

fn view_of(record: ViewRecord) -> Result<View> {
    let statement = crate::parser::parse_statement(&record.text)?;
    let ast::StatementKind::Query(query) = statement.kind else {
        return Err(corrupt("a view in the catalog"));
    };
    Ok(View {
        query: Arc::from(query),
        text: record.text,
        search_path: record.search_path,
        reads: record.reads.into_iter().map(TableId).collect(),
        check_option: match record.check_option {
            0 => None,
            1 => Some(CheckOption::Local),
            _ => Some(CheckOption::Cascaded),
        },
    })
}

fn index_of(record: IndexRecord, table: &Table, types: &AskedTypes<'_>) -> Result<Index> {
    let bound = |text: String| -> Result<(String, Expr)> {
        let expr = crate::binder::bind_expression(&text, table, types)?;
        Ok((text, expr))
    };
    Ok(Index {
        id: IndexId(record.id),
        name: record.name,
        columns: record
            .columns
            .iter()
            .map(|column| IndexColumn {
                ordinal: column.ordinal as usize,
                descending: column.descending,
                nulls_first: column.nulls_first,
            })
            .collect(),
        expressions: record
            .expressions
            .into_iter()
            .map(bound)
            .collect::<Result<_>>()?,
        predicate: record.predicate.map(bound).transpose()?,
        included: ordinals(&record.included),
        unique: record.unique,
        constraint: record.constraint,
        parameters: parameters_of(record.parameters),
        keyspace: record.keyspace,
    })
}

/// The record of a definition.
pub(crate) fn record_of(table: &Table) -> Result<TableRecord> {
    let place =
        |action: ReferentialAction| ACTIONS.iter().position(|of| *of == action).unwrap_or(0) as u32;
    Ok(TableRecord {
        id: table.id.0,
        schema: table.schema.clone(),
        name: table.name.clone(),
        version: table.version,
        keyspace: table.keyspace,
        storage: table.storage as u32,
        columns: table
            .columns
            .iter()
            .map(|column| {
                let mut before = Vec::new();
                if !matches!(column.before, Value::Null) {
                    value_codec(column.data_type)
                        .encode_row(std::slice::from_ref(&column.before), &mut before)?;
                }
                Ok(ColumnRecord {
                    name: column.name.clone(),
                    data_type: Some(column.data_type.into()),
                    not_null: column.not_null,
                    default: column.default.as_ref().map(|(text, _)| text.clone()),
                    number: column.number.0,
                    identity: column.identity.map(|identity| identity.sequence.0),
                    identity_always: column.identity.is_some_and(|identity| identity.always),
                    generated: column.generated.as_ref().map(|(text, _)| text.clone()),
                    before,
                    default_oid: column.default_oid,
                    named_type: column.named_type.map(|of| of.0),
                })
            })
            .collect::<Result<_>>()?,
        primary_key: numbers(&table.primary_key),
        primary_key_name: table.primary_key_name.clone(),
        primary_key_oid: table.primary_key_oid,
        checks: table
            .checks
            .iter()
            .map(|check| CheckRecord {
                name: check.name.clone(),
                text: check.text.clone(),
                not_valid: !check.validated,
                oid: check.oid,
            })
            .collect(),
        indexes: table.indexes.iter().map(index_record).collect(),
        foreign_keys: table
            .foreign_keys
            .iter()
            .map(|key| ForeignKeyRecord {
                name: key.name.clone(),
                columns: numbers(&key.columns),
                parent: key.parent.0,
                parent_columns: key.parent_columns.iter().map(|number| number.0).collect(),
                on_delete: place(key.on_delete),
                on_update: place(key.on_update),
                set_columns: numbers(&key.set_columns),
                match_full: key.match_full,
                deferral: DEFERRALS
                    .iter()
                    .position(|of| *of == key.deferral)
                    .unwrap_or(0) as u32,
                not_valid: !key.validated,
                oid: key.oid,
            })
            .collect(),
        row_versions: table
            .row_versions
            .iter()
            .map(|version| RowVersionRecord {
                version: version.version,
                columns: version.columns.iter().map(|(number, _)| number.0).collect(),
                types: version.columns.iter().map(|(_, of)| (*of).into()).collect(),
            })
            .collect(),
        next_column: table.next_column,
        parameters: parameter_records(&table.parameters),
        parents: table.parents.iter().map(|parent| parent.0).collect(),
        partitioning: table.partitioning.as_ref().map(partitioning_record),
        partition_bound: table
            .partition_bound
            .as_ref()
            .map(bound_record)
            .transpose()?,
        view: table.view().map(|view| ViewRecord {
            text: view.text.clone(),
            search_path: view.search_path.clone(),
            reads: view.reads.iter().map(|id| id.0).collect(),
            check_option: match view.check_option {
                None => 0,
                Some(CheckOption::Local) => 1,
                Some(CheckOption::Cascaded) => 2,
            },
        }),
    })
}

/// The record of an index.
fn index_record(index: &Index) -> IndexRecord {
    IndexRecord {
        id: index.id.0,
        name: index.name.clone(),
        columns: index
            .columns
            .iter()
            .map(|column| IndexColumnRecord {
                ordinal: column.ordinal as u32,
                descending: column.descending,
                nulls_first: column.nulls_first,
            })
            .collect(),
        unique: index.unique,
        keyspace: index.keyspace,
        expressions: index
            .expressions
            .iter()
            .map(|(text, _)| text.clone())
            .collect(),
        predicate: index.predicate.as_ref().map(|(text, _)| text.clone()),
        included: numbers(&index.included),
        constraint: index.constraint,
        parameters: parameter_records(&index.parameters),
    }
}

/// The named type that a record holds; what it is made of is among `types`.
pub(super) fn named_type_of(record: NamedTypeRecord, types: &NamedTypes) -> Result<NamedType> {
    if record.is_enum() {
        let labels = record
            .labels
            .into_iter()
            .map(|label| EnumLabel::new(label.id, label.name, &label.position))
            .collect();
        return Ok(NamedType::of_enum(EnumType::new(
            record.id,
            record.array,
            record.schema,
            record.name,
            labels,
        )));
    }
    let base = record.base.map(|base| types.data_type(base)).transpose()?;
    let kind = match (record.kind, base) {
        (0, _) => NamedTypeKind::Shell,
        (1, Some(base)) => NamedTypeKind::Distinct(base),
        (2, Some(base)) => NamedTypeKind::Domain(Domain {
            base,
            not_null: record.not_null,
            default: record.default_text,
            checks: record
                .checks
                .into_iter()
                .map(|check| (check.name, check.text))
                .collect(),
        }),
        _ => return Err(corrupt("a type in the catalog")),
    };
    Ok(NamedType {
        id: TypeId(record.id),
        schema: record.schema,
        name: record.name,
        kind,
    })
}

/// The record of a named type.
pub(crate) fn named_type_record(named: &NamedType) -> NamedTypeRecord {
    let mut record = NamedTypeRecord {
        id: named.id.0,
        schema: named.schema.clone(),
        name: named.name.clone(),
        base: match named.kind {
            NamedTypeKind::Enum(_) => None,
            _ => named.base().map(Into::into),
        },
        ..NamedTypeRecord::default()
    };
    match &named.kind {
        NamedTypeKind::Shell => {}
        NamedTypeKind::Distinct(_) => record.kind = 1,
        NamedTypeKind::Enum(of) => {
            record.kind = 3;
            record.array = of.array_id();
            record.labels = of
                .labels()
                .map(|label| LabelRecord {
                    id: label.id(),
                    name: label.name().to_owned(),
                    position: label.position().to_vec(),
                })
                .collect();
        }
        NamedTypeKind::Domain(domain) => {
            record.kind = 2;
            record.not_null = domain.not_null;
            record.default_text.clone_from(&domain.default);
            record.checks = domain
                .checks
                .iter()
                .map(|(name, text)| CheckRecord {
                    name: name.clone(),
                    text: text.clone(),
                    not_valid: false,
                    oid: 0,
                })
                .collect();
        }
    }
    record
}

/// The sequence that a record holds.
pub(crate) fn sequence_of(record: SequenceRecord) -> Result<Sequence> {
    Ok(Sequence {
        id: SequenceId(record.id),
        schema: record.schema,
        name: record.name,
        data_type: record
            .data_type
            .map_or(Ok(DataType::Int8), TypeRecord::built_in)?,
        start: record.start,
        increment: record.increment,
        min: record.min,
        max: record.max,
        cycle: record.cycle,
        cache: record.cache,
        owner: record
            .owner
            .map(|table| (TableId(table), ColumnNumber(record.owner_column))),
        state: record.state,
    })
}

/// The record of a sequence.
pub(crate) fn sequence_record(sequence: &Sequence) -> SequenceRecord {
    SequenceRecord {
        id: sequence.id.0,
        schema: sequence.schema.clone(),
        name: sequence.name.clone(),
        data_type: Some(sequence.data_type.into()),
        start: sequence.start,
        increment: sequence.increment,
        min: sequence.min,
        max: sequence.max,
        cycle: sequence.cycle,
        cache: sequence.cache,
        owner: sequence.owner.map(|(table, _)| table.0),
        owner_column: sequence.owner.map_or(0, |(_, column)| column.0),
        state: sequence.state,
    }
}
