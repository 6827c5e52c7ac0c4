//! What functions such as `has_table_privilege` ask.

use std::fmt;

use crate::{Error, Result, SqlState};

/// What a privilege is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum PrivilegeOn<'a> {
    Table(&'a str),
    Column(&'a str, &'a str),
    AnyColumn(&'a str),
    Sequence(&'a str),
    Schema(&'a str),
    Database(&'a str),
    Function(&'a str),
    Role(&'a str),
}

/// Who knows what roles may do.
pub trait AccessSource: fmt::Debug + Send + Sync {
    /// Whether a role (`None`: the current user) has one of the privileges in the list, written
    /// as PostgreSQL's functions take them: `SELECT, UPDATE WITH GRANT OPTION`.
    ///
    /// # Errors
    /// Where there is no such role, object or privilege.
    fn has_privilege(
        &self,
        role: Option<&str>,
        on: PrivilegeOn<'_>,
        privileges: &str,
    ) -> Result<bool>;
}

/// The source where there is no database.
#[derive(Clone, Copy, Debug)]
pub struct NoAccess;

impl AccessSource for NoAccess {
    fn has_privilege(&self, _: Option<&str>, _: PrivilegeOn<'_>, _: &str) -> Result<bool> {
        Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "there are no privileges here",
        ))
    }
}
