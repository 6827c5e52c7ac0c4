//! Sequences at work.
//!
//! Numbers are given out without regard to transactions. A sequence's state is a row in a
//! keyspace of its own, under the number that the catalog names:
//!
//! ```text
//! key    := state number (u32, big-endian)
//! value  := last number (i64, little-endian)  called (u8: whether `last` was given out)
//! ```
//!
//! Numbers are taken from there in blocks, written by a transaction of their own before any of
//! them is given out; after a crash the rest of a block is skipped, a clean end writes the exact
//! state back. A sequence that a transaction has made or restarted and not yet committed is drawn
//! from through that transaction.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rustling_storage::{Durability, KeyspaceId};
use rustling_txn::{Transaction, TransactionOptions};

use crate::{
    Error, Result, SqlState,
    catalog::{
        Sequence, SequenceId,
        access::{ObjectId, Privileges, RoleId},
    },
    encoding::corrupt,
    engine::{
        access::denied,
        catalog::CatalogSnapshot,
        database::{Inner, read_only},
        error::txn_error,
        session::Session,
    },
    eval::{SequenceName, SequenceSource},
};

/// How many numbers are made durable at a time.
const BLOCK: u32 = 32;

/// What is known of a sequence that is in use.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    /// The number given out last, or to be given out first.
    last: i64,
    /// Whether `last` was given out.
    called: bool,
    /// How many more numbers the stored state covers.
    reserved: u32,
    /// Whether the state was read.
    known: bool,
    keyspace: Option<KeyspaceId>,
}

/// The sequences in use, by state.
pub(crate) type DrawnSequences = Mutex<HashMap<u32, Arc<Mutex<Drawn>>>>;

/// Writes a state as part of `transaction`.
pub(crate) fn write_state(
    transaction: &Transaction,
    keyspace: KeyspaceId,
    state: u32,
    last: i64,
    called: bool,
) -> Result<()> {
    let mut value = last.to_le_bytes().to_vec();
    value.push(u8::from(called));
    transaction
        .put(keyspace, &state.to_be_bytes(), &value)
        .map_err(txn_error)
}

fn read_state(transaction: &Transaction, keyspace: KeyspaceId, state: u32) -> Result<(i64, bool)> {
    let bytes = transaction
        .get(keyspace, &state.to_be_bytes())
        .map_err(txn_error)?
        .ok_or_else(|| corrupt("a sequence has no state"))?;
    match bytes.split_first_chunk::<8>() {
        Some((last, [called])) => Ok((i64::from_le_bytes(*last), *called != 0)),
        _ => Err(corrupt("the state of a sequence")),
    }
}

/// The number after `last`.
fn following(sequence: &Sequence, last: i64, called: bool) -> Result<i64> {
    if !called {
        return Ok(last);
    }
    let ascending = sequence.increment > 0;
    match last.checked_add(sequence.increment) {
        Some(next) if (sequence.min..=sequence.max).contains(&next) => Ok(next),
        _ if sequence.cycle => Ok(if ascending {
            sequence.min
        } else {
            sequence.max
        }),
        _ => {
            let (what, bound) = if ascending {
                ("maximum", sequence.max)
            } else {
                ("minimum", sequence.min)
            };
            Err(Error::new(
                SqlState("2200H"),
                format!(
                    "nextval: reached {what} value of sequence \"{}\" ({bound})",
                    sequence.name
                ),
            ))
        }
    }
}

impl Inner {
    fn drawn(&self, state: u32) -> Arc<Mutex<Drawn>> {
        Arc::clone(self.sequences.lock().entry(state).or_default())
    }

    /// Writes a state in a transaction of its own. The log keeps the order: what is committed
    /// durably afterwards makes this durable too.
    fn store_state(&self, keyspace: KeyspaceId, state: u32, last: i64, called: bool) -> Result<()> {
        let transaction = self.begin(TransactionOptions {
            durability: Durability::Async,
            ..TransactionOptions::default()
        })?;
        write_state(&transaction, keyspace, state, last, called)?;
        transaction.commit().map_err(txn_error)?;
        Ok(())
    }

    fn learn(&self, drawn: &mut Drawn, keyspace: KeyspaceId, state: u32) -> Result<()> {
        if drawn.known {
            return Ok(());
        }
        let reader = self.begin(read_only())?;
        (drawn.last, drawn.called) = read_state(&reader, keyspace, state)?;
        drawn.known = true;
        drawn.keyspace = Some(keyspace);
        Ok(())
    }

    /// The next number of a committed sequence.
    fn next_value(&self, sequence: &Sequence, keyspace: KeyspaceId) -> Result<i64> {
        let drawn = self.drawn(sequence.state);
        let mut drawn = drawn.lock();
        self.learn(&mut drawn, keyspace, sequence.state)?;
        let next = following(sequence, drawn.last, drawn.called)?;
        if drawn.reserved == 0 {
            let mut end = next;
            let mut more = 0;
            let wanted = u32::try_from(sequence.cache).unwrap_or(BLOCK).max(BLOCK);
            while more < wanted - 1 {
                match following(sequence, end, true) {
                    Ok(after) => end = after,
                    Err(_) => break,
                }
                more += 1;
            }
            self.store_state(keyspace, sequence.state, end, true)?;
            drawn.reserved = more;
        } else {
            drawn.reserved -= 1;
        }
        drawn.last = next;
        drawn.called = true;
        Ok(next)
    }

    fn set_value(
        &self,
        sequence: &Sequence,
        keyspace: KeyspaceId,
        value: i64,
        called: bool,
    ) -> Result<()> {
        let drawn = self.drawn(sequence.state);
        let mut drawn = drawn.lock();
        self.store_state(keyspace, sequence.state, value, called)?;
        *drawn = Drawn {
            last: value,
            called,
            reserved: 0,
            known: true,
            keyspace: Some(keyspace),
        };
        Ok(())
    }

    /// Where a committed sequence stands: the last number and whether it was given out.
    pub(crate) fn sequence_value(
        &self,
        sequence: &Sequence,
        keyspace: KeyspaceId,
    ) -> Result<(i64, bool)> {
        let drawn = self.drawn(sequence.state);
        let mut drawn = drawn.lock();
        self.learn(&mut drawn, keyspace, sequence.state)?;
        Ok((drawn.last, drawn.called))
    }

    /// Writes the exact states, so that nothing is skipped after a clean end.
    pub(crate) fn store_sequences(&self) -> Result<()> {
        let all: Vec<(u32, Arc<Mutex<Drawn>>)> = self
            .sequences
            .lock()
            .iter()
            .map(|(state, drawn)| (*state, Arc::clone(drawn)))
            .collect();
        for (state, drawn) in all {
            let mut drawn = drawn.lock();
            let Some(keyspace) = drawn.keyspace.filter(|_| drawn.reserved > 0) else {
                continue;
            };
            self.store_state(keyspace, state, drawn.last, drawn.called)?;
            drawn.reserved = 0;
        }
        Ok(())
    }
}

/// A database, the catalog as a session sees it, and the session's search path.
pub(crate) type Surroundings = (Arc<Inner>, Arc<CatalogSnapshot>, Arc<Vec<String>>);

/// The sequences as a session's expressions reach them.
#[derive(Debug)]
pub(crate) struct SessionSequences {
    database: Weak<Inner>,
    state: Mutex<SessionState>,
}

#[derive(Debug, Default)]
struct SessionState {
    /// Whether numbers are remembered for currval: not by what is used for one statement only.
    remembers: bool,
    current: HashMap<SequenceId, i64>,
    last: Option<SequenceId>,
    search_path: Arc<Vec<String>>,
    /// Who draws; `None`: the superuser that every database has.
    role: Option<RoleId>,
    /// The open transaction with its catalog, where it has changed that.
    open: Option<(Weak<Transaction>, Weak<CatalogSnapshot>)>,
}

/// Where a sequence is drawn from.
enum Reach {
    Committed(Arc<Sequence>, KeyspaceId),
    Own(Arc<Sequence>, KeyspaceId, Arc<Transaction>),
}

impl SessionSequences {
    /// For statements that each are a session of their own.
    pub(crate) fn shared(database: Weak<Inner>) -> SessionSequences {
        SessionSequences {
            database,
            state: Mutex::new(SessionState {
                search_path: Arc::new(vec!["public".to_owned()]),
                ..SessionState::default()
            }),
        }
    }

    /// For a session.
    pub(crate) fn of_session(database: &Arc<Inner>) -> SessionSequences {
        let sequences = SessionSequences::shared(Arc::downgrade(database));
        sequences.state.lock().remembers = true;
        sequences
    }

    /// Names are looked up along this path from now on.
    pub(crate) fn set_search_path(&self, path: Arc<Vec<String>>) {
        self.state.lock().search_path = path;
    }

    /// This role draws from now on.
    pub(crate) fn set_role(&self, role: RoleId) {
        self.state.lock().role = Some(role);
    }

    /// The open transaction has changed the catalog; `None`: there is none such any more.
    pub(crate) fn set_open(&self, open: Option<(Weak<Transaction>, Weak<CatalogSnapshot>)>) {
        self.state.lock().open = open;
    }

    /// The database, the catalog as the session sees it, and its search path.
    pub(crate) fn surroundings(&self) -> Result<Surroundings> {
        let inner = self.inner()?;
        let state = self.state.lock();
        let open = state
            .open
            .as_ref()
            .and_then(|(_, catalog)| catalog.upgrade());
        let path = Arc::clone(&state.search_path);
        drop(state);
        let catalog = open.unwrap_or_else(|| inner.catalog());
        Ok((inner, catalog, path))
    }

    /// Forgets the numbers given out.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock();
        state.current.clear();
        state.last = None;
    }

    fn inner(&self) -> Result<Arc<Inner>> {
        self.database
            .upgrade()
            .ok_or_else(|| Error::new(SqlState::INTERNAL_ERROR, "the database is closed"))
    }

    /// The role that the session acts as.
    pub(crate) fn role(&self) -> RoleId {
        self.state.lock().role.unwrap_or(RoleId::SUPERUSER)
    }

    /// The name of the database.
    pub(crate) fn database_name(&self) -> Result<String> {
        Ok(self.inner()?.info.database.clone())
    }

    /// A sequence, for which the session's role must have one of the privileges `wanted`.
    fn reach(&self, inner: &Inner, name: SequenceName<'_>, wanted: Privileges) -> Result<Reach> {
        let (path, open, role) = {
            let state = self.state.lock();
            let open = state.open.as_ref().and_then(|(transaction, catalog)| {
                Some((transaction.upgrade()?, catalog.upgrade()?))
            });
            (Arc::clone(&state.search_path), open, state.role)
        };
        let committed = inner.catalog();
        let catalog = open.as_ref().map_or(&committed, |(_, catalog)| catalog);
        let sequence = find(catalog, name, &path)?;
        // The sequence of an identity column belongs to the column.
        if let (Some(role), SequenceName::Name(_)) = (role, name) {
            let rights = catalog.access.rights(role);
            let held = rights.privileges(&ObjectId::Sequence(sequence.id));
            if !rights.superuser && held.and(wanted).is_empty() {
                return Err(denied("sequence", &sequence.name));
            }
        }
        let known = committed
            .sequence_by_id(sequence.id)
            .is_some_and(|known| known.state == sequence.state);
        let missing = || corrupt("there is no keyspace for sequences");
        if known {
            let keyspace = committed.sequence_states.ok_or_else(missing)?;
            return Ok(Reach::Committed(sequence, keyspace));
        }
        let keyspace = catalog.sequence_states.ok_or_else(missing)?;
        match open {
            Some((transaction, _)) => Ok(Reach::Own(sequence, keyspace, transaction)),
            None => Err(undefined(&sequence.name)),
        }
    }

    fn remember(&self, id: SequenceId, value: i64) {
        let mut state = self.state.lock();
        if state.remembers {
            state.current.insert(id, value);
            state.last = Some(id);
        }
    }
}

#[cold]
fn undefined(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_TABLE,
        format!("relation \"{name}\" does not exist"),
    )
}

/// The sequence of that name, written as in SQL: folded, unless in double quotes.
fn find(
    catalog: &CatalogSnapshot,
    name: SequenceName<'_>,
    path: &[String],
) -> Result<Arc<Sequence>> {
    let text = match name {
        SequenceName::Id(id) => {
            return u32::try_from(id)
                .ok()
                .and_then(|id| catalog.sequence_by_id(SequenceId(id)))
                .ok_or_else(|| undefined(&id.to_string()));
        }
        SequenceName::Name(text) => text,
    };
    let parts = crate::parser::parse_name(text)?;
    let found = match parts.as_slice() {
        [name] => path
            .iter()
            .find_map(|schema| catalog.find_sequence(schema, name)),
        [schema, name] => catalog.find_sequence(schema, name),
        _ => None,
    };
    if let Some(sequence) = found {
        return Ok(sequence);
    }
    let table = match parts.as_slice() {
        [name] => path
            .iter()
            .any(|schema| catalog.find(Some(schema), name).is_some()),
        [schema, name] => catalog.find(Some(schema), name).is_some(),
        _ => false,
    };
    if table {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{text}\" is not a sequence"),
        ));
    }
    Err(undefined(text))
}

impl SequenceSource for SessionSequences {
    fn next(&self, name: SequenceName<'_>) -> Result<i64> {
        let inner = self.inner()?;
        let wanted = Privileges::USAGE.with(Privileges::UPDATE);
        let (id, value) = match self.reach(&inner, name, wanted)? {
            Reach::Committed(sequence, keyspace) => {
                (sequence.id, inner.next_value(&sequence, keyspace)?)
            }
            Reach::Own(sequence, keyspace, transaction) => {
                let (last, called) = read_state(&transaction, keyspace, sequence.state)?;
                let next = following(&sequence, last, called)?;
                write_state(&transaction, keyspace, sequence.state, next, true)?;
                (sequence.id, next)
            }
        };
        self.remember(id, value);
        Ok(value)
    }

    fn current(&self, name: SequenceName<'_>) -> Result<i64> {
        let inner = self.inner()?;
        let wanted = Privileges::USAGE.with(Privileges::SELECT);
        let sequence = match self.reach(&inner, name, wanted)? {
            Reach::Committed(sequence, _) | Reach::Own(sequence, ..) => sequence,
        };
        let state = self.state.lock();
        state.current.get(&sequence.id).copied().ok_or_else(|| {
            Error::new(
                SqlState::NOT_IN_PREREQUISITE_STATE,
                format!(
                    "currval of sequence \"{}\" is not yet defined in this session",
                    sequence.name
                ),
            )
        })
    }

    fn last(&self) -> Result<i64> {
        let state = self.state.lock();
        state
            .last
            .and_then(|id| state.current.get(&id).copied())
            .ok_or_else(|| {
                Error::new(
                    SqlState::NOT_IN_PREREQUISITE_STATE,
                    "lastval is not yet defined in this session",
                )
            })
    }

    fn set(&self, name: SequenceName<'_>, value: i64, called: bool) -> Result<i64> {
        let inner = self.inner()?;
        let reach = self.reach(&inner, name, Privileges::UPDATE)?;
        let sequence = match &reach {
            Reach::Committed(sequence, _) | Reach::Own(sequence, ..) => Arc::clone(sequence),
        };
        if !(sequence.min..=sequence.max).contains(&value) {
            return Err(Error::new(
                SqlState("22003"),
                format!(
                    "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                    sequence.name, sequence.min, sequence.max
                ),
            ));
        }
        match reach {
            Reach::Committed(sequence, keyspace) => {
                inner.set_value(&sequence, keyspace, value, called)?;
            }
            Reach::Own(sequence, keyspace, transaction) => {
                write_state(&transaction, keyspace, sequence.state, value, called)?;
            }
        }
        if called {
            self.remember(sequence.id, value);
        }
        Ok(value)
    }
}

impl Session {
    /// Where a sequence stands: the last number and whether it was given out.
    pub(super) fn sequence_value(&self, sequence: &Sequence) -> Result<(i64, bool)> {
        let committed = self.database.catalog();
        let known = committed
            .sequence_by_id(sequence.id)
            .is_some_and(|known| known.state == sequence.state);
        match (known, committed.sequence_states) {
            (true, Some(keyspace)) => self.database.inner.sequence_value(sequence, keyspace),
            _ => {
                let keyspace = self
                    .catalog()
                    .sequence_states
                    .ok_or_else(|| corrupt("there is no keyspace for sequences"))?;
                let open = self
                    .open
                    .as_ref()
                    .ok_or_else(|| undefined(&sequence.name))?;
                read_state(&open.transaction, keyspace, sequence.state)
            }
        }
    }

    /// Tells the session's expressions of the catalog that its open transaction sees, where that
    /// is its own.
    pub(super) fn note_open_catalog(&self) {
        let open = self
            .open
            .as_ref()
            .filter(|open| open.changed_catalog)
            .and_then(|open| {
                let catalog = open.catalog.as_ref()?;
                Some((Arc::downgrade(&open.transaction), Arc::downgrade(catalog)))
            });
        self.sequences.set_open(open);
    }
}
