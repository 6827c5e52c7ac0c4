//! TPC-C (Transaction Processing Performance Council, "TPC Benchmark C", revision 5.11): its
//! tables, its five transactions in the specified mix, and its consistency conditions. Clients do
//! not wait between transactions, and each is at home in one warehouse.

mod check;
mod load;
mod random;
mod transactions;

pub use self::{check::check, load::load};

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use self::transactions::Terminal;
use super::client::{Durability, Result, SqlDatabase};

/// Items; every warehouse stocks each of them.
const ITEMS: i64 = 100_000;
/// Districts of a warehouse.
const DISTRICTS: i64 = 10;
/// Customers of a district, and orders that it begins with.
const CUSTOMERS: i64 = 3000;
/// The first of the orders that are not delivered at the beginning.
const FIRST_NEW: i64 = 2101;

/// Runs the transactions for some time, first with commits that wait for the disk, then without.
pub fn run(
    database: &dyn SqlDatabase,
    warehouses: i64,
    clients: u64,
    time: Duration,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    for (durability, name) in Durability::ALL {
        let (orders, all) = (AtomicU64::new(0), AtomicU64::new(0));
        let failed = Mutex::new(None);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for client in 0..clients {
                let (orders, all, failed) = (&orders, &all, &failed);
                let work = move || -> Result<()> {
                    let mut connection = database.client(durability)?;
                    let mut terminal = Terminal::new(&mut *connection, warehouses, client)?;
                    while start.elapsed() < time {
                        if terminal.step(&mut *connection)? {
                            orders.fetch_add(1, Ordering::Relaxed);
                        }
                        all.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                };
                scope.spawn(move || {
                    if let Err(error) = work() {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.get_or_insert(error);
                    }
                });
            }
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let seconds = start.elapsed().as_secs_f64();
        report(
            &format!("new orders per minute, {name}"),
            orders.into_inner() as f64 * 60.0 / seconds,
        );
        report(
            &format!("transactions per second, {name}"),
            all.into_inner() as f64 / seconds,
        );
    }
    Ok(())
}
