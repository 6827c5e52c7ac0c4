//! What INSERT, UPDATE and DELETE can change: tables, and views that show rows of one table as
//! they are (PostgreSQL calls them automatically updatable).

use std::sync::Arc;

use super::{
    Binder, Place,
    definition::view::{PathCatalog, has_option, simple_source},
    scope::{Scope, ScopeColumn},
    unsupported,
};
use crate::{
    ast::{self, Ident},
    bound::{ColumnId, Expr},
    catalog::{CatalogReader as _, CheckOption, Table, TableKind},
    error::{Error, Result, SqlState},
    span::Span,
};

/// How deep views over views may stand.
const DEEPEST: u32 = 64;

/// The name of columns that a view does not show: none that could be written.
const HIDDEN: &str = "\0";

/// A table whose rows are changed, perhaps through a view.
pub(super) struct Writable {
    /// The table, with the names that its columns go by: through a view, the view's.
    pub(super) table: Arc<Table>,
    /// The table as it is.
    pub(super) base: Arc<Table>,
    /// Ordinals of the columns that a view shows, in its order; `None`: it is the table.
    pub(super) shown: Option<Vec<usize>>,
    /// The views above it, outermost first.
    views: Vec<Arc<Table>>,
}

impl<'a> Binder<'a> {
    /// The table of that name, or the one that the view of that name shows.
    pub(super) fn writable(&mut self, name: &ast::ObjectName) -> Result<Writable> {
        let table = self.table(name)?;
        match &table.kind {
            TableKind::Table => Ok(Writable {
                base: Arc::clone(&table),
                table,
                shown: None,
                views: Vec::new(),
            }),
            TableKind::View(_) => self.through_view(table, name.span),
            TableKind::System(_) => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change system table \"{}\"", table.name),
            )
            .at(name.span)),
        }
    }

    fn through_view(&mut self, view: Arc<Table>, span: Span) -> Result<Writable> {
        let not_updatable = |detail: &str| {
            Error::new(
                SqlState::NOT_IN_PREREQUISITE_STATE,
                format!("cannot change view \"{}\"", view.name),
            )
            .detail(detail)
            .at(span)
        };
        let mut views = Vec::new();
        let mut maps: Vec<Vec<usize>> = Vec::new();
        let mut at = Arc::clone(&view);
        while let Some(of) = at.view() {
            if views.len() as u32 >= DEEPEST {
                return Err(not_updatable("Views are nested too deep."));
            }
            for option in ["security_barrier", "security_invoker"] {
                if has_option(&at, option) {
                    return Err(unsupported(
                        &format!("changes through views WITH ({option}) are"),
                        span,
                    ));
                }
            }
            let Some((select, source)) = simple_source(&of.query) else {
                return Err(not_updatable(
                    "Views that do not show the rows of a single table as they are are not automatically updatable.",
                ));
            };
            let ast::TableRefKind::Table { name, .. } = &source.kind else {
                return Err(not_updatable("It does not select from a single table."));
            };
            let catalog = PathCatalog {
                inner: self.catalog,
                path: &of.search_path,
            };
            let schema = name.qualifier().map(|schema| schema.name.as_str());
            let Some(below) = catalog.table(schema, &name.last().name)? else {
                return Err(not_updatable(
                    "What it selects from is not a table or view.",
                ));
            };
            let mut map = Vec::with_capacity(select.items.len());
            for item in &select.items {
                let ordinal = match item {
                    ast::SelectItem::Expr {
                        expr:
                            ast::Expr {
                                kind: ast::ExprKind::Column(name),
                                ..
                            },
                        ..
                    } => below.column(&name.last().name),
                    _ => None,
                };
                let Some(ordinal) = ordinal.filter(|ordinal| !map.contains(ordinal)) else {
                    return Err(not_updatable(
                        "Views that have columns other than those of their table are not automatically updatable.",
                    ));
                };
                map.push(ordinal);
            }
            if map.len() != at.columns.len() {
                return Err(not_updatable("It does not fit its table any more."));
            }
            maps.push(map);
            views.push(at);
            self.tables_read.push(below.id);
            at = below;
        }
        if !matches!(at.kind, TableKind::Table) {
            return Err(not_updatable("It shows a system table."));
        }
        // From the outermost view's columns down to the table's.
        let shown: Vec<usize> = (0..view.columns.len())
            .map(|column| {
                maps.iter().fold(column, |column, map| {
                    map.get(column).copied().unwrap_or(usize::MAX)
                })
            })
            .collect();
        let mut named = (*at).clone();
        named.name.clone_from(&view.name);
        for (ordinal, column) in named.columns.iter_mut().enumerate() {
            let place = shown.iter().position(|known| *known == ordinal);
            column.name = match place.and_then(|place| view.columns.get(place)) {
                Some(column) => column.name.clone(),
                None => HIDDEN.to_owned(),
            };
        }
        let table = Arc::new(named);
        self.access.behind(&table, &views);
        Ok(Writable {
            table,
            base: at,
            shown: Some(shown),
            views,
        })
    }

    /// The scope of what is changed, whose table's columns have these ids.
    pub(super) fn writable_scope(
        &self,
        writable: &Writable,
        alias: Option<&Ident>,
        ids: &[ColumnId],
    ) -> Scope {
        let Some(shown) = &writable.shown else {
            return self.target_scope(&writable.table, alias, ids);
        };
        let columns = shown
            .iter()
            .filter_map(|ordinal| scope_column(&writable.table, *ordinal, ids))
            .collect();
        let mut scope = Scope::default();
        let name = alias.map_or(&writable.table.name, |alias| &alias.name);
        scope.add_relation(name, None, columns, Some(Arc::clone(&writable.table)));
        scope
    }

    /// The conditions of the views through which a table is changed, over its columns. What they
    /// read, their owners read.
    pub(super) fn view_conditions(
        &mut self,
        writable: &Writable,
        ids: &[ColumnId],
        span: Span,
    ) -> Result<Vec<Expr>> {
        let found = self.conditions_of_views(writable, ids, span)?;
        Ok(found.into_iter().flat_map(|(_, of)| of).collect())
    }

    /// What WITH CHECK OPTION asks of new rows, over the row.
    pub(super) fn view_checks(
        &mut self,
        writable: &Writable,
        span: Span,
    ) -> Result<Vec<(String, Expr)>> {
        let asked = |view: &Arc<Table>| view.view().and_then(|of| of.check_option);
        if !writable.views.iter().any(|view| asked(view).is_some()) {
            return Ok(Vec::new());
        }
        let ids: Vec<ColumnId> = (0..writable.base.columns.len())
            .map(|ordinal| ColumnId(ordinal as u32))
            .collect();
        let mut conditions = self.conditions_of_views(writable, &ids, span)?;
        let mut checks = Vec::new();
        let mut cascaded = false;
        // Outermost first: CASCADED asks for what all views below it show.
        for (at, view) in writable.views.iter().enumerate() {
            let option = asked(view);
            cascaded |= option == Some(CheckOption::Cascaded);
            if option.is_none() && !cascaded {
                continue;
            }
            for (_, of) in conditions.iter_mut().filter(|(place, _)| *place == at) {
                for condition in of.drain(..) {
                    if condition.has_subquery() {
                        return Err(unsupported(
                            "WITH CHECK OPTION on a condition with a subquery is",
                            span,
                        ));
                    }
                    checks.push((view.name.clone(), condition));
                }
            }
        }
        // What is wrong for the innermost view is told first.
        checks.reverse();
        Ok(checks)
    }

    /// The conditions of each view (by its place), over columns of the table with these ids. What
    /// they read, the views' owners read.
    fn conditions_of_views(
        &mut self,
        writable: &Writable,
        ids: &[ColumnId],
        span: Span,
    ) -> Result<Vec<(usize, Vec<Expr>)>> {
        let outer = std::mem::take(&mut self.access);
        let conditions = self.bind_conditions_of_views(writable, ids, span);
        let inner = std::mem::replace(&mut self.access, outer);
        if let Some(view) = writable.views.first() {
            self.access.within_view(view.id, inner);
        }
        conditions
    }

    fn bind_conditions_of_views(
        &mut self,
        writable: &Writable,
        ids: &[ColumnId],
        span: Span,
    ) -> Result<Vec<(usize, Vec<Expr>)>> {
        let mut conditions = Vec::new();
        // The columns of what each view selects from, innermost view last.
        let mut map: Vec<usize> = (0..writable.base.columns.len()).collect();
        let mut below = Arc::clone(&writable.base);
        for (at, view) in writable.views.iter().enumerate().rev() {
            let Some(of) = view.view() else { continue };
            let Some((select, source)) = simple_source(&of.query) else {
                continue;
            };
            if let Some(filter) = &select.filter {
                let columns = below
                    .columns
                    .iter()
                    .zip(&map)
                    .filter_map(|(column, ordinal)| {
                        let of = scope_column(&writable.base, *ordinal, ids)?;
                        Some(ScopeColumn {
                            name: column.name.clone(),
                            ..of
                        })
                    })
                    .collect();
                let mut scope = Scope::default();
                let alias = source.alias.as_ref().map(|alias| &alias.name.name);
                let schema = alias.is_none().then_some(below.schema.as_str());
                scope.add_relation(alias.unwrap_or(&below.name), schema, columns, None);
                let catalog = PathCatalog {
                    inner: self.catalog,
                    path: &of.search_path,
                };
                let mut binder = Binder::new(&catalog, self.options);
                binder.parameters.clear();
                binder.next_column = self.next_column;
                binder.relations = self.relations;
                binder.buffers = self.buffers;
                binder.next_shared = self.next_shared;
                binder.view_depth = self.view_depth + 1;
                binder.scopes.push(scope);
                let bound = binder.in_place(Place::Clause("WHERE"), |binder| {
                    binder.condition(filter, "WHERE")
                });
                self.next_column = binder.next_column;
                self.relations = binder.relations;
                self.buffers = binder.buffers;
                self.next_shared = binder.next_shared;
                let reads = std::mem::take(&mut binder.tables_read);
                let condition = bound.map_err(|error| {
                    Error::new(error.state(), error.message())
                        .detail(format!("In the query of view \"{}\".", view.name))
                        .at(span)
                })?;
                self.tables_read.extend(reads);
                conditions.push((at, super::from::conjuncts(condition)));
            }
            let mut own = Vec::with_capacity(view.columns.len());
            for item in &select.items {
                if let ast::SelectItem::Expr { expr, .. } = item
                    && let ast::ExprKind::Column(name) = &expr.kind
                    && let Some(place) = below.column(&name.last().name)
                    && let Some(ordinal) = map.get(place)
                {
                    own.push(*ordinal);
                }
            }
            map = own;
            below = Arc::clone(view);
        }
        Ok(conditions)
    }
}

fn scope_column(table: &Table, ordinal: usize, ids: &[ColumnId]) -> Option<ScopeColumn> {
    let column = table.columns.get(ordinal)?;
    Some(ScopeColumn {
        name: column.name.clone(),
        id: *ids.get(ordinal)?,
        data_type: column.data_type.of_values(),
        nullable: !column.not_null,
    })
}
