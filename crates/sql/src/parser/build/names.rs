//! Names and type names.

use super::{Builder, Node, broken, children, literal, syntax_error};
use crate::{
    ast::{Ident, IntervalField, ObjectName, TypeName, TypeNameKind},
    error::{Error, Result, SqlState},
    parser::grammar::Rule,
};

/// PostgreSQL's NAMEDATALEN − 1: longer names are refused here, never silently cut.
const MAX_NAME_BYTES: usize = 63;

impl Builder<'_> {
    /// A `name`, `label` or `bare_label`.
    pub(super) fn ident(&self, node: Node<'_>) -> Result<Ident> {
        let span = self.span(&node);
        let text = self.text_at(span);
        let (name, quoted) = if text.starts_with('"') {
            (literal::undouble(text, '"'), true)
        } else if text.contains('"') {
            (literal::unicode_escapes(text, span)?, true)
        } else {
            (fold(text), false)
        };
        if name.is_empty() {
            return Err(
                syntax_error("a name in double quotes cannot be empty", span)
                    .hint("Put a string in single quotes: ''."),
            );
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(Error::new(
                SqlState("42622"),
                format!(
                    "the name is {} bytes long; at most {MAX_NAME_BYTES} are allowed",
                    name.len()
                ),
            )
            .at(span));
        }
        Ok(Ident { name, quoted, span })
    }

    /// A `qualified_name`, or any list of names and labels.
    pub(super) fn object_name(&self, node: Node<'_>) -> Result<ObjectName> {
        let span = self.span(&node);
        let mut parts = Vec::with_capacity(1);
        for part in children(node) {
            parts.push(self.ident(part)?);
        }
        if parts.is_empty() {
            return Err(broken("a qualified name"));
        }
        Ok(ObjectName { parts, span })
    }

    /// A `column_names`.
    pub(super) fn column_names(&self, node: Node<'_>) -> Result<Vec<Ident>> {
        children(node).map(|name| self.ident(name)).collect()
    }

    /// A name that stands for itself, such as `float8` for `double precision`.
    fn builtin_name(&self, name: &str, node: &Node<'_>) -> ObjectName {
        let span = self.span(node);
        ObjectName {
            parts: vec![Ident {
                name: name.to_owned(),
                quoted: false,
                span,
            }],
            span,
        }
    }

    /// A `type_name`.
    pub(super) fn type_name(&self, node: Node<'_>) -> Result<TypeName> {
        let span = self.span(&node);
        let mut kind = None;
        let mut dimensions = 0;
        for part in children(node) {
            match part.as_rule() {
                Rule::long_type => kind = Some(self.long_type(part)?.kind),
                Rule::interval_type => kind = Some(self.interval_type(part)?),
                Rule::short_type => kind = Some(self.short_type(part)?),
                _ => dimensions += 1,
            }
        }
        Ok(TypeName {
            kind: kind.ok_or_else(|| broken("a type"))?,
            dimensions,
            span,
        })
    }

    /// A `long_type`: one of several words.
    pub(super) fn long_type(&self, node: Node<'_>) -> Result<TypeName> {
        let span = self.span(&node);
        let inner = super::child(node, "a type")?;
        let kind = match inner.as_rule() {
            Rule::double_precision => TypeNameKind::Named {
                name: self.builtin_name("float8", &inner),
                arguments: Vec::new(),
            },
            Rule::time_zone_type => {
                let mut timestamp = false;
                let mut with_zone = false;
                let mut precision = None;
                let whole = inner.clone();
                for part in children(inner) {
                    match part.as_rule() {
                        Rule::timestamp_word => timestamp = true,
                        Rule::with_zone => with_zone = true,
                        Rule::precision => precision = Some(self.precision(part)?),
                        _ => {}
                    }
                }
                if with_zone {
                    TypeNameKind::WithTimeZone {
                        timestamp,
                        precision,
                    }
                } else {
                    TypeNameKind::Named {
                        name: self
                            .builtin_name(if timestamp { "timestamp" } else { "time" }, &whole),
                        arguments: precision.into_iter().map(i64::from).collect(),
                    }
                }
            }
            _ => {
                let whole = inner.clone();
                let mut varying = false;
                let mut bit = false;
                let mut arguments = Vec::new();
                for part in children(inner) {
                    match part.as_rule() {
                        Rule::character_word => bit = self.text(&part).eq_ignore_ascii_case("bit"),
                        Rule::varying_word => varying = true,
                        // All text is UTF-8.
                        Rule::character_set => {}
                        _ => arguments = self.type_arguments(part)?,
                    }
                }
                let name = match (bit, varying) {
                    (true, true) => "varbit",
                    (true, false) => "bit",
                    (false, true) => "varchar",
                    (false, false) => "char",
                };
                TypeNameKind::Named {
                    name: self.builtin_name(name, &whole),
                    arguments,
                }
            }
        };
        Ok(TypeName {
            kind,
            dimensions: 0,
            span,
        })
    }

    fn interval_type(&self, node: Node<'_>) -> Result<TypeNameKind> {
        let mut fields = None;
        let mut precision = None;
        for part in children(node) {
            if part.as_rule() == Rule::precision {
                precision = Some(self.precision(part)?);
            } else {
                (fields, precision) = self.interval_fields(part)?;
            }
        }
        Ok(TypeNameKind::Interval { fields, precision })
    }

    /// An `interval_fields`: first and last field, and the precision of the second.
    #[expect(clippy::type_complexity, reason = "two independent options")]
    pub(super) fn interval_fields(
        &self,
        node: Node<'_>,
    ) -> Result<(Option<(IntervalField, IntervalField)>, Option<u32>)> {
        let span = self.span(&node);
        let mut found = Vec::new();
        let mut precision = None;
        for part in children(node) {
            if part.as_rule() == Rule::precision {
                precision = Some(self.precision(part)?);
            } else {
                found.push(interval_field(self.text(&part)));
            }
        }
        let fields = match found.as_slice() {
            [one] => (*one, *one),
            [first, last] if first < last => (*first, *last),
            _ => {
                return Err(syntax_error(
                    "the fields of an interval go from the greater to the smaller one",
                    span,
                )
                .hint("For example DAY TO SECOND."));
            }
        };
        let year_month = |field| matches!(field, IntervalField::Year | IntervalField::Month);
        if year_month(fields.0) != year_month(fields.1) {
            return Err(syntax_error(
                "an interval cannot go from years to days",
                span,
            ));
        }
        Ok((Some(fields), precision))
    }

    /// A `precision`.
    pub(super) fn precision(&self, node: Node<'_>) -> Result<u32> {
        let span = self.span(&node);
        let digits = super::child(node, "a precision")?;
        self.text(&digits)
            .parse()
            .map_err(|_| syntax_error("the precision is out of range", span))
    }

    fn short_type(&self, node: Node<'_>) -> Result<TypeNameKind> {
        let mut name = None;
        let mut arguments = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => name = Some(self.object_name(part)?),
                _ => arguments = self.type_arguments(part)?,
            }
        }
        Ok(TypeNameKind::Named {
            name: name.ok_or_else(|| broken("a type's name"))?,
            arguments,
        })
    }

    fn type_arguments(&self, node: Node<'_>) -> Result<Vec<i64>> {
        children(node)
            .map(|argument| {
                self.signed_number(&argument).parse().map_err(|_| {
                    syntax_error("the type's argument is out of range", self.span(&argument))
                })
            })
            .collect()
    }
}

fn interval_field(text: &str) -> IntervalField {
    match text.to_ascii_lowercase().as_str() {
        "year" => IntervalField::Year,
        "month" => IntervalField::Month,
        "day" => IntervalField::Day,
        "hour" => IntervalField::Hour,
        "minute" => IntervalField::Minute,
        _ => IntervalField::Second,
    }
}

/// Folds an unquoted name: ASCII letters to lower case, as PostgreSQL with UTF-8.
fn fold(text: &str) -> String {
    text.to_ascii_lowercase()
}
