//! The commands of those who run a Daybook: topics and their settings.

use anyhow::bail;

use eventsourcing_postgres::projection::ProjectionError;
use eventsourcing_postgres::rebuild::{self, RebuildError};

use crate::parts::{Parts, generation, home};
use crate::rebuild::named;

/// `daybook topics create`.
pub async fn create_topics(parts: &Parts) -> anyhow::Result<()> {
    parts.topics.create(&parts.config.topics.prefix).await?;
    for topic in parts.all_topics() {
        println!("{topic}: {} partitions", parts.log.partitions(&topic).await?);
    }
    Ok(())
}

/// What waits in each projection, with its cure. Not an error: the others' keys go on.
async fn parked(parts: &Parts) -> anyhow::Result<Vec<String>> {
    let waiting = rebuild::parked_now(&parts.pool).await?;
    let line = |(projection, events): (String, i64)| {
        format!("warning: {projection} has events parked: {events}; see `daybook parked list {projection}`")
    };
    Ok(waiting.into_iter().map(line).collect())
}

/// Which projections of this build stand still because another build's fold made the live version, and what to do.
async fn foreign(parts: &Parts) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for rebuilder in named(parts, &[])? {
        match rebuilder.check().await {
            Err(error) if error.is_other_fold() => lines.push(format!("warning: {error}")),
            // Made by the first projector that runs; said below where it is of another generation.
            Ok(())
            | Err(
                RebuildError::NoLiveVersion(_) | RebuildError::Projection(ProjectionError::Replaced { .. }),
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(lines)
}

/// `daybook doctor`: every finding with its cure; an error when a promise does not hold.
pub async fn doctor(parts: &Parts) -> anyhow::Result<()> {
    let findings = parts.topics.check(&parts.config.topics.prefix).await?;
    for finding in &findings {
        println!("{finding}");
    }
    for line in foreign(parts).await?.into_iter().chain(parked(parts).await?) {
        println!("{line}");
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
