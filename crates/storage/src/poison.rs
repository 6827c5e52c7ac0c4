//! The sticky failure mark of a store.
//!
//! After a failed write or fsync nobody knows what reached the disk, so the first such failure
//! stops every later write for good: a retry could be answered "done" for bytes that the
//! system has already dropped. Reads go on; reopening recovers.

use std::sync::OnceLock;

use crate::error::{Error, Result};

/// Whether, and why, the store has stopped writing. Shared by everything that writes.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    reason: OnceLock<String>,
}

impl Poison {
    /// Not poisoned.
    pub(crate) fn new() -> Poison {
        Poison::default()
    }

    /// Fails where a write has failed before.
    ///
    /// # Errors
    /// [`Error::Poisoned`] with the first reason.
    pub(crate) fn check(&self) -> Result<()> {
        match self.reason.get() {
            None => Ok(()),
            Some(reason) => Err(Error::Poisoned {
                reason: reason.clone(),
            }),
        }
    }

    /// Whether a write has failed.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.reason.get().is_some()
    }

    /// Stops all later writes. The first reason is kept.
    pub(crate) fn set(&self, reason: impl Into<String>) {
        let _ = self.reason.set(reason.into());
    }

    /// Passes `result` on, and stops all later writes where it is an error.
    ///
    /// # Errors
    /// The error given.
    pub(crate) fn guard<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && !matches!(error, Error::Poisoned { .. })
        {
            self.set(error.to_string());
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let poison = Poison::new();
        assert!(poison.check().is_ok());
        assert!(poison.guard(Ok(7)).is_ok());
        assert!(poison.guard::<()>(Err(Error::Closed)).is_err());
        poison.set("second");
        assert!(poison.is_poisoned());
        match poison.check() {
            Err(Error::Poisoned { reason }) => assert_eq!(reason, Error::Closed.to_string()),
            other => panic!("{other:?}"),
        }
    }
}
