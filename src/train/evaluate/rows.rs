//! Runs the windows of some rows of an evaluation.

use crate::corpus::{Batch, Corpus, Streams};
use crate::exec::{Engine, Executor, Extent, Goal, Inputs, Needs, Order, Pass, WindowActivations};
use crate::loss::{Loss, Targets};
use std::{mem::swap, num::NonZeroUsize, ops::Range};

/// The model, the text and the options, which are the same for all rows of an evaluation.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) engine: &'a Engine,
    pub(super) corpus: &'a Corpus,
    pub(super) streams: &'a Streams,
    pub(super) top_k: Option<NonZeroUsize>,
}

/// Some rows of an evaluation, with their state.
pub(super) struct Rows<'a> {
    source: Source<'a>,
    range: Range<usize>,
    executor: Executor,
    /// The next window, and room for the one after it.
    batch: Batch,
    spare: Batch,
    /// The number of the next window.
    window: usize,
}

impl<'a> Rows<'a> {
    /// Reads the first window of some rows.
    pub(super) fn new(source: Source<'a>, range: Range<usize>) -> Self {
        let executor = Executor::new(source.engine.weights(), Needs::INFERENCE);
        let (mut batch, spare) = (Batch::default(), Batch::default());
        source.streams.fill_rows(source.corpus, 0, range.clone(), &mut batch);
        Self { source, range, executor, batch, spare, window: 0 }
    }

    /// Runs the next window, and calls `read` with its losses and the number of targets within the
    /// top k. Reads the window after it at the same time.
    pub(super) fn run(&mut self, read: impl FnOnce(&WindowActivations, u64) + Send) {
        let Self { source, range, executor, batch, spare, window } = self;
        let Source { engine, corpus, streams, top_k } = *source;
        *window += 1;
        engine.enter(batch.inputs.len(), || {
            let fill = || {
                if *window < streams.windows() {
                    streams.fill_rows(corpus, *window, range.clone(), spare);
                }
            };
            let measure = || {
                let within = measure(engine, executor, batch, top_k);
                read(&executor.window, within);
            };
            engine.pool().join(measure, fill);
        });
        swap(batch, spare);
    }
}

/// Computes the losses of a window. Returns the number of targets within the top k.
fn measure(engine: &Engine, executor: &mut Executor, batch: &Batch, top_k: Option<NonZeroUsize>) -> u64 {
    let Batch { steps, rows, inputs, targets, fresh } = batch;
    executor.reshape(engine.weights(), Extent::full(*steps, *rows), engine.pool());
    let goal = Goal::Losses { loss: Loss::CROSS_ENTROPY, top_k: top_k.map(NonZeroUsize::get) };
    let (inputs, labels) = (Inputs::Ids(inputs), Some((Targets::Ids(targets), None)));
    let (order, dropping) = (Order::TimeMajor, None);
    executor.run(engine.packed(), Pass { inputs, order, targets: labels, fresh: *fresh, dropping, goal })
}
