//! The settings of a session, and what becomes of them at the end of a block.

use std::sync::Arc;

use crate::{
    Result, Value,
    engine::{
        access::Authorization,
        session::Session,
        settings::{Settings, isolation_name, on_off},
    },
    eval::SessionInfo,
    types::TextStyle,
};

/// Settings to go back to.
#[derive(Debug)]
pub(super) struct SavedSettings {
    /// After COMMIT: without what was LOCAL.
    committed: (Settings, Authorization),
    /// After ROLLBACK: as before the block.
    rolled_back: (Settings, Authorization),
}

impl Session {
    /// The value of a setting, as SHOW prints it.
    ///
    /// # Errors
    /// 42704 where there is no such setting.
    pub fn setting(&self, name: &str) -> Result<String> {
        match (&self.open, name) {
            (Some(open), "transaction_isolation") => Ok(isolation_name(open.isolation).to_owned()),
            (Some(open), "transaction_read_only") => Ok(on_off(open.read_only)),
            (Some(open), "transaction_deferrable") => Ok(on_off(open.deferrable)),
            _ => self.settings.show(name),
        }
    }

    /// A number that is another one whenever a setting may have changed.
    #[must_use]
    pub fn settings_version(&self) -> u64 {
        self.settings_version
    }

    /// How this session writes values as text: [`Value::display_in`] takes it.
    #[must_use]
    pub fn text_style(&self) -> TextStyle {
        self.settings.style.clone()
    }

    /// Changes a setting, as SET does.
    ///
    /// # Errors
    /// 42704 where there is no such setting, 22023 where the value is not allowed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        self.change_setting(name, Some(&Value::Text(value.into())))
    }

    /// Changes a setting for the whole session: RESET comes back to this value, as to those that
    /// a client asks for when it connects.
    ///
    /// # Errors
    /// As [`Session::set`].
    pub fn set_default(&mut self, name: &str, value: &str) -> Result<()> {
        self.settings
            .set_default(name, &Value::Text(value.into()))?;
        self.change_setting(name, Some(&Value::Text(value.into())))
    }

    pub(super) fn change_setting(&mut self, name: &str, value: Option<&Value>) -> Result<()> {
        self.settings.set(name, value)?;
        self.settings_changed();
        Ok(())
    }

    /// SET, within an open block: rolled back with it, and where it is LOCAL ended with it.
    pub(super) fn change_setting_in_block(
        &mut self,
        name: &str,
        value: Option<&Value>,
        local: bool,
    ) -> Result<()> {
        let before = (self.settings.clone(), self.authorization);
        self.change_setting(name, value)?;
        let saved = self.saved.get_or_insert_with(|| {
            Box::new(SavedSettings {
                committed: before.clone(),
                rolled_back: before,
            })
        });
        if !local {
            saved.committed.0.set(name, value)?;
        }
        Ok(())
    }

    /// Acts as somebody else from now on; within an open block rolled back with it, and where it
    /// is LOCAL ended with it.
    pub(super) fn change_authorization(&mut self, to: Authorization, local: bool) {
        if self.in_transaction() {
            let before = (self.settings.clone(), self.authorization);
            let saved = self.saved.get_or_insert_with(|| {
                Box::new(SavedSettings {
                    committed: before.clone(),
                    rolled_back: before,
                })
            });
            if !local {
                saved.committed.1 = to;
            }
        } else if local {
            return;
        }
        self.authorization = to;
        self.authorization_changed();
    }

    /// RESET ALL: every setting as the session began with it; within an open block rolled back with
    /// it.
    pub(super) fn reset_settings(&mut self) {
        let first = self.settings.at_first();
        if self.in_transaction() {
            let before = (self.settings.clone(), self.authorization);
            let saved = self.saved.get_or_insert_with(|| {
                Box::new(SavedSettings {
                    committed: before.clone(),
                    rolled_back: before,
                })
            });
            saved.committed.0 = first.clone();
        }
        self.replace_settings(first);
    }

    /// Other settings from now on.
    fn replace_settings(&mut self, settings: Settings) {
        self.settings = settings;
        self.settings_changed();
    }

    /// What follows from changed settings.
    fn settings_changed(&mut self) {
        self.settings_version += 1;
        self.settle_search_path();
        let path = &self.settings.search_path;
        self.info = Arc::new(SessionInfo {
            style: self.settings.style.clone(),
            schema: path
                .iter()
                .find(|schema| self.database.catalog().schema_id(schema).is_some())
                .cloned()
                .unwrap_or_default(),
            ..SessionInfo::clone(&self.info)
        });
        if !Arc::ptr_eq(&self.sequences, &self.database.inner.shared_sequences) {
            self.sequences.set_search_path(Arc::clone(path));
        }
        if let Some(system) = &self.info.system {
            system.set_settings(&self.settings);
        }
    }

    /// The block is over: what was LOCAL goes, after ROLLBACK everything that it has changed.
    pub(super) fn restore_settings(&mut self, committed: bool) {
        let Some(saved) = self.saved.take() else {
            return;
        };
        let (settings, authorization) = if committed {
            saved.committed
        } else {
            saved.rolled_back
        };
        self.replace_settings(settings);
        if self.authorization != authorization {
            self.authorization = authorization;
            self.authorization_changed();
        }
    }
}
