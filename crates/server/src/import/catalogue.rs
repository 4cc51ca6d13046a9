//! Offering a list of products: created, priced, published and in stock, through the API.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::client::{Client, SendError};

/// One product to offer.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its stock-keeping unit.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Who makes it.
    pub brand: Option<String>,
    /// Where it belongs.
    pub category: Option<String>,
    /// Minor units.
    pub price: i64,
    /// ISO 4217.
    pub currency: String,
    /// Pieces received.
    pub stock: u64,
}

/// An item that is on offer now.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The product's id.
    pub id: String,
    /// Commands accepted by this run.
    pub sent: u64,
    /// Commands that an earlier run had sent.
    pub replayed: u64,
}

/// Offers all items, `concurrency` at a time; `each` is called after every one. Keys are
/// `<origin>/<sku>/<step>`, so a second run changes nothing.
pub async fn offer(
    client: &Client,
    origin: &str,
    items: &[Item],
    concurrency: usize,
    each: impl Fn() + Sync,
) -> Result<Vec<Offered>, SendError> {
    let each = &each;
    let mut offers = Vec::with_capacity(items.len());
    for item in items {
        offers.push(async move {
            let offered = offer_one(client, origin, item).await;
            each();
            offered
        });
    }
    stream::iter(offers)
        .buffered(concurrency.max(1))
        .try_collect()
        .await
}

async fn offer_one(client: &Client, origin: &str, item: &Item) -> Result<Offered, SendError> {
    let key = |step: &str| format!("{origin}/{}/{step}", item.sku);
    let mut product = json!({ "sku": item.sku, "name": item.name });
    for (field, value) in [
        ("description", &item.description),
        ("brand", &item.brand),
        ("category", &item.category),
    ] {
        if let Some(value) = value {
            product[field] = json!(value);
        }
    }
    let created = client.post("/v1/products", &key("create"), &product).await?;
    let path = format!("/v1/products/{}", created.id);
    let price = json!({ "price": { "amount": item.price, "currency": item.currency } });
    let mut answers = vec![
        client
            .post(&format!("{path}/price"), &key("price"), &price)
            .await?,
    ];
    if item.stock > 0 {
        let receive = format!("/v1/stock/{}/receive", item.sku);
        answers.push(
            client
                .post(&receive, &key("receive"), &json!({ "quantity": item.stock }))
                .await?,
        );
    }
    // Last, so that what is on sale is complete.
    answers.push(
        client
            .post(&format!("{path}/publish"), &key("publish"), &json!({}))
            .await?,
    );
    let id = created.id.clone();
    answers.push(created);
    let replayed = answers.iter().filter(|answer| answer.replayed).count() as u64;
    Ok(Offered {
        id,
        sent: answers.len() as u64 - replayed,
        replayed,
    })
}
