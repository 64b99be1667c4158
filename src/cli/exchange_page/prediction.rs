//! The time of a training step on many machines, as `docs/many-machines.md` explains it.

use super::fit::CostOfMessages;

/// Symbols of the vocabulary.
const SYMBOLS: f64 = 65.0;
/// Parts of a window's time in which the gradients of the weights are computed: forward pass,
/// backward pass and gradients have the same number of operations.
const GRADIENT_SHARE: f64 = 1.0 / 3.0;
/// The efficiency that a batch must keep.
const EFFICIENCY: f64 = 0.8;
/// The most windows of a machine that are tried.
const MOST_WINDOWS: usize = 1 << 12;

/// An LSTM with an embedding as wide as its layers, and its windows.
pub struct Step {
    pub name: &'static str,
    layers: usize,
    hidden: usize,
    rows: usize,
    steps: usize,
    /// Speed of training on one machine.
    symbols_per_second: f64,
}

/// The speeds are those of 16 cores of a Xeon. That of 3x1024 is the speed of 1x1024 (34k
/// characters/s) divided by the ratio of their operations.
pub const STEPS: [Step; 3] = [
    Step {
        name: "LSTM 2x512, B50 T50",
        layers: 2,
        hidden: 512,
        rows: 50,
        steps: 50,
        symbols_per_second: 34e3,
    },
    Step {
        name: "LSTM 2x512, B256 T50",
        layers: 2,
        hidden: 512,
        rows: 256,
        steps: 50,
        symbols_per_second: 73e3,
    },
    Step {
        name: "LSTM 3x1024, B64 T64",
        layers: 3,
        hidden: 1024,
        rows: 64,
        steps: 64,
        symbols_per_second: 6.9e3,
    },
];

/// The cost of calls, over links of another rate.
pub struct LinkRate<'a> {
    pub cost: &'a CostOfMessages,
    pub bytes_per_second: f64,
}

/// A prediction.
pub struct StepCost {
    /// Batch rows of all windows of a step.
    pub rows: usize,
    /// Speed relative to the same number of machines without messages.
    pub efficiency: f64,
}

/// A part of the parameters whose gradients travel together.
struct Bucket {
    parameters: f64,
    /// Multiplications of a token for its gradients.
    products: f64,
}

impl Step {
    /// Returns the buckets in the order in which their gradients are complete: the head, and the
    /// layers from the last to the first, which brings the embedding.
    fn buckets(&self) -> Vec<Bucket> {
        let hidden = self.hidden as f64;
        let matrix = 4.0 * hidden * hidden;
        let layer = 2.0 * matrix + 8.0 * hidden;
        let head = Bucket { parameters: SYMBOLS * (hidden + 1.0), products: SYMBOLS * hidden };
        let upper = (1..self.layers).map(|_| Bucket { parameters: layer, products: 2.0 * matrix });
        let first = Bucket { parameters: layer + SYMBOLS * hidden, products: matrix };
        [head].into_iter().chain(upper).chain([first]).collect()
    }

    /// Seconds of a window on one machine.
    fn window_seconds(&self) -> f64 {
        (self.rows * self.steps) as f64 / self.symbols_per_second
    }

    /// Returns the seconds of a step that are not computation: what computation does not hide of the
    /// exchange of gradients, the losses, and the gathering of parameters.
    fn exposed_seconds(&self, ranks: usize, link: &LinkRate<'_>) -> f64 {
        let buckets = self.buckets();
        let call = |parameters: f64| {
            let bytes = 4.0 * parameters * (ranks - 1) as f64 / ranks as f64;
            link.cost.seconds(ranks, bytes, link.bytes_per_second)
        };
        let products: f64 = buckets.iter().map(|bucket| bucket.products).sum();
        let seconds_per_product = GRADIENT_SHARE * self.window_seconds() / products;
        // Of the buckets from some one on, which travel in turn, the computation of all but that one.
        let (mut travel, mut compute, mut exposed) = (0.0, 0.0, 0.0_f64);
        for bucket in buckets.iter().rev() {
            travel += call(bucket.parameters);
            exposed = exposed.max(travel - compute);
            compute += bucket.products * seconds_per_product;
        }
        exposed + call(0.0) + travel
    }

    /// Predicts a step with some windows on each machine.
    fn cost(&self, ranks: usize, windows: usize, link: &LinkRate<'_>) -> StepCost {
        let compute = windows as f64 * self.window_seconds();
        let seconds = compute + self.exposed_seconds(ranks, link);
        StepCost { rows: ranks * windows * self.rows, efficiency: compute / seconds }
    }

    /// Predicts the step with the fewest windows that keeps the efficiency. Their number on each
    /// machine is a power of two.
    pub fn cheapest(&self, ranks: usize, link: &LinkRate<'_>) -> StepCost {
        let mut windows = 1;
        while windows < MOST_WINDOWS && self.cost(ranks, windows, link).efficiency < EFFICIENCY {
            windows *= 2;
        }
        self.cost(ranks, windows, link)
    }
}

#[test]
fn only_the_last_bucket_of_a_fast_exchange_is_exposed() {
    let cost = CostOfMessages { latency: 0.0, per_rank: 0.0, bytes_per_second: 1e12 };
    let link = LinkRate { cost: &cost, bytes_per_second: 1e12 };
    let step = &STEPS[0];
    let buckets = step.buckets();
    let all: f64 = buckets.iter().map(|bucket| bucket.parameters).sum();
    let expected = (buckets[2].parameters + all) * 4.0 / 2.0 / 1e12;
    assert!((step.exposed_seconds(2, &link) - expected).abs() < 1e-9 * expected);
}
