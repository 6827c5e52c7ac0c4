//! CREATE TABLE and CREATE INDEX.

use super::{Builder, Node, broken, child, children, has, unsupported};
use crate::{
    ast::{
        ColumnConstraint, ColumnConstraintKind, ColumnDefinition, CreateIndex, CreateTable, Expr,
        IndexElement, PartitionBound, PartitionBoundKind, PartitionBy, PartitionOf, References,
        StorageParameter, TableBody, TableConstraint, TableConstraintKind, TableElement,
    },
    bound::OnCommit,
    catalog::{Deferral, ReferentialAction},
    error::{Error, Result, SqlState},
    parser::grammar::Rule,
    span::Span,
};

/// When a constraint is checked, as its attributes say.
#[derive(Default)]
struct Timing {
    deferrable: Option<bool>,
    deferred: Option<bool>,
    not_valid: bool,
}

impl Timing {
    /// Takes note of a `constraint_attribute`.
    fn note(&mut self, node: &Node<'_>) {
        if has(node, Rule::deferrable) {
            self.deferrable = Some(true);
        } else if has(node, Rule::not_deferrable) {
            self.deferrable = Some(false);
        } else if has(node, Rule::deferred_word) {
            self.deferred = Some(true);
        } else if has(node, Rule::immediate_word) {
            self.deferred = Some(false);
        } else {
            self.not_valid = true;
        }
    }

    fn deferral(&self, span: Span) -> Result<Deferral> {
        match (self.deferrable, self.deferred) {
            (Some(false), Some(true)) => Err(super::syntax_error(
                "constraint declared INITIALLY DEFERRED must be DEFERRABLE",
                span,
            )),
            (_, Some(true)) => Ok(Deferral::Deferred),
            (Some(true), _) => Ok(Deferral::Immediate),
            _ => Ok(Deferral::Never),
        }
    }
}

/// Whether a `table_persistence` says TEMPORARY.
pub(super) fn is_temporary(node: &Node<'_>) -> bool {
    has(node, Rule::kw_temporary) || has(node, Rule::kw_temp)
}

impl Builder<'_> {
    pub(super) fn create_table(&self, node: Node<'_>) -> Result<CreateTable> {
        let mut name = None;
        let mut temporary = None;
        let mut on_commit = None;
        let mut if_not_exists = false;
        let mut names = Vec::new();
        let mut elements = Vec::new();
        let mut constraints = Vec::new();
        let mut query = None;
        let mut with_data = true;
        let mut method = None;
        let mut parameters = Vec::new();
        let mut inherits = Vec::new();
        let mut parent = None;
        let mut bound = None;
        let mut partition_by = None;
        for part in children(node) {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::table_persistence => {
                    temporary = is_temporary(&part).then(OnCommit::default);
                }
                Rule::if_not_exists => if_not_exists = true,
                Rule::qualified_name => name = Some(self.object_name(part)?),
                Rule::column_names => names = self.column_names(part)?,
                Rule::query => query = Some(self.query(part)?),
                Rule::with_no_data => with_data = !has(&part, Rule::no_word),
                Rule::table_option => {
                    if has(&part, Rule::kw_commit) {
                        let action = if has(&part, Rule::on_delete) {
                            OnCommit::DeleteRows
                        } else if has(&part, Rule::on_commit_drop) {
                            OnCommit::Drop
                        } else {
                            OnCommit::PreserveRows
                        };
                        on_commit = Some((action, span));
                        continue;
                    }
                    if let Some(option) = children(part.clone()).next() {
                        match option.as_rule() {
                            Rule::inherits => {
                                inherits = children(option)
                                    .map(|name| self.object_name(name))
                                    .collect::<Result<_>>()?;
                                continue;
                            }
                            Rule::partition_by_key => {
                                partition_by = Some(self.partition_by(option)?);
                                continue;
                            }
                            _ => {}
                        }
                    }
                    let words = self.text(&part).to_ascii_uppercase();
                    let word = words.split_whitespace().next().unwrap_or_default();
                    let feature = match word {
                        "TABLESPACE" => "tablespaces are",
                        "USING" => {
                            method = Some(self.ident(child(part, "a method")?)?);
                            continue;
                        }
                        "WITHOUT" => continue,
                        _ => {
                            let list = child(part, "storage parameters")?;
                            parameters.extend(self.storage_parameters(list)?);
                            continue;
                        }
                    };
                    return Err(unsupported(feature, span));
                }
                Rule::partition_parent => {
                    parent = Some(self.object_name(child(part, "a partition's parent")?)?);
                }
                Rule::partition_bound => bound = Some(self.partition_bound(part)?),
                Rule::table_element | Rule::partition_element => {
                    let element = child(part, "a table element")?;
                    match element.as_rule() {
                        Rule::column_options => elements.push(self.column_options(element)?),
                        Rule::column_definition => {
                            let column = self.column_definition(element)?;
                            elements.push(TableElement::Column(column));
                        }
                        Rule::table_constraint => constraints.push(self.table_constraint(element)?),
                        _ => elements.push(self.table_like(element)?),
                    }
                }
                _ => {}
            }
        }
        if let Some((action, span)) = on_commit {
            if temporary.is_none() {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "ON COMMIT can only be used on temporary tables",
                )
                .at(span));
            }
            temporary = Some(action);
        }
        Ok(CreateTable {
            temporary,
            name: name.ok_or_else(|| broken("CREATE TABLE's name"))?,
            if_not_exists,
            method,
            parameters,
            inherits,
            partition_of: match (parent, bound) {
                (Some(parent), Some(bound)) => Some(PartitionOf { parent, bound }),
                _ => None,
            },
            partition_by,
            body: match query {
                Some(query) => TableBody::Query {
                    columns: names,
                    query: Box::new(query),
                    with_data,
                },
                None => TableBody::Definitions {
                    elements,
                    constraints,
                },
            },
        })
    }

    fn column_options(&self, node: Node<'_>) -> Result<TableElement> {
        let span = self.span(&node);
        let mut name = None;
        let mut constraints = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::name => name = Some(self.ident(part)?),
                _ => constraints.extend(self.column_constraint(part)?),
            }
        }
        Ok(TableElement::Options {
            name: name.ok_or_else(|| broken("a column's name"))?,
            constraints,
            span,
        })
    }

    fn partition_by(&self, node: Node<'_>) -> Result<PartitionBy> {
        let span = self.span(&node);
        let mut strategy = None;
        let mut keys = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::name => strategy = Some(self.ident(part)?),
                _ => {
                    for piece in children(part) {
                        if piece.as_rule() == Rule::operator_class {
                            return Err(unsupported(
                                "operator classes of partition keys are",
                                self.span(&piece),
                            ));
                        }
                        keys.push(self.expression(piece)?);
                    }
                }
            }
        }
        Ok(PartitionBy {
            strategy: strategy.ok_or_else(|| broken("a partitioning strategy"))?,
            keys,
            span,
        })
    }

    pub(super) fn partition_bound(&self, node: Node<'_>) -> Result<PartitionBound> {
        let span = self.span(&node);
        let form = child(node, "a partition's bound")?;
        let values = |node: Node<'_>| -> Result<Vec<Expr>> {
            children(node).map(|value| self.expression(value)).collect()
        };
        let kind = match form.as_rule() {
            Rule::bound_default => PartitionBoundKind::Default,
            Rule::bound_list => PartitionBoundKind::In(values(form)?),
            Rule::bound_range => {
                let mut ends = children(form);
                let (Some(from), Some(to)) = (ends.next(), ends.next()) else {
                    return Err(broken("the ends of a range"));
                };
                PartitionBoundKind::Range {
                    from: values(from)?,
                    to: values(to)?,
                }
            }
            _ => {
                let (mut modulus, mut remainder) = (None, None);
                for part in children(form) {
                    let place = self.span(&part);
                    let mut pieces = children(part);
                    let (Some(word), Some(number)) = (pieces.next(), pieces.next()) else {
                        return Err(broken("a hash bound"));
                    };
                    let number = self
                        .text(&number)
                        .parse()
                        .map_err(|_| super::syntax_error("the number is out of range", place))?;
                    let slot = match self.text(&word).to_ascii_lowercase().as_str() {
                        "modulus" => &mut modulus,
                        "remainder" => &mut remainder,
                        other => {
                            return Err(super::syntax_error(
                                format!(
                                    "unrecognized hash partition bound specification \"{other}\""
                                ),
                                place,
                            ));
                        }
                    };
                    if slot.replace(number).is_some() {
                        return Err(super::syntax_error(
                            "modulus or remainder for hash partition provided more than once",
                            place,
                        ));
                    }
                }
                let (Some(modulus), Some(remainder)) = (modulus, remainder) else {
                    return Err(super::syntax_error(
                        "modulus and remainder for hash partition must be specified",
                        span,
                    ));
                };
                PartitionBoundKind::Hash { modulus, remainder }
            }
        };
        Ok(PartitionBound { kind, span })
    }

    fn table_like(&self, node: Node<'_>) -> Result<TableElement> {
        let mut table = None;
        let mut options = Vec::new();
        for part in children(node) {
            if part.as_rule() == Rule::qualified_name {
                table = Some(self.object_name(part)?);
                continue;
            }
            let including = has(&part, Rule::including_word);
            let label = children(part)
                .find(|piece| piece.as_rule() == Rule::label)
                .ok_or_else(|| broken("LIKE's option"))?;
            options.push((including, self.ident(label)?));
        }
        Ok(TableElement::Like {
            table: table.ok_or_else(|| broken("LIKE's table"))?,
            options,
        })
    }

    pub(super) fn column_definition(&self, node: Node<'_>) -> Result<ColumnDefinition> {
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

    pub(super) fn column_constraint(&self, node: Node<'_>) -> Result<Option<ColumnConstraint>> {
        let span = self.span(&node);
        let mut name = None;
        let mut kind = None;
        let mut timing = Timing::default();
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
                    kind = Some(ColumnConstraintKind::References(self.references(part)?));
                }
                Rule::generated => kind = Some(self.generated(part)?),
                Rule::collate_postfix => {
                    let collation = self.object_name(child(part, "a collation")?)?;
                    if !matches!(
                        collation.last().name.as_str(),
                        "C" | "POSIX" | "default" | "ucs_basic"
                    ) {
                        return Err(unsupported("collations other than \"C\" are", place));
                    }
                }
                Rule::constraint_attribute => timing.note(&part),
                _ => {}
            }
        }
        let deferral = timing.deferral(span)?;
        Ok(kind.map(|kind| ColumnConstraint {
            name,
            kind,
            deferral,
            span,
        }))
    }

    fn refuse_nulls_not_distinct(&self, node: &Node<'_>) -> Result<()> {
        for part in children(node.clone()) {
            if part.as_rule() == Rule::nulls_distinct && has(&part, Rule::negation) {
                return Err(unsupported("NULLS NOT DISTINCT is", self.span(&part)));
            }
        }
        Ok(())
    }

    /// A `references`.
    fn references(&self, node: Node<'_>) -> Result<References> {
        let mut references = References {
            table: crate::ast::ObjectName {
                parts: Vec::new(),
                span: self.span(&node),
            },
            columns: Vec::new(),
            match_full: false,
            on_delete: ReferentialAction::NoAction,
            set_columns: Vec::new(),
            on_update: ReferentialAction::NoAction,
            span: self.span(&node),
        };
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => references.table = self.object_name(part)?,
                Rule::column_names => references.columns = self.column_names(part)?,
                _ => self.reference_option(part, &mut references)?,
            }
        }
        Ok(references)
    }

    fn reference_option(&self, node: Node<'_>, references: &mut References) -> Result<()> {
        let span = self.span(&node);
        if has(&node, Rule::kw_match) {
            if has(&node, Rule::kw_partial) {
                return Err(unsupported("MATCH PARTIAL is", span));
            }
            references.match_full = has(&node, Rule::match_full);
            return Ok(());
        }
        let delete = has(&node, Rule::on_delete);
        let mut action = ReferentialAction::NoAction;
        let mut columns = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::restrict => action = ReferentialAction::Restrict,
                Rule::cascade_word => action = ReferentialAction::Cascade,
                Rule::set_null => action = ReferentialAction::SetNull,
                Rule::set_default => action = ReferentialAction::SetDefault,
                Rule::column_names => columns = self.column_names(part)?,
                _ => {}
            }
        }
        let sets = matches!(
            action,
            ReferentialAction::SetNull | ReferentialAction::SetDefault
        );
        let takes_columns = sets && delete;
        if !columns.is_empty() && !takes_columns {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "a column list is only possible for ON DELETE SET NULL and SET DEFAULT",
            )
            .at(span));
        }
        if delete {
            references.on_delete = action;
            references.set_columns = columns;
        } else {
            references.on_update = action;
        }
        Ok(())
    }

    /// A `generated`: an identity or a computed column.
    fn generated(&self, node: Node<'_>) -> Result<ColumnConstraintKind> {
        let span = self.span(&node);
        let mut always = true;
        for part in children(node) {
            match part.as_rule() {
                Rule::generated_when => always = has(&part, Rule::kw_always),
                Rule::identity => {
                    return Ok(ColumnConstraintKind::Identity {
                        always,
                        options: self.sequence_options(part)?,
                    });
                }
                _ if always => return Ok(ColumnConstraintKind::Generated(self.expression(part)?)),
                _ => {
                    return Err(super::syntax_error(
                        "for a generated column, GENERATED ALWAYS must be specified",
                        span,
                    ));
                }
            }
        }
        Err(broken("what is generated"))
    }

    pub(super) fn table_constraint(&self, node: Node<'_>) -> Result<TableConstraint> {
        let span = self.span(&node);
        let mut name = None;
        let mut kind = None;
        let mut timing = Timing::default();
        for part in children(node) {
            let place = self.span(&part);
            match part.as_rule() {
                Rule::constraint_name => name = Some(self.ident(child(part, "a name")?)?),
                Rule::key_constraint => kind = Some(self.key_constraint(part)?),
                Rule::check => {
                    let condition = self.expression(child(part, "CHECK's condition")?)?;
                    kind = Some(TableConstraintKind::Check(condition));
                }
                Rule::foreign_key => {
                    let mut columns = Vec::new();
                    let mut references = None;
                    for piece in children(part) {
                        if piece.as_rule() == Rule::column_names {
                            columns = self.column_names(piece)?;
                        } else {
                            references = Some(self.references(piece)?);
                        }
                    }
                    let references = references.ok_or_else(|| broken("REFERENCES"))?;
                    kind = Some(TableConstraintKind::ForeignKey(columns, references));
                }
                Rule::exclude_constraint => {
                    return Err(unsupported("EXCLUDE constraints are", place));
                }
                Rule::constraint_attribute => timing.note(&part),
                _ => {}
            }
        }
        Ok(TableConstraint {
            name,
            kind: kind.ok_or_else(|| broken("a constraint"))?,
            deferral: timing.deferral(span)?,
            not_valid: timing.not_valid,
            span,
        })
    }

    fn key_constraint(&self, node: Node<'_>) -> Result<TableConstraintKind> {
        let span = self.span(&node);
        let mut lists = Vec::new();
        let mut primary = false;
        for piece in children(node) {
            match piece.as_rule() {
                Rule::primary_key => primary = true,
                Rule::unique => self.refuse_nulls_not_distinct(&piece)?,
                _ => lists.push(self.column_names(piece)?),
            }
        }
        let mut lists = lists.into_iter();
        let columns = lists.next().ok_or_else(|| broken("a key's columns"))?;
        let included = lists.next();
        if !primary {
            return Ok(TableConstraintKind::Unique(
                columns,
                included.unwrap_or_default(),
            ));
        }
        if included.is_some() {
            // The primary key holds the whole row: there is nothing to include.
            return Err(unsupported("INCLUDE in a primary key is", span)
                .hint("The primary key holds all columns of the row: leave INCLUDE out."));
        }
        Ok(TableConstraintKind::PrimaryKey(columns))
    }

    /// `(fillfactor = 90, autovacuum_enabled)`
    pub(super) fn storage_parameters(&self, node: Node<'_>) -> Result<Vec<StorageParameter>> {
        let mut parameters = Vec::new();
        for parameter in children(node) {
            let mut name = None;
            let mut value = None;
            for part in children(parameter) {
                if part.as_rule() == Rule::storage_name {
                    name = Some(self.object_name(part)?);
                    continue;
                }
                let inner = child(part, "a parameter's value")?;
                value = Some(match inner.as_rule() {
                    Rule::string => self.string(inner)?,
                    Rule::label => self.ident(inner)?.name,
                    _ => self.signed_number(&inner),
                });
            }
            parameters.push(StorageParameter {
                name: name.ok_or_else(|| broken("a storage parameter's name"))?,
                value,
            });
        }
        Ok(parameters)
    }

    pub(super) fn create_index(&self, node: Node<'_>) -> Result<CreateIndex> {
        let mut index = CreateIndex {
            unique: false,
            concurrently: false,
            if_not_exists: false,
            name: None,
            table: crate::ast::ObjectName {
                parts: Vec::new(),
                span: self.span(&node),
            },
            method: None,
            elements: Vec::new(),
            included: Vec::new(),
            parameters: Vec::new(),
            predicate: None,
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
                Rule::concurrently_word => index.concurrently = true,
                Rule::index_include => {
                    index.included = self.column_names(child(part, "INCLUDE's columns")?)?;
                }
                Rule::nulls_distinct if has(&part, Rule::negation) => {
                    return Err(unsupported("NULLS NOT DISTINCT is", span));
                }
                Rule::storage_parameters => index.parameters = self.storage_parameters(part)?,
                Rule::index_tablespace => return Err(unsupported("tablespaces are", span)),
                Rule::where_clause => {
                    index.predicate = Some(self.expression(child(part, "a condition")?)?);
                }
                _ => {}
            }
        }
        Ok(index)
    }
}
