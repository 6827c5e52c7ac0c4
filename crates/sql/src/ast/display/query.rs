//! Queries.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{clause, list, separated};
use crate::{
    ast::{
        CommonTable, Distinct, GroupItem, JoinConstraint, JoinOperator, LockingClause, OrderItem,
        Query, QueryBody, Select, SelectItem, SetOperator, TableAlias, TableRef, TableRefKind,
        With,
    },
    bound::{LockStrength, LockWaitPolicy},
};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(with) = &self.with {
            write!(f, "{with} ")?;
        }
        write!(f, "{}", self.body)?;
        if !self.order_by.is_empty() {
            f.write_str(" ORDER BY ")?;
            separated(f, &self.order_by, ", ")?;
        }
        if self.with_ties {
            if let Some(limit) = &self.limit {
                write!(f, " FETCH FIRST ({limit}) ROWS WITH TIES")?;
            }
        } else {
            clause(f, "LIMIT", self.limit.as_ref())?;
        }
        clause(f, "OFFSET", self.offset.as_ref())?;
        for clause in &self.locking {
            write!(f, " {clause}")?;
        }
        Ok(())
    }
}

impl Display for With {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.recursive {
            "WITH RECURSIVE "
        } else {
            "WITH "
        })?;
        separated(f, &self.tables, ", ")
    }
}

impl Display for CommonTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if !self.columns.is_empty() {
            f.write_char(' ')?;
            list(f, &self.columns)?;
        }
        f.write_str(match self.materialized {
            None => " AS ",
            Some(true) => " AS MATERIALIZED ",
            Some(false) => " AS NOT MATERIALIZED ",
        })?;
        write!(f, "({})", self.statement)
    }
}

impl Display for QueryBody {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            QueryBody::Select(select) => write!(f, "{select}"),
            QueryBody::Values(rows) => {
                f.write_str("VALUES ")?;
                for (index, row) in rows.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    list(f, row)?;
                }
                Ok(())
            }
            QueryBody::Table(name) => write!(f, "TABLE {name}"),
            QueryBody::Query(query) => write!(f, "({query})"),
            QueryBody::SetOperation { first, rest } => {
                write!(f, "{first}")?;
                for (operator, all, body) in rest {
                    let all = if *all { " ALL" } else { "" };
                    write!(f, " {operator}{all} {body}")?;
                }
                Ok(())
            }
        }
    }
}

impl Display for SetOperator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetOperator::Union => "UNION",
            SetOperator::Intersect => "INTERSECT",
            SetOperator::Except => "EXCEPT",
        })
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT")?;
        match &self.distinct {
            None => {}
            Some(Distinct::Rows) => f.write_str(" DISTINCT")?,
            Some(Distinct::On(keys)) => {
                f.write_str(" DISTINCT ON ")?;
                list(f, keys)?;
            }
        }
        if !self.items.is_empty() {
            f.write_char(' ')?;
            separated(f, &self.items, ", ")?;
        }
        if !self.from.is_empty() {
            f.write_str(" FROM ")?;
            separated(f, &self.from, ", ")?;
        }
        clause(f, "WHERE", self.filter.as_ref())?;
        if let Some(group_by) = &self.group_by {
            f.write_str(" GROUP BY ")?;
            if group_by.distinct {
                f.write_str("DISTINCT ")?;
            }
            separated(f, &group_by.items, ", ")?;
        }
        clause(f, "HAVING", self.having.as_ref())?;
        for (at, (name, window)) in self.windows.iter().enumerate() {
            f.write_str(if at == 0 { " WINDOW " } else { ", " })?;
            write!(f, "{name} AS ({window})")?;
        }
        Ok(())
    }
}

impl Display for GroupItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            GroupItem::Expr(expr) => write!(f, "{expr}"),
            GroupItem::Empty => f.write_str("()"),
            GroupItem::Rollup(list_of) => {
                f.write_str("ROLLUP ")?;
                list(f, list_of)
            }
            GroupItem::Cube(list_of) => {
                f.write_str("CUBE ")?;
                list(f, list_of)
            }
            GroupItem::Sets(items) => {
                f.write_str("GROUPING SETS ")?;
                list(f, items)
            }
        }
    }
}

impl Display for SelectItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SelectItem::Wildcard(_) => f.write_char('*'),
            SelectItem::QualifiedWildcard(name) => write!(f, "{name}.*"),
            SelectItem::RenamedWildcard { star, columns, .. } => {
                write!(f, "{star} AS ")?;
                list(f, columns)
            }
            SelectItem::Expr { expr, alias } => {
                write!(f, "{expr}")?;
                clause(f, "AS", alias.as_ref())
            }
        }
    }
}

impl Display for OrderItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expr)?;
        if self.descending {
            f.write_str(" DESC")?;
        }
        match self.nulls_first {
            None => Ok(()),
            Some(true) => f.write_str(" NULLS FIRST"),
            Some(false) => f.write_str(" NULLS LAST"),
        }
    }
}

impl Display for TableRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TableRefKind::Table { name, only } => {
                f.write_str(if *only { "ONLY " } else { "" })?;
                write!(f, "{name}")?;
            }
            TableRefKind::Query { query, lateral } => {
                if *lateral {
                    f.write_str("LATERAL ")?;
                }
                write!(f, "({query})")?;
            }
            TableRefKind::Function {
                call,
                lateral,
                ordinality,
            } => {
                if *lateral {
                    f.write_str("LATERAL ")?;
                }
                write!(f, "{call}")?;
                if *ordinality {
                    f.write_str(" WITH ORDINALITY")?;
                }
            }
            TableRefKind::Join {
                operator,
                left,
                right,
                constraint,
            } => {
                if self.alias.is_some() {
                    f.write_char('(')?;
                }
                write!(f, "{left} ")?;
                if matches!(constraint, JoinConstraint::Natural) {
                    f.write_str("NATURAL ")?;
                }
                f.write_str(match operator {
                    JoinOperator::Inner => "JOIN ",
                    JoinOperator::Left => "LEFT JOIN ",
                    JoinOperator::Right => "RIGHT JOIN ",
                    JoinOperator::Full => "FULL JOIN ",
                    JoinOperator::Cross => "CROSS JOIN ",
                })?;
                if matches!(right.kind, TableRefKind::Join { .. }) && right.alias.is_none() {
                    write!(f, "({right})")?;
                } else {
                    write!(f, "{right}")?;
                }
                match constraint {
                    JoinConstraint::None | JoinConstraint::Natural => {}
                    JoinConstraint::On(condition) => write!(f, " ON {condition}")?,
                    JoinConstraint::Using(columns, alias) => {
                        f.write_str(" USING ")?;
                        list(f, columns)?;
                        clause(f, "AS", alias.as_ref())?;
                    }
                }
                if self.alias.is_some() {
                    f.write_char(')')?;
                }
            }
        }
        match &self.alias {
            Some(alias) => write!(f, " {alias}"),
            None => Ok(()),
        }
    }
}

impl Display for TableAlias {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "AS {}", self.name)?;
        if !self.columns.is_empty() {
            f.write_char(' ')?;
            list(f, &self.columns)?;
        }
        Ok(())
    }
}

impl Display for LockingClause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.strength)?;
        for (at, name) in self.of.iter().enumerate() {
            write!(f, "{}{name}", if at == 0 { " OF " } else { ", " })?;
        }
        f.write_str(match self.wait {
            LockWaitPolicy::Wait => "",
            LockWaitPolicy::SkipLocked => " SKIP LOCKED",
            LockWaitPolicy::NoWait => " NOWAIT",
        })
    }
}

impl Display for LockStrength {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockStrength::KeyShare => "FOR KEY SHARE",
            LockStrength::Share => "FOR SHARE",
            LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
            LockStrength::Update => "FOR UPDATE",
        })
    }
}
