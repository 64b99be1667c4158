//! The horizontal axis of a chart.

use super::chart_points::x_range;
use std::ops::Range;

/// The horizontal axis.
#[derive(Clone, Copy, Debug)]
pub enum XAxis {
    /// From zero to the last point.
    FromZero,
    /// From the first to the last point. The function formats an x at a tick.
    Points(fn(f64) -> String),
}

impl XAxis {
    /// Returns the range of finite curves, none of them empty.
    pub fn range(self, lines: &[&[(f64, f64)]]) -> Range<f64> {
        match self {
            Self::FromZero => x_range(lines),
            Self::Points(_) => {
                let all = || lines.iter().copied().flatten().map(|(x, _)| *x);
                let start = all().fold(f64::INFINITY, f64::min);
                start..all().fold(start + 1e-9, f64::max)
            }
        }
    }

    /// Returns the label of a tick.
    pub fn label(self, x: f64) -> String {
        match self {
            Self::FromZero => with_suffix(x),
            Self::Points(label) => label(x),
        }
    }
}

/// Returns a number without superfluous digits: `0`, `250k`, `1.5M`.
fn with_suffix(x: f64) -> String {
    let (value, suffix) = match x {
        x if x >= 1e9 => (x / 1e9, "G"),
        x if x >= 1e6 => (x / 1e6, "M"),
        x if x >= 1e3 => (x / 1e3, "k"),
        _ => (x, ""),
    };
    let text = format!("{value:.2}");
    format!("{}{suffix}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        for (x, text) in [(0.0, "0"), (250e3, "250k"), (1.5e6, "1.5M"), (2e9, "2G"), (40.0, "40")] {
            assert_eq!(XAxis::FromZero.label(x), text);
        }
    }

    #[test]
    fn an_axis_starts_at_zero_or_at_the_first_point() {
        let lines: [&[(f64, f64)]; 2] = [&[(2.0, 1.0), (3.0, 1.0)], &[(1.0, 1.0), (2.0, 1.0)]];
        assert_eq!(XAxis::FromZero.range(&lines), 0.0..3.0);
        assert_eq!(XAxis::Points(|x| x.to_string()).range(&lines), 1.0..3.0);
    }
}
