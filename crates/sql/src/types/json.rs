//! JSON (RFC 8259) as `jsonb` keeps it: a tree, objects in the order of their keys, the last of
//! several equal keys, numbers exact (PostgreSQL 8.14).

use std::{cmp::Ordering, fmt};

use compact_str::CompactString;

use super::{Decimal, excerpt};
use crate::{Error, Result, SqlState};

/// How deep arrays and objects may be nested.
const MAX_DEPTH: usize = 512;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, with the digits it was written with.
    Number(Decimal),
    /// A string.
    String(CompactString),
    /// An array.
    Array(Vec<Json>),
    /// An object: keys sorted by length, then bytes; each once.
    Object(Vec<(CompactString, Json)>),
}

#[cold]
fn too_deep() -> Error {
    Error::new(
        SqlState::STATEMENT_TOO_COMPLEX,
        format!("JSON is nested more than {MAX_DEPTH} levels deep"),
    )
}

/// The order of an object's keys.
fn compare_keys(left: &str, right: &str) -> Ordering {
    left.len()
        .cmp(&right.len())
        .then_with(|| left.as_bytes().cmp(right.as_bytes()))
}

impl Json {
    /// An object of these members; of several with one key the last counts.
    #[must_use]
    pub fn object(members: Vec<(CompactString, Json)>) -> Json {
        let mut members = members;
        members.sort_by(|(left, _), (right, _)| compare_keys(left, right));
        let mut unique: Vec<(CompactString, Json)> = Vec::with_capacity(members.len());
        for member in members {
            match unique.last_mut() {
                Some(last) if last.0 == member.0 => *last = member,
                _ => unique.push(member),
            }
        }
        Json::Object(unique)
    }

    /// Reads a JSON text.
    ///
    /// # Errors
    /// 22P02 for a text that is not JSON, 54001 for one nested too deep.
    pub fn parse(text: &str) -> Result<Json> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.blanks();
        if reader.at < text.len() {
            return Err(reader.unexpected());
        }
        Ok(value)
    }

    /// Fails where it is nested deeper than a text may be: for what is put together of others.
    #[cfg(feature = "engine")]
    pub(crate) fn check_depth(&self) -> Result<()> {
        fn goes_below(json: &Json, levels: usize) -> bool {
            let too_deep = |inner: &Json| match levels.checked_sub(1) {
                Some(levels) => goes_below(inner, levels),
                None => true,
            };
            match json {
                Json::Array(elements) => elements.iter().any(too_deep),
                Json::Object(members) => members.iter().any(|(_, value)| too_deep(value)),
                _ => false,
            }
        }
        if goes_below(self, MAX_DEPTH) {
            return Err(too_deep());
        }
        Ok(())
    }

    /// The member of an object.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members
                .binary_search_by(|(known, _)| compare_keys(known, key))
                .ok()
                .and_then(|at| members.get(at))
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The element of an array; negative positions count from the end.
    #[must_use]
    pub fn element(&self, position: i64) -> Option<&Json> {
        match self {
            Json::Array(elements) => {
                index(elements.len(), position).and_then(|at| elements.get(at))
            }
            _ => None,
        }
    }

    /// What a path leads to: keys of objects, positions in arrays.
    #[must_use]
    pub fn at_path<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Json> {
        path.into_iter().try_fold(self, |value, step| match value {
            Json::Array(_) => value.element(step.trim().parse().ok()?),
            _ => value.member(step),
        })
    }

    /// The text that `->>` gives: strings without quotes, NULL for `null`.
    #[must_use]
    pub fn to_plain_text(&self) -> Option<CompactString> {
        match self {
            Json::Null => None,
            Json::String(text) => Some(text.clone()),
            other => Some(CompactString::from(other.to_string())),
        }
    }

    /// The name of its kind, as `jsonb_typeof` gives it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// Whether everything in `other` is also here (`@>`): objects by members, arrays as sets; an
    /// array also contains a scalar.
    #[must_use]
    pub fn contains(&self, other: &Json) -> bool {
        match (self, other) {
            (_, Json::Array(_) | Json::Object(_)) => self.contains_same_kind(other),
            (Json::Array(elements), scalar) => elements.iter().any(|element| element.same(scalar)),
            _ => self.same(other),
        }
    }

    fn contains_same_kind(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Object(_), Json::Object(wanted)) => wanted.iter().all(|(key, value)| {
                self.member(key)
                    .is_some_and(|found| found.contains_same_kind(value))
            }),
            (Json::Array(elements), Json::Array(wanted)) => wanted.iter().all(|value| {
                elements
                    .iter()
                    .any(|element| element.contains_same_kind(value))
            }),
            (Json::Array(_) | Json::Object(_), _) | (_, Json::Array(_) | Json::Object(_)) => false,
            _ => self.same(other),
        }
    }

    /// Whether both are equal by [`Json::compare`].
    #[must_use]
    pub fn same(&self, other: &Json) -> bool {
        self.compare(other).is_eq()
    }

    fn rank(&self) -> u8 {
        match self {
            Json::Null => 0,
            Json::String(_) => 1,
            Json::Number(_) => 2,
            Json::Bool(_) => 3,
            Json::Array(_) => 4,
            Json::Object(_) => 5,
        }
    }

    /// PostgreSQL's order: null, strings, numbers, booleans, arrays, objects; arrays and objects
    /// by how much they hold, then by what.
    #[must_use]
    pub fn compare(&self, other: &Json) -> Ordering {
        match (self, other) {
            (Json::String(left), Json::String(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Json::Number(left), Json::Number(right)) => left.cmp(right),
            (Json::Bool(left), Json::Bool(right)) => left.cmp(right),
            (Json::Array(left), Json::Array(right)) => {
                left.len().cmp(&right.len()).then_with(|| {
                    left.iter()
                        .zip(right)
                        .map(|(left, right)| left.compare(right))
                        .find(|ordering| ordering.is_ne())
                        .unwrap_or(Ordering::Equal)
                })
            }
            (Json::Object(left), Json::Object(right)) => {
                left.len().cmp(&right.len()).then_with(|| {
                    left.iter()
                        .zip(right)
                        .map(|((left_key, left), (right_key, right))| {
                            compare_keys(left_key, right_key).then_with(|| left.compare(right))
                        })
                        .find(|ordering| ordering.is_ne())
                        .unwrap_or(Ordering::Equal)
                })
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Feeds a hasher; values that [`Json::same`] says are equal hash alike.
    pub fn hash_key<H: std::hash::Hasher>(&self, state: &mut H) {
        use std::hash::Hash;
        state.write_u8(self.rank());
        match self {
            Json::Null => {}
            Json::Bool(truth) => truth.hash(state),
            Json::Number(number) => number.hash(state),
            Json::String(text) => text.as_str().hash(state),
            Json::Array(elements) => {
                state.write_usize(elements.len());
                elements.iter().for_each(|element| element.hash_key(state));
            }
            Json::Object(members) => {
                state.write_usize(members.len());
                for (key, value) in members {
                    key.as_str().hash(state);
                    value.hash_key(state);
                }
            }
        }
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        size_of::<Json>()
            + match self {
                Json::String(text) if text.is_heap_allocated() => text.capacity(),
                Json::Array(elements) => elements.iter().map(Json::heap_size).sum(),
                Json::Object(members) => members
                    .iter()
                    .map(|(key, value)| size_of::<CompactString>() + key.len() + value.heap_size())
                    .sum(),
                _ => 0,
            }
    }

    /// Over several lines, four blanks a level, as `jsonb_pretty` writes.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut text = String::new();
        self.write_pretty(&mut text, 0);
        text
    }

    fn write_pretty(&self, out: &mut String, level: usize) {
        let indent = |out: &mut String, level: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', level * 4));
        };
        match self {
            Json::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    indent(out, level + 1);
                    element.write_pretty(out, level + 1);
                }
                indent(out, level);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    indent(out, level + 1);
                    // Writing to a String does not fail.
                    let _ = write_string(out, key);
                    out.push_str(": ");
                    value.write_pretty(out, level + 1);
                }
                indent(out, level);
                out.push('}');
            }
            scalar => out.push_str(&scalar.to_string()),
        }
    }
}

/// The place of a position that counts from the end where it is negative.
pub(crate) fn index(length: usize, position: i64) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let at = if position < 0 {
        length.checked_add(position)?
    } else {
        position
    };
    usize::try_from(at).ok().filter(|_| at < length)
}

/// Writes a string in quotes.
pub(crate) fn write_string(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(truth) => write!(f, "{truth}"),
            Json::Number(number) => write!(f, "{number}"),
            Json::String(text) => write_string(f, text),
            Json::Array(elements) => {
                f.write_str("[")?;
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{element}")?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        f.write_str(", ")?;
                    }
                    write_string(f, key)?;
                    write!(f, ": {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn invalid(&self, detail: impl Into<String>) -> Error {
        Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type json",
        )
        .detail(detail)
    }

    fn unexpected(&self) -> Error {
        match self.rest().split([' ', ',', ':', '}', ']']).next() {
            None | Some("") if self.rest().is_empty() => {
                self.invalid("The input string ended unexpectedly.")
            }
            Some("") => self.invalid(format!(
                "Unexpected \"{}\".",
                self.rest().chars().next().unwrap_or(' ')
            )),
            Some(token) => self.invalid(format!("Token \"{}\" is invalid.", excerpt(token))),
            None => self.invalid("The input string ended unexpectedly."),
        }
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        self.blanks();
        if self.peek() != Some(byte) {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(())
    }

    /// Whether `byte` comes next; it is taken then.
    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let mut members = Vec::new();
                if self.take(b'}') {
                    return Ok(Json::Object(members));
                }
                loop {
                    self.blanks();
                    let key = self.string()?;
                    self.expect(b':')?;
                    members.push((key, self.value(depth + 1)?));
                    if self.take(b'}') {
                        return Ok(Json::object(members));
                    }
                    self.expect(b',')?;
                }
            }
            Some(b'[') => {
                self.at += 1;
                let mut elements = Vec::new();
                if self.take(b']') {
                    return Ok(Json::Array(elements));
                }
                loop {
                    elements.push(self.value(depth + 1)?);
                    if self.take(b']') {
                        return Ok(Json::Array(elements));
                    }
                    self.expect(b',')?;
                }
            }
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [
                    ("null", Json::Null),
                    ("true", Json::Bool(true)),
                    ("false", Json::Bool(false)),
                ] {
                    let rest = self.rest();
                    if rest.starts_with(word)
                        && !rest
                            .as_bytes()
                            .get(word.len())
                            .is_some_and(u8::is_ascii_alphanumeric)
                    {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected())
            }
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Json> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let leading_zero = self.peek() == Some(b'0');
        let digits = self.digits();
        let mut good = digits > 0 && !(leading_zero && digits > 1);
        if self.peek() == Some(b'.') {
            self.at += 1;
            good &= self.digits() > 0;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            good &= self.digits() > 0;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if !good || self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return Err(self.invalid(format!("Token \"{}\" is invalid.", excerpt(text))));
        }
        text.parse().map(Json::Number)
    }

    fn string(&mut self) -> Result<CompactString> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.at += 1;
        let mut content = CompactString::default();
        loop {
            let rest = self.rest();
            let end = rest
                .bytes()
                .position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')
                .ok_or_else(|| self.invalid("The input string ended unexpectedly."))?;
            content.push_str(rest.get(..end).unwrap_or_default());
            let stop = rest.as_bytes().get(end).copied();
            self.at += end + 1;
            match stop {
                Some(b'"') => return Ok(content),
                Some(b'\\') => content.push(self.escape()?),
                _ => {
                    return Err(self.invalid("A control character in a string must be escaped."));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let kind = self.peek();
        self.at += 1;
        Ok(match kind {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => {
                self.at -= 1;
                return Err(self.invalid("An escape sequence is invalid."));
            }
        })
    }

    fn four_digits(&mut self) -> Result<u32> {
        let digits = self.text.get(self.at..self.at + 4);
        let number = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.invalid("\"\\u\" must be followed by four hexadecimal digits."))?;
        self.at += 4;
        Ok(number)
    }

    fn unicode(&mut self) -> Result<char> {
        let first = self.four_digits()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            let lone = "Unicode high surrogate must be followed by a low surrogate.";
            if !self.rest().starts_with("\\u") {
                return Err(self.invalid(lone));
            }
            self.at += 2;
            let second = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.invalid(lone));
            }
            0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        if code == 0 {
            return Err(
                Error::new(SqlState("22P05"), "unsupported Unicode escape sequence")
                    .detail("\\u0000 cannot be converted to text."),
            );
        }
        char::from_u32(code)
            .ok_or_else(|| self.invalid("Unicode low surrogate must follow a high surrogate."))
    }
}

/// Parts of a JSON text as they are written there: what `json`, which keeps its text, gives.
#[cfg(feature = "engine")]
pub(crate) mod raw_json {
    use super::{Reader, Result, index};

    fn part(text: &str, from: usize, to: usize) -> &str {
        text.get(from..to).unwrap_or_default()
    }

    /// The last member of that key; `None` where there is none or the text is no object.
    pub(crate) fn member<'a>(text: &'a str, key: &str) -> Result<Option<&'a str>> {
        let mut reader = Reader { text, at: 0 };
        let mut found = None;
        if !reader.take(b'{') || reader.take(b'}') {
            return Ok(None);
        }
        loop {
            reader.blanks();
            let name = reader.string()?;
            reader.expect(b':')?;
            reader.blanks();
            let start = reader.at;
            reader.value(0)?;
            if name == key {
                found = Some(part(text, start, reader.at));
            }
            if reader.take(b'}') {
                return Ok(found);
            }
            reader.expect(b',')?;
        }
    }

    /// The element at a position; negative ones count from the end.
    pub(crate) fn element(text: &str, position: i64) -> Result<Option<&str>> {
        let mut reader = Reader { text, at: 0 };
        let mut elements = Vec::new();
        if !reader.take(b'[') || reader.take(b']') {
            return Ok(None);
        }
        loop {
            reader.blanks();
            let start = reader.at;
            reader.value(0)?;
            elements.push(part(text, start, reader.at));
            if reader.take(b']') {
                break;
            }
            reader.expect(b',')?;
        }
        Ok(index(elements.len(), position).and_then(|at| elements.get(at).copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Json::parse(text) {
            Ok(json) => json.to_string(),
            Err(error) => error.state().0.to_owned(),
        }
    }

    #[test]
    fn texts_become_trees() {
        assert_eq!(
            shown(" {\"bb\":1, \"a\" : [1.50,null,true] ,\"a\":2} "),
            "{\"a\": 2, \"bb\": 1}"
        );
        assert_eq!(shown("\"\\u00e4\\ud83d\\ude00\\n\""), "\"ä😀\\n\"");
        assert_eq!(shown("1e3"), "1000");
        assert_eq!(shown("[]"), "[]");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "01",
            "1.",
            "+1",
            "nul",
            "\"\\x\"",
            "\"a",
            "{1:2}",
            "1 2",
            "\"\\ud800\"",
        ] {
            assert_eq!(shown(text), "22P02", "{text}");
        }
        assert_eq!(shown(&"[".repeat(100_000)), "54001");
        assert_eq!(shown("\"\\u0000\""), "22P05");
    }

    #[test]
    fn containment_is_by_members() {
        let contains = |left: &str, right: &str| {
            Json::parse(left)
                .and_then(|left| Ok(left.contains(&Json::parse(right)?)))
                .expect("JSON")
        };
        assert!(contains("{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1}}"));
        assert!(!contains("{\"a\":1}", "{\"a\":1,\"b\":2}"));
        assert!(contains("[1,2,[3,4]]", "[2,[4]]"));
        assert!(contains("[\"x\",1]", "\"x\""));
        assert!(!contains("\"x\"", "[\"x\"]"));
        assert!(contains("1.0", "1"));
    }
}
