//! What statements tell beside their results.

use std::fmt;

use crate::error::SqlState;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NoticeSeverity {
    /// Good to know: `table "t" does not exist, skipping`.
    Notice,
    /// The statement probably does not do what was meant: BEGIN within a transaction block.
    Warning,
}

impl NoticeSeverity {
    /// PostgreSQL's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            NoticeSeverity::Notice => "NOTICE",
            NoticeSeverity::Warning => "WARNING",
        }
    }
}

/// What the user should know beside a statement's result. Shown as psql shows it:
/// `NOTICE:  table "t" does not exist, skipping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    severity: NoticeSeverity,
    state: SqlState,
    message: String,
}

impl Notice {
    /// Good to know.
    pub(crate) fn new(message: impl Into<String>) -> Notice {
        Notice {
            severity: NoticeSeverity::Notice,
            state: SqlState("00000"),
            message: message.into(),
        }
    }

    /// Probably not what was meant.
    pub(crate) fn warning(message: impl Into<String>) -> Notice {
        Notice {
            severity: NoticeSeverity::Warning,
            state: SqlState("01000"),
            message: message.into(),
        }
    }

    /// With a SQLSTATE of its own.
    #[must_use]
    pub(crate) fn with_state(self, state: SqlState) -> Notice {
        Notice { state, ..self }
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(&self) -> NoticeSeverity {
        self.severity
    }

    /// Its SQLSTATE.
    #[must_use]
    pub fn state(&self) -> SqlState {
        self.state
    }

    /// What it says.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:  {}", self.severity.name(), self.message)
    }
}
