//! The bars: what RustlingDB is to reach on each workload, as data, and whether a run has.

use std::fmt;

use crate::{
    OPEN_AFTER_KILL,
    engines::{OURS, RIVALS},
    stalls::LONGEST_STALL,
    table::{Table, short},
    transactions::{DEADLOCK, READS, READS_AND_WRITES, ROLLBACKS},
    workloads::{
        ASYNC_PUTS, DISK_LOADED, DISK_OVERWRITTEN, DURABLE_PUTS, FULL_SCAN, GETS, INSERTS, LOAD,
        PEAK_MEMORY, SCANS, YCSB_A, YCSB_B, YCSB_C, YCSB_D, YCSB_E, YCSB_F,
    },
};

/// Rows that the bars are set for.
const ROWS: u64 = 5_000_000;
/// A gigabyte in MiB.
const GIGABYTE: f64 = 1e9 / (1 << 20) as f64;

const TREE: &[&str] = &["rustling"];
const LSM_OR_HYBRID: &[&str] = &["rustling-lsm", "rustling-hybrid"];

/// What is held against a bar.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// A workload's figure.
    Of(&'static str),
    /// The first workload's figure for each one of the second's.
    Ratio(&'static str, &'static str),
}

/// Where the bar is.
#[derive(Clone, Copy, Debug)]
enum Needed {
    AtLeast(f64),
    AtMost(f64),
    /// At most so many times the memory that the engine may use.
    TimesBudget(f64),
    /// At least so many times what this engine does.
    Times(f64, &'static str),
    /// At least so many times what the best of the other engines does.
    TimesBest(f64),
}

/// Which engines have to get over it.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// One of these: who needs the workload can choose it.
    OneOf(&'static [&'static str]),
    /// Each of RustlingDB's: a limit holds whatever was chosen.
    Each,
}

/// How long a run must be to say anything.
#[derive(Clone, Copy, Debug)]
struct Length {
    rows: u64,
    seconds: f64,
    /// How to have it.
    how: &'static str,
}

/// One bar.
#[derive(Clone, Copy, Debug)]
struct Bar {
    figure: Figure,
    needed: Needed,
    who: Who,
    length: Option<Length>,
}

const fn bar(workload: &'static str, needed: Needed, who: Who) -> Bar {
    Bar {
        figure: Figure::Of(workload),
        needed,
        who,
        length: None,
    }
}

/// What is reached by the best of RustlingDB's engines.
const fn best(workload: &'static str, needed: Needed) -> Bar {
    bar(workload, needed, Who::OneOf(&OURS))
}

/// What is reached by the B+ tree.
const fn tree(workload: &'static str, factor: f64, rival: &'static str) -> Bar {
    bar(workload, Needed::Times(factor, rival), Who::OneOf(TREE))
}

/// What is reached by the LSM tree or the hybrid of both.
const fn written(workload: &'static str, factor: f64, rival: &'static str) -> Bar {
    let who = Who::OneOf(LSM_OR_HYBRID);
    bar(workload, Needed::Times(factor, rival), who)
}

/// What is reached by each of RustlingDB's engines.
const fn each(workload: &'static str, needed: Needed) -> Bar {
    bar(workload, needed, Who::Each)
}

/// All of them.
const BARS: &[Bar] = &[
    best(LOAD, Needed::Times(1.0, "lmdb")),
    written(INSERTS, 1.0, "fjall"),
    written(INSERTS, 0.7, "rocksdb"),
    best(DURABLE_PUTS[0].1, Needed::TimesBest(0.9)),
    Bar {
        figure: Figure::Ratio(DURABLE_PUTS[1].1, DURABLE_PUTS[0].1),
        ..each(DURABLE_PUTS[1].1, Needed::AtLeast(3.0))
    },
    tree(GETS[0].1, 1.5, "redb"),
    tree(GETS[0].1, 1.5, "rocksdb"),
    tree(GETS[1].1, 1.5, "redb"),
    tree(GETS[1].1, 1.5, "rocksdb"),
    tree(SCANS[0].1, 2.0, "redb"),
    tree(SCANS[0].1, 2.0, "rocksdb"),
    tree(SCANS[1].1, 2.0, "redb"),
    tree(SCANS[1].1, 2.0, "rocksdb"),
    tree(FULL_SCAN, 2.0, "redb"),
    tree(FULL_SCAN, 2.0, "rocksdb"),
    best(YCSB_A, Needed::Times(0.7, "rocksdb")),
    best(YCSB_F, Needed::Times(0.7, "rocksdb")),
    best(YCSB_B, Needed::Times(1.2, "redb")),
    best(YCSB_B, Needed::Times(0.8, "fjall")),
    best(YCSB_C, Needed::Times(1.2, "redb")),
    best(YCSB_C, Needed::Times(0.8, "fjall")),
    best(YCSB_D, Needed::Times(1.2, "redb")),
    best(YCSB_D, Needed::Times(0.8, "fjall")),
    best(YCSB_E, Needed::Times(1.2, "redb")),
    best(YCSB_E, Needed::Times(0.8, "fjall")),
    each(DISK_LOADED, Needed::AtMost(1.2)),
    each(DISK_OVERWRITTEN, Needed::AtMost(1.2)),
    each(PEAK_MEMORY, Needed::TimesBudget(1.1)),
    Bar {
        length: Some(Length {
            rows: 10_000_000,
            seconds: 0.0,
            how: "10 M rows: `footprint`",
        }),
        ..each(PEAK_MEMORY, Needed::AtMost(GIGABYTE))
    },
    each(OPEN_AFTER_KILL, Needed::AtMost(1e3)),
    Bar {
        length: Some(Length {
            rows: 0,
            seconds: 600.0,
            how: "10 minutes: `stalls`",
        }),
        ..each(LONGEST_STALL, Needed::AtMost(1e3))
    },
    each(ASYNC_PUTS[0].1, Needed::AtLeast(1e5)),
    each(ASYNC_PUTS[1].1, Needed::AtLeast(1e5)),
    each(READS_AND_WRITES[0].2, Needed::AtLeast(5e4)),
    each(READS_AND_WRITES[1].2, Needed::AtLeast(5e4)),
    each(READS_AND_WRITES[2].2, Needed::AtLeast(5e4)),
    each(READS_AND_WRITES[3].2, Needed::AtLeast(5e4)),
    each(READS_AND_WRITES[4].2, Needed::AtLeast(5e4)),
    each(READS_AND_WRITES[5].2, Needed::AtLeast(5e4)),
    each(READS[0].1, Needed::AtLeast(1e5)),
    each(READS[1].1, Needed::AtLeast(1e5)),
    each(DEADLOCK, Needed::AtMost(1e3)),
    each(ROLLBACKS[0].1, Needed::AtMost(100.0)),
    each(ROLLBACKS[1].1, Needed::AtMost(1e3)),
];

/// What was measured, and how: prints every bar with RustlingDB's figures and whether they are over
/// it.
#[derive(Clone, Copy, Debug)]
pub struct Bars<'a> {
    /// The figures.
    pub table: &'a Table,
    /// Rows of the run.
    pub rows: u64,
    /// Seconds of each workload.
    pub seconds: f64,
    /// MiB that an engine may use.
    pub memory: usize,
    /// Whether bars are printed of which nothing was measured.
    pub all: bool,
}

/// Where a bar is in this run.
struct Limit {
    /// The figure, where what it depends on was measured.
    figure: Option<f64>,
    /// Whether other engines that were not measured could put it higher.
    open: bool,
    /// A rival's figure that it is a multiple of.
    of: Option<f64>,
    words: String,
}

impl Bars<'_> {
    fn figure(&self, bar: &Bar, engine: &str) -> Option<f64> {
        match bar.figure {
            Figure::Of(workload) => self.table.median(workload, engine),
            Figure::Ratio(of, to) => {
                Some(self.table.median(of, engine)? / self.table.median(to, engine)?)
            }
        }
    }

    fn limit(&self, bar: &Bar) -> Limit {
        let fixed = |words: String, figure: f64| Limit {
            figure: Some(figure),
            open: false,
            of: None,
            words,
        };
        let times = |factor: f64, rival: &str, of: Option<f64>, open: bool| {
            let figure = of.map(|of| factor * of);
            let value = figure.map_or(String::new(), |figure| format!(" = {}", short(figure)));
            Limit {
                figure,
                open,
                of,
                words: format!("≥ {factor} × {rival}{value}"),
            }
        };
        match bar.needed {
            Needed::AtLeast(figure) => fixed(format!("≥ {}", short(figure)), figure),
            Needed::AtMost(figure) => fixed(format!("≤ {}", short(figure)), figure),
            Needed::TimesBudget(factor) => {
                let figure = factor * self.memory as f64;
                fixed(format!("≤ {factor} × budget = {}", short(figure)), figure)
            }
            Needed::Times(factor, rival) => times(factor, rival, self.figure(bar, rival), false),
            Needed::TimesBest(factor) => {
                let figures = RIVALS.map(|rival| (rival, self.figure(bar, rival)));
                let open = figures.iter().any(|(_, figure)| figure.is_none());
                let measured = figures
                    .iter()
                    .filter_map(|(rival, figure)| Some((*rival, (*figure)?)));
                match measured.max_by(|(_, one), (_, other)| one.total_cmp(other)) {
                    Some((rival, figure)) => times(factor, rival, Some(figure), open),
                    None => times(factor, "the best", None, true),
                }
            }
        }
    }

    /// Whether a figure is over the bar; nothing where that cannot be told.
    fn is_met(bar: &Bar, limit: &Limit, figure: Option<f64>) -> Option<bool> {
        let (figure, limit_at) = (figure?, limit.figure?);
        let is_met = match bar.needed {
            Needed::AtMost(_) | Needed::TimesBudget(_) => figure <= limit_at,
            Needed::AtLeast(_) | Needed::Times(..) | Needed::TimesBest(_) => figure >= limit_at,
        };
        (!is_met || !limit.open).then_some(is_met)
    }

    /// Whether the bar is met by those who have to.
    fn verdict(&self, bar: &Bar) -> Option<bool> {
        if let Some(length) = bar.length
            && (self.rows < length.rows || self.seconds < length.seconds)
        {
            return None;
        }
        let limit = self.limit(bar);
        let of = |engine: &&str| Bars::is_met(bar, &limit, self.figure(bar, engine));
        match bar.who {
            Who::OneOf(engines) => {
                let mut met = engines.iter().map(of);
                // Missed where every one was measured and none is over it.
                match met.clone().any(|met| met == Some(true)) {
                    true => Some(true),
                    false => met.all(|met| met.is_some()).then_some(false),
                }
            }
            Who::Each => {
                let mut met = OURS.iter().map(of);
                match met.clone().any(|met| met == Some(false)) {
                    true => Some(false),
                    false => met.all(|met| met.is_some()).then_some(true),
                }
            }
        }
    }

    fn write(&self, bar: &Bar, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = |engine: &str| match bar.who {
            Who::OneOf(engines) => engines.contains(&engine),
            Who::Each => true,
        };
        let figures = OURS.map(|engine| self.figure(bar, engine).filter(|_| counts(engine)));
        if !self.all && figures.iter().all(Option::is_none) {
            return Ok(());
        }
        match bar.figure {
            Figure::Of(workload) => write!(f, "| {workload} |")?,
            Figure::Ratio(of, to) => write!(f, "| {of} / {to} |")?,
        }
        let limit = self.limit(bar);
        write!(f, " {} |", limit.words)?;
        for (engine, figure) in OURS.into_iter().zip(figures) {
            match (figure, limit.of) {
                (Some(figure), Some(of)) => {
                    write!(f, " {} ({:.2} ×) |", short(figure), figure / of)?;
                }
                (Some(figure), None) => write!(f, " {} |", short(figure))?,
                (None, _) if counts(engine) => write!(f, " – |")?,
                (None, _) => write!(f, " |")?,
            }
        }
        let words = match self.verdict(bar) {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        match bar.length {
            Some(length) => writeln!(f, " {words} ({}) |", length.how),
            None => writeln!(f, " {words} |"),
        }
    }
}

impl fmt::Display for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nbars")?;
        if self.rows < ROWS {
            writeln!(f, "They are set for {ROWS} rows, not for {}.", self.rows)?;
        }
        write!(f, "\n| workload | needed |")?;
        OURS.iter().try_for_each(|ours| write!(f, " {ours} |"))?;
        writeln!(f, " |\n|---|---|{}---|", "---|".repeat(OURS.len()))?;
        BARS.iter().try_for_each(|bar| self.write(bar, f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(figures: &[(&str, &str, f64)]) -> Table {
        let mut table = Table::new(&["rustling".to_owned()]);
        for (workload, engine, figure) in figures {
            table.add(workload, engine, *figure);
        }
        table
    }

    fn verdict(bar: Bar, figures: &[(&str, &str, f64)]) -> Option<bool> {
        let bars = Bars {
            table: &table(figures),
            rows: ROWS,
            seconds: 5.0,
            memory: 1000,
            all: true,
        };
        bars.verdict(&bar)
    }

    #[test]
    fn a_rival_that_is_absent_leaves_the_bar_unmeasured() {
        let bar = best(LOAD, Needed::Times(0.7, "rocksdb"));
        let ours = (LOAD, "rustling", 80.0);
        assert_eq!(verdict(bar, &[ours]), None);
        assert_eq!(verdict(bar, &[ours, (LOAD, "rocksdb", 100.0)]), Some(true));
        // Two of ours were not measured and may be over it.
        assert_eq!(verdict(bar, &[ours, (LOAD, "rocksdb", 200.0)]), None);
    }

    #[test]
    fn the_best_of_those_present_can_only_be_missed() {
        let bar = tree_of_best();
        let ours = (LOAD, "rustling", 90.0);
        assert_eq!(verdict(bar, &[ours, (LOAD, "redb", 100.0)]), None);
        assert_eq!(verdict(bar, &[ours, (LOAD, "redb", 101.0)]), Some(false));
        let all = RIVALS.map(|rival| (LOAD, rival, 100.0));
        let figures: Vec<_> = all.into_iter().chain([ours]).collect();
        assert_eq!(verdict(bar, &figures), Some(true));
    }

    fn tree_of_best() -> Bar {
        bar(LOAD, Needed::TimesBest(0.9), Who::OneOf(TREE))
    }

    #[test]
    fn each_engine_has_to_keep_a_limit() {
        let bar = each(DISK_LOADED, Needed::AtMost(1.2));
        let mut figures: Vec<_> = OURS.map(|ours| (DISK_LOADED, ours, 1.2)).to_vec();
        assert_eq!(verdict(bar, &figures), Some(true));
        figures[2].2 = 1.21;
        assert_eq!(verdict(bar, &figures), Some(false));
        assert_eq!(verdict(bar, &figures[..2]), None);
        assert_eq!(verdict(bar, &figures[2..]), Some(false));
    }

    #[test]
    fn the_budget_and_ratios_are_taken_into_account() {
        let budget = each(PEAK_MEMORY, Needed::TimesBudget(1.1));
        let figures = |mebibytes| OURS.map(|ours| (PEAK_MEMORY, ours, mebibytes));
        assert_eq!(verdict(budget, &figures(1100.0)), Some(true));
        assert_eq!(verdict(budget, &figures(1101.0)), Some(false));
        let [(_, one), (_, eight)] = DURABLE_PUTS;
        let ratio = Bar {
            figure: Figure::Ratio(eight, one),
            ..each(eight, Needed::AtLeast(3.0))
        };
        let with = |many| {
            [
                OURS.map(|ours| (one, ours, 5.0)),
                OURS.map(|ours| (eight, ours, many)),
            ]
        };
        assert_eq!(verdict(ratio, &with(15.0).concat()), Some(true));
        assert_eq!(verdict(ratio, &with(14.0).concat()), Some(false));
    }

    #[test]
    fn a_run_that_is_too_short_says_nothing() {
        let stall = BARS
            .iter()
            .find(|bar| bar.length.is_some_and(|length| length.seconds > 0.0));
        let figures = OURS.map(|ours| (LONGEST_STALL, ours, 1.0));
        assert_eq!(verdict(*stall.expect("there is one"), &figures), None);
    }

    #[test]
    fn every_bar_is_printed() {
        let table = table(&[(LOAD, "rustling", 90.0), (LOAD, "lmdb", 60.0)]);
        let bars = Bars {
            table: &table,
            rows: 1000,
            seconds: 5.0,
            memory: 1000,
            all: true,
        };
        let text = bars.to_string();
        assert!(
            text.contains("| load, sorted | ≥ 1 × lmdb = 60.00 | 90.00 (1.50 ×) | – | – | met |")
        );
        assert!(text.contains("not for 1000"));
        assert_eq!(text.lines().count(), BARS.len() + 6);
        let bars = Bars { all: false, ..bars };
        assert_eq!(bars.to_string().lines().count(), 1 + 6);
    }
}
