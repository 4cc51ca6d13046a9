//! How far a rebuild is: bars on a terminal, plain lines elsewhere, JSON for scripts.

use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use eventsourcing_postgres::rebuild::{Progress, offsets};
use indicatif::{HumanBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

const BAR: &str = "{spinner} {prefix} {wide_bar} {human_pos}/{human_len} {msg}";
const PARTITION_BAR: &str = "  {prefix} {wide_bar} {human_pos}/{human_len} · {eta} left";
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// One rebuild's progress, as its user sees it.
pub(super) struct Shown {
    how: How,
    started: Instant,
}

enum How {
    Bars(Mutex<Bars>),
    Lines(Mutex<Instant>),
    Json,
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    partitions: Vec<ProgressBar>,
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well formed")
}

/// Records and bytes a second, seconds left.
struct Pace {
    events_per_s: f64,
    bytes_per_s: f64,
    left: Option<Duration>,
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn pace(progress: &Progress, elapsed: Duration) -> Pace {
    let seconds = elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    let events_per_s = progress.records as f64 / seconds;
    let (done, total) = offsets(&progress.partitions);
    let left = total.saturating_sub(done) as f64 / events_per_s;
    Pace {
        events_per_s,
        bytes_per_s: progress.bytes as f64 / seconds,
        left: Duration::try_from_secs_f64(left).ok(),
    }
}

impl Shown {
    pub(super) fn new(name: String, as_json: bool) -> Self {
        let how = if as_json {
            How::Json
        } else if std::io::stderr().is_terminal() {
            let all = MultiProgress::new();
            let whole = all.add(ProgressBar::new(0)).with_prefix(name);
            whole.set_style(style(BAR));
            How::Bars(Mutex::new(Bars {
                all,
                whole,
                partitions: Vec::new(),
            }))
        } else {
            How::Lines(Mutex::new(Instant::now()))
        };
        let started = Instant::now();
        Self { how, started }
    }

    /// It is so far by now.
    pub(super) fn at(&self, progress: &Progress) {
        let pace = pace(progress, self.started.elapsed());
        match &self.how {
            How::Bars(bars) => lock(bars).at(progress, &pace),
            How::Lines(told) => {
                let mut told = lock(told);
                if told.elapsed() >= LINE_INTERVAL {
                    *told = Instant::now();
                    let (done, total) = offsets(&progress.partitions);
                    eprintln!(
                        "{}: {done}/{total} {}",
                        progress.projection,
                        said(progress, &pace)
                    );
                }
            }
            How::Json => println!("{}", as_json(progress, &pace)),
        }
    }

    /// Takes the bars away.
    pub(super) fn finish(&self) {
        if let How::Bars(bars) = &self.how {
            let bars = lock(bars);
            for bar in bars.partitions.iter().chain([&bars.whole]) {
                bar.finish_and_clear();
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("no holder of this lock panics")
}

impl Bars {
    fn at(&mut self, progress: &Progress, pace: &Pace) {
        let (done, total) = offsets(&progress.partitions);
        self.whole.set_length(total);
        self.whole.set_position(done);
        self.whole.set_message(said(progress, pace));
        for (number, at) in progress.partitions.iter().enumerate() {
            if self.partitions.len() <= number {
                let bar = self.all.add(ProgressBar::new(at.total));
                bar.set_prefix(at.partition.to_string());
                bar.set_style(style(PARTITION_BAR));
                self.partitions.push(bar);
            }
            self.partitions[number].set_length(at.total);
            self.partitions[number].set_position(at.done);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, and not negative"
)]
fn said(progress: &Progress, pace: &Pace) -> String {
    let state = if progress.paused {
        "paused"
    } else {
        progress.phase.word()
    };
    let left = pace
        .left
        .map_or_else(|| "?".to_owned(), |left| HumanDuration(left).to_string());
    format!(
        "records · {state} · {}/s · {}/s · {left} left",
        HumanCount(pace.events_per_s as u64),
        HumanBytes(pace.bytes_per_s as u64)
    )
}

fn as_json(progress: &Progress, pace: &Pace) -> Value {
    let (done, total) = offsets(&progress.partitions);
    json!({
        "event": "progress", "projection": progress.projection.base(), "as_of": progress.projection.as_of(),
        "version": progress.version,
        "phase": progress.phase, "paused": progress.paused, "done": done, "total": total,
        "partitions": progress.partitions, "records": progress.records, "bytes": progress.bytes,
        "events_per_s": pace.events_per_s, "bytes_per_s": pace.bytes_per_s,
        "seconds_left": pace.left.map(|left| left.as_secs()),
    })
}
