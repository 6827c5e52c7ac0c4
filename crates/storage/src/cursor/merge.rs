//! Merging version cursors into one: what every engine of several parts reads through.

use std::cmp::Ordering;

use super::{VersionCursor, VersionRef};
use crate::{error::Result, store::Direction};

/// Merges cursors of one direction. A version that several of them have is shown once, from
/// the first of them.
#[derive(Debug)]
pub(crate) struct MergeCursor<C> {
    direction: Direction,
    sources: Vec<C>,
    /// The sources that are on a version, the one whose turn it is first. There are few of
    /// them and mostly the same one goes on, so keeping them sorted beats a heap.
    order: Vec<Turn>,
    begun: bool,
}

/// A source that is on a version.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// The beginning of its version's key, as a number that ascends on the way: it tells most keys
    /// apart without asking the source, which has to look where it is.
    head: u128,
    source: usize,
}

#[inline]
fn head_of(key: &[u8], direction: Direction) -> u128 {
    let mut head = [0; 16];
    match key.first_chunk() {
        Some(first) => head = *first,
        None => head[..key.len()].copy_from_slice(key),
    }
    let head = u128::from_be_bytes(head);
    match direction {
        Direction::Forward => head,
        Direction::Backward => !head,
    }
}

impl<C: VersionCursor> MergeCursor<C> {
    /// Merges `sources`, none of which has been stepped yet.
    pub(crate) fn new(sources: Vec<C>, direction: Direction) -> MergeCursor<C> {
        MergeCursor {
            direction,
            order: Vec::with_capacity(sources.len()),
            sources,
            begun: false,
        }
    }

    /// The turn of a source that has been stepped to a version.
    #[inline]
    fn turn(&self, source: usize) -> Turn {
        let key = self.sources[source].version().key;
        Turn {
            head: head_of(key, self.direction),
            source,
        }
    }

    #[inline]
    fn compare(&self, a: Turn, b: Turn) -> Ordering {
        let heads = a.head.cmp(&b.head);
        heads.then_with(|| self.compare_versions(a.source, b.source))
    }

    fn compare_versions(&self, a: usize, b: usize) -> Ordering {
        let (x, y) = (self.sources[a].version(), self.sources[b].version());
        let keys = match self.direction {
            Direction::Forward => x.key.cmp(y.key),
            Direction::Backward => y.key.cmp(x.key),
        };
        keys.then_with(|| y.lsn.cmp(&x.lsn)).then_with(|| a.cmp(&b))
    }

    /// Puts the source at `place` where it belongs, which is there or later.
    #[inline]
    fn sift(&mut self, mut place: usize) {
        while let Some(next) = self.order.get(place + 1)
            && self.compare(self.order[place], *next).is_gt()
        {
            self.order.swap(place, place + 1);
            place += 1;
        }
    }

    /// Steps the source at `place`.
    #[inline]
    fn step(&mut self, place: usize) -> Result<()> {
        let source = self.order[place].source;
        if self.sources[source].advance()? {
            self.order[place] = self.turn(source);
            self.sift(place);
        } else {
            self.order.remove(place);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.begun = true;
        self.order.clear();
        for index in (0..self.sources.len()).rev() {
            if self.sources[index].advance()? {
                self.order.insert(0, self.turn(index));
                self.sift(0);
            }
        }
        Ok(())
    }

    #[inline]
    fn is_repeated(&self) -> bool {
        let [first, second, ..] = self.order[..] else {
            return false;
        };
        if first.head != second.head {
            return false;
        }
        let (x, y) = (
            self.sources[first.source].version(),
            self.sources[second.source].version(),
        );
        x.lsn == y.lsn && x.key == y.key
    }
}

impl<C: VersionCursor> VersionCursor for MergeCursor<C> {
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        if self.begun {
            while self.is_repeated() {
                self.step(1)?;
            }
            if !self.order.is_empty() {
                self.step(0)?;
            }
        } else {
            self.begin()?;
        }
        Ok(!self.order.is_empty())
    }

    #[inline]
    fn version(&self) -> VersionRef<'_> {
        match self.order.first() {
            Some(first) => self.sources[first.source].version(),
            None => VersionRef::NOTHING,
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        for source in &mut self.sources {
            source.seek(key)?;
        }
        self.begun = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::{super::tests::Listed, *};

    /// Keys of a few lengths, some of which differ only behind what is compared at first.
    fn spell(key: u8) -> Vec<u8> {
        let mut spelled = vec![7; 15];
        spelled.push(key / 6);
        if !key.is_multiple_of(6) {
            spelled.push(key % 6);
        }
        spelled
    }

    fn all(cursor: &mut impl VersionCursor) -> Vec<(u8, u64, Option<u8>)> {
        let mut all = Vec::new();
        while let Some(version) = cursor.next_version().unwrap() {
            let read = |key: &u8| spell(*key) == version.key;
            all.push((
                (0..16).find(read).unwrap(),
                version.lsn.0,
                version.value.map(|value| value[0]),
            ));
        }
        all
    }

    quickcheck! {
        fn merging_is_sorting(sources: Vec<Vec<(u8, u8)>>, backward: bool, sought: u8) -> bool {
            let direction = if backward { Direction::Backward } else { Direction::Forward };
            let order = |a: &(u8, u64, Option<u8>), b: &(u8, u64, Option<u8>)| {
                let keys = if backward { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) };
                keys.then(b.1.cmp(&a.1))
            };
            let mut expected = Vec::new();
            let mut cursors = Vec::new();
            for (number, source) in sources.iter().enumerate() {
                let mut versions: Vec<(u8, u64, Option<u8>)> = source
                    .iter()
                    .map(|(key, lsn)| (key % 16, u64::from(lsn % 8), Some(number as u8)))
                    .collect();
                versions.sort_by(order);
                versions.dedup_by(|a, b| (a.0, a.1) == (b.0, b.1));
                cursors.push(Listed::spelled(&versions, direction, spell));
                expected.extend(versions);
            }
            // Stable: of equal versions the first source's stays.
            expected.sort_by(order);
            expected.dedup_by(|a, b| (a.0, a.1) == (b.0, b.1));
            let mut merged = MergeCursor::new(cursors, direction);
            let found = all(&mut merged);
            let sought = sought % 16;
            merged.seek(&spell(sought)).unwrap();
            let again = all(&mut merged);
            let rest: Vec<_> = expected
                .iter()
                .filter(|(key, ..)| if backward { *key <= sought } else { *key >= sought })
                .copied()
                .collect();
            found == expected && again == rest
        }
    }
}
