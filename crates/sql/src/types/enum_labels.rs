//! Labels of enumerated types, and lists of them.
//!
//! A process keeps every label and every list that it has seen. Lists are cut into runs where a
//! label itself says so, so that lists that differ in one label have all runs but one or two in
//! common: what a change of a type costs is a run, not all labels.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::HashSet,
    hash::Hash,
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{
    enum_position::{self, Position},
    excerpt,
};
use crate::{Error, Result, SqlState};

/// How many bytes a label may have.
const MAX_LABEL: usize = 63;

/// How many labels a type may have.
const MAX_LABELS: usize = 32_767;

/// One label in so many ends a run.
const RUN: u32 = 64;

/// A label of an enumerated type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnumLabel {
    id: u32,
    name: String,
    position: Position,
}

impl EnumLabel {
    /// A label as the catalog keeps it: its number there, its name and its position.
    #[must_use]
    pub fn new(id: u32, name: String, position: &[u8]) -> EnumLabel {
        EnumLabel {
            id,
            name,
            position: position.into(),
        }
    }

    /// Its number in the catalog.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands: the order of labels is that of these bytes.
    #[must_use]
    pub fn position(&self) -> &[u8] {
        &self.position
    }

    /// Whether it ends a run (FNV-1a of its position).
    fn ends_run(&self) -> bool {
        let hash = self.position.iter().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
        (hash >> 8) % RUN == 0
    }
}

/// Where a label is put that ALTER TYPE … ADD VALUE adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnumPlace {
    /// Behind all others.
    End,
    /// BEFORE a label.
    Before(String),
    /// AFTER a label.
    After(String),
}

/// The labels of a new type, in this order, without numbers yet.
///
/// # Errors
/// 42602 for a label that is too long, 42710 for one that is there twice, with its place among
/// them; 54000 where there are too many, without a place.
pub fn new_enum_labels(names: Vec<String>) -> Result<Vec<EnumLabel>, (Error, Option<usize>)> {
    check_count(names.len()).map_err(|error| (error, None))?;
    let mut seen = HashSet::new();
    for (at, name) in names.iter().enumerate() {
        check_label(name).map_err(|error| (error, Some(at)))?;
        if !seen.insert(name.as_str()) {
            let error = Error::new(
                SqlState("42710"),
                format!("enum label \"{name}\" used more than once"),
            );
            return Err((error, Some(at)));
        }
    }
    let positions = enum_position::spread(names.len());
    Ok(names
        .into_iter()
        .zip(positions)
        .map(|(name, position)| EnumLabel {
            id: 0,
            name,
            position,
        })
        .collect())
}

/// Fails for a name that no label can have.
pub(super) fn check_label(name: &str) -> Result<()> {
    if name.len() > MAX_LABEL {
        return Err(Error::new(
            SqlState("42602"),
            format!("invalid enum label \"{}\"", excerpt(name)),
        )
        .detail(format!("Labels must be {MAX_LABEL} bytes or less.")));
    }
    Ok(())
}

/// Fails where a type has more labels than it may.
pub(super) fn check_count(count: usize) -> Result<()> {
    if count > MAX_LABELS {
        return Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("an enumerated type has at most {MAX_LABELS} labels"),
        ));
    }
    Ok(())
}

/// What is kept as long as the process lives: equal things are one.
pub(super) struct Kept<T: ?Sized + 'static>(LazyLock<Mutex<HashSet<&'static T>>>);

impl<T: Eq + Hash + ?Sized> Kept<T> {
    /// Nothing yet.
    pub(super) const fn new() -> Kept<T> {
        Kept(LazyLock::new(Mutex::default))
    }

    /// The one that is equal to `new`, which becomes it where there is none yet.
    pub(super) fn take<N: Borrow<T> + Into<Box<T>>>(&self, new: N) -> &'static T {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(new.borrow()) {
            return known;
        }
        let kept: &'static T = Box::leak(new.into());
        known.insert(kept);
        kept
    }
}

static LABELS: Kept<EnumLabel> = Kept::new();
static RUNS: Kept<[&'static EnumLabel]> = Kept::new();

/// The label that is equal to `label` and stays.
pub(super) fn kept_label(label: EnumLabel) -> &'static EnumLabel {
    LABELS.take(label)
}

/// Labels in some order, in runs. None is empty.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LabelList(Box<[&'static [&'static EnumLabel]]>);

impl LabelList {
    /// A list of these labels.
    pub(super) fn new(labels: &[&'static EnumLabel]) -> LabelList {
        let runs = labels.split_inclusive(|label| label.ends_run());
        LabelList(runs.map(|run| RUNS.take(run.to_vec())).collect())
    }

    /// Every label, in the list's order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &'static EnumLabel> {
        self.0.iter().flat_map(|run| run.iter().copied())
    }

    /// The label that `compare` finds equal to what is looked for; it must agree with the order.
    pub(super) fn find(
        &self,
        compare: impl Fn(&EnumLabel) -> Ordering,
    ) -> Option<&'static EnumLabel> {
        let at = self
            .0
            .partition_point(|run| run.last().is_some_and(|last| compare(last).is_lt()));
        let run = self.0.get(at)?;
        let at = run.binary_search_by(|label| compare(label)).ok()?;
        run.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(count: usize) -> Vec<&'static EnumLabel> {
        let names = (0..count).map(|at| format!("label {at:05}")).collect();
        let labels = new_enum_labels(names).expect("labels");
        labels.into_iter().map(kept_label).collect()
    }

    #[test]
    fn lists_find_what_is_in_them() {
        for count in [0, 1, 63, 64, 65, 5000] {
            let labels = labels(count);
            let list = LabelList::new(&labels);
            assert_eq!(list.iter().count(), count);
            assert!(list.iter().eq(labels.iter().copied()));
            for label in &labels {
                let found = list.find(|of| of.position().cmp(label.position()));
                assert_eq!(found, Some(*label));
            }
            assert_eq!(
                list.find(|of| of.name().cmp("label 00000 and a half")),
                None
            );
        }
    }

    #[test]
    fn lists_that_differ_in_a_label_have_most_runs_in_common() {
        let labels = labels(5000);
        let list = LabelList::new(&labels);
        assert!(list.0.len() > 20, "{}", list.0.len());
        let mut fewer = labels.clone();
        fewer.remove(2500);
        let fewer = LabelList::new(&fewer);
        let new = fewer.0.iter().filter(|run| {
            let same = |known: &&&[&EnumLabel]| std::ptr::eq(**known, **run);
            list.0.iter().find(same).is_none()
        });
        assert!(new.count() <= 2);
    }
}
