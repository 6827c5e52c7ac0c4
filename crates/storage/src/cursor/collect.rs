//! Which versions may go: garbage collection below the watermark, for every engine that writes
//! sorted versions anew.

use super::VersionRef;
use crate::lsn::Lsn;

/// Decides about versions that come in their order: by key, the newest first.
///
/// No snapshot below the watermark is left or will ever be made. So of a key's versions at or
/// below it only the newest is ever read; and where that one is a tombstone, and nothing older
/// of its key lies elsewhere, it says no more than its absence would.
#[derive(Debug)]
pub(crate) struct VersionCollector {
    watermark: Lsn,
    key: Vec<u8>,
    has_key: bool,
    /// Whether the newest version at or below the watermark has been met.
    settled: bool,
}

impl VersionCollector {
    /// For versions that snapshots at or above `watermark` may read.
    pub(crate) fn new(watermark: Lsn) -> VersionCollector {
        VersionCollector {
            watermark,
            key: Vec::new(),
            has_key: false,
            settled: false,
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
        if !self.has_key || self.key != version.key {
            self.key.clear();
            self.key.extend_from_slice(version.key);
            (self.has_key, self.settled) = (true, false);
        } else if self.settled {
            return false;
        }
        if version.lsn > self.watermark {
            return true;
        }
        self.settled = true;
        version.value.is_some() || !is_bottom(version.key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
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
