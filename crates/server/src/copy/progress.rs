//! How far a copy is: a bar on a terminal, plain lines elsewhere. A record counts when it was read back.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use eventsourcing::copy::Progress;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

const LINE_INTERVAL: Duration = Duration::from_secs(2);
const BAR: &str = "{spinner} {wide_bar} {human_pos}/{human_len} records · {per_sec} · {msg} · {eta} left";

pub(crate) struct Bar {
    shown: Option<ProgressBar>,
    started: Instant,
    told: Mutex<Instant>,
    records: AtomicU64,
    bytes: AtomicU64,
    total: AtomicU64,
}

impl Bar {
    pub(crate) fn new() -> Self {
        let style = ProgressStyle::with_template(BAR).expect("the template is well formed");
        let shown = std::io::stderr()
            .is_terminal()
            .then(|| ProgressBar::new(0).with_style(style));
        Self {
            shown,
            started: Instant::now(),
            told: Mutex::new(Instant::now()),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }
    }

    /// The source has so many records now.
    pub(crate) fn up_to(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        if let Some(bar) = &self.shown {
            bar.set_length(total);
        }
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.shown {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    fn line(&self, records: u64, bytes: u64) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = records as f64 / seconds;
        let total = self.total.load(Ordering::Relaxed);
        let left = Duration::from_secs((total.saturating_sub(records) as f64 / rate) as u64);
        let speed = HumanBytes((bytes as f64 / seconds) as u64);
        let left = HumanDuration(left);
        format!("{records}/{total} records · {rate:.0}/s · {speed}/s · {left} left")
    }
}

impl Progress for Bar {
    fn copied(&self, _: u64, _: u64) {}

    fn compared(&self, records: u64, bytes: u64) {
        let records = self.records.fetch_add(records, Ordering::Relaxed) + records;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bar) = &self.shown {
            let seconds = self.started.elapsed().as_secs().max(1);
            bar.set_message(format!("{}/s", HumanBytes(bytes / seconds)));
            bar.set_position(records);
            return;
        }
        let mut told = self.told.lock().expect("no holder of this lock panics");
        if told.elapsed() >= LINE_INTERVAL && records > 0 {
            *told = Instant::now();
            eprintln!("{}", self.line(records, bytes));
        }
    }
}
