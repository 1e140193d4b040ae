//! What was measured: samples by what they are samples of.

use std::collections::BTreeMap;

/// What is measured of the server and of what it is compared with. Times in ms, memory in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Start,
    IdleMemory,
    LoadedMemory,
    /// A whole answer at 20 requests a second.
    Latency,
    /// The first event of a stream, at 5 streams a second.
    FirstEvent,
    /// Processor time of a request, at so many connections.
    CpuPerRequest(u32),
    /// Processor time of an event of a stream, at 16 connections.
    CpuPerEvent,
    PerSecond(u32),
    TurnCpu,
    TurnsPerSecond,
    TurnMemory,
    Acknowledged,
    AcknowledgeP99,
    AcknowledgeCpu,
    /// Seconds until all native chats that were written to at once have their answers.
    Chats,
    /// Start to ready with so many tenants stored.
    StartWithTenants(u32),
    /// With so many event streams open.
    StreamsMemory(u32),
    /// After so many sessions and a rest.
    SessionsMemory(u32),
    /// The same, divided by what it was before them.
    SessionsGrowth(u32),
    /// After so many sessions and a rest that outlasts idle connections.
    QuietMemory(u32),
    /// The same, divided by what it was before the sessions.
    QuietGrowth(u32),
    Failed,
}

/// The samples of one target.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(BTreeMap<What, Vec<f64>>);

/// The middle sample with the smallest and the largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

// === impl Figures ===

impl Figures {
    pub(super) fn add(&mut self, what: What, sample: impl Into<Option<f64>>) {
        self.0.entry(what).or_default().extend(sample.into());
    }

    /// Adds to the only sample there is.
    pub(super) fn count(&mut self, what: What, more: f64) {
        let samples = self.0.entry(what).or_default();
        match samples.first_mut() {
            Some(sum) => *sum += more,
            None => samples.push(more),
        }
    }

    pub(super) fn get(&self, what: What) -> Option<Sample> {
        let mut samples = self.0.get(&what)?.clone();
        samples.sort_by(f64::total_cmp);
        Some(Sample {
            median: *samples.get(samples.len() / 2)?,
            least: *samples.first()?,
            most: *samples.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_sample_is_the_figure_and_nothing_measured_is_nothing() {
        let mut figures = Figures::default();
        figures.add(What::Latency, None);
        assert_eq!(figures.get(What::Latency), None);
        for sample in [3.0, 1.0, 2.0] {
            figures.add(What::Latency, sample);
            figures.count(What::Failed, sample);
        }
        let expected = Sample {
            median: 2.0,
            least: 1.0,
            most: 3.0,
        };
        assert_eq!(figures.get(What::Latency), Some(expected));
        assert_eq!(figures.get(What::Failed).map(|sample| sample.median), Some(6.0));
    }
}
