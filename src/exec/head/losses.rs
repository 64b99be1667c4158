//! The losses of some tokens, and their gradients by the outputs of the head.

use crate::exec::weights::PackedWeights;
use crate::loss::{Loss, is_within};
use crate::phases::Phase;
use unrolled_kernels::pack::padded;
use unrolled_kernels::softmax::CrossEntropy;

/// Tokens whose logits are summed side by side.
const TOGETHER: usize = 8;

/// Losses of N tokens.
pub(crate) struct TokenLosses<'a> {
    /// [N, padded(O)]: outputs of the head, which `descend` replaces by their gradients.
    pub(crate) outputs: &'a mut [f32],
    /// `[N]`: class ids; of any value if the loss takes values.
    pub(crate) targets: &'a [u32],
    /// [N, O]: target values; empty if the loss takes class ids.
    pub(crate) values: &'a [f32],
    /// `[N]`: weights; empty if all tokens weigh 1.
    pub(crate) weights: &'a [f32],
    /// `[N]`: weighted losses.
    pub(crate) losses: &'a mut [f64],
    /// `[N]`: true if the prediction is right (the target has the largest logit).
    pub(crate) correct: &'a mut [bool],
}

impl TokenLosses<'_> {
    /// Writes the losses and keeps the outputs. Returns the number of targets among the `top_k`
    /// largest logits.
    pub(crate) fn measure(self, weights: &PackedWeights, loss: Loss, top_k: Option<usize>) -> u64 {
        let _clock = weights.phases.time(Phase::Loss);
        let (classes, targets) = (weights.config.outputs, self.targets);
        let within = top_k.map_or(0, |k| {
            let tokens = self.outputs.chunks_exact(padded(classes)).zip(targets);
            tokens.filter(|(row, target)| is_within(&row[..classes], **target, k)).count()
        });
        self.run(weights, loss, None);
        within as u64
    }

    /// Writes the losses, and replaces the outputs by `scale` times their gradients.
    pub(crate) fn descend(self, weights: &PackedWeights, loss: Loss, scale: f32) {
        let _clock = weights.phases.time(Phase::Loss);
        self.run(weights, loss, Some(scale));
    }

    fn run(self, packed: &PackedWeights, loss: Loss, scale: Option<f32>) {
        let Self { outputs, targets, values, weights, losses, correct } = self;
        let unweighted = TokenLosses {
            outputs: &mut *outputs,
            targets,
            values,
            weights: &[],
            losses: &mut *losses,
            correct,
        };
        match loss {
            Loss::CrossEntropy { label_smoothing } => {
                unweighted.cross_entropy(packed, label_smoothing, scale)
            }
            loss => unweighted.by_output(packed, loss, scale),
        }
        let stride = padded(packed.config.outputs);
        for ((weight, loss), row) in weights.iter().zip(losses).zip(outputs.chunks_exact_mut(stride)) {
            // A weight of 0 is padding: it gives 0, even for a loss that is not finite.
            *loss = if *weight == 0.0 { 0.0 } else { f64::from(*weight) * *loss };
            if scale.is_some() {
                row.iter_mut().for_each(|d| *d = if *weight == 0.0 { 0.0 } else { weight * *d });
            }
        }
    }

    /// Losses that compare each output with a value of its own, in f64.
    fn by_output(self, packed: &PackedWeights, loss: Loss, scale: Option<f32>) {
        let width = packed.config.outputs;
        let rows = self.outputs.chunks_exact_mut(padded(width)).zip(self.values.chunks_exact(width));
        for ((row, targets), (sum, correct)) in rows.zip(self.losses.iter_mut().zip(self.correct)) {
            (*sum, *correct) = (0.0, true);
            for (y, t) in row.iter_mut().zip(targets) {
                let (value, derivative) = loss.of_output(f64::from(*y), f64::from(*t));
                *sum += value;
                *correct &= loss.is_right(*y, *t);
                if let Some(scale) = scale {
                    *y = (f64::from(scale) * derivative / width as f64) as f32;
                }
            }
            *sum /= width as f64;
        }
    }

    fn cross_entropy(self, packed: &PackedWeights, smoothing: f32, scale: Option<f32>) {
        if smoothing == 0.0 {
            return self.softmax(packed, scale);
        }
        let Self { outputs, targets, values, weights, losses, correct } = self;
        let stride = padded(packed.config.outputs) * TOGETHER;
        let tokens = outputs.chunks_mut(stride).zip(targets.chunks(TOGETHER));
        let results = losses.chunks_mut(TOGETHER).zip(correct.chunks_mut(TOGETHER));
        for ((outputs, targets), (losses, correct)) in tokens.zip(results) {
            TokenLosses { outputs, targets, values, weights, losses, correct }
                .smoothed(packed, scale, smoothing);
        }
    }

    /// Cross-entropy of up to [`TOGETHER`] tokens, where a share s of each target is spread over
    /// all classes:
    ///
    /// ```text
    /// loss = log(sum e^y) - (1 - s) y[target] - s mean(y) = plain loss + s (y[target] - mean(y))
    /// ```
    fn smoothed(self, packed: &PackedWeights, scale: Option<f32>, smoothing: f32) {
        let classes = packed.config.outputs;
        let stride = padded(classes);
        let Self { outputs, targets, values, weights, losses, correct } = self;
        let sums = sums(outputs, stride, classes);
        let own = |token: usize| f64::from(outputs[token * stride + targets[token] as usize]);
        let mut away = [0.0; TOGETHER];
        (0..targets.len()).for_each(|token| away[token] = own(token) - sums[token] / classes as f64);
        let plain =
            TokenLosses { outputs: &mut *outputs, targets, values, weights, losses: &mut *losses, correct };
        plain.softmax(packed, scale);
        losses.iter_mut().zip(away).for_each(|(loss, away)| *loss += f64::from(smoothing) * away);
        let Some(scale) = scale else { return };
        let (every, own) = (scale * smoothing / classes as f32, scale * smoothing);
        for (row, target) in outputs.chunks_exact_mut(stride).zip(targets) {
            row[*target as usize] += own;
            row[..classes].iter_mut().for_each(|gradient| *gradient -= every);
        }
    }

    fn softmax(self, packed: &PackedWeights, gradient_scale: Option<f32>) {
        let Self { outputs: logits, targets, losses, correct, .. } = self;
        let vocabulary = packed.config.outputs;
        let stride = padded(vocabulary);
        let kernel = CrossEntropy { vocabulary, stride, logits, targets, gradient_scale, losses, correct };
        kernel.run_on(packed.isa);
    }
}

/// Returns the sum of the first `classes` values of up to [`TOGETHER`] rows, each added up in
/// order. Rows are summed side by side, because each addition waits for the one before it in the
/// same row.
fn sums(rows: &[f32], stride: usize, classes: usize) -> [f64; TOGETHER] {
    let mut sums = [0.0; TOGETHER];
    if rows.len() == TOGETHER * stride {
        let rows: [&[f32]; TOGETHER] = std::array::from_fn(|token| &rows[token * stride..][..classes]);
        for class in 0..classes {
            sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum += f64::from(row[class]));
        }
        return sums;
    }
    for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(stride)) {
        *sum = row[..classes].iter().map(|y| f64::from(*y)).sum();
    }
    sums
}
