//! Intervals of keys, and a map from keys to who holds an interval around them.

use std::{collections::BTreeMap, ops::Bound};

use rustling_storage::KeyRange;
use smallvec::SmallVec;

use crate::serializable::graph::MemberId;

/// Who holds a key or segment; few, in no order.
pub(super) type Holders = SmallVec<[MemberId; 2]>;

/// Bytes that a boundary of a segment costs beside its key.
pub(super) const SEGMENT_OVERHEAD: usize = 96;

/// The key that follows `key` at once.
pub(super) fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// The keys from `start` up to, and without, `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(super) start: Vec<u8>,
    /// `None`: no end.
    pub(super) end: Option<Vec<u8>>,
}

impl Interval {
    /// Every key.
    pub(super) fn all() -> Interval {
        Interval {
            start: Vec::new(),
            end: None,
        }
    }

    /// One key.
    pub(super) fn point(key: &[u8]) -> Interval {
        Interval {
            start: key.to_vec(),
            end: Some(successor(key)),
        }
    }

    /// The keys of `range`.
    pub(super) fn of(range: &KeyRange) -> Interval {
        Interval {
            start: match &range.start {
                Bound::Unbounded => Vec::new(),
                Bound::Included(key) => key.clone(),
                Bound::Excluded(key) => successor(key),
            },
            end: match &range.end {
                Bound::Unbounded => None,
                Bound::Included(key) => Some(successor(key)),
                Bound::Excluded(key) => Some(key.clone()),
            },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Grows until it holds every key of `other` too.
    pub(super) fn cover(&mut self, other: &Interval) {
        if other.start < self.start {
            self.start.clone_from(&other.start);
        }
        match (&mut self.end, &other.end) {
            (end, None) => *end = None,
            (Some(end), Some(other)) if *other > *end => end.clone_from(other),
            _ => {}
        }
    }

    fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        let end = self
            .end
            .as_ref()
            .map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_slice()));
        (Bound::Included(self.start.as_slice()), end)
    }

    /// The part of an ordered map that the interval holds; `None` where it holds nothing.
    pub(super) fn within<'a, K: std::borrow::Borrow<[u8]> + Ord, V>(
        &self,
        map: &'a BTreeMap<K, V>,
    ) -> Option<std::collections::btree_map::Range<'a, K, V>> {
        (!self.is_empty()).then(|| map.range::<[u8], _>(self.bounds()))
    }

    /// Bytes that keeping it costs.
    pub(super) fn bytes(&self) -> usize {
        2 * (self.start.len() + self.end.as_ref().map_or(0, Vec::len) + SEGMENT_OVERHEAD)
    }
}

/// Which members hold an interval around a key. The keys are cut into segments, each with its
/// holders; neighbours differ, so that a scan that extends its interval row by row stays one
/// segment.
#[derive(Debug, Default)]
pub(super) struct SegmentMap {
    /// From each boundary up to the next. Before the first nobody holds anything.
    segments: BTreeMap<Vec<u8>, Holders>,
}

impl SegmentMap {
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Who holds an interval around `key`.
    pub(super) fn at(&self, key: &[u8]) -> &[MemberId] {
        self.segments
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .map_or(&[], |(_, holders)| holders)
    }

    /// Shows who holds a part of `interval` to `visit`, some of them more than once.
    pub(super) fn overlapping(&self, interval: &Interval, mut visit: impl FnMut(MemberId)) {
        let Some(segments) = interval.within(&self.segments) else {
            return;
        };
        self.at(&interval.start)
            .iter()
            .copied()
            .for_each(&mut visit);
        for (_, holders) in segments {
            holders.iter().copied().for_each(&mut visit);
        }
    }

    /// Whether `member` holds all of `interval`.
    pub(super) fn holds(&self, interval: &Interval, member: MemberId) -> bool {
        self.at(&interval.start).contains(&member)
            && interval
                .within(&self.segments)
                .into_iter()
                .flatten()
                .all(|(_, holders)| holders.contains(&member))
    }

    /// Makes `member` a holder of `interval`.
    pub(super) fn insert(&mut self, interval: &Interval, member: MemberId) {
        self.change(interval, |holders| {
            if !holders.contains(&member) {
                holders.push(member);
            }
        });
    }

    /// Makes `member` no holder of any part of `interval`.
    pub(super) fn remove(&mut self, interval: &Interval, member: MemberId) {
        self.change(interval, |holders| {
            holders.retain(|holder| *holder != member)
        });
    }

    fn change(&mut self, interval: &Interval, mut change: impl FnMut(&mut Holders)) {
        if interval.is_empty() {
            return;
        }
        self.cut(&interval.start);
        if let Some(end) = &interval.end {
            self.cut(end);
        }
        for (_, holders) in self.segments.range_mut::<[u8], _>(interval.bounds()) {
            change(holders);
        }
        self.join(interval);
    }

    fn cut(&mut self, at: &[u8]) {
        if !self.segments.contains_key(at) {
            let holders = Holders::from_slice(self.at(at));
            self.segments.insert(at.to_vec(), holders);
        }
    }

    /// Removes boundaries from `interval.start` to `interval.end` that divide nothing any more.
    fn join(&mut self, interval: &Interval) {
        let mut before = self
            .segments
            .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(interval.start.as_slice())))
            .next_back()
            .map_or_else(Holders::new, |(_, holders)| holders.clone());
        let end = interval
            .end
            .as_ref()
            .map_or(Bound::Unbounded, |end| Bound::Included(end.as_slice()));
        let from = Bound::Included(interval.start.as_slice());
        let mut idle = Vec::new();
        for (boundary, holders) in self.segments.range::<[u8], _>((from, end)) {
            if same(&before, holders) {
                idle.push(boundary.clone());
            } else {
                before.clone_from(holders);
            }
        }
        for boundary in idle {
            self.segments.remove(&boundary);
        }
    }
}

fn same(one: &Holders, other: &Holders) -> bool {
    one.len() == other.len() && one.iter().all(|holder| other.contains(holder))
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn interval(from: u8, to: u8) -> Interval {
        Interval {
            start: vec![from % 16],
            end: (to < 250).then(|| vec![to % 18]),
        }
    }

    quickcheck! {
        fn segments_agree_with_a_set_per_key(steps: Vec<(u8, u8, u8, bool)>) -> bool {
            let mut map = SegmentMap::default();
            let mut model: BTreeMap<u8, Vec<MemberId>> = (0..20).map(|key| (key, Vec::new())).collect();
            for (from, to, member, insert) in steps {
                let (interval, member) = (interval(from, to), MemberId(u64::from(member % 4)));
                if insert {
                    map.insert(&interval, member);
                } else {
                    map.remove(&interval, member);
                }
                for (key, holders) in &mut model {
                    let inside = interval.start <= vec![*key] && interval.end.as_ref().is_none_or(|end| vec![*key] < *end);
                    if inside {
                        holders.retain(|holder| *holder != member);
                        if insert {
                            holders.push(member);
                        }
                    }
                }
                for (key, holders) in &model {
                    let mut found = map.at(&[*key]).to_vec();
                    found.sort();
                    let mut holders = holders.clone();
                    holders.sort();
                    if found != holders {
                        return false;
                    }
                }
                let mut found = Vec::new();
                map.overlapping(&interval, |holder| found.push(holder));
                if !interval.is_empty() && (insert != found.contains(&member) || insert != map.holds(&interval, member)) {
                    return false;
                }
                let neighbours: Vec<_> = map.segments.values().collect();
                if neighbours.windows(2).any(|pair| same(pair[0], pair[1])) || neighbours.first().is_some_and(|first| first.is_empty()) {
                    return false;
                }
            }
            true
        }
    }

    #[test]
    fn an_interval_that_grows_stays_one_segment() {
        let mut map = SegmentMap::default();
        let member = MemberId(1);
        for key in 0..100u8 {
            map.insert(
                &Interval {
                    start: vec![key],
                    end: Some(vec![key + 1]),
                },
                member,
            );
        }
        assert_eq!(map.segments.len(), 2);
        map.remove(&Interval::all(), member);
        assert!(map.is_empty());
    }

    #[test]
    fn ranges_become_half_open() {
        let range = KeyRange {
            start: Bound::Excluded(b"a".to_vec()),
            end: Bound::Included(b"b".to_vec()),
        };
        let interval = Interval::of(&range);
        assert_eq!(interval.start, b"a\0");
        assert_eq!(interval.end.as_deref(), Some(&b"b\0"[..]));
        assert_eq!(Interval::of(&KeyRange::all()), Interval::all());
    }
}
