//! Decoders without a network, for the tests of those who implement [`BodyDecoder`].

use crate::answer::{AnswerDecoder, AnswerFormat};
use crate::body::{BodyDecoder, Step};
use bytes::Bytes;

/// As long an answer as a test of memory reads: a gigabyte in optimised builds, in the others enough to see growth.
pub const LONG_ANSWER: usize = if cfg!(debug_assertions) { 2 << 20 } else { 1 << 30 };
/// About what one read from a socket returns; no multiple of an event's length.
const CHUNK: usize = 8 * 1024 - 1;

/// Everything a decoder makes of a body that comes in these chunks and then ends.
pub fn decode<D: BodyDecoder>(mut decoder: D, chunks: &[&[u8]]) -> Vec<Result<D::Item, D::Error>> {
    let mut chunks = chunks.iter();
    let mut said = Vec::new();
    loop {
        match decoder.step() {
            Step::Item(item) => said.push(Ok(item)),
            Step::Failed(error) => {
                said.push(Err(error));
                return said;
            }
            Step::Done => return said,
            Step::More => match chunks.next() {
                Some(chunk) => decoder.push(Bytes::copy_from_slice(chunk)),
                None => decoder.finish(),
            },
        }
    }
}

/// The bytes cut at these places, in any order; places beyond the end cut nothing off.
pub fn at_places<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| (*place).min(bytes.len())).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .filter_map(|pair| bytes.get(*pair.first()?..*pair.last()?))
        .collect()
}

/// Whether a decoder makes the same of a body however it is cut in two, and byte by byte. Returns the first place of a
/// cut that makes a difference; 0 stands for the bytes one by one.
pub fn place_of_difference<D>(bytes: &[u8], new: impl Fn() -> D) -> Option<usize>
where
    D: BodyDecoder<Item: PartialEq, Error: PartialEq>,
{
    let whole = decode(new(), &[bytes]);
    let differs = |chunks: &[&[u8]]| decode(new(), chunks) != whole;
    if differs(&bytes.chunks(1).collect::<Vec<_>>()) {
        return Some(0);
    }
    (1..bytes.len()).find(|place| differs(&at_places(bytes, &[*place])))
}

/// The most bytes a decoder held while it read the same payload again and again, and how many events it made of so many
/// bytes. Stops where the decoder does.
pub fn most_held<F: AnswerFormat>(
    mut decoder: AnswerDecoder<F>,
    payload: &str,
    length: usize,
) -> (usize, usize) {
    // Enough repetitions that any slice of a chunk's length, at any phase of the payload, lies within.
    let source = Bytes::from(payload.repeat(CHUNK / payload.len().max(1) + 2));
    let (mut phase, mut most, mut events) = (0, 0, 0);
    for _ in 0..length.div_ceil(CHUNK) {
        decoder.push(source.slice(phase..phase + CHUNK));
        phase = (phase + CHUNK) % payload.len().max(1);
        loop {
            match decoder.step() {
                Step::Item(_) => events += 1,
                Step::More => break,
                Step::Done | Step::Failed(_) => return (most, events),
            }
        }
        most = most.max(decoder.held_bytes());
    }
    (most, events)
}

/// What every decoder of answers must do, as tests of its crate: however the bytes of a recorded answer are cut the
/// events are the same, no body is too strange, and a long answer takes the memory of a short one.
///
/// `decoder` makes one; `recorded` is an answer in documented shapes; `payload` is one complete payload of text;
/// `framed` puts arbitrary bytes where a payload would stand. The crate has `proptest` among its dev-dependencies.
#[macro_export]
macro_rules! answer_decoder_suite {
    (decoder: $decoder:expr, recorded: $recorded:expr, payload: $payload:expr, framed: $framed:expr $(,)?) => {
        mod suite {
            use super::*;
            use $crate::testing::{LONG_ANSWER, at_places, decode, most_held, place_of_difference};

            #[test]
            fn however_the_stream_is_cut_in_two_the_events_are_the_same() {
                assert_eq!(place_of_difference($recorded.as_bytes(), $decoder), None);
            }

            #[test]
            fn a_long_answer_is_read_in_the_memory_of_a_short_one() {
                let (short, _) = most_held($decoder(), $payload, 1 << 20);
                let (long, events) = most_held($decoder(), $payload, LONG_ANSWER);
                assert_eq!(long, short, "the most that was held, in bytes");
                assert!(events >= LONG_ANSWER / $payload.len() - 1, "{events} events");
            }

            ::proptest::proptest! {
                #[test]
                fn however_the_bytes_are_cut_the_events_are_the_same(
                    places in ::proptest::collection::vec(0..$recorded.len(), 0..12),
                ) {
                    let bytes = $recorded.as_bytes();
                    let said = decode($decoder(), &at_places(bytes, &places));
                    ::proptest::prop_assert_eq!(said, decode($decoder(), &[bytes]));
                }

                #[test]
                fn no_body_is_too_strange(body in ::proptest::collection::vec(::proptest::num::u8::ANY, 0..200)) {
                    let framed: Vec<&[u8]> = $framed(body.as_slice());
                    ::proptest::prop_assert!(decode($decoder(), &framed).len() < 1_000);
                }
            }
        }
    };
}
