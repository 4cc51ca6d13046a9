//! Parts that the bodies of several commands share.

use axum::http::StatusCode;
use domain::ids::{Country, CustomerId};
use domain::money::{Currency, Price};
use domain::quantity::Quantity;
use domain::sku::Sku;
use domain::text::Text;
use http_kit::problem::Problem;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::failure::invalid;

/// An amount in minor units of a currency: 1999 EUR is 19.99 €.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Money {
    /// Minor units.
    pub(crate) amount: i64,
    /// ISO 4217, `EUR`.
    pub(crate) currency: String,
}

impl Money {
    /// A price in whatever currency it names.
    pub(crate) fn price(&self, pointer: &str) -> Result<(Price, Currency), Problem> {
        let currency = currency(&self.currency, &format!("{pointer}/currency"))?;
        let price = Price::new(self.amount).map_err(invalid(format!("{pointer}/amount")))?;
        Ok((price, currency))
    }

    /// A price in the order's currency; another one is `currency_mismatch`.
    pub(crate) fn price_in(&self, of_order: Currency, pointer: &str) -> Result<Price, Problem> {
        let (price, currency) = self.price(pointer)?;
        if currency == of_order {
            return Ok(price);
        }
        Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "currency_mismatch",
            "A price is not in the order's currency",
        )
        .at(format!("{pointer}/currency")))
    }
}

pub(crate) fn currency(code: &str, pointer: &str) -> Result<Currency, Problem> {
    code.parse().map_err(invalid(pointer))
}

pub(crate) fn sku(text: &str, pointer: &str) -> Result<Sku, Problem> {
    Sku::new(text).map_err(invalid(pointer))
}

pub(crate) fn quantity(units: i64, pointer: &str) -> Result<Quantity, Problem> {
    Quantity::new(units).map_err(invalid(pointer))
}

pub(crate) fn text<const MAX: usize>(
    text: Option<String>,
    pointer: &str,
) -> Result<Option<Text<MAX>>, Problem> {
    text.map(Text::new).transpose().map_err(invalid(pointer))
}

/// Who and where to, as every order says it.
pub(crate) fn buyer(
    customer: Option<String>,
    country: Option<String>,
) -> Result<(Option<CustomerId>, Option<Country>), Problem> {
    Ok((text(customer, "/customer")?, text(country, "/country")?))
}
