//! Decoders without a network, for the tests of those who implement [`BodyDecoder`].

use crate::body::{BodyDecoder, Step};
use bytes::Bytes;

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
