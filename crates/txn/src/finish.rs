//! The end of a transaction, either way.

use rustling_storage::Lsn;

use crate::{
    error::{Error, Result},
    spill::merged_by,
    state::{State, Writer},
    write_set::Prepared,
};

impl State {
    /// Commits the changes and releases the locks.
    pub(crate) fn commit(&self) -> Result<Lsn> {
        let mut writer = self.writer.lock();
        if writer.finished {
            return Err(Error::Finished);
        }
        if let Some(error) = writer.failed.clone() {
            self.roll_back(&mut writer);
            return Err(error);
        }
        if let Err(error) = self.prepare_serializable() {
            self.roll_back(&mut writer);
            return Err(error);
        }
        let store = &self.manager.store;
        if !self.is_dirty() {
            self.commit_serializable(None);
            self.end(&mut writer);
            self.manager.counters.committed.increment();
            return Ok(store.published_lsn());
        }
        let Prepared {
            batch,
            unused,
            engine_changes,
        } = self.take_writes().into_batch();
        self.discard(unused.iter().map(|layer| layer.staging));
        let result = if batch.is_empty() {
            Ok(store.published_lsn())
        } else {
            store.commit(&batch, self.durability)
        };
        // Those that have not come about end here.
        drop(engine_changes);
        match &result {
            Ok(_) if batch.is_empty() => self.commit_serializable(None),
            Ok(lsn) => self.commit_serializable(Some(*lsn)),
            Err(_) => {
                self.roll_back_serializable();
                self.discard(merged_by(&batch));
            }
        }
        // The changes are published before the next in line for their rows looks for them.
        self.end(&mut writer);
        let counters = &self.manager.counters;
        if result.is_ok() {
            counters.committed.increment()
        } else {
            counters.rolled_back.increment()
        }
        Ok(result?)
    }

    /// Drops the changes and releases the locks, unless the transaction has ended.
    pub(crate) fn rollback(&self) {
        let mut writer = self.writer.lock();
        if !writer.finished {
            self.roll_back(&mut writer);
        }
    }

    fn prepare_serializable(&self) -> Result<()> {
        match &self.participant {
            None => Ok(()),
            Some(participant) => {
                let members = &self.manager.serializability;
                members.prepare(participant, &self.manager.counters)
            }
        }
    }

    fn commit_serializable(&self, lsn: Option<Lsn>) {
        if let Some(participant) = &self.participant {
            let members = &self.manager.serializability;
            members.commit(participant, lsn, &self.manager.counters);
        }
    }

    fn roll_back_serializable(&self) {
        if let Some(participant) = &self.participant {
            self.manager.serializability.roll_back(participant);
        }
    }

    fn roll_back(&self, writer: &mut Writer) {
        self.roll_back_serializable();
        let layers = self.take_writes().into_layers();
        self.discard(layers.iter().map(|layer| layer.staging));
        self.end(writer);
        self.manager.counters.rolled_back.increment();
    }

    fn end(&self, writer: &mut Writer) {
        writer.finished = true;
        // Rows before the tables that announce them.
        for name in writer.locks.drain(..).rev() {
            self.manager.locks.release(&name, self.id());
        }
        *writer = Writer {
            finished: true,
            ..Writer::default()
        };
        self.manager.unregister(self.id());
    }
}
