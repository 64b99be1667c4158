//! Compares setup costs with costs per step.

/// The setup time of an operation, and its time per step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Seconds of the setup.
    pub setup_seconds: f64,
    /// Seconds per step.
    pub step_seconds: f64,
}

impl Cost {
    /// Relative difference below which times count as equal: repeats of the same program differ as
    /// much.
    pub const NOISE: f64 = 0.01;

    /// Returns the number of steps after which this operation stays faster in total than `other`;
    /// `None` if it never does.
    pub fn ahead_from(&self, other: &Self) -> Option<u64> {
        let gain = other.step_seconds - self.step_seconds;
        let debt = self.setup_seconds - other.setup_seconds;
        if gain > Self::NOISE * other.step_seconds {
            return Some((debt / gain).ceil().max(0.0) as u64);
        }
        (gain >= -Self::NOISE * other.step_seconds && debt <= 0.0).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(setup_seconds: f64, step_seconds: f64) -> Cost {
        Cost { setup_seconds, step_seconds }
    }

    #[test]
    fn a_faster_step_compensates_a_longer_setup() {
        assert_eq!(cost(10.0, 1.0).ahead_from(&cost(1.0, 2.0)), Some(9));
        assert_eq!(cost(10.5, 1.0).ahead_from(&cost(1.0, 2.0)), Some(10));
        assert_eq!(cost(1.0, 1.0).ahead_from(&cost(10.0, 2.0)), Some(0));
    }

    #[test]
    fn a_slower_step_never_compensates() {
        assert_eq!(cost(1.0, 2.0).ahead_from(&cost(10.0, 1.0)), None);
        assert_eq!(cost(10.0, 2.0).ahead_from(&cost(1.0, 1.0)), None);
    }

    #[test]
    fn steps_within_the_noise_count_as_equal() {
        assert_eq!(cost(2.0, 0.995).ahead_from(&cost(1.0, 1.0)), None);
        assert_eq!(cost(1.0, 1.005).ahead_from(&cost(2.0, 1.0)), Some(0));
        assert_eq!(cost(1.0, 1.0).ahead_from(&cost(1.0, 1.0)), Some(0));
    }
}
