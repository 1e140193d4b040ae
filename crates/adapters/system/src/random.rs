//! The machine's source of chance.

use openclaw_core::Random;
use std::time::Duration;

/// The operating system's generator. Fit for secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

// === impl SystemRandom ===

impl Random for SystemRandom {
    /// Blocks, trying again, while the system cannot give any: a secret made without chance would be worse than none.
    fn fill(&self, buffer: &mut [u8]) {
        while getrandom::fill(buffer).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_filled_and_no_two_fills_are_alike() {
        let (mut first, mut second) = ([0_u8; 64], [0_u8; 64]);
        SystemRandom.fill(&mut first);
        SystemRandom.fill(&mut second);
        assert_ne!(first, second);
        assert!(first.iter().any(|byte| *byte != 0));
        assert_ne!(&first[48..], &[0_u8; 16], "the end of the buffer is filled too");
        SystemRandom.fill(&mut []);
    }

    #[test]
    fn units_lie_in_their_half_open_range() {
        for _ in 0..1_000 {
            let unit = SystemRandom.unit();
            assert!((0.0..1.0).contains(&unit), "{unit}");
        }
    }
}
