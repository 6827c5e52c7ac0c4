//! Expressions.

use super::{Ident, ObjectName, OrderItem, Over, Query, TypeName};
use crate::span::Span;

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExprKind {
    /// `NULL`.
    Null,
    /// `TRUE`, `FALSE`.
    Boolean(bool),
    /// A number as written, without underscores.
    Number(String),
    /// A string, decoded.
    String(String),
    /// `typename 'text'`.
    TypedString {
        /// The type.
        data_type: TypeName,
        /// The text.
        text: String,
    },
    /// `$1` (counted from 1).
    Parameter(usize),
    /// `:name`.
    NamedParameter(String),
    /// `DEFAULT`, in INSERT and UPDATE.
    Default,
    /// A column, perhaps qualified.
    Column(ObjectName),
    /// An operator with one operand.
    Unary {
        /// Which.
        operator: UnaryOperator,
        /// Its operand.
        operand: Box<Expr>,
    },
    /// Left-associative operators of one precedence: `first op operand op operand …`.
    Chain {
        /// The leftmost operand.
        first: Box<Expr>,
        /// Operators with their places and right operands.
        rest: Vec<(BinaryOperator, Span, Expr)>,
    },
    /// Two or more operands of `AND`.
    And(Vec<Expr>),
    /// Two or more operands of `OR`.
    Or(Vec<Expr>),
    /// A comparison.
    Comparison {
        /// Which.
        operator: ComparisonOperator,
        /// Where the operator stands.
        operator_span: Span,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `IS [NOT] NULL`.
    IsNull {
        /// Operand.
        operand: Box<Expr>,
        /// NOT.
        negated: bool,
    },
    /// `IS [NOT] TRUE`, `FALSE`, `UNKNOWN` (`None`).
    IsTruth {
        /// Operand.
        operand: Box<Expr>,
        /// The truth value.
        value: Option<bool>,
        /// NOT.
        negated: bool,
    },
    /// `IS [NOT] DISTINCT FROM`.
    IsDistinct {
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// NOT.
        negated: bool,
    },
    /// `[NOT] BETWEEN [SYMMETRIC] low AND high`.
    Between {
        /// Operand.
        operand: Box<Expr>,
        /// Lower bound.
        low: Box<Expr>,
        /// Upper bound.
        high: Box<Expr>,
        /// SYMMETRIC.
        symmetric: bool,
        /// NOT.
        negated: bool,
    },
    /// `[NOT] IN (list)`.
    InList {
        /// Operand.
        operand: Box<Expr>,
        /// The list, not empty.
        list: Vec<Expr>,
        /// NOT.
        negated: bool,
    },
    /// `[NOT] IN (query)`.
    InQuery {
        /// Operand.
        operand: Box<Expr>,
        /// The subquery.
        query: Box<Query>,
        /// NOT.
        negated: bool,
    },
    /// `[NOT] LIKE`, `ILIKE`, `SIMILAR TO`.
    Like {
        /// Which.
        kind: LikeKind,
        /// Operand.
        operand: Box<Expr>,
        /// Pattern.
        pattern: Box<Expr>,
        /// ESCAPE.
        escape: Option<Box<Expr>>,
        /// NOT.
        negated: bool,
    },
    /// `left op ANY (…)`, `left op ALL (…)`.
    Quantified {
        /// Left operand.
        left: Box<Expr>,
        /// The operator: a comparison, or another as written.
        operator: BinaryOperator,
        /// ALL, not ANY.
        all: bool,
        /// A subquery or an array.
        right: Quantified,
    },
    /// `CASE`.
    Case {
        /// The operand of the simple form.
        operand: Option<Box<Expr>>,
        /// WHEN, THEN.
        branches: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// `CURRENT OF cursor`: the row that a cursor is on. Only as the whole condition of UPDATE and
    /// DELETE.
    CurrentOf(Ident),
    /// `WHEN a, b`: any of these values. Only as the condition of a simple CASE.
    WhenValues(Vec<Expr>),
    /// A conversion.
    Cast {
        /// Operand.
        operand: Box<Expr>,
        /// To which type.
        data_type: TypeName,
        /// How it was written.
        style: CastStyle,
    },
    /// A function call.
    Function(Box<FunctionCall>),
    /// `EXTRACT(field FROM source)`.
    Extract {
        /// The field, lower case.
        field: Ident,
        /// From what.
        source: Box<Expr>,
    },
    /// `SUBSTRING(text [FROM start] [FOR count])`.
    Substring {
        /// The text.
        text: Box<Expr>,
        /// FROM.
        start: Option<Box<Expr>>,
        /// FOR.
        count: Option<Box<Expr>>,
    },
    /// `SUBSTRING(text SIMILAR pattern ESCAPE character)`.
    SubstringSimilar {
        /// The text.
        text: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// The escape character.
        escape: Box<Expr>,
    },
    /// `TRIM([side] [characters] FROM text)`.
    Trim {
        /// The side.
        side: TrimSide,
        /// What to remove; spaces if not given.
        characters: Option<Box<Expr>>,
        /// The text.
        text: Box<Expr>,
    },
    /// `POSITION(needle IN text)`.
    Position {
        /// What to look for.
        needle: Box<Expr>,
        /// In which text.
        text: Box<Expr>,
    },
    /// `OVERLAY(text PLACING replacement FROM start [FOR count])`.
    Overlay {
        /// The text.
        text: Box<Expr>,
        /// What to place.
        replacement: Box<Expr>,
        /// From which character.
        start: Box<Expr>,
        /// Instead of how many.
        count: Option<Box<Expr>>,
    },
    /// `CURRENT_DATE` and its like.
    Current {
        /// Which.
        value: CurrentValue,
        /// Digits of the second's fraction.
        precision: Option<u32>,
    },
    /// A scalar subquery.
    Subquery(Box<Query>),
    /// `ARRAY(SELECT …)`
    ArrayQuery(Box<Query>),
    /// `EXISTS (query)`.
    Exists(Box<Query>),
    /// `(a, b)` or `ROW(a)`.
    Row(Vec<Expr>),
    /// `ARRAY[a, b]`.
    Array(Vec<Expr>),
    /// `operand AT TIME ZONE zone`.
    AtTimeZone {
        /// Operand.
        operand: Box<Expr>,
        /// Zone.
        zone: Box<Expr>,
    },
    /// `operand COLLATE name`.
    Collate {
        /// Operand.
        operand: Box<Expr>,
        /// The collation.
        collation: ObjectName,
    },
    /// `operand[index]`, `operand[low:high]`.
    Subscript {
        /// Operand.
        operand: Box<Expr>,
        /// Index or lower bound.
        low: Option<Box<Expr>>,
        /// `Some` for a slice: its upper bound.
        high: Option<Option<Box<Expr>>>,
    },
}

/// A function call in ordinary form.
#[derive(Clone, Debug)]
pub struct FunctionCall {
    /// The function's name.
    pub name: ObjectName,
    /// `f(*)`.
    pub star: bool,
    /// `f(DISTINCT …)`.
    pub distinct: bool,
    /// Arguments.
    pub arguments: Vec<Argument>,
    /// `f(… ORDER BY …)`.
    pub order_by: Vec<OrderItem>,
    /// `WITHIN GROUP (ORDER BY …)`.
    pub within_group: Vec<OrderItem>,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Box<Expr>>,
    /// `OVER …`.
    pub over: Option<Box<Over>>,
}

/// An argument of a call.
#[derive(Clone, Debug)]
pub struct Argument {
    /// `name => value`.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// What stands after ANY or ALL.
#[derive(Clone, Debug)]
pub enum Quantified {
    /// A subquery.
    Query(Box<Query>),
    /// An array.
    Array(Box<Expr>),
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    /// NOT
    Not,
    /// `-`
    Minus,
    /// `+`
    Plus,
    /// `~`
    BitNot,
    /// `|/`
    SquareRoot,
    /// `||/`
    CubeRoot,
    /// `@`
    Absolute,
}

/// Comparison operators. They do not associate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as what they say")]
pub enum ComparisonOperator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Left-associative operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    /// A comparison (in [`ExprKind::Quantified`] only).
    Comparison(ComparisonOperator),
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`
    Power,
    /// `OVERLAPS`
    Overlaps,
    /// Any other, as written.
    Other(&'static str),
}

impl BinaryOperator {
    /// Its precedence among the left-associative operators: higher binds tighter.
    #[must_use]
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOperator::Comparison(_) => 0,
            BinaryOperator::Overlaps => 1,
            BinaryOperator::Other(_) => 2,
            BinaryOperator::Add | BinaryOperator::Subtract => 3,
            BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => 4,
            BinaryOperator::Power => 5,
        }
    }
}

/// The pattern operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LikeKind {
    /// LIKE
    Like,
    /// ILIKE
    Ilike,
    /// SIMILAR TO
    Similar,
}

/// How a conversion was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastStyle {
    /// `CAST(x AS t)`
    Cast,
    /// `x::t`
    Colons,
}

/// Which end TRIM works at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum TrimSide {
    Both,
    Leading,
    Trailing,
}

/// Functions that are written without parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum CurrentValue {
    Date,
    Time,
    Timestamp,
    LocalTime,
    LocalTimestamp,
    User,
    SessionUser,
    Catalog,
    Schema,
}

/// Fields of an interval type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum IntervalField {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}
