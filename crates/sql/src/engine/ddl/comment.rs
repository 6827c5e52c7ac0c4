//! COMMENT ON.

use std::sync::Arc;

use rustling_txn::Transaction;

use crate::{
    Error, Result, SqlState,
    ast::{Comment, CommentTarget, ObjectKind, ObjectName},
    engine::{
        catalog::store::CommentKey,
        session::{Session, StatementResult},
        system::{
            SystemView,
            relations::{Part, Relation},
        },
    },
    system::oids,
    types::ObjectClass,
};

impl Session {
    /// COMMENT ON.
    pub(super) fn comment(
        &mut self,
        transaction: &Transaction,
        comment: &Comment,
    ) -> Result<StatementResult> {
        let view = SystemView {
            inner: Arc::clone(&self.database.inner),
            catalog: self.catalog(),
            path: Arc::clone(&self.settings.search_path),
            reader: self.authorization.current(),
            settings: Arc::default(),
        };
        let (key, owned) = target(&view, &comment.target)?;
        let catalog = self.catalog();
        self.may_comment(&catalog, &owned)?;
        self.database.inner.catalog_store.put_comment(
            transaction,
            key,
            comment.text.as_deref().filter(|text| !text.is_empty()),
        )?;
        Ok(StatementResult::done("COMMENT"))
    }
}

/// Whose owner may comment.
pub(crate) enum Owned {
    /// A relation, or a part of it.
    Relation(Part),
    /// A schema.
    Schema(String),
    /// The database.
    Database,
}

/// What the comment is on, in numbers, and whose owner may make it.
fn target(view: &SystemView, target: &CommentTarget) -> Result<(CommentKey, Owned)> {
    match target {
        CommentTarget::Object(ObjectKind::Schema, name) => {
            match view.find(ObjectClass::Schema, &name.to_string())? {
                Some(oid) => Ok((
                    (oids::PG_NAMESPACE, oid, 0),
                    Owned::Schema(name.last().name.clone()),
                )),
                None => Err(Error::new(
                    SqlState("3F000"),
                    format!("schema \"{name}\" does not exist"),
                )
                .at(name.span)),
            }
        }
        CommentTarget::Object(kind, name) => {
            let relation = relation(view, name)?;
            let fits = match kind {
                ObjectKind::Table => relation.kind() == 'r',
                ObjectKind::View => relation.kind() == 'v',
                ObjectKind::Index => relation.kind() == 'i',
                _ => relation.kind() == 'S',
            };
            if !fits {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a {}", relation.name(), kind.noun()),
                )
                .at(name.span));
            }
            Ok((
                (oids::PG_CLASS, relation.oid, 0),
                Owned::Relation(relation.part),
            ))
        }
        CommentTarget::Column(name) => {
            let Some((column, table)) = name.parts.split_last().filter(|(_, of)| !of.is_empty())
            else {
                return Err(
                    Error::new(SqlState::SYNTAX_ERROR, "column name must be qualified")
                        .at(name.span),
                );
            };
            let table = ObjectName {
                parts: table.to_vec(),
                span: name.span,
            };
            let relation = relation(view, &table)?;
            let found = relation
                .columns()
                .into_iter()
                .find(|of| of.name == column.name);
            match found {
                Some(of) => {
                    let number = of.number.unsigned_abs().into();
                    let key = (oids::PG_CLASS, relation.oid, number);
                    Ok((key, Owned::Relation(relation.part)))
                }
                None => Err(Error::new(
                    SqlState("42703"),
                    format!(
                        "column \"{}\" of relation \"{}\" does not exist",
                        column.name,
                        relation.name()
                    ),
                )
                .at(column.span)),
            }
        }
        CommentTarget::Constraint(name, table) => {
            let relation = relation(view, table)?;
            view.constraints(None)
                .into_iter()
                .find(|of| of.table_oid() == relation.oid && of.name() == name.name)
                .map(|of| {
                    let key = (oids::PG_CONSTRAINT, of.oid(), 0);
                    (key, Owned::Relation(relation.part.clone()))
                })
                .ok_or_else(|| {
                    Error::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!(
                            "constraint \"{}\" for table \"{}\" does not exist",
                            name.name,
                            relation.name()
                        ),
                    )
                    .at(name.span)
                })
        }
        CommentTarget::Database(name) => {
            if name.parts.len() == 1 && name.last().name == view.database() {
                return Ok(((oids::PG_DATABASE, oids::DATABASE, 0), Owned::Database));
            }
            Err(Error::new(
                SqlState("3D000"),
                format!("database \"{name}\" does not exist"),
            )
            .at(name.span))
        }
    }
}

fn relation(view: &SystemView, name: &ObjectName) -> Result<Relation> {
    let schema = name.qualifier().map(|schema| schema.name.as_str());
    view.find_relation(schema, &name.last().name)
        .and_then(|oid| view.relation(oid))
        .ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{name}\" does not exist"),
            )
            .at(name.span)
        })
}
