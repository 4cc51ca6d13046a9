//! How far readers are behind the log, and that their checkpoints only rise.

use std::collections::BTreeMap;
use std::time::Duration;

use checker::{CheckpointMove, Checkpoints};
use domain::{order, stock_item};
use eventsourcing::ids::Offset;
use eventsourcing::log::Log;
use eventsourcing::topic::{Topic, TopicPartition};
use sqlx::{Connection, PgConnection};

use crate::cluster::{PARTITIONS, PREFIX};
use crate::workload::Record;

/// The process, with its service.
const CHECKOUT: (&str, &str) = ("checkout", order::SERVICE);

/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// How often checkpoints are noted.
const NOTE_INTERVAL: Duration = Duration::from_millis(500);

/// Where each reader will go on reading.
pub(crate) type Readers = BTreeMap<String, Checkpoints>;

/// What the database says; an error where it is away.
pub(crate) async fn readers(url: &str) -> anyhow::Result<Readers> {
    let looking = async {
        let mut connection = PgConnection::connect(url).await?;
        let readers = readers_of(&mut connection).await?;
        connection.close().await?;
        anyhow::Ok(readers)
    };
    tokio::time::timeout(LOOK_MAX, looking).await?
}

/// What is said in this connection's transaction.
pub(crate) async fn readers_of(connection: &mut PgConnection) -> anyhow::Result<Readers> {
    let rows: Vec<(String, String, i32, i64)> = sqlx::query_as(
        r#"SELECT projection, topic, partition, "offset" + 1 FROM read.checkpoints
           UNION ALL
           SELECT process, topic, partition, next FROM daybook.process_checkpoints"#,
    )
    .fetch_all(connection)
    .await?;
    let mut readers = Readers::new();
    for (reader, topic, partition, next) in rows {
        let at = Topic::named(&topic).partition(u32::try_from(partition)?);
        let next = Offset(u64::try_from(next)?);
        readers.entry(reader).or_default().insert(at, next);
    }
    Ok(readers)
}

/// How many records all readers together have not looked at yet.
pub(crate) async fn lag(log: &dyn Log, url: &str) -> anyhow::Result<u64> {
    let readers = readers(url).await?;
    let mut ends: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
    let mut lag = 0;
    let all = projections::all();
    let projections = all
        .iter()
        .map(|projection| (projection.name(), projection.service()));
    for (reader, service) in projections.chain([CHECKOUT]) {
        let topic = Topic::events(PREFIX, service);
        for at in (0..PARTITIONS).map(|number| topic.partition(number)) {
            let end = match ends.get(&at) {
                Some(end) => *end,
                None => log.bounds(&at).await?.end,
            };
            let next = readers.get(reader).and_then(|checkpoints| checkpoints.get(&at));
            lag += end.0.saturating_sub(next.copied().unwrap_or_default().0);
            ends.insert(at, end);
        }
    }
    Ok(lag)
}

/// Notes checkpoints for ever.
pub(crate) async fn note(url: &str, record: &Record) {
    loop {
        tokio::time::sleep(NOTE_INTERVAL).await;
        // The database is away at times: that is what this is about.
        let Ok(readers) = readers(url).await else {
            continue;
        };
        for (reader, checkpoints) in readers {
            for (at, next) in checkpoints {
                let seen = CheckpointMove {
                    reader: reader.as_str().into(),
                    at,
                    next,
                };
                match seen.at.topic.service() {
                    stock_item::SERVICE => record.stock.checkpoint(seen),
                    order::SERVICE => record.orders.checkpoint(seen),
                    // There is no load on products.
                    _ => {}
                }
            }
        }
    }
}
