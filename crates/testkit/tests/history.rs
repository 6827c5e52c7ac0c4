//! The history checker finds what is planted, calls it by its name, and nothing else.

use std::collections::BTreeMap;

use quickcheck::quickcheck;
use rustling_testkit::history::{AnomalyKind, Fate, History, Level, Operation, Transaction};

fn append(key: u64, value: u64) -> Operation {
    Operation::Append { key, value }
}

fn list(key: u64, values: &[u64]) -> Operation {
    Operation::ReadList {
        key,
        values: values.to_vec(),
    }
}

fn write(key: u64, value: u64) -> Operation {
    Operation::Write {
        key,
        value: Some(value),
    }
}

fn read(key: u64, value: Option<u64>) -> Operation {
    Operation::Read { key, value }
}

fn scan(range: std::ops::Range<u64>, found: &[(u64, u64)]) -> Operation {
    Operation::Scan {
        range,
        found: found.iter().copied().collect(),
    }
}

/// Transactions that committed in this order.
fn history(transactions: Vec<Vec<Operation>>) -> History {
    (1..)
        .zip(transactions)
        .map(|(id, operations)| Transaction {
            position: Some(id),
            operations,
            ..Transaction::committed(id)
        })
        .collect()
}

fn kinds(history: &History) -> Vec<AnomalyKind> {
    let mut kinds: Vec<_> = history
        .anomalies()
        .into_iter()
        .map(|anomaly| anomaly.kind)
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn each_anomaly_has_its_name() {
    use AnomalyKind as Kind;
    let cases = [
        // Order of writes differs between two keys.
        (
            history(vec![
                vec![append(1, 1), append(2, 2)],
                vec![append(1, 3), append(2, 4)],
                vec![list(1, &[1, 3]), list(2, &[4, 2])],
            ]),
            Kind::DirtyWrite,
            Level::ReadCommitted,
        ),
        // Each sees what the other wrote.
        (
            history(vec![
                vec![append(1, 1), list(2, &[2])],
                vec![append(2, 2), list(1, &[1])],
            ]),
            Kind::CircularFlow,
            Level::ReadCommitted,
        ),
        (
            history(vec![
                vec![append(1, 1), append(1, 2)],
                vec![list(1, &[1])],
                vec![list(1, &[1, 2])],
            ]),
            Kind::IntermediateRead,
            Level::ReadCommitted,
        ),
        (
            history(vec![vec![append(1, 1), list(1, &[])]]),
            Kind::Internal,
            Level::ReadCommitted,
        ),
        (
            history(vec![vec![list(1, &[7])]]),
            Kind::Garbage,
            Level::ReadCommitted,
        ),
        (
            history(vec![
                vec![append(1, 1)],
                vec![append(1, 2)],
                vec![list(1, &[1, 2])],
                vec![list(1, &[2])],
            ]),
            Kind::IncompatibleOrder,
            Level::ReadCommitted,
        ),
        (
            history(vec![vec![append(1, 1)], vec![list(1, &[]), list(1, &[1])]]),
            Kind::NonRepeatable,
            Level::Snapshot,
        ),
        // Sees one of two changes.
        (
            history(vec![
                vec![append(1, 1), append(2, 2)],
                vec![list(1, &[1]), list(2, &[])],
                vec![list(2, &[2])],
            ]),
            Kind::ReadSkew,
            Level::Snapshot,
        ),
        (
            history(vec![
                vec![write(1, 10)],
                vec![read(1, Some(10)), write(1, 11)],
                vec![read(1, Some(10)), write(1, 12)],
            ]),
            Kind::LostUpdate,
            Level::Snapshot,
        ),
        // Two readers see two independent writes in different orders.
        (
            history(vec![
                vec![write(1, 1)],
                vec![write(2, 2)],
                vec![read(1, Some(1)), read(2, None)],
                vec![read(1, None), read(2, Some(2))],
            ]),
            Kind::NonAdjacent,
            Level::Snapshot,
        ),
        (
            history(vec![
                vec![read(1, None), read(2, None), write(1, 1)],
                vec![read(1, None), read(2, None), write(2, 2)],
            ]),
            Kind::WriteSkew,
            Level::Serializable,
        ),
        (
            history(vec![
                vec![scan(1..9, &[]), write(3, 30)],
                vec![scan(1..9, &[]), write(4, 42)],
            ]),
            Kind::Phantom,
            Level::Serializable,
        ),
    ];
    for (history, kind, level) in cases {
        let found = kinds(&history);
        assert!(found.contains(&kind), "{kind:?} in {found:?}");
        assert!(history.check(level).is_err(), "{kind:?} at {level:?}");
        let weaker = [Level::ReadCommitted, Level::Snapshot]
            .into_iter()
            .filter(|weaker| *weaker < level);
        for weaker in weaker {
            assert_eq!(history.check(weaker), Ok(()), "{kind:?} at {weaker:?}");
        }
    }
}

#[test]
fn an_aborted_write_that_is_seen_is_found_and_an_unknown_one_is_not() {
    for (fate, kinds_found) in [
        (Fate::Aborted, vec![AnomalyKind::AbortedRead]),
        (Fate::Unknown, vec![]),
    ] {
        for (writing, reading) in [
            (append(1, 1), list(1, &[1])),
            (write(1, 1), read(1, Some(1))),
        ] {
            let history: History = [
                Transaction {
                    fate,
                    operations: vec![writing],
                    ..Transaction::committed(1)
                },
                Transaction {
                    operations: vec![reading],
                    ..Transaction::committed(2)
                },
            ]
            .into_iter()
            .collect();
            assert_eq!(kinds(&history), kinds_found);
        }
    }
}

#[test]
fn fekete_s_reader_closes_the_circle() {
    // The reader sees the deposit and not the withdrawal, which has not seen the deposit.
    let deposit = vec![read(1, None), write(1, 20)];
    let report = vec![read(1, Some(20)), read(2, None)];
    let withdrawal = vec![read(1, None), read(2, None), write(2, 11)];
    let without = history(vec![deposit.clone(), withdrawal.clone()]);
    assert_eq!(kinds(&without), []);
    let with = history(vec![deposit, report, withdrawal]);
    assert_eq!(kinds(&with), [AnomalyKind::WriteSkew]);
    let shown = with.check(Level::Serializable).unwrap_err().to_string();
    assert!(
        shown.contains("T1") && shown.contains("T2") && shown.contains("T3"),
        "{shown}"
    );
}

/// A history as long as those of the gates, with many circles: each is found, and none takes a look
/// at all the rest.
#[test]
fn every_circle_of_a_long_history_is_found() {
    const ROUNDS: u64 = 25_000;
    let mut transactions = Vec::new();
    for round in 0..ROUNDS {
        let (one, other) = (2 * round, 2 * round + 1);
        let is_skewed = round % 4 == 0;
        let before: &[u64] = if is_skewed { &[] } else { &[1] };
        transactions.push(vec![list(other, &[]), append(one, 1)]);
        transactions.push(vec![list(one, before), append(other, 1)]);
        transactions.push(vec![list(one, &[1]), list(other, &[1])]);
        // Who reads the round before comes after it.
        let earlier = 2 * round.saturating_sub(1);
        transactions.push(vec![list(earlier, &[1]), append(one, 2)]);
    }
    let lists = (0..2 * ROUNDS).map(|key| match key % 2 {
        0 => (key, vec![1, 2]),
        _ => (key, vec![1]),
    });
    transactions.push(vec![Operation::ScanLists {
        range: 0..2 * ROUNDS,
        found: lists.collect(),
    }]);
    let history = history(transactions);
    let found = history.anomalies();
    assert!(history.transactions().len() > 100_000);
    assert_eq!(found.len() as u64, ROUNDS / 4);
    assert!(
        found
            .iter()
            .all(|anomaly| anomaly.kind == AnomalyKind::WriteSkew)
    );
}

/// A serial run of random steps; each step is (transaction boundary, key, kind).
fn serial(steps: &[(bool, u8, u8)]) -> Vec<Vec<Operation>> {
    let mut lists: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut transactions = vec![Vec::new()];
    for (value, (boundary, key, kind)) in (1..).zip(steps) {
        let key = u64::from(key % 4);
        if *boundary {
            transactions.push(Vec::new());
        }
        let operation = match kind % 3 {
            0 => {
                lists.entry(key).or_default().push(value);
                append(key, value)
            }
            1 => list(key, lists.get(&key).map_or(&[], Vec::as_slice)),
            _ => Operation::ScanLists {
                range: 0..4,
                found: lists.clone(),
            },
        };
        transactions
            .last_mut()
            .expect("never empty")
            .push(operation);
    }
    transactions.push(vec![Operation::ScanLists {
        range: 0..4,
        found: lists,
    }]);
    transactions
}

quickcheck! {
    fn a_serial_history_has_no_anomalies(steps: Vec<(bool, u8, u8)>) -> bool {
        history(serial(&steps)).anomalies().is_empty()
    }

    /// A reader that misses the newest value of a list, which a transaction that it saw
    /// otherwise appended: read skew, whatever else the history holds.
    fn a_value_hidden_from_a_reader_is_noticed(steps: Vec<(bool, u8, u8)>) -> bool {
        let mut transactions = serial(&steps);
        transactions.insert(transactions.len() - 1, vec![append(8, 1_000_001), append(9, 1_000_002)]);
        transactions.insert(transactions.len() - 1, vec![list(8, &[1_000_001]), list(9, &[])]);
        transactions.push(vec![list(8, &[1_000_001]), list(9, &[1_000_002])]);
        let history = history(transactions);
        history.check(Level::ReadCommitted).is_ok() && history.check(Level::Snapshot).is_err()
    }
}
