//! The faults.

use std::fmt;
use std::time::Duration;

use testkit::proxy::{Passage, Passages};

use crate::cluster::Link;

/// One fault and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) lasts: Duration,
}

/// What goes wrong. Nodes are numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// SIGKILL, and a start.
    Kill(usize),
    /// SIGSTOP, longer than a session lasts, and SIGCONT.
    Freeze(usize),
    /// SIGTERM, and a start.
    Terminate(usize),
    /// SIGKILL of the broker, and a start on the same data.
    Broker,
    /// `pg_ctl stop -m immediate`, and a start on the same data.
    Database,
    /// Every connection is reset, now and at the end.
    Cut(usize, Link),
    /// Nothing passes, or only in one direction, and nobody is told.
    Block(usize, Link, Passages),
    /// Everything comes late.
    Delay(usize, Link, Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Kill(node) => write!(f, "kill -9 node-{}", node + 1)?,
            Kind::Freeze(node) => write!(f, "SIGSTOP node-{}", node + 1)?,
            Kind::Terminate(node) => write!(f, "SIGTERM node-{}", node + 1)?,
            Kind::Broker => f.write_str("kill -9 the broker")?,
            Kind::Database => f.write_str("pg_ctl stop -m immediate")?,
            Kind::Cut(node, link) => write!(f, "cut node-{} and {}", node + 1, link.text())?,
            Kind::Block(node, link, passages) => {
                let ways = match (passages.there, passages.back) {
                    (Passage::Blocked, Passage::Blocked) => "both ways",
                    (Passage::Blocked, _) => "there",
                    _ => "back",
                };
                write!(
                    f,
                    "black hole between node-{} and {}, {ways}",
                    node + 1,
                    link.text()
                )?;
            }
            Kind::Delay(node, link, by) => {
                let ms = by.as_millis();
                write!(
                    f,
                    "delay between node-{} and {} by {ms} ms",
                    node + 1,
                    link.text()
                )?;
            }
        }
        write!(f, ", {:.1} s", self.lasts.as_secs_f64())
    }
}
