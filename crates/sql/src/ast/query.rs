//! Queries.

use super::{Expr, FunctionCall, Ident, ObjectName, WindowDefinition};
use crate::{
    bound::{LockStrength, LockWaitPolicy},
    span::Span,
};

/// A query with everything around its body.
#[derive(Clone, Debug)]
pub struct Query {
    /// WITH.
    pub with: Option<With>,
    /// The body.
    pub body: QueryBody,
    /// ORDER BY.
    pub order_by: Vec<OrderItem>,
    /// LIMIT, FETCH FIRST (`None` also for LIMIT ALL).
    pub limit: Option<Expr>,
    /// FETCH FIRST … WITH TIES.
    pub with_ties: bool,
    /// OFFSET.
    pub offset: Option<Expr>,
    /// FOR UPDATE and its like.
    pub locking: Vec<LockingClause>,
    /// Where.
    pub span: Span,
}

impl Query {
    /// A query of nothing but a body.
    #[must_use]
    pub fn of_body(body: QueryBody, span: Span) -> Query {
        Query {
            with: None,
            body,
            order_by: Vec::new(),
            limit: None,
            with_ties: false,
            offset: None,
            locking: Vec::new(),
            span,
        }
    }
}

/// FOR UPDATE and its like.
#[derive(Clone, Debug)]
pub struct LockingClause {
    /// How strongly.
    pub strength: LockStrength,
    /// OF: of which tables, by their names in FROM; empty: of all.
    pub of: Vec<Ident>,
    /// What to do about rows that others have locked.
    pub wait: LockWaitPolicy,
    /// Where.
    pub span: Span,
}

/// WITH.
#[derive(Clone, Debug)]
pub struct With {
    /// RECURSIVE.
    pub recursive: bool,
    /// The named queries.
    pub tables: Vec<CommonTable>,
    /// Where.
    pub span: Span,
}

/// One named query of WITH.
#[derive(Clone, Debug)]
pub struct CommonTable {
    /// Its name.
    pub name: Ident,
    /// Its columns' names.
    pub columns: Vec<Ident>,
    /// `[NOT] MATERIALIZED`.
    pub materialized: Option<bool>,
    /// The query, or INSERT, UPDATE, DELETE.
    pub statement: Box<super::Statement>,
}

/// The body of a query.
#[derive(Clone, Debug)]
pub enum QueryBody {
    /// SELECT.
    Select(Box<Select>),
    /// VALUES.
    Values(Vec<Vec<Expr>>),
    /// TABLE name.
    Table(ObjectName),
    /// A query in parentheses.
    Query(Box<Query>),
    /// Set operations of one precedence, left to right.
    SetOperation {
        /// The first operand.
        first: Box<QueryBody>,
        /// Operators, whether ALL, and operands.
        rest: Vec<(SetOperator, bool, QueryBody)>,
    },
}

/// Set operators. INTERSECT binds tighter than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum SetOperator {
    Union,
    Intersect,
    Except,
}

/// SELECT.
#[derive(Clone, Debug)]
pub struct Select {
    /// DISTINCT.
    pub distinct: Option<Distinct>,
    /// The select list.
    pub items: Vec<SelectItem>,
    /// INTO.
    pub into: Option<ObjectName>,
    /// FROM.
    pub from: Vec<TableRef>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// GROUP BY; `None`: there is none.
    pub group_by: Option<GroupBy>,
    /// HAVING.
    pub having: Option<Expr>,
    /// WINDOW.
    pub windows: Vec<(Ident, WindowDefinition)>,
    /// Where.
    pub span: Span,
}

impl Select {
    /// A SELECT of nothing but these items, as RETURNING has it.
    #[must_use]
    pub fn of_items(items: Vec<SelectItem>, span: Span) -> Select {
        Select {
            distinct: None,
            items,
            into: None,
            from: Vec::new(),
            filter: None,
            group_by: None,
            having: None,
            windows: Vec::new(),
            span,
        }
    }
}

/// GROUP BY.
#[derive(Clone, Debug)]
pub struct GroupBy {
    /// DISTINCT: equal grouping sets count once.
    pub distinct: bool,
    /// Its items: the product of their grouping sets.
    pub items: Vec<GroupItem>,
}

/// An item of GROUP BY.
#[derive(Clone, Debug)]
pub enum GroupItem {
    /// An expression, or a row of them.
    Expr(Expr),
    /// `()`.
    Empty,
    /// ROLLUP: each beginning of the list.
    Rollup(Vec<Expr>),
    /// CUBE: each subset of the list.
    Cube(Vec<Expr>),
    /// GROUPING SETS: the sets of all items.
    Sets(Vec<GroupItem>),
}

/// DISTINCT.
#[derive(Clone, Debug)]
pub enum Distinct {
    /// DISTINCT.
    Rows,
    /// DISTINCT ON (…).
    On(Vec<Expr>),
}

/// An item of a select list.
#[derive(Clone, Debug)]
pub enum SelectItem {
    /// `*`
    Wildcard(Span),
    /// `table.*`
    QualifiedWildcard(ObjectName),
    /// `* AS (a, b)`, the standard's: a star whose columns get these names.
    RenamedWildcard {
        /// The star.
        star: Box<SelectItem>,
        /// The names.
        columns: Vec<Ident>,
        /// Where.
        span: Span,
    },
    /// An expression.
    Expr {
        /// The expression.
        expr: Expr,
        /// AS.
        alias: Option<Ident>,
    },
}

/// An item of ORDER BY.
#[derive(Clone, Debug)]
pub struct OrderItem {
    /// By what.
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST / LAST where said.
    pub nulls_first: Option<bool>,
}

/// An item of FROM.
#[derive(Clone, Debug)]
pub struct TableRef {
    /// What.
    pub kind: TableRefKind,
    /// Its alias.
    pub alias: Option<TableAlias>,
    /// Where.
    pub span: Span,
}

/// The forms of a FROM item.
#[derive(Clone, Debug)]
pub enum TableRefKind {
    /// A table.
    Table {
        /// Its name.
        name: ObjectName,
        /// ONLY: without the tables made of it.
        only: bool,
    },
    /// A subquery.
    Query {
        /// The subquery.
        query: Box<Query>,
        /// LATERAL.
        lateral: bool,
    },
    /// A function.
    Function {
        /// The call.
        call: Box<FunctionCall>,
        /// WITH ORDINALITY.
        ordinality: bool,
        /// LATERAL.
        lateral: bool,
    },
    /// A join.
    Join {
        /// Which.
        operator: JoinOperator,
        /// Left side.
        left: Box<TableRef>,
        /// Right side.
        right: Box<TableRef>,
        /// ON, USING, NATURAL or none (CROSS).
        constraint: JoinConstraint,
    },
}

/// Kinds of join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum JoinOperator {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

/// How a join matches rows.
#[derive(Clone, Debug)]
pub enum JoinConstraint {
    /// CROSS JOIN.
    None,
    /// ON.
    On(Expr),
    /// USING (columns) [AS alias].
    Using(Vec<Ident>, Option<Ident>),
    /// NATURAL.
    Natural,
}

/// `AS name (columns)`.
#[derive(Clone, Debug)]
pub struct TableAlias {
    /// The name.
    pub name: Ident,
    /// The columns' names.
    pub columns: Vec<Ident>,
}
