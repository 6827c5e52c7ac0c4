//! What the end-to-end tests and the reliability gates share.

pub mod gate;
