//! The reliability gates' common parts: how much to try, the programs under test as the crash
//! harness sees them, their scripts, and real processes to kill.

pub mod bank;
pub mod branches;
pub mod children;
pub mod counters;
pub mod crossing;
pub mod kinds;
pub mod mode;
pub mod options;
pub mod pool;
pub mod script;
pub mod snapshots;
pub mod store;
pub mod teller;

pub use self::mode::Mode;
