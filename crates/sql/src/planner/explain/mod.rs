//! EXPLAIN: what is shown of a plan. [`render`] writes it as text or JSON.

mod render;

use std::time::Duration;

use crate::{
    bound::JoinKind,
    executor::Measurements,
    planner::{
        expr_text::Names,
        physical::{
            AccessPath, Estimate, ExecutorKind, InitKind, PhysicalNode, PhysicalPlan, PlannedExpr,
            PlannedSortKey, QueryPlan, ScanNode,
        },
    },
};

/// What EXPLAIN ANALYZE found out beside the nodes' measurements.
pub(crate) struct Run<'a> {
    /// The nodes' rows and times.
    pub(crate) measurements: &'a Measurements,
    /// From the statement's text to its plan.
    pub(crate) planning: Duration,
    /// From the first row asked for to the last one given.
    pub(crate) execution: Duration,
    /// The most memory that the whole database had reserved.
    pub(crate) peak_memory: usize,
}

/// What is shown of a plan.
pub(crate) struct Explained {
    /// What a data-changing statement does with the rows.
    heading: Option<String>,
    root: ShownNode,
    /// Subqueries that are evaluated once: parameter, what it becomes, plan.
    subqueries: Vec<(usize, &'static str, ShownNode)>,
    rules: Vec<&'static str>,
    summary: Option<Summary>,
}

/// What EXPLAIN ANALYZE shows of the whole.
struct Summary {
    planning: Duration,
    execution: Duration,
    peak_memory: usize,
}

/// What is shown of a node.
struct ShownNode {
    title: String,
    estimate: Estimate,
    executor: &'static str,
    reason: String,
    actual: Option<Actual>,
    details: Vec<(&'static str, String)>,
    inputs: Vec<ShownNode>,
}

/// What became of a node.
#[derive(Clone, Copy)]
enum Actual {
    Ran { nanos: u64, rows: u64, memory: u64 },
    NeverExecuted,
}

impl Explained {
    /// Describes `plan`, under the line `heading`.
    pub(crate) fn new(
        plan: &QueryPlan,
        heading: Option<String>,
        run: Option<&Run<'_>>,
    ) -> Explained {
        let names = Names::of(plan);
        let printer = Printer { names: &names, run };
        Explained {
            heading,
            root: printer.node(&plan.root),
            subqueries: plan
                .init
                .iter()
                .map(|init| {
                    let what = match init.kind {
                        InitKind::Scalar => "value",
                        InitKind::Exists => "existence",
                    };
                    (init.parameter + 1, what, printer.node(&init.plan))
                })
                .collect(),
            rules: plan.rules.clone(),
            summary: run.map(|run| Summary {
                planning: run.planning,
                execution: run.execution,
                peak_memory: run.peak_memory,
            }),
        }
    }
}

struct Printer<'a> {
    names: &'a Names,
    run: Option<&'a Run<'a>>,
}

/// The details of one node.
struct Details<'a> {
    names: &'a Names,
    found: Vec<(&'static str, String)>,
}

fn join_name(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "",
        JoinKind::Left => " Left",
        JoinKind::Right => " Right",
        JoinKind::Full => " Full",
        JoinKind::Semi => " Semi",
        JoinKind::Anti => " Anti",
        JoinKind::Mark(_) => " Mark",
        JoinKind::Exists(_) => " Exists",
        JoinKind::Single => " Single",
    }
}

/// What a scan is called.
fn scan_name(scan: &ScanNode) -> String {
    let table = &scan.table.table.name;
    let backward = if scan.backward { " Backward" } else { "" };
    match scan.path {
        AccessPath::Table if scan.condition.is_all() => {
            format!("Table Scan{backward} on {table}")
        }
        AccessPath::Table => {
            format!(
                "Key Scan{backward} using {} on {table}",
                scan.table.primary_key_name()
            )
        }
        AccessPath::Index(at) => {
            let index = scan
                .table
                .indexes
                .get(at)
                .map_or("?", |index| index.name.as_str());
            let only = if scan.entries.is_some() { " Only" } else { "" };
            format!("Index{only} Scan{backward} using {index} on {table}")
        }
    }
}

impl Printer<'_> {
    fn node(&self, plan: &PhysicalPlan) -> ShownNode {
        let title = match &plan.node {
            PhysicalNode::Scan(scan) => scan_name(scan),
            PhysicalNode::IndexUnion { fetch, .. } => {
                let backward = if fetch.backward { " Backward" } else { "" };
                format!("Index Union{backward} on {}", fetch.table.table.name)
            }
            PhysicalNode::Values { rows } => match rows.len() {
                1 => "Result".to_owned(),
                _ => "Values".to_owned(),
            },
            PhysicalNode::SystemScan(scan) => format!("System Scan on {}", scan.relation.name),
            PhysicalNode::Buffered { .. } => "Buffered Rows".to_owned(),
            PhysicalNode::TableFunctions { .. } => "Function Scan".to_owned(),
            PhysicalNode::With { name, .. } => format!("With {name}"),
            PhysicalNode::SharedScan { name, .. } => format!("CTE Scan on {name}"),
            PhysicalNode::Recursive { name, .. } => format!("Recursive Union {name}"),
            PhysicalNode::Filter { .. } => "Filter".to_owned(),
            PhysicalNode::Project { .. } => "Project".to_owned(),
            PhysicalNode::NestedLoopJoin { kind, .. } => {
                format!("Nested Loop{} Join", join_name(*kind))
            }
            PhysicalNode::Apply { kind, .. } => format!("Apply{} Join", join_name(*kind)),
            PhysicalNode::LookupJoin { kind, .. } => format!("Lookup{} Join", join_name(*kind)),
            PhysicalNode::HashJoin { kind, .. } => format!("Hash{} Join", join_name(*kind)),
            PhysicalNode::HashAggregate { keys, .. } if keys.is_empty() => "Aggregate".to_owned(),
            PhysicalNode::HashAggregate { .. } => "Hash Aggregate".to_owned(),
            PhysicalNode::Window { .. } => "Window".to_owned(),
            PhysicalNode::Distinct { .. } => "Distinct".to_owned(),
            PhysicalNode::LockRows { .. } => "Lock Rows".to_owned(),
            PhysicalNode::Sort { .. } => "Sort".to_owned(),
            PhysicalNode::TopN { .. } => "Top-N Sort".to_owned(),
            PhysicalNode::Limit { .. } => "Limit".to_owned(),
            PhysicalNode::UnionAll { .. } => "Append".to_owned(),
        };
        let mut details = Details {
            names: self.names,
            found: Vec::new(),
        };
        details.describe(plan);
        ShownNode {
            title,
            estimate: plan.estimate,
            executor: match plan.executor {
                ExecutorKind::Row => "row",
                ExecutorKind::Vector => "vector",
            },
            reason: plan.reason.to_string(),
            actual: self.run.map(|run| match run.measurements.node(plan.id) {
                Some(node) if node.runs() > 0 => Actual::Ran {
                    nanos: node.nanos(),
                    rows: node.rows(),
                    memory: node.peak_memory(),
                },
                _ => Actual::NeverExecuted,
            }),
            details: details.found,
            inputs: plan
                .inputs()
                .into_iter()
                .map(|input| self.node(input))
                .collect(),
        }
    }
}

impl Details<'_> {
    fn detail(&mut self, label: &'static str, text: &str) {
        if !text.is_empty() {
            self.found.push((label, text.to_owned()));
        }
    }

    fn predicates(&mut self, label: &'static str, predicates: &[PlannedExpr]) {
        let text = self
            .names
            .list(predicates.iter().map(|of| &of.expr), " AND ");
        self.detail(label, &text);
    }

    fn keys(&mut self, keys: &[PlannedSortKey]) {
        let texts: Vec<String> = keys
            .iter()
            .map(|key| {
                let direction = if key.descending { " DESC" } else { "" };
                let nulls = match (key.descending, key.nulls_first) {
                    (false, true) => " NULLS FIRST",
                    (true, false) => " NULLS LAST",
                    _ => "",
                };
                format!("{}{direction}{nulls}", self.names.text(&key.expr.expr))
            })
            .collect();
        self.detail("Sort Key", &texts.join(", "));
    }

    fn describe(&mut self, plan: &PhysicalPlan) {
        match &plan.node {
            PhysicalNode::Scan(scan) => {
                let label = if matches!(scan.path, AccessPath::Table) {
                    "Key Cond"
                } else {
                    "Index Cond"
                };
                let text = self.names.list(&scan.condition_exprs, " AND ");
                self.detail(label, &text);
                self.predicates("Filter", &scan.filter);
            }
            PhysicalNode::IndexUnion { fetch, .. } => {
                self.predicates("Recheck Cond", &fetch.implied);
                self.predicates("Filter", &fetch.filter);
            }
            PhysicalNode::Filter { predicates, .. } => self.predicates("Filter", predicates),
            PhysicalNode::Project { items, .. } => {
                let text = self.names.list(items.iter().map(|item| &item.expr), ", ");
                self.detail("Output", &text);
            }
            PhysicalNode::NestedLoopJoin { on, .. } => self.predicates("Join Filter", on),
            PhysicalNode::Apply { bindings, on, .. } => {
                let texts: Vec<String> = bindings
                    .iter()
                    .map(|(parameter, value)| {
                        format!("${} = {}", parameter + 1, self.names.text(&value.expr))
                    })
                    .collect();
                self.detail("Parameters", &texts.join(", "));
                self.predicates("Join Filter", on);
            }
            PhysicalNode::LookupJoin { right, on, .. } => {
                self.detail("Inner", &scan_name(right));
                self.predicates("Join Cond", on);
                self.predicates("Inner Filter", &right.filter);
            }
            PhysicalNode::HashJoin {
                left_keys,
                right_keys,
                nulls_equal,
                residual,
                ..
            } => {
                let pairs: Vec<String> = left_keys
                    .iter()
                    .zip(right_keys.iter())
                    .zip(nulls_equal.iter())
                    .map(|((left, right), nulls_equal)| {
                        let equals = if *nulls_equal {
                            "IS NOT DISTINCT FROM"
                        } else {
                            "="
                        };
                        format!(
                            "({} {equals} {})",
                            self.names.text(&left.expr),
                            self.names.text(&right.expr)
                        )
                    })
                    .collect();
                self.detail("Hash Cond", &pairs.join(" AND "));
                self.predicates("Join Filter", residual);
            }
            PhysicalNode::HashAggregate { keys, sets, .. } => match sets {
                None => {
                    let text = self.names.list(keys.iter().map(|key| &key.expr), ", ");
                    self.detail("Group Key", &text);
                }
                Some(sets) => {
                    for set in sets.iter() {
                        let of_set = set.iter().filter_map(|at| keys.get(*at));
                        let text = self.names.list(of_set.map(|key| &key.expr), ", ");
                        self.detail("Group Key", &format!("({text})"));
                    }
                }
            },
            PhysicalNode::Window {
                partition,
                order,
                calls,
                ..
            } => {
                let text = self.names.list(partition.iter().map(|key| &key.expr), ", ");
                self.detail("Partition", &text);
                let text = self.names.list(order.iter().map(|key| &key.expr), ", ");
                self.detail("Order", &text);
                let texts: Vec<String> = calls
                    .iter()
                    .map(|call| self.names.window_call(call))
                    .collect();
                self.detail("Functions", &texts.join(", "));
            }
            PhysicalNode::Distinct {
                input,
                on: Some(on),
            } => {
                let texts: Vec<&str> = on
                    .iter()
                    .filter_map(|at| input.columns.get(*at))
                    .map(|column| self.names.column(column.id))
                    .collect();
                self.detail("On", &texts.join(", "));
            }
            PhysicalNode::Sort { keys, .. } => self.keys(keys),
            PhysicalNode::TopN {
                keys,
                limit,
                offset,
                ..
            } => {
                self.keys(keys);
                self.detail("Limit", &self.names.text(&limit.expr));
                if let Some(offset) = offset {
                    self.detail("Offset", &self.names.text(&offset.expr));
                }
            }
            PhysicalNode::Limit { limit, offset, .. } => {
                for (label, expr) in [("Limit", limit), ("Offset", offset)] {
                    if let Some(expr) = expr {
                        self.detail(label, &self.names.text(&expr.expr));
                    }
                }
            }
            PhysicalNode::LockRows { locks, .. } => {
                for lock in locks.iter() {
                    let what = format!("{} {}", lock.table.table.name, lock.strength);
                    self.detail("Lock", &what);
                }
            }
            PhysicalNode::TableFunctions { calls, .. } => {
                let texts: Vec<String> = calls
                    .iter()
                    .map(|call| self.names.table_call(call))
                    .collect();
                self.detail("Functions", &texts.join(", "));
            }
            PhysicalNode::SystemScan(scan) => {
                self.predicates("Filter", &scan.filter);
            }
            PhysicalNode::Values { .. }
            | PhysicalNode::Buffered { .. }
            | PhysicalNode::With { .. }
            | PhysicalNode::SharedScan { .. }
            | PhysicalNode::Recursive { .. }
            | PhysicalNode::Distinct { .. }
            | PhysicalNode::UnionAll { .. } => {}
        }
    }
}
