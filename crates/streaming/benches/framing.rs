//! How fast a stream of OpenAI chunks is cut into events.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openclaw_streaming::{Frame, LastEvent, ParserLimits, StreamFormat, StreamParser};
use std::hint::black_box;

const EVENTS: usize = 1_000;
/// About what one read from a socket returns.
const CHUNK: usize = 8 * 1024;

fn stream() -> Bytes {
    let mut stream = String::new();
    for number in 0..EVENTS {
        stream.push_str(&format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1795327380,\"model\":\"model-1\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{number}\"}},\"finish_reason\":null}}],\"usage\":null}}\n\n"
        ));
    }
    stream.push_str("data: [DONE]\n\n");
    Bytes::from(stream)
}

fn read(stream: &Bytes, chunk: usize) -> usize {
    let mut parser = StreamParser::new(StreamFormat::Sse, ParserLimits::default());
    let mut events = 0;
    let mut at = 0;
    while at < stream.len() {
        let end = (at + chunk).min(stream.len());
        parser.push(stream.slice(at..end));
        at = end;
        while let Ok(Some(frame)) = parser.next_frame() {
            if let Frame::Sse(event) = frame {
                black_box(event.data);
                events += 1;
            }
        }
    }
    parser.finish(LastEvent::Drop);
    events
}

fn framing(criterion: &mut Criterion) {
    let stream = stream();
    let event = stream.len() / (EVENTS + 1);
    let mut group = criterion.benchmark_group("sse_framing");
    group.throughput(Throughput::Elements(
        u64::try_from(EVENTS + 1).unwrap_or(u64::MAX),
    ));
    for (name, chunk) in [
        ("8_kib_chunks", CHUNK),
        ("one_event_per_chunk", event),
        ("64_byte_chunks", 64),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(read(black_box(&stream), chunk), EVENTS + 1));
        });
    }
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
