//! What sessions offer to whoever serves them to clients.

use std::sync::Arc;

use crate::{engine::session::Session, eval::SessionInfo};

impl Session {
    /// Makes `name` the session's user, as `current_user` says it.
    pub fn set_user(&mut self, name: &str) {
        self.info = Arc::new(SessionInfo {
            user: name.to_owned(),
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
}
