//! Scanning a transaction's view: the snapshot with the own changes laid over it.

use std::{
    collections::VecDeque,
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use rustling_storage::{Cursor, Direction, KeyRange, KeyspaceId, staging};

use crate::{
    error::Result,
    serializable::ScanTracker,
    state::State,
    write_set::{WriteSet, is_empty_range},
};

/// The own changes are copied out of the write set in portions of at most this many entries …
const PORTION_ENTRIES: usize = 128;
/// … and about this many bytes.
const PORTION_BYTES: usize = 64 << 10;

/// Walks a range as the transaction sees it. Owned, and lending: what
/// [`TransactionCursor::next`] returns lives until the next call.
///
/// Changes that the transaction makes after the cursor was opened may or may not appear.
#[derive(Debug)]
pub struct TransactionCursor {
    view: View,
    tracker: Option<Box<ScanTracker>>,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the common case shall not allocate"
)]
enum View {
    Empty,
    /// Nothing of the keyspace has been written: the store's cursor as it is.
    Snapshot(Cursor),
    Merged(Box<Merge>),
}

impl TransactionCursor {
    pub(crate) fn empty() -> TransactionCursor {
        TransactionCursor {
            view: View::Empty,
            tracker: None,
        }
    }

    pub(crate) fn snapshot(cursor: Cursor) -> TransactionCursor {
        TransactionCursor {
            view: View::Snapshot(cursor),
            tracker: None,
        }
    }

    /// Lays the own changes over `base` (which a keyspace of this transaction has none of).
    pub(crate) fn merged(
        state: &Arc<State>,
        writes: &WriteSet,
        base: Option<Cursor>,
        keyspace: KeyspaceId,
        range: KeyRange,
        direction: Direction,
    ) -> Result<TransactionCursor> {
        let mut sources = Vec::new();
        for layer in writes.layers_of(keyspace) {
            let cursor = layer
                .snapshot
                .scan(layer.staging, range.clone(), direction)?;
            sources.push(Source::new(Feed::Layer(cursor)));
        }
        if let Some(base) = base {
            sources.push(Source::new(Feed::Base(base)));
        }
        if writes.has_changes(keyspace) {
            let own = Own {
                state: Arc::clone(state),
                keyspace,
                range,
                direction,
                portion: VecDeque::new(),
                done: false,
            };
            sources.insert(0, Source::new(Feed::Own(own)));
        }
        Ok(TransactionCursor {
            view: View::Merged(Box::new(Merge { sources, direction })),
            tracker: None,
        })
    }

    /// The next entry in scan direction.
    ///
    /// # Errors
    /// [`crate::Error::Storage`] where the store cannot be read, [`crate::Error::Finished`]
    /// where the transaction ended while own changes were still to be shown,
    /// [`crate::Error::Serialization`] under SERIALIZABLE.
    #[expect(clippy::should_implement_trait, reason = "a lending iterator")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let entry = match &mut self.view {
            View::Empty => None,
            View::Snapshot(cursor) => cursor.next()?,
            View::Merged(merge) => merge.next()?,
        };
        if let Some(tracker) = &mut self.tracker {
            tracker.reached(entry.map(|(key, _)| key))?;
        }
        Ok(entry)
    }

    /// Shows `visit` the next entries in scan direction until it breaks off, which is answered, or
    /// there are none; this and [`TransactionCursor::next`] go on where the other has ended. `visit`
    /// must neither use the database nor wait for anything: where there is nothing to lay over
    /// the snapshot, and nothing to track, it sees the entries where they are stored.
    ///
    /// # Errors
    /// As [`TransactionCursor::next`].
    pub fn visit(
        &mut self,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        if let (View::Snapshot(cursor), None) = (&mut self.view, &self.tracker) {
            return Ok(cursor.visit(visit)?);
        }
        while let Some((key, value)) = self.next()? {
            if visit(key, value).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn tracked_by(mut self, tracker: Option<ScanTracker>) -> TransactionCursor {
        self.tracker = tracker.map(Box::new);
        self
    }
}

/// Entries in scan order from sources of which an earlier one hides equal keys of a later one.
#[derive(Debug)]
struct Merge {
    sources: Vec<Source>,
    direction: Direction,
}

impl Merge {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        let found = loop {
            for source in &mut self.sources {
                if !source.primed {
                    source.advance()?;
                }
            }
            let Some(first) = self.first() else {
                break None;
            };
            // Heads that `first` hides are passed over with it.
            let (key, visible) = {
                let head = &mut self.sources[first];
                head.primed = false;
                (std::mem::take(&mut head.key), head.state == Head::Value)
            };
            for source in &mut self.sources[first + 1..] {
                if source.primed && source.state != Head::End && source.key == key {
                    source.primed = false;
                }
            }
            self.sources[first].key = key;
            if visible {
                break Some(first);
            }
        };
        Ok(found.map(|at| {
            let source = &self.sources[at];
            (&source.key[..], &source.value[..])
        }))
    }

    /// The source with the next key; of equal ones the first.
    fn first(&self) -> Option<usize> {
        let live = self
            .sources
            .iter()
            .enumerate()
            .filter(|(_, source)| source.state != Head::End);
        match self.direction {
            Direction::Forward => live.min_by(|(_, a), (_, b)| a.key.cmp(&b.key)),
            Direction::Backward => live.min_by(|(_, a), (_, b)| b.key.cmp(&a.key)),
        }
        .map(|(at, _)| at)
    }
}

/// What the head of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Value,
    Deleted,
    End,
}

#[derive(Debug)]
struct Source {
    feed: Feed,
    /// Whether the head is yet to be shown; otherwise it is advanced first.
    primed: bool,
    state: Head,
    key: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
enum Feed {
    Own(Own),
    Layer(Cursor),
    Base(Cursor),
}

impl Source {
    fn new(feed: Feed) -> Source {
        Source {
            feed,
            primed: false,
            state: Head::End,
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    fn advance(&mut self) -> Result<()> {
        let Source {
            feed,
            primed,
            state,
            key,
            value,
        } = self;
        let mut show = |next_key: &[u8], next_value: Option<&[u8]>| {
            key.clear();
            key.extend_from_slice(next_key);
            value.clear();
            value.extend_from_slice(next_value.unwrap_or_default());
            if next_value.is_some() {
                Head::Value
            } else {
                Head::Deleted
            }
        };
        *state = match feed {
            Feed::Base(cursor) => cursor
                .next()?
                .map_or(Head::End, |(key, value)| show(key, Some(value))),
            Feed::Layer(cursor) => cursor.next()?.map_or(Head::End, |(key, staged)| {
                show(key, staging::decode(staged))
            }),
            Feed::Own(own) => match own.next()? {
                None => Head::End,
                Some((next_key, next_value)) => {
                    *key = next_key;
                    let head = if next_value.is_some() {
                        Head::Value
                    } else {
                        Head::Deleted
                    };
                    *value = next_value.unwrap_or_default();
                    head
                }
            },
        };
        *primed = true;
        Ok(())
    }
}

type OwnChange = (Vec<u8>, Option<Vec<u8>>);

/// The own changes in memory, copied out portion by portion so that no lock is held between.
#[derive(Debug)]
struct Own {
    state: Arc<State>,
    keyspace: KeyspaceId,
    /// What is still to be copied.
    range: KeyRange,
    direction: Direction,
    portion: VecDeque<OwnChange>,
    done: bool,
}

impl Own {
    fn next(&mut self) -> Result<Option<OwnChange>> {
        if self.portion.is_empty() && !self.done {
            self.refill()?;
        }
        Ok(self.portion.pop_front())
    }

    fn refill(&mut self) -> Result<()> {
        let mut bytes = 0;
        let portion = &mut self.portion;
        self.state.read_writes()?.visit(
            self.keyspace,
            &self.range,
            self.direction,
            |key, value| {
                bytes += key.len() + value.map_or(0, <[u8]>::len);
                portion.push_back((key.to_vec(), value.map(<[u8]>::to_vec)));
                portion.len() < PORTION_ENTRIES && bytes < PORTION_BYTES
            },
        );
        match portion.back() {
            Some((last, _)) => match self.direction {
                Direction::Forward => self.range.start = Bound::Excluded(last.clone()),
                Direction::Backward => self.range.end = Bound::Excluded(last.clone()),
            },
            None => self.done = true,
        }
        Ok(())
    }
}

/// Opens a cursor on `range`, or an empty one where the range is.
pub(crate) fn open(
    state: &Arc<State>,
    keyspace: KeyspaceId,
    range: KeyRange,
    direction: Direction,
) -> Result<TransactionCursor> {
    if is_empty_range(&range) {
        return Ok(TransactionCursor::empty());
    }
    let tracker = ScanTracker::new(state, keyspace, &range, direction);
    if !state.is_dirty() {
        let cursor = state.with_snapshot(|snapshot| snapshot.scan(keyspace, range, direction))?;
        return Ok(TransactionCursor::snapshot(cursor).tracked_by(tracker));
    }
    let writes = state.read_writes()?;
    writes.check_not_dropped(keyspace)?;
    let base = if writes.creates(keyspace) {
        None
    } else {
        Some(state.with_snapshot(|snapshot| snapshot.scan(keyspace, range.clone(), direction))?)
    };
    match base {
        Some(base)
            if !writes.has_changes(keyspace) && writes.layers_of(keyspace).next().is_none() =>
        {
            Ok(TransactionCursor::snapshot(base).tracked_by(tracker))
        }
        base => {
            let tracker = tracker.filter(|_| base.is_some());
            let merged =
                TransactionCursor::merged(state, &writes, base, keyspace, range, direction)?;
            Ok(merged.tracked_by(tracker))
        }
    }
}
