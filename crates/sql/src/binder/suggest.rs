//! "Did you mean …?", and names as the user can write them.

use crate::{
    catalog::{CatalogReader, Table},
    parser::quoted,
};

/// The candidate nearest to a name that was not found, if one is near enough to be a slip.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase();
    let length = name.chars().count();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&name, &lower);
            let allowed = match length.max(lower.chars().count()) {
                0..=2 => 0,
                3..=4 => 1,
                5..=8 => 2,
                _ => 3,
            };
            // A name that only lacks its tail or plural is near as well.
            let stem = length >= 3 && lower.starts_with(&name) && distance <= 4;
            (distance <= allowed || stem).then_some((distance, candidate))
        })
        // A letter is left out more often than one too many is written.
        .min_by_key(|(distance, candidate)| (*distance, candidate.chars().count() < length))
        .map(|(_, candidate)| candidate)
}

/// A hint that names the nearest candidate.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let others = candidates
        .into_iter()
        .filter(|candidate| *candidate != name);
    nearest(name, others).map(|candidate| format!("Did you mean \"{candidate}\"?"))
}

/// A table as a statement names it: in quotes where they must be, and with its schema where the
/// name alone does not lead to it.
pub(crate) fn as_written(catalog: &dyn CatalogReader, table: &Table) -> String {
    let name = quoted(&table.name);
    match catalog.table(None, &table.name) {
        Ok(Some(found)) if found.schema == table.schema => name,
        _ => format!("{}.{name}", quoted(&table.schema)),
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["carrier", "origin", "dest", "dep_delay", "id"];
        assert_eq!(nearest("carier", names), Some("carrier"));
        assert_eq!(nearest("dep_dealy", names), Some("dep_delay"));
        assert_eq!(nearest("orig", names), Some("origin"));
        assert_eq!(nearest("tailnum", names), None);
        assert_eq!(nearest("ic", names), None);
        assert_eq!(nearest("cout", ["cot", "count"]), Some("count"));
    }
}
