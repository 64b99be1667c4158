//! Dropout and zoneout masks: where each applies, and how it is drawn or given.

use crate::parallel::Threads;
use crate::random::{MaskPosition, dropout_mask};
use crate::settings::{Layer, Variational};
use crate::{Error, Result};
use std::ops::Range;
use unrolled_kernels::pack::padded;

/// Floats of a mask that one thread draws at a time.
const SHARE: usize = 1 << 12;

/// The source of a window's dropout masks. A mask is a pure function of these numbers, the layer,
/// the step within the window, and the batch row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Dropout probability of layer outputs, for layers that have no dropout settings of their own;
    /// at least 0 and below 1.
    pub probability: f32,
    /// Random seed.
    pub seed: u64,
    /// Number of the optimizer step. Each step has its own masks.
    pub step: u64,
}

impl Dropout {
    /// Returns an error for a probability out of range.
    pub(crate) fn check(self) -> Result<()> {
        if (0.0..1.0).contains(&self.probability) {
            return Ok(());
        }
        Err(Error::setting("dropout", self.probability, "give a number of at least 0 and below 1"))
    }
}

/// The values that a mask is applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The outputs of a layer.
    Output,
    /// The inputs of a layer.
    Input,
    /// The hidden state h, between two steps.
    State,
    /// The cell state c, between two steps.
    CellState,
    /// Zoneout of h: 1 keeps the value of the previous step.
    Zoneout,
    /// Zoneout of c: 1 keeps the value of the previous step.
    ZoneoutCell,
}

impl Site {
    pub(crate) const COUNT: usize = 6;
    const ALL: [Self; Self::COUNT] =
        [Self::Output, Self::Input, Self::State, Self::CellState, Self::Zoneout, Self::ZoneoutCell];

    pub(crate) fn is_zoneout(self) -> bool {
        matches!(self, Self::Zoneout | Self::ZoneoutCell)
    }
}

/// Masks to use instead of drawn ones, for comparisons with another program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Masks {
    layers: Vec<[Vec<f32>; Site::COUNT]>,
}

impl Masks {
    /// Sets the mask of a site: time-major [T, B, width] of 1 (keep; for zoneout: keep the old
    /// value) and 0. The masks of all other sites are drawn. `layer` is an index into
    /// [`ModelConfig::directions`](crate::model::ModelConfig::directions): a bidirectional layer
    /// counts twice. The steps of a mask of its reverse direction are in the order in which that
    /// reads them.
    pub fn set(&mut self, layer: usize, site: Site, mask: Vec<f32>) {
        if self.layers.len() <= layer {
            self.layers.resize(layer + 1, Default::default());
        }
        self.layers[layer][site as usize] = mask;
    }

    fn find(&self, layer: usize, site: Site) -> Option<&[f32]> {
        self.layers.get(layer).map(|sites| &sites[site as usize][..]).filter(|mask| !mask.is_empty())
    }

    /// All masks with their layers and sites.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, Site, &[f32])> {
        let places =
            (0..self.layers.len()).flat_map(|layer| Site::ALL.into_iter().map(move |site| (layer, site)));
        places.filter_map(|(layer, site)| Some((layer, site, self.find(layer, site)?)))
    }
}

/// The source of the masks of a window: drawn, or given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaskSource<'a> {
    pub(crate) dropout: Dropout,
    pub(crate) given: Option<&'a Masks>,
}

/// The batch rows of a shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardRows<'a> {
    /// The batch row of each row of the shard.
    pub(crate) order: &'a [u32],
    /// Number of rows of the whole batch.
    pub(crate) batch: usize,
}

impl Layer {
    /// Returns the share that is kept at a site (for zoneout, the share that keeps its old value);
    /// `None` if nothing is dropped there.
    pub(crate) fn share(&self, site: Site, dropping: Option<MaskSource<'_>>) -> Option<f32> {
        let drops = |kept: f32| dropping.and_then(|_| (kept < 1.0).then_some(kept));
        let otherwise = dropping.map_or(1.0, |dropping| 1.0 - dropping.dropout.probability);
        match site {
            Site::Output => {
                drops(if self.output_keep_prob < 1.0 { self.output_keep_prob } else { otherwise })
            }
            Site::Input => drops(self.input_keep_prob),
            Site::State => drops(if self.keep_hidden_state { 1.0 } else { self.state_keep_prob }),
            Site::CellState => drops(if self.drop_cell_state { self.state_keep_prob } else { 1.0 }),
            Site::Zoneout => (self.zoneout > 0.0).then_some(self.zoneout),
            Site::ZoneoutCell => (self.zoneout_cell > 0.0).then_some(self.zoneout_cell),
        }
    }
}

impl Layer {
    /// Returns the width of the values at a site, for a layer with inputs of `inputs` floats.
    pub(crate) fn width_at(&self, site: Site, inputs: usize) -> usize {
        let [state, cell] = self.state_size();
        match site {
            Site::Output => self.direction_size(),
            Site::Input => inputs,
            Site::State | Site::Zoneout => state,
            Site::CellState | Site::ZoneoutCell => cell,
        }
    }
}

/// One mask of a window, to be drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask<'a> {
    pub(crate) layer: usize,
    pub(crate) site: Site,
    /// See [`Layer::share`].
    pub(crate) share: f32,
    /// Number of values of a token.
    pub(crate) width: usize,
    pub(crate) variational: Variational,
    pub(crate) seed: Option<u64>,
    /// `None` after training: zoneout then takes its expectation.
    pub(crate) dropping: Option<MaskSource<'a>>,
}

impl Mask<'_> {
    /// Fills `out` [N, padded(width)] for `active(t)` rows in each of T steps, with 0 or 1 / share;
    /// for zoneout with 0 or 1. Threads divide the steps.
    pub(crate) fn fill(
        &self,
        steps: usize,
        active: &(impl Fn(usize) -> usize + Sync),
        (rows, threads): (ShardRows<'_>, &Threads),
        out: &mut [f32],
    ) {
        self.halve((steps, 0..steps), active, (rows, threads), out);
    }

    /// Fills the steps in `some`, out of `steps`.
    fn halve(
        &self,
        (steps, some): (usize, Range<usize>),
        active: &(impl Fn(usize) -> usize + Sync),
        (rows, threads): (ShardRows<'_>, &Threads),
        out: &mut [f32],
    ) {
        if threads.at_work() == 1 || some.len() <= 1 || out.len() <= SHARE {
            return self.fill_steps((steps, some), active, rows, out);
        }
        let half = some.start + some.len() / 2;
        let tokens: usize = (some.start..half).map(active).sum();
        let (first, second) = out.split_at_mut(tokens * padded(self.width));
        threads.join(
            || self.halve((steps, some.start..half), active, (rows, threads), first),
            || self.halve((steps, half..some.end), active, (rows, threads), second),
        );
    }

    fn fill_steps(
        &self,
        (steps, some): (usize, Range<usize>),
        active: &impl Fn(usize) -> usize,
        rows: ShardRows<'_>,
        out: &mut [f32],
    ) {
        let stride = padded(self.width);
        let Some(MaskSource { dropout, given }) = self.dropping else { return out.fill(self.share) };
        let scale = if self.site.is_zoneout() { 1.0 } else { 1.0 / self.share };
        let given = given.and_then(|masks| masks.find(self.layer, self.site));
        let same = self.variational != Variational::Off && given.is_none() && !self.site.is_zoneout();
        let mut token = 0;
        for t in some.clone() {
            if same && t > some.start {
                out.copy_within(0..active(t) * stride, token * stride);
                token += active(t);
                continue;
            }
            let step = if same {
                dropout.step
            } else {
                dropout.step.wrapping_mul(steps as u64).wrapping_add(t as u64)
            };
            for row in &rows.order[..active(t)] {
                let mask = &mut out[token * stride..][..self.width];
                token += 1;
                if let Some(given) = given {
                    let from = &given[(t * rows.batch + *row as usize) * self.width..][..self.width];
                    mask.iter_mut().zip(from).for_each(|(mask, kept)| *mask = kept * scale);
                    continue;
                }
                let row = if same && self.variational == Variational::Shared { 0 } else { *row };
                let layer = self.layer as u32 | (self.site as u32) << 16;
                let place = MaskPosition { seed: self.seed.unwrap_or(dropout.seed), layer, step, row };
                dropout_mask(place, self.share, scale, mask);
            }
        }
    }
}
