//! Expressions, with parentheses wherever an operand binds no tighter than its operator.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{clause, interval_fields, list, optional_precision, separated, string};
use crate::ast::{
    Argument, BinaryOperator, CastStyle, ComparisonOperator, CurrentValue, Expr, ExprKind,
    FunctionCall, LikeKind, Quantified, TrimSide, TypeNameKind, UnaryOperator,
};

/// How tight the outermost operator of an expression binds (the grammar's levels).
fn precedence(kind: &ExprKind) -> u8 {
    match kind {
        ExprKind::Or(_) => 1,
        ExprKind::And(_) => 2,
        ExprKind::Unary { operator, .. } => unary_precedence(*operator),
        ExprKind::IsNull { .. } | ExprKind::IsTruth { .. } | ExprKind::IsDistinct { .. } => 4,
        ExprKind::Comparison { .. } | ExprKind::Quantified { .. } => 5,
        ExprKind::Between { .. }
        | ExprKind::InList { .. }
        | ExprKind::InQuery { .. }
        | ExprKind::Like { .. } => 6,
        ExprKind::Chain { rest, .. } => rest
            .first()
            .map_or(16, |(operator, _, _)| chain_precedence(*operator)),
        ExprKind::AtTimeZone { .. } => 11,
        ExprKind::Collate { .. } => 12,
        ExprKind::Subscript { .. } => 14,
        ExprKind::Cast {
            style: CastStyle::Colons,
            ..
        } => 15,
        _ => 16,
    }
}

fn unary_precedence(operator: UnaryOperator) -> u8 {
    match operator {
        UnaryOperator::Not => 3,
        UnaryOperator::Minus | UnaryOperator::Plus => 13,
        UnaryOperator::BitNot
        | UnaryOperator::SquareRoot
        | UnaryOperator::CubeRoot
        | UnaryOperator::Absolute => 7,
    }
}

fn chain_precedence(operator: BinaryOperator) -> u8 {
    operator.precedence() + 5
}

/// Prints an operand of an operator of that precedence.
fn operand(f: &mut Formatter<'_>, expr: &Expr, outer: u8) -> fmt::Result {
    if precedence(&expr.kind) <= outer {
        write!(f, "({expr})")
    } else {
        write!(f, "{expr}")
    }
}

/// Prints the operand of a prefix or postfix operator, without parentheses if it is made by one of
/// the same kind.
fn repeated(f: &mut Formatter<'_>, expr: &Expr, outer: u8, same_kind: bool) -> fmt::Result {
    if same_kind && precedence(&expr.kind) == outer {
        write!(f, "{expr}")
    } else {
        operand(f, expr, outer)
    }
}

fn is_test(kind: &ExprKind) -> bool {
    matches!(kind, ExprKind::IsNull { .. } | ExprKind::IsTruth { .. })
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let own = precedence(&self.kind);
        match &self.kind {
            ExprKind::Null => f.write_str("NULL"),
            ExprKind::Boolean(true) => f.write_str("TRUE"),
            ExprKind::Boolean(false) => f.write_str("FALSE"),
            ExprKind::Number(text) => f.write_str(text),
            ExprKind::String(text) => string(f, text),
            ExprKind::TypedString { data_type, text } => match &data_type.kind {
                TypeNameKind::Interval { fields, precision } => {
                    f.write_str("INTERVAL")?;
                    if fields.is_none() {
                        optional_precision(f, *precision)?;
                    }
                    f.write_char(' ')?;
                    string(f, text)?;
                    if let Some(fields) = fields {
                        f.write_char(' ')?;
                        interval_fields(f, *fields)?;
                        optional_precision(f, *precision)?;
                    }
                    Ok(())
                }
                _ => {
                    write!(f, "{data_type} ")?;
                    string(f, text)
                }
            },
            ExprKind::Parameter(number) => write!(f, "${number}"),
            ExprKind::NamedParameter(name) => write!(f, ":{name}"),
            ExprKind::Default => f.write_str("DEFAULT"),
            ExprKind::Column(name) => write!(f, "{name}"),
            ExprKind::Unary {
                operator,
                operand: inner,
            } => {
                write!(f, "{operator}")?;
                let unary = matches!(inner.kind, ExprKind::Unary { .. });
                if unary && !matches!(operator, UnaryOperator::Not) {
                    // Two minus signs would begin a comment.
                    f.write_char(' ')?;
                }
                repeated(f, inner, own, unary)
            }
            ExprKind::Chain { first, rest } => {
                operand(f, first, own)?;
                for (operator, _, right) in rest {
                    write!(f, " {operator} ")?;
                    operand(f, right, own)?;
                }
                Ok(())
            }
            ExprKind::And(operands) => joined(f, operands, " AND ", own),
            ExprKind::Or(operands) => joined(f, operands, " OR ", own),
            ExprKind::Comparison {
                operator,
                left,
                right,
                ..
            } => {
                operand(f, left, own)?;
                write!(f, " {operator} ")?;
                operand(f, right, own)
            }
            ExprKind::IsNull {
                operand: inner,
                negated,
            } => {
                repeated(f, inner, own, is_test(&inner.kind))?;
                write!(f, " IS {}NULL", not(*negated))
            }
            ExprKind::IsTruth {
                operand: inner,
                value,
                negated,
            } => {
                repeated(f, inner, own, is_test(&inner.kind))?;
                let value = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                write!(f, " IS {}{value}", not(*negated))
            }
            ExprKind::IsDistinct {
                left,
                right,
                negated,
            } => {
                operand(f, left, own)?;
                write!(f, " IS {}DISTINCT FROM ", not(*negated))?;
                operand(f, right, own)
            }
            ExprKind::Between {
                operand: inner,
                low,
                high,
                symmetric,
                negated,
            } => {
                operand(f, inner, own)?;
                write!(f, " {}BETWEEN ", not(*negated))?;
                if *symmetric {
                    f.write_str("SYMMETRIC ")?;
                }
                operand(f, low, own)?;
                f.write_str(" AND ")?;
                operand(f, high, own)
            }
            ExprKind::InList {
                operand: inner,
                list: items,
                negated,
            } => {
                operand(f, inner, own)?;
                write!(f, " {}IN ", not(*negated))?;
                list(f, items)
            }
            ExprKind::InQuery {
                operand: inner,
                query,
                negated,
            } => {
                operand(f, inner, own)?;
                write!(f, " {}IN ({query})", not(*negated))
            }
            ExprKind::Like {
                kind,
                operand: inner,
                pattern,
                escape,
                negated,
            } => {
                operand(f, inner, own)?;
                let kind = match kind {
                    LikeKind::Like => "LIKE",
                    LikeKind::Ilike => "ILIKE",
                    LikeKind::Similar => "SIMILAR TO",
                };
                write!(f, " {}{kind} ", not(*negated))?;
                operand(f, pattern, own)?;
                if let Some(escape) = escape {
                    f.write_str(" ESCAPE ")?;
                    operand(f, escape, own)?;
                }
                Ok(())
            }
            ExprKind::Quantified {
                left,
                operator,
                all,
                right,
            } => {
                operand(f, left, own)?;
                write!(f, " {operator} {} ", if *all { "ALL" } else { "ANY" })?;
                match right {
                    Quantified::Query(query) => write!(f, "({query})"),
                    Quantified::Array(array) => write!(f, "({array})"),
                }
            }
            ExprKind::Case {
                operand: inner,
                branches,
                otherwise,
            } => {
                f.write_str("CASE")?;
                if let Some(inner) = inner {
                    write!(f, " {inner}")?;
                }
                for (condition, result) in branches {
                    write!(f, " WHEN {condition} THEN {result}")?;
                }
                if let Some(otherwise) = otherwise {
                    write!(f, " ELSE {otherwise}")?;
                }
                f.write_str(" END")
            }
            ExprKind::CurrentOf(cursor) => write!(f, "CURRENT OF {cursor}"),
            ExprKind::WhenValues(values) => separated(f, values, ", "),
            ExprKind::Cast {
                operand: inner,
                data_type,
                style,
            } => match style {
                CastStyle::Cast => write!(f, "CAST({inner} AS {data_type})"),
                CastStyle::Colons => {
                    repeated(f, inner, own, true)?;
                    write!(f, "::{data_type}")
                }
            },
            ExprKind::Function(call) => write!(f, "{call}"),
            ExprKind::Extract { field, source } => {
                f.write_str("EXTRACT(")?;
                let plain = !field.name.is_empty()
                    && field
                        .name
                        .chars()
                        .all(|c| c.is_ascii_alphabetic() || c == '_');
                if field.quoted || plain {
                    write!(f, "{field}")?;
                } else {
                    string(f, &field.name)?;
                }
                write!(f, " FROM {source})")
            }
            ExprKind::Substring { text, start, count } => {
                write!(f, "SUBSTRING({text}")?;
                clause(f, "FROM", start.as_deref())?;
                clause(f, "FOR", count.as_deref())?;
                f.write_char(')')
            }
            ExprKind::SubstringSimilar {
                text,
                pattern,
                escape,
            } => {
                write!(f, "SUBSTRING(")?;
                operand(f, text, 6)?;
                f.write_str(" SIMILAR ")?;
                operand(f, pattern, 6)?;
                f.write_str(" ESCAPE ")?;
                operand(f, escape, 6)?;
                f.write_char(')')
            }
            ExprKind::Trim {
                side,
                characters,
                text,
            } => {
                f.write_str(match side {
                    TrimSide::Both => "TRIM(BOTH",
                    TrimSide::Leading => "TRIM(LEADING",
                    TrimSide::Trailing => "TRIM(TRAILING",
                })?;
                if let Some(characters) = characters {
                    write!(f, " {characters}")?;
                }
                write!(f, " FROM {text})")
            }
            ExprKind::Position { needle, text } => {
                f.write_str("POSITION(")?;
                operand(f, needle, 6)?;
                f.write_str(" IN ")?;
                operand(f, text, 6)?;
                f.write_char(')')
            }
            ExprKind::Overlay {
                text,
                replacement,
                start,
                count,
            } => {
                write!(f, "OVERLAY({text} PLACING {replacement} FROM {start}")?;
                clause(f, "FOR", count.as_deref())?;
                f.write_char(')')
            }
            ExprKind::Current { value, precision } => {
                f.write_str(match value {
                    CurrentValue::Date => "CURRENT_DATE",
                    CurrentValue::Time => "CURRENT_TIME",
                    CurrentValue::Timestamp => "CURRENT_TIMESTAMP",
                    CurrentValue::LocalTime => "LOCALTIME",
                    CurrentValue::LocalTimestamp => "LOCALTIMESTAMP",
                    CurrentValue::User => "CURRENT_USER",
                    CurrentValue::SessionUser => "SESSION_USER",
                    CurrentValue::Catalog => "CURRENT_CATALOG",
                    CurrentValue::Schema => "CURRENT_SCHEMA",
                })?;
                optional_precision(f, *precision)
            }
            ExprKind::Subquery(query) => write!(f, "({query})"),
            ExprKind::ArrayQuery(query) => write!(f, "ARRAY({query})"),
            ExprKind::Exists(query) => write!(f, "EXISTS ({query})"),
            ExprKind::Row(items) => {
                f.write_str("ROW")?;
                list(f, items)
            }
            ExprKind::Array(items) => {
                f.write_str("ARRAY[")?;
                separated(f, items, ", ")?;
                f.write_char(']')
            }
            ExprKind::AtTimeZone {
                operand: inner,
                zone,
            } => {
                operand(f, inner, own)?;
                f.write_str(" AT TIME ZONE ")?;
                operand(f, zone, own)
            }
            ExprKind::Collate {
                operand: inner,
                collation,
            } => {
                operand(f, inner, own)?;
                write!(f, " COLLATE {collation}")
            }
            ExprKind::Subscript {
                operand: inner,
                low,
                high,
            } => {
                operand(f, inner, own)?;
                f.write_char('[')?;
                if let Some(low) = low {
                    write!(f, "{low}")?;
                }
                if let Some(high) = high {
                    f.write_char(':')?;
                    if let Some(high) = high {
                        write!(f, " {high}")?;
                    }
                }
                f.write_char(']')
            }
        }
    }
}

fn joined(f: &mut Formatter<'_>, operands: &[Expr], word: &str, own: u8) -> fmt::Result {
    for (index, item) in operands.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        operand(f, item, own)?;
    }
    Ok(())
}

impl Display for UnaryOperator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnaryOperator::Not => "NOT ",
            UnaryOperator::Minus => "-",
            UnaryOperator::Plus => "+",
            UnaryOperator::BitNot => "~",
            UnaryOperator::SquareRoot => "|/ ",
            UnaryOperator::CubeRoot => "||/ ",
            UnaryOperator::Absolute => "@ ",
        })
    }
}

impl Display for ComparisonOperator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ComparisonOperator::Equal => "=",
            ComparisonOperator::NotEqual => "<>",
            ComparisonOperator::Less => "<",
            ComparisonOperator::LessOrEqual => "<=",
            ComparisonOperator::Greater => ">",
            ComparisonOperator::GreaterOrEqual => ">=",
        })
    }
}

impl Display for BinaryOperator {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BinaryOperator::Comparison(operator) => return write!(f, "{operator}"),
            BinaryOperator::Add => "+",
            BinaryOperator::Subtract => "-",
            BinaryOperator::Multiply => "*",
            BinaryOperator::Divide => "/",
            BinaryOperator::Modulo => "%",
            BinaryOperator::Power => "^",
            BinaryOperator::Overlaps => "OVERLAPS",
            BinaryOperator::Other(symbol) => symbol,
        })
    }
}

impl Display for FunctionCall {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        if self.star {
            f.write_char('*')?;
        }
        if self.distinct {
            f.write_str("DISTINCT ")?;
        }
        separated(f, &self.arguments, ", ")?;
        if !self.order_by.is_empty() {
            f.write_str(" ORDER BY ")?;
            separated(f, &self.order_by, ", ")?;
        }
        f.write_char(')')?;
        if !self.within_group.is_empty() {
            f.write_str(" WITHIN GROUP (ORDER BY ")?;
            separated(f, &self.within_group, ", ")?;
            f.write_char(')')?;
        }
        if let Some(filter) = &self.filter {
            write!(f, " FILTER (WHERE {filter})")?;
        }
        if let Some(over) = &self.over {
            write!(f, " OVER {over}")?;
        }
        Ok(())
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name} => ")?;
        }
        write!(f, "{}", self.value)
    }
}
