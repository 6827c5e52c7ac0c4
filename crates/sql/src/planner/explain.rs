//! EXPLAIN: a plan as text.

use std::time::Duration;

use crate::{
    bound::JoinKind,
    executor::Measurements,
    planner::{
        expr_text::Names,
        physical::{
            AccessPath, ExecutorKind, InitKind, PhysicalNode, PhysicalPlan, PlannedExpr,
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

/// Prints `plan` below the lines of `heading` (what a data-changing statement does with it).
pub(crate) fn explain(
    plan: &QueryPlan,
    heading: Option<String>,
    run: Option<&Run<'_>>,
) -> Vec<String> {
    let names = Names::of(plan);
    let mut printer = Printer {
        names: &names,
        run,
        lines: Vec::new(),
    };
    let depth = match heading {
        Some(heading) => {
            printer.lines.push(heading);
            1
        }
        None => 0,
    };
    printer.node(&plan.root, depth);
    for init in &plan.init {
        let what = match init.kind {
            InitKind::Scalar => "value",
            InitKind::Exists => "existence",
        };
        printer.lines.push(format!(
            "Subquery ${} ({what}, evaluated once)",
            init.parameter + 1
        ));
        printer.node(&init.plan, 1);
    }
    if !plan.rules.is_empty() {
        printer
            .lines
            .push(format!("Rules: {}", plan.rules.join(", ")));
    }
    if let Some(run) = run {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        printer
            .lines
            .push(format!("Planning Time: {:.3} ms", millis(run.planning)));
        printer
            .lines
            .push(format!("Execution Time: {:.3} ms", millis(run.execution)));
        printer.lines.push(format!(
            "Peak Memory: {} kB (whole database)",
            run.peak_memory.div_ceil(1024)
        ));
    }
    printer.lines
}

struct Printer<'a> {
    names: &'a Names,
    run: Option<&'a Run<'a>>,
    lines: Vec<String>,
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

impl Printer<'_> {
    fn detail(&mut self, depth: usize, label: &str, text: &str) {
        if !text.is_empty() {
            self.lines
                .push(format!("{}{label}: {text}", " ".repeat(depth * 6 + 2)));
        }
    }

    fn predicates(&mut self, depth: usize, label: &str, predicates: &[PlannedExpr]) {
        let text = self
            .names
            .list(predicates.iter().map(|of| &of.expr), " AND ");
        self.detail(depth, label, &text);
    }

    fn keys(&mut self, depth: usize, keys: &[PlannedSortKey]) {
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
        self.detail(depth, "Sort Key", &texts.join(", "));
    }

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
                format!("Index Scan{backward} using {index} on {table}")
            }
        }
    }

    fn node(&mut self, plan: &PhysicalPlan, depth: usize) {
        let title = match &plan.node {
            PhysicalNode::Scan(scan) => Printer::scan_name(scan),
            PhysicalNode::Values { rows } => match rows.len() {
                1 => "Result".to_owned(),
                _ => "Values".to_owned(),
            },
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
        let arrow = if depth == 0 {
            String::new()
        } else {
            format!("{}->  ", " ".repeat((depth - 1) * 6 + 2))
        };
        let estimate = &plan.estimate;
        let executor = match plan.executor {
            ExecutorKind::Row => "row",
            ExecutorKind::Vector => "vector",
        };
        let reason = if plan.reason.is_empty() {
            ""
        } else {
            &plan.reason
        };
        let mut line = format!(
            "{arrow}{title}  (cost={:.0} rows={:.0}) [{executor}{}{reason}]",
            estimate.cost,
            estimate.rows,
            if reason.is_empty() { "" } else { ": " },
        );
        if let Some(run) = self.run {
            match run.measurements.node(plan.id) {
                Some(node) if node.runs() > 0 => {
                    let memory = match node.peak_memory() {
                        0 => String::new(),
                        bytes => format!(" memory={} kB", bytes.div_ceil(1024)),
                    };
                    line.push_str(&format!(
                        " (actual time={:.3} ms rows={}{memory})",
                        node.nanos() as f64 / 1e6,
                        node.rows(),
                    ));
                }
                _ => line.push_str(" (never executed)"),
            }
        }
        self.lines.push(line);
        self.details(plan, depth);
        for input in plan.inputs() {
            self.node(input, depth + 1);
        }
    }

    fn details(&mut self, plan: &PhysicalPlan, depth: usize) {
        match &plan.node {
            PhysicalNode::Scan(scan) => {
                let label = if matches!(scan.path, AccessPath::Table) {
                    "Key Cond"
                } else {
                    "Index Cond"
                };
                self.predicates(depth, label, &scan.condition_exprs);
                self.predicates(depth, "Filter", &scan.filter);
            }
            PhysicalNode::Filter { predicates, .. } => self.predicates(depth, "Filter", predicates),
            PhysicalNode::Project { items, .. } => {
                let text = self.names.list(items.iter().map(|item| &item.expr), ", ");
                self.detail(depth, "Output", &text);
            }
            PhysicalNode::NestedLoopJoin { on, .. } => self.predicates(depth, "Join Filter", on),
            PhysicalNode::Apply { bindings, on, .. } => {
                let texts: Vec<String> = bindings
                    .iter()
                    .map(|(parameter, value)| {
                        format!("${} = {}", parameter + 1, self.names.text(&value.expr))
                    })
                    .collect();
                self.detail(depth, "Parameters", &texts.join(", "));
                self.predicates(depth, "Join Filter", on);
            }
            PhysicalNode::LookupJoin { right, on, .. } => {
                self.detail(depth, "Inner", &Printer::scan_name(right));
                self.predicates(depth, "Join Cond", on);
                self.predicates(depth, "Inner Filter", &right.filter);
            }
            PhysicalNode::HashJoin {
                left_keys,
                right_keys,
                residual,
                ..
            } => {
                let pairs: Vec<String> = left_keys
                    .iter()
                    .zip(right_keys.iter())
                    .map(|(left, right)| {
                        format!(
                            "({} = {})",
                            self.names.text(&left.expr),
                            self.names.text(&right.expr)
                        )
                    })
                    .collect();
                self.detail(depth, "Hash Cond", &pairs.join(" AND "));
                self.predicates(depth, "Join Filter", residual);
            }
            PhysicalNode::HashAggregate { keys, sets, .. } => match sets {
                None => {
                    let text = self.names.list(keys.iter().map(|key| &key.expr), ", ");
                    self.detail(depth, "Group Key", &text);
                }
                Some(sets) => {
                    for set in sets.iter() {
                        let of_set = set.iter().filter_map(|at| keys.get(*at));
                        let text = self.names.list(of_set.map(|key| &key.expr), ", ");
                        self.detail(depth, "Group Key", &format!("({text})"));
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
                self.detail(depth, "Partition", &text);
                let text = self.names.list(order.iter().map(|key| &key.expr), ", ");
                self.detail(depth, "Order", &text);
                let texts: Vec<String> = calls
                    .iter()
                    .map(|call| self.names.window_call(call))
                    .collect();
                self.detail(depth, "Functions", &texts.join(", "));
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
                self.detail(depth, "On", &texts.join(", "));
            }
            PhysicalNode::Sort { keys, .. } => self.keys(depth, keys),
            PhysicalNode::TopN {
                keys,
                limit,
                offset,
                ..
            } => {
                self.keys(depth, keys);
                self.detail(depth, "Limit", &self.names.text(&limit.expr));
                if let Some(offset) = offset {
                    self.detail(depth, "Offset", &self.names.text(&offset.expr));
                }
            }
            PhysicalNode::Limit { limit, offset, .. } => {
                for (label, expr) in [("Limit", limit), ("Offset", offset)] {
                    if let Some(expr) = expr {
                        self.detail(depth, label, &self.names.text(&expr.expr));
                    }
                }
            }
            PhysicalNode::LockRows { locks, .. } => {
                for lock in locks.iter() {
                    let what = format!("{} {}", lock.table.table.name, lock.strength);
                    self.detail(depth, "Lock", &what);
                }
            }
            PhysicalNode::TableFunctions { calls, .. } => {
                let texts: Vec<String> = calls
                    .iter()
                    .map(|call| self.names.table_call(call))
                    .collect();
                self.detail(depth, "Functions", &texts.join(", "));
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
