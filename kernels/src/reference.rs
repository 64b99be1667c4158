//! Naive scalar twins of the kernels, for tests: plain row-major buffers without padding, one fused multiply-add after
//! another in the documented order. On leaves that fuse, sums must have the same bits as here.
//!
//! Exponentials and the like go through f64, so a twin is the more exact of the two wherever it has one.

mod cells;

pub use cells::{
    Deltas, ReferenceCell, Trace, gru_after_backward, gru_after_forward, gru_before_backward,
    gru_before_forward, lstm_backward, lstm_forward, rnn_backward, rnn_forward,
};

use crate::update::Rule;

/// sum + `a[0]` `b[0]` + `a[1]` `b[1]` + ..., rounded once after each product.
pub fn chain<'a>(sum: f32, a: &'a [f32], b: &'a [f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "two vectors of a product");
    a.iter().zip(b).fold(sum, |sum, (a, b)| a.mul_add(*b, sum))
}

/// `y[m][n]` = `start[m][n]` + `x[m]` . `weight[n]`, for x [M, K], weight [N, K], start [M, N].
pub fn affine(depth: usize, x: &[f32], weight: &[f32], start: &[f32]) -> Vec<f32> {
    let outputs = weight.len() / depth;
    let element = |(i, sum): (usize, &f32)| {
        let (m, n) = (i / outputs, i % outputs);
        chain(*sum, &x[m * depth..][..depth], &weight[n * depth..][..depth])
    };
    start.iter().enumerate().map(element).collect()
}

/// `dW[n][k]` and `db[n]`, m ascending, for delta [M, N] and x [M, K].
pub fn weight_gradient(outputs: usize, depth: usize, delta: &[f32], x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut weight, mut bias) = (vec![0.0f32; outputs * depth], vec![0.0f32; outputs]);
    for (delta, x) in delta.chunks_exact(outputs).zip(x.chunks_exact(depth)) {
        for n in 0..outputs {
            bias[n] += delta[n];
            for k in 0..depth {
                weight[n * depth + k] = delta[n].mul_add(x[k], weight[n * depth + k]);
            }
        }
    }
    (weight, bias)
}

/// Adds delta [M, N] up in the table rows `ids` [D, N], and in one sum `[N]`.
pub fn scatter(rows: usize, width: usize, delta: &[f32], ids: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let (mut table, mut sum) = (vec![0.0f32; rows * width], vec![0.0f32; width]);
    for (delta, id) in delta.chunks_exact(width).zip(ids) {
        for n in 0..width {
            table[*id as usize * width + n] += delta[n];
            sum[n] += delta[n];
        }
    }
    (table, sum)
}

/// The loss of one row of logits in nats, whether the target is the first largest, and the gradient.
pub fn cross_entropy(logits: &[f32], target: usize) -> (f64, bool, Vec<f64>) {
    let wide: Vec<f64> = logits.iter().map(|&y| f64::from(y)).collect();
    let max = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = wide.iter().map(|y| (y - max).exp()).sum();
    let first = logits.iter().position(|&y| f64::from(y) == max);
    let one_hot = |v: usize| if v == target { 1.0 } else { 0.0 };
    let gradient = wide.iter().enumerate().map(|(v, y)| (y - max).exp() / sum - one_hot(v)).collect();
    // The difference first: beside large logits the logarithm would be lost.
    (sum.ln() + (max - wide[target]), first == Some(target), gradient)
}

/// One update of one parameter: (parameter, first, second, third) afterwards.
pub fn update(
    rule: Rule,
    (scale, limit): (f32, f32),
    gradient: f32,
    [p, first, second, third]: [f32; 4],
) -> [f32; 4] {
    let g = (gradient * scale).max(-limit).min(limit);
    match rule {
        Rule::Sgd { rate, momentum: 0.0 } => [(-rate).mul_add(g, p), first, second, third],
        Rule::Sgd { rate, momentum } => {
            let v = momentum.mul_add(first, g);
            [(-rate).mul_add(v, p), v, second, third]
        }
        Rule::Nesterov { rate, momentum } => {
            let v = momentum.mul_add(first, g);
            [(-rate).mul_add(momentum.mul_add(v, g), p), v, second, third]
        }
        Rule::Adagrad { rate, epsilon } => {
            let a = g.mul_add(g, first);
            [p - rate * g / (a.sqrt() + epsilon), a, second, third]
        }
        Rule::Rmsprop { rate, decay, momentum, epsilon } => {
            let a = decay.mul_add(first, (1.0 - decay) * (g * g));
            let step = rate * g / (a + epsilon).sqrt();
            let v = momentum.mul_add(second, step);
            if momentum == 0.0 { [p - step, a, second, third] } else { [p - v, a, v, third] }
        }
        Rule::CenteredRmsprop { rate, decay, momentum, epsilon } => {
            let a = decay.mul_add(first, (1.0 - decay) * (g * g));
            let c = decay.mul_add(second, (1.0 - decay) * g);
            let step = rate * g / ((-c).mul_add(c, a).max(0.0) + epsilon).sqrt();
            let v = momentum.mul_add(third, step);
            if momentum == 0.0 { [p - step, a, c, third] } else { [p - v, a, c, v] }
        }
        Rule::Adam { rate, beta1, beta2, epsilon } => {
            let m = beta1.mul_add(first, (1.0 - beta1) * g);
            let v = beta2.mul_add(second, (1.0 - beta2) * (g * g));
            [p - rate * m / (v.sqrt() + epsilon), m, v, third]
        }
        Rule::AdamW { rate, root, kept, beta1, beta2, epsilon } => {
            let m = beta1.mul_add(first, (1.0 - beta1) * g);
            let v = beta2.mul_add(second, (1.0 - beta2) * (g * g));
            [kept * p - rate * m / v.sqrt().mul_add(root, epsilon), m, v, third]
        }
    }
}

/// Sixteen lanes, lane l adding up squares l, l + 16, ...; then l with l + 8, + 4, + 2, + 1.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0f32; 16];
    for (i, v) in values.iter().enumerate() {
        lanes[i % 16] += v * v;
    }
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    f64::from(lanes[0])
}

/// a * b, element by element.
pub fn multiply(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// 1 / (1 + e^-x), rounded once.
pub fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// tanh(x), rounded once.
pub fn tanh(x: f32) -> f32 {
    f64::from(x).tanh() as f32
}
