//! Measures the phases of a training step.

use super::arithmetic::{head_products, layer_products, products_from_after};
use super::figures::Bench;
use crate::exec::DivisionFigures;
use crate::model::ModelConfig;
use crate::phases::{Phase, Phases, Section};
use crate::train::Training;
use crate::{Mode, Result};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The phases of one training step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepPhases {
    /// Seconds of the step: the sum of the rows.
    pub step_seconds: f64,
    /// The phases, in the order of the step.
    pub rows: Vec<PhaseTime>,
    /// The division of each layer among the threads.
    pub division: DivisionFigures,
}

/// A phase of a training step. The times of waiting and `other` come last. The phases together make
/// up the step.
///
/// With several threads, the time of a phase is the mean of the threads' times, and the rest of a
/// section of the step is the mean time that a thread waits for the others in it. `fill` runs at
/// the same time as the weight gradients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseTime {
    /// `fill`, `pack`, `input` (the input table, or the vectors that the first layer reads),
    /// `forward`, `head`, `loss`, `head backward`, `backward`, `weight gradient`, `head gradient`,
    /// `input gradient`, `norm`, `update`; with several threads also `waiting in input`, `waiting
    /// in passes` (forward and backward), `waiting in gradients`, `waiting in norm`, `waiting in
    /// update` and `waiting in pack`; `other` (the time that no clock measures).
    pub name: &'static str,
    /// The layer's index, from 0.
    pub layer: Option<usize>,
    /// Seconds per step.
    pub seconds: f64,
    /// Operations of the phase over its time, in GFLOP/s. `None` if it has no products, or only
    /// those of a custom cell. These phases have products: `forward`, `backward` and
    /// `weight gradient` of each layer, the three of the head (see
    /// [`Arithmetic`](super::Arithmetic); the backward pass of a window's last step has no product
    /// with the recurrent weights), and with an embedding also `input` and `input gradient`.
    pub gflops: Option<f64>,
    /// `gflops` as a share of the peak of all threads.
    pub percent_of_peak: Option<f64>,
    /// Number of threads that took part in the phase, in the step in which most did. `None` for
    /// waiting and `other`.
    pub threads: Option<usize>,
    /// Number of pieces of the phase, each of which one thread worked on. Several threads divide a
    /// phase of several pieces, unless it is so short that one is done before the others start.
    /// `None` for waiting and `other`.
    pub pieces: Option<usize>,
}

impl Bench {
    /// Measures the phases of a training step in `mode`, and compares those with products with
    /// `peak_gflops`. The times are those of the shortest of all steps that fit into the bench's
    /// seconds, which had the least other load.
    ///
    /// # Errors
    /// As for [`Bench::compare`].
    pub fn phases(&self, mode: Mode, peak_gflops: f64) -> Result<StepPhases> {
        let mut settings = self.steady_settings();
        settings.run.mode = mode;
        self.validate(&settings)?;
        let (batch, tokens) = (settings.run.batch, settings.run.batch * settings.run.steps);
        let mut training = Training::new(self.corpus(&settings)?, settings, self.threads)?;
        let best = shortest(&mut training, self.seconds)?;
        let config = training.model().config().clone();
        let products = StepArithmetic { batch, tokens, symbols: training.table_symbols(), config: &config };
        let rows = best.rows(&products, training.threads() > 1, peak_gflops);
        let division = training.division_figures();
        Ok(StepPhases { step_seconds: best.whole as f64 / 1e9, rows, division })
    }
}

/// The times of a step and its phases in nanoseconds.
struct MeasuredStep {
    whole: u64,
    phases: Vec<MeasuredPhase>,
    waited: [u64; Section::ALL.len()],
}

/// A phase, its nanoseconds in a step, and the numbers of its pieces and of the threads that took
/// part.
#[derive(Clone, Copy)]
struct MeasuredPhase {
    phase: Phase,
    spent: u64,
    threads: usize,
    pieces: usize,
}

/// Runs steps for about `seconds`, at least two, and returns the shortest, with the largest number
/// of threads of all steps.
fn shortest(training: &mut Training, seconds: f64) -> Result<MeasuredStep> {
    let layers = training.model().config().stack.len();
    let phases = training.time_phases();
    training.own_threads().run(|| {
        training.step()?;
        let end = Instant::now() + Duration::from_secs_f64(seconds.min(1e6));
        let mut best = MeasuredStep::run(training, &phases, layers)?;
        while Instant::now() < end {
            best = best.with(MeasuredStep::run(training, &phases, layers)?);
        }
        Ok(best)
    })
}

impl MeasuredStep {
    /// Runs a step.
    fn run(training: &mut Training, phases: &Phases, layers: usize) -> Result<Self> {
        phases.clear();
        let start = Instant::now();
        training.step()?;
        let whole = start.elapsed().as_nanos() as u64;
        let of = |phase| MeasuredPhase {
            phase,
            spent: phases.spent(phase),
            threads: phases.threads(phase),
            pieces: phases.pieces(phase),
        };
        let waited = Section::ALL.map(|section| phases.waited(section));
        Ok(Self { whole, phases: Phase::all(layers).map(of).collect(), waited })
    }

    /// Returns the shorter step, with the larger number of threads of each phase.
    fn with(self, other: Self) -> Self {
        let (mut shorter, longer) = if other.whole < self.whole { (other, self) } else { (self, other) };
        let phases = shorter.phases.iter_mut().zip(longer.phases);
        phases.for_each(|(phase, longer)| phase.threads = phase.threads.max(longer.threads));
        shorter
    }

    fn rows(&self, products: &StepArithmetic<'_>, waits: bool, peak_gflops: f64) -> Vec<PhaseTime> {
        let plain = |name, spent: u64| PhaseTime {
            name,
            layer: None,
            seconds: spent as f64 / 1e9,
            gflops: None,
            percent_of_peak: None,
            threads: None,
            pieces: None,
        };
        let row = |MeasuredPhase { phase, spent, threads, pieces }: &MeasuredPhase| {
            let (name, layer) = name(*phase);
            // Operations per nanosecond are GFLOP/s.
            let gflops =
                products.of(*phase).filter(|_| *spent > 0).map(|operations| operations / *spent as f64);
            let percent_of_peak = gflops.map(|gflops| 100.0 * gflops / peak_gflops);
            let (threads, pieces) = (Some(*threads), Some(*pieces));
            PhaseTime { layer, gflops, percent_of_peak, threads, pieces, ..plain(name, *spent) }
        };
        let seen = self.phases.iter().map(|phase| phase.spent).chain(self.waited).sum();
        let mut rows: Vec<PhaseTime> = self.phases.iter().map(row).collect();
        let waiting = Section::ALL.into_iter().zip(self.waited).filter(|_| waits);
        rows.extend(waiting.map(|(section, waited)| plain(waiting_in(section), waited)));
        rows.push(plain("other", self.whole.saturating_sub(seen)));
        rows
    }
}

fn waiting_in(section: Section) -> &'static str {
    match section {
        Section::Input => "waiting in input",
        Section::Passes => "waiting in passes",
        Section::Gradients => "waiting in gradients",
        Section::Norm => "waiting in norm",
        Section::Update => "waiting in update",
        Section::Pack => "waiting in pack",
    }
}

fn name(phase: Phase) -> (&'static str, Option<usize>) {
    match phase {
        Phase::Fill => ("fill", None),
        Phase::Pack => ("pack", None),
        Phase::Input => ("input", None),
        Phase::Forward(l) => ("forward", Some(l)),
        Phase::Head => ("head", None),
        Phase::Loss => ("loss", None),
        Phase::HeadBackward => ("head backward", None),
        Phase::Backward(l) => ("backward", Some(l)),
        Phase::Gradient(l) => ("weight gradient", Some(l)),
        Phase::HeadGradient => ("head gradient", None),
        Phase::InputGradient => ("input gradient", None),
        Phase::Norm => ("norm", None),
        Phase::Update => ("update", None),
    }
}

/// Counts the operations of a step's phases.
struct StepArithmetic<'a> {
    /// Rows B of a window, and its tokens T B.
    batch: usize,
    tokens: usize,
    /// Rows of the input table D.
    symbols: usize,
    config: &'a ModelConfig,
}

impl StepArithmetic<'_> {
    /// Returns the operations of a phase in one step.
    fn of(&self, phase: Phase) -> Option<f64> {
        let Self { batch, tokens, symbols, config } = *self;
        let products = match phase {
            Phase::Forward(l) | Phase::Backward(l) | Phase::Gradient(l) => {
                let known = config.stack[l].custom.is_none();
                let all = known.then(|| layer_products(config, l) * tokens as f64)?;
                // The last step has no next step.
                let skipped = (phase == Phase::Backward(l)).then(|| products_from_after(config, l));
                all - skipped.unwrap_or(0.0) * batch as f64
            }
            Phase::Head | Phase::HeadBackward | Phase::HeadGradient => head_products(config) * tokens as f64,
            Phase::Input => self.table_products() * symbols as f64,
            // The gradients of the embeddings and of the weights that multiply them.
            Phase::InputGradient => 2.0 * self.table_products() * symbols as f64,
            Phase::Fill | Phase::Pack | Phase::Loss | Phase::Norm | Phase::Update => 0.0,
        };
        (products > 0.0).then_some(2.0 * products)
    }

    /// Returns the multiplications of a symbol's embedding with the first layer's weights, if a
    /// table holds the results.
    fn table_products(&self) -> f64 {
        let first = &self.config.stack[0];
        let width = if self.config.gathers() { self.config.embedding.unwrap_or(0) } else { 0 };
        (width * first.gates() * first.hidden) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, InputKind, Layer, ModelSettings, RunSettings, Settings, Windows};

    fn bench(settings: Settings, threads: usize) -> Bench {
        Bench { settings, vocabulary: 20, threads: Some(threads), seconds: 0.01 }
    }

    fn small() -> Settings {
        Settings {
            model: ModelSettings { hidden: 9, layers: 2, ..ModelSettings::default() },
            run: RunSettings { batch: 3, steps: 4, ..RunSettings::default() },
            ..Settings::default()
        }
    }

    fn places(rows: &[PhaseTime]) -> Vec<(&str, Option<usize>)> {
        rows.iter().map(|row| (row.name, row.layer)).collect()
    }

    #[test]
    fn phases_are_in_the_order_of_a_step() {
        let mut expected = vec![("fill", None), ("pack", None), ("input", None)];
        expected.extend([("forward", Some(0)), ("forward", Some(1)), ("head", None), ("loss", None)]);
        expected.extend([("head backward", None), ("backward", Some(1)), ("backward", Some(0))]);
        expected.extend([("weight gradient", Some(0)), ("weight gradient", Some(1))]);
        let rest = ["head gradient", "input gradient", "norm", "update", "other"];
        expected.extend(rest.map(|name| (name, None)));
        let StepPhases { step_seconds, rows, .. } = bench(small(), 1).phases(Mode::Static, 100.0).unwrap();
        assert_eq!(places(&rows), expected);
        let sum: f64 = rows.iter().map(|row| row.seconds).sum();
        assert!((sum / step_seconds - 1.0).abs() < 1e-9, "{sum} of {step_seconds}");
        let waiting = Section::ALL.map(|section| (waiting_in(section), None));
        expected.splice(expected.len() - 1..expected.len() - 1, waiting);
        let rows = bench(small(), 2).phases(Mode::Dynamic, 100.0).unwrap().rows;
        assert_eq!(places(&rows), expected);
    }

    /// The step is measured outside its clocks. Phases would exceed it only if the clocks counted
    /// something twice.
    #[test]
    fn phases_make_up_the_step_on_any_number_of_threads() {
        let wide = Settings {
            model: ModelSettings { hidden: 64, ..small().model },
            run: RunSettings { batch: 16, steps: 16, ..small().run },
            ..small()
        };
        for (settings, threads) in [(small(), 1), (small(), 2), (wide.clone(), 1), (wide, 2)] {
            let bench = bench(settings, threads);
            let settings = bench.steady_settings();
            let mut training =
                Training::new(bench.corpus(&settings).unwrap(), settings, Some(threads)).unwrap();
            let step = shortest(&mut training, 0.02).unwrap();
            let seen = step.phases.iter().map(|phase| phase.spent).chain(step.waited).sum::<u64>();
            assert!(0 < seen && seen <= step.whole, "{seen} of {} on {threads} threads", step.whole);
        }
    }

    /// The operations of all phases except the input table's are those of training, less those of
    /// the last step's backward pass.
    #[test]
    fn phases_have_the_operations_of_training() {
        for (cell, input) in [(Cell::Lstm, InputKind::Embedding), (Cell::Gru, InputKind::OneHot)] {
            let settings = Settings { model: ModelSettings { cell, input, ..small().model }, ..small() };
            let config = ModelConfig::new(&settings.model, 20).unwrap();
            let products = StepArithmetic { batch: 3, tokens: 12, symbols: 20, config: &config };
            let table = |phase: &Phase| matches!(phase, Phase::Input | Phase::InputGradient);
            let total: f64 = Phase::all(2).filter(|p| !table(p)).filter_map(|phase| products.of(phase)).sum();
            let skipped = 2.0 * 3.0 * 2.0 * if cell == Cell::Lstm { 324.0 } else { 243.0 };
            assert_eq!(total + skipped, 12.0 * super::super::Arithmetic::of(&config).training);
            let table: Vec<Option<f64>> =
                Phase::all(2).filter(table).map(|phase| products.of(phase)).collect();
            let once = 2.0 * 20.0 * 9.0 * 36.0;
            let embeds = input == InputKind::Embedding;
            assert_eq!(table, if embeds { [Some(once), Some(2.0 * once)] } else { [None, None] });
        }
    }

    #[test]
    fn rates_follow_from_times() {
        let config = ModelConfig::new(&small().model, 20).unwrap();
        let products = StepArithmetic { batch: 3, tokens: 12, symbols: 20, config: &config };
        let phases = [(Phase::Fill, 10), (Phase::Forward(1), 1000), (Phase::Head, 0)]
            .map(|(phase, spent)| MeasuredPhase { phase, spent, threads: 2, pieces: 3 });
        let step = MeasuredStep { whole: 1500, phases: phases.to_vec(), waited: [0, 150, 50, 0, 0, 0] };
        let rows = step.rows(&products, true, 50.0);
        assert_eq!(places(&rows)[4..6], [("waiting in passes", None), ("waiting in gradients", None)]);
        let seconds: Vec<f64> = rows.iter().filter(|row| row.seconds > 0.0).map(|row| row.seconds).collect();
        assert_eq!(seconds, [10.0, 1000.0, 150.0, 50.0, 290.0].map(|nanoseconds| nanoseconds / 1e9));
        let gflops = 12.0 * 2.0 * 4.0 * 9.0 * 18.0 / 1000.0;
        let rates: Vec<Option<f64>> = rows.iter().map(|row| row.gflops).collect();
        assert_eq!(rates[..3], [None, Some(gflops), None]);
        assert!(rates[3..].iter().all(Option::is_none) && rows.iter().all(|row| row.threads != Some(1)));
        assert_eq!(rows[1].percent_of_peak, Some(100.0 * gflops / 50.0));
    }

    /// Every option of a layer is measured, and no clock changes a bit of the parameters.
    #[test]
    fn clocks_change_no_bits() {
        let wrapped = Layer { residual: true, output_keep_prob: 0.5, peepholes: true, ..Layer::lstm(9) };
        let stepped = Layer { zoneout: 0.25, state_keep_prob: 0.5, input_keep_prob: 0.5, ..Layer::gru(9) };
        let stack = vec![stepped, wrapped, Layer { projection: Some(5), ..Layer::lstm(7) }];
        let settings = Settings {
            model: ModelSettings { stack, ..small().model },
            run: RunSettings { label_smoothing: 0.1, windows: Windows::Stream, ..small().run },
            ..small()
        };
        for (mode, threads) in [(Mode::Static, 1), (Mode::Dynamic, 2)] {
            let bench = bench(
                Settings { run: RunSettings { mode, ..settings.run.clone() }, ..settings.clone() },
                threads,
            );
            let mut settings = bench.steady_settings();
            settings.run.accumulate = 2;
            let train = |timed: bool| {
                let mut training =
                    Training::new(bench.corpus(&settings).unwrap(), settings.clone(), Some(threads)).unwrap();
                let phases = if timed { training.time_phases() } else { Phases::default() };
                (0..3).for_each(|_| _ = training.step().unwrap());
                let spent: Vec<u64> = Phase::all(3).map(|phase| phases.spent(phase)).collect();
                (training.model().parameters().values.clone(), spent)
            };
            let ((plain, none), (timed, spent)) = (train(false), train(true));
            assert!(plain.iter().zip(&timed).all(|(p, t)| p.to_bits() == t.to_bits()));
            assert!(
                none.iter().all(|spent| *spent == 0) && spent.iter().all(|spent| *spent > 0),
                "{spent:?}"
            );
        }
    }
}
