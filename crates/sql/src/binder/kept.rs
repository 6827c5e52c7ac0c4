//! What the SQL that a catalog keeps says about named types: defaults, generated columns, checks,
//! keys and conditions of indexes, partition keys, and the queries of views.

use std::sync::Arc;

use super::{BindOptions, bind, bind_expression, definition::view::PathCatalog, type_names::known};
use crate::{
    ast::{self, ExprKind, Ident, StatementKind, TypeName, TypeNameKind},
    bound::{self, BoundStatement, plan_walk::for_each_expr_deep},
    catalog::{
        CatalogReader, Column, ColumnNumber, Sequence, SequenceId, Table, TableId, TableKind, View,
        named_type::{Domain, NamedType, NamedTypeKind, TypeId},
    },
    error::Result,
    parser::{self, Scanner, Token},
    span::Span,
    types::{Array, CastContext, Conversion, DataType, EnumType, Value},
};

/// What `VALUE` stands for in the conditions of a domain: the only column of a table.
fn domain_table(domain: &Domain) -> Table {
    let mut table = Table::new(TableId(0), String::new(), String::new(), 0);
    table.columns.push(Column::new(
        ColumnNumber(1),
        "value".to_owned(),
        domain.base,
    ));
    table
}

/// The texts of expressions that a table keeps, each with the type that it is assigned to.
fn kept_texts(table: &mut Table) -> Vec<(&mut String, Option<DataType>)> {
    let mut texts: Vec<(&mut String, Option<DataType>)> = Vec::new();
    for column in &mut table.columns {
        let to = Some(column.data_type);
        texts.extend(column.default.as_mut().map(|(text, _)| (text, to)));
        texts.extend(column.generated.as_mut().map(|(text, _)| (text, to)));
    }
    texts.extend(table.checks.iter_mut().map(|of| (&mut of.text, None)));
    for index in &mut table.indexes {
        let expressions = index.expressions.iter_mut().map(|(text, _)| (text, None));
        texts.extend(expressions);
        texts.extend(index.predicate.as_mut().map(|(text, _)| (text, None)));
    }
    if let Some(partitioning) = &mut table.partitioning {
        let keys = partitioning.keys.iter_mut();
        texts.extend(keys.map(|(text, _)| (text, None)));
    }
    texts
}

/// The texts of expressions that a domain keeps, and whether each is its default.
fn domain_texts(domain: &mut Domain) -> Vec<(&mut String, bool)> {
    let checks = domain.checks.iter_mut().map(|(_, text)| (text, false));
    let default = domain.default.iter_mut().map(|text| (text, true));
    default.chain(checks).collect()
}

/// Whether an expression that is kept names a type.
pub(crate) fn mentions_type(text: &str, id: TypeId, types: &dyn CatalogReader) -> Result<bool> {
    let mut found = false;
    for_each_type(text, types, &mut |_, named| found |= named.id == id)?;
    Ok(found)
}

/// Writes another name for a type into what a table keeps; whether it was in it.
pub(crate) fn rename_in_table(
    table: &mut Table,
    id: TypeId,
    to: (&str, &str),
    types: &dyn CatalogReader,
) -> Result<bool> {
    let mut changed = false;
    for (text, _) in kept_texts(table) {
        changed |= rename_type(text, id, to, types)?;
    }
    Ok(changed)
}

/// … and into what a domain keeps, if the type is one.
pub(crate) fn rename_in_domain(
    named: &mut NamedType,
    id: TypeId,
    to: (&str, &str),
    types: &dyn CatalogReader,
) -> Result<bool> {
    let mut changed = false;
    if let NamedTypeKind::Domain(domain) = &mut named.kind {
        for (text, _) in domain_texts(domain) {
            changed |= rename_type(text, id, to, types)?;
        }
    }
    Ok(changed)
}

/// Writes another name for a type into an expression that is kept; whether it was in it.
fn rename_type(
    text: &mut String,
    id: TypeId,
    (schema, name): (&str, &str),
    types: &dyn CatalogReader,
) -> Result<bool> {
    let mut found = false;
    let tree = for_each_type(text, types, &mut |words, named| {
        if named.id != id {
            return;
        }
        found = true;
        let span = words.span;
        let ident = |name: &str| Ident {
            name: name.to_owned(),
            quoted: true,
            span,
        };
        words.parts = match schema {
            // Types that every database has are found first.
            "public" if known(name).is_none() => vec![ident(name)],
            schema => vec![ident(schema), ident(name)],
        };
    })?;
    if found {
        *text = tree.to_string();
    }
    Ok(found)
}

/// Calls `change` on every name of a named type in an expression; gives the expression after that.
fn for_each_type(
    text: &str,
    types: &dyn CatalogReader,
    change: &mut dyn FnMut(&mut ast::ObjectName, &Arc<NamedType>),
) -> Result<ast::Expr> {
    let mut tree = parser::parse_expression(text)?;
    let mut failed = None;
    let mut look = |name: &mut TypeName| -> Result<()> {
        let TypeNameKind::Named { name: words, .. } = &mut name.kind else {
            return Ok(());
        };
        let schema = words.qualifier().map(|schema| schema.name.clone());
        let last = words.last().name.clone();
        if schema.is_none() && known(&last).is_some() {
            return Ok(());
        }
        if let Some(named) = types.named_type(schema.as_deref(), &last)? {
            change(words, &named);
        }
        Ok(())
    };
    ast::walk_expr_mut(&mut tree, &mut |expr| {
        if let ExprKind::Cast { data_type, .. } | ExprKind::TypedString { data_type, .. } =
            &mut expr.kind
            && let Err(error) = look(data_type)
        {
            failed = Some(error);
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(tree),
    }
}

/// Another name for a label of an enumerated type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relabelling<'a> {
    /// The type as it was.
    pub(crate) of: EnumType,
    /// The label as it was.
    pub(crate) from: &'a str,
    /// … and as it is to be.
    pub(crate) to: &'a str,
}

impl Relabelling<'_> {
    /// Writes the new name into what a table or view keeps; whether the label was in it.
    pub(crate) fn in_table(&self, table: &mut Table, catalog: &dyn CatalogReader) -> Result<bool> {
        let whole = table.clone();
        let mut changed = false;
        for (text, to) in kept_texts(table) {
            changed |= self.in_expression(text, &whole, to, catalog)?;
        }
        if let TableKind::View(view) = &mut table.kind {
            changed |= self.in_view(view, catalog)?;
        }
        Ok(changed)
    }

    /// … and into what a domain keeps, if the type is one.
    pub(crate) fn in_domain(
        &self,
        named: &mut NamedType,
        types: &dyn CatalogReader,
    ) -> Result<bool> {
        let mut changed = false;
        if let NamedTypeKind::Domain(domain) = &mut named.kind {
            let whole = domain_table(domain);
            let base = domain.base;
            for (text, is_default) in domain_texts(domain) {
                let to = is_default.then_some(base);
                changed |= self.in_expression(text, &whole, to, types)?;
            }
        }
        Ok(changed)
    }

    /// Writes the new name into an expression over a table's columns; `to`: the type of what it is
    /// assigned to.
    fn in_expression(
        &self,
        text: &mut String,
        table: &Table,
        to: Option<DataType>,
        types: &dyn CatalogReader,
    ) -> Result<bool> {
        let mut bound = bind_expression(text, table, types)?;
        if let (bound::ExprKind::Literal(value @ Value::Text(_)), Some(to)) = (&bound.kind, to)
            && let Ok(value) = value.clone().cast(to, CastContext::Assignment)
        {
            // What the assignment makes of it is what it stands for.
            bound.kind = bound::ExprKind::Literal(value);
        }
        let mut spans = Vec::new();
        bound.visit(&mut |expr| {
            self.note(expr, &mut spans);
            true
        });
        self.rewrite(text, &spans)
    }

    /// Writes the new name into the query of a view.
    fn in_view(&self, view: &mut View, catalog: &dyn CatalogReader) -> Result<bool> {
        let statement = parser::parse_statement(&view.text)?;
        let opaque = OpaqueViews(catalog);
        let catalog = PathCatalog {
            inner: &opaque,
            path: &view.search_path,
        };
        // A view that does not fit its tables any more cannot be used, whatever it says.
        let Ok(bound) = bind(&statement, &catalog, &BindOptions::default()) else {
            return Ok(false);
        };
        let mut spans = Vec::new();
        if let BoundStatement::Query { mut plan, .. } = bound.statement {
            for_each_expr_deep(&mut plan, &mut |expr| {
                expr.visit(&mut |part| {
                    self.note(part, &mut spans);
                    true
                });
            });
        }
        let changed = self.rewrite(&mut view.text, &spans)?;
        if changed && let StatementKind::Query(query) = parser::parse_statement(&view.text)?.kind {
            view.query = Arc::from(query);
        }
        Ok(changed)
    }

    /// Takes note of where the label stands in a text.
    fn note(&self, expr: &bound::Expr, spans: &mut Vec<Span>) {
        let is_it = |value: &Value| match value {
            Value::Enum(value) => value.enum_type() == self.of && value.label() == self.from,
            _ => false,
        };
        if let bound::ExprKind::Literal(value) = &expr.kind {
            let found = match value {
                Value::Array(array) => array.values().iter().any(is_it),
                value => is_it(value),
            };
            if found {
                spans.push(expr.span);
            }
        }
    }

    /// Changes the strings within these spans that say the label, alone or in an array; whether
    /// there are any.
    fn rewrite(&self, text: &mut String, spans: &[Span]) -> Result<bool> {
        if spans.is_empty() {
            return Ok(false);
        }
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        let mut scanner = Scanner::new(text, 0);
        while let Some((token, span)) = scanner.next_token()? {
            let within = spans
                .iter()
                .any(|of| of.start <= span.start && span.end <= of.end);
            let (Some(written), true, Token::Quoted) =
                (text.get(span.start..span.end), within, token)
            else {
                continue;
            };
            if written.starts_with('"') {
                continue;
            }
            let ExprKind::String(said) = parser::parse_expression(written)?.kind else {
                continue;
            };
            if let Some(new) = self.relabelled(&said) {
                out.push_str(&text[copied..span.start]);
                out.push_str(&format!("'{}'", new.replace('\'', "''")));
                copied = span.end;
            }
        }
        out.push_str(&text[copied..]);
        *text = out;
        Ok(copied > 0)
    }

    /// The text of a value with the new name in the place of the old one.
    fn relabelled(&self, said: &str) -> Option<String> {
        if said == self.from {
            return Some(self.to.to_owned());
        }
        let array = DataType::Enum(self.of).array()?;
        let Value::Array(array) = Value::parse_in(said, array, &Conversion::UTC).ok()? else {
            return None;
        };
        let renamed: Array = array
            .map(|value| {
                Ok(match value {
                    Value::Enum(value) if value.label() == self.from => Value::Text(self.to.into()),
                    other => other,
                })
            })
            .ok()?;
        Some(Value::Array(Box::new(renamed)).to_string())
    }
}

/// A catalog whose views are as tables: what stands in them is not in the query that reads them.
struct OpaqueViews<'c>(&'c dyn CatalogReader);

fn opaque(table: Arc<Table>) -> Arc<Table> {
    match table.kind {
        TableKind::View(_) => Arc::new(Table {
            kind: TableKind::Table,
            ..Table::clone(&table)
        }),
        _ => table,
    }
}

impl CatalogReader for OpaqueViews<'_> {
    fn table(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        Ok(self.0.table(schema, name)?.map(opaque))
    }

    fn tables(&self) -> Result<Vec<Arc<Table>>> {
        self.0.tables()
    }

    fn table_of_index(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Table>>> {
        self.0.table_of_index(schema, name)
    }

    fn children(&self, id: TableId) -> Vec<Arc<Table>> {
        self.0.children(id)
    }

    fn table_by_id(&self, id: TableId) -> Option<Arc<Table>> {
        self.0.table_by_id(id).map(opaque)
    }

    fn sequence_by_id(&self, id: SequenceId) -> Option<Arc<Sequence>> {
        self.0.sequence_by_id(id)
    }

    fn sequence(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Sequence>>> {
        self.0.sequence(schema, name)
    }

    fn named_type(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<NamedType>>> {
        self.0.named_type(schema, name)
    }

    fn named_type_by_id(&self, id: TypeId) -> Option<Arc<NamedType>> {
        self.0.named_type_by_id(id)
    }

    fn has_schema(&self, name: &str) -> bool {
        self.0.has_schema(name)
    }
}
