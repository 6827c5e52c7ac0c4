//! Runs a change within a transaction.

use std::sync::Arc;

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
        foreign_keys::{self, Written},
        query::run_init_plans,
        session::Session,
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

/// What a change has done so far.
struct Progress<'a> {
    change: &'a ChangeAction,
    affected: u64,
    /// For RETURNING: the rows as they are now, with what else it wants.
    returned: Vec<RowBuffer>,
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
    /// What can only be known while writing.
    Direct,
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
    let work = match &change.kind {
        _ if family::concerns(change) => gather(session, change, context)?,
        ChangeKind::Insert(None) if !change.reads_itself => Work::Direct,
        ChangeKind::Update { row_key, ordinals } if takes_portions(change, ordinals) => {
            return in_portions(session, change, *row_key, Some(ordinals), context);
        }
        ChangeKind::Delete { row_key } if takes_portions(change, &[]) => {
            return in_portions(session, change, *row_key, None, context);
        }
        _ => gather(session, change, context)?,
    };
    carry_out(session, change, work, context)
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
        affected += carry_out(session, change, work, context)?.affected;
    }
    Ok(Applied {
        affected,
        rows: None,
    })
}

/// Reads and locks the rows of a change whose writing is to wait, and gives what RETURNING makes
/// of them. Changes that must look while they write are carried out at once.
pub(crate) fn prepare(
    session: &mut Session,
    change: &ChangeAction,
    context: &mut ExecContext,
) -> Result<(Option<Work>, Applied)> {
    begin(change, context)?;
    let work = gather(session, change, context)?;
    if matches!(work, Work::Direct) {
        return Ok((None, carry_out(session, change, work, context)?));
    }
    let rows = match &change.returning {
        None => None,
        Some(returning) => {
            let width = change.table.table.columns.len();
            let rows = match &work {
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
                Work::Direct => Vec::new(),
            };
            Some(returned_rows(returning, rows, context)?)
        }
    };
    Ok((Some(work), Applied { affected: 0, rows }))
}

/// Reads the rows of a change and locks those that are there already.
fn gather(session: &Session, change: &ChangeAction, context: &ExecContext) -> Result<Work> {
    if family::concerns(change) {
        // Rows in conflict are looked for while writing.
        if matches!(change.kind, ChangeKind::Insert(Some(_))) {
            return Ok(Work::Direct);
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
        ChangeKind::Insert(Some(_)) | ChangeKind::Merge { .. } => Work::Direct,
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

/// Writes what [`gather`] has read.
pub(crate) fn carry_out(
    session: &mut Session,
    change: &ChangeAction,
    work: Work,
    context: &mut ExecContext,
) -> Result<Applied> {
    let work = match work {
        Work::Family(steps) => {
            let returned = match &change.returning {
                None => Vec::new(),
                Some(_) => family::returned(&steps),
            };
            let affected = family::write(session, steps, context)?;
            let rows = match &change.returning {
                None => None,
                Some(returning) => Some(returned_rows(returning, returned, context)?),
            };
            return Ok(Applied { affected, rows });
        }
        work => work,
    };
    if let (ChangeKind::Insert(Some(conflict)), Some(_)) = (&change.kind, &change.partitions) {
        let (affected, returned) = family::upsert(session, change, conflict, context)?;
        let rows = match &change.returning {
            None => None,
            Some(returning) => Some(returned_rows(returning, returned, context)?),
        };
        return Ok(Applied { affected, rows });
    }
    let table = &change.table;
    let mut progress = Progress {
        change,
        affected: 0,
        returned: Vec::new(),
        written: Vec::new(),
        wants_written: !table.table.foreign_keys.is_empty() || !table.referenced_by.is_empty(),
        memory: MemoryMeter::new(context, "changed rows")?,
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
        (Work::Direct, ChangeKind::Insert(Some(conflict))) => {
            let mut upsert = Upsert::new(change, conflict);
            let (rows, _memory) = collect(change, context, "INSERT")?;
            for (at, mut row) in rows.into_iter().enumerate() {
                if at.is_multiple_of(128) {
                    context.check()?;
                }
                if let Some(old) = upsert.insert(&mut writer, &mut row, context)? {
                    progress.note(writer.key(), old.as_deref(), Some(&row), &[], context)?;
                }
            }
        }
        (Work::Direct, ChangeKind::Merge { actions }) => {
            merge(&mut writer, actions, &mut progress, context)?;
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
    let Progress {
        affected,
        returned,
        written,
        memory: _memory,
        ..
    } = progress;
    foreign_keys::after_change(session, table, written, context)?;
    let rows = match &change.returning {
        None => None,
        Some(returning) => Some(returned_rows(returning, returned, context)?),
    };
    Ok(Applied { affected, rows })
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

fn merge(
    writer: &mut TableWriter<'_>,
    actions: &[MergeStep],
    progress: &mut Progress<'_>,
    context: &ExecContext,
) -> Result<()> {
    let change = progress.change;
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
    for (key, old) in &deletes {
        writer.delete(key, old, &context.eval())?;
        progress.note(&[], Some(old), None, &[], context)?;
    }
    writer.update(&mut updates, &context.eval())?;
    for change in &updates {
        progress.note(
            &change.new_key,
            Some(&change.old),
            Some(&change.new),
            &[],
            context,
        )?;
    }
    for row in &mut inserts {
        writer.insert(row, &context.eval())?;
        progress.note(writer.key(), None, Some(row), &[], context)?;
    }
    Ok(())
}
