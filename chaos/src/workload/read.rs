//! Reads that carry the position of a command: from any node, and never older.

use checker::Read;
use eventsourcing::command::Accepted;
use eventsourcing::ids::Sequence;
use eventsourcing::position::Positions;
use serde_json::Value;

use super::Shared;
use super::command::{Command, Content};
use super::line::{Line, Patience};
use super::record::{Shown, count};

/// Reads the page of what `command` changed, as new as the change at least.
pub(super) async fn read_back(shared: &Shared, line: &mut Line, command: &Command, accepted: &Accepted) {
    let position = accepted.position.to_string();
    let patience = Patience(shared.style.answer_max);
    let Ok(answer) = line.page(&command.page(), &position, patience).await else {
        return count(&shared.record.counts.reads_failed);
    };
    if answer.status == 503 {
        return count(&shared.record.counts.reads_late);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let positions = answer
        .header("daybook-position")
        .and_then(|text| text.parse::<Positions>().ok());
    let shown = positions.and_then(|positions| {
        let of = positions
            .iter()
            .find(|position| position.partition == command.at.partition)?;
        Some(of.offset)
    });
    let sequence = Sequence(body["sequence"].as_u64().unwrap_or_default());
    if !answer.is_success() && answer.status != 404 {
        shared
            .record
            .wrong(format!("a read was answered with {}: {body}", answer.status));
    }
    if sequence < accepted.sequence {
        let (by, wanted) = (&line.address.name, accepted.sequence);
        let what = format!(
            "I8: {by} shows {sequence} of {}, asked for {wanted}",
            command.aggregate
        );
        shared.record.wrong(what);
    }
    let read = Read {
        by: line.address.name.clone(),
        at: command.at.clone(),
        aggregate: command.aggregate.clone(),
        asked: Some(accepted.position.offset),
        shown,
        sequence: Some(sequence),
    };
    let units = |field: &str| body[field].as_i64();
    let stock = match command.content {
        Content::Stock(_) => units("on_hand").zip(units("reserved")),
        Content::Order(_) => None,
    };
    let stock = stock.map(|(on_hand, reserved)| Shown {
        aggregate: command.aggregate.clone(),
        sequence,
        on_hand,
        reserved,
    });
    shared.record.read(command, read, stock);
}
