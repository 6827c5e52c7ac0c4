//! Type names.

use std::sync::Arc;

use super::{Binder, expr::with_hint, suggest, unsupported};
use crate::{
    ast::{self, Ident, IntervalField, ObjectName, TypeName, TypeNameKind},
    catalog::named_type::NamedType,
    error::{Error, Result, SqlState},
    parser::quoted,
    span::Span,
    types::{DataType, ObjectClass, RoundedTime},
};

/// The names of types, as PostgreSQL and the standard have them, and `int1` and `tinyint`. Those
/// that are written most stand before their like: a slip is taken for the first that is as near.
const NAMES: [(&str, DataType); 48] = [
    ("int", DataType::Int4),
    ("integer", DataType::Int4),
    ("bigint", DataType::Int8),
    ("smallint", DataType::Int2),
    ("text", DataType::Text),
    ("varchar", DataType::Varchar(None)),
    ("bool", DataType::Boolean),
    ("boolean", DataType::Boolean),
    ("numeric", DataType::Decimal(None)),
    ("decimal", DataType::Decimal(None)),
    ("dec", DataType::Decimal(None)),
    ("double", DataType::Float8),
    ("real", DataType::Float4),
    ("float", DataType::Float8),
    ("date", DataType::Date),
    ("time", DataType::Time),
    ("timestamp", DataType::Timestamp),
    ("timestamptz", DataType::TimestampTz),
    ("timetz", DataType::TimeTz),
    ("interval", DataType::Interval),
    ("uuid", DataType::Uuid),
    ("json", DataType::Json),
    ("jsonb", DataType::Jsonb),
    ("bytea", DataType::Bytea),
    ("char", DataType::Char(1)),
    ("character", DataType::Char(1)),
    ("bpchar", DataType::Char(1)),
    ("nchar", DataType::Char(1)),
    ("string", DataType::Text),
    ("int4", DataType::Int4),
    ("int8", DataType::Int8),
    ("int2", DataType::Int2),
    ("int1", DataType::Int1),
    ("tinyint", DataType::Int1),
    ("float8", DataType::Float8),
    ("float4", DataType::Float4),
    ("name", DataType::Name),
    ("oid", DataType::Oid),
    ("int2vector", DataType::Int2Vector),
    ("oidvector", DataType::OidVector),
    ("regclass", DataType::Object(ObjectClass::Relation)),
    ("regtype", DataType::Object(ObjectClass::Type)),
    ("regproc", DataType::Object(ObjectClass::Function)),
    (
        "regprocedure",
        DataType::Object(ObjectClass::FunctionWithArguments),
    ),
    ("regnamespace", DataType::Object(ObjectClass::Schema)),
    ("regrole", DataType::Object(ObjectClass::Role)),
    ("regoper", DataType::Object(ObjectClass::Operator)),
    ("regcollation", DataType::Object(ObjectClass::Collation)),
];

/// Types that PostgreSQL has and that are not there yet.
const UNSUPPORTED: [&str; 25] = [
    "xml",
    "money",
    "inet",
    "cidr",
    "macaddr",
    "bit",
    "varbit",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "tsvector",
    "tsquery",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "hstore",
    "record",
    "void",
];

/// The type of that name, without arguments.
pub(super) fn known(name: &str) -> Option<DataType> {
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, data_type)| *data_type)
}

/// Whether every database has a type of that name.
#[cfg(feature = "engine")]
pub(crate) fn is_built_in(name: &str) -> bool {
    known(name).is_some()
}

pub(super) fn shell(name: &str, span: Span) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("type \"{name}\" is only a shell"),
    )
    .at(span)
}

/// The type that every database has which a name stands for, if it does.
pub(super) fn built_in(name: &ObjectName) -> Option<DataType> {
    let schema = name.qualifier().map(|schema| schema.name.as_str());
    let found = schema.is_none_or(|schema| schema == "pg_catalog");
    found.then(|| known(&name.last().name)).flatten()
}

impl Binder<'_> {
    /// The type that a user has named which a type name stands for, if it does. Types that every
    /// database has go first.
    pub(super) fn named_type(&self, name: &TypeName) -> Result<Option<Arc<NamedType>>> {
        let TypeNameKind::Named {
            name: words,
            arguments,
        } = &name.kind
        else {
            return Ok(None);
        };
        let word = words.last();
        let schema = words.qualifier().map(|schema| schema.name.as_str());
        if !arguments.is_empty() || (schema.is_none() && known(&word.name).is_some()) {
            return Ok(None);
        }
        let found = self.types.named_type(schema, &word.name)?;
        if let Some(named) = &found {
            self.access.uses_type(named.id);
        }
        Ok(found)
    }

    /// An expression as the text that is kept of it: types that users have named are found
    /// whatever the search path.
    pub(super) fn kept_text(&self, expr: &ast::Expr) -> Result<String> {
        let mut kept = expr.clone();
        let mut failed = None;
        ast::walk_expr_mut(&mut kept, &mut |part| {
            if let ast::ExprKind::Cast { data_type, .. }
            | ast::ExprKind::TypedString { data_type, .. } = &mut part.kind
                && let Err(error) = self.qualify(data_type)
            {
                failed = Some(error);
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(kept.to_string()),
        }
    }

    /// Puts the schema before the name of a type that is not in `public`, where names alone are
    /// looked up in kept text.
    fn qualify(&self, name: &mut TypeName) -> Result<()> {
        let TypeNameKind::Named { name: words, .. } = &mut name.kind else {
            return Ok(());
        };
        if let ([word], None) = (words.parts.as_slice(), known(&words.last().name))
            && let Some(named) = self.types.named_type(None, &word.name)?
            && named.schema != "public"
        {
            let span = words.span;
            words.parts.insert(
                0,
                Ident {
                    name: named.schema.clone(),
                    quoted: true,
                    span,
                },
            );
        }
        Ok(())
    }

    /// The type of a column.
    pub(super) fn column_type(&self, name: &TypeName) -> Result<DataType> {
        if let TypeNameKind::Named { name: words, .. } = &name.kind {
            let word = words.last();
            let serial = matches!(
                word.name.as_str(),
                "serial" | "serial4" | "bigserial" | "serial8" | "smallserial" | "serial2"
            );
            if serial {
                return Err(unsupported(
                    &format!("the type {} (numbers from a sequence) is", word.name),
                    word.span,
                )
                .hint("Use bigint; ALTER COLUMN … ADD GENERATED BY DEFAULT AS IDENTITY gives it numbers."));
            }
        }
        self.data_type(name, false)
    }

    /// A type by its name. `literal`: the type of a literal, whose fields and precision are
    /// applied to the value.
    pub(super) fn data_type(&self, name: &TypeName, literal: bool) -> Result<DataType> {
        if name.dimensions > 0 {
            let element = self.data_type(
                &TypeName {
                    dimensions: 0,
                    ..name.clone()
                },
                literal,
            )?;
            return element
                .array()
                .ok_or_else(|| unsupported(&format!("arrays of {element} are"), name.span));
        }
        match &name.kind {
            TypeNameKind::Interval { fields, precision } => {
                if !literal && fields.is_some_and(|(_, last)| last != IntervalField::Second) {
                    return Err(unsupported("an interval type with fields is", name.span)
                        .hint("Write interval."));
                }
                match precision {
                    Some(precision) if !literal => {
                        with_precision(RoundedTime::Interval, (*precision).into(), name.span)
                    }
                    _ => Ok(DataType::Interval),
                }
            }
            TypeNameKind::WithTimeZone {
                timestamp,
                precision,
            } => {
                let time = if *timestamp {
                    RoundedTime::TimestampTz
                } else {
                    RoundedTime::TimeTz
                };
                match precision {
                    Some(precision) => with_precision(time, (*precision).into(), name.span),
                    None => Ok(time.data_type()),
                }
            }
            TypeNameKind::Named {
                name: words,
                arguments,
            } => {
                let word = words.last();
                if let Some(named) = self.named_type(name)? {
                    if named.is_constrained() {
                        return Err(unsupported(
                            "converting to a domain that has constraints is",
                            name.span,
                        )
                        .hint("Columns of the domain check what is stored in them."));
                    }
                    return named.base().ok_or_else(|| shell(&named.name, name.span));
                }
                if let Some(schema) = words.qualifier()
                    && schema.name != "pg_catalog"
                {
                    return Err(Error::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("type \"{words}\" does not exist"),
                    )
                    .at(words.span));
                }
                if word.quoted && word.name == "char" && arguments.is_empty() {
                    return Ok(DataType::InternalChar);
                }
                let Some(data_type) = known(&word.name) else {
                    if UNSUPPORTED.contains(&word.name.as_str()) {
                        return Err(unsupported(
                            &format!("the type {} is", word.name),
                            word.span,
                        ));
                    }
                    return Err(undefined(&word.name, &self.types.named_types(), word.span));
                };
                with_arguments(data_type, &word.name, arguments, name.span)
            }
        }
    }
}

/// So many letters say which name they begin.
const MIN_BEGUN: usize = 3;

fn undefined(name: &str, named: &[Arc<NamedType>], span: Span) -> Error {
    let error = Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("type \"{name}\" does not exist"),
    )
    .at(span);
    if let Some(elsewhere) = named.iter().find(|of| of.name == name) {
        let (schema, name) = (quoted(&elsewhere.schema), quoted(name));
        return error.hint(format!("Did you mean {schema}.{name}?"));
    }
    let meant = match name {
        "datetime" | "datetime2" | "smalldatetime" => Some("timestamp"),
        "blob" | "binary" | "varbinary" | "longblob" | "image" | "bytes" => Some("bytea"),
        "clob" | "longtext" | "mediumtext" | "tinytext" | "nvarchar" | "varchar2" | "str" => {
            Some("text")
        }
        "number" => Some("numeric"),
        "mediumint" => Some("integer"),
        "i8" => Some("int1"),
        "i16" | "int16" | "u8" => Some("smallint"),
        "i32" | "int32" | "u16" => Some("integer"),
        "long" | "int64" | "i64" | "u32" => Some("bigint"),
        "u64" => Some("numeric"),
        "f64" => Some("double precision"),
        "f32" => Some("real"),
        "guid" | "uniqueidentifier" => Some("uuid"),
        _ => nearest(name, named),
    };
    with_hint(error, meant.map(|meant| format!("Did you mean {meant}?")))
}

/// The type that a name is meant to be: one that it is the beginning of, or else the nearest.
fn nearest<'a>(name: &str, named: &'a [Arc<NamedType>]) -> Option<&'a str> {
    let all = || {
        NAMES
            .iter()
            .map(|(known, _)| *known)
            .chain(["double precision", "timestamp with time zone"])
            .chain(named.iter().map(|of| of.name.as_str()))
    };
    let is_begun = name.chars().count() >= MIN_BEGUN;
    all()
        .find(|known| is_begun && known.starts_with(name))
        .or_else(|| suggest::nearest(name, all()))
}

/// Applies `(10, 2)` and the like.
fn with_arguments(
    data_type: DataType,
    name: &str,
    arguments: &[i64],
    span: Span,
) -> Result<DataType> {
    let wrong = |what: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, what).at(span);
    match (data_type, arguments) {
        (other, []) => Ok(match name {
            // bpchar without a length has none; char has one.
            "bpchar" => DataType::Text,
            _ => other,
        }),
        (DataType::Decimal(_), [precision]) => decimal(*precision, 0, span),
        (DataType::Decimal(_), [precision, scale]) => decimal(*precision, *scale, span),
        (DataType::Varchar(_), [length]) if name == "varchar" => match u32::try_from(*length) {
            Ok(length @ 1..=10_485_760) => Ok(DataType::Varchar(Some(length))),
            _ => Err(wrong(format!(
                "the length of varchar must be between 1 and 10485760, not {length}"
            ))),
        },
        (DataType::Char(_), [length]) => match u32::try_from(*length) {
            Ok(length @ 1..=10_485_760) => Ok(DataType::Char(length)),
            _ => Err(wrong(format!(
                "the length of char must be between 1 and 10485760, not {length}"
            ))),
        },
        (DataType::Float8, [bits]) if name == "float" => match bits {
            1..=24 => Ok(DataType::Float4),
            25..=53 => Ok(DataType::Float8),
            _ => Err(wrong(format!(
                "the precision of float must be between 1 and 53 bits, not {bits}"
            ))),
        },
        (DataType::Time, [precision]) => with_precision(RoundedTime::Time, *precision, span),
        (DataType::TimeTz, [precision]) => with_precision(RoundedTime::TimeTz, *precision, span),
        (DataType::Timestamp, [precision]) => {
            with_precision(RoundedTime::Timestamp, *precision, span)
        }
        (DataType::TimestampTz, [precision]) => {
            with_precision(RoundedTime::TimestampTz, *precision, span)
        }
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("the type {name} does not take these arguments"),
        )
        .at(span)),
    }
}

fn decimal(precision: i64, scale: i64, span: Span) -> Result<DataType> {
    match (u16::try_from(precision), i16::try_from(scale)) {
        (Ok(precision @ 1..=1000), Ok(scale @ -1000..=1000)) => {
            Ok(DataType::Decimal(Some((precision, scale))))
        }
        (Ok(1..=1000), _) => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("the scale of numeric must be between -1000 and 1000, not {scale}"),
        )
        .at(span)),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("the precision of numeric must be between 1 and 1000, not {precision}"),
        )
        .at(span)),
    }
}

/// A time with so many digits of seconds, at most six.
fn with_precision(time: RoundedTime, precision: i64, span: Span) -> Result<DataType> {
    match u8::try_from(precision) {
        Ok(digits @ 0..=5) => Ok(DataType::Rounded(time, digits)),
        // PostgreSQL takes more for as many as there are.
        Ok(_) => Ok(time.data_type()),
        Err(_) => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("the precision of a time must be between 0 and 6, not {precision}"),
        )
        .at(span)),
    }
}
