//! Runs windows: forward through all layers and the head, then as far as the goal asks. All public
//! forms share it.

mod block_part;
mod head_blocks;
mod pass;

pub(crate) use pass::{Goal, Pass};

use super::gradient::{Finished, GradientPass, InputTableGradient};
use super::inputs::{Inputs, Order, OutputSteps};
use super::masks::MaskSource;
use super::state::State;
use super::weights::input_table::InputTable;
use super::weights::{PackedModel, PackedWeights};
use super::window::activations::{Extent, WindowActivations};
use super::window::division::DivisionFigures;
use super::window::shard::{Needs, Shard};
use crate::loss::Targets;
use crate::parallel::Threads;
use crate::phases::{Phase, Section};
use head_blocks::HeadBlocks;

/// The fewest tokens that one thread reorders at a time.
const TOKENS: usize = 1 << 9;

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

    /// An executor for single steps of B rows, whose units threads divide.
    pub(crate) fn for_steps(weights: &PackedWeights, rows: usize, threads: &Threads) -> Self {
        let mut executor = Self::new(weights, Needs::INFERENCE);
        executor.window.run_steps();
        executor.reshape(weights, Extent::full(1, rows), threads);
        executor
    }

    /// Takes the shape of the next window. The state carries over if the number of rows stays; else
    /// it is zero.
    pub(crate) fn reshape(&mut self, weights: &PackedWeights, extent: Extent<'_>, threads: &Threads) {
        self.window.reshape(weights, extent, threads);
    }

    /// Runs a window. With a bidirectional layer, it does not start from the state after the last
    /// window. If the outputs of the head are kept, no thread waits for another before its rows are
    /// done. Returns the number of targets within the top k, if the goal asks for it.
    pub(crate) fn run(&mut self, model: PackedModel<'_>, pass: Pass<'_>) -> u64 {
        let PackedModel { weights, parameters, threads } = model;
        let ran = self.window.note_run();
        self.load_inputs(model, &pass);
        let targets = self.load_targets(model, &pass);
        let Pass { inputs, order, dropping, mut goal, .. } = pass;
        let fresh = pass.fresh || (ran && weights.config.is_bidirectional());
        let Self { window, table, blocks, .. } = self;
        let reads_ids = matches!(inputs, Inputs::Ids(_));
        let crew = window.crew(threads);
        let (ragged, rows, keeps) = (window.ragged.is_used(), window.rows, window.keeps_outputs);
        if ragged {
            let ids = if reads_ids { &window.ids[..] } else { &[] };
            let _section = weights.phases.section(Section::Input, threads.at_work());
            window.ragged.load(&mut window.shards, ids, targets, threads);
        }
        let work = weights.work() * window.ids.len();
        let within = threads.enter(work, || {
            let _section = weights.phases.section(Section::Passes, threads.at_work());
            let ids = if reads_ids { &window.ids[..] } else { &[] };
            threads.each(&mut window.shards, &|shard| {
                let clock = weights.phases.time(Phase::Input);
                shard.begin(fresh, ran);
                if !ragged {
                    shard.load(rows, ids, targets);
                }
                shard.look_up(weights, parameters);
                drop(clock);
                shard.forward(weights, &table.rows, (dropping, crew));
                if keeps {
                    finish(shard, weights, (dropping, crew), &goal);
                }
            });
            if keeps {
                return window.shards.iter().map(|shard| shard.within).sum();
            }
            let within = blocks.run(window, model, order, &mut goal);
            if matches!(goal, Goal::Deltas { .. }) {
                threads.each(&mut window.shards, &|shard| shard.layers_backward(weights, (dropping, crew)));
            }
            within
        });
        if let Goal::Outputs(out) = goal {
            self.copy_outputs(model, order, out);
        }
        within
    }

    /// Loads vectors, or fills `window.ids` with rows of the input table or symbols.
    fn load_inputs(&mut self, model: PackedModel<'_>, pass: &Pass<'_>) {
        let PackedModel { weights, threads, .. } = model;
        let Self { window, table, ids, .. } = self;
        let _section = weights.phases.section(Section::Input, threads.at_work());
        let inputs = match pass.inputs {
            Inputs::Vectors(values) => {
                return window.load_vectors(weights.config.input_width(0), pass.order, values, threads);
            }
            Inputs::Ids(inputs) if pass.order != Order::BatchMajor => inputs,
            Inputs::Ids(inputs) => {
                reorder([window.steps, window.rows], inputs, ids, threads);
                ids
            }
        };
        let has_padding = window.ragged.is_used() && pass.order != Order::Packed;
        let inputs = if has_padding { window.ragged.gather(inputs, threads) } else { inputs };
        if weights.gathers {
            table.prepare(model, pass.dropping, inputs, &mut window.ids);
        } else {
            window.ids.copy_from_slice(inputs);
        }
    }

    /// Loads the targets, but returns plain ones (class ids, time-major, without weights), which
    /// each shard copies with its ids.
    fn load_targets<'a>(&mut self, model: PackedModel<'_>, pass: &Pass<'a>) -> &'a [u32] {
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
                let PackedModel { weights, threads, .. } = model;
                let _section = weights.phases.section(Section::Input, threads.at_work());
                let targets = (targets, token_weights);
                self.window.load_targets(weights.config.outputs, pass.order, targets, threads);
                &[]
            }
        }
    }

    /// Copies the outputs of the model. The head writes its own if it runs by blocks.
    fn copy_outputs(&self, model: PackedModel<'_>, order: Order, out: &mut [f32]) {
        let PackedModel { weights: PackedWeights { config, .. }, threads, .. } = model;
        let Self { window, .. } = self;
        match config.has_head() {
            false => window.copy_stack_outputs(config.stack_width(), order, out, threads),
            true if window.keeps_outputs => window.copy_head_outputs(config.outputs, order, out, threads),
            true => {}
        }
    }

    /// Runs one step of all rows, from the current state. `table` holds the rows of the input table,
    /// if the model reads one; `inputs` are then indices of its rows.
    pub(crate) fn step(&mut self, model: PackedModel<'_>, table: &[f32], inputs: Inputs<'_>) -> &[f32] {
        let PackedModel { weights, parameters, threads } = model;
        self.window.begin(false);
        let crew = self.window.crew(threads);
        let shard = &mut self.window.shards[0];
        shard.load_step(inputs);
        shard.look_up(weights, parameters);
        crew.adapt(usize::MAX, || {
            shard.forward(weights, table, (None, crew));
            shard.head(weights, crew);
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
        self.window.set_d_last(d_state, threads);
        match (has_head, keeps) {
            (false, _) => self.window.load_stack_gradients(weights, order, d_outputs, threads),
            (true, true) => self.window.load_head_gradients(config.outputs, order, d_outputs, threads),
            (true, false) => {}
        }
        let Self { window, blocks, .. } = self;
        let crew = window.crew(threads);
        threads.enter(weights.work() * window.ids.len(), || {
            if has_head && !keeps {
                blocks.backward(window, model, (order, d_outputs), gradient);
            }
            threads.each(&mut window.shards, &|shard: &mut Shard| match has_head && keeps {
                true => shard.backward(weights, (dropping, crew)),
                false => shard.layers_backward(weights, (dropping, crew)),
            });
        });
    }

    /// Writes the gradients of all parameters, from the deltas of the last window. Meanwhile one
    /// thread runs `beside` on the window.
    pub(crate) fn gradients(
        &mut self,
        model: PackedModel<'_>,
        (gradient, finished): (&mut [f32], Option<Finished<'_>>),
        beside: impl FnOnce(&WindowActivations) + Send,
    ) {
        let Self { window, table, table_gradient, .. } = self;
        let PackedModel { weights, threads, .. } = model;
        let pass = GradientPass { window, input_table: table, weights, threads };
        match finished {
            None => pass.run(gradient, table_gradient, || beside(window)),
            Some(finished) => pass.run_in_turn((gradient, finished), table_gradient, || beside(window)),
        }
    }

    /// The figures of the division of the current window.
    pub(crate) fn division_figures(&self, weights: &PackedWeights) -> DivisionFigures {
        self.window.division.figures(weights, self.window.rows)
    }

    /// Number of symbols that have a row in the input table.
    pub(crate) fn table_symbols(&self) -> usize {
        self.table.symbols.len()
    }
}

/// Copies `inputs` [B, T] to `ids` [T, B].
fn reorder([steps, rows]: [usize; 2], inputs: &[u32], ids: &mut Vec<u32>, threads: &Threads) {
    ids.resize(inputs.len(), 0);
    let share = threads.share(steps, TOKENS.div_ceil(rows.max(1)), steps);
    threads.chunks(ids, share * rows, &|i, ids| {
        for (step, ids) in (i * share..).zip(ids.chunks_exact_mut(rows)) {
            ids.iter_mut().enumerate().for_each(|(row, id)| *id = inputs[row * steps + step]);
        }
    });
}

/// Runs the head on the tokens of a shard, and goes on to the goal. Outputs are kept.
fn finish(
    shard: &mut Shard,
    weights: &PackedWeights,
    (dropping, crew): (Option<MaskSource<'_>>, &Threads),
    goal: &Goal<'_>,
) {
    match goal {
        Goal::Outputs(_) => shard.head(weights, crew),
        Goal::Losses { loss, top_k } => shard.measure(weights, crew, (*loss, *top_k)),
        Goal::Deltas { loss, scale, .. } => shard.descend(weights, (dropping, crew), (*loss, *scale)),
    }
}
