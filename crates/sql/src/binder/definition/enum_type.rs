//! Enumerated types: CREATE TYPE … AS ENUM, ALTER TYPE.

use std::sync::Arc;

use crate::{
    ast::{self, Label, ObjectName, TypeAction},
    binder::{Binder, expr::with_hint, suggest, type_names},
    bound::{BoundStatement, Definition, TypeChange},
    catalog::named_type::{NamedType, TypeId, not_an_enum},
    error::{Error, Result, SqlState},
    span::Span,
    types::{EnumPlace, EnumType, new_enum_labels},
};

impl Binder<'_> {
    /// CREATE TYPE … AS ENUM.
    pub(super) fn create_enum(
        &self,
        (schema, id): (String, TypeId),
        name: &ObjectName,
        labels: &[Label],
    ) -> Result<BoundStatement> {
        let names = labels.iter().map(|label| label.name.clone()).collect();
        let made = new_enum_labels(names).map_err(|(error, wrong)| {
            let wrong = wrong.and_then(|at| labels.get(at));
            error.at(wrong.map_or(name.span, |label| label.span))
        })?;
        Ok(definition(Definition::CreateEnum {
            id,
            schema,
            name: name.last().name.clone(),
            labels: made,
        }))
    }

    pub(in crate::binder) fn alter_named_type(
        &self,
        alter: &ast::AlterType,
    ) -> Result<BoundStatement> {
        if let Some(built_in) = type_names::built_in(&alter.name) {
            return Err(match alter.action {
                TypeAction::AddValue { .. } | TypeAction::RenameValue(..) => {
                    not_an_enum(&built_in.to_string())
                }
                TypeAction::Rename(_) | TypeAction::SetSchema(_) => Error::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!("must be owner of type {built_in}"),
                ),
            }
            .at(alter.name.span));
        }
        let of = self.existing_type(&alter.name)?;
        let as_enum = || of.expect_enum().map_err(|error| error.at(alter.name.span));
        let change = match &alter.action {
            TypeAction::AddValue {
                label,
                if_not_exists,
                place,
            } => {
                let old = as_enum()?;
                if *if_not_exists && old.labelled(&label.name).is_some() {
                    let notice = format!("enum label \"{}\" already exists, skipping", label.name);
                    return Ok(definition(Definition::AlterType {
                        change: TypeChange::Nothing { notice },
                        of,
                    }));
                }
                let (place, neighbour) = match place {
                    None => (EnumPlace::End, None),
                    Some((true, of)) => (EnumPlace::Before(of.name.clone()), Some(of)),
                    Some((false, of)) => (EnumPlace::After(of.name.clone()), Some(of)),
                };
                // What is wrong with it shows now, at its place.
                old.with_label(0, label.name.clone(), &place)
                    .map_err(|error| error.at(wrong_span(old, label, neighbour)))?;
                TypeChange::AddValue {
                    label: label.name.clone(),
                    place,
                }
            }
            TypeAction::RenameValue(from, to) => {
                let old = as_enum()?;
                old.with_renamed(&from.name, &to.name)
                    .map_err(|error| error.at(wrong_span(old, to, Some(from))))?;
                TypeChange::RenameValue {
                    from: from.name.clone(),
                    to: to.name.clone(),
                }
            }
            TypeAction::Rename(to) => {
                self.refuse_taken(&of.schema, &to.name, to.span)?;
                TypeChange::Rename {
                    schema: of.schema.clone(),
                    name: to.name.clone(),
                }
            }
            TypeAction::SetSchema(schema) => {
                let moved = ObjectName {
                    parts: vec![schema.clone(), alter.name.last().clone()],
                    span: schema.span,
                };
                let schema = self.new_schema(&moved, false)?;
                if schema == of.schema {
                    let notice = format!("type \"{}\" is already in schema \"{schema}\"", of.name);
                    return Ok(definition(Definition::AlterType {
                        change: TypeChange::Nothing { notice },
                        of,
                    }));
                }
                self.refuse_taken(&schema, &of.name, moved.span)?;
                TypeChange::Rename {
                    schema,
                    name: of.name.clone(),
                }
            }
        };
        Ok(definition(Definition::AlterType { of, change }))
    }

    /// The named type that there must be.
    fn existing_type(&self, name: &ObjectName) -> Result<Arc<NamedType>> {
        let schema = name.qualifier().map(|schema| schema.name.as_str());
        let found = self.catalog.named_type(schema, &name.last().name)?;
        found.ok_or_else(|| self.no_such_type(name))
    }

    /// There is no named type of that name.
    pub(super) fn no_such_type(&self, name: &ObjectName) -> Error {
        let error = Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{name}\" does not exist"),
        )
        .at(name.span);
        let known = self.catalog.named_types();
        with_hint(
            error,
            suggest::did_you_mean(&name.last().name, known.iter().map(|of| of.name.as_str())),
        )
    }

    fn refuse_taken(&self, schema: &str, name: &str, span: Span) -> Result<()> {
        if self.catalog.table(Some(schema), name)?.is_some() {
            return Err(super::named_type::type_exists(name, span));
        }
        match self.catalog.named_type(Some(schema), name)? {
            None => Ok(()),
            Some(_) => Err(super::named_type::type_exists(name, span)),
        }
    }
}

/// The place of what was wrong: the neighbour where that is no label, else the label.
fn wrong_span(old: EnumType, label: &Label, neighbour: Option<&Label>) -> Span {
    match neighbour {
        Some(neighbour) if old.labelled(&neighbour.name).is_none() => neighbour.span,
        _ => label.span,
    }
}

fn definition(definition: Definition) -> BoundStatement {
    BoundStatement::Definition(Box::new(definition))
}
