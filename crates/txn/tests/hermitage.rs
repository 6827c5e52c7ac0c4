//! The anomalies of the Hermitage suite (Martin Kleppmann, 2014, after Adya's thesis of 1999),
//! played at every isolation level, with the rows in a keyspace of each engine, and spread over
//! two of different engines. What happens is the same wherever they are. It is in
//! `golden/anomalies.golden`, and the table of `docs/mvcc.md` is made from it; with
//! `UPDATE_GOLDEN=1` in the environment both are rewritten, otherwise compared.

mod sessions;

use std::{fmt::Write, path::Path};

use crate::common::{begin, manager_of_all};
use rustling_storage::EngineKind::{self, BTree, Hybrid, Lsm};
use rustling_testkit::golden;
use rustling_txn::{
    IsolationLevel::{self, ReadCommitted, Serializable, Snapshot},
    ManagerOptions,
};

struct Case {
    name: &'static str,
    meaning: &'static str,
    script: &'static [&'static str],
    /// Whether the anomaly happened, by the transcript.
    happened: fn(&[String]) -> bool,
}

fn has(transcript: &[String], line: &str) -> bool {
    transcript.iter().any(|entry| entry == line)
}

fn last(transcript: &[String]) -> &str {
    transcript.last().map_or("", String::as_str)
}

/// The table holds 1=10 and 2=20.
const CASES: [Case; 15] = [
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
    },
    Case {
        name: "PMP, write",
        meaning: "a write by a condition misses a row that fulfils it when the write is done",
        script: &[
            "t1 add 10",
            "t2 delete-where 20",
            "t1 commit",
            "t2 scan",
            "t2 commit",
        ],
        happened: |t| has(t, "t2 delete-where 20: 0 deleted") && has(t, "t2 scan: 1=20 2=30"),
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
    },
    Case {
        name: "G-single, predicate",
        meaning: "read skew between two conditions",
        script: &[
            "t1 scan-mod 5",
            "t2 update 1 12",
            "t2 commit",
            "t1 scan-mod 3",
            "t1 commit",
        ],
        happened: |t| has(t, "t1 scan-mod 5: 1=10 2=20") && has(t, "t1 scan-mod 3: 1=12"),
    },
    Case {
        name: "G-single, write",
        meaning: "read skew between a read and a later write by a condition",
        script: &[
            "t1 read 1",
            "t2 update 1 12",
            "t2 update 2 18",
            "t2 commit",
            "t1 delete-where 20",
            "t1 commit",
        ],
        happened: |t| has(t, "t1 read 1: 10") && has(t, "t1 delete-where 20: 0 deleted"),
    },
    Case {
        name: "G2-item",
        meaning: "write skew: two read the same rows and change different ones",
        script: &[
            "t1 read 1",
            "t1 read 2",
            "t2 read 1",
            "t2 read 2",
            "t1 update 1 11",
            "t2 update 2 21",
            "t1 commit",
            "t2 commit",
        ],
        happened: |t| last(t) == "then 1=11 2=21",
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
    },
    Case {
        name: "G2, two edges",
        meaning: "read-only anomaly: a reader sees the second of two changes and not the first",
        script: &[
            "t1 scan",
            "t2 add-to 2 5",
            "t2 commit",
            "t3 begin",
            "t3 scan",
            "t3 commit",
            "t1 update 1 0",
            "t1 commit",
        ],
        happened: |t| last(t) == "then 1=0 2=25",
    },
    Case {
        name: "G2, three",
        meaning: "three transactions, each reads what the next one changes",
        script: &[
            "t1 read 1",
            "t2 read 2",
            "t3 read 3",
            "t1 update 2 21",
            "t2 insert 3 30",
            "t3 update 1 11",
            "t1 commit",
            "t2 commit",
            "t3 commit",
        ],
        happened: |t| last(t) == "then 1=11 2=21 3=30",
    },
];

/// Where the rows of a case are: the even keys in a keyspace of the first engine, the odd ones in
/// one of the second. `None`: all in one keyspace.
const LAYOUTS: [(EngineKind, Option<EngineKind>); 6] = [
    (BTree, None),
    (Lsm, None),
    (Hybrid, None),
    (BTree, Some(Lsm)),
    (Lsm, Some(Hybrid)),
    (Hybrid, Some(BTree)),
];

/// What happens, which is the same wherever the rows are.
fn play(level: IsolationLevel, script: &[&str]) -> Vec<String> {
    let [first, others @ ..] = LAYOUTS;
    let transcript = play_in(first, level, script);
    for layout in others {
        let other = play_in(layout, level, script);
        assert_eq!(other, transcript, "{layout:?} at {level:?}");
    }
    transcript
}

fn play_in(
    (even, odd): (EngineKind, Option<EngineKind>),
    level: IsolationLevel,
    script: &[&str],
) -> Vec<String> {
    let options = ManagerOptions::default();
    let (manager, tables) = match odd {
        Some(odd) => {
            let (manager, [even, odd]) = manager_of_all([even, odd], options);
            (manager, sessions::Tables { even, odd })
        }
        None => {
            let (manager, [both]) = manager_of_all([even], options);
            (
                manager,
                sessions::Tables {
                    even: both,
                    odd: both,
                },
            )
        }
    };
    let setup = begin(&manager, ReadCommitted);
    for (key, value) in [(1u8, 10i64), (2, 20)] {
        setup
            .put(tables.of(key), &[key], &value.to_be_bytes())
            .expect("put");
    }
    setup.commit().expect("commit");
    let transcript = sessions::play(&manager, tables, level, script);
    assert_eq!(manager.stats().locks, 0);
    assert_eq!(manager.stats().tracked_transactions, 0);
    transcript
}

fn name(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::ReadUncommitted => "READ UNCOMMITTED",
        ReadCommitted => "READ COMMITTED",
        IsolationLevel::RepeatableRead => "REPEATABLE READ",
        Snapshot => "SNAPSHOT",
        _ => "SERIALIZABLE",
    }
}

/// What happens at each level; levels at which the same does stand together.
fn outcomes(case: &Case) -> String {
    let mut groups: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
    for level in IsolationLevel::ALL {
        let transcript = play(level, case.script);
        match groups.iter_mut().find(|(_, known)| *known == transcript) {
            Some((levels, _)) => levels.push(name(level)),
            None => groups.push((vec![name(level)], transcript)),
        }
    }
    let mut text = String::new();
    for (levels, transcript) in groups {
        writeln!(text, "{}", levels.join(", ")).expect("a string takes all");
        for line in transcript {
            writeln!(text, "    {line}").expect("a string takes all");
        }
    }
    text
}

#[test]
fn every_case_has_its_known_outcome() {
    golden::run(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/anomalies.golden"),
        |input| match CASES.iter().find(|case| case.name == input) {
            Some(case) => outcomes(case),
            None => format!("there is no case {input}"),
        },
    );
}

#[test]
fn every_case_is_in_the_golden_file() {
    let file = include_str!("golden/anomalies.golden");
    for case in &CASES {
        assert!(
            file.lines().any(|line| line == case.name),
            "golden/anomalies.golden lacks {}",
            case.name
        );
    }
}

/// The table of anomalies as it happens.
fn matrix() -> String {
    let mut table = String::from("| Anomaly | What it is |");
    for level in IsolationLevel::ALL {
        write!(table, " {} |", name(level)).expect("a string takes all");
    }
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(IsolationLevel::ALL.len()));
    table.push('\n');
    for case in &CASES {
        write!(table, "| {} | {} |", case.name, case.meaning).expect("a string takes all");
        for level in IsolationLevel::ALL {
            let happened = (case.happened)(&play(level, case.script));
            table.push_str(if happened {
                " possible |"
            } else {
                " prevented |"
            });
        }
        table.push('\n');
    }
    table
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the documentation is read and rewritten on the real file system"
)]
fn the_documented_matrix_is_what_happens() {
    const BEGIN: &str = "<!-- anomalies: made by crates/txn/tests/hermitage.rs -->\n";
    const END: &str = "<!-- end of anomalies -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mvcc.md");
    let document = std::fs::read_to_string(&path).expect("docs/mvcc.md");
    let (before, rest) = document.split_once(BEGIN).expect("the table's beginning");
    let (known, after) = rest.split_once(END).expect("the table's end");
    let matrix = matrix();
    if known == matrix {
        return;
    }
    let update = std::env::var_os(golden::UPDATE_VARIABLE).is_some_and(|value| value == "1");
    assert!(update, "docs/mvcc.md must hold this table:\n\n{matrix}");
    std::fs::write(&path, format!("{before}{BEGIN}{matrix}{END}{after}")).expect("docs/mvcc.md");
}

#[test]
fn serializable_prevents_everything() {
    for case in &CASES {
        let transcript = play(Serializable, case.script);
        assert!(
            !(case.happened)(&transcript),
            "{}: {transcript:?}",
            case.name
        );
    }
}

#[test]
fn of_two_inserters_the_second_waits_for_the_first() {
    for level in IsolationLevel::ALL {
        let script = ["t1 insert 3 30", "t2 insert 3 31", "t1 commit", "t2 commit"];
        let transcript = play(level, &script);
        assert!(
            has(&transcript, "t2 insert 3 31: key exists")
                || level == Serializable && has(&transcript, "t2 insert 3 31: write conflict"),
            "{transcript:?}"
        );
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
    for level in IsolationLevel::ALL {
        assert_eq!(play(level, &script), expected);
    }
}
