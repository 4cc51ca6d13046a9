//! The catalogue of the eShop reference application: JSON, prices in US dollars.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

use super::catalogue::{self, Item};
use super::client::Client;
use super::price::hundredths;
use super::progress::Progress;
use super::{Options, open};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: u64,
    #[serde(rename = "Type")]
    category: String,
    brand: String,
    name: String,
    description: String,
    price: serde_json::Number,
}

/// What an import of a catalogue did.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Products on offer.
    pub products: usize,
    /// Commands accepted by this run.
    pub sent: u64,
    /// Commands that an earlier run had sent.
    pub replayed: u64,
}

/// Reads the file; each product gets `stock` pieces.
pub fn load(path: &Path, stock: u64) -> anyhow::Result<Vec<Item>> {
    let entries: Vec<Entry> = serde_json::from_reader(std::io::BufReader::new(open(path)?))
        .with_context(|| format!("{} is not an eShop catalogue", path.display()))?;
    let item = |entry: Entry| {
        // A number's text is the shortest that reads back, which is what the file says.
        let price = hundredths(&entry.price.to_string())
            .map_err(|error| anyhow!("product {}: price {}: {error:?}", entry.id, entry.price))?;
        Ok(Item {
            sku: format!("eshop-{}", entry.id),
            name: entry.name,
            description: Some(entry.description),
            brand: Some(entry.brand),
            category: Some(entry.category),
            price,
            currency: "USD".to_owned(),
            stock,
        })
    };
    entries.into_iter().map(item).collect()
}

/// Imports the file.
pub async fn run(path: &Path, stock: u64, options: &Options) -> anyhow::Result<Loaded> {
    let items = load(path, stock)?;
    if items.is_empty() {
        bail!("{} holds no product", path.display());
    }
    let client = Client::new(&options.commands, options.concurrency, options.give_up_after)?;
    let progress = Progress::new(items.len() as u64, "products");
    let offered = catalogue::offer(&client, "eshop", &items, options.concurrency, || progress.step()).await;
    progress.finish();
    let offered = offered?;
    Ok(Loaded {
        products: offered.len(),
        sent: offered.iter().map(|offered| offered.sent).sum(),
        replayed: offered.iter().map(|offered| offered.replayed).sum(),
    })
}
