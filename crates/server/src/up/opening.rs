//! Opening the shop: wait until it is ready, put the catalogue on offer, show the tour.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{Catalogue, Places, tour};
use crate::import::{Client, Item, offer};

const READY_TIMEOUT: Duration = Duration::from_mins(2);
const READY_PAUSE: Duration = Duration::from_millis(50);
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(30);
const OFFER_CONCURRENCY: usize = 16;
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);
const PAGE: usize = 200;

/// A product as the query API lists it; what is not needed here is not read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) sku: String,
    status: String,
    pub(super) price: Option<Price>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Price {
    pub(super) currency: String,
}

#[derive(Deserialize)]
struct PageOf {
    data: Vec<Listed>,
    next_cursor: Option<String>,
}

pub(super) async fn open(places: &Places, catalogue: Catalogue) -> anyhow::Result<()> {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()?;
    for base in [&places.commands, &places.queries] {
        ready(&http, base).await?;
    }
    let on_offer = published(&http, places).await?;
    let known: BTreeSet<&str> = on_offer.iter().map(|listed| listed.sku.as_str()).collect();
    let (origin, items) = match catalogue {
        Catalogue::AsItIs => ("", Vec::new()),
        Catalogue::Offered { origin, items } => (origin, items),
        Catalogue::Demo(items) if known.iter().all(|sku| items.iter().any(|item| item.sku == *sku)) => {
            ("demo", items)
        }
        Catalogue::Demo(_) => ("", Vec::new()),
    };
    // What is published was offered completely (publishing comes last), and may have been sold since.
    let missing: Vec<Item> = items
        .into_iter()
        .filter(|item| !known.contains(item.sku.as_str()))
        .collect();
    if !missing.is_empty() {
        let client = Client::new(&places.commands, OFFER_CONCURRENCY, GIVE_UP_AFTER)?;
        offer(&client, origin, &missing, OFFER_CONCURRENCY, || ())
            .await
            .context("the catalogue")?;
        tracing::info!(products = missing.len(), "on offer");
    }
    let on_offer = until_listed(&http, places, known.len() + missing.len()).await?;
    tour::print(places, &on_offer);
    Ok(())
}

async fn ready(http: &reqwest::Client, base: &str) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let answer = http.get(format!("{base}/readyz")).send().await;
        let last = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        if started.elapsed() > READY_TIMEOUT {
            bail!("{base} is not ready after {} s: {last}", READY_TIMEOUT.as_secs());
        }
        tokio::time::sleep(READY_PAUSE).await;
    }
}

/// All published products.
async fn published(http: &reqwest::Client, places: &Places) -> anyhow::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    let mut after = String::new();
    loop {
        let url = format!("{}/v1/products?limit={PAGE}{after}", places.queries);
        let page: PageOf = http.get(url).send().await?.error_for_status()?.json().await?;
        listed.extend(
            page.data
                .into_iter()
                .filter(|product| product.status == "published"),
        );
        match page.next_cursor {
            Some(cursor) => after = format!("&after={cursor}"),
            None => return Ok(listed),
        }
    }
}

/// Waits until the read model lists what was offered, so that the tour works at once.
async fn until_listed(http: &reqwest::Client, places: &Places, wanted: usize) -> anyhow::Result<Vec<Listed>> {
    let started = Instant::now();
    loop {
        let listed = published(http, places).await?;
        if listed.len() >= wanted {
            return Ok(listed);
        }
        if started.elapsed() > VISIBLE_TIMEOUT {
            bail!(
                "only {} of {wanted} products are listed after {} s",
                listed.len(),
                VISIBLE_TIMEOUT.as_secs()
            );
        }
        tokio::time::sleep(READY_PAUSE).await;
    }
}
