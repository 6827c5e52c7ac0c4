//! SQL with Rust expressions in it: `SELECT name FROM users WHERE id = {user_id}`.
//!
//! In a [`Template`], what stands in braces outside of quotes is Rust:
//!
//! | written                                    | means                                          |
//! |--------------------------------------------|------------------------------------------------|
//! | `{expr}`                                   | a parameter, bound, never pasted               |
//! | `IN ({list})`, `NOT IN ({list})`           | one parameter: all elements of the list        |
//! | `{if cond { sql } else { sql }}`           | one text or the other; `else` may be missing   |
//! | `{match expr { pattern => { sql }, … }}`   | one text of several                            |
//!
//! So a template stands for one statement or for several variants of one. [`Template::check`]
//! binds enough of them to vouch for all: one with every branch at its last alternative, one with
//! every branch at its first, and for each alternative of each branch one in which only that
//! branch differs from the last alternatives. That is linear in the number of alternatives, as
//! no two branches see each other.

mod changes;
mod check;
mod read;

pub use check::{Checked, CheckedColumn};

use crate::span::Span;

/// A statement, or several variants of one, with Rust expressions in it.
#[derive(Clone, Debug)]
pub struct Template {
    /// The pieces in order.
    pub pieces: Vec<Piece>,
    /// The parameters; pieces refer to them by position.
    pub parameters: Vec<Parameter>,
    /// How many alternatives each branch has, in the order of their numbers.
    pub alternatives: Vec<usize>,
}

/// A piece of a template.
#[derive(Clone, Debug)]
pub enum Piece {
    /// SQL.
    Text {
        /// The SQL.
        sql: String,
        /// What it was written as.
        span: Span,
        /// Whether it was written there byte for byte.
        verbatim: bool,
    },
    /// A parameter.
    Parameter(usize),
    /// One of several texts.
    Branch(Branch),
}

/// A parameter of a template.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The Rust expression.
    pub expression: String,
    /// Where it stands, braces included.
    pub span: Span,
    /// Whether it stands for the list of IN.
    pub list: bool,
}

/// A choice between texts.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Its number in the template.
    pub number: usize,
    /// What decides.
    pub head: BranchHead,
    /// The texts. Of `if` the last is that of `else`, which may be empty.
    pub alternatives: Vec<Vec<Piece>>,
}

/// What decides a branch, in Rust.
#[derive(Clone, Debug)]
pub enum BranchHead {
    /// `if … else if …`: the conditions, one fewer than alternatives.
    If(Vec<String>),
    /// `match`: the value and a pattern for each alternative.
    Match {
        /// The value.
        value: String,
        /// The patterns, guards included.
        patterns: Vec<String>,
    },
}

/// One variant of a template as a statement.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The statement, with `$1`, `$2`, … for parameters.
    pub sql: String,
    /// Which parameter of the template each of the statement's is.
    pub parameters: Vec<usize>,
    /// Where the parts of the statement stand in the template, in order.
    places: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    /// Where the part begins in the statement.
    start: usize,
    end: usize,
    /// What it was in the template.
    span: Span,
    /// Whether it was written there byte for byte.
    verbatim: bool,
}

impl Template {
    /// The variant in which each branch takes the alternative of that number.
    #[must_use]
    pub fn variant(&self, choices: &[usize]) -> Variant {
        let mut variant = Variant {
            sql: String::new(),
            parameters: Vec::new(),
            places: Vec::new(),
        };
        self.write(&self.pieces, choices, &mut variant);
        variant
    }

    fn write(&self, pieces: &[Piece], choices: &[usize], variant: &mut Variant) {
        for piece in pieces {
            let start = variant.sql.len();
            match piece {
                Piece::Text {
                    sql,
                    span,
                    verbatim,
                } => {
                    variant.sql.push_str(sql);
                    variant.places.push(Place {
                        start,
                        end: variant.sql.len(),
                        span: *span,
                        verbatim: *verbatim,
                    });
                }
                Piece::Parameter(at) => {
                    variant.parameters.push(*at);
                    let number = variant.parameters.len();
                    variant.sql.push_str(&format!("${number}"));
                    variant.places.push(Place {
                        start,
                        end: variant.sql.len(),
                        span: self.parameters[*at].span,
                        verbatim: false,
                    });
                }
                Piece::Branch(branch) => {
                    let choice = choices.get(branch.number).copied().unwrap_or(0);
                    if let Some(pieces) = branch.alternatives.get(choice) {
                        self.write(pieces, choices, variant);
                    }
                }
            }
        }
    }

    /// Whether there is only one variant.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.alternatives.is_empty()
    }
}

impl Variant {
    /// Where a place of the statement is in the template.
    #[must_use]
    pub fn place(&self, span: Span) -> Span {
        let find = |position: usize, is_end: bool| {
            let place = self
                .places
                .iter()
                .find(|place| {
                    if is_end {
                        place.start < position && position <= place.end
                    } else {
                        place.start <= position && position < place.end
                    }
                })
                .or(self.places.last())?;
            Some(if place.verbatim {
                (place.span.start + position.saturating_sub(place.start)).min(place.span.end)
            } else if is_end {
                place.span.end
            } else {
                place.span.start
            })
        };
        let start = find(span.start, false).unwrap_or(0);
        let end = if span.end > span.start {
            find(span.end, true).unwrap_or(start)
        } else {
            start
        };
        Span {
            start,
            end: end.max(start),
        }
    }
}
