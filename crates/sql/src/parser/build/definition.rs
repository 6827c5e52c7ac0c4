//! CREATE TABLE and CREATE INDEX.

use super::{Builder, Node, broken, child, children, has, unsupported};
use crate::{
    ast::{
        ColumnConstraint, ColumnConstraintKind, ColumnDefinition, CreateIndex, CreateTable,
        IndexElement, TableBody, TableConstraint, TableConstraintKind,
    },
    error::Result,
    parser::grammar::Rule,
};

impl Builder {
    pub(super) fn create_table(&self, node: Node<'_>) -> Result<CreateTable> {
        let mut name = None;
        let mut if_not_exists = false;
        let mut names = Vec::new();
        let mut columns = Vec::new();
        let mut constraints = Vec::new();
        let mut query = None;
        let mut with_data = true;
        let mut method = None;
        for part in children(node) {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::table_persistence => {
                    if part.as_str().to_ascii_lowercase().contains("temp") {
                        return Err(unsupported("temporary tables are", span));
                    }
                    return Err(unsupported("UNLOGGED tables are", span));
                }
                Rule::if_not_exists => if_not_exists = true,
                Rule::qualified_name => name = Some(self.object_name(part)?),
                Rule::column_names => names = self.column_names(part)?,
                Rule::query => query = Some(self.query(part)?),
                Rule::with_no_data => with_data = !has(&part, Rule::no_word),
                Rule::table_option => {
                    let words = part.as_str().to_ascii_uppercase();
                    let word = words.split_whitespace().next().unwrap_or_default();
                    let feature = match word {
                        "PARTITION" => "partitioned tables (PARTITION BY) are",
                        "INHERITS" => "table inheritance (INHERITS) is",
                        "TABLESPACE" => "tablespaces are",
                        "USING" => {
                            method = Some(self.ident(child(part, "a method")?)?);
                            continue;
                        }
                        "ON" => "ON COMMIT is",
                        "WITHOUT" => continue,
                        _ => "storage parameters (WITH) are",
                    };
                    return Err(unsupported(feature, span));
                }
                Rule::table_element => {
                    let element = child(part, "a table element")?;
                    match element.as_rule() {
                        Rule::column_definition => columns.push(self.column_definition(element)?),
                        Rule::table_constraint => constraints.push(self.table_constraint(element)?),
                        _ => return Err(unsupported("LIKE in CREATE TABLE is", span)),
                    }
                }
                _ => {}
            }
        }
        Ok(CreateTable {
            name: name.ok_or_else(|| broken("CREATE TABLE's name"))?,
            if_not_exists,
            method,
            body: match query {
                Some(query) => TableBody::Query {
                    columns: names,
                    query: Box::new(query),
                    with_data,
                },
                None => TableBody::Definitions {
                    columns,
                    constraints,
                },
            },
        })
    }

    fn column_definition(&self, node: Node<'_>) -> Result<ColumnDefinition> {
        let span = self.span(&node);
        let mut name = None;
        let mut data_type = None;
        let mut constraints = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(part)?),
                Rule::type_name => data_type = Some(self.type_name(part)?),
                _ => constraints.extend(self.column_constraint(part)?),
            }
        }
        Ok(ColumnDefinition {
            name: name.ok_or_else(|| broken("a column's name"))?,
            data_type: data_type.ok_or_else(|| broken("a column's type"))?,
            constraints,
            span,
        })
    }

    fn column_constraint(&self, node: Node<'_>) -> Result<Option<ColumnConstraint>> {
        let span = self.span(&node);
        let mut name = None;
        let mut kind = None;
        for part in children(node) {
            let place = self.span(&part);
            match part.as_rule() {
                Rule::constraint_name => name = Some(self.ident(child(part, "a name")?)?),
                Rule::not_null => kind = Some(ColumnConstraintKind::NotNull),
                Rule::null_allowed => kind = Some(ColumnConstraintKind::Null),
                Rule::default_rule => {
                    let value = self.expression(child(part, "DEFAULT's value")?)?;
                    kind = Some(ColumnConstraintKind::Default(value));
                }
                Rule::primary_key => kind = Some(ColumnConstraintKind::PrimaryKey),
                Rule::unique => {
                    self.refuse_nulls_not_distinct(&part)?;
                    kind = Some(ColumnConstraintKind::Unique);
                }
                Rule::check => {
                    let condition = self.expression(child(part, "CHECK's condition")?)?;
                    kind = Some(ColumnConstraintKind::Check(condition));
                }
                Rule::references => {
                    return Err(unsupported("foreign keys (REFERENCES) are", place));
                }
                Rule::generated => return Err(unsupported("generated columns are", place)),
                Rule::collate_postfix => {
                    let collation = self.object_name(child(part, "a collation")?)?;
                    if !matches!(
                        collation.last().name.as_str(),
                        "C" | "POSIX" | "default" | "ucs_basic"
                    ) {
                        return Err(unsupported("collations other than \"C\" are", place));
                    }
                }
                Rule::constraint_attribute => self.constraint_attribute(&part)?,
                _ => {}
            }
        }
        Ok(kind.map(|kind| ColumnConstraint { name, kind, span }))
    }

    fn refuse_nulls_not_distinct(&self, node: &Node<'_>) -> Result<()> {
        for part in children(node.clone()) {
            if part.as_rule() == Rule::nulls_distinct && has(&part, Rule::negation) {
                return Err(unsupported("NULLS NOT DISTINCT is", self.span(&part)));
            }
        }
        Ok(())
    }

    fn constraint_attribute(&self, node: &Node<'_>) -> Result<()> {
        if has(node, Rule::deferrable) || has(node, Rule::deferred_word) {
            return Err(unsupported("deferrable constraints are", self.span(node)));
        }
        Ok(())
    }

    fn table_constraint(&self, node: Node<'_>) -> Result<TableConstraint> {
        let span = self.span(&node);
        let mut name = None;
        let mut kind = None;
        for part in children(node) {
            let place = self.span(&part);
            match part.as_rule() {
                Rule::constraint_name => name = Some(self.ident(child(part, "a name")?)?),
                Rule::key_constraint => {
                    let mut columns = None;
                    let mut primary = false;
                    for piece in children(part) {
                        let place = self.span(&piece);
                        match piece.as_rule() {
                            Rule::primary_key => primary = true,
                            Rule::unique => self.refuse_nulls_not_distinct(&piece)?,
                            _ if columns.is_some() => {
                                return Err(unsupported("INCLUDE columns are", place));
                            }
                            _ => columns = Some(self.column_names(piece)?),
                        }
                    }
                    let columns = columns.ok_or_else(|| broken("a key's columns"))?;
                    kind = Some(if primary {
                        TableConstraintKind::PrimaryKey(columns)
                    } else {
                        TableConstraintKind::Unique(columns)
                    });
                }
                Rule::check => {
                    let condition = self.expression(child(part, "CHECK's condition")?)?;
                    kind = Some(TableConstraintKind::Check(condition));
                }
                Rule::foreign_key => return Err(unsupported("foreign keys are", place)),
                Rule::exclude_constraint => {
                    return Err(unsupported("EXCLUDE constraints are", place));
                }
                Rule::constraint_attribute => self.constraint_attribute(&part)?,
                _ => {}
            }
        }
        Ok(TableConstraint {
            name,
            kind: kind.ok_or_else(|| broken("a constraint"))?,
            span,
        })
    }

    pub(super) fn create_index(&self, node: Node<'_>) -> Result<CreateIndex> {
        let mut index = CreateIndex {
            unique: false,
            if_not_exists: false,
            name: None,
            table: crate::ast::ObjectName {
                parts: Vec::new(),
                span: self.span(&node),
            },
            method: None,
            elements: Vec::new(),
        };
        for part in children(node) {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::unique_word => index.unique = true,
                Rule::if_not_exists => index.if_not_exists = true,
                Rule::index_name => index.name = Some(self.ident(child(part, "a name")?)?),
                Rule::qualified_name => index.table = self.object_name(part)?,
                Rule::index_method => index.method = Some(self.ident(child(part, "a method")?)?),
                Rule::index_element => {
                    let mut operator_class = None;
                    for piece in children(part.clone()) {
                        if piece.as_rule() == Rule::operator_class {
                            operator_class = Some(self.ident(child(piece, "a class")?)?);
                        }
                    }
                    index.elements.push(IndexElement {
                        order: self.order_item(part)?,
                        operator_class,
                    });
                }
                Rule::index_include => return Err(unsupported("INCLUDE columns are", span)),
                Rule::nulls_distinct if has(&part, Rule::negation) => {
                    return Err(unsupported("NULLS NOT DISTINCT is", span));
                }
                Rule::index_options => return Err(unsupported("index options are", span)),
                Rule::where_clause => {
                    return Err(unsupported("partial indexes (WHERE) are", span));
                }
                _ => {}
            }
        }
        Ok(index)
    }
}
