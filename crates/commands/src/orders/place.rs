//! `POST /v1/orders`

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::money::{Currency, Price};
use domain::order::{Line, Lines, OrderCommand, Sale};
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
    State(api): State<CommandApi>,
    caller: Caller,
    Json { value, raw }: Json<PlaceOrder>,
) -> Result<Response, Problem> {
    caller.require_key()?;
    let currency = body::currency(&value.currency, "/currency")?;
    let (customer, country) = body::buyer(value.customer, value.country)?;
    if value.lines.len() > domain::order::LINES_MAX {
        // Said before any work on the lines.
        return Err(too_many(value.lines.len()));
    }
    if !api.prices.reached(&caller.asked, api.config.price_wait_max).await {
        return Err(prices_behind());
    }
    let line = |(index, line): (usize, &PlacedLine)| priced(&api, line, currency, index);
    let lines = value
        .lines
        .iter()
        .enumerate()
        .map(line)
        .collect::<Result<Vec<_>, _>>()?;
    let lines = Lines::new(lines).map_err(invalid("/lines"))?;
    let prefer = caller.prefer;
    let context = caller.context(&api, super::NEW, &raw);
    let command = OrderCommand::Place(Sale {
        customer,
        country,
        currency,
        lines,
    });
    super::create(&api, prefer, context, command).await
}

fn priced(api: &CommandApi, line: &PlacedLine, currency: Currency, index: usize) -> Result<Line, Problem> {
    let sku = body::sku(&line.sku, &format!("/lines/{index}/sku"))?;
    let quantity = body::quantity(line.quantity, &format!("/lines/{index}/quantity"))?;
    let unit_price = api.prices.price(&sku, currency).ok_or_else(|| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unknown_sku",
            "A SKU is not on sale in this currency",
        )
        .at(format!("/lines/{index}/sku"))
    })?;
    if let Some(seen) = &line.unit_price {
        let pointer = format!("/lines/{index}/unit_price");
        let seen = seen.price_in(currency, &pointer)?;
        if seen != unit_price {
            return Err(price_changed(&pointer, unit_price, currency));
        }
    }
    Ok(Line {
        sku,
        quantity,
        unit_price,
    })
}

fn price_changed(pointer: &str, now: Price, currency: Currency) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "price_changed",
        "A price has changed since the customer saw it",
    )
    .at(pointer)
    .detail(format!("It is {} minor units of {currency} now.", now.amount()))
}

fn too_many(count: usize) -> Problem {
    let most = domain::order::LINES_MAX;
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "too_many_lines",
        "A value breaks its limits",
    )
    .at("/lines")
    .detail(format!(
        "An order has at most {most} lines, this one has {count}."
    ))
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
