//! `daybook parked`.

use anyhow::bail;
use eventsourcing_postgres::rebuild::{RebuildError, Redriven};
use time::format_description::well_known::Rfc3339;

use super::{Refused, Unwanted};
use crate::parts::Parts;
use crate::rebuild::named;

/// `daybook parked list`.
pub async fn list(parts: &Parts, names: &[String], limit: u32, as_json: bool) -> anyhow::Result<()> {
    let keys = super::list(parts, names, limit).await?;
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
    let (mut waiting, mut foreign) = (0, 0);
    for rebuilder in named(parts, &names)? {
        let of = rebuilder.projection.name();
        match super::retry(parts, of, key).await {
            Ok(keys) => {
                for redriven in keys {
                    waiting += usize::from(redriven.left.is_some());
                    tell(of, &redriven);
                }
            }
            // Of all of them, most have none.
            Err(Refused::Failed(_, RebuildError::NothingParked { .. } | RebuildError::NoLiveVersion(_)))
                if name.is_none() => {}
            // A rebuild folds what is parked, too; that is no reason to let the others wait.
            Err(Refused::Failed(_, error)) if name.is_none() && error.is_other_fold() => {
                foreign += 1;
                eprintln!("{}", super::told(of, &error));
            }
            Err(error) => return Err(error.into()),
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
pub async fn skip(parts: &Parts, name: &str, unwanted: Unwanted<'_>) -> anyhow::Result<()> {
    let redriven = super::skip(parts, name, unwanted).await?;
    let Unwanted { key, at, .. } = unwanted;
    println!("{name} {key:?}: {at} is left out for ever");
    tell(name, &redriven);
    if redriven.left.is_some() {
        bail!("what follows of {key:?} still waits, with an error of its own");
    }
    Ok(())
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
