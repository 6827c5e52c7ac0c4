//! How the macros borrow what they run on.
//!
//! `db.borrow_connection()` finds by itself whether a shared reference will do, and looks through
//! references, handles and guards. Where it finds nothing, the compiler says what [`RunsOn`] has to
//! say: both traits want that one alone, and of several it would take the words of none.

use crate::{Connect, ConnectMut, Connection};

/// How something is borrowed.
pub trait Borrowing {
    /// A reference of that kind.
    type Of<'a, T: ?Sized + 'a>;
}

/// As it is.
#[derive(Debug)]
pub enum Shared {}

/// By one at a time.
#[derive(Debug)]
pub enum Unique {}

impl Borrowing for Shared {
    type Of<'a, T: ?Sized + 'a> = &'a T;
}

impl Borrowing for Unique {
    type Of<'a, T: ?Sized + 'a> = &'a mut T;
}

/// What statements run on, borrowed like that: [`Connect`] and [`ConnectMut`] in one.
#[diagnostic::on_unimplemented(
    message = "statements do not run on `{Self}`",
    label = "what the statement runs on stands here: a database, a session, a transaction, a connection or a client",
    note = "the database comes first: query!(db, \"SELECT …\"); of a type of yours that has one, pass that"
)]
pub trait RunsOn<B: Borrowing> {
    /// What it is borrowed as.
    type Connection<'a>
    where
        Self: 'a;

    /// Borrows it.
    fn connection<'a>(of: B::Of<'a, Self>) -> Self::Connection<'a>;
}

#[diagnostic::do_not_recommend]
impl<T: Connect + ?Sized> RunsOn<Shared> for T {
    type Connection<'a>
        = T::Connection<'a>
    where
        T: 'a;

    fn connection<'a>(of: <Shared as Borrowing>::Of<'a, T>) -> T::Connection<'a> {
        of.as_connection()
    }
}

#[diagnostic::do_not_recommend]
impl<T: ConnectMut + ?Sized> RunsOn<Unique> for T {
    type Connection<'a>
        = Connection<'a>
    where
        T: 'a;

    fn connection<'a>(of: <Unique as Borrowing>::Of<'a, T>) -> Connection<'a> {
        of.as_connection()
    }
}

/// What a shared reference will do for.
pub trait BorrowShared: RunsOn<Shared> {
    /// Borrows it.
    fn borrow_connection(&self) -> Self::Connection<'_>;
}

impl<T: RunsOn<Shared> + ?Sized> BorrowShared for T {
    fn borrow_connection(&self) -> Self::Connection<'_> {
        T::connection(self)
    }
}

/// What is borrowed by one at a time.
pub trait BorrowUnique: RunsOn<Unique> {
    /// Borrows it.
    fn borrow_connection(&mut self) -> Self::Connection<'_>;
}

impl<T: RunsOn<Unique> + ?Sized> BorrowUnique for T {
    fn borrow_connection(&mut self) -> Self::Connection<'_> {
        T::connection(self)
    }
}
