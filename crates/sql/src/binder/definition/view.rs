//! CREATE VIEW, and views in FROM.

use std::sync::Arc;

use super::{
    no_schema,
    parameters::{self, Target},
    push_column, relation_exists,
};
use crate::{
    ast,
    binder::{Binder, literal, scope::ScopeColumn},
    bound::{BoundStatement, CreateSchema, CreateView, Definition, LogicalPlan},
    catalog::{
        CatalogReader, CheckOption, Sequence, SequenceId, Table, TableId, TableKind, View,
        named_type::{NamedType, TypeId},
    },
    error::{Error, Result, SqlState},
    span::Span,
    types::{DataType, Value},
};

impl<'a> Binder<'a> {
    pub(in crate::binder) fn create_view(
        &mut self,
        create: &'a ast::CreateView,
    ) -> Result<BoundStatement> {
        let name = create.name.last();
        let span = create.name.span;
        let schema = self.new_schema(&create.name, create.temporary)?;
        let replaced = self.catalog.table(Some(&schema), &name.name)?;
        match &replaced {
            Some(table) if create.replace && table.view().is_none() => {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a view", name.name),
                )
                .at(span));
            }
            Some(_) if create.replace => {}
            _ if self.relation_exists(&schema, &name.name)? => {
                return Err(relation_exists(&name.name, span));
            }
            _ => self.refuse_name_of_type(&schema, &name.name, span)?,
        }
        let first_read = self.tables_read.len();
        let bound = self.settled_query(&create.query)?;
        if !self.parameters.is_empty() {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "views must not contain parameters",
            )
            .at(create.query.span));
        }
        if create.columns.len() > bound.columns.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "CREATE VIEW specifies more column names than columns",
            )
            .at(create.columns.first().map_or(span, |name| name.span)));
        }
        let mut table = Table::new(TableId(0), schema, name.name.clone(), 0);
        for (at, column) in bound.columns.iter().enumerate() {
            let own = create.columns.get(at).map(|name| &name.name);
            let column_name = own.unwrap_or(&column.name);
            if table.column(column_name).is_some() {
                return Err(super::duplicate_column(column_name, span).hint(
                    "Give the view's columns different names: CREATE VIEW name (a, b) AS …",
                ));
            }
            push_column(&mut table, column_name.clone(), column.data_type);
        }
        if let Some(old) = &replaced {
            replaceable(old, &table, span)?;
        }
        table.parameters = parameters::checked(Target::View, &create.parameters)?;
        // Both spellings of the check option mean the same.
        let mut check_option = create.check_option;
        table.parameters.retain(|(name, value)| {
            let is_check = name == "check_option";
            if is_check && check_option.is_none() {
                check_option = Some(match value.to_ascii_lowercase().as_str() {
                    "local" => CheckOption::Local,
                    _ => CheckOption::Cascaded,
                });
            }
            !is_check
        });
        if check_option.is_some() && simple_source(&create.query).is_none() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "WITH CHECK OPTION is supported only on automatically updatable views",
            )
            .at(create.query.span));
        }
        let mut reads = self.tables_read.split_off(first_read);
        reads.sort_unstable();
        reads.dedup();
        // Stars are spread out now: columns that come later do not show.
        let mut query = (*create.query).clone();
        spread_stars(&mut query, &bound.columns);
        table.kind = TableKind::View(Box::new(View {
            text: query.to_string(),
            query: Arc::new(query),
            search_path: self.catalog.search_path(),
            reads,
            check_option,
        }));
        Ok(BoundStatement::Definition(Box::new(
            Definition::CreateView(CreateView { table, replaced }),
        )))
    }

    /// A view's rows: its query, bound for this use, with the view's own column names.
    pub(in crate::binder) fn view(
        &mut self,
        table: &Arc<Table>,
        view: &View,
        span: Span,
    ) -> Result<(LogicalPlan, Vec<ScopeColumn>)> {
        const DEEPEST: u32 = 64;
        if self.view_depth >= DEEPEST {
            return Err(Error::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!("views are nested more than {DEEPEST} deep"),
            )
            .at(span));
        }
        let catalog = PathCatalog {
            inner: self.catalog,
            path: &view.search_path,
        };
        let mut binder = Binder::new(&catalog, self.options);
        binder.parameters.clear();
        binder.next_column = self.next_column;
        binder.relations = self.relations;
        binder.buffers = self.buffers;
        binder.next_shared = self.next_shared;
        binder.view_depth = self.view_depth + 1;
        let bound = binder.settled_query(&view.query).map_err(|error| {
            // Places are those of the view's text: they say nothing here.
            let mut outer = Error::new(error.state(), error.message())
                .detail(format!("In the query of view \"{}\".", table.name))
                .at(span);
            if let Some(hint) = error.hint_text() {
                outer = outer.hint(hint);
            }
            outer
        });
        self.next_column = binder.next_column;
        self.relations = binder.relations;
        self.buffers = binder.buffers;
        self.next_shared = binder.next_shared;
        let reads = binder.tables_read;
        let needed = binder.access;
        let bound = bound?;
        self.tables_read.extend(reads);
        if has_option(table, "security_invoker") {
            self.access.within_invoker_view(needed);
        } else {
            self.access.within_view(table.id, needed);
        }
        let fits = bound.columns.len() == table.columns.len()
            && bound
                .columns
                .iter()
                .zip(&table.columns)
                .all(|(column, of)| column.data_type == of.data_type);
        if !fits {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("view \"{}\" does not fit its tables any more", table.name),
            )
            .at(span));
        }
        let columns = bound
            .columns
            .iter()
            .zip(&table.columns)
            .map(|(column, of)| ScopeColumn {
                name: of.name.clone(),
                id: column.id,
                data_type: column.data_type,
                nullable: column.nullable,
            })
            .collect();
        let mut plan = bound.plan;
        if has_option(table, "security_barrier") {
            // Conditions from outside are not looked at before the view's own: none is moved
            // below an OFFSET.
            plan = LogicalPlan::Limit {
                input: Box::new(plan),
                limit: None,
                offset: Some(literal::constant(Value::Int8(0), DataType::Int8, span)),
            };
        }
        Ok((plan, columns))
    }
}

/// Whether a view has one of its options on.
pub(in crate::binder) fn has_option(view: &Table, name: &str) -> bool {
    let mut options = view.parameters.iter();
    options.any(|(known, value)| known == name && parameters::is_on(value))
}

/// A view may be replaced by one with the same columns, and perhaps more after them.
fn replaceable(old: &Table, new: &Table, span: Span) -> Result<()> {
    let refuse =
        |message: String| Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).at(span));
    if new.columns.len() < old.columns.len() {
        return refuse("cannot drop columns from view".to_owned());
    }
    for (old, new) in old.columns.iter().zip(&new.columns) {
        if old.name != new.name {
            return refuse(format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                old.name, new.name
            ));
        }
        if old.data_type != new.data_type {
            return refuse(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name, old.data_type, new.data_type
            ));
        }
    }
    Ok(())
}

/// The one table that a view shows row by row, where it does: such a view can be written to.
pub(in crate::binder) fn simple_source(
    query: &ast::Query,
) -> Option<(&ast::Select, &ast::TableRef)> {
    let plain = query.with.is_none() && query.limit.is_none() && query.offset.is_none();
    let ast::QueryBody::Select(select) = &query.body else {
        return None;
    };
    let rows = select.distinct.is_none()
        && select.group_by.is_none()
        && select.having.is_none()
        && select.into.is_none();
    match select.from.as_slice() {
        [table] if plain && rows && matches!(table.kind, ast::TableRefKind::Table { .. }) => {
            Some((select, table))
        }
        _ => None,
    }
}

/// Replaces a star of a view's outermost SELECT by the columns that it stands for. With several
/// stars nothing is done: such a view is refused when its tables get more columns.
fn spread_stars(query: &mut ast::Query, columns: &[crate::bound::OutputColumn]) {
    let ast::QueryBody::Select(select) = &mut query.body else {
        return;
    };
    let is_star = |item: &ast::SelectItem| !matches!(item, ast::SelectItem::Expr { .. });
    let mut stars = select
        .items
        .iter()
        .enumerate()
        .filter(|(_, item)| is_star(item));
    let (Some((at, star)), None) = (stars.next(), stars.next()) else {
        return;
    };
    let (mut qualifier, span) = match star {
        ast::SelectItem::QualifiedWildcard(name) => (name.parts.clone(), name.span),
        ast::SelectItem::Wildcard(span) => (Vec::new(), *span),
        // Its names are the view's own.
        ast::SelectItem::RenamedWildcard { .. } | ast::SelectItem::Expr { .. } => return,
    };
    for part in &mut qualifier {
        part.quoted = true;
    }
    let after = select.items.len() - at - 1;
    let end = columns.len().saturating_sub(after);
    let Some(meant) = columns.get(at..end) else {
        return;
    };
    let unique = meant
        .iter()
        .enumerate()
        .all(|(at, column)| !meant[..at].iter().any(|other| other.name == column.name));
    if !unique {
        return;
    }
    let items: Vec<ast::SelectItem> = meant
        .iter()
        .map(|column| {
            let mut parts = qualifier.clone();
            parts.push(ast::Ident {
                name: column.name.clone(),
                quoted: true,
                span,
            });
            ast::SelectItem::Expr {
                expr: ast::Expr {
                    kind: ast::ExprKind::Column(ast::ObjectName { parts, span }),
                    span,
                },
                alias: None,
            }
        })
        .collect();
    select.items.splice(at..=at, items);
}

/// A catalog in which unqualified names are looked up along another path.
pub(in crate::binder) struct PathCatalog<'c> {
    pub(in crate::binder) inner: &'c dyn CatalogReader,
    pub(in crate::binder) path: &'c [String],
}

impl PathCatalog<'_> {
    fn along<T>(
        &self,
        schema: Option<&str>,
        find: impl Fn(&str) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        match schema {
            Some(schema) => find(schema),
            None => {
                for schema in self.path {
                    if let Some(found) = find(schema)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
        }
    }
}

impl CatalogReader for PathCatalog<'_> {
    fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        self.along(schema, |schema| self.inner.table(Some(schema), name))
    }

    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        self.inner.tables()
    }

    fn table_of_index(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        self.along(schema, |schema| {
            self.inner.table_of_index(Some(schema), name)
        })
    }

    fn children(&self, id: TableId) -> Vec<Arc<Table>> {
        self.inner.children(id)
    }

    fn table_by_id(&self, id: TableId) -> Option<Arc<Table>> {
        self.inner.table_by_id(id)
    }

    fn sequence(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Sequence>>> {
        self.along(schema, |schema| self.inner.sequence(Some(schema), name))
    }

    fn sequence_by_id(&self, id: SequenceId) -> Option<Arc<Sequence>> {
        self.inner.sequence_by_id(id)
    }

    fn named_type(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<NamedType>>> {
        self.along(schema, |schema| self.inner.named_type(Some(schema), name))
    }

    fn named_types(&self) -> Vec<Arc<NamedType>> {
        self.inner.named_types()
    }

    fn named_type_by_id(&self, id: TypeId) -> Option<Arc<NamedType>> {
        self.inner.named_type_by_id(id)
    }

    fn has_schema(&self, name: &str) -> bool {
        self.inner.has_schema(name)
    }

    fn search_path(&self) -> Vec<String> {
        self.path.to_vec()
    }
}

impl<'a> Binder<'a> {
    pub(in crate::binder) fn create_schema(
        &self,
        create: &ast::CreateSchema,
    ) -> Result<BoundStatement> {
        // A schema without a name has that of its owner.
        let owner = match &create.owner {
            Some(ast::RoleSpec::Named(owner)) => Some(owner),
            _ => None,
        };
        let Some(name) = create.name.as_ref().or(owner) else {
            return Ok(BoundStatement::Definition(Box::new(
                Definition::CreateSchema(CreateSchema {
                    name: None,
                    exists: false,
                    owner: create.owner.clone(),
                    elements: create.elements.clone(),
                }),
            )));
        };
        if name.name.starts_with("pg_") {
            return Err(Error::new(
                SqlState("42939"),
                format!("unacceptable schema name \"{}\"", name.name),
            )
            .detail("The prefix \"pg_\" is reserved for system schemas.")
            .at(name.span));
        }
        let exists = self.catalog.has_schema(&name.name);
        if exists && !create.if_not_exists {
            return Err(Error::new(
                SqlState("42P06"),
                format!("schema \"{}\" already exists", name.name),
            )
            .at(name.span));
        }
        Ok(BoundStatement::Definition(Box::new(
            Definition::CreateSchema(CreateSchema {
                name: Some(name.name.clone()),
                exists,
                owner: create.owner.clone(),
                elements: create.elements.clone(),
            }),
        )))
    }

    /// Fails where there is no schema of that name.
    pub(super) fn known_schema(&self, name: &ast::Ident) -> Result<()> {
        if self.catalog.has_schema(&name.name) {
            return Ok(());
        }
        Err(no_schema(&name.name, name.span))
    }
}
