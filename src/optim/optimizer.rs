//! The optimizer for caller-owned parameters.

use super::{NORM_BLOCK, OptimizerStep, UpdateRule, Workers, moments_of, norm};
use crate::model::check_bytes;
use crate::parallel::Threads;
use crate::phases::Phases;
use crate::{Error, OptimizerSettings, Result};
use unrolled_kernels::Isa;

/// Clips gradients and updates N caller-owned parameters, with [`OptimizerSettings`]. The caller
/// passes the learning rate of each step;
/// [`schedule::learning_rate`](crate::schedule::learning_rate) computes the rate of a schedule.
///
/// The results are the same bits for every number of threads, and the same as those of
/// [`Training`](crate::train::Training) for the same gradients. A step allocates nothing, except
/// for the queue of rayon on several threads.
#[derive(Clone, Debug)]
pub struct Optimizer {
    rule: UpdateRule,
    len: usize,
    steps: u64,
    isa: Isa,
    threads: Threads,
    /// Buffer for the sums of the norm.
    sums: Vec<f64>,
}

impl Optimizer {
    /// Creates an optimizer for N = `parameters` parameters, with the moments at their initial
    /// values, on `threads` threads (all cores if `None`).
    ///
    /// # Errors
    /// 1. [`Error::Setting`] for an invalid setting of the optimizer, or an invalid number of
    ///    threads.
    /// 2. [`Error::Memory`] and [`Error::Allocation`] if the parameters, their gradient and the
    ///    moments need more memory than is available.
    /// 3. [`Error::Isa`] if `UNROLLED_ISA` forces a SIMD backend that is unknown or not
    ///    available.
    pub fn new(settings: &OptimizerSettings, parameters: usize, threads: Option<usize>) -> Result<Self> {
        settings.validate()?;
        let buffers = 2 + moments_of(settings).len();
        check_bytes(4.0 * buffers as f64 * parameters as f64)?;
        let (isa, threads) = (Isa::detect().map_err(Error::Isa)?, Threads::new(threads)?);
        let rule = UpdateRule::new(settings, parameters);
        let sums = vec![0.0; parameters.div_ceil(NORM_BLOCK)];
        Ok(Self { rule, len: parameters, steps: 0, isa, threads, sums })
    }

    /// Runs one step: clips the gradient `[N]` of the loss with respect to the parameters `[N]` and
    /// updates them. Returns the global norm of the gradient before clipping: the root of the sum
    /// of the squares of this slice. To clip the gradients of several networks together, copy them
    /// into one slice.
    ///
    /// If the norm is not finite, the step changes nothing (neither the parameters, nor the
    /// moments, nor the number of steps), because the parameters would become invalid.
    ///
    /// # Panics
    /// If a slice does not have N values, or the learning rate is not finite.
    pub fn step(&mut self, learning_rate: f64, gradient: &[f32], parameters: &mut [f32]) -> f64 {
        for (what, found) in [("gradient", gradient.len()), ("parameters", parameters.len())] {
            assert_eq!(found, self.len, "{what}: {found} values for an optimizer of {}", self.len);
        }
        assert!(learning_rate.is_finite(), "a learning rate of {learning_rate}");
        let Self { rule, steps, isa, threads, sums, .. } = self;
        let workers = Workers { isa: *isa, threads, phases: &Phases::OFF };
        threads.enter(gradient.len() * 8, || {
            let norm = norm(workers, gradient, sums);
            if norm.is_finite() {
                *steps += 1;
                let at = OptimizerStep { number: *steps, rate: learning_rate, norm };
                rule.update(workers, at, gradient, parameters);
            }
            norm
        })
    }

    /// Returns the number of steps done. The bias correction of Adam and AdamW depends on it.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns the name and the values `[N]` of each moment that the settings need: `m` and `v`
    /// (Adam, AdamW), `accumulator` (Adagrad), `mean_square`, `mean_gradient` (if centered) and
    /// `momentum` (RMSProp), or `momentum` (SGD). The moments and [`Optimizer::steps`] are the
    /// complete state for [`Optimizer::restore`].
    pub fn moments(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.rule.moments.iter().map(|(name, values)| (*name, values.as_slice()))
    }

    /// Restores the state after `steps` steps, with the moments from [`Optimizer::moments`] in any
    /// order. With the same settings, later steps give the same bits as without the interruption.
    ///
    /// # Errors
    /// [`Error::Tensor`] if a moment is missing, is unknown, or does not have N finite values. The
    /// optimizer is then unchanged.
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
            return Err(Error::tensor(*name, "nothing", format!("{} values", self.len)));
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
