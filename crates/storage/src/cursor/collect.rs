//! Which versions may go: garbage collection below the watermark, for every engine that writes
//! sorted versions anew.

use super::VersionRef;
use crate::lsn::Lsn;

/// What the rule asks of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionMark {
    /// Which commit wrote it.
    pub(crate) lsn: Lsn,
    /// Whether the key is gone from that commit on.
    pub(crate) is_tombstone: bool,
}

/// Decides about the versions of one key, which come the newest first.
///
/// No snapshot below the watermark is left or will ever be made. So of a key's versions at or
/// below it only the newest is ever read; and where that one is a tombstone, and nothing older
/// of its key lies elsewhere, it says no more than its absence would.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyCollector {
    watermark: Lsn,
    /// Whether the newest version at or below the watermark has been met: all others may go.
    settled: bool,
}

impl KeyCollector {
    /// For versions that snapshots at or above `watermark` may read.
    #[inline]
    pub(crate) fn new(watermark: Lsn) -> KeyCollector {
        KeyCollector {
            watermark,
            settled: false,
        }
    }

    /// Whether the next version must be kept; where one need not be, nor must those that come
    /// behind it. `is_bottom` says whether nothing older of the key lies elsewhere; it is asked of
    /// tombstones only.
    #[inline]
    pub(crate) fn keeps(&mut self, version: VersionMark, is_bottom: impl FnOnce() -> bool) -> bool {
        if self.settled {
            return false;
        }
        if version.lsn > self.watermark {
            return true;
        }
        self.settled = true;
        !version.is_tombstone || !is_bottom()
    }
}

/// The lowest watermark at which [`KeyCollector`] would let go of something of a key whose kept
/// versions end in `last`, the oldest, and have `second` before it; `None` where there is none.
#[inline]
pub(crate) fn garbage_from(
    second: Option<VersionMark>,
    last: Option<VersionMark>,
    is_bottom: bool,
) -> Option<Lsn> {
    match (second, last) {
        (_, Some(last)) if last.is_tombstone && is_bottom => Some(last.lsn),
        (second, _) => second.map(|second| second.lsn),
    }
}

/// [`KeyCollector`] for versions of many keys, by key and the newest first.
#[derive(Debug)]
pub(crate) struct VersionCollector {
    watermark: Lsn,
    key: Vec<u8>,
    /// What has been decided of `key`; `None` before the first.
    current: Option<KeyCollector>,
}

impl VersionCollector {
    /// For versions that snapshots at or above `watermark` may read.
    pub(crate) fn new(watermark: Lsn) -> VersionCollector {
        VersionCollector {
            watermark,
            key: Vec::new(),
            current: None,
        }
    }

    /// Whether the next version must be kept. `is_bottom` says whether nothing older of its key
    /// lies elsewhere; it is asked of tombstones only.
    #[inline]
    pub(crate) fn keeps(
        &mut self,
        version: VersionRef<'_>,
        is_bottom: impl FnOnce(&[u8]) -> bool,
    ) -> bool {
        let current = match &mut self.current {
            Some(current) if self.key == version.key => current,
            current => {
                self.key.clear();
                self.key.extend_from_slice(version.key);
                current.insert(KeyCollector::new(self.watermark))
            }
        };
        let mark = VersionMark {
            lsn: version.lsn,
            is_tombstone: version.value.is_none(),
        };
        current.keeps(mark, || is_bottom(version.key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn garbage_begins_where_it_is_said_to(versions: Vec<(u8, bool)>, is_bottom: bool) -> bool {
            let sorted: BTreeMap<u8, bool> = versions.into_iter().collect();
            let marks: Vec<VersionMark> = sorted
                .into_iter()
                .rev()
                .map(|(lsn, is_tombstone)| VersionMark {
                    lsn: Lsn(u64::from(lsn)),
                    is_tombstone,
                })
                .collect();
            let keeps_all = |watermark| {
                let mut collector = KeyCollector::new(Lsn(watermark));
                marks.iter().all(|mark| collector.keeps(*mark, || is_bottom))
            };
            let second = marks.len().checked_sub(2).map(|at| marks[at]);
            let from = garbage_from(second, marks.last().copied(), is_bottom);
            let first = (0..=256).find(|watermark| !keeps_all(*watermark));
            first == from.map(|lsn| lsn.0)
        }

        fn no_snapshot_at_or_above_the_watermark_sees_a_difference(
            versions: Vec<(u8, u8, Option<u8>)>,
            watermark: u8,
            is_bottom: bool
        ) -> bool {
            let watermark = u64::from(watermark % 20);
            let sorted: BTreeMap<(u8, std::cmp::Reverse<u64>), Option<u8>> = versions
                .iter()
                .map(|(key, lsn, value)| {
                    ((key % 4, std::cmp::Reverse(u64::from(lsn % 20))), *value)
                })
                .collect();
            let mut collector = VersionCollector::new(Lsn(watermark));
            let kept: BTreeMap<_, _> = sorted
                .iter()
                .filter(|((key, lsn), value)| {
                    let value = value.map(|value| [value]);
                    let version = VersionRef {
                        key: &[*key],
                        lsn: Lsn(lsn.0),
                        value: value.as_ref().map(|value| &value[..]),
                    };
                    collector.keeps(version, |_| is_bottom)
                })
                .map(|(place, value)| (*place, *value))
                .collect();
            let see = |all: &BTreeMap<(u8, std::cmp::Reverse<u64>), Option<u8>>, key, at| {
                let from = (key, std::cmp::Reverse(at));
                all.range(from..)
                    .next()
                    .filter(|((k, _), _)| *k == key)
                    .map(|(_, value)| *value)
            };
            (0..4).all(|key| {
                (watermark..21).all(|at| {
                    let (before, after) = (see(&sorted, key, at), see(&kept, key, at));
                    // Where something older may lie elsewhere a tombstone must stay.
                    before == after || (is_bottom && before == Some(None) && after.is_none())
                })
            })
        }
    }
}
