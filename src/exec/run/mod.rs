//! Runs windows: forward through all layers and the head, then as far as the goal asks. All public
//! forms share it.

mod block_part;
mod head_blocks;
mod pass;

pub(crate) use pass::{Goal, Pass};

use super::gradient::{InputTableGradient, gradients};
use super::inputs::{Inputs, Order, OutputSteps};
use super::masks::MaskSource;
use super::state::State;
use super::weights::input_table::InputTable;
use super::weights::{PackedModel, PackedWeights};
use super::window::activations::{Extent, WindowActivations};
use super::window::shard::{Needs, Shard};
use crate::loss::Targets;
use crate::model::Parameters;
use crate::parallel::Threads;
use crate::phases::Phase;
use head_blocks::HeadBlocks;
use unrolled_kernels::denormals::flush;

/// Runs windows of a model, and keeps the buffers and the state between them.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    pub(crate) window: WindowActivations,
    table: InputTable,
    table_gradient: InputTableGradient,
    blocks: HeadBlocks,
    /// Ids in time-major order, if the caller's are not.
    ids: Vec<u32>,
}

impl Executor {
    /// An executor without a window; [`Executor::reshape`] gives it one.
    pub(crate) fn new(weights: &PackedWeights, needs: Needs) -> Self {
        Self {
            window: WindowActivations::new(weights, needs),
            table: InputTable::default(),
            table_gradient: InputTableGradient::default(),
            blocks: HeadBlocks::default(),
            ids: Vec::new(),
        }
    }

    /// An executor for windows of T steps by B rows.
    pub(crate) fn shaped(
        weights: &PackedWeights,
        [steps, rows]: [usize; 2],
        needs: Needs,
        threads: &Threads,
    ) -> Self {
        let mut executor = Self::new(weights, needs);
        executor.reshape(weights, Extent::full(steps, rows), threads);
        executor
    }

    /// An executor for single steps of B rows, which the calling thread runs.
    pub(crate) fn for_steps(weights: &PackedWeights, rows: usize) -> Self {
        let mut executor = Self::new(weights, Needs::INFERENCE);
        executor.window.keep_all_outputs();
        executor.reshape(weights, Extent::full(1, rows), &Threads::calling());
        executor
    }

    /// Takes the shape of the next window. The state carries over if the number of rows stays; else
    /// it is zero.
    pub(crate) fn reshape(&mut self, weights: &PackedWeights, extent: Extent<'_>, threads: &Threads) {
        self.window.reshape(weights, extent, threads);
    }

    /// Runs a window. If the outputs of the head are kept, no thread waits for another before its
    /// rows are done. Returns the number of targets within the top k, if the goal asks for it.
    pub(crate) fn run(&mut self, model: PackedModel<'_>, pass: Pass<'_>) -> u64 {
        let PackedModel { weights, parameters, threads } = model;
        let ran = self.window.note_run();
        self.load_inputs(model, &pass);
        let targets = self.load_targets(weights, &pass);
        let Pass { inputs, order, fresh, dropping, mut goal, .. } = pass;
        let Self { window, table, blocks, .. } = self;
        let reads_ids = matches!(inputs, Inputs::Ids(_));
        let (ragged, rows, keeps) = (window.ragged.is_used(), window.rows, window.keeps_outputs);
        if ragged {
            let ids = if reads_ids { &window.ids[..] } else { &[] };
            window.ragged.load(&mut window.shards, ids, targets);
        }
        let work = weights.work() * window.ids.len();
        let within = threads.enter(work, || {
            let _section = weights.phases.section(threads.at_work());
            let ids = if reads_ids { &window.ids[..] } else { &[] };
            threads.each(&mut window.shards, &|shard| {
                let clock = weights.phases.time(Phase::Input);
                shard.begin(fresh, ran);
                if !ragged {
                    shard.load(rows, ids, targets);
                }
                shard.look_up(weights, parameters);
                drop(clock);
                shard.forward(weights, &table.rows, dropping);
                if keeps {
                    finish(shard, weights, dropping, &goal);
                }
            });
            if keeps {
                return window.shards.iter().map(|shard| shard.within).sum();
            }
            let within = blocks.run(window, model, order, &mut goal);
            if matches!(goal, Goal::Deltas { .. }) {
                threads.each(&mut window.shards, &|shard| shard.layers_backward(weights, dropping));
            }
            within
        });
        if let Goal::Outputs(out) = goal {
            self.copy_outputs(weights, order, out);
        }
        within
    }

    /// Loads vectors, or fills `window.ids` with rows of the input table or symbols.
    fn load_inputs(&mut self, model: PackedModel<'_>, pass: &Pass<'_>) {
        let Self { window, table, ids, .. } = self;
        let inputs = match pass.inputs {
            Inputs::Vectors(values) => {
                return window.load_vectors(model.weights.config.input_width(0), pass.order, values);
            }
            Inputs::Ids(inputs) if pass.order == Order::TimeMajor => inputs,
            Inputs::Ids(inputs) => {
                let shape = [window.steps, window.rows];
                let index = |m: usize| Order::BatchMajor.index(shape, m / window.rows, m % window.rows);
                ids.clear();
                ids.extend((0..inputs.len()).map(|m| inputs[index(m)]));
                ids
            }
        };
        let inputs = if window.ragged.is_used() { window.ragged.gather(inputs) } else { inputs };
        if model.weights.gathers {
            table.prepare(model, pass.dropping, inputs, &mut window.ids);
        } else {
            window.ids.copy_from_slice(inputs);
        }
    }

    /// Loads the targets, but returns plain ones (class ids, time-major, without weights), which
    /// each shard copies with its ids.
    fn load_targets<'a>(&mut self, weights: &PackedWeights, pass: &Pass<'a>) -> &'a [u32] {
        let Some((targets, token_weights)) = pass.targets else {
            self.window.clear_values();
            return &[];
        };
        match (targets, token_weights, pass.order, self.window.output_steps()) {
            (Targets::Ids(ids), None, Order::TimeMajor, OutputSteps::Every) => {
                self.window.clear_values();
                ids
            }
            _ => {
                let outputs = weights.config.outputs;
                self.window.load_targets(outputs, pass.order, (targets, token_weights));
                &[]
            }
        }
    }

    /// Copies the outputs of the model. The head writes its own if it runs by blocks.
    fn copy_outputs(&self, weights: &PackedWeights, order: Order, out: &mut [f32]) {
        let config = &weights.config;
        match config.has_head() {
            false => self.window.copy_stack_outputs(config.stack_width(), order, out),
            true if self.window.keeps_outputs => self.window.copy_head_outputs(config.outputs, order, out),
            true => {}
        }
    }

    /// Runs one step of all rows, from the current state, on the calling thread. `table` holds the
    /// rows of the input table, if the model reads one; `inputs` are then indices of its rows.
    pub(crate) fn step(
        &mut self,
        (weights, parameters): (&PackedWeights, &Parameters),
        table: &[f32],
        inputs: Inputs<'_>,
    ) -> &[f32] {
        self.window.begin(false);
        let shard = &mut self.window.shards[0];
        flush(|| {
            shard.load_step(inputs);
            shard.look_up(weights, parameters);
            shard.forward(weights, table, None);
            shard.head(weights);
        });
        self.window.note_run();
        let shard = &self.window.shards[0];
        if weights.config.has_head() { &shard.outputs } else { shard.stack_outputs() }
    }

    /// Goes backward through the last window, from the gradients of the model's outputs and of its
    /// last state. If the head runs by blocks, its part of `gradient` is written.
    pub(crate) fn backward(
        &mut self,
        model: PackedModel<'_>,
        (order, d_outputs): (Order, &[f32]),
        d_state: Option<&State>,
        dropping: Option<MaskSource<'_>>,
        gradient: &mut [f32],
    ) {
        let PackedModel { weights, threads, .. } = model;
        let config = &weights.config;
        let (has_head, keeps) = (config.has_head(), self.window.keeps_outputs);
        self.window.set_d_last(d_state);
        match (has_head, keeps) {
            (false, _) => self.window.load_stack_gradients(weights, order, d_outputs),
            (true, true) => self.window.load_head_gradients(config.outputs, order, d_outputs),
            (true, false) => {}
        }
        let Self { window, blocks, .. } = self;
        threads.enter(weights.work() * window.ids.len(), || {
            if has_head && !keeps {
                blocks.backward(window, model, (order, d_outputs), gradient);
            }
            threads.each(&mut window.shards, &|shard: &mut Shard| match has_head && keeps {
                true => shard.backward(weights, dropping),
                false => shard.layers_backward(weights, dropping),
            });
        });
    }

    /// Writes the gradients of all parameters, from the deltas of the last window.
    pub(crate) fn gradients(&mut self, model: PackedModel<'_>, gradient: &mut [f32]) {
        let Self { window, table, table_gradient, .. } = self;
        gradients(window, table, model.weights, table_gradient, (gradient, model.threads));
    }

    /// Number of symbols that have a row in the input table.
    pub(crate) fn table_symbols(&self) -> usize {
        self.table.symbols.len()
    }
}

/// Runs the head on the tokens of a shard, and goes on to the goal. Outputs are kept.
fn finish(shard: &mut Shard, weights: &PackedWeights, dropping: Option<MaskSource<'_>>, goal: &Goal<'_>) {
    shard.head(weights);
    match goal {
        Goal::Outputs(_) => {}
        Goal::Losses { loss, top_k } => shard.measure(weights, *loss, *top_k),
        Goal::Deltas { loss, scale, .. } => shard.descend(weights, (*loss, *scale), dropping),
    }
}
