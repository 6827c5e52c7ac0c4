//! Slots that the newest checkpoint does not use any more, but a pinned one may.

use std::collections::{BTreeMap, VecDeque};

use super::image::Location;

/// Pins on durable checkpoints, and the slots that wait for them.
#[derive(Debug, Default)]
pub(super) struct Releases {
    /// Pins by the epoch of the checkpoint.
    pins: BTreeMap<u64, usize>,
    /// The first epoch without the slots, and the slots; ascending.
    waiting: VecDeque<(u64, Vec<Location>)>,
}

impl Releases {
    /// Holds on to the checkpoint of `epoch`, the newest one.
    pub(super) fn pin(&mut self, epoch: u64) {
        *self.pins.entry(epoch).or_default() += 1;
    }

    /// Lets go of the checkpoint of `epoch`; the slots that are free by that.
    pub(super) fn unpin(&mut self, epoch: u64) -> Vec<Location> {
        if let Some(count) = self.pins.get_mut(&epoch) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(&epoch);
            }
        }
        self.take_free()
    }

    /// The checkpoint of `epoch`, now durable, is the first without `slots`; the slots that are
    /// free by that.
    pub(super) fn retire(&mut self, epoch: u64, slots: Vec<Location>) -> Vec<Location> {
        self.waiting.push_back((epoch, slots));
        self.take_free()
    }

    /// The slots that wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Location> {
        self.waiting.iter().flat_map(|(_, slots)| slots)
    }

    /// A slot waits while any pin is older than the first epoch without it.
    fn take_free(&mut self) -> Vec<Location> {
        let oldest = self.pins.keys().next().copied().unwrap_or(u64::MAX);
        let mut free = Vec::new();
        while self
            .waiting
            .front()
            .is_some_and(|(epoch, _)| *epoch <= oldest)
        {
            free.extend(
                self.waiting
                    .pop_front()
                    .into_iter()
                    .flat_map(|(_, slots)| slots),
            );
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(unit: u32) -> Location {
        Location {
            unit,
            units: 1,
            checksum: 0,
            epoch: 1,
        }
    }

    #[test]
    fn slots_wait_for_older_pins_only() {
        let mut releases = Releases::default();
        assert_eq!(releases.retire(2, vec![slot(1)]), [slot(1)]);
        releases.pin(2);
        assert_eq!(releases.retire(3, vec![slot(2)]), []);
        releases.pin(3);
        releases.pin(3);
        assert_eq!(releases.retire(4, vec![slot(3)]), []);
        assert_eq!(releases.unpin(2), [slot(2)]);
        assert_eq!(releases.unpin(3), []);
        assert_eq!(releases.unpin(3), [slot(3)]);
        assert_eq!(releases.waiting().count(), 0);
    }
}
