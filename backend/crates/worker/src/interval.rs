//! How often the worker works.

use std::str::FromStr;
use std::time::Duration;

const MILLISECONDS: std::ops::RangeInclusive<u64> = 10..=3_600_000;

/// A time between two ticks that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(Duration);

/// The text is no such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidInterval;

impl Interval {
    /// The time.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Interval {
    type Err = InvalidInterval;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let milliseconds = text.parse().map_err(|_| InvalidInterval)?;
        if MILLISECONDS.contains(&milliseconds) {
            Ok(Self(Duration::from_millis(milliseconds)))
        } else {
            Err(InvalidInterval)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sensible_times_are_taken() {
        let time = "250".parse::<Interval>().map(Interval::duration);
        assert_eq!(time, Ok(Duration::from_millis(250)));
        for text in ["", "1s", "-5", "0", "9", "3600001"] {
            assert_eq!(text.parse::<Interval>(), Err(InvalidInterval), "{text:?}");
        }
    }
}
