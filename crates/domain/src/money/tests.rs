use proptest::prelude::*;

use super::*;

#[test]
fn an_unknown_currency_is_refused() {
    for code in ["", "eur", "EURO", "XXX"] {
        assert_eq!(code.parse::<Currency>().expect_err(code).code, "unknown_currency");
    }
}

#[test]
fn minor_units_are_none_two_or_three_digits() {
    let exponent = |code: &str| code.parse::<Currency>().expect("known").exponent();
    assert_eq!((exponent("JPY"), exponent("EUR"), exponent("KWD")), (0, 2, 3));
}

#[test]
fn a_price_is_positive_and_bounded() {
    for amount in [i64::MIN, -1, 0, PRICE_MAX + 1, i64::MAX] {
        assert_eq!(Price::new(amount).expect_err("refused").code, "invalid_price");
    }
}

proptest! {
    #[test]
    fn a_line_never_overflows(price in 1..=PRICE_MAX, units in 1..=1_000_000_i64) {
        let total = Price::new(price).expect("valid").times(Quantity::new(units).expect("valid"));
        prop_assert_eq!(total.map(i128::from), Some(i128::from(price) * i128::from(units)));
    }

    #[test]
    fn money_survives_json(amount: i64) {
        let money = Money { amount, currency: "KWD".parse().expect("known") };
        let text = serde_json::to_string(&money).expect("plain");
        prop_assert_eq!(serde_json::from_str::<Money>(&text).expect("plain"), money);
    }
}
