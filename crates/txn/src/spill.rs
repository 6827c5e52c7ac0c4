//! Write sets that outgrow their share of memory, and how they are kept whole.
//!
//! What does not fit is moved into staging keyspaces of the store, in unsynced batches: the
//! commit that refers to them later is what makes them durable and true. After a crash, or a
//! rollback, they are dropped.

use std::collections::BTreeMap;

use rustling_storage::{
    Batch, Direction, Durability, Error as StorageError, KeyRange, KeyspaceId, KeyspaceOptions,
    Operation, Reservation, Store, staging,
};

use crate::{
    error::{Error, Result},
    state::{State, Writer},
    write_set::{Changes, Layer, WriteSet, change_cost},
};

/// A transaction this small needs no reservation.
const UNRESERVED_BYTES: usize = 16 << 10;
/// Reservations grow in steps of this.
const RESERVATION_STEP: usize = 64 << 10;
/// Layers of one keyspace beyond which they are made one, savepoints permitting.
const MOST_LAYERS: usize = 8;
/// Staged changes are committed in batches of about this size.
pub(crate) const STAGING_BATCH_BYTES: usize = 1 << 20;

/// Commits staged changes in batches of bounded size.
pub(crate) struct StagingBatch<'a> {
    store: &'a Store,
    staging: KeyspaceId,
    batch: Batch,
}

impl<'a> StagingBatch<'a> {
    pub(crate) fn new(store: &'a Store, staging: KeyspaceId) -> StagingBatch<'a> {
        StagingBatch {
            store,
            staging,
            batch: Batch::new(),
        }
    }

    /// Adds the creation of the staging keyspace.
    pub(crate) fn create(&mut self, target: KeyspaceOptions) {
        self.batch.create_keyspace(
            self.staging,
            KeyspaceOptions {
                staging: true,
                ..target
            },
        );
    }

    /// Adds a change.
    pub(crate) fn push(&mut self, key: Vec<u8>, value: Option<&[u8]>) -> Result<(), StorageError> {
        self.batch.put(
            self.staging,
            key,
            value.map_or_else(staging::encode_delete, staging::encode_put),
        );
        if self.batch.byte_size() >= STAGING_BATCH_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Commits what has been added.
    pub(crate) fn flush(&mut self) -> Result<(), StorageError> {
        if !self.batch.is_empty() {
            self.store.commit(&self.batch, Durability::None)?;
            self.batch = Batch::new();
        }
        Ok(())
    }
}

impl State {
    /// Sets or deletes a key whose lock is held.
    pub(crate) fn change(
        &self,
        writer: &mut Writer,
        keyspace: KeyspaceId,
        key: &[u8],
        value: Option<Vec<u8>>,
    ) -> Result<()> {
        self.make_room(writer, change_cost(key, value.as_deref()))?;
        writer.write_bytes = self.with_writes(|writes| {
            writes.change(keyspace, key, value);
            writes.bytes()
        });
        self.count_changes(1);
        Ok(())
    }

    /// Makes sure that `more` bytes of changes are within the reservation.
    fn make_room(&self, writer: &mut Writer, more: usize) -> Result<()> {
        if writer.write_bytes > 0 && writer.write_bytes + more > self.manager.write_set_bytes {
            self.spill(writer)?;
        }
        let wanted = writer.write_bytes + writer.lock_bytes + more;
        let reserved = writer.reservation.as_ref().map_or(0, Reservation::bytes);
        if wanted <= reserved + UNRESERVED_BYTES {
            return Ok(());
        }
        let Err(error) = self.reserve(writer, more) else {
            return Ok(());
        };
        if writer.write_bytes == 0 {
            return Err(error.into());
        }
        self.spill(writer)?;
        Ok(self.reserve(writer, more)?)
    }

    /// Makes sure that `more` bytes of row locks are within the reservation: those of a transaction
    /// that locks and does not write, too, become a lock on the keyspace where that can be had, and
    /// fail for want of memory where it cannot.
    pub(crate) fn make_lock_room(&self, writer: &mut Writer, more: usize) -> Result<()> {
        let wanted = writer.write_bytes + writer.lock_bytes + more;
        let reserved = writer.reservation.as_ref().map_or(0, Reservation::bytes);
        // Once for each step of the reservation: looking through all locks for each takes long.
        if wanted <= reserved + UNRESERVED_BYTES {
            return Ok(());
        }
        if writer.lock_bytes > self.manager.write_set_bytes / 2 {
            self.escalate(writer);
            self.settle_memory(writer);
        }
        match self.make_room(writer, more) {
            Ok(()) => return Ok(()),
            // The changes are gone with a spill that has failed: nothing may be read without them.
            Err(error) if writer.failed.is_some() => return Err(error),
            Err(_) => {}
        }
        self.escalate(writer);
        self.settle_memory(writer);
        self.make_room(writer, more)
    }

    fn reserve(&self, writer: &mut Writer, more: usize) -> Result<(), StorageError> {
        let wanted = writer.write_bytes + writer.lock_bytes + more;
        let reserved = writer.reservation.as_ref().map_or(0, Reservation::bytes);
        let Some(missing) = wanted
            .checked_sub(reserved + UNRESERVED_BYTES)
            .filter(|missing| *missing > 0)
        else {
            return Ok(());
        };
        let step = missing.max(RESERVATION_STEP);
        match &mut writer.reservation {
            Some(reservation) => reservation.grow(step),
            None => {
                writer.reservation = Some(
                    self.manager
                        .store
                        .memory()
                        .reserve(step, "a transaction's changes")?,
                );
                Ok(())
            }
        }
    }

    /// Gives back what is reserved and not needed any more.
    pub(crate) fn settle_memory(&self, writer: &mut Writer) {
        writer.write_bytes = self.write_bytes();
        let wanted = writer.write_bytes + writer.lock_bytes;
        if let Some(reservation) = &mut writer.reservation {
            reservation.shrink(
                reservation
                    .bytes()
                    .saturating_sub(wanted.next_multiple_of(RESERVATION_STEP)),
            );
        }
    }

    /// Moves all changes out of memory. Where that fails half-way, the transaction can only be
    /// rolled back.
    pub(crate) fn spill(&self, writer: &mut Writer) -> Result<()> {
        let moved = writer.write_bytes as u64;
        let store = &self.manager.store;
        let result = self.with_writes(|writes| {
            stage(store, writes)?;
            compact(store, writes)
        });
        match result {
            Ok(void) => self.discard(void),
            Err(error) => {
                let error = Error::from(error);
                writer.failed = Some(error.clone());
                return Err(error);
            }
        }
        self.manager.counters.spilled_bytes.add(moved);
        if writer.lock_bytes > self.manager.write_set_bytes / 2 {
            self.escalate(writer);
        }
        self.settle_memory(writer);
        Ok(())
    }
}

/// Moves the changes in memory into layers such that every savepoint still finds its state: the
/// changes before the oldest savepoint first, then those between it and the next, and so on,
/// each portion in layers of its own.
fn stage(store: &Store, writes: &mut WriteSet) -> Result<(), StorageError> {
    for (portion, tables) in writes.drain_by_savepoint().into_iter().enumerate() {
        if tables.is_empty() {
            continue;
        }
        for (keyspace, changes) in tables {
            stage_table(store, writes, portion, keyspace, changes)?;
        }
        writes.end_portion(portion);
    }
    Ok(())
}

fn stage_table(
    store: &Store,
    writes: &mut WriteSet,
    portion: usize,
    keyspace: KeyspaceId,
    changes: Changes,
) -> Result<(), StorageError> {
    let open = writes
        .open_layer(portion, keyspace)
        .map(|layer| layer.staging);
    let staging = open.unwrap_or_else(|| store.allocate_keyspace_id());
    let mut batch = StagingBatch::new(store, staging);
    if open.is_none() {
        batch.create(options_of(store, writes, keyspace));
    }
    let mut bytes = 0;
    let push_all = || {
        for (key, value) in changes {
            bytes += change_cost(&key, value.as_deref()) as u64;
            batch.push(key, value.as_deref())?;
        }
        batch.flush()
    };
    let pushed = push_all();
    if pushed.is_err() && (open.is_some() || !store.contains_keyspace(staging)) {
        return pushed;
    }
    // Where the keyspace was made and not filled, rolling back drops it with the other layers.
    let snapshot = store.snapshot();
    match writes.open_layer(portion, keyspace) {
        Some(layer) if open.is_some() => {
            layer.snapshot = snapshot;
            layer.bytes = layer.bytes.saturating_add(bytes);
        }
        _ => writes.push_layer(Layer {
            keyspace,
            staging,
            snapshot,
            bytes,
        }),
    }
    pushed
}

/// Moves the changes of scattered layers into the oldest of them: savepoints that are gone have
/// left them. Gives the staging keyspaces that are empty now, or hold copies.
fn compact(store: &Store, writes: &mut WriteSet) -> Result<Vec<KeyspaceId>, StorageError> {
    let mut void = Vec::new();
    while let Some(places) = writes.scattered(MOST_LAYERS) {
        let Some((oldest, newer)) = places.split_first() else {
            break;
        };
        let Some(target) = writes.layer_mut(*oldest).map(|layer| layer.staging) else {
            break;
        };
        let mut batch = StagingBatch::new(store, target);
        let mut bytes = 0;
        for at in newer {
            let Some(layer) = writes.layer_mut(*at) else {
                continue;
            };
            bytes += layer.bytes;
            let mut cursor =
                layer
                    .snapshot
                    .scan(layer.staging, KeyRange::all(), Direction::Forward)?;
            while let Some((key, staged)) = cursor.next()? {
                batch.push(key.to_vec(), staging::decode(staged))?;
            }
        }
        batch.flush()?;
        for at in newer.iter().rev() {
            void.push(writes.remove_layer(*at).staging);
        }
        if let Some(layer) = writes.layer_mut(*oldest) {
            layer.snapshot = store.snapshot();
            layer.bytes = layer.bytes.saturating_add(bytes);
        }
    }
    Ok(void)
}

/// How `keyspace` is stored.
pub(crate) fn options_of(
    store: &Store,
    writes: &WriteSet,
    keyspace: KeyspaceId,
) -> KeyspaceOptions {
    writes.created_options(keyspace).unwrap_or_else(|| {
        let known = store.keyspaces();
        known
            .into_iter()
            .find(|(id, _)| *id == keyspace)
            .map(|(_, options)| options)
            .unwrap_or_default()
    })
}

/// The portions that [`WriteSet::drain_by_savepoint`] yields.
pub(crate) type Portion = BTreeMap<KeyspaceId, Changes>;

/// The staging keyspaces that a batch uses up.
pub(crate) fn merged_by(batch: &Batch) -> Vec<KeyspaceId> {
    batch
        .operations()
        .iter()
        .filter_map(|operation| match operation {
            Operation::Merge { from, .. } => Some(*from),
            _ => None,
        })
        .collect()
}
