//! `POST /v1/orders`

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::money::{Currency, Price};
use domain::order::{Line, Lines, Mispriced, OrderCommand, Sale};
use domain::quantity::Quantity;
use domain::sku::Sku;
use http_kit::json::Json;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::answer::Changed;
use crate::api::CommandApi;
use crate::body::{self, Money};
use crate::failure::invalid;
use crate::request::Caller;

/// An order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceOrder {
    /// Who; nobody for a guest.
    #[serde(default)]
    customer: Option<String>,
    /// Where to.
    #[serde(default)]
    country: Option<String>,
    /// Of all its prices, ISO 4217.
    currency: String,
    /// 1 to 2,000 lines.
    lines: Vec<PlacedLine>,
}

/// So many units of one SKU.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacedLine {
    /// What.
    sku: String,
    /// 1 to 1,000,000 units.
    quantity: i64,
    /// The price the customer saw; another one now is `price_changed`.
    #[serde(default)]
    unit_price: Option<Money>,
}

/// Places an order at the prices of the price list. The checkout then reserves its stock and confirms
/// or rejects it; `Daybook-Wait: settled` waits for that. A `Daybook-Position` makes sure that a
/// product published a moment ago is on the list. The `Idempotency-Key` is required.
#[utoipa::path(
    post,
    path = "/v1/orders",
    operation_id = "place_order",
    request_body = PlaceOrder,
    responses(
        (status = 201, description = "With `Location`, `ETag` and `Daybook-Position`", body = Changed),
        (status = 202, description = "Placed, but what `Daybook-Wait` asks for has not come yet", body = Changed),
        (status = 409, description = "`price_changed`", body = Document, content_type = "application/problem+json"),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn place(
    State(api): State<Arc<CommandApi>>,
    caller: Caller,
    Json { value, raw }: Json<PlaceOrder>,
) -> Result<Response, Problem> {
    caller.require_key()?;
    let currency = body::currency(&value.currency, "/currency")?;
    let (customer, country) = body::buyer(value.customer, value.country)?;
    // Said before any work on the lines.
    Lines::check_count(value.lines.len()).map_err(invalid("/lines"))?;
    let patience = api.config.price_wait_max.min(caller.prefer.limit());
    if !api.prices.reached(&caller.asked, patience).await {
        return Err(prices_behind());
    }
    let asked = value
        .lines
        .iter()
        .enumerate()
        .map(|(index, line)| Asked::of(line, currency, index));
    let asked = asked.collect::<Result<Vec<_>, _>>()?;
    let priced = asked
        .into_iter()
        .enumerate()
        .map(|(index, line)| line.priced(&api, currency, index));
    // A repeat of a placed order is that order, whatever has become of the prices: so the order is
    // asked even when they do not stand.
    let command = match priced.collect::<Result<Vec<_>, _>>() {
        Ok(lines) => {
            let lines = Lines::new(lines).map_err(invalid("/lines"))?;
            OrderCommand::Place(Arc::new(Sale {
                customer,
                country,
                currency,
                lines: lines.into(),
            }))
        }
        Err(mispriced) => OrderCommand::PlaceMispriced(mispriced),
    };
    let prefer = caller.prefer;
    let context = caller.context(&api, super::NEW, raw);
    super::create(&api, prefer, context, command).await
}

/// A line whose values are valid.
struct Asked {
    sku: Sku,
    quantity: Quantity,
    seen: Option<Price>,
}

impl Asked {
    fn of(line: &PlacedLine, currency: Currency, index: usize) -> Result<Self, Problem> {
        let seen = line.unit_price.as_ref();
        let seen = seen.map(|price| price.price_in(currency, &format!("/lines/{index}/unit_price")));
        Ok(Self {
            sku: body::sku(&line.sku, &format!("/lines/{index}/sku"))?,
            quantity: body::quantity(line.quantity, &format!("/lines/{index}/quantity"))?,
            seen: seen.transpose()?,
        })
    }

    fn priced(self, api: &CommandApi, currency: Currency, line: usize) -> Result<Line, Mispriced> {
        let now = api
            .prices
            .price(&self.sku, currency)
            .ok_or(Mispriced::UnknownSku { line })?;
        if self.seen.is_some_and(|seen| seen != now) {
            let now = domain::money::Money {
                amount: now.amount(),
                currency,
            };
            return Err(Mispriced::PriceChanged { line, now });
        }
        Ok(Line {
            sku: self.sku,
            quantity: self.quantity,
            unit_price: now,
        })
    }
}

fn prices_behind() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "position_not_reached",
        "The price list has not reached the position asked for",
    )
    .retry_after(std::time::Duration::from_secs(1))
    .not_attempted()
}
