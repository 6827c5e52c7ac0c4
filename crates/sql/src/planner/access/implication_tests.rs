//! What implies what.

use crate::{
    bound::Expr,
    planner::access::{conditions_tests::expr, implication::implies},
};

/// Whether all of `conditions` together imply `wanted`.
fn check(conditions: &[&str], wanted: &str) -> bool {
    let conditions: Vec<Expr> = conditions.iter().map(|text| expr(text)).collect();
    let conditions: Vec<&Expr> = conditions.iter().collect();
    implies(&conditions, &expr(wanted))
}

#[test]
fn what_is_implied() {
    for (conditions, wanted) in [
        (&["a = 1"][..], "a = 1"),
        (&["a = 1", "b = 2"], "b = 2 AND a = 1"),
        (&["a = 1 AND b = 2"], "b = 2"),
        (&["a = 1"], "a = 1 OR b = 2"),
        (&["a = 1 OR a = 2"], "a < 3"),
        (&["a = 5"], "a > 3"),
        (&["a = 5"], "a <> 3"),
        (&["a = 5"], "a IN (4, 5)"),
        (&["5 = a"], "3 < a"),
        (&["a > 5"], "a > 5"),
        (&["a > 5"], "a >= 5"),
        (&["a > 5"], "a > 4"),
        (&["a > 5"], "a <> 5"),
        (&["a >= 6"], "a > 5"),
        (&["a < 5"], "a <= 5"),
        (&["a <= 4"], "a < 5"),
        (&["a BETWEEN 3 AND 4"], "a > 2"),
        (&["a IN (1, 2, NULL)"], "a IN (3, 2, 1)"),
        (&["a IN (1, 2)"], "a < 3"),
        (&["a = ANY ('{1,2}')"], "a < 3"),
        (&["s = 'x'"], "s IS NOT NULL"),
        (&["s LIKE 'x%'"], "s IS NOT NULL"),
        (&["a > $1"], "a IS NOT NULL"),
        (&["a IN (1, $1)"], "a IS NOT NULL"),
        (&["a = ANY ($1)"], "a IS NOT NULL"),
        (&["a + b > 1"], "a IS NOT NULL AND b IS NOT NULL"),
        (&["lower(s) = 'x'"], "lower(s) IS NOT NULL"),
        (&["f"], "f"),
        (&["f = true"], "f"),
        (&["f IS TRUE"], "f = true"),
        (&["NOT f"], "f = false"),
        (&["f = false"], "NOT f"),
        (&["f IS FALSE"], "NOT f"),
        (&["NOT (NOT (f IS TRUE))"], "f"),
        (&["((f IS TRUE) = false) = false"], "f"),
        (&["(f = false) IS TRUE"], "NOT f"),
        (&["(NOT f) IS FALSE"], "f"),
        (&["f"], "f IS NOT NULL"),
        (&["(a = ANY ($1)) IS TRUE"], "a IS NOT NULL"),
        (&["(a = 1) IS FALSE"], "a IS NOT NULL"),
        (&["lower(s) = 'x'"], "lower(s) = 'x'"),
        (&["a = NULL"], "a = 3"),
        (&["a IN (NULL, NULL)"], "a = 3"),
        (&["s > 'b'"], "s > 'a'"),
    ] {
        assert!(check(conditions, wanted), "{conditions:?} imply {wanted}");
    }
}

#[test]
fn what_is_not() {
    for (conditions, wanted) in [
        (&[][..], "a = 1"),
        (&["a = 1"], "b = 1"),
        (&["a = $1"], "a = 1"),
        (&["a = 1 OR b = 2"], "a = 1"),
        (&["a = 1 OR b = 2"], "a IS NOT NULL"),
        (&["a >= 5"], "a > 5"),
        (&["a > 4"], "a > 5"),
        (&["a < 5"], "a > 3"),
        (&["a <= 5"], "a <> 5"),
        (&["a <> 5"], "a > 5"),
        (&["a IN (1, 2, 9)"], "a < 3"),
        (&["a IN (1, $1)"], "a < 3"),
        (&["a IS NOT DISTINCT FROM 1"], "b IS NOT NULL"),
        (&["coalesce(a, 1) = 1"], "a IS NOT NULL"),
        (&["a IS NULL"], "a IS NOT NULL"),
        (&["NOT f"], "f"),
        (&["f IS NOT TRUE"], "NOT f"),
        // They are true of NULL as well.
        (&["NOT (f IS TRUE)"], "NOT f"),
        (&["(f IS TRUE) = false"], "NOT f"),
        (&["(f IS TRUE) IS FALSE"], "NOT f"),
        (&["NOT (f IS FALSE)"], "f"),
        (&["NOT ((f IS TRUE) = true)"], "NOT f"),
        // Nothing equals an element of an array without elements, and that is not NULL.
        (&["NOT (a = ANY ($1))"], "a IS NOT NULL"),
        (&["(a = ANY ('{}'::int[])) IS FALSE"], "a IS NOT NULL"),
        (&["(a = ANY ($1)) IS FALSE"], "a IS NOT NULL"),
        (&["(a = ANY ($1)) IS NOT NULL"], "a IS NOT NULL"),
        (&["(a = ANY ($1)) = false"], "a IS NOT NULL"),
        (&["lower(s) = 'x'"], "s = 'x'"),
        // Trailing blanks count here and not there.
        (&["p = 'x'"], "p IN ('x  ', 'y')"),
        (&["random() > 0.5"], "random() > 0.5"),
    ] {
        assert!(!check(conditions, wanted), "{conditions:?} imply {wanted}");
    }
}
