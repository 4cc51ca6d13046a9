//! Several nodes of one shop.

use testkit::Daybook;

/// With their directories, which go with this.
pub(super) struct Cluster {
    pub(super) nodes: Vec<Daybook>,
    _directories: Vec<tempfile::TempDir>,
}

/// What the nodes do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Commands only.
    Commands,
    /// Everything.
    Up,
}

impl Cluster {
    /// So many nodes over one Kafka, with these settings beside the usual ones.
    pub(super) async fn open(count: usize, role: Role, settings: &[(&str, &str)]) -> Self {
        let database = testkit::postgres().await;
        let broker = tokio::task::spawn_blocking(testkit::kafka)
            .await
            .expect("a broker");
        let mut environment = vec![
            ("DATABASE_URL", database.url.as_str()),
            ("KAFKA_BROKERS", broker.brokers.as_str()),
            ("DAYBOOK_TOPICS_PREFIX", broker.prefix.as_str()),
        ];
        environment.extend(settings);
        let (mut nodes, mut directories) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let directory = testkit::directory().expect("a directory");
            let options = ["--dev", "--log", "kafka"];
            nodes.push(match role {
                Role::Commands => {
                    let arguments = [&["commands"], &options[..]].concat();
                    Daybook::start_commands(directory.path(), &arguments, &environment).await
                }
                Role::Up => {
                    let arguments = [&["up"], &options[..]].concat();
                    Daybook::start(directory.path(), &arguments, &environment).await
                }
            });
            directories.push(directory);
        }
        Self {
            nodes,
            _directories: directories,
        }
    }
}
