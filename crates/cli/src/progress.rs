//! Progress of long work, on standard error: a bar on a terminal, silence elsewhere.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustling_etl::{Phase, Progress};

/// A progress bar for a load.
pub(crate) struct LoadBar {
    bar: ProgressBar,
}

impl LoadBar {
    /// A bar named after what is loaded; hidden where standard error is no terminal.
    #[must_use]
    pub(crate) fn new(name: &str) -> LoadBar {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_prefix(name.to_string());
        bar.enable_steady_tick(Duration::from_millis(100));
        LoadBar { bar }
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for LoadBar {
    fn begin(&self, phase: Phase, bytes: u64) {
        let style = "{prefix} {msg:<8} {bar:24} {percent:>3}%  {bytes}/{total_bytes}  {binary_bytes_per_sec}  ETA {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style.progress_chars("━╸─"));
        }
        self.bar.set_length(bytes);
        self.bar.reset();
        self.bar.set_message(match phase {
            Phase::Infer => "reading",
            Phase::Load => "loading",
            Phase::Commit => "saving",
        });
    }

    fn advance(&self, bytes: u64, rows: u64) {
        self.bar.set_position(bytes);
        let elapsed = self.bar.elapsed().as_secs_f64();
        if rows > 0 && elapsed > 0.0 {
            let per_second = HumanCount((rows as f64 / elapsed) as u64);
            self.bar
                .set_message(format!("{} rows, {per_second} rows/s", HumanCount(rows)));
        }
    }
}
