//! Filters: which keys a part of a table certainly does not hold.

/// A filter over the hashes of keys. A kind's number on disk names its format for good.
pub(super) trait Filter {
    /// The kind's number on disk.
    const KIND: u32;

    /// Appends the filter of keys with these hashes.
    fn build(hashes: &[u64], out: &mut Vec<u8>);

    /// Whether a key of that hash may be among them; `None` where `filter` is no such filter.
    fn may_contain(filter: &[u8], hash: u64) -> Option<bool>;
}

/// The filter that new tables get.
pub(super) type DefaultFilter = BlockedBloom;

/// Whether a key of that hash may be in what a filter of `kind` stands for; `None` for an unknown
/// or malformed filter.
#[inline]
pub(super) fn may_contain(kind: u32, filter: &[u8], hash: u64) -> Option<bool> {
    match kind {
        BlockedBloom::KIND => BlockedBloom::may_contain(filter, hash),
        _ => None,
    }
}

/// A Bloom filter whose probes for a key all fall into one cache line (Putze, Sanders and
/// Singler, "Cache-, hash- and space-efficient Bloom filters", 2007): one cache miss per look,
/// for about a third more false positives than a plain one (some 1.2 % at ten bits per key).
#[derive(Debug)]
pub(super) struct BlockedBloom;

const LINE: usize = 64;
const BITS_PER_KEY: usize = 10;
const PROBES: u32 = 6;
/// Bits that choose one of a line's bits.
const PROBE_BITS: u32 = 9;
const _: () = assert!(1 << PROBE_BITS == LINE * 8 && PROBES * PROBE_BITS <= 64);

impl BlockedBloom {
    /// The line of a hash, and the bits that choose the probes in it.
    #[inline]
    fn place(hash: u64, lines: usize) -> (usize, u64) {
        let line = ((hash >> 32) * lines as u64) >> 32;
        (line as usize, hash.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    #[inline]
    fn probe(bits: u64, number: u32) -> (usize, u8) {
        let bit = (bits >> (number * PROBE_BITS)) as usize % (LINE * 8);
        (bit / 8, 1 << (bit % 8))
    }
}

impl Filter for BlockedBloom {
    const KIND: u32 = 1;

    fn build(hashes: &[u64], out: &mut Vec<u8>) {
        let lines = (hashes.len() * BITS_PER_KEY).div_ceil(LINE * 8).max(1);
        let start = out.len();
        out.resize(start + lines * LINE, 0);
        for hash in hashes {
            let (line, bits) = BlockedBloom::place(*hash, lines);
            let line = &mut out[start + line * LINE..][..LINE];
            for number in 0..PROBES {
                let (byte, bit) = BlockedBloom::probe(bits, number);
                line[byte] |= bit;
            }
        }
    }

    #[inline]
    fn may_contain(filter: &[u8], hash: u64) -> Option<bool> {
        let (lines, rest) = filter.as_chunks::<LINE>();
        if !rest.is_empty() || lines.is_empty() || lines.len() > u32::MAX as usize {
            return None;
        }
        let (line, bits) = BlockedBloom::place(hash, lines.len());
        let line = lines.get(line)?;
        let all = (0..PROBES).all(|number| {
            let (byte, bit) = BlockedBloom::probe(bits, number);
            line[byte] & bit != 0
        });
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsm::hash::hash;

    #[test]
    fn what_is_in_is_found_and_little_else() {
        for count in [0_u32, 1, 10, 1000, 30_000] {
            let hashes: Vec<u64> = (0..count).map(|n| hash(&n.to_be_bytes())).collect();
            let mut filter = Vec::new();
            DefaultFilter::build(&hashes, &mut filter);
            let holds =
                |n: u32| may_contain(DefaultFilter::KIND, &filter, hash(&n.to_be_bytes())).unwrap();
            assert!((0..count).all(holds));
            let wrong = (1_000_000..1_020_000).filter(|n| holds(*n)).count();
            assert!(
                wrong < 20_000 * 2 / 100,
                "{wrong} false positives of 20,000 for {count} keys"
            );
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert_eq!(may_contain(BlockedBloom::KIND, &[], 1), None);
        assert_eq!(may_contain(BlockedBloom::KIND, &[0; 65], 1), None);
        assert_eq!(may_contain(99, &[0; 64], 1), None);
    }
}
