//! Definitions: CREATE, ALTER, DROP.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{clause, list, separated, string};
use crate::{
    ast::{
        AlterAction, AlterSequence, AlterTable, ColumnAction, ColumnConstraint,
        ColumnConstraintKind, ColumnDefinition, Comment, CommentTarget, CreateIndex, CreateSchema,
        CreateSequence, CreateTable, CreateView, Drop, IndexElement, PartitionBound,
        PartitionBoundKind, References, SequenceOptions, StorageParameter, TableBody,
        TableConstraint, TableConstraintKind, TableElement,
    },
    bound::OnCommit,
    catalog::{CheckOption, Deferral, ReferentialAction},
};

/// `WITH (fillfactor=90)`
fn with_parameters(f: &mut Formatter<'_>, parameters: &[StorageParameter]) -> fmt::Result {
    if parameters.is_empty() {
        return Ok(());
    }
    f.write_str(" WITH ")?;
    list(f, parameters)
}

impl Display for StorageParameter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.value {
            None => Ok(()),
            Some(value) => {
                f.write_char('=')?;
                string(f, value)
            }
        }
    }
}

fn when(f: &mut Formatter<'_>, condition: bool, text: &str) -> fmt::Result {
    if condition { f.write_str(text) } else { Ok(()) }
}

impl Display for CreateTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CREATE ")?;
        when(f, self.temporary.is_some(), "TEMPORARY ")?;
        f.write_str("TABLE ")?;
        when(f, self.if_not_exists, "IF NOT EXISTS ")?;
        write!(f, "{}", self.name)?;
        let on_commit = match self.temporary {
            None | Some(OnCommit::PreserveRows) => "",
            Some(OnCommit::DeleteRows) => " ON COMMIT DELETE ROWS",
            Some(OnCommit::Drop) => " ON COMMIT DROP",
        };
        match &self.body {
            TableBody::Definitions {
                elements,
                constraints,
            } => {
                if let Some(of) = &self.partition_of {
                    write!(f, " PARTITION OF {}", of.parent)?;
                }
                // A partition needs no parentheses where it adds nothing.
                let bare =
                    self.partition_of.is_some() && elements.is_empty() && constraints.is_empty();
                when(f, !bare, " (")?;
                separated(f, elements, ", ")?;
                when(f, !elements.is_empty() && !constraints.is_empty(), ", ")?;
                separated(f, constraints, ", ")?;
                when(f, !bare, ")")?;
                if let Some(of) = &self.partition_of {
                    write!(f, " {}", of.bound)?;
                }
                if !self.inherits.is_empty() {
                    f.write_str(" INHERITS ")?;
                    list(f, &self.inherits)?;
                }
                if let Some(by) = &self.partition_by {
                    write!(f, " PARTITION BY {} ", by.strategy)?;
                    list(f, &by.keys)?;
                }
                clause(f, "USING", self.method.as_ref())?;
                with_parameters(f, &self.parameters)?;
                f.write_str(on_commit)
            }
            TableBody::Query {
                columns,
                query,
                with_data,
            } => {
                if !columns.is_empty() {
                    f.write_char(' ')?;
                    list(f, columns)?;
                }
                clause(f, "USING", self.method.as_ref())?;
                with_parameters(f, &self.parameters)?;
                write!(f, "{on_commit} AS {query}")?;
                when(f, !with_data, " WITH NO DATA")
            }
        }
    }
}

impl Display for TableElement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            TableElement::Column(column) => write!(f, "{column}"),
            TableElement::Options {
                name, constraints, ..
            } => {
                write!(f, "{name}")?;
                for constraint in constraints {
                    write!(f, " {constraint}")?;
                }
                Ok(())
            }
            TableElement::Like { table, options } => {
                write!(f, "LIKE {table}")?;
                for (including, option) in options {
                    let verb = if *including { "INCLUDING" } else { "EXCLUDING" };
                    write!(f, " {verb} {option}")?;
                }
                Ok(())
            }
        }
    }
}

impl Display for PartitionBound {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            PartitionBoundKind::Default => f.write_str("DEFAULT"),
            PartitionBoundKind::In(values) => {
                f.write_str("FOR VALUES IN ")?;
                list(f, values)
            }
            PartitionBoundKind::Range { from, to } => {
                f.write_str("FOR VALUES FROM ")?;
                list(f, from)?;
                f.write_str(" TO ")?;
                list(f, to)
            }
            PartitionBoundKind::Hash { modulus, remainder } => write!(
                f,
                "FOR VALUES WITH (MODULUS {modulus}, REMAINDER {remainder})"
            ),
        }
    }
}

impl Display for ColumnDefinition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.data_type)?;
        for constraint in &self.constraints {
            write!(f, " {constraint}")?;
        }
        Ok(())
    }
}

fn timing(f: &mut Formatter<'_>, deferral: Deferral) -> fmt::Result {
    f.write_str(match deferral {
        Deferral::Never => "",
        Deferral::Immediate => " DEFERRABLE",
        Deferral::Deferred => " DEFERRABLE INITIALLY DEFERRED",
    })
}

fn always(f: &mut Formatter<'_>, always: bool) -> fmt::Result {
    f.write_str(if always { "ALWAYS" } else { "BY DEFAULT" })
}

fn identity(f: &mut Formatter<'_>, is_always: bool, options: &SequenceOptions) -> fmt::Result {
    f.write_str("GENERATED ")?;
    always(f, is_always)?;
    f.write_str(" AS IDENTITY")?;
    let options = options.to_string();
    if options.is_empty() {
        return Ok(());
    }
    write!(f, " ({})", options.trim_start())
}

impl Display for ColumnConstraint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "CONSTRAINT {name} ")?;
        }
        match &self.kind {
            ColumnConstraintKind::NotNull => f.write_str("NOT NULL")?,
            ColumnConstraintKind::Null => f.write_str("NULL")?,
            ColumnConstraintKind::Default(value) => write!(f, "DEFAULT {value}")?,
            ColumnConstraintKind::PrimaryKey => f.write_str("PRIMARY KEY")?,
            ColumnConstraintKind::Unique => f.write_str("UNIQUE")?,
            ColumnConstraintKind::Check(condition) => write!(f, "CHECK ({condition})")?,
            ColumnConstraintKind::References(references) => write!(f, "{references}")?,
            ColumnConstraintKind::Identity { always, options } => identity(f, *always, options)?,
            ColumnConstraintKind::Generated(value) => {
                write!(f, "GENERATED ALWAYS AS ({value}) STORED")?;
            }
        }
        timing(f, self.deferral)
    }
}

impl Display for References {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "REFERENCES {}", self.table)?;
        if !self.columns.is_empty() {
            f.write_char(' ')?;
            list(f, &self.columns)?;
        }
        when(f, self.match_full, " MATCH FULL")?;
        for (event, action) in [("DELETE", self.on_delete), ("UPDATE", self.on_update)] {
            let action = match action {
                ReferentialAction::NoAction => continue,
                ReferentialAction::Restrict => "RESTRICT",
                ReferentialAction::Cascade => "CASCADE",
                ReferentialAction::SetNull => "SET NULL",
                ReferentialAction::SetDefault => "SET DEFAULT",
            };
            write!(f, " ON {event} {action}")?;
            if event == "DELETE" && !self.set_columns.is_empty() {
                f.write_char(' ')?;
                list(f, &self.set_columns)?;
            }
        }
        Ok(())
    }
}

impl Display for TableConstraint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "CONSTRAINT {name} ")?;
        }
        match &self.kind {
            TableConstraintKind::PrimaryKey(columns) => {
                f.write_str("PRIMARY KEY ")?;
                list(f, columns)?;
            }
            TableConstraintKind::Unique(columns, included) => {
                f.write_str("UNIQUE ")?;
                list(f, columns)?;
                if !included.is_empty() {
                    f.write_str(" INCLUDE ")?;
                    list(f, included)?;
                }
            }
            TableConstraintKind::Check(condition) => write!(f, "CHECK ({condition})")?,
            TableConstraintKind::ForeignKey(columns, references) => {
                f.write_str("FOREIGN KEY ")?;
                list(f, columns)?;
                write!(f, " {references}")?;
            }
        }
        timing(f, self.deferral)?;
        when(f, self.not_valid, " NOT VALID")
    }
}

impl Display for CreateIndex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CREATE ")?;
        when(f, self.unique, "UNIQUE ")?;
        f.write_str("INDEX ")?;
        when(f, self.concurrently, "CONCURRENTLY ")?;
        when(f, self.if_not_exists, "IF NOT EXISTS ")?;
        if let Some(name) = &self.name {
            write!(f, "{name} ")?;
        }
        write!(f, "ON {}", self.table)?;
        clause(f, "USING", self.method.as_ref())?;
        f.write_char(' ')?;
        list(f, &self.elements)?;
        if !self.included.is_empty() {
            f.write_str(" INCLUDE ")?;
            list(f, &self.included)?;
        }
        with_parameters(f, &self.parameters)?;
        clause(f, "WHERE", self.predicate.as_ref())
    }
}

impl Display for IndexElement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(class) = &self.operator_class else {
            return write!(f, "{}", self.order);
        };
        write!(f, "{} {class}", self.order.expr)?;
        when(f, self.order.descending, " DESC")?;
        match self.order.nulls_first {
            None => Ok(()),
            Some(true) => f.write_str(" NULLS FIRST"),
            Some(false) => f.write_str(" NULLS LAST"),
        }
    }
}

impl Display for CreateView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CREATE ")?;
        when(f, self.replace, "OR REPLACE ")?;
        when(f, self.temporary, "TEMPORARY ")?;
        write!(f, "VIEW {}", self.name)?;
        if !self.columns.is_empty() {
            f.write_char(' ')?;
            list(f, &self.columns)?;
        }
        with_parameters(f, &self.parameters)?;
        write!(f, " AS {}", self.query)?;
        f.write_str(match self.check_option {
            None => "",
            Some(CheckOption::Local) => " WITH LOCAL CHECK OPTION",
            Some(CheckOption::Cascaded) => " WITH CASCADED CHECK OPTION",
        })
    }
}

impl Display for CreateSequence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CREATE ")?;
        when(f, self.temporary, "TEMPORARY ")?;
        f.write_str("SEQUENCE ")?;
        when(f, self.if_not_exists, "IF NOT EXISTS ")?;
        write!(f, "{}{}", self.name, self.options)
    }
}

impl Display for AlterSequence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ALTER SEQUENCE ")?;
        when(f, self.if_exists, "IF EXISTS ")?;
        write!(f, "{}{}", self.name, self.options)
    }
}

/// Each option with a space before it.
impl Display for SequenceOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        clause(f, "AS", self.data_type.as_ref())?;
        clause(f, "START WITH", self.start.as_ref())?;
        clause(f, "INCREMENT BY", self.increment.as_ref())?;
        for (name, bound) in [("MINVALUE", self.min), ("MAXVALUE", self.max)] {
            match bound {
                None => {}
                Some(None) => write!(f, " NO {name}")?,
                Some(Some(bound)) => write!(f, " {name} {bound}")?,
            }
        }
        match self.cycle {
            None => {}
            Some(true) => f.write_str(" CYCLE")?,
            Some(false) => f.write_str(" NO CYCLE")?,
        }
        clause(f, "CACHE", self.cache.as_ref())?;
        match self.restart {
            None => {}
            Some(None) => f.write_str(" RESTART")?,
            Some(Some(start)) => write!(f, " RESTART WITH {start}")?,
        }
        match &self.owned_by {
            None => Ok(()),
            Some(None) => f.write_str(" OWNED BY NONE"),
            Some(Some(owner)) => write!(f, " OWNED BY {owner}"),
        }
    }
}

impl Display for Comment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("COMMENT ON ")?;
        match &self.target {
            CommentTarget::Object(kind, name) => write!(f, "{} {name}", kind.keyword())?,
            CommentTarget::Column(name) => write!(f, "COLUMN {name}")?,
            CommentTarget::Constraint(name, table) => {
                write!(f, "CONSTRAINT {name} ON {table}")?;
            }
            CommentTarget::Database(name) => write!(f, "DATABASE {name}")?,
        }
        f.write_str(" IS ")?;
        match &self.text {
            None => f.write_str("NULL"),
            Some(text) => string(f, text),
        }
    }
}

impl Display for CreateSchema {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CREATE SCHEMA")?;
        f.write_str(if self.if_not_exists {
            " IF NOT EXISTS"
        } else {
            ""
        })?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        if let Some(owner) = &self.owner {
            write!(f, " AUTHORIZATION {owner}")?;
        }
        for element in &self.elements {
            write!(f, " {element}")?;
        }
        Ok(())
    }
}

impl Display for AlterTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER {} ", self.object.keyword())?;
        when(f, self.if_exists, "IF EXISTS ")?;
        when(f, self.only, "ONLY ")?;
        write!(f, "{} ", self.name)?;
        separated(f, &self.actions, ", ")
    }
}

impl Display for AlterAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            AlterAction::AddColumn {
                column,
                if_not_exists,
            } => {
                f.write_str("ADD COLUMN ")?;
                when(f, *if_not_exists, "IF NOT EXISTS ")?;
                write!(f, "{column}")
            }
            AlterAction::DropColumn {
                name,
                if_exists,
                cascade,
            } => {
                f.write_str("DROP COLUMN ")?;
                when(f, *if_exists, "IF EXISTS ")?;
                write!(f, "{name}")?;
                when(f, *cascade, " CASCADE")
            }
            AlterAction::AlterColumn { name, action } => {
                write!(f, "ALTER COLUMN {name} {action}")
            }
            AlterAction::AddConstraint(constraint) => write!(f, "ADD {constraint}"),
            AlterAction::DropConstraint {
                name,
                if_exists,
                cascade,
            } => {
                f.write_str("DROP CONSTRAINT ")?;
                when(f, *if_exists, "IF EXISTS ")?;
                write!(f, "{name}")?;
                when(f, *cascade, " CASCADE")
            }
            AlterAction::ValidateConstraint(name) => write!(f, "VALIDATE CONSTRAINT {name}"),
            AlterAction::Rename(name) => write!(f, "RENAME TO {name}"),
            AlterAction::RenameColumn(from, to) => write!(f, "RENAME COLUMN {from} TO {to}"),
            AlterAction::RenameConstraint(from, to) => {
                write!(f, "RENAME CONSTRAINT {from} TO {to}")
            }
            AlterAction::SetSchema(schema) => write!(f, "SET SCHEMA {schema}"),
            AlterAction::SetParameters(parameters) => {
                f.write_str("SET ")?;
                list(f, parameters)
            }
            AlterAction::ResetParameters(parameters) => {
                f.write_str("RESET ")?;
                list(f, parameters)
            }
            AlterAction::SetStorage(method) => write!(f, "SET ENGINE {method}"),
            AlterAction::AttachPartition { table, bound } => {
                write!(f, "ATTACH PARTITION {table} {bound}")
            }
            AlterAction::DetachPartition(table) => write!(f, "DETACH PARTITION {table}"),
            AlterAction::Inherit(table) => write!(f, "INHERIT {table}"),
            AlterAction::NoInherit(table) => write!(f, "NO INHERIT {table}"),
        }
    }
}

impl Display for ColumnAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ColumnAction::SetDefault(value) => write!(f, "SET DEFAULT {value}"),
            ColumnAction::DropDefault => f.write_str("DROP DEFAULT"),
            ColumnAction::SetNotNull => f.write_str("SET NOT NULL"),
            ColumnAction::DropNotNull => f.write_str("DROP NOT NULL"),
            ColumnAction::Type(data_type, using) => {
                write!(f, "TYPE {data_type}")?;
                clause(f, "USING", using.as_ref())
            }
            ColumnAction::AddIdentity { always, options } => {
                f.write_str("ADD ")?;
                identity(f, *always, options)
            }
            ColumnAction::SetGenerated(is_always) => {
                f.write_str("SET GENERATED ")?;
                always(f, *is_always)
            }
            ColumnAction::DropIdentity { if_exists } => {
                f.write_str("DROP IDENTITY")?;
                when(f, *if_exists, " IF EXISTS")
            }
            ColumnAction::DropExpression { if_exists } => {
                f.write_str("DROP EXPRESSION")?;
                when(f, *if_exists, " IF EXISTS")
            }
        }
    }
}

impl Display for Drop {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "DROP {} ", self.kind.keyword())?;
        when(f, self.if_exists, "IF EXISTS ")?;
        separated(f, &self.names, ", ")?;
        when(f, self.cascade, " CASCADE")
    }
}
