//! The commands of those who run a Daybook: topics, rebuilds, parked events.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use eventsourcing_postgres::projection::Projection;
use eventsourcing_postgres::rebuild::{self, Verified};
use indicatif::{ProgressBar, ProgressStyle};

use crate::parts::{Parts, generation, home};

const BAR: &str = "{spinner} {msg} {wide_bar} {human_pos}/{human_len} records · {per_sec} · {eta} left";
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// `daybook topics create`.
pub async fn create_topics(parts: &Parts) -> anyhow::Result<()> {
    parts.topics.create(&parts.config.topics.prefix).await?;
    for topic in parts.all_topics() {
        println!("{topic}: {} partitions", parts.log.partitions(&topic).await?);
    }
    Ok(())
}

/// `daybook doctor`: every finding with its cure; an error when a promise does not hold.
pub async fn doctor(parts: &Parts) -> anyhow::Result<()> {
    let findings = parts.topics.check(&parts.config.topics.prefix).await?;
    for finding in &findings {
        println!("{finding}");
    }
    let mut errors = findings.iter().filter(|finding| finding.error).count();
    // Where the log is depends on which topics are meant.
    let right = match generation::check(parts).await {
        Ok(()) => home::check(parts).await,
        wrong => wrong,
    };
    if let Err(wrong) = right {
        println!("error: {wrong}");
        errors += 1;
    }
    if errors > 0 {
        bail!("{errors} errors: promises do not hold");
    }
    let routes = eventsourcing::routes::topic(&parts.config.topics.prefix);
    for topic in parts.all_topics().into_iter().chain([routes]) {
        if !findings.iter().any(|finding| finding.topic == topic) {
            println!("ok: {topic}");
        }
    }
    Ok(())
}

/// `daybook rebuild NAME` or, without a name, all of them.
pub async fn rebuild(parts: &Parts, name: Option<&str>) -> anyhow::Result<()> {
    let all = projections::all();
    let names: Vec<_> = all.iter().map(Projection::name).collect();
    if let Some(name) = name
        && !names.contains(&name)
    {
        bail!("there is no projection {name:?}; there are {}", names.join(", "));
    }
    generation::check(parts).await?;
    for projection in all
        .iter()
        .filter(|projection| name.is_none_or(|name| name == projection.name()))
    {
        let progress = RebuildProgress::new(projection.name());
        let topic = parts.topic(projection.service());
        let rebuilt = rebuild::rebuild(&parts.pool, &parts.log, &topic, projection, |done, total| {
            progress.at(done, total);
        })
        .await;
        progress.finish();
        let rebuilt = rebuilt.map_err(|error| anyhow!("{}: {error}", projection.name()))?;
        let verified = match rebuilt.verified {
            Verified::EqualToLive => format!("{} rows equal to the ones before", rebuilt.rows),
            Verified::Sample(sampled) => {
                format!(
                    "{} rows of a changed fold, {sampled} of them checked one by one",
                    rebuilt.rows
                )
            }
        };
        println!(
            "{}: version {} is live, {verified}, {} records read",
            projection.name(),
            rebuilt.version,
            rebuilt.records
        );
    }
    Ok(())
}

/// A bar on a terminal, plain lines elsewhere.
enum RebuildProgress {
    Bar(ProgressBar),
    Lines {
        name: &'static str,
        told: Mutex<Instant>,
    },
}

impl RebuildProgress {
    fn new(name: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines {
                name,
                told: Mutex::new(Instant::now()),
            };
        }
        let bar = ProgressBar::new(0).with_message(name);
        bar.set_style(ProgressStyle::with_template(BAR).expect("the template is well formed"));
        Self::Bar(bar)
    }

    fn at(&self, done: u64, total: u64) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            Self::Lines { name, told } => {
                let mut told = told.lock().expect("no holder of this lock panics");
                if told.elapsed() >= LINE_INTERVAL {
                    *told = Instant::now();
                    eprintln!("{name}: {done}/{total} records");
                }
            }
        }
    }

    fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// `daybook parked list`.
pub async fn parked(parts: &Parts) -> anyhow::Result<()> {
    let rows: Vec<(String, i32, String, i32, i64, String, String)> = sqlx::query_as(
        r#"SELECT e.projection, e.version, e.topic, e.partition, e."offset", e.key, e.error
           FROM daybook.parked_events e
           ORDER BY e.projection, e.version, e.topic, e.partition, e."offset""#,
    )
    .fetch_all(&parts.pool)
    .await?;
    for (projection, version, topic, partition, offset, key, error) in &rows {
        println!("{projection} v{version} {topic}/{partition}@{offset} {key}: {error}");
    }
    eprintln!("{} events parked", rows.len());
    Ok(())
}
