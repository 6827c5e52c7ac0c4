//! The physical plan: which operators run, in which executor, and why.
//!
//! A plan is a tree of [`PhysicalPlan`] nodes. Each node lists the columns it gives, in the
//! order in which rows carry them; expressions in a node are compiled against the positions of
//! its input (for joins: the left input's columns, then the right's). A node also says which
//! executor runs it: the row executor walks the tree with one operator per node; a subtree
//! whose root says [`ExecutorKind::Vector`] is handed to the vector executor whole.

use std::{borrow::Cow, sync::Arc};

use crate::{
    DataType, Result,
    bound::{
        AggregateCall, ColumnId, Expr, FrameExclusion, JoinKind, LockStrength, LockWaitPolicy,
        SharedId, TableFunction, WindowFunction,
    },
    encoding::RowDecoder,
    engine::{index_entry::EntryDecoder, table::TableHandle},
    eval::CompiledExpr,
    system::SystemRelation,
};

/// Which executor runs a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecutorKind {
    /// One row at a time.
    Row,
    /// Arrow batches.
    Vector,
}

/// A column that a node gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlanColumn {
    /// Its id in the statement.
    pub(crate) id: ColumnId,
    /// Its type.
    pub(crate) data_type: DataType,
}

/// What the planner expects of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    /// Rows it gives.
    pub(crate) rows: f64,
    /// The cost of giving all of them, its inputs included; one is about a row read in order.
    pub(crate) cost: f64,
}

/// A node with what surrounds it.
#[derive(Clone, Debug)]
pub(crate) struct PhysicalPlan {
    /// Its number within the statement, in the order of printing: measurements go by it.
    pub(crate) id: usize,
    /// What it does.
    pub(crate) node: PhysicalNode,
    /// The columns of its rows, in order.
    pub(crate) columns: Vec<PlanColumn>,
    /// What is expected of it.
    pub(crate) estimate: Estimate,
    /// Which executor runs it.
    pub(crate) executor: ExecutorKind,
    /// Why that one.
    pub(crate) reason: Cow<'static, str>,
}

/// An expression, kept in both forms: the bound one for EXPLAIN and the vector executor, the
/// compiled one for rows.
#[derive(Clone, Debug)]
pub(crate) struct PlannedExpr {
    /// As bound. Subqueries have become parameters or columns.
    pub(crate) expr: Expr,
    /// Over the positions of the node's input.
    pub(crate) compiled: Arc<CompiledExpr>,
}

impl PlannedExpr {
    /// Compiles `expr` over rows of `columns`.
    pub(crate) fn new(expr: Expr, columns: &[PlanColumn]) -> Result<PlannedExpr> {
        let position = |id: ColumnId| columns.iter().position(|column| column.id == id);
        let compiled = Arc::new(CompiledExpr::compile(&expr, &position)?);
        Ok(PlannedExpr { expr, compiled })
    }

    /// Compiles each of `exprs`.
    pub(crate) fn all(exprs: Vec<Expr>, columns: &[PlanColumn]) -> Result<Vec<PlannedExpr>> {
        exprs
            .into_iter()
            .map(|expr| PlannedExpr::new(expr, columns))
            .collect()
    }
}

/// A key of a sort.
#[derive(Clone, Debug)]
pub(crate) struct PlannedSortKey {
    /// What to sort by.
    pub(crate) expr: PlannedExpr,
    /// Descending.
    pub(crate) descending: bool,
    /// NULLs first.
    pub(crate) nulls_first: bool,
}

/// One aggregate.
#[derive(Clone, Debug)]
pub(crate) struct PlannedAggregate {
    /// As bound.
    pub(crate) call: AggregateCall,
    /// Its arguments, over the input.
    pub(crate) arguments: Arc<[CompiledExpr]>,
    /// Its FILTER, over the input.
    pub(crate) filter: Option<Arc<CompiledExpr>>,
    /// The order in which it takes its rows, over the input.
    pub(crate) order_by: Arc<[PlannedSortKey]>,
}

/// One call of a function that gives rows.
#[derive(Clone, Debug)]
pub(crate) struct PlannedTableCall {
    /// Which.
    pub(crate) function: TableFunction,
    /// Its arguments, without input columns.
    pub(crate) arguments: Vec<PlannedExpr>,
    /// The type of its column.
    pub(crate) data_type: DataType,
}

/// One call of a window function, over the window's input.
#[derive(Clone, Debug)]
pub(crate) struct PlannedWindowCall {
    /// Which function.
    pub(crate) function: WindowFunction,
    /// Its arguments.
    pub(crate) arguments: Arc<[PlannedExpr]>,
    /// FILTER.
    pub(crate) filter: Option<PlannedExpr>,
    /// Where its frame starts.
    pub(crate) start: PlannedBound,
    /// Where it ends.
    pub(crate) end: PlannedBound,
    /// Which rows of it do not count.
    pub(crate) exclusion: FrameExclusion,
}

/// An end of a frame, as [`crate::bound::FrameBound`].
#[derive(Clone, Debug)]
pub(crate) enum PlannedBound {
    /// The partition's end.
    Unbounded,
    /// The current row.
    Row,
    /// Rows before or after it.
    Rows(PlannedExpr, bool),
    /// The current row's peers.
    Peers,
    /// Groups of peers before or after them.
    Groups(PlannedExpr, bool),
    /// By value.
    Range {
        /// The distance.
        offset: PlannedExpr,
        /// What a row is found by.
        key: PlannedExpr,
        /// What the current row looks for.
        target: PlannedExpr,
        /// Keys descend.
        descending: bool,
    },
}

/// Through which order of a table its rows are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessPath {
    /// The rows themselves, in the order of the primary key or of arrival.
    Table,
    /// The table's index of this position, then the rows one by one.
    Index(usize),
}

/// One end of a key range.
#[derive(Clone, Debug)]
pub(crate) struct KeyBound {
    /// The value, without input columns, of the key column's type.
    pub(crate) value: PlannedExpr,
    /// Whether rows equal to it are in the range.
    pub(crate) inclusive: bool,
}

/// What a key column may equal.
#[derive(Clone, Debug)]
pub(crate) enum KeyValues {
    /// A value.
    One(PlannedExpr),
    /// NULL: `IS NULL`.
    Null,
    /// Any of these.
    List(Vec<PlannedExpr>),
    /// Any element of this array.
    Elements(PlannedExpr),
}

/// What the columns of a key may be. The values have no input columns in them, and are of types
/// that fit the columns' (see [`crate::engine::key_set::fits`]).
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyAlternative {
    /// The first key columns equal these.
    pub(crate) equal: Vec<KeyValues>,
    /// Lower end for the key column after those, in value order.
    pub(crate) lower: Option<KeyBound>,
    /// Upper end for it.
    pub(crate) upper: Option<KeyBound>,
    /// It is not NULL.
    pub(crate) present: bool,
}

/// Which part of an access path is read: keys for which one of the alternatives holds. None: all.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyCondition {
    /// The alternatives; each says something.
    pub(crate) alternatives: Vec<KeyAlternative>,
    /// How many entries are expected from the first that is read to the last.
    pub(crate) between: f64,
}

impl KeyCondition {
    /// Whether it lets everything through.
    pub(crate) fn is_all(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// The values that the first key columns equal in every alternative.
    pub(crate) fn fixed(&self) -> usize {
        let Some((first, others)) = self.alternatives.split_first() else {
            return 0;
        };
        let same = |at: usize, one: &KeyValues| {
            let matches = |other: &KeyAlternative| match (one, other.equal.get(at)) {
                (KeyValues::One(one), Some(KeyValues::One(other))) => one.expr.is_same(&other.expr),
                (KeyValues::Null, Some(KeyValues::Null)) => true,
                _ => false,
            };
            matches!(one, KeyValues::One(_) | KeyValues::Null) && others.iter().all(matches)
        };
        let columns = first.equal.iter().enumerate();
        columns.take_while(|(at, one)| same(*at, one)).count()
    }

    /// Whether the key column `at` is not NULL in any key that satisfies it.
    pub(crate) fn is_present(&self, at: usize) -> bool {
        let says = |of: &KeyAlternative| match of.equal.get(at) {
            Some(KeyValues::Null) => false,
            Some(_) => true,
            None => {
                at == of.equal.len() && (of.present || of.lower.is_some() || of.upper.is_some())
            }
        };
        !self.is_all() && self.alternatives.iter().all(says)
    }

    /// Whether each alternative names single values for all of so many key columns.
    pub(crate) fn names_keys(&self, columns: usize) -> bool {
        let names = |of: &KeyAlternative| of.equal.len() == columns;
        !self.is_all() && self.alternatives.iter().all(names)
    }
}

/// A scan of a table.
#[derive(Clone, Debug)]
pub(crate) struct ScanNode {
    /// The table.
    pub(crate) table: Arc<TableHandle>,
    /// Table ordinals of the node's columns, in the node's order; where the node gives the row
    /// key too, that column comes last and is not among these.
    pub(crate) ordinals: Vec<usize>,
    /// The id of the row-key column (`bytea`), where wanted.
    pub(crate) row_key: Option<ColumnId>,
    /// How the rows are reached.
    pub(crate) path: AccessPath,
    /// Which part of the path is read.
    pub(crate) condition: KeyCondition,
    /// What `condition` says of the rows, for EXPLAIN.
    pub(crate) condition_exprs: Vec<Expr>,
    /// Conjuncts that hold of every row which the path and its condition lead to, over the node's
    /// columns. They are checked where a row has changed meanwhile, and where more is read than
    /// the condition says.
    pub(crate) implied: Vec<PlannedExpr>,
    /// Conjuncts to be checked for each row, over the node's columns.
    pub(crate) filter: Vec<PlannedExpr>,
    /// Whether the path is walked backwards.
    pub(crate) backward: bool,
    /// Reads `ordinals` out of stored rows.
    pub(crate) decoder: RowDecoder,
    /// Reads them out of the entries of the index that is the path, where those hold them all:
    /// the rows themselves are not looked at then.
    pub(crate) entries: Option<EntryDecoder>,
}

impl ScanNode {
    /// How many columns a row has, the row key included.
    pub(crate) fn width(&self) -> usize {
        self.ordinals.len() + usize::from(self.row_key.is_some())
    }

    /// Whether nothing but the keys of the rows is asked for, which index entries lead to.
    pub(crate) fn gives_keys_alone(&self) -> bool {
        self.row_key.is_some() && self.ordinals.is_empty() && self.filter.is_empty()
    }
}

impl PhysicalPlan {
    /// Whether the rows are those of one table, each once, in the order of its own keys. What
    /// comes later is then the same whatever becomes of rows that have come.
    pub(crate) fn walks_one_table(&self) -> bool {
        match &self.node {
            PhysicalNode::Scan(scan) => scan.path == AccessPath::Table,
            PhysicalNode::Filter { input, .. } | PhysicalNode::Project { input, .. } => {
                input.walks_one_table()
            }
            _ => false,
        }
    }
}

/// A scan of a system relation, whose rows are made when it is opened.
#[derive(Clone, Debug)]
pub(crate) struct SystemScanNode {
    /// The relation.
    pub(crate) relation: &'static SystemRelation,
    /// The relation's ordinals of the node's columns.
    pub(crate) ordinals: Vec<usize>,
    /// What the relation's key equals, where that is known beforehand.
    pub(crate) key: Option<PlannedExpr>,
    /// Conjuncts to be checked for each row, over the node's columns.
    pub(crate) filter: Vec<PlannedExpr>,
}

/// Which rows a node locks, and how.
#[derive(Clone, Debug)]
pub(crate) struct PlannedLock {
    /// The table.
    pub(crate) table: Arc<TableHandle>,
    /// The column of the rows' keys.
    pub(crate) row_key: ColumnId,
    /// Its position among the input's columns.
    pub(crate) position: usize,
    /// How strongly.
    pub(crate) strength: LockStrength,
    /// What to do about rows that others have locked.
    pub(crate) wait: LockWaitPolicy,
}

/// What a node does.
#[derive(Clone, Debug)]
pub(crate) enum PhysicalNode {
    /// Rows of a table.
    Scan(Arc<ScanNode>),
    /// Rows of a table that one of several scans leads to, each once, in the order of the table's
    /// own keys.
    IndexUnion {
        /// Scans that give nothing but the keys of rows.
        branches: Vec<PhysicalPlan>,
        /// How the rows are read then, and what is checked of each: as a scan of the whole table.
        fetch: Arc<ScanNode>,
    },
    /// Rows of a system relation.
    SystemScan(Arc<SystemScanNode>),
    /// Literal rows.
    Values {
        /// Expressions without input columns.
        rows: Arc<[Vec<PlannedExpr>]>,
    },
    /// Rows that were put aside before the plan ran.
    Buffered {
        /// Which of the statement's buffers.
        slot: usize,
    },
    /// The rows of functions, side by side.
    TableFunctions {
        /// The calls.
        calls: Arc<[PlannedTableCall]>,
        /// Whether a last column numbers the rows.
        ordinality: bool,
    },
    /// A plan that reads another's rows, which are kept.
    With {
        /// The id under which they are.
        id: SharedId,
        /// Its name.
        name: String,
        /// What is read.
        definition: Box<PhysicalPlan>,
        /// What reads it.
        input: Box<PhysicalPlan>,
    },
    /// Kept rows.
    SharedScan {
        /// Whose.
        id: SharedId,
        /// Its name.
        name: String,
        /// The positions of the columns given.
        positions: Arc<[usize]>,
    },
    /// A base, then a step again and again as long as it gives rows.
    Recursive {
        /// The id under which the step finds the rows given last.
        id: SharedId,
        /// Its name.
        name: String,
        /// Where it starts.
        base: Box<PhysicalPlan>,
        /// How it goes on.
        step: Arc<PhysicalPlan>,
        /// Whether rows that were there are dropped.
        distinct: bool,
    },
    /// Rows for which every conjunct is true.
    Filter {
        /// Input.
        input: Box<PhysicalPlan>,
        /// Conjuncts.
        predicates: Arc<[PlannedExpr]>,
    },
    /// Computed columns.
    Project {
        /// Input.
        input: Box<PhysicalPlan>,
        /// The columns given.
        items: Arc<[PlannedExpr]>,
    },
    /// Every pair of rows is looked at. The right input is kept in memory.
    NestedLoopJoin {
        /// Kind; never mark.
        kind: JoinKind,
        /// Left, streamed.
        left: Box<PhysicalPlan>,
        /// Right, kept.
        right: Box<PhysicalPlan>,
        /// Conjuncts over left ++ right.
        on: Arc<[PlannedExpr]>,
    },
    /// For every left row the right input is evaluated, once for each combination of values that
    /// it depends on.
    Apply {
        /// Kind; not right or full.
        kind: JoinKind,
        /// Left, streamed.
        left: Box<PhysicalPlan>,
        /// Right, with parameters.
        right: Arc<PhysicalPlan>,
        /// The parameters and their values over the left.
        bindings: Arc<[(usize, PlannedExpr)]>,
        /// Conjuncts over left ++ right.
        on: Arc<[PlannedExpr]>,
        /// Whether equal parameters give equal rows, so that they may be kept.
        repeatable: bool,
    },
    /// For every left row, rows of a table by key.
    LookupJoin {
        /// Inner, left, semi or anti.
        kind: JoinKind,
        /// Left, streamed.
        left: Box<PhysicalPlan>,
        /// The table; the values of its condition are over the left's columns.
        right: Arc<ScanNode>,
        /// The columns of the scan.
        right_columns: Vec<PlanColumn>,
        /// Conjuncts over left ++ right.
        on: Arc<[PlannedExpr]>,
    },
    /// The right input is kept in a hash table, the left streams past it.
    HashJoin {
        /// Kind.
        kind: JoinKind,
        /// Left: probes.
        left: Box<PhysicalPlan>,
        /// Right: builds.
        right: Box<PhysicalPlan>,
        /// Keys over the left, pairwise of one type with
        left_keys: Arc<[PlannedExpr]>,
        /// the keys over the right.
        right_keys: Arc<[PlannedExpr]>,
        /// Of which keys NULL equals NULL.
        nulls_equal: Arc<[bool]>,
        /// Conjuncts over left ++ right that must hold as well.
        residual: Arc<[PlannedExpr]>,
    },
    /// Groups in a hash table; without keys one row.
    HashAggregate {
        /// Input.
        input: Box<PhysicalPlan>,
        /// Group keys, the first columns given.
        keys: Arc<[PlannedExpr]>,
        /// Aggregates, the columns after them.
        aggregates: Arc<[PlannedAggregate]>,
        /// With several sets of keys: which keys each has; the set's number is the last column.
        sets: Option<Arc<[Vec<usize>]>>,
    },
    /// Window functions over an input that is sorted by the partition's keys and then by the
    /// window's order: the input's columns and one for each call.
    Window {
        /// Input.
        input: Box<PhysicalPlan>,
        /// PARTITION BY.
        partition: Arc<[PlannedExpr]>,
        /// ORDER BY: rows equal in these are peers.
        order: Arc<[PlannedExpr]>,
        /// The calls.
        calls: Arc<[PlannedWindowCall]>,
    },
    /// Distinct rows: of equal ones the first.
    Distinct {
        /// Input.
        input: Box<PhysicalPlan>,
        /// The positions of the columns that count; `None`: all.
        on: Option<Arc<[usize]>>,
    },
    /// All rows in order.
    Sort {
        /// Input.
        input: Box<PhysicalPlan>,
        /// Keys.
        keys: Arc<[PlannedSortKey]>,
    },
    /// The first rows of an order, without sorting the rest.
    TopN {
        /// Input.
        input: Box<PhysicalPlan>,
        /// Keys.
        keys: Arc<[PlannedSortKey]>,
        /// How many.
        limit: PlannedExpr,
        /// How many to leave out before them.
        offset: Option<PlannedExpr>,
    },
    /// Rows of tables are locked as they pass.
    LockRows {
        /// Input; shared with the operator, which runs it again for rows that have changed.
        input: Arc<PhysicalPlan>,
        /// The locks.
        locks: Arc<[PlannedLock]>,
    },
    /// The first rows.
    Limit {
        /// Input.
        input: Box<PhysicalPlan>,
        /// How many.
        limit: Option<PlannedExpr>,
        /// How many to leave out before them.
        offset: Option<PlannedExpr>,
    },
    /// All rows of all inputs, one input after the other.
    UnionAll {
        /// Inputs, each with the positions of its columns in the order given.
        inputs: Vec<(PhysicalPlan, Vec<usize>)>,
    },
}

impl PhysicalPlan {
    /// The inputs, in the order of printing.
    pub(crate) fn inputs(&self) -> Vec<&PhysicalPlan> {
        match &self.node {
            PhysicalNode::Scan(_)
            | PhysicalNode::SystemScan(_)
            | PhysicalNode::Values { .. }
            | PhysicalNode::Buffered { .. }
            | PhysicalNode::TableFunctions { .. }
            | PhysicalNode::SharedScan { .. } => Vec::new(),
            PhysicalNode::IndexUnion { branches, .. } => branches.iter().collect(),
            PhysicalNode::With {
                definition, input, ..
            } => vec![definition, input],
            PhysicalNode::Recursive { base, step, .. } => vec![base, step],
            PhysicalNode::Filter { input, .. }
            | PhysicalNode::Project { input, .. }
            | PhysicalNode::HashAggregate { input, .. }
            | PhysicalNode::Window { input, .. }
            | PhysicalNode::Distinct { input, .. }
            | PhysicalNode::Sort { input, .. }
            | PhysicalNode::TopN { input, .. }
            | PhysicalNode::Limit { input, .. } => vec![input],
            PhysicalNode::LockRows { input, .. } => vec![input],
            PhysicalNode::LookupJoin { left, .. } => vec![left],
            PhysicalNode::NestedLoopJoin { left, right, .. }
            | PhysicalNode::HashJoin { left, right, .. } => vec![left, right],
            PhysicalNode::Apply { left, right, .. } => vec![left, right],
            PhysicalNode::UnionAll { inputs } => inputs.iter().map(|(input, _)| input).collect(),
        }
    }

    /// The inputs, to be changed.
    pub(crate) fn inputs_mut(&mut self) -> Vec<&mut PhysicalPlan> {
        match &mut self.node {
            PhysicalNode::Scan(_)
            | PhysicalNode::SystemScan(_)
            | PhysicalNode::Values { .. }
            | PhysicalNode::Buffered { .. }
            | PhysicalNode::TableFunctions { .. }
            | PhysicalNode::SharedScan { .. } => Vec::new(),
            PhysicalNode::IndexUnion { branches, .. } => branches.iter_mut().collect(),
            PhysicalNode::With {
                definition, input, ..
            } => vec![definition, input],
            PhysicalNode::Recursive { base, step, .. } => vec![base, Arc::make_mut(step)],
            PhysicalNode::Filter { input, .. }
            | PhysicalNode::Project { input, .. }
            | PhysicalNode::HashAggregate { input, .. }
            | PhysicalNode::Window { input, .. }
            | PhysicalNode::Distinct { input, .. }
            | PhysicalNode::Sort { input, .. }
            | PhysicalNode::TopN { input, .. }
            | PhysicalNode::Limit { input, .. } => vec![input],
            PhysicalNode::LockRows { input, .. } => vec![Arc::make_mut(input)],
            PhysicalNode::LookupJoin { left, .. } => vec![left],
            PhysicalNode::NestedLoopJoin { left, right, .. }
            | PhysicalNode::HashJoin { left, right, .. } => vec![left, right],
            PhysicalNode::Apply { left, right, .. } => vec![left, Arc::make_mut(right)],
            PhysicalNode::UnionAll { inputs } => {
                inputs.iter_mut().map(|(input, _)| input).collect()
            }
        }
    }

    /// Adds the locks of rows that the plan's nodes take.
    fn note_row_locks(&self, into: &mut Vec<PlannedLock>) {
        if let PhysicalNode::LockRows { locks, .. } = &self.node {
            into.extend(locks.iter().cloned());
        }
        for input in self.inputs() {
            input.note_row_locks(into);
        }
    }

    /// Numbers the nodes in the order of printing; gives the next free number.
    pub(crate) fn number(&mut self, next: usize) -> usize {
        self.id = next;
        self.inputs_mut()
            .into_iter()
            .fold(next + 1, |next, input| input.number(next))
    }
}

/// A subquery that is evaluated once, before the statement; its value becomes a parameter.
#[derive(Clone, Debug)]
pub(crate) struct InitPlan {
    /// Which parameter, counted from 0.
    pub(crate) parameter: usize,
    /// What is taken from its rows.
    pub(crate) kind: InitKind,
    /// The subquery.
    pub(crate) plan: PhysicalPlan,
}

/// What a subquery's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitKind {
    /// The only value of its only row; NULL without a row, an error with more.
    Scalar,
    /// Whether it has a row.
    Exists,
}

/// A query or the source of a data-changing statement, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct QueryPlan {
    /// Subqueries, in the order in which they must run.
    pub(crate) init: Vec<InitPlan>,
    /// The plan.
    pub(crate) root: PhysicalPlan,
    /// How many nodes there are, subqueries included.
    pub(crate) nodes: usize,
    /// The rewrite rules that changed the plan, in order.
    pub(crate) rules: Vec<&'static str>,
}

impl QueryPlan {
    /// The locks of rows that running it takes.
    pub(crate) fn row_locks(&self) -> Vec<PlannedLock> {
        let mut locks = Vec::new();
        self.root.note_row_locks(&mut locks);
        for init in &self.init {
            init.plan.note_row_locks(&mut locks);
        }
        locks
    }
}
