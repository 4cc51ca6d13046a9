//! The small shop that `daybook up --dev` opens when there is none.

use super::catalogue::Item;

/// SKU, name, description, brand, category, price in pence, stock.
const ITEMS: [(&str, &str, &str, &str, &str, i64, u64); 8] = [
    (
        "tea-earl-grey",
        "Earl Grey, 100 g",
        "Black tea with oil of bergamot, loose leaf.",
        "Harbour Tea",
        "Tea",
        650,
        120,
    ),
    (
        "tea-sencha",
        "Sencha, 100 g",
        "Steamed green tea from the first harvest.",
        "Harbour Tea",
        "Tea",
        890,
        80,
    ),
    (
        "pot-stoneware",
        "Stoneware teapot, 0.9 l",
        "Thrown by hand, glazed in slate grey.",
        "Kiln & Co",
        "Pots",
        4_200,
        15,
    ),
    (
        "mug-slate",
        "Mug, slate",
        "Holds a third of a litre and keeps it warm.",
        "Kiln & Co",
        "Cups",
        1_450,
        60,
    ),
    (
        "kettle-steel",
        "Gooseneck kettle, 1 l",
        "Brushed steel, pours where you aim.",
        "Ironbridge",
        "Kettles",
        5_900,
        12,
    ),
    (
        "strainer-fine",
        "Fine strainer",
        "Steel mesh that keeps the smallest leaf back.",
        "Ironbridge",
        "Tools",
        780,
        200,
    ),
    (
        "tin-airtight",
        "Airtight tin, 250 g",
        "Keeps tea fresh for a year.",
        "Harbour Tea",
        "Tools",
        990,
        90,
    ),
    (
        "honey-heather",
        "Heather honey, 340 g",
        "From hives on the moor, dark and strong.",
        "Moorside",
        "Pantry",
        1_125,
        40,
    ),
];

/// Eight products, priced in pounds.
#[must_use]
pub fn catalogue() -> Vec<Item> {
    let item = |&(sku, name, description, brand, category, price, stock): &(
        &str,
        &str,
        &str,
        &str,
        &str,
        i64,
        u64,
    )| Item {
        sku: sku.to_owned(),
        name: name.to_owned(),
        description: Some(description.to_owned()),
        brand: Some(brand.to_owned()),
        category: Some(category.to_owned()),
        price,
        currency: "GBP".to_owned(),
        stock,
    };
    ITEMS.iter().map(item).collect()
}
