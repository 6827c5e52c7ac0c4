//! Referential actions.

use std::{collections::VecDeque, sync::Arc};

use hashbrown::HashMap;
use rustling_txn::{IsolationLevel, LockMode, LockWait, RowState, TableLockMode};

use crate::{
    Error, Result, SqlState, Value,
    catalog::ReferentialAction,
    engine::{
        database::read_only,
        error::txn_error,
        session::Session,
        table::TableHandle,
        write::{RowChange, TableWriter},
    },
    eval::CompiledExpr,
    executor::ExecContext,
};

use super::{
    Written,
    checks::{self, Check, CheckKind},
    keys::{ChildRow, ChildSearch, Lost, LostParents, encoded, followed},
    locked_table,
};

/// Does what the foreign key asks for after its parents' keys are gone. Rows that are changed on
/// the way join `waiting`, checks that remain join `pending`.
pub(super) fn act(
    session: &mut Session,
    gone: &LostParents,
    context: &mut ExecContext,
    waiting: &mut VecDeque<(Arc<TableHandle>, Vec<Written>)>,
    pending: &mut Vec<Check>,
) -> Result<()> {
    let mut by_action: Vec<(ReferentialAction, Vec<&Lost>)> = Vec::new();
    for lost in &gone.lost {
        let action = match lost.new {
            None => gone.key.on_delete,
            Some(_) => gone.key.on_update,
        };
        match by_action.iter_mut().find(|(of, _)| *of == action) {
            Some((_, all)) => all.push(lost),
            None => by_action.push((action, vec![lost])),
        }
    }
    for (action, lost) in by_action {
        if action == ReferentialAction::NoAction {
            pending.push(Check {
                table: gone.child,
                constraint: gone.key.name.clone(),
                kind: CheckKind::Parents(lost.iter().map(|lost| lost.old.clone()).collect()),
            });
            continue;
        }
        let child = locked_table(
            session,
            gone.child,
            TableLockMode::IntentionExclusive,
            context,
        )?;
        let rows = children(session, &child, gone, &lost, context)?;
        if rows.is_empty() {
            continue;
        }
        if action == ReferentialAction::Restrict {
            let name = &child.table.name;
            let values = lost.first().map(|lost| lost.old.as_slice()).unwrap_or(&[]);
            return Err(checks::still_referenced(
                &gone.parent,
                &gone.key,
                name,
                values,
            ));
        }
        let written = write(session, &child, gone, action, &lost, rows, context)?;
        waiting.push_back((child, written));
    }
    Ok(())
}

/// The rows that refer to the lost keys, locked and as they are now.
fn children(
    session: &Session,
    child: &TableHandle,
    gone: &LostParents,
    lost: &[&Lost],
    context: &ExecContext,
) -> Result<Vec<ChildRow>> {
    let search = ChildSearch::new(child, &gone.key, &gone.parent);
    let keys: Vec<&[Value]> = lost.iter().map(|lost| lost.old.as_slice()).collect();
    // What was committed while the parents were waited for is to be seen.
    context.transaction.begin_statement();
    let mut rows = search.rows(&keys, &context.transaction, context)?;
    refuse_unseen(session, &search, &keys, &rows, context)?;
    let mut at = 0;
    while let Some((key, row)) = rows.get_mut(at) {
        let state = context
            .transaction
            .lock_row(child.keyspace, key, LockMode::Exclusive, LockWait::Wait)
            .map_err(txn_error)?;
        if state == RowState::Changed {
            let newest = context
                .transaction
                .get_latest(child.keyspace, key)
                .map_err(txn_error)?;
            let still = match newest {
                None => None,
                Some(stored) => Some(search.decode(key, &stored)?),
            };
            match still {
                Some(newest) => *row = newest,
                None => {
                    rows.swap_remove(at);
                    continue;
                }
            }
        }
        at += 1;
    }
    Ok(rows)
}

/// A transaction that keeps one snapshot does not see rows that refer to a parent since; they
/// would be left without one.
pub(super) fn refuse_unseen(
    session: &Session,
    search: &ChildSearch<'_>,
    keys: &[&[Value]],
    seen: &[ChildRow],
    context: &ExecContext,
) -> Result<()> {
    if context.transaction.isolation() == IsolationLevel::ReadCommitted {
        return Ok(());
    }
    if !session
        .database
        .store()
        .contains_keyspace(search.child.keyspace)
    {
        return Ok(());
    }
    let now = session.database.inner.begin(read_only())?;
    for (key, _) in search.rows(keys, &now, context)? {
        if seen.iter().any(|(known, _)| *known == key) {
            continue;
        }
        // What this transaction has removed itself is no matter.
        let newest = context
            .transaction
            .get_latest(search.child.keyspace, &key)
            .map_err(txn_error)?;
        if newest.is_some() {
            return Err(Error::new(
                SqlState::SERIALIZATION_FAILURE,
                "could not serialize access: a row that refers to a changed key was added concurrently",
            )
            .hint("Run the transaction again."));
        }
    }
    Ok(())
}

fn write(
    session: &Session,
    child: &TableHandle,
    gone: &LostParents,
    action: ReferentialAction,
    lost: &[&Lost],
    rows: Vec<ChildRow>,
    context: &ExecContext,
) -> Result<Vec<Written>> {
    let transaction = Arc::clone(&context.transaction);
    let store = session.database.store();
    let mut writer = TableWriter::new(child, &transaction, store);
    let eval = context.eval();
    let deletes = lost.iter().all(|lost| lost.new.is_none());
    if action == ReferentialAction::Cascade && deletes {
        let mut written = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            writer.delete(&key, &row, &eval)?;
            written.push(Written {
                key: Vec::new(),
                old: Some(row),
                new: None,
            });
        }
        return Ok(written);
    }
    let search = ChildSearch::new(child, &gone.key, &gone.parent);
    let mut replaced: HashMap<Vec<u8>, &[Value]> = HashMap::new();
    for lost in lost {
        if let (Some(key), Some(new)) = (encoded(&lost.old, &search.types)?, &lost.new) {
            replaced.insert(key, new);
        }
    }
    let mut changes = Vec::with_capacity(rows.len());
    for (key, old) in rows {
        let mut new = old.clone();
        let refers_to = encoded(&super::keys::child_values(&gone.key, &old), &search.types)?;
        let set = if deletes && !gone.key.set_columns.is_empty() {
            &gone.key.set_columns
        } else {
            &gone.key.columns
        };
        for ordinal in set {
            let Some(column) = child.table.columns.get(*ordinal) else {
                continue;
            };
            let value = match action {
                ReferentialAction::Cascade => {
                    let place = gone.key.columns.iter().position(|of| of == ordinal);
                    let values = refers_to.as_ref().and_then(|key| replaced.get(key));
                    match (place, values) {
                        (Some(place), Some(values)) => followed(
                            values.get(place).cloned().unwrap_or(Value::Null),
                            column.data_type,
                        )?,
                        _ => continue,
                    }
                }
                ReferentialAction::SetDefault => match &column.default {
                    Some((_, default)) => {
                        CompiledExpr::compile(default, &|_| None)?.eval(&[], &eval)?
                    }
                    None => Value::Null,
                },
                _ => Value::Null,
            };
            if let Some(place) = new.get_mut(*ordinal) {
                *place = value;
            }
        }
        changes.push(RowChange::new(key, old, new));
    }
    writer.update(&mut changes, &eval)?;
    Ok(changes
        .into_iter()
        .map(|change| Written {
            key: change.new_key,
            old: Some(change.old),
            new: Some(change.new),
        })
        .collect())
}
