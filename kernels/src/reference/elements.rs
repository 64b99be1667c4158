//! Functions of single elements and of one row: activations, loss, norm and optimizer updates.

use crate::update::Rule;

/// Returns a * b, element by element.
pub fn multiply(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// Returns 1 / (1 + e^-x), rounded once.
pub fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// Returns tanh(x), rounded once.
pub fn tanh(x: f32) -> f32 {
    f64::from(x).tanh() as f32
}

/// Returns the sum of squares in sixteen lanes: lane l sums squares l, l + 16, ...; then lane l is
/// added to l + 8, + 4, + 2, + 1.
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

/// Returns the loss of one row of logits in nats, whether the target is the first largest logit,
/// and the gradient.
pub fn cross_entropy(logits: &[f32], target: usize) -> (f64, bool, Vec<f64>) {
    let wide: Vec<f64> = logits.iter().map(|&y| f64::from(y)).collect();
    let max = wide.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = wide.iter().map(|y| (y - max).exp()).sum();
    let first = logits.iter().position(|&y| f64::from(y) == max);
    let one_hot = |v: usize| if v == target { 1.0 } else { 0.0 };
    let gradient = wide.iter().enumerate().map(|(v, y)| (y - max).exp() / sum - one_hot(v)).collect();
    // The difference first: added to a large logit, the logarithm would be lost.
    (sum.ln() + (max - wide[target]), first == Some(target), gradient)
}

/// Updates one parameter. Takes and returns (parameter, first, second, third).
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
