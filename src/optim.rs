//! Gradient clipping and update rules, for caller-owned parameters. Training uses the same rules.
//! Works on flat slices: parameters `[N]`, their gradient `[N]`, and the moments `[N]` of the rule.
//!
//! | TensorFlow 1 | [`OptimizerSettings`], with the names of the command line |
//! |---|---|
//! | [`GradientDescentOptimizer`][s], [`MomentumOptimizer(use_nesterov)`][m] | `optimizer = "sgd"`, `momentum`, `nesterov` |
//! | [`AdagradOptimizer(initial_accumulator_value)`][g] | `"adagrad"`, `initial-accumulator` |
//! | [`RMSPropOptimizer(decay, momentum, epsilon, centered)`][r] | `"rmsprop"` and the same names |
//! | [`AdamOptimizer(beta1, beta2, epsilon)`][a] | `"adam"` and the same names |
//! | (PyTorch's [`AdamW`][w]) | `"adamw"`, `weight-decay` |
//! | `clip_by_global_norm`, `clip_by_value` | `clip`, `clip-mode` |
//! | `apply_gradients` | [`Optimizer::step`] |
//!
//! The equations and their sources are in [`unrolled_kernels::update`].
//!
//! ```
//! use unrolled::OptimizerSettings;
//! use unrolled::loss::sparse_softmax_cross_entropy;
//! use unrolled::model::Model;
//! use unrolled::optim::Optimizer;
//! use unrolled::network::{Layer, Network, Window};
//!
//! # fn main() -> unrolled::Result<()> {
//! // The input is one number per step. The two outputs are logits: was the previous number a one?
//! let stack = [Layer::lstm(8), Layer::gru(2)];
//! let mut rnn = Network::new(Model::of_layers(&stack, 1, None, 1)?, None)?;
//! let settings = OptimizerSettings { clip: 1.0, ..OptimizerSettings::adam() };
//! let mut optimizer = Optimizer::new(&settings, rnn.model().parameters().values.len(), None)?;
//! let inputs = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0]; // T = 8, B = 1, E = 1
//! let (targets, mut outputs) = ([0, 1, 0, 0, 1, 1, 1, 0], [0.0; 8 * 2]);
//! let mut losses = Vec::new();
//! for _ in 0..100 {
//!     rnn.forward(&Window::new(8, 1, &inputs), &mut outputs)?;
//!     let loss = sparse_softmax_cross_entropy(&outputs, &targets)?.mean();
//!     rnn.backward(&loss.gradient(&[1.0]), None)?;
//!     let (parameters, gradient) = rnn.parameters_and_gradient();
//!     optimizer.step(0.1, gradient, parameters);
//!     losses.push(loss.values[0]);
//! }
//! assert!(losses[99] < 0.5 * losses[0], "{losses:?}");
//! # Ok(())
//! # }
//! ```
//!
//! [s]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/GradientDescentOptimizer
//! [m]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/MomentumOptimizer
//! [g]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/AdagradOptimizer
//! [r]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/RMSPropOptimizer
//! [a]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/AdamOptimizer
//! [w]: https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html

mod optimizer;

pub use optimizer::Optimizer;

use crate::parallel::Threads;
use crate::phases::{Phase, Phases, Section};
use crate::{ClipMode, OptimizerKind, OptimizerSettings};
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::update::{NORM_BLOCK, Rule, Update, sum_of_squares};

/// The fewest and the most parameters that one thread updates at a time.
const FEWEST: usize = 1 << 11;
const MOST: usize = 1 << 13;
/// The most blocks of the norm that one thread sums at a time.
const MOST_BLOCKS: usize = 4;

/// An update rule with its moments, which have the layout of the parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UpdateRule {
    settings: OptimizerSettings,
    /// The name and the values of each moment.
    pub(crate) moments: Vec<(&'static str, Vec<f32>)>,
}

/// The instruction set, the threads and the clocks of an optimizer step.
#[derive(Clone, Copy)]
pub(crate) struct Workers<'a> {
    pub(crate) isa: Isa,
    pub(crate) threads: &'a Threads,
    pub(crate) phases: &'a Phases,
}

/// The numbers of one optimizer step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptimizerStep {
    /// Number of the step, counted from 1.
    pub(crate) number: u64,
    /// Learning rate.
    pub(crate) rate: f64,
    /// Global norm of the gradient before clipping.
    pub(crate) norm: f64,
}

/// Returns the name and the initial value of each moment that the settings need.
pub(crate) fn moments_of(settings: &OptimizerSettings) -> Vec<(&'static str, f32)> {
    let momentum = settings.momentum != 0.0;
    let accumulator = |default: f64| settings.initial_accumulator.unwrap_or(default) as f32;
    let mut moments = match settings.kind {
        OptimizerKind::Sgd if momentum => vec![("momentum", 0.0)],
        OptimizerKind::Sgd => vec![],
        OptimizerKind::Adagrad => vec![("accumulator", accumulator(0.1))],
        OptimizerKind::Rmsprop => vec![("mean_square", accumulator(1.0))],
        OptimizerKind::Adam | OptimizerKind::Adamw => vec![("m", 0.0), ("v", 0.0)],
    };
    if settings.kind == OptimizerKind::Rmsprop {
        moments.extend(settings.centered.then_some(("mean_gradient", 0.0)));
        moments.extend(momentum.then_some(("momentum", 0.0)));
    }
    moments
}

impl UpdateRule {
    /// Creates the rule for `len` parameters, with the moments at their initial values.
    pub(crate) fn new(settings: &OptimizerSettings, len: usize) -> Self {
        let all_of = |_: &str, start| Ok::<_, std::convert::Infallible>(vec![start; len]);
        match Self::with_moments(settings, all_of) {
            Ok(rule) => rule,
            Err(never) => match never {},
        }
    }

    /// Creates the rule with the moments that `values` returns for each name and initial value.
    pub(crate) fn with_moments<E>(
        settings: &OptimizerSettings,
        mut values: impl FnMut(&str, f32) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let named = |(name, start)| Ok((name, values(name, start)?));
        let moments = moments_of(settings).into_iter().map(named).collect::<Result<_, E>>()?;
        Ok(Self { settings: settings.clone(), moments })
    }

    /// Returns the rule for a part of the parameters, with its moments.
    pub(crate) fn part(&self, part: Range<usize>) -> Self {
        let moments = self.moments.iter().map(|(name, values)| (*name, values[part.clone()].to_vec()));
        Self { settings: self.settings.clone(), moments: moments.collect() }
    }

    /// Forgets the moments.
    pub(crate) fn clear(&mut self) {
        self.moments.iter_mut().for_each(|(_, values)| *values = Vec::new());
    }

    /// Clips the gradient and updates the parameters.
    pub(crate) fn update(
        &mut self,
        workers: Workers<'_>,
        at: OptimizerStep,
        gradient: &[f32],
        parameters: &mut [f32],
    ) {
        let OptimizerSettings { clip, clip_mode, .. } = self.settings;
        let clips = |mode| clip > 0.0 && clip_mode == mode;
        let by_norm = clips(ClipMode::Norm) && at.norm > f64::from(clip);
        let scale = if by_norm { (f64::from(clip) / at.norm) as f32 } else { 1.0 };
        let limit = if clips(ClipMode::Value) { clip } else { f32::INFINITY };
        let rule = rule(&self.settings, at.number, at.rate);
        let mut moments = self.moments.iter_mut().map(|(_, values)| values.as_mut_slice());
        let [first, second, third] = [0; 3].map(|_| moments.next().unwrap_or_default());
        let update = Update { rule, scale, limit, gradient, parameters, first, second, third };
        let Workers { threads, phases, .. } = workers;
        threads.enter(gradient.len() * 8, || {
            let _section = phases.section(Section::Update, threads.at_work());
            halve(workers, update, threads.share(gradient.len(), FEWEST, MOST));
        });
    }
}

/// Returns the kernel's rule for step `step`, counted from 1.
fn rule(settings: &OptimizerSettings, step: u64, rate: f64) -> Rule {
    let [momentum, decay, beta1, beta2] =
        [settings.momentum, settings.decay, settings.beta1, settings.beta2].map(|value| value as f32);
    let epsilon = epsilon(settings) as f32;
    let power = |beta: f64| 1.0 - libm::pow(beta, step as f64);
    match settings.kind {
        OptimizerKind::Sgd if settings.nesterov => Rule::Nesterov { rate: rate as f32, momentum },
        OptimizerKind::Sgd => Rule::Sgd { rate: rate as f32, momentum },
        OptimizerKind::Adagrad => Rule::Adagrad { rate: rate as f32, epsilon },
        OptimizerKind::Rmsprop if settings.centered => {
            Rule::CenteredRmsprop { rate: rate as f32, decay, momentum, epsilon }
        }
        OptimizerKind::Rmsprop => Rule::Rmsprop { rate: rate as f32, decay, momentum, epsilon },
        OptimizerKind::Adam => {
            let corrected = rate * power(settings.beta2).sqrt() / power(settings.beta1);
            Rule::Adam { rate: corrected as f32, beta1, beta2, epsilon }
        }
        OptimizerKind::Adamw => {
            let root = (1.0 / power(settings.beta2).sqrt()) as f32;
            let kept = (1.0 - rate * settings.weight_decay) as f32;
            let corrected = rate / power(settings.beta1);
            Rule::AdamW { rate: corrected as f32, root, kept, beta1, beta2, epsilon }
        }
    }
}

/// Returns the small constant in the divisor.
fn epsilon(settings: &OptimizerSettings) -> f64 {
    settings.epsilon.unwrap_or(match settings.kind {
        OptimizerKind::Adam | OptimizerKind::Adamw => 1e-8,
        OptimizerKind::Rmsprop => 1e-10,
        OptimizerKind::Adagrad | OptimizerKind::Sgd => 0.0,
    })
}

/// Runs an update in parallel: halves it until a piece has at most `share` parameters.
fn halve(workers: Workers<'_>, update: Update<'_>, share: usize) {
    let Update { rule, scale, limit, gradient, parameters, first, second, third } = update;
    if gradient.len() <= share {
        let _clock = workers.phases.time(Phase::Update);
        return Update { rule, scale, limit, gradient, parameters, first, second, third }.run_on(workers.isa);
    }
    let half = (gradient.len() / 2).next_multiple_of(16);
    // A moment that the rule does not have is empty.
    let (gradient, (parameters, rest)) = (gradient.split_at(half), parameters.split_at_mut(half));
    let [(first, first_rest), (second, second_rest), (third, third_rest)] =
        [first, second, third].map(|moment| {
            let at = moment.len().min(half);
            moment.split_at_mut(at)
        });
    let here = Update { rule, scale, limit, gradient: gradient.0, parameters, first, second, third };
    let there = Update {
        rule,
        scale,
        limit,
        gradient: gradient.1,
        parameters: rest,
        first: first_rest,
        second: second_rest,
        third: third_rest,
    };
    workers.threads.join(|| halve(workers, here, share), || halve(workers, there, share));
}

/// Returns the global norm: sums of blocks of a fixed size, added in order. `sums` is the buffer
/// for the sums of the blocks.
pub(crate) fn norm(workers: Workers<'_>, gradient: &[f32], sums: &mut Vec<f64>) -> f64 {
    let Workers { isa, threads, phases } = workers;
    sums.resize(gradient.len().div_ceil(NORM_BLOCK), 0.0);
    threads.enter(gradient.len(), || {
        let _section = phases.section(Section::Norm, threads.at_work());
        let share = threads.share(sums.len(), 1, MOST_BLOCKS);
        threads.chunks(sums, share, &|i, sums| {
            let _clock = phases.time(Phase::Norm);
            let blocks = gradient.chunks(NORM_BLOCK).skip(i * share);
            sums.iter_mut().zip(blocks).for_each(|(sum, block)| *sum = sum_of_squares(isa, block));
        });
    });
    let _clock = phases.time(Phase::Norm);
    sums.iter().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests;
