//! Figures of all engines, side by side. What begins with the name of the first one is a kind of it.
//! The last column compares the best of these with the best of the others, and a second table with
//! each of the others.

use std::{collections::HashMap, fmt};

/// Collects figures by workload and engine, and prints their medians.
#[derive(Debug)]
pub struct Table {
    engines: Vec<String>,
    /// Workloads in the order they were first measured.
    workloads: Vec<String>,
    figures: HashMap<(String, String), Vec<f64>>,
    /// What is to be said below the table.
    notes: Vec<String>,
}

impl Table {
    /// A table with a column for each engine.
    pub fn new(engines: &[String]) -> Table {
        Table {
            engines: engines.to_vec(),
            workloads: Vec::new(),
            figures: HashMap::new(),
            notes: Vec::new(),
        }
    }

    /// Takes something that is not a figure.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Takes one figure of one run.
    pub fn add(&mut self, workload: &str, engine: &str, figure: f64) {
        if !self.workloads.iter().any(|known| known == workload) {
            self.workloads.push(workload.into());
        }
        let place = (workload.to_owned(), engine.to_owned());
        self.figures.entry(place).or_default().push(figure);
    }

    fn is_ours(&self, engine: &str) -> bool {
        self.engines
            .first()
            .is_some_and(|first| engine.starts_with(first.as_str()))
    }

    /// The median of a workload's figures.
    pub fn median(&self, workload: &str, engine: &str) -> Option<f64> {
        let place = (workload.to_owned(), engine.to_owned());
        let mut figures = self.figures.get(&place)?.clone();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    }

    /// The best median of those engines.
    fn best(&self, workload: &str, among: impl Fn(&str) -> bool) -> Option<f64> {
        let chosen = self.engines.iter().filter(|engine| among(engine));
        let figures = chosen.filter_map(|engine| self.median(workload, engine));
        match is_cost(workload) {
            true => figures.min_by(f64::total_cmp),
            false => figures.max_by(f64::total_cmp),
        }
    }

    /// The best of ours as a multiple of each other engine's figure.
    fn write_ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rivals = || self.engines.iter().filter(|engine| !self.is_ours(engine));
        let (Some(first), true) = (self.engines.first(), rivals().count() > 1) else {
            return Ok(());
        };
        write!(f, "\n| best {first} / |")?;
        rivals().try_for_each(|rival| write!(f, " {rival} |"))?;
        writeln!(f, "\n|---|{}", "---|".repeat(rivals().count()))?;
        for workload in &self.workloads {
            let ours = self.best(workload, |engine| self.is_ours(engine));
            if rivals().all(|rival| self.median(workload, rival).is_none()) {
                continue;
            }
            write!(f, "| {workload} |")?;
            for rival in rivals() {
                write!(f, " {} |", ratio(ours, self.median(workload, rival)))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// One figure as a multiple of another.
fn ratio(of: Option<f64>, other: Option<f64>) -> String {
    match (of, other) {
        (Some(of), Some(other)) => format!("{:.2}", of / other),
        _ => "–".into(),
    }
}

/// A figure with three significant digits or more.
pub fn short(figure: f64) -> String {
    match figure {
        _ if figure >= 1e6 => format!("{:.2} M", figure / 1e6),
        _ if figure >= 1e4 => format!("{:.0} k", figure / 1e3),
        _ if figure >= 1e3 => format!("{:.2} k", figure / 1e3),
        _ if figure >= 100.0 => format!("{figure:.0}"),
        _ => format!("{figure:.2}"),
    }
}

/// Whether less of it is better.
fn is_cost(workload: &str) -> bool {
    ["disk", "memory", "open", "ms"]
        .iter()
        .any(|cost| workload.split([' ', ',']).any(|word| word == *cost))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| workload |")?;
        for engine in &self.engines {
            write!(f, " {engine} |")?;
        }
        writeln!(
            f,
            " {} / best other |",
            self.engines.first().map_or("", |name| name)
        )?;
        writeln!(f, "|---|{}---|", "---|".repeat(self.engines.len()))?;
        for workload in &self.workloads {
            write!(f, "| {workload} |")?;
            for engine in &self.engines {
                let median = self.median(workload, engine);
                write!(f, " {} |", median.map_or("–".into(), short))?;
            }
            let ours = self.best(workload, |engine| self.is_ours(engine));
            let best = self.best(workload, |engine| !self.is_ours(engine));
            writeln!(f, " {} |", ratio(ours, best))?;
        }
        self.write_ratios(f)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
