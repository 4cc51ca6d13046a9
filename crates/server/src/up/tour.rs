//! What `daybook up` prints when it is open.

use super::Places;
use super::opening::Listed;

/// Where things are, and lines that can be pasted.
pub(super) fn print(places: &Places, products: &[Listed]) {
    let Places {
        commands,
        queries,
        log,
        postgres,
        kept,
        ..
    } = places;
    println!();
    println!("Daybook is open.");
    println!("  commands    {commands}");
    println!("  queries     {queries}");
    println!("  log         {log}");
    println!("  PostgreSQL  {postgres}");
    println!("  health      {commands}/readyz  {queries}/readyz  {commands}/metrics");
    if let Some((product, price)) = products
        .iter()
        .filter(|product| is_plain(&product.sku))
        .find_map(|product| Some((product, product.price.as_ref()?)))
    {
        println!();
        println!("{}", lines(places, product, &price.currency));
    }
    println!();
    println!("Ctrl-C stops it; everything is kept in {kept}.");
}

fn lines(places: &Places, product: &Listed, currency: &str) -> String {
    let Places {
        commands, queries, ..
    } = places;
    let Listed { id, sku, .. } = product;
    // The directory of temporary files may be ours alone or shared: a name nobody else takes.
    let headers = format!("/tmp/daybook-tour-{}", std::process::id());
    format!(
        r#"A short tour; paste it line by line.

# one of the products on sale
curl -sw '\n' {queries}/v1/products/{id}

# order two of it; send the same line again and it is the same order (Idempotent-Replayed)
curl -sw '\n' -D {headers} {commands}/v1/orders -H 'Content-Type: application/json' -H 'Idempotency-Key: tour' -H 'Daybook-Wait: settled' -d '{{"customer":"ada","country":"United Kingdom","currency":"{currency}","lines":[{{"sku":"{sku}","quantity":2}}]}}'

# read it from the other API, at the position the answer named: never older than that
curl -sw '\n' -H "$(tr -d '\r' < {headers} | grep -i '^daybook-position')" {queries}$(tr -d '\r' < {headers} | sed -n 's/^[Ll]ocation: //p')

# what happened to it; '?sequence=1' in place of '/history' shows the order as it was at first
curl -sw '\n' -H "$(tr -d '\r' < {headers} | grep -i '^daybook-position')" {queries}$(tr -d '\r' < {headers} | sed -n 's/^[Ll]ocation: //p')/history

# what it did to stock and sales
curl -sw '\n' {queries}/v1/stock/{sku}
curl -sw '\n' '{queries}/v1/sales?by=sku'

# every record of it, with the verdict of the rule that decides what counts
{read_log}"#,
        read_log = places.read_log,
    )
}

/// Whether a shell and a URL take it as it is.
fn is_plain(sku: &str) -> bool {
    sku.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
