//! What is known of a group of numbers after one pass.

use serde::ser::{Serialize, SerializeStruct, Serializer};

/// Count, sum, mean, minimum, maximum of at least one number.
pub(crate) struct Stats {
    count: u64,
    sum: f64,
    /// What `sum` has lost to rounding so far (Neumaier's way): a million times 0.1 is 100,000.
    lost: f64,
    min: f64,
    max: f64,
}

impl Stats {
    pub(crate) fn of(value: f64) -> Self {
        Self { count: 1, sum: value, lost: 0.0, min: value, max: value }
    }

    pub(crate) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn sum(&self) -> f64 {
        self.sum + self.lost
    }
}

impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Stats", 5)?;
        fields.serialize_field("count", &self.count)?;
        fields.serialize_field("sum", &self.sum())?;
        fields.serialize_field("mean", &(self.sum() / self.count as f64))?;
        fields.serialize_field("min", &self.min)?;
        fields.serialize_field("max", &self.max)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_does_not_add_up() {
        let mut stats = Stats::of(0.1);
        (1..1_000_000).for_each(|_| stats.add(0.1));
        assert_eq!(stats.sum(), 100_000.0);
    }

    #[test]
    fn the_extremes_are_kept() {
        let mut stats = Stats::of(-1.5);
        stats.add(3.0);
        stats.add(0.0);
        assert_eq!((stats.count, stats.min, stats.max), (3, -1.5, 3.0));
        assert_eq!(stats.sum(), 1.5);
    }
}
