//! Stacks of bidirectional layers, as in PyTorch.

use super::bidirectional::{BACKWARD_SEED, Bidirectional, Merge};
use super::module_names::{DIRECTIONS, name_in_module};
use super::passes::Network;
use crate::exec::{Dropout, Inputs, LayerState, OutputSteps, State, Window, check_room};
use crate::model::{Model, ModelConfig, ParameterLayout, Parameters, check_bytes};
use crate::parallel::Threads;
use crate::{Bias, Error, Layer, ModelSettings, Result};

/// Number of copies of all parameters, at most: in the stack and in its networks, with their
/// gradients, and packed for both passes.
const COPIES: f64 = 6.0;

/// A stack of bidirectional layers. Both directions of a layer read the outputs of both directions
/// of the layer below, side by side.
///
/// This is PyTorch's [`nn.LSTM(num_layers=L, bidirectional=True)`][torch], with PyTorch's names and
/// order of states, and `stack_bidirectional_dynamic_rnn` of TensorFlow 1's `contrib.rnn`.
/// TensorFlow's `bidirectional_dynamic_rnn` of two `MultiRNNCell`s is [`Bidirectional`].
///
/// A [`State`] of the stack has 2 L layers in the order of PyTorch's `h_n` [2 L, B, H]: layer 0
/// forward, layer 0 backward, layer 1 forward, and so on. Parameters and gradients have the names
/// of PyTorch's `state_dict`: `weight_ih_l0`, `weight_ih_l0_reverse`, `weight_ih_l1`.
/// [`TensorFile::bidirectional`](crate::checkpoint::TensorFile::bidirectional) reads a file of the
/// module, and [`save_state_dict`](crate::checkpoint::save_state_dict) writes one.
///
/// A training step, with Adam and a loss that pulls all outputs to 1:
///
/// ```
/// use unrolled::network::{BidirectionalStack, Layer, Window};
/// use unrolled::optim::Optimizer;
/// use unrolled::{ModelSettings, OptimizerSettings};
///
/// # fn main() -> unrolled::Result<()> {
/// // nn.LSTM(3, 4, num_layers=2, bidirectional=True)
/// let layers = [Layer::lstm(4), Layer::lstm(4)];
/// let settings = ModelSettings::default();
/// let mut stack = BidirectionalStack::of_layers(&layers, 3, &settings, 1, Some(1))?;
/// let mut optimizer =
///     Optimizer::new(&OptimizerSettings::default(), stack.parameters().values.len(), Some(1))?;
/// let inputs = vec![0.5; 5 * 2 * 3]; // [T, B, E] = [5, 2, 3]
/// let mut outputs = vec![0.0; 5 * 2 * 8]; // [T, B, 2 H]
/// let window = Window { lengths: Some(&[5, 3]), ..Window::new(5, 2, &inputs) };
/// stack.forward(&window, &mut outputs)?;
/// let d_outputs: Vec<f32> = outputs.iter().map(|y| y - 1.0).collect();
/// stack.backward(&d_outputs, None)?; // padding has no effect
/// let (parameters, gradient) = stack.parameters_and_gradient();
/// optimizer.step(1e-2, gradient, parameters);
/// assert!(stack.gradient().get("weight_ih_l1_reverse").is_some());
/// # Ok(())
/// # }
/// ```
///
/// The stack has no head. Multiply the outputs [N, 2 H] by weights of your own, take the loss from
/// [`loss`](crate::loss), and pass the gradient of the outputs to [`BidirectionalStack::backward`].
/// Or let a [`Network`] with a head ([`Model::of_vectors`]) read the outputs: its
/// [`differentiate`](Network::differentiate) computes the loss, and its
/// [`d_inputs`](Network::d_inputs) are the gradient of the outputs.
///
/// Results are the same bits for every number of threads.
///
/// [torch]: https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html
#[derive(Debug)]
pub struct BidirectionalStack {
    layers: Vec<Bidirectional>,
    parameters: Parameters,
    /// True if the parameters may have changed since they were copied to the layers.
    stale: bool,
    gradient: Parameters,
    /// A configuration with the layers of a state. It only describes the shape of states.
    states: ModelConfig,
    /// The outputs of each layer except the last.
    outputs: Vec<Vec<f32>>,
    /// The state of each direction: initial in the forward pass, gradient in the backward pass.
    parts: Vec<[State; 2]>,
    d_initial: State,
}

impl BidirectionalStack {
    /// Takes the forward and the backward model of each layer, for windows of any shape, on
    /// `threads` threads (all cores if `None`). Each model has one layer and no head. The first
    /// pair reads the inputs, and each other pair the outputs of the pair below. Cells, options and
    /// widths of the two directions may differ.
    ///
    /// # Errors
    /// [`Error::Setting`] for no layer, and for models that do not fit; otherwise as for
    /// [`Network::new`].
    pub fn new(models: Vec<[Model; 2]>, threads: Option<usize>) -> Result<Self> {
        check_models(&models)?;
        check_memory(models.iter().flatten().map(Model::config))?;
        let parameters = joint_parameters(&models);
        let stack = models.iter().flatten().flat_map(|model| model.config().stack.clone()).collect();
        let states = ModelConfig { stack, ..models[0][0].config().clone() };
        let pair = |[forward, backward]: [Model; 2]| {
            Bidirectional::new(forward, backward, Merge::Concatenate, threads)
        };
        let layers = models.into_iter().map(pair).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            stale: false,
            gradient: Parameters::zeros(parameters.layout.clone()),
            parameters,
            states,
            outputs: vec![Vec::new(); layers.len() - 1],
            parts: layers.iter().map(|_| <[State; 2]>::default()).collect(),
            layers,
            d_initial: State::default(),
        })
    }

    /// Draws the parameters of a stack on vectors of `inputs` floats, as [`Model::of_stack`] does.
    /// Both directions of a layer have the same cell and options.
    ///
    /// # Errors
    /// As for [`Model::of_stack`] and [`BidirectionalStack::new`].
    pub fn of_layers(
        layers: &[Layer],
        inputs: usize,
        settings: &ModelSettings,
        seed: u64,
        threads: Option<usize>,
    ) -> Result<Self> {
        let configs = Self::configs(layers, inputs, settings.bias)?;
        check_memory(configs.iter().flatten())?;
        let model = |config: &ModelConfig, seed| {
            Model::of_stack(&config.stack, config.input_width(0), settings, seed)
        };
        let pair = |(layer, [forward, backward]): (usize, &[ModelConfig; 2])| {
            let seed = seed_of(seed, layer);
            Ok([model(forward, seed)?, model(backward, seed ^ BACKWARD_SEED)?])
        };
        Self::new(configs.iter().enumerate().map(pair).collect::<Result<_>>()?, threads)
    }

    /// Returns the configuration of both directions of each layer, which are equal. Layer 0 reads
    /// vectors of `inputs` floats.
    ///
    /// # Errors
    /// As for [`ModelConfig::of_stack`].
    pub fn configs(layers: &[Layer], inputs: usize, bias: Bias) -> Result<Vec<[ModelConfig; 2]>> {
        let mut width = inputs;
        let pair = |layer: &Layer| {
            let config = ModelConfig::of_stack(std::slice::from_ref(layer), width, bias)?;
            width = config.output_width().saturating_mul(2);
            Ok([config.clone(), config])
        };
        layers.iter().map(pair).collect()
    }

    /// Width of the outputs: the sum of the widths of both directions of the last layer.
    pub fn output_size(&self) -> usize {
        self.layers.last().map_or(0, Bidirectional::output_size)
    }

    /// The zero state of `rows` rows: 2 L layers.
    pub fn zero_state(&self, rows: usize) -> State {
        State::zero(&self.states, rows)
    }

    /// Runs a window from `window.initial` (2 L layers; zero if `None`) and writes the `outputs` of
    /// the last layer: [T, B, O], [B, T, O], or [B, O] for the last step alone. At that step the
    /// last layer's backward direction has read one step only. [`BidirectionalStack::state`] has
    /// its state after all steps.
    ///
    /// As in PyTorch, `window.dropout.probability` applies to the outputs of each layer except the
    /// last. Dropout options of a [`Layer`] apply in both of its directions. Each direction of each
    /// layer draws its own masks, except with a [`dropout_seed`](Layer::dropout_seed).
    ///
    /// # Errors
    /// [`Error::Batch`] for inputs, lengths or outputs that do not fit, and for given masks;
    /// [`Error::StateShape`] for a state that does not fit. After an error everything is as before.
    pub fn forward(&mut self, window: &Window<'_>, outputs: &mut [f32]) -> Result<()> {
        let bottom = Window { initial: None, ..*window };
        self.layers[0].check(&bottom, None)?;
        check_room(outputs.len(), window.output_tokens(), self.output_size(), "outputs")?;
        if let Some(state) = window.initial {
            state.check(&self.states, window.rows)?;
            split_state(state, &mut self.parts);
        }
        let (threads, work) = self.layers[0].directions()[0].threads(window.steps * window.rows);
        threads.adapt(work, || self.run(window, outputs, &threads))
    }

    /// Runs a window that was checked forward.
    fn run(&mut self, window: &Window<'_>, outputs: &mut [f32], threads: &Threads) -> Result<()> {
        self.copy_parameters(threads);
        let (tokens, last) = (window.steps * window.rows, self.layers.len() - 1);
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let (below, above) = self.outputs.split_at_mut(index);
            let outputs = match above.first_mut() {
                Some(between) => {
                    between.resize(tokens * layer.output_size(), 0.0);
                    between
                }
                None => &mut *outputs,
            };
            let [initial, initial_backward] = self.parts[index].each_ref();
            let window = Window {
                inputs: below.last().map_or(window.inputs, |outputs| Inputs::Vectors(outputs)),
                output_steps: if index == last { window.output_steps } else { OutputSteps::Every },
                initial: window.initial.map(|_| initial),
                dropout: window.dropout.map(|dropout| dropout_of(dropout, index, index == last)),
                ..*window
            };
            layer.forward(&window, window.initial.map(|_| initial_backward), outputs)?;
        }
        Ok(())
    }

    /// Runs the backward pass of the last window, from the gradients of its outputs and, if the
    /// loss depends on it, of its last state (2 L layers). Stores the gradients of the parameters,
    /// the inputs and the initial state. A second backward pass needs another forward pass.
    ///
    /// # Errors
    /// [`Error::Batch`] without a window that went forward, and for a slice of another size;
    /// [`Error::StateShape`] for a state that does not fit. After an error everything is as before.
    pub fn backward(&mut self, d_outputs: &[f32], d_state: Option<&State>) -> Result<()> {
        let rows = self.layers[0].rows_to_go_back()?;
        if let Some(state) = d_state {
            state.check(&self.states, rows)?;
            split_state(state, &mut self.parts);
        }
        let (threads, work) = self.layers[0].directions()[0].threads(self.layers[0].tokens());
        threads.adapt(work, || {
            for index in (0..self.layers.len()).rev() {
                let (below, above) = self.layers.split_at_mut(index + 1);
                let d_outputs = above.first().map_or(d_outputs, Bidirectional::d_inputs);
                let d_states = self.parts[index].each_ref().map(|part| d_state.map(|_| part));
                below[index].backward(d_outputs, d_states)?;
            }
            self.collect_gradients(rows, &threads);
            Ok(())
        })
    }

    /// Copies the parameters to the networks if they may have changed.
    fn copy_parameters(&mut self, threads: &Threads) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let mut rest = &self.parameters.values[..];
        for network in self.layers.iter_mut().flat_map(Bidirectional::directions_mut) {
            let values = network.parameters_and_gradient().0;
            let (own, others) = rest.split_at(values.len());
            threads.copy(own, values);
            rest = others;
        }
    }

    /// Collects the gradients of the networks.
    fn collect_gradients(&mut self, rows: usize, threads: &Threads) {
        let Self { layers, gradient, d_initial, states, .. } = self;
        d_initial.take_shape(states, rows);
        let mut rest = &mut gradient.values[..];
        let networks = layers.iter().flat_map(Bidirectional::directions);
        for (network, d_initial) in networks.zip(&mut d_initial.layers) {
            let values = &network.gradient().values;
            let (own, others) = rest.split_at_mut(values.len());
            threads.copy(values, own);
            rest = others;
            copy_layer_state(&network.d_initial().layers[0], d_initial);
        }
    }

    /// The gradient of the inputs after the last backward pass, in the order of the window; empty
    /// before the first.
    pub fn d_inputs(&self) -> &[f32] {
        self.layers[0].d_inputs()
    }

    /// The gradient of the initial state after the last backward pass: 2 L layers; none before the
    /// first.
    pub fn d_initial(&self) -> &State {
        &self.d_initial
    }

    /// The state of each row after its last step in each direction (`h_n` and `c_n`): 2 L layers;
    /// none before the first window. A backward direction ends at step 0.
    pub fn state(&self) -> State {
        let states: Vec<State> =
            self.layers.iter().flat_map(Bidirectional::directions).map(Network::state).collect();
        let rows = states.first().map_or(0, |state| state.rows);
        State { rows, layers: states.into_iter().flat_map(|state| state.layers).collect() }
    }

    /// The parameters under PyTorch's names, in the order of PyTorch's `state_dict`.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The gradients of the parameters after the last backward pass, under the same names; zero
    /// before the first. Biases that are not trained (`bias_hh` with a single bias) have gradient
    /// 0.
    pub fn gradient(&self) -> &Parameters {
        &self.gradient
    }

    /// The flat buffers of the parameters, to be changed, and of the last gradient. The next window
    /// packs the weights again.
    pub fn parameters_and_gradient(&mut self) -> (&mut [f32], &[f32]) {
        self.stale = true;
        (&mut self.parameters.values, &self.gradient.values)
    }
}

/// Returns the random seed of a layer, which differs from those of other layers.
fn seed_of(seed: u64, layer: usize) -> u64 {
    seed ^ ((layer as u64) << 48)
}

/// Returns the dropout of a layer.
fn dropout_of(dropout: Dropout, layer: usize, is_last: bool) -> Dropout {
    let probability = if is_last { 0.0 } else { dropout.probability };
    Dropout { probability, seed: seed_of(dropout.seed, layer), ..dropout }
}

/// Copies each layer of a state to its part.
fn split_state(state: &State, parts: &mut [[State; 2]]) {
    for (part, layer) in parts.iter_mut().flatten().zip(&state.layers) {
        part.rows = state.rows;
        part.layers.resize_with(1, LayerState::default);
        copy_layer_state(layer, &mut part.layers[0]);
    }
}

fn copy_layer_state(from: &LayerState, to: &mut LayerState) {
    to.h.clone_from(&from.h);
    to.c.clone_from(&from.c);
}

/// Checks that every model is one layer on vectors, and reads the outputs of the pair below.
fn check_models(models: &[[Model; 2]]) -> Result<()> {
    if models.is_empty() {
        return Err(Error::setting("layers", 0, "give at least one pair of models"));
    }
    let mut below = None;
    for (index, pair) in models.iter().enumerate() {
        for config in pair.each_ref().map(Model::config) {
            check_one_layer(config)?;
            let (found, expected) = (config.input_width(0), below.unwrap_or(config.input_width(0)));
            if found != expected {
                let expected =
                    format!("layer {index} reads {expected} values, those of both directions below");
                return Err(Error::setting("inputs", found, expected));
            }
        }
        below = Some(pair.iter().map(|model| model.config().output_width()).sum());
    }
    Ok(())
}

fn check_one_layer(config: &ModelConfig) -> Result<()> {
    let layers = config.stack.len();
    if layers != 1 {
        let expected = "give a pair of models for each layer; Bidirectional takes a pair of stacks";
        return Err(Error::setting("layers", layers, expected));
    }
    if config.has_head() {
        let expected = "a direction has no head; make its model with Model::of_stack";
        return Err(Error::setting("outputs", config.outputs, expected));
    }
    Ok(())
}

/// Returns an error if the networks need more memory than this process may use.
fn check_memory<'a>(configs: impl Iterator<Item = &'a ModelConfig>) -> Result<()> {
    let floats: f64 = configs.map(|config| config.layout().len() as f64).sum();
    check_bytes(COPIES * size_of::<f32>() as f64 * floats)
}

/// Returns the parameters of all models in one buffer, in the order of the networks.
fn joint_parameters(models: &[[Model; 2]]) -> Parameters {
    let (mut layout, mut values) = (ParameterLayout::default(), Vec::new());
    for (layer, pair) in models.iter().enumerate() {
        for (model, end) in pair.iter().zip(DIRECTIONS) {
            let parameters = model.parameters();
            for entry in parameters.layout.entries() {
                layout.push(name_in_module(&entry.name, layer, end), &entry.shape);
            }
            values.extend_from_slice(&parameters.values);
        }
    }
    Parameters { layout, values }
}
