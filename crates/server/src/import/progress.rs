//! A bar with rate and time left on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

const LINE_INTERVAL: Duration = Duration::from_secs(5);
const BAR: &str = "{spinner} {wide_bar} {human_pos}/{human_len} {msg} · {per_sec} · {eta} left";

/// How far an import is.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

pub(super) struct Lines {
    what: &'static str,
    started: Instant,
    told: Instant,
    done: u64,
    total: u64,
}

impl Progress {
    /// Of `total` things called `what`.
    pub(super) fn new(total: u64, what: &'static str) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total).with_message(what);
            bar.set_style(ProgressStyle::with_template(BAR).expect("the template is well formed"));
            return Self::Bar(bar);
        }
        let now = Instant::now();
        Self::Lines(Mutex::new(Lines {
            what,
            started: now,
            told: now,
            done: 0,
            total,
        }))
    }

    /// One more is done.
    pub(super) fn step(&self) {
        match self {
            Self::Bar(bar) => bar.inc(1),
            Self::Lines(lines) => lines.lock().expect("no holder of this lock panics").step(),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn step(&mut self) {
        self.done += 1;
        if self.told.elapsed() < LINE_INTERVAL {
            return;
        }
        self.told = Instant::now();
        let rate = self.done as f64 / self.started.elapsed().as_secs_f64();
        let left = (self.total.saturating_sub(self.done)) as f64 / rate;
        let left = HumanDuration(Duration::from_secs(left as u64));
        eprintln!(
            "{}/{} {} · {rate:.0}/s · {left} left",
            self.done, self.total, self.what
        );
    }
}
