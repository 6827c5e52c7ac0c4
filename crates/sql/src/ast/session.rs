//! Statements about the session: prepared statements, cursors, tools.

use super::{Expr, Ident, ObjectName, Query, RoleSpec, SetScope, Statement, TypeName};

/// A statement about the session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionStatement {
    /// PREPARE.
    Prepare {
        /// Its name.
        name: Ident,
        /// Types of its parameters.
        types: Vec<TypeName>,
        /// What is prepared.
        statement: Box<Statement>,
    },
    /// EXECUTE.
    Execute {
        /// Which.
        name: Ident,
        /// Its parameters.
        arguments: Vec<Expr>,
    },
    /// DEALLOCATE; `None`: ALL.
    Deallocate(Option<Ident>),
    /// DECLARE CURSOR.
    Declare {
        /// Its name.
        name: Ident,
        /// SCROLL, NO SCROLL.
        scroll: Option<bool>,
        /// WITH HOLD.
        hold: bool,
        /// Its query.
        query: Box<Query>,
    },
    /// OPEN, the standard's: back to before the first row.
    Open(Ident),
    /// FETCH, MOVE.
    Fetch {
        /// Which cursor.
        name: Ident,
        /// Where to.
        direction: FetchDirection,
        /// MOVE: without giving rows.
        moves: bool,
        /// INTO: the table that the rows are added to.
        into: Option<ObjectName>,
    },
    /// CLOSE; `None`: ALL.
    Close(Option<Ident>),
    /// SET ROLE, SET SESSION AUTHORIZATION, RESET.
    SetRole {
        /// SESSION, LOCAL, or RESET.
        scope: SetScope,
        /// SESSION AUTHORIZATION, not ROLE.
        authorization: bool,
        /// Whom; `None`: NONE, DEFAULT.
        role: Option<RoleSpec>,
    },
    /// LISTEN to a channel.
    Listen(Ident),
    /// UNLISTEN; `None`: every channel.
    Unlisten(Option<Ident>),
    /// NOTIFY.
    Notify {
        /// The channel.
        channel: Ident,
        /// What is sent.
        payload: Option<String>,
    },
    /// DISCARD.
    Discard(Discard),
    /// VACUUM.
    Vacuum {
        /// Which tables; none: all.
        tables: Vec<ObjectName>,
        /// ANALYZE too.
        analyze: bool,
    },
}

/// Which rows FETCH gives. `None`: ALL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// The next so many.
    Forward(Option<i64>),
    /// The so many before.
    Backward(Option<i64>),
    /// That row, counted from 1, or from the end.
    Absolute(i64),
    /// That row, counted from where the cursor is.
    Relative(i64),
}

/// What DISCARD forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum Discard {
    All,
    Plans,
    Sequences,
    Temporary,
}
