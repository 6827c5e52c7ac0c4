//! LISTEN and NOTIFY: messages between the sessions of a database.
//!
//! A message leaves when the transaction that sent it commits, once for each listener, and never
//! when it is rolled back; outside a block the statement is the transaction. Listening begins and
//! ends with a commit too. Messages wait in the listener's own queue until it takes them:
//! [`Session::take_notifications`].

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

use crate::{
    Error, Result, SqlState,
    bound::Needed,
    engine::{
        rows::Rows,
        session::{Session, StatementResult},
    },
    executor::{MemoryMeter, row_bytes},
};

/// Bytes of a message, as in PostgreSQL.
const MAX_PAYLOAD: usize = 7999;
/// Bytes of a channel's name.
const MAX_CHANNEL: usize = 63;
/// Messages that wait for one listener. More are refused to whoever sends them.
const MAX_WAITING: usize = 16 << 10;
/// Bytes of what waits for the end of one transaction, with [`INTENT_BYTES`] for each of them.
const MAX_INTENDED: usize = 16 << 20;
/// What one costs beside its text.
const INTENT_BYTES: usize = 64;

/// The function that sends messages.
const NOTIFY_FUNCTION: &str = "pg_notify";

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Intent {
    Listen(String),
    /// `None`: every channel.
    Unlisten(Option<String>),
    Notify {
        channel: String,
        payload: String,
    },
}

impl Intent {
    fn bytes(&self) -> usize {
        let text = match self {
            Intent::Listen(channel) | Intent::Unlisten(Some(channel)) => channel.len(),
            Intent::Unlisten(None) => 0,
            Intent::Notify { channel, payload } => channel.len() + payload.len(),
        };
        text + INTENT_BYTES
    }
}

/// A session's part: its queue, and what waits for the end of its transaction.
#[derive(Default)]
pub(crate) struct Outbox {
    mailbox: Arc<Mailbox>,
    state: Mutex<State>,
    /// Whether a transaction is open, be it that of one statement.
    in_transaction: AtomicBool,
    /// Whether the state holds anything: transactions without messages look only here.
    used: AtomicBool,
}

#[derive(Default)]
struct State {
    intents: Vec<Intent>,
    /// The messages among them.
    messages: HashSet<Intent>,
    /// What they take.
    bytes: usize,
    /// Savepoints, with how much waited then.
    marks: Vec<(String, usize)>,
}

impl State {
    /// Forgets all but the first `count`.
    fn truncate(&mut self, count: usize) {
        for intent in self.intents.drain(count.min(self.intents.len())..) {
            self.bytes = self.bytes.saturating_sub(intent.bytes());
            self.messages.remove(&intent);
        }
    }
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
        self.intend(channels, process, intent)
    }

    fn intend(&self, channels: &Channels, process: i32, intent: Intent) -> Result<()> {
        if !self.in_transaction.load(Ordering::Relaxed) {
            self.fulfil(channels, process, vec![intent]);
            return Ok(());
        }
        let mut state = self.state.lock();
        let is_message = matches!(intent, Intent::Notify { .. });
        // The same message twice in a transaction is sent once.
        if is_message && state.messages.contains(&intent) {
            return Ok(());
        }
        let bytes = state.bytes + intent.bytes();
        if bytes > MAX_INTENDED {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "too many messages wait for the end of the transaction",
            )
            .hint("Commit between them."));
        }
        state.bytes = bytes;
        if is_message {
            state.messages.insert(intent.clone());
        }
        state.intents.push(intent);
        self.used.store(true, Ordering::Relaxed);
        Ok(())
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

    /// A transaction begins: a block, or a statement outside one.
    pub(crate) fn begin(&self) {
        self.in_transaction.store(true, Ordering::Relaxed);
    }

    /// The transaction has ended.
    pub(crate) fn end(&self, channels: &Channels, process: i32, committed: bool) {
        self.in_transaction.store(false, Ordering::Relaxed);
        let intents = self.take();
        if committed {
            self.fulfil(channels, process, intents);
        }
    }

    /// Forgets what waits for the end of the transaction, which begins anew.
    pub(crate) fn forget(&self) {
        self.take();
    }

    fn take(&self) -> Vec<Intent> {
        if !self.used.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        std::mem::take(&mut *self.state.lock()).intents
    }

    /// SAVEPOINT.
    pub(crate) fn mark(&self, name: &str) {
        let mut state = self.state.lock();
        let count = state.intents.len();
        state.marks.push((name.to_owned(), count));
        self.used.store(true, Ordering::Relaxed);
    }

    /// ROLLBACK TO SAVEPOINT.
    pub(crate) fn rollback_to(&self, name: &str) {
        let mut state = self.state.lock();
        if let Some(at) = state.marks.iter().rposition(|(known, _)| known == name) {
            state.marks.truncate(at + 1);
            if let Some(count) = state.marks.get(at).map(|(_, count)| *count) {
                state.truncate(count);
            }
        }
    }
}

/// Whether a statement may send messages itself.
pub(super) fn notifies(needed: &Needed) -> bool {
    needed.functions.iter().any(|name| name == NOTIFY_FUNCTION)
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
    fn intend(&mut self, intent: Intent) -> Result<()> {
        // A session for one statement could not listen: it gets a queue of its own.
        self.own_sequences();
        match &self.info.system {
            Some(system) => {
                let channels = &self.database.inner.channels;
                system.outbox().intend(channels, self.info.backend, intent)
            }
            None => Ok(()),
        }
    }

    /// Runs a statement outside a block that sends messages: they leave when all of it is done.
    pub(super) fn sending(
        &mut self,
        run: impl FnOnce(&mut Session) -> Result<StatementResult>,
    ) -> Result<StatementResult> {
        // What statements for themselves have in common is not theirs to begin and end.
        self.own_sequences();
        if let Some(system) = self.own_system() {
            system.outbox().begin();
        }
        let result = run(self).and_then(|result| self.read_whole(result));
        self.end_messages(result.is_ok());
        result
    }

    /// The result with its rows read: computing them is part of the statement.
    fn read_whole(&self, result: StatementResult) -> Result<StatementResult> {
        let mut rows = match result {
            StatementResult::Rows(rows) => rows,
            other => return Ok(other),
        };
        let mut memory = MemoryMeter::of(self.memory_budget(), "result")?;
        let mut kept = Vec::new();
        let mut row = Vec::new();
        while rows.next_into(&mut row)? {
            memory.grow(row_bytes(&row))?;
            kept.push(std::mem::take(&mut row));
        }
        let fixed = Rows::fixed(rows.columns().to_vec(), kept);
        Ok(StatementResult::Rows(match rows.tag() {
            Some(tag) => fixed.with_tag(tag.to_owned()),
            None => fixed,
        }))
    }

    /// Forgets what a statement outside a block has sent: it is tried again.
    pub(super) fn forget_messages(&self) {
        if let Some(system) = self.own_system() {
            system.outbox().forget();
        }
    }

    pub(super) fn listen(&mut self, channel: &str) -> Result<StatementResult> {
        check_channel(channel)?;
        self.intend(Intent::Listen(channel.to_owned()))?;
        Ok(StatementResult::done("LISTEN"))
    }

    /// UNLISTEN; `None`: every channel.
    pub(super) fn unlisten(&mut self, channel: Option<&str>) -> Result<StatementResult> {
        self.intend(Intent::Unlisten(channel.map(str::to_owned)))?;
        Ok(StatementResult::done("UNLISTEN"))
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

    #[test]
    fn a_statement_alone_sends_when_it_is_done() {
        let db = Database::in_memory().unwrap();
        db.execute("CREATE TABLE t (n int)", ()).unwrap();
        let mut listener = db.session();
        listener.execute("LISTEN a", ()).unwrap();
        let mut session = db.session();
        let sent = "pg_notify('a', (1 / (2 - n))::text)";
        let insert = |last: u32| {
            format!("INSERT INTO t SELECT n FROM generate_series(0, {last}) n RETURNING {sent}")
        };
        let select = |last: u32| format!("SELECT {sent} FROM generate_series(0, {last}) n");
        // The row of 2 divides by zero: what those before it have sent is forgotten.
        for sql in [insert(2), select(2)] {
            assert!(session.execute(&sql, ()).is_err());
            assert!(db.execute(&sql, ()).is_err());
            assert!(payloads(&mut listener).is_empty(), "{sql}");
        }
        for sql in [insert(1), select(1)] {
            session.execute(&sql, ()).unwrap();
            assert_eq!(payloads(&mut listener), ["a 0", "a 1"], "{sql}");
            db.execute(&sql, ()).unwrap();
            assert_eq!(payloads(&mut listener), ["a 0", "a 1"], "{sql}");
        }
    }

    #[test]
    fn what_waits_for_a_commit_is_bounded() {
        let db = Database::in_memory().unwrap();
        let mut listener = db.session();
        listener.execute("LISTEN a", ()).unwrap();
        let mut session = db.session();
        let send = |count: u32| {
            format!(
                "SELECT pg_notify('a', n::text || repeat('x', 7900)) \
                 FROM generate_series(1, {count}) n"
            )
        };
        session.begin().unwrap();
        let error = session.execute(&send(3000), ()).unwrap_err();
        assert_eq!(error.state(), SqlState::PROGRAM_LIMIT_EXCEEDED);
        session.rollback().unwrap();
        // What a savepoint takes back makes room.
        session.begin().unwrap();
        session.execute("SAVEPOINT s", ()).unwrap();
        session.execute(&send(1500), ()).unwrap();
        session.execute("ROLLBACK TO s", ()).unwrap();
        session.execute(&send(1500), ()).unwrap();
        session.commit().unwrap();
        assert_eq!(payloads(&mut listener).len(), 1500);
    }
}
