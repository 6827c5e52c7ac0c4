//! The hash of keys that filters are built from. It is part of the table format: it may never
//! change for a filter kind that exists.

const SEED: u64 = 0x51_7c_c1_b7_27_22_0a_95;
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
const FINISH: u64 = 0xd6e8_feb8_6659_fd93;

/// Both halves of a 128-bit product, folded (the step that wyhash and its kin are made of).
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of a key.
#[inline]
pub(super) fn hash(key: &[u8]) -> u64 {
    let mut state = SEED ^ (key.len() as u64).wrapping_mul(FINISH);
    let (words, rest) = key.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), MIX);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    state = fold(state ^ u64::from_le_bytes(last), MIX);
    fold(state ^ SEED, FINISH)
}

/// A key that is looked for in table after table, and its hash, which is the same in all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought<'a> {
    pub(super) key: &'a [u8],
    pub(super) hash: u64,
}

impl<'a> Sought<'a> {
    #[inline]
    pub(super) fn new(key: &'a [u8]) -> Sought<'a> {
        Sought {
            key,
            hash: hash(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_part_of_the_format() {
        let all = [hash(b""), hash(b"a"), hash(b"abcdefgh"), hash(b"abcdefghi")];
        let known = [
            0xb4b7_8cc3_49ef_ba7a,
            0x674a_ecbb_afa2_a473,
            0x7665_db5e_4cb3_903c,
            0xfcad_0ed1_3660_b541,
        ];
        assert_eq!(all, known);
    }

    #[test]
    fn keys_that_differ_little_spread() {
        let mut buckets = [0_u32; 64];
        for number in 0..64_000_u32 {
            buckets[(hash(&number.to_be_bytes()) >> 58) as usize] += 1;
        }
        assert!(
            buckets.iter().all(|count| (800..1200).contains(count)),
            "{buckets:?}"
        );
    }
}
