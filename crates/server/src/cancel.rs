//! Requests to cancel: who may end whose statement.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustling_sql::CancelToken;

/// Bytes of a secret for clients of protocol 3.2 and later.
pub(crate) const LONG_SECRET: usize = 32;
/// Bytes of a secret for clients of protocol 3.0.
const SHORT_SECRET: usize = 4;

/// The sessions that can be cancelled.
#[derive(Debug, Default)]
pub(crate) struct CancelRegistry {
    next: AtomicU32,
    sessions: Mutex<HashMap<u32, Entry>>,
}

#[derive(Debug)]
struct Entry {
    secret: Vec<u8>,
    token: CancelToken,
}

/// A session's entry; dropping it removes it.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<CancelRegistry>,
    /// The number by which clients name the session.
    pub(crate) process: u32,
    /// What a request must know.
    pub(crate) secret: Vec<u8>,
}

impl CancelRegistry {
    /// Enters a session.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub(crate) fn register(
        self: &Arc<CancelRegistry>,
        token: CancelToken,
        long_secret: bool,
    ) -> crate::Result<Registration> {
        let mut secret = vec![
            0;
            if long_secret {
                LONG_SECRET
            } else {
                SHORT_SECRET
            }
        ];
        crate::authentication::fill(&mut secret)?;
        let process = self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let entry = Entry {
            secret: secret.clone(),
            token,
        };
        self.sessions.lock().insert(process, entry);
        Ok(Registration {
            registry: Arc::clone(self),
            process,
            secret,
        })
    }

    /// Ends the statement of session `process`, if the secret is right; whether it was. The client
    /// is not told: its connection just ends (as the protocol has it).
    pub(crate) fn cancel(&self, process: u32, secret: &[u8]) -> bool {
        let token = self
            .sessions
            .lock()
            .get(&process)
            .filter(|entry| same(&entry.secret, secret))
            .map(|entry| entry.token.clone());
        match token {
            Some(token) => {
                token.cancel();
                true
            }
            None => false,
        }
    }

    /// Ends every statement that runs.
    pub(crate) fn cancel_all(&self) {
        for entry in self.sessions.lock().values() {
            entry.token.cancel();
        }
    }
}

/// Compares in a time that does not depend on where the first difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .fold(0, |difference, (one, other)| difference | (one ^ other))
            == 0
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.sessions.lock().remove(&self.process);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustling_sql::CancelToken;

    use super::{CancelRegistry, same};

    #[test]
    fn entries_go_with_their_sessions() {
        let registry = Arc::new(CancelRegistry::default());
        let one = registry.register(CancelToken::default(), true).unwrap();
        let other = registry.register(CancelToken::default(), false).unwrap();
        assert_ne!(one.process, other.process);
        assert_eq!((one.secret.len(), other.secret.len()), (32, 4));
        drop(one);
        assert_eq!(registry.sessions.lock().len(), 1);
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(same(b"abcd", b"abcd"));
        assert!(!same(b"abcd", b"abce"));
        assert!(!same(b"abcd", b"abc"));
        assert!(!same(b"abcd", b""));
    }
}
