//! The gradients of all weights, once the deltas of the whole window stand: products divided by output tile.

use super::executor::Executor;
use super::shard::Shard;
use super::weights::{Weights, gather_rows, tensor};
use crate::model::Parameters;
use crate::model::cell::Source;
use crate::parallel::Threads;
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::gather::{Scatter, take_columns};
use unrolled_kernels::gemm::{Pairs, ROWS, Run, WeightGradient};
use unrolled_kernels::pack::{Slots, padded};

/// Columns of the input table that one task adds up.
const COLUMNS: usize = 64;

/// The tokens of a window in the order (step, row), as pairs of deltas and inputs.
#[derive(Clone, Copy)]
struct Tokens<'a> {
    executor: &'a Executor,
    hidden: usize,
    delta: Delta,
    input: From,
}

#[derive(Clone, Copy)]
enum Delta {
    /// A layer's.
    Layer(usize),
    /// The logits'.
    Head,
}

#[derive(Clone, Copy)]
enum From {
    /// What a layer (or the head, as one more layer) reads from below.
    Below(usize),
    /// What a layer's recurrent product multiplies.
    Before(usize, Source),
}

/// Where a token lies.
struct Found<'a> {
    shard: &'a Shard,
    /// Its number within the shard.
    token: usize,
    /// The hidden vector that it starts from.
    before: usize,
    /// How many tokens lie behind each other from it on.
    rows: usize,
}

impl Tokens<'_> {
    fn find(&self, m: usize) -> Found<'_> {
        let (rows, shards) = (self.executor.rows, &self.executor.shards);
        if self.executor.is_ragged() {
            let place = self.executor.ragged.places[m];
            let (token, before) = (place.token as usize, place.before as usize);
            return Found { shard: &shards[place.shard as usize], token, before, rows: 1 };
        }
        if let [only] = &shards[..] {
            return Found { shard: only, token: m, before: m, rows: self.len() - m };
        }
        let (t, row) = (m / rows, m % rows);
        let shard = shards.iter().rev().find(|shard| shard.first() <= row).unwrap_or(&shards[0]);
        let within = row - shard.first();
        let token = t * shard.rows() + within;
        Found { shard, token, before: token, rows: shard.rows() - within }
    }
}

impl Pairs for Tokens<'_> {
    fn len(&self) -> usize {
        self.executor.tokens()
    }

    fn delta(&self, m: usize) -> &[f32] {
        let Found { shard, token, .. } = self.find(m);
        match self.delta {
            Delta::Layer(l) => &shard.layers[l].gates[token * self.delta_stride()..],
            Delta::Head => &shard.logits[token * self.delta_stride()..],
        }
    }

    fn input(&self, m: usize) -> &[f32] {
        let Found { shard, token, before, .. } = self.find(m);
        let stride = padded(self.hidden);
        match self.input {
            From::Below(0) => &[],
            From::Below(l) => shard.dense_input(l, token, self.executor.dropped),
            From::Before(l, Source::Hidden) => &shard.layers[l].h[before * stride..],
            From::Before(l, Source::ResetHidden) => &shard.layers[l].extra[token * stride..],
        }
    }

    fn run(&self, m: usize) -> Run {
        let rows = self.find(m).rows;
        Run { rows, delta_stride: self.delta_stride(), input_stride: padded(self.hidden) }
    }
}

impl Tokens<'_> {
    fn delta_stride(&self) -> usize {
        match self.delta {
            Delta::Layer(_) => self.executor.stored_width,
            Delta::Head => self.executor.logit_width,
        }
    }
}

/// Rows of the input table as pairs: the gradient of each symbol's row, and its embedding.
struct TableRows<'a> {
    count: usize,
    gradient: (&'a [f32], usize),
    embedding: (&'a [f32], usize),
}

impl Pairs for TableRows<'_> {
    fn len(&self) -> usize {
        self.count
    }
    fn delta(&self, m: usize) -> &[f32] {
        &self.gradient.0[m * self.gradient.1..]
    }
    fn input(&self, m: usize) -> &[f32] {
        &self.embedding.0[m * self.embedding.1..]
    }
    fn run(&self, m: usize) -> Run {
        Run { rows: self.count - m, delta_stride: self.gradient.1, input_stride: self.embedding.1 }
    }
}

/// A piece of work for one thread.
enum Task<'a> {
    Weight(WeightGradient<'a>),
    Scatter(Scatter<'a>),
}

/// Tensors of the gradient arena that are still to be handed out, by name.
struct Arena<'a> {
    tensors: Vec<(&'a str, &'a mut [f32])>,
}

impl<'a> Arena<'a> {
    fn new(parameters: &'a Parameters, mut values: &'a mut [f32]) -> Self {
        let (mut tensors, mut at) = (Vec::new(), 0);
        for entry in parameters.layout.entries() {
            let (_, rest) = values.split_at_mut(entry.range.start - at);
            let (tensor, rest) = rest.split_at_mut(entry.range.len());
            tensors.push((entry.name.as_str(), tensor));
            (values, at) = (rest, entry.range.end);
        }
        Self { tensors }
    }

    fn take(&mut self, name: &str) -> &'a mut [f32] {
        let found = self.tensors.iter().position(|(known, _)| *known == name);
        found.map(|i| self.tensors.swap_remove(i).1).unwrap_or_else(|| panic!("a model without {name}"))
    }
}

/// Rows of a task, for a matrix of `rows` rows: at most [`ROWS`], nearly equal, whole blocks.
fn share(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(ROWS)).next_multiple_of(16)
}

/// Cuts some rows of a matrix gradient into tasks.
fn weight_tasks<'a>(
    tasks: &mut Vec<Task<'a>>,
    pairs: &'a Tokens<'a>,
    (slots, depth, rows): (&'a Slots, usize, Range<usize>),
    weight: &'a mut [f32],
    bias: &'a mut [f32],
) {
    let share = share(rows.len());
    let mut bias = bias.chunks_mut(share);
    for (i, weight) in weight.chunks_mut(share * depth).enumerate() {
        let from = rows.start + i * share;
        let rows = from..(from + share).min(rows.end);
        let bias = bias.next().unwrap_or_default();
        tasks.push(Task::Weight(WeightGradient { pairs, slots, depth, rows, weight, bias }));
    }
}

/// Buffers for the gradient of the input table, reused from step to step.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableGradient {
    /// For each [`COLUMNS`] columns, [D, columns].
    blocks: Vec<f32>,
    /// [D, stored]
    rows: Vec<f32>,
    /// [stored]
    bias: Vec<f32>,
}

/// The pairs that the weights of a model are summed over.
struct AllTokens<'a> {
    /// For each layer, its deltas with what it read from below.
    below: Vec<Tokens<'a>>,
    /// For each layer and recurrent product, its deltas with what that multiplied.
    before: Vec<Vec<Tokens<'a>>>,
    head: Tokens<'a>,
}

impl<'a> AllTokens<'a> {
    fn new(executor: &'a Executor, weights: &Weights) -> Self {
        let (hidden, layers) = (weights.config.hidden, weights.config.layers);
        let tokens = |delta, input| Tokens { executor, hidden, delta, input };
        let before = |l, source| tokens(Delta::Layer(l), From::Before(l, source));
        Self {
            below: (0..layers).map(|l| tokens(Delta::Layer(l), From::Below(l))).collect(),
            before: (0..layers)
                .map(|l| weights.recurrent.iter().map(|part| before(l, part.source)).collect())
                .collect(),
            head: tokens(Delta::Head, From::Below(layers)),
        }
    }
}

/// Writes the gradients of all parameters into `gradient`, an arena parallel to theirs.
pub(crate) fn gradients(
    executor: &Executor,
    weights: &Weights,
    parameters: &Parameters,
    table: &mut TableGradient,
    gradient: &mut [f32],
    threads: &Threads,
) {
    let mut arena = Arena::new(parameters, gradient);
    let tokens = AllTokens::new(executor, weights);
    let mut tasks = Vec::new();
    head_tasks(&mut tasks, &tokens, weights, &mut arena);
    for l in 0..weights.config.layers {
        recurrent_tasks(&mut tasks, &tokens.before[l], weights, l, &mut arena);
        if l > 0 {
            input_tasks(&mut tasks, &tokens.below[l], weights, l, &mut arena);
        }
    }
    let symbols = &executor.table.symbols;
    table.resize(symbols.len(), weights.input_slots.width());
    table.tasks(&mut tasks, &tokens.below[0], symbols.len());
    let work = 2 * weights.work() * executor.tokens();
    run_tasks(weights.isa, tasks, work, threads);
    finish_input(weights, parameters, symbols, table, &mut arena);
}

fn head_tasks<'a, 'g: 'a>(
    tasks: &mut Vec<Task<'a>>,
    tokens: &'a AllTokens<'a>,
    weights: &'a Weights,
    arena: &mut Arena<'g>,
) {
    let (weight, bias) = (arena.take("head.weight"), arena.take("head.bias"));
    let shape = (&weights.head.slots, weights.config.hidden, 0..weights.config.vocabulary);
    weight_tasks(tasks, &tokens.head, shape, weight, bias);
}

/// `weight_hh` of layer `l`, product by product.
fn recurrent_tasks<'a, 'g: 'a>(
    tasks: &mut Vec<Task<'a>>,
    pairs: &'a [Tokens<'a>],
    weights: &'a Weights,
    l: usize,
    arena: &mut Arena<'g>,
) {
    let hidden = weights.config.hidden;
    let mut weight = arena.take(&format!("rnn.weight_hh_l{l}"));
    let mut bias = arena.take(&format!("rnn.bias_hh_l{l}"));
    for (part, pairs) in weights.recurrent.iter().zip(pairs) {
        let (now, rest) = weight.split_at_mut(part.rows.len() * hidden);
        let (now_bias, rest_bias) = bias.split_at_mut(part.rows.len());
        weight_tasks(tasks, pairs, (&part.slots, hidden, part.rows.clone()), now, now_bias);
        (weight, bias) = (rest, rest_bias);
    }
}

/// `weight_ih` of a layer that reads another one.
fn input_tasks<'a, 'g: 'a>(
    tasks: &mut Vec<Task<'a>>,
    pairs: &'a Tokens<'a>,
    weights: &'a Weights,
    l: usize,
    arena: &mut Arena<'g>,
) {
    let (weight, bias) =
        (arena.take(&format!("rnn.weight_ih_l{l}")), arena.take(&format!("rnn.bias_ih_l{l}")));
    let (hidden, rows) = (weights.config.hidden, weights.config.gates() * weights.config.hidden);
    weight_tasks(tasks, pairs, (&weights.input_slots, hidden, 0..rows), weight, bias);
}

impl TableGradient {
    fn resize(&mut self, symbols: usize, width: usize) {
        self.blocks.resize(symbols * width, 0.0);
        self.bias.resize(width, 0.0);
    }

    /// The gradient of the input table, by columns.
    fn tasks<'a>(&'a mut self, tasks: &mut Vec<Task<'a>>, pairs: &'a Tokens<'a>, symbols: usize) {
        let ids = &pairs.executor.ids;
        let areas = self.blocks.chunks_mut(symbols * COLUMNS).zip(self.bias.chunks_mut(COLUMNS));
        for (i, (table, sum)) in areas.enumerate() {
            let columns = i * COLUMNS..i * COLUMNS + sum.len();
            tasks.push(Task::Scatter(Scatter { pairs, ids, columns, table, sum }));
        }
    }
}

fn run_tasks(isa: Isa, tasks: Vec<Task<'_>>, work: usize, threads: &Threads) {
    let mut tasks: Vec<Option<Task<'_>>> = tasks.into_iter().map(Some).collect();
    threads.each(&mut tasks, work, |task| match task.take() {
        Some(Task::Weight(task)) => task.run_on(isa),
        Some(Task::Scatter(task)) => task.run_on(isa),
        None => {}
    });
}

/// From the gradient of the input table to those of what it was made of.
fn finish_input(
    weights: &Weights,
    parameters: &Parameters,
    symbols: &[u32],
    table: &mut TableGradient,
    arena: &mut Arena<'_>,
) {
    let (config, slots, width) = (&weights.config, &weights.input_slots, weights.input_slots.width());
    table.rows.resize(table.blocks.len(), 0.0);
    for (i, block) in table.blocks.chunks(symbols.len() * COLUMNS).enumerate() {
        let columns = block.len() / symbols.len();
        for (from, to) in block.chunks_exact(columns).zip(table.rows.chunks_exact_mut(width)) {
            to[i * COLUMNS..][..columns].copy_from_slice(from);
        }
    }
    for (row, bias) in arena.take("rnn.bias_ih_l0").iter_mut().enumerate() {
        *bias = table.bias[slots.place(row)];
    }
    let weight = arena.take("rnn.weight_ih_l0");
    let Some(embedding) = config.embedding else {
        return take_columns(&table.rows, config.vocabulary, slots, symbols, weight);
    };
    let mut vectors = gather_rows(tensor(parameters, "embedding.weight"), embedding, symbols);
    vectors.extend([0.0; 16]); // the last row's last vector
    let pairs =
        TableRows { count: symbols.len(), gradient: (&table.rows, width), embedding: (&vectors, embedding) };
    for (i, weight) in weight.chunks_mut(ROWS * embedding).enumerate() {
        let rows = i * ROWS..i * ROWS + weight.len() / embedding;
        WeightGradient { pairs: &pairs, slots, depth: embedding, rows, weight, bias: &mut [] }
            .run_on(weights.isa);
    }
    embedding_gradient(weights, symbols, &table.rows, arena.take("embedding.weight"));
}

/// d embedding[symbol] = d table[symbol] W
fn embedding_gradient(weights: &Weights, symbols: &[u32], table: &[f32], gradient: &mut [f32]) {
    let (layer, stored) = (&weights.layers[0], weights.input_slots.width());
    let width = weights.config.embedding.unwrap_or(0);
    let mut rows = vec![0.0; symbols.len() * padded(width)];
    let product = Affine {
        rows: symbols.len(),
        x: table,
        x_stride: stored,
        pieces: &weights.input_pieces,
        panels: &layer.input_units,
        weights: &layer.input_t,
        start: Start::Zero,
        out: &mut rows,
    };
    product.run_on(weights.isa);
    gradient.fill(0.0);
    for (symbol, row) in symbols.iter().zip(rows.chunks_exact(padded(width))) {
        gradient[*symbol as usize * width..][..width].copy_from_slice(&row[..width]);
    }
}
