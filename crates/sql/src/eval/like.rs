//! `LIKE` and `ILIKE`, compiled from their pattern.

use hashbrown::HashMap;
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
    /// The segments between `%`s, in order; the first and last are anchored to the ends.
    General {
        first: Vec<Piece>,
        middle: Vec<Search>,
        last: Vec<Piece>,
    },
    /// Without `%`, but with `_`.
    Whole(Vec<Piece>),
}

/// How the first place of a segment is found.
#[derive(Clone, Debug)]
enum Search {
    Literal(Box<memmem::Finder<'static>>),
    Short(Vec<Piece>),
    Masks(Box<Masks>),
}

/// Segments with `_` up to this length are tried at one place after the other, as are those of very
/// many characters: hardly a place takes more than a few steps there.
const SHORT: usize = 16;

/// A segment with `_`, found with the shift-and method (Baeza-Yates, Gonnet: "A New Approach to
/// Text Searching", CACM 1992): bit i of the state says that the text read last ends with the
/// first i + 1 pieces.
#[derive(Clone, Debug)]
struct Masks {
    pieces: usize,
    /// The places of `_`.
    any: Vec<u64>,
    /// For each character of the segment its places and those of `_`.
    of: HashMap<char, Vec<u64>>,
}

impl Masks {
    /// How many words the masks of all characters may have.
    const MAX_WORDS: usize = 1 << 18;

    /// `None` for a segment of so many characters that its masks would be too large.
    fn new(segment: &[Piece]) -> Option<Masks> {
        let words = segment.len().div_ceil(64);
        let mut any = vec![0; words];
        let mark = |mask: &mut Vec<u64>, at: usize| {
            if let Some(word) = mask.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        };
        for (at, piece) in segment.iter().enumerate() {
            if *piece == Piece::Any {
                mark(&mut any, at);
            }
        }
        let mut of: HashMap<char, Vec<u64>> = HashMap::new();
        for (at, piece) in segment.iter().enumerate() {
            if let Piece::Character(character) = piece {
                mark(of.entry(*character).or_insert_with(|| any.clone()), at);
                if of.len() * words > Masks::MAX_WORDS {
                    return None;
                }
            }
        }
        Some(Masks {
            pieces: segment.len(),
            any,
            of,
        })
    }

    /// The rest of `text` after the first place of the segment.
    fn after<'a>(&self, text: &'a str) -> Option<&'a str> {
        let mut state = vec![0_u64; self.any.len()];
        let last = 1 << ((self.pieces - 1) % 64);
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let accepted = self.of.get(&character).unwrap_or(&self.any);
            let mut carry = 1;
            for (word, accepted) in state.iter_mut().zip(accepted) {
                let next = *word >> 63;
                *word = (*word << 1 | carry) & accepted;
                carry = next;
            }
            if state.last().is_some_and(|word| word & last != 0) {
                return Some(characters.as_str());
            }
        }
        None
    }
}

impl Search {
    fn new(segment: Vec<Piece>) -> Search {
        match literal(&segment) {
            Some(text) => Search::Literal(Box::new(memmem::Finder::new(&text).into_owned())),
            None if segment.len() <= SHORT => Search::Short(segment),
            None => match Masks::new(&segment) {
                Some(masks) => Search::Masks(Box::new(masks)),
                None => Search::Short(segment),
            },
        }
    }

    /// The rest of `text` after the first place of the segment.
    fn after<'a>(&self, text: &'a str) -> Option<&'a str> {
        match self {
            Search::Literal(finder) => {
                let at = finder.find(text.as_bytes())?;
                text.get(at + finder.needle().len()..)
            }
            Search::Short(segment) => {
                let mut rest = text;
                loop {
                    if let Some(after) = strip(segment, rest) {
                        return Some(after);
                    }
                    let mut characters = rest.chars();
                    characters.next()?;
                    rest = characters.as_str();
                }
            }
            Search::Masks(masks) => masks.after(text),
        }
    }
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
            Shape::General { first: segment, .. } | Shape::Whole(segment) => segment
                .iter()
                .map_while(|piece| match piece {
                    Piece::Character(character) => Some(*character),
                    Piece::Any => None,
                })
                .collect(),
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
            _ => {
                let mut segments = segments.into_iter();
                let first = segments.next().unwrap_or_default();
                match segments.next_back() {
                    None => Shape::Whole(first),
                    Some(last) => Shape::General {
                        first,
                        middle: segments.map(Search::new).collect(),
                        last,
                    },
                }
            }
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Shape::Exact(exact) => text == exact,
            Shape::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Shape::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Shape::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Shape::General {
                first,
                middle,
                last,
            } => matches_segments(first, middle, last, text),
            Shape::Whole(segment) => strip(segment, text).is_some_and(str::is_empty),
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

/// Takes the first place of each segment: as segments are of fixed length, a later place can never
/// leave more to match.
fn matches_segments(first: &[Piece], middle: &[Search], last: &[Piece], text: &str) -> bool {
    let Some(mut rest) = strip(first, text) else {
        return false;
    };
    for segment in middle {
        match segment.after(rest) {
            Some(after) => rest = after,
            None => return false,
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

    quickcheck! {
        fn every_search_finds_the_first_place(segment: Vec<u8>, text: Vec<u8>, before: u8) -> bool {
            let segment: Vec<Piece> = segment
                .iter()
                .map(|choice| match choice % 5 {
                    0 => Piece::Any,
                    1 => Piece::Character('é'),
                    2 => Piece::Character('b'),
                    _ => Piece::Character('a'),
                })
                .chain([Piece::Any])
                .collect();
            // The segment itself, somewhere in other text, so that it is found often.
            let other = |choices: &[u8]| -> String {
                choices.iter().map(|choice| ['a', 'b', 'é'][usize::from(choice % 3)]).collect()
            };
            let inside: String = segment
                .iter()
                .map(|piece| match piece {
                    Piece::Character(character) => *character,
                    Piece::Any => 'x',
                })
                .collect();
            let place = usize::from(before).min(text.len());
            let text = other(&text[..place]) + &inside + &other(&text[place..]);
            let short = Search::Short(segment.clone());
            let masks = Masks::new(&segment).expect("masks of three characters");
            [text.as_str(), inside.as_str(), "ab"]
                .iter()
                .all(|text| short.after(text) == masks.after(text))
        }
    }

    /// Of quadratic time these would not end.
    #[test]
    fn long_segments_take_time_in_proportion() {
        let text = "a".repeat(1 << 18);
        let segment = "a".repeat(1 << 17);
        let matches = |pattern: &str| {
            LikePattern::new(pattern, None, false)
                .expect("nothing is escaped")
                .matches(&text)
        };
        assert!(!matches(&format!("%{segment}b%a")));
        assert!(matches(&format!("%{segment}%{segment}%")));
        let segment = "a".repeat(1 << 10);
        assert!(!matches(&format!("%{segment}_b%a")));
        assert!(matches(&format!("%{segment}_a%a")));
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
