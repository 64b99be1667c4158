//! `unrolled bench`: measures the speed of one configuration on this machine.

use super::{
    failure::Failure,
    number_args::{number, recorded, whole},
    number_format::{counted, layers, short, time},
    output,
    phase_table::phase_table,
    settings_table::overlay,
};
use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;
use std::num::NonZeroUsize;
use unrolled::{
    Activation, Cell, InputKind, Layer, Mode, Precision, Reset, Settings,
    bench::{Bench, Cost, Figures, PhaseTime, StepPhases},
    exec::DivisionFigures,
};

/// Measure the speed of one configuration on random symbols: training, forward pass and single
/// steps
#[derive(Args)]
pub struct BenchCommand {
    #[command(flatten)]
    flags: BenchFlags,
    /// Number of symbols in the vocabulary
    #[arg(long, value_name = "N", value_parser = whole::<usize>(0), default_value_t = 65)]
    vocab: usize,
    /// Seconds per measurement (and mode)
    #[arg(long, value_name = "F", value_parser = number, default_value_t = 3.0)]
    seconds: f64,
    /// Compare two modes in alternating runs, and say after how many steps the setup of the first
    /// pays off
    #[arg(long, value_name = "MODE,MODE", value_delimiter = ',', value_parser = PossibleValuesParser::new(Mode::NAMES), conflicts_with = "mode")]
    compare: Option<Vec<String>>,
    /// Also show the phases of a training step, each with its share of the time and its GFLOP/s
    #[arg(long)]
    phases: bool,
    /// Number of threads [default: all cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    threads: Option<NonZeroUsize>,
    /// Print one JSON object per mode
    #[arg(long)]
    json: bool,
}

/// An object of `--json`.
#[derive(Serialize)]
struct BenchResult<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    phases: Option<&'a [PhaseTime]>,
    /// Time of the whole step, the sum of its phases.
    #[serde(skip_serializing_if = "Option::is_none")]
    phases_step_seconds: Option<f64>,
    /// Division of each layer among the threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    division: Option<DivisionFigures>,
}

impl<'a> BenchResult<'a> {
    fn new(figures: &'a Figures, phases: Option<&'a StepPhases>) -> Self {
        let phases_step_seconds = phases.map(|phases| phases.step_seconds);
        let division = phases.map(|phases| phases.division);
        Self { figures, phases: phases.map(|phases| &*phases.rows), phases_step_seconds, division }
    }
}

/// Flags with the names and defaults of `train`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BenchFlags {
    /// The recurrent cell [default: lstm]
    #[arg(long, value_parser = PossibleValuesParser::new(Cell::NAMES))]
    cell: Option<String>,
    /// Activation of --cell rnn [default: tanh]
    #[arg(long, value_parser = PossibleValuesParser::new(Activation::NAMES))]
    activation: Option<String>,
    /// Where --cell gru applies the reset gate [default: after]
    #[arg(long, value_parser = PossibleValuesParser::new(Reset::NAMES))]
    reset: Option<String>,
    /// Hidden units of each layer [default: 256]
    #[arg(short = 'H', long, value_name = "N", value_parser = whole::<u32>(1))]
    hidden: Option<u32>,
    /// Number of stacked layers [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1))]
    layers: Option<u32>,
    /// One layer with all its options, as for `train`; once for each layer, from the input up
    #[arg(long = "layer", value_name = "TOML", value_parser = super::value_args::layer, conflicts_with_all = ["cell", "hidden", "layers", "activation", "reset"])]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stack: Vec<Layer>,
    /// Input of the first layer [default: embedding]
    #[arg(long, value_parser = PossibleValuesParser::new(InputKind::NAMES))]
    input: Option<String>,
    /// Width of the embedding [default: the width of the first layer]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1))]
    embedding: Option<u32>,
    /// Batch rows [default: 32]
    #[arg(short, long, value_name = "N", value_parser = whole::<u32>(1))]
    batch: Option<u32>,
    /// Time steps of a window [default: 64]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1))]
    steps: Option<u32>,
    /// Build the plan of a window once (static) or in each window (dynamic) [default: static]
    #[arg(long, value_parser = PossibleValuesParser::new(Mode::NAMES))]
    mode: Option<String>,
    /// Number format of the operands of products; with int8, training is measured in f32
    /// [default: f32]
    #[arg(long, value_parser = super::value_args::precision())]
    #[serde(skip)]
    precision: Option<Precision>,
    /// Random seed of the weights and symbols [default: 1]
    #[arg(short, long, value_name = "N", value_parser = recorded(0))]
    seed: Option<u64>,
}

impl BenchCommand {
    /// Measures and prints the results.
    pub fn run(&self) -> Result<(), Failure> {
        let bench = Bench {
            settings: self.flags.settings()?,
            vocabulary: self.vocab,
            threads: self.threads.map(NonZeroUsize::get),
            seconds: self.seconds,
        };
        let modes = self.modes(bench.settings.run.mode)?;
        let all = bench.compare(&modes)?;
        let phases = self.phases(&bench, &modes, &all)?;
        if self.json {
            let lines = all.iter().enumerate().map(|(i, figures)| BenchResult::new(figures, phases.get(i)));
            return lines.into_iter().try_for_each(|line| output::json(&line));
        }
        output::write(&text(&bench, &all))?;
        let threads = all.first().map_or(1, |figures| figures.threads);
        let tables = all.iter().zip(&phases).map(|(figures, step)| phase_table(figures.mode, threads, step));
        output::write(&tables.collect::<String>())
    }

    /// Measures the phases of each mode if `--phases` is given.
    fn phases(&self, bench: &Bench, modes: &[Mode], all: &[Figures]) -> Result<Vec<StepPhases>, Failure> {
        let modes = modes.iter().zip(all).filter(|_| self.phases);
        let timed = modes.map(|(mode, figures)| bench.phases(*mode, figures.peak_gflops));
        Ok(timed.collect::<unrolled::Result<_>>()?)
    }

    fn modes(&self, single: Mode) -> Result<Vec<Mode>, Failure> {
        let Some(names) = &self.compare else { return Ok(vec![single]) };
        let mode = |name: &String| if name == Mode::Static.name() { Mode::Static } else { Mode::Dynamic };
        match names.iter().map(mode).collect::<Vec<_>>() {
            modes if modes.len() == 2 && modes[0] != modes[1] => Ok(modes),
            _ => Err(Failure::Usage(format!(
                "--compare {}: expected two different modes, static,dynamic or dynamic,static",
                names.join(",")
            ))),
        }
    }
}

impl BenchFlags {
    fn settings(&self) -> Result<Settings, Failure> {
        let table = toml::Table::try_from(self).expect("flags are strings and numbers within TOML's range");
        let mut settings = overlay(&Settings::default(), std::iter::once(&table))?;
        settings.run.precision = self.precision.unwrap_or_default();
        Ok(settings)
    }
}

fn text(bench: &Bench, all: &[Figures]) -> String {
    let mut text = heading(bench, all);
    all.iter().for_each(|figures| text += &table(figures));
    if let [one, other] = all {
        text += &comparison("training", [one.mode, other.mode], [one.training(), other.training()]);
        text += &comparison("forward", [one.mode, other.mode], [one.forward(), other.forward()]);
    }
    all.first().into_iter().for_each(|figures| text += &machine(figures));
    text
}

/// Returns the configuration and the machine:
/// `gru (reset after) 2x128, batch 50 x 50 steps, 65 symbols (embedding), 1 thread`.
fn heading(bench: &Bench, all: &[Figures]) -> String {
    let settings = &bench.settings;
    let variant = match settings.model.cell {
        Cell::Gru => format!(" (reset {})", settings.model.reset.name()),
        Cell::Rnn => format!(" ({})", settings.model.activation.name()),
        Cell::Lstm => String::new(),
    };
    let model = match settings.model.stack.is_empty() {
        true => format!(
            "{}{variant} {}x{}",
            settings.model.cell.name(),
            settings.model.layers,
            settings.model.hidden
        ),
        false => layers(settings),
    };
    let threads = all.first().map_or(0, |figures| figures.threads);
    let training = if settings.run.precision == Precision::Int8 { ", training in f32" } else { "" };
    let machine =
        |figures: &Figures| format!("{}, products in {}{training}", figures.machine, figures.precision);
    let machine = all.first().map_or(String::new(), machine);
    format!(
        "{model}, batch {} x {} steps, {} ({}), {}\n{machine}\n",
        settings.run.batch,
        settings.run.steps,
        counted(bench.vocabulary as u64, "symbol"),
        settings.model.input.name(),
        counted(threads as u64, "thread"),
    )
}

/// Returns the results that depend on the mode.
fn table(figures: &Figures) -> String {
    let row = |name: &str, rate: f64, gflops: f64| {
        let share = 100.0 * gflops / figures.peak_gflops;
        format!("  {name:<9} {:>6} symbols/s {gflops:>8.1} GFLOP/s {share:>4.0}% of peak\n", short(rate))
    };
    let (training, forward) = (time(figures.setup_seconds), time(figures.forward_setup_seconds));
    [
        format!("{}\n", figures.mode),
        row("training", figures.train_chars_per_second, figures.train_gflops),
        row("forward", figures.forward_chars_per_second, figures.forward_gflops),
        format!("  setup     {training} for training, {forward} for the forward pass\n"),
    ]
    .concat()
}

/// Returns the results that do not depend on the mode.
fn machine(figures: &Figures) -> String {
    let (step, read) = (figures.step_microseconds, figures.weights_read_microseconds);
    format!(
        "one step    {}, {:.2} times the time to read its weights once\n\
         peak        {:.1} GFLOP/s of f32 multiply-adds\n",
        time(step * 1e-6),
        step / read,
        figures.peak_gflops
    )
}

/// Compares two modes in one line, and says when the setup of the first pays off.
fn comparison(what: &str, [name, other_name]: [&str; 2], [cost, other]: [Cost; 2]) -> String {
    let cost_text =
        |cost: Cost| format!("{} a step, {} setup", time(cost.step_seconds), time(cost.setup_seconds));
    let pays = match cost.ahead_from(&other) {
        Some(0) => "is ahead or equal from the start".to_owned(),
        Some(steps) => format!("its setup pays off after {}", counted(steps, "step")),
        None => "its setup never pays off".to_owned(),
    };
    format!(
        "{what}: {name} {}; {other_name} {}; {name} has {:.3} times the speed and {pays}\n",
        cost_text(cost),
        cost_text(other),
        other.step_seconds / cost.step_seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_says_when_the_setup_pays_off() {
        let cost = |setup_seconds, step_seconds| Cost { setup_seconds, step_seconds };
        let text = |one, other| comparison("forward", ["static", "dynamic"], [one, other]);
        assert_eq!(
            text(cost(0.5, 1e-3), cost(0.1, 2e-3)),
            "forward: static 1.00 ms a step, 500 ms setup; dynamic 2.00 ms a step, 100 ms setup; static has 2.000 \
             times the speed and its setup pays off after 400 steps\n"
        );
        assert!(
            text(cost(0.5, 2e-3), cost(0.1, 2e-3))
                .ends_with("1.000 times the speed and its setup never pays off\n")
        );
        assert!(text(cost(0.1, 2e-3), cost(0.5, 2e-3)).ends_with("and is ahead or equal from the start\n"));
    }
}
