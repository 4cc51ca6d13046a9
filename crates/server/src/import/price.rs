//! Prices as files write them, exactly.

/// Why a text is not a price in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PriceError {
    /// Not a positive number.
    Invalid,
    /// More than two decimals that count.
    Precision,
}

/// The price in hundredths: `2.55` is 255. Trailing zeros do not count as decimals.
pub(super) fn hundredths(text: &str) -> Result<i64, PriceError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(PriceError::Invalid);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() && whole.bytes().all(|byte| byte == b'0') {
        return Err(PriceError::Invalid);
    }
    if fraction.len() > 2 {
        return Err(PriceError::Precision);
    }
    format!("{whole}{fraction:0<2}")
        .parse()
        .map_err(|_| PriceError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_exactly() {
        for (text, price) in [
            ("2.55", Ok(255)),
            ("2.5", Ok(250)),
            ("2", Ok(200)),
            ("2.5500", Ok(255)),
            ("0.01", Ok(1)),
            ("11062.06", Ok(1_106_206)),
            ("0.001", Err(PriceError::Precision)),
            ("0", Err(PriceError::Invalid)),
            ("0.000", Err(PriceError::Invalid)),
            ("-1.00", Err(PriceError::Invalid)),
            ("", Err(PriceError::Invalid)),
            ("1e3", Err(PriceError::Invalid)),
            ("99999999999999999999", Err(PriceError::Invalid)),
        ] {
            assert_eq!(hundredths(text), price, "{text:?}");
        }
    }
}
