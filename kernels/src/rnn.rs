//! The vanilla RNN ([Elman 1990]), as in [PyTorch], with the activations of TensorFlow's
//! [`BasicRNNCell`]:
//!
//! ```text
//! h' = f(W x + b + R h)      f: tanh, relu, sigmoid, identity;  b: PyTorch's two biases, summed
//! delta = dh f'              tanh' = 1 - h'^2, relu' = [h' > 0], sigmoid' = h' (1 - h')
//! dh = delta R               for the step before
//! ```
//!
//! 1. There is one gate. So a tile is R rows by up to 64 units, forward and backward.
//! 2. sigmoid(0) is not 0, so an RNN with sigmoid writes zeros behind the last unit.
//!
//! [Elman 1990]: https://doi.org/10.1207/s15516709cog1402_1
//! [PyTorch]: https://pytorch.org/docs/stable/generated/torch.nn.RNN.html
//! [`BasicRNNCell`]: https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/nn/rnn_cell/BasicRNNCell

use crate::isa::Isa;
use crate::math::{sigmoid, sigmoid_slope, tanh, tanh_slope};
use crate::microkernel::TileSums;
use crate::pack::{Panels, Slots, padded};
use crate::pass::backward_tile::DeltaCell;
use crate::pass::step::{AtStep, StepOffsets, VectorPlace};
use crate::pass::unit_tile::{UnitCell, UnitTile};
use crate::pass::{BackwardCell, BackwardWindow, ForwardPlaces, ForwardWindow, OnePhaseBackward};
use crate::simd::Simd;
use crate::sweep::sweep;
use crate::team::{Member, SharedPass, WindowPass};

/// The only gate of `weight_ih` and `weight_hh`.
pub const GATES: &[usize] = &[0];

/// Returns the slot of an RNN's deltas.
pub fn slots(hidden: usize) -> Slots {
    Slots { hidden, stored: 1, first: 0, gates: GATES }
}

/// The activation of a vanilla RNN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// tanh(x)
    Tanh,
    /// max(0, x)
    Relu,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// x
    Identity,
}

impl Activation {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Self::Tanh => tanh(s, x),
            Self::Relu => s.max(s.splat(0.0), x),
            Self::Sigmoid => sigmoid(s, x),
            Self::Identity => x,
        }
    }

    /// Returns dh f', from the output h.
    #[inline(always)]
    fn differentiate<S: Simd>(self, s: S, dh: S::F, h: S::F) -> S::F {
        match self {
            Self::Tanh => s.mul(dh, tanh_slope(s, h)),
            Self::Relu => s.where_positive(h, dh),
            Self::Sigmoid => s.mul(dh, sigmoid_slope(s, h)),
            Self::Identity => dh,
        }
    }
}

/// The forward pass of one layer's window. Dense input and `weight_hh` are packed by
/// `Panels::plain(H)`.
#[derive(Debug)]
pub struct RnnForward<'a> {
    /// The buffers of all cells.
    pub pass: ForwardWindow<'a>,
    /// The activation.
    pub activation: Activation,
    /// `Panels::plain(H)`.
    pub panels: &'a Panels,
}

/// The backward pass of one layer's window. `weight_hh` is packed over `slots(H)`. `gates` are
/// only written.
#[derive(Debug)]
pub struct RnnBackward<'a> {
    /// The buffers of all cells.
    pub pass: BackwardWindow<'a>,
    /// The activation.
    pub activation: Activation,
    /// From the forward pass.
    pub h: &'a [f32],
}

impl<'a> WindowPass for RnnForward<'a> {
    type Shared = SharedForward<'a>;

    fn rows(&self) -> usize {
        self.pass.window.rows
    }

    fn share(self, isa: Isa) -> SharedForward<'a> {
        let hidden = self.pass.window.hidden;
        self.pass.check(isa, &slots(hidden), [padded(hidden), 0], self.panels.len(isa.words(hidden)));
        self.panels.check_plain(hidden);
        SharedForward { pass: self.pass.places(isa), activation: self.activation, panels: self.panels }
    }
}

/// The forward pass with its buffers as places.
#[derive(Clone, Copy)]
pub struct SharedForward<'a> {
    pass: ForwardPlaces<'a>,
    activation: Activation,
    panels: &'a Panels,
}

impl SharedPass for SharedForward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, member: &Member<'_>) {
        let Self { pass, activation, panels } = *self;
        let (hidden, sums) = (pass.window.hidden, TileSums::new());
        let blocks = member.blocks(hidden);
        let holding = panels.holding(&blocks);
        for (t, step) in pass.steps(s, member) {
            // SAFETY: the caller vouches for the buffers and the members.
            unsafe {
                let h_next = pass.h.add(step.after() * padded(hidden));
                let (products, rounded) = (pass.products::<S>((t, &step), &sums), pass.rounded((t, &step)));
                let (blocks, cell) = (blocks.clone(), RnnGate { activation, hidden, h_next });
                let tile = UnitTile { products, panels, blocks, cell, rounded };
                sweep(s, step.active, holding.clone(), &tile);
            }
        }
    }
}

/// The arithmetic of the forward pass, and its buffers of one step.
#[derive(Clone, Copy)]
struct RnnGate {
    activation: Activation,
    hidden: usize,
    h_next: *mut f32,
}

impl UnitCell for RnnGate {
    const STORED: usize = 1;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, sum: S::F, at: VectorPlace) {
        let value = self.activation.apply(s, sum);
        // SAFETY: the caller vouches for the vector.
        unsafe {
            let to = self.h_next.add(at.unit);
            if self.activation == Activation::Sigmoid {
                // Zeros behind the last unit, where sigmoid gives 1/2.
                let lanes = self.hidden.saturating_sub(at.first).min(S::LANES);
                s.store(to, s.splat(0.0));
                s.store_up_to(to, lanes, value);
            } else {
                s.store(to, value);
            }
        }
    }
}

impl<'a> WindowPass for RnnBackward<'a> {
    type Shared = OnePhaseBackward<'a, RnnDeltas>;

    fn rows(&self) -> usize {
        self.pass.window.rows
    }

    fn share(self, isa: Isa) -> OnePhaseBackward<'a, RnnDeltas> {
        let window = self.pass.window;
        self.pass.check(isa, &slots(window.hidden));
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        let (pass, activation) = (self.pass.places(isa, 1), self.activation);
        let cell = RnnDeltas { activation, h_next: self.h.as_ptr(), deltas: pass.gates };
        OnePhaseBackward { pass, cell }
    }
}

/// The arithmetic of the backward pass, and its buffers of one step.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct RnnDeltas {
    activation: Activation,
    h_next: *const f32,
    deltas: *mut f32,
}

impl AtStep for RnnDeltas {
    #[inline(always)]
    unsafe fn at(self, step: &StepOffsets) -> Self {
        // SAFETY: the caller vouches for the step.
        unsafe {
            let (h_next, deltas) = (self.h_next.add(step.after), self.deltas.add(step.token));
            Self { h_next, deltas, ..self }
        }
    }
}

impl BackwardCell for RnnDeltas {
    const GATES: usize = 1;
}

impl DeltaCell for RnnDeltas {
    const STORED: usize = 1;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, dh: S::F, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector.
        unsafe {
            let h = s.load(self.h_next.add(at.unit));
            s.store(self.deltas.add(at.gate), self.activation.differentiate(s, dh, h));
        }
    }
}
