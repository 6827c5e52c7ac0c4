//! Expressions as SQL text, for EXPLAIN.

use std::{collections::HashMap, fmt::Write as _};

use crate::{
    Value,
    bound::{
        AggregateCall, AggregateFunction, BinaryOp, ColumnId, Expr, ExprKind, ScalarFunction,
        SharedId, SystemFunction, TableFunction, UnaryOp, WindowFunction,
    },
    planner::physical::{
        PhysicalNode, PhysicalPlan, PlannedTableCall, PlannedWindowCall, QueryPlan,
    },
};

/// What the columns of a plan are called.
#[derive(Debug, Default)]
pub(crate) struct Names(
    HashMap<ColumnId, String>,
    /// The columns of WITH queries.
    HashMap<SharedId, Vec<ColumnId>>,
);

impl Names {
    /// The names for a whole statement.
    pub(crate) fn of(plan: &QueryPlan) -> Names {
        let mut names = Names::default();
        let mut tables = 0;
        for init in &plan.init {
            count_scans(&init.plan, &mut tables);
        }
        count_scans(&plan.root, &mut tables);
        for init in &plan.init {
            names.collect(&init.plan, tables > 1);
        }
        names.collect(&plan.root, tables > 1);
        names
    }

    fn collect(&mut self, plan: &PhysicalPlan, qualified: bool) {
        // What is read must have its names before what reads it.
        match &plan.node {
            PhysicalNode::With { id, definition, .. } => {
                let columns = definition.columns.iter().map(|column| column.id).collect();
                self.1.insert(*id, columns);
            }
            PhysicalNode::Recursive { id, base, .. } => {
                self.collect(base, qualified);
                let columns = base.columns.iter().map(|column| column.id).collect();
                self.1.insert(*id, columns);
            }
            _ => {}
        }
        for input in plan.inputs() {
            self.collect(input, qualified);
        }
        let scan = match &plan.node {
            PhysicalNode::Scan(scan) | PhysicalNode::IndexUnion { fetch: scan, .. } => {
                Some((scan, &plan.columns))
            }
            PhysicalNode::LookupJoin {
                right,
                right_columns,
                ..
            } => Some((right, right_columns)),
            _ => None,
        };
        if let Some((scan, columns)) = scan {
            let table = &scan.table.table;
            for (column, ordinal) in columns.iter().zip(&scan.ordinals) {
                let name = table
                    .columns
                    .get(*ordinal)
                    .map_or("?", |column| &column.name);
                let name = if qualified {
                    format!("{}.{name}", table.name)
                } else {
                    name.to_owned()
                };
                self.0.insert(column.id, name);
            }
            if let Some(id) = scan.row_key {
                self.0.insert(id, "(row key)".to_owned());
            }
        }
        if let PhysicalNode::SystemScan(scan) = &plan.node {
            for (column, ordinal) in plan.columns.iter().zip(&scan.ordinals) {
                let name = scan
                    .relation
                    .columns
                    .get(*ordinal)
                    .map_or("?", |of| of.name);
                self.0.insert(column.id, name.to_owned());
            }
        }
        match &plan.node {
            PhysicalNode::Project { items, .. } => {
                for (column, item) in plan.columns.iter().zip(items.iter()) {
                    let text = self.text(&item.expr);
                    self.0.entry(column.id).or_insert(text);
                }
            }
            PhysicalNode::HashAggregate {
                keys, aggregates, ..
            } => {
                let texts: Vec<String> = keys
                    .iter()
                    .map(|key| self.text(&key.expr))
                    .chain(
                        aggregates
                            .iter()
                            .map(|aggregate| self.call(&aggregate.call)),
                    )
                    .collect();
                for (column, text) in plan.columns.iter().zip(texts) {
                    self.0.entry(column.id).or_insert(text);
                }
            }
            PhysicalNode::TableFunctions { calls, .. } => {
                let texts: Vec<String> = calls.iter().map(|call| self.table_call(call)).collect();
                for (column, text) in plan.columns.iter().zip(texts) {
                    self.0.entry(column.id).or_insert(text);
                }
            }
            PhysicalNode::SharedScan {
                id,
                name,
                positions,
            } => {
                let sources = self.1.get(id).cloned().unwrap_or_default();
                for (column, position) in plan.columns.iter().zip(positions.iter()) {
                    let source = sources.get(*position).and_then(|id| self.0.get(id));
                    let text = source.map_or("?", |text| text.rsplit('.').next().unwrap_or(text));
                    let text = format!("{name}.{text}");
                    self.0.entry(column.id).or_insert(text);
                }
            }
            PhysicalNode::Recursive { base, .. } => {
                for (column, source) in plan.columns.iter().zip(&base.columns) {
                    if let Some(text) = self.0.get(&source.id).cloned() {
                        self.0.entry(column.id).or_insert(text);
                    }
                }
            }
            PhysicalNode::Window { input, calls, .. } => {
                let texts: Vec<String> = calls.iter().map(|call| self.window_call(call)).collect();
                for (column, text) in plan.columns.iter().skip(input.columns.len()).zip(texts) {
                    self.0.entry(column.id).or_insert(text);
                }
            }
            PhysicalNode::UnionAll { inputs } => {
                if let Some((first, positions)) = inputs.first() {
                    for (column, position) in plan.columns.iter().zip(positions) {
                        let name = first
                            .columns
                            .get(*position)
                            .and_then(|column| self.0.get(&column.id).cloned());
                        if let Some(name) = name {
                            self.0.entry(column.id).or_insert(name);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// `expr` as SQL.
    pub(crate) fn text(&self, expr: &Expr) -> String {
        let mut out = String::new();
        self.write(expr, &mut out);
        out
    }

    /// A list of expressions.
    pub(crate) fn list<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        between: &str,
    ) -> String {
        let texts: Vec<String> = exprs.into_iter().map(|expr| self.text(expr)).collect();
        texts.join(between)
    }

    /// What a column is called.
    pub(crate) fn column(&self, id: ColumnId) -> &str {
        self.0.get(&id).map_or("?", String::as_str)
    }

    /// A window function call as SQL, without its window.
    pub(crate) fn window_call(&self, call: &PlannedWindowCall) -> String {
        let name = match &call.function {
            WindowFunction::Aggregate(aggregate) => return self.call(aggregate),
            function => snake_case(&format!("{function:?}")),
        };
        let arguments = self.list(call.arguments.iter().map(|of| &of.expr), ", ");
        format!("{name}({arguments})")
    }

    /// A call of a function that gives rows as SQL.
    pub(crate) fn table_call(&self, call: &PlannedTableCall) -> String {
        let arguments = self.list(call.arguments.iter().map(|of| &of.expr), ", ");
        match call.function {
            TableFunction::Scalar => arguments,
            function => format!("{}({arguments})", snake_case(&format!("{function:?}"))),
        }
    }

    /// An aggregate call as SQL.
    pub(crate) fn call(&self, call: &AggregateCall) -> String {
        let arguments = self.list(&call.arguments, ", ");
        let name = match call.function {
            AggregateFunction::CountStar => return self.filtered("count(*)".to_owned(), call),
            function => snake_case(&format!("{function:?}")),
        };
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        self.filtered(format!("{name}({distinct}{arguments})"), call)
    }

    fn filtered(&self, text: String, call: &AggregateCall) -> String {
        match &call.filter {
            Some(filter) => format!("{text} FILTER (WHERE {})", self.text(filter)),
            None => text,
        }
    }

    fn write(&self, expr: &Expr, out: &mut String) {
        let not = |negated: bool| if negated { "NOT " } else { "" };
        match &expr.kind {
            ExprKind::Literal(value) => write_literal(value, out),
            ExprKind::Column(id) => match self.0.get(id) {
                Some(name) => out.push_str(name),
                None => {
                    let _ = write!(out, "column{}", id.0);
                }
            },
            ExprKind::Parameter(number) => {
                let _ = write!(out, "${}", number + 1);
            }
            ExprKind::Unary(op, operand) => {
                out.push_str(match op {
                    UnaryOp::Not => "NOT ",
                    UnaryOp::Negate => "-",
                    UnaryOp::BitNot => "~",
                });
                self.write(operand, out);
            }
            ExprKind::Binary(op, left, right) => {
                out.push('(');
                self.write(left, out);
                let _ = write!(out, " {} ", op.symbol());
                self.write(right, out);
                out.push(')');
            }
            ExprKind::And(operands) => self.write_joined(operands, " AND ", out),
            ExprKind::Or(operands) => match rows_compared(expr) {
                Some((op, pairs)) => {
                    let left = self.list(pairs.iter().map(|(left, _)| *left), ", ");
                    let right = self.list(pairs.iter().map(|(_, right)| *right), ", ");
                    let _ = write!(out, "(ROW({left}) {} ROW({right}))", op.symbol());
                }
                None => self.write_joined(operands, " OR ", out),
            },
            ExprKind::IsNull { operand, negated } => {
                out.push('(');
                self.write(operand, out);
                let _ = write!(out, " IS {}NULL)", not(*negated));
            }
            ExprKind::IsTruth {
                operand,
                value,
                negated,
            } => {
                out.push('(');
                self.write(operand, out);
                let value = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                let _ = write!(out, " IS {}{value})", not(*negated));
            }
            ExprKind::IsDistinct {
                left,
                right,
                negated,
            } => {
                out.push('(');
                self.write(left, out);
                let _ = write!(out, " IS {}DISTINCT FROM ", not(*negated));
                self.write(right, out);
                out.push(')');
            }
            ExprKind::InList {
                operand,
                list,
                negated,
            } => {
                out.push('(');
                self.write(operand, out);
                let _ = write!(out, " {}IN (", not(*negated));
                out.push_str(&self.list(list, ", "));
                out.push_str("))");
            }
            ExprKind::Like {
                operand,
                pattern,
                case_insensitive,
                negated,
                ..
            } => {
                out.push('(');
                self.write(operand, out);
                let name = if *case_insensitive { "ILIKE" } else { "LIKE" };
                let _ = write!(out, " {}{name} ", not(*negated));
                self.write(pattern, out);
                out.push(')');
            }
            ExprKind::Case {
                branches,
                otherwise,
            } => {
                out.push_str("CASE");
                for (condition, result) in branches {
                    out.push_str(" WHEN ");
                    self.write(condition, out);
                    out.push_str(" THEN ");
                    self.write(result, out);
                }
                if let Some(otherwise) = otherwise {
                    out.push_str(" ELSE ");
                    self.write(otherwise, out);
                }
                out.push_str(" END");
            }
            ExprKind::Cast(operand) | ExprKind::AssignmentCast(operand) => {
                self.write(operand, out);
                let _ = write!(out, "::{}", expr.data_type);
            }
            ExprKind::Function(
                ScalarFunction::System(SystemFunction::Reference(class)),
                arguments,
            ) => {
                let _ = write!(out, "{}::{}", self.list(arguments, ", "), class.type_name());
            }
            ExprKind::Function(
                function @ (ScalarFunction::ArrayAny | ScalarFunction::ArrayAll),
                arguments,
            ) if let [symbol, operand, array] = arguments.as_slice()
                && let ExprKind::Literal(Value::Text(symbol)) = &symbol.kind =>
            {
                let all = *function == ScalarFunction::ArrayAll;
                let quantifier = if all { "ALL" } else { "ANY" };
                out.push('(');
                self.write(operand, out);
                let _ = write!(out, " {symbol} {quantifier} (");
                self.write(array, out);
                out.push_str("))");
            }
            ExprKind::Function(ScalarFunction::ArrayBuild, items) => {
                let _ = write!(out, "ARRAY[{}]", self.list(items, ", "));
            }
            ExprKind::Function(function, arguments) => {
                let name = match function {
                    ScalarFunction::System(function) => snake_case(&format!("{function:?}")),
                    function => snake_case(&format!("{function:?}")),
                };
                let _ = write!(out, "{name}({})", self.list(arguments, ", "));
            }
            ExprKind::ScalarSubquery(_) | ExprKind::InSubquery { .. } | ExprKind::Exists { .. } => {
                out.push_str("(subquery)")
            }
        }
    }

    fn write_joined(&self, operands: &[Expr], between: &str, out: &mut String) {
        out.push('(');
        out.push_str(&self.list(operands, between));
        out.push(')');
    }
}

/// The pairs of values that a comparison of rows compares, and how: `(a, b) < (c, d)` comes as
/// `a < c OR (a = c AND b < d)`.
fn rows_compared(expr: &Expr) -> Option<(BinaryOp, Vec<(&Expr, &Expr)>)> {
    let ExprKind::Or(operands) = &expr.kind else {
        return match &expr.kind {
            ExprKind::Binary(op, left, right) => Some((*op, vec![(&**left, &**right)])),
            _ => None,
        };
    };
    let [first, rest] = operands.as_slice() else {
        return None;
    };
    let (ExprKind::Binary(step, left, right), ExprKind::And(rest)) = (&first.kind, &rest.kind)
    else {
        return None;
    };
    let [equal, rest] = rest.as_slice() else {
        return None;
    };
    let ExprKind::Binary(BinaryOp::Equal, same_left, same_right) = &equal.kind else {
        return None;
    };
    let (op, others) = rows_compared(rest)?;
    let strict = match op {
        BinaryOp::LessOrEqual => BinaryOp::Less,
        BinaryOp::GreaterOrEqual => BinaryOp::Greater,
        BinaryOp::Less | BinaryOp::Greater => op,
        _ => return None,
    };
    if *step != strict || !left.is_same(same_left) || !right.is_same(same_right) {
        return None;
    }
    let mut pairs = vec![(&**left, &**right)];
    pairs.extend(others);
    Some((op, pairs))
}

fn count_scans(plan: &PhysicalPlan, count: &mut usize) {
    *count += usize::from(matches!(
        plan.node,
        PhysicalNode::Scan(_) | PhysicalNode::IndexUnion { .. } | PhysicalNode::LookupJoin { .. }
    ));
    // Its branches are of the same table.
    if matches!(plan.node, PhysicalNode::IndexUnion { .. }) {
        return;
    }
    for input in plan.inputs() {
        count_scans(input, count);
    }
}

fn write_literal(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("NULL"),
        Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Int1(_)
        | Value::Int2(_)
        | Value::Int4(_)
        | Value::Int8(_)
        | Value::Float4(_)
        | Value::Float8(_)
        | Value::Decimal(_) => {
            let _ = write!(out, "{value}");
        }
        other => {
            let _ = write!(out, "'{}'", other.to_string().replace('\'', "''"));
        }
    }
}

/// `RegexpReplace` → `regexp_replace`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}
