//! Golden scripts: text in, text out.
//!
//! A script is a text file of blocks. Each block is an input, a separator line `---` and the
//! output that the input is expected to give:
//!
//! ```text
//! # Lines that start with '#' before an input are comments.
//! put a 1
//! put b 2
//! ---
//! ok
//! ok
//!
//! scan
//! ---
//! a = 1
//! b = 2
//! ```
//!
//! Grammar, line by line:
//!
//! - Blank lines and lines that start with `#` between blocks are comments. They are kept.
//! - The first other line begins an **input**, which runs up to the line `---` (or `--->`);
//!   blank lines and `#` inside it belong to it.
//! - After `---` the **output** runs up to the next blank line or the end of the file.
//! - An output that holds a blank line is opened by `--->` instead and closed by `<---`.
//! - White space at the end of a line, and blank lines at the end of an output, do not count.
//!
//! The code under test is a closure from input to output. It is called once per block, in
//! order, so it may keep state. Errors are output too: print them.
//!
//! ```
//! use rustling_testkit::golden;
//!
//! let script = "one two\n---\n2 words\n";
//! let count = |input: &str| format!("{} words", input.split_whitespace().count());
//! assert_eq!(golden::check(script, count), Ok(()));
//! ```
//!
//! With `UPDATE_GOLDEN=1` in the environment, [`run`] and [`run_dir`] rewrite the outputs in
//! the files to what the code gives now, keeping comments and layout; the diff is then read
//! by a person.

use std::{fmt, io, path::Path};

/// The environment variable that makes [`run`] rewrite scripts instead of checking them.
pub const UPDATE_VARIABLE: &str = "UPDATE_GOLDEN";

const SEPARATOR: &str = "---";
const FENCE_OPEN: &str = "--->";
const FENCE_CLOSE: &str = "<---";

/// One block of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Comment and blank lines before the input, as they stand.
    pub leading: Vec<String>,
    /// The line number (from 1) of the input's first line.
    pub line: usize,
    /// The input, lines joined by `\n`, without a final line end.
    pub input: String,
    /// The expected output, normalised: no trailing white space, no trailing blank lines.
    pub output: String,
}

/// A parsed script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The blocks in order.
    pub blocks: Vec<Block>,
    /// Comment and blank lines after the last block.
    pub trailing: Vec<String>,
}

/// Why a script did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoldenError {
    /// The text is no script.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Line number from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Blocks gave another output than expected.
    #[error("{}", display_mismatches(.0))]
    Mismatches(Vec<Mismatch>),
}

/// A block that gave another output than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The line number (from 1) of the input's first line.
    pub line: usize,
    /// The input.
    pub input: String,
    /// The output the script expects.
    pub expected: String,
    /// The output the code gave.
    pub actual: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}:", self.line)?;
        for line in self.input.lines() {
            writeln!(f, "    {line}")?;
        }
        let (expected, actual): (Vec<&str>, Vec<&str>) = (
            self.expected.lines().collect(),
            self.actual.lines().collect(),
        );
        let prefix = expected
            .iter()
            .zip(&actual)
            .take_while(|(a, b)| a == b)
            .count();
        let suffix = expected[prefix..]
            .iter()
            .rev()
            .zip(actual[prefix..].iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
        for line in &expected[..prefix] {
            writeln!(f, "  {line}")?;
        }
        for line in &expected[prefix..expected.len() - suffix] {
            writeln!(f, "- {line}")?;
        }
        for line in &actual[prefix..actual.len() - suffix] {
            writeln!(f, "+ {line}")?;
        }
        for line in &expected[expected.len() - suffix..] {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

fn display_mismatches(mismatches: &[Mismatch]) -> String {
    mismatches
        .iter()
        .map(Mismatch::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Removes what does not count: trailing white space per line, trailing blank lines.
fn normalise(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let end = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(0, |last| last + 1);
    lines[..end].join("\n")
}

impl Script {
    /// Parses a script.
    ///
    /// # Errors
    /// [`GoldenError::Syntax`] where an input has no separator or a fence is not closed.
    pub fn parse(text: &str) -> Result<Script, GoldenError> {
        let mut script = Script::default();
        let mut leading = Vec::new();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            if line.trim_end().is_empty() || line.starts_with('#') {
                leading.push(line.to_owned());
                continue;
            }
            let mut input = Vec::new();
            let mut current = Some(line);
            let fenced = loop {
                match current.map(str::trim_end) {
                    None => {
                        return Err(GoldenError::Syntax {
                            line: index + 1,
                            reason: "this input has no '---' line after it",
                        });
                    }
                    Some(SEPARATOR) => break false,
                    Some(FENCE_OPEN) => break true,
                    Some(_) => input.extend(current),
                }
                current = lines.next().map(|(_, line)| line);
            };
            if input.is_empty() {
                return Err(GoldenError::Syntax {
                    line: index + 1,
                    reason: "a separator without an input before it",
                });
            }
            let mut output = Vec::new();
            let mut closed = !fenced;
            while let Some((_, line)) = lines.peek() {
                let line = line.trim_end();
                if !fenced && line.is_empty() {
                    break;
                }
                lines.next();
                if fenced && line == FENCE_CLOSE {
                    closed = true;
                    break;
                }
                output.push(line);
            }
            if !closed {
                return Err(GoldenError::Syntax {
                    line: index + 1,
                    reason: "the output of this input is opened by '--->' but not closed by '<---'",
                });
            }
            script.blocks.push(Block {
                leading: std::mem::take(&mut leading),
                line: index + 1,
                input: input.join("\n"),
                output: normalise(&output.join("\n")),
            });
        }
        script.trailing = leading;
        Ok(script)
    }

    /// Runs every input and returns the script with the outputs that came back.
    #[must_use]
    pub fn replay(&self, mut run: impl FnMut(&str) -> String) -> Script {
        let mut replayed = self.clone();
        for block in &mut replayed.blocks {
            block.output = normalise(&run(&block.input));
        }
        replayed
    }

    /// The blocks whose outputs differ from `expected`, a script with the same inputs.
    fn mismatches(&self, expected: &Script) -> Vec<Mismatch> {
        expected
            .blocks
            .iter()
            .zip(&self.blocks)
            .filter(|(expected, actual)| expected.output != actual.output)
            .map(|(expected, actual)| Mismatch {
                line: expected.line,
                input: expected.input.clone(),
                expected: expected.output.clone(),
                actual: actual.output.clone(),
            })
            .collect()
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, block) in self.blocks.iter().enumerate() {
            // An unfenced output needs a blank line to end it.
            if index > 0
                && block
                    .leading
                    .first()
                    .is_none_or(|line| !line.trim_end().is_empty())
            {
                writeln!(f)?;
            }
            for line in &block.leading {
                writeln!(f, "{line}")?;
            }
            writeln!(f, "{}", block.input)?;
            let fenced = block
                .output
                .lines()
                .any(|line| line.is_empty() || line == FENCE_CLOSE);
            writeln!(f, "{}", if fenced { FENCE_OPEN } else { SEPARATOR })?;
            if !block.output.is_empty() {
                writeln!(f, "{}", block.output)?;
            }
            if fenced {
                writeln!(f, "{FENCE_CLOSE}")?;
            }
        }
        if let Some(first) = self.trailing.first() {
            if !self.blocks.is_empty() && !first.trim_end().is_empty() {
                writeln!(f)?;
            }
            for line in &self.trailing {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}

/// Checks the text of a script against the code under test.
///
/// # Errors
/// [`GoldenError`]: the text is no script, or outputs differ. All blocks are run, and all that
/// differ are reported.
pub fn check(text: &str, run: impl FnMut(&str) -> String) -> Result<(), GoldenError> {
    let script = Script::parse(text)?;
    let mismatches = script.replay(run).mismatches(&script);
    if mismatches.is_empty() {
        Ok(())
    } else {
        Err(GoldenError::Mismatches(mismatches))
    }
}

/// Checks the script at `path`, or rewrites it where `UPDATE_GOLDEN=1` is set.
///
/// # Panics
/// Where the file cannot be read, is no script, holds no block, or outputs differ: the message
/// shows the path, the lines and the differences.
#[expect(clippy::panic, reason = "the runner reports to the test harness")]
pub fn run(path: impl AsRef<Path>, run: impl FnMut(&str) -> String) {
    let path = path.as_ref();
    if let Err(reason) = run_file(path, run, update_wanted()) {
        panic!("golden script {}\n{reason}", path.display());
    }
}

/// Runs [`run`] over every file of `dir` whose name ends in `.golden`, in order of name.
/// `start` makes a fresh runner for each file.
///
/// # Panics
/// As [`run`], after all files ran; also where the directory holds no golden script.
#[expect(clippy::panic, reason = "the runner reports to the test harness")]
pub fn run_dir<R: FnMut(&str) -> String>(dir: impl AsRef<Path>, mut start: impl FnMut(&Path) -> R) {
    let dir = dir.as_ref();
    let mut paths: Vec<_> = match std::fs::read_dir(dir).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
    }) {
        Ok(paths) => paths
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == "golden"))
            .collect(),
        Err(reason) => panic!("cannot list {}: {reason}", dir.display()),
    };
    paths.sort();
    assert!(
        !paths.is_empty(),
        "no golden script (*.golden) in {}",
        dir.display()
    );
    let failures: Vec<String> = paths
        .iter()
        .filter_map(|path| {
            run_file(path, start(path), update_wanted())
                .err()
                .map(|reason| format!("golden script {}\n{reason}", path.display()))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn update_wanted() -> bool {
    std::env::var_os(UPDATE_VARIABLE).is_some_and(|value| !value.is_empty() && value != "0")
}

#[expect(
    clippy::disallowed_methods,
    reason = "test fixtures are read and rewritten on the real file system"
)]
fn run_file(path: &Path, run: impl FnMut(&str) -> String, update: bool) -> Result<(), String> {
    let text =
        std::fs::read_to_string(path).map_err(|reason| format!("cannot read it: {reason}"))?;
    let script = Script::parse(&text).map_err(|reason| reason.to_string())?;
    if script.blocks.is_empty() {
        return Err("it holds no block".to_owned());
    }
    let actual = script.replay(run);
    let mismatches = actual.mismatches(&script);
    if mismatches.is_empty() {
        return Ok(());
    }
    if update {
        return std::fs::write(path, actual.to_string())
            .map_err(|reason| format!("cannot rewrite it: {reason}"));
    }
    Err(format!(
        "{}\nset {UPDATE_VARIABLE}=1 to accept the new output",
        GoldenError::Mismatches(mismatches)
    ))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the runner works on real files")]
mod tests {
    use super::*;

    const SCRIPT: &str = "\
# A comment.

first
second  with # inside

and a blank line
---
out 1
out 2

# Another.
third
--->
with

blank
<---

silent
---

# The end.
";

    #[test]
    fn a_script_parses_into_blocks_and_prints_back_as_it_was() {
        let script = Script::parse(SCRIPT).unwrap();
        assert_eq!(script.blocks.len(), 3);
        assert_eq!(script.blocks[0].line, 3);
        assert_eq!(
            script.blocks[0].input,
            "first\nsecond  with # inside\n\nand a blank line"
        );
        assert_eq!(script.blocks[0].output, "out 1\nout 2");
        assert_eq!(script.blocks[1].output, "with\n\nblank");
        assert_eq!(script.blocks[2].output, "");
        assert_eq!(script.to_string(), SCRIPT);
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        for (text, line) in [
            ("lonely\n", 1),
            ("\n---\nx\n", 2),
            ("a\n--->\nb\n", 1),
            ("# c\n\na\n---\nb\n\nopen", 7),
        ] {
            match Script::parse(text) {
                Err(GoldenError::Syntax { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
                other => panic!("{text:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn differences_are_reported_for_every_block() {
        let error = check("a\n---\na\n\nb\n---\nx\n\nc\n---\ny\n", str::to_owned).unwrap_err();
        let GoldenError::Mismatches(mismatches) = error else {
            panic!("{error}")
        };
        assert_eq!(
            mismatches.iter().map(|m| m.line).collect::<Vec<_>>(),
            [5, 9]
        );
        assert_eq!(mismatches[0].to_string(), "line 5:\n    b\n- x\n+ b\n");
    }

    #[test]
    fn trailing_space_does_not_count() {
        assert_eq!(
            check("a\n---\nx  \n  y\n", |_| "x\n  y \n\n".to_owned()),
            Ok(())
        );
        assert!(check("a\n---\nx\n", |_| " x".to_owned()).is_err());
    }

    #[test]
    fn updating_rewrites_outputs_and_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.golden");
        std::fs::write(&path, SCRIPT).unwrap();
        let mut calls = 0;
        let mut answer = |input: &str| {
            calls += 1;
            if input == "silent" {
                "now\n\nloud".to_owned()
            } else {
                "same".to_owned()
            }
        };
        assert!(run_file(&path, &mut answer, false).is_err());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            SCRIPT,
            "a check never writes"
        );
        run_file(&path, &mut answer, true).unwrap();
        run_file(&path, &mut answer, false).unwrap();
        assert_eq!(calls, 9);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(
                "# Another.\nthird\n---\nsame\n\nsilent\n--->\nnow\n\nloud\n<---\n\n# The end.\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn an_empty_script_is_a_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.golden");
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(run_file(&path, str::to_owned, false).is_err());
    }

    #[test]
    fn printing_and_parsing_round_trip() {
        fn holds(outputs: Vec<Vec<u8>>) -> bool {
            let script = Script::parse(&"in\n---\nx\n\n".repeat(outputs.len())).unwrap();
            let mut next = outputs.into_iter();
            // Lines from a tiny alphabet, so that blank lines and fences occur constantly.
            let words = ["", "x", SEPARATOR, FENCE_OPEN, "# y", "  z"];
            let replayed = script.replay(|_| {
                next.next()
                    .unwrap_or_default()
                    .iter()
                    .map(|b| words[usize::from(*b) % words.len()])
                    .collect::<Vec<_>>()
                    .join("\n")
            });
            let parsed = Script::parse(&replayed.to_string()).unwrap();
            parsed.mismatches(&replayed).is_empty() && parsed.blocks.len() == replayed.blocks.len()
        }
        quickcheck::quickcheck(holds as fn(Vec<Vec<u8>>) -> bool);
    }
}
