//! Statements about the session.

use std::fmt::{self, Display, Formatter, Write as _};

use super::{list, separated, string};
use crate::ast::{Discard, FetchDirection, SessionStatement, SetScope};

impl Display for SessionStatement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SessionStatement::Prepare {
                name,
                types,
                statement,
            } => {
                write!(f, "PREPARE {name} ")?;
                if !types.is_empty() {
                    list(f, types)?;
                    f.write_char(' ')?;
                }
                write!(f, "AS {statement}")
            }
            SessionStatement::Execute { name, arguments } => {
                write!(f, "EXECUTE {name}")?;
                if !arguments.is_empty() {
                    list(f, arguments)?;
                }
                Ok(())
            }
            SessionStatement::Deallocate(Some(name)) => write!(f, "DEALLOCATE {name}"),
            SessionStatement::Deallocate(None) => f.write_str("DEALLOCATE ALL"),
            SessionStatement::Declare {
                name,
                scroll,
                hold,
                query,
            } => {
                write!(f, "DECLARE {name} ")?;
                f.write_str(match scroll {
                    None => "",
                    Some(true) => "SCROLL ",
                    Some(false) => "NO SCROLL ",
                })?;
                f.write_str("CURSOR ")?;
                f.write_str(if *hold { "WITH HOLD " } else { "" })?;
                write!(f, "FOR {query}")
            }
            SessionStatement::Open(name) => write!(f, "OPEN {name}"),
            SessionStatement::Fetch {
                name,
                direction,
                moves,
                into,
            } => {
                f.write_str(if *moves { "MOVE " } else { "FETCH " })?;
                write!(f, "{direction} FROM {name}")?;
                match into {
                    Some(into) => write!(f, " INTO {into}"),
                    None => Ok(()),
                }
            }
            SessionStatement::Close(Some(name)) => write!(f, "CLOSE {name}"),
            SessionStatement::Close(None) => f.write_str("CLOSE ALL"),
            SessionStatement::SetRole {
                scope,
                authorization,
                role,
            } => {
                f.write_str(match scope {
                    SetScope::Session => "SET ",
                    SetScope::Local => "SET LOCAL ",
                    SetScope::Reset => "RESET ",
                })?;
                f.write_str(if *authorization {
                    "SESSION AUTHORIZATION"
                } else {
                    "ROLE"
                })?;
                if *scope == SetScope::Reset {
                    return Ok(());
                }
                f.write_str(" ")?;
                match role {
                    Some(role) => write!(f, "{role}"),
                    None if *authorization => f.write_str("DEFAULT"),
                    None => f.write_str("NONE"),
                }
            }
            SessionStatement::Listen(channel) => write!(f, "LISTEN {channel}"),
            SessionStatement::Unlisten(Some(channel)) => write!(f, "UNLISTEN {channel}"),
            SessionStatement::Unlisten(None) => f.write_str("UNLISTEN *"),
            SessionStatement::Notify { channel, payload } => {
                write!(f, "NOTIFY {channel}")?;
                match payload {
                    Some(payload) => {
                        f.write_str(", ")?;
                        string(f, payload)
                    }
                    None => Ok(()),
                }
            }
            SessionStatement::Discard(what) => f.write_str(match what {
                Discard::All => "DISCARD ALL",
                Discard::Plans => "DISCARD PLANS",
                Discard::Sequences => "DISCARD SEQUENCES",
                Discard::Temporary => "DISCARD TEMPORARY",
            }),
            SessionStatement::Vacuum { tables, analyze } => {
                f.write_str("VACUUM")?;
                f.write_str(if *analyze { " ANALYZE" } else { "" })?;
                if !tables.is_empty() {
                    f.write_char(' ')?;
                }
                separated(f, tables, ", ")
            }
        }
    }
}

impl Display for FetchDirection {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            FetchDirection::Forward(Some(count)) => write!(f, "FORWARD {count}"),
            FetchDirection::Forward(None) => f.write_str("ALL"),
            FetchDirection::Backward(Some(count)) => write!(f, "BACKWARD {count}"),
            FetchDirection::Backward(None) => f.write_str("BACKWARD ALL"),
            FetchDirection::Absolute(row) => write!(f, "ABSOLUTE {row}"),
            FetchDirection::Relative(row) => write!(f, "RELATIVE {row}"),
        }
    }
}
