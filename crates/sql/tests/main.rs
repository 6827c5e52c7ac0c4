//! Tests through the public interface of the crate.
//!
//! One program, so that the crate is linked into tests once.

mod binder_errors;
mod concurrency;
mod definitions;
mod enums;
mod eval;
mod function_table;
mod index_access;
mod isolation;
mod language;
mod language_fuzz;
mod model;
mod parser;
mod scripts;
mod spill;
mod values;
