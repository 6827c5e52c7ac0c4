//! Sequences, and the columns that draw from them.

use super::{Draft, names::limited, relation_exists};
use crate::{
    ast::{self, SequenceOptions},
    binder::Binder,
    bound::{BoundStatement, Definition, Expr, ExprKind, ScalarFunction, SequenceDefinition},
    catalog::{Sequence, SequenceId, Table},
    error::{Error, Result, SqlState},
    span::Span,
    types::{DataType, Value},
};

fn invalid(message: String, span: Span) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(span)
}

/// The range of an integer type.
fn range_of(data_type: DataType) -> (i64, i64) {
    match data_type {
        DataType::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// A sequence with everything as it is where nothing is said.
fn plain(schema: String, name: String, data_type: DataType) -> Sequence {
    Sequence {
        id: SequenceId(0),
        schema,
        name,
        data_type,
        start: 1,
        increment: 1,
        min: 1,
        max: range_of(data_type).1,
        cycle: false,
        cache: 1,
        owner: None,
        state: 0,
    }
}

impl<'a> Binder<'a> {
    pub(in crate::binder) fn create_sequence(
        &mut self,
        create: &'a ast::CreateSequence,
    ) -> Result<BoundStatement> {
        let name = create.name.last();
        let schema = self.new_schema(&create.name, create.temporary)?;
        let exists = self.relation_exists(&schema, &name.name)?;
        if exists && !create.if_not_exists {
            return Err(relation_exists(&name.name, create.name.span));
        }
        let mut sequence = plain(schema, name.name.clone(), DataType::Int8);
        self.set_options(&mut sequence, &create.options, true, create.name.span)?;
        Ok(BoundStatement::Definition(Box::new(
            Definition::CreateSequence { sequence, exists },
        )))
    }

    pub(in crate::binder) fn alter_sequence(
        &mut self,
        alter: &'a ast::AlterSequence,
    ) -> Result<BoundStatement> {
        let schema = alter.name.qualifier().map(|schema| schema.name.as_str());
        let found = self.catalog.sequence(schema, &alter.name.last().name)?;
        let definition = match found {
            Some(known) => {
                let mut sequence = (*known).clone();
                let span = alter.name.span;
                self.set_options(&mut sequence, &alter.options, false, span)?;
                let restart = alter
                    .options
                    .restart
                    .map(|with| with.unwrap_or(sequence.start));
                if let Some(number) = restart
                    && !(sequence.min..=sequence.max).contains(&number)
                {
                    return Err(out_of_bounds("RESTART", number, &sequence, span));
                }
                Definition::AlterSequence { sequence, restart }
            }
            None if alter.if_exists => Definition::Nothing {
                tag: "ALTER SEQUENCE".to_owned(),
                notice: format!("relation \"{}\" does not exist, skipping", alter.name),
            },
            None => {
                return Err(Error::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{}\" does not exist", alter.name),
                )
                .at(alter.name.span));
            }
        };
        Ok(BoundStatement::Definition(Box::new(definition)))
    }

    /// Sets the options that are given; the others stay, or (of a new sequence) get their
    /// defaults.
    fn set_options(
        &mut self,
        sequence: &mut Sequence,
        options: &'a SequenceOptions,
        new: bool,
        span: Span,
    ) -> Result<()> {
        let old_range = range_of(sequence.data_type);
        if let Some(name) = &options.data_type {
            let data_type = self.column_type(name)?;
            if !matches!(data_type, DataType::Int2 | DataType::Int4 | DataType::Int8) {
                return Err(invalid(
                    "sequence type must be smallint, integer, or bigint".to_owned(),
                    name.span,
                ));
            }
            sequence.data_type = data_type;
        }
        let (low, high) = range_of(sequence.data_type);
        let was_ascending = sequence.increment > 0;
        if let Some(increment) = options.increment {
            if increment == 0 {
                return Err(invalid("INCREMENT must not be zero".to_owned(), span));
            }
            sequence.increment = increment;
        }
        let ascending = sequence.increment > 0;
        // Bounds that nobody has set follow the type and the direction.
        let follow_max = new || sequence.max == old_range.1 || ascending != was_ascending;
        let follow_min = new || sequence.min == old_range.0 || ascending != was_ascending;
        sequence.max = match options.max {
            Some(Some(max)) => max,
            Some(None) => {
                if ascending {
                    high
                } else {
                    -1
                }
            }
            None if follow_max => {
                if ascending {
                    high
                } else {
                    -1
                }
            }
            None => sequence.max,
        };
        sequence.min = match options.min {
            Some(Some(min)) => min,
            Some(None) => {
                if ascending {
                    1
                } else {
                    low
                }
            }
            None if follow_min => {
                if ascending {
                    1
                } else {
                    low
                }
            }
            None => sequence.min,
        };
        for (what, bound) in [("MINVALUE", sequence.min), ("MAXVALUE", sequence.max)] {
            if !(low..=high).contains(&bound) {
                return Err(invalid(
                    format!(
                        "{what} ({bound}) is out of range for sequence data type {}",
                        sequence.data_type
                    ),
                    span,
                ));
            }
        }
        if sequence.min >= sequence.max {
            return Err(invalid(
                format!(
                    "MINVALUE ({}) must be less than MAXVALUE ({})",
                    sequence.min, sequence.max
                ),
                span,
            ));
        }
        match options.start {
            Some(start) => sequence.start = start,
            None if new => {
                sequence.start = if ascending {
                    sequence.min
                } else {
                    sequence.max
                };
            }
            None => {}
        }
        if !(sequence.min..=sequence.max).contains(&sequence.start) {
            return Err(out_of_bounds("START", sequence.start, sequence, span));
        }
        if let Some(cache) = options.cache {
            if cache <= 0 {
                return Err(invalid(
                    format!("CACHE ({cache}) must be greater than zero"),
                    span,
                ));
            }
            sequence.cache = cache;
        }
        if let Some(cycle) = options.cycle {
            sequence.cycle = cycle;
        }
        match &options.owned_by {
            None => {}
            Some(None) => sequence.owner = None,
            Some(Some(owner)) => {
                let column = owner.last();
                let mut table = owner.clone();
                table.parts.pop();
                if table.parts.is_empty() {
                    return Err(
                        Error::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
                            .at(owner.span)
                            .hint("Specify OWNED BY table.column or OWNED BY NONE."),
                    );
                }
                let table = self.table(&table)?;
                super::must_be_table(&table, owner.span)?;
                let ordinal = crate::binder::data::table_column(&table, column)?;
                sequence.owner = Some((table.id, table.columns[ordinal].number));
            }
        }
        Ok(())
    }

    /// `table_column_seq`, with a number where that is taken.
    pub(super) fn sequence_name(&self, table: &Table, column: &str) -> Result<String> {
        let stem = format!("{}_{column}", table.name);
        let mut number = 0;
        loop {
            let name = limited(&stem, "seq", number);
            if name != table.name && !self.relation_exists(&table.schema, &name)? {
                return Ok(name);
            }
            number += 1;
        }
    }

    /// The sequence of a column.
    pub(super) fn column_sequence(
        &mut self,
        table: &Table,
        ordinal: usize,
        options: Option<&'a SequenceOptions>,
        span: Span,
    ) -> Result<Sequence> {
        let column = &table.columns[ordinal];
        if !matches!(
            column.data_type,
            DataType::Int2 | DataType::Int4 | DataType::Int8
        ) {
            return Err(invalid(
                "identity column type must be smallint, integer, or bigint".to_owned(),
                span,
            ));
        }
        let name = self.sequence_name(table, &column.name)?;
        let mut sequence = plain(table.schema.clone(), name, column.data_type);
        if let Some(options) = options {
            self.set_options(&mut sequence, options, true, span)?;
        }
        Ok(sequence)
    }

    /// Makes a column `serial`: not NULL, with the sequence's next number as its default.
    pub(super) fn serial_column(
        &mut self,
        draft: &mut Draft,
        ordinal: usize,
        data_type: DataType,
    ) -> Result<()> {
        let mut sequence = self.column_sequence(&draft.table, ordinal, None, Span::default())?;
        sequence.data_type = data_type;
        let name = qualified(&sequence.schema, &sequence.name);
        let text = format!("nextval('{}')", name.replace('\'', "''"));
        let literal = Expr {
            kind: ExprKind::Literal(Value::Text(name.into())),
            data_type: DataType::Text,
            nullable: false,
            span: Span::default(),
        };
        let next = Expr {
            kind: ExprKind::Function(ScalarFunction::NextValue, vec![literal]),
            data_type: DataType::Int8,
            nullable: false,
            span: Span::default(),
        };
        let value = match data_type {
            DataType::Int8 => next,
            other => Expr {
                data_type: other,
                nullable: false,
                span: Span::default(),
                kind: ExprKind::Cast(Box::new(next)),
            },
        };
        let column = &mut draft.table.columns[ordinal];
        column.not_null = true;
        column.default = Some((text, value));
        draft.sequences.push((
            ordinal,
            SequenceDefinition {
                sequence,
                identity: None,
            },
        ));
        Ok(())
    }

    /// Makes a column draw from a sequence of its own.
    pub(super) fn identity_column(
        &mut self,
        draft: &mut Draft,
        ordinal: usize,
        sequence: Sequence,
        always: bool,
    ) {
        let column = &mut draft.table.columns[ordinal];
        column.not_null = true;
        column.identity = Some(crate::catalog::Identity {
            always,
            sequence: SequenceId(0),
        });
        draft.sequences.push((
            ordinal,
            SequenceDefinition {
                sequence,
                identity: Some(always),
            },
        ));
    }
}

fn out_of_bounds(what: &str, number: i64, sequence: &Sequence, span: Span) -> Error {
    let message = if number < sequence.min {
        format!(
            "{what} value ({number}) cannot be less than MINVALUE ({})",
            sequence.min
        )
    } else {
        format!(
            "{what} value ({number}) cannot be greater than MAXVALUE ({})",
            sequence.max
        )
    };
    invalid(message, span)
}

/// `schema.name`, in double quotes where that is needed.
fn qualified(schema: &str, name: &str) -> String {
    let quoted = |part: &str| {
        let plain = part
            .chars()
            .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
            && !part.starts_with(|c: char| c.is_ascii_digit());
        if plain {
            part.to_owned()
        } else {
            format!("\"{}\"", part.replace('"', "\"\""))
        }
    };
    format!("{}.{}", quoted(schema), quoted(name))
}
