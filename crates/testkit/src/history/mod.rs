//! Checking what concurrent transactions saw of one another.
//!
//! Tests let transactions run at random, note what each read and wrote, and hand the notes
//! over. From them the checker infers which transaction must have come before which, and
//! looks for circles; what a circle is made of tells which anomaly it is. This is the method
//! of Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
//! Observations", VLDB 2020, on the definitions of Adya, "Weak Consistency", 1999.
//!
//! Two kinds of history show the order of versions:
//!
//! - **Lists** ([`Operation::Append`]): every write appends a value that is written once only,
//!   so that a read shows all earlier versions in their order.
//! - **Registers** ([`Operation::Write`]): writes replace. The order of versions is taken from
//!   where the database says that the writers committed ([`Transaction::position`]).
//!
//! A predicate read ([`Operation::Scan`]) also reads every key of its range that it does not
//! find: so phantoms make circles like other changes.
//!
//! ```
//! use rustling_testkit::history::{History, Level, Operation, Transaction};
//!
//! // Both read the two keys while they were empty; each then wrote one of them.
//! let mut history: History = [(1, 2), (2, 1)]
//!     .into_iter()
//!     .enumerate()
//!     .map(|(at, (mine, other))| {
//!         let mut transaction = Transaction::committed(at as u64);
//!         transaction.operations = vec![
//!             Operation::ReadList { key: other, values: vec![] },
//!             Operation::Append { key: mine, value: 7 },
//!         ];
//!         transaction
//!     })
//!     .collect();
//! // A later reader shows that both are there.
//! let mut reader = Transaction::committed(2);
//! reader.operations = [1, 2].map(|key| Operation::ReadList { key, values: vec![7] }).to_vec();
//! history.extend([reader]);
//! assert!(history.check(Level::Snapshot).is_ok());
//! assert!(history.check(Level::Serializable).is_err());
//! ```

mod anomaly;
mod graph;
mod infer;

use std::{collections::BTreeMap, ops::Range};

pub use anomaly::{Anomaly, AnomalyKind, Edge, Level, Violations};

/// A key of a history.
pub type Key = u64;
/// A value of a history.
pub type Value = u64;

/// One step of a transaction, with what it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Appended a value to a list; no other operation of the history appends it to this key.
    Append {
        /// The list.
        key: Key,
        /// What was appended.
        value: Value,
    },
    /// Read a list.
    ReadList {
        /// The list.
        key: Key,
        /// All of it; empty where there is none.
        values: Vec<Value>,
    },
    /// Read every list of a range of keys.
    ScanLists {
        /// The keys asked for.
        range: Range<Key>,
        /// The lists found.
        found: BTreeMap<Key, Vec<Value>>,
    },
    /// Set a register; no other operation of the history sets this key to this value.
    Write {
        /// The register.
        key: Key,
        /// Its value; `None` deletes it.
        value: Option<Value>,
    },
    /// Read a register.
    Read {
        /// The register.
        key: Key,
        /// Its value.
        value: Option<Value>,
    },
    /// Read every register of a range of keys.
    Scan {
        /// The keys asked for.
        range: Range<Key>,
        /// The registers found.
        found: BTreeMap<Key, Value>,
    },
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It committed.
    Committed,
    /// It did not.
    Aborted,
    /// Nobody was told: it committed if a committed transaction saw something of it.
    Unknown,
}

/// A transaction as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Names it in reports.
    pub id: u64,
    /// How it ended.
    pub fate: Fate,
    /// Its place among the commits, where the database tells (registers need it of writers).
    pub position: Option<u64>,
    /// What it did, in order.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// A committed transaction that has done nothing yet.
    #[must_use]
    pub fn committed(id: u64) -> Transaction {
        Transaction {
            id,
            fate: Fate::Committed,
            position: None,
            operations: Vec::new(),
        }
    }
}

/// What a set of transactions did and saw.
#[derive(Clone, Debug, Default)]
pub struct History {
    transactions: Vec<Transaction>,
}

impl History {
    /// Adds a transaction.
    pub fn push(&mut self, transaction: Transaction) {
        self.transactions.push(transaction);
    }

    /// The transactions.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// Every anomaly that can be inferred, one example of each kind of circle per group of
    /// transactions that are in circles with each other.
    #[must_use]
    pub fn anomalies(&self) -> Vec<Anomaly> {
        let inferred = infer::infer(self);
        let mut anomalies = inferred.anomalies;
        anomalies.extend(inferred.graph.circles());
        anomalies
    }

    /// Checks that nothing happened that `level` excludes.
    ///
    /// # Errors
    /// The anomalies that it excludes and that happened.
    pub fn check(&self, level: Level) -> Result<(), Violations> {
        let excluded: Vec<_> = self
            .anomalies()
            .into_iter()
            .filter(|anomaly| level.excludes(anomaly.kind))
            .collect();
        if excluded.is_empty() {
            Ok(())
        } else {
            Err(Violations(excluded))
        }
    }
}

impl FromIterator<Transaction> for History {
    fn from_iter<I: IntoIterator<Item = Transaction>>(transactions: I) -> History {
        History {
            transactions: transactions.into_iter().collect(),
        }
    }
}

impl Extend<Transaction> for History {
    fn extend<I: IntoIterator<Item = Transaction>>(&mut self, transactions: I) {
        self.transactions.extend(transactions);
    }
}
