//! What goes wrong, as HTTP says it.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use rustling_query::{Error, SqlState};

/// What there is none of: no_data, as `fetch_one` says it.
pub(crate) const NOT_FOUND: SqlState = SqlState("02000");

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0.state() {
            NOT_FOUND => StatusCode::NOT_FOUND,
            SqlState::UNIQUE_VIOLATION => StatusCode::CONFLICT,
            SqlState::CHECK_VIOLATION | SqlState::FOREIGN_KEY_VIOLATION => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            // What readers cannot help is not for them to read.
            _ => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        };
        (status, self.0.message().to_owned()).into_response()
    }
}
