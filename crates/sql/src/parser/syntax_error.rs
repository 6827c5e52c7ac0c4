//! Syntax errors in plain words: what was expected, what was found, what was perhaps meant.

use std::collections::BTreeSet;

use pest::{
    Parser as _,
    error::{Error as PestError, ErrorVariant, InputLocation},
};

use super::{
    Scanner, Token,
    build::Parsed,
    grammar::{self, CODE_BYTES, Rule, SqlParser, UNTAKEN, is_reserved, keyword_code},
    habits::instead,
    scan::Piece,
};
use crate::{
    error::{Error, SqlState},
    span::Span,
};

/// Longer statements are not parsed again to test a suggestion.
const MAX_RETRY_BYTES: usize = 16 * 1024;

/// How many things a message lists as expected.
const MAX_EXPECTED: usize = 4;

/// Words that begin statements.
const STATEMENT_WORDS: [&str; 25] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "WITH",
    "VALUES",
    "TABLE",
    "BEGIN",
    "START",
    "COMMIT",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT",
    "RELEASE",
    "EXPLAIN",
    "ANALYZE",
    "SET",
    "RESET",
    "SHOW",
    "CHECKPOINT",
    "ALTER",
    "GRANT",
];

/// Words inside statements that may be misspelled where a name could stand.
const CLAUSE_WORDS: [&str; 44] = [
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "OUTER",
    "CROSS",
    "NATURAL",
    "ON",
    "USING",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "VALUES",
    "SET",
    "INTO",
    "TABLE",
    "INDEX",
    "DISTINCT",
    "BETWEEN",
    "LIKE",
    "ILIKE",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "IS",
    "IN",
    "AS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "SELECT",
];

/// The error for a statement that the grammar refused.
pub(super) fn explain(
    parsed: Parsed<'_>,
    piece: &Piece,
    error: &PestError<Rule>,
    root: Rule,
) -> Error {
    let sql = parsed.sql;
    let position = parsed.start_of(position(error));
    let found = token_at(sql, position, piece.span.end);
    let span = found.map_or(
        Span {
            start: piece.span.end,
            end: piece.span.end,
        },
        |(_, span)| span,
    );
    let found_text = describe_found(sql, found);
    let codes = parsed.tokens.codes_of(piece.tokens.clone());
    let mut expected = Expected::of(&tried(codes, error, root));
    if let Some(unopened) = piece.unopened.filter(|unopened| *unopened <= span.start) {
        return syntax(
            "found a closing parenthesis without an opening one",
            Span {
                start: unopened,
                end: unopened + 1,
            },
        );
    }
    let mut result = match expected.text() {
        Some(text) => syntax(&format!("expected {text}, found {found_text}"), span),
        None => {
            let bare = found_text.strip_prefix("the ").unwrap_or(&found_text);
            syntax(&format!("unexpected {bare}"), span)
        }
    };
    if let Some((wrong, right)) = misspelled(parsed, piece, error, &expected, root) {
        return result.hint(format!(
            "Did you mean {right} instead of \"{}\"?",
            &sql[wrong.start..wrong.end]
        ));
    }
    if found.is_none()
        && let Some(unclosed) = piece.unclosed
    {
        expected.words.clear();
        result = syntax(
            "the parenthesis is never closed",
            Span {
                start: unclosed,
                end: unclosed + 1,
            },
        );
        return result;
    }
    if let Some((Token::Word, _)) = found {
        let word = &sql[span.start..span.end];
        if is_reserved(word) && expected.name {
            return result.hint(format!(
                "\"{}\" is a reserved word; put it in double quotes to use it as a name.",
                word.to_ascii_lowercase()
            ));
        }
    }
    if let Some(hint) = found.and_then(|found| instead(sql, found, expected.expression)) {
        return result.hint(hint);
    }
    if expected.expression && preceded_by_comma(sql, span.start) {
        return result.hint("Remove the comma, or add what should follow it.");
    }
    result
}

/// The rules that could have gone on where the error is.
///
/// The grammar leaves out those that cannot begin with the next token. So what stands before the
/// error is parsed again, with a token behind it that it tries all of them with.
fn tried(codes: &str, error: &PestError<Rule>, root: Rule) -> Vec<Rule> {
    let at = position(error);
    let before = codes.get(..at).unwrap_or_default();
    let again = SqlParser::parse(root, &format!("{before}{UNTAKEN}"))
        .err()
        .filter(|again| position(again) == at);
    match again.as_ref().unwrap_or(error).variant.clone() {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => Vec::new(),
    }
}

fn syntax(message: &str, span: Span) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("syntax error: {message}")).at(span)
}

fn preceded_by_comma(sql: &str, position: usize) -> bool {
    sql[..position].trim_end().ends_with(',')
}

fn position(error: &PestError<Rule>) -> usize {
    match error.location {
        InputLocation::Pos(position) | InputLocation::Span((position, _)) => position,
    }
}

fn token_at(sql: &str, position: usize, end: usize) -> Option<(Token, Span)> {
    match Scanner::new(sql, position).next_token() {
        Ok(Some((token, span))) if span.start < end => Some((
            token,
            Span {
                start: span.start,
                end: character_end(sql, span, token),
            },
        )),
        _ => None,
    }
}

/// Symbols are single bytes to the scanner; keep to character boundaries.
fn character_end(sql: &str, span: Span, token: Token) -> usize {
    match token {
        Token::Symbol(_) => sql[span.start..]
            .chars()
            .next()
            .map_or(span.end, |character| span.start + character.len_utf8()),
        _ => span.end,
    }
}

fn describe_found(sql: &str, found: Option<(Token, Span)>) -> String {
    let Some((token, span)) = found else {
        return "the end of the statement".to_owned();
    };
    let text = &sql[span.start..span.end];
    match token {
        Token::Word if is_reserved(text) => text.to_ascii_uppercase(),
        Token::Quoted if text.starts_with('"') => format!("the name {}", shorten(text)),
        Token::Quoted => format!("the string {}", shorten(text)),
        Token::Number => format!("the number {}", shorten(text)),
        Token::Word | Token::Symbol(_) => format!("\"{}\"", shorten(text)),
    }
}

fn shorten(text: &str) -> String {
    const MOST: usize = 30;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

/// What the grammar would have accepted, in words.
#[derive(Debug, Default)]
struct Expected {
    expression: bool,
    string: bool,
    name: bool,
    statement: bool,
    end: bool,
    words: Vec<String>,
    keywords: BTreeSet<String>,
}

impl Expected {
    fn of(rules: &[Rule]) -> Expected {
        let mut expected = Expected::default();
        for rule in rules {
            expected.add(*rule);
        }
        expected
    }

    fn word(&mut self, word: &str) {
        if !self.words.iter().any(|known| known == word) {
            self.words.push(word.to_owned());
        }
    }

    fn keyword(&mut self, word: &str) {
        self.word(word);
        self.keywords.extend(word.split(' ').map(str::to_owned));
    }

    fn add(&mut self, rule: Rule) {
        match rule {
            Rule::expression
            | Rule::restricted_expression
            | Rule::number
            | Rule::parameter
            | Rule::named_parameter
            | Rule::parenthesised
            | Rule::name_primary
            | Rule::not_prefix
            | Rule::minus_prefix
            | Rule::plus_prefix
            | Rule::other_prefix
            | Rule::select_item
            | Rule::select_list
            | Rule::argument
            | Rule::order_item
            | Rule::group_item => self.expression = true,
            Rule::string => self.string = true,
            Rule::statement => self.statement = true,
            Rule::EOI => self.end = true,
            Rule::name
            | Rule::qualified_name
            | Rule::label
            | Rule::column_names
            | Rule::table_name
            | Rule::index_name
            | Rule::setting_name
            | Rule::target_alias => self.name = true,
            Rule::table_primary => self.word("a table"),
            Rule::type_name | Rule::short_type | Rule::long_type => self.word("a type"),
            Rule::query | Rule::plain_query | Rule::select => self.word("a query"),
            Rule::table_element | Rule::column_definition => self.word("a column"),
            Rule::column_constraint | Rule::constraint_attribute | Rule::table_option => {}
            Rule::open => self.word("\"(\""),
            Rule::close => self.word("\")\""),
            Rule::comma => self.word("\",\""),
            Rule::equals => self.word("\"=\""),
            Rule::set_operator => self.keyword("UNION"),
            Rule::limit_clause => self.keyword("LIMIT"),
            Rule::negation => self.keyword("NOT"),
            Rule::values_row => self.word("a row in parentheses"),
            Rule::integer => self.word("a number"),
            Rule::setting_value => self.word("a value"),
            Rule::transaction_mode | Rule::transaction_modes => self.word("a transaction mode"),
            Rule::assignment => self.word("column = value"),
            Rule::interval_fields | Rule::interval_field => self.word("an interval field"),
            Rule::case_branch => self.keyword("WHEN"),
            Rule::common_table => self.word("a name"),
            _ if rule.is_keyword() => {
                let name = format!("{rule:?}");
                self.keyword(&name.trim_start_matches("kw_").to_ascii_uppercase());
            }
            _ => {
                let name = format!("{rule:?}");
                if let Some(word) = name
                    .strip_suffix("_clause")
                    .or_else(|| name.strip_suffix("_word"))
                {
                    self.keyword(&word.to_ascii_uppercase());
                } else if matches!(
                    rule,
                    Rule::order_by
                        | Rule::group_by
                        | Rule::if_exists
                        | Rule::if_not_exists
                        | Rule::default_values
                        | Rule::on_conflict
                        | Rule::returning
                        | Rule::not_null
                        | Rule::primary_key
                        | Rule::unique
                        | Rule::check
                ) {
                    self.keyword(&name.replace('_', " ").to_ascii_uppercase());
                }
                // Operators and the like: everything can go on with them, saying so helps nobody.
            }
        }
    }

    fn text(&self) -> Option<String> {
        if self.statement {
            return Some("a statement such as SELECT or INSERT".to_owned());
        }
        let mut list: Vec<&str> = Vec::new();
        // Where it could be a name as well, it is a value of any kind.
        let expression = self.expression || (self.string && self.name);
        if expression {
            list.push("an expression");
        } else if self.name {
            list.push("a name");
        } else if self.string {
            list.push("a string");
        }
        let punctuation = self.words.iter().filter(|word| word.starts_with('"'));
        let words = self.words.iter().filter(|word| !word.starts_with('"'));
        if expression {
            let closing = punctuation.filter(|word| *word != "\"(\"");
            list.extend(closing.map(String::as_str));
        } else {
            list.extend(words.chain(punctuation).map(String::as_str));
        }
        if self.end && !expression {
            list.push("the end of the statement");
        }
        if list.is_empty() || list.len() > MAX_EXPECTED {
            return None;
        }
        let last = list.pop()?;
        Some(if list.is_empty() {
            last.to_owned()
        } else {
            format!("{} or {last}", list.join(", "))
        })
    }
}

/// A word at or shortly before the error that is a keyword but for a slip of the fingers, and
/// that keyword. Tried out: with the keyword the parser must get further.
fn misspelled(
    parsed: Parsed<'_>,
    piece: &Piece,
    error: &PestError<Rule>,
    expected: &Expected,
    root: Rule,
) -> Option<(Span, String)> {
    if piece.span.end - piece.span.start > MAX_RETRY_BYTES {
        return None;
    }
    let wrong = position(error) / CODE_BYTES;
    let codes = parsed.tokens.codes_of(piece.tokens.clone());
    // The last words up to the error, the one at the error first.
    let words = (0..=wrong).rev().filter_map(|token| {
        let code = codes.get(token * CODE_BYTES..)?.chars().next()?;
        let (start, end) = parsed.tokens.place(parsed.first + token)?;
        grammar::is_word(code).then_some((token, Span { start, end }))
    });
    let mut best: Option<(usize, Span, String)> = None;
    for (token, word) in words.take(3) {
        let text = parsed.sql[word.start..word.end].to_ascii_uppercase();
        let first = token == 0;
        let candidates: Box<dyn Iterator<Item = &str>> = if first {
            Box::new(STATEMENT_WORDS.iter().copied())
        } else if token == wrong {
            Box::new(
                expected
                    .keywords
                    .iter()
                    .map(String::as_str)
                    .chain(CLAUSE_WORDS.iter().copied()),
            )
        } else {
            Box::new(CLAUSE_WORDS.iter().copied())
        };
        for candidate in candidates {
            if candidate == text {
                continue;
            }
            let distance = strsim::damerau_levenshtein(&text, candidate);
            let allowed = match candidate.len() {
                0..=2 => 0,
                3..=4 => 1,
                _ => 2,
            };
            if distance > allowed
                || distance >= candidate.len().min(text.len())
                || best
                    .as_ref()
                    .is_some_and(|(known, _, _)| *known <= distance)
            {
                continue;
            }
            if gets_further(codes, token, candidate, wrong, root) {
                best = Some((distance, word, candidate.to_owned()));
            }
        }
        if best.is_some() {
            break;
        }
    }
    best.map(|(_, span, word)| (span, word))
}

/// Whether the statement parses further than token `wrong` with another word in the place of
/// `token`.
fn gets_further(codes: &str, token: usize, replacement: &str, wrong: usize, root: Rule) -> bool {
    let Some(code) = keyword_code(replacement) else {
        return false;
    };
    let mut corrected = codes.to_owned();
    let place = token * CODE_BYTES;
    corrected.replace_range(place..place + CODE_BYTES, code.encode_utf8(&mut [0; 4]));
    match SqlParser::parse(root, &corrected) {
        Ok(_) => true,
        Err(error) => position(&error) / CODE_BYTES > wrong.max(token),
    }
}
