//! Percentiles of measured times.

use serde_json::Value;

/// Times of one run in milliseconds, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times(Vec<f64>);

impl Times {
    /// Sorts the times.
    #[must_use]
    pub fn new(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// The nearest measured time at `share` (0.5 is the median) to 1 µs; null when nothing was measured.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Value {
        let last = self.0.len().saturating_sub(1);
        // At most the number of times measured, so nothing is lost on the way to a whole number and back.
        let place = (last as f64 * share.clamp(0.0, 1.0)).round() as usize;
        self.0
            .get(place)
            .map_or(Value::Null, |&time| rounded(time, 1000.0))
    }

    /// The mean to 10 µs; null when nothing was measured.
    #[must_use]
    pub fn mean(&self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        rounded(self.0.iter().sum::<f64>() / self.0.len() as f64, 100.0)
    }
}

/// `value` as JSON with one digit for each factor of ten in `parts`.
#[must_use]
pub fn rounded(value: f64, parts: f64) -> Value {
    Value::from((value * parts).round() / parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_times_and_nothing_measured_is_null() {
        let times = Times::new(vec![4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!(times.percentile(0.5), 3.0);
        assert_eq!(times.percentile(1.0), 5.0);
        assert_eq!(times.mean(), 3.0);
        assert_eq!(Times::default().percentile(0.5), Value::Null);
        assert_eq!(Times::default().mean(), Value::Null);
    }
}
