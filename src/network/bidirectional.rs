//! A pair of stacks over the same inputs: one reads each row forward, the other backward.

use super::mirror::Mirror;
use super::passes::Network;
use crate::exec::{Dropout, Inputs, Order, OutputSteps, State, Window, check_room};
use crate::model::Model;
use crate::parallel::Threads;
use crate::{Error, Precision, Result};

/// Changes the random seed, so that the backward direction draws other numbers.
const BACKWARD_SEED: u64 = 0x6469_7265_6374_696f;

/// How the outputs of both directions become one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Side by side, the forward direction first (PyTorch; `tf.concat(outputs, 2)`).
    Concatenate,
    /// The sum of both.
    Sum,
}

/// A pair of stacks, as in TensorFlow's [`bidirectional_dynamic_rnn`][tf]. The backward direction
/// reads each row from the row's own last step to its first. Its outputs are in the order of the
/// inputs.
///
/// Neither stack reads outputs of the other, the stacks may differ, and their outputs may be added.
/// For stacks as in PyTorch, where every layer reads both directions of the layer below, use layers
/// with [`Layer::bidirectional`](crate::Layer::bidirectional) in any model instead.
///
/// [tf]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/bidirectional_dynamic_rnn
#[derive(Debug)]
pub struct Bidirectional {
    directions: [Network; 2],
    merge: Merge,
    /// The shape of the last window.
    mirror: Mirror,
    /// True if a window went forward, and not backward yet.
    went_forward: bool,
    /// The inputs of the backward direction.
    mirrored: Vec<f32>,
    /// The outputs of each direction in the forward pass; their gradients in the backward pass.
    outputs: [Vec<f32>; 2],
    d_inputs: Vec<f32>,
}

impl Bidirectional {
    /// Takes two models of vectors, such as [`Model::of_layers`] makes, for windows of any shape in
    /// f32. Both read vectors of the same width.
    ///
    /// # Errors
    /// As for [`Network::new`]; [`Error::Setting`] for a model that reads symbols, and for widths
    /// that do not fit.
    pub fn new(forward: Model, backward: Model, merge: Merge, threads: Option<usize>) -> Result<Self> {
        Self::with_precision([forward, backward], merge, Precision::F32, threads)
    }

    /// Takes two models as [`Bidirectional::new`] does: the forward and the backward direction.
    /// Products have operands in the number format of `precision`.
    ///
    /// # Errors
    /// As for [`Bidirectional::new`].
    pub fn with_precision(
        [forward, backward]: [Model; 2],
        merge: Merge,
        precision: Precision,
        threads: Option<usize>,
    ) -> Result<Self> {
        check_models([&forward, &backward], merge)?;
        let network = |model| Network::with_precision(model, precision, threads);
        let directions = [network(forward)?, network(backward)?];
        Ok(Self {
            directions,
            merge,
            mirror: Mirror::default(),
            went_forward: false,
            mirrored: Vec::new(),
            outputs: Default::default(),
            d_inputs: Vec::new(),
        })
    }

    /// Width of the merged outputs.
    pub fn output_size(&self) -> usize {
        let [forward, backward] = self.widths();
        if self.merge == Merge::Sum { forward } else { forward + backward }
    }

    fn widths(&self) -> [usize; 2] {
        self.directions.each_ref().map(|network| network.model().config().output_width())
    }

    /// The index of each direction's first value in a merged output.
    fn starts(&self) -> [usize; 2] {
        [0, if self.merge == Merge::Sum { 0 } else { self.widths()[0] }]
    }

    /// Runs a window in both directions and writes the merged `outputs`: [T, B, O], [B, T, O], or
    /// [B, O] for the last step alone. At that step the backward direction has read one step only.
    /// Its state after all steps is the [`state`](Network::state) of its network.
    ///
    /// `window.initial` is the initial state of the forward direction, `initial_backward` that of
    /// the backward direction. The directions draw different dropout masks, except in layers with a
    /// [`dropout_seed`](crate::Layer::dropout_seed).
    ///
    /// # Errors
    /// As for [`Network::forward`]; [`Error::Batch`] for given masks. After an error everything is
    /// as before.
    pub fn forward(
        &mut self,
        window: &Window<'_>,
        initial_backward: Option<&State>,
        outputs: &mut [f32],
    ) -> Result<()> {
        let inputs = self.check(window, initial_backward)?;
        check_room(outputs.len(), window.output_tokens(), self.output_size(), "outputs")?;
        self.went_forward = false;
        self.mirror.set(window);
        let (threads, work) = self.directions[0].threads(self.mirror.tokens());
        threads.adapt(work, || self.run(window, (inputs, initial_backward), outputs, &threads))?;
        self.went_forward = true;
        Ok(())
    }

    /// Runs a window that was checked forward.
    fn run(
        &mut self,
        window: &Window<'_>,
        (inputs, initial_backward): (&[f32], Option<&State>),
        outputs: &mut [f32],
        threads: &Threads,
    ) -> Result<()> {
        let (widths, tokens) = (self.widths(), self.mirror.tokens());
        self.outputs.iter_mut().zip(widths).for_each(|(outputs, width)| outputs.resize(tokens * width, 0.0));
        self.mirror_inputs(inputs, threads);
        let [forward, backward] = &mut self.directions;
        let window = Window { output_steps: OutputSteps::Every, ..*window };
        forward.forward(&window, &mut self.outputs[0])?;
        let mirrored = Window {
            inputs: Inputs::Vectors(&self.mirrored),
            order: Order::TimeMajor,
            initial: initial_backward,
            dropout: window.dropout.map(|dropout| Dropout { seed: dropout.seed ^ BACKWARD_SEED, ..dropout }),
            ..window
        };
        backward.forward(&mirrored, &mut self.outputs[1])?;
        self.merge_outputs(outputs, threads);
        Ok(())
    }

    /// Returns the vectors of a window that both directions can run.
    fn check<'a>(&self, window: &Window<'a>, initial_backward: Option<&State>) -> Result<&'a [f32]> {
        let Inputs::Vectors(inputs) = window.inputs else {
            return Err(Error::batch("token ids", "vectors for both directions"));
        };
        if window.order == Order::Packed {
            return Err(Error::batch("packed tokens", "vectors [T, B, E] or [B, T, E] for both directions"));
        }
        if window.masks.is_some() {
            return Err(Error::batch("masks", "none: each direction draws its own"));
        }
        self.directions[0].check(window)?;
        let config = self.directions[1].model().config();
        initial_backward.map_or(Ok(()), |state| state.check(config, window.rows))?;
        Ok(inputs)
    }

    fn mirror_inputs(&mut self, inputs: &[f32], threads: &Threads) {
        let width = self.input_width();
        let Self { mirrored, mirror, .. } = self;
        mirrored.resize(inputs.len(), 0.0);
        threads.rows(mirrored, width, &|token, to| {
            to.copy_from_slice(&inputs[mirror.source(token) * width..][..width]);
        });
    }

    fn merge_outputs(&self, merged: &mut [f32], threads: &Threads) {
        let ([forward, backward], [_, start], total) = (self.widths(), self.starts(), self.output_size());
        threads.rows(merged, total, &|output, to| {
            let Some(token) = self.mirror.token_of(output) else { return to.fill(0.0) };
            to[..forward].copy_from_slice(&self.outputs[0][token * forward..][..forward]);
            let theirs = &self.outputs[1][self.mirror.mirrored(token) * backward..][..backward];
            match self.merge {
                Merge::Concatenate => to[start..].copy_from_slice(theirs),
                Merge::Sum => to.iter_mut().zip(theirs).for_each(|(to, theirs)| *to += theirs),
            }
        });
    }

    /// Runs the backward pass of the last window, from the gradients of its outputs and of the last
    /// states of both directions. Stores the gradients of the inputs, and in each direction those
    /// of its parameters and initial state. A second backward pass needs another forward pass.
    ///
    /// # Errors
    /// As for [`Network::backward`]. After an error everything is as before.
    pub fn backward(&mut self, d_outputs: &[f32], d_states: [Option<&State>; 2]) -> Result<()> {
        if !self.went_forward {
            return Err(Error::batch("no window", "one that went forward, and not backward yet"));
        }
        let rows = self.mirror.rows;
        check_room(d_outputs.len(), self.mirror.output_tokens(), self.output_size(), "gradients of outputs")?;
        for (network, d_state) in self.directions.iter().zip(d_states) {
            d_state.map_or(Ok(()), |state| state.check(network.model().config(), rows))?;
        }
        self.went_forward = false;
        let (threads, work) = self.directions[0].threads(self.mirror.tokens());
        threads.adapt(work, || {
            self.split_gradients(d_outputs, &threads);
            let networks = self.directions.iter_mut().zip(&self.outputs).zip(d_states);
            for ((network, d_outputs), d_state) in networks {
                network.backward(d_outputs, d_state)?;
            }
            self.add_d_inputs(&threads);
            Ok(())
        })
    }

    /// Copies the gradients of merged outputs to those of each direction; zeros for tokens without
    /// an output.
    fn split_gradients(&mut self, d_outputs: &[f32], threads: &Threads) {
        let (widths, starts, total) = (self.widths(), self.starts(), self.output_size());
        let Self { mirror, outputs, .. } = self;
        for (direction, gradients) in outputs.iter_mut().enumerate() {
            let (width, start) = (widths[direction], starts[direction]);
            threads.rows(gradients, width, &|token, to| {
                let token = if direction == 0 { token } else { mirror.source(token) };
                match mirror.output_of(token) {
                    Some(from) => to.copy_from_slice(&d_outputs[from * total + start..][..width]),
                    None => to.fill(0.0),
                }
            });
        }
    }

    fn add_d_inputs(&mut self, threads: &Threads) {
        let width = self.input_width();
        let Self { directions: [forward, backward], mirror, d_inputs, .. } = self;
        d_inputs.resize(mirror.tokens() * width, 0.0);
        threads.rows(d_inputs, width, &|token, to| {
            let ours = &forward.d_inputs()[token * width..];
            let theirs = &backward.d_inputs()[mirror.mirrored(token) * width..];
            to.iter_mut().zip(ours.iter().zip(theirs)).for_each(|(to, (ours, theirs))| *to = ours + theirs);
        });
    }

    fn input_width(&self) -> usize {
        self.directions[0].model().config().input_width(0)
    }

    /// The gradient of the inputs after the last backward pass, in the order of the window: the sum
    /// of both directions. Empty before the first backward pass.
    pub fn d_inputs(&self) -> &[f32] {
        &self.d_inputs
    }

    /// Both directions, the forward one first: their models, states and gradients.
    pub fn directions(&self) -> &[Network; 2] {
        &self.directions
    }

    /// Both directions, to change their parameters.
    pub fn directions_mut(&mut self) -> &mut [Network; 2] {
        &mut self.directions
    }
}

/// Checks that two models can be the directions of a pair.
fn check_models(models: [&Model; 2], merge: Merge) -> Result<()> {
    let configs = models.map(Model::config);
    if let Some(config) = configs.into_iter().find(|config| config.reads_symbols()) {
        return Err(Error::setting("vocabulary", config.vocabulary, "both directions read vectors"));
    }
    let check_equal = |name, [forward, backward]: [usize; 2]| match forward == backward {
        true => Ok(()),
        false => {
            let expected = format!("the forward direction has {forward}, which must be equal");
            Err(Error::setting(name, backward, expected))
        }
    };
    check_equal("inputs", configs.map(|config| config.input_width(0)))?;
    match merge {
        Merge::Sum => check_equal("outputs", configs.map(|config| config.output_width())),
        Merge::Concatenate => Ok(()),
    }
}
