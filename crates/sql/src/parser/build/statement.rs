//! Statements: dispatch, INSERT, UPDATE, DELETE.

use super::{Builder, Node, broken, child, children, has};
use crate::{
    ast::{
        Assignment, CreateTable, Delete, Expr, ExprKind, Ident, Insert, InsertSource, Merge,
        OnConflict, Overriding, Query, QueryBody, Select, Statement, StatementKind, TableBody,
        Update,
    },
    bound::OnCommit,
    error::Result,
    parser::{build::primary::Parenthesised, grammar::Rule},
};

impl Builder<'_> {
    /// A `statement`.
    pub(super) fn statement(&self, node: Node<'_>) -> Result<Statement> {
        let inner = child(node, "a statement")?;
        self.any_statement(inner)
    }

    /// Any kind of statement.
    pub(super) fn any_statement(&self, node: Node<'_>) -> Result<Statement> {
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::with_statement
            | Rule::plain_query
            | Rule::insert
            | Rule::update
            | Rule::delete
            | Rule::merge => self.data_statement(node)?,
            Rule::copy => StatementKind::Copy(Box::new(self.copy(node)?)),
            Rule::truncate => StatementKind::Truncate(self.truncate(node)?),
            Rule::create_table => StatementKind::CreateTable(Box::new(self.create_table(node)?)),
            Rule::create_index => StatementKind::CreateIndex(Box::new(self.create_index(node)?)),
            Rule::create_view => StatementKind::CreateView(Box::new(self.create_view(node)?)),
            Rule::create_sequence => {
                StatementKind::CreateSequence(Box::new(self.create_sequence(node)?))
            }
            Rule::comment_on => StatementKind::Comment(self.comment_on(node)?),
            Rule::create_schema => StatementKind::CreateSchema(self.create_schema(node)?),
            Rule::create_domain => StatementKind::CreateDomain(Box::new(self.create_domain(node)?)),
            Rule::create_type => StatementKind::CreateType(self.create_type(node)?),
            Rule::alter_type => StatementKind::AlterType(self.alter_type(node)?),
            Rule::drop_type => StatementKind::DropType(self.drop_type(node)?),
            Rule::alter_table => StatementKind::AlterTable(Box::new(self.alter_table(node)?)),
            Rule::alter_sequence => {
                StatementKind::AlterSequence(Box::new(self.alter_sequence(node)?))
            }
            Rule::drop_object => self.drop_object(node)?,
            Rule::prepare => StatementKind::Session(self.prepare(node)?),
            Rule::execute => StatementKind::Session(self.execute(node)?),
            Rule::deallocate => StatementKind::Session(self.deallocate(node)?),
            Rule::declare => StatementKind::Session(self.declare(node)?),
            Rule::open_cursor => StatementKind::Session(self.open_cursor(node)?),
            Rule::fetch_cursor => StatementKind::Session(self.fetch_cursor(node)?),
            Rule::close_cursor => StatementKind::Session(self.close_cursor(node)?),
            Rule::discard => StatementKind::Session(self.discard(node)),
            Rule::listen | Rule::unlisten | Rule::notify => {
                StatementKind::Session(self.notification(node)?)
            }
            Rule::vacuum => StatementKind::Session(self.vacuum(node)?),
            Rule::set_constraints => self.set_constraints(node)?,
            Rule::explain => StatementKind::Explain(Box::new(self.explain(node)?)),
            Rule::analyze => self.analyze(node)?,
            Rule::checkpoint => StatementKind::Checkpoint,
            Rule::lock_table => self.lock_table(node)?,
            Rule::create_role
            | Rule::alter_role
            | Rule::drop_role
            | Rule::grant
            | Rule::revoke
            | Rule::alter_owner
            | Rule::reassign_owned
            | Rule::drop_owned => StatementKind::Access(self.access_statement(node)?),
            Rule::set_role | Rule::set_authorization | Rule::reset_role => {
                StatementKind::Session(self.set_role(node)?)
            }
            _ => self.session_statement(node)?,
        };
        Ok(Statement { kind, span })
    }

    /// A query, or a statement that changes rows, with or without WITH.
    pub(super) fn data_statement(&self, node: Node<'_>) -> Result<StatementKind> {
        let span = self.span(&node);
        let mut with = None;
        let mut statement = node;
        if statement.as_rule() == Rule::with_statement {
            let mut parts = children(statement);
            let (Some(clause), Some(rest)) = (parts.next(), parts.next()) else {
                return Err(broken("what WITH is for"));
            };
            with = Some(self.with_clause(clause)?);
            statement = rest;
        }
        Ok(match statement.as_rule() {
            Rule::insert => {
                let insert = self.insert(statement)?;
                StatementKind::Insert(Box::new(Insert { with, ..insert }))
            }
            Rule::update => {
                let update = self.update(statement)?;
                StatementKind::Update(Box::new(Update { with, ..update }))
            }
            Rule::delete => {
                let delete = self.delete(statement)?;
                StatementKind::Delete(Box::new(Delete { with, ..delete }))
            }
            Rule::merge => {
                let merge = self.merge(statement)?;
                StatementKind::Merge(Box::new(Merge { with, ..merge }))
            }
            _ => {
                let into = select_into_of(&statement);
                let mut query = self.query(statement)?;
                query.span = span;
                if with.is_some() {
                    query.with = with;
                }
                match into {
                    Some(temporary) => select_into(query, temporary),
                    None => StatementKind::Query(Box::new(query)),
                }
            }
        })
    }

    fn insert(&self, node: Node<'_>) -> Result<Insert> {
        let mut table = None;
        let mut alias = None;
        let mut columns = None;
        let mut overriding = None;
        let mut source = None;
        let mut on_conflict = None;
        let mut returning = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => table = Some(self.object_name(part)?),
                Rule::insert_alias => alias = Some(self.ident(child(part, "an alias")?)?),
                Rule::column_names => columns = Some(self.column_names(part)?),
                Rule::overriding => overriding = Some(overriding_of(&part)),
                Rule::default_values => source = Some(InsertSource::Defaults),
                Rule::query => source = Some(InsertSource::Query(Box::new(self.query(part)?))),
                Rule::on_conflict => on_conflict = Some(self.on_conflict(part)?),
                Rule::returning => returning = Some(self.returning(part)?),
                _ => {}
            }
        }
        Ok(Insert {
            with: None,
            table: table.ok_or_else(|| broken("INSERT's table"))?,
            alias,
            columns,
            overriding,
            source: source.ok_or_else(|| broken("INSERT's rows"))?,
            on_conflict,
            returning,
        })
    }

    fn on_conflict(&self, node: Node<'_>) -> Result<OnConflict> {
        let mut conflict = OnConflict {
            columns: Vec::new(),
            constraint: None,
            target_filter: None,
            update: None,
            span: self.span(&node),
        };
        for part in children(node) {
            if part.as_rule() == Rule::conflict_target {
                for piece in children(part) {
                    match piece.as_rule() {
                        Rule::column_names => conflict.columns = self.column_names(piece)?,
                        Rule::where_clause => {
                            conflict.target_filter =
                                Some(self.expression(child(piece, "a condition")?)?);
                        }
                        _ => conflict.constraint = Some(self.ident(piece)?),
                    }
                }
            } else {
                let mut assignments = Vec::new();
                let mut filter = None;
                for piece in children(part) {
                    match piece.as_rule() {
                        Rule::assignment => assignments.push(self.assignment(piece)?),
                        _ => filter = Some(self.expression(child(piece, "a condition")?)?),
                    }
                }
                conflict.update = Some((assignments, filter));
            }
        }
        Ok(conflict)
    }

    /// RETURNING: a SELECT of its items.
    fn returning(&self, node: Node<'_>) -> Result<Box<Select>> {
        let span = self.span(&node);
        let items = self.select_list(child(node, "RETURNING's list")?)?;
        Ok(Box::new(Select::of_items(items, span)))
    }

    pub(super) fn assignment(&self, node: Node<'_>) -> Result<Assignment> {
        let mut column: Option<Ident> = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::name => column = Some(self.ident(part)?),
                Rule::row_assignment => {
                    let mut columns = Vec::new();
                    for piece in children(part) {
                        let span = self.span(&piece);
                        match piece.as_rule() {
                            Rule::column_names => columns = self.column_names(piece)?,
                            _ => {
                                let kind = match self.parenthesised(piece)? {
                                    Parenthesised::Query(query, depth) => {
                                        self.note(depth, span)?;
                                        ExprKind::Subquery(query)
                                    }
                                    Parenthesised::List(list) => {
                                        let mut row = Vec::with_capacity(list.len());
                                        for built in list {
                                            self.note(built.depth.saturating_add(1), span)?;
                                            row.push(built.expr);
                                        }
                                        ExprKind::Row(row)
                                    }
                                };
                                return Ok(Assignment {
                                    columns,
                                    row: true,
                                    value: Expr { kind, span },
                                });
                            }
                        }
                    }
                }
                _ => {
                    return Ok(Assignment {
                        columns: column.into_iter().collect(),
                        row: false,
                        value: self.expression(part)?,
                    });
                }
            }
        }
        Err(broken("an assignment"))
    }

    fn update(&self, node: Node<'_>) -> Result<Update> {
        let mut table = None;
        let mut only = false;
        let mut alias = None;
        let mut assignments = Vec::new();
        let mut from = Vec::new();
        let mut filter = None;
        let mut returning = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => table = Some(self.object_name(part)?),
                Rule::only_word => only = true,
                Rule::target_alias => alias = Some(self.ident(child(part, "an alias")?)?),
                Rule::assignment => assignments.push(self.assignment(part)?),
                Rule::from_clause => from = self.table_refs(part)?,
                Rule::where_clause => {
                    filter = Some(self.expression(child(part, "a condition")?)?);
                }
                Rule::where_current => filter = Some(self.current_of(part)?),
                Rule::returning => returning = Some(self.returning(part)?),
                _ => {}
            }
        }
        Ok(Update {
            with: None,
            table: table.ok_or_else(|| broken("UPDATE's table"))?,
            only,
            alias,
            assignments,
            from,
            filter,
            returning,
        })
    }

    /// WHERE CURRENT OF.
    fn current_of(&self, node: Node<'_>) -> Result<Expr> {
        let span = self.span(&node);
        let name = self.ident(child(node, "a cursor")?)?;
        Ok(Expr {
            kind: ExprKind::CurrentOf(name),
            span,
        })
    }

    fn delete(&self, node: Node<'_>) -> Result<Delete> {
        let mut table = None;
        let mut only = false;
        let mut alias = None;
        let mut using = Vec::new();
        let mut filter = None;
        let mut returning = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => table = Some(self.object_name(part)?),
                Rule::only_word => only = true,
                Rule::target_alias => alias = Some(self.ident(child(part, "an alias")?)?),
                Rule::using_clause => using = self.table_refs(part)?,
                Rule::where_clause => {
                    filter = Some(self.expression(child(part, "a condition")?)?);
                }
                Rule::where_current => filter = Some(self.current_of(part)?),
                Rule::returning => returning = Some(self.returning(part)?),
                _ => {}
            }
        }
        Ok(Delete {
            with: None,
            table: table.ok_or_else(|| broken("DELETE's table"))?,
            only,
            alias,
            using,
            filter,
            returning,
        })
    }
}

/// An `overriding`.
pub(super) fn overriding_of(node: &Node<'_>) -> Overriding {
    if has(node, Rule::kw_system) {
        Overriding::System
    } else {
        Overriding::User
    }
}

/// Whether a query's first SELECT has INTO, and then whether the table is a temporary one.
fn select_into_of(query: &Node<'_>) -> Option<bool> {
    let select = children(query.clone()).find(|part| part.as_rule() == Rule::select)?;
    let into = children(select).find(|part| part.as_rule() == Rule::into_clause)?;
    Some(has(&into, Rule::kw_temp) || has(&into, Rule::kw_temporary))
}

/// `SELECT … INTO table` is another spelling of CREATE TABLE … AS.
fn select_into(mut query: Query, temporary: bool) -> StatementKind {
    if let QueryBody::Select(select) = &mut query.body
        && let Some(name) = select.into.take()
    {
        return StatementKind::CreateTable(Box::new(CreateTable {
            temporary: temporary.then(OnCommit::default),
            name,
            if_not_exists: false,
            method: None,
            parameters: Vec::new(),
            inherits: Vec::new(),
            partition_of: None,
            partition_by: None,
            body: TableBody::Query {
                columns: Vec::new(),
                query: Box::new(query),
                with_data: true,
            },
        }));
    }
    StatementKind::Query(Box::new(query))
}
