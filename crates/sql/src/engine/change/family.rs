//! Changes of tables that consist of several: of partitioned tables, and of those that others
//! inherit from.
//!
//! Rows are found, locked and computed in the columns of the table that the statement names, and
//! written in those of the table that they are in, or are to be in.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rustling_txn::{LockMode, LockWait, RowState};

use crate::{
    Error, Result, SqlState, Value,
    bound::ColumnId,
    catalog::TableId,
    encoding::RowDecoder,
    engine::{
        catalog::CatalogSnapshot,
        change::{
            ChangeAction, ChangeKind, ConflictAction,
            apply::{Applied, TakenRows, WrittenRows, key_before, take_changed},
            locking::lock_to_set,
            upsert::Upsert,
        },
        error::txn_error,
        foreign_keys::Written,
        partitions::moved,
        session::Session,
        table::TableHandle,
        write::{RowChange, TableWriter},
    },
    executor::{self, ExecContext, MemoryMeter, RowBuffer, Substitute, row_bytes},
};

/// Rows on their way into partitions that are in memory at a time.
const PORTION_BYTES: usize = 1 << 20;

/// A table within a family, and where the columns of the family's first table stand in it.
#[derive(Debug)]
pub(crate) struct Member {
    /// The table.
    pub(crate) table: Arc<TableHandle>,
    /// For each column of the first table its ordinal here.
    pub(crate) columns: Arc<[usize]>,
    /// The column of row keys that the scan of it gives, where it is scanned.
    pub(crate) row_key: Option<ColumnId>,
}

impl Member {
    /// A row of the first table as one of this; columns that only this has stay NULL.
    fn row_of(&self, row: &[Value]) -> RowBuffer {
        let mut own = vec![Value::Null; self.table.table.columns.len()];
        self.set(&mut own, row);
        own
    }

    /// Sets the columns that come from the first table.
    fn set(&self, own: &mut [Value], row: &[Value]) {
        for (place, value) in self.columns.iter().zip(row) {
            if let Some(column) = own.get_mut(*place) {
                column.clone_from(value);
            }
        }
    }

    fn has_own_columns(&self) -> bool {
        self.columns.len() < self.table.table.columns.len()
    }
}

/// The partitions of a table, those of partitions included.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    members: HashMap<TableId, Arc<Member>>,
}

impl Partitions {
    /// The partitions below `root`.
    pub(crate) fn of(root: &Arc<TableHandle>, catalog: &CatalogSnapshot) -> Result<Partitions> {
        let mut partitions = Partitions::default();
        let mut waiting = vec![Arc::clone(root)];
        while let Some(at) = waiting.pop() {
            for child in at.children.iter().filter_map(|id| catalog.handle(*id)) {
                let columns = root.table.columns_in(&child.table).ok_or_else(|| {
                    Error::new(
                        SqlState::INTERNAL_ERROR,
                        format!("partition \"{}\" lacks a column", child.table.name),
                    )
                })?;
                waiting.push(Arc::clone(&child));
                let id = child.table.id;
                let member = Member {
                    table: child,
                    columns: columns.into(),
                    row_key: None,
                };
                partitions.members.insert(id, Arc::new(member));
            }
        }
        Ok(partitions)
    }

    /// The tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = &TableHandle> {
        self.members.values().map(|member| &*member.table)
    }

    /// The partition that keeps a row of `root`.
    fn route(
        &self,
        root: &TableHandle,
        row: &[Value],
        context: &ExecContext,
    ) -> Result<Arc<Member>> {
        let mut found: Option<&Arc<Member>> = None;
        loop {
            let id = match found {
                None => match &root.routing {
                    Some(routing) => routing.route(row, &context.eval())?,
                    None => break,
                },
                Some(member) => match &member.table.routing {
                    Some(routing) => routing.route(&member.row_of(row), &context.eval())?,
                    None if member.table.table.partitioning.is_some() => break,
                    None => return Ok(Arc::clone(member)),
                },
            };
            found = self.members.get(&id);
            if found.is_none() {
                break;
            }
        }
        // A table that is partitioned but has no partitions has no routing.
        let table = found.map_or(&root.table, |member| &member.table.table);
        Err(Error::new(
            SqlState::CHECK_VIOLATION,
            format!("no partition of relation \"{}\" found for row", table.name),
        ))
    }
}

/// What becomes of one row.
pub(crate) struct Step {
    /// The row that goes or changes, with its key, whole.
    from: Option<(Arc<Member>, Vec<u8>, RowBuffer)>,
    /// What it becomes, or the row that comes, whole.
    to: Option<(Arc<Member>, RowBuffer)>,
    /// What RETURNING wants beside the row.
    others: RowBuffer,
}

impl Step {
    /// The row that RETURNING speaks of, in the columns of the first table, and what it wants
    /// beside.
    fn returned(&self) -> RowBuffer {
        let (member, row) = match (&self.to, &self.from) {
            (Some((member, row)), _) | (None, Some((member, _, row))) => (member, row),
            (None, None) => return Vec::new(),
        };
        let mut shown = moved(row, &member.columns);
        shown.extend_from_slice(&self.others);
        shown
    }
}

/// The rows that RETURNING speaks of.
pub(super) fn returned(steps: &[Step]) -> Vec<RowBuffer> {
    steps.iter().map(Step::returned).collect()
}

/// When the steps are written among the parts of a statement: rows that only go first, rows that
/// only come last.
pub(super) fn turn(steps: &[Step]) -> u8 {
    if steps.iter().all(|step| step.to.is_none()) {
        0
    } else if steps.iter().any(|step| step.from.is_some()) {
        1
    } else {
        2
    }
}

/// Leaves out the rows that another part of the statement has taken, and takes the others.
pub(super) fn take_rows(steps: &mut Vec<Step>, taken: &mut TakenRows) {
    steps.retain(|step| match &step.from {
        Some((member, key, _)) => taken.insert((member.table.keyspace, key.clone())),
        None => true,
    });
}

/// Steps that write again what was written into partitions and taken back.
pub(super) fn again(
    change: &ChangeAction,
    written: WrittenRows,
    taken: &mut TakenRows,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for (table, rows) in written {
        let members = change.partitions.as_ref().map(|of| &of.members);
        let Some(member) = members.and_then(|members| members.get(&table.table.id)) else {
            continue;
        };
        for row in rows {
            let from = match row.old {
                None => None,
                Some(old) => {
                    let key = key_before(&table, &row.key, &old)?;
                    take_changed(taken, &table, &key)?;
                    Some((Arc::clone(member), key, old))
                }
            };
            steps.push(Step {
                from,
                to: row.new.map(|new| (Arc::clone(member), new)),
                others: RowBuffer::new(),
            });
        }
    }
    Ok(steps)
}

/// Whether the change concerns more than one table.
pub(super) fn concerns(change: &ChangeAction) -> bool {
    change.partitions.is_some() || change.family.is_some()
}

/// Whether rows can be written before all have been read.
pub(super) fn takes_portions(change: &ChangeAction) -> bool {
    let plain = |member: &Member| {
        member.table.table.foreign_keys.is_empty() && member.table.referenced_by.is_empty()
    };
    matches!(change.kind, ChangeKind::Insert(None))
        && change.returning.is_none()
        && !change.reads_itself
        && change
            .partitions
            .as_ref()
            .is_some_and(|partitions| partitions.members.values().all(|member| plain(member)))
}

/// Inserts rows a portion at a time.
pub(super) fn insert_in_portions(
    session: &mut Session,
    change: &ChangeAction,
    context: &mut ExecContext,
) -> Result<Applied> {
    let mut source = executor::build(&change.source.root, context, None)?;
    let mut affected = 0;
    let mut is_end = false;
    let mut locks = Locks::default();
    while !is_end {
        let mut memory = MemoryMeter::new(context, "INSERT")?;
        let mut steps = Vec::new();
        let mut bytes = 0;
        while bytes < PORTION_BYTES && !is_end {
            let mut row = RowBuffer::new();
            if source.next(context, &mut row)? {
                let more = 2 * row_bytes(&row);
                memory.grow(more)?;
                bytes += more;
                steps.push(insertion(session, change, &row, &mut locks, context)?);
            } else {
                is_end = true;
            }
        }
        // None of the tables has foreign keys.
        affected += write(session, steps, &mut WrittenRows::new(), context)?;
    }
    Ok(Applied {
        affected,
        rows: None,
    })
}

/// Reads the rows of a change, locks those that are there and computes what they become.
pub(super) fn gather(
    session: &Session,
    change: &ChangeAction,
    context: &ExecContext,
) -> Result<Vec<Step>> {
    let mut locks = Locks::default();
    let (rows, _memory) = super::locking::collect(change, context, "changing rows")?;
    let width = change.table.table.columns.len();
    match (&change.kind, &change.family) {
        (ChangeKind::Insert(None), _) => rows
            .iter()
            .map(|row| insertion(session, change, row, &mut locks, context))
            .collect(),
        (ChangeKind::Update { ordinals, .. }, Some(members)) => {
            let found = lock_found(session, change, members, rows, &mut locks, context)?;
            let mut steps = Vec::with_capacity(found.len());
            for Found { member, key, row } in found {
                let mut new = row.get(..width).unwrap_or_default().to_vec();
                let mut values = row.into_iter().skip(width + 2);
                for ordinal in ordinals {
                    if let (Some(place), Some(value)) = (new.get_mut(*ordinal), values.next()) {
                        *place = value;
                    }
                }
                let others = values.collect();
                let old = whole_row(&member, &key, context)?;
                let to = match &change.partitions {
                    Some(partitions) => partitions.route(&change.table, &new, context)?,
                    None => Arc::clone(&member),
                };
                let mut made = if to.table.table.id == member.table.table.id {
                    old.clone()
                } else {
                    locks.take(session, &to, context)?;
                    vec![Value::Null; to.table.table.columns.len()]
                };
                to.set(&mut made, &new);
                to.table.complete_row(&mut made, &context.eval())?;
                if !change.checks.is_empty() {
                    change.check_views(&moved(&made, &to.columns), &context.eval())?;
                }
                steps.push(Step {
                    from: Some((member, key, old)),
                    to: Some((to, made)),
                    others,
                });
            }
            Ok(steps)
        }
        (ChangeKind::Delete { .. }, Some(members)) => {
            let found = lock_found(session, change, members, rows, &mut locks, context)?;
            found
                .into_iter()
                .map(|Found { member, key, row }| {
                    let old = whole_row(&member, &key, context)?;
                    Ok(Step {
                        from: Some((member, key, old)),
                        to: None,
                        others: row.into_iter().skip(width + 2).collect(),
                    })
                })
                .collect()
        }
        _ => Err(Error::new(
            SqlState::INTERNAL_ERROR,
            "a change of several tables without their names",
        )),
    }
}

fn insertion(
    session: &Session,
    change: &ChangeAction,
    row: &[Value],
    locks: &mut Locks,
    context: &ExecContext,
) -> Result<Step> {
    let Some(partitions) = &change.partitions else {
        return Err(Error::new(
            SqlState::INTERNAL_ERROR,
            "an insertion into partitions without them",
        ));
    };
    let to = partitions.route(&change.table, row, context)?;
    locks.take(session, &to, context)?;
    let mut made = to.row_of(row);
    to.table.complete_row(&mut made, &context.eval())?;
    if !change.checks.is_empty() {
        change.check_views(&moved(&made, &to.columns), &context.eval())?;
    }
    Ok(Step {
        from: None,
        to: Some((to, made)),
        others: RowBuffer::new(),
    })
}

/// INSERT … ON CONFLICT into partitions: how many rows were written, and those that RETURNING
/// speaks of. All that is written is noted.
pub(super) fn upsert(
    session: &mut Session,
    change: &ChangeAction,
    conflict: &ConflictAction,
    rows: Vec<RowBuffer>,
    all_written: &mut WrittenRows,
    context: &mut ExecContext,
) -> Result<(u64, Vec<RowBuffer>)> {
    let Some(partitions) = &change.partitions else {
        return Ok((0, Vec::new()));
    };
    let mut locks = Locks::default();
    let mut members: HashMap<TableId, (Upsert<'_>, Vec<Written>)> = HashMap::new();
    let mut returned = Vec::new();
    let mut affected = 0;
    let transaction = Arc::clone(&context.transaction);
    let store = session.database.store().clone();
    for (at, row) in rows.into_iter().enumerate() {
        if at.is_multiple_of(128) {
            context.check()?;
        }
        let member = partitions.route(&change.table, &row, context)?;
        locks.take(session, &member, context)?;
        let (upsert, written) = members.entry(member.table.table.id).or_insert_with(|| {
            let upsert = Upsert::into_partition(&member, &change.table, conflict);
            (upsert, Vec::new())
        });
        let mut made = member.row_of(&row);
        let mut writer = TableWriter::new(&member.table, &transaction, &store);
        if let Some(old) = upsert.insert(&mut writer, &mut made, context)? {
            affected += 1;
            if !change.checks.is_empty() {
                change.check_views(&moved(&made, &member.columns), &context.eval())?;
            }
            if change.returning.is_some() {
                returned.push(moved(&made, &member.columns));
            }
            written.push(Written {
                key: writer.key().to_vec(),
                old,
                new: Some(made),
            });
        }
    }
    for (id, (_, written)) in members {
        if let Some(member) = partitions.members.get(&id) {
            all_written.push((Arc::clone(&member.table), written));
        }
    }
    Ok((affected, returned))
}

/// The tables that the statement has locked for writing.
#[derive(Default)]
struct Locks(HashSet<TableId>);

impl Locks {
    fn take(&mut self, session: &Session, member: &Member, context: &ExecContext) -> Result<()> {
        if !self.0.insert(member.table.table.id) {
            return Ok(());
        }
        if session.lock_for_writing(&context.transaction, &member.table)? {
            return Ok(());
        }
        Err(Error::new(
            SqlState::SERIALIZATION_FAILURE,
            format!(
                "table \"{}\" was changed by a concurrent transaction",
                member.table.table.name
            ),
        )
        .hint("Run the transaction again."))
    }
}

/// A row that a change is about, locked: all columns of the source.
struct Found {
    member: Arc<Member>,
    key: Vec<u8>,
    row: RowBuffer,
}

/// Locks the rows that were found and reads those again that have changed since.
fn lock_found(
    session: &Session,
    change: &ChangeAction,
    members: &[Arc<Member>],
    rows: Vec<RowBuffer>,
    locks: &mut Locks,
    context: &ExecContext,
) -> Result<Vec<Found>> {
    let width = change.table.table.columns.len();
    let mut seen = HashSet::new();
    let mut locked = Vec::with_capacity(rows.len());
    for (at, row) in rows.into_iter().enumerate() {
        if at.is_multiple_of(128) {
            context.check()?;
        }
        let (Some(Value::Bytea(key)), Some(Value::Int4(number))) =
            (row.get(width), row.get(width + 1))
        else {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "a row to be changed has no key",
            ));
        };
        let number = usize::try_from(*number).unwrap_or(usize::MAX);
        let Some(member) = members.get(number) else {
            continue;
        };
        // A row is changed once, however often a join gives it.
        if !seen.insert((number, key.clone())) {
            continue;
        }
        locks.take(session, member, context)?;
        let keyspace = member.table.keyspace;
        let mode = match &change.kind {
            ChangeKind::Update { ordinals, .. } => {
                let own: Vec<usize> = ordinals
                    .iter()
                    .filter_map(|ordinal| member.columns.get(*ordinal).copied())
                    .collect();
                lock_to_set(&member.table, &own)
            }
            _ => LockMode::Exclusive,
        };
        let key = key.clone();
        let state = context
            .transaction
            .lock_row(keyspace, &key, mode, LockWait::Wait)
            .map_err(txn_error)?;
        match state {
            RowState::Unchanged => locked.push(Found {
                member: Arc::clone(member),
                key,
                row,
            }),
            RowState::Changed => {
                let newest = context
                    .transaction
                    .get_latest(keyspace, &key)
                    .map_err(txn_error)?;
                let Some(stored) = newest else { continue };
                // The other members' rows stay away: this one is looked at alone.
                let substitutes: Vec<Substitute> = members
                    .iter()
                    .enumerate()
                    .filter_map(|(place, other)| {
                        Some(Substitute {
                            row_key: other.row_key?,
                            key: key.clone(),
                            row: (place == number).then(|| stored.clone()),
                        })
                    })
                    .collect();
                let mut again = executor::build_with(&change.source.root, context, &substitutes)?;
                let mut row = RowBuffer::new();
                if again.next(context, &mut row)? {
                    locked.push(Found {
                        member: Arc::clone(member),
                        key,
                        row,
                    });
                }
            }
            RowState::Skipped => {}
        }
    }
    Ok(locked)
}

/// A row as it is stored now, with the columns that only its own table has.
fn whole_row(member: &Member, key: &[u8], context: &ExecContext) -> Result<RowBuffer> {
    let table = &member.table;
    let stored = context
        .transaction
        .get_latest(table.keyspace, key)
        .map_err(txn_error)?
        .ok_or_else(|| {
            Error::new(
                SqlState::SERIALIZATION_FAILURE,
                "could not serialize access due to concurrent update",
            )
        })?;
    let all: Vec<usize> = (0..table.table.columns.len()).collect();
    let decoder = RowDecoder::new(Arc::clone(&table.codec), &all);
    let mut row = vec![Value::Null; all.len()];
    decoder.decode_values(key, &stored, &mut Vec::new(), &mut row)?;
    debug_assert!(
        member.has_own_columns() || row.len() == member.columns.len(),
        "a member has at least the columns of the first table"
    );
    Ok(row)
}

/// What happens in one table.
#[derive(Default)]
struct Writes {
    deletes: Vec<(Vec<u8>, RowBuffer)>,
    updates: Vec<RowChange>,
    inserts: Vec<RowBuffer>,
}

/// Writes the steps: in all tables first what goes, then what changes, then what comes. Gives
/// how many there were. Rows with foreign keys, or that others refer to, are noted.
pub(super) fn write(
    session: &mut Session,
    steps: Vec<Step>,
    all_written: &mut WrittenRows,
    context: &mut ExecContext,
) -> Result<u64> {
    let affected = steps.len() as u64;
    let mut tables: Vec<(Arc<TableHandle>, Writes)> = Vec::new();
    let mut places: HashMap<TableId, usize> = HashMap::new();
    let mut place = |table: &Arc<TableHandle>, tables: &mut Vec<(Arc<TableHandle>, Writes)>| {
        *places.entry(table.table.id).or_insert_with(|| {
            tables.push((Arc::clone(table), Writes::default()));
            tables.len() - 1
        })
    };
    for Step { from, to, .. } in steps {
        match (from, to) {
            (Some((from, key, old)), Some((to, new)))
                if from.table.table.id == to.table.table.id =>
            {
                let at = place(&from.table, &mut tables);
                tables[at].1.updates.push(RowChange::new(key, old, new));
            }
            (from, to) => {
                if let Some((from, key, old)) = from {
                    let at = place(&from.table, &mut tables);
                    tables[at].1.deletes.push((key, old));
                }
                if let Some((to, new)) = to {
                    let at = place(&to.table, &mut tables);
                    tables[at].1.inserts.push(new);
                }
            }
        }
    }
    let transaction = Arc::clone(&context.transaction);
    let store = session.database.store().clone();
    let mut written: Vec<Vec<Written>> = tables.iter().map(|_| Vec::new()).collect();
    for ((table, writes), written) in tables.iter().zip(&mut written) {
        let mut writer = TableWriter::new(table, &transaction, &store);
        for (key, old) in &writes.deletes {
            writer.delete(key, old, &context.eval())?;
            written.push(Written {
                key: Vec::new(),
                old: Some(old.clone()),
                new: None,
            });
        }
    }
    for ((table, writes), written) in tables.iter_mut().zip(&mut written) {
        let mut writer = TableWriter::new(table, &transaction, &store);
        writer.update(&mut writes.updates, &context.eval())?;
        for change in writes.updates.drain(..) {
            written.push(Written {
                key: change.new_key,
                old: Some(change.old),
                new: Some(change.new),
            });
        }
    }
    for ((table, writes), written) in tables.iter_mut().zip(&mut written) {
        let mut writer = TableWriter::new(table, &transaction, &store);
        for (at, row) in writes.inserts.iter_mut().enumerate() {
            if at.is_multiple_of(128) {
                context.check()?;
            }
            writer.insert(row, &context.eval())?;
            written.push(Written {
                key: writer.key().to_vec(),
                old: None,
                new: Some(std::mem::take(row)),
            });
        }
    }
    for ((table, _), written) in tables.into_iter().zip(written) {
        if !table.table.foreign_keys.is_empty() || !table.referenced_by.is_empty() {
            all_written.push((table, written));
        }
    }
    Ok(affected)
}
