//! COPY.

use std::sync::Arc;

use crate::{
    ast::CopyPlace,
    bound::{BoundStatement, Expr},
    catalog::Table,
};

/// COPY … FROM.
#[derive(Clone, Debug)]
pub struct CopyFrom {
    /// The table that is filled.
    pub table: Arc<Table>,
    /// The ordinals of the columns that the data holds, in its order.
    pub columns: Vec<usize>,
    /// What the other columns get: ordinal and value. Generated columns are not among them.
    pub defaults: Vec<(usize, Expr)>,
    /// Which rows are taken: a condition over the whole row.
    pub filter: Option<Expr>,
    /// Where the data is.
    pub place: CopyPlace,
    /// How it looks.
    pub options: CopyOptions,
}

/// COPY … TO.
#[derive(Clone, Debug)]
pub struct CopyTo {
    /// What gives the rows.
    pub statement: BoundStatement,
    /// Where the data goes.
    pub place: CopyPlace,
    /// How it is to look.
    pub options: CopyOptions,
}

/// How COPY's data looks. Lists of columns hold one flag per copied column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT.
    pub format: CopyFormat,
    /// DELIMITER.
    pub delimiter: u8,
    /// NULL: what stands for it.
    pub null: String,
    /// HEADER.
    pub header: CopyHeader,
    /// QUOTE.
    pub quote: u8,
    /// ESCAPE: stands before a quote within quotes.
    pub escape: u8,
    /// `FORCE_QUOTE`: values of these columns always stand in quotes.
    pub force_quote: Vec<bool>,
    /// `FORCE_NOT_NULL`: what stands for NULL is an ordinary value in these columns.
    pub force_not_null: Vec<bool>,
    /// `FORCE_NULL`: what stands for NULL does so in quotes too in these columns.
    pub force_null: Vec<bool>,
    /// ENCODING; `None`: UTF-8.
    pub encoding: Option<String>,
    /// FREEZE.
    pub freeze: bool,
}

/// The formats of COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// Lines, with escapes of backslashes.
    Text,
    /// Comma-separated values.
    Csv,
    /// PostgreSQL's binary form.
    Binary,
}

/// What the first line of COPY's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyHeader {
    /// A row.
    None,
    /// The columns' names, which nobody looks at.
    Names,
    /// The columns' names, which must be the right ones.
    Match,
}
