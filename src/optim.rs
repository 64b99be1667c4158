//! How the parameters move: clipping, and the optimisers in TensorFlow 1's forms. Sees flat slices only.

use crate::parallel::Threads;
use crate::{ClipMode, OptimizerKind, Settings};
use unrolled_kernels::Isa;
use unrolled_kernels::update::{NORM_BLOCK, Rule, Update, sum_of_squares};

/// Parameters that one task updates.
const CHUNK: usize = 1 << 15;

/// An update rule with its moments, arenas parallel to the parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Optimizer {
    kind: OptimizerKind,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    decay: f64,
    momentum: f64,
    clip: f32,
    clip_mode: ClipMode,
    /// Name and values of each moment.
    pub(crate) moments: Vec<(String, Vec<f32>)>,
}

/// One optimiser step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Learning rate.
    pub(crate) rate: f64,
    /// Global norm of the gradient.
    pub(crate) norm: f64,
}

impl Optimizer {
    /// Moments for `len` parameters at their starting values.
    pub(crate) fn new(settings: &Settings, len: usize) -> Self {
        let momentum = settings.momentum != 0.0;
        let accumulator = |default: f64| settings.initial_accumulator.unwrap_or(default) as f32;
        let moments: Vec<(&str, f32)> = match settings.optimizer {
            OptimizerKind::Sgd if momentum => vec![("momentum", 0.0)],
            OptimizerKind::Sgd => vec![],
            OptimizerKind::Adagrad => vec![("accumulator", accumulator(0.1))],
            OptimizerKind::Rmsprop if momentum => vec![("mean_square", accumulator(1.0)), ("momentum", 0.0)],
            OptimizerKind::Rmsprop => vec![("mean_square", accumulator(1.0))],
            OptimizerKind::Adam => vec![("m", 0.0), ("v", 0.0)],
        };
        let epsilon = match settings.optimizer {
            OptimizerKind::Adam => 1e-8,
            OptimizerKind::Rmsprop => 1e-10,
            OptimizerKind::Adagrad | OptimizerKind::Sgd => 0.0,
        };
        Self {
            kind: settings.optimizer,
            beta1: settings.beta1,
            beta2: settings.beta2,
            epsilon: settings.epsilon.unwrap_or(epsilon),
            decay: settings.decay,
            momentum: settings.momentum,
            clip: settings.clip,
            clip_mode: settings.clip_mode,
            moments: moments.into_iter().map(|(name, start)| (name.to_string(), vec![start; len])).collect(),
        }
    }

    /// Moves the parameters by the gradient.
    pub(crate) fn update(
        &mut self,
        isa: Isa,
        at: Step,
        gradient: &[f32],
        parameters: &mut [f32],
        threads: &Threads,
    ) {
        let clips = self.clip > 0.0;
        let by_norm = clips && self.clip_mode == ClipMode::Norm && at.norm > f64::from(self.clip);
        let scale = if by_norm { (f64::from(self.clip) / at.norm) as f32 } else { 1.0 };
        let limit = if clips && self.clip_mode == ClipMode::Value { self.clip } else { f32::INFINITY };
        let rule = self.rule(at.number, at.rate);
        let [first, second] = pieces(&mut self.moments);
        let pieces = gradient.chunks(CHUNK).zip(parameters.chunks_mut(CHUNK)).zip(first.zip(second));
        let mut updates: Vec<Option<Update<'_>>> = pieces
            .map(|((gradient, parameters), (first, second))| {
                Some(Update { rule, scale, limit, gradient, parameters, first, second })
            })
            .collect();
        threads.each(&mut updates, gradient.len() * 8, |update| {
            if let Some(update) = update.take() {
                update.run_on(isa);
            }
        });
    }

    fn rule(&self, step: u64, rate: f64) -> Rule {
        let (momentum, epsilon) = (self.momentum as f32, self.epsilon as f32);
        match self.kind {
            OptimizerKind::Sgd => Rule::Sgd { rate: rate as f32, momentum },
            OptimizerKind::Adagrad => Rule::Adagrad { rate: rate as f32, epsilon },
            OptimizerKind::Rmsprop => {
                Rule::Rmsprop { rate: rate as f32, decay: self.decay as f32, momentum, epsilon }
            }
            OptimizerKind::Adam => {
                let power = |beta: f64| 1.0 - libm::pow(beta, step as f64);
                let corrected = rate * power(self.beta2).sqrt() / power(self.beta1);
                let (beta1, beta2) = (self.beta1 as f32, self.beta2 as f32);
                Rule::Adam { rate: corrected as f32, beta1, beta2, epsilon }
            }
        }
    }
}

/// The first two moments in chunks; empty chunks for those that a rule lacks.
fn pieces(moments: &mut [(String, Vec<f32>)]) -> [impl Iterator<Item = &mut [f32]>; 2] {
    let mut moments = moments.iter_mut().map(|(_, values)| values.as_mut_slice());
    [moments.next(), moments.next()].map(|values| {
        values.unwrap_or_default().chunks_mut(CHUNK).chain(std::iter::repeat_with(Default::default))
    })
}

/// The global norm: blocks of a fixed size, added up in order.
pub(crate) fn norm(isa: Isa, gradient: &[f32], threads: &Threads) -> f64 {
    let mut blocks: Vec<(&[f32], f64)> = gradient.chunks(NORM_BLOCK).map(|block| (block, 0.0)).collect();
    threads.each(&mut blocks, gradient.len(), |(block, sum)| *sum = sum_of_squares(isa, block));
    blocks.iter().map(|(_, sum)| sum).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests;
