//! Points in time for the broker: whole milliseconds since the Unix epoch.
//!
//! The broker reads no clock; its caller supplies the time. So a test or a simulation can advance days in an
//! instant. Arithmetic saturates, so no caller can make it overflow.

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time this many seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: u32) -> Self {
        self.plus_millis(u64::from(seconds).saturating_mul(1000))
    }

    /// The time this many milliseconds later.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time; 0 when `earlier` is later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the epoch, the unit of queue attributes.
    pub(super) fn as_seconds(self) -> u64 {
        self.0 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Timestamp(u64::MAX).plus_seconds(1), Timestamp(u64::MAX));
        assert_eq!(Timestamp(5).millis_since(Timestamp(9)), 0);
        assert_eq!(Timestamp(1_500).plus_seconds(2).as_seconds(), 3);
    }
}
