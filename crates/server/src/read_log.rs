//! `daybook log read`: every record of a topic with rule R's verdict.

use std::collections::BTreeMap;
use std::io::{self, Write};

use eventsourcing::codec::{Envelope, Fence, Parsed, parse};
use eventsourcing::ids::Offset;
use eventsourcing::record::Stored;
use eventsourcing::rule::{Rule, Verdict};
use eventsourcing::topic::Topic;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::parts::{Parts, services};

const BATCH_RECORDS_MAX: usize = 1_000;

/// What to read.
#[derive(Clone, Debug)]
pub struct Selection {
    /// A service (`orders`) or a whole topic name.
    pub topic: String,
    /// Only this partition.
    pub partition: Option<u32>,
    /// Only from this offset on. The verdicts need what lies before, so that is read all the same.
    pub from: u64,
    /// One JSON object a line.
    pub json: bool,
}

/// Writes the records up to the present end of the log, partition by partition.
pub async fn run(parts: &Parts, selection: &Selection, out: &mut impl Write) -> anyhow::Result<()> {
    let topic = if services().contains(&selection.topic.as_str()) {
        parts.topic(&selection.topic)
    } else {
        Topic::named(&selection.topic)
    };
    let partitions = match selection.partition {
        Some(one) => one..one + 1,
        None => 0..parts.log.partitions(&topic).await?,
    };
    for number in partitions {
        let at = topic.partition(number);
        let bounds = parts.log.bounds(&at).await?;
        let mut next = bounds.start;
        let mut rule = Rule::default();
        let mut reader = parts.log.reader(vec![(at, bounds.start)]).await?;
        while next < bounds.end {
            for stored in reader.next(BATCH_RECORDS_MAX).await? {
                next = stored.offset.next();
                if stored.offset >= bounds.end {
                    break;
                }
                let line = judge(&mut rule, &stored);
                if stored.offset >= Offset(selection.from) && !write(out, &line, selection.json)? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Whether somebody still reads: `daybook log read orders | head` is no error.
fn write(out: &mut impl Write, line: &Value, json: bool) -> io::Result<bool> {
    let written = if json {
        writeln!(out, "{line}")
    } else {
        writeln!(out, "{}", text(line))
    };
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

fn judge(rule: &mut Rule, stored: &Stored) -> Value {
    let mut line = BTreeMap::from([
        ("topic", json!(stored.at.topic.as_str())),
        ("partition", json!(stored.at.partition)),
        ("offset", json!(stored.offset.0)),
    ]);
    match parse(stored) {
        Err(corrupt) => {
            line.extend([
                ("verdict", json!("corrupt")),
                ("defect", json!(corrupt.defect.to_string())),
            ]);
        }
        Ok(parsed) => {
            let verdict = match rule.judge(parsed.claim()) {
                Verdict::Opened => "opened",
                Verdict::Accepted => "accepted",
                Verdict::Void => "void",
            };
            line.insert("verdict", json!(verdict));
            match parsed {
                Parsed::Fence(fence) => line.extend(of_fence(&fence)),
                Parsed::Event(event) => line.extend(of_event(&event, stored)),
            }
        }
    }
    json!(line)
}

fn of_fence(fence: &Fence) -> [(&'static str, Value); 5] {
    [
        ("type", json!(eventsourcing::codec::FENCE_TYPE)),
        ("epoch", json!(fence.epoch)),
        ("owner", json!(fence.owner)),
        ("node", json!(fence.node)),
        ("url", json!(fence.url)),
    ]
}

fn of_event(event: &Envelope, stored: &Stored) -> [(&'static str, Value); 12] {
    let data = serde_json::from_slice(&stored.record.value)
        .unwrap_or_else(|_| json!(String::from_utf8_lossy(&stored.record.value)));
    [
        ("type", json!(event.event_type)),
        ("aggregate", json!(event.aggregate)),
        ("sequence", json!(event.meta.sequence)),
        ("epoch", json!(event.meta.term.epoch)),
        ("owner", json!(event.meta.term.owner)),
        ("command", json!(event.meta.command)),
        ("request_id", json!(event.meta.correlation)),
        ("causation", json!(event.meta.causation)),
        ("actor", json!(event.meta.actor)),
        ("traceparent", json!(event.traceparent)),
        ("time", json!(event.time.format(&Rfc3339).unwrap_or_default())),
        ("data", data),
    ]
}

fn text(line: &Value) -> String {
    let field = |name: &str| match &line[name] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let place = format!("{}@{}", field("partition"), field("offset"));
    let verdict = field("verdict");
    if !line["defect"].is_null() {
        return format!("{place:<10} {verdict:<9} {}", field("defect"));
    }
    let kind = field("type");
    if line["aggregate"].is_null() {
        let (epoch, owner, node) = (field("epoch"), field("owner"), field("node"));
        return format!("{place:<10} {verdict:<9} {kind} epoch {epoch} owner {owner} node {node}");
    }
    let (aggregate, sequence, epoch) = (field("aggregate"), field("sequence"), field("epoch"));
    format!(
        "{place:<10} {verdict:<9} {kind} {aggregate} #{sequence} epoch {epoch} {}",
        line["data"]
    )
}
