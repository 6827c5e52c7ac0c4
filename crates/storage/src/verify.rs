//! What a verification found.

use std::path::PathBuf;

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes, where that is known.
    pub offset: Option<u64>,
    /// What does not hold.
    pub problem: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// What a verification looked at and what it found; it goes on after a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Everything that does not hold.
    pub findings: Vec<Finding>,
    /// Pages whose image on disk was read and checked.
    pub pages: u64,
    /// Pages that trees refer to: nodes and overflow pages.
    pub tree_pages: u64,
    /// Tables of LSM trees that were read from end to end.
    pub tables: u64,
    /// Versions found in trees, tables and memtables, tombstones included.
    pub versions: u64,
}

impl VerifyReport {
    /// Whether everything holds.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Adds a finding.
    pub fn add(
        &mut self,
        file: impl Into<PathBuf>,
        offset: Option<u64>,
        problem: impl Into<String>,
    ) {
        self.findings.push(Finding {
            file: file.into(),
            offset,
            problem: problem.into(),
        });
    }
}
