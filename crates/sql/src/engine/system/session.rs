//! What of a session the system catalog tells and its functions change.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use crate::{
    Result, Value,
    engine::{
        notifications::Outbox, sequences::SessionSequences, session::Session, settings::Settings,
        system::SystemView,
    },
};

/// The way from a session's expressions to the system catalog.
#[derive(Debug)]
pub(crate) struct SessionSystem {
    sequences: Arc<SessionSequences>,
    state: Mutex<State>,
    /// Whether there is something in `changed`: statements look only here.
    has_changed: AtomicBool,
    /// Messages to other sessions, and from them.
    outbox: Outbox,
}

#[derive(Debug, Default)]
struct State {
    settings: Arc<Settings>,
    /// Settings that `set_config` has changed and the session has not taken yet.
    changed: Vec<(String, String, bool)>,
    /// Whether statements to come are of the same session.
    lasting: bool,
}

impl SessionSystem {
    /// For statements that each are a session of their own.
    pub(crate) fn shared(sequences: Arc<SessionSequences>) -> SessionSystem {
        SessionSystem {
            sequences,
            state: Mutex::default(),
            has_changed: AtomicBool::new(false),
            outbox: Outbox::default(),
        }
    }

    /// For a session with these settings.
    pub(crate) fn of_session(
        sequences: Arc<SessionSequences>,
        settings: &Settings,
    ) -> SessionSystem {
        SessionSystem {
            sequences,
            state: Mutex::new(State {
                settings: Arc::new(settings.clone()),
                changed: Vec::new(),
                lasting: true,
            }),
            has_changed: AtomicBool::new(false),
            outbox: Outbox::default(),
        }
    }

    /// The session's settings have become these.
    pub(crate) fn set_settings(&self, settings: &Settings) {
        let mut state = self.state.lock();
        if state.lasting {
            state.settings = Arc::new(settings.clone());
        }
    }

    /// `set_config`: the setting as it is then. It is in force from the next statement on.
    pub(crate) fn change(&self, name: &str, value: &str, local: bool) -> Result<String> {
        let mut state = self.state.lock();
        let mut settings = Settings::clone(&state.settings);
        settings.set(name, Some(&Value::from(value)))?;
        let shown = settings.show(name)?;
        if state.lasting {
            state.settings = Arc::new(settings);
            self.has_changed.store(true, Ordering::Relaxed);
            state
                .changed
                .push((name.to_owned(), value.to_owned(), local));
        }
        Ok(shown)
    }

    /// What `set_config` has changed since it was asked last.
    pub(crate) fn take_changed(&self) -> Vec<(String, String, bool)> {
        if !self.has_changed.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut self.state.lock().changed)
    }

    /// Messages to other sessions, and from them.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// `pg_notify`, by the session of that number.
    pub(crate) fn notify(&self, process: i32, channel: &str, payload: &str) -> Result<()> {
        let (inner, ..) = self.sequences.surroundings()?;
        self.outbox
            .notify(&inner.channels, process, channel, payload)
    }

    /// The system catalog as the session sees it now.
    pub(crate) fn view(&self) -> Result<SystemView> {
        let (inner, catalog, path) = self.sequences.surroundings()?;
        Ok(SystemView {
            inner,
            catalog,
            path,
            settings: Arc::clone(&self.state.lock().settings),
            reader: self.sequences.role(),
        })
    }
}

impl Session {
    /// Takes over what `set_config` has changed.
    pub(in crate::engine) fn take_changed_settings(&mut self) -> Result<()> {
        let changed = match &self.info.system {
            Some(system) => system.take_changed(),
            None => return Ok(()),
        };
        for (name, value, local) in changed {
            let value = Value::from(value);
            if self.in_transaction() {
                self.change_setting_in_block(&name, Some(&value), local)?;
            } else if !local {
                self.change_setting(&name, Some(&value))?;
            }
        }
        Ok(())
    }
}
