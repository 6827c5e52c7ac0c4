//! Arrays (PostgreSQL 8.15): values of one type in one or more dimensions.

use std::{cmp::Ordering, fmt};

use smallvec::SmallVec;

use super::{Conversion, DataType, TextStyle, Value, excerpt};
use crate::{Error, Result, SqlState};

/// As many dimensions as PostgreSQL allows.
pub const MAX_DIMENSIONS: usize = 6;

/// As many elements as an array may have.
pub const MAX_ELEMENTS: usize = 134_217_727;

/// SQLSTATE 2202E, array_subscript_error.
pub(crate) const ARRAY_SUBSCRIPT_ERROR: SqlState = SqlState("2202E");

/// One dimension of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dimension {
    /// The subscript of the first element; 1 unless said otherwise.
    pub lower: i32,
    /// How many elements there are.
    pub length: u32,
}

impl Dimension {
    /// The subscript of the last element.
    #[must_use]
    pub fn upper(self) -> i64 {
        i64::from(self.lower) + i64::from(self.length) - 1
    }
}

/// An array. Without elements it has no dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    dimensions: SmallVec<[Dimension; 1]>,
    /// Row by row: the last subscript varies fastest.
    values: Vec<Value>,
    /// Whether it is written as the vectors of the catalog are.
    vector: bool,
}

impl Array {
    /// An array of one dimension.
    #[must_use]
    pub fn new(values: Vec<Value>) -> Array {
        let mut dimensions = SmallVec::new();
        if !values.is_empty() {
            dimensions.push(Dimension {
                lower: 1,
                length: u32::try_from(values.len()).unwrap_or(u32::MAX),
            });
        }
        Array {
            dimensions,
            values,
            vector: false,
        }
    }

    /// An `int2vector` or `oidvector`: subscripts begin with 0, and it is written as `1 2`.
    #[must_use]
    pub fn vector(values: Vec<Value>) -> Array {
        let mut array = Array::new(values);
        for dimension in &mut array.dimensions {
            dimension.lower = 0;
        }
        array.vector = true;
        array
    }

    /// The array that a vector is.
    #[must_use]
    pub fn not_vector(mut self) -> Array {
        self.vector = false;
        self
    }

    /// An array with these dimensions; `None` where the elements do not fill them, or there are
    /// too many of either.
    #[must_use]
    pub fn with_dimensions(dimensions: &[Dimension], values: Vec<Value>) -> Option<Array> {
        if values.is_empty() {
            return Some(Array::new(values));
        }
        let fits = dimensions.len() <= MAX_DIMENSIONS
            && values.len() <= MAX_ELEMENTS
            && dimensions
                .iter()
                .try_fold(1usize, |count, dimension| {
                    count.checked_mul(dimension.length as usize)
                })
                .is_some_and(|count| count == values.len())
            && dimensions
                .iter()
                .all(|dimension| i32::try_from(dimension.upper()).is_ok());
        fits.then(|| Array {
            dimensions: dimensions.into(),
            values,
            vector: false,
        })
    }

    /// The dimensions, outermost first.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// The elements, row by row.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The elements, row by row.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// The element at these subscripts; `None` where there is none.
    #[must_use]
    pub fn get(&self, subscripts: &[i32]) -> Option<&Value> {
        if subscripts.len() != self.dimensions.len() || subscripts.is_empty() {
            return None;
        }
        let mut at = 0usize;
        for (subscript, dimension) in subscripts.iter().zip(&self.dimensions) {
            let offset = i64::from(*subscript) - i64::from(dimension.lower);
            let offset = usize::try_from(offset)
                .ok()
                .filter(|offset| *offset < dimension.length as usize)?;
            at = at * dimension.length as usize + offset;
        }
        self.values.get(at)
    }

    /// The part between these bounds, one pair per dimension (missing: the whole of it); its
    /// lower bounds are 1. Empty where the bounds meet nothing.
    #[must_use]
    pub fn slice(&self, bounds: &[(Option<i32>, Option<i32>)]) -> Array {
        if bounds.len() > self.dimensions.len() || self.values.is_empty() {
            return Array::new(Vec::new());
        }
        let mut ranges: SmallVec<[(usize, usize); 2]> = SmallVec::new();
        for (at, dimension) in self.dimensions.iter().enumerate() {
            let (low, high) = bounds.get(at).copied().unwrap_or((None, None));
            let low = low.map_or(dimension.lower, |low| low.max(dimension.lower));
            let high = high.map_or(dimension.upper(), |high| {
                i64::from(high).min(dimension.upper())
            });
            if i64::from(low) > high {
                return Array::new(Vec::new());
            }
            let first = (i64::from(low) - i64::from(dimension.lower)) as usize;
            let count = (high - i64::from(low) + 1) as usize;
            ranges.push((first, count));
        }
        let mut values = Vec::new();
        self.collect(&ranges, 0, 0, &mut values);
        let dimensions: SmallVec<[Dimension; 2]> = ranges
            .iter()
            .map(|(_, count)| Dimension {
                lower: 1,
                length: *count as u32,
            })
            .collect();
        Array::with_dimensions(&dimensions, values).unwrap_or_else(|| Array::new(Vec::new()))
    }

    fn collect(&self, ranges: &[(usize, usize)], depth: usize, base: usize, into: &mut Vec<Value>) {
        let (Some((first, count)), Some(dimension)) =
            (ranges.get(depth), self.dimensions.get(depth))
        else {
            into.extend(self.values.get(base).cloned());
            return;
        };
        for at in *first..first + count {
            self.collect(
                ranges,
                depth + 1,
                base * dimension.length as usize + at,
                into,
            );
        }
    }

    /// The order of arrays: by elements, then by how many, then by shape. NULL elements are
    /// equal and above the others.
    #[must_use]
    pub fn compare(&self, other: &Array) -> Ordering {
        self.values
            .iter()
            .zip(&other.values)
            .map(|(left, right)| left.compare(right))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
            .then_with(|| self.values.len().cmp(&other.values.len()))
            .then_with(|| self.dimensions.len().cmp(&other.dimensions.len()))
            .then_with(|| {
                let shape = |array: &Array| -> SmallVec<[(u32, i32); 2]> {
                    array
                        .dimensions
                        .iter()
                        .map(|dimension| (dimension.length, dimension.lower))
                        .collect()
                };
                shape(self).cmp(&shape(other))
            })
    }

    /// Its elements converted one by one.
    ///
    /// # Errors
    /// What `convert` fails with.
    pub fn map(self, convert: impl FnMut(Value) -> Result<Value>) -> Result<Array> {
        Ok(Array {
            dimensions: self.dimensions,
            values: self
                .values
                .into_iter()
                .map(convert)
                .collect::<Result<_>>()?,
            vector: self.vector,
        })
    }

    /// The heap bytes of the array and its elements.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        size_of::<Array>()
            + self.values.len() * size_of::<Value>()
            + self.values.iter().map(Value::heap_size).sum::<usize>()
    }

    /// Writes it as PostgreSQL does: `{1,2,NULL}`, `[0:1]={a,"b c"}`.
    pub(super) fn write(&self, f: &mut impl fmt::Write, style: &TextStyle) -> fmt::Result {
        if self.vector {
            for (at, value) in self.values.iter().enumerate() {
                if at > 0 {
                    f.write_char(' ')?;
                }
                write!(f, "{}", value.display_in(style))?;
            }
            return Ok(());
        }
        if self.values.is_empty() {
            return f.write_str("{}");
        }
        if self.dimensions.iter().any(|dimension| dimension.lower != 1) {
            for dimension in &self.dimensions {
                write!(f, "[{}:{}]", dimension.lower, dimension.upper())?;
            }
            f.write_char('=')?;
        }
        self.write_level(f, style, 0, 0).map(drop)
    }

    fn write_level(
        &self,
        f: &mut impl fmt::Write,
        style: &TextStyle,
        depth: usize,
        mut at: usize,
    ) -> Result<usize, fmt::Error> {
        let Some(dimension) = self.dimensions.get(depth) else {
            match self.values.get(at) {
                None | Some(Value::Null) => f.write_str("NULL")?,
                Some(value) => write_element(f, &value.display_in(style).to_string())?,
            }
            return Ok(at + 1);
        };
        f.write_char('{')?;
        for position in 0..dimension.length {
            if position > 0 {
                f.write_char(',')?;
            }
            at = self.write_level(f, style, depth + 1, at)?;
        }
        f.write_char('}')?;
        Ok(at)
    }
}

fn write_element(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| {
            matches!(c, '{' | '}' | '"' | '\\' | ',') || c.is_ascii_whitespace() || c == '\u{b}'
        });
    if plain {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

fn malformed(text: &str, detail: &str) -> Error {
    Error::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{}\"", excerpt(text)),
    )
    .detail(detail)
}

/// Reads an array's text form.
pub(super) fn parse(text: &str, element: DataType, conversion: &Conversion<'_>) -> Result<Array> {
    let body = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let (lowers, body) = bounds(text, body)?;
    let mut reader = Reader {
        text,
        rest: body,
        element,
        conversion,
        values: Vec::new(),
        lengths: Vec::new(),
    };
    reader.level(0)?;
    if !reader.rest.trim().is_empty() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    if reader.values.is_empty() {
        return Ok(Array::new(Vec::new()));
    }
    let mut dimensions: SmallVec<[Dimension; 2]> = reader
        .lengths
        .iter()
        .map(|length| Dimension {
            lower: 1,
            length: length.unwrap_or(0),
        })
        .collect();
    if let Some(lowers) = lowers {
        let same = lowers.len() == dimensions.len()
            && lowers
                .iter()
                .zip(&dimensions)
                .all(|(given, found)| given.length == found.length);
        if !same {
            return Err(malformed(
                text,
                "Specified array dimensions do not match array contents.",
            ));
        }
        dimensions = lowers;
    }
    Array::with_dimensions(&dimensions, reader.values)
        .ok_or_else(|| malformed(text, "The array is too large."))
}

/// `[1:2][0:3]=` before the braces.
fn bounds<'a>(text: &str, body: &'a str) -> Result<(Option<SmallVec<[Dimension; 2]>>, &'a str)> {
    let mut rest = body;
    let mut dimensions = SmallVec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        let wrong = || malformed(text, "Missing array dimension value.");
        let (range, after) = inner.split_once(']').ok_or_else(wrong)?;
        let (low, high) = range.split_once(':').unwrap_or(("1", range));
        let low: i32 = low.trim().parse().map_err(|_| wrong())?;
        let high: i32 = high.trim().parse().map_err(|_| wrong())?;
        let length = i64::from(high) - i64::from(low) + 1;
        if length < 1 {
            return Err(Error::new(
                ARRAY_SUBSCRIPT_ERROR,
                "upper bound cannot be less than lower bound",
            ));
        }
        if dimensions.len() == MAX_DIMENSIONS {
            return Err(too_many_dimensions(dimensions.len() + 1));
        }
        dimensions.push(Dimension {
            lower: low,
            length: length as u32,
        });
        rest = after.trim_start();
    }
    if dimensions.is_empty() {
        return Ok((None, rest));
    }
    let rest = rest
        .strip_prefix('=')
        .ok_or_else(|| malformed(text, "Missing \"=\" after array dimensions."))?;
    Ok((Some(dimensions), rest.trim_start()))
}

pub(crate) fn too_many_dimensions(found: usize) -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!(
            "number of array dimensions ({found}) exceeds the maximum allowed ({MAX_DIMENSIONS})"
        ),
    )
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    element: DataType,
    conversion: &'a Conversion<'a>,
    values: Vec<Value>,
    /// The length of each dimension, once one of its rows has ended.
    lengths: Vec<Option<u32>>,
}

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    }

    /// One pair of braces and what is in it.
    fn level(&mut self, depth: usize) -> Result<()> {
        let text = self.text;
        self.skip_blanks();
        self.rest = self.rest.strip_prefix('{').ok_or_else(|| {
            malformed(
                text,
                "Array value must start with \"{\" or dimension information.",
            )
        })?;
        if depth == MAX_DIMENSIONS {
            return Err(too_many_dimensions(depth + 1));
        }
        let first_here = self.lengths.len() == depth;
        if first_here {
            self.lengths.push(None);
        }
        let mut count = 0u32;
        let mut nested = None;
        self.skip_blanks();
        if let Some(rest) = self.rest.strip_prefix('}') {
            self.rest = rest;
        } else {
            loop {
                self.skip_blanks();
                let is_nested = self.rest.starts_with('{');
                if *nested.get_or_insert(is_nested) != is_nested
                    || (!is_nested && self.lengths.len() > depth + 1)
                {
                    return Err(self.ragged());
                }
                if is_nested {
                    self.level(depth + 1)?;
                } else {
                    let value = self.item()?;
                    self.values.push(value);
                    if self.values.len() > MAX_ELEMENTS {
                        return Err(malformed(text, "The array is too large."));
                    }
                }
                count += 1;
                self.skip_blanks();
                if let Some(rest) = self.rest.strip_prefix(',') {
                    self.rest = rest;
                } else if let Some(rest) = self.rest.strip_prefix('}') {
                    self.rest = rest;
                    break;
                } else if self.rest.is_empty() {
                    return Err(malformed(text, "Unexpected end of input."));
                } else {
                    return Err(malformed(text, "Unexpected array element."));
                }
            }
        }
        match self.lengths.get_mut(depth) {
            Some(Some(length)) if *length != count => return Err(self.ragged()),
            Some(slot) => *slot = Some(count),
            None => {}
        }
        Ok(())
    }

    fn ragged(&self) -> Error {
        malformed(
            self.text,
            "Multidimensional arrays must have sub-arrays with matching dimensions.",
        )
    }

    /// One element, quoted or not.
    fn item(&mut self) -> Result<Value> {
        let text = self.text;
        let mut content = String::new();
        let mut quoted = false;
        // Blanks at the end of an unquoted element do not count.
        let mut kept = 0;
        let mut characters = self.rest.char_indices();
        let end = loop {
            let Some((at, c)) = characters.next() else {
                return Err(malformed(text, "Unexpected end of input."));
            };
            match c {
                ',' | '}' => break at,
                '{' => return Err(malformed(text, "Unexpected \"{\" character.")),
                '"' => {
                    quoted = true;
                    loop {
                        match characters.next() {
                            None => return Err(malformed(text, "Unexpected end of input.")),
                            Some((_, '"')) => break,
                            Some((_, '\\')) => {
                                content.extend(characters.next().map(|(_, c)| c));
                            }
                            Some((_, c)) => content.push(c),
                        }
                    }
                    kept = content.len();
                }
                '\\' => {
                    content.extend(characters.next().map(|(_, c)| c));
                    kept = content.len();
                }
                c => {
                    content.push(c);
                    if !c.is_ascii_whitespace() {
                        kept = content.len();
                    }
                }
            }
        };
        self.rest = &self.rest[end..];
        content.truncate(kept);
        if !quoted && content.is_empty() {
            return Err(malformed(text, "Unexpected \",\" or \"}\" character."));
        }
        if !quoted && content.eq_ignore_ascii_case("null") {
            return Ok(Value::Null);
        }
        Value::parse_in(&content, self.element, self.conversion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Array> {
        parse(text, DataType::Text, &Conversion::UTC)
    }

    fn shown(text: &str) -> String {
        match read(text) {
            Ok(array) => Value::Array(Box::new(array)).to_string(),
            Err(error) => format!("{} {error}", error.state().0),
        }
    }

    #[test]
    fn arrays_come_back_as_they_went_in() {
        for text in [
            "{}",
            "{a,b}",
            "{NULL,\"null\",\"\"}",
            "{{a,b},{c,d}}",
            "[0:1]={a,b}",
            "{\"a b\",\"\\\"\",\"\\\\\"}",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown(" { a b , \"c\" d } "), "{\"a b\",\"c d\"}");
    }

    #[test]
    fn malformed_arrays_are_refused() {
        for text in [
            "",
            "{",
            "{a",
            "{a,}",
            "{{a},b}",
            "{{a},{b,c}}",
            "{a}x",
            "a,b",
            "{{{{{{{a}}}}}}}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn slices_keep_the_inner_part() {
        let array = read("{{a,b,c},{d,e,f}}").expect("an array");
        let slice = array.slice(&[(Some(2), None), (Some(1), Some(2))]);
        assert_eq!(Value::Array(Box::new(slice)).to_string(), "{{d,e}}");
        assert_eq!(array.get(&[2, 3]), Some(&Value::Text("f".into())));
        assert_eq!(array.get(&[3, 1]), None);
        assert_eq!(array.slice(&[(Some(5), None)]).values(), &[]);
    }
}
