//! Statements that wait for locks, more of them than there are threads for.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use futures_lite::future::poll_once;
use rustling_query::{AsyncDatabase, AsyncTransaction, Result, execute, query_scalar};

use super::asynchronous::with_shop;

/// More than run at a time outside of transactions, and than the crate `blocking` has threads.
const WAITING: i64 = 520;

/// A statement that reads a row and locks it, as others may at the same time.
type Reading = Pin<Box<dyn Future<Output = Result<i64>>>>;

/// The sum of what all read.
async fn all(mut readings: Vec<Reading>) -> Result<i64> {
    let mut sum = 0;
    poll_fn(|context| {
        let mut at = 0;
        while let Some(reading) = readings.get_mut(at) {
            match reading.as_mut().poll(context) {
                Poll::Ready(Ok(read)) => {
                    sum += read;
                    drop(readings.swap_remove(at));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => at += 1,
            }
        }
        if readings.is_empty() {
            Poll::Ready(Ok(sum))
        } else {
            Poll::Pending
        }
    })
    .await
}

/// A transaction that has locked a row.
async fn locking(db: &AsyncDatabase) -> Result<AsyncTransaction> {
    execute!(db, "INSERT INTO orders (customer_id, total) VALUES (1, 0)").await?;
    let tx = db.begin().await?;
    execute!(tx, "UPDATE orders SET total = total + 1").await?;
    Ok(tx)
}

/// All wait for the row that the transaction has locked; it goes on, and commits, behind them.
async fn commits_behind(tx: AsyncTransaction, readings: Vec<Reading>) -> Result<()> {
    let mut readings = Box::pin(all(readings));
    assert!(poll_once(&mut readings).await.is_none());
    execute!(tx, "UPDATE orders SET total = total + 1").await?;
    tx.commit().await?;
    assert_eq!(readings.await?, 2 * WAITING);
    Ok(())
}

// Where nobody goes on, the locks are waited for no longer than `lock_timeout` says.

#[test]
fn a_transaction_commits_whatever_statements_wait_for_it() {
    with_shop(|db| async move {
        let tx = locking(&db).await?;
        let mut readings: Vec<Reading> = Vec::new();
        for _ in 0..WAITING {
            let db = db.clone();
            readings.push(Box::pin(async move {
                db.run(|db| {
                    let mut session = db.session();
                    execute!(session, "SET lock_timeout = '60s'")?;
                    query_scalar!(session, "SELECT total::bigint FROM orders FOR SHARE").fetch_one()
                })
                .await
            }));
        }
        commits_behind(tx, readings).await
    });
}

#[test]
fn a_transaction_commits_whatever_transactions_wait_for_it() {
    with_shop(|db| async move {
        let tx = locking(&db).await?;
        let mut readings: Vec<Reading> = Vec::new();
        for _ in 0..WAITING {
            let waiting = db.begin().await?;
            execute!(waiting, "SET lock_timeout = '60s'").await?;
            readings.push(Box::pin(async move {
                let read = query_scalar!(waiting, "SELECT total::bigint FROM orders FOR SHARE");
                let read = read.fetch_one().await?;
                waiting.commit().await?;
                Ok(read)
            }));
        }
        commits_behind(tx, readings).await
    });
}
