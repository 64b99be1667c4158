//! The optimiser for parameters that someone else holds.

use super::{NORM_BLOCK, Step, UpdateRule, moments_of, norm};
use crate::model::check_bytes;
use crate::parallel::Threads;
use crate::{Error, OptimizerSettings, Result};
use unrolled_kernels::Isa;

/// Clips gradients and moves N parameters by them, as the [`OptimizerSettings`] say: `kind`, its constants, `clip` and
/// `clip-mode`. The learning rate is told at each step; [`schedule::learning_rate`](crate::schedule::learning_rate) is the
/// one of the settings.
///
/// Equal bits whatever the number of threads, and those of [`Training`](crate::train::Training) for the same gradients. A
/// step allocates nothing, but for what rayon's queue takes on several threads.
#[derive(Clone, Debug)]
pub struct Optimizer {
    rule: UpdateRule,
    len: usize,
    steps: u64,
    isa: Isa,
    threads: Threads,
    /// Room for the sums of the norm.
    sums: Vec<f64>,
}

impl Optimizer {
    /// Moments at their starting values for N = `parameters` parameters, on `threads` threads (all cores when `None`).
    ///
    /// # Errors
    /// [`Error::Setting`] names a setting of the optimiser that is out of its range, [`Error::Memory`] tells of more
    /// parameters than the machine can hold with their gradient and moments; others when the threads or the forced
    /// instruction set cannot be had.
    pub fn new(settings: &OptimizerSettings, parameters: usize, threads: Option<usize>) -> Result<Self> {
        settings.validate()?;
        let arenas = 2 + moments_of(settings).len();
        check_bytes(4.0 * arenas as f64 * parameters as f64)?;
        let (isa, threads) = (Isa::detect().map_err(Error::Isa)?, Threads::new(threads)?);
        let rule = UpdateRule::new(settings, parameters);
        let sums = vec![0.0; parameters.div_ceil(NORM_BLOCK)];
        Ok(Self { rule, len: parameters, steps: 0, isa, threads, sums })
    }

    /// One step: clips the `gradient` `[N]` of the loss by the `parameters` `[N]`, moves them against it, and returns its
    /// global norm, the root of the sum of its squares before clipping. That is over this slice alone: what several stacks
    /// hold is clipped together when it is copied together.
    ///
    /// A gradient whose norm is not a finite number would leave nothing of the parameters: it moves neither them nor the
    /// moments, and is not counted. Whoever goes on after such a norm should know why.
    ///
    /// # Panics
    /// When a slice has not N values, or the learning rate is not a finite number.
    pub fn step(&mut self, learning_rate: f64, gradient: &[f32], parameters: &mut [f32]) -> f64 {
        for (what, found) in [("gradient", gradient.len()), ("parameters", parameters.len())] {
            assert_eq!(found, self.len, "{what}: {found} values for an optimizer of {}", self.len);
        }
        assert!(learning_rate.is_finite(), "a learning rate of {learning_rate}");
        let Self { rule, steps, isa, threads, sums, .. } = self;
        threads.enter(gradient.len() * 8, || {
            let norm = norm(*isa, gradient, sums, threads);
            if norm.is_finite() {
                *steps += 1;
                let at = Step { number: *steps, rate: learning_rate, norm };
                rule.update(*isa, at, gradient, parameters, threads);
            }
            norm
        })
    }

    /// Steps done so far. Adam and AdamW correct their moments by it.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Name and values `[N]` of each moment: `m` and `v` of Adam and AdamW, `accumulator` of Adagrad, `mean_square`,
    /// `mean_gradient` (centred) and `momentum` of RMSProp, `momentum` of SGD; what the settings do not ask for is not there.
    /// With [`Optimizer::steps`] they are all that [`Optimizer::restore`] needs.
    pub fn moments(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.rule.moments.iter().map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// Goes on after `steps` steps from moments as [`Optimizer::moments`] gave them, in any order: with the same settings,
    /// to the same bits as if it had never stopped.
    ///
    /// # Errors
    /// [`Error::Tensor`] when a moment is missing, has not N finite values, or is none of this optimiser's; all is then as
    /// before.
    pub fn restore<'a>(
        &mut self,
        steps: u64,
        moments: impl IntoIterator<Item = (&'a str, &'a [f32])>,
    ) -> Result<()> {
        let given: Vec<_> = moments.into_iter().collect();
        for (name, values) in &given {
            self.check_moment(name, values)?;
        }
        let find = |name: &str| given.iter().find(|(given, _)| *given == name);
        if let Some((name, _)) = self.rule.moments.iter().find(|(name, _)| find(name).is_none()) {
            return Err(Error::tensor(name, "nothing", format!("{} values", self.len)));
        }
        for (name, values) in &mut self.rule.moments {
            find(name).into_iter().for_each(|(_, given)| values.copy_from_slice(given));
        }
        self.steps = steps;
        Ok(())
    }

    fn check_moment(&self, name: &str, values: &[f32]) -> Result<()> {
        if !self.moments().any(|(known, _)| known == name) {
            let known: Vec<&str> = self.moments().map(|(name, _)| name).collect();
            let expected = if known.is_empty() { "no moments".to_owned() } else { known.join(" and ") };
            return Err(Error::tensor(name, "a moment of that name", expected));
        }
        if values.len() != self.len {
            return Err(Error::tensor(name, format!("{} values", values.len()), self.len.to_string()));
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(Error::tensor(name, value.to_string(), "finite numbers")),
            None => Ok(()),
        }
    }
}
