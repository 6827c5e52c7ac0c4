//! Counting what passes.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use rustling_testkit::harness::{in_parallel, threads};

use crate::{Error, Result};

/// A statement that did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file or feature.
    pub group: String,
    /// The line in the file, or the test's name.
    pub place: String,
    /// The statement.
    pub sql: String,
    /// What was wrong.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}:{}", self.group, self.place)?;
        writeln!(f, "{}", self.sql.trim())?;
        for line in self.reason.lines() {
            writeln!(f, "-- {line}")?;
        }
        Ok(())
    }
}

/// How many of a group passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that passed.
    pub passed: usize,
    /// All.
    pub total: usize,
}

/// The scores of a suite, group by group.
#[derive(Debug, Default)]
pub struct Report {
    /// What was run: `slt row`.
    pub suite: String,
    /// By file or feature.
    pub groups: BTreeMap<String, Count>,
    /// What failed.
    pub failures: Vec<Failure>,
}

impl Report {
    /// A report without any scores.
    #[must_use]
    pub fn new(suite: impl Into<String>) -> Report {
        Report {
            suite: suite.into(),
            ..Report::default()
        }
    }

    /// The scores of the files of a suite, several of which are run at a time; `run` scores one.
    ///
    /// # Errors
    /// What `run` fails with, for the first file where it does.
    pub fn of_files(
        suite: &str,
        files: &[PathBuf],
        run: impl Fn(&Path, &mut Report) -> Result<()> + Sync,
    ) -> Result<Report> {
        let reports = in_parallel(files.len(), threads(), |number| {
            let mut report = Report::new(suite);
            run(&files[number], &mut report).map(|()| report)
        });
        let mut total = Report::new(suite);
        for report in reports {
            total.merge(report?);
        }
        Ok(total)
    }

    fn merge(&mut self, other: Report) {
        for (group, count) in other.groups {
            let sum = self.groups.entry(group).or_default();
            sum.passed += count.passed;
            sum.total += count.total;
        }
        self.failures.extend(other.failures);
    }

    /// Counts one that passed.
    pub fn pass(&mut self, group: &str) {
        let count = self.groups.entry(group.to_owned()).or_default();
        count.passed += 1;
        count.total += 1;
    }

    /// Counts one that failed.
    pub fn fail(&mut self, failure: Failure) {
        self.groups.entry(failure.group.clone()).or_default().total += 1;
        self.failures.push(failure);
    }

    /// The sum of the groups.
    #[must_use]
    pub fn sum(&self) -> Count {
        self.groups
            .values()
            .fold(Count::default(), |sum, count| Count {
                passed: sum.passed + count.passed,
                total: sum.total + count.total,
            })
    }

    /// Every failure, as a person reads them.
    #[must_use]
    pub fn failure_list(&self) -> String {
        self.failures
            .iter()
            .map(|failure| format!("{failure}\n"))
            .collect()
    }

    /// The lines of the ratchet: `suite<TAB>group<TAB>passed`.
    fn ratchet_lines(&self) -> BTreeMap<(String, String), usize> {
        self.groups
            .iter()
            .map(|(group, count)| ((self.suite.clone(), group.clone()), count.passed))
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .groups
            .keys()
            .map(String::len)
            .max()
            .unwrap_or(0)
            .max(5);
        writeln!(f, "{}", self.suite)?;
        let mut line = |name: &str, count: &Count| {
            let percent = 100.0 * count.passed as f64 / count.total.max(1) as f64;
            writeln!(
                f,
                "  {name:width$}  {:>7} of {:>7}  {percent:6.2} %",
                count.passed, count.total
            )
        };
        for (name, count) in &self.groups {
            line(name, count)?;
        }
        line("total", &self.sum())
    }
}

/// Compares reports with the checked-in counts, which may only rise.
///
/// # Errors
/// [`Error::Regression`] where a group passes less than its count, or more, unless `update`
/// writes the new counts.
pub fn ratchet(path: &Path, reports: &[Report], update: bool) -> Result<()> {
    let failed = |source| Error::File {
        path: path.into(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let (comments, lines): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with('#'));
    let mut known = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        let mut fields = line.split('\t');
        let (Some(suite), Some(group), Some(Ok(passed))) = (
            fields.next(),
            fields.next(),
            fields.next().map(str::parse::<usize>),
        ) else {
            return Err(Error::Format {
                path: path.into(),
                line: comments.len() + number + 1,
                reason: "expected suite, group and count with tabs between".to_owned(),
            });
        };
        known.insert((suite.to_owned(), group.to_owned()), passed);
    }
    let mut fallen = Vec::new();
    let mut risen = Vec::new();
    for report in reports {
        for (key, passed) in report.ratchet_lines() {
            let before = known.insert(key.clone(), passed).unwrap_or(0);
            let (suite, group) = key;
            if passed < before {
                fallen.push(format!("{suite} {group}: {before} before, {passed} now"));
            } else if passed > before {
                risen.push(format!("{suite} {group}: {before} before, {passed} now"));
            }
        }
    }
    if !fallen.is_empty() {
        return Err(Error::Regression(format!(
            "fewer statements pass:\n{}",
            fallen.join("\n")
        )));
    }
    if risen.is_empty() {
        return Ok(());
    }
    if !update {
        // More than promised is no failure: whoever made it so raises the counts.
        return Ok(());
    }
    let mut text: String = comments.iter().map(|line| format!("{line}\n")).collect();
    for ((suite, group), passed) in known {
        text.push_str(&format!("{suite}\t{group}\t{passed}\n"));
    }
    std::fs::write(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_may_only_rise() {
        let folder = std::env::temp_dir().join(format!("ratchet-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("ratchet.txt");
        std::fs::write(&path, "# counts\ns\tg\t2\n").expect("a file");
        let report = |passed: usize| {
            let mut report = Report::new("s");
            (0..passed).for_each(|_| report.pass("g"));
            vec![report]
        };
        assert!(ratchet(&path, &report(1), false).is_err());
        assert!(ratchet(&path, &report(2), false).is_ok());
        assert!(ratchet(&path, &report(3), true).is_ok());
        assert!(ratchet(&path, &report(2), false).is_err());
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
