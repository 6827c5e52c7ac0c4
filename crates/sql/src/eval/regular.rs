//! Functions over regular expressions, and `SIMILAR TO`.
//!
//! The `regex` crate's engine takes time linear in the text; its patterns are PostgreSQL's
//! advanced ones but for back-references and look-around, which are a typed error.

use parking_lot::Mutex;
use regex::{Captures, Regex, RegexBuilder};
use smallvec::SmallVec;

use super::{EvalContext, check_length, internal, node::Node};
use crate::{Error, Result, SqlState, bound::ScalarFunction, types::Value};

/// SQLSTATE 2201B, invalid_regular_expression.
const INVALID_REGEX: SqlState = SqlState("2201B");
/// Bytes that one compiled pattern may take.
const REGEX_BYTES: usize = 4 << 20;

/// A call with its compiled pattern.
#[derive(Debug)]
pub(super) struct RegexNode {
    function: ScalarFunction,
    arguments: Vec<Node>,
    /// The pattern, where it is constant.
    constant: Option<Compiled>,
    /// The last pattern otherwise, with its text and flags: mostly the next row's too.
    last: Mutex<Option<(String, String, Compiled)>>,
}

#[derive(Clone, Debug)]
struct Compiled {
    regex: Regex,
    global: bool,
}

impl RegexNode {
    pub(super) fn new(
        function: ScalarFunction,
        arguments: Vec<Node>,
        pattern_and_flags: Option<(&str, &str)>,
    ) -> Result<RegexNode> {
        // A wrong pattern fails where, and if, it is evaluated.
        let constant =
            pattern_and_flags.and_then(|(pattern, flags)| compile(function, pattern, flags).ok());
        Ok(RegexNode {
            function,
            arguments,
            constant,
            last: Mutex::new(None),
        })
    }

    pub(super) fn eval(&self, row: &[Value], context: &EvalContext<'_>) -> Result<Value> {
        let mut values: SmallVec<[Value; 4]> = SmallVec::new();
        for argument in &self.arguments {
            let value = argument.eval(row, context)?;
            if value.is_null() {
                return Ok(Value::Null);
            }
            values.push(value);
        }
        let text = |at: usize| values.get(at).and_then(Value::as_text);
        let (Some(source), Some(pattern)) = (text(0), text(1)) else {
            return Err(internal("a regular expression over other than text"));
        };
        let flags = match self.function {
            ScalarFunction::RegexpReplace => text(3).unwrap_or(""),
            ScalarFunction::RegexpLike => text(2).unwrap_or(""),
            _ => text(2).unwrap_or("\\"),
        };
        let compiled = self.compiled(pattern, flags)?;
        if self.function != ScalarFunction::RegexpReplace {
            return Ok(Value::Boolean(compiled.regex.is_match(source)));
        }
        let replacement = text(2).unwrap_or("");
        replace(&compiled, source, replacement)
    }

    fn compiled(&self, pattern: &str, flags: &str) -> Result<Compiled> {
        if let Some(compiled) = &self.constant {
            return Ok(compiled.clone());
        }
        let mut last = self.last.lock();
        match &*last {
            Some((known, known_flags, compiled)) if known == pattern && known_flags == flags => {
                Ok(compiled.clone())
            }
            _ => {
                let compiled = compile(self.function, pattern, flags)?;
                *last = Some((pattern.to_owned(), flags.to_owned(), compiled.clone()));
                Ok(compiled)
            }
        }
    }
}

fn compile(function: ScalarFunction, pattern: &str, flags: &str) -> Result<Compiled> {
    if function == ScalarFunction::SimilarTo {
        let regex = build(RegexBuilder::new(&similar_pattern(pattern, flags)?))?;
        return Ok(Compiled {
            regex,
            global: false,
        });
    }
    let mut builder = RegexBuilder::new(pattern);
    // As PostgreSQL: a dot matches a line feed too, and ^ and $ only the ends of the text.
    builder.dot_matches_new_line(true);
    let mut global = false;
    for flag in flags.chars() {
        match flag {
            'g' if function == ScalarFunction::RegexpReplace => global = true,
            'i' => {
                builder.case_insensitive(true);
            }
            'c' => {
                builder.case_insensitive(false);
            }
            'n' | 'm' => {
                builder.multi_line(true).dot_matches_new_line(false);
            }
            's' => {
                builder.multi_line(false).dot_matches_new_line(true);
            }
            'p' => {
                builder.multi_line(false).dot_matches_new_line(false);
            }
            'w' => {
                builder.multi_line(true).dot_matches_new_line(true);
            }
            'x' => {
                builder.ignore_whitespace(true);
            }
            't' => {}
            other => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid regular expression option: \"{other}\""),
                ));
            }
        }
    }
    Ok(Compiled {
        regex: build(builder)?,
        global,
    })
}

fn build(mut builder: RegexBuilder) -> Result<Regex> {
    builder
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .nest_limit(100)
        .build()
        .map_err(|error| {
            Error::new(
                INVALID_REGEX,
                format!(
                    "invalid regular expression: {}",
                    match error {
                        regex::Error::CompiledTooBig(_) => "too complex".to_owned(),
                        other => other
                            .to_string()
                            .lines()
                            .last()
                            .unwrap_or("syntax error")
                            .trim_start_matches("error: ")
                            .to_owned(),
                    }
                ),
            )
        })
}

/// The anchored regular expression of a `SIMILAR TO` pattern.
fn similar_pattern(pattern: &str, escape: &str) -> Result<String> {
    let mut escapes = escape.chars();
    let escape = match (escapes.next(), escapes.next()) {
        (first, None) => first,
        _ => {
            return Err(Error::new(SqlState("22025"), "invalid escape string")
                .hint("Escape string must be empty or one character."));
        }
    };
    let mut regex = String::from("^(?s:");
    let mut characters = pattern.chars();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            let escaped = characters.next().unwrap_or(character);
            regex.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
            continue;
        }
        match character {
            ']' => {
                in_class = false;
                regex.push(']');
            }
            '[' if !in_class => {
                in_class = true;
                regex.push('[');
            }
            '\\' => regex.push_str("\\\\"),
            other if in_class => {
                if matches!(other, '[' | '&' | '~') {
                    regex.push('\\');
                }
                regex.push(other);
            }
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '(' => regex.push_str("(?:"),
            '.' | '^' | '$' => {
                regex.push('\\');
                regex.push(character);
            }
            other => regex.push(other),
        }
    }
    regex.push_str(")$");
    Ok(regex)
}

/// Writes `\1`–`\9`, `\&` (the whole match) and `\\` of a replacement.
fn expand(replacement: &str, captures: &Captures<'_>, out: &mut String) {
    let mut characters = replacement.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        let group = match characters.next() {
            Some('&') => Some(0),
            Some(digit @ '1'..='9') => Some(digit as usize - '0' as usize),
            Some('\\') | None => {
                out.push('\\');
                None
            }
            Some(other) => {
                out.push('\\');
                out.push(other);
                None
            }
        };
        if let Some(matched) = group.and_then(|group| captures.get(group)) {
            out.push_str(matched.as_str());
        }
    }
}

fn replace(compiled: &Compiled, source: &str, replacement: &str) -> Result<Value> {
    let mut out = String::with_capacity(source.len());
    let mut copied = 0;
    for captures in compiled.regex.captures_iter(source) {
        let Some(whole) = captures.get(0) else {
            break;
        };
        out.push_str(&source[copied..whole.start()]);
        expand(replacement, &captures, &mut out);
        check_length(Some(out.len()))?;
        copied = whole.end();
        if !compiled.global {
            break;
        }
    }
    out.push_str(&source[copied..]);
    check_length(Some(out.len()))?;
    Ok(Value::Text(out.into()))
}

/// A pattern without options.
pub(super) fn plain(pattern: &str) -> Result<Regex> {
    compile(ScalarFunction::RegexpLike, pattern, "").map(|compiled| compiled.regex)
}
