//! Scans: of a table, of parts of it by key, of an index.

use std::{sync::Arc, vec};

use rustling_storage::{Direction, KeyRange, KeyspaceId};
use rustling_txn::TransactionCursor;

use crate::{
    Result, Value,
    encoding::KeyLayout,
    engine::{error::txn_error, key_set},
    executor::{
        ExecContext, MemoryMeter, Operator, RowBuffer, Substitute, key_condition::keys_of, passes,
    },
    planner::{
        cost_model,
        physical::{AccessPath, ScanNode},
    },
};

/// How many rows pass between two looks at the cancel token.
const CHECK_EVERY: u32 = 128;

/// What a path's keys are made of.
pub(crate) struct PathKeys<'a> {
    /// Where they are.
    pub(crate) keyspace: KeyspaceId,
    /// Their columns; `None`: numbers of rows.
    pub(crate) layout: Option<&'a KeyLayout>,
    /// Whether nothing comes behind the columns where none is NULL.
    pub(crate) is_whole: bool,
}

impl<'a> PathKeys<'a> {
    /// Those of a scan's path.
    pub(crate) fn of(node: &'a ScanNode) -> Result<PathKeys<'a>> {
        Ok(match node.path {
            AccessPath::Table => PathKeys {
                keyspace: node.table.keyspace,
                layout: node.table.codec.key.as_ref(),
                is_whole: true,
            },
            AccessPath::Index(index) => {
                let index = node.table.index(index)?;
                PathKeys {
                    keyspace: index.keyspace,
                    layout: Some(&index.layout),
                    is_whole: index.unique,
                }
            }
        })
    }
}

/// A scan at work.
pub(crate) struct Scan {
    node: Arc<ScanNode>,
    keyspace: KeyspaceId,
    source: Source,
    /// The ranges that come after the one being read.
    rest: vec::IntoIter<KeyRange>,
    /// Where all ranges are read over in one go: which entries count.
    within: Option<Within>,
    /// Whether rows may come for which the conditions of the path do not hold.
    checks_implied: bool,
    /// Whether the rows themselves are not looked at.
    keys_alone: bool,
    scratch: Vec<u8>,
    row_key: Vec<u8>,
    rows: u32,
    /// Holds the memory of the ranges.
    _memory: Option<MemoryMeter>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "a scan has one, and opens it once a range"
)]
enum Source {
    /// Nothing (more) to come.
    Empty,
    /// One entry by its whole key.
    Point(Vec<u8>),
    /// Entries in key order.
    Entries(TransactionCursor),
}

/// Ranges that are read over from the first to the last.
struct Within {
    /// In the order of reading.
    ranges: vec::IntoIter<KeyRange>,
    current: Option<KeyRange>,
    backward: bool,
}

impl Within {
    fn new(mut ranges: vec::IntoIter<KeyRange>, backward: bool) -> Within {
        Within {
            current: ranges.next(),
            ranges,
            backward,
        }
    }

    /// Whether a key, which comes after all that were asked for before, is in one of the ranges;
    /// `None`: nor is any that comes after it.
    fn holds(&mut self, key: &[u8]) -> Option<bool> {
        loop {
            let range = self.current.as_ref()?;
            let (not_yet, no_more) = if self.backward {
                (
                    key_set::is_behind(key, range),
                    key_set::is_before(key, range),
                )
            } else {
                (
                    key_set::is_before(key, range),
                    key_set::is_behind(key, range),
                )
            };
            if !no_more {
                return Some(!not_yet);
            }
            self.current = self.ranges.next();
        }
    }
}

impl Scan {
    /// Opens a scan. The values of its key condition may refer to columns of `outer`.
    pub(crate) fn open(
        node: &Arc<ScanNode>,
        outer: &[Value],
        context: &ExecContext,
    ) -> Result<Scan> {
        let path = PathKeys::of(node)?;
        let (keys, memory) = keys_of(&path, &node.condition, outer, context)?;
        let mut scan = Scan {
            keyspace: path.keyspace,
            source: Source::Empty,
            rest: Vec::new().into_iter(),
            within: None,
            checks_implied: !keys.exact,
            keys_alone: node.gives_keys_alone() && keys.exact,
            scratch: Vec::new(),
            row_key: Vec::new(),
            rows: 0,
            _memory: memory,
            node: Arc::clone(node),
        };
        let mut ranges = keys.ranges;
        let walks = cost_model::walks(ranges.len(), node.condition.between);
        let whole = if walks {
            key_set::covering(&ranges)
        } else {
            None
        };
        if node.backward {
            ranges.reverse();
        }
        match whole {
            Some(whole) => {
                scan.within = Some(Within::new(ranges.into_iter(), node.backward));
                scan.source = scan.source_of(whole, context)?;
            }
            None => {
                scan.rest = ranges.into_iter();
                scan.next_range(context)?;
            }
        }
        Ok(scan)
    }

    /// A scan of every row, which checks what the path was to see to.
    pub(crate) fn open_checking(node: &Arc<ScanNode>, context: &ExecContext) -> Result<Scan> {
        let mut scan = Scan::open(node, &[], context)?;
        scan.checks_implied = true;
        scan.keys_alone = false;
        Ok(scan)
    }

    /// Goes on to the next range; `false`: there is none.
    fn next_range(&mut self, context: &ExecContext) -> Result<bool> {
        let Some(range) = self.rest.next() else {
            self.source = Source::Empty;
            return Ok(false);
        };
        self.source = self.source_of(range, context)?;
        Ok(true)
    }

    fn source_of(&self, range: KeyRange, context: &ExecContext) -> Result<Source> {
        if let Some(key) = key_set::only_key(&range) {
            return Ok(Source::Point(key.to_vec()));
        }
        let direction = if self.node.backward {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let cursor = context
            .transaction
            .scan(self.keyspace, range, direction)
            .map_err(txn_error)?;
        Ok(Source::Entries(cursor))
    }

    /// Fetches the row whose key is in `self.row_key`.
    fn fetch(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let (node, key, scratch) = (&self.node, &self.row_key, &mut self.scratch);
        row.resize(node.width(), Value::Null);
        let found = context
            .transaction
            .get_with(node.table.keyspace, key, |stored| {
                node.decoder.decode_values(key, stored, scratch, row)
            })
            .map_err(txn_error)?;
        match found {
            None => Ok(false),
            Some(decoded) => {
                decoded?;
                if node.row_key.is_some() {
                    row[node.ordinals.len()] = Value::Bytea(key.clone());
                }
                Ok(true)
            }
        }
    }

    /// The row at an entry of the path; `false`: there is none.
    fn point(&mut self, key: &[u8], context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        if self.node.path == AccessPath::Table {
            self.row_key.clear();
            self.row_key.extend_from_slice(key);
            return self.fetch(context, row);
        }
        let found = context.transaction.get(self.keyspace, key);
        let Some(value) = found.map_err(txn_error)? else {
            return Ok(false);
        };
        let (scratch, row_key) = (&mut self.scratch, &mut self.row_key);
        let entry = read(
            &self.node,
            self.keys_alone,
            (key, &value),
            scratch,
            row_key,
            row,
        )?;
        self.row_of(entry, context, row)
    }

    /// The row that an entry has come to; `false`: there is none.
    fn row_of(&mut self, entry: Entry, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        match entry {
            Entry::Row => Ok(true),
            Entry::Leads => self.fetch(context, row),
        }
    }

    /// Makes `row` the next row of the range being read, whatever the filter says of it; `None`:
    /// the range has ended, `Some(false)`: there is no row at this entry.
    fn advance(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<Option<bool>> {
        let entry = match &mut self.source {
            Source::Empty => return Ok(None),
            Source::Point(key) => {
                let key = std::mem::take(key);
                self.source = Source::Empty;
                return self.point(&key, context, row).map(Some);
            }
            Source::Entries(cursor) => {
                let Some((key, value)) = cursor.next().map_err(txn_error)? else {
                    return Ok(None);
                };
                match self.within.as_mut().map(|within| within.holds(key)) {
                    None | Some(Some(true)) => {}
                    Some(Some(false)) => return Ok(Some(false)),
                    Some(None) => return Ok(None),
                }
                let (scratch, row_key) = (&mut self.scratch, &mut self.row_key);
                read(
                    &self.node,
                    self.keys_alone,
                    (key, value),
                    scratch,
                    row_key,
                    row,
                )?
            }
        };
        self.row_of(entry, context, row).map(Some)
    }
}

/// What an entry of a path gives.
enum Entry {
    /// The row.
    Row,
    /// The key of the row, which is in [`Scan::row_key`] now.
    Leads,
}

/// Reads an entry of a scan's path.
#[inline]
fn read(
    node: &ScanNode,
    keys_alone: bool,
    (key, value): (&[u8], &[u8]),
    scratch: &mut Vec<u8>,
    row_key: &mut Vec<u8>,
    row: &mut RowBuffer,
) -> Result<Entry> {
    let found = match node.path {
        AccessPath::Table => {
            row.resize(node.width(), Value::Null);
            if !keys_alone {
                node.decoder.decode_values(key, value, scratch, row)?;
            }
            if node.row_key.is_some() {
                row[node.ordinals.len()] = Value::Bytea(key.to_vec());
            }
            return Ok(Entry::Row);
        }
        AccessPath::Index(index) => match &node.entries {
            None => node.table.index(index)?.row_key(key, value)?,
            Some(entries) => {
                row.resize(node.width(), Value::Null);
                entries.decode(&node.table, key, value, scratch, row)?;
                return Ok(Entry::Row);
            }
        },
    };
    if keys_alone {
        row.clear();
        row.push(Value::Bytea(found.to_vec()));
        return Ok(Entry::Row);
    }
    row_key.clear();
    row_key.extend_from_slice(found);
    Ok(Entry::Leads)
}

impl Operator for Scan {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        loop {
            self.rows = self.rows.wrapping_add(1);
            if self.rows.is_multiple_of(CHECK_EVERY) {
                context.check()?;
            }
            match self.advance(context, row)? {
                None if self.next_range(context)? => {}
                None => return Ok(false),
                Some(false) => {}
                Some(true) => {
                    let node = &self.node;
                    if (!self.checks_implied || passes(&node.implied, row, context)?)
                        && passes(&node.filter, row, context)?
                    {
                        return Ok(true);
                    }
                }
            }
        }
    }
}

/// A given row in the place of a scan, seen if it passes the scan's conditions.
pub(crate) struct SubstitutedScan {
    node: Arc<ScanNode>,
    row: Option<Substitute>,
}

impl SubstitutedScan {
    /// A scan that gives `row` at most.
    pub(crate) fn new(node: Arc<ScanNode>, row: Substitute) -> SubstitutedScan {
        SubstitutedScan {
            node,
            row: Some(row),
        }
    }
}

impl Operator for SubstitutedScan {
    fn next(&mut self, context: &ExecContext, row: &mut RowBuffer) -> Result<bool> {
        let Some(given) = self.row.take() else {
            return Ok(false);
        };
        let Some(stored) = given.row else {
            return Ok(false);
        };
        let node = &self.node;
        row.resize(node.width(), Value::Null);
        node.decoder
            .decode_values(&given.key, &stored, &mut Vec::new(), row)?;
        if node.row_key.is_some() {
            row[node.ordinals.len()] = Value::Bytea(given.key);
        }
        Ok(passes(&node.implied, row, context)? && passes(&node.filter, row, context)?)
    }
}
