//! The anomalies of the Hermitage suite (Martin Kleppmann, 2014, after Adya's thesis of 1999),
//! played at every isolation level. The outcome that `docs/mvcc.md` declares is the one that
//! happens, or this test fails.

mod common;
#[path = "common/sessions.rs"]
mod sessions;

use std::fmt::Write;

use common::{begin, manager};
use rustling_txn::IsolationLevel::{self, ReadCommitted, Snapshot};

struct Case {
    name: &'static str,
    meaning: &'static str,
    script: &'static [&'static str],
    /// Whether the anomaly happened, by the transcript.
    happened: fn(&[String]) -> bool,
    /// What READ COMMITTED and SNAPSHOT transcripts are.
    expected: [&'static [&'static str]; 2],
    /// Whether each level prevents it.
    prevented: [bool; 2],
}

fn has(transcript: &[String], line: &str) -> bool {
    transcript.iter().any(|entry| entry == line)
}

fn last(transcript: &[String]) -> &str {
    transcript.last().map_or("", String::as_str)
}

const CASES: [Case; 10] = [
    Case {
        name: "G0",
        meaning: "dirty write: two transactions' writes interleave",
        script: &[
            "t1 update 1 11",
            "t2 update 1 12",
            "t1 update 2 21",
            "t1 commit",
            "t2 update 2 22",
            "t2 commit",
        ],
        happened: |t| !["then 1=12 2=22", "then 1=11 2=21"].contains(&last(t)),
        expected: [
            &[
                "t1 update 1 11: ok",
                "t2 update 1 12: waits",
                "t1 update 2 21: ok",
                "t1 commit: ok",
                "t2 update 1 12: ok",
                "t2 update 2 22: ok",
                "t2 commit: ok",
                "then 1=12 2=22",
            ],
            &[
                "t1 update 1 11: ok",
                "t2 update 1 12: waits",
                "t1 update 2 21: ok",
                "t1 commit: ok",
                "t2 update 1 12: write conflict",
                "t2 update 2 22: over",
                "t2 commit: over",
                "then 1=11 2=21",
            ],
        ],
        prevented: [true, true],
    },
    Case {
        name: "G1a",
        meaning: "aborted read: a change is seen that is rolled back",
        script: &[
            "t1 update 1 101",
            "t2 scan",
            "t1 abort",
            "t2 scan",
            "t2 commit",
        ],
        happened: |t| has(t, "t2 scan: 1=101 2=20"),
        expected: [
            &[
                "t1 update 1 101: ok",
                "t2 scan: 1=10 2=20",
                "t1 abort: ok",
                "t2 scan: 1=10 2=20",
                "t2 commit: ok",
                "then 1=10 2=20",
            ],
            &[
                "t1 update 1 101: ok",
                "t2 scan: 1=10 2=20",
                "t1 abort: ok",
                "t2 scan: 1=10 2=20",
                "t2 commit: ok",
                "then 1=10 2=20",
            ],
        ],
        prevented: [true, true],
    },
    Case {
        name: "G1b",
        meaning: "intermediate read: a change is seen that its own transaction overwrites",
        script: &[
            "t1 update 1 101",
            "t2 scan",
            "t1 update 1 11",
            "t1 commit",
            "t2 scan",
            "t2 commit",
        ],
        happened: |t| has(t, "t2 scan: 1=101 2=20"),
        expected: [
            &[
                "t1 update 1 101: ok",
                "t2 scan: 1=10 2=20",
                "t1 update 1 11: ok",
                "t1 commit: ok",
                "t2 scan: 1=11 2=20",
                "t2 commit: ok",
                "then 1=11 2=20",
            ],
            &[
                "t1 update 1 101: ok",
                "t2 scan: 1=10 2=20",
                "t1 update 1 11: ok",
                "t1 commit: ok",
                "t2 scan: 1=10 2=20",
                "t2 commit: ok",
                "then 1=11 2=20",
            ],
        ],
        prevented: [true, true],
    },
    Case {
        name: "G1c",
        meaning: "circular information flow: each sees the other's change",
        script: &[
            "t1 update 1 11",
            "t2 update 2 22",
            "t1 read 2",
            "t2 read 1",
            "t1 commit",
            "t2 commit",
        ],
        happened: |t| has(t, "t1 read 2: 22") && has(t, "t2 read 1: 11"),
        expected: [
            &[
                "t1 update 1 11: ok",
                "t2 update 2 22: ok",
                "t1 read 2: 20",
                "t2 read 1: 10",
                "t1 commit: ok",
                "t2 commit: ok",
                "then 1=11 2=22",
            ],
            &[
                "t1 update 1 11: ok",
                "t2 update 2 22: ok",
                "t1 read 2: 20",
                "t2 read 1: 10",
                "t1 commit: ok",
                "t2 commit: ok",
                "then 1=11 2=22",
            ],
        ],
        prevented: [true, true],
    },
    Case {
        name: "OTV",
        meaning: "observed transaction vanishes: seen in one row, then gone in another",
        script: &[
            "t1 update 1 11",
            "t1 update 2 19",
            "t2 update 1 12",
            "t1 commit",
            "t3 read 1",
            "t2 update 2 18",
            "t3 read 2",
            "t2 commit",
            "t3 read 2",
            "t3 read 1",
            "t3 commit",
        ],
        happened: |t| {
            has(t, "t3 read 1: 12")
                && t.iter().rposition(|l| l == "t3 read 2: 19")
                    > t.iter().position(|l| l == "t3 read 1: 12")
        },
        expected: [
            &[
                "t1 update 1 11: ok",
                "t1 update 2 19: ok",
                "t2 update 1 12: waits",
                "t1 commit: ok",
                "t2 update 1 12: ok",
                "t3 read 1: 11",
                "t2 update 2 18: ok",
                "t3 read 2: 19",
                "t2 commit: ok",
                "t3 read 2: 18",
                "t3 read 1: 12",
                "t3 commit: ok",
                "then 1=12 2=18",
            ],
            &[
                "t1 update 1 11: ok",
                "t1 update 2 19: ok",
                "t2 update 1 12: waits",
                "t1 commit: ok",
                "t2 update 1 12: write conflict",
                "t3 read 1: 10",
                "t2 update 2 18: over",
                "t3 read 2: 20",
                "t2 commit: over",
                "t3 read 2: 20",
                "t3 read 1: 10",
                "t3 commit: ok",
                "then 1=11 2=19",
            ],
        ],
        prevented: [true, true],
    },
    Case {
        name: "PMP",
        meaning: "predicate-many-preceders: a row appears between two reads of one condition",
        script: &[
            "t1 scan-mod 3",
            "t2 insert 3 30",
            "t2 commit",
            "t1 scan-mod 3",
            "t1 commit",
        ],
        happened: |t| has(t, "t1 scan-mod 3: 3=30"),
        expected: [
            &[
                "t1 scan-mod 3: nothing",
                "t2 insert 3 30: ok",
                "t2 commit: ok",
                "t1 scan-mod 3: 3=30",
                "t1 commit: ok",
                "then 1=10 2=20 3=30",
            ],
            &[
                "t1 scan-mod 3: nothing",
                "t2 insert 3 30: ok",
                "t2 commit: ok",
                "t1 scan-mod 3: nothing",
                "t1 commit: ok",
                "then 1=10 2=20 3=30",
            ],
        ],
        prevented: [false, true],
    },
    Case {
        name: "P4",
        meaning: "lost update: a change is overwritten by one who has not seen it",
        script: &[
            "t1 read 1",
            "t2 read 1",
            "t1 update 1 11",
            "t2 update 1 12",
            "t1 commit",
            "t2 commit",
        ],
        happened: |t| last(t) == "then 1=12 2=20",
        expected: [
            &[
                "t1 read 1: 10",
                "t2 read 1: 10",
                "t1 update 1 11: ok",
                "t2 update 1 12: waits",
                "t1 commit: ok",
                "t2 update 1 12: ok",
                "t2 commit: ok",
                "then 1=12 2=20",
            ],
            &[
                "t1 read 1: 10",
                "t2 read 1: 10",
                "t1 update 1 11: ok",
                "t2 update 1 12: waits",
                "t1 commit: ok",
                "t2 update 1 12: write conflict",
                "t2 commit: over",
                "then 1=11 2=20",
            ],
        ],
        prevented: [false, true],
    },
    Case {
        name: "G-single",
        meaning: "read skew: one row from before a transaction, another from after it",
        script: &[
            "t1 read 1",
            "t2 read 1",
            "t2 read 2",
            "t2 update 1 12",
            "t2 update 2 18",
            "t2 commit",
            "t1 read 2",
            "t1 commit",
        ],
        happened: |t| has(t, "t1 read 1: 10") && has(t, "t1 read 2: 18"),
        expected: [
            &[
                "t1 read 1: 10",
                "t2 read 1: 10",
                "t2 read 2: 20",
                "t2 update 1 12: ok",
                "t2 update 2 18: ok",
                "t2 commit: ok",
                "t1 read 2: 18",
                "t1 commit: ok",
                "then 1=12 2=18",
            ],
            &[
                "t1 read 1: 10",
                "t2 read 1: 10",
                "t2 read 2: 20",
                "t2 update 1 12: ok",
                "t2 update 2 18: ok",
                "t2 commit: ok",
                "t1 read 2: 20",
                "t1 commit: ok",
                "then 1=12 2=18",
            ],
        ],
        prevented: [false, true],
    },
    Case {
        name: "G2-item",
        meaning: "write skew: two read the same rows and change different ones",
        script: &[
            "t1 scan",
            "t2 scan",
            "t1 update 1 11",
            "t2 update 2 21",
            "t1 commit",
            "t2 commit",
        ],
        happened: |t| last(t) == "then 1=11 2=21",
        expected: [
            &[
                "t1 scan: 1=10 2=20",
                "t2 scan: 1=10 2=20",
                "t1 update 1 11: ok",
                "t2 update 2 21: ok",
                "t1 commit: ok",
                "t2 commit: ok",
                "then 1=11 2=21",
            ],
            &[
                "t1 scan: 1=10 2=20",
                "t2 scan: 1=10 2=20",
                "t1 update 1 11: ok",
                "t2 update 2 21: ok",
                "t1 commit: ok",
                "t2 commit: ok",
                "then 1=11 2=21",
            ],
        ],
        prevented: [false, false],
    },
    Case {
        name: "G2",
        meaning: "anti-dependency cycle: two find no row of a kind and both add one",
        script: &[
            "t1 scan-mod 3",
            "t2 scan-mod 3",
            "t1 insert 3 30",
            "t2 insert 4 42",
            "t1 commit",
            "t2 commit",
        ],
        happened: |t| last(t) == "then 1=10 2=20 3=30 4=42",
        expected: [
            &[
                "t1 scan-mod 3: nothing",
                "t2 scan-mod 3: nothing",
                "t1 insert 3 30: ok",
                "t2 insert 4 42: ok",
                "t1 commit: ok",
                "t2 commit: ok",
                "then 1=10 2=20 3=30 4=42",
            ],
            &[
                "t1 scan-mod 3: nothing",
                "t2 scan-mod 3: nothing",
                "t1 insert 3 30: ok",
                "t2 insert 4 42: ok",
                "t1 commit: ok",
                "t2 commit: ok",
                "then 1=10 2=20 3=30 4=42",
            ],
        ],
        prevented: [false, false],
    },
];

const LEVELS: [IsolationLevel; 2] = [ReadCommitted, Snapshot];

fn play(level: IsolationLevel, script: &[&str]) -> Vec<String> {
    let (manager, table) = manager();
    let setup = begin(&manager, ReadCommitted);
    for (key, value) in [(1u8, 10i64), (2, 20)] {
        setup.put(table, &[key], &value.to_be_bytes()).expect("put");
    }
    setup.commit().expect("commit");
    let transcript = sessions::play(&manager, table, level, script);
    assert_eq!(manager.stats().locks, 0);
    transcript
}

#[test]
fn every_case_has_its_declared_outcome() {
    for case in CASES {
        for (at, level) in LEVELS.into_iter().enumerate() {
            let transcript = play(level, case.script);
            assert_eq!(transcript, case.expected[at], "{} at {level:?}", case.name);
            assert_eq!(
                (case.happened)(&transcript),
                !case.prevented[at],
                "{} at {level:?}",
                case.name
            );
        }
    }
}

#[test]
fn the_documented_table_is_the_tested_one() {
    let mut table =
        String::from("| Anomaly | What it is | READ COMMITTED | SNAPSHOT |\n|---|---|---|---|\n");
    for case in &CASES {
        let [committed, snapshot] = case
            .prevented
            .map(|prevented| if prevented { "prevented" } else { "possible" });
        writeln!(
            table,
            "| {} | {} | {committed} | {snapshot} |",
            case.name, case.meaning
        )
        .expect("a string takes all");
    }
    let document = include_str!("../../../docs/mvcc.md");
    assert!(
        document.contains(&table),
        "docs/mvcc.md must hold this table:\n\n{table}"
    );
}

#[test]
fn a_predicate_is_checked_again_on_the_row_that_was_waited_for() {
    let script = [
        "t1 add 10",
        "t2 delete-where 20",
        "t1 commit",
        "t2 scan",
        "t2 commit",
    ];
    let expected = [
        "t1 add 10: ok",
        "t2 delete-where 20: waits",
        "t1 commit: ok",
        "t2 delete-where 20: 0 deleted",
        "t2 scan: 1=20 2=30",
        "t2 commit: ok",
        "then 1=20 2=30",
    ];
    assert_eq!(play(ReadCommitted, &script), expected);
    let transcript = play(Snapshot, &script);
    assert!(
        has(&transcript, "t2 delete-where 20: write conflict"),
        "{transcript:?}"
    );
}

#[test]
fn of_two_inserters_the_second_waits_for_the_first() {
    for level in LEVELS {
        let script = ["t1 insert 3 30", "t2 insert 3 31", "t1 commit", "t2 commit"];
        assert!(has(&play(level, &script), "t2 insert 3 31: key exists"));
        let script = ["t1 insert 3 30", "t2 insert 3 31", "t1 abort", "t2 commit"];
        assert_eq!(last(&play(level, &script)), "then 1=10 2=20 3=31");
    }
}

#[test]
fn a_deadlock_takes_the_transaction_that_has_written_less() {
    // t2 closes the circle; t1 has written one row, t2 two.
    let script = [
        "t1 update 1 11",
        "t2 insert 3 30",
        "t2 update 2 22",
        "t1 update 2 12",
        "t2 update 1 21",
        "t2 commit",
    ];
    let expected = [
        "t1 update 1 11: ok",
        "t2 insert 3 30: ok",
        "t2 update 2 22: ok",
        "t1 update 2 12: waits",
        "t2 update 1 21: ok",
        "t1 update 2 12: deadlock",
        "t2 commit: ok",
        "then 1=21 2=22 3=30",
    ];
    assert_eq!(play(ReadCommitted, &script), expected);
    // Of equals the younger one.
    let script = [
        "t1 update 1 11",
        "t2 update 2 22",
        "t1 update 2 12",
        "t2 update 1 21",
        "t1 commit",
    ];
    let expected = [
        "t1 update 1 11: ok",
        "t2 update 2 22: ok",
        "t1 update 2 12: waits",
        "t2 update 1 21: deadlock",
        "t1 update 2 12: ok",
        "t1 commit: ok",
        "then 1=11 2=12",
    ];
    for level in LEVELS {
        assert_eq!(play(level, &script), expected);
    }
}
