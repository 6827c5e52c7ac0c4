//! Bound expressions.

use crate::{
    bound::{LogicalPlan, SortKey, SystemFunction},
    span::Span,
    types::{DataType, Value},
};

/// Names a column within one statement: every plan node that makes a column gives it an id of
/// its own, so plans may be rearranged without renumbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnId(pub u32);

/// A typed expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// The type of its value.
    pub data_type: DataType,
    /// Whether its value can be NULL (exact where the binder can prove it).
    pub nullable: bool,
    /// Where it stands in the statement.
    pub span: Span,
}

impl Expr {
    /// Whether it is NULL, converted or not.
    pub(crate) fn is_null_constant(&self) -> bool {
        match &self.kind {
            ExprKind::Literal(value) => value.is_null(),
            ExprKind::Cast(operand) | ExprKind::AssignmentCast(operand) => {
                operand.is_null_constant()
            }
            _ => false,
        }
    }
}

/// The forms of [`Expr`]. Operands have the types the operator wants: the binder has inserted
/// [`ExprKind::Cast`] wherever a conversion happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExprKind {
    /// A constant.
    Literal(Value),
    /// A column of the input.
    Column(ColumnId),
    /// A parameter, counted from 0 (`$1` is 0).
    Parameter(usize),
    /// An operator with one operand.
    Unary(UnaryOp, Box<Expr>),
    /// An operator with two operands.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// Three-valued conjunction of two or more operands.
    And(Vec<Expr>),
    /// Three-valued disjunction of two or more operands.
    Or(Vec<Expr>),
    /// `IS [NOT] NULL`.
    IsNull {
        /// The operand.
        operand: Box<Expr>,
        /// `IS NOT NULL`.
        negated: bool,
    },
    /// `IS [NOT] TRUE / FALSE / UNKNOWN` (`None`).
    IsTruth {
        /// The operand.
        operand: Box<Expr>,
        /// The truth value asked for.
        value: Option<bool>,
        /// `IS NOT …`.
        negated: bool,
    },
    /// `IS [NOT] DISTINCT FROM`.
    IsDistinct {
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// `IS NOT DISTINCT FROM`.
        negated: bool,
    },
    /// `[NOT] IN (list)`; all of one type.
    InList {
        /// The operand.
        operand: Box<Expr>,
        /// The list, not empty.
        list: Vec<Expr>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `[NOT] LIKE / ILIKE`.
    Like {
        /// The operand (text).
        operand: Box<Expr>,
        /// The pattern (text).
        pattern: Box<Expr>,
        /// The escape character (text of length 0 or 1); `None`: backslash.
        escape: Option<Box<Expr>>,
        /// `ILIKE`.
        case_insensitive: bool,
        /// `NOT LIKE`.
        negated: bool,
    },
    /// `CASE`, the simple form already rewritten to conditions.
    Case {
        /// `WHEN condition THEN result`.
        branches: Vec<(Expr, Expr)>,
        /// `ELSE result`.
        otherwise: Option<Box<Expr>>,
    },
    /// Conversion to this expression's `data_type`.
    Cast(Box<Expr>),
    /// Conversion to this expression's `data_type`, `varchar(n)` or `char(n)`, on storing into a
    /// column: a string too long is an error (22001), where [`ExprKind::Cast`] cuts it.
    AssignmentCast(Box<Expr>),
    /// A scalar function; also those with special syntax (EXTRACT, SUBSTRING, COALESCE …).
    Function(ScalarFunction, Vec<Expr>),
    /// A subquery that gives one value (NULL where it gives no row).
    ScalarSubquery(Box<LogicalPlan>),
    /// `[NOT] operands operator ANY (subquery)`: whether the comparison of the operands, as a row,
    /// with one of the subquery's rows is true. `IN` is `= ANY`; `x < ALL (…)` is
    /// `NOT x >= ANY (…)`. The subquery has as many columns, pairwise comparable.
    InSubquery {
        /// The operands, one or more.
        operands: Vec<Expr>,
        /// A comparison.
        operator: BinaryOp,
        /// The subquery.
        subquery: Box<LogicalPlan>,
        /// `NOT`.
        negated: bool,
    },
    /// `EXISTS (subquery)`.
    Exists {
        /// The subquery.
        subquery: Box<LogicalPlan>,
        /// `NOT EXISTS`.
        negated: bool,
    },
}

/// Operators with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// Three-valued negation.
    Not,
    /// Arithmetic negation (numbers, intervals).
    Negate,
    /// `~`
    BitNot,
}

/// Operators with two operands. Comparisons: both operands of one type. Arithmetic: both of one
/// numeric type (result: the same), or the date/time combinations of PostgreSQL's table 9.33:
/// date ± int4 → date, date − date → int4, date ± interval → timestamp, timestamp(tz) ± interval,
/// timestamp(tz) − timestamp(tz) → interval, time ± interval → time, time − time → interval,
/// interval ± interval, interval × float8, interval ÷ float8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/` (truncates for integers)
    Divide,
    /// `%`
    Modulo,
    /// `^` (float8 or numeric)
    Power,
    /// `||` (text or bytea)
    Concat,
    /// `&`
    BitAnd,
    /// `|`
    BitOr,
    /// `#`
    BitXor,
    /// `<<` (right operand int4)
    ShiftLeft,
    /// `>>` (right operand int4)
    ShiftRight,
}

impl BinaryOp {
    /// The operator as written in SQL.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Equal => "=",
            BinaryOp::NotEqual => "<>",
            BinaryOp::Less => "<",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterOrEqual => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Power => "^",
            BinaryOp::Concat => "||",
            BinaryOp::BitAnd => "&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "#",
            BinaryOp::ShiftLeft => "<<",
            BinaryOp::ShiftRight => ">>",
        }
    }
}

/// Scalar functions. One name for all its overloads: the argument types tell them apart.
/// The signatures stand in the language half's function table, the implementations in the
/// engine half's evaluator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum ScalarFunction {
    // Conditional
    Coalesce,
    NullIf,
    Greatest,
    Least,
    // Numbers
    Abs,
    Ceil,
    Floor,
    Round,
    Trunc,
    Sign,
    Sqrt,
    Cbrt,
    Exp,
    Ln,
    Log10,
    Log,
    Power,
    Mod,
    Div,
    Pi,
    Degrees,
    Radians,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Random,
    Gcd,
    Lcm,
    WidthBucket,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Cot,
    Sind,
    Cosd,
    Tand,
    Cotd,
    Asind,
    Acosd,
    Atand,
    Atan2d,
    Factorial,
    Scale,
    MinScale,
    TrimScale,
    // Strings
    Length,
    OctetLength,
    BitLength,
    Lower,
    Upper,
    Initcap,
    Trim,
    LeftTrim,
    RightTrim,
    Substring,
    Position,
    Replace,
    Overlay,
    Left,
    Right,
    LeftPad,
    RightPad,
    Repeat,
    Reverse,
    Concat,
    ConcatWs,
    SplitPart,
    StartsWith,
    Chr,
    Ascii,
    Translate,
    Md5,
    ToHex,
    QuoteIdent,
    QuoteLiteral,
    RegexpReplace,
    RegexpLike,
    SimilarTo,
    Format,
    QuoteNullable,
    BitCount,
    GetByte,
    GetBit,
    SetByte,
    SetBit,
    // Dates and times
    Extract,
    DateTrunc,
    DatePart,
    Age,
    Now,
    CurrentDate,
    CurrentTime,
    CurrentTimestamp,
    LocalTime,
    LocalTimestamp,
    MakeDate,
    MakeTime,
    MakeTimestamp,
    MakeInterval,
    ToTimestamp,
    AtTimeZone,
    JustifyHours,
    JustifyDays,
    JustifyInterval,
    ToChar,
    ToDate,
    ToNumber,
    RoundTime,
    DateBin,
    IsFinite,
    Overlaps,
    // Others
    GenRandomUuid,
    NextValue,
    CurrentSequenceValue,
    LastSequenceValue,
    SetSequenceValue,
    Version,
    HasTablePrivilege,
    HasColumnPrivilege,
    HasAnyColumnPrivilege,
    HasSequencePrivilege,
    HasSchemaPrivilege,
    HasDatabasePrivilege,
    HasFunctionPrivilege,
    HasRole,
    CurrentUser,
    SessionUser,
    CurrentDatabase,
    CurrentSchema,
    TypeOf,
    NumNulls,
    NumNonNulls,
    Encode,
    Decode,
    // Arrays
    ArrayBuild,
    ArrayGet,
    ArraySlice,
    ArrayAny,
    ArrayAll,
    ArrayAppend,
    ArrayPrepend,
    ArrayCat,
    ArrayLength,
    ArrayLower,
    ArrayUpper,
    ArrayNdims,
    ArrayDims,
    Cardinality,
    ArrayPosition,
    ArrayPositions,
    ArrayRemove,
    ArrayReplace,
    ArrayToString,
    StringToArray,
    ArrayFill,
    TrimArray,
    ArrayContains,
    ArrayContained,
    ArrayOverlap,
    // JSON
    JsonGet,
    JsonGetText,
    JsonPath,
    JsonPathText,
    JsonContains,
    JsonContained,
    JsonExists,
    JsonExistsAny,
    JsonExistsAll,
    JsonConcat,
    JsonDelete,
    JsonDeletePath,
    JsonBuildObject,
    JsonbBuildObject,
    JsonBuildArray,
    JsonbBuildArray,
    ToJson,
    ToJsonb,
    JsonTypeof,
    JsonArrayLength,
    JsonSet,
    JsonInsert,
    JsonStripNulls,
    JsonPretty,
    // The system catalog and the session
    System(SystemFunction),
}

/// Aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum AggregateFunction {
    CountStar,
    Count,
    Sum,
    Avg,
    Min,
    Max,
    BoolAnd,
    BoolOr,
    StringAgg,
    StddevPop,
    StddevSamp,
    VarPop,
    VarSamp,
    ArrayAgg,
    JsonAgg,
    JsonbAgg,
    JsonObjectAgg,
    JsonbObjectAgg,
    BitAnd,
    BitOr,
    BitXor,
    /// Of values in order: `(value, fraction)`.
    PercentileCont,
    /// Of values in order: `(value, fraction)`.
    PercentileDisc,
    /// Of values in order: the most frequent.
    Mode,
    /// Of pairs `(y, x)` of numbers.
    Regression(RegressionMeasure),
    /// Of rows in order: where another row would stand among them. The keys of the rows come
    /// first, then those of the other.
    Hypothetical(HypotheticalMeasure),
}

/// What is said of a row that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HypotheticalMeasure {
    /// `rank`: one more than the rows before it.
    Rank,
    /// `dense_rank`: one more than the different rows before it.
    DenseRank,
    /// `percent_rank`: the rows before it in parts of all that are there.
    PercentRank,
    /// `cume_dist`: the rows up to it, and itself, in parts of all.
    CumulativeDistribution,
}

/// What is computed of pairs of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegressionMeasure {
    /// `regr_count`: how many pairs there are.
    Count,
    /// `regr_sxx`: the sum of the squared distances of x from its mean.
    SumXx,
    /// `regr_syy`: that of y.
    SumYy,
    /// `regr_sxy`: the sum of the products of both distances.
    SumXy,
    /// `regr_avgx`.
    AverageX,
    /// `regr_avgy`.
    AverageY,
    /// `regr_slope` of the least-squares line.
    Slope,
    /// `regr_intercept` of that line.
    Intercept,
    /// `regr_r2`: the square of the correlation.
    Determination,
    /// `covar_pop`.
    CovariancePopulation,
    /// `covar_samp`.
    CovarianceSample,
    /// `corr`.
    Correlation,
}

impl AggregateFunction {
    /// Whether the value depends on the order of the rows, so that parts computed apart cannot
    /// be put together.
    #[must_use]
    pub fn depends_on_order(self) -> bool {
        matches!(
            self,
            AggregateFunction::StringAgg
                | AggregateFunction::ArrayAgg
                | AggregateFunction::JsonAgg
                | AggregateFunction::JsonbAgg
                | AggregateFunction::JsonObjectAgg
                | AggregateFunction::JsonbObjectAgg
        )
    }

    /// Whether NULLs count, so that they are taken in as other values.
    #[must_use]
    pub fn takes_nulls(self) -> bool {
        self.depends_on_order() && self != AggregateFunction::StringAgg
    }
}

/// One call of an aggregate.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// Which.
    pub function: AggregateFunction,
    /// Its arguments.
    pub arguments: Vec<Expr>,
    /// `DISTINCT`.
    pub distinct: bool,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Expr>,
    /// The order in which it takes its rows: `ORDER BY` inside the call or `WITHIN GROUP`.
    pub order_by: Vec<SortKey>,
    /// The type of its value (PostgreSQL's: sum(int4) is int8, sum(int8) and avg(int) numeric …).
    pub data_type: DataType,
}

impl ScalarFunction {
    /// Whether its value may differ between two calls within one statement, or a call does
    /// something.
    #[must_use]
    pub fn is_volatile(self) -> bool {
        matches!(
            self,
            ScalarFunction::Random
                | ScalarFunction::GenRandomUuid
                | ScalarFunction::NextValue
                | ScalarFunction::CurrentSequenceValue
                | ScalarFunction::LastSequenceValue
                | ScalarFunction::SetSequenceValue
                | ScalarFunction::System(
                    SystemFunction::CancelBackend
                        | SystemFunction::TerminateBackend
                        | SystemFunction::SetConfig
                        | SystemFunction::Notify
                )
        )
    }

    /// Whether it gives its arguments as they are written, whatever their type, or their type's
    /// name.
    #[must_use]
    pub fn writes_values_as_text(self) -> bool {
        matches!(
            self,
            ScalarFunction::Concat
                | ScalarFunction::ConcatWs
                | ScalarFunction::Format
                | ScalarFunction::QuoteNullable
                | ScalarFunction::TypeOf
                | ScalarFunction::ArrayToString
                | ScalarFunction::ToJson
                | ScalarFunction::ToJsonb
                | ScalarFunction::JsonBuildObject
                | ScalarFunction::JsonbBuildObject
                | ScalarFunction::JsonBuildArray
                | ScalarFunction::JsonbBuildArray
        )
    }

    /// Whether it tells something of the clock or the session, the same throughout a statement.
    #[must_use]
    pub fn is_of_session(self) -> bool {
        matches!(
            self,
            ScalarFunction::Now
                | ScalarFunction::CurrentDate
                | ScalarFunction::CurrentTime
                | ScalarFunction::CurrentTimestamp
                | ScalarFunction::LocalTime
                | ScalarFunction::LocalTimestamp
                | ScalarFunction::HasTablePrivilege
                | ScalarFunction::HasColumnPrivilege
                | ScalarFunction::HasAnyColumnPrivilege
                | ScalarFunction::HasSequencePrivilege
                | ScalarFunction::HasSchemaPrivilege
                | ScalarFunction::HasDatabasePrivilege
                | ScalarFunction::HasFunctionPrivilege
                | ScalarFunction::HasRole
                | ScalarFunction::CurrentUser
                | ScalarFunction::SessionUser
                | ScalarFunction::CurrentDatabase
                | ScalarFunction::CurrentSchema
                | ScalarFunction::System(_)
        )
    }
}
