//! Recurrent layers on vectors: TensorFlow 1's `rnn_cell` module with `static_rnn`, `dynamic_rnn`
//! and their bidirectional forms, and PyTorch's modules. The caller provides the inputs and computes
//! the loss.
//!
//! | TensorFlow 1, PyTorch | here |
//! |---|---|
//! | `BasicRNNCell`, `BasicLSTMCell`, `LSTMCell`, `GRUCell` | a [`Layer`]: [`Layer::rnn`], [`Layer::lstm`], [`Layer::gru_before`] |
//! | `MultiRNNCell([..])` | a slice of layers; each has its own weights |
//! | `DropoutWrapper`, `ResidualWrapper`, `HighwayWrapper` | fields of the [`Layer`] that they wrap |
//! | `class MyCell(RNNCell)` | [`RnnCell`], as [`CustomCell`] in a [`Layer`] |
//! | `static_rnn(cell, [x0, x1, ..])` | [`Network::planned`] and [`Network::forward_list`] |
//! | `dynamic_rnn(cell, x, sequence_length, initial_state)` | [`Network::new`] and [`Network::forward`] |
//! | `bidirectional_dynamic_rnn` | [`Bidirectional`] |
//! | `stack_bidirectional_dynamic_rnn`, `nn.LSTM(num_layers=n, bidirectional=True)` | layers with [`Layer::bidirectional`] |
//! | `cell.zero_state(batch_size)` | [`Network::zero_state`] |
//! | `optimizer.apply_gradients` | [`Optimizer::step`](crate::optim::Optimizer::step) on [`Network::parameters_and_gradient`] |
//!
//! ```
//! use unrolled::model::Model;
//! use unrolled::network::{Layer, Network, Window};
//!
//! # fn main() -> unrolled::Result<()> {
//! // Two layers of different kinds and widths; the second adds its input to its output.
//! let stack = [Layer::lstm(5), Layer { residual: true, ..Layer::gru(5) }];
//! let model = Model::of_layers(&stack, 3, None, 1)?;
//! let mut rnn = Network::new(model, Some(1))?;
//! let inputs = vec![0.5; 4 * 2 * 3]; // [T, B, E] = [4, 2, 3]
//! let mut outputs = vec![0.0; 4 * 2 * 5]; // [T, B, H]
//! let window = Window { lengths: Some(&[4, 2]), ..Window::new(4, 2, &inputs) };
//! rnn.forward(&window, &mut outputs)?;
//! assert_eq!(outputs[3 * 2 * 5 + 5..], [0.0; 5]); // step 3 of row 1, which has two steps
//! rnn.backward(&vec![1.0; outputs.len()], None)?; // d loss / d outputs
//! assert!(rnn.gradient().get("rnn.weight_ih_l1").is_some());
//! # Ok(())
//! # }
//! ```
//!
//! The files, in the order of use; each uses only those before it:
//!
//! - `create`: the ways to create a [`Network`].
//! - `passes`: [`Network`], the forward and backward passes of a model.
//! - `check`: checks the gradients of a stack against numerical derivatives.
//! - `mirror`: the places of tokens in both directions of a pair of stacks.
//! - `bidirectional`: [`Bidirectional`], a pair of stacks.
//! - `load`: stacks from files.

mod bidirectional;
mod check;
mod create;
mod load;
mod mirror;
mod passes;

pub use crate::exec::{Dropout, LayerState, Masks, Site, State};
pub use crate::model::{CellStep, CellStepBackward, CustomCell, InitialValues, RnnCell, Variable};
pub use crate::settings::{Highway, Layer, Variational};
pub use bidirectional::{Bidirectional, Merge};

pub use crate::exec::{Inputs, Order, OutputSteps, Window};
pub use check::{Difference, check_gradients};
pub use passes::{Measure, Network};
