//! One call of the layers: how its tokens are arranged, and its forward and backward pass.

use crate::packed::BatchSizes;
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

    /// Number of tokens of inputs and outputs.
    fn tokens(&self) -> usize {
        match self {
            Self::Window { steps, rows, .. } => steps * rows,
            Self::Packed { sizes, .. } => sizes.tokens(),
        }
    }
}

impl Inner {
    pub fn new(stack: Stack) -> Self {
        Self { stack, calls: 0, last: None, has_gradient: false }
    }

    /// Runs a window and returns its outputs and its last state.
    pub fn forward(
        &mut self,
        call: &LastCall,
        x: &[f32],
        (shape, initial): (&Shape, Option<&State>),
        (training, dropout): (bool, Option<Dropout>),
    ) -> Result<(Vec<f32>, State)> {
        let window = match &call.layout {
            Tokens::Window { steps, rows, order, lengths } => {
                Window { order: *order, lengths: lengths.as_deref(), ..Window::new(*steps, *rows, x) }
            }
            Tokens::Packed { sizes, lengths } => {
                let [steps, rows] = sizes.shape();
                Window { order: Order::Packed, lengths: Some(lengths), ..Window::new(steps, rows, x) }
            }
        };
        let window = Window { initial, dropout, ..window };
        let mut outputs = vec![0.0; call.layout.tokens() * shape.output_size()];
        let stack = &mut self.stack;
        let state =
            if training { stack.train(&window, &mut outputs) } else { stack.infer(&window, &mut outputs) }?;
        Ok((outputs, state))
    }

    /// Runs the backward pass of the last training call.
    pub fn backward(&mut self, dy: &[f32], d_state: Option<&State>) -> Result<()> {
        (self.last, self.has_gradient) = (None, true);
        self.stack.backward(dy, d_state)
    }
}
