//! From what transactions saw to the order of versions, and from there to who came before whom.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    Anomaly, AnomalyKind, Edge, Fate, History, Key, Operation, Transaction, Value, graph::Graph,
};

/// What a history tells.
pub(super) struct Inferred {
    pub(super) graph: Graph,
    /// Anomalies that are no circles.
    pub(super) anomalies: Vec<Anomaly>,
}

/// One key of a transaction.
type TransactionKey = (usize, Key);

/// A version of a key: how many came before it. Zero: nothing has been written yet.
type Version = usize;

struct Read {
    reader: usize,
    key: Key,
    version: Version,
    by_predicate: bool,
}

#[derive(Default)]
struct Inference<'a> {
    transactions: &'a [Transaction],
    /// Who wrote a value of a key, and whether it was that transaction's last.
    writers: HashMap<(Key, Option<Value>), (usize, bool)>,
    /// The writers of each key in the order of their versions.
    versions: BTreeMap<Key, Vec<usize>>,
    reads: Vec<Read>,
    anomalies: Vec<Anomaly>,
}

pub(super) fn infer(history: &History) -> Inferred {
    let mut inference = Inference {
        transactions: &history.transactions,
        ..Inference::default()
    };
    inference.note_writers();
    let committed = inference.committed();
    inference.check_internal(&committed);
    inference.order_lists(&committed);
    inference.order_registers(&committed);
    inference.note_reads(&committed);
    inference.find_lost_updates();
    let graph = inference.edges();
    Inferred {
        graph,
        anomalies: inference.anomalies,
    }
}

impl Inference<'_> {
    fn report(&mut self, kind: AnomalyKind, who: &[usize], detail: String) {
        let circle = who.iter().map(|at| (self.id(*at), None)).collect();
        self.anomalies.push(Anomaly {
            kind,
            circle,
            detail,
        });
    }

    fn id(&self, at: usize) -> u64 {
        self.transactions.get(at).map_or(u64::MAX, |found| found.id)
    }

    fn note_writers(&mut self) {
        for (at, transaction) in self.transactions.iter().enumerate() {
            let mut last: HashMap<Key, Option<Value>> = HashMap::new();
            for operation in &transaction.operations {
                let (key, value) = match operation {
                    Operation::Append { key, value } => (*key, Some(*value)),
                    Operation::Write { key, value } => (*key, *value),
                    _ => continue,
                };
                if let Some(before) = last.insert(key, value)
                    && let Some((_, is_last)) = self.writers.get_mut(&(key, before))
                {
                    *is_last = false;
                }
                // Deletions are not told apart by their value, and so not looked up by it.
                self.writers.insert((key, value), (at, true));
            }
        }
    }

    /// The transactions that committed, by what is known.
    fn committed(&self) -> Vec<bool> {
        let mut committed: Vec<bool> = self
            .transactions
            .iter()
            .map(|transaction| transaction.fate == Fate::Committed)
            .collect();
        loop {
            let mut grew = false;
            for (at, transaction) in self.transactions.iter().enumerate() {
                if !committed[at] {
                    continue;
                }
                for (key, value) in seen(transaction) {
                    if let Some((writer, _)) = self.writers.get(&(key, Some(value)))
                        && self.transactions[*writer].fate == Fate::Unknown
                        && !committed[*writer]
                    {
                        committed[*writer] = true;
                        grew = true;
                    }
                }
            }
            if !grew {
                return committed;
            }
        }
    }

    /// Compares what each transaction saw with what itself had seen and done before.
    fn check_internal(&mut self, committed: &[bool]) {
        for (at, transaction) in self.transactions.iter().enumerate() {
            if !committed[at] {
                continue;
            }
            // What others had appended when the key was read, and what itself has appended.
            let mut others: HashMap<Key, Vec<Value>> = HashMap::new();
            let mut tails: HashMap<Key, Vec<Value>> = HashMap::new();
            let mut registers: HashMap<Key, (Option<Value>, bool)> = HashMap::new();
            let mut found = Vec::new();
            for operation in &transaction.operations {
                match operation {
                    Operation::Append { key, value } => {
                        tails.entry(*key).or_default().push(*value);
                    }
                    Operation::Write { key, value } => {
                        registers.insert(*key, (*value, true));
                    }
                    _ => {
                        for (key, mut values, _) in list_reads(operation) {
                            let tail = tails.get(&key).map_or(&[][..], Vec::as_slice);
                            if !values.ends_with(tail) {
                                found.push((true, key, format!("{values:?}")));
                                continue;
                            }
                            values.truncate(values.len() - tail.len());
                            let known = others.entry(key).or_insert_with(|| values.clone());
                            if *known != values {
                                found.push((false, key, format!("{values:?}")));
                                *known = values;
                            }
                        }
                        for (key, value, _) in register_reads(operation) {
                            let known = registers.entry(key).or_insert((value, false));
                            if known.0 != value {
                                found.push((known.1, key, format!("{value:?}")));
                                known.0 = value;
                            }
                        }
                    }
                }
            }
            for (own, key, saw) in found {
                let kind = if own {
                    AnomalyKind::Internal
                } else {
                    AnomalyKind::NonRepeatable
                };
                self.report(kind, &[at], format!("key {key} was {saw} then"));
            }
        }
    }

    /// The longest read of each list has its versions in their order; all other reads must be
    /// beginnings of it.
    fn order_lists(&mut self, committed: &[bool]) {
        let mut longest: BTreeMap<Key, (usize, Vec<Value>)> = BTreeMap::new();
        let mut reads = Vec::new();
        for (at, transaction) in self.transactions.iter().enumerate() {
            if !committed[at] {
                continue;
            }
            for operation in &transaction.operations {
                for (key, values, _) in list_reads(operation) {
                    // What the reader itself appended is not committed as it reads.
                    let others = self.without_own(at, key, &values);
                    let known = longest.entry(key).or_insert_with(|| (at, Vec::new()));
                    if others.len() > known.1.len() {
                        *known = (at, others.clone());
                    }
                    reads.push((at, key, others));
                }
            }
        }
        for (at, key, values) in reads {
            let Some((whose, whole)) = longest.get(&key) else {
                continue;
            };
            if !whole.starts_with(&values) {
                let detail = format!("key {key}: {values:?} and {whole:?}");
                let who = [at, *whose];
                self.report(AnomalyKind::IncompatibleOrder, &who, detail);
            }
        }
        for (key, (reader, values)) in longest {
            let mut order = Vec::new();
            for value in values {
                let Some((writer, _)) = self.writers.get(&(key, Some(value))).copied() else {
                    let detail = format!("key {key}: {value}");
                    self.report(AnomalyKind::Garbage, &[reader], detail);
                    continue;
                };
                if !committed[writer] {
                    let detail = format!("key {key}: {value}");
                    self.report(AnomalyKind::AbortedRead, &[reader, writer], detail);
                }
                if order.last() != Some(&writer) {
                    if order.contains(&writer) {
                        let detail = format!("key {key}: the values of one are not together");
                        self.report(AnomalyKind::IncompatibleOrder, &[writer], detail);
                    }
                    order.push(writer);
                }
            }
            self.versions.insert(key, order);
        }
    }

    /// A list without what transaction `at` has appended to it.
    fn without_own(&self, at: usize, key: Key, values: &[Value]) -> Vec<Value> {
        let is_own = |value: &Value| {
            self.writers
                .get(&(key, Some(*value)))
                .is_some_and(|(writer, _)| *writer == at)
        };
        values
            .iter()
            .copied()
            .filter(|value| !is_own(value))
            .collect()
    }

    /// The writers of registers, in the order of their commits.
    fn order_registers(&mut self, committed: &[bool]) {
        let mut writers: BTreeMap<Key, Vec<(u64, usize)>> = BTreeMap::new();
        for (at, transaction) in self.transactions.iter().enumerate() {
            let Some(position) = transaction.position.filter(|_| committed[at]) else {
                continue;
            };
            for operation in &transaction.operations {
                if let Operation::Write { key, .. } = operation {
                    let list = writers.entry(*key).or_default();
                    if list.last() != Some(&(position, at)) {
                        list.push((position, at));
                    }
                }
            }
        }
        for (key, mut list) in writers {
            list.sort_unstable();
            list.dedup();
            self.versions
                .insert(key, list.into_iter().map(|(_, at)| at).collect());
        }
    }

    fn note_reads(&mut self, committed: &[bool]) {
        for (at, transaction) in self.transactions.iter().enumerate() {
            if !committed[at] {
                continue;
            }
            let mut written: HashSet<Key> = HashSet::new();
            for operation in &transaction.operations {
                match operation {
                    Operation::Append { .. } => {}
                    Operation::Write { key, .. } => drop(written.insert(*key)),
                    _ => {
                        for (key, values, by_predicate) in list_reads(operation) {
                            self.note_list_read(at, key, &values, by_predicate);
                        }
                        for (key, value, by_predicate) in register_reads(operation) {
                            if !written.contains(&key) {
                                self.note_register_read(at, key, value, by_predicate, committed);
                            }
                        }
                    }
                }
            }
        }
    }

    fn note_list_read(&mut self, at: usize, key: Key, values: &[Value], by_predicate: bool) {
        let others = self.without_own(at, key, values);
        let mut version = 0;
        if let Some(value) = others.last() {
            let Some((writer, is_last)) = self.writers.get(&(key, Some(*value))).copied() else {
                return;
            };
            if !is_last {
                let detail = format!("key {key}: {value}");
                self.report(AnomalyKind::IntermediateRead, &[at, writer], detail);
            }
            let order = self.versions.get(&key);
            let Some(place) = order.and_then(|order| order.iter().position(|of| *of == writer))
            else {
                return;
            };
            version = place + 1;
        }
        self.reads.push(Read {
            reader: at,
            key,
            version,
            by_predicate,
        });
    }

    fn note_register_read(
        &mut self,
        at: usize,
        key: Key,
        value: Option<Value>,
        by_predicate: bool,
        committed: &[bool],
    ) {
        let Some(value) = value else {
            // Nothing yet, or deleted: the former unless a deletion is among the versions.
            let deleted = self.versions.get(&key).is_some_and(|order| {
                order
                    .iter()
                    .any(|writer| last_write(&self.transactions[*writer], key) == Some(None))
            });
            if !deleted {
                self.reads.push(Read {
                    reader: at,
                    key,
                    version: 0,
                    by_predicate,
                });
            }
            return;
        };
        let Some((writer, is_last)) = self.writers.get(&(key, Some(value))).copied() else {
            let detail = format!("key {key}: {value}");
            self.report(AnomalyKind::Garbage, &[at], detail);
            return;
        };
        if !committed[writer] {
            let detail = format!("key {key}: {value}");
            self.report(AnomalyKind::AbortedRead, &[at, writer], detail);
        } else if !is_last {
            let detail = format!("key {key}: {value}");
            self.report(AnomalyKind::IntermediateRead, &[at, writer], detail);
        }
        let order = self.versions.get(&key);
        if let Some(place) = order.and_then(|order| order.iter().position(|of| *of == writer)) {
            self.reads.push(Read {
                reader: at,
                key,
                version: place + 1,
                by_predicate,
            });
        }
    }

    /// Two that both read one version of a key and both replaced it.
    fn find_lost_updates(&mut self) {
        let mut updates: BTreeMap<(Key, Version), Vec<usize>> = BTreeMap::new();
        let mut known: HashSet<TransactionKey> = HashSet::new();
        for read in &self.reads {
            let writes = self
                .versions
                .get(&read.key)
                .is_some_and(|order| order.contains(&read.reader));
            if writes && known.insert((read.reader, read.key)) {
                let who = updates.entry((read.key, read.version)).or_default();
                who.push(read.reader);
            }
        }
        for ((key, _), who) in updates {
            if who.len() > 1 {
                self.report(AnomalyKind::LostUpdate, &who, format!("key {key}"));
            }
        }
    }

    fn edges(&self) -> Graph {
        let mut graph = Graph::new(self.transactions.iter().map(|transaction| transaction.id));
        for (key, order) in &self.versions {
            for pair in order.windows(2) {
                graph.add(pair[0], pair[1], Edge::WriteWrite, *key);
            }
        }
        for read in &self.reads {
            let Some(order) = self.versions.get(&read.key) else {
                continue;
            };
            if let Some(writer) = read.version.checked_sub(1).and_then(|at| order.get(at)) {
                graph.add(*writer, read.reader, Edge::WriteRead, read.key);
            }
            let next = order.get(read.version);
            // Who replaces the version itself is followed by the next writer.
            let next = match next {
                Some(writer) if *writer == read.reader => order.get(read.version + 1),
                next => next,
            };
            if let Some(writer) = next {
                let edge = if read.by_predicate {
                    Edge::PredicateReadWrite
                } else {
                    Edge::ReadWrite
                };
                graph.add(read.reader, *writer, edge, read.key);
            }
        }
        graph
    }
}

fn last_write(transaction: &Transaction, key: Key) -> Option<Option<Value>> {
    transaction
        .operations
        .iter()
        .rev()
        .find_map(|operation| match operation {
            Operation::Write { key: of, value } if *of == key => Some(*value),
            _ => None,
        })
}

/// Every value that a transaction saw.
fn seen(transaction: &Transaction) -> Vec<(Key, Value)> {
    let mut seen = Vec::new();
    for operation in &transaction.operations {
        for (key, values, _) in list_reads(operation) {
            seen.extend(values.into_iter().map(|value| (key, value)));
        }
        for (key, value, _) in register_reads(operation) {
            seen.extend(value.map(|value| (key, value)));
        }
    }
    seen
}

/// The lists that an operation read, and whether by a predicate.
fn list_reads(operation: &Operation) -> Vec<(Key, Vec<Value>, bool)> {
    match operation {
        Operation::ReadList { key, values } => vec![(*key, values.clone(), false)],
        Operation::ScanLists { range, found } => range
            .clone()
            .map(|key| (key, found.get(&key).cloned().unwrap_or_default(), true))
            .collect(),
        _ => Vec::new(),
    }
}

/// The registers that an operation read, and whether by a predicate.
fn register_reads(operation: &Operation) -> Vec<(Key, Option<Value>, bool)> {
    match operation {
        Operation::Read { key, value } => vec![(*key, *value, false)],
        Operation::Scan { range, found } => range
            .clone()
            .map(|key| (key, found.get(&key).copied(), true))
            .collect(),
        _ => Vec::new(),
    }
}
