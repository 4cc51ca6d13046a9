//! Online Retail: the invoices of a real shop, imported as history.
//!
//! One invoice is one command. Every line of the file is accepted or rejected, never lost:
//! accepted + rejected (+ not sent, when interrupted) = read. Times carry no zone in the file and
//! are taken as UTC.

mod invoice;
mod read;
mod send;
mod summary;

use std::path::Path;

use futures::{StreamExt, stream};

use super::client::Client;
use super::progress::Progress;
use super::rejects::Rejects;
use super::{Ended, Options};
use crate::INTERRUPTED_EXIT_CODE;
use invoice::Invoice;
pub use summary::Summary;

/// Imports the file. Ctrl-C finishes what is in flight and ends with [`Ended::Interrupted`].
pub async fn run(path: &Path, options: &Options) -> anyhow::Result<(Summary, Ended)> {
    let file = read::file(path)?;
    let mut rejects = Rejects::create(&options.rejects, &file.header)?;
    for rejected in &file.rejected {
        rejects.write(rejected)?;
    }
    let mut summary = Summary::of(&file);
    let client = Client::new(&options.commands, options.concurrency, options.give_up_after)?;
    let progress = Progress::new(file.invoices.len() as u64, "invoices");
    let (interrupted, stop) = tokio::sync::watch::channel(false);
    let listening = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.send_replace(true);
            eprintln!("finishing what is in flight; Ctrl-C again stops at once (nothing is lost either way)");
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(i32::from(INTERRUPTED_EXIT_CODE));
            }
        }
    });
    let send = |invoice: Invoice| {
        let (client, stop, progress) = (&client, stop.clone(), &progress);
        async move {
            // What has begun is finished, what has not is left for the next run.
            if *stop.borrow() {
                return Ok(send::Sent::skipped());
            }
            let sent = send::invoice(client, invoice).await;
            progress.step();
            sent
        }
    };
    let mut sending = stream::iter(file.invoices)
        .map(send)
        .buffer_unordered(options.concurrency.max(1));
    let mut failed = None;
    while let Some(outcome) = sending.next().await {
        match outcome {
            Ok(sent) => {
                for rejected in &sent.rejected {
                    rejects.write(rejected)?;
                }
                summary.add(&sent);
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    drop(sending);
    progress.finish();
    listening.abort();
    summary.rejected = rejects.finish()?;
    if let Some(error) = failed {
        return Err(
            anyhow::Error::from(error).context("the import stopped; run the same command again to go on")
        );
    }
    summary.check()?;
    let ended = if summary.not_sent > 0 {
        Ended::Interrupted
    } else {
        Ended::Complete
    };
    Ok((summary, ended))
}
