//! SQL that the compiler checks, from the outside.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test speaks to the real world, and fails by panicking"
)]

mod asynchronous;
mod compiling;
mod lock_waits;
mod nullability;
mod queries;
mod row_futures;
mod tables;
