//! Runs a change within a transaction.

use std::sync::Arc;

use hashbrown::HashSet;
use rustling_storage::KeyspaceId;

use crate::{
    Error, Result, SqlState, Value,
    bound::ColumnId,
    engine::{
        change::{
            ChangeAction, ChangeKind, MergeStep, ReturningAction,
            family::{self, Step},
            locking::{collect, lock_found, lock_rows, lock_unchanged},
            upsert::Upsert,
        },
        error::txn_error,
        foreign_keys::{self, Written},
        query::run_init_plans,
        session::Session,
        table::TableHandle,
        write::{RowChange, TableWriter},
    },
    executor::{self, ExecContext, MemoryMeter, RowBuffer, row_bytes},
};

/// Rows found, and what they become, that are in memory at a time.
const PORTION_BYTES: usize = 1 << 20;

/// What came of a change.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Rows inserted, updated or deleted.
    pub(crate) affected: u64,
    /// What RETURNING gives.
    pub(crate) rows: Option<Vec<RowBuffer>>,
}

/// Rows that a statement has written, by table: their foreign keys are looked at once all its
/// parts have written.
pub(super) type WrittenRows = Vec<(Arc<TableHandle>, Vec<Written>)>;

/// The rows, by table and key, that parts of a statement change or remove.
pub(crate) type TakenRows = HashSet<(KeyspaceId, Vec<u8>)>;

/// What came of writing.
struct Done {
    affected: u64,
    /// For RETURNING: the rows as they are now, with what else it wants.
    returned: Vec<RowBuffer>,
    /// Holds the memory of these rows.
    memory: MemoryMeter,
}

/// What a change has done so far.
struct Progress<'a> {
    change: &'a ChangeAction,
    affected: u64,
    /// For RETURNING: the rows as they are now, with what else it wants.
    returned: Vec<RowBuffer>,
    wants_returned: bool,
    /// For foreign keys: what was and what is.
    written: Vec<Written>,
    wants_written: bool,
    memory: MemoryMeter,
}

impl Progress<'_> {
    /// Notes a row that was written.
    fn note(
        &mut self,
        key: &[u8],
        old: Option<&[Value]>,
        new: Option<&[Value]>,
        others: &[Value],
        context: &ExecContext,
    ) -> Result<()> {
        self.affected += 1;
        if let Some(new) = new
            && !self.change.checks.is_empty()
        {
            self.change.check_views(new, &context.eval())?;
        }
        if self.wants_written {
            let both = old.map_or(0, row_bytes) + new.map_or(0, row_bytes);
            self.memory.grow(both)?;
            self.written.push(Written {
                key: key.to_vec(),
                old: old.map(<[Value]>::to_vec),
                new: new.map(<[Value]>::to_vec),
            });
        }
        if let Some(returning) = &self.change.returning
            && self.wants_returned
            && let Some(row) = new.or(old)
        {
            let mut row = row.to_vec();
            row.extend_from_slice(others);
            debug_assert!(
                others.len() == returning.others,
                "RETURNING's columns stand last in the source's rows"
            );
            self.memory.grow(row_bytes(&row))?;
            self.returned.push(row);
        }
        Ok(())
    }
}

/// The rows of a change, read and locked but not yet written.
pub(crate) enum Work {
    /// Rows to be added, complete.
    Insert(Vec<RowBuffer>),
    /// Rows to be changed, complete, each with what else RETURNING wants.
    Update(Vec<RowChange>, Vec<RowBuffer>),
    /// Keys and rows to be removed, with what else RETURNING wants behind the row and its key.
    Delete(Vec<(Vec<u8>, RowBuffer)>),
    /// Rows of several tables.
    Family(Vec<Step>),
    /// Rows of one table to be removed, changed and added.
    Mixed(Mixed),
    /// Rows to be added, or to change those in their way, which shows while they are written.
    Upsert(Vec<RowBuffer>),
    /// Rows to be added as they are read.
    Direct,
}

/// Rows of one table to be removed, changed and added.
#[derive(Default)]
pub(crate) struct Mixed {
    deletes: Vec<(Vec<u8>, RowBuffer)>,
    updates: Vec<RowChange>,
    inserts: Vec<RowBuffer>,
}

impl Work {
    /// When it is written among the parts of a statement: what gives way before what takes its
    /// place.
    fn turn(&self) -> u8 {
        match self {
            Work::Delete(_) => 0,
            Work::Family(steps) => family::turn(steps),
            Work::Update(..) | Work::Mixed(_) => 1,
            Work::Insert(_) | Work::Direct => 2,
            Work::Upsert(_) => 3,
        }
    }

    /// The rows that RETURNING speaks of, where that is known before they are written.
    fn returned(&self, change: &ChangeAction) -> Vec<RowBuffer> {
        let width = change.table.table.columns.len();
        match self {
            Work::Insert(rows) => rows.clone(),
            Work::Update(changes, others) => changes
                .iter()
                .enumerate()
                .map(|(at, change)| {
                    let others = others.get(at).map(Vec::as_slice).unwrap_or_default();
                    change.new.iter().chain(others).cloned().collect()
                })
                .collect(),
            Work::Delete(rows) => rows
                .iter()
                .map(|(_, row)| {
                    let others = row.get(width + 1..).unwrap_or_default();
                    row.iter().take(width).chain(others).cloned().collect()
                })
                .collect(),
            Work::Family(steps) => family::returned(steps),
            // MERGE has no RETURNING.
            Work::Mixed(_) | Work::Upsert(_) | Work::Direct => Vec::new(),
        }
    }

    /// Leaves out the rows that another part of the statement has taken, and takes the others.
    fn take_rows(&mut self, change: &ChangeAction, taken: &mut TakenRows) {
        let keyspace = change.table.keyspace;
        let mut take = |key: &[u8]| taken.insert((keyspace, key.to_vec()));
        match self {
            Work::Delete(rows) => rows.retain(|(key, _)| take(key)),
            Work::Update(changes, others) => {
                let free: Vec<bool> = changes.iter().map(|change| take(&change.key)).collect();
                let mut of_changes = free.iter();
                changes.retain(|_| of_changes.next() == Some(&true));
                let mut of_others = free.iter();
                others.retain(|_| of_others.next() == Some(&true));
            }
            Work::Mixed(mixed) => {
                mixed.deletes.retain(|(key, _)| take(key));
                mixed.updates.retain(|change| take(&change.key));
            }
            Work::Family(steps) => family::take_rows(steps, taken),
            Work::Insert(_) | Work::Upsert(_) | Work::Direct => {}
        }
    }
}

/// Evaluates the change's subqueries, in the order in which they were planned.
fn begin(change: &ChangeAction, context: &mut ExecContext) -> Result<()> {
    run_init_plans(&change.source.init, context)?;
    if let ChangeKind::Insert(Some(conflict)) = &change.kind
        && let Some(update) = &conflict.update
    {
        context.put_aside(update.slot, Vec::new());
        run_init_plans(&update.plan.init, context)?;
    }
    if let Some(returning) = &change.returning {
        context.put_aside(returning.slot, Vec::new());
        run_init_plans(&returning.plan.init, context)?;
    }
    Ok(())
}

/// Runs the change within the context's transaction, foreign keys included.
pub(crate) fn apply(
    session: &mut Session,
    change: &ChangeAction,
    context: &mut ExecContext,
) -> Result<Applied> {
    begin(change, context)?;
    if family::takes_portions(change) {
        return family::insert_in_portions(session, change, context);
    }
    // What RETURNING reads are the tables as they were before.
    let returns_first = change
        .returning
        .as_ref()
        .is_some_and(|returning| returning.reads_tables);
    let work = match &change.kind {
        _ if family::concerns(change) => gather(session, change, context)?,
        ChangeKind::Insert(None) if !change.reads_itself && !returns_first => Work::Direct,
        ChangeKind::Update { row_key, ordinals } if takes_portions(change, ordinals) => {
            return in_portions(session, change, *row_key, Some(ordinals), context);
        }
        ChangeKind::Delete { row_key } if takes_portions(change, &[]) => {
            return in_portions(session, change, *row_key, None, context);
        }
        _ => gather(session, change, context)?,
    };
    if returns_first {
        let mut taken = TakenRows::default();
        let (work, rows) = returned_before(session, change, work, &mut taken, context)?;
        let affected = carry_out_alone(session, change, work, false, context)?.affected;
        return Ok(Applied { affected, rows });
    }
    carry_out_alone(session, change, work, true, context)
}

/// Whether rows can be changed while later ones are still being found: they come from a walk
/// over the table, no row moves to where the walk still has to pass, and nothing is to be looked
/// at once all are changed.
fn takes_portions(change: &ChangeAction, ordinals: &[usize]) -> bool {
    let table = &change.table.table;
    let stay = ordinals.is_empty()
        || (!ordinals.iter().any(|at| table.primary_key.contains(at))
            && !change.table.indexes.iter().any(|index| index.unique)
            && !table
                .columns
                .iter()
                .any(|column| column.generated.is_some()));
    stay && change.returning.is_none()
        && table.foreign_keys.is_empty()
        && change.table.referenced_by.is_empty()
        && change.source.root.walks_one_table()
}

/// Runs an UPDATE or DELETE a portion of the rows at a time: a table may hold many more than
/// memory does.
fn in_portions(
    session: &mut Session,
    change: &ChangeAction,
    row_key: ColumnId,
    ordinals: Option<&[usize]>,
    context: &mut ExecContext,
) -> Result<Applied> {
    let mut source = executor::build(&change.source.root, context, None)?;
    let mut affected = 0;
    let mut is_end = false;
    while !is_end {
        let mut memory = MemoryMeter::new(context, "changing rows")?;
        let mut rows = Vec::new();
        let mut bytes = 0;
        while bytes < PORTION_BYTES && !is_end {
            let mut row = RowBuffer::new();
            if source.next(context, &mut row)? {
                let more = 2 * row_bytes(&row);
                memory.grow(more)?;
                bytes += more;
                rows.push(row);
            } else {
                is_end = true;
            }
        }
        let rows = lock_found(change, row_key, rows, context)?;
        let work = match ordinals {
            Some(ordinals) => updates(change, ordinals, rows, context)?,
            None => Work::Delete(rows),
        };
        affected += carry_out_alone(session, change, work, false, context)?.affected;
    }
    Ok(Applied {
        affected,
        rows: None,
    })
}

/// Reads and locks the rows of a change whose writing is to wait. Rows that another part of the
/// statement changes are left to it.
pub(crate) fn prepare(
    session: &Session,
    change: &ChangeAction,
    taken: &mut TakenRows,
    context: &mut ExecContext,
) -> Result<Work> {
    begin(change, context)?;
    let mut work = gather(session, change, context)?;
    work.take_rows(change, taken);
    Ok(work)
}

/// What RETURNING makes of the rows of a change before they are written. Where only writing shows
/// what becomes of them, they are written and taken back, and what became of them is to be
/// written then.
///
/// # Errors
/// 21000 where that changes a row which another part of the statement has `taken`.
pub(crate) fn returned_before(
    session: &mut Session,
    change: &ChangeAction,
    work: Work,
    taken: &mut TakenRows,
    context: &mut ExecContext,
) -> Result<(Work, Option<Vec<RowBuffer>>)> {
    let Some(returning) = &change.returning else {
        return Ok((work, None));
    };
    let (work, rows) = match work {
        Work::Upsert(_) => try_out(session, change, work, taken, context)?,
        work => {
            let rows = work.returned(change);
            (work, rows)
        }
    };
    let rows = returned_rows(returning, rows, context)?;
    Ok((work, Some(rows)))
}

/// The key of a row before it was changed, which is under `key` now.
pub(super) fn key_before(table: &TableHandle, key: &[u8], old: &[Value]) -> Result<Vec<u8>> {
    if table.codec.key.is_none() {
        return Ok(key.to_vec());
    }
    let mut before = Vec::with_capacity(key.len());
    table.codec.encode_key(old, &mut before)?;
    Ok(before)
}

/// Writes rows, notes what became of them, and takes it back; locks stay. Gives what is to be
/// written then, and the rows that RETURNING speaks of.
fn try_out(
    session: &mut Session,
    change: &ChangeAction,
    work: Work,
    taken: &mut TakenRows,
    context: &mut ExecContext,
) -> Result<(Work, Vec<RowBuffer>)> {
    let transaction = Arc::clone(&context.transaction);
    let before = transaction.savepoint();
    let mut written = WrittenRows::new();
    let done = write(session, change, work, Keep::Written, &mut written, context);
    let undone = transaction.rollback_to(&before).map_err(txn_error);
    transaction.release(before);
    let Done { returned, .. } = done?;
    undone?;
    if family::concerns(change) {
        let steps = family::again(change, written, taken)?;
        return Ok((Work::Family(steps), returned));
    }
    let table = &change.table;
    let mut mixed = Mixed::default();
    for row in written.into_iter().flat_map(|(_, rows)| rows) {
        match (row.old, row.new) {
            (Some(old), Some(new)) => {
                let key = key_before(table, &row.key, &old)?;
                take_changed(taken, table, &key)?;
                mixed.updates.push(RowChange::new(key, old, new));
            }
            (None, Some(new)) => mixed.inserts.push(new),
            (_, None) => {}
        }
    }
    Ok((Work::Mixed(mixed), returned))
}

/// Takes a row that ON CONFLICT changes: what it becomes rests on what it was before the
/// statement, so that no other part may change it.
pub(super) fn take_changed(taken: &mut TakenRows, table: &TableHandle, key: &[u8]) -> Result<()> {
    if taken.insert((table.keyspace, key.to_vec())) {
        return Ok(());
    }
    Err(super::upsert::affected_again())
}

/// Reads the rows of a change and locks those that are there already.
fn gather(session: &Session, change: &ChangeAction, context: &ExecContext) -> Result<Work> {
    if family::concerns(change) {
        // Rows in conflict are looked for while writing.
        if matches!(change.kind, ChangeKind::Insert(Some(_))) {
            let (rows, _memory) = collect(change, context, "INSERT")?;
            return Ok(Work::Upsert(rows));
        }
        return Ok(Work::Family(family::gather(session, change, context)?));
    }
    Ok(match &change.kind {
        ChangeKind::Insert(None) => {
            let (mut rows, _memory) = collect(change, context, "INSERT")?;
            for row in &mut rows {
                change.table.complete_row(row, &context.eval())?;
            }
            Work::Insert(rows)
        }
        ChangeKind::Update { row_key, ordinals } => {
            let rows = lock_rows(change, *row_key, context)?;
            updates(change, ordinals, rows, context)?
        }
        ChangeKind::Delete { row_key } => Work::Delete(lock_rows(change, *row_key, context)?),
        ChangeKind::Insert(Some(_)) => {
            let (rows, _memory) = collect(change, context, "INSERT")?;
            Work::Upsert(rows)
        }
        ChangeKind::Merge { actions } => Work::Mixed(merge(change, actions, context)?),
    })
}

/// The new rows of an UPDATE of these rows.
fn updates(
    change: &ChangeAction,
    ordinals: &[usize],
    rows: Vec<(Vec<u8>, RowBuffer)>,
    context: &ExecContext,
) -> Result<Work> {
    let width = change.table.table.columns.len();
    let mut changes = Vec::with_capacity(rows.len());
    let mut others = Vec::new();
    for (key, mut row) in rows {
        let mut rest = row.split_off(width.min(row.len()));
        // The place of the key, which was taken.
        let mut values = rest.split_off(1.min(rest.len()));
        if change.returning.is_some() {
            others.push(values.split_off(ordinals.len().min(values.len())));
        }
        let mut new = row.clone();
        for (ordinal, value) in ordinals.iter().zip(values) {
            if let Some(place) = new.get_mut(*ordinal) {
                *place = value;
            }
        }
        change.table.complete_row(&mut new, &context.eval())?;
        changes.push(RowChange::new(key, row, new));
    }
    Ok(Work::Update(changes, others))
}

/// Writes what was read for a statement of one part, and then looks at its foreign keys.
fn carry_out_alone(
    session: &mut Session,
    change: &ChangeAction,
    work: Work,
    returns: bool,
    context: &mut ExecContext,
) -> Result<Applied> {
    let mut written = WrittenRows::new();
    let done = write(
        session,
        change,
        work,
        Keep::returned(returns),
        &mut written,
        context,
    )?;
    settle(session, change, done, written, returns, context)
}

/// Writes what was read for the parts of a statement, and then looks at their foreign keys. What
/// comes of the last part is what comes of the statement: with what RETURNING makes of its rows
/// where `returns`.
pub(crate) fn carry_out(
    session: &mut Session,
    parts: Vec<(&ChangeAction, Work)>,
    returns: bool,
    context: &mut ExecContext,
) -> Result<Applied> {
    let statement = parts.len().saturating_sub(1);
    let mut parts: Vec<_> = parts.into_iter().enumerate().collect();
    parts.sort_by_key(|(_, (_, work))| work.turn());
    let mut written = WrittenRows::new();
    let mut of_statement = None;
    let mut held = Vec::new();
    for (at, (change, work)) in parts {
        let keep = Keep::returned(at == statement && returns);
        let done = write(session, change, work, keep, &mut written, context)?;
        if at == statement {
            of_statement = Some((change, done));
        } else {
            held.push(done.memory);
        }
    }
    match of_statement {
        Some((change, done)) => settle(session, change, done, written, returns, context),
        None => Ok(Applied::default()),
    }
}

/// Looks at the foreign keys of all that was written, and gives what comes of a change.
fn settle(
    session: &mut Session,
    change: &ChangeAction,
    done: Done,
    written: WrittenRows,
    returns: bool,
    context: &mut ExecContext,
) -> Result<Applied> {
    for (table, rows) in written {
        foreign_keys::after_change(session, &table, rows, context)?;
    }
    let rows = match &change.returning {
        Some(returning) if returns => Some(returned_rows(returning, done.returned, context)?),
        _ => None,
    };
    Ok(Applied {
        affected: done.affected,
        rows,
    })
}

/// What is noted of rows while they are written, beside what foreign keys need.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    /// What RETURNING wants.
    Returned,
    /// That, and the rows themselves.
    Written,
}

impl Keep {
    fn returned(returns: bool) -> Keep {
        if returns {
            Keep::Returned
        } else {
            Keep::Nothing
        }
    }
}

/// Writes what [`gather`] has read. Foreign keys are to be looked at later.
fn write(
    session: &mut Session,
    change: &ChangeAction,
    work: Work,
    keep: Keep,
    written: &mut WrittenRows,
    context: &mut ExecContext,
) -> Result<Done> {
    let memory = MemoryMeter::new(context, "changed rows")?;
    let wants_returned = keep != Keep::Nothing && change.returning.is_some();
    let work = match work {
        Work::Family(steps) => {
            let returned = if wants_returned {
                family::returned(&steps)
            } else {
                Vec::new()
            };
            let affected = family::write(session, steps, written, context)?;
            return Ok(Done {
                affected,
                returned,
                memory,
            });
        }
        work => work,
    };
    let work = match (work, &change.kind) {
        (Work::Upsert(rows), ChangeKind::Insert(Some(conflict))) if change.partitions.is_some() => {
            let (affected, returned) =
                family::upsert(session, change, conflict, rows, written, context)?;
            return Ok(Done {
                affected,
                returned,
                memory,
            });
        }
        (work, _) => work,
    };
    let table = &change.table;
    let mut progress = Progress {
        change,
        affected: 0,
        returned: Vec::new(),
        wants_returned,
        written: Vec::new(),
        wants_written: keep == Keep::Written
            || !table.table.foreign_keys.is_empty()
            || !table.referenced_by.is_empty(),
        memory,
    };
    let transaction = Arc::clone(&context.transaction);
    let store = session.database.store().clone();
    let mut writer = TableWriter::new(table, &transaction, &store);
    match (work, &change.kind) {
        (Work::Insert(rows), _) => {
            for mut row in rows {
                writer.insert(&mut row, &context.eval())?;
                progress.note(writer.key(), None, Some(&row), &[], context)?;
            }
        }
        (Work::Update(mut changes, others), _) => {
            writer.update(&mut changes, &context.eval())?;
            for (at, change) in changes.iter().enumerate() {
                let others = others.get(at).map(Vec::as_slice).unwrap_or_default();
                progress.note(
                    &change.new_key,
                    Some(&change.old),
                    Some(&change.new),
                    others,
                    context,
                )?;
            }
        }
        (Work::Delete(rows), _) => {
            let width = table.table.columns.len();
            for (key, row) in rows {
                let old = row.get(..width).unwrap_or_default();
                writer.delete(&key, old, &context.eval())?;
                progress.note(
                    &[],
                    Some(old),
                    None,
                    row.get(width + 1..).unwrap_or_default(),
                    context,
                )?;
            }
        }
        // Written above.
        (Work::Family(_), _) => {}
        (Work::Mixed(mut mixed), _) => {
            for (key, old) in &mixed.deletes {
                writer.delete(key, old, &context.eval())?;
                progress.note(&[], Some(old), None, &[], context)?;
            }
            writer.update(&mut mixed.updates, &context.eval())?;
            for change in &mixed.updates {
                progress.note(
                    &change.new_key,
                    Some(&change.old),
                    Some(&change.new),
                    &[],
                    context,
                )?;
            }
            for row in &mut mixed.inserts {
                writer.insert(row, &context.eval())?;
                progress.note(writer.key(), None, Some(row), &[], context)?;
            }
        }
        (Work::Upsert(rows), ChangeKind::Insert(Some(conflict))) => {
            let mut upsert = Upsert::new(change, conflict);
            for (at, mut row) in rows.into_iter().enumerate() {
                if at.is_multiple_of(128) {
                    context.check()?;
                }
                if let Some(old) = upsert.insert(&mut writer, &mut row, context)? {
                    progress.note(writer.key(), old.as_deref(), Some(&row), &[], context)?;
                }
            }
        }
        (Work::Upsert(_), _) => {
            return Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "rows to be added in spite of conflicts without ON CONFLICT",
            ));
        }
        (Work::Direct, _) => {
            let mut source = executor::build(&change.source.root, context, None)?;
            let mut row = RowBuffer::new();
            while source.next(context, &mut row)? {
                writer.insert(&mut row, &context.eval())?;
                progress.note(writer.key(), None, Some(&row), &[], context)?;
                if progress.affected.is_multiple_of(128) {
                    context.check()?;
                }
            }
        }
    }
    drop(writer);
    if !progress.written.is_empty() {
        written.push((Arc::clone(table), progress.written));
    }
    Ok(Done {
        affected: progress.affected,
        returned: progress.returned,
        memory: progress.memory,
    })
}

/// Computes RETURNING of the rows.
fn returned_rows(
    returning: &ReturningAction,
    rows: Vec<RowBuffer>,
    context: &mut ExecContext,
) -> Result<Vec<RowBuffer>> {
    context.put_aside(returning.slot, rows);
    // EXPLAIN ANALYZE measures the source's nodes only.
    let measurements = context.measurements.take();
    let operator = executor::build(&returning.plan.root, context, None);
    context.measurements = measurements;
    let mut operator = operator?;
    let mut memory = MemoryMeter::new(context, "RETURNING")?;
    let mut result = Vec::new();
    let mut row = RowBuffer::new();
    while operator.next(context, &mut row)? {
        memory.grow(row_bytes(&row))?;
        result.push(std::mem::take(&mut row));
    }
    Ok(result)
}

/// What MERGE does with its rows, the ones that are there locked.
fn merge(change: &ChangeAction, actions: &[MergeStep], context: &ExecContext) -> Result<Mixed> {
    let width = change.table.table.columns.len();
    let (rows, _memory) = collect(change, context, "MERGE")?;
    let mut changed = hashbrown::HashSet::new();
    let mut updates = Vec::new();
    let mut deletes = Vec::new();
    let mut inserts = Vec::new();
    for (at, row) in rows.into_iter().enumerate() {
        if at.is_multiple_of(128) {
            context.check()?;
        }
        let Some(Value::Int4(choice)) = row.get(width + 1) else {
            continue;
        };
        let step = usize::try_from(*choice).ok().and_then(|at| actions.get(at));
        let value = |place: usize| row.get(place).cloned().unwrap_or(Value::Null);
        match step {
            None | Some(MergeStep::Nothing) => {}
            Some(MergeStep::Insert(first)) => {
                inserts.push((*first..first + width).map(value).collect::<Vec<_>>());
            }
            Some(step) => {
                let Some(Value::Bytea(key)) = row.get(width) else {
                    continue;
                };
                if !changed.insert(key.clone()) {
                    return Err(Error::new(
                        SqlState::CARDINALITY_VIOLATION,
                        "MERGE command cannot affect row a second time",
                    )
                    .hint("Ensure that not more than one source row matches any one target row."));
                }
                lock_unchanged(change, key, context)?;
                let old = row.get(..width).unwrap_or_default().to_vec();
                if let MergeStep::Update(values) = step {
                    let mut new = old.clone();
                    for (ordinal, place) in values {
                        if let Some(column) = new.get_mut(*ordinal) {
                            *column = value(*place);
                        }
                    }
                    updates.push(RowChange::new(key.clone(), old, new));
                } else {
                    deletes.push((key.clone(), old));
                }
            }
        }
    }
    Ok(Mixed {
        deletes,
        updates,
        inserts,
    })
}
