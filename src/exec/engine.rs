//! The engine: a model with its weights packed for this processor, and the threads that run it.

use super::weights::{PackedModel, PackedWeights};
use crate::model::{Model, ModelConfig, Parameters};
use crate::parallel::Threads;
use crate::{Error, Precision, Result};
use std::sync::Arc;
use unrolled_kernels::{Isa, int8::MOST_VALUES};

/// Networks and training runs own their engine, and do not clone it.
const UNSHARED: &str = "an engine whose weights change is not shared";

/// A model that is ready to run: its parameters, its weights packed for the SIMD backend, and
/// threads.
///
/// [`Plan`](super::Plan), [`Dynamic`](super::Dynamic) and [`Stream`](super::Stream) are views of an
/// engine with buffers and a state of their own; [`Network`](crate::network::Network) and
/// [`Training`](crate::train::Training) own one whose parameters change. Clones of an engine share
/// the model, the packed weights and the threads, so one engine serves any number of views:
///
/// ```
/// use unrolled::exec::{Engine, Stream};
/// use unrolled::model::Model;
/// use unrolled::ModelSettings;
///
/// # fn main() -> unrolled::Result<()> {
/// let model = Model::new(&ModelSettings::gru(8), 5, 1)?;
/// let engine = Engine::new(model, Some(1))?;
/// let mut streams = [Stream::of(&engine)?, Stream::of(&engine)?];
/// assert_eq!(streams[0].step(&3)?.to_vec(), streams[1].step(&3)?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    model: Arc<Model>,
    weights: Arc<PackedWeights>,
    threads: Threads,
    /// True if the parameters may have changed since the weights were packed.
    stale: bool,
}

impl Engine {
    /// Packs the weights of a model for inference in f32, on `threads` threads (all cores if
    /// `None`). A quantized model runs in int8.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number of threads that the system cannot start, [`Error::Isa`] if
    /// `UNROLLED_ISA` forces a SIMD backend that is not available.
    pub fn new(model: impl Into<Arc<Model>>, threads: Option<usize>) -> Result<Self> {
        let model = model.into();
        let precision = if model.is_quantized() { Precision::Int8 } else { Precision::F32 };
        Self::with_precision(model, precision, threads)
    }

    /// Packs the weights of a model for inference whose products have operands in the number format
    /// of `precision`. All views of the engine have this precision; the model stays f32.
    ///
    /// ```
    /// use unrolled::exec::{Dynamic, Engine, Plan, Stream};
    /// use unrolled::model::Model;
    /// use unrolled::{ModelSettings, Precision};
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// let model = Model::new(&ModelSettings::lstm(8), 5, 1)?;
    /// let engine = Engine::with_precision(model, Precision::Bf16, Some(1))?;
    /// assert_eq!(engine.precision(), Precision::Bf16);
    /// let (mut plan, mut dynamic) = (Plan::of(&engine, 3, 1)?, Dynamic::of(&engine));
    /// let mut stream = Stream::of(&engine)?;
    /// let (ids, mut planned, mut looped) = ([3, 0, 4], [0.0; 15], [0.0; 15]);
    /// plan.forward(&ids, &mut planned)?;
    /// dynamic.forward(&ids, 1, &mut looped)?;
    /// assert_eq!(planned, looped);
    /// for (id, logits) in ids.iter().zip(planned.chunks(5)) {
    ///     assert_eq!(stream.step(id)?, logits);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// In [`Precision::Int8`] the model of the engine is quantized ([`Model::quantize`]). In f32 and
    /// bf16 a quantized model runs with the weights that its integers stand for.
    ///
    /// # Errors
    /// As for [`Engine::new`]; in [`Precision::Int8`] as for [`Model::quantize`], and
    /// [`Error::Setting`] for a layer that is too wide.
    pub fn with_precision(
        model: impl Into<Arc<Model>>,
        precision: Precision,
        threads: Option<usize>,
    ) -> Result<Self> {
        let mut model = model.into();
        if precision == Precision::Int8 {
            model = quantized(model)?;
        }
        Self::build(model, precision, false, threads)
    }

    /// Packs the weights of a model for inference and for the backward pass. A quantized model is
    /// an error.
    pub(crate) fn for_training(
        model: impl Into<Arc<Model>>,
        precision: Precision,
        threads: Option<usize>,
    ) -> Result<Self> {
        let model = model.into();
        precision.check_trains()?;
        model.check_trainable()?;
        Self::build(model, precision, true, threads)
    }

    fn build(
        model: Arc<Model>,
        precision: Precision,
        backward: bool,
        threads: Option<usize>,
    ) -> Result<Self> {
        // The permission for AMX is asked before threads start.
        let (isa, threads) = (detect()?, Threads::new(threads)?);
        let mut weights = PackedWeights::new(model.config(), isa, precision, backward);
        weights.pack(model.parameters(), &threads);
        Ok(Self { model, weights: Arc::new(weights), threads, stale: false })
    }

    /// Returns an engine with another number of threads, which shares the model and the packed
    /// weights.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number of threads that the system cannot start.
    pub fn with_threads(&self, threads: Option<usize>) -> Result<Self> {
        Ok(Self { threads: Threads::new(threads)?, ..self.clone() })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The number of threads that work is divided among.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// The name of the SIMD backend, as `UNROLLED_ISA` has it.
    pub fn isa(&self) -> &'static str {
        self.weights.isa.name()
    }

    /// The number format of the operands of products.
    pub fn precision(&self) -> Precision {
        self.weights.precision
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    pub(crate) fn weights(&self) -> &PackedWeights {
        &self.weights
    }

    /// The packed weights, to be changed. No clone of the engine may share them.
    pub(crate) fn weights_mut(&mut self) -> &mut PackedWeights {
        Arc::get_mut(&mut self.weights).expect(UNSHARED)
    }

    pub(crate) fn pool(&self) -> &Threads {
        &self.threads
    }

    /// Runs `f` on the threads (see [`Threads::adapt`]) if a forward pass of `tokens` tokens is worth
    /// waking them.
    pub(crate) fn enter<R: Send>(&self, tokens: usize, f: impl FnOnce() -> R + Send) -> R {
        self.threads.adapt(self.weights.work().saturating_mul(tokens), f)
    }

    /// Returns the work of the largest part of a training step on `tokens` tokens, for
    /// [`Threads::adapt`].
    pub(crate) fn step_work(&self, tokens: usize) -> usize {
        self.weights.work().saturating_mul(tokens).max(8 * self.model.parameters().values.len())
    }

    /// The model in the form that an executor runs.
    pub(crate) fn packed(&self) -> PackedModel<'_> {
        PackedModel { weights: &self.weights, parameters: self.model.parameters(), threads: &self.threads }
    }

    /// The parameters, to be changed; the packed weights are then out of date until
    /// [`Engine::refresh`]. If somebody else shares the model, this engine gets its own copy first.
    pub(crate) fn parameters_mut(&mut self) -> &mut Parameters {
        self.stale = true;
        Arc::make_mut(&mut self.model).parameters_mut()
    }

    /// Packs the weights again if the parameters may have changed.
    pub(crate) fn refresh(&mut self) {
        if self.stale {
            self.pack();
        }
    }

    /// Packs the weights, which no clone of the engine may share.
    pub(crate) fn pack(&mut self) {
        let Self { model, weights, threads, stale } = self;
        Arc::get_mut(weights).expect(UNSHARED).pack(model.parameters(), threads);
        *stale = false;
    }

    /// Returns the model; a copy if another owner shares it.
    pub(crate) fn into_model(self) -> Model {
        Arc::unwrap_or_clone(self.model)
    }
}

/// Returns the quantized model, if its products fit in sums of 32 bits.
fn quantized(model: Arc<Model>) -> Result<Arc<Model>> {
    if let Some(width) = model.config().widest_product().filter(|width| *width > MOST_VALUES) {
        let expected = format!("in int8 at most {MOST_VALUES}; use f32 or bf16");
        return Err(Error::setting("number of terms of a product", width, expected));
    }
    if model.is_quantized() { Ok(model) } else { model.quantize().map(Arc::new) }
}

/// The SIMD backend in use: `portable`, `avx2`, `avx512`, `avx512bf16`, `amx`, or `amx-model`, the
/// software model of AMX.
///
/// # Errors
/// [`Error::Isa`] if the one that `UNROLLED_ISA` forces is unknown or not available.
pub fn isa() -> Result<&'static str> {
    Ok(detect()?.name())
}

pub(crate) fn detect() -> Result<Isa> {
    Isa::detect().map_err(Error::Isa)
}
