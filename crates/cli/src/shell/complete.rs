//! Completion of keywords, tables and columns.

use super::highlight::KEYWORDS;

/// The names that completion offers beside keywords.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Tables with their columns.
    pub(super) tables: Vec<(String, Vec<String>)>,
}

/// Commands of the shell itself.
pub(super) const META_COMMANDS: &[&str] = &[
    "\\d", "\\i", "\\q", "\\timing", "\\x", ".exit", ".format", ".help", ".quit", ".tables",
];

/// What can stand for the word that ends at byte `at` of `line`: where it begins, and the
/// candidates, best first.
pub(super) fn complete(line: &str, at: usize, names: &Names) -> (usize, Vec<String>) {
    let before = line.get(..at).unwrap_or(line);
    if before.starts_with(['\\', '.']) && !before.contains(char::is_whitespace) {
        let commands = META_COMMANDS
            .iter()
            .filter(|name| name.starts_with(before))
            .map(ToString::to_string);
        return (0, commands.collect());
    }
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_alphanumeric() || *c == '_')
        .last()
        .map_or(before.len(), |(index, _)| index);
    let word = &before[start..];
    let qualifier = before[..start].strip_suffix('.').map(|head| {
        let from = head
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |index| index + 1);
        &head[from..]
    });
    let folded = word.to_lowercase();
    let mut candidates: Vec<String> = Vec::new();
    let columns_of = |wanted: Option<&str>| -> Vec<String> {
        names
            .tables
            .iter()
            .filter(|(table, _)| wanted.is_none_or(|wanted| table.eq_ignore_ascii_case(wanted)))
            .flat_map(|(_, columns)| {
                columns
                    .iter()
                    .filter(|name| name.starts_with(&folded))
                    .cloned()
            })
            .collect()
    };
    if let Some(qualifier) = qualifier {
        candidates.extend(columns_of(Some(qualifier)));
    } else if !word.is_empty() || before.starts_with("\\d ") {
        candidates.extend(
            names
                .tables
                .iter()
                .map(|(table, _)| table.clone())
                .filter(|name| name.starts_with(&folded)),
        );
        // Columns of the tables that the statement names come before those of others.
        let named: Vec<&str> = names
            .tables
            .iter()
            .map(|(table, _)| table.as_str())
            .filter(|table| {
                line.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|w| w == *table)
            })
            .collect();
        if named.is_empty() {
            candidates.extend(columns_of(None));
        }
        for table in named {
            candidates.extend(columns_of(Some(table)));
        }
        let upper = word.to_uppercase();
        let lower = word.chars().next().is_some_and(char::is_lowercase);
        let keywords = KEYWORDS
            .iter()
            .filter(|keyword| keyword.starts_with(&upper));
        candidates.extend(keywords.map(|keyword| {
            if lower {
                keyword.to_lowercase()
            } else {
                (*keyword).to_string()
            }
        }));
    }
    let mut seen = std::collections::HashSet::new();
    candidates.retain(|candidate| seen.insert(candidate.clone()));
    (start, candidates)
}

#[cfg(test)]
mod tests {
    use super::{Names, complete};

    fn check(line: &str, expected: &[&str]) {
        let names = Names {
            tables: vec![
                ("flights".into(), vec!["carrier".into(), "dest".into()]),
                ("airlines".into(), vec!["carrier".into(), "name".into()]),
            ],
        };
        assert_eq!(complete(line, line.len(), &names).1, expected, "{line}");
    }

    #[test]
    fn keywords_keep_the_case_of_what_was_typed() {
        check("SEL", &["SELECT"]);
        check("sel", &["select"]);
    }

    #[test]
    fn tables_come_before_columns_and_keywords() {
        check("select * from fl", &["flights"]);
        check("select * from airlines where na", &["name", "natural"]);
    }

    #[test]
    fn a_qualifier_narrows_to_its_table() {
        check("select flights.", &["carrier", "dest"]);
        check("select airlines.n", &["name"]);
    }

    #[test]
    fn commands_complete_too() {
        check("\\t", &["\\timing"]);
        check(".he", &[".help"]);
        check("\\d air", &["airlines"]);
    }
}
