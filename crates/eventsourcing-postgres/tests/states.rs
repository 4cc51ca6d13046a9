//! Owners that start from the table of states, on a real PostgreSQL: they answer like one that has read the
//! whole log, and a table that cannot be trusted is not used.

use std::sync::Arc;
use std::time::Duration;

use eventsourcing::assignment::Everything;
use eventsourcing::clock::System;
use eventsourcing::command::{Accepted, Context, Expected, Failure};
use eventsourcing::contract::account::{Account, Command, Insufficient};
use eventsourcing::dispatch::Dispatch;
use eventsourcing::ids::{AggregateId, CommandId, Digest, Sequence};
use eventsourcing::log::Log;
use eventsourcing::owner::{self, Service, Settings};
use eventsourcing::projection::runner;
use eventsourcing::readers::{Presumption, Share};
use eventsourcing::state_table::{StateTable, StateTableError};
use eventsourcing::states::States;
use eventsourcing::topic::Topic;
use eventsourcing_postgres::log::PostgresLog;
use eventsourcing_postgres::migrate::migrate;
use eventsourcing_postgres::projection::{Config, PostgresReadModel, Projection};
use eventsourcing_postgres::states::PostgresStates;
use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::{CancellationToken, DropGuard};

const ACCOUNTS: usize = 40;
const DEADLINE: Duration = Duration::from_mins(1);

/// A topic of accounts with one partition.
struct Bank {
    pool: PgPool,
    log: Arc<PostgresLog>,
    topic: Topic,
}

/// An owner, until it is dropped.
struct Owner {
    service: Service<Account>,
    _stop: DropGuard,
}

impl Bank {
    async fn open() -> Self {
        let database = testkit::postgres().await;
        let pool = PgPool::connect(&database.url).await.expect("connects");
        migrate(&pool).await.expect("migrates");
        let options = database.url.parse().expect("a URL");
        let log = Arc::new(PostgresLog::open(
            options,
            eventsourcing_postgres::log::Config::default(),
        ));
        let topic = Topic::events("bank", "accounts");
        log.create_topic(&topic, 1).await.expect("creates");
        Self { pool, log, topic }
    }

    fn states(&self) -> Arc<dyn StateTable<Account>> {
        Arc::new(PostgresStates::new(self.pool.clone()))
    }

    async fn owner(&self, states: Option<&Arc<dyn StateTable<Account>>>) -> Owner {
        let settings = Settings {
            log: self.log.clone(),
            environment: Arc::new(System),
            topic: self.topic.clone(),
            partitions: 1,
            node: "test".to_owned(),
            url: String::new(),
            routes: None,
            source: "/test".to_owned(),
            config: owner::Config {
                aggregates_max: 3,
                ..owner::Config::default()
            },
        };
        let stop = CancellationToken::new();
        let everything = Box::new(Everything::of(vec![self.topic.partition(0)]));
        let (service, _) = owner::spawn(settings, states, everything, stop.clone());
        let mut status = service.status();
        let serving = status.wait_for(|status| status.serving == 1);
        tokio::time::timeout(DEADLINE, serving)
            .await
            .expect("in time")
            .expect("serves");
        Owner {
            service,
            _stop: stop.drop_guard(),
        }
    }

    /// Keeps the table up to date until what is returned is dropped.
    fn projecting(&self) -> DropGuard {
        let stop = CancellationToken::new();
        let projection = Projection::view::<States<Account>>();
        let everything = Box::new(Everything::of(vec![self.topic.partition(0)]));
        let share = Share::follow(self.topic.clone(), everything, Presumption::Nothing);
        let settings = runner::Settings {
            log: self.log.clone(),
            topic: self.topic.clone(),
            read_model: Arc::new(PostgresReadModel::new(
                self.pool.clone(),
                projection,
                Config::default(),
            )),
            config: runner::Config::default(),
        };
        runner::spawn(settings, share, stop.clone());
        stop.drop_guard()
    }

    /// Waits until the table has everything.
    async fn caught_up(&self) {
        let at = self.topic.partition(0);
        testkit::eventually("the table has everything", DEADLINE, async || {
            let end = self.log.bounds(&at).await.ok()?.end;
            let (_, checkpoint) = self.states().open(&at).await.ok()??;
            (checkpoint.next == end).then_some(())
        })
        .await;
    }
}

impl Owner {
    async fn send(
        &self,
        account: usize,
        command: Command,
        key: &str,
    ) -> Result<Accepted, Failure<Insufficient>> {
        let key = format!("{key} {account}");
        let context = Context {
            id: CommandId::of_key("test", &key),
            digest: Digest::of(&[key.as_bytes()]),
            expected: Expected::Any,
            correlation: "".into(),
            causation: None,
            actor: "".into(),
            traceparent: None,
        };
        self.service.execute(id(account), command, context).await
    }

    async fn deposit(&self, account: usize, key: &str) -> Accepted {
        self.send(account, Command::Deposit(5), key)
            .await
            .expect("accepted")
    }
}

fn id(account: usize) -> AggregateId {
    format!("account-{account}").parse().expect("an id")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_from_the_table_answers_like_one_from_the_log() {
    let bank = Bank::open().await;
    let mut first = Vec::new();
    {
        let owner = bank.owner(None).await;
        for account in 0..ACCOUNTS {
            first.push(owner.deposit(account, "first").await);
        }
        let projecting = bank.projecting();
        bank.caught_up().await;
        // The tail: what the table does not have when the projector is away.
        drop(projecting);
        for account in (0..ACCOUNTS).step_by(2) {
            owner.deposit(account, "tail").await;
        }
    }
    let owner = bank.owner(Some(&bank.states())).await;
    let _projecting = bank.projecting();
    for (account, first) in first.into_iter().enumerate() {
        let again = owner.deposit(account, "first").await;
        assert_eq!(
            again,
            Accepted {
                replayed: true,
                ..first
            }
        );
        let balance = if account % 2 == 0 { 10 } else { 5 };
        let refused = owner
            .send(account, Command::Withdraw(balance + 1), "too much")
            .await;
        assert_eq!(
            refused,
            Err(Failure::Refused(Insufficient {
                balance: balance.cast_signed()
            }))
        );
        let last = owner
            .send(account, Command::Withdraw(balance), "all")
            .await
            .expect("accepted");
        assert_eq!(last.sequence, Sequence(if account % 2 == 0 { 3 } else { 2 }));
    }
    // One that nobody knows is new.
    assert_eq!(owner.deposit(ACCOUNTS, "new").await.sequence, Sequence(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_only_what_it_may() {
    let bank = Bank::open().await;
    let states = bank.states();
    let owner = bank.owner(Some(&states)).await;
    let _projecting = bank.projecting();
    for round in 0..4 {
        for account in 0..ACCOUNTS {
            let accepted = owner.deposit(account, &round.to_string()).await;
            assert_eq!(accepted.sequence, Sequence(round + 1), "{account}");
        }
        bank.caught_up().await;
    }
    for account in 0..ACCOUNTS {
        let again = owner.deposit(account, "0").await;
        assert!(
            again.replayed && again.sequence == Sequence(1),
            "{account}: {again:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_cannot_be_trusted_is_not_used() {
    let bank = Bank::open().await;
    let (states, at) = (bank.states(), bank.topic.partition(0));
    assert_eq!(states.open(&at).await.expect("answers"), None, "no table yet");
    bank.owner(None).await.deposit(1, "first").await;
    {
        let _projecting = bank.projecting();
        bank.caught_up().await;
    }
    let (version, _) = states.open(&at).await.expect("answers").expect("a table");
    let change = async |sql: &'static str| {
        sqlx::query(AssertSqlSafe(sql))
            .execute(&bank.pool)
            .await
            .expect("changes");
    };
    change("INSERT INTO daybook.parked_events VALUES ('account_states', 1, 'bank.accounts.events', 0, 1, 'account-1', 'x')")
        .await;
    assert_eq!(
        states.open(&at).await.expect("answers"),
        None,
        "an event is parked"
    );
    change("DELETE FROM daybook.parked_events").await;
    change("UPDATE daybook.projection_folds SET fingerprint = 'another'").await;
    assert_eq!(
        states.open(&at).await.expect("answers"),
        None,
        "kept in another form"
    );
    // Owners go on all the same: the log has everything.
    assert!(bank.owner(Some(&states)).await.deposit(1, "first").await.replayed);
    change("UPDATE account_states_v1.account_states SET state = '\"five\"'").await;
    let unreadable = states.load(version, &[id(1)]).await.err().expect("unreadable");
    assert!(matches!(unreadable, StateTableError::Unusable(_)), "{unreadable}");
    change("DROP SCHEMA account_states_v1 CASCADE").await;
    let gone = states.load(version, &[id(1)]).await.err().expect("gone");
    assert!(matches!(gone, StateTableError::Unusable(_)), "{gone}");
}
