//! CREATE TYPE, CREATE DOMAIN, their DROP, and columns of domains.

use super::{Draft, push_column};
use crate::{
    ast::{self, ColumnConstraintKind, Expr, ExprKind, Ident, ObjectName, TypeBody, walk_expr_mut},
    binder::{Binder, bind_expression, stored_expression, type_names},
    bound::{BoundStatement, Definition},
    catalog::{
        Check, Table, TableId,
        named_type::{Domain, NamedType, NamedTypeKind, TypeId},
    },
    error::{Error, Result, SqlState},
    span::Span,
};

/// What the value of a domain is called in its conditions.
const VALUE: &str = "value";

impl<'a> Binder<'a> {
    /// The schema and id of a type that is to be made under that name; one that is only a shell
    /// is defined by it.
    fn new_type(&self, name: &ObjectName) -> Result<(String, TypeId)> {
        let schema = self.new_schema(name, false)?;
        let last = &name.last().name;
        // Every table and view has a type of its name.
        if self.catalog.table(Some(&schema), last)?.is_some() {
            return Err(type_exists(last, name.span));
        }
        match self.catalog.named_type(Some(&schema), last)? {
            None => Ok((schema, TypeId(0))),
            Some(shell) if shell.kind == NamedTypeKind::Shell => Ok((schema, shell.id)),
            Some(_) => Err(type_exists(last, name.span)),
        }
    }

    pub(in crate::binder) fn create_type(
        &mut self,
        create: &ast::CreateType,
    ) -> Result<BoundStatement> {
        let (schema, id) = self.new_type(&create.name)?;
        let kind = match &create.body {
            TypeBody::Alias(base) => NamedTypeKind::Distinct(self.data_type(base, false)?),
            TypeBody::Enum(labels) => return self.create_enum((schema, id), &create.name, labels),
            TypeBody::Shell if id != TypeId(0) => {
                return Err(type_exists(&create.name.last().name, create.name.span));
            }
            TypeBody::Shell => NamedTypeKind::Shell,
        };
        Ok(defined(id, schema, &create.name, kind, "CREATE TYPE"))
    }

    pub(in crate::binder) fn create_domain(
        &mut self,
        create: &'a ast::CreateDomain,
    ) -> Result<BoundStatement> {
        let (schema, id) = self.new_type(&create.name)?;
        let base = self.data_type(&create.base, false)?;
        let name = create.name.last();
        let mut domain = Domain {
            base,
            not_null: false,
            default: None,
            checks: Vec::new(),
        };
        let mut alone = Table::new(TableId(0), schema.clone(), name.name.clone(), 0);
        push_column(&mut alone, VALUE.to_owned(), base);
        for constraint in &create.constraints {
            match &constraint.kind {
                ColumnConstraintKind::NotNull => domain.not_null = true,
                ColumnConstraintKind::Null => {}
                ColumnConstraintKind::Default(value) => {
                    if domain.default.is_some() {
                        return Err(Error::new(
                            SqlState::SYNTAX_ERROR,
                            "multiple default expressions",
                        )
                        .at(constraint.span));
                    }
                    self.default(value, base, name)?;
                    domain.default = Some(self.kept_text(value)?);
                }
                ColumnConstraintKind::Check(condition) => {
                    // What is wrong with it shows now, at its place.
                    self.check(&mut alone, String::new(), condition, true)?;
                    let own = constraint.name.as_ref().map(|own| own.name.clone());
                    let made = || {
                        let number = domain.checks.len();
                        let number = if number == 0 {
                            String::new()
                        } else {
                            number.to_string()
                        };
                        format!("{}_check{number}", name.name)
                    };
                    let check_name = own.unwrap_or_else(made);
                    domain.checks.push((check_name, self.kept_text(condition)?));
                }
                _ => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "this constraint is not possible for domains",
                    )
                    .at(constraint.span)
                    .hint("A domain has DEFAULT, NOT NULL and CHECK."));
                }
            }
        }
        let kind = NamedTypeKind::Domain(domain);
        Ok(defined(id, schema, &create.name, kind, "CREATE DOMAIN"))
    }

    pub(in crate::binder) fn drop_types(&mut self, drop: &ast::DropType) -> Result<BoundStatement> {
        let mut types = Vec::new();
        let mut missing = Vec::new();
        for name in &drop.names {
            if let Some(built_in) = type_names::built_in(name) {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS,
                    format!(
                        "cannot drop type {built_in} because it is required by the database system"
                    ),
                )
                .at(name.span));
            }
            let schema = name.qualifier().map(|schema| schema.name.as_str());
            match self.catalog.named_type(schema, &name.last().name)? {
                Some(named) if drop.domain && !matches!(named.kind, NamedTypeKind::Domain(_)) => {
                    return Err(Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        format!("\"{name}\" is not a domain"),
                    )
                    .at(name.span));
                }
                Some(named) => types.push(named),
                None if drop.if_exists => missing.push(name.to_string()),
                None => return Err(self.no_such_type(name)),
            }
        }
        Ok(BoundStatement::Definition(Box::new(
            Definition::DropTypes {
                types,
                missing,
                cascade: drop.cascade,
                domain: drop.domain,
            },
        )))
    }

    /// What a column's domain asks of it, where it was declared with one.
    pub(super) fn domain_constraints(&mut self, draft: &mut Draft, ordinal: usize) -> Result<()> {
        let Some(named) = draft.table.columns[ordinal]
            .named_type
            .and_then(|id| self.catalog.named_type_by_id(id))
        else {
            return Ok(());
        };
        let NamedTypeKind::Domain(domain) = &named.kind else {
            return Ok(());
        };
        let column = &mut draft.table.columns[ordinal];
        column.not_null |= domain.not_null;
        let column_name = column.name.clone();
        let own_value =
            column.default.is_some() || column.identity.is_some() || column.generated.is_some();
        if let (Some(text), false) = (&domain.default, own_value) {
            let expr = stored_expression(text, &draft.table, domain.base, self.types)?;
            draft.table.columns[ordinal].default = Some((text.clone(), expr));
        }
        for (name, text) in &domain.checks {
            let mut condition = crate::parser::parse_expression(text)?;
            name_value(&mut condition, &column_name);
            let text = condition.to_string();
            let predicate = bind_expression(&text, &draft.table, self.types)?;
            draft.table.checks.push(Check {
                name: draft.names.make_from(name),
                text,
                predicate,
                validated: true,
                oid: 0,
            });
        }
        Ok(())
    }
}

impl Binder<'_> {
    /// Fails where a type has the name that a table or view is to have.
    pub(super) fn refuse_name_of_type(&self, schema: &str, name: &str, span: Span) -> Result<()> {
        match self.catalog.named_type(Some(schema), name)? {
            None => Ok(()),
            Some(_) => Err(type_exists(name, span).hint(
                "A relation has an associated type of the same name, so you must use a name that doesn't conflict with any existing type.",
            )),
        }
    }
}

pub(super) fn type_exists(name: &str, span: Span) -> Error {
    Error::new(SqlState("42710"), format!("type \"{name}\" already exists")).at(span)
}

fn defined(
    id: TypeId,
    schema: String,
    name: &ObjectName,
    kind: NamedTypeKind,
    tag: &'static str,
) -> BoundStatement {
    BoundStatement::Definition(Box::new(Definition::CreateType {
        definition: NamedType {
            id,
            schema,
            name: name.last().name.clone(),
            kind,
        },
        tag,
    }))
}

/// Puts a column's name in the place of VALUE.
fn name_value(expr: &mut Expr, column: &str) {
    walk_expr_mut(expr, &mut |part| {
        if let ExprKind::Column(name) = &mut part.kind
            && let [only] = name.parts.as_mut_slice()
            && only.name == VALUE
            && !only.quoted
        {
            *only = Ident {
                name: column.to_owned(),
                quoted: true,
                span: Span::default(),
            };
        }
    });
}
