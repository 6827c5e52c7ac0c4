//! Scripts for the store, made from a seed.

use rustling_storage::Durability;
use rustling_testkit::{harness::Action, sim::CrashPolicy};

use super::{
    options::ENGINES,
    store::{Change, Step},
};

/// What a script is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Number of steps.
    pub steps: usize,
    /// Whether the script itself closes, kills and unplugs the store now and then.
    pub interruptions: bool,
    /// The longest value, in bytes.
    pub longest_value: usize,
}

/// Tables that scripts use: numbers below this.
const TABLES: u8 = 4;

struct Script {
    rng: fastrand::Rng,
    shape: Shape,
    tables: [bool; TABLES as usize],
    counter: u32,
}

/// The script of a seed.
#[must_use]
pub fn script(seed: u64, shape: Shape) -> Vec<Action<Step>> {
    let mut script = Script {
        rng: fastrand::Rng::with_seed(seed),
        shape,
        tables: [false; TABLES as usize],
        counter: 0,
    };
    let mut actions = vec![Action::Step(script.creation())];
    while actions.len() < shape.steps {
        let action = match script.rng.u8(..100) {
            0..=3 => Action::Step(Step::Checkpoint),
            4..=5 => Action::Step(Step::Vacuum),
            6..=7 if shape.interruptions => Action::Reopen,
            8 if shape.interruptions => Action::Kill,
            // Drop nothing that was acknowledged: what is kept is certain, so that the script
            // knows which tables are there.
            9 if shape.interruptions => {
                actions.push(Action::Step(script.commit(Durability::Sync)));
                Action::PowerFailure(
                    CrashPolicy::ALL[script.rng.usize(..CrashPolicy::ALL.len())],
                    script.rng.u64(..),
                )
            }
            10..=14 => Action::Step(script.load()),
            15..=16 => Action::Step(script.another_engine()),
            _ => {
                let durability = match script.rng.u8(..10) {
                    0 => Durability::Async,
                    1 => Durability::None,
                    _ => Durability::Sync,
                };
                Action::Step(script.commit(durability))
            }
        };
        if action == Action::Kill {
            // What is not durable may be gone, and the script must know what is there.
            actions.push(Action::Step(script.commit(Durability::Sync)));
        }
        actions.push(action);
    }
    actions
}

impl Script {
    fn creation(&mut self) -> Step {
        self.tables[0] = true;
        let mut changes = vec![Change::Create { table: 0 }];
        changes.extend((0..self.rng.usize(1..6)).map(|_| self.put(0)));
        Step::Commit {
            changes,
            durability: Durability::Sync,
        }
    }

    fn table(&mut self) -> u8 {
        let there: Vec<u8> = (0..TABLES)
            .filter(|table| self.tables[usize::from(*table)])
            .collect();
        there[self.rng.usize(..there.len())]
    }

    fn key(&mut self) -> Vec<u8> {
        match self.rng.u8(..20) {
            0 => vec![self.rng.u8(..3); self.rng.usize(300..2000)],
            1 => Vec::new(),
            _ => format!("key {:03}", self.rng.u8(..150)).into_bytes(),
        }
    }

    /// A value that no other put of the script has.
    fn value(&mut self) -> Vec<u8> {
        self.counter += 1;
        let len = match self.rng.u8(..20) {
            0 => self.rng.usize(..self.shape.longest_value.max(1)),
            1 => 0,
            2..=5 => self.rng.usize(..600),
            _ => self.rng.usize(..80),
        };
        let mut value = self.counter.to_le_bytes().to_vec();
        let filler = self.rng.u8(..);
        value.extend((0..len).map(|at| if at % 7 == 0 { at as u8 } else { filler }));
        value
    }

    fn put(&mut self, table: u8) -> Change {
        Change::Put {
            table,
            key: self.key(),
            value: self.value(),
        }
    }

    fn commit(&mut self, durability: Durability) -> Step {
        let mut changes = Vec::new();
        let count = match self.rng.u8(..10) {
            0 => self.rng.usize(20..60),
            _ => self.rng.usize(1..6),
        };
        for _ in 0..count {
            let table = self.table();
            let change = match self.rng.u8(..50) {
                0 => match (0..TABLES).find(|table| !self.tables[usize::from(*table)]) {
                    Some(table) => {
                        self.tables[usize::from(table)] = true;
                        Change::Create { table }
                    }
                    None => self.put(table),
                },
                1 if self.tables.iter().filter(|there| **there).count() > 1 => {
                    self.tables[usize::from(table)] = false;
                    Change::Drop { table }
                }
                2..=12 => Change::Delete {
                    table,
                    key: self.key(),
                },
                _ => self.put(table),
            };
            changes.push(change);
        }
        Step::Commit {
            changes,
            durability,
        }
    }

    fn another_engine(&mut self) -> Step {
        Step::SetEngine {
            table: self.table(),
            engine: ENGINES[self.rng.usize(..ENGINES.len())],
        }
    }

    fn load(&mut self) -> Step {
        let ingested = self.rng.bool();
        let mut keys: Vec<Vec<u8>> = (0..self.rng.usize(1..40)).map(|_| self.key()).collect();
        keys.sort();
        keys.dedup();
        let entries = keys
            .into_iter()
            .map(|key| {
                let is_put = ingested || self.rng.u8(..5) > 0;
                (key, is_put.then(|| self.value()))
            })
            .collect();
        Step::Load {
            table: self.table(),
            entries,
            chunk: self.rng.usize(1..20),
            ingested,
        }
    }
}
