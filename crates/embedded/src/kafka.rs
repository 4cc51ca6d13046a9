//! A Kafka broker of our own: one node in KRaft mode, on loopback.

mod distribution;

use std::fs::{self, File, OpenOptions};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::postgres::tail;
use crate::{EmbeddedError, free_port};
use distribution::{classpath, java};

const START_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// What kind of broker.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory that holds the broker's data, configuration and log. Created when missing.
    pub data: PathBuf,
    /// The client port; a free one when `None`.
    pub port: Option<u16>,
    /// Further client ports, each with an advertised address of its own.
    pub listeners: Vec<Listener>,
}

/// A client port whose clients are sent to another port of the loopback for everything: where a proxy of
/// theirs listens. A client of Kafka connects to what the broker advertises, whatever it connected to first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where the broker listens.
    pub port: u16,
    /// Where it says that it listens.
    pub advertised: u16,
}

impl Options {
    /// A broker under `data` on a free port.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            port: None,
            listeners: Vec::new(),
        }
    }
}

/// A running broker. Dropping it stops it.
pub struct Kafka {
    data: PathBuf,
    port: u16,
    child: Option<Child>,
    _lock: File,
}

impl Kafka {
    /// Starts the broker of this directory; the first start formats it. `progress` gets a line for
    /// whatever takes long (fetching Kafka, once per machine).
    pub fn start(options: &Options, progress: impl Fn(&str)) -> Result<Self, EmbeddedError> {
        fs::create_dir_all(&options.data).map_err(EmbeddedError::io(&options.data))?;
        let data = options
            .data
            .canonicalize()
            .map_err(EmbeddedError::io(&options.data))?;
        let lock_path = data.join("kafka.lock");
        let lock = File::create(&lock_path).map_err(EmbeddedError::io(&lock_path))?;
        lock.try_lock().map_err(|_| EmbeddedError::InUse(data.clone()))?;
        end_orphan(&data);
        let jars = classpath(&progress)?;
        let port = options.port.map_or_else(free_port, Ok)?;
        let configuration = configure(&data, port, &options.listeners)?;
        if !data.join("log/meta.properties").exists() {
            progress("formatting Kafka's storage (first start)");
            format(&jars, &configuration)?;
        }
        let mut broker = Self {
            data,
            port,
            child: None,
            _lock: lock,
        };
        broker.launch(&jars, &configuration)?;
        Ok(broker)
    }

    /// For `KAFKA_BROKERS`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process to kill in a test; `None` while it is down.
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// SIGKILL: what the broker had acknowledged but not flushed is in the page cache and stays.
    pub fn kill(&mut self) -> Result<(), EmbeddedError> {
        if let Some(mut child) = self.child.take() {
            child
                .kill()
                .and_then(|()| child.wait())
                .map_err(EmbeddedError::io(&self.data))?;
        }
        Ok(())
    }

    /// Starts it again after [`Kafka::kill`], on the same data and port.
    pub fn restart(&mut self) -> Result<(), EmbeddedError> {
        self.kill()?;
        let jars = classpath(&|_: &str| ())?;
        let configuration = self.data.join("server.properties");
        self.launch(&jars, &configuration)
    }

    fn launch(&mut self, jars: &str, configuration: &Path) -> Result<(), EmbeddedError> {
        let log = self.data.join("kafka.log");
        let output = OpenOptions::new().create(true).append(true).open(&log);
        let output = output.map_err(EmbeddedError::io(&log))?;
        let errors = output.try_clone().map_err(EmbeddedError::io(&log))?;
        let child = Command::new(java()?)
            .args(["-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-cp", jars, "kafka.Kafka"])
            .arg(configuration)
            // A group of its own: Ctrl-C is for us.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(EmbeddedError::io("java"))?;
        let pid = self.data.join("kafka.pid");
        fs::write(&pid, child.id().to_string()).map_err(EmbeddedError::io(&pid))?;
        self.child = Some(child);
        self.wait_ready(&log)
    }

    /// The port opens when the broker has registered with its controller, so it serves then.
    fn wait_ready(&mut self, log: &Path) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait().map_err(EmbeddedError::io(log))?
            {
                let detail = format!("it ended with {status}; {}", tail(log));
                return Err(EmbeddedError::NotStarted {
                    what: "Kafka",
                    detail,
                    log: log.to_owned(),
                });
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            sleep(POLL);
        }
        let detail = format!("not ready after {} s; {}", START_TIMEOUT.as_secs(), tail(log));
        Err(EmbeddedError::NotStarted {
            what: "Kafka",
            detail,
            log: log.to_owned(),
        })
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // SIGTERM would let it move leadership; there is nobody to move it to, and recovery is quick.
        if let Err(error) = self.kill() {
            tracing::warn!(%error, "Kafka goes on running; the next start ends it");
        }
    }
}

/// Ends the broker that a killed process left running in this directory: unlike a database it holds
/// no session of ours, so starting it anew is simplest.
fn end_orphan(data: &Path) {
    let Ok(pid) = fs::read_to_string(data.join("kafka.pid")) else {
        return;
    };
    let command_line = fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
    if command_line.contains("kafka.Kafka") && command_line.contains(&*data.to_string_lossy()) {
        let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        while Path::new("/proc").join(pid.trim()).exists() {
            sleep(POLL);
        }
    }
}

fn configure(data: &Path, port: u16, further: &[Listener]) -> Result<PathBuf, EmbeddedError> {
    let controller = free_port()?;
    let log = data.join("log");
    let each = |line: fn(usize, &Listener) -> String| -> String {
        further
            .iter()
            .enumerate()
            .map(|(number, listener)| line(number, listener))
            .collect()
    };
    let listening = each(|number, listener| format!(",CLIENT{number}://127.0.0.1:{}", listener.port));
    let advertised = each(|number, listener| format!(",CLIENT{number}://127.0.0.1:{}", listener.advertised));
    let protocols = each(|number, _| format!(",CLIENT{number}:PLAINTEXT"));
    let text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listening}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{protocols}
log.dirs={}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
log.retention.ms=-1
",
        log.display()
    );
    let path = data.join("server.properties");
    fs::write(&path, text).map_err(EmbeddedError::io(&path))?;
    Ok(path)
}

fn format(jars: &str, configuration: &Path) -> Result<(), EmbeddedError> {
    let output = Command::new(java()?)
        .args(["-cp", jars, "kafka.tools.StorageTool", "format", "--standalone"])
        .args(["-t", "ZGF5Ym9vay1sb2NhbC0wMQ", "-c"])
        .arg(configuration)
        .output()
        .map_err(EmbeddedError::io("java"))?;
    if output.status.success() {
        return Ok(());
    }
    let detail = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(EmbeddedError::Failed {
        command: "kafka.tools.StorageTool format".to_owned(),
        detail,
    })
}
