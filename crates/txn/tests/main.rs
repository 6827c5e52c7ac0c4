//! Tests through the public interface of the crate.
//!
//! One program, so that the crate is linked into tests once.

mod basics;
mod common;
mod crashes;
mod deadlocks;
mod hermitage;
mod histories;
mod loads;
mod model;
mod savepoints;
mod serializable;
mod stress;
