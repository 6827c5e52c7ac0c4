//! Tests through the public interface of the crate, and models of its protocols.
//!
//! One program, so that the crate is linked into tests once.

mod behaviour;
mod commit_protocol;
mod common;
mod corruption;
mod crashes;
mod ingest;
mod latch_protocol;
mod pin_protocol;
mod store_model;
