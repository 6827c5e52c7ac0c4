//! Tests through the public interface of the crate.
//!
//! One program, so that the crate is linked into tests once.

mod harness;
mod history;
mod sim_faults;
mod sim_model;
