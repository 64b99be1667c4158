//! The measured models.

use crate::measure::only_tests;
use unrolled::bench::{Arithmetic, synthetic};
use unrolled::corpus::{Batch, Batches, Corpus};
use unrolled::model::{Model, ModelConfig};
use unrolled::train::Training;
use unrolled::{
    Cell, DataSettings, InputKind, Mode, ModelSettings, Reset, RunSettings, ScheduleSettings, Settings,
    Windows,
};

/// Number of symbols of most shapes.
pub const VOCABULARY: usize = 65;

/// A model and its window.
#[derive(Clone, Copy)]
pub struct Shape {
    pub name: &'static str,
    pub cell: Cell,
    pub reset: Reset,
    pub layers: usize,
    pub hidden: usize,
    pub batch: usize,
    pub steps: usize,
    pub input: InputKind,
    /// Number of symbols V.
    pub vocabulary: usize,
}

/// The lecture's program: one layer of 100 units over short windows.
const fn lecture(name: &'static str, cell: Cell, reset: Reset) -> Shape {
    let (input, vocabulary) = (InputKind::OneHot, VOCABULARY);
    Shape { name, cell, reset, layers: 1, hidden: 100, batch: 200, steps: 5, input, vocabulary }
}

/// A model with an embedding, and windows of as many steps as rows.
pub const fn deep(name: &'static str, cell: Cell, layers: usize, hidden: usize, window: usize) -> Shape {
    let (reset, input, vocabulary) = (Reset::After, InputKind::Embedding, VOCABULARY);
    Shape { name, cell, reset, layers, hidden, batch: window, steps: window, input, vocabulary }
}

pub const SHAPES: [Shape; 9] = [
    lecture("RNN 1x100, B200 T5", Cell::Rnn, Reset::After),
    lecture("LSTM 1x100, B200 T5", Cell::Lstm, Reset::After),
    lecture("GRU after 1x100, B200 T5", Cell::Gru, Reset::After),
    lecture("GRU before 1x100, B200 T5", Cell::Gru, Reset::Before),
    deep("LSTM 2x128, B50 T50", Cell::Lstm, 2, 128, 50),
    deep("GRU 2x128, B50 T50", Cell::Gru, 2, 128, 50),
    deep("LSTM 2x512, B50 T50", Cell::Lstm, 2, 512, 50),
    deep("GRU 2x512, B50 T50", Cell::Gru, 2, 512, 50),
    deep("LSTM 1x1024, B64 T64", Cell::Lstm, 1, 1024, 64),
];

impl Shape {
    /// If only results are checked, wide models get a small window.
    pub fn for_this_run(self) -> Self {
        let small = only_tests() && self.hidden > 128;
        if small { Self { batch: self.batch.min(8), steps: 8, ..self } } else { self }
    }

    /// Returns settings with which every step is alike: no evaluation, and weights that hardly
    /// change.
    pub fn settings(&self, mode: Mode) -> Settings {
        Settings {
            model: ModelSettings {
                cell: self.cell,
                reset: self.reset,
                layers: self.layers,
                hidden: self.hidden,
                input: self.input,
                ..ModelSettings::default()
            },
            schedule: ScheduleSettings::constant(1e-6),
            data: DataSettings { val_fraction: 0.0, ..DataSettings::default() },
            run: RunSettings {
                batch: self.batch,
                steps: self.steps,
                mode,
                windows: Windows::Stream,
                epochs: 1e12,
                eval_every: Some(u64::MAX),
                ..RunSettings::default()
            },
            ..Settings::default()
        }
    }

    /// Returns the tokens of a window.
    pub fn tokens(&self) -> usize {
        self.batch * self.steps
    }

    pub fn arithmetic(&self) -> Arithmetic {
        let config = ModelConfig::new(&self.settings(Mode::Static).model, self.vocabulary);
        Arithmetic::of(&config.expect("a shape that works"))
    }

    pub fn corpus(&self) -> Corpus {
        synthetic(self.vocabulary, 4 * self.tokens() + 1, 1).expect("enough characters")
    }

    pub fn training(&self, corpus: Corpus, mode: Mode, threads: usize) -> Training {
        Training::new(corpus, self.settings(mode), Some(threads)).expect("a shape that works")
    }

    pub fn model(&self) -> Model {
        Model::new(&self.settings(Mode::Static).model, self.vocabulary, 1).expect("a shape that works")
    }

    /// Returns the first window of the text.
    pub fn window(&self) -> Batch {
        let corpus = self.corpus();
        let batches = Batches::new(0..corpus.len(), Windows::Stream, self.batch, self.steps, 1);
        let mut batch = Batch::default();
        batches.expect("a text of four windows").fill(&corpus, 0, &mut batch);
        batch
    }
}
