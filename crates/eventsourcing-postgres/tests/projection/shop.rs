//! A topic of accounts, its balances, and who projects and rebuilds them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventsourcing::aggregate::Recorded;
use eventsourcing::assignment::Everything;
use eventsourcing::clock::{Environment, System};
use eventsourcing::codec::{self, EventHead, Fence, Meta};
use eventsourcing::contract::account::Moved;
use eventsourcing::ids::{CommandId, Digest, Epoch, Offset, OwnerId, Sequence};
use eventsourcing::log::{Appended, Log};
use eventsourcing::projection::runner::{self, RunError};
use eventsourcing::projection::{Change, FoldError, Row, Table, View};
use eventsourcing::readers::{Presumption, Share};
use eventsourcing::record::Record;
use eventsourcing::rule::Term;
use eventsourcing::topic::Topic;
use eventsourcing_postgres::log::{Config as LogConfig, PostgresLog};
use eventsourcing_postgres::migrate::migrate;
use eventsourcing_postgres::projection::{Config, PostgresReadModel, Projection};
use eventsourcing_postgres::rebuild::{Limits, RebuildError, Rebuilder, Rebuilt};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) struct Balances;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AccountRow {
    pub(crate) id: String,
    pub(crate) balance: i64,
    pub(crate) sequence: i64,
}

impl Row for AccountRow {
    const TABLE: Table = Table {
        name: "balances",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("balance", "BIGINT NOT NULL"),
            ("sequence", "BIGINT NOT NULL"),
        ],
        indexes: &["(balance)"],
    };
}

impl View for Balances {
    const NAME: &'static str = "balances";
    const SERVICE: &'static str = "accounts";
    type Event = Moved;
    type Row = AccountRow;

    fn fold(row: Option<&AccountRow>, event: &Recorded<Moved>) -> Result<Change<AccountRow>, FoldError> {
        let sequence = row.map_or(0, |row| row.sequence) + 1;
        if event.sequence().0.cast_signed() != sequence {
            return Err(FoldError::new("a gap in the sequence"));
        }
        let balance = row.map_or(0, |row| row.balance) + event.event.by;
        Ok(Change::Put(AccountRow {
            id: event.aggregate.to_string(),
            balance,
            sequence,
        }))
    }
}

pub(crate) type Running = (JoinHandle<Result<(), RunError>>, CancellationToken);

pub(crate) struct Shop {
    pub(crate) pool: PgPool,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) topic: Topic,
    pub(crate) term: Term,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_at(&testkit::postgres().await.url).await
    }

    /// Another node of the shop at `url`.
    pub(crate) async fn join_at(url: &str) -> Self {
        let pool = PgPool::connect(url).await.expect("connects");
        migrate(&pool).await.expect("migrates");
        let log = PostgresLog::open(url.parse().expect("a URL"), LogConfig::default());
        let topic = Topic::events("test", "accounts");
        log.create_topic(&topic, 1).await.expect("creates");
        let term = Term {
            epoch: Epoch(1),
            owner: OwnerId(Uuid::from_u128(1)),
        };
        Self {
            pool,
            log: Arc::new(log),
            topic,
            term,
        }
    }

    pub(crate) async fn open_at(url: &str) -> Self {
        let shop = Self::join_at(url).await;
        let term = shop.term;
        let fence = Fence {
            epoch: term.epoch,
            owner: term.owner,
            node: "test".to_owned(),
            url: String::new(),
        };
        shop.append(vec![codec::encode_fence(&Bytes::new(), &fence, System.now())])
            .await;
        shop
    }

    pub(crate) async fn append(&self, records: Vec<Record>) {
        let appended = self.log.append(&self.topic.partition(0), records).await;
        assert!(matches!(appended, Appended::At(_)), "{appended:?}");
    }

    pub(crate) fn event(&self, account: &str, sequence: u64, by: i64) -> Record {
        let meta = Meta {
            sequence: Sequence(sequence),
            term: self.term,
            command: CommandId(Uuid::new_v4()),
            digest: Digest(0),
            correlation: "".into(),
            causation: None,
            actor: "".into(),
        };
        let aggregate = account.parse().expect("valid");
        let head = EventHead {
            aggregate: &aggregate,
            time: System.now(),
            meta: &meta,
            traceparent: None,
        };
        codec::encode_event(&Bytes::new(), &head, &Moved { by, balance: 0 })
    }

    /// Events `1..=count` of each account, one after the other.
    pub(crate) async fn history(&self, accounts: &[&str], count: u64) {
        for sequence in 1..=count {
            let round = accounts
                .iter()
                .map(|account| self.event(account, sequence, 1))
                .collect();
            self.append(round).await;
        }
    }

    pub(crate) fn live(&self, batch_records_max: usize) -> Running {
        self.live_of(Projection::view::<Balances>(), batch_records_max)
    }

    pub(crate) fn live_of(&self, projection: Projection, batch_records_max: usize) -> Running {
        let everything = Box::new(Everything::of(vec![self.topic.partition(0)]));
        let share = Share::follow(self.topic.clone(), everything, Presumption::Nothing);
        self.share_of(projection, share, batch_records_max)
    }

    /// A projector of this share.
    pub(crate) fn share_of(&self, projection: Projection, share: Share, batch_records_max: usize) -> Running {
        let limits = Config {
            database_timeout: Duration::from_secs(1),
        };
        let settings = runner::Settings {
            log: Arc::clone(&self.log),
            topic: self.topic.clone(),
            read_model: Arc::new(PostgresReadModel::new(self.pool.clone(), projection, limits)),
            config: runner::Config {
                batch_records_max,
                retry_pause: Duration::from_millis(20),
                linger: Duration::ZERO,
                ..runner::Config::default()
            },
        };
        let stop = CancellationToken::new();
        let (_, running) = runner::spawn(settings, share, stop.clone());
        (running, stop)
    }

    pub(crate) async fn caught_up(&self) {
        self.caught_up_in("balances").await;
    }

    /// Waits until the live version has applied everything.
    pub(crate) async fn caught_up_in(&self, projection: &str) {
        let end = self
            .log
            .bounds(&self.topic.partition(0))
            .await
            .expect("readable")
            .end;
        testkit::eventually("the projection catches up", Duration::from_secs(30), async || {
            let sql = r#"SELECT "offset" FROM read.checkpoints WHERE projection = $1"#;
            let last: Option<i64> = sqlx::query_scalar(sql)
                .bind(projection)
                .fetch_optional(&self.pool)
                .await
                .ok()?;
            (Offset((last? + 1).cast_unsigned()) == end).then_some(())
        })
        .await;
    }

    pub(crate) async fn rows(&self) -> Vec<(String, i64, i64)> {
        let sql = "SELECT id, balance, sequence FROM read.balances ORDER BY id";
        sqlx::query_as(sql).fetch_all(&self.pool).await.expect("readable")
    }

    /// Offset, key and error of what is parked in the active version.
    pub(crate) async fn parked(&self) -> Vec<(i64, String, String)> {
        let sql = r#"SELECT e."offset", e.key, e.error FROM daybook.parked_events e
                     JOIN daybook.projections p ON p.name = e.projection AND p.version = e.version
                     WHERE p.status = 'active' ORDER BY 1"#;
        sqlx::query_as(sql).fetch_all(&self.pool).await.expect("readable")
    }

    pub(crate) async fn rebuild(&self) -> Result<i64, RebuildError> {
        let rebuilt = self.rebuild_of(&Projection::view::<Balances>()).await?;
        Ok(rebuilt.rows)
    }

    pub(crate) async fn rebuild_of(&self, projection: &Projection) -> Result<Rebuilt, RebuildError> {
        let rebuilder = self.rebuilder(projection);
        rebuilder.rebuild(&Limits::default(), |_| ()).await
    }

    pub(crate) fn rebuilder(&self, projection: &Projection) -> Rebuilder {
        Rebuilder {
            pool: self.pool.clone(),
            log: Arc::clone(&self.log),
            topic: self.topic.clone(),
            projection: projection.clone(),
        }
    }
}

pub(crate) fn row(id: &str, balance: i64) -> (String, i64, i64) {
    (id.to_owned(), balance, balance)
}
