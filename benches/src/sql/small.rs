//! Small statements: point reads, single-row changes and the transaction of TPC-B.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::client::{Cell, Client, Durability, Failure, Result, SqlDatabase};

/// Accounts for each branch, and tellers.
const ACCOUNTS: i64 = 100_000;
const TELLERS: i64 = 10;

const SCHEMA: &str = "
    CREATE TABLE branches (bid bigint PRIMARY KEY, bbalance bigint NOT NULL, filler text);
    CREATE TABLE tellers (tid bigint PRIMARY KEY, bid bigint NOT NULL, tbalance bigint NOT NULL, filler text);
    CREATE TABLE accounts (aid bigint PRIMARY KEY, bid bigint NOT NULL, abalance bigint NOT NULL, filler text);
    CREATE TABLE history (tid bigint NOT NULL, bid bigint NOT NULL, aid bigint NOT NULL, delta bigint NOT NULL,
        mtime bigint NOT NULL, filler text);
    CREATE TABLE rows (id bigint PRIMARY KEY, v bigint NOT NULL, t text NOT NULL)";

/// The width that pgbench pads accounts to.
const FILLER: &str =
    "                                                                                    ";

/// Measures everything on an empty database. `report` takes a figure's name and value.
pub fn all(
    database: &dyn SqlDatabase,
    branches: i64,
    time: Duration,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let rows = branches * ACCOUNTS;
    load(database, branches, report)?;
    for threads in [1, 2, 8] {
        let reads = rate(database, Durability::Full, threads, time, |client| {
            let select = client.prepare("SELECT abalance, filler FROM accounts WHERE aid = $1")?;
            Ok(Box::new(move |client, random| {
                let mut found = 0;
                let key = random.i64(..rows);
                client.query(select, &[Cell::Int(key)], &mut |row| {
                    found += row.text(1).len();
                })?;
                if found == FILLER.len() {
                    Ok(())
                } else {
                    Err(Failure::text(format!("account {key} has {found} bytes")))
                }
            }))
        })?;
        report(&format!("point SELECT, {threads} thread(s)"), reads);
    }
    let texts = rate(database, Durability::Full, 1, time, |_| {
        let mut count = 0_u64;
        Ok(Box::new(move |client, random| {
            count += 1;
            let key = random.i64(..rows);
            let sql =
                format!("SELECT abalance, filler FROM accounts WHERE aid = {key} AND {count} > 0");
            let mut found = 0;
            client.once(&sql, &mut |row| found += row.text(1).len())?;
            one((found / FILLER.len()) as u64)
        }))
    })?;
    report("point SELECT, a new text each time", texts);
    let next = AtomicI64::new(0);
    for (durability, name) in Durability::ALL {
        for threads in [1, 8] {
            let first = next.load(Ordering::Relaxed);
            let inserts = rate(database, durability, threads, time, |client| {
                let insert = client.prepare("INSERT INTO rows VALUES ($1, $2, $3)")?;
                let next = &next;
                Ok(Box::new(move |client, random| {
                    let key = next.fetch_add(1, Ordering::Relaxed);
                    let row = [
                        Cell::Int(key),
                        Cell::Int(random.i64(..)),
                        Cell::Text("a row of some thirty letters"),
                    ];
                    one(client.execute(insert, &row)?)
                }))
            })?;
            report(&format!("INSERT, {name}, {threads} thread(s)"), inserts);
            let updates = rate(database, durability, threads, time, |client| {
                let update = client.prepare("UPDATE accounts SET abalance = $2 WHERE aid = $1")?;
                Ok(Box::new(move |client, random| {
                    let row = [Cell::Int(random.i64(..rows)), Cell::Int(random.i64(..))];
                    one(client.execute(update, &row)?)
                }))
            })?;
            report(&format!("UPDATE, {name}, {threads} thread(s)"), updates);
            // What was just inserted goes again, one row after the other.
            let last = next.load(Ordering::Relaxed);
            let doomed = AtomicI64::new(first);
            let start = Instant::now();
            rate(database, durability, threads, time, |client| {
                let delete = client.prepare("DELETE FROM rows WHERE id = $1")?;
                let doomed = &doomed;
                Ok(Box::new(move |client, _| {
                    let key = doomed.fetch_add(1, Ordering::Relaxed);
                    if key >= last {
                        return Err(Failure::GiveWay);
                    }
                    one(client.execute(delete, &[Cell::Int(key)])?)
                }))
            })?;
            let deleted = doomed.load(Ordering::Relaxed).min(last) - first;
            report(
                &format!("DELETE, {name}, {threads} thread(s)"),
                deleted as f64 / start.elapsed().as_secs_f64(),
            );
        }
        for threads in [1, 2, 8] {
            let transactions = rate(database, durability, threads, time, |client| {
                tpcb(client, branches)
            })?;
            report(&format!("TPC-B, {name}, {threads} thread(s)"), transactions);
        }
    }
    check(database)
}

fn one(changed: u64) -> Result<()> {
    if changed == 1 {
        Ok(())
    } else {
        Err(Failure::text(format!("{changed} rows were changed")))
    }
}

fn load(
    database: &dyn SqlDatabase,
    branches: i64,
    report: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let mut client = database.client(Durability::Full)?;
    let client = &mut *client;
    client.script(SCHEMA)?;
    let branch = client.prepare("INSERT INTO branches VALUES ($1, 0, NULL)")?;
    let teller = client.prepare("INSERT INTO tellers VALUES ($1, $2, 0, NULL)")?;
    let account = client.prepare("INSERT INTO accounts VALUES ($1, $2, 0, $3)")?;
    let start = Instant::now();
    client.begin()?;
    for bid in 0..branches {
        client.execute(branch, &[Cell::Int(bid)])?;
    }
    for tid in 0..branches * TELLERS {
        client.execute(teller, &[Cell::Int(tid), Cell::Int(tid / TELLERS)])?;
    }
    for aid in 0..branches * ACCOUNTS {
        let row = [
            Cell::Int(aid),
            Cell::Int(aid / ACCOUNTS),
            Cell::Text(FILLER),
        ];
        client.execute(account, &row)?;
    }
    client.commit()?;
    let rows = (branches * ACCOUNTS) as f64;
    report(
        "load by INSERT in one transaction, rows",
        rows / start.elapsed().as_secs_f64(),
    );
    database.settle()
}

/// One step of a workload.
type Step<'a> = Box<dyn FnMut(&mut dyn Client, &mut fastrand::Rng) -> Result<()> + 'a>;

/// The transaction of TPC-B as pgbench runs it.
fn tpcb<'a>(client: &mut dyn Client, branches: i64) -> Result<Step<'a>> {
    let account = client.prepare("UPDATE accounts SET abalance = abalance + $1 WHERE aid = $2")?;
    let balance = client.prepare("SELECT abalance FROM accounts WHERE aid = $1")?;
    let teller = client.prepare("UPDATE tellers SET tbalance = tbalance + $1 WHERE tid = $2")?;
    let branch = client.prepare("UPDATE branches SET bbalance = bbalance + $1 WHERE bid = $2")?;
    let history = client.prepare("INSERT INTO history VALUES ($1, $2, $3, $4, $5, NULL)")?;
    Ok(Box::new(move |client, random| {
        let aid = random.i64(..branches * ACCOUNTS);
        let tid = random.i64(..branches * TELLERS);
        let bid = random.i64(..branches);
        let delta = Cell::Int(random.i64(-5000..=5000));
        let (aid, tid, bid) = (Cell::Int(aid), Cell::Int(tid), Cell::Int(bid));
        transaction(client, &mut |client| {
            one(client.execute(account, &[delta, aid])?)?;
            client.number(balance, &[aid])?;
            one(client.execute(teller, &[delta, tid])?)?;
            one(client.execute(branch, &[delta, bid])?)?;
            one(client.execute(history, &[tid, bid, aid, delta, Cell::Int(0)])?)?;
            Ok(true)
        })
    }))
}

/// Runs `body` as a transaction, again where it has to give way. Commits where it answers true.
pub fn transaction(
    client: &mut dyn Client,
    body: &mut dyn FnMut(&mut dyn Client) -> Result<bool>,
) -> Result<()> {
    loop {
        client.begin()?;
        let result = match body(client) {
            Ok(true) => client.commit(),
            Ok(false) => return client.rollback(),
            Err(error) => Err(error),
        };
        match result {
            Err(Failure::GiveWay) => client.rollback()?,
            result => return result,
        }
    }
}

/// The sums of all balances must be the same, whoever ran the transactions.
fn check(database: &dyn SqlDatabase) -> Result<()> {
    let mut client = database.client(Durability::Full)?;
    let client = &mut *client;
    let mut sums = Vec::new();
    for sql in [
        "SELECT sum(delta) FROM history",
        "SELECT sum(tbalance) FROM tellers",
        "SELECT sum(bbalance) FROM branches",
    ] {
        let statement = client.prepare(sql)?;
        sums.push(client.number(statement, &[])?);
    }
    if sums.windows(2).all(|pair| pair[0] == pair[1]) {
        Ok(())
    } else {
        Err(Failure::text(format!("the balances are off: {sums:?}")))
    }
}

/// Steps per second of `threads` clients. A step that gives way ends its client.
pub fn rate<'a>(
    database: &dyn SqlDatabase,
    durability: Durability,
    threads: u64,
    time: Duration,
    make: impl Fn(&mut dyn Client) -> Result<Step<'a>> + Sync,
) -> Result<f64> {
    let total = AtomicU64::new(0);
    let failed = Mutex::new(None);
    let start = Instant::now();
    let end = start + time;
    let work = |thread: u64| -> Result<u64> {
        let mut client = database.client(durability)?;
        let mut step = make(&mut *client)?;
        let mut random = fastrand::Rng::with_seed(thread + 10);
        let mut count = 0_u64;
        while !count.is_multiple_of(8) || Instant::now() < end {
            match step(&mut *client, &mut random) {
                Err(Failure::GiveWay) => break,
                result => result?,
            }
            count += 1;
        }
        Ok(count)
    };
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (total, failed, work) = (&total, &failed, &work);
            scope.spawn(move || match work(thread) {
                Ok(count) => {
                    total.fetch_add(count, Ordering::Relaxed);
                }
                Err(error) => {
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.get_or_insert(error);
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    Ok(total.into_inner() as f64 / start.elapsed().as_secs_f64())
}
