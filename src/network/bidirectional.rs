//! Two stacks over the same inputs, one of which reads each row backwards.

use super::passes::Network;
use crate::exec::{Dropout, Inputs, OutputSteps, State, Window, check_room};
use crate::model::Model;
use crate::{Error, Result};

/// Sets the backward direction's draws apart from the forward direction's.
const OTHER_DIRECTION: u64 = 0x6469_7265_6374_696f;

/// What becomes of the outputs of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Side by side, the forward direction first (PyTorch; `tf.concat(outputs, 2)`).
    Concatenate,
    /// Added up.
    Sum,
}

/// `bidirectional_dynamic_rnn`: the second stack reads each row from its own last step to its first, and its outputs are
/// put back in the order of the inputs.
#[derive(Debug)]
pub struct Bidirectional {
    directions: [Network; 2],
    merge: Merge,
    last: Option<Shape>,
    outputs: Vec<f32>,
    d_inputs: Vec<f32>,
}

#[derive(Clone, Debug)]
struct Shape {
    steps: usize,
    rows: usize,
    lengths: Vec<usize>,
    order: super::Order,
}

impl Shape {
    /// The step that a row's step is read at in the other direction.
    fn mirrored(&self, step: usize, row: usize) -> usize {
        match self.lengths[row] {
            length if step < length => length - 1 - step,
            _ => step,
        }
    }

    /// Copies vectors of `width` from their places to those of the other direction: time-major from or to the caller's order.
    fn reverse(&self, width: usize, from: &[f32], to_caller: bool, to: &mut [f32]) {
        for step in 0..self.steps {
            for row in 0..self.rows {
                let ours = (self.mirrored(step, row) * self.rows + row) * width;
                let theirs = self.order.index([self.steps, self.rows], step, row) * width;
                let (from_at, to_at) = if to_caller { (ours, theirs) } else { (theirs, ours) };
                to[to_at..][..width].copy_from_slice(&from[from_at..][..width]);
            }
        }
    }
}

impl Bidirectional {
    /// Takes two models of [`Model::of_stack`] that read vectors of the same width, for windows of any shape.
    ///
    /// # Errors
    /// As for [`Network::new`]; [`Error::Setting`] when the widths do not fit.
    pub fn new(forward: Model, backward: Model, merge: Merge, threads: Option<usize>) -> Result<Self> {
        if let Some(model) = [&forward, &backward].into_iter().find(|model| model.config().reads_symbols()) {
            let (found, expected) =
                (model.config().vocabulary.to_string(), "both directions read vectors".to_owned());
            return Err(Error::Setting { name: "vocabulary", found, expected });
        }
        let [(reads, gives), (reads_too, gives_too)] = [forward.config(), backward.config()]
            .map(|config| (config.input_width(0), config.output_width()));
        let differ = |what: &'static str, found: usize, expected: usize| {
            let expected = format!("the forward direction has {expected}, which must be equal");
            Err(Error::Setting { name: what, found: found.to_string(), expected })
        };
        if reads != reads_too {
            return differ("inputs", reads_too, reads);
        }
        if merge == Merge::Sum && gives != gives_too {
            return differ("outputs", gives_too, gives);
        }
        let directions = [Network::new(forward, threads)?, Network::new(backward, threads)?];
        Ok(Self { directions, merge, last: None, outputs: Vec::new(), d_inputs: Vec::new() })
    }

    /// Width of the merged outputs.
    pub fn output_size(&self) -> usize {
        let [a, b] = self.widths();
        if self.merge == Merge::Sum { a } else { a + b }
    }

    fn widths(&self) -> [usize; 2] {
        [0, 1].map(|direction| self.directions[direction].model().config().output_width())
    }

    /// Runs a window in both directions and writes the merged `outputs`. `window.initial` is the forward direction's first
    /// state, `initial_backward` the other's. Each direction draws dropout masks of its own.
    ///
    /// # Errors
    /// As for [`Network::forward`], and [`crate::Error::Batch`] for masks that are given: they would be one direction's.
    pub fn forward(
        &mut self,
        window: &Window<'_>,
        initial_backward: Option<&State>,
        outputs: &mut [f32],
    ) -> Result<()> {
        let inputs = self.check(window, initial_backward, outputs)?;
        let Window { steps, rows, order, lengths, .. } = *window;
        let ([forward, backward], total) = (self.widths(), self.output_size());
        let tokens = steps * rows;
        self.last = None;
        self.outputs.resize(tokens * forward, 0.0);
        self.directions[0].forward(window, &mut self.outputs)?;
        let lengths_or_all = lengths.map_or_else(|| vec![steps; rows], <[usize]>::to_vec);
        let shape = Shape { steps, rows, lengths: lengths_or_all, order };
        let width = self.directions[0].model().config().input_width(0);
        let (mut reversed, mut given, mut back) =
            (vec![0.0; inputs.len()], vec![0.0; tokens * backward], vec![0.0; tokens * backward]);
        shape.reverse(width, inputs, false, &mut reversed);
        let mirrored = Window {
            inputs: Inputs::Vectors(&reversed),
            order: super::Order::TimeMajor,
            initial: initial_backward,
            dropout: window
                .dropout
                .map(|dropout| Dropout { seed: dropout.seed ^ OTHER_DIRECTION, ..dropout }),
            ..*window
        };
        self.directions[1].forward(&mirrored, &mut given)?;
        shape.reverse(backward, &given, true, &mut back);
        for token in 0..tokens {
            let out = &mut outputs[token * total..][..total];
            out[..forward].copy_from_slice(&self.outputs[token * forward..][..forward]);
            let theirs = &back[token * backward..][..backward];
            match self.merge {
                Merge::Concatenate => out[forward..].copy_from_slice(theirs),
                Merge::Sum => out.iter_mut().zip(theirs).for_each(|(out, theirs)| *out += theirs),
            }
        }
        self.last = Some(shape);
        Ok(())
    }

    /// Returns the vectors of a window that both directions can run.
    fn check<'a>(
        &self,
        window: &Window<'a>,
        initial_backward: Option<&State>,
        outputs: &[f32],
    ) -> Result<&'a [f32]> {
        let Inputs::Vectors(inputs) = window.inputs else {
            return Err(Error::batch("token ids", "vectors for both directions"));
        };
        if window.output_steps != OutputSteps::Every {
            let found = "outputs of the last step alone".to_owned();
            return Err(Error::batch(found, "outputs of every step"));
        }
        if window.masks.is_some() {
            let expected = "none: each direction draws its own";
            return Err(Error::batch("masks for one direction", expected));
        }
        self.directions[0].check(window)?;
        check_room(outputs.len(), window.output_tokens(), self.output_size(), "outputs")?;
        let config = self.directions[1].model().config();
        initial_backward.map_or(Ok(()), |state| state.check(config, window.rows))?;
        Ok(inputs)
    }

    /// Goes back through the last window, from the gradients of its outputs and of the last states of both directions.
    ///
    /// # Errors
    /// As for [`Network::backward`].
    pub fn backward(&mut self, d_outputs: &[f32], d_states: [Option<&State>; 2]) -> Result<()> {
        let ([forward, backward], total) = (self.widths(), self.output_size());
        let tokens = self.last.as_ref().map_or(0, |shape| shape.steps * shape.rows);
        let Some(shape) = self.last.clone().filter(|_| d_outputs.len() == tokens * total) else {
            let found = format!("{} gradients of outputs", d_outputs.len());
            return Err(Error::batch(found, format!("{} for the last window", tokens * total)));
        };
        // Before either direction uses up its window.
        for (rnn, d_state) in self.directions.iter().zip(d_states) {
            d_state.map_or(Ok(()), |state| state.check(rnn.model().config(), shape.rows))?;
        }
        let second = if self.merge == Merge::Sum { 0 } else { forward };
        let part = |from: usize, width: usize| -> Vec<f32> {
            d_outputs.chunks_exact(total).flat_map(|row| &row[from..from + width]).copied().collect()
        };
        let (ours, theirs) = (part(0, forward), part(second, backward));
        let mut reversed = vec![0.0; theirs.len()];
        shape.reverse(backward, &theirs, false, &mut reversed);
        self.directions[0].backward(&ours, d_states[0])?;
        self.directions[1].backward(&reversed, d_states[1])?;
        self.add_d_inputs(&shape);
        Ok(())
    }

    /// The gradient of the inputs, the sum of both directions', in the order of the window; of the last backward pass, empty
    /// before the first.
    pub fn d_inputs(&self) -> Vec<f32> {
        self.d_inputs.clone()
    }

    /// Adds up what both directions have left.
    fn add_d_inputs(&mut self, shape: &Shape) {
        let [ours, theirs] = self.directions.each_ref().map(Network::d_inputs);
        let mut back = vec![0.0; theirs.len()];
        shape.reverse(self.directions[0].model().config().input_width(0), theirs, true, &mut back);
        self.d_inputs.clear();
        self.d_inputs.extend(ours.iter().zip(back).map(|(ours, theirs)| ours + theirs));
    }

    /// Both directions: for their states, gradients and parameters.
    pub fn directions(&mut self) -> &mut [Network; 2] {
        &mut self.directions
    }
}
