//! The head on some tokens: logits, losses, and the gradient that goes back down to the last layer.
//!
//! ```text
//! y = x W^T + b        loss = softmax cross-entropy of y        d_x = d_y W
//! ```
//!
//! The tokens are those of a shard, whose logits are kept for the whole window, or those of a block (see `head.rs`).
//! Tokens do not depend on each other, so any division of them gives equal bits.

use super::weights::Weights;
use crate::loss::is_within;
use crate::phases::Phase;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::padded;
use unrolled_kernels::softmax::CrossEntropy;

/// Tokens whose logits are summed side by side.
const TOGETHER: usize = 8;

/// What the gradient of the loss is scaled by, and how much each target is smoothed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    /// Factor of the gradient.
    pub(crate) scale: f32,
    /// Share of each target that is spread over all symbols.
    pub(crate) smoothing: f32,
}

/// Losses of N tokens.
pub(crate) struct Losses<'a> {
    /// [N, padded(V)]: logits, which `descend` replaces by their gradients.
    pub(crate) logits: &'a mut [f32],
    /// `[N]`
    pub(crate) targets: &'a [u32],
    /// `[N]`: nats.
    pub(crate) losses: &'a mut [f64],
    /// `[N]`: whether the target's logit is the largest.
    pub(crate) correct: &'a mut [bool],
}

impl Weights {
    /// Writes the logits [N, padded(V)] of N vectors `x` [N, padded(P)] that the last layer gave.
    pub(crate) fn logits(&self, x: &[f32], logits: &mut [f32]) {
        let _clock = self.phases.time(Phase::Head);
        let width = self.config.output_width();
        let piece = 0..width;
        let product = Affine {
            rows: x.len() / padded(width),
            x,
            x_stride: padded(width),
            pieces: std::slice::from_ref(&piece),
            panels: &self.head.panels,
            weights: &self.head.weight,
            start: Start::Bias(&self.head.bias),
            out: logits,
        };
        product.run_on(self.isa);
    }

    /// Writes the gradient [N, padded(P)] of what the last layer gave, from those of the logits [N, padded(V)].
    pub(crate) fn below_logits(&self, d_logits: &[f32], d_x: &mut [f32]) {
        let _clock = self.phases.time(Phase::HeadBackward);
        let vocabulary = self.config.vocabulary;
        let piece = 0..vocabulary;
        let product = Affine {
            rows: d_logits.len() / padded(vocabulary),
            x: d_logits,
            x_stride: padded(vocabulary),
            pieces: std::slice::from_ref(&piece),
            panels: &self.head.units,
            weights: &self.head.weight_t,
            start: Start::Zero,
            out: d_x,
        };
        product.run_on(self.isa);
    }
}

impl Losses<'_> {
    /// Writes the losses; logits stay as they are. Counts the targets that are among the `top_k` largest logits.
    pub(crate) fn measure(self, weights: &Weights, top_k: Option<usize>) -> u64 {
        let _clock = weights.phases.time(Phase::Loss);
        let (vocabulary, targets) = (weights.config.vocabulary, self.targets);
        let within = top_k.map_or(0, |k| {
            let tokens = self.logits.chunks_exact(padded(vocabulary)).zip(targets);
            tokens.filter(|(row, target)| is_within(&row[..vocabulary], **target, k)).count()
        });
        self.run(weights, None);
        within as u64
    }

    /// Writes the losses, and replaces the logits by their gradients.
    pub(crate) fn descend(self, weights: &Weights, Slope { scale, smoothing }: Slope) {
        let _clock = weights.phases.time(Phase::Loss);
        if smoothing == 0.0 {
            return self.run(weights, Some(scale));
        }
        let Self { logits, targets, losses, correct } = self;
        let stride = padded(weights.config.vocabulary) * TOGETHER;
        let tokens = logits.chunks_mut(stride).zip(targets.chunks(TOGETHER));
        let results = losses.chunks_mut(TOGETHER).zip(correct.chunks_mut(TOGETHER));
        for ((logits, targets), (losses, correct)) in tokens.zip(results) {
            Losses { logits, targets, losses, correct }.descend_smoothed(weights, scale, smoothing);
        }
    }

    /// `descend` for a few tokens, where each target gives a share of itself to all symbols:
    ///
    /// ```text
    /// loss = log(sum e^y) - (1 - s) y[target] - s mean(y)        that is, the plain one + s (y[target] - mean(y))
    /// ```
    fn descend_smoothed(self, weights: &Weights, scale: f32, smoothing: f32) {
        let symbols = weights.config.vocabulary;
        let stride = padded(symbols);
        let Self { logits, targets, losses, correct } = self;
        let sums = sums(logits, stride, symbols);
        let own = |token: usize| f64::from(logits[token * stride + targets[token] as usize]);
        let mut away = [0.0; TOGETHER];
        (0..targets.len()).for_each(|token| away[token] = own(token) - sums[token] / symbols as f64);
        Losses { logits: &mut *logits, targets, losses: &mut *losses, correct }.run(weights, Some(scale));
        let (every, own) = (scale * smoothing / symbols as f32, scale * smoothing);
        let tokens = logits.chunks_exact_mut(stride).zip(targets).zip(losses).zip(away);
        for (((row, target), loss), away) in tokens {
            *loss += f64::from(smoothing) * away;
            row[*target as usize] += own;
            row[..symbols].iter_mut().for_each(|gradient| *gradient -= every);
        }
    }

    fn run(self, weights: &Weights, gradient_scale: Option<f32>) {
        let Self { logits, targets, losses, correct } = self;
        let vocabulary = weights.config.vocabulary;
        let stride = padded(vocabulary);
        let kernel = CrossEntropy { vocabulary, stride, logits, targets, gradient_scale, losses, correct };
        kernel.run_on(weights.isa);
    }
}

/// The sum of the first `symbols` values of up to [`TOGETHER`] rows, each added up in order. Side by side, because each
/// addition waits for the one before it in the same row.
fn sums(rows: &[f32], stride: usize, symbols: usize) -> [f64; TOGETHER] {
    let mut sums = [0.0; TOGETHER];
    if rows.len() == TOGETHER * stride {
        let rows: [&[f32]; TOGETHER] = std::array::from_fn(|token| &rows[token * stride..][..symbols]);
        for symbol in 0..symbols {
            sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum += f64::from(row[symbol]));
        }
        return sums;
    }
    for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(stride)) {
        *sum = row[..symbols].iter().map(|y| f64::from(*y)).sum();
    }
    sums
}
