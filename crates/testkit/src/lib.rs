//! Real parts for tests: a PostgreSQL and a Kafka per test process, a database or a topic prefix per
//! test. Addresses in the environment (`DATABASE_URL`, `KAFKA_BROKERS`) are used where given;
//! otherwise the parts are started here and end with the test process, however it ends.

mod broker;
mod database;
mod daybook;
mod eventually;
mod frozen;
pub mod proxy;
mod tether;

use std::path::PathBuf;

pub use broker::{TestBroker, kafka, private_kafka};
pub use database::{TestDatabase, postgres, private_postgres, restart_postgres};
pub use daybook::{Daybook, daybook_binary, interrupt};
pub use embedded::postgres::Postgres;
pub use eventually::eventually;
pub use frozen::Frozen;
pub use tether::Tether;

/// The folder of real data (`DAYBOOK_SHARED_DATA`, or `../shared/data` beside the checkout); `None`
/// where it is not. Tests that need it say so and skip.
pub fn shared_data() -> Option<PathBuf> {
    let named = std::env::var_os("DAYBOOK_SHARED_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| workspace().join("../shared/data"));
    folder.exists().then_some(folder)
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or(here.clone(), PathBuf::from)
}

/// A directory under the system's temporary one that other users may enter.
pub fn directory() -> anyhow::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::Builder::new().prefix("daybook-test-").tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}
