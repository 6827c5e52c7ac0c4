//! `LIKE` and `ILIKE`, compiled from their pattern.

use memchr::memmem;

use crate::{Error, Result, SqlState};

/// A compiled `LIKE` pattern: `%` stands for any text, `_` for one character.
#[derive(Clone, Debug)]
pub struct LikePattern {
    shape: Shape,
    case_insensitive: bool,
}

/// The common patterns have searches of their own.
#[derive(Clone, Debug)]
enum Shape {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(Box<memmem::Finder<'static>>),
    /// The pieces between `%`s, in order; the first and last are anchored to the ends.
    General(Vec<Vec<Piece>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Character(char),
    Any,
}

/// SQLSTATE 22025, invalid_escape_sequence.
const INVALID_ESCAPE: SqlState = SqlState("22025");

/// The escape character that `ESCAPE text` names; `None` for the empty text: no escaping.
pub(super) fn escape_character(text: &str) -> Result<Option<char>> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::new(INVALID_ESCAPE, "invalid escape string")
            .hint("Escape string must be empty or one character.")),
    }
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

impl LikePattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// 22025 where it ends with the escape character.
    pub fn new(pattern: &str, escape: Option<char>, case_insensitive: bool) -> Result<LikePattern> {
        let folded;
        let pattern = if case_insensitive {
            folded = fold(pattern);
            &folded
        } else {
            pattern
        };
        let mut segments = vec![Vec::new()];
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let piece = if Some(character) == escape {
                match characters.next() {
                    Some(escaped) => Piece::Character(escaped),
                    None => {
                        return Err(Error::new(
                            INVALID_ESCAPE,
                            "LIKE pattern must not end with escape character",
                        ));
                    }
                }
            } else if character == '%' {
                segments.push(Vec::new());
                continue;
            } else if character == '_' {
                Piece::Any
            } else {
                Piece::Character(character)
            };
            if let Some(segment) = segments.last_mut() {
                segment.push(piece);
            }
        }
        Ok(LikePattern {
            shape: Shape::of(segments),
            case_insensitive,
        })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        if self.case_insensitive {
            self.shape.matches(&fold(text))
        } else {
            self.shape.matches(text)
        }
    }

    /// The text that every match begins with, for index ranges; empty where nothing is known.
    #[must_use]
    pub fn literal_prefix(&self) -> String {
        if self.case_insensitive {
            return String::new();
        }
        match &self.shape {
            Shape::Exact(text) | Shape::Prefix(text) => text.clone(),
            Shape::Suffix(_) | Shape::Contains(_) => String::new(),
            Shape::General(segments) => segments.first().map_or_else(String::new, |segment| {
                segment
                    .iter()
                    .map_while(|piece| match piece {
                        Piece::Character(character) => Some(*character),
                        Piece::Any => None,
                    })
                    .collect()
            }),
        }
    }
}

/// The text of a segment without `_`.
fn literal(segment: &[Piece]) -> Option<String> {
    segment
        .iter()
        .map(|piece| match piece {
            Piece::Character(character) => Some(*character),
            Piece::Any => None,
        })
        .collect()
}

impl Shape {
    fn of(segments: Vec<Vec<Piece>>) -> Shape {
        // `%%` is `%`: the empty pieces inside say nothing.
        let last = segments.len() - 1;
        let segments: Vec<Vec<Piece>> = segments
            .into_iter()
            .enumerate()
            .filter(|(index, segment)| *index == 0 || *index == last || !segment.is_empty())
            .map(|(_, segment)| segment)
            .collect();
        let literals: Option<Vec<String>> = segments.iter().map(|s| literal(s)).collect();
        match literals.as_deref() {
            Some([text]) => Shape::Exact(text.clone()),
            Some([prefix, end]) if end.is_empty() => Shape::Prefix(prefix.clone()),
            Some([start, suffix]) if start.is_empty() => Shape::Suffix(suffix.clone()),
            Some([start, middle, end]) if start.is_empty() && end.is_empty() => {
                Shape::Contains(Box::new(memmem::Finder::new(middle).into_owned()))
            }
            _ => Shape::General(segments),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Shape::Exact(exact) => text == exact,
            Shape::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Shape::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Shape::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Shape::General(segments) => matches_segments(segments, text),
        }
    }
}

/// The rest of `text` after `segment`, where it begins with it.
fn strip<'a>(segment: &[Piece], text: &'a str) -> Option<&'a str> {
    let mut rest = text.chars();
    for piece in segment {
        let found = rest.next()?;
        if *piece != Piece::Any && *piece != Piece::Character(found) {
            return None;
        }
    }
    Some(rest.as_str())
}

/// Takes the first place of each piece: as pieces are of fixed length, a later place can never
/// leave more to match.
fn matches_segments(segments: &[Vec<Piece>], text: &str) -> bool {
    let Some((first, others)) = segments.split_first() else {
        return text.is_empty();
    };
    let Some(mut rest) = strip(first, text) else {
        return false;
    };
    let Some((last, middle)) = others.split_last() else {
        return rest.is_empty();
    };
    for segment in middle {
        loop {
            if let Some(after) = strip(segment, rest) {
                rest = after;
                break;
            }
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return false;
            }
            rest = characters.as_str();
        }
    }
    let wanted = last.len();
    if wanted == 0 {
        return true;
    }
    let Some((tail, _)) = rest.char_indices().rev().nth(wanted - 1) else {
        return false;
    };
    strip(last, &rest[tail..]).is_some_and(str::is_empty)
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    /// The definition, by recursion.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            Some(('_', rest)) => !text.is_empty() && reference(rest, &text[1..]),
            Some((character, rest)) => {
                text.first() == Some(character) && reference(rest, &text[1..])
            }
        }
    }

    fn letters(choices: &[u8], of: &[char]) -> Vec<char> {
        choices
            .iter()
            .take(9)
            .map(|choice| of[usize::from(*choice) % of.len()])
            .collect()
    }

    quickcheck! {
        fn matches_as_defined(pattern: Vec<u8>, text: Vec<u8>) -> bool {
            let pattern = letters(&pattern, &['a', 'b', '%', '_', 'é']);
            let text = letters(&text, &['a', 'b', 'é']);
            let compiled = LikePattern::new(&pattern.iter().collect::<String>(), None, false)
                .expect("nothing is escaped");
            compiled.matches(&text.iter().collect::<String>()) == reference(&pattern, &text)
        }
    }

    #[test]
    fn escapes_and_case() {
        let check = |pattern: &str, escape, insensitive, text: &str| {
            LikePattern::new(pattern, escape, insensitive)
                .map(|pattern| pattern.matches(text))
                .ok()
        };
        assert_eq!(check("10\\%", Some('\\'), false, "10%"), Some(true));
        assert_eq!(check("10\\%", Some('\\'), false, "105"), Some(false));
        assert_eq!(check("10#%", Some('#'), false, "10%"), Some(true));
        assert_eq!(check("10\\", Some('\\'), false, "10\\"), None);
        assert_eq!(check("10\\", None, false, "10\\"), Some(true));
        assert_eq!(check("%ÄÖ_", None, true, "xäöü"), Some(true));
        assert_eq!(check("%%", None, false, ""), Some(true));
        let pattern = LikePattern::new("ab_c%", None, false).expect("valid");
        assert_eq!(pattern.literal_prefix(), "ab");
    }
}
