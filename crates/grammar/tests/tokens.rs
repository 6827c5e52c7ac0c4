//! The lexer, and that its codes are those that the grammar's rules compare.

use pest::{Parser as _, error::ErrorVariant};
use rustling_grammar::{
    CODE_BYTES, Lexer, Rule, SqlParser, Token, Tokens, UNTAKEN, Unterminated, dollar_body,
    is_reserved, keyword_code, quoted_parts,
};

fn token(text: &str) -> Token {
    let mut lexer = Lexer::new(text, 0);
    let token = lexer.next_token().ok().flatten().expect(text);
    assert_eq!(token.end, text.len(), "{text}");
    token
}

fn is(rule: Rule, text: &str) -> bool {
    SqlParser::parse(rule, &token(text).code.to_string()).is_ok()
}

#[test]
fn every_keyword_is_the_token_of_its_rule() {
    let mut codes = std::collections::BTreeSet::new();
    for rule in Rule::all_rules() {
        let name = format!("{rule:?}");
        let Some(word) = name.strip_prefix("kw_") else {
            continue;
        };
        let code = keyword_code(word).expect(word);
        assert_eq!(token(&word.to_uppercase()).code, code, "{word}");
        assert!(codes.insert(code), "two words have {code:?}: {word}");
        assert!(('\u{100}'..='\u{3ff}').contains(&code), "{word}");
        assert!(rule.is_keyword(), "{word}");
        assert!(is(*rule, word), "{word}");
        assert!(is(Rule::label, word), "{word}");
        assert_eq!(is(Rule::name, word), !is_reserved(word), "{word}");
    }
    assert!(codes.len() > 300);
    for word in ["selec", "selects", "select1", "kw_select", ""] {
        assert_eq!(keyword_code(word), None, "{word}");
    }
}

#[test]
fn tokens_that_the_scan_asks_for_are_known() {
    let known = |text| {
        let token = token(text);
        (token.is_case(), token.is_end(), token.is_dot())
    };
    assert_eq!(known("Case"), (true, false, false));
    assert_eq!(known("end"), (false, true, false));
    assert_eq!(known("."), (false, false, true));
    assert_eq!(known("cases"), (false, false, false));
}

/// What is only tried before tokens that can begin it must be tried before this one, or errors
/// would not name it.
#[test]
fn everything_is_tried_before_what_no_rule_takes() {
    for (text, rules) in [
        ("", &[Rule::statement][..]),
        ("SELECT", &[Rule::quantifier, Rule::expression]),
        ("SELECT a", &[Rule::open, Rule::string, Rule::alias]),
        ("SELECT a", &[Rule::kw_from, Rule::kw_into, Rule::kw_where]),
        (
            "SELECT a",
            &[Rule::kw_group, Rule::kw_having, Rule::kw_window],
        ),
        ("SELECT a", &[Rule::set_operator, Rule::kw_order]),
        ("SELECT a", &[Rule::limit_clause, Rule::kw_for, Rule::EOI]),
        (
            "SELECT a()",
            &[Rule::kw_within, Rule::kw_filter, Rule::kw_over],
        ),
        ("SELECT a FROM b", &[Rule::kw_on, Rule::kw_using]),
        ("SELECT a FROM b", &[Rule::table_alias]),
        ("WITH a AS (", &[Rule::plain_query, Rule::kw_insert]),
    ] {
        let tokens = Tokens::of(text).unwrap();
        let codes = format!("{}{UNTAKEN}", tokens.codes());
        let error = SqlParser::parse(Rule::statement_text, &codes).unwrap_err();
        let at = pest::error::InputLocation::Pos(tokens.len() * CODE_BYTES);
        assert_eq!(error.location, at, "{text}");
        let ErrorVariant::ParsingError { positives, .. } = error.variant else {
            panic!("{text}");
        };
        for rule in rules {
            assert!(
                positives.contains(rule),
                "{text}: {rule:?} in {positives:?}"
            );
        }
    }
}

#[test]
fn every_symbol_is_the_token_of_its_rule() {
    for (rule, symbols) in [
        (Rule::open, "("),
        (Rule::close, ")"),
        (Rule::comma, ","),
        (Rule::dot, "."),
        (Rule::open_bracket, "["),
        (Rule::close_bracket, "]"),
        (Rule::colon, ":"),
        (Rule::colon_equals, ":="),
        (Rule::arrow, "=>"),
        (Rule::equals, "="),
        (Rule::double_colon, "::"),
        (Rule::star, "*"),
        (Rule::plus_prefix, "+"),
        (Rule::minus_prefix, "-"),
        (Rule::comparison_infix, "<= >= <> != = < >"),
        (
            Rule::other_infix,
            "|| << >> ->> -> #>> #> #- @> <@ ?| ?& ? !~~* !~~ !~* !~ ~~* ~~ ~* && & | # ~",
        ),
        (Rule::other_prefix, "~ @ |/ ||/"),
        (Rule::add_infix, "+ -"),
        (Rule::multiply_infix, "* / %"),
        (Rule::power_infix, "^"),
    ] {
        for symbol in symbols.split(' ') {
            assert!(is(rule, symbol), "{rule:?} {symbol}");
        }
    }
}

#[test]
fn literals_and_names() {
    for (rule, texts) in [
        (
            Rule::name,
            &[
                "a",
                "_",
                "é",
                "a$1",
                "u",
                "x1",
                "\"a\"",
                "\"a\"\"b\"",
                "u&\"a\"",
                "U&\"a\" UESCAPE '!'",
            ][..],
        ),
        (
            Rule::string,
            &[
                "''",
                "'a''b'",
                "'a' -- it's\n 'b'",
                "'\\'",
                "e'\\''",
                "E'a'\n'\\''",
                "n'a'",
                "b'01'",
                "X'ff'",
                "u&'a' /* c */ uescape '!'",
                "$$ ' $ $$",
                "$é$ $$ $é$",
            ],
        ),
        (Rule::integer, &["0", "007"]),
        (
            Rule::number,
            &[
                "0", "1.", ".5", "1.5e-3", "1e5", "1_000", "0xff", "0x_f_f", "0b1", "0o7",
            ],
        ),
        (Rule::parameter, &["$1"]),
    ] {
        for text in texts {
            assert!(is(rule, text), "{rule:?} {text}");
        }
    }
    for text in ["1.", "1_000", "0xff", "1e5"] {
        assert!(!is(Rule::integer, text), "{text}");
    }
    for nothing in ["1a", "0xg", "1_", "$1a", "1e", "`", "!", "0b2", "$"] {
        for rule in [
            Rule::number,
            Rule::parameter,
            Rule::other_infix,
            Rule::label,
        ] {
            assert!(!is(rule, nothing), "{rule:?} {nothing}");
        }
    }
}

#[test]
fn a_comment_may_follow_an_operator() {
    let text = "a||/* b */c::d:e[1:2]-- end";
    let tokens = Tokens::of(text).unwrap();
    let texts: Vec<_> = (0..tokens.len())
        .filter_map(|token| tokens.place(token))
        .map(|(start, end)| &text[start..end])
        .collect();
    assert_eq!(
        texts,
        ["a", "||", "c", "::", "d", ":", "e", "[", "1", ":", "2", "]"]
    );
}

#[test]
fn what_never_ends() {
    for (text, what, start) in [
        ("a /* /* */", Unterminated::Comment, 2),
        ("a 'b''", Unterminated::String, 2),
        ("a e'\\'", Unterminated::String, 3),
        ("a \"b", Unterminated::Name, 2),
        ("a $b$ $$", Unterminated::DollarString, 2),
    ] {
        let error = Tokens::of(text).unwrap_err();
        assert_eq!((error.what, error.start), (what, start), "{text}");
    }
}

#[test]
fn parts_of_quoted_texts() {
    assert_eq!(quoted_parts("'a''b'"), (vec!["'a''b'"], None));
    assert_eq!(
        quoted_parts("E'\\'' -- '\n'c'"),
        (vec!["'\\''", "'c'"], None)
    );
    assert_eq!(
        quoted_parts("U&'a'\n'b' UESCAPE '!'"),
        (vec!["'a'", "'b'"], Some("'!'"))
    );
    assert_eq!(dollar_body("$$a$$"), "a");
    assert_eq!(dollar_body("$é$a$$$é$"), "a$$");
}
