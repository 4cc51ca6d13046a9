//! Importing real data through the command API, like any client: concurrent, resumable, with every
//! line accounted for.

mod catalogue;
mod client;
mod demo;
mod eshop;
mod online_retail;
mod price;
mod progress;
mod rejects;

pub use catalogue::{Item, Offered, offer};
pub use client::{Answer, Client, Refused, SendError};
pub use demo::catalogue as demo_catalogue;
pub use eshop::{Loaded, load as load_eshop, run as run_eshop};
pub use online_retail::{Summary, run as run_online_retail};
pub use rejects::{Rejected, Rejects};

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

/// How an import is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command API, `http://127.0.0.1:8080`.
    pub commands: String,
    /// Where rejected lines go.
    pub rejects: PathBuf,
    /// Requests at once.
    pub concurrency: usize,
    /// How long one request is retried while the API is away or overloaded.
    pub give_up_after: Duration,
}

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was sent.
    Complete,
    /// Ctrl-C: what was sent is in the log; the same command goes on from there.
    Interrupted,
}

/// The file's text; `.gz` is unpacked on the way.
fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let packed = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(if packed {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    })
}
