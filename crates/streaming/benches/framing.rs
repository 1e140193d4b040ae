//! How fast a stream of OpenAI chunks is cut into events, alone and with each event decoded; beside it, the same by
//! `eventsource-stream`.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eventsource_stream::Eventsource;
use futures::{FutureExt, StreamExt, stream};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};
use serde::Deserialize;
use std::convert::Infallible;
use std::hint::black_box;

/// Events of a stream.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// About what one read from a socket returns.
const CHUNK: usize = 8 * 1024;

fn stream(events: usize) -> Bytes {
    let mut stream = String::new();
    for number in 0..events {
        stream.push_str(&format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1795327380,\"model\":\"model-1\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{number}\"}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
        ));
    }
    stream.push_str("data: [DONE]\n\n");
    Bytes::from(stream)
}

/// What is read of a chunk.
#[derive(Deserialize)]
struct Chunk {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

fn decode(data: &str) {
    if data != "[DONE]" {
        let chunk: Chunk = serde_json::from_str(data).expect("a chunk");
        for choice in chunk.choices {
            black_box((choice.delta.content, choice.finish_reason));
        }
    }
}

fn read(stream: &Bytes, chunk: usize, mut take: impl FnMut(&str)) -> usize {
    let mut parser = StreamParser::new(StreamFormat::Sse, ParserLimits::default());
    let mut events = 0;
    let mut at = 0;
    while at < stream.len() {
        let end = (at + chunk).min(stream.len());
        parser.push(stream.slice(at..end));
        at = end;
        while let Ok(Some(frame)) = parser.next_frame() {
            if let Frame::Sse(event) = frame {
                take(event.data);
                events += 1;
            }
        }
    }
    parser.finish(LastEvent::Drop);
    events
}

fn read_by_peer(stream: &Bytes, chunk: usize, mut take: impl FnMut(&str)) -> usize {
    let pieces = (0..stream.len()).step_by(chunk).map(|at| {
        let end = (at + chunk).min(stream.len());
        Ok::<_, Infallible>(stream.slice(at..end))
    });
    let events = stream::iter(pieces).eventsource().fold(0, |events, event| {
        if let Ok(event) = event {
            take(&event.data);
        }
        std::future::ready(events + 1)
    });
    events.now_or_never().unwrap_or_default()
}

fn ignore(data: &str) {
    black_box(data);
}

fn framing(criterion: &mut Criterion) {
    for events in SIZES {
        of_size(criterion, events);
    }
}

fn of_size(criterion: &mut Criterion, events: usize) {
    let stream = stream(events);
    // The end mark is one.
    let all = events + 1;
    let event = stream.len() / all;
    let mut group = criterion.benchmark_group("sse_framing");
    group.throughput(Throughput::Elements(u64::try_from(all).unwrap_or(u64::MAX)));
    for (name, chunk) in [
        ("8_kib_chunks", CHUNK),
        ("one_event_per_chunk", event),
        ("64_byte_chunks", 64),
    ] {
        group.bench_function(format!("{name}/{events}"), |bencher| {
            bencher.iter(|| assert_eq!(read(black_box(&stream), chunk, ignore), all));
        });
    }
    group.bench_function(format!("eventsource_stream/{events}"), |bencher| {
        bencher.iter(|| assert_eq!(read_by_peer(black_box(&stream), CHUNK, ignore), all));
    });
    group.finish();

    let mut group = criterion.benchmark_group("sse_decoding");
    group.bench_function(format!("8_kib_chunks/{events}"), |bencher| {
        bencher.iter(|| assert_eq!(read(black_box(&stream), CHUNK, decode), all));
    });
    group.bench_function(format!("eventsource_stream/{events}"), |bencher| {
        bencher.iter(|| assert_eq!(read_by_peer(black_box(&stream), CHUNK, decode), all));
    });
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
