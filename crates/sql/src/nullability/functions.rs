//! When functions and aggregates give NULL.

use crate::{
    bound::{AggregateFunction, Expr, RegressionMeasure, ScalarFunction},
    types::DataType,
};

/// When a function gives NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NullRule {
    /// Exactly where an argument is NULL.
    Strict,
    /// Where an argument is NULL, and sometimes else.
    StrictPartial,
    /// Never.
    Never,
    /// Only where all arguments are.
    AllNull,
    /// Only where the first argument is.
    FirstNull,
    /// Who knows.
    Unknown,
}

/// The rule of a call.
pub(super) fn rule(function: ScalarFunction, arguments: &[Expr]) -> NullRule {
    use NullRule as R;
    use ScalarFunction as F;
    match function {
        F::Coalesce | F::Greatest | F::Least | F::ArrayCat => R::AllNull,
        F::Concat
        | F::ArrayBuild
        | F::ArrayAppend
        | F::ArrayPrepend
        | F::NumNulls
        | F::NumNonNulls
        | F::TypeOf
        | F::JsonBuildObject
        | F::JsonbBuildObject
        | F::JsonBuildArray
        | F::JsonbBuildArray
        | F::QuoteNullable => R::Never,
        F::Format
        | F::ConcatWs
        | F::ArrayPositions
        | F::ArrayRemove
        | F::ArrayReplace
        | F::StringToArray => R::FirstNull,
        // A third is what NULL elements become.
        F::ArrayToString if arguments.len() == 2 => R::Strict,
        // Of two texts the second is a pattern that may match nothing.
        F::Substring if arguments.len() == 2 && arguments.iter().all(is_text) => R::StrictPartial,
        F::Abs
        | F::Ceil
        | F::Floor
        | F::Round
        | F::Trunc
        | F::Sign
        | F::Sqrt
        | F::Cbrt
        | F::Exp
        | F::Ln
        | F::Log10
        | F::Log
        | F::Power
        | F::Mod
        | F::Div
        | F::Pi
        | F::Degrees
        | F::Radians
        | F::Sin
        | F::Cos
        | F::Tan
        | F::Asin
        | F::Acos
        | F::Atan
        | F::Atan2
        | F::Random
        | F::Gcd
        | F::Lcm
        | F::WidthBucket
        | F::Sinh
        | F::Cosh
        | F::Tanh
        | F::Asinh
        | F::Acosh
        | F::Atanh
        | F::Cot
        | F::Sind
        | F::Cosd
        | F::Tand
        | F::Cotd
        | F::Asind
        | F::Acosd
        | F::Atand
        | F::Atan2d
        | F::Factorial
        | F::Length
        | F::OctetLength
        | F::BitLength
        | F::Lower
        | F::Upper
        | F::Initcap
        | F::Trim
        | F::LeftTrim
        | F::RightTrim
        | F::Substring
        | F::Position
        | F::Replace
        | F::Overlay
        | F::Left
        | F::Right
        | F::LeftPad
        | F::RightPad
        | F::Repeat
        | F::Reverse
        | F::SplitPart
        | F::StartsWith
        | F::Chr
        | F::Ascii
        | F::Translate
        | F::Md5
        | F::ToHex
        | F::QuoteIdent
        | F::QuoteLiteral
        | F::RegexpReplace
        | F::RegexpLike
        | F::SimilarTo
        | F::BitCount
        | F::GetByte
        | F::GetBit
        | F::SetByte
        | F::SetBit
        | F::Encode
        | F::Decode
        | F::DateTrunc
        | F::Now
        | F::CurrentDate
        | F::CurrentTime
        | F::CurrentTimestamp
        | F::LocalTime
        | F::LocalTimestamp
        | F::MakeDate
        | F::MakeTime
        | F::MakeTimestamp
        | F::MakeInterval
        | F::AtTimeZone
        | F::JustifyHours
        | F::JustifyDays
        | F::JustifyInterval
        | F::RoundTime
        | F::DateBin
        | F::IsFinite
        | F::GenRandomUuid
        | F::NextValue
        | F::SetSequenceValue
        | F::Version
        | F::CurrentDatabase
        | F::Cardinality
        | F::TrimArray
        | F::ArraySlice
        | F::ArrayContains
        | F::ArrayContained
        | F::ArrayOverlap
        | F::JsonContains
        | F::JsonContained
        | F::JsonExists
        | F::JsonExistsAny
        | F::JsonExistsAll
        | F::JsonConcat
        | F::JsonTypeof
        | F::ToJson
        | F::ToJsonb => R::Strict,
        F::Extract
        | F::DatePart
        | F::Age
        | F::ToChar
        | F::ToDate
        | F::ToNumber
        | F::ToTimestamp
        | F::Scale
        | F::MinScale
        | F::TrimScale
        | F::ArrayGet
        | F::ArrayLength
        | F::ArrayLower
        | F::ArrayUpper
        | F::ArrayNdims
        | F::ArrayDims
        | F::JsonGet
        | F::JsonGetText
        | F::JsonPath
        | F::JsonPathText
        | F::JsonDelete
        | F::JsonDeletePath
        | F::JsonArrayLength
        | F::JsonSet
        | F::JsonInsert
        | F::JsonStripNulls
        | F::JsonPretty => R::StrictPartial,
        // What sees its NULLs in ways of its own, and whatever is new.
        _ => R::Unknown,
    }
}

fn is_text(expr: &Expr) -> bool {
    expr.data_type.is_string() || expr.data_type == DataType::Unknown
}

/// When an aggregate over at least one row gives NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregateRule {
    /// Never, not even over no rows.
    Count,
    /// Never.
    Never,
    /// Only where an argument was NULL.
    Arguments,
    /// Who knows.
    Unknown,
}

/// The rule of an aggregate.
pub(super) fn aggregate_rule(function: AggregateFunction) -> AggregateRule {
    use AggregateFunction as A;
    use AggregateRule as R;
    match function {
        A::CountStar | A::Count | A::Hypothetical(_) | A::Regression(RegressionMeasure::Count) => {
            R::Count
        }
        A::ArrayAgg | A::JsonAgg | A::JsonbAgg | A::JsonObjectAgg | A::JsonbObjectAgg => R::Never,
        A::Sum
        | A::Avg
        | A::Min
        | A::Max
        | A::BoolAnd
        | A::BoolOr
        | A::StringAgg
        | A::StddevPop
        | A::VarPop
        | A::BitAnd
        | A::BitOr
        | A::BitXor
        | A::PercentileCont
        | A::PercentileDisc
        | A::Mode => R::Arguments,
        // Of a single row the sample's variance is NULL.
        _ => R::Unknown,
    }
}
