//! Being asked to end while a terminal is in use (SIGTERM, SIGHUP).
//!
//! The line editor keeps the terminal in a mode of its own and sits in a read: a process that just
//! died would leave the terminal so, and one that only noted the signal would not notice it before
//! the next key. The signals are therefore blocked and waited for by a thread, which interrupts
//! the main one: Ctrl-C's signal ends the statement that runs, or the read at the prompt. The main
//! thread then leaves by its usual ways.

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::{
    pthread::{Pthread, pthread_kill, pthread_self},
    signal::{SigSet, Signal},
};
use rustling_storage::Env;

use crate::error::{Error, Result};

/// How often the main thread is interrupted until it leaves.
const INTERRUPT_EVERY: Duration = Duration::from_millis(50);
/// How often before the process ends without it: what was acknowledged is safe anyway.
const INTERRUPTS: u32 = 100;

/// Watches for signals that ask the process to end.
#[derive(Debug)]
pub(crate) struct EndSignals(Arc<State>);

#[derive(Debug, Default)]
struct State {
    asked: OnceLock<Signal>,
    /// Whether an interrupt is understood: the main thread handles it, and looks here behind it.
    heeded: AtomicBool,
    /// Whether the main thread is on its way out.
    leaving: AtomicBool,
}

fn watched() -> SigSet {
    [Signal::SIGTERM, Signal::SIGHUP].into_iter().collect()
}

impl EndSignals {
    /// Begins to watch; for the main thread, while it is the only one.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub(crate) fn watch(env: &Env) -> Result<EndSignals> {
        let failed = |source| Error::Io {
            action: "cannot wait for signals",
            source,
        };
        // Threads begin with the signals blocked that are blocked where they were made.
        watched()
            .thread_block()
            .map_err(|error| failed(error.into()))?;
        let state = Arc::new(State::default());
        let (watching, main, waiting) = (Arc::clone(&state), pthread_self(), env.clone());
        env.spawn("rustling-signals", move || {
            watching.follow(main, &waiting);
        })
        .map_err(|error| failed(io::Error::other(error)))?;
        Ok(EndSignals(state))
    }

    /// From now on an interrupt is handled, and [`EndSignals::asked`] looked at behind it.
    pub(crate) fn heed(&self) {
        self.0.heeded.store(true, Ordering::Release);
    }

    /// Whether the process is to end.
    pub(crate) fn asked(&self) -> bool {
        self.0.asked.get().is_some()
    }

    /// No interrupt is needed any more.
    pub(crate) fn leave(&self) {
        self.0.leaving.store(true, Ordering::Release);
    }

    /// Ends the process, if it was asked to; `result` is what its work came to.
    pub(crate) fn end(&self, result: &Result<()>) {
        if let Some(signal) = self.0.asked.get() {
            if let Err(error) = result {
                // The terminal may be gone, which is why we end.
                let _ = io::stderr().write_all(format!("{}\n", error.render()).as_bytes());
            }
            end_by(*signal);
        }
    }
}

impl State {
    fn follow(&self, main: Pthread, env: &Env) {
        let Ok(signal) = watched().wait() else {
            return;
        };
        // The main thread looks at it behind every statement and every line.
        let _ = self.asked.set(signal);
        if self.heeded.load(Ordering::Acquire) {
            for _ in 0..INTERRUPTS {
                if self.leaving.load(Ordering::Acquire) {
                    // The database is being closed. Only who asks again does not want to wait.
                    end_by(watched().wait().unwrap_or(signal));
                }
                // It fails for a thread that is gone: the process ends by itself.
                let _ = pthread_kill(main, Signal::SIGINT);
                env.sleep(INTERRUPT_EVERY);
            }
        }
        end_by(signal);
    }
}

/// Ends the process with the status that shells give one that a signal has ended.
fn end_by(signal: Signal) -> ! {
    std::process::exit(128 + signal as i32)
}
