//! Tests over the network.
//!
//! One program, so that the crate is linked into tests once.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test speaks to the real world, and fails by panicking"
)]

mod drivers;
mod hostile;
mod isolation;
mod portals;
mod serving;
mod tls;
mod tools;
mod wire;
