//! What a statement needs the right to do.

use std::sync::Arc;

use crate::catalog::{ColumnNumber, Table, TableId, access::Privileges, named_type::TypeId};

/// A right that a statement needs on a table or view.
#[derive(Clone, Debug)]
pub struct AccessCheck {
    /// On which.
    pub table: Arc<Table>,
    /// Which privilege; of several, one will do.
    pub privilege: Privileges,
    /// On which columns: the whole table's privilege or that of each of these will do; `Some` of
    /// none: of any.
    pub columns: Option<Vec<ColumnNumber>>,
    /// The view whose owner has to have it; `None`: the current user.
    pub through: Option<TableId>,
}

/// The rights that a statement needs.
#[derive(Clone, Debug, Default)]
pub struct Needed {
    /// On tables and views.
    pub tables: Vec<AccessCheck>,
    /// The functions that it calls, by name.
    pub functions: Vec<String>,
    /// The named types that it uses.
    pub types: Vec<TypeId>,
}
