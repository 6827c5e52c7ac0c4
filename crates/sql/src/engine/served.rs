//! What sessions offer to whoever serves them to clients.

use std::sync::Arc;

use crate::{engine::session::Session, eval::SessionInfo};

impl Session {
    /// Makes `name` what `current_user` says of a session that acts as the superuser.
    pub fn set_user(&mut self, name: &str) {
        self.info = Arc::new(SessionInfo {
            user: name.to_owned(),
            session_user: name.to_owned(),
            ..SessionInfo::clone(&self.info)
        });
    }

    /// The number by which clients know the session, as `pg_backend_pid()` tells it.
    pub fn set_backend(&mut self, number: i32) {
        self.info = Arc::new(SessionInfo {
            backend: number,
            ..SessionInfo::clone(&self.info)
        });
    }

    /// Fails the open transaction block, as an error of one of its statements would: whoever
    /// serves a session does so for errors around statements. Does nothing outside a block.
    pub fn fail_transaction(&self) {
        if let Some(open) = &self.open {
            open.fail();
        }
    }

    /// Bounds the memory of what the session's statements compute (not of what a transaction has
    /// changed): beyond it they spill or fail with SQLSTATE 53200, whatever others use.
    pub fn limit_memory(&mut self, bytes: usize) {
        self.memory = Some(self.database.store().memory().share(bytes));
    }

    /// Whether the role that the session acts as may do everything.
    #[must_use]
    pub fn is_superuser(&self) -> bool {
        self.rights(&self.catalog()).superuser
    }

    /// `session_user`.
    #[must_use]
    pub fn session_user(&self) -> &str {
        &self.info.session_user
    }
}
