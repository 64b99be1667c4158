//! `unrolled find-rate`: finds a learning rate to start with.

use super::{
    chart_axis::XAxis,
    chart_colors::{TRAIN, VALIDATION},
    config_file::ConfigFile,
    failure::Failure,
    given_settings::GivenSettings,
    job::Job,
    number_args::{number, whole},
    number_format::{learning_rate, loss},
    output::{self, note},
    run_folder::replace,
    run_options::RunOptions,
    settings_flags::SettingsFlags,
    starting_point::{InitialWeights, StartingPoint},
    svg_chart::{self, ChartLine, SvgChart},
    text::Text,
};
use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};
use unrolled::{
    Preset,
    train::{RangeTest, Trial, steepest},
};

/// Number of rows of the table.
const ROWS: usize = 20;
/// Width of its longest bar.
const WIDTH: f64 = 40.0;
/// Losses above the first loss by this share of its distance to the lowest are cut off.
const HEADROOM: f64 = 0.1;

/// Flags of `train` for the rate, the length and the evaluations of a run, which a test does not
/// have.
const WITHOUT_EFFECT: [&str; 13] = [
    "cosine-floor",
    "epoch-decay",
    "epoch-decay-after",
    "epoch-decay-every",
    "epochs",
    "eval-every",
    "eval-symbols",
    "learning-rate",
    "max-chars",
    "max-steps",
    "patience",
    "schedule",
    "warmup-steps",
];

/// Find a learning rate: try rising rates for one step each and report where the loss falls fastest
///
/// The flags of `train` are accepted, so that its command line can be reused. Those for the
/// learning rate, the length and the evaluations of a run have no effect.
#[derive(Args)]
pub struct FindRateCommand {
    /// Files and folders of the corpus; `-` is standard input [default: the built-in corpus]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Lowest rate
    #[arg(long, value_name = "F", value_parser = number, default_value = "1e-5")]
    from: f64,
    /// Highest rate
    #[arg(long, value_name = "F", value_parser = number, default_value = "1")]
    to: f64,
    /// Number of steps from the lowest to the highest rate
    #[arg(long, value_name = "N", value_parser = whole::<u32>(10), default_value = "200")]
    trials: u32,
    /// TOML file with settings; flags win
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Published settings to start from; `unrolled presets` lists them
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Preset::NAMES))]
    preset: Option<String>,
    /// Start from the weights of a run or checkpoint, as `train --init-from` does
    #[arg(long, value_name = "RUN")]
    init_from: Option<PathBuf>,
    /// Vocabulary, as for `train --vocabulary`
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// Number of ids that the model knows, as for `train --vocabulary-size`
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), conflicts_with = "vocabulary")]
    vocabulary_size: Option<u32>,
    /// Number of threads [default: all cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    threads: Option<NonZeroUsize>,
    /// Write a chart of the losses (.svg)
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object per trial, and a last one with the rate
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsFlags,
}

/// The last object of `--json`.
#[derive(Serialize)]
struct FoundRate {
    done: bool,
    learning_rate: Option<f64>,
}

impl FindRateCommand {
    /// Runs the test and prints the result.
    pub fn run(&self) -> Result<(), Failure> {
        self.out.as_deref().map_or(Ok(()), check_svg)?;
        let trials = self.trials()?;
        let learning_rate = steepest(&trials);
        if let Some(file) = &self.out {
            let svg = svg_chart::draw(&chart(&trials, learning_rate)).ok_or_else(no_losses)?;
            replace(file, svg.as_bytes())?;
        }
        if self.json {
            trials.iter().try_for_each(output::json)?;
            return output::json(&FoundRate { done: true, learning_rate });
        }
        output::write(&table(&trials, learning_rate))?;
        output::line(&match learning_rate {
            Some(rate) => format!("\nthe loss falls fastest at --learning-rate {rate:.1e}"),
            None => "\nthe loss falls at no rate in this range; try another --from and --to".to_owned(),
        })
    }

    /// Prints which of the given flags have no effect.
    fn note_without_effect(&self) {
        let given = self.settings.table();
        let flags: Vec<_> = WITHOUT_EFFECT.iter().filter(|name| given.contains_key(**name)).collect();
        let flags: Vec<_> = flags.iter().map(|name| format!("--{name}")).collect();
        if !flags.is_empty() {
            note(&format!(
                "note: no effect on find-rate: {}; --from, --to and --trials set the rates and the number of steps",
                flags.join(", ")
            ));
        }
    }

    fn trials(&self) -> Result<Vec<Trial>, Failure> {
        self.note_without_effect();
        let config = self.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default();
        let given = GivenSettings {
            config: &config,
            file: self.config.as_deref(),
            preset: self.preset.as_deref(),
            flags: &self.settings,
        };
        let options = RunOptions {
            init_from: self.init_from.clone(),
            vocabulary: self.vocabulary.clone(),
            vocabulary_size: self.vocabulary_size,
            ..RunOptions::default()
        };
        let options = options.or(config.run.clone());
        let weights = InitialWeights::load(&Job::of(None), &options)?;
        let start = StartingPoint::load(&options, &given, weights)?;
        let settings = start.settings(&given)?;
        settings.validate()?;
        let paths = match self.paths.is_empty() {
            true => config.paths().unwrap_or_default(),
            false => &self.paths,
        };
        let max_memory = config.run.max_memory.map(|most| most.0);
        let corpus = start.open(&Text { paths, settings: &settings, max_memory })?;
        let test = RangeTest { from: self.from, to: self.to, trials: self.trials };
        let threads = self.threads.map(NonZeroUsize::get);
        Ok(test.run_from(start.checkpoint(), corpus, &settings, threads)?)
    }
}

fn check_svg(file: &Path) -> Result<(), Failure> {
    match file.extension().is_some_and(|ending| ending == "svg") {
        true => Ok(()),
        false => {
            Err(Failure::Usage(format!("--out {}: expected a file name that ends in .svg", file.display())))
        }
    }
}

fn no_losses() -> Failure {
    Failure::Usage("--out: no trial has a finite loss, so there is no chart; lower --from".to_owned())
}

/// Returns the lowest smoothed loss and the highest to show: a little above the first. Higher
/// losses have diverged, and would flatten the part where the loss falls.
fn shown_range(trials: &[Trial]) -> (f64, f64) {
    let low = trials.iter().map(|trial| trial.smoothed).fold(f64::INFINITY, f64::min);
    let first = trials.first().map_or(low, |trial| trial.smoothed);
    (low, first + HEADROOM * (first - low).max(1e-3))
}

/// Returns some of the trials with bars for their smoothed losses, from the lowest loss on.
fn table(trials: &[Trial], best: Option<f64>) -> String {
    let (low, high) = shown_range(trials);
    let shown: Vec<&Trial> = trials.iter().step_by(trials.len().div_ceil(ROWS).max(1)).collect();
    let distance = |trial: &Trial| best.map(|rate| (trial.rate / rate).ln().abs());
    let nearest = shown.iter().filter_map(|trial| distance(trial)).fold(f64::INFINITY, f64::min);
    let row = |trial: &&Trial| {
        let length = (WIDTH * (trial.smoothed - low) / (high - low)).round();
        let bar = "#".repeat(length.clamp(0.0, WIDTH) as usize);
        let cut = if trial.smoothed > high { ">" } else { "" };
        let mark = if distance(trial) == Some(nearest) { "  <- falls fastest" } else { "" };
        let (rate, loss) = (learning_rate(trial.rate), loss(trial.smoothed));
        format!("{rate:>9}  {loss:>8}  {bar}{cut}{mark}").trim_end().to_owned() + "\n"
    };
    let rows: String = shown.iter().map(row).collect();
    format!("     rate      loss  (bars from the lowest loss on; > is cut off)\n{rows}")
}

/// Returns the chart of the losses over the rates.
fn chart(trials: &[Trial], best: Option<f64>) -> SvgChart<'static> {
    let points =
        |value: fn(&Trial) -> f64| trials.iter().map(|trial| (trial.rate.log10(), value(trial))).collect();
    let line = |name: &str, color, points| ChartLine { name: name.to_owned(), color, points };
    SvgChart {
        title: "Loss at rising learning rates".to_owned(),
        subtitle: best.map_or("the loss falls at no rate".to_owned(), |rate| {
            format!("the loss falls fastest at {rate:.1e}; diverged losses are cut off")
        }),
        x: "learning rate",
        x_axis: XAxis::Points(|x| format!("{:.0e}", 10f64.powf(x))),
        mark: best.map(f64::log10),
        top: Some(shown_range(trials).1),
        lines: vec![
            line("each step", TRAIN, points(|trial| trial.loss)),
            line("smoothed", VALIDATION, points(|trial| trial.smoothed)),
        ],
        ..SvgChart::of_losses()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(losses: &[f64]) -> Vec<Trial> {
        let trial = |(number, &smoothed): (i32, &f64)| Trial {
            rate: 10f64.powi(number - 5),
            loss: smoothed,
            smoothed,
        };
        (0..).zip(losses).map(trial).collect()
    }

    #[test]
    fn a_diverged_loss_does_not_flatten_the_bars() {
        let table = table(&trials(&[4.2, 4.0, 3.0, 2.0, 90.0]), Some(2e-3));
        let bars: Vec<_> = table.lines().skip(1).map(|line| line.matches('#').count()).collect();
        assert_eq!(bars, [36, 33, 17, 0, 40], "{table}");
        assert!(table.lines().nth(5).is_some_and(|line| line.ends_with("#>")), "{table}");
        assert!(table.lines().nth(3).is_some_and(|line| line.ends_with("<- falls fastest")), "{table}");
    }

    #[test]
    fn the_flags_without_effect_are_keys_of_settings() {
        for name in WITHOUT_EFFECT {
            assert!(unrolled::Settings::keys().any(|key| key == name), "{name}");
        }
    }

    #[test]
    fn few_trials_make_a_table() {
        assert_eq!(table(&[], None).lines().count(), 1);
        assert_eq!(table(&trials(&[3.0]), None).lines().count(), 2);
    }

    #[test]
    fn the_chart_shows_the_range_below_the_first_loss() {
        let chart = chart(&trials(&[4.2, 4.0, 3.0, 2.0, 90.0]), Some(1e-3));
        assert!(chart.top.is_some_and(|top| top > 4.2 && top < 5.0));
        let svg = svg_chart::draw(&chart).expect("a chart");
        assert!(svg.contains("1e-3") && svg.contains("falls fastest at 1.0e-3"), "{svg}");
    }
}
