//! LISTEN and NOTIFY: messages between the sessions of a database.
//!
//! A message leaves when the transaction that sent it commits, once for each listener, and never
//! when it is rolled back. Listening begins and ends with a commit too. Messages wait in the
//! listener's own queue until it takes them: [`Session::take_notifications`].

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::{
    Error, Result, SqlState,
    engine::session::{Session, StatementResult},
};

/// Bytes of a message, as in PostgreSQL.
const MAX_PAYLOAD: usize = 7999;
/// Bytes of a channel's name.
const MAX_CHANNEL: usize = 63;
/// Messages that wait for one listener. More are refused to whoever sends them.
const MAX_WAITING: usize = 16 << 10;

/// A message that another session has sent, or this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The number of the session that has sent it: `pg_backend_pid()` there.
    pub process: i32,
    /// The channel.
    pub channel: String,
    /// What was sent; perhaps nothing.
    pub payload: String,
}

/// What is called when a message arrives.
pub type NotificationWaker = Arc<dyn Fn() + Send + Sync>;

/// A listener's queue.
#[derive(Default)]
struct Mailbox {
    waiting: Mutex<VecDeque<Notification>>,
    waker: Mutex<Option<NotificationWaker>>,
}

impl Mailbox {
    fn put(&self, notification: Notification) {
        self.waiting.lock().push_back(notification);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.lock().clone();
        if let Some(waker) = waker {
            waker();
        }
    }
}

/// Who listens to what, in a database.
#[derive(Default)]
pub(crate) struct Channels {
    listeners: Mutex<HashMap<String, Vec<Weak<Mailbox>>>>,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}

impl Channels {
    fn listeners(&self, channel: &str) -> Vec<Arc<Mailbox>> {
        let listeners = self.listeners.lock();
        let boxes = listeners.get(channel).map(Vec::as_slice);
        boxes
            .unwrap_or_default()
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    fn listen(&self, channel: &str, mailbox: &Arc<Mailbox>) {
        let mut listeners = self.listeners.lock();
        // Sessions that have ended are still entered.
        listeners.retain(|_, boxes| {
            boxes.retain(|known| known.strong_count() > 0);
            !boxes.is_empty()
        });
        let boxes = listeners.entry_ref(channel).or_default();
        let mailbox = Arc::downgrade(mailbox);
        if !boxes.iter().any(|known| known.ptr_eq(&mailbox)) {
            boxes.push(mailbox);
        }
    }

    /// `None`: every channel.
    fn unlisten(&self, channel: Option<&str>, mailbox: &Arc<Mailbox>) {
        let mailbox = Arc::downgrade(mailbox);
        self.listeners.lock().retain(|name, boxes| {
            if channel.is_none_or(|channel| channel == name) {
                boxes.retain(|known| !known.ptr_eq(&mailbox) && known.strong_count() > 0);
            }
            !boxes.is_empty()
        });
    }

    fn send(&self, notification: &Notification) {
        for mailbox in self.listeners(&notification.channel) {
            mailbox.put(notification.clone());
        }
    }
}

/// What a transaction does about messages when it commits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Intent {
    Listen(String),
    /// `None`: every channel.
    Unlisten(Option<String>),
    Notify {
        channel: String,
        payload: String,
    },
}

/// A session's part: its queue, and what waits for the end of its transaction.
#[derive(Default)]
pub(crate) struct Outbox {
    mailbox: Arc<Mailbox>,
    state: Mutex<State>,
    /// Whether the state holds anything: transactions without messages look only here.
    used: AtomicBool,
}

#[derive(Default)]
struct State {
    in_block: bool,
    intents: Vec<Intent>,
    /// Savepoints, with how much waited then.
    marks: Vec<(String, usize)>,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// NOTIFY and `pg_notify`.
    pub(crate) fn notify(
        &self,
        channels: &Channels,
        process: i32,
        channel: &str,
        payload: &str,
    ) -> Result<()> {
        check_channel(channel)?;
        if payload.len() > MAX_PAYLOAD {
            return Err(
                Error::new(SqlState::INVALID_PARAMETER_VALUE, "payload string too long")
                    .detail(format!("A message has at most {MAX_PAYLOAD} bytes.")),
            );
        }
        let is_full = |mailbox: &Arc<Mailbox>| mailbox.waiting.lock().len() >= MAX_WAITING;
        if channels.listeners(channel).iter().any(is_full) {
            return Err(Error::new(
                SqlState("54000"),
                format!("too many messages wait for a listener to channel \"{channel}\""),
            )
            .hint("A session that listens does not take its messages."));
        }
        let intent = Intent::Notify {
            channel: channel.to_owned(),
            payload: payload.to_owned(),
        };
        self.intend(channels, process, intent);
        Ok(())
    }

    fn intend(&self, channels: &Channels, process: i32, intent: Intent) {
        let mut state = self.state.lock();
        if !state.in_block {
            drop(state);
            return self.fulfil(channels, process, vec![intent]);
        }
        // The same message twice in a transaction is sent once.
        if matches!(intent, Intent::Notify { .. }) && state.intents.contains(&intent) {
            return;
        }
        state.intents.push(intent);
        self.used.store(true, Ordering::Relaxed);
    }

    fn fulfil(&self, channels: &Channels, process: i32, intents: Vec<Intent>) {
        let (messages, changes): (Vec<_>, Vec<_>) = intents
            .into_iter()
            .partition(|intent| matches!(intent, Intent::Notify { .. }));
        for intent in changes.into_iter().chain(messages) {
            match intent {
                Intent::Listen(channel) => channels.listen(&channel, &self.mailbox),
                Intent::Unlisten(channel) => {
                    channels.unlisten(channel.as_deref(), &self.mailbox);
                }
                Intent::Notify { channel, payload } => channels.send(&Notification {
                    process,
                    channel,
                    payload,
                }),
            }
        }
    }

    /// A transaction block begins.
    pub(crate) fn begin(&self) {
        self.state.lock().in_block = true;
    }

    /// The transaction block has ended.
    pub(crate) fn end(&self, channels: &Channels, process: i32, committed: bool) {
        let mut state = self.state.lock();
        state.in_block = false;
        if !self.used.swap(false, Ordering::Relaxed) {
            state.marks.clear();
            return;
        }
        let State { intents, .. } = std::mem::take(&mut *state);
        drop(state);
        if committed {
            self.fulfil(channels, process, intents);
        }
    }

    /// SAVEPOINT.
    pub(crate) fn mark(&self, name: &str) {
        let mut state = self.state.lock();
        let count = state.intents.len();
        state.marks.push((name.to_owned(), count));
    }

    /// ROLLBACK TO SAVEPOINT.
    pub(crate) fn rollback_to(&self, name: &str) {
        let mut state = self.state.lock();
        if let Some(at) = state.marks.iter().rposition(|(known, _)| known == name) {
            state.marks.truncate(at + 1);
            if let Some(count) = state.marks.get(at).map(|(_, count)| *count) {
                state.intents.truncate(count);
            }
        }
    }
}

fn check_channel(channel: &str) -> Result<()> {
    let wrong = |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if channel.is_empty() {
        return wrong("channel name cannot be empty");
    }
    if channel.len() > MAX_CHANNEL {
        return wrong("channel name too long");
    }
    Ok(())
}

impl Session {
    fn intend(&mut self, intent: Intent) {
        // A session for one statement could not listen: it gets a queue of its own.
        self.own_sequences();
        if let Some(system) = &self.info.system {
            let channels = &self.database.inner.channels;
            system.outbox().intend(channels, self.info.backend, intent);
        }
    }

    pub(super) fn listen(&mut self, channel: &str) -> Result<StatementResult> {
        check_channel(channel)?;
        self.intend(Intent::Listen(channel.to_owned()));
        Ok(StatementResult::done("LISTEN"))
    }

    /// UNLISTEN; `None`: every channel.
    pub(super) fn unlisten(&mut self, channel: Option<&str>) -> StatementResult {
        self.intend(Intent::Unlisten(channel.map(str::to_owned)));
        StatementResult::done("UNLISTEN")
    }

    pub(super) fn notify(&mut self, channel: &str, payload: &str) -> Result<StatementResult> {
        if let Some(system) = &self.info.system {
            let channels = &self.database.inner.channels;
            system
                .outbox()
                .notify(channels, self.info.backend, channel, payload)?;
        }
        Ok(StatementResult::done("NOTIFY"))
    }

    /// The messages that have come for this session's LISTEN, oldest first.
    ///
    /// ```
    /// use rustling_sql::Database;
    ///
    /// let db = Database::in_memory()?;
    /// let mut session = db.session();
    /// session.execute("LISTEN news", ())?;
    /// db.execute("NOTIFY news, 'it rains'", ())?;
    /// let messages = session.take_notifications();
    /// assert_eq!(messages[0].payload, "it rains");
    /// # Ok::<(), rustling_sql::Error>(())
    /// ```
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        let Some(system) = &self.info.system else {
            return Vec::new();
        };
        let mut waiting = system.outbox().mailbox.waiting.lock();
        waiting.drain(..).collect()
    }

    /// What wakes whoever serves this session, where [`Session::on_notification`] was called.
    pub(super) fn waker(&self) -> Option<NotificationWaker> {
        let system = self.info.system.as_ref()?;
        system.outbox().mailbox.waker.lock().clone()
    }

    /// Has `waker` called, on the sender's thread, whenever a message comes for this session, and
    /// when another session ends it.
    pub fn on_notification(&mut self, waker: NotificationWaker) {
        self.own_sequences();
        if let Some(system) = &self.info.system {
            *system.outbox().mailbox.waker.lock() = Some(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use crate::{Database, Session, SqlState};

    fn payloads(session: &mut Session) -> Vec<String> {
        session
            .take_notifications()
            .into_iter()
            .map(|message| format!("{} {}", message.channel, message.payload))
            .collect()
    }

    #[test]
    fn messages_leave_with_the_commit() {
        let db = Database::in_memory().unwrap();
        let mut listener = db.session();
        let mut sender = db.session();
        listener.execute("LISTEN a", ()).unwrap();
        listener.execute("LISTEN \"B b\"", ()).unwrap();
        sender.execute("NOTIFY a", ()).unwrap();
        sender.execute("NOTIFY other, 'x'", ()).unwrap();
        assert_eq!(payloads(&mut listener), ["a "]);
        sender.execute("BEGIN", ()).unwrap();
        sender.execute("NOTIFY a, 'one'", ()).unwrap();
        sender.execute("NOTIFY a, 'one'", ()).unwrap();
        sender.execute("SAVEPOINT s", ()).unwrap();
        sender.execute("NOTIFY a, 'undone'", ()).unwrap();
        sender.execute("ROLLBACK TO s", ()).unwrap();
        let sent = sender.query("SELECT pg_notify('B b', 'two')", ()).unwrap();
        sent.values().unwrap();
        assert!(payloads(&mut listener).is_empty());
        sender.execute("COMMIT", ()).unwrap();
        assert_eq!(payloads(&mut listener), ["a one", "B b two"]);
        sender.execute("BEGIN", ()).unwrap();
        sender.execute("NOTIFY a, 'never'", ()).unwrap();
        sender.execute("ROLLBACK", ()).unwrap();
        assert!(payloads(&mut listener).is_empty());
    }

    #[test]
    fn listening_begins_and_ends_with_a_commit() {
        let db = Database::in_memory().unwrap();
        let mut session = db.session();
        session.execute("BEGIN", ()).unwrap();
        session.execute("LISTEN a", ()).unwrap();
        db.execute("NOTIFY a, 'early'", ()).unwrap();
        session.execute("NOTIFY a, 'own'", ()).unwrap();
        session.execute("COMMIT", ()).unwrap();
        assert_eq!(payloads(&mut session), ["a own"]);
        session.execute("BEGIN", ()).unwrap();
        session.execute("UNLISTEN *", ()).unwrap();
        session.execute("ROLLBACK", ()).unwrap();
        db.execute("NOTIFY a, 'still'", ()).unwrap();
        assert_eq!(payloads(&mut session), ["a still"]);
        session.execute("UNLISTEN a", ()).unwrap();
        db.execute("NOTIFY a, 'gone'", ()).unwrap();
        assert!(payloads(&mut session).is_empty());
    }

    #[test]
    fn wakers_are_called_and_limits_kept() {
        let db = Database::in_memory().unwrap();
        let mut session = db.session();
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        session.on_notification(Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }));
        session.execute("LISTEN a", ()).unwrap();
        db.execute("NOTIFY a", ()).unwrap();
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        let long = format!("NOTIFY a, '{}'", "x".repeat(8000));
        let error = db.execute(&long, ()).unwrap_err();
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
        let error = db.execute("SELECT pg_notify('', 'x')", ()).unwrap_err();
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
        let full = (0..=super::MAX_WAITING)
            .try_for_each(|n| db.execute(&format!("NOTIFY a, '{n}'"), ()).map(|_| ()));
        assert_eq!(full.unwrap_err().state(), SqlState("54000"));
        drop(session);
        db.execute("NOTIFY a", ()).unwrap();
    }
}
