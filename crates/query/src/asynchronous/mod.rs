//! Futures instead of waiting (feature `async`): for any runtime, and for none.
//!
//! The engine waits for disks and locks, so its statements run on threads that are there for it
//! and come and go with the work (see `threads`); what the caller has is a future. Over a network
//! (feature `tokio-postgres`) nothing waits at all.

mod connection;
mod database;
mod engine;
#[cfg(feature = "tokio-postgres")]
mod network;
mod result;
mod stream;
mod threads;
mod transaction;
mod work;

pub use connection::AsyncConnection;
pub use database::AsyncDatabase;
pub use result::AsyncResult;
pub use stream::AsyncStream;
pub use transaction::AsyncTransaction;
