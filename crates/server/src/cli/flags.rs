//! Flags that mean a configuration key; they go over everything else.

use std::path::PathBuf;

use clap::Args;

use crate::config::{LogKind, Overrides, TextFormat};

/// Settings that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// Let everyone in and listen anywhere. For development only.
    #[arg(long, global = true)]
    pub dev: bool,
    /// Where events are kept.
    #[arg(long, global = true, value_name = "LOG")]
    pub log: Option<LogKind>,
    /// The directory of the local parts [default: ./data].
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<String>,
    /// The command API: the address it listens on, or for `import` where it is [default: 127.0.0.1:8080].
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub commands: Option<String>,
    /// Where the query API listens [default: 127.0.0.1:8081].
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub queries: Option<String>,
    /// Where other processes reach the command API [default: that of --commands].
    #[arg(long, global = true, value_name = "URL")]
    pub commands_url: Option<String>,
    /// The configuration file [default: daybook.toml, when it is there].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How log lines are written.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<TextFormat>,
}

impl Flags {
    /// The keys they set.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        let mut set = Overrides::new();
        if self.dev {
            set.insert("dev", "true".to_owned());
        }
        let texts = [
            ("data", &self.data),
            ("listen.commands", &self.commands),
            ("listen.queries", &self.queries),
            ("listen.commands_url", &self.commands_url),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                set.insert(key, text.clone());
            }
        }
        // Who moves the command API and says no more means that it is reached there.
        if let (Some(address), None) = (&self.commands, &self.commands_url) {
            set.insert("listen.commands_url", as_url(address));
        }
        if let Some(log) = self.log {
            set.insert(
                "log",
                match log {
                    LogKind::Postgres => "postgres".to_owned(),
                    LogKind::Kafka => "kafka".to_owned(),
                },
            );
        }
        if let Some(format) = self.log_format {
            set.insert(
                "telemetry.log_format",
                match format {
                    TextFormat::Text => "text".to_owned(),
                    TextFormat::Json => "json".to_owned(),
                },
            );
        }
        set
    }
}

/// `127.0.0.1:8080` and `http://127.0.0.1:8080` mean the same.
fn as_url(address: &str) -> String {
    if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    }
}
