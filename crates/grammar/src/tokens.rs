//! Text to tokens to the codes that the parser works on.

use std::sync::LazyLock;

/// What can be wrong with a text before it is parsed: something that begins and never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unterminated {
    /// `/*` without its `*/`.
    Comment,
    /// A string without its closing quote.
    String,
    /// A name without its closing double quote.
    Name,
    /// A dollar-quoted string without its closing tag.
    DollarString,
}

/// The place of something that never ends: where it begins, and where the sign ends that begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexicalError {
    /// What it is.
    pub what: Unterminated,
    /// Its first byte.
    pub start: usize,
    /// The end of its opening quote or tag.
    pub end: usize,
}

impl std::fmt::Display for LexicalError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self.what {
            Unterminated::Comment => "unterminated comment",
            Unterminated::String => "unterminated string",
            Unterminated::Name => "unterminated quoted name",
            Unterminated::DollarString => "unterminated dollar-quoted string",
        })
    }
}

impl std::error::Error for LexicalError {}

/// One token: the code that stands for it and its place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The character that the grammar's rules compare.
    pub code: char,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

/// How many bytes every code takes in a string of codes.
pub const CODE_BYTES: usize = 2;

/// A code that no rule takes. What is tried only where the next token can begin it is tried here:
/// parsing what stands before an error with this behind it tells all that could go on there.
pub const UNTAKEN: char = code::UNKNOWN;

/// The codes that are no word's and no operator's. `tokens.pest` names the same characters.
mod code {
    pub(super) const WORD: char = '\u{80}';
    pub(super) const QUOTED_NAME: char = '\u{81}';
    pub(super) const UNICODE_NAME: char = '\u{82}';
    pub(super) const STRING: char = '\u{83}';
    pub(super) const ESCAPE_STRING: char = '\u{84}';
    pub(super) const NATIONAL_STRING: char = '\u{85}';
    pub(super) const BIT_STRING: char = '\u{86}';
    pub(super) const UNICODE_STRING: char = '\u{87}';
    pub(super) const DOLLAR_STRING: char = '\u{88}';
    pub(super) const INTEGER: char = '\u{89}';
    pub(super) const NUMBER: char = '\u{8a}';
    pub(super) const PARAMETER: char = '\u{8b}';
    pub(super) const COLON_BEFORE_WORD: char = '\u{8c}';
    pub(super) const DOT: char = '\u{90}';
    pub(super) const SEMICOLON: char = '\u{96}';
    /// What no rule takes.
    pub(super) const UNKNOWN: char = '\u{9f}';
    pub(super) const CASE: char = '\u{111}';
    pub(super) const END: char = '\u{163}';
    pub(super) const FIRST_KEYWORD: char = '\u{100}';
    pub(super) const LAST_RESERVED: char = '\u{1bf}';
}

impl Token {
    /// Whether it is a keyword or a name without quotes.
    #[must_use]
    pub fn is_word(self) -> bool {
        is_word(self.code)
    }

    /// Whether it is a word that is a name only in double quotes.
    #[must_use]
    pub fn is_reserved(self) -> bool {
        (code::FIRST_KEYWORD..=code::LAST_RESERVED).contains(&self.code)
    }

    /// Whether it is a name or string in quotes of any kind.
    #[must_use]
    pub fn is_quoted(self) -> bool {
        (code::QUOTED_NAME..=code::DOLLAR_STRING).contains(&self.code)
    }

    /// Whether it is a number or a numbered parameter.
    #[must_use]
    pub fn is_number(self) -> bool {
        (code::INTEGER..=code::PARAMETER).contains(&self.code)
    }

    /// Whether it is CASE.
    #[must_use]
    pub fn is_case(self) -> bool {
        self.code == code::CASE
    }

    /// Whether it is END.
    #[must_use]
    pub fn is_end(self) -> bool {
        self.code == code::END
    }

    /// Whether it is a dot.
    #[must_use]
    pub fn is_dot(self) -> bool {
        self.code == code::DOT
    }

    /// Whether it is a semicolon.
    #[must_use]
    pub fn is_semicolon(self) -> bool {
        self.code == code::SEMICOLON
    }
}

/// Symbols by their first byte, longer ones before their beginnings.
fn symbols(first: u8) -> &'static [(&'static str, char)] {
    match first {
        b'(' => &[("(", '\u{8d}')],
        b')' => &[(")", '\u{8e}')],
        b',' => &[(",", '\u{8f}')],
        b'.' => &[(".", code::DOT)],
        b'[' => &[("[", '\u{bf}')],
        b']' => &[("]", '\u{92}')],
        b':' => &[("::", '\u{c0}'), (":=", '\u{94}'), (":", '\u{93}')],
        b';' => &[(";", code::SEMICOLON)],
        b'=' => &[("=>", '\u{95}'), ("=", '\u{c5}')],
        b'<' => &[
            ("<=", '\u{c1}'),
            ("<>", '\u{c3}'),
            ("<<", '\u{c9}'),
            ("<@", '\u{d1}'),
            ("<", '\u{c6}'),
        ],
        b'>' => &[(">=", '\u{c2}'), (">>", '\u{ca}'), (">", '\u{c7}')],
        b'!' => &[
            ("!~~*", '\u{d5}'),
            ("!~~", '\u{d6}'),
            ("!~*", '\u{d7}'),
            ("!~", '\u{d8}'),
            ("!=", '\u{c4}'),
        ],
        b'|' => &[
            ("||/", '\u{e3}'),
            ("||", '\u{c8}'),
            ("|/", '\u{e2}'),
            ("|", '\u{de}'),
        ],
        b'-' => &[("->>", '\u{cb}'), ("->", '\u{cc}'), ("-", '\u{e5}')],
        b'#' => &[
            ("#>>", '\u{cd}'),
            ("#>", '\u{ce}'),
            ("#-", '\u{cf}'),
            ("#", '\u{df}'),
        ],
        b'@' => &[("@>", '\u{d0}'), ("@", '\u{e1}')],
        b'?' => &[("?|", '\u{d2}'), ("?&", '\u{d3}'), ("?", '\u{d4}')],
        b'~' => &[
            ("~~*", '\u{d9}'),
            ("~~", '\u{da}'),
            ("~*", '\u{db}'),
            ("~", '\u{e0}'),
        ],
        b'&' => &[("&&", '\u{dc}'), ("&", '\u{dd}')],
        b'+' => &[("+", '\u{e4}')],
        b'*' => &[("*", '\u{e6}')],
        b'/' => &[("/", '\u{e7}')],
        b'%' => &[("%", '\u{e8}')],
        b'^' => &[("^", '\u{e9}')],
        _ => &[],
    }
}

/// Walks over the tokens of a text.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

// Macros read each statement with this lexer as it is, not optimised. So what runs for each byte is
// matches and indices in their plainest form, which the compiler makes no calls of.

fn is_word_start(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..)
}

fn is_word_part(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'0'..=b'9' | b'$' | 0x80..)
}

impl<'a> Lexer<'a> {
    /// A lexer at `position`, which must be where a token or white space begins.
    #[must_use]
    pub fn new(text: &'a str, position: usize) -> Lexer<'a> {
        Lexer { text, position }
    }

    fn byte(&self, offset: usize) -> Option<u8> {
        let bytes = self.text.as_bytes();
        let at = self.position + offset;
        if at < bytes.len() {
            Some(bytes[at])
        } else {
            None
        }
    }

    fn at_word_part(&self) -> bool {
        self.byte(0).is_some_and(is_word_part)
    }

    /// Steps over white space and comments.
    fn skip_gap(&mut self) -> Result<(), LexicalError> {
        loop {
            self.skip_lines();
            if !matches!(self.byte(0), Some(b'/')) || !matches!(self.byte(1), Some(b'*')) {
                return Ok(());
            }
            self.skip_block_comment()?;
        }
    }

    fn skip_line_comment(&mut self) {
        while self.byte(0).is_some_and(|byte| byte != b'\n') {
            self.position += 1;
        }
    }

    fn skip_block_comment(&mut self) -> Result<(), LexicalError> {
        let start = self.position;
        let mut depth = 0usize;
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.position += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.position += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.position += 1,
                (None, _) => {
                    return Err(LexicalError {
                        what: Unterminated::Comment,
                        start,
                        end: start + 2,
                    });
                }
            }
        }
    }

    /// The next token; `None` at the end.
    ///
    /// # Errors
    /// Comments and quotes that never end.
    pub fn next_token(&mut self) -> Result<Option<Token>, LexicalError> {
        self.skip_gap()?;
        let start = self.position;
        let Some(byte) = self.byte(0) else {
            return Ok(None);
        };
        let code = match byte {
            _ if is_word_start(byte) => self.word()?,
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_some_and(|byte| byte.is_ascii_digit()) => self.number(),
            b'\'' => self.strings(code::STRING, false)?,
            b'"' => {
                self.skip_quotes(b'"', false)?;
                code::QUOTED_NAME
            }
            b'$' => self.dollar()?,
            b':' if self.byte(1).is_some_and(is_word_start) => {
                self.position += 1;
                code::COLON_BEFORE_WORD
            }
            _ => self.symbol(byte),
        };
        Ok(Some(Token {
            code,
            start,
            end: self.position,
        }))
    }

    fn symbol(&mut self, first: u8) -> char {
        let rest = &self.text.as_bytes()[self.position..];
        for (symbol, code) in symbols(first) {
            // A comment may follow an operator without a space: `a||/* b */c`.
            let before_comment =
                symbol.len() > 1 && symbol.ends_with('/') && rest.get(symbol.len()) == Some(&b'*');
            if rest.starts_with(symbol.as_bytes()) && !before_comment {
                self.position += symbol.len();
                return *code;
            }
        }
        self.position += 1;
        code::UNKNOWN
    }

    fn word(&mut self) -> Result<char, LexicalError> {
        let start = self.position;
        let bytes = self.text.as_bytes();
        let mut hash = HASH_START;
        let mut plain = true;
        let mut end = start;
        while end < bytes.len() && is_word_part(bytes[end]) {
            let byte = bytes[end];
            plain &= matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'_');
            hash = hash_step(hash, byte);
            end += 1;
        }
        self.position = end;
        let quote = bytes.get(end).copied();
        if quote == Some(b'\'') && end == start + 1 {
            match bytes[start] {
                b'e' | b'E' => return self.strings(code::ESCAPE_STRING, true),
                b'n' | b'N' => return self.strings(code::NATIONAL_STRING, false),
                b'b' | b'B' | b'x' | b'X' => {
                    self.skip_quotes(b'\'', false)?;
                    return Ok(code::BIT_STRING);
                }
                _ => {}
            }
        }
        if quote == Some(b'&') && end == start + 1 && matches!(bytes[start], b'u' | b'U') {
            match bytes.get(end + 1) {
                Some(b'\'') => {
                    self.position += 1;
                    self.strings(code::UNICODE_STRING, false)?;
                    self.skip_uescape();
                    return Ok(code::UNICODE_STRING);
                }
                Some(b'"') => {
                    self.position += 1;
                    self.skip_quotes(b'"', false)?;
                    self.skip_uescape();
                    return Ok(code::UNICODE_NAME);
                }
                _ => {}
            }
        }
        Ok(if plain {
            KEYWORDS
                .code(&self.text[start..end], hash)
                .unwrap_or(code::WORD)
        } else {
            code::WORD
        })
    }

    /// A number, or digits with letters after them, which are no token.
    fn number(&mut self) -> char {
        let based = match (self.byte(0), self.byte(1)) {
            (Some(b'0'), Some(b'x' | b'X')) => Some(16),
            (Some(b'0'), Some(b'o' | b'O')) => Some(8),
            (Some(b'0'), Some(b'b' | b'B')) => Some(2),
            _ => None,
        };
        let mut integer = false;
        let valid = if let Some(radix) = based {
            self.position += 2;
            if self.byte(0) == Some(b'_') {
                self.position += 1;
            }
            self.digits(radix) > 0
        } else {
            let start = self.position;
            integer =
                self.digits(10) > 0 && !self.text.as_bytes()[start..self.position].contains(&b'_');
            if self.byte(0) == Some(b'.') {
                integer = false;
                self.position += 1;
                self.digits(10);
            }
            if let Some(b'e' | b'E') = self.byte(0) {
                let before = self.position;
                integer = false;
                self.position += 1;
                if let Some(b'+' | b'-') = self.byte(0) {
                    self.position += 1;
                }
                if self.digits(10) == 0 {
                    self.position = before;
                }
            }
            true
        };
        if !valid || self.at_word_part() {
            while self.at_word_part() {
                self.position += 1;
            }
            return code::UNKNOWN;
        }
        if integer { code::INTEGER } else { code::NUMBER }
    }

    /// Steps over digits with single underscores between them; tells how many bytes that are.
    fn digits(&mut self, radix: u32) -> usize {
        let start = self.position;
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| char::from(byte).is_digit(radix));
        while is_digit(self.byte(0))
            || self.position > start && self.byte(0) == Some(b'_') && is_digit(self.byte(1))
        {
            self.position += 1;
        }
        self.position - start
    }

    /// Strings that are one: with white space between them in which a line ends (SQL-92 5.3).
    fn strings(&mut self, code: char, backslash: bool) -> Result<char, LexicalError> {
        self.skip_quotes(b'\'', backslash)?;
        loop {
            let end = self.position;
            let line_ended = self.skip_lines();
            if !line_ended || self.byte(0) != Some(b'\'') {
                self.position = end;
                return Ok(code);
            }
            self.skip_quotes(b'\'', backslash)?;
        }
    }

    /// Steps over white space and comments to the ends of lines; tells whether a line ended.
    fn skip_lines(&mut self) -> bool {
        let mut line_ended = false;
        loop {
            match self.byte(0) {
                Some(b'\n') => {
                    line_ended = true;
                    self.position += 1;
                }
                Some(b' ' | b'\t' | b'\r' | 0x0c | 0x0b) => self.position += 1,
                Some(b'-') if self.byte(1) == Some(b'-') => self.skip_line_comment(),
                _ => return line_ended,
            }
        }
    }

    /// Steps over `UESCAPE 'c'` where that is next.
    fn skip_uescape(&mut self) {
        const WORD: &str = "uescape";
        let before = self.position;
        let found = self.skip_gap().is_ok()
            && self
                .text
                .get(self.position..self.position + WORD.len())
                .is_some_and(|word| word.eq_ignore_ascii_case(WORD))
            && {
                self.position += WORD.len();
                self.skip_gap().is_ok()
            }
            && self.byte(0) == Some(b'\'')
            && self.skip_quotes(b'\'', false).is_ok();
        if !found {
            self.position = before;
        }
    }

    /// Steps over a quoted text that begins at the current position.
    fn skip_quotes(&mut self, quote: u8, backslash: bool) -> Result<(), LexicalError> {
        let start = self.position;
        self.position += 1;
        loop {
            match self.byte(0) {
                Some(byte) if byte == quote => {
                    self.position += 1;
                    if self.byte(0) != Some(quote) {
                        return Ok(());
                    }
                    self.position += 1;
                }
                Some(b'\\') if backslash => self.position += 2,
                Some(_) => self.position += 1,
                None => {
                    self.position = self.text.len();
                    return Err(LexicalError {
                        what: if quote == b'"' {
                            Unterminated::Name
                        } else {
                            Unterminated::String
                        },
                        start,
                        end: start + 1,
                    });
                }
            }
        }
    }

    /// A parameter, a dollar-quoted string, or a lone dollar sign.
    fn dollar(&mut self) -> Result<char, LexicalError> {
        let start = self.position;
        self.position += 1;
        if self.byte(0).is_some_and(|byte| byte.is_ascii_digit()) {
            let mut valid = true;
            while let Some(byte) = self.byte(0)
                && is_word_part(byte)
            {
                valid &= byte.is_ascii_digit();
                self.position += 1;
            }
            return Ok(if valid {
                code::PARAMETER
            } else {
                code::UNKNOWN
            });
        }
        while let Some(byte) = self.byte(0)
            && is_word_part(byte)
            && byte != b'$'
        {
            self.position += 1;
        }
        if self.byte(0) != Some(b'$') {
            self.position = start + 1;
            return Ok(code::UNKNOWN);
        }
        self.position += 1;
        let tag = &self.text[start..self.position];
        match self.text[self.position..].find(tag) {
            Some(offset) => {
                self.position += offset + tag.len();
                Ok(code::DOLLAR_STRING)
            }
            None => {
                let end = self.position;
                self.position = self.text.len();
                Err(LexicalError {
                    what: Unterminated::DollarString,
                    start,
                    end,
                })
            }
        }
    }
}

/// The texts in quotes that a name or string in quotes is made of, each with its quotes, and the
/// one after UESCAPE.
#[must_use]
pub fn quoted_parts(token: &str) -> (Vec<&str>, Option<&str>) {
    let Some(first) = token.bytes().position(|byte| byte == b'\'' || byte == b'"') else {
        return (Vec::new(), None);
    };
    let quote = token.as_bytes()[first];
    let backslash = token.starts_with(['e', 'E']);
    let mut lexer = Lexer::new(token, first);
    let mut parts = Vec::new();
    loop {
        let start = lexer.position;
        if lexer.skip_quotes(quote, backslash).is_err() {
            return (parts, None);
        }
        parts.push(&token[start..lexer.position]);
        if lexer.skip_gap().is_err() || lexer.position >= token.len() {
            return (parts, None);
        }
        if lexer.byte(0) != Some(quote) {
            break;
        }
    }
    let escape = token[lexer.position..].find('\'');
    (parts, escape.map(|at| &token[lexer.position + at..]))
}

/// What stands between the tags of a dollar-quoted string.
#[must_use]
pub fn dollar_body(token: &str) -> &str {
    let tag = token
        .char_indices()
        .skip(1)
        .find(|(_, character)| *character == '$')
        .map_or(0, |(at, _)| at + 1);
    token.get(tag..token.len() - tag).unwrap_or_default()
}

/// A text as the parser takes it: one code for each token, and where the tokens are.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    codes: String,
    places: Vec<(usize, usize)>,
}

impl Tokens {
    /// The tokens of a text.
    ///
    /// # Errors
    /// Comments and quotes that never end.
    pub fn of(text: &str) -> Result<Tokens, LexicalError> {
        let mut tokens = Tokens::default();
        let mut lexer = Lexer::new(text, 0);
        while let Some(token) = lexer.next_token()? {
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// Adds a token.
    pub fn push(&mut self, token: Token) {
        self.codes.push(token.code);
        self.places.push((token.start, token.end));
    }

    /// What [`crate::SqlParser`] parses.
    #[must_use]
    pub fn codes(&self) -> &str {
        &self.codes
    }

    /// The codes of some of the tokens.
    #[must_use]
    pub fn codes_of(&self, tokens: std::ops::Range<usize>) -> &str {
        self.codes
            .get(tokens.start * CODE_BYTES..tokens.end * CODE_BYTES)
            .unwrap_or_default()
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a token is in the text: its first byte, and the byte after its last.
    #[must_use]
    pub fn place(&self, token: usize) -> Option<(usize, usize)> {
        self.places.get(token).copied()
    }
}

/// The code of a keyword in any case.
#[must_use]
pub fn keyword_code(word: &str) -> Option<char> {
    let hash = word.bytes().fold(HASH_START, hash_step);
    KEYWORDS.code(word, hash)
}

/// Whether a code is a keyword's or that of a name without quotes.
#[must_use]
pub fn is_word(code: char) -> bool {
    code == code::WORD || code >= code::FIRST_KEYWORD
}

/// Whether a word is a name only in double quotes.
#[must_use]
pub fn is_reserved(word: &str) -> bool {
    keyword_code(word).is_some_and(|code| code <= code::LAST_RESERVED)
}

const HASH_START: u32 = 0x811c_9dc5;

/// One step of FNV-1a over letters in lower case.
fn hash_step(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193)
}

/// The keywords, found by hash: open addressing, at most a third full.
struct Keywords {
    slots: Vec<Option<(&'static str, char)>>,
}

const SLOTS: usize = 1024;

static KEYWORDS: LazyLock<Keywords> = LazyLock::new(|| {
    let mut keywords = Keywords {
        slots: vec![None; SLOTS],
    };
    for (word, code) in listed_keywords() {
        let mut slot = word.bytes().fold(HASH_START, hash_step) as usize % SLOTS;
        while keywords.slots[slot].is_some() {
            slot = (slot + 1) % SLOTS;
        }
        keywords.slots[slot] = Some((word, code));
    }
    keywords
});

impl Keywords {
    fn code(&self, word: &str, hash: u32) -> Option<char> {
        let mut slot = hash as usize % SLOTS;
        while let Some((known, code)) = self.slots[slot] {
            if known.eq_ignore_ascii_case(word) {
                return Some(code);
            }
            slot = (slot + 1) % SLOTS;
        }
        None
    }
}

/// The words in `keywords.pest` with their codes.
fn listed_keywords() -> impl Iterator<Item = (&'static str, char)> {
    include_str!("keywords.pest").lines().filter_map(|line| {
        let (word, code) = line.strip_prefix("kw_")?.split_once(" = { \"\\u{")?;
        let code = u32::from_str_radix(code.strip_suffix("}\" }")?, 16).ok()?;
        Some((word, char::from_u32(code)?))
    })
}
