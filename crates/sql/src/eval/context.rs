//! What an evaluation depends on besides its row.

use std::{fmt, sync::Arc};

use super::{AccessSource, NoAccess, NoSequences, SequenceSource};
use crate::{
    Error, Result, SqlState,
    catalog::access::SUPERUSER_NAME,
    engine::system::{SessionSystem, SystemView},
    types::{Conversion, TextStyle, Value},
};

/// Facts of the session that functions tell.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// `current_user`.
    pub user: String,
    /// `session_user`.
    pub session_user: String,
    /// `current_database()`.
    pub database: String,
    /// `current_schema()`.
    pub schema: String,
    /// How the session reads and writes values as text; its time zone.
    pub style: TextStyle,
    /// The session's number, `pg_backend_pid()`.
    pub backend: i32,
    /// Who knows what roles may do.
    pub access: Arc<dyn AccessSource>,
    /// What `nextval` draws from.
    pub sequences: Arc<dyn SequenceSource>,
    /// What functions on the system catalog ask.
    pub(crate) system: Option<Arc<SessionSystem>>,
}

impl Default for SessionInfo {
    fn default() -> SessionInfo {
        SessionInfo {
            user: SUPERUSER_NAME.to_owned(),
            session_user: SUPERUSER_NAME.to_owned(),
            database: "rustling".to_owned(),
            schema: "public".to_owned(),
            style: TextStyle::DEFAULT,
            backend: 0,
            access: Arc::new(NoAccess),
            sequences: Arc::new(NoSequences),
            system: None,
        }
    }
}

/// Where `random()` and `gen_random_uuid()` take their bits from.
pub trait RandomSource: Send + Sync {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync> RandomSource for F {
    fn next_u64(&self) -> u64 {
        self()
    }
}

/// The source for contexts in which nothing random is evaluated: always 0.
#[derive(Clone, Copy, Debug)]
pub struct NoRandomness;

impl RandomSource for NoRandomness {
    fn next_u64(&self) -> u64 {
        0
    }
}

/// What an evaluation depends on besides its row. Cheap to make: it only borrows.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    /// The statement's parameters.
    pub parameters: &'a [Value],
    /// `now()`: microseconds since 1970 UTC at which the transaction began.
    pub transaction_time: i64,
    /// Random bits.
    pub random: &'a dyn RandomSource,
    /// The session's facts.
    pub session: &'a SessionInfo,
}

impl SessionInfo {
    /// The system catalog as the session sees it now.
    pub(crate) fn system_view(&self) -> Result<SystemView> {
        match &self.system {
            Some(system) => system.view(),
            None => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "there is no system catalog here",
            )),
        }
    }
}

impl EvalContext<'_> {
    /// How text is converted in this session.
    #[must_use]
    pub fn conversion(&self) -> Conversion<'_> {
        Conversion {
            style: &self.session.style,
            now: Some(self.transaction_time),
        }
    }
}

impl fmt::Debug for EvalContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvalContext")
            .field("parameters", &self.parameters)
            .field("transaction_time", &self.transaction_time)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
