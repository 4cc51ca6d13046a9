//! `daybook parked`: events that a projection could not apply.

use anyhow::{anyhow, bail};
use eventsourcing_postgres::projection::Projection;
use eventsourcing_postgres::rebuild::{self, RebuildError, Redriven, Skip};
use time::format_description::well_known::Rfc3339;

use crate::parts::{Parts, generation};
use crate::rebuild::named;

/// Characters of a reason.
const REASON_MAX: usize = 1_000;

/// `daybook parked list`.
pub async fn list(parts: &Parts, names: &[String], limit: u32, as_json: bool) -> anyhow::Result<()> {
    let wanted = named(parts, names)?;
    let names: Vec<&str> = wanted.iter().map(|of| of.projection.name()).collect();
    let keys = rebuild::parked(&parts.pool, &names, limit).await?;
    for parked in &keys {
        if as_json {
            println!("{}", serde_json::to_string(parked)?);
            continue;
        }
        println!(
            "{} {}/{}@{} {:?}, since {}, {} behind it: {}",
            parked.projection,
            parked.topic,
            parked.partition,
            parked.offset,
            parked.key,
            parked.parked_at.format(&Rfc3339)?,
            parked.waiting,
            parked.error
        );
    }
    if !as_json {
        let more = if keys.len() == limit as usize {
            ", or more: see --limit"
        } else {
            ""
        };
        eprintln!("keys with parked events: {}{more}", keys.len());
    }
    Ok(())
}

/// `daybook parked retry NAME | --all`.
pub async fn retry(parts: &Parts, name: Option<&str>, key: Option<&str>) -> anyhow::Result<()> {
    let names: Vec<String> = name.map(ToOwned::to_owned).into_iter().collect();
    let wanted = named(parts, &names)?;
    generation::check(parts).await?;
    let (mut waiting, mut foreign) = (0, 0);
    for rebuilder in wanted {
        let of = rebuilder.projection.name();
        match rebuilder.retry(key).await {
            Ok(keys) => {
                for redriven in keys {
                    waiting += usize::from(redriven.left.is_some());
                    tell(of, &redriven);
                }
            }
            // Of all of them, most have none.
            Err(RebuildError::NothingParked { .. } | RebuildError::NoLiveVersion(_)) if name.is_none() => {}
            // A rebuild folds what is parked, too; that is no reason to let the others wait.
            Err(error) if name.is_none() && error.is_other_fold() => {
                foreign += 1;
                eprintln!("{}", told(of, error));
            }
            Err(error) => return Err(told(of, error)),
        }
    }
    if waiting > 0 {
        bail!("keys that still wait: {waiting}; mend what their first events fail on, then retry again");
    }
    if foreign > 0 {
        bail!("projections of another fold, whose events still wait: {foreign}");
    }
    Ok(())
}

/// `daybook parked skip`.
pub async fn skip(parts: &Parts, name: &str, key: &str, at: &str, reason: &str) -> anyhow::Result<()> {
    let Some((topic, partition, offset)) = place(at) else {
        bail!("--at {at:?} is no place: give TOPIC/PARTITION@OFFSET as `daybook parked list` prints it");
    };
    if reason.trim().is_empty() || reason.chars().count() > REASON_MAX {
        bail!("--reason must say why, in at most {REASON_MAX} characters");
    }
    if projections::states()
        .iter()
        .map(Projection::name)
        .any(|states| states == name)
    {
        bail!(
            "owners decide on {name}, so nothing can be left out of it: mend the fold, then `daybook parked retry {name}`"
        );
    }
    let wanted = named(parts, &[name.to_owned()])?;
    generation::check(parts).await?;
    for rebuilder in wanted {
        if rebuilder.topic.as_str() != topic {
            bail!("{name} folds {}, not {topic:?}", rebuilder.topic);
        }
        let skip = Skip {
            key: key.to_owned(),
            partition,
            offset,
            reason: reason.to_owned(),
        };
        let redriven = rebuilder.skip(&skip).await.map_err(|error| told(name, error))?;
        println!("{name} {key:?}: {at} is left out for ever");
        tell(name, &redriven);
        if redriven.left.is_some() {
            bail!("what follows of {key:?} still waits, with an error of its own");
        }
    }
    Ok(())
}

/// Most errors name the projection themselves.
fn told(name: &str, error: RebuildError) -> anyhow::Error {
    match error {
        RebuildError::Projection(source) => anyhow!("{name}: {source}"),
        error => error.into(),
    }
}

fn tell(name: &str, redriven: &Redriven) {
    let Redriven { key, applied, left } = redriven;
    match left {
        None => println!("{name} {key:?}: {applied} applied, none wait"),
        Some(left) => println!(
            "{name} {key:?}: {applied} applied, the rest waits at {}: {}",
            left.at, left.error
        ),
    }
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
