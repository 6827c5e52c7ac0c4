//! What work costs: every figure that plans are compared by.
//!
//! The unit is about the reading of one row in the order of its keys. How many rows there are is the
//! matter of [`super::cost`]; here stands what is paid for each of them.

/// Finding a place in a tree.
pub(crate) const SEEK: f64 = 3.0;
/// Reading the next row, or the next entry of an index, in order.
pub(crate) const NEXT_ROW: f64 = 1.0;
/// Finding the row whose key is known.
pub(crate) const LOOKUP: f64 = 3.0;
/// Reading an index entry and the row that it leads to.
pub(crate) const FETCH: f64 = NEXT_ROW + LOOKUP;

/// Computing something for a row.
pub(crate) const COMPUTE: f64 = 0.1;
/// Comparing two rows that are kept.
pub(crate) const COMPARE: f64 = 0.2;
/// Keeping a row in memory, and giving it later.
pub(crate) const KEEP: f64 = 1.0;
/// Looking a row up in a hash table.
pub(crate) const PROBE: f64 = 0.5;
/// Putting a row into a hash table of groups.
pub(crate) const GROUP: f64 = 0.8;
/// Looking at a pair of rows.
pub(crate) const PAIR: f64 = 0.2;
/// Starting a plan anew.
pub(crate) const RUN: f64 = 3.0;

/// From this many ranges on, reading over what lies between them is weighed against finding each:
/// below it, even a wrong estimate costs little.
pub(crate) const WALK_RANGES: usize = 32;

/// How many parts of conditions are looked at in the search for unions of paths: for each operand of
/// a disjunction, all that must hold beside it. What would take more is read by one path, so that
/// planning stays quick however long a statement is.
pub(crate) const UNION_SEARCH: usize = 1 << 14;

/// What reading rows through a key costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// In how many places of the key the rows stand.
    pub(crate) ranges: f64,
    /// How many rows, or index entries, are read.
    pub(crate) rows: f64,
    /// How many there are from the first of the places to the last.
    pub(crate) between: f64,
    /// Whether each entry leads to a row that is read too.
    pub(crate) fetches: bool,
}

impl Access {
    /// Its cost. Many places are walked over, if that is cheaper than going to each: a list of any
    /// length costs no more than reading everything.
    pub(crate) fn cost(self) -> f64 {
        let seeking = self.ranges * SEEK + self.rows * NEXT_ROW;
        let reading = if self.ranges < WALK_RANGES as f64 {
            seeking
        } else {
            seeking.min(SEEK + self.between.max(self.rows) * NEXT_ROW)
        };
        let fetching = if self.fetches {
            self.rows * LOOKUP
        } else {
            0.0
        };
        // The places of a list are computed, and put in order.
        let listing = (self.ranges - 1.0).max(0.0) * COMPUTE;
        reading + fetching + listing
    }
}

/// Whether `ranges` places of a key, with about `between` entries from the first to the last, are
/// better walked over than found one by one.
pub(crate) fn walks(ranges: usize, between: f64) -> bool {
    ranges >= WALK_RANGES && ranges as f64 * SEEK > SEEK + between * NEXT_ROW
}

/// Sorting `rows` rows, which are all kept until the last has come.
pub(crate) fn sort(rows: f64) -> f64 {
    rows * (KEEP + COMPUTE) + rows * rows.max(2.0).log2() * COMPARE
}

/// Finding the first `kept` of `rows` rows in an order.
pub(crate) fn top_rows(rows: f64, kept: f64) -> f64 {
    let kept = kept.max(2.0);
    rows * COMPARE + kept * kept.log2() * COMPUTE
}
