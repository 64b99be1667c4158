//! Windows of vectors: what a stack by itself reads, gives and goes back from, copied between the caller's order and the
//! shards'.

use super::executor::Executor;
use super::masks::Dropping;
use super::shard::Shard;
use super::state::State;
use super::weights::Weights;
use crate::parallel::Threads;
use unrolled_kernels::pack::padded;

impl Executor {
    /// Copies what the last layer gave to `out`, [T, B, P] or as `at(step, row)` places vectors; zeros beyond the end of a row.
    pub(crate) fn outputs(&self, weights: &Weights, at: impl Fn(usize, usize) -> usize, out: &mut [f32]) {
        let width = weights.config.output_width();
        out.fill(0.0);
        self.each_token(|shard, token, step, row| {
            let from = &self.shards[shard].outputs()[token * padded(width)..][..width];
            out[at(step, row) * width..][..width].copy_from_slice(from);
        });
    }

    /// Copies the gradient of what the first layer reads, likewise.
    pub(crate) fn d_inputs(&self, weights: &Weights, at: impl Fn(usize, usize) -> usize, out: &mut [f32]) {
        let width = weights.config.input_width(0);
        out.fill(0.0);
        self.each_token(|shard, token, step, row| {
            let from = &self.shards[shard].d_inputs()[token * padded(width)..][..width];
            out[at(step, row) * width..][..width].copy_from_slice(from);
        });
    }

    /// Takes vectors for the first layer to read, [T, B, E] or as `at(step, row)` places them.
    pub(crate) fn load(&mut self, weights: &Weights, at: impl Fn(usize, usize) -> usize, inputs: &[f32]) {
        let width = weights.config.input_width(0);
        let mut shards = std::mem::take(&mut self.shards);
        self.each_token_of(&shards_shape(&shards), |shard, token, step, row| {
            let from = &inputs[at(step, row) * width..][..width];
            shards[shard].inputs[token * padded(width)..][..width].copy_from_slice(from);
        });
        self.shards = shards;
    }

    /// Goes back through all layers, from gradients of the outputs, placed as those of `outputs`, and of the last state.
    pub(crate) fn backward(
        &mut self,
        weights: &Weights,
        at: impl Fn(usize, usize) -> usize,
        (d_outputs, d_state): (&[f32], Option<&State>),
        dropping: Option<Dropping<'_>>,
        threads: &Threads,
    ) {
        let width = weights.config.output_width();
        let mut shards = std::mem::take(&mut self.shards);
        for shard in &mut shards {
            shard.d_outputs(weights);
            shard.set_d_last(d_state);
        }
        self.each_token_of(&shards_shape(&shards), |shard, token, step, row| {
            let from = &d_outputs[at(step, row) * width..][..width];
            shards[shard].dy_mut()[token * padded(width)..][..width].copy_from_slice(from);
        });
        self.shards = shards;
        let (work, shards) = (weights.work() * self.ids.len(), &mut self.shards);
        threads.enter(work, || {
            threads.each(shards, &|shard: &mut Shard| shard.layers_backward(weights, dropping))
        });
    }

    /// The gradient of the first state, after a backward pass.
    pub(crate) fn d_initial(&mut self, weights: &Weights, state: &mut State) {
        state.take_shape(&weights.config, self.rows);
        for shard in &mut self.shards {
            shard.d_initial(weights, state);
        }
    }

    /// Calls `f` with the shard, the token in it, the step and the row of each token.
    fn each_token(&self, f: impl FnMut(usize, usize, usize, usize)) {
        self.each_token_of(&shards_shape(&self.shards), f);
    }

    fn each_token_of(&self, shards: &[(usize, usize)], mut f: impl FnMut(usize, usize, usize, usize)) {
        if self.is_ragged() {
            for place in &self.ragged.places {
                let source = place.source as usize;
                f(place.shard as usize, place.token as usize, source / self.rows, source % self.rows);
            }
            return;
        }
        for (number, (first, rows)) in shards.iter().enumerate() {
            for token in 0..self.steps * rows {
                f(number, token, token / rows, first + token % rows);
            }
        }
    }
}

/// First row and number of rows of each shard.
fn shards_shape(shards: &[Shard]) -> Vec<(usize, usize)> {
    shards.iter().map(|shard| (shard.first(), shard.rows())).collect()
}
