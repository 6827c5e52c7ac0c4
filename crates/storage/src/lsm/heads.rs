//! Searching sorted keys by their first bytes.

use std::ops::Range;

use super::block::common_prefix;

/// Of sorted keys the first eight bytes behind what all of them have in common, side by side: a
/// search goes through few cache lines, and has to look at keys themselves only where these bytes
/// are those of the key looked for.
#[derive(Debug, Default)]
pub(super) struct Heads {
    prefix: Box<[u8]>,
    heads: Box<[u64]>,
}

impl Heads {
    /// Bytes of memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.prefix.len() + size_of_val(&*self.heads)
    }
}

/// A key's first bytes as a number of the same order, filled up with zeros.
#[inline]
fn head_of(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    match key.first_chunk() {
        Some(first) => head = *first,
        None => head[..key.len()].copy_from_slice(key),
    }
    u64::from_be_bytes(head)
}

/// Puts [`Heads`] together key by key, where the smallest and the greatest are known.
#[derive(Debug)]
pub(super) struct HeadsBuilder {
    prefix: Box<[u8]>,
    heads: Vec<u64>,
}

impl HeadsBuilder {
    /// For keys from `first` to `last`.
    pub(super) fn new(first: &[u8], last: &[u8]) -> HeadsBuilder {
        HeadsBuilder {
            prefix: first[..common_prefix(first, last)].into(),
            heads: Vec::new(),
        }
    }

    /// Adds the next key; false where it is not between first and last.
    pub(super) fn push(&mut self, key: &[u8]) -> bool {
        match key.strip_prefix(&*self.prefix) {
            Some(rest) => {
                self.heads.push(head_of(rest));
                true
            }
            None => false,
        }
    }

    pub(super) fn finish(self) -> Heads {
        Heads {
            prefix: self.prefix,
            heads: self.heads.into(),
        }
    }
}

impl Heads {
    /// Those of sorted keys.
    pub(super) fn new<'a>(keys: impl DoubleEndedIterator<Item = &'a [u8]> + Clone) -> Heads {
        let (first, last) = (keys.clone().next(), keys.clone().next_back());
        let mut heads = HeadsBuilder::new(first.unwrap_or_default(), last.unwrap_or_default());
        keys.for_each(|key| {
            heads.push(key);
        });
        heads.finish()
    }

    /// Where `key` can be: all keys before the range are less, all behind it are greater. What is in
    /// it, mostly nothing, has to be compared.
    #[inline]
    pub(super) fn narrow(&self, key: &[u8]) -> Range<usize> {
        let Some(rest) = key.strip_prefix(&*self.prefix) else {
            let at = if key < &*self.prefix {
                0
            } else {
                self.heads.len()
            };
            return at..at;
        };
        let head = head_of(rest);
        let from = self.heads.partition_point(|one| *one < head);
        let alike = self.heads[from..].partition_point(|one| *one == head);
        from..from + alike
    }

    /// How many keys are less than `key`; `is_less` says it of the one at an index.
    #[inline]
    pub(super) fn count_less(&self, key: &[u8], is_less: impl Fn(usize) -> bool) -> usize {
        let Range { mut start, mut end } = self.narrow(key);
        while start < end {
            let middle = start + (end - start) / 2;
            if is_less(middle) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        /// Keys around the length of prefix and head, of few different bytes.
        fn a_search_by_heads_finds_what_a_search_by_keys_does(
            keys: Vec<Vec<u8>>, sought: Vec<Vec<u8>>, shared: u8
        ) -> bool {
            let key = |own: &Vec<u8>, shared: u8| {
                let mut key = vec![1; usize::from(shared % 12)];
                key.extend(own.iter().take(3).map(|byte| byte % 3));
                key
            };
            let mut keys: Vec<_> = keys.iter().map(|own| key(own, shared)).collect();
            keys.sort();
            let heads = Heads::new(keys.iter().map(Vec::as_slice));
            let others = sought.iter().map(|own| key(own, shared.wrapping_add(own.len() as u8)));
            keys.iter().cloned().chain(others).all(|sought| {
                let range = heads.narrow(&sought);
                let less = heads.count_less(&sought, |at| keys[at] < sought);
                less == keys.partition_point(|key| *key < sought)
                    && keys[..range.start].iter().all(|key| *key < sought)
                    && keys[range.end..].iter().all(|key| *key > sought)
            })
        }
    }
}
