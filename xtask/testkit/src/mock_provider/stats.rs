//! What the mock counts.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the mock has seen since it started or was last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests for a completion.
    pub requests: u64,
    /// Those answered as a stream.
    pub streams: u64,
    /// Stream pieces handed to the connection.
    pub chunks: u64,
    /// Answers that failed on purpose: refused, cut, or with an error inside.
    pub faults: u64,
    /// Streams whose reader went away before the last piece.
    pub disconnects: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Keys exchanged for a token, or meant to be.
    pub exchanges: u64,
    /// Requests being answered at this moment.
    pub in_flight: u64,
    /// The most there were at once.
    pub in_flight_peak: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Numbers given to requests, each a moment before the request is remembered and counted.
    pub(super) numbers: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) streams: AtomicU64,
    pub(super) chunks: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) disconnects: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) exchanges: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) in_flight_peak: AtomicU64,
}

impl Counters {
    pub(super) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Relaxed),
            streams: self.streams.load(Relaxed),
            chunks: self.chunks.load(Relaxed),
            faults: self.faults.load(Relaxed),
            disconnects: self.disconnects.load(Relaxed),
            connections: self.connections.load(Relaxed),
            exchanges: self.exchanges.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            in_flight_peak: self.in_flight_peak.load(Relaxed),
        }
    }

    /// Zeroes what has been counted; what is in flight stays in flight.
    pub(super) fn reset(&self) {
        for counter in [
            &self.numbers,
            &self.requests,
            &self.streams,
            &self.chunks,
            &self.faults,
            &self.disconnects,
            &self.connections,
            &self.exchanges,
        ] {
            counter.store(0, Relaxed);
        }
        self.in_flight_peak.store(self.in_flight.load(Relaxed), Relaxed);
    }

    pub(super) fn json(&self) -> Value {
        let stats = self.stats();
        json!({
            "requests": stats.requests, "streams": stats.streams, "chunks": stats.chunks,
            "faults": stats.faults, "disconnects": stats.disconnects, "connections": stats.connections,
            "exchanges": stats.exchanges, "inflight": stats.in_flight, "inflight_max": stats.in_flight_peak,
        })
    }
}
