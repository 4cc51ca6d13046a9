//! `POST /v1/orders/import`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::ids::InvoiceNo;
use domain::order::{Line, Lines, OrderCommand, Sale};
use domain::text::Text;
use http_kit::json::Json;
use http_kit::problem::{Document, Problem};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::answer::Changed;
use crate::api::CommandApi;
use crate::body::{self, Money};
use crate::failure::invalid;
use crate::request::Caller;

/// An invoice of the past.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Historical {
    /// Its number.
    invoice: String,
    /// When it was written, RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    ordered_at: OffsetDateTime,
    /// Who; nobody for a guest.
    #[serde(default)]
    customer: Option<String>,
    /// Where to.
    country: String,
    /// Of all its prices, ISO 4217.
    currency: String,
    /// 1 to 2,000 lines.
    lines: Vec<HistoricalLine>,
}

/// A line of the past; its price is what was paid.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoricalLine {
    /// What.
    sku: String,
    /// What it was called; not kept.
    #[serde(default, rename = "description")]
    _description: Option<String>,
    /// 1 to 1,000,000 units.
    quantity: i64,
    /// What one cost.
    unit_price: Money,
}

/// An invoice made of the domain's values.
pub(crate) struct Invoice {
    pub(crate) number: InvoiceNo,
    pub(crate) at: OffsetDateTime,
    pub(crate) sale: Arc<Sale>,
}

impl Historical {
    pub(crate) fn invoice(self) -> Result<Invoice, Problem> {
        let currency = body::currency(&self.currency, "/currency")?;
        let (customer, country) = body::buyer(self.customer, Some(self.country))?;
        Lines::check_count(self.lines.len()).map_err(invalid("/lines"))?;
        let line = |(index, line): (usize, &HistoricalLine)| {
            Ok(Line {
                sku: body::sku(&line.sku, &format!("/lines/{index}/sku"))?,
                quantity: body::quantity(line.quantity, &format!("/lines/{index}/quantity"))?,
                unit_price: line
                    .unit_price
                    .price_in(currency, &format!("/lines/{index}/unit_price"))?,
            })
        };
        let lines = self
            .lines
            .iter()
            .enumerate()
            .map(line)
            .collect::<Result<Vec<_>, Problem>>()?;
        let lines = Lines::new(lines).map_err(invalid("/lines"))?;
        let number = Text::new(self.invoice).map_err(invalid("/invoice"))?;
        Ok(Invoice {
            number,
            at: self.ordered_at,
            sale: Arc::new(Sale {
                customer,
                country,
                currency,
                lines: lines.into(),
            }),
        })
    }
}

/// Imports an order of the past: it reserves nothing and starts nothing. The `Idempotency-Key` is
/// required, so that an import can be repeated.
#[utoipa::path(
    post,
    path = "/v1/orders/import",
    operation_id = "import_order",
    request_body = Historical,
    responses(
        (status = 201, description = "With `Location`, `ETag` and `Daybook-Position`", body = Changed),
        (status = 400, description = "`malformed_json`, `malformed_header`, `idempotency_key_invalid`", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "`version_conflict`", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "`unknown_field`, `invalid_value`, `idempotency_key_reused`, and the codes of the values", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "Not attempted (`Daybook-Attempted: false`), or `outcome_unknown`", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn import(
    State(api): State<Arc<CommandApi>>,
    caller: Caller,
    Json { value, raw }: Json<Historical>,
) -> Result<Response, Problem> {
    caller.require_key()?;
    let Invoice { number, at, sale } = value.invoice()?;
    let prefer = caller.prefer;
    let context = caller.context(&api, super::NEW, raw);
    let command = OrderCommand::Import {
        invoice: number,
        ordered_at: at,
        sale,
    };
    super::create(&api, prefer, context, command).await
}
