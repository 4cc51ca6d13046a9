//! The API's description is committed, and is what the code says.

use std::fs;
use std::path::PathBuf;

#[test]
fn the_committed_description_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas/openapi/admin.json");
    let current = server::admin::openapi().to_pretty_json().expect("JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(&path, &current).expect("writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "schemas/openapi/admin.json is stale: make schemas"
    );
}
