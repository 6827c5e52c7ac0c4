//! The store itself, not a model of it, under schedules that a test chooses: with the feature
//! `shuttle` its locks, condition variables, atomics and threads (`crates/storage/src/sync.rs`),
//! background threads included, go on where the scheduler says. (Shuttle: random schedules, and
//! those of Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding
//! Bugs", ASPLOS 2010.) The disk and the clock are simulated, so that a schedule is all there is to
//! a run.
//!
//! A schedule switches threads at these primitives only. What lies between them is one step: the skip
//! list of a memtable, the account of the memory, counters; and atomics are sequentially consistent.
//!
//! `cargo nextest run -p rustling-storage --features shuttle --test schedules`; a failure prints the
//! schedule. `RUSTLING_SCHEDULES` says how many there are, `RUSTLING_SEED` where they begin.

mod commits;
mod pages;
mod planted;
mod snapshots;
mod tables;
mod world;
