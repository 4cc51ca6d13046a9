//! `daybook rebuild … --as-of TIME`: read models as they stood.

use std::num::NonZeroU64;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use eventsourcing::snapshot::{self, EXAMPLE};
use eventsourcing_postgres::projection::{Filter, Projection};
use eventsourcing_postgres::rebuild::{self, Built, Kept, RebuildError, Snapshotter};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::progress::Shown;
use super::{limits, rebuilder, stop_at_signal, tell_plan};
use crate::INTERRUPTED_EXIT_CODE;
use crate::parts::{Parts, generation};

/// Which snapshots, and how.
#[derive(Debug)]
pub struct WantedSnapshots {
    /// Of which read models; of all without any.
    pub names: Vec<String>,
    /// The instant, as it was written.
    pub as_of: String,
    /// Types of events, as they were written.
    pub only: Vec<String>,
    /// Only say what would be read.
    pub dry_run: bool,
    /// For scripts.
    pub json: bool,
    /// Records a second at most.
    pub events_per_s: Option<NonZeroU64>,
}

/// `daybook rebuild NAME… --as-of TIME`.
pub async fn as_of(parts: &Parts, wanted: &WantedSnapshots) -> anyhow::Result<ExitCode> {
    let mut names: Vec<&str> = wanted.names.iter().map(String::as_str).collect();
    if names.is_empty() {
        names = projections::read_models().iter().map(Projection::name).collect();
    }
    let as_of = past(parts, &wanted.as_of)?;
    // All that was written is looked at before anything is built.
    let snapshotters = names
        .iter()
        .map(|name| snapshotter(parts, name, as_of, &wanted.only))
        .collect::<anyhow::Result<Vec<_>>>()?;
    generation::check(parts).await?;
    let limits = limits(parts, wanted.events_per_s);
    let stopping = tokio::spawn(stop_at_signal(limits.stop.clone()));
    let mut empty = 0;
    for snapshotter in &snapshotters {
        let name = snapshotter.name();
        if wanted.dry_run {
            let plan = snapshotter
                .plan()
                .await
                .map_err(|error| anyhow!("{name}: {error}"))?;
            tell_plan(name.base(), name.as_of(), snapshotter.topic(), &plan, wanted.json);
            continue;
        }
        let shown = Shown::new(name.to_string(), wanted.json);
        let outcome = snapshotter.build(&limits, |progress| shown.at(progress)).await;
        shown.finish();
        match outcome {
            Ok(built) => tell(snapshotter, &built, wanted.json),
            Err(error @ RebuildError::Interrupted(_)) => {
                eprintln!("{name}: {error}");
                return Ok(ExitCode::from(INTERRUPTED_EXIT_CODE));
            }
            // Of several, some may have begun later than others.
            Err(error @ RebuildError::NothingHappened { .. }) if snapshotters.len() > 1 => {
                empty += 1;
                eprintln!("{name}: {error}");
            }
            Err(error) => return Err(anyhow!("{name}: {error}")),
        }
    }
    stopping.abort();
    if empty == snapshotters.len() {
        bail!("no snapshot was built");
    }
    Ok(ExitCode::SUCCESS)
}

/// The snapshot of this instant, made of whichever types.
pub(super) fn named(parts: &Parts, name: &str, as_of: &str) -> anyhow::Result<Snapshotter> {
    snapshotter(parts, name, instant(as_of)?, &[])
}

fn snapshotter(
    parts: &Parts,
    name: &str,
    as_of: OffsetDateTime,
    only: &[String],
) -> anyhow::Result<Snapshotter> {
    let known = projections::read_models();
    let names: Vec<_> = known.iter().map(Projection::name).collect();
    let names = names.join(", ");
    if projections::states().iter().any(|states| states.name() == name) {
        bail!("{name} is what owners start from, and no query reads it: --as-of is for {names}");
    }
    let Some(projection) = known.into_iter().find(|known| known.name() == name) else {
        bail!("there is no read model {name:?}; there are {names}");
    };
    let only = if only.is_empty() {
        None
    } else {
        Some(types(only, projection.event_types())?)
    };
    Ok(rebuilder(parts, projection).as_of(Filter { as_of, only })?)
}

/// The instant that is written here.
fn instant(text: &str) -> anyhow::Result<OffsetDateTime> {
    snapshot::parse_instant(text).map_err(|error| anyhow!("--as-of {text:?} is {error}"))
}

/// The same, and it has passed: what is to happen before a later one is not known yet.
fn past(parts: &Parts, text: &str) -> anyhow::Result<OffsetDateTime> {
    let (at, now) = (instant(text)?, parts.environment.now());
    if at > now {
        bail!(
            "--as-of {text} is in the future: it is {} now",
            now.format(&Rfc3339)?
        );
    }
    Ok(at)
}

/// The types that are meant: each in full, or a part between dots that only one of them has.
fn types(asked: &[String], known: &[&'static str]) -> anyhow::Result<Vec<&'static str>> {
    let mut found = Vec::with_capacity(asked.len());
    for asked in asked {
        let part = format!(".{asked}.");
        let meant: Vec<_> = known
            .iter()
            .filter(|known| *known == asked || known.contains(&part))
            .copied()
            .collect();
        match meant.as_slice() {
            [one] => found.push(*one),
            [] => bail!(
                "there is no type of event {asked:?} here; there are {}",
                known.join(", ")
            ),
            several => bail!("--only {asked} may be {}: say more of it", several.join(" or ")),
        }
    }
    // In the order of the code, so that the same set is the same snapshot however it was written.
    found.sort_by_key(|found| known.iter().position(|known| known == found));
    found.dedup();
    Ok(found)
}

fn tell(snapshotter: &Snapshotter, built: &Built, as_json: bool) {
    let name = snapshotter.name();
    let Built {
        version,
        rows,
        sampled,
        events,
        records,
        parked: (parked_events, parked_keys),
    } = built;
    if as_json {
        let line = json!({
            "event": "built", "projection": name.base(), "as_of": name.as_of(),
            "only": snapshotter.filter().only, "version": version, "rows": rows, "rows_checked": sampled,
            "events": events, "records": records, "parked_events": parked_events, "parked_keys": parked_keys,
        });
        println!("{line}");
    } else {
        println!(
            "{name}: {rows} rows of {events} events, {sampled} rows checked one by one, {records} records read; \
             ?as_of={} reads it",
            snapshotter.filter().instant()
        );
    }
    if *parked_events > 0 {
        eprintln!(
            "{name}: {parked_events} events of {parked_keys} keys could not be applied, and the rows of those keys lack \
             them: see `daybook parked list`"
        );
    }
}

/// `daybook rebuild snapshots`.
pub async fn snapshots(parts: &Parts, as_json: bool) -> anyhow::Result<()> {
    let all = rebuild::snapshots(&parts.pool, &projections::read_models()).await?;
    for kept in &all {
        if as_json {
            println!("{}", serde_json::to_string(kept)?);
        } else {
            println!("{}", line(kept)?);
        }
    }
    if all.is_empty() && !as_json {
        println!("there are no snapshots; `daybook rebuild sales --as-of {EXAMPLE}` builds one");
    }
    Ok(())
}

fn line(kept: &Kept) -> anyhow::Result<String> {
    let Kept {
        projection,
        as_of,
        only,
        rows,
        events,
        parked_events,
        parked_keys,
        position,
        same_fold,
        built_at,
    } = kept;
    let only = only
        .as_ref()
        .map_or_else(String::new, |types| format!(" of {} only", types.join(", ")));
    let parked = match parked_events {
        0 => String::new(),
        parked => format!("; {parked} events of {parked_keys} keys could not be applied"),
    };
    let stale = if *same_fold {
        ""
    } else {
        "; made by another build's fold"
    };
    Ok(format!(
        "{projection} --as-of {}: {rows} rows of {events} events{only}, folded to {position}, built {}{parked}{stale}",
        as_of.format(&Rfc3339)?,
        built_at.format(&Rfc3339)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &[
        "daybook.order.placed.v1",
        "daybook.order.imported.v1",
        "daybook.order.credit_note_imported.v1",
    ];

    fn meant(asked: &[&str]) -> Result<Vec<&'static str>, String> {
        let asked: Vec<String> = asked.iter().map(|one| (*one).to_owned()).collect();
        types(&asked, KNOWN).map_err(|error| error.to_string())
    }

    #[test]
    fn a_type_is_named_in_full_or_by_what_only_it_has() {
        let imported = Ok(vec!["daybook.order.imported.v1"]);
        assert_eq!(meant(&["daybook.order.imported.v1"]), imported);
        assert_eq!(meant(&["order.imported"]), imported);
        assert_eq!(meant(&["imported", "order.imported"]), imported);
        let both = meant(&["credit_note_imported", "placed"]).expect("both are there");
        assert_eq!(both, [KNOWN[0], KNOWN[2]]);
        let several = meant(&["order"]).expect_err("several");
        assert!(several.contains("say more of it"), "{several}");
        let unknown = meant(&["order.refunded"]).expect_err("unknown");
        assert!(
            unknown.contains("there are daybook.order.placed.v1, "),
            "{unknown}"
        );
    }

    #[test]
    fn what_is_no_instant_is_refused_with_an_example() {
        let refused = instant("2011-06-30").expect_err("no instant").to_string();
        assert!(
            refused.contains(EXAMPLE) && refused.contains("\"2011-06-30\""),
            "{refused}"
        );
    }
}
