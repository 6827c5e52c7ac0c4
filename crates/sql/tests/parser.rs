//! The parser: round trips through print, and statements no test author would write.

use rustling_sql::{SqlState, parse, parse_expression, parse_statement};

/// The tree without the places.
fn shape(debug: String) -> String {
    let mut result = String::with_capacity(debug.len());
    let mut rest = debug.as_str();
    while let Some(start) = rest.find("Span {") {
        result.push_str(&rest[..start]);
        let end = rest[start..].find('}').expect("spans are closed");
        rest = &rest[start + end + 1..];
    }
    result.push_str(rest);
    result
}

#[expect(clippy::panic, reason = "a test helper")]
fn round_trip(sql: &str) {
    let tree = match parse_statement(sql) {
        Ok(tree) => tree,
        Err(error) => panic!("{sql}\n{error:?}"),
    };
    let printed = tree.to_string();
    let again = match parse_statement(&printed) {
        Ok(tree) => tree,
        Err(error) => panic!("{sql}\n{printed}\n{error:?}"),
    };
    assert_eq!(
        shape(format!("{tree:?}")),
        shape(format!("{again:?}")),
        "{sql}\n{printed}"
    );
    assert_eq!(printed, again.to_string());
}

#[test]
fn statements_print_and_parse_back() {
    for sql in include_str!("parser_statements.sql").split(";\n") {
        if !sql.trim().is_empty() {
            round_trip(sql);
        }
    }
}

#[test]
fn operators_bind_as_in_postgresql() {
    for (text, with_parentheses) in [
        ("a or b and c", "a OR b AND c"),
        ("(a or b) and c", "(a OR b) AND c"),
        ("not a = b", "NOT a = b"),
        ("not a and b", "NOT a AND b"),
        ("(not a) = b", "(NOT a) = b"),
        ("a + b * c", "a + b * c"),
        ("(a + b) * c", "(a + b) * c"),
        ("a - b - c", "a - b - c"),
        ("a - (b - c)", "a - (b - c)"),
        ("-a ^ 2", "-a ^ 2"),
        ("-(a ^ 2)", "-(a ^ 2)"),
        ("a || b = c", "a || b = c"),
        ("a < b is null", "a < b IS NULL"),
        ("a < (b is null)", "a < (b IS NULL)"),
        ("a = b between c and d", "a = b BETWEEN c AND d"),
        ("(a = b) between c and d", "(a = b) BETWEEN c AND d"),
        ("a between 1 and 2 and b", "a BETWEEN 1 AND 2 AND b"),
        ("a in (1, 2) = true", "a IN (1, 2) = TRUE"),
        ("x like 'a' || b escape '!'", "x LIKE 'a' || b ESCAPE '!'"),
        ("-1::int", "-1::int"),
        ("(-1)::int", "(-1)::int"),
        ("a at time zone 'UTC' + b", "a AT TIME ZONE 'UTC' + b"),
        ("a is distinct from b = c", "a IS DISTINCT FROM b = c"),
        ("~a + b", "~a + b"),
        ("(~a) + b", "(~a) + b"),
        ("a <> all (select 1)", "a <> ALL (SELECT 1)"),
        ("e'a\\n' 'b'\n'c'", "e'a\\n' 'b'\n'c'"),
    ] {
        let Ok(tree) = parse_expression(text) else {
            assert!(text.starts_with("e'"), "{text}");
            continue;
        };
        assert_eq!(tree.to_string(), with_parentheses, "{text}");
    }
}

#[test]
fn strings_decode() {
    for (text, value) in [
        ("'it''s'", "it's"),
        ("'a' \n 'b'", "ab"),
        ("E'a\\n\\t\\\\\\'\\x41\\u00e9\\101'", "a\n\t\\'A\u{e9}A"),
        ("$$it's$$", "it's"),
        ("$x$a $$ b$x$", "a $$ b"),
        ("U&'d\\0061t\\+000061'", "data"),
        ("U&'d!0061t' UESCAPE '!'", "dat"),
        ("U&'\\D83D\\DE00'", "\u{1F600}"),
        ("'\\n'", "\\n"),
    ] {
        let tree = parse_expression(text).unwrap();
        assert_eq!(
            tree.to_string(),
            format!("'{}'", value.replace('\'', "''")),
            "{text}"
        );
    }
}

#[test]
fn numbers_have_many_forms() {
    for (text, printed) in [
        ("1e5", "1e5"),
        (".5", ".5"),
        ("5.", "5."),
        ("0xFF", "255"),
        ("0b101", "5"),
        ("0o17", "15"),
        ("1_000", "1000"),
    ] {
        assert_eq!(parse_expression(text).unwrap().to_string(), printed);
    }
    for wrong in ["1a", "0x", "1e", "1__0", "12abc"] {
        assert!(parse_expression(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn words_that_look_like_keywords_are_names() {
    for sql in [
        "SELECT selectx, fromage, day, year, value, values, row, exists FROM asx, orders",
        "SELECT extract, substring, position, trim, interval, time, timestamp FROM t",
        "SELECT t.select, t.from FROM t AS left_",
        "SELECT left('a', 1), right('b', 2), date, text, char FROM name",
        "SELECT 1 AS select, 2 AS from",
        "UPDATE t SET set = 1, value = 2",
        "SELECT key, value, index, action FROM store ORDER BY key",
    ] {
        round_trip(sql);
    }
}

#[test]
fn operators_may_touch_what_is_beside_them() {
    for (text, printed) in [
        ("a||/* b */c", "a || c"),
        ("a<-1", "a < -1"),
        ("a=-1", "a = -1"),
        ("- -a", "- -a"),
        ("~ ~a", "~ ~a"),
        ("a@>b", "a @> b"),
        ("a->>b", "a ->> b"),
        ("a[1:b]", "a[1: b]"),
        ("a[ 1 : 2 ]", "a[1: 2]"),
        ("a[b::int]", "a[b::int]"),
        ("a=:b", "a = :b"),
        ("a.b.c", "a.b.c"),
        ("1.5+.5", "1.5 + .5"),
        ("a::text||b", "a::text || b"),
        ("case when a then .5 end", "CASE WHEN a THEN .5 END"),
    ] {
        assert_eq!(
            parse_expression(text).unwrap().to_string(),
            printed,
            "{text}"
        );
    }
    for wrong in ["a < = b", "a : : int", "a - > b", "$ 1", "a | | b"] {
        assert!(parse_expression(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn with_is_parsed_once_whatever_follows_it() {
    // Were it parsed anew for each kind of statement, or after an error in it, this would not end.
    let levels = LEVELS.min(30);
    for (last, ok) in [("DELETE FROM t", true), ("DELETE t", false)] {
        let mut sql = last.to_owned();
        for _ in 0..levels {
            sql = format!("WITH a AS ({sql} RETURNING 1) DELETE FROM t");
        }
        assert_eq!(parse_statement(&sql).is_ok(), ok, "{last}");
    }
    for sql in [
        "WITH a AS (SELECT 1) SELECT 1 INTO TEMP t FROM a",
        "WITH a AS (SELECT 1) MERGE INTO t USING a ON true WHEN MATCHED THEN DELETE",
        "WITH a AS (SELECT 1) INSERT INTO t WITH b AS (SELECT 2) SELECT 3",
    ] {
        round_trip(sql);
    }
    for (sql, state) in [
        (
            "WITH a AS (SELECT 1 INTO t) SELECT 1",
            SqlState::SYNTAX_ERROR,
        ),
        (
            "WITH a AS (MERGE INTO t USING b ON true WHEN MATCHED THEN DELETE) SELECT 1",
            SqlState::FEATURE_NOT_SUPPORTED,
        ),
        (
            "WITH a AS (SELECT 1) WITH b AS (SELECT 1) SELECT 1",
            SqlState::SYNTAX_ERROR,
        ),
    ] {
        assert_eq!(parse_statement(sql).unwrap_err().state(), state, "{sql}");
    }
}

#[test]
fn an_error_in_deep_nesting_is_found_at_once() {
    // Text that is parsed once per alternative at each level would take 2^levels steps.
    for (open, wrong, close) in [
        ("(", "1 1", ")"),
        ("f(", "1 1", ")"),
        ("(SELECT ", "1 FROM FROM", ")"),
        ("(WITH a AS (SELECT 1) SELECT ", "1 FROM FROM", ")"),
        ("(VALUES (", "1 1", "))"),
        ("ARRAY[", "1 1", "]"),
        ("ROW(", "1 1", ")"),
        ("CASE WHEN ", "1 1", " THEN 1 END"),
        ("CAST(", "1 1", " AS int)"),
        ("a IN (", "1 1", ")"),
        ("a = ANY (", "1 1", ")"),
        ("a BETWEEN (", "1 1", ") AND 2"),
        ("substring(", "1 1", " FROM 1)"),
        ("extract(year FROM ", "1 1", ")"),
        ("sum(1) OVER (ROWS (", "1 1", ") PRECEDING)"),
        ("sum(1) FILTER (WHERE ", "1 1", ")"),
        ("(SELECT 1 FROM (SELECT ", "1 1 1", ") a)"),
        ("(SELECT 1 GROUP BY ROLLUP (", "1 1", "))"),
        ("a[", "1 1", "]"),
    ] {
        let brackets = open.matches(['(', '[', 'C']).count();
        let levels = LEVELS / brackets.max(1);
        let sql = format!(
            "SELECT {}{wrong}{}",
            open.repeat(levels),
            close.repeat(levels)
        );
        let error = parse_statement(&sql).unwrap_err();
        assert_eq!(error.state(), SqlState::SYNTAX_ERROR, "{open}");
    }
}

/// Nearly as deep as the parser goes.
const LEVELS: usize = rustling_sql::parser::MAX_NESTING - 2;

#[test]
fn nesting_and_length_have_bounds() {
    let deep = |open: &str, close: &str, n: usize| {
        format!("SELECT {}1{}", open.repeat(n), close.repeat(n))
    };
    for (sql, ok) in [
        (deep("(", ")", LEVELS), true),
        (deep("(", ")", 10_000), false),
        (deep("f(", ")", LEVELS), true),
        (deep("(select ", ")", LEVELS), true),
        (deep("(select ", ")", 10_000), false),
        (deep("case when true then ", " end", LEVELS), true),
        (deep("case when true then ", " end", 10_000), false),
        (deep("substring(", ", 1)", LEVELS), true),
        (deep("trim(", ")", LEVELS), true),
        (deep("not ", "", 100), true),
        (deep("not ", "", 20_000), false),
        (deep("- ", "", 20_000), false),
        (deep("1 = not ", "", 20_000), false),
        (deep("@ 1 + ", "", 20_000), false),
        (deep("", "::int", 100), true),
        (deep("", "::int", 20_000), false),
        (deep("", " is null", 20_000), false),
        (deep("", " = 1 is null", 20_000), false),
        (deep("", "[1]", 20_000), false),
    ] {
        let result = parse_statement(&sql);
        let start = &sql[..30.min(sql.len())];
        match result {
            Ok(tree) => {
                assert!(ok, "{start}");
                let printed = tree.to_string();
                drop(tree);
                assert!(parse_statement(&printed).is_ok(), "{start}");
            }
            Err(error) => {
                assert!(!ok, "{start}: {error}");
                assert_eq!(error.state(), SqlState::STATEMENT_TOO_COMPLEX, "{start}");
            }
        }
    }
}

#[test]
fn long_flat_statements_parse() {
    for (open, item) in [
        ("SELECT a", " + b"),
        ("SELECT a", " AND b"),
        ("SELECT a", " OR b"),
        ("SELECT a", " || b * c"),
        ("SELECT 1", ", 1"),
        ("SELECT 1", " UNION ALL SELECT 1"),
        ("VALUES (1)", ", (2)"),
        ("SELECT 1 FROM a", ", b"),
    ] {
        let sql = format!("{open}{}", item.repeat(10_000));
        let tree = parse_statement(&sql).unwrap();
        assert!(tree.to_string().len() >= sql.len());
    }
    let error = parse_statement(&format!(
        "SELECT 1 FROM a{}",
        " CROSS JOIN b".repeat(10_000)
    ));
    assert_eq!(error.unwrap_err().state(), SqlState::STATEMENT_TOO_COMPLEX);
}

#[test]
fn scripts_split_into_statements() {
    let statements = parse("SELECT 1; -- one\n;; SELECT ';'").unwrap();
    assert_eq!(statements.len(), 2);
    assert_eq!(statements[1].span.start, 20);
}
