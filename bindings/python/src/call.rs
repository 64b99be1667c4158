//! One call of the layers: how its tokens are arranged, and its forward and backward pass.

use crate::packed::{BatchSizes, make_room};
use crate::shape::Shape;
use crate::stack::Stack;
use unrolled::Result;
use unrolled::exec::{Dropout, Order, State, Window};

/// The layers, and what the backward pass of their last call needs.
pub struct Inner {
    pub stack: Stack,
    /// Number of training calls, which is the number of the next dropout masks.
    pub calls: u64,
    /// The last training call, until its backward pass.
    pub last: Option<LastCall>,
    /// True after a backward pass.
    pub has_gradient: bool,
    /// [T, B, E] and [T, B, O] of packed sequences.
    window_inputs: Vec<f32>,
    window_outputs: Vec<f32>,
}

/// The shapes of a training call.
#[derive(Clone, Debug)]
pub struct LastCall {
    pub layout: Tokens,
    pub is_batched: bool,
}

/// How the tokens of inputs and outputs are arranged.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// [T, B] or [B, T].
    Window { steps: usize, rows: usize, order: Order, lengths: Option<Vec<usize>> },
    /// `[N]`, step by step.
    Packed { sizes: BatchSizes, lengths: Vec<usize> },
}

impl Tokens {
    pub fn rows(&self) -> usize {
        match self {
            Self::Window { rows, .. } => *rows,
            Self::Packed { lengths, .. } => lengths.len(),
        }
    }
}

impl Inner {
    pub fn new(stack: Stack) -> Self {
        let (window_inputs, window_outputs) = (Vec::new(), Vec::new());
        Self { stack, calls: 0, last: None, has_gradient: false, window_inputs, window_outputs }
    }

    /// Runs a window and returns its outputs and its last state.
    pub fn forward(
        &mut self,
        call: &LastCall,
        x: &[f32],
        (shape, initial): (&Shape, Option<&State>),
        (training, dropout): (bool, Option<Dropout>),
    ) -> Result<(Vec<f32>, State)> {
        let Self { stack, window_inputs, window_outputs, .. } = self;
        let mut run = |window: Window<'_>, outputs: &mut [f32]| {
            let window = Window { initial, dropout, ..window };
            if training { stack.train(&window, outputs) } else { stack.infer(&window, outputs) }
        };
        match &call.layout {
            Tokens::Window { steps, rows, order, lengths } => {
                let mut outputs = vec![0.0; steps * rows * shape.output_size()];
                let window =
                    Window { order: *order, lengths: lengths.as_deref(), ..Window::new(*steps, *rows, x) };
                let state = run(window, &mut outputs)?;
                Ok((outputs, state))
            }
            Tokens::Packed { sizes, lengths } => {
                let ([steps, rows], [inputs, outputs]) =
                    (sizes.shape(), [shape.input_size, shape.output_size()]);
                sizes.spread(inputs, x, window_inputs);
                make_room(window_outputs, steps * rows * outputs);
                let (inputs, written) =
                    (&window_inputs[..steps * rows * inputs], &mut window_outputs[..steps * rows * outputs]);
                let window = Window { lengths: Some(lengths), ..Window::new(steps, rows, inputs) };
                let state = run(window, written)?;
                Ok((sizes.pack(outputs, written), state))
            }
        }
    }

    /// Runs the backward pass of the last training call.
    pub fn backward(
        &mut self,
        call: &LastCall,
        dy: &[f32],
        (shape, d_state): (&Shape, Option<&State>),
    ) -> Result<()> {
        (self.last, self.has_gradient) = (None, true);
        match &call.layout {
            Tokens::Window { .. } => self.stack.backward(dy, d_state),
            Tokens::Packed { sizes, .. } => {
                let ([steps, rows], width) = (sizes.shape(), shape.output_size());
                sizes.spread(width, dy, &mut self.window_outputs);
                self.stack.backward(&self.window_outputs[..steps * rows * width], d_state)
            }
        }
    }
}
