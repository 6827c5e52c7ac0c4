//! ALTER, DROP, views, sequences, schemas, SET CONSTRAINTS.

use super::{Builder, Node, broken, child, children, definition::is_temporary, has, syntax_error};
use crate::{
    ast::{
        AlterAction, AlterSequence, AlterTable, ColumnAction, Comment, CommentTarget, CommonTable,
        CreateSchema, CreateSequence, CreateView, Drop, Ident, ObjectKind, ObjectName, Query,
        QueryBody, SequenceOptions, Statement, StatementKind, With,
    },
    catalog::CheckOption,
    error::Result,
    parser::grammar::Rule,
};

pub(super) fn object_kind(node: &Node<'_>) -> ObjectKind {
    let kinds = [
        (Rule::view_object, ObjectKind::View),
        (Rule::index_object, ObjectKind::Index),
        (Rule::sequence_object, ObjectKind::Sequence),
        (Rule::schema_object, ObjectKind::Schema),
    ];
    kinds
        .into_iter()
        .find(|(rule, _)| has(node, *rule))
        .map_or(ObjectKind::Table, |(_, kind)| kind)
}

/// CREATE RECURSIVE VIEW name (columns) AS query: a view of a recursive WITH query of that name.
fn recursive_view(name: &ObjectName, columns: &[Ident], query: Query) -> Result<Query> {
    let span = query.span;
    if columns.is_empty() {
        return Err(syntax_error(
            "a recursive view needs the names of its columns",
            name.span,
        ));
    }
    let own = name.last().clone();
    let table = CommonTable {
        name: own.clone(),
        columns: columns.to_vec(),
        materialized: None,
        statement: Box::new(Statement {
            kind: StatementKind::Query(Box::new(query)),
            span,
        }),
    };
    Ok(Query {
        with: Some(With {
            recursive: true,
            tables: vec![table],
            span,
        }),
        body: QueryBody::Table(ObjectName {
            span: own.span,
            parts: vec![own],
        }),
        order_by: Vec::new(),
        limit: None,
        with_ties: false,
        offset: None,
        locking: Vec::new(),
        span,
    })
}

impl Builder<'_> {
    pub(super) fn create_view(&self, node: Node<'_>) -> Result<CreateView> {
        let mut view = None;
        let mut name = None;
        let mut replace = false;
        let mut temporary = false;
        let mut columns = Vec::new();
        let mut parameters = Vec::new();
        let mut recursive = false;
        let mut check_option = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::or_replace => replace = true,
                Rule::recursive_word => recursive = true,
                Rule::view_options => {
                    parameters = self.storage_parameters(child(part, "a view's options")?)?;
                }
                Rule::table_persistence => temporary = is_temporary(&part),
                Rule::qualified_name => name = Some(self.object_name(part)?),
                Rule::column_names => columns = self.column_names(part)?,
                Rule::query => view = Some(Box::new(self.query(part)?)),
                _ => {
                    check_option = Some(if has(&part, Rule::local_option) {
                        CheckOption::Local
                    } else {
                        CheckOption::Cascaded
                    });
                }
            }
        }
        let name: ObjectName = name.ok_or_else(|| broken("a view's name"))?;
        let mut query = view.ok_or_else(|| broken("a view's query"))?;
        if recursive {
            query = Box::new(recursive_view(&name, &columns, *query)?);
        }
        Ok(CreateView {
            replace,
            temporary,
            name,
            columns,
            parameters,
            query,
            check_option,
        })
    }

    pub(super) fn create_sequence(&self, node: Node<'_>) -> Result<CreateSequence> {
        let mut temporary = false;
        let mut if_not_exists = false;
        let mut name = None;
        for part in children(node.clone()) {
            match part.as_rule() {
                Rule::table_persistence => temporary = is_temporary(&part),
                Rule::if_not_exists => if_not_exists = true,
                Rule::qualified_name => name = Some(self.object_name(part)?),
                _ => {}
            }
        }
        Ok(CreateSequence {
            temporary,
            if_not_exists,
            name: name.ok_or_else(|| broken("a sequence's name"))?,
            options: self.sequence_options(node)?,
        })
    }

    pub(super) fn alter_sequence(&self, node: Node<'_>) -> Result<AlterSequence> {
        let mut if_exists = false;
        let mut name = None;
        for part in children(node.clone()) {
            match part.as_rule() {
                Rule::if_exists => if_exists = true,
                Rule::qualified_name => name = Some(self.object_name(part)?),
                _ => {}
            }
        }
        Ok(AlterSequence {
            if_exists,
            name: name.ok_or_else(|| broken("a sequence's name"))?,
            options: self.sequence_options(node)?,
        })
    }

    /// The `sequence_option`s among a node's children.
    pub(super) fn sequence_options(&self, node: Node<'_>) -> Result<SequenceOptions> {
        let mut options = SequenceOptions::default();
        for part in children(node) {
            if part.as_rule() != Rule::sequence_option {
                continue;
            }
            let span = self.span(&part);
            let option = child(part, "a sequence's option")?;
            let rule = option.as_rule();
            let twice = match rule {
                Rule::sequence_type => options.data_type.is_some(),
                Rule::sequence_start => options.start.is_some(),
                Rule::sequence_increment => options.increment.is_some(),
                Rule::sequence_min | Rule::sequence_no_min => options.min.is_some(),
                Rule::sequence_max | Rule::sequence_no_max => options.max.is_some(),
                Rule::sequence_cycle | Rule::sequence_no_cycle => options.cycle.is_some(),
                Rule::sequence_cache => options.cache.is_some(),
                Rule::sequence_restart => options.restart.is_some(),
                _ => options.owned_by.is_some(),
            };
            if twice {
                return Err(syntax_error("conflicting or redundant options", span));
            }
            let number = |node: &Node<'_>| -> Result<Option<i64>> {
                match children(node.clone()).next() {
                    None => Ok(None),
                    Some(digits) => self
                        .signed_number(&digits)
                        .parse()
                        .map(Some)
                        .map_err(|_| syntax_error("the number is out of range", span)),
                }
            };
            match rule {
                Rule::sequence_type => {
                    options.data_type = Some(self.type_name(child(option, "a type")?)?);
                }
                Rule::sequence_start => options.start = number(&option)?,
                Rule::sequence_increment => options.increment = number(&option)?,
                Rule::sequence_min => options.min = Some(number(&option)?),
                Rule::sequence_max => options.max = Some(number(&option)?),
                Rule::sequence_no_min => options.min = Some(None),
                Rule::sequence_no_max => options.max = Some(None),
                Rule::sequence_cycle => options.cycle = Some(true),
                Rule::sequence_no_cycle => options.cycle = Some(false),
                Rule::sequence_cache => options.cache = number(&option)?,
                Rule::sequence_restart => options.restart = Some(number(&option)?),
                _ => {
                    options.owned_by = Some(match children(option).next() {
                        None => None,
                        Some(name) => Some(self.object_name(name)?),
                    });
                }
            }
        }
        Ok(options)
    }

    pub(super) fn comment_on(&self, node: Node<'_>) -> Result<Comment> {
        let mut target = None;
        let mut text = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::comment_target => target = Some(self.comment_target(part)?),
                Rule::string => text = Some(self.string(part)?),
                _ => {}
            }
        }
        Ok(Comment {
            target: target.ok_or_else(|| broken("COMMENT's object"))?,
            text,
        })
    }

    fn comment_target(&self, node: Node<'_>) -> Result<CommentTarget> {
        let node = child(node, "COMMENT's object")?;
        let rule = node.as_rule();
        let kind = object_kind(&node);
        let mut constraint = None;
        let mut name = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::name => constraint = Some(self.ident(part)?),
                Rule::qualified_name => name = Some(self.object_name(part)?),
                _ => {}
            }
        }
        let name = name.ok_or_else(|| broken("COMMENT's name"))?;
        Ok(match (rule, constraint) {
            (Rule::comment_constraint, Some(constraint)) => {
                CommentTarget::Constraint(constraint, name)
            }
            (Rule::comment_column, _) => CommentTarget::Column(name),
            (Rule::comment_database, _) => CommentTarget::Database(name),
            _ => CommentTarget::Object(kind, name),
        })
    }

    pub(super) fn create_schema(&self, node: Node<'_>) -> Result<CreateSchema> {
        let span = self.span(&node);
        let mut schema = CreateSchema {
            if_not_exists: false,
            name: None,
            owner: None,
            elements: Vec::new(),
            span,
        };
        for part in children(node) {
            let place = self.span(&part);
            match part.as_rule() {
                Rule::if_not_exists => schema.if_not_exists = true,
                Rule::schema_owner => {
                    schema.owner = Some(self.role_spec(child(part, "an owner")?)?);
                }
                // All text is UTF-8.
                Rule::schema_character_set => {}
                Rule::schema_path => {
                    return Err(super::unsupported("the PATH of a schema is", place)
                        .hint("SET search_path says where a session looks for names."));
                }
                Rule::schema_element if schema.if_not_exists => {
                    return Err(super::unsupported(
                        "CREATE SCHEMA IF NOT EXISTS with elements is",
                        place,
                    ));
                }
                Rule::schema_element => {
                    let element = child(part, "an element of a schema")?;
                    schema.elements.push(self.any_statement(element)?);
                }
                _ => schema.name = Some(self.ident(part)?),
            }
        }
        Ok(schema)
    }

    pub(super) fn alter_table(&self, node: Node<'_>) -> Result<AlterTable> {
        let mut object = ObjectKind::Table;
        let mut if_exists = false;
        let mut only = false;
        let mut name = None;
        let mut actions = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::altered_object => object = object_kind(&part),
                Rule::if_exists => if_exists = true,
                Rule::only_word => only = true,
                Rule::qualified_name => name = Some(self.object_name(part)?),
                _ => actions.push(self.alter_action(child(part, "what to alter")?)?),
            }
        }
        Ok(AlterTable {
            object,
            if_exists,
            only,
            name: name.ok_or_else(|| broken("ALTER's name"))?,
            actions,
        })
    }

    fn alter_action(&self, node: Node<'_>) -> Result<AlterAction> {
        let rule = node.as_rule();
        let mut table = None;
        let mut names: Vec<Ident> = Vec::new();
        let mut exists = false;
        let mut cascade = false;
        let mut action = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::name => names.push(self.ident(part)?),
                Rule::qualified_name => table = Some(self.object_name(part)?),
                Rule::partition_bound => {
                    return Ok(AlterAction::AttachPartition {
                        table: table.ok_or_else(|| broken("a partition's name"))?,
                        bound: self.partition_bound(part)?,
                    });
                }
                Rule::if_exists | Rule::if_not_exists => exists = true,
                Rule::drop_behavior => cascade = has(&part, Rule::cascade_word),
                Rule::table_constraint => {
                    let constraint = self.table_constraint(part)?;
                    return Ok(AlterAction::AddConstraint(Box::new(constraint)));
                }
                Rule::column_definition => {
                    return Ok(AlterAction::AddColumn {
                        column: Box::new(self.column_definition(part)?),
                        if_not_exists: exists,
                    });
                }
                Rule::storage_parameters => {
                    let parameters = self.storage_parameters(part)?;
                    return Ok(if rule == Rule::set_parameters {
                        AlterAction::SetParameters(parameters)
                    } else {
                        AlterAction::ResetParameters(parameters)
                    });
                }
                _ => action = Some(self.column_action(part)?),
            }
        }
        if let Some(table) = table {
            return Ok(match rule {
                Rule::detach_partition => AlterAction::DetachPartition(table),
                Rule::inherit => AlterAction::Inherit(table),
                _ => AlterAction::NoInherit(table),
            });
        }
        let mut names = names.into_iter();
        let mut next = || names.next().ok_or_else(|| broken("a name to alter"));
        Ok(match rule {
            Rule::drop_constraint => AlterAction::DropConstraint {
                name: next()?,
                if_exists: exists,
                cascade,
            },
            Rule::drop_column => AlterAction::DropColumn {
                name: next()?,
                if_exists: exists,
                cascade,
            },
            Rule::alter_column => AlterAction::AlterColumn {
                name: next()?,
                action: action.ok_or_else(|| broken("what to alter of a column"))?,
            },
            Rule::validate_constraint => AlterAction::ValidateConstraint(next()?),
            Rule::rename_to => AlterAction::Rename(next()?),
            Rule::rename_constraint => AlterAction::RenameConstraint(next()?, next()?),
            Rule::rename_column => AlterAction::RenameColumn(next()?, next()?),
            Rule::set_storage => AlterAction::SetStorage(next()?),
            _ => AlterAction::SetSchema(next()?),
        })
    }

    fn column_action(&self, node: Node<'_>) -> Result<ColumnAction> {
        let rule = node.as_rule();
        let if_exists = has(&node, Rule::if_exists);
        Ok(match rule {
            Rule::column_set_default => {
                ColumnAction::SetDefault(self.expression(child(node, "a default")?)?)
            }
            Rule::column_drop_default => ColumnAction::DropDefault,
            Rule::column_set_not_null => ColumnAction::SetNotNull,
            Rule::column_drop_not_null => ColumnAction::DropNotNull,
            Rule::column_type => {
                let mut data_type = None;
                let mut using = None;
                for part in children(node) {
                    match part.as_rule() {
                        Rule::type_name => data_type = Some(self.type_name(part)?),
                        Rule::expression => using = Some(self.expression(part)?),
                        _ => {}
                    }
                }
                ColumnAction::Type(data_type.ok_or_else(|| broken("a column's type"))?, using)
            }
            Rule::column_set_generated => {
                let always = children(node).any(|part| has(&part, Rule::kw_always));
                ColumnAction::SetGenerated(always)
            }
            Rule::column_drop_identity => ColumnAction::DropIdentity { if_exists },
            Rule::column_drop_expression => ColumnAction::DropExpression { if_exists },
            _ => {
                let mut always = false;
                let mut options = SequenceOptions::default();
                for part in children(node) {
                    match part.as_rule() {
                        Rule::generated_when => always = has(&part, Rule::kw_always),
                        _ => options = self.sequence_options(part)?,
                    }
                }
                ColumnAction::AddIdentity { always, options }
            }
        })
    }

    pub(super) fn drop_object(&self, node: Node<'_>) -> Result<StatementKind> {
        let mut drop = Drop {
            kind: ObjectKind::Table,
            names: Vec::new(),
            if_exists: false,
            cascade: false,
        };
        for part in children(node) {
            match part.as_rule() {
                Rule::dropped_object => drop.kind = object_kind(&part),
                Rule::qualified_name => drop.names.push(self.object_name(part)?),
                Rule::if_exists => drop.if_exists = true,
                _ => drop.cascade = has(&part, Rule::cascade_word),
            }
        }
        Ok(StatementKind::Drop(drop))
    }

    pub(super) fn set_constraints(&self, node: Node<'_>) -> Result<StatementKind> {
        let mut names: Vec<ObjectName> = Vec::new();
        let mut deferred = false;
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => names.push(self.object_name(part)?),
                Rule::deferred_word => deferred = true,
                _ => {}
            }
        }
        Ok(StatementKind::SetConstraints { names, deferred })
    }
}
