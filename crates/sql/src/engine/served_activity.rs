//! What served sessions are doing, for `pg_stat_activity`.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use hashbrown::HashMap;
use parking_lot::Mutex;
use rustling_txn::Transaction;

use crate::{
    catalog::access::RoleId,
    engine::{cancel::CancelToken, notifications::NotificationWaker, session::Session},
};

/// Bytes of a statement's text that are shown.
const SHOWN_BYTES: usize = 16 << 10;

/// The sessions of a database that are served to clients.
#[derive(Debug, Default)]
pub(crate) struct ServedSessions {
    next: AtomicU64,
    sessions: Mutex<HashMap<u64, Weak<SessionActivity>>>,
    /// Those that have logged in, by their role.
    logins: Mutex<HashMap<RoleId, Vec<Weak<Login>>>>,
}

/// Counts a session among those of its role for as long as it lives.
#[derive(Debug)]
pub(crate) struct Login;

impl ServedSessions {
    /// Counts a session of a role; `None` where it has as many as `limit` says (negative: any
    /// number).
    pub(crate) fn log_in(&self, role: RoleId, limit: i32) -> Option<Arc<Login>> {
        let mut logins = self.logins.lock();
        let of_role = logins.entry(role).or_default();
        of_role.retain(|known| known.strong_count() > 0);
        if usize::try_from(limit).is_ok_and(|limit| of_role.len() >= limit) {
            return None;
        }
        let login = Arc::new(Login);
        of_role.push(Arc::downgrade(&login));
        Some(login)
    }

    fn enter(&self, activity: &Arc<SessionActivity>) {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let mut sessions = self.sessions.lock();
        if key.is_multiple_of(64) {
            sessions.retain(|_, known| known.strong_count() > 0);
        }
        sessions.insert(key, Arc::downgrade(activity));
    }

    /// The session of that number.
    pub(crate) fn numbered(&self, number: i64) -> Option<Arc<SessionActivity>> {
        let is_it = |activity: &Arc<SessionActivity>| i64::from(activity.number) == number;
        self.all().into_iter().find(is_it)
    }

    /// Those that have not ended.
    pub(crate) fn all(&self) -> Vec<Arc<SessionActivity>> {
        let mut all: Vec<_> = self
            .sessions
            .lock()
            .values()
            .filter_map(Weak::upgrade)
            .collect();
        all.sort_by_key(|activity| activity.number);
        all
    }
}

/// What a served session is doing.
#[derive(Debug)]
pub(crate) struct SessionActivity {
    /// `pg_backend_pid()` there.
    pub(crate) number: i32,
    /// The role that has connected, with its name.
    pub(crate) role: (RoleId, String),
    /// Where it comes from, over TCP.
    pub(crate) client: Option<SocketAddr>,
    /// Microseconds since 1970.
    pub(crate) connected: i64,
    /// The number of its transaction; it may have ended.
    transaction: AtomicU64,
    cancel: CancelToken,
    waker: Waker,
    state: Mutex<ActivityState>,
}

#[derive(Clone, Debug)]
pub(crate) struct ActivityState {
    pub(crate) name: &'static str,
    pub(crate) application: String,
    /// The statement that runs or has run last.
    pub(crate) query: Arc<str>,
    pub(crate) query_start: Option<i64>,
    pub(crate) changed: i64,
}

/// What wakes whoever serves a session.
struct Waker(Option<NotificationWaker>);

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waker").field(&self.0.is_some()).finish()
    }
}

impl SessionActivity {
    /// Ends the session's statement.
    pub(crate) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Ends the session.
    pub(crate) fn terminate(&self) {
        self.cancel.terminate();
        if let Waker(Some(waker)) = &self.waker {
            waker();
        }
    }

    pub(crate) fn state(&self) -> ActivityState {
        self.state.lock().clone()
    }

    pub(crate) fn transaction(&self) -> u64 {
        self.transaction.load(Ordering::Relaxed)
    }
}

impl ActivityState {
    /// The statement, as far as it is shown.
    pub(crate) fn shown_query(&self) -> &str {
        let mut end = self.query.len().min(SHOWN_BYTES);
        while !self.query.is_char_boundary(end) {
            end -= 1;
        }
        self.query.get(..end).unwrap_or_default()
    }
}

impl Session {
    /// Shows the session in `pg_stat_activity`, as one that a client has opened: to be called once
    /// its number and role are known.
    pub fn announce(&mut self, client: Option<SocketAddr>) {
        let now = self.database.env().wall_clock();
        let activity = Arc::new(SessionActivity {
            number: self.info.backend,
            role: (
                self.authorization.authenticated,
                self.info.session_user.clone(),
            ),
            client,
            connected: now,
            transaction: AtomicU64::new(0),
            cancel: self.cancel_token(),
            waker: Waker(self.waker()),
            state: Mutex::new(ActivityState {
                name: "idle",
                application: self.settings.application_name.clone(),
                query: "".into(),
                query_start: None,
                changed: now,
            }),
        });
        self.database.inner.served.enter(&activity);
        self.activity = Some(activity);
    }

    /// Says that a client's statement begins; shown once the session is announced.
    pub fn statement_begins(&self, query: &Arc<str>) {
        if let Some(activity) = &self.activity {
            let now = self.database.env().wall_clock();
            let mut state = activity.state.lock();
            state.name = "active";
            state.query = Arc::clone(query);
            state.query_start = Some(now);
            state.changed = now;
        }
    }

    /// Says that the client's statements are done for now.
    pub fn statements_end(&self) {
        if let Some(activity) = &self.activity {
            let now = self.database.env().wall_clock();
            let mut state = activity.state.lock();
            state.name = match (self.in_transaction(), self.transaction_failed()) {
                (false, _) => "idle",
                (true, false) => "idle in transaction",
                (true, true) => "idle in transaction (aborted)",
            };
            if state.application != self.settings.application_name {
                state
                    .application
                    .clone_from(&self.settings.application_name);
            }
            state.changed = now;
        }
    }

    /// Notes the transaction that the session runs in.
    pub(super) fn note_transaction(&self, transaction: &Transaction) {
        if let Some(activity) = &self.activity {
            activity
                .transaction
                .store(transaction.id().0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Database;

    #[test]
    fn served_sessions_are_shown_to_whom_they_concern() {
        let db = Database::in_memory().unwrap();
        db.execute_script("CREATE ROLE ann LOGIN; CREATE TABLE t (n int)")
            .unwrap();
        let mut served = db.session();
        served.set_backend(7);
        served.set("application_name", "app").unwrap();
        served.announce(Some("192.0.2.1:99".parse().unwrap()));
        served.statement_begins(&"BEGIN".into());
        served.execute("BEGIN", ()).unwrap();
        served.statement_begins(&"SELECT n FROM t".into());
        served.execute("SELECT n FROM t", ()).unwrap();
        served.statements_end();
        let shown = "SELECT pid, state, query, application_name, client_addr, client_port, \
                     xact_start IS NOT NULL FROM pg_stat_activity WHERE pid = 7";
        type Row = (
            i32,
            Option<String>,
            String,
            String,
            Option<String>,
            Option<i32>,
            bool,
        );
        let rows: Vec<Row> = db.query(shown, ()).unwrap().read_all().unwrap();
        assert_eq!(
            rows,
            [(
                7,
                Some("idle in transaction".to_owned()),
                "SELECT n FROM t".to_owned(),
                "app".to_owned(),
                Some("192.0.2.1".to_owned()),
                Some(99),
                true
            )]
        );
        let mut ann = db.session();
        ann.act_as("ann").unwrap();
        let rows: Vec<(Option<String>, String)> = ann
            .query(
                "SELECT state, query FROM pg_stat_activity WHERE pid = 7",
                (),
            )
            .unwrap()
            .read_all()
            .unwrap();
        assert_eq!(rows, [(None, "<insufficient privilege>".to_owned())]);
        drop(served);
        let rows = db.query(shown, ()).unwrap();
        assert!(rows.values().unwrap().is_empty());
    }
}
