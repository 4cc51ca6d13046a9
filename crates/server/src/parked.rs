//! Events that a projection could not apply: listed, folded again, or left out. By `daybook parked` and by the admin API.

pub mod cli;

use eventsourcing_postgres::projection::Projection;
use eventsourcing_postgres::rebuild::{self, ParkedKey, RebuildError, Rebuilder, Redriven, Skip};
use thiserror::Error;

use crate::parts::{Parts, generation};
use crate::rebuild::{UnknownProjection, named};

/// Characters of a reason.
const REASON_MAX: usize = 1_000;

/// Why nothing was done.
#[derive(Debug, Error)]
pub enum Refused {
    /// No projection has this name.
    #[error(transparent)]
    Unknown(#[from] UnknownProjection),
    /// Not where an event lies.
    #[error("{0:?} is no place: give TOPIC/PARTITION@OFFSET as `daybook parked list` prints it")]
    NoPlace(String),
    /// Those who ask later want to know.
    #[error("the reason must say why, in at most {REASON_MAX} characters")]
    NoReason,
    /// A table of states without one of its events would be wrong.
    #[error(
        "owners decide on {0}, so nothing can be left out of it: mend the fold, then `daybook parked retry {0}`"
    )]
    OwnersDecide(String),
    /// The place is in a topic that this projection never reads.
    #[error("{projection} folds {folds}, not {topic:?}")]
    OtherTopic {
        /// Which projection.
        projection: String,
        /// What it folds.
        folds: String,
        /// What was named.
        topic: String,
    },
    /// The topics of this process are not the shop's, or nobody can tell.
    #[error(transparent)]
    Generation(anyhow::Error),
    /// It was tried.
    #[error("{}", told(.0, .1))]
    Failed(String, #[source] RebuildError),
}

/// Most errors name the projection themselves.
fn told(name: &str, error: &RebuildError) -> String {
    match error {
        RebuildError::Projection(source) => format!("{name}: {source}"),
        error => error.to_string(),
    }
}

/// An event to leave out, as people name it.
#[derive(Clone, Copy, Debug)]
pub struct Unwanted<'a> {
    /// Its key.
    pub key: &'a str,
    /// `TOPIC/PARTITION@OFFSET`.
    pub at: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// The first parked event of each key of these projections, or of all when none is named; at most `limit`.
pub async fn list(parts: &Parts, names: &[String], limit: u32) -> Result<Vec<ParkedKey>, Refused> {
    let wanted = named(parts, names)?;
    let names: Vec<&str> = wanted.iter().map(|of| of.projection.name()).collect();
    let keys = rebuild::parked(&parts.pool, &names, limit).await;
    keys.map_err(|error| Refused::Failed("parked events".to_owned(), error.into()))
}

/// Folds what is parked of one projection again; only what is of `key`, if one is named.
pub async fn retry(parts: &Parts, name: &str, key: Option<&str>) -> Result<Vec<Redriven>, Refused> {
    let rebuilder = one(parts, name).await?;
    let redriven = rebuilder.retry(key).await;
    redriven.map_err(|error| Refused::Failed(name.to_owned(), error))
}

/// Leaves out the first parked event of a key for ever, and folds what waits behind it.
pub async fn skip(parts: &Parts, name: &str, unwanted: Unwanted<'_>) -> Result<Redriven, Refused> {
    let Unwanted { key, at, reason } = unwanted;
    let (topic, partition, offset) = place(at).ok_or_else(|| Refused::NoPlace(at.to_owned()))?;
    if reason.trim().is_empty() || reason.chars().count() > REASON_MAX {
        return Err(Refused::NoReason);
    }
    let states = projections::states();
    if states.iter().map(Projection::name).any(|states| states == name) {
        return Err(Refused::OwnersDecide(name.to_owned()));
    }
    let rebuilder = one(parts, name).await?;
    if rebuilder.topic.as_str() != topic {
        return Err(Refused::OtherTopic {
            projection: name.to_owned(),
            folds: rebuilder.topic.to_string(),
            topic: topic.to_owned(),
        });
    }
    let skip = Skip {
        key: key.to_owned(),
        partition,
        offset,
        reason: reason.to_owned(),
    };
    let redriven = rebuilder.skip(&skip).await;
    redriven.map_err(|error| Refused::Failed(name.to_owned(), error))
}

/// The projection of this name, to be worked on.
async fn one(parts: &Parts, name: &str) -> Result<Rebuilder, Refused> {
    let unknown = || UnknownProjection(name.to_owned());
    let rebuilder = named(parts, &[name.to_owned()])?.pop().ok_or_else(unknown)?;
    generation::check(parts).await.map_err(Refused::Generation)?;
    Ok(rebuilder)
}

/// `TOPIC/PARTITION@OFFSET`.
fn place(text: &str) -> Option<(&str, u32, u64)> {
    let (partition, offset) = text.rsplit_once('@')?;
    let (topic, partition) = partition.rsplit_once('/')?;
    let offset = offset
        .parse()
        .ok()
        .filter(|offset| i64::try_from(*offset).is_ok())?;
    let partition = partition
        .parse()
        .ok()
        .filter(|partition| i32::try_from(*partition).is_ok())?;
    Some((topic, partition, offset))
}
