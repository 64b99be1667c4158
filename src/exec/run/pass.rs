//! A window to run, and how far.

use crate::exec::inputs::{Inputs, Order};
use crate::exec::masks::MaskSource;
use crate::loss::{Loss, Targets};

/// A window to run.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    /// Inputs of T steps by B rows. Inputs beyond the end of a row are not read.
    pub(crate) inputs: Inputs<'a>,
    /// The order of inputs, outputs and targets.
    pub(crate) order: Order,
    /// The targets and their weights; `None` if only outputs are needed.
    pub(crate) targets: Option<(Targets<'a>, Option<&'a [f32]>)>,
    /// Starts from the zero state instead of the current one.
    pub(crate) fresh: bool,
    pub(crate) dropping: Option<MaskSource<'a>>,
    pub(crate) goal: Goal<'a>,
}

/// How far a window runs.
#[derive(Debug)]
pub(crate) enum Goal<'a> {
    /// Write the outputs of the model; zeros beyond the end of a row.
    Outputs(&'a mut [f32]),
    /// Compute losses for `tally`, and count the targets within the top k.
    Losses { loss: Loss, top_k: Option<usize> },
    /// Compute losses, and the deltas of all layers for `gradients`. `scale` multiplies the
    /// gradient. If the head runs by blocks, its part of `gradient` (a flat buffer with the layout
    /// of the parameters) is written.
    Deltas { loss: Loss, scale: f32, gradient: &'a mut [f32] },
}
