//! What can be said to a rebuild from outside, and asked of it.

use std::num::NonZeroU64;

use anyhow::{anyhow, bail};
use eventsourcing_postgres::rebuild::{self, Snapshotter, Status, offsets};
use time::format_description::well_known::Rfc3339;

use super::{named, snapshot};
use crate::parts::{Parts, generation};

/// What is wanted of one projection's rebuild or versions.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// Hold it.
    Pause,
    /// Let it go on.
    Resume,
    /// Records a second at most; `None`: as fast as it can.
    Throttle(Option<NonZeroU64>),
    /// End it and remove what it built.
    Cancel,
    /// Make the version before the live one again.
    Rollback,
    /// Drop the versions before the live one, or the snapshot.
    Drop,
}

/// Does as ordered.
pub async fn give(parts: &Parts, name: &str, as_of: Option<&str>, order: Order) -> anyhow::Result<()> {
    generation::check(parts).await?;
    if let Some(as_of) = as_of {
        return give_snapshot(&snapshot::named(parts, name, as_of)?, order).await;
    }
    for rebuilder in named(parts, &[name.to_owned()])? {
        let done = match order {
            Order::Pause => rebuilder.pause(true).await.map(|()| "paused".to_owned()),
            Order::Resume => rebuilder.pause(false).await.map(|()| "goes on".to_owned()),
            Order::Throttle(pace) => rebuilder.throttle(pace).await.map(|()| paced(pace)),
            Order::Cancel => rebuilder.cancel().await.map(|()| "cancelled".to_owned()),
            Order::Rollback => rebuilder
                .rollback()
                .await
                .map(|version| format!("version {version} is live again")),
            Order::Drop => rebuilder.drop_retired().await.map(|versions| {
                let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
                format!("dropped version {}", versions.join(", "))
            }),
        };
        println!("{name}: {}", done.map_err(|error| anyhow!("{name}: {error}"))?);
    }
    Ok(())
}

async fn give_snapshot(snapshotter: &Snapshotter, order: Order) -> anyhow::Result<()> {
    let done = match order {
        Order::Pause => snapshotter.pause(true).await.map(|()| "paused".to_owned()),
        Order::Resume => snapshotter.pause(false).await.map(|()| "goes on".to_owned()),
        Order::Throttle(pace) => snapshotter.throttle(pace).await.map(|()| paced(pace)),
        Order::Cancel => snapshotter.cancel().await.map(|()| "cancelled".to_owned()),
        Order::Drop => snapshotter.remove().await.map(|()| "dropped".to_owned()),
        Order::Rollback => bail!("a snapshot has no version before it: build it again, or drop it"),
    };
    let name = snapshotter.name();
    println!("{name}: {}", done.map_err(|error| anyhow!("{name}: {error}"))?);
    Ok(())
}

fn paced(pace: Option<NonZeroU64>) -> String {
    match pace {
        Some(pace) => format!("held to {pace} records a second"),
        None => "as fast as it can".to_owned(),
    }
}

/// `daybook rebuild status`.
pub async fn status(parts: &Parts, as_json: bool) -> anyhow::Result<()> {
    let all = rebuild::status(&parts.pool).await?;
    for status in &all {
        if as_json {
            println!("{}", serde_json::to_string(status)?);
        } else {
            println!("{}", line(status)?);
        }
    }
    if all.is_empty() && !as_json {
        println!("no rebuild is under way");
    }
    Ok(())
}

fn line(status: &Status) -> anyhow::Result<String> {
    let Status {
        projection,
        as_of,
        version,
        running,
        phase,
        paused,
        events_per_s,
        partitions,
        begun_at,
        reported_at,
    } = status;
    let projection = match as_of {
        Some(as_of) => format!("{projection} --as-of {}", as_of.format(&Rfc3339)?),
        None => projection.clone(),
    };
    let (done, total) = offsets(partitions);
    let state = match (running, paused) {
        (false, _) => format!("interrupted while {phase}; `daybook rebuild {projection}` goes on"),
        (true, true) => format!("paused while {phase}"),
        (true, false) => phase.clone(),
    };
    let held = events_per_s.map_or_else(String::new, |pace| format!(", held to {pace} records a second"));
    Ok(format!(
        "{projection}: version {version}, {state}, {done} of {total} records{held}, begun {}, last heard of {}",
        begun_at.format(&Rfc3339)?,
        reported_at.format(&Rfc3339)?,
    ))
}
