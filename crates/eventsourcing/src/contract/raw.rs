//! The cases about the log itself.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::{DEADLINE, Harness, record, values};
use crate::ids::Offset;
use crate::log::LogError;
use crate::record::Record;
use crate::topic::Topic;

/// Before the first append both bounds are 0.
pub async fn an_empty_partition_begins_and_ends_at_zero(harness: Harness) {
    let bounds = harness.log.bounds(&harness.at(0)).await.expect("readable");
    assert_eq!((bounds.start, bounds.end), (Offset(0), Offset(0)));
    assert_eq!(
        harness.log.partitions(&harness.topic).await.expect("readable"),
        Harness::PARTITIONS
    );
}

/// One record, one offset, and nothing between two appends of a lonely writer.
pub async fn offsets_are_dense_and_rise(harness: Harness) {
    let at = harness.at(0);
    assert_eq!(
        harness.append(&at, vec![record("a"), record("b")]).await,
        [Offset(0), Offset(1)]
    );
    assert_eq!(harness.append(&at, vec![record("c")]).await, [Offset(2)]);
}

/// The order inside a batch is the order in the log.
pub async fn a_batch_keeps_its_order(harness: Harness) {
    let at = harness.at(1);
    let written: Vec<String> = (0..500).map(|number| format!("value {number}")).collect();
    harness.append(&at, written.iter().map(record).collect()).await;
    assert_eq!(values(&harness.read(&at, Offset(0), 500).await), written);
}

/// Key, value and headers survive byte for byte, empty and odd ones too.
pub async fn records_come_back_as_written(harness: Harness) {
    let at = harness.at(0);
    let odd = Record {
        key: Bytes::new(),
        value: Bytes::from_static(b"\x00\xff{}"),
        headers: vec![
            (Cow::Borrowed("empty"), Bytes::new()),
            (Cow::Borrowed("binary"), Bytes::from_static(b"\x00\x01\xfe")),
            (Cow::Borrowed("traceparent"), Bytes::from_static("ü;=".as_bytes())),
        ],
    };
    let blank = Record {
        key: Bytes::from_static(b"k"),
        value: Bytes::new(),
        headers: Vec::new(),
    };
    harness.append(&at, vec![odd.clone(), blank.clone()]).await;
    let read = harness.read(&at, Offset(0), 2).await;
    assert_eq!(read[0].record, odd);
    assert_eq!(read[1].record, blank);
    assert_eq!(
        (&read[0].at, read[0].offset, read[1].offset),
        (&at, Offset(0), Offset(1))
    );
}

/// The largest batch an owner makes fits.
pub async fn a_large_record_comes_back(harness: Harness) {
    let at = harness.at(2);
    let large = record("x".repeat(900_000));
    harness.append(&at, vec![large.clone()]).await;
    assert_eq!(harness.read(&at, Offset(0), 1).await[0].record, large);
}

/// A reader starts where it was told to.
pub async fn a_reader_begins_at_its_offset(harness: Harness) {
    let at = harness.at(0);
    harness
        .append(&at, vec![record("a"), record("b"), record("c")])
        .await;
    assert_eq!(values(&harness.read(&at, Offset(2), 1).await), ["c"]);
}

/// A reader at the end gets what comes.
pub async fn a_reader_waits_for_new_records(harness: Harness) {
    let at = harness.at(0);
    let mut reader = harness
        .log
        .reader(vec![(at.clone(), Offset(0))])
        .await
        .expect("readable");
    let waiting = tokio::spawn(async move { reader.next(10).await });
    harness.append(&at, vec![record("late")]).await;
    let read = tokio::time::timeout(DEADLINE, waiting)
        .await
        .expect("in time")
        .expect("no panic");
    assert_eq!(values(&read.expect("readable")), ["late"]);
}

/// Partitions interleave, but each keeps its order.
pub async fn a_reader_of_several_partitions_keeps_each_in_order(harness: Harness) {
    let from = (0..Harness::PARTITIONS)
        .map(|number| (harness.at(number), Offset(0)))
        .collect();
    let mut reader = harness.log.reader(from).await.expect("readable");
    for round in 0..10 {
        for number in 0..Harness::PARTITIONS {
            harness
                .append(&harness.at(number), vec![record(format!("{number}:{round}"))])
                .await;
        }
    }
    let mut seen = vec![0; Harness::PARTITIONS as usize];
    while seen.iter().sum::<u64>() < u64::from(Harness::PARTITIONS) * 10 {
        let read = tokio::time::timeout(DEADLINE, reader.next(7))
            .await
            .expect("in time");
        let read = read.expect("readable");
        assert!(
            (1..=7).contains(&read.len()),
            "at least one and at most as many as asked for"
        );
        for stored in read {
            let next = &mut seen[stored.at.partition as usize];
            assert_eq!(stored.offset, Offset(*next), "{}", stored.at);
            *next += 1;
        }
    }
}

/// A read that is given up loses no record.
pub async fn a_dropped_read_loses_nothing(harness: Harness) {
    let at = harness.at(0);
    let mut reader = harness
        .log
        .reader(vec![(at.clone(), Offset(0))])
        .await
        .expect("readable");
    let mut read = Vec::new();
    for number in 0..50 {
        harness.append(&at, vec![record(number.to_string())]).await;
        // Too short on purpose: most of these are dropped half way.
        if let Ok(some) = tokio::time::timeout(Duration::from_micros(200), reader.next(10)).await {
            read.extend(some.expect("readable"));
        }
    }
    while read.len() < 50 {
        let rest = tokio::time::timeout(DEADLINE, reader.next(10))
            .await
            .expect("in time");
        read.extend(rest.expect("readable"));
    }
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(values(&read), expected);
}

/// What was read once is there for ever, the same.
pub async fn a_second_read_agrees_with_the_first(harness: Harness) {
    let at = harness.at(1);
    harness
        .append(&at, (0..100).map(|number| record(number.to_string())).collect())
        .await;
    let first = harness.read(&at, Offset(0), 100).await;
    assert_eq!(first, harness.read(&at, Offset(0), 100).await);
}

/// The end is never behind an acknowledgement: refusals rest on it.
pub async fn the_bounds_include_everything_acknowledged(harness: Harness) {
    let at = harness.at(0);
    for _ in 0..50 {
        let last = harness.append(&at, vec![record("x")]).await[0];
        let end = harness.log.bounds(&at).await.expect("readable").end;
        assert_eq!(end, last.next());
    }
}

/// What goes to one partition is seen in no other.
pub async fn partitions_do_not_mix(harness: Harness) {
    harness.append(&harness.at(0), vec![record("zero")]).await;
    harness.append(&harness.at(1), vec![record("one")]).await;
    assert_eq!(values(&harness.read(&harness.at(1), Offset(0), 1).await), ["one"]);
    let end = harness.log.bounds(&harness.at(2)).await.expect("readable").end;
    assert_eq!(end, Offset(0));
}

/// Many writers at once: nothing lost, nothing twice, each writer's order kept.
pub async fn concurrent_appends_are_all_there_once_and_in_order(harness: Harness) {
    const WRITERS: usize = 8;
    const BATCHES: usize = 20;
    let at = harness.at(0);
    let writers = (0..WRITERS).map(|writer| {
        let (harness, at) = (&harness, &at);
        async move {
            for batch in 0..BATCHES {
                let pair = vec![
                    record(format!("{writer}:{batch}:0")),
                    record(format!("{writer}:{batch}:1")),
                ];
                let offsets = harness.append(at, pair).await;
                assert!(offsets[0] < offsets[1]);
            }
        }
    });
    futures::future::join_all(writers).await;
    let read = values(&harness.read(&at, Offset(0), WRITERS * BATCHES * 2).await);
    for writer in 0..WRITERS {
        let own: Vec<_> = read
            .iter()
            .filter(|value| value.starts_with(&format!("{writer}:")))
            .collect();
        let expected: Vec<String> = (0..BATCHES)
            .flat_map(|batch| [format!("{writer}:{batch}:0"), format!("{writer}:{batch}:1")])
            .collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}

/// A reader of what the log does not hold says so instead of waiting or skipping.
pub async fn an_offset_beyond_the_end_is_refused(harness: Harness) {
    let at = harness.at(0);
    harness.append(&at, vec![record("only")]).await;
    let refused = match harness.log.reader(vec![(at, Offset(1_000))]).await {
        Ok(mut reader) => tokio::time::timeout(DEADLINE, reader.next(1))
            .await
            .expect("in time")
            .map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(
        matches!(
            refused,
            Err(LogError::OutOfRange {
                asked: Offset(1_000),
                ..
            })
        ),
        "{refused:?}"
    );
}

/// A topic that is not there is an error that names it.
pub async fn a_missing_topic_is_named(harness: Harness) {
    let missing = Topic::named(&format!("missing.{}", harness.topic));
    let refused = harness.log.partitions(&missing).await;
    assert!(
        matches!(&refused, Err(LogError::NoSuchTopic(name)) if name.contains("missing.")),
        "{refused:?}"
    );
}
