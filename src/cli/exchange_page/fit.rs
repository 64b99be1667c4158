//! The cost of messages, fitted to figures.
//!
//! ```text
//! seconds of a call = a + (n - 1) o + bytes that a rank sends / rate
//! ```
//!
//! a: latency; o: work for each other rank; n: number of ranks. The fit has the least sum of squared
//! relative errors, under the condition that no cost is negative.

use super::figures::{ExchangeLine, NetworkFigures};

/// The cost of a call over one network.
#[derive(Clone, Debug)]
pub struct CostOfMessages {
    /// Latency of a call, in seconds (a).
    pub latency: f64,
    /// Seconds for each other rank (o).
    pub per_rank: f64,
    pub bytes_per_second: f64,
}

/// An equation of the fit: the three terms and their sum, relative to the measured time.
type Equation = ([f64; 3], f64);

impl CostOfMessages {
    /// Returns the cost, and the mean relative error of all figures.
    pub fn fitted(networks: &[NetworkFigures<'_>]) -> (Self, f64) {
        let lines = networks.iter().flat_map(|network| &network.lines);
        let equations: Vec<Equation> = lines.flat_map(|line| equations(line)).collect();
        let costs = least_squares(&equations);
        let errors = equations.iter().map(|equation| residual(equation, costs).abs());
        let error = errors.sum::<f64>() / equations.len() as f64;
        let [latency, per_rank, per_byte] = costs;
        (Self { latency, per_rank, bytes_per_second: 1.0 / per_byte }, error)
    }

    /// Returns the seconds of a call among `ranks` that sends `bytes` from each.
    pub fn seconds(&self, ranks: usize, bytes: f64, bytes_per_second: f64) -> f64 {
        self.latency + (ranks - 1) as f64 * self.per_rank + bytes / bytes_per_second
    }
}

/// Returns an equation for each of the two calls.
fn equations(line: &ExchangeLine) -> [Equation; 2] {
    let terms = [1.0, (line.ranks - 1) as f64, line.sent_bytes];
    [line.all_to_all_median_seconds, line.all_gather_median_seconds]
        .map(|seconds| (terms.map(|term| term / seconds), 1.0))
}

fn residual((terms, sum): &Equation, costs: [f64; 3]) -> f64 {
    terms.iter().zip(costs).map(|(term, cost)| term * cost).sum::<f64>() - sum
}

/// Returns the costs with the least sum of squared residuals, none of them negative. Each cost in
/// turn takes its best value while the others stay, until nothing changes.
fn least_squares(equations: &[Equation]) -> [f64; 3] {
    let mut costs = [0.0; 3];
    for _ in 0..10_000 {
        for place in 0..3 {
            let without = |equation: &Equation| residual(equation, costs) - equation.0[place] * costs[place];
            let product: f64 = equations.iter().map(|equation| equation.0[place] * without(equation)).sum();
            let square: f64 = equations.iter().map(|equation| equation.0[place].powi(2)).sum();
            costs[place] = (-product / square).max(0.0);
        }
    }
    costs
}

#[test]
fn the_fit_finds_the_costs_of_exact_figures() {
    let expected = CostOfMessages { latency: 2e-4, per_rank: 3e-5, bytes_per_second: 1e9 };
    let line = |ranks: usize, floats: usize| {
        let sent_bytes = (4 * floats * (ranks - 1) / ranks) as f64;
        let seconds = expected.seconds(ranks, sent_bytes, expected.bytes_per_second);
        ExchangeLine {
            network: "TCP".to_owned(),
            gbits_per_second: None,
            ranks,
            floats,
            value_bytes: 4,
            sent_bytes,
            all_to_all_median_seconds: seconds,
            all_gather_median_seconds: seconds,
        }
    };
    let lines: Vec<_> =
        [2, 4].into_iter().flat_map(|n| [1000, 100_000, 10_000_000].map(|f| line(n, f))).collect();
    let network = NetworkFigures { name: "TCP", ranks: 2, lines: lines.iter().collect() };
    let (cost, error) = CostOfMessages::fitted(&[network]);
    assert!(error < 1e-6, "{error}");
    assert!((cost.latency - 2e-4).abs() < 1e-8 && (cost.per_rank - 3e-5).abs() < 1e-8, "{cost:?}");
}
