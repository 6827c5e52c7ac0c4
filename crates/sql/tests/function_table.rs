//! `docs/functions.md` lists the functions that there are: it is made from their table.
#![expect(
    clippy::disallowed_methods,
    reason = "reads and writes a page of the documentation"
)]

use std::{collections::BTreeMap, fmt::Write as _};

use rustling_sql::functions::{self, Parameter, Returns, Signature, aggregate_names, signatures};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/functions.md");

fn shown(signature: &Signature) -> String {
    let mut parameters: Vec<String> = signature
        .parameters
        .iter()
        .map(|parameter| match parameter {
            Parameter::Type(data_type) => data_type.to_string(),
            Parameter::Any => "any".to_owned(),
            Parameter::AnyArray => "anyarray".to_owned(),
            Parameter::AnyElement => "anyelement".to_owned(),
        })
        .collect();
    if signature.variadic {
        parameters.push("…".to_owned());
    }
    let returns = match signature.returns {
        Returns::Type(data_type) => data_type.to_string(),
        Returns::AnyArray => "anyarray".to_owned(),
        Returns::AnyElement => "anyelement".to_owned(),
    };
    format!("({}) → {returns}", parameters.join(", "))
}

fn page() -> String {
    let mut page = String::from(
        "# Functions\n\n\
         The functions that can be called by name, with what they take and give; they do what\n\
         PostgreSQL's of the same name do. `…`: the last parameter may be repeated. Beside them\n\
         there are the forms with a syntax of their own (EXTRACT, SUBSTRING … FROM, TRIM, OVERLAY,\n\
         POSITION, CAST, AT TIME ZONE, OVERLAPS) and the operators.\n\n\
         This page is made from the table of functions: `UPDATE_GOLDEN=1 cargo nextest run -p\n\
         rustling-sql -E 'test(function_table)'` writes it anew.\n\n\
         ## Scalar functions\n\n| name | forms |\n|---|---|\n",
    );
    let mut forms: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for signature in signatures() {
        forms
            .entry(signature.name)
            .or_default()
            .push(shown(signature));
    }
    for (name, forms) in forms {
        // Writing to a String does not fail.
        let _ = writeln!(page, "| `{name}` | {} |", forms.join("<br>"));
    }
    page.push_str("\n## Conditional expressions\n\n");
    for name in functions::CONDITIONAL {
        let _ = writeln!(page, "- `{name}`");
    }
    page.push_str("\n## Functions on enumerated types\n\n");
    for name in functions::OF_ENUMS {
        let _ = writeln!(page, "- `{name}`");
    }
    page.push_str("\n## Aggregates\n\n");
    for name in aggregate_names() {
        let _ = writeln!(page, "- `{name}`");
    }
    page
}

#[test]
fn the_page_lists_the_functions_that_there_are() {
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(PATH, &page).expect("the page can be written");
    }
    let found = std::fs::read_to_string(PATH).expect("the page is there");
    assert!(
        found == page,
        "docs/functions.md is not what the functions are: run this test with UPDATE_GOLDEN=1"
    );
}
