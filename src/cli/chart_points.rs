//! Points of curves, and the ranges of the axes that show them.

use std::ops::Range;

/// Points of a curve, x ascending.
pub type Points = Vec<(f64, f64)>;

/// Range of values that a quantity can have; an axis shows no others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The smallest possible value.
    pub least: f64,
    /// The largest possible value.
    pub most: f64,
}

impl Limits {
    /// Losses, rates, norms and speeds.
    pub const POSITIVE: Self = Self { least: 0.0, most: f64::INFINITY };
    /// Shares of a whole.
    pub const SHARE: Self = Self { least: 0.0, most: 1.0 };
}

/// Returns the points whose coordinates are finite.
pub fn finite(points: &[(f64, f64)]) -> Points {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
}

/// Returns at most `most` points: the means of points that are close together. The x are ascending
/// and not negative.
pub fn thinned(points: &[(f64, f64)], most: usize) -> Points {
    let end = points.last().map_or(0.0, |(x, _)| *x);
    if points.len() <= most || end <= 0.0 {
        return points.to_vec();
    }
    let place = |x: f64| ((x / end * most as f64).ceil() as usize).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunk_by(|a, b| place(a.0) == place(b.0)).map(mean).collect()
}

/// Returns the range from zero to the last point of finite curves, none of them empty.
pub fn x_range(lines: &[&[(f64, f64)]]) -> Range<f64> {
    let ends = lines.iter().filter_map(|line| line.last());
    0.0..ends.map(|(x, _)| *x).fold(1e-9, f64::max)
}

/// Returns the range of all values of such curves within `limits`. First values that are so large
/// that they would flatten the rest are left out.
pub fn y_range(lines: &[&[(f64, f64)]], limits: Limits) -> Range<f64> {
    let all = || lines.iter().copied().flatten().map(|(_, y)| *y);
    let low = all().fold(f64::INFINITY, f64::min);
    let high = all().fold(f64::NEG_INFINITY, f64::max);
    let settled = lines.iter().map(|line| settled(line)).fold(low, f64::max);
    let high = if settled > low { high.min(low + 1.6 * (settled - low)) } else { high };
    let room = (0.08 * (high - low)).max(0.02 * low.abs()).max(1e-3);
    (low - room).max(limits.least)..(high + room).min(limits.most)
}

/// Returns the largest value after the first fall: after the first tenth of a curve, and after at
/// least one point.
fn settled(points: &[(f64, f64)]) -> f64 {
    let first = points.len().div_ceil(10).min(points.len() - 1);
    points[first..].iter().map(|(_, y)| *y).fold(f64::NEG_INFINITY, f64::max)
}

/// Returns the part of a curve below `top`, with the points where it crosses `top`.
pub fn cut(line: &[(f64, f64)], top: f64) -> Points {
    let mut shown = Points::new();
    for (index, &(x, y)) in line.iter().enumerate() {
        if y <= top {
            if let Some(&(x0, y0)) = index.checked_sub(1).and_then(|before| line.get(before))
                && y0 > top
            {
                shown.push((x0 + (x - x0) * (y0 - top) / (y0 - y), top));
            }
            shown.push((x, y));
        } else if let Some(&(x0, y0)) = shown.last()
            && y0 < top
        {
            shown.push((x0 + (x - x0) * (top - y0) / (y - y0), top));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_first_loss_does_not_flatten_the_rest() {
        let points: Points = vec![(1.0, 90.0), (2.0, 3.0), (3.0, 2.0)];
        let range = y_range(&[&points], Limits::POSITIVE);
        assert!(range.end < 4.0 && range.start < 2.0, "{range:?}");
        let shown = cut(&points, range.end);
        assert!(shown.iter().all(|(_, y)| *y <= range.end) && shown.len() == 3, "{shown:?}");
    }

    #[test]
    fn an_axis_shows_only_possible_values() {
        let range = |values: &[f64], limits| {
            let points: Points = (1..).zip(values).map(|(x, y)| (f64::from(x), *y)).collect();
            y_range(&[&points], limits)
        };
        assert_eq!(range(&[0.01, 0.99], Limits::SHARE), 0.0..1.0);
        assert_eq!(range(&[1.0, 1.0], Limits::SHARE), 0.98..1.0);
        assert_eq!(range(&[0.004, 0.0001, 0.002], Limits::POSITIVE).start, 0.0);
        let flat = range(&[0.0, 0.0], Limits::POSITIVE);
        assert!(flat.start == 0.0 && flat.end > 0.0, "{flat:?}");
    }

    #[test]
    fn many_points_become_means_of_neighbors() {
        let points: Points = (1..=9).map(|n| (f64::from(n), f64::from(2 * n))).collect();
        assert_eq!(thinned(&points, 9), points);
        assert_eq!(thinned(&points, 3), [(2.0, 4.0), (5.0, 10.0), (8.0, 16.0)]);
        let dense = [(1.0, 1.0), (2.0, 3.0), (100.0, 7.0)];
        assert_eq!(thinned(&dense, 2), [(1.5, 2.0), (100.0, 7.0)]);
        assert_eq!(thinned(&[], 3), []);
    }
}
