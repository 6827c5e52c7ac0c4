//! Writing what is shown of a plan.

use std::{fmt::Write as _, time::Duration};

use super::{Actual, Explained, ShownNode, Summary};

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Explained {
    /// As lines of text.
    pub(crate) fn text(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.heading.iter().cloned().collect();
        self.root.text(lines.len(), &mut lines);
        for (parameter, what, plan) in &self.subqueries {
            lines.push(format!("Subquery ${parameter} ({what}, evaluated once)"));
            plan.text(1, &mut lines);
        }
        if !self.rules.is_empty() {
            lines.push(format!("Rules: {}", self.rules.join(", ")));
        }
        if let Some(Summary {
            planning,
            execution,
            peak_memory,
        }) = &self.summary
        {
            lines.push(format!("Planning Time: {:.3} ms", millis(*planning)));
            lines.push(format!("Execution Time: {:.3} ms", millis(*execution)));
            lines.push(format!(
                "Peak Memory: {} kB (whole database)",
                peak_memory.div_ceil(1024)
            ));
        }
        lines
    }

    /// As JSON: the keys are PostgreSQL's where it has such.
    pub(crate) fn json(&self) -> String {
        let mut out = Json::default();
        out.open('[');
        out.open('{');
        out.key("Plan");
        match &self.heading {
            Some(heading) => {
                out.open('{');
                out.text("Node Type", heading);
                out.key("Plans");
                out.open('[');
                out.item();
                self.root.json(&mut out);
                out.close(']');
                out.close('}');
            }
            None => self.root.json(&mut out),
        }
        if !self.subqueries.is_empty() {
            out.key("Subqueries");
            out.open('[');
            for (parameter, what, plan) in &self.subqueries {
                out.item();
                out.open('{');
                out.number("Parameter", *parameter as f64, 0);
                out.text("Gives", what);
                out.key("Plan");
                plan.json(&mut out);
                out.close('}');
            }
            out.close(']');
        }
        out.key("Rules");
        out.open('[');
        for rule in &self.rules {
            out.item();
            out.string(rule);
        }
        out.close(']');
        if let Some(summary) = &self.summary {
            out.number("Planning Time", millis(summary.planning), 3);
            out.number("Execution Time", millis(summary.execution), 3);
            let kilobytes = summary.peak_memory.div_ceil(1024);
            out.number("Peak Memory", kilobytes as f64, 0);
        }
        out.close('}');
        out.close(']');
        out.text
    }
}

impl ShownNode {
    fn text(&self, depth: usize, lines: &mut Vec<String>) {
        let arrow = if depth == 0 {
            String::new()
        } else {
            format!("{}->  ", " ".repeat((depth - 1) * 6 + 2))
        };
        let colon = if self.reason.is_empty() { "" } else { ": " };
        let mut line = format!(
            "{arrow}{}  (cost={:.0} rows={:.0}) [{}{colon}{}]",
            self.title, self.estimate.cost, self.estimate.rows, self.executor, self.reason,
        );
        match self.actual {
            None => {}
            Some(Actual::NeverExecuted) => line.push_str(" (never executed)"),
            Some(Actual::Ran {
                nanos,
                rows,
                memory,
            }) => {
                let _ = write!(
                    line,
                    " (actual time={:.3} ms rows={rows}",
                    nanos as f64 / 1e6
                );
                if memory > 0 {
                    let _ = write!(line, " memory={} kB", memory.div_ceil(1024));
                }
                line.push(')');
            }
        }
        lines.push(line);
        let indent = " ".repeat(depth * 6 + 2);
        for (label, text) in &self.details {
            lines.push(format!("{indent}{label}: {text}"));
        }
        for input in &self.inputs {
            input.text(depth + 1, lines);
        }
    }

    fn json(&self, out: &mut Json) {
        out.open('{');
        out.text("Node Type", &self.title);
        out.number("Total Cost", self.estimate.cost, 2);
        out.number("Plan Rows", self.estimate.rows.round(), 0);
        out.text("Executor", self.executor);
        out.text("Executor Reason", &self.reason);
        match self.actual {
            None => {}
            Some(Actual::NeverExecuted) => out.number("Actual Loops", 0.0, 0),
            Some(Actual::Ran {
                nanos,
                rows,
                memory,
            }) => {
                out.number("Actual Total Time", nanos as f64 / 1e6, 3);
                out.number("Actual Rows", rows as f64, 0);
                out.number("Peak Memory", memory.div_ceil(1024) as f64, 0);
            }
        }
        for (label, text) in &self.details {
            out.text(label, text);
        }
        if !self.inputs.is_empty() {
            out.key("Plans");
            out.open('[');
            for input in &self.inputs {
                out.item();
                input.json(out);
            }
            out.close(']');
        }
        out.close('}');
    }
}

/// JSON in the layout of PostgreSQL: two spaces a level.
#[derive(Default)]
struct Json {
    text: String,
    depth: usize,
    /// Whether something stands at this level already.
    is_filled: bool,
}

impl Json {
    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.depth += 1;
        self.is_filled = false;
        if bracket == '[' && self.depth == 1 {
            self.item();
        }
    }

    fn close(&mut self, bracket: char) {
        self.depth = self.depth.saturating_sub(1);
        if self.is_filled {
            self.line();
        }
        self.text.push(bracket);
        self.is_filled = true;
    }

    fn line(&mut self) {
        self.text.push('\n');
        self.text.push_str(&"  ".repeat(self.depth));
    }

    /// The place of the next value of a list.
    fn item(&mut self) {
        if self.is_filled {
            self.text.push(',');
        }
        self.line();
        self.is_filled = true;
    }

    fn key(&mut self, key: &str) {
        self.item();
        self.string(key);
        self.text.push_str(": ");
    }

    fn string(&mut self, text: &str) {
        let _ = crate::types::write_json_string(&mut self.text, text);
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        self.string(text);
    }

    fn number(&mut self, key: &str, number: f64, decimals: usize) {
        self.key(key);
        let _ = write!(self.text, "{number:.decimals$}");
    }
}
