//! The output of programs that answer: the same however cut, and never more of it than the bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_command::OutputFormat;
use openclaw_command::fuzzing::read;
use openclaw_core::ModelEvent;
use openclaw_fuzz::Cut;

fuzz_target!(|data: &[u8]| {
    let cut = Cut::read(data);
    for output in [OutputFormat::Text, OutputFormat::JsonLines] {
        for bound in [40, u64::MAX] {
            let (said, error) = read(output, bound, cut.whole());
            let (pieces, their_error) = read(output, bound, cut.pieces());
            assert_eq!((joined(pieces), their_error), (joined(said.clone()), error));
            let length: usize = said
                .iter()
                .map(|event| match event {
                    ModelEvent::TextDelta(text) => text.len(),
                    _ => 0,
                })
                .sum();
            // An invalid byte becomes a character of three.
            assert!(u64::try_from(length).unwrap() <= bound.saturating_mul(3));
        }
    }
});

/// Pieces of text depend on the cut, joined they do not.
fn joined(events: Vec<ModelEvent>) -> Vec<ModelEvent> {
    let mut joined: Vec<ModelEvent> = Vec::new();
    for event in events {
        match (event, joined.last_mut()) {
            (ModelEvent::TextDelta(text), Some(ModelEvent::TextDelta(before))) => before.push_str(&text),
            (event, _) => joined.push(event),
        }
    }
    joined
}
