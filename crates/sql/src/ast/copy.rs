//! COPY.

use super::{Expr, Ident, ObjectName, Statement};

/// COPY.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is copied.
    pub subject: CopySubject,
    /// Which way.
    pub direction: CopyDirection,
    /// Where the data is.
    pub place: CopyPlace,
    /// How it looks. The words of the old form stand here under their names in the new one.
    pub options: Vec<CopyOption>,
    /// Which rows are taken.
    pub filter: Option<Expr>,
}

/// What COPY reads or fills.
#[derive(Clone, Debug)]
pub enum CopySubject {
    /// A table.
    Table {
        /// Its name.
        table: ObjectName,
        /// Its columns, where named.
        columns: Option<Vec<Ident>>,
    },
    /// The rows of a statement.
    Query(Box<Statement>),
}

/// Which way COPY goes, seen from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// FROM: into the table.
    From,
    /// TO: out of it.
    To,
}

/// Where COPY's data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyPlace {
    /// STDIN, STDOUT: with whoever runs the statement.
    Client,
    /// A file.
    File(String),
    /// A program.
    Program(String),
}

/// An option of COPY.
#[derive(Clone, Debug)]
pub struct CopyOption {
    /// Its name.
    pub name: Ident,
    /// Its value.
    pub value: CopyValue,
}

/// The value of an option of COPY.
#[derive(Clone, Debug)]
pub enum CopyValue {
    /// None is given: it is switched on.
    None,
    /// A bare word.
    Word(Ident),
    /// A string.
    String(String),
    /// A number as written.
    Number(String),
    /// `*`
    All,
    /// `(a, b)`
    List(Vec<Ident>),
}
